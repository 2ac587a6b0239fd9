//! Chance: random weather, and kills at random moments, one after the other.
//!
//! Whatever comes together, one batch at most is paid for in full, and a run
//! that says that it succeeded has an answer for every request.

use std::time::Duration;

use batchstep_sandbox::Dialect;
use batchstep_test_support::rounds;
use serde_json::{Value, json};

use crate::lab::{Lab, Ran, github};

const MINUTE: Duration = Duration::from_secs(60);

/// What a run that is started again has to go by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Memory {
    Both,
    List,
    Journal,
}

/// A script of some faults that pass, and how long a batch takes.
fn weather(random: &mut fastrand::Rng, memory: Memory) -> (String, Duration) {
    let mut faults = match memory {
        Memory::Both => format!("list lag={}s", random.u64(0..=60)),
        // What is killed again and again before the list shows it is out of its own sight.
        Memory::List => format!("list lag={}s", random.u64(0..=5)),
        Memory::Journal => "list 403".to_owned(),
    };
    if memory != Memory::List && random.bool() {
        faults += "\nbatch no-metadata";
    }
    for _ in 0..random.usize(0..4) {
        let operation = random.choice(["upload", "get-file", "create", "list", "get", "content", "cancel"]).unwrap();
        let action = random.choice(["503", "429 retry-after=7s", "reset", "drop", "garbage", "stall"]).unwrap();
        let (times, after) = (random.u64(1..=2), random.u64(0..=2));
        faults += &format!("\n{operation} {action} times={times} after={after}");
    }
    for other in ["file slow=3s", "file late=2s times=1", "content cut=999 times=2", "rows missing share=10%"] {
        if random.u8(0..4) == 0 {
            faults += &format!("\n{other}");
        }
    }
    (faults, MINUTE * random.u32(4..40))
}

const INPUTS: [&str; 4] = ["--max-failed", "100%", "--poll-interval", "2m"];

/// When a run is killed, each time that it is, and how long after that it is started again.
fn kills(random: &mut fastrand::Rng, latest: Duration) -> Vec<(Duration, Duration)> {
    let moment = |random: &mut fastrand::Rng| {
        let most = *random.choice(&[Duration::from_secs(3), MINUTE, latest]).unwrap();
        (most.mul_f64(random.f64()), Duration::from_secs(random.u64(5..12)))
    };
    (0..3).map(|_| moment(random)).collect()
}

/// Runs it until it is killed, some times over, and at last to its end.
async fn again_and_again(lab: &mut Lab, memory: Memory, kills: &[(Duration, Duration)]) -> Ran {
    for (attempt, (moment, pause)) in (1..).zip(kills) {
        begin(lab, memory, attempt);
        if let Ok(ran) = tokio::time::timeout(*moment, lab.run(&INPUTS)).await {
            return ran;
        }
        tokio::time::sleep(*pause).await;
    }
    begin(lab, memory, 4);
    lab.run(&INPUTS).await
}

