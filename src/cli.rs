//! What can be typed: clap types, whose doc comments are the help texts.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::parse;
use crate::source::Name;

/// The carbon intensity now and ahead, and the cleanest times to run.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  catrain forecast -z DE -d 6h
  catrain forecast -z DE -z SE -z PL --deadline 'tomorrow 09:00'
  catrain forecast -s file:DE_2021.csv --format json")]
pub struct ForecastArgs {
    /// Grid zone, such as DE or US-CAL-CISO; give it again to compare several.
    #[arg(short, long, value_name = "ZONE", env = "CATRAIN_ZONE")]
    pub zone: Vec<String>,

    /// Where intensities come from, in order of preference: file:PATH, built-in.
    #[arg(short, long, value_name = "NAME[,NAME…]", value_delimiter = ',')]
    pub source: Vec<Name>,

    /// How far ahead to look, up to 168.
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=168))]
    pub hours: u16,

    /// How long the work takes: the cleanest windows of that length are listed.
    #[arg(short, long, value_name = "DUR", default_value = "6h", value_parser = parse::positive_duration)]
    pub duration: Duration,

    /// Only windows that end by then: 'tomorrow 09:00', '2026-11-25 09:00', +36h, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<String>,

    /// How to print it.
    #[arg(long, value_enum, default_value_t = ForecastFormat::Table)]
    pub format: ForecastFormat,
}

/// How a forecast is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ForecastFormat {
    /// A chart and a table for people.
    Table,
    /// One document, `catrain.forecast/1`.
    Json,
    /// One line an hour and zone.
    Csv,
}

/// The grid zones known, which sources serve them, and what is built in.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  catrain zones
  catrain zones germany
  catrain zones US- --json")]
pub struct ZonesArgs {
    /// Only zones whose id or name holds this.
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,

    /// Print one JSON document, `catrain.zones/1`.
    #[arg(long)]
    pub json: bool,
}
