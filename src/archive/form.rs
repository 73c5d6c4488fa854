//! The form of a file of the archive: JSON Lines, each line with its checksum before it.
//!
//! ```text
//! ["5e8c0f2a",{"schema":"catrain.archive/1","source":"neso","place":"GB","basis":{…}}]
//! ["91d3aa07",{"observed":{"from_s":1764061200,"step_s":1800,"g_per_kwh":[312.1,null,301.0]}}]
//! ["0b7741ce",{"issued":{"at_s":1764061260,"from_s":1764061200,"g_per_kwh":[310.5,298.25]}}]
//! ```
//!
//! Times are seconds since 1970. A line that cannot be what was written, or says what cannot be, is
//! refused alone. Later lines overrule earlier ones.

use std::io::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Of;
use super::held::{Held, MOST_VALUES, Said, Value, is_sayable, is_usable};

const SCHEMA: &str = "catrain.archive/1";
/// A longer line is none of ours: the longest that is written has 32 days of hours.
const LONGEST_LINE: usize = 32 << 10;
/// Values of a run; and holes in it, before a new one is shorter.
const LONGEST_RUN: usize = 512;
const MOST_HOLES: i64 = 8;

#[derive(Serialize, Deserialize)]
struct Header {
    schema: String,
    #[serde(flatten)]
    of: Of,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Observed(Run),
    Issued(Issued),
}

/// Observations in equal steps.
#[derive(Serialize, Deserialize)]
struct Run {
    from_s: i64,
    step_s: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    g_per_kwh: Vec<Option<f64>>,
}

/// An issue, by the hour.
#[derive(Serialize, Deserialize)]
struct Issued {
    at_s: i64,
    from_s: i64,
    g_per_kwh: Vec<Option<f64>>,
}

/// What stands in a file.
#[derive(Debug)]
pub(super) enum Found {
    /// It is of this form.
    Ours {
        held: Held,
        /// Bytes up to the end of the last whole line: what comes after was cut off.
        whole: usize,
        /// Lines that were refused.
        damaged: usize,
        /// Values in all lines, those that later ones overruled included.
        values: usize,
    },
    /// Another version wrote it, or it is of something else.
    Anothers,
}

/// Reads a file, what is too old in it included; an empty one is ours.
pub(super) fn read(bytes: &[u8], of: &Of) -> Found {
    let whole = (bytes.iter().rposition(|byte| *byte == b'\n')).map_or(0, |last| last + 1);
    let mut held = Held::default();
    let (mut damaged, mut values) = (0, 0);
    for (index, line) in bytes[..whole]
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
    {
        let json = verified(line);
        if index > 0 {
            match json.and_then(|json| take_in(json, &mut held)) {
                Some(taken) => values += taken,
                None => damaged += 1,
            }
        } else if let Some(json) = json {
            let header = serde_json::from_slice(json).ok();
            if !header.is_some_and(|header: Header| header.schema == SCHEMA && header.of == *of) {
                return Found::Anothers;
            }
        } else {
            damaged += 1;
        }
    }
    Found::Ours {
        held,
        whole,
        damaged,
        values,
    }
}

/// Takes in a line and says how many values it has; `None` where it says what cannot be.
fn take_in(json: &[u8], held: &mut Held) -> Option<usize> {
    let taken = match serde_json::from_slice(json).ok()? {
        Line::Observed(run) => {
            let mut values = Vec::with_capacity(run.g_per_kwh.len());
            for (index, g_per_kwh) in run.g_per_kwh.into_iter().enumerate() {
                let Some(g_per_kwh) = g_per_kwh else { continue };
                let start = (run.step_s.checked_mul(index as i64)?).checked_add(run.from_s)?;
                let value = Value {
                    end: start.checked_add(run.step_s)?,
                    g_per_kwh,
                    is_estimated: run.estimated,
                };
                values
                    .push(Some((start, value)).filter(|(start, value)| is_usable(*start, value))?);
            }
            if held.values().len() + values.len() > 2 * MOST_VALUES {
                return None;
            }
            let taken = values.len();
            for (start, value) in values {
                held.observe(start, value);
            }
            taken
        }
        Line::Issued(issued) => {
            let said = Said {
                from: issued.from_s,
                values: issued.g_per_kwh,
            };
            let taken = said.values.len();
            is_sayable(issued.at_s, &said).then(|| held.issue(issued.at_s, said))?;
            taken
        }
    };
    Some(taken)
}

