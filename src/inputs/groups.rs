//! Groups of inputs that several commands take.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Unchecked, unchecked};
use crate::batch::Parting;
use crate::batch::attach::Reuse;
use crate::hosts::Choice;
use crate::providers;
use crate::values::{self, Field, MaxFailed, Pair, RetryWord};

/// The work to do.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct Work {
    /// Requests files, as paths or globs, read as one sequence; `-` is standard input [default: requests.jsonl].
    #[arg(value_name = "REQUESTS")]
    pub requests: Vec<String>,
    /// The endpoint of every request, as `/v1/chat/completions` [default: what the lines say].
    #[arg(long, value_name = "PATH")]
    pub endpoint: Option<String>,
    /// How many requests a batch may have at most [default: the provider's limit].
    #[arg(long, value_name = "COUNT")]
    pub max_requests: Option<u64>,
    /// How many bytes of requests a batch may have at most, as `10MB` or `10MiB` [default: the provider's limit].
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub max_bytes: Option<u64>,
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
    /// The purpose that the requests are uploaded with [default: batch].
    #[arg(long, value_name = "PURPOSE")]
    pub upload_purpose: Option<String>,
    /// More form fields for the upload, as `name=value`; one a line or one a flag.
    #[arg(long, value_name = "NAME=VALUE")]
    pub upload_fields: Vec<Field>,
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
    /// How long the run may take before the batch is cancelled [default: 5h30m on GitHub, else 30m more than `completion-window`].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What happens to the batch when time is up: cancel it, or detach and leave it to the next run [default: cancel].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_timeout: Option<Parting>,
    /// What a cancelled job does to its batch: cancel it, or detach and leave it running [default: cancel; detach at a terminal].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<Parting>,
    /// The longest wait between two polls [default: 60s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub poll_interval: Option<Duration>,
    /// Which batches of the same requests are taken up: active, finished (completed ones too) or never [default: active; finished at a terminal].
    #[arg(long, value_name = "WHICH", hide_possible_values = true)]
    pub reuse: Option<Reuse>,
    /// How many requests may fail or be missing: a count or a share, as `25` or `2%` [default: 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
    /// How often requests are sent once more whose failure may pass: 429, 5xx, expired, no answer [default: 1].
    #[arg(long, value_name = "COUNT", help_heading = "Verdict")]
    pub retries: Option<u32>,
    /// More failures to retry: statuses, codes, or `missing` (answers that the provider counts but does not deliver, which may pay for them twice); with commas, one a line or one a flag.
    #[arg(long, value_name = "WORD", value_delimiter = ',', help_heading = "Verdict")]
    pub retry_on: Vec<RetryWord>,
}

/// How long `submit` may take, and what it leaves for `collect`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Submitting {
    /// How long submitting may take [default: 5h30m on GitHub, else 30m more than `completion-window`].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What a cancelled job does to its batch: cancel it, or detach and leave it running [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<Parting>,
    /// Which batches of the same requests are taken up: active, finished (completed ones too) or never [default: active; finished at a terminal].
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
