//! Bad input at size, and disks that are full: what is refused, and what is left
//! behind. Memory is read from Linux's `/proc`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use batchstep_test_support::bench::{PATIENCE, Workspace, calls, end_of, finish, port, requests};
use batchstep_test_support::wire::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::BATCHSTEP;

/// The shortest request, nearly.
fn request(id: usize) -> String {
    format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/responses","body":{{"model":"m","input":1}}}}"#) + "\n"
}

#[tokio::test]
async fn faults_on_the_last_of_two_million_lines_are_found() {
    let workspace = Workspace::new(BATCHSTEP);
    let mut file = BufWriter::new(File::create(workspace.path().join("requests.jsonl")).unwrap());
    for line in 1..=2_000_000 {
        let text = match line {
            1_999_998 => request(1),
            1_999_999 => request(line).replace("POST", "PO\"ST"),
            _ => request(line),
        };
        file.write_all(text.as_bytes()).unwrap();
    }
    drop(file);
    let finished = finish(BATCHSTEP.in_dir(workspace.path()).args(["check", "requests.jsonl"])).await.expect(3);
    for fault in [
        "requests.jsonl:1999998: `custom_id` is `1`; it must be unique, and requests.jsonl:1 has the same",
        "requests.jsonl:1999999:37: not JSON, ",
    ] {
        assert!(finished.stderr.contains(fault), "{}", finished.stderr);
    }
}

/// Requests that are one line of zeros, which take no room on the disk.
fn zeros(workspace: &Workspace, bytes: u64) -> File {
    let file = File::create(workspace.path().join("requests.jsonl")).unwrap();
    file.set_len(bytes).unwrap();
    file
}

/// A figure of a process from `/proc`, in its unit; 0 once it has ended.
fn figure(child: &Child, file: &str, name: &str) -> u64 {
    let path = child.id().map(|id| format!("/proc/{id}/{file}"));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or_default()
}

