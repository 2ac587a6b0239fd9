//! The inputs, each defined once.
//!
//! A field here is a flag (`--poll-interval`), an action input
//! (`INPUT_POLL-INTERVAL`), a plugin setting (`PLUGIN_POLL_INTERVAL`) and a
//! variable (`BATCHSTEP_POLL_INTERVAL`); its doc comment is the help text.
//! `env.rs` turns variables into arguments, so clap parses each value once,
//! wherever it came from. What the values mean together is `plan`'s.
//! Here are the commands; `groups.rs` has the inputs that several of them take,
//! `examples.rs` what the help of each ends with, `in_file.rs` which of them
//! `batchstep.toml` may set.

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod examples;
mod groups;
mod in_file;
mod operations;
mod rendering;
mod typed;

pub(crate) use self::examples::UNBROKEN;
pub use self::groups::{
    Collecting, Connection, Judging, Looks, Making, Money, Pricing, Printing, Reporting, Showing, Simulation,
    Submitting, Waiting, Work, is_input,
};
pub use self::in_file::{IN_FILE, InFile, Kind, READERS, Why, in_file};
pub use self::operations::{Batch, CreateBatch, File, FileContent, ListBatches, OneBatch, OneFile, UploadFile};
pub use self::rendering::{Report, ReportFormat};
pub use self::typed::Typed;
use crate::dialects;
use crate::effects::Output;
use crate::env::Terminals;
use crate::simulator;
use crate::values;

/// The widest that help is wrapped to, in columns, and its width where it is piped.
const WIDEST: usize = 100;

/// Runs batches of LLM requests at OpenAI, Anthropic or a compatible server, as one step of a CI workflow.
#[derive(Debug, Parser)]
#[command(name = "batchstep", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = examples::BATCHSTEP, max_term_width = WIDEST)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses a command line, the program's name first. Help is wrapped to the terminal where somebody
    /// sits at one, and else to one width, so that it is the same everywhere.
    ///
    /// # Errors
    /// What clap finds wrong, or the help that was asked for.
    pub fn read(words: Vec<OsString>, terminals: Terminals) -> Result<Self, clap::Error> {
        let cli = examples::unbroken(Self::command());
        let mut cli = match terminals {
            Terminals::Both => cli,
            Terminals::NotBoth => cli.term_width(WIDEST),
        };
        let matches = cli.try_get_matches_from_mut(words)?;
        let mut read = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut cli))?;
        if let (Command::Run(run), Some((name, given))) = (&mut read.command, matches.subcommand()) {
            run.typed = cli.find_subcommand(name).map(|command| typed::repeated(command, given)).unwrap_or_default();
        }
        Ok(read)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check, submit, wait, collect and report: the whole job.
    #[command(after_help = examples::RUN)]
    Run(Box<Run>),
    /// Check and submit without waiting; `collect` fetches the answers later.
    #[command(after_help = examples::SUBMIT)]
    Submit(Box<Submit>),
    /// Wait for submitted batches, download the answers, put them in order and report.
    #[command(after_help = examples::COLLECT)]
    Collect(Box<Collect>),
    /// Check the requests, without network or key.
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Cancel batches and wait until they have ended.
    #[command(after_help = examples::CANCEL)]
    Cancel(Box<Cancel>),
    /// Print a finished run again, from the report that it left.
    #[command(after_help = examples::REPORT)]
    Report(Report),
    /// Show what each provider can and cannot do, without network or key.
    #[command(after_help = examples::PROVIDERS)]
    Providers(Providers),
    /// Serve the built-in API simulator on a loopback port.
    #[command(after_help = examples::SANDBOX)]
    Sandbox(Sandbox),
    /// The API's batch operations, one call each, JSON on standard output.
    #[command(subcommand)]
    Batch(Batch),
    /// The API's file operations, one call each, JSON on standard output.
    #[command(subcommand)]
    File(File),
    /// Print a shell completion script.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
    /// Print the man page of batchstep or of one of its commands.
    #[command(after_help = examples::MAN)]
    Man(Man),
}

impl Command {
    /// What its log looks like; as usual where that cannot be chosen.
    pub fn looks(&self) -> Looks {
        match self {
            Self::Run(inputs) => inputs.looks.clone(),
            Self::Submit(inputs) => inputs.looks.clone(),
            Self::Collect(inputs) => inputs.looks.clone(),
            Self::Check(inputs) => inputs.looks.clone(),
            Self::Cancel(inputs) => inputs.looks.clone(),
            _ => Looks::default(),
        }
    }

