//! `catrain forecast`: the intensity now and ahead, and the cleanest times to run.

mod chart;
mod score;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::sleep;

use super::sources::Settled;
use crate::caller::block_on;
use crate::cli::{ForecastArgs, TableFormat};
use crate::config::Config;
use crate::error::{Failure, Kind as FailureKind};
use crate::forecast::ahead::ahead;
use crate::forecast::builtin::Average;
use crate::forecast::windows::{Window, cleanest};
use crate::forecast::zones::{Resolved, resolve};
use crate::forecast::{Basis, Kind, Outlook, Point, Span};
use crate::parse;
use crate::source::chain::Chain;
use crate::source::{self, Gathered, Name, SourceError, Tried, Trouble};
use crate::units::GramsPerKwh;
use crate::words::{self, Look, Paint};

/// Windows listed for one zone.
const WINDOWS: usize = 3;

/// A watch looks again after this long at the latest.
const SELDOM: Duration = Duration::from_secs(3600);

/// What is known of one zone.
struct View {
    zone: &'static Average,
    outlook: Outlook,
    windows: Vec<Window>,
    tried: Vec<Tried>,
    notes: Vec<String>,
}

/// Prints the forecast of one zone, or of several side by side.
///
/// # Errors
/// An unknown zone, wrong configuration, a source that cannot be used, a deadline that is past or
/// cannot be read, or writing fails (not when the reader has gone).
pub fn run(
    args: &ForecastArgs,
    settled: &Settled,
    look: Look,
    out: &mut dyn Write,
    now: &dyn Fn() -> Timestamp,
    tz: &TimeZone,
) -> Result<(), Failure> {
    let chain = &settled.chain;
    let names = settled.names(&args.source);
    let zones = zones(args, &settled.config, &names, tz)?;
    if args.score {
        return score::run(chain, &names, &zones, args.format, look, out, now());
    }
    if args.watch && args.format != TableFormat::Table {
        return Err(Failure::usage("`--watch` is for people, not for programs")
            .hint("ask again for each JSON or CSV"));
    }
    let shown = block_on(async {
        loop {
            // A deadline that is over is told before anybody is asked.
            until(args, now(), tz)?;
            let gathered = gather(chain, &names, &zones, now()).await?;
            let now = now();
            let page = Page {
                look,
                now,
                tz,
                until: until(args, now, tz)?,
                duration: args.duration,
            };
            let views = (zones.iter().zip(&gathered))
                .map(|(zone, gathered)| {
                    view(args, zone, gathered, &settled.passed_by, now, page.until)
                })
                .collect::<Result<Vec<View>, Failure>>()?;
            if args.watch && io::stdout().is_terminal() {
                // Home, and clear what is below: https://ecma-international.org, ECMA-48.
                super::written(out.write_all(b"\x1b[H\x1b[J"))?;
            }
            show(args.format, &page, out, &views)?;
            super::written(out.flush())?;
            let next = gathered.iter().map(|gathered| gathered.next).min();
            // Nobody waits for what is learned.
            for mut gathered in gathered {
                if let Some(of) = gathered.of {
                    chain.learn(&of, &mut gathered.knowledge, now);
                }
            }
            if !args.watch {
                return Ok(());
            }
            sleep(next.unwrap_or(SELDOM).min(SELDOM)).await;
        }
    });
    shown.map_err(|error| Failure::new(FailureKind::Failed, error))?
}

/// What is known of each zone; all are asked at the same time.
async fn gather(
    chain: &Chain,
    names: &[Name],
    zones: &[Resolved],
    now: Timestamp,
) -> Result<Vec<Gathered>, Failure> {
    let asked = (zones.iter()).map(|zone| chain.gather(names, zone.zone.zone, now));
    let gathered: Result<Vec<Gathered>, SourceError> = join_all(asked).await.into_iter().collect();
    Ok(gathered?)
}

fn view(
    args: &ForecastArgs,
    resolved: &Resolved,
    gathered: &Gathered,
    passed_by: &[String],
    now: Timestamp,
    until: Timestamp,
) -> Result<View, Failure> {
    let zone = resolved.zone;
    let outlook = ahead(now, &gathered.knowledge, usize::from(args.hours)).ok_or_else(|| {
        let nothing = anyhow::anyhow!("nothing is known of {} at this time", zone.zone);
        Failure::new(FailureKind::Failed, nothing).hint("name another source: -s built-in")
    })?;
    // No hour of a yearly average is cleaner than another.
    let windows = match outlook.kind {
        Kind::RegionalAverage => Vec::new(),
        _ => cleanest(&outlook.expected, now, until, args.duration, WINDOWS),
    };
    let notes = (resolved.announcement().into_iter())
        .chain(passed_by.iter().cloned())
        .chain(gathered.trouble.iter().flat_map(told))
        .chain(gathered.notes.iter().cloned());
    Ok(View {
        zone,
        outlook,
        windows,
        tried: gathered.tried.clone(),
        notes: notes.collect(),
    })
}

