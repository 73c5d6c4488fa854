//! The policies that are compared, by the names that are typed: what decides, and what it may see.

use std::fmt;
use std::str::FromStr;

use crate::supervise::machine::{self, Limit};

/// A policy: who decides, by how much of the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Who decides.
    pub rule: Rule,
    /// What it sees of the world.
    pub sight: Sight,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// One that a run can have as well, by the machine and its planner.
    Shipped(machine::Policy),
    /// The cheapest slots as they look on arrival, kept to whatever comes.
    KLowest,
    /// The best possible in hindsight.
    Oracle,
}

/// How much of the world a policy sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Forecasts as they were issued and observations, up to its present.
    AsKnown,
    /// Observations alone.
    History,
    /// The built-in profile alone.
    Profile,
    /// The future as it came.
    Perfect,
}

/// All that may be typed, for messages.
pub const NAMES: &str = "now, plan, window, k-lowest, threshold:pNN, threshold:N, oracle; plan, \
                         window and k-lowest also with :history, :profile or :perfect";

impl Policy {
    /// At once, never paused: what the others are compared with.
    pub const NOW: Self = Self {
        rule: Rule::Shipped(machine::Policy::Now),
        sight: Sight::Perfect,
    };
    /// The best possible.
    pub const ORACLE: Self = Self {
        rule: Rule::Oracle,
        sight: Sight::Perfect,
    };
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown policy `{text}`; known: {NAMES}");
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let shipped = Rule::Shipped;
        let rule = match name {
            "now" => shipped(machine::Policy::Now),
            "plan" => shipped(machine::Policy::Plan),
            "window" => shipped(machine::Policy::Window),
            "k-lowest" => Rule::KLowest,
            "oracle" => Rule::Oracle,
            "threshold" => {
                let limit = rest.ok_or_else(|| {
                    format!("`{text}` lacks its limit, such as threshold:p30 or threshold:250")
                })?;
                shipped(machine::Policy::Threshold(limit.parse::<Limit>()?))
            }
            _ => return Err(unknown()),
        };
        let has_sights = matches!(
            rule,
            Rule::KLowest | Rule::Shipped(machine::Policy::Plan | machine::Policy::Window)
        );
        let sight = match (name, rest) {
            // Neither looks at a forecast, or needs one that is worse than the truth.
            ("now" | "oracle", None) => Sight::Perfect,
            ("threshold", _) | (_, None) => Sight::AsKnown,
            (_, Some("history")) if has_sights => Sight::History,
            (_, Some("profile")) if has_sights => Sight::Profile,
            (_, Some("perfect")) if has_sights => Sight::Perfect,
            _ => return Err(unknown()),
        };
        Ok(Self { rule, sight })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Rule::Oracle => return f.write_str("oracle"),
            Rule::KLowest => f.write_str("k-lowest")?,
            Rule::Shipped(machine::Policy::Now) => return f.write_str("now"),
            Rule::Shipped(machine::Policy::Threshold(limit)) => {
                return write!(f, "threshold:{limit}");
            }
            Rule::Shipped(machine::Policy::Window) => f.write_str("window")?,
            Rule::Shipped(machine::Policy::Plan | machine::Policy::Budget(_)) => {
                f.write_str("plan")?;
            }
        }
        f.write_str(match self.sight {
            Sight::AsKnown => "",
            Sight::History => ":history",
            Sight::Profile => ":profile",
            Sight::Perfect => ":perfect",
        })
    }
}
