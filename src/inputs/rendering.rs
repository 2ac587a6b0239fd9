//! What `batchstep report` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What `report` takes.
#[derive(Debug, Args)]
pub struct Report {
    /// The report, or the directory that a run left it in [default: batch-results].
    #[arg(long, value_name = "PATH")]
    pub from: Option<PathBuf>,
    /// What to print: markdown (the job summary), text (the end of the log), json, junit (test cases) or csv (the table of answers) [default: text].
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    pub format: Option<ReportFormat>,
}

/// What a finished run can be printed as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The summary that GitHub shows for a step.
    Markdown,
    /// The text that closes a log.
    #[default]
    Text,
    /// `report.json`.
    Json,
    /// The requests as test cases, in JUnit's XML.
    Junit,
    /// The answers as a table.
    Csv,
}
