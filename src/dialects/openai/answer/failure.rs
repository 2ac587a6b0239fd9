//! What failed a request: a code, a status and a message, from wherever the
//! provider put them, and whether a retry may help. Decided alike for every
//! shape of line: rows of OpenAI and Azure, of Mistral and Together, of vLLM's
//! `run-batch`, of LiteLLM, of servers that write a body as a JSON string.

use serde_json::Value;

use crate::dialects::openai::codes::is_hopeless;
use crate::dialects::openai::error::embedded;
use crate::dialects::{Answer, ApiError, Failure, Fate, Kind, Ran};
use crate::text::shorten;

/// The code of a success without an answer.
const EMPTY: &str = "empty_answer";
/// The code of a line that names its request and says nothing else that can be read.
const UNREADABLE: &str = "batchstep_unreadable";

/// Codes of failures that may pass, whatever the status. What was cancelled is
/// not among them: somebody wanted that.
const MAY_PASS: [&str; 4] = ["batch_expired", "request_timeout", "rate_limit_exceeded", "server_error"];

/// Codes and types that mean the same where no status contradicts them:
/// Anthropic's, Google's, and those of OpenAI-style servers.
const LIKE_THESE: [&str; 20] = [
    "overloaded_error",
    "overloaded",
    "rate_limit_error",
    "rate_limit_reached",
    "rate_limit",
    "rate_limited",
    "too_many_requests",
    "ratelimiterror",
    "api_error",
    "timeout_error",
    "timeout",
    "deadline_exceeded",
    "internal_error",
    "internal_server_error",
    "internalservererror",
    "service_unavailable",
    "unavailable",
    "resource_exhausted",
    "engine_overloaded",
    "model_overloaded",
];

/// Codes of what somebody cancelled.
const CANCELLED: [&str; 3] = ["batch_cancelled", "cancelled", "canceled"];

/// How many characters of a provider's code are kept.
const CODE: usize = 100;

/// How many characters of a provider's message are kept.
const MESSAGE: usize = 300;

/// The codes of requests that the vendor did not get to.
const NEVER_RAN: [&str; 2] = ["batch_expired", "batch_cancelled"];

/// Why the request that `answer` is about failed; `line` is all that can be read of it.
pub(super) fn of(answer: &Answer<'_>, line: &Value) -> Failure {
    let (code, status, message, fate) = match answer.kind {
        Kind::Unreadable => {
            let message = "The line of this answer is damaged, and its status cannot be read.";
            (UNREADABLE.to_owned(), None, message.to_owned(), Fate::Permanent)
        }
        Kind::Empty => {
            let message = "The answer has status 200 but is empty.";
            (EMPTY.to_owned(), answer.status, message.to_owned(), Fate::Empty)
        }
        Kind::Failure | Kind::Success => Errors::of(line, answer.status).describe(),
    };
    let fate = if is_hopeless(&code) { Fate::Hopeless } else { fate };
    let ran = if NEVER_RAN.contains(&code.as_str()) { Ran::Never } else { Ran::Yes };
    Failure { code, status, message, fate, ran }
}

/// The errors of a line, from every place where servers put them.
struct Errors {
    /// The response's own status.
    given: Option<u16>,
    /// Those nearest to the row first.
    errors: Vec<ApiError>,
}

impl Errors {
    fn of(row: &Value, given: Option<u16>) -> Self {
        let response = &row["response"];
        let inner = response["body"].as_str().and_then(embedded);
        let body = inner.as_ref().unwrap_or(&response["body"]);
        let is_good = given.is_some_and(|status| (200..300).contains(&status));
        let mut places = vec![&row["error"]];
        // What is beside an error in a good response is an answer and no complaint.
        places.extend(if is_good { [&response["error"], &Value::Null] } else { [response, body] });
        if is_good && is_error(body) {
            places.push(body);
        }
        if response.is_null() {
            places.push(row);
        }
        Self { given, errors: places.into_iter().map(ApiError::of).collect() }
    }

