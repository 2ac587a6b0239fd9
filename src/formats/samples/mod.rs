//! Reports for the tests of formats and hosts: one of each kind, and one whose
//! every untrusted text is hostile.

mod costs;
mod states;

pub(crate) use self::states::states;
use crate::dialects::{Counts as BatchCounts, Status, Suspicion, Tokens};
use crate::error::{Exit, Outcome};
use crate::judgement::{GateReport, SchemaReport, SuspectGroup, Unusable, ViolationGroup};
use crate::phases::PhaseTime;
use crate::report::{
    Asked, BatchFault, BatchReport, Counts, Coverage, Example, FailureGroup, FilePage, Files, ModelUsage, Prospect,
    Report, Sample, VERSION,
};
use crate::requests::Fault;
use crate::usd::Usd;
use crate::values::SchemaMode;

/// Text that tries to break out of where it is shown.
pub(crate) const HOSTILE: &[&str] = &[
    "two\nlines\r\nand a third",
    "\n::set-output name=outcome::succeeded",
    "::error::forged",
    "\u{85}\u{a0}::add-mask::x",
    "##[add-mask]x",
    "a ##[error]b",
    "#\u{ad}#[save-state name=x]y",
    "##vso[task.setvariable variable=x]y",
    "##teamcity[testFailed name='x']",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}1m",
    "\u{202e}txt.exe\u{2066}\u{2069}\u{200b}\u{2028}",
    "</details><script>alert(1)</script><img src=x onerror=y>",
    "`x` ``` ```` | a | b |\\| \\\\| c",
    "| --- |\n| --- |",
    "[link](javascript:x) ![i](http://e/x.png) **b** _i_ ~~s~~ <http://e>",
    "@octocat @org/team #123 GH-1 octo/repo#9 http://evil.example www.evil.example",
    "&lt;b&gt; &#35;&#35;[x]",
    "ghadelimiter_\nbatch-id=forged\nx<<EOF\nEOF\nghadelimiter_00000000-0000-4000-8000-000000000000",
    "# heading\n\n- list\n\n```\nfence",
    "\0\u{7f}\t",
    " ",
];

/// What a run of which some requests failed says first.
const AGAIN: &str = "`batchstep run requests.jsonl --only-failed` sends only the failed requests again and keeps the other answers; without `--only-failed`, all requests are paid for again.";

pub(crate) fn set_verdict(report: &mut Report, outcome: Outcome, exit: Exit, reason: &str) {
    (report.outcome, report.exit_code, report.reason) = (outcome, exit.code(), reason.to_owned());
}

