//! The tokens of all lines, told from those of some.
//!
//! A line is in the sample as often as it was drawn, in proportion to its length (`requests/survey.rs`). So the mean of
//! tokens per byte over the draws, times all bytes, is the number of tokens, and its variance is that of a mean
//! (Hansen and Hurwitz, 1943). It is exact where all lines were counted.

use std::io::{self, Read as _};

use super::Effort;
use super::line::Tokens;
use crate::requests::source::Source;
use crate::requests::survey::{Place, Sample, Survey};

/// How many bytes of its text are counted for each time that a line was drawn.
pub(super) const QUOTA: u64 = 4 * 1024;
/// Standard errors on each side of a mean that 95 of 100 intervals need.
const NORMAL: f64 = 1.96;

/// The tokens of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Total {
    pub(super) low: f64,
    pub(super) likely: f64,
    pub(super) high: f64,
    /// Those of one line, at most.
    pub(super) largest: f64,
    /// What was not counted, a bit for each.
    pub(super) uncounted: u8,
}

/// A line that was counted, and how often it was drawn.
#[derive(Clone, Copy, Debug)]
struct Counted {
    length: f64,
    draws: f64,
    tokens: Tokens,
}

/// The tokens of all lines, with the sample's interval of 95 % in it, and how many were counted.
pub(super) fn forecast(
    source: &Source,
    survey: &Survey,
    effort: Effort,
    count: &impl Fn(&[u8], u64) -> Tokens,
) -> io::Result<(Total, u64)> {
    let samples = [&survey.short, &survey.long].into_iter().filter(|sample| sample.lines > 0);
    let each = samples.clone().count().max(1) as u64;
    let effort = Effort { text: effort.text / each, lines: effort.lines / each };
    let (mut total, mut squares, mut sampled) = (Total::default(), 0.0, 0);
    for sample in samples {
        let (counted, is_whole) = draw(source, sample, effort, count)?;
        sampled += counted.len() as u64;
        let (part, half) = if is_whole { sum(&counted) } else { mean(&counted, sample.bytes as f64) };
        total.add(&part);
        squares += half * half;
    }
    let half = f64::sqrt(squares);
    total.low = (total.low - half).max(0.0);
    total.high += half;
    Ok((total, sampled))
}

/// Counts the lines of a sample, or some of them; whether they are all lines.
fn draw(
    source: &Source,
    sample: &Sample,
    effort: Effort,
    count: &impl Fn(&[u8], u64) -> Tokens,
) -> io::Result<(Vec<Counted>, bool)> {
    let all = sample.is_whole() && sample.bytes <= effort.text;
    let places = if all { sample.places.clone() } else { sample.drawn(affordable(sample, effort)) };
    let mut drawn: Vec<(Place, u64)> = Vec::new();
    for place in places {
        match drawn.last_mut() {
            Some((last, draws)) if *last == place => *draws += 1,
            _ => drawn.push((place, 1)),
        }
    }
    let lines: Vec<Place> = drawn.iter().map(|(place, _)| *place).collect();
    let counted = read(source, &lines, |line, at| {
        let (place, draws) = drawn[at];
        let quota = if all { u64::MAX } else { draws * QUOTA };
        Counted { length: place.length.into(), draws: draws as f64, tokens: count(line, quota) }
    })?;
    let is_whole = counted.len() as u64 == sample.lines;
    Ok((counted, is_whole))
}

/// How often a line may be drawn, if no more is to be read and counted than may be.
fn affordable(sample: &Sample, effort: Effort) -> usize {
    let sum = |of: fn(u64) -> u64| sample.places.iter().map(|place| of(place.length.into())).sum::<u64>().max(1);
    // Lines that are all there are drawn by their lengths, so that long ones are drawn more often.
    let (number, bytes, squares) =
        (sample.places.len() as u64, sum(|length| length), sum(|length| length * length / 1024));
    let typical = if sample.is_whole() { squares.saturating_mul(1024) / bytes } else { bytes / number.max(1) };
    let by_text = effort.text / typical.clamp(1, QUOTA);
    let by_lines = effort.lines / typical.max(1);
    usize::try_from(by_text.min(by_lines).max(16)).unwrap_or(usize::MAX)
}

/// Reads lines, which are in order, and takes them one after another.
pub(super) fn read<T>(
    source: &Source,
    places: &[Place],
    mut take: impl FnMut(&[u8], usize) -> T,
) -> io::Result<Vec<T>> {
    let (mut reader, mut at, mut line) = (source.open(), 0, Vec::new());
    let mut taken = Vec::with_capacity(places.len());
    for (number, place) in places.iter().enumerate() {
        reader.skip(place.offset - at)?;
        line.resize(place.length as usize, 0);
        reader.read_exact(&mut line)?;
        at = place.offset + u64::from(place.length);
        taken.push(take(&line, number));
    }
    Ok(taken)
}

