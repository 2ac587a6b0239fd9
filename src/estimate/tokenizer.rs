//! Counts the tokens of a text.

/// A vocabulary of OpenAI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// That of its models since gpt-4o.
    O200k,
    /// That of gpt-4, gpt-3.5 and the embedding models.
    Cl100k,
}

impl Encoding {
    /// What OpenAI calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        }
    }

    /// The tokens of a text. What looks like a special token is text, as it is in a request.
    pub(super) fn count(self, text: &str) -> u64 {
        (text.len() as u64).div_ceil(4)
    }
}
