//! Reads an error in whatever shape it is written.
//!
//! OpenAI, compatible servers, gateways and frameworks write errors as objects, texts and lists, wrap them in one
//! another, and put a status anywhere. The same shapes come as the bodies of refused calls and as lines of answers, so
//! both are read here: OpenAI's objects, Anthropic's and Mistral's as gateways pass them on, FastAPI's list of `loc`
//! and `msg`, an error within an error, JSON within a string, and plain text.

use serde_json::{Map, Value};

use super::codes;
use crate::dialects::ApiError;
use crate::json::bounded;

/// How much is read of an error that is no JSON, in bytes.
const LONGEST_PAGE: usize = 8_192;
/// How deep an error is looked into.
const DEEPEST: usize = 12;
/// How many texts of a list are put together.
const MOST_TEXTS: usize = 5;
/// The members that hold what was asked or answered: a status in there is no error's.
const CONTENT: [&str; 14] = [
    "choices",
    "output",
    "data",
    "results",
    "content",
    "text",
    "usage",
    "metadata",
    "input",
    "messages",
    "request",
    "instructions",
    "tools",
    "prompt",
];

impl ApiError {
    /// Reads the body of an answer that is not 2xx.
    pub(super) fn read(body: &[u8]) -> Self {
        match bounded::read(body) {
            Ok(value) => Self::of(&value),
            // Of what is no JSON, or more than anybody could mean, the beginning says enough.
            Err(_) => {
                let begin = &body[..body.len().min(LONGEST_PAGE)];
                Self::of(&Value::String(String::from_utf8_lossy(begin).into_owned()))
            }
        }
    }

    /// Finds the error in JSON that is about one: `{"error": {…}}`, `{"error": "…"}`,
    /// `{"detail": […]}`, or the object itself.
    pub(crate) fn of(value: &Value) -> Self {
        let mut error = Self::default();
        error.take(value, 0);
        let of_code = || error.code.as_deref()?.parse().ok().filter(|code| (400..600).contains(code));
        let of_message = || error.message.as_deref().and_then(status_of_message);
        error.status = status_within(value).or_else(of_code).or_else(of_message);
        error.meaning =
            [&error.code, &error.kind].into_iter().flatten().map(|word| codes::meaning(word)).max().unwrap_or_default();
        error
    }

