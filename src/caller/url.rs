//! Where a provider may be asked.

use reqwest::Url;

use super::transport::is_loopback;
use super::wire::{Ask, Credential};
use super::{CallError, To};

/// Whether providers can be asked below this URL.
///
/// # Errors
/// What is wrong with it, to be put after its name.
pub fn is_base_url(text: &str) -> Result<(), &'static str> {
    base_of(text).map(drop)
}

/// Whether something may be posted to this URL, which is named by none of the words.
///
/// # Errors
/// What is wrong with it, to be put after its name.
pub fn is_post_url(text: &str) -> Result<(), &'static str> {
    post_url(text).map(drop)
}

/// The URL to post to.
pub(super) fn post_url(text: &str) -> Result<Url, &'static str> {
    let url = parsed(text)?;
    match url.scheme() == "http" && !is_loopback(&url) {
        true => Err("is plain http, which is for loopback only"),
        false => Ok(url),
    }
}

/// A URL that leads to a host, with nobody's name or password in it.
fn parsed(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password in it");
    }
    Ok(url)
}

fn base_of(text: &str) -> Result<Url, &'static str> {
    let base = parsed(text)?;
    if base.query().is_some() || base.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    Ok(base)
}

/// The URL of an ask, if it may be asked there.
pub(super) fn url_of(to: &To<'_>, ask: &Ask) -> Result<Url, CallError> {
    let bad = |why| CallError::BaseUrl {
        provider: to.name(),
        why,
    };
    let base = base_of(to.base_url).map_err(bad)?;
    let host = base.host_str().unwrap_or_default();
    if ask.credential != Credential::None && base.scheme() == "http" && !is_loopback(&base) {
        return Err(CallError::PlainHttp {
            provider: to.name(),
            host: host.to_owned(),
        });
    }
    let whole = format!("{}{}", to.base_url.trim_end_matches('/'), ask.path);
    let mut url = Url::parse(&whole).map_err(|_| bad("makes no URL with what is asked"))?;
    // A path that does not begin with a slash would lengthen the host's name or port.
    if url.origin() != base.origin() || !ask.path.starts_with('/') {
        return Err(bad("makes another host with what is asked"));
    }
    if !ask.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&ask.query);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_posted_in_plain_text_beyond_loopback() {
        let refused = |url| is_post_url(url).unwrap_err();
        assert!(refused("http://example.org/hook").contains("loopback"));
        assert!(refused("ftp://example.org").contains("neither"));
        assert!(refused("https://a:b@example.org").contains("password"));
        for good in ["http://127.0.0.1:1/x?y", "http://localhost", "https://h/x"] {
            is_post_url(good).unwrap();
        }
    }
}
