//! Text that others chose (names, labels, zones, reasons, what providers and devices say), made
//! harmless: one function for each place that it may end up in.
//!
//! What such a place would obey is shown as an escape or quoted by the place's own rules; words of
//! any language stay as they are. All functions but [`terminal`] go through it first, so that marks
//! which turn the direction of writing around deceive nobody anywhere.

use std::borrow::Cow;

/// Most characters of a label's value: a store of series keeps each of them for ever.
const LABEL: usize = 128;

/// For a terminal: control characters (line ends too), hidden characters and the marks for the
/// direction of writing are shown as escapes.
pub fn terminal(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

fn is_obeyed(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let is_hidden = matches!(c, '\u{200b}'..='\u{200d}' | '\u{feff}' | '\u{ad}');
    c.is_control() || turns || is_hidden
}

/// For text and for quoted attributes of HTML, and of SVG inside it.
pub fn html(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in terminal(text).chars() {
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '"' => clean.push_str("&quot;"),
            '\'' => clean.push_str("&#39;"),
            c => clean.push(c),
        }
    }
    clean
}

/// For a cell that a spreadsheet may open: what it would take for a formula gets an apostrophe
/// before it (<https://owasp.org/www-community/attacks/CSV_Injection>). Quotes and commas are the
/// affair of the writer of the file. Not for numbers of our own, which may be negative.
pub fn csv(text: &str) -> String {
    let is_formula = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠');
    let clean = terminal(text);
    let begins = text.starts_with(['\t', '\r', '\n']) || clean.trim_start().starts_with(is_formula);
    match begins {
        true => format!("'{clean}"),
        false => clean,
    }
}

/// For a paragraph, a list or a cell of a table in Markdown: whatever could begin markup, HTML or
/// a link, or end the cell, is quoted.
pub fn markdown(text: &str) -> String {
    let text = terminal(text);
    let mut clean = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let is_markup = matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '{' | '}' | '|' | '~' | '#' | '!' | '$' | '^'
        );
        // A bare address becomes a link by itself: `http://`, `www.`, `a@b.c`.
        let is_address = (c == ':' && rest.as_str().starts_with("//"))
            || (c == '.' && before.eq_ignore_ascii_case(&'w'));
        // At the beginning of a line they make lists, headings and rules.
        let is_start = clean.is_empty() && matches!(c, '-' | '+' | '=' | ':');
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '@' => clean.push_str("&#64;"),
            c if is_markup || is_address || is_start => {
                clean.push('\\');
                clean.push(c);
            }
            c => clean.push(c),
        }
        before = c;
    }
    clean
}

/// For the value of a label between quotes in Prometheus's text format, which has three escapes
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Long ones are cut.
pub fn prometheus(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in shortened(text).chars() {
        match c {
            '\\' => clean.push_str(r"\\"),
            '"' => clean.push_str("\\\""),
            '\n' => clean.push_str(r"\n"),
            c if is_obeyed(c) => {
                clean.push('\\');
                clean.extend(c.escape_default());
            }
            c => clean.push(c),
        }
    }
    clean
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LABEL) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let bad = "a\x1b[31mb\rc\nd\u{9b}2Je\u{202e}f\x07\u{7f}";
        assert_eq!(
            terminal(bad),
            r"a\u{1b}[31mb\rc\nd\u{9b}2Je\u{202e}f\u{7}\u{7f}"
        );
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            for sink in [terminal, html, csv, markdown, prometheus] {
                assert!(!sink(&c.to_string()).contains(is_obeyed), "{c:?}");
            }
        }
    }

    #[test]
    fn words_of_any_language_stay_as_they_are() {
        let good = "python train.py --name Größe 訓練 −12 g …";
        for sink in [terminal, html, csv, markdown, prometheus] {
            assert_eq!(sink(good), good);
        }
    }

    #[test]
    fn html_has_neither_tags_nor_the_end_of_an_attribute() {
        assert_eq!(
            html("</script>\"x\" onload='y' &amp; \u{202e}z"),
            r"&lt;/script&gt;&quot;x&quot; onload=&#39;y&#39; &amp;amp; \u{202e}z"
        );
    }

    #[test]
    fn a_spreadsheet_calculates_nothing() {
        for bad in [
            "=HYPERLINK(1)",
            "+1",
            "-1+1",
            "@SUM(1)",
            "\t=1",
            "\r=1",
            " =1",
            "＝1",
        ] {
            assert!(csv(bad).starts_with('\''), "{bad:?}: {}", csv(bad));
        }
        for good in ["finetune", "a=b", "12 %", "a\nb"] {
            assert!(!csv(good).starts_with('\''), "{good:?}");
        }
        assert_eq!(csv("a\nb"), r"a\nb");
    }

    #[test]
    fn markdown_has_no_markup_of_others() {
        assert_eq!(
            markdown("a|b `c` <b>x</b> [l](http://e) www.e.com a@b.c\n# h"),
            r"a\|b \`c\` &lt;b&gt;x&lt;/b&gt; \[l\](http\://e) www\.e.com a&#64;b.c\\n\# h"
        );
        assert_eq!(markdown("- x"), r"\- x");
        assert_eq!(markdown("train.py 0.375 W/GB"), "train.py 0.375 W/GB");
    }

    #[test]
    fn a_label_of_prometheus_ends_where_it_should() {
        assert_eq!(prometheus("{a=\"b\"}\\\nc\r"), r#"{a=\"b\"}\\\nc\\r"#);
        assert_eq!(prometheus(&"x".repeat(500)).chars().count(), LABEL + 1);
    }
}
