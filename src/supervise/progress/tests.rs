use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn reading(done: f64, total: f64) -> Reading {
    Reading::new(done, total).unwrap()
}

fn read(line: &str) -> Option<(f64, f64)> {
    let reading = Patterns::built_in().read(line)?;
    Some((reading.done, reading.total))
}

fn read_all<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Option<(f64, f64)>> {
    let mut patterns = Patterns::built_in();
    let readings = lines.into_iter().map(|line| patterns.read(line));
    readings
        .map(|one| one.map(|one| (one.done, one.total)))
        .collect()
}

/// A job that makes `per_minute` of `total` and says so each minute, from `from` on.
fn steady(pace: &mut Pace, from: Duration, minutes: u32, mut done: f64, per_minute: f64) -> f64 {
    for minute in 1..=minutes {
        done += per_minute;
        pace.take(from + MINUTE * minute, reading(done, 9000.0));
    }
    done
}

#[track_caller]
fn remaining(pace: &Pace, at: Duration) -> f64 {
    pace.work(at).expect("it is measured").0.as_secs_f64()
}

#[test]
fn the_usual_lines_are_read() {
    for (line, done, total) in [
        ("step 120/9000", 120.0, 9000.0),
        ("Step [120/9000] loss 0.3", 120.0, 9000.0),
        ("train: iter 1,200 / 90,000 lr 3e-4", 1200.0, 90_000.0),
        ("iteration 7 of 10", 7.0, 10.0),
        ("global_step: 5/10", 5.0, 10.0),
        ("epoch 3 global step 120/9000", 120.0, 9000.0),
        ("epoch 3/90", 3.0, 90.0),
        ("Epoch: [3/90] loss 0.3", 3.0, 90.0),
        ("Epoch [3/90], Step [450/900], Loss: 0.3", 2.5, 90.0),
        (
            "  3%|▎         | 30/1000 [00:05<02:41,  6.0it/s]",
            30.0,
            1000.0,
        ),
        ("  3%|3         | 30/1000 [00:05<?, ?it/s]", 30.0, 1000.0),
        (
            "train:  3%|▎ | 30.0k/1.00M [00:05<02:41,  6.0kit/s]",
            30e3,
            1e6,
        ),
        (
            "Epoch 3/10:  50%|████▏ | 50/100 [00:05<00:07, v_num=0]",
            2.5,
            10.0,
        ),
        (
            "\x1b[32mEpoch 3/10\x1b[0m \x1b[38;5;1m━━━━╸━━\x1b[0m 50/100 0:00:05 • 0:00:07",
            2.5,
            10.0,
        ),
        (
            "\x1b]0;title 9/10\x07\x1b[2K\x1b[1Gstep 120/9000",
            120.0,
            9000.0,
        ),
    ] {
        assert_eq!(read(line), Some((done, total)), "{line}");
    }
}

#[test]
fn what_says_nothing_of_the_whole_is_no_reading() {
    for line in [
        "",
        "loss 0.3 at 45%",
        "2026/11/25 09:00 1/2",
        "step 120",
        "steps per epoch 12/3",
        "step 9001/9000",
        "step 1/0",
        "Epoch 3: 42%|████▏     | 42/100 [00:05<00:07, v_num=0]",
        "epoch 3 step 120/9000",
        "42/100 ━━━━━━━━━━━━━━━━━━━━ 0s 2ms/step - loss: 0.3",
        "Validation DataLoader 0:  42%|████▏     | 42/100 [00:05<00:07]",
        "Loading checkpoint shards:  50%|█████     | 2/4 [00:05<00:07]",
        "{'loss': 0.5, 'learning_rate': 5e-05, 'epoch': 1.5}",
        "epoch 5/3",
    ] {
        assert_eq!(read(line), None, "{line}");
    }
}

#[test]
fn keras_bars_are_within_their_epoch() {
    let bar = "50/100 ━━━━━━━━━━━━━━━━━━━━ 0s 2ms/step - loss: 0.3";
    let old = "100/100 [==============================] - 1s 2ms/step";
    let half = "50/100 [=====>........] - ETA: 5s";
    assert_eq!(
        read_all(["Epoch 3/10", bar, old, "Epoch 4/10", half]),
        [
            Some((2.0, 10.0)),
            Some((2.5, 10.0)),
            Some((3.0, 10.0)),
            Some((3.0, 10.0)),
            Some((3.5, 10.0))
        ]
    );
}

#[test]
fn a_bar_of_validation_within_an_epoch_is_not_taken_for_training() {
    let train = " 50%|█████     | 50/100 [00:05<00:07,  6.0it/s]";
    let validate = " 10%|█         | 2/20 [00:05<00:07,  6.0it/s]";
    let all = read_all(["Epoch 1/10", train, validate, train]);
    assert_eq!(all[1..], [Some((0.5, 10.0)), None, Some((0.5, 10.0))]);
}