/// The tokens of lines that are all there are, and half of the interval that comes of counting some only in part.
fn sum(counted: &[Counted]) -> (Total, f64) {
    let (mut total, mut variance) = (Total::default(), 0.0);
    for Counted { tokens, .. } in counted {
        let Tokens { low, likely, high, variance: own, uncounted } = *tokens;
        total.add(&Total { low, likely, high, largest: high, uncounted });
        variance += own;
    }
    (total, NORMAL * f64::sqrt(variance))
}

/// The tokens of lines with so many bytes, of which these were drawn, and half of their interval.
fn mean(counted: &[Counted], bytes: f64) -> (Total, f64) {
    let draws: f64 = counted.iter().map(|line| line.draws).sum();
    let mean = |of: fn(&Tokens) -> f64| {
        counted.iter().map(|line| line.draws * of(&line.tokens) / line.length).sum::<f64>() / draws.max(1.0)
    };
    let likely = mean(|tokens| tokens.likely);
    let squares: f64 =
        counted.iter().map(|line| line.draws * (line.tokens.likely / line.length - likely).powi(2)).sum();
    let freedom = (draws - 1.0).max(1.0);
    let error = f64::sqrt(squares / freedom / draws.max(1.0));
    // The quantile of Student's distribution, near enough from 3 draws on.
    let quantile = NORMAL + 2.4 / freedom + 2.8 / (freedom * freedom);
    let mut total = Total {
        low: mean(|tokens| tokens.low) * bytes,
        likely: likely * bytes,
        high: mean(|tokens| tokens.high) * bytes,
        ..Total::default()
    };
    for line in counted {
        total.largest = total.largest.max(line.tokens.high);
        total.uncounted |= line.tokens.uncounted;
    }
    (total, quantile * error * bytes)
}

impl Total {
    fn add(&mut self, other: &Self) {
        self.low += other.low;
        self.likely += other.likely;
        self.high += other.high;
        self.largest = self.largest.max(other.largest);
        self.uncounted |= other.uncounted;
    }
}

#[cfg(test)]
mod tests {
    use super::{Counted, Tokens, mean, sum};

    fn line(length: f64, draws: f64, tokens: f64) -> Counted {
        Counted { length, draws, tokens: Tokens { low: tokens, likely: tokens, high: tokens, ..Tokens::default() } }
    }

    #[test]
    fn the_interval_covers_the_truth_of_skewed_files() {
        let mut random = fastrand::Rng::with_seed(1);
        for (name, share_of_heavy, spread) in
            [("a few long", 0.02, 40.0), ("many long", 0.3, 10.0), ("all alike", 0.0, 1.0)]
        {
            // Lines differ in length, and in tokens per byte: those of one kind have a quarter, of the other a half.
            let lines: Vec<(f64, f64)> = (0..4_000)
                .map(|_| {
                    let length =
                        100.0 / (random.f64() + 0.01) * if random.f64() < share_of_heavy { spread } else { 1.0 };
                    let dense = if random.f64() < 0.1 { 0.5 } else { 0.25 };
                    (length, length * dense * (0.8 + 0.4 * random.f64()))
                })
                .collect();
            let (bytes, truth) = lines.iter().fold((0.0, 0.0), |(bytes, all), line| (bytes + line.0, all + line.1));
            let trials = 1_000;
            let covered = (0..trials).filter(|_| {
                let draws = 64;
                let mut points: Vec<f64> =
                    (0..draws).map(|at| (f64::from(at) + random.f64()) * bytes / f64::from(draws)).collect();
                points.reverse();
                let (mut at, mut counted) = (0.0, Vec::new());
                for (length, tokens) in &lines {
                    at += length;
                    let mut times = 0.0;
                    while points.pop_if(|point| *point < at).is_some() {
                        times += 1.0;
                    }
                    if times > 0.0 {
                        counted.push(line(*length, times, *tokens));
                    }
                }
                let (total, half) = mean(&counted, bytes);
                (total.likely - truth).abs() <= half
            });
            let covered = covered.count();
            assert!(covered * 100 >= trials * 93, "{name}: {covered} of {trials}");
        }
    }

    #[test]
    fn nothing_is_uncertain_where_all_was_counted() {
        let (total, half) = sum(&[line(10.0, 1.0, 3.0), line(20.0, 2.0, 9.0)]);
        assert_eq!((total.likely, total.largest, half), (12.0, 9.0, 0.0));
        let (total, half) = mean(&[line(10.0, 2.0, 3.0), line(20.0, 1.0, 6.0)], 300.0);
        assert!((total.likely - 90.0).abs() < 1e-9 && half < 1e-9, "{total:?} {half}");
    }
}
