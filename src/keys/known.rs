//! The secrets that this process has held, so that whatever it writes can be searched for them.
//!
//! A secret that is under no telling name and has no known look (a bare word in an error of a library,
//! say) is hidden by its value alone. They are remembered when they are read; nothing is ever told
//! of them but that they are there.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};

/// Shorter secrets keep nobody out, and may be part of any word.
const SHORTEST: usize = 6;
/// A process that reads keys anew for months has no use for those of long ago.
const MOST: usize = 64;

static KNOWN: Mutex<Known> = Mutex::new(Known(Vec::new()));

/// From now on this secret is found by [`blot`]. Of `USER:PASSWORD` the password is one by itself.
pub fn remember(secret: &SecretString) {
    known().remember(secret);
}

/// `text` with `mark` in the place of every secret that is remembered.
pub fn blot<'a>(text: &'a str, mark: &str) -> Cow<'a, str> {
    known().blot(text, mark)
}

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Known(Vec<SecretString>);

impl Known {
    fn remember(&mut self, secret: &SecretString) {
        let whole = secret.expose_secret();
        let password = whole.split_once(':').map(|(_, password)| password);
        // The pair before its password: what would be left of it tells the user.
        for part in [Some(whole), password].into_iter().flatten() {
            let is_new = self.0.iter().all(|old| old.expose_secret() != part);
            if part.len() >= SHORTEST && is_new {
                self.0.push(part.into());
            }
        }
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    fn blot<'a>(&self, text: &'a str, mark: &str) -> Cow<'a, str> {
        let mut clean = Cow::Borrowed(text);
        for secret in &self.0 {
            let secret = secret.expose_secret();
            if clean.contains(secret) {
                clean = Cow::Owned(clean.replace(secret, mark));
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_held_is_found_wherever_it_stands_and_a_short_one_is_no_secret() {
        let mut known = Known(Vec::new());
        known.remember(&"me:pl4in-w0rd".into());
        known.remember(&"ab1".into());
        assert_eq!(known.blot("me:pl4in-w0rd", "*"), "*");
        assert_eq!(
            known.blot("it was <pl4in-w0rd>, ab1", "*"),
            "it was <*>, ab1"
        );
        assert!(matches!(known.blot("nothing", "*"), Cow::Borrowed(_)));
        assert!(!format!("{known:?}").contains("pl4in"));
    }

    #[test]
    fn what_is_held_does_not_grow_for_ever() {
        let mut known = Known(Vec::new());
        for count in 0..1000 {
            known.remember(&format!("secret number {count}").into());
        }
        assert_eq!(known.0.len(), MOST);
        assert_eq!(known.blot("secret number 999", "*"), "*");
    }
}
