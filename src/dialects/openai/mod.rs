//! OpenAI: the dialect's home, so all that it has of its own is its address.

pub(crate) mod wire;

use super::Provider;

/// OpenAI's own API.
pub(super) struct OpenAi;

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn base_url(&self) -> Option<&'static str> {
        Some("https://api.openai.com/v1")
    }
}
