//! What OpenAI bills of a request as input.
//!
//! The tokens around messages are those of OpenAI's cookbook, "How to count tokens with tiktoken", whose counts for
//! tools were published for models up to gpt-4o. How schemas of answers are given to a model is not published.

use super::images::Rule;
use crate::dialects::{Billed, Uncounted};
use crate::json::raw::{members, members_of};
use crate::json::tree::Tree;

/// Around each message, and before the answer.
const MESSAGE: u64 = 3;
const REPLY: u64 = 3;
/// For a name of a message, and around a call that the model made.
const NAME: u64 = 1;
const CALL: u64 = 3;

/// The members of a body that are billed, on any endpoint, also those of servers that rank documents.
const BILLED: [&str; 16] = [
    "messages",
    "input",
    "prompt",
    "suffix",
    "instructions",
    "tools",
    "functions",
    "response_format",
    "text",
    "query",
    "documents",
    "system",
    "previous_response_id",
    "conversation",
    "image",
    "images",
];

/// What is billed of a line, by the rules for a model.
pub(super) fn billed<'l>(line: &'l str, model: Option<&str>) -> Billed<'l> {
    let mut reader = Reader { billed: Billed::default(), rule: Rule::of(model) };
    let [body] = members(line, ["body"]);
    for (name, json) in BILLED.into_iter().zip(members_of(body, BILLED)) {
        let Some(json) = json else { continue };
        match Tree::read(json) {
            Some(value) => reader.member(name, &value),
            None => reader.billed.leave_out(Uncounted::Unread, json.get().len() as u64),
        }
    }
    reader.billed
}

struct Reader<'l> {
    billed: Billed<'l>,
    rule: Rule,
}

impl<'l> Reader<'l> {
    fn member(&mut self, name: &str, value: &Tree<'l>) {
        match name {
            "messages" => {
                self.billed.tokens += REPLY;
                value.list().iter().for_each(|message| self.message(message));
            }
            "input" => self.input(value),
            "tools" => value.list().iter().for_each(|tool| self.tool(tool)),
            "functions" => value.list().iter().for_each(|function| self.billed.tool(function, "parameters")),
            "response_format" => self.schema(value.get("json_schema")),
            "text" => self.schema(value.get("format")),
            "prompt" if !value.members().is_empty() => self.billed.leave_out(Uncounted::StoredPrompts, 0),
            "previous_response_id" | "conversation" if *value != Tree::Null => {
                self.billed.leave_out(Uncounted::StoredPrompts, 0);
            }
            "image" | "images" if *value != Tree::Null => self.billed.leave_out(Uncounted::StoredFiles, 0),
            "previous_response_id" | "conversation" | "image" | "images" => {}
            _ => self.plain(value),
        }
    }

    /// Texts, and tokens as numbers.
    fn plain(&mut self, value: &Tree<'l>) {
        match value {
            Tree::Text(text) => self.billed.text(text.clone()),
            Tree::Number(_) => self.billed.tokens += 1,
            Tree::List(list) => list.iter().for_each(|value| self.plain(value)),
            Tree::Object(members) => members.iter().for_each(|(_, value)| self.plain(value)),
            Tree::Null | Tree::Bool(_) => {}
        }
    }

    /// The input of a response, an embedding or a judgement.
    fn input(&mut self, value: &Tree<'l>) {
        let is_items = value.list().iter().any(|item| !item.members().is_empty());
        if !is_items {
            return self.plain(value);
        }
        self.billed.tokens += REPLY;
        for item in value.list() {
            match item.get("type").word() {
                "function_call" | "custom_tool_call" | "mcp_call" => {
                    self.billed.tokens += MESSAGE;
                    self.call(item, if item.get("arguments") == &Tree::Null { "input" } else { "arguments" });
                }
                "function_call_output" | "custom_tool_call_output" => {
                    self.billed.tokens += MESSAGE + 1;
                    self.content(item.get("output"));
                }
                "item_reference" => self.billed.leave_out(Uncounted::StoredPrompts, 0),
                "reasoning" => {
                    let most = item.get("encrypted_content").word().len() as u64 / 4;
                    self.billed.leave_out(Uncounted::StoredPrompts, most);
                }
                "" | "message" if item.get("role") != &Tree::Null => self.message(item),
                _ => self.part(item),
            }
        }
    }

