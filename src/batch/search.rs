//! Finding the batch of a create by its mark, in the provider's list.

use crate::api::Api;
use crate::emitter::Events;
use crate::events::Event;
use crate::identity;
use crate::retry::Failure;
use crate::wire::Batch;

/// How far before an intent its batch may claim to be created: clocks differ.
const LOOK_BACK: i64 = 300;
/// How many pages of a hundred are looked through.
const PAGES: usize = 50;

/// Finds every batch that came from a create, oldest first: by its mark, or, where
/// the provider dropped the metadata, by the uploaded file. `intended` is when
/// the create was first meant to be sent, in Unix seconds; older batches are not it.
pub async fn find(
    api: &Api,
    events: &Events<'_>,
    create: &str,
    file_id: Option<&str>,
    intended: i64,
) -> Result<Vec<Batch>, Failure> {
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    for page in 1..=PAGES {
        let (listed, _) = api.list_batches(100, after.as_deref()).await?;
        let Some(last) = listed.batches.last().map(|batch| (batch.id.clone(), batch.created_at)) else { break };
        found.extend(listed.batches.into_iter().filter(|batch| identity::is_from(batch, create, file_id)));
        let is_older = last.1.is_some_and(|created| created < intended - LOOK_BACK);
        if is_older || !listed.has_more {
            break;
        }
        if page == PAGES {
            events.emit(Event::Warned(format!("Only the newest {} batches were looked through.", PAGES * 100)));
        }
        after = Some(last.0);
    }
    found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(found)
}
