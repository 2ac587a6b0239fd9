//! The examples that end each command's help. A test parses every one of them.

use clap::Command;

/// Stands for a space in examples while clap wraps help: a command that is broken is another one when it is pasted.
pub(crate) const UNBROKEN: char = '\u{a0}';

/// The same command, with examples that clap does not wrap.
pub(super) fn unbroken(command: Command) -> Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let command = command.mut_subcommands(unbroken);
    match examples {
        Some(examples) => command.after_help(examples.replace(' ', &UNBROKEN.to_string())),
        None => command,
    }
}

/// Of `batchstep` itself.
pub(super) const BATCHSTEP: &str = "\
Examples:
  # Try it without a key, against the built-in simulator.
  batchstep run requests.jsonl --provider sandbox
  # Find mistakes in a requests file before paying for it.
  batchstep check requests.jsonl";

pub(super) const RUN: &str = "\
Examples:
  # Up to 2% of the requests may fail.
  batchstep run requests.jsonl --max-failed 2%
  # Several files as one; leave the batch running if it takes longer than two hours.
  batchstep run 'evals/*.jsonl' --timeout 2h --on-timeout detach
  # Any server that speaks OpenAI's dialect.
  batchstep run requests.jsonl --provider compatible --base-url http://localhost:8080/v1
  # Anthropic, with the key in ANTHROPIC_API_KEY.
  batchstep run requests.jsonl --provider anthropic";

pub(super) const SUBMIT: &str = "\
Examples:
  # Submit now, collect later in the same directory.
  batchstep submit requests.jsonl
  batchstep collect";

pub(super) const COLLECT: &str = "\
Examples:
  # The batches in the journal of `batch-results`.
  batchstep collect
  # On another machine: one batch, by its id, without waiting.
  batchstep collect batch_abc123 --timeout 0
  # On a schedule in GitHub Actions: every batch of this repository that has ended.
  batchstep collect --pending --check-run";

pub(super) const CHECK: &str = "\
Examples:
  batchstep check requests.jsonl
  # Standard input, with the limits of another provider.
  batchstep check - --provider compatible
  # With the headers that the run will have: they change what a request may hold.
  batchstep check requests.jsonl --provider anthropic --headers 'anthropic-version: 2023-06-01'";

pub(super) const CANCEL: &str = "\
Examples:
  batchstep cancel batch_abc123
  # In GitHub Actions: list this repository's running batches, then cancel them.
  batchstep cancel --pending
  batchstep cancel --pending --yes";

pub(super) const REPORT: &str = "\
Examples:
  # How the run in `batch-results` ended.
  batchstep report
  # The summary of another one, as Markdown.
  batchstep report --from nightly/report.json --format markdown >summary.md";

pub(super) const PROVIDERS: &str = "\
Examples:
  batchstep providers
  batchstep providers openai";

pub(super) const SANDBOX: &str = "\
Examples:
  batchstep sandbox --port 8080
  # Batches take a minute; for the first 20 seconds every poll gets a 503.
  batchstep sandbox --takes 1m --fault 'get 503 for=20s'
  batchstep sandbox --dialect anthropic --fault 'create 529 times=2'";

pub(super) const COMPLETIONS: &str = "\
Examples:
  batchstep completions bash >~/.local/share/bash-completion/completions/batchstep
  batchstep completions fish >~/.config/fish/completions/batchstep.fish
  # The directory must be in `fpath`.
  batchstep completions zsh >~/.zfunc/_batchstep";

pub(super) const MAN: &str = "\
Examples:
  batchstep man >~/.local/share/man/man1/batchstep.1
  # The page of one command, batchstep-batch-list(1).
  batchstep man batch list >~/.local/share/man/man1/batchstep-batch-list.1";

pub(super) const BATCH_CREATE: &str = "\
Examples:
  batchstep batch create file-abc123 --endpoint /v1/chat/completions";

pub(super) const BATCH_GET: &str = "\
Examples:
  batchstep batch get batch_abc123";

pub(super) const BATCH_CANCEL: &str = "\
Examples:
  batchstep batch cancel batch_abc123";

pub(super) const BATCH_LIST: &str = "\
Examples:
  batchstep batch list --limit 5
  # The batches that batchstep created in the last thirty days, as a table.
  batchstep batch list --ours";

pub(super) const FILE_UPLOAD: &str = "\
Examples:
  batchstep file upload requests.jsonl --expires-after 7days";

pub(super) const FILE_GET: &str = "\
Examples:
  batchstep file get file-abc123";

pub(super) const FILE_CONTENT: &str = "\
Examples:
  batchstep file content file-abc123 --output answers.jsonl";

pub(super) const FILE_DELETE: &str = "\
Examples:
  batchstep file delete file-abc123";

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use crate::inputs::Cli;

    /// Every command that does something ends its help with examples, and each of them parses.
    fn assert_examples(command: &Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if path == "batchstep" || !command.has_subcommands() {
            assert!(help.starts_with("Examples:\n"), "`{path}` has no examples");
        }
        let mut own = 0;
        for line in help.lines().skip(1).filter(|line| !line.starts_with("  # ")) {
            let typed = line.split(" >").next().unwrap_or_default();
            let words = shlex::split(typed).unwrap_or_else(|| panic!("`{line}` cannot be split"));
            assert!(line.starts_with("  batchstep "), "`{line}` is neither a command nor a comment");
            Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("`{line}`: {error}"));
            own += usize::from(words.join(" ").starts_with(path));
        }
        assert!(own > 0 || command.has_subcommands(), "the examples of `{path}` show other commands");
        for below in command.get_subcommands() {
            assert_examples(below, &format!("{path} {}", below.get_name()));
        }
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        assert_examples(&Cli::command(), "batchstep");
    }
}
