//! `catrain report` in each of its formats: what others named stays text, numbers agree, sums add up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use catrain::cli::{ReportArgs, ReportFormat as Format};
use catrain::command::report::run;
use catrain::error::{Failure, Kind};
use catrain::ledger::entry::Entry;
use catrain::report::groups::Grouping;
use catrain::words::Look;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const V1: &str = include_str!("../fixtures/ledger_v1.jsonl");

/// Something for each place that a text may end up in.
const HOSTILE: &str = "=HYPERLINK(\"http://e.com\",\"x\")\x1b]0;t\x07</title></style></script>\
    <script>alert(1)</script><img src=x onerror=alert(2)>{a=\"b\"} 'q' |`c` *s* [l](http://e.com) \
    www.e.com\r\n# h\n| a | b |\n{{ 7 * 7 }}{% raw %}\u{202e}\u{2066}\u{200b}\t";

/// All formats.
const FORMATS: [Format; 7] = [
    Format::Text,
    Format::Json,
    Format::Csv,
    Format::Html,
    Format::Md,
    Format::Codecarbon,
    Format::Prometheus,
];
const PARTS: [&str; 7] = [
    "held",
    "running",
    "saving",
    "paused",
    "restoring",
    "suspended",
    "overhead",
];

/// The entries of the example, each changed.
fn changed(mut change: impl FnMut(&mut Value)) -> String {
    let mut text = String::new();
    for line in V1.lines() {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        change(&mut entry);
        text.push_str(&entry.to_string());
        text.push('\n');
    }
    text
}

/// Does `what` with each string below `value`, with the name of its field.
fn strings(value: &mut Value, name: &str, what: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => what(name, text),
        Value::Array(all) => all.iter_mut().for_each(|one| strings(one, name, what)),
        Value::Object(fields) => {
            for (name, value) in fields {
                strings(value, name, what);
            }
        }
        _ => {}
    }
}

/// The example some hours later, under another id.
fn later(hours: i64, id: &str) -> String {
    changed(|entry| {
        strings(entry, "", &mut |_, text| {
            if let Ok(at) = text.parse::<Timestamp>() {
                *text = (at + SignedDuration::from_hours(hours)).to_string();
            }
        });
    })
    .replace("\"run\":\"r7k2\"", &format!("\"run\":\"{id}\""))
}

/// The run's GPU as a whole device.
fn whole(text: &str) -> String {
    let from = "{\"component\":\"gpu 0\",";
    assert!(text.contains(from));
    text.replace(from, "{\"component\":\"gpu 0\",\"whole\":\"GPU-1\",")
}

/// What the newer entries tell: meters, energy of nobody known, another basis.
fn with_more(text: &str) -> String {
    let mut entries: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let mut marginal = entries[1].clone();
    marginal["basis"] = json!({"signal": "marginal", "scope": "direct"});
    marginal["source"] = json!("watttime");
    let begin = |entry: &str, rest: Value| {
        let mut whole =
            json!({"seq": 0, "at": "2026-11-24T17:00:00Z", "elapsed_s": 0.0, "entry": entry});
        whole
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        whole
    };
    let meters = json!({"meters": [
        {"component": "gpu 0", "name": "NVIDIA H100", "method": "gpu_counter", "device": "GPU-1"},
        {"component": "cpu", "name": "AMD EPYC", "method": "rapl", "trouble": "permission denied: chmod it"},
    ]});
    let gap = json!({"lost": 0, "summed": 3});
    entries.insert(2, marginal);
    entries.insert(3, begin("meters", meters));
    entries.insert(
        4,
        begin(
            "signal",
            json!({"name": "TERM", "from": "pid 17", "relayed": true}),
        ),
    );
    entries.insert(
        5,
        begin("operator", json!({"word": "pause", "from": "ada"})),
    );
    entries.insert(
        6,
        begin(
            "refused",
            json!({"action": "pause", "why": "a process of root"}),
        ),
    );
    entries.insert(7, begin("gap", gap));
    for entry in &mut entries {
        if entry["entry"] == "segment" && entry["part"] == "running" {
            entry["unattributed"] = json!([
                {"component": "gpu 0", "joules": 3600.0, "kind": "measured", "source": "nvml, no utilisation"},
            ]);
        }
        if entry["entry"] == "end" {
            entry["why"] = json!("the budget was used up");
        }
    }
    let renumbered = entries.iter_mut().enumerate().map(|(seq, entry)| {
        entry["seq"] = json!(seq);
        format!("{entry}\n")
    });
    renumbered.collect()
}

