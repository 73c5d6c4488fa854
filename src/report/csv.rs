//! The report as CSV (RFC 4180): a row a segment, for whoever wants to add up in another way.
//!
//! Amounts by a basis have columns of its own, named after it, so that no sum mixes bases; a run
//! without that basis leaves them empty, and so does a segment whose intensity is not known. Within
//! a run, `seconds`, `energy_kwh` and the grams add up to those of the JSON, part by part, to the
//! last digit: what counts as overhead within a segment of another part, the energy of `catrain`
//! itself, stands in `overhead_kwh` and `overhead_g_…` again and is to be moved from its part to
//! `overhead`. `state` is `ended`, `running` or `unfinished`: of the latter two all numbers are lower
//! bounds; `record_intact` is `false` where the record was changed. Energy is that of the IT equipment, grams and uncovered energy have the PUE in them.

use super::harmless;
use super::shown::{MICRO, MILLI, apportion, round, shown, spread, steps};
use super::totals::{Amount, Amounts};
use super::{Emissions, Summary, used};
use crate::emissions::{self, Account, PARTS, Parts, counted, length};
use crate::forecast::Basis;
use crate::ledger::entry::{EnergyKind, IntensityKind, Part, Segment};
use crate::units::{KilowattHours, Pue};

const KINDS: [EnergyKind; 3] = [
    EnergyKind::Measured,
    EnergyKind::Estimated,
    EnergyKind::Assumed,
];
/// Columns of a basis, less its name.
const OF_A_BASIS: [&str; 7] = [
    "g",
    "overhead_g",
    "low_g",
    "high_g",
    "mean_g_per_kwh",
    "intensity_kind",
    "uncovered_kwh",
];

/// The rows of `runs` below a header; with whole commands where `full_command`.
pub fn document(runs: &[Summary], full_command: bool) -> String {
    let mut bases: Vec<Basis> = Vec::new();
    for emissions in runs.iter().flat_map(|run| &run.emissions) {
        if !bases.contains(&emissions.basis) {
            bases.push(emissions.basis);
        }
    }
    let mut table = Table::new();
    table.row(header(&bases, full_command));
    for run in runs {
        rows(&mut table, run, &bases, full_command);
    }
    table.finish()
}

fn header(bases: &[Basis], full_command: bool) -> Vec<String> {
    let mut header: Vec<String> = ["run", "name", "labels", "program"]
        .map(str::to_owned)
        .into();
    if full_command {
        header.push("command".to_owned());
    }
    let rest = [
        "zone",
        "replay",
        "state",
        "record_intact",
        "pue",
        "start",
        "end",
        "part",
        "causes",
        "seconds",
        "energy_kwh",
        "overhead_kwh",
        "measured_kwh",
        "estimated_kwh",
        "assumed_kwh",
    ];
    header.extend(rest.map(str::to_owned));
    for basis in bases {
        let name = name_of(*basis);
        header.extend(OF_A_BASIS.map(|column| format!("{column}_{name}")));
    }
    header
}

/// `average_lifecycle`.
fn name_of(basis: Basis) -> String {
    format!("{}_{}", basis.signal.word(), basis.scope.word())
}

