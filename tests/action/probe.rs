//! Whether our runner reads as GitHub's does: the cases that `tests/act` holds
//! against act, too.

use std::collections::BTreeMap;

use batchstep_test_support::github_runner::{Command, command, known_command};
use serde_json::{Value, json};

use crate::runner::{Step, node};

const PROBE: &str = "tests/act/probe";

fn cases(kind: &str) -> Vec<Value> {
    let cases: Value = serde_json::from_str(include_str!("../act/probe/cases.json")).unwrap();
    let cases = cases[kind].as_array().unwrap().clone();
    assert!(cases.len() > 20);
    cases
}

fn told(command: &Command) -> Value {
    let properties: BTreeMap<_, _> = command.properties.iter().cloned().collect();
    json!({ "name": command.name, "properties": properties, "data": command.data })
}

#[tokio::test]
async fn files_are_read_as_the_runner_reads_them() {
    if node().is_none() {
        return;
    }
    for case in cases("files") {
        let name = case["name"].as_str().unwrap();
        let step = Step::of(PROBE, &[("case", name)]);
        let left = step.left(step.start()).await;
        let fault = Vec::from_iter(case["error"].as_str());
        assert_eq!(
            (left.exit, json!(left.outputs), json!(left.state)),
            (0, case["pairs"].clone(), case["pairs"].clone()),
            "{name}"
        );
        assert_eq!(left.refused, [&fault[..], &fault[..]].concat(), "{name}");
        assert_eq!(left.summary, case["text"], "{name}");
        // What post is given, it has in its environment.
        let post = step.post(&left).await;
        assert_eq!(serde_json::from_str::<Value>(&post.log).unwrap(), case["pairs"], "{name}");
    }
}

#[tokio::test]
async fn lines_are_read_as_the_runner_reads_them() {
    for case in cases("lines") {
        let line = case["line"].as_str().unwrap();
        let known = known_command(line);
        assert_eq!(known.as_ref().map_or(Value::Null, told), case["command"], "{line}");
        assert!(known.is_none() || command(line) == known, "{line}");
    }
    if node().is_none() {
        return;
    }
    let step = Step::of(PROBE, &[]);
    let left = step.left(step.start()).await;
    let taken: Vec<Value> = left.commands.iter().map(told).collect();
    let expected: Vec<Value> = cases("lines")
        .into_iter()
        .map(|mut case| case["command"].take())
        .filter(|command| !command.is_null())
        .collect();
    assert_eq!(taken, expected);
    assert_eq!(json!(left.outputs), json!({ "forged": "two" }), "a command forges an output, if it gets through");
}
