//! `post` after runs that ended well, and where the runner gives it the inputs of
//! another step, as it does inside of composite actions.

use batchstep_sandbox::Tally;
use batchstep_test_support::bench::{Served, calls, requests};

use crate::BATCHSTEP;
use crate::runner::{Interrupt, Left, Step, node};

const KEY: &str = "sk-0123456789";

/// So many requests, for so many models in turn.
fn mixed(models: usize) -> String {
    let model = |index: usize| format!("m{}", index % models);
    let lines = requests(6, "Who?");
    lines.lines().enumerate().map(|(index, line)| line.replace("gpt-4.1-mini", &model(index)) + "\n").collect()
}

fn step(served: &Served, lines: &str, more: &[(&str, &str)]) -> Step {
    let usual = [
        ("provider", "compatible"),
        ("base-url", served.base_url.as_str()),
        ("api-key", KEY),
        ("poll-interval", "200ms"),
    ];
    Step::new(lines, &[&usual, more].concat())
}

fn is_running(tally: &Tally) -> bool {
    tally.batches.iter().any(|batch| ["validating", "in_progress", "finalizing"].contains(&batch.status.as_str()))
}

#[tokio::test]
async fn what_was_handed_over_is_not_cancelled_and_the_next_attempt_pays_nothing() {
    if node().is_none() {
        return;
    }
    let ways: [(&[(&str, &str)], &str); 2] = [
        (&[("timeout", "2s"), ("on-timeout", "detach")], "detached"),
        (&[("command", "submit"), ("on-abort", "cancel")], "pending"),
    ];
    for (inputs, outcome) in ways {
        for models in [1, 3] {
            let served = BATCHSTEP.serve(&["--takes", "8s"]).await;
            let first = step(&served, &mixed(models), inputs);
            let left = first.left(first.start()).await;
            assert_eq!((left.exit, left.outputs["outcome"].as_str()), (0, outcome), "{left:?}");
            let before = served.tally().await.calls;
            let post = first.post(&left).await;
            assert!(post.exit == 0 && post.log.is_empty(), "{post:?}");
            let tally = served.tally().await;
            assert_eq!((tally.calls == before, tally.batches.len()), (true, models), "{tally:?}");
            // The next attempt goes on with the same batches.
            let second = step(&served, &mixed(models), &[]);
            let left = second.left(second.start()).await;
            assert_eq!((left.exit, left.outputs["outcome"].as_str()), (0, "succeeded"), "{left:?}");
            assert_eq!(served.tally().await.creates, models as u64);
        }
    }
}

/// A run that is killed outright while its batch runs.
async fn killed(served: &Served) -> (Step, Left) {
    let step = step(served, &requests(5, "Who?"), &[]);
    let child = step.start();
    served.until("a poll", |tally| calls(tally, "get") > 0).await;
    let left = step.interrupt(child, Interrupt::Kill).await;
    (step, left)
}

#[tokio::test]
async fn post_cancels_what_the_state_names_where_the_state_says() {
    if node().is_none() {
        return;
    }
    let other = BATCHSTEP.serve(&["--takes", "20s"]).await;
    let inputs = [
        ("base-url", other.base_url.as_str()),
        ("provider", "openai"),
        ("binary-path", "/none"),
        ("batch-id", "batch_of_others"),
        ("pending", "true"),
        ("command", "collect"),
    ];
    // The run's own key, as an input or as a variable, beside one for somewhere else.
    let own = ("api-key", KEY);
    // The server would refuse it.
    let foreign = ("api-key", "sk-invalid-at-this-server");
    for (key, env) in
        [(own, None), (foreign, Some(("OPENAI_API_KEY", KEY))), (foreign, Some(("BATCHSTEP_API_KEY", KEY)))]
    {
        let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
        let (step, left) = killed(&served).await;
        let env: Vec<_> = env.into_iter().chain([("BATCHSTEP_BASE_URL", other.base_url.as_str())]).collect();
        let post = step.post_finding(&left, &[&inputs[..], &[key]].concat(), &env).await;
        let tally = served.tally().await;
        assert!(post.exit == 0 && !is_running(&tally), "{post:?}\n{tally:?}");
        assert_eq!((post.annotations("error").len(), calls(&tally, "cancel")), (0, 1), "{post:?}");
    }
    assert!(other.tally().await.calls.is_empty());
}

