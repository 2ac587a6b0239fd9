//! Ending what another run left behind, and leaving behind what was to be left.

use std::time::Duration;

use crate::lab::Lab;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The mark of the create that the last run intended, from its journal.
fn create_of(lab: &Lab) -> String {
    let journal = std::fs::read_to_string(lab.out().join("journal.jsonl")).unwrap();
    let mut records = journal.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let create = records.rfind(|record| record["step"] == "create").unwrap();
    create["create"].as_str().unwrap().to_owned()
}

/// A run that is killed outright: nothing of it gets to act any more.
async fn kill_after(lab: &Lab, after: Duration) {
    assert!(tokio::time::timeout(after, lab.run(&[])).await.is_err(), "the run was over before it could be killed");
}

#[tokio::test(start_paused = true)]
async fn a_killed_runs_batch_is_found_by_its_create_and_cancelled() {
    for fault in [
        "",
        "create stall",
        "create drop",
        "list lag=20s",
        "list 503 after=1 times=2",
        "cancel 503 times=2",
        "get 503 times=3",
    ] {
        let lab = Lab::new(HOUR, fault).await;
        kill_after(&lab, SECOND).await;
        assert!(lab.is_anything_running(), "{fault}");
        let ended = lab.command(&["cancel", "--create", &create_of(&lab), "--timeout", "60s"], &[]).await;
        assert_eq!(ended.exit, 0, "{fault}: {}", ended.text());
        assert!(ended.took <= 60 * SECOND, "{fault}: {:?}", ended.took);
        assert!(!lab.is_anything_running(), "{fault}: {}", ended.text());
        assert!(ended.text().contains(&lab.tally().batches[0].id), "{fault}: {}", ended.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_never_arrived_is_looked_for_and_no_more() {
    let lab = Lab::new(HOUR, "create 500").await;
    kill_after(&lab, SECOND).await;
    let ended = lab.command(&["cancel", "--create", &create_of(&lab)], &[]).await;
    assert_eq!(ended.exit, 0, "{}", ended.text());
    assert!(ended.text().contains("nothing to cancel"), "{}", ended.text());
    assert!(ended.took <= 61 * SECOND, "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn batches_are_cancelled_by_their_ids_and_waited_for() {
    let lab = Lab::new(HOUR, "").await;
    kill_after(&lab, SECOND).await;
    let id = lab.tally().batches[0].id.clone();
    let ended = lab.command(&["cancel", &id], &[]).await;
    assert_eq!((ended.exit, lab.tally().batches[0].status.as_str()), (0, "cancelled"), "{}", ended.text());
    // Once more does no harm, nor does a batch that is over.
    assert_eq!(lab.command(&["cancel", &id], &[]).await.exit, 0);
    let over = Lab::new(SECOND, "").await;
    assert_eq!(over.run(&[]).await.exit, 0);
    let ended = over.command(&["cancel", &over.tally().batches[0].id], &[]).await;
    assert!(ended.exit == 0 && ended.text().contains("is completed"), "{}", ended.text());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_is_refused_is_told() {
    let lab = Lab::new(HOUR, "").await;
    let ended = lab.command(&["cancel", "batch_nope"], &[]).await;
    assert_eq!(ended.exit, 4, "{}", ended.text());
    let lab = Lab::new(HOUR, "cancel 503").await;
    kill_after(&lab, SECOND).await;
    let ended = lab.command(&["cancel", "--create", &create_of(&lab), "--timeout", "60s"], &[]).await;
    assert_eq!(ended.exit, 4, "{}", ended.text());
    assert_eq!(lab.command(&["cancel"], &[]).await.exit, 2);
}

#[tokio::test(start_paused = true)]
async fn a_detached_batch_goes_on_and_the_run_says_so() {
    let lab = Lab::new(HOUR, "").await;
    let ran = lab.run_signalled(&["--on-abort", "detach"], &[(60 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome()), (143, "detached"), "{}", ran.text());
    assert!(ran.took < 61 * SECOND);
    assert!(lab.is_anything_running() && lab.calls("cancel") == 0);
    let id = lab.tally().batches[0].id.clone();
    assert!(ran.text().contains(&format!("batchstep collect {id}")), "{}", ran.text());
    // What is to be detached must exist: before that, a signal is a plain end.
    let lab = Lab::new(HOUR, "upload stall").await;
    let ran = lab.run_signalled(&["--on-abort", "detach"], &[(SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{}", ran.text());
}
