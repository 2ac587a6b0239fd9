//! What `batchstep.toml` may set: a decision about each input.
//!
//! The file is part of the repository, so a pull request can change it. An input may be set in it
//! only if it is taken here. A new input has to be listed; what is not listed is refused.

/// The commands that read the file: those that work on requests.
pub const READERS: [&str; 4] = ["run", "submit", "collect", "check"];

/// Whether the file may set an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFile {
    /// It may, with such a value.
    Taken(Kind),
    /// It may not, for this reason.
    Refused(Why),
}

/// What the file holds for an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, such as `"2h"`.
    Text,
    /// A whole number, such as `2`.
    Count,
    /// A number, or a text such as `"2%"`.
    Number,
    /// `true` or `false`.
    Switch,
    /// A text, or a list of texts.
    List,
    /// The path of a file in the repository, from its root.
    Path,
    /// Such a path or pattern, or a list of them.
    Paths,
}

/// Why the file may not set an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It decides where requests go and answers come from, or whose account pays.
    Source,
    /// It decides what runs.
    Runs,
    /// It decides what `max-cost` stands for.
    Prices,
    /// It decides how text is made safe for the CI system.
    Host,
    /// It decides which files are written.
    Writes,
    /// It is a secret.
    Secret,
    /// It is about one call, or of a command that does not read the file.
    OneCall,
}

use InFile::{Refused, Taken};
use Kind::{Count, List, Number, Path, Paths, Switch, Text};
use Why::{Host, OneCall, Prices, Runs, Secret, Source, Writes};

/// Every input. The order is that of the README.
pub const IN_FILE: &[(&str, InFile)] = &[
    ("requests", Taken(Paths)),
    ("endpoint", Taken(Text)),
    ("max-requests", Taken(Count)),
    ("max-bytes", Taken(Number)),
    ("completion-window", Taken(Text)),
    ("metadata", Taken(List)),
    ("expires-after", Taken(Text)),
    ("output-expires-after", Taken(Text)),
    ("upload-purpose", Refused(Source)),
    ("upload-fields", Refused(Source)),
    ("max-in-flight", Taken(Count)),
    ("provider", Refused(Source)),
    ("base-url", Refused(Source)),
    ("api-key", Refused(Secret)),
    ("organization", Refused(Source)),
    ("project", Refused(Source)),
    ("headers", Refused(Secret)),
    ("ca-file", Refused(Source)),
    ("allow-http", Refused(Source)),
    ("timeout", Taken(Text)),
    ("on-timeout", Taken(Text)),
    ("on-abort", Taken(Text)),
    ("poll-interval", Taken(Text)),
    ("reuse", Taken(Text)),
    ("max-failed", Taken(Number)),
    ("retries", Taken(Count)),
    ("only-failed", Refused(OneCall)),
    ("retry-on", Taken(List)),
    ("max-suspect", Taken(Number)),
    ("schema", Taken(Text)),
    ("answer-schema", Taken(Path)),
    ("gate", Refused(Runs)),
    ("max-cost", Taken(Number)),
    ("budget", Taken(Text)),
    ("max-tokens", Taken(Count)),
    ("max-total-requests", Taken(Count)),
    ("prices", Refused(Prices)),
    ("output-dir", Refused(Writes)),
    ("summary", Taken(Switch)),
    ("summary-file", Refused(Writes)),
    ("outputs-file", Refused(Writes)),
    ("csv", Taken(Switch)),
    ("comment", Taken(Switch)),
    ("check-run", Taken(Switch)),
    ("github-token", Refused(Secret)),
    ("gitlab-token", Refused(Secret)),
    ("ci", Refused(Host)),
    ("skip-without-key", Taken(Switch)),
    ("junit", Refused(Writes)),
    ("samples", Taken(Count)),
    ("takes", Refused(Source)),
    ("fault", Refused(Source)),
    ("batch-id", Refused(OneCall)),
    ("pending", Refused(OneCall)),
    ("fail-if-pending", Taken(Switch)),
    // What is no flag: the command, and the launcher's own input.
    ("command", Refused(Runs)),
    ("binary-path", Refused(Runs)),
    // Of `cancel`, `report`, `sandbox`, `batch`, `file`, `completions` and `man`.
    ("create", Refused(OneCall)),
    ("check", Refused(OneCall)),
    ("from-state", Refused(OneCall)),
    ("yes", Refused(OneCall)),
    ("from", Refused(OneCall)),
    ("format", Refused(OneCall)),
    ("port", Refused(OneCall)),
    ("dialect", Refused(OneCall)),
    ("file-id", Refused(OneCall)),
    ("limit", Refused(OneCall)),
    ("after", Refused(OneCall)),
    ("ours", Refused(OneCall)),
    ("json", Refused(OneCall)),
    ("path", Refused(OneCall)),
    ("name", Refused(OneCall)),
    ("output", Refused(OneCall)),
    ("shell", Refused(OneCall)),
    ("page", Refused(OneCall)),
];

