//! The program as a user meets it: a command line, all that it prints, its exit code.
//!
//! `tests/cmd/*.trycmd` hold the scenarios. The tests below them need a CI
//! system's files, or a server and a shell.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use batchstep_test_support::github_runner;
use trycmd::TestCases;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub(crate) const BATCHSTEP: &str = env!("CARGO_BIN_EXE_batchstep");

/// Variables that would be taken for inputs, or for a CI system's.
const PREFIXES: [&str; 8] = ["GITHUB_", "INPUT_", "OPENAI_", "ANTHROPIC_", "BATCHSTEP_", "PLUGIN_", "CI", "DRONE"];

/// The names of all such variables that are set where the tests run.
#[expect(clippy::disallowed_methods, reason = "the tests must not see the environment that they run in")]
fn inherited() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// A command that sees none of them.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in inherited() {
        command.env_remove(name);
    }
    command
}

#[test]
fn scenarios() {
    let cases = TestCases::new();
    cases.case("tests/cmd/*.trycmd");
    for name in inherited() {
        // An empty variable is an absent one.
        cases.env(name, "");
    }
}

/// Runs batchstep bare, as an action does, with these inputs.
fn action(dir: &Path, requests: &str, inputs: &[(&str, &str)]) -> Output {
    let mut command = command(BATCHSTEP);
    command.current_dir(Path::new(ROOT).join("tests/cmd/check.in"));
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_REPOSITORY", "octo/repo").env("GITHUB_RUN_ID", "7");
    command.env("GITHUB_OUTPUT", dir.join("outputs")).env("GITHUB_STEP_SUMMARY", dir.join("summary"));
    command.env("INPUT_REQUESTS", requests).env("INPUT_PROVIDER", "sandbox").env("INPUT_TAKES", "200ms");
    command.env("INPUT_OUTPUT-DIR", dir.join("results"));
    command.envs(inputs.iter().copied()).output().expect("batchstep starts")
}

/// Reads `GITHUB_OUTPUT` as GitHub's runner does.
fn outputs(dir: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(dir.join("outputs")).expect("outputs were written");
    github_runner::outputs(&text).expect("the runner takes them").into_iter().collect()
}

#[test]
fn an_action_hands_its_workflow_outputs_and_a_summary() {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = action(
        dir.path(),
        "requests.jsonl",
        &[
            ("INPUT_MAX-FAILED", "50%"),
            ("INPUT_RETRIES", "0"),
            ("INPUT_FAULT", "rows missing share=30%\nanswers uncounted"),
        ],
    );
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");

    let report = fs::read(dir.path().join("results/report.json")).expect("a report was written");
    let report: serde_json::Value = serde_json::from_slice(&report).expect("the report is JSON");
    assert_eq!((&report["outcome"], &report["simulated"]), (&"partial".into(), &true.into()));
    let known = ["check", "attach", "upload", "create", "validating", "in_progress", "finalizing", "collect"];
    for phase in report["phases"].as_array().expect("phases are a list") {
        assert!(known.iter().any(|name| phase["name"] == *name), "{phase}");
    }

    let outputs = outputs(dir.path());
    let output = |name: &str| outputs.get(name).map_or("", String::as_str);
    assert_eq!((output("outcome"), output("status")), ("partial", "completed"));
    assert_eq!((output("total"), output("succeeded"), output("failed"), output("missing")), ("8", "5", "0", "3"));
    assert_eq!(report["batches"][0]["id"], output("batch-id"));
    assert_eq!(report["input_file_id"], output("input-file-id"));
    let results = fs::read_to_string(output("results-file")).expect("results were written");
    assert_eq!((results.lines().count(), results.matches("batchstep_missing").count()), (8, 3));
    assert!(Path::new(output("report-file")).is_file());

    let summary = fs::read_to_string(dir.path().join("summary")).expect("a summary was written");
    assert!(summary.trim_start().starts_with("## ⚠️ 🧪 SIMULATED · 3 of 8 missing · `gpt-4.1-mini`"), "{summary}");
    let commands = String::from_utf8(ran.stdout).expect("commands are text");
    assert!(
        commands.contains("::warning title=batchstep%3A%3Apartial (SIMULATED)::3 of 8 requests are missing"),
        "{commands}"
    );
}

