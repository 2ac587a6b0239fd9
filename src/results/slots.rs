//! Where each request's answer stands in the downloaded files, and the way
//! back to it.
//!
//! The rule of who wins is here: the first success, or else the first failure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::answer::Answer;
use super::{AnswersFile, unreadable, unwritable};
use crate::error::Error;
use crate::requests::ids::Ids;

/// How many files are kept open: some systems allow a process only 256.
const OPEN: usize = 64;

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
pub(crate) struct Slots {
    /// The file in the upper 16 bits, the offset in the lower 48.
    places: Vec<u64>,
    /// Lengths, which [`Lines`] keeps below 2^28; 0 without an answer.
    lengths: Vec<u32>,
}

/// Marks the length of an answer that is a success.
const SUCCESS: u32 = 1 << 31;

impl Slots {
    /// Slots for so many requests.
    pub(crate) fn new(total: u64) -> Result<Self, Error> {
        let total = usize::try_from(total).map_err(|error| Error::internal("Too many requests.").because(error))?;
        Ok(Self { places: vec![0; total], lengths: vec![0; total] })
    }

    /// Offers a line. What comes back is the line that answers nothing: this
    /// one, or a failure that this success replaces.
    pub(crate) fn offer(&mut self, place: Place, line: Option<&[u8]>, ids: &Ids) -> Option<Place> {
        let answer = line.and_then(Answer::read);
        let index = answer.as_ref().and_then(Answer::custom_id).and_then(|id| ids.find(id));
        let Some((answer, index)) = answer.zip(index.map(u64::from)) else { return Some(place) };
        let before = self.get(index);
        let at = index as usize;
        let (Some(slot), Some(length)) = (self.places.get_mut(at), self.lengths.get_mut(at)) else {
            return Some(place);
        };
        let (was, is) = (*length & SUCCESS, if answer.succeeded() { SUCCESS } else { 0 });
        let file = u16::try_from(place.file).ok().filter(|_| place.offset < 1 << 48);
        let (Some(file), Ok(short)) = (file, u32::try_from(place.length)) else { return Some(place) };
        if before.is_some() && was >= is {
            return Some(place);
        }
        *slot = u64::from(file) << 48 | place.offset;
        *length = short | is;
        before
    }

    /// Where the answer to the request at `index` stands, if it has one.
    pub(crate) fn get(&self, index: u64) -> Option<Place> {
        let (place, length) = (*self.places.get(index as usize)?, *self.lengths.get(index as usize)? & !SUCCESS);
        let file = (place >> 48) as usize;
        (length > 0).then_some(Place { file, offset: place & ((1 << 48) - 1), length: length.into() })
    }
}

/// Reads lines of the answers again, from where they stand.
pub(crate) struct Ranges<'a> {
    answers: &'a [AnswersFile],
    open: HashMap<usize, File>,
}

impl<'a> Ranges<'a> {
    /// Lines of these files.
    pub(crate) fn new(answers: &'a [AnswersFile]) -> Self {
        Self { answers, open: HashMap::new() }
    }

    /// Reads a line into `line`.
    pub(crate) fn read(&mut self, place: Place, line: &mut Vec<u8>) -> Result<(), Error> {
        line.clear();
        self.copy_bytes(place, line)
    }

    /// Copies a line, and a newline behind it.
    pub(crate) fn copy(&mut self, place: Place, to: &mut dyn Write) -> Result<(), Error> {
        self.copy_bytes(place, to)?;
        to.write_all(b"\n").map_err(unwritable)
    }

    fn copy_bytes(&mut self, place: Place, mut to: &mut dyn Write) -> Result<(), Error> {
        let copied = self.seek(place).and_then(|file| io::copy(&mut file.take(place.length), &mut to));
        match copied {
            Ok(count) if count == place.length => Ok(()),
            outcome => {
                let error = outcome.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                Err(unreadable(&self.answers[place.file], error))
            }
        }
    }

    fn seek(&mut self, place: Place) -> io::Result<&File> {
        if self.open.len() >= OPEN && !self.open.contains_key(&place.file) {
            self.open.clear();
        }
        let file = match self.open.entry(place.file) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(File::open(&self.answers[place.file].path)?),
        };
        file.seek(SeekFrom::Start(place.offset))?;
        Ok(file)
    }
}
