//! Every key that there is, once: its name, what may stand there, what it means, what holds where nobody
//! sets it, who may set it, and when a change of it counts. The checks, `config init`, `show` and
//! `schema`, the manual page of the file and what `reload` answers all follow from this table.
//!
//! The keys of `[run]` are the flags of `catrain run`, as `super::flags` reads them off the command line's own
//! definition.
//!
//! To add a key: a line in `table`, and a reader of it in `values.rs`.

use std::sync::LazyLock;
use std::time::Duration;

use super::{alerts, flags};
use crate::cli::flags::Flag;
use crate::source::Live;

/// When a change of a key counts for a run that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// From now on.
    AtOnce,
    /// The run is planned anew with it.
    NextPlan,
    /// Only for runs that begin later.
    NewRun,
}

impl Takes {
    /// As it is said.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at once",
            Self::NextPlan => "next plan",
            Self::NewRun => "new run",
        }
    }
}

/// What may stand at a key.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A grid zone.
    Zone,
    /// A source.
    Source,
    /// A source, or a list of them.
    Sources,
    /// Where to ask: `https://HOST[/PATH]`.
    BaseUrl,
    /// A name of a host, without a port.
    Host,
    /// What is told to nobody.
    Secret,
    /// An absolute path.
    Path,
    /// Any text.
    Text,
    /// Texts, or one of them.
    Texts,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One or several of these words.
    AnyOf(&'static [&'static str]),
    /// A short name, part of others: small letters, digits and `-`.
    Name,
    /// A span of the day: `22:00-07:00`.
    Hours,
    /// A time between these two.
    Time(Duration, Duration),
    /// A whole number between these two.
    Count(u32, u32),
    /// A number between these two.
    Number(f64, f64),
    /// Above 0 and up to 1.
    Share,
    /// Levels of the log: `info,caller=debug`.
    Levels,
    /// Yes or no.
    Switch,
    /// A table of zones and a source's own names of them.
    Places,
    /// What the flag of `catrain run` takes.
    Flag(Box<Flag>),
}

/// One key.
#[derive(Clone, Debug)]
pub struct Key {
    /// With its tables: `run.grace`; in a list of tables `alerts.webhook[].url`.
    pub path: String,
    /// What may stand there.
    pub kind: Kind,
    /// What holds where nobody sets it, as it would be written; none: nothing.
    pub default: Option<String>,
    /// What it means, in a sentence without a full stop.
    pub help: String,
    /// When a change counts.
    pub takes: Takes,
    /// Whether the file of a working directory may set it.
    pub is_anyones: bool,
    /// The variable that sets it as well; none for what is read elsewhere, and for lists of tables.
    pub variable: Option<String>,
}

impl Key {
    pub(super) fn new(
        path: impl Into<String>,
        kind: Kind,
        default: &str,
        takes: Takes,
        help: &str,
    ) -> Self {
        let path = path.into();
        let is_listed = path.contains("[]");
        let variable = match kind {
            Kind::Secret | Kind::Places => None,
            _ if is_listed => None,
            _ => Some(variable_of(&path)),
        };
        Self {
            path,
            kind,
            default: Some(default.to_owned()).filter(|default| !default.is_empty()),
            help: help.to_owned(),
            takes,
            is_anyones: false,
            variable,
        }
    }

    /// The same, for strangers to set too.
    fn for_anyone(mut self) -> Self {
        self.is_anyones = true;
        self
    }

    /// The same, set by this variable as well.
    fn by_variable(mut self, name: impl Into<String>) -> Self {
        self.variable = Some(name.into());
        self
    }

    /// Its name in its table.
    pub fn name(&self) -> &str {
        self.path
            .rsplit_once('.')
            .map_or(&*self.path, |(_, name)| name)
    }

    /// The table that it stands in; empty at the top.
    pub fn above(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(above, _)| above)
    }
}

/// The variable of a key: `CATRAIN_`, and its path in capitals with `_`.
pub(super) fn variable_of(path: &str) -> String {
    let sign = |c: char| match c {
        '.' | '-' => '_',
        c => c.to_ascii_uppercase(),
    };
    format!("CATRAIN_{}", path.chars().map(sign).collect::<String>())
}

/// Every key, in the order of the file that `config init` writes.
pub fn keys() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(table);
    &KEYS
}

