//! The step outputs: the report as names and short values, for the next step.

use crate::dialects::Status;
use crate::error::Outcome;
use crate::report::{BatchReport, Report, RunEntry};
use crate::usd::Usd;

/// The step outputs. What is not known is an empty string.
///
/// The ids of a single thing are those of the first attempt, whatever a retry
/// adds; they are empty where the requests needed several batches. A host that
/// hands outputs on as variables names them `BATCH_*` (`BATCH_OUTCOME`, `BATCH_ID`,
/// `BATCH_IDS`): a later step would read `BATCHSTEP_*` back as its inputs.
pub fn of(report: &Report) -> Vec<(&'static str, String)> {
    let ids: Vec<&str> = report.batches.iter().map(|batch| batch.id.as_str()).collect();
    let status = report.batches.iter().map(|batch| &batch.status).min_by_key(|status| progress_of(status));
    let first = report.only_first();
    let one = |id: fn(&BatchReport) -> Option<&String>| first.and_then(id).cloned().unwrap_or_default();
    let input_file_id = first.and_then(|batch| batch.input_file_id.as_ref()).or(report.input_file_id.as_ref());
    let uncreated = report.shards.iter().filter(|shard| shard.batch_id.is_none()).count();
    let number = |known: bool, number: u64| if known { number.to_string() } else { String::new() };
    let counts = report.counts;
    let collected = counts.total > 0;
    let total = counts.total.max(report.requests.total);
    vec![
        ("outcome", report.outcome.word().to_owned()),
        ("status", status.map(|status| status.word().to_owned()).unwrap_or_default()),
        ("batch-id", one(|batch| Some(&batch.id))),
        ("batch-ids", serde_json::json!(ids).to_string()),
        ("input-file-id", input_file_id.cloned().unwrap_or_default()),
        ("output-file-id", one(|batch| batch.output_file_id.as_ref())),
        ("error-file-id", one(|batch| batch.error_file_id.as_ref())),
        ("detached", (report.outcome == Outcome::Detached).to_string()),
        ("not-created", number(!ids.is_empty(), uncreated as u64)),
        ("results-file", report.files.results.clone().unwrap_or_default()),
        ("report-file", report.files.report.clone().unwrap_or_default()),
        ("total", number(total > 0, total)),
        ("succeeded", number(collected, counts.succeeded)),
        ("failed", number(collected, counts.failed)),
        ("missing", number(collected, counts.missing)),
        ("suspect", number(collected, counts.suspect)),
        ("schema-violations", number(report.schema.is_some(), counts.schema_violations)),
        ("input-tokens", number(collected, report.tokens.input)),
        ("output-tokens", number(collected, report.tokens.output)),
        ("cost-usd", cost(report).map(Usd::decimal).unwrap_or_default()),
        ("estimated-cost-usd", estimated(report).map(Usd::decimal).unwrap_or_default()),
        ("runs", String::new()),
    ]
}

/// What the answers cost: as the provider says it, or else by what they used, where that is known of all of them.
/// Answers that are made up cost nothing.
fn cost(report: &Report) -> Option<Usd> {
    let cost = &report.cost;
    let counted = cost.usd.filter(|_| cost.unpriced.is_empty());
    cost.provider_usd.or(counted).filter(|_| !report.simulated)
}

/// What the requests were expected to cost, at answers of the likely length.
fn estimated(report: &Report) -> Option<Usd> {
    Some(report.cost.estimate.as_ref()?.likely_usd?.likely).filter(|_| !report.simulated)
}

/// The step outputs of `collect --pending`.
pub(crate) fn of_runs(outcome: Outcome, runs: &[RunEntry]) -> Vec<(&'static str, String)> {
    vec![("outcome", outcome.word().to_owned()), ("runs", serde_json::json!(runs).to_string())]
}

/// Orders statuses from the least finished on; of those that are finished, the bad ones come first.
fn progress_of(status: &Status) -> u8 {
    match status {
        Status::Validating => 0,
        Status::Other(_) => 1,
        Status::InProgress => 2,
        Status::Finalizing => 3,
        Status::Cancelling => 4,
        Status::Failed => 5,
        Status::Expired => 6,
        Status::Cancelled => 7,
        Status::Completed => 8,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::of as outputs;
    use crate::dialects::Status;
    use crate::formats::samples;
    use crate::report::Report;
    use crate::usd::Usd;

    #[test]
    fn outputs_of_one_batch_of_several_and_of_none() {
        insta::assert_snapshot!(shown(&samples::partial()), @r###"
        outcome=partial
        status=completed
        batch-id=batch_1
        batch-ids=["batch_1"]
        input-file-id=file-in
        output-file-id=file-out
        error-file-id=file-err
        detached=false
        not-created=0
        results-file=batch-results/results.jsonl
        report-file=batch-results/report.json
        total=1200
        succeeded=1187
        failed=12
        missing=1
        suspect=7
        schema-violations=3
        input-tokens=1234567
        output-tokens=89012
        cost-usd=0.3180206
        estimated-cost-usd=
        runs=
        "###);
        let mut several = samples::partial();
        several.batches.push(several.batches[0].clone());
        several.batches[1].id = "batch_2".to_owned();
        several.batches[1].status = Status::Finalizing;
        several.batches[1].output_file_id = Some("file-retry".to_owned());
        let mut retried = several.clone();
        retried.batches[1].attempt = 2;
        let pairs: BTreeMap<_, _> = outputs(&retried).into_iter().collect();
        let ids = ["batch-id", "input-file-id", "output-file-id", "error-file-id"].map(|name| pairs[name].as_str());
        assert_eq!(ids, ["batch_1", "file-in", "file-out", "file-err"]);
        assert_eq!(pairs["batch-ids"], r#"["batch_1","batch_2"]"#);
        let pairs: BTreeMap<_, _> = outputs(&several).into_iter().collect();
        assert_eq!((pairs["batch-id"].as_str(), pairs["output-file-id"].as_str()), ("", ""));
        assert_eq!(pairs["status"], "finalizing");
        assert_eq!(pairs["batch-ids"], r#"["batch_1","batch_2"]"#);
        insta::assert_snapshot!(shown(&samples::invalid()), @r###"
        outcome=invalid
        status=
        batch-id=
        batch-ids=[]
        input-file-id=
        output-file-id=
        error-file-id=
        detached=false
        not-created=
        results-file=
        report-file=batch-results/report.json
        total=
        succeeded=
        failed=
        missing=
        suspect=
        schema-violations=
        input-tokens=
        output-tokens=
        cost-usd=
        estimated-cost-usd=
        runs=
        "###);
    }

    #[test]
    fn a_cost_is_a_plain_number_or_nothing() {
        let costs = |report: &Report| {
            let pairs: BTreeMap<_, _> = outputs(report).into_iter().collect();
            [pairs["cost-usd"].clone(), pairs["estimated-cost-usd"].clone()]
        };
        let mut report = samples::with_costs();
        // Some answers have no price.
        assert_eq!(costs(&report), ["", "0.324"]);
        report.cost.unpriced.clear();
        assert_eq!(costs(&report), ["0.3180206", "0.324"]);
        report.cost.provider_usd = Usd::dollars(0.000_001);
        assert_eq!(costs(&report)[0], "0.000001");
        report.simulated = true;
        assert_eq!(costs(&report), ["", ""]);
    }

    fn shown(report: &Report) -> String {
        let line = |(name, value)| format!("{name}={value}").trim_end().to_owned();
        outputs(report).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }
}
