//! The Batch API's objects as vendors really send them.
//!
//! Only an id is required. Statuses are folded to OpenAI's eight and unknown
//! ones are kept; times come as integers, floats, numeric strings or RFC 3339;
//! counts may be null or absent; errors may be an object, an array or a string;
//! answers may be wrapped in `{"job": …}` or `{"data": …}` and lists may be bare
//! arrays. Ids are opaque. The shapes are OpenAI's `openapi.yaml` of 2026-08 and
//! the deviations of compatible servers seen in their documentation.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::bounded;
use crate::opaque::is_id;
pub(crate) use crate::reasons::{BatchError, Errors};

/// Where a batch stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// The input is being checked; the first state.
    #[default]
    Validating,
    /// The input was refused as a whole. Terminal.
    Failed,
    /// Requests are being answered.
    InProgress,
    /// The output file is being written.
    Finalizing,
    /// Every request has been tried. Terminal; says nothing of their success.
    Completed,
    /// The completion window passed. Terminal; partial results exist.
    Expired,
    /// A cancel was accepted; requests in flight run to their end.
    Cancelling,
    /// Cancelled. Terminal; partial results exist.
    Cancelled,
    /// A word we do not know: kept as it came and treated as running.
    Other(String),
}

impl Status {
    /// Reads a status word, whatever its case, with the spellings of compatible servers.
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "validating" | "queued" | "in_queue" | "pending" => Self::Validating,
            "failed" => Self::Failed,
            "in_progress" | "progress" | "running" => Self::InProgress,
            "finalizing" => Self::Finalizing,
            "completed" | "success" | "succeeded" | "ended" => Self::Completed,
            "expired" | "timeout_exceeded" => Self::Expired,
            "cancelling" | "canceling" | "cancellation_requested" => Self::Cancelling,
            "cancelled" | "canceled" => Self::Cancelled,
            _ => Self::Other(word.to_owned()),
        }
    }

    /// OpenAI's word for it, or the unknown word as it came.
    pub fn word(&self) -> &str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Other(word) => word,
        }
    }

    /// Whether nothing will change any more.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Expired | Self::Cancelled)
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(word) => Self::parse(&word),
            Value::Null => Self::default(),
            other => Self::Other(other.to_string()),
        })
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// A batch.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Batch {
    /// The id: opaque, and the only field that must be there.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Where it stands.
    #[serde(default)]
    pub status: Status,
    /// The endpoint its requests go to; Azure may answer null.
    #[serde(default, deserialize_with = "text")]
    pub endpoint: Option<String>,
    /// How long the provider may take, as the creator said it.
    #[serde(default, deserialize_with = "text")]
    pub completion_window: Option<String>,
    /// The model that answers, once known.
    #[serde(default, deserialize_with = "text")]
    pub model: Option<String>,
    /// The uploaded file.
    #[serde(default, deserialize_with = "text")]
    pub input_file_id: Option<String>,
    /// The answers with status 200; absent where it would be empty.
    #[serde(default, deserialize_with = "text")]
    pub output_file_id: Option<String>,
    /// The other answers; absent where it would be empty.
    #[serde(default, deserialize_with = "text")]
    pub error_file_id: Option<String>,
    /// Why the whole batch failed.
    #[serde(default)]
    pub errors: Errors,
    /// How far it is; all zero while it validates.
    #[serde(default, alias = "request_counts", deserialize_with = "counts")]
    pub counts: Counts,
    /// What it used, in tokens; only at the end, and only from newer servers.
    #[serde(default, deserialize_with = "lenient")]
    pub usage: Option<Usage>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "time")]
    pub created_at: Option<i64>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "time")]
    pub completed_at: Option<i64>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "time")]
    pub failed_at: Option<i64>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "time")]
    pub expired_at: Option<i64>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "time")]
    pub cancelled_at: Option<i64>,
    /// What the creator wrote on it.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: BTreeMap<String, String>,
}

impl Batch {
    /// Every id in it: its own and its files'.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let files = [&self.input_file_id, &self.output_file_id, &self.error_file_id];
        std::iter::once(self.id.as_str()).chain(files.into_iter().flatten().map(String::as_str))
    }

    /// When it reached its terminal state, in Unix seconds.
    pub fn ended_at(&self) -> Option<i64> {
        self.completed_at.or(self.failed_at).or(self.expired_at).or(self.cancelled_at)
    }
}

/// How many requests of a batch are done. A count that the provider does not give is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Counts {
    /// All requests.
    #[serde(default, deserialize_with = "optional_number")]
    pub total: Option<u64>,
    /// Answered with status 200.
    #[serde(default, deserialize_with = "optional_number")]
    pub completed: Option<u64>,
    /// Answered otherwise.
    #[serde(default, deserialize_with = "optional_number")]
    pub failed: Option<u64>,
}

