//! Anthropic's errors: `{"type": "error", "error": {"type", "message", "details"}, "request_id"}` (SDK:
//! `types/shared/error_object.py`), as the bodies of refused calls and in the lines of answers.

use serde_json::Value;

use crate::dialects::{ApiError, Meaning};
use crate::json::bounded;
use crate::json::object::text;
use crate::text::shorten_bytes;

/// How much is read of an error that is no JSON, in bytes.
const LONGEST_PAGE: usize = 8_192;

/// The types of errors, each with the HTTP status that it is documented with.
const TYPES: [(&str, u16); 11] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("conflict_error", 409),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

/// The account needs credit, or a higher limit for its spending.
const NEEDS_CREDIT: [&str; 3] = ["billing_error", "enforced_spend_limit_reached", "contract_spend_limit_reached"];

/// Reads the body of an answer that is not 2xx.
pub(super) fn read(body: &[u8]) -> ApiError {
    match bounded::read(body) {
        Ok(value) => of(&value),
        // A gateway's page.
        Err(_) => {
            let page = String::from_utf8_lossy(&body[..body.len().min(LONGEST_PAGE)]);
            ApiError { message: Some(page.trim().to_owned()).filter(|page| !page.is_empty()), ..ApiError::default() }
        }
    }
}

/// The error of an answer that is 2xx nevertheless.
pub(super) fn inside(body: &[u8]) -> Option<ApiError> {
    let value = bounded::read(body).ok()?;
    (value.get("type").is_some_and(|kind| kind == "error")).then(|| of(&value))
}

/// Reads an error's object, or one within an object that is called an error.
pub(super) fn of(value: &Value) -> ApiError {
    let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
    let kind = text(inner, "type").filter(|kind| kind != "error");
    let code = inner.get("details").and_then(|details| text(details, "error_code"));
    let message = text(inner, "message").or_else(|| inner.as_str().map(|text| shorten_bytes(text, LONGEST_PAGE)));
    let needs_credit = [&code, &kind].into_iter().flatten().any(|word| is_hopeless(word));
    let meaning = if needs_credit { Meaning::NeedsCredit } else { Meaning::Unknown };
    ApiError { status: kind.as_deref().and_then(status), code, kind, message, param: None, meaning }
}

/// Whether a code or a type says that no waiting helps.
pub(super) fn is_hopeless(word: &str) -> bool {
    NEEDS_CREDIT.iter().any(|known| known.eq_ignore_ascii_case(word.trim()))
}

/// The HTTP status of a type of error.
fn status(kind: &str) -> Option<u16> {
    TYPES.iter().find(|(known, _)| *known == kind).map(|(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::{Meaning, inside, read};

    #[test]
    fn an_error_is_read_with_its_type_and_the_code_of_its_details() {
        let error = read(
            br#"{"type":"error","error":{"type":"rate_limit_error","message":"Your limit is reached.",
            "details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_1"}"#,
        );
        assert_eq!((error.word(), error.status), (Some("enforced_spend_limit_reached"), Some(429)));
        assert_eq!((error.meaning, error.message.as_deref()), (Meaning::NeedsCredit, Some("Your limit is reached.")));
        let busy = read(br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);
        assert_eq!(
            (busy.meaning, busy.is_transient(), busy.word()),
            (Meaning::Unknown, true, Some("overloaded_error"))
        );
        assert_eq!(read(b"<html>Bad gateway</html>").message.as_deref(), Some("<html>Bad gateway</html>"));
        assert!(inside(br#"{"type":"error","error":{"type":"api_error"}}"#).is_some());
        assert!(inside(br#"{"type":"message_batch","id":"b"}"#).is_none());
    }
}
