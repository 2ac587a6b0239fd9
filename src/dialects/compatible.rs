//! Any server that speaks OpenAI's dialect: its address is the user's, its
//! limits are for it to say.

use super::{Key, Provider};
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
        Rules::default()
    }

    fn key(&self) -> Key {
        Key::Optional
    }

    fn may_refuse_metadata(&self) -> bool {
        true
    }

    fn windows(&self) -> &'static [&'static str] {
        &[]
    }
}
