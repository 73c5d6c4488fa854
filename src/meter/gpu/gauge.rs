//! The energy of one device between two samples, by its counter or by its power.
//!
//! The counter is believed as long as it behaves. It may stand still between its own ticks; what the
//! device draws meanwhile is billed by power and taken off again when the counter moves, so that a
//! stretch that ends there is not short. Where it stands still for longer, goes back, leaps further
//! than the device can draw or is gone, that is a state of the meter and power takes its place;
//! never is it a reading of zero.

use std::time::Duration;

use crate::meter::At;
use crate::units::Watts;

/// How far above its limit a device may draw on average: the limit is enforced within a second or so.
const SLACK: f64 = 1.3;
/// A counter lags behind by up to a tick, and what it lags comes with the next sample.
const GRACE: Duration = Duration::from_secs(1);
/// What no single device draws, where the driver tells no limit: the largest board in November 2026
/// (NVIDIA B300) has a limit of 1400 W.
const HIGHEST: Watts = Watts(1500.0);
/// Counters tick every 20 to 100 ms; one that stands for this long while power is drawn is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(3);
/// How often a counter may be stuck before it is not believed again.
const STUCK_AT_MOST: u32 = 3;
/// Why a device that answers is not metered all the same.
const MUTE: &str = "it tells neither its energy nor its power";
/// Between samples that lie further apart, power is a guess.
const GAP: Duration = Duration::from_secs(10);

/// What one sample says of a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// When.
    pub at: At,
    /// Energy since the driver was loaded, in millijoules; none where there is no such counter.
    pub energy_mj: Option<u64>,
    /// Power now.
    pub power: Option<Watts>,
    /// The limit that is enforced on its power.
    pub limit: Option<Watts>,
}

/// By what means energy is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The device's counter.
    Counter,
    /// Its power, sampled each second.
    Power,
    /// Its power before and after a longer gap.
    Gap,
}

/// All means, in the order of their numbers.
pub const MEANS: [Means; 3] = [Means::Counter, Means::Power, Means::Gap];

/// Energy between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its start.
    pub from: At,
    /// Its end.
    pub to: At,
    /// Energy in joules, never negative.
    pub joules: f64,
    /// How it is known.
    pub means: Means,
}

/// How the meter of a device is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its counter counts.
    Counting,
    /// Its power is integrated.
    Integrating {
        /// Why; none where the device never had a counter.
        why: Option<String>,
    },
    /// Nothing can be read.
    Lost {
        /// Why.
        why: String,
    },
}

/// Follows one device.
#[derive(Debug)]
pub struct Gauge {
    last: Option<Look>,
    state: State,
    /// Joules that were billed by power while the counter stood still.
    ahead: f64,
    /// How long it has stood still.
    still: Duration,
    /// Joules by which it grew less than power says in the interval in which it last moved.
    short: f64,
    /// How often it was stuck.
    stuck: u32,
    was_lost: bool,
    troubles: Vec<String>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self {
            last: None,
            state: State::Integrating { why: None },
            ahead: 0.0,
            still: Duration::ZERO,
            short: 0.0,
            stuck: 0,
            was_lost: false,
            troubles: Vec::new(),
        }
    }
}

