//! Bytes cut into lines, whatever ends them.

use crate::supervise::progress::LONGEST_LINE;

/// Collects lines. Memory is bounded: of a long line only the beginning is kept.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// What comes before the next end of a line began elsewhere.
    is_torn: bool,
}

impl Lines {
    /// Something was left out: what was begun has no end, and what comes next no beginning.
    pub(super) fn tear(&mut self) {
        self.partial.clear();
        self.is_torn = true;
    }

    /// Gives each line that these bytes end. A carriage return ends one too, since bars are drawn
    /// over each other. A line with a zero byte is none: it is the gap in a file that was truncated
    /// under its writer, or the mark of a relay that left something out.
    pub(super) fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, is_whole) = match part.split_last() {
                Some((b'\n' | b'\r', text)) => (text, true),
                _ => (part, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.partial.len());
            self.partial
                .extend_from_slice(&text[..text.len().min(room)]);
            if is_whole {
                if !std::mem::take(&mut self.is_torn) {
                    give(&self.partial, take);
                }
                self.partial.clear();
            }
        }
    }

    /// Gives the bar that is on the screen, which nothing ends before the next one is drawn. Of
    /// other lines half may be in a buffer yet: `step 120/90` of 9000.
    pub(super) fn peek(&self, take: &mut dyn FnMut(&str)) {
        if !self.is_torn && self.partial.windows(2).any(|pair| pair == b"%|") {
            give(&self.partial, take);
        }
    }
}

fn give(line: &[u8], take: &mut dyn FnMut(&str)) {
    if !line.is_empty() && !line.contains(&0) {
        take(&String::from_utf8_lossy(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, &mut |line| got.push(line.to_owned()));
        }
        got
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let text = b"one\r\ntwo\rthree\n\nfour \xff\n";
        for cut in 0..text.len() {
            let got = lines_of(&[&text[..cut], &text[cut..]]);
            assert_eq!(got, ["one", "two", "three", "four \u{fffd}"], "{cut}");
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.feed(&[b'x'; 1000], &mut |_| panic!("there is no line yet"));
        }
        assert_eq!(lines.partial.len(), LONGEST_LINE);
        let mut got = 0;
        lines.feed(b"y\n", &mut |line| got = line.len());
        assert_eq!(got, LONGEST_LINE);
    }

    #[test]
    fn what_was_torn_is_not_read() {
        assert_eq!(lines_of(&[b"step 120/90\0\nstep 1/2\n"]), ["step 1/2"]);
        let mut lines = Lines::default();
        let mut got = Vec::new();
        lines.feed(b"step 120/90", &mut |_| ());
        lines.tear();
        lines.feed(b"00\nstep 1/2\n", &mut |line| got.push(line.to_owned()));
        assert_eq!(got, ["step 1/2"]);
    }

    #[test]
    fn only_a_bar_is_read_before_its_end() {
        for (text, is_read) in [("\r 3%|x| 3/100 [", true), ("\rstep 120/90", false)] {
            let mut lines = Lines::default();
            lines.feed(text.as_bytes(), &mut |_| ());
            let mut got = 0;
            lines.peek(&mut |_| got += 1);
            assert_eq!(got == 1, is_read, "{text}");
        }
    }
}
