//! What the sandbox was asked for and what that would have cost.
//!
//! Tests count with it that nothing was paid twice; it is also served at
//! `GET /sandbox/tally`, for tests in other processes.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::life::Life;

/// Calls by operation.
pub(super) type Calls = BTreeMap<String, u64>;

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
    /// Different `custom_id`s that the answers of at least one batch hold well, each without its mark.
    pub rows_good: u64,
    /// Of these, how many the answers of more than one batch hold well.
    pub rows_good_again: u64,
    /// The batches, oldest first.
    pub batches: Vec<TallyBatch>,
}

/// One batch of a [`Tally`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyBatch {
    /// Its id.
    pub id: String,
    /// Its status, in OpenAI's words whatever the dialect.
    pub status: String,
    /// The key in its mark: the metadata `batchstep_key`, even where a fault hides it from the API, or the
    /// beginning of its `custom_id`s where a dialect has no metadata.
    pub key: Option<String>,
    /// The create id in its mark, likewise.
    pub create: Option<String>,
    /// Unix seconds.
    pub created_at: u64,
    /// Its rows that were answered well.
    pub rows_paid: u64,
}

/// The mark of the run that created a batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Marked {
    pub(super) key: Option<String>,
    pub(super) create: Option<String>,
}

impl Tally {
    /// The tally of these batches, each with its mark.
    pub(super) fn of<'a>(
        calls: Calls,
        uploads: u64,
        batches: impl Iterator<Item = (&'a Life, Marked)>,
        own_id: impl Fn(&str) -> &str,
        now: Duration,
    ) -> Self {
        let (mut good, mut again) = (HashSet::new(), HashSet::new());
        let mut tally = Self { calls, uploads, ..Self::default() };
        for (life, marked) in batches {
            let moment = life.course.at(now);
            for id in life.rows.good(moment.done).map(&own_id) {
                if !good.insert(id.to_owned()) {
                    again.insert(id.to_owned());
                }
            }
            tally.batches.push(TallyBatch {
                id: life.id.clone(),
                status: moment.status.word().to_owned(),
                key: marked.key,
                create: marked.create,
                created_at: life.course.created.as_secs(),
                rows_paid: life.paid(now) as u64,
            });
        }
        tally.creates = tally.batches.len() as u64;
        tally.rows_paid = tally.batches.iter().map(|batch| batch.rows_paid).sum();
        (tally.rows_good, tally.rows_good_again) = (good.len() as u64, again.len() as u64);
        tally
    }
}
