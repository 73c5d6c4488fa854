//! The chain of lines: each ends with a digest of itself and of the digest before it, so that the
//! last one, the head, stands for all. Pure.
//!
//! ```text
//! {"seq":1,…,"chain":"<64 hexadecimal digits>"}
//! ```
//!
//! The digest is SHA-256 over the digest of the line before, as these 64 characters (64 zeros before
//! the first line), and then the bytes of the line up to `,"chain":`. It needs no key: it shows
//! damage and careless changes. Against somebody who writes all lines anew there must be a head that
//! is kept or signed elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const DIGITS: &[u8; 16] = b"0123456789abcdef";
const BEFORE: &[u8] = b",\"chain\":\"";
const AFTER: &[u8] = b"\"}";

/// A digest of SHA-256 as 64 hexadecimal digits in small letters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 64]);

impl Digest {
    /// What stands before the first line.
    pub const NONE: Self = Self([b'0'; 64]);

    /// The digest of a line, without its own part of the chain, that comes after `self`.
    pub fn then(&self, body: &[u8]) -> Self {
        let sum = Sha256::new()
            .chain_update(self.0)
            .chain_update(body)
            .finalize();
        let mut digits = [0; 64];
        for (two, byte) in digits.chunks_exact_mut(2).zip(sum) {
            two[0] = DIGITS[usize::from(byte >> 4)];
            two[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(digits)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is made of ASCII digits and letters alone")
    }

    /// Only what [`Digest::then`] could have given: capital letters are another text.
    fn from_digits(digits: &[u8]) -> Option<Self> {
        let digits: [u8; 64] = digits.try_into().ok()?;
        let is_digit = |byte: &u8| DIGITS.contains(byte);
        digits.iter().all(is_digit).then_some(Self(digits))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    /// As somebody noted it: spaces around it and capital letters are forgiven.
    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let text = text.trim().to_ascii_lowercase();
        Self::from_digits(text.as_bytes()).ok_or(NoDigest)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_digits(text.as_bytes()).ok_or_else(|| serde::de::Error::custom(NoDigest))
    }
}

/// Makes a line of the chain of `object`, a JSON object with at least one field, and gives the new
/// head. The line ends with a line break.
pub fn seal(mut object: Vec<u8>, before: &Digest) -> (Vec<u8>, Digest) {
    debug_assert!(object.ends_with(b"}") && object.len() > 2);
    object.pop();
    let head = before.then(&object);
    object.extend_from_slice(BEFORE);
    object.extend_from_slice(&head.0);
    object.extend_from_slice(AFTER);
    object.push(b'\n');
    (object, head)
}

/// The body of a line, without its line break, and the digest that it ends with; none where it ends
/// otherwise.
pub fn split(line: &[u8]) -> Option<(&[u8], Digest)> {
    let rest = line.strip_suffix(AFTER)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    Some((rest.strip_suffix(BEFORE)?, Digest::from_digits(digits)?))
}

/// Follows a chain line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    head: Digest,
    lines: usize,
    broken: Option<usize>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            head: Digest::NONE,
            lines: 0,
            broken: None,
        }
    }
}

impl Chain {
    /// Takes the next line, without its line break; says whether it follows from the one before.
    /// After a line that does not, what is told of later ones is by the digest that it claims.
    pub fn line(&mut self, line: &[u8]) -> bool {
        self.lines += 1;
        let follows = match split(line) {
            Some((body, claimed)) => {
                let follows = self.head.then(body) == claimed;
                self.head = claimed;
                follows
            }
            None => false,
        };
        if !follows {
            self.broken.get_or_insert(self.lines);
        }
        follows
    }

    /// The digest that the last line ends with.
    pub fn head(&self) -> Digest {
        self.head
    }

    /// Lines so far.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// The first line, counted from 1, that does not follow from the one before.
    pub fn broken(&self) -> Option<usize> {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let mut head = Digest::NONE;
        let mut file = Vec::new();
        for number in 0..3 {
            let (line, next) = seal(format!("{{\"n\":{number}}}").into_bytes(), &head);
            file.extend(line);
            head = next;
        }
        file
    }

    fn broken(file: &[u8]) -> Option<usize> {
        let mut chain = Chain::default();
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => drop(chain.line(line)),
                None => return Some(chain.lines() + 1),
            }
        }
        chain.broken()
    }

    #[test]
    fn a_line_is_json_and_ends_with_the_digest_that_sha256sum_gives() {
        let (line, head) = seal(b"{\"n\":0}".to_vec(), &Digest::NONE);
        // printf '%064d{"n":0' 0 | sha256sum
        let expected = "19280594e4786a17092a36e9733bf1de8eabf6c711e926ba9f0788b1b24ffbad";
        assert_eq!(head.as_str(), expected);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["chain"], expected);
    }

    #[test]
    fn every_flipped_bit_of_a_file_breaks_the_chain_where_it_is() {
        let file = three();
        assert_eq!(broken(&file), None);
        let line_of = |at: usize| 1 + file[..at].iter().filter(|byte| **byte == b'\n').count();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(broken(&changed), Some(line_of(at)), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn lines_that_are_missing_doubled_or_moved_break_the_chain() {
        let file = three();
        let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
        for (order, at) in [
            (&[0, 2][..], 2),
            (&[1, 2], 1),
            (&[0, 2, 1], 2),
            (&[0, 1, 1, 2], 3),
        ] {
            let changed: Vec<u8> = order.iter().flat_map(|nth| lines[*nth].to_vec()).collect();
            assert_eq!(broken(&changed), Some(at), "{order:?}");
        }
    }

    #[test]
    fn a_digest_is_read_as_somebody_noted_it() {
        let digest = Digest::NONE.then(b"x");
        let noted = format!(" {}\n", digest.as_str().to_uppercase());
        assert_eq!(noted.parse(), Ok(digest));
        assert_eq!("abc".parse::<Digest>(), Err(NoDigest));
    }
}
