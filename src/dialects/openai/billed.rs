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
            Tree::Text(text) => self.billed.text(text),
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
            self.billed.text(name);
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
            Tree::Text(text) => self.billed.text(text),
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
                let url = image.text().map_or_else(|| image.get("url").word(), |url| url);
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
