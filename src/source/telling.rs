//! What a run is told of its sources: words when something has changed, none when the same goes on
//! failing. Pure.

use super::Gathered;
use crate::forecast::Kind;

/// What of the sources has been told.
#[derive(Debug, Default)]
pub struct Telling {
    /// By whom and how the zone was last known, and whether anybody failed.
    state: Option<(String, Kind, bool)>,
}

/// A sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The result is worse than promised.
    Trouble(String),
    /// Worth knowing.
    Note(String),
}

impl Telling {
    /// Whether nothing was gathered yet.
    pub fn is_first(&self) -> bool {
        self.state.is_none()
    }

    /// What there is to say of what was gathered, and of what the caller's limits did meanwhile:
    /// their `changes` are the same outage in other words, told where there are no better ones.
    pub fn words(&mut self, gathered: &Gathered, changes: Vec<String>) -> Vec<Word> {
        let Gathered {
            knowledge,
            trouble,
            notes,
            ..
        } = gathered;
        let state = (knowledge.source.clone(), knowledge.kind, trouble.is_some());
        let was_bad = self.state.as_ref().is_some_and(|(.., bad)| *bad);
        let mut words = Vec::new();
        if self.state.as_ref() != Some(&state) {
            match trouble {
                Some(trouble) => words.push(Word::Trouble(trouble.to_string())),
                None if was_bad => words.push(Word::Note(format!("{} answers again", state.0))),
                None => {}
            }
            words.extend(notes.iter().cloned().map(Word::Note));
            self.state = Some(state);
        }
        if words.is_empty() {
            words.extend(changes.into_iter().map(Word::Note));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::{Trouble, builtin};

    fn gathered(source: &str, trouble: Option<&str>) -> Gathered {
        let mut knowledge = builtin::knowledge("DE");
        source.clone_into(&mut knowledge.source);
        Gathered {
            knowledge,
            of: None,
            tried: Vec::new(),
            trouble: trouble.map(|why| Trouble {
                failed: vec![why.to_owned()],
                instead: "another".to_owned(),
            }),
            next: Duration::from_secs(300),
            notes: Vec::new(),
        }
    }

    #[test]
    fn an_outage_is_one_warning_and_its_end_one_sentence() {
        let mut telling = Telling::default();
        let mut words = Vec::new();
        let bad = |why| gathered("neso", Some(why));
        let rounds = [
            gathered("neso", None),
            bad("reset"),
            bad("late"),
            gathered("neso", None),
        ];
        for round in rounds {
            words.extend(telling.words(&round, Vec::new()));
        }
        let trouble = Word::Trouble("reset; another instead".to_owned());
        let back = Word::Note("neso answers again".to_owned());
        assert_eq!(words, [trouble, back]);
    }

    #[test]
    fn what_the_limits_did_is_told_where_nothing_else_is() {
        let mut telling = Telling::default();
        let changes = || vec!["neso is left alone".to_owned()];
        let first = telling.words(&gathered("neso", Some("reset")), changes());
        assert_eq!(first, [Word::Trouble("reset; another instead".to_owned())]);
        let second = telling.words(&gathered("neso", Some("reset")), changes());
        assert_eq!(
            second,
            changes().into_iter().map(Word::Note).collect::<Vec<_>>()
        );
    }
}
