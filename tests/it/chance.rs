//! Chance: random weather, and kills at random moments, one after the other.
//!
//! Whatever comes together, one batch at most is paid for in full, and a run
//! that says that it succeeded has an answer for every request.

use std::time::Duration;

use crate::lab::{Lab, Ran, github, rounds};

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
async fn again_and_again(mut lab: Lab, memory: Memory, kills: &[(Duration, Duration)]) -> Ran {
    for (attempt, (moment, pause)) in (1..).zip(kills) {
        begin(&mut lab, memory, attempt);
        if let Ok(ran) = tokio::time::timeout(*moment, lab.run(&INPUTS)).await {
            return ran;
        }
        tokio::time::sleep(*pause).await;
    }
    begin(&mut lab, memory, 4);
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
    for seed in 0..rounds(40) {
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
        let (ran, beside) = tokio::join!(again_and_again(lab.neighbour(), memory, &kills), beside);
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
                    assert!(lab.tally().creates <= 1, "{case}");
                }
                _ => panic!("{case}"),
            }
            *ends.entry((format!("{memory:?}"), ran.exit)).or_insert(0) += 1;
        }
    }
    println!("chance: {ends:?}");
}
