//! Why an answer is not to be relied on, read while the first pass goes over its body.
//!
//! Chat and text completions say it in each choice: `finish_reason`, `message.refusal`, `message.tool_calls`. Responses
//! say it in `status` and `incomplete_details`, and in the items of `output`. Of several choices or items the first
//! that is suspect counts. Source: OpenAI's API reference, the objects `chat.completion` and `response`; Mistral's, for
//! `model_length` and `error`; vLLM's, for `abort`. Calls of the vendor's own tools are counted on the way.

use serde::de::{MapAccess, SeqAccess};

use crate::dialects::Suspicion;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};

/// The types of output items that ask the caller to do something; other tools are the vendor's own and have run.
const CALLS: [&str; 7] = [
    "function_call",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "mcp_approval_request",
];

/// A list whose elements may be suspect.
#[derive(Debug, Default)]
pub(super) struct Listed<T> {
    /// Why the first that is suspect is so.
    pub(super) suspicion: Option<Suspicion>,
    /// Searches of the web among them.
    pub(super) web_searches: u64,
    /// Calls of other tools of the vendor's that are billed by the call.
    pub(super) tool_calls: u64,
    of: std::marker::PhantomData<T>,
}

/// What says of itself whether it is suspect, and whether it is a call of a tool.
pub(super) trait Suspect {
    fn suspicion(&self) -> Option<Suspicion>;

    /// The tool of the vendor's that was called.
    fn tool(&self) -> Option<Tool> {
        None
    }
}

/// A tool of the vendor's that it bills beside the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// Searches of the web.
    WebSearch,
    /// File search and the code interpreter.
    Other,
}

impl<'de, T: Fields<'de> + Suspect> Fields<'de> for Listed<T> {
    fn take<A: MapAccess<'de>>(&mut self, _: &str, map: &mut A) -> Result<(), A::Error> {
        skip(map)
    }

    fn elements<A: SeqAccess<'de>>(&mut self, mut seq: A) -> Result<Seen<'de>, A::Error> {
        let mut len = 0;
        while let Some(element) = seq.next_element::<Loose<'de, T>>()? {
            self.suspicion = self.suspicion.or_else(|| element.fields.suspicion());
            match element.fields.tool() {
                Some(Tool::WebSearch) => self.web_searches += 1,
                Some(Tool::Other) => self.tool_calls += 1,
                None => {}
            }
            len += 1;
        }
        Ok(Seen::Array { len, of_numbers: false })
    }
}

/// One of the choices.
#[derive(Debug, Default)]
pub(super) struct Choice<'de> {
    finish_reason: Seen<'de>,
    message: Loose<'de, Message<'de>>,
}

#[derive(Debug, Default)]
struct Message<'de> {
    refusal: Seen<'de>,
    tool_calls: Seen<'de>,
    function_call: Seen<'de>,
}

/// One of a response's items.
#[derive(Debug, Default)]
pub(super) struct Item<'de> {
    kind: Seen<'de>,
    content: Loose<'de, Listed<Part<'de>>>,
}

#[derive(Debug, Default)]
struct Part<'de> {
    kind: Seen<'de>,
    refusal: Seen<'de>,
}

/// Why a response is incomplete.
#[derive(Debug, Default)]
pub(super) struct Incomplete<'de> {
    reason: Seen<'de>,
}

impl<'de> Fields<'de> for Choice<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "finish_reason" => self.finish_reason = map.next_value()?,
            "message" => map.next_value_seed(Fill(&mut self.message))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Message<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "refusal" => self.refusal = map.next_value()?,
            "tool_calls" => self.tool_calls = map.next_value()?,
            "function_call" => self.function_call = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Item<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            "content" => map.next_value_seed(Fill(&mut self.content))?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Part<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
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

impl Suspect for Choice<'_> {
    fn suspicion(&self) -> Option<Suspicion> {
        let message = &self.message.fields;
        let is_called = |seen: &Seen<'_>| !matches!(seen, Seen::Array { len: 0, .. }) && !seen.is_blank();
        match self.finish_reason.text() {
            Some("length" | "model_length") => Some(Suspicion::CutOff),
            Some("content_filter") => Some(Suspicion::Filtered),
            Some("error" | "abort") => Some(Suspicion::Incomplete),
            _ if !message.refusal.is_blank() => Some(Suspicion::Refusal),
            Some("tool_calls" | "function_call") => Some(Suspicion::ToolCalls),
            _ if is_called(&message.tool_calls) || is_called(&message.function_call) => Some(Suspicion::ToolCalls),
            _ => None,
        }
    }
}

impl Suspect for Item<'_> {
    fn suspicion(&self) -> Option<Suspicion> {
        match self.kind.text() {
            Some(kind) if CALLS.contains(&kind) => Some(Suspicion::ToolCalls),
            _ => self.content.fields.suspicion,
        }
    }

    fn tool(&self) -> Option<Tool> {
        match self.kind.text()? {
            "web_search_call" => Some(Tool::WebSearch),
            "file_search_call" | "code_interpreter_call" => Some(Tool::Other),
            _ => None,
        }
    }
}

impl Suspect for Part<'_> {
    fn suspicion(&self) -> Option<Suspicion> {
        (self.kind.text() == Some("refusal") || !self.refusal.is_blank()).then_some(Suspicion::Refusal)
    }
}

