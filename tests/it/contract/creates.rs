//! Promises about creates: each is paid for once, whatever becomes of its reply.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use batchstep::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{HOUR, MINUTE, SECOND, Subject, assert_paid_once, killed};
use crate::lab::Lab;

/// A create whose reply is lost made a batch, and it is the one that is waited for.
pub(super) async fn a_lost_reply(subject: Subject) {
    for lost in ["drop", "garbage", "stall"] {
        for lag in [0, 4, 31, 60] {
            let case = format!("create {lost} times=1\nlist lag={lag}s");
            let lab = subject.lab(10 * MINUTE, &case).await;
            let ran = lab.run(&[]).await;
            assert_paid_once(&lab, &ran);
            assert_eq!((lab.tally().creates, lab.calls("create")), (1, 1), "{case}: {}", ran.text());
        }
    }
    // The next run settles what a killed one left in doubt.
    for after in [1, 20, 65] {
        let lab = subject.lab(4 * MINUTE, "create stall times=1\nlist lag=10s").await;
        assert!(killed(&lab, after * SECOND, &[]).await.is_none());
        let ran = lab.run(&[]).await;
        assert_paid_once(&lab, &ran);
        assert_eq!(lab.tally().creates, 1, "{after} s: {}", ran.text());
    }
}

/// Times are compared by the server's clock, or with room for a difference.
pub(super) async fn clocks_that_differ(subject: Subject) {
    for minutes in [-119, -10, -1, 1, 10, 119] {
        for after in [None, Some(3), Some(90)] {
            let mut lab = subject.lab(4 * MINUTE, "create stall times=1\nlist lag=1s").await;
            lab.clock = Clock::starting_at(Duration::from_secs(1_800_000_000_u64.saturating_add_signed(60 * minutes)));
            if let Some(after) = after {
                assert!(killed(&lab, after * SECOND, &[]).await.is_none());
            }
            let ran = lab.run(&["--reuse", if after.is_some() { "active" } else { "never" }]).await;
            assert_paid_once(&lab, &ran);
            assert_eq!(lab.tally().creates, 1, "{minutes} min, {after:?} s: {}", ran.text());
        }
    }
}

/// What was not acted on is sent again when the list had time to show it.
pub(super) async fn a_create_that_was_not_acted_on(subject: Subject) {
    for lost in ["500", "503", "408", "reset"] {
        let lab = subject.lab(HOUR, &format!("create {lost} times=1")).await;
        let ran = lab.run(&[]).await;
        assert_paid_once(&lab, &ran);
        assert_eq!((lab.tally().creates, lab.calls("create")), (1, 2), "{lost}: {}", ran.text());
        // Where the connection closes before the requests are all sent, nobody has to look for a batch: few requests may
        // be sent by then, or not.
        let is_sent = lost != "reset" || subject.carrier() != "create";
        assert!(!is_sent || ran.took > HOUR + MINUTE && lab.calls("list") >= 5, "{lost}: {:?}", ran.took);
    }
}

/// The list shows the first batch only after the second create, whose reply may be lost as well.
pub(super) async fn both_arrived(subject: Subject) {
    for lost in [1, 2] {
        let lab = subject.lab(HOUR, &format!("create drop times={lost}\nlist lag=61s after=1 times=5")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
        let [older, newer] = &lab.tally().batches[..] else { panic!("{:?}", lab.tally()) };
        assert_eq!((older.status.as_str(), newer.status.as_str()), ("completed", "cancelled"), "{}", ran.text());
        assert_eq!(older.create, newer.create);
        assert_eq!(ran.report["batches"][0]["id"], older.id.as_str());
    }
}

/// A body that was cut before its last byte created nothing.
pub(super) async fn a_body_cut_short(subject: Subject) {
    let mut lab = subject.lab(HOUR, "").await;
    let text = "x".repeat(100_000);
    let lines: Vec<String> = (0..120).map(|index| subject.line(&format!("request-{index}"), &text)).collect();
    lab.ask(&lines.concat());
    let cut = cutting(&mut lab, 3_000_000).await;
    let ran = lab.run(&[]).await;
    assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 1), "{}", ran.text());
    ran.assert_complete(120);
    assert!(cut.load(Ordering::Relaxed), "nothing was cut");
    // Had it been in doubt, the list would have been looked at for a minute.
    assert!(!ran.text().contains("reply") && ran.took < HOUR + 2 * MINUTE, "{:?}: {}", ran.took, ran.text());
}