/// The input that a key names, if it does, and what is decided about it.
pub fn in_file(key: &str) -> Option<(&'static str, InFile)> {
    IN_FILE.iter().find(|(name, _)| *name == key).copied()
}

impl Kind {
    /// What a value must be, after "must be".
    pub fn words(self) -> &'static str {
        match self {
            Text => "text in quotes",
            Count => "a whole number",
            Number => "a number or text in quotes",
            Switch => "`true` or `false`",
            List => "text in quotes or a list of such texts",
            Path => "a path in quotes",
            Paths => "a path in quotes or a list of such paths",
        }
    }
}

impl Why {
    /// The reason, after "because".
    pub fn words(self) -> &'static str {
        match self {
            Source => "it decides where requests go, who pays for them, or where answers come from",
            Runs => "it decides what runs",
            Prices => "it decides what `max-cost` stands for",
            Host => "it decides how text is made safe for the CI system",
            Writes => "it decides which files are written",
            Secret => "it holds secrets",
            OneCall => "it belongs to a single call",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{ArgAction, Command, CommandFactory as _};

    use super::{IN_FILE, InFile, Kind, READERS};
    use crate::inputs::{Cli, is_input};

    /// The arguments of a command and those below it that are inputs, by their names.
    fn inputs(command: &Command) -> Vec<(String, clap::Arg)> {
        let own = command.get_arguments().filter(|arg| is_input(arg)).map(|arg| {
            let name = arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_owned);
            (name, arg.clone())
        });
        own.chain(command.get_subcommands().flat_map(inputs)).collect()
    }

    #[test]
    fn every_input_is_decided_about() {
        let mut inputs: BTreeSet<String> = inputs(&Cli::command()).into_iter().map(|(name, _)| name).collect();
        inputs.extend(["command", "binary-path"].map(str::to_owned));
        let decided: BTreeSet<String> = IN_FILE.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(decided, inputs, "an input is added to, or removed from, the table in src/inputs/in_file.rs");
        assert_eq!(decided.len(), IN_FILE.len(), "one is listed twice");
    }

    #[test]
    fn values_are_of_the_kind_that_the_flag_takes() {
        let cli = Cli::command();
        let taken = IN_FILE.iter().filter_map(|(name, decided)| match decided {
            InFile::Taken(kind) => Some((*name, *kind)),
            InFile::Refused(_) => None,
        });
        for (name, kind) in taken {
            let commands = READERS.iter().filter_map(|command| cli.find_subcommand(command));
            let args: Vec<_> = commands.flat_map(inputs).filter(|(other, _)| other == name).collect();
            assert!(!args.is_empty(), "no command that reads the file takes `{name}`");
            for (_, arg) in args {
                let is_list = matches!(arg.get_action(), ArgAction::Append);
                assert_eq!(is_list, matches!(kind, Kind::List | Kind::Paths), "{name}");
                assert_eq!(arg.is_require_equals_set(), kind == Kind::Switch, "{name}");
            }
        }
    }

    #[test]
    fn no_secret_is_taken() {
        let secret = std::any::TypeId::of::<crate::inputs::Unchecked>();
        for (name, arg) in inputs(&Cli::command()) {
            let is_secret = arg.get_value_parser().type_id() == secret;
            assert!(!is_secret || matches!(super::in_file(&name), Some((_, InFile::Refused(_)))), "{name}");
        }
    }
}
