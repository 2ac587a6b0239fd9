//! What is required of answers beyond that there is one, in either dialect: suspects.

use std::time::Duration;

use batchstep_sandbox::Dialect;

use crate::lab::{Lab, Ran};

const MINUTE: Duration = Duration::from_secs(60);

/// The answers that the report says are suspect, by kind.
fn suspects(ran: &Ran) -> Vec<(String, u64)> {
    let groups = ran.report["suspects"].as_array().unwrap();
    let group = |group: &serde_json::Value| {
        let ids = group["custom_ids"].as_array().unwrap().len() as u64;
        let count = group["count"].as_u64().unwrap();
        assert_eq!(ids, count.min(5), "{group}");
        (group["kind"].as_str().unwrap().to_owned(), count)
    };
    groups.iter().map(group).collect()
}

#[tokio::test(start_paused = true)]
async fn suspect_answers_are_counted_and_fail_a_run_only_on_demand() {
    for (dialect, stop, kind) in [
        (Dialect::Openai, "length", "cut_off"),
        (Dialect::Openai, "content_filter", "filtered"),
        (Dialect::Openai, "tool_calls", "tool_calls"),
        (Dialect::Openai, "refusal", "refusal"),
        (Dialect::Anthropic, "max_tokens", "cut_off"),
        (Dialect::Anthropic, "tool_use", "tool_calls"),
        (Dialect::Anthropic, "refusal", "refusal"),
        (Dialect::Anthropic, "pause_turn", "incomplete"),
    ] {
        let lab = Lab::speaking(dialect, MINUTE, &format!("rows stop={stop} share=30%"), 20).await;
        let ran = lab.run(&["--csv"]).await;
        assert_eq!((ran.exit, ran.outcome(), ran.count("succeeded")), (0, "succeeded", 20), "{}", ran.text());
        let count = ran.count("suspect");
        assert!(count > 0 && count < 20, "{stop}: {count}");
        assert_eq!(suspects(&ran), [(kind.to_owned(), count)]);
        assert_eq!((&ran.report["max_suspect"], lab.tally().creates), (&serde_json::Value::Null, 1));
        let lines = std::fs::read_to_string(lab.out().join("answers.jsonl")).unwrap();
        assert_eq!(lines.matches(&format!(r#""suspect":"{kind}""#)).count() as u64, count);

        let reuse = ["--reuse", "finished", "--max-suspect"];
        let enough = lab.run(&[&reuse[..], &["100%"]].concat()).await;
        assert_eq!((enough.exit, &enough.report["max_suspect"]), (0, &"100%".into()), "{}", enough.text());
        let most = (count - 1).to_string();
        let failed = lab.run(&[&reuse[..], &[&most]].concat()).await;
        assert_eq!((failed.exit, failed.outcome(), failed.count("succeeded")), (7, "failed", 20), "{}", failed.text());
        let reason = failed.report["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("more than the {most} that `max-suspect` allows")), "{reason}");
        let batch = ran.report["batches"][0]["id"].as_str().unwrap();
        let collected = lab.neighbour().collect(&[batch, "--max-suspect", &most]).await;
        assert_eq!((collected.exit, suspects(&collected)), (7, suspects(&ran)), "{}", collected.text());
    }
}