/// The key at a path, as values are kept by: `alerts.webhook[0].url`, `sources.neso.places.GB`.
pub fn key(path: &str) -> Option<&'static Key> {
    let mut general = String::new();
    let mut is_place = false;
    for sign in path.chars() {
        match sign {
            '[' => is_place = true,
            ']' => is_place = false,
            _ if is_place => continue,
            _ => {}
        }
        general.push(sign);
    }
    let is_it = |key: &&Key| {
        let rest = general.strip_prefix(&key.path);
        rest.is_some_and(|rest| {
            rest.is_empty() || (rest.starts_with('.') && matches!(key.kind, Kind::Places))
        })
    };
    keys().iter().find(is_it)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn table() -> Vec<Key> {
    use Kind::{BaseUrl, Count, Host, OneOf, Path, Places, Secret, Share, Text, Time};
    use Takes::{AtOnce, NewRun, NextPlan};
    let mut keys = vec![
        Key::new(
            "zone",
            Kind::Zone,
            "",
            NewRun,
            "Grid zone of all that names none",
        )
        .for_anyone(),
    ];
    let all = flags::all();
    keys.extend(all.iter().map(|flag| {
        let path = format!("run.{}", flag.name);
        let switched = flag.is_switch.then(|| "false".to_owned());
        let key = Key {
            is_anyones: flags::is_anyones(flag),
            default: flag.default.clone().or(switched),
            ..Key::new(path, flags::kind(flag), "", flags::takes(flag), &flag.help)
        };
        match &flag.variable {
            // That of a zone is the zone of everything.
            Some(variable) if flag.name != "zone" => key.by_variable(variable),
            _ => key,
        }
    }));
    keys.extend(POLICY.into_iter().filter_map(|(name, flag)| {
        let flag = all.iter().find(|known| known.name == flag)?;
        let help = format!("As `run.{}`, which overrules it: {}", flag.name, flag.help);
        let path = format!("policy.{name}");
        Some(Key::new(path, flags::kind(flag), "", NextPlan, &help).for_anyone())
    }));
    for live in Live::ALL {
        let source = live.name();
        let at = |name: &str| format!("sources.{source}.{name}");
        keys.push(
            Key::new(
                at("base_url"),
                BaseUrl,
                "",
                AtOnce,
                "Where it is asked, in place of its own address",
            )
            .by_variable(format!("{}_BASE_URL", live.variable())),
        );
        if matches!(live, Live::ElectricityMaps | Live::WattTime) {
            keys.extend([
                Key::new(
                    at("key"),
                    Secret,
                    "",
                    AtOnce,
                    "Its key; better kept by `catrain key set`",
                ),
                Key {
                    variable: None,
                    ..Key::new(
                        at("key_file"),
                        Path,
                        "",
                        AtOnce,
                        "A file that holds its key",
                    )
                },
                Key {
                    variable: None,
                    ..Key::new(
                        at("key_command"),
                        Text,
                        "",
                        AtOnce,
                        "A command that prints its key",
                    )
                },
            ]);
        }
        if live == Live::ElectricityMaps {
            keys.extend([
                Key::new(
                    at("version"),
                    OneOf(&["v4", "v3"]),
                    "v4",
                    AtOnce,
                    "The version of its API",
                ),
                Key::new(
                    at("emission_factors"),
                    OneOf(&["lifecycle", "direct"]),
                    "lifecycle",
                    AtOnce,
                    "What its emission factors include",
                ),
            ]);
        }
        keys.push(Key::new(
            at("places"),
            Places,
            "",
            AtOnce,
            "Its own names of zones, where ours do not tell",
        ));
    }
    let time = |least, most| Time(least, most);
    let tenth = 100 * MILLISECOND;
    keys.extend([
        Key::new(
            "resilience.attempts",
            Count(1, 10),
            "4",
            AtOnce,
            "Tries of one call",
        ),
        Key::new(
            "resilience.retry_delay",
            time(tenth, DAY),
            "1s",
            AtOnce,
            "Wait before the second try; longer before each further one",
        ),
        Key::new(
            "resilience.timeout_floor",
            time(tenth, SECOND * 600),
            "2s",
            AtOnce,
            "Shortest time that an answer is given, however fast they were",
        ),
        Key::new(
            "resilience.timeout_ceiling",
            time(tenth, SECOND * 600),
            "30s",
            AtOnce,
            "Longest",
        ),
        Key::new(
            "resilience.at_once",
            Count(1, 16),
            "2",
            AtOnce,
            "Calls to one source at a time",
        ),
        Key::new(
            "resilience.burst",
            Count(1, 1000),
            "4",
            AtOnce,
            "Calls that may come together",
        ),
        Key::new(
            "resilience.interval",
            time(SECOND / 100, DAY),
            "1s",
            AtOnce,
            "Between calls at their fastest, after a burst",
        ),
        Key::new(
            "resilience.slowest_interval",
            time(SECOND / 100, DAY),
            "1m",
            AtOnce,
            "Between calls to a source that says it is too much",
        ),
        Key::new(
            "resilience.breaker_failures",
            Share,
            "0.5",
            AtOnce,
            "Share of calls that fail before a source is left alone for a while",
        ),
        Key::new(
            "resilience.breaker_least",
            Count(1, 20),
            "5",
            AtOnce,
            "Calls that have to be seen before that",
        ),
        Key::new(
            "resilience.breaker_cool_down",
            time(tenth, DAY),
            "30s",
            AtOnce,
            "How long it is left alone the first time",
        ),
        Key::new(
            "resilience.breaker_cool_down_most",
            time(tenth, DAY),
            "15m",
            AtOnce,
            "How long at most",
        ),
        Key::new(
            "resilience.largest_answer_bytes",
            Count(1024, 1 << 28),
            "8388608",
            AtOnce,
            "Larger answers are refused",
        ),
        Key::new(
            "cache.entries",
            Count(1, 100_000),
            "512",
            AtOnce,
            "Answers that are kept",
        ),
        Key::new(
            "cache.bytes",
            Count(1 << 16, 1 << 31),
            "67108864",
            AtOnce,
            "Bytes that they may take",
        ),
        Key::new(
            "cache.valid_least",
            time(SECOND, DAY),
            "1m",
            AtOnce,
            "How long an answer is used at least",
        ),
        Key::new(
            "cache.valid_most",
            time(SECOND, DAY),
            "1h",
            AtOnce,
            "How long at most",
        ),
        Key::new(
            "energy.share",
            OneOf(&["job", "machine"]),
            "job",
            NewRun,
            "Whose energy is counted where others use the machine too",
        ),
        Key::new(
            "energy.nvml",
            Path,
            "",
            NewRun,
            "The library to ask for GPUs, in place of the driver's",
        )
        .by_variable("CATRAIN_NVML"),
        Key::new(
            "energy.powercap",
            Path,
            "",
            NewRun,
            "The directory of RAPL's domains, in place of the kernel's",
        )
        .by_variable("CATRAIN_POWERCAP"),
        Key::new(
            "ledger.sample",
            time(SECOND, SECOND * 600),
            "10s",
            NewRun,
            "Length of a segment at first; longer ones as the file grows",
        ),
        Key::new(
            "ledger.sync",
            time(SECOND, SECOND * 600),
            "10s",
            NewRun,
            "How long what was only measured may wait to be safe on the disk",
        ),
        Key::new(
            "ledger.largest",
            Count(1 << 16, 1 << 31),
            "16777216",
            NewRun,
            "Bytes that a file may have before its segments are as long as they get",
        ),
        Key::new(
            "ledger.signing_key",
            Path,
            "",
            NewRun,
            "An Ed25519 key in PEM that the head of the record is signed with",
        ),
        Key::new(
            "serve.name",
            Host,
            "",
            NewRun,
            "A name of this machine that health and metrics may be asked by, beside those of loopback",
        ),
        Key::new(
            "serve.token_file",
            Path,
            "",
            NewRun,
            "A file of yours with the token that more than health and metrics needs, in place of one made \
             for each run",
        ),
        Key::new(
            "log.level",
            Kind::Levels,
            "",
            NewRun,
            "What runs log: off, error, warn, info or debug, also by module; nothing where it is not set",
        )
        .by_variable("CATRAIN_LOG"),
        Key::new(
            "log.file",
            Path,
            "",
            NewRun,
            "The file that they log to, for you alone; standard error where it is not set",
        ),
        Key::new(
            "log.format",
            OneOf(&["text", "json"]),
            "",
            NewRun,
            "How lines look; text on a terminal and JSON elsewhere where it is not set",
        ),
        Key::new(
            "log.largest",
            Count(1 << 12, 1 << 31),
            "10485760",
            NewRun,
            "Bytes of a file of the log before it is put aside and a new one begun",
        ),
        Key::new(
            "log.oldest",
            time(SECOND * 60, DAY * 3653),
            "7d",
            NewRun,
            "How long one file is written to before that",
        ),
        Key::new(
            "log.keep",
            Count(0, 1000),
            "5",
            NewRun,
            "How many of those put aside are kept",
        ),
        Key::new(
            "log.audit",
            Kind::Switch,
            "true",
            NewRun,
            "Note in audit.jsonl of the state directory who pauses, resumes, stops or reloads a run",
        ),
    ]);
    keys.extend(alerts::keys());
    keys
}

/// What is in `[policy]`, by the flag of `run` that it stands for.
pub(crate) const POLICY: [(&str, &str); 5] = [
    ("name", "policy"),
    ("threshold", "threshold"),
    ("carbon-budget", "carbon-budget"),
    ("min-run", "min-run"),
    ("min-pause", "min-pause"),
];
