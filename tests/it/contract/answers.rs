//! Promises about answers: whose they are, which of them count, and what becomes of those that do not come.

use serde_json::Value;

use super::{FILES, HOUR, MINUTE, Subject, assert_paid_once};
use crate::lab::{Lab, Ran};

/// Ids that no vendor's grammar has room for, beside those that it has. One equals what stands for the sixth request.
fn odd_ids() -> Vec<String> {
    let long = "x".repeat(300);
    let ids = ["plain-1", "_private", "_6", "_2", "é 'quoted' \"twice\"", "emoji-🦀", "a.b/c", &long, "日本", "-", "0"];
    ids.map(str::to_owned).to_vec()
}

async fn odd_lab(subject: Subject) -> Lab {
    let lab = subject.lab(HOUR, "").await;
    lab.ask(&odd_ids().iter().map(|id| subject.line(id, "Say it")).collect::<String>());
    lab
}

fn ids(ran: &Ran) -> Vec<&str> {
    ran.results.iter().map(|line| line["custom_id"].as_str().unwrap()).collect()
}

/// What is sent may need other ids. Nobody sees these.
pub(super) async fn their_own_ids(subject: Subject) {
    for inputs in [&[][..], &["--max-requests", "4"]] {
        let lab = odd_lab(subject).await;
        let ran = lab.run(inputs).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
        assert_eq!(ids(&ran), odd_ids());
        assert!(!lab.out().join("unexpected.jsonl").exists());
    }
    // Where some of several batches are sent again, as well.
    let lab = subject.lab(HOUR, "rows status=500 share=50% times=3").await;
    lab.ask(&odd_ids().iter().map(|id| subject.line(id, "Say it")).collect::<String>());
    let ran = lab.run(&["--max-requests", "4", "--retries", "1"]).await;
    assert_eq!((ran.exit, ids(&ran).len()), (0, odd_ids().len()), "{}", ran.text());
    assert_eq!(ids(&ran), odd_ids());
    assert!(lab.tally().creates > 3, "{:?}", lab.tally());
}

/// Submits odd ids in two batches, and collects them on another machine.
async fn collected(subject: Subject, with_requests: bool) -> Ran {
    let lab = odd_lab(subject).await;
    let ran = lab.submit(&["--max-requests", "6"]).await;
    let batches = ran.report["batches"].as_array().unwrap();
    let named: Vec<&str> = batches.iter().map(|batch| batch["id"].as_str().unwrap()).collect();
    assert_eq!(named.len(), 2, "{}", ran.text());
    let other = lab.neighbour();
    if !with_requests {
        std::fs::remove_file(other.requests()).unwrap();
    }
    other.collect(&named).await
}

/// The requests tell what an id was.
pub(super) async fn their_own_ids_elsewhere(subject: Subject) {
    let ran = collected(subject, true).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    assert_eq!(ids(&ran), odd_ids());
}

/// The vendor gives the requests back.
pub(super) async fn their_own_ids_alone(subject: Subject) {
    let ran = collected(subject, false).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    assert_eq!(ids(&ran), odd_ids());
}

/// Neither side has the requests: an id that could not be sent is a number, and the log says so.
pub(super) async fn ids_that_nobody_knows(subject: Subject) {
    let ran = collected(subject, false).await;
    let numbered = |(index, id): (usize, String)| match id.as_str() {
        "plain-1" | "-" | "0" => id,
        _ if FILES.is_some_and(|files| subject.has(files)) => id,
        _ => format!("_{}", index + 1),
    };
    let mut expected: Vec<String> = odd_ids().into_iter().enumerate().map(numbered).collect();
    let is_told = expected != odd_ids();
    let mut found = ids(&ran);
    // Without the requests there is no order either.
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!((found, ran.exit), (expected.iter().map(String::as_str).collect(), 0), "{}", ran.text());
    assert_eq!(ran.text().contains("named by the request's number"), is_told, "{}", ran.text());
}

