//! The chain of a zone: which services are asked, in order, what is made of what they say, and what
//! stands in where they fail.
//!
//! The first service of the chain that serves the zone *leads*: its numbers say what the zone's
//! intensities mean. In order:
//!
//! | what is known | becomes |
//! |---|---|
//! | the leading service answers | live: its answer upon its archive |
//! | it does not, and its last forecast reaches far enough | cached |
//! | another of the chain answers | live where it means the same; else rescaled to the leading one's last seven days, where these are known: it may steer, and enters no sum of grams |
//! | none answers | what the archive of the leading one knows: cached, then the usual day by its observations |
//! | nothing was ever heard | the built-in usual day, else a yearly average |
//!
//! Where nothing of the leading service is known to rescale to, another one stands for itself, and
//! the outlook says what it means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::task::spawn_blocking;

use super::{Gathered, LEARN_AFTER, Live, Name, SourceError, Tried, Trouble, builtin, gather_file};
use crate::archive::{Archive, Of, Read};
use crate::caller::wire::{Credential, Provider, Refused, Said};
use crate::caller::{self, By, CallError, Caller, To};
use crate::forecast::learn::Lessons;
use crate::forecast::learned::Learned;
use crate::forecast::rescale;
use crate::forecast::{Basis, Issue, Kind, Knowledge, Point, Scope, Series, Span};
use crate::words;

/// How far ahead a last forecast must reach for nobody else to be asked.
const REACHES: SignedDuration = SignedDuration::from_hours(12);
/// When to ask again where nobody answered. The caller's limits hold as well.
const AGAIN: Duration = Duration::from_secs(300);
/// Nothing new is to be expected.
const NEVER: Duration = Duration::MAX;

/// Everything that is needed to ask: one for all zones of a process.
#[derive(Debug)]
pub struct Chain {
    caller: Caller,
    archive: Option<Archive>,
    services: BTreeMap<Live, Service>,
    keys: Arc<dyn Keys>,
    /// The last word of each service, for where the archive could not take it.
    last: Mutex<Vec<(Of, Said)>>,
}

/// A service as it is set up.
#[derive(Debug)]
pub struct Service {
    /// How it is asked and read.
    pub provider: Box<dyn Provider>,
    /// Where it is asked, where that is set.
    pub base_url: Option<String>,
    /// Its own names of zones, where these are set.
    pub places: BTreeMap<String, String>,
}

/// Who knows the keys of services.
pub trait Keys: fmt::Debug + Send + Sync {
    /// The key of a service, if there is one.
    ///
    /// # Errors
    /// There is one and it cannot be read, or must not be sent where the service is asked.
    fn of(&self, service: Live) -> Result<Option<Held>, String>;

    /// The new key was refused and the one before it has been tried: it is not tried again.
    fn retire(&self, service: Live);
}

/// A key, and the one before it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The one in force.
    pub current: SecretString,
    /// The one before, tried once where the one in force is refused.
    pub previous: Option<SecretString>,
}

/// What a service said of a place, in all its answers.
struct Heard {
    said: Said,
    /// When the oldest of its answers arrived.
    at: Timestamp,
    valid_until: Timestamp,
    is_cached: bool,
}

/// Why a service said nothing, and what to do about it.
struct Silent {
    why: String,
    hint: Option<String>,
    /// Not where nobody was to be asked.
    is_trouble: bool,
}

impl Silent {
    fn new(why: impl fmt::Display, hint: Option<String>) -> Self {
        Self {
            why: why.to_string(),
            hint,
            is_trouble: true,
        }
    }

    /// Of an error, and what the key's plan covers where that is known.
    fn of(error: &CallError, plan: Option<String>) -> Self {
        match error {
            CallError::Offline { .. } => Self {
                why: error.to_string(),
                hint: None,
                is_trouble: false,
            },
            _ => Self::new(error, plan.or_else(|| error.hint())),
        }
    }

