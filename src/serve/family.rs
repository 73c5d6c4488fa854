//! Metrics as plain data, and the forms in which they are served. Pure.
//!
//! [`openmetrics`] is what `prometheus-client` makes of them; [`classic`] is the older text format,
//! which `promtool check metrics` and collectors of text files read. There a counter is named with its
//! `_total`, an info is a gauge, and units stand in names alone.

use std::borrow::Cow;
use std::fmt::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use serde_json::{Value, json};

/// What ends a page of OpenMetrics.
const END: &str = "# EOF";

/// Labels of a sample.
pub type Labels = Vec<(Cow<'static, str>, String)>;

/// A metric with its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name without unit and suffix: `catrain_energy`.
    pub name: &'static str,
    /// Its unit, which follows the name: `joules`.
    pub unit: Option<&'static str>,
    /// What it means.
    pub help: &'static str,
    /// What its numbers do, with the numbers.
    pub samples: Samples,
}

/// Samples by what numbers of their kind do.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    /// They never fall.
    Counter(Vec<(Labels, f64)>),
    /// They go up and down.
    Gauge(Vec<(Labels, f64)>),
    /// Labels alone.
    Info(Vec<Labels>),
    /// One distribution: counts up to each bound that are not below the one before.
    Histogram {
        /// Of all values.
        sum: f64,
        /// The last bound is infinite.
        buckets: Vec<(f64, u64)>,
    },
}

impl Samples {
    /// In a word, as the text formats have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Info(_) => "info",
            Self::Histogram { .. } => "histogram",
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Counter(samples) | Self::Gauge(samples) => samples.is_empty(),
            Self::Info(infos) => infos.is_empty(),
            Self::Histogram { .. } => false,
        }
    }
}

impl Family {
    /// The name of its samples: with the unit, and `_total` or `_info` where its kind has that.
    pub fn full_name(&self) -> String {
        let unit = self.unit.map(|unit| format!("_{unit}"));
        let suffix = match self.samples {
            Samples::Counter(_) => "_total",
            Samples::Info(_) => "_info",
            Samples::Gauge(_) | Samples::Histogram { .. } => "",
        };
        format!("{}{}{suffix}", self.name, unit.unwrap_or_default())
    }
}

/// In the text format of OpenMetrics 1.0, with its end mark.
pub fn openmetrics(families: &[Family]) -> String {
    let mut registry = Registry::default();
    let there = families.iter().filter(|family| !family.samples.is_empty());
    registry.register_collector(Box::new(Page(there.cloned().collect())));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

/// In the text format 0.0.4 of Prometheus.
pub fn classic(families: &[Family]) -> String {
    let mut text = String::new();
    let open = openmetrics(families);
    for line in open.lines().filter(|line| *line != END) {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what), Some(name)) = (words.next(), words.next(), words.next()) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let rest = words.next().unwrap_or_default();
        let family = families.iter().find(|family| {
            let full = family.full_name();
            let suffixes = ["_total", "_info"];
            full == name
                || suffixes
                    .iter()
                    .any(|it| full.strip_suffix(it) == Some(name))
        });
        let Some(family) = family.filter(|_| what != "UNIT") else {
            continue;
        };
        let rest = match (what, rest) {
            ("TYPE", "info") => "gauge",
            _ => rest,
        };
        let _ = writeln!(text, "# {what} {} {rest}", family.full_name());
    }
    text
}

/// As JSON, for a file: each family with its samples.
pub fn json(families: &[Family]) -> Value {
    let labels = |labels: &Labels| -> Value {
        let pairs = labels
            .iter()
            .map(|(name, value)| (name.clone().into_owned(), value.clone().into()));
        Value::Object(pairs.collect())
    };
    let there = families.iter().filter(|family| !family.samples.is_empty());
    let family = |family: &Family| {
        let samples: Vec<Value> = match &family.samples {
            Samples::Counter(samples) | Samples::Gauge(samples) => (samples.iter())
                .map(|(own, value)| json!({ "labels": labels(own), "value": value }))
                .collect(),
            Samples::Info(infos) => (infos.iter())
                .map(|own| json!({ "labels": labels(own), "value": 1 }))
                .collect(),
            Samples::Histogram { sum, buckets } => {
                let bounds = buckets.iter().map(|(bound, count)| {
                    // JSON has no infinity.
                    json!({ "le": bound.is_finite().then_some(bound), "count": count })
                });
                vec![json!({ "sum": sum, "buckets": bounds.collect::<Vec<_>>() })]
            }
        };
        json!({
            "name": family.full_name(),
            "type": family.samples.kind(),
            "unit": family.unit,
            "help": family.help,
            "samples": samples,
        })
    };
    there.map(family).collect()
}

