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

fn base_of(text: &str) -> Result<Url, &'static str> {
    let base = Url::parse(text).map_err(|_| "is no URL")?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err("has a user or a password in it");
    }
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
