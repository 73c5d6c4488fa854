//! How a key lies in its file: a line of JSON that says what it is, then the sealed text.
//!
//! XChaCha20-Poly1305 under a nonce that is drawn at random for each writing; 192 bits are enough
//! for that (draft-irtf-cfrg-xchacha-03, section 3.1). The line as it stands is the associated data:
//! nobody changes unnoticed whose key it is, which version, or how it is sealed, and one file cannot
//! stand in for another.

use argon2::{Algorithm, Argon2, Params};
use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The form of a file.
const SCHEMA: &str = "catrain.key/1";
/// Length of a sealing key.
pub(super) const LENGTH: usize = 32;
/// Argon2id with 19 MiB, two passes, one lane: the least that the OWASP Password Storage Cheat Sheet
/// recommends (<https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html>,
/// 2026-11-25). Files say what they were made with, so it can be raised.
const COSTS: Costs = Costs {
    memory_kib: 19 * 1024,
    passes: 2,
    lanes: 1,
};
/// A file may ask for this much and no more: it might not be from us.
const MOST: Costs = Costs {
    memory_kib: 256 * 1024,
    passes: 16,
    lanes: 4,
};

/// What seals and opens a file; forgotten when dropped.
pub(super) type SealingKey = Zeroizing<[u8; LENGTH]>;

/// What a file says of the key in it, for all to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    /// Whose key it is.
    pub(super) source: String,
    /// Counts the keys of this source, from 1.
    pub(super) version: u64,
    /// When it was set.
    pub(super) set_at: Timestamp,
    /// Whether the key before it is kept with it.
    pub(super) has_previous: bool,
    /// How it is sealed.
    pub(super) sealed: Sealed,
}

/// Where the sealing key comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(super) enum Sealed {
    /// A file beside it.
    KeyFile,
    /// Argon2id of a passphrase.
    Passphrase {
        #[serde(flatten)]
        costs: Costs,
        salt: [u8; 16],
    },
}

/// What it costs to try a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Costs {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema: String,
    #[serde(flatten)]
    about: About,
    /// Tells a wrong sealing key from a changed file.
    check: [u8; 8],
    nonce: [u8; 24],
}

/// Why a file does not give its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// It does not begin with a header.
    #[error("it is damaged: there is no header of ours in it")]
    NoHeader,
    /// It has another form.
    #[error("it has the form `{}`, and this catrain reads `{SCHEMA}`", .0.escape_debug())]
    OtherForm(String),
    /// It was put in the place of another.
    #[error("it is that of `{}`", .0.escape_debug())]
    OtherSource(String),
    /// What it asks for before it can be opened is beyond reason.
    #[error("opening it would cost {memory_kib} KiB and {passes} passes, more than any of ours")]
    TooCostly {
        /// Memory.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
    },
    /// It was sealed with another passphrase.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// It was sealed with another key file.
    #[error("it was sealed with another key file than the one beside it")]
    OtherKeyFile,
    /// The seal is broken.
    #[error("it was cut or changed after it was written")]
    Changed,
}

/// The system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// Bytes that nobody can guess.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    <[u8; N]>::try_generate().map_err(|_| NoRandomness)
}

impl Sealed {
    /// By a passphrase, with a salt of its own.
    pub(super) fn by_passphrase() -> Result<Self, NoRandomness> {
        Ok(Self::Passphrase {
            costs: COSTS,
            salt: random()?,
        })
    }
}

/// The sealing key that a passphrase gives.
pub(super) fn derive(
    passphrase: &SecretString,
    costs: Costs,
    salt: &[u8],
) -> Result<SealingKey, Broken> {
    let Costs {
        memory_kib,
        passes,
        lanes,
    } = costs;
    let is_too_costly = memory_kib > MOST.memory_kib || passes > MOST.passes || lanes > MOST.lanes;
    let too_costly = Broken::TooCostly { memory_kib, passes };
    if is_too_costly {
        return Err(too_costly);
    }
    // Whatever else Argon2 refuses was not written by us.
    let params =
        Params::new(memory_kib, passes, lanes, Some(LENGTH)).map_err(|_| Broken::NoHeader)?;
    let mut key = SealingKey::default();
    Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(passphrase.expose_secret().as_bytes(), salt, &mut *key)
        .map_err(|_| too_costly)?;
    Ok(key)
}

/// The bytes of a file.
pub(super) fn seal(about: &About, key: &SealingKey, text: &[u8]) -> Result<Vec<u8>, NoRandomness> {
    let header = Header {
        schema: SCHEMA.to_owned(),
        about: about.clone(),
        check: check(key),
        nonce: random()?,
    };
    let mut bytes = serde_json::to_vec(&header).expect("a header is made of text and numbers");
    bytes.push(b'\n');
    let payload = Payload {
        msg: text,
        aad: &bytes,
    };
    let sealed = cipher(key)
        .encrypt(&XNonce::from(header.nonce), payload)
        .expect("a key is far shorter than what the cipher can take");
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// A file's bytes, taken apart but not opened: until then, what it says of itself is hearsay.
pub(super) struct Closed<'a> {
    header: Header,
    line: &'a [u8],
    body: &'a [u8],
}

impl<'a> Closed<'a> {
    /// Takes the bytes of the file of `source` apart.
    pub(super) fn read(bytes: &'a [u8], source: &str) -> Result<Self, Broken> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, body) = bytes.split_at(end.ok_or(Broken::NoHeader)? + 1);
        #[derive(Deserialize)]
        struct Form {
            schema: String,
        }
        let form: Form = serde_json::from_slice(line).map_err(|_| Broken::NoHeader)?;
        if form.schema != SCHEMA {
            return Err(Broken::OtherForm(form.schema));
        }
        let header: Header = serde_json::from_slice(line).map_err(|_| Broken::NoHeader)?;
        match header.about.source == source {
            true => Ok(Self { header, line, body }),
            false => Err(Broken::OtherSource(header.about.source)),
        }
    }

