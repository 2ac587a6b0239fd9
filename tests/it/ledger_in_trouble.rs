//! The ledger in trouble: runs that cannot be collected, a host that fails, and commands that end early.

use std::time::Duration;

use batchstep_test_support::github_server::{GitHub, HEAD, TOKEN, Wrong};
use serde_json::json;

use crate::github::set_event;
use crate::lab::Lab;
use crate::ledger::{SHOWN, all, conclusions, job, pull_job, report, sha, submit, tick, tick_in, tick_signalled};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_submission_that_was_killed_before_it_named_its_batch_is_found_by_its_mark() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    github.goes_wrong("PATCH", "check-runs", Wrong::Status(502), 99);
    let job = pull_job(&lab, &github, 1, 7, HEAD);
    assert_eq!(job.submit(&SHOWN).await.exit, 0);
    github.state.lock().unwrap().forget_faults();
    github.close_pull(7);
    tokio::time::sleep(2 * HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, all("success", 1)), "{}", late.text);
}

#[tokio::test(start_paused = true)]
async fn a_trouble_with_one_run_keeps_no_other_from_being_collected() {
    let (lab, github) = (Lab::new(HOUR, "file withheld times=1").await, GitHub::new("").await);
    let mut jobs = Vec::new();
    for (number, letter) in [(7, 'a'), (8, 'd'), (9, 'e')] {
        let job = pull_job(&lab, &github, number, number, &sha(letter));
        let path = job.dir.path().join("requests.jsonl");
        let other = std::fs::read_to_string(&path).unwrap().replace("Say it", &format!("Say it to {letter}"));
        std::fs::write(path, other).unwrap();
        submit(&job, &[]).await;
        tokio::time::sleep(MINUTE).await;
        jobs.push(job);
    }
    tokio::time::sleep(2 * HOUR).await;
    // The second's directory cannot be made.
    let key = report(&json!({ "report_file": jobs[1].out().join("report.json") }))["requests"]["key"].clone();
    let job = job(&lab, &github, 500, &json!({ "schedule": "* * * * *" }));
    std::fs::create_dir(job.out()).unwrap();
    std::fs::write(job.out().join(&key.as_str().unwrap()[..12]), "in the way").unwrap();
    let late = tick_in(job, &[], &[]).await;
    assert_eq!((late.exit, &*late.outcome), (4, "refused"), "{}", late.text);
    assert!(late.text.contains("Collected: 2. Not over yet: 0. Could not be collected: 1."), "{}", late.text);
    assert_eq!(conclusions(&github), [Some("success".to_owned()), None, Some("success".to_owned())]);
    // What was said of the first is not said of the third.
    let (first, third) = (report(&late.runs[0]), report(&late.runs[2]));
    assert_eq!((first["coverage"].as_str(), third["coverage"].as_str()), (Some("counted"), Some("requests")));
    assert_eq!((first["warnings"].as_array().unwrap().len(), &third["warnings"]), (1, &json!([])));
    let again = tick(&lab, &github, &[]).await;
    assert_eq!((again.exit, again.runs.len(), conclusions(&github)), (0, 1, all("success", 3)), "{}", again.text);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_could_not_be_collected_goes_on_waiting() {
    let (lab, github) = (Lab::new(HOUR, "content 503 for=30m").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    tokio::time::sleep(HOUR + 1000 * SECOND).await;
    // It ended a moment ago: its files may be on their way.
    let early = tick(&lab, &github, &[]).await;
    assert_eq!((early.exit, &*early.outcome, conclusions(&github)), (0, "pending", vec![None]), "{}", early.text);
    tokio::time::sleep(HOUR).await;
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, all("success", 1)), "{}", late.text);
}

