//! What a run did cost: each answer by its own usage, in everything that programs read.

use std::time::Duration;

use batchstep_sandbox::Dialect;
use serde_json::Value;

use crate::lab::{Lab, Ran};

const MINUTE: Duration = Duration::from_secs(60);

/// What these tokens cost in a batch of `gpt-4.1-mini`, in dollars: 0.2 and 0.8 for a million. None is cached.
fn dollars(tokens: &Value) -> f64 {
    let count = |name: &str| tokens[name].as_f64().unwrap();
    (count("input") * 0.2 + count("output") * 0.8) / 1e6
}

fn is_about(sum: &Value, expected: f64) -> bool {
    sum.as_f64().is_some_and(|sum| expected > 0.0 && (sum - expected).abs() < 1e-9)
}

/// The costs of the rows in `answers.jsonl`; null where there is none.
fn rows(lab: &Lab) -> Vec<Value> {
    let lines = std::fs::read_to_string(lab.out().join("answers.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["cost_usd"].clone()).collect()
}

fn says(ran: &Ran, text: &str) -> bool {
    ran.log.iter().any(|(_, line)| line.contains(text))
}

#[tokio::test(start_paused = true)]
async fn a_run_says_what_it_cost_and_its_rows_add_up() {
    let lab = Lab::new(MINUTE, "").await;
    let ran = lab.run(&["--csv"]).await;
    let (cost, usage) = (&ran.report["cost"], &ran.report["usage"][0]);
    let expected = dollars(&ran.report["tokens"]);
    assert!(is_about(&cost["usd"], expected) && is_about(&cost["standard_usd"], 2.0 * expected), "{cost}");
    assert_eq!((&usage["usd"], &ran.report["batches"][0]["usd"]), (&cost["usd"], &cost["usd"]));
    assert!(is_about(&cost["usd"], rows(&lab).iter().map(|row| row.as_f64().unwrap()).sum()));
    assert_eq!((cost["unpriced"].as_array().unwrap().len(), &cost["provider_usd"]), (0, &Value::Null));
    assert!(!cost["prices_date"].as_str().unwrap().is_empty() && says(&ran, "less than without a batch"));
    // The sandbox counts what its answers used, and both counts agree.
    assert!(!says(&ran, "as the provider counts them"), "{}", ran.text());
    // Attached to, the same answers cost the same.
    let again = lab.run(&["--reuse", "finished"]).await;
    assert_eq!((lab.tally().creates, &again.report["cost"]["usd"]), (1, &cost["usd"]));
}

#[tokio::test(start_paused = true)]
async fn what_a_retry_costs_is_in_the_sum_of_both_attempts() {
    let lab = Lab::new(MINUTE, "rows empty share=40% times=1").await;
    let ran = lab.run(&["--csv", "--retries", "1"]).await;
    let (cost, batches) = (&ran.report["cost"], ran.report["batches"].as_array().unwrap());
    assert_eq!((ran.exit, batches.len()), (0, 2), "{}", ran.text());
    let sum: f64 = batches.iter().map(|batch| batch["usd"].as_f64().unwrap()).sum();
    assert!(is_about(&cost["usd"], sum) && is_about(&cost["usd"], dollars(&ran.report["tokens"])), "{cost}");
    assert!(rows(&lab).iter().all(Value::is_f64));
}

#[tokio::test(start_paused = true)]
async fn finished_answers_of_an_expired_batch_are_billed_and_the_others_are_not() {
    let lab = Lab::new(Duration::from_secs(36 * 3_600), "").await;
    let ran = lab.run(&["--csv"]).await;
    let priced = rows(&lab).iter().filter(|row| row.is_f64()).count() as u64;
    assert!(priced > 0 && priced == ran.count("succeeded") && priced < ran.count("total"), "{}", ran.text());
    assert!(is_about(&ran.report["cost"]["usd"], dollars(&ran.report["tokens"])), "{}", ran.report["cost"]);
}

#[tokio::test(start_paused = true)]
async fn anthropics_answers_have_a_price_too() {
    let lab = Lab::speaking(Dialect::Anthropic, MINUTE, "", 20).await;
    let ran = lab.run(&["--csv"]).await;
    let tokens = &ran.report["tokens"];
    let count = |name: &str| tokens[name].as_f64().unwrap();
    // claude-haiku-4-5 in a batch: 0.5 and 2.5 dollars for a million tokens.
    let expected = (count("input") * 0.5 + count("output") * 2.5) / 1e6;
    assert!(is_about(&ran.report["cost"]["usd"], expected), "{tokens} {}", ran.report["cost"]);
}
