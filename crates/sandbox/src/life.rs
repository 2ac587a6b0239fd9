//! One batch as every dialect has it: its course, its rows and its faults.
//!
//! What a dialect shows of it is the dialect's matter.

use std::time::Duration;

use bytes::Bytes;

use super::course::{Course, Moment, Status};
use super::delivery::{self, DeliveryFault};
use super::faults::BatchFault;
use super::rows::Rows;

/// One batch.
pub(super) struct Life {
    pub(super) id: String,
    pub(super) course: Course,
    pub(super) rows: Rows,
    pub(super) faults: Vec<BatchFault>,
    pub(super) delivery: Vec<DeliveryFault>,
}

/// What a cancel comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancelled {
    /// It is under way, or has been done before.
    Taken,
    /// The batch had ended in this state.
    TooLate(Status),
}

impl Life {
    /// How many of its rows were answered well by now, which is what costs money.
    pub(super) fn paid(&self, now: Duration) -> usize {
        let done = self.course.at(now).done;
        done - self.rows.failed(done)
    }

    /// How long ago it ended; none while it runs.
    pub(super) fn over_for(&self, now: Duration) -> Option<Duration> {
        self.course.at(now).stamps.ended.map(|ended| now.saturating_sub(ended))
    }

    /// What is delivered of its answers by now.
    pub(super) fn deliver(&self, content: &Bytes, now: Duration) -> Option<Bytes> {
        delivery::deliver(content, &self.delivery, self.over_for(now).unwrap_or_default())
    }

    /// A cancel arrives.
    pub(super) fn cancel(&mut self, now: Duration) -> Cancelled {
        match self.course.at(now).status {
            over @ (Status::Completed | Status::Failed | Status::Expired) => Cancelled::TooLate(over),
            Status::Cancelling | Status::Cancelled => Cancelled::Taken,
            _ if self.faults.contains(&BatchFault::CompleteOnCancel) && !self.course.fails => {
                self.course.rushed = Some(now);
                Cancelled::TooLate(Status::Completed)
            }
            _ => {
                self.course.cancelled = Some(now);
                Cancelled::Taken
            }
        }
    }

    /// The word that a fault shows instead of the usual one.
    pub(super) fn odd_status(&self, moment: &Moment) -> Option<&str> {
        self.faults.iter().find_map(|fault| match fault {
            BatchFault::Status(word) if moment.status == Status::InProgress => Some(word.as_str()),
            _ => None,
        })
    }
}
