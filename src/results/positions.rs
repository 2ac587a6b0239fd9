//! The position of each request's answer in the downloaded files.
//!
//! Which of several lines answers a request is decided here: the first success, or else the first
//! failure. Where a success was sent again on demand, the newest that is not suspect, or else the newest.

use std::collections::HashMap;

use crate::dialects::{Kind, Reading, Suspicion};
use crate::error::Error;

/// Where a line of the answers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file's index.
    pub(crate) file: usize,
    /// In bytes.
    pub(crate) offset: u64,
    /// In bytes, without its ending.
    pub(crate) length: u64,
}

/// A line that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) place: Place,
    /// Whether it is a success.
    pub(super) succeeded: bool,
    /// How much of it could be read.
    pub(super) reading: Reading,
    /// Why it is not to be relied on.
    pub(super) suspicion: Option<Suspicion>,
}

/// Which attempt a line is of, compared with the line that answers its request so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The same.
    Same,
    /// A later one: the request was sent again.
    Later,
}

impl Candidate {
    pub(super) fn new(place: Place, kind: Kind, reading: Reading) -> Self {
        Self { place, succeeded: kind == Kind::Success, reading, suspicion: None }
    }

    /// The same, of an answer that may not be relied on.
    pub(super) fn suspected(self, suspicion: Option<Suspicion>) -> Self {
        Self { suspicion, ..self }
    }

    /// Whether it answers the request rather than the line that came before it.
    fn replaces(&self, before: &Self, attempt: Attempt) -> bool {
        match (before.succeeded, self.succeeded) {
            (false, succeeds) => succeeds,
            (true, false) => false,
            (true, true) => attempt == Attempt::Later && (self.suspicion.is_none() || before.suspicion.is_some()),
        }
    }
}

/// The position of each request's answer, in 12 bytes.
pub(super) struct Positions {
    packed: Vec<Packed>,
    /// The lengths that are too long to be packed, by the request's index.
    long: HashMap<u32, u64>,
}

/// The file in the upper 16 bits of the first two, the offset in the lower 48; then the
/// length below two flags and a suspicion, or 0 without an answer.
type Packed = [u32; 3];

/// Flags a success.
const SUCCESS: u32 = 1 << 31;
/// Flags an answer that could be read only in part.
const IN_PART: u32 = 1 << 30;
/// Where a suspicion begins: 0 for none, or one more than its index among all.
const SUSPICION: u32 = 27;
/// The length of an answer whose length is kept elsewhere.
const LONG: u32 = (1 << SUSPICION) - 1;

impl Positions {
    /// Positions for so many requests.
    pub(super) fn new(total: u64) -> Result<Self, Error> {
        let total = usize::try_from(total).map_err(|error| Error::internal("Too many requests.").because(error))?;
        Ok(Self { packed: vec![Packed::default(); total], long: HashMap::new() })
    }

    /// Offers a line to the request at `index`. Returns the line that now answers
    /// nothing: this one, or one that this success replaces.
    pub(super) fn offer(&mut self, line: Candidate, index: u32, attempt: Attempt) -> Option<Place> {
        let place = line.place;
        let before = self.get(index.into());
        let Some(packed) = self.packed.get_mut(index as usize) else { return Some(place) };
        let file = u16::try_from(place.file).ok().filter(|_| place.offset < 1 << 48 && place.length > 0);
        let Some(file) = file else { return Some(place) };
        if before.is_some_and(|before| !line.replaces(&before, attempt)) {
            return Some(place);
        }
        let length = u32::try_from(place.length).unwrap_or(LONG).min(LONG);
        if length == LONG {
            self.long.insert(index, place.length);
        }
        let flags = [(line.succeeded, SUCCESS), (line.reading == Reading::InPart, IN_PART)];
        let flags: u32 = flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum();
        let suspicion = line.suspicion.and_then(|kind| Suspicion::ALL.iter().position(|one| *one == kind));
        let suspicion = suspicion.map_or(0, |at| (at as u32 + 1) << SUSPICION);
        let start = u64::from(file) << 48 | place.offset;
        *packed = [(start >> 32) as u32, start as u32, length | flags | suspicion];
        before.map(|before| before.place)
    }