    /// Who reads its standard output.
    pub fn output(&self) -> Output {
        let is_data = match self {
            Self::Run(inputs) => inputs.printing.json,
            Self::Submit(inputs) => inputs.printing.json,
            Self::Collect(inputs) => inputs.printing.json,
            Self::Check(inputs) => inputs.printing.json,
            Self::Batch(_) | Self::File(_) | Self::Report(_) => true,
            Self::Providers(_) | Self::Completions(_) | Self::Man(_) => true,
            Self::Cancel(_) | Self::Sandbox(_) => false,
        };
        if is_data { Output::Data } else { Output::Shared }
    }
}

/// The files among these that were named.
fn named<const N: usize>(files: [&Option<PathBuf>; N]) -> Vec<PathBuf> {
    files.into_iter().flatten().cloned().collect()
}

impl Run {
    /// The files beside the requests that it reads, or writes as the user asked.
    pub(crate) fn other_files(&self) -> Vec<PathBuf> {
        named([&self.connection.ca_file, &self.pricing.prices, &self.judging.answer_schema, &self.showing.junit])
    }
}

impl Submit {
    /// The files beside the requests that it reads.
    pub(crate) fn other_files(&self) -> Vec<PathBuf> {
        named([&self.connection.ca_file, &self.pricing.prices])
    }
}

impl Collect {
    /// The files beside the requests that it reads, or writes as the user asked.
    pub(crate) fn other_files(&self) -> Vec<PathBuf> {
        named([&self.connection.ca_file, &self.pricing.prices, &self.judging.answer_schema, &self.showing.junit])
    }
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
    /// What is expected of the answers.
    #[command(flatten)]
    pub judging: Judging,
    /// What it may spend.
    #[command(flatten)]
    pub money: Money,
    /// Where prices come from.
    #[command(flatten)]
    pub pricing: Pricing,
    /// Reporting.
    #[command(flatten)]
    pub reporting: Reporting,
    /// Which requests are shown one by one.
    #[command(flatten)]
    pub showing: Showing,
    /// The log.
    #[command(flatten)]
    pub looks: Looks,
    /// The report for programs.
    #[command(flatten)]
    pub printing: Printing,
    /// The sandbox.
    #[command(flatten)]
    pub simulation: Simulation,
    /// The flags that a printed command about the same requests repeats.
    #[arg(skip)]
    pub typed: Typed,
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
    /// What it may spend.
    #[command(flatten)]
    pub money: Money,
    /// Where prices come from.
    #[command(flatten)]
    pub pricing: Pricing,
    /// Reporting.
    #[command(flatten)]
    pub reporting: Reporting,
    /// The log.
    #[command(flatten)]
    pub looks: Looks,
    /// The report for programs.
    #[command(flatten)]
    pub printing: Printing,
}

