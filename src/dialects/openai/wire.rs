//! The Batch API's objects as OpenAI and compatible servers really send them.
//!
//! Only an id is required. Statuses are folded to OpenAI's eight and unknown ones are kept; times come as integers,
//! floats, numeric strings or RFC 3339; counts may be null or absent; errors may be an object, an array, a string, or
//! a million of them; answers may be wrapped in `{"job": …}` or `{"data": …}` and lists may be bare arrays. The shapes
//! are OpenAI's `openapi.yaml` of 2026-08 and the deviations that compatible servers document.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::{Error, Value};

use super::codes;
use crate::dialects::{Batch, BatchError, BatchErrors, Counts, File, Page, Status, Tokens};
use crate::json::bounded;
use crate::json::object::{as_text, id, number, text, time};
use crate::text::shorten_bytes;
use crate::usd::Usd;

/// How much is kept of each text of a reason, in bytes.
const LONGEST_REASON: usize = 2_000;

/// Reads a batch, bare or in an envelope.
pub(super) fn batch(body: &[u8]) -> Result<Batch, Error> {
    batch_of(object(body)?)
}

/// Reads a file's object, bare or in an envelope.
pub(super) fn file(body: &[u8]) -> Result<File, Error> {
    let object = object(body)?;
    Ok(File {
        id: id(&object)?,
        bytes: object.get("bytes").and_then(number),
        filename: text(&object, "filename"),
        status: text(&object, "status"),
        status_details: text(&object, "status_details"),
    })
}

/// Reads a page of batches: `{"data": […]}`, `{"value": […]}` or a bare array.
/// Entries without an id are not batches and are skipped.
pub(super) fn page(body: &[u8]) -> Result<Page, Error> {
    let mut value = bounded::read(body)?;
    let has_more = value.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    let entries = match ["data", "value"].into_iter().find(|name| value.get(name).is_some()) {
        Some(envelope) => match value[envelope].take() {
            Value::Null => Value::Array(Vec::new()),
            entries => entries,
        },
        None => value,
    };
    let Value::Array(mut entries) = entries else { return Err(Error::custom("a list of batches was expected")) };
    let mut is_partial = bounded::take_more(&mut entries) > 0;
    let mut batches = Vec::new();
    for entry in entries {
        let is_named = text(&entry, "id").is_some();
        match batch_of(entry) {
            Ok(batch) => batches.push(batch),
            Err(_) => is_partial |= is_named,
        }
    }
    Ok(Page { batches, has_more, is_partial })
}

fn object(body: &[u8]) -> Result<Value, Error> {
    let mut value = bounded::read(body)?;
    for envelope in ["job", "data"] {
        if value.get("id").is_none() && value.get(envelope).is_some_and(Value::is_object) {
            value = value[envelope].take();
        }
    }
    Ok(value)
}

fn batch_of(mut object: Value) -> Result<Batch, Error> {
    let errors = object.get_mut("errors").map(|errors| reasons(errors.take())).unwrap_or_default();
    let times = ["completed_at", "failed_at", "expired_at", "cancelled_at"];
    Ok(Batch {
        id: id(&object)?,
        status: object.get("status").map(status).unwrap_or_default(),
        endpoint: text(&object, "endpoint"),
        completion_window: text(&object, "completion_window"),
        input_file_id: text(&object, "input_file_id"),
        output_file_id: text(&object, "output_file_id"),
        error_file_id: text(&object, "error_file_id"),
        errors,
        counts: object.get("request_counts").map(counts).unwrap_or_default(),
        created_at: object.get("created_at").and_then(time),
        ended_at: times.iter().find_map(|name| object.get(name).and_then(time)),
        model: text(&object, "model"),
        usage: object.get("usage").and_then(usage),
        billed: object.get("cost_breakdown").and_then(billed),
        metadata: object.get("metadata").map(metadata).unwrap_or_default(),
    })
}

/// Reads a status: OpenAI's eight words in any case, and those that compatible servers use for them: Together's
/// `CANCELING`, Novita's `PROGRESS`, SiliconFlow's `in_queue`. Words of other dialects are not taken for synonyms:
/// Anthropic's `ended` is also the end of a batch that was cancelled or expired.
fn status(value: &Value) -> Status {
    let word = match value {
        Value::String(word) => word,
        Value::Null => return Status::default(),
        other => return Status::Other(other.to_string()),
    };
    match word.to_ascii_lowercase().as_str() {
        "validating" | "in_queue" => Status::Validating,
        "failed" => Status::Failed,
        "in_progress" | "progress" => Status::InProgress,
        "finalizing" => Status::Finalizing,
        "completed" => Status::Completed,
        "expired" => Status::Expired,
        "cancelling" | "canceling" => Status::Cancelling,
        "cancelled" | "canceled" => Status::Cancelled,
        _ => Status::Other(word.clone()),
    }
}

fn counts(value: &Value) -> Counts {
    let count = |name: &str| value.get(name).and_then(number);
    Counts { total: count("total"), completed: count("completed"), failed: count("failed") }
}

