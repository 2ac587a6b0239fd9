//! Groups of inputs that several commands take. Whether `batchstep.toml` may set one is decided in `in_file.rs`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Unchecked, unchecked};
use crate::dialects;
use crate::usd::Usd;
use crate::values::OnExit;
use crate::values::Reuse;
use crate::values::{self, BudgetMode, Field, MaxFailed, OnlyFailed, Pair, RetryWord, SchemaMode, Verbosity};

/// The heading of arguments that are not flags: clap lists them first, as `Arguments`.
const NO_HEADING: Option<&str> = None;
/// The heading of flags that are no inputs.
const TERMINAL: &str = "Terminal";

/// Whether an argument is an input: what a variable and the action can set, too.
pub fn is_input(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values() && arg.get_help_heading() != Some(TERMINAL)
}

/// The work to do.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct Work {
    /// Requests files, as paths or globs, read as one sequence; `-` is standard input [default: requests.jsonl].
    #[arg(value_name = "REQUESTS", help_heading = NO_HEADING)]
    pub requests: Vec<String>,
    /// The endpoint of every request, such as `/v1/chat/completions` [default: what the lines say].
    #[arg(long, value_name = "PATH")]
    pub endpoint: Option<String>,
    /// Maximum number of requests in a batch [default: the provider's limit].
    #[arg(long, value_name = "COUNT")]
    pub max_requests: Option<u64>,
    /// Maximum size of a batch's requests, such as `10MB` or `10MiB` [default: the provider's limit].
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub max_bytes: Option<u64>,
}

/// What is made of the work at the provider.
#[derive(Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct Making {
    /// How long the provider may take to answer [default: 24h].
    #[arg(long, value_name = "WINDOW")]
    pub completion_window: Option<String>,
    /// Metadata for the batch, as `key=value`; up to nine, one per line or one per flag.
    #[arg(long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Pair>,
    /// Expire the uploaded file after this time, `1h` to `30days` [default: the provider's].
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub expires_after: Option<Duration>,
    /// Expire the output file after this time, `1h` to `30days` [default: the provider's].
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub output_expires_after: Option<Duration>,
    /// The `purpose` to upload the requests with [default: batch].
    #[arg(long, value_name = "PURPOSE")]
    pub upload_purpose: Option<String>,
    /// Additional form fields for the upload, as `name=value`; one per line or one per flag.
    #[arg(long, value_name = "NAME=VALUE")]
    pub upload_fields: Vec<Field>,
    /// How many batches may run at the same time, if the requests need several [default: 8].
    #[arg(long, value_name = "COUNT")]
    pub max_in_flight: Option<usize>,
}

/// How to reach the provider.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The provider: openai, compatible (any OpenAI-style server), anthropic or sandbox [default: openai].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub provider: Option<dialects::Name>,
    /// The base URL of the API, such as `https://api.openai.com/v1` [default: the provider's].
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The API key.
    #[arg(long, value_name = "KEY", value_parser = unchecked)]
    pub api_key: Option<Unchecked>,
    /// The organization (header `OpenAI-Organization`); anthropic takes none.
    #[arg(long, value_name = "ID")]
    pub organization: Option<String>,
    /// The project (header `OpenAI-Project`); anthropic takes none.
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// Additional headers for every call, as `Name: value`; one per line or one per flag. Their values are treated as secrets.
    #[arg(long, value_name = "NAME: VALUE", value_parser = unchecked)]
    pub headers: Vec<Unchecked>,
    /// A PEM file of certificates to trust in addition to the system's.
    #[arg(long, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// Allow plain http to machines other than this one [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub allow_http: Option<bool>,
}

