//! Where each request's answer stands in the downloaded files, and the way
//! back to it.
//!
//! The rule of who wins is here: the first success, or else the first failure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Write};

use super::{AnswersFile, unreadable, unwritable};
use crate::error::Error;

/// How many files are kept open: some systems allow a process only 256.
const OPEN: usize = 64;

/// How much is read ahead where lines are asked for in the order they stand in.
const AHEAD: u64 = 64 * 1024;

/// A line of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's index.
    pub(crate) file: usize,
    /// In bytes.
    pub(crate) offset: u64,
    /// In bytes, without its ending.
    pub(crate) length: u64,
}

/// The place of each request's answer, in 12 bytes.
pub(crate) struct Slots(Vec<Slot>);

/// The file in the upper 16 bits of the first two, the offset in the lower 48;
/// then the length, which is kept below 2^28, or 0 without an answer.
type Slot = [u32; 3];

/// Marks the length of an answer that is a success.
const SUCCESS: u32 = 1 << 31;

impl Slots {
    /// Slots for so many requests.
    pub(crate) fn new(total: u64) -> Result<Self, Error> {
        let total = usize::try_from(total).map_err(|error| Error::internal("Too many requests.").because(error))?;
        Ok(Self(vec![Slot::default(); total]))
    }

    /// Offers the answer at `place` to the request at `index`. What comes back
    /// is the line that answers nothing: this one, or a failure that this
    /// success replaces.
    pub(crate) fn offer(&mut self, place: Place, index: u32, succeeded: bool) -> Option<Place> {
        let before = self.get(index.into()).map(|(place, _)| place);
        let Some(slot) = self.0.get_mut(index as usize) else { return Some(place) };
        let (was, is) = (slot[2] & SUCCESS, if succeeded { SUCCESS } else { 0 });
        let file = u16::try_from(place.file).ok().filter(|_| place.offset < 1 << 48);
        let (Some(file), Ok(length)) = (file, u32::try_from(place.length)) else { return Some(place) };
        if before.is_some() && was >= is {
            return Some(place);
        }
        let start = u64::from(file) << 48 | place.offset;
        *slot = [(start >> 32) as u32, start as u32, length | is];
        before
    }

    /// Where the answer to the request at `index` stands, if it has one, and whether it is a success.
    pub(crate) fn get(&self, index: u64) -> Option<(Place, bool)> {
        let [high, low, length] = *self.0.get(index as usize)?;
        let (start, succeeded) = (u64::from(high) << 32 | u64::from(low), length & SUCCESS > 0);
        let place =
            Place { file: (start >> 48) as usize, offset: start & ((1 << 48) - 1), length: (length & !SUCCESS).into() };
        (place.length > 0).then_some((place, succeeded))
    }
}

/// Reads lines of the answers again, from where they stand.
pub(crate) struct Ranges<'a> {
    answers: &'a [AnswersFile],
    open: HashMap<usize, Window>,
}

/// A file, and the bytes of it that were read last.
struct Window {
    file: File,
    start: u64,
    bytes: Vec<u8>,
    /// Where the last line that was asked for ends.
    asked: u64,
}

impl<'a> Ranges<'a> {
    /// Lines of these files.
    pub(crate) fn new(answers: &'a [AnswersFile]) -> Self {
        Self { answers, open: HashMap::new() }
    }

    /// Copies a line, and a newline behind it.
    pub(crate) fn copy(&mut self, place: Place, to: &mut dyn Write) -> Result<(), Error> {
        to.write_all(self.read(place)?).and_then(|()| to.write_all(b"\n")).map_err(unwritable)
    }

    /// Reads a line.
    pub(crate) fn read(&mut self, place: Place) -> Result<&[u8], Error> {
        let answers = &self.answers[place.file];
        self.window(place).and_then(|window| window.line(place)).map_err(|error| unreadable(answers, error))
    }

    fn window(&mut self, place: Place) -> io::Result<&mut Window> {
        if self.open.len() >= OPEN && !self.open.contains_key(&place.file) {
            self.open.clear();
        }
        Ok(match self.open.entry(place.file) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let file = File::open(&self.answers[place.file].path)?;
                entry.insert(Window { file, start: 0, bytes: Vec::new(), asked: 0 })
            }
        })
    }
}

impl Window {
    fn line(&mut self, place: Place) -> io::Result<&[u8]> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if !held.contains(&place.offset) || held.end < place.offset + place.length {
            // A line end, or two characters of one, is between a line and the next.
            let goes_on = (self.asked..=self.asked + 2).contains(&place.offset);
            let count = if goes_on { place.length.max(AHEAD) } else { place.length };
            self.start = place.offset;
            self.bytes.resize(usize::try_from(count).map_err(io::Error::other)?, 0);
            let count = read_at(&self.file, &mut self.bytes, place.offset)?;
            self.bytes.truncate(count);
        }
        self.asked = place.offset + place.length;
        let from = (place.offset - self.start) as usize;
        self.bytes.get(from..from + place.length as usize).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Fills `buffer` from `offset` on; less only at the file's end.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, &mut buffer[count..], offset + count as u64);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, &mut buffer[count..], offset + count as u64);
        match read {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
