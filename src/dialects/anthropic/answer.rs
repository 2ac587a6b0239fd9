//! One line of a batch's results: `{"custom_id", "result": {"type", …}}` (SDK: `message_batch_*_result.py`).

use std::borrow::Cow;
use std::io::{self, Read};

use serde::de::MapAccess;
use serde_json::{Value, json};

use super::{error, row, structured};
use crate::dialects::{Answer, Asked, Content, Failure, Fate, Kind, Ran, ReadAnswers, Reading, Suspicion, Tokens};
use crate::json::damaged::{self, End, without_mark};
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};
use crate::text::shorten;

/// How many bytes of strings are kept of a line that is too long to hold.
const MOST_TEXT: usize = 4 * 1024 * 1024;
/// How many characters of a code are kept.
const CODE: usize = 100;
/// How many characters of a message are kept.
const MESSAGE: usize = 300;

/// Reads results of Anthropic's batches.
pub(super) struct AnthropicAnswers;

impl ReadAnswers for AnthropicAnswers {
    fn read<'de>(&self, bytes: &'de [u8], _: Option<&str>) -> Answer<'de> {
        let mut line = Loose::<Line<'_>>::default();
        let text = std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}'));
        if text.is_some_and(|text| fast::fill(text, &mut line).is_ok()) {
            return answer(line, Reading::Whole, End::Closed);
        }
        line = Loose::default();
        // Reading a slice cannot fail.
        let end = damaged::fill(without_mark(bytes), bytes.len(), &mut line).unwrap_or(End::CutOff);
        answer(line, Reading::InPart, end)
    }

    fn scan(&self, from: &mut dyn Read, _: Option<&str>) -> io::Result<Answer<'static>> {
        let mut line = Loose::<Line<'_>>::default();
        let end = damaged::fill(from, MOST_TEXT, &mut line)?;
        let reading = if end == End::Closed { Reading::Whole } else { Reading::InPart };
        Ok(answer(line, reading, end))
    }

    fn failure(&self, answer: &Answer<'_>, line: &Value) -> Failure {
        failure(answer, line)
    }

    fn content<'de>(&self, line: &'de [u8]) -> Content<'de> {
        let value = damaged::value(without_mark(line)).unwrap_or_default();
        let message = &value["result"]["message"];
        let text = |value: &Value| value.as_str().map(|text| Cow::Owned(text.to_owned()));
        let blocks = message["content"].as_array().into_iter().flatten();
        let first = blocks.filter(|block| block["type"] == "text").find_map(|block| text(&block["text"]));
        Content { text: first, finish_reason: text(&message["stop_reason"]) }
    }

    fn request_id(&self, line: &str) -> Option<String> {
        row::id(line)
    }

    fn asked<'l>(&self, line: &'l str) -> Asked<'l> {
        structured::asked(line)
    }

    fn absent(&self, custom_id: &str, code: &str, message: &str) -> String {
        let [id, code, message] = [custom_id, code, message].map(|text| json!(text));
        let error = format!(r#"{{"type":"error","error":{{"type":{code},"message":{message}}}}}"#);
        format!(r#"{{"custom_id":{id},"result":{{"type":"errored","error":{error}}}}}"#)
    }
}

#[derive(Debug, Default)]
struct Line<'de> {
    custom_id: Seen<'de>,
    result: Loose<'de, Outcome<'de>>,
}

#[derive(Debug, Default)]
struct Outcome<'de> {
    kind: Seen<'de>,
    message: Loose<'de, Message<'de>>,
}

#[derive(Debug, Default)]
struct Message<'de> {
    model: Seen<'de>,
    content: Seen<'de>,
    stop_reason: Seen<'de>,
    usage: Loose<'de, Usage<'de>>,
}

#[derive(Debug, Default)]
struct Usage<'de> {
    input: Seen<'de>,
    cache_written: Seen<'de>,
    cache_read: Seen<'de>,
    cache_creation: Loose<'de, CacheCreation<'de>>,
    output: Seen<'de>,
    server_tools: Loose<'de, ServerTools<'de>>,
    details: Loose<'de, Details<'de>>,
}

