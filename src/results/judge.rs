//! Judges answers between reconciliation and the sinks: whether their texts fit the schemas that the requests name.
//!
//! If the check found a request that asks for structured output, the requests file is read again alongside the rows.
//! When an answer has several choices, only the first one's text is judged. A refusal or a tool call has no text to
//! judge, so it only counts as suspect.

use super::Requests;
use super::row::{Failed, Outcome, Retry, Row};
use super::unanswered::Policy;
use super::violations::Violations;
use crate::dialects::{Ran, ReadAnswers, Suspicion, Wanted};
use crate::error::Error;
use crate::judgement::{SchemaReport, Unusable};
use crate::requests::lines::{LONGEST_REQUEST, Lines};
use crate::requests::places::Places;
use crate::requests::source::{Reader, Source};
use crate::schemas::{Expected, Finding, Schemas, Violation};
use crate::text::counted;
use crate::values::SchemaMode;

/// The code of a request whose answer does not fit its schema.
pub(super) const VIOLATION: &str = "schema_violation";
/// What an answer has to fit whose request asks only for JSON.
const OBJECT: &str = r#"{"type":"object"}"#;
/// How many reasons for not checking an answer are kept.
const SHOWN: usize = 5;

/// Judges the rows of one reconciliation, one after another.
pub(super) struct Judge<'a> {
    expected: &'a Expected,
    retry: Retry,
    requests: Option<Asking<'a>>,
    schemas: Schemas,
    report: SchemaReport,
    violations: Violations,
}

/// The requests, read in step with the rows.
struct Asking<'a> {
    requests: Requests<'a>,
    reader: &'a dyn ReadAnswers,
    lines: Lines<Reader>,
    places: Places,
    part_end: u64,
    /// The number of the line that was read last, from 1.
    line: u64,
}

/// What is wanted of an answer.
enum Want<'s> {
    Nothing,
    Schema(&'s str),
    /// The request cannot be read as it was.
    Unknown,
}

impl<'a> Judge<'a> {
    /// A judge, if there is anything to judge by.
    pub(super) fn new(requests: Requests<'a>, policy: &Policy<'a>) -> Option<Self> {
        let expected = policy.expected?;
        let any_asks = requests.is_structured && !requests.source.parts.is_empty();
        if expected.mode == SchemaMode::Off || !any_asks && expected.answer_schema.is_none() {
            return None;
        }
        let retry = if policy.retry_on.covers_schema() { Retry::Worth } else { Retry::Not };
        let report = SchemaReport {
            mode: expected.mode,
            checked: 0,
            violations: 0,
            unchecked: 0,
            unusable: Vec::new(),
            groups: Vec::new(),
        };
        let asking = any_asks.then(|| Asking::new(requests, policy.reader));
        let (schemas, violations) = (Schemas::default(), Violations::default());
        Some(Self { expected, retry, requests: asking, schemas, report, violations })
    }

    /// Judges the next row.
    ///
    /// # Errors
    /// Ends in exit 1 if its line cannot be read.
    pub(super) fn row(&mut self, row: &mut Row<'_>) -> Result<(), Error> {
        let want = match &mut self.requests {
            Some(requests) => requests.next(row, self.expected.answer_schema.as_deref()),
            None => self.expected.answer_schema.as_deref().map_or(Want::Nothing, Want::Schema),
        };
        let has_no_text = matches!(row.suspicion, Some(Suspicion::Refusal | Suspicion::ToolCalls));
        if !matches!(row.outcome, Outcome::Succeeded) || has_no_text {
            return Ok(());
        }
        let finding = match (want, row.content().text.as_deref()) {
            (Want::Nothing, _) => return Ok(()),
            (Want::Unknown, _) => Finding::Unchecked("the requests changed since they were checked"),
            (Want::Schema(_), _) if row.is_too_long() => Finding::Unchecked("the answer is longer than 64 MiB"),
            (Want::Schema(schema), Some(text)) => self.schemas.check(schema, text),
            // What was cut off before it began is only suspect.
            (Want::Schema(_), None) if row.suspicion.is_some() => return Ok(()),
            (Want::Schema(_), None) => Finding::Violates(Violation::no_text()),
        };
        match finding {
            Finding::Fits => self.report.checked += 1,
            Finding::Violates(violation) => {
                self.report.checked += 1;
                self.violates(row, violation)?;
            }
            Finding::Unusable(why) => self.unchecked(why),
            Finding::Unchecked(why) => self.unchecked(why.to_owned()),
        }
        Ok(())
    }

