//! The fields of OpenAI's bodies, and what shows that a body was written for another endpoint.
//!
//! The fields and their types are those of the vendor's own SDK (`openai` for Python 3.54, `types/`, 2026-11).

use crate::dialects::types::{ANY, BOOL, LIST, NUMBER, OBJECT, TEXT};
use crate::dialects::{Endpoints, Field, Notes, Noticed, Sight, Vocabulary, quoted};

const CHAT: u8 = 1;
const RESPONSES: u8 = 2;
const EMBEDDINGS: u8 = 4;
const COMPLETIONS: u8 = 8;

/// The endpoints whose fields are known here.
const ENDPOINTS: [(&str, u8); 4] = [
    ("/v1/chat/completions", CHAT),
    ("/v1/responses", RESPONSES),
    ("/v1/embeddings", EMBEDDINGS),
    ("/v1/completions", COMPLETIONS),
];

/// Fields of other endpoints, and what an endpoint has instead.
const INSTEAD: [(u8, &str, &str); 17] = [
    (RESPONSES, "response_format", "`text.format`"),
    (RESPONSES, "max_tokens", "`max_output_tokens`"),
    (RESPONSES, "max_completion_tokens", "`max_output_tokens`"),
    (RESPONSES, "messages", "`input`"),
    (RESPONSES, "reasoning_effort", "`reasoning.effort`"),
    (RESPONSES, "verbosity", "`text.verbosity`"),
    (RESPONSES, "functions", "`tools`"),
    (RESPONSES, "function_call", "`tool_choice`"),
    (RESPONSES, "web_search_options", "a tool `web_search`"),
    (CHAT, "max_output_tokens", "`max_completion_tokens`"),
    (CHAT, "text", "`response_format`"),
    (CHAT, "input", "`messages`"),
    (CHAT, "instructions", "a message with the role `developer`"),
    (COMPLETIONS, "messages", "`prompt`"),
    (COMPLETIONS, "input", "`prompt`"),
    (COMPLETIONS, "max_completion_tokens", "`max_tokens`"),
    (COMPLETIONS, "max_output_tokens", "`max_tokens`"),
];

/// Roles that people write for one that there is.
const MISTAKEN_ROLES: [(&str, &str); 5] =
    [("human", "user"), ("ai", "assistant"), ("bot", "assistant"), ("model", "assistant"), ("sys", "system")];

const fn field(name: &'static str, takes: u8, at: u8) -> Field {
    Field { name, takes, at }
}

