//! One line of a provider's output or error file, and what it says.
//!
//! Providers put an error in at least five places, and a status where they
//! like. Success is what nobody can doubt: status 200 and no error anywhere.
//! Everything else is a failure, and gets the best code and message there are.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::report::Tokens;
use crate::requests::fault::cut;
use crate::requests::loose::{Fields, Fill, Loose, Seen, skip};
use crate::requests::skim;

/// Codes of failures that another try may mend, whatever the status. What was
/// cancelled is not among them: somebody wanted that.
const MAY_PASS: [&str; 4] = ["batch_expired", "request_timeout", "rate_limit_exceeded", "server_error"];

/// How many characters of a provider's code are kept.
const CODE: usize = 100;

/// How many characters of a provider's message are kept.
const MESSAGE: usize = 300;

/// An answer, as far as it is looked into.
#[derive(Debug, Default)]
pub(crate) struct Answer<'de> {
    custom_id: Seen<'de>,
    response: Loose<'de, Response<'de>>,
    error: Loose<'de, Problem<'de>>,
}

#[derive(Debug, Default)]
struct Response<'de> {
    status_code: Seen<'de>,
    body: Loose<'de, Body<'de>>,
}

#[derive(Debug, Default)]
struct Body<'de> {
    error: Loose<'de, Problem<'de>>,
    message: Seen<'de>,
    detail: Seen<'de>,
    usage: Loose<'de, Usage<'de>>,
}

#[derive(Debug, Default)]
struct Problem<'de> {
    code: Seen<'de>,
    kind: Seen<'de>,
    message: Seen<'de>,
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

impl<'de> Fields<'de> for Answer<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "custom_id" => self.custom_id = map.next_value()?,
            "response" => map.next_value_seed(Fill(&mut self.response))?,
            "error" => map.next_value_seed(Fill(&mut self.error))?,
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
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "error" => map.next_value_seed(Fill(&mut self.error))?,
            "message" => self.message = map.next_value()?,
            "detail" => self.detail = map.next_value()?,
            "usage" => map.next_value_seed(Fill(&mut self.usage))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Problem<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "code" => self.code = map.next_value()?,
            "type" => self.kind = map.next_value()?,
            "message" => self.message = map.next_value()?,
            _ => skip(map)?,
        }
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

impl<'de> Answer<'de> {
    /// Reads a line; none if it is no JSON object.
    pub(crate) fn read(line: &'de [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?.trim_start_matches('\u{feff}');
        let mut line = Loose::<Self>::default();
        skim::fill(text, &mut line).ok()?;
        (line.seen == Seen::Object).then_some(line.fields)
    }

    /// The request it answers, by its decoded id.
    pub(crate) fn custom_id(&self) -> Option<&str> {
        self.custom_id.text()
    }

    /// The same, kept when the rest is not.
    pub(crate) fn into_custom_id(self) -> Option<Cow<'de, str>> {
        if let Seen::Text(id) = self.custom_id { Some(id) } else { None }
    }

    /// Whether the failure may pass: too many requests, trouble at the server, no time left.
    pub(crate) fn may_pass(&self) -> bool {
        let code = self.code();
        matches!(self.status(), Some(408 | 429 | 500..=599)) || MAY_PASS.contains(&code.as_ref())
    }

    /// Whether it is what was asked for: status 200, and no error anywhere.
    pub(crate) fn succeeded(&self) -> bool {
        self.status() == Some(200) && self.error.seen.is_nothing() && self.body().error.seen.is_nothing()
    }

    /// Why it is not, in a code for grouping.
    pub(crate) fn code(&self) -> String {
        let (own, inner) = (&self.error.fields, &self.body().error.fields);
        let given = [&own.code, &own.kind, &inner.code, &inner.kind].into_iter().find_map(word);
        match (given, self.status()) {
            (Some(code), _) => cut(&code, CODE),
            (None, Some(status)) if status != 200 => format!("http_{status}"),
            (None, _) => "unknown".to_owned(),
        }
    }

    /// The same in the provider's words.
    pub(crate) fn message(&self) -> String {
        let (response, body) = (&self.response, self.body());
        let places = [
            &self.error.fields.message,
            &self.error.seen,
            &body.error.fields.message,
            &body.error.seen,
            &body.message,
            &body.detail,
            &response.fields.body.seen,
            &response.seen,
        ];
        let text = places.into_iter().filter_map(Seen::text).find(|text| !text.trim().is_empty());
        match (text, self.status()) {
            (Some(text), _) => cut(text.trim(), MESSAGE),
            (None, Some(status)) => format!("HTTP status {status}, without a message"),
            (None, None) => "neither a status nor a message".to_owned(),
        }
    }

    /// The tokens it says were used.
    pub(crate) fn tokens(&self) -> Tokens {
        let usage = &self.body().usage.fields;
        Tokens {
            input: tokens(&usage.input),
            cached: tokens(&usage.input_details.fields.cached),
            output: tokens(&usage.output),
            reasoning: tokens(&usage.output_details.fields.reasoning),
        }
    }

    fn body(&self) -> &Body<'de> {
        &self.response.fields.body.fields
    }

    fn status(&self) -> Option<u16> {
        let status = self.response.fields.status_code.number()?;
        // A status is a small whole number, however it is written.
        (0.0..=999.0).contains(&status).then_some(status as u16)
    }
}

