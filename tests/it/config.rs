//! `batchstep.toml` as a user meets it: which value counts, who reads it, and what it cannot do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use batchstep::config::FILE;
use batchstep::inputs::{Cli, IN_FILE, InFile, READERS};
use clap::CommandFactory as _;

use crate::parity::{ROOT, rows, table};
#[cfg(unix)]
use crate::scenarios::Served;
use crate::scenarios::{BATCHSTEP, command};

/// A repository with this file at its root, requests in `evals/`, and a directory to work in.
struct Repository(tempfile::TempDir);

impl Repository {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for below in [".git", "evals", "below"] {
            fs::create_dir(dir.path().join(below)).unwrap();
        }
        let request = r#"{"custom_id":"1","method":"POST","url":"/v1/responses","body":{"model":"m","input":"?"}}"#;
        fs::write(dir.path().join("evals/one.jsonl"), request).unwrap();
        fs::write(dir.path().join("batchstep.toml"), text).unwrap();
        Self(dir)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn output(&self, from: &str, words: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = command(BATCHSTEP);
        command.current_dir(self.at(from)).args(words).envs(env.iter().copied()).output().expect("batchstep starts")
    }

    /// The exit code and the log.
    fn call(&self, from: &str, words: &[&str], env: &[(&str, &str)]) -> (i32, String) {
        let output = self.output(from, words, env);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// The exit code and the log of a check in the root.
    fn check(&self) -> (i32, String) {
        self.call(".", &["check"], &[])
    }
}

const SANDBOX: [&str; 5] = ["run", "--provider", "sandbox", "--takes", "200ms"];

#[test]
fn paths_start_at_the_file_wherever_one_works() {
    let repository = Repository::new("requests = \"evals/*.jsonl\"\n");
    let (exit, log) = repository.check();
    assert!(exit == 0 && log.starts_with("Inputs from batchstep.toml: requests\nChecked 1 request "), "{exit} {log}");
    let (exit, log) = repository.call("below", &["check"], &[]);
    assert!(exit == 0 && log.starts_with("Inputs from ../batchstep.toml: requests\n"), "{exit} {log}");
    // A repository in it is another one.
    fs::create_dir(repository.at("below/.git")).unwrap();
    let (exit, log) = repository.call("below", &["check"], &[]);
    assert!(exit == 3 && log.contains("`requests.jsonl` does not exist.") && !log.contains("Inputs"), "{exit} {log}");
}

#[test]
fn this_repository_has_none() {
    assert!(
        !Path::new(ROOT).join(FILE).exists(),
        "the tests run batchstep in this repository, and expect its defaults"
    );
}

#[test]
fn the_documented_file_works() {
    let document = fs::read_to_string(Path::new(ROOT).join("docs/config.md")).unwrap().replace("\r\n", "\n");
    let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (exit, log) = Repository::new(example).call(".", &SANDBOX, &[]);
    let named = "Inputs from batchstep.toml: requests, metadata, max-failed, max-cost, retries, timeout, csv\n";
    // What the made-up model costs is not known, so that a budget refuses it.
    assert!(exit == 4 && log.starts_with(named), "{exit} {log}");
}

#[test]
fn flags_and_variables_count_before_the_file() {
    let repository = Repository::new("requests = \"evals/one.jsonl\"\nmax-total-requests = 1\nsamples = 1\n");
    let github = ("GITHUB_ACTIONS", "true");
    let drone = ("DRONE", "true");
    let refused = |words: &[&str], env: &[(&str, &str)]| {
        let (exit, log) = repository.call(".", &[&SANDBOX[..], words].concat(), env);
        assert!([0, 4].contains(&exit), "{exit} {log}");
        (exit == 4, log.contains("requests, max-total-requests, samples"))
    };
    assert_eq!(refused(&[], &[]), (false, true));
    // The file allows one request: whatever else says zero wins, and the log no longer names the file for it.
    for (words, env) in [
        (&["--max-total-requests", "0"][..], &[][..]),
        (&[], &[github, ("INPUT_MAX-TOTAL-REQUESTS", "0")]),
        (&[], &[drone, ("PLUGIN_MAX_TOTAL_REQUESTS", "0")]),
        (&[], &[("BATCHSTEP_MAX_TOTAL_REQUESTS", "0")]),
    ] {
        assert_eq!(refused(words, env), (true, false), "{words:?} {env:?}");
    }
}

#[test]
fn the_log_names_the_file_once_and_leaves_standard_output_alone() {
    let repository = Repository::new("requests = \"evals/one.jsonl\"\n");
    for words in [&["check", "--json"][..], &[&SANDBOX[..], &["--json"]].concat()] {
        let output = repository.output(".", words, &[]);
        let (out, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(log.matches("batchstep.toml").count(), 1, "{log}");
        assert!(!out.contains("batchstep.toml"), "{out}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }
    let (exit, log) = repository.call(".", &["check", "--quiet"], &[]);
    assert!(exit == 0 && !log.contains("batchstep.toml"), "{log}");
}

#[test]
fn keys_of_other_commands_are_passed_over() {
    let text = "requests = \"evals/one.jsonl\"\nmax-failed = \"1%\"\nfail-if-pending = true\nmax-requests = 5\n";
    let (exit, log) = Repository::new(text).check();
    assert!(exit == 0 && log.starts_with("Inputs from batchstep.toml: requests, max-requests\n"), "{exit} {log}");
}

#[test]
fn a_wrong_value_is_told_with_file_and_line() {
    let repository = Repository::new("requests = \"evals/one.jsonl\"\n\nmax-failed = \"101%\"\nsamples = 1001\n");
    let wrong =
        "error: `max-failed` in batchstep.toml line 3 is `101%`, which cannot be used: a share is at most `100%`.";
    let (exit, log) = repository.call(".", &SANDBOX, &[]);
    assert!(exit == 2 && log.contains(wrong), "{exit} {log}");
    let (exit, log) = repository.call(".", &[&SANDBOX[..], &["--max-failed", "1"]].concat(), &[]);
    assert!(exit == 2 && log.contains("`samples` in batchstep.toml line 4 is `1001`, which cannot"), "{exit} {log}");
    let words = [&SANDBOX[..], &["--samples", "1", "--max-failed", "101%"]].concat();
    let (exit, log) = repository.call(".", &words, &[]);
    assert!(exit == 2 && log.contains("'101%' for '--max-failed <COUNT|SHARE>'"), "{exit} {log}");
    // What is found wrong only later, too.
    for (text, what, line) in [
        ("metadata = [\"a=1\", \"a=2\"]", "`metadata` has the key `a` twice.", "`metadata` in batchstep.toml line 1"),
        (
            "requests = \"evals/none.jsonl\"",
            "`evals/none.jsonl` does not exist.",
            "`requests` in batchstep.toml line 1",
        ),
        ("answer-schema = \"no.json\"", "`answer-schema` no.json cannot be read", "`answer-schema` in batchstep.toml"),
    ] {
        let (exit, log) = Repository::new(text).call(".", &SANDBOX, &[]);
        assert!([2, 3].contains(&exit) && log.contains(what) && log.contains(line), "{exit} {log}");
    }
}

/// A word of an error is not the file's because the file has it, too.
#[test]
fn a_mistake_that_is_not_the_files_is_not_said_to_be() {
    let repository = Repository::new("comment = true\nmax-failed = 3\n");
    for word in ["true", "3"] {
        let (code, said) = repository.call(".", &["run", word, "--provider", "sandbox"], &[]);
        assert!(code == 3 && said.contains(word) && !said.contains("is set by"), "{said}");
    }
}

#[test]
fn a_file_that_cannot_be_used_ends_the_commands_that_read_it_and_no_other() {
    let repository = Repository::new("base-url = \"https://other.example/v1\"\n");
    let key = ("OPENAI_API_KEY", "sk-0123456789");
    for command in READERS {
        let (exit, log) = repository.call("below", &[command], &[key]);
        assert!(
            exit == 2 && log.contains("../batchstep.toml:1:1: `base-url` cannot be set in this file"),
            "{exit} {log}"
        );
    }
    for words in [&["report"][..], &["providers"], &["check", "--help"], &["cancel", "--from-state"], &["man", "run"]] {
        let (_, log) = repository.call(".", words, &[key]);
        assert!(!log.contains("batchstep.toml"), "{words:?} {log}");
    }
}

#[test]
fn on_github_a_mistake_is_shown_as_any_other() {
    let repository = Repository::new("retries = \"many\"\n");
    let (outputs, summary) = (repository.at("outputs"), repository.at("summary"));
    let env = [("GITHUB_ACTIONS", "true"), ("GITHUB_OUTPUT", path(&outputs)), ("GITHUB_STEP_SUMMARY", path(&summary))];
    let output = repository.output(".", &[], &env);
    let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("::error") && printed.contains("batchstep.toml:1:11: `retries` must be"), "{printed}");
    assert!(fs::read_to_string(outputs).unwrap().contains("usage"));
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[cfg(unix)]
#[test]
fn the_file_reads_nothing_from_outside_the_repository() {
    use std::os::unix::fs::symlink;
    let repository = Repository::new("requests = \"evals/*.jsonl\"\n");
    symlink("/proc/self/environ", repository.at("evals/two.jsonl")).unwrap();
    let (exit, log) = repository.check();
    assert!(exit == 2 && log.contains("which leads out of the repository, by `evals/two.jsonl`."), "{exit} {log}");
    // Whoever calls may name it.
    let (exit, log) = repository.call(".", &["check", "evals/*.jsonl"], &[]);
    assert!(exit == 3 && !log.contains("leads out"), "{exit} {log}");
    fs::remove_file(repository.at("evals/two.jsonl")).unwrap();
    fs::rename(repository.at("batchstep.toml"), repository.at("other")).unwrap();
    symlink("other", repository.at("batchstep.toml")).unwrap();
    let (exit, log) = repository.check();
    assert!(
        exit == 2 && log.contains("`batchstep.toml` cannot be read: `batchstep.toml` must be a file"),
        "{exit} {log}"
    );
}

#[cfg(unix)]
#[test]
fn collecting_takes_requests_that_the_file_names_only_if_they_are_those_that_were_sent() {
    let served = Served::begin(&["sandbox", "--port", "0", "--takes", "200ms"]);
    let repository = Repository::new("requests = \"evals/one.jsonl\"\nreuse = \"never\"\n");
    let server = ["--provider", "sandbox", "--base-url", &served.url];
    let (exit, log) = repository.call(".", &[&["submit"], &server[..]].concat(), &[]);
    assert_eq!(exit, 0, "{log}");
    fs::write(repository.at("evals/one.jsonl"), "not what was sent\n").unwrap();
    let named = [&["collect", "--requests", "evals/one.jsonl"], &server[..]].concat();
    let (exit, log) = repository.call(".", &named, &[]);
    assert!(exit == 3 && log.contains("`requests` evals/one.jsonl cannot be used"), "{exit} {log}");
    let (exit, log) = repository.call(".", &[&["collect"], &server[..]].concat(), &[]);
    assert!(exit == 0 && log.contains("Inputs from batchstep.toml: requests"), "{exit} {log}");
}

#[test]
fn the_keys_are_documented_with_the_commands_that_take_them() {
    let cli = Cli::command();
    let takers = |key: &str| {
        let takes = |command: &&&str| {
            let mut args = cli.find_subcommand(command).expect("there is such a command").get_arguments();
            args.any(|arg| arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_owned) == key)
        };
        READERS.iter().filter(takes).map(|command| format!("`{command}`")).collect::<Vec<_>>().join(", ")
    };
    let taken = IN_FILE.iter().filter_map(|(key, decided)| match decided {
        InFile::Taken(kind) => Some([format!("`{key}`"), kind.words().to_owned(), takers(key)]),
        InFile::Refused(_) => None,
    });
    assert_eq!(table("docs/config.md", "## Keys"), rows(taken));
}

#[test]
fn what_is_refused_is_documented_with_its_reason() {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, decided) in IN_FILE {
        let InFile::Refused(why) = decided else { continue };
        match reasons.iter_mut().find(|(words, _)| *words == why.words()) {
            Some((_, keys)) => keys.push(format!("`{key}`")),
            None => reasons.push((why.words(), vec![format!("`{key}`")])),
        }
    }
    let expected: BTreeSet<Vec<String>> =
        reasons.into_iter().map(|(why, keys)| vec![keys.join(", "), why.to_owned()]).collect();
    let listed: BTreeSet<Vec<String>> = table("docs/config.md", "## What is refused").into_iter().collect();
    assert_eq!(listed, expected);
}
