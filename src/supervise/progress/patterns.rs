//! What lines of progress look like: the usual frameworks' own, or a user's expression.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};

use super::Reading;

/// Longest line that is read, in bytes; of a longer one the beginning.
pub const LONGEST_LINE: usize = 4096;
/// Longest expression of a user, in bytes.
pub const LONGEST_EXPRESSION: usize = 1000;
/// Memory that the machine of an expression may take; `(x{1000}){1000}` wants more.
const LARGEST_MACHINE: usize = 1 << 20;

/// Why an expression cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPattern {
    /// It is longer than [`LONGEST_EXPRESSION`].
    #[error("the expression has more than {LONGEST_EXPRESSION} bytes")]
    TooLong,
    /// Its repetitions multiply to more states than a line is worth.
    #[error("the expression is too large when its repetitions are written out")]
    TooLarge,
    /// It cannot be read.
    #[error("the expression cannot be read: {0}")]
    Unreadable(String),
    /// Nothing says which part is which.
    #[error(
        "the expression needs two groups, what is done and the total, such as \
         `(?<done>\\d+)/(?<total>\\d+)`, or one named `percent`"
    )]
    NoGroups,
}

/// Any expression of a user, within the limits of one; it needs no groups.
///
/// # Errors
/// It is too long or too large, or cannot be read.
pub fn bounded(expression: &str) -> Result<Regex, BadPattern> {
    if expression.len() > LONGEST_EXPRESSION {
        return Err(BadPattern::TooLong);
    }
    // Matching takes time by line and machine alone: there is no expression that is slow otherwise.
    RegexBuilder::new(expression)
        .size_limit(LARGEST_MACHINE)
        .dfa_size_limit(LARGEST_MACHINE)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => BadPattern::TooLarge,
            // Several lines with a mark below the place: the last says what is wrong.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                BadPattern::Unreadable(last.trim_start_matches("error: ").to_owned())
            }
        })
}

/// Reads lines; remembers what a format says in one line and needs in another.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    own: Option<Own>,
    /// From a line of its own: `Epoch 3/10`, after which bars are within that epoch.
    epoch: Option<(f64, f64)>,
    /// The total of the first bar in an epoch. Others there are of validation.
    within: Option<f64>,
    /// Epochs are counted from 0, and the total is the last one's number.
    from_zero: bool,
    /// `num_train_epochs`, as the Trainer tells before it starts.
    epochs: Option<f64>,
}

#[derive(Clone, Debug)]
struct Own {
    expression: Regex,
    groups: Groups,
}

#[derive(Clone, Debug)]
enum Groups {
    Named,
    Percent,
    FirstTwo,
}

static EPOCH: LazyLock<Regex> =
    LazyLock::new(|| built_in(r"(?i)\bepochs?\b[\s:=#\[(]*(\d[\d,]*)\s*(?:/|of)\s*(\d[\d,]*)"));
static EPOCH_ALONE: LazyLock<Regex> = LazyLock::new(|| built_in(r"^\s*Epoch \d+/\d+:?\s*$"));
static EPOCH_OF_UNKNOWN: LazyLock<Regex> = LazyLock::new(|| built_in(r"(?i)\bepoch\b[\s:#]*\d+"));
static STEP: LazyLock<Regex> = LazyLock::new(|| {
    built_in(
        r"(?i)(?:\b|_)(?:steps?|iters?|iterations?)\b[\s:=#\[(]*(\d[\d,]*)\s*(?:/|of)\s*(\d[\d,]*)",
    )
});
static GLOBAL: LazyLock<Regex> = LazyLock::new(|| built_in(r"(?i)\bglobal[ _-]?step"));
/// tqdm, with `unit_scale` or without; the words before the bar are its description.
static TQDM: LazyLock<Regex> =
    LazyLock::new(|| built_in(r"\d+%\|[^|]*\|\s*(\d[\d.]*[kMGT]?)/(\d[\d.]*[kMGT]?) \["));
/// `42/100 ━━━━` and `42/100 [==>..]` of Keras, `━━━━ 42/100` of Rich.
static KERAS: LazyLock<Regex> = LazyLock::new(|| built_in(r"^\s*(\d+)/(\d+) (?:━|\[[=>.])"));
static RICH: LazyLock<Regex> = LazyLock::new(|| built_in(r"[━╸╺]\s+(\d+)/(\d+)\s"));
static TRAINER_EPOCHS: LazyLock<Regex> = LazyLock::new(|| built_in(r"\bNum Epochs = (\d[\d,]*)"));
static TRAINER_LOG: LazyLock<Regex> =
    LazyLock::new(|| built_in(r"^\s*\{'.*'epoch': '?(\d+(?:\.\d+)?)'?\s*[,}]"));
/// Bars that are not of training. Those without such a name are told apart by their totals.
static OTHER_WORK: LazyLock<Regex> = LazyLock::new(|| {
    built_in(r"(?i)^\s*(?:validat|sanity|test|eval|predict|load|download|fetch|map\b|generating)")
});
/// Colours, movements of the cursor, titles of windows.
static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
    built_in(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
});

fn built_in(expression: &str) -> Regex {
    Regex::new(expression).expect("the tests use each of these")
}

