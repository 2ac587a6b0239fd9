//! One batch: what was asked, its course, and the object that the API shows of it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::create::Create;
use super::harvest::{Ground, Harvest, Untried, harvest};
use super::validate::BatchError;
use crate::course::{Moment, Status};
use crate::delivery::DeliveryFault;
use crate::faults::BatchFault;
use crate::life::Life;
use crate::tally::Marked;

/// One batch.
pub(super) struct Batch {
    pub(super) life: Life,
    pub(super) create: Create,
    pub(super) model: Option<String>,
    /// What validation finds.
    pub(super) errors: Vec<BatchError>,
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
        let ground = Ground { batch: &self.life.id, endpoint: &self.create.endpoint, at };
        harvest(&self.life.rows, &ground, moment.done, untried)
    }

    /// Whether a file is one of those that it ended in.
    pub(super) fn has_file(&self, id: &str) -> bool {
        let files = self.settled.iter().flat_map(|settled| [&settled.output, &settled.errors]);
        files.flatten().any(|file| file == id)
    }

    /// The batch object.
    pub(super) fn object(&self, now: Duration) -> Value {
        let moment = self.life.course.at(now);
        let (stamps, failed) = (&moment.stamps, self.life.rows.failed(moment.done));
        let ended = |status: Status| stamps.ended.filter(|_| moment.status == status).map(|at| at.as_secs());
        // Until validation ends the API knows neither the model nor the number of requests.
        let known = stamps.in_progress.is_some() || stamps.ended.is_some();
        let total = if known { self.life.rows.len() } else { 0 };
        let mut object = json!({
            "id": self.life.id, "object": "batch", "endpoint": self.create.endpoint, "errors": null,
            "input_file_id": self.create.input_file_id, "completion_window": "24h", "status": self.life.odd_status(&moment).unwrap_or(moment.status.word()),
            "output_file_id": self.settled.as_ref().and_then(|settled| settled.output.as_deref()),
            "error_file_id": self.settled.as_ref().and_then(|settled| settled.errors.as_deref()),
            "created_at": self.life.course.created.as_secs(), "in_progress_at": stamps.in_progress.map(|at| at.as_secs()),
            "expires_at": self.life.course.expires().as_secs(), "finalizing_at": stamps.finalizing.map(|at| at.as_secs()),
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
        if let Some(over_for) = self.life.over_for(now) {
            describe(&mut object, &self.life.delivery, over_for);
        }
        object
    }

    /// Who made it, by its metadata as they were sent.
    pub(super) fn marked(&self) -> Marked {
        let noted = |key| Some(self.create.metadata.as_ref()?.get(key)?.as_str()?.to_owned());
        Marked { key: noted("batchstep_key"), create: noted("batchstep_create") }
    }

    fn shown_metadata(&self) -> Option<&Map<String, Value>> {
        self.create.metadata.as_ref().filter(|_| !self.life.faults.contains(&BatchFault::NoMetadata))
    }
}

/// What a batch that ended so long ago says of its answers, as `object` would say it.
fn describe(object: &mut Value, faults: &[DeliveryFault], after: Duration) {
    for fault in faults {
        match fault {
            DeliveryFault::Late(span) if after < *span => {
                (object["output_file_id"], object["error_file_id"]) = (Value::Null, Value::Null);
            }
            DeliveryFault::Phantom if object["error_file_id"].is_null() => {
                object["error_file_id"] = json!("file-sandbox-phantom");
            }
            DeliveryFault::Uncounted => object["request_counts"] = Value::Null,
            DeliveryFault::Overcounted(count) => {
                let completed = object["request_counts"]["completed"].as_u64().unwrap_or(0);
                object["request_counts"]["completed"] = json!(completed + count);
            }
            DeliveryFault::Undercounted => object["request_counts"]["completed"] = json!(0),
            _ => {}
        }
    }
}
