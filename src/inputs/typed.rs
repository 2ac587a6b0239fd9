//! The inputs that a printed command repeats: what decides which requests there are and what counts as failed.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::text::shell_word;

/// The headings whose inputs are repeated.
const HEADINGS: [&str; 3] = ["Work", "Verdict", "Money"];
/// The inputs among them that limit what a run spends.
const LIMITS: [&str; 3] = ["max-cost", "max-tokens", "max-total-requests"];
/// Other inputs that are: the files that the command is to write again.
const FILES: [&str; 2] = ["csv", "junit"];
/// The one that the command has anyway.
const ONLY_FAILED: &str = "only-failed";

/// Flags, each with a space before it.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// Those that decide, but for the limits.
    pub flags: String,
    /// Those that limit what the run spends.
    pub limits: String,
}

/// The flags among those that were given, wherever they came from.
pub(super) fn repeated(command: &Command, given: &ArgMatches) -> Typed {
    let args = command.get_arguments().filter(|arg| is_repeated(arg));
    let is_given = |arg: &&Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let (limits, others): (Vec<&Arg>, Vec<&Arg>) =
        args.filter(is_given).partition(|arg| arg.get_long().is_some_and(|long| LIMITS.contains(&long)));
    let all = |args: Vec<&Arg>| args.into_iter().map(|arg| flags(arg, given)).collect();
    Typed { flags: all(others), limits: all(limits) }
}

fn is_repeated(arg: &Arg) -> bool {
    let is_in = arg.get_help_heading().is_some_and(|heading| HEADINGS.contains(&heading));
    arg.get_long().is_some_and(|long| (is_in || FILES.contains(&long)) && long != ONLY_FAILED)
}

fn flags(arg: &Arg, given: &ArgMatches) -> String {
    let long = arg.get_long().unwrap_or_default();
    let values = given.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let flag = |value: &str| match value {
        "true" if arg.is_require_equals_set() => format!(" --{long}"),
        value if arg.is_require_equals_set() || value.starts_with('-') => format!(" --{long}={}", shell_word(value)),
        value => format!(" --{long} {}", shell_word(value)),
    };
    values.map(|value| flag(&value.to_string_lossy())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use crate::env::Terminals;

    #[test]
    fn what_decides_is_repeated_and_nothing_else() {
        let words = "batchstep run a.jsonl --endpoint /v1/x --max-failed 2% --schema check --csv --api-key k --timeout 1h \
                     --retry-on 403,suspect --only-failed --takes 1s -o out --max-cost $2 --budget strict";
        let words = words.split(' ').map(Into::into).chain(["--gate".into(), "sh ./it".into()]).collect();
        let Command::Run(run) = Cli::read(words, Terminals::NotBoth).unwrap().command else { panic!() };
        let expected = " --endpoint /v1/x --max-failed '2%' --retry-on 403 --retry-on suspect --schema check --gate 'sh ./it' --budget strict --csv";
        assert_eq!((&*run.typed.flags, &*run.typed.limits), (expected, " --max-cost '$2'"));
    }
}
