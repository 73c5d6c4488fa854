//! What people type for durations, times and masses, as values: the other direction of [`crate::words`].
//!
//! Pure: `now` and the time zone are arguments. Each error is a sentence without the flag's name,
//! which the caller puts in front of it.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, Unit};

use crate::units::GramsCo2e;

/// The known name that a misspelt one most likely means; none where it is like none of them.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = (known.into_iter())
        .map(|known| (strsim::damerau_levenshtein(typed, known), known))
        .filter(|(distance, known)| distance * 3 <= known.len())
        .min();
    near.map(|(_, known)| known)
}

/// Ten years: longer is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(3653 * 86_400);

/// A duration such as `6h`, `2d 4h`, `1h30m`, `90m`, `45s`, or `0`. A day is 24 hours.
///
/// # Errors
/// Not a duration, without a unit, negative, in months or years, or above ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let typed = text.trim();
    let wrong =
        |why: &str| format!("`{typed}` {why}; expected a duration such as `6h`, `2d 4h` or `90m`");
    if typed == "0" {
        return Ok(Duration::ZERO);
    }
    if typed.parse::<f64>().is_ok_and(f64::is_finite) {
        return Err(wrong("has no unit"));
    }
    let span: Span = typed.parse().map_err(|_| wrong("is not a duration"))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(wrong("is in months or years"));
    }
    let time = SignedDuration::try_from(
        span.round(
            jiff::SpanRound::new()
                .largest(Unit::Hour)
                .relative(SpanRelativeTo::days_are_24_hours()),
        )
        .map_err(|_| wrong("is too long"))?,
    )
    .map_err(|_| wrong("is too long"))?;
    if time.is_negative() {
        return Err(wrong("is negative"));
    }
    match time.unsigned_abs() {
        time if time > LONGEST => Err(wrong("is longer than ten years")),
        time => Ok(time),
    }
}

/// A duration as [`duration`] reads it, but not zero.
///
/// # Errors
/// As [`duration`], or zero.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(format!(
            "`{}` is no time at all; expected a duration such as `6h`, `2d 4h` or `90m`",
            text.trim()
        )),
        time => Ok(time),
    }
}

/// A moment: RFC 3339 (`2026-11-25T09:00:00+01:00`), or in the time zone `tz` `2026-11-25 09:00`,
/// `tomorrow 09:00`, `today 18:00`, `wed 09:00` (the next one), `09:00` (the next one), or `+36h`.
///
/// A local time that the clocks skip in spring counts as if they had not been put forward (02:30
/// becomes 03:30); of a local time that comes twice in autumn the first is meant.
///
/// # Errors
/// Nothing of these; the error names the forms.
pub fn time(text: &str, now: Timestamp, tz: &TimeZone) -> Result<Timestamp, String> {
    let typed = text.trim();
    let wrong = |why: &str| {
        format!(
            "`{typed}` {why}; expected `2026-11-25 09:00`, `tomorrow 09:00`, `09:00`, `+36h`, or RFC 3339"
        )
    };
    let resolved = |local: DateTime| {
        (tz.to_ambiguous_zoned(local).compatible())
            .map(|zoned| zoned.timestamp())
            .map_err(|_| wrong("is out of range"))
    };
    if let Some(after) = typed.strip_prefix('+') {
        let after = SignedDuration::try_from(duration(after)?).map_err(|_| wrong("is too far"))?;
        return now.checked_add(after).map_err(|_| wrong("is too far"));
    }
    if let Ok(at) = typed.parse::<Timestamp>() {
        return Ok(at);
    }
    let here = now.to_zoned(tz.clone()).datetime();
    if let Some(clock) = clock_time(typed) {
        let today = resolved(here.date().to_datetime(clock))?;
        return match today > now {
            true => Ok(today),
            false => {
                let tomorrow = here.date().tomorrow().map_err(|_| wrong("is too far"))?;
                resolved(tomorrow.to_datetime(clock))
            }
        };
    }
    if typed.parse::<Date>().is_ok() && typed.len() == "2026-11-25".len() {
        return Err(wrong("has no time of day"));
    }
    if let Some((day, clock)) = typed.rsplit_once(char::is_whitespace) {
        let clock = clock_time(clock).ok_or_else(|| wrong("is not a time"))?;
        let day = day.trim().to_lowercase();
        let date = match day.as_str() {
            "today" => Ok(here.date()),
            "tomorrow" => here.date().tomorrow(),
            _ => match weekday(&day) {
                Some(weekday) if here.date().weekday() == weekday && here.time() < clock => {
                    Ok(here.date())
                }
                Some(weekday) => here.date().nth_weekday(1, weekday),
                None => day.parse::<Date>(),
            },
        }
        .map_err(|_| wrong("is not a time"))?;
        return resolved(date.to_datetime(clock));
    }
    match typed.parse::<DateTime>() {
        // A zone in brackets or an offset that disagrees with it would be dropped in silence.
        Ok(local) if !typed.contains(['[', 'Z', 'z']) => resolved(local),
        _ => Err(wrong("is not a time")),
    }
}

