//! The inputs, each defined once.
//!
//! A field here is a flag (`--poll-interval`), an action input
//! (`INPUT_POLL-INTERVAL`), a plugin setting (`PLUGIN_POLL_INTERVAL`) and a
//! variable (`BATCHSTEP_POLL_INTERVAL`); its doc comment is the help text.
//! `env.rs` turns variables into arguments, so clap parses each value once,
//! wherever it came from. What the values mean together is `plan.rs`'s.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::batch::Parting;
use crate::batch::attach::Reuse;
use crate::hosts::Choice;
use crate::providers;
use crate::values::{self, MaxFailed, Pair};

/// Runs OpenAI-style Batch API jobs as one step of a CI workflow.
#[derive(Debug, Parser)]
#[command(name = "batchstep", version, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check, submit, wait, collect and report: the whole life of a batch.
    Run(Box<Run>),
    /// Check and submit, and do not wait: `collect` comes back for the answers.
    Submit(Box<Submit>),
    /// Wait for batches that were submitted, download, reconcile and report.
    Collect(Box<Collect>),
    /// Check the requests; no network, no key.
    Check(Check),
    /// Cancel batches and wait for their end.
    Cancel(Box<Cancel>),
    /// Serve the built-in simulator of the API on a loopback port.
    Sandbox(Sandbox),
    /// The API's batch operations, one call each, JSON on standard output.
    #[command(subcommand)]
    Batch(Batch),
    /// The API's file operations, one call each, JSON on standard output.
    #[command(subcommand)]
    File(File),
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct Run {
    /// The work.
    #[command(flatten)]
    pub work: Work,
    /// What is made of it.
    #[command(flatten)]
    pub making: Making,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
    /// Waiting.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Reporting.
    #[command(flatten)]
    pub reporting: Reporting,
    /// The sandbox.
    #[command(flatten)]
    pub simulation: Simulation,
}

/// What `submit` takes.
#[derive(Debug, Args)]
pub struct Submit {
    /// The work.
    #[command(flatten)]
    pub work: Work,
    /// What is made of it.
    #[command(flatten)]
    pub making: Making,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
    /// Waiting, which is short.
    #[command(flatten)]
    pub submitting: Submitting,
    /// Reporting.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// What `collect` takes.
#[derive(Debug, Args)]
pub struct Collect {
    /// The batches, or the output `batch-ids` as it is [default: those that the journal in `output-dir` names].
    #[arg(value_name = "BATCH_ID", help_heading = "Work")]
    pub batch_id: Vec<String>,
    /// Collect every batch of this repository whose check is not concluded yet; needs `check-run` [default: false].
    #[arg(long, value_name = "BOOL", help_heading = "Work", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub pending: Option<bool>,
    /// The requests that the batches were made of; where they are not at hand, the provider's copy serves [default: requests.jsonl].
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    pub requests: Vec<String>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
    /// Waiting.
    #[command(flatten)]
    pub collecting: Collecting,
    /// Reporting.
    #[command(flatten)]
    pub reporting: Reporting,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct Check {
    /// The work.
    #[command(flatten)]
    pub work: Work,
    /// Whose limits to check against: openai, compatible (any OpenAI-style server) or sandbox [default: openai].
    #[arg(long, value_name = "NAME", help_heading = "Connection", hide_possible_values = true)]
    pub provider: Option<providers::Name>,
    /// The CI system to speak to: auto, github or terminal [default: auto].
    #[arg(long, value_name = "NAME", help_heading = "Reporting", hide_possible_values = true)]
    pub ci: Option<Choice>,
}

/// What `cancel` takes.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The batches.
    #[arg(value_name = "BATCH_ID")]
    pub batch_id: Vec<String>,
    /// Without a batch, find it by the mark of its create, which a run leaves in its journal and, on GitHub, in its state.
    #[arg(long, value_name = "ID")]
    pub create: Vec<String>,
    /// Conclude the run's check on GitHub as cancelled, by its id, which a run leaves in its state.
    #[arg(long, value_name = "ID")]
    pub check: Option<u64>,
    /// The token to do that with [default: GITHUB_TOKEN, where it is set].
    #[arg(long, value_name = "TOKEN", value_parser = unchecked)]
    pub github_token: Option<Unchecked>,
    /// Cancel every batch of this repository that is still running; only names them unless `yes` is given [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub pending: Option<bool>,
    /// Do it without asking [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub yes: Option<bool>,
    /// How long to look for it and to wait for its end [default: 11m].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
    /// The CI system to speak to: auto, github or terminal [default: auto].
    #[arg(long, value_name = "NAME", help_heading = "Reporting", hide_possible_values = true)]
    pub ci: Option<Choice>,
}

/// The work to do.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct Work {
    /// Requests files, as paths or globs, read as one sequence; `-` is standard input [default: requests.jsonl].
    #[arg(value_name = "REQUESTS")]
    pub requests: Vec<String>,
    /// The endpoint of every request, as `/v1/chat/completions` [default: what the lines say].
    #[arg(long, value_name = "PATH")]
    pub endpoint: Option<String>,
}

