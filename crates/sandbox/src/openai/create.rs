//! The body of a create, checked as the API checks it before it answers.
//!
//! What only shows when the input file is read is validate.rs's matter.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// The endpoints that batches may go to.
const ENDPOINTS: [&str; 8] = [
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
];

/// How long a file lives by default.
pub(super) const FILE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An acceptable create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Create {
    pub(super) input_file_id: String,
    pub(super) endpoint: String,
    pub(super) metadata: Option<Map<String, Value>>,
    /// How long the output files live, from their own creation.
    pub(super) output_life: Duration,
}

impl Create {
    /// Reads and checks the body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let unreadable = || Refusal::new(400, "We could not parse the JSON body of your request.");
        let body: Value = serde_json::from_slice(body).ok().filter(Value::is_object).ok_or_else(unreadable)?;
        let input_file_id = required(&body, "input_file_id")?.to_owned();
        let endpoint = required(&body, "endpoint")?.to_owned();
        let window = required(&body, "completion_window")?;
        if !ENDPOINTS.contains(&endpoint.as_str()) {
            let message = format!("Invalid endpoint: '{endpoint}'. Supported values: {}.", ENDPOINTS.join(", "));
            return Err(Refusal::field("endpoint", "invalid_value", message));
        }
        if window != "24h" {
            let message = format!("Invalid value: '{window}'. Supported values are: '24h'.");
            return Err(Refusal::field("completion_window", "invalid_value", message));
        }
        let metadata = metadata(&body["metadata"])?;
        let output_life = match &body["output_expires_after"] {
            Value::Null => FILE_LIFE,
            life => file_life("output_expires_after", life["anchor"].as_str(), life["seconds"].as_i64())?,
        };
        Ok(Self { input_file_id, endpoint, metadata, output_life })
    }
}

fn required<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    match &body[name] {
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::Null | Value::String(_) => {
            let message = format!("Missing required parameter: '{name}'.");
            Err(Refusal::field(name, "missing_required_parameter", message))
        }
        other => Err(wrong_type(name, "a string", other)),
    }
}

fn wrong_type(name: &str, expected: &str, found: &Value) -> Refusal {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{name}': expected {expected}, but got {found} instead.");
    Refusal::field(name, "invalid_type", message)
}

fn metadata(value: &Value) -> Result<Option<Map<String, Value>>, Refusal> {
    let pairs = match value {
        Value::Null => return Ok(None),
        Value::Object(pairs) => pairs,
        other => return Err(wrong_type("metadata", "an object", other)),
    };
    if pairs.len() > 16 {
        let message = format!(
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object \
             with {} properties instead.",
            pairs.len()
        );
        return Err(Refusal::field("metadata", "object_above_max_properties", message));
    }
    for (key, value) in pairs {
        let param = format!("metadata.{key}");
        let text = value.as_str().ok_or_else(|| wrong_type(&param, "a string", value))?;
        within("metadata", key, 64)?;
        within(&param, text, 512)?;
    }
    Ok(Some(pairs.clone()))
}

fn within(param: &str, text: &str, most: usize) -> Result<(), Refusal> {
    let length = text.chars().count();
    if length <= most {
        return Ok(());
    }
    let message = format!(
        "Invalid '{param}': string too long. Expected a string with maximum length {most}, but got a string with \
         length {length} instead."
    );
    Err(Refusal::field(param, "string_above_max_length", message))
}

/// Checks the life that a file is given: an anchor and seconds.
pub(super) fn file_life(param: &str, anchor: Option<&str>, seconds: Option<i64>) -> Result<Duration, Refusal> {
    const LEAST: i64 = 3_600;
    const MOST: i64 = 2_592_000;
    if anchor != Some("created_at") {
        let param = format!("{param}.anchor");
        let message = format!("Invalid value for '{param}'. Supported values are: 'created_at'.");
        return Err(Refusal::field(&param, "invalid_value", message));
    }
    let param = format!("{param}.seconds");
    let Some(seconds) = seconds else {
        return Err(Refusal::field(
            &param,
            "invalid_type",
            format!("Invalid type for '{param}': expected an integer."),
        ));
    };
    let outside = |code: &str, side: &str, sign: &str, bound: i64| {
        let message = format!(
            "Invalid '{param}': integer {side} value. Expected a value {sign} {bound}, but got {seconds} instead."
        );
        Refusal::field(&param, code, message)
    };
    if seconds < LEAST {
        return Err(outside("integer_below_min_value", "below minimum", ">=", LEAST));
    }
    if seconds > MOST {
        return Err(outside("integer_above_max_value", "above maximum", "<=", MOST));
    }
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Create, Duration, FILE_LIFE};

    fn body(change: &str, value: Value) -> Vec<u8> {
        let mut body = json!({"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h", "metadata": {"a": "b"}});
        body[change] = value;
        body.to_string().into_bytes()
    }

    #[test]
    fn a_good_create_is_taken() {
        let create = Create::read(&body("x", Value::Null)).unwrap();
        assert_eq!((create.endpoint.as_str(), create.output_life), ("/v1/embeddings", FILE_LIFE));
        assert_eq!(create.metadata.unwrap()["a"], "b");
        let life = json!({"anchor": "created_at", "seconds": 3600});
        let create = Create::read(&body("output_expires_after", life)).unwrap();
        assert_eq!(create.output_life, Duration::from_secs(3_600));
        assert_eq!(Create::read(&body("metadata", Value::Null)).unwrap().metadata, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many: serde_json::Map<_, _> = (0..17).map(|i| (i.to_string(), json!("v"))).collect();
        for (change, value, code, param) in [
            ("input_file_id", Value::Null, "missing_required_parameter", "input_file_id"),
            ("endpoint", json!("/v1/audio"), "invalid_value", "endpoint"),
            ("endpoint", json!(7), "invalid_type", "endpoint"),
            ("completion_window", json!("48h"), "invalid_value", "completion_window"),
            ("metadata", json!({"n": 1}), "invalid_type", "metadata.n"),
            ("metadata", json!([]), "invalid_type", "metadata"),
            ("metadata", Value::Object(many), "object_above_max_properties", "metadata"),
            ("metadata", json!({"k".repeat(65): "v"}), "string_above_max_length", "metadata"),
            ("metadata", json!({"k": "v".repeat(513)}), "string_above_max_length", "metadata.k"),
            ("output_expires_after", json!({"seconds": 3600}), "invalid_value", "output_expires_after.anchor"),
            (
                "output_expires_after",
                json!({"anchor": "created_at", "seconds": 3599}),
                "integer_below_min_value",
                "output_expires_after.seconds",
            ),
            (
                "output_expires_after",
                json!({"anchor": "created_at", "seconds": 2_592_001}),
                "integer_above_max_value",
                "output_expires_after.seconds",
            ),
        ] {
            let refusal = Create::read(&body(change, value)).unwrap_err();
            assert_eq!(
                (refusal.status, refusal.code.as_deref(), refusal.param.as_deref()),
                (400, Some(code), Some(param)),
                "{change}"
            );
        }
        assert_eq!(Create::read(b"[").unwrap_err().status, 400);
    }
}