impl Gauge {
    /// How it is doing.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What went wrong since this was last called, in words that follow the device's name.
    pub fn troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.troubles)
    }

    /// The device does not answer.
    pub fn lost(&mut self, why: &str) {
        self.was_lost = true;
        if !matches!(self.state, State::Lost { .. }) {
            self.troubles.push(format!(
                "cannot be read: {why}; what it uses is missing until it can be"
            ));
            self.state = State::Lost {
                why: why.to_owned(),
            };
        }
    }

    /// Takes a sample; gives the energy since the last one. None with the first, and where nobody can
    /// say what was used.
    pub fn take(&mut self, look: Look) -> Option<Interval> {
        let look = Look {
            power: look.power.filter(|power| is_possible(*power, look.limit)),
            ..look
        };
        // Not found again, then: what was known before it was lost stays what it is compared with.
        let is_mute = look.energy_mj.is_none() && look.power.is_none();
        if is_mute && (self.was_lost || self.last.is_none()) {
            self.last.get_or_insert(look);
            self.lost(MUTE);
            return None;
        }
        let Some(before) = self.last else {
            self.last = Some(look);
            self.was_lost = false;
            self.state = first_state(&look);
            return None;
        };
        if look.at.elapsed <= before.at.elapsed {
            return None;
        }
        self.last = Some(look);
        let awake = look.at.awake.saturating_sub(before.at.awake);
        if std::mem::take(&mut self.was_lost) {
            return self.found_again(before, look);
        }
        let by_power = by_power(before, look, awake);
        let (joules, means) = match (before.energy_mj, look.energy_mj) {
            (Some(from), Some(to)) if from <= to => {
                self.by_counter(before, look, (to - from) as f64 / 1e3, by_power)
            }
            (Some(_), Some(_)) => {
                self.anew("its energy counter went back (a reset of the device or its driver)");
                self.state = State::Counting;
                (by_power, Means::Power)
            }
            (None, Some(_)) => {
                self.anew("has an energy counter now");
                self.state = State::Counting;
                (by_power, Means::Power)
            }
            (Some(_), None) => {
                let why = "its energy counter answers no more".to_owned();
                self.integrate(why);
                (by_power, Means::Power)
            }
            (None, None) => (by_power, Means::Power),
        };
        let Some(joules) = joules else {
            self.lost(MUTE);
            return None;
        };
        if let (State::Lost { .. }, None) = (&self.state, look.energy_mj) {
            self.state = first_state(&look);
        }
        let means = match means {
            Means::Power if awake > GAP => Means::Gap,
            means => means,
        };
        Some(Interval {
            from: before.at,
            to: look.at,
            joules,
            means,
        })
    }

    fn by_counter(
        &mut self,
        before: Look,
        look: Look,
        grown: f64,
        by_power: Option<f64>,
    ) -> (Option<f64>, Means) {
        let awake = look.at.awake.saturating_sub(before.at.awake);
        let draws = by_power.unwrap_or(0.0);
        if let State::Integrating { .. } = self.state {
            if grown > 0.0 && self.stuck < STUCK_AT_MOST {
                self.anew("its energy counter moves again");
                self.state = State::Counting;
            }
            return (by_power, Means::Power);
        }
        if grown > most(before, look) {
            self.anew(&format!(
                "its energy counter leapt by {grown:.0} J, more than it can draw"
            ));
            return (by_power, Means::Power);
        }
        if grown > 0.0 {
            self.still = Duration::ZERO;
            self.short = (draws - grown).max(0.0);
            let due = (grown - self.ahead).max(0.0);
            self.ahead = (self.ahead - grown).max(0.0);
            self.state = State::Counting;
            return (Some(due), Means::Counter);
        }
        self.still += awake;
        self.ahead += draws;
        let is_zero = look.energy_mj == Some(0) && draws > 0.0;
        if is_zero || (self.still >= STUCK_AFTER && self.ahead > 1.0) {
            self.stuck += 1;
            let at = look.energy_mj.unwrap_or(0) / 1000;
            self.integrate(format!(
                "its energy counter stands still at {at} J while power is drawn"
            ));
            // It stopped within the interval in which it last moved, and did not count the rest of it.
            let short = std::mem::take(&mut self.short);
            return (Some(draws + short), Means::Power);
        }
        (Some(draws), Means::Counter)
    }

    /// After a while without it. The counter knows what was used meanwhile if it is the same one.
    fn found_again(&mut self, before: Look, look: Look) -> Option<Interval> {
        self.state = first_state(&look);
        let (ahead, grown) = (self.ahead, look.energy_mj.zip(before.energy_mj));
        self.ahead = 0.0;
        self.still = Duration::ZERO;
        let grown = grown.and_then(|(to, from)| to.checked_sub(from));
        let grown = grown.map(|grown| grown as f64 / 1e3);
        let gone = (look.at.elapsed.saturating_sub(before.at.elapsed)).as_secs_f64();
        match grown.filter(|grown| *grown > 0.0 && *grown <= most(before, look)) {
            Some(grown) => {
                self.troubles.push(format!(
                    "answers again; its counter tells what it used in {gone:.0} s"
                ));
                Some(Interval {
                    from: before.at,
                    to: look.at,
                    joules: (grown - ahead).max(0.0),
                    means: Means::Counter,
                })
            }
            None => {
                self.troubles
                    .push(format!("answers again; {gone:.0} s of it were not metered"));
                None
            }
        }
    }

    /// Counts from here on, having said why.
    fn anew(&mut self, why: &str) {
        self.ahead = 0.0;
        self.short = 0.0;
        self.still = Duration::ZERO;
        self.troubles
            .push(format!("{why}; it is read anew, and power fills in"));
    }

    fn integrate(&mut self, why: String) {
        self.ahead = 0.0;
        self.still = Duration::ZERO;
        self.troubles
            .push(format!("{why}; its power is integrated instead"));
        self.state = State::Integrating { why: Some(why) };
    }
}

