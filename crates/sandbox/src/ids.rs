//! Ids that look like OpenAI's: a counter hashed with the sandbox's random seed.
//!
//! They are unique within and across sandboxes and cannot be guessed, so no
//! test comes to depend on them.

use uuid::Uuid;

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The source of a sandbox's ids.
pub(super) struct Ids {
    seed: [u8; 16],
    made: u64,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { seed: *Uuid::new_v4().as_bytes(), made: 0 }
    }

    /// `file-` and 22 letters and digits.
    pub(super) fn file(&mut self) -> String {
        let letters = self.next().into_iter().take(22).map(|byte| char::from(LETTERS[usize::from(byte) % 62]));
        std::iter::once("file-".to_owned()).chain(letters.map(String::from)).collect()
    }

    /// A prefix and 32 hexadecimal digits.
    pub(super) fn hex(&mut self, prefix: &str) -> String {
        let bytes = self.next();
        let digits = u128::from_be_bytes(std::array::from_fn(|i| bytes[i]));
        format!("{prefix}{digits:032x}")
    }

    fn next(&mut self) -> [u8; 32] {
        self.made += 1;
        *blake3::Hasher::new().update(&self.seed).update(&self.made.to_be_bytes()).finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn ids_have_the_shape_and_differ() {
        let mut ids = Ids::new();
        let (first, second, batch) = (ids.file(), ids.file(), ids.hex("batch_"));
        assert_ne!(first, second);
        assert!(first.starts_with("file-") && first.len() == 27, "{first}");
        assert!(batch.starts_with("batch_") && batch.len() == 38, "{batch}");
        assert_ne!(Ids::new().file(), Ids::new().file());
    }
}
