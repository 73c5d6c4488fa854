//! Whether a record is what was written: each line against the one before, the sums of its end, the
//! head that was noted when the run ended, a digest that was kept elsewhere, and a signature.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::chain::{Chain, Digest};
use super::entry::{Entry, Sums, What};
use super::heads::Head;
use super::lock;
use super::read::{self, Lines, ReadError};
use super::sign::PublicKey;

/// What a record is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The newest head that was noted of the run.
    pub recorded: Option<&'a Head>,
    /// A digest that was kept elsewhere.
    pub given: Option<Digest>,
    /// Whose signature the head must have.
    pub signed_by: Option<&'a PublicKey>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verification {
    /// The record by itself and against its recorded head.
    pub finding: Finding,
    /// Whole lines, as far as they hold.
    pub lines: usize,
    /// The digest of the last of them; none where the format has no chain, or nothing holds.
    pub head: Option<Digest>,
    /// Settlements that were added after the recorded head was noted.
    pub unrecorded: usize,
    /// Against the digest that was kept elsewhere.
    pub given: Option<Given>,
    /// Whether the recorded head is signed.
    pub signature: Option<Signature>,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Complete, and what its recorded head says.
    Complete,
    /// Complete by itself; no head was recorded of it.
    Unrecorded,
    /// It has no end: a lower bound.
    Unfinished {
        /// Whether it is being written at this moment, where that can be said.
        is_running: Option<bool>,
        /// Bytes of a last line that was cut off.
        torn: Option<usize>,
    },
    /// There is no record of it, but a recorded head.
    Gone {
        /// Lines there were by then.
        recorded: u64,
    },
    /// Something at its end is missing.
    Cut(Cut),
    /// It was changed: this line, counted from 1, is the first that is wrong.
    Changed {
        /// The line.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Each line follows from the one before, but its recorded head is another: it was written anew.
    Rewritten,
    /// Of format 1, which has no chain: complete, and its form is whole.
    FormOnly,
}

/// How a record was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its recorded head is of so many lines.
    Shorter {
        /// Lines there were.
        recorded: u64,
    },
    /// After its end there is a part of a line, of so many bytes.
    Torn(usize),
}

/// How a record compares with a digest that was kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It is that of this line, at which the record was complete.
    Matches {
        /// Counted from 1.
        line: usize,
        /// Settlements after it.
        later: usize,
    },
    /// It is that of this line, at which the record was not complete.
    Within(usize),
    /// It is that of no line.
    NoLine,
}

/// How the recorded head is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// By the key that was asked for.
    Good,
    /// By the key that stands beside it, in hexadecimal; whose that is was not asked.
    ByItsOwn(String),
    /// It is not.
    Missing,
    /// By another key than the one that was asked for: the one that stands beside it, in hexadecimal.
    ByAnother(String),
    /// There is one that does not hold.
    Bad,
}

impl Verification {
    /// Whether nothing is wrong. A record without an end is one that is not complete yet.
    pub fn is_good(&self) -> bool {
        let is_whole = !matches!(
            self.finding,
            Finding::Gone { .. } | Finding::Cut(_) | Finding::Changed { .. } | Finding::Rewritten
        );
        let is_given = matches!(self.given, None | Some(Given::Matches { .. }));
        let is_signed = matches!(
            self.signature,
            None | Some(Signature::Good | Signature::ByItsOwn(_))
        );
        is_whole && is_given && is_signed
    }
}

/// Verifies the ledger at `path`.
///
/// # Errors
/// It cannot be read, belongs to somebody else, or is of a newer format.
pub fn verify(path: &Path, asked: Asked<'_>) -> Result<Verification, ReadError> {
    let (facts, is_running) = match read::open(path) {
        Err(ReadError::Io { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            match asked.recorded {
                Some(head) => return Ok(gone(head, asked)),
                None => {
                    let path = path.to_owned();
                    return Err(ReadError::Io { path, cause });
                }
            }
        }
        opened => {
            let file = opened?;
            // Looked at first: a run that ends meanwhile has an end in what is read.
            let is_running = lock::is_held(&file);
            let facts = Facts::of(path, BufReader::with_capacity(1 << 16, &file), asked.given)?;
            (facts, is_running)
        }
    };
    Ok(facts.judge(asked, is_running))
}

/// What is to be said where there is nothing but a head.
fn gone(head: &Head, asked: Asked<'_>) -> Verification {
    let finding = Finding::Gone {
        recorded: head.lines,
    };
    Verification {
        finding,
        ..Facts::default().judge(asked, Some(false))
    }
}

/// What a file tells by itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Whole lines that hold.
    pub(super) lines: usize,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Bytes of a part of a line after them.
    pub(super) torn: Option<usize>,
    /// None in format 1.
    pub(super) head: Option<Digest>,
    /// The lines at which it is complete, with their digests: the end, and each settlement.
    ends: Vec<(usize, Option<Digest>)>,
    /// Seconds from the start of the run to its end.
    pub(super) ended_s: Option<f64>,
    /// Who and where.
    pub(super) run: String,
    pub(super) host: String,
    pub(super) changed: Option<(usize, String)>,
    /// The line with the digest that was looked for.
    found: Option<usize>,
    /// What stands in it.
    pub(super) sums: Sums,
}

