//! `catrain forecast` and `catrain zones`, whole: from flags to what is printed.

use std::io::{self, Write};
use std::path::Path;

use catrain::cli::{ForecastArgs, ZonesArgs};
use catrain::command;
use catrain::command::sources::Settled;
use catrain::config::Config;
use catrain::error::Failure;
use catrain::words::Look;
use clap::{Args, FromArgMatches};
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn args<T: Args + FromArgMatches>(line: &str) -> T {
    let command = T::augment_args(clap::Command::new("test").no_binary_name(true))
        .mut_args(|arg| arg.env(clap::builder::Resettable::Reset));
    let matches = command
        .try_get_matches_from(line.split_whitespace())
        .unwrap();
    T::from_arg_matches(&matches).unwrap()
}

/// Rules instead of a name: no tz database is needed, and no zone can be guessed.
fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// Tuesday 18:20 in Berlin.
fn now() -> Timestamp {
    "2021-11-16T17:20:00Z".parse().unwrap()
}

/// Nothing is set, nothing kept, and nobody asked.
fn settled() -> Settled {
    Settled::of(Config::default(), None, None, true)
}

fn try_forecast(line: &str, look: Look) -> Result<String, Failure> {
    let mut out = Vec::new();
    command::forecast::run(&args(line), &settled(), look, &mut out, &now, &berlin())?;
    Ok(String::from_utf8(out).unwrap())
}

fn forecast(line: &str) -> String {
    try_forecast(line, Look::PLAIN).unwrap()
}

