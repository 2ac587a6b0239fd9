//! The ledger: `collect --pending` finds the checks that wait, and concludes them.

use std::time::Duration;

use batchstep_test_support::github_server::{GitHub, HEAD, TOKEN};
use serde_json::{Value, json};

use crate::github::set_event;
use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const SHOWN: [&str; 4] = ["--check-run", "--comment", "--github-token", TOKEN];

pub(crate) fn sha(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// A job of a run for a pull request at this commit, on a machine of its own.
pub(crate) fn pull_job(lab: &Lab, github: &GitHub, run: u64, number: u64, sha: &str) -> Lab {
    github.open_pull(number, sha);
    let event = json!({ "pull_request": { "number": number, "head": { "sha": sha } } });
    job(lab, github, run, &event)
}

pub(crate) fn job(lab: &Lab, github: &GitHub, run: u64, event: &Value) -> Lab {
    let mut job = lab.neighbour();
    set_event(&mut job, github, run, event);
    job
}

/// What a tick of the schedule did.
pub(crate) struct Tick {
    pub(crate) exit: u8,
    pub(crate) text: String,
    pub(crate) outcome: String,
    pub(crate) runs: Vec<Value>,
    summary: String,
    job: Lab,
}

/// A tick of the schedule: a machine of its own, without the requests.
pub(crate) async fn tick(lab: &Lab, github: &GitHub, inputs: &[&str]) -> Tick {
    tick_signalled(lab, github, inputs, &[]).await
}

pub(crate) async fn tick_signalled(lab: &Lab, github: &GitHub, inputs: &[&str], signals: &[(Duration, u8)]) -> Tick {
    let job = job(lab, github, 500, &json!({ "schedule": "17,47 * * * *" }));
    std::fs::remove_file(job.dir.path().join("requests.jsonl")).unwrap();
    tick_in(job, inputs, signals).await
}

pub(crate) async fn tick_in(job: Lab, inputs: &[&str], signals: &[(Duration, u8)]) -> Tick {
    let ran = job.collect_signalled(&[&["--pending"], &SHOWN[..], inputs].concat(), signals).await;
    assert!(!ran.text().contains(TOKEN), "{}", ran.text());
    let read = |name: &str| std::fs::read_to_string(job.dir.path().join(name)).unwrap_or_default();
    let (outcome, runs) = (output(&read("output"), "outcome"), output(&read("output"), "runs"));
    let runs = serde_json::from_str(&runs).unwrap_or_default();
    Tick { exit: ran.exit, text: ran.text(), outcome, runs, summary: read("summary"), job }
}

/// The last value of an output.
fn output(outputs: &str, name: &str) -> String {
    let value = outputs.rsplit_once(&format!("{name}<<")).and_then(|(_, after)| after.lines().nth(1));
    value.unwrap_or_default().to_owned()
}

pub(crate) async fn submit(job: &Lab, inputs: &[&str]) -> Ran {
    let ran = job.submit(&[&SHOWN[..], inputs].concat()).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "pending"), "{}", ran.text());
    ran
}

/// The conclusions of all checks, in the order in which they were opened; none of one in progress.
pub(crate) fn conclusions(github: &GitHub) -> Vec<Option<String>> {
    let state = github.state.lock().unwrap();
    state.checks.iter().map(|check| check["conclusion"].as_str().map(str::to_owned)).collect()
}

pub(crate) fn all(word: &str, count: usize) -> Vec<Option<String>> {
    vec![Some(word.to_owned()); count]
}

/// The comments, each with its pull request.
fn comments(github: &GitHub) -> Vec<(String, String)> {
    let state = github.state.lock().unwrap();
    let text = |comment: &Value, member: &str| comment[member].as_str().unwrap().to_owned();
    let pull = |comment: &Value| text(comment, "issue_url").rsplit('/').next().unwrap().to_owned();
    state.comments.iter().map(|comment| (pull(comment), text(comment, "body"))).collect()
}