/// A line for each that failed, and one for what is used instead.
fn told(trouble: &Trouble) -> Vec<String> {
    match trouble.failed.as_slice() {
        [_] => vec![trouble.to_string()],
        failed => [failed, &[format!("{} instead", trouble.instead)]].concat(),
    }
}

/// The end of what windows may take.
fn until(args: &ForecastArgs, now: Timestamp, tz: &TimeZone) -> Result<Timestamp, Failure> {
    let horizon = horizon(now, args.hours);
    let Some(text) = &args.deadline else {
        return Ok(horizon);
    };
    let deadline =
        parse::time(text, now, tz).map_err(|why| Failure::usage(format!("--deadline: {why}")))?;
    if deadline <= now {
        return Err(Failure::usage(format!(
            "--deadline: `{text}` is over since {}",
            words::duration(now.duration_since(deadline).unsigned_abs())
        )));
    }
    Ok(horizon.min(deadline))
}

fn show(
    format: TableFormat,
    page: &Page<'_>,
    out: &mut dyn Write,
    views: &[View],
) -> Result<(), Failure> {
    let now = page.now;
    super::written(match (format, views) {
        (TableFormat::Table, [one]) => page.one(one, out),
        (TableFormat::Table, several) => page.several(several, out),
        (TableFormat::Json, [one]) => json(
            &Single {
                schema: SCHEMA,
                zone: Document::new(one, now),
            },
            out,
        ),
        (TableFormat::Json, several) => json(
            &Several {
                schema: SCHEMA,
                zones: several
                    .iter()
                    .map(|view| Document::new(view, now))
                    .collect(),
            },
            out,
        ),
        (TableFormat::Csv, views) => csv(views, out),
    })
}

/// The zones asked for, each once; without any the configured one, else a guess. A file has its own.
fn zones(
    args: &ForecastArgs,
    config: &Config,
    names: &[Name],
    tz: &TimeZone,
) -> Result<Vec<Resolved>, Failure> {
    let file = names.iter().find_map(|name| match name {
        Name::File(path) => Some(path),
        Name::Live(_) | Name::BuiltIn => None,
    });
    let given: Vec<Option<String>> = match (args.zone.as_slice(), file) {
        ([], Some(path)) => vec![source::zone_of(path)],
        ([], None) => vec![config.zone.as_ref().map(|told| told.value.clone())],
        ([_, _, ..], Some(path)) => {
            let what = format!("`{}` holds one zone, not several", path.display());
            return Err(Failure::usage(what).hint("ask for each zone with its own file"));
        }
        (given, _) => given.iter().cloned().map(Some).collect(),
    };
    let mut zones: Vec<Resolved> = Vec::new();
    for given in given {
        let resolved = resolve(given.as_deref(), tz.iana_name())?;
        if zones.iter().all(|known| known.zone != resolved.zone) {
            zones.push(resolved);
        }
    }
    Ok(zones)
}

/// The end of the last hour that is looked at; hours count from the one that `now` is in.
fn horizon(now: Timestamp, hours: u16) -> Timestamp {
    let into_hour = now.as_second().rem_euclid(3600);
    let left = SignedDuration::from_secs(i64::from(hours) * 3600 - into_hour);
    now.checked_add(left).unwrap_or(Timestamp::MAX)
}

/// Everything that a page of text is laid out by.
struct Page<'a> {
    look: Look,
    now: Timestamp,
    tz: &'a TimeZone,
    until: Timestamp,
    duration: Duration,
}

