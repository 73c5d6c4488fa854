use proptest::prelude::*;

use super::*;
use crate::forecast::Signal;

const BASIS: Basis = Basis::AVERAGE_LIFECYCLE;

fn at(second: f64) -> Timestamp {
    let start: Timestamp = "2026-11-24T17:00:00Z".parse().unwrap();
    start + SignedDuration::from_millis((second * 1e3).round() as i64)
}

fn segment(part: Part, causes: &[Cause], from_s: f64, to_s: f64, joules: f64) -> Segment {
    Segment {
        part,
        causes: causes.to_vec(),
        from_s,
        to_s,
        start: at(from_s),
        end: at(to_s),
        energy: vec![Reading {
            component: "all".to_owned(),
            joules: Joules(joules),
            kind: EnergyKind::Measured,
            method: None,
            source: "test".to_owned(),
            whole: None,
        }],
        unattributed: Vec::new(),
    }
}

fn point(from_s: f64, to_s: f64, g_per_kwh: f64, kind: IntensityKind) -> IntensityPoint {
    IntensityPoint {
        start: at(from_s),
        end: at(to_s),
        g_per_kwh: GramsPerKwh(g_per_kwh),
        low_g_per_kwh: None,
        high_g_per_kwh: None,
        kind,
        forecast: None,
    }
}

fn observed(hours: &[f64]) -> Intensities {
    let hour = |(i, g): (usize, &f64)| {
        let from = 3600.0 * i as f64;
        point(from, from + 3600.0, *g, IntensityKind::Observed)
    };
    Intensities::from_points(&hours.iter().enumerate().map(hour).collect::<Vec<_>>())
}

const KWH: f64 = 3.6e6;

#[test]
fn a_span_that_ends_before_its_start_holds_no_intensity() {
    let known = observed(&[100.0, 300.0]);
    let backwards = Span {
        start: at(5000.0),
        end: at(1000.0),
    };
    assert_eq!(known.within(backwards).count(), 0);
    let empty = Span {
        start: at(1000.0),
        end: at(1000.0),
    };
    assert_eq!(known.within(empty).count(), 0);
}

#[test]
fn energy_is_cut_where_the_intensity_changes() {
    // 1 kWh over two hours, half of it at 100, half at 300 g/kWh.
    let run = [segment(Part::Running, &[], 0.0, 7200.0, KWH)];
    let sum = account(&run, &observed(&[100.0, 300.0]), BASIS, Pue::NONE);
    assert_eq!(sum.g.total(), GramsCo2e(200.0));
    assert_eq!(sum.mean(), Some(GramsPerKwh(200.0)));
    assert!(sum.is_complete());
}

#[test]
fn energy_without_an_intensity_is_uncovered_and_not_zero_grams() {
    let run = [segment(Part::Running, &[], 0.0, 4.0 * 3600.0, KWH)];
    let sum = account(&run, &observed(&[100.0]), BASIS, Pue::NONE);
    assert_eq!(sum.g.total(), GramsCo2e(25.0));
    assert_eq!(sum.uncovered, KilowattHours(0.75));
    assert_eq!(sum.share(IntensityKind::Observed), 0.25);
    assert!(!sum.is_complete());
}

#[test]
fn the_facility_scales_energy_and_emissions() {
    let run = [segment(Part::Running, &[], 0.0, 3600.0, KWH)];
    let pue = Pue::try_from(1.5).unwrap();
    let sum = account(&run, &observed(&[100.0]), BASIS, pue);
    assert_eq!(sum.g.total(), GramsCo2e(150.0));
    assert_eq!(sum.energy(), KilowattHours(1.5));
    assert_eq!(sum.mean(), Some(GramsPerKwh(100.0)));
}

#[test]
fn low_and_high_combine_energy_and_intensity_at_the_corners() {
    let mut run = segment(Part::Running, &[], 0.0, 3600.0, KWH);
    run.energy[0].kind = EnergyKind::Assumed;
    let forecast = point(0.0, 3600.0, 100.0, IntensityKind::Forecast);
    let sum = account(
        &[run],
        &Intensities::from_points([&forecast]),
        BASIS,
        Pue::NONE,
    );
    assert!(
        (sum.low.0 - 100.0 * 0.5 * 0.8).abs() < 1e-9,
        "{:?}",
        sum.low
    );
    assert!(
        (sum.high.0 - 100.0 * 2.0 * 1.2).abs() < 1e-9,
        "{:?}",
        sum.high
    );
}

