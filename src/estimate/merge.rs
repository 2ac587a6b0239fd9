//! Byte pair encoding: how many tokens a piece of text becomes.
//!
//! Of all neighbours that are a token together, those of the lowest rank become one, until no two are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::vocabulary::Vocabulary;

/// Up to how many bytes looking at all neighbours again is faster than keeping them in order.
const FEW: usize = 64;
/// How many bytes are merged at a time. Nobody writes words of that length, and a cut makes one token more at most; but
/// the time for each byte grows with the piece, up to seconds for a megabyte.
const MOST: usize = 4 * 1024;
const NONE: u32 = u32::MAX;

/// The number of tokens of a piece.
pub(super) fn count(piece: &[u8], vocabulary: &Vocabulary) -> usize {
    let (mut rest, mut tokens) = (piece, 0);
    while rest.len() > MOST {
        // No character is cut: a byte that continues one begins with these bits.
        let cut = (1..=MOST).rev().find(|at| rest[*at] & 0xc0 != 0x80).unwrap_or(MOST);
        tokens += count_part(&rest[..cut], vocabulary);
        rest = &rest[cut..];
    }
    tokens + count_part(rest, vocabulary)
}

fn count_part(piece: &[u8], vocabulary: &Vocabulary) -> usize {
    match piece.len() {
        0 | 1 => piece.len(),
        _ if vocabulary.rank(piece).is_some() => 1,
        2 => 2,
        length if length <= FEW => few(piece, vocabulary),
        _ => many(piece, vocabulary),
    }
}

fn few(piece: &[u8], vocabulary: &Vocabulary) -> usize {
    let rank = |from: u8, to: u8| vocabulary.rank(&piece[from.into()..to.into()]).unwrap_or(NONE);
    let mut starts = [0; FEW + 1];
    let mut ranks = [NONE; FEW + 1];
    // The starts of the parts, and the end of the last.
    let mut length = piece.len() + 1;
    for at in 0..length {
        starts[at] = at as u8;
        ranks[at] = if at + 2 < length { rank(at as u8, at as u8 + 2) } else { NONE };
    }
    while length > 2 {
        let lowest = (0..length - 2).min_by_key(|at| ranks[*at]).unwrap_or(0);
        if ranks[lowest] == NONE {
            break;
        }
        starts.copy_within(lowest + 2..length, lowest + 1);
        ranks.copy_within(lowest + 2..length, lowest + 1);
        length -= 1;
        let with_next = |at: usize| if at + 2 < length { rank(starts[at], starts[at + 2]) } else { NONE };
        ranks[lowest] = with_next(lowest);
        if let Some(before) = lowest.checked_sub(1) {
            ranks[before] = with_next(before);
        }
    }
    length - 1
}

/// The same for long pieces, in time that grows little faster than they do.
fn many(piece: &[u8], vocabulary: &Vocabulary) -> usize {
    let end = piece.len();
    let rank = |from: usize, to: usize| vocabulary.rank(&piece[from..to]).unwrap_or(NONE);
    // Of each part, by its start: where the next one starts, where the one before does, and its rank with the next.
    let mut next: Vec<u32> = (1..=end as u32).collect();
    let mut before: Vec<u32> = (0..end as u32).map(|at| at.wrapping_sub(1)).collect();
    let mut ranks: Vec<u32> = (0..end).map(|at| if at + 2 <= end { rank(at, at + 2) } else { NONE }).collect();
    let known = ranks.iter().zip(0_u32..).filter(|(rank, _)| **rank != NONE);
    let mut queue: BinaryHeap<Reverse<(u32, u32)>> = known.map(|(rank, at)| Reverse((*rank, at))).collect();
    let mut parts = end;
    while let Some(Reverse((lowest, at))) = queue.pop() {
        let at = at as usize;
        if ranks[at] != lowest {
            continue;
        }
        let gone = next[at] as usize;
        let after = next[gone] as usize;
        (next[at], ranks[gone]) = (after as u32, NONE);
        if after < end {
            before[after] = at as u32;
        }
        parts -= 1;
        let mut again = |start: usize| {
            let second = next[start] as usize;
            ranks[start] = if second < end { rank(start, next[second] as usize) } else { NONE };
            if ranks[start] != NONE {
                queue.push(Reverse((ranks[start], start as u32)));
            }
        };
        again(at);
        if before[at] != NONE {
            again(before[at] as usize);
        }
    }
    parts
}