    fn text(self) -> String {
        match self.hint {
            Some(hint) => format!("{} ({hint})", self.why),
            None => self.why,
        }
    }
}

/// The sources of a zone where none are named: those that need no key, the one of the zone's own
/// grid first; then the built-in data.
pub fn usual(services: &BTreeMap<Live, Service>, zone: &str) -> Vec<Name> {
    let keyless = Live::ALL.into_iter().filter(|live| live.is_keyless());
    let serving = keyless
        .filter(|live| (services.get(live)).is_some_and(|service| service.place(zone).is_some()));
    serving.map(Name::Live).chain([Name::BuiltIn]).collect()
}

impl Service {
    fn place(&self, zone: &str) -> Option<String> {
        let set = self.places.get(zone).cloned();
        set.or_else(|| self.provider.place(zone))
    }

    fn base_url(&self) -> Result<&str, Silent> {
        let url = (self.base_url.as_deref()).unwrap_or(self.provider.offers().base_url);
        let name = self.provider.name();
        match url {
            "" => Err(Silent::new(
                format!("{name} has no address of its own"),
                Some(format!("set base_url in [sources.{name}]")),
            )),
            url => Ok(url),
        }
    }

    /// What it says of a zone, if it serves it.
    fn of(&self, zone: &str) -> Option<Of> {
        Some(Of {
            source: self.provider.name().to_owned(),
            place: self.place(zone)?,
            basis: self.provider.offers().basis,
        })
    }
}

impl Chain {
    /// A chain that keeps what it hears in `archive`, if there is one.
    pub fn new(
        caller: Caller,
        archive: Option<Archive>,
        services: BTreeMap<Live, Service>,
        keys: Arc<dyn Keys>,
    ) -> Self {
        Self {
            caller,
            archive,
            services,
            keys,
            last: Mutex::default(),
        }
    }

    /// The way to the services, for its counters and changes.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the intensities of a zone mean by these sources: as the leading one's do.
    pub fn basis(&self, names: &[Name], zone: &str) -> Basis {
        let names = self.in_force(names, zone);
        let leads = names.iter().find_map(|name| match name {
            Name::File(_) => Some(Basis::AVERAGE_LIFECYCLE),
            _ => self.of(name, zone).map(|of| of.basis),
        });
        leads.unwrap_or_else(|| builtin::knowledge(zone).basis)
    }

    /// Whether a service serves a zone.
    pub fn serves(&self, live: Live, zone: &str) -> bool {
        self.of(&Name::Live(live), zone).is_some()
    }

    /// What a named source says of a zone, where it is a service that serves it.
    fn of(&self, name: &Name, zone: &str) -> Option<Of> {
        match name {
            Name::Live(live) => self.services.get(live)?.of(zone),
            Name::File(_) | Name::BuiltIn => None,
        }
    }

    /// The named sources, else the usual ones of the zone.
    pub fn in_force(&self, names: &[Name], zone: &str) -> Vec<Name> {
        match names {
            [] => usual(&self.services, zone),
            names => names.to_vec(),
        }
    }

    /// What the named sources know of a zone, else the usual ones: services are asked.
    ///
    /// # Errors
    /// A named file cannot be used and no source was named after it.
    pub async fn gather(
        &self,
        names: &[Name],
        zone: &str,
        now: Timestamp,
    ) -> Result<Gathered, SourceError> {
        let mut gathered = self.ask_in_order(names, zone, now).await?;
        // What answers may be valid for holds for asking again as well.
        let (least, most) = self.caller.shortest_and_longest_validity();
        gathered.next = gathered.next.max(least).min(most);
        Ok(gathered)
    }

