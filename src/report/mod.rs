//! The report: the one record that every format and every host reads.
//!
//! Its JSON form is `report.json`, described in `docs/report.md`. A field is
//! never removed or given another meaning within a `version`.

mod continued;
mod cost;
mod runs;

use serde::{Deserialize, Serialize};

pub(crate) use self::continued::Continued;
pub(crate) use self::cost::{Band, BudgetReport, CostReport, Estimate, Lacking, ModelEstimate, ModelUsage, Unpriced};
pub(crate) use self::runs::{RunEntry, ShownAt};

use crate::attachment::Attachment;
use crate::clock::{Clock, rfc3339};
use crate::dialects::{Batch, BatchError, Counts as BatchCounts, Status, Tokens, Vendor};
use crate::error::{Exit, Outcome};
use crate::judgement::{GateReport, SchemaReport, SuspectGroup};
use crate::phases::PhaseTime;
use crate::requests::places::Places;
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::requests::{Checked, Fault};
use crate::usd::Usd;

/// The `version` written into `report.json`.
pub(crate) const VERSION: u32 = 1;

/// Everything a run has to say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Report {
    /// The report's format.
    pub version: u32,
    /// `batchstep` and its version.
    pub tool: String,
    /// Whether the answers are the sandbox's: then no model was ever asked.
    pub simulated: bool,
    /// The verdict.
    pub outcome: Outcome,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// The verdict in a sentence.
    pub reason: String,
    /// What to do next, a sentence each.
    pub hints: Vec<String>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub ended_at: String,
    /// The provider's name.
    pub provider: String,
    /// Where it answers: scheme, host and port.
    pub origin: String,
    /// What was asked.
    pub requests: Asked,
    /// The earlier run of which only the failed requests were sent; none where all were.
    pub continued: Option<Continued>,
    /// The uploaded file.
    pub input_file_id: Option<String>,
    /// The batches, in the order of the shards, retries after.
    pub batches: Vec<BatchReport>,
    /// The parts of the requests that went into a batch each; empty where all went into one.
    pub shards: Vec<ShardReport>,
    /// How many may fail or be missing, as the input said it.
    pub max_failed: String,
    /// How many answers may be suspect, as the input said it; none where any number may.
    pub max_suspect: Option<String>,
    /// How the requests fared; all zero if nothing was collected.
    pub counts: Counts,
    /// How it is known which requests there are.
    pub coverage: Coverage,
    /// Tokens, summed over the answers' own usage.
    pub tokens: Tokens,
    /// Tokens and counts of the answers, by batch and model.
    pub usage: Vec<ModelUsage>,
    /// What the requests cost.
    pub cost: CostReport,
    /// Failed requests, grouped by code, status and message, most frequent first.
    pub failures: Vec<FailureGroup>,
    /// Answers that are not to be relied on, grouped by the reason, most frequent first.
    pub suspects: Vec<SuspectGroup>,
    /// How the answers fit their schemas; none where no schema was asked for.
    pub schema: Option<SchemaReport>,
    /// What the gate made of the answers; none where there was none, or nothing for it to read.
    pub gate: Option<GateReport>,
    /// The first answers; as many as the input `samples` asks for.
    pub samples: Vec<Sample>,
    /// What is wrong with the requests file; the first thousand.
    pub faults: Vec<Fault>,
    /// How many faults there are in all.
    pub fault_count: u64,
    /// How long each phase took, in the order they began.
    pub phases: Vec<PhaseTime>,
    /// What the user should know that did not change the verdict.
    pub warnings: Vec<String>,
    /// The files the run left.
    pub files: Files,
}

/// The requests of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Asked {
    /// The files they came from, as the user named them.
    pub files: Vec<String>,
    /// Requests in them.
    pub total: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// The endpoint they go to.
    pub endpoint: Option<String>,
    /// The model they name.
    pub model: Option<String>,
    /// The digest that names this work: over the bytes, the endpoint and the window.
    pub key: Option<String>,
    /// Where the files can be read at the run's commit: those that are tracked there and unchanged.
    pub pages: Vec<FilePage>,
}

/// Where people read a requests file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FilePage {
    /// The file, as the user named it.
    pub file: String,
    /// Its page at the run's commit; `#L7` after it leads to a line.
    pub url: String,
}