/// Each text of others with [`HOSTILE`] before it: every string that may be another one and still
/// be the same kind of entry.
fn hostile(text: &str) -> String {
    let mut planted = BTreeSet::new();
    let mut all = String::new();
    for line in text.lines() {
        let before: Entry = serde_json::from_str(line).unwrap();
        let mut entry: Value = serde_json::from_str(line).unwrap();
        let mut count = 0;
        strings(&mut entry, "", &mut |_, _| count += 1);
        for nth in 0..count {
            let mut tried = entry.clone();
            let mut at = 0;
            let mut field = String::new();
            strings(&mut tried, "", &mut |name, text| {
                if at == nth && !["entry", "format"].contains(&name) {
                    *text = format!("{HOSTILE}{text}");
                    field = name.to_owned();
                }
                at += 1;
            });
            let is_same = |after: Entry| {
                std::mem::discriminant(&after.what) == std::mem::discriminant(&before.what)
            };
            if serde_json::from_value::<Entry>(tried.clone()).is_ok_and(is_same)
                && !field.is_empty()
            {
                entry = tried;
                planted.insert(field);
            }
        }
        all.push_str(&entry.to_string());
        all.push('\n');
    }
    for field in [
        "run",
        "name",
        "labels",
        "program",
        "command",
        "zone",
        "policy",
        "host",
        "source",
        "component",
        "reason",
        "text",
        "trouble",
        "device",
        "why",
        "from",
        "word",
    ] {
        assert!(
            planted.contains(field),
            "nothing was planted in `{field}`: {planted:?}"
        );
    }
    all
}

fn state(ledgers: &[&str]) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    for (nth, text) in ledgers.iter().enumerate() {
        let id = ["b2c3", "d4f5", "g6h7", "j8k9", "m2n3", "p4q5", "r6s7"][nth];
        let directory = state.path().join("runs").join(id);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("ledger.jsonl"), text).unwrap();
    }
    state
}

fn args(format: Format) -> ReportArgs {
    ReportArgs {
        format,
        offline: true,
        since: Some("2000-01-01".to_owned()),
        ..ReportArgs::default()
    }
}

fn report(args: &ReportArgs, state: &Path) -> Result<String, Failure> {
    let mut out = Vec::new();
    let now: Timestamp = "2026-11-27T07:00:00Z".parse().unwrap();
    let zone = TimeZone::posix("CET-1").unwrap();
    run(args, Look::PLAIN, &mut out, now, &zone, state, None)?;
    Ok(String::from_utf8(out).unwrap())
}

fn of(ledgers: &[&str], format: Format) -> String {
    report(&args(format), state(ledgers).path()).unwrap()
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A decimal number of at most six digits behind the point, as a whole number.
fn exact(value: &Value) -> i64 {
    (value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
        * 1e6)
        .round() as i64
}

fn is_obeyed(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\r')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn no_format_lets_a_control_character_or_a_turn_of_direction_through() {
    let hostile = hostile(&with_more(V1));
    for format in FORMATS {
        let text = of(&[&hostile, V1], format);
        assert!(text.contains("HYPERLINK"), "{format:?} shows none of it");
        if format != Format::Json {
            assert!(!text.contains(is_obeyed), "{format:?}: {text}");
        }
    }
}

#[test]
fn json_has_hostile_text_as_it_was() {
    let all = document(&of(&[&hostile(&with_more(V1))], Format::Json));
    assert_eq!(all["runs"][0]["name"], format!("{HOSTILE}finetune"));
}

/// The names of all tags in order.
fn tags(page: &str) -> Vec<&str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '/' || c == '!');
    let name = |rest: &'_ str| rest.find(ends).unwrap_or(rest.len());
    page.split('<')
        .skip(1)
        .map(|rest| &rest[..name(rest)])
        .collect()
}