/// Reads what all answers used. Before there is any, OpenAI says nothing, and others say 0.
fn usage(value: &Value) -> Option<Tokens> {
    let count = |value: &Value, name: &str| value.get(name).and_then(number).unwrap_or(0);
    let detail = |of: &str, name: &str| value.get(of).map_or(0, |details| count(details, name));
    let usage = Tokens {
        input: count(value, "input_tokens"),
        cached: detail("input_tokens_details", "cached_tokens"),
        output: count(value, "output_tokens"),
        reasoning: detail("output_tokens_details", "reasoning_tokens"),
        ..Tokens::default()
    };
    (usage != Tokens::default()).then_some(usage)
}

/// Reads what xAI says that a batch costs, in ticks. That a tick is 1e-10 dollars is taken from xAI's SDK and was not
/// tried against the live service.
fn billed(value: &Value) -> Option<Usd> {
    const PICODOLLARS_A_TICK: u64 = 100;
    let ticks = value.get("total_cost_usd_ticks").and_then(number).filter(|ticks| *ticks > 0)?;
    Some(Usd::picodollars(PICODOLLARS_A_TICK).times(ticks))
}

fn metadata(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), as_text(value)?))).collect()
}

/// Reads why a batch failed.
fn reasons(mut value: Value) -> BatchErrors {
    if let Some(data) = value.get_mut("data") {
        value = data.take();
    }
    let mut entries = match value {
        Value::Array(entries) => entries,
        single => vec![single],
    };
    let more = bounded::take_more(&mut entries);
    let kept: Vec<BatchError> = entries.iter().filter_map(reason).collect();
    let lack_room = kept.iter().any(|error| error.code.as_deref() == Some(codes::NO_ROOM));
    BatchErrors { total: more + kept.len() as u64, lack_room, kept }
}

