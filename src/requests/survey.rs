//! What an estimate has to know of a shard's lines: how many tokens their answers may have, which is exact, and where
//! a random sample of them is.
//!
//! Lines are drawn in proportion to their length, because tokens per byte differ far less between lines than tokens
//! do. The bytes are divided into cells of equal size with one point in each, anywhere in it, and the line that holds
//! the point is drawn. When there are too many points, neighbouring cells become one and one of their two points is
//! kept, so that one pass over lines of any number is enough. The generator starts from a fixed seed: the same
//! requests always give the same sample. Long lines have a sample of their own: a few with images would take all the
//! points otherwise, and nearly all the text is in the others.

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
        let most = most.max(1);
        let points = if self.is_whole() { self.replayed(most).places } else { self.places.clone() };
        if points.len() <= most {
            return points;
        }
        // Evenly spread, so that each has the same chance.
        let (step, start) = (points.len() as f64 / most as f64, self.random.clone().f64());
        (0..most).filter_map(|at| points.get(((at as f64 + start) * step) as usize).copied()).collect()
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

#[cfg(test)]
mod tests {
    use super::{MOST, Place, Survey};
    use crate::requests::halves::halve;
    use crate::requests::shards::pick;
    use crate::requests::source::testing::source;
    use crate::requests::testing::{checked, rules};

    /// A survey of lines with these lengths.
    fn survey(lengths: impl IntoIterator<Item = u32>) -> Survey {
        let (mut survey, mut offset) = (Survey::default(), 0);
        for length in lengths {
            survey.add(Place { offset, length }, Some(1));
            offset += u64::from(length);
        }
        survey
    }

    #[test]
    fn few_lines_are_all_there() {
        let survey = survey(vec![9; MOST]);
        assert!(survey.short.is_whole());
        assert_eq!((survey.short.places.len(), survey.short.bytes), (MOST, 9 * MOST as u64));
        assert_eq!((survey.output_cap, survey.uncapped, survey.long.lines), (MOST as u64, 0, 0));
        assert_eq!(survey.longest, Some(Place { offset: 0, length: 9 }));
    }

    #[test]
    fn lines_are_drawn_by_their_length_however_many_they_are() {
        for lines in [MOST as u32 + 1, 3 * MOST as u32, 40 * MOST as u32, 333_333] {
            // Every third line has ten times the length.
            let length = |line: u32| if line.is_multiple_of(3) { 1000 } else { 100 };
            let survey = survey((0..lines).map(length));
            let (sample, points) = (&survey.short, survey.short.places.len());
            assert!(!sample.is_whole() && (MOST / 2 - 1..=MOST).contains(&points), "{lines}: {points}");
            assert!(sample.places.is_sorted(), "in order");
            let long = sample.places.iter().filter(|place| place.length == 1000).count() as f64;
            let expected = 10.0 / 12.0 * points as f64;
            assert!((long - expected).abs() < 0.06 * expected, "{lines}: {long} of {points}");
            // Evenly from all of the file.
            let half = sample.places.iter().filter(|place| place.offset < sample.bytes / 2).count() as f64;
            assert!((half - points as f64 / 2.0).abs() < 3.0, "{lines}: {half} of {points}");
            let fewer = sample.drawn(100);
            assert!((99..=100).contains(&fewer.len()) && fewer.is_sorted(), "{}", fewer.len());
        }
    }

    #[test]
    fn one_long_line_leaves_points_to_the_others() {
        let survey = survey((0..10_000).map(|line| if line == 5_000 { 50_000_000 } else { 200 }));
        assert_eq!((survey.long.lines, survey.short.lines), (1, 9_999));
        assert!(survey.short.places.len() >= MOST / 2);
        assert_eq!(survey.longest.map(|place| place.length), Some(50_000_000));
        assert_eq!(survey.long.drawn(64).len(), 64, "as often as it is drawn");
    }

    #[test]
    fn halves_and_picked_requests_have_their_own_caps() {
        let line = |id: u64| {
            let cap = if id.is_multiple_of(4) { String::new() } else { format!(r#","max_output_tokens":{id}"#) };
            format!(
                r#"{{"custom_id":"{id}","method":"POST","url":"/v1/responses","body":{{"model":"m","input":"x"{cap}}}}}"#
            )
        };
        let text = (0..9).map(line).collect::<Vec<_>>().join("\n");
        let whole = checked(&[("a", &text)], &rules()).shards.remove(0);
        let caps = |survey: &Survey| (survey.output_cap, survey.uncapped);
        assert_eq!(caps(&whole.survey), (1 + 2 + 3 + 5 + 6 + 7, 3));
        let (source, _dir) = source(&[("a", text.as_bytes())]);
        let [first, second] = halve(&source, &whole, &rules()).unwrap();
        assert_eq!((caps(&first.survey), caps(&second.survey)), ((1 + 2 + 3, 2), (5 + 6 + 7, 1)));
        let picked = pick(&source, &[1, 4, 7, 8], &[whole], &rules()).unwrap().remove(0);
        assert_eq!(caps(&picked.survey), (1 + 7, 2));
        for shard in [&first, &second, &picked] {
            let lines = u64::try_from(shard.survey.short.places.len()).unwrap();
            assert_eq!((lines, shard.survey.short.bytes), (shard.requests, shard.bytes));
        }
        assert_eq!(second.survey.short.places[0].offset, second.ranges[0].offset);
        assert_eq!(picked.survey.short.places[1].offset, picked.ranges[1].offset);
    }
}
