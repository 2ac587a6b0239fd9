//! What was collected together: entries of the output `runs`.

use serde::Serialize;

use crate::error::Outcome;

/// What came of one run, an entry of the output `runs`.
#[derive(Debug, Serialize)]
pub(crate) struct RunEntry {
    /// The digest that names its work.
    pub key: String,
    /// Whether the answers are the sandbox's.
    pub simulated: bool,
    /// Its verdict.
    pub outcome: Outcome,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// Why, in a sentence.
    pub reason: String,
    /// Its batches.
    pub batch_ids: Vec<String>,
    /// Where its host shows it.
    #[serde(flatten)]
    pub shown_at: ShownAt,
    /// The answers.
    pub results_file: Option<String>,
    /// The report.
    pub report_file: Option<String>,
}

/// Where a host shows a run, in that host's own terms.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ShownAt {
    /// Members of the run's entry: GitHub's are `check_ids` and `pull_requests`.
    #[serde(flatten)]
    pub members: serde_json::Map<String, serde_json::Value>,
    /// Where people find it, in the host's markup: `pull request #7`.
    #[serde(skip)]
    pub places: Vec<String>,
}