/// What is made of the work at the provider.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct Making {
    /// How long the provider may take [default: 24h].
    #[arg(long, value_name = "WINDOW")]
    pub completion_window: Option<String>,
    /// Metadata for the batch, as `key=value`; up to nine, one a line or one a flag.
    #[arg(long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Pair>,
    /// Let the uploaded file expire after this time, `1h` to `30days` [default: the provider's].
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub expires_after: Option<Duration>,
    /// Let the output file expire after this time, `1h` to `30days` [default: the provider's].
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub output_expires_after: Option<Duration>,
    /// How many batches may be under way at a time, where the requests need several [default: 8].
    #[arg(long, value_name = "COUNT")]
    pub max_in_flight: Option<usize>,
}

/// How to reach the provider.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The provider: openai, compatible (any OpenAI-style server) or sandbox [default: openai].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub provider: Option<providers::Name>,
    /// Where the API answers, as `https://api.openai.com/v1` [default: the provider's].
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The API key.
    #[arg(long, value_name = "KEY", value_parser = unchecked)]
    pub api_key: Option<Unchecked>,
    /// The organization to act for (header `OpenAI-Organization`).
    #[arg(long, value_name = "ID")]
    pub organization: Option<String>,
    /// The project to act for (header `OpenAI-Project`).
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// More headers for every call, as `Name: value`; one a line or one a flag. Their values are secrets.
    #[arg(long, value_name = "NAME: VALUE", value_parser = unchecked)]
    pub headers: Vec<Unchecked>,
    /// A PEM file of certificates to trust beside the system's.
    #[arg(long, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// Allow plain http to other machines [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub allow_http: Option<bool>,
}

/// How long to wait.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Waiting {
    /// How long the run may take before the batch is cancelled [default: 5h30m on GitHub, else 24h30m].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What happens to the batch when time is up: cancel it, or detach and leave it to the next run [default: cancel].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_timeout: Option<Parting>,
    /// What a cancelled job does to its batch: cancel it, or detach and leave it running [default: cancel].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<Parting>,
    /// The longest wait between two polls [default: 60s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub poll_interval: Option<Duration>,
    /// Which batches of the same requests are taken up: active, finished (completed ones too) or never [default: active].
    #[arg(long, value_name = "WHICH", hide_possible_values = true)]
    pub reuse: Option<Reuse>,
    /// How many requests may fail or be missing: a count or a share, as `25` or `2%` [default: 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
    /// How often requests are sent once more whose failure may pass: 429, 5xx, expired, no answer [default: 1].
    #[arg(long, value_name = "COUNT", help_heading = "Verdict")]
    pub retries: Option<u32>,
}

/// How long `submit` may take, and what it leaves for `collect`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Submitting {
    /// How long submitting may take [default: 5h30m on GitHub, else 24h30m].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What a cancelled job does to its batch: cancel it, or detach and leave it running [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<Parting>,
    /// Which batches of the same requests are taken up: active, finished (completed ones too) or never [default: active].
    #[arg(long, value_name = "WHICH", hide_possible_values = true)]
    pub reuse: Option<Reuse>,
    /// How many requests may fail or be missing, for `collect --pending` to judge by [default: 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
}

/// How long `collect` waits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Collecting {
    /// How long to wait for the batches; 0 looks once [default: 5h30m on GitHub, else 24h30m; 0 with `pending`].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What happens to the batches when time is up: detach and leave them running, or cancel them [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_timeout: Option<Parting>,
    /// What a cancelled job does to the batches: detach and leave them running, or cancel them [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<Parting>,
    /// The longest wait between two polls [default: 60s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub poll_interval: Option<Duration>,
    /// Fail with exit code 8 while a batch is not over [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub fail_if_pending: Option<bool>,
    /// How many requests may fail or be missing: a count or a share, as `25` or `2%` [default: what `submit` was told, else 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
}

