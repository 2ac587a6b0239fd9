//! Reconciliation as benchmarks measure it: all its work, and nothing is kept.

use std::io::{self, Sink, Write};

use super::sinks::{self, Output};
use super::{AnswersFile, Policy, Requests, reconcile};
use crate::dialects::{Name, choose};
use crate::error::Error;
use crate::requests::Checked;
use crate::requests::source::Source;
use crate::values::{AnswerFiles, RetryOn};

struct Discard(Sink);

impl Write for Discard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Discard {
    fn publish(self: Box<Self>) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// Reconciles OpenAI's answers and discards what is written. Returns how many requests succeeded.
///
/// # Errors
/// As `reconcile`.
pub fn reconcile_and_discard(source: &Source, checked: &Checked, answers: &[AnswersFile]) -> Result<u64, Error> {
    let dialect = choose(Name::Openai).dialect;
    let retry_on = RetryOn::default();
    let policy = Policy::usual(dialect.answers(), &retry_on);
    let requests = Requests { source, ids: &checked.ids, total: checked.total, is_structured: checked.is_structured };
    let sinks = sinks::all(AnswerFiles::Omit, |_| Ok(Box::new(Discard(io::sink()))))?;
    Ok(reconcile(requests, answers, &policy, sinks)?.counts.succeeded)
}
