//! What a run shows on GitHub beside its log: comments and checks.

use std::time::Duration;

use batchstep::env::Env;
use batchstep_test_support::github_server::{GitHub, HEAD, TOKEN, Wrong};
use serde_json::{Value, json};

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// The commit of the event, where that is not a pull request's.
const MAIN: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const BOTH: [&str; 2] = ["--comment", "--check-run"];

/// A lab in a job on GitHub, for pull request 7.
async fn lab(github: &GitHub, takes: Duration, faults: &str) -> Lab {
    let mut lab = Lab::new(takes, faults).await;
    let pull = json!({ "pull_request": { "number": 7, "head": { "sha": HEAD } } });
    set_event(&mut lab, github, 99, &pull);
    lab
}

/// Puts a lab into a job of this run, begun by this event.
pub(crate) fn set_event(lab: &mut Lab, github: &GitHub, run: u64, payload: &Value) {
    set_attempt(lab, github, run, 1, payload);
}

/// Puts a lab into a job of this attempt of this run, begun by this event.
pub(crate) fn set_attempt(lab: &mut Lab, github: &GitHub, run: u64, attempt: u64, payload: &Value) {
    let path = |name: &str| lab.dir.path().join(name).display().to_string();
    std::fs::write(path("event.json"), payload.to_string()).unwrap();
    let variables = [
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_API_URL", github.url()),
        ("GITHUB_EVENT_PATH", path("event.json")),
        ("GITHUB_JOB", "evaluate".to_owned()),
        ("GITHUB_OUTPUT", path("output")),
        ("GITHUB_REPOSITORY", "octo/repo".to_owned()),
        ("GITHUB_RUN_ATTEMPT", attempt.to_string()),
        ("GITHUB_RUN_ID", run.to_string()),
        ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
        ("GITHUB_SHA", MAIN.to_owned()),
        ("GITHUB_STATE", path("state")),
        ("GITHUB_STEP_SUMMARY", path("summary")),
        ("GITHUB_WORKSPACE", lab.dir.path().display().to_string()),
    ];
    lab.env = variables.into_iter().collect::<Env>();
}

/// A run with both wishes; whatever it leaves, the token is not in it.
async fn run(lab: &Lab, inputs: &[&str], signals: &[(Duration, u8)]) -> Ran {
    let token = ["--github-token", TOKEN];
    let inputs: Vec<&str> = inputs.iter().chain(&token).copied().collect();
    let ran = lab.run_signalled(&inputs, signals).await;
    assert!(!ran.text().contains(TOKEN), "{}", ran.text());
    for file in ["out/report.json", "out/journal.jsonl", "output", "state", "summary"] {
        let text = std::fs::read_to_string(lab.dir.path().join(file)).unwrap_or_default();
        assert!(!text.contains(TOKEN), "{file}: {text}");
    }
    ran
}

fn bodies(github: &GitHub) -> Vec<String> {
    let state = github.state.lock().unwrap();
    state.comments.iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
}

fn checks(github: &GitHub) -> Vec<Value> {
    github.state.lock().unwrap().checks.clone()
}

