//! The lines of the output and error files that a batch's rows end in.
//!
//! Answers are made when a batch ends, not one by one, so polling is cheap.

use serde::Serialize;
use serde_json::{Value, json};

use super::answers::answer;
use super::stops::{misfit, stop};
use crate::faults::RowFault;
use crate::rows::Rows;

/// The files that a batch ends in, and what it used.
#[derive(Default)]
pub(super) struct Harvest {
    pub(super) output: Vec<u8>,
    pub(super) errors: Vec<u8>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

/// Why rows were not tried: the code and the message of their lines.
pub(super) type Untried = (&'static str, &'static str);

/// What all rows of a harvest share.
pub(super) struct Ground<'a> {
    pub(super) batch: &'a str,
    pub(super) endpoint: &'a str,
    /// In Unix seconds.
    pub(super) at: i64,
}

/// Writes the files: `done` rows were tried, the others were not for the reason given.
pub(super) fn harvest(rows: &Rows, ground: &Ground<'_>, done: usize, untried: Option<Untried>) -> Harvest {
    let mut harvest = Harvest::default();
    for (turn, row) in rows.turns().enumerate() {
        if turn < done {
            tried(rows, ground, row, &mut harvest);
        } else if let Some((code, message)) = untried {
            let error = Some(LineError { code, message });
            let line = Line { custom_id: &rows.row(row).custom_id, response: None, error };
            line.write(&Marks::new(ground.batch, row), &mut harvest.errors);
        }
    }
    if rows.has_stranger() && done > 0 {
        let row = rows.len();
        let response = Some((200, answer(ground.endpoint, &Value::Null, "stranger", ground.at).body));
        let line = Line { custom_id: "sandbox-stranger", response, error: None };
        line.write(&Marks::new(ground.batch, row), &mut harvest.output);
    }
    harvest
}

