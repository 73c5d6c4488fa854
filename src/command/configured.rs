//! What the configuration sets of the flags of `catrain run`, put in front of what was typed, so that both
//! are read by the same definition and what was typed counts.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::{self, Cli, RunArgs, RunOptions};
use crate::config::table;
use crate::config::{Config, Layer, Read, Set, Value, Values};
use crate::error::Failure;

/// Options of the program that take a value and may stand before the subcommand.
const GLOBAL: [&str; 5] = [
    "--color",
    "--profile",
    "--log-level",
    "--log-file",
    "--log-format",
];
/// Keys of `[run]` that are not put in front: those who ask sources read them themselves.
const ELSEWHERE: [&str; 2] = ["source", "account-with"];
/// Flags that say nothing without another.
const NEEDS: [(&str, &str); 2] = [("speed", "replay"), ("duration-exact", "duration")];

/// What was typed, and what is configured.
#[derive(Clone, Debug)]
pub struct Configured {
    /// In force.
    pub(super) config: Config,
    /// As it was read.
    pub(super) read: Read,
    typed: Vec<OsString>,
}

impl Configured {
    /// Reads the configuration for what was typed.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn load(typed: Vec<OsString>, profile: Option<&str>) -> Result<Self, Failure> {
        let (config, read) = super::sources::load(profile)?;
        Ok(Self {
            config,
            read,
            typed,
        })
    }

    /// The same for what is to be started in another directory.
    ///
    /// # Errors
    /// As [`Configured::load`].
    pub(super) fn load_in(
        directory: &Path,
        typed: Vec<OsString>,
        profile: Option<&str>,
    ) -> Result<Self, Failure> {
        let (config, read) = super::sources::load_in(directory, profile)?;
        Ok(Self {
            config,
            read,
            typed,
        })
    }

    /// The run that was typed, with what is set.
    ///
    /// # Errors
    /// As [`Configured::cli`], or no run was typed.
    pub(super) fn run(&self) -> Result<RunArgs, Failure> {
        match parse(&self.typed, &self.config.values)?.command {
            cli::Command::Run(args) => Ok(*args),
            _ => Err(Failure::usage("no run was typed")),
        }
    }

    /// The command line as it counts: what was typed, as it was read, and what is set.
    ///
    /// # Errors
    /// What is set does not go with what was typed.
    pub(super) fn cli(&self, read: Cli) -> Result<Cli, Failure> {
        let mut tables = ["run", "policy"].into_iter();
        // Reading it again takes as long as the rest of a start.
        match tables.any(|table| self.config.values.below(table).next().is_some()) {
            true => parse(&self.typed, &self.config.values),
            false => Ok(read),
        }
    }

    /// The options of `run` or `attach` with another configuration.
    ///
    /// # Errors
    /// As [`Configured::cli`].
    pub(super) fn options(&self, config: &Config) -> Result<RunOptions, Failure> {
        match parse(&self.typed, &config.values)?.command {
            cli::Command::Run(args) => Ok(args.options),
            cli::Command::Attach(args) => Ok(args.options),
            cli::Command::Slurm(args) => match args.action {
                cli::SlurmAction::Submit(args) => Ok(args.options),
                cli::SlurmAction::Watch(_) => Err(Failure::usage("no run was typed")),
            },
            _ => Err(Failure::usage("neither run nor attach was typed")),
        }
    }
}

impl Configured {
    /// The arguments of the program without its name.
    pub(super) fn words(&self) -> &[OsString] {
        self.typed.get(1..).unwrap_or_default()
    }

    /// The options that stand before the subcommand, but for colours, which are for whoever looks on.
    pub(super) fn globals(&self) -> Vec<String> {
        let mut globals = Vec::new();
        let mut words = self.words().iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
            let value = GLOBAL
                .contains(&word.as_ref())
                .then(|| words.next())
                .flatten();
            if !word.starts_with("--color") {
                globals.push(word.into_owned());
                globals.extend(value.map(|value| value.into_owned()));
            }
        }
        globals
    }

    /// Whether an option of the subcommand, or of the subcommand of that, was typed on the command line.
    pub(super) fn is_typed(&self, id: &str) -> bool {
        let Ok(matches) = Cli::command().try_get_matches_from(&self.typed) else {
            return false;
        };
        let mut at = &matches;
        while let Some((_, below)) = at.subcommand() {
            at = below;
        }
        at.try_contains_id(id).is_ok() && at.value_source(id) == Some(ValueSource::CommandLine)
    }
}

