//! The two passes over all bytes: the check of the requests, and the
//! reconciliation of the answers. `cargo bench` tells whether a change slowed
//! one of them; `bench/run.sh` holds the whole program against its peers.

use std::hint::black_box;
use std::path::PathBuf;

use batchstep::internals::{AnswersFile, Checked, Name, Source, choose, reconcile_and_discard, resolve};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

/// How many bytes of requests there are in each case, about.
const BYTES: usize = 32 << 20;

/// Prose and program text, as they stand in JSON.
const PROSE: &str = r"The ship that lay at anchor had come from Genoa with oil and cloth, and nobody asked for more. ";
const CODE: &str = r#"    if name == \"other\" {\n        count += 1;\n"#;

/// A directory with requests of about this length, each with a text of these pieces.
fn requests(piece: &str, length: usize) -> (Source, TempDir, usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (content, rows) = (piece.repeat(length.div_ceil(piece.len())), BYTES / length);
    let line = |row| {
        format!(
            r#"{{"custom_id":"request-{row:07}","method":"POST","url":"/v1/chat/completions","body":{{"model":"gpt-4.1-mini","messages":[{{"role":"user","content":"{content}"}}]}}}}"#
        ) + "\n"
    };
    let path = dir.path().join("requests.jsonl");
    std::fs::write(&path, (0..rows).map(line).collect::<String>()).expect("the requests are written");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let source = runtime.block_on(resolve(&[path.display().to_string()])).expect("the requests are found");
    (source, dir, rows)
}

fn check(source: &Source) -> Checked {
    let rules = choose(Name::Compatible).rules();
    let checked = batchstep::internals::check(source, &rules).expect("the requests are read");
    assert_eq!(checked.fault_count, 0);
    checked
}

fn checking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    for (name, piece, length) in [("prose", PROSE, 3_800), ("code", CODE, 3_800), ("short", PROSE, 500)] {
        let (source, _dir, _) = requests(piece, length);
        group.throughput(Throughput::Bytes(source.bytes()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| bencher.iter(|| check(&source)));
    }
}

/// Answers to so many requests, in their order or in none.
fn answers(dir: &TempDir, rows: usize, shuffled: bool) -> AnswersFile {
    let mut order: Vec<usize> = (0..rows).collect();
    if shuffled {
        fastrand::Rng::with_seed(1).shuffle(&mut order);
    }
    let line = |row| {
        format!(
            r#"{{"id":"batch_req_{row:032}","custom_id":"request-{row:07}","response":{{"status_code":200,"request_id":"req_{row:032}","body":{{"id":"chatcmpl-{row:024}","object":"chat.completion","created":1700000000,"model":"gpt-4.1-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{PROSE}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":120,"completion_tokens":30,"total_tokens":150}}}}}},"error":null}}"#
        ) + "\n"
    };
    let path: PathBuf = dir.path().join(format!("answers-{shuffled}.jsonl"));
    std::fs::write(&path, order.into_iter().map(line).collect::<String>()).expect("the answers are written");
    let endpoint = Some("/v1/chat/completions".to_owned());
    AnswersFile {
        path,
        what: "output",
        attempt: 1,
        batch: 0,
        batch_id: "batch_1".to_owned(),
        endpoint,
        ..AnswersFile::default()
    }
}

fn reconciling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reconcile");
    let (source, dir, rows) = requests(PROSE, 500);
    let checked = check(&source);
    for (name, shuffled) in [("in order", false), ("shuffled", true)] {
        let file = answers(&dir, rows, shuffled);
        group.throughput(Throughput::Bytes(std::fs::metadata(&file.path).expect("the answers are there").len()));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let found = reconcile_and_discard(&source, &checked, std::slice::from_ref(&file));
                black_box(found.expect("the answers are reconciled"))
            });
        });
    }
}

criterion_group! {
    name = passes;
    config = Criterion::default().sample_size(10);
    targets = checking, reconciling
}
criterion_main!(passes);
