//! One batch: what was asked, its course, and the object that the API shows of it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::course::Status;
use super::course::{Course, Moment};
use super::create::Create;
use super::delivery::{self, DeliveryFault};
use super::faults::BatchFault;
use super::rows::{Ground, Harvest, Rows, Untried};
use super::validate::BatchError;

/// One batch.
pub(super) struct Batch {
    pub(super) id: String,
    pub(super) create: Create,
    pub(super) course: Course,
    pub(super) rows: Rows,
    pub(super) model: Option<String>,
    /// What validation finds.
    pub(super) errors: Vec<BatchError>,
    pub(super) faults: Vec<BatchFault>,
    pub(super) delivery: Vec<DeliveryFault>,
    /// What it ended in; none while it runs.
    pub(super) settled: Option<Settled>,
}

/// What a batch ended in.
pub(super) struct Settled {
    pub(super) output: Option<String>,
    pub(super) errors: Option<String>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Batch {
    /// What it answers with at its end: the lines of both files.
    pub(super) fn harvest(&self, moment: &Moment, ended: Duration) -> Harvest {
        let untried: Option<Untried> = match moment.status {
            Status::Expired => {
                let message = "This request could not be executed before the completion window expired.";
                Some(("batch_expired", message))
            }
            Status::Cancelled => Some(("batch_cancelled", "This request was cancelled before it was executed.")),
            _ => None,
        };
        let at = i64::try_from(ended.as_secs()).unwrap_or(i64::MAX);
        self.rows.harvest(&Ground { batch: &self.id, endpoint: &self.create.endpoint, at }, moment.done, untried)
    }

    /// How many of its rows were answered well by now, which is what costs money.
    pub(super) fn paid(&self, now: Duration) -> usize {
        let done = self.course.at(now).done;
        done - self.rows.failed(done)
    }

    /// Whether a file is one of those that it ended in.
    pub(super) fn has_file(&self, id: &str) -> bool {
        let files = self.settled.iter().flat_map(|settled| [&settled.output, &settled.errors]);
        files.flatten().any(|file| file == id)
    }

    /// What is delivered of one of its files by now.
    pub(super) fn deliver(&self, content: &Bytes, now: Duration) -> Option<Bytes> {
        delivery::deliver(content, &self.delivery, self.over_for(now).unwrap_or_default())
    }

    fn over_for(&self, now: Duration) -> Option<Duration> {
        self.course.at(now).stamps.ended.map(|ended| now.saturating_sub(ended))
    }

    /// The batch object.
    pub(super) fn object(&self, now: Duration) -> Value {
        let moment = self.course.at(now);
        let (stamps, failed) = (&moment.stamps, self.rows.failed(moment.done));
        let ended = |status: Status| stamps.ended.filter(|_| moment.status == status).map(|at| at.as_secs());
        // Until validation ends the API knows neither the model nor the number of requests.
        let known = stamps.in_progress.is_some() || stamps.ended.is_some();
        let total = if known { self.rows.len() } else { 0 };
        let mut object = json!({
            "id": self.id, "object": "batch", "endpoint": self.create.endpoint, "errors": null,
            "input_file_id": self.create.input_file_id, "completion_window": "24h", "status": self.status_word(&moment),
            "output_file_id": self.settled.as_ref().and_then(|settled| settled.output.as_deref()),
            "error_file_id": self.settled.as_ref().and_then(|settled| settled.errors.as_deref()),
            "created_at": self.course.created.as_secs(), "in_progress_at": stamps.in_progress.map(|at| at.as_secs()),
            "expires_at": self.course.expires().as_secs(), "finalizing_at": stamps.finalizing.map(|at| at.as_secs()),
            "completed_at": ended(Status::Completed), "failed_at": ended(Status::Failed),
            "expired_at": ended(Status::Expired), "cancelling_at": stamps.cancelling.map(|at| at.as_secs()),
            "cancelled_at": ended(Status::Cancelled),
            "request_counts": {"total": total, "completed": moment.done - failed, "failed": failed},
            "metadata": self.shown_metadata(),
        });
        if moment.status == Status::Failed {
            object["errors"] = json!({"object": "list", "data": self.errors});
        }
        if let Some(model) = self.model.as_ref().filter(|_| known) {
            object["model"] = json!(model);
        }
        if let Some(Settled { input_tokens, output_tokens, .. }) = self.settled {
            object["usage"] = json!({
                "input_tokens": input_tokens, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": output_tokens, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": input_tokens + output_tokens,
            });
        }
        if let Some(over_for) = self.over_for(now) {
            delivery::describe(&mut object, &self.delivery, over_for);
        }
        object
    }

    /// A text of its metadata, as it was sent.
    pub(super) fn noted(&self, key: &str) -> Option<String> {
        self.create.metadata.as_ref()?.get(key)?.as_str().map(str::to_owned)
    }

    fn shown_metadata(&self) -> Option<&Map<String, Value>> {
        self.create.metadata.as_ref().filter(|_| !self.faults.contains(&BatchFault::NoMetadata))
    }

    fn status_word<'a>(&'a self, moment: &'a Moment) -> &'a str {
        let odd = self.faults.iter().find_map(|fault| match fault {
            BatchFault::Status(word) if moment.status == Status::InProgress => Some(word.as_str()),
            _ => None,
        });
        odd.unwrap_or(moment.status.word())
    }
}