/// Low and high of an hour at 100 g/kWh, of one kilowatt-hour.
fn bounds(kind: EnergyKind, method: Option<Method>, point: IntensityPoint) -> (f64, f64) {
    let mut run = segment(Part::Running, &[], 0.0, 3600.0, KWH);
    (run.energy[0].kind, run.energy[0].method) = (kind, method);
    let intensities = Intensities::from_points([&point]);
    let sum = account(&[run], &intensities, BASIS, Pue::NONE);
    let round = |grams: GramsCo2e| (grams.0 * 1e6).round() / 1e6;
    (round(sum.low), round(sum.high))
}

#[test]
fn energy_is_as_sure_as_the_means_by_which_it_is_known() {
    use EnergyKind::{Assumed, Estimated, Measured};
    use Method::{CpuModel, Given, GpuCounter, GpuPower, MemoryModel, Rapl, RaplDram};
    let cases = [
        (Measured, Some(GpuCounter), (95.0, 105.0)),
        (Measured, Some(GpuPower), (90.0, 110.0)),
        (Measured, Some(Rapl), (95.0, 105.0)),
        (Measured, Some(RaplDram), (80.0, 120.0)),
        (Estimated, Some(CpuModel), (50.0, 200.0)),
        (Estimated, Some(MemoryModel), (50.0, 200.0)),
        (Estimated, Some(GpuCounter), (50.0, 200.0)),
        (Assumed, Some(Given), (50.0, 200.0)),
        (Measured, None, (95.0, 105.0)),
        (Assumed, None, (50.0, 200.0)),
    ];
    for (kind, method, (low, high)) in cases {
        let mut sure = point(0.0, 3600.0, 100.0, IntensityKind::Observed);
        sure.low_g_per_kwh = Some(GramsPerKwh(100.0));
        sure.high_g_per_kwh = Some(GramsPerKwh(100.0));
        assert_eq!(
            bounds(kind, method, sure),
            (low, high),
            "{kind:?} {method:?}"
        );
    }
}

#[test]
fn an_intensity_is_as_sure_as_its_kind_or_as_is_known_of_it() {
    use IntensityKind::{Average, Forecast, Observed, Preliminary, Profile};
    let cases = [
        (Observed, (95.0, 105.0)),
        (Preliminary, (90.0, 110.0)),
        (Forecast, (80.0, 120.0)),
        (Profile, (60.0, 160.0)),
        (Average, (60.0, 160.0)),
    ];
    let of = |point: IntensityPoint| {
        let intensities = Intensities::from_points([&point]);
        let piece = intensities.at(at(0.0)).unwrap();
        (piece.low.0.round(), piece.high.0.round())
    };
    for (kind, told) in cases {
        assert_eq!(of(point(0.0, 1.0, 100.0, kind)), told, "{kind:?}");
        let mut known = point(0.0, 1.0, 100.0, kind);
        (known.low_g_per_kwh, known.high_g_per_kwh) =
            (Some(GramsPerKwh(70.0)), Some(GramsPerKwh(190.0)));
        assert_eq!(of(known), (70.0, 190.0));
    }
    let mut absurd = point(0.0, 1.0, 100.0, Profile);
    (absurd.low_g_per_kwh, absurd.high_g_per_kwh) =
        (Some(GramsPerKwh(120.0)), Some(GramsPerKwh(f64::NAN)));
    assert_eq!(of(absurd), (100.0, 160.0));
}

#[test]
fn catrain_itself_is_overhead_whatever_the_run_does() {
    let mut run = segment(Part::Paused, &[Cause::Carbon], 0.0, 3600.0, KWH);
    run.energy.push(Reading {
        component: CATRAIN.to_owned(),
        joules: Joules(KWH / 100.0),
        ..run.energy[0].clone()
    });
    let sum = account(&[run], &observed(&[100.0]), BASIS, Pue::NONE);
    assert_eq!(sum.g[Part::Paused], GramsCo2e(100.0));
    assert_eq!(sum.g[Part::Overhead], GramsCo2e(1.0));
}

#[test]
fn every_margin_has_a_name_and_a_source() {
    for (name, margin) in MARGINS {
        assert!(!name.is_empty() && !margin.source.is_empty());
        assert!(
            (0.0..1.0).contains(&margin.below) && margin.above >= margin.below,
            "{name}"
        );
    }
}

