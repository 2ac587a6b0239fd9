//! Bad weather: everything that can go wrong on the way, and what becomes of it.

use std::time::Duration;

use crate::lab::Lab;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn hours_of_trouble_while_waiting_do_not_end_a_run() {
    for trouble in
        ["503", "500", "429", "429 retry-after=1h", "408", "409", "reset", "drop", "garbage", "stall", "redirect=/x"]
    {
        let fatal = trouble.starts_with("redirect");
        let lab = Lab::new(HOUR, &format!("get {trouble} after=3 for=6h")).await;
        let ran = lab.run(&[]).await;
        if fatal {
            assert_eq!(ran.exit, 4, "{trouble}: {}", ran.text());
            continue;
        }
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{trouble}: {}", ran.text());
        ran.assert_complete(20);
        assert!(ran.took >= 6 * HOUR && ran.took < 6 * HOUR + 4 * MINUTE, "{trouble}: {:?}", ran.took);
        assert!(ran.text().contains("Trouble while polling"), "{trouble}: {}", ran.text());
        assert!(ran.text().contains("passed after"), "{trouble}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_at_every_step_is_borne() {
    for operation in ["upload", "get-file", "create", "get", "content"] {
        for trouble in ["503", "429 retry-after=7s", "408", "reset", "drop", "garbage"] {
            let lab = Lab::new(HOUR, &format!("{operation} {trouble} times=2")).await;
            let ran = lab.run(&[]).await;
            assert_eq!(ran.exit, 0, "{operation} {trouble}: {}", ran.text());
            ran.assert_complete(20);
            assert_eq!(lab.tally().creates, 1, "{operation} {trouble}: {}", ran.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_servers_wish_to_wait_is_honoured_up_to_two_minutes() {
    for operation in ["upload", "create"] {
        for (wish, least, most) in [("90s", 90, 95), ("1h", 120, 125), ("0s", 0, 5)] {
            let lab = Lab::new(SECOND, &format!("{operation} 429 retry-after={wish} times=1")).await;
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{}", ran.text());
            // The batch itself is seen to end after five seconds.
            let waited = ran.took.saturating_sub(6 * SECOND).as_secs();
            assert!((least - least.min(2)..most).contains(&waited), "{operation} {wish}: {:?}", ran.took);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_was_refused_leaves_nothing_in_doubt() {
    // The list is looked at before the first create, and again where the last look is ten seconds old.
    let lab = Lab::new(HOUR, "create 429").await;
    let ran = lab.run(&["--timeout", "30s"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("list")), (6, "timed-out", 3), "{}", ran.text());
    assert!(ran.took <= 31 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn before_a_batch_exists_ten_minutes_of_trouble_are_enough() {
    let lab = Lab::new(HOUR, "upload 503").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 0), "{}", ran.text());
    assert!(ran.took >= 10 * MINUTE && ran.took < 11 * MINUTE, "{:?}", ran.took);
    let lab = Lab::new(HOUR, "create 429").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 0), "{}", ran.text());
    assert!(ran.took > 9 * MINUTE && ran.took < 11 * MINUTE, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_final_failure_ends_the_run_at_once() {
    for fault in [
        "upload 401",
        "upload 413",
        "create 400",
        "create 401",
        "create 429 code=insufficient_quota",
        "create 400 code=billing_hard_limit_reached",
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{fault}: {}", ran.text());
        assert!(ran.took < 5 * SECOND, "{fault}: {:?}", ran.took);
        assert_eq!(lab.tally().creates, 0, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_while_a_batch_runs_must_last_to_be_believed() {
    for status in [401, 403, 404] {
        let lab = Lab::new(HOUR, &format!("get {status} after=3 for=90s")).await;
        let ran = lab.run(&[]).await;
        assert_eq!(ran.exit, 0, "{status}: {}", ran.text());

        let lab = Lab::new(HOUR, &format!("get {status} after=3")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{status}: {}", ran.text());
        assert!(ran.took > 2 * MINUTE && ran.took < 10 * MINUTE, "{status}: {:?}", ran.took);
        let id = lab.tally().batches[0].id.clone();
        assert!(ran.text().contains(&format!("batchstep cancel {id}")), "{}", ran.text());
    }
    let lab = Lab::new(HOUR, "get 429 code=insufficient_quota after=3").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_broken_download_is_taken_up_where_it_broke() {
    let lab = Lab::new(HOUR, "content cut=2000 times=3").await;
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!(lab.calls("content"), 4);
}

#[tokio::test(start_paused = true)]
async fn results_are_worth_ten_minutes_past_the_deadline() {
    let lab = Lab::new(HOUR, "content 503 for=8m").await;
    let ran = lab.run(&["--timeout", "61m"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
}