#[test]
fn hostile_text_makes_no_tag_no_attribute_and_no_script_of_the_page() {
    let good = with_more(V1);
    let page = of(&[&hostile(&good)], Format::Html);
    assert_eq!(tags(&page), tags(&of(&[&good], Format::Html)));
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(
        page.contains("{{ 7 * 7 }}"),
        "no template of others is filled in"
    );
    for rest in page.split("onerror").skip(1) {
        assert!(rest.starts_with("=alert(2)&gt;"), "an attribute of others");
    }
}

#[test]
fn the_page_is_one_file_without_scripts_and_asks_nobody() {
    let page = of(&[V1, &later(1, "m3q9")], Format::Html);
    for bad in [
        "<script",
        "<link",
        "<iframe",
        "src=",
        "@import",
        "url(",
        "http://",
        "https://",
        "javascript:",
        " on",
    ] {
        let found = page
            .find(bad)
            .map(|at| &page[at.saturating_sub(40)..at + 40]);
        // Words may begin with "on"; attributes that do not exist are what is looked for.
        let is_attribute = |around: &&str| bad != " on" || around[41..].contains("=\"");
        assert_eq!(found.filter(is_attribute), None, "{bad}");
    }
    assert!(page.contains("default-src 'none'"));
}

fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        let cells = record.iter().map(str::to_owned);
        header.iter().map(str::to_owned).zip(cells).collect()
    };
    // A row with another number of cells is an error.
    reader
        .records()
        .map(|record| row(record.unwrap()))
        .collect()
}

#[test]
fn no_cell_of_others_is_a_formula() {
    let ledger = hostile(&with_more(V1));
    for format in [Format::Csv, Format::Codecarbon] {
        let text = of(&[&ledger], format);
        assert!(text.ends_with("\r\n"));
        let rows = rows(&text);
        assert!(!rows.is_empty());
        for (column, cell) in rows.iter().flatten() {
            let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
            assert!(
                !is_formula || cell.parse::<f64>().is_ok(),
                "{column}: {cell}"
            );
        }
    }
}

#[test]
fn hostile_text_makes_no_heading_table_or_html_of_the_appendix() {
    let good = with_more(V1);
    let (bad, good) = (of(&[&hostile(&good)], Format::Md), of(&[&good], Format::Md));
    let shape = |text: &str| -> Vec<(String, usize)> {
        let line = |line: &str| {
            let begin: String = line.chars().take_while(|c| "#|- ".contains(*c)).collect();
            (begin, line.replace(r"\|", "").matches('|').count())
        };
        text.lines().map(line).collect()
    };
    assert_eq!(shape(&bad), shape(&good));
    assert!(!bad.contains('<'), "{bad}");
    let unquoted = |mark: char| {
        let marks = bad
            .match_indices(mark)
            .filter(|(at, _)| !bad[..*at].ends_with('\\'));
        marks.count()
    };
    assert_eq!((unquoted('`'), unquoted('['), unquoted(']')), (0, 0, 0));
    assert!(!bad.contains("http://") && !bad.contains("www.e"));
}

/// A page of Prometheus by its rules: each family once with HELP and TYPE before its samples, right
/// names, escapes in labels, no series twice. Gives the series.
fn scraped(text: &str) -> BTreeMap<String, f64> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(text.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut current = String::new();
    let mut lines = text.lines();
    let mut series = BTreeMap::new();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(is_name(name) && !words.is_empty(), "{line}");
            assert!(
                !["_total", "_sum", "_count", "_bucket"]
                    .iter()
                    .any(|end| name.ends_with(end)),
                "{name} is a gauge"
            );
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            assert_eq!(lines.next().unwrap(), format!("# TYPE {name} gauge"));
            current = name.to_owned();
            continue;
        }
        let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("{line}"));
        assert_eq!(name, current, "samples stand with their family");
        let mut labels = Vec::new();
        let mut chars = rest.chars();
        loop {
            let label: String = chars.by_ref().take_while(|c| *c != '=').collect();
            assert!(is_name(&label), "{line}");
            assert_eq!(chars.next(), Some('"'), "{line}");
            let mut value = String::new();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => value.push(match chars.next().unwrap() {
                        'n' => '\n',
                        same @ ('\\' | '"') => same,
                        other => panic!("no escape of the format: \\{other}"),
                    }),
                    c => value.push(c),
                }
            }
            assert!(!labels.iter().any(|(known, _)| *known == label), "{line}");
            labels.push((label, value));
            match chars.next() {
                Some(',') => {}
                Some('}') => break,
                other => panic!("{other:?} in {line}"),
            }
        }
        let value: f64 = chars.as_str().strip_prefix(' ').unwrap().parse().unwrap();
        labels.sort();
        let twice = series.insert(format!("{name} {labels:?}"), value);
        assert_eq!(twice, None, "{line}");
    }
    series
}