/// Tools that the vendor ran, by the call.
#[derive(Debug, Default)]
struct ServerTools<'de> {
    web_searches: Seen<'de>,
}

/// What was written to the cache, by how long it stays.
#[derive(Debug, Default)]
struct CacheCreation<'de> {
    for_an_hour: Seen<'de>,
}

#[derive(Debug, Default)]
struct Details<'de> {
    thinking: Seen<'de>,
}

impl<'de> Fields<'de> for Line<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "custom_id" => self.custom_id = map.next_value()?,
            "result" => map.next_value_seed(Fill(&mut self.result))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Outcome<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "message" => map.next_value_seed(Fill(&mut self.message))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Message<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "model" => self.model = map.next_value()?,
            "content" => self.content = map.next_value()?,
            "stop_reason" => self.stop_reason = map.next_value()?,
            "usage" => map.next_value_seed(Fill(&mut self.usage))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Usage<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "input_tokens" => &mut self.input,
            "cache_creation_input_tokens" => &mut self.cache_written,
            "cache_read_input_tokens" => &mut self.cache_read,
            "output_tokens" => &mut self.output,
            "cache_creation" => return map.next_value_seed(Fill(&mut self.cache_creation)),
            "server_tool_use" => return map.next_value_seed(Fill(&mut self.server_tools)),
            "output_tokens_details" => return map.next_value_seed(Fill(&mut self.details)),
            _ => return skip(map),
        };
        *field = map.next_value()?;
        Ok(())
    }
}

impl<'de> Fields<'de> for CacheCreation<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "ephemeral_1h_input_tokens" => self.for_an_hour = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for ServerTools<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "web_search_requests" => self.web_searches = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Details<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "thinking_tokens" => self.thinking = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl Usage<'_> {
    /// Anthropic counts the three kinds of input apart from one another; ours is their sum.
    fn tokens(&self) -> Tokens {
        // The cast saturates, so that no number a server can write overflows.
        let count = |seen: &Seen<'_>| seen.number().map_or(0, |number| number as u64);
        let [plain, written, read] = [&self.input, &self.cache_written, &self.cache_read].map(count);
        Tokens {
            input: plain.saturating_add(written).saturating_add(read),
            cached: read,
            cache_written: written,
            cache_written_1h: count(&self.cache_creation.fields.for_an_hour),
            output: count(&self.output),
            reasoning: count(&self.details.fields.thinking),
            web_searches: count(&self.server_tools.fields.web_searches),
            tool_calls: 0,
            ..Tokens::default()
        }
    }
}

fn answer<'de>(line: Loose<'de, Line<'de>>, reading: Reading, end: End) -> Answer<'de> {
    if line.seen != Seen::Object {
        return Answer { reading, ..Answer::default() };
    }
    let Outcome { kind, message } = line.fields.result.fields;
    let tokens = message.fields.usage.fields.tokens();
    let suspicion = message.fields.stop_reason.text().and_then(suspicion);
    let is_told = !message.fields.stop_reason.is_nothing();
    let kind = match (kind.text(), end, &message.fields.content) {
        (Some("succeeded"), End::CutOff, _) => Kind::Unreadable,
        (Some("succeeded"), _, Seen::Array { len: 1.., .. }) => Kind::Success,
        // A refusal may come without a word.
        (Some("succeeded"), _, Seen::Array { .. }) if is_told => Kind::Success,
        (Some("succeeded"), ..) => Kind::Empty,
        (Some(_), ..) => Kind::Failure,
        (None, ..) if reading == Reading::InPart => Kind::Unreadable,
        (None, ..) => Kind::Failure,
    };
    let text = |seen| if let Seen::Text(text) = seen { Some(text) } else { None };
    let (custom_id, model) = (text(line.fields.custom_id), text(message.fields.model));
    let status = (kind == Kind::Success).then_some(200);
    let suspicion = suspicion.filter(|_| kind == Kind::Success);
    Answer { custom_id, kind, reading, status, model, tokens, suspicion }
}