/// `batchstep report` about what a run left in a directory, bare.
fn rendered(dir: &Path, format: &str) -> Output {
    let mut command = command(BATCHSTEP);
    command.args(["report", "--format", format, "--from"]).arg(dir.join("results"));
    command.output().expect("batchstep starts")
}

#[test]
fn a_finished_run_is_rendered_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let junit = dir.path().join("elsewhere/junit.xml").display().to_string();
    let fault = "rows missing share=30%\nrows status=500 share=30%\nanswers uncounted";
    let inputs = [("INPUT_CSV", "true"), ("INPUT_JUNIT", &*junit), ("INPUT_SAMPLES", "2")];
    let inputs = [&inputs[..], &[("INPUT_RETRIES", "0"), ("INPUT_FAULT", fault)]].concat();
    assert_eq!(action(dir.path(), "requests.jsonl", &inputs).status.code(), Some(7));
    let left = |name: &str| fs::read(dir.path().join(name)).expect("the run left it");
    let (table, cases) = (left("results/answers.csv"), String::from_utf8(left("elsewhere/junit.xml")).expect("text"));
    let same = |format: &str, left: &[u8]| {
        let ran = rendered(dir.path(), format);
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), String::from_utf8_lossy(left).trim(), "{format}");
    };
    same("json", &left("results/report.json"));
    same("markdown", &left("summary"));
    same("csv", &table);
    same("junit", cases.as_bytes());
    let count = |tag: &str| cases.matches(tag).count();
    assert!(count("<testcase") == 8 && count("<failure") > 0 && count("<error") > 0, "{cases}");
    assert!(String::from_utf8_lossy(&left("summary")).contains("<summary>The first 2 answers</summary>"));
    fs::remove_file(dir.path().join("results/answers.csv")).expect("it is there");
    same("csv", &table);
    let text = rendered(dir.path(), "text").stdout;
    assert!(text.starts_with("✗ SIMULATED · ".as_bytes()), "{}", String::from_utf8_lossy(&text));

    fs::write(dir.path().join("results/report.json"), "{}").expect("the report is replaced");
    let ran = rendered(dir.path(), "text");
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(2), 0), "{ran:?}");
    let log = String::from_utf8(ran.stderr).expect("the log is text");
    assert!(log.contains("is not a report of batchstep's: missing field `version`"), "{log}");
}

#[cfg(unix)]
#[test]
fn a_report_from_anywhere_leads_to_no_other_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let left = |name: &str| dir.path().join("results").join(name);
    assert_eq!(action(dir.path(), "requests.jsonl", &[("INPUT_CSV", "true")]).status.code(), Some(0));
    fs::write(dir.path().join("secret"), "precious").expect("a file is written");
    for (name, format, code) in [("answers.csv", "csv", 1), ("results.jsonl", "junit", 2), ("report.json", "text", 2)] {
        fs::remove_file(left(name)).expect("it is there");
        std::os::unix::fs::symlink(dir.path().join("secret"), left(name)).expect("a link is made");
        let ran = rendered(dir.path(), format);
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(code), 0), "{name}: {ran:?}");
        assert!(!String::from_utf8_lossy(&ran.stderr).contains("precious"), "{name}: {ran:?}");
    }
}

#[test]
fn outputs_that_cannot_be_written_are_no_success() {
    for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"] {
        let dir = tempfile::tempdir().expect("a directory");
        let ran = action(dir.path(), "requests.jsonl", &[(name, &dir.path().display().to_string())]);
        assert_eq!(ran.status.code(), Some(1), "{name}: {ran:?}");
        let report = fs::read(dir.path().join("results/report.json")).expect("a report was written");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("the report is JSON");
        assert_eq!((&report["outcome"], &report["exit_code"]), (&"failed".into(), &1.into()), "{name}");
    }
}