    async fn ask_in_order(
        &self,
        names: &[Name],
        zone: &str,
        now: Timestamp,
    ) -> Result<Gathered, SourceError> {
        let names = self.in_force(names, zone);
        let mut told = Told::default();
        // What is known of the leading service, which said nothing.
        let mut leading: Option<Knowledge> = None;
        for (index, name) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            match name {
                Name::BuiltIn => break,
                Name::File(path) => match gather_file(path, zone, now, &mut told.notes) {
                    Ok((knowledge, outcome)) => {
                        told.tried(name, outcome);
                        let instead = knowledge.source.clone();
                        return Ok(told.gathered(knowledge, &instead, NEVER));
                    }
                    Err(error) if is_last => return Err(error),
                    Err(error) => told.failed(name, error.in_a_line()),
                },
                Name::Live(live) => match self.hear(*live, zone, now, &mut told.notes).await {
                    Ok((of, heard)) => {
                        told.tried(name, outcome(&heard, now));
                        let wait = heard.valid_until.duration_since(now);
                        let wait = Duration::try_from(wait).unwrap_or_default();
                        let own = self.keep(&of, heard, zone, now, &mut told.notes);
                        let knowledge = match leading {
                            None => own,
                            Some(leading) => instead_of(leading, own, now, &mut told.notes),
                        };
                        let mut gathered = told.gathered(knowledge, &of.source, wait);
                        gathered.of =
                            Some(of).filter(|_| gathered.knowledge.kind != Kind::Rescaled);
                        return Ok(gathered);
                    }
                    Err((of, silent)) => {
                        match silent.is_trouble {
                            true => told.failed(name, silent.text()),
                            false => told.tried(name, silent.text()),
                        }
                        if leading.is_none()
                            && let Some(of) = of
                        {
                            let known = self.stored(&of, zone, &mut told.notes);
                            if reaches_far_enough(&known, now) {
                                return Ok(told.remembered(known));
                            }
                            leading = Some(known);
                        }
                    }
                },
            }
        }
        let wait = if leading.is_some() { AGAIN } else { NEVER };
        if let Some(known) = leading.filter(says_anything) {
            return Ok(told.remembered(known));
        }
        let outcome = builtin::describe(zone);
        let instead = format!("built-in data: {outcome}");
        told.tried(&Name::BuiltIn, outcome);
        Ok(told.gathered(builtin::knowledge(zone), &instead, wait))
    }

    /// Asks one service of a zone and gives its own words, of which nothing is kept.
    ///
    /// # Errors
    /// Why it says nothing, and what to do about it where something is known.
    pub async fn try_out(
        &self,
        live: Live,
        zone: &str,
        now: Timestamp,
    ) -> Result<Said, (String, Option<String>)> {
        match self.hear(live, zone, now, &mut Vec::new()).await {
            Ok((_, heard)) => Ok(heard.said),
            Err((_, silent)) => Err((silent.why, silent.hint)),
        }
    }

    /// What a service observed in a span of the past: what is kept of it, and what it says when it is
    /// asked for what is missing. Nothing is asked of the last two steps, which it may not have yet.
    ///
    /// Beside it why it said nothing, with what to do about it.
    pub async fn observed(
        &self,
        live: Live,
        zone: &str,
        span: Span,
        now: Timestamp,
    ) -> (Vec<Point>, Result<(), String>) {
        let name = live.name();
        let service = self.services.get(&live);
        let Some((service, of)) = service.and_then(|service| Some((service, service.of(zone)?)))
        else {
            return (Vec::new(), Err(format!("{name} does not serve {zone}")));
        };
        let mut known = self.read(&of).observations;
        let mut outcome = Ok(());
        let lag = service
            .provider
            .offers()
            .step
            .max(service.provider.offers().cadence)
            * 2;
        let until = now
            .checked_sub(lag)
            .map_or(span.end, |until| until.min(span.end));
        for hole in known.holes(Span { end: until, ..span }) {
            match self.ask_past(live, service, &of, hole, now).await {
                Ok(points) => {
                    let all = known.points().iter().copied().chain(points);
                    known = Series::new(all.collect());
                }
                // Nobody was to be asked.
                Err(silent) if !silent.is_trouble => break,
                Err(silent) => {
                    outcome = Err(silent.text());
                    break;
                }
            }
        }
        (known.within(span).collect(), outcome)
    }

    /// Asks for the past of a place piece by piece, and keeps it.
    async fn ask_past(
        &self,
        live: Live,
        service: &Service,
        of: &Of,
        span: Span,
        now: Timestamp,
    ) -> Result<Vec<Point>, Silent> {
        let provider = service.provider.as_ref();
        let base_url = service.base_url()?;
        let held = match provider.offers().credential {
            Credential::None => None,
            _ => self.key(live).await.map_err(|why| Silent::new(why, None))?,
        };
        let to = To {
            provider,
            base_url,
            place: &of.place,
            key: held.as_ref().map(|held| &held.current),
        };
        let mut points = Vec::new();
        for ask in provider.asks_past(&of.place, span) {
            match self.caller.ask(&to, &ask).await {
                Ok(heard) => points.extend(heard.said.observations),
                // What it does not have is no reason to give up the rest.
                Err(error) if matches!(error.refusal(), Some(Refused::NoData(_))) => {}
                Err(error) => {
                    let plan = self.plan(&to, &error).await;
                    return Err(Silent::of(&error, plan));
                }
            }
        }
        if let Some(archive) = &self.archive {
            // What cannot be kept is asked for again another time.
            drop(archive.add(of, &points, None, now));
        }
        Ok(points)
    }

    /// What is known of a zone without asking anybody: by the archive of the leading source, else
    /// built-in. For who cannot wait.
    pub fn known(&self, names: &[Name], zone: &str) -> Knowledge {
        let names = self.in_force(names, zone);
        let leading = names.iter().find_map(|name| self.of(name, zone));
        leading
            .map(|of| self.stored(&of, zone, &mut Vec::new()))
            .filter(says_anything)
            .unwrap_or_else(|| builtin::knowledge(zone))
    }

    /// What is kept of each of the named services, else of all that serve the zone.
    pub fn kept(&self, names: &[Name], zone: &str) -> Vec<Knowledge> {
        let named = |live: &Live| names.is_empty() || names.contains(&Name::Live(*live));
        let named = self.services.iter().filter(|(live, _)| named(live));
        named
            .filter_map(|(_, service)| service.of(zone))
            .map(|of| self.stored(&of, zone, &mut Vec::new()))
            .filter(|known| !known.issues.is_empty())
            .collect()
    }

    /// Asks a service all that there is to ask of a zone, and says of what that was: with an error
    /// only if it serves the zone at all.
    async fn hear(
        &self,
        live: Live,
        zone: &str,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<(Of, Heard), (Option<Of>, Silent)> {
        let name = live.name();
        let service = self.services.get(&live);
        let Some((service, of)) = service.and_then(|service| Some((service, service.of(zone)?)))
        else {
            let why = format!("{name} does not serve {zone}");
            let hint = Some(format!(
                "its name there can be set: [sources.{name}.places]"
            ));
            return Err((None, Silent::new(why, hint)));
        };
        match self.ask_all(live, service, &of.place, now, notes).await {
            Ok(heard) => Ok((of, heard)),
            Err(silent) => Err((Some(of), silent)),
        }
    }

    async fn ask_all(
        &self,
        live: Live,
        service: &Service,
        place: &str,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<Heard, Silent> {
        let provider = service.provider.as_ref();
        let base_url = service.base_url()?;
        let held = match provider.offers().credential {
            Credential::None => None,
            _ => self.key(live).await.map_err(|why| Silent::new(why, None))?,
        };
        let to = |key| To {
            provider,
            base_url,
            place,
            key,
        };
        let current = to(held.as_ref().map(|held| &held.current));
        let mut outcome = self.ask_round(&current, now).await;
        if let Some(previous) = held.as_ref().and_then(|held| held.previous.as_ref())
            && let Err(error) = &outcome
            && error.is_refused_key()
        {
            let again = self.ask_round(&to(Some(previous)), now).await;
            // Where nobody answered it was not tried.
            let is_tried = (again.as_ref().err())
                .is_none_or(|error| error.is_refused_key() || is_not_covered(error));
            if is_tried {
                self.keys.retire(live);
                notes.push(format!(
                    "{error}: the key before it was tried this once and is now dropped; \
                     `catrain key set {}` sets a good one",
                    live.name()
                ));
            }
            // Why the new one is refused counts for more than why the old one is.
            outcome = again.or(outcome);
        }
        match outcome {
            Ok(mut heard) => {
                notes.append(&mut heard.said.notes);
                Ok(heard)
            }
            Err(error) => {
                let plan = self.plan(&current, &error).await;
                Err(Silent::of(&error, plan))
            }
        }
    }

    /// The key of a service. Whoever is asked for it may take seconds, and others are asked meanwhile.
    async fn key(&self, live: Live) -> Result<Option<Held>, String> {
        let keys = Arc::clone(&self.keys);
        let found = spawn_blocking(move || keys.of(live)).await;
        found.map_err(|error| format!("the key of {} cannot be read: {error}", live.name()))?
    }

    /// All asks of a provider for a place, at once; what some of them say is of use alone.
    async fn ask_round(&self, to: &To<'_>, now: Timestamp) -> Result<Heard, CallError> {
        let asks = to.provider.asks(to.place, now);
        let answers = join_all(asks.iter().map(|ask| self.caller.ask(to, ask))).await;
        let mut heard: Option<Heard> = None;
        let mut first_error = None;
        for (ask, answer) in asks.iter().zip(answers) {
            match answer {
                Ok(answer) => match &mut heard {
                    Some(heard) => heard.take(answer),
                    None => heard = Some(Heard::first(answer)),
                },
                Err(error) => {
                    first_error.get_or_insert((ask.what, error));
                }
            }
        }
        match (heard, first_error) {
            (Some(mut heard), Some((what, error))) => {
                heard.said.notes.push(format!("no {what}: {error}"));
                Ok(heard)
            }
            (Some(heard), None) => Ok(heard),
            (None, Some((_, error))) => Err(error),
            // A provider that has nothing to ask serves nobody.
            (None, None) => Err(CallError::Nothing {
                provider: to.provider.name().to_owned(),
            }),
        }
    }

    /// What the key's plan covers, where that is why nothing was said.
    async fn plan(&self, to: &To<'_>, error: &CallError) -> Option<String> {
        let ask = to.provider.plan().filter(|_| is_not_covered(error))?;
        let told = self.caller.ask(to, &ask).await.ok()?;
        told.said.notes.into_iter().next()
    }

    /// Keeps what was heard, and gives all that is known of that service and place.
    fn keep(
        &self,
        of: &Of,
        heard: Heard,
        zone: &str,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Knowledge {
        let Heard {
            mut said,
            is_cached,
            ..
        } = heard;
        let archive = self.archive.as_ref().filter(|_| !is_cached);
        let added =
            archive.map(|archive| archive.add(of, &said.observations, said.issue.as_ref(), now));
        let read = match added.transpose() {
            Ok(added) => added.map(|(_, read)| read),
            Err(error) => {
                notes.push(format!(
                    "what {} said cannot be kept: {error}; nothing is learned of it",
                    of.source
                ));
                None
            }
        };
        let has_issue = said.issue.is_some();
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let before = last.iter().position(|(other, _)| other == of);
            let (_, before) = before.map(|at| last.swap_remove(at)).unzip();
            // Half an answer leaves the forecast before it the newest.
            said.issue = said.issue.or(before.and_then(|before| before.issue));
            last.push((of.clone(), said));
        }
        let read = read.unwrap_or_else(|| self.read(of));
        let mut known = self.known_by(of, zone, read, notes);
        if has_issue {
            known.kind = Kind::Live;
        }
        known
    }

    /// Works out what the archive teaches, where that is due: up to a second, once a day for all runs
    /// and commands of the user. Before weeks are known there is nothing to learn.
    pub fn learn(&self, of: &Of, known: &mut Knowledge, now: Timestamp) {
        let Some(archive) = &self.archive else { return };
        let since = known.observations.span().map(|span| span.start);
        let since = since.and_then(|start| start.checked_add(LEARN_AFTER).ok());
        let Some(since) = since.filter(|since| *since < now) else {
            return;
        };
        let kept = archive.read_lessons(of);
        if kept.is_some_and(|kept| kept.is_current(now)) {
            return;
        }
        known.lessons = Some(Lessons::since(since));
        if let Some(learned) = Learned::of(known, now) {
            // Not kept, it is worked out again another time.
            drop(archive.write_lessons(of, &learned));
            learned.apply(known);
        }
    }

    /// What the archive knows of a service and place, and what it last said to us.
    fn stored(&self, of: &Of, zone: &str, notes: &mut Vec<String>) -> Knowledge {
        self.known_by(of, zone, self.read(of), notes)
    }

    fn read(&self, of: &Of) -> Read {
        let read = self.archive.as_ref().map(|archive| archive.read(of));
        read.unwrap_or_default()
    }

    /// What the archive tells, with what was said last and the usual day.
    fn known_by(&self, of: &Of, zone: &str, read: Read, notes: &mut Vec<String>) -> Knowledge {
        notes.extend(read.notes);
        let usual = builtin::knowledge(zone);
        let mut known = Knowledge {
            zone: zone.to_owned(),
            basis: of.basis,
            source: of.source.clone(),
            kind: Kind::Cached,
            observations: read.observations,
            issues: read.issues,
            profile: usual.profile,
            // The built-in days are of production; no service states exactly that.
            profile_same_accounting: false,
            yearly_average: usual.yearly_average.filter(|_| usual.basis == of.basis),
            lessons: None,
            trust: None,
            leads: Vec::new(),
        };
        let archive = self.archive.as_ref();
        if let Some(learned) = archive.and_then(|archive| archive.read_lessons(of)) {
            learned.apply(&mut known);
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, said)) = last.iter().find(|(other, _)| other == of) {
            join(&mut known, said);
        }
        known
    }
}

