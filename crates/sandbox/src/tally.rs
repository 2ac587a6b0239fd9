//! What the sandbox was asked for and what that would have cost.
//!
//! Tests count with it that nothing was paid twice; it is also served at
//! `GET /sandbox/tally`, for tests in other processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A count of all that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Calls by operation, those included that a fault struck.
    pub calls: BTreeMap<String, u64>,
    /// Files that were uploaded.
    pub uploads: u64,
    /// Batches that were created.
    pub creates: u64,
    /// Rows of all batches that were answered well.
    pub rows_paid: u64,
    /// Different `custom_id`s that the files of at least one batch answer well.
    pub rows_good: u64,
    /// Of these, how many the files of more than one batch answer well.
    pub rows_good_again: u64,
    /// The batches, oldest first.
    pub batches: Vec<TallyBatch>,
}

/// One batch of a [`Tally`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyBatch {
    /// Its id.
    pub id: String,
    /// Its status.
    pub status: String,
    /// The metadata `batchstep_key`, even where a fault hides it from the API.
    pub key: Option<String>,
    /// The metadata `batchstep_create`, even where a fault hides it from the API.
    pub create: Option<String>,
    /// Unix seconds.
    pub created_at: u64,
    /// Its rows that were answered well.
    pub rows_paid: u64,
}
