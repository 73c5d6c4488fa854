//! The report as codecarbon's `emissions.csv`, so that notebooks which read that read this: the
//! columns of codecarbon 3.3.2 (`EmissionsData`) in their order, a row a run, kilograms and
//! kilowatt-hours, the PUE within the energy, as it does there.
//!
//! What we do not know is empty and never 0. `emissions` are those by an average signal, as
//! codecarbon's are: of a run with a marginal signal alone they are empty, and so they are where
//! for part of the energy no intensity is known. Replays have no row, for nothing was emitted.

use jiff::tz::TimeZone;

use super::Summary;
use super::csv::{Table, rounded};
use super::harmless;
use crate::forecast::Signal;
use crate::ledger::entry::{CATRAIN, Share};
use crate::units::{KilowattHours, Pue};

/// Columns of `EmissionsData` in codecarbon 3.3.2.
const COLUMNS: [&str; 38] = [
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
];

/// Steps of kilograms and kilowatt-hours.
const FINE: f64 = 1e-9;

/// The rows of `runs` below the header. Timestamps are local, without an offset, as codecarbon
/// writes them.
pub fn document(runs: &[Summary], zone: &TimeZone) -> String {
    let mut table = Table::new();
    table.row(COLUMNS.map(str::to_owned).into());
    for run in runs.iter().filter(|run| run.begin.replay.is_none()) {
        let cell = |column: &&str| cell(run, column, zone);
        table.row(COLUMNS.iter().map(cell).collect());
    }
    table.finish()
}

fn cell(run: &Summary, column: &str, zone: &TimeZone) -> String {
    let begin = &run.begin;
    let seconds = run.elapsed_s();
    let number =
        |value: Option<f64>| value.map_or(String::new(), |value| rounded(value, FINE).to_string());
    let power = |device: Device| {
        let kwh = energy(run, device)?;
        (seconds > 0.0).then(|| kwh * 3.6e6 / seconds)
    };
    match column {
        "timestamp" => {
            let end = run.ended_at.unwrap_or(run.last_at).to_zoned(zone.clone());
            end.strftime("%Y-%m-%dT%H:%M:%S").to_string()
        }
        "project_name" => harmless::csv(&begin.name),
        "run_id" => harmless::csv(&begin.run),
        "duration" => number(Some(seconds)),
        "emissions" => number(kilograms(run)),
        "emissions_rate" => number(
            kilograms(run)
                .filter(|_| seconds > 0.0)
                .map(|kg| kg / seconds),
        ),
        "cpu_power" => number(power(Device::Cpu)),
        "gpu_power" => number(power(Device::Gpu)),
        "ram_power" => number(power(Device::Memory)),
        "cpu_energy" => number(energy(run, Device::Cpu)),
        "gpu_energy" => number(energy(run, Device::Gpu)),
        "ram_energy" => number(energy(run, Device::Memory)),
        "energy_consumed" => number(energy(run, Device::All)),
        "region" => harmless::csv(&begin.zone),
        // Not codecarbon's own: whoever mixes rows sees which program made this one.
        "codecarbon_version" => harmless::csv(&format!("catrain {}", begin.version)),
        "cpu_model" => harmless::csv(&models(run, Device::Cpu)),
        "gpu_count" => match gpus(run).count() {
            0 => String::new(),
            count => count.to_string(),
        },
        "gpu_model" => harmless::csv(&models(run, Device::Gpu)),
        "tracking_mode" => match begin.share {
            Share::Job => "process".to_owned(),
            Share::Machine => "machine".to_owned(),
        },
        "pue" => number(begin.pue.map(Pue::ratio)),
        // What a ledger does not tell.
        _ => String::new(),
    }
}

/// What codecarbon tells apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Device {
    Cpu,
    Gpu,
    Memory,
    All,
}

fn is_of(component: &str, device: Device) -> bool {
    match device {
        Device::All => true,
        Device::Gpu => component.split(' ').next() == Some("gpu"),
        Device::Cpu => component == "cpu" || component == CATRAIN,
        Device::Memory => component == "memory",
    }
}

/// Energy of the facility in kilowatt-hours; none where nothing is known of the device.
fn energy(run: &Summary, device: Device) -> Option<f64> {
    let mut known = run
        .components
        .iter()
        .filter(|c| is_of(&c.component, device))
        .peekable();
    known.peek()?;
    let sum: KilowattHours = known.map(|component| component.energy).sum();
    Some(sum.0 * run.begin.pue.map_or(1.0, Pue::ratio))
}

