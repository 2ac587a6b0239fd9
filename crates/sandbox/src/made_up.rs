//! The text of made-up answers, and what is counted as their tokens.

use serde_json::Value;

/// The text of an answer: it says that it is simulated.
pub(super) fn told(question: &str) -> String {
    let question = question.trim();
    let short: String = question.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let more = if short.len() < question.len() { "…" } else { "" };
    format!("Simulated answer to “{short}{more}”")
}

/// The first half of a text, where an answer is cut off.
pub(super) fn first_half(text: &str) -> &str {
    let end = (0..=text.len() / 2).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// The JSON in a text with null for its first member: what a schema seldom allows.
pub(super) fn off_schema(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(Value::Object(mut members)) => {
            if let Some(first) = members.values_mut().next() {
                *first = Value::Null;
            }
            Value::Object(members).to_string()
        }
        _ => "null".to_owned(),
    }
}

/// The text of the last message whose role is `user`, or the input itself where it is text.
pub(super) fn last_user_text(input: &Value) -> &str {
    match input {
        Value::Array(messages) => {
            let from_user = messages.iter().rev().find(|message| message["role"] == "user");
            from_user.map_or("", |message| first_text(&message["content"]))
        }
        input => first_text(input),
    }
}

/// A text, or the first text among several or among the parts of a message.
pub(super) fn first_text(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        Value::Array(items) => items.iter().map(first_text).find(|text| !text.is_empty()).unwrap_or_default(),
        Value::Object(part) => part.get("text").and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    }
}

/// The bytes of all texts inside; a number is one token of a prompt, which is four.
pub(super) fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Number(_) => 4,
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(members) => members.values().map(text_bytes).sum(),
        _ => 0,
    }
}

/// Tokens, estimated as a quarter of the bytes.
pub(super) fn tokens(bytes: usize) -> u64 {
    (bytes as u64 / 4).max(1)
}
