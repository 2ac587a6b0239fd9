//! Answers that end in another way than asked for: chat completions and responses that are refused, cut off,
//! filtered, call a tool, or do not fit their schema.

use serde_json::{Value, json};

use crate::made_up::{first_half, off_schema};

/// Makes an answer end for the reason `word`. Bodies without a text of a model's stay as they are.
pub(super) fn stop(body: &mut Value, word: &str) {
    if let Some(choices) = body["choices"].as_array_mut() {
        choices.iter_mut().for_each(|choice| stop_choice(choice, word));
    } else if body["output"].is_array() {
        stop_response(body, word);
    }
}

fn stop_choice(choice: &mut Value, word: &str) {
    let text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
    let message = &mut choice["message"];
    match word {
        "refusal" => (message["content"], message["refusal"]) = (Value::Null, json!("I cannot simulate that.")),
        "tool_calls" => {
            message["content"] = Value::Null;
            let function = json!({"name": "simulated", "arguments": "{}"});
            message["tool_calls"] = json!([{"id": "call_simulated", "type": "function", "function": function}]);
        }
        _ => message["content"] = first_half(&text).into(),
    }
    choice["finish_reason"] = if word == "refusal" { "stop" } else { word }.into();
}

fn stop_response(body: &mut Value, word: &str) {
    let text = body["output"][0]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    match word {
        "refusal" => {
            body["output"][0]["content"] = json!([{"type": "refusal", "refusal": "I cannot simulate that."}]);
        }
        "tool_calls" => {
            body["output"] = json!([{"type": "function_call", "call_id": "call_simulated", "name": "simulated",
                "arguments": "{}", "status": "completed"}]);
        }
        _ => {
            body["output"][0]["content"][0]["text"] = first_half(&text).into();
            let reason = if word == "length" { "max_output_tokens" } else { word };
            (body["status"], body["incomplete_details"]) = (json!("incomplete"), json!({"reason": reason}));
        }
    }
}

/// Makes the answer's text one that its schema does not allow.
pub(super) fn misfit(body: &mut Value) {
    let is_chat = body["choices"].is_array();
    let texts = if is_chat { body["choices"].as_array_mut() } else { body["output"].as_array_mut() };
    for item in texts.into_iter().flatten() {
        let text = if is_chat { &mut item["message"]["content"] } else { &mut item["content"][0]["text"] };
        *text = off_schema(text.as_str().unwrap_or_default()).into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::answers::answer;
    use super::{misfit, stop};

    fn stopped(endpoint: &str, word: &str) -> Value {
        let request = json!({"model": "m", "input": "x", "messages": [{"role": "user", "content": "x"}]});
        let mut body = answer(endpoint, &request, "tag", 0).body;
        stop(&mut body, word);
        body
    }

    #[test]
    fn answers_stop_in_their_endpoints_words() {
        let chat = |word| stopped("/v1/chat/completions", word)["choices"][0].clone();
        assert_eq!(chat("length")["finish_reason"], "length");
        assert_eq!(chat("content_filter")["message"]["content"], "Simulated ans");
        assert_eq!(chat("refusal")["message"]["refusal"], "I cannot simulate that.");
        assert_eq!(chat("tool_calls")["message"]["tool_calls"][0]["type"], "function");
        let response = |word| stopped("/v1/responses", word);
        assert_eq!(response("length")["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(response("content_filter")["status"], "incomplete");
        assert_eq!(response("refusal")["output"][0]["content"][0]["type"], "refusal");
        assert_eq!(response("tool_calls")["output"][0]["type"], "function_call");
        assert_eq!(stopped("/v1/embeddings", "length")["data"][0]["object"], "embedding");
    }

    #[test]
    fn an_answer_that_is_to_misfit_has_null_where_its_schema_has_none() {
        let mut body = json!({"choices": [{"message": {"content": "{\"a\":\"x\",\"b\":1}"}}]});
        misfit(&mut body);
        assert_eq!(body["choices"][0]["message"]["content"], "{\"a\":null,\"b\":1}");
    }
}