    fn message(&mut self, message: &Tree<'l>) {
        self.billed.tokens += MESSAGE;
        self.plain(message.get("role"));
        if let Some(name) = message.get("name").text() {
            self.billed.tokens += NAME;
            self.billed.text(name.clone());
        }
        self.content(message.get("content"));
        self.plain(message.get("refusal"));
        for call in message.get("tool_calls").list() {
            let kind = if call.get("custom") == &Tree::Null { "function" } else { "custom" };
            self.call(call.get(kind), if kind == "custom" { "input" } else { "arguments" });
        }
        if message.get("function_call") != &Tree::Null {
            self.call(message.get("function_call"), "arguments");
        }
    }

    /// A call that the model made.
    fn call(&mut self, call: &Tree<'l>, arguments: &str) {
        self.billed.tokens += CALL;
        self.plain(call.get("name"));
        self.plain(call.get(arguments));
    }

    fn content(&mut self, content: &Tree<'l>) {
        match content {
            Tree::Text(text) => self.billed.text(text.clone()),
            parts => parts.list().iter().for_each(|part| self.part(part)),
        }
    }

    fn part(&mut self, part: &Tree<'l>) {
        let (image, detail) = (part.get("image_url"), part.get("detail").word());
        match part.get("type").word() {
            "image_url" | "input_image" if part.get("file_id") != &Tree::Null => {
                self.billed.leave_out(Uncounted::StoredFiles, 0);
                self.billed.media += self.rule.image("", detail);
            }
            "image_url" | "input_image" => {
                let url = image.text().map_or_else(|| image.get("url").word(), AsRef::as_ref);
                let detail = if detail.is_empty() { image.get("detail").word() } else { detail };
                self.billed.media += self.rule.image(url, detail);
            }
            // A token is a tenth of a second, and the smallest that people send has 4 KB a second.
            "input_audio" => {
                let data = part.get("input_audio").get("data").word().len() as u64;
                self.billed.leave_out(Uncounted::Audio, data / 400);
            }
            "video_url" | "input_video" => self.billed.leave_out(Uncounted::Video, 0),
            "file" | "input_file" => {
                let file = if part.get("file") == &Tree::Null { part } else { part.get("file") };
                let data = file.get("file_data").word().len() as u64;
                let what = if data > 0 { Uncounted::Documents } else { Uncounted::StoredFiles };
                self.billed.leave_out(what, Billed::most_of_document(data));
            }
            "refusal" => self.plain(part.get("refusal")),
            _ => self.plain(part.get("text")),
        }
    }

    fn tool(&mut self, tool: &Tree<'l>) {
        match tool.get("type").word() {
            "function" | "" if tool.get("function") != &Tree::Null => {
                self.billed.tool(tool.get("function"), "parameters");
            }
            "function" | "" => self.billed.tool(tool, "parameters"),
            "custom" if tool.get("custom") != &Tree::Null => self.billed.tool(tool.get("custom"), "format"),
            "custom" => self.billed.tool(tool, "format"),
            _ => self.billed.leave_out(Uncounted::VendorTools, 0),
        }
    }

