//! Reading a shard: some lines of the requests as if there were no others.

use std::io::{self, Read};

use super::shards::{Range, Shard};
use super::source::{Reader, Source};

/// The bytes in a shard's ranges, one after another.
pub(crate) struct Ranged {
    reader: Reader,
    /// The reader's position, in bytes from the start.
    at: u64,
    /// The ranges that are still to come.
    ranges: std::vec::IntoIter<Range>,
    /// What is left of the range at hand.
    left: u64,
    /// Whether these are all requests, and nothing may come after them.
    is_whole: bool,
}

impl Source {
    /// Reads exactly the bytes of a shard, blocking.
    pub(crate) fn open_shard(&self, shard: &Shard) -> Ranged {
        let is_whole = shard.bytes == self.bytes();
        Ranged { reader: self.open(), at: 0, ranges: shard.ranges.clone().into_iter(), left: 0, is_whole }
    }
}

impl Read for Ranged {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some(range) = self.ranges.next() else {
                return if self.is_whole { self.reader.read(buffer) } else { Ok(0) };
            };
            self.reader.skip(range.offset - self.at)?;
            (self.at, self.left) = (range.offset, range.length.into());
        }
        let limit = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut buffer[..limit])?;
        (self.at, self.left) = (self.at + count as u64, self.left - count as u64);
        Ok(count)
    }
}
