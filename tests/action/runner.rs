//! A small runner: starts a step as GitHub's does, interrupts it as that does,
//! reads the files it wrote, and runs its `post`.
//!
//! Written from the behaviour of actions/runner 2.336: ProcessInvoker sends
//! SIGINT to the entry process only, SIGTERM after 7.5 s, and kills after 2.5 s
//! more; state and outputs are read however the process ended; `post` runs in
//! any case; at the job's end every process that carries the job's tracking id
//! is killed. There is no terminal. What it makes of the log and the files is in
//! `batchstep_test_support::github_runner`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use batchstep_test_support::bench::{PATIENCE, end_of};
use batchstep_test_support::github_runner::{self, Command as LogCommand, MOST_ANNOTATIONS};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::BATCHSTEP;

/// How long the runner waits after SIGINT, and then after SIGTERM.
const PATIENCE_OF_THE_RUNNER: [Duration; 2] = [Duration::from_millis(7_500), Duration::from_millis(2_500)];

/// How a step is broken off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Interrupt {
    /// As a cancelled job is: SIGINT to the launcher, then harder.
    Cancel,
    /// Launcher and binary are gone at once, as when memory runs out.
    Kill,
    /// The launcher alone is gone at once.
    KillLauncher,
}

/// A step of an action in a workspace of its own.
pub(crate) struct Step {
    dir: TempDir,
    /// Where the action's main.js and post.js are.
    action: PathBuf,
    inputs: Vec<(String, String)>,
    env: Vec<(&'static str, String)>,
    tracking: String,
}

/// What a step left.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) exit: i32,
    pub(crate) state: BTreeMap<String, String>,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) summary: String,
    pub(crate) log: String,
    /// What the runner took from the log for a command.
    pub(crate) commands: Vec<LogCommand>,
    /// What the runner refused: each is an error of its own, and what was refused is lost.
    pub(crate) refused: Vec<String>,
}

impl Left {
    /// The annotations of a kind that the runner keeps; one too many is a test's failure.
    pub(crate) fn annotations(&self, kind: &str) -> Vec<&LogCommand> {
        let all: Vec<_> = self.commands.iter().filter(|command| command.name == kind).collect();
        assert!(all.len() <= MOST_ANNOTATIONS, "{} of these are dropped: {all:?}", all.len() - MOST_ANNOTATIONS);
        all
    }
}

impl Step {
    /// A step of batchstep with these inputs beside the binary's path.
    pub(crate) fn new(requests: &str, inputs: &[(&str, &str)]) -> Self {
        let binary = ("binary-path", BATCHSTEP.0);
        let step = Self::of("dist", &[&[binary], inputs].concat());
        std::fs::write(step.dir.path().join("requests.jsonl"), requests).unwrap();
        step
    }

    /// A step of the action whose scripts are in this directory of ours.
    pub(crate) fn of(action: &str, inputs: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let action = Path::new(env!("CARGO_MANIFEST_DIR")).join(action);
        let inputs = inputs.iter().map(|(name, value)| (name.to_uppercase(), (*value).to_owned())).collect();
        let tracking = format!("github_{}", dir.path().display());
        Self { action, inputs, env: Vec::new(), dir, tracking }
    }

