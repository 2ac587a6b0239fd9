//! Lines of bytes, one at a time, from a file of any size.
//!
//! Lines end at `\n` and nowhere else: a JSON string may hold every other thing
//! that Unicode calls a line break. Memory is one buffer that grows to the
//! longest line and never beyond [`LONGEST`]; a longer line is told, not held.

use std::io::{self, Read};

/// The longest line that is looked into, in bytes. No provider takes a request
/// of that size; an answer to 2,048 embeddings inputs has a third of it.
pub(crate) const LONGEST: usize = 256 * 1024 * 1024;

/// How much is read at a time: small enough to be in the cache still when it is
/// looked into, large enough for a digest to run at full speed.
const BLOCK: usize = 256 * 1024;

/// A line, without its `\n`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Where it begins, in bytes from the start.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its bytes; none if they are more than [`LONGEST`].
    pub(crate) bytes: Option<&'a [u8]>,
}

/// Reads lines.
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that are read but not given out.
    start: usize,
    end: usize,
    /// Where `buffer[start]` stands in the whole.
    offset: u64,
    block: usize,
    longest: usize,
}

impl<R: Read> Lines<R> {
    /// The lines of `reader`.
    pub(crate) fn new(reader: R) -> Self {
        Self::sized(reader, BLOCK, LONGEST)
    }

    fn sized(reader: R, block: usize, longest: usize) -> Self {
        Self { reader, buffer: vec![0; block], start: 0, end: 0, offset: 0, block, longest }
    }

    /// The next line; none at the end. A last line may lack its `\n`, and
    /// nothing after the last `\n` is no line.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(length) = memchr::memchr(b'\n', &held[searched..]).map(|at| searched + at) {
                return Ok(Some(self.give(length, 1)));
            }
            searched = held.len();
            if searched > self.longest {
                return self.pass_over().map(Some);
            }
            if self.fill()? == 0 {
                return Ok((searched > 0).then(|| self.give(searched, 0)));
            }
        }
    }

    /// The reader, with whatever it has gathered on the way.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    fn give(&mut self, length: usize, ending: usize) -> Line<'_> {
        let from = self.start;
        let offset = self.advance(length + ending);
        let bytes = (length <= self.longest).then(|| &self.buffer[from..from + length]);
        Line { offset, length: length as u64, bytes }
    }

    /// Moves on by `count` bytes; returns the offset before.
    fn advance(&mut self, count: usize) -> u64 {
        self.start += count;
        self.offset += count as u64;
        self.offset - count as u64
    }

    /// Skips a line that is too long to hold.
    fn pass_over(&mut self) -> io::Result<Line<'static>> {
        let offset = self.offset;
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', held) {
                self.advance(at + 1);
                return Ok(Line { offset, length: self.offset - 1 - offset, bytes: None });
            }
            self.advance(self.end - self.start);
            if self.fill()? == 0 {
                return Ok(Line { offset, length: self.offset - offset, bytes: None });
            }
        }
    }

    /// Reads more behind what is held; 0 at the end.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let most = self.longest + self.block;
            self.buffer.resize(most.min(self.buffer.len() * 2), 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Lines;

    fn read(bytes: &[u8], block: usize, longest: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::sized(bytes, block, longest);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            assert!(line.bytes.is_none_or(|bytes| bytes.len() as u64 == line.length));
            all.push((line.offset, line.bytes.map(<[u8]>::to_vec)));
        }
        assert!(lines.buffer.len() <= longest + block, "{} bytes held", lines.buffer.len());
        all
    }

    #[test]
    fn a_line_over_the_limit_is_told_and_passed_over() {
        let mut bytes = vec![b'x'; 1000];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(read(&bytes, 4, 10), [(0, None), (1001, Some(b"next".to_vec()))]);
        assert_eq!(read(&[b'x'; 11], 4, 10), [(0, None)]);
        assert_eq!(read(&[b'x'; 10], 64, 10), [(0, Some(vec![b'x'; 10]))]);
    }

    proptest! {
        #[test]
        fn the_size_of_a_block_has_no_effect(text in "[a\u{2028}\r\n]{0,60}", block in 1usize..20) {
            let mut expected: Vec<&[u8]> = text.as_bytes().split(|&byte| byte == b'\n').collect();
            if expected.last().is_some_and(|last| last.is_empty()) {
                expected.pop();
            }
            let lines = read(text.as_bytes(), block, 1000);
            prop_assert_eq!(lines.iter().map(|line| line.1.as_deref().unwrap()).collect::<Vec<_>>(), expected);
            for (offset, line) in &lines {
                prop_assert!(text.as_bytes()[*offset as usize..].starts_with(line.as_deref().unwrap()));
            }
        }
    }
}