#[test]
fn a_later_point_of_the_same_kind_overrules_and_a_worse_one_does_not() {
    let told = [
        point(0.0, 7200.0, 100.0, IntensityKind::Forecast),
        point(1800.0, 3600.0, 200.0, IntensityKind::Observed),
        point(0.0, 3600.0, 300.0, IntensityKind::Forecast),
        point(0.0, 7200.0, 400.0, IntensityKind::Average),
    ];
    let all = Intensities::from_points(&told);
    let seen: Vec<(f64, IntensityKind)> = [0.0, 1799.0, 1800.0, 3599.0, 3600.0, 7199.0]
        .iter()
        .map(|second| all.at(at(*second)).unwrap())
        .map(|piece| (piece.intensity.0, piece.kind))
        .collect();
    use IntensityKind::{Forecast, Observed};
    let said = [
        (300.0, Forecast),
        (300.0, Forecast),
        (200.0, Observed),
        (200.0, Observed),
        (100.0, Forecast),
        (100.0, Forecast),
    ];
    assert_eq!(seen, said);
    assert_eq!(all.at(at(7200.0)), None);
}

#[test]
fn an_intensity_rescaled_from_another_basis_enters_no_sum() {
    let mut rescaled = point(0.0, 3600.0, 100.0, IntensityKind::Forecast);
    rescaled.forecast = Some(Kind::Rescaled);
    let run = [segment(Part::Running, &[], 0.0, 3600.0, KWH)];
    let sum = account(
        &run,
        &Intensities::from_points([&rescaled]),
        BASIS,
        Pue::NONE,
    );
    assert_eq!(sum.uncovered, KilowattHours(1.0));
}

#[test]
fn the_baseline_leaves_out_a_carbon_hold_and_pause_with_its_switches() {
    let carbon = &[Cause::Carbon];
    let run = [
        segment(Part::Held, carbon, 0.0, 3600.0, 0.0),
        segment(Part::Running, &[], 3600.0, 5400.0, KWH),
        segment(Part::Saving, &[], 5400.0, 5460.0, 10.0),
        segment(Part::Paused, carbon, 5460.0, 7200.0, 10.0),
        segment(Part::Restoring, &[], 7200.0, 7260.0, 10.0),
        segment(Part::Running, &[], 7260.0, 9000.0, KWH),
    ];
    let now = run_now(&run);
    assert_eq!(now.removed_s, 3600.0 + 60.0 + 1740.0 + 60.0);
    let times: Vec<_> = now.segments.iter().map(|s| (s.from_s, s.to_s)).collect();
    assert_eq!(times, [(0.0, 1800.0), (1800.0, 3540.0)]);
    assert_eq!(now.segments[1].start, at(1800.0));
    assert_eq!(now.segments[1].end, at(3540.0));
}

#[test]
fn the_baseline_keeps_what_an_operator_held_and_its_switches() {
    let run = [
        segment(Part::Running, &[], 0.0, 10.0, 1.0),
        segment(Part::Saving, &[], 10.0, 11.0, 1.0),
        segment(Part::Paused, &[Cause::Carbon], 11.0, 20.0, 1.0),
        segment(
            Part::Paused,
            &[Cause::Carbon, Cause::Operator],
            20.0,
            30.0,
            1.0,
        ),
        segment(Part::Paused, &[Cause::Carbon], 30.0, 40.0, 1.0),
        segment(Part::Restoring, &[], 40.0, 41.0, 1.0),
        segment(Part::Suspended, &[], 41.0, 50.0, 1.0),
        segment(Part::Running, &[], 50.0, 60.0, 1.0),
    ];
    let parts: Vec<Part> = run_now(&run).segments.iter().map(|s| s.part).collect();
    use Part::{Paused, Restoring, Running, Saving, Suspended};
    assert_eq!(
        parts,
        [Running, Saving, Paused, Restoring, Suspended, Running]
    );
    assert_eq!(run_now(&run).removed_s, 19.0);
}

#[test]
fn a_save_for_carbon_that_no_pause_followed_is_not_in_the_baseline() {
    let run = [
        segment(Part::Running, &[], 0.0, 10.0, 1.0),
        segment(Part::Saving, &[Cause::Carbon], 10.0, 15.0, 1.0),
        segment(Part::Running, &[], 15.0, 20.0, 1.0),
    ];
    assert_eq!(run_now(&run).removed_s, 5.0);
}