/// A code: a text, or a number where a provider numbers its errors.
fn word(seen: &Seen<'_>) -> Option<String> {
    match seen {
        Seen::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Seen::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A count of tokens; what is no count counts nothing.
fn tokens(seen: &Seen<'_>) -> u64 {
    // The cast saturates, so that no number a provider can write overflows.
    seen.number().map_or(0, |number| number as u64)
}

#[cfg(test)]
mod tests {
    use super::Answer;

    fn verdict(line: &str) -> (bool, String, String) {
        let answer = Answer::read(line.as_bytes()).unwrap();
        (answer.succeeded(), answer.code(), answer.message())
    }

    #[test]
    fn success_is_status_200_and_no_error_anywhere() {
        for good in [
            r#"{"response":{"status_code":200,"body":{"id":"x","error":null}},"error":null}"#,
            r#"{"response":{"status_code":200.0,"body":{}}}"#,
            r#"{"response":{"status_code":"200","body":"text"}}"#,
        ] {
            assert!(verdict(good).0, "{good}");
        }
        for bad in [
            r#"{"response":{"status_code":0,"body":{}},"error":null}"#,
            r#"{"response":{"status_code":201,"body":{}},"error":null}"#,
            r#"{"response":{"status_code":200.5e9,"body":{}},"error":null}"#,
            r#"{"response":{"status_code":200,"body":{}},"error":"no"}"#,
            r#"{"response":{"status_code":200,"body":{"error":{}}}}"#,
            r#"{"response":{"body":{}}}"#,
            r#"{"response":[200]}"#,
            r#"{}"#,
        ] {
            assert!(!verdict(bad).0, "{bad}");
        }
    }

    #[test]
    fn a_code_and_a_message_are_found_wherever_they_are() {
        for (line, code, message) in [
            (r#"{"response":null,"error":{"code":"batch_expired","message":"late"}}"#, "batch_expired", "late"),
            (
                r#"{"response":{"status_code":400,"body":{"error":{"code":null,"type":"bad","message":"no"}}},"error":null}"#,
                "bad",
                "no",
            ),
            (r#"{"response":{"status_code":429,"body":{"error":"slow down"}}}"#, "http_429", "slow down"),
            (r#"{"response":{"status_code":500,"body":{"message":"oh"}}}"#, "http_500", "oh"),
            (r#"{"response":{"status_code":422,"body":{"detail":"field"}}}"#, "http_422", "field"),
            (r#"{"response":{"status_code":502,"body":"<html>"}}"#, "http_502", "<html>"),
            (r#"{"response":{"status_code":0,"body":{}}}"#, "http_0", "HTTP status 0, without a message"),
            (r#"{"error":"broken"}"#, "unknown", "broken"),
            (r#"{"error":{"code":17}}"#, "17", "neither a status nor a message"),
        ] {
            assert_eq!(verdict(line), (false, code.to_owned(), message.to_owned()), "{line}");
        }
    }

    #[test]
    fn what_is_no_object_cannot_be_read() {
        for line in [&b"[]"[..], b"{", b"null", b"{\"a\":\"\xff\"}", b"{} {}"] {
            assert!(Answer::read(line).is_none());
        }
    }

    #[test]
    fn tokens_have_two_spellings() {
        for (input, output) in [("prompt", "completion"), ("input", "output")] {
            let line = format!(
                r#"{{"response":{{"body":{{"usage":{{"{input}_tokens":9,"{output}_tokens":7.0,
                "{input}_tokens_details":{{"cached_tokens":5}},"{output}_tokens_details":{{"reasoning_tokens":"3"}}}}}}}}}}"#
            );
            let tokens = Answer::read(line.as_bytes()).unwrap().tokens();
            assert_eq!((tokens.input, tokens.cached, tokens.output, tokens.reasoning), (9, 5, 7, 3));
        }
        let odd = Answer::read(br#"{"response":{"body":{"usage":{"input_tokens":-4,"output_tokens":[]}}}}"#).unwrap();
        assert_eq!((odd.tokens().input, odd.tokens().output), (0, 0));
    }
}
