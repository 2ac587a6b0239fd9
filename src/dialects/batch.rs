//! Batches and files as the flow knows them, whatever the vendor calls their parts.
//!
//! A dialect reads a vendor's answers into these. Only an id is always there; everything else is as
//! much as the vendor says. Ids are opaque. What is serialized here is shown so in `report.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Tokens;
use crate::usd::Usd;

/// Where a batch stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// The input is being checked; the first state.
    #[default]
    Validating,
    /// The input was refused as a whole. Terminal.
    Failed,
    /// Requests are being answered.
    InProgress,
    /// The output file is being written.
    Finalizing,
    /// Every request has been tried. Terminal; says nothing of their success.
    Completed,
    /// The completion window passed. Terminal; partial results exist.
    Expired,
    /// A cancel was accepted; requests in flight run to their end.
    Cancelling,
    /// Cancelled. Terminal; partial results exist.
    Cancelled,
    /// A word that the dialect does not know: kept as it came and treated as running.
    Other(String),
}

impl Status {
    /// Those that have a word of ours.
    const KNOWN: [Self; 8] = [
        Self::Validating,
        Self::Failed,
        Self::InProgress,
        Self::Finalizing,
        Self::Completed,
        Self::Expired,
        Self::Cancelling,
        Self::Cancelled,
    ];

    /// Our word for it, or the unknown word as it came.
    pub fn word(&self) -> &str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Other(word) => word,
        }
    }

    /// Whether nothing will change any more.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Expired | Self::Cancelled)
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let known = Self::KNOWN.into_iter().find(|status| status.word() == word);
        Ok(known.unwrap_or(Self::Other(word)))
    }
}

/// A batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Where its requests go; a server may say nothing.
    pub endpoint: Option<String>,
    /// How long the vendor may take, as the creator said it.
    pub completion_window: Option<String>,
    /// The uploaded file.
    pub input_file_id: Option<String>,
    /// The good answers; absent where there are none.
    pub output_file_id: Option<String>,
    /// The other answers; absent where there are none.
    pub error_file_id: Option<String>,
    /// Why the whole batch failed.
    pub errors: BatchErrors,
    /// How far it is.
    pub counts: Counts,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// When it reached its terminal state, in Unix seconds.
    pub ended_at: Option<i64>,
    /// The model that answers, where the vendor names it.
    pub model: Option<String>,
    /// What all answers used, as the vendor counts it; none where it counts nothing.
    pub(crate) usage: Option<Tokens>,
    /// What the vendor says that the batch costs.
    pub(crate) billed: Option<Usd>,
    /// What the creator wrote on it.
    pub metadata: BTreeMap<String, String>,
}

/// Where a part of a batch's answers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerSource<'a> {
    /// Which part.
    pub part: AnswerPart,
    /// The file that holds it.
    pub file_id: &'a str,
}

/// The parts in which a vendor delivers answers. What a line means is decided by the line alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerPart {
    /// The good answers, as a rule.
    Output,
    /// The failures, as a rule.
    Error,
}

impl Batch {
    /// Every id in it: its own and its files'.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let files = [&self.input_file_id, &self.output_file_id, &self.error_file_id];
        std::iter::once(self.id.as_str()).chain(files.into_iter().flatten().map(String::as_str))
    }
}

/// How many requests of a batch are done. A count that the vendor does not give is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RequestCounts"))]
#[serde(default)]
pub struct Counts {
    /// All requests.
    pub total: Option<u64>,
    /// Answered with status 200.
    pub completed: Option<u64>,
    /// Answered otherwise.
    pub failed: Option<u64>,
}

impl Counts {
    /// Requests that have been tried, none where the vendor counts neither kind.
    pub fn done(&self) -> Option<u64> {
        match (self.completed, self.failed) {
            (None, None) => None,
            (completed, failed) => Some(completed.unwrap_or(0).saturating_add(failed.unwrap_or(0))),
        }
    }

    /// These counts, all known.
    #[cfg(test)]
    pub(crate) fn of(total: u64, completed: u64, failed: u64) -> Self {
        Self { total: Some(total), completed: Some(completed), failed: Some(failed) }
    }
}

/// One reason why a batch failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchError {
    /// The vendor's word for it.
    pub code: Option<String>,
    /// The vendor's sentence.
    pub message: Option<String>,
    /// The field it is about.
    pub param: Option<String>,
    /// The line of the input file, from 1.
    pub line: Option<u64>,
}

/// Why a whole batch failed: the first thousand reasons, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchErrors {
    /// The first of them.
    pub kept: Vec<BatchError>,
    /// All of them.
    pub total: u64,
    /// Whether the vendor only had no room for the batch at the moment: too much is enqueued.
    pub lack_room: bool,
}

#[cfg(test)]
impl From<Vec<BatchError>> for BatchErrors {
    fn from(kept: Vec<BatchError>) -> Self {
        Self { total: kept.len() as u64, lack_room: false, kept }
    }
}

impl std::ops::Deref for BatchErrors {
    type Target = [BatchError];

    fn deref(&self) -> &[BatchError] {
        &self.kept
    }
}

impl std::ops::DerefMut for BatchErrors {
    fn deref_mut(&mut self) -> &mut [BatchError] {
        &mut self.kept
    }
}

/// A file.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// The id.
    pub id: String,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its name.
    pub filename: Option<String>,
    /// The vendor's word for where it stands, such as `uploaded`, `processed` or `error`.
    pub status: Option<String>,
    /// Why it is in error.
    pub status_details: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The batches, newest first.
    pub batches: Vec<Batch>,
    /// Whether another page follows.
    pub has_more: bool,
    /// Whether there are entries that could be batches of ours and cannot be read.
    pub is_partial: bool,
}
