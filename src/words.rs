//! How quantities and times read to a person: `6 h 40 m`, `2.41 kWh`, `−34 %`, `Wed 09:00`.
//!
//! Pure: the time zone and [`Look`] (colour, Unicode, width) are arguments. Every sentence and
//! table that `catrain` prints takes its numbers from here, so that they look the same everywhere.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::units::{GramsCo2e, GramsPerKwh, KilowattHours};

/// What the place that is written to can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// ANSI colours.
    pub colour: bool,
    /// Characters beyond ASCII.
    pub unicode: bool,
    /// Columns.
    pub width: usize,
}

impl Look {
    /// Text for a file, a pipe or a snapshot: no colour, Unicode, 80 columns.
    pub const PLAIN: Self = Self {
        colour: false,
        unicode: true,
        width: 80,
    };

    /// `text` in a colour, where there are colours.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Clean => "32",
            Paint::Middling => "33",
            Paint::Dirty => "31",
            Paint::Dim => "2",
            Paint::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// `text` as it is, or with its signs replaced where only ASCII can be shown.
    pub fn text(self, text: &str) -> String {
        if self.unicode {
            return text.to_owned();
        }
        text.chars()
            .map(|c| match c {
                '−' | '–' | '─' | '━' => "-".to_owned(),
                '·' => "-".to_owned(),
                'µ' => "u".to_owned(),
                '→' => "->".to_owned(),
                '×' => "x".to_owned(),
                '±' => "+/-".to_owned(),
                '█' | '▇' | '▆' | '▅' | '▄' | '▃' | '▂' | '▁' => "#".to_owned(),
                '│' | '┤' | '├' => "|".to_owned(),
                '└' | '┴' | '┬' | '┌' => "+".to_owned(),
                '✓' => "ok".to_owned(),
                '✗' => "x".to_owned(),
                '⏸' => "||".to_owned(),
                '…' => "...".to_owned(),
                c if c.is_ascii() => c.to_string(),
                _ => "?".to_owned(),
            })
            .collect()
    }
}

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Low in the day's range.
    Clean,
    /// In the middle of it.
    Middling,
    /// High in it.
    Dirty,
    /// Provenance.
    Dim,
    /// A heading.
    Bold,
}

/// `45 s`, `12 m`, `6 h 40 m`, `2 d 4 h`: the two largest units, rounded to the smaller.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    if seconds < 60 {
        return format!("{seconds} s");
    }
    let minutes = (time.as_secs_f64() / 60.0).round() as u64;
    let two = |large: u64, a: &str, small: u64, b: &str| match small {
        0 => format!("{large} {a}"),
        _ => format!("{large} {a} {small} {b}"),
    };
    if minutes < 60 {
        return format!("{minutes} m");
    }
    if minutes < 48 * 60 {
        return two(minutes / 60, "h", minutes % 60, "m");
    }
    let hours = (time.as_secs_f64() / 3600.0).round() as u64;
    two(hours / 24, "d", hours % 24, "h")
}

/// `12 g`, `512 g`, `2.4 kg`, `1.3 t`; below 10 g with one decimal, and what is little is not nothing:
/// `3.1 mg`, `42.3 µg`, `45 ng`.
pub fn mass(mass: GramsCo2e) -> String {
    let grams = mass.0;
    match grams.abs() {
        size if size < 5e-10 => "0 g".to_owned(),
        size if size < 5e-8 => minus(format!("{:.0} ng", grams * 1e9)),
        size if size < 5e-5 => minus(format!("{:.1} µg", grams * 1e6)),
        size if size < 0.05 => minus(format!("{:.1} mg", grams * 1e3)),
        size if size < 9.95 => minus(format!("{grams:.1} g")),
        size if size < 999.5 => minus(format!("{grams:.0} g")),
        size if size < 9_995.0 => minus(format!("{:.2} kg", grams / 1e3)),
        size if size < 999_500.0 => minus(format!("{:.1} kg", grams / 1e3)),
        _ => minus(format!("{:.2} t", grams / 1e6)),
    }
}

/// `41 Wh`, `2.41 kWh`, `1.20 MWh`; what is little is not nothing: `18 J`, `0.31 J`.
pub fn energy(energy: KilowattHours) -> String {
    let kwh = energy.0;
    let joules = kwh * 3.6e6;
    match kwh.abs() {
        _ if joules.abs() < 0.005 => "0 Wh".to_owned(),
        _ if joules.abs() < 9.95 => minus(format!("{joules:.2} J")),
        size if size < 0.000_05 => minus(format!("{joules:.0} J")),
        size if size < 0.009_95 => minus(format!("{:.1} Wh", kwh * 1e3)),
        size if size < 0.9995 => minus(format!("{:.0} Wh", kwh * 1e3)),
        size if size < 999.5 => minus(format!("{kwh:.2} kWh")),
        _ => minus(format!("{:.2} MWh", kwh / 1e3)),
    }
}

