//! Which request a `custom_id` belongs to.
//!
//! Millions of ids of any length must fit in memory, so digests stand for them.
//! They are keyed with a random key: whoever writes the ids cannot make two of
//! them collide, and by chance 96 bits do not in any file that fits a disk.

use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Ids, and the index of the request that each belongs to. Takes at most 24
/// bytes per request, and 30 while it grows, however long the id is.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    key: RandomState,
    /// The digest of each request's id, by its index; what has no id has zeros.
    digests: Vec<Digest>,
    /// The index of each request that has an id, by its digest.
    table: HashTable<u32>,
}

type Digest = [u32; 3];

impl Ids {
    /// Notes that these ids, decoded, belong to the requests at these indices,
    /// from 0. Returns which of them were known already, by their place
    /// among these, each with the index of the request that has it.
    pub fn insert(&mut self, ids: &[(impl AsRef<str>, u32)]) -> Vec<(usize, u32)> {
        let digests: Vec<Digest> = ids.iter().map(|(id, _)| self.digest(id.as_ref())).collect();
        self.fetch(&digests);
        let mut taken = Vec::new();
        for (which, (digest, (_, index))) in digests.into_iter().zip(ids).enumerate() {
            let known = &self.digests;
            let is_same = |index: &u32| known[*index as usize] == digest;
            match self.table.entry(hash(&digest), is_same, |index| hash(&known[*index as usize])) {
                Entry::Occupied(first) => taken.push((which, *first.get())),
                Entry::Vacant(place) => {
                    place.insert(*index);
                    let at = *index as usize;
                    if self.digests.len() <= at {
                        self.digests.resize(at + 1, Digest::default());
                    }
                    self.digests[at] = digest;
                }
            }
        }
        taken
    }

    /// The index of the request with this id.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.find_all(&[id]).pop().flatten()
    }

    /// The index of the request with each of these ids.
    pub fn find_all(&self, ids: &[impl AsRef<str>]) -> Vec<Option<u32>> {
        let digests: Vec<Digest> = ids.iter().map(|id| self.digest(id.as_ref())).collect();
        self.fetch(&digests);
        digests.iter().map(|digest| self.place(digest)).collect()
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn digest(&self, id: &str) -> Digest {
        let [left, right] = [self.key.hash_one((0_u8, id)), self.key.hash_one((1_u8, id))];
        [(left >> 32) as u32, left as u32, right as u32]
    }

    /// Looks where many digests would be, only to have those places in the
    /// cache. One after another each would be waited for.
    fn fetch(&self, digests: &[Digest]) {
        black_box(digests.iter().filter(|digest| self.table.find(hash(digest), |_| true).is_some()).count());
    }

    fn place(&self, digest: &Digest) -> Option<u32> {
        self.table.find(hash(digest), |index| self.digests[*index as usize] == *digest).copied()
    }
}

/// A digest is random already, so two thirds of it are its hash.
fn hash(digest: &Digest) -> u64 {
    u64::from(digest[0]) << 32 | u64::from(digest[1])
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
    fn any_number_of_ids_with_gaps_between_is_distinguished() {
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
        assert!(ids.table.capacity() < 2 * 10_000);
    }
}