impl Patterns {
    /// Those of tqdm, the Hugging Face Trainer, Lightning, Keras, and plain `step 120/9000` and
    /// `epoch 3/90`.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// A user's expression alone. What is done and the total are its groups `done` and `total`, or its
    /// first two; or one group `percent`.
    ///
    /// # Errors
    /// It is too long or too large, cannot be read, or lacks the groups.
    pub fn own(expression: &str) -> Result<Self, BadPattern> {
        let expression = bounded(expression)?;
        let has = |name| expression.capture_names().flatten().any(|one| one == name);
        let groups = if has("done") && has("total") {
            Groups::Named
        } else if has("percent") {
            Groups::Percent
        } else if expression.captures_len() > 2 {
            Groups::FirstTwo
        } else {
            return Err(BadPattern::NoGroups);
        };
        Ok(Self {
            own: Some(Own { expression, groups }),
            ..Self::default()
        })
    }

    /// How far the job is by this line, without its end; none if it does not say.
    pub fn read(&mut self, line: &str) -> Option<Reading> {
        let line = &line[..line.floor_char_boundary(LONGEST_LINE)];
        let plain = match line.contains('\x1b') {
            true => ESCAPES.replace_all(line, ""),
            false => Cow::Borrowed(line),
        };
        let line = &*plain;
        if let Some(own) = &self.own {
            return own.read(line);
        }
        // Most lines say nothing, and a job may write many.
        if !line.contains('/') && !line.contains(" of ") && !line.contains("poch") {
            return None;
        }
        if let Some(found) = TRAINER_EPOCHS.captures(line) {
            self.epochs = number(&found, 1);
            return None;
        }
        if OTHER_WORK.is_match(line) {
            return None;
        }
        let bar = [&TQDM, &KERAS, &RICH]
            .iter()
            .find_map(|pattern| pair(&pattern.captures(line)?));
        let step = || pair(&STEP.captures(line)?);
        let epoch = EPOCH
            .captures(line)
            .and_then(|found| self.epoch(number(&found, 1)?, number(&found, 2)?));
        match (epoch, bar.or_else(step)) {
            (Some((begun, epochs)), Some(within)) => {
                Reading::new(begun + within.fraction(), epochs)
            }
            (Some((begun, epochs)), None) => {
                if EPOCH_ALONE.is_match(line) {
                    // It has begun, and bars of it follow.
                    self.epoch = Some((begun, epochs));
                    self.within = None;
                    return Reading::new(begun, epochs);
                }
                Reading::new(begun + 1.0, epochs)
            }
            (None, Some(within)) if bar.is_some() => self.bar(line, within),
            // A step of 9000 in the third epoch of nobody knows how many may be one of that epoch.
            (None, Some(step)) => {
                let is_of_epoch = EPOCH_OF_UNKNOWN.is_match(line) && !GLOBAL.is_match(line);
                (!is_of_epoch).then_some(step)
            }
            (None, None) => {
                let found = TRAINER_LOG.captures(line)?;
                Reading::new(number(&found, 1)?, self.epochs?)
            }
        }
    }

    /// Epochs that are over when this one has begun, and how many there are.
    fn epoch(&mut self, number: f64, last: f64) -> Option<(f64, f64)> {
        self.from_zero |= number == 0.0;
        let (begun, epochs) = match self.from_zero {
            true => (number, last + 1.0),
            false => (number - 1.0, last),
        };
        (epochs > 0.0 && (0.0..epochs).contains(&begun)).then_some((begun, epochs))
    }

    /// A bar in a line that names no epochs.
    fn bar(&mut self, line: &str, within: Reading) -> Option<Reading> {
        if let Some((begun, epochs)) = self.epoch {
            #[expect(clippy::float_cmp, reason = "the same total is printed the same")]
            let is_first = *self.within.get_or_insert(within.total) == within.total;
            return Reading::new(begun + within.fraction(), epochs).filter(|_| is_first);
        }
        let is_of_epoch = EPOCH_OF_UNKNOWN.is_match(line) || KERAS.is_match(line);
        (!is_of_epoch).then_some(within)
    }
}

impl Own {
    fn read(&self, line: &str) -> Option<Reading> {
        let found = self.expression.captures(line)?;
        let named = |name| found.name(name).and_then(|text| value(text.as_str()));
        match self.groups {
            Groups::Named => Reading::new(named("done")?, named("total")?),
            Groups::Percent => Reading::new(named("percent")?, 100.0),
            Groups::FirstTwo => pair(&found),
        }
    }
}

fn pair(found: &Captures<'_>) -> Option<Reading> {
    Reading::new(number(found, 1)?, number(found, 2)?)
}

fn number(found: &Captures<'_>, group: usize) -> Option<f64> {
    value(found.get(group)?.as_str())
}

/// `9000`, `9,000`, `1.5`, `30.0k`.
fn value(text: &str) -> Option<f64> {
    let text = text.trim().replace([',', '_'], "");
    let (digits, factor) = match text.strip_suffix(['k', 'K', 'M', 'G', 'T']) {
        None => (text.as_str(), 1.0),
        Some(digits) => {
            let factor = match text.as_bytes()[digits.len()] {
                b'M' => 1e6,
                b'G' => 1e9,
                b'T' => 1e12,
                _ => 1e3,
            };
            (digits, factor)
        }
    };
    // Not `inf` or `1e300`, which `f64` reads too.
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let value: f64 = digits.parse().ok().filter(|_| is_plain)?;
    Some(value * factor)
}
