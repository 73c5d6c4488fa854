//! The keys of `[run]`: the flags of `catrain run`, with when a change of each counts and who may set it.

use super::table::{Kind, Takes};
use crate::cli::flags::{self, Flag};

/// Counts from now on: the machine asks for them when it comes to it.
const AT_ONCE: [&str; 10] = [
    "on-budget",
    "stop-signal",
    "grace",
    "leftovers",
    "retries",
    "retry-delay",
    "checkpoint-timeout",
    "unproved",
    "max-stop",
    // Their sources are asked at once.
    "source",
];
/// What a plan is made with.
const NEXT_PLAN: [&str; 9] = [
    "duration",
    "duration-exact",
    "deadline",
    "max-delay",
    "policy",
    "threshold",
    "carbon-budget",
    "min-run",
    "min-pause",
];
/// What a stranger's file may set beside.
const ANYONES: [&str; 14] = [
    "duration",
    "deadline",
    "max-delay",
    "name",
    "label",
    "preset",
    "pause-with",
    "min-run",
    "min-pause",
    "checkpoint-signal",
    "checkpoint-path",
    "checkpoint-timeout",
    "stop-signal",
    "grace",
];
/// The same of those that begin so.
const ANYONES_BEGIN: &str = "checkpoint-";

/// All of them, in the order of the help.
pub(super) fn all() -> Vec<Flag> {
    flags::flags()
}

/// When a change of it counts for a run that goes on.
pub(super) fn takes(flag: &Flag) -> Takes {
    match &*flag.name {
        name if AT_ONCE.contains(&name) || name == "account-with" => Takes::AtOnce,
        name if NEXT_PLAN.contains(&name) => Takes::NextPlan,
        _ => Takes::NewRun,
    }
}

/// Whether the file of a working directory may set it.
pub(super) fn is_anyones(flag: &Flag) -> bool {
    ANYONES.contains(&&*flag.name) || flag.name.starts_with(ANYONES_BEGIN)
}

/// What may stand at its key.
pub(super) fn kind(flag: &Flag) -> Kind {
    match &*flag.name {
        "source" => Kind::Sources,
        "account-with" => Kind::Source,
        "zone" => Kind::Zone,
        _ if flag.is_switch => Kind::Switch,
        _ => Kind::Flag(Box::new(flag.clone())),
    }
}

/// Something that may stand there.
pub(super) fn example(flag: &Flag) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    if let Some(first) = flag.known.first() {
        return quoted(first);
    }
    match &*flag.takes {
        "DUR" => quoted("6h"),
        "TIME" => quoted("tomorrow 09:00"),
        "N|pNN" => quoted("p30"),
        "MASS" => quoted("2kg"),
        "SIG" => quoted("USR1"),
        "GLOB" => quoted("ckpt/*.pt"),
        "RE" => quoted(r"step (?<done>\d+)/(?<total>\d+)"),
        "W" => "300".to_owned(),
        "N" => "1.2".to_owned(),
        "LIST" => "[0, 1]".to_owned(),
        "K=V" => "{ team = \"nlp\" }".to_owned(),
        "TRACE[@TIME]" => quoted("DE@2021-11-09T16:00"),
        "WHOSE" => quoted("job"),
        "ADDR" => quoted("127.0.0.1:9090"),
        "PATH" | "FILE" => quoted("catrain.out"),
        "FILE|stdout|stderr" => quoted("train.log"),
        "CMD" => quoted("echo $CATRAIN_EVENT"),
        "ARGS" => quoted("--resume latest"),
        _ => quoted("…"),
    }
}
