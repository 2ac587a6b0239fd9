//! One line of a provider's output or error file, and how it answers.
//!
//! Success is what nobody can doubt: status 200, no error anywhere, and an
//! answer in it. Everything else is a failure, and `failure.rs` says which.
//! What can be read as JSON is skimmed. A line that cannot is read as far as it
//! goes, since it is still the answer of the request that it names.

use std::borrow::Cow;
use std::io::{self, Read};

use serde::de::MapAccess;
use serde_json::Value;

use super::lenient::{self, End};
use super::shape::Shape;
use crate::dialects::openai::error::embedded;
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};
use crate::report::Tokens;
use crate::requests::lines::LONGEST_ANSWER;

/// How many bytes of strings are kept of a line that is too long to hold.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// How a line answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// With an answer.
    Success,
    /// With a success that holds none.
    Empty,
    /// With an error, or a status other than 200.
    #[default]
    Failure,
    /// In a way that cannot be read: neither a whole answer, nor a status, nor an error.
    Unreadable,
}

/// How much of a line could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    /// All of it: it is JSON.
    #[default]
    Whole,
    /// What is not damaged.
    InPart,
}

/// An answer, as far as it is looked into.
#[derive(Debug, Default)]
pub(super) struct Answer<'de> {
    /// The request it answers, by its decoded id.
    pub(super) custom_id: Option<Cow<'de, str>>,
    /// How.
    pub(super) kind: Kind,
    /// How much of it could be read.
    pub(super) reading: Reading,
    /// The status that the response has.
    pub(super) status: Option<u16>,
    /// The tokens it says were used.
    pub(super) tokens: Tokens,
}

#[derive(Debug, Default)]
struct Row<'de> {
    custom_id: Seen<'de>,
    response: Loose<'de, Response<'de>>,
    error: Seen<'de>,
}

#[derive(Debug, Default)]
struct Response<'de> {
    status_code: Seen<'de>,
    body: Loose<'de, Body<'de>>,
    error: Seen<'de>,
}

#[derive(Debug, Default)]
struct Body<'de> {
    members: u32,
    /// `type`, `object` and `status` say what the body is.
    kind: Seen<'de>,
    object: Seen<'de>,
    status: Seen<'de>,
    error: Seen<'de>,
    choices: Seen<'de>,
    output: Seen<'de>,
    data: Seen<'de>,
    results: Seen<'de>,
    /// Why the model said no more.
    reason: Seen<'de>,
    /// Azure's filters, which are there whether they found something or not.
    filters: Seen<'de>,
    usage: Loose<'de, Usage<'de>>,
}

#[derive(Debug, Default)]
struct Usage<'de> {
    input: Seen<'de>,
    output: Seen<'de>,
    input_details: Loose<'de, Details<'de>>,
    output_details: Loose<'de, Details<'de>>,
}

#[derive(Debug, Default)]
struct Details<'de> {
    cached: Seen<'de>,
    reasoning: Seen<'de>,
}

impl<'de> Fields<'de> for Row<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "custom_id" => self.custom_id = map.next_value()?,
            "response" => map.next_value_seed(Fill(&mut self.response))?,
            "error" => self.error = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Response<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "status_code" => self.status_code = map.next_value()?,
            "body" => map.next_value_seed(Fill(&mut self.body))?,
            "error" => self.error = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.members += 1;
        let field = match key {
            "usage" => return map.next_value_seed(Fill(&mut self.usage)),
            "error" => &mut self.error,
            "type" => &mut self.kind,
            "object" => &mut self.object,
            "status" => &mut self.status,
            "choices" => &mut self.choices,
            "output" => &mut self.output,
            "data" => &mut self.data,
            "results" => &mut self.results,
            "prompt_filter_results" | "content_filter_results" => &mut self.filters,
            "incomplete_details" | "refusal" | "prompt_feedback" | "promptFeedback" | "block_reason" => {
                let seen: Seen<'de> = map.next_value()?;
                if !is_nothing(&seen) {
                    self.reason = seen;
                }
                return Ok(());
            }
            _ => return skip(map),
        };
        *field = map.next_value()?;
        Ok(())
    }
}

