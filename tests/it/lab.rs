//! The lab: a sandbox and any number of runs against it, all on one runtime
//! whose clock is paused, so that a day passes in milliseconds.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchstep::clock::Clock;
use batchstep::effects::{LogTarget, Screen};
use batchstep::env::{Env, Setting, Terminals};
use batchstep::inputs::Cli;
use batchstep::launcher::Launcher;
use batchstep::shutdown;
use batchstep::world::World;
use batchstep_sandbox::{Dialect, Options, Sandbox, Tally, script};
use batchstep_test_support::bench::request;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A sandbox that is being served, and a directory with `requests` requests.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) clock: Clock,
    /// What the runs see of the environment.
    pub(crate) env: Env,
    /// Who uses them.
    pub(crate) setting: Setting,
    /// Where the runs' jitter begins.
    pub(crate) seed: u64,
    /// How long after a command's start whoever launched it is gone, if ever.
    pub(crate) launcher_dies: Option<Duration>,
    /// Whose API the sandbox speaks, which is also the provider's name.
    dialect: Dialect,
    sandbox: Sandbox,
    pub(crate) base_url: String,
}

/// What a run left.
pub(crate) struct Ran {
    pub(crate) exit: u8,
    /// Log lines, each with the time it was printed at, counted from the run's start.
    pub(crate) log: Vec<(Duration, String)>,
    pub(crate) report: Value,
    /// The lines of `results.jsonl`; null for one that is no JSON.
    pub(crate) results: Vec<Value>,
    pub(crate) took: Duration,
}

impl Lab {
    /// A sandbox whose batches take so long, and that has these faults.
    pub(crate) async fn new(takes: Duration, faults: &str) -> Self {
        Self::with_requests(takes, faults, 20).await
    }

    pub(crate) async fn with_requests(takes: Duration, faults: &str, requests: usize) -> Self {
        Self::speaking(Dialect::Openai, takes, faults, requests).await
    }

    /// The same, of any dialect: a test can run against each of them.
    pub(crate) async fn speaking(dialect: Dialect, takes: Duration, faults: &str, requests: usize) -> Self {
        let clock = Clock::starting_at(Duration::from_secs(1_800_000_000));
        let faults = script(faults).unwrap();
        assert_eq!(dialect.refuses(&faults), None);
        let sandbox = Sandbox::speaking(dialect, Options { takes, faults }, move || clock.now());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(sandbox.clone().serve(listener));
        let dir = tempfile::tempdir().unwrap();
        let lines: String = (0..requests).map(|index| request(dialect, &custom_id(index), "Say it")).collect();
        std::fs::write(dir.path().join("requests.jsonl"), lines).unwrap();
        let (env, setting, launcher_dies) = (Env::default(), Setting::Ci, None);
        Self { dir, clock, env, setting, seed: 42, launcher_dies, dialect, sandbox, base_url }
    }