/// Adds what a service said to what is known of it. The archive has the same issue by the hour.
fn join(known: &mut Knowledge, said: &Said) {
    let all = (known.observations.points().iter()).chain(&said.observations);
    known.observations = Series::new(all.copied().collect());
    let Some(issue) = &said.issue else { return };
    let made = issue.issued_at;
    (known.issues).retain(|old| old.issued_at.as_second() != made.as_second());
    add_issue(known, issue.clone());
}

/// Adds an issue where it belongs by its time: who answers late or by a slow clock must not pass for
/// the newest.
fn add_issue(known: &mut Knowledge, issue: Issue) {
    let at = (known.issues).partition_point(|old| old.issued_at <= issue.issued_at);
    known.issues.insert(at, issue);
}

/// What another service says in the place of the leading one: as it is where it means the same, else
/// rescaled.
fn instead_of(
    mut leading: Knowledge,
    other: Knowledge,
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Knowledge {
    if means_the_same(&leading, &other) {
        return other;
    }
    let (source, basis) = (&other.source, other.basis);
    let Some(factor) = rescale::factor(&other.observations, &leading.observations, now) else {
        notes.push(format!(
            "{source} stands for itself ({basis}): too little is known of {} to rescale to",
            leading.source
        ));
        return other;
    };
    notes.push(format!(
        "{source} ({basis}) is rescaled by {factor:.2} to the last seven days of {}: it may steer, \
         and no grams are counted by it",
        leading.source
    ));
    leading.source = format!("{source} rescaled to {}", leading.source);
    leading.kind = Kind::Rescaled;
    leading.lessons = None;
    if let Some(newest) = other.issues.last() {
        add_issue(&mut leading, rescale::scaled(newest, factor));
    }
    leading
}

fn says_anything(known: &Knowledge) -> bool {
    !(known.issues.is_empty() && known.observations.is_empty())
}

/// Whether the last forecast is good enough for nobody else to be asked.
fn reaches_far_enough(known: &Knowledge, now: Timestamp) -> bool {
    let last = known.issues.last().and_then(|issue| issue.series.span());
    last.is_some_and(|span| span.end.duration_since(now) >= REACHES)
}

impl Heard {
    fn first(answer: caller::Heard) -> Self {
        Self {
            said: answer.said,
            at: answer.at,
            valid_until: answer.valid_until,
            is_cached: answer.by != By::Call,
        }
    }

    fn take(&mut self, answer: caller::Heard) {
        self.at = self.at.min(answer.at);
        self.valid_until = self.valid_until.min(answer.valid_until);
        self.is_cached &= answer.by != By::Call;
        let Said {
            observations,
            issue,
            notes,
        } = answer.said;
        self.said.observations.extend(observations);
        self.said.notes.extend(notes);
        let Some(issue) = issue else { return };
        self.said.issue = Some(match self.said.issue.take() {
            None => issue,
            // One round is one issue.
            Some(before) => Issue {
                issued_at: before.issued_at.max(issue.issued_at),
                series: Series::new(
                    (before.series.points().iter())
                        .chain(issue.series.points())
                        .copied()
                        .collect(),
                ),
            },
        });
    }
}

/// What was told on the way.
#[derive(Default)]
struct Told {
    tried: Vec<Tried>,
    failed: Vec<String>,
    notes: Vec<String>,
}

impl Told {
    fn tried(&mut self, name: &Name, outcome: String) {
        self.tried.push(Tried {
            source: name.to_string(),
            outcome,
        });
    }

    fn failed(&mut self, name: &Name, why: String) {
        self.failed.push(why.clone());
        self.tried(name, why);
    }

    /// By what the leading service said before.
    fn remembered(self, knowledge: Knowledge) -> Gathered {
        let instead = format!("what {} said before", knowledge.source);
        self.gathered(knowledge, &instead, AGAIN)
    }

    /// By this, with the words for it where it stands in for another.
    fn gathered(self, knowledge: Knowledge, instead: &str, next: Duration) -> Gathered {
        let trouble = (!self.failed.is_empty()).then(|| Trouble {
            failed: self.failed,
            instead: instead.to_owned(),
        });
        Gathered {
            knowledge,
            of: None,
            tried: self.tried,
            trouble,
            notes: self.notes,
            next,
        }
    }
}

/// Whether numbers of two services may stand in one account. What one does not say of its scope need
/// not be what the other does not say.
fn means_the_same(a: &Knowledge, b: &Knowledge) -> bool {
    a.source == b.source || (a.basis == b.basis && a.basis.scope != Scope::Unknown)
}

fn is_not_covered(error: &CallError) -> bool {
    matches!(error.refusal(), Some(Refused::NotCovered(_)))
}

/// `answered 4 min ago, 36 h ahead`.
fn outcome(heard: &Heard, now: Timestamp) -> String {
    let age = now.duration_since(heard.at).unsigned_abs();
    let when = match age < Duration::from_secs(60) {
        true => "answered".to_owned(),
        false => format!("answered {} ago", words::duration(age)),
    };
    let issue = heard.said.issue.as_ref();
    let end = issue.and_then(|issue| issue.series.span());
    match end.map(|span| span.end.duration_since(now)) {
        Some(ahead) if ahead.is_positive() => {
            format!("{when}, {} ahead", words::duration(ahead.unsigned_abs()))
        }
        _ => format!("{when}, no forecast"),
    }
}

#[cfg(test)]
mod tests;
