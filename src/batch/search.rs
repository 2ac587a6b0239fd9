//! Looking through the provider's list of batches.

use crate::api::Api;
use crate::clock::seconds;
use crate::dialects::{Batch, Page};
use crate::identity;
use crate::policy::{CLOCK_SKEW, PAGES};
use crate::retry::Failure;

/// What was found in the list.
#[derive(Debug)]
pub(crate) struct Found {
    /// The batches that were wanted, oldest first.
    pub batches: Vec<Batch>,
    /// Whether all of the list was seen, as far back as was asked for.
    pub is_whole: bool,
}

/// Looks for batches created at `since` (Unix seconds) or later.
pub(crate) async fn scan(api: &Api, since: i64, wanted: impl Fn(&Batch) -> bool) -> Result<Found, Failure> {
    let mut found = Found { batches: Vec::new(), is_whole: false };
    let mut after: Option<String> = None;
    let mut is_readable = true;
    for _ in 0..PAGES {
        let (Page { batches, has_more, is_partial }, _) = api.list_batches(100, after.as_deref()).await?;
        is_readable &= !is_partial;
        let ends = batches.first().zip(batches.last());
        // Only where the newest come first does an old one say that no newer one follows.
        let is_older = ends.is_some_and(|(first, last)| {
            last.created_at.is_some_and(|created| created < since) && first.created_at > last.created_at
        });
        let last = ends.map(|(_, last)| last.id.clone());
        let is_late = |batch: &Batch| batch.created_at.is_none_or(|created| created >= since);
        found.batches.extend(batches.into_iter().filter(|batch| is_late(batch) && wanted(batch)));
        found.is_whole = is_older || !has_more;
        if found.is_whole || last.is_none() || last == after {
            break;
        }
        after = last;
    }
    found.is_whole &= is_readable;
    found.batches.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    found.batches.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

/// Finds every batch that came from a create, oldest first: by its mark, or, where
/// the provider dropped the metadata, by the uploaded file. `intended` is when
/// the create was first meant to be sent, in Unix seconds; older batches are not it.
pub(crate) async fn find(api: &Api, create: &str, file_id: Option<&str>, intended: i64) -> Result<Vec<Batch>, Failure> {
    let found = scan(api, intended - seconds(CLOCK_SKEW), |batch| identity::is_from(batch, create, file_id)).await?;
    // What was not seen may be ours: such a look is none.
    let endless = || Failure::Garbled("the list of batches does not come to an end".to_owned());
    if found.is_whole { Ok(found.batches) } else { Err(endless()) }
}

/// Whether the vendor has no list of batches, or an answer means that this server has none, or none for us, or none
/// without something that only it knows.
pub(crate) fn cannot_list(failure: &Failure) -> bool {
    matches!(failure, Failure::Unsupported(_))
        || matches!(failure.status(), Some(400 | 403 | 404 | 405 | 410 | 422 | 501))
        || failure.is_unknown_thing()
}

#[cfg(test)]
mod tests {
    use super::{Failure, cannot_list};

    #[test]
    fn a_vendor_without_a_list_needs_no_refusal_to_be_known_as_such() {
        assert!(cannot_list(&Failure::Unsupported("list of batches")));
        assert!(!cannot_list(&Failure::Interrupted("reset".to_owned())));
    }
}
