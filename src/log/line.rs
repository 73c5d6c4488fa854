//! How an event reads: a line for people or a JSON document, without secrets. Pure: what is known to
//! be secret is an argument.

use jiff::Timestamp;
use serde_json::Value as Json;
use tracing::Level;

use crate::ledger::redact::{REDACTED, is_called_secret, redact_text};
use crate::report::text::harmless;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs: a JSON document a line.
    Json,
}

/// What happened, as it was copied out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Number(serde_json::Number),
    Flag(bool),
}

/// A text without secrets. There is no other way to one than [`Redactor::clean`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clean(String);

/// Hides secrets: those that are known as such, then by name, place and look.
pub(super) struct Redactor<'a> {
    /// Blots out secrets that this process has held.
    pub(super) known: &'a dyn Fn(&str) -> String,
}

impl Redactor<'_> {
    fn clean(&self, text: &str) -> Clean {
        Clean(redact_text(&(self.known)(text)))
    }

    /// What a field holds, hidden whole where the field is called as secrets are.
    fn value(&self, name: &str, value: &Value) -> Json {
        match value {
            Value::Text(_) if is_called_secret(name) => REDACTED.into(),
            Value::Text(text) => self.clean(text).0.into(),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Flag(flag) => (*flag).into(),
        }
    }

    /// The line of an event, with the line end.
    pub(super) fn line(&self, event: &Event, run: Option<&str>, form: Form) -> String {
        match form {
            Form::Text => self.text(event, run),
            Form::Json => self.json(event, run),
        }
    }

    fn text(&self, event: &Event, run: Option<&str>) -> String {
        let mut line = format!(
            "{:.3} {:<5} {}: {}",
            event.at,
            event.level.as_str(),
            event.target.trim_start_matches("catrain::"),
            self.clean(&event.message).0
        );
        for (name, value) in &event.fields {
            let value = match self.value(name, value) {
                Json::String(text) if is_one_word(&text) => text,
                other => other.to_string(),
            };
            line.push_str(&format!(" {name}={value}"));
        }
        if let Some(run) = run {
            line.push_str(&format!(" run={run}"));
        }
        // Lines quote what others said: a terminal must not obey it, and a line is one line.
        harmless(&line) + "\n"
    }

    fn json(&self, event: &Event, run: Option<&str>) -> String {
        let mut line = vec![
            ("at", format!("{:.3}", event.at).into()),
            ("level", event.level.as_str().to_lowercase().into()),
            ("target", event.target.clone().into()),
        ];
        line.extend(run.map(|run| ("run", run.into())));
        line.push(("message", self.clean(&event.message).0.into()));
        self.document(line, event)
    }

    /// The line of an act in the audit stream.
    pub(super) fn act(&self, event: &Event, run: Option<&str>, host: &str) -> String {
        let mut line = vec![
            ("schema", "catrain.audit/1".into()),
            ("at", format!("{:.3}", event.at).into()),
            ("host", host.into()),
        ];
        line.extend(run.map(|run| ("run", run.into())));
        line.push(("act", self.clean(&event.message).0.into()));
        self.document(line, event)
    }

    /// One JSON document in the order that people read it in; a name that has its place already is not
    /// taken twice.
    fn document(&self, mut line: Vec<(&str, Json)>, event: &Event) -> String {
        for (name, value) in &event.fields {
            if line.iter().all(|(taken, _)| taken != name) {
                line.push((name, self.value(name, value)));
            }
        }
        let members: Vec<String> = (line.iter())
            .map(|(name, value)| format!("{}:{value}", Json::from(*name)))
            .collect();
        format!("{{{}}}\n", members.join(","))
    }
}

/// Whether a value reads without quotes.
fn is_one_word(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '=';
    !text.is_empty() && !text.contains(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str, fields: Vec<(&'static str, Value)>) -> Event {
        Event {
            at: "2026-11-28T08:20:41.5Z".parse().unwrap(),
            level: Level::WARN,
            target: "catrain::caller::way".to_owned(),
            message: message.to_owned(),
            fields,
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn written(event: &Event, form: Form) -> String {
        let known = |text: &str| text.replace("known-one", REDACTED);
        Redactor { known: &known }.line(event, Some("r7k2"), form)
    }

    #[test]
    fn a_line_for_people_has_time_level_module_message_fields_and_run() {
        let fields = vec![
            ("source", text("neso")),
            ("duration_ms", Value::Number(12.into())),
            ("why", text("timed out\nafter \"3 s\"")),
        ];
        assert_eq!(
            written(&event("asked", fields), Form::Text),
            "2026-11-28T08:20:41.500Z WARN  caller::way: asked source=neso duration_ms=12 \
             why=\"timed out\\nafter \\\"3 s\\\"\" run=r7k2\n"
        );
    }

    #[test]
    fn a_line_for_programs_is_one_json_document() {
        let fields = vec![("ok", Value::Flag(true)), ("at", text("later"))];
        let line = written(&event("a\nb", fields), Form::Json);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.starts_with("{\"at\":\"2026-11-28T08:20:41.500Z\",\"level\":\"warn\""));
        let line: Json = serde_json::from_str(&line).unwrap();
        let wanted = serde_json::json!({
            "at": "2026-11-28T08:20:41.500Z", "level": "warn", "target": "catrain::caller::way",
            "run": "r7k2", "message": "a\nb", "ok": true,
        });
        assert_eq!(line, wanted);
    }

    #[test]
    fn secrets_are_hidden_by_value_by_name_by_place_and_by_look() {
        let token = format!("ghp_{}", "a1B2".repeat(12));
        let planted = [
            "it was known-one, as ever".to_owned(),
            "Authorization: Basic aHVzaDpodXNo".to_owned(),
            "got {\"access_token\": \"hush\", \"zone\": \"DE\"}".to_owned(),
            "GET https://me:hush@example.org/x".to_owned(),
            "GET https://example.org/x?zone=DE&api_key=hush".to_owned(),
            "Bearer hush".to_owned(),
            format!("found {token} there"),
            "https://hooks.slack.com/services/T0/B0/hush".to_owned(),
            "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----".to_owned(),
        ];
        for planted in &planted {
            for form in [Form::Text, Form::Json] {
                let fields = vec![("why", text(planted)), ("api_key", text("hush"))];
                let line = written(&event(planted, fields), form);
                for secret in ["hush", "known-one", "aHVzaDpodXNo", &token] {
                    assert!(!line.contains(secret), "{line}");
                }
                assert_eq!(line.matches('\n').count(), 1);
                assert!(line.contains("r7k2"));
            }
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_done() {
        let line = written(&event("\x1b[2J", vec![]), Form::Text);
        assert!(!line.contains('\x1b'), "{line:?}");
    }
}
