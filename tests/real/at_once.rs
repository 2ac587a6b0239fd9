//! Runs of one file that start at the same moment, each a process of its own.

use std::time::Duration;

use batchstep_test_support::bench::{Workspace, end_within};
use batchstep_test_support::rounds;
use futures_util::StreamExt as _;
use futures_util::future::join_all;

use crate::BATCHSTEP;

const RUNS: usize = 8;
/// A batch takes this long, so that even the last process to be started finds it under way.
const TAKES: &str = "8s";
/// What a round may take on a busy machine.
const ROUND: Duration = Duration::from_secs(180);

/// Eight runs at once: one batch survives, and all end with its results. Tells
/// how many batches there were and how many rows of the others were paid for.
async fn race(takes: &str, faults: &str) -> (usize, u64) {
    let served = BATCHSTEP.serve(&["--takes", takes, "--fault", faults]).await;
    let workspaces: Vec<Workspace> = (0..RUNS).map(|_| Workspace::new(BATCHSTEP)).collect();
    let children: Vec<_> =
        workspaces.iter().map(|workspace| workspace.run(&served.base_url).spawn().unwrap()).collect();
    let ended = join_all(children.into_iter().map(|child| end_within(ROUND, child))).await;
    let tally = served.tally().await;
    let survivors: Vec<_> = tally.batches.iter().filter(|batch| batch.status == "completed").collect();
    let said = || ended.iter().map(|ended| ended.stderr.as_str()).collect::<Vec<_>>().join("\n---\n");
    assert_eq!(survivors.len(), 1, "{tally:?}\n{}", said());
    for (workspace, ended) in workspaces.iter().zip(&ended) {
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(workspace.report()["batches"][0]["id"], survivors[0].id.as_str(), "{}", ended.stderr);
    }
    let results: Vec<String> = workspaces.iter().map(|it| it.read("batch-results/results.jsonl")).collect();
    assert!(results.iter().all(|other| *other == results[0] && other.lines().count() == 5), "the results differ");
    (tally.batches.len(), tally.rows_paid - survivors[0].rows_paid)
}

#[tokio::test]
async fn eight_at_once_share_one_batch() {
    // The files take a while to be processed: by then every run has looked, and seen nothing.
    let races = futures_util::stream::iter(0..rounds(5)).map(async |_| race(TAKES, "file slow=1s").await);
    let told: Vec<(usize, u64)> = races.buffer_unordered(5).collect().await;
    let (batches, rows) = told.iter().fold((0, 0), |(batches, rows), told| (batches + told.0, rows + told.1));
    let survived = told.len();
    println!(
        "at once: {survived} rounds of {RUNS} runs, {batches} batches, {survived} completed, {rows} rows paid twice"
    );
    // Real time is too slow for more; the tests on virtual time have lags of all kinds.
    if rounds(1) > 1 {
        let (batches, rows) = race("45s", "file slow=1s\nlist lag=10s").await;
        println!("at once, the list 10 s late: {RUNS} runs, {batches} batches, 1 completed, {rows} rows paid twice");
    }
}
