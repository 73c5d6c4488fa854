//! How good stored issues were, against what came: by how far ahead they looked.
//!
//! Hourly, in UTC. A lead is counted in hours from the hour that an issue was made in.

use jiff::{SignedDuration, Timestamp};

use super::Knowledge;
use super::blend::issued_by;
use super::hourly::{Hourly, hour_of, mean};
use crate::units::GramsPerKwh;

/// Leads in hours, each from the first to before the second.
const BUCKETS: [(i64, i64); 5] = [(0, 6), (6, 12), (12, 24), (24, 48), (48, 96)];
/// Fewer pairs than this tell of a day or two only.
const LEAST_PAIRS: usize = 48;
/// Fewer pairs than this have no order to speak of.
const LEAST_RANKED: usize = 6;

/// How good issues were at some leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Lead {
    /// The shortest of these leads in hours.
    pub from_h: i64,
    /// The lead in hours that they stay below.
    pub to_h: i64,
    /// Hours that were both foretold and observed.
    pub pairs: usize,
    /// Mean absolute error.
    pub error: GramsPerKwh,
    /// Mean of foretold − observed: above zero where issues said too much.
    pub bias: GramsPerKwh,
    /// The error as a share of the mean that was observed; `None` where that is zero.
    pub relative: Option<f64>,
    /// Spearman's rank correlation within each issue, from -1 to 1, the mean over those issues that
    /// have six pairs here or more: whether they knew which hours are cleaner, which is what a
    /// planner needs. `None` where no issue has, or nothing varies.
    pub rank: Option<f64>,
}

/// How good the issues made by `until` were, against what was observed by then, for each of the
/// leads of up to 96 hours at which anything can be compared.
pub fn by_lead(known: &Knowledge, until: Timestamp) -> Vec<Lead> {
    let mut found: [Pairs; BUCKETS.len()] = Default::default();
    for issue in issued_by(known, until) {
        let made = hour_of(issue.issued_at);
        let said = issue.hourly();
        // The hour of `until` is not over.
        let came = Hourly::of(&known.observations, made, hour_of(until));
        for (found, (from, to)) in found.iter_mut().zip(BUCKETS) {
            let pair = |hour: i64| Some((said.at(hour)?, came.at(hour)?));
            found.add((made + from..made + to).filter_map(pair).collect());
        }
    }
    (BUCKETS.iter().zip(found))
        .filter_map(|(leads, pairs)| pairs.scored(*leads))
        .collect()
}

/// What a forecast of this age is wrong by on average, as a share of what comes; `None` where too
/// little was compared to say so.
pub fn relative_error(leads: &[Lead], age: SignedDuration) -> Option<f64> {
    let hours = age.as_hours().max(0);
    let lead = (leads.iter()).find(|lead| (lead.from_h..lead.to_h).contains(&hours))?;
    lead.relative.filter(|_| lead.pairs >= LEAST_PAIRS)
}

/// What was foretold at some leads, with what came.
#[derive(Default)]
struct Pairs {
    all: Vec<(f64, f64)>,
    ranks: Vec<f64>,
}

impl Pairs {
    fn add(&mut self, of_an_issue: Vec<(f64, f64)>) {
        if of_an_issue.len() >= LEAST_RANKED {
            self.ranks.extend(rank_correlation(&of_an_issue));
        }
        self.all.extend(of_an_issue);
    }

    /// `None` of nothing.
    fn scored(&self, (from_h, to_h): (i64, i64)) -> Option<Lead> {
        let over = |value: fn((f64, f64)) -> f64| mean(self.all.iter().copied().map(value));
        let error = over(|(said, came)| (said - came).abs())?;
        let came = over(|(_, came)| came)?;
        Some(Lead {
            from_h,
            to_h,
            pairs: self.all.len(),
            error: GramsPerKwh(error),
            bias: GramsPerKwh(over(|(said, came)| said - came)?),
            relative: (came > 0.0).then(|| error / came),
            rank: mean(self.ranks.iter().copied()),
        })
    }
}

