//! Answers, made from nothing but the request: the same request gets the same answer.
//!
//! Every answer that holds text says that it is simulated, so that nobody takes
//! it for a model's. Bodies have the shape of their endpoint and plausible
//! `usage`; tokens are estimated as a quarter of the bytes.

use serde_json::{Value, json};

use crate::made_up::{first_text, last_user_text, text_bytes, tokens, told};
use crate::specimen::specimen;

/// A transparent picture of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// The body of an answer with status 200, and the tokens it says it used.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) body: Value,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

/// Answers a request of an endpoint.
///
/// `tag` makes the ids inside the body, `at` is the time in Unix seconds.
pub(super) fn answer(endpoint: &str, request: &Value, tag: &str, at: i64) -> Answer {
    let asked = Asked { request, tag, at, model: request["model"].as_str().unwrap_or("simulated") };
    match endpoint {
        "/v1/chat/completions" => asked.chat(),
        "/v1/responses" => asked.responses(),
        "/v1/embeddings" => asked.embeddings(),
        "/v1/completions" => asked.completions(),
        "/v1/moderations" => asked.moderations(),
        "/v1/videos" => asked.video(),
        // The two image endpoints.
        _ => asked.images(),
    }
}

struct Asked<'a> {
    request: &'a Value,
    tag: &'a str,
    at: i64,
    model: &'a str,
}

impl Asked<'_> {
    fn chat(&self) -> Answer {
        let messages = &self.request["messages"];
        let text = self.told(last_user_text(messages), &self.request["response_format"], "json_schema");
        let count = self.request["n"].as_u64().unwrap_or(1).clamp(1, 128);
        let (input, output) = (tokens(text_bytes(messages)), tokens(text.len()) * count);
        let choice = |index| {
            json!({"index": index, "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []},
                "logprobs": null, "finish_reason": "stop"})
        };
        let body = json!({
            "id": format!("chatcmpl-{}", self.tag), "object": "chat.completion", "created": self.at, "model": self.model,
            "choices": (0..count).map(choice).collect::<Value>(),
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
            "system_fingerprint": "fp_simulated",
        });
        Answer { body, input_tokens: input, output_tokens: output }
    }

    fn responses(&self) -> Answer {
        let input = &self.request["input"];
        let text = self.told(last_user_text(input), &self.request["text"]["format"], "");
        let bytes = text_bytes(input) + text_bytes(&self.request["instructions"]);
        let (used, output) = (tokens(bytes), tokens(text.len()));
        let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
        let body = json!({
            "id": format!("resp_{}", self.tag), "object": "response", "created_at": self.at, "status": "completed",
            "model": self.model, "error": null, "incomplete_details": null,
            "output": [{"id": format!("msg_{}", self.tag), "type": "message", "status": "completed", "role": "assistant",
                "content": content}],
            "usage": {"input_tokens": used, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": used + output},
        });
        Answer { body, input_tokens: used, output_tokens: output }
    }

    fn completions(&self) -> Answer {
        let prompt = &self.request["prompt"];
        let text = told(first_text(prompt));
        let (input, output) = (tokens(text_bytes(prompt)), tokens(text.len()));
        let body = json!({
            "id": format!("cmpl-{}", self.tag), "object": "text_completion", "created": self.at, "model": self.model,
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
        });
        Answer { body, input_tokens: input, output_tokens: output }
    }

    /// Vectors are short unless `dimensions` says otherwise: their numbers mean nothing.
    fn embeddings(&self) -> Answer {
        let input = &self.request["input"];
        let dimensions = self.request["dimensions"].as_u64().unwrap_or(8).clamp(1, 4_096);
        let inputs: Vec<&Value> = match input {
            Value::Array(items) if !items.iter().all(Value::is_number) => items.iter().collect(),
            single => vec![single],
        };
        let vector = |(index, input): (usize, &&Value)| json!({"object": "embedding", "index": index, "embedding": unit_vector(input, dimensions)});
        let used = tokens(text_bytes(input));
        let body = json!({
            "object": "list", "model": self.model, "data": inputs.iter().enumerate().map(vector).collect::<Value>(),
            "usage": {"prompt_tokens": used, "total_tokens": used},
        });
        Answer { body, input_tokens: used, output_tokens: 0 }
    }

    fn moderations(&self) -> Answer {
        let names = ["harassment", "hate", "illicit", "self-harm", "sexual", "violence"];
        let flags: Value = names.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
        let scores: Value = names.iter().map(|name| ((*name).to_owned(), json!(0.0))).collect();
        let count = self.request["input"].as_array().map_or(1, Vec::len);
        let result = json!({"flagged": false, "categories": flags, "category_scores": scores});
        let body = json!({"id": format!("modr-{}", self.tag), "model": self.model, "results": vec![result; count]});
        Answer { body, input_tokens: 0, output_tokens: 0 }
    }

    fn images(&self) -> Answer {
        let prompt = &self.request["prompt"];
        let count = self.request["n"].as_u64().unwrap_or(1).clamp(1, 10);
        let (input, output) = (tokens(text_bytes(prompt)), 272 * count);
        let picture = json!({"b64_json": PIXEL, "revised_prompt": told(first_text(prompt))});
        let body = json!({
            "created": self.at, "data": (0..count).map(|_| picture.clone()).collect::<Value>(),
            "usage": {"input_tokens": input, "input_tokens_details": {"text_tokens": input, "image_tokens": 0},
                "output_tokens": output, "total_tokens": input + output},
        });
        Answer { body, input_tokens: input, output_tokens: output }
    }

    fn video(&self) -> Answer {
        let body = json!({
            "id": format!("video_{}", self.tag), "object": "video", "model": self.model, "status": "completed", "progress": 100,
            "created_at": self.at, "completed_at": self.at, "prompt": told(first_text(&self.request["prompt"])),
            "seconds": self.request["seconds"].as_str().unwrap_or("4"),
            "size": self.request["size"].as_str().unwrap_or("720x1280"), "error": null,
        });
        Answer { body, input_tokens: 0, output_tokens: 0 }
    }

    /// The answer's text: JSON where the request asks for it.
    fn told(&self, question: &str, format: &Value, nested: &str) -> String {
        let text = told(question);
        let holder = format.get(nested).unwrap_or(format);
        match format["type"].as_str() {
            Some("json_schema") => specimen(&holder["schema"], &text).to_string(),
            Some("json_object") => json!({"answer": text}).to_string(),
            _ => text,
        }
    }
}

