//! The patterns of `docs/long-batches.md`, each over a batch that takes a day, as
//! jobs on machines of their own that share nothing but the APIs. What they cost
//! is counted here and stands in that document's table.

use std::cell::Cell;
use std::time::Duration;

use batchstep_test_support::github_server::{GitHub, HEAD, TOKEN};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::github::{set_attempt, set_event};
use crate::lab::{Lab, Ran};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// A batch that uses up its window.
const TAKES: Duration = Duration::from_secs(23 * 3600 + 58 * 60);
/// What a job does beside our step: it starts, checks out, uploads an artifact.
const AROUND: Duration = Duration::from_secs(20);
const SHOWN: [&str; 4] = ["--check-run", "--comment", "--github-token", TOKEN];

/// A provider, GitHub, and a meter at the jobs.
struct World {
    lab: Lab,
    github: GitHub,
    began: Instant,
    jobs: Cell<u64>,
    minutes: Cell<u64>,
}

impl World {
    async fn new(takes: Duration) -> Self {
        let (lab, github) = (Lab::new(takes, "").await, GitHub::new("").await);
        Self { lab, github, began: Instant::now(), jobs: Cell::new(0), minutes: Cell::new(0) }
    }

    /// A fresh machine in a workflow run of its own, for pull request 7.
    fn job(&self) -> Lab {
        let mut job = self.lab.neighbour();
        set_event(&mut job, &self.github, self.jobs.get() + 1, &pull());
        job
    }

    /// A job was done, and is billed: each begun minute counts.
    fn bill(&self, ran: Ran) -> Ran {
        self.jobs.set(self.jobs.get() + 1);
        self.minutes.set(self.minutes.get() + (ran.took + AROUND).as_secs().div_ceil(60));
        ran
    }

    async fn sleep_until(&self, after: Duration) {
        tokio::time::sleep_until(self.began + after).await;
    }

    /// What holds for every pattern: one batch was paid, and the document's table
    /// has what it cost: billed minutes, jobs, calls to the provider and to GitHub.
    #[expect(clippy::print_stdout, reason = "the figures are what the document states")]
    fn assert_cost(&self, pattern: &str) {
        let tally = self.lab.tally();
        assert_eq!((tally.creates, tally.rows_paid), (1, 20), "{pattern}");
        let calls: u64 = tally.calls.values().sum();
        let cost =
            [self.minutes.get(), self.jobs.get(), calls, self.github.count("", "") as u64].map(|n| n.to_string());
        println!(
            "{pattern}: {} billed minutes, {} jobs, {} calls to the provider, {} to GitHub",
            cost[0], cost[1], cost[2], cost[3]
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/long-batches.md");
        let document = std::fs::read_to_string(path).unwrap();
        let row = document.lines().find(|line| line.starts_with(&format!("| {pattern} |"))).unwrap_or_default();
        let cells: Vec<String> = row.split('|').skip(2).take(4).map(|cell| cell.trim().replace(',', "")).collect();
        assert_eq!(cells, cost, "{pattern}: {row}");
    }
}

fn pull() -> Value {
    json!({ "pull_request": { "number": 7, "head": { "sha": HEAD } } })
}

fn assert_collected(ran: &Ran) {
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
}

fn batch_id(ran: &Ran) -> String {
    ran.report["batches"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_runner_of_ones_own_can_be_held() {
    let world = World::new(TAKES).await;
    let ran = world.bill(world.job().run(&["--timeout", "24h30m"]).await);
    assert_collected(&ran);
    world.assert_cost("a self-hosted runner held for it");
}

#[tokio::test(start_paused = true)]
async fn submit_and_collect_around_a_wait_timer() {
    let world = World::new(TAKES).await;
    let submitted = world.bill(world.job().submit(&[]).await);
    assert_eq!((submitted.exit, submitted.outcome()), (0, "pending"), "{}", submitted.text());
    world.sleep_until(24 * HOUR + 30 * MINUTE).await;
    // The second job has the id from the first one's outputs, and nothing else.
    let ran = world.job().collect(&[&batch_id(&submitted), "--timeout", "30m", "--fail-if-pending"]).await;
    assert_collected(&world.bill(ran));
    world.assert_cost("submit, a wait timer, collect");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_does_not_cover_the_window_ends_pending() {
    let world = World::new(TAKES).await;
    let submitted = world.bill(world.job().submit(&[]).await);
    world.sleep_until(12 * HOUR).await;
    let ran = world.job().collect(&[&batch_id(&submitted), "--timeout", "30m", "--fail-if-pending"]).await;
    assert_eq!((ran.exit, ran.outcome(), world.lab.calls("cancel")), (8, "pending", 0), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn submit_on_pull_requests_and_collect_on_a_schedule() {
    let world = World::new(TAKES).await;
    world.github.open_pull(7, HEAD);
    world.bill(world.job().submit(&SHOWN).await);
    let mut collected = Vec::new();
    for tick in 1..=48 {
        world.sleep_until(tick * 30 * MINUTE).await;
        let mut job = world.lab.neighbour();
        set_event(&mut job, &world.github, 500, &json!({ "schedule": "17,47 * * * *" }));
        std::fs::remove_file(job.dir.path().join("requests.jsonl")).unwrap();
        let ran = world.bill(job.collect(&[&["--pending"], &SHOWN[..]].concat()).await);
        assert_eq!(ran.exit, 0, "{}", ran.text());
        collected.extend(job.out().read_dir().into_iter().flatten().map(|run| (tick, run.unwrap().path())));
        if let Some((48, dir)) = collected.last() {
            assert_eq!(std::fs::read_to_string(dir.join("results.jsonl")).unwrap().lines().count(), 20);
        }
    }
    assert_eq!(collected.len(), 1, "{collected:?}");
    let conclusion = world.github.state.lock().unwrap().checks[0]["conclusion"].clone();
    assert_eq!((conclusion, world.github.state.lock().unwrap().comments.len()), (json!("success"), 1));
    world.assert_cost("submit, collect every half hour");
}

#[tokio::test(start_paused = true)]
async fn a_run_hands_over_to_the_next() {
    let world = World::new(TAKES).await;
    let late = world.bill(world.job().run(&["--on-timeout", "detach"]).await);
    assert_eq!((late.exit, late.outcome()), (0, "detached"), "{}", late.text());
    world.sleep_until(25 * HOUR).await;
    // A re-run of the same job: what an earlier attempt's batch completed is taken up.
    let mut again = world.job();
    set_attempt(&mut again, &world.github, 1, 2, &pull());
    assert_collected(&world.bill(again.run(&["--on-timeout", "detach"]).await));
    world.assert_cost("a run that hands over, run again the next day");
}

#[tokio::test(start_paused = true)]
async fn a_push_that_cancels_the_job_goes_on_with_its_batch() {
    let world = World::new(4 * HOUR).await;
    let aborted = world.job().run_signalled(&["--on-abort", "detach"], &[(2 * HOUR, 2)]).await;
    assert_eq!((aborted.exit, aborted.outcome()), (130, "detached"), "{}", aborted.text());
    world.bill(aborted);
    let ran = world.bill(world.job().run(&["--on-abort", "detach"]).await);
    assert_collected(&ran);
    assert!(ran.took < 2 * HOUR + 5 * MINUTE, "{:?}", ran.took);
    assert_eq!((world.lab.tally().creates, world.lab.tally().rows_paid, world.lab.calls("cancel")), (1, 20, 0));
}
