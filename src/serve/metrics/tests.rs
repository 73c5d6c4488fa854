use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::*;
use crate::serve::facts::sample;
use crate::serve::family::{Samples, classic, openmetrics};
use crate::serve::tally::Tally;

#[test]
fn the_page_of_a_run() {
    insta::assert_snapshot!(openmetrics(&families(&sample(), true)));
}

#[test]
fn what_users_named_is_only_for_those_who_are_trusted() {
    let open = classic(&families(&sample(), false));
    for word in ["r7k2", "tune", "vision", "DE\""] {
        assert!(!open.contains(word), "{word} in {open}");
    }
    assert!(classic(&families(&sample(), true)).contains("label_team_name=\"vision\""));
}

#[test]
fn no_name_stands_for_two_families_and_no_series_is_there_twice() {
    let all = families(&sample(), true);
    let names: BTreeSet<String> = all.iter().map(Family::full_name).collect();
    assert_eq!(names.len(), all.len());
    let text = classic(&all);
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series.to_owned()), "{series} twice");
    }
}

#[test]
fn a_run_of_which_nothing_is_known_has_no_zeros_that_would_be_guesses() {
    let facts = Facts {
        snapshot: None,
        seen_ago_s: None,
        tally: Tally::new(crate::units::Pue::NONE),
        sources: BTreeMap::new(),
        ..sample()
    };
    let text = classic(&families(&facts, false));
    for name in [
        "catrain_intensity",
        "catrain_emissions",
        "catrain_avoided",
        "catrain_phase",
    ] {
        assert!(!text.contains(name), "{name} in {text}");
    }
}

#[test]
fn a_source_that_a_user_named_is_called_by_its_kind() {
    assert_eq!(source_name("energy-charts"), "energy-charts");
    assert_eq!(source_name("file secret project.csv"), "file");
    assert_eq!(source_name("Something else"), "other");
}

/// What a query may say of a metric of ours.
struct Named {
    /// As it is written: with `_total`, `_bucket` and so on.
    name: String,
    /// The labels that are matched or grouped by.
    labels: BTreeSet<String>,
    kind: &'static str,
}

fn named(family: &Family) -> Vec<Named> {
    let of = |labels: &[&crate::serve::family::Labels]| -> BTreeSet<String> {
        let all = labels.iter().flat_map(|labels| labels.iter());
        all.map(|(name, _)| name.to_string()).collect()
    };
    let kind = family.samples.kind();
    let whole = family.full_name();
    match &family.samples {
        Samples::Counter(samples) | Samples::Gauge(samples) => {
            let labels: Vec<_> = samples.iter().map(|(labels, _)| labels).collect();
            vec![Named {
                name: whole,
                labels: of(&labels),
                kind,
            }]
        }
        Samples::Info(infos) => vec![Named {
            name: whole,
            labels: of(&infos.iter().collect::<Vec<_>>()),
            kind: "gauge",
        }],
        Samples::Histogram { .. } => ["_bucket", "_sum", "_count"]
            .map(|suffix| Named {
                name: format!("{whole}{suffix}"),
                labels: BTreeSet::from(["le".to_owned()]),
                kind: "counter",
            })
            .into(),
    }
}

/// Titles and queries of all panels.
fn queries() -> Vec<(String, String)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/grafana/catrain.json"
    );
    let board: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let each = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| {
            (
                title.to_owned(),
                target["expr"].as_str().unwrap().to_owned(),
            )
        })
    });
    each.collect()
}

#[test]
fn each_query_of_the_dashboard_asks_for_what_there_is_as_what_it_is() {
    let known: BTreeMap<String, Named> = families(&sample(), false)
        .iter()
        .flat_map(named)
        .map(|named| (named.name.clone(), named))
        .collect();
    let name = Regex::new(r"\b(?:catrain|process)_[a-z0-9_]+").unwrap();
    // A rate of what may fall is nonsense.
    let rated = Regex::new(r"(?:rate|increase)\((?P<name>[a-z0-9_]+)\{").unwrap();
    let grouped = Regex::new(r"(?:by|on) \((?P<labels>[a-z_, ]+)\)").unwrap();
    let mut asked = BTreeSet::new();
    let queries = queries();
    assert!(queries.len() > 50, "{} queries", queries.len());
    for (title, query) in &queries {
        let mut labels = BTreeSet::from(["instance".to_owned()]);
        for found in name.find_iter(query) {
            let metric = (known.get(found.as_str()))
                .unwrap_or_else(|| panic!("{title}: there is no {}", found.as_str()));
            labels.extend(metric.labels.iter().cloned());
            asked.insert(metric.name.clone());
        }
        for found in rated.captures_iter(query) {
            let metric = &known[&found["name"]];
            assert_eq!(metric.kind, "counter", "{title}: a rate of {}", metric.name);
        }
        for found in grouped.captures_iter(query) {
            for label in found["labels"].split(", ") {
                assert!(
                    labels.contains(label),
                    "{title}: nothing has a label {label}"
                );
            }
        }
    }
    // For alerts and for those who look closer.
    let others = [
        "catrain_build_info",
        "catrain_decision_lateness_seconds_count",
        "catrain_decision_lateness_seconds_sum",
        "catrain_forecast_end_timestamp_seconds",
        "catrain_phase_age_seconds",
        "catrain_plan_pauses",
        "catrain_productive_seconds",
        "catrain_time_timestamp_seconds",
    ];
    let not_asked: Vec<&str> = (known.keys())
        .map(String::as_str)
        .filter(|name| !asked.contains(*name))
        .collect();
    assert_eq!(not_asked, others, "all else is on the dashboard");
}