/// The last value of each name in `GITHUB_STATE`.
fn state(lab: &Lab, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(lab.dir.path().join("state")).unwrap();
    let (_, after) = text.rsplit_once(&format!("{name}<<"))?;
    after.lines().nth(1).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn the_comment_is_written_once_and_then_anew() {
    let github = GitHub::new("").await;
    let lab = lab(&github, SECOND, "rows status=500 share=10%").await;
    assert_eq!(run(&lab, &["--comment", "--max-failed", "50%"], &[]).await.exit, 0);
    let first = bodies(&github);
    assert_eq!(first.len(), 1);
    assert!(first[0].starts_with("<!-- batchstep:") && first[0].contains("SIMULATED"), "{}", first[0]);
    assert_eq!(github.count("GET", "/user"), 0, "nobody has to be asked for without a marked comment");
    assert_eq!(run(&lab, &["--comment"], &[]).await.exit, 7);
    let second = bodies(&github);
    assert_eq!((second.len(), github.count("POST", "")), (1, 1));
    assert!(second[0].contains("failed") && second[0] != first[0]);
    assert_eq!(github.count("", "check-runs"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_persons_comment_is_never_written_over() {
    let github = GitHub::new("").await;
    let lab = lab(&github, SECOND, "").await;
    run(&lab, &["--comment"], &[]).await;
    let ours = bodies(&github).remove(0);
    github.state.lock().unwrap().comments.clear();
    github.comment_by(5, "User", &ours);
    github.comment_by(6, "Bot", &format!("> {ours}"));
    let theirs = bodies(&github);
    for _ in 0..2 {
        run(&lab, &["--comment"], &[]).await;
        let now = bodies(&github);
        assert_eq!((&now[..2], now.len()), (&theirs[..], 3));
    }
    // With a person's own token, that person's comment is ours and the bot's is not.
    github.state.lock().unwrap().me = Some(5);
    let bots = bodies(&github)[2].clone();
    run(&lab, &["--comment"], &[]).await;
    let now = bodies(&github);
    assert_eq!((now.len(), &now[2]), (3, &bots));
    assert_ne!(now[0], theirs[0]);
}

#[tokio::test(start_paused = true)]
async fn where_there_are_no_checks_a_comment_is_shown_all_the_same() {
    let github = GitHub::new("").await;
    let lab = lab(&github, SECOND, "").await;
    for ci in ["forgejo", "gitea"] {
        let ran = run(&lab, &["--comment", "--check-run", "--ci", ci], &[]).await;
        assert!(ran.exit == 0 && ran.text().contains("`check-run` needs GitHub's checks"), "{}", ran.text());
        assert_eq!((bodies(&github).len(), github.count("POST", "check-runs")), (1, 0));
    }
    let ran = run(&lab, &["--check-run", "--ci", "gitea"], &[]).await;
    assert!(ran.text().contains("Gitea has none, so nothing is shown."), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn our_comment_is_found_on_any_page() {
    let github = GitHub::new("").await;
    let lab = lab(&github, SECOND, "").await;
    for author in 0..130 {
        github.comment_by(author, "User", "Nice.");
    }
    for expected in [131, 131] {
        run(&lab, &["--comment"], &[]).await;
        assert_eq!(bodies(&github).len(), expected);
    }
    assert_eq!(github.count("GET", "page=2"), 2);
    assert_eq!(github.count("GET", "page=3"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_a_warning_that_names_it() {
    for status in [403, 404] {
        let github = GitHub::new("").await;
        for path in ["/issues/7/comments", "/check-runs"] {
            github.goes_wrong("POST", path, Wrong::Status(status), 9);
        }
        let lab = lab(&github, SECOND, "").await;
        let ran = run(&lab, &BOTH, &[]).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
        for told in ["`pull-requests: write`", "`checks: write`", "No *** here."] {
            assert!(ran.text().contains(told), "{told}: {}", ran.text());
        }
        assert_eq!((github.count("POST", ""), checks(&github).len()), (2, 0), "what is refused is not tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_at_github_changes_no_verdict_and_costs_little_time() {
    for wrong in [Wrong::Status(503), Wrong::Status(401), Wrong::Status(429), Wrong::Stall] {
        for (fault, exit) in [("", 0), ("rows status=500 share=90%", 7)] {
            let github = GitHub::new("").await;
            for method in ["GET", "POST", "PATCH"] {
                github.goes_wrong(method, "", wrong, 99);
            }
            let lab = lab(&github, HOUR, fault).await;
            let ran = run(&lab, &BOTH, &[]).await;
            assert_eq!(ran.exit, exit, "{wrong:?}: {}", ran.text());
            assert!(ran.took < HOUR + 180 * SECOND, "{wrong:?}: {:?}", ran.took);
            assert!(ran.text().contains("The comment could not be"), "{wrong:?}: {}", ran.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_makes_no_second_comment_and_no_second_check() {
    let github = GitHub::new("").await;
    github.goes_wrong("POST", "/issues/7/comments", Wrong::Lost(502), 1);
    github.goes_wrong("POST", "/check-runs", Wrong::Lost(502), 1);
    let lab = lab(&github, SECOND, "").await;
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(!ran.text().contains("warning"), "{}", ran.text());
    assert_eq!((bodies(&github).len(), checks(&github).len(), github.count("POST", "")), (1, 1, 2));
    assert_eq!(checks(&github)[0]["conclusion"], "success");
    // What never arrived is sent again.
    github.goes_wrong("POST", "/check-runs", Wrong::Status(502), 1);
    run(&lab, &BOTH, &[]).await;
    assert_eq!((bodies(&github).len(), checks(&github).len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_path_before_the_api_is_kept() {
    let github = GitHub::new("/api/v3").await;
    let lab = lab(&github, SECOND, "").await;
    let ran = run(&lab, &BOTH, &[]).await;
    assert_eq!((bodies(&github).len(), checks(&github).len()), (1, 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_check_goes_along_with_the_run() {
    let github = GitHub::new("").await;
    let lab = lab(&github, HOUR, "").await;
    let watch = async {
        tokio::time::sleep(HOUR / 2).await;
        checks(&github).remove(0)
    };
    let (ran, before) = tokio::join!(run(&lab, &["--check-run"], &[]), watch);
    let after = checks(&github).remove(0);
    let id = after["id"].to_string();
    assert_eq!((&before["status"], &after["status"]), (&json!("in_progress"), &json!("completed")));
    assert_eq!((&after["conclusion"], &after["name"]), (&json!("success"), &json!("batchstep: requests.jsonl")));
    assert_eq!(after["external_id"], ran.report["requests"]["key"]);
    assert_eq!(after["details_url"], "https://github.com/octo/repo/actions/runs/99");
    let batch = &lab.tally().batches[0].id;
    for check in [&before, &after] {
        let summary = check["output"]["summary"].as_str().unwrap();
        assert!(summary.contains(batch.as_str()), "{summary}");
    }
    assert!(after["output"]["title"].as_str().unwrap().starts_with("SIMULATED: succeeded"), "{after}");
    let metadata = batch_metadata(&lab).await;
    assert_eq!(metadata["batchstep_check"], format!("{id}/{HEAD}/7/0"));
    assert_eq!(state(&lab, "check").as_deref(), None, "nothing is left for a later step to conclude");
    assert!(ran.text().contains("The check batchstep: requests.jsonl on commit aaaaaaa"), "{}", ran.text());
}

/// The metadata of the sandbox's only batch.
async fn batch_metadata(lab: &Lab) -> Value {
    let id = lab.tally().batches[0].id.clone();
    let ran = lab.command(&["batch", "get", &id], &[]).await;
    let batch: Value = serde_json::from_str(&ran.text()).unwrap();
    batch["metadata"].clone()
}

#[tokio::test(start_paused = true)]
async fn each_end_has_its_conclusion() {
    let cases: [(&str, &[&str], &str, u8); 4] = [
        ("rows status=500 share=90%", &[], "failure", 7),
        ("rows status=500 share=10%", &["--max-failed", "50%"], "success", 0),
        ("batch stuck=in_progress", &["--timeout", "2h"], "timed_out", 6),
        ("create 401", &[], "failure", 4),
    ];
    for (fault, inputs, conclusion, exit) in cases {
        let github = GitHub::new("").await;
        let lab = lab(&github, HOUR, fault).await;
        let ran = run(&lab, &[&["--check-run"], inputs].concat(), &[]).await;
        assert_eq!(ran.exit, exit, "{fault}: {}", ran.text());
        let checks = checks(&github);
        assert_eq!((checks.len(), &checks[0]["conclusion"]), (1, &json!(conclusion)), "{fault}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_is_no_success_if_the_outputs_cannot_be_written() {
    let github = GitHub::new("").await;
    let lab = lab(&github, SECOND, "").await;
    std::fs::create_dir(lab.dir.path().join("output")).unwrap();
    let ran = run(&lab, &BOTH, &[]).await;
    assert_eq!((ran.exit, ran.outcome()), (1, "failed"), "{}", ran.text());
    assert_eq!(checks(&github)[0]["conclusion"], "failure");
    assert!(bodies(&github)[0].contains("could not be appended to"), "{:?}", bodies(&github));
}

#[tokio::test(start_paused = true)]
async fn a_signal_concludes_the_check_within_the_grace() {
    for (inputs, status, conclusion) in
        [(&[][..], "completed", json!("cancelled")), (&["--on-abort", "detach"], "in_progress", Value::Null)]
    {
        let github = GitHub::new("").await;
        let lab = lab(&github, HOUR, "").await;
        let ran = run(&lab, &[&BOTH[..], inputs].concat(), &[(60 * SECOND, 15)]).await;
        assert_eq!(ran.exit, 143, "{}", ran.text());
        assert!(ran.took < 66 * SECOND, "{:?}", ran.took);
        let check = checks(&github).remove(0);
        assert_eq!((&check["status"], &check["conclusion"]), (&json!(status), &conclusion), "{}", ran.text());
        assert_eq!(bodies(&github).len(), 1);
        assert_eq!(state(&lab, "check"), None);
    }
    // Trouble gets one try, and no more time than the grace has left.
    for wrong in [Wrong::Stall, Wrong::Status(503)] {
        let github = GitHub::new("").await;
        let lab = lab(&github, HOUR, "").await;
        github.goes_wrong("PATCH", "check-runs", wrong, 99);
        let ran = run(&lab, &["--check-run"], &[(60 * SECOND, 15)]).await;
        assert_eq!(ran.exit, 143, "{}", ran.text());
        assert!(ran.took <= 66 * SECOND, "{:?}", ran.took);
        assert!(state(&lab, "check").is_some(), "a later step learns of the check");
    }
    // A second signal leaves two seconds, and the outputs were written before.
    let github = GitHub::new("").await;
    let lab = lab(&github, HOUR, "").await;
    github.goes_wrong("PATCH", "check-runs", Wrong::Stall, 99);
    let ran = run(&lab, &["--check-run"], &[(60 * SECOND, 15), (61 * SECOND, 15)]).await;
    assert_eq!((ran.exit, ran.outcome(), ran.took), (143, "cancelled", 63 * SECOND), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn faults_are_annotated_in_groups() {
    // A line that is no request has one fault; equal ones in a row would be one. Of many the first thousand are kept.
    let cases = [
        (230, vec![50, 50, 50, 50, 30], None),
        (1_234, vec![50; 20], Some("1000 of 1234 faults are annotated on their lines.")),
    ];
    for (lines, groups, told) in cases {
        let github = GitHub::new("").await;
        let lab = lab(&github, SECOND, "").await;
        std::fs::write(
            lab.dir.path().join("requests.jsonl"),
            (0..lines).map(|n| ["x\n", "\"x\"\n"][n % 2]).collect::<String>(),
        )
        .unwrap();
        let ran = run(&lab, &["--check-run"], &[]).await;
        assert_eq!((ran.exit, ran.outcome()), (3, "invalid"), "{}", ran.text());
        assert_eq!(ran.text().matches("::error ").count(), 10, "the log has room for ten");
        assert!(ran.text().lines().count() < 40, "{}", ran.text());
        let check = checks(&github).remove(0);
        assert_eq!((&check["status"], &check["conclusion"]), (&json!("completed"), &json!("failure")));
        assert_eq!(github.state.lock().unwrap().annotations, groups);
        let summary = check["output"]["summary"].as_str().unwrap();
        assert_eq!(summary.lines().rfind(|line| line.contains("annotated on")), told, "{summary}");
        let calls = github.state.lock().unwrap().calls.clone();
        let updates = calls.iter().filter_map(|call| call.body["output"]["annotations"].as_array());
        let annotated: Vec<Value> = updates.flatten().map(|annotation| annotation["start_line"].clone()).collect();
        assert_eq!(annotated, (1..=lines.min(1_000)).map(|line| json!(line)).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_lacks_annotations_is_concluded_all_the_same() {
    let github = GitHub::new("").await;
    github.goes_wrong("PATCH", "check-runs", Wrong::Status(502), 9);
    let lab = lab(&github, SECOND, "").await;
    std::fs::write(lab.dir.path().join("requests.jsonl"), "{}\n").unwrap();
    let ran = run(&lab, &["--check-run"], &[]).await;
    assert!(ran.exit == 3 && ran.text().contains("The check lacks annotations"), "{}", ran.text());
    assert_eq!((&checks(&github)[0]["conclusion"], state(&lab, "check")), (&json!("failure"), None));
}

#[tokio::test(start_paused = true)]
async fn a_signal_while_the_check_is_opened_ends_the_run_in_time() {
    for wrong in [Wrong::Stall, Wrong::Lost(502)] {
        let github = GitHub::new("").await;
        github.goes_wrong("POST", "check-runs", wrong, 1);
        let lab = lab(&github, HOUR, "").await;
        let ran = run(&lab, &["--check-run"], &[(SECOND, 15)]).await;
        assert_eq!((ran.exit, ran.outcome()), (143, "cancelled"), "{}", ran.text());
        assert!(ran.took < 7 * SECOND && lab.tally().batches.is_empty(), "{:?}", ran.took);
        let checks = checks(&github);
        assert_eq!((checks.len(), &checks[0]["conclusion"]), (1, &json!("cancelled")), "{wrong:?}: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_update_is_said_in_a_check_beside_it() {
    let github = GitHub::new("").await;
    github.goes_wrong("PATCH", "check-runs", Wrong::Status(403), 99);
    let lab = lab(&github, SECOND, "").await;
    let ran = run(&lab, &["--check-run"], &[]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    let checks = checks(&github);
    assert_eq!(checks.len(), 2);
    assert_eq!((&checks[1]["name"], &checks[1]["head_sha"]), (&checks[0]["name"], &checks[0]["head_sha"]));
    assert_eq!(checks[1]["conclusion"], "success");
}

#[tokio::test(start_paused = true)]
async fn a_push_has_no_pull_request_to_comment_on() {
    let github = GitHub::new("").await;
    let mut lab = lab(&github, SECOND, "").await;
    set_event(&mut lab, &github, 99, &json!({ "ref": "refs/heads/main" }));
    let ran = run(&lab, &["--comment"], &[]).await;
    assert_eq!(ran.exit, 0);
    assert!(ran.text().contains("::notice title=batchstep::There is no pull request"), "{}", ran.text());
    assert_eq!(github.count("", ""), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_said_and_no_more() {
    let github = GitHub::new("").await;
    let mut lab = lab(&github, SECOND, "").await;
    let ran = lab.run(&BOTH).await;
    assert!(ran.exit == 0 && ran.text().contains("need a `github-token`"), "{}", ran.text());
    let wrong = [("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "o/r"), ("GITHUB_API_URL", "http://ghes.example")];
    lab.env = wrong.into_iter().collect();
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(ran.exit == 0 && ran.text().contains("It is not https"), "{}", ran.text());
    let password = ("GITHUB_API_URL", "https://me:hunter2@ghes.example/api/v3");
    lab.env = [wrong[0], wrong[1], password].into_iter().collect();
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(
        ran.exit == 0 && ran.text().contains("GITHUB_API_URL") && ran.text().contains("a password"),
        "{}",
        ran.text()
    );
    assert!(!ran.text().contains("hunter2") && !ran.report.to_string().contains("hunter2"), "{}", ran.text());
    lab.env = Env::default();
    let ran = run(&lab, &BOTH, &[]).await;
    assert!(ran.exit == 0 && ran.text().contains("work on GitHub, Forgejo"), "{}", ran.text());
    assert_eq!(github.count("", ""), 0);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_check_is_concluded_by_a_later_step() {
    let github = GitHub::new("").await;
    let lab = lab(&github, HOUR, "").await;
    let killed = tokio::time::timeout(60 * SECOND, run(&lab, &["--check-run"], &[])).await;
    assert!(killed.is_err());
    let (check, batch) = (state(&lab, "check").unwrap(), state(&lab, "batch").unwrap());
    let words = ["cancel", &batch, "--check", &check, "--github-token", TOKEN];
    let ended = lab.command(&words, &[]).await;
    assert_eq!(ended.exit, 0, "{}", ended.text());
    assert!(!lab.is_anything_running());
    assert_eq!(checks(&github)[0]["conclusion"], "cancelled");
    github.goes_wrong("PATCH", "check-runs", Wrong::Status(403), 9);
    let ended = lab.command(&["cancel", "--check", &check, "--github-token", TOKEN], &[]).await;
    assert_eq!(ended.exit, 0, "{}", ended.text());
    assert!(ended.text().contains("`checks: write`") && !ended.text().contains(TOKEN), "{}", ended.text());
}
