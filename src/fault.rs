//! Numbered places at which the tests kill or stop the supervisor.
//!
//! A job must never be left stopped, wherever the supervisor dies. So every step between two acts
//! has a [`Point`], and the tests start a supervisor with `CATRAIN_FAULT=N` in its environment,
//! which kills itself with SIGKILL there (`N:stop`: stops itself, as a hung disk would; `N:term` and
//! `N:int`: sends itself that signal, as whoever has changed his mind would). Without
//! the feature `fault-points` all of it compiles to nothing.

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// A place between two steps. The numbers are stable: 1–9 start, 10–19 watchdog,
        /// 20–39 pause, 40–59 resume and end, from 100 on the driver, from 200 on starting up and from
        /// 220 on shutting down.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Point { $($(#[$doc])* $name = $number,)* }

        impl Point {
            /// Every place there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

points! {
    /// Before anything was done for the start.
    BeforeStart = 1,
    /// The supervisor adopts orphans, the job is not forked yet.
    Adopting = 2,
    /// The job runs; nothing is known about it yet.
    Started = 3,
    /// The watchdog has heard of the job's cgroup, which is not made yet.
    CellAnnounced = 4,
    /// The job's cgroup is there and empty.
    CellMade = 5,
    /// The job's first process runs in it.
    CellEntered = 6,
    /// The watchdog's process was started and has not answered.
    GuardStarted = 10,
    /// The watchdog was told whom to look after.
    GuardTold = 11,
    /// A lease was written.
    LeaseWritten = 12,
    /// A pause begins; nothing was written.
    PauseBegins = 20,
    /// The first list is with the watchdog, nobody is stopped.
    ListSent = 21,
    /// The watchdog has confirmed the list.
    ListConfirmed = 22,
    /// One process has been sent its stop.
    FirstStop = 23,
    /// Half of the processes have.
    HalfStopped = 24,
    /// All on the first list have.
    AllStopped = 25,
    /// The first scan after the stops is done.
    Scanned = 26,
    /// A later find was written to the watchdog and is not stopped yet.
    LateFindTold = 27,
    /// Everybody was seen stopped, twice.
    Verified = 28,
    /// The pause failed; nobody was continued yet.
    Refusing = 29,
    /// The watchdog knows that the cgroup is about to be frozen.
    FreezeConfirmed = 30,
    /// The kernel was asked to freeze it.
    FreezeAsked = 31,
    /// It is seen frozen; those outside of it run.
    FreezeSeen = 32,
    /// A resume begins; nobody was continued.
    ResumeBegins = 40,
    /// One process was continued.
    FirstContinued = 41,
    /// Half of the processes were.
    HalfContinued = 42,
    /// All were, the watchdog still has its list.
    AllContinued = 43,
    /// The watchdog's list is cleared.
    ListCleared = 44,
    /// The cgroup was thawed, nobody was continued by a signal, the watchdog still has its list.
    Thawed = 45,
    /// The farewell was said to the watchdog.
    Farewell = 50,
    /// The driver has decided to start; nothing was done.
    StartDecided = 100,
    /// The job runs; nothing was written down about it.
    StartDone = 101,
    /// A pause was decided; its intent is not written.
    PauseDecided = 110,
    /// The intent to have the job save its state is written; it was not asked yet.
    CheckpointIntended = 113,
    /// The intent to pause is written (or was waited for long enough).
    PauseIntended = 111,
    /// The job is seen stopped; that is not written down.
    PauseSeen = 112,
    /// A resume was decided and written; nobody was continued.
    ResumeDecided = 120,
    /// The job was continued; that is not written down.
    ResumeDone = 121,
    /// The configuration is about to be read; signals still mean what they mean to any program.
    Configuring = 200,
    /// The surroundings are about to be looked at.
    Preparing = 201,
    /// The record is about to be opened.
    Recording = 202,
    /// Sources are about to be asked, and the control socket to be opened.
    Gathering = 203,
    /// All is set up; the loop is about to begin.
    Driving = 204,
    /// The loop is over; the user's commands are about to be waited for.
    AwaitingHooks = 220,
    /// Whoever launched the run is about to be told, if that was not done.
    TellingLauncher = 221,
    /// The record is about to be closed.
    ClosingRecord = 222,
    /// The summary is about to be made.
    Summarising = 223,
    /// What was learned is about to be kept.
    Remembering = 224,
    /// The control socket is about to be removed.
    ClosingSocket = 225,
    /// The last lines are about to be written.
    FallingSilent = 226,
}

/// Dies or stops here if the test asked for this place.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn at(_: Point) {}

/// Dies or stops here if the test asked for this place, the first time that it comes by.
#[cfg(feature = "fault-points")]
pub fn at(point: Point) {
    use nix::sys::signal::{Signal, raise};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static DONE: AtomicBool = AtomicBool::new(false);

    static WANTED: OnceLock<Option<(u16, Signal)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("CATRAIN_FAULT").ok()?;
        let (number, how) = text.split_once(':').unwrap_or((&text, "kill"));
        let signal = match how {
            "stop" => Signal::SIGSTOP,
            "term" => Signal::SIGTERM,
            "int" => Signal::SIGINT,
            _ => Signal::SIGKILL,
        };
        Some((number.parse().ok()?, signal))
    });
    if let Some((number, signal)) = *wanted
        && number == point as u16
        && !DONE.swap(true, Ordering::Relaxed)
    {
        // There is nothing to do if this fails.
        let _ = raise(signal);
    }
}

/// Whether a pause is to see nobody stop, as a test asks for by `CATRAIN_TEST_NEVER_STOPS`.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn nobody_stops() -> bool {
    false
}

/// Whether a pause is to see nobody stop, as a test asks for by `CATRAIN_TEST_NEVER_STOPS`.
#[cfg(feature = "fault-points")]
pub fn nobody_stops() -> bool {
    use std::sync::OnceLock;

    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("CATRAIN_TEST_NEVER_STOPS").is_some())
}

/// Whether a cgroup is never to be seen frozen, as a test asks for by `CATRAIN_TEST_NEVER_FREEZES`.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub fn nobody_freezes() -> bool {
    false
}

/// Whether a cgroup is never to be seen frozen, as a test asks for by `CATRAIN_TEST_NEVER_FREEZES`.
#[cfg(feature = "fault-points")]
pub fn nobody_freezes() -> bool {
    use std::sync::OnceLock;

    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("CATRAIN_TEST_NEVER_FREEZES").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_used_twice() {
        let mut numbers: Vec<u16> = Point::ALL.iter().map(|&point| point as u16).collect();
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
