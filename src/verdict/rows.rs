//! How the requests fared: what the verdict is judged by.

use crate::report::{Counts, Prospect};
use crate::results::Results;

/// How the requests fared, as far as the verdict asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    /// How many in which way.
    pub counts: Counts,
    /// Of these, how many never ran: missing, expired or cancelled.
    pub never_ran: u64,
    /// Of those that are not good, how many were paid for, so that nobody sends them again unasked.
    pub paid: u64,
    /// Of these, how many fail again if they are sent as they are.
    pub fail_again: u64,
}

impl Rows {
    /// What the results say.
    pub(crate) fn of(results: &Results) -> Self {
        let of = |prospect| results.failures.iter().filter(move |it| it.prospect == prospect).map(|it| it.count).sum();
        let Counts { failed, missing, .. } = results.counts;
        // What `retry-on` names is sent although it was paid for.
        let asked = results.worth_retrying().len() as u64;
        let paid = Ord::min(of(Prospect::PaidAgain), (failed + missing).saturating_sub(asked));
        Self { counts: results.counts, never_ran: results.never_ran, paid, fail_again: of(Prospect::FailsAgain) }
    }

    /// Whether every request was tried: then a cancel that came too late changed nothing.
    pub(crate) fn all_ran(self) -> bool {
        self.never_ran == 0
    }
}
