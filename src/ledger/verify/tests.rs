use super::*;
use crate::ledger::chain;

const V1: &str = include_str!("../../../tests/fixtures/ledger_v1.jsonl");
const V2: &str = include_str!("../../../tests/fixtures/ledger_v2.jsonl");
/// The lines of the fixture's end and of its settlement.
const END: usize = 22;
const ALL: usize = 23;

fn digest_of(line: usize) -> Digest {
    chain::split(V2.lines().nth(line - 1).unwrap().as_bytes())
        .unwrap()
        .1
}

fn recorded(lines: usize) -> Head {
    Head {
        at: "2026-11-25T06:27:00Z".parse().unwrap(),
        run: "r7k2".to_owned(),
        host: "node1".to_owned(),
        lines: lines as u64,
        head: digest_of(lines),
        key: None,
        signature: None,
    }
}

fn judged(text: &[u8], asked: Asked<'_>) -> Verification {
    let facts = Facts::of("x".as_ref(), text, asked.given).unwrap();
    facts.judge(asked, Some(false))
}

fn against(text: &[u8], head: Option<&Head>) -> Finding {
    let asked = Asked {
        recorded: head,
        ..Asked::default()
    };
    judged(text, asked).finding
}

/// Entries of the fixture, some changed, chained anew: what a forger would write.
fn forged(change: impl Fn(&mut Vec<Entry>)) -> Vec<u8> {
    let mut entries: Vec<Entry> = V2
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    change(&mut entries);
    let (mut text, mut head) = (Vec::new(), Digest::NONE);
    for (seq, entry) in entries.iter_mut().enumerate() {
        entry.seq = seq as u64;
        let (line, next) = chain::seal(serde_json::to_vec(entry).unwrap(), &head);
        text.extend(line);
        head = next;
    }
    text
}

