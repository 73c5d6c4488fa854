//! What the variables of NCCL mean for ranks that are stopped and go on.
//!
//! All ranks stop together, so that nobody waits for one that stands; but PyTorch measures by clocks
//! that run on. Its defaults, from `ProcessGroupNCCL` of PyTorch 2
//! (<https://docs.pytorch.org/docs/stable/torch_nccl_environment_variables.html>, November 2026): a
//! monitor ends the process when the thread that watches collectives gave no sign of life for 480 s,
//! and a collective that is not done 10 min after its start is an error. A stop counts towards both.

use std::time::Duration;

use crate::supervise::settings::RANKS_STOP;
use crate::words;

/// The variables that matter, in the order in which they are told of.
pub const VARIABLES: [&str; 6] = [
    HEARTBEAT,
    MONITORING,
    "TORCH_NCCL_BLOCKING_WAIT",
    "NCCL_BLOCKING_WAIT",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING",
    "NCCL_ASYNC_ERROR_HANDLING",
];

const HEARTBEAT: &str = "TORCH_NCCL_HEARTBEAT_TIMEOUT_SEC";
const MONITORING: &str = "TORCH_NCCL_ENABLE_MONITORING";

/// What is raised is raised to this: longer than a stop and a resume.
const ENOUGH_S: u64 = 1800;

/// Something that ends a job, or leaves it hanging, after a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hazard {
    /// The variable.
    pub variable: &'static str,
    /// What it means.
    pub means: String,
    /// What to do.
    pub fix: String,
}

/// The hazards in an environment.
pub fn hazards(variable: impl Fn(&str) -> Option<String>) -> Vec<Hazard> {
    let is_on = |name: &str| is_true(variable(name).as_deref());
    let mut found = Vec::new();
    let seconds = variable(HEARTBEAT).and_then(|text| text.trim().parse::<u64>().ok());
    let monitors = variable(MONITORING).is_none() || is_on(MONITORING);
    if let Some(seconds) = seconds.filter(|_| monitors)
        && Duration::from_secs(seconds) < RANKS_STOP
    {
        let limit = Duration::from_secs(seconds);
        found.push(Hazard {
            variable: HEARTBEAT,
            means: format!(
                "{HEARTBEAT}={seconds}: PyTorch ends a rank that stood still for longer, and stops of \
                 several ranks last up to {}",
                words::duration(RANKS_STOP)
            ),
            fix: format!(
                "export {HEARTBEAT}={ENOUGH_S}, or --max-stop {}s",
                (limit / 2).as_secs().max(1)
            ),
        });
    }
    for name in ["TORCH_NCCL_BLOCKING_WAIT", "NCCL_BLOCKING_WAIT"] {
        if is_on(name) {
            found.push(Hazard {
                variable: name,
                means: format!(
                    "{name} is set: a rank that waits for a collective throws once its time-out (10 m \
                     unless the script sets another) is over, stopped or not"
                ),
                fix: format!("unset {name}, or --pause-with checkpoint"),
            });
        }
    }
    for name in [
        "TORCH_NCCL_ASYNC_ERROR_HANDLING",
        "NCCL_ASYNC_ERROR_HANDLING",
    ] {
        if variable(name).is_some_and(|text| text.trim() == "0") {
            found.push(Hazard {
                variable: name,
                means: format!(
                    "{name}=0: a rank that is lost over a pause is not noticed, and the others wait for \
                     it, at full power, for ever"
                ),
                fix: format!("unset {name}"),
            });
        }
    }
    found
}

/// As PyTorch reads such variables: `1`, `y`, `yes`, `t`, `true`, in any case.
fn is_true(text: Option<&str>) -> bool {
    let text = text.unwrap_or_default().trim().to_ascii_lowercase();
    matches!(text.as_str(), "1" | "y" | "yes" | "t" | "true")
}

/// The variables that matter among the words of a command: `env NCCL_BLOCKING_WAIT=1 torchrun …`.
pub fn in_words<'a>(words: impl Iterator<Item = &'a str>) -> Vec<(&'static str, String)> {
    words
        .filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            let name = VARIABLES.into_iter().find(|known| *known == name)?;
            Some((name, value.to_owned()))
        })
        .collect()
}

/// The same in the environment of a process, as `/proc/PID/environ` has it.
pub fn in_environment(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let entries = bytes.split(|&byte| byte == 0);
    let texts: Vec<&str> = entries
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .collect();
    in_words(texts.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(set: &[(&str, &str)]) -> Vec<&'static str> {
        let value = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        };
        hazards(value)
            .iter()
            .map(|hazard| hazard.variable)
            .collect()
    }

    #[test]
    fn a_monitor_that_is_shorter_than_a_stop_ends_the_job() {
        assert_eq!(found(&[]), [""; 0]);
        assert_eq!(found(&[(HEARTBEAT, "120")]), [HEARTBEAT]);
        assert_eq!(found(&[(HEARTBEAT, "1800")]), [""; 0]);
        assert_eq!(found(&[(HEARTBEAT, "soon")]), [""; 0]);
        assert_eq!(found(&[(HEARTBEAT, "120"), (MONITORING, "0")]), [""; 0]);
        assert_eq!(found(&[(HEARTBEAT, "120"), (MONITORING, "1")]), [HEARTBEAT]);
    }

    #[test]
    fn waits_that_block_and_errors_that_nobody_sees_are_told() {
        for name in ["TORCH_NCCL_BLOCKING_WAIT", "NCCL_BLOCKING_WAIT"] {
            assert_eq!(found(&[(name, "1")]), [name]);
            assert_eq!(found(&[(name, "0")]), [""; 0]);
        }
        let name = "TORCH_NCCL_ASYNC_ERROR_HANDLING";
        assert_eq!(found(&[(name, "0")]), [name]);
        assert_eq!(found(&[(name, "1")]), [""; 0]);
    }

    #[test]
    fn the_fix_of_each_hazard_clears_it() {
        let all = [
            (HEARTBEAT, "60"),
            ("TORCH_NCCL_BLOCKING_WAIT", "true"),
            ("NCCL_ASYNC_ERROR_HANDLING", "0"),
        ];
        for (name, value) in all {
            let hazard = &hazards(|asked| (asked == name).then(|| value.to_owned()))[0];
            let words: Vec<&str> = hazard.fix.split([' ', ',']).collect();
            let after = match words[0] {
                "unset" => None,
                "export" => words[1].split_once('=').map(|(_, value)| value.to_owned()),
                other => panic!("{other}"),
            };
            let left = hazards(|asked| after.clone().filter(|_| asked == name));
            assert_eq!(left, []);
        }
    }

    #[test]
    fn variables_are_found_in_commands_and_environments_and_others_are_left_alone() {
        let words = "env NCCL_BLOCKING_WAIT=1 SECRET=x torchrun --x=1";
        let expected = [("NCCL_BLOCKING_WAIT", "1".to_owned())];
        assert_eq!(in_words(words.split(' ')), expected);
        let environment = b"HOME=/\0\xff=1\0NCCL_BLOCKING_WAIT=1\0";
        assert_eq!(in_environment(environment), expected);
    }
}
