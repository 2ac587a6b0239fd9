//! Ids: what can be one, and what an address can hold.
//!
//! An id is the server's to choose, and means nothing to us: it may hold spaces,
//! slashes, percent signs and empty segments, as `s3://bucket/my file` does. It
//! becomes part of an address, so it must not be able to name something else.

use crate::text::deceives;

/// The longest id, in bytes.
pub(crate) const LONGEST_ID: usize = 4_096;

/// Whether a text can be the id of something at a server: printable, not too
/// long, and without a segment by which an address would climb.
pub(crate) fn is_id(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= LONGEST_ID && is_path(text)
}

/// Whether a path is printable and has no dot segment. A parser of addresses
/// drops tabs and line breaks and takes `\` for `/`, so neither can hide one.
/// What is percent-encoded already is encoded again and stays what it is.
pub(crate) fn is_path(text: &str) -> bool {
    !text.chars().any(deceives) && !text.split(['/', '\\']).any(is_dots)
}

fn is_dots(segment: &str) -> bool {
    let mut bare = segment.chars().filter(|c| !c.is_whitespace());
    matches!((bare.next(), bare.next(), bare.next()), (Some('.'), None | Some('.'), None))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_ID, is_id};

    #[test]
    fn ids_are_opaque() {
        for id in [
            "batch_1",
            "bGl0+ZW/x==",
            "s3://bucket/out dir/x%2Fy.jsonl",
            "files/abc",
            "/a/",
            "a//b",
            "%2e%2e",
            "...",
            "..a",
            "a..",
            "日本",
            "#?&;",
            "{}",
            "a\\b",
        ] {
            assert!(is_id(id), "{id:?}");
        }
        assert!(is_id(&"x".repeat(LONGEST_ID)));
    }

    #[test]
    fn what_could_name_something_else_is_no_id() {
        for text in [
            "",
            " ",
            ".",
            "..",
            "a/..",
            "../a",
            "a/./b",
            "a/../b",
            ". .",
            ".\t.",
            "\n..",
            "a/.\u{a0}./b",
            "..\\a",
            "a\\.\\b",
            "a\tb",
            "a\r\nb",
            "a\u{0}",
            "a\u{7f}",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{feff}",
        ] {
            assert!(!is_id(text), "{text:?}");
        }
        assert!(!is_id(&"x".repeat(LONGEST_ID + 1)));
    }
}
