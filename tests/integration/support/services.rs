//! The services behind one address on loopback: each answers with what was recorded of it, as if it
//! were said now, or with whatever a test has them say.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use catrain::clock::utc_now;
use catrain::source::Live;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) use super::server::Reply;
use super::server::Server;
use super::{Sandbox, fixture};

/// When what was recorded was said, but for one of them.
const SAID: &str = "2026-11-20T09:00:00Z";

/// How a request begins, what was recorded of its answer, when that was said, and a place in it with
/// the one that tests ask for. The first that fits counts.
const RECORDED: [(&str, &str, &str, [&str; 2]); 13] = [
    ("/co2eq", "energycharts/co2eq-de-day.json", SAID, ["", ""]),
    (
        "/dataset/CO2EmisProg",
        "energidataservice/co2emisprog-dk1.json",
        SAID,
        ["", ""],
    ),
    (
        "/dataset/CO2Emis",
        "energidataservice/co2emis-latest.json",
        SAID,
        ["", ""],
    ),
    (
        "/v4/carbon-intensity/history",
        "electricitymaps/v4-history-data-envelope.json",
        SAID,
        ["\"FR\"", "\"DE\""],
    ),
    (
        "/v4/carbon-intensity/forecast",
        "electricitymaps/v4-forecast-72h.json",
        SAID,
        ["", ""],
    ),
    (
        "/v4/zones",
        "electricitymaps/v4-zones-with-token.json",
        SAID,
        ["", ""],
    ),
    ("/login", "watttime/login-200.json", SAID, ["", ""]),
    (
        "/v3/historical",
        "watttime/historical-200.json",
        "2022-07-15T00:10:00Z",
        ["CAISO_NORTH", "DE"],
    ),
    (
        "/v3/forecast",
        "watttime/forecast-24h.json",
        SAID,
        ["CAISO_NORTH", "DE"],
    ),
    (
        "/v3/my-access",
        "watttime/my-access-200.json",
        SAID,
        ["", ""],
    ),
    (
        "/emissions/bylocation",
        "casdk/bylocation.json",
        SAID,
        ["", ""],
    ),
    (
        "/emissions/forecasts/current",
        "casdk/forecasts-current.json",
        SAID,
        ["", ""],
    ),
    ("/intensity", "uk/intensity-fw48h.json", SAID, ["", ""]),
];

type Rule = dyn Fn(&str) -> Option<Reply> + Send + Sync;

/// All services behind one address.
pub(crate) struct Services {
    server: Server,
    rule: Arc<Mutex<Arc<Rule>>>,
}

impl Services {
    /// All of them well.
    pub(crate) fn good() -> Self {
        let well: Arc<Rule> = Arc::new(|_| None);
        let rule = Arc::new(Mutex::new(well));
        let in_force = Arc::clone(&rule);
        let server = Server::answering(move |_, head| {
            let rule = Arc::clone(&in_force.lock().unwrap());
            rule(head).unwrap_or_else(|| recorded(head))
        });
        Self { server, rule }
    }

    /// All of them saying the same to everything.
    pub(crate) fn saying(reply: Reply) -> Self {
        let services = Self::good();
        services.say(move |_| Some(reply.clone()));
        services
    }

    /// From now on they say this to a request with this head; what it says nothing to is answered
    /// well.
    pub(crate) fn say(&self, rule: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Arc::new(rule);
    }

    /// Where they are.
    pub(crate) fn base_url(&self) -> &str {
        &self.server.base_url
    }

    /// `catrain` with arguments, all of whose services are here.
    pub(crate) fn catrain(&self, sandbox: &Sandbox, arguments: &[&str]) -> Command {
        let mut command = sandbox.catrain(arguments);
        self.serve(&mut command);
        command
    }

    /// Has a command find all services here, and only here.
    pub(crate) fn serve(&self, command: &mut Command) {
        command.env_remove("CATRAIN_OFFLINE");
        for live in Live::ALL {
            command.env(format!("{}_BASE_URL", live.variable()), self.base_url());
        }
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.server.heads()
    }

    /// How many requests there were so far of a path that begins like this.
    pub(crate) fn calls(&self, path: &str) -> usize {
        let heads = self.heads();
        heads
            .iter()
            .filter(|head| path_of(head).starts_with(path))
            .count()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.server.connections()
    }
}

/// What a recorded body says, in an answer with this status.
pub(crate) fn body(status: u16, name: &str) -> Reply {
    Reply::Whole(status, String::new(), as_it_is(name).into_bytes())
}

/// What stands for the path in the head of a request.
pub(crate) fn path_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// What a header of a request says.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn as_it_is(name: &str) -> String {
    let path = fixture("providers").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What was recorded of the answer to a request with this head, as if it were said now.
pub(crate) fn recorded(head: &str) -> Reply {
    let path = path_of(head);
    let found = RECORDED.iter().find(|(start, ..)| path.starts_with(start));
    let Some((_, mut name, said, [theirs, asked])) = found.copied() else {
        return Reply::of(404, "", "{}");
    };
    if path.contains("/pt24h") {
        name = "uk/intensity-pt24h.json";
    }
    let mut text = as_it_is(name);
    if !theirs.is_empty() {
        text = text.replace(theirs, asked);
    }
    let said: Timestamp = said.parse().unwrap();
    // Steps begin where they did.
    let hours = utc_now().duration_since(said).as_secs().div_euclid(3600);
    let mut body: Value = serde_json::from_str(&text).unwrap();
    shift(&mut body, SignedDuration::from_hours(hours));
    Reply::of(200, "Content-Type: application/json\r\n", &body.to_string())
}

/// Moves every time in a body.
fn shift(value: &mut Value, by: SignedDuration) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| shift(value, by)),
        Value::Object(object) => {
            if let Some(Value::Array(seconds)) = object.get_mut("unix_seconds") {
                for second in seconds {
                    *second = (second.as_i64().unwrap() + by.as_secs()).into();
                }
            }
            object.values_mut().for_each(|value| shift(value, by));
        }
        Value::String(text) => {
            let moved = match (text.parse::<Timestamp>(), text.parse::<DateTime>()) {
                (Ok(time), _) => (time + by).to_string(),
                // A time without an offset stays one.
                (_, Ok(time)) => (time + by).to_string(),
                _ => return,
            };
            *text = moved;
        }
        _ => {}
    }
}
