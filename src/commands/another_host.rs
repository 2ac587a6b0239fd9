//! Tests of the seam between commands and hosts: a host that the product does not
//! know shows runs through an API of its own.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use batchstep_sandbox::{Options, Sandbox, script};
use clap::Parser as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tempfile::TempDir;

use super::{collect, run};
use crate::clock::Clock;
use crate::effects::{Effect, LogTarget, Screen};
use crate::emitter::Events;
use crate::env::Env;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::hosts::{ClaimedCheck, Claims, Host, HostMark, Identity, PublishOptions, Publisher, Reach, Unclaimed};
use crate::inputs::{Cli, Command};
use crate::report::{Report, ShownAt};
use crate::shutdown;
use crate::world::World;

/// As unlike GitHub's mark as it can be.
const MARK: &str = "//merge request !7 of 9/\u{e9} \"quoted\" from 2% /";

/// What the host and its publisher were given, in order.
type Calls = Rc<RefCell<Vec<String>>>;

/// A host that is not GitHub.
struct Another {
    calls: Calls,
    journal: PathBuf,
}

/// What shows runs there.
struct Recorder {
    calls: Calls,
    journal: PathBuf,
}

impl Host for Another {
    fn identity(&self) -> Identity {
        Identity { repo: Some("group/project".to_owned()), run: None }
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(Duration::from_secs(3_600))
    }

    fn publisher(&self, _: &Env, options: PublishOptions, _: Reach<'_>) -> Result<Option<Box<dyn Publisher>>, Error> {
        assert!(options.comment && options.check_run);
        Ok(Some(Box::new(Recorder { calls: Rc::clone(&self.calls), journal: self.journal.clone() })))
    }

    fn event(&self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Started { timeout, .. } => self.calls.borrow_mut().push(format!("started, {timeout:?}")),
            Event::Creating { .. } => self.calls.borrow_mut().push("creating".to_owned()),
            _ => {}
        }
        Vec::new()
    }

    fn publish(&self, report: &Report) -> Vec<Effect> {
        self.calls.borrow_mut().push(format!("outputs: {}", report.outcome.word()));
        Vec::new()
    }
}

impl Publisher for Recorder {
    fn begin<'a>(&'a self, report: &'a Report, _: &'a Events<'a>) -> LocalBoxFuture<'a, Option<HostMark>> {
        self.calls.borrow_mut().push(format!("begin: {} requests", report.requests.total));
        async { Some(MARK.to_owned().into()) }.boxed_local()
    }

    fn update<'a>(&'a self, _: &'a Report, batch_ids: &'a [String]) -> LocalBoxFuture<'a, ()> {
        self.calls.borrow_mut().push(format!("update: {} batch", batch_ids.len()));
        async {}.boxed_local()
    }

    fn finish<'a>(&'a self, report: &'a Report, _: &'a Events<'a>) -> LocalBoxFuture<'a, bool> {
        let journal = std::fs::read_to_string(&self.journal).unwrap();
        let is_closed = if journal.contains(r#""step":"closed""#) { "closed" } else { "open" };
        self.calls.borrow_mut().push(format!("finish: {}, journal {is_closed}", report.outcome.word()));
        async { true }.boxed_local()
    }

    fn claims(&self) -> Option<&dyn Claims> {
        Some(self)
    }
}

impl Claims for Recorder {
    fn of_mark<'a>(&'a self, mark: &'a str, _: &'a str) -> LocalBoxFuture<'a, Result<ClaimedCheck, Unclaimed>> {
        self.calls.borrow_mut().push(format!("of_mark: {mark}"));
        async { Err(Unclaimed::NoMark) }.boxed_local()
    }

    fn is_marked(&self, _: &ClaimedCheck, _: &str) -> bool {
        false
    }

    fn own<'a>(&'a self, _: &'a str, _: &'a [&'a str]) -> LocalBoxFuture<'a, Result<Vec<ClaimedCheck>, String>> {
        async { Ok(Vec::new()) }.boxed_local()
    }

    fn in_progress<'a>(
        &'a self,
        _: &'a [&'a str],
        _: &'a Events<'a>,
    ) -> LocalBoxFuture<'a, (Vec<ClaimedCheck>, Vec<String>)> {
        async { (Vec::new(), Vec::new()) }.boxed_local()
    }

    fn is_open<'a>(&'a self, _: &'a ClaimedCheck) -> LocalBoxFuture<'a, bool> {
        async { true }.boxed_local()
    }

    fn shown_at(&self, _: &[ClaimedCheck]) -> ShownAt {
        ShownAt::default()
    }

    fn share_comments(&self, _: &mut [ClaimedCheck]) {}

    fn abandon<'a>(&'a self, _: &'a HostMark, _: i64) -> LocalBoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed_local()
    }
}

