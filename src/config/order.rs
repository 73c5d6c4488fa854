//! Times that bound each other, whoever set them.

use std::time::Duration;

use super::settled::resilience;
use super::{Problem, Set, Values};

/// Of each pair of times in force the first is not the longer one. Told where one of them was set last; the
/// other may be of another file, or as it is where nobody sets it.
pub(super) fn problems(values: &Values) -> Vec<Problem> {
    let numbers = resilience(values);
    let timeout = numbers.timeout.unwrap_or_default();
    let breaker = numbers.breaker.unwrap_or_default();
    let bucket = numbers.bucket.unwrap_or_default();
    let (valid_least, valid_most) = numbers.cache.unwrap_or_default().validity;
    let interval = |rate: f64| Duration::from_secs_f64(1.0 / rate);
    let pairs = [
        (
            "resilience.timeout_floor",
            timeout.floor,
            "resilience.timeout_ceiling",
            timeout.ceiling,
        ),
        (
            "resilience.breaker_cool_down",
            breaker.cool_down,
            "resilience.breaker_cool_down_most",
            breaker.cool_down_most,
        ),
        (
            "resilience.interval",
            interval(bucket.ceiling),
            "resilience.slowest_interval",
            interval(bucket.floor),
        ),
        (
            "cache.valid_least",
            valid_least,
            "cache.valid_most",
            valid_most,
        ),
    ];
    let wrong = pairs.into_iter().filter(|(_, least, _, most)| least > most);
    wrong
        .map(|(first, least, second, most)| {
            let [shorter, longer] =
                [least, most].map(|time| (time.as_secs_f64() * 1e3).round() / 1e3);
            Problem {
                place: last_set(values, [first, second]),
                what: format!("`{first}` is {shorter} s, longer than `{second}`, {longer} s"),
            }
        })
        .collect()
}

/// Where the later one of two was set.
fn last_set(values: &Values, paths: [&str; 2]) -> String {
    let rank = |set: &&Set| (set.profile.is_some(), set.by.rank());
    let set = paths
        .iter()
        .filter_map(|path| values.get(path))
        .max_by_key(rank);
    set.map_or_else(String::new, |set| set.place.clone())
}
