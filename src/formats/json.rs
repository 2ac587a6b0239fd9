//! `report.json`: the whole report, for programs. Its fields are described in
//! `docs/report.md`; this is the report as it is, with nothing left out.

use crate::report::Report;
use crate::text::{deceives, has_no_width};

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    let json = serde_json::to_string_pretty(report).expect("a report is numbers, text and lists of them");
    inert(&json) + "\n"
}

/// JSON that says the same and can be printed into a log: it holds no `##`, with
/// which CI systems' commands begin, and nothing that steers a terminal. Such
/// characters occur only inside strings, where an escape means the same.
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
mod tests {
    use std::collections::BTreeSet;

    use batchstep_test_support::github_runner as runner;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Report, inert, render};
    use crate::formats::samples::{self, HOSTILE};
    use crate::text::deceives;

    fn is_inert(json: &str) {
        let inert = inert(json);
        assert_eq!(serde_json::from_str::<Value>(&inert).unwrap(), serde_json::from_str::<Value>(json).unwrap());
        assert!(!inert.contains("##"));
        assert!(!inert.chars().any(|c| deceives(c) && c != '\n'), "{inert:?}");
        assert!(inert.lines().all(|line| runner::command(line).is_none()));
    }

    #[test]
    fn hostile_text_stays_what_it_is() {
        assert_eq!(inert(r####"{"a":"\\###[x"}"####), r####"{"a":"\\#\u0023#[x"}"####);
        for text in HOSTILE {
            is_inert(&render(&samples::hostile(text)));
            is_inert(&serde_json::to_string_pretty(&serde_json::json!({ *text: text })).unwrap());
        }
    }

    proptest! {
        #[test]
        fn any_text_stays_what_it_is(text in "(?s)[#\\\\\"\u{200d}\u{e0041}a]{0,12}|.{0,40}") {
            is_inert(&serde_json::to_string(&text).unwrap());
        }
    }

    /// The names in the table below a heading of docs/report.md.
    fn documented(heading: &str) -> BTreeSet<String> {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md")).unwrap();
        let (_, after) = docs.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
        let rows = after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        rows.skip(2).map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
    }

    fn names(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_field_is_documented() {
        let json = |report: Report| serde_json::from_str::<Value>(&render(&report)).unwrap();
        let (partial, invalid) = (json(samples::partial()), json(samples::invalid()));
        assert_eq!(documented("The report"), names(&partial));
        for part in ["requests", "counts", "tokens", "files"] {
            assert_eq!(documented(&format!("`{part}`")), names(&partial[part]), "{part}");
        }
        for (part, of) in [("batches", &partial), ("failures", &partial), ("phases", &partial), ("faults", &invalid)] {
            assert_eq!(documented(&format!("`{part}`")), names(&of[part][0]), "{part}");
        }
    }
}
