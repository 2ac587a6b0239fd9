//! What an estimate has to know of a shard's lines: how many tokens their answers may have, which is exact, and where
//! a random sample of them is.
//!
//! Lines are drawn in proportion to their length, because tokens per byte differ far less between lines than tokens
//! do. The bytes are divided into cells of equal size with one point in each, anywhere in it, and the line that holds
//! the point is drawn. When there are too many points, neighbouring cells become one and one of their two points is
//! kept, so that one pass over lines of any number is enough. The generator starts from a fixed seed: the same
//! requests always give the same sample. Long lines have a sample of their own: a few with images would take all the
//! points otherwise, and nearly all the text is in the others.

use std::io;

use super::lines::{LONGEST_REQUEST, Lines};
use super::shards::Shard;
use super::source::Source;
use crate::dialects::Rules;

/// From this length on, in bytes, a line is among the long ones.
const LONG: u32 = 64 * 1024;
/// The most lines, or points, that are remembered of a sample.
const MOST: usize = 2_048;
/// What the generator starts from.
const SEED: u64 = 0x5eed;

/// What is known of the requests of a shard beside their bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// How many tokens the answers may have, where requests set a limit, together.
    pub(crate) output_cap: u64,
    /// Requests that set none.
    pub(crate) uncapped: u64,
    /// The sample of the lines below 64 KiB.
    pub(crate) short: Sample,
    /// The sample of the others.
    pub(crate) long: Sample,
    /// The longest line.
    pub(crate) longest: Option<Place>,
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Where it begins, in bytes from the start of the requests.
    pub(crate) offset: u64,
    /// Its length in bytes, with its end.
    pub(crate) length: u32,
}

/// Lines, or a sample of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// How many lines there are.
    pub(crate) lines: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// All of them, or those that were drawn; one that was drawn several times is there as often. In order.
    pub(crate) places: Vec<Place>,
    /// The size of a cell in bytes; 0 as long as all lines are there.
    cell: u64,
    /// The next point, in bytes of the lines seen.
    point: u64,
    random: fastrand::Rng,
}

impl Survey {
    /// Takes note of the next line, whose answers may have so many tokens.
    pub(crate) fn add(&mut self, place: Place, output_cap: Option<u64>) {
        match output_cap {
            Some(cap) => self.output_cap = self.output_cap.saturating_add(cap),
            None => self.uncapped += 1,
        }
        let sample = if place.length < LONG { &mut self.short } else { &mut self.long };
        sample.add(place);
        if self.longest.is_none_or(|longest| longest.length < place.length) {
            self.longest = Some(place);
        }
    }

    /// Reads a shard again, where it came about otherwise than by checking its lines. Blocks while it reads.
    ///
    /// # Errors
    /// Fails if the requests cannot be read.
    pub(crate) fn of(source: &Source, shard: &Shard, rules: &Rules) -> io::Result<Self> {
        let mut survey = Self::default();
        let mut ranges = shard.ranges.iter();
        let (mut at, mut end) = (0, 0);
        let mut lines = Lines::new(source.open_shard(shard), LONGEST_REQUEST);
        while let Some(line) = lines.next()? {
            if at == end {
                let Some(range) = ranges.next() else { break };
                (at, end) = (range.offset, range.end());
            }
            let length = (line.length + 1).min(end - at);
            let cap = line.bytes.and_then(|bytes| rules.output_cap(bytes));
            survey.add(Place { offset: at, length: u32::try_from(length).unwrap_or(u32::MAX) }, cap);
            at += length;
        }
        Ok(survey)
    }
}

impl Default for Sample {
    fn default() -> Self {
        let random = fastrand::Rng::with_seed(SEED);
        Self { lines: 0, bytes: 0, places: Vec::new(), cell: 0, point: 0, random }
    }
}

impl Sample {
    /// Whether all lines are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.cell == 0
    }

    /// So many of the lines at most, drawn as described above; some may be there several times.
    pub(crate) fn drawn(&self, most: usize) -> Vec<Place> {
        let (most, mut random) = (most.max(1), self.random.clone());
        let mut points = if self.is_whole() { self.replayed(most).places } else { self.places.clone() };
        while points.len() > most {
            points = halved(&points, &mut random);
        }
        points
    }

    fn add(&mut self, place: Place) {
        self.lines += 1;
        self.bytes += u64::from(place.length);
        match self.is_whole() {
            true if self.places.len() < MOST => self.places.push(place),
            true => {
                self.places.push(place);
                *self = self.replayed(MOST / 2);
            }
            false => self.draw(place),
        }
    }

    /// The sample of all lines, which are there, with at most so many points.
    fn replayed(&self, cells: usize) -> Self {
        let cell = self.bytes.div_ceil(cells as u64).max(1);
        let mut sample = Self { cell, ..Self::default() };
        sample.point = sample.random.u64(..cell);
        for place in &self.places {
            sample.lines += 1;
            sample.bytes += u64::from(place.length);
            sample.draw(*place);
        }
        sample
    }

    /// Draws a line, whose bytes are counted already, as often as there are points in it.
    fn draw(&mut self, place: Place) {
        while self.point < self.bytes {
            if self.places.len() == MOST {
                self.places = halved(&self.places, &mut self.random);
                // The number of cells so far is even: the one with the next point is the first half of a larger one.
                self.point += if self.random.bool() { self.cell } else { 0 };
                self.cell *= 2;
                continue;
            }
            self.places.push(place);
            self.point = self.places.len() as u64 * self.cell + self.random.u64(..self.cell);
        }
    }
}

/// One of each two neighbours, at random; of an odd number the last one with an even chance.
fn halved(places: &[Place], random: &mut fastrand::Rng) -> Vec<Place> {
    places.chunks(2).filter_map(|pair| pair.get(random.usize(..2)).copied()).collect()
}
