use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::alert::letter::tests::alert;
use crate::alert::letter::{Alert, State};
use crate::alert::rule::Rule;
use crate::caller::block_on;
use crate::clock::utc_now;

fn owner(pid: i32) -> Owner {
    Owner {
        host: "node7".to_owned(),
        boot_id: "b".to_owned(),
        pid,
        start_ticks: 1,
    }
}

fn letter(id: &str) -> Letter {
    let alert = Alert {
        id: id.to_owned(),
        ..alert(Rule::JobFailed, State::Happened)
    };
    Letter::new("ops", alert, utc_now(), None)
}

fn add(letters: &Letters, ids: &[&str]) {
    let new = ids.iter().map(|id| letter(id)).collect();
    block_on(letters.add(new)).unwrap();
}

/// Those with a negative pid are dead.
fn claim(letters: &Letters, pid: i32, is_well: bool) -> Vec<Letter> {
    let is_alive = |owner: &Owner| owner.pid > 0;
    let owner = owner(pid);
    let claiming = letters.claim("ops", utc_now(), is_well, &owner, &is_alive);
    block_on(claiming).unwrap()
}

fn settle(letters: &Letters, claimed: Vec<Letter>, failure: Option<&str>) {
    block_on(letters.settle(claimed, failure, utc_now())).unwrap();
}

fn ids(letters: &[Letter]) -> Vec<&str> {
    letters.iter().map(|it| it.alert.id.as_str()).collect()
}

#[test]
fn of_two_runs_one_has_a_letter() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (
        Letters::below(Some(dir.path())),
        Letters::below(Some(dir.path())),
    );
    add(&one, &["a", "b"]);
    let claimed = claim(&one, 1, false);
    assert_eq!(ids(&claimed), ["a", "b"]);
    assert!(claim(&other, 2, true).is_empty());
    settle(&one, claimed, None);
    assert!(one.pile().unwrap().letters.is_empty());
    assert!(other.is_empty());
}

#[test]
fn what_failed_is_kept_and_another_run_delivers_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let one = Letters::below(Some(dir.path()));
    add(&one, &["a"]);
    let claimed = claim(&one, 1, false);
    settle(&one, claimed, Some("nobody is there"));
    // Not yet due, unless the channel is well.
    assert!(claim(&one, 1, false).is_empty());
    let next = Letters::below(Some(dir.path()));
    let claimed = claim(&next, 2, true);
    assert_eq!((ids(&claimed), claimed[0].tries), (vec!["a"], 1));
    settle(&next, claimed, None);
    assert!(claim(&one, 1, true).is_empty());
}

#[test]
fn what_was_being_sent_when_its_run_was_killed_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Letters::below(Some(dir.path()));
    add(&letters, &["a"]);
    assert_eq!(claim(&letters, -1, false).len(), 1);
    assert!(claim(&letters, 2, true).is_empty());
    let pile = letters.pile().unwrap();
    assert_eq!(pile.letters[0].standing, Standing::Unknown);
}

#[test]
fn the_file_is_for_its_owner_alone_and_a_damaged_line_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Letters::below(Some(dir.path()));
    add(&letters, &["a", "b"]);
    let path = letters.path().unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let cut = text.replacen('{', "<", 1);
    std::fs::write(&path, cut).unwrap();
    assert_eq!(ids(&letters.pile().unwrap().letters), ["b"]);
}

#[test]
fn without_a_disk_letters_are_kept_in_memory_and_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    std::fs::write(&file, "no directory").unwrap();
    for letters in [Letters::below(Some(&file)), Letters::below(None)] {
        add(&letters, &["a"]);
        assert!(!letters.is_empty());
        let claimed = claim(&letters, 1, false);
        assert_eq!(ids(&claimed), ["a"]);
        settle(&letters, claimed, Some("nobody is there"));
        let claimed = claim(&letters, 1, true);
        assert_eq!(claimed[0].tries, 1);
        settle(&letters, claimed, None);
        assert!(letters.is_empty());
        assert_eq!(letters.trouble().is_some(), letters.path().is_some());
        // What was told is remembered all the same.
        let first = block_on(letters.with_told(|told| told.clone())).unwrap();
        assert_eq!(first, Cooling::default());
    }
}

#[test]
fn a_link_in_place_of_the_file_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Letters::below(Some(dir.path()));
    add(&letters, &["a"]);
    let (path, target) = (letters.path().unwrap(), dir.path().join("target"));
    std::fs::rename(&path, &target).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    add(&letters, &["b"]);
    assert!(letters.trouble().unwrap().contains("it is a link"));
    assert!(!std::fs::read_to_string(&target).unwrap().contains("\"b\""));
}

#[test]
fn the_file_keeps_within_its_bounds_and_counts_what_it_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let letters = Letters::below(Some(dir.path()));
    let many: Vec<Letter> = (0..MOST + 20).map(|n| letter(&n.to_string())).collect();
    block_on(letters.add(many)).unwrap();
    let pile = letters.pile().unwrap();
    assert_eq!((pile.letters.len(), pile.dropped), (MOST, 20));
    assert_eq!(pile.letters[0].alert.id, "20");

    let mut large = letter("large");
    large.alert.words.why = "x".repeat(MOST_BYTES);
    let mut old = letter("old");
    old.since = utc_now() - SignedDuration::from_hours(24 * 30);
    let mut both = vec![old, large];
    assert_eq!(shorten(&mut both, utc_now()), 2);
}

#[test]
fn a_message_takes_no_more_letters_than_it_may() {
    let letters = Letters::below(None);
    let many: Vec<Letter> = (0..50).map(|n| letter(&n.to_string())).collect();
    block_on(letters.add(many)).unwrap();
    assert_eq!(claim(&letters, 1, false).len(), MOST_TOGETHER);
    assert_eq!(claim(&letters, 1, false).len(), MOST_TOGETHER);
    assert_eq!(claim(&letters, 1, false).len(), 10);
}