impl<'de> Fields<'de> for Usage<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "input_tokens" | "prompt_tokens" => self.input = map.next_value()?,
            "output_tokens" | "completion_tokens" => self.output = map.next_value()?,
            "input_tokens_details" | "prompt_tokens_details" => map.next_value_seed(Fill(&mut self.input_details))?,
            "output_tokens_details" | "completion_tokens_details" => {
                map.next_value_seed(Fill(&mut self.output_details))?;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Details<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "cached_tokens" => self.cached = map.next_value()?,
            "reasoning_tokens" => self.reasoning = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

/// What a body comes to.
enum Content {
    Answer,
    Nothing,
    Error,
}

impl<'de> Answer<'de> {
    /// Reads a line that answers a request to an endpoint of this shape.
    pub(super) fn read(line: &'de [u8], shape: Shape) -> Self {
        let mut row = Loose::<Row<'_>>::default();
        let text = std::str::from_utf8(line).ok().map(|text| text.trim_start_matches('\u{feff}'));
        if text.is_some_and(|text| fast::fill(text, &mut row).is_ok()) {
            return Self::of(row, shape, Reading::Whole, End::Closed, || filters(line));
        }
        row = Loose::default();
        // A slice can always be read.
        let end = lenient::fill(without_mark(line), LONGEST_ANSWER, &mut row).unwrap_or(End::CutOff);
        Self::of(row, shape, Reading::InPart, end, || filters(line))
    }

    /// Reads a line that is too long to hold.
    pub(super) fn scan(line: impl Read, shape: Shape) -> io::Result<Self> {
        let mut row = Loose::<Row<'_>>::default();
        let end = lenient::fill(line, MOST_TEXT, &mut row)?;
        let reading = if end == End::Closed { Reading::Whole } else { Reading::InPart };
        Ok(Self::of(row, shape, reading, end, || false))
    }

    /// `is_filtered` is asked only where that decides.
    fn of(
        row: Loose<'de, Row<'de>>,
        shape: Shape,
        reading: Reading,
        end: End,
        is_filtered: impl FnOnce() -> bool,
    ) -> Self {
        if row.seen != Seen::Object {
            return Self { reading, ..Self::default() };
        }
        let Row { custom_id, response, error } = row.fields;
        let response = response.fields;
        let status = status(&response.status_code);
        let (content, tokens) = judge(&response.body, shape, is_filtered);
        let is_error = !is_nothing(&error) || !is_nothing(&response.error) || matches!(content, Content::Error);
        let kind = match (status, is_error, end, content) {
            (_, true, ..) => Kind::Failure,
            (Some(200), false, End::CutOff, _) => Kind::Unreadable,
            (Some(200), false, _, Content::Answer) => Kind::Success,
            (Some(200), false, ..) => Kind::Empty,
            (Some(_), ..) => Kind::Failure,
            (None, ..) if reading == Reading::InPart => Kind::Unreadable,
            (None, ..) => Kind::Failure,
        };
        let custom_id = if let Seen::Text(id) = custom_id { Some(id) } else { None };
        Self { custom_id, kind, reading, status, tokens }
    }
}

/// The bytes without a byte order mark.
pub(super) fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
}

