//! What was typed for `sbatch`, and what a script asks of it in its `#SBATCH` lines. Pure.
//!
//! Options are read as `getopt_long` reads them, since `sbatch` does: long names may be cut short while they
//! stay unambiguous, values stand behind `=`, glued to a short option, or in the next word, and the first
//! word that is none is the script. Where an option is set more than once, the command line outranks the
//! variables (`SBATCH_…`), and these outrank the script (sbatch(1), "INPUT ENVIRONMENT VARIABLES").

use std::ffi::{OsStr, OsString};

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::job::TimeLimit;
use super::settings::Settings;

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// Only behind `=`, or glued to a short option.
    Maybe,
}
use Takes::{Maybe, Nothing, Value};

/// An option: its name, its short form, whether it takes a value.
type Known = (&'static str, Option<char>, Takes);

/// Options of sbatch(1), of Slurm 20.02 to 25.05.
const OPTIONS: &[Known] = &[
    ("account", Some('A'), Value),
    ("acctg-freq", None, Value),
    ("array", Some('a'), Value),
    ("batch", None, Value),
    ("bb", None, Value),
    ("bbf", None, Value),
    ("begin", Some('b'), Value),
    ("chdir", Some('D'), Value),
    ("cluster-constraint", None, Value),
    ("clusters", Some('M'), Value),
    ("comment", None, Value),
    ("consolidate-segments", None, Nothing),
    ("constraint", Some('C'), Value),
    ("container", None, Value),
    ("container-id", None, Value),
    ("contiguous", None, Nothing),
    ("core-spec", Some('S'), Value),
    ("cores-per-socket", None, Value),
    ("cpu-freq", None, Value),
    ("cpus-per-gpu", None, Value),
    ("cpus-per-task", Some('c'), Value),
    ("deadline", None, Value),
    ("delay-boot", None, Value),
    ("dependency", Some('d'), Value),
    ("distribution", Some('m'), Value),
    ("error", Some('e'), Value),
    ("exclude", Some('x'), Value),
    ("exclusive", None, Maybe),
    ("export", None, Value),
    ("export-file", None, Value),
    ("extra", None, Value),
    ("extra-node-info", Some('B'), Value),
    ("get-user-env", None, Maybe),
    ("gid", None, Value),
    ("gpu-bind", None, Value),
    ("gpu-freq", None, Value),
    ("gpus", Some('G'), Value),
    ("gpus-per-node", None, Value),
    ("gpus-per-socket", None, Value),
    ("gpus-per-task", None, Value),
    ("gres", None, Value),
    ("gres-flags", None, Value),
    ("help", Some('h'), Nothing),
    ("hint", None, Value),
    ("hold", Some('H'), Nothing),
    ("ignore-pbs", None, Nothing),
    ("input", Some('i'), Value),
    ("job-name", Some('J'), Value),
    ("kill-on-invalid-dep", None, Value),
    ("licenses", Some('L'), Value),
    ("mail-type", None, Value),
    ("mail-user", None, Value),
    ("mcs-label", None, Value),
    ("mem", None, Value),
    ("mem-bind", None, Value),
    ("mem-per-cpu", None, Value),
    ("mem-per-gpu", None, Value),
    ("mincpus", None, Value),
    ("network", None, Value),
    ("nice", None, Maybe),
    ("no-kill", Some('k'), Maybe),
    ("no-requeue", None, Nothing),
    ("nodefile", Some('F'), Value),
    ("nodelist", Some('w'), Value),
    ("nodes", Some('N'), Value),
    ("ntasks", Some('n'), Value),
    ("ntasks-per-core", None, Value),
    ("ntasks-per-gpu", None, Value),
    ("ntasks-per-node", None, Value),
    ("ntasks-per-socket", None, Value),
    ("oom-kill-step", None, Maybe),
    ("open-mode", None, Value),
    ("output", Some('o'), Value),
    ("overcommit", Some('O'), Nothing),
    ("oversubscribe", Some('s'), Nothing),
    ("parsable", None, Nothing),
    ("partition", Some('p'), Value),
    ("power", None, Value),
    ("prefer", None, Value),
    ("priority", None, Value),
    ("profile", None, Value),
    ("propagate", None, Maybe),
    ("qos", Some('q'), Value),
    ("quiet", Some('Q'), Nothing),
    ("reboot", None, Nothing),
    ("requeue", None, Nothing),
    ("reservation", None, Value),
    ("resv-ports", None, Maybe),
    ("segment", None, Value),
    ("share", None, Nothing),
    ("signal", None, Value),
    ("sockets-per-node", None, Value),
    ("spread-job", None, Nothing),
    ("spread-segments", None, Nothing),
    ("stepmgr", None, Nothing),
    ("switches", None, Value),
    ("test-only", None, Nothing),
    ("thread-spec", None, Value),
    ("threads-per-core", None, Value),
    ("time", Some('t'), Value),
    ("time-min", None, Value),
    ("tmp", None, Value),
    ("tree-width", None, Value),
    ("tres-bind", None, Value),
    ("tres-per-task", None, Value),
    ("uid", None, Value),
    ("usage", None, Nothing),
    ("use-min-nodes", None, Nothing),
    ("verbose", Some('v'), Nothing),
    ("version", Some('V'), Nothing),
    ("wait", Some('W'), Nothing),
    ("wait-all-nodes", None, Value),
    ("wckey", None, Value),
    ("wrap", None, Value),
    ("x11", None, Maybe),
];

/// Variables that stand for options, as far as the plan depends on them, and whether the option is a switch.
const VARIABLES: &[(&str, &str, bool)] = &[
    ("SBATCH_TIMELIMIT", "time", false),
    ("SBATCH_PARTITION", "partition", false),
    ("SBATCH_ARRAY_INX", "array", false),
    ("SBATCH_JOB_NAME", "job-name", false),
    ("SLURM_CLUSTERS", "clusters", false),
    ("SBATCH_CLUSTERS", "clusters", false),
    ("SBATCH_REQUEUE", "requeue", true),
    ("SBATCH_NO_REQUEUE", "no-requeue", true),
    ("SBATCH_WAIT", "wait", true),
];

/// An option as it is set somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its long name.
    pub name: String,
    /// Its value; of a switch none.
    pub value: Option<String>,
}

