//! Promises about batches that are found again: by a journal, by another machine, by a later attempt.

use std::time::Duration;

use batchstep_test_support::rounds;

use super::{HOUR, MINUTE, Subject, assert_paid_once, killed};
use crate::lab::github;

/// Killed at any moment of its life, a run is resumed from its journal. Each call takes ten seconds, so that every one
/// of them is hit before and after it is acted on.
pub(super) async fn killed_at_any_step(subject: Subject) {
    // Steps of 13 seconds hit the calls at other places each time.
    let (lags, step): (&[u64], usize) = if rounds(1) == 1 { (&[20], 13) } else { (&[0, 20, 50], 3) };
    for lag in lags {
        for moment in (1..).step_by(step).map(Duration::from_secs) {
            let lab = subject.lab(5 * MINUTE, &format!("any delay=10s\nlist lag={lag}s")).await;
            if let Some(ran) = killed(&lab, moment, &["--poll-interval", "2m"]).await {
                assert_paid_once(&lab, &ran);
                assert!(moment > 5 * MINUTE, "{moment:?}");
                break;
            }
            let ran = lab.run(&[]).await;
            assert_eq!(lab.completed().len(), 1, "{lag} s, {moment:?}: {:?}\n{}", lab.tally(), ran.text());
            assert_paid_once(&lab, &ran);
        }
    }
}

/// A completed batch is reused by whoever asks for it, and only then.
pub(super) async fn reused_elsewhere(subject: Subject) {
    let lab = subject.lab(HOUR, "").await;
    assert_eq!(lab.run(&[]).await.exit, 0);
    let other = lab.neighbour();
    let reused = other.run(&["--reuse", "finished"]).await;
    assert_paid_once(&lab, &reused);
    assert!(reused.took < MINUTE && lab.tally().creates == 1, "{}", reused.text());
    for reuse in ["active", "never"] {
        let other = lab.neighbour();
        let ran = other.run(&["--reuse", reuse]).await;
        assert_eq!((ran.exit, ran.report["batches"][0]["attached"].is_null()), (0, true), "{reuse}: {}", ran.text());
    }
    assert_eq!(lab.tally().creates, 3);
    // Other requests are other work.
    let other = lab.neighbour();
    other.ask(&subject.other_requests());
    assert_eq!((other.run(&["--reuse", "finished"]).await.exit, lab.tally().creates), (0, 4));
}

/// What an attempt of a job completed before it could say so is used by the next, and by no other job.
pub(super) async fn an_earlier_attempt(subject: Subject) {
    let mut lab = subject.lab(HOUR, "").await;
    lab.env = github(7, 1);
    assert!(killed(&lab, 10 * MINUTE, &[]).await.is_none());
    tokio::time::sleep(2 * HOUR).await;
    for (run, attempt, creates) in [(7, 2, 1), (8, 1, 2)] {
        lab.forget();
        lab.env = github(run, attempt);
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, creates), "{run}/{attempt}: {}", ran.text());
        ran.assert_complete(20);
    }
    // Other requests of the same step, as many, are other work.
    lab.forget();
    lab.env = github(7, 3);
    lab.ask(&subject.other_requests());
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.tally().creates), (0, 3), "{}", ran.text());
    ran.assert_complete(20);
}

/// A batch that runs is waited for by whoever has the same requests.
pub(super) async fn attached_elsewhere(subject: Subject) {
    let lab = subject.lab(HOUR, "").await;
    assert!(killed(&lab, 10 * MINUTE, &[]).await.is_none());
    let ran = lab.neighbour().run(&[]).await;
    assert_paid_once(&lab, &ran);
    assert_eq!(lab.tally().creates, 1);
}