/// How long to wait.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Waiting {
    /// How long the run may take before the batch is cancelled [default: 5h30m on GitHub; 25m less than the job may last where the CI system says that; else 30m more than `completion-window`].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What to do with the batch when time is up: cancel it, or detach and leave it to the next run [default: cancel].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_timeout: Option<OnExit>,
    /// What to do with the batch when the job is cancelled: cancel it, or detach and leave it running [default: cancel; detach at a terminal].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<OnExit>,
    /// The longest wait between two polls [default: 60s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub poll_interval: Option<Duration>,
    /// Which existing batches of the same requests to reuse: active, finished (completed ones too) or never [default: active; finished at a terminal].
    #[arg(long, value_name = "WHICH", hide_possible_values = true)]
    pub reuse: Option<Reuse>,
    /// How many requests may fail or be missing: a count or a share, such as `25` or `2%` [default: 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
    /// How many times to resend requests that failed with a transient error (429, 5xx, expired, no answer) [default: 1].
    #[arg(long, value_name = "COUNT", help_heading = "Verdict")]
    pub retries: Option<u32>,
    /// Send only the requests that failed in an earlier run and keep its other answers: `true` for the last run in `output-dir`, or the path of a report [default: false].
    #[arg(long, value_name = "REPORT", help_heading = "Work", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub only_failed: Option<OnlyFailed>,
    /// Additional failures to retry: statuses, codes, `missing` (answers that the provider counts but does not deliver), `schema` (answers that do not fit their schema) or `suspect`; you pay twice for answers resent because of these words; separated by commas, one per line or one per flag.
    #[arg(long, value_name = "WORD", value_delimiter = ',', help_heading = "Verdict")]
    pub retry_on: Vec<RetryWord>,
}

/// How long `submit` may take, and what it leaves for `collect`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Submitting {
    /// How long submitting may take [default: as for `run`].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What to do with the batch when the job is cancelled: cancel it, or detach and leave it running [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<OnExit>,
    /// Which existing batches of the same requests to reuse: active, finished (completed ones too) or never [default: active; finished at a terminal].
    #[arg(long, value_name = "WHICH", hide_possible_values = true)]
    pub reuse: Option<Reuse>,
    /// How many requests may fail or be missing; `collect --pending` applies it [default: 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
}

/// How long `collect` waits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Collecting {
    /// How long to wait for the batches; 0 checks once [default: as for `run`, with a window of 24h; 0 with `pending`].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// What to do with the batches when time is up: detach and leave them running, or cancel them [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_timeout: Option<OnExit>,
    /// What to do with the batches when the job is cancelled: detach and leave them running, or cancel them [default: detach].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub on_abort: Option<OnExit>,
    /// The longest wait between two polls [default: 60s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub poll_interval: Option<Duration>,
    /// Fail with exit code 8 if a batch is still running [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub fail_if_pending: Option<bool>,
    /// How many requests may fail or be missing: a count or a share, such as `25` or `2%` [default: what `submit` was given, else 0].
    #[arg(long, value_name = "COUNT|SHARE", help_heading = "Verdict")]
    pub max_failed: Option<MaxFailed>,
}

/// What is expected of the answers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Verdict")]
pub struct Judging {
    /// How many answers may be suspect (refusals, tool calls, cut off, filtered or incomplete): a count or a share [default: any number].
    #[arg(long, value_name = "COUNT|SHARE")]
    pub max_suspect: Option<MaxFailed>,
    /// What becomes of answers that do not fit the schema that their request names: check (they fail), warn (they are counted) or off [default: warn].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub schema: Option<SchemaMode>,
    /// A JSON schema for the answers to requests that name none.
    #[arg(long, value_name = "FILE")]
    pub answer_schema: Option<PathBuf>,
    /// A shell command that reads `answers.jsonl` on standard input and prints `{"custom_id","message"}` on a line for each row that it fails. It has the job's rights.
    #[arg(long, value_name = "COMMAND")]
    pub gate: Option<String>,
}

/// What a run may spend.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Money")]
pub struct Money {
    /// What the batches of the run may cost in US dollars, such as `12.50`; a batch that could exceed it is not sent [default: any amount].
    #[arg(long, value_name = "DOLLARS", value_parser = values::dollars)]
    pub max_cost: Option<Usd>,
    /// How `max-cost` and `max-tokens` treat requests that do not cap their output: likely (their likely output counts) or strict (they are refused) [default: likely].
    #[arg(long, value_name = "WHAT", hide_possible_values = true)]
    pub budget: Option<BudgetMode>,
    /// How many input and output tokens the batches of the run may use; a batch that could exceed it is not sent [default: any number].
    #[arg(long, value_name = "COUNT")]
    pub max_tokens: Option<u64>,
    /// How many requests the run may send, retries included; a batch that would exceed it is not sent [default: any number].
    #[arg(long, value_name = "COUNT")]
    pub max_total_requests: Option<u64>,
}