/// A sandbox that is being served, two requests, and a directory for each command.
struct Place {
    dir: TempDir,
    clock: Clock,
    base_url: String,
}

impl Place {
    async fn new() -> Self {
        let clock = Clock::starting_at(Duration::from_secs(1_800_000_000));
        let options = Options { takes: Duration::from_secs(60), faults: script("").unwrap() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(Sandbox::new(options, move || clock.now()).serve(listener));
        let dir = tempfile::tempdir().unwrap();
        let line = |id| {
            format!(
                r#"{{"custom_id":"{id}","method":"POST","url":"/v1/embeddings","body":{{"model":"m","input":"x"}}}}"#
            )
        };
        std::fs::write(dir.path().join("requests.jsonl"), format!("{}\n{}\n", line("a"), line("b"))).unwrap();
        Self { dir, clock, base_url }
    }

    /// Carries out a command on the other host, in a directory of its own; its exit code and the calls.
    async fn carry_out(&self, words: &[&str], output_dir: &Path) -> (Exit, Vec<String>) {
        let dir = output_dir.display().to_string();
        let server = ["--base-url", &self.base_url, "--provider", "compatible", "--api-key", "sk-lab-0123456789"];
        let shown = ["--comment", "--check-run", "--output-dir", &dir];
        let words = [&["batchstep"], words, &server, &shown].concat();
        let (_stopper, shutdown) = shutdown::channel();
        let screen = Screen::new(Box::new(io::sink()), Box::new(io::sink()));
        let world = World::new(Env::default(), self.clock, shutdown, LogTarget::File, screen);
        let (calls, journal) = (Calls::default(), output_dir.join("journal.jsonl"));
        let host = Another { calls: Rc::clone(&calls), journal };
        let exit = match Cli::try_parse_from(words).unwrap().command {
            Command::Run(inputs) => Box::pin(run::run_on(&host, *inputs, &world)).await,
            Command::Collect(inputs) => Box::pin(collect::collect_on(&host, *inputs, &world)).await,
            other => panic!("{other:?}"),
        };
        let calls = calls.take();
        (exit, calls)
    }

    fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_hears_of_a_run_before_its_batch_and_last_of_all() {
    let place = Place::new().await;
    let requests = place.out("requests.jsonl").display().to_string();
    let out = place.out("out");
    let (exit, calls) = place.carry_out(&["run", &requests], &out).await;
    assert_eq!(exit, Exit::Ok, "{calls:?}");
    let expected = [
        "started, 3600s",
        "begin: 2 requests",
        "creating",
        "update: 1 batch",
        "outputs: succeeded",
        "finish: succeeded, journal open",
    ];
    assert_eq!(calls, expected);
    let journal = std::fs::read_to_string(out.join("journal.jsonl")).unwrap();
    assert!(journal.ends_with("\n") && journal.lines().last().unwrap().contains(r#""step":"closed""#), "{journal}");
}

#[tokio::test(start_paused = true)]
async fn a_hosts_mark_is_handed_back_as_it_was() {
    let place = Place::new().await;
    let requests = place.out("requests.jsonl").display().to_string();
    let (_, calls) = place.carry_out(&["run", &requests, "--max-failed", "50%"], &place.out("out")).await;
    assert!(calls.contains(&"creating".to_owned()), "{calls:?}");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.out("out").join("report.json")).unwrap()).unwrap();
    let id = report["batches"][0]["id"].as_str().unwrap();
    // Another machine, which has nothing but the batch's id.
    let elsewhere = place.out("elsewhere");
    let (exit, calls) = place.carry_out(&["collect", id], &elsewhere).await;
    assert_eq!(exit, Exit::Ok, "{calls:?}");
    assert!(calls.contains(&format!("of_mark: {MARK}")), "{calls:?}");
    assert_eq!(calls.last().unwrap(), "finish: succeeded, journal open");
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(elsewhere.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["max_failed"], "50%");
}
