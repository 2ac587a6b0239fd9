//! `report.json`: the whole report, for programs. Its fields are described in
//! `docs/report.md`; this is the report as it is, with nothing left out.

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::inert_json::inert;
use crate::report::{Report, RunEntry, VERSION};
use crate::verdict::Verdict;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    let json = serde_json::to_string_pretty(report).expect("a report is numbers, text and lists of them");
    inert(&json) + "\n"
}

/// What every version of the form says.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

/// What a report that says anything says: all else has a default.
#[derive(Deserialize)]
struct Verdicted {
    #[serde(rename = "outcome")]
    _outcome: Outcome,
    #[serde(rename = "exit_code")]
    _exit_code: u8,
}

/// Reads a report. What it lacks, as those of older versions of batchstep may, has its default, and what
/// is not known is passed over.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence about the report.
pub(super) fn read(json: &[u8]) -> Result<Report, String> {
    let is_not_one = |error: serde_json::Error| format!("is not a report of batchstep's: {error}");
    let Head { version } = serde_json::from_slice(json).map_err(is_not_one)?;
    if version != VERSION {
        return Err(format!("has version {version}, and this batchstep reads version {VERSION}"));
    }
    serde_json::from_slice::<Verdicted>(json).map_err(is_not_one)?;
    serde_json::from_slice(json).map_err(is_not_one)
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

    use super::{Outcome, read, render};
    use crate::attachment::{Attachment, By, Owner};
    use crate::formats::samples::{self, HOSTILE};
    use crate::inert_json::testing::is_inert;
    use crate::report::{Continued, FilePage, Sample, ShardReport};

    #[test]
    fn hostile_text_stays_what_it_is() {
        for text in HOSTILE {
            is_inert(&render(&samples::hostile(text)));
            is_inert(&render(&samples::everywhere(text)));
        }
    }

    #[test]
    fn a_report_that_is_read_says_the_same() {
        let hostile = HOSTILE.iter().flat_map(|text| [samples::hostile(text), samples::everywhere(text)]);
        for report in samples::states().into_iter().map(|(_, report)| report).chain(hostile) {
            let json = render(&report);
            assert_eq!(render(&read(json.as_bytes()).unwrap()), json);
        }
    }

    #[test]
    fn other_versions_of_batchstep_are_read_and_other_things_are_not() {
        let report =
            read(br#"{"version":1,"outcome":"partial","exit_code":0,"new":[{}],"requests":{"new":1}}"#).unwrap();
        assert_eq!((report.outcome, report.requests.total, report.max_failed.as_str()), (Outcome::Partial, 0, ""));
        for (json, why) in [
            ("", "is not a report of batchstep's: EOF"),
            ("{}", "is not a report of batchstep's: missing field `version`"),
            (r#"{"version":1}"#, "is not a report of batchstep's: missing field `outcome`"),
            (r#"{"version":2,"outcome":7}"#, "has version 2, and this batchstep reads version 1"),
            (r#"{"version":1,"outcome":"odd","exit_code":0}"#, "is not a report of batchstep's: unknown variant `odd`"),
            (
                r#"{"version":1,"outcome":"failed","exit_code":1,"files":3}"#,
                "is not a report of batchstep's: invalid type",
            ),
        ] {
            let refused = read(json.as_bytes()).unwrap_err();
            assert!(refused.starts_with(why), "{refused}");
        }
    }

    /// Removes what a reader takes for fields that are not there: in a report that is written all are.
    fn omit_defaults(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                members.remove("default");
                members.values_mut().for_each(omit_defaults);
            }
            Value::Array(list) => list.iter_mut().for_each(omit_defaults),
            _ => {}
        }
    }

    /// The schema of a report as it is written: every field is there, and later versions may have more.
    fn schema() -> Value {
        let generator = schemars::generate::SchemaSettings::draft2020_12().for_serialize().into_generator();
        let mut schema = generator.into_root_schema_for::<crate::report::Report>().to_value();
        omit_defaults(&mut schema);
        schema["title"] = "batchstep's report.json, version 1".into();
        schema["properties"]["version"] = serde_json::json!({
            "description": schema["properties"]["version"]["description"], "const": crate::report::VERSION,
        });
        schema
    }

    #[test]
    fn the_published_schema_is_of_these_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json");
        let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        #[expect(clippy::disallowed_methods, reason = "no input of the product's")]
        if std::env::var_os("BATCHSTEP_TEST_WRITE_SCHEMA").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default().replace("\r\n", "\n");
        assert!(published == expected, "docs/report.schema.json is stale: run this with BATCHSTEP_TEST_WRITE_SCHEMA=1");
    }

    #[test]
    fn every_report_fits_the_published_schema() {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let hostile = HOSTILE.iter().flat_map(|text| [samples::hostile(text), samples::everywhere(text)]);
        for report in samples::states().into_iter().map(|(_, report)| report).chain(hostile) {
            let json: Value = serde_json::from_str(&render(&report)).unwrap();
            assert!(validator.is_valid(&json), "{}", validator.validate(&json).unwrap_err());
        }
        assert!(!validator.is_valid(&serde_json::json!({ "version": 1 })));
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
        let (mut report, failed) = (samples::with_costs(), samples::failed_validation());
        report.faults = samples::invalid().faults;
        let batch = &mut report.batches[0];
        batch.errors.clone_from(&failed.batches[0].errors);
        batch.attached = Some(Attachment { by: By::List, owner: Owner::AnotherRun, run: None, age: None });
        let (endpoint, model, key) = ("/v1/embeddings".to_owned(), Some("m".to_owned()), None);
        report.requests.pages = vec![FilePage { file: "a".to_owned(), url: "b".to_owned() }];
        report.samples = vec![Sample::default()];
        report.continued = Some(Continued::default());
        report.shards = vec![ShardReport { endpoint, model, requests: 1, bytes: 9, key, batch_id: None }];
        let json: Value = serde_json::from_str(&render(&report)).unwrap();
        compare(json.as_object().unwrap(), &documented("The report").unwrap(), "The report");
    }
}
