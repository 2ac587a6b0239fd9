//! What we send in headers changes nothing of how answers are read.

use std::time::Duration;

use crate::lab::Lab;

const MINUTE: Duration = Duration::from_secs(60);

/// Values that also occur in our marks, in the API's objects and in answers.
const WORDS: [&str; 8] = [
    "batchstep",
    "completed",
    "in_progress",
    "batchstep_key",
    "output_file_id",
    "request_counts",
    "custom_id",
    "gpt-4.1-mini",
];

#[tokio::test(start_paused = true)]
async fn a_header_that_equals_a_word_of_the_protocol_changes_nothing() {
    for word in WORDS {
        let header = format!("X-Word: {word}");
        let inputs = ["--headers", header.as_str()];
        let lab = Lab::new(20 * MINUTE, "").await;
        assert!(tokio::time::timeout(5 * MINUTE, lab.run(&inputs)).await.is_err(), "{word}: it is killed");
        lab.forget();
        let ran = lab.run(&inputs).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{word}: {}", ran.text());
        ran.assert_complete(20);
        assert_eq!(lab.tally().creates, 1, "{word}: {}", ran.text());
        assert!(ran.took < 30 * MINUTE, "{word}: {:?}", ran.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hopeless_refusal_is_known_whatever_the_headers_say() {
    let lab = Lab::new(MINUTE, "create 429 code=insufficient_quota").await;
    let ran = lab.run(&["--headers", "X-Word: insufficient_quota"]).await;
    assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{}", ran.text());
    assert!(ran.took < MINUTE, "{:?}", ran.took);
    assert!(!ran.text().contains("insufficient_quota"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_holds_a_secret_is_nowhere_in_the_report() {
    const SECRET: &str = "sesame-7f3a9c21";
    let lab = Lab::new(MINUTE, "rows status=400").await;
    let line = |number: u8| {
        format!(
            r#"{{"custom_id":"{SECRET}-{number}","method":"POST","url":"/v1/chat/completions","body":{{"model":"m","messages":[{{"role":"user","content":"a"}}]}}}}"#
        ) + "\n"
    };
    lab.ask(&(1..4).map(line).collect::<String>());
    let header = format!("X-Team: {SECRET}");
    let ran = lab.run(&["--headers", &header]).await;
    assert_eq!((ran.exit, ran.outcome()), (7, "failed"), "{}", ran.text());
    let examples = ran.report["failures"][0]["examples"].as_array().unwrap();
    let lines: Vec<u64> = examples.iter().filter_map(|example| example["line"].as_u64()).collect();
    assert_eq!(lines, [1, 2, 3], "{examples:?}");
    assert!(!ran.report.to_string().contains(SECRET), "{}", ran.report);
    assert!(!ran.text().contains(SECRET), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_holds_a_secret_is_in_no_test_case_no_sample_and_no_printed_command() {
    const SECRET: &str = "sesame-7f3a9c21";
    let lab = Lab::new(MINUTE, "rows status=400 share=50%").await;
    lab.ask(
        &std::fs::read_to_string(lab.requests())
            .unwrap()
            .replace(r#""custom_id":""#, &format!(r#""custom_id":"{SECRET}-"#)),
    );
    let junit = lab.dir.path().join("junit.xml").display().to_string();
    let (header, note) = (format!("X-Team: {SECRET}"), format!("note={SECRET}"));
    let ran = lab.run(&["--headers", &header, "--metadata", &note, "--junit", &junit, "--samples", "3"]).await;
    let samples = ran.report["samples"].as_array().unwrap();
    let hint = ran.report["hints"][0].as_str().unwrap();
    assert!(samples.len() == 3 && hint.contains("--metadata"), "{}", ran.text());
    let cases = std::fs::read_to_string(junit).unwrap();
    assert_eq!(cases.matches("<testcase").count(), 20);
    for text in [cases, ran.report.to_string(), ran.text()] {
        assert!(!text.contains(SECRET), "{text}");
    }
}
