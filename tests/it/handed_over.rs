//! What a run hands over on purpose is nothing for `post` to end.

use std::collections::BTreeMap;
use std::time::Duration;

use batchstep::env::Env;

use crate::duplicates::state;
use crate::lab::{Lab, Ran};
use crate::shards::mixed;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DETACH: [&str; 4] = ["--timeout", "1h", "--on-timeout", "detach"];

/// Makes a lab's runs steps on GitHub, whose state and outputs are kept.
fn on_github(lab: &mut Lab) {
    let file = |name: &str| lab.dir.path().join(name).display().to_string();
    let variables =
        [("GITHUB_ACTIONS", "true".to_owned()), ("GITHUB_STATE", file("state")), ("GITHUB_OUTPUT", file("output"))];
    lab.env = variables.into_iter().collect::<Env>();
}

async fn lab(takes: Duration, faults: &str, models: usize) -> Lab {
    let mut lab = mixed(takes, faults, models).await;
    on_github(&mut lab);
    lab
}

fn left(lab: &Lab) -> BTreeMap<String, String> {
    state(&lab.dir.path().join("state"))
}

fn output(lab: &Lab, name: &str) -> String {
    state(&lab.dir.path().join("output"))[name].clone()
}

/// The batches go on, and `post` has nothing to do.
#[track_caller]
fn assert_handed_over(lab: &Lab, ran: &Ran, batches: usize) {
    let tally = lab.tally();
    let running = tally.batches.iter().filter(|batch| ["validating", "in_progress"].contains(&batch.status.as_str()));
    assert_eq!((running.count(), lab.calls("cancel")), (batches, 0), "{}", ran.text());
    let left = left(lab);
    assert_eq!(["armed", "batch", "create"].map(|name| left[name].as_str()), ["false", "", ""], "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_hands_over_one_batch_and_several() {
    for models in [1, 3] {
        let lab = lab(10 * HOUR, "", models).await;
        let ran = lab.run(&DETACH).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "detached"), "{}", ran.text());
        assert_handed_over(&lab, &ran, models);
        let reason = ran.report["reason"].as_str().unwrap();
        assert!(lab.tally().batches.iter().all(|batch| reason.contains(&batch.id)), "{reason}");
        assert_eq!((output(&lab, "detached").as_str(), output(&lab, "not-created").as_str()), ("true", "0"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_created_only_some_says_so_and_the_next_creates_the_rest() {
    let lab = lab(2 * HOUR, "", 3).await;
    let ran = lab.run(&[&DETACH[..], &["--max-in-flight", "1"]].concat()).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "detached", 1), "{}", ran.text());
    assert_handed_over(&lab, &ran, 1);
    let reason = ran.report["reason"].as_str().unwrap();
    assert!(reason.contains("1 of 3 batches keeps running, as `on-timeout` asks"), "{reason}");
    assert!(reason.contains("2 of 3 were not created yet"), "{reason}");
    assert_eq!((output(&lab, "not-created").as_str(), output(&lab, "detached").as_str()), ("2", "true"));
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 3), "{}", ran.text());
    assert_eq!(lab.tally().rows_paid, 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_handed_over_is_still_for_post_to_end() {
    // The reply to the second create is lost, and nobody may look for its batch.
    let lab = lab(10 * HOUR, "create drop after=1\nlist 403", 2).await;
    let ran = lab.run(&DETACH).await;
    assert_eq!((ran.exit, ran.outcome()), (4, "unknown"), "{}", ran.text());
    let (left, tally) = (left(&lab), lab.tally());
    let lost = tally.batches.iter().find(|batch| !ran.text().contains(&format!("Created batch {}", batch.id))).unwrap();
    assert_eq!((left["armed"].as_str(), left["batch"].as_str()), ("true", ""), "{}", ran.text());
    assert_eq!(Some(left["create"].as_str()), lost.create.as_deref());
}

#[tokio::test(start_paused = true)]
async fn submit_hands_over_whatever_on_abort_says() {
    for models in [1, 3] {
        let lab = lab(10 * HOUR, "", models).await;
        let ran = lab.submit(&["--on-abort", "cancel"]).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "pending"), "{}", ran.text());
        assert_handed_over(&lab, &ran, models);
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_runs_out_of_time_names_what_goes_on() {
    let lab = lab(10 * HOUR, "upload 503 after=1", 3).await;
    let ran = lab.submit(&["--on-abort", "cancel", "--max-in-flight", "1", "--timeout", "5m"]).await;
    assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{}", ran.text());
    assert_handed_over(&lab, &ran, 1);
    let reason = ran.report["reason"].as_str().unwrap();
    assert!(
        reason.contains("1 of 3 batches keeps running: ") && reason.contains("2 of 3 were not created yet"),
        "{reason}"
    );
    // What kept it from the others is said, too.
    assert!(reason.contains("Uploading the requests kept failing: HTTP 503"), "{reason}");
    assert_eq!(output(&lab, "not-created"), "2");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_does_not_hide_what_kept_failing() {
    let upload =
        "Time was up before a batch existed; nothing was created. Uploading the requests kept failing: HTTP 503";
    for (faults, inputs, said) in [
        ("get 503", &DETACH[..], " kept failing: HTTP 503"),
        ("get 503 after=3", &["--timeout", "1h"], " kept failing: HTTP 503"),
        ("cancel 503", &["--timeout", "1h"], "Cancelling batch "),
        ("upload 503", &["--timeout", "5m"], upload),
        ("create 429", &["--timeout", "5m"], "Creating the batch kept failing: HTTP 429"),
    ] {
        let lab = lab(10 * HOUR, faults, 1).await;
        let ran = lab.run(inputs).await;
        let reason = ran.report["reason"].as_str().unwrap();
        assert!(reason.starts_with("Time was up") && reason.contains(said), "{faults}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_what_was_submitted_before_it_as_well() {
    for (on_abort, running) in [("cancel", 0), ("detach", 2)] {
        let lab = lab(10 * HOUR, "create stall after=1", 3).await;
        let inputs = ["--on-abort", on_abort, "--max-in-flight", "1"];
        let ran = lab.submit_signalled(&inputs, &[(30 * SECOND, 15)]).await;
        assert_eq!(ran.exit, 143, "{}", ran.text());
        assert!(ran.took <= 36 * SECOND, "{:?}", ran.took);
        let over = |status: &str| ["cancelling", "cancelled"].contains(&status);
        let still = lab.tally().batches.iter().filter(|batch| !over(&batch.status)).count();
        assert_eq!((still, left(&lab)["armed"].as_str()), (running, "false"), "{}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_collection_arms_post_only_where_it_would_cancel_itself() {
    for (on_abort, armed) in [("cancel", "true"), ("detach", "false")] {
        let mut lab = Lab::new(10 * HOUR, "").await;
        let submitted = lab.submit(&[]).await;
        let id = submitted.report["batches"][0]["id"].as_str().unwrap().to_owned();
        on_github(&mut lab);
        // Killed outright, it leaves to `post` what a signal would have made it do.
        let inputs = [id.as_str(), "--on-abort", on_abort];
        assert!(tokio::time::timeout(MINUTE, lab.collect(&inputs)).await.is_err());
        let state = left(&lab);
        let is_armed = state.get("armed").map_or("false", String::as_str);
        assert_eq!(is_armed, armed, "{state:?}");
        assert_eq!(state.get("batch").map_or("", String::as_str), if armed == "true" { id.as_str() } else { "" });
        // What it leaves because nobody asked for more is settled; what it cancelled is, too.
        let ran = lab.collect(&[&inputs[..], &["--timeout", "1h"]].concat()).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "pending"), "{}", ran.text());
        assert_handed_over(&lab, &ran, 1);
        lab.collect_signalled(&inputs, &[(MINUTE, 15)]).await;
        assert_eq!((left(&lab)["armed"].as_str(), lab.is_anything_running()), ("false", on_abort == "detach"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_could_not_cancel_leaves_that_to_post() {
    let mut lab = Lab::new(10 * HOUR, "cancel stall").await;
    let submitted = lab.submit(&[]).await;
    let id = submitted.report["batches"][0]["id"].as_str().unwrap().to_owned();
    on_github(&mut lab);
    let ran = lab.collect_signalled(&[&id, "--on-abort", "cancel"], &[(MINUTE, 15)]).await;
    let state = left(&lab);
    assert_eq!(
        (ran.exit, state["armed"].as_str(), state["batch"].as_str()),
        (143, "true", id.as_str()),
        "{}",
        ran.text()
    );
}
