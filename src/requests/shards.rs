//! Shards: which requests go into which batch.
//!
//! A batch has one endpoint, one model, and the provider's limits. The plan is
//! made as the requests are checked, line by line: each goes into the open
//! shard of its endpoint and model, until that is full. A shard is a view of
//! the requests, ranges of bytes, and has a digest of its own; the same requests
//! always make the same shards, so that a later run finds their batches again.

use std::collections::HashMap;
use std::io;

use super::lines::{LONGEST_REQUEST, Lines};
use super::source::Source;
use super::survey::{Place, Survey};
use crate::dialects::{Limits, Rules};

/// The longest a range can be. A longer one is two.
const LONGEST_RANGE: u64 = u32::MAX as u64;

/// The part of the requests that goes into one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// The endpoint of its requests.
    pub endpoint: String,
    /// The model that they name.
    pub model: Option<String>,
    /// Requests in it.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The digest of these bytes.
    pub digest: blake3::Hash,
    /// Where they are.
    pub ranges: Vec<Range>,
    /// What an estimate has to know of them.
    pub survey: Survey,
}

/// Lines that stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where they begin, in bytes from the start of the requests.
    pub offset: u64,
    /// Their length in bytes, with the line ends.
    pub length: u32,
    /// How many they are.
    pub lines: u32,
    /// The index of the first of them among all requests, from 0.
    pub first: u32,
}

/// A request, as far as the plan has to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) model: Option<&'a str>,
    /// Where its line begins.
    pub(crate) offset: u64,
    /// The line's length, with its end.
    pub(crate) length: u64,
    /// Its index among all requests, from 0.
    pub(crate) index: u32,
    /// How many bytes it adds to what the vendor is sent.
    pub(crate) sent: u64,
    /// The inputs that an embeddings request has.
    pub(crate) inputs: u64,
    /// How many tokens all its answers may have together, if it sets a limit.
    pub(crate) output_cap: Option<u64>,
}

/// The plan, as far as it has come.
#[derive(Default)]
pub(crate) struct Planner {
    /// The open shard of each endpoint and model.
    open: HashMap<String, usize>,
    /// The shard of the last request, most likely that of the next.
    last: Option<usize>,
    name: String,
    shards: Vec<Growing>,
    /// Runs of lines that went into a shard and are not hashed yet.
    unhashed: Vec<Run>,
    /// The digest of all bytes; none as long as all are in the first shard, whose digest it is.
    whole: Option<blake3::Hasher>,
}

struct Growing {
    shard: Shard,
    hasher: blake3::Hasher,
    inputs: u64,
    sent: u64,
}

struct Run {
    shard: usize,
    from: u64,
    to: u64,
}

impl Planner {
    /// Puts a request into its shard.
    pub(crate) fn add(&mut self, request: &Request<'_>, limits: &Limits) {
        let at = self.shard_for(request, limits);
        let Growing { shard, inputs, sent, .. } = &mut self.shards[at];
        shard.requests += 1;
        shard.bytes += request.length;
        *inputs += request.inputs;
        *sent += request.sent;
        shard.extend(request);
        // A line is far shorter than this can be.
        let place = Place { offset: request.offset, length: request.length as u32 };
        shard.survey.add(place, request.output_cap);
        let (from, to) = (request.offset, request.offset + request.length);
        match self.unhashed.last_mut() {
            Some(run) if run.shard == at && run.to == from => run.to = to,
            _ => self.unhashed.push(Run { shard: at, from, to }),
        }
    }

    /// Hashes what was added of these bytes, which begin at `offset`.
    pub(crate) fn hash(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        let is_one = self.shards.len() == 1
            && matches!(self.unhashed[..], [Run { from, to, .. }] if (from, to) == (offset, end));
        if !is_one || self.whole.is_some() {
            let so_far = || self.shards.first().map(|first| first.hasher.clone()).unwrap_or_default();
            self.whole.get_or_insert_with(so_far).update(bytes);
        }
        let slice = |run: &Run| bytes.get((run.from - offset) as usize..(run.to - offset) as usize).unwrap_or_default();
        for run in self.unhashed.drain(..) {
            self.shards[run.shard].hasher.update(slice(&run));
        }
    }

    /// How many shards there are.
    pub(crate) fn count(&self) -> usize {
        self.shards.len()
    }

    /// The plan, in the order of the shards' first requests, and the digest of all bytes.
    pub(crate) fn finish(self) -> (Vec<Shard>, blake3::Hash) {
        let digested = |growing: Growing| Shard { digest: growing.hasher.finalize(), ..growing.shard };
        let shards: Vec<Shard> = self.shards.into_iter().map(digested).collect();
        let only = || shards.first().map_or_else(|| blake3::hash(b""), |shard| shard.digest);
        let digest = self.whole.map_or_else(only, |whole| whole.finalize());
        (shards, digest)
    }

