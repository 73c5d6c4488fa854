//! The desk with threads that answer, hang, fail and come back as the test says.

use std::sync::Mutex;
use std::sync::mpsc::SyncSender;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::ledger::entry::{EnergyKind, Share};
use crate::units::Watts;

/// A meter that finds as many joules as the stretch has seconds, times a factor.
struct Scripted {
    component: &'static str,
    factor: f64,
    method: Method,
    /// Each cut waits for a word; none: it does not wait.
    gate: Option<Receiver<()>>,
    is_open: bool,
    /// Troubles that it tells at each cut.
    wails: usize,
    log: Arc<Mutex<Vec<String>>>,
}

impl Worker for Scripted {
    fn begin(&mut self, _: At) {}
    fn started(&mut self, _: At, leader: i32) {
        self.log.lock().unwrap().push(format!("started {leader}"));
    }
    fn tick(&mut self, _: At) {}
    fn every(&self) -> Duration {
        Duration::from_secs(3600)
    }
    fn cut(&mut self, _: At, cut: &Cut) -> (Vec<Reading>, Vec<Reading>) {
        if let Some(gate) = &self.gate {
            gate.recv().expect("the test goes on");
        }
        let time = cut.to.elapsed.saturating_sub(cut.from.elapsed);
        let reading = Reading {
            component: self.component.to_owned(),
            joules: Joules(time.as_secs_f64() * self.factor),
            kind: EnergyKind::Measured,
            method: Some(self.method),
            source: "a test".to_owned(),
            whole: None,
        };
        (vec![reading], Vec::new())
    }
    fn facts(&self) -> Vec<MeterFact> {
        vec![MeterFact {
            component: self.component.to_owned(),
            name: "made up".to_owned(),
            method: self.method,
            device: None,
            trouble: None,
        }]
    }
    fn troubles(&mut self) -> Vec<String> {
        vec!["woe".to_owned(); std::mem::take(&mut self.wails)]
    }
    fn is_open(&self) -> bool {
        self.is_open
    }
}

/// Who works at the desk of a test.
struct Staff {
    meters: Meters,
    clock: ManualClock,
    log: Arc<Mutex<Vec<String>>>,
}

fn scripted(component: &'static str, method: Method) -> Scripted {
    Scripted {
        component,
        factor: if component == "cpu" { 1.0 } else { 100.0 },
        method,
        gate: None,
        is_open: true,
        wails: 0,
        log: Arc::default(),
    }
}

fn staff(host: Scripted, gpus: Scripted, run: Option<f64>) -> Staff {
    let log = gpus.log.clone();
    let figures = Figures {
        run: run.map(Watts),
        idle: None,
        reserved: false,
        cores: 1,
        share: Share::Job,
    };
    let meters = Meters::live(
        figures,
        Arc::new(At::default),
        Box::new(move || Box::new(host)),
        Box::new(move || Box::new(gpus)),
    );
    Staff {
        meters,
        clock: ManualClock::at("2026-03-02T00:00:00Z".parse().unwrap()),
        log,
    }
}

impl Staff {
    fn cut(&mut self, part: Part, seconds: u64) {
        let from = self.clock.now();
        self.clock.advance(Duration::from_secs(seconds));
        let stretch = Stretch {
            part,
            causes: Vec::new(),
            from,
            to: self.clock.now(),
        };
        self.meters.cut(stretch, Usage::default());
    }

    /// What the meters tell up to the next stretch, and that.
    async fn next(&mut self) -> (Vec<Metering>, Metered) {
        let mut told = Vec::new();
        loop {
            match self.meters.next().await {
                Metering::Stretch(metered) => return (told, metered),
                other => told.push(other),
            }
        }
    }

    /// Waits until the threads are through with opening.
    async fn open(&mut self) {
        self.meters.started(17);
        let told = self.meters.next().await;
        assert!(matches!(told, Metering::Meters(_)), "{told:?}");
    }
}