/// As the next job begins.
fn begin(lab: &mut Lab, memory: Memory, attempt: u64) {
    lab.seed += 1;
    if memory == Memory::List {
        lab.env = github(7, attempt);
        lab.forget();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_paid_twice_and_nothing_is_lost() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..rounds(40) as u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let memory = *random.choice(&[Memory::Both, Memory::List, Memory::Journal]).unwrap();
        let (faults, takes) = weather(&mut random, memory);
        let lab = Lab::new(takes, &faults).await;
        // Runs that see no list know nothing of each other.
        let rival = (memory != Memory::Journal && random.bool()).then(|| random.u64(0..20));
        // What another run completed while nobody waited for it is not taken up without a journal.
        let latest = if memory == Memory::List && rival.is_some() { MINUTE } else { takes + MINUTE };
        let kills = kills(&mut random, latest);
        let beside = async {
            let mut lab = lab.neighbour();
            lab.env = if memory == Memory::List { github(8, 1) } else { lab.env };
            tokio::time::sleep(Duration::from_secs(rival?)).await;
            Some(lab.run(&INPUTS).await)
        };
        let mut job = lab.neighbour();
        let (ran, beside) = tokio::join!(again_and_again(&mut job, memory, &kills), beside);
        let case = format!("seed {seed}: {memory:?}, {takes:?}, {faults:?}, kills {kills:?}, rival {rival:?}");
        for ran in [Some(ran), beside].into_iter().flatten() {
            let case = format!("{case}\n{:?}\n{}", lab.tally(), ran.text());
            assert!(lab.completed().len() <= 1, "{case}");
            assert!(!lab.is_anything_running() || ran.exit != 0, "{case}");
            match (ran.exit, memory) {
                (0, _) => ran.assert_complete(20),
                // What nobody can know is said, and nothing is created.
                (4, Memory::Journal) => {
                    assert_eq!(ran.outcome(), "unknown", "{case}");
                    // One that failed in validation costs nothing, and is made again where only its file was late.
                    let may_cost = lab.tally().batches.iter().filter(|batch| batch.status != "failed").count();
                    assert!(may_cost <= 1, "{case}");
                }
                _ => panic!("{case}"),
            }
            *ends.entry((format!("{memory:?}"), ran.exit)).or_insert(0) += 1;
        }
    }
    println!("chance: {ends:?}");
}

/// A script of some faults that pass at Anthropic's API.
fn weather_at_anthropic(random: &mut fastrand::Rng) -> String {
    let mut faults = format!("list lag={}s", random.u64(0..=60));
    for _ in 0..random.usize(0..4) {
        let operation = random.choice(["create", "list", "get", "content", "cancel"]).unwrap();
        let action = random.choice(["503", "529", "429 retry-after=7s", "reset", "drop", "garbage", "stall"]).unwrap();
        let (times, after) = (random.u64(1..=2), random.u64(0..=2));
        faults += &format!("\n{operation} {action} times={times} after={after}");
    }
    for other in ["content cut=999 times=2", "rows missing share=10%", "answers late=40s", "answers short=1m"] {
        if random.u8(0..4) == 0 {
            faults += &format!("\n{other}");
        }
    }
    faults
}

/// Where the journal alone knows a batch that runs, and batches of others look like ours until they end.
#[tokio::test(start_paused = true)]
async fn at_anthropic_nothing_is_paid_twice_and_no_batch_of_others_is_touched() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..rounds(40) as u64 {
        let mut random = fastrand::Rng::with_seed(7_000 + seed);
        let (faults, takes) = (weather_at_anthropic(&mut random), MINUTE * random.u32(4..40));
        let lab = Lab::speaking(Dialect::Anthropic, takes, &faults, 20).await;
        let (other, kills) = (random.bool().then(|| random.u64(0..90)), kills(&mut random, takes + MINUTE));
        let beside = async {
            let text = std::fs::read_to_string(lab.requests()).unwrap();
            let requests: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            tokio::time::sleep(Duration::from_secs(other?)).await;
            // A fault may strike it.
            Some(lab.try_post("/messages/batches", &json!({ "requests": requests })).await)
        };
        let mut job = lab.neighbour();
        let (mut ran, _) = tokio::join!(again_and_again(&mut job, Memory::Journal, &kills), beside);
        let case = format!("seed {seed}: {takes:?}, {faults:?}, kills {kills:?}, other's batch after {other:?} s");
        *ends.entry((other.is_some(), ran.exit)).or_insert(0) += 1;
        if ran.exit == 4 {
            assert!(ran.outcome() == "unknown" && other.is_some(), "{case}\n{}", ran.text());
            tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
            ran = job.run(&INPUTS).await;
        }
        let case = format!("{case}\n{:?}\n{}", lab.tally(), ran.text());
        assert_eq!(ran.exit, 0, "{case}");
        ran.assert_complete(20);
        let paid = lab.tally().batches.into_iter().filter(|batch| batch.key.is_some() && batch.rows_paid > 0).count();
        assert_eq!((paid, lab.calls("cancel")), (1, 0), "{case}");
    }
    println!("chance at Anthropic, whether another's batch was there, and the first exit code: {ends:?}");
}