#[tokio::test(start_paused = true)]
async fn trouble_at_github_is_no_success_and_soon_over() {
    let cases: [(&str, &str, Wrong, &str, usize); 6] = [
        ("GET", "/check-runs/", Wrong::Status(403), "`checks: write`", 6),
        ("GET", "", Wrong::Status(503), "gave no usable answer", 6),
        ("GET", "", Wrong::Stall, "gave no usable answer", 6),
        ("GET", "/pulls", Wrong::Status(403), "`pull-requests: read`", 99),
        ("GET", "/commits/", Wrong::Status(403), "could not be looked for", 99),
        ("PATCH", "/check-runs/", Wrong::Status(502), "could not be concluded", 99),
    ];
    for (method, path, wrong, told, most) in cases {
        let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
        for number in 1..=5 {
            let job = pull_job(&lab, &github, number, number, &sha('a'));
            submit(&job, &["--reuse", "never"]).await;
        }
        tokio::time::sleep(2 * HOUR).await;
        github.goes_wrong(method, path, wrong, 999);
        let calls = github.count("GET", "");
        let late = tick(&lab, &github, &[]).await;
        assert_eq!((late.exit, &*late.outcome), (4, "refused"), "{method} {path} {wrong:?}: {}", late.text);
        assert!(late.text.contains(told), "{method} {path} {wrong:?}: {}", late.text);
        assert!(github.count("GET", "") - calls <= most, "{}", github.count("GET", "") - calls);
        github.state.lock().unwrap().forget_faults();
        let again = tick(&lab, &github, &[]).await;
        assert_eq!((again.exit, conclusions(&github)), (0, all("success", 5)), "{}", again.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_update_is_said_beside_the_check() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    tokio::time::sleep(2 * HOUR).await;
    github.goes_wrong("PATCH", "/check-runs/", Wrong::Status(403), 9);
    let late = tick(&lab, &github, &[]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, vec![None, Some("success".to_owned())]), "{}", late.text);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_runs_ends_with_the_time_or_a_signal() {
    let (lab, github) = (Lab::new(4 * HOUR, "").await, GitHub::new("").await);
    submit(&pull_job(&lab, &github, 1, 7, HEAD), &[]).await;
    let early = tick(&lab, &github, &["--timeout", "1h"]).await;
    assert_eq!((early.exit, conclusions(&github)), (0, vec![None]), "{}", early.text);
    let ended = tick_signalled(&lab, &github, &["--timeout", "1h"], &[(MINUTE, 15)]).await;
    assert_eq!((ended.exit, conclusions(&github), lab.calls("cancel")), (143, vec![None], 0), "{}", ended.text);
    let late = tick(&lab, &github, &["--timeout", "3h"]).await;
    assert_eq!((late.exit, conclusions(&github)), (0, all("success", 1)), "{}", late.text);
}

#[tokio::test(start_paused = true)]
async fn without_the_ledger_there_is_nothing_pending() {
    let (lab, github) = (Lab::new(HOUR, "").await, GitHub::new("").await);
    let mut on_github = lab.neighbour();
    set_event(&mut on_github, &github, 1, &json!({}));
    for (lab, words, told) in [
        (&on_github, &["collect", "--pending"][..], "`pending` needs `check-run`"),
        (&on_github, &["collect", "batch_1", "--pending", "--check-run"], "exclude each other"),
        (&on_github, &["collect", "--pending", "--check-run", "--junit", "j.xml"], "`junit` names one file"),
        (&on_github, &["collect", "--pending", "--check-run"], "`pending` needs GitHub"),
        (&lab, &["collect", "--pending", "--check-run", "--github-token", TOKEN], "`pending` needs GitHub"),
    ] {
        let ran = lab.command(words, &[]).await;
        assert!(ran.exit == 2 && ran.text().contains(told), "{}: {}", ran.exit, ran.text());
    }
    // A repository without any batch costs GitHub no call.
    let idle = tick(&lab, &github, &[]).await;
    assert_eq!((idle.exit, github.count("", "")), (0, 0), "{}", idle.text);
}