#[tokio::test]
async fn post_sends_no_key_that_the_run_did_not_send_and_says_what_helps() {
    if node().is_none() {
        return;
    }
    let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
    let (step, left) = killed(&served).await;
    let before = served.tally().await.calls;
    let id = served.tally().await.batches[0].id.clone();
    let foreign = "sk-of-another-step";
    for inputs in [&[][..], &[("api-key", foreign)], &[("api-key", foreign), ("base-url", &served.base_url)]] {
        let post = step.post_finding(&left, inputs, &[]).await;
        assert_eq!(post.exit, 0, "{post:?}");
        let said = &post.annotations("error")[0].data;
        for part in [id.as_str(), "`env:`", if inputs.is_empty() { "there is no key here" } else { "not sent" }] {
            assert!(said.contains(part) && post.summary.contains(id.as_str()), "{part}: {post:?}");
        }
        assert_eq!(post.log.matches(foreign).count(), usize::from(!inputs.is_empty()), "only as a mask: {post:?}");
    }
    assert_eq!(served.tally().await.calls, before, "nothing was asked without the key");
}

#[tokio::test]
async fn the_state_holds_no_secret() {
    if node().is_none() {
        return;
    }
    let served = BATCHSTEP.serve(&["--takes", "300ms"]).await;
    let address = format!("{}?api-version=2026-01-01&sig=hidden-signature", served.base_url);
    let more = [("base-url", address.as_str()), ("headers", "X-Gateway: hidden-gateway-token")];
    let step = step(&served, &requests(5, "Who?"), &more);
    let left = step.left(step.start()).await;
    assert_eq!(left.exit, 0, "{left:?}");
    let state = format!("{:?}", left.state);
    assert!(!state.contains("hidden") && !state.contains(KEY), "{state}");
    let expected = format!("{}?api-version=2026-01-01", served.base_url);
    assert_eq!((left.state["base_url"].as_str(), left.state["provider"].as_str()), (expected.as_str(), "compatible"));
    assert_eq!(left.state["binary"], BATCHSTEP.0);
}

#[tokio::test]
async fn a_binary_whose_launcher_is_killed_cancels_its_batch_itself() {
    if node().is_none() {
        return;
    }
    let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
    let step = step(&served, &requests(5, "Who?"), &[]);
    let child = step.start();
    served.until("a poll", |tally| calls(tally, "get") > 0).await;
    let left = step.interrupt(child, Interrupt::KillLauncher).await;
    let tally = served.tally().await;
    assert!(!is_running(&tally), "{left:?}\n{tally:?}");
    assert_eq!((left.outputs["outcome"].as_str(), calls(&tally, "cancel")), ("cancelled", 1), "{left:?}");
    assert!(left.log.contains("launcher is gone"), "{left:?}");
    assert_eq!(step.orphans(), [0; 0]);
}

#[tokio::test]
async fn a_binary_behind_a_script_creates_nothing_for_a_launcher_that_is_gone() {
    if node().is_none() {
        return;
    }
    let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("batchstep");
    let body = format!("#!/bin/sh\ntouch '{0}/begun'\nsleep 1\n'{1}' \"$@\"\n", dir.path().display(), BATCHSTEP.0);
    std::fs::write(&script, body).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let step = step(&served, &requests(5, "Who?"), &[("binary-path", script.to_str().unwrap())]);
    let child = step.start();
    while !dir.path().join("begun").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let left = step.interrupt(child, Interrupt::KillLauncher).await;
    assert_eq!(served.tally().await.creates, 0, "{left:?}");
    assert_eq!(step.orphans(), [0; 0]);
}
