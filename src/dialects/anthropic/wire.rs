//! Anthropic's batches and lists of them (SDK: `types/messages/message_batch.py`).

use serde::de::Error as _;
use serde_json::{Error, Value};

use crate::dialects::{Batch, Counts, Page, Status};
use crate::json::bounded;
use crate::json::object::{id, number, text, time};

/// Reads a batch.
pub(super) fn batch(body: &[u8]) -> Result<Batch, Error> {
    batch_of(&bounded::read(body)?)
}

/// Reads a page of batches.
pub(super) fn page(body: &[u8]) -> Result<Page, Error> {
    let mut value = bounded::read(body)?;
    let has_more = value.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    let Value::Array(mut entries) = value["data"].take() else {
        return Err(Error::custom("a list of batches was expected"));
    };
    let is_cut = bounded::take_more(&mut entries) > 0;
    let batches: Vec<Batch> = entries.iter().filter_map(|entry| batch_of(entry).ok()).collect();
    let is_partial = is_cut || batches.len() < entries.len();
    Ok(Page { batches, has_more, is_partial })
}

fn batch_of(object: &Value) -> Result<Batch, Error> {
    let tally = object.get("request_counts").map(Tally::of).unwrap_or_default();
    let (is_ended, status) = match object.get("processing_status").and_then(Value::as_str) {
        Some("ended") => (true, tally.end(object)),
        Some("canceling") => (false, Status::Cancelling),
        Some("in_progress") | None => (false, Status::InProgress),
        Some(other) => (false, Status::Other(other.to_owned())),
    };
    let at = |name: &str| object.get(name).and_then(time);
    Ok(Batch {
        id: id(object)?,
        status,
        // The address of the answers stands for a file: there are none.
        output_file_id: text(object, "results_url").filter(|_| is_ended),
        counts: tally.counts(),
        created_at: at("created_at"),
        ended_at: at("ended_at"),
        ..Batch::default()
    })
}

/// How many requests ended in which way. All but `processing` are 0 until the batch has ended.
#[derive(Default)]
struct Tally {
    processing: Option<u64>,
    succeeded: Option<u64>,
    errored: Option<u64>,
    canceled: Option<u64>,
    expired: Option<u64>,
}

impl Tally {
    fn of(counts: &Value) -> Self {
        let count = |name: &str| counts.get(name).and_then(number);
        Self {
            processing: count("processing"),
            succeeded: count("succeeded"),
            errored: count("errored"),
            canceled: count("canceled"),
            expired: count("expired"),
        }
    }

    fn total(&self) -> Option<u64> {
        let all = [self.processing, self.succeeded, self.errored, self.canceled, self.expired];
        all.into_iter().flatten().reduce(u64::saturating_add)
    }

    fn counts(&self) -> Counts {
        let others = [self.errored, self.canceled, self.expired];
        let failed = others.into_iter().flatten().reduce(u64::saturating_add);
        Counts { total: self.total(), completed: self.succeeded, failed }
    }

    /// How a batch ended: all of them are `ended`, and what became of the requests tells the rest. One that was
    /// cancelled too late completed.
    fn end(&self, batch: &Value) -> Status {
        let is_cancelled = batch.get("cancel_initiated_at").is_some_and(Value::is_string);
        match (self.canceled, self.expired) {
            (Some(1..), _) => Status::Cancelled,
            (None, _) if is_cancelled => Status::Cancelled,
            (_, Some(1..)) => Status::Expired,
            _ => Status::Completed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, Status, batch, page};

    fn shown(status: &str, counts: &str, more: &str) -> String {
        format!(
            r#"{{"id":"msgbatch_1","type":"message_batch","processing_status":"{status}","request_counts":{{{counts}}},
            "created_at":"2026-11-20T10:00:00.123456+00:00"{more}}}"#
        )
    }

    #[test]
    fn a_batch_is_read_with_its_counts() {
        let counts = r#""processing":9,"succeeded":0,"errored":0,"canceled":0,"expired":0"#;
        let running = batch(shown("in_progress", counts, "").as_bytes()).unwrap();
        assert_eq!(running.counts, Counts::of(9, 0, 0), "they mean nothing yet");
        assert_eq!((running.status, running.created_at), (Status::InProgress, Some(1_795_168_800)));
        let counts = r#""processing":0,"succeeded":5,"errored":4,"canceled":0,"expired":0"#;
        let url =
            r#","results_url":"https://x.example/r","ended_at":"2026-11-20T11:00:00Z","cancel_initiated_at":null"#;
        let ended = batch(shown("ended", counts, url).as_bytes()).unwrap();
        assert_eq!(ended.counts, Counts::of(9, 5, 4));
        assert_eq!((ended.status, ended.output_file_id.as_deref()), (Status::Completed, Some("https://x.example/r")));
        assert_eq!(ended.ended_at, Some(1_795_172_400));
    }

    #[test]
    fn how_a_batch_ended_is_told_by_its_requests() {
        let end = |counts: &str, more: &str| batch(shown("ended", counts, more).as_bytes()).unwrap().status;
        let cancelled = r#","cancel_initiated_at":"2026-11-20T10:30:00Z""#;
        assert_eq!(end(r#""succeeded":5,"canceled":4,"expired":0"#, cancelled), Status::Cancelled);
        assert_eq!(end(r#""succeeded":9,"canceled":0,"expired":0"#, cancelled), Status::Completed, "it came too late");
        assert_eq!(end(r#""succeeded":5,"canceled":0,"expired":4"#, ""), Status::Expired);
        assert_eq!(end("", cancelled), Status::Cancelled);
        let other = batch(shown("resting", "", "").as_bytes()).unwrap().status;
        assert_eq!(other, Status::Other("resting".to_owned()));
        assert_eq!(batch(shown("canceling", "", "").as_bytes()).unwrap().status, Status::Cancelling);
    }

    #[test]
    fn a_page_says_what_it_leaves_out() {
        let entry = shown("in_progress", "", "");
        let read = |entries: &str, more: bool| page(format!(r#"{{"data":[{entries}],"has_more":{more}}}"#).as_bytes());
        let whole = read(&entry, true).unwrap();
        assert_eq!((whole.batches.len(), whole.has_more, whole.is_partial), (1, true, false));
        assert!(read(&format!("{entry},{{}}"), false).unwrap().is_partial);
        assert!(page(b"{}").is_err() && batch(b"{}").is_err());
    }
}