#[test]
fn epochs_may_be_counted_from_zero() {
    let bar = "Epoch 1/9:  50%|████▏ | 50/100 [00:05<00:07]";
    let all = read_all(["Epoch 0/9:   0%|  | 0/100 [00:00<?]", bar]);
    assert_eq!(all, [Some((0.0, 10.0)), Some((1.5, 10.0))]);
}

#[test]
fn the_trainer_tells_its_epochs_once_and_where_it_is_in_a_log() {
    let told = "INFO:transformers.trainer:  Num Epochs = 3";
    for log in [
        "{'loss': 0.5, 'learning_rate': 5e-05, 'epoch': 1.5}",
        "{'loss': '0.5', 'epoch': '1.5', 'num_tokens': 3}",
    ] {
        assert_eq!(read_all([told, log]), [None, Some((1.5, 3.0))], "{log}");
    }
}

#[test]
fn a_users_expression_is_the_only_one_then() {
    let mut named = Patterns::own(r"(?<total>\d+) left after (?<done>\d+)").unwrap();
    assert_eq!(named.read("90 left after 3"), Reading::new(3.0, 90.0));
    assert_eq!(named.read("step 1/2"), None);
    let mut first_two = Patterns::own(r"batch (\d+) of (\d+)k?").unwrap();
    assert_eq!(
        first_two.read("batch 3 of 90"),
        Some(Reading {
            done: 3.0,
            total: 90.0
        })
    );
    let mut percent = Patterns::own(r"(?<percent>[\d.]+) ?%").unwrap();
    assert_eq!(percent.read("at 45.5 %"), Reading::new(45.5, 100.0));
    assert_eq!(percent.read("at 145 %"), None);
}

#[test]
fn an_expression_that_cannot_be_used_is_refused_with_the_reason() {
    let refused = |expression: &str| Patterns::own(expression).unwrap_err().to_string();
    insta::assert_snapshot!(refused("step ("), @"the expression cannot be read: unclosed group");
    insta::assert_snapshot!(refused(r"step (\d+)"), @r"the expression needs two groups, what is done and the total, such as `(?<done>\d+)/(?<total>\d+)`, or one named `percent`");
    insta::assert_snapshot!(refused(&"x".repeat(1001)), @"the expression has more than 1000 bytes");
    insta::assert_snapshot!(refused("((x{1000}){1000})(y)"), @"the expression is too large when its repetitions are written out");
}

#[test]
fn of_a_long_line_only_the_beginning_is_read() {
    assert_eq!(
        read(&format!("step 1/2 {}", "é".repeat(9000))),
        Some((1.0, 2.0))
    );
    assert_eq!(read(&format!("{} step 1/2", "é".repeat(9000))), None);
}

#[test]
fn a_rate_counts_after_ten_minutes_and_one_percent() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    steady(&mut pace, Duration::ZERO, 9, 0.0, 30.0);
    assert_eq!((pace.rate(), pace.work(9 * MINUTE)), (None, None));
    steady(&mut pace, 9 * MINUTE, 1, 270.0, 30.0);
    assert!((pace.rate().unwrap() - 1800.0).abs() < 1e-6);
    let mut slow = Pace::default();
    slow.take(Duration::ZERO, reading(0.0, 9000.0));
    steady(&mut slow, Duration::ZERO, 60, 0.0, 1.0);
    assert_eq!(slow.rate(), None, "less than 1 % is done");
    assert!((slow.fraction().unwrap() - 60.0 / 9000.0).abs() < 1e-9);
}

#[test]
fn a_margin_falls_from_a_quarter_to_a_twentieth_in_the_first_hour() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    let mut done = 0.0;
    let mut shares = Vec::new();
    for minute in 0..90_u32 {
        done = steady(&mut pace, MINUTE * minute, 1, done, 30.0);
        if let Some((work, margin)) = pace.work(MINUTE * (minute + 1)) {
            shares.push(margin.as_secs_f64() / work.as_secs_f64());
        }
    }
    assert!((shares[0] - 0.25).abs() < 1e-6);
    assert!((shares[50] - 0.05).abs() < 1e-6);
    assert!((shares[80] - 0.05).abs() < 1e-6);
    assert!(shares.is_sorted_by(|a, b| a + 1e-9 >= *b));
}

#[test]
fn a_job_whose_speed_varies_from_hour_to_hour_has_a_wider_margin() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    let mut done = 0.0;
    for hour in 0..4_u32 {
        let speed = if hour % 2 == 0 { 15.0 } else { 25.0 };
        done = steady(&mut pace, HOUR * hour, 60, done, speed);
    }
    let (work, margin) = pace.work(4 * HOUR).unwrap();
    let share = margin.as_secs_f64() / work.as_secs_f64();
    // Hours of 900, 1500, 900, 1500: deviation 346 of a mean of 1200.
    assert!((share - 2.0 * 346.4 / 1200.0).abs() < 0.001, "{share}");
}