fn kilograms(run: &Summary) -> Option<f64> {
    let average = run
        .emissions
        .iter()
        .find(|e| e.basis.signal == Signal::Average)?;
    let account = &average.account;
    (account.is_complete() && !run.components.is_empty()).then(|| account.g.total().0 / 1e3)
}

/// The meters of GPUs, or of their parts.
fn gpus(run: &Summary) -> impl Iterator<Item = &str> {
    let gpus = run
        .meters
        .iter()
        .filter(|meter| is_of(&meter.component, Device::Gpu));
    gpus.map(|meter| meter.name.as_str())
}

/// `AMD EPYC 7763`, `2 x NVIDIA H100 80GB HBM3`.
fn models(run: &Summary, device: Device) -> String {
    let mut names: Vec<(&str, usize)> = Vec::new();
    for meter in run
        .meters
        .iter()
        .filter(|meter| is_of(&meter.component, device))
    {
        match names.iter_mut().find(|(name, _)| *name == meter.name) {
            Some((_, count)) => *count += 1,
            None => names.push((&meter.name, 1)),
        }
    }
    let words = names.into_iter().map(|(name, count)| match device {
        Device::Gpu => format!("{count} x {name}"),
        _ => name.to_owned(),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::What;
    use crate::report::tests as ledgers;

    fn of(ledger: &crate::ledger::Ledger) -> String {
        document(
            &[ledgers::summary(ledger)],
            &TimeZone::posix("CET-1").unwrap(),
        )
    }

    fn value(text: &str, column: &str) -> String {
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let at = reader
            .headers()
            .unwrap()
            .iter()
            .position(|name| name == column)
            .unwrap();
        reader.records().next().unwrap().unwrap()[at].to_owned()
    }

    #[test]
    fn a_row_a_run_in_kilograms_and_kilowatt_hours() {
        let text = of(&ledgers::example());
        assert_eq!(text.split("\r\n").next(), Some(COLUMNS.join(",").as_str()));
        let known = COLUMNS.map(|column| (column, value(&text, column)));
        let known = known.iter().filter(|(_, value)| !value.is_empty());
        let known: Vec<String> = known
            .map(|(column, value)| format!("{column} {value}"))
            .collect();
        insta::assert_snapshot!(known.join("\n"), @"
        timestamp 2026-11-25T07:27:00
        project_name finetune
        run_id r7k2
        duration 48420
        emissions 0.550631604
        emissions_rate 0.000011372
        cpu_power 20.817843866
        gpu_power 156.133828996
        ram_power 2.230483271
        cpu_energy 0.28
        gpu_energy 2.1
        ram_energy 0.03
        energy_consumed 2.41
        region DE
        codecarbon_version catrain 0.1.0
        tracking_mode process
        ");
    }

    #[test]
    fn what_is_not_known_is_empty_and_never_0() {
        let assumed = of(&ledgers::assumed());
        for column in [
            "cpu_energy",
            "gpu_energy",
            "gpu_count",
            "pue",
            "country_iso_code",
        ] {
            assert_eq!(value(&assumed, column), "", "{column}");
        }
        assert_eq!(value(&assumed, "energy_consumed"), "2.41");
        let dark = ledgers::with(|what| {
            if let What::Intensity { points, .. } = what {
                points.truncate(3);
            }
        });
        assert_eq!(value(&of(&dark), "emissions"), "");
        assert_eq!(value(&of(&dark), "emissions_rate"), "");
    }

    #[test]
    fn a_marginal_signal_gives_no_emissions_of_a_column_that_means_average_ones() {
        let marginal = ledgers::with(|what| {
            if let What::Intensity { basis, .. } = what {
                basis.signal = Signal::Marginal;
            }
        });
        assert_eq!(value(&of(&marginal), "emissions"), "");
        assert_ne!(value(&of(&marginal), "energy_consumed"), "");
    }

    #[test]
    fn the_overhead_of_the_facility_is_within_the_energy() {
        let facility = ledgers::with(|what| {
            if let What::Begin(begin) = what {
                begin.pue = Pue::try_from(1.5).ok();
            }
        });
        let (with, without) = (of(&facility), of(&ledgers::example()));
        let energy = |text: &str| value(text, "energy_consumed").parse::<f64>().unwrap();
        assert!((energy(&with) - 1.5 * energy(&without)).abs() < 1e-9);
        assert_eq!(value(&with, "pue"), "1.5");
    }

    #[test]
    fn a_replay_has_no_row() {
        assert_eq!(of(&ledgers::replay()).lines().count(), 1);
    }
}