/// What was typed for `sbatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Its options as words, without `--wrap` and `--parsable`, which are ours to give.
    pub words: Vec<OsString>,
    /// What they set, in order.
    pub set: Vec<Set>,
    /// The command of `--wrap`.
    pub wrap: Option<Vec<u8>>,
    /// The script; none: it comes from standard input, or from `--wrap`.
    pub script: Option<OsString>,
    /// The script's arguments.
    pub arguments: Vec<OsString>,
}

/// Reads what stands behind `--`.
///
/// # Errors
/// An option that is not known, of which nobody can say whether the next word is its value; one without its
/// value; or a name cut too short.
pub fn read(words: &[OsString]) -> Result<Typed, String> {
    let mut typed = Typed::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let bytes = word.as_encoded_bytes();
        if bytes == b"--" {
            typed.script = rest.next().cloned();
            break;
        }
        if bytes.len() < 2 || bytes[0] != b'-' {
            typed.script = Some(word.clone());
            break;
        }
        let (sets, wants) = option(word)?;
        let mut kept = vec![word.clone()];
        let mut wrap = None;
        for mut set in sets {
            if wants.as_ref() == Some(&set.name) {
                let value = rest
                    .next()
                    .ok_or_else(|| format!("`{}` of sbatch needs a value", word.display()))?;
                set.value = Some(value.to_string_lossy().into_owned());
                kept.push(value.clone());
            }
            if set.name == "wrap" {
                wrap = Some(match kept.get(1) {
                    Some(value) => value.as_encoded_bytes().to_vec(),
                    None => behind_equals(word),
                });
            }
            typed.set.push(set);
        }
        match (wrap, typed.set.last().map(|set| set.name.as_str())) {
            (Some(command), _) => typed.wrap = Some(command),
            (None, Some("parsable")) => {}
            _ => typed.words.extend(kept),
        }
    }
    typed.arguments = rest.cloned().collect();
    Ok(typed)
}