/// A vector of length 1 that depends on the input alone.
fn unit_vector(input: &Value, dimensions: u64) -> Vec<f64> {
    let hash = blake3::hash(input.to_string().as_bytes());
    let seed = u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]));
    let mut random = fastrand::Rng::with_seed(seed);
    let raw: Vec<f64> = (0..dimensions).map(|_| random.f64() - 0.5).collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.into_iter().map(|x| (x / length * 1e6).round() / 1e6).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Answer, answer};

    fn ask(endpoint: &str, request: &Value) -> Answer {
        answer(endpoint, request, "tag", 1_700_000_000)
    }

    #[test]
    fn a_chat_answers_the_last_user_message() {
        let parts = json!([{"type": "text", "text": "What is\n2 + 2?"}]);
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "old"},
            {"role": "assistant", "content": "x"}, {"role": "user", "content": parts}, {"role": "assistant", "content": "y"}]});
        let told = ask("/v1/chat/completions", &request);
        assert_eq!(told.body["choices"][0]["message"]["content"], "Simulated answer to “What is 2 + 2?”");
        assert_eq!(told.body["usage"]["prompt_tokens"], told.input_tokens);
        assert_eq!(told, ask("/v1/chat/completions", &request));
    }

    #[test]
    fn long_questions_are_shortened_at_a_character() {
        let request = json!({"model": "m", "input": "ü".repeat(400)});
        let told = ask("/v1/responses", &request);
        let text = told.body["output"][0]["content"][0]["text"].as_str().unwrap();
        assert_eq!(text, format!("Simulated answer to “{}…”", "ü".repeat(60)));
        assert_eq!(told.input_tokens, 200);
    }

    #[test]
    fn structured_output_is_json() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
        let chat = json!({"messages": [{"role": "user", "content": "q"}], "response_format": format});
        let text = ask("/v1/chat/completions", &chat).body["choices"][0]["message"]["content"].clone();
        assert_eq!(text, r#"{"a":"Simulated answer to “q”"}"#);
        let request = json!({"input": "q", "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}});
        assert_eq!(ask("/v1/responses", &request).body["output"][0]["content"][0]["text"], text);
    }

    #[test]
    fn every_endpoint_answers_in_its_shape() {
        let told = ask("/v1/embeddings", &json!({"model": "m", "input": ["a", "b"], "dimensions": 3})).body;
        assert_eq!((told["data"].as_array().unwrap().len(), told["data"][1]["index"].clone()), (2, json!(1)));
        assert_eq!(told["data"][0]["embedding"].as_array().unwrap().len(), 3);
        assert_ne!(told["data"][0]["embedding"], told["data"][1]["embedding"]);
        let told = ask("/v1/completions", &json!({"model": "m", "prompt": ["Once"]})).body;
        assert_eq!(told["choices"][0]["text"], "Simulated answer to “Once”");
        let told = ask("/v1/moderations", &json!({"input": ["a", "b"]})).body;
        assert_eq!((told["results"][1]["flagged"].clone(), told["model"].clone()), (json!(false), json!("simulated")));
        for endpoint in ["/v1/images/generations", "/v1/images/edits"] {
            let told = ask(endpoint, &json!({"prompt": "a cat", "n": 2}));
            assert_eq!((told.body["data"].as_array().unwrap().len(), told.output_tokens), (2, 544));
        }
        assert_eq!(ask("/v1/videos", &json!({"prompt": "rain"})).body["object"], "video");
    }
}
