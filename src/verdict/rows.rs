//! How the requests fared: what the verdict is judged by.

use crate::report::Counts;
use crate::results::Results;

/// How the requests fared, as far as the verdict asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// How many in which way.
    pub counts: Counts,
    /// Of these, how many never ran: missing, expired or cancelled.
    pub never_ran: u64,
}

impl Rows {
    /// What the results say.
    pub(crate) fn of(results: &Results) -> Self {
        Self { counts: results.counts, never_ran: results.never_ran }
    }

    /// Whether every request was tried: then a cancel that came too late changed nothing.
    pub(crate) fn all_ran(self) -> bool {
        self.never_ran == 0
    }
}