/// What one word sets, and which of that takes the next word as its value.
fn option(word: &OsStr) -> Result<(Vec<Set>, Option<String>), String> {
    let text = word.to_string_lossy();
    let set = |name: &str, value: Option<&str>| Set {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    if let Some(long) = text.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        return match (named(name)?, value) {
            (Some((name, _, Value)), None) => Ok((vec![set(name, None)], Some((*name).to_owned()))),
            (Some((name, _, Nothing)), Some(_)) => {
                Err(format!("`--{name}` of sbatch takes no value"))
            }
            (Some((name, ..)), value) => Ok((vec![set(name, value)], None)),
            // Of a newer Slurm: its value cannot be taken for the script.
            (None, Some(value)) => Ok((vec![set(name, Some(value))], None)),
            (None, None) => Err(format!(
                "`--{name}` is no option of sbatch that is known here, so it cannot be told whether the \
                 next word is its value; write `--{name}=VALUE`"
            )),
        };
    }
    let mut sets = Vec::new();
    let letters = &text[1..];
    for (at, letter) in letters.char_indices() {
        let known = OPTIONS.iter().find(|(_, short, _)| *short == Some(letter));
        let Some((name, _, takes)) = known else {
            return Err(format!("`-{letter}` is no option of sbatch"));
        };
        let glued = &letters[at + letter.len_utf8()..];
        match (takes, glued) {
            (Nothing, _) => sets.push(set(name, None)),
            (Value, "") => {
                sets.push(set(name, None));
                return Ok((sets, Some((*name).to_owned())));
            }
            (Maybe, "") => sets.push(set(name, None)),
            (Value | Maybe, glued) => {
                sets.push(set(name, Some(glued)));
                break;
            }
        }
    }
    Ok((sets, None))
}

/// The option of this name, or of the only one that begins so.
fn named(name: &str) -> Result<Option<&'static Known>, String> {
    if let Some(exact) = OPTIONS.iter().find(|(known, ..)| *known == name) {
        return Ok(Some(exact));
    }
    let near: Vec<_> = OPTIONS
        .iter()
        .filter(|(known, ..)| !name.is_empty() && known.starts_with(name))
        .collect();
    match near.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|(name, ..)| format!("`--{name}`"))
                .collect();
            Err(format!(
                "`--{name}` of sbatch may be {}; write it whole",
                names.join(" or ")
            ))
        }
    }
}

/// The value of `--name=value` as it was typed, also where it is no text.
fn behind_equals(word: &OsStr) -> Vec<u8> {
    let bytes = word.as_encoded_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=');
    let value = at.map_or(&[][..], |at| &bytes[at + 1..]);
    value.to_vec()
}

/// Which lines of a script are `#SBATCH` lines that count: those before the first that is neither a comment
/// nor empty.
pub fn directives(script: &str) -> Vec<&str> {
    let leading = script.lines().take_while(|line| is_leading(line));
    leading.filter(|line| line.starts_with("#SBATCH")).collect()
}

/// Whether `sbatch` reads on after this line.
pub fn is_leading(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// What the `#SBATCH` lines of a script set.
///
/// # Errors
/// An open quote, or as [`read`].
pub fn in_script(script: &str) -> Result<Vec<Set>, String> {
    let mut set = Vec::new();
    let mut words = Vec::new();
    for line in directives(script) {
        let text = &line["#SBATCH".len()..];
        let split = split(text).ok_or_else(|| format!("`{line}` has an open quote"))?;
        words.extend(split.into_iter().map(OsString::from));
    }
    // What is none of an option there is sbatch's to refuse.
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let typed =
            read(rest).map_err(|why| format!("in a line `#SBATCH` of the script: {why}"))?;
        set.extend(typed.set);
        let behind = typed.arguments.len();
        rest = &rest[rest.len() - behind..];
    }
    Ok(set)
}

