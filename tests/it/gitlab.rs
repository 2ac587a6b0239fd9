//! What a run shows on GitLab beside its log: notes and commit statuses.

use std::time::Duration;

use batchstep::env::Env;
use batchstep_test_support::github_server::Wrong;
use batchstep_test_support::gitlab_server::{GitLab, HEAD, ME, TOKEN};
use batchstep_test_support::host_server::HostServer;
use serde_json::{Value, json};

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const BOTH: [&str; 2] = ["--comment", "--check-run"];
const PIPELINE: &str = "https://gitlab.example/team/project/-/pipelines/123";

/// A lab in a job of merge request 7.
async fn lab(takes: Duration, faults: &str) -> (Lab, HostServer<GitLab>) {
    let (mut lab, gitlab) = (Lab::new(takes, faults).await, HostServer::new(GitLab::default()).await);
    set_job(&mut lab, &gitlab, &[("CI_MERGE_REQUEST_IID", "7"), ("GITLAB_TOKEN", TOKEN)]);
    (lab, gitlab)
}

fn set_job(lab: &mut Lab, gitlab: &HostServer<GitLab>, more: &[(&str, &str)]) {
    let (url, dir) = (format!("{}/api/v4", gitlab.url()), lab.dir.path().display().to_string());
    let variables = [
        ("GITLAB_CI", "true"),
        ("CI_API_V4_URL", url.as_str()),
        ("CI_COMMIT_SHA", HEAD),
        ("CI_JOB_ID", "4567"),
        ("CI_JOB_NAME", "evaluate"),
        ("CI_JOB_URL", "https://gitlab.example/team/project/-/jobs/4567"),
        ("CI_PIPELINE_ID", "123"),
        ("CI_PIPELINE_URL", PIPELINE),
        ("CI_PROJECT_DIR", dir.as_str()),
        ("CI_PROJECT_ID", "5"),
        ("CI_PROJECT_PATH", "team/project"),
        ("CI_PROJECT_URL", "https://gitlab.example/team/project"),
    ];
    lab.env = variables.into_iter().chain(more.iter().copied()).collect::<Env>();
}

/// A run with these inputs; whatever it leaves, the token is not in it.
async fn run(lab: &Lab, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
    let inputs: Vec<&str> = inputs.iter().chain(&["--gitlab-token", TOKEN]).copied().collect();
    let ran = lab.run_signalled(&inputs, signals).await;
    assert!(!ran.text().contains(TOKEN) && !ran.report.to_string().contains(TOKEN), "{}", ran.text());
    ran
}

fn bodies(gitlab: &HostServer<GitLab>) -> Vec<String> {
    gitlab.look(|gitlab| gitlab.notes.iter().map(|note| note["body"].as_str().unwrap().to_owned()).collect())
}

fn statuses(gitlab: &HostServer<GitLab>) -> Vec<Value> {
    gitlab.look(|gitlab| gitlab.statuses.clone())
}