fn joules(metered: &Metered) -> Vec<(&str, f64)> {
    let readings = metered.energy.iter();
    let mut all: Vec<_> = readings
        .map(|reading| (reading.component.as_str(), reading.joules.0))
        .collect();
    all.sort_by_key(|(component, _)| *component);
    all
}

fn notes(told: &[Metering]) -> Vec<&str> {
    let notes = told.iter().filter_map(|told| match told {
        Metering::Note(text) => Some(text.as_str()),
        _ => None,
    });
    notes.collect()
}

fn troubles(told: &[Metering]) -> Vec<&str> {
    let troubles = told.iter().filter_map(|told| match told {
        Metering::Trouble(text) => Some(text.as_str()),
        _ => None,
    });
    troubles.collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
}

const CPU: Method = Method::CpuModel;
const GPU: Method = Method::GpuCounter;

#[test]
fn each_stretch_is_answered_in_order_with_all_meters() {
    let mut staff = staff(scripted("cpu", CPU), scripted("gpu 0", GPU), None);
    runtime().block_on(async {
        staff.open().await;
        staff.cut(Part::Running, 3);
        staff.cut(Part::Paused, 2);
        let (_, first) = staff.next().await;
        let (_, second) = staff.next().await;
        assert_eq!(joules(&first), [("cpu", 3.0), ("gpu 0", 300.0)]);
        assert_eq!(joules(&second), [("cpu", 2.0), ("gpu 0", 200.0)]);
        assert_eq!(second.stretch.part, Part::Paused);
    });
    assert_eq!(*staff.log.lock().unwrap(), ["started 17"]);
}

#[test]
fn nobody_waits_for_gpus_that_are_not_open() {
    let (_keep, gate) = channel();
    let gpus = Scripted {
        is_open: false,
        gate: Some(gate),
        ..scripted("gpu 0", GPU)
    };
    let mut staff = staff(scripted("cpu", CPU), gpus, None);
    runtime().block_on(async {
        staff.open().await;
        staff.cut(Part::Running, 3);
        let (told, first) = staff.next().await;
        assert_eq!(joules(&first), [("cpu", 3.0)]);
        assert_eq!(troubles(&told), [""; 0]);
    });
}

fn gated() -> (SyncSender<()>, Scripted) {
    let (word, gate) = std::sync::mpsc::sync_channel(16);
    let gpus = Scripted {
        gate: Some(gate),
        ..scripted("gpu 0", GPU)
    };
    (word, gpus)
}

#[test]
fn a_meter_that_hangs_is_passed_by_and_what_it_measured_is_counted_once() {
    let (word, gpus) = gated();
    let mut staff = staff(scripted("cpu", CPU), gpus, None);
    runtime().block_on(async {
        staff.open().await;
        staff.cut(Part::Running, 3);
        let (told, first) = staff.next().await;
        assert_eq!(joules(&first), [("cpu", 3.0)]);
        assert!(troubles(&told)[0].contains("GPUs does not answer"));
        // It is not waited for again.
        staff.cut(Part::Running, 5);
        let (told, second) = staff.next().await;
        assert_eq!(joules(&second), [("cpu", 5.0)]);
        assert_eq!(troubles(&told), [""; 0], "said once");
        word.send(()).unwrap();
        word.send(()).unwrap();
        let back = staff.meters.next().await;
        assert!(
            matches!(&back, Metering::Note(text) if text.contains("the 800 J that it measured")),
            "{back:?}"
        );
        staff.cut(Part::Paused, 1);
        word.send(()).unwrap();
        let (_, third) = staff.next().await;
        let own = [("cpu", 1.0), ("gpu 0", 100.0)];
        assert_eq!(joules(&third), own, "of another part: not here");
        staff.cut(Part::Running, 1);
        word.send(()).unwrap();
        let (_, fourth) = staff.next().await;
        assert_eq!(joules(&fourth), [("cpu", 1.0), ("gpu 0", 900.0)]);
    });
}

