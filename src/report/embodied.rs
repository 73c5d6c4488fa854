//! Emissions of making the hardware, as far as a run used it, and the software carbon intensity
//! (ISO/IEC 21031, SCI 1.1), which cannot be told without them. Pure.
//!
//! ```text
//! SCI = (E·I + M) / R        M = TE · (TiR / EL) · (RR / ToR)
//! ```
//!
//! TE are the emissions of making it, EL its expected life, TiR the time that it was reserved for the
//! run, RR/ToR the part of it that was. Here RR/ToR is 1: hardware is given, or known from the table,
//! as whole devices.

use std::fmt;

use crate::ledger::entry::MeterFact;
use crate::units::GramsCo2e;

const TABLE: &str = include_str!("tables/embodied.csv");
/// A Julian year.
const SECONDS_A_YEAR: f64 = 365.25 * 86_400.0;

/// Whose embodied emissions are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hardware {
    /// Those of the GPUs that the table knows.
    Table,
    /// As given.
    Given {
        /// Of making and disposing of all of it.
        total: GramsCo2e,
        /// Over which they are spread.
        years: f64,
    },
}

/// The share of a run in the emissions of making its hardware.
#[derive(Clone, Debug, PartialEq)]
pub struct Embodied {
    /// M.
    pub g: GramsCo2e,
    /// TiR in seconds.
    pub reserved_s: f64,
    /// Each device or what was given, with TE, EL and where they are from.
    pub of: Vec<Device>,
}

/// Something that was made once and is used for years.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// As its driver calls it, or `as given`.
    pub name: String,
    /// TE.
    pub total: GramsCo2e,
    /// EL in years.
    pub years: f64,
    /// Where both are from.
    pub source: String,
}

/// Why embodied emissions are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Nobody asked.
    NotAsked,
    /// The table is to be used, and no GPU was metered.
    NoDevice,
    /// The table does not know this device.
    NotInTable(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => {
                f.write_str("no embodied emissions are given (--embodied MASS/YEARS, or table)")
            }
            Self::NoDevice => f.write_str(
                "no GPU was metered, and the table knows GPUs only (--embodied MASS/YEARS)",
            ),
            Self::NotInTable(name) => write!(
                f,
                "the table does not know the embodied emissions of {name} (--embodied MASS/YEARS)"
            ),
        }
    }
}

/// The embodied emissions of a run that had its hardware for `reserved_s` seconds.
///
/// # Errors
/// Why they are not known.
pub fn embodied(
    hardware: Option<Hardware>,
    meters: &[MeterFact],
    reserved_s: f64,
) -> Result<Embodied, Unknown> {
    let of = match hardware {
        None => return Err(Unknown::NotAsked),
        Some(Hardware::Given { total, years }) => vec![Device {
            name: "as given".to_owned(),
            total,
            years,
            source: "--embodied".to_owned(),
        }],
        Some(Hardware::Table) => {
            let gpus = meters.iter().filter(|meter| meter.device.is_some());
            let known = gpus.map(|meter| {
                in_table(meter).ok_or_else(|| Unknown::NotInTable(meter.name.clone()))
            });
            known.collect::<Result<Vec<_>, _>>()?
        }
    };
    if of.is_empty() {
        return Err(Unknown::NoDevice);
    }
    let share = |device: &Device| device.total * (reserved_s / (device.years * SECONDS_A_YEAR));
    Ok(Embodied {
        g: of.iter().map(share).sum(),
        reserved_s,
        of,
    })
}

/// What the table says of a device; nothing of a part of one.
fn in_table(meter: &MeterFact) -> Option<Device> {
    let is_part = meter.component.contains("mig");
    let row = table().find(|row| meter.name.contains(row.name) && !is_part)?;
    Some(Device {
        name: meter.name.clone(),
        total: GramsCo2e(row.kg * 1e3),
        years: row.years,
        source: row.source.to_owned(),
    })
}

struct Row {
    name: &'static str,
    kg: f64,
    years: f64,
    source: &'static str,
}

fn table() -> impl Iterator<Item = Row> {
    let rows = TABLE
        .lines()
        .skip_while(|line| line.starts_with('#'))
        .skip(1);
    rows.map(|line| {
        // The source comes last and alone has commas.
        let mut fields = line.splitn(4, ',');
        let mut next = || {
            fields
                .next()
                .expect("the compiled-in table has four columns")
        };
        let number = |text: &str| text.parse().expect("the compiled-in table holds numbers");
        Row {
            name: next(),
            kg: number(next()),
            years: number(next()),
            source: next().trim_matches('"'),
        }
    })
}