impl Facts {
    /// Those of the file at `path`, and where in it the digest `wanted` is.
    pub(super) fn of(
        path: &Path,
        file: impl BufRead,
        wanted: Option<Digest>,
    ) -> Result<Self, ReadError> {
        let mut facts = Self::default();
        let mut sums = Sums::default();
        let mut lines = Lines::new(path);
        facts.torn = read::each(path, file, |line| {
            let number = facts.lines + 1;
            let entry = lines.next(line);
            let is_broken = (lines.chain.as_ref()).is_some_and(|chain| chain.broken().is_some());
            let wrong = match entry {
                _ if is_broken => "it does not follow from the line before".to_owned(),
                Ok(entry) => {
                    let head = lines.chain.as_ref().map(Chain::head);
                    match facts.line(number, entry, head, &mut sums) {
                        None => {
                            facts.bytes += line.len() as u64 + 1;
                            if head.is_some() && head == wanted {
                                facts.found = Some(number);
                            }
                            return Ok(true);
                        }
                        Some(wrong) => wrong,
                    }
                }
                Err(ReadError::BadLine { why, .. } | ReadError::NotALedger { why, .. }) => why,
                Err(other) => return Err(other),
            };
            facts.changed = Some((number, wrong));
            Ok(false)
        })?;
        facts.sums = sums;
        Ok(facts)
    }

    /// Takes an entry; says what is wrong with it.
    fn line(
        &mut self,
        number: usize,
        entry: Entry,
        head: Option<Digest>,
        sums: &mut Sums,
    ) -> Option<String> {
        let is_first = number == 1;
        match &entry.what {
            What::Begin(begin) if is_first => {
                (self.run, self.host) = (begin.run.clone(), begin.host.clone());
            }
            What::Begin(_) => return Some("a run begins once".to_owned()),
            _ if is_first => return Some("it is not the beginning of a run".to_owned()),
            What::Settlement { .. } if self.ended_s.is_some() => self.ends.push((number, head)),
            _ if self.ended_s.is_some() => {
                return Some("nothing but settlements follows the end".to_owned());
            }
            What::Settlement { .. } => {
                return Some("a settlement comes after the end".to_owned());
            }
            What::Segment(segment) => {
                sums.seconds += segment.to_s - segment.from_s;
                sums.joules += segment.energy.iter().map(|reading| reading.joules).sum();
            }
            What::End { sums: told, .. } => {
                if let Some(told) = told
                    && !is_same(told, sums)
                {
                    return Some(format!(
                        "it says {} entries, {} s and {} J, and there are {} entries, {} s and {} J",
                        told.entries,
                        told.seconds,
                        told.joules.0,
                        sums.entries,
                        sums.seconds,
                        sums.joules.0
                    ));
                }
                self.ended_s = Some(entry.elapsed_s);
                self.ends.push((number, head));
            }
            _ => {}
        }
        sums.entries += 1;
        (self.lines, self.head) = (number, head);
        None
    }

    /// What they come to.
    fn judge(self, asked: Asked<'_>, is_running: Option<bool>) -> Verification {
        let Asked {
            recorded,
            given,
            signed_by,
        } = asked;
        let after = |line: usize| self.ends.iter().filter(|(at, _)| *at > line).count();
        let given = given.map(|_| match self.found {
            Some(line) if self.ends.iter().any(|(at, _)| *at == line) => Given::Matches {
                line,
                later: after(line),
            },
            Some(line) => Given::Within(line),
            None => Given::NoLine,
        });
        let signature = match (recorded, signed_by) {
            (Some(head), Some(key)) => Some(match (key.has_signed(head), by_its_own(head)) {
                (Some(true), _) => Signature::Good,
                (None, _) => Signature::Missing,
                (Some(false), Signature::ByItsOwn(other)) => Signature::ByAnother(other),
                (Some(false), _) => Signature::Bad,
            }),
            (None, Some(_)) => Some(Signature::Missing),
            (Some(head), None) => head.signature.as_ref().map(|_| by_its_own(head)),
            (None, None) => None,
        };
        let unrecorded = recorded
            .and_then(|head| usize::try_from(head.lines).ok())
            .map_or(0, after);
        Verification {
            finding: self.finding(recorded, is_running),
            lines: self.lines,
            head: self.head,
            unrecorded,
            given,
            signature,
        }
    }

    /// Whether it was what `head` says when that was noted.
    pub(super) fn is_as(&self, head: &Head) -> bool {
        let is_it = |(line, digest): &(usize, Option<Digest>)| {
            *line as u64 == head.lines && *digest == Some(head.head)
        };
        self.ends.iter().any(is_it)
    }

    fn finding(&self, recorded: Option<&Head>, is_running: Option<bool>) -> Finding {
        if let Some((line, why)) = self.changed.clone() {
            return Finding::Changed { line, why };
        }
        if let Some(head) = recorded {
            if (self.lines as u64) < head.lines {
                let recorded = head.lines;
                return Finding::Cut(Cut::Shorter { recorded });
            }
            if !self.is_as(head) {
                return Finding::Rewritten;
            }
        }
        match (self.ended_s, self.torn, recorded) {
            // What is cut off of a line that is being written is no damage.
            (None, torn, _) => Finding::Unfinished {
                is_running,
                torn: torn.filter(|_| is_running != Some(true)),
            },
            (Some(_), Some(bytes), _) if is_running != Some(true) => Finding::Cut(Cut::Torn(bytes)),
            (Some(_), _, _) if self.head.is_none() => Finding::FormOnly,
            (Some(_), _, Some(_)) => Finding::Complete,
            (Some(_), _, None) => Finding::Unrecorded,
        }
    }
}

/// The same up to the rounding of sums.
fn is_same(told: &Sums, sums: &Sums) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
    told.entries == sums.entries
        && near(told.seconds, sums.seconds)
        && near(told.joules.0, sums.joules.0)
}

fn by_its_own(head: &Head) -> Signature {
    let key = head.key.as_deref().unwrap_or_default();
    match PublicKey::from_hex(key).and_then(|key| key.has_signed(head)) {
        Some(true) => Signature::ByItsOwn(key.to_owned()),
        _ => Signature::Bad,
    }
}

#[cfg(test)]
mod tests;