impl Page<'_> {
    fn say(&self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        writeln!(out, "{}", self.look.text(text).trim_end())
    }

    fn one(&self, view: &View, out: &mut dyn Write) -> io::Result<()> {
        let View { zone, outlook, .. } = view;
        let title = self.look.paint(Paint::Bold, zone.zone);
        self.say(
            out,
            &format!("{title}  {} · {}", zone.name, self.present(outlook)),
        )?;
        self.provenance(view, "", out)?;
        if outlook.kind == Kind::RegionalAverage {
            self.say(
                out,
                "a yearly average: no hour is known to be cleaner than another",
            )?;
        } else {
            let size = chart::Size::of(self.look);
            for line in chart::draw(&outlook.expected, self.tz, self.look, size) {
                self.say(out, &line)?;
            }
            self.windows(view, out)?;
        }
        view.notes.iter().try_for_each(|note| self.note(note, out))
    }

    fn present(&self, outlook: &Outlook) -> String {
        match outlook.expected.at(self.now) {
            Some(value) => format!("{} now", words::intensity(value)),
            None => "not known now".to_owned(),
        }
    }

    /// Source, kind, age, basis and confidence, in one line.
    fn provenance(&self, view: &View, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let outlook = &view.outlook;
        let average = view.zone.intensity;
        let kind = match (outlook.kind, age(outlook, self.now)) {
            (Kind::RegionalAverage, _) if outlook.mean == average => {
                let (origin, year) = (view.zone.source.name(), view.zone.year);
                let whole = view
                    .zone
                    .of
                    .map_or(String::new(), |whole| format!("{whole} in "));
                format!("yearly average of {whole}{year} ({origin})")
            }
            (kind, Some(age)) => format!("{kind}, {} old", words::duration(age)),
            (kind, None) => kind.to_string(),
        };
        let mut parts = vec![outlook.source.clone(), kind, outlook.basis.to_string()];
        // A yearly average has none, and says so by its name.
        if outlook.confidence > 0.0 {
            parts.push(format!("confidence {:.2}", outlook.confidence));
        }
        let line = format!("{indent}{}", parts.join(" · "));
        self.say(out, &self.look.paint(Paint::Dim, &line))
    }

    fn windows(&self, view: &View, out: &mut dyn Write) -> io::Result<()> {
        let length = words::duration(self.duration);
        if view.windows.is_empty() {
            let end = words::time(self.until, self.now, self.tz);
            return self.say(
                out,
                &format!("no {length} without a pause fit in before {end}"),
            );
        }
        let head = format!(
            "{:<24}{:>6}{:>14}",
            format!("cleanest {length}"),
            "mean",
            "against now"
        );
        let zone = crate::words::zone_name(self.tz, self.now);
        let zone = self.look.paint(Paint::Dim, &format!("  (times: {zone})"));
        self.say(
            out,
            &format!("{}{zone}", self.look.paint(Paint::Bold, &head)),
        )?;
        for window in &view.windows {
            let when = self.when(window.span);
            let mean = format!("{:.0}", window.mean.0);
            self.say(out, &format!("{when:<24}{mean:>6}{:>14}", against(window)))?;
        }
        Ok(())
    }

    /// `Tue 01:30 – 07:30`.
    fn when(&self, span: Span) -> String {
        let start = span.start.to_zoned(self.tz.clone());
        let end = span.end.to_zoned(self.tz.clone());
        let day = match start.date() == end.date() {
            true => "%H:%M",
            false => "%a %H:%M",
        };
        let start = match span.start <= self.now {
            true => "now".to_owned(),
            false => start.strftime("%a %H:%M").to_string(),
        };
        format!("{start} – {}", end.strftime(day))
    }

    fn note(&self, note: &str, out: &mut dyn Write) -> io::Result<()> {
        self.say(out, &self.look.paint(Paint::Dim, &format!("note: {note}")))
    }

    fn several(&self, views: &[View], out: &mut dyn Write) -> io::Result<()> {
        let id = views
            .iter()
            .map(|view| view.zone.zone.len())
            .fold(4, usize::max);
        let cleanest = format!("cleanest {}", words::duration(self.duration));
        let head = format!(
            "{:id$} {:>5} {:>5} {:>5}   {cleanest:<24}{:>5}{:>13}",
            "zone", "now", "low", "high", "mean", "against now"
        );
        self.say(out, &self.look.paint(Paint::Bold, &head))?;
        for View {
            zone,
            outlook,
            windows,
            ..
        } in views
        {
            let number = |value: Option<f64>| value.map_or("?".to_owned(), |v| format!("{v:.0}"));
            let (low, high) = chart::range(outlook.expected.points());
            let window = match windows.first() {
                Some(window) => format!(
                    "{:<24}{:>5.0}{:>13}",
                    self.when(window.span),
                    window.mean.0,
                    against(window)
                ),
                None if outlook.kind == Kind::RegionalAverage => "a yearly average only".to_owned(),
                None => "none fits".to_owned(),
            };
            let line = format!(
                "{:id$} {:>5} {:>5} {:>5}   {window}",
                zone.zone,
                number(outlook.expected.at(self.now).map(|value| value.0)),
                number(Some(low)),
                number(Some(high)),
            );
            self.say(out, &line)?;
        }
        self.say(out, "")?;
        let size = chart::Size::small(self.look, id);
        for (index, view) in views.iter().enumerate() {
            let drawn = chart::draw(&view.outlook.expected, self.tz, self.look, size);
            // One row for each; the axis once, under the last.
            let shown = if index + 1 == views.len() {
                drawn.len()
            } else {
                1
            };
            for (row, line) in drawn.iter().take(shown).enumerate() {
                let name = if row == 0 { view.zone.zone } else { "" };
                self.say(out, &format!("{name:id$}{line}"))?;
            }
        }
        let zone = crate::words::zone_name(self.tz, self.now);
        let scale = format!("each from its low to its high; times: {zone}");
        self.say(out, &self.look.paint(Paint::Dim, &scale))?;
        for view in views {
            self.provenance(view, &format!("{:id$} ", view.zone.zone), out)?;
        }
        if views
            .windows(2)
            .any(|two| two[0].outlook.basis != two[1].outlook.basis)
        {
            self.say(
                out,
                "note: the numbers of different bases must not be compared",
            )?;
        }
        let mut told: Vec<&String> = Vec::new();
        for note in views.iter().flat_map(|view| &view.notes) {
            if !told.contains(&note) {
                self.note(note, out)?;
                told.push(note);
            }
        }
        Ok(())
    }
}