    /// The schema of an answer, in the object that names it.
    fn schema(&mut self, format: &Tree<'l>) {
        if format.get("schema") != &Tree::Null {
            self.plain(format.get("name"));
            self.plain(format.get("description"));
            self.billed.schema(format.get("schema"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dialects::{Billed, Name, choose};

    /// What is billed of a request with this body: its texts, those that are rewritten, tokens, and what is left out.
    fn of(body: &str) -> (String, String, u64, u64, u8) {
        let line = format!(r#"{{"custom_id":"not billed","method":"POST","url":"/v1/x","body":{body}}}"#);
        let billed: Billed<'_> = choose(Name::Openai).dialect.billed(&line, Some("gpt-4o"));
        let (texts, rewritten) = (billed.texts.join("|"), billed.rewritten.join("|"));
        (texts, rewritten, billed.tokens, billed.media.likely, billed.uncounted)
    }

    fn texts(body: &str) -> (String, u64) {
        let (texts, rewritten, tokens, media, uncounted) = of(body);
        assert_eq!((rewritten.as_str(), media, uncounted), ("", 0, 0), "{body}");
        (texts, tokens)
    }

    #[test]
    fn texts_are_decoded_and_the_envelope_is_not_billed() {
        for (body, expected, tokens) in [
            (r#"{"model":"m","user":"u","metadata":{"a":"b"},"input":"\u4eba \"x\""}"#, "人 \"x\"", 0),
            (
                r#"{"messages":[{"role":"system","content":"a"},{"role":"user","name":"bo","content":"b"}]}"#,
                "system|a|user|bo|b",
                10,
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#,
                "user|a|b",
                6,
            ),
            (
                r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"r"}]}"#,
                "assistant|f|{}|tool|r",
                12,
            ),
            (
                r#"{"messages":[{"role":"assistant","refusal":"no","function_call":{"name":"f","arguments":"{}"}}]}"#,
                "assistant|no|f|{}",
                9,
            ),
            (r#"{"input":["a","b"]}"#, "a|b", 0),
            (r#"{"input":[1,2,3]}"#, "", 3),
            (r#"{"input":[[1,2],[3]]}"#, "", 3),
            (r#"{"prompt":["a","b"],"suffix":"s"}"#, "a|b|s", 0),
            (r#"{"prompt":[[1,2],[3]]}"#, "", 3),
            (r#"{"query":"q","documents":["d",{"text":"e"}]}"#, "q|d|e", 0),
            (
                r#"{"instructions":"i","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"b"}]}]}"#,
                "user|a|assistant|b|i",
                9,
            ),
            (
                r#"{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"r"}]}"#,
                "f|{}|r",
                13,
            ),
        ] {
            assert_eq!(texts(body), (expected.to_owned(), tokens), "{body}");
        }
    }

    #[test]
    fn tools_and_schemas_are_billed_in_a_form_of_their_own() {
        let schema = r#"{"type":"object","properties":{"city":{"type":"string","description":"where."},"in":{"type":"object","properties":{"unit":{"type":"string","enum":["C","F"]}}}}}"#;
        let written = r#"f:does.|city:string:where|in:object:|unit:string:|"C"|"F""#.replace("does.", "does");
        let function = format!(r#"{{"name":"f","description":"does.","parameters":{schema}}}"#);
        for body in [
            format!(r#"{{"tools":[{{"type":"function","function":{function}}}]}}"#),
            format!(r#"{{"tools":[{}]}}"#, function.replacen('{', r#"{"type":"function","#, 1)),
            format!(r#"{{"functions":[{function}]}}"#),
        ] {
            let (texts, rewritten, ..) = of(&body);
            assert_eq!((texts.as_str(), rewritten), ("", written.clone()), "{body}");
        }
        for body in [
            format!(r#"{{"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}}}"#),
            format!(r#"{{"text":{{"format":{{"type":"json_schema","name":"n","schema":{schema}}}}}}}"#),
        ] {
            let (texts, rewritten, ..) = of(&body);
            assert_eq!((texts.as_str(), rewritten.as_str()), ("n", schema), "{body}");
        }
    }

    #[test]
    fn what_is_no_text_is_counted_by_its_rule_or_named() {
        let names = |body: &str| {
            let (.., uncounted) = of(body);
            crate::dialects::Uncounted::ALL
                .iter()
                .filter(|(what, _)| uncounted & *what as u8 != 0)
                .map(|(_, name)| *name)
                .collect::<Vec<_>>()
                .join("|")
        };
        let part = |part: &str| format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
        let (pdf, audio) = ("A".repeat(4_000), "A".repeat(40_000));
        for (body, name) in [
            (part(&format!(r#"{{"type":"file","file":{{"file_data":"{pdf}"}}}}"#)), "PDFs"),
            (part(&format!(r#"{{"type":"input_audio","input_audio":{{"data":"{audio}"}}}}"#)), "audio"),
            (part(r#"{"type":"video_url","video_url":{"url":"u"}}"#), "video"),
            (part(r#"{"type":"file","file":{"file_id":"f"}}"#), "files stored at the provider"),
            (r#"{"prompt":{"id":"p"}}"#.to_owned(), "prompts and conversations stored at the provider"),
            (r#"{"previous_response_id":"r"}"#.to_owned(), "prompts and conversations stored at the provider"),
            (r#"{"tools":[{"type":"web_search"}]}"#.to_owned(), "what tools that the provider runs add"),
            (format!(r#"{{"input":{}{}}}"#, "[".repeat(500), "]".repeat(500)), "deeply nested requests"),
        ] {
            assert_eq!(names(&body), name, "{body}");
        }
        let image = r#"{"type":"image_url","image_url":{"url":"https://x/a.png","detail":"low"}}"#;
        let (texts, _, tokens, media, uncounted) = of(&part(image));
        assert_eq!((texts.as_str(), tokens, media, uncounted), ("user", 6, 85, 0));
        let image = r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"https://x/a.png"}]}]}"#;
        assert_eq!(of(image).3, 85 + 4 * 170);
    }
}
