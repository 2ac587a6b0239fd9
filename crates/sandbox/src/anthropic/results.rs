//! The lines of a batch's results, in the order in which the rows were done.

use serde_json::{Value, json};

use super::message::message;
use super::refusal::kind;
use crate::course::{Moment, Status};
use crate::faults::RowFault;
use crate::made_up::off_schema;
use crate::rows::Rows;

/// All lines of the batch that ended in this moment.
pub(super) fn results(batch: &str, rows: &Rows, moment: &Moment) -> Vec<u8> {
    let mut lines = Lines(Vec::new());
    let untried = if moment.status == Status::Expired { "expired" } else { "canceled" };
    for (turn, row) in rows.turns().enumerate() {
        if turn < moment.done {
            tried(batch, rows, row, &mut lines);
        } else {
            lines.push(&rows.row(row).custom_id, &json!({"type": untried}));
        }
    }
    if rows.has_stranger() && moment.done > 0 {
        let params = json!({"model": "simulated", "messages": []});
        lines.push("sandbox-stranger", &succeeded(message(&params, "stranger", None)));
    }
    lines.0
}

fn tried(batch: &str, rows: &Rows, position: usize, lines: &mut Lines) {
    let row = rows.row(position);
    let digits = blake3::Hasher::new().update(batch.as_bytes()).update(&position.to_be_bytes()).finalize().to_string();
    let (tag, request_id) = (&digits[..24], format!("req_{}", &digits[24..48]));
    let fate = rows.fate(position);
    if let Some(wrong) = &row.wrong {
        return lines.push(&row.custom_id, &errored(kind(400).into(), wrong, &request_id));
    }
    let result = match fate {
        Some(RowFault::Status(status)) => errored(kind(status).into(), failure(status), &request_id),
        Some(RowFault::Bare) => errored(Value::Null, "Error code: 429 - too many requests at a time", &request_id),
        Some(RowFault::ErrorInBody) => succeeded(json!({"type": "error",
            "error": {"type": kind(500), "message": failure(500)}, "request_id": request_id})),
        Some(RowFault::Empty) => succeeded(json!({})),
        Some(RowFault::Missing) => return,
        Some(RowFault::Stop(word)) => succeeded(message(&rows.request(position), tag, Some(word))),
        Some(RowFault::StringBody) => succeeded(message(&rows.request(position), tag, None).to_string().into()),
        Some(RowFault::OffSchema) => {
            let mut message = message(&rows.request(position), tag, None);
            let text = &mut message["content"][0]["text"];
            *text = off_schema(text.as_str().unwrap_or_default()).into();
            succeeded(message)
        }
        None | Some(RowFault::Duplicate | RowFault::Nan | RowFault::Stranger) => {
            succeeded(message(&rows.request(position), tag, None))
        }
    };
    match fate {
        Some(RowFault::Duplicate) => {
            lines.push(&row.custom_id, &result);
            lines.push(&row.custom_id, &result);
        }
        Some(RowFault::Nan) => {
            let whole = json!({"custom_id": row.custom_id, "result": result}).to_string();
            lines.write(&whole.replacen(r#""message":{"#, r#""message":{"score":NaN,"#, 1));
        }
        _ => lines.push(&row.custom_id, &result),
    }
}

fn succeeded(message: Value) -> Value {
    json!({"type": "succeeded", "message": message})
}

fn errored(kind: Value, message: &str, request_id: &str) -> Value {
    let error = json!({"type": kind, "message": message});
    json!({"type": "errored", "error": {"type": "error", "error": error, "request_id": request_id}})
}

fn failure(status: u16) -> &'static str {
    match status {
        429 => "Simulated failure: this request would exceed your organization's rate limit.",
        529 => "Simulated failure: Overloaded",
        500.. => "Simulated failure: Internal server error",
        _ => "Simulated failure: the request is invalid.",
    }
}

struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, custom_id: &str, result: &Value) {
        self.write(&json!({"custom_id": custom_id, "result": result}).to_string());
    }

    fn write(&mut self, line: &str) {
        self.0.extend_from_slice(line.as_bytes());
        self.0.push(b'\n');
    }
}