/// Puts a gateway in front of a lab's server that cuts the first connection which brings more than so many bytes. Says
/// whether it has cut one.
async fn cutting(lab: &mut Lab, after: usize) -> Arc<AtomicBool> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = lab.base_url.trim_start_matches("http://").to_owned();
    let (host, path) = there.split_at(there.find('/').unwrap_or(there.len()));
    lab.base_url = format!("http://{}{path}", listener.local_addr().unwrap());
    let (host, has_cut) = (host.to_owned(), Arc::new(AtomicBool::new(false)));
    let is_cut = Arc::clone(&has_cut);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&host).await.unwrap();
            tokio::spawn(pass(client, server, after, Arc::clone(&is_cut)));
        }
    });
    has_cut
}

async fn pass(mut client: TcpStream, mut server: TcpStream, after: usize, is_cut: Arc<AtomicBool>) {
    let (mut there, mut back, mut passed, mut still) = (vec![0; 65_536], vec![0; 65_536], 0, None);
    loop {
        tokio::select! {
            read = client.read(&mut there) => {
                let Ok(count @ 1..) = read else { return };
                passed += count;
                if passed > after && !is_cut.swap(true, Ordering::Relaxed) {
                    return;
                }
                still.get_or_insert_with(Still::new);
                server.write_all(&there[..count]).await.unwrap();
            }
            read = server.read(&mut back) => {
                let Ok(count @ 1..) = read else { return };
                still = None;
                client.write_all(&back[..count]).await.unwrap();
            }
        }
    }
}

/// Keeps the paused clock still while a request is on its way: a parked blocking task does.
struct Still {
    /// Never sent on: dropping it ends the task.
    _end: mpsc::Sender<Infallible>,
}

impl Still {
    fn new() -> Self {
        let (end, parked) = mpsc::channel();
        tokio::task::spawn_blocking(move || parked.recv().is_ok());
        Self { _end: end }
    }
}

/// Who made another's batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Maker {
    Batchstep,
    /// A program that marks nothing.
    OtherProgram,
}

/// Another's batch of the same time and size.
async fn anothers_batch(subject: Subject, lab: &Lab, maker: Maker) {
    match subject.create_of_others().filter(|_| maker == Maker::OtherProgram) {
        Some((path, body)) => lab.post(path, &body).await,
        None => {
            let other = lab.neighbour();
            other.ask(&subject.other_requests());
            assert_eq!(other.submit(&[]).await.exit, 0);
        }
    }
}

/// Our create did nothing, while another's made a batch at the same time, of as many requests.
pub(super) async fn anothers_batch_of_that_time(subject: Subject) {
    for maker in [Maker::Batchstep, Maker::OtherProgram] {
        let lab = subject.lab(HOUR, "create 500 after=1 times=1").await;
        anothers_batch(subject, &lab, maker).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.completed().len()), (0, "succeeded", 2), "{maker:?}: {}", ran.text());
        ran.assert_complete(20);
        for late in ["answers late=40s", "answers page=1m", "answers absent=90s"] {
            let lab = subject.lab(HOUR, &format!("create 500 after=1 times=1\n{late}")).await;
            anothers_batch(subject, &lab, maker).await;
            let ran = lab.run(&[]).await;
            assert_eq!((ran.exit, lab.completed().len()), (0, 2), "{maker:?}, {late}: {}", ran.text());
            ran.assert_complete(20);
        }
        // Nor is it cancelled by a deadline, a signal or a run that is started again.
        for (inputs, signals) in [(&["--timeout", "30m"][..], &[][..]), (&[], &[(30 * MINUTE, 15)])] {
            let lab = subject.lab(HOUR, "create 500 after=1").await;
            anothers_batch(subject, &lab, maker).await;
            let ran = lab.run_signalled(inputs, signals).await;
            assert_ne!(ran.exit, 0, "{}", ran.text());
            assert_eq!((lab.tally().creates, lab.calls("cancel")), (1, 0), "{maker:?}: {}", ran.text());
        }
        // Nor is it taken for ours by a run that follows a killed one.
        let lab = subject.lab(HOUR, "create 500 after=1 times=1").await;
        anothers_batch(subject, &lab, maker).await;
        assert!(killed(&lab, 90 * SECOND, &[]).await.is_none());
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.completed().len()), (0, "succeeded", 2), "{maker:?}: {}", ran.text());
        ran.assert_complete(20);
    }
}

