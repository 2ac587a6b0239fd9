//! A batch's rows: in which order they are answered, and what befalls them.
//!
//! The lines that they end in are the dialects' matter.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::faults::RowFault;
use super::weather::RowStrike;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) custom_id: String,
    /// Where the request stands in the content.
    pub(super) span: Range<usize>,
    /// Why it is refused when its turn comes, in a dialect whose create does not look that far.
    pub(super) wrong: Option<String>,
}

/// The rows of one batch.
pub(super) struct Rows {
    content: Bytes,
    rows: Vec<Row>,
    /// The rows' positions in the order they are done.
    order: Vec<usize>,
    /// What befalls each row, by its position in the file.
    fates: Vec<Option<RowFault>>,
    stranger: bool,
}

impl Rows {
    /// Shuffles the rows, the same way whenever the content is the same, and settles their fates, which are the same
    /// wherever the client's `own_id` of a row is.
    pub(super) fn new(content: Bytes, rows: Vec<Row>, own_id: fn(&str) -> &str, strikes: &[RowStrike]) -> Self {
        let hash = blake3::hash(&content);
        let mut random = fastrand::Rng::with_seed(u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i])));
        let mut order: Vec<usize> = (0..rows.len()).collect();
        random.shuffle(&mut order);
        let befall = |row: &Row| {
            let hit = strikes.iter().find(|s| s.fault != RowFault::Stranger && s.hits(own_id(&row.custom_id)));
            hit.map(|strike| strike.fault)
        };
        let fates = rows.iter().map(befall).collect();
        let stranger = strikes.iter().any(|strike| strike.fault == RowFault::Stranger);
        Self { content, rows, order, fates, stranger }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many of the first `done` rows failed. A status of 0 counts as success, as it does at OpenAI.
    pub(super) fn failed(&self, done: usize) -> usize {
        let failed = |row: &&usize| match self.fates[**row] {
            _ if self.rows[**row].wrong.is_some() => true,
            Some(RowFault::Status(status)) => status != 0,
            fate => fate == Some(RowFault::Bare),
        };
        self.order.iter().take(done).filter(failed).count()
    }

    /// The ids of those of the first `done` rows whose lines hold a good answer.
    pub(super) fn good(&self, done: usize) -> impl Iterator<Item = &str> {
        let is_good = |row: &&usize| match self.fates[**row] {
            _ if self.rows[**row].wrong.is_some() => false,
            None
            | Some(
                RowFault::Duplicate
                | RowFault::Stranger
                | RowFault::Nan
                | RowFault::StringBody
                | RowFault::Stop(_)
                | RowFault::OffSchema,
            ) => true,
            Some(
                RowFault::Status(_) | RowFault::ErrorInBody | RowFault::Missing | RowFault::Empty | RowFault::Bare,
            ) => false,
        };
        self.order.iter().take(done).filter(is_good).map(|row| self.rows[*row].custom_id.as_str())
    }

    /// The rows' positions, in the order in which they are done.
    pub(super) fn turns(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied()
    }

    /// The row at this position.
    pub(super) fn row(&self, position: usize) -> &Row {
        &self.rows[position]
    }

    /// What befalls the row at this position.
    pub(super) fn fate(&self, position: usize) -> Option<RowFault> {
        self.fates[position]
    }

    /// The JSON that the row's span holds.
    pub(super) fn request(&self, position: usize) -> Value {
        serde_json::from_slice(&self.content[self.rows[position].span.clone()]).unwrap_or_default()
    }

    /// Whether there is an answer that nobody asked for.
    pub(super) fn has_stranger(&self) -> bool {
        self.stranger
    }
}
