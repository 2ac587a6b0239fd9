//! What the model wrote: the first text of an answer, and why the model stopped.
//!
//! Chat completions have `choices[0].message.content`, a string or a list of
//! parts; completions have `choices[0].text`; responses have a list `output` of
//! messages with parts. A refusal is text too. Of several choices the first is
//! read. Embeddings, moderations and tool calls have no text.
//! Source: OpenAI's API reference, the objects `chat.completion`, `text_completion`
//! and `response`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::dialects::Content;
use crate::json::damaged::{self, without_mark};
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};

/// How many elements of a list are looked at: answers have few choices and messages.
const MOST_ELEMENTS: usize = 1_000;

/// Reads the content of a line that can be held.
pub(super) fn read(line: &[u8]) -> Content<'_> {
    let text = std::str::from_utf8(line).ok().map(|text| text.trim_start_matches('\u{feff}'));
    let mut whole = Loose::<Line<'_>>::default();
    if text.is_none_or(|text| fast::fill(text, &mut whole).is_err()) {
        whole = Loose::default();
        // Reading a slice cannot fail; what is damaged is left out.
        drop(damaged::fill(without_mark(line), line.len(), &mut whole));
    }
    let body = whole.fields.response.fields.body;
    match body.seen {
        Seen::Text(text) => of_text(text),
        _ => body.fields.content(),
    }
}

/// The content of a body that a server wrote as a string: of the JSON in it, or else the string.
fn of_text(text: Cow<'_, str>) -> Content<'_> {
    let mut inner = Loose::<Body<'_>>::default();
    if text.trim_start().starts_with('{') && fast::fill(&text, &mut inner).is_ok() {
        let Content { text, finish_reason } = inner.fields.content();
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        return Content { text: text.map(owned), finish_reason: finish_reason.map(owned) };
    }
    Content { text: Some(text), finish_reason: None }
}

#[derive(Debug, Default)]
struct Line<'de> {
    response: Loose<'de, Response<'de>>,
}

#[derive(Debug, Default)]
struct Response<'de> {
    body: Loose<'de, Body<'de>>,
}

#[derive(Debug, Default)]
struct Body<'de> {
    choices: List<'de, Choice<'de>>,
    output: List<'de, Message<'de>>,
    status: Seen<'de>,
    incomplete: Loose<'de, Incomplete<'de>>,
}

#[derive(Debug, Default)]
struct Choice<'de> {
    message: Loose<'de, Message<'de>>,
    text: Seen<'de>,
    finish_reason: Seen<'de>,
}

#[derive(Debug, Default)]
struct Message<'de> {
    content: List<'de, Part<'de>>,
    refusal: Seen<'de>,
}

#[derive(Debug, Default)]
struct Part<'de> {
    text: Seen<'de>,
    refusal: Seen<'de>,
}

#[derive(Debug, Default)]
struct Incomplete<'de> {
    reason: Seen<'de>,
}

impl<'de> Fields<'de> for Line<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "response" => map.next_value_seed(Fill(&mut self.response)),
            _ => skip(map),
        }
    }
}

impl<'de> Fields<'de> for Response<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "body" => map.next_value_seed(Fill(&mut self.body)),
            _ => skip(map),
        }
    }
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "choices" => self.choices = map.next_value()?,
            "output" => self.output = map.next_value()?,
            "status" => self.status = map.next_value()?,
            "incomplete_details" => map.next_value_seed(Fill(&mut self.incomplete))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Choice<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "message" => map.next_value_seed(Fill(&mut self.message))?,
            "text" => self.text = map.next_value()?,
            "finish_reason" => self.finish_reason = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Message<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "content" => self.content = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Part<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "text" => self.text = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Incomplete<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "reason" => self.reason = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Body<'de> {
    fn content(self) -> Content<'de> {
        if let Some(first) = self.choices.elements.into_iter().next() {
            let Choice { message, text: completion, finish_reason } = first.fields;
            let text = message.fields.text().or_else(|| text(completion));
            return Content { text, finish_reason: text_of(finish_reason) };
        }
        let parts = self.output.elements.into_iter().filter_map(|message| message.fields.text());
        let reason = text_of(self.incomplete.fields.reason).or_else(|| text_of(self.status));
        Content { text: joined(parts), finish_reason: reason }
    }
}

