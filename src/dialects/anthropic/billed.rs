//! What Anthropic bills of a request as input.
//!
//! What comes around messages is not published; what it bills for tools, and that an image has one token for 750
//! pixels, is in its documentation, "Tool use" and "Vision" (2026-11).

use crate::dialects::{Billed, Interval, Uncounted, fitted, pixels};
use crate::json::raw::{members, members_of};
use crate::json::tree::Tree;

/// Around each message, and around all of them.
const MESSAGE: u64 = 3;
const REQUEST: u64 = 4;
/// What tells the model how to use tools.
const TOOL_USE: u64 = 346;
/// The longest side of an image, and its tokens at most; and the same where a model sees more.
const LIMITS: [(u64, u64); 2] = [(1_568, 1_600), (2_576, 4_784)];

const BILLED: [&str; 7] = ["messages", "system", "tools", "output_config", "output_format", "mcp_servers", "container"];

/// What is billed of a line.
pub(super) fn billed(line: &str) -> Billed<'_> {
    let mut billed = Billed::default();
    billed.tokens += REQUEST;
    let [params] = members(line, ["params"]);
    for (name, json) in BILLED.into_iter().zip(members_of(params, BILLED)) {
        let Some(json) = json else { continue };
        match Tree::read(json) {
            Some(value) => member(&mut billed, name, &value),
            None => billed.leave_out(Uncounted::Unread, json.get().len() as u64),
        }
    }
    billed
}

fn member<'l>(billed: &mut Billed<'l>, name: &str, value: &Tree<'l>) {
    match name {
        "messages" => {
            for message in value.list() {
                billed.tokens += MESSAGE;
                content(billed, message.get("content"));
            }
        }
        "system" => content(billed, value),
        "tools" => {
            billed.frames += if value.list().is_empty() { 0 } else { TOOL_USE };
            value.list().iter().for_each(|one| tool(billed, one));
        }
        "output_config" => schema(billed, value.get("format").get("schema")),
        "output_format" => schema(billed, value.get("schema")),
        _ if *value != Tree::Null => billed.leave_out(Uncounted::VendorTools, 0),
        _ => {}
    }
}

fn schema(billed: &mut Billed<'_>, schema: &Tree<'_>) {
    if *schema != Tree::Null {
        billed.schema(schema);
    }
}

fn tool<'l>(billed: &mut Billed<'l>, tool: &Tree<'l>) {
    match tool.get("type").word() {
        "" | "custom" => billed.tool(tool, "input_schema"),
        _ => billed.leave_out(Uncounted::VendorTools, 0),
    }
}

/// A text, or blocks.
fn content<'l>(billed: &mut Billed<'l>, content: &Tree<'l>) {
    match content {
        Tree::Text(text) => billed.text(text),
        blocks => blocks.list().iter().for_each(|one| block(billed, one)),
    }
}

fn block<'l>(billed: &mut Billed<'l>, block: &Tree<'l>) {
    let mut text = |name: &str| {
        if let Some(text) = block.get(name).text() {
            billed.text(text);
        }
    };
    let source = block.get("source");
    match block.get("type").word() {
        "image" => image(billed, source),
        "document" => {
            text("title");
            text("context");
            document(billed, source);
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            text("name");
            let input = block.get("input");
            if *input != Tree::Null {
                billed.texts.push(input.to_string().into());
            }
        }
        "tool_result" | "mcp_tool_result" => content(billed, block.get("content")),
        "search_result" => {
            text("title");
            text("source");
            content(billed, block.get("content"));
        }
        // Whether thoughts of earlier turns are billed depends on the model and on the turn.
        "thinking" | "redacted_thinking" => {
            let most = (block.get("thinking").word().len() + block.get("data").word().len()) as u64 / 3;
            billed.media += Interval { high: most, ..Interval::default() };
        }
        _ => text("text"),
    }
}

fn image(billed: &mut Billed<'_>, source: &Tree<'_>) {
    let tokens = |size: (u64, u64), (side, most): (u64, u64)| {
        let (width, height) = fitted(size, side);
        (width.saturating_mul(height) / 750).clamp(1, most)
    };
    let size = pixels(source.get("data").word());
    let [usual, largest] = LIMITS.map(|limit| tokens(size.unwrap_or((limit.0, limit.0)), limit));
    if source.get("file_id") != &Tree::Null {
        billed.leave_out(Uncounted::StoredFiles, 0);
    }
    let low = if size.is_some() { usual - usual / 10 } else { 1 };
    billed.media += Interval { low, likely: usual, high: largest + largest / 10 };
}

fn document<'l>(billed: &mut Billed<'l>, source: &Tree<'l>) {
    match source.get("type").word() {
        "text" => content(billed, source.get("data")),
        "content" => content(billed, source.get("content")),
        "base64" => {
            let most = Billed::most_of_document(source.get("data").word().len() as u64);
            billed.leave_out(Uncounted::Documents, most);
        }
        "url" => billed.leave_out(Uncounted::Documents, 0),
        _ => billed.leave_out(Uncounted::StoredFiles, 0),
    }
}
