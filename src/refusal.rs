//! What a server's error is about: what to do depends on that more than on the status.
//!
//! Vendors share neither codes nor sentences. What an error is about is read
//! from the field that it names and from a few words, as seen in the answers of
//! OpenAI, Azure, Anthropic, FastAPI servers (vLLM, AIBrix) and gateways (LiteLLM).

use serde_json::Value;

use crate::api_error::ApiError;

/// Names by which an error calls the uploaded file.
const FILE_FIELDS: [&str; 4] = ["file_id", "input_file_id", "file", "input_file"];
/// How an error says that a file cannot be found or used yet.
const NOT_YET: [&str; 15] = [
    "not found",
    "no such file",
    "cannot find",
    "can't find",
    "could not find",
    "couldn't find",
    "does not exist",
    "doesn't exist",
    "not processed",
    "not been processed",
    "not ready",
    "still processing",
    "being processed",
    "not yet",
    "pending",
];
/// How an error says that the file itself is wrong, which no waiting changes.
const WRONG_FILE: [&str; 12] = [
    "too large",
    "too big",
    "larger than",
    "too many",
    " size",
    "exceed",
    " format",
    ".jsonl",
    "valid json",
    "purpose",
    "empty",
    "could not be processed",
];
/// How codes and sentences say that the server is too busy or broken for now.
const TRANSIENT: [&str; 9] = [
    "rate_limit",
    "too_many_requests",
    "overload",
    "server_error",
    "server_is_busy",
    "unavailable",
    "timeout",
    "timed_out",
    "try_again",
];

impl ApiError {
    /// The error of an answer that is 2xx all the same: `{"error": …}` without an
    /// id, or an object that calls itself an error. None where it is what was asked for.
    pub(crate) fn inside(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let is_said = |error: &Value| match error {
            Value::Object(members) => !members.is_empty(),
            Value::String(text) => !text.trim().is_empty(),
            _ => false,
        };
        let is_error = value.get("error").is_some_and(is_said) || value.get("object").is_some_and(|o| o == "error");
        let is_there = |name: &&str| value.get(name).is_some_and(|member| !member.is_null());
        let is_asked_for = ["id", "data", "job", "value"].iter().any(is_there);
        (is_error && !is_asked_for).then(|| Self::of(&value))
    }

    /// Whether the server is too busy, or broken for now, by what the body tells.
    pub(crate) fn is_transient(&self) -> bool {
        if let Some(status) = self.status {
            return matches!(status, 408 | 409 | 425 | 429 | 500 | 502..=599);
        }
        let words = [&self.code, &self.kind, &self.message];
        words.into_iter().flatten().any(|text| {
            let text = text.to_lowercase().replace([' ', '-'], "_");
            TRANSIENT.iter().any(|word| text.contains(word))
        })
    }

    /// Whether it says that the file cannot be found or used yet. Its size and its
    /// format are another matter.
    pub(crate) fn is_over_file(&self, file_id: &str) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        let names_it = self.param.as_deref().is_some_and(is_file_field);
        is_over_file(message, names_it || message.contains(file_id))
    }

    /// Whether it is the metadata as such that is refused, and not one of these pairs of the user's.
    pub(crate) fn is_over_metadata(&self, user: &[(String, String)]) -> bool {
        let (param, message) = (self.param.as_deref().unwrap_or_default(), self.message.as_deref().unwrap_or_default());
        let is_theirs =
            |(key, _): &(String, String)| [param, message].iter().any(|text| text.contains(&format!("metadata.{key}")));
        let is_named = param.split('.').any(|part| part == "metadata") || message.to_lowercase().contains("metadata");
        is_named && !user.iter().any(is_theirs)
    }
}

/// Whether a field's name is one for the uploaded file.
pub(crate) fn is_file_field(param: &str) -> bool {
    param.rsplit('.').next().is_some_and(|name| FILE_FIELDS.contains(&name))
}

