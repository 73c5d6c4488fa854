//! Text that others chose, made harmless for a terminal.

/// `text` with what a terminal would obey, or what would turn its order around, shown as an
/// escape: control characters (line ends too), and the marks for the direction of writing.
pub fn harmless(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        let is_hidden = matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{ad}');
        if c.is_control() || turns || is_hidden {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let bad = "a\x1b[31mb\rc\nd\u{9b}2Je\u{202e}f\x07\u{7f}";
        assert_eq!(
            harmless(bad),
            r"a\u{1b}[31mb\rc\nd\u{9b}2Je\u{202e}f\u{7}\u{7f}"
        );
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            assert!(
                !harmless(&c.to_string()).contains(char::is_control),
                "{c:?}"
            );
        }
    }

    #[test]
    fn words_of_any_language_stay_as_they_are() {
        let good = "python train.py --name=Größe 訓練 −12 g …";
        assert_eq!(harmless(good), good);
    }
}