/// A run's own report.
pub(crate) fn report(run: &Value) -> Value {
    serde_json::from_str(&std::fs::read_to_string(run["report_file"].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_collected_and_its_check_concluded() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    let submitted = submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    for (inputs, exit) in [(&[][..], 0), (&["--fail-if-pending"], 8)] {
        let early = tick(&lab, &github, inputs).await;
        assert_eq!((early.exit, &*early.outcome, &early.runs[0]["outcome"]), (exit, "pending", &json!("pending")));
        assert!(!early.job.out().exists(), "there is nothing to keep of what is not over");
    }
    assert_eq!(conclusions(&github), [None]);
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &["--fail-if-pending"]).await;
    assert_eq!((late.exit, &*late.outcome, late.runs.len()), (0, "succeeded", 1), "{}", late.text);
    assert_eq!(conclusions(&github), all("success", 1));
    let key = submitted.report["requests"]["key"].as_str().unwrap();
    let run = &late.runs[0];
    assert_eq!((&run["outcome"], &run["simulated"], &run["key"]), (&json!("succeeded"), &json!(true), &json!(key)));
    assert_eq!((&run["pull_requests"], &run["exit_code"]), (&json!([7]), &json!(0)));
    assert_eq!(run["check_ids"], json!([github.state.lock().unwrap().checks[0]["id"]]));
    let results = late.job.out().join(&key[..12]).join("results.jsonl");
    assert_eq!(run["results_file"], json!(results.display().to_string()));
    assert_eq!(std::fs::read_to_string(results).unwrap().lines().count(), 20);
    let [(pull, body)] = &comments(&github)[..] else { panic!("one comment") };
    assert!(pull == "7" && body.contains("SIMULATED") && body.contains("All 20 answered"), "{body}");
    for text in [&late.summary, &late.text] {
        assert!(text.contains("SIMULATED") && text.contains("Collected: 1. Not over yet: 0."), "{text}");
    }
    assert!(late.summary.contains(&key[..12]) && late.summary.contains("#7"), "{}", late.summary);
    let downloads = lab.calls("content");
    let idle = tick(&lab, &github, &["--fail-if-pending"]).await;
    assert_eq!((idle.exit, &*idle.outcome, idle.runs.len()), (0, "succeeded", 0), "{}", idle.text);
    assert_eq!(lab.calls("content"), downloads, "what is concluded is not collected again");
}

#[tokio::test(start_paused = true)]
async fn every_check_that_waits_for_a_batch_gets_its_verdict() {
    for (path, listed) in [("", 0), ("/api/v3", 130)] {
        let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new(path).await);
        // Checks of others make more than a page of them.
        for _ in 0..listed {
            github.check_by_others(&json!({ "name": "lint", "head_sha": sha('d'), "status": "in_progress" }));
        }
        submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
        submit(&pull_job(&lab, &github, 2, 8, &sha('d')), &[]).await;
        submit(&pull_job(&lab, &github, 3, 7, &sha('e')), &[]).await;
        submit(&job(&lab, &github, 4, &json!({ "ref": "refs/heads/main" })), &[]).await;
        tokio::time::sleep(2 * HOUR).await;
        let late = tick(&lab, &github, &[]).await;
        assert_eq!((late.exit, late.runs.len()), (0, 1), "{}", late.text);
        assert_eq!(conclusions(&github)[listed..], all("success", 4)[..], "{}", late.text);
        assert_eq!(late.runs[0]["pull_requests"], json!([7, 8]));
        let pulls: Vec<String> = comments(&github).into_iter().map(|(pull, _)| pull).collect();
        assert_eq!(pulls, ["7", "8"]);
        // The input and the output, once each.
        assert_eq!((lab.tally().creates, lab.tally().rows_paid), (1, 20));
        assert!(lab.calls("content") <= 3, "{}", lab.calls("content"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_for_answers_that_were_there_already_does_not_hang() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(tick(&lab, &github, &[]).await.exit, 0);
    submit(&pull_job(&lab, &github, 2, 8, &sha('d')), &["--reuse", "finished"]).await;
    assert_eq!((lab.tally().creates, conclusions(&github)), (1, vec![Some("success".to_owned()), None]));
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, all("success", 2)), "{}", late.text);
    assert_eq!(late.runs[0]["pull_requests"], json!([8]));
}

#[tokio::test(start_paused = true)]
async fn of_two_submissions_at_once_both_get_the_verdict_of_the_batch_that_stays() {
    // Both look before the other's create, and the first, whose upload is slow, sees the second's after its own.
    let slow = "upload 503 retry-after=8s times=1";
    let (lab, github) = (Lab::new(HOUR, slow).await, GitHub::new("").await);
    let jobs = [pull_job(&lab, &github, 1, 7, HEAD), pull_job(&lab, &github, 2, 8, &sha('d'))];
    let second = async {
        tokio::time::sleep(5 * SECOND).await;
        submit(&jobs[1], &[]).await
    };
    tokio::join!(submit(&jobs[0], &[]), second);
    assert_eq!((lab.tally().creates, lab.calls("cancel")), (2, 1));
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, late.runs.len(), conclusions(&github)), (0, 1, all("success", 2)), "{}", late.text);
}

/// A batch with marks that anybody with a key could write.
async fn forge(lab: &Lab, file: &str, key: &str, repo: &str, check: &str) {
    let body = json!({
        "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h",
        "metadata": { "batchstep_repo": repo, "batchstep_key": key, "batchstep_check": check },
    });
    lab.post("/batches", &body).await;
}

