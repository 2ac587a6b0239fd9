//! A signal at any moment of a run ends it in good order: what it created is
//! cancelled, the report is written, the exit code says which signal it was.

use std::time::Duration;

use batchstep_sandbox::Tally;
use batchstep_test_support::bench::{PATIENCE, Served, Workspace, calls, end_of};
use tokio::process::Child;
use tokio::time::{Instant, timeout};

use crate::BATCHSTEP;

/// What a run has to end in good order, and what a slow machine may add.
const GRACE: Duration = Duration::from_secs(5 + 3);
/// What is on its way after a second signal is given two seconds.
const LAST_REPLY: Duration = Duration::from_millis(2_000 + 1_500);
/// What ends at once may take on a slow machine: well below the grace.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Sends a signal by its name.
pub(crate) async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("the child runs").to_string();
    let sent = tokio::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap();
    assert!(sent.success());
}

/// How a run is to be interrupted, and what is to be found afterwards.
struct Case<'a> {
    sandbox: &'a [&'a str],
    when: fn(&Tally) -> bool,
    signal: (&'a str, i32),
    /// How many batches there are, and in what states.
    batches: usize,
    states: &'a [&'a str],
}

impl Case<'_> {
    async fn hold(&self) {
        let served = BATCHSTEP.serve(self.sandbox).await;
        let workspace = Workspace::new(BATCHSTEP);
        let mut command = workspace.run(&served.base_url);
        workspace.on_github(&mut command);
        let child = command.spawn().unwrap();
        served.until("the moment to interrupt", self.when).await;
        signal(&child, self.signal.0).await;
        let finished = end_of(child).await.expect(128 + self.signal.1);
        assert!(finished.took < GRACE, "took {:?}\n{}", finished.took, finished.stderr);

        let tally = served.tally().await;
        assert_eq!(tally.batches.len(), self.batches, "{tally:?}\n{}", finished.stderr);
        for batch in &tally.batches {
            assert!(self.states.contains(&batch.status.as_str()), "{tally:?}\n{}", finished.stderr);
        }
        assert_eq!(workspace.report()["outcome"], "cancelled", "{}", finished.stderr);
        assert_eq!(workspace.report()["exit_code"], 128 + self.signal.1);
        let outputs = workspace.read("GITHUB_OUTPUT");
        assert!(outputs.contains("outcome<<"), "{outputs}");
        for batch in &tally.batches {
            assert!(outputs.contains("batch-id<<") && outputs.contains(&batch.id), "{outputs}");
        }
    }
}

const ENDED: &[&str] = &["cancelling", "cancelled"];

#[tokio::test]
async fn during_the_upload() {
    let sandbox = &["--takes", "60s", "--fault", "upload stall"];
    let when = |tally: &Tally| calls(tally, "upload") > 0;
    Case { sandbox, when, signal: ("INT", 2), batches: 0, states: ENDED }.hold().await;
}

#[tokio::test]
async fn during_a_create_that_is_never_answered() {
    let sandbox = &["--takes", "60s", "--fault", "create stall"];
    let when = |tally: &Tally| tally.creates > 0;
    Case { sandbox, when, signal: ("TERM", 15), batches: 1, states: ENDED }.hold().await;
}

#[tokio::test]
async fn after_a_create_whose_reply_was_lost() {
    let sandbox = &["--takes", "60s", "--fault", "create drop"];
    let when = |tally: &Tally| tally.creates > 0;
    Case { sandbox, when, signal: ("HUP", 1), batches: 1, states: ENDED }.hold().await;
}

#[tokio::test]
async fn while_it_polls() {
    let when = |tally: &Tally| calls(tally, "get") > 0;
    for signal in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        Case { sandbox: &["--takes", "60s"], when, signal, batches: 1, states: ENDED }.hold().await;
    }
}

#[tokio::test]
async fn while_the_batch_is_finalizing() {
    let sandbox = &["--takes", "500ms", "--fault", "batch stuck=finalizing"];
    let when = |tally: &Tally| tally.batches.iter().any(|batch| batch.status == "finalizing");
    Case { sandbox, when, signal: ("TERM", 15), batches: 1, states: ENDED }.hold().await;
}

#[tokio::test]
async fn during_the_download() {
    let sandbox = &["--takes", "500ms", "--fault", "content stall"];
    let when = |tally: &Tally| calls(tally, "content") > 0;
    Case { sandbox, when, signal: ("INT", 2), batches: 1, states: &["completed"] }.hold().await;
}

#[tokio::test]
async fn a_second_signal_ends_the_waiting_and_leaves_the_report() {
    let served = BATCHSTEP.serve(&["--takes", "60s", "--fault", "cancel stall"]).await;
    let workspace = Workspace::new(BATCHSTEP);
    let mut child = workspace.run(&served.base_url).spawn().unwrap();
    served.until("a poll", |tally| calls(tally, "get") > 0).await;
    signal(&child, "TERM").await;
    served.until("the cancel", |tally| calls(tally, "cancel") > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(child.try_wait().unwrap().is_none(), "it waits for the cancel's answer");
    signal(&child, "INT").await;
    let finished = end_of(child).await.expect(128 + 15);
    assert!(finished.took < LAST_REPLY, "took {:?}", finished.took);
    let id = &served.tally().await.batches[0].id;
    assert_eq!(workspace.report()["batches"][0]["id"].as_str(), Some(id.as_str()));
    assert!(finished.stderr.contains(&format!("`batchstep cancel {id} --")), "{}", finished.stderr);
}

/// These have nothing to put in order, so the first signal ends them.
#[tokio::test]
async fn commands_that_own_nothing_end_at_the_first_signal() {
    let served = BATCHSTEP.serve(&["--fault", "list stall"]).await;
    let workspace = Workspace::new(BATCHSTEP);
    let mut list = BATCHSTEP.in_dir(workspace.path());
    list.args(["batch", "list", "--provider", "sandbox", "--base-url", &served.base_url]);
    let list = list.spawn().unwrap();
    served.until("the call", |tally| calls(tally, "list") > 0).await;
    signal(&list, "INT").await;
    assert!(end_of(list).await.expect(128 + 2).took < AT_ONCE);

    let Served { mut child, .. } = served;
    signal(&child, "TERM").await;
    let began = Instant::now();
    let status = timeout(PATIENCE, child.wait()).await.expect("the sandbox ends").unwrap();
    assert!(status.code() == Some(128 + 15) && began.elapsed() < AT_ONCE, "{status} in {:?}", began.elapsed());
}
