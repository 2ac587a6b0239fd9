//! What is required of answers beyond that there is one, in either dialect: suspects and schemas.

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

pub(crate) const SCHEMA: &str = r#"{"type":"object","required":["answer"],"properties":{"answer":{"type":"string"}}}"#;

/// A lab whose requests name this schema, except for every fourth, and some of whose answers do not fit.
pub(crate) async fn structured(dialect: Dialect, faults: &str, schema: &str) -> Lab {
    let lab = Lab::speaking(dialect, MINUTE, faults, 20).await;
    let format = match dialect {
        Dialect::Openai => {
            format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}},"#)
        }
        Dialect::Anthropic => format!(r#""output_config":{{"format":{{"type":"json_schema","schema":{schema}}}}},"#),
    };
    let lines = std::fs::read_to_string(lab.requests()).unwrap();
    let line = |(at, line): (usize, &str)| match at % 4 {
        3 => format!("{line}\n"),
        _ => line.replacen(r#""model""#, &format!(r#"{format}"model""#), 1) + "\n",
    };
    lab.ask(&lines.lines().enumerate().map(line).collect::<String>());
    lab
}

#[tokio::test(start_paused = true)]
async fn answers_that_do_not_fit_their_schema_are_counted_or_fail() {
    for dialect in Dialect::ALL {
        let lab = structured(dialect, "rows off-schema share=40%", SCHEMA).await;
        let ran = lab.run(&[]).await;
        let schema = &ran.report["schema"];
        assert_eq!((ran.exit, ran.outcome(), ran.count("succeeded")), (0, "succeeded", 20), "{}", ran.text());
        let violations = ran.count("schema_violations");
        assert!(violations > 0 && violations < 15, "{violations}");
        assert_eq!(
            (&schema["mode"], &schema["checked"], &schema["violations"]),
            (&"warn".into(), &15.into(), &violations.into())
        );
        let group = &schema["groups"][0];
        assert_eq!(
            (&group["path"], &group["value"], &group["count"]),
            (&"answer".into(), &"null".into(), &violations.into())
        );
        let said = ran.log.iter().filter(|(_, line)| line.starts_with("Warning: ")).count();
        assert_eq!(said, 1, "{}", ran.text());

        let off = lab.run(&["--reuse", "finished", "--schema", "off"]).await;
        assert_eq!((off.exit, &off.report["schema"]), (0, &serde_json::Value::Null));
        let check = lab.run(&["--reuse", "finished", "--schema", "check"]).await;
        assert_eq!((check.exit, check.count("failed")), (7, violations), "{}", check.text());
        let failure = &check.report["failures"][0];
        assert_eq!((&failure["code"], &failure["count"]), (&"schema_violation".into(), &violations.into()));
        let message = "At `answer` the answer does not fit its schema: it is not of type \"string\", it is `null`.";
        assert_eq!(failure["message"], message);
        let limit = violations.to_string();
        let enough = lab.run(&["--reuse", "finished", "--schema", "check", "--max-failed", &limit]).await;
        assert_eq!((enough.exit, enough.outcome()), (0, "partial"), "{}", enough.text());
        // A collection elsewhere judges in the same way, with the requests or the provider's copy of them.
        let batch = ran.report["batches"][0]["id"].as_str().unwrap();
        let other = lab.neighbour();
        let collected = other.collect(&[batch, "--schema", "check"]).await;
        assert_eq!((collected.exit, &collected.report["schema"]), (7, &check.report["schema"]), "{}", collected.text());
        std::fs::remove_file(other.requests()).unwrap();
        let alone = other.collect(&[batch, "--schema", "check"]).await;
        let is_given_back = dialect == Dialect::Openai;
        assert_eq!(alone.exit, if is_given_back { 7 } else { 0 }, "{}", alone.text());
        std::fs::write(other.dir.path().join("schema.json"), SCHEMA).unwrap();
        let file = other.dir.path().join("schema.json").display().to_string();
        let by_file = other.collect(&[batch, "--schema", "check", "--answer-schema", &file]).await;
        // Those that ask for no JSON give prose.
        assert_eq!((by_file.exit, by_file.count("schema_violations")), (7, violations + 5), "{}", by_file.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_cannot_be_used_is_a_warning() {
    for dialect in Dialect::ALL {
        let lab = structured(dialect, "", r#"{"$ref":"https://example.com/x"}"#).await;
        let ran = lab.run(&["--schema", "check"]).await;
        assert_eq!((ran.exit, ran.count("succeeded")), (0, 20), "{}", ran.text());
        let schema = &ran.report["schema"];
        assert_eq!((&schema["checked"], &schema["unchecked"]), (&0.into(), &15.into()));
        let place = schema["unusable"][0]["place"].as_str().unwrap();
        assert!(place.ends_with("requests.jsonl:1"), "{place}");
        assert!(ran.text().contains("15 answers could not be checked with a schema"), "{}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_sent_again_only_on_demand_and_paid_for_again() {
    for dialect in Dialect::ALL {
        let cut = if dialect == Dialect::Openai { "length" } else { "max_tokens" };
        for (word, fault) in [("schema", "off-schema".to_owned()), ("suspect", format!("stop={cut}"))] {
            let faults = format!("rows {fault} share=30% times=1");
            let lab = structured(dialect, &faults, SCHEMA).await;
            let ran = lab.run(&["--retry-on", word, "--schema", "check", "--retries", "1"]).await;
            let wrong = if word == "schema" { "schema_violations" } else { "suspect" };
            assert_eq!((ran.exit, ran.count("succeeded"), ran.count(wrong)), (0, 20, 0), "{word}: {}", ran.text());
            let set_aside = std::fs::read_to_string(lab.out().join("unexpected.jsonl")).unwrap().lines().count() as u64;
            assert_eq!(ran.count("unexpected"), set_aside);
            assert!(lab.tally().creates == 2 && set_aside > 0, "{:?}", lab.tally());
            let usage: u64 =
                ran.report["usage"].as_array().unwrap().iter().map(|it| it["succeeded"].as_u64().unwrap()).sum();
            assert_eq!(usage, 20 + set_aside, "both answers are paid for");
            ran.assert_complete(20);
            // Collected elsewhere, the same answers count.
            let batches: Vec<&str> =
                ran.report["batches"].as_array().unwrap().iter().rev().map(|it| it["id"].as_str().unwrap()).collect();
            let other = lab.neighbour().collect(&batches).await;
            assert_eq!((other.exit, &other.results), (0, &ran.results), "{}", other.text());

            let lab = structured(dialect, &faults, SCHEMA).await;
            let ran = lab.run(&["--schema", "warn", "--retries", "1"]).await;
            assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{}", ran.text());
            // If the second answer is no better, it counts, and the first is kept.
            let lab = structured(dialect, &faults.replace("times=1", "times=9"), SCHEMA).await;
            let ran = lab.run(&["--retry-on", word, "--retries", "2"]).await;
            assert_eq!((ran.exit, lab.tally().creates), (0, 3), "{}", ran.text());
            assert!(ran.count(wrong) > 0 && ran.count("unexpected") >= 2 * ran.count(wrong), "{}", ran.text());
            ran.assert_complete(20);
        }
    }
}