    /// The status that failed it: the response's own, unless that says all is well.
    fn status(&self) -> Option<u16> {
        let named = self.errors.iter().filter_map(|error| error.status).find(|status| *status == 0 || *status >= 400);
        self.given.filter(|status| !(200..300).contains(status)).or(named).or(self.given)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().flat_map(|error| [error.code.as_deref(), error.kind.as_deref()]).flatten()
    }

    fn code(&self, status: Option<u16>) -> String {
        let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let mut words = self.errors.iter().filter_map(ApiError::word);
        let word = words.clone().find(|word| !is_number(word)).or_else(|| words.next());
        match (word, status) {
            // A code that is only the status says no more than it.
            (Some(word), Some(status)) if word == status.to_string() => format!("http_{status}"),
            (Some(word), _) => shorten(word, CODE),
            (None, Some(status)) if status != 200 => format!("http_{status}"),
            (None, _) => "unknown".to_owned(),
        }
    }

    fn message(&self, status: Option<u16>) -> String {
        match (self.errors.iter().find_map(|error| error.message.as_deref()), status) {
            (Some(text), _) => shorten(text, MESSAGE),
            (None, Some(status)) => format!("HTTP status {status}, without a message"),
            (None, None) => "neither a status nor a message".to_owned(),
        }
    }

    fn fate(&self, status: Option<u16>) -> Fate {
        let is_any = |codes: &[&str]| self.words().any(|word| codes.iter().any(|code| code.eq_ignore_ascii_case(word)));
        if self.is_hopeless(status) || is_any(&CANCELLED) {
            return Fate::Permanent;
        }
        let by_status = matches!(status, Some(0 | 408 | 429 | 500..=599));
        let is_silent = status.is_none_or(|status| status < 400);
        if by_status || is_any(&MAY_PASS) || is_silent && is_any(&LIKE_THESE) {
            Fate::Transient
        } else {
            Fate::Permanent
        }
    }

    /// Whether the account is empty: by a code or, where a gateway flattened the error, by the same word in a message.
    fn is_hopeless(&self, status: Option<u16>) -> bool {
        let parts = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_hopeless);
        let in_text = self.errors.iter().filter_map(|error| error.message.as_deref()).any(parts);
        status == Some(402) || in_text || self.words().any(is_hopeless)
    }

    fn describe(&self) -> (String, Option<u16>, String, Fate) {
        let status = self.status();
        (self.code(status), status, self.message(status), self.fate(status))
    }
}