/// What was typed with what is set.
fn parse(argv: &[OsString], values: &Values) -> Result<Cli, Failure> {
    let command = Cli::command();
    // It was read before without an error.
    let matches = (command.clone().try_get_matches_from(argv))
        .map_err(|error| Failure::usage(in_a_line(&error)))?;
    let flags = match matches.subcommand() {
        Some((name @ ("run" | "attach"), typed)) => flags(&[name], &command, typed, values),
        Some(("slurm", typed)) => match typed.subcommand() {
            Some(("submit", typed)) => flags(&["slurm", "submit"], &command, typed, values),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let depth = match matches.subcommand_name() {
        Some("slurm") => 2,
        _ => 1,
    };
    let words = in_front(argv, depth, flags.iter().map(|(flag, _)| flag.clone()));
    let read = command
        .try_get_matches_from(words)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    read.map_err(|error| {
        let places: Vec<&str> = flags.iter().map(|(_, place)| place.as_str()).collect();
        Failure::usage(in_a_line(&error)).hint(format!(
            "what is set at {} counts as typed; nothing was started",
            places.join(", ")
        ))
    })
}

/// Flags for what is set and not typed, each with its place.
fn flags(
    names: &[&str],
    command: &Command,
    typed: &ArgMatches,
    values: &Values,
) -> Vec<(OsString, String)> {
    let mut command = command;
    for name in names {
        let Some(found) = command.find_subcommand(name) else {
            return Vec::new();
        };
        command = found;
    }
    let is_moot_for = |long: &str, value: &Value| match names {
        ["attach"] => is_for_a_start(long, value),
        ["slurm", ..] => is_for_a_terminal(long),
        _ => false,
    };
    let is_typed = |id: &str| {
        let source = typed
            .try_contains_id(id)
            .is_ok()
            .then(|| typed.value_source(id));
        matches!(
            source.flatten(),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    let mut flags = Vec::new();
    for arg in command.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        let Some(set) = set_of(long, values) else {
            continue;
        };
        let is_moot = NEEDS.iter().any(|(flag, other)| {
            *flag == long && !is_typed(other) && set_of(other, values).is_none()
        });
        if ELSEWHERE.contains(&long)
            || is_moot_for(long, &set.value)
            || is_moot
            || is_typed(arg.get_id().as_str())
            || goes_against(arg, command, &is_typed)
        {
            continue;
        }
        let words = match &set.value {
            Value::Switch(false) => continue,
            Value::Switch(true) => vec![format!("--{long}")],
            Value::Texts(texts) => texts
                .iter()
                .map(|text| format!("--{long}={text}"))
                .collect(),
            Value::Text(text) => vec![format!("--{long}={text}")],
            _ => continue,
        };
        let words = words.into_iter().map(OsString::from);
        flags.extend(words.map(|word| (word, set.place.clone())));
    }
    flags
}

/// Whether a flag cannot be used with one that was typed.
fn goes_against(arg: &Arg, command: &Command, is_typed: &impl Fn(&str) -> bool) -> bool {
    let are = |one: &Arg, other: &Arg| {
        let conflicts = command.get_arg_conflicts_with(one);
        conflicts
            .iter()
            .any(|conflict| conflict.get_id() == other.get_id())
    };
    let mut typed = command
        .get_arguments()
        .filter(|arg| is_typed(arg.get_id().as_str()));
    typed.any(|typed| are(arg, typed) || are(typed, arg))
}

/// Whether a flag is only for a job that is started.
fn is_for_a_start(flag: &str, value: &Value) -> bool {
    let is = |words: &[&str]| matches!(value, Value::Text(text) if words.contains(&text.as_str()));
    match flag {
        "tty" | "detach" | "retries" | "resume-args" | "leftovers" | "replay" | "speed" => true,
        "pause-with" => is(&["restart", "requeue", "suspend", "auto"]),
        "progress-from" => is(&["stdout", "stderr"]),
        _ => false,
    }
}

/// Whether a flag is only for a run that somebody looks at, or for a day that is over: no job in a queue has it.
fn is_for_a_terminal(flag: &str) -> bool {
    matches!(flag, "tty" | "detach" | "replay" | "speed")
}

/// What is set of a flag: in `[run]`, or by a layer as late in `[policy]`.
fn set_of<'a>(flag: &str, values: &'a Values) -> Option<&'a Set> {
    let run = values.get(&format!("run.{flag}"));
    let policy = (table::POLICY.iter())
        .find(|(_, of)| *of == flag)
        .and_then(|(name, _)| values.get(&format!("policy.{name}")));
    let rank = |set: &Set| match set.by {
        Layer::Environment(_) => (true, set.by.rank()),
        _ => (set.profile.is_some(), set.by.rank()),
    };
    match (run, policy) {
        (Some(run), Some(policy)) if rank(policy) > rank(run) => Some(policy),
        (run, policy) => run.or(policy),
    }
}

/// The words with flags right behind the subcommand, or the subcommand of that.
fn in_front(
    argv: &[OsString],
    depth: usize,
    flags: impl Iterator<Item = OsString>,
) -> Vec<OsString> {
    let mut place = 1;
    let mut behind = place;
    for _ in 0..depth {
        while let Some(word) = argv.get(place) {
            match word.to_str() {
                Some(word) if GLOBAL.contains(&word) => place += 2,
                Some(word) if word.starts_with('-') => place += 1,
                _ => break,
            }
        }
        place = (place + 1).min(argv.len());
        behind = place;
    }
    let mut words = argv[..behind].to_vec();
    words.extend(flags);
    words.extend_from_slice(&argv[behind..]);
    words
}

fn in_a_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let what = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let what: Vec<&str> = what.filter(|line| !line.is_empty()).collect();
    what.join(" ").trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::Kind;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn read(config: &str, typed: &str) -> Result<RunOptions, String> {
        let layer = Layer::User("own.toml".into());
        let config = Read::text(layer, config.to_owned()).configuration(None, |_| None);
        let config = config.map_err(|problems| problems.to_string())?;
        let configured = Configured {
            config: config.clone(),
            read: Read::default(),
            typed: words(typed),
        };
        configured
            .options(&config)
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_set_counts_as_typed_and_what_is_typed_counts_more() {
        let config = "[run]\ngrace = '7s'\nretries = 3\nlabel = { team = 'nlp' }\noffline = true\n\
                      gpus = [0, '2']\n";
        let options = read(config, "catrain --color never run -- true").unwrap();
        assert_eq!(options.grace.unwrap().as_secs(), 7);
        assert_eq!(options.retries, 3);
        assert_eq!(options.label, [("team".to_owned(), "nlp".to_owned())]);
        assert_eq!(options.gpus, ["0", "2"]);
        assert!(options.offline);
        let options = read(config, "catrain run --grace 9s --label a=b -- run").unwrap();
        assert_eq!(options.grace.unwrap().as_secs(), 9);
        assert_eq!(options.label, [("a".to_owned(), "b".to_owned())]);
        let options = read(config, "catrain --profile run attach 4711").unwrap();
        assert_eq!(options.grace.unwrap().as_secs(), 7);
        assert_eq!(options.retries, 0, "what runs already is not tried again");
    }

    #[test]
    fn what_is_set_counts_for_a_job_that_is_submitted_but_for_what_needs_a_terminal() {
        let config = "[run]\ngrace = '7s'\ntty = true\nreplay = 'DE@2021-11-09T16:00'\n";
        let typed = "catrain --color never slurm --color never submit -d 6h -- -t 5 run.sh";
        let options = read(config, typed).unwrap();
        assert_eq!(options.grace.unwrap().as_secs(), 7);
        assert!(!options.tty && options.replay.is_none());
        assert_eq!(options.duration.unwrap().as_secs(), 6 * 3600);
    }

    #[test]
    fn what_does_not_go_with_what_was_typed_gives_way() {
        let options = read("run.detach = true", "catrain run --tty -- sh").unwrap();
        assert!(options.tty && !options.detach);
        let replay = "run.replay = 'DE@2021-11-09T16:00'";
        let options = read(replay, "catrain run -s built-in -- true").unwrap();
        assert!(options.replay.is_none());
    }

    #[test]
    fn what_cannot_be_together_is_told_with_its_places() {
        let config = "\n[run]\ntty = true\ndetach = true\n";
        let why = read(config, "catrain run -- true").unwrap_err();
        for part in ["--tty", "--detach", "own.toml:3:7", "own.toml:4:10"] {
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn what_says_nothing_alone_waits_for_what_it_goes_with() {
        let config = "[run]\nduration-exact = true\nspeed = 60\n";
        assert!(!read(config, "catrain run -- true").unwrap().duration_exact);
        let typed = "catrain run -d 6h --replay DE@2021-11-09T16:00 -- true";
        let options = read(config, typed).unwrap();
        assert!(options.duration_exact && options.speed == 60.0);
    }

    #[test]
    fn the_policy_of_a_table_of_its_own_counts_where_run_says_nothing() {
        let config = "[policy]\nname = 'threshold'\nthreshold = 'p20'\n";
        let options = read(config, "catrain run -- true").unwrap();
        assert!(options.policy.is_some() && options.threshold.is_some());
        let config = format!("{config}[run]\npolicy = 'now'\n");
        let options = read(&config, "catrain run -- true").unwrap();
        assert_eq!(options.policy, Some(crate::cli::PolicyName::Now));
    }

    #[test]
    fn every_shown_flag_of_run_is_a_key_of_the_same_name() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for arg in run.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let Some(long) = arg.get_long() else { continue };
            if ["help", "color", "profile"].contains(&long) {
                continue;
            }
            let key = table::key(&format!("run.{long}"));
            let key = key.unwrap_or_else(|| panic!("--{long} is no key"));
            let is_switch = matches!(arg.get_action(), clap::ArgAction::SetTrue);
            assert_eq!(matches!(key.kind, Kind::Switch), is_switch, "{long}");
            assert!(!key.help.is_empty(), "{long}");
        }
        assert!(table::key("run.no-such-flag").is_none());
    }
}
