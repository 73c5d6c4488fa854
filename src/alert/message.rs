//! What goes out together over one channel: a title, and as text. Pure.

use std::fmt::Write;

use jiff::tz::TimeZone;

use super::letter::{Alert, State};
use super::rule::Rule;
use crate::report::text::harmless;

/// Most alerts of one message. More are the next one's.
pub const MOST: usize = 20;
/// Most characters of a title, before the count of others.
const TITLE: usize = 120;

/// What goes out together. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Its id: that of its first alert.
    pub id: &'a str,
    /// What it says, in the order of time.
    pub alerts: Vec<&'a Alert>,
}

impl<'a> Message<'a> {
    /// One of these alerts; none where there are none.
    pub fn of(alerts: impl IntoIterator<Item = &'a Alert>) -> Option<Self> {
        let mut alerts: Vec<&Alert> = alerts.into_iter().collect();
        alerts.sort_by_key(|alert| alert.at);
        let id = &alerts.first()?.id;
        Some(Self { id, alerts })
    }

    /// The weightiest of what it says, and how much else there is. In one line.
    pub fn title(&self) -> String {
        let weight = |alert: &&Alert| {
            let place = Rule::ALL.iter().position(|rule| *rule == alert.rule);
            (alert.state == State::Recovered, place)
        };
        let first = self.alerts.iter().copied().min_by_key(weight);
        let title = first.map(Alert::title).unwrap_or_default();
        let title = cut(&harmless(&title), TITLE);
        match self.alerts.len() - 1 {
            0 => title,
            others => format!("{title} (and {others} more)"),
        }
    }

    /// All of it as plain text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for alert in &self.alerts {
            let _ = writeln!(text, "{} {}", mark(alert), harmless(&alert.title()));
            for line in details(alert) {
                let _ = writeln!(text, "  {line}");
            }
            text.push('\n');
        }
        text
    }
}

/// A word on what became of it.
pub(super) fn mark(alert: &Alert) -> &'static str {
    match alert.state {
        State::Recovered => "over:",
        State::Test => "test:",
        State::Happened | State::Raised if alert.rule.is_good() => "note:",
        State::Happened | State::Raised => "alert:",
    }
}

/// The lines beneath a title, harmless.
pub(super) fn details(alert: &Alert) -> Vec<String> {
    let advice = alert.advice();
    let more = alert.more();
    let said = [alert.words.why.as_str(), &advice]
        .into_iter()
        .chain(more.as_deref())
        .filter(|line| !line.is_empty())
        .map(harmless);
    said.chain([origin(alert)]).collect()
}

/// When, and of which run.
pub(super) fn origin(alert: &Alert) -> String {
    let at = alert.at.to_zoned(TimeZone::UTC);
    let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let run = match alert.run.id.as_str() {
        "" => String::new(),
        id => format!(", run {id}"),
    };
    let zone = match alert.run.zone.as_str() {
        "" => String::new(),
        zone => format!(", zone {zone}"),
    };
    harmless(&format!(
        "{at}{run}{zone} on {} ({})",
        alert.run.host, alert.rule
    ))
}

/// At most so many characters, with a mark where some are missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::alert;
    use super::*;

    #[test]
    fn a_message_says_what_happened_why_and_what_to_do() {
        let mut failed = alert(Rule::JobFailed, State::Happened);
        failed.similar = 2;
        let message = Message::of([&failed]).unwrap();
        insta::assert_snapshot!(message.text().trim_end(), @r"
        alert: finetune: the job failed
          it ended with 3
          catrain report r7k2 shows what led to it
          2 more like it were not told before
          2026-11-24 18:00:00 UTC, run r7k2, zone DE on node7 (job-failed)
        ");
    }

    #[test]
    fn the_title_names_the_weightiest() {
        let mut kept = alert(Rule::DeadlineAtRisk, State::Recovered);
        kept.words.what = "the deadline was kept".to_owned();
        let ended = alert(Rule::RunEnded, State::Happened);
        let failed = alert(Rule::JobFailed, State::Happened);
        let message = Message::of([&kept, &ended, &failed]).unwrap();
        assert_eq!(message.title(), "finetune: the job failed (and 2 more)");
        assert_eq!(Message::of([]), None);
    }

    #[test]
    fn a_name_can_begin_no_line_of_its_own() {
        let mut bad = alert(Rule::JobFailed, State::Happened);
        bad.run.name = "a\r\nBcc: everybody@example.org\u{202e}".to_owned();
        let message = Message::of([&bad]).unwrap();
        assert!(!message.title().contains(['\r', '\n', '\u{202e}']));
        assert!(!message.text().contains("\nBcc"));
        bad.run.name = "x".repeat(1000);
        let message = Message::of([&bad]).unwrap();
        assert_eq!(message.title().chars().count(), TITLE);
    }
}
