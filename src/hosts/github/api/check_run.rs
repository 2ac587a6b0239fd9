//! What a check says, and whether one is ours: pure decisions.

use serde_json::{Value, json};

use super::comment::LONGEST_BODY;
use super::mark::Mark;
use super::place::Place;
use crate::error::Outcome;
use crate::formats::{markdown_paragraph, markdown_within};
use crate::hosts::github::commands::in_check;
use crate::hosts::{BATCH_DIGEST, CHECK_PREFIX, annotations as errors_on_lines, batch_digest, ended_as, title};
use crate::report::Report;
use crate::text::{counted, requests_count};

/// GitHub takes this many annotations in one call.
const GROUP: usize = 50;
/// How many such calls are made: as many as bring the faults that are kept.
const MOST_GROUPS: usize = 20;

/// So many batches are shown while they run; all are named where nobody sees it.
const MOST_BATCHES: usize = 10;
/// What a batch is named by in the summary of its check, where nobody sees it.
const BATCH: &str = "<!-- batchstep:batch:";

/// The digests of the batches that a check says it is about.
pub(super) fn named_batches(check: &Value) -> Vec<String> {
    let summary = check["output"]["summary"].as_str().unwrap_or_default();
    summary.split(BATCH).skip(1).filter_map(|rest| rest.get(..BATCH_DIGEST)).map(str::to_owned).collect()
}

/// Names batches in a check, so that whoever collects them can tell that it is theirs.
fn name_batches<'a>(batch_ids: impl Iterator<Item = &'a str>) -> String {
    batch_ids.map(|id| format!("\n{BATCH}{} -->", batch_digest(id))).collect()
}

/// Whether a check is one of ours, for the work of this key.
pub(super) fn is_ours_for(found: &Value, key: &str) -> bool {
    let is_named = found["name"].as_str().is_some_and(|name| name.starts_with(CHECK_PREFIX));
    is_named && found["external_id"].as_str() == Some(key)
}

/// Whether a check is the one that a batch's mark says shows it. Others could
/// have written such a mark.
pub(super) fn is_of_mark(found: &Value, mark: &Mark, key: &str) -> bool {
    is_ours_for(found, key) && found["head_sha"].as_str() == Some(&mark.sha)
}

/// How a check ends; none where the batch goes on without us. It is green where the exit code is 0.
fn conclusion(outcome: Outcome) -> Option<&'static str> {
    Some(match outcome {
        Outcome::Succeeded | Outcome::Partial => "success",
        Outcome::Failed | Outcome::Invalid | Outcome::Usage => "failure",
        Outcome::Refused | Outcome::Unknown | Outcome::Uncollected => "failure",
        Outcome::TimedOut => "timed_out",
        Outcome::Cancelled => "cancelled",
        Outcome::Skipped => "skipped",
        Outcome::Detached | Outcome::Pending => return None,
    })
}

/// A check's beginning, where and on what it is.
pub(super) fn beginning(place: &Place, sha: &str, name: &str, report: &Report) -> Value {
    let mut body = json!({ "name": name, "head_sha": sha });
    // What is not known is left out: GitHub takes no null here.
    for (member, value) in [("details_url", &place.page), ("external_id", &report.requests.key)] {
        if let Some(value) = value {
            body[member] = json!(value);
        }
    }
    body
}

/// What a check shows while the run goes on.
pub(super) fn in_progress(report: &Report, batch_ids: &[String]) -> Value {
    let requests = requests_count(report.requests.total);
    let mut sentences = vec![format!("{requests} go to {} ({}) as a batch.", report.provider, report.origin)];
    sentences.extend(report.requests.key.as_ref().map(|key| format!("Key: `{key}`")));
    sentences.extend(batch_ids.iter().take(MOST_BATCHES).map(|id| format!("Batch: `{id}`")));
    if batch_ids.len() > MOST_BATCHES {
        sentences.push(format!("And {} more.", counted((batch_ids.len() - MOST_BATCHES) as u64, "batch", "batches")));
    }
    let mut summary: String = sentences.iter().map(|sentence| markdown_paragraph(sentence)).collect();
    summary += &name_batches(batch_ids.iter().map(String::as_str));
    let title = title(report, &format!("{requests} under way"));
    json!({ "status": "in_progress", "output": { "title": title, "summary": summary } })
}

/// What a check shows at the end, and whether it is concluded.
pub(super) fn ended(report: &Report) -> (Value, bool) {
    let output = output(report);
    match conclusion(report.outcome) {
        Some(conclusion) => {
            let completed_at = &report.ended_at;
            let ended = json!({
                "status": "completed", "conclusion": conclusion, "completed_at": completed_at, "output": output
            });
            (ended, true)
        }
        None => (json!({ "status": "in_progress", "output": output }), false),
    }
}

/// What a check shows whose run is gone.
pub(super) fn abandoned(at: String) -> Value {
    let title = "cancelled: the run that opened this check is gone";
    let summary = "Its batches at the provider were looked for and cancelled.";
    let output = json!({ "title": title, "summary": summary });
    json!({ "status": "completed", "conclusion": "cancelled", "completed_at": at, "output": output })
}

fn output(report: &Report) -> Value {
    let title = ended_as(report);
    let named = name_batches(report.batches.iter().map(|batch| batch.id.as_str()));
    let summary = markdown_within(report, LONGEST_BODY.saturating_sub(named.len())) + &named;
    json!({ "title": title, "summary": summary })
}

