//! Signatures under heads, by an Ed25519 key of the user's: what shows that a record was not written
//! anew by somebody who could write the file but not read the key.
//!
//! The key is PEM of PKCS#8, as `openssl genpkey -algorithm ed25519` makes it, and the public key that
//! of `openssl pkey -pubout`. Signed is a text of four lines, so that openssl can check it as well:
//!
//! ```text
//! printf 'catrain.head/1\n%s\n%s\n%s\n' RUN LINES HEAD > message
//! printf %s SIGNATURE | xxd -r -p > signature
//! openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in message -sigfile signature
//! ```

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use super::heads::Head;
use crate::words::hex;

/// No key in PEM is longer.
const LARGEST: u64 = 16 << 10;
/// What stands before the 32 bytes of a public key in its DER: RFC 8410, section 4.
const PUBLIC_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why a key cannot be used; says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyTrouble {
    /// It cannot be read.
    #[error("cannot read the key {path}: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Others than its owner may read it.
    #[error("others may read the signing key {path}: chmod 600 it, or make a new one")]
    Exposed {
        /// Which file.
        path: PathBuf,
    },
    /// It is no key, or one of another kind.
    #[error(
        "{path} is no Ed25519 {what} in PEM; `openssl {command}` makes one",
        command = if *.is_public { "pkey -in KEY -pubout" } else { "genpkey -algorithm ed25519" },
        what = if *.is_public { "public key" } else { "private key" },
    )]
    NoKey {
        /// Which file.
        path: PathBuf,
        /// Whether it was to be a public one.
        is_public: bool,
    },
}

/// A key to sign with.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", hex(self.0.public_key().as_ref()))
    }
}

impl Signer {
    /// The key in a file.
    ///
    /// # Errors
    /// It cannot be read, somebody else owns it or may read it, or it is no such key. May block for
    /// as long as the disk does.
    pub fn load(path: &Path) -> Result<Self, KeyTrouble> {
        let pem = read(path, true)?;
        let no_key = || KeyTrouble::NoKey {
            path: path.to_owned(),
            is_public: false,
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
        // openssl writes no public key beside the private one, so that there is nothing to compare.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|_| no_key())
    }

    /// The head with this key and its signature.
    pub fn sign(&self, head: Head) -> Head {
        let signature = self.0.sign(head.message().as_bytes());
        Head {
            key: Some(hex(self.0.public_key().as_ref())),
            signature: Some(hex(signature.as_ref())),
            ..head
        }
    }
}

/// A key to check signatures by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The public key in a file.
    ///
    /// # Errors
    /// It cannot be read, or is no such key.
    pub fn load(path: &Path) -> Result<Self, KeyTrouble> {
        let pem = read(path, false)?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem).ok();
        let bytes = der.and_then(|der| der.strip_prefix(PUBLIC_PREFIX)?.try_into().ok());
        bytes.map(Self).ok_or_else(|| KeyTrouble::NoKey {
            path: path.to_owned(),
            is_public: true,
        })
    }

    /// As it stands beside a signature.
    pub fn from_hex(text: &str) -> Option<Self> {
        Some(Self(unhex(text)?.try_into().ok()?))
    }

    /// Whether `head` bears a signature by this key; none where it bears none at all.
    pub fn has_signed(&self, head: &Head) -> Option<bool> {
        let signature = head.signature.as_deref()?;
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        let is_good = unhex(signature)
            .is_some_and(|signature| key.verify(head.message().as_bytes(), &signature).is_ok());
        Some(is_good)
    }
}