#[test]
fn prometheus_accepts_the_page_whatever_names_are_in_it() {
    for ledger in [V1.to_owned(), with_more(V1), hostile(&with_more(V1))] {
        let series = scraped(&of(&[&ledger, &later(3, "m3q9")], Format::Prometheus));
        assert!(series.len() > 30, "{}", series.len());
    }
}

#[test]
fn prometheus_has_the_amounts_of_the_json() {
    let ledger = with_more(V1);
    let series = scraped(&of(&[&ledger], Format::Prometheus));
    let run = &document(&of(&[&ledger], Format::Json))["runs"][0];
    let sum = |name: &str, label: &str| -> f64 {
        let own = series
            .iter()
            .filter(|(key, _)| key.starts_with(&format!("{name} ")) && key.contains(label));
        own.map(|(_, value)| value).sum()
    };
    let near = |a: f64, b: &Value| assert!((a - b.as_f64().unwrap()).abs() < 1e-6, "{a} {b}");
    near(
        sum("catrain_run_energy_joules", "") / 3.6e6,
        &run["energy_kwh"]["total"],
    );
    near(
        sum("catrain_run_duration_seconds", ""),
        &run["duration_s"]["total"],
    );
    for (nth, signal) in ["average", "marginal"].iter().enumerate() {
        let own = &run["emissions"][nth];
        near(
            sum("catrain_run_emissions_grams", signal),
            &own["g"]["total"],
        );
        near(
            sum("catrain_run_emissions_low_grams", signal),
            &own["low_g"],
        );
        near(
            sum("catrain_run_emissions_high_grams", signal),
            &own["high_g"],
        );
    }
}

/// Each number of the page with the field of the JSON that it is said to be.
fn numbers(page: &str) -> Vec<(String, f64)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let number = |rest: &str| {
        let tag = rest.split_once('>').unwrap().0;
        (
            attribute(tag, "data-of"),
            attribute(tag, "value").parse().unwrap(),
        )
    };
    page.split("<data ").skip(1).map(number).collect()
}

#[test]
fn the_numbers_on_the_page_are_those_of_the_json() {
    let failed = V1.replace("\"exit\":{\"code\":0}", "\"exit\":{\"code\":3}");
    let facility = later(2, "m3q9").replace("\"pue\":null", "\"pue\":1.3");
    let unfinished: String = V1
        .lines()
        .filter(|l| !l.contains("\"end\"}"))
        .map(|l| format!("{l}\n"))
        .collect();
    let dark = changed(|entry| {
        if let Some(points) = entry.get_mut("points") {
            *points = json!([]);
        }
    });
    let replay = V1.replace(
        "\"replay\":null",
        "\"replay\":{\"trace\":\"DE\",\"speed\":600}",
    );
    let third = V1.replace("4068000.0", "1356000.123");
    let shared = [whole(V1), whole(&later(1, "q2w3"))];
    let sets: [&[&str]; 7] = [
        &[V1],
        &[&with_more(V1)],
        &[&third, &failed, &facility],
        &[&dark],
        &[&replay, V1],
        &[&unfinished],
        &[&shared[0], &shared[1]],
    ];
    for set in sets {
        let json = document(&of(set, Format::Json));
        let numbers = numbers(&of(set, Format::Html));
        assert!(numbers.len() >= 12 * set.len(), "{}", numbers.len());
        for (pointer, value) in &numbers {
            let field = json.pointer(pointer);
            let field = field.unwrap_or_else(|| panic!("the JSON has no {pointer}"));
            assert_eq!(field.as_f64(), Some(*value), "{pointer}");
        }
        let shown: BTreeSet<&str> = numbers
            .iter()
            .map(|(pointer, _)| pointer.as_str())
            .collect();
        for (nth, run) in json["runs"].as_array().unwrap().iter().enumerate() {
            let mut expected = vec!["energy_kwh/total", "duration_s/total"];
            if run["emissions"][0]["mean_g_per_kwh"] != Value::Null {
                expected.extend([
                    "emissions/0/g/total",
                    "emissions/0/low_g",
                    "emissions/0/high_g",
                ]);
            }
            if run["emissions"][0]["avoided_g"] != Value::Null {
                expected.push("emissions/0/avoided_g");
            }
            for field in expected {
                assert!(
                    shown.contains(format!("/runs/{nth}/{field}").as_str()),
                    "{field}"
                );
            }
        }
    }
}

