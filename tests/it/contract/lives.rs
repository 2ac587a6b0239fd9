//! Promises about a batch's life: how it ends, and what its end brings.

use super::{HOUR, MINUTE, SECOND, Subject, assert_paid_once, killed};

/// A run brings an answer to each request, in the order of the requests: the simulators answer in another order.
pub(super) async fn a_whole_run(subject: Subject) {
    let lab = subject.lab(3 * HOUR, "").await;
    let ran = lab.run(&[]).await;
    assert_paid_once(&lab, &ran);
    assert!(ran.took > 3 * HOUR && ran.took < 3 * HOUR + 2 * MINUTE, "{:?}", ran.took);
    assert_eq!((lab.tally().creates, lab.calls("content")), (1, 1), "{}", ran.text());
    assert_eq!(ran.report["simulated"].as_bool(), Some(true));
    for left in ["unexpected.jsonl", ".download"] {
        assert!(!lab.out().join(left).exists(), "{left}");
    }
}

/// The batches of a run come back as one.
pub(super) async fn several_batches(subject: Subject) {
    let lab = subject.lab(HOUR, "").await;
    let ran = lab.run(&["--max-requests", "6"]).await;
    assert_paid_once(&lab, &ran);
    assert_eq!(lab.tally().creates, 4, "{}", ran.text());
    // Killed between two creates, it goes on with what there is.
    let lab = subject.lab(HOUR, "create delay=20s").await;
    assert!(killed(&lab, 50 * SECOND, &["--max-requests", "6"]).await.is_none());
    let ran = lab.run(&["--max-requests", "6"]).await;
    assert_paid_once(&lab, &ran);
    // The replies to two creates of the same size are lost: neither batch is taken for the other.
    let lab = subject.lab(HOUR, "create drop times=2").await;
    let ran = lab.run(&["--max-requests", "5"]).await;
    assert_paid_once(&lab, &ran);
    assert_eq!(lab.tally().creates, 4, "{}", ran.text());
}

/// What is done of a batch is said while it runs.
pub(super) async fn counts(subject: Subject) {
    let lab = subject.lab(HOUR, "").await;
    let ran = lab.run(&[]).await;
    let is_counted = |line: &str| line.contains("is in_progress, ") && line.contains(" of 20");
    assert!(ran.log.iter().any(|(_, line)| is_counted(line)), "{}", ran.text());
}

/// The deadline cancels a batch, and what it answered until then is kept.
pub(super) async fn the_deadline(subject: Subject) {
    let lab = subject.lab(2 * HOUR, "").await;
    let ran = lab.run(&["--timeout", "1h"]).await;
    assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{}", ran.text());
    ran.assert_complete(20);
    assert!(ran.count("succeeded") > 5 && ran.count("failed") > 5, "{}", ran.text());
    assert_eq!(ran.count("succeeded"), lab.tally().rows_good, "{}", ran.text());
    assert_eq!(lab.tally().batches[0].status, "cancelled");
    assert!(ran.took >= HOUR && ran.took <= HOUR + 12 * MINUTE, "{:?}", ran.took);
    // One that completes as it is cancelled is judged by its answers.
    let lab = subject.lab(2 * HOUR, "batch complete-on-cancel").await;
    let ran = lab.run(&["--timeout", "1h"]).await;
    assert_paid_once(&lab, &ran);
    assert_eq!(lab.calls("cancel"), 1);
}

/// A signal cancels the batch, also where the reply to its create is on its way.
pub(super) async fn a_signal(subject: Subject) {
    for (faults, after) in [("", HOUR), ("create delay=2s", SECOND)] {
        let lab = subject.lab(10 * HOUR, faults).await;
        let ran = lab.run_signalled(&[], &[(after, 15)]).await;
        assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{faults}: {}", ran.text());
        assert!(!lab.is_anything_running(), "{faults}: {:?}\n{}", lab.tally(), ran.text());
    }
}

/// So it does where the create was acted on and its reply does not come.
pub(super) async fn a_signal_in_doubt(subject: Subject) {
    for lost in ["drop", "stall"] {
        let lab = subject.lab(10 * HOUR, &format!("create {lost} times=1")).await;
        let ran = lab.run_signalled(&[], &[(SECOND, 15)]).await;
        assert_eq!((ran.exit, lab.tally().creates, lab.is_anything_running()), (143, 1, false), "{}", ran.text());
    }
}

/// A batch that expires gives what it has, and the rest failed for a reason that may pass.
pub(super) async fn expiry(subject: Subject) {
    let lab = subject.lab(4 * HOUR, "batch expire=2h").await;
    let ran = lab.run(&["--max-failed", "75%"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "partial"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!(ran.count("succeeded"), lab.tally().rows_good, "{}", ran.text());
    assert!(ran.count("succeeded") > 5 && ran.count("failed") > 5, "{}", ran.text());
    assert_eq!(ran.report["batches"][0]["status"], "expired");
    assert!(ran.report["failures"][0]["code"].as_str().unwrap().contains("expired"), "{}", ran.text());
    // What expired is sent again, and nothing else.
    let lab = subject.lab(4 * HOUR, "batch expire=2h times=1").await;
    let ran = lab.run(&["--retries", "1"]).await;
    assert_paid_once(&lab, &ran);
    assert_eq!(lab.tally().creates, 2);
}

/// A run that leaves its batch behind is continued by the next one.
pub(super) async fn handed_over(subject: Subject) {
    let lab = subject.lab(2 * HOUR, "").await;
    let ran = lab.run(&["--timeout", "1h", "--on-timeout", "detach"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (0, "detached", 0), "{}", ran.text());
    assert_paid_once(&lab, &lab.run(&[]).await);
    // As a submission is by a collection that knows the id.
    let lab = subject.lab(2 * HOUR, "").await;
    let ran = lab.submit(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "pending"), "{}", ran.text());
    let id = ran.report["batches"][0]["id"].as_str().unwrap();
    assert_paid_once(&lab, &lab.neighbour().collect(&[id]).await);
    assert_eq!(lab.tally().creates, 1);
}
