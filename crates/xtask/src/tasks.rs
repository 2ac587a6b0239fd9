//! The tasks: one table, and what each of them runs.

use std::process::Command;

/// Why a task failed, in a sentence.
pub(crate) type Failed = String;

/// One task.
pub(crate) struct Task {
    pub(crate) name: &'static str,
    /// What holds if it passes, as CONTRIBUTING.md lists it.
    pub(crate) what: &'static str,
    /// Who runs it beside a person.
    group: Group,
    pub(crate) run: fn() -> Result<(), Failed>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Needs only what `cargo build` needs: part of `cargo xtask check` and of `cargo xtask ci`.
    Check,
    /// Part of `cargo xtask ci`.
    Ci,
    /// Run by hand or by a workflow alone.
    Alone,
}

/// Every task, in the order in which `check` and `ci` run theirs: what fails fast comes first.
pub(crate) const TASKS: [Task; 26] = [
    Task { name: "fmt", what: "the code is formatted", group: Group::Check, run: || cargo("fmt --all --check") },
    Task { name: "spelling", what: "no spelling mistakes (typos)", group: Group::Ci, run: || tool("typos", &[]) },
    Task { name: "shell", what: "the scripts are sound (shellcheck)", group: Group::Ci, run: shell },
    Task {
        name: "deps",
        what: "dependencies, their licences and sources are as deny.toml allows (cargo-deny)",
        group: Group::Ci,
        run: deps,
    },
    Task { name: "lint", what: "no warning of the compiler or of clippy", group: Group::Check, run: lint },
    Task { name: "test", what: "all tests pass, and none is skipped", group: Group::Check, run: crate::tests_run::run },
    Task { name: "doc", what: "no warning of rustdoc", group: Group::Check, run: doc },
    Task { name: "targets", what: "it compiles for other systems", group: Group::Ci, run: || script("targets") },
    Task { name: "static", what: "the release binary needs no other file", group: Group::Ci, run: || script("static") },
    Task {
        name: "first-command",
        what: "the README's first command works",
        group: Group::Ci,
        run: || script("first-command"),
    },
    Task {
        name: "github-schemas",
        what: "what is sent to GitHub matches its schemas",
        group: Group::Ci,
        run: || script("github-schemas"),
    },
    Task {
        name: "junit",
        what: "JUnit's XML matches the schema of Jenkins' xUnit plugin",
        group: Group::Ci,
        run: || script("junit"),
    },
    Task {
        name: "recipes",
        what: "the recipes of docs/results.md print what the page shows",
        group: Group::Ci,
        run: || script("recipes"),
    },
    Task {
        name: "render",
        what: "summaries are drawn as GitHub does, fit on a screen, hostile text changes nothing, the README's picture is current",
        group: Group::Ci,
        run: || script("render"),
    },
    Task {
        name: "prices",
        what: "src/prices/prices.json is what genai-prices says, and LiteLLM's table agrees but for what is listed",
        group: Group::Ci,
        run: prices,
    },
    Task { name: "release", what: "a release could be made", group: Group::Ci, run: || script("release") },
    Task {
        name: "install",
        what: "every way to install does what docs/install.md says",
        group: Group::Ci,
        run: || script("install"),
    },
    Task {
        name: "pieces-agents",
        what: "the pieces for Buildkite, Jenkins, Bitbucket, Woodpecker, Drone and TeamCity do what their pages say",
        group: Group::Ci,
        run: || script("pieces-agents"),
    },
    Task {
        name: "pieces-hosted",
        what: "the pieces for GitLab, CircleCI and Azure Pipelines do what their pages say",
        group: Group::Ci,
        run: || script("pieces-hosted"),
    },
    Task {
        name: "action",
        what: "the launcher, the action and the workflows",
        group: Group::Ci,
        run: || script("action"),
    },
    Task {
        name: "renew-prices",
        what: "writes src/prices/prices.json anew from genai-prices",
        group: Group::Alone,
        run: crate::prices::write,
    },
    Task { name: "advisories", what: "no dependency has a known vulnerability", group: Group::Alone, run: advisories },
    Task { name: "msrv", what: "it builds with `rust-version`", group: Group::Alone, run: msrv },
    Task { name: "full", what: "the longer proofs", group: Group::Alone, run: || script("full") },
    Task { name: "check", what: "fmt, lint, test and doc", group: Group::Alone, run: || all(&[Group::Check]) },
    Task { name: "ci", what: "everything that `.ci/run` proves", group: Group::Alone, run: ci },
];

/// Runs every task of these groups, stops at the first failure, and prints how long each took.
#[expect(clippy::disallowed_methods, reason = "no clock of tokio's here, and nothing to pause")]
fn all(groups: &[Group]) -> Result<(), Failed> {
    let began = std::time::Instant::now();
    let mut times = String::new();
    let mut failed = Ok(());
    for task in TASKS.iter().filter(|task| groups.contains(&task.group)) {
        println!("\n=== {}", task.name);
        let at = std::time::Instant::now();
        failed = (task.run)().map_err(|why| format!("{}: {why}", task.name));
        times += &format!("{:4} s  {}\n", at.elapsed().as_secs(), task.name);
        if failed.is_err() {
            break;
        }
    }
    println!("\n{times}{:4} s  in all", began.elapsed().as_secs());
    failed
}

