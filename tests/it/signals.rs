//! Signals, as orders to stop: one cancel, outputs written, no waiting.

use std::time::Duration;

use batchstep_test_support::rounds;

use crate::cancel::create_of;
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

/// Two signals, so long after the start and so far apart, in one of the run's first seconds.
struct Pair {
    first: Duration,
    gap: Duration,
    faults: &'static str,
    on_abort: &'static str,
}

impl Pair {
    async fn hold(&self) {
        let Self { first, gap, faults, on_abort } = *self;
        let case = format!("{first:?} {gap:?} {faults:?} {on_abort}");
        let mut lab = Lab::new(HOUR, faults).await;
        let outputs = lab.dir.path().join("outputs");
        lab.env = [("GITHUB_ACTIONS", "true"), ("GITHUB_OUTPUT", outputs.to_str().unwrap())].into_iter().collect();
        let ran = lab.run_signalled(&["--on-abort", on_abort], &[(first, 15), (first + gap, 1)]).await;
        let ids: Vec<String> = lab.tally().batches.iter().map(|batch| batch.id.clone()).collect();
        let reported: Vec<&str> =
            ran.report["batches"].as_array().unwrap().iter().map(|batch| batch["id"].as_str().unwrap()).collect();
        assert_eq!((ran.exit, reported), (143, ids.iter().map(String::as_str).collect()), "{case}: {}", ran.text());
        let outcome = if on_abort == "detach" && !ids.is_empty() { "detached" } else { "cancelled" };
        assert_eq!(ran.outcome(), outcome, "{case}: {}", ran.text());
        let outputs = std::fs::read_to_string(outputs).unwrap();
        assert!(outputs.contains(&format!("\n{outcome}\n")), "{case}: {outputs}");
        assert!(ids.iter().all(|id| outputs.contains(&format!("\n{id}\n"))), "{case}: {outputs}");
        match on_abort {
            "detach" => assert_eq!((lab.calls("cancel"), lab.is_anything_running()), (0, !ids.is_empty()), "{case}"),
            _ => assert!(!lab.is_anything_running(), "{case}: {}", ran.text()),
        }
        assert!(ran.took <= first + 5 * SECOND, "{case}: {:?}", ran.took);
        assert!(ran.text().contains("SIGTERM: ending the run"), "{case}: {}", ran.text());
        assert_eq!(ran.text().contains("SIGHUP"), gap >= SECOND && ran.took >= first + gap, "{case}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn pairs_of_signals_leave_the_report_the_ids_and_the_cancel() {
    const FAULTS: [&str; 4] = ["", "any delay=300ms", "create drop times=1", "any delay=300ms\ncreate drop times=1"];
    let mut rng = fastrand::Rng::with_seed(9);
    for round in 0..rounds(30) as u64 {
        let on_abort = if round % 2 == 0 { "cancel" } else { "detach" };
        // A create in doubt is left as it is by a run that detaches: its batch has no name yet.
        let faults = FAULTS[rng.usize(..if on_abort == "cancel" { 4 } else { 2 })];
        let (first, gap) = (Duration::from_millis(rng.u64(..3_000)), Duration::from_millis(rng.u64(..=1_500)));
        Pair { first, gap, faults, on_abort }.hold().await;
    }
    println!("pairs of signals, on virtual time: {} held", rounds(30));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_does_not_overtake_a_cancel_on_its_way() {
    for faults in ["cancel delay=2900ms", "cancel reset times=1\ncancel delay=1500ms after=1"] {
        let lab = Lab::new(HOUR, faults).await;
        let ran = lab.run_signalled(&[], &[(60 * SECOND, 2), (61 * SECOND, 15)]).await;
        assert_eq!((ran.exit, ran.outcome()), (130, "cancelled"), "{faults}: {}", ran.text());
        assert!(!lab.is_anything_running() && !ran.text().contains("may still run"), "{faults}: {}", ran.text());
        assert!(ran.took <= 63 * SECOND, "{faults}: {:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_waiting_and_says_what_may_still_run() {
    let lab = Lab::new(HOUR, "cancel stall").await;
    let ran = lab.run_signalled(&[], &[(60 * SECOND, 2), (61 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome()), (130, "cancelled"), "{}", ran.text());
    assert_eq!(ran.took, 63 * SECOND, "two seconds for what is on its way");
    let id = lab.tally().batches[0].id.clone();
    assert!(
        ran.text().contains(&format!("`batchstep cancel {id} --base-url {}` ends it", lab.base_url)),
        "{}",
        ran.text()
    );
    assert_eq!(ran.report["batches"][0]["id"], id);
    let (at, first) = ran.log.iter().find(|(_, line)| line.starts_with("SIGINT:")).unwrap();
    assert!(*at == 60 * SECOND && first.contains("a second signal"), "{}", ran.text());
    // The batch of a create in doubt has no name to be ended by, but a mark.
    let lab = Lab::new(HOUR, "create drop\nlist 503 after=1").await;
    let ran = lab.run_signalled(&[], &[(10 * SECOND, 2), (11 * SECOND, 15)]).await;
    assert!(ran.exit == 130 && ran.took <= 12 * SECOND, "{:?} {}", ran.took, ran.text());
    let create = ran.text().split("batchstep cancel --create ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(create, create_of(&lab));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_being_cancelled_is_not_called_detached() {
    let lab = Lab::new(10 * HOUR, "").await;
    let inputs = ["--timeout", "1h", "--on-abort", "detach"];
    let ran = lab.run_signalled(&inputs, &[(HOUR + 30 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (143, "cancelled", 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_is_interrupted_names_its_batches() {
    let lab = Lab::new(HOUR, "get stall").await;
    assert_eq!(lab.submit(&[]).await.exit, 0);
    let id = lab.tally().batches[0].id.clone();
    let ran = lab.collect_signalled(&[id.as_str()], &[(SECOND, 15), (3 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{}", ran.text());
    assert_eq!((&ran.report["batches"][0]["id"], ran.took), (&id.into(), SECOND), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn cancelling_from_outside_asks_once_more_and_says_what_may_still_run() {
    for (faults, is_sure) in [("cancel delay=2500ms", true), ("cancel 503 times=2", true), ("cancel stall", false)] {
        let lab = Lab::new(HOUR, faults).await;
        assert_eq!(lab.submit(&[]).await.exit, 0);
        let id = lab.tally().batches[0].id.clone();
        let ended = lab.command(&["cancel", &id], &[(SECOND, 2), (2 * SECOND, 2)]).await;
        assert_eq!(ended.exit, 130, "{faults}: {}", ended.text());
        let says_so = ended.text().contains(&format!("`batchstep cancel {id} --base-url"));
        assert_eq!(says_so, !is_sure, "{faults}: {}", ended.text());
        assert!(ended.took <= 4 * SECOND, "{faults}: {:?}", ended.took);
        assert!(!lab.is_anything_running(), "{faults}: {}", ended.text());
    }
    let lab = Lab::new(HOUR, "list stall").await;
    let ended = lab.command(&["cancel", "--create", "a-mark"], &[(SECOND, 2)]).await;
    assert!(ended.text().contains("`batchstep cancel --create a-mark --base-url"), "{}", ended.text());
    assert_eq!((ended.exit, ended.took), (130, SECOND));
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