/// A file of its own.
pub(super) fn whole(held: &Held, of: &Of) -> Vec<u8> {
    let header = Header {
        schema: SCHEMA.to_owned(),
        of: of.clone(),
    };
    let mut bytes = line(&header);
    bytes.extend(lines(held));
    bytes
}

/// The lines that say what is held.
pub(super) fn lines(held: &Held) -> Vec<u8> {
    let observed = runs(held).into_iter().map(Line::Observed);
    let issued = held.issues().iter().map(|(made, said)| {
        Line::Issued(Issued {
            at_s: *made,
            from_s: said.from,
            g_per_kwh: said.values.clone(),
        })
    });
    observed.chain(issued).flat_map(|of| line(&of)).collect()
}

/// The observations in as few runs as equal steps allow.
fn runs(held: &Held) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (start, value) in held.values() {
        let step = value.end - start;
        let last = runs.last_mut().and_then(|run| {
            let length = run.g_per_kwh.len();
            let since = start - run.from_s - length as i64 * run.step_s;
            let is_like = run.step_s == step && run.estimated == value.is_estimated;
            let fits = since % step == 0 && (0..=MOST_HOLES * step).contains(&since);
            let holes = (since / step) as usize;
            (is_like && fits && length + holes < LONGEST_RUN).then_some((run, holes))
        });
        match last {
            Some((run, holes)) => {
                run.g_per_kwh.extend(std::iter::repeat_n(None, holes));
                run.g_per_kwh.push(Some(value.g_per_kwh));
            }
            None => runs.push(Run {
                from_s: *start,
                step_s: step,
                estimated: value.is_estimated,
                g_per_kwh: vec![Some(value.g_per_kwh)],
            }),
        }
    }
    runs
}