/// Words as `sbatch` splits them: quotes and backslashes as in a shell, `#` at the beginning of a word starts
/// a comment.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '#') if word.is_none() => break,
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), letter) if open == letter => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// What is set for a job, wherever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// By strength, the weakest first: the script, the variables, the command line.
    layers: [Vec<Set>; 3],
}

impl Asked {
    /// By what the script, the environment and the command line set.
    pub fn of(
        script: Vec<Set>,
        variable: impl Fn(&str) -> Option<String>,
        typed: Vec<Set>,
    ) -> Self {
        let set = VARIABLES.iter().filter_map(|(name, option, is_switch)| {
            let value = variable(name)?;
            // A switch is set by nothing, `yes`, or a number other than 0.
            let is_on = value.is_empty()
                || value == "yes"
                || value.parse::<i64>().is_ok_and(|number| number != 0);
            (!is_switch || is_on).then(|| Set {
                name: (*option).to_owned(),
                value: (!is_switch).then_some(value),
            })
        });
        Self {
            layers: [script, set.collect(), typed],
        }
    }

    /// The value that counts.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut all = self
            .layers
            .iter()
            .rev()
            .flat_map(|layer| layer.iter().rev());
        all.find(|set| set.name == name)?.value.as_deref()
    }

    /// Whether it is set anywhere.
    pub fn has(&self, name: &str) -> bool {
        self.layers.iter().flatten().any(|set| set.name == name)
    }

    /// Whether a requeue is asked for, or forbidden; none: the cluster's `JobRequeue` counts.
    pub fn requeue(&self) -> Option<bool> {
        let mut all = self
            .layers
            .iter()
            .rev()
            .flat_map(|layer| layer.iter().rev());
        all.find_map(|set| match set.name.as_str() {
            "requeue" => Some(true),
            "no-requeue" => Some(false),
            _ => None,
        })
    }
}

/// A time for `--begin` as sbatch(1) has it: `now+60`, `now+2hours`, `16:00`, `4:30pm`, `noon`, `midnight`,
/// `teatime`, `fika`, `today`, `tomorrow`, `2026-11-28`, `2026-11-28T16:00[:00]`, `11/28/26-16:00`, `1128[26]`;
/// none: it is in no form that is known here.
pub fn begin(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(rest) = text.strip_prefix("now") {
        return later(rest.trim(), now);
    }
    let local = now.to_zoned(zone.clone());
    let today = local.date();
    let zoned = |at: DateTime| at.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    match text.as_str() {
        "today" => return Some(now),
        "tomorrow" => return zoned(today.tomorrow().ok()?.at(0, 0, 0, 0)),
        _ => {}
    }
    if let Some(time) = time_of_day(&text) {
        return next(&local, time);
    }
    let (date, time) = match text.split_once('t').or_else(|| text.split_once('-')) {
        Some((day, time)) if date(day, today).is_some() => (date(day, today)?, time_of_day(time)?),
        _ => (date(&text, today)?, Time::midnight()),
    };
    zoned(date.to_datetime(time))
}

