//! What `answers.jsonl` and `answers.csv` say of a request.

use serde::Serialize;

use super::{RESULTS_JSONL, Row};
use crate::dialects::{Suspicion, Tokens};
use crate::error::Error;
use crate::usd::Usd;

/// A line of these files.
#[derive(Debug, Serialize)]
pub(super) struct SummaryLine<'a> {
    /// The request's `custom_id`.
    pub(super) custom_id: &'a str,
    /// `succeeded`, `failed` or `missing`.
    pub(super) outcome: &'static str,
    /// Why there is no answer: the provider's code, or one of ours.
    pub(super) code: Option<&'a str>,
    /// Why the answer is not to be relied on.
    pub(super) suspect: Option<&'static str>,
    /// What the model wrote.
    pub(super) answer: Option<&'a str>,
    /// Where to find the whole line if there is no text.
    pub(super) reference: Option<Reference>,
    /// Why the model stopped.
    pub(super) finish_reason: Option<&'a str>,
    /// The model that answered.
    pub(super) model: Option<&'a str>,
    /// What it used; none without a line of the provider's.
    pub(super) tokens: Option<Tokens>,
    /// What it cost this run; none where that is not known.
    pub(super) cost_usd: Option<Usd>,
}

/// A part of a file beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reference {
    /// Its name.
    pub(super) file: &'static str,
    /// Where the part begins, in bytes.
    pub(super) offset: u64,
    /// How long it is, in bytes.
    pub(super) length: u64,
}

impl<'a> SummaryLine<'a> {
    /// What the files say of a row. Reads its answer.
    ///
    /// # Errors
    /// Ends in exit 1 if the answer cannot be read.
    pub(super) fn of(row: &'a Row<'_>) -> Result<Self, Error> {
        let content = row.content();
        let answer = content.text.as_deref();
        let reference = Reference { file: RESULTS_JSONL, offset: row.offset, length: row.length() };
        Ok(Self {
            custom_id: row.custom_id()?,
            outcome: row.outcome.word(),
            code: row.outcome.failed().map(|failed| failed.code.as_str()),
            suspect: row.suspicion.map(Suspicion::word),
            answer,
            reference: answer.is_none().then_some(reference),
            finish_reason: content.finish_reason.as_deref(),
            model: row.model()?,
            tokens: if row.file.is_some() { Some(row.tokens()?) } else { None },
            cost_usd: row.cost()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::super::testing::Files;
    use crate::dialects::{Name, choose};
    use crate::requests::source::testing::source;
    use crate::requests::testing::{chat, rules};
    use crate::results::{AnswersFile, Policy, Requests, reconcile};
    use crate::values::{AnswerFiles, RetryOn};

    /// A success with this text, which is JSON.
    fn text(id: &str, content: &str) -> String {
        let message = format!(r#"{{"message":{{"content":{content}}},"finish_reason":"stop"}}"#);
        let usage = r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}"#;
        let body = format!(r#"{{"model":"@gpt","choices":[{message}],"usage":{usage}}}"#);
        format!(r#"{{"custom_id":{id},"response":{{"status_code":200,"body":{body}}},"error":null}}"#)
    }

    /// The files made of these answers, by name.
    fn written(ids: &[&str], answers: &[u8]) -> (Files, String, String) {
        let lines: Vec<String> = ids.iter().map(|id| chat(id)).collect();
        let (source, dir) = source(&[("requests.jsonl", lines.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        assert_eq!(checked.fault_count, 0);
        let path = dir.path().join("answers");
        std::fs::write(&path, answers).unwrap();
        let endpoint = Some("/v1/chat/completions".to_owned());
        let batch_id = "batch_1".to_owned();
        let file =
            AnswersFile { path, what: "output", attempt: 1, batch: 0, batch_id, endpoint, ..AnswersFile::default() };
        let dialect = choose(Name::Openai).dialect;
        let retry_on = RetryOn::default();
        let policy = Policy::usual(dialect.answers(), &retry_on);
        let requests =
            Requests { source: &source, ids: &checked.ids, total: checked.total, is_structured: checked.is_structured };
        let files = Files::default();
        let sinks = all(AnswerFiles::Write, |name| Ok(files.open(name))).unwrap();
        let results = reconcile(requests, &[file], &policy, sinks).unwrap();
        let names = (results.files.answers.as_deref(), results.files.answers_csv.as_deref());
        assert_eq!(names, (Some("answers.jsonl"), Some("answers.csv")));
        let read = |name| String::from_utf8(files.read(name)).unwrap();
        let (jsonl, csv) = (read("answers.jsonl"), read("answers.csv"));
        (files, jsonl, csv)
    }

    #[test]
    fn hostile_answers_are_text_in_both_files() {
        let ids = ["plain", "=id", "formula", "control", "lone", "command", "quotes", "tools", "refused", "missing"];
        let lines = [
            text("\"plain\"", r#""Bonjour, é""#),
            text("\"=id\"", r#""x""#),
            text("\"formula\"", r#""\t=HYPERLINK(\"http://x\")""#),
            text("\"control\"", r#""a\u0000b\u001b[2Jc\u202ed""#),
            text("\"lone\"", r#""a\ud800b""#),
            text("\"command\"", r###""##[error]x\n::error::y\r\n##vso[z]""###),
            text("\"quotes\"", r#""a,\"b\"\nc""#),
            text("\"tools\"", "null"),
            r#"{"custom_id":"refused","response":{"status_code":400,"body":{"error":{"code":"-bad","message":"no"}}}}"#
                .to_owned(),
        ];
        let (files, jsonl, csv) = written(&ids, lines.join("\n").as_bytes());
        insta::assert_snapshot!("answers.jsonl", jsonl);
        // The line ends are CR LF, which a snapshot does not keep.
        insta::assert_snapshot!("answers.csv", csv.replace('\r', "␍"));

        for line in jsonl.lines() {
            crate::inert_json::testing::is_inert(line);
            assert!(!line.contains("##"), "{line}");
        }
        let results = files.read("results.jsonl");
        let referred: Vec<serde_json::Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in referred.iter().filter(|line| !line["reference"].is_null()) {
            let number = |name: &str| line["reference"][name].as_u64().unwrap() as usize;
            let part = &results[number("offset")..number("offset") + number("length")];
            let whole: serde_json::Value = serde_json::from_slice(part).unwrap();
            assert_eq!(whole["custom_id"], line["custom_id"]);
        }
    }
}
