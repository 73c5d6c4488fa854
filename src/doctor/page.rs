//! Findings for people: a mark, the name, what was found and what to do, and a last line that counts.

use super::{Finding, Outcome};
use crate::report::text::harmless;
use crate::words::{Look, Paint};

/// Columns of text below which names get a line of their own.
const NARROW: usize = 32;

/// The page. Lines are broken to `width` columns; without one each finding has one line, for who
/// searches it.
pub fn page(findings: &[Finding], look: Look, width: Option<usize>) -> String {
    let names = findings
        .iter()
        .map(|finding| finding.name.chars().count())
        .max();
    let layout = Layout {
        look,
        width,
        names: names.unwrap_or_default(),
    };
    let mut page = String::new();
    for finding in findings {
        layout.finding(finding, &mut page);
    }
    page.push_str(&count(findings));
    page.push('\n');
    page
}

struct Layout {
    look: Look,
    width: Option<usize>,
    /// Columns of the longest name.
    names: usize,
}

impl Layout {
    fn finding(&self, finding: &Finding, page: &mut String) {
        let (mark, paint) = match finding.outcome {
            Outcome::Ok => ("✓", Paint::Clean),
            Outcome::CouldBeBetter => ("!", Paint::Middling),
            Outcome::Broken => ("✗", Paint::Dirty),
        };
        // In ASCII a mark may have two letters.
        let marks = if self.look.unicode { 1 } else { 2 };
        let mark = format!("{:marks$}", self.look.text(mark));
        let name = format!("{:1$}", finding.name, self.names);
        let found = self.look.text(&harmless(&finding.found));
        let fix = finding.fix.as_ref();
        let fix = fix.map(|fix| self.look.text(&format!("→ {}", harmless(fix))));
        let indent = marks + 1 + self.names + 2;
        let head = format!("{} {name}", self.look.paint(paint, &mark));
        let whole = match &fix {
            Some(fix) => format!("{found} {fix}"),
            None => found.clone(),
        };
        let room = (self.width).map(|width| width.saturating_sub(indent));
        match room {
            None => page.push_str(&format!("{head}  {whole}\n")),
            Some(room) if whole.chars().count() <= room => {
                page.push_str(&format!("{head}  {whole}\n"));
            }
            Some(room) => {
                // What to do begins a line, so that it can be copied from there.
                let is_narrow = room < NARROW;
                let indent = if is_narrow { marks + 1 } else { indent };
                let room = (self.width.unwrap_or_default()).saturating_sub(indent);
                let mut lines = wrapped(&found, room);
                for (index, line) in fix
                    .iter()
                    .flat_map(|fix| wrapped(fix, room.saturating_sub(2)))
                    .enumerate()
                {
                    lines.push(if index == 0 {
                        line
                    } else {
                        format!("  {line}")
                    });
                }
                let mut lines = lines.into_iter();
                match is_narrow {
                    true => page.push_str(&format!("{}\n", head.trim_end())),
                    false => {
                        let first = lines.next().unwrap_or_default();
                        page.push_str(&format!("{head}  {first}\n"));
                    }
                }
                for line in lines {
                    page.push_str(&format!("{:indent$}{line}\n", ""));
                }
            }
        }
    }
}

/// Lines of at most `room` columns; a word that is longer stays whole, since it may be a path.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the start");
        let is_first = line.is_empty();
        let needed = line.chars().count() + usize::from(!is_first) + word.chars().count();
        if is_first {
            line.push_str(word);
        } else if needed <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn count(findings: &[Finding]) -> String {
    let of = |outcome| {
        findings
            .iter()
            .filter(|finding| finding.outcome == outcome)
            .count()
    };
    let things = |count: usize| match count {
        1 => "1 thing".to_owned(),
        many => format!("{many} things"),
    };
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    match (of(Outcome::Broken), of(Outcome::CouldBeBetter)) {
        (0, 0) => "Everything works.".to_owned(),
        (0, better) => format!("Nothing is broken, {} could be better.", things(better)),
        (broken, 0) => format!("{} {} broken.", things(broken), are(broken)),
        (broken, better) => format!(
            "{} {} broken, {better} could be better.",
            things(broken),
            are(broken)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 3] {
        [
            Finding::ok("zone", "DE, from /home/ada/.config/catrain/config.toml"),
            Finding::broken("keys", "watttime has none", "catrain key set watttime"),
            Finding::better(
                "cpu energy",
                "/sys/class/powercap/intel-rapl:0/energy_uj is readable by root only",
                "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj, until the next boot",
            ),
        ]
    }

    #[test]
    fn names_are_aligned_and_what_is_long_is_broken_between_words() {
        insta::assert_snapshot!(page(&findings(), Look::PLAIN, Some(80)), @r"
        ✓ zone        DE, from /home/ada/.config/catrain/config.toml
        ✗ keys        watttime has none → catrain key set watttime
        ! cpu energy  /sys/class/powercap/intel-rapl:0/energy_uj is readable by root
                      only
                      → sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj,
                        until the next boot
        1 thing is broken, 1 could be better.
        ");
    }

    #[test]
    fn a_narrow_terminal_has_names_on_lines_of_their_own() {
        insta::assert_snapshot!(page(&findings(), Look::PLAIN, Some(40)), @r"
        ✓ zone
          DE, from
          /home/ada/.config/catrain/config.toml
        ✗ keys
          watttime has none
          → catrain key set watttime
        ! cpu energy
          /sys/class/powercap/intel-rapl:0/energy_uj
          is readable by root only
          → sudo chmod a+r
            /sys/class/powercap/intel-rapl:*/energy_uj,
            until the next boot
        1 thing is broken, 1 could be better.
        ");
    }

    #[test]
    fn without_a_terminal_each_finding_is_one_line() {
        let page = page(&findings(), Look::PLAIN, None);
        assert_eq!(page.lines().count(), 4);
        assert!(page.contains("root only → sudo chmod"), "{page}");
    }

    #[test]
    fn ascii_and_colours_keep_the_columns() {
        let look = Look {
            unicode: false,
            ..Look::PLAIN
        };
        let ascii = page(&findings()[..2], look, None);
        assert_eq!(
            ascii,
            "ok zone  DE, from /home/ada/.config/catrain/config.toml\n\
             x  keys  watttime has none -> catrain key set watttime\n1 thing is broken.\n"
        );
        let look = Look {
            colour: true,
            ..Look::PLAIN
        };
        let coloured = page(&findings()[..1], look, Some(80));
        assert!(
            coloured.starts_with("\x1b[32m✓\x1b[0m zone  DE"),
            "{coloured:?}"
        );
    }

    #[test]
    fn a_terminal_obeys_nothing_that_was_found() {
        let found = [Finding::better("runs", "\x1b[2J\n", "rm '\u{202e}'")];
        let page = page(&found, Look::PLAIN, None);
        assert!(!page.contains(['\x1b', '\u{202e}']) && page.lines().count() == 2);
    }

    #[test]
    fn the_last_line_counts() {
        let [ok, broken, better] = findings();
        let of = |list: &[&Finding]| count(&list.iter().copied().cloned().collect::<Vec<_>>());
        assert_eq!(of(&[&ok]), "Everything works.");
        let one = "Nothing is broken, 1 thing could be better.";
        assert_eq!(of(&[&ok, &better]), one);
        let two = "2 things are broken, 2 could be better.";
        assert_eq!(of(&[&broken, &broken, &better, &better]), two);
    }
}