fn rows(table: &mut Table, run: &Summary, bases: &[Basis], full_command: bool) {
    let begin = &run.begin;
    let whole = Amounts::of(run);
    let segments = &run.segments;
    let energy: Vec<Parts<KilowattHours>> = segments.iter().map(used).collect();
    let energy = by_part(
        &energy,
        |parts, part| parts[part].0,
        &whole.energy.steps,
        MICRO,
    );
    let time = |segment: &Segment, part| {
        if segment.part == part {
            length(segment)
        } else {
            0.0
        }
    };
    let time = by_part(segments, time, &whole.duration.steps, MILLI);
    let priced: Vec<Option<Priced>> = (bases.iter())
        .map(|basis| {
            let mut own = run.emissions.iter().zip(&whole.emissions);
            let (emissions, amount) = own.find(|(own, _)| own.basis == *basis)?;
            Some(Priced::of(run, emissions, amount))
        })
        .collect();

    let mut first = vec![
        harmless::csv(&begin.run),
        harmless::csv(&begin.name),
        harmless::csv(&labels(run)),
        harmless::csv(&begin.program),
    ];
    if full_command {
        first.push(harmless::csv(&begin.command.join(" ")));
    }
    first.push(harmless::csv(&begin.zone));
    let replay = begin.replay.as_ref();
    first.push(replay.map_or(String::new(), |replay| harmless::csv(&replay.trace)));
    first.push(run.state().to_owned());
    first.push(
        run.is_intact()
            .map_or(String::new(), |intact| intact.to_string()),
    );
    first.push(
        begin
            .pue
            .map_or(String::new(), |pue| pue.ratio().to_string()),
    );
    for (at, segment) in segments.iter().enumerate() {
        let mut row = first.clone();
        let causes: Vec<&str> = segment.causes.iter().map(|cause| cause.word()).collect();
        let kwh = energy[at].total();
        let by_kind = KINDS.map(|kind| {
            let of_kind = segment.energy.iter().filter(|reading| reading.kind == kind);
            of_kind
                .map(|reading| counted(reading.joules).0 / 3.6e6)
                .sum()
        });
        let by_kind: Vec<i64> = apportion(&by_kind, MICRO, kwh);
        row.extend([
            segment.start.to_string(),
            segment.end.to_string(),
            part_name(segment.part).to_owned(),
            causes.join(" "),
            number(time[at].total(), MILLI),
            number(kwh, MICRO),
            number(energy[at][Part::Overhead], MICRO),
        ]);
        row.extend(by_kind.into_iter().map(|steps| number(steps, MICRO)));
        for priced in &priced {
            match priced {
                Some(priced) => row.extend(priced.cells(at)),
                None => row.extend(OF_A_BASIS.map(|_| String::new())),
            }
        }
        table.row(row);
    }
}

/// `team=vision; try=2`.
pub(super) fn labels(run: &Summary) -> String {
    let labels = run.begin.labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join("; ")
}

pub(super) fn part_name(part: Part) -> &'static str {
    let mut parts = PARTS.into_iter();
    parts
        .find_map(|(known, name)| (known == part).then_some(name))
        .expect("all parts have names")
}

pub(super) fn intensity_kind(kind: IntensityKind) -> &'static str {
    match kind {
        IntensityKind::Observed => "observed",
        IntensityKind::Preliminary => "preliminary",
        IntensityKind::Forecast => "forecast",
        IntensityKind::Profile => "profile",
        IntensityKind::Average => "average",
    }
}

/// What each of `items` has of each part, in steps that add up to `total` part by part.
fn by_part<T>(
    items: &[T],
    value: impl Fn(&T, Part) -> f64,
    total: &Parts<i64>,
    step: f64,
) -> Vec<Parts<i64>> {
    let mut shared = vec![Parts::default(); items.len()];
    for (part, _) in PARTS {
        let values: Vec<f64> = items.iter().map(|item| value(item, part)).collect();
        for (shared, steps) in shared.iter_mut().zip(spread(&values, step, total[part])) {
            shared[part] = steps;
        }
    }
    shared
}

/// The cells of one basis, for each segment.
struct Priced {
    accounts: Vec<Account>,
    g: Vec<Parts<i64>>,
    low: Vec<i64>,
    high: Vec<i64>,
    uncovered: Vec<i64>,
}

impl Priced {
    fn of(run: &Summary, emissions: &Emissions, whole: &Amount) -> Self {
        let pue = run.begin.pue.unwrap_or(Pue::NONE);
        let price = |segment: &Segment| {
            let segment = std::slice::from_ref(segment);
            emissions::account(segment, &emissions.intensities, emissions.basis, pue)
        };
        let accounts: Vec<Account> = run.segments.iter().map(price).collect();
        let all = |of: fn(&Account) -> f64, step, total| {
            let values: Vec<f64> = accounts.iter().map(of).collect();
            spread(&values, step, total)
        };
        Self {
            g: by_part(
                &accounts,
                |account, part| account.g[part].0,
                &whole.g.steps,
                MILLI,
            ),
            low: all(|account| account.low.0, MILLI, whole.low),
            high: all(|account| account.high.0, MILLI, whole.high),
            uncovered: all(|account| account.uncovered.0, MICRO, whole.uncovered),
            accounts,
        }
    }

    fn cells(&self, at: usize) -> [String; OF_A_BASIS.len()] {
        let account = &self.accounts[at];
        // Not known is not nothing.
        let is_known = account.uncovered.0 == 0.0 || account.mean().is_some();
        let if_known = |steps| {
            if is_known {
                number(steps, MILLI)
            } else {
                String::new()
            }
        };
        let kind = account.worst_kind().map_or("", intensity_kind);
        [
            if_known(self.g[at].total()),
            if_known(self.g[at][Part::Overhead]),
            if_known(self.low[at]),
            if_known(self.high[at]),
            account
                .mean()
                .map_or(String::new(), |mean| round(mean.0, MILLI).to_string()),
            kind.to_owned(),
            number(self.uncovered[at], MICRO),
        ]
    }
}

