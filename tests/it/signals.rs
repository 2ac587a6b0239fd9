//! Signals, as orders to stop: one cancel, outputs written, no waiting.

use std::time::Duration;

use crate::lab::Lab;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn each_signal_cancels_the_batch_and_ends_the_run() {
    for signal in [1, 2, 15] {
        let lab = Lab::new(10 * HOUR, "").await;
        let ran = lab.run_signalled(&[], &[(HOUR, signal)]).await;
        assert_eq!((ran.exit, ran.outcome()), (128 + signal, "cancelled"), "{}", ran.text());
        assert!(ran.took < HOUR + SECOND, "{:?}", ran.took);
        assert_eq!(lab.calls("cancel"), 1);
        assert!(!lab.is_anything_running());
        assert_eq!(ran.report["batches"][0]["id"], lab.tally().batches[0].id.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_at_any_step_leaves_nothing_running() {
    for fault in
        ["upload stall", "get-file stall", "create stall", "get stall", "batch stuck=finalizing", "content stall"]
    {
        let takes = if fault.starts_with("content") { SECOND } else { HOUR };
        let lab = Lab::new(takes, fault).await;
        let after = if fault.starts_with("batch") { HOUR } else { 20 * SECOND };
        let ran = lab.run_signalled(&[], &[(after, 2)]).await;
        assert_eq!((ran.exit, ran.outcome()), (130, "cancelled"), "{fault}: {}", ran.text());
        assert!(ran.took < after + 6 * SECOND, "{fault}: {:?}", ran.took);
        assert!(!lab.is_anything_running(), "{fault}: {}", ran.text());
        assert!(lab.tally().creates <= 1, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_gets_no_answer_is_given_five_seconds_and_said() {
    for fault in ["cancel stall", "cancel 503"] {
        let lab = Lab::new(HOUR, fault).await;
        let ran = lab.run_signalled(&[], &[(60 * SECOND, 15)]).await;
        assert_eq!(ran.exit, 143, "{fault}: {}", ran.text());
        assert!(ran.took <= 66 * SECOND, "{fault}: {:?}", ran.took);
        assert!(ran.text().contains("may still run"), "{fault}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_gets_no_answer_is_sent_again_in_time() {
    let lab = Lab::new(HOUR, "cancel stall times=1").await;
    let ran = lab.run_signalled(&[], &[(60 * SECOND, 15)]).await;
    assert_eq!((ran.exit, lab.calls("cancel")), (143, 2), "{}", ran.text());
    assert!(!ran.text().contains("may still run"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_run_at_once() {
    let lab = Lab::new(HOUR, "cancel stall").await;
    let ran = lab.run_signalled(&[], &[(60 * SECOND, 2), (61 * SECOND, 15)]).await;
    assert_eq!(ran.exit, 130, "{}", ran.text());
    assert!(ran.took < 62 * SECOND, "{:?}", ran.took);
}

#[tokio::test(start_paused = true)]
async fn a_command_with_nothing_to_put_in_order_ends_on_the_first_signal() {
    let lab = Lab::new(HOUR, "any stall").await;
    for command in [&["sandbox", "--port", "0"][..], &["batch", "list"], &["file", "get", "file-1"]] {
        let ran = lab.command(command, &[(SECOND, 15)]).await;
        assert_eq!((ran.exit, ran.took), (143, SECOND), "{command:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_during_the_cancel_at_the_deadline_does_not_wait_for_its_end() {
    let lab = Lab::new(10 * HOUR, "").await;
    let ran = lab.run_signalled(&["--timeout", "1h"], &[(HOUR + 30 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{}", ran.text());
    assert!(!lab.is_anything_running());
}
