//! Runs of the same requests at the same moment: one batch survives, all runs end
//! with its results, and every other batch is cancelled.

use std::time::Duration;

use futures_util::future::join_all;

use crate::lab::{Lab, Ran, github};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Runs it after so long.
async fn after(wait: Duration, lab: &Lab, inputs: &[&str]) -> Ran {
    tokio::time::sleep(wait).await;
    lab.run(inputs).await
}

/// A run that is killed outright after so long; tells whether it was over by then.
async fn killed_after(wait: Duration, lab: &Lab, inputs: &[&str]) -> bool {
    tokio::time::timeout(wait, lab.run(inputs)).await.is_ok()
}

/// One batch was paid for in full, nothing runs, and every run has its answers.
fn assert_settled(lab: &Lab, ran: &[Ran], case: &str) {
    let logs = || ran.iter().map(Ran::text).collect::<Vec<_>>().join("\n---\n");
    assert_eq!((lab.completed().len(), lab.is_anything_running()), (1, false), "{case}: {:?}\n{}", lab.tally(), logs());
    for ran in ran {
        let batch = ran.report["batches"][0]["id"].as_str();
        assert_eq!((ran.exit, batch), (0, Some(&*lab.completed()[0])), "{case}: {}", ran.text());
        ran.assert_complete(20);
    }
    assert!(ran.iter().all(|other| other.results == ran[0].results), "{case}");
}