/// Links are followed, since mounted secrets are made of them; who owns the file in the end counts.
fn read(path: &Path, is_secret: bool) -> Result<Zeroizing<Vec<u8>>, KeyTrouble> {
    let unreadable = |why: String| KeyTrouble::Unreadable {
        path: path.to_owned(),
        why,
    };
    let io = |error: io::Error| unreadable(error.to_string());
    // Without NONBLOCK a pipe in its place would be waited for.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(io)?;
    let facts = file.metadata().map_err(io)?;
    if !facts.is_file() {
        return Err(unreadable("it is no file".to_owned()));
    }
    let owner = Uid::from_raw(facts.uid());
    if is_secret && owner != Uid::effective() && !owner.is_root() {
        return Err(unreadable("it belongs to somebody else".to_owned()));
    }
    if is_secret && facts.mode() & 0o077 != 0 {
        return Err(KeyTrouble::Exposed {
            path: path.to_owned(),
        });
    }
    // All at once: growing would leave copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST as usize + 1));
    file.take(LARGEST).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    is_hex
        .then(|| (0..text.len()).step_by(2).map(byte).collect())
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::ledger::chain::Digest;

    /// RFC 8410, section 10.3, and its public key of section 10.1.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";

    fn file(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn head() -> Head {
        Head {
            at: "2026-11-25T06:27:00Z".parse().unwrap(),
            run: "r7k2".to_owned(),
            host: "node1".to_owned(),
            lines: 20,
            head: Digest::NONE.then(b"x"),
            key: None,
            signature: None,
        }
    }

    #[test]
    fn a_signature_holds_for_its_head_and_key_alone() {
        let here = tempfile::tempdir().unwrap();
        let signer = Signer::load(&file(here.path(), "key", PRIVATE, 0o600)).unwrap();
        let public = PublicKey::load(&file(here.path(), "pub", PUBLIC, 0o644)).unwrap();
        let signed = signer.sign(head());
        assert_eq!(
            PublicKey::from_hex(signed.key.as_deref().unwrap()),
            Some(public.clone())
        );
        assert_eq!(public.has_signed(&signed), Some(true));
        assert_eq!(public.has_signed(&head()), None);
        for other in [
            Head {
                lines: 21,
                ..signed.clone()
            },
            Head {
                run: "m3q9".to_owned(),
                ..signed.clone()
            },
            Head {
                head: Digest::NONE,
                ..signed.clone()
            },
            Head {
                signature: Some("00".repeat(64)),
                ..signed.clone()
            },
            Head {
                signature: Some("no hex".to_owned()),
                ..signed.clone()
            },
        ] {
            assert_eq!(public.has_signed(&other), Some(false), "{other:?}");
        }
        let stranger = PublicKey([7; 32]);
        assert_eq!(stranger.has_signed(&signed), Some(false));
    }

    #[test]
    fn openssl_agrees_where_it_is_installed() {
        let here = tempfile::tempdir().unwrap();
        let path = |name: &str| here.path().join(name);
        let openssl = |args: &[&str]| {
            Command::new("openssl")
                .args(args)
                .current_dir(here.path())
                .output()
        };
        let made = openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"]);
        if !made.is_ok_and(|made| made.status.success()) {
            return;
        }
        std::fs::set_permissions(path("key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let made = openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
        assert!(made.unwrap().status.success());

        let signed = Signer::load(&path("key.pem")).unwrap().sign(head());
        assert_eq!(
            PublicKey::load(&path("public.pem"))
                .unwrap()
                .has_signed(&signed),
            Some(true)
        );
        std::fs::write(path("message"), signed.message()).unwrap();
        std::fs::write(
            path("signature"),
            unhex(signed.signature.as_deref().unwrap()).unwrap(),
        )
        .unwrap();
        let checked = openssl(&[
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "public.pem",
            "-rawin",
            "-in",
            "message",
            "-sigfile",
            "signature",
        ]);
        let checked = checked.unwrap();
        assert!(
            checked.status.success(),
            "{}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_what_to_do() {
        let here = tempfile::tempdir().unwrap();
        let path = file(here.path(), "key", PRIVATE, 0o640);
        let refused = Signer::load(&path).unwrap_err().to_string();
        assert!(
            refused.contains("others may read") && refused.contains("chmod 600"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_such_key_is_refused_with_what_makes_one() {
        let here = tempfile::tempdir().unwrap();
        for text in ["", "hello", PUBLIC] {
            let refused = Signer::load(&file(here.path(), "key", text, 0o600)).unwrap_err();
            assert!(
                refused.to_string().contains("genpkey -algorithm ed25519"),
                "{refused}"
            );
        }
        let refused = PublicKey::load(&file(here.path(), "pub", PRIVATE, 0o644)).unwrap_err();
        assert!(refused.to_string().contains("-pubout"), "{refused}");
        let missing = Signer::load(&here.path().join("none")).unwrap_err();
        assert!(
            missing.to_string().starts_with("cannot read the key"),
            "{missing}"
        );
    }
}
