//! `catrain report --verify`: whether records are complete and unchanged.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::report::not_found;
use crate::cli::{ReportArgs, ReportFormat};
use crate::error::Failure;
use crate::ledger::chain::Digest;
use crate::ledger::heads::{self, Heads};
use crate::ledger::sign::PublicKey;
use crate::ledger::{self, Asked, Cut, Finding, Given, RunRef, Signature, Verification};
use crate::report::text::harmless;
use crate::words::{Look, Paint};

/// What was found out about the records of `runs`.
pub(super) struct Verified {
    /// As it was asked for: text or JSON.
    pub(super) document: String,
    /// Something is wrong.
    pub(super) failure: Option<Failure>,
}

/// Verifies the records that `args` mean and that were begun in `since..until`, of `runs` and of those
/// that have a recorded head and no record any more, all in the state directory `state`.
///
/// # Errors
/// No run is meant, what is asked for contradicts itself, the key cannot be read, or the recorded
/// heads cannot.
pub(super) fn verify(
    args: &ReportArgs,
    mut runs: Vec<RunRef>,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    look: Look,
    now: Timestamp,
    state: &Path,
) -> Result<Verified, Failure> {
    if !matches!(args.format, ReportFormat::Text | ReportFormat::Json) {
        let what = "`--verify` is told as text or as JSON";
        return Err(Failure::usage(what).hint("leave out --format, or say --format json"));
    }
    let key = args.signed_by.as_deref().map(PublicKey::load).transpose();
    let key = key.map_err(Failure::usage)?;
    let heads = heads::read(state).map_err(|why| {
        let path = heads::path(state);
        anyhow::Error::new(why).context(format!("cannot read the heads in {}", path.display()))
    })?;
    let host = nix::unistd::gethostname().map_or_else(
        |_| String::new(),
        |name| name.to_string_lossy().into_owned(),
    );
    let gone = gone(&heads, &runs, state, &host);
    runs.extend(gone);
    runs.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    // Also those whose beginning cannot be read: that is what is looked for.
    let runs = ledger::select_any(&runs, &args.runs, since, until).map_err(not_found)?;
    let given = given(args, &runs)?;
    let each: Vec<(&str, Result<Verification, String>)> = runs
        .iter()
        .map(|run| {
            let asked = Asked {
                recorded: heads.of(&run.id),
                given,
                signed_by: key.as_ref(),
            };
            let verified = ledger::verify(&run.path, asked);
            (
                run.id.as_str(),
                verified.map_err(|why| format!("{:#}", anyhow::Error::new(why))),
            )
        })
        .collect();
    let document = match args.format {
        ReportFormat::Json => json(&each, &heads, now, state),
        _ => text(&each, &heads, look, state),
    };
    Ok(Verified {
        document,
        failure: failure(&each, &heads, state),
    })
}

/// Runs of this host whose heads are recorded and whose directories are not there. When they began
/// nobody knows any more: it was before their first head.
fn gone(heads: &Heads, runs: &[RunRef], state: &Path, host: &str) -> Vec<RunRef> {
    let mut known: BTreeSet<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let mut gone = Vec::new();
    for head in heads.heads.iter().filter(|head| head.host == host) {
        // What stands there is somebody's text and becomes a path.
        if ledger::runs::is_id(&head.run) && known.insert(&head.run) {
            gone.push(RunRef {
                id: head.run.clone(),
                path: ledger::ledger_path(state, &head.run),
                started: head.at,
                begin: None,
            });
        }
    }
    gone
}

/// The digest that was kept elsewhere, which is that of one run.
fn given(args: &ReportArgs, runs: &[&RunRef]) -> Result<Option<Digest>, Failure> {
    let Some(text) = &args.head else {
        return Ok(None);
    };
    let digest = text.parse().map_err(|why| {
        Failure::usage(format!("--head: `{}` is no digest: {why}", harmless(text)))
            .hint("it stands as `head` at the end of a run and in each of its reports")
    })?;
    if runs.len() > 1 {
        let what = format!(
            "--head is the digest of one run, and {} are meant",
            runs.len()
        );
        return Err(Failure::usage(what).hint("name the run: catrain report RUN --verify --head …"));
    }
    Ok(Some(digest))
}

