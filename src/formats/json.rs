//! `report.json`: the whole report, for programs. Its fields are described in
//! `docs/report.md`; this is the report as it is, with nothing left out.

use crate::inert_json::inert;
use crate::report::Report;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    let json = serde_json::to_string_pretty(report).expect("a report is numbers, text and lists of them");
    inert(&json) + "\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{Report, render};
    use crate::formats::samples::{self, HOSTILE};
    use crate::inert_json::testing::is_inert;

    #[test]
    fn hostile_text_stays_what_it_is() {
        for text in HOSTILE {
            is_inert(&render(&samples::hostile(text)));
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
        for (part, of) in [
            ("batches", &partial),
            ("usage", &partial),
            ("failures", &partial),
            ("phases", &partial),
            ("faults", &invalid),
        ] {
            assert_eq!(documented(&format!("`{part}`")), names(&of[part][0]), "{part}");
        }
    }
}