/// A moment of the past in a file or for a replay: RFC 3339, or in UTC `2021-11-17T18:00` or
/// `2021-11-17` (its midnight). None where it is none of these.
pub fn utc_time(text: &str) -> Option<Timestamp> {
    let utc = |local: DateTime| local.to_zoned(TimeZone::UTC).ok();
    let text = text.trim();
    None.or_else(|| text.parse::<Timestamp>().ok())
        .or_else(|| utc(text.parse::<DateTime>().ok()?).map(|zoned| zoned.timestamp()))
        .or_else(|| utc(text.parse::<Date>().ok()?.into()).map(|zoned| zoned.timestamp()))
}

/// `09:00` or `09:00:30`.
fn clock_time(text: &str) -> Option<Time> {
    let looks_so = text.contains(':') && text.chars().all(|c| c.is_ascii_digit() || c == ':');
    if !looks_so {
        return None;
    }
    match text.split_once(':') {
        Some((hour, _)) if hour.len() == 1 => format!("0{text}").parse().ok(),
        _ => text.parse().ok(),
    }
}

fn weekday(text: &str) -> Option<jiff::civil::Weekday> {
    use jiff::civil::Weekday;
    const NAMES: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    (NAMES.iter())
        .find(|(name, _)| text.len() >= 3 && name.starts_with(text))
        .map(|(_, weekday)| *weekday)
}