#[test]
fn a_step_back_to_a_checkpoint_keeps_the_rate() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    steady(&mut pace, Duration::ZERO, 60, 0.0, 30.0);
    let before = pace.rate().unwrap();
    let mark = pace.mark();
    pace.restarted();
    assert!(!pace.moved(mark));
    // It says where it starts from before it has restored anything.
    pace.take(HOUR, reading(0.0, 9000.0));
    assert!(!pace.moved(mark));
    pace.take(HOUR, reading(1500.0, 9000.0));
    assert!(pace.moved(mark));
    let after = pace.rate().unwrap();
    assert!((before - after).abs() < 1e-6, "{before} {after}");
    assert!((remaining(&pace, HOUR) - 7500.0 / 30.0 * 60.0).abs() < 1.0);
    let mark = pace.mark();
    pace.take(HOUR + MINUTE, reading(1530.0, 9000.0));
    assert!(pace.moved(mark));
}

#[test]
fn skipping_to_a_checkpoint_is_not_speed() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    pace.take(MINUTE, reading(5000.0, 9000.0));
    steady(&mut pace, MINUTE, 20, 5000.0, 30.0);
    assert!((pace.rate().unwrap() - 1800.0).abs() < 1.0);
}

#[test]
fn an_evaluation_between_belongs_to_the_speed_and_stops_the_clock_while_it_lasts() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    let done = steady(&mut pace, Duration::ZERO, 50, 0.0, 30.0);
    let after_evaluation = steady(&mut pace, HOUR, 50, done, 30.0);
    let rate = pace.rate().unwrap();
    assert!((rate - 3000.0 / (110.0 / 60.0)).abs() < 1.0, "{rate}");
    // Silence is believed to be progress for as long as the longest silence before.
    let end = HOUR + 50 * MINUTE;
    let left = (9000.0 - after_evaluation) / rate * 3600.0;
    assert!((remaining(&pace, end + 5 * MINUTE) - (left - 300.0)).abs() < 1.0);
    let longest = remaining(&pace, end + 11 * MINUTE);
    assert_eq!(longest, remaining(&pace, end + 3 * HOUR));
}

#[test]
fn at_its_end_nothing_is_known_to_remain() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    steady(&mut pace, Duration::ZERO, 299, 0.0, 30.0);
    assert!((remaining(&pace, 299 * MINUTE) - 60.0).abs() < 1e-3);
    pace.take(300 * MINUTE, reading(9000.0, 9000.0));
    assert_eq!(pace.work(300 * MINUTE), None);
    assert_eq!(pace.fraction(), Some(1.0));
}

#[test]
fn bursts_late_words_and_double_ones_do_not_change_the_rate() {
    let mut pace = Pace::default();
    for minute in 0..120_u32 {
        // A buffer that is written every five minutes, with the lines of two ranks.
        if minute % 5 == 0 {
            for step in 0..100_u32 {
                let done = f64::from(minute * 20 + step);
                pace.take(MINUTE * minute, reading(done + 1.0, 9000.0));
                pace.take(MINUTE * minute, reading(done, 9000.0));
                pace.take(MINUTE * minute, reading(done + 1.0, 9000.0));
            }
        }
    }
    let rate = pace.rate().unwrap();
    assert!((rate - 1200.0).abs() < 12.0, "{rate}");
}

#[test]
fn a_bar_that_begins_anew_is_a_lap_and_tells_of_no_end() {
    let mut pace = Pace::default();
    for lap in 0..2_u32 {
        for minute in 0..=60_u32 {
            let reading = reading(f64::from(minute), 60.0);
            pace.take(HOUR * lap + MINUTE * minute, reading);
        }
        if lap == 0 {
            assert_eq!(pace.work(HOUR), None);
        }
    }
    let mut middle = pace.clone();
    middle.take(2 * HOUR, reading(0.0, 60.0));
    middle.take(2 * HOUR + 30 * MINUTE, reading(30.0, 60.0));
    assert_eq!(middle.work(2 * HOUR + 30 * MINUTE), None);
    assert_eq!(middle.rate(), None);
}

#[test]
fn a_short_bar_beside_a_long_one_never_looks_like_the_end() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    let done = steady(&mut pace, Duration::ZERO, 60, 0.0, 30.0);
    let before = remaining(&pace, HOUR);
    for minute in 1..=30_u32 {
        pace.take(HOUR + MINUTE * minute, reading(f64::from(minute), 40.0));
        if let Some((work, _)) = pace.work(HOUR + MINUTE * minute) {
            assert!(work.as_secs_f64() > before - 61.0);
        }
    }
    for minute in 31..=40_u32 {
        pace.take(HOUR + MINUTE * minute, reading(f64::from(minute), 40.0));
    }
    let done = steady(&mut pace, HOUR + 40 * MINUTE, 10, done, 30.0);
    assert_eq!(pace.last(), Some(reading(done, 9000.0)));
    // And the next time it is known.
    pace.take(2 * HOUR, reading(1.0, 40.0));
    assert!(pace.work(2 * HOUR).is_some());
}

