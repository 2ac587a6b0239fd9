//! The provider's validation of an input file, which runs after the create was answered.
//!
//! Codes and messages are the real API's where they are known. This is written
//! apart from the product's own check of requests files, so that the two can
//! disagree and a test can notice.

use std::collections::HashSet;
use std::ops::Range;

use serde::Serialize;
use serde_json::Value;

use crate::rows::Row;

/// One reason why a batch failed, as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BatchError {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// The field it is about.
    pub(super) param: Option<String>,
    /// The line of the input file, from 1.
    pub(super) line: Option<u64>,
}

/// The most requests that a batch may hold, and the most embedding inputs.
const MOST: usize = 50_000;

/// What validation found.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    /// The requests; none where there are errors.
    pub(super) rows: Vec<Row>,
    pub(super) model: Option<String>,
    pub(super) errors: Vec<BatchError>,
}

/// How particular a server is about where its lines say they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    /// As OpenAI: every line names the batch's endpoint.
    Strict,
    /// As some gateways: lines may leave it out, or name another.
    Lenient,
}

/// Checks a whole file and reports every faulty line.
pub(super) fn validate(content: &[u8], endpoint: &str, manners: Manners) -> Checked {
    let mut check = Check { endpoint, manners, ids: HashSet::new(), inputs: 0, found: Checked::default() };
    let mut start = 0;
    for (number, line) in (1..).zip(content.split_inclusive(|byte| *byte == b'\n')) {
        if check.found.rows.len() >= MOST {
            check.found.errors = vec![too_many(format!("The batch input file has more than {MOST} requests."))];
            break;
        }
        let span = start..start + line.len();
        start = span.end;
        check.line(number, line, span);
    }
    check.finish()
}

/// The error that a fault asks a batch to fail with.
pub(super) fn scripted(code: &str, model: Option<&str>) -> BatchError {
    let model = model.unwrap_or("gpt-4o-mini");
    let message = match code {
        "token_limit_exceeded" => format!(
            "Enqueued token limit reached for {model} in organization org-sandbox. Limit: 2,000,000 enqueued tokens. \
             Please try again once some in_progress batches have been completed."
        ),
        "model_not_found" => format!("The provided model '{model}' is not supported by the Batch API."),
        code => format!("The sandbox was told to fail this batch with `{code}`."),
    };
    error(code, message, None)
}

/// What a create on a file that is not there, or not yet, ends in.
pub(super) fn no_input(file_id: &str) -> BatchError {
    let message = format!("Cannot find file {file_id}, or organization org-sandbox does not have access to it.");
    error("invalid_request", message, Some("file_id"))
}

/// What a create on a file with the status `error` ends in.
pub(super) fn broken_input(file_id: &str) -> BatchError {
    error("invalid_request", format!("File {file_id} could not be processed."), Some("file_id"))
}

fn error(code: &str, message: impl Into<String>, param: Option<&str>) -> BatchError {
    let (code, message) = (Some(code.to_owned()), Some(message.into()));
    BatchError { code, message, param: param.map(str::to_owned), line: None }
}

pub(super) fn too_many(message: String) -> BatchError {
    error("too_many_tasks", message, None)
}

struct Check<'a> {
    endpoint: &'a str,
    manners: Manners,
    ids: HashSet<String>,
    /// Inputs of all embedding requests.
    inputs: usize,
    found: Checked,
}