#[test]
fn the_rows_of_the_csv_add_up_to_the_json_part_by_part() {
    // Amounts of which each is far less than what is shown.
    let mut entries: Vec<Value> = V1
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let end = entries.pop().unwrap();
    for nth in 0..3000 {
        let (from, to) = (
            48_420.0 + 0.0217 * f64::from(nth),
            48_420.0 + 0.0217 * f64::from(nth + 1),
        );
        let start: Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
        let at = |seconds: f64| start + SignedDuration::from_micros((seconds * 1e6) as i64);
        entries.push(json!({
            "seq": entries.len(), "at": at(to).to_string(), "elapsed_s": to, "entry": "segment", "part": "running",
            "from_s": from, "to_s": to, "start": at(from).to_string(), "end": at(to).to_string(),
            "energy": [
                {"component": "gpu 0", "joules": 0.7 + f64::from(nth % 7) / 9.0, "kind": "measured", "source": "nvml"},
                {"component": "cpu", "joules": 0.31, "kind": "estimated", "source": "model"},
            ],
        }));
    }
    let mut end = end;
    end["seq"] = json!(entries.len());
    entries.push(end);
    let ledger: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    let ledgers = [ledger.as_str(), &later(5, "m3q9")];
    let rows = rows(&of(&ledgers, Format::Csv));
    assert!(rows.len() > 3000);
    let json = document(&of(&ledgers, Format::Json));
    let parsed = |row: &BTreeMap<String, String>, column: &str| match row[column].as_str() {
        "" => 0,
        number => exact(&json!(number.parse::<f64>().unwrap())),
    };
    for run in json["runs"].as_array().unwrap() {
        let own = |row: &&BTreeMap<String, String>| row["run"] == run["id"].as_str().unwrap();
        for part in PARTS {
            let sum = |column: &str, overhead: &str| -> i64 {
                let rows = rows.iter().filter(own);
                rows.map(|row| match (row["part"] == part, part == "overhead") {
                    (true, false) => parsed(row, column) - parsed(row, overhead),
                    (_, true) => parsed(row, overhead),
                    _ => 0,
                })
                .sum()
            };
            assert_eq!(
                sum("energy_kwh", "overhead_kwh"),
                exact(&run["energy_kwh"][part]),
                "{part}"
            );
            let grams = sum("g_average_lifecycle", "overhead_g_average_lifecycle");
            assert_eq!(grams, exact(&run["emissions"][0]["g"][part]), "{part}");
            let of_part = rows.iter().filter(own).filter(|row| row["part"] == part);
            let seconds: i64 = of_part.map(|row| parsed(row, "seconds")).sum();
            assert_eq!(seconds, exact(&run["duration_s"][part]), "{part}");
        }
        for (column, field) in [
            ("low_g", "low_g"),
            ("high_g", "high_g"),
            ("uncovered_kwh", "uncovered_kwh"),
        ] {
            let column = format!("{column}_average_lifecycle");
            let sum: i64 = rows
                .iter()
                .filter(own)
                .map(|row| parsed(row, &column))
                .sum();
            assert_eq!(sum, exact(&run["emissions"][0][field]), "{field}");
        }
        for row in rows.iter().filter(own) {
            let kinds = ["measured_kwh", "estimated_kwh", "assumed_kwh"];
            let kinds: i64 = kinds.iter().map(|kind| parsed(row, kind)).sum();
            assert_eq!(kinds, parsed(row, "energy_kwh"));
        }
    }
}

