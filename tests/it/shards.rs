//! Requests that need several batches, and requests that are sent once more.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A lab whose requests go to so many models in turn.
pub(crate) async fn mixed(takes: Duration, faults: &str, models: usize) -> Lab {
    let lab = Lab::new(takes, faults).await;
    let line = |index: usize| {
        let body = format!(r#"{{"model":"m{}","messages":[{{"role":"user","content":"Hi"}}]}}"#, index % models);
        format!(r#"{{"custom_id":"request-{index}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
            + "\n"
    };
    std::fs::write(lab.dir.path().join("requests.jsonl"), (0..20).map(line).collect::<String>()).unwrap();
    lab
}

fn statuses(lab: &Lab) -> Vec<String> {
    lab.tally().batches.into_iter().map(|batch| batch.status).collect()
}

/// The most batches that the log shows under way at once.
fn most_at_once(ran: &Ran) -> i32 {
    let (mut now, mut most) = (0, 0);
    for (_, line) in &ran.log {
        now += i32::from(line.starts_with("Created batch")) - i32::from(line.contains(" ended "));
        most = most.max(now);
    }
    most
}

#[tokio::test(start_paused = true)]
async fn each_model_gets_a_batch_and_the_results_are_one_file_in_order() {
    let lab = mixed(HOUR, "", 3).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!(statuses(&lab), ["completed"; 3]);
    assert_eq!(lab.tally().rows_paid, 20);
    let shards: Vec<_> = ran.report["shards"].as_array().unwrap().iter().map(|s| s["requests"].as_u64()).collect();
    assert_eq!(shards, [Some(7), Some(7), Some(6)]);
    assert!(ran.took < HOUR + 5 * MINUTE, "side by side: {:?}", ran.took);
    // The same requests make the same batches.
    let again = lab.run(&["--reuse", "finished"]).await;
    assert_eq!((again.exit, lab.tally().creates, again.results == ran.results), (0, 3, true), "{}", again.text());
}

#[tokio::test(start_paused = true)]
async fn one_batch_that_fails_does_not_lose_the_others() {
    let lab = mixed(HOUR, "batch fail=empty_file times=1", 3).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (7, "failed"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!((ran.count("missing") + ran.count("succeeded"), lab.tally().creates), (20, 3));
    assert!((6..=7).contains(&ran.count("missing")), "{}", ran.text());
    // Nor does one that cannot even be created.
    let lab = mixed(HOUR, "create 400 times=1", 3).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 2), "{}", ran.text());
    ran.assert_complete(20);
    assert!(ran.report["reason"].as_str().unwrap().starts_with("1 of 3 batches"), "{}", ran.text());
    // The next run makes what is lacking, and nothing else.
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates, lab.tally().rows_paid), (0, 3, 20), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn batches_go_in_waves() {
    for (most, hours) in [("1", 5), ("2", 3), ("8", 1)] {
        let lab = mixed(HOUR, "", 5).await;
        let ran = lab.run(&["--max-in-flight", most]).await;
        assert_eq!(ran.exit, 0, "{}", ran.text());
        assert_eq!(most_at_once(&ran), most.parse::<i32>().unwrap().min(5), "{}", ran.text());
        assert!(ran.took > hours * HOUR && ran.took < hours * (HOUR + 5 * MINUTE), "{most}: {:?}", ran.took);
    }
    assert_eq!(mixed(HOUR, "", 5).await.run(&["--max-in-flight", "0"]).await.exit, 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_room_waits_for_the_others_and_is_no_failure() {
    let lab = mixed(HOUR, "batch fail=token_limit_exceeded after=1 times=3", 2).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert!(ran.text().contains("has to wait: too many tokens"), "{}", ran.text());
    assert_eq!((lab.tally().creates, lab.tally().uploads, lab.tally().rows_paid), (5, 2, 20), "{}", ran.text());
    // What never fits is given up after some hours.
    let lab = mixed(HOUR, "batch fail=token_limit_exceeded", 1).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (5, "failed"), "{}", ran.text());
    assert!(ran.took < 24 * HOUR && lab.tally().creates < 20, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_and_signals_end_all_and_begin_none() {
    let lab = mixed(10 * HOUR, "", 5).await;
    let ran = lab.run(&["--max-in-flight", "2", "--timeout", "2h"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (6, "timed-out", 2), "{}", ran.text());
    assert!(!lab.is_anything_running());
    ran.assert_complete(20);
    let lab = mixed(10 * HOUR, "", 5).await;
    let ran = lab.run_signalled(&["--max-in-flight", "3"], &[(HOUR, 15)]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (143, "cancelled", 3), "{}", ran.text());
    assert!(!lab.is_anything_running() && ran.took < HOUR + 6 * SECOND, "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_of_several_batches_is_resumed() {
    for (after, faults) in
        [(SECOND, ""), (30 * MINUTE, ""), (90 * MINUTE, ""), (90 * MINUTE, "batch no-metadata\nlist 403")]
    {
        let lab = mixed(HOUR, faults, 5).await;
        let killed = tokio::time::timeout(after, lab.run(&["--max-in-flight", "2"])).await;
        assert!(killed.is_err());
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates, lab.tally().rows_paid), (0, 5, 20), "{after:?}: {}", ran.text());
        ran.assert_complete(20);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_whose_failure_may_pass_are_sent_once_more() {
    for fault in [
        "rows status=500 share=40% times=1",
        "rows status=429 times=1",
        "rows missing share=40% times=1",
        "batch expire=30m times=1",
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run(&["--retries", "1"]).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{fault}: {}", ran.text());
        ran.assert_complete(20);
        assert_eq!((ran.count("unexpected"), lab.tally().creates), (0, 2), "{fault}: {}", ran.text());
        let attempts: Vec<&Value> = ran.report["batches"].as_array().unwrap().iter().map(|b| &b["attempt"]).collect();
        assert_eq!(attempts, [1, 2], "{fault}");
        assert_ne!(lab.tally().batches[0].key, lab.tally().batches[1].key);
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_failure_of_a_request_is_not_retried() {
    for (fault, retries, creates) in [
        ("rows status=400 share=40%", "3", 1),
        ("rows status=500 share=40%", "0", 1),
        ("rows status=500", "3", 4),
        ("batch cancel=30m", "1", 1),
        ("batch fail=empty_file", "1", 1),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run(&["--retries", retries]).await;
        assert_ne!(ran.exit, 0, "{fault}: {}", ran.text());
        assert_eq!(lab.tally().creates, creates, "{fault}: {}", ran.text());
        ran.assert_complete(20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_broken_off_leaves_the_first_answers() {
    let lab = Lab::new(HOUR, "rows status=500 share=40% times=1").await;
    let ran = lab.run(&["--retries", "1", "--timeout", "90m", "--max-failed", "50%"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "partial"), "{}", ran.text());
    ran.assert_complete(20);
    assert!(!lab.is_anything_running() && ran.text().contains("did not end well: time was up"), "{}", ran.text());
    let lab = Lab::new(HOUR, "rows status=500 share=40% times=1").await;
    let killed = tokio::time::timeout(90 * MINUTE, lab.run(&["--retries", "1"])).await;
    assert!(killed.is_err());
    let ran = lab.run(&["--retries", "1"]).await;
    assert_eq!((ran.exit, lab.tally().creates, lab.tally().rows_paid), (0, 2, 20), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_of_the_job_has_its_retries_afresh() {
    let mut lab = Lab::new(HOUR, "rows status=500 share=40% times=2").await;
    let job = |attempt: &str| {
        let pairs = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_RUN_ATTEMPT", attempt),
            ("GITHUB_JOB", "j"),
            ("GITHUB_ACTION", "a"),
        ];
        pairs.into_iter().collect()
    };
    lab.env = job("1");
    let first = lab.run(&["--retries", "1"]).await;
    assert_eq!((first.exit, lab.tally().creates), (7, 2), "{}", first.text());
    std::fs::remove_dir_all(lab.out()).unwrap();
    lab.env = job("2");
    let second = lab.run(&["--retries", "1"]).await;
    assert_eq!((second.exit, lab.tally().creates, lab.tally().rows_paid), (0, 3, 20), "{}", second.text());
    second.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn several_batches_are_collected_by_their_ids_with_the_requests_and_without() {
    let lab = mixed(HOUR, "", 3).await;
    let submitted = lab.submit(&[]).await;
    assert_eq!((submitted.exit, lab.tally().creates), (0, 3), "{}", submitted.text());
    tokio::time::sleep(2 * HOUR).await;
    // In the order of the shards: their batches are created side by side, in any order.
    let shards = submitted.report["shards"].as_array().unwrap();
    let ids: Vec<&str> = shards.iter().map(|shard| shard["batch_id"].as_str().unwrap()).collect();
    let (with, without) = (lab.neighbour(), lab.neighbour());
    std::fs::remove_file(without.dir.path().join("requests.jsonl")).unwrap();
    let at_hand = with.collect(&ids).await;
    assert_eq!((at_hand.exit, at_hand.outcome()), (0, "succeeded"), "{}", at_hand.text());
    at_hand.assert_complete(20);
    // Without them the order is that of the shards, each in its own.
    let given_back = without.collect(&ids).await;
    assert_eq!((given_back.exit, given_back.count("succeeded")), (0, 20), "{}", given_back.text());
    let order: Vec<&str> = given_back.results.iter().map(|line| line["custom_id"].as_str().unwrap()).collect();
    let expected: Vec<String> =
        (0..3).flat_map(|model| (model..20).step_by(3)).map(|index| format!("request-{index}")).collect();
    assert_eq!(order, expected);
    assert_eq!(lab.tally().rows_paid, 20);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_refused_while_our_own_batches_run_waits_for_them() {
    let lab = mixed(30 * MINUTE, "create full=1", 3).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!((lab.tally().creates, statuses(&lab)), (3, vec!["completed".to_owned(); 3]));
    assert!(ran.text().contains("The create has to wait: HTTP 429"), "{}", ran.text());
    assert!(ran.took > 90 * MINUTE && ran.took < 95 * MINUTE, "one after the other: {:?}", ran.took);
    // The batch of somebody else is no reason to wait longer than ten minutes.
    let lab = mixed(2 * HOUR, "create full=1", 1).await;
    assert_eq!(lab.submit(&["--reuse", "never"]).await.exit, 0);
    let ran = lab.run(&["--reuse", "never"]).await;
    assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{}", ran.text());
    assert!(ran.took < 11 * MINUTE, "{:?}", ran.took);
}