/// What is given to the encoder.
#[derive(Debug)]
struct Page(Vec<Family>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.0 {
            let unit = family.unit.map(|unit| Unit::Other(unit.to_owned()));
            let kind = match family.samples {
                Samples::Counter(_) => MetricType::Counter,
                Samples::Gauge(_) => MetricType::Gauge,
                Samples::Info(_) => MetricType::Info,
                Samples::Histogram { .. } => MetricType::Histogram,
            };
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            match &family.samples {
                Samples::Counter(samples) => {
                    for (labels, value) in samples {
                        match labels.as_slice() {
                            [] => metric.encode_counter::<NoLabelSet, _, u64>(value, None)?,
                            _ => (metric.encode_family(labels)?)
                                .encode_counter::<NoLabelSet, _, u64>(value, None)?,
                        }
                    }
                }
                Samples::Gauge(samples) => {
                    for (labels, value) in samples {
                        match labels.as_slice() {
                            [] => metric.encode_gauge(value)?,
                            _ => metric.encode_family(labels)?.encode_gauge(value)?,
                        }
                    }
                }
                Samples::Info(infos) => {
                    for labels in infos {
                        metric.encode_info(labels)?;
                    }
                }
                Samples::Histogram { sum, buckets } => {
                    let count = buckets.iter().map(|(_, count)| count).sum();
                    metric.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> [Family; 4] {
        let component = |name: &str| vec![("component".into(), name.to_owned())];
        [
            Family {
                name: "catrain_energy",
                unit: Some("joules"),
                help: "Energy.",
                samples: Samples::Counter(vec![
                    (component("cpu"), 1.5),
                    (component("a\"b\\c\nd"), 2.0),
                ]),
            },
            Family {
                name: "catrain_build",
                unit: None,
                help: "Version.",
                samples: Samples::Info(vec![vec![("version".into(), "0.1.0".to_owned())]]),
            },
            Family {
                name: "catrain_late",
                unit: Some("seconds"),
                help: "Lateness.",
                samples: Samples::Histogram {
                    sum: 2.5,
                    buckets: vec![(0.1, 3), (f64::INFINITY, 1)],
                },
            },
            Family {
                name: "catrain_none",
                unit: None,
                help: "Without samples.",
                samples: Samples::Gauge(Vec::new()),
            },
        ]
    }

    #[test]
    fn openmetrics_has_units_apart_and_an_end() {
        insta::assert_snapshot!(openmetrics(&families()), @r##"
        # HELP catrain_energy_joules Energy.
        # TYPE catrain_energy_joules counter
        # UNIT catrain_energy_joules joules
        catrain_energy_joules_total{component="cpu"} 1.5
        catrain_energy_joules_total{component="a\"b\\c\nd"} 2.0
        # HELP catrain_build Version.
        # TYPE catrain_build info
        catrain_build_info{version="0.1.0"} 1
        # HELP catrain_late_seconds Lateness.
        # TYPE catrain_late_seconds histogram
        # UNIT catrain_late_seconds seconds
        catrain_late_seconds_sum 2.5
        catrain_late_seconds_count 4
        catrain_late_seconds_bucket{le="0.1"} 3
        catrain_late_seconds_bucket{le="+Inf"} 4
        # EOF
        "##);
    }

    #[test]
    fn the_classic_format_names_counters_with_their_suffix_and_knows_no_infos() {
        insta::assert_snapshot!(classic(&families()), @r##"
        # HELP catrain_energy_joules_total Energy.
        # TYPE catrain_energy_joules_total counter
        catrain_energy_joules_total{component="cpu"} 1.5
        catrain_energy_joules_total{component="a\"b\\c\nd"} 2.0
        # HELP catrain_build_info Version.
        # TYPE catrain_build_info gauge
        catrain_build_info{version="0.1.0"} 1
        # HELP catrain_late_seconds Lateness.
        # TYPE catrain_late_seconds histogram
        catrain_late_seconds_sum 2.5
        catrain_late_seconds_count 4
        catrain_late_seconds_bucket{le="0.1"} 3
        catrain_late_seconds_bucket{le="+Inf"} 4
        "##);
    }

    #[test]
    fn in_json_each_sample_has_its_labels() {
        let value = json(&families());
        assert_eq!(value[0]["name"], "catrain_energy_joules_total");
        assert_eq!(value[0]["samples"][1]["labels"]["component"], "a\"b\\c\nd");
        assert_eq!(value[2]["samples"][0]["buckets"][1]["le"], Value::Null);
        assert_eq!(
            value.as_array().unwrap().len(),
            3,
            "nothing without samples"
        );
    }
}
