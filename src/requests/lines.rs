//! Lines of bytes, one at a time, from a file of any size.
//!
//! Lines end at `\n` and nowhere else: a JSON string may hold every other thing
//! that Unicode calls a line break. Memory is one buffer that grows to the
//! longest line and never beyond a limit; a longer line is reported, not held.

use std::io::{self, Read};
use std::iter;

/// The longest request that is looked into, in bytes. No provider that we know of
/// documents a limit for one; this is a third of what OpenAI takes as a whole file.
pub(crate) const LONGEST_REQUEST: usize = 64 * 1024 * 1024;

/// The longest answer that is held. One to 2,048 embeddings inputs is about as
/// long; a longer one is read as a stream.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

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
    /// Its bytes; none if they are more than are held.
    pub(crate) bytes: Option<&'a [u8]>,
}

/// Whole lines, side by side: all that were read at once, or one that is too long to hold.
pub(crate) struct Block<'a> {
    /// Their bytes, with the line ends; none of a line that is too long.
    pub(crate) bytes: &'a [u8],
    /// Where they begin, in bytes from the start.
    pub(crate) offset: u64,
    too_long: Option<u64>,
    longest: usize,
}

impl<'a> Block<'a> {
    /// The lines, one at a time.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let Self { mut offset, longest, .. } = *self;
        let mut rest = self.bytes;
        let mut too_long = self.too_long.map(|length| Line { offset, length, bytes: None });
        iter::from_fn(move || {
            if rest.is_empty() {
                return too_long.take();
            }
            let (bytes, after) = rest.split_at(memchr::memchr(b'\n', rest).unwrap_or(rest.len()));
            let line = Line { offset, length: bytes.len() as u64, bytes: (bytes.len() <= longest).then_some(bytes) };
            offset += line.length + 1;
            rest = after.get(1..).unwrap_or_default();
            Some(line)
        })
    }
}

/// Reads lines.
pub(crate) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that are read but not given out.
    start: usize,
    end: usize,
    /// Where `buffer[start]` is in the whole.
    offset: u64,
    block: usize,
    longest: usize,
}

impl<R: Read> Lines<R> {
    /// The lines of `reader`, of which those that are longer than `longest` are not held.
    pub(crate) fn new(reader: R, longest: usize) -> Self {
        Self::sized(reader, BLOCK, longest)
    }

    fn sized(reader: R, block: usize, longest: usize) -> Self {
        Self { reader, buffer: vec![0; block], start: 0, end: 0, offset: 0, block, longest }
    }

    /// The next line; none at the end. A last line may lack its `\n`, and
    /// nothing after the last `\n` is no line.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let block = self.until(|bytes| memchr::memchr(b'\n', bytes))?;
        Ok(block.and_then(|block| block.lines().next()))
    }

    /// All lines that are held already, or the next line if none is; none at the end.
    pub(crate) fn block(&mut self) -> io::Result<Option<Block<'_>>> {
        self.until(|bytes| memchr::memrchr(b'\n', bytes))
    }

    /// The lines up to the line end that is found in what is held.
    fn until(&mut self, find: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Option<Block<'_>>> {
        let mut searched = 0;
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(at) = find(&held[searched..]) {
                return Ok(Some(self.give(searched + at + 1)));
            }
            searched = held.len();
            if searched > self.longest {
                return self.pass_over().map(Some);
            }
            if self.fill()? == 0 {
                return Ok((searched > 0).then(|| self.give(searched)));
            }
        }
    }

    fn give(&mut self, length: usize) -> Block<'_> {
        let from = self.start;
        let offset = self.advance(length);
        Block { bytes: &self.buffer[from..from + length], offset, too_long: None, longest: self.longest }
    }

    /// Moves on by `count` bytes; returns the offset before.
    fn advance(&mut self, count: usize) -> u64 {
        self.start += count;
        self.offset += count as u64;
        self.offset - count as u64
    }

    /// Skips a line that is too long to hold.
    fn pass_over(&mut self) -> io::Result<Block<'static>> {
        let (offset, longest) = (self.offset, self.longest);
        let block = |length| Block { bytes: &[], offset, too_long: Some(length), longest };
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', held) {
                self.advance(at + 1);
                return Ok(block(self.offset - 1 - offset));
            }
            self.advance(self.end - self.start);
            if self.fill()? == 0 {
                return Ok(block(self.offset - offset));
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

    use super::{Line, Lines};

    fn read(bytes: &[u8], block: usize, longest: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let owned = |line: &Line<'_>| {
            assert!(line.bytes.is_none_or(|bytes| bytes.len() as u64 == line.length));
            (line.offset, line.bytes.map(<[u8]>::to_vec))
        };
        let mut lines = Lines::sized(bytes, block, longest);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(owned(&line));
        }
        assert!(lines.buffer.len() <= longest + block, "{} bytes held", lines.buffer.len());

        let mut blocks = Lines::sized(bytes, block, longest);
        let (mut same, mut held) = (Vec::new(), Vec::new());
        while let Some(block) = blocks.block().unwrap() {
            same.extend(block.lines().map(|line| owned(&line)));
            held.extend_from_slice(block.bytes);
        }
        assert_eq!(all, same);
        assert!(blocks.buffer.len() <= longest + block && (held == bytes || longest < bytes.len()));
        all
    }

    #[test]
    fn a_line_over_the_limit_is_reported_and_skipped() {
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