/// Two batches may each be ours. Where they are marked, ours is known; else the run ends and names both, also where the
/// list shows the other first.
pub(super) async fn batches_that_look_alike(subject: Subject) {
    for (lag, after, maker) in [(0, 0, Maker::Batchstep), (30, 25, Maker::Batchstep), (0, 0, Maker::OtherProgram)] {
        let lab = subject.lab(HOUR, &format!("create drop after=1 times=1\nlist lag={lag}s")).await;
        anothers_batch(subject, &lab, maker).await;
        tokio::time::sleep(after * SECOND).await;
        let ran = lab.run(&[]).await;
        if subject.shows_whose() {
            assert_eq!((ran.exit, lab.tally().creates), (0, 2), "{lag} s: {}", ran.text());
            ran.assert_complete(20);
            continue;
        }
        assert_eq!((ran.exit, ran.outcome(), lab.calls("cancel")), (4, "unknown", 0), "{lag} s: {}", ran.text());
        for batch in lab.tally().batches {
            assert!(ran.text().contains(&batch.id), "{lag} s, {}: {}", batch.id, ran.text());
        }
        // When both have ended, their answers show which of them is ours.
        tokio::time::sleep(2 * HOUR).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome(), lab.tally().creates), (0, "succeeded", 2), "{lag} s: {}", ran.text());
        ran.assert_complete(20);
    }
}

/// A cancel is sent until it is known to have arrived.
pub(super) async fn a_lost_reply_to_a_cancel(subject: Subject) {
    for lost in ["drop", "garbage", "stall", "503"] {
        let lab = subject.lab(10 * HOUR, &format!("cancel {lost} times=2")).await;
        let ran = lab.run(&["--timeout", "1h"]).await;
        assert_eq!((ran.exit, lab.is_anything_running()), (6, false), "{lost}: {}", ran.text());
    }
}

/// A refusal that may pass ends no run.
pub(super) async fn refused_for_now(subject: Subject) {
    for (refusal, calls) in [("429 retry-after=7s", 3), ("529", 3)] {
        let lab = subject.lab(HOUR, &format!("create {refusal} times=2")).await;
        let ran = lab.run(&[]).await;
        assert_paid_once(&lab, &ran);
        assert_eq!((lab.tally().creates, lab.calls("create")), (1, calls), "{refusal}: {}", ran.text());
    }
    let lab = subject.lab(HOUR, "any 529 after=1 times=5").await;
    assert_paid_once(&lab, &lab.run(&[]).await);
}

/// No waiting helps where there is no budget, whatever the status.
pub(super) async fn refused_for_good(subject: Subject) {
    let code = subject.spent();
    for refusal in [format!("429 code={code}"), format!("429 code={code} retry-after=30s")] {
        let lab = subject.lab(HOUR, &format!("create {refusal}")).await;
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "refused"), "{refusal}: {}", ran.text());
        assert_eq!((lab.tally().creates, lab.calls("create")), (0, 1), "{refusal}: {}", ran.text());
        assert!(ran.took < MINUTE && ran.text().contains("budget"), "{refusal}: {}", ran.text());
    }
}