fn reason(entry: &Value) -> Option<BatchError> {
    let cut = |text: String| shorten_bytes(&text, LONGEST_REASON);
    let part = |name: &str| text(entry, name).map(cut);
    match entry {
        Value::String(message) if message.is_empty() => None,
        Value::String(message) => Some(BatchError { message: Some(cut(message.clone())), ..BatchError::default() }),
        Value::Object(_) => Some(BatchError {
            code: part("code"),
            message: part("message"),
            param: part("param"),
            line: entry.get("line").and_then(number),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, BatchError, Counts, Status, Tokens, Usd, page, status};

    fn batch(json: &str) -> Batch {
        super::batch(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_status_is_read_in_every_spelling_of_compatible_servers_and_in_no_other_dialects() {
        for (word, read) in [
            ("COMPLETED", Status::Completed),
            ("Validating", Status::Validating),
            ("in_queue", Status::Validating),
            ("PROGRESS", Status::InProgress),
            ("CANCELING", Status::Cancelling),
            ("canceled", Status::Cancelled),
        ] {
            assert_eq!(status(&word.into()), read, "{word}");
        }
        for other in ["ended", "SUCCESS", "TIMEOUT_EXCEEDED", "JOB_STATE_SUCCEEDED"] {
            assert_eq!(status(&other.into()), Status::Other(other.to_owned()));
        }
    }

    #[test]
    fn openai_says_it_plainly() {
        let batch = batch(
            r#"{"id":"batch_1","object":"batch","status":"completed","endpoint":"/v1/embeddings","output_file_id":null,
            "error_file_id":"file-9","created_at":1700000000,"completed_at":1700000600,"request_counts":{"total":9,"completed":0,"failed":9},
            "errors":null,"usage":{"input_tokens":7,"output_tokens":2},"metadata":{"batchstep_v":"1"}}"#,
        );
        assert_eq!(batch.status, Status::Completed);
        assert_eq!((batch.output_file_id.as_deref(), batch.error_file_id.as_deref()), (None, Some("file-9")));
        assert_eq!(batch.counts, Counts::of(9, 0, 9));
        assert_eq!(batch.ended_at, Some(1_700_000_600));
        assert_eq!(batch.metadata["batchstep_v"], "1");
    }

    #[test]
    fn what_a_batch_used_and_costs_is_read_where_it_is_stated() {
        let read = |members: &str| batch(&format!(r#"{{"id":"b","model":"m-2026","usage":{members}}}"#));
        let usage = read(
            r#"{"input_tokens":900,"input_tokens_details":{"cached_tokens":"400"},"output_tokens":70.0,
            "output_tokens_details":{"reasoning_tokens":60},"total_tokens":970}"#,
        );
        let expected = Tokens { input: 900, cached: 400, output: 70, reasoning: 60, ..Tokens::default() };
        assert_eq!((usage.usage, usage.model.as_deref(), usage.billed), (Some(expected), Some("m-2026"), None));
        for nothing in ["null", "{}", r#"{"input_tokens":0,"output_tokens":0}"#, "7", r#"{"input_tokens":-1}"#] {
            assert_eq!(read(nothing).usage, None, "{nothing}");
        }
        assert_eq!(read(r#"{"input_tokens":1e300}"#).usage.unwrap().input, u64::MAX);

        let billed =
            |ticks: &str| batch(&format!(r#"{{"id":"b","cost_breakdown":{{"total_cost_usd_ticks":{ticks}}}}}"#)).billed;
        // 12,345,000,000 × 1e-10 dollars
        assert_eq!(billed("12345000000"), Usd::dollars(1.2345));
        assert_eq!(billed("\"1e300\""), Some(Usd::picodollars(u64::MAX)));
        assert_eq!([billed("0"), billed("null"), billed("-5")], [None; 3]);
    }

    #[test]
    fn azure_and_others_say_it_otherwise() {
        let azure = batch(
            r#"{"id":"b","status":"Validating","created_at":"2024-07-19T17:33:29.1619286+00:00","endpoint":null,
            "request_counts":{"total":null,"completed":null,"failed":null},"error_file_id":""}"#,
        );
        assert_eq!((azure.status, azure.created_at), (Status::Validating, Some(1_721_410_409)));
        assert_eq!((azure.counts, azure.error_file_id), (Counts::default(), None));

        let together = batch(r#"{"job":{"id":"u-1","status":"IN_PROGRESS","request_counts":3},"warning":"x"}"#);
        assert_eq!((together.id.as_str(), together.status), ("u-1", Status::InProgress));

        let wrapped = batch(r#"{"code":20000,"data":{"id":"d","status":"in_queue","created_at":"1700000000"}}"#);
        assert_eq!((wrapped.status, wrapped.created_at), (Status::Validating, Some(1_700_000_000)));

        let strange = batch(r#"{"id":"s","status":"paused","errors":"out of luck","metadata":null}"#);
        assert_eq!(strange.status, Status::Other("paused".to_owned()));
        assert!(!strange.status.is_terminal());
        assert_eq!(strange.errors[0].message.as_deref(), Some("out of luck"));
    }

    #[test]
    fn lists_of_every_shape() {
        let ids =
            |json: &str| page(json.as_bytes()).map(|page| page.batches.into_iter().map(|b| b.id).collect::<Vec<_>>());
        assert_eq!(ids(r#"{"data":[{"id":"a"},{"no":"id"},{"id":"b"}],"has_more":true}"#).unwrap(), ["a", "b"]);
        assert_eq!(ids(r#"[{"id":"a"}]"#).unwrap(), ["a"]);
        assert_eq!(ids(r#"{"value":[{"id":"a"}]}"#).unwrap(), ["a"]);
        assert!(ids(r#"{"error":"no"}"#).is_err());
        assert!(ids("null").is_err());
        assert!(page(br#"{"data":[],"has_more":true}"#).unwrap().has_more);
        // Whether what cannot be asked for is ours cannot be told: such a page proves nothing.
        let partial = |json: &str| page(json.as_bytes()).unwrap().is_partial;
        assert!(!partial(r#"{"data":[{"id":"a"},{"no":"id"},{"id":null},7]}"#));
        assert!(partial(r#"{"data":[{"id":"a"},{"id":".."}]}"#));
        assert!(partial(&format!("[{}]", vec![r#"{"id":"a"}"#; 1_001].join(","))));
    }

    #[test]
    fn an_id_is_all_that_is_needed_and_nothing_less() {
        assert_eq!(batch(r#"{"id":"x"}"#).status, Status::Validating);
        assert!(super::batch(br#"{"status":"completed"}"#).is_err());
        assert!(super::batch(b"<html>").is_err());
        assert_eq!(batch(r#"{"id":17}"#).id, "17");
        for useless in ["null", r#""""#, r#""..""#, r#"".\t.""#, r#""a\nb""#, "[]"] {
            assert!(super::batch(format!(r#"{{"id":{useless}}}"#).as_bytes()).is_err(), "{useless}");
        }
    }

    #[test]
    fn errors_of_every_shape() {
        let failed = batch(
            r#"{"id":"f","status":"failed","errors":{"object":"list","data":[
            {"code":"invalid_json_line","message":"This line is not parseable as valid JSON.","param":null,"line":"4"},{"code":7}]}}"#,
        );
        assert_eq!(failed.errors[0].line, Some(4));
        assert_eq!(failed.errors[1], BatchError { code: Some("7".to_owned()), ..BatchError::default() });
        assert_eq!(batch(r#"{"id":"g","errors":[{"message":"m"}]}"#).errors.len(), 1);
        let long = vec![format!(r#"{{"message":"{}"}}"#, "m".repeat(50_000)); 1_200].join(",");
        let many = batch(&format!(r#"{{"errors":[{long}],"id":"h","status":"failed"}}"#));
        assert_eq!((many.errors.len(), many.errors.total, many.status), (1_000, 1_200, Status::Failed));
        assert!(many.errors.iter().all(|error| error.message.as_ref().unwrap().len() < 3_000));
    }
}