#[tokio::test(start_paused = true)]
async fn marks_that_others_wrote_conclude_nothing() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    let submitted = submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    let key = submitted.report["requests"]["key"].as_str().unwrap();
    let file = submitted.report["input_file_id"].as_str().unwrap();
    let ours = github.state.lock().unwrap().checks[0]["id"].clone();
    let by_others = |name: &str, key: &str| {
        github.check_by_others(&json!({ "name": name, "head_sha": HEAD, "external_id": key, "status": "in_progress" }))
    };
    let (lint, other) = (by_others("lint", key), by_others("batchstep: other.jsonl", "another key"));
    github.close_pull(7);
    // The newest batches are looked at first.
    tokio::time::sleep(SECOND).await;
    forge(&lab, file, key, "octo/repo", &format!("{lint}/{HEAD}/7/0")).await;
    forge(&lab, file, key, "octo/repo", &format!("{other}/{HEAD}/7/0")).await;
    forge(&lab, file, "of another work", "octo/repo", &format!("{ours}/{HEAD}/7/100%")).await;
    forge(&lab, file, key, "octo/repo", &format!("{ours}/{}/7/100%", sha('d'))).await;
    forge(&lab, file, key, "octo/repo", &format!("4711/{HEAD}/7/0")).await;
    forge(&lab, file, key, "octo/repo", "what is this").await;
    forge(&lab, file, key, "octo/other", &format!("{ours}/{HEAD}/7/100%")).await;
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, late.runs.len()), (0, 1), "{}", late.text);
    assert_eq!(late.runs[0]["batch_ids"], json!([submitted.report["batches"][0]["id"]]));
    assert_eq!(conclusions(&github), [Some("success".to_owned()), None, None], "{}", late.text);
    for (why, times) in [("which is not of this batch", 4), ("which does not exist", 1)] {
        assert_eq!(late.text.matches(why).count(), times, "{why}: {}", late.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_has_no_batch_yet_keeps_its_check() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    let submitted = submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    tokio::time::sleep(2 * HOUR).await;
    // Of the same requests, on an open pull request, and not yet at its create.
    let check = json!({
        "name": "batchstep: requests.jsonl", "head_sha": HEAD, "status": "in_progress",
        "external_id": submitted.report["requests"]["key"],
    });
    github.check_by_others(&check);
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, vec![Some("success".to_owned()), None]), "{}", late.text);
}

