//! A job that is cancelled on each CI system: with its signals, to whom it sends them, and within its grace. The batch is
//! cancelled, and the files for later jobs say so.

use std::process::Stdio;
use std::time::Duration;

use batchstep_test_support::bench::{Workspace, calls, end_within, finish};
use tokio::process::Command;
use tokio::time::sleep;

use crate::BATCHSTEP;

/// Who gets a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// Our process.
    Process,
    /// The script's shell and all that it started.
    Group,
}

/// How a system ends a job. After the last wait it kills the group.
struct Ending {
    system: &'static str,
    variable: (&'static str, &'static str),
    to: To,
    signals: &'static [(&'static str, Duration)],
    code: i32,
}

const ENDINGS: [Ending; 5] = [
    // gitlab-runner: helpers/process/killer_unix.go.
    Ending {
        system: "GitLab",
        variable: ("GITLAB_CI", "true"),
        to: To::Group,
        signals: &[("TERM", Duration::from_secs(600))],
        code: 143,
    },
    // azure-pipelines-agent: ProcessInvoker.cs.
    Ending {
        system: "Azure Pipelines",
        variable: ("TF_BUILD", "True"),
        to: To::Process,
        signals: &[("INT", Duration::from_millis(7_500)), ("TERM", Duration::from_millis(2_500))],
        code: 130,
    },
    // The agent's cancel-grace-period.
    Ending {
        system: "Buildkite",
        variable: ("BUILDKITE", "true"),
        to: To::Group,
        signals: &[("TERM", Duration::from_secs(10))],
        code: 143,
    },
    // docker stop.
    Ending {
        system: "Woodpecker",
        variable: ("CI", "woodpecker"),
        to: To::Process,
        signals: &[("TERM", Duration::from_secs(20))],
        code: 143,
    },
    // SoftKillWaitSeconds, the smallest grace of all.
    Ending {
        system: "Jenkins",
        variable: ("JENKINS_URL", "http://ci.example/"),
        to: To::Group,
        signals: &[("TERM", Duration::from_secs(5))],
        code: 143,
    },
];

impl Ending {
    async fn hold(&self) {
        let served = BATCHSTEP.serve(&["--takes", "60s"]).await;
        let workspace = Workspace::new(BATCHSTEP);
        let files = ["--outputs-file", "batch.json", "--summary-file", "summary.md"];
        let mut run = match self.to {
            To::Process => workspace.run(&served.base_url),
            // As the script of a job runs it: the shell waits, and passes nothing on.
            To::Group => workspace.run_by(&["sh", "-c", "\"$0\" \"$@\"; exit $?"], &served.base_url),
        };
        run.args(files).env(self.variable.0, self.variable.1).env("BUILD_ID", "1").process_group(0);
        let child = run.stdin(Stdio::null()).spawn().unwrap();
        served.until("a poll", |tally| calls(tally, "get") > 0).await;

        let pid = child.id().unwrap();
        let target = if self.to == To::Group { format!("-{pid}") } else { pid.to_string() };
        let ending = async {
            for (signal, grace) in self.signals {
                kill(signal, &target).await;
                sleep(*grace).await;
            }
            kill("KILL", &format!("-{pid}")).await;
        };
        let all: Duration = self.signals.iter().map(|(_, grace)| *grace).sum();
        let finished = tokio::select! {
            finished = end_within(all, child) => finished,
            () = ending => panic!("{}: it was killed", self.system),
        };
        // A shell that is ended by the same signal says nothing of our exit code.
        if self.to == To::Process {
            assert_eq!(finished.status.code(), Some(self.code), "{}: {}", self.system, finished.stderr);
        }
        let tally = served.until("the cancel", |tally| calls(tally, "cancel") > 0).await;
        assert!(tally.batches.iter().all(|batch| batch.status.starts_with("cancel")), "{}: {tally:?}", self.system);
        let outputs = self.outputs(&workspace).await;
        assert_eq!(outputs["outcome"], "cancelled", "{}: {outputs}", self.system);
        assert_eq!(outputs["batch-id"], tally.batches[0].id, "{}: {outputs}", self.system);
        assert!(workspace.read("summary.md").contains("cancel"), "{}", workspace.read("summary.md"));
    }

    /// The outputs once they say how it ended: where the shell is gone first, the run still has its grace.
    async fn outputs(&self, workspace: &Workspace) -> serde_json::Value {
        for _ in 0..50 {
            let outputs: serde_json::Value = serde_json::from_str(&workspace.read("batch.json")).unwrap();
            if outputs.get("outcome").is_some() {
                return outputs;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{}: {}", self.system, workspace.read("batch.json"));
    }
}

/// What a script reads is data on any system, and the system's commands go to the log.
#[tokio::test]
async fn a_command_for_scripts_prints_nothing_but_data() {
    let served = BATCHSTEP.serve(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    for variable in [("TF_BUILD", "True"), ("TEAMCITY_VERSION", "1"), ("GITHUB_ACTIONS", "true"), ("GITLAB_CI", "true")]
    {
        let list = |limit: &str| {
            let mut command = BATCHSTEP.in_dir(dir.path());
            command.args(["batch", "list", "--provider", "sandbox", "--base-url", &served.base_url]);
            command.env(variable.0, variable.1).env("BATCHSTEP_TIMOUT", "1").env("BATCHSTEP_LIMIT", limit);
            command
        };
        let listed = finish(&mut list("2")).await.expect(0);
        assert!(serde_json::from_str::<serde_json::Value>(&listed.stdout).is_ok(), "{variable:?}: {}", listed.stdout);
        assert!(listed.stderr.contains("BATCHSTEP_TIMOUT"), "{variable:?}: {}", listed.stderr);
        let refused = finish(&mut list("abc")).await.expect(2);
        assert!(refused.stderr.contains("BATCHSTEP_LIMIT"), "{variable:?}: {}", refused.stderr);
        assert_eq!(refused.stdout, "", "{variable:?}");
    }
}

/// Nobody has looked yet for what the requests are.
#[tokio::test]
async fn a_call_that_is_refused_writes_only_where_nothing_is_lost() {
    for refused in [&["--nonsense"][..], &["--max-failed", "many"]] {
        let workspace = Workspace::new(BATCHSTEP);
        std::fs::write(workspace.path().join("data.json"), "requests").unwrap();
        let (usage, usage_json) = ("BATCH_OUTCOME=usage\n", "{\n  \"outcome\": \"usage\"\n}\n");
        // What an earlier run left must not stand for this one.
        std::fs::write(workspace.path().join("old.json"), r#"{"batch-ids": "[]", "outcome": "succeeded"}"#).unwrap();
        std::fs::write(workspace.path().join("old.env"), "BATCH_OUTCOME=succeeded\n").unwrap();
        std::fs::write(workspace.path().join("own.env"), "BATCH_SIZE=1\n").unwrap();
        for (file, text) in [
            ("data.json", "requests"),
            ("own.env", "BATCH_SIZE=1\n"),
            ("new.json", usage_json),
            ("old.json", usage_json),
            ("old.env", usage),
        ] {
            let mut command = BATCHSTEP.in_dir(workspace.path());
            finish(command.args(["run", "*.json", "--outputs-file", file]).args(refused)).await.expect(2);
            assert_eq!(workspace.read(file), text, "{refused:?}");
        }
    }
}

async fn kill(signal: &str, target: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), "--", target]).status().await.unwrap();
    assert!(sent.success(), "{signal} to {target}");
}

#[tokio::test]
async fn a_cancelled_job_leaves_no_batch_and_says_so() {
    for ending in ENDINGS {
        ending.hold().await;
    }
}
