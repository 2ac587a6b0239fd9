//! One line of a batch's output or error file, as OpenAI and its compatible servers write it.
//!
//! A success is beyond doubt: status 200, no error anywhere, and an answer in it.
//! Everything else is a failure, and `failure.rs` says which. JSON is read with the
//! fast reader. A line that is not JSON is read as far as possible, since it is
//! still the answer of the request that it names.

mod body;
mod content;
mod failure;
mod shape;
mod suspicion;

use std::io::{self, Read};

use serde::de::MapAccess;
use serde_json::{Value, json};

use self::body::{Body, Judged, Verdict, filters, judge};
use self::shape::Shape;
use super::{row, structured};
use crate::dialects::{Answer, Asked, Content, Failure, Kind, ReadAnswers, Reading};
use crate::json::damaged::{self, End, without_mark};
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};

/// How many bytes of strings are kept of a line that is too long to hold.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// Reads answers in OpenAI's language.
pub(crate) struct OpenAiAnswers;

impl ReadAnswers for OpenAiAnswers {
    fn read<'de>(&self, line: &'de [u8], endpoint: Option<&str>) -> Answer<'de> {
        read(line, Shape::of(endpoint))
    }

    fn scan(&self, line: &mut dyn Read, endpoint: Option<&str>) -> io::Result<Answer<'static>> {
        scan(line, Shape::of(endpoint))
    }

    fn failure(&self, answer: &Answer<'_>, line: &Value) -> Failure {
        failure::of(answer, line)
    }

    fn content<'de>(&self, line: &'de [u8]) -> Content<'de> {
        content::read(line)
    }

    fn request_id(&self, line: &str) -> Option<String> {
        row::id(line)
    }

    fn asked<'l>(&self, line: &'l str) -> Asked<'l> {
        structured::asked(line)
    }

    fn absent(&self, custom_id: &str, code: &str, message: &str) -> String {
        let [id, code, message] = [custom_id, code, message].map(|text| json!(text));
        format!(r#"{{"custom_id":{id},"response":null,"error":{{"code":{code},"message":{message}}}}}"#)
    }
}

#[derive(Debug, Default)]
struct Line<'de> {
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

impl<'de> Fields<'de> for Line<'de> {
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

/// Reads a line that answers a request to an endpoint of this shape.
fn read(bytes: &[u8], shape: Shape) -> Answer<'_> {
    let mut line = Loose::<Line<'_>>::default();
    let text = std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}'));
    if text.is_some_and(|text| fast::fill(text, &mut line).is_ok()) {
        return answer(line, shape, Reading::Whole, End::Closed, || filters(bytes));
    }
    line = Loose::default();
    // Reading a slice cannot fail.
    let end = damaged::fill(without_mark(bytes), bytes.len(), &mut line).unwrap_or(End::CutOff);
    answer(line, shape, Reading::InPart, end, || filters(bytes))
}

/// Reads a line that is too long to hold.
fn scan(from: impl Read, shape: Shape) -> io::Result<Answer<'static>> {
    let mut line = Loose::<Line<'_>>::default();
    let end = damaged::fill(from, MOST_TEXT, &mut line)?;
    let reading = if end == End::Closed { Reading::Whole } else { Reading::InPart };
    Ok(answer(line, shape, reading, end, || false))
}

/// `is_filtered` is called only where it decides.
fn answer<'de>(
    mut line: Loose<'de, Line<'de>>,
    shape: Shape,
    reading: Reading,
    end: End,
    is_filtered: impl FnOnce() -> bool,
) -> Answer<'de> {
    if line.seen != Seen::Object {
        return Answer { reading, ..Answer::default() };
    }
    let response = &mut line.fields.response.fields;
    let status = status(&response.status_code);
    let Judged { verdict, model, tokens, suspicion } = judge(&mut response.body, shape, is_filtered);
    let errors = [&line.fields.error, &response.error];
    let is_error = errors.into_iter().any(|error| !error.is_blank()) || matches!(verdict, Verdict::Error);
    let kind = match (status, is_error, end, verdict) {
        (_, true, ..) => Kind::Failure,
        (Some(200), false, End::CutOff, _) => Kind::Unreadable,
        (Some(200), false, _, Verdict::Answer) => Kind::Success,
        (Some(200), false, ..) => Kind::Empty,
        (Some(_), ..) => Kind::Failure,
        (None, ..) if reading == Reading::InPart => Kind::Unreadable,
        (None, ..) => Kind::Failure,
    };
    let custom_id = if let Seen::Text(id) = line.fields.custom_id { Some(id) } else { None };
    let suspicion = suspicion.filter(|_| kind == Kind::Success);
    Answer { custom_id, kind, reading, status, model, tokens, suspicion }
}