/// All that must hold before a change is merged, and that proving it leaves the tree as it was.
fn ci() -> Result<(), Failed> {
    all(&[Group::Check, Group::Ci])?;
    let left = output("git", &["status", "--porcelain"])?;
    // git ignores pending snapshots.
    let ignored = ["ls-files", "--others", "--ignored", "--exclude-standard", "*.snap.new", "*.pending-snap"];
    let left = left + &output("git", &ignored)?;
    if left.is_empty() { Ok(()) } else { Err(format!("the tasks changed the tree:\n{left}")) }
}

/// Fetched first, since cargo-deny reads the crates of every platform; the rest needs no network.
fn deps() -> Result<(), Failed> {
    cargo("fetch --locked")?;
    tool("cargo-deny", &["--offline", "--locked", "check", "bans", "licenses", "sources"])
}

fn prices() -> Result<(), Failed> {
    crate::prices::check()?;
    script("prices")
}

fn lint() -> Result<(), Failed> {
    cargo("clippy --locked --workspace --all-targets -- -D warnings")?;
    // The product without its simulator, a feature that is on by default.
    cargo("clippy --locked --package batchstep --no-default-features -- -D warnings")
}

fn doc() -> Result<(), Failed> {
    run(program("cargo").args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Checks every file that git knows and that starts with the name of a shell.
fn shell() -> Result<(), Failed> {
    let shebang = |path: &&str| {
        let text = std::fs::read(path).unwrap_or_default();
        [&b"#!/bin/sh"[..], b"#!/usr/bin/env bash"].iter().any(|start| text.starts_with(start))
    };
    let files = output("git", &["ls-files"])?;
    let scripts: Vec<&str> = files.lines().filter(shebang).collect();
    if scripts.is_empty() {
        return Err("no script was found".to_owned());
    }
    println!("{} scripts", scripts.len());
    tool("shellcheck", &scripts)
}

/// Fetches the database of advisories, so it is not part of `.ci/run`.
fn advisories() -> Result<(), Failed> {
    tool("cargo-deny", &["--locked", "check", "advisories"])
}

/// Builds the product with the oldest version that it promises to build with, which rustup must be able to get.
fn msrv() -> Result<(), Failed> {
    let manifest = std::fs::read_to_string("Cargo.toml").map_err(|error| format!("Cargo.toml: {error}"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.split('"').next());
    let version = version.ok_or("Cargo.toml names no rust-version")?;
    run(program("rustup").args(["toolchain", "install", version, "--profile", "minimal", "--no-self-update"]))?;
    run(program("rustup").args(["run", version, "cargo", "check", "--locked"]))
}

fn cargo(arguments: &str) -> Result<(), Failed> {
    run(program("cargo").args(arguments.split(' ')))
}

/// Runs `.ci/NAME`.
fn script(name: &str) -> Result<(), Failed> {
    run(program("bash").arg(format!(".ci/{name}")))
}

/// Runs a program that `.ci/tools` installs.
fn tool(name: &str, arguments: &[&str]) -> Result<(), Failed> {
    let installed = output("bash", &[".ci/tools"])?;
    run(program(&format!("{}/{name}", installed.trim())).args(arguments))
}

/// A program without the variables that `cargo run` sets for this one: build scripts that
/// read them would run again.
#[expect(clippy::disallowed_methods, reason = "the variables are cargo's and are only removed")]
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    for (name, _) in std::env::vars_os() {
        let is_cargos = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
        if name.to_str().is_some_and(|name| is_cargos.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

fn run(command: &mut Command) -> Result<(), Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} ended with {status}")) }
}

pub(crate) fn output(name: &str, arguments: &[&str]) -> Result<String, Failed> {
    let output = program(name).args(arguments).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Group, TASKS};

    fn read(path: &str) -> String {
        let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).replace("\r\n", "\n")
    }

    #[test]
    fn contributing_lists_the_tasks() {
        let text = read("CONTRIBUTING.md");
        let (_, table) = text
            .split_once("| task | what passes, or what it does | part of |\n|---|---|---|\n")
            .expect("a table of tasks");
        let listed: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        let part = |group| match group {
            Group::Check => "`check`, `ci`",
            Group::Ci => "`ci`",
            Group::Alone => "",
        };
        let row = |task: &super::Task| {
            format!("| `{}` | {} | {} |", task.name, task.what, part(task.group)).replace("|  |", "| |")
        };
        assert_eq!(listed, TASKS.iter().map(row).collect::<Vec<_>>());
    }

    /// What the workflow runs is a task or an installation, so that nothing is proven there that cannot be proven here.
    #[test]
    fn ci_and_the_workflow_call_tasks() {
        for (path, least) in [(".ci/run", 1), (".github/workflows/ci.yml", 6)] {
            let text = read(path);
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            let calls = lines.filter_map(|line| line.split_once("cargo xtask ").map(|(_, names)| names));
            let names: Vec<&str> = calls.flat_map(str::split_whitespace).collect();
            assert!(names.len() >= least, "{path} calls {names:?}");
            for name in &names {
                assert!(TASKS.iter().any(|task| task.name == *name), "{path} calls {name}");
            }
            for other in ["cargo test", "cargo clippy", "cargo fmt"] {
                assert!(!text.contains(&format!("run: {other}")), "{path} runs `{other}`, which is a task");
            }
        }
    }
}
