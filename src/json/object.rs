//! Members of the objects that servers send, whatever JSON type they chose for them.

use serde::de::Error as _;
use serde_json::{Error, Value};

use crate::opaque::is_id;

/// An id by which the thing can be asked for; without one an answer is of no use.
pub(crate) fn id(object: &Value) -> Result<String, Error> {
    text(object, "id").filter(|id| is_id(id)).ok_or_else(|| Error::custom("an id was expected"))
}

/// A member that says something, as text.
pub(crate) fn text(object: &Value, name: &str) -> Option<String> {
    object.get(name).and_then(as_text)
}

/// A string that says something, or a number as one.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, whether it is written as one, as a fraction or as text.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|n| *n >= 0.0).map(|n| n as u64))
        }
        _ => None,
    }
}

/// A time in Unix seconds.
pub(crate) fn time(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|n| n as i64)),
        Value::String(text) => text.parse::<f64>().ok().map(|n| n as i64).or_else(|| unix(text)),
        _ => None,
    }
}

/// An RFC 3339 time as Unix seconds. An offset other than UTC is not expected of any vendor.
fn unix(text: &str) -> Option<i64> {
    let utc = text.replace("+00:00", "Z");
    let since_epoch = humantime::parse_rfc3339_weak(&utc).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}