#[test]
fn giving_up_answers_all_that_is_due_at_once() {
    let (_word, gpus) = gated();
    let mut staff = staff(scripted("cpu", CPU), gpus, None);
    runtime().block_on(async {
        staff.open().await;
        staff.cut(Part::Running, 3);
        staff.cut(Part::Overhead, 1);
        let given_up = staff.meters.give_up();
        assert_eq!(given_up.len(), 2);
        assert_eq!(given_up[1].stretch.part, Part::Overhead);
        assert_eq!(staff.meters.give_up(), []);
    });
}

#[test]
fn a_meter_that_fails_is_told_once_and_waited_for_no_more() {
    struct Broken;
    impl Worker for Broken {
        fn begin(&mut self, _: At) {}
        fn started(&mut self, _: At, _: i32) {
            std::panic::resume_unwind(Box::new("a bug"));
        }
        fn tick(&mut self, _: At) {}
        fn every(&self) -> Duration {
            Duration::from_secs(3600)
        }
        fn cut(&mut self, _: At, _: &Cut) -> (Vec<Reading>, Vec<Reading>) {
            unreachable!("it has failed before")
        }
        fn facts(&self) -> Vec<MeterFact> {
            Vec::new()
        }
        fn troubles(&mut self) -> Vec<String> {
            Vec::new()
        }
        fn is_open(&self) -> bool {
            true
        }
    }
    let mut staff = staff(scripted("cpu", CPU), scripted("gpu 0", GPU), None);
    staff.meters = Meters::live(
        Figures {
            run: None,
            idle: None,
            reserved: false,
            cores: 1,
            share: Share::Job,
        },
        Arc::new(At::default),
        Box::new(|| Box::new(scripted("cpu", CPU))),
        Box::new(|| Box::new(Broken)),
    );
    runtime().block_on(async {
        staff.open().await;
        let mut told = Vec::new();
        // What the thread was asked in its last moment, it does not answer: that is told as well.
        while !troubles(&told).iter().any(|it| it.contains("has failed")) {
            staff.cut(Part::Running, 1);
            let (news, metered) = staff.next().await;
            assert_eq!(joules(&metered), [("cpu", 1.0)]);
            told.extend(news);
        }
        staff.cut(Part::Running, 1);
        let (told, _) = staff.next().await;
        assert_eq!(troubles(&told), [""; 0]);
    });
}

#[test]
fn a_given_power_stands_where_no_meter_measures() {
    let gpus = Scripted {
        is_open: false,
        ..scripted("gpu 0", Method::Given)
    };
    let mut staff = staff(scripted("cpu", CPU), gpus, Some(300.0));
    runtime().block_on(async {
        staff.meters.started(17);
        let told = staff.meters.next().await;
        let Metering::Meters(facts) = told else {
            panic!("{told:?}")
        };
        assert_eq!((facts.len(), facts[0].method), (1, Method::Given));
        staff.cut(Part::Running, 2);
        let (_, metered) = staff.next().await;
        assert_eq!(joules(&metered), [("all", 600.0)]);
        assert_eq!(metered.energy[0].kind, EnergyKind::Assumed);
    });
}

#[test]
fn a_given_power_is_not_used_beside_a_meter_and_that_is_told_once() {
    let mut staff = staff(scripted("cpu", CPU), scripted("gpu 0", GPU), Some(300.0));
    runtime().block_on(async {
        staff.open().await;
        staff.cut(Part::Running, 2);
        staff.cut(Part::Running, 2);
        let (_, first) = staff.next().await;
        assert_eq!(joules(&first), [("cpu", 2.0), ("gpu 0", 200.0)]);
        let (told, _) = staff.next().await;
        let expected = ["--power and --idle-power are not used: gpu 0 is measured"];
        assert_eq!(troubles(&told), expected);
    });
}