/// Steps as a decimal number.
fn number(steps: i64, step: f64) -> String {
    shown(steps, step).to_string()
}

/// Rows in memory.
pub(super) struct Table(::csv::Writer<Vec<u8>>);

impl Table {
    pub(super) fn new() -> Self {
        let mut builder = ::csv::WriterBuilder::new();
        builder.terminator(::csv::Terminator::CRLF);
        Self(builder.from_writer(Vec::new()))
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        (self.0.write_record(cells)).expect("memory takes rows, and all have as many cells");
    }

    pub(super) fn finish(self) -> String {
        let bytes = self.0.into_inner().expect("memory takes rows");
        String::from_utf8(bytes).expect("cells are text")
    }
}

/// A number of grams, joules or seconds that has no total of its own to add up to.
pub(super) fn rounded(value: f64, step: f64) -> f64 {
    shown(steps(value, step), step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests as ledgers;

    fn records(text: &str) -> Vec<::csv::StringRecord> {
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text.as_bytes());
        reader.records().map(Result::unwrap).collect()
    }

    #[test]
    fn a_row_a_segment_below_a_header() {
        let text = document(&[ledgers::summary(&ledgers::example())], false);
        insta::assert_snapshot!(text.replace("\r\n", "\n"));
        assert!(
            text.lines().count() == 6 && text.matches("\r\n").count() == 6,
            "{text}"
        );
    }

    #[test]
    fn each_basis_has_columns_of_its_own_and_a_run_without_it_leaves_them_empty() {
        let marginal = ledgers::with(|what| {
            if let crate::ledger::entry::What::Intensity { basis, .. } = what {
                basis.signal = crate::forecast::Signal::Marginal;
            }
        });
        let runs = [ledgers::example(), marginal].map(|ledger| ledgers::summary(&ledger));
        let rows = records(&document(&runs, false));
        let at = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
        let (average, marginal) = (at("g_average_lifecycle"), at("g_marginal_lifecycle"));
        assert_eq!(
            (&rows[2][marginal], &rows[2][average].is_empty()),
            ("", &false)
        );
        assert_eq!(
            (&rows[8][average], &rows[8][marginal].is_empty()),
            ("", &false)
        );
    }

    #[test]
    fn a_segment_without_intensity_has_no_grams_and_not_zero() {
        let dark = ledgers::with(|what| {
            if let crate::ledger::entry::What::Intensity { points, .. } = what {
                points.retain(|point| point.start >= ledgers::at("2026-11-25T05:00:00Z"));
            }
        });
        let rows = records(&document(&[ledgers::summary(&dark)], false));
        let at = rows[0]
            .iter()
            .position(|column| column == "g_average_lifecycle")
            .unwrap();
        assert_eq!(&rows[2][at], "");
        assert_ne!(&rows[5][at], "");
    }

    #[test]
    fn a_record_that_was_changed_and_a_run_without_an_end_are_marked_in_each_row() {
        let marks = |ledger, is_chained, is_written| {
            let mut run = ledgers::summary(&ledger);
            run.record = Some(crate::report::Record {
                is_chained: Some(is_chained),
                head: None,
                is_written: Some(is_written),
            });
            let rows = records(&document(&[run], false));
            let at = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
            let of = |row: &::csv::StringRecord| {
                let cells = [&row[at("state")], &row[at("record_intact")]];
                cells.join(" ")
            };
            let first = of(&rows[1]);
            assert!(rows[1..].iter().all(|row| of(row) == first));
            first
        };
        assert_eq!(marks(ledgers::example(), true, false), "ended true");
        assert_eq!(marks(ledgers::example(), false, false), "ended false");
        assert_eq!(marks(ledgers::unfinished(), true, true), "running true");
        assert_eq!(marks(ledgers::unfinished(), true, false), "unfinished true");
    }

    #[test]
    fn the_command_is_left_out_unless_asked_for() {
        let run = [ledgers::summary(&ledgers::example())];
        assert!(!document(&run, false).contains("train.py"));
        assert!(document(&run, true).contains("python train.py"));
    }
}
