//! `catrain forecast --score`: how good the forecasts of each source were, by what was kept of them.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::TableFormat;
use crate::error::Failure;
use crate::forecast::score::{Lead, by_lead};
use crate::forecast::zones::Resolved;
use crate::forecast::{Basis, Knowledge};
use crate::source::Name;
use crate::source::chain::Chain;
use crate::words::{Look, Paint};

/// The forecasts of one source for one zone.
struct Scored {
    known: Knowledge,
    leads: Vec<Lead>,
}

/// Prints what is known of how good forecasts were.
///
/// # Errors
/// Writing fails (not when the reader has gone).
pub(super) fn run(
    chain: &Chain,
    names: &[Name],
    zones: &[Resolved],
    format: TableFormat,
    look: Look,
    out: &mut dyn Write,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut scored = Vec::new();
    for zone in zones {
        for known in chain.kept(names, zone.zone.zone) {
            let leads = by_lead(&known, now);
            scored.push(Scored { known, leads });
        }
    }
    crate::command::written(match format {
        TableFormat::Table => table(&scored, zones, look, out),
        TableFormat::Json => json(&scored, out),
        TableFormat::Csv => csv(&scored, out),
    })
}

fn table(scored: &[Scored], zones: &[Resolved], look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut say = |text: &str| writeln!(out, "{}", look.text(text).trim_end());
    for Scored { known, leads } in scored {
        let head = format!("{}  {} · {}", known.zone, known.source, known.basis);
        say(&look.paint(Paint::Bold, &head))?;
        if leads.is_empty() {
            say("  no hour was both foretold and observed so far")?;
            continue;
        }
        say(&look.paint(
            Paint::Dim,
            "  hours ahead   hours   mean error   of the mean    bias   rank correlation",
        ))?;
        for lead in leads {
            say(&format!(
                "  {:>4} – {:<4} {:>8} {:>8.1} g/kWh {:>9} {:>+8.1} {:>12}",
                lead.from_h,
                lead.to_h,
                lead.pairs,
                lead.error.0,
                lead.relative
                    .map_or("?".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
                lead.bias.0,
                lead.rank
                    .map_or("?".to_owned(), |rank| format!("{rank:.2}")),
            ))?;
        }
    }
    for zone in zones {
        let zone = zone.zone.zone;
        if scored.iter().all(|scored| scored.known.zone != zone) {
            say(&format!(
                "{zone}  nothing was kept of any forecast yet: each run and forecast keeps what it hears"
            ))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    scores: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    zone: &'a str,
    source: &'a str,
    basis: Basis,
    leads: Vec<LeadRow>,
}

#[derive(Serialize)]
struct LeadRow {
    from_h: i64,
    to_h: i64,
    pairs: usize,
    mean_absolute_error_g_per_kwh: f64,
    relative_error: Option<f64>,
    bias_g_per_kwh: f64,
    rank_correlation: Option<f64>,
}

impl LeadRow {
    fn new(lead: &Lead) -> Self {
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        Self {
            from_h: lead.from_h,
            to_h: lead.to_h,
            pairs: lead.pairs,
            mean_absolute_error_g_per_kwh: rounded(lead.error.0),
            relative_error: lead.relative.map(rounded),
            bias_g_per_kwh: rounded(lead.bias.0),
            rank_correlation: lead.rank.map(rounded),
        }
    }
}

fn json(scored: &[Scored], out: &mut dyn Write) -> io::Result<()> {
    let scores = scored.iter().map(|Scored { known, leads }| Row {
        zone: &known.zone,
        source: &known.source,
        basis: known.basis,
        leads: leads.iter().map(LeadRow::new).collect(),
    });
    let document = Document {
        schema: "catrain.score/1",
        scores: scores.collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

fn csv(scored: &[Scored], out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let head = [
        "zone",
        "source",
        "basis",
        "from_h",
        "to_h",
        "pairs",
        "mean_absolute_error_g_per_kwh",
        "relative_error",
        "bias_g_per_kwh",
        "rank_correlation",
    ];
    writer
        .write_record(head)
        .map_err(crate::command::csv_error)?;
    for Scored { known, leads } in scored {
        for lead in leads.iter().map(LeadRow::new) {
            writer
                .serialize((&known.zone, &known.source, known.basis.to_string(), lead))
                .map_err(crate::command::csv_error)?;
        }
    }
    writer.flush()
}
