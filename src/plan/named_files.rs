//! The files that a user names beside the results, and what may not be among them.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::hosts::{self, NamedFiles};
use crate::inputs::Reporting;
use crate::own_files;
use crate::results::sinks;
use crate::values::{OutputsFile, SummaryFile};

/// Whether a glob of the user's finds this path.
fn is_match(pattern: &str, path: &Path) -> bool {
    let path = path.strip_prefix("./").unwrap_or(path);
    glob::Pattern::new(pattern.trim_start_matches("./")).is_ok_and(|pattern| pattern.matches_path(path))
}

/// The files of `outputs-file` and `summary-file`. `others` are files that the command reads beside the requests, or
/// writes as the user asked.
///
/// # Errors
/// Ends in exit 2 if one of them holds the requests, is one of the others, or is a file that the command writes into
/// `output-dir`.
pub(crate) fn named_files(reporting: &Reporting, requests: &[String], others: &[PathBuf]) -> Result<NamedFiles, Error> {
    let NamedFiles { outputs, summary } =
        NamedFiles { outputs: reporting.outputs_file.clone(), summary: reporting.summary_file.clone() };
    let dir = super::output_dir(reporting.output_dir.clone());
    let own = sinks::FILES.into_iter().chain(["report.json"]).chain(hosts::FILES);
    let own: Vec<_> = own.map(|name| dir.join(name)).collect();
    let check = |input: &str, path: &Path| {
        let wrong = |why: &str| {
            let what = format!("`{input}` is `{}`, a file that {why}.", path.display());
            Err(Error::usage(what).hint("Name another file."))
        };
        if own.iter().any(|own| own_files::is_same(path, own)) {
            return wrong("a run writes itself");
        }
        if others.iter().any(|other| own_files::is_same(path, other)) {
            return wrong("another input names");
        }
        let holds = |pattern: &String| own_files::is_same(path, Path::new(pattern)) || is_match(pattern, path);
        if requests.iter().any(holds) { wrong("holds the requests") } else { Ok(()) }
    };
    if let Some(OutputsFile { path, .. }) = &outputs {
        check("outputs-file", path)?;
    }
    if let Some(SummaryFile(path)) = &summary {
        check("summary-file", path)?;
    }
    Ok(NamedFiles { outputs, summary })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::named_files;
    use crate::inputs::{Cli, Command};

    /// The error of a run of these requests with these files.
    fn error(requests: &str, flags: &[&str]) -> Option<String> {
        let typed = ["batchstep", "run", requests].into_iter().chain(flags.iter().copied());
        let Command::Run(run) = Cli::try_parse_from(typed).unwrap().command else { panic!("no run") };
        named_files(&run.reporting, &run.work.requests, &run.other_files()).err().map(|error| error.message)
    }

    #[test]
    fn no_file_that_is_read_or_written_anyway_is_overwritten() {
        let report = ["--outputs-file", "batch-results/report.json"];
        assert!(error("r.jsonl", &report).unwrap().ends_with("a file that a run writes itself."));
        assert_eq!(error("r.jsonl", &["--outputs-file", "report.json", "--summary-file", "r.md"]), None);
        for flag in ["--prices", "--answer-schema", "--ca-file", "--junit"] {
            let wrong = error("r.jsonl", &["--outputs-file", "x.json", flag, "./x.json"]);
            assert_eq!(wrong.unwrap(), "`outputs-file` is `x.json`, a file that another input names.", "{flag}");
        }
        for requests in ["data.json", "./data.json", "*.json"] {
            let wrong = error(requests, &["--outputs-file", "data.json"]);
            assert_eq!(wrong.unwrap(), "`outputs-file` is `data.json`, a file that holds the requests.", "{requests}");
        }
    }
}
