//! One batch, and the object that Anthropic's API shows of it.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};

use super::results::results;
use crate::course::{Moment, Status};
use crate::delivery::DeliveryFault;
use crate::life::Life;
use crate::tally::Marked;

/// How long results are kept, from the batch's creation.
const KEPT: Duration = Duration::from_secs(29 * 24 * 60 * 60);

/// One batch.
pub(super) struct Batch {
    pub(super) life: Life,
    /// Whether it can still be seen.
    pub(super) state: State,
    /// The lines of its results, once they have been asked for.
    pub(super) results: Option<Bytes>,
}

/// Whether a batch can still be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Kept,
    Deleted,
}

impl Batch {
    /// Its results at this time; none before its end, and after 29 days.
    pub(super) fn results(&mut self, now: Duration) -> Option<Bytes> {
        let moment = self.life.course.at(now);
        moment.stamps.ended.filter(|_| !self.is_archived(now))?;
        let lines = match self.results.take() {
            Some(lines) => lines,
            None => results(&self.life.id, &self.life.rows, &moment).into(),
        };
        self.results = Some(lines.clone());
        self.life.deliver(&lines, now)
    }

    /// The batch object, as somebody is shown it who calls the API by the name `host`.
    pub(super) fn object(&self, host: &str, now: Duration) -> Value {
        let moment = self.life.course.at(now);
        let stamps = &moment.stamps;
        let archived = self.life.course.created + KEPT;
        let mut object = json!({
            "id": self.life.id, "type": "message_batch",
            "processing_status": self.life.odd_status(&moment).unwrap_or(status(&moment)),
            "request_counts": self.counts(&moment),
            "created_at": time(self.life.course.created), "expires_at": time(self.life.course.expires()),
            "ended_at": stamps.ended.map(time), "cancel_initiated_at": stamps.cancelling.map(time),
            "archived_at": self.is_archived(now).then(|| time(archived)),
            "results_url": stamps.ended.map(|_| format!("http://{host}/v1/messages/batches/{}/results", self.life.id)),
        });
        if let Some(over_for) = self.life.over_for(now) {
            self.describe(&mut object, host, over_for);
        }
        object
    }

    /// Everything is `processing` until the end.
    fn counts(&self, moment: &Moment) -> Value {
        let (total, failed) = (self.life.rows.len(), self.life.rows.failed(moment.done));
        if moment.stamps.ended.is_none() {
            return json!({"processing": total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
        }
        let untried = total - moment.done;
        let (canceled, expired) = if moment.status == Status::Expired { (0, untried) } else { (untried, 0) };
        let succeeded = moment.done - failed;
        json!({"processing": 0, "succeeded": succeeded, "errored": failed, "canceled": canceled, "expired": expired})
    }

    /// What a batch that ended so long ago says of its answers under its faults.
    fn describe(&self, object: &mut Value, host: &str, after: Duration) {
        for fault in &self.life.delivery {
            match fault {
                DeliveryFault::Late(span) if after < *span => object["results_url"] = Value::Null,
                DeliveryFault::Elsewhere => {
                    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
                    let url = format!("http://localhost:{port}/sandbox/files/{}/content", self.life.id);
                    object["results_url"] = json!(url);
                }
                DeliveryFault::Uncounted => object["request_counts"] = Value::Null,
                DeliveryFault::Overcounted(count) => {
                    let succeeded = object["request_counts"]["succeeded"].as_u64().unwrap_or(0);
                    object["request_counts"]["succeeded"] = json!(succeeded + count);
                }
                DeliveryFault::Undercounted => object["request_counts"]["succeeded"] = json!(0),
                _ => {}
            }
        }
    }

    fn is_archived(&self, now: Duration) -> bool {
        now >= self.life.course.created + KEPT
    }

    /// Who made it: there is no metadata, but ids may begin with a mark.
    pub(super) fn marked(&self) -> Marked {
        // A batch has at least one row.
        let id = self.life.rows.row(0).custom_id.as_str();
        let is_marked = own_id(id).len() < id.len();
        let part = |range: Range<usize>| id.get(range).filter(|_| is_marked).map(str::to_owned);
        Marked { key: part(0..16), create: part(17..29) }
    }
}

/// The words that a status becomes: only `ended` is final, whatever it ended in.
fn status(moment: &Moment) -> &'static str {
    match moment.status {
        Status::Validating | Status::InProgress | Status::Finalizing => "in_progress",
        Status::Cancelling => "canceling",
        Status::Completed | Status::Failed | Status::Expired | Status::Cancelled => "ended",
    }
}

fn time(at: Duration) -> String {
    humantime::format_rfc3339_micros(UNIX_EPOCH + at).to_string()
}

/// A `custom_id` without batchstep's mark: 16 hexadecimal digits, 12 more, and a hyphen after each.
pub(super) fn own_id(id: &str) -> &str {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parted = || {
        let (key, rest) = id.split_once('-')?;
        let (create, own) = rest.split_once('-')?;
        (key.len() == 16 && create.len() == 12 && hex(key) && hex(create)).then_some(own)
    };
    parted().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::own_id;

    #[test]
    fn marks_are_told_from_ids() {
        assert_eq!(own_id("0123456789abcdef-0123456789ab-mine-1"), "mine-1");
        for own in ["mine", "a-b-c", "0123456789abcdeF-0123456789ab-x", "0123456789abcdef-0123456789ab"] {
            assert_eq!(own_id(own), own);
        }
    }
}