impl Incomplete<'_> {
    /// What the reason for an incomplete response makes of it.
    pub(super) fn suspicion(&self) -> Suspicion {
        match self.reason.text() {
            Some("max_output_tokens") => Suspicion::CutOff,
            Some("content_filter") => Suspicion::Filtered,
            _ => Suspicion::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Shape;
    use super::super::{read, scan};
    use super::Suspicion::{CutOff, Filtered, Incomplete, Refusal, ToolCalls};
    use super::*;

    fn suspicion(body: &str) -> Option<Suspicion> {
        let line = |body: &str| format!(r#"{{"custom_id":"a","response":{{"status_code":200,"body":{body}}}}}"#);
        let text = line(body);
        let found = read(text.as_bytes(), Shape::Unknown).suspicion;
        assert_eq!(scan(text.as_bytes(), Shape::Unknown).unwrap().suspicion, found, "{body}");
        // As it is of a body that a server wrote as a string, and of a line that is damaged behind it.
        let quoted = line(&serde_json::to_string(body).unwrap());
        assert_eq!(read(quoted.as_bytes(), Shape::Unknown).suspicion, found, "{body}");
        let damaged = text.replace("}}}", r#"}},"x":NaN}"#);
        assert_eq!(read(damaged.as_bytes(), Shape::Unknown).suspicion, found, "{body}");
        found
    }

    #[test]
    fn a_choice_says_why_it_is_suspect() {
        let choice = |choice: &str| suspicion(&format!(r#"{{"object":"chat.completion","choices":[{choice}]}}"#));
        for (text, expected) in [
            (r#"{"message":{"content":"hi","refusal":null,"tool_calls":[]},"finish_reason":"stop"}"#, None),
            (r#"{"text":"hi","finish_reason":null}"#, None),
            (r#"{"message":{"content":"h"},"finish_reason":"length"}"#, Some(CutOff)),
            (r#"{"message":{"content":"h"},"finish_reason":"model_length"}"#, Some(CutOff)),
            (r#"{"text":"h","finish_reason":"content_filter"}"#, Some(Filtered)),
            (r#"{"text":"h","finish_reason":"abort"}"#, Some(Incomplete)),
            (r#"{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"stop"}"#, Some(Refusal)),
            (r#"{"message":{"content":null,"tool_calls":[{"id":"x"}]},"finish_reason":"tool_calls"}"#, Some(ToolCalls)),
            (r#"{"message":{"tool_calls":[{"id":"x"}]},"finish_reason":"stop"}"#, Some(ToolCalls)),
            (r#"{"message":{"function_call":{"name":"f"}},"finish_reason":"function_call"}"#, Some(ToolCalls)),
            (
                r#"{"message":{"content":"a"}},{"finish_reason":"length"},{"finish_reason":"content_filter"}"#,
                Some(CutOff),
            ),
            (r#"7,"x",{"message":"odd","finish_reason":7}"#, None),
        ] {
            assert_eq!(choice(text), expected, "{text}");
        }
    }

    #[test]
    fn a_response_says_why_it_is_suspect() {
        let body = |output: &str, more: &str| {
            suspicion(&format!(r#"{{"object":"response","status":"completed","output":[{output}]{more}}}"#))
        };
        let text = r#"{"type":"message","content":[{"type":"output_text","text":"hi"}]}"#;
        let incomplete =
            |reason: &str| format!(r#","status":"incomplete","incomplete_details":{{"reason":"{reason}"}}"#);
        for (output, more, expected) in [
            (text, "", None),
            (r#"{"type":"web_search_call"},{"type":"reasoning","content":[]}"#, "", None),
            (r#"{"type":"message","content":[{"type":"refusal","refusal":"no"}]}"#, "", Some(Refusal)),
            (r#"{"type":"reasoning"},{"type":"function_call","name":"f"}"#, "", Some(ToolCalls)),
            (r#"{"type":"custom_tool_call"}"#, "", Some(ToolCalls)),
            (text, &incomplete("max_output_tokens"), Some(CutOff)),
            ("", &incomplete("content_filter"), Some(Filtered)),
            (text, &incomplete("new"), Some(Incomplete)),
            (text, r#","status":"incomplete""#, Some(Incomplete)),
            (text, r#","incomplete_details":null"#, None),
        ] {
            assert_eq!(body(output, more), expected, "{output}{more}");
        }
    }

    #[test]
    fn calls_of_the_vendors_tools_are_counted() {
        let kinds =
            ["web_search_call", "reasoning", "file_search_call", "web_search_call", "code_interpreter_call", "x"];
        let items: Vec<String> = kinds.iter().map(|kind| format!(r#"{{"type":"{kind}"}}"#)).collect();
        let body = format!(r#"{{"object":"response","output":[7,{}],"usage":{{"input_tokens":5}}}}"#, items.join(","));
        let line = format!(r#"{{"custom_id":"a","response":{{"status_code":200,"body":{body}}}}}"#);
        let tokens = read(line.as_bytes(), Shape::Unknown).tokens;
        assert_eq!((tokens.input, tokens.web_searches, tokens.tool_calls), (5, 2, 2));
        assert_eq!(scan(line.as_bytes(), Shape::Unknown).unwrap().tokens, tokens);
    }

    #[test]
    fn an_answer_without_content_says_why_there_is_none() {
        assert_eq!(
            suspicion(r#"{"choices":[],"prompt_feedback":{"blockReason":"SAFETY"},"object":"chat.completion"}"#),
            Some(Filtered)
        );
        assert_eq!(suspicion(r#"{"choices":[],"refusal":"no","object":"chat.completion"}"#), Some(Refusal));
        assert_eq!(suspicion(r#"{"object":"list","data":[{"embedding":[0.1]}]}"#), None);
    }
}
