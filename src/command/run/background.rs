//! What is read and asked where it cannot delay the run: sources, again and again, and the control
//! socket. Each has a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::prepare::{Prepared, UNKNOWN_ZONE};
use crate::caller::block_on;
use crate::clock::utc_now;
use crate::control;
use crate::forecast::ahead::ahead;
use crate::forecast::{Knowledge, score};
use crate::ledger::RunId;
use crate::serve::Board;
use crate::source::chain::Chain;
use crate::source::telling::{Telling, Word};
use crate::source::{Gathered, Name, Trouble};
use crate::supervise::Arrival;
use crate::supervise::machine::HORIZON_HOURS;

/// Longest wait for the run's id; nothing else waits here.
const ID_PATIENCE: Duration = Duration::from_secs(10);
/// How long services have before the run plans by what was known before.
const STAND_IN: Duration = Duration::from_secs(2);

/// How often it is looked whether the socket is still there.
const SOCKET_LOOK: Duration = Duration::from_secs(30);

type Arrivals = mpsc::Sender<Arrival>;

/// What the intensities of a run come from.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) chain: Chain,
    /// Those named, in order.
    pub(super) names: Vec<Name>,
    /// That of the second account.
    pub(super) account_with: Option<Name>,
}

/// Gathers intensities as long as the run listens. Other sources may be given it at any time: it asks
/// those at once.
pub(super) fn gather(
    sources: Sources,
    prepared: &Prepared,
    arrivals: Arrivals,
    board: Arc<Board>,
) -> mpsc::Sender<Sources> {
    let (anew, others) = mpsc::channel(1);
    let zone = prepared.zone.clone();
    let now = prepared.now;
    board.look_at(sources.chain.caller().lookout());
    let replayed: Option<Knowledge> = prepared.replay.as_ref().map(|day| day.knowledge.clone());
    let gathering = move || {
        if let Some(knowledge) = replayed {
            drop(arrivals.blocking_send(Arrival::Knowledge(learned(knowledge, now))));
        } else if zone != UNKNOWN_ZONE {
            let gathering = Gathering {
                sources,
                zone,
                arrivals: arrivals.clone(),
                board,
                telling: Telling::default(),
                account_failed: false,
            };
            match block_on(gathering.go_on(others)) {
                Ok(()) => return,
                Err(error) => {
                    let text = format!("sources cannot be asked: {error}");
                    drop(arrivals.blocking_send(Arrival::Trouble(text)));
                }
            }
        }
        drop(arrivals.blocking_send(Arrival::Ready));
    };
    // Without a thread nothing is known: the driver starts the job after its patience.
    drop(
        std::thread::Builder::new()
            .name("gather".to_owned())
            .spawn(gathering),
    );
    anew
}

/// Opens the control socket, and another where it was taken away.
pub(super) fn listen(run: RunId, arrivals: Arrivals) {
    let keeping = move || {
        let run = run.within(ID_PATIENCE);
        let is_over = || arrivals.is_closed();
        let tell = |opened| {
            let arrival = match opened {
                Ok(listener) => Arrival::Socket(listener),
                Err(error) => Arrival::Trouble(format!(
                    "no control socket, so `catrain status` cannot ask this run: {error}"
                )),
            };
            arrivals.blocking_send(arrival).is_ok()
        };
        control::keep(crate::dirs::runtime, &run, SOCKET_LOOK, is_over, tell);
    };
    drop(
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(keeping),
    );
}

/// Gathering for one run.
struct Gathering {
    sources: Sources,
    zone: String,
    arrivals: Arrivals,
    /// Where it is told how the sources stand.
    board: Arc<Board>,
    telling: Telling,
    /// Whether the source of the second account failed when it was last asked.
    account_failed: bool,
}

/// Nobody listens any more.
struct Over;

impl Gathering {
    /// Asks when there is something new, until the run is over.
    async fn go_on(mut self, mut others: mpsc::Receiver<Sources>) {
        // Whoever hangs costs a moment, not the plan: what was known before stands in.
        let first = {
            let round = self.round();
            tokio::pin!(round);
            match timeout(STAND_IN, &mut round).await {
                Ok(gathered) => gathered,
                Err(_) => {
                    let Sources { chain, names, .. } = &self.sources;
                    let known = chain.known(names, &self.zone);
                    let stand_in = Arrival::Knowledge(learned(known, utc_now()));
                    for arrival in [stand_in, Arrival::Ready] {
                        if self.arrivals.send(arrival).await.is_err() {
                            return;
                        }
                    }
                    round.await
                }
            }
        };
        let mut gathered = first;
        loop {
            let next = gathered.next;
            if self.publish(gathered).await.is_err() || self.account().await.is_err() {
                return;
            }
            tokio::select! {
                () = sleep(spread(next)) => {}
                () = self.arrivals.closed() => return,
                Some(others) = others.recv() => self.take(others),
            }
            gathered = loop {
                tokio::select! {
                    gathered = self.round() => break gathered,
                    // Nobody waits for those before.
                    Some(others) = others.recv() => self.take(others),
                }
            };
        }
    }

