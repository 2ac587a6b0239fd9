//! Halving a shard that a provider refuses as too large.
//!
//! The same shard always makes the same halves, cut at its middle line, so that
//! a later run which meets the same refusal finds their batches again.

use std::io::{self, Read};

use super::lines::{LONGEST_REQUEST, Lines};
use super::shards::{Range, Shard};
use super::source::Source;
use super::survey::{Place, Survey};
use crate::dialects::Rules;

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// The two halves of a shard of at least two requests, of which the first has
/// one more where their number is odd. Blocks while it reads.
///
/// # Errors
/// Fails if the requests cannot be read, or are not what they were.
pub(crate) fn halve(source: &Source, shard: &Shard, rules: &Rules) -> io::Result<[Shard; 2]> {
    let middle = shard.requests.div_ceil(2);
    let mut reader = source.open_shard(shard);
    let mut whole = blake3::Hasher::new();
    let mut halves = [(blake3::Hasher::new(), 0_u64), (blake3::Hasher::new(), 0)];
    let (mut lines, mut buffer) = (0, vec![0; CHUNK]);
    loop {
        let chunk = match reader.read(&mut buffer)? {
            0 => break,
            read => &buffer[..read],
        };
        whole.update(chunk);
        let cut = cut(chunk, middle - lines.min(middle));
        lines += memchr::memchr_iter(b'\n', &chunk[..cut]).count() as u64;
        for ((hasher, bytes), part) in halves.iter_mut().zip([&chunk[..cut], &chunk[cut..]]) {
            hasher.update(part);
            *bytes += part.len() as u64;
        }
    }
    if whole.finalize() != shard.digest {
        return Err(io::Error::other("the requests changed since they were checked"));
    }
    let [(first, bytes), (second, rest)] = halves;
    let [before, after] = split(&shard.ranges, bytes, middle);
    let half = |requests, bytes, digest: &blake3::Hasher, ranges| Shard {
        requests,
        bytes,
        digest: digest.finalize(),
        ranges,
        survey: Survey::default(),
        endpoint: shard.endpoint.clone(),
        model: shard.model.clone(),
    };
    let mut halves = [half(middle, bytes, &first, before), half(shard.requests - middle, rest, &second, after)];
    for half in &mut halves {
        half.survey = survey(source, half, rules)?;
    }
    Ok(halves)
}

/// What an estimate has to know of a shard whose lines were not checked as its own. Blocks while it reads.
fn survey(source: &Source, shard: &Shard, rules: &Rules) -> io::Result<Survey> {
    let mut survey = Survey::default();
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

/// Where in a chunk so many lines end; its own end if it has fewer.
fn cut(chunk: &[u8], lines: u64) -> usize {
    let Some(last) = lines.checked_sub(1) else { return 0 };
    let last = usize::try_from(last).unwrap_or(usize::MAX);
    memchr::memchr_iter(b'\n', chunk).nth(last).map_or(chunk.len(), |at| at + 1)
}

/// The ranges before and after so many bytes and lines.
fn split(ranges: &[Range], mut bytes: u64, mut lines: u64) -> [Vec<Range>; 2] {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for range in ranges {
        let length = bytes.min(range.length.into()) as u32;
        let count = match length {
            0 => 0,
            all if all == range.length => range.lines,
            // A range that is cut has more lines than are left to give out.
            _ => lines as u32,
        };
        if count > 0 {
            before.push(Range { offset: range.offset, length, lines: count, first: range.first });
        }
        if count < range.lines {
            let (offset, length) = (range.offset + u64::from(length), range.length - length);
            after.push(Range { offset, length, lines: range.lines - count, first: range.first + count });
        }
        (bytes, lines) = (bytes - u64::from(length), lines - u64::from(count));
    }
    [before, after]
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::{Range, Shard, Survey, halve};
    use crate::requests::source::testing::source;
    use crate::requests::testing::rules;

    /// A shard of those lines of a text that are picked.
    fn shard(text: &str, picks: &[bool]) -> (Shard, Vec<u8>) {
        let (mut at, mut ranges, mut bytes) = (0, Vec::<Range>::new(), Vec::new());
        for (first, (line, picked)) in text.split_inclusive('\n').zip(picks).enumerate() {
            let (length, first) = (line.len() as u32, first as u32);
            if *picked {
                bytes.extend_from_slice(line.as_bytes());
                match ranges.last_mut() {
                    Some(range) if range.end() == at => {
                        (range.length, range.lines) = (range.length + length, range.lines + 1);
                    }
                    _ => ranges.push(Range { offset: at, length, lines: 1, first }),
                }
            }
            at += u64::from(length);
        }
        let requests = ranges.iter().map(|range| u64::from(range.lines)).sum();
        let (digest, length) = (blake3::hash(&bytes), bytes.len() as u64);
        let endpoint = "/v1/responses".to_owned();
        (Shard { endpoint, model: None, requests, bytes: length, digest, ranges, survey: Survey::default() }, bytes)
    }

    #[test]
    fn changed_requests_are_not_halved() {
        let (source, dir) = source(&[("a", b"one\ntwo\nsix\n")]);
        let (whole, _) = shard("one\ntwo\nsix\n", &[true; 3]);
        let [first, second] = halve(&source, &whole, &rules()).unwrap();
        assert_eq!((first.requests, second.requests, first.digest), (2, 1, blake3::hash(b"one\ntwo\n")));
        std::fs::write(dir.path().join("a"), "one\nTWO\nsix\n").unwrap();
        assert!(halve(&source, &whole, &rules()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn halves_are_the_shard_cut_at_its_middle_line(
            lines in prop::collection::vec("[ab]{0,9}", 2..40),
            picks in prop::collection::vec(any::<bool>(), 40),
            is_ended in any::<bool>(),
        ) {
            let text = lines.join("\n") + if is_ended { "x\n" } else { "x" };
            let (source, _dir) = source(&[("a", text.as_bytes())]);
            let (whole, bytes) = shard(&text, &picks);
            prop_assume!(whole.requests >= 2);
            let [first, second] = halve(&source, &whole, &rules()).unwrap();
            prop_assert_eq!(first.requests, whole.requests.div_ceil(2));
            prop_assert_eq!(first.requests + second.requests, whole.requests);
            let mut read = Vec::new();
            for half in [&first, &second] {
                let mut own = Vec::new();
                source.open_shard(half).read_to_end(&mut own).unwrap();
                prop_assert_eq!((half.digest, half.bytes), (blake3::hash(&own), own.len() as u64));
                prop_assert_eq!(own.split_inclusive(|byte| *byte == b'\n').count() as u64, half.requests);
                prop_assert_eq!(half.ranges.iter().map(|range| u64::from(range.lines)).sum::<u64>(), half.requests);
                read.extend(own);
            }
            prop_assert_eq!(read, bytes);
            let rows = |shard: &Shard| shard.rows().into_iter().flatten().collect::<Vec<_>>();
            prop_assert_eq!([rows(&first), rows(&second)].concat(), rows(&whole));
        }
    }
}