    fn shard_for(&mut self, request: &Request<'_>, limits: &Limits) -> usize {
        let open = self.last.filter(|at| self.shards[*at].is_for(request)).or_else(|| {
            self.name(request);
            self.open.get(&self.name).copied()
        });
        let at = open.filter(|at| self.shards[*at].has_room(request, limits)).unwrap_or_else(|| {
            self.name(request);
            self.shards.push(Growing::new(request));
            self.open.insert(self.name.clone(), self.shards.len() - 1);
            self.shards.len() - 1
        });
        self.last = Some(at);
        at
    }

    /// Makes the name by which a request's shard is found.
    fn name(&mut self, request: &Request<'_>) {
        self.name.clear();
        self.name.push_str(request.endpoint);
        // No endpoint holds one, so no two pairs have the same name.
        self.name.push('\0');
        self.name.push_str(request.model.unwrap_or_default());
    }
}

impl Growing {
    fn new(request: &Request<'_>) -> Self {
        let shard = Shard {
            endpoint: request.endpoint.to_owned(),
            model: request.model.map(str::to_owned),
            requests: 0,
            bytes: 0,
            digest: blake3::hash(b""),
            ranges: Vec::new(),
            survey: Survey::default(),
        };
        Self { shard, hasher: blake3::Hasher::new(), inputs: 0, sent: 0 }
    }

    fn is_for(&self, request: &Request<'_>) -> bool {
        self.shard.endpoint == request.endpoint && self.shard.model.as_deref() == request.model
    }

    fn has_room(&self, request: &Request<'_>, limits: &Limits) -> bool {
        let fits = |limit: Option<u64>, number: u64| limit.is_none_or(|limit| number <= limit);
        fits(limits.max_requests, self.shard.requests + 1)
            && fits(limits.max_bytes, self.sent + request.sent)
            && fits(limits.max_embedding_inputs, self.inputs + request.inputs)
    }
}

impl Shard {
    fn extend(&mut self, request: &Request<'_>) {
        let Request { offset, length, index, .. } = *request;
        match self.ranges.last_mut() {
            Some(range) if range.end() == offset && u64::from(range.length) + length <= LONGEST_RANGE => {
                (range.length, range.lines) = (range.length + length as u32, range.lines + 1);
            }
            // A line is far shorter than a range can be.
            _ => self.ranges.push(Range { offset, length: length as u32, lines: 1, first: index }),
        }
    }

    /// The line of the whole, from 1, that is this shard's line `number`, from 1: what a vendor's error names.
    pub fn line_of_whole(&self, number: u64) -> Option<u64> {
        let mut before = number.checked_sub(1)?;
        for range in &self.ranges {
            if before < u64::from(range.lines) {
                return Some(u64::from(range.first) + before + 1);
            }
            before -= u64::from(range.lines);
        }
        None
    }

    /// The indices of its requests among all, as ranges in order.
    pub fn rows(&self) -> Vec<std::ops::Range<u32>> {
        self.ranges.iter().map(|range| range.first..range.first + range.lines).collect()
    }
}