fn failure(
    each: &[(&str, Result<Verification, String>)],
    heads: &Heads,
    state: &Path,
) -> Option<Failure> {
    let is_wrong = |(_, verified): &&(&str, Result<Verification, String>)| {
        !verified.as_ref().is_ok_and(Verification::is_good)
    };
    let wrong = each.iter().filter(is_wrong).count();
    let what = match (wrong, each.len()) {
        (0, _) if heads.broken.is_none() => return None,
        (0, _) => "the file of recorded heads was changed".to_owned(),
        (1, 1) => "the record is not what was written, or cannot be verified".to_owned(),
        (wrong, all) => {
            format!("{wrong} of {all} records are not what was written, or cannot be verified")
        }
    };
    let failure = Failure::from(anyhow::Error::msg(what));
    Some(match heads.broken {
        None => failure,
        Some(_) => {
            let path = heads::path(state);
            let path = path.display();
            failure.hint(format!(
                "to go on with new ones: mv {path} {path}.old; heads of before are then not compared any more"
            ))
        }
    })
}

fn text(
    each: &[(&str, Result<Verification, String>)],
    heads: &Heads,
    look: Look,
    state: &Path,
) -> String {
    let mut text = String::new();
    for (run, verified) in each {
        let (is_good, lines) = match verified {
            Ok(verified) => (verified.is_good(), told(verified)),
            Err(why) => (
                false,
                vec![format!("cannot be verified: {}", harmless(why))],
            ),
        };
        for (nth, line) in lines.iter().enumerate() {
            let name = if nth == 0 { run } else { "" };
            let line = match (nth, is_good) {
                (0, false) => look.paint(Paint::Dirty, line),
                _ => line.clone(),
            };
            let _ = writeln!(text, "{name:<6}{line}");
        }
    }
    if let Some(line) = heads.broken {
        let path = heads::path(state);
        let words = format!("changed at line {line}: what is compared with it may be wrong");
        let _ = writeln!(
            text,
            "{}  {}",
            path.display(),
            look.paint(Paint::Dirty, &words)
        );
    }
    look.text(&text)
}

/// What is to be said of a record, the most important first.
fn told(verified: &Verification) -> Vec<String> {
    let mut lines = vec![finding(verified)];
    if verified.unrecorded > 0 {
        let many = settlements(verified.unrecorded);
        lines.push(format!(
            "{many} after its recorded head, of which no head is recorded"
        ));
    }
    lines.extend(verified.given.map(|given| match given {
        Given::Matches { line, later: 0 } => format!("the digest given is that of line {line}"),
        Given::Matches { line, later } => {
            let many = settlements(later);
            format!("the digest given is that of line {line}; {many} after it")
        }
        Given::Within(line) => {
            format!("the digest given is that of line {line}, at which the run had not ended")
        }
        Given::NoLine => "the digest given is that of no line: this is another record".to_owned(),
    }));
    lines.extend(
        verified
            .signature
            .as_ref()
            .map(|signature| match signature {
                Signature::Good => "its head is signed by that key".to_owned(),
                Signature::ByItsOwn(key) => {
                    format!("its head is signed by the key {key} (whose that is: --signed-by)")
                }
                Signature::ByAnother(key) => {
                    format!("its head is signed by another key than that, by {key}")
                }
                Signature::Missing => "its head is not signed".to_owned(),
                Signature::Bad => "the signature of its head does not hold".to_owned(),
            }),
    );
    lines.extend(verified.head.map(|head| format!("head  {head}")));
    lines
}

fn settlements(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} settlement{plural}")
}

