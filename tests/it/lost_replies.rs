//! Creates whose reply was lost: one batch exists at the end, or nobody was
//! told that there is none.

use std::time::Duration;

use batchstep::clock::Clock;

use crate::lab::{Lab, github};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_batch_whose_reply_was_lost_is_found_however_the_list_lags() {
    for lost in ["drop", "garbage", "stall"] {
        for lag in [0, 1, 4, 10, 29, 31, 55, 60] {
            let lab = Lab::new(HOUR, &format!("create {lost} times=1\nlist lag={lag}s")).await;
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{lost}, {lag} s: {}", ran.text());
            assert_eq!((lab.tally().creates, lab.calls("create")), (1, 1), "{lost}, {lag} s: {}", ran.text());
            assert!(ran.text().contains("although its reply was lost"), "{lost}, {lag} s: {}", ran.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_its_metadata_is_known_by_its_file() {
    let lab = Lab::new(HOUR, "create drop times=1\nbatch no-metadata").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn without_one_good_look_nothing_is_sent_again() {
    // The list is down for five minutes: the batch is found when it is back.
    let lab = Lab::new(HOUR, "create drop times=1\nlist 503 after=1 for=5m").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.calls("create")), (0, 1), "{}", ran.text());
    // It stays down: the run says that it does not know.
    let lab = Lab::new(HOUR, "create drop times=1\nlist 503 after=1").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("create")), (4, "unknown", 1), "{}", ran.text());
    assert!(ran.took >= 10 * MINUTE && ran.took < 12 * MINUTE, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn where_batches_cannot_be_listed_a_lost_create_stays_unknown() {
    for status in ["400", "403", "404", "405", "422", "501", "200 message=No route."] {
        let lab = Lab::new(HOUR, &format!("create drop\nlist {status}")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "unknown"), "{status}: {}", ran.text());
        assert_eq!((lab.calls("create"), lab.calls("list")), (1, 1), "{status}");
        assert!(ran.text().contains("The provider does not list batches"), "{}", ran.text());
        let file = ran.report["input_file_id"].as_str().unwrap();
        assert!(ran.text().contains(&format!("A batch of file {file} may exist")), "{}", ran.text());
        // A run without such an accident needs no list.
        let lab = Lab::new(HOUR, &format!("list {status}")).await;
        assert_eq!(lab.run(&[]).await.exit, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_or_a_signal_while_a_create_is_in_doubt_still_ends_in_a_cancel() {
    for lost in ["drop", "stall"] {
        let lab = Lab::new(10 * HOUR, &format!("create {lost} times=1\nlist lag=10s")).await;
        let ran = lab.run(&["--timeout", "3s"]).await;
        assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{lost}: {}", ran.text());
        assert!(!lab.is_anything_running(), "{lost}: {}", ran.text());

        let lab = Lab::new(10 * HOUR, &format!("create {lost} times=1")).await;
        let ran = lab.run_signalled(&[], &[(Duration::from_millis(1500), 15)]).await;
        assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{lost}: {}", ran.text());
        assert!(ran.took < Duration::from_secs(8), "{lost}: {:?}", ran.took);
        assert!(!lab.is_anything_running(), "{lost}: {}", ran.text());
    }
}

/// How far a list may lag, in seconds.
const LAGS: [u64; 8] = [0, 1, 4, 10, 29, 31, 55, 60];

/// Every way to lose a reply, and every lag of the list with one of them.
fn losses() -> impl Iterator<Item = (&'static str, u64)> {
    let lags = LAGS.into_iter().map(|lag| ("stall", lag));
    lags.chain([("drop", 0), ("drop", 31), ("garbage", 0), ("garbage", 31)])
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_at_any_step_pays_for_nothing_twice() {
    for step in ["upload", "get-file", "get", "list", "content"] {
        for (lost, lag) in losses() {
            let faults = format!("{step} {lost} times=2\ncreate {lost} times=1\nlist lag={lag}s");
            let lab = Lab::new(10 * MINUTE, &faults).await;
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{faults}: {}", ran.text());
            ran.assert_complete(20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_cancel_leaves_nothing_running() {
    for (lost, lag) in losses() {
        let faults = format!("cancel {lost} times=2\ncreate {lost} times=1\nlist lag={lag}s");
        let lab = Lab::new(HOUR, &faults).await;
        let ran = lab.run(&["--timeout", "5m"]).await;
        assert_eq!((ran.exit, lab.tally().creates), (6, 1), "{faults}: {}", ran.text());
        assert!(!lab.is_anything_running(), "{faults}: {}", ran.text());
    }
}

/// Kills a run whose create was acted on and never answered, so long after its start.
async fn kill_in_doubt(lab: &Lab, after: u64) {
    let killed = tokio::time::timeout(Duration::from_secs(after), lab.run(&[])).await;
    assert!(killed.is_err() && lab.tally().creates == 1, "killed after {after} s: {:?}", lab.tally());
}

#[tokio::test(start_paused = true)]
async fn the_next_run_finds_what_a_killed_one_left_in_doubt() {
    for (lost, lag) in losses() {
        for (after, metadata) in [(1, ""), (3, "batch no-metadata"), (20, "")] {
            let case = format!("create {lost} times=1\nlist lag={lag}s\n{metadata}");
            let lab = Lab::new(4 * MINUTE, &case).await;
            kill_in_doubt(&lab, after).await;
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{case}, {after} s: {}", ran.text());
            ran.assert_complete(20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_workspace_settles_on_what_a_killed_run_left_in_doubt() {
    for lag in LAGS {
        for (after, metadata) in [(1, ""), (3, "batch no-metadata"), (20, "")] {
            let case = format!("create stall times=1\nlist lag={lag}s\n{metadata}");
            // Its rows are worked on before the list shows it.
            let mut lab = Lab::new(4 * MINUTE, &case).await;
            lab.env = github(7, 1);
            kill_in_doubt(&lab, after).await;
            lab.forget();
            lab.env = github(7, 2);
            let ran = lab.run(&[]).await;
            // What the list does not show yet is seen later, and the newer batch is given up.
            assert_eq!((ran.exit, lab.completed().len()), (0, 1), "{case}, {after} s: {}", ran.text());
            assert!(!lab.is_anything_running());
            ran.assert_complete(20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_sent_late_is_looked_for_from_then_on() {
    // The first try is refused; the one two minutes later is acted on, and the run killed.
    let lab = Lab::new(HOUR, "create 429 retry-after=120s times=1\ncreate stall times=1 after=1\nlist lag=20s").await;
    kill_in_doubt(&lab, 123).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_hide_no_batch() {
    for minutes in [1, 4, 10, 59, 119] {
        for sign in [1, -1] {
            for killed in [false, true] {
                let mut lab = Lab::new(4 * MINUTE, "create stall times=1\nlist lag=1s").await;
                let skewed = 1_800_000_000 + sign * 60 * minutes;
                lab.clock = Clock::starting_at(Duration::from_secs(u64::try_from(skewed).unwrap()));
                if killed {
                    kill_in_doubt(&lab, 3).await;
                }
                let ran = lab.run(&["--reuse", if killed { "active" } else { "never" }]).await;
                assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{} min: {}", sign * minutes, ran.text());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_list_and_reply_every_run_ends_unknown_until_somebody_looks() {
    for acted_on in [true, false] {
        let create = if acted_on { "create stall times=1" } else { "create 429 times=1 retry-after=120s" };
        let lab = Lab::new(HOUR, &format!("{create}\nlist 403\nbatch no-metadata")).await;
        let killed = tokio::time::timeout(Duration::from_secs(3), lab.run(&[])).await;
        assert!(killed.is_err());
        for _ in 0..2 {
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, ran.outcome()), (4, "unknown"), "{}", ran.text());
            assert_eq!(lab.tally().creates, u64::from(acted_on));
        }
        // The way out that the hint names.
        let ran = lab.run(&[]).await;
        for hint in ["collect it with `batchstep collect BATCH_ID --output-dir", "If there is none, remove"] {
            assert!(ran.text().contains(hint), "{}", ran.text());
        }
        if acted_on {
            tokio::time::sleep(HOUR).await;
            let (requests, out) = (lab.dir.path().join("requests.jsonl"), lab.out());
            let words = ["collect", &lab.tally().batches[0].id, "--requests", requests.to_str().unwrap()];
            let collected = lab.command(&[&words[..], &["--output-dir", out.to_str().unwrap()]].concat(), &[]).await;
            assert_eq!((collected.exit, lab.tally().creates), (0, 1), "{}", collected.text());
        }
        std::fs::remove_file(lab.out().join("journal.jsonl")).unwrap();
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 1 + u64::from(acted_on)), "{}", ran.text());
    }
}
