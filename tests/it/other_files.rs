//! Files that are one thing, but no requests: each is one fault, and the command that it prints makes requests of it.

use std::path::Path;
use std::process::{Command, Output};

const BATCHSTEP: &str = env!("CARGO_BIN_EXE_batchstep");

fn chat(id: &str) -> String {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi, \"é\""}]}"#;
    format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
}

fn check(dir: &Path, file: &str, provider: &str) -> Output {
    let mut command = Command::new(BATCHSTEP);
    command.current_dir(dir).args(["check", file, "--provider", provider, "--ci", "terminal"]);
    command.output().expect("batchstep starts")
}

/// Checks a file, which has one fault, runs the command that the fault names, and checks what comes of it: so many
/// requests. Returns what was found.
fn fixed(name: &str, bytes: &[u8], provider: &str, requests: usize) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join(name), bytes).expect("the file is written");
    let refused = check(dir.path(), name, provider);
    let log = String::from_utf8(refused.stderr).expect("text");
    assert_eq!(refused.status.code(), Some(3), "{name}: {log}");
    assert!(log.contains("1 fault in the requests"), "{name}: {log}");
    let fault = log.lines().find_map(|line| line.strip_prefix(&format!("  {name}: "))).expect("the file's fault");
    let (found, rest) = fault.split_once("; ").expect("what was found");
    let command = rest.split_once("run `").and_then(|(_, rest)| rest.split_once('`')).expect("a command").0;
    let ran = Command::new("sh").current_dir(dir.path()).args(["-c", command]).output().expect("a shell");
    assert_ne!(ran.status.code(), Some(127), "a tool is missing for `{command}`");
    assert!(ran.status.success(), "{command}: {ran:?}");
    let made = command.rsplit_once(" > ").map_or(name, |(_, made)| made).trim_matches('\'').to_owned();
    let taken = check(dir.path(), &made, provider);
    let log = String::from_utf8(taken.stderr).expect("text");
    assert_eq!(taken.status.code(), Some(0), "{name}, by {command}: {log}");
    assert!(log.contains(&format!("Checked {requests} request")), "{name}, by {command}: {log}");
    found.to_owned()
}

#[test]
fn a_wrong_encoding_is_converted() {
    let lines = format!("{}\r\n{}\r\n", chat("a"), chat("b"));
    let units = |little: bool| -> Vec<u8> {
        let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        lines.encode_utf16().flat_map(bytes).collect()
    };
    for (bom, little) in [(&b"\xff\xfe"[..], true), (b"\xfe\xff", false), (b"", true), (b"", false)] {
        let found = fixed("wide.jsonl", &[bom, &units(little)].concat(), "openai", 2);
        assert_eq!(found, "the file is UTF-16 text");
    }
}

