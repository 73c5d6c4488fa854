//! One line of a ledger to and from an entry. Pure.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::entry::{Entry, Segment, What};
use super::possible::impossible;

/// The entry as a JSON object, and as it reads back from it. One that would not read back (a number
/// that is none becomes `null`) is replaced by a warning: it must not make all others unreadable.
pub(super) fn write(entry: &Entry) -> (Vec<u8>, Entry) {
    let object = serde_json::to_vec(entry);
    let why = match object.and_then(|object| Ok((read(&object)?, object))) {
        Ok((back, object)) => return (object, back),
        Err(error) => error.to_string(),
    };
    let instead = Entry {
        seq: entry.seq,
        at: entry.at,
        elapsed_s: if entry.elapsed_s.is_finite() {
            entry.elapsed_s
        } else {
            0.0
        },
        what: What::Warning {
            text: format!("an entry could not be recorded: {why}"),
        },
    };
    let object = serde_json::to_vec(&instead).expect("a warning is text and finite numbers");
    (object, instead)
}

/// What every entry has.
#[derive(Deserialize)]
struct Header<'a> {
    seq: u64,
    at: Timestamp,
    elapsed_s: f64,
    #[serde(borrow)]
    entry: Cow<'a, str>,
}

/// The entry on a line, which may have more fields than it needs.
pub(super) fn read(line: &[u8]) -> serde_json::Result<Entry> {
    let entry = parse(line)?;
    match impossible(&entry) {
        None => Ok(entry),
        Some(why) => Err(serde::de::Error::custom(why)),
    }
}

fn parse(line: &[u8]) -> serde_json::Result<Entry> {
    // A tag inside of the object makes serde keep the whole object before it can go on. Nearly all
    // lines of a long record are segments: these are read twice without keeping anything, which
    // takes half the time.
    let header: Header<'_> = serde_json::from_slice(line)?;
    if header.entry != "segment" {
        return serde_json::from_slice(line);
    }
    let mut segment: Segment = serde_json::from_slice(line)?;
    // Tens of thousands of them are kept, and room for more readings would be kept with each.
    segment.energy.shrink_to_fit();
    Ok(Entry {
        seq: header.seq,
        at: header.at,
        elapsed_s: header.elapsed_s,
        what: What::Segment(segment),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_the_same_as_by_its_type() {
        for fixture in [
            include_str!("../../tests/fixtures/ledger_v1.jsonl"),
            include_str!("../../tests/fixtures/ledger_v2.jsonl"),
        ] {
            for line in fixture.lines() {
                let plain: Entry = serde_json::from_str(line).unwrap();
                assert_eq!(read(line.as_bytes()).unwrap(), plain);
            }
        }
    }

    #[test]
    fn a_number_that_is_none_does_not_make_the_rest_unreadable() {
        let entry = Entry {
            seq: 3,
            at: Timestamp::UNIX_EPOCH,
            elapsed_s: f64::NAN,
            what: What::Unknown,
        };
        let (object, back) = write(&entry);
        assert_eq!(read(&object).unwrap(), back);
        assert_eq!(back.seq, 3);
        assert!(
            matches!(&back.what, What::Warning { text } if text.contains("could not be recorded"))
        );
    }
}