#[test]
fn a_meter_that_wails_for_ever_is_heard_so_often_and_no_more() {
    let gpus = Scripted {
        wails: 1000,
        ..scripted("gpu 0", GPU)
    };
    let mut staff = staff(scripted("cpu", CPU), gpus, None);
    runtime().block_on(async {
        staff.meters.started(17);
        let mut told = Vec::new();
        while !troubles(&told).contains(&"more of this from GPUs is not told") {
            told.push(staff.meters.next().await);
        }
        staff.cut(Part::Running, 1);
        told.extend(staff.next().await.0);
        assert_eq!(troubles(&told).len(), MOST_TOLD + 1);
    });
}

#[test]
fn a_replay_looks_at_no_hardware() {
    let mut staff = staff(scripted("cpu", CPU), scripted("gpu 0", GPU), None);
    let figures = Figures {
        run: Some(Watts(10.0)),
        idle: None,
        reserved: false,
        cores: 1,
        share: Share::Job,
    };
    staff.meters = Meters::modelled(figures, 60.0);
    runtime().block_on(async {
        staff.meters.started(17);
        staff.cut(Part::Running, 2);
        let (told, metered) = staff.next().await;
        assert_eq!((joules(&metered), told), (vec![("all", 20.0)], Vec::new()));
    });
}

/// A desk whose GPUs open when the word comes, and may take 50 ms.
fn slow_to_open(wants: bool) -> (Sender<()>, Staff) {
    let (word, opens) = channel::<()>();
    let mut staff = staff(scripted("cpu", CPU), scripted("gpu 0", GPU), None);
    staff.meters = Meters::live(
        Figures {
            run: None,
            idle: None,
            reserved: false,
            cores: 1,
            share: Share::Job,
        },
        Arc::new(At::default),
        Box::new(|| Box::new(scripted("cpu", CPU))),
        Box::new(move || {
            let _ = opens.recv();
            Box::new(scripted("gpu 0", GPU))
        }),
    )
    .wanting_gpus(wants);
    staff.meters.live.as_mut().unwrap().opening = Duration::from_millis(50);
    (word, staff)
}

#[test]
fn gpus_that_hang_from_the_first_are_told_once_and_again_when_they_answer() {
    let (word, mut staff) = slow_to_open(false);
    runtime().block_on(async {
        staff.meters.started(17);
        let told = staff.meters.next().await;
        let words = "GPUs are not metered: NVML has not answered for 0 s";
        assert!(
            matches!(&told, Metering::Trouble(text) if text.starts_with(words)),
            "{told:?}"
        );
        staff.cut(Part::Running, 3);
        let (told, first) = staff.next().await;
        assert_eq!(joules(&first), [("cpu", 3.0)]);
        assert_eq!(troubles(&told), [""; 0], "said once");
        word.send(()).unwrap();
        let mut told = Vec::new();
        while notes(&told).is_empty() {
            told.push(staff.meters.next().await);
        }
        assert_eq!(
            notes(&told),
            ["NVML answers now; GPUs are metered from here on"]
        );
        staff.cut(Part::Running, 1);
        let (_, second) = staff.next().await;
        assert_eq!(joules(&second), [("cpu", 1.0), ("gpu 0", 100.0)]);
    });
}

#[test]
fn gpus_that_were_asked_for_and_never_answered_are_told_at_the_end() {
    for wants in [true, false] {
        let (word, mut staff) = slow_to_open(wants);
        runtime().block_on(async {
            staff.meters.started(17);
            assert_eq!(staff.meters.missing(), None, "nobody misses them yet");
            let _ = staff.meters.next().await;
            tokio::time::sleep(MOMENT).await;
            let missing = staff.meters.missing();
            assert_eq!(missing.is_some(), wants, "{missing:?}");
            word.send(()).unwrap();
            let mut told = Vec::new();
            while notes(&told).is_empty() {
                told.push(staff.meters.next().await);
            }
            assert_eq!(staff.meters.missing(), None);
        });
    }
}