#[test]
fn an_action_annotates_the_lines_of_a_faulty_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let ran = action(dir.path(), "faulty.jsonl", &[]);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let commands = String::from_utf8(ran.stdout).expect("commands are text");
    let first = "::error file=faulty.jsonl,line=1,title=batchstep%3A invalid request::\
                 `body.stream` is true; batches cannot stream: remove it";
    assert_eq!(commands.lines().next(), Some(first));
    assert_eq!(commands.lines().count(), 10);
    assert_eq!(outputs(dir.path())["outcome"], "invalid");
    let checked = action(dir.path(), "faulty.jsonl", &[("INPUT_COMMAND", "check")]);
    assert_eq!((checked.status.code(), checked.stdout), (Some(3), commands.into_bytes()));
}

/// The first failure of every new user, and the mistakes that clap finds: shown where a workflow's author looks.
#[test]
fn an_action_shows_what_is_wrong_with_its_inputs() {
    let missing = "`api-key` is missing.";
    let wrong = "`max-failed` is `101%`, which cannot be used: a share is at most `100%`.";
    let command = "`command` is `walk`, which is not a command of batchstep.";
    let inputs: [(&str, &[(&str, &str)]); 3] = [
        (missing, &[("INPUT_PROVIDER", "openai"), ("INPUT_TAKES", "")]),
        (wrong, &[("INPUT_MAX-FAILED", "101%")]),
        (command, &[("INPUT_COMMAND", "walk")]),
    ];
    for (sentence, inputs) in inputs {
        let dir = tempfile::tempdir().expect("a directory");
        let ran = action(dir.path(), "requests.jsonl", inputs);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert_eq!(outputs(dir.path())["outcome"], "usage", "{sentence}");
        let commands = String::from_utf8(ran.stdout).expect("commands are text");
        let expected = format!("::error title=batchstep%3A%3Ausage::{}", sentence.replace('%', "%25"));
        assert!(commands.starts_with(&expected) && commands.lines().count() == 1, "{commands}");
        let summary = fs::read_to_string(dir.path().join("summary")).expect("a summary was written");
        assert!(summary.contains("## ❌ An input is wrong\n\n"), "{summary}");
        assert!(summary.contains(sentence.trim_end_matches('.')), "{summary}");
        let log = String::from_utf8(ran.stderr).expect("the log is text");
        assert!(log.contains(&format!("error: {sentence}")), "{log}");
    }
    // A script's own call: the flag as it was typed. Where standard output is data, the annotation is in the log.
    for (words, annotations) in [(["check", "--nope"], 1), (["batch", "--nope"], 0)] {
        let mut command = self::command(BATCHSTEP);
        let ran = command.args(words).env("GITHUB_ACTIONS", "true").output().expect("batchstep starts");
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
        assert_eq!(String::from_utf8_lossy(&ran.stdout).lines().count(), annotations, "{ran:?}");
        let log = String::from_utf8_lossy(&ran.stderr);
        assert!(log.lines().any(|line| line.starts_with("error: unexpected argument '--nope'")), "{ran:?}");
        assert_eq!(log.contains("::error "), annotations == 0, "{ran:?}");
    }
}

/// A sandbox in a process of its own, which ends with it.
#[cfg(unix)]
pub(crate) struct Served {
    process: std::process::Child,
    /// Its base URL.
    pub(crate) url: String,
}

#[cfg(unix)]
impl Served {
    pub(crate) fn begin(words: &[&str]) -> Self {
        use std::io::{BufRead as _, BufReader};

        let serving = command(BATCHSTEP).args(words).stderr(std::process::Stdio::piped()).spawn();
        let mut served = Self { process: serving.expect("the sandbox starts"), url: String::new() };
        let mut line = String::new();
        BufReader::new(served.process.stderr.take().expect("a pipe")).read_line(&mut line).expect("its address");
        let url = line.split_whitespace().find(|word| word.contains("http://")).expect("the address");
        served.url = url.trim_matches('`').to_owned();
        served
    }
}