    fn violates(&mut self, row: &mut Row<'_>, violation: Violation) -> Result<(), Error> {
        self.report.violations += 1;
        // One that is suspect, too, may be sent again for that.
        if self.retry == Retry::Worth {
            row.retry = Retry::Worth;
        }
        let custom_id = row.custom_id()?.to_owned();
        if self.expected.mode == SchemaMode::Check {
            let (code, message, like) = (VIOLATION.to_owned(), violation.sentence(), Some(violation.path.clone()));
            let failed = Failed {
                custom_id: custom_id.clone(),
                code,
                status: None,
                message,
                like,
                retry: row.retry,
                ran: Ran::Yes,
            };
            row.outcome = Outcome::Rejected(failed);
        }
        self.violations.add(violation, custom_id);
        Ok(())
    }

    fn unchecked(&mut self, message: String) {
        self.report.unchecked += 1;
        let is_known = |known: &Unusable| known.message == message;
        if self.report.unusable.len() < SHOWN && !self.report.unusable.iter().any(is_known) {
            let place = self.requests.as_ref().map(Asking::place);
            self.report.unusable.push(Unusable { place, message });
        }
    }

    /// What the user should know of it, a sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let SchemaReport { mode, checked, violations, unchecked, unusable, .. } = &self.report;
        let mut warnings = Vec::new();
        if *violations > 0 && *mode == SchemaMode::Warn {
            let verb = if *violations == 1 { "does" } else { "do" };
            warnings.push(format!(
                "{violations} of {} that were checked {verb} not fit their schema; the report groups them by path. With \
                 `schema: check` they count as failed.",
                counted(*checked, "answer", "answers")
            ));
        }
        if let Some(Unusable { place, message }) = unusable.first() {
            let answers = counted(*unchecked, "answer", "answers");
            let place = place.as_ref().map(|place| format!(" for `{place}`")).unwrap_or_default();
            warnings.push(format!("{answers} could not be checked with a schema. The first reason{place}: {message}."));
        }
        warnings
    }

    /// What was found of all rows.
    pub(super) fn finish(mut self) -> SchemaReport {
        self.report.groups = self.violations.sorted();
        self.report
    }
}

impl<'a> Asking<'a> {
    fn new(requests: Requests<'a>, reader: &'a dyn ReadAnswers) -> Self {
        let lines = Lines::new(requests.source.open(), LONGEST_REQUEST);
        Self { requests, reader, lines, places: Places::default(), part_end: 0, line: 0 }
    }

