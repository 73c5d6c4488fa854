//! `catrain zones`: which zones are known, what serves them, what is built in.

mod services;

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::ZonesArgs;
use crate::error::{Failure, Kind};
use crate::forecast::builtin::{Average, PROFILE_YEAR, PROFILED, averages};
use crate::forecast::{Basis, Scope, zones};
use crate::source::electricity_maps::ElectricityMaps;
use crate::source::{self, Live};
use crate::units::GramsPerKwh;
use crate::words::{self, Look, Paint};

/// Prints the zones whose id or name holds the text, or all.
///
/// # Errors
/// No zone matches, or writing fails (not when the reader has gone).
pub fn run(args: &ZonesArgs, look: Look, out: &mut dyn Write) -> Result<(), Failure> {
    if args.sources {
        return super::written(match args.json {
            true => services::json(out),
            false => services::table(look, out),
        });
    }
    let text = args.text.as_deref().unwrap_or_default().trim();
    let wanted = text.to_uppercase();
    let mut found: Vec<&Average> = (averages().iter())
        .filter(|zone| zone.zone.contains(&wanted) || zone.name.to_uppercase().contains(&wanted))
        .collect();
    match zones::find(text) {
        // An alias, such as UK for GB.
        Ok(zone) if !found.contains(&zone) => {
            found.push(zone);
            found.sort_by_key(|zone| zone.zone);
        }
        Err(unknown) if found.is_empty() => {
            let hint = unknown.hint();
            let none = anyhow::anyhow!("no zone's id or name holds `{text}`");
            return Err(Failure::new(Kind::Failed, none).hint(hint));
        }
        _ => {}
    }
    super::written(match args.json {
        true => json(&found, out),
        false => table(&found, look, out),
    })
}

/// The sources that serve a zone, but for an SDK host, which serves what it is set up for.
fn serving(zone: &Average) -> Vec<&'static str> {
    let services = Live::ALL.into_iter().filter(|live| {
        *live != Live::CarbonAwareSdk
            && source::provider(*live, ElectricityMaps::default())
                .place(zone.zone)
                .is_some()
    });
    services.map(Live::name).collect()
}

fn profile_year(zone: &Average) -> Option<u16> {
    PROFILED.contains(&zone.zone).then_some(PROFILE_YEAR)
}

fn table(found: &[&Average], look: Look, out: &mut dyn Write) -> io::Result<()> {
    let width = |least: usize, text: &dyn Fn(&Average) -> String| {
        (found.iter().map(|zone| text(zone).chars().count())).fold(least, usize::max)
    };
    let served_by = |zone: &Average| match serving(zone).as_slice() {
        [] => source::builtin::NAME.to_owned(),
        services => services.join(", "),
    };
    let id = width(4, &|zone| zone.zone.to_owned());
    let name = width(4, &|zone| zone.name.to_owned());
    let served = width(9, &served_by);
    let head = format!(
        "{:id$}  {:name$}  {:served$}  {:9}  {}",
        "ZONE", "NAME", "SERVED BY", "USUAL DAY", "YEARLY AVERAGE"
    );
    writeln!(out, "{}", look.paint(Paint::Bold, &head))?;
    for zone in found {
        let usual = profile_year(zone).map_or_else(String::new, |year| year.to_string());
        let direct = match zone.basis.scope {
            Scope::Direct => ", direct",
            _ => "",
        };
        let whole = zone
            .of
            .map_or(String::new(), |whole| format!("of {whole}, "));
        let origin = format!("{} ({whole}{}{direct})", zone.year, zone.source.name());
        let origin = look.text(&origin);
        writeln!(
            out,
            "{:id$}  {:name$}  {:served$}  {usual:9}  {:>10}  {}",
            zone.zone,
            zone.name,
            served_by(zone),
            words::intensity(zone.intensity),
            look.paint(Paint::Dim, &origin),
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    zones: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    zone: &'a str,
    name: &'a str,
    sources: Vec<&'static str>,
    profile_year: Option<u16>,
    average_g_per_kwh: GramsPerKwh,
    average_year: u16,
    average_source: &'static str,
    /// The zone that the average is really of, where this one has none of its own.
    average_of: Option<&'a str>,
    basis: Basis,
}

fn json(found: &[&Average], out: &mut dyn Write) -> io::Result<()> {
    let zones = found.iter().map(|zone| Row {
        zone: zone.zone,
        name: zone.name,
        sources: [serving(zone), vec![source::builtin::NAME]].concat(),
        profile_year: profile_year(zone),
        average_g_per_kwh: zone.intensity,
        average_year: zone.year,
        average_source: zone.source.name(),
        average_of: zone.of,
        basis: zone.basis,
    });
    let document = Document {
        schema: "catrain.zones/1",
        zones: zones.collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}
