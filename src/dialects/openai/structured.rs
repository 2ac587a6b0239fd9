//! Where a request asks for structured output: chat completions in `response_format`, responses in `text.format`.
//! Source: OpenAI's API reference, "Create chat completion" and "Create a model response".

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::dialects::{Asked, Structured, Wanted};
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};
use crate::json::raw::{members, members_of, text};

/// The types of a format that is not free.
const JSON: &str = "json_object";
const SCHEMA: &str = "json_schema";

/// What a line asks its answer to be.
pub(super) fn asked(line: &str) -> Asked<'_> {
    let [custom_id, body] = members(line, ["custom_id", "body"]);
    let [of_chat, config] = members_of(body, ["response_format", "text"]);
    let format = of_chat.or(members_of(config, ["format"])[0]);
    let [kind, of_chat, schema] = members_of(format, ["type", "json_schema", "schema"]);
    let schema = schema.or(members_of(of_chat, ["schema"])[0]).map(RawValue::get);
    let form = match (text(kind).as_deref(), schema) {
        (Some(SCHEMA), Some(schema)) if schema != "null" => Wanted::Schema(schema),
        (Some(SCHEMA | JSON), _) => Wanted::Json,
        _ => Wanted::Free,
    };
    Asked { custom_id: text(custom_id), form }
}

/// The formats that a body names, as far as the check looks: whether any is not free.
#[derive(Debug, Default)]
pub(super) struct Formats<'de> {
    /// `response_format`.
    pub(super) of_chat: Loose<'de, Format<'de>>,
    /// `text`.
    pub(super) of_responses: Loose<'de, Config<'de>>,
}

#[derive(Debug, Default)]
pub(super) struct Config<'de> {
    format: Loose<'de, Format<'de>>,
}

#[derive(Debug, Default)]
pub(super) struct Format<'de> {
    kind: Seen<'de>,
}

impl Formats<'_> {
    /// Whether any is not free.
    pub(super) fn structured(&self) -> Structured {
        let kinds = [&self.of_chat.fields.kind, &self.of_responses.fields.format.fields.kind];
        let is_structured = kinds.iter().any(|kind| matches!(kind.text(), Some(SCHEMA | JSON)));
        if is_structured { Structured::Yes } else { Structured::No }
    }
}

impl<'de> Fields<'de> for Config<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "format" => map.next_value_seed(Fill(&mut self.format)),
            _ => skip(map),
        }
    }
}

impl<'de> Fields<'de> for Format<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, asked};
    use crate::requests::testing::{checked, rules};

    #[test]
    fn a_request_names_the_form_of_its_answer() {
        for (more, form) in [
            (r#""messages":[1]"#, Wanted::Free),
            (r#""messages":[1],"response_format":{"type":"text"}"#, Wanted::Free),
            (r#""messages":[1],"response_format":{"type":"json_object"}"#, Wanted::Json),
            (r#""messages":[1],"response_format":{"type":"json_schema","json_schema":{"name":"x"}}"#, Wanted::Json),
            (
                r#""messages":[1],"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type": "object"}}}"#,
                Wanted::Schema(r#"{"type": "object"}"#),
            ),
            (
                r#""messages":[1],"text":{"format":{"type":"json_schema","name":"x","schema":{"a":[1]}}}"#,
                Wanted::Schema(r#"{"a":[1]}"#),
            ),
            (r#""messages":[1],"text":{"format":{"type":"text"}}"#, Wanted::Free),
            (r#""messages":[1],"text":"odd","response_format":7"#, Wanted::Free),
        ] {
            let line = format!(
                r#"{{"custom_id":"\u0061","method":"POST","url":"/v1/chat/completions","body":{{"model":"m",{more}}}}}"#
            );
            let asked = asked(&line);
            assert_eq!((asked.custom_id.as_deref(), asked.form), (Some("a"), form), "{line}");
            let checked = checked(&[("a", &line)], &rules());
            assert_eq!((checked.fault_count, checked.is_structured), (0, form != Wanted::Free), "{line}");
        }
        assert_eq!(asked("garbage").form, Wanted::Free);
    }
}