impl<'de> Message<'de> {
    fn text(self) -> Option<Cow<'de, str>> {
        let parts = self.content.elements.into_iter();
        let parts = parts.filter_map(|part| text(part.fields.text).or_else(|| text(part.fields.refusal)));
        self.content.text.filter(|text| !text.is_empty()).or_else(|| joined(parts)).or_else(|| text(self.refusal))
    }
}

/// The texts one after another; borrowed if there is only one.
fn joined<'de>(texts: impl Iterator<Item = Cow<'de, str>>) -> Option<Cow<'de, str>> {
    texts.reduce(|mut all, more| {
        all.to_mut().push_str(&more);
        all
    })
}

/// A text that is not empty.
fn text(seen: Seen<'_>) -> Option<Cow<'_, str>> {
    text_of(seen).filter(|text| !text.is_empty())
}

fn text_of(seen: Seen<'_>) -> Option<Cow<'_, str>> {
    if let Seen::Text(text) = seen { Some(text) } else { None }
}

/// The elements of a list, each with the fields asked for. Some fields hold a text instead.
#[derive(Debug)]
struct List<'de, T> {
    elements: Vec<Loose<'de, T>>,
    text: Option<Cow<'de, str>>,
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { elements: Vec::new(), text: None }
    }
}

impl<'de, T: Fields<'de>> Deserialize<'de> for List<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut list = Self::default();
        FillList(&mut list).deserialize(deserializer)?;
        Ok(list)
    }
}

struct FillList<'a, 'de, T>(&'a mut List<'de, T>);

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for FillList<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for FillList<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text = Some(Cow::Owned(text.to_owned()));
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.0.text = Some(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while self.0.elements.len() < MOST_ELEMENTS {
            let Some(element) = seq.next_element()? else { return Ok(()) };
            self.0.elements.push(element);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    fn content(body: &str) -> (Option<String>, Option<String>) {
        let line = format!(r#"{{"custom_id":"a","response":{{"status_code":200,"body":{body}}},"error":null}}"#);
        let content = read(line.as_bytes());
        (content.text.map(Into::into), content.finish_reason.map(Into::into))
    }

    #[test]
    fn the_text_and_the_reason_are_found_in_every_shape() {
        for (body, text, reason) in [
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"hi \u00e9"},"finish_reason":"stop"},{"message":{"content":"no"}}]}"#,
                Some("hi é"),
                Some("stop"),
            ),
            (
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":"length"}]}"#,
                Some("ab"),
                Some("length"),
            ),
            (
                r#"{"choices":[{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"stop"}]}"#,
                Some("I cannot."),
                Some("stop"),
            ),
            (
                r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"x"}]},"finish_reason":"tool_calls"}]}"#,
                None,
                Some("tool_calls"),
            ),
            (r#"{"choices":[{"text":"plain","finish_reason":null}]}"#, Some("plain"), None),
            (
                r#"{"status":"completed","output":[{"type":"reasoning","summary":[]},{"type":"message","content":[{"type":"output_text","text":"one"},{"type":"refusal","refusal":" two"}]}]}"#,
                Some("one two"),
                Some("completed"),
            ),
            (
                r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}"#,
                None,
                Some("max_output_tokens"),
            ),
            (r#"{"object":"list","data":[{"embedding":[0.1,0.2]}]}"#, None, None),
            (r#"{"choices":[7,{"message":{"content":"no"}}],"output":{"a":[1]}}"#, None, None),
            (r#"{"choices":"odd","output":7}"#, None, None),
            (r#""plain text""#, Some("plain text"), None),
            (
                r#""{\"choices\":[{\"message\":{\"content\":\"in a string\"},\"finish_reason\":\"stop\"}]}""#,
                Some("in a string"),
                Some("stop"),
            ),
        ] {
            assert_eq!(content(body), (text.map(str::to_owned), reason.map(str::to_owned)), "{body}");
        }
    }

    #[test]
    fn a_damaged_line_keeps_its_text() {
        let lone = r#"{"choices":[{"message":{"content":"a\ud800b"},"logprobs":NaN,"finish_reason":"stop"}]}"#;
        assert_eq!(content(lone), (Some("a\u{fffd}b".to_owned()), Some("stop".to_owned())));
        assert_eq!(read(b"garbage").text, None);
    }
}
