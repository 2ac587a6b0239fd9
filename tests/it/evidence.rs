//! Journals that somebody else wrote: what they name is compared with what the
//! provider shows, and nothing of another's is attached to, collected or cancelled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Lab, Ran, github};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A batch that runs, made by another repository's run with these requests.
async fn victim(lab: &Lab, repository: &str, requests: &str) -> Ran {
    let mut other = lab.neighbour();
    let run = [("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", repository), ("GITHUB_RUN_ID", "1")];
    other.env = run.into_iter().collect();
    let path = other.dir.path().join("requests.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("Say it", requests)).unwrap();
    let ran = other.submit(&["--reuse", "never"]).await;
    assert_eq!(ran.exit, 0, "{}", ran.text());
    ran
}

fn id(ran: &Ran) -> String {
    ran.report["batches"][0]["id"].as_str().unwrap().to_owned()
}

/// The key of the lab's own requests.
async fn key(lab: &Lab) -> String {
    let ran = lab.neighbour().submit(&["--reuse", "never"]).await;
    lab.command(&["cancel", &id(&ran)], &[]).await;
    ran.report["requests"]["key"].as_str().unwrap().to_owned()
}

/// Puts a journal into the lab's directory, as a cache or a fork would.
fn plant(lab: &Lab, key: &str, steps: &[Value]) {
    let origin = lab.base_url.trim_end_matches("/v1");
    let run = json!({"step": "run", "version": "0.1.0", "origin": origin, "key": key, "total": 20});
    let lines = std::iter::once(&run).chain(steps).map(|step| {
        let mut line = step.clone();
        line["at"] = json!(lab.clock.unix());
        line["key"] = json!(key);
        format!("{line}\n")
    });
    std::fs::create_dir_all(lab.out()).unwrap();
    std::fs::write(lab.out().join("journal.jsonl"), lines.collect::<String>()).unwrap();
}

fn created(batch: &str, create: &str) -> Value {
    json!({"step": "created", "create": create, "batch_id": batch})
}

/// The batch has neither been cancelled nor taken for ours.
fn assert_untouched(lab: &Lab, victim: &str, ran: &Ran, case: &str) {
    let batch = lab.tally().batches.into_iter().find(|batch| batch.id == victim).unwrap();
    assert!(["validating", "in_progress", "completed"].contains(&batch.status.as_str()), "{case}: {}", ran.text());
    assert_ne!(ran.report["batches"][0]["id"], victim, "{case}: {}", ran.text());
    assert!(ran.text().contains(&format!("The journal names batch {victim}, but ")), "{case}: {}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_provider_shows_to_be_anothers_is_left_alone() {
    // Each of it: who made the victim, of which requests, what its provider keeps of the marks.
    for (repository, requests, faults, why) in [
        ("octo/other", "Sing it", "", "it is of other requests"),
        ("octo/other", "Say it", "", "it belongs to the repository octo/other"),
        ("octo/repo", "Sing it", "", "it is of other requests"),
        ("octo/other", "Sing it", "batch no-metadata", "its file has another name"),
    ] {
        for kind in ["created", "attached", "instead of"] {
            let case = format!("{kind}, {repository}, {requests}, {faults}");
            let mut lab = Lab::new(2 * HOUR, faults).await;
            let key = key(&lab).await;
            let victim = id(&victim(&lab, repository, requests).await);
            lab.env = github(7, 1);
            let steps = match kind {
                "created" => vec![created(&victim, "c")],
                "attached" => vec![json!({"step": "attached", "batch_id": victim, "owner": "this-run"})],
                _ => vec![
                    created(&victim, "c"),
                    json!({"step": "attached", "batch_id": "batch_x", "owner": "another-run", "instead_of": victim}),
                ],
            };
            plant(&lab, &key, &steps);
            let ran = lab.run(&["--timeout", "1h", "--reuse", "active"]).await;
            assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{case}: {}", ran.text());
            assert_untouched(&lab, &victim, &ran, &case);
            assert!(ran.text().contains(why), "{case}: {}", ran.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_cancels_nothing_of_anothers() {
    let mut lab = Lab::new(2 * HOUR, "").await;
    let key = key(&lab).await;
    let victim = id(&victim(&lab, "octo/other", "Say it").await);
    lab.env = github(7, 1);
    plant(&lab, &key, &[created(&victim, "c")]);
    let ran = lab.run_signalled(&[], &[(MINUTE, 15)]).await;
    assert_eq!(ran.exit, 143, "{}", ran.text());
    assert_untouched(&lab, &victim, &ran, "signal");
}

#[tokio::test(start_paused = true)]
async fn another_create_of_the_same_work_is_attached_to_and_not_cancelled() {
    // A run of the same repository made it; the journal says that this one did.
    let mut lab = Lab::new(2 * HOUR, "").await;
    let key = key(&lab).await;
    let theirs = id(&victim(&lab, "octo/repo", "Say it").await);
    for steps in
        [vec![created(&theirs, "c")], vec![json!({"step": "attached", "batch_id": theirs, "owner": "this-run"})]]
    {
        lab.forget();
        lab.env = github(7, 1);
        plant(&lab, &key, &steps);
        let ran = lab.run(&["--timeout", "20m"]).await;
        assert_eq!((ran.exit, ran.outcome()), (6, "timed-out"), "{}", ran.text());
        assert_eq!((id(&ran), lab.calls("cancel")), (theirs.clone(), 1), "the first was the key's: {}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_shows_whose_a_batch_is_it_is_waited_for_and_not_cancelled() {
    // Its file shows it.
    let lab = Lab::new(2 * HOUR, "batch no-metadata\nlist 403").await;
    assert!(tokio::time::timeout(MINUTE, lab.run(&[])).await.is_err());
    let ran = lab.run(&["--timeout", "1h"]).await;
    assert_eq!((ran.exit, lab.is_anything_running(), lab.tally().creates), (6, false, 1), "{}", ran.text());
    // Nothing does.
    let lab = Lab::new(2 * HOUR, "batch no-metadata\nlist 403\nget-file 403").await;
    assert!(tokio::time::timeout(MINUTE, lab.run(&[])).await.is_err());
    let ran = lab.run(&["--timeout", "1h"]).await;
    assert_eq!((ran.exit, lab.calls("cancel"), lab.tally().creates), (6, 0, 1), "{}", ran.text());
    assert!(ran.text().contains("it is waited for, and not cancelled"), "{}", ran.text());
    assert_eq!(lab.run(&[]).await.exit, 0, "its answers are worth having");
}

#[tokio::test(start_paused = true)]
async fn no_batch_is_made_of_a_file_that_is_anothers() {
    let lab = Lab::new(HOUR, "").await;
    let key = key(&lab).await;
    let theirs = victim(&lab, "octo/other", "Sing it").await;
    let file = theirs.report["input_file_id"].as_str().unwrap();
    let uploads = lab.tally().uploads;
    // A planted create would be looked for by that file, too.
    let upload = json!({"step": "uploaded", "file_id": file});
    let create = json!({"step": "create", "create": "c", "file_id": file});
    for steps in [vec![upload.clone()], vec![upload, create]] {
        lab.forget();
        plant(&lab, &key, &steps);
        let ran = lab.run(&["--reuse", "finished"]).await;
        assert_eq!(ran.exit, 0, "{}", ran.text());
        ran.assert_complete(20);
        assert!(ran.text().contains(&format!("The journal names file {file}, but ")), "{}", ran.text());
        assert_ne!(ran.report["input_file_id"], file);
    }
    assert_eq!(lab.tally().uploads, uploads + 1, "the second finds what the first made");
}

#[tokio::test(start_paused = true)]
async fn an_id_that_no_server_would_give_ends_no_run() {
    let lab = Lab::new(MINUTE, "").await;
    let key = key(&lab).await;
    plant(&lab, &key, &[created("../files", "c")]);
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn collect_leaves_alone_what_the_journal_names_wrongly() {
    for (faults, why) in [("", "it is of other requests"), ("batch no-metadata", "its file has another name")] {
        let mut lab = Lab::new(2 * HOUR, faults).await;
        let key = key(&lab).await;
        let victim = id(&victim(&lab, "octo/other", "Sing it").await);
        lab.env = github(7, 1);
        plant(&lab, &key, &[created(&victim, "c")]);
        let ran = lab.collect(&["--timeout", "10m", "--on-timeout", "cancel"]).await;
        assert_eq!((ran.exit, lab.calls("cancel")), (2, 1), "{faults}: {}", ran.text());
        assert!(ran.text().contains(&format!("The journal names batch {victim}, but {why}")), "{}", ran.text());
        // Who names it means it.
        let out = lab.out().display().to_string();
        let words = ["collect", &victim, "--timeout", "10m", "--on-timeout", "cancel", "--output-dir", &out];
        let named = lab.command(&words, &[]).await;
        assert_eq!((named.exit, lab.calls("cancel")), (6, 2), "{}", named.text());
    }
    // What nothing shows to be ours is collected, and not cancelled.
    let lab = Lab::new(HOUR, "batch no-metadata\nget-file 403").await;
    assert_eq!(lab.submit(&[]).await.exit, 0);
    let ran = lab.collect(&["--timeout", "10m", "--on-timeout", "cancel"]).await;
    assert_eq!((ran.exit, lab.calls("cancel")), (0, 0), "{}", ran.text());
    let ran = lab.collect(&["--on-timeout", "cancel"]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn the_list_is_looked_at_again_right_before_a_create() {
    // The reply to the first upload comes never, which takes two minutes to see; meanwhile another run creates.
    for (reuse, creates) in [("active", 1), ("never", 2)] {
        let lab = Lab::new(HOUR, "upload stall times=1").await;
        let other = lab.neighbour();
        let inputs = ["--reuse", reuse];
        let (slow, _) = tokio::join!(lab.run(&inputs), async {
            tokio::time::sleep(20 * SECOND).await;
            assert_eq!(other.submit(&[]).await.exit, 0);
        });
        assert_eq!((slow.exit, lab.tally().creates), (0, creates), "{reuse}: {}", slow.text());
        slow.assert_complete(20);
    }
    // So is it where the create itself has to wait.
    let lab = Lab::new(HOUR, "create 429 retry-after=40s times=2").await;
    let other = lab.neighbour();
    let (one, two) = tokio::join!(lab.run(&[]), async {
        tokio::time::sleep(5 * SECOND).await;
        other.run(&[]).await
    });
    assert_eq!((one.exit, two.exit, lab.tally().creates), (0, 0, 1), "{}", two.text());
    // A fresh look is enough.
    let lab = Lab::new(MINUTE, "").await;
    assert_eq!(lab.submit(&[]).await.exit, 0);
    assert_eq!(lab.calls("list"), 2, "one before and one after the create");
}
