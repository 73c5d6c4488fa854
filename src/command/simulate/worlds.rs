//! The worlds of a simulation: files become what sources knew, a zone each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::cli::{Horizon, SimulateArgs};
use crate::error::{Failure, Kind};
use crate::forecast::builtin::Profile;
use crate::forecast::{Issue, Series, Span, zones};
use crate::simulate::{Outages, World};
use crate::source;

/// A world, and what was said of its file.
pub(super) struct Told {
    pub(super) world: World,
    pub(super) notes: Vec<String>,
}

/// The worlds that `args` name, in the order in which they are named; of several files without a
/// zone that is `usual`, where there is one.
pub(super) fn read(args: &SimulateArgs, usual: Option<&str>) -> Result<Vec<Told>, Failure> {
    let profiles = match &args.profiles {
        Some(path) => Some(
            source::profiles::read(path)
                .map_err(|error| Failure::new(Kind::Failed, error).hint("see --profiles"))?,
        ),
        None => None,
    };
    let wanted = match (args.zone.is_empty(), usual) {
        (true, Some(zone)) => vec![zone.to_owned()],
        _ => wanted(&args.zone)?,
    };
    let files = files(args)?;
    let alone = files.len() == 1;
    let mut worlds = Vec::new();
    let mut left_out = Vec::new();
    for (path, has_forecasts) in &files {
        let named = source::zone_of(path);
        let zone = match (wanted.as_slice(), &named) {
            // A file whose name tells no zone, or another, is of the one that is given with it.
            ([zone], _) if alone => zone.clone(),
            ([], Some(zone)) => zone.clone(),
            ([], None) => stem(path),
            (wanted, Some(zone)) if wanted.contains(zone) => zone.clone(),
            (_, named) => {
                left_out.push(named.clone().unwrap_or_else(|| stem(path)));
                continue;
            }
        };
        worlds.push(world(path, *has_forecasts, &zone, profiles.as_ref(), args)?);
    }
    let has = |zone: &&String| !worlds.iter().any(|told| told.world.zone == **zone);
    if let Some(missing) = wanted.iter().find(has) {
        left_out.extend(worlds.iter().map(|told| told.world.zone.clone()));
        let what = format!(
            "no file is of zone {missing}; they are of {}",
            left_out.join(", ")
        );
        return Err(Failure::usage(what)
            .hint("a file's zone is the beginning of its name, such as DE_2021.csv"));
    }
    Ok(worlds)
}

/// Zones by their ids.
pub(super) fn wanted(zones: &[String]) -> Result<Vec<String>, Failure> {
    (zones.iter())
        .map(|zone| match zones::find(zone) {
            Ok(known) => Ok(known.zone.to_owned()),
            Err(unknown) => Err(Failure::usage(unknown.to_string()).hint(unknown.hint())),
        })
        .collect()
}

fn stem(path: &Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The files that are named, those of a directory by name, and whether they hold forecasts.
fn files(args: &SimulateArgs) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let mut files: Vec<(PathBuf, bool)> = Vec::new();
    files.extend(args.trace.iter().map(|path| (path.clone(), false)));
    for path in &args.forecasts {
        if !path.is_dir() {
            files.push((path.clone(), true));
            continue;
        }
        let entries = std::fs::read_dir(path)
            .and_then(|entries| entries.collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("cannot list `{}`", path.display()))?;
        let mut inside: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        inside.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
        inside.sort();
        if inside.is_empty() {
            let what = format!("`{}` has no .csv file in it", path.display());
            return Err(Failure::usage(what));
        }
        files.extend(inside.into_iter().map(|path| (path, true)));
    }
    if args.horizon.is_some() && args.forecasts.is_empty() && !files.is_empty() {
        return Err(
            Failure::usage("--horizon cuts issued forecasts, and there are none")
                .hint("name them: --forecasts FILE"),
        );
    }
    if files.is_empty() {
        return Err(Failure::usage("nothing to simulate on").hint(
            "name past intensities: --trace FILE, or --forecasts FILE with what was issued",
        ));
    }
    Ok(files)
}