/// What a body comes to, and the tokens it says were used. Some servers write it as a JSON string.
fn judge(body: &Loose<'_, Body<'_>>, shape: Shape, is_filtered: impl FnOnce() -> bool) -> (Content, Tokens) {
    let Seen::Text(text) = &body.seen else { return (body.content(shape, is_filtered), body.tokens()) };
    let text = text.trim();
    let mut inner = Loose::<Body<'_>>::default();
    if text.is_empty() || text == "null" {
        return (Content::Nothing, Tokens::default());
    }
    if text.starts_with(['{', '[']) && fast::fill(text, &mut inner).is_err() {
        inner = Loose::default();
        let end = lenient::fill(text.as_bytes(), LONGEST_ANSWER, &mut inner);
        if !end.is_ok_and(|end| end != End::CutOff) || inner.seen == Seen::Object && inner.fields.members == 0 {
            // Prose that only begins like JSON.
            inner = Loose::default();
        }
    }
    let is_filtered = || embedded(text).is_some_and(|value| is_any_filtered(&value, 0));
    match inner.seen {
        // A text that is no JSON is an answer in itself.
        Seen::Absent => (Content::Answer, Tokens::default()),
        _ => (inner.content(shape, is_filtered), inner.tokens()),
    }
}

impl Loose<'_, Body<'_>> {
    fn content(&self, shape: Shape, is_filtered: impl FnOnce() -> bool) -> Content {
        match self.seen {
            Seen::Absent | Seen::Null | Seen::Array { len: 0, .. } => Content::Nothing,
            Seen::Object => self.fields.content(shape, is_filtered),
            _ => Content::Answer,
        }
    }

    fn tokens(&self) -> Tokens {
        let usage = &self.fields.usage.fields;
        Tokens {
            input: tokens(&usage.input),
            cached: tokens(&usage.input_details.fields.cached),
            output: tokens(&usage.output),
            reasoning: tokens(&usage.output_details.fields.reasoning),
        }
    }
}

impl Body<'_> {
    fn content(&self, shape: Shape, is_filtered: impl FnOnce() -> bool) -> Content {
        // Mistral and Anthropic call a whole body an error.
        let says_error = |seen: &Seen<'_>| seen.text() == Some("error");
        if !is_nothing(&self.error) || says_error(&self.object) || says_error(&self.kind) {
            return Content::Error;
        }
        let own = self.object.text().map(Shape::of_object).unwrap_or_default();
        let list = match own.or(shape) {
            Shape::Choices => &self.choices,
            Shape::Output => &self.output,
            Shape::Data => &self.data,
            Shape::Results => &self.results,
            Shape::Unknown if self.members > 0 => return Content::Answer,
            Shape::Unknown => return Content::Nothing,
        };
        let is_given = !matches!(list, Seen::Absent | Seen::Null | Seen::Array { len: 0, .. }) && !is_nothing(list);
        let has_reason = !is_nothing(&self.reason) || self.status.text() == Some("incomplete");
        if is_given || has_reason || !is_nothing(&self.filters) && is_filtered() {
            return Content::Answer;
        }
        Content::Nothing
    }
}

/// Whether a line's filters found something.
fn filters(line: &[u8]) -> bool {
    lenient::value(without_mark(line)).is_ok_and(|value| is_any_filtered(&value, 0))
}

fn is_any_filtered(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(members) if depth < 32 => members.iter().any(|(name, value)| {
            name == "filtered" && *value == Value::Bool(true) || is_any_filtered(value, depth + 1)
        }),
        Value::Array(all) if depth < 32 => all.iter().any(|value| is_any_filtered(value, depth + 1)),
        _ => false,
    }
}

/// Whether there is no value, or a blank text.
fn is_nothing(seen: &Seen<'_>) -> bool {
    seen.is_nothing() || seen.text().is_some_and(|text| text.trim().is_empty())
}

/// A status is a small whole number, however it is written.
fn status(seen: &Seen<'_>) -> Option<u16> {
    let status = seen.number()?;
    (0.0..=999.0).contains(&status).then_some(status as u16)
}

/// A count of tokens; what is no count counts nothing.
fn tokens(seen: &Seen<'_>) -> u64 {
    // The cast saturates, so that no number a provider can write overflows.
    seen.number().map_or(0, |number| number as u64)
}

#[cfg(test)]
mod tests {
    use super::{Answer, Kind, Reading, Shape};

