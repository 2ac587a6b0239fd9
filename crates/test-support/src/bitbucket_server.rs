//! Bitbucket's Code Insights as far as a run meets them, behind the proxy of a pipeline, with a memory.
//!
//! Written from <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/> and
//! <https://support.atlassian.com/bitbucket-cloud/docs/code-insights/>.

use std::collections::BTreeMap;

use hyper::header::HeaderMap;
use serde_json::{Value, json};

use crate::github_server::Call;
use crate::host_server::Api;

/// The commit of the pipeline.
pub const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The repository `acme/evals`.
#[derive(Default)]
pub struct Bitbucket {
    /// Reports by their ids.
    pub reports: BTreeMap<String, Value>,
    /// Annotations of all reports, by their own ids.
    pub annotations: BTreeMap<String, Value>,
}

/// Text of so many characters at most, in which nothing is hidden.
fn is_text(value: &Value, longest: usize) -> bool {
    let is_hidden = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    value.as_str().is_some_and(|text| (1..=longest).contains(&text.chars().count()) && !text.contains(is_hidden))
}

fn is_one_of(value: &Value, known: &[&str]) -> bool {
    value.as_str().is_some_and(|value| known.contains(&value))
}

impl Api for Bitbucket {
    fn check(&self, headers: &HeaderMap) {
        assert_eq!(headers["host"], "api.bitbucket.org");
        for secret in ["authorization", "proxy-authorization", "private-token"] {
            assert!(!headers.contains_key(secret), "the proxy authenticates the call");
        }
    }

    fn act(&mut self, call: &Call) -> (u16, Value, Option<u64>) {
        let below = format!("http://api.bitbucket.org/2.0/repositories/acme/evals/commit/{HEAD}/reports/");
        let parts: Vec<&str> = call.path.strip_prefix(&below).unwrap().split('/').collect();
        let body = &call.body;
        match (call.method.as_str(), &parts[..]) {
            ("DELETE", [id]) => {
                if self.reports.remove(*id).is_none() {
                    return (404, json!({ "type": "error", "error": { "message": "Report not found" } }), None);
                }
                self.annotations.clear();
                (204, Value::Null, None)
            }
            ("PUT", [id]) => {
                assert!(id.starts_with("batchstep-") && id.len() < 50, "{id}");
                assert!(is_text(&body["title"], 450) && is_text(&body["details"], 2_000), "{body}");
                assert!(is_one_of(&body["result"], &["PASSED", "FAILED", "PENDING"]), "{body}");
                assert!(is_one_of(&body["report_type"], &["SECURITY", "COVERAGE", "TEST", "BUG"]), "{body}");
                let data = body["data"].as_array().unwrap();
                assert!(data.len() <= 10);
                for field in data {
                    let fits = match field["type"].as_str().unwrap() {
                        "NUMBER" => field["value"].is_u64(),
                        "TEXT" => is_text(&field["value"], 450),
                        _ => false,
                    };
                    assert!(fits && is_text(&field["title"], 450), "{field}");
                }
                self.reports.insert((*id).to_owned(), body.clone());
                (200, body.clone(), None)
            }
            ("POST", [id, "annotations"]) => {
                assert!(self.reports.contains_key(*id));
                let group = body.as_array().unwrap();
                assert!((1..=100).contains(&group.len()));
                for annotation in group {
                    assert!(is_one_of(&annotation["annotation_type"], &["VULNERABILITY", "CODE_SMELL", "BUG"]));
                    assert!(is_one_of(&annotation["severity"], &["CRITICAL", "HIGH", "MEDIUM", "LOW"]));
                    assert!(is_text(&annotation["summary"], 450), "{annotation}");
                    assert!(annotation.get("path").is_none_or(|path| is_text(path, 1_000)), "{annotation}");
                    let id = annotation["external_id"].as_str().unwrap();
                    self.annotations.insert(id.to_owned(), annotation.clone());
                }
                assert!(self.annotations.len() <= 1_000);
                (200, body.clone(), None)
            }
            _ => panic!("no such call: {call:?}"),
        }
    }
}
