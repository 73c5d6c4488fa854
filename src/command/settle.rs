//! Fetches what was observed of a run since it ended, and has it recorded.

use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::sources::Settled;
use crate::caller::block_on;
use crate::emissions::Intensities;
use crate::ledger::entry::{Entry, What};
use crate::ledger::{self, Ledger, RunRef, Settlement};
use crate::report::Summary;
use crate::report::settlement::{Open, better, open};
use crate::report::text::harmless;
use crate::source::{Live, Name};

/// Longest wait for all that is asked about one run.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks sources for what runs lack, by the configuration in force, which is read once something is
/// lacking.
#[derive(Debug)]
pub(super) struct Settling<'a> {
    state: &'a Path,
    offline: bool,
    profile: Option<&'a str>,
    /// None where it is broken.
    settled: OnceCell<Option<Settled>>,
}

impl<'a> Settling<'a> {
    /// Nothing is read or asked yet.
    pub(super) fn new(state: &'a Path, offline: bool, profile: Option<&'a str>) -> Self {
        Self {
            state,
            offline,
            profile,
            settled: OnceCell::new(),
        }
    }

    /// Where the configuration is broken a report is made of what is recorded, and says so.
    fn sources(&self) -> Option<&Settled> {
        let load = || match Settled::load(self.offline, self.profile) {
            Ok(settled) => Some(settled),
            Err(failure) => {
                tell(&format!("nobody is asked: {failure}"));
                None
            }
        };
        self.settled.get_or_init(load).as_ref()
    }

    /// The record of a run with what became known since it ended; `None` where that is nothing.
    pub(super) fn settle(
        &self,
        run: &RunRef,
        ledger: Ledger,
        summary: &Summary,
        now: Timestamp,
    ) -> Option<Ledger> {
        let open = open(summary, &ledger.entries);
        if open.is_empty() {
            return None;
        }
        let sources = self.sources()?;
        let asking = async { timeout(PATIENCE, ask(sources, &open, summary, now)).await };
        let found = match block_on(asking) {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => {
                let seconds = PATIENCE.as_secs();
                tell(&format!(
                    "{} is not settled: no answer in {seconds} s",
                    run.id
                ));
                return None;
            }
            Err(error) => {
                tell(&format!("{} is not settled: {error}", run.id));
                return None;
            }
        };
        if found.is_empty() {
            return None;
        }
        let key = sources.config.ledger.signing_key.as_ref();
        self.record(run, ledger, found, now, key.map(|key| key.value.as_path()))
    }

    /// Adds to the record of the run. Where that is not possible the report is made with it all the
    /// same, and that is said.
    fn record(
        &self,
        run: &RunRef,
        mut ledger: Ledger,
        found: Vec<Settlement>,
        now: Timestamp,
        key: Option<&Path>,
    ) -> Option<Ledger> {
        let last = ledger.entries.last()?.clone();
        // A clock that was set back since must not hide it from a look at the present.
        let at = now.max(last.at);
        match ledger::append_settlements(self.state, &run.id, at, found.clone(), key) {
            Ok(settled) => {
                let sources: Vec<&str> = found.iter().map(|it| it.source.as_str()).collect();
                let (id, sources) = (&run.id, sources.join(" and "));
                tell(&format!(
                    "{id}: what {sources} observed since is added to its record"
                ));
                if let Some(bytes) = settled.torn {
                    tell(&format!(
                        "{id}: a line that was cut off ({bytes} bytes) is taken away"
                    ));
                }
                if let Some(trouble) = settled.trouble {
                    tell(&format!("{id}: {trouble}"));
                }
                ledger::read(&run.path).ok()
            }
            Err(error) => {
                let why = anyhow::Error::from(error);
                tell(&format!(
                    "{}: what was observed since is not recorded: {why:#}",
                    run.id
                ));
                for (it, seq) in found.into_iter().zip(last.seq + 1..) {
                    let Settlement {
                        basis,
                        source,
                        points,
                    } = it;
                    ledger.entries.push(Entry {
                        seq,
                        at,
                        elapsed_s: last.elapsed_s,
                        what: What::Settlement {
                            basis,
                            source,
                            points,
                        },
                    });
                }
                Some(ledger)
            }
        }
    }
}

/// What those who may know say of each account: the sources that told of it, then those in force
/// that mean the same.
async fn ask(
    sources: &Settled,
    open: &[Open],
    summary: &Summary,
    now: Timestamp,
) -> Vec<Settlement> {
    let chain = &sources.chain;
    let (run, zone) = (&summary.begin.run, &summary.begin.zone);
    let nothing = Intensities::default();
    let mut found = Vec::new();
    for open in open {
        let own = (summary.emissions.iter()).find(|own| own.basis == open.basis);
        let priced_with = own.map_or(&nothing, |own| &own.intensities);
        for live in candidates(sources, open) {
            let basis = chain.basis(&[Name::Live(live)], zone);
            if !chain.serves(live, zone) || !open.takes(live.name(), basis) {
                continue;
            }
            let (points, outcome) = chain.observed(live, zone, open.span, now).await;
            if let Err(why) = &outcome {
                tell(&format!("{run} is not settled ({}): {why}", open.basis));
            }
            let points = better(priced_with, points);
            // Two who mean the same need not agree: one account has one source.
            let is_over = !points.is_empty() || outcome.is_ok();
            if !points.is_empty() {
                found.push(Settlement {
                    basis: open.basis,
                    source: live.name().to_owned(),
                    points,
                });
            }
            if is_over {
                break;
            }
        }
    }
    found
}

fn candidates(sources: &Settled, open: &Open) -> Vec<Live> {
    let told = Live::ALL
        .into_iter()
        .filter(|live| open.named.contains(live.name()));
    let in_force = sources
        .names(&[])
        .into_iter()
        .filter_map(|name| match name {
            Name::Live(live) => Some(live),
            Name::File(_) | Name::BuiltIn => None,
        });
    let mut all: Vec<Live> = Vec::new();
    for live in told.chain(in_force) {
        if !all.contains(&live) {
            all.push(live);
        }
    }
    all
}

/// On standard error: what is printed must stay a document.
pub(super) fn tell(text: &str) {
    for line in text.lines() {
        let _ = writeln!(io::stderr().lock(), "catrain: {}", harmless(line));
    }
}