impl Check<'_> {
    fn line(&mut self, number: u64, line: &[u8], span: Range<usize>) {
        let mut errors = Vec::new();
        let parsed = serde_json::from_slice(line).ok().filter(Value::is_object);
        let custom_id = parsed.as_ref().and_then(|request| text(request, "custom_id")).unwrap_or_default().to_owned();
        match &parsed {
            None => errors.push(error("invalid_json_line", "This line is not parseable as valid JSON.", None)),
            Some(request) => {
                self.envelope(request, &mut errors);
                self.body(&request["body"], &mut errors);
            }
        }
        if !custom_id.is_empty() && !self.ids.insert(custom_id.clone()) {
            let message = "The custom_id for this request is a duplicate of another request. The custom_id parameter \
                           must be unique for each request in a batch.";
            errors.push(error("duplicate_custom_id", message, Some("custom_id")));
        }
        self.found.errors.extend(errors.into_iter().map(|error| BatchError { line: Some(number), ..error }));
        self.found.rows.push(Row { custom_id, span, wrong: None });
    }

    fn envelope(&self, request: &Value, errors: &mut Vec<BatchError>) {
        let is_addressed = |name: &&str| self.manners == Manners::Strict || !matches!(*name, "method" | "url");
        for name in ["custom_id", "method", "url", "body"].into_iter().filter(is_addressed) {
            let (expected, fits) = match name {
                "body" => ("an object", request[name].is_object()),
                _ => ("a string", request[name].is_string()),
            };
            if request[name].is_null() || request[name] == "" {
                errors.push(missing(name));
            } else if !fits {
                let message = format!("Invalid type for '{name}': expected {expected}.");
                errors.push(error("invalid_type", message, Some(name)));
            }
        }
        if text(request, "method").is_some_and(|method| !method.is_empty() && method != "POST") {
            errors.push(error("invalid_request", "Invalid method: only 'POST' is supported.", Some("method")));
        }
        let is_other = text(request, "url").is_some_and(|url| !url.is_empty() && url != self.endpoint);
        if is_other && self.manners == Manners::Strict {
            let message = "The URL provided for this request does not match the batch endpoint.";
            errors.push(error("invalid_url", message, Some("url")));
        }
    }

    fn body(&mut self, body: &Value, errors: &mut Vec<BatchError>) {
        if !body.is_object() {
            return;
        }
        self.model(body, errors);
        if self.endpoint == "/v1/chat/completions" && body["messages"].as_array().is_none_or(Vec::is_empty) {
            errors.push(error("invalid_request", "Messages parameter is required.", Some("body.messages")));
        }
        if body["stream"] == true {
            let product = if self.endpoint == "/v1/responses" { "Responses" } else { "Chat Completions" };
            let message = format!("{product}: Streaming is not supported in the Batch API.");
            errors.push(error("streaming_unsupported", message, Some("body.stream")));
        }
        if self.endpoint == "/v1/embeddings" {
            // An array of numbers is one input, in tokens.
            let several = body["input"].as_array().filter(|inputs| !inputs.iter().all(Value::is_number));
            self.inputs += several.map_or(1, Vec::len);
        }
    }

    fn model(&mut self, body: &Value, errors: &mut Vec<BatchError>) {
        let model = text(body, "model").unwrap_or_default();
        let optional = match self.endpoint {
            "/v1/responses" => body["prompt"].is_object(),
            "/v1/videos" | "/v1/moderations" => true,
            endpoint => endpoint.starts_with("/v1/images"),
        };
        match &self.found.model {
            _ if model.is_empty() && optional => {}
            _ if model.is_empty() => {
                errors.push(error("invalid_request", "Model parameter is required.", Some("body.model")));
            }
            None => self.found.model = Some(model.to_owned()),
            Some(first) if first != model => {
                let message = format!(
                    "The model '{model}' does not match '{first}' of the first request. All requests in a batch must \
                     use the same model."
                );
                errors.push(error("mismatched_model", message, Some("body.model")));
            }
            Some(_) => {}
        }
    }

    fn finish(mut self) -> Checked {
        if self.found.rows.is_empty() {
            self.found.errors.push(error("empty_file", "The batch input file is empty.", None));
        }
        if self.inputs > MOST {
            let message = format!("The batch input file has more than {MOST} embedding inputs.");
            self.found.errors.push(too_many(message));
        }
        if !self.found.errors.is_empty() {
            self.found.rows.clear();
        }
        self.found
    }
}

