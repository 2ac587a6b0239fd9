//! The gate: what it may say of the answers, each way in which it can go wrong, and what ends it.

use std::time::Duration;

use batchstep_sandbox::Dialect;
use batchstep_test_support::bench::{Finished, Workspace, finish};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::Instant;

use crate::BATCHSTEP;

/// A run in this process's own sandbox, of five requests.
fn run(workspace: &Workspace, gate: &str) -> Command {
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args([
        "run",
        "requests.jsonl",
        "--provider",
        "sandbox",
        "--takes",
        "300ms",
        "--retries",
        "0",
        "--gate",
        gate,
    ]);
    command
}

async fn gated(gate: &str) -> (Workspace, Finished) {
    let workspace = Workspace::new(BATCHSTEP);
    let finished = finish(&mut run(&workspace, gate)).await;
    (workspace, finished)
}

fn ids(workspace: &Workspace) -> Vec<String> {
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["custom_id"].as_str().unwrap().to_owned();
    workspace.read("batch-results/results.jsonl").lines().map(id).collect()
}

/// Fails the first row.
const FIRST: &str =
    r#"head -n 1 | sed 's/^{"custom_id":\("[^"]*"\).*/{"custom_id":\1,"message":"Too \\u001b[31mshort."}/'"#;

#[tokio::test]
async fn its_verdicts_are_failures_everywhere() {
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = run(&workspace, &format!("echo looking >&2; {FIRST}"));
    let finished = finish(command.args(["--csv"])).await.expect(7);
    assert!(finished.stderr.contains("Gate: looking"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("\u{1b}[31m"), "{}", finished.stderr);
    let report = workspace.report();
    assert_eq!((&report["counts"]["succeeded"], &report["counts"]["failed"]), (&4.into(), &1.into()));
    assert_eq!((&report["gate"]["failed"], &report["failures"][0]["code"]), (&1.into(), &"gate".into()));
    let first = &ids(&workspace)[0];
    assert_eq!(report["failures"][0]["custom_ids"], json!([first]));
    let answers: Vec<Value> =
        workspace.read("batch-results/answers.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&answers[0]["outcome"], &answers[0]["code"]), (&"failed".into(), &"gate".into()));
    assert!(answers[0]["answer"].is_string() && answers[1]["outcome"] == "succeeded");
    assert!(workspace.read("batch-results/answers.csv").contains(&format!("{first},failed,gate,")));
    // The answers stay as the provider wrote them, and the verdicts count towards the limit.
    assert!(!workspace.read("batch-results/results.jsonl").contains("short"));
    let finished = finish(run(&workspace, FIRST).args(["--max-failed", "1"])).await.expect(0);
    assert!(finished.stderr.contains("partial"), "{}", finished.stderr);
    assert!(!workspace.path().join("batch-results/answers.jsonl").exists(), "it read a file of its own");
    assert!(!workspace.path().join("batch-results/.download").exists());
}

#[tokio::test]
async fn a_gate_that_fails_nothing_changes_nothing() {
    let (workspace, finished) = gated("cat > seen").await;
    finished.expect(0);
    assert_eq!((workspace.report()["gate"]["failed"].as_u64(), workspace.read("seen").lines().count()), (Some(0), 5));
    assert_eq!(workspace.report()["counts"]["succeeded"], 5);
}

#[tokio::test]
async fn whatever_goes_wrong_ends_in_exit_1_and_the_results_are_kept() {
    let twice = format!("x=$({FIRST}); echo \"$x\"; echo \"$x\"");
    for (gate, why) in [
        ("exit 3", "it ended with exit code 3"),
        ("kill -9 $$", "it was ended from outside"),
        ("no-such-command-here", "it ended with exit code 127"),
        ("echo hello", "it printed `hello`"),
        (r#"echo '{"custom_id":"x"}'"#, "it printed `{\"custom_id\":\"x\"}`"),
        (r#"echo '{"custom_id":"x","message":"m","more":1}'"#, "it printed"),
        (
            r#"echo '{"custom_id":"nobody","message":"m"}'"#,
            "it failed `nobody`, which is not the `custom_id` of any row",
        ),
        (&*twice, "twice"),
        ("yes", "it printed `y`"),
        ("head -c 200000 /dev/zero | tr '\\0' x", "it printed `xxxxx"),
    ] {
        let (workspace, finished) = gated(gate).await;
        let finished = finished.expect(1);
        assert!(
            finished.stderr.contains("The gate failed: ") && finished.stderr.contains(why),
            "{gate}: {}",
            finished.stderr
        );
        let report = workspace.report();
        assert_eq!((&report["exit_code"], &report["gate"]["failed"]), (&1.into(), &Value::Null), "{gate}");
        assert_eq!((&report["counts"]["succeeded"], ids(&workspace).len()), (&5.into(), 5), "{gate}");
    }
}

#[tokio::test]
async fn a_signal_ends_it_with_all_that_it_started() {
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = run(&workspace, "(sleep 600; touch late) & echo $! > pid; sleep 600");
    let begun = Instant::now();
    let child = command.kill_on_drop(true).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = workspace.path().join("pid");
    while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let started: i32 = workspace.read("pid").trim().parse().unwrap();
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(143), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let started = rustix::process::Pid::from_raw(started).unwrap();
    let is_over = || rustix::process::test_kill_process(started).is_err() || is_zombie(started);
    while !is_over() {
        assert!(begun.elapsed() < Duration::from_secs(60), "what the gate started still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(workspace.report()["counts"]["succeeded"], 5, "the results are kept");
}

fn is_zombie(process: rustix::process::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

#[tokio::test]
async fn it_gets_no_secrets() {
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = run(&workspace, "env > environment; cat > /dev/null");
    let (key, header) = ("sk-very-secret-key-0123", "routing-secret-4567");
    command
        .env("BATCHSTEP_API_KEY", key)
        .env("OTHER_NAME", format!("x{key}"))
        .env("BATCHSTEP_HEADERS", format!("x-route: {header}"));
    command
        .env("GITHUB_TOKEN", "ghs_1")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", "u")
        .env("MY_SECRET", "s")
        .env("KEPT", "yes");
    finish(&mut command).await.expect(0);
    let environment = workspace.read("environment");
    for secret in [key, header, "ghs_1", "ACTIONS_ID_TOKEN", "MY_SECRET", "OTHER_NAME"] {
        assert!(!environment.contains(secret), "{secret}: {environment}");
    }
    assert!(environment.contains("KEPT=yes"), "{environment}");
}

/// `collect` has it, too, with the requests and without, in either dialect.
#[tokio::test]
async fn a_collection_has_it() {
    for dialect in Dialect::ALL {
        let served = BATCHSTEP.serve(&["--takes", "300ms", "--dialect", dialect.word()]).await;
        let lines: String =
            (0..5).map(|id| batchstep_test_support::bench::request(dialect, &format!("r-{id}"), "Who?")).collect();
        let workspace = Workspace::with(BATCHSTEP, &lines);
        let connected = |words: &[&str]| {
            let mut command = BATCHSTEP.in_dir(workspace.path());
            let provider = if dialect == Dialect::Openai { "compatible" } else { "anthropic" };
            command.args(words).args([
                "--provider",
                provider,
                "--base-url",
                &served.base_url,
                "--api-key",
                "sk-0123456789",
            ]);
            command
        };
        finish(&mut connected(&["submit", "requests.jsonl"])).await.expect(0);
        for with_requests in [true, false] {
            if !with_requests {
                std::fs::remove_file(workspace.path().join("requests.jsonl")).unwrap();
            }
            let batch = workspace.report()["batches"][0]["id"].as_str().unwrap().to_owned();
            let finished =
                finish(&mut connected(&["collect", &batch, "--gate", FIRST, "--poll-interval", "200ms"])).await;
            finished.expect(7);
            let report = workspace.report();
            assert_eq!((&report["gate"]["failed"], &report["counts"]["failed"]), (&1.into(), &1.into()));
        }
    }
}
