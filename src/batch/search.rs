//! Finding the batch of a create by its mark, in the provider's list.

use crate::api::Api;
use crate::identity;
use crate::retry::Failure;
use crate::wire::{Batch, Page};

/// How far before an intent its batch may claim to be created: clocks differ.
const LOOK_BACK: i64 = 300;
/// How many pages of a hundred are looked through.
const PAGES: usize = 50;

/// Finds every batch that came from a create, oldest first: by its mark, or, where
/// the provider dropped the metadata, by the uploaded file. `intended` is when
/// the create was first meant to be sent, in Unix seconds; older batches are not it.
pub async fn find(api: &Api, create: &str, file_id: Option<&str>, intended: i64) -> Result<Vec<Batch>, Failure> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..PAGES {
        let (Page { batches, has_more }, _) = api.list_batches(100, after.as_deref()).await?;
        let ends = batches.first().zip(batches.last());
        // Only where the newest come first does an old one say that no newer one follows.
        let is_older = ends.is_some_and(|(first, last)| {
            last.created_at.is_some_and(|created| created < intended - LOOK_BACK) && first.created_at >= last.created_at
        });
        let last = ends.map(|(_, last)| last.id.clone());
        found.extend(batches.into_iter().filter(|batch| identity::is_from(batch, create, file_id)));
        if is_older || !has_more {
            found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
            found.dedup_by(|a, b| a.id == b.id);
            return Ok(found);
        }
        if last.is_none() || last == after {
            break;
        }
        after = last;
    }
    // What was not seen may be ours: such a look is none.
    Err(Failure::Garbled("the list of batches does not come to an end".to_owned()))
}
