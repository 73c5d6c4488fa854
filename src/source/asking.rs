//! What providers have in common when they are asked.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::forecast::Span;

/// The last 24 hours before `now` in whole steps: all who ask within one step ask for the same, and
/// need one answer.
pub(super) fn last_day(now: Timestamp, step: Duration) -> Span {
    let step = step.as_secs().cast_signed();
    let second = now.as_second().div_euclid(step) * step;
    let end = Timestamp::from_second(second).unwrap_or(Timestamp::MIN);
    let start = end.checked_sub(SignedDuration::from_hours(24));
    Span {
        start: start.unwrap_or(Timestamp::MIN),
        end,
    }
}

/// A span of the past in pieces of at most so many days, from whole hour to whole hour: most services
/// refuse more at once.
pub(super) fn in_pieces(span: Span, days: i64) -> Vec<Span> {
    const HOUR: i64 = 3600;
    let begin = span.start.as_second().div_euclid(HOUR) * HOUR;
    let end = (span.end.as_second() + HOUR - 1).div_euclid(HOUR) * HOUR;
    let step = days * 24 * HOUR;
    let mut pieces = Vec::new();
    let mut from = begin;
    while from < end {
        let to = (from + step).min(end);
        let at = Timestamp::from_second;
        if let (Ok(start), Ok(end)) = (at(from), at(to)) {
            pieces.push(Span { start, end });
        }
        from = to;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_within_a_step_ask_for_the_same_day() {
        let of = |now: &str| last_day(now.parse().unwrap(), Duration::from_secs(300));
        let day = of("2026-11-20T09:35:00Z");
        assert_eq!(day.start.to_string(), "2026-11-19T09:35:00Z");
        assert_eq!(day.end.to_string(), "2026-11-20T09:35:00Z");
        assert_eq!(of("2026-11-20T09:39:59.9Z"), day);
        assert_ne!(of("2026-11-20T09:40:00Z"), day);
        assert_eq!(
            last_day(Timestamp::MIN, Duration::from_secs(7)).end,
            Timestamp::MIN
        );
    }

    #[test]
    fn a_span_of_the_past_comes_in_whole_hours_and_is_covered_without_overlap() {
        let span = Span {
            start: "2026-11-01T10:20:00Z".parse().unwrap(),
            end: "2026-11-20T07:01:00Z".parse().unwrap(),
        };
        let pieces = in_pieces(span, 7);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0].start.to_string(), "2026-11-01T10:00:00Z");
        assert_eq!(pieces[2].end.to_string(), "2026-11-20T08:00:00Z");
        assert!(pieces.windows(2).all(|two| two[0].end == two[1].start));
        let most = SignedDuration::from_hours(7 * 24);
        assert!(
            pieces
                .iter()
                .all(|it| it.end.duration_since(it.start) <= most)
        );
        let nothing = Span {
            end: span.start,
            ..span
        };
        assert!(in_pieces(nothing, 7).len() <= 1);
    }

    #[test]
    fn each_service_is_asked_for_the_past_as_it_wants_to_be() {
        use crate::source::electricity_maps::ElectricityMaps;
        use crate::source::{Live, provider};
        let span = Span {
            start: "2025-12-31T20:10:00Z".parse().unwrap(),
            end: "2026-01-01T02:00:00Z".parse().unwrap(),
        };
        let of = |live: Live, place: &str| {
            let asks = provider(live, ElectricityMaps::default()).asks_past(place, span);
            let line = |ask: &crate::caller::wire::Ask| {
                let query: Vec<String> = (ask.query.iter())
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("{}?{}", ask.path, query.join("&"))
            };
            asks.iter().map(line).collect::<Vec<_>>()
        };
        // It stops at the end of the year, and begins with what ends where it is told to begin.
        assert_eq!(
            of(Live::Neso, "GB"),
            [
                "/intensity/2025-12-31T20:01Z/2025-12-31T23:59Z?",
                "/intensity/2026-01-01T00:01Z/2026-01-01T02:01Z?"
            ]
        );
        assert_eq!(
            of(Live::EnergyCharts, "de"),
            ["/co2eq?country=de&start=2025-12-30&end=2026-01-02"]
        );
        assert_eq!(
            of(Live::EnergiDataService, "DK1"),
            [
                "/dataset/CO2Emis?start=2025-12-31T20:00&end=2026-01-01T04:00\
                 &filter={\"PriceArea\":[\"DK1\"]}&sort=Minutes5UTC ASC&limit=0"
            ]
        );
        assert_eq!(
            of(Live::ElectricityMaps, "DE"),
            [
                "/v4/carbon-intensity/past-range?zone=DE&disableCallerLookup=true\
                 &emissionFactorType=lifecycle&start=2025-12-31T20:00:00Z&end=2026-01-01T02:00:00Z"
            ]
        );
        assert_eq!(
            of(Live::WattTime, "DE"),
            [
                "/v3/historical?region=DE&signal_type=co2_moer&start=2025-12-31T20:00:00Z\
                 &end=2026-01-01T02:00:00Z&include_imputed_marker=true"
            ]
        );
        assert_eq!(
            of(Live::CarbonAwareSdk, "DE"),
            [
                "/emissions/bylocation?location=DE&time=2025-12-31T20:00:00Z\
                 &toTime=2026-01-01T02:00:00Z"
            ]
        );
    }
}