#[test]
fn json_over_several_lines_becomes_lines() {
    let pretty = |json: &str| {
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        serde_json::to_string_pretty(&value).expect("JSON")
    };
    let (one, all) = (pretty(&chat("a")), format!("[{},{}]", chat("a"), chat("b")));
    let wrapped = format!(r#"{{"requests":{all}}}"#);
    for (text, requests, expected) in [
        (pretty(&all), 2, "the file is one JSON array"),
        (all.clone(), 2, "the file is one JSON array"),
        (format!("\u{feff}{}", pretty(&all)), 2, "the file is one JSON array"),
        (one.clone(), 1, "the file is one JSON object over several lines"),
        (format!("{one}\n{}\n", pretty(&chat("b"))), 2, "the file is JSON, but not one value on each line"),
        (wrapped.clone(), 2, "the file is one JSON object with all requests in it"),
        (pretty(&wrapped), 2, "the file is one JSON object with all requests in it"),
    ] {
        assert_eq!(fixed("my requests.json", text.as_bytes(), "openai", requests), expected);
    }
}

#[test]
fn a_table_becomes_requests() {
    let csv = "id,question\n1,\"What, exactly?\"\n2,\"Two\nlines\"\n";
    assert_eq!(fixed("questions.csv", csv.as_bytes(), "openai", 2), "the file is CSV");
    assert_eq!(fixed("questions.csv", csv.replace(',', ";").as_bytes(), "anthropic", 2), "the file is CSV");
    assert_eq!(fixed("$q.tsv", b"id\tnote\n1\tWhy?\n2\tHow?\n", "openai", 2), "the file is TSV");
}

#[test]
fn lines_of_another_kind_become_requests() {
    let turns = r#"{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}"#;
    let tuning = format!(r#"{{"messages":[{turns},{{"role":"assistant","content":"Hello"}}]}}"#);
    let gemini = r#"{"key":"k","request":{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}}"#;
    let mistral = format!(r#"{{"custom_id":"a","body":{{"model":"m","messages":[{turns}]}}}}"#);
    let twice = format!("{tuning}\n{tuning}");
    for provider in ["openai", "anthropic"] {
        let found = fixed("train.jsonl", twice.as_bytes(), provider, 2);
        assert_eq!(found, "the lines hold messages, as for fine-tuning");
        assert_eq!(fixed("g.jsonl", gemini.as_bytes(), provider, 1), "the requests have Gemini's form");
    }
    let found = fixed("m.jsonl", mistral.as_bytes(), "compatible", 1);
    assert_eq!(found, "the requests have neither `method` nor `url`, as Mistral's");
}

#[test]
fn what_is_compressed_is_unpacked() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("requests.jsonl"), chat("a")).expect("the file is written");
    let pack = "import zipfile; zipfile.ZipFile('x.zip', 'w').write('requests.jsonl')";
    let packed = Command::new("python3").current_dir(dir.path()).args(["-c", pack]).status();
    if packed.is_ok_and(|status| status.success()) {
        let zip = std::fs::read(dir.path().join("x.zip")).expect("an archive");
        assert_eq!(fixed("requests.jsonl.zip", &zip, "openai", 1), "the file is compressed by zip");
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(chat("a").as_bytes()).expect("memory takes it");
    let gzip = gzip.finish().expect("memory takes it");
    assert_eq!(fixed("requests.jsonl.gz", &gzip, "openai", 1), "the file is compressed by gzip");
}

#[test]
fn of_a_merge_with_conflicts_one_side_is_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "git init -q . && git config user.name n && git config user.email e@x && printf '%s\\n' \"$A\" >r.jsonl \
        && git add . && git commit -qm a && git checkout -qb other && printf '%s\\n' \"$A\" \"$B\" >r.jsonl \
        && git commit -qam b && git checkout -q - && printf '%s\\n' \"$A\" \"$C\" >r.jsonl && git commit -qam c \
        && ! git merge -q other";
    let mut merge = Command::new("sh");
    merge.current_dir(dir.path()).args(["-c", script]).env("GIT_CONFIG_GLOBAL", "/dev/null");
    let merged = merge.env("A", chat("a")).env("B", chat("b")).env("C", chat("b").replace("Hi", "Ho")).output();
    let merged = merged.expect("a shell");
    assert!(merged.status.success(), "{merged:?}");
    let conflict = std::fs::read(dir.path().join("r.jsonl")).expect("a file with marks");
    assert!(conflict.windows(8).any(|bytes| bytes == b"<<<<<<< "), "{merged:?}");
    let log = String::from_utf8(check(dir.path(), "r.jsonl", "openai").stderr).expect("text");
    let command = "git checkout --ours -- r.jsonl";
    assert!(
        log.contains("1 fault in the requests")
            && log.contains(&format!("; git left both sides of a merge in it: run `{command}`")),
        "{log}"
    );
    let ran = Command::new("sh").current_dir(dir.path()).args(["-c", command]).status().expect("a shell");
    assert!(ran.success());
    let log = String::from_utf8(check(dir.path(), "r.jsonl", "openai").stderr).expect("text");
    assert!(log.contains("Checked 2 requests"), "{log}");
}

#[test]
fn answers_are_no_requests() {
    let dir = tempfile::tempdir().expect("a directory");
    let openai = r#"{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"body":{}},"error":null}"#;
    let anthropic = r#"{"custom_id":"a","result":{"type":"succeeded","message":{}}}"#;
    for line in [openai, anthropic] {
        std::fs::write(dir.path().join("out.jsonl"), format!("{line}\n{line}\n")).expect("the file is written");
        for provider in ["openai", "anthropic", "compatible"] {
            let log = String::from_utf8(check(dir.path(), "out.jsonl", provider).stderr).expect("text");
            let fault = "  out.jsonl: the lines are the answers of a batch; each line is a request of a batch: name the file that was sent\n";
            assert!(log.contains("1 fault in the requests") && log.contains(fault), "{log}");
        }
    }
}