#[tokio::test(start_paused = true)]
async fn eight_at_once_settle_on_the_older_batch() {
    // Ids are random, so within one second of creation any of them may be the older.
    for (seed, spread, lag) in [
        (1, 0, 0),
        (2, 0, 10),
        (3, 0, 25),
        (4, 0, 60),
        (5, 900, 0),
        (6, 900, 10),
        (7, 5_000, 4),
        (8, 20_000, 10),
        (9, 60_000, 29),
        (10, 90_000, 60),
    ] {
        let lab = Lab::new(20 * MINUTE, &format!("list lag={lag}s")).await;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut runs: Vec<Lab> = (0..8).map(|_| lab.neighbour()).collect();
        let starts: Vec<u64> = runs.iter().map(|_| random.u64(0..=spread)).collect();
        for run in &mut runs {
            run.seed = random.u64(..);
        }
        let starts = starts.into_iter().map(Duration::from_millis);
        let ran = join_all(runs.iter().zip(starts).map(|(run, start)| after(start, run, &[]))).await;
        assert_settled(&lab, &ran, &format!("spread {spread} ms, lag {lag} s"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_reuses_nothing_keeps_its_own() {
    for lag in [0, 10] {
        let lab = Lab::new(HOUR, &format!("list lag={lag}s")).await;
        let runs: Vec<Lab> = (0..4).map(|_| lab.neighbour()).collect();
        let inputs = |number| if number == 0 { &["--reuse", "never"][..] } else { &[] };
        let ran = join_all(runs.iter().enumerate().map(|(number, run)| run.run(inputs(number)))).await;
        for ran in &ran {
            assert_eq!(ran.exit, 0, "lag {lag}: {}", ran.text());
            ran.assert_complete(20);
        }
        let own = ran[0].report["batches"][0]["id"].as_str().unwrap();
        assert!(ran[0].report["batches"][0]["attached"].is_null(), "{}", ran[0].text());
        assert!(lab.completed().iter().any(|id| id == own), "lag {lag}");
        assert!(lab.completed().len() <= 2, "lag {lag}: {:?}", lab.tally());
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_end_before_the_list_shows_them_still_end_alike() {
    for takes in [0, 3, 8, 12, 20] {
        let lab = Lab::new(takes * SECOND, "list lag=10s").await;
        let runs: Vec<Lab> = (0..3).map(|_| lab.neighbour()).collect();
        let ran = join_all(runs.iter().map(|run| run.run(&[]))).await;
        for ran in &ran {
            assert_eq!(ran.exit, 0, "takes {takes}: {}", ran.text());
            ran.assert_complete(20);
        }
        // What takes longer than the list lags is seen at its end: then it is too late not to pay.
        let ids = ran.iter().map(|ran| ran.report["batches"][0]["id"].as_str().unwrap());
        let ids: std::collections::BTreeSet<&str> = ids.collect();
        assert!(takes < 10 || ids.len() == 1, "takes {takes}: {ids:?}");
    }
}

/// With the journal, or in a workspace of its own that knows only which run it is.
#[tokio::test(start_paused = true)]
async fn a_kill_in_the_middle_of_the_settlement_leaves_one_batch() {
    for with_journal in [true, false] {
        for seed in 0..10 {
            let mut random = fastrand::Rng::with_seed(seed);
            let lag = random.choice([0, 5, 10]).unwrap();
            let lab = Lab::new(10 * MINUTE, &format!("list lag={lag}s")).await;
            let runs: Vec<Lab> = (0..3).map(|_| lab.neighbour()).collect();
            let once = async |number: usize, mut run: Lab, kill: Duration, pause: Duration| {
                run.seed = kill.as_nanos() as u64;
                if !with_journal {
                    run.env = github(number as u64, 1);
                }
                assert!(!killed_after(kill, &run, &[]).await);
                tokio::time::sleep(pause).await;
                if !with_journal {
                    run.forget();
                    run.env = github(number as u64, 2);
                }
                run.run(&[]).await
            };
            // Nobody starts again before the list shows what it made: what cannot be seen cannot be ended.
            let pause = Duration::from_secs(lag);
            let moments: Vec<Duration> = runs.iter().map(|_| Duration::from_millis(random.u64(0..45_000))).collect();
            let ran = runs.into_iter().zip(moments).enumerate();
            let ran = join_all(ran.map(|(number, (run, kill))| once(number, run, kill, pause))).await;
            assert_settled(&lab, &ran, &format!("journal {with_journal}, seed {seed}, lag {lag} s"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_while_looking_for_duplicates_ends_no_run() {
    for trouble in ["get-file 403", "get-file 503 for=20m", "list 403 after=4", "list 503 after=3 for=20m"] {
        let lab = Lab::new(HOUR, &format!("{trouble}\nbatch no-metadata")).await;
        let (one, two) = (lab.neighbour(), lab.neighbour());
        let ran = tokio::join!(one.run(&[]), two.run(&[]));
        for ran in [ran.0, ran.1] {
            assert_eq!(ran.exit, 0, "{trouble}: {}", ran.text());
            ran.assert_complete(20);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_cancelled_however_long_that_is_refused() {
    for trouble in ["cancel 503 for=5m", "cancel stall times=3", "cancel drop times=6", "cancel 429 times=9"] {
        let lab = Lab::new(HOUR, trouble).await;
        let runs = [lab.neighbour(), lab.neighbour()];
        let ran = join_all(runs.iter().map(|run| run.run(&[]))).await;
        assert_settled(&lab, &ran, trouble);
    }
}

#[tokio::test(start_paused = true)]
async fn a_completed_batch_without_its_metadata_is_not_a_duplicate() {
    // Without metadata only the file tells; what was completed before is not `active`.
    let lab = Lab::new(MINUTE, "batch no-metadata").await;
    assert_eq!(lab.run(&[]).await.exit, 0);
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, lab.completed().len()), (0, 2), "{}", ran.text());
    assert!(ran.report["batches"][0]["attached"].is_null(), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_batches_others_cancel_goes_on_until_it_has_one() {
    let lab = Lab::new(HOUR, "batch cancel=20m times=4").await;
    for _ in 0..4 {
        let other = lab.neighbour();
        assert!(!killed_after(4 * MINUTE, &other, &["--reuse", "never"]).await);
    }
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.completed().len()), (0, "succeeded", 1), "{}", ran.text());
    ran.assert_complete(20);
}

/// What the runner would hand to `post`: the last value of each name.
pub(crate) fn state(path: &std::path::Path) -> std::collections::BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let mut pairs = std::collections::BTreeMap::new();
    while let Some((name, end)) = lines.next().and_then(|line| line.split_once("<<")) {
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        pairs.insert(name.to_owned(), value.join("\n"));
    }
    pairs
}

#[tokio::test(start_paused = true)]
async fn post_stays_armed_for_a_batch_until_it_is_given_up() {
    let lab = Lab::new(HOUR, "list lag=5s\ncancel stall").await;
    let older = lab.neighbour();
    let mut newer = lab.neighbour();
    let path = lab.dir.path().join("state");
    let state_file = path.display().to_string();
    newer.env = [("GITHUB_ACTIONS", "true"), ("GITHUB_STATE", &state_file)].into_iter().collect();
    let (_, _) = tokio::join!(killed_after(MINUTE, &older, &[]), async {
        tokio::time::sleep(2 * SECOND).await;
        // The older batch is seen half a minute later; the cancel of its own is never answered.
        assert!(!killed_after(33 * SECOND, &newer, &[]).await);
    });
    let left = state(&path);
    let own = &lab.tally().batches[1];
    assert_eq!((left["armed"].as_str(), left["batch"].as_str()), ("true", own.id.as_str()), "{left:?}");

    // Answered, it is given up: nothing is armed for the batch of another run.
    let answered = Lab::new(HOUR, "list lag=5s").await;
    let (lab, older, env) = (&answered, answered.neighbour(), newer.env.clone());
    newer = lab.neighbour();
    newer.env = env;
    tokio::join!(killed_after(MINUTE, &older, &[]), async {
        tokio::time::sleep(2 * SECOND).await;
        assert!(!killed_after(33 * SECOND, &newer, &[]).await);
    });
    let left = state(&path);
    assert_eq!((left["armed"].as_str(), left["batch"].as_str()), ("false", ""));
    assert_eq!(lab.tally().batches[1].status, "cancelling");
}
