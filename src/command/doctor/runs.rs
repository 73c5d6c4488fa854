//! Runs that nobody supervises any more, and sockets that nobody serves.

use std::io;
use std::path::{Path, PathBuf};

use super::around::Around;
use super::processes;
use crate::command::status::dead::{Fate, look, unfinished_of};
use crate::command::status::sockets_in;
use crate::control::{self, Word};
use crate::doctor::Finding;

const NAME: &str = "runs";
/// Sockets that are named one by one.
const TOLD: usize = 3;

/// All of it.
pub(super) fn runs(around: &Around) -> Vec<Finding> {
    let sockets = sockets_in(&around.directories.runtimes);
    let paths: Vec<PathBuf> = sockets.values().cloned().collect();
    let answers = control::ask_all(&paths, Word::Status).unwrap_or_default();
    let mut live = Vec::new();
    let mut stale: Vec<&Path> = Vec::new();
    for ((id, path), answer) in sockets.iter().zip(&answers) {
        match answer {
            Ok(_) => live.push(id.as_str()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => stale.push(path),
            // Silent ones are told of by their records.
            Err(_) => {}
        }
    }
    let mut found = stranded(around, &live);
    if !stale.is_empty() {
        let shown: Vec<String> = (stale.iter().take(TOLD))
            .map(|path| path.display().to_string())
            .collect();
        let more = match stale.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!(
                " and {more} more like {}",
                if more == 1 { "it" } else { "them" }
            ),
        };
        let shown = shown.join(" ");
        let many = if stale.len() == 1 {
            "a socket is"
        } else {
            "sockets are"
        };
        found.push(Finding::better(
            NAME,
            format!("{many} left over from a run that was killed"),
            format!("rm {shown}{more}"),
        ));
    }
    if found.is_empty() {
        let words = match live.len() {
            0 => "none is live, and none was left behind".to_owned(),
            1 => "1 is live and answers, and none was left behind".to_owned(),
            count => format!("{count} are live and answer, and none was left behind"),
        };
        found.push(Finding::ok(NAME, words));
    }
    found
}

/// Runs of the last days whose records have no end and whose supervisors are gone.
fn stranded(around: &Around, live: &[&str]) -> Vec<Finding> {
    let Some(state) = &around.directories.state else {
        return Vec::new();
    };
    let unfinished = unfinished_of(state, |id| live.contains(&id));
    let told = (unfinished.iter()).filter_map(|id| tell(around, id, &look(state, id).1));
    told.collect()
}

pub(super) fn tell(around: &Around, id: &str, fate: &Fate) -> Option<Finding> {
    let attach = format!("catrain attach {id}");
    Some(match fate {
        Fate::JobRuns(pid) => {
            let stands = processes::one(&around.root, *pid);
            if stands.is_some_and(|seen| seen.state == 'T') {
                let found = format!(
                    "the supervisor of {id} was killed, and its job (pid {pid}) stands still"
                );
                let fix = format!("kill -CONT -- -{pid}; then {attach}");
                return Some(Finding::broken(NAME, found, fix));
            }
            let found = format!(
                "the supervisor of {id} was killed; its job (pid {pid}) runs on, unsupervised"
            );
            Finding::better(NAME, found, attach)
        }
        Fate::Waiting { has_run } => {
            let what = match has_run {
                true => "waited for its restart",
                false => "was held",
            };
            let found =
                format!("the supervisor of {id} was killed while it {what}: nothing of it runs");
            Finding::better(NAME, found, format!("catrain continue {id}"))
        }
        Fate::Silent { is_stopped: true } => Finding::better(
            NAME,
            format!("the supervisor of {id} is stopped, at a terminal it may be"),
            "fg, in the shell that it was started from".to_owned(),
        ),
        Fate::Silent { is_stopped: false } => Finding::broken(
            NAME,
            format!("the supervisor of {id} is there and does not answer"),
            format!(
                "catrain logs {id} may tell why; `catrain stop {id}`, or kill its supervisor: the job runs on, and {attach} goes on with it"
            ),
        ),
        Fate::Damaged => Finding::broken(
            NAME,
            format!("the record of {id} is damaged"),
            format!("catrain report {id} --verify"),
        ),
        // They are over, or only elsewhere somebody can tell, or they are as they should be.
        Fate::Ended { .. }
        | Fate::JobGone
        | Fate::Elsewhere(_)
        | Fate::OnNode { .. }
        | Fate::Requeued { .. }
        | Fate::Unknown(_) => return None,
    })
}
