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
    if line.contains("\"cache_control\"") {
        billed.leave_out(Uncounted::CacheWrites, 0);
    }
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
        Tree::Text(text) => billed.text(text.clone()),
        blocks => blocks.list().iter().for_each(|one| block(billed, one)),
    }
}

fn block<'l>(billed: &mut Billed<'l>, block: &Tree<'l>) {
    let mut text = |name: &str| {
        if let Some(text) = block.get(name).text() {
            billed.text(text.clone());
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

#[cfg(test)]
mod tests {
    use crate::dialects::pictures::testing::png;
    use crate::dialects::{Billed, Interval, Name, Uncounted, choose};

    fn of(params: &str, look: impl FnOnce(&Billed<'_>)) {
        let line = format!(r#"{{"custom_id":"not billed","params":{{"model":"m","max_tokens":9,{params}}}}}"#);
        look(&choose(Name::Anthropic).dialect.billed(&line, Some("m")));
    }

    fn block(block: &str) -> String {
        format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#)
    }

    #[test]
    fn texts_are_billed_wherever_they_are() {
        for (params, texts) in [
            (r#""system":"s","messages":[{"role":"user","content":"\u4eba"}]"#.to_owned(), "人|s"),
            (r#""system":[{"type":"text","text":"s"}],"messages":[]"#.to_owned(), "s"),
            (
                block(
                    r#"{"type":"document","title":"t","context":"c","source":{"type":"text","media_type":"text/plain","data":"d"}}"#,
                ),
                "t|c|d",
            ),
            (block(r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"d"}]}}"#), "d"),
            (block(r#"{"type":"tool_use","id":"i","name":"f","input":{"a": [1, "x"]}}"#), r#"f|{"a":[1,"x"]}"#),
            (block(r#"{"type":"tool_result","tool_use_id":"i","content":[{"type":"text","text":"r"}]}"#), "r"),
            (block(r#"{"type":"tool_result","tool_use_id":"i","content":"r"}"#), "r"),
            (
                block(r#"{"type":"search_result","title":"t","source":"u","content":[{"type":"text","text":"r"}]}"#),
                "t|u|r",
            ),
        ] {
            of(&params, |billed| {
                assert_eq!((billed.texts.join("|").as_str(), billed.uncounted), (texts, 0), "{params}");
            });
        }
    }

    #[test]
    fn a_request_that_writes_to_a_cache_says_so() {
        of(r#""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[]"#, |billed| {
            assert_eq!((billed.texts.join("|").as_str(), billed.uncounted), ("s", Uncounted::CacheWrites as u8));
        });
    }

    #[test]
    fn tools_bring_a_prompt_with_them() {
        let tools = r#""messages":[],"tools":[{"name":"f","description":"does","input_schema":{"type":"object","properties":{"a":{"type":"string"}}}}]"#;
        of(tools, |billed| {
            assert_eq!((billed.rewritten.join("|").as_str(), billed.frames), ("f:does|a:string:", 346 + 12 + 3));
        });
        let schema = r#""messages":[],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#;
        of(schema, |billed| assert_eq!(billed.rewritten.join("|"), r#"{"type":"object"}"#));
        of(r#""messages":[],"tools":[{"type":"web_search_20260101","name":"w"}]"#, |billed| {
            assert_eq!(billed.uncounted, Uncounted::VendorTools as u8);
        });
    }

    #[test]
    fn an_image_has_a_token_for_750_pixels_up_to_a_limit() {
        let image = |width, height| {
            let data = png(width, height, 0);
            block(&format!(
                r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#
            ))
        };
        of(&image(1000, 750), |billed| assert_eq!(billed.media, Interval { low: 900, likely: 1000, high: 1100 }));
        // 4000 by 2000 is fitted into 1568 by 784; a model that sees more gets 2576 by 1288.
        of(&image(4000, 2000), |billed| {
            assert_eq!((billed.media.likely, billed.media.high), (1600, 4_423 + 442));
        });
        of(&block(r#"{"type":"image","source":{"type":"url","url":"u"}}"#), |billed| {
            assert_eq!((billed.media.low, billed.media.likely), (1, 1600));
        });
    }

    #[test]
    fn documents_that_are_not_read_widen_the_band() {
        let pdf = format!(r#"{{"type":"document","source":{{"type":"base64","data":"{}"}}}}"#, "A".repeat(400));
        of(&block(&pdf), |billed| {
            assert_eq!(billed.uncounted, Uncounted::Documents as u8);
            assert_eq!(billed.media, Interval { low: 0, likely: 0, high: 100 });
        });
    }
}