/// What the reason why the model stopped makes of its answer. Source: Anthropic's API reference, `stop_reason`.
fn suspicion(stop_reason: &str) -> Option<Suspicion> {
    match stop_reason {
        "refusal" => Some(Suspicion::Refusal),
        "tool_use" => Some(Suspicion::ToolCalls),
        "max_tokens" | "model_context_window_exceeded" => Some(Suspicion::CutOff),
        "pause_turn" => Some(Suspicion::Incomplete),
        _ => None,
    }
}

fn failure(answer: &Answer<'_>, line: &Value) -> Failure {
    let ours = |code: &str, message: &str, fate, ran| {
        let (code, message) = (code.to_owned(), message.to_owned());
        Failure { code, status: None, message, fate, ran }
    };
    match (answer.kind, line["result"]["type"].as_str()) {
        (Kind::Unreadable, _) => {
            let message = "The line of this answer is damaged, and how the request fared cannot be read.";
            ours("batchstep_unreadable", message, Fate::Permanent, Ran::Yes)
        }
        (Kind::Empty, _) => ours("empty_answer", "The answer has no content.", Fate::Empty, Ran::Yes),
        (_, Some("expired")) => {
            let message = "The batch expired before the request was sent to the model.";
            ours("expired", message, Fate::Transient, Ran::Never)
        }
        (_, Some("canceled")) => {
            let message = "The batch was cancelled before the request was sent to the model.";
            ours("canceled", message, Fate::Permanent, Ran::Never)
        }
        _ => errored(line),
    }
}

fn errored(line: &Value) -> Failure {
    let error = error::of(&line["result"]["error"]);
    let fate = match error.is_hopeless() {
        true => Fate::Hopeless,
        false if error.status.is_some() && error.is_transient() => Fate::Transient,
        false => Fate::Permanent,
    };
    let code = error.word().map_or_else(|| "unknown_error".to_owned(), |word| shorten(word, CODE));
    let message = error.message.as_deref().map(|message| shorten(message, MESSAGE)).unwrap_or_default();
    Failure { code, status: error.status, message, fate, ran: Ran::Yes }
}

#[cfg(test)]
mod tests {
    use super::{AnthropicAnswers, Fate, Kind, Ran, ReadAnswers as _, Suspicion, Tokens};

    fn good(content: &str, stop: &str) -> String {
        let usage =
            r#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,"output_tokens":7}"#;
        format!(
            r#"{{"custom_id":"a","result":{{"type":"succeeded","message":{{"id":"msg_1","type":"message","model":"claude","content":{content},"stop_reason":{stop},"usage":{usage}}}}}}}"#
        )
    }