fn grouped(ledgers: &[&str], by: Grouping) -> Value {
    let args = ReportArgs {
        by: Some(by),
        ..args(Format::Json)
    };
    document(&report(&args, state(ledgers).path()).unwrap())
}

/// Each amount of a sum, by its path.
fn amounts(sum: &Value) -> BTreeMap<String, i64> {
    let mut amounts = BTreeMap::new();
    let mut put = |path: String, value: &Value| {
        if !value.is_null() {
            *amounts.entry(path).or_insert(0) += exact(value);
        }
    };
    for quantity in ["duration_s", "energy_kwh"] {
        for (part, value) in sum
            .get(quantity)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            put(format!("{quantity} {part}"), value);
        }
    }
    for emissions in sum["emissions"].as_array().unwrap() {
        let basis = emissions["basis"].to_string();
        for (part, value) in emissions["g"].as_object().unwrap() {
            put(format!("{basis} {part}"), value);
        }
        for field in ["low_g", "high_g", "uncovered_kwh", "avoided_g"] {
            put(format!("{basis} {field}"), &emissions[field]);
        }
    }
    amounts
}

fn added(sums: impl Iterator<Item = BTreeMap<String, i64>>) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for (path, value) in sums.flatten() {
        *all.entry(path).or_insert(0) += value;
    }
    all
}

#[test]
fn groups_add_up_to_the_totals_to_the_digit() {
    let (first, second) = (whole(&with_more(V1)), whole(&later(2, "m3q9")));
    let third = later(30, "q2w3")
        .replace("[\"team\",\"vision\"]", "[\"team\",\"text\"]")
        .replace("\"zone\":\"DE\"", "\"zone\":\"FR\"")
        .replace("4068000.0", "4068123.4567");
    let fourth = later(-40, "z9z9").replace("[[\"team\",\"vision\"]]", "[]");
    let ledgers = [first.as_str(), &second, &third, &fourth];
    let groupings = [
        (Grouping::Run, 4),
        (Grouping::Day, 4),
        (Grouping::Zone, 2),
        (Grouping::Label("team".to_owned()), 3),
    ];
    for (by, count) in groupings {
        let all = grouped(&ledgers, by.clone());
        let groups = all["grouped"]["groups"].as_array().unwrap();
        assert_eq!(groups.len(), count, "{by:?}");
        let sum = added(groups.iter().map(amounts));
        let (mut sum, mut total) = (sum, amounts(&all["totals"]));
        sum.retain(|_, value| *value != 0);
        total.retain(|_, value| *value != 0);
        assert_eq!(sum, total, "{by:?}");
    }
    let labels = grouped(&ledgers, Grouping::Label("team".to_owned()));
    let names: Vec<&Value> = (labels["grouped"]["groups"].as_array().unwrap().iter())
        .map(|group| &group["name"])
        .collect();
    assert_eq!(names, [&json!("text"), &json!("vision"), &Value::Null]);
}

#[test]
fn a_device_that_two_runs_used_at_once_is_counted_once() {
    let ledgers = [whole(V1), whole(&later(2, "m3q9"))];
    let ledgers: Vec<&str> = ledgers.iter().map(String::as_str).collect();
    let all = document(&of(&ledgers, Format::Json));
    let once = &all["totals"]["counted_once"];
    // Of the GPU's energy of the later run, what it used until 06:27, when the earlier one ended:
    // all from 01:40 to 05:00, then all from 05:00 to 06:15, then 12 of the 45 minutes of its pause.
    let joules = 4_068_000.0 + 1_526_400.0 + 187_200.0 * 12.0 / 45.0;
    let expected = exact(&json!((joules / 3.6e6 * 1e6_f64).round() / 1e6));
    let found = exact(&once["energy_kwh"]["total"]);
    assert!((found - expected).abs() <= 2, "{found} {expected}");
    let runs = added(all["runs"].as_array().unwrap().iter().map(|run| {
        let mut amounts = amounts(run);
        amounts.retain(|path, _| !path.starts_with("duration_s"));
        amounts
    }));
    let total = amounts(&all["totals"]);
    let doubled = amounts(once);
    for (path, value) in runs {
        let doubled = doubled.get(&path).copied().unwrap_or(0);
        assert_eq!(value - doubled, total[&path], "{path}");
    }
    // On another host or another device nothing is shared.
    for (from, to) in [("GPU-1", "GPU-2"), ("node1", "node2")] {
        let other = ledgers[1].replace(from, to);
        let all = document(&of(&[ledgers[0], &other], Format::Json));
        assert_eq!(
            exact(&all["totals"]["counted_once"]["energy_kwh"]["total"]),
            0
        );
    }
    let text = of(&ledgers, Format::Text);
    assert!(text.contains("counted once"), "{text}");
}

