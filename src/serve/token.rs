//! Who may see more than that a run is well: whoever has its token.
//!
//! It is made at the start of a run and lies beside the control socket, for this user alone, as long as
//! the run lasts; or it is read from a file of the user's, where one token is to fit all runs.

use std::io;
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use crate::dirs;
use crate::words::hex;

/// Characters of a token of the user's: shorter ones are guessed.
const SHORTEST: usize = 16;
/// Bytes of a file that holds one.
const LARGEST: u64 = 4096;

/// A token.
#[derive(Debug)]
pub struct Token {
    secret: SecretString,
    /// To compare in a time that tells nothing.
    key: hmac::Key,
}

impl Token {
    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn make() -> io::Result<Self> {
        let mut bits = [0; 32];
        let filled = SystemRandom::new().fill(&mut bits);
        filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
        Self::of(hex(&bits).into())
    }

    /// The one in a file of the user's, that nobody else may write.
    ///
    /// # Errors
    /// It cannot be read, is not the user's, or holds no token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = String::from_utf8(dirs::read(path, LARGEST)?);
        let text = text.map_err(|_| io::Error::other("it is no text"))?;
        let text = text.trim();
        let is_sign = |byte: u8| byte.is_ascii_graphic();
        if text.len() < SHORTEST || !text.bytes().all(is_sign) {
            let why = format!("a token has {SHORTEST} or more characters, and no spaces");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Self::of(text.into())
    }

    fn of(secret: SecretString) -> io::Result<Self> {
        let mut key = [0; 32];
        let filled = SystemRandom::new().fill(&mut key);
        filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
        Ok(Self {
            secret,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// The same once more, for whoever writes it.
    pub fn copy(&self) -> Self {
        Self {
            secret: self.secret.clone(),
            key: self.key.clone(),
        }
    }

    /// Writes it for this user alone.
    ///
    /// # Errors
    /// It cannot be written there.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let line = format!("{}\n", self.secret.expose_secret());
        dirs::write(path, line.as_bytes())
    }

    /// Whether this is it.
    pub fn is(&self, given: &[u8]) -> bool {
        let own = hmac::sign(&self.key, self.secret.expose_secret().as_bytes());
        hmac::verify(&self.key, given, own.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_for_its_user_alone_and_fits_only_itself() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("run/r7k2.token");
        let token = Token::make().unwrap();
        token.write(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.trim().len(), 64);
        assert!(token.is(text.trim().as_bytes()));
        assert!(Token::read(&path).unwrap().is(text.trim().as_bytes()));
        for other in ["", &text.trim()[1..], "x"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert!(!Token::make().unwrap().is(text.trim().as_bytes()));
        assert!(!format!("{token:?}").contains(text.trim()));
    }

    #[test]
    fn a_file_that_others_may_write_or_that_holds_little_is_no_token() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("token");
        fs::write(&path, "0123456789abcdef").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(Token::read(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Token::read(&path).is_ok());
        for text in ["", "short", "has a space in it, and is long"] {
            fs::write(&path, text).unwrap();
            assert!(Token::read(&path).is_err(), "{text}");
        }
    }
}