impl Counts {
    /// These counts, all known.
    pub fn of(total: u64, completed: u64, failed: u64) -> Self {
        Self { total: Some(total), completed: Some(completed), failed: Some(failed) }
    }

    /// Requests that have been tried, none where the provider counts neither kind.
    pub fn done(&self) -> Option<u64> {
        match (self.completed, self.failed) {
            (None, None) => None,
            (completed, failed) => Some(completed.unwrap_or(0).saturating_add(failed.unwrap_or(0))),
        }
    }
}

/// The tokens of a whole batch, as the provider sums them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    /// Tokens in.
    #[serde(default, deserialize_with = "number")]
    pub input_tokens: u64,
    /// Tokens out.
    #[serde(default, deserialize_with = "number")]
    pub output_tokens: u64,
}

/// A file.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct File {
    /// The id, opaque.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// Its size.
    #[serde(default, deserialize_with = "optional_number")]
    pub bytes: Option<u64>,
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub filename: Option<String>,
    /// `uploaded`, `processed` or `error`; deprecated at OpenAI, in use elsewhere.
    #[serde(default, deserialize_with = "text")]
    pub status: Option<String>,
    /// Why it is in error.
    #[serde(default, deserialize_with = "text")]
    pub status_details: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The batches, newest first.
    pub batches: Vec<Batch>,
    /// Whether another page follows.
    pub has_more: bool,
    /// Whether there are entries that could be batches of ours and cannot be read.
    pub is_partial: bool,
}

/// Reads an object from an answer, bare or in an envelope.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let mut value = bounded::read(body)?;
    for envelope in ["job", "data"] {
        if value.get("id").is_none() && value.get(envelope).is_some_and(Value::is_object) {
            value = value[envelope].take();
        }
    }
    serde_json::from_value(value)
}

/// Reads a page of batches: `{"data": […]}`, `{"value": […]}` or a bare array.
/// Entries without an id are no batches and are passed over.
pub(crate) fn page(body: &[u8]) -> Result<Page, serde_json::Error> {
    let mut value = bounded::read(body)?;
    let has_more = value.get("has_more").and_then(Value::as_bool).unwrap_or(false);
    let entries = match ["data", "value"].into_iter().find(|name| value.get(name).is_some()) {
        Some(envelope) => match value[envelope].take() {
            Value::Null => Value::Array(Vec::new()),
            entries => entries,
        },
        None => value,
    };
    let Value::Array(mut entries) = entries else {
        return Err(serde::de::Error::custom("a list of batches was expected"));
    };
    let mut is_partial = bounded::take_more(&mut entries) > 0;
    let mut batches = Vec::new();
    for entry in entries {
        let is_named = entry.get("id").and_then(as_text).is_some();
        match serde_json::from_value(entry) {
            Ok(batch) => batches.push(batch),
            Err(_) => is_partial |= is_named,
        }
    }
    Ok(Page { batches, has_more, is_partial })
}

/// A string that says something, or a number as one.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|n| *n >= 0.0).map(|n| n as u64))
        }
        _ => None,
    }
}

/// An id by which the thing can be asked for; without one an answer is of no use.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer)?.filter(|id| is_id(id)).ok_or_else(|| serde::de::Error::custom("an id was expected"))
}

pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(as_text(&Value::deserialize(deserializer)?))
}

pub(crate) fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(as_number(&Value::deserialize(deserializer)?))
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(optional_number(deserializer)?.unwrap_or(0))
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|n| n as i64)),
        Value::String(text) => text.parse::<f64>().ok().map(|n| n as i64).or_else(|| unix(&text)),
        _ => None,
    })
}

/// An RFC 3339 time as Unix seconds. An offset other than UTC is not expected of any vendor.
fn unix(text: &str) -> Option<i64> {
    let utc = text.replace("+00:00", "Z");
    let since_epoch = humantime::parse_rfc3339_weak(&utc).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

fn counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_default())
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let Value::Object(pairs) = Value::deserialize(deserializer)? else { return Ok(BTreeMap::new()) };
    Ok(pairs.iter().filter_map(|(key, value)| Some((key.clone(), as_text(value)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::{Batch, Counts, Status, object, page};

    fn batch(json: &str) -> Batch {
        object(json.as_bytes()).unwrap()
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
        assert_eq!(batch.ended_at(), Some(1_700_000_600));
        assert_eq!(batch.usage.unwrap().input_tokens, 7);
        assert_eq!(batch.metadata["batchstep_v"], "1");
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
        assert!(object::<Batch>(br#"{"status":"completed"}"#).is_err());
        assert!(object::<Batch>(b"<html>").is_err());
        assert_eq!(batch(r#"{"id":17}"#).id, "17");
        for useless in ["null", r#""""#, r#""..""#, r#"".\t.""#, r#""a\nb""#, "[]"] {
            assert!(object::<Batch>(format!(r#"{{"id":{useless}}}"#).as_bytes()).is_err(), "{useless}");
        }
    }
}