/// Whether a body calls itself an error.
fn is_error(body: &Value) -> bool {
    !body["error"].is_null() || body["object"] == "error" || body["type"] == "error"
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::super::shape::Shape;
    use super::{Fate, of};
    use crate::json::damaged;

    fn failure(line: &str) -> (String, Option<u16>, String, Fate) {
        let value = damaged::value(line.as_bytes()).unwrap();
        let failure = of(&read(line.as_bytes(), Shape::Choices), &value);
        (failure.code, failure.status, failure.message, failure.fate)
    }

    #[test]
    fn a_code_and_a_message_are_found_wherever_they_are() {
        use Fate::{Empty, Permanent, Transient};
        for (line, code, status, message, fate) in [
            (
                r#"{"response":null,"error":{"code":"batch_expired","message":"late"}}"#,
                "batch_expired",
                None,
                "late",
                Transient,
            ),
            (
                r#"{"response":null,"error":{"code":"batch_cancelled","message":"no"}}"#,
                "batch_cancelled",
                None,
                "no",
                Permanent,
            ),
            (
                r#"{"response":{"status_code":400,"body":{"error":{"code":null,"type":"bad","message":"no"}}},"error":null}"#,
                "bad",
                Some(400),
                "no",
                Permanent,
            ),
            (
                r#"{"response":{"status_code":429,"body":{"error":"slow down"}}}"#,
                "http_429",
                Some(429),
                "slow down",
                Transient,
            ),
            (r#"{"response":{"status_code":500,"body":{"message":"oh"}}}"#, "http_500", Some(500), "oh", Transient),
            (
                r#"{"response":{"status_code":422,"body":{"detail":[{"loc":["body","n"],"msg":"wrong"}]}}}"#,
                "http_422",
                Some(422),
                "body.n: wrong",
                Permanent,
            ),
            (r#"{"response":{"status_code":502,"body":"<html>"}}"#, "http_502", Some(502), "<html>", Transient),
            (
                r#"{"response":{"status_code":0,"body":{}}}"#,
                "http_0",
                Some(0),
                "HTTP status 0, without a message",
                Transient,
            ),
            (r#"{"error":"broken"}"#, "unknown", None, "broken", Permanent),
            (r#"{"error":{"code":17}}"#, "17", None, "neither a status nor a message", Permanent),
            (
                r#"{"response":{"status_code":200,"body":{}},"error":null}"#,
                "empty_answer",
                Some(200),
                "The answer has status 200 but is empty.",
                Empty,
            ),
            (
                r#"{"custom_id":"a","response":NaN}"#,
                "batchstep_unreadable",
                None,
                "The line of this answer is damaged, and its status cannot be read.",
                Permanent,
            ),
        ] {
            assert_eq!(failure(line), (code.to_owned(), status, message.to_owned(), fate), "{line}");
        }
    }

    #[test]
    fn an_empty_account_is_hopeless_by_its_code() {
        for (line, fate) in [
            (r#"{"response":{"status_code":403,"body":{"error":{"code":"insufficient_quota"}}}}"#, Fate::Hopeless),
            (r#"{"response":{"status_code":402,"body":{"error":{"code":"x"}}}}"#, Fate::Permanent),
        ] {
            assert_eq!(failure(line).3, fate, "{line}");
        }
    }

    #[test]
    fn whether_to_retry_is_decided_alike_for_every_shape_of_line() {
        for may_pass in [
            // vLLM, Azure, LiteLLM, Mistral, Anthropic's shape, a body in a string, an error within an error.
            r#"{"response":{"status_code":500,"body":null},"error":{"message":"x","type":"InternalServerError","code":500}}"#,
            r#"{"error":{"code":"429","message":"slow"}}"#,
            r#"{"response":{"status_code":"503","body":{}}}"#,
            r#"{"response":{"status_code":200,"body":null},"error":{"code":"429"}}"#,
            r#"{"error":"429 Too Many Requests"}"#,
            r#"{"error":"Error code: 503 - {'message': 'x'}"}"#,
            r#"{"response":{"body":{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}}}"#,
            r#"{"response":{"status_code":200,"body":"{\"error\":{\"status\":500}}"}}"#,
            r#"{"error":{"error":{"metadata":{},"cause":{"http_status":502}}}}"#,
            r#"{"response":{"error":{"details":[{"status_code":504}]}}}"#,
            r#"{"response":{"message":"HTTP 503: busy"}}"#,
            r#"{"status":429,"message":"later"}"#,
            r#"{"error":{"type":"rate_limit_error"}}"#,
        ] {
            assert_eq!(failure(may_pass).3, Fate::Transient, "{may_pass}");
        }
        for stays in [
            r#"{"error":"500 tokens are too many"}"#,
            r#"{"error":{"message":"The limit is 429"}}"#,
            r#"{"response":{"status_code":400,"body":{"error":{"message":"500 of them"}}}}"#,
            r#"{"response":{"status_code":429,"body":{"error":{"code":"insufficient_quota"}}}}"#,
            r#"{"response":{"status_code":429,"body":{"error":{"type":"insufficient_quota","code":"x"}}}}"#,
            r#"{"error":{"message":"RateLimitError: 429 {'code': 'insufficient_quota'}","code":"429"}}"#,
            r#"{"response":{"status_code":402,"body":{}}}"#,
            r#"{"response":{"status_code":400,"body":{"error":{"type":"api_error"}}}}"#,
            r#"{"response":{"status_code":404,"body":{"metadata":{"status":500}}}}"#,
        ] {
            assert!(matches!(failure(stays).3, Fate::Permanent | Fate::Hopeless), "{stays}");
        }
    }
}