fn world(
    path: &Path,
    has_forecasts: bool,
    zone: &str,
    profiles: Option<&BTreeMap<String, &'static Profile>>,
    args: &SimulateArgs,
) -> Result<Told, Failure> {
    let (mut known, mut notes) = source::past(path, zone)?;
    match (has_forecasts, known.issues.is_empty()) {
        (true, true) => {
            let what = format!("`{}` holds no forecasts", path.display());
            return Err(Failure::new(Kind::Failed, anyhow!(what)).hint("name it with --trace"));
        }
        (false, false) => known.issues.clear(),
        _ => {}
    }
    if known.observations.is_empty() {
        let what = format!(
            "`{}` does not say what came: it has no `actual`",
            path.display()
        );
        return Err(Failure::new(Kind::Failed, anyhow!(what))
            .hint("grams are counted by what came; add the column"));
    }
    if let Some(profiles) = profiles {
        known.profile = Some(profiles.get(zone).copied().ok_or_else(|| {
            let zones: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let what = format!("--profiles has no zone {zone}; it has {}", zones.join(", "));
            Failure::usage(what)
        })?);
        known.profile_same_accounting = true;
    }
    if let Some(horizon) = args.horizon {
        let local = time_zone(zone, horizon)?;
        for issue in &mut known.issues {
            let end = reaches(issue.issued_at, horizon, &local);
            *issue = cut(issue, end);
        }
        known.issues.retain(|issue| !issue.series.is_empty());
    }
    if args.no_learning {
        known.lessons = None;
    }
    let begin = known
        .observations
        .span()
        .map_or(Timestamp::MIN, |span| span.start);
    let outages = args.outage.map(|(length, every)| Outages {
        // The first comes after a while, so that something is known.
        from: begin + SignedDuration::try_from(every - length).unwrap_or_default(),
        length,
        every,
    });
    notes.retain(|note| !note.contains("is taken to be"));
    Ok(Told {
        world: World::new(known, outages),
        notes,
    })
}

fn time_zone(zone: &str, horizon: Horizon) -> Result<TimeZone, Failure> {
    if horizon != Horizon::LocalDay {
        return Ok(TimeZone::UTC);
    }
    let name = zones::time_zone(zone).ok_or_else(|| {
        Failure::usage(format!("the time zone of {zone} is not known"))
            .hint("give the horizon as a duration: --horizon 24h")
    })?;
    TimeZone::get(name)
        .map_err(|error| Failure::new(Kind::Failed, error).hint("install the package tzdata"))
}

fn reaches(issued: Timestamp, horizon: Horizon, local: &TimeZone) -> Timestamp {
    match horizon {
        Horizon::Lead(lead) => Span::new(issued, lead).end,
        Horizon::LocalDay => {
            let day = issued.to_zoned(local.clone());
            day.tomorrow()
                .and_then(|tomorrow| tomorrow.start_of_day())
                .map_or(Timestamp::MAX, |midnight| midnight.timestamp())
        }
    }
}

/// What an issue says before `end`.
fn cut(issue: &Issue, end: Timestamp) -> Issue {
    let points = issue.series.points().iter();
    Issue {
        issued_at: issue.issued_at,
        series: Series::new(
            points
                .filter(|point| point.span.start < end)
                .copied()
                .collect(),
        ),
    }
}

/// The step of the data, as far as decisions can follow it: 5 minutes to an hour.
pub(super) fn step(world: &World) -> Duration {
    let points = world.known.observations.points();
    let mut lengths: Vec<Duration> = (points.iter().take(100))
        .map(|point| point.span.length())
        .collect();
    lengths.sort_unstable();
    let usual = lengths.get(lengths.len() / 2).copied();
    let (least, most) = (Duration::from_mins(5), Duration::from_hours(1));
    usual.unwrap_or(most).clamp(least, most)
}
