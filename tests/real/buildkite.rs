//! What a run has Buildkite's agent show: a program of this name stands for it and remembers what it was asked.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use batchstep_test_support::bench::{Finished, Workspace, finish};
use tokio::time::Instant;

use crate::BATCHSTEP;

/// It leaves its arguments, its environment and its input in files of a call, then does as `STUB` says.
const STUB: &str = r#"#!/bin/sh
call=$(mktemp "$CALLS/XXXXXX")
env > "$call.env"
[ "$STUB" = deaf ] || cat > "$call.input"
printf '%s\n' "$@" > "$call.words"
case "$STUB" in
fail) printf 'fatal: \033[31mno such\nbuild %s\n' "$BUILDKITE_AGENT_ACCESS_TOKEN" >&2; exit 3 ;;
flood) head -c 3000000 /dev/zero | tr '\0' x >&2; exit 4 ;;
hang) (sleep 40; touch "$CALLS/late") & sleep 600 ;;
esac
"#;

/// Long enough for the ids to be told while the batch runs.
const TAKES: &str = "2s";

/// A job on Buildkite, in a workspace with the agent's program.
struct Job {
    workspace: Workspace,
    calls: PathBuf,
}

/// A call: its words and its input.
type Call = (Vec<String>, String);

impl Job {
    fn new() -> Self {
        let workspace = Workspace::new(BATCHSTEP);
        let (bin, calls) = (workspace.path().join("bin"), workspace.path().join("calls"));
        std::fs::create_dir(&bin).unwrap();
        std::fs::create_dir(&calls).unwrap();
        let program = bin.join("buildkite-agent");
        std::fs::write(&program, STUB).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { workspace, calls }
    }

    async fn run(&self, stub: &str, inputs: &[&str]) -> Finished {
        let mut command = BATCHSTEP.in_dir(self.workspace.path());
        command.args(["run", "requests.jsonl", "--provider", "sandbox", "--takes", TAKES, "--retries", "0"]);
        command.args(inputs).env("PATH", format!("{}:/usr/bin:/bin", self.workspace.path().join("bin").display()));
        let variables = [
            ("BUILDKITE", "true"),
            ("BUILDKITE_AGENT_ACCESS_TOKEN", "agent-0123456789"),
            ("BUILDKITE_BUILD_NUMBER", "7"),
            ("BUILDKITE_PLUGIN_BATCHSTEP_API_KEY", "hidden-0123456789"),
            ("OPENAI_API_KEY", "hidden-0123456789"),
            ("STUB", stub),
        ];
        finish(command.envs(variables).env("CALLS", &self.calls)).await
    }

    /// What was asked of it, the calls in no order.
    fn calls(&self) -> Vec<Call> {
        let words = self.files("words").into_iter();
        let call = |path: PathBuf| {
            let words = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
            (words, std::fs::read_to_string(path.with_extension("input")).unwrap_or_default())
        };
        words.map(call).collect()
    }

    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let all = std::fs::read_dir(&self.calls).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|extension| extension == kind)).collect()
    }
}

/// What a key of the build's meta-data was set to, each time.
fn set(calls: &[Call], key: &str) -> Vec<String> {
    let of_key = |(words, _): &&Call| words[..] == ["meta-data", "set", key].map(str::to_owned);
    calls.iter().filter(of_key).map(|(_, value)| value.clone()).collect()
}

fn annotations(calls: &[Call]) -> Vec<&Call> {
    calls.iter().filter(|(words, _)| words[0] == "annotate").collect()
}

#[tokio::test]
async fn outputs_are_meta_data_and_the_summary_is_an_annotation() {
    let job = Job::new();
    job.run("", &[]).await.expect(0);
    let calls = job.calls();
    assert_eq!(set(&calls, "batchstep-outcome"), ["succeeded"]);
    assert_eq!(set(&calls, "batchstep-total"), ["5"]);
    // The ids are there as soon as there is a batch, and again at the end.
    let ids = set(&calls, "batchstep-batch-ids");
    assert!(ids.len() == 2 && ids[0] == ids[1] && ids[0].starts_with("[\"batch_"), "{ids:?}");
    assert_eq!(set(&calls, "batchstep-batch-id").len(), 2);
    assert!(calls.iter().all(|(_, value)| !value.trim().is_empty()), "the agent refuses empty values: {calls:?}");
    let (words, text) = annotations(&calls)[0];
    assert_eq!(words[..4], ["annotate", "--style", "success", "--context"]);
    assert!(words.len() == 5 && words[4].len() == "batchstep-".len() + 16, "{words:?}");
    assert!(text.contains("SIMULATED") && !text.contains("[!"), "{text}");
    for path in job.files("env") {
        let env = std::fs::read_to_string(path).unwrap();
        assert!(env.contains("BUILDKITE_AGENT_ACCESS_TOKEN=agent-") && !env.contains("hidden-"), "{env}");
    }
    // A second run replaces the annotation.
    job.run("", &["--fault", "rows status=500 share=90%"]).await.expect(7);
    let calls = job.calls();
    let words: Vec<&[String]> = annotations(&calls).into_iter().map(|(words, _)| &words[2..]).collect();
    assert!(words.len() == 2 && words[0][2] == words[1][2], "{words:?}");
    assert!(words.iter().any(|words| words[0] == "error"), "{words:?}");
}

