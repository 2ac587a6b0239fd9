//! Where a member of a line's object is, so that it can be replaced and the rest stays as it is.

use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Where the `custom_id` of a line stands, with its quotes, in bytes. None where the line has none, or one that is
/// not a string. Of a line that is not JSON, the first one that can be seen.
pub(crate) fn custom_id(line: &[u8]) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Line<'l> {
        #[serde(borrow)]
        custom_id: Option<&'l RawValue>,
    }
    let Ok(Line { custom_id }) = serde_json::from_slice::<Line<'_>>(line) else { return in_damaged(line) };
    let raw = custom_id?.get();
    let start = raw.as_ptr().addr() - line.as_ptr().addr();
    raw.starts_with('"').then_some(start..start + raw.len())
}

fn in_damaged(line: &[u8]) -> Option<Range<usize>> {
    let name = memmem::find(line, b"\"custom_id\"")? + b"\"custom_id\"".len();
    let blank = |from: usize| line[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let colon = name + blank(name);
    let start = colon + 1 + blank((line.get(colon) == Some(&b':')).then_some(colon + 1)?);
    let inside = line.get(start + 1..).filter(|_| line[start] == b'"')?;
    let mut is_escaped = false;
    let length = inside.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(start..start + length + 2)
}

#[cfg(test)]
mod tests {
    use super::custom_id;

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        for (line, expected) in [
            (r#"{"custom_id":"a"}"#, Some("\"a\"")),
            (r#" { "x": {"custom_id": "inner"}, "custom_id" : "a\"b" , "y": [1] }"#, Some(r#""a\"b""#)),
            (r#"{"custom_id":7}"#, None),
            (r#"{"custom_id":null}"#, None),
            (r#"{"x":1}"#, None),
            (r#"{"custom_id": "a", "result": {"type": "succ"#, Some("\"a\"")),
            (r#"{"custom_id": "a\\", "result""#, Some(r#""a\\""#)),
            (r#"{"custom_id": "a"#, None),
            (r#"{"custom_id""#, None),
            (r#"{"custom_id" "a""#, None),
            (r#"{"custom_id":"#, None),
            ("", None),
        ] {
            assert_eq!(custom_id(line.as_bytes()).map(|span| &line[span]), expected, "{line}");
        }
    }
}