#[cfg(unix)]
impl Drop for Served {
    fn drop(&mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

/// The script of docs/scripts.md, with shorter naps, against a served sandbox.
#[cfg(unix)]
#[test]
fn the_documented_script_works() {
    use std::io::Write as _;

    if !Command::new("jq").arg("--version").output().is_ok_and(|ran| ran.status.success()) {
        // Not by a macro: what those print is shown of tests that fail only.
        std::io::stderr().write_all(b"SKIPPED: there is no jq on this machine.\n").expect("a place to say it");
        return;
    }
    let served = Served::begin(&["sandbox", "--port", "0", "--takes", "300ms"]);

    let document = fs::read_to_string(Path::new(ROOT).join("docs/scripts.md")).expect("the document");
    let script = document.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a script");
    assert!(script.contains("sleep 30"), "{script}");
    let dir = tempfile::tempdir().expect("a directory");
    fs::copy(Path::new(ROOT).join("examples/requests.jsonl"), dir.path().join("requests.jsonl")).expect("a copy");
    let bin = Path::new(BATCHSTEP).parent().expect("a directory");
    let ran = command("sh")
        .args(["-c", &format!("PATH=\"$BIN:$PATH\"\n{}", script.replace("sleep 30", "sleep 0.1"))])
        .env("BIN", bin)
        .env("BATCHSTEP_PROVIDER", "sandbox")
        .env("BATCHSTEP_BASE_URL", &served.url)
        .current_dir(dir.path())
        .output()
        .expect("a shell");
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "completed: 8 of 8\n");
    let answers = fs::read_to_string(dir.path().join("output.jsonl")).expect("answers");
    assert_eq!(answers.lines().count(), 8);
    assert!(!dir.path().join("error.jsonl").exists());
    let deleted = fs::read_to_string(dir.path().join("deleted.json")).expect("a reply");
    assert!(deleted.contains("\"deleted\":true"), "{deleted}");
}

/// The run of docs/providers.md prints what is written there, but for words with digits: ids, times and sizes.
#[cfg(unix)]
#[test]
fn the_documented_run_at_anthropics_sandbox_works() {
    let document = fs::read_to_string(Path::new(ROOT).join("docs/providers.md")).expect("the document");
    let (_, section) = document.split_once("### Try it without a key\n").expect("the section");
    let block = |language: &str, nth: usize| {
        let blocks = section.split(&format!("```{language}\n")).nth(nth).and_then(|rest| rest.split("```").next());
        blocks.unwrap_or_else(|| panic!("no {language} block {nth}")).to_owned()
    };
    let (serve, run, printed) = (block("sh", 1), block("sh", 2), block("text", 1));
    let serve: Vec<&str> = serve.trim().split(' ').collect();
    assert_eq!((serve[0], serve[serve.len() - 1]), ("batchstep", "8080"), "{serve:?}");
    let serve = [&serve[1..serve.len() - 1], &["0", "--takes", "300ms"]].concat();
    let served = Served::begin(&serve);

    let (dir, bin) = (tempfile::tempdir().expect("a directory"), Path::new(BATCHSTEP).parent().expect("a directory"));
    fs::create_dir(dir.path().join("examples")).expect("a directory");
    let example = "examples/anthropic.jsonl";
    fs::copy(Path::new(ROOT).join(example), dir.path().join(example)).expect("a copy");
    let script = run.replace("http://127.0.0.1:8080", served.url.trim_end_matches("/v1"));
    assert_ne!(script, run);
    let ran = command("sh")
        .args(["-c", &format!("PATH=\"$BIN:$PATH\"\n{script}")])
        .env("BIN", bin)
        .current_dir(dir.path())
        .output()
        .expect("a shell");
    assert!(ran.status.success(), "{ran:?}");
    let plain = |text: &str| {
        let word = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "N".into() } else { word.to_owned() };
        // Which phases take long enough to be named depends on the machine.
        let line = |line: &str| match line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") {
            line if line.starts_with("Time ") => "Time".to_owned(),
            line => line,
        };
        text.lines().map(line).collect::<Vec<_>>()
    };
    assert_eq!(plain(&String::from_utf8_lossy(&ran.stderr)), plain(&printed));
}
