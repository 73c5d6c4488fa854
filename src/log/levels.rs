//! What is logged, by module: `info`, or `warn,caller=debug`. Pure.

use std::fmt;
use std::str::FromStr;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::parse;

/// The name before every module: no other library is heard, since some say what headers hold.
const OURS: &str = "catrain";
/// The modules that say something.
pub(super) const MODULES: [&str; 8] = [
    "audit",
    "caller",
    "command",
    "config",
    "control",
    "keys",
    "log",
    "supervise",
];
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// How much is logged, of everything and of single modules.
#[derive(Clone, PartialEq)]
pub struct Levels {
    text: String,
    targets: Targets,
}

impl Levels {
    /// Each decision, once.
    pub fn usual() -> Self {
        let text = "info".to_owned();
        text.parse().expect("`info` is a level")
    }

    /// Whether an event of this module and level is logged.
    pub fn take(&self, target: &str, level: &Level) -> bool {
        self.targets.would_enable(target, level)
    }

    /// Nothing above this is logged of any module.
    pub(super) fn most(&self) -> LevelFilter {
        let levels = self.targets.iter().map(|(_, level)| level);
        levels.max().unwrap_or(LevelFilter::OFF)
    }
}

impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut targets = Targets::new();
        // A variable that is set to nothing is not set.
        let text = if text.trim().is_empty() { "off" } else { text };
        for part in text.split(',').map(str::trim) {
            let (module, level) = match part.split_once('=') {
                Some((module, level)) => (Some(module.trim()), level.trim()),
                None => (None, part),
            };
            let level = level_of(level)?;
            let target = match module {
                Some(module) => target_of(module)?,
                None => OURS.to_owned(),
            };
            targets = targets.with_target(target, level);
        }
        let text = text.to_owned();
        Ok(Self { text, targets })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Levels({})", self.text)
    }
}

fn level_of(word: &str) -> Result<LevelFilter, String> {
    let lower = word.to_ascii_lowercase();
    if LEVELS.contains(&lower.as_str()) {
        return lower.parse().map_err(|_| format!("`{word}` is no level"));
    }
    let meant = parse::nearest(&lower, LEVELS)
        .map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
    Err(format!(
        "`{word}` is no level{meant}: off, error, warn, info, debug or trace, also by module: `info,caller=debug`"
    ))
}

/// `caller`, or `catrain::caller` with whatever is below it.
fn target_of(module: &str) -> Result<String, String> {
    let path = module.strip_prefix("catrain::").unwrap_or(module);
    let first = path.split("::").next().unwrap_or(path);
    if MODULES.contains(&first) {
        return Ok(format!("{OURS}::{path}"));
    }
    let meant = parse::nearest(first, MODULES)
        .map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
    Err(format!(
        "`{module}` is no module that logs{meant}: {}",
        MODULES.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(text: &str) -> impl Fn(&str, Level) -> bool {
        let levels: Levels = text.parse().unwrap();
        move |target, level| levels.take(target, &level)
    }

    #[test]
    fn a_module_is_heard_at_its_own_level_and_all_others_at_the_common_one() {
        let takes = takes("info, caller=debug,catrain::command::run=trace,keys=off");
        assert!(takes("catrain::supervise", Level::INFO));
        assert!(!takes("catrain::supervise", Level::DEBUG));
        assert!(takes("catrain::caller::way", Level::DEBUG));
        assert!(takes("catrain::command::run::journal", Level::TRACE));
        assert!(!takes("catrain::command::key", Level::DEBUG));
        assert!(!takes("catrain::keys", Level::ERROR));
    }

    #[test]
    fn other_libraries_are_not_heard_whatever_they_say() {
        let takes = takes("trace");
        assert!(takes("catrain::caller", Level::TRACE));
        assert!(!takes("h2::codec::framed_write", Level::ERROR));
        assert_eq!("warn".parse::<Levels>().unwrap().most(), LevelFilter::WARN);
        assert_eq!("off".parse::<Levels>().unwrap().most(), LevelFilter::OFF);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_may_be() {
        let why = |text: &str| text.parse::<Levels>().unwrap_err();
        assert!(why("inof").contains("did you mean `info`?"));
        assert!(why("info,").contains("no level"));
        assert_eq!("".parse::<Levels>().unwrap().most(), LevelFilter::OFF);
        assert!(why("info,h2=debug").contains("`h2` is no module that logs"));
        assert!(why("calller=debug").contains("did you mean `caller`?"));
        assert!(why("caller=loud").contains("`loud` is no level"));
    }

    #[test]
    fn the_modules_that_log_are_modules() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for module in MODULES {
            let there = [source.join(module), source.join(format!("{module}.rs"))];
            let is_part = source.join("log").join(format!("{module}.rs")).exists();
            assert!(
                is_part || there.iter().any(|path| path.exists()),
                "{module}"
            );
        }
    }
}