    /// What the request of the next row wants, or the schema that is given for requests that name none.
    fn next<'s>(&'s mut self, row: &Row<'_>, given: Option<&'s str>) -> Want<'s> {
        let source: &Source = self.requests.source;
        self.line = u64::from(row.index) + 1;
        let Ok(Some(line)) = self.lines.next() else { return Want::Unknown };
        while let Some(part) = source.parts.get(self.places.len()).filter(|_| line.offset >= self.part_end) {
            self.part_end += part.sent();
            self.places.push(&part.name, row.index.into());
        }
        if !matches!(row.outcome, Outcome::Succeeded) {
            return Want::Nothing;
        }
        let Some(text) = line.bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()) else { return Want::Unknown };
        let asked = self.reader.asked(text.trim_start_matches('\u{feff}'));
        let index = asked.custom_id.as_deref().and_then(|id| self.requests.ids.find(id));
        match (asked.form, given) {
            _ if index != Some(row.index) => Want::Unknown,
            (Wanted::Schema(schema), _) => Want::Schema(schema),
            (_, Some(given)) => Want::Schema(given),
            (Wanted::Json, None) => Want::Schema(OBJECT),
            (Wanted::Free, None) => Want::Nothing,
        }
    }

    /// The line that was read last: `requests.jsonl:12`.
    fn place(&self) -> String {
        self.places.name(self.line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Expected, VIOLATION};
    use crate::dialects::{Name, choose};
    use crate::error::Error;
    use crate::requests::source::testing::source;
    use crate::requests::testing::rules;
    use crate::results::sinks::all;
    use crate::results::sinks::testing::Files;
    use crate::results::{AnswersFile, Policy, Requests, Results, reconcile};
    use crate::values::{AnswerFiles, RetryOn, RetryWord, SchemaMode};

    const SCHEMA: &str = r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}"#;

    fn request(id: usize, format: &str) -> String {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}]{format}}}"#);
        format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
    }

    fn with_schema(schema: &str) -> String {
        format!(r#","response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}}"#)
    }

    fn answer(id: usize, text: &str, finish: &str) -> String {
        let message = serde_json::json!({"message": {"content": text}, "finish_reason": finish});
        let body = format!(r#"{{"object":"chat.completion","choices":[{message}]}}"#);
        format!(r#"{{"custom_id":"{id}","response":{{"status_code":200,"body":{body}}}}}"#)
    }

    /// What comes of these requests and the answers of each attempt.
    fn judged(
        requests: &[String],
        attempts: &[&[String]],
        expected: &Expected,
        retry_on: &RetryOn,
    ) -> (Results, Files) {
        let (source, dir) = source(&[("requests.jsonl", requests.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        assert_eq!(checked.fault_count, 0, "{:?}", checked.faults);
        let file = |(index, lines): (usize, &&[String])| {
            let path = dir.path().join(index.to_string());
            std::fs::write(&path, lines.join("\n")).unwrap();
            let (attempt, batch_id) = (index as u32 + 1, index.to_string());
            AnswersFile { path, what: "output", attempt, batch: index, batch_id, ..AnswersFile::default() }
        };
        let answers: Vec<AnswersFile> = attempts.iter().enumerate().map(file).collect();
        let policy =
            Policy { expected: Some(expected), ..Policy::usual(choose(Name::Openai).dialect.answers(), retry_on) };
        let (ids, total) = (&checked.ids, checked.total);
        let requests = Requests { source: &source, ids, total, is_structured: checked.is_structured };
        let files = Files::default();
        let sinks = all(AnswerFiles::Write, |name| Ok(files.open(name))).unwrap();
        let results: Result<Results, Error> = reconcile(requests, &answers, &policy, sinks);
        (results.unwrap(), files)
    }

    fn expected(mode: SchemaMode, answer_schema: Option<&str>) -> Expected {
        Expected { mode, answer_schema: answer_schema.map(Into::into) }
    }

    #[test]
    fn each_request_is_judged_by_its_own_schema() {
        let object = r#","response_format":{"type":"json_object"}"#;
        let requests = [
            request(0, &with_schema(SCHEMA)),
            request(1, &with_schema(r#"{"type":"string"}"#)),
            request(2, object),
            request(3, ""),
            request(4, &with_schema(r#"{"type":7}"#)),
        ];
        let texts = [r#"{"n":"x"}"#, "\"fine\"", "[1]", "prose", "{}"];
        let answers: Vec<String> = texts.iter().enumerate().map(|(id, text)| answer(id, text, "stop")).collect();
        let none = RetryOn::default();
        let (found, _) = judged(&requests, &[&answers], &expected(SchemaMode::Warn, None), &none);
        let schema = found.schema.unwrap();
        assert_eq!((schema.checked, schema.violations, schema.unchecked), (3, 2, 1));
        let paths: Vec<(&str, u64)> = schema.groups.iter().map(|group| (group.path.as_str(), group.count)).collect();
        assert_eq!(paths, [("", 1), ("n", 1)]);
        assert_eq!(schema.unusable[0].place.as_deref(), Some("requests.jsonl:5"));
        assert_eq!((found.counts.succeeded, found.counts.schema_violations, found.rejected), (5, 2, 0));
        assert!(found.warnings[0].starts_with("2 of 3 answers that were checked do not fit"), "{:?}", found.warnings);
        assert!(found.warnings[1].starts_with("1 answer could not be checked"), "{:?}", found.warnings);

        let (found, files) = judged(&requests, &[&answers], &expected(SchemaMode::Check, Some(SCHEMA)), &none);
        assert_eq!((found.counts.succeeded, found.counts.failed, found.counts.schema_violations), (2, 3, 3));
        let groups: Vec<(&str, u64)> =
            found.failures.iter().map(|group| (group.message.split(" the ").next().unwrap(), group.count)).collect();
        assert_eq!(groups, [("At", 2), ("At `n`", 1)]);
        assert!(found.failures.iter().all(|group| group.code == VIOLATION) && found.retryable.is_empty());
        assert_eq!(String::from_utf8(files.read("results.jsonl")).unwrap(), answers.join("\n") + "\n");
        let lines = String::from_utf8(files.read("answers.jsonl")).unwrap();
        let rejected = r#""outcome":"failed","code":"schema_violation","suspect":null,"answer":"{\"n\":\"x\"}""#;
        assert!(lines.contains(rejected), "{lines}");
        assert_eq!(found.usage.iter().map(|usage| (usage.succeeded, usage.failed)).collect::<Vec<_>>(), [(5, 0)]);

        let (off, _) = judged(&requests, &[&answers], &expected(SchemaMode::Off, None), &none);
        assert_eq!((off.schema, off.counts.succeeded), (None, 5));
        let (free, _) =
            judged(&requests[3..4], &[&[answer(3, "prose", "stop")]], &expected(SchemaMode::Check, None), &none);
        assert_eq!((free.schema, free.counts.succeeded), (None, 1));
    }

    #[test]
    fn an_answer_without_its_text_is_suspect_and_one_that_was_cut_does_not_fit() {
        let refusal = answer(0, "", "stop").replace(r#""content":"""#, r#""content":null,"refusal":"No.""#);
        let tools = answer(0, "", "tool_calls").replace(r#""content":"""#, r#""content":null"#);
        let nothing = answer(0, "", "stop").replace(r#""content":"""#, r#""content":null"#);
        for (answer, suspect, violations) in [
            (answer(0, r#"{"n":1}"#, "length"), 1, 0),
            (answer(0, r#"{"n":"#, "length"), 1, 1),
            (answer(0, "", "length"), 1, 0),
            (answer(0, "{}", "content_filter"), 1, 1),
            (refusal, 1, 0),
            (tools, 1, 0),
            (nothing, 0, 1),
        ] {
            let requests = [request(0, &with_schema(SCHEMA))];
            let expected = expected(SchemaMode::Check, None);
            let (found, _) = judged(&requests, &[std::slice::from_ref(&answer)], &expected, &RetryOn::default());
            let counts = found.counts;
            assert_eq!(
                (counts.suspect, counts.schema_violations, counts.failed),
                (suspect, violations, violations),
                "{answer}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_is_sent_again_and_the_newest_good_answer_counts() {
        let requests = [request(0, &with_schema(SCHEMA)), request(1, &with_schema(SCHEMA))];
        let (bad, good) = (answer(0, r#"{"n":"x"}"#, "stop"), answer(0, r#"{"n":1}"#, "stop"));
        let (other_bad, cut) = (answer(0, r#"{"n":"y"}"#, "stop"), answer(0, r#"{"n":"#, "length"));
        let fine = answer(1, r#"{"n":2}"#, "stop");
        let words = RetryOn(vec![RetryWord::Schema, RetryWord::Suspect]);
        for mode in [SchemaMode::Warn, SchemaMode::Check] {
            let run = |attempts: &[&[String]], retry_on: &RetryOn| {
                judged(&requests, attempts, &expected(mode, None), retry_on)
            };
            let first: &[String] = &[bad.clone(), fine.clone()];
            assert_eq!(run(&[first], &words).0.retryable, [0], "{mode:?}");
            assert!(run(&[first], &RetryOn::default()).0.retryable.is_empty());
            assert!(run(&[&[good.clone(), fine.clone()]], &words).0.retryable.is_empty());
            let suspect = RetryOn(vec![RetryWord::Suspect]);
            assert_eq!(run(&[&[answer(0, r#"{"n":1}"#, "length"), fine.clone()]], &suspect).0.retryable, [0]);
            let failure = r#"{"custom_id":"0","response":{"status_code":500,"body":{}}}"#.to_owned();
            for (second, kept, set_aside, retryable) in [
                (&good, &good, Some(&bad), vec![]),
                (&other_bad, &other_bad, Some(&bad), vec![0]),
                (&cut, &bad, Some(&cut), vec![0]),
                (&failure, &bad, None, vec![0]),
            ] {
                let (found, files) = run(&[first, std::slice::from_ref(second)], &words);
                let results = String::from_utf8(files.read("results.jsonl")).unwrap();
                assert_eq!((results, &found.retryable), (format!("{kept}\n{fine}\n"), &retryable), "{mode:?} {second}");
                let unexpected = String::from_utf8(files.read("unexpected.jsonl")).unwrap();
                assert_eq!(unexpected, set_aside.map(|line| format!("{line}\n")).unwrap_or_default());
            }
        }
    }

    #[test]
    fn requests_that_changed_are_not_judged_by() {
        let requests = [request(0, &with_schema(SCHEMA))];
        let (source, dir) = source(&[("requests.jsonl", requests[0].as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        let path = dir.path().join("answers");
        std::fs::write(&path, answer(0, "prose", "stop")).unwrap();
        std::fs::write(dir.path().join("requests.jsonl"), requests[0].replace("\"0\"", "\"1\"")).unwrap();
        let batch_id = "b".to_owned();
        let file = AnswersFile { path, what: "output", attempt: 1, batch: 0, batch_id, ..AnswersFile::default() };
        let (expected, retry_on) = (expected(SchemaMode::Check, None), RetryOn::default());
        let policy =
            Policy { expected: Some(&expected), ..Policy::usual(choose(Name::Openai).dialect.answers(), &retry_on) };
        let requests = Requests { source: &source, ids: &checked.ids, total: 1, is_structured: true };
        let files = Files::default();
        let sinks = all(AnswerFiles::Omit, |name| Ok(files.open(name))).unwrap();
        let found = reconcile(requests, &[file], &policy, sinks).unwrap();
        assert_eq!((found.counts.succeeded, found.schema.unwrap().unchecked), (1, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_counts_add_up(
            rows in prop::collection::vec((0usize..4, 0usize..5, any::<bool>(), any::<bool>()), 1..12),
            check in any::<bool>(),
            given in any::<bool>(),
        ) {
            let formats = [String::new(), with_schema(SCHEMA), with_schema("7"), with_schema("true")];
            let texts = [r#"{"n":1}"#, r#"{"n":"x"}"#, "{\"n\"", "", "7"];
            let requests: Vec<String> = rows.iter().enumerate().map(|(id, row)| request(id, &formats[row.0])).collect();
            let mut answers = Vec::new();
            for (id, (_, text, is_there, is_cut)) in rows.iter().enumerate() {
                let line = answer(id, texts[*text], if *is_cut { "length" } else { "stop" });
                answers.extend(is_there.then_some(line));
            }
            let mode = if check { SchemaMode::Check } else { SchemaMode::Warn };
            let expected = expected(mode, given.then_some(SCHEMA));
            let (found, files) = judged(&requests, &[&answers], &expected, &RetryOn::default());
            let counts = found.counts;
            prop_assert_eq!(counts.succeeded + counts.failed + counts.missing, counts.total);
            prop_assert_eq!(counts.total, rows.len() as u64);
            let failures = |code: &str| found.failures.iter().filter(|group| group.code == code).map(|group| group.count).sum::<u64>();
            prop_assert_eq!(failures(VIOLATION), if check { counts.schema_violations } else { 0 });
            prop_assert_eq!(found.failures.iter().map(|group| group.count).sum::<u64>(), counts.failed + counts.missing);
            prop_assert_eq!(found.suspects.iter().map(|group| group.count).sum::<u64>(), counts.suspect);
            let cut = rows.iter().filter(|(.., is_there, is_cut)| *is_there && *is_cut).count();
            prop_assert_eq!(counts.suspect, cut as u64);
            if let Some(schema) = &found.schema {
                prop_assert_eq!(schema.groups.iter().map(|group| group.count).sum::<u64>(), schema.violations);
                prop_assert!(schema.checked + schema.unchecked <= answers.len() as u64);
            }
            prop_assert_eq!(found.usage.iter().map(|usage| usage.succeeded).sum::<u64>(), answers.len() as u64);
            prop_assert_eq!(String::from_utf8(files.read("results.jsonl")).unwrap().lines().count(), rows.len());
        }
    }
}
