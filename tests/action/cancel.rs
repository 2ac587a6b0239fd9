//! The cancel matrix: at every moment of a run, cancelled or killed outright,
//! `post` sees to it that nothing is left running.

use std::time::Duration;

use batchstep_sandbox::Tally;
use batchstep_test_support::bench::{Served, calls, requests};
use batchstep_test_support::github_server::{GitHub, HEAD, TOKEN};

use crate::BATCHSTEP;
use crate::runner::{Interrupt, Step, node};

/// A moment of a run, held still by a fault of the sandbox.
struct Moment<'a> {
    name: &'a str,
    sandbox: &'a [&'a str],
    when: fn(&Tally) -> bool,
    /// Whether a batch exists by then.
    created: bool,
}

const MOMENTS: [Moment<'_>; 7] = [
    Moment {
        name: "upload",
        sandbox: &["--takes", "20s", "--fault", "upload stall"],
        when: |tally| calls(tally, "upload") > 0,
        created: false,
    },
    Moment {
        name: "create, acted on and not answered",
        sandbox: &["--takes", "20s", "--fault", "create stall"],
        when: |tally| tally.creates > 0,
        created: true,
    },
    Moment {
        name: "create, its reply lost and the list late",
        sandbox: &["--takes", "20s", "--fault", "create drop\nlist lag=4s"],
        // The first look is for a batch to attach to, before the create.
        when: |tally| tally.creates > 0 && calls(tally, "list") > 1,
        created: true,
    },
    Moment { name: "polling", sandbox: &["--takes", "20s"], when: |tally| calls(tally, "get") > 0, created: true },
    Moment {
        name: "polling, where batches cannot be listed",
        sandbox: &["--takes", "20s", "--fault", "list 403"],
        when: |tally| calls(tally, "get") > 0,
        created: true,
    },
    Moment {
        name: "finalizing",
        sandbox: &["--takes", "500ms", "--fault", "batch stuck=finalizing"],
        when: |tally| tally.batches.iter().any(|batch| batch.status == "finalizing"),
        created: true,
    },
    Moment {
        name: "download",
        sandbox: &["--takes", "500ms", "--fault", "content stall"],
        when: |tally| calls(tally, "content") > 0,
        created: true,
    },
];

fn step(served: &Served, lines: &str, more: &[(&str, &str)]) -> Step {
    let usual = [("provider", "sandbox"), ("base-url", served.base_url.as_str()), ("poll-interval", "200ms")];
    Step::new(lines, &[&usual, more].concat())
}

async fn hold(moment: &Moment<'_>, how: Interrupt) {
    let served = BATCHSTEP.serve(moment.sandbox).await;
    let step = step(&served, &requests(5, "Who?"), &[]);
    let child = step.start();
    served.until(moment.name, moment.when).await;
    let left = step.interrupt(child, how).await;
    let case = format!("{}, {how:?}: {left:?}", moment.name);
    assert_eq!(step.orphans(), Vec::<u32>::new(), "{case}");
    if how == Interrupt::Cancel {
        assert_eq!((left.exit, left.outputs["outcome"].as_str()), (130, "cancelled"), "{case}");
        assert_eq!(left.state["armed"], "false", "{case}");
    } else {
        assert_eq!(left.state.get("armed").map(String::as_str), moment.created.then_some("true"), "{case}");
    }
    let post = step.post(&left).await;
    assert_eq!(post.exit, 0, "{case}\n{post:?}");
    let tally = served.tally().await;
    assert_eq!(tally.batches.len(), usize::from(moment.created), "{case}\n{post:?}\n{tally:?}");
    let over = ["cancelling", "cancelled", "completed"];
    assert!(tally.batches.iter().all(|batch| over.contains(&batch.status.as_str())), "{case}\n{post:?}\n{tally:?}");
    if how == Interrupt::Kill && moment.created {
        let id = &tally.batches[0].id;
        assert!(post.summary.contains(id), "{case}\n{post:?}");
    }
}

#[tokio::test]
async fn a_cancelled_job_leaves_nothing_running() {
    if node().is_none() {
        return;
    }
    for moment in &MOMENTS {
        hold(moment, Interrupt::Cancel).await;
    }
}

#[tokio::test]
async fn a_step_that_is_killed_outright_leaves_nothing_running() {
    if node().is_none() {
        return;
    }
    for moment in &MOMENTS {
        hold(moment, Interrupt::Kill).await;
    }
}