#[tokio::test(start_paused = true)]
async fn the_note_is_written_once_and_then_anew() {
    let (lab, gitlab) = lab(SECOND, "rows status=500 share=10%").await;
    for number in 0..130 {
        gitlab.look(|gitlab| gitlab.note_by(number + 100, "Nice."));
    }
    assert_eq!(run(&lab, &["--comment", "--max-failed", "50%"], &[]).await.exit, 0);
    let first = bodies(&gitlab).pop().unwrap();
    assert!(first.starts_with("<!-- batchstep:") && first.contains("SIMULATED"), "{first}");
    assert!(first.contains("[The job's log](https://gitlab.example/team/project/-/jobs/4567)"), "{first}");
    assert_eq!(gitlab.calls("GET", "/user").len(), 0, "nobody has to be asked for without a marked note");
    assert_eq!(run(&lab, &["--comment"], &[]).await.exit, 7);
    let second = bodies(&gitlab);
    assert_eq!((second.len(), gitlab.calls("POST", "").len(), gitlab.calls("PUT", "").len()), (131, 1, 1));
    assert!(second[130].contains("failed") && second[130] != first);
    assert_eq!(gitlab.calls("GET", "page=2").len(), 2);
    assert_eq!(gitlab.calls("GET", "page=3").len(), 0);
    assert_eq!(statuses(&gitlab), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_persons_note_is_never_written_over() {
    let (lab, gitlab) = lab(SECOND, "").await;
    run(&lab, &["--comment"], &[]).await;
    let ours = bodies(&gitlab).remove(0);
    gitlab.look(|gitlab| {
        gitlab.notes.clear();
        gitlab.note_by(ME + 1, &ours);
        gitlab.note_by(ME, &format!("> {ours}"));
    });
    let theirs = bodies(&gitlab);
    for _ in 0..2 {
        run(&lab, &["--comment"], &[]).await;
        let now = bodies(&gitlab);
        assert_eq!((&now[..2], now.len()), (&theirs[..], 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_goes_along_with_the_run() {
    let (lab, gitlab) = lab(HOUR, "").await;
    let watch = async {
        tokio::time::sleep(HOUR / 2).await;
        statuses(&gitlab).remove(0)
    };
    let (ran, before) = tokio::join!(run(&lab, &["--check-run"], &[]), watch);
    let after = statuses(&gitlab).remove(0);
    assert_eq!((&before["status"], &after["status"]), (&json!("running"), &json!("success")));
    assert_eq!(before["description"], "20 requests under way");
    assert_eq!((&before["target_url"], &after["name"]), (&json!(PIPELINE), &json!("batchstep: requests.jsonl")));
    assert!(after["description"].as_str().unwrap().starts_with("SIMULATED: succeeded: All 20"), "{after}");
    assert!(ran.text().contains("The check batchstep: requests.jsonl on commit aaaaaaaa"), "{}", ran.text());
    // The next run in the same pipeline gets a status of its own.
    run(&lab, &["--check-run"], &[]).await;
    let all: Vec<Value> = statuses(&gitlab).iter().map(|status| status["status"].clone()).collect();
    assert_eq!(all, ["success", "success"]);
}

#[tokio::test(start_paused = true)]
async fn each_end_has_its_state() {
    let cases: [(&str, &[&str], &str, u8); 4] = [
        ("rows status=500 share=90%", &[], "failed", 7),
        ("rows status=500 share=10%", &["--max-failed", "50%"], "success", 0),
        ("batch stuck=in_progress", &["--timeout", "2h"], "failed", 6),
        ("create 401", &[], "failed", 4),
    ];
    for (fault, inputs, state, exit) in cases {
        let (lab, gitlab) = lab(HOUR, fault).await;
        let ran = run(&lab, &[&["--check-run"], inputs].concat(), &[]).await;
        assert_eq!(ran.exit, exit, "{fault}: {}", ran.text());
        let statuses = statuses(&gitlab);
        assert_eq!((statuses.len(), &statuses[0]["status"]), (1, &json!(state)), "{fault}: {}", ran.text());
    }
    // What was submitted does not hold up the pipeline, and what is collected later has its own status.
    let (lab, gitlab) = lab(HOUR, "").await;
    assert_eq!(lab.submit(&["--check-run", "--gitlab-token", TOKEN]).await.exit, 0);
    assert_eq!(statuses(&gitlab)[0]["status"], "success");
    assert!(
        statuses(&gitlab)[0]["description"].as_str().unwrap().contains("pending: Submitted"),
        "{:?}",
        statuses(&gitlab)
    );
    assert_eq!(lab.collect(&["--check-run", "--comment", "--gitlab-token", TOKEN]).await.exit, 0);
    assert_eq!((statuses(&gitlab).len(), bodies(&gitlab).len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn trouble_at_gitlab_changes_no_verdict_and_costs_little_time() {
    for wrong in [Wrong::Status(503), Wrong::Status(401), Wrong::Status(404), Wrong::Status(429), Wrong::Stall] {
        for (fault, exit) in [("", 0), ("rows status=500 share=90%", 7)] {
            let (lab, gitlab) = lab(HOUR, fault).await;
            for method in ["GET", "POST", "PUT"] {
                gitlab.goes_wrong(method, "", wrong, 99);
            }
            let ran = run(&lab, &BOTH, &[]).await;
            assert_eq!(ran.exit, exit, "{wrong:?}: {}", ran.text());
            assert!(ran.took < HOUR + 180 * SECOND, "{wrong:?}: {:?}", ran.took);
            let says = ran.text();
            assert!(says.contains("The comment could not be") && says.contains("The status could not be"), "{says}");
            let is_refused = matches!(wrong, Wrong::Status(401 | 404));
            assert_eq!(says.contains("`gitlab-token` must be"), is_refused, "{wrong:?}: {says}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_makes_no_second_note_and_no_second_status() {
    let (lab, gitlab) = lab(SECOND, "").await;
    gitlab.goes_wrong("POST", "/notes", Wrong::Lost(502), 1);
    gitlab.goes_wrong("POST", "/statuses", Wrong::Lost(502), 1);
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(!ran.text().contains("arning"), "{}", ran.text());
    assert_eq!((bodies(&gitlab).len(), statuses(&gitlab).len()), (1, 1));
    assert_eq!(statuses(&gitlab)[0]["status"], "success");
    // What never arrived is sent again, and so is what GitLab had no time for.
    for status in [502, 409] {
        gitlab.goes_wrong("POST", "/statuses", Wrong::Status(status), 1);
        run(&lab, &["--check-run"], &[]).await;
    }
    assert_eq!(statuses(&gitlab).len(), 3);
    // A run that was killed leaves its status running: the next one takes it over.
    let killed = tokio::time::timeout(SECOND / 2, run(&lab, &["--check-run"], &[])).await;
    assert!(killed.is_err() && statuses(&gitlab)[3]["status"] == "running");
    let ran = run(&lab, &["--check-run"], &[]).await;
    assert!(!ran.text().contains("arning"), "{}", ran.text());
    assert_eq!((statuses(&gitlab).len(), &statuses(&gitlab)[3]["status"]), (4, &json!("success")));
}

#[tokio::test(start_paused = true)]
async fn a_signal_concludes_the_status_within_the_grace() {
    let (lab, gitlab) = lab(HOUR, "").await;
    let ran = run(&lab, &BOTH, &[(60 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{}", ran.text());
    assert!(ran.took < 66 * SECOND, "{:?}", ran.took);
    assert_eq!((&statuses(&gitlab)[0]["status"], bodies(&gitlab).len()), (&json!("canceled"), 1));
    for wrong in [Wrong::Stall, Wrong::Status(503)] {
        let (lab, gitlab) = self::lab(HOUR, "").await;
        gitlab.goes_wrong("GET", "/notes", wrong, 99);
        let ran = run(&lab, &["--comment"], &[(60 * SECOND, 15)]).await;
        assert_eq!(ran.exit, 143, "{}", ran.text());
        assert!(ran.took <= 66 * SECOND && gitlab.calls("GET", "/notes").len() == 1, "{:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_said_and_no_more() {
    let (mut lab, gitlab) = lab(SECOND, "").await;
    set_job(&mut lab, &gitlab, &[]);
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(ran.exit == 0 && ran.text().contains("There is no merge request to comment on"), "{}", ran.text());
    assert_eq!((bodies(&gitlab).len(), statuses(&gitlab).len()), (0, 1));
    let calls = gitlab.calls("", "").len();
    let ran = lab.run(&BOTH).await;
    assert!(ran.exit == 0 && ran.text().contains("need a `gitlab-token`, so nothing is shown."), "{}", ran.text());
    set_job(&mut lab, &gitlab, &[("CI_API_V4_URL", "http://gitlab.example/api/v4")]);
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(ran.exit == 0 && ran.text().contains("It is not https"), "{}", ran.text());
    set_job(&mut lab, &gitlab, &[("CI_API_V4_URL", "https://me:hunter2@gitlab.example/api/v4")]);
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(ran.exit == 0 && ran.text().contains("CI_API_V4_URL"), "{}", ran.text());
    assert!(!ran.text().contains("hunter2"), "{}", ran.text());
    set_job(&mut lab, &gitlab, &[("GITLAB_TOKEN", TOKEN)]);
    assert_eq!(lab.run(&[]).await.exit, 0);
    assert_eq!(gitlab.calls("", "").len(), calls, "a token alone asks for nothing");
}