/// `412 g/kWh`.
pub fn intensity(intensity: GramsPerKwh) -> String {
    format!("{:.0} g/kWh", intensity.0)
}

/// A change as `+12 %` or `−34 %`, from a fraction; `0 %` has no sign.
pub fn change(fraction: f64) -> String {
    let percent = (fraction * 100.0).round();
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent > 0.0 {
        format!("+{percent:.0} %")
    } else {
        format!("−{:.0} %", -percent)
    }
}

/// `09:00` today, `Wed 09:00` within six days, `2026-11-25 09:00` beyond, in `zone`.
pub fn time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (there, here) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let days = here
        .date()
        .until(there.date())
        .map_or(i32::MAX, |span| span.get_days());
    match days {
        0 => there.strftime("%H:%M").to_string(),
        -6..=6 => there.strftime("%a %H:%M").to_string(),
        _ => there.strftime("%Y-%m-%d %H:%M").to_string(),
    }
}

/// A time zone: `Europe/Berlin`, `UTC`, `UTC+01`.
pub fn zone_name(zone: &TimeZone, now: Timestamp) -> String {
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => format!("UTC{}", zone.to_offset(now)),
    }
}

/// Bytes as hexadecimal digits in small letters.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(size) if size.starts_with(|c: char| c.is_ascii_digit()) => format!("−{size}"),
        _ => text,
    }
}

/// The name of a signal without `SIG`: of those from 1 to 15, which have the same numbers on every Linux that this runs on, and
/// of those from 24 on that end a job for using too much.
pub fn signal(signal: i32) -> String {
    const FIRST: [&str; 15] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM",
    ];
    let first = usize::try_from(signal - 1)
        .ok()
        .and_then(|at| FIRST.get(at));
    match (first, signal) {
        (Some(name), _) => (*name).to_owned(),
        (None, 24) => "XCPU".to_owned(),
        (None, 25) => "XFSZ".to_owned(),
        (None, other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        let cases = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 m"),
            (3600, "1 h"),
            (24000, "6 h 40 m"),
            (3599, "1 h"),
            (187_200, "2 d 4 h"),
        ];
        for (seconds, words) in cases {
            assert_eq!(duration(Duration::from_secs(seconds)), words, "{seconds} s");
        }
    }

    #[test]
    fn masses_and_energies_choose_their_unit() {
        assert_eq!(mass(GramsCo2e(512.3)), "512 g");
        assert_eq!(mass(GramsCo2e(-12.4)), "−12 g");
        assert_eq!(mass(GramsCo2e(2412.0)), "2.41 kg");
        assert_eq!(mass(GramsCo2e(3.12)), "3.1 g");
        assert_eq!(energy(KilowattHours(2.414)), "2.41 kWh");
        assert_eq!(energy(KilowattHours(0.041)), "41 Wh");
        assert_eq!(mass(GramsCo2e(0.0021)), "2.1 mg");
        assert_eq!(mass(GramsCo2e(3.7201e-5)), "37.2 µg");
        assert_eq!(mass(GramsCo2e(-4.5e-8)), "−45 ng");
        assert_eq!(energy(KilowattHours(18.0 / 3.6e6)), "18 J");
        assert_eq!(energy(KilowattHours(-0.31 / 3.6e6)), "−0.31 J");
        assert_eq!(energy(KilowattHours::ZERO), "0 Wh");
        assert_eq!(mass(GramsCo2e::ZERO), "0 g");
    }

    #[test]
    fn a_unit_keeps_its_meaning_where_only_ascii_can_be_shown() {
        let ascii = Look {
            unicode: false,
            ..Look::PLAIN
        };
        assert_eq!(ascii.text("−37.2 µg"), "-37.2 ug");
    }

    #[test]
    fn changes_carry_a_true_minus() {
        assert_eq!(change(-0.338), "−34 %");
        assert_eq!(change(0.001), "0 %");
    }

    #[test]
    fn a_time_names_its_day_only_when_it_is_another() {
        let now: Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
        let at = |text: &str| time(text.parse().unwrap(), now, &TimeZone::UTC);
        assert_eq!(at("2026-11-24T23:40:00Z"), "23:40");
        assert_eq!(at("2026-11-25T09:00:00Z"), "Wed 09:00");
        assert_eq!(at("2026-12-25T09:00:00Z"), "2026-12-25 09:00");
    }
}