/// Where results and reports go.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub struct Reporting {
    /// Where results, report and journal go [default: batch-results].
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Write the job summary where the CI system has one [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub summary: Option<bool>,
    /// Keep one comment with the summary on the pull request, on GitHub [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub comment: Option<bool>,
    /// Show a check on the head commit, with annotations for faulty lines, on GitHub [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub check_run: Option<bool>,
    /// The token that `comment` and `check-run` are done with [default: GITHUB_TOKEN, where it is set].
    #[arg(long, value_name = "TOKEN", value_parser = unchecked)]
    pub github_token: Option<Unchecked>,
    /// The CI system to speak to: auto, github or terminal [default: auto].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub ci: Option<Choice>,
    /// Without a key, say so and end well: pull requests from forks get no secrets [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub skip_without_key: Option<bool>,
}

/// How the simulator behaves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub struct Simulation {
    /// How long a batch of the sandbox takes [default: 3s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub takes: Option<Duration>,
    /// Trouble the sandbox makes, as `get 503 for=1h`, or `@PATH` for a file of it; one a line or one a flag.
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
}

/// What `sandbox` takes.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// The loopback port to serve on; 0 takes a free one [default: 8080].
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// How it behaves.
    #[command(flatten)]
    pub simulation: Simulation,
}

/// The API's batch operations.
#[derive(Debug, Subcommand)]
pub enum Batch {
    /// Create a batch over an uploaded file.
    Create(Box<CreateBatch>),
    /// Read a batch.
    Get(OneBatch),
    /// Cancel a batch.
    Cancel(OneBatch),
    /// List batches, newest first.
    List(ListBatches),
}

/// What `batch create` takes.
#[derive(Debug, Args)]
pub struct CreateBatch {
    /// The uploaded file.
    #[arg(value_name = "FILE_ID")]
    pub file_id: String,
    /// The endpoint of its requests, as `/v1/chat/completions`.
    #[arg(long, value_name = "PATH")]
    pub endpoint: String,
    /// How long the provider may take [default: 24h].
    #[arg(long, value_name = "WINDOW")]
    pub completion_window: Option<String>,
    /// Metadata, as `key=value`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Pair>,
    /// Let the output file expire after this time, `1h` to `30days`.
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub output_expires_after: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `batch get` and `batch cancel` take.
#[derive(Debug, Args)]
pub struct OneBatch {
    /// The batch.
    #[arg(value_name = "BATCH_ID")]
    pub batch_id: String,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `batch list` takes.
#[derive(Debug, Args)]
pub struct ListBatches {
    /// How many, 1 to 100 [default: 20].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: Option<u64>,
    /// Only those after this batch in the list.
    #[arg(long, value_name = "BATCH_ID")]
    pub after: Option<String>,
    /// A table of those that batchstep made in the last thirty days: repository, run, key, age and counts [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub ours: Option<bool>,
    /// With `ours`, JSON instead of a table [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub json: Option<bool>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// The API's file operations.
#[derive(Debug, Subcommand)]
pub enum File {
    /// Upload a requests file, with purpose `batch`.
    Upload(UploadFile),
    /// Read a file's object.
    Get(OneFile),
    /// Download a file's bytes.
    Content(FileContent),
    /// Delete a file.
    Delete(OneFile),
}

/// What `file upload` takes.
#[derive(Debug, Args)]
pub struct UploadFile {
    /// The file to upload; `-` is standard input.
    #[arg(value_name = "PATH")]
    pub path: String,
    /// The name it gets, ending in `.jsonl` [default: the file's own].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Let it expire after this time, `1h` to `30days`.
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub expires_after: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `file get` and `file delete` take.
#[derive(Debug, Args)]
pub struct OneFile {
    /// The file.
    #[arg(value_name = "FILE_ID")]
    pub file_id: String,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `file content` takes.
#[derive(Debug, Args)]
pub struct FileContent {
    /// The file.
    #[arg(value_name = "FILE_ID")]
    pub file_id: String,
    /// Where to write it. `-` is standard output, for a pipe: never let it run into a CI log, which may obey it.
    #[arg(long, value_name = "PATH")]
    pub output: PathBuf,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// Text that may be a secret and is checked only in `plan.rs`: clap would show
/// a wrong value in its error.
#[derive(Clone)]
pub struct Unchecked(pub String);

impl std::fmt::Debug for Unchecked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

fn unchecked(text: &str) -> Result<Unchecked, Infallible> {
    Ok(Unchecked(text.to_owned()))
}