    fn kind(line: impl AsRef<[u8]>, shape: Shape) -> Kind {
        let answer = Answer::read(line.as_ref(), shape);
        let scanned = Answer::scan(line.as_ref(), shape).unwrap();
        assert_eq!((answer.kind, &answer.custom_id, answer.tokens), (scanned.kind, &scanned.custom_id, scanned.tokens));
        answer.kind
    }

    fn with_body(body: &str, shape: Shape) -> Kind {
        kind(format!(r#"{{"custom_id":"a","response":{{"status_code":200,"body":{body}}},"error":null}}"#), shape)
    }

    #[test]
    fn success_is_status_200_and_no_error_anywhere() {
        for good in [
            r#"{"response":{"status_code":200,"body":{"id":"x","error":null}},"error":null}"#,
            r#"{"response":{"status_code":200.0,"body":{"id":"x","error":""}}}"#,
            r#"{"response":{"status_code":"200","body":"text"}}"#,
        ] {
            assert_eq!(kind(good, Shape::Unknown), Kind::Success, "{good}");
        }
        for bad in [
            r#"{"response":{"status_code":0,"body":{"a":1}},"error":null}"#,
            r#"{"response":{"status_code":201,"body":{"a":1}},"error":null}"#,
            r#"{"response":{"status_code":200.5e9,"body":{"a":1}},"error":null}"#,
            r#"{"response":{"status_code":200,"body":{"a":1}},"error":"no"}"#,
            r#"{"response":{"status_code":200,"body":{"a":1},"error":{"message":"no"}}}"#,
            r#"{"response":{"status_code":200,"body":{"error":{}}}}"#,
            r#"{"response":{"status_code":200,"body":{"object":"error","message":"no"}}}"#,
            r#"{"response":{"status_code":200,"body":{"type":"error"}}}"#,
            r#"{"response":{"status_code":200,"body":"{\"error\":{\"message\":\"no\"}}"}}"#,
            r#"{"response":{"body":{"a":1}}}"#,
            r#"{"response":[200]}"#,
            r#"{}"#,
        ] {
            assert_eq!(kind(bad, Shape::Unknown), Kind::Failure, "{bad}");
        }
    }

    #[test]
    fn a_success_holds_an_answer() {
        for empty in ["{}", "null", "[]", r#""""#, r#"" \n""#, r#""{}""#, r#""null""#, r#""[]""#] {
            assert_eq!(with_body(empty, Shape::Unknown), Kind::Empty, "{empty}");
        }
        assert_eq!(kind(r#"{"response":{"status_code":200}}"#, Shape::Unknown), Kind::Empty);
        for answer in
            [r#"{"id":"c"}"#, "[1]", "0", "false", r#""text""#, r#""{text""#, r#""{text}""#, r#"{"choices":[]}"#]
        {
            assert_eq!(with_body(answer, Shape::Unknown), Kind::Success, "{answer}");
        }
        for (list, shape) in
            [("choices", Shape::Choices), ("output", Shape::Output), ("data", Shape::Data), ("results", Shape::Results)]
        {
            let body = |value: &str| format!(r#"{{"id":"x","{list}":{value},"usage":null}}"#);
            for empty in [r#"{"id":"x"}"#, &body("[]"), &body("null")] {
                assert_eq!(with_body(empty, shape), Kind::Empty, "{empty}");
                let text = serde_json::to_string(empty).unwrap();
                assert_eq!(with_body(&text, shape), Kind::Empty, "{text}");
            }
            assert_eq!(with_body(&body(r#"[{"a":null}]"#), shape), Kind::Success);
        }
    }

    #[test]
    fn a_body_that_says_what_it_is_is_judged_by_that() {
        for (body, expected) in [
            (r#"{"object":"chat.completion","choices":[]}"#, Kind::Empty),
            (r#"{"object":"response","output":[]}"#, Kind::Empty),
            (r#"{"object":"response","output":[],"status":"incomplete"}"#, Kind::Success),
            (r#"{"object":"response","output":[],"incomplete_details":{"reason":"content_filter"}}"#, Kind::Success),
            (r#"{"object":"list","data":[{}]}"#, Kind::Success),
        ] {
            assert_eq!(with_body(body, Shape::Unknown), expected, "{body}");
            assert_eq!(with_body(body, Shape::Results), expected, "{body}");
        }
        let azure = |filtered| {
            format!(
                r#"{{"choices":[],"prompt_filter_results":[{{"content_filter_results":{{"hate":{{"filtered":{filtered}}}}}}}]}}"#
            )
        };
        let read = |line: String| Answer::read(line.as_bytes(), Shape::Choices).kind;
        let line = |body: String| format!(r#"{{"response":{{"status_code":200,"body":{body}}}}}"#);
        assert_eq!(read(line(azure("true"))), Kind::Success);
        assert_eq!(read(line(azure("false"))), Kind::Empty);
    }

    #[test]
    fn what_can_be_read_of_a_damaged_line_counts() {
        let good = r#"{"custom_id":"a","response":{"status_code":200,"body":{"choices":[@]}},"error":null}"#;
        for damage in [&b"NaN"[..], b"-Infinity", b"{\"logprob\": Infinity}", b"\"\x01\"", b"\"\xff\"", b"None"] {
            let (before, after) = good.split_once('@').unwrap();
            let line = [before.as_bytes(), damage, after.as_bytes()].concat();
            let answer = Answer::read(&line, Shape::Choices);
            let seen = (answer.custom_id.as_deref(), answer.kind, answer.reading);
            assert_eq!(seen, (Some("a"), Kind::Success, Reading::InPart), "{}", String::from_utf8_lossy(&line));
        }
        for (line, expected) in [
            (r#"{"custom_id":"a","response":{"status_code":NaN}}"#, Kind::Unreadable),
            (r#"{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{"mess"#, Kind::Unreadable),
            (r#"{"custom_id":"a","response":{"status_code":429,"body":{"choices":[{"mess"#, Kind::Failure),
            (r#"{"custom_id":"a","error":{"code":"batch_expired","message":"#, Kind::Failure),
            (r#"{"custom_id":"a","#, Kind::Unreadable),
        ] {
            assert_eq!(kind(line, Shape::Choices), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_object_names_nobody() {
        for line in [
            &b"[]"[..],
            b"{",
            b"null",
            b"{\"a\":\"\xff\"}",
            b"{} {}",
            b"<html>",
            b"{\"custom_id\":\"a",
            b"{\"custom_id\":7}",
        ] {
            assert_eq!(Answer::read(line, Shape::Unknown).custom_id, None, "{}", String::from_utf8_lossy(line));
        }
        assert_eq!(Answer::read("\u{feff}{\"custom_id\":\"a\"}".as_bytes(), Shape::Unknown).custom_id.unwrap(), "a");
    }

    #[test]
    fn tokens_have_two_spellings_and_may_stand_in_a_string() {
        for (input, output) in [("prompt", "completion"), ("input", "output")] {
            let body = format!(
                r#"{{"a":1,"usage":{{"{input}_tokens":9,"{output}_tokens":7.0,"{input}_tokens_details":{{"cached_tokens":5}},
                "{output}_tokens_details":{{"reasoning_tokens":"3"}}}}}}"#
            );
            for body in [&body, &serde_json::to_string(&body).unwrap()] {
                let line = format!(r#"{{"response":{{"status_code":200,"body":{body}}}}}"#).replace("\n", " ");
                let tokens = Answer::read(line.as_bytes(), Shape::Unknown).tokens;
                assert_eq!((tokens.input, tokens.cached, tokens.output, tokens.reasoning), (9, 5, 7, 3), "{line}");
            }
        }
        let odd =
            Answer::read(br#"{"response":{"body":{"usage":{"input_tokens":-4,"output_tokens":[]}}}}"#, Shape::Unknown);
        assert_eq!((odd.tokens.input, odd.tokens.output), (0, 0));
    }
}