/// What `collect` takes.
#[derive(Debug, Args)]
pub struct Collect {
    /// The ids of the batches to collect, or the output `batch-ids` unchanged [default: those in the journal in `output-dir`].
    #[arg(value_name = "BATCH_ID")]
    pub batch_id: Vec<String>,
    /// Collect every batch of this repository whose check is still in progress; needs `check-run` [default: false].
    #[arg(long, value_name = "BOOL", help_heading = "Work", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub pending: Option<bool>,
    /// The requests that the batches were created from; without them, the provider's copy is used [default: requests.jsonl].
    #[arg(long, value_name = "PATH", help_heading = "Work")]
    pub requests: Vec<String>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
    /// Waiting.
    #[command(flatten)]
    pub collecting: Collecting,
    /// What is expected of the answers.
    #[command(flatten)]
    pub judging: Judging,
    /// Where prices come from.
    #[command(flatten)]
    pub pricing: Pricing,
    /// Reporting.
    #[command(flatten)]
    pub reporting: Reporting,
    /// Which requests are shown one by one.
    #[command(flatten)]
    pub showing: Showing,
    /// The log.
    #[command(flatten)]
    pub looks: Looks,
    /// The report for programs.
    #[command(flatten)]
    pub printing: Printing,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct Check {
    /// The work.
    #[command(flatten)]
    pub work: Work,
    /// The provider whose limits apply: openai, compatible (any OpenAI-style server), anthropic or sandbox [default: openai].
    #[arg(long, value_name = "NAME", help_heading = "Connection", hide_possible_values = true)]
    pub provider: Option<dialects::Name>,
    /// The base URL that the run will have: prices depend on whose server it is [default: the provider's].
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub base_url: Option<String>,
    /// The headers that the run will have, as `Name: value`; some change what a request may hold, as `anthropic-version`.
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Connection", value_parser = unchecked)]
    pub headers: Vec<Unchecked>,
    /// Where prices come from.
    #[command(flatten)]
    pub pricing: Pricing,
    /// The CI system to report to: auto, github or terminal [default: auto].
    #[arg(long, value_name = "NAME", help_heading = "Reporting", hide_possible_values = true)]
    pub ci: Option<values::Ci>,
    /// The log.
    #[command(flatten)]
    pub looks: Looks,
    /// The report for programs.
    #[command(flatten)]
    pub printing: Printing,
}

/// What `cancel` takes.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The ids of the batches to cancel.
    #[arg(value_name = "BATCH_ID", value_parser = values::id)]
    pub batch_id: Vec<String>,
    /// Find the batch by the mark of its create instead of its id; a run writes the mark to its journal and, on GitHub, to the step's state.
    #[arg(long, value_name = "ID")]
    pub create: Vec<String>,
    /// Also conclude the run's check on GitHub, given by its id, as cancelled; a run writes the id to the step's state.
    #[arg(long, value_name = "ID", value_parser = values::check_id)]
    pub check: Option<String>,
    /// The token used for `check` [default: GITHUB_TOKEN, if it is set].
    #[arg(long, value_name = "TOKEN", value_parser = unchecked)]
    pub github_token: Option<Unchecked>,
    /// End what an earlier process of this GitHub step left running, according to the step's state; of the inputs, only secrets are used. For the action's `post` [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub from_state: Option<bool>,
    /// Cancel every batch of this repository that is still running; without `yes`, only list them [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub pending: Option<bool>,
    /// With `pending`, cancel the batches instead of only listing them [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub yes: Option<bool>,
    /// How long to look for the batch and to wait until it has ended [default: 11m].
    #[arg(long, value_name = "SPAN", value_parser = values::duration)]
    pub timeout: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
    /// The CI system to report to: auto, github or terminal [default: auto].
    #[arg(long, value_name = "NAME", help_heading = "Reporting", hide_possible_values = true)]
    pub ci: Option<values::Ci>,
    /// The log.
    #[command(flatten)]
    pub looks: Looks,
}

/// What `providers` takes.
#[derive(Debug, Args)]
pub struct Providers {
    /// The provider to show: openai, compatible, anthropic or sandbox [default: all].
    #[arg(value_name = "NAME", hide_possible_values = true)]
    pub provider: Option<dialects::Name>,
}

/// What `sandbox` takes.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// The loopback port to serve on; 0 picks a free one [default: 8080].
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Whose API it speaks: openai or anthropic [default: openai].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub dialect: Option<simulator::Dialect>,
    /// How it behaves.
    #[command(flatten)]
    pub simulation: Simulation,
}

/// What `completions` takes.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell to complete for.
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// What `man` takes.
#[derive(Debug, Args)]
pub struct Man {
    /// The command, such as `run` or `batch list`; without one, the page of batchstep itself.
    #[arg(value_name = "COMMAND")]
    pub page: Vec<String>,
}

/// The default of `output-dir`.
pub(crate) const OUTPUT_DIR: &str = "batch-results";

/// Text that may be a secret and is checked only in `plan`: clap would show
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, Terminals, WIDEST};

    #[test]
    fn examples_stay_whole_at_any_width() {
        let mut cli = super::examples::unbroken(Cli::command()).term_width(40);
        let error = cli.try_get_matches_from_mut(["batchstep", "run", "--help"]).unwrap_err();
        let help = error.to_string().replace(super::UNBROKEN, " ");
        for line in super::examples::RUN.lines() {
            assert!(help.lines().any(|shown| shown == line), "{line}\n{help}");
        }
        assert!(help.lines().any(|line| line.len() < 50 && line.starts_with("    ")), "the rest is wrapped");
    }

    #[test]
    fn piped_help_is_as_wide_as_it_says_and_lists_requests_first() {
        for command in ["run", "submit", "collect", "check", "cancel"] {
            let words = ["batchstep", command, "--help"].map(Into::into);
            let help = Cli::read(words.into(), Terminals::NotBoth).unwrap_err().to_string();
            let widest = help.lines().map(|line| line.chars().count()).max();
            assert!(widest.is_some_and(|widest| widest <= WIDEST && widest > WIDEST - 10), "{command}: {widest:?}");
            let (before, _) = help.split_once("\nOptions:\n").unwrap();
            assert!(before.contains("\nArguments:\n  ["), "{help}");
        }
    }
}
