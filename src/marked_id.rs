//! A batch's marks in the ids of its requests, for a vendor that keeps nothing else of ours.
//!
//! Such a vendor is sent `<work>-<create>-<id>` in place of each `custom_id`: 16 characters of the key of the work, 12
//! of the create, and the user's own id where it fits. Where it does not, its place has `_` and the number of the
//! request, from 1. The answers repeat these ids, so they show whose they are; what users are shown has their own.

use std::borrow::Cow;

use crate::json::member;

/// How many characters of the key are written.
pub(crate) const WORK: usize = 16;
/// How many characters of the create are written.
pub(crate) const CREATE: usize = 12;
/// The work, the create, and a hyphen after each.
const PREFIX: usize = WORK + CREATE + 2;

/// Which ids a vendor takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    /// The most characters.
    pub longest: usize,
    /// Whether a character may be in one.
    pub allows: fn(char) -> bool,
}

/// The marks of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The beginning of the key of its work.
    pub work: String,
    /// Its create.
    pub create: String,
}

/// The user's part of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own<'a> {
    /// Their own id.
    Id(&'a str),
    /// The number of the request, from 1.
    Number(u32),
}

impl Mark {
    /// The marks of a batch that this create makes for this work.
    pub(crate) fn new(key: &str, create: &str) -> Self {
        let cut = |text: &str, length| text.chars().take(length).collect();
        Self { work: cut(key, WORK), create: cut(create, CREATE) }
    }

    /// Reads an id. None where it is not one of ours.
    pub(crate) fn read(id: &str) -> Option<(Self, Own<'_>)> {
        let mut parts = id.splitn(3, '-');
        let (work, create, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex(work, WORK) || !is_hex(create, CREATE) {
            return None;
        }
        let own = match rest.strip_prefix('_') {
            Some(number) => Own::Number(number.parse().ok().filter(|number| *number > 0)?),
            None => Own::Id(rest),
        };
        Some((Self { work: work.to_owned(), create: create.to_owned() }, own))
    }

    /// Whether this is of the work that has this key.
    pub(crate) fn is_of(&self, key: &str) -> bool {
        key.starts_with(&self.work)
    }

    /// A line of the requests as it is sent: with the id of the request `index`, from 0, in place of the user's. A line
    /// without an id stays as it is.
    pub(crate) fn write(&self, line: &[u8], index: u32, grammar: Grammar, to: &mut Vec<u8>) {
        let Some(span) = member::custom_id(line) else {
            to.extend_from_slice(line);
            return;
        };
        to.extend_from_slice(&line[..span.start]);
        let Self { work, create } = self;
        let own = own(&line[span.clone()], index, grammar);
        to.extend_from_slice(format!("\"{work}-{create}-{own}\"").as_bytes());
        to.extend_from_slice(&line[span.end..]);
    }
}

/// How many bytes a line takes as [`Mark::write`] writes it.
pub(crate) fn length(line: &[u8], index: u32, grammar: Grammar) -> u64 {
    let Some(span) = member::custom_id(line) else { return line.len() as u64 };
    let own = own(&line[span.clone()], index, grammar).len();
    (line.len() - span.len() + PREFIX + own + 2) as u64
}

/// Whether the user's id is sent, or the number of its request.
pub(crate) fn fits(id: &str, grammar: Grammar) -> bool {
    let is_short = PREFIX + id.len() <= grammar.longest;
    is_short && !id.starts_with('_') && !id.is_empty() && id.chars().all(grammar.allows)
}

fn own(literal: &[u8], index: u32, grammar: Grammar) -> Cow<'_, str> {
    let id: Option<Cow<'_, str>> = match std::str::from_utf8(literal) {
        Ok(text) if !text.contains('\\') => Some(Cow::Borrowed(text.trim_matches('"'))),
        _ => serde_json::from_slice::<String>(literal).ok().map(Cow::Owned),
    };
    id.filter(|id| fits(id, grammar)).unwrap_or_else(|| Cow::Owned(format!("_{}", u64::from(index) + 1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Grammar, Mark, Own, length};

    const GRAMMAR: Grammar = Grammar { longest: 64, allows: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') };

    fn sent(line: &str, index: u32) -> String {
        let mark = Mark::new("0123456789abcdef0123", "abcdef012345");
        let mut to = Vec::new();
        mark.write(line.as_bytes(), index, GRAMMAR, &mut to);
        assert_eq!(to.len() as u64, length(line.as_bytes(), index, GRAMMAR), "{line}");
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn an_id_that_fits_is_sent_and_any_other_is_a_number() {
        let long = "x".repeat(35);
        for (id, own) in [
            ("a-1_B", "a-1_B"),
            (&long[1..], &long[1..]),
            (&long, "_7"),
            ("_a", "_7"),
            ("a.b", "_7"),
            ("é", "_7"),
            (r"\u0061", "a"),
            (r#"a\"b"#, "_7"),
        ] {
            let expected = format!(r#"{{"custom_id": "0123456789abcdef-abcdef012345-{own}", "params": {{}}}}"#);
            assert_eq!(sent(&format!(r#"{{"custom_id": "{id}", "params": {{}}}}"#), 6), expected, "{id}");
        }
    }

    #[test]
    fn only_our_ids_are_read() {
        let (mark, own) = Mark::read("0123456789abcdef-abcdef012345-a-b").unwrap();
        assert_eq!((mark.is_of("0123456789abcdef99"), mark.is_of("1"), own), (true, false, Own::Id("a-b")));
        assert_eq!(Mark::read("0123456789abcdef-abcdef012345-_12").unwrap().1, Own::Number(12));
        for other in ["a", "0123456789abcdef-abcdef012345", "0123456789abcdef-abcdef01234-a", "x-y-z"] {
            assert_eq!(Mark::read(other), None, "{other}");
        }
        for number in ["_", "_x", "_0", "_-1"] {
            assert_eq!(Mark::read(&format!("0123456789abcdef-abcdef012345-{number}")), None, "{number}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_is_taken_and_read_back(id in "\\PC{0,40}", index in 0u32..2_000_000) {
            let line = format!(r#"{{"custom_id":{},"params":{{}}}}"#, serde_json::json!(id));
            let value: serde_json::Value = serde_json::from_str(&sent(&line, index)).unwrap();
            let sent = value["custom_id"].as_str().unwrap();
            prop_assert!(sent.len() <= GRAMMAR.longest && sent.chars().all(GRAMMAR.allows));
            match Mark::read(sent).unwrap().1 {
                Own::Id(own) => prop_assert_eq!(own, id),
                Own::Number(number) => prop_assert_eq!(number, index + 1),
            }
        }
    }
}
