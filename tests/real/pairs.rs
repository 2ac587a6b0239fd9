//! Two signals where one is meant: `timeout` signals a process and its group, a
//! closing terminal its session and its shell's jobs, an impatient person twice.
//!
//! However far apart they are and however slow the vendor is, the run leaves its
//! report and its ids, and cancels its batch where that was asked for.

use std::time::Duration;

use batchstep_test_support::bench::{Finished, Served, Workspace, calls, end_of};
use batchstep_test_support::rounds;
use futures_util::StreamExt as _;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::BATCHSTEP;
use crate::signals::signal;

/// How many runs are tried beside each other: they mostly wait.
const ABREAST: usize = 8;
const PARTINGS: [&str; 2] = ["cancel", "detach"];
const LATENCIES: [&str; 2] = ["", "any delay=300ms"];

/// A run that is to be interrupted.
struct Trial {
    served: Served,
    workspace: Workspace,
    on_abort: &'static str,
}

impl Trial {
    async fn new(latency: &str, on_abort: &'static str) -> Self {
        let served = BATCHSTEP.serve(&["--takes", "60s", "--fault", latency]).await;
        Self { served, workspace: Workspace::new(BATCHSTEP), on_abort }
    }

    /// The run on GitHub, which takes the ids as outputs; started by these words, if there are any.
    fn command(&self, before: &[&str]) -> Command {
        let mut command = self.workspace.run_by(before, &self.served.base_url);
        command.args(["--on-abort", self.on_abort]);
        command
    }

    fn on_github(&self, mut command: Command) -> Command {
        self.workspace.on_github(&mut command);
        command
    }

    /// Whatever came of the run: the report, the ids, and the cancel where it was asked for.
    async fn assert_tidy(&self, case: &str, finished: &Finished) {
        let (tally, report) = (self.served.tally().await, self.workspace.report());
        let case = format!("{case}, {}: {tally:?}\n{report}\n{}", self.on_abort, finished.stderr);
        let ids: Vec<&str> = tally.batches.iter().map(|batch| batch.id.as_str()).collect();
        let told = report["batches"].as_array().unwrap().iter().map(|batch| batch["id"].as_str().unwrap());
        assert_eq!(told.collect::<Vec<_>>(), ids, "{case}");
        let is_detached = self.on_abort == "detach" && !ids.is_empty();
        assert_eq!(report["outcome"], if is_detached { "detached" } else { "cancelled" }, "{case}");
        let is_ended = |status: &str| ["cancelling", "cancelled"].contains(&status);
        assert!(tally.batches.iter().all(|batch| is_ended(&batch.status) != is_detached), "{case}");
        if self.workspace.path().join("GITHUB_OUTPUT").exists() {
            let outputs = self.workspace.read("GITHUB_OUTPUT");
            let holds = |value: &str| outputs.lines().any(|line| line == value);
            assert!(ids.iter().all(|id| holds(id)) && holds(report["outcome"].as_str().unwrap()), "{outputs}\n{case}");
        }
    }
}

async fn all(how: &str, trials: impl Iterator<Item = impl Future<Output = ()>>) -> String {
    let held: Vec<()> = futures_util::stream::iter(trials).buffer_unordered(ABREAST).collect().await;
    format!("pairs of signals, {how}: {} times the report, the ids, and the cancel where it was asked for", held.len())
}

#[tokio::test]
async fn pairs_up_to_a_second_and_a_half_apart() {
    let (mut random, count) = (fastrand::Rng::with_seed(12), rounds(24));
    let trial = |round: usize| {
        // The gaps are spread, the short ones closer together: in those a slow vendor's reply is on its way.
        let gap = Duration::from_millis((1_500 * round * round / (count - 1) / (count - 1)) as u64);
        let moment = Duration::from_millis(random.u64(..1_000));
        let (latency, on_abort) = (LATENCIES[round % 2], PARTINGS[round / 2 % 2]);
        async move {
            let trial = Trial::new(latency, on_abort).await;
            let child = trial.on_github(trial.command(&[])).spawn().unwrap();
            trial.served.until("the first call", |tally| calls(tally, "list") > 0).await;
            sleep(moment).await;
            twice(&child, ["TERM", "INT"], gap).await;
            let finished = end_of(child).await;
            // Which of two signals that are there at once was the first, nobody can tell.
            let codes = if gap < Duration::from_secs(1) { &[128 + 15, 128 + 2][..] } else { &[128 + 15] };
            let code = finished.status.code().unwrap_or_default();
            assert!(codes.contains(&code) && trial.workspace.report()["exit_code"] == code, "{code}, {gap:?} apart");
            trial.assert_tidy(&format!("{gap:?} apart, {moment:?} after the first call, {latency}"), &finished).await;
        }
    };
    println!("{}", all("by hand", (0..count).map(trial)).await);
}

