//! The bench: batchstep as a child process, and sandboxes for it to talk to.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use batchstep::clock::Clock;
use batchstep_sandbox::{Options, Sandbox, Tally, script};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, sleep, timeout};

/// When a test that waits has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a test of chance is repeated: so often, or ten times that where
/// `.ci/full` asks for it.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "what is tested never sees it")]
pub(crate) fn rounds(usual: usize) -> usize {
    if std::env::var_os("BATCHSTEP_FULL").is_some() { 10 * usual } else { usual }
}

/// batchstep with an empty environment, in the given directory.
pub(crate) fn batchstep(dir: &Path) -> Command {
    batchstep_by(&[], dir)
}

/// The same, started by these words: a program and its arguments.
fn batchstep_by(words: &[&str], dir: &Path) -> Command {
    let words = [words, &[env!("CARGO_BIN_EXE_batchstep")]].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().current_dir(dir).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Lines of a requests file, each with `text` as its question.
pub(crate) fn requests(count: usize, text: &str) -> String {
    let line = |i| {
        format!(
            r#"{{"custom_id":"r{i}","method":"POST","url":"/v1/chat/completions","body":{{"model":"gpt-4.1-mini","messages":[{{"role":"user","content":"{text}"}}]}}}}"#
        ) + "\n"
    };
    (0..count).map(line).collect()
}

/// A directory to run in, with a small `requests.jsonl`.
pub(crate) struct Workspace(TempDir);

impl Workspace {
    pub(crate) fn new() -> Self {
        Self::with(&requests(5, "Who?"))
    }

    pub(crate) fn with(requests: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("requests.jsonl"), requests).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A run of its requests against a sandbox at `base_url`.
    pub(crate) fn run(&self, base_url: &str) -> Command {
        self.run_by(&[], base_url)
    }

    /// The same, started by these words.
    pub(crate) fn run_by(&self, words: &[&str], base_url: &str) -> Command {
        let mut command = batchstep_by(words, self.path());
        command.args(["run", "requests.jsonl", "--provider", "sandbox", "--base-url", base_url]);
        command.args(["--poll-interval", "200ms"]);
        command
    }

    /// Makes a command believe that it is a step on GitHub, with files in this directory.
    pub(crate) fn on_github(&self, command: &mut Command) {
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_RUN_ID", "1").env("GITHUB_JOB", "job");
        for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"] {
            let path = self.path().join(name);
            std::fs::write(&path, "").unwrap();
            command.env(name, path);
        }
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.read("batch-results/report.json")).unwrap()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// All that was written here, but for the requests.
    pub(crate) fn written(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut dirs = vec![self.path().to_owned()];
        let mut files = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.file_name().is_some_and(|name| name != "requests.jsonl") {
                    let bytes = std::fs::read(&path).unwrap();
                    files.push((path, bytes));
                }
            }
        }
        files
    }
}

/// What a child left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Finished {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end.
pub(crate) async fn finish(command: &mut Command) -> Finished {
    end_of(command.spawn().unwrap()).await
}

/// Waits for a child's end.
pub(crate) async fn end_of(child: Child) -> Finished {
    end_within(PATIENCE, child).await
}

/// Waits for a child's end for so long.
pub(crate) async fn end_within(patience: Duration, child: Child) -> Finished {
    let began = Instant::now();
    let output = timeout(patience, child.wait_with_output()).await.expect("the child ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr), took: began.elapsed() }
}

/// Waits for a line of a child's that holds `words`.
pub(crate) async fn line_with(from: &mut BufReader<ChildStderr>, words: &str) -> String {
    let mut said = String::new();
    let reading = async {
        loop {
            let start = said.len();
            let more = from.read_line(&mut said).await.unwrap();
            if more == 0 || said[start..].contains(words) {
                return start;
            }
        }
    };
    let start = timeout(PATIENCE, reading).await.expect("the child says it");
    assert!(said[start..].contains(words), "{words:?} was never said:\n{said}");
    said.split_off(start)
}

/// A sandbox in a process of its own.
pub(crate) struct Served {
    #[cfg_attr(windows, expect(dead_code, reason = "only where signals are sent is it waited for"))]
    pub(crate) child: Child,
    pub(crate) base_url: String,
    _dir: TempDir,
    _stderr: BufReader<ChildStderr>,
}

impl Served {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = batchstep(dir.path()).args(["sandbox", "--port", "0"]).args(arguments).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let line = line_with(&mut stderr, "SIMULATED").await;
        let base_url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let base_url = base_url.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Self { child, base_url, _dir: dir, _stderr: stderr }
    }

    pub(crate) async fn tally(&self) -> Tally {
        let address = self.base_url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /sandbox/tally HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Waits until the tally shows what the test needs.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Tally) -> bool) -> Tally {
        let began = Instant::now();
        loop {
            let tally = self.tally().await;
            if holds(&tally) {
                return tally;
            }
            assert!(began.elapsed() < PATIENCE, "never saw {what}: {tally:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How often an operation was called.
pub(crate) fn calls(tally: &Tally, operation: &str) -> u64 {
    tally.calls.get(operation).copied().unwrap_or_default()
}

/// A sandbox in the test's own process, on a listener that the test made.
pub(crate) fn sandbox_on(listener: TcpListener, faults: &str) -> Sandbox {
    let options = Options { takes: Duration::from_millis(300), faults: script(faults).unwrap() };
    let sandbox = {
        let clock = Clock::system();
        Sandbox::new(options, move || clock.now())
    };
    tokio::spawn(sandbox.clone().serve(listener));
    sandbox
}

/// A free loopback port, listened on, and its number.
pub(crate) async fn port() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}
