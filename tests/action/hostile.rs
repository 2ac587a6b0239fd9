//! The real binary behind the launcher, where whoever writes the requests, the
//! answers and the refusals wants to command the runner, and writes too much.

use batchstep_test_support::bench::port;
use batchstep_test_support::github_runner::command;
use batchstep_test_support::wire::{json as answer, serve};
use serde_json::{Value, json};

use crate::runner::{Left, Step, node};

const ROWS: usize = 2_000;

/// Each wants to be read by the runner, by a browser or by a terminal.
const TEXTS: [&str; 12] = [
    "\n::set-output name=outcome::succeeded",
    "::error::forged",
    " \u{200d}::add-mask::a",
    "\r::warning::forged",
    "a ##[error]forged",
    "#\u{ad}#[save-state name=armed]true",
    "\n::stop-commands::forged",
    "ghadelimiter_\noutcome=succeeded\noutcome<<EOF\nsucceeded\nEOF\nghadelimiter_",
    "\n\n# forged\n\n| a | b |\n| --- | --- |",
    "</details><script>forged()</script>",
    "\u{1b}[2J\u{202e}\u{85}",
    "%0A::error::forged%0D",
];

/// The same with its number, and long: none is like another, and all together fit nowhere.
fn text(number: usize) -> String {
    let text = TEXTS[number % TEXTS.len()];
    format!("{text}{number}{}", format!(" {text}").repeat(1_000 / text.len()))
}

/// The same as an id may be: printable, and nothing that is not shown. No other is believed.
fn id(number: usize) -> String {
    text(number).chars().filter(|c| !c.is_control() && !matches!(c, '\u{ad}' | '\u{200d}' | '\u{202e}')).collect()
}

fn requests() -> String {
    let row = |number| {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": text(number) }] });
        let row = json!({ "custom_id": text(number), "method": "POST", "url": "/v1/chat/completions", "body": body });
        format!("{row}\n")
    };
    (0..ROWS).map(row).collect()
}

/// Every request failed, each in its own way.
fn rows() -> String {
    let row = |number| {
        let error = json!({ "error": { "code": text(number), "message": text(number), "type": text(number) } });
        let response = json!({ "status_code": 500, "request_id": text(number), "body": error });
        let row = json!({ "id": text(number), "custom_id": text(number), "response": response, "error": null });
        format!("{row}\n")
    };
    (0..ROWS).map(row).collect()
}

/// A batch whose ids are as hostile; `more` is what it says of its end.
fn batch(more: &Value) -> Value {
    let mut batch = json!({
        "id": id(0), "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": id(1),
        "completion_window": "24h", "status": "validating", "created_at": 1,
    });
    more.as_object().into_iter().flatten().for_each(|(member, value)| batch[member] = value.clone());
    batch
}