/// `+60`, `+2hours`, or nothing: now.
fn later(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text.is_empty() {
        return Some(now);
    }
    let text = text.strip_prefix('+')?.trim();
    let digits = text.len()
        - text
            .trim_start_matches(|it: char| it.is_ascii_digit())
            .len();
    let (count, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "s" | "second" | "seconds" => 1,
        "m" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 7 * 86_400,
        _ => return None,
    };
    let seconds = count.parse::<i64>().ok()?.checked_mul(unit)?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The next such time: today's, or tomorrow's where that has passed.
fn next(local: &Zoned, time: Time) -> Option<Timestamp> {
    let today = local.date().to_datetime(time);
    let at = today.to_zoned(local.time_zone().clone()).ok()?;
    if at.timestamp() > local.timestamp() {
        return Some(at.timestamp());
    }
    let tomorrow = local.date().tomorrow().ok()?.to_datetime(time);
    let at = tomorrow.to_zoned(local.time_zone().clone()).ok()?;
    Some(at.timestamp())
}

fn time_of_day(text: &str) -> Option<Time> {
    match text.trim() {
        "midnight" => return Some(Time::midnight()),
        "noon" => return Time::new(12, 0, 0, 0).ok(),
        "fika" => return Time::new(15, 0, 0, 0).ok(),
        "teatime" => return Time::new(16, 0, 0, 0).ok(),
        _ => {}
    }
    let (clock, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(clock), _) => (clock.trim(), Some(0)),
        (_, Some(clock)) => (clock.trim(), Some(12)),
        _ => (text.trim(), None),
    };
    if !clock.contains(':') {
        return None;
    }
    let parts: Option<Vec<i8>> = clock.split(':').map(|part| part.parse().ok()).collect();
    let (hour, minute, second) = match parts?.as_slice() {
        [hour, minute] => (*hour, *minute, 0),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    let hour = match half {
        None => hour,
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        Some(_) => return None,
    };
    Time::new(hour, minute, second, 0).ok()
}

/// `2026-11-28`, `11/28[/26]`, `11.28.26`, `1128[26]`; a day without a year is the next such day.
fn date(text: &str, today: Date) -> Option<Date> {
    let year = |text: &str| {
        let year: i16 = text.parse().ok()?;
        Some(if year < 100 { 2000 + year } else { year })
    };
    let numbers: Vec<&str> = text.split(['-', '/', '.']).collect();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let (given, month, day) = match numbers.as_slice() {
        [first, month, day] if first.len() == 4 => (Some(year(first)?), *month, *day),
        [month, day, last] => (Some(year(last)?), *month, *day),
        [month, day] => (None, *month, *day),
        [all] if digits && all.len() == 4 => (None, &all[..2], &all[2..]),
        [all] if digits && all.len() == 6 => (Some(year(&all[4..])?), &all[..2], &all[2..4]),
        _ => return None,
    };
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    match given {
        Some(year) => Date::new(year, month, day).ok(),
        None => {
            let this = Date::new(today.year(), month, day).ok()?;
            match this < today {
                true => Date::new(today.year() + 1, month, day).ok(),
                false => Some(this),
            }
        }
    }
}

/// A partition's limits, as `scontrol show partition -o` writes them, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    /// Its name.
    pub name: String,
    /// Whether it is the cluster's default.
    pub is_default: bool,
    /// What a job has that asks for no limit: the default, else the longest.
    pub usual: TimeLimit,
}

/// Reads what `scontrol show partition -o` writes.
pub fn partitions(text: &str) -> Vec<Partition> {
    let partition = |line: &str| {
        let told = Settings::of_words(line);
        let limit = |name: &str| TimeLimit::parse(told.get(name).unwrap_or_default());
        Some(Partition {
            name: told.get("PartitionName")?.to_owned(),
            is_default: told.is("Default", "YES"),
            usual: match limit("DefaultTime") {
                TimeLimit::Unknown => limit("MaxTime"),
                known => known,
            },
        })
    };
    text.lines().filter_map(partition).collect()
}

