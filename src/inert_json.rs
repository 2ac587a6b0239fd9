//! JSON that can be printed to a log: it issues no commands and steers no terminal.

use crate::text::{deceives, has_no_width};

/// The same JSON, safe to print to a log: without `##`, with which CI systems' commands
/// begin, and without characters that steer a terminal. Such characters occur only
/// inside strings, where an escape has the same meaning.
pub(crate) fn inert(json: &str) -> String {
    let mut inert = String::with_capacity(json.len());
    let mut after_hash = false;
    for c in json.chars() {
        if (c == '#' && after_hash) || (deceives(c) && !c.is_ascii_whitespace()) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                inert.push_str(&format!("\\u{unit:04x}"));
            }
            after_hash = false;
            continue;
        }
        inert.push(c);
        after_hash = c == '#' || (after_hash && has_no_width(c));
    }
    inert
}

#[cfg(test)]
pub(crate) mod testing {
    use batchstep_test_support::github_runner as runner;
    use serde_json::Value;

    use super::inert;
    use crate::text::deceives;

    pub(crate) fn is_inert(json: &str) {
        let inert = inert(json);
        assert_eq!(serde_json::from_str::<Value>(&inert).unwrap(), serde_json::from_str::<Value>(json).unwrap());
        assert!(!inert.contains("##"));
        assert!(!inert.chars().any(|c| deceives(c) && c != '\n'), "{inert:?}");
        assert!(inert.lines().all(|line| runner::command(line).is_none()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::inert;
    use super::testing::is_inert;
    use crate::formats::samples::HOSTILE;

    #[test]
    fn hostile_text_keeps_its_meaning() {
        assert_eq!(inert(r####"{"a":"\\###[x"}"####), r####"{"a":"\\#\u0023#[x"}"####);
        for text in HOSTILE {
            is_inert(&serde_json::to_string_pretty(&serde_json::json!({ *text: text })).unwrap());
        }
    }

    proptest! {
        #[test]
        fn any_text_stays_what_it_is(text in "(?s)[#\\\\\"\u{200d}\u{e0041}a]{0,12}|.{0,40}") {
            is_inert(&serde_json::to_string(&text).unwrap());
        }
    }
}