#[tokio::test]
async fn what_is_not_wanted_is_not_shown() {
    let job = Job::new();
    let finished = job.run("", &["--summary=false", "--comment"]).await.expect(0);
    assert!(finished.stderr.contains("do nothing on Buildkite"), "{}", finished.stderr);
    assert_eq!((annotations(&job.calls()).len(), set(&job.calls(), "batchstep-outcome").len()), (0, 1));
}

#[tokio::test]
async fn a_missing_agent_is_one_line_of_the_log() {
    let job = Job::new();
    std::fs::remove_file(job.workspace.path().join("bin/buildkite-agent")).unwrap();
    let finished = job.run("", &[]).await.expect(0);
    assert_eq!(finished.stderr.matches("buildkite-agent").count(), 1, "{}", finished.stderr);
    assert!(!finished.stderr.contains("arning"), "{}", finished.stderr);
}

#[tokio::test]
async fn trouble_with_the_agent_is_a_warning_that_says_why() {
    let job = Job::new();
    let failing = ["--fault", "rows status=500 share=90%"];
    for (stub, inputs, exit, why) in [
        ("fail", &[][..], 0, Some("`buildkite-agent annotate` failed: it ended with exit code 3 and says: fatal: ")),
        ("fail", &failing[..], 7, Some("`buildkite-agent meta-data` failed: it ended with exit code 3")),
        ("flood", &[][..], 0, Some("it ended with exit code 4 and says: xxx")),
        ("deaf", &[][..], 0, None),
    ] {
        let finished = job.run(stub, inputs).await.expect(exit);
        match why {
            Some(why) => assert!(finished.stderr.contains(why), "{stub}: {}", finished.stderr),
            None => assert!(!finished.stderr.contains("failed:"), "{stub}: {}", finished.stderr),
        }
        assert!(!finished.stderr.contains("\u{1b}[31m") && finished.stderr.len() < 10_000, "{}", finished.stderr);
        assert!(!finished.stderr.contains("agent-0123456789"), "{stub}: {}", finished.stderr);
    }
}

#[tokio::test]
async fn what_ends_a_run_before_it_begins_is_shown_too() {
    let job = Job::new();
    for (inputs, word) in
        [(&["--max-failed", "many"][..], "max-failed"), (&["--ca-file", "missing.pem"], "missing.pem")]
    {
        let earlier = job.calls().len();
        job.run("", inputs).await.expect(2);
        let calls = job.calls();
        assert_eq!(calls.len(), earlier + 2, "{calls:?}");
        assert!(set(&calls, "batchstep-outcome").iter().all(|outcome| outcome == "usage"), "{calls:?}");
        assert!(annotations(&calls).iter().any(|(_, text)| text.contains(word)), "{calls:?}");
    }
    // Another command's mistake is not how a run ended.
    let earlier = job.calls().len();
    let mut command = BATCHSTEP.in_dir(job.workspace.path());
    let path = format!("{}:/usr/bin:/bin", job.workspace.path().join("bin").display());
    command.args(["cancel", "--nonsense"]).env("BUILDKITE", "true").env("CALLS", &job.calls).env("PATH", path);
    finish(&mut command).await.expect(2);
    assert_eq!(job.calls().len(), earlier);
}

#[tokio::test]
async fn an_agent_that_hangs_is_ended_with_all_that_it_started() {
    let job = Job::new();
    let began = Instant::now();
    let finished = job.run("hang", &[]).await.expect(0);
    assert!(finished.stderr.contains("it did not end within 8 seconds"), "{}", finished.stderr);
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
    let marker = job.calls.display().to_string();
    assert_eq!(processes_with(&marker), 0, "nothing is left of it");
}

/// How many processes have this text in their environment.
fn processes_with(text: &str) -> usize {
    let all = std::fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    let environments = all.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
    environments.filter(|environment| String::from_utf8_lossy(environment).contains(text)).count()
}