    /// The error of an answer that is 2xx nevertheless: `{"error": …}` without an
    /// id, or an object that calls itself an error. None where it is what was asked for.
    pub(super) fn inside(body: &[u8]) -> Option<Self> {
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

    /// Takes what is not known yet; what is within an error counts before what is around it.
    fn take(&mut self, value: &Value, depth: usize) {
        match value {
            _ if depth > DEEPEST => {}
            Value::String(text) => match embedded(text) {
                Some(value) => self.take(&value, depth + 1),
                None => put(&mut self.message, sentence(text)),
            },
            Value::Array(_) => put(&mut self.message, text_of(value, 0)),
            Value::Object(object) => self.take_object(object, depth),
            _ => {}
        }
    }

    fn take_object(&mut self, object: &Map<String, Value>, depth: usize) {
        let member = |name: &str| object.get(name).filter(|value| !value.is_null());
        let inner = member("error").or_else(|| member("errors"));
        match inner {
            Some(Value::Array(all)) if all.first().is_some_and(Value::is_object) => self.take(&all[0], depth + 1),
            Some(inner) => self.take(inner, depth + 1),
            None => {}
        }
        put(&mut self.code, member("code").or_else(|| member("error_code")).and_then(scalar));
        put(&mut self.param, member("param").and_then(scalar));
        if inner.is_none() {
            // Anthropic's outer type says only that it is an error.
            put(&mut self.kind, member("type").and_then(scalar).filter(|kind| kind != "error"));
        }
        let names = ["message", "msg", "detail", "details", "error_message", "error_description", "title", "reason"];
        for said in names.into_iter().filter_map(member) {
            match said {
                // A message that is an error of its own.
                Value::Object(_) if depth < DEEPEST => self.take(said, depth + 1),
                Value::String(text) if embedded(text).is_some() => self.take(said, depth + 1),
                said => put(&mut self.message, text_of(said, 0)),
            }
        }
    }
}

fn put(place: &mut Option<String>, value: Option<String>) {
    if place.is_none() {
        *place = value;
    }
}

/// The object or the list that a text holds.
pub(crate) fn embedded(text: &str) -> Option<Value> {
    let text = text.trim();
    let may_be = text.starts_with(['{', '[']) && text.ends_with(['}', ']']);
    if may_be { serde_json::from_str(text).ok() } else { None }
}

/// A string that says something, or a number as one.
fn scalar(value: &Value) -> Option<String> {
    match value {
        // Python's str() of nothing.
        Value::String(text) if text == "None" => None,
        Value::String(text) => sentence(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn sentence(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A message in words: FastAPI's entries with the place that each is about.
fn text_of(value: &Value, depth: usize) -> Option<String> {
    match value {
        _ if depth > DEEPEST => None,
        Value::String(text) => sentence(text),
        Value::Array(all) => {
            let texts: Vec<String> = all.iter().filter_map(|one| text_of(one, depth + 1)).take(MOST_TEXTS).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        Value::Object(object) => {
            let names = ["msg", "message", "detail", "error"];
            let text = names.into_iter().find_map(|name| text_of(object.get(name)?, depth + 1))?;
            let place = object
                .get("loc")
                .and_then(Value::as_array)
                .map(|loc| loc.iter().filter_map(scalar).collect::<Vec<String>>().join("."));
            Some(match place.filter(|place| !place.is_empty()) {
                Some(place) => format!("{place}: {text}"),
                None => text,
            })
        }
        _ => None,
    }
}

/// The HTTP status that an error or a response names at any depth, the outermost first.
/// What was asked or answered is not searched.
pub(crate) fn status_within(value: &Value) -> Option<u16> {
    let mut level: Vec<&Value> = vec![value];
    for _ in 0..DEEPEST {
        let objects = level.iter().filter_map(|value| value.as_object());
        if let Some(status) = objects.clone().find_map(own_status) {
            return Some(status);
        }
        let members = objects.flat_map(|object| {
            object.iter().filter(|(name, _)| !CONTENT.contains(&name.as_str())).map(|(_, value)| value)
        });
        let elements = level.iter().filter_map(|value| value.as_array()).flatten();
        level = members.chain(elements).filter(|value| value.is_object() || value.is_array()).collect();
    }
    None
}

/// The status that an object's own members name.
fn own_status(object: &Map<String, Value>) -> Option<u16> {
    let named = |name: &&str| number(object.get(*name)?);
    let is_status = |status: &u16| *status == 0 || (100..600).contains(status);
    let found = ["status_code", "http_status", "http_status_code", "statusCode", "status"].iter().find_map(named);
    // A code is often something else, and 0 is then no status.
    let code = || ["code", "error_code"].iter().find_map(named).filter(|code| *code >= 400);
    found.filter(is_status).or_else(|| code().filter(is_status))
}

/// A status is a small whole number, however it is written.
fn number(value: &Value) -> Option<u16> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    ((0.0..=999.0).contains(&number) && number.fract() == 0.0).then_some(number as u16)
}

/// The status that a message begins with: `Error code: 429 - …`, `429 Too Many
/// Requests`, `HTTP 503: …`, `Request failed with status code 502`. A number
/// within prose is none.
pub(crate) fn status_of_message(message: &str) -> Option<u16> {
    /// What may come before the status.
    const BEFORE: [&str; 17] = [
        "error",
        "code",
        "status",
        "http",
        "https",
        "server",
        "client",
        "api",
        "upstream",
        "request",
        "response",
        "failed",
        "with",
        "got",
        "received",
        "returned",
        "statuscode",
    ];
    let mut announced = false;
    let mut rest = message.trim_start();
    for _ in 0..8 {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || "([{<\"'`:=-_,".contains(c));
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '/').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let lower = word.trim_end_matches('.').to_ascii_lowercase();
        if let Ok(status) = lower.parse::<u16>() {
            let is_status = lower.len() == 3 && (400..600).contains(&status);
            return (is_status && (announced || says_why(status, after))).then_some(status);
        }
        announced |=
            ["code", "status", "statuscode", "http", "https"].contains(&lower.as_str()) || lower.starts_with("http/");
        // `openai.RateLimitError: Error code: …`
        let is_class = lower.ends_with("error") || lower.ends_with("exception");
        if !(BEFORE.contains(&lower.as_str()) || lower.starts_with("http/") || is_class) {
            return None;
        }
        rest = after;
    }
    None
}

/// Whether what follows a bare number makes it a status: its reason phrase, or no further word.
fn says_why(status: u16, after: &str) -> bool {
    let after = after.trim_start().to_ascii_lowercase();
    let reasons: &[&str] = match status {
        400 | 502 => &["bad "],
        401 => &["unauthorized", "authorization"],
        402 => &["payment"],
        403 => &["forbidden"],
        404 => &["not found"],
        408 => &["request time"],
        409 => &["conflict"],
        413 => &["payload", "content too", "request entity"],
        422 => &["unprocessable"],
        429 => &["too many", "rate limit", "resource exhausted"],
        500 => &["internal"],
        501 => &["not implemented"],
        503 => &["service", "temporarily", "unavailable"],
        504 => &["gateway", "deadline"],
        529 => &["overloaded", "site is overloaded"],
        _ => &[],
    };
    let by_library = after.starts_with("client error") || after.starts_with("server error");
    let no_word = !after.starts_with(|c: char| c.is_alphanumeric() || c == '%');
    no_word || by_library || reasons.iter().any(|reason| after.starts_with(reason))
}

#[cfg(test)]
mod tests {
    use super::{ApiError, status_of_message, status_within};

    fn read(json: &str) -> (Option<String>, Option<String>, Option<u16>) {
        let error = ApiError::read(json.as_bytes());
        (error.word().map(str::to_owned), error.message, error.status)
    }

    #[test]
    fn errors_of_every_shape() {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        for (json, word, message, status) in [
            (
                r#"{"error":{"message":"Quota.","type":"insufficient_quota","param":null,"code":"over"}}"#,
                "over",
                "Quota.",
                None,
            ),
            (r#"{"error":{"code":400,"message":"bad"}}"#, "400", "bad", Some(400)),
            (r#"{"error":{"code":400,"type":"BadRequestError","message":"bad"}}"#, "BadRequestError", "bad", Some(400)),
            (r#"{"error":"nope"}"#, "", "nope", None),
            (r#"{"error":"slow down","code":"rate_limited"}"#, "rate_limited", "slow down", None),
            (r#"{"detail":"Not Found"}"#, "", "Not Found", None),
            (r#"{"error":{"error":{"type":"server_error","message":"deep"}}}"#, "server_error", "deep", None),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"r"}"#,
                "overloaded_error",
                "Overloaded",
                None,
            ),
            (
                r#"{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"},{"msg":"and this"}]}"#,
                "",
                "body.messages.0: field required; and this",
                None,
            ),
            (
                r#"{"object":"error","message":{"detail":[{"loc":["body","n"],"msg":"too large"}]},"type":"invalid","code":null}"#,
                "invalid",
                "body.n: too large",
                None,
            ),
            (r#"{"errors":[{"code":"a","message":"first"},{"code":"b"}]}"#, "a", "first", None),
            (
                r#"{"error":{"message":"{\"error\":{\"code\":\"503\",\"message\":\"inner\"}}"}}"#,
                "503",
                "inner",
                Some(503),
            ),
            (
                r#"{"error":{"message":"Error code: 429 - {'error': 1}","type":"None"}}"#,
                "",
                "Error code: 429 - {'error': 1}",
                Some(429),
            ),
            (r#"{"fault":{"response":{"http_status":"502"}}}"#, "", "", Some(502)),
            ("upstream timed out\n", "", "upstream timed out", None),
            ("", "", "", None),
            ("[]", "", "", None),
        ] {
            assert_eq!(read(json), (some(word), some(message), status), "{json}");
        }
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
    fn a_status_stands_where_errors_have_theirs_and_nowhere_else() {
        let within = |json: &str| status_within(&serde_json::from_str(json).unwrap());
        assert_eq!(within(r#"{"a":{"b":[{"code":"429"}]},"status":500}"#), Some(500), "the outermost counts");
        assert_eq!(within(r#"{"a":{"b":[{"code":"429"}]}}"#), Some(429));
        assert_eq!(within(r#"{"status_code":0}"#), Some(0));
        for none in [
            r#"{"code":0}"#,
            r#"{"status":"failed"}"#,
            r#"{"code":20003}"#,
            r#"{"choices":[{"status":500}]}"#,
            r#"{"metadata":{"code":"500"}}"#,
            r#"{"line":500}"#,
            "500",
        ] {
            assert_eq!(within(none), None, "{none}");
        }
    }

    #[test]
    fn a_message_begins_with_its_status_or_has_none() {
        for (message, status) in [
            ("Error code: 429 - {'error': {}}", 429),
            ("429 Too Many Requests", 429),
            ("HTTP 503: over capacity", 503),
            ("HTTP/1.1 502 Bad Gateway", 502),
            ("503 Server Error: Service Unavailable for url: x", 503),
            ("Request failed with status code 504", 504),
            ("openai.RateLimitError: Error code: 429 - x", 429),
            ("status_code=500, body=x", 500),
            ("[500] oh", 500),
            ("500", 500),
            ("500: tokens", 500),
            ("Error 529 Overloaded", 529),
        ] {
            assert_eq!(status_of_message(message), Some(status), "{message}");
        }
        for prose in [
            "500 tokens are too many",
            "The limit is 429",
            "Too long: 500 of 400",
            "Error 500 tokens",
            "HTTP 200 OK",
            "50000 Internal",
            "",
            "Error",
            "5000",
            "Rate limit of 429 requests",
            "500% more",
        ] {
            assert_eq!(status_of_message(prose), None, "{prose}");
        }
    }
}
