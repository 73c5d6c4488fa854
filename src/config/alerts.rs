//! `[alerts]` and the lists of channels below it: their keys, what of them does not go together, and
//! what they set.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::ExposeSecret;

use super::table::{Key, Kind, Takes};
use super::{Problem, Values};
use crate::alert::email;
use crate::alert::quiet::Quiet;
use crate::alert::rule::{NAMES, Rule};
use crate::alert::settings::{By, Channel, Email, Encryption, Rules, Settings};
use crate::caller::is_post_url;
use crate::forecast;
use crate::keys::Configured;
use crate::units::GramsPerKwh;

/// The lists of channels.
const LISTS: [&str; 3] = ["alerts.webhook", "alerts.slack", "alerts.email"];
/// Kinds of intensities that may be too bad, by their names.
const KINDS: [(&str, forecast::Kind); 5] = [
    ("cached", forecast::Kind::Cached),
    ("interpolated", forecast::Kind::Interpolated),
    ("rescaled", forecast::Kind::Rescaled),
    ("profile", forecast::Kind::Profile),
    ("regional-average", forecast::Kind::RegionalAverage),
];
const KIND_NAMES: [&str; 5] = [KINDS[0].0, KINDS[1].0, KINDS[2].0, KINDS[3].0, KINDS[4].0];
const HOUR: Duration = Duration::from_hours(1);
const WEEK: Duration = Duration::from_hours(7 * 24);
/// No intensity is higher.
const HIGHEST: f64 = 5000.0;

/// The keys.
pub(super) fn keys() -> Vec<Key> {
    let key = |path: &str, kind, default: &str, help: &str| {
        Key::new(format!("alerts.{path}"), kind, default, Takes::NewRun, help)
    };
    let time = Kind::Time;
    let zero = Duration::ZERO;
    let intensity = Kind::Number(0.0, HIGHEST);
    let mut keys = vec![
        key(
            "rules",
            Kind::AnyOf(&NAMES),
            "",
            "What is told at all; everything where this is not set",
        ),
        key(
            "gather",
            time(zero, HOUR),
            "5s",
            "How long what comes together is waited for",
        ),
        key(
            "flush",
            time(zero, Duration::from_secs(60)),
            "3s",
            "How long the end of a run waits for alerts that are under way",
        ),
        key(
            "quiet",
            Kind::Hours,
            "",
            "Hours of the day, by the local clock, in which what can wait does",
        ),
        key(
            "urgent",
            Kind::AnyOf(&NAMES),
            "deadline-missed,job-failed,watchdog-lost",
            "What does not wait even then",
        ),
        key(
            "deadline_margin",
            time(zero, WEEK),
            "10m",
            "A deadline is at risk with less than this to spare",
        ),
        key(
            "intensity_above",
            intensity.clone(),
            "",
            "In g/kWh: tell when the intensity is above this for a while",
        ),
        key(
            "intensity_below",
            intensity,
            "",
            "In g/kWh: tell when it is below this for a while",
        ),
        key(
            "intensity_for",
            time(zero, WEEK),
            "30m",
            "How long a while is",
        ),
        key(
            "degraded_to",
            Kind::OneOf(&KIND_NAMES),
            "profile",
            "Tell when intensities are known no better than so",
        ),
        key("degraded_for", time(zero, WEEK), "5m", "For how long"),
    ];
    keys.extend(Rule::ALL.into_iter().map(|rule| {
        let default = match rule.usual_cool_down() {
            Duration::ZERO => "0s",
            _ => "1h",
        };
        let help = format!("How long no more is told of `{rule}`, after it was");
        key(
            &format!("cool_down.{rule}"),
            time(zero, WEEK),
            default,
            &help,
        )
    }));
    let secret_url = "Where to; what stands behind the host is told to nobody";
    keys.extend(channel(
        "webhook",
        "signs each message (HMAC-SHA256)",
        vec![key("webhook[].url", Kind::Secret, "", secret_url)],
    ));
    keys.extend(channel(
        "slack",
        "is the URL, where `url` is not set",
        vec![key(
            "slack[].url",
            Kind::Secret,
            "",
            "The URL of an incoming webhook; told to nobody",
        )],
    ));
    keys.extend(channel(
        "email",
        "is the password",
        vec![
            key("email[].host", Kind::Text, "", "The mail server"),
            key(
                "email[].port",
                Kind::Count(1, 65_535),
                "",
                "Its port: 465 for tls, 587 for starttls, 25 for none where this is not set",
            ),
            key(
                "email[].encryption",
                Kind::OneOf(&["starttls", "tls", "none"]),
                "starttls",
                "How the connection is kept private; `none` is for loopback only",
            ),
            key("email[].user", Kind::Text, "", "As whom to log in"),
            key("email[].from", Kind::Text, "", "From whom"),
            key("email[].to", Kind::Texts, "", "To whom"),
            key(
                "email[].ca_file",
                Kind::Path,
                "",
                "Certificates to trust, in PEM, in place of the system's",
            ),
        ],
    ));
    keys
}

