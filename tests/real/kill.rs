//! The kill matrix: a run is killed outright at a random moment, and run again.
//!
//! Whatever the moment, what was paid for is paid for once, and the results are
//! those of the one batch. The moments are spread over the whole of a run; some
//! trouble at each step, which the sandbox makes, holds it there for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use batchstep_sandbox::{Dialect, Tally};
use batchstep_test_support::bench::{Finished, Served, Workspace, end_within, finish, request};
use batchstep_test_support::rounds;
use futures_util::StreamExt as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::BATCHSTEP;

const ROWS: usize = 300;
/// A create that was never sent is looked for during a minute.
const LOOKING: Duration = Duration::from_secs(120);
/// How many runs are tried beside each other.
const ABREAST: usize = 4;

/// What the second run has to go by.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Memory {
    JournalAndList,
    /// A fresh workspace: the requests, the server, and which run it is.
    List,
    /// The server keeps no metadata and shows no list.
    Journal,
    /// The server is Anthropic's: there is no metadata, and a batch shows whose it is only when it has ended.
    JournalAtAnthropic,
}

impl Memory {
    /// Trouble that makes a step last longer, so that it is hit more often.
    fn troubles(self) -> Vec<&'static str> {
        let usual = ["", "upload drop times=1", "file slow=300ms", "list drop times=1", "content cut=20000 times=1"];
        let anthropics = ["", "get drop times=1", "list drop times=1", "content cut=20000 times=1"];
        let usual: &[&str] = if self.dialect() == Dialect::Anthropic { &anthropics } else { &usual };
        let create: &[&str] = match self {
            // A create that was not acted on takes a minute to be sure of.
            Self::JournalAndList if rounds(1) == 1 => &["create drop times=1"],
            // There, one that was acted on takes as long.
            Self::JournalAtAnthropic if rounds(1) == 1 => &[],
            Self::JournalAndList | Self::List => &["create drop times=1", "create 429 times=1"],
            Self::JournalAtAnthropic => &["create drop times=1", "create 429 times=1", "create delay=600ms"],
            Self::Journal => &["create 429 times=1"],
        };
        [usual, create].concat()
    }

    fn dialect(self) -> Dialect {
        if self == Self::JournalAtAnthropic { Dialect::Anthropic } else { Dialect::Openai }
    }

    /// Whose server it is, for a command.
    fn provider(self) -> &'static [&'static str] {
        match self.dialect() {
            Dialect::Openai => &["--provider", "sandbox"],
            Dialect::Anthropic => &["--provider", "anthropic", "--api-key", "sk-ant-0123456789"],
        }
    }
}

/// One run that is killed, and the next.
struct Trial {
    memory: Memory,
    served: Served,
    workspace: Workspace,
}

/// What became of a trial.
#[derive(Debug)]
struct Told {
    /// What the killed run had written down last.
    hit: String,
    /// Whether nobody could know if the create was acted on.
    unknown: bool,
    /// Batches that were paid for in full beside the first.
    twice: usize,
}

impl Trial {
    async fn new(memory: Memory, trouble: &str) -> Self {
        let lost = if memory == Memory::Journal { "batch no-metadata\nlist 403\n" } else { "" };
        let (faults, dialect) = (format!("{lost}{trouble}\n"), memory.dialect());
        let served = BATCHSTEP.serve(&["--dialect", dialect.word(), "--takes", "400ms", "--fault", &faults]).await;
        let requests: String = (0..ROWS).map(|index| request(dialect, &format!("r{index}"), "Who?")).collect();
        Self { memory, served, workspace: Workspace::with(BATCHSTEP, &requests) }
    }

    fn run(&self, attempt: u32) -> Command {
        let mut command = self.command(&["run", "requests.jsonl"]);
        if self.memory == Memory::List {
            self.workspace.on_github(&mut command);
            command.env("GITHUB_REPOSITORY", "octo/repo").env("GITHUB_ACTION", "batch");
            command.env("GITHUB_RUN_ATTEMPT", attempt.to_string());
        }
        command
    }

    /// How long a run takes that nobody kills.
    async fn span(&self) -> Duration {
        let began = Instant::now();
        end_within(LOOKING, self.run(1).spawn().unwrap()).await.expect(0);
        began.elapsed()
    }

    /// Kills a run after so long and runs it again; none if it was over by then.
    async fn hold(&self, moment: Duration) -> Option<Told> {
        let mut child =
            self.run(1).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let over = timeout(moment, child.wait()).await.is_ok();
        child.kill().await.unwrap();
        let mut hit = self.last_step();
        if hit == "collect" && self.workspace.path().join("batch-results/results.jsonl").exists() {
            "report".clone_into(&mut hit);
        }
        if over || hit == "closed" {
            self.assert_whole("the killed run was over").await;
            assert_eq!(self.twice().await, 0);
            return None;
        }
        if self.memory == Memory::List {
            drop(std::fs::remove_dir_all(self.workspace.path().join("batch-results")));
        }
        let (ran, case) = (self.again().await, format!("killed in {hit} after {moment:?}"));
        let unknown = self.memory == Memory::Journal && hit == "create" && ran.status.code() == Some(4);
        if unknown {
            self.take_the_way_out(&ran).await;
        } else {
            ran.expect(0);
        }
        self.assert_whole(&case).await;
        Some(Told { hit, unknown, twice: self.twice().await })
    }

