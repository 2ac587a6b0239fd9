//! Creates whose reply was lost: one batch exists at the end, or nobody was
//! told that there is none.

use std::time::Duration;

use crate::lab::Lab;

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
async fn a_create_that_never_arrived_is_sent_again_after_a_minute() {
    for lost in ["500", "503", "408", "reset"] {
        let lab = Lab::new(HOUR, &format!("create {lost} times=1")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates, lab.calls("create")), (0, 1, 2), "{lost}: {}", ran.text());
        assert!(ran.took > HOUR + MINUTE, "{lost}: {:?}", ran.took);
        assert!(lab.calls("list") >= 5, "{lost}");
    }
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
    for status in [403, 404, 405, 501] {
        let lab = Lab::new(HOUR, &format!("create drop\nlist {status}")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "unknown"), "{status}: {}", ran.text());
        assert_eq!((lab.calls("create"), lab.calls("list")), (1, 1), "{status}");
        assert!(ran.text().contains("The provider does not list batches"), "{}", ran.text());
        let file = ran.report["input_file_id"].as_str().unwrap();
        assert!(ran.text().contains(&format!("A batch over file {file} may exist")), "{}", ran.text());
        // A run without such an accident needs no list.
        let lab = Lab::new(HOUR, &format!("list {status}")).await;
        assert_eq!(lab.run(&[]).await.exit, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_creates_arrived_the_older_batch_stays() {
    // The first reply is lost and the list shows nothing for 61 seconds, so that
    // a second create is sent; by then both are there.
    let lab = Lab::new(HOUR, "create drop times=1\nlist lag=61s after=1 times=5").await;
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    let tally = lab.tally();
    let statuses: Vec<&str> = tally.batches.iter().map(|batch| batch.status.as_str()).collect();
    assert_eq!(statuses, ["completed", "cancelled"], "{}", ran.text());
    assert_eq!(tally.batches[0].create, tally.batches[1].create);
    assert_eq!(ran.report["batches"][0]["id"], tally.batches[0].id.as_str());
}

#[tokio::test(start_paused = true)]
async fn when_both_replies_were_lost_one_batch_stays_all_the_same() {
    let lab = Lab::new(HOUR, "create drop times=2\nlist lag=61s after=1 times=5").await;
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    let statuses: Vec<String> = lab.tally().batches.into_iter().map(|batch| batch.status).collect();
    assert_eq!(statuses, ["completed", "cancelled"], "{}", ran.text());
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
