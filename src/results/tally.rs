//! How the requests fared, counted as it becomes certain.

use super::Results;
use super::absent::Absence;
use super::failure::{Failure, Fate};
use super::failures::{Failures, GONE};
use super::held::Held;
use crate::report::{Counts, Tokens};
use crate::text::requests_count;
use crate::values::RetryOn;

/// The codes of requests that the provider did not get to.
const NEVER_RAN: [&str; 2] = ["batch_expired", "batch_cancelled"];

/// The counts so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    tokens: Tokens,
    failures: Failures,
    retryable: Vec<u32>,
    missing: Vec<u32>,
    never_ran: u64,
}

impl Tally {
    /// Notes a failure of the request at `index`, which one of this batch's files holds.
    pub(super) fn failed(&mut self, index: u32, failure: Failure, held: Option<&Held>) {
        self.counts.failed += 1;
        self.used(failure.tokens);
        self.never_ran += u64::from(NEVER_RAN.contains(&failure.code.as_str()));
        let may_pass = match failure.fate {
            Fate::MayPass => true,
            Fate::Stays => false,
            Fate::Empty => !held.is_some_and(Held::is_misread),
        };
        if may_pass {
            self.retryable.push(index);
        }
        self.failures.add(&failure.code, failure.status, &failure.message, &failure.custom_id);
    }

    /// Notes the tokens of an answer that counts.
    pub(super) fn used(&mut self, tokens: Tokens) {
        let sum = |total: &mut u64, tokens: u64| *total = total.saturating_add(tokens);
        sum(&mut self.tokens.input, tokens.input);
        sum(&mut self.tokens.cached, tokens.cached);
        sum(&mut self.tokens.output, tokens.output);
        sum(&mut self.tokens.reasoning, tokens.reasoning);
    }

    /// Notes that the request at `index` has no answer.
    pub(super) fn unanswered(&mut self, index: u32, custom_id: &str, absence: Absence, retry_on: &RetryOn) {
        self.failures.add(absence.code(), None, absence.message(), custom_id);
        match absence {
            Absence::Missing => {
                self.counts.missing += 1;
                self.never_ran += 1;
                self.missing.push(index);
            }
            // It was paid for: nobody pays again who has not asked for it.
            Absence::Gone => {
                self.counts.failed += 1;
                if retry_on.covers(None, GONE) {
                    self.retryable.push(index);
                }
            }
        }
    }

    /// What it comes to, with what the batches hold.
    pub(super) fn into_results(self, batches: Vec<Held>) -> Results {
        let mut warnings = Vec::new();
        if self.counts.unexpected > 0 {
            let why = "each repeats an answer, names no request of this run, or cannot be read";
            warnings.push(format!("Lines of the answers that were set aside: {}; {why}.", self.counts.unexpected));
        }
        if self.counts.unreadable > 0 {
            warnings.push(format!(
                "Answers of which a part cannot be read: {}. They are in their places as the provider wrote them, and a JSON reader may refuse those lines.",
                self.counts.unreadable
            ));
        }
        for held in batches.iter().filter(|held| held.is_misread()) {
            warnings.push(format!(
                "Of {} that a batch answered, {} {} empty. Perhaps this provider writes answers in a way that batchstep does not know, so they are not retried.",
                requests_count(held.requests),
                held.empty,
                if held.empty == 1 { "looks" } else { "look" }
            ));
        }
        let Self { counts, tokens, failures, retryable, missing, never_ran } = self;
        Results { counts, tokens, failures: failures.sorted(), retryable, missing, batches, never_ran, warnings }
    }
}
