//! What a server need not have, and files that are not ready: no reason to end a run.

use std::time::Duration;

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn assert_all_well(ran: &Ran, case: &str) {
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{case}: {}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_file_that_never_says_it_is_processed() {
    let lab = Lab::new(MINUTE, "file slow=9h").await;
    let ran = lab.run(&[]).await;
    assert_all_well(&ran, "slow");
    assert!(ran.took < 2 * MINUTE && lab.calls("get-file") == 0, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_failed_since_its_file_was_late_is_created_again() {
    for late in [2, 70, 500] {
        let lab = Lab::new(MINUTE, &format!("file late={late}s")).await;
        let ran = lab.run(&[]).await;
        assert_all_well(&ran, &format!("{late} s"));
        let tally = lab.tally();
        assert_eq!((tally.uploads, lab.completed().len(), tally.rows_paid), (1, 1, 20), "{late} s: {}", ran.text());
        assert!(ran.text().contains("could not use file"), "{}", ran.text());
    }
    // It never comes: ten minutes are enough, and the batch's own failure is reported.
    let lab = Lab::new(MINUTE, "file late=20m").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (5, "failed"), "{}", ran.text());
    assert!(ran.took > 10 * MINUTE && ran.took < 13 * MINUTE, "{:?}", ran.took);
    assert!(ran.text().contains("Cannot find file"), "{}", ran.text());
    // What the provider cannot use is not tried again.
    let lab = Lab::new(MINUTE, "file error").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates), (5, 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_refused_over_the_file_is_sent_again() {
    let refusal = "message=File file-1 was not found in this project.";
    for status in ["400 param=file_id", "404", "422 param=input_file_id"] {
        let lab = Lab::new(MINUTE, &format!("create {status} for=8m {refusal}")).await;
        let ran = lab.run(&[]).await;
        assert_all_well(&ran, status);
        assert_eq!((lab.tally().creates, lab.tally().uploads), (1, 1), "{status}: {}", ran.text());
        // Ten minutes are enough, and what it said is reported.
        let lab = Lab::new(MINUTE, &format!("create {status} {refusal}")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 0), "{status}: {}", ran.text());
        assert!(ran.took > 9 * MINUTE && ran.took < 11 * MINUTE, "{status}: {:?}", ran.took);
        assert!(ran.text().contains("was not found in this project"), "{}", ran.text());
        // A file that is being processed is waited for until the deadline.
        let lab = Lab::new(MINUTE, &format!("file slow=40m\ncreate {status} for=40m {refusal}")).await;
        assert_all_well(&lab.run(&[]).await, status);
        let lab = Lab::new(MINUTE, &format!("file slow=40m\ncreate {status} for=40m {refusal}")).await;
        let late = lab.run(&["--timeout", "30m"]).await;
        assert_eq!((late.exit, lab.tally().creates), (6, 0), "{}", late.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_wrong_is_not_tried_again() {
    for fault in [
        "create 400 param=file_id message=Invalid file format for Batch API. Must be .jsonl",
        "create 422 param=endpoint message=Invalid endpoint.",
        "create 404",
        "file error\ncreate 400 param=file_id message=File file-1 was not found.",
    ] {
        let lab = Lab::new(MINUTE, fault).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.calls("create")), (4, "refused", 1), "{fault}: {}", ran.text());
        assert!(ran.took < 5 * SECOND, "{fault}: {:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shows_no_files_or_batches_is_used_all_the_same() {
    for fault in ["get-file 500", "get-file 400", "get-file 200 message=No route.", "list 400", "list 422"] {
        let lab = Lab::new(MINUTE, fault).await;
        let ran = lab.run(&[]).await;
        assert_all_well(&ran, fault);
        assert!(ran.took < 2 * MINUTE, "{fault}: {:?}", ran.took);
        let is_reported = ran.text().matches("Warning: The provider does not list batches").count();
        assert_eq!(is_reported, usize::from(fault.starts_with("list")), "{}", ran.text());
        if fault.starts_with("get-file") {
            // The marks tell enough: what was completed serves again.
            let again = lab.run(&["--reuse", "finished"]).await;
            assert_eq!((again.exit, lab.tally().creates), (0, 1), "{fault}: {}", again.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_metadata_is_used_without() {
    for lost in ["", "\ncreate drop after=1 times=1"] {
        let lab = Lab::new(HOUR, &format!("create unknown=metadata times=1{lost}")).await;
        let ran = lab.run(&["--metadata", "suite=nightly", "--provider", "compatible"]).await;
        assert_all_well(&ran, lost);
        assert_eq!((lab.tally().creates, lab.tally().batches[0].key.as_deref()), (1, None), "{}", ran.text());
        assert!(ran.text().contains("Warning: The provider takes no metadata"), "{}", ran.text());
    }
    // A later run knows the batch by its file.
    let (lab, compatible) = (Lab::new(HOUR, "create unknown=metadata").await, ["--provider", "compatible"]);
    assert!(tokio::time::timeout(MINUTE, lab.run(&compatible)).await.is_err());
    lab.forget();
    assert_all_well(&lab.run(&compatible).await, "again");
    assert_eq!(lab.tally().creates, 1);
    // OpenAI takes metadata, and a pair of the user's that is refused is the user's to change.
    for (provider, fault) in [
        ("openai", "create unknown=metadata"),
        ("compatible", "create 400 param=metadata.suite message=Invalid 'metadata.suite': too long."),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run(&["--metadata", "suite=nightly", "--provider", provider]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.calls("create")), (4, "refused", 1), "{}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_is_refused_does_not_end_the_waiting() {
    for refusal in
        ["400 message=This provider does not support cancel_batch.", "404", "405", "500", "501", "200 message=No."]
    {
        // It completes some minutes after the deadline.
        let lab = Lab::new(HOUR + 4 * MINUTE, &format!("cancel {refusal}")).await;
        let ran = lab.run(&["--timeout", "1h"]).await;
        assert_all_well(&ran, refusal);
        let is_reported = ran.text().contains("The provider does not cancel batch");
        assert_eq!(is_reported, refusal != "500", "{refusal}: {}", ran.text());
        // It does not.
        let lab = Lab::new(2 * HOUR, &format!("cancel {refusal}")).await;
        let ran = lab.run(&["--timeout", "1h"]).await;
        assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{refusal}: {}", ran.text());
        assert!(ran.took < HOUR + 13 * MINUTE, "{refusal}: {:?}", ran.took);
        assert!(ran.text().contains("may still run and cost money"), "{refusal}: {}", ran.text());
    }
    // What passes is tried until it works.
    let lab = Lab::new(2 * HOUR, "cancel 500 for=5m").await;
    let ran = lab.run(&["--timeout", "1h"]).await;
    assert_eq!((ran.exit, lab.is_anything_running()), (6, false), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_as_a_success_is_an_error() {
    // The provider has lost the batch, and says so with a 200.
    let lab = Lab::new(HOUR, "get 200 after=3 message=The batch is unknown.").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{}", ran.text());
    assert!(ran.took > 2 * MINUTE && ran.took < 10 * MINUTE, "{:?}", ran.took);
    assert!(ran.text().contains("The batch is unknown.") && ran.text().contains(&lab.tally().batches[0].id));
    // Less than two minutes of it are borne, and hours of what passes.
    for passing in ["get 200 after=3 for=90s message=Unknown.", "get 200 code=overloaded_error after=3 for=6h"] {
        let lab = Lab::new(HOUR, passing).await;
        assert_all_well(&lab.run(&[]).await, passing);
    }
    for hopeless in ["create 200 code=insufficient_quota", "upload 200 code=insufficient_quota"] {
        let lab = Lab::new(HOUR, hopeless).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (4, "refused", 0), "{hopeless}: {}", ran.text());
        assert!(ran.took < 5 * SECOND, "{hopeless}: {:?}", ran.took);
    }
    let lab = Lab::new(HOUR, "get 200 code=insufficient_quota after=3").await;
    assert_eq!(lab.run(&[]).await.exit, 4);
    // Any other at a create is looked for before it is sent again.
    let lab = Lab::new(HOUR, "create 200 times=1 message=Something happened.").await;
    let ran = lab.run(&[]).await;
    assert_all_well(&ran, "create");
    assert_eq!((lab.tally().creates, lab.calls("create")), (1, 2), "{}", ran.text());
    assert!(ran.took > HOUR + MINUTE && lab.calls("list") >= 5, "{:?}", ran.took);
    let lab = Lab::new(HOUR, "upload 200 code=server_error times=2").await;
    assert_all_well(&lab.run(&[]).await, "upload");
}