fn zones(line: &str) -> Result<String, Failure> {
    let mut out = Vec::new();
    command::zones::run(&args::<ZonesArgs>(line), Look::PLAIN, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn fixture() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/DE_2021-11.csv");
    format!("file:{}", path.display())
}

#[test]
fn a_forecast_is_a_chart_windows_and_where_it_is_from() {
    insta::assert_snapshot!(forecast(&format!("-s {}", fixture())), @r#"
    DE  Germany · 539 g/kWh now
    file DE_2021-11.csv · live, 20 m old · average, lifecycle · confidence 0.55
     550 ┤▆▆▅▄▂▁
     500 ┤██████▆▁
     450 ┤████████▇▆▅▅▅▄▃
     400 ┤████████████████▆▄▃▃▄▆█▇▆▅▅▄▄▃▂     ▂▂▁       ▁▁
     350 ┤█████████████████████████████████▇██████▆▄▃▄▅███
     300 └┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────
          18    Wed   06    12    18    Thu   06    12
    cleanest 6 h              mean   against now  (times: UTC+01)
    Thu 09:00 – 15:00          331         −37 %
    Thu 01:00 – 07:00          351         −33 %
    Wed 19:00 – Thu 01:00      374         −28 %
    note: file DE_2021-11.csv is taken to be average, lifecycle
    "#);
}

#[test]
fn the_usual_day_stands_on_a_labelled_foot() {
    insta::assert_snapshot!(forecast("-z DE --hours 24 -d 3h"), @r#"
    DE  Germany · 402 g/kWh now
    built-in · profile · average, lifecycle · confidence 0.14
     420 ┤                                                               ▂▂▂▅▅▅▁▁▁
     405 ┤▇▇▇▄▄▄▁▁▁                                                      █████████
     390 ┤█████████▅▅▅▃▃▃                     ▅▅▅███▅▅▅               ▆▆▆█████████
     375 ┤███████████████▇▇▇               ▆▆▆█████████▇▇▇▁▁▁      ▄▄▄████████████
     360 ┤█████████████████████▆▆▆▅▅▅▅▅▅█████████████████████▆▆▆▇▇▇███████████████
     345 └┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────
          18    20    22    Wed   02    04    06    08    10    12    14    16
    cleanest 3 h              mean   against now  (times: UTC+01)
    Wed 01:00 – 04:00          355         −10 %
    Wed 10:00 – 13:00          359          −9 %
    Tue 22:00 – Wed 01:00      371          −6 %
    "#);
}

#[test]
fn several_zones_stand_side_by_side() {
    insta::assert_snapshot!(forecast("-z DE -z se -z FR -z US-TX -z de"), @r#"
    zone    now   low  high   cleanest 6 h             mean  against now
    DE      402   354   414   Wed 00:00 – 06:00         359         −7 %
    SE       37    34    37   Wed 00:00 – 06:00          34         −3 %
    FR       44    44    44   a yearly average only
    US-TX   476   476   476   a yearly average only

    DE    ▇▆▅▅▄▃▂▁▁▁▂▃▅▅▄▃▂▁▁▃▅▇█▇▇▆▅▅▄▃▂▁▁▁▂▃▅▅▄▃▂▁▁▃▅▇█▇
    SE    █▇▅▄▃▃▃▁▁▁▁▁▃▄▅▅▆▇▇▇▇▇███▇▅▄▃▃▃▁▁▁▁▁▃▄▅▅▆▇▇▇▇▇██
    FR    ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄
    US-TX ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄
          ┬─────┬─────┬─────┬─────┬─────┬─────┬─────┬─────
          18    Wed   06    12    18    Thu   06    12
    each from its low to its high; times: UTC+01
    DE    built-in · profile · average, lifecycle · confidence 0.14
    SE    built-in · profile · average, lifecycle · confidence 0.14
    FR    built-in · yearly average of 2024 (Ember, OWID) · average, lifecycle
    US-TX built-in · yearly average of 2016 (EPA eGRID) · average, direct
    note: the numbers of different bases must not be compared
    "#);
}

#[test]
fn a_yearly_average_draws_no_chart_and_recommends_no_time() {
    insta::assert_snapshot!(forecast("-z FR"), @r#"
    FR  France · 44 g/kWh now
    built-in · yearly average of 2024 (Ember, OWID) · average, lifecycle
    a yearly average: no hour is known to be cleaner than another
    "#);
}

#[test]
fn without_unicode_everything_is_ascii() {
    let ascii = Look {
        unicode: false,
        ..Look::PLAIN
    };
    let told = try_forecast("-z DE --hours 12 -d 3h", ascii).unwrap();
    assert!(told.is_ascii(), "{told}");
    insta::assert_snapshot!(told, @r#"
    DE  Germany - 402 g/kWh now
    built-in - profile - average, lifecycle - confidence 0.14
     416 |
     408 |
     400 |########
     392 |############
     384 |####################
     376 |########################
     368 |########################                    ####
     360 |################################################
     352 ++-------+-------+-------+-------+-------+-------
          18      20      22      Wed     02      04
    cleanest 3 h              mean   against now  (times: UTC+01)
    Wed 01:00 - 04:00          355         -10 %
    Tue 22:00 - Wed 01:00      371          -6 %
    Tue 19:00 - 22:00          392          -1 %
    "#);
}

#[test]
fn every_line_fits_the_width_and_colour_changes_no_letter() {
    for line in [
        "-z DE",
        "-z US-CAL-CISO --hours 168",
        "-z DE -z US-CAL-CISO -z SE",
    ] {
        let plain = forecast(line);
        for text in plain.lines() {
            assert!(text.chars().count() <= 80, "{text}");
        }
        let look = Look {
            colour: true,
            ..Look::PLAIN
        };
        let coloured = try_forecast(line, look).unwrap();
        assert!(coloured.contains("\u{1b}[32m") && coloured.contains("\u{1b}[31m"));
        let mut stripped = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            let text = match index {
                0 => part,
                _ => part.split_once('m').unwrap().1,
            };
            stripped += text;
        }
        let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }
}

#[test]
fn a_horizon_of_any_length_is_drawn() {
    for hours in [1, 2, 17, 47, 71, 73, 96, 167, 168] {
        for width in [10, 40, 80, 200] {
            let look = Look {
                width,
                ..Look::PLAIN
            };
            let told = try_forecast(&format!("-z DE --hours {hours} -d 30m"), look).unwrap();
            assert!(
                told.contains('█') && told.contains("cleanest 30 m"),
                "{told}"
            );
        }
    }
}

#[test]
fn json_holds_what_was_promised() {
    let told = forecast(&format!("-s {} --hours 2 -d 1h --format json", fixture()))
        .replace(env!("CARGO_MANIFEST_DIR"), "DIR");
    insta::assert_snapshot!(told, @r#"
    {
      "schema": "catrain.forecast/1",
      "zone": "DE",
      "basis": {
        "signal": "average",
        "scope": "lifecycle"
      },
      "source": "file DE_2021-11.csv",
      "kind": "live",
      "confidence": 0.55,
      "issued_at": "2021-11-16T17:00:00Z",
      "age_s": 1200,
      "now_g_per_kwh": 539.03,
      "points": [
        {
          "start": "2021-11-16T17:00:00Z",
          "end": "2021-11-16T18:00:00Z",
          "g_per_kwh": 539.03,
          "kind": "live"
        },
        {
          "start": "2021-11-16T18:00:00Z",
          "end": "2021-11-16T19:00:00Z",
          "g_per_kwh": 535.844,
          "kind": "live"
        }
      ],
      "windows": [
        {
          "start": "2021-11-16T18:00:00Z",
          "end": "2021-11-16T19:00:00Z",
          "mean_g_per_kwh": 535.844,
          "saving_percent": 0.39
        }
      ],
      "tried": [
        {
          "source": "file:DIR/tests/fixtures/DE_2021-11.csv",
          "outcome": "12 forecasts, 360 values"
        }
      ]
    }
    "#);
}

#[test]
fn several_zones_are_one_document() {
    let told = forecast("-z DE -z FR --format json");
    let document: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(document["schema"], "catrain.forecast/1");
    assert_eq!(document["zones"][0]["zone"], "DE");
    assert_eq!(document["zones"][1]["kind"], "regional_average");
    assert_eq!(document["zones"][1]["confidence"], 0.0);
    assert_eq!(document["zones"][1]["issued_at"], serde_json::Value::Null);
    assert!(document["zones"][1].get("schema").is_none());
}

#[test]
fn csv_has_a_line_for_each_hour_and_zone() {
    insta::assert_snapshot!(forecast("-z DE -z US-TX --hours 2 --format csv"), @r#"
    zone,start,end,g_per_kwh,kind,basis,source
    DE,2021-11-16T17:00:00Z,2021-11-16T18:00:00Z,402.2,profile,"average, lifecycle",built-in
    DE,2021-11-16T18:00:00Z,2021-11-16T19:00:00Z,398.3,profile,"average, lifecycle",built-in
    US-TX,2021-11-16T17:00:00Z,2021-11-16T18:00:00Z,476.1,regional_average,"average, direct",built-in
    US-TX,2021-11-16T18:00:00Z,2021-11-16T19:00:00Z,476.1,regional_average,"average, direct",built-in
    "#);
}

#[test]
fn windows_end_by_the_deadline() {
    let told = forecast("-z DE -d 3h --deadline +7h --format json");
    let document: serde_json::Value = serde_json::from_str(&told).unwrap();
    let windows = document["windows"].as_array().unwrap();
    assert!(!windows.is_empty());
    for window in windows {
        let end: Timestamp = window["end"].as_str().unwrap().parse().unwrap();
        assert!(end <= now() + jiff::SignedDuration::from_hours(7));
    }
    let none = forecast("-z DE -d 6h --deadline +2h");
    assert!(
        none.contains("no 6 h without a pause fit in before 20:20"),
        "{none}"
    );
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let told = |line: &str| try_forecast(line, Look::PLAIN).unwrap_err();
    let unknown = told("-z DEE");
    assert_eq!(unknown.kind.exit_code(), 2);
    assert_eq!(
        unknown.to_string(),
        "unknown zone `DEE`\n  hint: did you mean `DE` (Germany) or `EE` (Estonia)? `catrain zones` lists all"
    );
    // The time zone of these tests has no name.
    assert_eq!(
        told("").to_string(),
        "no zone given, and the system's time zone has no name to guess from\n  hint: say which: -z DE, or CATRAIN_ZONE; `catrain zones` lists all"
    );
    assert_eq!(
        told("-z DE --deadline 2021-11-16T17:00:00Z").to_string(),
        "--deadline: `2021-11-16T17:00:00Z` is over since 20 m"
    );
    assert!(
        told("-z DE --deadline soon")
            .to_string()
            .contains("expected `2026-11-25 09:00`")
    );
    let missing = told("-z DE -s file:/no/such.csv");
    assert_eq!(missing.kind.exit_code(), 1);
    assert_eq!(
        missing.to_string(),
        "cannot read `/no/such.csv`: No such file or directory (os error 2)\n  hint: check the path and its permissions"
    );
    let several = told("-z DE -z SE -s file:/no/such.csv");
    assert!(
        several
            .to_string()
            .starts_with("`/no/such.csv` holds one zone, not several")
    );
}

/// A pipe whose reader has gone, or a full disk.
struct Fails(io::ErrorKind);

impl Write for Fails {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

#[test]
fn a_broken_pipe_is_no_error_and_a_full_disk_is_one() {
    for format in ["table", "json", "csv"] {
        let args: ForecastArgs = args(&format!("-z DE --format {format}"));
        let run = |kind| {
            let out = &mut Fails(kind);
            command::forecast::run(&args, &settled(), Look::PLAIN, out, &now, &berlin())
        };
        assert!(run(io::ErrorKind::BrokenPipe).is_ok(), "{format}");
        assert!(run(io::ErrorKind::StorageFull).is_err(), "{format}");
    }
    let args: ZonesArgs = args("--json");
    let mut gone = Fails(io::ErrorKind::BrokenPipe);
    assert!(command::zones::run(&args, Look::PLAIN, &mut gone).is_ok());
}

#[test]
fn zones_are_listed_by_id_and_name() {
    insta::assert_snapshot!(zones("us-t").unwrap(), @r#"
    ZONE         NAME                        SERVED BY         USUAL DAY  YEARLY AVERAGE
    US-TEN-TVA   Tennessee Valley Authority  electricity-maps              384 g/kWh  2024 (of US, Ember, OWID)
    US-TEX-ERCO  ERCOT (Texas)               electricity-maps  2020        362 g/kWh  2021 (CarbonCast, EIA)
    US-TN        Tennessee                   built-in                      450 g/kWh  2016 (EPA eGRID, direct)
    US-TX        Texas                       built-in                      476 g/kWh  2016 (EPA eGRID, direct)
    "#);
    assert!(
        zones("germany")
            .unwrap()
            .contains("DE    Germany  energy-charts, electricity-maps, watttime  2020")
    );
    assert!(zones("uk").unwrap().contains("United Kingdom"));
    assert_eq!(zones("").unwrap().lines().count(), 425);
    assert_eq!(
        zones("Germny").unwrap_err().to_string(),
        "no zone's id or name holds `Germny`\n  hint: did you mean `DE` (Germany)? `catrain zones` lists all"
    );
}

#[test]
fn each_source_says_what_it_can_do() {
    let told = zones("--sources").unwrap();
    for name in ["neso", "energy-charts", "watttime", "carbon-aware-sdk"] {
        assert!(told.lines().any(|line| line == name), "{name}: {told}");
    }
    assert!(told.contains("numbers  marginal, scope unknown; forecast and past"));
    assert!(told.contains("key      catrain key set electricity-maps"));
    let json: serde_json::Value =
        serde_json::from_str(&zones("--sources --json").unwrap()).unwrap();
    assert_eq!(json["schema"], "catrain.sources/1");
    assert_eq!(json["sources"][0]["horizon_s"], 48 * 3600);
    assert_eq!(json["sources"][0]["basis"]["scope"], "operational");
}

#[test]
fn parts_of_a_zone_are_known_with_the_average_of_the_whole() {
    let told = zones("DK-DK1 --json").unwrap();
    let json: serde_json::Value = serde_json::from_str(&told).unwrap();
    let zone = &json["zones"][0];
    assert_eq!(
        (&zone["zone"], &zone["average_of"]),
        (&"DK-DK1".into(), &"DK".into())
    );
    assert_eq!(zone["sources"][0], "energi-data-service");
    assert!(zones("GB-RG10").unwrap().contains("postcode RG10"));
}

#[test]
fn zones_as_json_say_what_their_numbers_mean() {
    insta::assert_snapshot!(zones("US-TX --json").unwrap(), @r#"
    {
      "schema": "catrain.zones/1",
      "zones": [
        {
          "zone": "US-TX",
          "name": "Texas",
          "sources": [
            "built-in"
          ],
          "profile_year": null,
          "average_g_per_kwh": 476.1,
          "average_year": 2016,
          "average_source": "EPA eGRID",
          "average_of": null,
          "basis": {
            "signal": "average",
            "scope": "direct"
          }
        }
      ]
    }
    "#);
}
