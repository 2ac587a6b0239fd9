//! The phases of a run, and how long each took.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::dialects::Status;

/// What a run is doing. docs/report.md lists the words, and a test compares the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The requests are checked.
    Check,
    /// `collect` reads the batches that it was given.
    Look,
    /// A batch of the same requests is looked for.
    Attach,
    /// The requests are uploaded.
    Upload,
    /// The batch is created.
    Create,
    /// Several batches are under way, whose phases overlap.
    Batches,
    /// The provider checks the batch's file.
    Validating,
    /// The provider answers requests.
    InProgress,
    /// The provider writes the answers' files.
    Finalizing,
    /// The batch is being cancelled.
    Cancelling,
    /// The provider's limit on enqueued tokens is used up.
    WaitingForRoom,
    /// The provider cannot use the uploaded file yet.
    WaitingForFile,
    /// The answers are fetched.
    Collect,
    /// The batch has another status, which is the provider's own word.
    Other(String),
}

impl Phase {
    /// Every phase that has a word of ours, in the order of a run.
    pub const ALL: [Self; 13] = [
        Self::Check,
        Self::Look,
        Self::Attach,
        Self::Upload,
        Self::Create,
        Self::Batches,
        Self::Validating,
        Self::InProgress,
        Self::Finalizing,
        Self::Cancelling,
        Self::WaitingForRoom,
        Self::WaitingForFile,
        Self::Collect,
    ];

    /// Waiting for a batch of this status.
    pub(crate) fn of(status: &Status) -> Self {
        match status {
            Status::Validating => Self::Validating,
            Status::InProgress => Self::InProgress,
            Status::Finalizing => Self::Finalizing,
            Status::Cancelling => Self::Cancelling,
            other => Self::Other(other.word().to_owned()),
        }
    }

    /// Its word in the report.
    pub fn word(&self) -> &str {
        match self {
            Self::Check => "check",
            Self::Look => "look",
            Self::Attach => "attach",
            Self::Upload => "upload",
            Self::Create => "create",
            Self::Batches => "batches",
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Cancelling => "cancelling",
            Self::WaitingForRoom => "waiting_for_room",
            Self::WaitingForFile => "waiting_for_file",
            Self::Collect => "collect",
            Self::Other(word) => word,
        }
    }
}

/// How long a phase took, as the report has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PhaseTime {
    /// The phase's word.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// Measures phases: each lasts until the next begins.
#[derive(Default)]
pub(crate) struct Phases(RefCell<Vec<(Phase, Instant)>>);

impl Phases {
    /// Begins a phase, unless it is the one already under way.
    pub(crate) fn begin(&self, phase: Phase) {
        let mut begun = self.0.borrow_mut();
        if begun.last().is_none_or(|(last, _)| *last != phase) {
            begun.push((phase, Instant::now()));
        }
    }

    /// The phases so far, the last one up to now.
    pub(crate) fn finish(&self) -> Vec<PhaseTime> {
        let begun = self.0.borrow();
        let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let time = |((phase, from), to): (&(Phase, Instant), Instant)| PhaseTime {
            name: phase.word().to_owned(),
            seconds: seconds(to - *from),
        };
        begun.iter().zip(ends).map(time).collect()
    }
}

/// Seconds to the millisecond: more would only be noise in the report.
fn seconds(span: std::time::Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::{Phase, PhaseTime, Phases};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_phase_lasts_until_another_begins() {
        let phases = Phases::default();
        for (phase, seconds) in [(Phase::Check, 1), (Phase::InProgress, 2), (Phase::InProgress, 3), (Phase::Collect, 4)]
        {
            phases.begin(phase);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        let time = |name: &str, seconds| PhaseTime { name: name.to_owned(), seconds };
        assert_eq!(phases.finish(), [time("check", 1.0), time("in_progress", 5.0), time("collect", 4.0)]);
    }
}