fn missing(name: &str) -> BatchError {
    error("missing_required_parameter", format!("Missing required parameter: '{name}'."), Some(name))
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::{MOST, Manners};

    fn validate(content: &[u8], endpoint: &str) -> super::Checked {
        super::validate(content, endpoint, Manners::Strict)
    }

    const CHAT: &str = "/v1/chat/completions";

    fn line(id: &str, model: &str, more: &str) -> String {
        let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
        format!(
            r#"{{"custom_id":"{id}","method":"POST","url":"{CHAT}","body":{{"model":"{model}",{messages}{more}}}}}"#
        )
    }

    fn found(content: &str, endpoint: &str) -> Vec<(u64, String, String)> {
        let errors = validate(content.as_bytes(), endpoint).errors.into_iter();
        errors.map(|e| (e.line.unwrap_or(0), e.code.unwrap(), e.param.unwrap_or_default())).collect()
    }

    fn told(expected: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
        expected.iter().map(|(line, code, param)| (*line, (*code).to_owned(), (*param).to_owned())).collect()
    }

    #[test]
    fn a_good_file_gives_its_rows_with_or_without_a_last_line_end() {
        let content = format!("{}\r\n{}", line("a", "m", ""), line("b\u{2028}c", "m", ""));
        let checked = validate(content.as_bytes(), CHAT);
        assert!(checked.errors.is_empty(), "{:?}", checked.errors);
        assert_eq!(checked.model.as_deref(), Some("m"));
        assert_eq!(checked.rows[1].custom_id, "b\u{2028}c");
        assert_eq!(&content[checked.rows[1].span.clone()], line("b\u{2028}c", "m", ""));
        assert_eq!(validate(format!("{content}\n").as_bytes(), CHAT).rows.len(), 2);
    }

    #[test]
    fn every_faulty_line_is_reported_with_its_number() {
        let good = line("a", "m", "");
        let other_url = line("e", "m", "").replace(CHAT, "/v1/embeddings");
        let content = [
            good.as_str(),
            "not json",
            r#"{"method":"POST"}"#,
            &line("b", "", ""),
            &line("a", "m", ""),
            &line("c", "n", ""),
            &line("d", "m", r#","stream":true"#),
            &other_url,
            &line("f", "m", "").replace("messages", "massages"),
            "",
            &line("g", "m", "").replace("POST", "GET").replace(r#""g""#, "7"),
        ]
        .join("\n");
        assert_eq!(
            found(&content, CHAT),
            told(&[
                (2, "invalid_json_line", ""),
                (3, "missing_required_parameter", "custom_id"),
                (3, "missing_required_parameter", "url"),
                (3, "missing_required_parameter", "body"),
                (4, "invalid_request", "body.model"),
                (5, "duplicate_custom_id", "custom_id"),
                (6, "mismatched_model", "body.model"),
                (7, "streaming_unsupported", "body.stream"),
                (8, "invalid_url", "url"),
                (9, "invalid_request", "body.messages"),
                (10, "invalid_json_line", ""),
                (11, "invalid_type", "custom_id"),
                (11, "invalid_request", "method"),
            ])
        );
        assert!(validate(content.as_bytes(), CHAT).rows.is_empty());
    }

    #[test]
    fn a_file_can_be_empty_or_too_long() {
        assert_eq!(found("", CHAT), told(&[(0, "empty_file", "")]));
        let lines: Vec<String> = (0..=MOST).map(|i| line(&i.to_string(), "m", "")).collect();
        assert_eq!(found(&lines.join("\n"), CHAT), told(&[(0, "too_many_tasks", "")]));
        assert!(found(&lines[1..].join("\n"), CHAT).is_empty());
    }

    #[test]
    fn embedding_inputs_are_summed() {
        let line = |id: &str, input: &str| {
            format!(
                r#"{{"custom_id":"{id}","method":"POST","url":"/v1/embeddings","body":{{"model":"m","input":{input}}}}}"#
            )
        };
        let many = format!("[{}\"x\"]", "\"x\",".repeat(MOST - 2));
        let tokens = format!("[{}1]", "1,".repeat(MOST));
        let content = [line("a", &many), line("b", &tokens)].join("\n");
        assert!(found(&content, "/v1/embeddings").is_empty());
        let content = [content, line("c", "\"x\"")].join("\n");
        assert_eq!(found(&content, "/v1/embeddings"), told(&[(0, "too_many_tasks", "")]));
    }

    #[test]
    fn the_model_is_optional_where_the_endpoint_has_a_default() {
        let line = r#"{"custom_id":"a","method":"POST","url":"/v1/moderations","body":{"input":"hi"}}"#;
        assert!(found(line, "/v1/moderations").is_empty());
        let prompt = r#"{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"prompt":{"id":"p"}}}"#;
        assert!(found(prompt, "/v1/responses").is_empty());
        assert_eq!(found(&prompt.replace("prompt", "input"), "/v1/responses").len(), 1);
    }

    #[test]
    fn a_lenient_server_goes_by_the_batchs_endpoint() {
        let bare = r#"{"custom_id":"b","body":{"model":"m","messages":[1]}}"#;
        let other = line("c", "m", "").replace(CHAT, "/v1/responses");
        let content = [line("a", "m", "").as_str(), bare, &other].join("\n");
        assert_eq!(validate(content.as_bytes(), CHAT).errors.len(), 3);
        assert!(super::validate(content.as_bytes(), CHAT, Manners::Lenient).errors.is_empty());
    }
}