/// The fields, by length and then by name.
#[rustfmt::skip]
pub(super) static VOCABULARY: Vocabulary = Vocabulary::new(&[
    field("n", NUMBER, CHAT | COMPLETIONS),
    field("echo", BOOL, COMPLETIONS),
    field("seed", NUMBER, CHAT | COMPLETIONS),
    field("stop", TEXT | LIST, CHAT | COMPLETIONS),
    field("text", OBJECT, RESPONSES),
    field("user", TEXT, CHAT | RESPONSES | EMBEDDINGS | COMPLETIONS),
    field("audio", OBJECT, CHAT),
    field("image", ANY, RESPONSES),
    field("input", ANY, RESPONSES | EMBEDDINGS),
    field("model", ANY, CHAT | RESPONSES | EMBEDDINGS | COMPLETIONS),
    field("store", BOOL, CHAT | RESPONSES),
    field("tools", LIST, CHAT | RESPONSES),
    field("top_p", NUMBER, CHAT | RESPONSES | COMPLETIONS),
    field("prompt", ANY, RESPONSES | COMPLETIONS),
    field("stream", ANY, CHAT | RESPONSES | COMPLETIONS),
    field("suffix", TEXT, COMPLETIONS),
    field("best_of", NUMBER, COMPLETIONS),
    field("include", LIST, RESPONSES),
    field("logprobs", BOOL | NUMBER, CHAT | COMPLETIONS),
    field("messages", ANY, CHAT),
    field("metadata", OBJECT, CHAT | RESPONSES),
    field("functions", LIST, CHAT),
    field("reasoning", OBJECT, RESPONSES),
    field("verbosity", TEXT, CHAT),
    field("background", BOOL, RESPONSES),
    field("dimensions", NUMBER, EMBEDDINGS),
    field("logit_bias", OBJECT, CHAT | COMPLETIONS),
    field("max_tokens", NUMBER, CHAT | COMPLETIONS),
    field("modalities", LIST, CHAT),
    field("moderation", ANY, CHAT | RESPONSES),
    field("prediction", OBJECT, CHAT),
    field("truncation", TEXT, RESPONSES),
    field("temperature", NUMBER, CHAT | RESPONSES | COMPLETIONS),
    field("tool_choice", TEXT | OBJECT, CHAT | RESPONSES),
    field("conversation", ANY, RESPONSES),
    field("instructions", TEXT, RESPONSES),
    field("service_tier", TEXT, CHAT | RESPONSES),
    field("top_logprobs", NUMBER, CHAT | RESPONSES),
    field("function_call", ANY, CHAT),
    field("max_tool_calls", NUMBER, RESPONSES),
    field("stream_options", OBJECT, CHAT | RESPONSES | COMPLETIONS),
    field("access_programs", ANY, RESPONSES),
    field("encoding_format", TEXT, EMBEDDINGS),
    field("response_format", OBJECT, CHAT),
    field("presence_penalty", NUMBER, CHAT | COMPLETIONS),
    field("prompt_cache_key", TEXT, CHAT | RESPONSES),
    field("reasoning_effort", TEXT, CHAT),
    field("frequency_penalty", NUMBER, CHAT | COMPLETIONS),
    field("max_output_tokens", NUMBER, RESPONSES),
    field("safety_identifier", TEXT, CHAT | RESPONSES),
    field("background_options", ANY, RESPONSES),
    field("context_management", ANY, RESPONSES),
    field("web_search_options", OBJECT, CHAT),
    field("parallel_tool_calls", BOOL, CHAT | RESPONSES),
    field("previous_response_id", TEXT, RESPONSES),
    field("prompt_cache_options", ANY, CHAT | RESPONSES),
    field("max_completion_tokens", NUMBER, CHAT),
    field("prompt_cache_retention", ANY, CHAT | RESPONSES),
]);

/// What of a body is looked at.
pub(super) struct Looks<'b, 'de> {
    pub(super) fields: &'b Noticed,
    pub(super) notes: &'b Notes<'de>,
}

/// What a body has that its endpoint does not take, as far as is known. A compatible server may take more than OpenAI
/// does, so only what has a counterpart is a warning there.
pub(super) fn warnings(looks: &Looks<'_, '_>, endpoint: &str, endpoints: Endpoints) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some((_, bit)) = ENDPOINTS.iter().find(|(path, _)| *path == endpoint) else { return warnings };
    for field in VOCABULARY.named(looks.fields.present & !MASKS[bit.trailing_zeros() as usize]) {
        let name = field.name;
        let instead = INSTEAD.iter().find(|(at, other, _)| at == bit && *other == name);
        let fix = match (instead, endpoints) {
            (Some((.., instead)), _) => format!("write {instead}"),
            (None, Endpoints::Known) => "remove it".to_owned(),
            (None, Endpoints::Any) => continue,
        };
        warnings.push(format!("`body.{name}` is not for `{endpoint}`: {fix}"));
    }
    looks.fields.warn(&VOCABULARY, *bit, "body.", &mut warnings);
    match *bit {
        CHAT => turns(looks.notes, ("body.messages", CHAT), endpoints, &mut warnings),
        RESPONSES => turns(looks.notes, ("body.input", RESPONSES), endpoints, &mut warnings),
        _ => {}
    }
    warnings
}

/// The fields of each endpoint, in the order of the endpoints' bits.
static MASKS: [u64; 4] =
    [VOCABULARY.of(CHAT), VOCABULARY.of(RESPONSES), VOCABULARY.of(EMBEDDINGS), VOCABULARY.of(COMPLETIONS)];