/// The keys that every channel has, around its own.
fn channel(list: &str, what_its_key_does: &str, own: Vec<Key>) -> Vec<Key> {
    let key = |name: &str, kind, default: &str, help: &str| {
        let path = format!("alerts.{list}[].{name}");
        Key::new(path, kind, default, Takes::NewRun, help)
    };
    let mut keys = vec![key(
        "name",
        Kind::Name,
        "",
        "Its name: small letters, digits and `-`",
    )];
    keys.extend(own);
    let help =
        format!("Its key, which {what_its_key_does}; better kept by `catrain key set alert-NAME`");
    keys.extend([
        key("key", Kind::Secret, "", &help),
        key("key_file", Kind::Path, "", "A file that holds its key"),
        key(
            "key_command",
            Kind::Text,
            "",
            "A command that prints its key",
        ),
        key(
            "rules",
            Kind::AnyOf(&NAMES),
            "",
            "What it is told; everything where this is not set",
        ),
        key(
            "recovery",
            Kind::Switch,
            "true",
            "Whether it is told that something is over",
        ),
    ]);
    keys
}

/// The places of all channels: `alerts.webhook[0]`.
fn rows(values: &Values) -> impl Iterator<Item = (&'static str, String)> {
    LISTS.into_iter().flat_map(|list| {
        (0..values.rows(list)).map(move |place| (list, format!("{list}[{place}]")))
    })
}

/// What is wrong with channels, each at its place.
pub(super) fn problems(values: &Values) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for (list, row) in rows(values) {
        let at = |name: &str| format!("{row}.{name}");
        // Where its name stands, else whatever of it.
        let place = |path: &str| {
            let set = (values.get(path)).or_else(|| values.below(&row).next().map(|(_, set)| set));
            set.map_or_else(|| row.clone(), |set| set.place.clone())
        };
        let mut problem = |path: &str, what: String| {
            let place = place(path);
            problems.push(Problem { place, what });
        };
        let mut needed = vec!["name"];
        match list {
            "alerts.webhook" => needed.push("url"),
            "alerts.email" => needed.extend(["host", "from", "to"]),
            _ => {}
        }
        let lacks: Vec<String> = needed
            .into_iter()
            .filter(|name| values.get(&at(name)).is_none())
            .map(|name| format!("`{name}`"))
            .collect();
        if !lacks.is_empty() {
            problem(&row, format!("`{row}` lacks {}", lacks.join(" and ")));
        }
        if let Some(name) = values.text(&at("name")) {
            let path = at("name");
            if !names.insert(name.to_owned()) {
                problem(
                    &path,
                    format!("there are two channels of the name `{name}`"),
                );
            }
        }
        if let Some(url) = values.secret(&at("url"))
            && let Err(why) = is_post_url(url.expose_secret())
        {
            problem(&at("url"), format!("`{}` {why}", at("url")));
        }
        if list == "alerts.email"
            && lacks.is_empty()
            && let Err(why) = email::check(&email_of(values, &row))
        {
            problem(&at("host"), format!("`{row}`: {why}"));
        }
    }
    problems
}