/// Two signals; by the second the process may have ended and be nobody's any more.
async fn twice(child: &Child, [first, second]: [&str; 2], gap: Duration) {
    let pid = child.id().expect("the child runs and was not waited for");
    signal(child, first).await;
    sleep(gap).await;
    // Until it is waited for, the number stays its own.
    drop(Command::new("kill").args([&format!("-{second}"), &pid.to_string()]).output().await.unwrap());
}

/// `timeout` of the coreutils: it signals its child, and then the group that both are in.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn through_timeout() {
    let foregrounds: [&[&str]; 2] = [&[], &["--foreground"]];
    let trial = |round: usize| async move {
        let (foreground, latency) = (foregrounds[round % 2], LATENCIES[round / 2 % 2]);
        let trial = Trial::new(latency, PARTINGS[round / 4 % 2]).await;
        let words = [&["timeout"], foreground, &["3"]].concat();
        let finished = end_of(trial.on_github(trial.command(&words)).spawn().unwrap()).await.expect(124);
        trial.assert_tidy(&format!("{words:?} {latency}"), &finished).await;
        assert_eq!(trial.workspace.report()["exit_code"], 143, "{}", finished.stderr);
        assert_eq!(trial.served.tally().await.creates, 1, "{}", finished.stderr);
    };
    println!("{}", all("through timeout", (0..rounds(8)).map(trial)).await);
}

/// A terminal that is closed: the kernel hangs up, a shell passes that on, and whatever is printed fails.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn through_a_terminal_that_closes() {
    let (mut random, count) = (fastrand::Rng::with_seed(13), rounds(8));
    let trial = |round: usize| {
        // Half of them while a slow vendor's reply to the cancel is on its way.
        let gap = Duration::from_millis(random.u64(..=if round % 4 < 2 { 250 } else { 1_500 }));
        let (latency, on_abort) = (LATENCIES[round % 2], PARTINGS[round / 4 % 2]);
        async move {
            let trial = Trial::new(latency, on_abort).await;
            let (terminal, mut inside) = pty();
            // `setsid` makes it the terminal of a session, which our child leads.
            let mut command = trial.command(&["setsid", "--ctty"]);
            command.env("TERM", "xterm");
            let child = command.stdin(inside()).stdout(inside()).stderr(inside()).spawn().unwrap();
            drop((command, inside));
            trial.served.until("a poll", |tally| calls(tally, "get") > 0).await;
            drop(terminal);
            sleep(gap).await;
            drop(Command::new("kill").args(["-HUP", &child.id().unwrap().to_string()]).output().await.unwrap());
            let finished = end_of(child).await.expect(128 + 1);
            trial.assert_tidy(&format!("{gap:?}, {latency}"), &finished).await;
        }
    };
    println!("{}", all("through a closing terminal", (0..count).map(trial)).await);
}

/// A new pseudo-terminal, and handles for what runs inside.
#[cfg(target_os = "linux")]
fn pty() -> (std::os::fd::OwnedFd, impl FnMut() -> std::process::Stdio) {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let path = std::path::PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let no_terminal_of_ours = OFlags::NOCTTY.bits().cast_signed();
    let options = std::fs::File::options().read(true).write(true).custom_flags(no_terminal_of_ours).clone();
    (terminal, move || options.open(&path).unwrap().into())
}

/// A run whose log nobody reads goes on, and one whose log does not fit on the disk fails.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reader_who_left_stops_nothing_and_a_full_disk_is_reported() {
    let served = BATCHSTEP.serve(&["--takes", "500ms"]).await;
    let workspace = Workspace::new(BATCHSTEP);
    let mut child = workspace.run(&served.base_url).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    end_of(child).await.expect(0);
    assert_eq!(workspace.report()["outcome"], "succeeded");
    // A terminal that is not its own: it goes without a signal, and all that is printed fails.
    let (terminal, mut inside) = pty();
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = workspace.run(&served.base_url);
    let child = command.env("TERM", "xterm").stdout(inside()).stderr(inside()).spawn().unwrap();
    drop((terminal, command));
    end_of(child).await.expect(0);
    assert_eq!(workspace.report()["outcome"], "succeeded");
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let workspace = Workspace::new(BATCHSTEP);
    end_of(workspace.run(&served.base_url).stderr(full()).spawn().unwrap()).await.expect(1);
    assert_eq!(workspace.report()["counts"]["succeeded"], 5);
}
