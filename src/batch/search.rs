//! Reading the provider's list of batches.

use std::pin::pin;

use futures_util::{Stream, TryStreamExt as _, stream};

use crate::api::Api;
use crate::clock::seconds;
use crate::dialects::{Batch, FoundBy, Page};
use crate::emitter::Events;
use crate::error::Error;
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::identity;
use crate::policy::{CLOCK_SKEW, PAGE, PAGES};
use crate::retry::Failure;
use crate::retry_loop::RetryBudget;

/// What was found in the list.
#[derive(Debug)]
pub(crate) struct Found {
    /// The batches that were wanted, oldest first.
    pub batches: Vec<Batch>,
    /// Whether all of the list was read, as far back as was asked for.
    pub is_whole: bool,
}

impl Found {
    /// The batches. If the list was not read to its end, a warning says so.
    pub(crate) fn warned(self, events: &Events<'_>) -> Vec<Batch> {
        if !self.is_whole {
            let warning = "The list of batches could not be read to its end; an old batch may be missed.";
            events.emit(Event::Warned(warning.to_owned()));
        }
        self.batches
    }
}

/// Makes sure that the vendor shows whose a batch is while it runs.
///
/// # Errors
/// Ends in exit 2 where it does not: then a batch must be named by its id.
pub(crate) fn check_marks(api: &Api) -> Result<(), Error> {
    let vendor = api.vendor();
    match vendor.capabilities.found_by {
        FoundBy::Metadata | FoundBy::MetadataIfKept => Ok(()),
        FoundBy::AnswerIds => {
            let message = format!("A batch at {} does not show whose it is while it runs.", vendor.name());
            Err(Error::usage(message).hint("Name the batch by its id: the log, the report and the journal have it."))
        }
    }
}

/// Lists the wanted batches that were created at `since` (Unix seconds) or later, oldest first.
pub(crate) async fn list(
    api: &Api,
    guard: &Guard<'_>,
    since: i64,
    wanted: impl Fn(&Batch) -> bool,
) -> Result<Vec<Batch>, Stop> {
    let scan = async || scan(api, since, &wanted).await;
    Ok(guard.retry("listing batches", RetryBudget::BeforeBatch, scan).await?.warned(guard.events))
}

/// Looks for batches created at `since` (Unix seconds) or later.
pub(super) async fn scan(api: &Api, since: i64, wanted: impl Fn(&Batch) -> bool) -> Result<Found, Failure> {
    let mut found = Found { batches: Vec::new(), is_whole: false };
    let (mut is_readable, mut pages) = (true, pin!(pages(api)));
    while let Some(Page { batches, has_more, is_partial }) = pages.try_next().await? {
        is_readable &= !is_partial;
        // Only where the newest come first does an old one mean that no newer one follows.
        let is_older = batches.first().zip(batches.last()).is_some_and(|(first, last)| {
            last.created_at.is_some_and(|created| created < since) && first.created_at > last.created_at
        });
        let is_late = |batch: &Batch| batch.created_at.is_none_or(|created| created >= since);
        found.batches.extend(batches.into_iter().filter(|batch| is_late(batch) && wanted(batch)));
        found.is_whole = is_older || !has_more;
        if found.is_whole {
            break;
        }
    }
    found.is_whole &= is_readable;
    found.batches.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    found.batches.dedup_by(|a, b| a.id == b.id);
    Ok(found)
}

/// The list page by page, as the provider orders it. It ends where the provider says so, where a page
/// is empty or repeats the one before, and after so many pages.
fn pages(api: &Api) -> impl Stream<Item = Result<Page, Failure>> {
    stream::try_unfold(Some((0, None::<String>)), move |at| async move {
        let Some((read, after)) = at.filter(|(read, _)| *read < PAGES) else { return Ok(None) };
        let (page, _) = api.list_batches(PAGE, after.as_deref()).await?;
        let last = page.batches.last().map(|batch| batch.id.clone());
        let next = (page.has_more && last.is_some() && last != after).then_some((read + 1, last));
        Ok(Some((page, next)))
    })
}

/// Finds every batch that came from a create, oldest first: by its mark, or, where
/// the provider dropped the metadata, by the uploaded file. `intended` is when
/// the create was first meant to be sent, in Unix seconds; older batches are not it.
pub(super) async fn find(api: &Api, create: &str, file_id: Option<&str>, intended: i64) -> Result<Vec<Batch>, Failure> {
    let since = intended - seconds(CLOCK_SKEW);
    let found = scan(api, since, |batch| identity::is_from(batch, create, file_id)).await?;
    // A batch beyond what was read may be ours: such a look counts for nothing.
    let endless = || Failure::Garbled("the list of batches does not come to an end".to_owned());
    if found.is_whole { Ok(found.batches) } else { Err(endless()) }
}

/// Whether the vendor has no list of batches, or an answer means that this server has none, or none for us, or none
/// without something that only it knows.
pub(super) fn cannot_list(failure: &Failure) -> bool {
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
