//! What `catrain doctor` finds, and how it is told. Pure: whoever looks is in `command/doctor`.
//!
//! | file | one idea |
//! |---|---|
//! | here | a finding, and all of them as one document |
//! | [`page`] | the same for people |
//! | [`collectives`] | what the variables of NCCL mean for a job that is stopped |
//! | [`slurm`] | what Slurm says of itself, and what that means for a job of it |

pub mod collectives;
pub mod page;
pub mod slurm;

use serde::Serialize;

/// Name and version of the document.
pub const SCHEMA: &str = "catrain.doctor/1";

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It works.
    Ok,
    /// It works less well than it could.
    CouldBeBetter,
    /// It does not work.
    Broken,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `cpu energy`.
    pub name: &'static str,
    /// How it stands.
    pub outcome: Outcome,
    /// In words, secrets left out.
    pub found: String,
    /// What to do; always there unless it works.
    pub fix: Option<String>,
}

impl Finding {
    /// It works.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::Ok,
            found: found.into(),
            fix: None,
        }
    }

    /// It works less well than it could, until `fix` is done.
    pub fn better(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            outcome: Outcome::CouldBeBetter,
            found: found.into(),
            fix: Some(fix.into()),
        }
    }

    /// It does not work until `fix` is done.
    pub fn broken(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Broken,
            ..Self::better(name, found, fix)
        }
    }
}

/// All of them as `catrain.doctor/1`.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// In the order of the checks.
    pub checks: &'a [Finding],
}

impl<'a> Document<'a> {
    /// Of these.
    pub fn of(checks: &'a [Finding]) -> Self {
        let schema = SCHEMA;
        Self { schema, checks }
    }
}

/// Whether anything is broken.
pub fn is_broken(findings: &[Finding]) -> bool {
    let broken = |finding: &Finding| finding.outcome == Outcome::Broken;
    findings.iter().any(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_names_each_outcome_and_has_a_fix_unless_it_works() {
        let findings = [
            Finding::ok("zone", "DE"),
            Finding::better("cpu energy", "a model", "chmod a+r"),
            Finding::broken("keys", "none", "catrain key set watttime"),
        ];
        let document = serde_json::to_string(&Document::of(&findings)).unwrap();
        assert_eq!(
            document,
            r#"{"schema":"catrain.doctor/1","checks":[{"name":"zone","outcome":"ok","found":"DE","fix":null},{"name":"cpu energy","outcome":"could_be_better","found":"a model","fix":"chmod a+r"},{"name":"keys","outcome":"broken","found":"none","fix":"catrain key set watttime"}]}"#
        );
        assert!(is_broken(&findings) && !is_broken(&findings[..2]));
    }
}