fn against(window: &Window) -> String {
    window
        .saving
        .map_or("?".to_owned(), |saving| words::change(-saving))
}

fn age(outlook: &Outlook, now: Timestamp) -> Option<Duration> {
    outlook
        .issued_at
        .map(|at| now.duration_since(at).unsigned_abs())
}

const SCHEMA: &str = "catrain.forecast/1";

#[derive(Serialize)]
struct Single<'a> {
    schema: &'static str,
    #[serde(flatten)]
    zone: Document<'a>,
}

#[derive(Serialize)]
struct Several<'a> {
    schema: &'static str,
    zones: Vec<Document<'a>>,
}

#[derive(Serialize)]
struct Document<'a> {
    zone: &'a str,
    basis: Basis,
    source: &'a str,
    kind: Kind,
    confidence: f64,
    issued_at: Option<Timestamp>,
    age_s: Option<u64>,
    now_g_per_kwh: Option<GramsPerKwh>,
    points: Vec<Point>,
    windows: Vec<WindowRow>,
    tried: &'a [Tried],
}

#[derive(Serialize)]
struct WindowRow {
    #[serde(flatten)]
    span: Span,
    mean_g_per_kwh: GramsPerKwh,
    saving_percent: Option<f64>,
}

impl<'a> Document<'a> {
    fn new(view: &'a View, now: Timestamp) -> Self {
        let outlook = &view.outlook;
        Self {
            zone: &outlook.zone,
            basis: outlook.basis,
            source: &outlook.source,
            kind: outlook.kind,
            confidence: outlook.confidence,
            issued_at: outlook.issued_at,
            age_s: age(outlook, now).map(|age| age.as_secs()),
            now_g_per_kwh: outlook.expected.at(now).map(rounded),
            points: (outlook.expected.points().iter())
                .map(|point| Point {
                    intensity: rounded(point.intensity),
                    ..*point
                })
                .collect(),
            windows: (view.windows.iter())
                .map(|window| WindowRow {
                    span: window.span,
                    mean_g_per_kwh: rounded(window.mean),
                    saving_percent: window.saving.map(|saving| (saving * 1e4).round() / 1e2),
                })
                .collect(),
            tried: &view.tried,
        }
    }
}

/// To a milligram: the digits beyond are noise that differs between machines.
fn rounded(intensity: GramsPerKwh) -> GramsPerKwh {
    GramsPerKwh((intensity.0 * 1e3).round() / 1e3)
}

fn json(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

#[derive(Serialize)]
struct CsvRow<'a> {
    zone: &'a str,
    start: Timestamp,
    end: Timestamp,
    g_per_kwh: f64,
    kind: Kind,
    basis: String,
    source: &'a str,
}

fn csv(views: &[View], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for View { outlook, .. } in views {
        for point in outlook.expected.points() {
            writer
                .serialize(CsvRow {
                    zone: &outlook.zone,
                    start: point.span.start,
                    end: point.span.end,
                    g_per_kwh: rounded(point.intensity).0,
                    kind: point.kind,
                    basis: outlook.basis.to_string(),
                    source: &outlook.source,
                })
                .map_err(super::csv_error)?;
        }
    }
    writer.flush()
}
