//! `report.json`: the whole report, for programs. Its fields are described in
//! `docs/report.md`; this is the report as it is, with nothing left out.

use serde::Serialize;

use crate::error::Outcome;
use crate::inert_json::inert;
use crate::report::{Report, RunEntry};
use crate::verdict::Verdict;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    let json = serde_json::to_string_pretty(report).expect("a report is numbers, text and lists of them");
    inert(&json) + "\n"
}

/// What was collected together. `runs` is the output of the same name.
#[derive(Serialize)]
struct Collected<'a> {
    outcome: Outcome,
    exit_code: u8,
    reason: &'a str,
    runs: &'a [RunEntry],
}

/// Renders what was collected together.
pub(super) fn render_runs(verdict: &Verdict, runs: &[RunEntry]) -> String {
    let (outcome, exit_code, reason) = (verdict.outcome, verdict.exit.code(), verdict.reason.as_str());
    let json = serde_json::to_string_pretty(&Collected { outcome, exit_code, reason, runs });
    inert(&json.expect("entries are numbers, text and lists of them")) + "\n"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, Value};

    use super::render;
    use crate::attachment::{Attachment, By, Owner};
    use crate::formats::samples::{self, HOSTILE};
    use crate::inert_json::testing::is_inert;
    use crate::report::{FilePage, ShardReport};

    #[test]
    fn hostile_text_stays_what_it_is() {
        for text in HOSTILE {
            is_inert(&render(&samples::hostile(text)));
        }
    }

    /// The rows of the table below a heading of docs/report.md, by the fields that they are about.
    fn documented(heading: &str) -> Option<BTreeMap<String, String>> {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.md")).unwrap();
        let (_, after) = docs.split_once(&format!("\n## {heading}\n"))?;
        let rows = after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
        Some(rows.skip(2).map(|row| (row.split('`').nth(1).unwrap().to_owned(), row.to_owned())).collect())
    }

    /// Compares an object with its table, and what it holds with tables of their own or with their rows here.
    fn compare(object: &Map<String, Value>, rows: &BTreeMap<String, String>, place: &str) {
        assert_eq!(object.keys().collect::<Vec<_>>(), rows.keys().collect::<Vec<_>>(), "{place}");
        for (name, row) in rows {
            let below = match &object[name] {
                Value::Array(list) => list.first().and_then(Value::as_object),
                value => value.as_object(),
            };
            assert_eq!(below.is_some(), row.contains("| object") || row.contains("list of objects"), "{place}: {row}");
            let Some(below) = below else { continue };
            match documented(&format!("`{name}`")) {
                Some(rows) => compare(below, &rows, name),
                None => below.keys().for_each(|field| assert!(row.contains(&format!("`{field}`")), "{field}: {row}")),
            }
        }
    }

    #[test]
    fn every_field_is_documented() {
        let (mut report, failed) = (samples::partial(), samples::failed_validation());
        report.faults = samples::invalid().faults;
        let batch = &mut report.batches[0];
        batch.errors.clone_from(&failed.batches[0].errors);
        batch.attached = Some(Attachment { by: By::List, owner: Owner::AnotherRun, run: None, age: None });
        let (endpoint, model, key) = ("/v1/embeddings".to_owned(), Some("m".to_owned()), None);
        report.requests.pages = vec![FilePage { file: "a".to_owned(), url: "b".to_owned() }];
        report.shards = vec![ShardReport { endpoint, model, requests: 1, bytes: 9, key, batch_id: None }];
        let json: Value = serde_json::from_str(&render(&report)).unwrap();
        compare(json.as_object().unwrap(), &documented("The report").unwrap(), "The report");
    }
}
