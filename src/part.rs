//! Which batch of a run a batch is, and whether some of them are all of it.
//!
//! A run's plan has so many shards. One that the provider refuses as too large
//! goes in halves, which may be halved again: `2.1/5` is the first half of the
//! second of five. The plan's numbers stay, so that a batch which was accepted
//! is the same batch in every run.

use std::fmt;
use std::str::FromStr;

/// Which batch of a run it is, as its mark says it: `2/5 try 1`, or `2.1/5 try 1` for a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The shard, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
    /// What of the shard it is.
    pub piece: Piece,
    /// Which attempt at its requests, from 1.
    pub attempt: u32,
}

/// A piece of a shard: all of it, a half, a half of a half, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece(u64);

impl Piece {
    /// All of it. Each bit after the first says which half of the piece before.
    pub(crate) const WHOLE: Self = Self(1);
    /// One cannot be halved oftener; a shard has at most four thousand million requests.
    const DEEPEST: u32 = 60;

    /// The two halves, if it can be halved.
    pub(crate) fn halves(self) -> Option<[Self; 2]> {
        (self.depth() < Self::DEEPEST).then_some([Self(2 * self.0), Self(2 * self.0 + 1)])
    }

    fn depth(self) -> u32 {
        63 - self.0.leading_zeros()
    }

    /// Whether the other is a piece of this one.
    fn holds(self, other: Self) -> bool {
        other.depth() > self.depth() && other.0 >> (other.depth() - self.depth()) == self.0
    }

    /// Whether these pieces make up this one.
    fn is_covered_by(self, pieces: &[Self]) -> bool {
        pieces.contains(&self)
            || pieces.iter().any(|piece| self.holds(*piece))
                && self.halves().is_some_and(|halves| halves.iter().all(|half| half.is_covered_by(pieces)))
    }

    /// Which half was taken at each step, 1 or 2: pieces in this order are in the order of their requests.
    pub(crate) fn path(self) -> Vec<u8> {
        (0..self.depth()).rev().map(|bit| if self.0 >> bit & 1 == 0 { 1 } else { 2 }).collect()
    }
}

impl Part {
    /// The same with another piece of the shard.
    pub(crate) fn with(self, piece: Piece) -> Self {
        Self { piece, ..self }
    }

    /// Whether these are, first attempts only, all that a run sent.
    pub(crate) fn are_all(parts: &[Self]) -> bool {
        let firsts = || parts.iter().filter(|part| part.attempt == 1);
        let of = firsts().map(|part| part.of).max().unwrap_or(0);
        let pieces = |number| firsts().filter(move |part| part.number == number).map(|part| part.piece);
        of > 0 && (1..=of).all(|number| Piece::WHOLE.is_covered_by(&pieces(number).collect::<Vec<_>>()))
    }

    /// Whether others, which are pieces of it, were sent in its place.
    pub(crate) fn is_replaced_by(&self, others: &[Self]) -> bool {
        let same = |other: &&Self| (other.number, other.of, other.attempt) == (self.number, self.of, self.attempt);
        others.iter().filter(same).any(|other| self.piece.holds(other.piece))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        for half in self.piece.path() {
            write!(f, ".{half}")?;
        }
        write!(f, "/{} try {}", self.of, self.attempt)
    }
}

impl FromStr for Part {
    type Err = ();

    fn from_str(mark: &str) -> Result<Self, ()> {
        let (part, attempt) = mark.split_once(" try ").ok_or(())?;
        let (number, of) = part.split_once('/').ok_or(())?;
        let mut steps = number.split('.');
        let number = steps.next().and_then(|number| number.parse().ok()).ok_or(())?;
        let piece = steps.try_fold(Piece::WHOLE, |piece, step| {
            let [first, second] = piece.halves()?;
            match step {
                "1" => Some(first),
                "2" => Some(second),
                _ => None,
            }
        });
        let (of, attempt) = (of.parse().map_err(drop)?, attempt.parse().map_err(drop)?);
        Ok(Self { number, of, piece: piece.ok_or(())?, attempt })
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Piece};

    fn part(mark: &str) -> Part {
        format!("{mark} try 1").parse().unwrap()
    }

    fn parts(marks: &str) -> Vec<Part> {
        marks.split(' ').map(part).collect()
    }

    #[test]
    fn a_part_reads_back() {
        for mark in ["1/1 try 1", "2/5 try 3", "2.1/5 try 1", "2.1.2.2/5 try 1"] {
            assert_eq!(mark.parse::<Part>().map(|part| part.to_string()).as_deref(), Ok(mark));
        }
        let endless = format!("1{}/1 try 1", ".1".repeat(64));
        for wrong in ["", "1/1", "x/1 try 1", "1.3/1 try 1", "1./1 try 1", "1.0/1 try 1", "1/1 try x", &endless] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_are_all_when_every_shard_is_there_with_all_its_pieces() {
        for all in ["1/1", "1/2 2/2", "1.1/1 1.2/1", "2.2.1/2 1/2 2.1/2 2.2.2/2", "1/1 1.1/1"] {
            assert!(Part::are_all(&parts(all)), "{all}");
        }
        for some in ["1/2", "2/2", "1.1/1", "1.1/1 1.2.1/1", "1/2 2.1/2", "1.1.1/1 1.2.2/1"] {
            assert!(!Part::are_all(&parts(some)), "{some}");
        }
        assert!(!Part::are_all(&[]));
        let retry = Part { attempt: 2, ..part("2/2") };
        assert!(!Part::are_all(&[part("1/2"), retry]), "what was sent again is no first attempt");
    }

    #[test]
    fn a_part_whose_pieces_are_there_was_replaced() {
        let others = parts("1/2 2.1/2 2.2/2");
        assert!(part("2/2").is_replaced_by(&others) && !part("1/2").is_replaced_by(&others));
        assert!(!part("2.1/2").is_replaced_by(&others) && !part("2/3").is_replaced_by(&others));
        assert!(!Part { attempt: 2, ..part("2/2") }.is_replaced_by(&others));
    }

    #[test]
    fn paths_are_in_the_order_of_the_requests() {
        let [first, second] = Piece::WHOLE.halves().unwrap();
        let [inner, _] = second.halves().unwrap();
        assert_eq!((first.path(), inner.path()), (vec![1], vec![2, 1]));
        assert!(first.path() < inner.path());
    }
}
