//! Ending what another run left behind, and leaving behind what was to be left.

use std::time::Duration;

use batchstep::env::Env;
use batchstep_sandbox::Dialect;
use serde_json::Value;

use crate::lab::Lab;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The mark of the create that the last run intended, from its journal.
pub(crate) fn create_of(lab: &Lab) -> String {
    let journal = std::fs::read_to_string(lab.out().join("journal.jsonl")).unwrap();
    let mut records = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
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
async fn a_create_that_cannot_be_looked_for_keeps_no_named_batch_alive() {
    for (dialect, faults) in [(Dialect::Openai, "list 403"), (Dialect::Anthropic, "")] {
        let lab = Lab::speaking(dialect, HOUR, faults, 20).await;
        assert_eq!(lab.submit(&["--reuse", "never"]).await.exit, 0);
        let id = lab.tally().batches[0].id.clone();
        let ended = lab.command(&["cancel", &id, "--create", "abcdef012345", "--timeout", "5m"], &[]).await;
        assert_ne!(ended.exit, 0, "{dialect}: {}", ended.text());
        assert!(!lab.is_anything_running(), "{dialect}: {}", ended.text());
    }
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
async fn a_cancel_that_is_refused_is_reported() {
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

/// Three batches of this repository, one of another, one of nobody's.
async fn five_batches(lab: &mut Lab) {
    for (number, repository) in ["octo/repo", "octo/other", "", "octo/repo", "octo/repo"].into_iter().enumerate() {
        let run = format!("{number}");
        let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_RUN_ID", run.as_str()), ("GITHUB_REPOSITORY", repository)];
        lab.env = if repository.is_empty() { Env::default() } else { github.into_iter().collect() };
        assert_eq!(lab.neighbour().submit(&["--reuse", "never"]).await.exit, 0);
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_this_repository_has_running_is_named_and_then_cancelled() {
    let mut lab = Lab::new(HOUR, "").await;
    five_batches(&mut lab).await;
    let ids: Vec<String> = lab.tally().batches.iter().map(|batch| batch.id.clone()).collect();
    lab.env = [("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "octo/repo")].into_iter().collect();
    assert_eq!(lab.command(&["batch", "cancel", &ids[0]], &[]).await.exit, 0);
    tokio::time::sleep(HOUR / 2).await;
    let named = lab.command(&["cancel", "--pending"], &[]).await;
    assert_eq!((named.exit, lab.calls("cancel")), (2, 1), "{}", named.text());
    let is_named = |id: &String| named.text().contains(id.as_str());
    assert_eq!(ids.iter().map(is_named).collect::<Vec<_>>(), [false, false, false, true, true], "{}", named.text());
    assert!(named.text().contains("Add `--yes` to cancel them"), "{}", named.text());
    let done = lab.command(&["cancel", "--pending", "--yes"], &[]).await;
    assert_eq!((done.exit, lab.calls("cancel")), (0, 3), "{}", done.text());
    let statuses: Vec<String> = lab.tally().batches.iter().map(|batch| batch.status.clone()).collect();
    assert_eq!(statuses, ["cancelled", "in_progress", "in_progress", "cancelled", "cancelled"]);
    let again = lab.command(&["cancel", "--pending", "--yes"], &[]).await;
    assert!(again.exit == 0 && again.text().contains("No batch of the repository octo/repo is running."));
    lab.env = Env::default();
    let nobodys = lab.command(&["cancel", "--pending", "--yes"], &[]).await;
    assert_eq!((nobodys.exit, &*lab.tally().batches[2].status), (0, "cancelled"), "{}", nobodys.text());
    assert_eq!(lab.tally().batches[1].status, "in_progress");
}

#[tokio::test(start_paused = true)]
async fn all_are_asked_to_end_before_the_first_is_waited_for() {
    let lab = Lab::new(HOUR, "").await;
    for _ in 0..2 {
        assert_eq!(lab.submit(&["--reuse", "never"]).await.exit, 0);
    }
    let ids: Vec<String> = lab.tally().batches.iter().map(|batch| batch.id.clone()).collect();
    // One that is not there costs the others nothing, and is reported.
    let ended = lab.command(&["cancel", "batch_4711", &ids[0], &ids[1]], &[]).await;
    assert!(ended.exit == 4 && ended.text().contains("batch_4711"), "{}", ended.text());
    assert!(!lab.is_anything_running());
    let place = |line: &str| ended.log.iter().position(|(_, text)| text.contains(line)).unwrap();
    assert!(place(&format!("Cancelling batch {}", ids[1])) < place(&format!("{} ended", ids[0])), "{}", ended.text());
}

#[tokio::test(start_paused = true)]
async fn the_batches_that_batchstep_made_are_listed() {
    let mut lab = Lab::new(HOUR, "").await;
    let empty = lab.command(&["batch", "list", "--ours"], &[]).await;
    assert_eq!((empty.exit, empty.log.len()), (0, 1), "{}", empty.text());
    five_batches(&mut lab).await;
    let uploaded = lab.dir.path().join("requests.jsonl").display().to_string();
    let file = lab.command(&["file", "upload", &uploaded], &[]).await;
    let file: Value = serde_json::from_str(&file.text()).unwrap();
    let words = ["batch", "create", file["id"].as_str().unwrap(), "--endpoint", "/v1/chat/completions"];
    assert_eq!(lab.command(&words, &[]).await.exit, 0);
    tokio::time::sleep(2 * HOUR).await;
    let table = lab.command(&["batch", "list", "--ours"], &[]).await;
    let lines: Vec<String> = table.text().lines().map(str::to_owned).collect();
    // What they cost is for people, below the rows.
    assert_eq!((table.exit, lines.len()), (0, 6 + 4), "{}", table.text());
    for (line, of) in lines[6..].iter().zip(["octo/repo: 3 batches", "", "", "By the provider's own counts"]) {
        let cost = " would have cost (SIMULATED) at least $0.00";
        assert!(line.starts_with(of) && (of.starts_with("By") || line.contains(cost)), "{line}");
    }
    let newest = &lab.tally().batches[4].id;
    for cell in [newest, "completed", "20/20", "2h", "octo/repo", "github/4/1"] {
        assert!(lines[1].contains(cell), "{cell}: {}", lines[1]);
    }
    let json = lab.command(&["batch", "list", "--ours", "--json"], &[]).await;
    let json: Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!((json.as_array().unwrap().len(), json[0]["id"].as_str()), (5, Some(newest.as_str())));
    let repositories: Vec<_> = json.as_array().unwrap().iter().map(|batch| batch["repository"].as_str()).collect();
    assert_eq!(repositories, [Some("octo/repo"), Some("octo/repo"), None, Some("octo/other"), Some("octo/repo")]);
    assert!(json.as_array().unwrap().iter().all(|batch| batch["least_cost_usd"].is_null()), "{json}");
    assert_eq!((&json[0]["request_counts"]["completed"], &json[0]["status"]), (&20.into(), &"completed".into()));
}