    /// Asks others from now on.
    fn take(&mut self, sources: Sources) {
        self.board.look_at(sources.chain.caller().lookout());
        self.sources = sources;
    }

    /// What is known now. A named file that cannot be used costs the file, not the plan.
    async fn round(&self) -> Gathered {
        let Sources { chain, names, .. } = &self.sources;
        match chain.gather(names, &self.zone, utc_now()).await {
            Ok(gathered) => gathered,
            Err(error) => {
                let trouble = format!("{}: {}", error.in_a_line(), error.hint());
                let without = [Name::BuiltIn];
                let gathered = chain.gather(&without, &self.zone, utc_now()).await;
                let mut gathered = gathered.expect("built-in data is no file");
                gathered.trouble = Some(Trouble {
                    failed: vec![trouble],
                    instead: "built-in data".to_owned(),
                });
                gathered
            }
        }
    }

    /// Tells the run: intensities each time, words when something has changed.
    async fn publish(&mut self, gathered: Gathered) -> Result<(), Over> {
        let is_first = self.telling.is_first();
        let changes = self.sources.chain.caller().changes();
        for word in self.telling.words(&gathered, changes) {
            self.send(match word {
                Word::Trouble(text) => Arrival::Trouble(text),
                Word::Note(text) => Arrival::Note(text),
            })
            .await?;
        }
        let Gathered {
            mut knowledge, of, ..
        } = gathered;
        if let Some(of) = &of {
            self.sources.chain.learn(of, &mut knowledge, utc_now());
        }
        self.send(Arrival::Knowledge(learned(knowledge, utc_now())))
            .await?;
        match is_first {
            true => self.send(Arrival::Ready).await,
            false => Ok(()),
        }
    }

    /// The same for the second account. Nobody stands in for its source: what another one says
    /// means something else.
    async fn account(&mut self) -> Result<(), Over> {
        let Some(name) = self.sources.account_with.clone() else {
            return Ok(());
        };
        let now = utc_now();
        let called = name.to_string();
        let gathered = self.sources.chain.gather(&[name], &self.zone, now).await;
        let (known, trouble) = match gathered {
            Err(error) => (None, Some(error.in_a_line())),
            Ok(gathered) if gathered.tried.iter().all(|tried| tried.source == called) => (
                Some(gathered.knowledge),
                gathered.trouble.map(|it| it.to_string()),
            ),
            Ok(mut gathered) => {
                let why = gathered.tried.swap_remove(0).outcome;
                (None, gathered.trouble.map(|_| why))
            }
        };
        let has_failed = trouble.is_some();
        if has_failed != self.account_failed {
            self.account_failed = has_failed;
            self.send(match trouble {
                None => Arrival::Note(format!("{called} answers again")),
                Some(why) if known.is_none() => Arrival::Trouble(format!(
                    "{why}; until it answers nothing is accounted by {called}"
                )),
                Some(trouble) => Arrival::Trouble(trouble),
            })
            .await?;
        }
        let Some(known) = known else { return Ok(()) };
        let outlook = ahead(now, &known, HORIZON_HOURS).map(Arc::new);
        self.send(Arrival::Account(Arc::new(known), outlook)).await
    }

    async fn send(&self, arrival: Arrival) -> Result<(), Over> {
        self.arrivals.send(arrival).await.map_err(|_| Over)
    }
}

/// Up to a tenth later: whoever heard the same does not come back in the same second.
fn spread(wait: Duration) -> Duration {
    wait + wait.mul_f64(0.1 * fastrand::f64())
}

/// Works out the lessons here, so that the deciding thread finds them ready. They look back half a
/// year at most: under a tenth of a second with an issue a day, about one with an issue an hour.
pub(super) fn learned(mut knowledge: Knowledge, now: Timestamp) -> Arc<Knowledge> {
    // A bug in it would show again where the machine is ready for it; here it would cost the
    // knowledge.
    let learning = std::panic::AssertUnwindSafe(|| ahead(now, &knowledge, 1));
    drop(std::panic::catch_unwind(learning));
    let scoring = std::panic::AssertUnwindSafe(|| score::by_lead(&knowledge, now));
    knowledge.leads = std::panic::catch_unwind(scoring).unwrap_or_default();
    Arc::new(knowledge)
}