/// A line with its checksum.
pub(super) fn line(what: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(what).expect("numbers and strings can be written");
    let mut line = Vec::with_capacity(json.len() + 16);
    write!(line, r#"["{}","#, checksum(&json)).expect("memory can be written");
    line.extend(json);
    line.extend(b"]\n");
    line
}

/// The JSON in a line, if the line is as it was written.
pub(super) fn verified(line: &[u8]) -> Option<&[u8]> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    let rest = line.strip_prefix(br#"[""#)?.strip_suffix(b"]\n")?;
    let (sum, rest) = rest.split_at_checked(8)?;
    let json = rest.strip_prefix(br#"","#)?;
    (checksum(json).as_bytes() == sum).then_some(json)
}

/// 32 bits of SHA-256: enough to notice what a disk or an editor did.
fn checksum(json: &[u8]) -> String {
    let digest = Sha256::digest(json);
    format!(
        "{:08x}",
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forecast::Basis;

    const START: i64 = 1_782_691_200;

    fn of() -> Of {
        Of {
            source: "neso".to_owned(),
            place: "GB".to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
        }
    }

    fn value(end: i64, g_per_kwh: f64, is_estimated: bool) -> Value {
        Value {
            end,
            g_per_kwh,
            is_estimated,
        }
    }

    fn held(said: impl IntoIterator<Item = (i64, Value)>) -> Held {
        let mut held = Held::default();
        for (start, value) in said {
            held.observe(start, value);
        }
        held
    }

    fn small() -> Held {
        let mut small = held([
            (START, value(START + 1800, 312.1, false)),
            (START + 3600, value(START + 5400, 301.0, false)),
            (START + 5400, value(START + 7200, 300.125, true)),
        ]);
        let said = Said {
            from: START,
            values: vec![Some(310.5), None, Some(298.25)],
        };
        small.issue(START + 60, said);
        small
    }

    #[track_caller]
    fn ours(bytes: &[u8]) -> (Held, usize, usize) {
        match read(bytes, &of()) {
            Found::Ours {
                held,
                whole,
                damaged,
                ..
            } => (held, whole, damaged),
            Found::Anothers => panic!("taken for another's"),
        }
    }

    #[test]
    fn a_file_reads_as_it_was_written() {
        let bytes = whole(&small(), &of());
        insta::assert_snapshot!(String::from_utf8_lossy(&bytes), @r#"
        ["076a3f4d",{"schema":"catrain.archive/1","source":"neso","place":"GB","basis":{"signal":"average","scope":"lifecycle"}}]
        ["eeddfb37",{"observed":{"from_s":1782691200,"step_s":1800,"g_per_kwh":[312.1,null,301.0]}}]
        ["1610fb13",{"observed":{"from_s":1782696600,"step_s":1800,"estimated":true,"g_per_kwh":[300.125]}}]
        ["eed14329",{"issued":{"at_s":1782691260,"from_s":1782691200,"g_per_kwh":[310.5,null,298.25]}}]
        "#);
        assert_eq!(ours(&bytes), (small(), bytes.len(), 0));
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            assert!(serde_json::from_slice::<serde_json::Value>(line).is_ok());
        }
    }

    #[test]
    fn cut_at_any_byte_the_whole_lines_before_it_are_read() {
        let bytes = whole(&small(), &of());
        for cut in 0..bytes.len() {
            let (found, whole, damaged) = ours(&bytes[..cut]);
            assert_eq!(damaged, 0, "cut at {cut}");
            assert!(whole <= cut && bytes[..whole].last().is_none_or(|byte| *byte == b'\n'));
            let lines = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            let known = found.values().len() + found.issues().len();
            assert_eq!(known, [0, 0, 2, 3, 4][lines], "cut at {cut}");
        }
    }

    #[test]
    fn a_byte_that_flipped_anywhere_is_noticed_and_costs_its_line_alone() {
        let bytes = whole(&small(), &of());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let (found, whole, damaged) = ours(&flipped);
                assert!(damaged > 0 || whole < flipped.len(), "byte {at}, bit {bit}");
                let left = found.values().len() + found.issues().len();
                // Two lines are one without the end of the first.
                assert!((1..=4).contains(&left), "byte {at}, bit {bit}");
                for (start, value) in found.values() {
                    assert_eq!(small().values().get(start), Some(value));
                }
            }
        }
    }

    #[test]
    fn another_version_and_another_place_are_told_apart_from_damage() {
        let newer = serde_json::json!({"schema": "catrain.archive/2", "rows": []});
        let elsewhere = Of {
            place: "FR".to_owned(),
            ..of()
        };
        for bytes in [line(&newer), whole(&small(), &elsewhere)] {
            assert!(matches!(read(&bytes, &of()), Found::Anothers));
        }
        assert_eq!(ours(b"no header\n").2, 1);
    }

    #[test]
    fn what_cannot_be_is_refused_line_by_line() {
        let run = |from_s: i64, step_s: i64, g_per_kwh: Vec<Option<f64>>| {
            line(&Line::Observed(Run {
                from_s,
                step_s,
                estimated: false,
                g_per_kwh,
            }))
        };
        let issued = |at_s: i64, from_s: i64, hours: usize| {
            line(&Line::Issued(Issued {
                at_s,
                from_s,
                g_per_kwh: vec![Some(1.0); hours],
            }))
        };
        let hostile = [
            run(START, 0, vec![Some(1.0); 3]),
            run(START, -1800, vec![Some(1.0); 3]),
            run(START, i64::MAX, vec![Some(1.0); 3]),
            run(i64::MAX, 1800, vec![Some(1.0); 3]),
            run(i64::MIN, 1800, vec![Some(1.0); 3]),
            run(START, 1800, vec![Some(1e300)]),
            run(START, 1800, vec![Some(-1.0)]),
            run(START, 1800, vec![None; 1 << 20]),
            issued(START, START + 1, 3),
            issued(START, START, 33 * 24),
            issued(i64::MIN, START, 3),
            issued(START, i64::MAX / 3600 * 3600, 3),
        ];
        let good = run(START, 1800, vec![Some(1.0)]);
        let mut bytes = whole(&Held::default(), &of());
        for line in &hostile {
            bytes.extend(line);
        }
        bytes.extend(&good);
        let (found, _, damaged) = ours(&bytes);
        assert_eq!(damaged, hostile.len());
        assert_eq!((found.values().len(), found.issues().len()), (1, 0));
    }

    proptest! {
        #[test]
        fn whatever_is_held_comes_back(
            said in proptest::collection::vec((0..2000i64, 1..1440i64, 0..1_000_000i64, any::<bool>()), 0..60),
            issues in proptest::collection::vec((0..90i64, 0..24i64, proptest::collection::vec(proptest::option::of(0.0..1e5f64), 1..100)), 0..5),
        ) {
            let mut held = held(said.into_iter().map(|(from, length, milligrams, is_estimated)| {
                let start = START + 60 * from;
                (start, value(start + 60 * length, milligrams as f64 / 1000.0, is_estimated))
            }));
            for (day, hour, values) in issues {
                held.issue(START + day * 86_400, Said { from: START + day * 86_400 + hour * 3600, values });
            }
            held.tidy(i64::MAX);
            let bytes = whole(&held, &of());
            prop_assert_eq!(ours(&bytes).0, held);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut file = whole(&Held::default(), &of());
            file.extend(bytes);
            let (found, _, _) = ours(&file);
            prop_assert!(found.is_empty());
        }
    }
}