/// An amount of CO2 equivalent such as `800g`, `2kg`, `1.5 kg` or `0.1t`.
///
/// # Errors
/// Not a number with a unit, or not above zero.
pub fn mass(text: &str) -> Result<GramsCo2e, String> {
    let typed = text.trim();
    let wrong = |why: &str| format!("`{typed}` {why}; expected a mass such as `800g` or `2kg`");
    let unit_at = typed
        .find(|c: char| c.is_alphabetic())
        .ok_or_else(|| wrong("has no unit"))?;
    let (number, unit) = typed.split_at(unit_at);
    let factor = match unit.to_lowercase().as_str() {
        "g" => 1.0,
        "kg" => 1e3,
        "t" => 1e6,
        _ => return Err(wrong("is not a mass")),
    };
    let number: f64 = (number.trim().parse()).map_err(|_| wrong("is not a mass"))?;
    let grams = number * factor;
    if !grams.is_finite() || grams <= 0.0 {
        return Err(wrong("is not above zero"));
    }
    Ok(GramsCo2e(grams))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_means_the_nearest_name_and_another_word_means_none() {
        let known = ["timeout", "interval", "attempts"];
        assert_eq!(nearest("timout", known), Some("timeout"));
        assert_eq!(nearest("atempst", known), Some("attempts"));
        assert_eq!(nearest("zone", known), None);
    }

    fn berlin() -> TimeZone {
        // Rules instead of a name: no tz database is needed to test.
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    /// Tuesday 18:00 in Berlin.
    fn now() -> Timestamp {
        "2026-11-24T17:00:00Z".parse().unwrap()
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let cases = [
            ("6h", 21_600),
            ("2d 4h", 187_200),
            ("1h30m", 5_400),
            ("90m", 5_400),
            ("90 min", 5_400),
            ("45s", 45),
            ("1.5h", 5_400),
            ("1w", 604_800),
            ("0", 0),
            ("0h", 0),
            ("PT6H", 21_600),
        ];
        for (typed, seconds) in cases {
            assert_eq!(duration(typed), Ok(Duration::from_secs(seconds)), "{typed}");
        }
    }

    #[test]
    fn senseless_durations_say_why_and_what_is_expected() {
        let cases = [
            ("6", "`6` has no unit"),
            ("half a minute", "`half a minute` is not a duration"),
            ("", "`` is not a duration"),
            ("-6h", "`-6h` is negative"),
            ("6h ago", "`6h ago` is negative"),
            ("2mo", "`2mo` is in months or years"),
            ("1y", "`1y` is in months or years"),
            ("100000h", "`100000h` is longer than ten years"),
            ("999999999999999h", "`999999999999999h` is not a duration"),
        ];
        for (typed, start) in cases {
            let told = duration(typed).unwrap_err();
            assert!(told.starts_with(start), "{told}");
            assert!(told.ends_with("such as `6h`, `2d 4h` or `90m`"), "{told}");
        }
        assert!(positive_duration("0").is_err());
        assert!(positive_duration("0 h").is_err());
        assert!(positive_duration("1s").is_ok());
    }

    #[test]
    fn times_are_read_in_the_local_zone() {
        let cases = [
            ("2026-11-25T09:00:00+01:00", "2026-11-25T08:00:00Z"),
            ("2026-11-25T09:00:00Z", "2026-11-25T09:00:00Z"),
            ("2026-11-25 09:00", "2026-11-25T08:00:00Z"),
            ("2026-11-25T09:00", "2026-11-25T08:00:00Z"),
            ("tomorrow 09:00", "2026-11-25T08:00:00Z"),
            ("Tomorrow  9:00", "2026-11-25T08:00:00Z"),
            ("today 18:30", "2026-11-24T17:30:00Z"),
            ("today 09:00", "2026-11-24T08:00:00Z"),
            ("09:00", "2026-11-25T08:00:00Z"),
            ("18:00", "2026-11-25T17:00:00Z"),
            ("18:01", "2026-11-24T17:01:00Z"),
            ("wed 09:00", "2026-11-25T08:00:00Z"),
            ("tue 19:00", "2026-11-24T18:00:00Z"),
            ("tuesday 09:00", "2026-12-01T08:00:00Z"),
            ("+36h", "2026-11-26T05:00:00Z"),
            ("+1d 12h", "2026-11-26T05:00:00Z"),
        ];
        for (typed, wanted) in cases {
            let wanted: Timestamp = wanted.parse().unwrap();
            assert_eq!(time(typed, now(), &berlin()), Ok(wanted), "{typed}");
        }
    }

    #[test]
    fn times_that_are_none_name_the_forms() {
        for typed in [
            "",
            "soon",
            "tomorrow",
            "2026-11-25",
            "25:00",
            "2026-13-01 09:00",
            "2026-11-25 9 am",
            "yesterday 09:00",
            "+",
            "+-3h",
            "-3h",
            "2026-11-25T09:00:00[Europe/Berlin]",
        ] {
            let told = time(typed, now(), &berlin()).unwrap_err();
            assert!(told.contains("expected"), "{typed}: {told}");
        }
    }

    #[test]
    fn a_skipped_time_counts_as_if_the_clocks_had_stayed_and_a_doubled_one_is_the_first() {
        let at = |typed| time(typed, now(), &berlin()).map(|at| at.to_string());
        // Clocks go from 02:00 to 03:00 on 2027-03-28.
        assert_eq!(
            at("2027-03-28 02:30"),
            Ok("2027-03-28T01:30:00Z".to_owned())
        );
        assert_eq!(
            at("2027-03-28 03:30"),
            Ok("2027-03-28T01:30:00Z".to_owned())
        );
        // And from 03:00 back to 02:00 on 2027-10-31.
        assert_eq!(
            at("2027-10-31 02:30"),
            Ok("2027-10-31T00:30:00Z".to_owned())
        );
    }

    #[test]
    fn masses_need_a_unit_and_are_above_zero() {
        assert_eq!(mass("800g"), Ok(GramsCo2e(800.0)));
        assert_eq!(mass(" 1.5 kg "), Ok(GramsCo2e(1500.0)));
        assert_eq!(mass("0.1t"), Ok(GramsCo2e(1e5)));
        for typed in [
            "800", "-2kg", "0g", "NaNg", "infkg", "kg", "2 lb", "", "1e400kg",
        ] {
            let told = mass(typed).unwrap_err();
            assert!(told.contains("such as `800g` or `2kg`"), "{typed}: {told}");
        }
    }
}
