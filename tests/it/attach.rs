//! Running again: what an earlier run made is taken up, and nothing is paid twice.

use std::time::Duration;

use batchstep::env::Env;

use crate::lab::{Lab, Ran, github};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A run that is killed outright after so long.
async fn kill_after(lab: &Lab, after: Duration, inputs: &[&str]) {
    assert!(tokio::time::timeout(after, lab.run(inputs)).await.is_err(), "it was over before it could be killed");
}

fn assert_paid_once(lab: &Lab, ran: &Ran) {
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!((lab.tally().creates, lab.tally().rows_paid), (1, 20), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn the_journal_resumes_a_killed_run_wherever_it_was() {
    // Without metadata and list there is nothing else to go by.
    for faults in ["", "batch no-metadata\nlist 403"] {
        for after in [1, 5, 10 * 60, 2 * 3600] {
            let lab = Lab::new(HOUR, faults).await;
            let after = Duration::from_secs(after).min(HOUR + MINUTE - Duration::from_secs(30));
            kill_after(&lab, after, &["--poll-interval", "10m"]).await;
            let ran = lab.run(&[]).await;
            assert_paid_once(&lab, &ran);
            assert_eq!(lab.tally().uploads, 1, "{}", ran.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_ended_meanwhile_is_collected_by_the_journal() {
    let lab = Lab::new(HOUR, "").await;
    kill_after(&lab, 10 * MINUTE, &[]).await;
    tokio::time::sleep(2 * HOUR).await;
    let ran = lab.run(&[]).await;
    assert_paid_once(&lab, &ran);
    assert!(ran.text().contains("(the journal names it); nothing is uploaded"), "{}", ran.text());
    assert!(ran.took < MINUTE, "{:?}", ran.took);
    assert_eq!(ran.report["batches"][0]["attached"]["by"], "journal");
    // Now it is closed: a third run is a new one.
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
    assert!(ran.text().contains("is not reused: it was completed by another run"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn the_list_shows_what_runs_and_what_an_earlier_attempt_completed() {
    for faults in ["", "batch no-metadata"] {
        let mut lab = Lab::new(HOUR, faults).await;
        lab.env = github(7, 1);
        kill_after(&lab, 10 * MINUTE, &[]).await;
        lab.forget();
        lab.env = github(7, 2);
        let ran = lab.run(&[]).await;
        assert_paid_once(&lab, &ran);
    }
    let mut lab = Lab::new(HOUR, "").await;
    lab.env = github(7, 1);
    assert_eq!(lab.run(&[]).await.exit, 0);
    for (run, attempt, creates) in [(7, 2, 1), (7, 1, 2), (8, 2, 3)] {
        lab.forget();
        lab.env = github(run, attempt);
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, creates), "{run}/{attempt}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn another_repository_and_other_requests_are_none_of_ours() {
    let mut lab = Lab::new(HOUR, "").await;
    lab.env = github(7, 1);
    kill_after(&lab, MINUTE, &[]).await;
    lab.forget();
    lab.env = Env::default();
    kill_after(&lab, MINUTE, &[]).await;
    assert_eq!(lab.tally().creates, 2);
    lab.forget();
    kill_after(&lab, MINUTE, &["--completion-window", "24h", "--endpoint", "/v1/chat/completions"]).await;
    assert_eq!(lab.tally().creates, 2, "the same work without a repository");
}

#[tokio::test(start_paused = true)]
async fn reuse_says_which_batches_are_taken_up() {
    let lab = Lab::new(HOUR, "").await;
    assert_eq!(lab.run(&[]).await.exit, 0);
    let cached = lab.run(&["--reuse", "finished"]).await;
    assert_paid_once(&lab, &cached);
    assert!(cached.took < MINUTE && lab.tally().uploads == 1, "{}", cached.text());
    let anew = lab.run(&["--reuse", "never"]).await;
    assert_eq!((anew.exit, lab.tally().creates), (0, 2), "{}", anew.text());
    assert!(!anew.text().contains("Attached"), "{}", anew.text());
    // Not even the journal counts then.
    kill_after(&lab, MINUTE, &["--reuse", "never"]).await;
    let anew = lab.run(&["--reuse", "never"]).await;
    assert_eq!((anew.exit, lab.tally().creates), (0, 4), "{}", anew.text());
}

#[tokio::test(start_paused = true)]
async fn what_failed_expired_or_was_cancelled_is_passed_over() {
    for (fault, word) in [
        ("batch fail=invalid_request times=1", "failed"),
        ("batch expire=1m times=1", "expired"),
        ("batch cancel=1m times=1", "cancelled"),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        assert_ne!(lab.run(&[]).await.exit, 0, "{word}");
        let ran = lab.run(&["--reuse", "finished"]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{word}: {}", ran.text());
        assert!(ran.text().contains(&format!("is not reused: it is {word}")), "{}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_batch_whose_files_are_gone_is_passed_over() {
    let lab = Lab::new(HOUR, "").await;
    let first = lab.run(&[]).await;
    let file = first.report["batches"][0]["output_file_id"].as_str().unwrap().to_owned();
    assert_eq!(lab.command(&["file", "delete", &file], &[]).await.exit, 0);
    let ran = lab.run(&["--reuse", "finished"]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
    assert!(ran.text().contains("no longer exists"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_another_run_is_never_cancelled() {
    let mut lab = Lab::new(10 * HOUR, "").await;
    lab.env = github(7, 1);
    kill_after(&lab, MINUTE, &[]).await;
    lab.forget();
    lab.env = github(8, 1);
    let late = lab.run(&["--timeout", "1h"]).await;
    assert_eq!((late.exit, late.outcome(), lab.calls("cancel")), (6, "timed-out", 0), "{}", late.text());
    assert!(late.report["reason"].as_str().unwrap().contains("belongs to another run"), "{}", late.text());
    let ended = lab.run_signalled(&[], &[(MINUTE, 15)]).await;
    assert_eq!((ended.exit, ended.outcome(), lab.calls("cancel")), (143, "cancelled", 0), "{}", ended.text());
    // A later attempt of the run that made it may.
    lab.forget();
    lab.env = github(7, 2);
    let own = lab.run(&["--timeout", "1h"]).await;
    assert_eq!((own.exit, own.outcome(), lab.is_anything_running()), (6, "timed-out", false), "{}", own.text());
}

#[tokio::test(start_paused = true)]
async fn where_its_own_run_cancels_a_batch_those_who_waited_make_another() {
    let mut lab = Lab::new(HOUR, "batch cancel=20m times=1").await;
    lab.env = github(7, 1);
    kill_after(&lab, MINUTE, &[]).await;
    lab.forget();
    lab.env = github(8, 1);
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 2), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_hand_over_to_the_next_run() {
    let lab = Lab::new(10 * HOUR, "").await;
    let ran = lab.run(&["--timeout", "1h", "--on-timeout", "detach"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (0, "detached", 0), "{}", ran.text());
    assert!(
        ran.text().contains("Warning: Batch") && ran.text().contains("is still running. Run again"),
        "{}",
        ran.text()
    );
    assert!(ran.took <= HOUR + MINUTE);
    let next = lab.run(&[]).await;
    assert_paid_once(&lab, &next);
}

#[tokio::test(start_paused = true)]
async fn two_works_in_one_directory_are_each_resumed() {
    let lab = Lab::new(HOUR, "list 403").await;
    let path = lab.dir.path().join("requests.jsonl");
    let requests = std::fs::read_to_string(&path).unwrap();
    let works = [requests.clone(), requests.replace("Say it", "Sing it")];
    for kill in [MINUTE, 2 * MINUTE] {
        for work in &works {
            std::fs::write(&path, work).unwrap();
            kill_after(&lab, kill, &[]).await;
        }
    }
    for work in &works {
        std::fs::write(&path, work).unwrap();
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
        ran.assert_complete(20);
    }
    assert_eq!(lab.completed().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_server_no_longer_has_is_made_anew() {
    // As with the key of another project, or behind another server at the same address.
    let lab = Lab::new(HOUR, "get 404 for=150s\nlist lag=2h").await;
    kill_after(&lab, Duration::from_secs(3), &[]).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{}", ran.text());
    assert!(ran.text().contains("the provider no longer has it"), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn the_journal_of_another_server_is_not_gone_by() {
    let lab = Lab::new(HOUR, "").await;
    kill_after(&lab, MINUTE, &[]).await;
    let mut other = Lab::new(HOUR, "").await;
    other.dir = lab.dir;
    let ran = other.run(&[]).await;
    assert_paid_once(&other, &ran);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_routes_makes_other_work_and_a_trace_does_not() {
    let lab = Lab::new(HOUR, "").await;
    for (header, creates) in [
        ("x-litellm-model: large-model-one", 1),
        ("x-litellm-model: large-model-two", 2),
        ("X-LiteLLM-Model: large-model-one", 2),
        ("x-trace-id: trace-number-one", 3),
        ("x-trace-id: trace-number-two", 3),
    ] {
        lab.forget();
        assert_eq!(lab.submit(&["--headers", header]).await.exit, 0);
        assert_eq!(lab.tally().creates, creates, "{header}");
    }
    // The requests at hand are known by the same key.
    lab.forget();
    let id = lab.tally().batches[0].id.clone();
    let header = ["--headers", "X-LiteLLM-Model: large-model-one"];
    let ran = lab.collect(&[&[id.as_str()], &header[..]].concat()).await;
    assert_eq!((ran.exit, lab.calls("content")), (0, 1), "{}", ran.text());
}
