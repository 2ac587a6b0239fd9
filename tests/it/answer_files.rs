//! The input `csv`: the answers' texts in files of their own, by `run` and by `collect`.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Ran};

const HOUR: Duration = Duration::from_secs(3600);
const FILES: [&str; 2] = ["answers.jsonl", "answers.csv"];

/// Both files are complete and in the order of the results.
fn assert_written(lab: &Lab, ran: &Ran) {
    let read = |name: &str| std::fs::read_to_string(lab.out().join(name)).unwrap();
    let entries: Vec<Value> = read("answers.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |entries: &[Value]| entries.iter().map(|entry| entry["custom_id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&entries), ids(&ran.results));
    for (entry, line) in entries.iter().zip(&ran.results) {
        let content = &line["response"]["body"]["choices"][0]["message"]["content"];
        assert_eq!(&entry["answer"], content, "{entry}");
        assert_eq!(entry["outcome"] == "succeeded", content.is_string(), "{entry}");
        assert_eq!(entry["reference"].is_null(), content.is_string(), "{entry}");
    }
    let table = read("answers.csv");
    assert!(table.starts_with("custom_id,outcome,code,answer,reference,"), "{table}");
    for (record, entry) in table.split("\r\n").skip(1).zip(&entries) {
        assert!(record.starts_with(entry["custom_id"].as_str().unwrap()), "{record}");
    }
    assert_eq!(table.split("\r\n").count(), 1 + entries.len() + 1);
    for (field, name) in [("answers", FILES[0]), ("answers_csv", FILES[1])] {
        let path = ran.report["files"][field].as_str().unwrap();
        assert_eq!(path, lab.out().join(name).display().to_string());
        assert!(ran.text().contains(path), "{}", ran.text());
    }
}

fn assert_absent(lab: &Lab, ran: &Ran) {
    assert!(FILES.iter().all(|name| !lab.out().join(name).exists()));
    assert_eq!((&ran.report["files"]["answers"], &ran.report["files"]["answers_csv"]), (&Value::Null, &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_run_writes_them_only_if_it_is_asked() {
    let lab = Lab::new(HOUR, "rows status=400 share=20%\nrows missing share=20%").await;
    let ran = lab.run(&["--csv", "--max-failed", "100%", "--retries", "0"]).await;
    assert_eq!(ran.outcome(), "partial", "{}", ran.text());
    assert!(ran.count("failed") > 0 && ran.count("missing") > 0, "{}", ran.text());
    assert_written(&lab, &ran);
    let again = lab.run(&["--max-failed", "100%", "--retries", "0"]).await;
    assert_absent(&lab, &again);
    // The earlier ones are kept with the other files of their run.
    let earlier = std::fs::read_dir(lab.out().with_file_name("out.earlier")).unwrap();
    let dirs: Vec<_> = earlier.map(|entry| entry.unwrap().path()).collect();
    assert!(dirs.iter().any(|dir| FILES.iter().all(|name| dir.join(name).exists())), "{dirs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_collection_writes_them_only_if_it_is_asked() {
    let lab = Lab::new(HOUR, "rows missing share=20%").await;
    let submitted = lab.submit(&[]).await;
    let id = submitted.report["batches"][0]["id"].as_str().unwrap();
    for requests in ["at hand", "given back"] {
        let other = lab.neighbour();
        if requests == "given back" {
            std::fs::remove_file(other.dir.path().join("requests.jsonl")).unwrap();
        }
        let without = other.collect(&[id, "--max-failed", "100%"]).await;
        assert_absent(&other, &without);
        let with = other.collect(&[id, "--max-failed", "100%", "--csv"]).await;
        assert_eq!(with.outcome(), "partial", "{}", with.text());
        assert_written(&other, &with);
        assert_eq!(with.report["counts"], without.report["counts"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_report_counts_usage_by_batch_and_model() {
    let lab = Lab::new(HOUR, "").await;
    let ran = lab.run(&["--max-requests", "12"]).await;
    assert_eq!(ran.outcome(), "succeeded", "{}", ran.text());
    let usage = ran.report["usage"].as_array().unwrap();
    let of = |name: &str| usage.iter().map(|entry| entry[name].clone()).collect::<Vec<_>>();
    let batches: Vec<Value> =
        ran.report["batches"].as_array().unwrap().iter().map(|batch| batch["id"].clone()).collect();
    assert_eq!((of("batch_id"), usage.len()), (batches, 2));
    assert!(of("model").iter().all(Value::is_string), "{usage:?}");
    let sum = |pointer: &str| usage.iter().filter_map(|entry| entry.pointer(pointer)?.as_u64()).sum::<u64>();
    assert_eq!((sum("/succeeded"), sum("/failed")), (20, 0));
    for kind in ["input", "cached", "output", "reasoning"] {
        assert_eq!(Some(sum(&format!("/tokens/{kind}"))), ran.report["tokens"][kind].as_u64(), "{kind}");
    }
}
