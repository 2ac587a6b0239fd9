//! The fields of a Messages request, and what shows that it was written for another API.
//!
//! The fields and their types are those of the vendor's own SDK (`anthropic` for Python 2.14,
//! `types/message_create_params.py`, 2026-11).

use crate::dialects::types::{ANY, LIST, NUMBER, OBJECT, TEXT};
use crate::dialects::{Field, Notes, Noticed, Sight, Vocabulary, quoted};

/// The one endpoint.
const MESSAGES: u8 = 1;
/// What only other APIs have.
const ELSEWHERE: u8 = 0;

/// Fields of OpenAI's bodies, and what there is instead.
const INSTEAD: [(&str, &str); 8] = [
    ("max_completion_tokens", "`max_tokens`"),
    ("max_output_tokens", "`max_tokens`"),
    ("response_format", "`output_config.format`"),
    ("reasoning_effort", "`output_config.effort`"),
    ("instructions", "`system`"),
    ("stop", "`stop_sequences`"),
    ("functions", "`tools`"),
    ("input", "`messages`"),
];

const fn field(name: &'static str, takes: u8, at: u8) -> Field {
    Field { name, takes, at }
}

/// The fields, by length and then by name. `temperature` and its like are only in the older version of the API.
#[rustfmt::skip]
pub(super) static VOCABULARY: Vocabulary = Vocabulary::new(&[
    field("n", ANY, ELSEWHERE),
    field("seed", ANY, ELSEWHERE),
    field("stop", ANY, ELSEWHERE),
    field("input", ANY, ELSEWHERE),
    field("model", TEXT, MESSAGES),
    field("speed", TEXT, MESSAGES),
    field("tools", LIST, MESSAGES),
    field("top_k", NUMBER, MESSAGES),
    field("top_p", NUMBER, MESSAGES),
    field("stream", ANY, MESSAGES),
    field("system", TEXT | LIST, MESSAGES),
    field("logprobs", ANY, ELSEWHERE),
    field("messages", ANY, MESSAGES),
    field("metadata", OBJECT, MESSAGES),
    field("thinking", OBJECT, MESSAGES),
    field("container", ANY, MESSAGES),
    field("functions", ANY, ELSEWHERE),
    field("logit_bias", ANY, ELSEWHERE),
    field("max_tokens", NUMBER, MESSAGES),
    field("diagnostics", OBJECT, MESSAGES),
    field("mcp_servers", LIST, MESSAGES),
    field("temperature", NUMBER, MESSAGES),
    field("tool_choice", OBJECT, MESSAGES),
    field("instructions", ANY, ELSEWHERE),
    field("service_tier", TEXT, MESSAGES),
    field("workspace_id", TEXT, MESSAGES),
    field("cache_control", OBJECT, MESSAGES),
    field("inference_geo", TEXT, MESSAGES),
    field("output_config", OBJECT, MESSAGES),
    field("output_format", OBJECT, MESSAGES),
    field("stop_sequences", LIST, MESSAGES),
    field("response_format", ANY, ELSEWHERE),
    field("user_profile_id", TEXT, MESSAGES),
    field("presence_penalty", ANY, ELSEWHERE),
    field("reasoning_effort", ANY, ELSEWHERE),
    field("frequency_penalty", ANY, ELSEWHERE),
    field("max_output_tokens", ANY, ELSEWHERE),
    field("context_management", OBJECT, MESSAGES),
    field("max_completion_tokens", ANY, ELSEWHERE),
]);

/// The API's own fields.
static OWN: u64 = VOCABULARY.of(MESSAGES);

/// What a request has that the API does not take, as far as is known.
pub(super) fn warnings(fields: &Noticed, notes: &Notes<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for field in VOCABULARY.named(fields.present & !OWN) {
        let instead =
            INSTEAD.iter().find(|(name, _)| *name == field.name).map(|(_, instead)| format!("write {instead}"));
        let fix = instead.unwrap_or_else(|| "remove it".to_owned());
        warnings.push(format!("`params.{}` is not for the Messages API: {fix}", field.name));
    }
    fields.warn(&VOCABULARY, MESSAGES, "params.", &mut warnings);
    if notes.is_plain() {
        return warnings;
    }
    let mut add = |found: &str, fix: &str| warnings.push(format!("`params.messages` {found}: {fix}"));
    if notes.has(Sight::Repeated) {
        add("has a message with two roles or two contents", "remove one");
    }
    if notes.has(Sight::ResponsesPart) || notes.has(Sight::StringInImageUrl) || notes.has(Sight::ObjectInImageUrl) {
        add("has parts for OpenAI's API", "write the types `text` and `image`");
    }
    if let Some(role) = notes.odd_role.as_deref() {
        add(&format!("has the role {}", quoted(role)), "write `user` or `assistant`");
    }
    warnings
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::VOCABULARY;
    use crate::dialects::{Name, choose};
    use crate::requests::testing::checked;

    fn warnings(params: &str) -> String {
        let line = format!(r#"{{"custom_id":"a","params":{{"model":"m","max_tokens":9,{params}}}}}"#);
        let checked = checked(&[("a", &line)], &choose(Name::Anthropic).rules());
        assert_eq!(checked.fault_count, 0, "{:?}", checked.faults);
        checked.warnings.join("\n")
    }

    #[test]
    fn the_table_is_sorted() {
        VOCABULARY.assert_sorted();
    }

    #[test]
    fn a_request_for_another_api_is_a_warning() {
        let odd = [
            r#""messages":[{"role":"human","content":[{"type":"image_url","image_url":{"url":"u"}}]}],"stop":["x"]"#,
            r#""messages":[{"role":"user","content":"x"}],"response_format":{},"n":1,"max_tokens":8,"sistem":"x""#,
        ];
        assert_snapshot!(odd.map(warnings).join("\n"), @"
        a:1: `params.stop` is not for the Messages API: write `stop_sequences`.
        a:1: `params.messages` has parts for OpenAI's API: write the types `text` and `image`.
        a:1: `params.messages` has the role `human`: write `user` or `assistant`.
        a:1: `params.n` is not for the Messages API: remove it.
        a:1: `params.response_format` is not for the Messages API: write `output_config.format`.
        a:1: `params.max_tokens` is given twice, and servers take the first or the last: remove one.
        a:1: `params.sistem` is unknown to the API, which has `system`: write that if it was meant.
        ");
        let fine = [
            r#""messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"system":"x","stop_sequences":["x"]"#,
            r#""messages":[{"role":"user","content":[{"type":"image","source":{}}]}],"thinking":{},"mcp_servers":[]"#,
        ];
        assert_eq!(fine.map(warnings).join(""), "");
    }
}
