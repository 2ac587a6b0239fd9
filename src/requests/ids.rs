//! Which request a `custom_id` belongs to.
//!
//! Millions of ids of any length must fit in memory, so digests stand for them.
//! They are keyed with a random key: whoever writes the ids cannot make two of
//! them collide, and by chance 96 bits do not in any file that fits a disk.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

/// Ids, and the index of the request that each belongs to. Takes at most 34
/// bytes per request, however long the id is.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    key: RandomState,
    /// The digest of each request's id, by its index; what has no id has zeros.
    digests: Vec<Digest>,
    /// Each in the first free place from where its digest points; it points
    /// into the table's length as into a range of fractions.
    table: Vec<Entry>,
    count: usize,
}

type Digest = [u32; 3];

/// A part of a digest, so that few others need be looked at, and the number of
/// its request, from 1; 0 where the place is free.
type Entry = (u32, u32);

impl Ids {
    /// Notes that these ids, decoded, belong to the requests at these indices,
    /// from 0. What comes back is which of them stand already, by their place
    /// among these, each with the index of the request that has it.
    pub fn insert(&mut self, ids: &[(impl AsRef<str>, u32)]) -> Vec<(usize, u32)> {
        // At most three quarters are taken, so a free place is near.
        while (self.count + ids.len()) * 4 > self.table.len() * 3 {
            self.grow();
        }
        let digests: Vec<Digest> = ids.iter().map(|(id, _)| self.digest(id.as_ref())).collect();
        self.fetch(&digests);
        let mut taken = Vec::new();
        for (which, (digest, (_, index))) in digests.into_iter().zip(ids).enumerate() {
            let place = self.place(&digest);
            if let (_, first @ 1..) = self.table[place] {
                taken.push((which, first - 1));
                continue;
            }
            let at = *index as usize;
            if self.digests.len() <= at {
                self.digests.resize(at + 1, Digest::default());
            }
            (self.digests[at], self.table[place]) = (digest, (digest[1], index + 1));
            self.count += 1;
        }
        taken
    }

    /// The index of the request with this id.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.find_all(&[id]).pop().flatten()
    }

    /// The index of the request with each of these ids.
    pub fn find_all(&self, ids: &[impl AsRef<str>]) -> Vec<Option<u32>> {
        if self.table.is_empty() {
            return vec![None; ids.len()];
        }
        let digests: Vec<Digest> = ids.iter().map(|id| self.digest(id.as_ref())).collect();
        self.fetch(&digests);
        digests.iter().map(|digest| self.table[self.place(digest)].1.checked_sub(1)).collect()
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn digest(&self, id: &str) -> Digest {
        let [left, right] = [self.key.hash_one((0_u8, id)), self.key.hash_one((1_u8, id))];
        [(left >> 32) as u32, left as u32, right as u32]
    }

    /// Looks at the places of many digests, to no end but that they are in the
    /// cache then. One after another each would be waited for.
    fn fetch(&self, digests: &[Digest]) {
        black_box(digests.iter().fold(0, |sum, digest| sum ^ self.table[self.first_place(digest)].1));
    }

    /// The place in the table that this digest points to.
    fn first_place(&self, digest: &Digest) -> usize {
        ((u64::from(digest[0]) * self.table.len() as u64) >> 32) as usize
    }

    /// The place in the table of this digest, or the free one where it would go.
    fn place(&self, digest: &Digest) -> usize {
        let mut place = self.first_place(digest);
        while let Some(&(part, number @ 1..)) = self.table.get(place) {
            if part == digest[1] && self.digests[number as usize - 1] == *digest {
                break;
            }
            place = if place + 1 == self.table.len() { 0 } else { place + 1 };
        }
        place
    }

    /// Makes the table twice as long. The old one goes first: the digests know all that it says.
    fn grow(&mut self) {
        let length = (self.table.len() * 2).max(64);
        self.table = Vec::new();
        self.table = vec![(0, 0); length];
        for index in 0..self.digests.len() {
            let digest = self.digests[index];
            if digest != Digest::default() {
                let place = self.place(&digest);
                self.table[place] = (digest[1], index as u32 + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn an_id_finds_its_request_and_the_first_one_stands() {
        let mut ids = Ids::default();
        assert!(ids.is_empty());
        assert_eq!(ids.find("a"), None);
        assert_eq!(ids.insert(&[("a", 0), ("b", 1), ("a", 2)]), [(2, 0)]);
        assert_eq!(ids.insert(&[("b", 3)]), [(0, 1)]);
        assert_eq!((ids.find("a"), ids.find("b"), ids.find("c"), ids.len()), (Some(0), Some(1), None, 2));
    }

    #[test]
    fn any_number_of_ids_with_gaps_between_is_told_apart() {
        let mut ids = Ids::default();
        // Requests 0, 3, 6 and so on have ids; every seventh of them has the id of the one before.
        let id = |number: u32| format!("id-{}", number - u32::from(number % 7 == 6));
        for number in 0..10_000 {
            let taken = if number % 7 == 6 { vec![(0, 3 * (number - 1))] } else { vec![] };
            assert_eq!(ids.insert(&[(id(number), 3 * number)]), taken);
        }
        for number in 0..10_000 {
            assert_eq!(ids.find(&id(number)), Some(3 * (number - u32::from(number % 7 == 6))));
        }
        assert_eq!((ids.find("id-6"), ids.len()), (None, 10_000 - 10_000 / 7));
        assert!(ids.table.len() < 2 * 10_000);
    }
}
