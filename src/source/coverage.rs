//! What a key's plan covers, in words for a person whose key is good and was turned away.

use super::reading::quote;

/// Names that are told; the rest is counted.
const FEW: usize = 5;

/// Characters of a name that are told.
const LONGEST_NAME: usize = 24;

/// What the plan covers of `place`, if anything; else which `others` it covers.
pub(super) fn told(place: &str, of_place: Option<String>, others: &[&str]) -> String {
    let place = quote(place);
    match (of_place, others.len()) {
        (Some(what), _) => format!("it covers {what} of {place}"),
        (None, 0) => "it covers nothing that is asked for here".to_owned(),
        (None, 1..=FEW) => format!("it covers {} only", list(others)),
        (None, _) => format!("it covers {}, and not {place}", list(others)),
    }
}

/// `FR`, `FR and ES`, `FR, ES and PT`; `FR, ES, PT, IT, BE and 40 more`.
pub(super) fn list(names: &[&str]) -> String {
    let few = &names[..names.len().min(FEW)];
    let mut few: Vec<String> = few.iter().map(|name| short(name)).collect();
    if names.len() > FEW {
        few.push(format!("{} more", names.len() - FEW));
    }
    match few.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

fn short(name: &str) -> String {
    quote(name).chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_covers_of_a_place_is_told_before_other_places_are() {
        let history = || Some("history".to_owned());
        assert_eq!(told("DE", history(), &["FR"]), "it covers history of DE");
        assert_eq!(told("DE", None, &["FR", "ES"]), "it covers FR and ES only");
        assert_eq!(
            told("DE", None, &[]),
            "it covers nothing that is asked for here"
        );
    }

    #[test]
    fn however_much_a_plan_covers_a_line_is_enough_to_tell() {
        let names = ["A\u{1b}[31m", "B", "C", "D", "E", "F", "G"];
        assert_eq!(
            told("DE", None, &names),
            "it covers A [31m, B, C, D, E and 2 more, and not DE"
        );
        let long = "x".repeat(1000);
        assert!(told("DE", None, &[long.as_str(); 1000]).len() < 200);
    }
}
