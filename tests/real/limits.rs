//! Servers that never stop talking: what is read of an answer is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use batchstep_test_support::bench::{Finished, PATIENCE, Workspace, finish, port};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::BATCHSTEP;

const MIB: usize = 1 << 20;

/// Answers every request with `head` and then with `more` without an end; counts the bytes that were taken.
fn endless(listener: TcpListener, head: &'static str, more: Vec<u8>) -> Arc<AtomicUsize> {
    let sent = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            if stream.read(&mut request).await.is_err() || stream.write_all(head.as_bytes()).await.is_err() {
                continue;
            }
            while stream.write_all(&more).await.is_ok() {
                counts.fetch_add(more.len(), Ordering::Relaxed);
            }
        }
    });
    sent
}

/// One call, and how much of the answer the server got rid of.
async fn call(head: &'static str, more: Vec<u8>) -> (Finished, usize) {
    let workspace = Workspace::new(BATCHSTEP);
    let (listener, port) = port().await;
    let sent = endless(listener, head, more);
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args(["batch", "list", "--provider", "compatible", "--api-key", "sk-0123456789"]);
    command.args(["--base-url", &format!("http://127.0.0.1:{port}/v1")]);
    let finished = finish(&mut command).await.expect(4);
    assert!(finished.took < PATIENCE / 2, "{:?}", finished.took);
    (finished, sent.load(Ordering::Relaxed))
}

/// A chunk of a chunked body, of JSON's white space.
fn chunk() -> Vec<u8> {
    [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat()
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up_at_64_mib() {
    for head in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n",
    ] {
        let (finished, sent) = call(head, chunk()).await;
        assert!(finished.stderr.contains("an answer larger than 64 MiB"), "{}", finished.stderr);
        assert!((60 * MIB..96 * MIB).contains(&sent), "{sent} bytes");
    }
}

#[tokio::test]
async fn so_is_an_error_without_an_end() {
    let (finished, sent) = call("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n", chunk()).await;
    assert!(finished.stderr.contains("HTTP 500"), "{}", finished.stderr);
    assert!((60 * MIB..96 * MIB).contains(&sent), "{sent} bytes");
}

#[tokio::test]
async fn headers_without_an_end_are_given_up_soon() {
    let one_long = ("HTTP/1.1 200 OK\r\nx-long: ", vec![b'x'; 0x10000]);
    let many = ("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n".repeat(4_096));
    for (head, more) in [one_long, many] {
        let (finished, sent) = call(head, more).await;
        assert!(finished.stderr.contains("no whole reply"), "{}", finished.stderr);
        assert!(sent < 16 * MIB, "{sent} bytes");
    }
}