pub(crate) fn succeeded() -> Report {
    let counts = BatchCounts::of(1200, 1200, 0);
    Report {
        version: VERSION,
        tool: "batchstep 1.2.3".to_owned(),
        simulated: false,
        outcome: Outcome::Succeeded,
        exit_code: 0,
        reason: "All 1200 requests succeeded.".to_owned(),
        hints: Vec::new(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        ended_at: "2026-01-02T03:10:11Z".to_owned(),
        provider: "openai".to_owned(),
        origin: "https://api.openai.com".to_owned(),
        continued: None,
        requests: Asked {
            files: vec!["requests.jsonl".to_owned()],
            total: 1200,
            bytes: 345_678,
            endpoint: Some("/v1/chat/completions".to_owned()),
            model: Some("gpt-4.1-mini".to_owned()),
            key: Some("0123456789abcdef".to_owned()),
            pages: Vec::new(),
        },
        input_file_id: Some("file-in".to_owned()),
        shards: Vec::new(),
        batches: vec![BatchReport {
            attached: None,
            url: Some("https://platform.openai.com/batches/batch_1".to_owned()),
            run_url: None,
            attempt: 1,
            id: "batch_1".to_owned(),
            status: Status::Completed,
            input_file_id: Some("file-in".to_owned()),
            output_file_id: Some("file-out".to_owned()),
            error_file_id: None,
            request_counts: counts,
            created_at: Some(1_767_323_050),
            ended_at: Some(1_767_323_400),
            usd: Usd::dollars(0.318_020_6),
            provider_usd: None,
            errors: Vec::new(),
            error_count: 0,
        }],
        max_failed: "0".to_owned(),
        max_suspect: None,
        counts: Counts {
            total: 1200,
            succeeded: 1200,
            failed: 0,
            missing: 0,
            unexpected: 0,
            unreadable: 0,
            suspect: 0,
            schema_violations: 0,
        },
        coverage: Coverage::Requests,
        tokens: Tokens { input: 1_234_567, cached: 1_024, output: 89_012, reasoning: 640, ..Tokens::default() },
        usage: vec![ModelUsage {
            model: Some("gpt-4.1-mini".to_owned()),
            batch_id: "batch_1".to_owned(),
            succeeded: 1200,
            failed: 0,
            tokens: Tokens { input: 1_234_567, cached: 1_024, output: 89_012, reasoning: 640, ..Tokens::default() },
            usd: Usd::dollars(0.318_020_6),
            standard_usd: Usd::dollars(0.635_938_8),
        }],
        cost: costs::of(0.318_020_6, 0.635_938_8),
        failures: Vec::new(),
        samples: Vec::new(),
        suspects: Vec::new(),
        schema: None,
        gate: None,
        faults: Vec::new(),
        fault_count: 0,
        phases: [("check", 0.2), ("upload", 1.25), ("in_progress", 350.0), ("collect", 2.0)].map(phase).to_vec(),
        warnings: Vec::new(),
        files: Files {
            results: Some("batch-results/results.jsonl".to_owned()),
            unexpected: None,
            answers: None,
            answers_csv: None,
            junit: None,
            report: Some("batch-results/report.json".to_owned()),
        },
    }
}

fn phase((name, seconds): (&str, f64)) -> PhaseTime {
    PhaseTime { name: name.to_owned(), seconds }
}

pub(crate) fn partial() -> Report {
    let mut report = succeeded();
    set_verdict(
        &mut report,
        Outcome::Partial,
        Exit::Ok,
        "12 of 1200 requests failed and 1 is missing, within the 24 that `max-failed` allows.",
    );
    report.max_failed = "2%".to_owned();
    report.counts = Counts {
        total: 1200,
        succeeded: 1187,
        failed: 12,
        missing: 1,
        unexpected: 1,
        unreadable: 0,
        suspect: 7,
        schema_violations: 3,
    };
    report.batches[0].error_file_id = Some("file-err".to_owned());
    report.batches[0].request_counts = BatchCounts::of(1200, 1187, 12);
    report.failures = vec![
        failure("rate_limit_exceeded", "Too many requests.", 12, &["q-7", "q-19", "q-20"]),
        failure("batchstep_missing", "The provider gave no answer.", 1, &["q-1100"]),
    ];
    report.suspects = vec![suspects(Suspicion::Refusal, 5, &["q-3", "q-4"]), suspects(Suspicion::CutOff, 2, &["q-8"])];
    report.gate = Some(GateReport { command: "./gate.sh".to_owned(), failed: Some(2) });
    report.schema = Some(schema("items[].price", "it is not of type \"number\"", "q-5"));
    report.warnings = vec!["The list of batches was not readable; `reuse` relied on the journal.".to_owned()];
    report.hints = vec![AGAIN.to_owned()];
    report.files.unexpected = Some("batch-results/unexpected.jsonl".to_owned());
    report
}

pub(crate) fn suspects(kind: Suspicion, count: u64, ids: &[&str]) -> SuspectGroup {
    SuspectGroup { kind, count, custom_ids: ids.iter().map(ToString::to_string).collect() }
}

pub(crate) fn schema(path: &str, message: &str, id: &str) -> SchemaReport {
    let own = |text: &str| text.to_owned();
    let group = ViolationGroup {
        path: own(path),
        message: own(message),
        value: Some(own("\"12 EUR\"")),
        count: 3,
        custom_ids: vec![own(id)],
    };
    let unusable = vec![Unusable { place: Some(own(path)), message: own(message) }];
    SchemaReport { mode: SchemaMode::Warn, checked: 1187, violations: 3, unchecked: 1, unusable, groups: vec![group] }
}

pub(crate) fn failure(code: &str, message: &str, count: u64, ids: &[&str]) -> FailureGroup {
    let custom_ids = ids.iter().map(ToString::to_string).collect();
    let example = |(at, id): (usize, &&str)| Example {
        custom_id: (*id).to_owned(),
        file: Some("requests.jsonl".to_owned()),
        line: Some(at as u64 + 7),
        index: None,
    };
    let examples = ids.iter().enumerate().take(3).map(example).collect();
    let (code, message, status) = (code.to_owned(), message.to_owned(), None);
    let (prospect, advice) = (Prospect::MayPass, "This may pass; send them again.".to_owned());
    FailureGroup { code, status, message, count, custom_ids, prospect, advice, examples }
}

/// No answer states what it used.
fn nothing_spent(report: &mut Report) {
    report.tokens = Tokens::default();
    report.usage.clear();
    report.batches[0].usd = None;
    (report.cost.usd, report.cost.standard_usd) = (None, None);
}

fn nothing_collected(report: &mut Report) {
    report.counts = Counts::default();
    nothing_spent(report);
    report.files.results = None;
}

pub(crate) fn failed_validation() -> Report {
    let mut report = succeeded();
    set_verdict(&mut report, Outcome::Failed, Exit::BatchFailed, "The provider refused the input of `batch_1`.");
    nothing_collected(&mut report);
    report.phases.truncate(2);
    let batch = &mut report.batches[0];
    batch.status = Status::Failed;
    batch.output_file_id = None;
    batch.request_counts = BatchCounts::default();
    batch.errors = vec![BatchFault {
        code: Some("model_not_found".to_owned()),
        message: Some("The model `gpt-9` does not exist.".to_owned()),
        param: Some("body.model".to_owned()),
        file: Some("requests.jsonl".to_owned()),
        line: Some(7),
    }];
    batch.error_count = 1;
    report.hints = vec!["Correct the lines above and run again.".to_owned()];
    report
}

pub(crate) fn invalid() -> Report {
    let mut report = succeeded();
    set_verdict(&mut report, Outcome::Invalid, Exit::Invalid, "`requests.jsonl` has 2 faults; nothing was uploaded.");
    nothing_collected(&mut report);
    report.batches.clear();
    report.input_file_id = None;
    report.requests = Asked { files: report.requests.files, ..Asked::default() };
    report.phases.truncate(1);
    report.faults = vec![
        Fault {
            file: "./requests.jsonl".to_owned(),
            line: Some(3),
            last_line: Some(3),
            column: Some(14),
            field: Some("body.model".to_owned()),
            found: "the number 4".to_owned(),
            expected: "each request names its model".to_owned(),
            fix: "write a string".to_owned(),
        },
        Fault {
            file: "requests.jsonl".to_owned(),
            line: None,
            last_line: None,
            column: None,
            field: None,
            found: "50,001 requests".to_owned(),
            expected: "a batch takes at most 50,000".to_owned(),
            fix: "split the file".to_owned(),
        },
    ];
    report.fault_count = 2;
    report
}

pub(crate) fn simulated() -> Report {
    let mut report = succeeded();
    report.simulated = true;
    report.provider = "sandbox".to_owned();
    report.origin = "http://127.0.0.1:4010".to_owned();
    report
}

/// A report with all that can be said of costs.
pub(crate) fn with_costs() -> Report {
    let mut report = partial();
    report.cost = costs::with_all(report.cost);
    report
}

/// A report that quotes `text` wherever it quotes anything.
pub(crate) fn hostile(text: &str) -> Report {
    let mut report = partial();
    let own = || text.to_owned();
    report.reason = format!("The provider said `{text}` and {text}");
    report.hints = vec![format!("Ask about {text}")];
    report.warnings = vec![format!("It said: {text}")];
    report.provider = own();
    report.requests =
        Asked { files: vec![own()], endpoint: Some(own()), model: Some(own()), key: Some(own()), ..report.requests };
    report.requests.pages = vec![FilePage { file: own(), url: format!("{text} ({text})") }];
    (report.max_failed, report.max_suspect) = (own(), Some(own()));
    report.suspects = vec![suspects(Suspicion::Filtered, 3, &[text])];
    report.schema = Some(schema(text, text, text));
    report.gate = Some(GateReport { command: own(), failed: None });
    (report.usage[0].model, report.usage[0].batch_id) = (Some(own()), own());
    report.cost = costs::hostile(text);
    report.failures = vec![failure(text, text, 3, &[text, text])];
    report.failures[0].examples.iter_mut().for_each(|example| example.file = Some(own()));
    report.failures[0].advice = own();
    let batch = &mut report.batches[0];
    batch.id = own();
    (batch.url, batch.run_url) = (Some(format!("{text} x")), Some(format!("{text} x")));
    batch.status = Status::Other(own());
    (batch.input_file_id, batch.output_file_id, batch.error_file_id) = (Some(own()), Some(own()), Some(own()));
    batch.errors = vec![BatchFault {
        code: Some(own()),
        message: Some(own()),
        param: Some(own()),
        file: Some(own()),
        line: Some(1),
    }];
    batch.error_count = 1;
    report.samples = vec![Sample { custom_id: own(), answer: own() }];
    report.files = Files {
        results: Some(own()),
        unexpected: Some(own()),
        answers: Some(own()),
        answers_csv: Some(own()),
        junit: Some(own()),
        report: Some(own()),
    };
    report
}

/// Faults that quote `text`.
pub(crate) fn hostile_faults(text: &str) -> Report {
    let mut report = invalid();
    let own = || text.to_owned();
    for fault in &mut report.faults {
        (fault.file, fault.field, fault.found, fault.expected, fault.fix) = (own(), Some(own()), own(), own(), own());
    }
    report
}

/// A report from anywhere, of which every text is `text` and every number as large as it can be.
pub(crate) fn everywhere(text: &str) -> Report {
    let mut report = hostile("tame");
    (report.faults, report.fault_count) = (invalid().faults, 2);
    report.batches.push(report.batches[0].clone());
    let mut json = serde_json::to_value(&report).unwrap();
    overwrite(&mut json, "", text);
    crate::formats::read(json.to_string().as_bytes()).unwrap()
}

/// Overwrites all but words of an enum, and which version it is.
fn overwrite(json: &mut serde_json::Value, name: &str, text: &str) {
    use serde_json::Value;
    match json {
        Value::Array(list) => list.iter_mut().for_each(|value| overwrite(value, name, text)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| overwrite(value, name, text)),
        Value::String(own)
            if !["outcome", "coverage", "prospect", "by", "owner", "kind", "mode", "lacking"].contains(&name) =>
        {
            text.clone_into(own);
        }
        Value::Number(number) => {
            *number = match name {
                "version" => VERSION.into(),
                "exit_code" => u8::MAX.into(),
                "status" => u16::MAX.into(),
                "attempt" => u32::MAX.into(),
                "created_at" => i64::MIN.into(),
                "ended_at" => i64::MAX.into(),
                "seconds" => serde_json::Number::from_f64(f64::MAX).unwrap(),
                _ => u64::MAX.into(),
            }
        }
        _ => {}
    }
}