/// The most memory that a process has had resident, in KiB, once it has read so many bytes.
async fn resident(child: &Child, bytes: u64) -> u64 {
    let reading = async {
        while figure(child, "io", "rchar:") < bytes {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reading).await.expect("the child reads");
    figure(child, "status", "VmHWM:")
}

#[tokio::test]
async fn a_line_of_half_a_gigabyte_is_refused_without_being_held() {
    let workspace = Workspace::new(BATCHSTEP);
    zeros(&workspace, 500_000_000).seek(SeekFrom::End(0)).unwrap();
    let mut file = OpenOptions::new().append(true).open(workspace.path().join("requests.jsonl")).unwrap();
    file.write_all(format!("\n{{}}\n{}", request(1)).as_bytes()).unwrap();
    let child = BATCHSTEP.in_dir(workspace.path()).args(["check", "requests.jsonl"]).spawn().unwrap();
    let most = resident(&child, 400_000_000).await;
    assert!((60_000..100_000).contains(&most), "{most} KiB");
    let finished = end_of(child).await.expect(3);
    for fault in [
        "requests.jsonl:1: the line has 500,000,000 bytes; a request has at most 67,108,864",
        "requests.jsonl:2: `custom_id` is missing",
    ] {
        assert!(finished.stderr.contains(fault), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn a_request_with_images_of_forty_megabytes_is_taken() {
    let image = "iVBORw0KGgo/".repeat(40_000_000 / 12);
    let workspace = Workspace::with(BATCHSTEP, &request(1).replace("\"input\":1", &format!(r#""input":"{image}""#)));
    finish(BATCHSTEP.in_dir(workspace.path()).args(["check", "requests.jsonl"])).await.expect(0);
}

#[tokio::test]
async fn a_file_whose_length_changes_while_it_is_checked_is_refused() {
    for change in [-1_000_000_i64, 1] {
        let workspace = Workspace::new(BATCHSTEP);
        let file = zeros(&workspace, 500_000_000);
        let child = BATCHSTEP.in_dir(workspace.path()).args(["check", "requests.jsonl"]).spawn().unwrap();
        resident(&child, 1_000_000).await;
        file.set_len(500_000_000_u64.checked_add_signed(change).unwrap()).unwrap();
        let finished = end_of(child).await.expect(3);
        assert!(finished.stderr.contains("`requests.jsonl` changed since it was first read"), "{}", finished.stderr);
    }
}

/// Has no batches. Takes the head of an upload and a little of its body, says
/// so, waits until it may go on, and reads what still comes.
async fn slow_server(listener: TcpListener, begun: Arc<Notify>, go_on: Arc<Notify>) -> (u64, u64) {
    let mut bytes = vec![0; 100_000];
    let mut stream = loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut count = 0;
        while count < bytes.len() && !(bytes.starts_with(b"GET ") && bytes[..count].ends_with(b"\r\n\r\n")) {
            count += stream.read(&mut bytes[count..]).await.unwrap();
        }
        if count == bytes.len() {
            break stream;
        }
        stream.write_all(json(200, "", r#"{"object":"list","data":[]}"#).as_bytes()).await.unwrap();
    };
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    assert!(head.starts_with("post /v1/files "), "{head}");
    let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap().parse().unwrap();
    let body = head.find("\r\n\r\n").unwrap() as u64 + 4;
    begun.notify_one();
    go_on.notified().await;
    let mut arrived = bytes.len() as u64 - body;
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        arrived += count as u64;
        if arrived == length {
            stream.write_all(json(200, "", r#"{"id":"file-1","object":"file"}"#).as_bytes()).await.unwrap();
        }
    }
    (arrived, length)
}

/// Runs 60 MB of requests, and has its way with the file when some of it is sent.
async fn changed_on_the_way(change: impl Fn(&File)) {
    let workspace = Workspace::with(BATCHSTEP, &requests(8_000, &"x".repeat(7_500)));
    let file = OpenOptions::new().write(true).open(workspace.path().join("requests.jsonl")).unwrap();
    let (listener, number) = port().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let served = tokio::spawn(slow_server(listener, Arc::clone(&begun), Arc::clone(&go_on)));
    let child = workspace.run(&format!("http://127.0.0.1:{number}/v1")).spawn().unwrap();
    timeout(PATIENCE, begun.notified()).await.expect("the upload begins");
    change(&file);
    go_on.notify_one();
    let finished = end_of(child).await.expect(3);
    assert!(finished.stderr.contains("changed after it was checked"), "{}", finished.stderr);
    let (arrived, length) = served.await.unwrap();
    assert!(arrived < length, "{arrived} of {length} bytes are no whole upload");
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent_is_never_sent_whole() {
    changed_on_the_way(|file| file.set_len(50_000_000).unwrap()).await;
    changed_on_the_way(|mut file| {
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"{}\n").unwrap();
    })
    .await;
    changed_on_the_way(|mut file| {
        file.seek(SeekFrom::End(-200)).unwrap();
        file.write_all(b"y").unwrap();
    })
    .await;
}

/// The same command with a limit on the size of the files that it writes, which is met as a full disk is.
fn limited(command: &Command, bytes: u64) -> Command {
    let (command, mut limited) = (command.as_std(), Command::new("sh"));
    limited.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512));
    limited.arg(command.get_program()).args(command.get_args());
    limited.env_clear().current_dir(command.get_current_dir().unwrap()).kill_on_drop(true);
    limited.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    limited.stderr(std::process::Stdio::piped());
    limited
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_disk_that_fills_up_during_the_download_leaves_no_half_file() {
    let served = BATCHSTEP.serve(&["--takes", "300ms"]).await;
    let workspace = Workspace::with(BATCHSTEP, &requests(3_000, "Who?"));
    let run = workspace.run(&served.base_url);
    let finished = finish(&mut limited(&run, 512 * 1024)).await.expect(1);
    assert!(finished.stderr.contains("could not be written: File too large"), "{}", finished.stderr);
    let results = workspace.path().join("batch-results");
    assert_eq!(names(&results), [".download", ".lock", "journal.jsonl", "report.json"]);
    assert_eq!(names(&results.join(".download")), [""; 0]);
    assert_eq!(workspace.report()["outcome"], "failed");

    // The answers are still at the provider, and there is room again.
    let tally = served.tally().await;
    assert_eq!((tally.batches.len(), &*tally.batches[0].status), (1, "completed"));
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_after_the_create_has_the_batch_cancelled() {
    const LIMIT: u64 = 64 * 1024;
    let served = BATCHSTEP.serve(&["--takes", "1h"]).await;
    let workspace = Workspace::new(BATCHSTEP);
    // How long the records are is seen in a run that ends well.
    let quick = BATCHSTEP.serve(&["--takes", "300ms"]).await;
    finish(&mut workspace.run(&quick.base_url)).await.expect(0);
    let journal = workspace.read("batch-results/journal.jsonl");
    let created = journal.find("\"step\":\"created\"").unwrap();
    // There is room for all but the end of the record of the create.
    let left = created as u64 + 20;
    let full = workspace.path().join("full");
    std::fs::create_dir(&full).unwrap();
    let filler = format!("{}\n", "x".repeat((LIMIT - left) as usize - 1));
    std::fs::write(full.join("journal.jsonl"), filler).unwrap();

    let mut run = workspace.run(&served.base_url);
    run.args(["--output-dir", "full"]);
    let finished = finish(&mut limited(&run, LIMIT)).await.expect(1);
    assert!(finished.stderr.contains("The journal full/journal.jsonl cannot be written"), "{}", finished.stderr);
    let tally = served.tally().await;
    assert_eq!((tally.creates, calls(&tally, "cancel")), (1, 1), "{tally:?}\n{}", finished.stderr);
    assert!(["cancelling", "cancelled"].contains(&&*tally.batches[0].status), "{tally:?}");
}
