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
    /// What is in `messages`.
    pub(super) messages: &'b Notes<'de>,
    /// What is in `input`.
    pub(super) input: &'b Notes<'de>,
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
        CHAT => turns(looks.messages, ("body.messages", CHAT), endpoints, &mut warnings),
        RESPONSES => turns(looks.input, ("body.input", RESPONSES), endpoints, &mut warnings),
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
    let most = if plain.len() < 6 { 1 } else { 2 };
    let is_near = |known: &&str| (4..20).contains(&plain.len()) && strsim::osa_distance(&plain, known) <= most;
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
    fn only_the_field_that_the_endpoint_takes_is_looked_into() {
        let chat = r#"[{"role":"usr","role":"x","content":[{"type":"text","text":"x"}]}]"#;
        let body = format!(r#"{{"model":"m","input":"x","messages":{chat}}}"#);
        assert_snapshot!(warnings(Name::Openai, "/v1/responses", &[&body]), @"a:1: `body.messages` is not for `/v1/responses`: write `input`.");
        let part = r#"[{"role":"usr","content":[{"type":"input_image","image_url":{"url":"u"}}]}]"#;
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"input":{part}}}"#);
        assert_snapshot!(warnings(Name::Openai, "/v1/chat/completions", &[&body]), @"a:1: `body.input` is not for `/v1/chat/completions`: write `messages`.");
        assert_snapshot!(warnings(Name::Openai, "/v1/responses", &[&body]), @"
        a:1: `body.messages` is not for `/v1/responses`: write `input`.
        a:1: `body.input` has an `input_image` whose `image_url` is an object: write the address itself, a string.
        a:1: `body.input` has the role `usr`: write `user`, `assistant`, `system`, `developer` or `tool`.
        ");
    }

    #[test]
    fn a_wrong_type_is_answered_with_the_right_one() {
        let chat = |rest: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{rest}}}"#);
        let chats = [
            chat(r#""temperature":"0.7""#),
            chat(r#""temperature":[1]"#),
            chat(r#""store":"true""#),
            chat(r#""store":1"#),
            chat(r#""logprobs":"5""#),
            chat(r#""logprobs":[]"#),
            chat(r#""stop":7"#),
            chat(r#""tools":"x""#),
        ];
        let chats: Vec<&str> = chats.iter().map(String::as_str).collect();
        assert_snapshot!(warnings(Name::Openai, "/v1/chat/completions", &chats), @"
        a:1: `body.temperature` has the wrong type: write a number, without quotes.
        a:2: `body.temperature` has the wrong type: write a number.
        a:3: `body.store` has the wrong type: write `true` or `false`, without quotes.
        a:4: `body.store` has the wrong type: write `true` or `false`.
        a:5: `body.logprobs` has the wrong type: write `true`, `false` or a number, without quotes.
        a:6: `body.logprobs` has the wrong type: write `true`, `false` or a number.
        a:7: `body.stop` has the wrong type: write a string or a list.
        a:8: `body.tools` has the wrong type: write a list.
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
        a:1: `body.temperature` has the wrong type: write a number, without quotes.
        a:1: `body.max_token` is unknown to the API, which has `max_tokens`: write that if it was meant.
        a:1: `body.messages` has the role `human`: write `user`.
        a:2: `body.parallel_tool_calls` has the wrong type: write `true` or `false`, without quotes.
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
            r#"{"model":"m","messages":[{"role":"user","content":"x","name":"n","name":"o"}],"top_k":5,"top_k":6}"#,
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

    /// Fields that servers take beside OpenAI's or as other types than OpenAI, each with such a value.
    const SERVERS: [(&str, &str); 7] = [
        (
            "vLLM and SGLang",
            "guided_json={} guided_regex='' guided_choice=[] guided_grammar='' guided_decoding_backend='' \
            structured_outputs={} top_k=5 min_p=0.1 repetition_penalty=1.1 length_penalty=1 min_tokens=1 stop_token_ids=[] \
            include_stop_str_in_output=true ignore_eos=true skip_special_tokens=true spaces_between_special_tokens=true \
            prompt_logprobs=1 truncate_prompt_tokens=1 add_generation_prompt=true continue_final_message=true \
            add_special_tokens=true documents=[] chat_template='' chat_template_kwargs={} mm_processor_kwargs={} \
            use_beam_search=true allowed_token_ids=[] bad_words=[] priority=1 request_id='' logits_processors=[] \
            return_tokens_as_token_ids=true return_token_ids=true cache_salt='' kv_transfer_params={} vllm_xargs={} \
            include_reasoning=true thinking_token_budget=1 regex='' ebnf='' no_stop_trim=true separate_reasoning=true \
            stream_reasoning=true lora_path='' session_params={} rid='' stop_regex=[] custom_logit_processor='' echo=true \
            best_of=1 normalize=true dimensions=1",
        ),
        (
            "llama.cpp, Ollama, TGI",
            "grammar='' json_schema={} mirostat=1 mirostat_tau=1 mirostat_eta=1 dynatemp_range=1 \
            dynatemp_exponent=1 typical_p=1 tfs_z=1 top_a=1 top_n_sigma=1 xtc_probability=1 xtc_threshold=1 \
            dry_multiplier=1 dry_base=1 dry_allowed_length=1 dry_penalty_last_n=1 repeat_penalty=1 repeat_last_n=1 \
            n_predict=1 n_probs=1 n_keep=1 id_slot=1 cache_prompt=true samplers=[] min_keep=1 timings_per_token=true \
            options={} keep_alive='' format='' think=true images=[] num_ctx=1 num_predict=1 tool_prompt='' adapter_id='' \
            max_new_tokens=1 return_full_text=true do_sample=true watermark=true decoder_input_details=true",
        ),
        (
            "OpenRouter",
            "provider={} transforms=[] models=[] route='' plugins=[] usage={} session_id='' top_k=1 top_a=1 min_p=1 \
            repetition_penalty=1 include_reasoning=true structured_outputs=true trace={} image_config={} debug={} \
            reasoning={}",
        ),
        ("Azure", "data_sources=[] dataSources=[] enhancements={} user_security_context={} input_type=''"),
        (
            "Mistral, Cohere, Voyage",
            "safe_prompt=true random_seed=1 prompt_mode='' guardrails=[] output_dimension=1 \
            output_dtype='' agent_id='' connectors=[] citation_quality='' safety_mode='' mode='' k=1 p=1 inputs=[] \
            embedding_types=[] truncate='' citation_options={} strict_tools=true raw_prompting=true",
        ),
        (
            "Groq, Together, Fireworks, Cerebras",
            "service_tier='' reasoning_format='' citation_options='' \
            compound_custom={} disable_tool_validation=true exclude_domains=[] include_domains=[] search_settings={} \
            safety_model='' context_length_exceeded_behavior='' compliance='' prompt_truncate_len=1 raw_output=true \
            perf_metrics_in_response=true mirostat_target=1 mirostat_lr=1 speculation='' prompt_cache_isolation_key='' \
            ignore_eos=true clear_thinking=true disable_reasoning=true top_k=1",
        ),
        (
            "DeepSeek, Qwen, xAI, Perplexity, Gemini, others",
            "thinking={} enable_thinking=true thinking_budget=1 \
            preserve_thinking=true enable_search=true search_options={} result_format='' incremental_output=true \
            vl_high_resolution_images=true translation_options={} asr_options={} enable_code_interpreter=true \
            search_parameters={} deferred=true search_domain_filter=[] search_recency_filter='' search_mode='' \
            return_images=true return_related_questions=true disable_search=true search_after_date_filter='' \
            last_updated_after_filter='' extra_body={} google={} cached_content='' safety_settings=[] \
            mask_sensitive_info=true tool_stream=true do_sample=true request_id='' user_id='' bot_setting=[] speed='' \
            guardrailConfig={} tags=[] metadata={} cache={} caching=true mock_response='' fallbacks=[] num_retries=1 \
            api_key='' api_base='' drop_params=true timeout=1",
        ),
    ];

    #[test]
    fn no_field_of_a_server_is_a_near_miss() {
        let rests = [
            ("/v1/chat/completions", r#""messages":[{"role":"user","content":"x"}]"#),
            ("/v1/completions", r#""prompt":"x""#),
            ("/v1/embeddings", r#""input":"x""#),
            ("/v1/responses", r#""input":"x""#),
        ];
        let mut told = Vec::new();
        for (server, fields) in SERVERS {
            for (name, value) in fields.split_whitespace().filter_map(|field| field.split_once('=')) {
                for (url, rest) in rests {
                    let body = format!(r#"{{"model":"m",{rest},"{name}":{}}}"#, value.replace('\'', "\""));
                    let compatible = warnings(Name::Compatible, url, &[&body]);
                    let openai = warnings(Name::Openai, url, &[&body]);
                    let openai = openai.lines().filter(|line| line.contains("is unknown"));
                    told.extend(compatible.lines().chain(openai).map(|line| format!("{server}, {url}: {line}")));
                }
            }
        }
        assert_eq!(told, [""; 0]);
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

    #[test]
    fn a_line_is_counted_once_however_often_it_has_the_mistake() {
        let chat = |rest: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{rest}}}"#);
        let (once, twice) = (chat(r#""temprature":1"#), chat(r#""temprature":1,"temprature":2"#));
        assert_snapshot!(warnings(Name::Openai, "/v1/chat/completions", &[&once, &twice]), @"a:1 and 1 more line: `body.temprature` is unknown to the API, which has `temperature`: write that if it was meant.");
        assert_snapshot!(warnings(Name::Openai, "/v1/chat/completions", &[&twice]), @"a:1: `body.temprature` is unknown to the API, which has `temperature`: write that if it was meant.");
    }
}
