//! What people and workflows meet around a run: defaults for somebody at a
//! terminal, outputs that last through a retry, earlier results that are kept,
//! variables that are misspelt.

use std::path::Path;
use std::time::Duration;

use batchstep::env::Setting;

use crate::lab::{Lab, github};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_persons_interrupt_leaves_the_batch_alone_and_says_how_to_go_on() {
    let mut lab = Lab::new(9 * HOUR, "").await;
    lab.setting = Setting::Person;
    let ran = lab.run_signalled(&[], &[(HOUR, 2)]).await;
    assert_eq!((ran.exit, ran.outcome()), (130, "detached"), "{}", ran.text());
    assert!(lab.is_anything_running());
    let id = ran.report["batches"][0]["id"].as_str().unwrap();
    let hints = ran.report["hints"].to_string();
    for command in [format!("batchstep collect {id}"), format!("batchstep cancel {id}")] {
        assert!(hints.contains(&command), "{hints}");
    }
    // The same at a terminal of a CI system, or of a host that was chosen.
    let mut job = Lab::new(9 * HOUR, "").await;
    job.setting = Setting::Person;
    job.env = github(1, 1);
    let ran = job.run_signalled(&[], &[(HOUR, 2)]).await;
    assert_eq!((ran.exit, ran.outcome()), (130, "cancelled"), "{}", ran.text());
    assert!(!job.is_anything_running());
}

#[tokio::test(start_paused = true)]
async fn a_person_who_asks_again_has_the_answers_already() {
    let told = "You already have these answers: batch ";
    let mut lab = Lab::new(MINUTE, "").await;
    lab.setting = Setting::Person;
    let first = lab.run(&[]).await;
    assert!(!first.text().contains(told), "{}", first.text());
    lab.forget();
    let second = lab.run(&[]).await;
    assert!(second.text().contains(told) && second.text().contains("`--reuse never` pays again"), "{}", second.text());
    assert_eq!(lab.completed().len(), 1);
    let paid = lab.run(&["--reuse", "never"]).await;
    assert!(!paid.text().contains(told), "{}", paid.text());
    assert_eq!(lab.completed().len(), 2);
    lab.setting = Setting::Ci;
    lab.forget();
    let job = lab.run(&[]).await;
    assert!(!job.text().contains(told), "{}", job.text());
    assert_eq!(lab.completed().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_the_first_attempts_ids_in_every_place() {
    let mut lab = Lab::new(MINUTE, "rows status=429 share=30% times=1").await;
    let outputs = lab.dir.path().join("outputs");
    lab.env = [("GITHUB_ACTIONS", "true"), ("GITHUB_OUTPUT", outputs.to_str().unwrap())].into_iter().collect();
    let ran = lab.run(&["--retries", "1"]).await;
    assert_eq!(ran.report["batches"].as_array().unwrap().len(), 2, "{}", ran.text());
    let first = &ran.report["batches"][0];
    assert_eq!(ran.report["input_file_id"], first["input_file_id"]);
    let text = std::fs::read_to_string(outputs).unwrap();
    let said = |name: &str| {
        let mut values: Vec<&str> = Vec::new();
        for block in text.split(&format!("\n{name}<<")).skip(1) {
            values.extend(block.lines().nth(1));
        }
        values.dedup();
        values.join(" ")
    };
    assert_eq!(said("batch-id").trim(), first["id"].as_str().unwrap(), "{text}");
    for (output, field) in [("output-file-id", "output_file_id"), ("error-file-id", "error_file_id")] {
        assert_eq!(said(output), first[field].as_str().unwrap_or_default(), "{text}");
    }
    let second = ran.report["batches"][1]["id"].as_str().unwrap();
    assert!(said("batch-ids").ends_with(&format!(r#","{second}"]"#)), "{text}");
}

#[tokio::test(start_paused = true)]
async fn looking_often_pushes_out_no_paid_answers() {
    let lab = Lab::new(HOUR, "").await;
    assert_eq!(lab.run(&[]).await.exit, 0);
    let paid = std::fs::read(lab.out().join("results.jsonl")).unwrap();
    let id = lab.submit(&["--reuse", "never"]).await.report["batches"][0]["id"].as_str().unwrap().to_owned();
    for _ in 0..15 {
        let looked = lab.collect(&["--timeout", "0", &id]).await;
        assert_eq!(looked.outcome(), "pending", "{}", looked.text());
    }
    let root = lab.dir.path().join("out.earlier");
    let kept: Vec<_> = names(&root).into_iter().filter(|run| root.join(run).join("results.jsonl").exists()).collect();
    let [only] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(std::fs::read(root.join(only).join("results.jsonl")).unwrap(), paid);
    assert_eq!(names(&root).len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_misspelt_variable_is_named_with_the_nearest_input() {
    let mut lab = Lab::new(MINUTE, "").await;
    lab.env = [("BATCHSTEP_MAXFAILED", "5"), ("BATCHSTEP_FULL", "1")].into_iter().collect();
    let ran = lab.run(&[]).await;
    let warnings: Vec<&str> =
        ran.report["warnings"].as_array().unwrap().iter().filter_map(|line| line.as_str()).collect();
    let expected = "The variable BATCHSTEP_MAXFAILED is not used: batchstep has no such input. \
                    Did you mean BATCHSTEP_MAX_FAILED?";
    assert_eq!(warnings, [expected]);
    let listed = lab.command(&["batch", "list"], &[]).await;
    assert!(listed.text().contains(&format!("Warning: {expected}")), "{}", listed.text());
}