#[test]
fn holes_and_overlaps_between_segments_are_found() {
    let run = [
        segment(Part::Running, &[], 0.0, 10.0, 1.0),
        segment(Part::Running, &[], 12.0, 20.0, 1.0),
        segment(Part::Running, &[], 19.0, 30.0, 1.0),
    ];
    assert_eq!(untiled(&run), (2.0, 1.0));
}

#[test]
fn a_wall_clock_set_back_within_a_segment_loses_no_energy() {
    let mut run = segment(Part::Running, &[], 0.0, 3600.0, KWH);
    run.end = at(-7200.0);
    let sum = account(&[run], &observed(&[100.0]), BASIS, Pue::NONE);
    assert_eq!(sum.g.total(), GramsCo2e(100.0));
}

prop_compose! {
    /// A tiled run of whole seconds over at most a day.
    fn any_run(with_carbon: bool)(pieces in prop::collection::vec(
        (0..7usize, 1..7200u32, 0.0..1e7f64, 0..4usize, 0..3usize), 1..12)) -> Vec<Segment> {
        let mut from = 0.0;
        pieces.into_iter().map(|(part, length, joules, cause, kind)| {
            let causes: &[Cause] = match cause {
                0 | 1 if with_carbon => &[Cause::Carbon],
                2 if with_carbon => &[Cause::Carbon, Cause::Operator],
                3 => &[Cause::Terminal],
                _ => &[Cause::Operator],
            };
            let mut one = segment(PARTS[part].0, causes, from, from + f64::from(length), joules);
            one.energy[0].kind =
                [EnergyKind::Measured, EnergyKind::Estimated, EnergyKind::Assumed][kind];
            from = one.to_s;
            one
        }).collect()
    }
}