#[test]
fn epochs_outside_and_steps_inside_are_told_apart() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 10.0));
    for epoch in 0..4_u32 {
        for minute in 0..=60_u32 {
            let at = HOUR * epoch + MINUTE * minute;
            pace.take(at, reading(f64::from(minute), 60.0));
            if epoch < 3 {
                assert_eq!(pace.work(at), None, "epoch {epoch}, minute {minute}");
            }
        }
        pace.take(HOUR * (epoch + 1), reading(f64::from(epoch + 1), 10.0));
    }
    assert!((remaining(&pace, 4 * HOUR) - 6.0 * 3600.0).abs() < 1.0);
}

#[test]
fn a_total_that_changes_is_followed_once_the_old_one_is_left() {
    let mut pace = Pace::default();
    pace.take(Duration::ZERO, reading(0.0, 9000.0));
    let done = steady(&mut pace, Duration::ZERO, 60, 0.0, 30.0);
    for minute in 1..=62_u32 {
        let done = done + 30.0 * f64::from(minute);
        pace.take(HOUR + MINUTE * minute, reading(done, 9500.0));
    }
    let at = HOUR + 62 * MINUTE;
    assert!((remaining(&pace, at) - (9500.0 - done - 1860.0) / 30.0 * 60.0).abs() < 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_remains_is_never_negative_and_never_endless(
        readings in proptest::collection::vec((0_u64..4000, 0.0_f64..=1.0, 0_usize..3), 1..200),
        restarts in 0_usize..200,
    ) {
        let mut pace = Pace::default();
        let mut at = Duration::ZERO;
        for (index, (seconds, share, which)) in readings.into_iter().enumerate() {
            let total = [7.0, 100.0, 9000.0][which];
            at += Duration::from_secs(seconds);
            if index == restarts {
                pace.restarted();
            }
            pace.take(at, reading((share * total).floor(), total));
            prop_assert!(pace.rate().is_none_or(|rate| rate > 0.0 && rate.is_finite()));
            prop_assert!(pace.fraction().is_none_or(|share| (0.0..=1.0).contains(&share)));
            if let Some((work, margin)) = pace.work(at) {
                prop_assert!(work < Duration::MAX && margin < Duration::MAX);
                prop_assert!(margin.as_secs_f64() >= 0.049 * work.as_secs_f64());
                prop_assert!(pace.work(at + HOUR).unwrap().0 <= work);
            }
        }
    }

    #[test]
    fn what_remains_of_a_steady_job_is_right_to_one_percent(
        total in 1000.0_f64..1e6,
        hours in 2.0_f64..200.0,
        every in 1_u64..600,
        until in 0.1_f64..0.95,
    ) {
        let total = total.floor();
        let length = hours * 3600.0;
        let mut pace = Pace::default();
        let end = length * until;
        let mut at = 0.0;
        let step = length / total;
        while at <= end {
            pace.take(Duration::from_secs_f64(at), reading((total * at / length).floor(), total));
            at += every as f64;
        }
        let known = pace.work(Duration::from_secs_f64(end));
        prop_assume!(known.is_some());
        let error = (known.unwrap().0.as_secs_f64() - (length - end)).abs();
        // What is between two steps or two words is beyond any reading.
        prop_assert!(error <= 0.01 * (length - end) + 2.0 * step + 2.0 * every as f64, "{error}");
    }

    #[test]
    fn the_margin_of_a_steady_job_only_shrinks(per_minute in 1.0_f64..100.0) {
        let mut pace = Pace::default();
        let mut last = f64::INFINITY;
        for minute in 0..180_u32 {
            let at = MINUTE * minute;
            pace.take(at, reading(f64::from(minute) * per_minute, 200.0 * per_minute));
            if let Some((work, margin)) = pace.work(at) {
                let share = margin.as_secs_f64() / work.as_secs_f64();
                prop_assert!(share <= last + 1e-6);
                last = share;
            }
        }
        prop_assert!((last - 0.05).abs() < 1e-6);
    }

    #[test]
    fn no_line_is_too_odd(lines in proptest::collection::vec("\\PC*|[0-9/%| \\[epoch]{0,40}", 0..20)) {
        let mut patterns = Patterns::built_in();
        for line in lines {
            if let Some(one) = patterns.read(&line) {
                prop_assert!(one.done >= 0.0 && one.done <= one.total);
            }
        }
    }
}
