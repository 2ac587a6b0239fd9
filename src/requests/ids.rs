//! Which request a `custom_id` belongs to.
//!
//! Millions of ids of any length must fit in memory, so digests stand for them.
//! They are keyed with a random key: whoever writes the ids cannot make two of
//! them collide, and by chance 96 bits do not in any file that fits a disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

/// Ids, and the index of the request that each belongs to. Takes at most about
/// 40 bytes per id, however long it is.
#[derive(Clone, Debug)]
pub struct Ids {
    key: [u8; blake3::KEY_LEN],
    indices: HashMap<[u8; 12], u32>,
}

impl Default for Ids {
    fn default() -> Self {
        let mut key = [0; blake3::KEY_LEN];
        let (left, right) = key.split_at_mut(16);
        left.copy_from_slice(Uuid::new_v4().as_bytes());
        right.copy_from_slice(Uuid::new_v4().as_bytes());
        Self { key, indices: HashMap::new() }
    }
}

impl Ids {
    /// Notes that `id`, decoded, belongs to the request at `index`, from 0.
    ///
    /// # Errors
    /// The index of the request that already has this id.
    pub fn insert(&mut self, id: &str, index: u32) -> Result<(), u32> {
        match self.indices.entry(digest(&self.key, id)) {
            Entry::Vacant(entry) => {
                entry.insert(index);
                Ok(())
            }
            Entry::Occupied(entry) => Err(*entry.get()),
        }
    }

    /// The index of the request with this id.
    pub fn find(&self, id: &str) -> Option<u32> {
        self.indices.get(&digest(&self.key, id)).copied()
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

fn digest(key: &[u8; blake3::KEY_LEN], id: &str) -> [u8; 12] {
    let hash = blake3::keyed_hash(key, id.as_bytes());
    let mut digest = [0; 12];
    digest.copy_from_slice(&hash.as_bytes()[..12]);
    digest
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn an_id_finds_its_request_and_the_first_one_stands() {
        let mut ids = Ids::default();
        assert!(ids.is_empty());
        assert_eq!(ids.insert("a", 0), Ok(()));
        assert_eq!(ids.insert("b", 1), Ok(()));
        assert_eq!(ids.insert("a", 2), Err(0));
        assert_eq!((ids.find("a"), ids.find("b"), ids.find("c"), ids.len()), (Some(0), Some(1), None, 2));
    }
}
