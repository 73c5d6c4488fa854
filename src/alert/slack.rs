//! A message as blocks for an incoming webhook of Slack's, within what Slack takes. Pure.
//!
//! Limits: 50 blocks a message, 150 characters of plain text a header, 3000 a section's text,
//! 10 elements a context (<https://docs.slack.dev/reference/block-kit/blocks>, read in November 2026).
//! In text `&`, `<` and `>` are escaped, so that nobody is called and nothing linked by a job's name
//! (<https://docs.slack.dev/messaging/formatting-message-text>).

use serde_json::{Value, json};

use super::letter::{Alert, State};
use super::message::{Message, cut, details, mark, origin};
use crate::report::text::harmless;

/// Most blocks of a message.
const BLOCKS: usize = 50;
/// Most characters of a header.
const HEADER: usize = 150;
/// Most characters of a section's text.
const SECTION: usize = 3000;

/// The body.
pub fn body(message: &Message<'_>) -> String {
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": cut(&message.title(), HEADER), "emoji": false },
    })];
    // Two blocks each, and one that says that there were more.
    let fit = (BLOCKS - 2) / 2;
    for alert in message.alerts.iter().take(fit) {
        blocks.extend(of(alert));
    }
    let left = message.alerts.len().saturating_sub(fit);
    if left > 0 {
        blocks.push(context(&format!("and {left} more")));
    }
    // Shown in notifications, where blocks are not.
    json!({ "text": escaped(&message.title(), SECTION), "blocks": blocks }).to_string()
}

fn of(alert: &Alert) -> [Value; 2] {
    let sign = match alert.state {
        State::Recovered => "✅",
        State::Test => "🔔",
        _ if alert.rule.is_good() => "ℹ️",
        _ => "⚠️",
    };
    let mut lines = vec![format!("{sign} *{}*", bold(&alert.title()))];
    let mut said = details(alert);
    // It has a block of its own.
    said.pop();
    lines.extend(said.iter().map(|line| escaped(line, SECTION)));
    let section = json!({
        "type": "section",
        "text": { "type": "mrkdwn", "text": cut_whole(&lines.join("\n"), SECTION) },
    });
    let origin = format!("{} {}", mark(alert), origin(alert));
    [section, context(&escaped(&origin, 1000))]
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": text }] })
}

/// Between the signs that make it bold, which it may not have itself.
fn bold(text: &str) -> String {
    escaped(&text.replace('*', "∗"), 500)
}

/// Harmless, without what Slack obeys, and at most so long after that.
fn escaped(text: &str, most: usize) -> String {
    let mut clean = String::new();
    for c in harmless(text).chars() {
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            c => clean.push(c),
        }
    }
    cut_whole(&clean, most)
}

/// As [`cut`], without a half escape at the end.
fn cut_whole(text: &str, most: usize) -> String {
    let short = cut(text, most);
    if short.len() == text.len() {
        return short;
    }
    match short.rfind('&') {
        Some(at) if !short[at..].contains(';') => format!("{}…", &short[..at]),
        _ => short,
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::alert;
    use super::super::rule::Rule;
    use super::*;

    /// What Slack would say of a body, by its documentation.
    fn check(body: &str) {
        let value: Value = serde_json::from_str(body).unwrap();
        assert!(!value["text"].as_str().unwrap().is_empty());
        let blocks = value["blocks"].as_array().unwrap();
        assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
        let markup = |text: &Value, most: usize| {
            assert_eq!(text["type"], "mrkdwn");
            let text = text["text"].as_str().unwrap();
            assert!((1..=most).contains(&text.chars().count()));
            assert!(!text.contains(['<', '>']), "{text}");
            for (at, _) in text.match_indices('&') {
                let known = ["&amp;", "&lt;", "&gt;"];
                assert!(known.iter().any(|known| text[at..].starts_with(known)));
            }
        };
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "header" => {
                    assert_eq!(block["text"]["type"], "plain_text");
                    let text = block["text"]["text"].as_str().unwrap();
                    assert!((1..=150).contains(&text.chars().count()));
                }
                "section" => {
                    markup(&block["text"], 3000);
                    assert!(block.get("fields").is_none());
                }
                "context" => {
                    let elements = block["elements"].as_array().unwrap();
                    assert!((1..=10).contains(&elements.len()));
                    elements.iter().for_each(|text| markup(text, 2000));
                }
                other => panic!("a block of type {other}"),
            }
        }
    }

    #[test]
    fn what_is_sent_keeps_within_what_slack_takes() {
        let mut bad = alert(Rule::JobFailed, State::Happened);
        check(&body(&Message::of([&bad]).unwrap()));
        bad.run.name = "<!channel> & *<https://example.org|x>* \u{202e}\n".repeat(300);
        bad.words.why = "&".repeat(5000);
        let many = vec![bad; 200];
        check(&body(&Message::of(&many).unwrap()));
        let recovered = alert(Rule::SourceDegraded, State::Recovered);
        check(&body(&Message::of([&recovered]).unwrap()));
    }

    #[test]
    fn nobody_is_called_by_a_name() {
        let mut bad = alert(Rule::JobFailed, State::Happened);
        bad.run.name = "<!here>".to_owned();
        let body = body(&Message::of([&bad]).unwrap());
        let value: Value = serde_json::from_str(&body).unwrap();
        let text = value["blocks"][1]["text"]["text"].as_str().unwrap();
        assert_eq!(
            text.lines().next().unwrap(),
            "⚠️ *&lt;!here&gt;: the job failed*"
        );
    }
}