    /// Another machine with the same requests, which shares nothing but the server.
    pub(crate) fn neighbour(&self) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(self.dir.path().join("requests.jsonl"), dir.path().join("requests.jsonl")).unwrap();
        let (env, sandbox, base_url) = (self.env.clone(), self.sandbox.clone(), self.base_url.clone());
        let (setting, seed, launcher_dies) = (self.setting, self.seed, None);
        let (clock, dialect) = (self.clock, self.dialect);
        Self { dir, clock, env, setting, seed, launcher_dies, dialect, sandbox, base_url }
    }

    /// What the sandbox has done so far.
    pub(crate) fn tally(&self) -> Tally {
        self.sandbox.tally()
    }

    /// Calls of one operation so far.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.tally().calls.get(operation).copied().unwrap_or(0)
    }

    /// Whether any batch still runs.
    pub(crate) fn is_anything_running(&self) -> bool {
        let over = ["completed", "failed", "expired", "cancelled", "cancelling"];
        self.tally().batches.iter().any(|batch| !over.contains(&batch.status.as_str()))
    }

    /// The batches that were paid for in full.
    pub(crate) fn completed(&self) -> Vec<String> {
        let batches = self.tally().batches.into_iter();
        batches.filter(|batch| batch.status == "completed").map(|batch| batch.id).collect()
    }

    /// As another machine would begin: with nothing but the requests.
    pub(crate) fn forget(&self) {
        // A run that was killed early enough left nothing.
        drop(std::fs::remove_dir_all(self.out()));
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// A run with these inputs beside the usual ones.
    pub(crate) async fn run(&self, inputs: &[&str]) -> Ran {
        self.run_signalled(inputs, &[]).await
    }

    /// A run that gets these signals, each so long after its start.
    pub(crate) async fn run_signalled(&self, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
        self.step(&["run", &self.requests()], inputs, signals).await
    }

    /// A submission with these inputs beside the usual ones.
    pub(crate) async fn submit(&self, inputs: &[&str]) -> Ran {
        self.submit_signalled(inputs, &[]).await
    }

    /// A submission that gets these signals, each so long after its start.
    pub(crate) async fn submit_signalled(&self, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
        self.step(&["submit", &self.requests()], inputs, signals).await
    }

    /// A collection with these inputs beside the usual ones.
    pub(crate) async fn collect(&self, inputs: &[&str]) -> Ran {
        self.collect_signalled(inputs, &[]).await
    }

    /// A collection that gets these signals, each so long after its start.
    pub(crate) async fn collect_signalled(&self, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
        // Requests that are named must be there.
        let requests = self.requests();
        let is_there = std::path::Path::new(&requests).exists() && !inputs.contains(&"--requests");
        let named: &[&str] = if is_there { &["collect", "--requests", &requests] } else { &["collect"] };
        self.step(named, inputs, signals).await
    }

    /// A call of somebody who uses no batchstep.
    pub(crate) async fn post(&self, path: &str, body: &Value) {
        let answer = self.try_post(path, body).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The same, whatever is answered within a minute.
    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> String {
        let (address, below) = self.base_url.trim_start_matches("http://").split_once('/').unwrap();
        let body = body.to_string();
        let head = format!(
            "POST /{below}{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer sk-lab-0123456789\r\n\
             anthropic-version: 2026-10-21\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        let call = async {
            stream.write_all((head + &body).as_bytes()).await?;
            stream.read_to_string(&mut answer).await
        };
        drop(tokio::time::timeout(Duration::from_secs(60), call).await);
        answer
    }

    /// Writes other requests, in these lines.
    pub(crate) fn ask(&self, lines: &str) {
        std::fs::write(self.requests(), lines).unwrap();
    }

    pub(crate) fn requests(&self) -> String {
        self.dir.path().join("requests.jsonl").display().to_string()
    }

    async fn step(&self, command: &[&str], inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
        let out = self.out().display().to_string();
        // What fails is reported as it is, unless a test asks for another try.
        let is_run = command.first() == Some(&"run") && !inputs.contains(&"--retries");
        let retries: &[&str] = if is_run { &["--retries", "0"] } else { &[] };
        let words = [command, &["--output-dir", &out], retries, inputs].concat();
        let (exit, took, log) = self.execute(&words, signals).await;
        let report = std::fs::read(self.out().join("report.json")).unwrap_or_else(|_| b"null".to_vec());
        let results = std::fs::read_to_string(self.out().join("results.jsonl")).unwrap_or_default();
        Ran {
            exit,
            log: log.lines(),
            report: serde_json::from_slice(&report).unwrap(),
            results: results
                .lines()
                .map(|line| serde_json::from_str(&line.replace("NaN", "null")).unwrap_or_default())
                .collect(),
            took,
        }
    }

    /// Another command, which leaves no report.
    pub(crate) async fn command(&self, words: &[&str], signals: &[(Duration, u8)]) -> Ran {
        let (exit, took, log) = self.execute(words, signals).await;
        Ran { exit, log: log.lines(), report: Value::Null, results: Vec::new(), took }
    }

    async fn execute(&self, words: &[&str], signals: &[(Duration, u8)]) -> (u8, Duration, Log) {
        let log = Log::new();
        let (stopper, shutdown) = shutdown::channel();
        let screen = Screen::new(Box::new(log.clone()), Box::new(log.clone()));
        let started = Instant::now();
        let launcher = |after| Launcher::new(move || started.elapsed() >= after, stopper.clone(), &shutdown);
        let launcher = self.launcher_dies.map(launcher);
        let mut world = World::new(self.env.clone(), self.clock, shutdown, LogTarget::File, screen);
        world.launcher = launcher;
        world.rng = fastrand::Rng::with_seed(self.seed);
        world.setting = self.setting;
        let provider = self.dialect.word();
        let server = ["--base-url", &self.base_url, "--provider", provider, "--api-key", "sk-lab-0123456789"];
        // Of an input that is given twice clap would complain.
        let is_offline = matches!(words, ["sandbox" | "check", ..]);
        let flags = server.chunks(2).filter(|flag| !is_offline && !words.contains(&flag[0]));
        let server: Vec<&str> = flags.flatten().copied().collect();
        // What comes after the flags' end is no flag any more.
        let (words, last) = words.split_at(words.iter().position(|word| *word == "--").unwrap_or(words.len()));
        let typed = ["batchstep"].iter().chain(words).chain(&server).chain(last);
        let command = Cli::read(typed.map(Into::into).collect(), Terminals::NotBoth).unwrap().command;
        world.look(&command);
        let signalling = async {
            for (after, signal) in signals {
                tokio::time::sleep_until(started + *after).await;
                stopper.stop(*signal);
            }
            std::future::pending::<()>().await;
        };
        let exit = tokio::select! {
            exit = Box::pin(batchstep::execute(command, world)) => exit.code(),
            () = signalling => unreachable!("it never ends"),
        };
        (exit, started.elapsed(), log)
    }
}

impl Ran {
    /// The outcome's word.
    pub(crate) fn outcome(&self) -> &str {
        self.report["outcome"].as_str().unwrap()
    }

    /// A number of the report's counts.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.report["counts"][name].as_u64().unwrap()
    }

    /// The whole log.
    pub(crate) fn text(&self) -> String {
        self.log.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Checks what holds for every run that collected: each request ends in
    /// exactly one way, and `results.jsonl` has a line for each, in input order.
    pub(crate) fn assert_complete(&self, requests: usize) {
        let sum = self.count("succeeded") + self.count("failed") + self.count("missing");
        assert_eq!((sum, self.count("total")), (requests as u64, requests as u64), "{}", self.text());
        let ids: Vec<&str> = self.results.iter().map(|line| line["custom_id"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..requests).map(custom_id).collect();
        assert_eq!(ids, expected);
    }
}

/// The environment of a job on GitHub, without the files that the runner reads.
pub(crate) fn github(run: u64, attempt: u64) -> Env {
    let (run, attempt) = (run.to_string(), attempt.to_string());
    let pairs = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REPOSITORY", "octo/repo"),
        ("GITHUB_RUN_ID", run.as_str()),
        ("GITHUB_RUN_ATTEMPT", attempt.as_str()),
        ("GITHUB_JOB", "evaluate"),
        ("GITHUB_ACTION", "batch"),
    ];
    pairs.into_iter().collect()
}

fn custom_id(index: usize) -> String {
    format!("request-{index}")
}

/// What was printed at once, and when.
type Written = (Duration, Vec<u8>);

/// Catches what is printed, with the time.
#[derive(Clone)]
struct Log {
    started: Instant,
    writes: Arc<Mutex<Vec<Written>>>,
}

impl Log {
    fn new() -> Self {
        Self { started: Instant::now(), writes: Arc::default() }
    }

    fn lines(&self) -> Vec<(Duration, String)> {
        let writes = self.writes.lock().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned();
        writes.iter().map(|(at, bytes)| (*at, text(bytes))).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writes.lock().unwrap().push((self.started.elapsed(), bytes.to_vec()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