    /// The answer to the request at `index`, if it has one.
    pub(super) fn get(&self, index: u64) -> Option<Candidate> {
        let [high, low, flagged] = *self.packed.get(index as usize)?;
        let start = u64::from(high) << 32 | u64::from(low);
        let length = match flagged & LONG {
            0 => return None,
            LONG => *self.long.get(&(index as u32))?,
            length => length.into(),
        };
        let place = Place { file: (start >> 48) as usize, offset: start & ((1 << 48) - 1), length };
        let reading = if flagged & IN_PART > 0 { Reading::InPart } else { Reading::Whole };
        let suspicion = ((flagged & (IN_PART - 1)) >> SUSPICION) as usize;
        let suspicion = suspicion.checked_sub(1).and_then(|at| Suspicion::ALL.get(at)).copied();
        Some(Candidate { place, succeeded: flagged & SUCCESS > 0, reading, suspicion })
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Candidate, Kind, LONG, Place, Positions, Reading, Suspicion};

    #[test]
    fn a_position_of_any_length_is_returned() {
        let mut positions = Positions::new(3).unwrap();
        for length in [1, u64::from(LONG) - 1, u64::from(LONG), 1 << 31, 1 << 40] {
            let place = Place { file: 65_535, offset: (1 << 48) - 1, length };
            for (kind, reading) in [(Kind::Failure, Reading::Whole), (Kind::Success, Reading::InPart)] {
                let index = 2 * u32::from(kind == Kind::Success);
                for suspicion in [None].into_iter().chain(Suspicion::ALL.map(Some)) {
                    let line = Candidate::new(place, kind, reading).suspected(suspicion);
                    positions.packed[index as usize] = [0; 3];
                    let replaced = positions.offer(line, index, Attempt::Same);
                    assert_eq!((replaced, positions.get(index.into())), (None, Some(line)));
                }
            }
        }
        assert_eq!((positions.get(1), positions.get(3)), (None, None));
    }

    #[test]
    fn a_success_replaces_a_failure_and_nothing_else_does() {
        let mut positions = Positions::new(1).unwrap();
        let candidate = |offset, kind| Candidate::new(Place { file: 0, offset, length: 9 }, kind, Reading::Whole);
        let mut offer =
            |offset, kind| positions.offer(candidate(offset, kind), 0, Attempt::Same).map(|place| place.offset);
        assert_eq!(offer(0, Kind::Empty), None);
        assert_eq!(offer(1, Kind::Failure), Some(1));
        assert_eq!(offer(2, Kind::Success), Some(0));
        assert_eq!(offer(3, Kind::Success), Some(3));
    }

    #[test]
    fn the_newest_good_answer_counts_or_else_the_newest() {
        let (good, cut) = (None, Some(Suspicion::CutOff));
        for (before, after, kept) in [(cut, good, 1), (cut, cut, 1), (good, good, 1), (good, cut, 0)] {
            let mut positions = Positions::new(1).unwrap();
            for (offset, suspicion) in [(0, before), (1, after)] {
                let place = Place { file: 0, offset, length: 9 };
                let line = Candidate::new(place, Kind::Success, Reading::Whole).suspected(suspicion);
                positions.offer(line, 0, Attempt::Later);
            }
            assert_eq!(positions.get(0).unwrap().place.offset, kept, "{before:?} {after:?}");
            let failure = Candidate::new(Place { file: 0, offset: 2, length: 9 }, Kind::Failure, Reading::Whole);
            assert_eq!(positions.offer(failure, 0, Attempt::Later), Some(failure.place));
        }
    }
}