/// Whether a sentence, which may name the file's field or id, says that the file cannot be found or used yet.
pub(crate) fn is_over_file(message: &str, names_it: bool) -> bool {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    (names_it || message.contains("file")) && says(&NOT_YET) && !says(&WRONG_FILE)
}

#[cfg(test)]
mod tests {
    use super::ApiError;

    fn read(json: &str) -> ApiError {
        ApiError::read(json.as_bytes())
    }

    #[test]
    fn an_error_may_come_as_a_success() {
        let inside = |json: &str| ApiError::inside(json.as_bytes());
        assert_eq!(inside(r#"{"error":"text"}"#).unwrap().message.as_deref(), Some("text"));
        assert_eq!(inside(r#"{"error":{"code":429}}"#).unwrap().status, Some(429));
        assert!(inside(r#"{"object":"error","message":"m","code":404}"#).is_some());
        for fine in [
            r#"{"id":"b","error":null}"#,
            r#"{"id":"b","error":{"message":"a row"}}"#,
            r#"{"data":[],"error":{"message":"x"}}"#,
            r#"{"error":null}"#,
            r#"{"error":{}}"#,
            r#"{"status":"completed"}"#,
            "[]",
            "<html>",
        ] {
            assert_eq!(inside(fine), None, "{fine}");
        }
    }

    #[test]
    fn what_is_transient_is_read_from_status_or_words() {
        for (json, transient) in [
            (r#"{"error":{"code":503}}"#, true),
            (r#"{"error":{"code":501}}"#, false),
            (r#"{"error":{"code":"rate_limit_exceeded"}}"#, true),
            (r#"{"error":{"type":"server_error"}}"#, true),
            (r#"{"error":"The model is overloaded."}"#, true),
            (r#"{"error":"Too many requests"}"#, true),
            (r#"{"error":{"message":"batch b is unknown","type":"invalid_request_error"}}"#, false),
            // The status says it, whatever the sentence is like.
            (r#"{"error":{"code":404,"message":"Service unavailable"}}"#, false),
        ] {
            assert_eq!(read(json).is_transient(), transient, "{json}");
        }
    }

    #[test]
    fn a_file_that_is_late_is_told_from_one_that_is_wrong() {
        for (json, late) in [
            (r#"{"error":{"message":"File file-1 was not found in this project.","param":"file_id"}}"#, true),
            (r#"{"error":{"message":"No such File object: file-1","param":"id"}}"#, true),
            (r#"{"error":{"message":"Input file is still processing, status: pending"}}"#, true),
            (r#"{"detail":[{"loc":["body","input_file_id"],"msg":"file-1 does not exist"}]}"#, true),
            (r#"{"error":{"message":"file-1 is pending"}}"#, true),
            (r#"{"error":{"message":"Invalid file format for Batch API. Must be .jsonl","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"The file is too large and was not found acceptable","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"File file-1 could not be processed.","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"The model gpt was not found"}}"#, false),
            (r#"{"detail":"Not Found"}"#, false),
            (r#"{"error":{"message":"Billing hard limit","param":"file_id"}}"#, false),
        ] {
            assert_eq!(read(json).is_over_file("file-1"), late, "{json}");
        }
    }

    #[test]
    fn metadata_is_refused_by_name() {
        let user = [("suite".to_owned(), "x".to_owned())];
        for (json, refused) in [
            (r#"{"detail":[{"loc":["body","metadata"],"msg":"Extra inputs are not permitted"}]}"#, true),
            (r#"{"error":{"message":"Unknown parameter: 'metadata'.","param":"metadata"}}"#, true),
            (r#"{"error":{"message":"Unrecognized request argument supplied: metadata"}}"#, true),
            (r#"{"error":{"message":"Invalid 'metadata.suite': string too long.","param":"metadata.suite"}}"#, false),
            (r#"{"error":{"message":"Invalid endpoint","param":"endpoint"}}"#, false),
        ] {
            assert_eq!(read(json).is_over_metadata(&user), refused, "{json}");
        }
    }
}