#[tokio::test]
async fn a_check_that_a_killed_run_left_open_is_concluded() {
    if node().is_none() {
        return;
    }
    let github = GitHub::new("").await;
    let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
    let env =
        [("GITHUB_API_URL", github.url()), ("GITHUB_REPOSITORY", "octo/repo".into()), ("GITHUB_SHA", HEAD.into())];
    let step = step(&served, &requests(5, "Who?"), &[("check-run", "true"), ("github-token", TOKEN)]).with(&env);
    let child = step.start();
    served.until("a poll", |tally| calls(tally, "get") > 0).await;
    let left = step.interrupt(child, Interrupt::Kill).await;
    let check = || github.state.lock().unwrap().checks[0].clone();
    assert_eq!((check()["status"].as_str(), &left.state["check"]), (Some("in_progress"), &check()["id"].to_string()));
    let post = step.post(&left).await;
    assert_eq!((post.exit, check()["conclusion"].as_str()), (0, Some("cancelled")), "{post:?}");
    assert!(["cancelling", "cancelled"].contains(&served.tally().await.batches[0].status.as_str()), "{post:?}");
    assert_eq!(github.state.lock().unwrap().checks.len(), 1);
}

#[tokio::test]
async fn an_interrupted_check_has_uploaded_nothing() {
    if node().is_none() {
        return;
    }
    // Large enough to be still at it when its first line is read.
    let lines = requests(40_000, &"Who? ".repeat(200));
    for how in [Interrupt::Cancel, Interrupt::Kill] {
        let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
        let step = step(&served, &lines, &[]);
        let child = step.start();
        tokio::time::sleep(Duration::from_millis(150)).await;
        let left = step.interrupt(child, how).await;
        let post = step.post(&left).await;
        let tally = served.tally().await;
        assert_eq!((tally.creates, post.exit), (0, 0), "{how:?}: {left:?}\n{post:?}");
    }
}

#[tokio::test]
async fn a_run_that_ends_well_disarms_its_post() {
    if node().is_none() {
        return;
    }
    let served = BATCHSTEP.serve(&["--takes", "300ms"]).await;
    let step = step(&served, &requests(5, "Who?"), &[("api-key", "sk-0123456789")]);
    let left = step.left(step.start()).await;
    assert_eq!((left.exit, left.outputs["outcome"].as_str()), (0, "succeeded"), "{left:?}");
    assert!(left.log.starts_with("::add-mask::sk-0123456789\n"), "{left:?}");
    assert_eq!(left.log.matches("sk-0123456789").count(), 1, "{left:?}");
    for sentence in ["SIMULATED", "Upload that directory as an artifact to keep it"] {
        assert!(left.summary.contains(sentence), "{}", left.summary);
    }
    let before = served.tally().await.calls;
    assert_eq!(step.post(&left).await.exit, 0);
    assert_eq!(served.tally().await.calls, before, "post had nothing to do");
}

#[tokio::test]
async fn a_sandbox_that_dies_with_its_run_needs_no_post() {
    if node().is_none() {
        return;
    }
    let step = Step::new(&requests(5, "Who?"), &[("provider", "sandbox"), ("takes", "20s")]);
    let child = step.start();
    step.until_state("batch").await;
    let left = step.interrupt(child, Interrupt::Kill).await;
    assert_eq!(left.state["armed"], "false", "{left:?}");
    let post = step.post(&left).await;
    assert!(post.exit == 0 && post.log.is_empty(), "{post:?}");
}

#[tokio::test]
async fn a_detached_batch_goes_on_after_post() {
    if node().is_none() {
        return;
    }
    for how in [Interrupt::Cancel, Interrupt::Kill] {
        let served = BATCHSTEP.serve(&["--takes", "20s"]).await;
        let step = step(&served, &requests(5, "Who?"), &[("on-abort", "detach")]);
        let child = step.start();
        served.until("a poll", |tally| calls(tally, "get") > 0).await;
        let left = step.interrupt(child, how).await;
        assert_eq!(step.post(&left).await.exit, 0);
        let tally = served.tally().await;
        assert_eq!((calls(&tally, "cancel"), tally.batches.len()), (0, 1), "{how:?}: {left:?}");
        assert!(["validating", "in_progress"].contains(&tally.batches[0].status.as_str()), "{tally:?}");
        if how == Interrupt::Cancel {
            assert_eq!((left.outputs["outcome"].as_str(), left.outputs["detached"].as_str()), ("detached", "true"));
        }
    }
}
