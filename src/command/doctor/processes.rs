//! Processes as `/proc` lists them, below a root that a test may have made.

use std::fs;
use std::path::Path;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) state: char,
    /// When it was started, in clock ticks since boot.
    pub(super) start_ticks: u64,
}

/// All that are shown.
pub(super) fn list(root: &Path) -> Vec<Seen> {
    let entries = fs::read_dir(root.join("proc")).into_iter().flatten();
    entries
        .flatten()
        .filter_map(|entry| one(root, entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// One of them.
pub(super) fn one(root: &Path, pid: i32) -> Option<Seen> {
    let stat = fs::read(root.join(format!("proc/{pid}/stat"))).ok()?;
    seen(pid, &String::from_utf8_lossy(&stat))
}

/// proc_pid_stat(5): the name in brackets may hold brackets and blanks itself.
fn seen(pid: i32, stat: &str) -> Option<Seen> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Seen {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// All below these, themselves left out.
pub(super) fn below(all: &[Seen], roots: &[i32]) -> Vec<i32> {
    let mut found: Vec<i32> = roots.to_vec();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        for process in all.iter().filter(|process| process.parent == parent) {
            // A list that was read while processes came and went may have circles.
            if !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
    }
    found.split_off(roots.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pid: i32, parent: i32) -> Seen {
        let stat =
            format!("{pid} (a) b) S {parent} 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 77");
        seen(pid, &stat).unwrap()
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let seen = of(7, 1);
        assert_eq!((seen.parent, seen.state, seen.start_ticks), (1, 'S', 77));
        assert_eq!(super::seen(7, "7 (x"), None);
    }

    #[test]
    fn children_and_theirs_are_found_and_circles_end() {
        let all = [of(2, 1), of(3, 2), of(4, 3), of(5, 1), of(6, 7), of(7, 6)];
        assert_eq!(below(&all, &[2]), [3, 4]);
        assert_eq!(below(&all, &[6]), [7]);
        assert_eq!(below(&all, &[]), [0; 0]);
    }
}