    /// The same with more of a job's variables, or others.
    pub(crate) fn with(mut self, env: &[(&'static str, String)]) -> Self {
        self.env.extend_from_slice(env);
        self
    }

    /// Starts the main step.
    pub(crate) fn start(&self) -> Child {
        self.node("main.js", &BTreeMap::new()).spawn().unwrap()
    }

    /// Waits until the main step has left this in its state.
    pub(crate) async fn until_state(&self, name: &str) {
        let seen = async {
            while !self.read("main.js", "state").contains(&format!("{name}<<")) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, seen).await.unwrap();
    }

    /// Breaks the main step off, and reads what it left.
    pub(crate) async fn interrupt(&self, mut child: Child, how: Interrupt) -> Left {
        match how {
            Interrupt::Cancel => {
                for (signal, patience) in ["INT", "TERM"].into_iter().zip(PATIENCE_OF_THE_RUNNER) {
                    kill(signal, child.id()).await;
                    if timeout(patience, child.wait()).await.is_ok() {
                        break;
                    }
                }
                kill("KILL", child.id()).await;
            }
            Interrupt::Kill => self.kill_all("KILL").await,
            Interrupt::KillLauncher => kill("KILL", child.id()).await,
        }
        self.left(child).await
    }

    /// Waits for the main step's end, and reads what it left.
    pub(crate) async fn left(&self, child: Child) -> Left {
        self.left_by(child, "main.js").await
    }

    /// Runs `post` with the state that the main step left.
    pub(crate) async fn post(&self, left: &Left) -> Left {
        let child = self.node("post.js", &left.state).spawn().unwrap();
        self.left_by(child, "post.js").await
    }

    /// The same where the runner gives `post` the inputs of another step, and these variables.
    pub(crate) async fn post_finding(&self, left: &Left, inputs: &[(&str, &str)], env: &[(&str, &str)]) -> Left {
        let mut command = self.node("post.js", &left.state);
        for (name, _) in &self.inputs {
            command.env_remove(format!("INPUT_{name}"));
        }
        command.envs(inputs.iter().map(|(name, value)| (format!("INPUT_{}", name.to_uppercase()), value)));
        let child = command.envs(env.iter().copied()).spawn().unwrap();
        self.left_by(child, "post.js").await
    }

    async fn left_by(&self, child: Child, script: &str) -> Left {
        let ended = end_of(child).await;
        let lines = [&ended.stdout, &ended.stderr].map(|text| github_runner::lines(text));
        let commands: Vec<_> = lines.into_iter().flatten().filter_map(github_runner::known_command).collect();
        let mut refused = Vec::new();
        let mut pairs = |file, command: &str| {
            let (pairs, fault) = github_runner::file_command(&self.read(script, file));
            refused.extend(fault);
            // The old way to say it still counts.
            let said = commands.iter().filter(|said| said.name == command);
            said.map(|said| (said.properties[0].1.clone(), said.data.clone())).chain(pairs).collect()
        };
        let (outputs, state) = (pairs("output", "set-output"), pairs("state", "save-state"));
        let summary = self.read(script, "summary");
        refused.extend(github_runner::summary_refusal(summary.len()));
        let exit = ended.status.code().unwrap_or(-1);
        Left { exit, outputs, state, summary, log: ended.stdout + &ended.stderr, commands, refused }
    }

    fn read(&self, script: &str, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{script}.{file}"))).unwrap()
    }

    /// The processes that outlived the step.
    pub(crate) fn orphans(&self) -> Vec<u32> {
        let mark = format!("RUNNER_TRACKING_ID={}", self.tracking);
        let carries = |pid: &u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
        };
        let entries =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        entries.filter(carries).collect()
    }

    async fn kill_all(&self, signal: &str) {
        for pid in self.orphans() {
            kill(signal, Some(pid)).await;
        }
    }

    fn node(&self, script: &str, state: &BTreeMap<String, String>) -> Command {
        let file = |name: &str| {
            let path = self.dir.path().join(format!("{script}.{name}"));
            std::fs::write(&path, "").unwrap();
            path
        };
        let mut command = Command::new(node().unwrap());
        command.env_clear().current_dir(self.dir.path()).kill_on_drop(true);
        command.arg(self.action.join(script));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("GITHUB_ACTIONS", "true").env("CI", "true").env("RUNNER_TRACKING_ID", &self.tracking);
        command.env("GITHUB_REPOSITORY", "owner/name").env("GITHUB_RUN_ID", "1").env("GITHUB_JOB", "evaluate");
        command.env("RUNNER_TEMP", self.dir.path()).env("RUNNER_TOOL_CACHE", self.dir.path());
        command.env("GITHUB_OUTPUT", file("output")).env("GITHUB_STATE", file("state"));
        command.env("GITHUB_STEP_SUMMARY", file("summary"));
        command.envs(self.env.iter().cloned());
        command.envs(self.inputs.iter().map(|(name, value)| (format!("INPUT_{name}"), value)));
        command.envs(state.iter().map(|(name, value)| (format!("STATE_{name}"), value)));
        command
    }
}

async fn kill(signal: &str, pid: Option<u32>) {
    // A process that is gone by now needs no signal.
    if let Some(pid) = pid {
        let signal = format!("-{signal}");
        let mut command = Command::new("kill");
        command.args([&signal, &pid.to_string()]).stderr(Stdio::null());
        timeout(PATIENCE, command.status()).await.unwrap().unwrap();
    }
}

/// Where Node is; its absence is told once a test.
#[expect(clippy::disallowed_methods, reason = "the tests look for Node where the user's shell would")]
pub(crate) fn node() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).map(|dir| dir.join("node")).find(|node| node.is_file());
    if found.is_none() {
        // Not by a macro: what those print is shown of tests that fail only.
        std::io::stderr().write_all(b"SKIPPED: there is no Node on this machine.\n").unwrap();
    }
    found
}
