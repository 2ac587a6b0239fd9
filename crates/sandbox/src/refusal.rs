//! What an API says when it says no.

use std::time::Duration;

/// An answer that is not 2xx. How it becomes JSON is the dialect's matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    /// The error's type.
    pub(super) kind: &'static str,
    /// The field it is about, where a dialect names it.
    pub(super) param: Option<String>,
    pub(super) code: Option<String>,
    pub(super) retry_after: Option<Duration>,
}