fn changed_at(text: &[u8]) -> usize {
    match against(text, None) {
        Finding::Changed { line, .. } => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_record_is_complete_and_matches_its_recorded_head() {
    let text = V2.as_bytes();
    assert_eq!(against(text, None), Finding::Unrecorded);
    assert_eq!(against(text, Some(&recorded(ALL))), Finding::Complete);
    let asked = Asked {
        recorded: Some(&recorded(END)),
        ..Asked::default()
    };
    let verified = judged(text, asked);
    assert_eq!(
        (verified.finding.clone(), verified.unrecorded),
        (Finding::Complete, 1)
    );
    assert_eq!((verified.lines, verified.head), (ALL, Some(digest_of(ALL))));
    assert!(verified.is_good());
}

#[test]
fn format_1_has_no_chain_and_its_form_is_checked() {
    assert_eq!(against(V1.as_bytes(), None), Finding::FormOnly);
    let broken = V1.replacen("\"seq\":5,", "\"seq\":6,", 1);
    assert_eq!(changed_at(broken.as_bytes()), 6);
}

#[test]
fn a_format_that_was_made_to_look_older_is_found() {
    let older = V2.replacen("catrain.ledger/2", "catrain.ledger/1", 1);
    assert_eq!(changed_at(older.as_bytes()), 1);
}

#[test]
fn a_record_without_an_end_is_unfinished_and_running_where_it_is_locked() {
    let lines: Vec<&str> = V2.split_inclusive('\n').take(10).collect();
    let text = lines.concat();
    let unfinished = |is_running, torn| Finding::Unfinished { is_running, torn };
    assert_eq!(
        against(text.as_bytes(), None),
        unfinished(Some(false), None)
    );
    let torn = format!("{text}{{\"seq\":");
    assert_eq!(
        against(torn.as_bytes(), None),
        unfinished(Some(false), Some(7))
    );
    let facts = Facts::of("x".as_ref(), torn.as_bytes(), None).unwrap();
    let verified = facts.judge(Asked::default(), Some(true));
    assert_eq!(verified.finding, unfinished(Some(true), None));
    assert!(verified.is_good());
}

#[test]
fn a_record_that_is_shorter_than_its_recorded_head_is_cut() {
    for lines in 0..ALL {
        let text: String = V2.split_inclusive('\n').take(lines).collect();
        let cut = Finding::Cut(Cut::Shorter {
            recorded: ALL as u64,
        });
        assert_eq!(
            against(text.as_bytes(), Some(&recorded(ALL))),
            cut,
            "{lines}"
        );
    }
    let torn = format!("{V2}{{\"se");
    assert_eq!(against(torn.as_bytes(), None), Finding::Cut(Cut::Torn(4)));
}

#[test]
fn a_record_that_was_chained_anew_differs_from_its_recorded_head() {
    let text = forged(|entries| {
        let What::Warning { text } = &mut entries[17].what else {
            panic!("the fixture has a warning there");
        };
        text.push_str(", as it were");
    });
    assert_eq!(against(&text, None), Finding::Unrecorded);
    assert_eq!(against(&text, Some(&recorded(ALL))), Finding::Rewritten);
    let verified = judged(
        &text,
        Asked {
            given: Some(digest_of(END)),
            ..Asked::default()
        },
    );
    assert_eq!(verified.given, Some(Given::NoLine));
    assert!(!verified.is_good());
}

#[test]
fn sums_that_are_not_those_of_the_entries_are_found() {
    let text = forged(|entries| {
        for entry in entries {
            if let What::Segment(segment) = &mut entry.what {
                segment.energy.truncate(1);
            }
        }
    });
    assert_eq!(changed_at(&text), END);
    let text = forged(|entries| drop(entries.remove(5)));
    assert_eq!(changed_at(&text), END - 1);
}

#[test]
fn nothing_but_settlements_follows_the_end_and_none_comes_before_it() {
    let text = forged(|entries| {
        let last = entries.pop().unwrap();
        entries.insert(3, last);
    });
    assert_eq!(changed_at(&text), 4);
    let text = forged(|entries| entries.push(entries[17].clone()));
    assert_eq!(changed_at(&text), ALL + 1);
    let text = forged(|entries| entries.push(entries[END - 1].clone()));
    assert_eq!(changed_at(&text), ALL + 1);
    let text = forged(|entries| drop(entries.remove(0)));
    assert_eq!(changed_at(&text), 1);
}

#[test]
fn a_digest_kept_elsewhere_is_compared_with_the_end_and_each_settlement() {
    let given = |line: usize| {
        let asked = Asked {
            given: Some(digest_of(line)),
            ..Asked::default()
        };
        let verified = judged(V2.as_bytes(), asked);
        (verified.given.unwrap(), verified.is_good())
    };
    let matches = |line, later| (Given::Matches { line, later }, true);
    assert_eq!(given(END), matches(END, 1));
    assert_eq!(given(ALL), matches(ALL, 0));
    assert_eq!(given(7), (Given::Within(7), false));
}

#[test]
fn a_missing_bad_or_foreign_signature_is_no_good() {
    let key = PublicKey::from_hex(&"07".repeat(32)).unwrap();
    let signed = Head {
        key: Some("07".repeat(32)),
        signature: Some("00".repeat(64)),
        ..recorded(ALL)
    };
    let plain = recorded(ALL);
    for (head, signed_by, expected) in [
        (Some(&plain), Some(&key), Some(Signature::Missing)),
        (None, Some(&key), Some(Signature::Missing)),
        (Some(&signed), Some(&key), Some(Signature::Bad)),
        (Some(&signed), None, Some(Signature::Bad)),
        (Some(&plain), None, None),
    ] {
        let asked = Asked {
            recorded: head,
            given: None,
            signed_by,
        };
        let verified = judged(V2.as_bytes(), asked);
        assert_eq!(verified.is_good(), expected.is_none());
        assert_eq!(verified.signature, expected);
    }
}

#[test]
fn a_signature_by_another_key_is_told_from_one_that_does_not_hold() {
    use std::os::unix::fs::PermissionsExt;
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("key.pem");
    // RFC 8410, section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    std::fs::write(&path, pem).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let signer = crate::ledger::sign::Signer::load(&path).unwrap();
    let signed = signer.sign(recorded(ALL));
    let other = PublicKey::from_hex(&"07".repeat(32)).unwrap();
    let asked = Asked {
        recorded: Some(&signed),
        given: None,
        signed_by: Some(&other),
    };
    let verified = judged(V2.as_bytes(), asked);
    let by = signed.key.clone().unwrap();
    assert_eq!(verified.signature, Some(Signature::ByAnother(by)));
    assert!(!verified.is_good());
}

#[test]
fn a_record_that_is_gone_is_told_where_a_head_was_recorded_of_it() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("none");
    let asked = Asked {
        recorded: Some(&recorded(ALL)),
        ..Asked::default()
    };
    let finding = verify(&path, asked).unwrap().finding;
    let recorded = ALL as u64;
    assert_eq!(finding, Finding::Gone { recorded });
    assert!(verify(&path, Asked::default()).is_err());
}

/// One entry of each kind and without the long lists of intensities: the file is read again for each
/// of its bytes.
fn small() -> Vec<u8> {
    forged(|entries| {
        let mut seen = Vec::new();
        entries.retain(|entry| {
            let kind = std::mem::discriminant(&entry.what);
            let is_new = !seen.contains(&kind) && !matches!(entry.what, What::Intensity { .. });
            seen.push(kind);
            is_new
        });
        for entry in entries {
            if let What::End { sums, .. } = &mut entry.what {
                *sums = None;
            }
        }
    })
}

#[test]
fn any_flipped_byte_is_found() {
    let text = small();
    let whole = Facts::of("x".as_ref(), &text[..], None).unwrap();
    let head = Head {
        lines: whole.lines as u64,
        head: whole.head.unwrap(),
        ..recorded(ALL)
    };
    assert_eq!(against(&text, Some(&head)), Finding::Complete);
    for at in 0..text.len() {
        // Every bit of a byte is looked at where the chain is tested.
        let mut flipped = text.clone();
        flipped[at] ^= 1 << (at % 8);
        let line = 1 + text[..at].iter().filter(|byte| **byte == b'\n').count();
        let finding = against(&flipped, Some(&head));
        let is_found = match finding {
            Finding::Changed { line: at, .. } => at == line,
            // Without its line break the last line is a part of one.
            Finding::Cut(Cut::Shorter { .. }) => at == text.len() - 1,
            _ => false,
        };
        assert!(is_found, "byte {at}: {finding:?}");
    }
}

#[test]
fn any_cut_is_found_and_what_is_left_holds_to_its_last_whole_line() {
    let text = small();
    let whole = Facts::of("x".as_ref(), &text[..], None).unwrap();
    let head = Head {
        lines: whole.lines as u64,
        head: whole.head.unwrap(),
        ..recorded(ALL)
    };
    for cut in 0..text.len() {
        let asked = Asked {
            recorded: Some(&head),
            ..Asked::default()
        };
        let verified = judged(&text[..cut], asked);
        let lines = text[..cut].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(verified.lines, lines, "cut at {cut}");
        assert!(matches!(verified.finding, Finding::Cut(_)), "cut at {cut}");
        // And by itself, as after a kill.
        let alone = against(&text[..cut], None);
        assert!(
            !matches!(alone, Finding::Changed { .. }),
            "cut at {cut}: {alone:?}"
        );
    }
}
