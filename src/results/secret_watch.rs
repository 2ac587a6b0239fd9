//! Watches files of results, while they are written, for secrets of ours that a server put
//! into them.
//!
//! The results keep what the server sent. Whoever publishes them as an artifact
//! should know that a key is in them, and where.

use std::io::{self, Write};

/// How many lines are named.
const NAMED: usize = 5;

/// Passes lines on, and notes those that hold what is looked for.
pub(crate) struct Watch<'a, W> {
    to: W,
    holds: &'a dyn Fn(&[u8]) -> bool,
    /// The number of the line that is being written, from 1.
    line: u64,
    /// The first lines that hold it, and how many do.
    found: (Vec<u64>, u64),
}

impl<'a, W: Write> Watch<'a, W> {
    /// Passes lines on to `to`.
    pub(crate) fn new(to: W, holds: &'a dyn Fn(&[u8]) -> bool) -> Self {
        Self { to, holds, line: 1, found: (Vec::new(), 0) }
    }

    /// Returns what lines were passed on to, and a warning about the file `name` if some held it.
    pub(crate) fn end(self, name: &str) -> (W, Option<String>) {
        let (lines, count) = self.found;
        let named: Vec<String> = lines.iter().map(u64::to_string).collect();
        let more = match count - named.len() as u64 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let is_one = if count == 1 { "line" } else { "lines" };
        let warning = (count > 0).then(|| {
            format!(
                "`{name}` holds the API key or the value of one of `headers`, as the provider sent it, on {is_one} \
                 {}{more}. Do not publish the file, and replace the key if others have read it.",
                named.join(", ")
            )
        });
        (self.to, warning)
    }

    fn look(&mut self, lines: &[u8]) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', lines).chain([lines.len()]) {
            if end > from && (self.holds)(&lines[from..end]) && self.found.0.last() != Some(&self.line) {
                self.found.1 += 1;
                if self.found.0.len() < NAMED {
                    self.found.0.push(self.line);
                }
            }
            self.line += u64::from(end < lines.len());
            from = end + 1;
        }
    }
}

impl<W: Write> Write for Watch<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    /// Callers write whole lines, each with one call, so that no secret is divided.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.look(bytes);
        self.to.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::Watch;

    fn watched(lines: &[&str]) -> (String, Option<String>) {
        let holds = |line: &[u8]| line.windows(3).any(|part| part == b"key");
        let mut watch = Watch::new(Vec::new(), &holds);
        for line in lines {
            watch.write_all(line.as_bytes()).and_then(|()| watch.write_all(b"\n")).unwrap();
        }
        let (written, warning) = watch.end("results.jsonl");
        (String::from_utf8(written).unwrap(), warning)
    }

    #[test]
    fn lines_pass_as_they_are_and_those_that_hold_it_are_named() {
        assert_eq!(watched(&["a", "b"]), ("a\nb\n".to_owned(), None));
        let (written, warning) = watched(&["a", "the key, the key", "ke", "y"]);
        assert_eq!(written, "a\nthe key, the key\nke\ny\n");
        assert!(warning.unwrap().contains("on line 2. Do not"));
        let (_, warning) = watched(&["key"; 12]);
        assert!(warning.unwrap().contains("on lines 1, 2, 3, 4, 5 and 7 more. Do not"));
    }
}
