//! Ids are the server's to choose: what it may choose works, and what it may not is its trouble and not the user's.

use std::time::Duration;

use crate::lab::Lab;
use crate::odd_servers::{Answer, answers, creates, run};

#[tokio::test(start_paused = true)]
async fn ids_with_spaces_slashes_and_empty_segments_work() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, asked) = run(&mut lab, &[], |line| match line {
        "POST /batches" | "GET /batches/batch_%20bGl0+ZW/x==" => {
            let output = "s3://bucket/out dir/x%2Fy.jsonl";
            (200, format!(r#"{{"id":"batch_ bGl0+ZW/x==","status":"completed","output_file_id":"{output}"}}"#))
        }
        "GET /files/s3://bucket/out%20dir/x%252Fy.jsonl/content" => (200, answers()),
        other => (404, format!(r#"{{"error":"there is no {other}"}}"#)),
    })
    .await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{asked:?} {}", ran.text());
    ran.assert_complete(20);
    assert_eq!(ran.report["batches"][0]["id"], "batch_ bGl0+ZW/x==");
}

/// A server that gives its only batch such an id.
fn odd(line: &str, id: &str) -> (u16, String) {
    let batch = format!(r#"{{"id":"{id}","status":"in_progress","input_file_id":"in"}}"#);
    if line.starts_with("GET /batches?") { (200, format!(r#"{{"data":[{batch}]}}"#)) } else { (200, batch) }
}

#[tokio::test(start_paused = true)]
async fn an_unusable_id_of_a_batch_is_the_providers_fault_and_nothing_is_paid_twice() {
    let servers: [Answer; 4] = [
        |line| odd(line, ".."),
        |line| odd(line, "a/.\\t./b"),
        |line| odd(line, "a\\nb"),
        |line| odd(line, &"x".repeat(5_000)),
    ];
    for (number, server) in servers.into_iter().enumerate() {
        let mut lab = Lab::new(Duration::ZERO, "").await;
        let (ran, asked) = run(&mut lab, &[], server).await;
        assert_eq!((ran.exit, ran.outcome(), creates(&asked)), (4, "unknown", 1), "{number}: {}", ran.text());
        assert!(!asked.iter().any(|line| line.starts_with("GET /batches/")), "{number}: {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unusable_id_of_a_file_is_the_providers_fault() {
    let servers: [Answer; 3] = [
        |_| (200, r#"{"id":"b","status":"completed","output_file_id":"../batches"}"#.into()),
        |_| (200, r#"{"id":"b","status":"completed","output_file_id":".\n./x"}"#.into()),
        |_| (200, format!(r#"{{"id":"b","status":"completed","output_file_id":"{}"}}"#, "x".repeat(1 << 20))),
    ];
    for (number, server) in servers.into_iter().enumerate() {
        let mut lab = Lab::new(Duration::ZERO, "").await;
        let (ran, asked) = run(&mut lab, &[], server).await;
        assert_eq!((ran.exit, creates(&asked)), (4, 1), "{number}: {}", ran.text());
        assert!(ran.text().contains("cannot be part of an address"), "{number}: {}", ran.text());
        assert!(!asked.iter().any(|line| line.ends_with("/content")), "{number}: {asked:?}");
        assert!(ran.report.to_string().len() < 50_000, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unusable_id_that_was_typed_is_a_usage_error() {
    let lab = Lab::new(Duration::ZERO, "").await;
    for id in ["..", "a/../b", "a\tb", r#"["b","a/./b"]"#] {
        let ran = lab.collect(&[id]).await;
        assert_eq!(ran.exit, 2, "{id}: {}", ran.text());
        assert!(ran.text().contains("`batch-id` is wrong: an id is"), "{id}: {}", ran.text());
    }
    assert!(lab.tally().calls.is_empty(), "{:?}", lab.tally().calls);
}

#[tokio::test(start_paused = true)]
async fn reasons_without_number_are_counted_and_the_first_are_kept() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, _) = run(&mut lab, &[], |_| {
        let reason = format!(r#"{{"code":"bad_line","message":"{}","line":1}}"#, "no ".repeat(100));
        let reasons = vec![reason; 3_000].join(",");
        (200, format!(r#"{{"id":"b","errors":{{"data":[{reasons}]}},"status":"failed"}}"#))
    })
    .await;
    assert_eq!((ran.exit, ran.outcome()), (5, "failed"), "{}", ran.text());
    let batch = &ran.report["batches"][0];
    assert_eq!((batch["errors"].as_array().unwrap().len(), &batch["error_count"]), (1_000, &3_000.into()));
    assert!(ran.text().contains("and 2,999 more") || ran.text().contains("and 2999 more"), "{}", ran.text());
    assert!(ran.text().contains("1,000 of all in the report"), "{}", ran.text());
}
