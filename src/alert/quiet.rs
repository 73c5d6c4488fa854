//! Quiet hours: what can wait does, until they are over. Pure.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// A span of each day, by the clock on the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// When they begin.
    pub from: Time,
    /// When they end; the next day where that is no later than `from`.
    pub to: Time,
    /// Whose clock.
    pub zone: TimeZone,
}

impl Quiet {
    /// `22:00-07:00`, by a clock of this zone.
    ///
    /// # Errors
    /// It is no span, or an empty one.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let expected = || format!("`{text}` is no span such as 22:00-07:00");
        let (from, to) = text
            .split_once('-')
            .or_else(|| text.split_once('–'))
            .ok_or_else(expected)?;
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':').ok_or_else(expected)?;
            let hour = hour.parse().map_err(|_| expected())?;
            let minute = minute.parse().map_err(|_| expected())?;
            Time::new(hour, minute, 0, 0).map_err(|_| expected())
        };
        let (from, to) = (time(from)?, time(to)?);
        if from == to {
            return Err(format!("`{text}` begins when it ends"));
        }
        Ok(Self { from, to, zone })
    }

    /// When they are over, if it is quiet now.
    pub fn ends(&self, now: Timestamp) -> Option<Timestamp> {
        let here = now.to_zoned(self.zone.clone());
        let time = here.time();
        let overnight = self.to <= self.from;
        let is_quiet = match overnight {
            true => time >= self.from || time < self.to,
            false => self.from <= time && time < self.to,
        };
        if !is_quiet {
            return None;
        }
        let day = match overnight && time >= self.from {
            true => here.date().tomorrow().ok()?,
            false => here.date(),
        };
        // A time that is left out when clocks go forward means the one after it.
        let end = day.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?;
        Some(end.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_night_ends_in_the_morning_after_it_began() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let quiet = Quiet::parse("22:00-07:00", zone).unwrap();
        for (now, ends) in [
            ("2026-11-24T20:59:59Z", None),
            ("2026-11-24T21:00:00Z", Some("2026-11-25T06:00:00Z")),
            ("2026-11-25T02:00:00Z", Some("2026-11-25T06:00:00Z")),
            ("2026-11-25T06:00:00Z", None),
        ] {
            assert_eq!(quiet.ends(at(now)), ends.map(at), "{now}");
        }
    }

    #[test]
    fn a_break_at_noon_ends_on_the_same_day() {
        let quiet = Quiet::parse("12:00 – 13:30", TimeZone::UTC).unwrap();
        assert_eq!(
            quiet.ends(at("2026-11-24T12:00:00Z")),
            Some(at("2026-11-24T13:30:00Z"))
        );
        assert_eq!(quiet.ends(at("2026-11-24T13:30:00Z")), None);
    }

    #[test]
    fn they_end_even_at_a_time_that_clocks_leave_out() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let quiet = Quiet::parse("22:00-02:30", zone).unwrap();
        let now = at("2026-03-28T23:00:00Z");
        let end = quiet.ends(now).unwrap();
        assert!(end > now && quiet.ends(end).is_none(), "{end}");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for bad in ["", "22-7", "22:00", "25:00-07:00", "07:00-07:00", "a:b-c:d"] {
            assert!(Quiet::parse(bad, TimeZone::UTC).is_err(), "{bad}");
        }
    }
}