/// What the software carbon intensity is told by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// The functional unit: `step`.
    pub unit: Option<&'static str>,
    /// How many of them the run did; a run is one run.
    pub count: Option<f64>,
}

/// The software carbon intensity of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sci {
    /// Grams for each functional unit.
    pub g_per_unit: f64,
    /// The functional unit.
    pub unit: &'static str,
    /// R, how many of them.
    pub count: f64,
    /// E·I.
    pub operational: GramsCo2e,
    /// M.
    pub embodied: GramsCo2e,
}

/// Puts the score together.
///
/// # Errors
/// In words, what is missing.
pub fn sci(
    units: Units,
    operational: Result<GramsCo2e, String>,
    embodied: &Result<Embodied, Unknown>,
) -> Result<Sci, String> {
    let unit = units
        .unit
        .ok_or("no functional unit is given (--per step|epoch|token|run)")?;
    let count = match (units.count, unit) {
        (Some(count), _) => count,
        (None, "run") => 1.0,
        (None, _) => return Err(format!("how many {unit}s is not given (--count N)")),
    };
    let embodied = embodied.as_ref().map_err(ToString::to_string)?.g;
    let operational = operational?;
    Ok(Sci {
        g_per_unit: (operational + embodied).0 / count,
        unit,
        count,
        operational,
        embodied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Method;

    const YEAR: f64 = 365.25 * 86_400.0;

    fn gpu(component: &str, name: &str) -> MeterFact {
        MeterFact {
            component: component.to_owned(),
            name: name.to_owned(),
            method: Method::GpuCounter,
            device: Some(format!("GPU-{component}")),
            trouble: None,
        }
    }

    fn given(kilograms: f64, years: f64) -> Option<Hardware> {
        Some(Hardware::Given {
            total: GramsCo2e(kilograms * 1e3),
            years,
        })
    }

    #[test]
    fn a_run_has_the_share_of_its_time_in_the_life_of_the_hardware() {
        let share = embodied(given(1500.0, 4.0), &[], YEAR / 100.0).unwrap();
        assert!((share.g.0 - 3750.0).abs() < 1e-9, "{share:?}");
    }

    #[test]
    fn the_table_counts_each_gpu_and_names_the_one_it_does_not_know() {
        let two = [
            gpu("gpu 0", "NVIDIA H100 80GB HBM3"),
            gpu("gpu 1", "NVIDIA A100-SXM4-80GB"),
        ];
        let share = embodied(Some(Hardware::Table), &two, 6.0 * YEAR).unwrap();
        assert!((share.g.0 - 314e3).abs() < 1e-6, "{share:?}");
        let other = [two[0].clone(), gpu("gpu 1", "Other 1000")];
        let unknown = embodied(Some(Hardware::Table), &other, YEAR);
        assert_eq!(unknown, Err(Unknown::NotInTable("Other 1000".to_owned())));
        assert_eq!(
            embodied(Some(Hardware::Table), &[], YEAR),
            Err(Unknown::NoDevice)
        );
    }

    #[test]
    fn a_part_of_a_gpu_is_not_taken_for_all_of_it() {
        let part = [gpu("gpu 0 mig 1", "NVIDIA A100-SXM4-80GB MIG 1g.10gb")];
        assert!(matches!(
            embodied(Some(Hardware::Table), &part, YEAR),
            Err(Unknown::NotInTable(_))
        ));
    }

    #[test]
    fn the_score_adds_use_and_making_over_the_units() {
        let units = Units {
            unit: Some("step"),
            count: Some(1000.0),
        };
        let made = embodied(given(1000.0, 1.0), &[], YEAR / 1000.0);
        let score = sci(units, Ok(GramsCo2e(500.0)), &made).unwrap();
        assert!((score.g_per_unit - 1.5).abs() < 1e-12, "{score:?}");
    }

    #[test]
    fn a_score_is_not_told_without_unit_count_and_making_and_says_which() {
        let made = embodied(given(1.0, 1.0), &[], 1.0);
        let used = || Ok(GramsCo2e(1.0));
        let units = |unit, count| Units { unit, count };
        let why =
            |units, used, made: &Result<Embodied, Unknown>| sci(units, used, made).unwrap_err();
        assert!(why(Units::default(), used(), &made).contains("--per"));
        assert!(why(units(Some("step"), None), used(), &made).contains("--count"));
        let none = embodied(None, &[], 1.0);
        assert!(why(units(Some("run"), None), used(), &none).contains("--embodied"));
        let dark = Err("no intensity".to_owned());
        assert_eq!(why(units(Some("run"), None), dark, &made), "no intensity");
        assert!(sci(units(Some("run"), None), used(), &made).is_ok());
    }
}
