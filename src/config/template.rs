//! The file that `config init` writes: every key, each with what it means and what holds where nobody sets it.
//! Generated from the table of keys. Pure.

use std::fmt::Write;

use super::table::{Key, Kind, keys};
use super::{check, flags};

const OPENING: &str = "\
# The configuration of catrain. Later wins: /etc/catrain/config.toml, this file, ./catrain.toml of the working
# directory (data from a stranger: it may set little), the profile, variables such as CATRAIN_RUN_GRACE, flags.
#
# Every key there is stands here; one in a comment is as it is where nobody sets it, or an example. In brackets is
# when a change counts for a run that goes on: at once, with its next plan, or only for new runs. `catrain config check`
# looks a file over, `catrain config show --origin` tells what is in force and who set it.
";

const PROFILES: &str = "
# Profiles: what is set in one counts, over all else in files, with `--profile NAME` or CATRAIN_PROFILE.

# Trying things out: nothing waits.
[profile.dev.run]
policy = \"now\"
summary = \"text\"

# As in earnest, but nothing waits for long.
[profile.staging.run]
max-delay = \"2h\"
retries = 0

# Unattended for months.
[profile.prod.run]
detach = true
retries = 3
retry-delay = \"1m\"
";

/// The text of the file.
pub fn template() -> String {
    let mut text = OPENING.to_owned();
    let mut above = "";
    for key in keys() {
        if key.above() != above {
            above = key.above();
            let head = match above.strip_suffix("[]") {
                // Each table in a list is one more of its kind.
                Some(list) => format!("#[[{list}]]"),
                None => format!("[{above}]"),
            };
            let _ = write!(text, "\n{head}\n");
        }
        for line in wrapped(&format!("{} ({}).", key.help, key.takes.as_str())) {
            let _ = writeln!(text, "# {line}");
        }
        let value = default_of(key).unwrap_or_else(|| example(key));
        let _ = writeln!(text, "#{} = {value}", key.name());
    }
    text + PROFILES
}

/// What holds where nobody sets a key, as it would stand in a file; none: nothing does.
pub fn default_of(key: &Key) -> Option<String> {
    Some(written(key, key.default.as_deref()?))
}

/// A value as it would stand in a file.
pub(super) fn written(key: &Key, text: &str) -> String {
    check::from_text(key, text).map_or_else(|_| text.to_owned(), |value| value.to_toml())
}

/// Something that may stand there.
pub(super) fn example(key: &Key) -> String {
    match &key.kind {
        Kind::Zone => "\"DE\"".to_owned(),
        Kind::Source => "\"watttime\"".to_owned(),
        Kind::Sources => "[\"energy-charts\", \"built-in\"]".to_owned(),
        Kind::BaseUrl => "\"https://example.org\"".to_owned(),
        Kind::Host => "\"gpu7.example.org\"".to_owned(),
        Kind::Secret => "\"…\"".to_owned(),
        Kind::Path => format!("\"/path/to/{}\"", key.name().replace('_', "-")),
        Kind::Text => "\"…\"".to_owned(),
        Kind::Levels => "\"info,caller=debug\"".to_owned(),
        Kind::Texts => "[\"…\"]".to_owned(),
        Kind::OneOf(known) => format!("\"{}\"", known.first().unwrap_or(&"")),
        Kind::AnyOf(known) => format!("[\"{}\"]", known.first().unwrap_or(&"")),
        Kind::Name => "\"ops\"".to_owned(),
        Kind::Hours => "\"22:00-07:00\"".to_owned(),
        Kind::Time(least, _) => super::Value::Time(*least).to_toml(),
        Kind::Count(least, _) => least.to_string(),
        Kind::Number(least, _) => super::Value::Number(*least).to_toml(),
        Kind::Share => "0.5".to_owned(),
        Kind::Switch => "false".to_owned(),
        Kind::Places => "{ DE = \"DE-LU\" }".to_owned(),
        Kind::Flag(flag) => flags::example(flag),
    }
}

/// Lines of a comment.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one from the beginning");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + word.chars().count() < 110 {
            let _ = write!(last, " {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Read};

    fn read(text: &str) -> Result<crate::config::Config, String> {
        let read = Read::text(Layer::User("own.toml".into()), text.to_owned());
        read.configuration(None, |_| None)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn as_it_is_written_it_sets_nothing_but_profiles() {
        let read = Read::text(Layer::User("own.toml".into()), template());
        assert_eq!(read.profiles(), ["dev", "prod", "staging"]);
        let config = read.configuration(None, |_| None).unwrap();
        assert_eq!(config.values.iter().count(), 0);
        for name in read.profiles() {
            let config = read.configuration(Some(name), |_| None).unwrap();
            assert!(config.values.iter().count() > 0, "{name}");
        }
    }

    #[test]
    fn every_line_in_a_comment_may_be_taken_out_of_it() {
        let (mut above, mut seen) = (String::new(), 0);
        for line in template().lines() {
            if line.starts_with('[') || line.starts_with("#[[") {
                above = line.trim_start_matches('#').to_owned();
            }
            let Some(set) = line
                .strip_prefix('#')
                .filter(|set| !set.starts_with([' ', '[']))
            else {
                continue;
            };
            if set.is_empty() {
                continue;
            }
            seen += 1;
            let alone = read(&format!("{above}\n{set}\n"));
            if let Err(why) = alone {
                // A row of a list may lack what another key gives; an example may not be wrong.
                assert!(above.starts_with("[["), "{above} {set}: {why}");
                assert!(why.contains("lacks"), "{above} {set}: {why}");
            }
        }
        assert_eq!(seen, keys().len());
    }

    #[test]
    fn what_is_told_to_hold_is_what_holds() {
        let mut text = String::new();
        let mut above = "";
        for key in keys()
            .iter()
            .filter(|key| !key.path.starts_with("run.") && !key.path.contains("[]"))
        {
            let Some(default) = &key.default else {
                continue;
            };
            if key.above() != above {
                above = key.above();
                let _ = writeln!(text, "[{above}]");
            }
            let _ = writeln!(text, "{} = {}", key.name(), written(key, default));
        }
        let (set, unset) = (read(&text).unwrap(), read("").unwrap());
        assert_eq!(set.resilience, unset.resilience);
        let usual = crate::ledger::Options::default();
        assert_eq!(set.ledger.sample.unwrap().value, usual.sample);
        assert_eq!(set.ledger.sync.unwrap().value, usual.sync);
        assert_eq!(set.ledger.largest.unwrap().value, usual.largest);
    }
}