    fn bad(result: &str) -> String {
        format!(r#"{{"custom_id":"a","result":{result}}}"#)
    }

    #[test]
    fn each_kind_of_input_is_added_once() {
        let line = good(r#"[{"type":"thinking","thinking":"x"},{"type":"text","text":"Hi"}]"#, "\"end_turn\"");
        let answer = AnthropicAnswers.read(line.as_bytes(), None);
        assert_eq!(
            (answer.kind, answer.custom_id.as_deref(), answer.model.as_deref()),
            (Kind::Success, Some("a"), Some("claude"))
        );
        let tokens = Tokens { input: 3_210, cached: 3_000, cache_written: 200, output: 7, ..Tokens::default() };
        assert_eq!(answer.tokens, tokens);
        let content = AnthropicAnswers.content(line.as_bytes());
        assert_eq!((content.text.as_deref(), content.finish_reason.as_deref()), (Some("Hi"), Some("end_turn")));
        let scanned = AnthropicAnswers.scan(&mut line.as_bytes(), None).unwrap();
        assert_eq!((scanned.kind, scanned.tokens), (Kind::Success, tokens));
    }

    #[test]
    fn a_message_says_why_it_is_suspect() {
        let text = r#"[{"type":"text","text":"Hi"}]"#;
        for (stop, expected) in [
            ("end_turn", None),
            ("stop_sequence", None),
            ("a_new_one", None),
            ("refusal", Some(Suspicion::Refusal)),
            ("tool_use", Some(Suspicion::ToolCalls)),
            ("max_tokens", Some(Suspicion::CutOff)),
            ("model_context_window_exceeded", Some(Suspicion::CutOff)),
            ("pause_turn", Some(Suspicion::Incomplete)),
        ] {
            let line = good(text, &format!("\"{stop}\""));
            assert_eq!(AnthropicAnswers.read(line.as_bytes(), None).suspicion, expected, "{stop}");
            assert_eq!(AnthropicAnswers.scan(&mut line.as_bytes(), None).unwrap().suspicion, expected, "{stop}");
        }
        assert_eq!(AnthropicAnswers.read(bad(r#"{"type":"expired"}"#).as_bytes(), None).suspicion, None);
    }

    #[test]
    fn a_success_has_content_or_a_reason_for_none() {
        let kind = |line: &str| AnthropicAnswers.read(line.as_bytes(), None).kind;
        assert_eq!(kind(&good("[]", "\"refusal\"")), Kind::Success);
        assert_eq!(kind(&good("[]", "null")), Kind::Empty);
        assert_eq!(kind(&good("null", "\"end_turn\"")), Kind::Empty);
        let whole = good("[{}]", "\"end_turn\"");
        assert_eq!(kind(&whole[..whole.len() - 9]), Kind::Unreadable);
        assert_eq!(kind("{}"), Kind::Failure);
    }

    #[test]
    fn what_failed_a_request_says_whether_a_retry_may_help() {
        let failure = |line: &str| {
            let answer = AnthropicAnswers.read(line.as_bytes(), None);
            assert_eq!(answer.kind, Kind::Failure, "{line}");
            let failure = AnthropicAnswers.failure(&answer, &serde_json::from_str(line).unwrap());
            (failure.code, failure.status, failure.fate, failure.ran)
        };
        let errored = |kind: &str, more: &str| {
            bad(&format!(
                r#"{{"type":"errored","error":{{"type":"error","error":{{"type":"{kind}","message":"x"{more}}}}}}}"#
            ))
        };
        let details = r#","details":{"error_code":"contract_spend_limit_reached"}"#;
        for (line, code, status, fate, ran) in [
            (bad(r#"{"type":"expired"}"#), "expired", None, Fate::Transient, Ran::Never),
            (bad(r#"{"type":"canceled"}"#), "canceled", None, Fate::Permanent, Ran::Never),
            (errored("overloaded_error", ""), "overloaded_error", Some(529), Fate::Transient, Ran::Yes),
            (errored("api_error", ""), "api_error", Some(500), Fate::Transient, Ran::Yes),
            (errored("invalid_request_error", ""), "invalid_request_error", Some(400), Fate::Permanent, Ran::Yes),
            (errored("rate_limit_error", details), "contract_spend_limit_reached", Some(429), Fate::Hopeless, Ran::Yes),
            (errored("new_error", ""), "new_error", None, Fate::Permanent, Ran::Yes),
            (bad(r#"{"type":"paused"}"#), "unknown_error", None, Fate::Permanent, Ran::Yes),
        ] {
            assert_eq!(failure(&line), (code.to_owned(), status, fate, ran), "{line}");
        }
    }

    #[test]
    fn a_line_of_ours_reads_as_one_of_theirs() {
        let line = AnthropicAnswers.absent("a\"b", "batchstep_missing", "No answer.");
        let answer = AnthropicAnswers.read(line.as_bytes(), None);
        let failure = AnthropicAnswers.failure(&answer, &serde_json::from_str(&line).unwrap());
        assert_eq!((answer.custom_id.as_deref(), failure.code.as_str()), (Some("a\"b"), "batchstep_missing"));
    }
}
