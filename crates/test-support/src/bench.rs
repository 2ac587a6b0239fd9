//! The bench: batchstep as a child process, and sandboxes for it to talk to.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use batchstep_sandbox::{Dialect, Options, Sandbox, Tally, script};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a test waits before it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test. Only an integration test knows its path, as `env!("CARGO_BIN_EXE_batchstep")`.
#[derive(Clone, Copy, Debug)]
pub struct Binary(pub &'static str);

impl Binary {
    /// It with an empty environment, in the given directory.
    pub fn in_dir(self, dir: &Path) -> Command {
        self.started_by(&[], dir)
    }

    /// The same, started by these words: a program and its arguments.
    fn started_by(self, words: &[&str], dir: &Path) -> Command {
        let words = [words, &[self.0]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().current_dir(dir).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A sandbox in a process of its own, with these arguments.
    pub async fn serve(self, arguments: &[&str]) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let mut child = self.in_dir(dir.path()).args(["sandbox", "--port", "0"]).args(arguments).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let line = line_with(&mut stderr, "SIMULATED").await;
        let base_url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let base_url = base_url.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Served { child, base_url, _dir: dir, _stderr: stderr }
    }
}

/// Lines of a requests file, each with `text` as its question.
pub fn requests(count: usize, text: &str) -> String {
    (0..count).map(|i| request(Dialect::Openai, &format!("r{i}"), text)).collect()
}

/// A line of a requests file in a dialect, with its end: a request of this id with `text` as its question.
pub fn request(dialect: Dialect, id: &str, text: &str) -> String {
    let (id, messages) = (json!(id), format!(r#"[{{"role":"user","content":{}}}]"#, json!(text)));
    let members = match dialect {
        Dialect::Openai => {
            let body = format!(r#"{{"model":"gpt-4.1-mini","messages":{messages}}}"#);
            format!(r#""method":"POST","url":"/v1/chat/completions","body":{body}"#)
        }
        Dialect::Anthropic => {
            format!(r#""params":{{"model":"claude-haiku-4-5","max_tokens":64,"messages":{messages}}}"#)
        }
    };
    format!(r#"{{"custom_id":{id},{members}}}"#) + "\n"
}

/// A directory to run in, with a small `requests.jsonl`.
pub struct Workspace {
    binary: Binary,
    dir: TempDir,
}

impl Workspace {
    /// One with five requests.
    pub fn new(binary: Binary) -> Self {
        Self::with(binary, &requests(5, "Who?"))
    }

    /// One with these requests.
    pub fn with(binary: Binary, requests: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("requests.jsonl"), requests).unwrap();
        Self { binary, dir }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A run of its requests against a sandbox at `base_url`.
    pub fn run(&self, base_url: &str) -> Command {
        self.run_by(&[], base_url)
    }

    /// The same, started by these words.
    pub fn run_by(&self, words: &[&str], base_url: &str) -> Command {
        let mut command = self.binary.started_by(words, self.path());
        command.args(["run", "requests.jsonl", "--provider", "sandbox", "--base-url", base_url]);
        command.args(["--poll-interval", "200ms"]);
        command
    }

    /// Makes a command believe that it is a step on GitHub, with files in this directory.
    pub fn on_github(&self, command: &mut Command) {
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_RUN_ID", "1").env("GITHUB_JOB", "job");
        for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_STATE"] {
            let path = self.path().join(name);
            std::fs::write(&path, "").unwrap();
            command.env(name, path);
        }
    }

    /// The report of the run.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.read("batch-results/report.json")).unwrap()
    }

    /// The text of a file here.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The files that were written here, without the requests.
    pub fn written(&self) -> Vec<(PathBuf, Vec<u8>)> {
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
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
    /// How long it was waited for.
    pub took: Duration,
}

impl Finished {
    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end.
pub async fn finish(command: &mut Command) -> Finished {
    end_of(command.spawn().unwrap()).await
}

/// Waits for a child's end.
pub async fn end_of(child: Child) -> Finished {
    end_within(PATIENCE, child).await
}

/// Waits so long for a child's end.
pub async fn end_within(patience: Duration, child: Child) -> Finished {
    let began = Instant::now();
    let output = timeout(patience, child.wait_with_output()).await.expect("the child ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr), took: began.elapsed() }
}

/// Waits for a line of a child's log that contains `words`.
pub async fn line_with(from: &mut BufReader<ChildStderr>, words: &str) -> String {
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
pub struct Served {
    /// The process.
    pub child: Child,
    /// Where it answers.
    pub base_url: String,
    _dir: TempDir,
    _stderr: BufReader<ChildStderr>,
}

impl Served {
    /// What it has done so far.
    pub async fn tally(&self) -> Tally {
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
    pub async fn until(&self, what: &str, holds: impl Fn(&Tally) -> bool) -> Tally {
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
pub fn calls(tally: &Tally, operation: &str) -> u64 {
    tally.calls.get(operation).copied().unwrap_or_default()
}

/// A sandbox in the test's own process, on a listener that the test made.
pub fn sandbox_on(listener: TcpListener, faults: &str) -> Sandbox {
    let options = Options { takes: Duration::from_millis(300), faults: script(faults).unwrap() };
    let sandbox = Sandbox::new(options, wall_clock);
    tokio::spawn(sandbox.clone().serve(listener));
    sandbox
}

/// The time of day, which a sandbox in real time goes by.
#[expect(clippy::disallowed_methods, reason = "this sandbox is not on a paused clock")]
pub fn wall_clock() -> Duration {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A free loopback port, listened on, and its number.
pub async fn port() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}