/// What a job has that asks for no limit: of the first of its partitions, since nobody knows in which it
/// starts, the shortest.
pub fn usual_limit(partitions: &[Partition], asked: Option<&str>) -> TimeLimit {
    let is_meant = |partition: &Partition| match asked {
        Some(names) => names.split(',').any(|name| name.trim() == partition.name),
        None => partition.is_default,
    };
    let length = |limit: TimeLimit| match limit {
        TimeLimit::Of(time) => time,
        TimeLimit::Unlimited | TimeLimit::Unknown => std::time::Duration::MAX,
    };
    let meant = partitions
        .iter()
        .filter(|it| is_meant(it))
        .map(|it| it.usual);
    meant.min_by_key(|limit| length(*limit)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        let words = shlex::split(text).unwrap();
        words.into_iter().map(OsString::from).collect()
    }

    fn set(name: &str, value: Option<&str>) -> Set {
        Set {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn options_are_told_from_the_script_as_getopt_does() {
        for (text, sets, script, arguments) in [
            ("t.sh -x --y", vec![], Some("t.sh"), "-x --y"),
            (
                "-t 60 t.sh",
                vec![set("time", Some("60"))],
                Some("t.sh"),
                "",
            ),
            (
                "-t60 t.sh a",
                vec![set("time", Some("60"))],
                Some("t.sh"),
                "a",
            ),
            (
                "--time=60 t.sh",
                vec![set("time", Some("60"))],
                Some("t.sh"),
                "",
            ),
            (
                "--time 60 t.sh",
                vec![set("time", Some("60"))],
                Some("t.sh"),
                "",
            ),
            (
                "--part=main t.sh",
                vec![set("partition", Some("main"))],
                Some("t.sh"),
                "",
            ),
            (
                "-HN2 -W t.sh",
                vec![
                    set("hold", None),
                    set("nodes", Some("2")),
                    set("wait", None),
                ],
                Some("t.sh"),
                "",
            ),
            // An optional value is never the next word.
            (
                "--exclusive t.sh",
                vec![set("exclusive", None)],
                Some("t.sh"),
                "",
            ),
            (
                "--exclusive=user t.sh",
                vec![set("exclusive", Some("user"))],
                Some("t.sh"),
                "",
            ),
            ("-k t.sh", vec![set("no-kill", None)], Some("t.sh"), ""),
            (
                "--brandnew=x t.sh",
                vec![set("brandnew", Some("x"))],
                Some("t.sh"),
                "",
            ),
            ("-- -t", vec![], Some("-t"), ""),
            ("-n 2", vec![set("ntasks", Some("2"))], None, ""),
            ("- a", vec![], Some("-"), "a"),
        ] {
            let typed = read(&words(text)).unwrap();
            assert_eq!(typed.set, sets, "{text}");
            assert_eq!(typed.script, script.map(OsString::from), "{text}");
            assert_eq!(typed.arguments, words(arguments), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_read_is_refused_with_what_to_write() {
        for (text, part) in [
            ("--brandnew x t.sh", "--brandnew=VALUE"),
            ("-t", "needs a value"),
            ("-Z t.sh", "-Z"),
            ("--hold=yes t.sh", "takes no value"),
            ("--gpu x", "`--gpu-bind` or `--gpu-freq` or `--gpus`"),
        ] {
            let why = read(&words(text)).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn what_is_ours_to_give_is_not_passed_on() {
        let typed = read(&words("--parsable -N1 --wrap 'python t.py' ")).unwrap();
        assert_eq!(typed.words, words("-N1"));
        assert_eq!(typed.wrap, Some(b"python t.py".to_vec()));
        let typed = read(&words("--wrap='a=b c' -t 5")).unwrap();
        assert_eq!(
            (typed.wrap, typed.words),
            (Some(b"a=b c".to_vec()), words("-t 5"))
        );
    }

    #[test]
    fn lines_of_the_script_count_until_the_first_command() {
        let script = "#!/bin/sh\n#SBATCH -t 1:00:00 --job-name='my job' # why\n\n# words\n   \
                      #SBATCH --not-at-the-beginning\n#SBATCH --array=0-3%2\n#SBATCHnot=\necho\n#SBATCH -p late\n";
        assert_eq!(directives(script).len(), 3);
        let script = script.replace("#SBATCHnot=\n", "");
        let set_in = in_script(&script).unwrap();
        assert_eq!(
            set_in,
            [
                set("time", Some("1:00:00")),
                set("job-name", Some("my job")),
                set("array", Some("0-3%2")),
            ]
        );
        in_script("#!/bin/sh\n#SBATCH --job-name='x\n").unwrap_err();
        // As in sbatch(1), a value may stand in quotes or behind a backslash, and `#` within a word is none.
        let one = in_script("#!/bin/sh\n#SBATCH -J a\\ b#c\n").unwrap();
        assert_eq!(one, [set("job-name", Some("a b#c"))]);
    }

    /// Of sbatch(1):
    /// > Environment variables will override any options set in a batch script, and command line
    /// > options will override any environment variables.
    #[test]
    fn the_command_line_outranks_variables_and_these_the_script() {
        let script = || in_script("#!/bin/sh\n#SBATCH -t 1 -p a --no-requeue\n").unwrap();
        let variable = |name: &str| match name {
            "SBATCH_TIMELIMIT" => Some("2".to_owned()),
            "SBATCH_REQUEUE" => Some(String::new()),
            "SBATCH_WAIT" => Some("0".to_owned()),
            _ => None,
        };
        let asked = Asked::of(script(), |_| None, Vec::new());
        assert_eq!(
            (asked.value("time"), asked.requeue()),
            (Some("1"), Some(false))
        );
        let asked = Asked::of(script(), variable, Vec::new());
        assert_eq!(
            (asked.value("time"), asked.requeue()),
            (Some("2"), Some(true))
        );
        assert!(!asked.has("wait") && asked.value("partition") == Some("a"));
        let typed = read(&words("--no-requeue -t 3 -t 4 x")).unwrap().set;
        let asked = Asked::of(script(), variable, typed);
        assert_eq!(
            (asked.value("time"), asked.requeue()),
            (Some("4"), Some(false))
        );
        assert_eq!(Asked::default().requeue(), None);
    }

    #[test]
    fn a_begin_time_is_read_as_sbatch_reads_it() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-28T11:30:00+01:00".parse().unwrap();
        for (text, at) in [
            ("now", "2026-11-28T11:30:00"),
            ("now+60", "2026-11-28T11:31:00"),
            ("now+2hours", "2026-11-28T13:30:00"),
            ("now + 1 day", "2026-11-29T11:30:00"),
            ("now+1week", "2026-12-05T11:30:00"),
            ("16:00", "2026-11-28T16:00:00"),
            ("4:30PM", "2026-11-28T16:30:00"),
            ("12:15am", "2026-11-29T00:15:00"),
            ("08:00:30", "2026-11-29T08:00:30"),
            ("midnight", "2026-11-29T00:00:00"),
            ("noon", "2026-11-28T12:00:00"),
            ("teatime", "2026-11-28T16:00:00"),
            ("tomorrow", "2026-11-29T00:00:00"),
            ("2027-01-20T12:34:00", "2027-01-20T12:34:00"),
            ("2027-01-20T12:34", "2027-01-20T12:34:00"),
            ("2027-01-20", "2027-01-20T00:00:00"),
            ("12/24/26", "2026-12-24T00:00:00"),
            ("1224", "2026-12-24T00:00:00"),
            ("0101", "2027-01-01T00:00:00"),
        ] {
            let expected: DateTime = at.parse().unwrap();
            let expected = expected.to_zoned(zone.clone()).unwrap().timestamp();
            assert_eq!(begin(text, now, &zone), Some(expected), "{text}");
        }
        for text in [
            "",
            "soon",
            "now+",
            "now+5 parsecs",
            "25:00",
            "13:00pm",
            "2026-13-01",
        ] {
            assert_eq!(begin(text, now, &zone), None, "{text}");
        }
    }

    #[test]
    fn the_limit_of_a_job_that_asks_for_none_is_its_partitions() {
        let text = "PartitionName=main AllowGroups=ALL Default=YES DefaultTime=NONE MaxTime=UNLIMITED State=UP\n\
                    PartitionName=gpu Default=NO DefaultTime=01:00:00 MaxTime=2-00:00:00\n\
                    PartitionName=long Default=NO DefaultTime=NONE MaxTime=4-00:00:00\n";
        let all = partitions(text);
        let hours = |hours| TimeLimit::Of(Duration::from_hours(hours));
        for (asked, limit) in [
            (None, TimeLimit::Unlimited),
            (Some("gpu"), hours(1)),
            (Some("long"), hours(96)),
            (Some("long,gpu"), hours(1)),
            (Some("other"), TimeLimit::Unknown),
        ] {
            assert_eq!(usual_limit(&all, asked), limit, "{asked:?}");
        }
    }
}