/// A status is a small whole number, whether written as a number or a string.
fn status(seen: &Seen<'_>) -> Option<u16> {
    let status = seen.number()?;
    (0.0..=999.0).contains(&status).then_some(status as u16)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Reading, Shape, read, scan};

    fn kind(line: impl AsRef<[u8]>, shape: Shape) -> Kind {
        let answer = read(line.as_ref(), shape);
        let scanned = scan(line.as_ref(), shape).unwrap();
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
        let kind_of = |line: String| read(line.as_bytes(), Shape::Choices).kind;
        let line = |body: String| format!(r#"{{"response":{{"status_code":200,"body":{body}}}}}"#);
        assert_eq!(kind_of(line(azure("true"))), Kind::Success);
        assert_eq!(kind_of(line(azure("false"))), Kind::Empty);
    }

    #[test]
    fn what_can_be_read_of_a_damaged_line_counts() {
        let good = r#"{"custom_id":"a","response":{"status_code":200,"body":{"choices":[@]}},"error":null}"#;
        for damage in [&b"NaN"[..], b"-Infinity", b"{\"logprob\": Infinity}", b"\"\x01\"", b"\"\xff\"", b"None"] {
            let (before, after) = good.split_once('@').unwrap();
            let line = [before.as_bytes(), damage, after.as_bytes()].concat();
            let answer = read(&line, Shape::Choices);
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
            assert_eq!(read(line, Shape::Unknown).custom_id, None, "{}", String::from_utf8_lossy(line));
        }
        assert_eq!(read("\u{feff}{\"custom_id\":\"a\"}".as_bytes(), Shape::Unknown).custom_id.unwrap(), "a");
    }

    #[test]
    fn tokens_have_two_spellings_and_may_stand_in_a_string() {
        for (input, output) in [("prompt", "completion"), ("input", "output")] {
            let body = format!(
                r#"{{"model":"m","usage":{{"{input}_tokens":9,"{output}_tokens":7.0,"{input}_tokens_details":{{"cached_tokens":5}},
                "{output}_tokens_details":{{"reasoning_tokens":"3"}}}}}}"#
            );
            for body in [&body, &serde_json::to_string(&body).unwrap()] {
                let line = format!(r#"{{"response":{{"status_code":200,"body":{body}}}}}"#).replace("\n", " ");
                let tokens = read(line.as_bytes(), Shape::Unknown).tokens;
                assert_eq!((tokens.input, tokens.cached, tokens.output, tokens.reasoning), (9, 5, 7, 3), "{line}");
                assert_eq!(read(line.as_bytes(), Shape::Unknown).model.as_deref(), Some("m"), "{line}");
            }
        }
        let used = |usage: &str| {
            let data = if usage.starts_with(r#"{"total"#) { r#""data":[1],"# } else { "" };
            let line = format!(r#"{{"response":{{"status_code":200,"body":{{{data}"usage":{usage}}}}}}}"#);
            let tokens = read(line.as_bytes(), Shape::Unknown).tokens;
            (tokens.input, tokens.output)
        };
        let reasoning = r#"{"prompt_tokens":9,"completion_tokens":7,"total_tokens":20}"#;
        assert_eq!(used(reasoning), (9, 11), "reasoning is billed, and not in the output");
        assert_eq!(used(r#"{"promptTokens":9,"totalTokens":20}"#), (9, 11));
        assert_eq!(used(r#"{"total_tokens":20}"#), (20, 0), "embeddings");
        assert_eq!(used(r#"{"prompt_tokens":9,"completion_tokens":7,"total_tokens":3}"#), (9, 7));
        let odd = read(br#"{"response":{"body":{"usage":{"input_tokens":-4,"output_tokens":[]}}}}"#, Shape::Unknown);
        assert_eq!((odd.tokens.input, odd.tokens.output), (0, 0));
    }
}
