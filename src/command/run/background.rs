//! What is read and opened where it cannot delay the run: sources and the control socket.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::prepare::{Prepared, UNKNOWN_ZONE};
use crate::cli::RunArgs;
use crate::forecast::Knowledge;
use crate::forecast::ahead::ahead;
use crate::ledger::RunId;
use crate::source;
use crate::supervise::Arrival;

/// Longest wait for the run's id; nothing else waits here.
const ID_PATIENCE: Duration = Duration::from_secs(10);

/// Reads sources and opens the control socket where neither can delay the run.
pub(super) fn gather(
    args: &RunArgs,
    prepared: &Prepared,
    run: RunId,
    arrivals: mpsc::Sender<Arrival>,
) {
    let names = args.source.clone();
    let zone = prepared.zone.clone();
    let now = prepared.now;
    let replayed: Option<Knowledge> = prepared.replay.as_ref().map(|day| day.knowledge.clone());
    let spawned = std::thread::Builder::new()
        .name("gather".to_owned())
        .spawn(move || {
            let send = |arrival| arrivals.blocking_send(arrival).is_ok();
            match replayed {
                Some(knowledge) => {
                    send(Arrival::Knowledge(learned(knowledge, now)));
                }
                None if zone == UNKNOWN_ZONE => {}
                None => {
                    let gathered = source::gather(&names, &zone, now).or_else(|error| {
                        let hint = error.hint();
                        let text = format!(
                            "{:#}; {hint}; built-in data instead",
                            anyhow::Error::new(error)
                        );
                        send(Arrival::Trouble(text));
                        source::gather(&[], &zone, now)
                    });
                    if let Ok(gathered) = gathered {
                        let failed = gathered.tried.len().saturating_sub(1);
                        for tried in gathered.tried.iter().take(failed) {
                            send(Arrival::Trouble(format!(
                                "{}: {}",
                                tried.source, tried.outcome
                            )));
                        }
                        for note in gathered.notes {
                            send(Arrival::Note(note));
                        }
                        send(Arrival::Knowledge(learned(gathered.knowledge, now)));
                    }
                }
            }
            send(Arrival::Ready);
            let Some(runtime) = crate::dirs::runtime() else {
                return;
            };
            match crate::control::listen(&runtime, &run.within(ID_PATIENCE)) {
                Ok(listener) => {
                    send(Arrival::Socket(listener));
                }
                Err(error) => {
                    let text = format!(
                        "no control socket, so `catrain status` cannot ask this run: {error}"
                    );
                    send(Arrival::Trouble(text));
                }
            }
        });
    // Without a thread nothing is known: the driver starts the job after its patience.
    drop(spawned);
}

/// Works out the lessons here, so that the deciding thread finds them ready. They look back half a
/// year at most: under a tenth of a second with an issue a day, about one with an issue an hour.
fn learned(knowledge: Knowledge, now: Timestamp) -> Arc<Knowledge> {
    // A bug in it would show again where the machine is ready for it; here it would cost the
    // knowledge.
    let learning = std::panic::AssertUnwindSafe(|| ahead(now, &knowledge, 1));
    drop(std::panic::catch_unwind(learning));
    Arc::new(knowledge)
}