    /// What the file says of itself.
    pub(super) fn about(&self) -> &About {
        &self.header.about
    }

    /// The text in it.
    pub(super) fn open(&self, key: &SealingKey) -> Result<Zeroizing<Vec<u8>>, Broken> {
        if self.header.check != check(key) {
            return Err(match self.header.about.sealed {
                Sealed::KeyFile => Broken::OtherKeyFile,
                Sealed::Passphrase { .. } => Broken::WrongPassphrase,
            });
        }
        let payload = Payload {
            msg: self.body,
            aad: self.line,
        };
        cipher(key)
            .decrypt(&XNonce::from(self.header.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Broken::Changed)
    }
}

fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&**key).into())
}

/// Says nothing of the sealing key that trying to open the file would not say as well.
fn check(key: &SealingKey) -> [u8; 8] {
    let digest = Sha256::new().chain_update(SCHEMA).chain_update(**key);
    let digest = digest.finalize();
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"hush-hush-hush";

    fn about(sealed: Sealed) -> About {
        About {
            source: "watttime".to_owned(),
            version: 3,
            set_at: "2026-11-25T10:00:00Z".parse().unwrap(),
            has_previous: false,
            sealed,
        }
    }

    fn key(byte: u8) -> SealingKey {
        Zeroizing::new([byte; LENGTH])
    }

    fn file() -> Vec<u8> {
        seal(&about(Sealed::KeyFile), &key(7), TEXT).unwrap()
    }

    fn open(bytes: &[u8], key: &SealingKey) -> Result<Vec<u8>, Broken> {
        Ok(Closed::read(bytes, "watttime")?.open(key)?.to_vec())
    }

    #[test]
    fn what_was_sealed_comes_back_and_cannot_be_read_without_the_key() {
        let bytes = file();
        assert_eq!(open(&bytes, &key(7)).unwrap(), TEXT);
        assert_eq!(open(&bytes, &key(8)), Err(Broken::OtherKeyFile));
        assert!(!bytes.windows(4).any(|part| part == b"hush"));
        let closed = Closed::read(&bytes, "watttime").unwrap();
        assert_eq!(*closed.about(), about(Sealed::KeyFile));
    }

    #[test]
    fn no_two_writings_are_alike() {
        assert_ne!(file(), file());
        assert_ne!(
            Sealed::by_passphrase().unwrap(),
            Sealed::by_passphrase().unwrap()
        );
    }

    #[test]
    fn a_file_cut_at_any_byte_gives_no_key() {
        let bytes = file();
        for cut in 0..bytes.len() {
            assert!(open(&bytes[..cut], &key(7)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_file_with_any_bit_changed_gives_no_key() {
        let bytes = file();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&changed, &key(7)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_file_says_whose_it_is_and_cannot_be_made_to_say_otherwise() {
        let bytes = file();
        let other = Closed::read(&bytes, "electricity-maps").err();
        assert_eq!(other, Some(Broken::OtherSource("watttime".to_owned())));
        let replace = |from: &str, to: &str| {
            let at = bytes
                .windows(from.len())
                .position(|part| part == from.as_bytes());
            let mut changed = bytes.clone();
            changed.splice(at.unwrap()..at.unwrap() + from.len(), to.bytes());
            changed
        };
        let renamed = replace("\"watttime\"", "\"electricity-maps\"");
        let closed = Closed::read(&renamed, "electricity-maps").unwrap();
        assert_eq!(closed.open(&key(7)).err(), Some(Broken::Changed));
        let older = replace("\"version\":3", "\"version\":4");
        assert_eq!(open(&older, &key(7)), Err(Broken::Changed));
        let newer = replace("catrain.key/1", "catrain.key/2");
        assert_eq!(
            open(&newer, &key(7)),
            Err(Broken::OtherForm("catrain.key/2".to_owned()))
        );
    }

    #[test]
    fn a_wrong_passphrase_is_told_from_a_changed_file() {
        let sealed = Sealed::by_passphrase().unwrap();
        let Sealed::Passphrase { costs, salt } = &sealed else {
            unreachable!()
        };
        let key = |passphrase: &str| derive(&passphrase.into(), *costs, salt).unwrap();
        let mut bytes = seal(&about(sealed.clone()), &key("right"), TEXT).unwrap();
        assert_eq!(open(&bytes, &key("right")).unwrap(), TEXT);
        assert_eq!(open(&bytes, &key("wrong")), Err(Broken::WrongPassphrase));
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(open(&bytes, &key("right")), Err(Broken::Changed));
    }

    #[test]
    fn a_hostile_file_cannot_ask_for_all_memory_or_time() {
        let ask = |memory_kib, passes, lanes| {
            let costs = Costs {
                memory_kib,
                passes,
                lanes,
            };
            derive(&"p".into(), costs, &[0; 16]).err()
        };
        for (memory_kib, passes, lanes) in [(u32::MAX, 1, 1), (64, u32::MAX, 1), (64, 1, 5)] {
            let refused = ask(memory_kib, passes, lanes);
            assert_eq!(refused, Some(Broken::TooCostly { memory_kib, passes }));
        }
        assert_eq!(ask(0, 0, 0), Some(Broken::NoHeader));
    }
}