#[tokio::test(start_paused = true)]
async fn each_run_is_judged_by_its_own_mark_in_its_own_directory() {
    let (lab, github) = (Lab::new(HOUR, "rows status=500 share=30%").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &["--max-failed", "50%", "--reuse", "never"]).await;
    tokio::time::sleep(MINUTE).await;
    submit(&pull_job(&lab, &github, 2, 8, &sha('d')), &["--max-failed", "1", "--reuse", "never"]).await;
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    // The verdicts go to their checks; that all was collected is success.
    assert_eq!((late.exit, &*late.outcome), (0, "succeeded"), "{}", late.text);
    let seen: Vec<_> = late.runs.iter().map(|run| (run["outcome"].clone(), run["exit_code"].clone())).collect();
    assert_eq!(seen, [(json!("partial"), json!(0)), (json!("failed"), json!(7))]);
    assert_eq!(conclusions(&github), [Some("success".to_owned()), Some("failure".to_owned())]);
    let dir = |run: &Value| std::path::Path::new(run["results_file"].as_str().unwrap()).parent().unwrap().to_owned();
    let key = late.runs[0]["key"].as_str().unwrap();
    assert_eq!(dir(&late.runs[0]), late.job.out().join(&key[..12]));
    assert_eq!(dir(&late.runs[1]), late.job.out().join(format!("{}-{}", &key[..12], late.runs[1]["check_ids"][0])));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_waits_for_more_is_not_concluded_by_a_part() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    let submitted = submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    github.wait_for_another();
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, late.runs.len(), conclusions(&github)), (0, 0, vec![None]), "{}", late.text);
    assert!(late.text.contains("waits for a batch that is not listed"), "{}", late.text);
    // Nor where the part is named.
    let id = submitted.report["batches"][0]["id"].as_str().unwrap();
    let job = pull_job(&lab, &github, 2, 8, &sha('d'));
    let ran = job.collect(&[&[id], &SHOWN[..]].concat()).await;
    assert!(ran.exit == 0 && ran.text().contains("waits for more batches than these"), "{}", ran.text());
    assert_eq!(conclusions(&github), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_its_run_concluded_meanwhile_is_left_alone() {
    let (lab, github) = (Lab::new(HOUR, "content 503 for=90s").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    let before = comments(&github);
    tokio::time::sleep(2 * HOUR).await;
    let meanwhile = async {
        tokio::time::sleep(70 * SECOND).await;
        let check = &mut github.state.lock().unwrap().checks[0];
        (check["status"], check["conclusion"]) = (json!("completed"), json!("timed_out"));
    };
    let (late, ()) = tokio::join!(tick(&lab, &github, &[]), meanwhile);
    assert_eq!((late.exit, conclusions(&github)), (0, all("timed_out", 1)), "{}", late.text);
    assert_eq!(comments(&github), before);
}

#[tokio::test(start_paused = true)]
async fn the_comment_is_the_newest_runs_whichever_is_over_first() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    let first = submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    tokio::time::sleep(30 * MINUTE).await;
    let job = pull_job(&lab, &github, 2, 7, &sha('d'));
    let requests = std::fs::read_to_string(job.dir.path().join("requests.jsonl")).unwrap();
    std::fs::write(job.dir.path().join("requests.jsonl"), requests.replace("Say it", "Say that")).unwrap();
    let second = submit(&job, &[]).await;
    let id = |ran: &Ran| ran.report["batches"][0]["id"].as_str().unwrap().to_owned();
    for minutes in [45, 45] {
        tokio::time::sleep(minutes * MINUTE).await;
        assert_eq!(tick(&lab, &github, &[]).await.exit, 0);
        let [(_, body)] = &comments(&github)[..] else { panic!("one comment") };
        assert!(body.contains(&id(&second)) && !body.contains(&id(&first)), "{body}");
    }
    assert_eq!(conclusions(&github), all("success", 2));
}

#[tokio::test(start_paused = true)]
async fn only_the_pull_requests_that_changed_last_are_looked_at() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    for number in 1000..1130 {
        github.open_pull(number, &format!("{number:040}"));
    }
    let before = github.count("GET", "");
    let early = tick(&lab, &github, &[]).await;
    assert!(early.exit == 0 && early.text.contains("more than a hundred open pull requests"), "{}", early.text);
    // The check of the mark, the pull requests, the heads of a hundred of them, and the event's own commit.
    assert_eq!(github.count("GET", "") - before, 103);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_several_batches_is_concluded_when_all_of_them_are_over() {
    // The third batch is made while the first two are at work.
    let (lab, github) = (Lab::new(HOUR, "create 429 after=2 times=1 retry-after=60s").await, GitHub::new("").await);
    let line = |index: usize| {
        let body = format!(r#"{{"model":"m{}","messages":[{{"role":"user","content":"Hi"}}]}}"#, index % 3);
        format!(r#"{{"custom_id":"request-{index}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
            + "\n"
    };
    std::fs::write(lab.dir.path().join("requests.jsonl"), (0..20).map(line).collect::<String>()).unwrap();
    let first = pull_job(&lab, &github, 1, 7, HEAD);
    let submitted = submit(&first, &[]).await;
    assert_eq!(lab.tally().creates, 3, "{}", submitted.text());
    // Another push attaches to all three.
    let pushed = pull_job(&lab, &github, 2, 7, &sha('c'));
    submit(&pushed, &[]).await;
    assert_eq!(lab.tally().creates, 3);
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &["--fail-if-pending"]).await;
    assert_eq!((late.exit, late.runs.len()), (0, 1), "{}", late.text);
    assert_eq!(conclusions(&github), all("success", 2), "{}", late.text);
    assert_eq!((report(&late.runs[0])["counts"]["succeeded"].as_u64(), lab.tally().rows_paid), (Some(20), 20));

    // A run that is killed between its batches leaves a check that waits for all of them.
    let (lab, github) = (Lab::new(HOUR, "create stall after=2").await, GitHub::new("").await);
    std::fs::write(lab.dir.path().join("requests.jsonl"), (0..20).map(line).collect::<String>()).unwrap();
    let killed = pull_job(&lab, &github, 1, 7, HEAD);
    assert!(tokio::time::timeout(20 * SECOND, killed.submit(&SHOWN)).await.is_err());
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, vec![None]), "{}", late.text);
}

#[tokio::test(start_paused = true)]
async fn a_check_names_each_batch_as_it_comes() {
    // The second batch is made a minute after the first, and then the run is killed.
    let (lab, github) = (Lab::new(HOUR, "create 429 after=1 times=1 retry-after=60s").await, GitHub::new("").await);
    let line = |index: usize| {
        let body = format!(r#"{{"model":"m{index}","messages":[{{"role":"user","content":"Hi"}}]}}"#);
        format!(r#"{{"custom_id":"request-{index}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
            + "\n"
    };
    std::fs::write(lab.dir.path().join("requests.jsonl"), (0..2).map(line).collect::<String>()).unwrap();
    let killed = pull_job(&lab, &github, 1, 7, HEAD);
    assert!(tokio::time::timeout(2 * MINUTE, killed.run(&SHOWN)).await.is_err());
    let summary = github.state.lock().unwrap().checks[0]["output"]["summary"].to_string();
    assert_eq!(lab.tally().batches.len(), 2);
    assert!(lab.tally().batches.iter().all(|batch| summary.contains(&batch.id)), "{summary}");
}
