//! The ladder at the head of this module, rung by rung, with services that fail at will in a world of
//! virtual time.

mod day;

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::caller::limits::Resilience;
use crate::caller::tests::world::{Fault, Request, Virtual};
use crate::caller::wire::{Answer, Ask, Offers};
use crate::dirs;
use crate::emissions::{Intensities, Prices};
use crate::forecast::ahead::ahead;
use crate::forecast::{Outlook, Point, Signal, Span};
use crate::ledger::entry::{IntensityKind, IntensityPoint};
use crate::source::reading::success;
use crate::units::GramsPerKwh;

const HOUR: Duration = Duration::from_secs(3600);
const ZONE: &str = "GB";

const OPERATIONAL: Basis = average(Scope::Operational);
const UNKNOWN: Basis = average(Scope::Unknown);

const fn average(scope: Scope) -> Basis {
    Basis {
        signal: Signal::Average,
        scope,
    }
}

/// A service that says the time by its clock, and means a day back at a level and two days ahead.
#[derive(Clone, Copy, Debug)]
struct Fake {
    live: Live,
    basis: Basis,
    level: f64,
    credential: Credential,
}

const LEADING: Fake = Fake {
    live: Live::Neso,
    basis: OPERATIONAL,
    level: 200.0,
    credential: Credential::None,
};
const ALIKE: Fake = Fake {
    live: Live::EnergiDataService,
    ..LEADING
};
const OTHER: Fake = Fake {
    live: Live::EnergyCharts,
    basis: UNKNOWN,
    level: 100.0,
    ..LEADING
};
const KEYED: Fake = Fake {
    live: Live::ElectricityMaps,
    credential: Credential::Header("auth-token"),
    ..LEADING
};

impl Provider for Fake {
    fn name(&self) -> &'static str {
        self.live.name()
    }

    fn offers(&self) -> Offers {
        Offers {
            base_url: "",
            zones: "",
            basis: self.basis,
            horizon: None,
            step: HOUR,
            has_observations: true,
            cadence: HOUR,
            credential: self.credential,
            attribution: "",
        }
    }

    fn place(&self, zone: &str) -> Option<String> {
        (zone == ZONE).then(|| zone.to_owned())
    }

    fn asks(&self, _: &str, _: Timestamp) -> Vec<Ask> {
        ["past", "forecast"].map(|what| self.ask(what)).to_vec()
    }

    fn asks_past(&self, _: &str, _: Span) -> Vec<Ask> {
        vec![self.ask("past")]
    }

    fn read(&self, ask: &Ask, _: &str, answer: &Answer<'_>) -> Result<Said, Refused> {
        match answer.status {
            401 => return Err(Refused::KeyWrong("no".to_owned())),
            403 => return Err(Refused::NotCovered("GB".to_owned())),
            _ => success(answer, None)?,
        }
        let by_its_clock = String::from_utf8_lossy(answer.body).parse();
        let at = by_its_clock.map_err(|_| Refused::NotAnAnswer("no time".to_owned()))?;
        Ok(match ask.what {
            "past" => Said {
                observations: self.hours(at, -24..0),
                ..Said::default()
            },
            _ => Said {
                issue: Some(Issue {
                    issued_at: at,
                    series: Series::new(self.hours(at, 0..48)),
                }),
                ..Said::default()
            },
        })
    }

    fn plan(&self) -> Option<Ask> {
        Some(self.ask("plan"))
    }

    fn read_plan(&self, _: &str, _: &Answer<'_>) -> Result<String, Refused> {
        Ok("it covers FR only".to_owned())
    }
}

impl Fake {
    fn ask(&self, what: &'static str) -> Ask {
        Ask {
            what,
            path: format!("/{what}"),
            query: Vec::new(),
            credential: self.credential,
        }
    }

    /// Dirtier by day than by night.
    fn hours(&self, at: Timestamp, hours: std::ops::Range<i64>) -> Vec<Point> {
        let this = at.as_second().div_euclid(3600);
        let point = |hour: i64| Point {
            span: Span::new(Timestamp::from_second(hour * 3600).unwrap(), HOUR),
            intensity: GramsPerKwh(self.level * (1.0 + 0.2 * (hour % 24 / 12) as f64)),
            kind: Kind::Live,
        };
        hours.map(|hour| point(this + hour)).collect()
    }

