//! The tokens of a vocabulary and their ranks.
//!
//! A file in `vocabularies/` is made by `bench/vocabularies.py` and compressed with deflate. It has the number of
//! tokens in four bytes, and of all tokens, in the order of their bytes: how many bytes each shares with the one
//! before, how many it has beside those, its rank in 18 bits, and at last the bytes that are its own.

use std::io::Read as _;

use flate2::read::DeflateDecoder;

/// How many bits a rank has.
const RANK_BITS: usize = 18;
/// What no rank is.
const NONE: u32 = u32::MAX;
/// How many bits of an entry are the place of a token; the others are of its hash, to tell most strangers at once.
const PLACE_BITS: u32 = 18;
const PLACE: u32 = (1 << PLACE_BITS) - 1;

/// Tokens, by their bytes.
pub(super) struct Vocabulary {
    /// The tokens one after another, in the order of their bytes.
    bytes: Vec<u8>,
    /// Where each begins, and where the last ends.
    starts: Vec<u32>,
    ranks: Vec<u32>,
    /// The place of a token, from 1, where its hash points, or behind that.
    table: Vec<u32>,
    /// The ranks of tokens of two bytes.
    pairs: Vec<u32>,
    longest: usize,
}

impl Vocabulary {
    /// Reads a vocabulary, which is part of the program. One that cannot be read has no tokens.
    pub(super) fn read(file: &[u8]) -> Self {
        let mut data = Vec::new();
        // The files are tested.
        let read = DeflateDecoder::new(file).read_to_end(&mut data);
        read.ok().and_then(|_| Self::unpack(&data)).unwrap_or_else(|| Self::index(Vec::new(), vec![0], Vec::new()))
    }

    fn unpack(data: &[u8]) -> Option<Self> {
        let (count, rest) = data.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (shared, rest) = rest.split_at_checked(count)?;
        let (own, rest) = rest.split_at_checked(count)?;
        let (packed, mut rest) = rest.split_at_checked((count * RANK_BITS) / 8 + 4)?;
        let total = shared.iter().chain(own).map(|length| usize::from(*length)).sum();
        let (mut bytes, mut starts, mut ranks) = (vec![0; total], vec![0], Vec::with_capacity(count));
        let (mut before, mut end) = (0, 0);
        for (at, (shared, own)) in shared.iter().zip(own).enumerate() {
            let (mine, others) = rest.split_at_checked((*own).into())?;
            let start = end;
            // A few bytes each: calls that copy them would take most of the time.
            for from in before..before + usize::from(*shared) {
                bytes[end] = bytes[from];
                end += 1;
            }
            for byte in mine {
                bytes[end] = *byte;
                end += 1;
            }
            (before, rest) = (start, others);
            starts.push(u32::try_from(end).ok()?);
            let bit = at * RANK_BITS;
            let word = u32::from_le_bytes(*packed.get(bit / 8..)?.first_chunk()?);
            ranks.push(word >> (bit % 8) & ((1 << RANK_BITS) - 1));
        }
        Some(Self::index(bytes, starts, ranks))
    }

    fn index(bytes: Vec<u8>, starts: Vec<u32>, ranks: Vec<u32>) -> Self {
        let size = (2 * ranks.len()).next_power_of_two();
        let (table, pairs) = (vec![0; size], vec![NONE; 1 << 16]);
        let mut vocabulary = Self { bytes, starts, ranks, table, pairs, longest: 0 };
        for place in 0..vocabulary.ranks.len() {
            let token = vocabulary.token(place);
            let (hash, length) = (hash(token), token.len());
            if let [first, second] = *token {
                vocabulary.pairs[pair(first, second)] = vocabulary.ranks[place];
            }
            let mut slot = hash as usize & (size - 1);
            while vocabulary.table[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            vocabulary.table[slot] = tag(hash) | (place as u32 + 1);
            vocabulary.longest = vocabulary.longest.max(length);
        }
        vocabulary
    }

    fn token(&self, place: usize) -> &[u8] {
        &self.bytes[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    /// How many tokens there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ranks.len()
    }

    /// The rank of a token; none if it is no token.
    #[inline]
    pub(super) fn rank(&self, token: &[u8]) -> Option<u32> {
        if let [first, second] = *token {
            return Some(self.pairs[pair(first, second)]).filter(|rank| *rank != NONE);
        }
        if token.len() > self.longest {
            return None;
        }
        let hash = hash(token);
        let mut slot = hash as usize & (self.table.len() - 1);
        loop {
            let entry = self.table[slot];
            let place = (entry & PLACE).checked_sub(1)? as usize;
            if entry & !PLACE == tag(hash) && self.token(place).iter().eq(token) {
                return Some(self.ranks[place]);
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !PLACE
}

/// A hash of a few bytes, that nobody has to fear: what is looked up is known.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(MIX);
    let mut hash = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    hash = mix(hash, last);
    hash ^ hash >> 29
}
