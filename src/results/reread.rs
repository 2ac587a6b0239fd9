//! Reads lines of the downloaded files again, from where they begin: files in the
//! order of the lines are read ahead, and lines that are too long to hold are streamed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};

use serde_json::Value;

use super::positions::Place;
use super::{AnswersFile, unreadable, unwritable};
use crate::dialects::{Answer, ReadAnswers};
use crate::error::Error;
use crate::json::damaged;
use crate::requests::lines::LONGEST_ANSWER;

/// How many files are kept open: some systems allow a process only 256.
const OPEN: usize = 64;

/// How much is read ahead where lines are asked for in the order they have in the file, in bytes.
const AHEAD: u64 = 64 * 1024;

/// Reads lines of the answers again.
pub(super) struct Rereader<'a> {
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

/// A line of `results.jsonl` or `unexpected.jsonl`, without its line end.
pub(crate) enum Line<'a> {
    /// One of the answers.
    Held(&'a AnswersFile, &'a [u8]),
    /// One of the answers that is too long to hold.
    Long(&'a AnswersFile, Place),
    /// One that we write for a request that has no line.
    Ours(Vec<u8>),
}

impl<'a> Rereader<'a> {
    /// Reads lines of these files.
    pub(super) fn new(answers: &'a [AnswersFile]) -> Self {
        Self { answers, open: HashMap::new() }
    }

    /// The line at `place`.
    pub(super) fn line(&mut self, place: Place) -> Result<Line<'_>, Error> {
        let file = &self.answers[place.file];
        if place.length > LONGEST_ANSWER as u64 {
            return Ok(Line::Long(file, place));
        }
        let line = self.window(place).and_then(|window| window.line(place));
        line.map(|line| Line::Held(file, line)).map_err(|error| unreadable(file, error))
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

impl<'a> Line<'a> {
    /// The file of answers that it is from.
    pub(super) fn file(&self) -> Option<&'a AnswersFile> {
        match self {
            Self::Held(file, _) | Self::Long(file, _) => Some(file),
            Self::Ours(_) => None,
        }
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Held(_, bytes) => bytes.len() as u64,
            Self::Long(_, place) => place.length,
            Self::Ours(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes of an answer that is not too long to hold.
    pub(super) fn held(&self) -> Option<&'a [u8]> {
        if let Self::Held(_, bytes) = self { Some(bytes) } else { None }
    }

    /// What it answers; nothing if it is ours.
    pub(super) fn answer(&self, reader: &dyn ReadAnswers) -> Result<Answer<'a>, Error> {
        match self {
            Self::Held(file, bytes) => Ok(reader.read(bytes, file.endpoint.as_deref())),
            Self::Long(file, place) => span(file, *place)
                .and_then(|mut from| reader.scan(&mut from, file.endpoint.as_deref()))
                .map_err(|error| unreadable(file, error)),
            Self::Ours(_) => Ok(Answer::default()),
        }
    }

    /// All that can be read of it.
    pub(super) fn value(&self) -> Result<Value, Error> {
        match self {
            Self::Held(_, bytes) => Ok(damaged::value(damaged::without_mark(bytes)).unwrap_or_default()),
            Self::Long(file, place) => {
                span(file, *place).and_then(damaged::value).map_err(|error| unreadable(file, error))
            }
            Self::Ours(_) => Ok(Value::Null),
        }
    }

    /// Its first bytes, so many at most.
    pub(super) fn beginning(&self, most: usize) -> Result<Vec<u8>, Error> {
        let first = |bytes: &[u8]| bytes[..bytes.len().min(most)].to_vec();
        match self {
            Self::Held(_, bytes) => Ok(first(bytes)),
            Self::Ours(bytes) => Ok(first(bytes)),
            Self::Long(file, place) => {
                let mut bytes = Vec::new();
                let read = span(file, *place).and_then(|from| from.take(most as u64).read_to_end(&mut bytes));
                read.map(|_| bytes).map_err(|error| unreadable(file, error))
            }
        }
    }

    /// Copies it, and a line end.
    pub(crate) fn copy(&self, to: &mut dyn Write) -> Result<(), Error> {
        match self {
            Self::Held(_, bytes) => to.write_all(bytes).map_err(unwritable)?,
            Self::Ours(bytes) => to.write_all(bytes).map_err(unwritable)?,
            Self::Long(file, place) => stream(file, *place, to)?,
        }
        to.write_all(b"\n").map_err(unwritable)
    }
}

/// Copies a line that is too long to hold, a block at a time.
fn stream(file: &AnswersFile, place: Place, to: &mut dyn Write) -> Result<(), Error> {
    let failed = |error| unreadable(file, error);
    let mut from = span(file, place).map_err(failed)?;
    let (mut block, mut left) = (vec![0; AHEAD as usize], place.length);
    while left > 0 {
        let count = from.read(&mut block).map_err(failed)?;
        if count == 0 {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        to.write_all(&block[..count]).map_err(unwritable)?;
        left -= count as u64;
    }
    Ok(())
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
            // One or two bytes of line end are between a line and the next.
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

/// Fills `buffer` from `offset` on; reads less only at the end of the file.
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