    fn of(&self) -> Of {
        Of {
            source: self.live.name().to_owned(),
            place: ZONE.to_owned(),
            basis: self.basis,
        }
    }

    fn named(&self) -> Name {
        Name::Live(self.live)
    }
}

/// Keys of all services, and what has become of the old one.
#[derive(Debug)]
struct Ring(Mutex<Held>);

impl Keys for Ring {
    fn of(&self, _: Live) -> Result<Option<Held>, String> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }

    fn retire(&self, _: Live) {
        self.0.lock().unwrap().previous = None;
    }
}

type Faults = dyn Fn(&Request<'_>) -> Option<Fault> + Send + Sync;

/// Services, and who asks them.
struct Setting {
    world: Arc<Virtual>,
    faults: Arc<Mutex<Box<Faults>>>,
    ring: Arc<Ring>,
    chain: Chain,
    base: TempDir,
}

fn online(world: &Arc<Virtual>) -> Caller {
    world.caller(Resilience {
        cache: None,
        ..Resilience::default()
    })
}

/// All of them well, with an archive.
fn setting() -> Setting {
    let base = tempfile::tempdir().unwrap();
    let archive = Archive::new(base.path().join("archive"));
    setting_with(base, archive, online)
}

fn setting_with(
    base: TempDir,
    archive: Archive,
    caller: impl Fn(&Arc<Virtual>) -> Caller,
) -> Setting {
    let faults: Arc<Mutex<Box<Faults>>> = Arc::new(Mutex::new(Box::new(|_| None)));
    let in_world = Arc::clone(&faults);
    let world = Virtual::from(
        "2026-06-10T00:30:00Z".parse().unwrap(),
        move |request| in_world.lock().unwrap()(request),
        |_, at| at.to_string(),
    );
    let services = [LEADING, ALIKE, OTHER, KEYED].map(|fake| {
        let service = Service {
            provider: Box::new(fake),
            base_url: Some(format!("https://{}", host(&fake))),
            places: BTreeMap::new(),
        };
        (fake.live, service)
    });
    let ring = Arc::new(Ring(Mutex::new(Held {
        current: "new".into(),
        previous: Some("old".into()),
    })));
    let chain = Chain::new(
        caller(&world),
        Some(archive),
        services.into(),
        Arc::clone(&ring) as Arc<dyn Keys>,
    );
    Setting {
        world,
        faults,
        ring,
        chain,
        base,
    }
}

fn host(fake: &Fake) -> String {
    format!("{}.test", fake.live.name())
}

impl Setting {
    fn fail(&self, faults: impl Fn(&Request<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.faults.lock().unwrap() = Box::new(faults);
    }

    /// From now on these cannot be reached, and the others are well.
    fn down(&self, fakes: &'static [Fake]) {
        self.fail(|request| {
            let is_down = fakes
                .iter()
                .any(|it| host(it) == request.url.host_str().unwrap());
            is_down.then_some(Fault::Reset)
        });
    }

    async fn gather(&self, fakes: &[Fake]) -> Gathered {
        let names: Vec<Name> = fakes.iter().map(Fake::named).collect();
        (self.chain.gather(&names, ZONE, self.world.now()).await).unwrap()
    }

    fn outlook(&self, gathered: &Gathered) -> Outlook {
        ahead(self.world.now(), &gathered.knowledge, 48).unwrap()
    }

    fn calls(&self, fake: &Fake) -> usize {
        let calls = self.world.calls();
        calls.iter().filter(|(at, _)| *at == host(fake)).count()
    }
}

async fn hours_later(hours: u32) {
    sleep(HOUR * hours).await;
}

fn has_note(gathered: &Gathered, words: &str) -> bool {
    gathered.notes.iter().any(|note| note.contains(words))
}

#[tokio::test(start_paused = true)]
async fn the_leading_service_that_answers_is_live_upon_its_archive() {
    let setting = setting();
    setting.gather(&[LEADING, ALIKE]).await;
    hours_later(2).await;
    let gathered = setting.gather(&[LEADING, ALIKE]).await;
    assert_eq!(gathered.knowledge.kind, Kind::Live);
    assert_eq!(gathered.knowledge.issues.len(), 2);
    assert_eq!(gathered.knowledge.observations.points().len(), 26);
    assert_eq!((gathered.of, gathered.trouble), (Some(LEADING.of()), None));
    assert_eq!(setting.calls(&ALIKE), 0);
}

#[tokio::test(start_paused = true)]
async fn its_last_forecast_stands_in_while_it_reaches_far_enough_and_nobody_else_is_asked() {
    let setting = setting();
    setting.gather(&[LEADING, ALIKE]).await;
    setting.down(&[LEADING]);
    hours_later(35).await;
    let gathered = setting.gather(&[LEADING, ALIKE]).await;
    assert_eq!(gathered.knowledge.kind, Kind::Cached);
    assert_eq!(
        gathered.trouble.map(|it| it.to_string()).as_deref(),
        Some(
            "cannot reach neso at neso.test: connection reset by peer; what neso said before instead"
        )
    );
    assert_eq!(gathered.next, AGAIN);
    assert_eq!(setting.calls(&ALIKE), 0);
}

#[tokio::test(start_paused = true)]
async fn another_that_means_the_same_is_live_once_that_is_too_short() {
    let setting = setting();
    setting.gather(&[LEADING, ALIKE]).await;
    setting.down(&[LEADING]);
    hours_later(37).await;
    let gathered = setting.gather(&[LEADING, ALIKE]).await;
    let known = &gathered.knowledge;
    assert_eq!((known.kind, known.basis), (Kind::Live, OPERATIONAL));
    assert_eq!(gathered.of, Some(ALIKE.of()));
    assert!(
        gathered
            .trouble
            .unwrap()
            .to_string()
            .ends_with("; energi-data-service instead")
    );
}

#[tokio::test(start_paused = true)]
async fn another_basis_is_rescaled_and_marked_and_enters_no_sum_of_grams() {
    let setting = setting();
    setting.gather(&[OTHER]).await;
    setting.gather(&[LEADING]).await;
    setting.down(&[LEADING]);
    hours_later(37).await;
    let gathered = setting.gather(&[LEADING, OTHER]).await;
    let known = &gathered.knowledge;
    assert_eq!((known.kind, known.basis), (Kind::Rescaled, OPERATIONAL));
    assert_eq!(known.source, "energy-charts rescaled to neso");
    assert_eq!(gathered.of, None);
    assert!(
        has_note(&gathered, "rescaled by 2.00"),
        "{:?}",
        gathered.notes
    );
    let newest = known.issues.last().unwrap().series.points();
    assert!(
        newest
            .iter()
            .all(|point| (200.0..=240.0).contains(&point.intensity.0))
    );

    let outlook = setting.outlook(&gathered);
    assert_eq!(outlook.kind, Kind::Rescaled);
    let expected = outlook
        .expected
        .points()
        .iter()
        .map(|point| IntensityPoint {
            start: point.span.start,
            end: point.span.end,
            g_per_kwh: point.intensity,
            low_g_per_kwh: None,
            high_g_per_kwh: None,
            kind: IntensityKind::Profile,
            forecast: Some(outlook.kind),
        });
    let counted = Intensities::from_points(&expected.collect::<Vec<_>>());
    let all = outlook.expected.span().unwrap();
    assert_eq!(counted.within(all).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_known_to_rescale_to_another_basis_stands_for_itself() {
    let setting = setting();
    setting.down(&[LEADING]);
    let gathered = setting.gather(&[LEADING, OTHER]).await;
    let known = &gathered.knowledge;
    assert_eq!((known.kind, known.basis), (Kind::Live, UNKNOWN));
    assert!(has_note(
        &gathered,
        "energy-charts stands for itself (average, scope unknown)"
    ));
    assert_eq!(gathered.of, Some(OTHER.of()));
}

#[tokio::test(start_paused = true)]
async fn where_none_answers_the_archive_speaks_and_is_trusted_less_the_older_it_is() {
    let setting = setting();
    setting.gather(&[LEADING]).await;
    setting.down(&[LEADING, OTHER]);
    let mut steps = Vec::new();
    for _ in 0..6 {
        hours_later(20).await;
        let gathered = setting.gather(&[LEADING, OTHER]).await;
        assert_eq!(gathered.knowledge.source, "neso");
        let outlook = setting.outlook(&gathered);
        steps.push((outlook.kind, outlook.confidence));
    }
    assert_eq!(steps[0].0, Kind::Cached);
    assert_eq!(steps[5].0, Kind::Profile);
    assert!(steps.is_sorted_by(|a, b| a.1 >= b.1), "{steps:?}");
    assert!(
        steps[0].1 > steps[1].1 && steps[1].1 > steps[5].1,
        "{steps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_ever_heard_the_built_in_day_is_all() {
    let setting = setting();
    setting.down(&[LEADING, OTHER]);
    let gathered = setting.gather(&[LEADING, OTHER]).await;
    assert_eq!(gathered.knowledge, builtin::knowledge(ZONE));
    let tried: Vec<_> = gathered.tried.iter().map(|it| it.source.as_str()).collect();
    assert_eq!(tried, ["neso", "energy-charts", "built-in"]);
    let trouble = gathered.trouble.unwrap().to_string();
    assert!(trouble.contains("; built-in data: "), "{trouble}");
    assert_eq!(gathered.next, AGAIN);
}

#[test]
fn what_two_do_not_say_of_their_scope_need_not_be_the_same() {
    let setting = |source: &str, basis| Knowledge {
        source: source.to_owned(),
        basis,
        ..builtin::knowledge(ZONE)
    };
    let same = |a, b| means_the_same(&setting("a", a), &setting("b", b));
    assert!(same(OPERATIONAL, OPERATIONAL));
    assert!(!same(OPERATIONAL, UNKNOWN));
    assert!(!same(UNKNOWN, UNKNOWN));
    assert!(means_the_same(
        &setting("a", UNKNOWN),
        &setting("a", UNKNOWN)
    ));
}

/// A fault for those that come with a key.
fn refusing(keys: &'static [&str]) -> impl Fn(&Request<'_>) -> Option<Fault> {
    move |request| keys.contains(&request.key?).then_some(Fault::Status(401))
}

#[tokio::test(start_paused = true)]
async fn the_key_before_is_tried_once_where_the_new_one_is_refused() {
    let setting = setting();
    setting.fail(refusing(&["new"]));
    let gathered = setting.gather(&[KEYED]).await;
    assert_eq!(gathered.knowledge.kind, Kind::Live);
    assert!(has_note(
        &gathered,
        "was tried this once and is now dropped"
    ));
    assert!(setting.ring.0.lock().unwrap().previous.is_none());

    let gathered = setting.gather(&[KEYED]).await;
    assert_eq!(gathered.knowledge.kind, Kind::Cached);
    let trouble = gathered.trouble.unwrap().to_string();
    assert!(
        trouble.contains("a new key: catrain key set electricity-maps"),
        "{trouble}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_before_that_nobody_answered_to_is_not_dropped() {
    let setting = setting();
    setting.fail(|request| match request.key {
        Some("new") => Some(Fault::Status(401)),
        _ => Some(Fault::Reset),
    });
    let gathered = setting.gather(&[KEYED]).await;
    assert!(
        gathered
            .trouble
            .unwrap()
            .to_string()
            .contains("the key is refused")
    );
    assert!(setting.ring.0.lock().unwrap().previous.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_does_not_cover_the_zone_is_told_with_what_it_covers() {
    let setting = setting();
    setting.fail(|request| (request.url.path() != "/plan").then_some(Fault::Status(403)));
    let trouble = setting.gather(&[KEYED]).await.trouble.unwrap().to_string();
    assert!(
        trouble.contains("does not cover this: GB (it covers FR only)"),
        "{trouble}"
    );
}

#[tokio::test(start_paused = true)]
async fn half_an_answer_is_of_use_and_the_other_half_is_noted() {
    let setting = setting();
    setting.gather(&[LEADING]).await;
    setting.fail(|request| (request.url.path() == "/forecast").then_some(Fault::Status(404)));
    hours_later(1).await;
    let gathered = setting.gather(&[LEADING]).await;
    assert!(
        has_note(&gathered, "no forecast: neso answered 404"),
        "{:?}",
        gathered.notes
    );
    assert_eq!(gathered.knowledge.kind, Kind::Cached);
    assert_eq!(gathered.knowledge.observations.points().len(), 25);
    assert_eq!(setting.outlook(&gathered).kind, Kind::Cached);
    assert_eq!(gathered.trouble, None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_by_a_slow_clock_does_not_pass_for_the_newest() {
    let setting = setting();
    setting.gather(&[LEADING]).await;
    hours_later(2).await;
    setting.gather(&[LEADING]).await;
    setting.fail(|_| Some(Fault::Skewed(SignedDuration::from_hours(-1))));
    let known = setting.gather(&[LEADING]).await.knowledge;
    assert_eq!(known.issues.len(), 3);
    assert!(known.issues.is_sorted_by_key(|issue| issue.issued_at));
}

#[tokio::test(start_paused = true)]
async fn to_be_offline_is_no_trouble() {
    let base = tempfile::tempdir().unwrap();
    let archive = Archive::new(base.path().join("archive"));
    let offline = |_: &_| Caller::new(Resilience::default(), None, true);
    let gathered = setting_with(base, archive, offline)
        .gather(&[LEADING])
        .await;
    assert_eq!(gathered.trouble, None);
    assert_eq!(gathered.tried[0].outcome, "neso: not asked: offline");
    assert_eq!(gathered.knowledge, builtin::knowledge(ZONE));
}

#[tokio::test(start_paused = true)]
async fn what_the_archive_cannot_take_is_still_known_to_this_process() {
    let base = tempfile::tempdir().unwrap();
    let file = base.path().join("file");
    std::fs::write(&file, "").unwrap();
    let setting = setting_with(base, Archive::new(file.join("archive")), online);
    let gathered = setting.gather(&[LEADING]).await;
    assert!(
        has_note(&gathered, "what neso said cannot be kept"),
        "{:?}",
        gathered.notes
    );
    setting.fail(|request| (request.url.path() == "/forecast").then_some(Fault::Status(404)));
    hours_later(1).await;
    setting.gather(&[LEADING]).await;
    setting.down(&[LEADING]);
    hours_later(1).await;
    let gathered = setting.gather(&[LEADING]).await;
    assert_eq!(gathered.knowledge.source, "neso");
    assert_eq!(setting.outlook(&gathered).kind, Kind::Cached);
}

#[tokio::test(start_paused = true)]
async fn while_another_process_writes_nothing_is_lost_and_nothing_said() {
    let setting = setting();
    setting.gather(&[LEADING]).await;
    let archive = setting.base.path().join("archive");
    let _locks: Vec<_> = (0..64)
        .map(|lock| dirs::try_lock(&archive.join(format!("{lock:02}.lock"))).unwrap())
        .collect();
    hours_later(1).await;
    let gathered = setting.gather(&[LEADING]).await;
    assert_eq!(gathered.knowledge.issues.len(), 2);
    assert_eq!(gathered.notes, [""; 0]);
}

/// The hours before the present one.
fn lately(setting: &Setting, hours: i64) -> Span {
    let second = setting.world.now().as_second().div_euclid(3600) * 3600;
    let end = Timestamp::from_second(second).unwrap();
    Span {
        start: end - SignedDuration::from_hours(hours),
        end,
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_past_a_service_is_asked_once_for_what_is_not_kept_of_it() {
    let setting = setting();
    let span = lately(&setting, 12);
    for _ in 0..2 {
        let now = setting.world.now();
        let asked = setting.chain.observed(LEADING.live, ZONE, span, now);
        let (points, outcome) = asked.await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(points.len(), 12);
        assert_eq!(points[0].span.start, span.start);
        assert_eq!(setting.calls(&LEADING), 1, "the archive knows it then");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_leaves_what_is_kept_of_the_past_and_says_why() {
    let setting = setting();
    setting.gather(&[LEADING]).await;
    setting.down(&[LEADING]);
    let longer = lately(&setting, 30);
    let now = setting.world.now();
    let (points, outcome) = setting
        .chain
        .observed(LEADING.live, ZONE, longer, now)
        .await;
    assert_eq!(points.len(), 24);
    assert!(outcome.unwrap_err().contains("connection reset by peer"));
    let (points, outcome) = setting
        .chain
        .observed(LEADING.live, "DE", longer, now)
        .await;
    assert_eq!(points, []);
    assert_eq!(outcome.unwrap_err(), "neso does not serve DE");
}

#[tokio::test(start_paused = true)]
async fn what_was_observed_just_now_is_not_asked_for() {
    let setting = setting();
    let now = setting.world.now();
    let span = Span {
        start: now - SignedDuration::from_mins(90),
        end: now,
    };
    let (points, outcome) = setting.chain.observed(LEADING.live, ZONE, span, now).await;
    assert_eq!((points, outcome), (Vec::new(), Ok(())));
    assert_eq!(setting.calls(&LEADING), 0);
}