impl Range {
    /// Where the lines end.
    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// The digest of the requests in these shards: of their bytes if they are in one, else of the shards' digests.
pub(crate) fn digest(shards: &[Shard]) -> blake3::Hash {
    if let [only] = shards {
        return only.digest;
    }
    let mut hasher = blake3::Hasher::new();
    shards.iter().for_each(|shard| {
        hasher.update(shard.digest.as_bytes());
    });
    hasher.finalize()
}

/// Shards of some requests only: those at `rows`, which are in order, as far as
/// they are in one of these shards.
///
/// # Errors
/// Fails if the requests cannot be read, or are not what they were.
pub(crate) fn pick(source: &Source, rows: &[u32], from: &[Shard], rules: &Rules) -> io::Result<Vec<Shard>> {
    let mut ranges: Vec<(Range, &Shard)> =
        from.iter().flat_map(|shard| shard.ranges.iter().map(move |range| (*range, shard))).collect();
    ranges.sort_by_key(|(range, _)| range.offset);
    let mut planner = Planner::default();
    let mut ranges = ranges.into_iter().peekable();
    let mut rows = rows.iter().peekable();
    let mut lines = Lines::new(source.open(), LONGEST_REQUEST);
    let mut row = 0;
    while let (Some(wanted), Some(line)) = (rows.peek().copied(), lines.next()?) {
        let is_wanted = *wanted == row;
        row += 1;
        if !is_wanted {
            continue;
        }
        rows.next();
        while ranges.next_if(|(range, _)| range.end() <= line.offset).is_some() {}
        if let Some((_, shard)) = ranges.peek().filter(|(range, _)| range.offset <= line.offset) {
            let length = (line.length + 1).min(source.bytes() - line.offset);
            let (endpoint, model, offset) = (shard.endpoint.as_str(), shard.model.as_deref(), line.offset);
            let bytes = line.bytes.unwrap_or_default();
            let (index, sent) = (*wanted, rules.sent_bytes(bytes, length, *wanted));
            let output_cap = rules.output_cap(bytes);
            let request = Request { endpoint, model, offset, length, index, sent, inputs: 0, output_cap };
            planner.add(&request, &rules.limits);
        }
    }
    planner.unhashed.clear();
    let (mut shards, _) = planner.finish();
    for shard in &mut shards {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(source.open_shard(shard))?;
        shard.digest = hasher.finalize();
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Limits, Planner, Range, Request, Shard};

    fn limits() -> Limits {
        Limits { max_requests: Some(3), max_bytes: Some(100), max_embedding_inputs: Some(10) }
    }

    /// Plans lines of (endpoint, model, length, inputs) that stand in `block` bytes read at once.
    fn plan(lines: &[(&str, &str, usize, u64)], block: usize) -> (Vec<Shard>, Vec<u8>) {
        let bytes: Vec<u8> =
            (0..lines.iter().map(|line| line.2).sum()).map(|at: usize| (at * 31 % 251) as u8).collect();
        let (mut planner, mut offset, mut begun) = (Planner::default(), 0, 0);
        for (index, (endpoint, model, length, inputs)) in lines.iter().enumerate() {
            let (endpoint, model, inputs, index) = (*endpoint, Some(*model), *inputs, index as u32);
            let (at, sent, output_cap) = (offset as u64, *length as u64, None);
            let request = Request { endpoint, model, offset: at, length: sent, index, sent, inputs, output_cap };
            planner.add(&request, &limits());
            offset += length;
            if offset - begun >= block {
                planner.hash(begun as u64, &bytes[begun..offset]);
                begun = offset;
            }
        }
        planner.hash(begun as u64, &bytes[begun..]);
        let (shards, digest) = planner.finish();
        assert_eq!(digest, blake3::hash(&bytes));
        (shards, bytes)
    }

    #[test]
    fn requests_go_by_endpoint_model_and_limits() {
        let lines = [
            ("/a", "m", 10, 0),
            ("/a", "m", 10, 0),
            ("/b", "m", 10, 0),
            ("/a", "n", 10, 0),
            ("/a", "m", 10, 0),
            ("/a", "m", 10, 0),
            ("/b", "m", 95, 0),
            ("/b", "m", 5, 8),
            ("/b", "m", 5, 8),
        ];
        let (shards, _) = plan(&lines, 1);
        let planned: Vec<_> =
            shards.iter().map(|s| (s.endpoint.as_str(), s.model.as_deref(), s.requests, s.bytes)).collect();
        let (m, n) = (Some("m"), Some("n"));
        let expected = [
            ("/a", m, 3, 30),
            ("/b", m, 1, 10),
            ("/a", n, 1, 10),
            ("/a", m, 1, 10),
            ("/b", m, 2, 100),
            ("/b", m, 1, 5),
        ];
        assert_eq!(planned, expected);
        assert_eq!(
            shards[0].ranges,
            [Range { offset: 0, length: 20, lines: 2, first: 0 }, Range { offset: 40, length: 10, lines: 1, first: 4 }]
        );
        let lines = [0, 1, 2, 3, 4].map(|line| shards[0].line_of_whole(line));
        assert_eq!(lines, [None, Some(1), Some(2), Some(5), None]);
        assert_eq!(shards[0].rows(), [0..2, 4..5]);
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_shard_and_its_digest_does_not_depend_on_the_blocks(
            lines in prop::collection::vec((prop::sample::select(vec!["/a", "/b"]), prop::sample::select(vec!["m", "n"]), 1usize..40, 0u64..5), 0..60),
            block in 1usize..100,
        ) {
            let (shards, bytes) = plan(&lines, block);
            prop_assert_eq!(&shards, &plan(&lines, usize::MAX).0);
            let mut covered = vec![0u8; bytes.len()];
            for shard in &shards {
                let mut hasher = blake3::Hasher::new();
                for range in &shard.ranges {
                    let (from, to) = (range.offset as usize, range.end() as usize);
                    hasher.update(&bytes[from..to]);
                    covered[from..to].iter_mut().for_each(|times| *times += 1);
                }
                prop_assert_eq!(hasher.finalize(), shard.digest);
                prop_assert_eq!(shard.ranges.iter().map(|range| u64::from(range.lines)).sum::<u64>(), shard.requests);
                prop_assert!(shard.requests <= 3 && shard.bytes <= 100);
            }
            prop_assert!(covered.iter().all(|times| *times == 1));
        }
    }
}