/// What is set of alerts, and of the key of each channel by its name.
pub fn settings(values: &Values) -> (Settings, Vec<(String, Configured)>) {
    let mut settings = Settings::default();
    let time = |name: &str| values.time(&format!("alerts.{name}"));
    let rules = |path: &str| -> Option<BTreeSet<Rule>> {
        let names = values.texts(path)?;
        Some(
            names
                .iter()
                .filter_map(|name| Rule::of_name(name))
                .collect(),
        )
    };
    settings.gather = time("gather").unwrap_or(settings.gather);
    settings.flush = time("flush").unwrap_or(settings.flush);
    settings.quiet =
        (values.text("alerts.quiet")).and_then(|text| Quiet::parse(text, TimeZone::system()).ok());
    settings.urgent = rules("alerts.urgent").unwrap_or(settings.urgent);
    let usual = Rules::default();
    let limit = |name: &str| values.number(&format!("alerts.{name}")).map(GramsPerKwh);
    let kind = values.text("alerts.degraded_to").and_then(|name| {
        let known = KINDS.iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| *kind)
    });
    settings.rules = Rules {
        on: rules("alerts.rules").unwrap_or(usual.on),
        cool_down: Rule::ALL
            .into_iter()
            .filter_map(|rule| Some((rule, time(&format!("cool_down.{rule}"))?)))
            .collect(),
        deadline_margin: time("deadline_margin").unwrap_or(usual.deadline_margin),
        above: limit("intensity_above"),
        below: limit("intensity_below"),
        intensity_for: time("intensity_for").unwrap_or(usual.intensity_for),
        degraded_to: kind.unwrap_or(usual.degraded_to),
        degraded_for: time("degraded_for").unwrap_or(usual.degraded_for),
    };
    let mut keys = Vec::new();
    for (list, row) in rows(values) {
        let at = |name: &str| format!("{row}.{name}");
        let url = || values.secret(&at("url")).cloned();
        let by = match (list, url()) {
            ("alerts.webhook", Some(url)) => By::Webhook { url },
            ("alerts.slack", url) => By::Slack { url },
            ("alerts.email", _) => By::Email(email_of(values, &row)),
            _ => continue,
        };
        let name = values.text(&at("name")).unwrap_or_default().to_owned();
        let key = Configured {
            key: values.secret(&at("key")).cloned(),
            key_file: values.text(&at("key_file")).map(PathBuf::from),
            key_command: values.text(&at("key_command")).map(str::to_owned),
        };
        keys.push((name.clone(), key));
        settings.channels.push(Channel {
            name,
            takes: rules(&at("rules")),
            recovery: values.switch(&at("recovery")).unwrap_or(true),
            by,
        });
    }
    (settings, keys)
}

