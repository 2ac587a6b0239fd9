//! The way back: answers that are late, short, torn, gone or odd, and what becomes of them.

use std::time::Duration;

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Runs once, with the usual retry, and checks what holds whatever happened.
async fn ran(lab: &Lab, inputs: &[&str]) -> Ran {
    let ran = lab.run(&[&["--retries", "1"], inputs].concat()).await;
    ran.assert_complete(20);
    ran
}

#[tokio::test(start_paused = true)]
async fn answers_in_odd_forms_are_not_bought_again() {
    for fault in ["answers phantom", "rows string-body"] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = ran(&lab, &[]).await;
        assert_eq!((ran.exit, ran.outcome(), ran.count("succeeded")), (0, "succeeded", 20), "{fault}: {}", ran.text());
        assert_eq!(lab.tally().creates, 1, "{fault}: {}", ran.text());
        assert!(ran.took < HOUR + 12 * MINUTE, "{fault}: {:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_fetched_are_left_for_later_and_not_bought_again() {
    for (fault, kept) in [
        ("content 503 for=2h", 0),
        ("content 401 for=2h", 0),
        ("answers page=2h", 0),
        ("answers late=2h", 0),
        ("answers torn=2h", 13),
        ("answers torn=2h\nanswers uncounted", 13),
        ("rows status=400 share=30%\nanswers late=2h\nanswers torn=100m", 0),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let first = ran(&lab, &[]).await;
        assert_eq!((first.exit, first.outcome()), (4, "uncollected"), "{fault}: {}", first.text());
        assert!(first.took >= HOUR + 10 * MINUTE && first.took < HOUR + 12 * MINUTE, "{fault}: {:?}", first.took);
        assert!(first.count("succeeded") >= kept, "{fault}: {}", first.text());
        // What stays the same is said once, and looked at ever less often.
        let said = first.text().matches("Trouble while collecting").count();
        assert!(said <= 3 && lab.calls("content") < 60, "{fault}: {said}, {:?}", lab.tally().calls);
        let id = lab.tally().batches[0].id.clone();
        assert!(first.text().contains(&format!("batchstep collect {id}")), "{fault}: {}", first.text());
        // The next run with this journal collects what the first could not.
        tokio::time::sleep(2 * HOUR).await;
        let second = lab.run(&["--max-failed", "100%"]).await;
        second.assert_complete(20);
        assert_eq!((second.exit, lab.tally().creates), (0, 1), "{fault}: {}", second.text());
        assert!(second.count("succeeded") > first.count("succeeded"), "{fault}: {}", second.text());
        // Now it is closed: a third run would pay again.
        drop(lab.run(&["--max-failed", "100%"]).await);
        assert_eq!(lab.tally().creates, 2, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_may_pay_again_for_what_cannot_be_fetched() {
    let lab = Lab::new(HOUR, "answers page=9h times=1").await;
    let ran = ran(&lab, &["--retry-on", "missing"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 2), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_few_answers_that_the_provider_dropped_are_sent_again() {
    let lab = Lab::with_requests(HOUR, "rows missing share=20% times=1", 20).await;
    let ran = ran(&lab, &[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 2), "{}", ran.text());
    assert!(ran.took < 2 * HOUR + 5 * MINUTE, "{:?}", ran.took);
    assert!(ran.text().contains("do not change any more"), "{}", ran.text());
    // Answers that nobody counts are not promised: they are sent again at once.
    let lab = Lab::with_requests(HOUR, "rows missing share=80% times=1\nanswers uncounted", 20).await;
    let ran = lab.run(&["--retries", "1"]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
    assert!(ran.took < 2 * HOUR + 2 * MINUTE, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_counts_too_many_is_not_believed_for_ever() {
    let lab = Lab::new(HOUR, "rows missing share=20%\nanswers overcounted=7").await;
    let ran = ran(&lab, &["--max-failed", "100%"]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_costs_only_its_own_rows() {
    let lab = Lab::new(HOUR, "rows status=400 share=30%\nanswers absent=9h").await;
    let gone = ran(&lab, &[]).await;
    assert_eq!((gone.exit, gone.count("failed"), gone.count("missing")), (7, 20, 0), "{}", gone.text());
    assert_eq!(gone.report["failures"][0]["code"], "answers_gone", "{}", gone.report["failures"]);
    assert_eq!((gone.results[0]["error"]["code"].as_str(), lab.tally().creates), (Some("answers_gone"), 1));
    assert!(gone.took >= HOUR + 2 * MINUTE && gone.took < HOUR + 5 * MINUTE, "{:?}", gone.took);
    let paid = ran(&lab, &["--reuse", "never", "--retry-on", "answers_gone", "--max-failed", "100%"]).await;
    assert_eq!((paid.exit, lab.tally().creates), (0, 3), "{}", paid.text());

    // An error file that is gone although nothing failed is a warning, and not waited for.
    let lab = Lab::new(HOUR, "answers phantom").await;
    let fine = ran(&lab, &[]).await;
    assert_eq!((fine.exit, fine.report["warnings"].as_array().map(Vec::len)), (0, Some(1)), "{}", fine.text());
    assert!(fine.took < HOUR + 2 * MINUTE, "{:?}", fine.took);
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_batch_that_ended_a_moment_ago_is_pending_and_later_uncollected() {
    let lab = Lab::new(HOUR, "answers short=3h").await;
    assert_eq!(lab.submit(&[]).await.exit, 0);
    tokio::time::sleep(HOUR + 10 * MINUTE).await;
    let early = lab.collect(&["--timeout", "0"]).await;
    assert_eq!((early.exit, early.outcome()), (0, "pending"), "{}", early.text());
    assert!(early.took >= MINUTE && early.took < 2 * MINUTE, "{:?}", early.took);
    assert_eq!(lab.collect(&["--timeout", "0", "--fail-if-pending"]).await.exit, 8);
    tokio::time::sleep(HOUR).await;
    let late = lab.collect(&["--timeout", "0"]).await;
    assert_eq!((late.exit, late.outcome()), (4, "uncollected"), "{}", late.text());
    tokio::time::sleep(2 * HOUR).await;
    let done = lab.collect(&["--timeout", "0"]).await;
    assert_eq!((done.exit, done.outcome()), (0, "succeeded"), "{}", done.text());
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_did_not_get_to_is_the_batchs_failure_and_all_else_the_answers() {
    for (faults, exit) in [
        ("batch expire=1s", 5),
        ("rows status=500\nbatch expire=2h", 7),
        ("rows missing", 4),
        ("rows missing\nanswers uncounted\nanswers phantom", 7),
    ] {
        let lab = Lab::new(HOUR, faults).await;
        let ran = lab.run(&[]).await;
        assert_eq!(ran.exit, exit, "{faults}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn odd_rows_are_judged_by_what_they_say() {
    for (faults, exit, creates) in [
        ("rows empty share=20% times=1", 0, 2),
        ("rows empty", 7, 1),
        ("rows bare share=20% times=1", 0, 2),
        ("rows status=0 share=20% times=1", 0, 2),
        ("rows status=400 share=20%", 7, 1),
    ] {
        let lab = Lab::new(HOUR, faults).await;
        let ran = ran(&lab, &[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (exit, creates), "{faults}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_came_too_late_is_judged_by_the_answers() {
    let lab = Lab::new(HOUR, "batch complete-on-cancel").await;
    let ran = lab.run(&["--timeout", "30m"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    assert!(ran.took < 40 * MINUTE + 30 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_signal_while_answers_are_fetched_leaves_them_to_the_next_run() {
    for (faults, inputs) in [
        ("content stall times=9", &[][..]),
        ("answers page=9h", &[][..]),
        ("content stall times=9", &["--on-abort", "detach"][..]),
    ] {
        let lab = Lab::new(HOUR, faults).await;
        let ended = lab.run_signalled(inputs, &[(HOUR + 5 * MINUTE, 15)]).await;
        assert_eq!(ended.exit, 143, "{faults}: {}", ended.text());
        tokio::time::sleep(10 * HOUR).await;
        let next = lab.run(&[]).await;
        assert_eq!((next.exit, lab.tally().creates), (0, 1), "{faults}: {}", next.text());
        next.assert_complete(20);
    }
}

#[tokio::test(start_paused = true)]
async fn one_odd_reply_to_a_poll_ends_nothing() {
    for odd in ["400", "405", "410", "422", "451", "redirect=/x", "501"] {
        let lab = Lab::new(HOUR, &format!("get {odd} after=3 times=1")).await;
        let ran = ran(&lab, &[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{odd}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_survives_odd_replies_about_its_batch() {
    for odd in ["400", "404", "422"] {
        let lab = Lab::new(HOUR, &format!("get {odd} after=2 times=2")).await;
        assert!(tokio::time::timeout(15 * SECOND, lab.run(&[])).await.is_err(), "it is killed");
        let next = lab.run(&[]).await;
        assert_eq!((next.exit, lab.tally().creates), (0, 1), "{odd}: {}", next.text());
    }
}

#[tokio::test(start_paused = true)]
async fn counts_of_zero_are_no_word_that_there_is_nothing() {
    for faults in ["answers undercounted\nanswers late=90s", "answers undercounted\nanswers absent=90s"] {
        let lab = Lab::new(HOUR, faults).await;
        let ran = ran(&lab, &[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{faults}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_signal_only_what_was_cancelled_is_made_again() {
    let lab = Lab::new(HOUR, "batch stuck=in_progress after=1 times=1").await;
    let inputs = ["--max-requests", "10", "--retries", "0"];
    let ended = lab.run_signalled(&inputs, &[(2 * HOUR, 15)]).await;
    assert_eq!((ended.exit, lab.tally().creates), (143, 2), "{}", ended.text());
    let next = lab.run(&inputs).await;
    assert_eq!((next.exit, lab.tally().creates), (0, 3), "{}", next.text());
    next.assert_complete(20);
    assert_eq!(lab.completed().len(), 2, "{:?}", lab.tally());
}