/// What the messages have that is another endpoint's.
fn turns(notes: &Notes<'_>, (field, endpoint): (&str, u8), endpoints: Endpoints, warnings: &mut Vec<String>) {
    if notes.is_plain() {
        return;
    }
    let mut add = |found: &str, fix: &str| warnings.push(format!("`{field}` {found}: {fix}"));
    if notes.has(Sight::ObjectInInputImage) {
        add("has an `input_image` whose `image_url` is an object", "write the address itself, a string");
    } else if endpoint == CHAT && notes.has(Sight::ResponsesPart) {
        add("has parts for `/v1/responses`", "write `text` and `image_url` for `input_text` and `input_image`");
    }
    if endpoint == RESPONSES && notes.has(Sight::ChatPart) {
        add("has parts for `/v1/chat/completions`", "write `input_text` and `input_image` for `text` and `image_url`");
    }
    if endpoint == CHAT && endpoints == Endpoints::Known && notes.has(Sight::StringInImageUrl) {
        add("has an `image_url` that is a string", "write an object with `url`");
    }
    if notes.has(Sight::Repeated) {
        add("has a message with two roles or two contents", "remove one");
    }
    let Some(role) = notes.odd_role.as_deref() else { return };
    let plain = role.trim().to_ascii_lowercase();
    let mistaken = MISTAKEN_ROLES.iter().find(|(known, _)| *known == plain).map(|(_, meant)| *meant);
    let is_near = |known: &&str| plain.len() > 3 && plain.len() < 20 && strsim::osa_distance(&plain, known) <= 2;
    let meant = mistaken.or_else(|| ["user", "assistant", "system", "developer", "tool"].into_iter().find(is_near));
    match meant {
        Some(meant) => add(&format!("has the role {}", quoted(role)), &format!("write `{meant}`")),
        None if endpoints == Endpoints::Known => {
            add(
                &format!("has the role {}", quoted(role)),
                "write `user`, `assistant`, `system`, `developer` or `tool`",
            );
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::VOCABULARY;
    use crate::dialects::{Name, Rules, choose};
    use crate::requests::testing::checked;

    fn warnings(provider: Name, url: &str, bodies: &[&str]) -> String {
        let line = |(id, body)| format!(r#"{{"custom_id":"{id}","method":"POST","url":"{url}","body":{body}}}"#);
        let lines: Vec<String> = bodies.iter().enumerate().map(line).collect();
        let rules: Rules = choose(provider).rules();
        let checked = checked(&[("a", &lines.join("\n"))], &rules);
        assert_eq!(checked.fault_count, 0, "{:?}", checked.faults);
        checked.warnings.join("\n")
    }

    #[test]
    fn the_table_is_sorted() {
        VOCABULARY.assert_sorted();
    }

    #[test]
    fn a_body_for_another_endpoint_is_a_warning() {
        let responses = [
            r#"{"model":"m","input":"x","response_format":{},"max_tokens":5}"#,
            r#"{"model":"m","input":"x","max_tokens":5}"#,
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":{"url":"u"}}]}]}"#,
            r#"{"model":"m","input":[{"role":"user","content":[{"image_url":{"url":"u"},"type":"image_url"}]}],"n":1}"#,
        ];
        assert_snapshot!(warnings(Name::Openai, "/v1/responses", &responses), @"
        a:1 and 1 more line: `body.max_tokens` is not for `/v1/responses`: write `max_output_tokens`.
        a:1: `body.response_format` is not for `/v1/responses`: write `text.format`.
        a:3: `body.input` has an `input_image` whose `image_url` is an object: write the address itself, a string.
        a:4: `body.n` is not for `/v1/responses`: remove it.
        a:4: `body.input` has parts for `/v1/chat/completions`: write `input_text` and `input_image` for `text` and `image_url`.
        ");
        let chats = [
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"input_text","text":"x"}]}],"text":{}}"#,
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":"u"}]}],"input":"x"}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"x"}],"max_output_tokens":5,"truncation":"auto"}"#,
        ];
        assert_snapshot!(warnings(Name::Openai, "/v1/chat/completions", &chats), @"
        a:1: `body.text` is not for `/v1/chat/completions`: write `response_format`.
        a:1: `body.messages` has parts for `/v1/responses`: write `text` and `image_url` for `input_text` and `input_image`.
        a:2: `body.input` is not for `/v1/chat/completions`: write `messages`.
        a:2: `body.messages` has an `image_url` that is a string: write an object with `url`.
        a:3: `body.truncation` is not for `/v1/chat/completions`: remove it.
        a:3: `body.max_output_tokens` is not for `/v1/chat/completions`: write `max_completion_tokens`.
        ");
        assert_snapshot!(warnings(Name::Compatible, "/v1/chat/completions", &chats), @"
        a:1: `body.text` is not for `/v1/chat/completions`: write `response_format`.
        a:1: `body.messages` has parts for `/v1/responses`: write `text` and `image_url` for `input_text` and `input_image`.
        a:2: `body.input` is not for `/v1/chat/completions`: write `messages`.
        a:3: `body.max_output_tokens` is not for `/v1/chat/completions`: write `max_completion_tokens`.
        ");
    }

    #[test]
    fn what_is_almost_right_is_a_warning() {
        let chats = [
            r#"{"model":"m","messages":[{"role":"human","content":"x"}],"max_token":5,"temperature":"0.7"}"#,
            r#"{"model":"m","messages":[{"role":"asistant","content":"x"}],"n":1,"n":2,"parallel_tool_calls":"true"}"#,
            r#"{"model":"m","messages":[{"role":"critic","role":"x","content":"x"}],"maxTokens":5}"#,
        ];
        assert_snapshot!(warnings(Name::Openai, "/v1/chat/completions", &chats), @"
        a:1: `body.temperature` has another type than the API takes: write a number, without quotes.
        a:1: `body.max_token` is unknown to the API, which has `max_tokens`: write that if it was meant.
        a:1: `body.messages` has the role `human`: write `user`.
        a:2: `body.parallel_tool_calls` has another type than the API takes: write `true` or `false`.
        a:2: `body.n` is given twice, and servers take the first or the last: remove one.
        a:2: `body.messages` has the role `asistant`: write `assistant`.
        a:3: `body.maxTokens` is unknown to the API, which has `max_tokens`: write that if it was meant.
        a:3: `body.messages` has a message with two roles or two contents: remove one.
        a:3: `body.messages` has the role `critic`: write `user`, `assistant`, `system`, `developer` or `tool`.
        ");
    }

    #[test]
    fn what_servers_take_beside_is_no_warning() {
        let chats = [
            r#"{"model":"m","messages":[{"role":"user","content":null,"name":"n"}],"top_k":5,"min_p":0.1,"min_tokens":1}"#,
            r#"{"model":"m","messages":[{"role":"ipython","content":[]}],"guided_json":{},"chat_template_kwargs":{}}"#,
            r#"{"model":"m","messages":[{"role":"tool","content":"x","tool_call_id":"t"}],"stop":["a"],"reasoning":{}}"#,
            r#"{"model":"m","messages":["x",7,null,[[1]]],"temperature":null,"tool_choice":"auto","tools":[]}"#,
        ];
        assert_eq!(warnings(Name::Compatible, "/v1/chat/completions", &chats), "");
        let responses = [
            r#"{"model":"m","input":[{"type":"message","role":"developer","content":[{"type":"input_text","text":"x"}]}]}"#,
            r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":"x"}],"text":{"format":{}}}"#,
            r#"{"model":"m","input":[{"role":"assistant","content":[{"type":"output_text","text":"x"}]}],"store":false}"#,
        ];
        assert_eq!(warnings(Name::Openai, "/v1/responses", &responses), "");
        let embeddings = [r#"{"model":"m","input":[1,2]}"#, r#"{"model":"m","input":["x"],"dimensions":8}"#];
        assert_eq!(warnings(Name::Openai, "/v1/embeddings", &embeddings), "");
    }

    #[test]
    fn equal_warnings_are_counted_and_few_are_kept() {
        let body = r#"{"model":"m","prompt":"x","max_completion_tokens":5}"#;
        assert_snapshot!(warnings(Name::Openai, "/v1/completions", &[body; 12]), @"a:1 and 11 more lines: `body.max_completion_tokens` is not for `/v1/completions`: write `max_tokens`.");
        let many: Vec<String> =
            (0..50).map(|at| format!(r#"{{"model":"m","messages":[{{"role":"r{at}","content":"x"}}]}}"#)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(warnings(Name::Openai, "/v1/chat/completions", &many).lines().count(), 20);
    }
}
