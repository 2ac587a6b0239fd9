//! The built-in simulator as a provider: OpenAI's dialect and limits, no key,
//! and a mark that nothing it says is real. `commands/mod.rs` starts the simulator.

use super::{Key, Provider};

/// The simulator.
pub(super) struct Sandbox;

impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn base_url(&self) -> Option<&'static str> {
        None
    }

    fn key(&self) -> Key {
        Key::MadeUp
    }

    fn is_simulated(&self) -> bool {
        true
    }
}
