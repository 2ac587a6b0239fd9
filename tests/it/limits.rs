//! Limits that only the provider knows: what it refuses as too large goes in halves.

use std::time::Duration;

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How many requests each batch that was not refused has, as the report lists the shards.
fn sizes(ran: &Ran) -> Vec<u64> {
    let shards = ran.report["shards"].as_array().unwrap().iter();
    shards.map(|shard| shard["requests"].as_u64().unwrap()).collect()
}

fn completed(lab: &Lab) -> usize {
    lab.completed().len()
}

#[tokio::test(start_paused = true)]
async fn the_users_limits_make_smaller_batches() {
    for limits in [["--max-requests", "8"], ["--max-bytes", "1500"]] {
        let lab = Lab::new(HOUR, "").await;
        let ran = lab.run(&limits).await;
        assert_eq!((ran.exit, sizes(&ran).len(), lab.tally().creates), (0, 3, 3), "{}", ran.text());
        ran.assert_complete(20);
    }
    assert_eq!(Lab::new(HOUR, "").await.run(&["--max-requests", "0"]).await.exit, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_as_too_large_goes_in_halves() {
    for (fault, uploads, creates) in [
        // Six requests and their form are about 1,500 bytes; five go.
        ("upload too-large=1500", 4, 4),
        ("create too-many=5", 7, 4),
        ("batch too-many=5", 7, 7),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{fault}: {}", ran.text());
        ran.assert_complete(20);
        assert_eq!((sizes(&ran), completed(&lab)), (vec![5; 4], 4), "{fault}: {}", ran.text());
        assert_eq!(
            (lab.tally().uploads, lab.tally().creates, lab.tally().rows_paid),
            (uploads, creates, 20),
            "{fault}"
        );
        assert!(ran.text().contains("20 requests are split into 10 and 10"), "{fault}: {}", ran.text());
        assert_eq!(ran.report["batches"].as_array().unwrap().len(), 4, "{fault}");
        // A later run meets the same refusal and finds the same batches, also without the journal.
        lab.forget();
        let again = lab.run(&["--reuse", "finished"]).await;
        assert_eq!((again.exit, lab.tally().rows_paid), (0, 20), "{fault}: {}", again.text());
        assert!(again.results == ran.results, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_accepted_batch_keeps_its_lines_while_another_is_halved() {
    let lab = Lab::new(HOUR, "create too-many=6").await;
    let ran = lab.run(&["--max-requests", "12"]).await;
    assert_eq!((ran.exit, sizes(&ran)), (0, vec![6, 6, 4, 4]), "{}", ran.text());
    ran.assert_complete(20);
    let lab = Lab::new(HOUR, "create too-many=10").await;
    let ran = lab.run(&["--max-requests", "12"]).await;
    assert_eq!((ran.exit, sizes(&ran)), (0, vec![6, 6, 8]), "{}", ran.text());
    // The halves begin at once, not when the other batch is over.
    assert!(ran.took < HOUR + 10 * MINUTE, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_single_request_that_is_refused_ends_as_before_and_the_others_are_kept() {
    let lab = Lab::with_requests(HOUR, "upload too-large=2000", 3).await;
    let path = lab.dir.path().join("requests.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap();
    let long = lines.lines().nth(1).unwrap().replace("Say it", &"Say it. ".repeat(300));
    std::fs::write(&path, lines.replace(lines.lines().nth(1).unwrap(), &long)).unwrap();
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), ran.count("succeeded")), (4, "refused", 2), "{}", ran.text());
    assert!(ran.report["reason"].as_str().unwrap().starts_with("1 of 3 batches"), "{}", ran.text());
    ran.assert_complete(3);
    let lab = Lab::with_requests(HOUR, "upload 413", 1).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("upload")), (4, "refused", 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn what_is_about_something_else_is_not_split() {
    for fault in ["create 400", "create 429 code=insufficient_quota", "upload 400 code=invalid_file"] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{fault}: {}", ran.text());
        assert!(lab.calls("upload") <= 1 && lab.calls("create") <= 1, "{fault}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn halves_are_resumed_even_where_the_whole_would_be_accepted_now() {
    for (after, fault) in [
        (2 * MINUTE, "create too-many=10"),
        (30 * MINUTE, "upload too-large=3000 times=1"),
        (30 * MINUTE, "batch too-many=10 times=1"),
        (30 * MINUTE, "upload too-large=3000 times=1\nlist 403"),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let killed = tokio::time::timeout(after, lab.run(&[])).await;
        assert!(killed.is_err());
        let before = lab.tally().creates;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates, lab.tally().rows_paid), (0, before, 20), "{fault}: {}", ran.text());
        assert_eq!(sizes(&ran), [10, 10], "{fault}: {}", ran.text());
        ran.assert_complete(20);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_and_signals_end_halves_and_begin_none() {
    let lab = Lab::new(10 * HOUR, "create too-many=5").await;
    let ran = lab.run(&["--timeout", "2h", "--max-in-flight", "1"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (6, "timed-out", 1), "{}", ran.text());
    assert!(!lab.is_anything_running(), "{}", ran.text());
    ran.assert_complete(20);
    let lab = Lab::new(10 * HOUR, "create too-many=5").await;
    let ran = lab.run_signalled(&[], &[(HOUR, 15)]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (143, "cancelled", 4), "{}", ran.text());
    assert!(!lab.is_anything_running() && ran.took < HOUR + 6 * SECOND, "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn failed_rows_of_halves_are_sent_once_more_and_halved_if_need_be() {
    let lab = Lab::new(HOUR, "create too-many=5\nrows status=500 times=4").await;
    let ran = lab.run(&["--retries", "1"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!((sizes(&ran), lab.tally().creates, lab.tally().rows_paid), (vec![5; 4], 8, 20), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn halves_are_collected_elsewhere_with_the_requests_and_without() {
    for fault in ["upload too-large=1500", "create too-many=5\nbatch no-metadata"] {
        let lab = Lab::new(HOUR, fault).await;
        let submitted = lab.submit(&[]).await;
        assert_eq!((submitted.exit, lab.tally().creates), (0, 4), "{fault}: {}", submitted.text());
        let ids = submitted.report["batches"].as_array().unwrap().iter();
        let mut ids: Vec<&str> = ids.map(|batch| batch["id"].as_str().unwrap()).collect();
        if fault.starts_with("upload") {
            // Marks tell the order, however they are named.
            ids.reverse();
        }
        tokio::time::sleep(2 * HOUR).await;
        let (with, without) = (lab.neighbour(), lab.neighbour());
        std::fs::remove_file(without.dir.path().join("requests.jsonl")).unwrap();
        for other in [&with, &without, &lab] {
            let ran = if std::ptr::eq(other, &lab) { other.collect(&[]).await } else { other.collect(&ids).await };
            assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{fault}: {}", ran.text());
            ran.assert_complete(20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_no_part_of_what_is_collected() {
    let lab = Lab::new(HOUR, "batch too-many=10").await;
    let killed = tokio::time::timeout(30 * MINUTE, lab.run(&[])).await;
    assert!(killed.is_err());
    let ids: Vec<String> = lab.tally().batches.into_iter().map(|batch| batch.id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(ids.len(), 3);
    let ran = lab.neighbour().collect(&ids).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
}