/// Answers to nothing, and second answers, are in a file of their own.
pub(super) async fn unexpected(subject: Subject) {
    for faults in ["rows stranger", "rows duplicate share=40%"] {
        let lab = subject.lab(MINUTE, faults).await;
        let ran = lab.run(&[]).await;
        assert_paid_once(&lab, &ran);
        assert!(ran.count("unexpected") > 0, "{faults}: {}", ran.text());
        assert!(lab.out().join("unexpected.jsonl").exists(), "{faults}");
    }
}

/// A batch that completed is no success as long as an answer is missing.
pub(super) async fn missing(subject: Subject) {
    let lab = subject.lab(MINUTE, "rows missing share=30%").await;
    let ran = lab.run(&[]).await;
    ran.assert_complete(20);
    assert_eq!((ran.exit, &ran.report["batches"][0]["status"]), (7, &"completed".into()), "{}", ran.text());
    assert!(ran.count("missing") > 0, "{}", ran.text());
    let enough = lab.run(&["--max-failed", "60%"]).await;
    assert_eq!((enough.exit, enough.outcome()), (0, "partial"), "{}", enough.text());
    let lab = subject.lab(MINUTE, "rows missing share=30% times=1").await;
    let ran = lab.run(&["--retries", "1"]).await;
    assert_eq!((ran.exit, ran.count("succeeded"), lab.tally().creates), (0, 20, 2), "{}", ran.text());
}

/// What failed for good would fail again.
pub(super) async fn retries(subject: Subject) {
    for (faults, exit, creates) in [
        ("rows status=500 share=40% times=1", 0, 2),
        ("rows status=429 share=40% times=1", 0, 2),
        ("rows empty share=20% times=1", 0, 2),
        ("rows status=400 share=40%", 7, 1),
        ("rows status=500 share=40%", 7, 2),
    ] {
        let lab = subject.lab(5 * MINUTE, faults).await;
        let ran = lab.run(&["--retries", "1"]).await;
        assert_eq!((ran.exit, lab.tally().creates), (exit, creates), "{faults}: {}", ran.text());
        ran.assert_complete(20);
        assert_eq!(ran.count("succeeded"), lab.tally().rows_good, "{faults}: {}", ran.text());
        assert_eq!(lab.tally().rows_good_again, 0, "{faults}");
    }
}

/// What the batch's counts promise is waited for.
pub(super) async fn late_and_short(subject: Subject) {
    for fault in [
        "answers late=40s",
        "answers late=9m",
        "answers short=1m",
        "answers torn=1m",
        "answers page=1m",
        "answers absent=90s",
        "answers gzip",
        "answers late=1m\nanswers page=2m\nanswers short=3m",
        "answers short=100s",
        "answers late=1m\nanswers uncounted",
        "answers uncounted",
        "answers undercounted",
        "content cut=700 times=3",
        "content 503 for=5m",
        "content stall times=2",
        "rows nan",
    ] {
        let lab = subject.lab(10 * MINUTE, fault).await;
        let ran = lab.run(&["--retries", "1"]).await;
        assert_paid_once(&lab, &ran);
        assert_eq!(lab.tally().creates, 1, "{fault}: {}", ran.text());
        assert!(ran.took < 25 * MINUTE, "{fault}: {:?}", ran.took);
    }
}

/// What could not be fetched is not bought again.
pub(super) async fn uncollected(subject: Subject) {
    for fault in ["content 503 for=2h", "answers page=2h", "answers late=2h", "answers torn=2h"] {
        let lab = subject.lab(HOUR, fault).await;
        let first = lab.run(&["--retries", "1"]).await;
        assert_eq!((first.exit, first.outcome()), (4, "uncollected"), "{fault}: {}", first.text());
        let id = lab.tally().batches[0].id.clone();
        assert!(first.text().contains(&format!("batchstep collect {id}")), "{fault}: {}", first.text());
        tokio::time::sleep(2 * HOUR).await;
        let second = lab.run(&[]).await;
        assert_paid_once(&lab, &second);
        assert_eq!(lab.tally().creates, 1, "{fault}: {}", second.text());
    }
    // Once collected it is over: a line stands for each request, whatever its form.
    let lab = subject.lab(HOUR, "rows status=400").await;
    let ran = lab.run(&[]).await;
    assert!(ran.results.iter().all(Value::is_object) && ran.exit == 7, "{}", ran.text());
    ran.assert_complete(20);
}
