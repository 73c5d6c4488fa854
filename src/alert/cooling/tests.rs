use super::*;
use crate::alert::wording::Words;

const HOUR: Duration = Duration::from_hours(1);

fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-11-24T18:00:00Z".parse().unwrap();
    start + SignedDuration::from_mins(minutes)
}

fn owner(pid: i32) -> Owner {
    Owner {
        host: "node7".to_owned(),
        boot_id: "b".to_owned(),
        pid,
        start_ticks: 1,
    }
}

fn words() -> Words {
    Words {
        what: "x".to_owned(),
        ..Words::default()
    }
}

/// Runs that share what was told; those with a negative pid are dead.
#[derive(Default)]
struct Runs(Cooling);

impl Runs {
    fn hear(
        &mut self,
        pid: i32,
        name: &str,
        minutes: i64,
        rule: Rule,
        news: News,
    ) -> Option<State> {
        let about = About {
            name: name.to_owned(),
            zone: "DE".to_owned(),
            ..About::default()
        };
        let (owner, id) = (owner(pid), || "id".to_owned());
        let teller = Teller {
            about: &about,
            owner: &owner,
            is_alive: &|owner| owner.pid > 0,
            id: &id,
        };
        let part = None;
        let change = Change { rule, part, news };
        let alert = self.0.heard(at(minutes), change, HOUR, &teller);
        // What is remembered is what is read again.
        let json = serde_json::to_string(&self.0).unwrap();
        self.0 = serde_json::from_str(&json).unwrap();
        alert.map(|alert| alert.state)
    }

    fn begins(&mut self, pid: i32, minutes: i64, rule: Rule) -> Option<State> {
        self.hear(pid, "a", minutes, rule, News::Begins(words()))
    }

    fn over(&mut self, pid: i32, minutes: i64, rule: Rule) -> Option<State> {
        self.hear(pid, "a", minutes, rule, News::Over(words()))
    }

    fn due(&mut self, pid: i32, minutes: i64) -> Vec<Alert> {
        self.0.due(at(minutes), |_| HOUR, &owner(pid))
    }
}

const RISK: Rule = Rule::DeadlineAtRisk;
const SOURCE: Rule = Rule::SourceDegraded;

#[test]
fn what_happens_again_within_the_cool_down_is_counted_and_not_told() {
    let mut runs = Runs::default();
    let happens = |runs: &mut Runs, minutes| {
        let news = News::Happens(words());
        runs.hear(1, "a", minutes, Rule::JobRestarted, news)
    };
    assert_eq!(happens(&mut runs, 0), Some(State::Happened));
    assert_eq!(happens(&mut runs, 10), None);
    assert_eq!(happens(&mut runs, 59), None);
    // Another run's is another's.
    let other = runs.hear(2, "b", 59, Rule::JobRestarted, News::Happens(words()));
    assert_eq!(other, Some(State::Happened));
    let about = About {
        name: "a".to_owned(),
        ..About::default()
    };
    let (owner, id) = (owner(1), || "id".to_owned());
    let teller = Teller {
        about: &about,
        owner: &owner,
        is_alive: &|_| true,
        id: &id,
    };
    let change = Change {
        rule: Rule::JobRestarted,
        part: None,
        news: News::Happens(words()),
    };
    let alert = runs.0.heard(at(60), change, HOUR, &teller).unwrap();
    assert_eq!(alert.similar, 2);
}

#[test]
fn what_was_told_is_told_to_be_over_and_what_was_not_is_not() {
    let mut runs = Runs::default();
    assert_eq!(runs.over(1, 0, RISK), None);
    assert_eq!(runs.begins(1, 1, RISK), Some(State::Raised));
    assert_eq!(runs.begins(1, 2, RISK), None);
    assert_eq!(runs.over(1, 3, RISK), Some(State::Recovered));
    assert_eq!(runs.over(1, 4, RISK), None);
    // It wavers: within the cool-down nothing more is told of it.
    assert_eq!(runs.begins(1, 5, RISK), None);
    assert_eq!(runs.over(1, 6, RISK), None);
}

#[test]
fn what_goes_on_beyond_the_cool_down_is_told_then() {
    let mut runs = Runs::default();
    runs.begins(1, 0, RISK);
    runs.over(1, 1, RISK);
    assert_eq!(runs.begins(1, 2, RISK), None);
    assert!(runs.due(1, 59).is_empty());
    assert_eq!(runs.0.next_due(|_| HOUR, &owner(1)), Some(at(60)));
    let due = runs.due(1, 60);
    assert_eq!(
        (due.len(), due[0].state, due[0].similar),
        (1, State::Raised, 0)
    );
    assert!(runs.due(1, 61).is_empty());
    assert_eq!(runs.over(1, 62, RISK), Some(State::Recovered));
}

#[test]
fn a_run_that_is_started_again_goes_on_with_what_the_killed_one_had() {
    let mut runs = Runs::default();
    // Told by a run that is dead by the time that the next one looks.
    assert_eq!(runs.begins(-1, 0, RISK), Some(State::Raised));
    assert_eq!(runs.begins(2, 5, RISK), None);
    assert_eq!(runs.over(2, 6, RISK), Some(State::Recovered));

    let mut runs = Runs::default();
    runs.begins(-1, 0, RISK);
    assert_eq!(runs.over(2, 5, RISK), Some(State::Recovered));

    // Long after, it is told again.
    let mut runs = Runs::default();
    runs.begins(-1, 0, RISK);
    assert_eq!(runs.begins(2, 90, RISK), Some(State::Raised));
}

#[test]
fn what_runs_share_is_told_once_and_over_once_all_are_rid_of_it() {
    let mut runs = Runs::default();
    assert_eq!(runs.begins(1, 0, SOURCE), Some(State::Raised));
    let other = runs.hear(2, "b", 1, SOURCE, News::Begins(words()));
    assert_eq!(other, None);
    assert_eq!(runs.over(1, 2, SOURCE), None);
    let over = runs.hear(2, "b", 3, SOURCE, News::Over(words()));
    assert_eq!(over, Some(State::Recovered));
}

#[test]
fn a_run_does_not_end_the_problem_of_another() {
    let mut runs = Runs::default();
    assert_eq!(runs.begins(1, 0, RISK), Some(State::Raised));
    // Of the same name, and without it.
    assert_eq!(runs.over(2, 1, RISK), None);
    assert_eq!(runs.over(1, 2, RISK), Some(State::Recovered));
}

#[test]
fn what_is_moot_is_told_neither_way() {
    let mut runs = Runs::default();
    runs.begins(1, 0, RISK);
    assert_eq!(runs.hear(1, "a", 1, RISK, News::Moot), None);
    assert_eq!(runs.over(1, 2, RISK), None);
}

#[test]
fn a_clock_that_was_set_back_silences_nothing() {
    let mut runs = Runs::default();
    let happens =
        |runs: &mut Runs, minutes| runs.hear(1, "a", minutes, Rule::Budget, News::Happens(words()));
    assert!(happens(&mut runs, 0).is_some());
    assert!(happens(&mut runs, -600).is_some());
}

#[test]
fn what_is_long_over_is_forgotten_and_no_more_than_so_much_is_remembered() {
    let mut runs = Runs::default();
    for number in 0..600 {
        let name = format!("run-{number}");
        let _ = runs.hear(1, &name, number, Rule::RunEnded, News::Happens(words()));
    }
    runs.0.tidy(at(600));
    assert_eq!(runs.0.problems.len(), MOST);
    runs.0.tidy(at(60 * 24 * 30));
    assert!(runs.0.problems.is_empty());
}
