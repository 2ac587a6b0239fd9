//! Whole lives of batches: every way they end, on a good day.

use std::time::Duration;

use crate::lab::Lab;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_day_ends_well() {
    let lab = Lab::new(23 * HOUR, "").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert!(ran.took > 23 * HOUR && ran.took < 23 * HOUR + 2 * MINUTE, "{:?}", ran.took);
    // The run was told that the provider is OpenAI: the sandbox's own mark tells otherwise.
    assert_eq!((&ran.report["provider"], &ran.report["simulated"]), (&"openai".into(), &true.into()));
    assert!(ran.text().contains("SIMULATED"), "{}", ran.text());
    // A minute between polls, and the growing ones before.
    let polls = lab.calls("get");
    assert!((1_300..1_600).contains(&polls), "{polls}");
    assert_eq!(lab.tally().creates, 1);
    assert!(!lab.out().join("unexpected.jsonl").exists());
    assert!(!lab.out().join(".download").exists());
}

#[tokio::test(start_paused = true)]
async fn no_silence_lasts_longer_than_four_minutes() {
    let lab = Lab::new(23 * HOUR, "batch stuck=validating\nget 503 after=30 for=2h").await;
    let ran = lab.run(&["--timeout", "6h"]).await;
    let mut last = Duration::ZERO;
    for (at, line) in &ran.log {
        assert!(*at - last <= 4 * MINUTE, "{:?} of silence before: {line}", *at - last);
        last = *at;
    }
    assert!(ran.took - last < 4 * MINUTE);
    assert_eq!(ran.exit, 6, "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn an_expired_batch_with_nothing_is_a_failure() {
    let lab = Lab::new(10 * HOUR, "batch stuck=validating\nbatch expire=5h").await;
    let ran = lab.run(&["--max-failed", "100%"]).await;
    assert_eq!((ran.exit, ran.outcome()), (5, "failed"), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_somebody_cancels_gives_what_it_has() {
    let lab = Lab::new(10 * HOUR, "batch cancel=5h").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (7, "failed"), "{}", ran.text());
    ran.assert_complete(20);
    assert!(ran.count("succeeded") > 0);
    assert_eq!(ran.report["failures"][0]["code"], "batch_cancelled");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_validation_says_why() {
    let lab = Lab::new(HOUR, "batch fail=empty_file").await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (5, "failed"), "{}", ran.text());
    assert_eq!(ran.report["batches"][0]["errors"][0]["code"], "empty_file");
    assert_eq!(ran.count("missing"), 20);
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_takes_too_long_ends_the_wait() {
    // Polling works until the deadline and never again.
    let lab = Lab::new(10 * HOUR, "get 503 after=30").await;
    let ran = lab.run(&["--timeout", "30m"]).await;
    assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{}", ran.text());
    assert!(ran.took >= 40 * MINUTE && ran.took <= 42 * MINUTE, "{:?}", ran.took);
    assert!(ran.results.is_empty());
    assert!(ran.text().contains("may still run"), "{}", ran.text());
    assert!(!lab.is_anything_running());
}

#[tokio::test(start_paused = true)]
async fn time_can_be_up_before_a_batch_exists() {
    let lab = Lab::new(HOUR, "upload stall").await;
    let ran = lab.run(&["--timeout", "1m"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (6, "timed-out", 0), "{}", ran.text());
    assert!(ran.text().contains("nothing was created"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn rows_decide_and_not_the_status() {
    for (faults, failed, missing, unexpected) in [
        ("rows status=500 share=25%", true, false, false),
        ("rows status=0 share=25%", true, false, false),
        ("rows error-in-body share=25%", true, false, false),
        ("rows missing share=25%", false, true, false),
        ("rows duplicate share=25%", false, false, true),
        ("rows stranger", false, false, true),
    ] {
        let lab = Lab::new(MINUTE, faults).await;
        let ran = lab.run(&[]).await;
        ran.assert_complete(20);
        assert_eq!(ran.report["batches"][0]["status"], "completed");
        let counts = [ran.count("failed") > 0, ran.count("missing") > 0, ran.count("unexpected") > 0];
        assert_eq!(counts, [failed, missing, unexpected], "{faults}: {}", ran.text());
        assert_eq!(ran.exit, if failed || missing { 7 } else { 0 }, "{faults}: {}", ran.text());
        assert_eq!(lab.out().join("unexpected.jsonl").exists(), unexpected, "{faults}");
        let bad = ran.count("failed") + ran.count("missing");
        let enough = lab.run(&["--max-failed", &bad.to_string()]).await;
        assert_eq!(enough.exit, 0, "{faults}: {}", enough.text());
    }
}

#[tokio::test(start_paused = true)]
async fn results_of_an_earlier_run_do_not_pass_for_this_ones() {
    let lab = Lab::new(MINUTE, "create 401 after=1\nrows stranger").await;
    assert_eq!(lab.run(&[]).await.exit, 0);
    let stale = std::fs::read(lab.out().join("report.json")).unwrap();
    let first = std::fs::read(lab.out().join("results.jsonl")).unwrap();
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 4, "{}", ran.text());
    assert!(!lab.out().join("results.jsonl").exists() && !lab.out().join("unexpected.jsonl").exists());
    let runs: Vec<_> = std::fs::read_dir(lab.dir.path().join("out.earlier")).unwrap().collect();
    let [Ok(earlier)] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(std::fs::read(earlier.path().join("results.jsonl")).unwrap(), first);
    assert_eq!(std::fs::read(earlier.path().join("report.json")).unwrap(), stale);
    let place = earlier.path().display().to_string();
    assert!(ran.text().contains(&format!("of an earlier run are now in {place}")), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_written_is_no_success_and_hides_no_failure() {
    for (faults, told) in [("", "succeeded"), ("rows missing", "names no file"), ("content 404", "20 failed")] {
        let lab = Lab::new(MINUTE, faults).await;
        std::fs::create_dir_all(lab.out().join("report.json.part/in the way")).unwrap();
        let ran = lab.run(&[]).await;
        assert_eq!(ran.exit, 1, "{faults}: {}", ran.text());
        assert!(ran.text().contains("report.json` could not be created"), "{faults}: {}", ran.text());
        assert_eq!(ran.text().contains(told), !faults.is_empty(), "{faults}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_nobody_knows_is_a_running_one() {
    let lab = Lab::new(HOUR, "batch status=warming_up").await;
    let ran = lab.run(&[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    assert!(ran.text().contains("warming_up"), "{}", ran.text());
}
