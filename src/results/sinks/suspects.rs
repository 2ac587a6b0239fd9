//! Groups the answers that are not to be relied on by the reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Row, Sink};
use crate::dialects::Suspicion;
use crate::error::Error;
use crate::judgement::SuspectGroup;
use crate::results::Results;

/// How many ids a group shows.
const SHOWN: usize = 5;

/// The groups so far.
#[derive(Default)]
pub(super) struct Suspects {
    groups: BTreeMap<Suspicion, SuspectGroup>,
}

impl Sink for Suspects {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let Some(kind) = row.suspicion else { return Ok(()) };
        let group = self.groups.entry(kind).or_insert_with(|| SuspectGroup { kind, count: 0, custom_ids: Vec::new() });
        group.count += 1;
        if group.custom_ids.len() < SHOWN {
            group.custom_ids.push(row.custom_id()?.to_owned());
        }
        Ok(())
    }

    fn finish(self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        results.suspects = self.groups.into_values().collect();
        results.suspects.sort_by_key(|group| Reverse(group.count));
        results.counts.suspect = results.suspects.iter().map(|group| group.count).sum();
        Ok(())
    }
}