/// One batch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BatchReport {
    /// Its id.
    pub id: String,
    /// Which attempt at its requests it is, from 1.
    pub attempt: u32,
    /// Its last known status.
    #[cfg_attr(test, schemars(with = "String"))]
    pub status: Status,
    /// The uploaded file.
    pub input_file_id: Option<String>,
    /// The file of answers with status 200.
    pub output_file_id: Option<String>,
    /// The file of other answers.
    pub error_file_id: Option<String>,
    /// The provider's own counts.
    pub request_counts: BatchCounts,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Unix seconds.
    pub ended_at: Option<i64>,
    /// What its answers cost by their own usage; none where that is not known of any.
    pub usd: Option<Usd>,
    /// What the provider says that it costs, where it says so.
    pub provider_usd: Option<Usd>,
    /// Why the whole batch failed.
    pub errors: Vec<BatchFault>,
    /// How many reasons the provider gave; the first thousand are kept.
    pub error_count: u64,
    /// How the run came by it, if it did not create it.
    pub attached: Option<Attachment>,
    /// Its page at the provider, where that has one.
    pub url: Option<String>,
    /// The page of the run that created it, if this run attached to it and its host is known.
    pub run_url: Option<String>,
}

/// A part of the requests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ShardReport {
    /// The endpoint its requests go to.
    pub endpoint: String,
    /// The model they name.
    pub model: Option<String>,
    /// Requests in it.
    pub requests: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// The digest that names its work; none where it was only checked.
    pub key: Option<String>,
    /// Its first batch, if it came to that.
    pub batch_id: Option<String>,
}

/// One reason why a batch failed, with the place it is about in the user's files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BatchFault {
    /// The provider's word for it.
    pub code: Option<String>,
    /// The provider's sentence.
    pub message: Option<String>,
    /// The field it is about.
    pub param: Option<String>,
    /// The requests file, as the user named it.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u64>,
}

/// How the requests fared. `succeeded + failed + missing == total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Counts {
    /// Requests in the file.
    pub total: u64,
    /// Status 200, no error anywhere.
    pub succeeded: u64,
    /// An answer that is not that.
    pub failed: u64,
    /// No answer at all.
    pub missing: u64,
    /// Lines for ids nobody asked for, lines that name no request, and answers beyond the first.
    pub unexpected: u64,
    /// Answers in their places of which a part cannot be read: their lines are no JSON.
    pub unreadable: u64,
    /// Answers that are not to be relied on, whatever else they count as.
    pub suspect: u64,
    /// Answers that do not fit their schema, whatever else they count as.
    pub schema_violations: u64,
}

/// How it is known which requests there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// From the requests themselves: each has its line in the results.
    #[default]
    Requests,
    /// Only their number, from the provider's counts: those that are missing have no line.
    Counted,
}

/// Failed requests that share a code, a status and a message, but for ids and numbers in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct FailureGroup {
    /// The provider's code, or `http_500`, `batchstep_missing` and the like.
    pub code: String,
    /// The HTTP status, of the response or named by the error.
    pub status: Option<u16>,
    /// The first message of the group as it came.
    pub message: String,
    /// How many.
    pub count: u64,
    /// The first few, by `custom_id`.
    pub custom_ids: Vec<String>,
    /// What happens if these requests are sent again as they are.
    pub prospect: Prospect,
    /// What to do about them, a sentence.
    pub advice: String,
    /// Where the first three of them are.
    pub examples: Vec<Example>,
}

/// What happens if a failed request is sent again as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Prospect {
    /// It may pass.
    #[default]
    MayPass,
    /// It fails again until somebody changes the request, the key or the account.
    FailsAgain,
    /// An answer was paid for and is not good; another one is paid for as well.
    PaidAgain,
}

/// A request as an example of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Example {
    /// Its `custom_id`.
    pub custom_id: String,
    /// The requests file, as the user named it, where the requests are at hand.
    pub file: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u64>,
    /// Its index among all requests, from 0.
    #[serde(skip)]
    pub index: Option<u32>,
}

/// An answer, for an impression of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Sample {
    /// The request's `custom_id`.
    pub custom_id: String,
    /// The first thousand characters of the answer.
    pub answer: String,
}

impl FailureGroup {
    /// The status, unless it says that all is well or the code says it already.
    pub fn shown_status(&self) -> Option<u16> {
        self.status.filter(|status| !(200..300).contains(status) && !self.code.ends_with(&status.to_string()))
    }
}

/// The files a run leaves, as paths.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Files {
    /// The answers in input order.
    pub results: Option<String>,
    /// Lines that answer nothing we asked.
    pub unexpected: Option<String>,
    /// The texts of the answers, as JSON lines; only with the input `csv`.
    pub answers: Option<String>,
    /// The same as a table.
    pub answers_csv: Option<String>,
    /// The requests as test cases; only with the input `junit`.
    pub junit: Option<String>,
    /// The report itself.
    pub report: Option<String>,
}

