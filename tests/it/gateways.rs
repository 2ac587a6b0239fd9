//! Servers that take more than OpenAI does, or want other things said.

use std::time::Duration;

use crate::lab::{Lab, github};

const HOUR: Duration = Duration::from_secs(3600);

/// Changes the lines of the lab's requests.
fn rewrite(lab: &Lab, from: &str, to: &str) {
    let path = lab.dir.path().join("requests.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_can_be_said_once_for_lines_without_one_or_with_another() {
    let (whole, bare) = (r#","method":"POST","url":"/v1/chat/completions""#, "");
    let other = r#","method":"POST","url":"/openai/v1/chat/completions""#;
    for lines in [bare, other] {
        let lab = Lab::new(HOUR, "batch lenient").await;
        rewrite(&lab, whole, lines);
        let endpoint = ["--provider", "compatible", "--endpoint", "/v1/chat/completions"];
        let ran = lab.run(&endpoint).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{lines}: {}", ran.text());
        ran.assert_complete(20);
        assert_eq!(ran.report["requests"]["endpoint"], "/v1/chat/completions");
        // The lines are what is sent, and what comes back from there is known again.
        let id = lab.tally().batches[0].id.clone();
        let elsewhere = lab.neighbour();
        std::fs::remove_file(elsewhere.dir.path().join("requests.jsonl")).unwrap();
        let collected = elsewhere.collect(&[&id, "--provider", "compatible"]).await;
        assert_eq!((collected.exit, &collected.report["coverage"]), (0, &"requests".into()), "{}", collected.text());
        collected.assert_complete(20);
        // OpenAI wants it in each line, and the same.
        assert_eq!(lab.run(&endpoint[2..]).await.exit, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_the_endpoint_or_the_prompt_has_need_not_be_named() {
    for (endpoint, body) in [
        ("/v1/moderations", r#"{"input":"x"}"#),
        ("/v1/images/generations", r#"{"prompt":"a cat"}"#),
        ("/v1/responses", r#"{"prompt":{"id":"pmpt_1","variables":{"name":"x"}}}"#),
    ] {
        let lab = Lab::new(HOUR, "").await;
        let path = lab.dir.path().join("requests.jsonl");
        let line =
            |index| format!(r#"{{"custom_id":"request-{index}","method":"POST","url":"{endpoint}","body":{body}}}"#);
        std::fs::write(path, (0..20).map(|index| line(index) + "\n").collect::<String>()).unwrap();
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{endpoint}: {}", ran.text());
        ran.assert_complete(20);
    }
}

#[tokio::test(start_paused = true)]
async fn form_fields_are_part_of_the_work_and_the_purpose_is_not() {
    let lab = Lab::new(HOUR, "").await;
    let fields = ["--upload-fields", "target_model_names=a", "--upload-fields", "tier=low"];
    for (inputs, creates) in [
        (&[][..], 1),
        (&fields[..], 2),
        (&["--upload-fields", "tier=low", "--upload-fields", "target_model_names=a"][..], 2),
        (&["--upload-fields", "tier=high", "--upload-fields", "target_model_names=a"][..], 3),
    ] {
        let ran = lab.run(&[inputs, &["--reuse", "finished"]].concat()).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, creates), "{inputs:?}: {}", ran.text());
    }
    for wrong in [&["--upload-fields", "a=1", "--upload-fields", "a=2"][..], &["--upload-purpose", " "]] {
        assert_eq!(lab.run(wrong).await.exit, 2, "{wrong:?}");
    }
    // What is sent is what the server checks: another purpose is another file.
    let ran = Lab::new(HOUR, "").await.run(&["--upload-fields", "expires_after[seconds]=60"]).await;
    assert_eq!(ran.exit, 4, "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn the_timeout_follows_the_completion_window_where_no_host_sets_one() {
    for (window, said) in [("7d", "7days 30m"), ("24h", "1day 30m"), ("soon", "1day 30m")] {
        let lab = Lab::new(HOUR, "create 400").await;
        let ran = lab.run(&["--provider", "compatible", "--completion-window", window]).await;
        let first = &ran.log[0].1;
        let span = first.split("deadline is in ").nth(1).unwrap().split(" (").next().unwrap();
        let expected: Duration = said.parse::<humantime::Duration>().unwrap().into();
        assert_eq!(span.parse::<humantime::Duration>().map(Into::into), Ok(expected), "{window}: {first}");
    }
    let mut lab = Lab::new(HOUR, "create 400").await;
    lab.env = github(1, 1);
    let ran = lab.run(&["--provider", "compatible", "--completion-window", "7d"]).await;
    assert!(ran.text().contains("the deadline is in 5h 30m"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn the_query_of_the_base_url_goes_with_every_call_and_is_shown_nowhere() {
    let lab = Lab::new(HOUR, "").await;
    let address = format!("{}?api-version=2024-10-21&subscription-key=very-secret-query", lab.base_url);
    let ran = lab.run(&["--base-url", &address]).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    let journal = std::fs::read_to_string(lab.out().join("journal.jsonl")).unwrap();
    for text in [ran.text(), ran.report.to_string(), journal] {
        assert!(!text.contains("secret-query") && !text.contains("subscription-key"), "{text}");
    }
}
