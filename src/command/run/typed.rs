//! What was typed between `run` and `--`, as it is recorded for `catrain continue`. Pure.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use jiff::Timestamp;

/// Options that we give ourselves, with one value each.
const OWN: [&str; 2] = ["--detached", "--continues"];

/// The options of a run, from the arguments of the program without its name. A deadline such as
/// `+36h` stands there as what it meant.
pub(super) fn options(
    arguments: impl IntoIterator<Item = OsString>,
    deadline: Option<Timestamp>,
) -> Vec<OsString> {
    let words = arguments.into_iter().skip_while(|word| word != "run");
    meant(words.skip(1), deadline)
}

/// The same for what was typed behind `slurm submit`, without what is for that alone.
pub(super) fn options_of_submit(
    arguments: impl IntoIterator<Item = OsString>,
    deadline: Option<Timestamp>,
) -> Vec<OsString> {
    let words = arguments.into_iter().skip_while(|word| word != "slurm");
    let words = words.skip_while(|word| word != "submit");
    let mut options = meant(words.skip(1), deadline);
    options.retain(|word| ["--json", "--dry-run"].iter().all(|own| word != *own));
    options
}

fn meant(words: impl Iterator<Item = OsString>, deadline: Option<Timestamp>) -> Vec<OsString> {
    let mut typed = words.take_while(|word| word != "--");
    let mut options = Vec::new();
    while let Some(word) = typed.next() {
        if OWN.iter().any(|own| word == *own) {
            typed.next();
            continue;
        }
        let meant = |prefix: &str| {
            let meant = deadline.map_or_else(OsString::new, |at| at.to_string().into());
            let mut word = OsString::from(prefix);
            word.push(meant);
            word
        };
        if word == "--deadline" && deadline.is_some() {
            typed.next();
            options.extend([word, meant("")]);
        } else if word.as_bytes().starts_with(b"--deadline=") && deadline.is_some() {
            options.push(meant("--deadline="));
        } else {
            options.push(word);
        }
    }
    options
}

/// As text, and whether nothing was lost by that.
pub(super) fn texts(words: &[impl AsRef<OsStr>]) -> (Vec<String>, bool) {
    let texts: Vec<String> = (words.iter())
        .map(|word| word.as_ref().to_string_lossy().into_owned())
        .collect();
    let is_whole = words.iter().all(|word| word.as_ref().to_str().is_some());
    (texts, is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(typed: &[&str]) -> Vec<OsString> {
        let deadline = "2026-11-25T09:00:00Z".parse().unwrap();
        options(typed.iter().map(OsString::from), Some(deadline))
    }

    #[test]
    fn options_are_what_stands_between_run_and_the_command() {
        let typed = [
            "--color", "never", "run", "-Dz", "DE", "-d6h", "--", "run", "--", "-x",
        ];
        assert_eq!(of(&typed), ["-Dz", "DE", "-d6h"]);
        assert_eq!(of(&["run", "--", "x"]), [""; 0]);
    }

    #[test]
    fn what_we_add_ourselves_is_none() {
        let typed = [
            "run",
            "-z",
            "DE",
            "--continues",
            "r7k2",
            "--detached",
            "/x",
            "--",
            "x",
        ];
        assert_eq!(of(&typed), ["-z", "DE"]);
    }

    #[test]
    fn a_submitted_job_has_the_options_of_a_run_alone() {
        let typed = [
            "--color",
            "never",
            "slurm",
            "submit",
            "--json",
            "-d6h",
            "--deadline=+36h",
            "--dry-run",
            "--",
            "-t",
            "5",
        ];
        let deadline = "2026-11-25T09:00:00Z".parse().unwrap();
        let options = options_of_submit(typed.iter().map(OsString::from), Some(deadline));
        assert_eq!(options, ["-d6h", "--deadline=2026-11-25T09:00:00Z"]);
    }

    #[test]
    fn a_deadline_is_recorded_as_the_time_that_it_meant() {
        let at = "2026-11-25T09:00:00Z";
        assert_eq!(
            of(&["run", "--deadline", "+36h", "--", "x"]),
            ["--deadline", at]
        );
        let joined = format!("--deadline={at}");
        assert_eq!(
            of(&["run", "--deadline=tomorrow 09:00", "--", "x"]),
            [joined.as_str()]
        );
    }
}