impl Report {
    /// A report on a run that begins now.
    pub fn begin(vendor: &Vendor, origin: String, clock: Clock) -> Self {
        let now = rfc3339(clock.unix());
        Self {
            version: VERSION,
            tool: format!("batchstep {}", env!("CARGO_PKG_VERSION")),
            simulated: vendor.is_simulated(),
            outcome: Outcome::Unknown,
            exit_code: Exit::Internal.code(),
            reason: String::new(),
            hints: Vec::new(),
            started_at: now.clone(),
            ended_at: now,
            provider: vendor.name.to_owned(),
            origin,
            requests: Asked::default(),
            continued: None,
            input_file_id: None,
            batches: Vec::new(),
            shards: Vec::new(),
            max_failed: "0".to_owned(),
            max_suspect: None,
            counts: Counts::default(),
            coverage: Coverage::default(),
            tokens: Tokens::default(),
            usage: Vec::new(),
            cost: CostReport::default(),
            failures: Vec::new(),
            suspects: Vec::new(),
            schema: None,
            gate: None,
            samples: Vec::new(),
            faults: Vec::new(),
            fault_count: 0,
            phases: Vec::new(),
            warnings: Vec::new(),
            files: Files::default(),
        }
    }

    /// Takes note of what the check found.
    pub fn asked(&mut self, source: &Source, checked: &Checked) {
        self.requests = Asked {
            files: source.parts.iter().map(|part| part.name.clone()).collect(),
            total: checked.total,
            bytes: checked.bytes,
            endpoint: checked.endpoint.clone(),
            model: checked.model.clone(),
            key: None,
            pages: Vec::new(),
        };
        if checked.shards.len() > 1 && checked.fault_count == 0 {
            self.shards = checked.shards.iter().map(ShardReport::planned).collect();
        }
        self.faults.clone_from(&checked.faults);
        self.fault_count = checked.fault_count;
    }
}

impl ShardReport {
    fn planned(shard: &Shard) -> Self {
        Self {
            endpoint: shard.endpoint.clone(),
            model: shard.model.clone(),
            requests: shard.requests,
            bytes: shard.bytes,
            key: None,
            batch_id: None,
        }
    }
}

impl Report {
    /// The first attempt's batch, if the requests needed only one.
    pub fn only_first(&self) -> Option<&BatchReport> {
        let attempt = self.batches.iter().map(|batch| batch.attempt).min()?;
        let mut firsts = self.batches.iter().filter(|batch| batch.attempt == attempt);
        firsts.next().filter(|_| self.shards.is_empty() && firsts.next().is_none())
    }

    /// Where the provider answers, if it was asked at all.
    pub fn asked_origin(&self) -> Option<&str> {
        Some(&*self.origin).filter(|origin| !origin.is_empty())
    }

    /// Where in the user's files the examples of failures are.
    pub(crate) fn locate_examples(&mut self, places: &Places) {
        for example in self.failures.iter_mut().flat_map(|group| &mut group.examples) {
            let place = example.index.and_then(|index| places.locate(u64::from(index) + 1));
            (example.file, example.line) = place.map(|(file, line)| (file.to_owned(), line)).unzip();
        }
    }

    /// The page of a line of a requests file, where the file has one.
    pub(crate) fn line_url(&self, file: &str, line: u64) -> Option<String> {
        let page = self.requests.pages.iter().find(|page| page.file == file)?;
        Some(format!("{}#L{line}", page.url))
    }

    /// Of each batch that the run did not create: how it came by it.
    pub fn attached(&self) -> Vec<String> {
        let sentence = |batch: &BatchReport| {
            let attached = batch.attached.as_ref()?.sentence(&batch.id);
            Some(format!("{attached}; nothing was uploaded."))
        };
        self.batches.iter().filter_map(sentence).collect()
    }
}

impl BatchReport {
    /// What the report says of a batch: `locate` gives the user's file and line of one of its lines.
    pub fn new(
        batch: &Batch,
        attempt: u32,
        locate: impl Fn(u64) -> Option<(String, u64)>,
        attached: Option<Attachment>,
    ) -> Self {
        let fault = |error: &BatchError| {
            let (file, line) = error.line.and_then(&locate).unzip();
            let (code, message, param) = (error.code.clone(), error.message.clone(), error.param.clone());
            BatchFault { code, message, param, file, line: line.or(error.line) }
        };
        Self {
            attempt,
            id: batch.id.clone(),
            status: batch.status.clone(),
            input_file_id: batch.input_file_id.clone(),
            output_file_id: batch.output_file_id.clone(),
            error_file_id: batch.error_file_id.clone(),
            request_counts: batch.counts,
            created_at: batch.created_at,
            ended_at: batch.ended_at,
            usd: None,
            provider_usd: batch.billed,
            errors: batch.errors.iter().map(fault).collect(),
            error_count: batch.errors.total,
            attached,
            url: None,
            run_url: None,
        }
    }
}
