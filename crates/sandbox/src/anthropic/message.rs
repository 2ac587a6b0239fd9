//! Made-up answers of the Messages API: the same request gets the same answer.

use serde_json::{Value, json};

use crate::made_up::{last_user_text, text_bytes, tokens, told};
use crate::specimen::specimen;

/// Answers a request. `tag` makes the ids inside, `stop` is the reason that a fault asks for.
pub(super) fn message(params: &Value, tag: &str, stop: Option<&'static str>) -> Value {
    let most = params["max_tokens"].as_u64().unwrap_or(u64::MAX);
    let text = text(params);
    let natural = if tokens(text.len()) > most { "max_tokens" } else { "end_turn" };
    let reason = stop.unwrap_or(natural);
    let content = match reason {
        "refusal" => json!([]),
        "tool_use" => json!([tool_use(params, tag)]),
        // Half of an answer, where it is a fault that stops it.
        "max_tokens" if natural == "end_turn" => said(cut(&text, text.len() / 2)),
        "max_tokens" => said(cut(&text, usize::try_from(most.saturating_mul(4)).unwrap_or(usize::MAX))),
        _ => said(&text),
    };
    let stop_sequence = (reason == "stop_sequence").then(|| params["stop_sequences"][0].as_str().unwrap_or("STOP"));
    json!({
        "id": format!("msg_{tag}"), "type": "message", "role": "assistant", "model": params["model"],
        "content": content, "stop_reason": reason, "stop_sequence": stop_sequence,
        "usage": usage(params, tag, tokens(text_bytes(&content)).min(most)),
    })
}

fn said(text: &str) -> Value {
    json!([{"type": "text", "text": text, "citations": null}])
}

/// The answer's text: JSON where the request asks for it.
fn text(params: &Value) -> String {
    let text = told(last_user_text(&params["messages"]));
    let format = &params["output_config"]["format"];
    match format["type"].as_str() {
        Some("json_schema") => specimen(&format["schema"], &text).to_string(),
        _ => text,
    }
}

fn tool_use(params: &Value, tag: &str) -> Value {
    let tool = &params["tools"][0];
    let input =
        if tool["input_schema"].is_object() { specimen(&tool["input_schema"], "Simulated input") } else { json!({}) };
    let name = tool["name"].as_str().unwrap_or("simulated");
    json!({"type": "tool_use", "id": format!("toolu_{tag}"), "name": name, "input": input})
}

/// The first so many bytes of a text, or as many fewer as a character needs.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// Tokens that are read from the cache, that are written to it, and that are neither are counted apart. What carries
/// `cache_control` is cached: one row in two writes it, the others read it.
fn usage(params: &Value, tag: &str, output: u64) -> Value {
    let whole = ["system", "messages", "tools"].iter().map(|name| text_bytes(&params[*name])).sum();
    let mut cached = Cached::default();
    for name in ["system", "messages", "tools"] {
        cached.add(&params[name]);
    }
    let all = tokens(whole);
    let [five_minutes, hour] =
        [cached.five_minutes, cached.hour].map(|bytes| if bytes == 0 { 0 } else { tokens(bytes) });
    let kept = (five_minutes + hour).min(all);
    let hour = hour.min(kept);
    let writes = tag.bytes().last().is_some_and(|last| last % 2 == 0);
    let (written, read) = if writes { (kept, 0) } else { (0, kept) };
    let [five_minutes, hour] = if writes { [kept - hour, hour] } else { [0, 0] };
    json!({
        "input_tokens": all - kept, "cache_creation_input_tokens": written, "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": hour},
        "output_tokens": output, "service_tier": "batch",
    })
}

/// The bytes of what is cached, by how long it is kept.
#[derive(Default)]
struct Cached {
    five_minutes: usize,
    hour: usize,
}

impl Cached {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(block) => match block.get("cache_control").filter(|control| !control.is_null()) {
                Some(control) if control["ttl"] == "1h" => self.hour += text_bytes(value),
                Some(_) => self.five_minutes += text_bytes(value),
                None => block.values().for_each(|member| self.add(member)),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::message;

    fn params() -> Value {
        json!({"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "Why is the sky blue?"}]})
    }

    fn sum(usage: &Value) -> u64 {
        let names = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
        names.iter().map(|name| usage[*name].as_u64().unwrap()).sum()
    }

    #[test]
    fn a_message_answers_the_last_user_turn() {
        let told = message(&params(), "tag0", None);
        assert_eq!(told["content"][0]["text"], "Simulated answer to “Why is the sky blue?”");
        assert_eq!((&told["stop_reason"], &told["model"]), (&json!("end_turn"), &json!("claude")));
        assert_eq!((&told["usage"]["service_tier"], &told["id"]), (&json!("batch"), &json!("msg_tag0")));
        assert_eq!(told, message(&params(), "tag0", None));
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let mut asked = params();
        asked["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
        let text = message(&asked, "tag0", None)["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("{\"a\":\"Simulated"), "{text}");
    }

    #[test]
    fn cached_tokens_are_counted_apart() {
        let mut asked = params();
        asked["system"] = json!([{"type": "text", "text": "x".repeat(4_000), "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "y".repeat(400), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
        let (writes, reads) = (message(&asked, "tag0", None), message(&asked, "tag1", None));
        let (writes, reads) = (&writes["usage"], &reads["usage"]);
        assert!(writes["cache_creation_input_tokens"].as_u64().unwrap() > 1_000, "{writes}");
        assert!(writes["cache_creation"]["ephemeral_1h_input_tokens"].as_u64().unwrap() >= 100, "{writes}");
        assert_eq!(writes["cache_creation_input_tokens"], reads["cache_read_input_tokens"]);
        assert_eq!((&writes["cache_read_input_tokens"], &reads["cache_creation_input_tokens"]), (&json!(0), &json!(0)));
        assert_eq!((sum(writes), &writes["input_tokens"]), (sum(reads), &reads["input_tokens"]));
        assert!(writes["input_tokens"].as_u64().unwrap() < 20, "{writes}");
    }

    #[test]
    fn messages_stop_for_several_reasons() {
        let mut short = params();
        short["max_tokens"] = json!(3);
        let told = message(&short, "tag0", None);
        assert_eq!((&told["stop_reason"], &told["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(3)));
        assert_eq!(told["content"][0]["text"], "Simulated an");
        let told = |stop| message(&params(), "tag0", Some(stop));
        assert_eq!(told("refusal")["content"], json!([]));
        assert_eq!(told("tool_use")["content"][0]["type"], "tool_use");
        assert_eq!(told("stop_sequence")["stop_sequence"], "STOP");
        assert!(told("max_tokens")["content"][0]["text"].as_str().unwrap().len() < 30);
        assert_eq!(told("pause_turn")["stop_reason"], "pause_turn");
    }
}
