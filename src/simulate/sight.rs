//! How much of a world a policy may see, and the planners that see it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::policy::Sight;
use super::{Outages, World};
use crate::forecast::ahead::ahead_as_of;
use crate::forecast::{Kind, Knowledge, Outlook, Series};
use crate::supervise::machine::{HORIZON_HOURS, Planner};
use crate::units::GramsPerKwh;

/// Outlooks that are kept: jobs are lived out in the order of their arrival, so that those of one
/// time look ahead at the same moments.
const MOST_KEPT: usize = 512;

/// A world as a policy sees it.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) known: Arc<Knowledge>,
    pub(super) planner: Arc<dyn Planner>,
}

impl World {
    /// The past that `known` tells of, with nothing new during `outages`.
    pub fn new(known: Knowledge, outages: Option<Outages>) -> Self {
        let foresight = Arc::new(foresight(&known));
        let known = Arc::new(known);
        let profile = Arc::new(Knowledge {
            observations: Series::default(),
            issues: Vec::new(),
            lessons: None,
            ..Knowledge::clone(&known)
        });
        let view = |known: Arc<Knowledge>| View {
            known,
            planner: Arc::new(AsThen {
                outages,
                kept: Mutex::default(),
            }),
        };
        let as_known = view(known.clone());
        Self {
            zone: known.zone.clone(),
            history: match known.issues.is_empty() {
                true => as_known.clone(),
                false => view(Arc::new(Knowledge {
                    issues: Vec::new(),
                    ..Knowledge::clone(&known)
                })),
            },
            as_known,
            profile: view(profile),
            perfect: View {
                known: known.clone(),
                planner: Arc::new(Foresight(foresight.clone())),
            },
            foresight,
            known,
        }
    }

    /// What `sight` leaves of it.
    pub fn view(&self, sight: Sight) -> &View {
        match sight {
            Sight::AsKnown => &self.as_known,
            Sight::History => &self.history,
            Sight::Profile => &self.profile,
            Sight::Perfect => &self.perfect,
        }
    }
}

/// The intensity ahead as a run had it, kept for the next job that looks at the same moment. Belongs
/// to one [`Knowledge`].
#[derive(Debug)]
struct AsThen {
    outages: Option<Outages>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    outlooks: HashMap<Timestamp, Option<Arc<Outlook>>>,
    /// Oldest first.
    order: VecDeque<Timestamp>,
}

impl Planner for AsThen {
    fn outlook(&self, now: Timestamp, known: &Knowledge) -> Option<Arc<Outlook>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outlook) = kept().outlooks.get(&now) {
            return outlook.clone();
        }
        // Not under the lock: two threads that make the same one make it equal.
        let seen = self.outages.map_or(now, |outages| outages.last_news(now));
        let outlook = ahead_as_of(now, seen, known, HORIZON_HOURS).map(Arc::new);
        let mut kept = kept();
        if kept.outlooks.insert(now, outlook.clone()).is_none() {
            kept.order.push_back(now);
        }
        if kept.order.len() > MOST_KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.outlooks.remove(&oldest);
        }
        outlook
    }
}

/// The future known.
#[derive(Debug)]
struct Foresight(Arc<Outlook>);

impl Planner for Foresight {
    fn outlook(&self, _: Timestamp, _: &Knowledge) -> Option<Arc<Outlook>> {
        Some(self.0.clone())
    }
}

fn foresight(known: &Knowledge) -> Outlook {
    let expected = known.observations.clone();
    let (mut sum, mut time) = (0.0, 0.0);
    for point in expected.points() {
        let length = point.span.length().as_secs_f64();
        sum += point.intensity.0 * length;
        time += length;
    }
    Outlook {
        zone: known.zone.clone(),
        basis: known.basis,
        source: known.source.clone(),
        kind: Kind::Live,
        confidence: 1.0,
        issued_at: None,
        expected,
        mean: GramsPerKwh(if time > 0.0 { sum / time } else { 0.0 }),
    }
}