#[test]
fn days_are_local_and_a_run_over_midnight_is_cut_there() {
    let all = grouped(&[V1], Grouping::Day);
    assert_eq!(all["grouped"]["time_zone"], "UTC+01");
    let days = all["grouped"]["groups"].as_array().unwrap();
    let names: Vec<&str> = days
        .iter()
        .map(|day| day["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["2026-11-24", "2026-11-25"]);
    // It was held from 18:00 to 00:40.
    assert_eq!(days[0]["duration_s"]["held"], 21_600.0);
    assert_eq!(days[1]["duration_s"]["held"], 2_400.0);
    assert_eq!(days[0]["energy_kwh"]["total"], 0.0);
}

#[test]
fn groups_in_words_add_up_as_they_are_shown() {
    let ledgers = [
        V1.to_owned(),
        later(30, "m3q9").replace("4068000.0", "4070001.0"),
    ];
    for by in [Grouping::Day, Grouping::Run] {
        let args = ReportArgs {
            by: Some(by),
            ..args(Format::Text)
        };
        let text = report(&args, state(&[&ledgers[0], &ledgers[1]]).path()).unwrap();
        let number = |line: &str| -> i64 {
            let (before, _) = line.split_once(" kWh").unwrap();
            let number = before.rsplit(' ').next().unwrap();
            (number.parse::<f64>().unwrap() * 100.0).round() as i64
        };
        let (total, rows): (Vec<&str>, Vec<&str>) = text
            .lines()
            .filter(|line| line.contains(" kWh"))
            .partition(|line| line.contains("total"));
        assert!(rows.len() >= 2 && total.len() == 1, "{text}");
        let sum: i64 = rows.iter().map(|line| number(line)).sum();
        assert_eq!(sum, number(total[0]), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

#[test]
fn formats_without_groups_or_commands_say_which_have_them() {
    let state = state(&[V1]);
    for format in [
        Format::Csv,
        Format::Html,
        Format::Md,
        Format::Codecarbon,
        Format::Prometheus,
    ] {
        let args = ReportArgs {
            by: Some(Grouping::Day),
            ..args(format)
        };
        let failure = report(&args, state.path()).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.to_string().contains("text and json"), "{failure}");
    }
    for format in [Format::Json, Format::Codecarbon, Format::Prometheus] {
        let args = ReportArgs {
            full_command: true,
            ..args(format)
        };
        assert_eq!(report(&args, state.path()).unwrap_err().kind, Kind::Usage);
    }
}

#[test]
fn formats_that_are_shared_show_the_command_only_when_asked() {
    let ledger = V1.replace(
        "\"train.py\"",
        "\"train.py\",\"--data=/home/ada/secret-project\"",
    );
    let state = state(&[&ledger]);
    for format in [
        Format::Html,
        Format::Md,
        Format::Csv,
        Format::Codecarbon,
        Format::Prometheus,
    ] {
        let text = report(&args(format), state.path()).unwrap();
        assert!(
            !text.contains("train.py") && !text.contains("ada"),
            "{format:?}: {text}"
        );
    }
    for format in [Format::Html, Format::Md, Format::Csv, Format::Text] {
        let args = ReportArgs {
            full_command: true,
            ..args(format)
        };
        let text = report(&args, state.path()).unwrap();
        assert!(text.contains("secret-project"), "{format:?}: {text}");
    }
}

#[test]
fn the_text_says_why_meters_are_not_better_and_what_is_in_no_sum() {
    let text = of(&[&with_more(V1)], Format::Text);
    assert!(
        text.contains("cpu (AMD EPYC): permission denied: chmod it"),
        "{text}"
    );
    assert!(text.contains("in no sum: gpu 0"), "{text}");
}

/// Runs a headless Chromium; it says nothing on its console.
fn chromium(home: &Path, arguments: &[&str]) -> String {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut programs =
        std::env::split_paths(&paths).flat_map(|path| names.map(|name| path.join(name)));
    let program: PathBuf = programs
        .find(|path| path.exists())
        .expect("chromium is on the PATH");
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-sync",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
        ])
        .args([
            "--enable-logging=stderr",
            "--allow-file-access-from-files",
            "--virtual-time-budget=10000",
        ])
        .arg(format!(
            "--user-data-dir={}",
            home.join("profile").display()
        ))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("CONSOLE"), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Looks at the report in a frame of some width: how wide it gets, the least contrast of any text
/// with what is behind it, and the background.
const LOOK: &str = r#"<!DOCTYPE html><body><iframe id="frame" style="border:0;width:WIDTHpx;height:900px" src="report.html"></iframe>
<script>
const frame = document.getElementById("frame");
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const numbers = text => text.match(/[\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = colour.map(v => (v /= 255, v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(view.getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  let least = 99, texts = 0;
  for (const element of page.querySelectorAll("body *")) {
    const has = [...element.childNodes].some(node => node.nodeType == 3 && node.textContent.trim());
    if (!has || element.closest("svg")) continue;
    texts += 1;
    const [a, b] = [light(numbers(view.getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
    least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
  }
  const root = page.documentElement;
  document.title = JSON.stringify({
    wide: root.scrollWidth, room: view.innerWidth, least, texts, paper: light(behind(page.body)),
  });
};
</script>"#;

#[test]
#[ignore = "needs chromium"]
fn the_page_fits_a_phone_and_a_screen_in_light_and_dark_and_two_sheets() {
    let here = tempfile::tempdir().unwrap();
    let many: Vec<String> = (0..7)
        .map(|nth| later(nth * 20, &format!("m{nth}q9")))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let bad = hostile(&with_more(V1));
    let pages = [
        of(&[V1], Format::Html),
        of(&[&with_more(V1)], Format::Html),
        of(&many, Format::Html),
        of(&[&bad], Format::Html),
    ];
    let look = here.path().join("look.html");
    for (nth, page) in pages.iter().enumerate() {
        fs::write(here.path().join("report.html"), page).unwrap();
        for width in [360, 1280] {
            fs::write(&look, LOOK.replace("WIDTH", &width.to_string())).unwrap();
            for is_dark in [false, true] {
                let url = format!("file://{}", look.display());
                let scheme = format!(
                    "--blink-settings=preferredColorScheme={}",
                    i32::from(!is_dark)
                );
                let dom = chromium(
                    here.path(),
                    &[&scheme, "--window-size=1400,1000", "--dump-dom", &url],
                );
                let (_, rest) = dom.split_once("<title>").unwrap_or_else(|| panic!("{dom}"));
                let seen = document(rest.split_once("</title>").unwrap().0);
                let of = |field: &str| seen[field].as_f64().unwrap();
                assert!(of("texts") > 50.0, "{seen}");
                assert_eq!(of("room"), f64::from(width), "{seen}");
                assert!(of("wide") <= of("room"), "page {nth}, {width} px: {seen}");
                assert!(of("least") >= 4.5, "page {nth}, dark {is_dark}: {seen}");
                assert_eq!(of("paper") < 0.2, is_dark, "{seen}");
            }
        }
    }
    fs::write(here.path().join("report.html"), &pages[0]).unwrap();
    let sheets = here.path().join("report.pdf");
    let to = format!("--print-to-pdf={}", sheets.display());
    let url = format!("file://{}", here.path().join("report.html").display());
    chromium(here.path(), &[&to, "--no-pdf-header-footer", &url]);
    let pdf = fs::read(sheets).unwrap();
    let is_page = |at: &[u8]| at.starts_with(b"/Type /Page") && at.get(11) != Some(&b's');
    let count = pdf.windows(12).filter(|at| is_page(at)).count();
    assert!((1..=2).contains(&count), "{count} sheets");
}