/// The updates that bring the annotations: as many as one call takes in each.
/// They say how many there would be, if they do not bring all.
pub(super) fn annotations(report: &Report, workspace: Option<&str>) -> Vec<Value> {
    let errors = errors_on_lines(report, workspace);
    let all: Vec<Value> = errors.iter().filter_map(in_check).take(GROUP * MOST_GROUPS).collect();
    let mut output = output(report);
    let reasons: usize = report.batches.iter().map(|batch| batch.errors.len()).sum();
    let in_all = report.fault_count + reasons as u64;
    // An annotation may be about several lines, each of which is a fault.
    let shown = all.iter().filter_map(|shown| Some(shown["end_line"].as_u64()? - shown["start_line"].as_u64()? + 1));
    let shown: u64 = shown.sum();
    if let Some(summary) = output["summary"].as_str()
        && in_all > shown
    {
        let few = format!("{shown} of {in_all} faults are annotated on their lines.");
        output["summary"] = json!(format!("{summary}\n{}", markdown_paragraph(&few)));
    }
    let update = |group: &[Value]| {
        output["annotations"] = json!(group);
        json!({ "output": output })
    };
    all.chunks(GROUP).map(update).collect()
}

#[cfg(test)]
mod tests {
    use super::{Place, Report, annotations, beginning, conclusion, ended, in_progress};
    use crate::error::Outcome;
    use crate::formats::samples::{self, HOSTILE, failure};
    use serde_json::json;

    const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn every_outcome_has_its_conclusion() {
        use Outcome::{Cancelled, Detached, Failed, Invalid, Partial, Refused, Skipped, Succeeded, TimedOut, Unknown};
        let table = [
            (Succeeded, Some("success")),
            (Partial, Some("success")),
            (Failed, Some("failure")),
            (Invalid, Some("failure")),
            (Refused, Some("failure")),
            (Unknown, Some("failure")),
            (TimedOut, Some("timed_out")),
            (Cancelled, Some("cancelled")),
            (Skipped, Some("skipped")),
            (Detached, None),
        ];
        for (outcome, expected) in table {
            assert_eq!(conclusion(outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_summary_stays_below_githubs_limit() {
        let mut report = samples::partial();
        report.failures = vec![failure(&"é".repeat(3_000), &"𝄞|".repeat(3_000), 1, &["x"; 9]); 50];
        report.warnings = vec!["w".repeat(3_000); 50];
        let (ended, _) = ended(&report);
        assert!(ended["output"]["summary"].as_str().unwrap().len() < 65_500);
    }

    #[test]
    fn a_simulated_check_says_so_in_its_title() {
        let (ended, concluded) = ended(&samples::simulated());
        assert!(concluded);
        assert_eq!(ended["output"]["title"], "SIMULATED: succeeded: All 1200 requests succeeded.");
        let begun = in_progress(&samples::simulated(), &["batch_1".to_owned()]);
        assert_eq!(begun["output"]["title"], "SIMULATED: 1200 requests under way");
        assert!(begun["output"]["summary"].as_str().unwrap().contains("`batch_1`"));
    }

    #[test]
    fn a_check_leaves_out_what_is_not_known() {
        let place = Place { owner: "o".into(), repo: "r".into(), sha: None, pull: None, repository: None, page: None };
        let body = beginning(&place, HEAD, "batchstep: x", &samples::invalid());
        assert_eq!(body, json!({ "name": "batchstep: x", "head_sha": HEAD }));
        let body = beginning(&Place { page: Some("https://x".into()), ..place }, HEAD, "n", &samples::partial());
        assert_eq!((&body["external_id"], &body["details_url"]), (&json!("0123456789abcdef"), &json!("https://x")));
    }

    #[test]
    fn annotations_come_in_groups_of_fifty() {
        let mut report = samples::invalid();
        report.faults = vec![report.faults[0].clone(); 120];
        report.faults[3].file = "standard input".to_owned();
        report.faults[4].line = None;
        let sizes = |report: &Report| {
            let groups = annotations(report, None);
            groups.iter().map(|group| group["output"]["annotations"].as_array().unwrap().len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&report), [50, 50, 19]);
        let first = annotations(&report, None).remove(0);
        let first = &first["output"]["annotations"];
        assert_eq!((&first[0]["path"], &first[0]["start_line"]), (&json!("requests.jsonl"), &json!(3)));
        assert_eq!(first[3]["start_line"], 1);
        report.faults = vec![report.faults[0].clone(); 1_500];
        report.fault_count = 2_345;
        assert_eq!(sizes(&report), [50; 20]);
        let last = annotations(&report, None).remove(19);
        let summary = last["output"]["summary"].as_str().unwrap();
        assert!(summary.ends_with("\n\n1000 of 2345 faults are annotated on their lines.\n\n"), "{summary}");
        assert_eq!(sizes(&samples::failed_validation()), [1]);
        assert_eq!(sizes(&samples::succeeded()), [0; 0]);
    }

    #[test]
    fn hostile_text_hides_nothing() {
        for text in HOSTILE {
            let report = samples::hostile(text);
            let (ended, _) = ended(&report);
            let title = ended["output"]["title"].as_str().unwrap();
            assert!(!title.contains(['\n', '\u{202e}', '\u{1b}']), "{title:?}");
            for group in annotations(&samples::hostile_faults(text), None) {
                assert!(group["output"]["annotations"].as_array().is_some_and(|group| !group.is_empty()));
            }
        }
    }
}