fn finding(verified: &Verification) -> String {
    let lines = verified.lines;
    match &verified.finding {
        Finding::Complete => format!("complete, and matches its recorded head ({lines} lines)"),
        Finding::Unrecorded => format!("complete ({lines} lines); no head is recorded of it"),
        Finding::Unfinished { is_running, torn } => {
            let state = match is_running {
                Some(true) => "it is being written",
                Some(false) => "it was cut short by a kill, a crash or a full disk",
                None => "it is being written, or was cut short by a kill, a crash or a full disk",
            };
            let torn = torn.map_or(String::new(), |bytes| {
                format!("; a last line of {bytes} bytes is left out")
            });
            format!("unfinished, a lower bound ({lines} lines): {state}{torn}")
        }
        Finding::Gone { recorded } => {
            format!("gone: there is a recorded head of {recorded} lines, and no record")
        }
        Finding::Cut(Cut::Shorter { recorded }) => {
            format!("cut: {lines} lines of the {recorded} by its recorded head")
        }
        Finding::Cut(Cut::Torn(bytes)) => {
            format!("cut: after line {lines} there is a part of a line ({bytes} bytes)")
        }
        Finding::Changed { line, why } => format!("changed at line {line}: {}", harmless(why)),
        Finding::Rewritten => {
            "changed: its lines follow from each other, but its recorded head is another".to_owned()
        }
        Finding::FormOnly => {
            format!("complete in its form ({lines} lines); format 1 has no chain to verify")
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    generated_at: Timestamp,
    /// Whether nothing is wrong with any of them.
    good: bool,
    runs: Vec<Run<'a>>,
    heads: HeadsFile,
}

#[derive(Serialize)]
struct Run<'a> {
    id: &'a str,
    good: bool,
    /// `complete`, `complete_unrecorded`, `complete_format_1`, `unfinished`, `gone`, `cut`,
    /// `changed`, `unreadable`.
    result: &'static str,
    /// The whole sentence.
    words: String,
    lines: Option<usize>,
    /// The first line that is wrong, counted from 1.
    changed_at_line: Option<usize>,
    running: Option<bool>,
    torn_bytes: usize,
    head: Option<Digest>,
    settlements_after_recorded_head: usize,
    given: Option<GivenDigest>,
    signature: Option<&'static str>,
    key: Option<&'a str>,
}

#[derive(Serialize)]
struct GivenDigest {
    matches: bool,
    line: Option<usize>,
    settlements_after: usize,
}

#[derive(Serialize)]
struct HeadsFile {
    count: usize,
    changed_at_line: Option<usize>,
}

fn json(
    each: &[(&str, Result<Verification, String>)],
    heads: &Heads,
    now: Timestamp,
    state: &Path,
) -> String {
    let runs = each.iter().map(|(id, verified)| match verified {
        Ok(verified) => Run::of(id, verified),
        Err(why) => Run {
            id,
            good: false,
            result: "unreadable",
            words: why.clone(),
            lines: None,
            changed_at_line: None,
            running: None,
            torn_bytes: 0,
            head: None,
            settlements_after_recorded_head: 0,
            given: None,
            signature: None,
            key: None,
        },
    });
    let document = Document {
        schema: "catrain.verification/1",
        generated_at: now,
        good: failure(each, heads, state).is_none(),
        runs: runs.collect(),
        heads: HeadsFile {
            count: heads.heads.len(),
            changed_at_line: heads.broken,
        },
    };
    let mut text =
        serde_json::to_string_pretty(&document).expect("it is text, numbers and digests alone");
    text.push('\n');
    text
}

impl<'a> Run<'a> {
    fn of(id: &'a str, verified: &'a Verification) -> Self {
        let (mut changed_at_line, mut running, mut torn_bytes) = (None, None, 0);
        let result = match &verified.finding {
            Finding::Complete => "complete",
            Finding::Unrecorded => "complete_unrecorded",
            Finding::FormOnly => "complete_format_1",
            Finding::Unfinished { is_running, torn } => {
                (running, torn_bytes) = (*is_running, torn.unwrap_or(0));
                "unfinished"
            }
            Finding::Gone { .. } => "gone",
            Finding::Cut(cut) => {
                if let Cut::Torn(bytes) = cut {
                    torn_bytes = *bytes;
                }
                "cut"
            }
            Finding::Changed { line, .. } => {
                changed_at_line = Some(*line);
                "changed"
            }
            Finding::Rewritten => "changed",
        };
        let given = verified.given.map(|given| match given {
            Given::Matches { line, later } => GivenDigest {
                matches: true,
                line: Some(line),
                settlements_after: later,
            },
            Given::Within(line) => GivenDigest {
                matches: false,
                line: Some(line),
                settlements_after: 0,
            },
            Given::NoLine => GivenDigest {
                matches: false,
                line: None,
                settlements_after: 0,
            },
        });
        let (signature, key) = match &verified.signature {
            None => (None, None),
            Some(Signature::Good) => (Some("good"), None),
            Some(Signature::ByItsOwn(key)) => (Some("by_its_own_key"), Some(key.as_str())),
            Some(Signature::ByAnother(key)) => (Some("by_another_key"), Some(key.as_str())),
            Some(Signature::Missing) => (Some("missing"), None),
            Some(Signature::Bad) => (Some("bad"), None),
        };
        Self {
            id,
            good: verified.is_good(),
            result,
            words: finding(verified),
            lines: Some(verified.lines),
            changed_at_line,
            running,
            torn_bytes,
            head: verified.head,
            settlements_after_recorded_head: verified.unrecorded,
            given,
            signature,
            key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::heads::Head;

    const WHOLE: &str = include_str!("../../tests/fixtures/ledger_v2.jsonl");

    fn state(runs: &[&str]) -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        for id in runs {
            let path = ledger::ledger_path(state.path(), id);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, WHOLE).unwrap();
        }
        state
    }

    fn note(state: &Path, run: &str, host: &str) {
        let last = WHOLE.lines().last().unwrap();
        let head = Head {
            at: "2026-11-25T06:27:00Z".parse().unwrap(),
            run: run.to_owned(),
            host: host.to_owned(),
            lines: 23,
            head: ledger::chain::split(last.as_bytes()).unwrap().1,
            key: None,
            signature: None,
        };
        heads::append(state, &head, std::time::Duration::from_secs(20)).unwrap();
    }

    fn host() -> String {
        let name = nix::unistd::gethostname().unwrap();
        name.into_string().unwrap()
    }

    /// What is said of the runs `words` since a time, and what of it is wrong.
    fn said(state: &Path, words: &[&str], since: Option<&str>) -> (String, Option<String>) {
        let args = ReportArgs {
            runs: words.iter().map(|word| (*word).to_owned()).collect(),
            ..ReportArgs::default()
        };
        let runs = ledger::list_runs(state).unwrap();
        let since = since.map(|since| since.parse().unwrap());
        let now = "2026-11-28T07:00:00Z".parse().unwrap();
        match verify(&args, runs, (since, None), Look::PLAIN, now, state) {
            Ok(verified) => (verified.document, verified.failure.map(|it| it.to_string())),
            Err(failure) => (String::new(), Some(failure.to_string())),
        }
    }

    #[test]
    fn a_run_whose_directory_was_deleted_is_told_to_be_gone() {
        let state = state(&["a2b3"]);
        note(state.path(), "a2b3", &host());
        note(state.path(), "c4d5", &host());
        note(
            state.path(),
            "e6f7",
            "another host, and its own state directory",
        );
        note(state.path(), "../..", &host());
        let gone = "c4d5  gone: there is a recorded head of 23 lines, and no record\n";
        let whole = "a2b3  complete, and matches its recorded head (23 lines)\n";
        let (text, wrong) = said(state.path(), &[], Some("2026-11-24T00:00:00Z"));
        assert!(text.contains(gone) && text.contains(whole), "{text}");
        assert!(!text.contains("e6f7") && !text.contains(".."), "{text}");
        assert!(wrong.unwrap().starts_with("1 of 2 records"));
        for words in [&["c4d5"][..], &["c4"], &["latest"], &[]] {
            let (text, wrong) = said(state.path(), words, None);
            assert_eq!((text.as_str(), wrong.is_some()), (gone, true), "{words:?}");
        }
        let (_, wrong) = said(state.path(), &["a2b3"], None);
        assert_eq!(wrong, None);
        let (_, wrong) = said(state.path(), &[], Some("2026-11-26T00:00:00Z"));
        assert!(wrong.unwrap().contains("no runs in that time"));
        std::fs::remove_dir_all(state.path().join("runs")).unwrap();
        let (text, _) = said(state.path(), &[], Some("2026-11-24T00:00:00Z"));
        assert!(text.contains("a2b3  gone: "), "{text}");
    }

    #[test]
    fn a_damaged_file_of_heads_has_a_way_out() {
        let state = state(&["a2b3"]);
        note(state.path(), "a2b3", &host());
        let path = heads::path(state.path());
        let changed = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, changed.replace("23,", "23 ,")).unwrap();
        let told = said(state.path(), &["a2b3"], None).1.unwrap();
        let way = format!("hint: to go on with new ones: mv {} ", path.display());
        assert!(told.contains(&way), "{told}");
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        let (text, wrong) = said(state.path(), &["a2b3"], None);
        assert!(text.contains("no head is recorded of it"), "{text}");
        assert_eq!(wrong, None);
    }
}