/// Where prices come from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct Pricing {
    /// A JSON file of prices, which replace the built-in ones of the same models.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
}

/// Where results and reports go.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub struct Reporting {
    /// Directory for the results, the report and the journal [default: batch-results].
    #[arg(short, long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Write the job summary, if the CI system has one [default: true].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = str::parse::<values::SummaryInput>)]
    pub summary: Option<values::SummaryInput>,
    /// Also write the job summary to this file, as Markdown: a `.md` file.
    #[arg(long, value_name = "PATH", value_parser = str::parse::<values::SummaryFile>)]
    pub summary_file: Option<values::SummaryFile>,
    /// Also write the outputs to this file: `.env` (variables, as GitLab and Docker read them), `.json` or `.properties`.
    #[arg(long, value_name = "PATH", value_parser = str::parse::<values::OutputsFile>)]
    pub outputs_file: Option<values::OutputsFile>,
    /// Also write the texts of the answers as `answers.jsonl` and `answers.csv` [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = str::parse::<values::AnswerFiles>)]
    pub csv: Option<values::AnswerFiles>,
    /// Post the summary as one comment on the pull or merge request and keep it up to date (GitHub, Forgejo, Gitea, GitLab) [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub comment: Option<bool>,
    /// Show a check (GitHub), a commit status (GitLab) or a report (Bitbucket) on the commit; GitHub and Bitbucket annotate faulty lines [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub check_run: Option<bool>,
    /// The token used for `comment` and `check-run` on GitHub, Forgejo and Gitea [default: GITHUB_TOKEN, if it is set].
    #[arg(long, value_name = "TOKEN", value_parser = unchecked)]
    pub github_token: Option<Unchecked>,
    /// The token used for `comment` and `check-run` on GitLab: an access token with the scope `api` [default: GITLAB_TOKEN, if it is set].
    #[arg(long, value_name = "TOKEN", value_parser = unchecked)]
    pub gitlab_token: Option<Unchecked>,
    /// The CI system to report to: auto, github, forgejo, gitea, gitlab, azure, buildkite, circleci, jenkins, bitbucket, woodpecker, drone, teamcity or terminal [default: auto].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub ci: Option<values::Ci>,
    /// Without a key, print a notice and succeed instead of failing: pull requests from forks get no secrets [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub skip_without_key: Option<bool>,
}

/// Which requests are shown one by one.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reporting")]
pub struct Showing {
    /// Also write the requests as test cases, in JUnit's XML, to this file.
    #[arg(long, value_name = "PATH")]
    pub junit: Option<PathBuf>,
    /// How many of the first answers the report and the summary show; at most 1000 [default: 0].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(..=1000))]
    pub samples: Option<u16>,
}

/// What the log looks like. These are for people: no variable and no action's input sets them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = TERMINAL)]
pub struct Looks {
    /// Log only warnings, errors and the verdict.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log every poll and every failed call.
    #[arg(short, long)]
    pub verbose: bool,
    /// Color the log: auto, always or never [default: auto].
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<values::Color>,
}

impl Looks {
    /// How much the log says.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Usual,
        }
    }
}

/// What is printed for programs. Like [`Looks`], it is a flag only.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = TERMINAL)]
pub struct Printing {
    /// Print the report as JSON on standard output at the end, whatever the outcome.
    #[arg(long)]
    pub json: bool,
}

/// How the simulator behaves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub struct Simulation {
    /// How long a batch in the sandbox takes [default: 3s].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub takes: Option<Duration>,
    /// Failures for the sandbox to simulate, such as `get 503 for=1h`, or `@PATH` to read them from a file; one per line or one per flag.
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<String>,
}
