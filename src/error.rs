//! Errors, and the exit codes they and the verdict end in.
//!
//! An [`Error`] is what stopped the run: a kind for the exit code, a sentence
//! for the reader, the causes below it, and hints that say what to do. Hints
//! are attached where the knowledge is; `effects.rs` prints them in one place.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The exit codes. They are an interface: scripts branch on them. Codes that
/// are not listed here are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The outcome is within what was allowed.
    Ok,
    /// batchstep itself failed: a bug, or a disk it cannot write to.
    Internal,
    /// The command line, an input or the environment is wrong.
    Usage,
    /// The requests file is invalid; nothing was uploaded.
    Invalid,
    /// The provider refused, was unreachable before a batch existed, the fate of a
    /// create could not be learned, or answers could not be fetched.
    Refused,
    /// The batch failed, expired or was cancelled by somebody else, with nothing usable.
    BatchFailed,
    /// Time was up: the batch was cancelled.
    TimedOut,
    /// More answers failed or are missing than `max-failed` allows, or are suspect than `max-suspect` does.
    AnswersFailed,
    /// A batch is not over yet, and that was to be a failure.
    Pending,
    /// A signal ended the run.
    Signal(u8),
}

impl Exit {
    /// Every code but the signals, in the order of the published table.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::Internal,
        Self::Usage,
        Self::Invalid,
        Self::Refused,
        Self::BatchFailed,
        Self::TimedOut,
        Self::AnswersFailed,
        Self::Pending,
    ];

    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Refused => 4,
            Self::BatchFailed => 5,
            Self::TimedOut => 6,
            Self::AnswersFailed => 7,
            Self::Pending => 8,
            Self::Signal(number) => 128u8.saturating_add(number),
        }
    }

    /// What the published table says of the code.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "The outcome is within what was allowed.",
            Self::Internal => "Internal error: a bug, or a file that could not be written.",
            Self::Usage => "Usage: a flag, an input or the environment is wrong.",
            Self::Invalid => "The requests file is invalid; nothing was uploaded.",
            Self::Refused => {
                "The provider refused or was unreachable; a limit of the run, such as `max-cost`, kept requests back; or it may have been paid already: see `outcome` (`refused`, `unknown`, `uncollected`)."
            }
            Self::BatchFailed => "The batch failed, expired or was cancelled elsewhere, with nothing usable.",
            Self::TimedOut => "Time was up: the batch was cancelled, partial results are kept.",
            Self::AnswersFailed => {
                "Answers failed or are missing beyond `max-failed`, or are suspect beyond `max-suspect`."
            }
            Self::Pending => "A batch is not over yet; only with `fail-if-pending`.",
            Self::Signal(_) => "A signal ended the run: 128 + its number.",
        }
    }
}

/// What an error is about, where something can be done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nothing that we know how to go on from.
    #[default]
    Usual,
    /// The provider takes smaller batches than this one.
    TooLarge,
    /// It would cost more than the user allows.
    OverBudget,
}

/// What stopped the run.
#[derive(Debug)]
pub struct Error {
    /// The exit code it ends in.
    pub exit: Exit,
    /// A sentence: the thing in backticks, the expectation, the location.
    pub message: String,
    /// What to do about it, a sentence each.
    pub hints: Vec<String>,
    /// What it is about.
    pub kind: Kind,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that ends in `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new(), kind: Kind::default(), cause: None }
    }

    /// A mistake in the inputs: exit 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Our own failure: exit 1.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, message)
    }

    /// The provider's refusal: exit 4.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// Says what it is about.
    #[must_use]
    pub fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The message and its causes in one line: `message: cause: deeper cause`.
    /// A cause that the text before it already ends with is not repeated.
    pub fn sentence(&self) -> String {
        let mut text = self.message.clone();
        let mut next = self.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.trim_end_matches('.').ends_with(cause_text.trim_end_matches('.')) {
                text = format!("{}: {cause_text}", text.trim_end_matches('.'));
            }
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn std::error::Error + 'static))
    }
}

/// The run's verdict in a word, the `outcome` output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every request has a good answer.
    Succeeded,
    /// Some failed or are missing, within what was allowed.
    Partial,
    /// The batch failed, or more answers failed than allowed.
    Failed,
    /// The requests file is invalid.
    Invalid,
    /// A flag, an input or the environment is wrong.
    Usage,
    /// The provider refused, or could not be reached before a batch existed.
    Refused,
    /// Time was up.
    TimedOut,
    /// A signal ended the run.
    Cancelled,
    /// A signal or the deadline ended the run, and the batch was left running as `on-abort` or `on-timeout` asks.
    Detached,
    /// The batch is not over yet, and somebody comes back for it.
    Pending,
    /// Nothing was done for want of a key, as `skip-without-key` asks.
    Skipped,
    /// A create was sent and its fate could not be learned.
    #[default]
    Unknown,
    /// The batch is over and its answers are at the provider, but could not be fetched.
    Uncollected,
}

impl Outcome {
    /// The outcome of an error with this exit code.
    pub fn of_error(exit: Exit) -> Self {
        match exit {
            Exit::Usage => Self::Usage,
            Exit::Refused => Self::Refused,
            Exit::Invalid => Self::Invalid,
            _ => Self::Failed,
        }
    }

    /// The word for the outputs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Detached => "detached",
            Self::Pending => "pending",
            Self::Skipped => "skipped",
            Self::Unknown => "unknown",
            Self::Uncollected => "uncollected",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, Exit};

    #[test]
    fn codes_are_in_the_order_of_the_table() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(Exit::Signal(15).code(), 143);
    }

    #[test]
    fn a_sentence_holds_the_chain_once() {
        let io = std::io::Error::other("disk full");
        let error = Error::internal("`results.jsonl` could not be written.").because(io);
        assert_eq!(error.sentence(), "`results.jsonl` could not be written: disk full");
    }
}
