//! The way back to lines of the downloaded files: those at hand are read ahead,
//! those that are too long to hold are streamed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};

use serde_json::Value;

use super::answer::{Answer, without_mark};
use super::lenient;
use super::shape::Shape;
use super::slots::Place;
use super::{AnswersFile, unreadable, unwritable};
use crate::error::Error;
use crate::requests::lines::LONGEST_ANSWER;

/// How many files are kept open: some systems allow a process only 256.
const OPEN: usize = 64;

/// How much is read ahead where lines are asked for in the order they stand in.
const AHEAD: u64 = 64 * 1024;

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
        if is_long(place) {
            self.stream(place, to)?;
        } else {
            to.write_all(self.read(place)?).map_err(unwritable)?;
        }
        to.write_all(b"\n").map_err(unwritable)
    }

    /// What a line answers, and all that can be read of it.
    pub(super) fn look(&mut self, place: Place, shape: Shape) -> Result<(Answer<'_>, Value), Error> {
        let answers = &self.answers[place.file];
        let look = || {
            let value = lenient::value(span(answers, place)?)?;
            Ok((Answer::scan(span(answers, place)?, shape)?, value))
        };
        if is_long(place) {
            return look().map_err(|error| unreadable(answers, error));
        }
        let line = self.read(place)?;
        let value = lenient::value(without_mark(line)).unwrap_or_default();
        Ok((Answer::read(line, shape), value))
    }

    /// Copies a line that is too long to hold, a block at a time.
    fn stream(&self, place: Place, to: &mut dyn Write) -> Result<(), Error> {
        let answers = &self.answers[place.file];
        let mut from = span(answers, place).map_err(|error| unreadable(answers, error))?;
        let (mut block, mut left) = (vec![0; AHEAD as usize], place.length);
        while left > 0 {
            let count = from.read(&mut block).map_err(|error| unreadable(answers, error))?;
            if count == 0 {
                return Err(unreadable(answers, io::ErrorKind::UnexpectedEof.into()));
            }
            to.write_all(&block[..count]).map_err(unwritable)?;
            left -= count as u64;
        }
        Ok(())
    }

    /// Reads a line that can be held.
    fn read(&mut self, place: Place) -> Result<&[u8], Error> {
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

/// Whether a line is too long to hold.
fn is_long(place: Place) -> bool {
    place.length > LONGEST_ANSWER as u64
}

/// The bytes of a line, as a stream.
pub(super) fn span(answers: &AnswersFile, place: Place) -> io::Result<impl Read + use<>> {
    let mut file = File::open(&answers.path)?;
    file.seek(SeekFrom::Start(place.offset))?;
    Ok(file.take(place.length))
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
