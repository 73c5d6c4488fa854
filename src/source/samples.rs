//! The recorded answers of the providers, for their tests: each case of an `index.json` is read by a
//! test of its own, and whatever is done to a body, what comes of it can be used or is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use proptest::prelude::*;
use serde::Deserialize;

use crate::caller::wire::{Answer, Provider, Said};
use crate::forecast::Series;

/// The cases of one provider.
#[derive(Debug, Deserialize)]
pub(super) struct Samples {
    cases: Vec<Case>,
    #[serde(skip)]
    folder: PathBuf,
}

/// One recorded answer.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    case: String,
    file: String,
    status: u16,
    headers: BTreeMap<String, String>,
    #[serde(skip)]
    body: Vec<u8>,
}

impl Samples {
    /// Those in `tests/fixtures/providers/FOLDER`.
    pub(super) fn of(folder: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/providers")
            .join(folder);
        let index = std::fs::read(folder.join("index.json")).unwrap();
        let mut samples: Self = serde_json::from_slice(&index).unwrap();
        for case in &mut samples.cases {
            case.body = std::fs::read(folder.join(&case.file)).unwrap();
        }
        samples.folder = folder;
        samples
    }

    /// The case of that name.
    pub(super) fn case(&self, name: &str) -> &Case {
        (self.cases.iter().find(|case| case.case == name))
            .unwrap_or_else(|| panic!("no case `{name}` in {}", self.folder.display()))
    }

    /// Fails unless the tests in `source`, a file's text, are named after all the cases there are.
    pub(super) fn assert_each_has_a_test_in(&self, source: &str) {
        for case in &self.cases {
            let name = case.case.replace('-', "_");
            let test = format!("#[test]\nfn {name}()");
            assert!(source.contains(&test), "no test `{name}`");
        }
    }

    /// Bodies that were damaged: cut, with bytes changed, with numbers that are absurd; or anything.
    pub(super) fn damaged(&self) -> impl Strategy<Value = Vec<u8>> + use<> {
        let bodies: Vec<Vec<u8>> = self.cases.iter().map(|case| case.body.clone()).collect();
        let body = proptest::sample::select(bodies);
        let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        let numbers = proptest::collection::vec((any::<prop::sample::Index>(), absurd()), 0..4);
        let cut = proptest::option::weighted(0.2, any::<prop::sample::Index>());
        prop_oneof![
            9 => (body, flips, numbers, cut).prop_map(|(mut body, flips, numbers, cut)| {
                for (at, number) in numbers {
                    replace_number(&mut body, at, number);
                }
                for (at, byte) in flips {
                    if !body.is_empty() {
                        let at = at.index(body.len());
                        body[at] = byte;
                    }
                }
                if let Some(cut) = cut {
                    body.truncate(cut.index(body.len() + 1));
                }
                body
            }),
            1 => proptest::collection::vec(any::<u8>(), 0..400),
        ]
    }
}

impl Case {
    /// The answer, arrived at `at`.
    pub(super) fn answer(&self, at: &str) -> Answer<'_> {
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        Answer {
            status: self.status,
            content_type: header("Content-Type"),
            retry_after: header("Retry-After"),
            body: &self.body,
            at: at.parse().unwrap(),
        }
    }
}

fn absurd() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "-1",
        "0",
        "1e300",
        "1e400",
        "-9223372036854775808",
        "18446744073709551615",
        "253402300799",
        "null",
        "\"7\"",
        "\"NaN\"",
        "[[]]",
        "{\"a\":1}",
    ])
}

/// Puts `number` in the place of one of the runs of digits.
fn replace_number(body: &mut Vec<u8>, at: prop::sample::Index, number: &str) {
    let starts: Vec<usize> = (0..body.len())
        .filter(|i| body[*i].is_ascii_digit() && (*i == 0 || !body[i - 1].is_ascii_digit()))
        .collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[at.index(starts.len())];
    let length = (body[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit()))
    .count();
    body.splice(start..start + length, number.bytes());
}

/// Fails if what was read of a body could not be used as it is.
pub(super) fn assert_usable(said: &Said) {
    let observed = Series::new(said.observations.clone());
    assert_eq!(observed.points(), said.observations, "observations");
    for note in &said.notes {
        assert!(note.chars().count() < 200, "{note}");
        assert!(!note.contains(char::is_control), "{note}");
    }
    let issued = said.issue.iter().flat_map(|issue| issue.series.points());
    for point in said.observations.iter().chain(issued) {
        assert!((0.0..=Series::GREATEST.0).contains(&point.intensity.0));
        assert!(point.span.start < point.span.end);
    }
}

/// Fails if a provider breaks on `body` as an answer to anything that it asks.
pub(super) fn assert_withstood(provider: &dyn Provider, place: &str, at: Timestamp, body: &[u8]) {
    for ask in provider.asks(place, at) {
        for status in [200, 400, 401, 403, 404, 500] {
            let answer = Answer {
                status,
                content_type: None,
                retry_after: None,
                body,
                at,
            };
            match provider.read(&ask, place, &answer) {
                Ok(said) => assert_usable(&said),
                Err(refused) => {
                    let told = refused.to_string();
                    assert!(!told.contains(char::is_control), "{told}");
                    assert!(told.chars().count() < 200, "{told}");
                }
            }
        }
    }
}
