//! Coming back for what was submitted, on whatever machine, as often as one likes.

use std::time::Duration;

use batchstep_test_support::github_server::{GitHub, HEAD, TOKEN};
use serde_json::json;

use crate::github::set_event;
use crate::lab::Lab;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn submit(lab: &Lab) -> String {
    let ran = lab.submit(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("content")), (0, "pending", 0), "{}", ran.text());
    assert!(ran.took < MINUTE, "{:?}", ran.took);
    ran.report["batches"][0]["id"].as_str().unwrap().to_owned()
}

/// What another machine has of the requests.
#[derive(Clone, Copy, PartialEq)]
enum Requests {
    AtHand,
    Absent,
}

/// Another machine.
fn elsewhere(lab: &Lab, requests: Requests) -> Lab {
    let other = lab.neighbour();
    if requests == Requests::Absent {
        std::fs::remove_file(other.dir.path().join("requests.jsonl")).unwrap();
    }
    other
}

fn results(lab: &Lab) -> String {
    std::fs::read_to_string(lab.out().join("results.jsonl")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn any_machine_gets_the_same_results_as_often_as_it_asks() {
    // Answers never come in the order of the requests, and some do not come at all.
    let lab = Lab::new(HOUR, "rows missing share=20%").await;
    let id = submit(&lab).await;
    let with = elsewhere(&lab, Requests::AtHand);
    let ran = with.collect(&[&id, "--max-failed", "50%"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "partial"), "{}", ran.text());
    assert!(ran.took > HOUR / 2, "it waits: {:?}", ran.took);
    ran.assert_complete(20);
    assert!(ran.count("missing") > 0 && results(&with).contains("batchstep_missing"));
    let without = elsewhere(&lab, Requests::Absent);
    for lab in [&with, &without, &without] {
        let again = lab.collect(&[&id, "--max-failed", "50%"]).await;
        assert_eq!((again.exit, again.outcome()), (0, "partial"), "{}", again.text());
        assert_eq!(again.report["warnings"], ran.report["warnings"]);
        assert_eq!(again.report["coverage"], "requests");
        assert_eq!((results(lab), &again.report["counts"]), (results(&with), &ran.report["counts"]));
    }
    assert_eq!((lab.tally().creates, lab.calls("cancel")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_named_and_cannot_be_used_are_a_mistake() {
    let lab = Lab::new(MINUTE, "").await;
    let id = submit(&lab).await;
    let other = elsewhere(&lab, Requests::AtHand);
    let path = other.dir.path().join("requests.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    for (changed, exit, why) in [
        (text.replace("request-1\"", "renamed\""), 2, format!("batch {id} was created from other requests")),
        (text.replace("request-1\"", "request-2\""), 3, "it must be unique".to_owned()),
        (text.replace("request-1\"", ""), 3, "cannot be used".to_owned()),
    ] {
        std::fs::write(&path, changed).unwrap();
        let ran = other.collect(&[&id]).await;
        assert_eq!((ran.exit, ran.results.len()), (exit, 0), "{}", ran.text());
        assert!(ran.report["reason"].as_str().unwrap().contains(&why), "{}", ran.text());
    }
    let ran = other.collect(&[&id, "--requests", "no/such/file.jsonl"]).await;
    assert_eq!(ran.exit, 3, "{}", ran.text());
    assert!(ran.report["reason"].as_str().unwrap().contains("`no/such/file.jsonl` does not exist"), "{}", ran.text());
    // Nothing was lost by it.
    std::fs::write(&path, text).unwrap();
    let ran = other.collect(&[&id]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_of_the_batch_need_not_be_known_to_know_its_requests() {
    let lab = Lab::new(MINUTE, "").await;
    let limits = ["--max-requests", "7", "--upload-fields", "route=a"];
    let submitted = lab.submit(&limits).await;
    assert_eq!((submitted.exit, lab.tally().creates), (0, 3), "{}", submitted.text());
    let ids: Vec<String> = lab.tally().batches.into_iter().map(|batch| batch.id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let ran = elsewhere(&lab, Requests::AtHand).collect(&ids).await;
    assert_eq!((ran.exit, lab.calls("content")), (0, 3), "nothing is given back: {}", ran.text());
    ran.assert_complete(20);
    // Some of the batches are not all of the requests.
    let some = elsewhere(&lab, Requests::AtHand).collect(&ids[..2]).await;
    assert_eq!(some.exit, 2, "{}", some.text());
    assert!(some.report["reason"].as_str().unwrap().contains("only a part of its requests"), "{}", some.text());
    let some = elsewhere(&lab, Requests::Absent).collect(&ids[..2]).await;
    assert_eq!((some.exit, some.count("succeeded")), (0, 14), "{}", some.text());
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_marks_is_known_by_its_size() {
    let lab = Lab::new(MINUTE, "batch no-metadata\nget-file 503 times=2").await;
    let id = submit(&lab).await;
    let with = elsewhere(&lab, Requests::AtHand);
    let ran = with.collect(&[&id]).await;
    assert_eq!((ran.exit, &ran.report["warnings"]), (0, &json!([])), "{}", ran.text());
    ran.assert_complete(20);
    let path = with.dir.path().join("requests.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("Say it", "Say this")).unwrap();
    let ran = with.collect(&[&id]).await;
    assert_eq!(ran.exit, 2, "{}", ran.text());
    assert!(
        ran.report["reason"].as_str().unwrap().contains(" bytes, and the batches were created from "),
        "{}",
        ran.text()
    );
    std::fs::write(&path, text.lines().take(19).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let ran = with.collect(&[&id]).await;
    assert_eq!(ran.exit, 2, "{}", ran.text());
    assert!(ran.report["reason"].as_str().unwrap().contains("19 requests, and the batches have 20"), "{}", ran.text());
    // Where nobody can tell, the user is believed, and reads that it was so.
    let lab = Lab::new(MINUTE, "batch no-metadata\nget-file 405").await;
    let id = submit(&lab).await;
    let ran = elsewhere(&lab, Requests::AtHand).collect(&[&id]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    assert!(ran.text().contains("cannot be determined"), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn where_the_requests_cannot_be_had_the_answers_are_counted() {
    let lab = Lab::new(MINUTE, "file withheld\nrows missing share=20%").await;
    let id = submit(&lab).await;
    let other = elsewhere(&lab, Requests::Absent);
    let ran = other.collect(&[&id]).await;
    assert_eq!((ran.exit, ran.outcome(), &ran.report["coverage"]), (7, "failed", &json!("counted")), "{}", ran.text());
    assert!(ran.report["warnings"][0].as_str().unwrap().contains("only the number of missing requests is known"));
    assert!(ran.text().contains("batchstep_missing: The provider gave no answer to this request.\n"), "{}", ran.text());
    let missing = ran.count("missing");
    assert_eq!((ran.count("total"), ran.results.len() as u64), (20, 20 - missing));
    assert!(missing > 0 && !results(&other).contains("batchstep_missing"));
    // With the requests at hand nothing has to be given back.
    let with = elsewhere(&lab, Requests::AtHand);
    let ran = with.collect(&[&id]).await;
    assert_eq!((&ran.report["coverage"], ran.count("missing")), (&json!("requests"), missing), "{}", ran.text());
    ran.assert_complete(20);
    // The answers that came are the same, whatever their order.
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.contains("batchstep_missing"));
        lines.sort();
        lines
    };
    assert_eq!(sorted(results(&other)), sorted(results(&with)));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_nobody_answers_says_what_was_not_seen() {
    let lab = Lab::new(HOUR, "get 503").await;
    let id = submit(&lab).await;
    let ran = elsewhere(&lab, Requests::Absent).collect(&[&id, "--timeout", "0"]).await;
    assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{}", ran.text());
    let reason = ran.report["reason"].as_str().unwrap();
    assert!(reason.starts_with(&format!("Time was up before batch {id} could be looked at")), "{reason}");
    assert!(reason.contains("kept failing: HTTP 503"), "{reason}");
    assert!(ran.report["hints"][0].as_str().unwrap().contains("`batchstep collect "), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_look_at_what_is_not_over_is_pending() {
    let lab = Lab::new(HOUR, "").await;
    let id = submit(&lab).await;
    let other = elsewhere(&lab, Requests::Absent);
    for (inputs, exit) in [(&["--timeout", "0"][..], 0), (&["--timeout", "0", "--fail-if-pending"], 8)] {
        let ran = other.collect(&[&[id.as_str()], inputs].concat()).await;
        assert_eq!((ran.exit, ran.outcome(), ran.report["exit_code"].as_u64()), (exit, "pending", Some(exit.into())));
        assert!(ran.took < MINUTE && ran.text().contains("nothing was cancelled"), "{}", ran.text());
        assert!(ran.log[0].1.ends_with("; checking once, without waiting"), "{}", ran.text());
    }
    tokio::time::sleep(2 * HOUR).await;
    let ran = other.collect(&[&id, "--timeout", "0", "--fail-if-pending"]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (0, "succeeded", 0), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn without_an_id_the_journal_names_the_batches() {
    let lab = Lab::new(HOUR, "").await;
    submit(&lab).await;
    let ran = lab.collect(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    // What is collected is closed.
    for lab in [&lab, &elsewhere(&lab, Requests::AtHand)] {
        let ran = lab.collect(&[]).await;
        assert!(ran.exit == 2 && ran.text().contains("There is nothing to collect"), "{}", ran.text());
    }
    assert_eq!(results(&lab).lines().count(), 20, "results that were there stay");
}

#[tokio::test(start_paused = true)]
async fn the_next_run_in_the_same_directory_takes_up_what_was_not_collected() {
    let lab = Lab::new(HOUR, "").await;
    submit(&lab).await;
    assert_eq!(lab.collect(&["--timeout", "0"]).await.outcome(), "pending");
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batch_is_refused() {
    let lab = Lab::new(MINUTE, "").await;
    let ran = lab.collect(&["batch_4711"]).await;
    assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{}", ran.text());
    // One that was submitted a moment ago may be invisible for a while.
    let took = ran.took;
    assert!(ran.text().contains("batch_4711") && took < 3 * MINUTE, "{took:?}: {}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn each_end_has_its_verdict() {
    for (fault, exit, outcome) in [
        ("batch fail=invalid_request", 5, "failed"),
        ("batch expire=10s", 5, "failed"),
        ("batch cancel=10s", 5, "failed"),
        ("batch expire=30m", 7, "failed"),
        ("rows status=500", 7, "failed"),
    ] {
        let lab = Lab::new(HOUR, fault).await;
        let id = submit(&lab).await;
        let ran = elsewhere(&lab, Requests::Absent).collect(&[&id]).await;
        assert_eq!((ran.exit, ran.outcome()), (exit, outcome), "{fault}: {}", ran.text());
        if exit == 7 {
            ran.assert_complete(20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn examples_of_failures_have_their_lines_where_the_requests_are_at_hand() {
    let lab = Lab::new(HOUR, "rows status=500").await;
    let id = submit(&lab).await;
    for (requests, expected) in [(Requests::AtHand, json!([1, 2, 3])), (Requests::Absent, json!([null, null, null]))] {
        let ran = elsewhere(&lab, requests).collect(&[&id]).await;
        let examples = ran.report["failures"][0]["examples"].as_array().unwrap();
        let lines: Vec<_> = examples.iter().map(|example| example["line"].clone()).collect();
        assert_eq!(json!(lines), expected, "{}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn several_batches_make_one_file_if_they_belong_together() {
    let lab = Lab::new(HOUR, "").await;
    let first = submit(&lab).await;
    let second = elsewhere(&lab, Requests::AtHand);
    let path = second.dir.path().join("requests.jsonl");
    let renamed = std::fs::read_to_string(&path).unwrap().replace("request-", "other-");
    std::fs::write(&path, renamed).unwrap();
    let other = submit(&second).await;
    let both = elsewhere(&lab, Requests::Absent);
    let ran = both.collect(&[&first, &other]).await;
    assert_eq!((ran.exit, ran.outcome(), ran.count("total")), (0, "succeeded", 40), "{}", ran.text());
    let ids: Vec<&str> = ran.results.iter().map(|line| line["custom_id"].as_str().unwrap()).collect();
    assert_eq!((ids[0], ids[19], ids[20], ids[39]), ("request-0", "request-19", "other-0", "other-19"));
    // As a workflow passes on what the submitting job put out.
    let listed = json!([first, other]).to_string();
    let again = both.collect(&[&listed]).await;
    assert_eq!((again.exit, again.results == ran.results), (0, true), "{}", again.text());
    assert_eq!(both.collect(&["[batch_1]"]).await.exit, 2);
    // The same requests twice answer the same ids.
    let again = lab.submit(&["--reuse", "never"]).await.report["batches"][0]["id"].as_str().unwrap().to_owned();
    let ran = elsewhere(&lab, Requests::Absent).collect(&[&first, &again]).await;
    assert!(ran.exit == 4 && ran.text().contains("do not belong together"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn time_or_a_signal_leaves_the_batch_running_unless_an_input_says_otherwise() {
    for (inputs, signals, exit, outcome, cancels) in [
        (&["--timeout", "1h"][..], &[][..], 0, "pending", 0),
        (&["--timeout", "1h", "--on-timeout", "cancel"], &[], 6, "timed-out", 1),
        (&[], &[(MINUTE, 15)], 143, "detached", 0),
        (&["--on-abort", "cancel"], &[(MINUTE, 2)], 130, "cancelled", 1),
    ] {
        let lab = Lab::new(10 * HOUR, "").await;
        let id = submit(&lab).await;
        let ran =
            elsewhere(&lab, Requests::Absent).collect_signalled(&[&[id.as_str()], inputs].concat(), signals).await;
        assert_eq!((ran.exit, ran.outcome()), (exit, outcome), "{inputs:?}: {}", ran.text());
        assert_eq!((lab.calls("cancel"), lab.is_anything_running()), (cancels, cancels == 0), "{inputs:?}");
    }
}

/// A lab in a job on GitHub for this pull request.
fn pull_job(lab: &Lab, github: &GitHub, number: u64, sha: &str) -> Lab {
    let mut job = lab.neighbour();
    set_event(&mut job, github, number, &json!({ "pull_request": { "number": number, "head": { "sha": sha } } }));
    job
}

fn conclusions(github: &GitHub) -> Vec<String> {
    let state = github.state.lock().unwrap();
    state.checks.iter().map(|check| check["conclusion"].as_str().unwrap_or("none").to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_check_of_the_submission_gets_the_verdict() {
    let shown = ["--check-run", "--comment", "--github-token", TOKEN];
    let (lab, github) = (Lab::new(HOUR, "content 503 for=30m").await, GitHub::new("").await);
    let other = "d".repeat(40);
    let jobs = [pull_job(&lab, &github, 7, HEAD), pull_job(&lab, &github, 8, &other)];
    for job in &jobs {
        assert_eq!(job.submit(&shown).await.exit, 0);
    }
    assert_eq!(conclusions(&github), ["none", "none"]);
    let id = lab.tally().batches[0].id.clone();
    let ids = [id.as_str()];
    let early = pull_job(&lab, &github, 8, &other).collect(&[&ids[..], &shown, &["--timeout", "0"]].concat()).await;
    assert_eq!((early.outcome(), conclusions(&github)), ("pending", vec!["none".to_owned(); 2]), "{}", early.text());
    tokio::time::sleep(2 * HOUR).await;
    // What fails to be fetched fails the check; another collection corrects it.
    let failed = pull_job(&lab, &github, 8, &other).collect(&[&ids[..], &shown, &["--timeout", "0"]].concat()).await;
    assert_eq!((failed.exit, conclusions(&github)), (4, vec!["failure".to_owned(); 2]), "{}", failed.text());
    tokio::time::sleep(HOUR).await;
    let again = pull_job(&lab, &github, 8, &other).collect(&[&ids[..], &shown].concat()).await;
    assert_eq!((again.exit, conclusions(&github).remove(1)), (0, "success".to_owned()), "{}", again.text());
    let again = pull_job(&lab, &github, 7, HEAD).collect(&[&ids[..], &shown].concat()).await;
    assert_eq!((again.exit, conclusions(&github)), (0, vec!["success".to_owned(); 2]), "{}", again.text());
    assert_eq!(github.state.lock().unwrap().comments.len(), 2);
    // A verdict that is there is not taken back because the batch goes on.
    let late = pull_job(&lab, &github, 10, HEAD);
    let ran =
        late.run(&[&["--reuse", "never", "--timeout", "20m", "--on-timeout", "detach"], &shown[..]].concat()).await;
    let id = ran.report["batches"][0]["id"].as_str().unwrap().to_owned();
    let check = github.state.lock().unwrap().checks.len() - 1;
    {
        let check = &mut github.state.lock().unwrap().checks[check];
        (check["status"], check["conclusion"]) = (json!("completed"), json!("timed_out"));
    }
    let look =
        pull_job(&lab, &github, 10, HEAD).collect(&[&[id.as_str(), "--timeout", "0"], &shown[..]].concat()).await;
    assert_eq!(
        (look.outcome(), conclusions(&github).pop()),
        ("pending", Some("timed_out".to_owned())),
        "{}",
        look.text()
    );
    // Where nobody opened one, the verdict gets a check of its own.
    let plain = elsewhere(&lab, Requests::AtHand).submit(&["--reuse", "never"]).await;
    let id = plain.report["batches"][0]["id"].as_str().unwrap().to_owned();
    let ran = pull_job(&lab, &github, 9, HEAD).collect(&[&[id.as_str()], &shown[..]].concat()).await;
    assert_eq!((ran.exit, conclusions(&github).len()), (0, 4), "{}", ran.text());
}
