//! What every dialect's world is built on: the weather, the ids, the count of calls, and new batches.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::course::Course;
use super::faults::{BatchFault, Fault};
use super::ids::Ids;
use super::life::Life;
use super::operation::Operation;
use super::rows::{Row, Rows};
use super::tally::Calls;
use super::weather::{Strike, Weather};

/// The part of a world that no dialect changes.
pub(super) struct Engine {
    takes: Duration,
    pub(super) weather: Weather,
    pub(super) ids: Ids,
    calls: Calls,
}

impl Engine {
    /// An engine whose batches take so long.
    pub(super) fn new(takes: Duration, faults: Vec<Fault>) -> Self {
        Self { takes, weather: Weather::new(faults), ids: Ids::new(), calls: BTreeMap::new() }
    }

    /// Counts a call that arrives, and applies the faults that match it.
    pub(super) fn called(&mut self, operation: Operation, now: Duration) -> Strike {
        *self.calls.entry(operation.word().to_owned()).or_default() += 1;
        self.weather.call(operation, now)
    }

    /// The calls so far.
    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// A new batch of these rows, whose requests are in `content`. `own_id` takes a client's mark off an id.
    pub(super) fn begin(
        &mut self,
        prefix: &str,
        (content, rows): (Bytes, Vec<Row>),
        own_id: fn(&str) -> &str,
        faults: Vec<BatchFault>,
        now: Duration,
    ) -> Life {
        let strikes = self.weather.rows(now);
        let delivery = self.weather.delivery(now);
        let rows = Rows::new(content, rows, own_id, &strikes);
        let course = course(now, self.takes, rows.len(), &faults);
        Life { id: self.ids.hex(prefix), course, rows, faults, delivery }
    }
}

/// The course of a new batch under its faults.
fn course(created: Duration, takes: Duration, rows: usize, faults: &[BatchFault]) -> Course {
    let mut course =
        Course { created, takes, rows, fails: false, stuck: None, expire: None, cancelled: None, rushed: None };
    for fault in faults {
        match fault {
            BatchFault::Stuck(stage) => course.stuck = Some(*stage),
            BatchFault::Expire(span) => course.expire = Some(*span),
            BatchFault::Cancel(span) => course.cancelled = Some(created + *span),
            BatchFault::Fail(_) | BatchFault::TooMany(_) | BatchFault::Lenient => {}
            BatchFault::NoMetadata | BatchFault::CompleteOnCancel | BatchFault::Status(_) => {}
        }
    }
    course
}
