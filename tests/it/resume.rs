//! Resuming from any part of a journal that a crash can leave: nothing is paid for twice, and the results
//! are those of a run that nothing disturbed.
//!
//! What is written before a step (an intent) is on the disk when the step is done, so a crash can only cut
//! off what was written after the last intent: whole lines, or the end of one.

use std::path::PathBuf;
use std::time::Duration;

use batchstep_test_support::rounds;
use serde_json::Value;

use crate::lab::{Lab, Ran, github};

const MINUTE: Duration = Duration::from_secs(60);
const INPUTS: [&str; 4] = ["--max-failed", "100%", "--poll-interval", "2m"];

/// A script of some faults that pass.
fn weather(random: &mut fastrand::Rng) -> String {
    let mut faults = format!("list lag={}s", random.u64(0..=60));
    for _ in 0..random.usize(0..3) {
        let operation = random.choice(["upload", "create", "list", "get", "content"]).unwrap();
        let action = random.choice(["503", "429 retry-after=7s", "reset", "drop", "garbage"]).unwrap();
        faults += &format!("\n{operation} {action} times={} after={}", random.u64(1..=2), random.u64(0..=1));
    }
    for other in ["batch no-metadata", "file late=2s times=1", "rows missing share=10%"] {
        if random.u8(0..4) == 0 {
            faults += &format!("\n{other}");
        }
    }
    faults
}

fn journal(lab: &Lab) -> PathBuf {
    lab.out().join("journal.jsonl")
}

fn read(lab: &Lab) -> Vec<u8> {
    std::fs::read(journal(lab)).unwrap_or_default()
}

/// Where the last intent of a journal ends: from there on a crash may have cut it off.
fn after_last_intent(text: &[u8]) -> usize {
    let is_intent = |line: &[u8]| {
        let record: Value = serde_json::from_slice(line).unwrap_or_default();
        match record["step"].as_str() {
            Some("upload" | "create" | "cancel" | "halved") => true,
            Some("attached") => !record["instead_of"].is_null(),
            _ => false,
        }
    };
    let (mut at, mut last) = (0, 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if is_intent(line) {
            last = at;
        }
    }
    last
}

/// Cuts a journal off as a crash may have: anywhere after its last intent, in the middle of a line or at its end.
fn cut(lab: &Lab, text: &[u8], random: &mut fastrand::Rng) -> usize {
    let end = random.usize(after_last_intent(text)..=text.len());
    if end > 0 {
        std::fs::write(journal(lab), &text[..end]).unwrap();
    }
    end
}

/// Whether a journal says that its last run left nothing to resume.
fn is_closed(text: &[u8]) -> bool {
    let last = text.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    let record: Option<Value> = last.and_then(|line| serde_json::from_slice(line).ok());
    record.is_some_and(|record| record["step"] == "closed")
}

fn assert_paid_once(lab: &Lab, ran: &Ran, case: &str) {
    assert_eq!((ran.exit, lab.completed().len()), (0, 1), "{case}: {:?}\n{}", lab.tally(), ran.text());
    assert!(!lab.is_anything_running(), "{case}: {}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_journal_leads_to_the_same_results() {
    for seed in (0..).take(rounds(12)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let faults = weather(&mut random);
        let mut lab = Lab::new(10 * MINUTE, &faults).await;
        let first = lab.run(&INPUTS).await;
        assert_paid_once(&lab, &first, &faults);
        let (text, creates) = (read(&lab), lab.tally().creates);
        for _ in 0..6 {
            let end = cut(&lab, &text, &mut random);
            lab.seed += 1;
            let case = format!("seed {seed}, {faults:?}, cut at {end} of {}", text.len());
            // Nothing but the journal leads to a batch that is over, unless it is closed: then `reuse` has to.
            let reuse = if is_closed(&text[..end]) { "finished" } else { "active" };
            let again = lab.run(&[&INPUTS[..], &["--reuse", reuse]].concat()).await;
            assert_paid_once(&lab, &again, &case);
            assert_eq!((&again.results, lab.tally().creates), (&first.results, creates), "{case}: {}", again.text());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_run_is_resumed_from_whatever_it_wrote() {
    for seed in (0..).take(rounds(24)) {
        let mut random = fastrand::Rng::with_seed(1_000 + seed);
        let faults = weather(&mut random);
        let mut lab = Lab::new(10 * MINUTE, &faults).await;
        let rival = (random.u8(0..3) == 0).then(|| lab.neighbour());
        // What another run completed while nobody waited for it is not reused without a journal.
        let latest = if rival.is_some() { MINUTE } else { 12 * MINUTE };
        let mut case = format!("seed {seed}, {faults:?}, rival {}", rival.is_some());
        let beside = async {
            let mut rival = rival?;
            rival.env = github(8, 1);
            Some(rival.run(&INPUTS).await)
        };
        lab.env = github(7, 1);
        let killed = async {
            for _ in 0..3 {
                let most = *random.choice(&[Duration::from_secs(3), MINUTE, latest]).unwrap();
                let moment = most.mul_f64(random.f64());
                lab.seed += 1;
                if let Ok(ran) = tokio::time::timeout(moment, lab.run(&INPUTS)).await {
                    return ran;
                }
                let text = read(&lab);
                let end = cut(&lab, &text, &mut random);
                case += &format!("; killed after {moment:?}, cut at {end} of {}", text.len());
            }
            lab.run(&INPUTS).await
        };
        let (ran, beside) = tokio::join!(killed, beside);
        assert_paid_once(&lab, &ran, &case);
        if let Some(beside) = beside {
            assert_paid_once(&lab, &beside, &case);
            assert_eq!(ran.results, beside.results, "{case}");
        }
    }
}