    async fn again(&self) -> Finished {
        end_within(LOOKING, self.run(2).spawn().unwrap()).await
    }

    /// What the killed run had written down last: that it was about to do, or had done.
    fn last_step(&self) -> String {
        let journal = std::fs::read_to_string(self.workspace.path().join("batch-results/journal.jsonl"));
        let steps = journal.unwrap_or_default();
        let step =
            |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["step"].as_str()?.to_owned());
        steps.lines().filter_map(step).next_back().unwrap_or_else(|| "check".to_owned())
    }

    /// Nobody can know: nothing is created, and somebody who looked says how it goes on.
    async fn take_the_way_out(&self, ran: &Finished) {
        assert!(ran.stderr.contains("remove batch-results/journal.jsonl and run again"), "{}", ran.stderr);
        let creates = self.served.tally().await.creates;
        assert_eq!(self.again().await.status.code(), Some(4), "it stays unknown");
        assert_eq!(self.served.tally().await.creates, creates, "nothing is created");
        if let Some(batch) = self.served.tally().await.batches.first() {
            finish(&mut self.collect(&batch.id, "batch-results")).await.expect(0);
        } else {
            std::fs::remove_file(self.workspace.path().join("batch-results/journal.jsonl")).unwrap();
            self.again().await.expect(0);
        }
    }

    fn collect(&self, id: &str, output_dir: &str) -> Command {
        let mut command = self.command(&["collect", id, "--output-dir", output_dir]);
        if self.memory.dialect() == Dialect::Anthropic {
            // Nobody else knows the order of the requests.
            command.args(["--requests", "requests.jsonl"]);
        }
        command
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = BATCHSTEP.in_dir(self.workspace.path());
        command.args(words).args(self.memory.provider());
        command.args(["--base-url", &self.served.base_url, "--poll-interval", "200ms"]);
        command
    }

    /// The results are whole, in order, and what anybody else gets of the one batch.
    async fn assert_whole(&self, case: &str) {
        let case = format!("{:?}, {case}", self.memory);
        let results = self.workspace.read("batch-results/results.jsonl");
        let id =
            |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["custom_id"].as_str().unwrap().to_owned();
        let ids: Vec<String> = results.lines().map(id).collect();
        assert!(ids == (0..ROWS).map(|i| format!("r{i}")).collect::<Vec<_>>(), "{case}: {ids:?}");
        let batch = self.workspace.report()["batches"][0]["id"].as_str().unwrap().to_owned();
        finish(&mut self.collect(&batch, "elsewhere")).await.expect(0);
        assert!(self.workspace.read("elsewhere/results.jsonl") == results, "{case}: the results differ");
    }

    async fn twice(&self) -> usize {
        let tally: Tally = self.served.tally().await;
        let over = |batch: &&batchstep_sandbox::TallyBatch| ["completed", "cancelled"].contains(&&*batch.status);
        assert_eq!(tally.batches.iter().filter(over).count(), tally.batches.len(), "{tally:?}");
        tally.batches.iter().filter(|batch| batch.status == "completed").count() - 1
    }
}

/// Kills so many runs, in turn under each trouble, and tells where they were.
async fn kill(memory: Memory) -> String {
    let troubles = memory.troubles();
    let span = async |trouble: &&str| Trial::new(memory, trouble).await.span().await;
    let spans: Vec<Duration> = futures_util::stream::iter(troubles.iter().map(span)).buffered(ABREAST).collect().await;
    // The moments under one trouble are spread over its run, and lie by chance within their part of it.
    let (mut random, kills) = (fastrand::Rng::with_seed(4), rounds(20));
    let parts = kills.div_ceil(troubles.len()) as f64;
    let moment = |round: usize| (round % troubles.len(), ((round / troubles.len()) as f64 + random.f64()) / parts);
    let moments: Vec<(usize, f64)> = (0..kills).map(moment).collect();
    let trials = futures_util::stream::iter(moments).map(async |(trouble, part)| {
        let mut moment = spans[trouble].mul_f64(part);
        loop {
            if let Some(told) = Trial::new(memory, troubles[trouble]).await.hold(moment).await {
                return told;
            }
            // A busy machine made the run that was measured last longer than this one.
            moment = moment.mul_f64(0.8);
        }
    });
    let told: Vec<Told> = trials.buffer_unordered(ABREAST).collect().await;
    let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
    for told in &told {
        *hits.entry(&told.hit).or_default() += 1;
    }
    let (unknown, twice): (usize, usize) =
        told.iter().fold((0, 0), |(unknown, twice), told| (unknown + usize::from(told.unknown), twice + told.twice));
    assert_eq!(twice, 0);
    let kills = told.len();
    format!("kill matrix, {memory:?}: {kills} kills, last written {hits:?}, {unknown} unknown, {twice} paid twice")
}

#[tokio::test]
async fn with_journal_and_list() {
    println!("{}", kill(Memory::JournalAndList).await);
}

#[tokio::test]
async fn with_the_list_alone() {
    println!("{}", kill(Memory::List).await);
}

#[tokio::test]
async fn with_the_journal_alone() {
    println!("{}", kill(Memory::Journal).await);
}

#[tokio::test]
async fn with_the_journal_at_anthropic() {
    println!("{}", kill(Memory::JournalAtAnthropic).await);
}