/// A script of trouble on the way back, all of it over within a day.
fn way_back(random: &mut fastrand::Rng) -> String {
    let mut faults = String::new();
    let span = |random: &mut fastrand::Rng| *random.choice(&["20s", "90s", "5m", "14m", "3h"]).unwrap();
    for _ in 0..random.usize(0..3) {
        let delivery = random.choice(["late", "short", "torn", "page"]).unwrap();
        faults += &format!("answers {delivery}={}\n", span(random));
    }
    if random.u8(0..4) == 0 {
        faults += &format!("answers absent={}\n", random.choice(["20s", "90s"]).unwrap());
    }
    for fault in ["answers gzip", "answers phantom"] {
        if random.u8(0..5) == 0 {
            faults += &format!("{fault}\n");
        }
    }
    match random.u8(0..6) {
        0 => faults += "answers uncounted\n",
        1 => faults += "answers undercounted\n",
        2 => faults += "answers overcounted=30\n",
        _ => {}
    }
    for row in ["nan", "string-body", "empty", "bare", "status=0", "status=400", "status=503", "error-in-body"] {
        if random.u8(0..5) == 0 {
            faults += &format!("rows {row} share={}%\n", random.choice([5, 20]).unwrap());
        }
    }
    for action in ["503", "404", "429 retry-after=7s", "reset", "stall", "garbage", "cut=999"] {
        if random.u8(0..6) == 0 {
            faults += &format!("content {action} times={}\n", random.u64(1..=3));
        }
    }
    faults
}

/// Headers whose values are words of the protocol, or none.
fn headers(random: &mut fastrand::Rng) -> Option<String> {
    let words = ["batchstep", "completed", "custom_id", "request_counts", "status_code"];
    random.bool().then(|| format!("X-Word: {}", random.choice(words).unwrap()))
}

/// Whatever befalls the answers on their way back: none that the provider's account promises is paid for
/// again, all that can be fetched are, every command that is printed works, and each run ends in time.
#[tokio::test(start_paused = true)]
async fn no_answer_is_bought_twice_and_none_is_lost_on_the_way_back() {
    let mut ends = std::collections::BTreeMap::new();
    for seed in 0..rounds(60) as u64 {
        let mut random = fastrand::Rng::with_seed(1_000 + seed);
        let faults = way_back(&mut random);
        let lab = Lab::with_requests(20 * MINUTE, &faults, 60).await;
        let header = headers(&mut random);
        let mut inputs = vec!["--max-failed", "100%", "--retries", "1"];
        inputs.extend(header.iter().flat_map(|header| ["--headers", header.as_str()]));
        let ran = lab.run(&inputs).await;
        let case = format!("seed {seed}: {faults:?} {header:?}\n{:?}\n{}", lab.tally(), ran.text());
        ran.assert_complete(60);
        assert!(ran.took < Duration::from_secs(2 * 3600), "{case}");
        *ends.entry(ran.outcome().to_owned()).or_insert(0) += 1;
        assert!(matches!(ran.exit, 0 | 4 | 5), "{case}");
        assert_eq!(ran.exit == 4, ran.outcome() == "uncollected", "{case}");
        // Uncounted or undercounted answers are not promised: what was late of them may be sent again.
        let is_promised = !faults.contains("counted");
        assert!(!is_promised || lab.tally().rows_good_again == 0, "{case}");
        if ran.outcome() != "uncollected" {
            assert!(!is_promised || ran.count("succeeded") == lab.tally().rows_good, "{case}");
            continue;
        }
        // The trouble is over, and what the run printed brings the rest.
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        let creates = lab.tally().creates;
        let again = lab.run(&["--max-failed", "100%", "--retries", "0"]).await;
        let case = format!("{case}\nagain:\n{}", again.text());
        assert!(again.exit == 0 && lab.tally().creates == creates, "{case}");
        assert!(!is_promised || again.count("succeeded") == lab.tally().rows_good, "{case}");
    }
    println!("the way back: {ends:?}");
}
