//! Any server that speaks OpenAI's dialect: its address is the user's, its
//! limits are for it to say.

use super::Provider;
use crate::requests::Rules;

/// A compatible server.
pub(super) struct Compatible;

impl Provider for Compatible {
    fn name(&self) -> &'static str {
        "compatible"
    }

    fn base_url(&self) -> Option<&'static str> {
        None
    }

    fn rules(&self) -> Rules {
        Rules {
            endpoint: None,
            known_endpoints_only: false,
            max_requests: None,
            max_bytes: None,
            max_embedding_inputs: None,
        }
    }

    fn windows(&self) -> &'static [&'static str] {
        &[]
    }
}