prop_compose! {
    /// Intensities of any kind, overlapping and with holes.
    fn any_points()(points in prop::collection::vec(
        (0..86_400u32, 1..20_000u32, 0.0..1200.0f64, 0..5usize), 0..20)) -> Vec<IntensityPoint> {
        points.into_iter().map(|(from, length, g, kind)| {
            point(f64::from(from), f64::from(from + length), g, INTENSITY_KINDS[kind])
        }).collect()
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
}

fn same(a: &Account, b: &Account) -> bool {
    let parts = PARTS
        .iter()
        .all(|(part, _)| close(a.g[*part].0, b.g[*part].0));
    let covered = a
        .covered
        .iter()
        .zip(&b.covered)
        .all(|(a, b)| close(a.0, b.0));
    let range = close(a.low.0, b.low.0) && close(a.high.0, b.high.0);
    parts && covered && range && close(a.uncovered.0, b.uncovered.0)
}

/// The same segment as two.
fn split(segment: &Segment, fraction: f64) -> [Segment; 2] {
    let length = segment.to_s - segment.from_s;
    let middle = segment.from_s + (length * fraction * 1e3).round() / 1e3;
    let share = (middle - segment.from_s) / length;
    let mut two = [segment.clone(), segment.clone()];
    (two[0].to_s, two[0].end) = (middle, at(middle));
    (two[1].from_s, two[1].start) = (middle, at(middle));
    two[0].energy[0].joules = segment.energy[0].joules * share;
    two[1].energy[0].joules = segment.energy[0].joules * (1.0 - share);
    two
}

proptest! {
    #[test]
    fn emissions_are_never_negative_and_lie_in_their_range(
        run in any_run(true), points in any_points(), pue in 1.0..3.0f64,
    ) {
        let sum = account(&run, &Intensities::from_points(&points), BASIS, Pue::try_from(pue).unwrap());
        for (part, name) in PARTS {
            prop_assert!(sum.g[part].0 >= 0.0, "{name}");
        }
        let g = sum.g.total().0;
        prop_assert!(0.0 <= sum.low.0 && sum.low.0 <= g + 1e-9 && g <= sum.high.0 + 1e-9);
    }

    #[test]
    fn no_energy_is_lost_between_covered_and_uncovered(
        run in any_run(true), points in any_points(),
    ) {
        let sum = account(&run, &Intensities::from_points(&points), BASIS, Pue::NONE);
        let joules: Joules = run.iter().map(|segment| segment.energy[0].joules).sum();
        prop_assert!(close(sum.energy().0, KilowattHours::from(joules).0));
    }

    #[test]
    fn a_facility_that_uses_more_emits_in_proportion(
        run in any_run(true), points in any_points(), pue in 1.0..3.0f64,
    ) {
        let intensities = Intensities::from_points(&points);
        let of = |pue| account(&run, &intensities, BASIS, pue);
        let (bare, whole) = (of(Pue::NONE), of(Pue::try_from(pue).unwrap()));
        for (part, _) in PARTS {
            prop_assert!(close(whole.g[part].0, bare.g[part].0 * pue));
        }
        prop_assert!(close(whole.low.0, bare.low.0 * pue));
        prop_assert!(close(whole.high.0, bare.high.0 * pue));
        prop_assert!(close(whole.energy().0, bare.energy().0 * pue));
    }

    #[test]
    fn splitting_a_segment_changes_nothing(
        run in any_run(true), points in any_points(), which in any::<prop::sample::Index>(),
        fraction in 0.1..0.9f64,
    ) {
        let which = which.index(run.len());
        let mut finer = run.clone();
        finer.splice(which..=which, split(&run[which], fraction));
        let intensities = Intensities::from_points(&points);
        let price = |run: &[Segment]| account(run, &intensities, BASIS, Pue::NONE);
        prop_assert!(same(&price(&run), &price(&finer)));
        let (one, two) = (run_now(&run), run_now(&finer));
        prop_assert!(close(one.removed_s, two.removed_s));
        prop_assert!(same(&price(&one.segments), &price(&two.segments)));
    }

    #[test]
    fn splitting_an_interval_changes_nothing(
        run in any_run(true), points in any_points(), fraction in 0.1..0.9f64,
    ) {
        let mut finer = Vec::new();
        for whole in &points {
            let middle = whole.start + whole.end.duration_since(whole.start).mul_f64(fraction);
            finer.push(IntensityPoint { end: middle, ..whole.clone() });
            finer.push(IntensityPoint { start: middle, ..whole.clone() });
        }
        let price = |points: &[IntensityPoint]| {
            account(&run, &Intensities::from_points(points), BASIS, Pue::NONE)
        };
        prop_assert!(same(&price(&points), &price(&finer)));
    }

    #[test]
    fn a_run_that_carbon_never_stopped_avoids_exactly_nothing(
        run in any_run(false), points in any_points(),
    ) {
        let now = run_now(&run);
        prop_assert_eq!(&now.segments, &run);
        let intensities = Intensities::from_points(&points);
        let actual = account(&run, &intensities, BASIS, Pue::NONE).g.total();
        let baseline = account(&now.segments, &intensities, BASIS, Pue::NONE).g.total();
        prop_assert_eq!(baseline - actual, GramsCo2e::ZERO);
    }

    #[test]
    fn the_baseline_tiles_from_the_start(run in any_run(true)) {
        let now = run_now(&run);
        prop_assert_eq!(untiled(&now.segments), (0.0, 0.0));
        let kept: f64 = now.segments.iter().map(length).sum();
        let whole: f64 = run.iter().map(length).sum();
        prop_assert!(close(kept + now.removed_s, whole));
    }

    #[test]
    fn the_best_and_latest_word_on_an_instant_is_found_by_any_order_of_cuts(
        points in any_points(), second in 0..110_000u32,
    ) {
        let when = at(f64::from(second));
        let inside = |p: &&IntensityPoint| p.start <= when && when < p.end;
        // The plain rule: the last one of the best kind.
        let best = points.iter().filter(inside).map(|p| p.kind).min();
        let said = points.iter().filter(inside).rfind(|p| Some(p.kind) == best);
        let found = Intensities::from_points(&points).at(when);
        prop_assert_eq!(
            found.map(|piece| (piece.intensity, piece.kind)),
            said.map(|p| (p.g_per_kwh, p.kind))
        );
    }
}

#[test]
fn accounts_of_different_bases_are_not_compared() {
    let run = [segment(Part::Running, &[], 0.0, 3600.0, 3.6e6)];
    let marginal = Basis {
        signal: Signal::Marginal,
        ..BASIS
    };
    let one = account(&run, &observed(&[100.0]), BASIS, Pue::NONE);
    let other = account(&run, &observed(&[400.0]), marginal, Pue::NONE);
    assert_eq!(one.less_than(&other), Err(OtherBasis(BASIS, marginal)));
    assert_eq!(one.less_than(&one), Ok(GramsCo2e::ZERO));
}