fn email_of(values: &Values, row: &str) -> Email {
    let at = |name: &str| format!("{row}.{name}");
    let text = |name: &str| values.text(&at(name)).map(str::to_owned);
    let port = values.count(&at("port"));
    Email {
        host: text("host").unwrap_or_default(),
        port: port.and_then(|port| u16::try_from(port).ok()),
        encryption: match text("encryption").as_deref() {
            Some("tls") => Encryption::Tls,
            Some("none") => Encryption::None,
            _ => Encryption::StartTls,
        },
        user: text("user"),
        from: text("from").unwrap_or_default(),
        to: values.texts(&at("to")).unwrap_or_default(),
        ca_file: text("ca_file").map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, Read};

    fn read(text: &str) -> Result<Settings, String> {
        let read = Read::text(Layer::User("own.toml".into()), text.to_owned());
        let config = read.configuration(None, |_| None);
        let config = config.map_err(|problems| problems.to_string())?;
        Ok(settings(&config.values).0)
    }

    #[test]
    fn nothing_is_told_to_anybody_where_nothing_is_set() {
        let unset = read("").unwrap();
        assert!(unset.channels.is_empty());
        assert_eq!(unset.rules, Rules::default());
    }

    #[test]
    fn what_is_told_to_hold_is_what_holds() {
        let mut text = "[alerts]\n".to_owned();
        for key in keys().iter().filter(|key| !key.path.contains("[]")) {
            if let Some(default) = &key.default {
                let list: Vec<&str> = default.split(',').collect();
                let name = key.path.strip_prefix("alerts.").unwrap();
                match key.kind {
                    Kind::AnyOf(_) => text.push_str(&format!("{name} = {list:?}\n")),
                    _ => text.push_str(&format!("{name} = {default:?}\n")),
                }
            }
        }
        let (set, unset) = (read(&text).unwrap(), Settings::default());
        assert_eq!(set.gather, unset.gather);
        assert_eq!(set.flush, unset.flush);
        assert_eq!(set.urgent, unset.urgent);
        for rule in Rule::ALL {
            assert_eq!(
                set.rules.cool_down(rule),
                unset.rules.cool_down(rule),
                "{rule}"
            );
        }
        let set = Rules {
            cool_down: unset.rules.cool_down.clone(),
            ..set.rules
        };
        assert_eq!(set, unset.rules);
    }

    #[test]
    fn channels_are_read_in_their_order() {
        let text = "
            [alerts]
            quiet = '22:00-07:00'
            intensity_above = 400
            cool_down.job-failed = '10m'
            [[alerts.webhook]]
            name = 'ops'
            url = 'https://example.org/hook?token=x'
            rules = ['job-failed', 'run-ended']
            recovery = false
            [[alerts.slack]]
            name = 'chat'
            [[alerts.email]]
            name = 'me'
            host = 'mail.example.org'
            from = 'catrain <catrain@example.org>'
            to = 'me@example.org'
            encryption = 'tls'
        ";
        let set = read(text).unwrap();
        let called: Vec<String> = set.channels.iter().map(Channel::called).collect();
        assert_eq!(called, ["webhook `ops`", "slack `chat`", "email `me`"]);
        assert_eq!(
            set.rules.cool_down(Rule::JobFailed),
            Duration::from_mins(10)
        );
        assert_eq!(set.rules.above, Some(GramsPerKwh(400.0)));
        assert!(set.quiet.is_some());
        let takes = set.channels[0].takes.clone().unwrap();
        assert_eq!(takes, [Rule::JobFailed, Rule::RunEnded].into());
        assert!(!set.channels[0].recovery && set.channels[1].recovery);
        assert!(!format!("{set:?}").contains("token=x"));
    }

    #[test]
    fn what_cannot_work_is_told_with_its_place_and_without_the_url() {
        let text = "[[alerts.webhook]]\nname = 'ops'\nurl = 'http://example.org/secret'\n\
                    [[alerts.slack]]\nname = 'ops'\n[[alerts.slack]]\nname = 'A/b'\n\
                    [[alerts.webhook]]\nname = 'c'\n[[alerts.email]]\nname = 'd'\nhost = 'h'\n\
                    from = 'x'\nto = 'a@b'\n[alerts]\n";
        let why = read(text).unwrap_err();
        for part in [
            "own.toml:3:7: `alerts.webhook[0].url` is plain http",
            "own.toml:5:8: there are two channels of the name `ops`",
            "own.toml:7:8: `alerts.slack[1].name`: `A/b` is no name",
            "`alerts.webhook[1]` lacks `url`",
            "`alerts.email[0]`: `x` is no address",
        ] {
            assert!(why.contains(part), "{part} in {why}");
        }
        assert!(!why.contains("secret"), "{why}");
        let why = read("alerts.quiet = 'at night'").unwrap_err();
        assert!(why.contains("such as 22:00-07:00"), "{why}");
    }
}