fn first_state(look: &Look) -> State {
    match (look.energy_mj, look.power) {
        (Some(_), _) => State::Counting,
        (None, Some(_)) => State::Integrating { why: None },
        (None, None) => State::Lost {
            why: MUTE.to_owned(),
        },
    }
}

fn is_possible(power: Watts, limit: Option<Watts>) -> bool {
    let limit = limit.filter(|limit| limit.0 > 0.0).unwrap_or(HIGHEST);
    power.0.is_finite() && power.0 >= 0.0 && power.0 <= limit.0 * SLACK
}

/// The most that can have been drawn between two samples, in joules.
fn most(before: Look, look: Look) -> f64 {
    let limits = [before.limit, look.limit].into_iter().flatten();
    let limit = limits.map(|limit| limit.0).fold(0.0, f64::max);
    let limit = if limit > 0.0 { limit } else { HIGHEST.0 };
    let time = look.at.elapsed.saturating_sub(before.at.elapsed) + GRACE;
    limit * SLACK * time.as_secs_f64()
}

/// The mean of both powers over the time awake; where one is missing the other stands for both.
fn by_power(before: Look, look: Look, awake: Duration) -> Option<f64> {
    let mean = match (before.power, look.power) {
        (Some(from), Some(to)) => (from.0 + to.0) / 2.0,
        (Some(one), None) | (None, Some(one)) => one.0,
        (None, None) => return None,
    };
    Some(mean * awake.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> At {
        At {
            elapsed: Duration::from_millis(ms),
            awake: Duration::from_millis(ms),
        }
    }

    fn look(ms: u64, energy_mj: Option<u64>, power: Option<f64>) -> Look {
        Look {
            at: at(ms),
            energy_mj,
            power: power.map(Watts),
            limit: Some(Watts(700.0)),
        }
    }

    /// Joules by the second from looks a second apart.
    fn joules(gauge: &mut Gauge, looks: &[(Option<u64>, Option<f64>)]) -> Vec<Option<f64>> {
        let looks = looks.iter().enumerate();
        looks
            .map(|(second, (energy, power))| look(second as u64 * 1000, *energy, *power))
            .map(|look| gauge.take(look).map(|interval| interval.joules))
            .collect()
    }

    #[test]
    fn between_two_ticks_of_the_counter_power_fills_in_and_is_taken_off_again() {
        let mut gauge = Gauge::default();
        gauge.take(look(0, Some(1_000_000), Some(300.0)));
        // Nothing new in the counter 50 ms later: a stretch that ends here used 15 J all the same.
        let early = gauge.take(look(50, Some(1_000_000), Some(300.0))).unwrap();
        assert_eq!((early.joules, early.means), (15.0, Means::Counter));
        let late = gauge.take(look(1000, Some(1_300_000), Some(300.0)));
        assert_eq!(late.unwrap().joules, 285.0, "300 J in all, 15 are billed");
    }

    #[test]
    fn a_counter_that_went_back_starts_anew_and_power_fills_in() {
        let mut gauge = Gauge::default();
        let seconds = [
            (Some(9_000_000), Some(300.0)),
            (Some(9_300_000), Some(300.0)),
            (Some(50_000), Some(300.0)),
            (Some(350_000), Some(300.0)),
        ];
        assert_eq!(joules(&mut gauge, &seconds)[1..], [Some(300.0); 3]);
        assert_eq!(gauge.state(), &State::Counting);
        assert_eq!(gauge.troubles().len(), 1);
    }

    #[test]
    fn a_counter_that_stands_still_is_a_state_and_no_reading_of_zero() {
        let mut gauge = Gauge::default();
        let seconds = [(Some(5_000_000), Some(200.0)); 8];
        assert_eq!(joules(&mut gauge, &seconds)[1..], [Some(200.0); 7]);
        assert!(matches!(gauge.state(), State::Integrating { why: Some(_) }));
        let next = gauge.take(look(8000, Some(5_100_000), Some(200.0)));
        assert_eq!(next.unwrap().means, Means::Power);
        let next = gauge.take(look(9000, Some(5_300_000), Some(200.0)));
        assert_eq!(next.unwrap().means, Means::Counter, "it moves again");
    }

    #[test]
    fn what_a_counter_did_not_count_before_it_stopped_is_made_up_by_power() {
        let mut gauge = Gauge::default();
        let mut seconds = vec![
            (Some(5_000_000), Some(200.0)),
            (Some(5_080_000), Some(200.0)),
        ];
        seconds.extend([(Some(5_080_000), Some(200.0)); 4]);
        let all: f64 = joules(&mut gauge, &seconds).into_iter().flatten().sum();
        assert_eq!(all, 1000.0);
    }

    #[test]
    fn a_counter_at_zero_is_not_believed_for_a_second() {
        let mut gauge = Gauge::default();
        gauge.take(look(0, Some(0), Some(200.0)));
        let first = gauge.take(look(1000, Some(0), Some(200.0))).unwrap();
        assert_eq!((first.joules, first.means), (200.0, Means::Power));
    }

    #[test]
    fn a_device_that_draws_nothing_may_stand_still() {
        let mut gauge = Gauge::default();
        let seconds = [(Some(5_000_000), Some(0.0)); 8];
        assert_eq!(joules(&mut gauge, &seconds)[1..], [Some(0.0); 7]);
        assert_eq!(gauge.state(), &State::Counting);
    }

    #[test]
    fn a_leap_above_what_the_device_can_draw_is_refused() {
        let mut gauge = Gauge::default();
        let seconds = [
            (Some(1_000), Some(300.0)),
            (Some(9_000_000_000), Some(300.0)),
            (Some(9_000_300_000), Some(300.0)),
        ];
        assert_eq!(joules(&mut gauge, &seconds)[1..], [Some(300.0); 2]);
        assert_eq!(gauge.troubles().len(), 1);
    }

    #[test]
    fn without_a_counter_power_is_integrated() {
        let mut gauge = Gauge::default();
        let seconds = [(None, Some(100.0)), (None, Some(300.0)), (None, None)];
        let joules = joules(&mut gauge, &seconds);
        assert_eq!(joules, [None, Some(200.0), Some(300.0)]);
        assert_eq!(gauge.state(), &State::Integrating { why: None });
    }

    #[test]
    fn power_that_cannot_be_is_no_power() {
        let mut gauge = Gauge::default();
        let seconds = [(None, Some(100.0)), (None, Some(4_294_967.0))];
        assert_eq!(joules(&mut gauge, &seconds)[1], Some(100.0));
    }

    #[test]
    fn a_device_that_comes_back_tells_by_its_counter_what_it_used() {
        let mut gauge = Gauge::default();
        gauge.take(look(0, Some(1_000_000), Some(100.0)));
        gauge.lost("GPU is lost");
        assert!(matches!(gauge.state(), State::Lost { .. }));
        let back = gauge.take(look(30_000, Some(4_000_000), Some(100.0)));
        assert_eq!(back.unwrap().joules, 3000.0);
        gauge.lost("GPU is lost");
        let reset = gauge.take(look(60_000, Some(10), Some(100.0)));
        assert_eq!(reset, None, "nobody knows what it used");
        assert_eq!(gauge.state(), &State::Counting);
        assert_eq!(gauge.troubles().len(), 4);
    }

    #[test]
    fn a_device_that_tells_nothing_is_told_once_and_is_not_said_to_answer() {
        let mut gauge = Gauge::default();
        assert_eq!(joules(&mut gauge, &[(None, None); 8]), [None; 8]);
        let told = gauge.troubles();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("neither its energy nor its power"));
        assert!(matches!(gauge.state(), State::Lost { .. }));
        // It does after all.
        gauge.take(look(9000, None, Some(100.0)));
        let told = gauge.troubles();
        assert!(told[0].contains("answers again; 9 s"), "{told:?}");
        let next = gauge.take(look(10_000, None, Some(100.0))).unwrap();
        assert_eq!(next.joules, 100.0);
    }

    #[test]
    fn a_device_that_was_lost_and_tells_nothing_is_still_lost() {
        let mut gauge = Gauge::default();
        gauge.take(look(0, Some(1_000_000), Some(100.0)));
        gauge.lost("GPU is lost");
        assert_eq!(gauge.take(look(10_000, None, None)), None);
        let back = gauge.take(look(20_000, Some(3_000_000), Some(100.0)));
        assert_eq!(back.unwrap().joules, 2000.0, "by its counter, all of it");
        assert_eq!(gauge.troubles().len(), 2);
    }

    #[test]
    fn nothing_is_drawn_while_the_host_sleeps() {
        let mut gauge = Gauge::default();
        gauge.take(look(0, None, Some(100.0)));
        let mut woken = look(3_600_000, None, Some(100.0));
        woken.at.awake = Duration::from_secs(2);
        assert_eq!(gauge.take(woken).unwrap().joules, 200.0);
    }

    #[test]
    fn power_over_a_gap_is_called_a_guess() {
        let mut gauge = Gauge::default();
        gauge.take(look(0, None, Some(100.0)));
        let late = gauge.take(look(20_000, None, Some(100.0))).unwrap();
        assert_eq!((late.joules, late.means), (2000.0, Means::Gap));
    }
}
