//! Large bodies, standard input and pipes, between processes.

use std::process::Stdio;

use batchstep_test_support::bench::{Workspace, calls, end_of, finish, requests};
use tokio::io::AsyncWriteExt as _;

use crate::BATCHSTEP;

/// The `custom_id`s of a results file, in its order.
fn ids(results: &str) -> Vec<String> {
    let id = |line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["custom_id"].as_str().unwrap().to_owned()
    };
    results.lines().map(id).collect()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("r{i}")).collect()
}

#[tokio::test]
async fn thirty_megabytes_come_through_whole_and_in_order() {
    const ROWS: usize = 8_000;
    let served = BATCHSTEP.serve(&["--takes", "500ms"]).await;
    let workspace = Workspace::with(BATCHSTEP, &requests(ROWS, &"x".repeat(3_700)));
    assert!(workspace.read("requests.jsonl").len() > 30_000_000);
    finish(&mut workspace.run(&served.base_url)).await.expect(0);
    assert!(ids(&workspace.read("batch-results/results.jsonl")) == numbered(ROWS));
    let tally = served.tally().await;
    assert_eq!((tally.creates, tally.uploads, tally.rows_paid), (1, 1, ROWS as u64));
}

#[tokio::test]
async fn requests_come_on_standard_input() {
    let served = BATCHSTEP.serve(&["--takes", "500ms"]).await;
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args(["run", "-", "--provider", "sandbox", "--base-url", &served.base_url, "--poll-interval", "200ms"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // In two pieces, the border within a line, as a slow pipe would.
    let text = requests(300, "Who?");
    let (head, tail) = text.split_at(text.len() / 2 + 7);
    pipe.write_all(head.as_bytes()).await.unwrap();
    pipe.flush().await.unwrap();
    assert_eq!(calls(&served.tally().await, "upload"), 0, "nothing is sent before all is here");
    pipe.write_all(tail.as_bytes()).await.unwrap();
    drop(pipe);
    end_of(child).await.expect(0);
    assert!(ids(&workspace.read("batch-results/results.jsonl")) == numbered(300));
}

/// The first upload is refused for a while, which leaves time to edit the file.
#[tokio::test]
async fn a_file_that_changes_after_the_check_makes_no_batch() {
    let served = BATCHSTEP.serve(&["--fault", "upload 503 retry-after=3s times=1"]).await;
    let workspace = Workspace::new(BATCHSTEP);
    let child = workspace.run(&served.base_url).spawn().unwrap();
    served.until("the first upload", |tally| calls(tally, "upload") > 0).await;
    let edited = workspace.read("requests.jsonl").replace("Who?", "Why?");
    std::fs::write(workspace.path().join("requests.jsonl"), edited).unwrap();
    let finished = end_of(child).await.expect(3);
    assert!(finished.stderr.contains("changed after it was checked"), "{}", finished.stderr);
    let tally = served.tally().await;
    assert_eq!((tally.creates, calls(&tally, "create")), (0, 0), "{tally:?}");
}

#[tokio::test]
async fn a_files_content_goes_into_a_pipe_as_it_is() {
    let served = BATCHSTEP.serve(&[]).await;
    let workspace = Workspace::with(BATCHSTEP, &requests(2_000, "Wäs \\u0000 ∞?"));
    let at = ["--provider", "sandbox", "--base-url", &served.base_url];
    let uploaded = finish(BATCHSTEP.in_dir(workspace.path()).args(["file", "upload", "requests.jsonl"]).args(at)).await;
    let file: serde_json::Value = serde_json::from_str(&uploaded.expect(0).stdout).unwrap();
    let mut content = BATCHSTEP.in_dir(workspace.path());
    content.args(["file", "content", file["id"].as_str().unwrap(), "--output", "-"]).args(at);
    assert!(finish(&mut content).await.expect(0).stdout == workspace.read("requests.jsonl"));
}