/// Pearson's correlation of the ranks, so that ties count as they should; `None` where one side is
/// all the same.
fn rank_correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let said = ranks(pairs.iter().map(|pair| pair.0).collect());
    let came = ranks(pairs.iter().map(|pair| pair.1).collect());
    let middle = (pairs.len() - 1) as f64 / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        let off = a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle));
        off.sum()
    };
    let spread = (product(&said, &said) * product(&came, &came)).sqrt();
    (spread > 0.0).then(|| product(&said, &came) / spread)
}

/// The rank of each value from 0 up, equal values sharing the mean of theirs.
fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = below as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|index| ranks[*index] = shared);
        below += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::forecast::{Basis, Issue, Kind, Series};

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_782_691_200 + hours * 3600).unwrap()
    }

    fn hours(from: i64, to: i64, value: impl Fn(i64) -> f64) -> Series {
        let values = (from..to).map(|hour| Some(GramsPerKwh(value(hour))));
        Series::regular(at(from), HOUR, values, Kind::Live)
    }

    fn came(hour: i64) -> f64 {
        300.0 + (hour % 24) as f64
    }

    fn known(issues: Vec<Issue>) -> Knowledge {
        Knowledge {
            zone: "DE".to_owned(),
            basis: Basis::AVERAGE_LIFECYCLE,
            source: "test".to_owned(),
            kind: Kind::Live,
            observations: hours(0, 24 * 7, came),
            issues,
            profile: None,
            profile_same_accounting: true,
            yearly_average: None,
            lessons: None,
            trust: None,
            leads: Vec::new(),
        }
    }

    fn issue(made: i64, length: i64, said: impl Fn(i64) -> f64) -> Issue {
        Issue {
            issued_at: at(made),
            series: hours(made, made + length, said),
        }
    }

    #[test]
    fn errors_are_told_by_lead_and_with_their_sign() {
        let said = |hour: i64| came(hour) + if hour < 12 { 10.0 } else { -20.0 };
        let leads = by_lead(&known(vec![issue(0, 48, said)]), at(24 * 7));
        let told: Vec<_> = (leads.iter())
            .map(|lead| (lead.from_h, lead.pairs, lead.error.0, lead.bias.0))
            .collect();
        assert_eq!(
            told,
            [
                (0, 6, 10.0, 10.0),
                (6, 6, 10.0, 10.0),
                (12, 12, 20.0, -20.0),
                (24, 24, 20.0, -20.0)
            ]
        );
        assert_eq!(leads[0].relative, Some(10.0 / 302.5));
        assert!(leads.iter().all(|lead| lead.rank == Some(1.0)), "{leads:?}");
    }

    #[test]
    fn an_order_that_is_the_wrong_way_round_is_minus_one_and_a_flat_one_is_none() {
        let turned = |hour: i64| 600.0 - came(hour);
        let score = |issues| by_lead(&known(issues), at(24 * 7))[0].rank;
        assert_eq!(score(vec![issue(0, 24, turned)]), Some(-1.0));
        assert_eq!(score(vec![issue(0, 24, |_| 300.0)]), None);
        let both = vec![issue(0, 24, came), issue(24, 24, turned)];
        assert_eq!(score(both), Some(0.0));
        // Too few to have an order.
        assert_eq!(score(vec![issue(0, 5, came)]), None);
    }

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(ranks(vec![7.0, 3.0, 7.0, 9.0]), [1.5, 0.0, 1.5, 3.0]);
        let pairs = [(1.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)];
        let found = rank_correlation(&pairs).unwrap();
        assert!(
            (found - 4.5 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-12,
            "{found}"
        );
    }

    #[test]
    fn what_had_not_come_or_was_not_made_by_then_is_not_scored() {
        let issues = vec![issue(0, 48, came), issue(30, 48, |_| 0.0)];
        let pairs: usize = (by_lead(&known(issues.clone()), at(18)).iter())
            .map(|lead| lead.pairs)
            .sum();
        assert_eq!(pairs, 18);
        assert_eq!(by_lead(&known(issues), at(0)), []);
    }
}
