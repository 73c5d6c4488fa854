//! A message as JSON for a webhook, and its signature. Pure.

use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::letter::Alert;
use super::message::Message;
use crate::words::hex;

/// Name and version of the document.
pub const SCHEMA: &str = "catrain.alert/1";
/// The header with the signature.
pub const SIGNATURE: &str = "x-catrain-signature";
/// The header with the message's id, by which a receiver knows one that it has seen.
pub const DELIVERY: &str = "x-catrain-delivery";

/// The body. It is the same each time that the same letters are tried.
pub fn body(message: &Message<'_>) -> String {
    let alerts: Vec<Value> = message.alerts.iter().map(|alert| of(alert)).collect();
    json!({
        "schema": SCHEMA,
        "id": message.id,
        "title": message.title(),
        "alerts": alerts,
    })
    .to_string()
}

fn of(alert: &Alert) -> Value {
    json!({
        "id": alert.id,
        "rule": alert.rule,
        "state": alert.state,
        "at": alert.at.to_string(),
        "run": {
            "id": alert.run.id,
            "name": alert.run.name,
            "zone": alert.run.zone,
            "host": alert.run.host,
            "replay": alert.run.replay,
        },
        "what": alert.words.what,
        "why": alert.words.why,
        "advice": alert.advice(),
        "similar": alert.similar,
    })
}

/// The value of [`SIGNATURE`]: `t=TIME,v1=HEX`, where TIME is in seconds since 1970 and HEX the
/// HMAC-SHA256 (RFC 2104) of `TIME.BODY` by the secret. The README has what verifies it.
pub fn signature(secret: &SecretString, now: Timestamp, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let time = now.as_second();
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{time}.").as_bytes());
    context.update(body.as_bytes());
    format!("t={time},v1={}", hex(context.sign().as_ref()))
}

#[cfg(test)]
mod tests {
    use super::super::letter::State;
    use super::super::letter::tests::alert;
    use super::super::rule::Rule;
    use super::*;

    #[test]
    fn the_document_has_a_schema_and_says_all_there_is() {
        let failed = alert(Rule::JobFailed, State::Happened);
        let body = body(&Message::of([&failed]).unwrap());
        let value: Value = serde_json::from_str(&body).unwrap();
        insta::assert_json_snapshot!(value, @r#"
        {
          "alerts": [
            {
              "advice": "catrain report r7k2 shows what led to it",
              "at": "2026-11-24T18:00:00Z",
              "id": "a1",
              "rule": "job-failed",
              "run": {
                "host": "node7",
                "id": "r7k2",
                "name": "finetune",
                "replay": false,
                "zone": "DE"
              },
              "similar": 0,
              "state": "happened",
              "what": "the job failed",
              "why": "it ended with 3"
            }
          ],
          "id": "a1",
          "schema": "catrain.alert/1",
          "title": "finetune: the job failed"
        }
        "#);
    }

    /// `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac hush-hush`
    #[test]
    fn the_signature_is_what_openssl_says() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let signed = signature(&"hush-hush".into(), now, "{\"a\":1}");
        assert_eq!(
            signed,
            "t=1700000000,v1=054aa57a468d16cd9b7ccbaf9e38759c4ebf4496a617c5d2cded7cd3a468a1c1"
        );
    }
}