fn tried(rows: &Rows, ground: &Ground<'_>, row: usize, harvest: &mut Harvest) {
    let marks = Marks::new(ground.batch, row);
    let fate = rows.fate(row);
    let custom_id = &rows.row(row).custom_id;
    let write = |response, file: &mut Vec<u8>| {
        Line { custom_id, response: Some(response), error: None }.write(&marks, file);
    };
    match fate {
        Some(RowFault::Status(0)) => return write((0, json!({})), &mut harvest.output),
        Some(RowFault::Status(status)) => return write((status, failure(status)), &mut harvest.errors),
        Some(RowFault::ErrorInBody) => return write((200, failure(200)), &mut harvest.output),
        Some(RowFault::Empty) => return write((200, json!({})), &mut harvest.output),
        Some(RowFault::Bare) => return bare(custom_id, &mut harvest.errors),
        _ => {}
    }
    let request = rows.request(row);
    let mut answer = answer(ground.endpoint, &request["body"], &marks.0[..24], ground.at);
    harvest.input_tokens += answer.input_tokens;
    harvest.output_tokens += answer.output_tokens;
    match fate {
        Some(RowFault::Stop(word)) => stop(&mut answer.body, word),
        Some(RowFault::OffSchema) => misfit(&mut answer.body),
        _ => {}
    }
    match fate {
        Some(RowFault::Missing) => {}
        Some(RowFault::Duplicate) => {
            write((200, answer.body.clone()), &mut harvest.output);
            write((200, answer.body), &mut harvest.output);
        }
        Some(RowFault::StringBody) => write((200, answer.body.to_string().into()), &mut harvest.output),
        Some(RowFault::Nan) => {
            let from = harvest.output.len();
            write((200, answer.body), &mut harvest.output);
            let line =
                String::from_utf8_lossy(&harvest.output[from..]).replacen(r#""body":{"#, r#""body":{"score":NaN,"#, 1);
            harvest.output.splice(from.., line.into_bytes());
        }
        _ => write((200, answer.body), &mut harvest.output),
    }
}
/// A line that says its status only at the start of its message.
fn bare(custom_id: &str, file: &mut Vec<u8>) {
    let error = json!({"message": "Error code: 429 - too many requests at a time", "type": null, "code": null});
    file.extend_from_slice(json!({"custom_id": custom_id, "response": null, "error": error}).to_string().as_bytes());
    file.push(b'\n');
}

/// The body of an answer that failed.
fn failure(status: u16) -> Value {
    let (kind, code, message) = match status {
        429 => ("requests", Some("rate_limit_exceeded"), "Simulated failure: rate limit reached for requests."),
        200 | 500.. => ("server_error", Some("server_error"), "Simulated failure: the server had an error."),
        _ => ("invalid_request_error", None, "Simulated failure: the request is invalid."),
    };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// The random-looking digits of a row: 32 for the line's id, 32 for the request's.
struct Marks(String);

impl Marks {
    fn new(batch: &str, row: usize) -> Self {
        Self(blake3::Hasher::new().update(batch.as_bytes()).update(&row.to_be_bytes()).finalize().to_string())
    }
}

struct Line<'a> {
    custom_id: &'a str,
    response: Option<(u16, Value)>,
    error: Option<LineError>,
}

#[derive(Serialize)]
struct LineError {
    code: &'static str,
    message: &'static str,
}

impl Line<'_> {
    fn write(self, Marks(digits): &Marks, file: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Wire<'a> {
            id: String,
            custom_id: &'a str,
            response: Option<Response>,
            error: Option<LineError>,
        }
        #[derive(Serialize)]
        struct Response {
            status_code: u16,
            request_id: String,
            body: Value,
        }
        let (id, request_id) = digits.split_at(32);
        let response = self.response.map(|(status_code, body)| Response {
            status_code,
            request_id: format!("req_{request_id}"),
            body,
        });
        let wire = Wire { id: format!("batch_req_{id}"), custom_id: self.custom_id, response, error: self.error };
        // Neither strings nor numbers can fail to be written, and a vector takes everything.
        if serde_json::to_writer(&mut *file, &wire).is_ok() {
            file.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::validate::{Manners, validate};
    use super::{Ground, Harvest, Rows, Value};
    use crate::script::script;
    use crate::weather::Weather;
    use bytes::Bytes;

    const ENDPOINT: &str = "/v1/embeddings";

    fn rows(count: usize, faults: &str) -> Rows {
        let line = |i| {
            format!(r#"{{"custom_id":"r{i}","method":"POST","url":"{ENDPOINT}","body":{{"model":"m","input":"t"}}}}"#)
        };
        let content = (0..count).map(line).collect::<Vec<_>>().join("\n");
        let checked = validate(content.as_bytes(), ENDPOINT, Manners::Strict);
        let strikes = Weather::new(script(faults).unwrap()).rows(Duration::ZERO);
        Rows::new(Bytes::from(content), checked.rows, |id| id, &strikes)
    }

    fn harvest(rows: &Rows, done: usize) -> Harvest {
        let ground = Ground { batch: "batch_x", endpoint: ENDPOINT, at: 1_700_000_000 };
        super::harvest(rows, &ground, done, Some(("batch_expired", "Too late.")))
    }

    fn lines(file: &[u8]) -> Vec<Value> {
        file.split_inclusive(|b| *b == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn rows_end_in_a_shuffled_order_that_is_always_the_same() {
        let ids =
            || lines(&harvest(&rows(50, ""), 50).output).iter().map(|l| l["custom_id"].clone()).collect::<Vec<_>>();
        let first = ids();
        assert_eq!(first, ids());
        let in_file_order: Vec<Value> = (0..50).map(|i| Value::from(format!("r{i}"))).collect();
        assert_ne!(first, in_file_order);
        assert!(in_file_order.iter().all(|id| first.contains(id)));
    }

    #[test]
    fn untried_rows_stand_in_the_error_file() {
        let harvest = harvest(&rows(10, ""), 4);
        let (output, errors) = (lines(&harvest.output), lines(&harvest.errors));
        assert_eq!((output.len(), errors.len()), (4, 6));
        assert_eq!(errors[0]["error"]["code"], "batch_expired");
        assert!(errors[0]["response"].is_null() && output[0]["error"].is_null());
        assert_eq!(harvest.input_tokens, 4);
        assert_eq!(output[0]["response"]["status_code"], 200);
        assert!(output[0]["id"].as_str().unwrap().starts_with("batch_req_"));
    }

    #[test]
    fn faults_befall_rows() {
        let count = |faults: &str| {
            let rows = rows(4, faults);
            let harvest = harvest(&rows, 4);
            (lines(&harvest.output).len(), lines(&harvest.errors).len(), rows.failed(4))
        };
        assert_eq!(count("rows status=500"), (0, 4, 4));
        assert_eq!(count("rows status=0"), (4, 0, 0));
        assert_eq!(count("rows error-in-body"), (4, 0, 0));
        assert_eq!(count("rows missing"), (0, 0, 0));
        assert_eq!(count("rows duplicate"), (8, 0, 0));
        assert_eq!(count("rows stranger"), (5, 0, 0));
        assert_eq!(count("rows string-body"), (4, 0, 0));
        assert_eq!(count("rows empty"), (4, 0, 0));
        assert_eq!(count("rows bare"), (0, 4, 4));
        let failed = harvest(&rows(1, "rows status=429"), 1);
        let line = &lines(&failed.errors)[0];
        assert!(line["error"].is_null());
        assert_eq!(line["response"]["body"]["error"]["code"], "rate_limit_exceeded");
        assert!(lines(&harvest(&rows(1, "rows error-in-body"), 1).output)[0]["response"]["body"]["error"].is_object());
    }
}