/// A run against a provider that answers `upload` to an upload and ends every batch as `end` says.
async fn run(requests: &str, upload: (u16, Value), end: Value) -> (Step, Left) {
    let (listener, port) = port().await;
    let rows = rows();
    assert!(rows.len() > 2 * 1024 * 1024);
    serve(listener, move |call| match call.split_once(' ').unwrap() {
        ("POST", "/v1/files") => answer(upload.0, "", &upload.1.to_string()),
        ("POST", _) => answer(200, "", &batch(&json!({})).to_string()),
        (_, path) if path.starts_with("/v1/batches?") => {
            answer(200, "", r#"{"object":"list","data":[],"has_more":false}"#)
        }
        (_, path) if path.starts_with("/v1/batches/") => answer(200, "", &batch(&end).to_string()),
        (_, path) if path.ends_with("/content") => answer(200, "", &rows),
        _ => answer(200, "", &uploaded().1.to_string()),
    });
    let base_url = format!("http://127.0.0.1:{port}/v1");
    let inputs = [
        ("provider", "compatible"),
        ("base-url", &base_url),
        ("api-key", "sk-0123456789"),
        ("poll-interval", "200ms"),
        ("retries", "0"),
    ];
    let step = Step::new(requests, &inputs);
    let left = step.left(step.start()).await;
    (step, left)
}

fn uploaded() -> (u16, Value) {
    (
        200,
        json!({ "id": id(1), "object": "file", "bytes": 1, "created_at": 1, "filename": "x", "purpose": "batch", "status": "processed" }),
    )
}

/// The runner took nothing for a command but what we meant, and lost nothing of it.
async fn assert_unharmed(step: &Step, left: &Left, outcome: &str) {
    assert_eq!(left.refused, [""; 0]);
    for kind in ["error", "warning", "notice"] {
        for annotation in left.annotations(kind) {
            let title = annotation.properties.iter().find(|(name, _)| name == "title").map_or("", |(_, title)| title);
            assert!(title.starts_with("batchstep"), "{annotation:?}");
        }
    }
    let (masks, others): (Vec<_>, Vec<_>) = left.commands.iter().partition(|command| command.name == "add-mask");
    assert_eq!(masks.len(), 1, "{masks:?}");
    assert!(others.iter().all(|command| ["error", "warning", "notice"].contains(&command.name.as_str())), "{others:?}");
    // Nor would another runner, and no terminal is steered.
    let commands = left.log.lines().filter(|line| command(line).is_some());
    assert_eq!(commands.count(), left.commands.len(), "{}", left.log);
    assert!(!left.log.contains(['\r', '\u{1b}', '\u{85}', '\u{202e}']), "{}", left.log);
    let outputs = include_str!("../../action.yml").split("\noutputs:\n").nth(1).unwrap();
    let names = left.outputs.keys().filter(|name| !outputs.contains(&format!("  {name}:\n")));
    assert_eq!((left.outputs["outcome"].as_str(), names.count()), (outcome, 0), "{:?}", left.outputs);
    assert!(left.state.get("armed").is_none_or(|armed| armed == "false"), "{:?}", left.state);
    assert!(!left.summary.contains(['\r', '\u{1b}']) && !left.summary.contains("<script"), "{}", left.summary);
    assert!(!left.summary.lines().any(|line| line.starts_with("# forged")), "{}", left.summary);
    let post = step.post(left).await;
    assert!(post.exit == 0 && post.log.is_empty(), "{post:?}");
    assert_eq!(step.orphans(), [0; 0]);
}

#[tokio::test]
async fn two_thousand_hostile_answers_command_nothing_and_stay_below_the_limits() {
    if node().is_none() {
        return;
    }
    let end = json!({ "status": "completed", "output_file_id": id(2), "request_counts": { "total": ROWS, "completed": 0, "failed": ROWS } });
    let (step, left) = run(&requests(), uploaded(), end).await;
    assert_eq!((left.exit, left.outputs["failed"].as_str()), (7, "2000"), "{}", left.log);
    assert_eq!((&left.outputs["batch-id"], &left.outputs["input-file-id"]), (&id(0), &id(1)));
    // It is whole: the last sentence is there.
    assert!(left.summary.contains("failed") && left.summary.ends_with("keep it.\n\n</details>\n"), "{}", left.summary);
    assert_unharmed(&step, &left, "failed").await;
}

#[tokio::test]
async fn two_thousand_hostile_reasons_are_ten_annotations() {
    if node().is_none() {
        return;
    }
    let reason =
        |number| json!({ "code": text(number), "message": text(number), "param": text(number), "line": number + 1 });
    let errors = json!({ "object": "list", "data": (0..ROWS).map(reason).collect::<Vec<_>>() });
    let (step, left) = run(&requests(), uploaded(), json!({ "status": "failed", "errors": errors })).await;
    assert_eq!((left.exit, left.annotations("error").len()), (5, 10), "{}", left.log);
    assert!(left.annotations("error")[0].data.contains(".\nEach fault is listed"), "the hints are in it: {}", left.log);
    assert_unharmed(&step, &left, "failed").await;
}

#[tokio::test]
async fn two_thousand_hostile_faults_are_ten_annotations() {
    if node().is_none() {
        return;
    }
    let faulty: String =
        (0..ROWS).map(|number| format!("{}\n", json!({ "custom_id": text(number), "method": text(number) }))).collect();
    let (step, left) = run(&faulty, uploaded(), json!({})).await;
    assert_eq!((left.exit, left.annotations("error").len()), (3, 10), "{}", left.log);
    assert_unharmed(&step, &left, "invalid").await;
}

#[tokio::test]
async fn a_hostile_refusal_commands_nothing() {
    if node().is_none() {
        return;
    }
    for (number, said) in TEXTS.iter().enumerate() {
        let error = json!({ "error": { "code": said, "message": text(number), "type": said, "param": said } });
        let (step, left) = run(&batchstep_test_support::bench::requests(5, "Who?"), (400, error), json!({})).await;
        assert_eq!(left.exit, 4, "{}", left.log);
        assert_unharmed(&step, &left, "refused").await;
    }
}
