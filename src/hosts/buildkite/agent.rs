//! A run shown through the program of Buildkite's agent: outputs as the build's meta-data, the summary as an annotation.
//!
//! Nothing here changes a verdict: trouble is a warning and time is short. The program gets its texts on standard input
//! and no secret but the agent's own. Sources: <https://buildkite.com/docs/agent/cli/reference/annotate>,
//! <https://buildkite.com/docs/agent/cli/reference/meta-data>.

use std::io::ErrorKind;
use std::process::Stdio;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::child::{Group, ended};
use crate::emitter::Events;
use crate::env::Env;
use crate::error::{Error, Outcome};
use crate::events::Event;
use crate::formats::{markdown_failure, markdown_within, without_alerts};
use crate::hosts::{HostMark, PublishOptions, Publisher, Reach, Standing, check_name, check_names, digest_of, in_time};
use crate::outputs;
use crate::policy::{AGENT, AGENT_CALL};
use crate::report::Report;
use crate::shutdown::Shutdown;
use crate::text::flat;
use crate::values::SummaryInput;

/// The agent's program, which is on PATH in every job.
const PROGRAM: &str = "buildkite-agent";
/// What the names of the variables begin with by which it knows the agent.
const OWN: &str = "BUILDKITE_AGENT_";
/// Buildkite takes 1 MiB, and quotations in place of alerts are a little longer. In bytes.
const LONGEST: usize = 1_000_000;
/// So many of its processes run at a time.
const AT_ONCE: usize = 4;
/// How many bytes of its standard error are read, and how many characters shown.
const READ: u64 = 16 * 1024;
const SHOWN: usize = 200;

/// Shows a run in its build.
pub(super) struct Agent {
    unset: Vec<String>,
    /// The agent's own secrets, which its program gets and might print.
    secrets: Vec<String>,
    shutdown: Shutdown,
    options: PublishOptions,
    summary: SummaryInput,
    /// What the annotation is found again by.
    context: String,
}

/// Why a call did not work.
enum Failure {
    /// There is no such program.
    Missing,
    /// A clause about "it".
    Ended(String),
}

impl Agent {
    pub(super) fn new(
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
        summary: SummaryInput,
        workspace: Option<&str>,
    ) -> Self {
        let (own, unset): (Vec<&str>, Vec<&str>) =
            env.private(|_| false).into_iter().partition(|name| name.starts_with(OWN));
        let secrets = own.into_iter().filter_map(|name| env.get(name));
        let name = check_name(&check_names(&options.requests, workspace));
        Self {
            unset: unset.into_iter().map(str::to_owned).collect(),
            secrets: secrets.map(str::to_owned).collect(),
            shutdown: reach.shutdown.clone(),
            options,
            summary,
            context: format!("batchstep-{}", digest_of(&name)),
        }
    }

    async fn show(&self, report: &Report, events: &Events<'_>) {
        if !self.options.is_empty() {
            let notice =
                "`comment` and `check-run` do nothing on Buildkite: an annotation of the build has the summary.";
            events.emit(Event::Noticed(notice.to_owned()));
        }
        // Both are tried, whatever becomes of the other.
        let outputs = outputs::of(report);
        let both = async { tokio::join!(self.annotate_report(report), self.set_all(&outputs)) };
        let Some((annotated, set)) = in_time(&self.shutdown, AGENT, both).await else {
            let late = "The build does not show all of how this run ended: `buildkite-agent` did not end in time.";
            return events.emit(Event::Warned(late.to_owned()));
        };
        if matches!((&annotated, &set), (Err(Failure::Missing), _) | (_, Err(Failure::Missing))) {
            let notice = "`buildkite-agent` is not on PATH: the build gets no meta-data and no annotation.";
            return events.emit(Event::Noticed(notice.to_owned()));
        }
        for (what, done) in [("annotate", annotated), ("meta-data", set)] {
            if let Err(Failure::Ended(why)) = done {
                events.emit(Event::Warned(format!("`buildkite-agent {what}` failed: {why}.")));
            }
        }
    }

    async fn show_failure(&self, error: &Error) {
        let outcome = Outcome::of_error(error.exit);
        let text = markdown_failure(outcome, &error.sentence(), &error.hints);
        let outputs = [("outcome", outcome.word().to_owned())];
        let both = async { tokio::join!(self.annotate("error", &text), self.set_all(&outputs)) };
        drop(in_time(&self.shutdown, AGENT, both).await);
    }

    async fn annotate_report(&self, report: &Report) -> Result<(), Failure> {
        // A skipped run has nothing to say that the log does not.
        if report.outcome == Outcome::Skipped {
            return Ok(());
        }
        self.annotate(style(report), &markdown_within(report, LONGEST)).await
    }

    async fn annotate(&self, style: &str, markdown: &str) -> Result<(), Failure> {
        if self.summary == SummaryInput::Omit {
            return Ok(());
        }
        self.call(&["annotate", "--style", style, "--context", &self.context], &without_alerts(markdown)).await
    }

    /// Sets the outputs that are not empty, which the agent would refuse. The first trouble ends it.
    async fn set_all(&self, outputs: &[(&str, String)]) -> Result<(), Failure> {
        let known = outputs.iter().filter(|(_, value)| !value.trim().is_empty());
        let set = stream::iter(known.map(|(name, value)| async move {
            self.call(&["meta-data", "set", &format!("batchstep-{name}")], value).await
        }));
        set.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Runs the program. If this is dropped, the program ends.
    async fn call(&self, arguments: &[&str], input: &str) -> Result<(), Failure> {
        let mut child = self.start(arguments).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::Missing,
            _ => Failure::Ended(format!("it could not be started: {error}")),
        })?;
        let group = Group::of(&child);
        let late = |_| Failure::Ended(format!("it did not end within {} seconds", AGENT_CALL.as_secs()));
        let done = tokio::time::timeout(AGENT_CALL, finish(&mut child, input, &self.secrets)).await.map_err(late)?;
        group.leave();
        done.map_err(Failure::Ended)
    }

    fn start(&self, arguments: &[&str]) -> std::io::Result<Child> {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        for name in &self.unset {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        command.kill_on_drop(true).spawn()
    }
}

/// Gives the program its input and waits for its end. What it says is told without the secrets.
async fn finish(child: &mut Child, input: &str, secrets: &[String]) -> Result<(), String> {
    let (Some(mut stdin), Some(mut stderr)) = (child.stdin.take(), child.stderr.take()) else {
        return Err("it has no input".to_owned());
    };
    let write = async {
        // Whether it read all, its exit code says.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let read = async {
        let mut says = Vec::new();
        let _ = (&mut stderr).take(READ).read_to_end(&mut says).await;
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        says
    };
    let ((), says, status) = tokio::join!(write, read, child.wait());
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let says = String::from_utf8_lossy(&says).into_owned();
            let says = flat(&secrets.iter().fold(says, |says, secret| says.replace(secret, "***")), SHOWN);
            Err(if says.is_empty() { ended(status) } else { format!("{} and says: {says}", ended(status)) })
        }
        Err(error) => Err(format!("how it ended is not known: {error}")),
    }
}

/// How an annotation looks.
fn style(report: &Report) -> &'static str {
    match Standing::of(report.outcome, report.exit_code) {
        Standing::Bad => "error",
        Standing::Partial => "warning",
        // There is no verdict yet.
        Standing::Good if matches!(report.outcome, Outcome::Detached | Outcome::Pending) => "info",
        Standing::Good => "success",
    }
}

impl Publisher for Agent {
    fn begin<'a>(&'a self, _: &'a Report, _: &'a Events<'a>) -> LocalBoxFuture<'a, Option<HostMark>> {
        std::future::ready(None).boxed_local()
    }

    fn update<'a>(&'a self, _: &'a Report, batch_ids: &'a [String]) -> LocalBoxFuture<'a, ()> {
        async move {
            let mut ids = vec![("batch-ids", serde_json::json!(batch_ids).to_string())];
            if let [only] = batch_ids {
                ids.push(("batch-id", only.clone()));
            }
            drop(in_time(&self.shutdown, AGENT, self.set_all(&ids)).await);
        }
        .boxed_local()
    }

    fn finish<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, bool> {
        self.show(report, events).map(|()| true).boxed_local()
    }

    fn fail<'a>(&'a self, error: &'a Error) -> LocalBoxFuture<'a, ()> {
        self.show_failure(error).boxed_local()
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, style};
    use crate::error::{Exit, Outcome};
    use crate::formats::samples::{self, failure, set_verdict};
    use crate::formats::{markdown_within, without_alerts};

    #[test]
    fn an_annotation_looks_like_its_end() {
        let ended = |outcome, exit| {
            let mut report = samples::succeeded();
            set_verdict(&mut report, outcome, exit, "It ended.");
            style(&report)
        };
        assert_eq!(ended(Outcome::Succeeded, Exit::Ok), "success");
        assert_eq!(ended(Outcome::Partial, Exit::Ok), "warning");
        assert_eq!(ended(Outcome::Failed, Exit::Usage), "error");
        assert_eq!(ended(Outcome::Pending, Exit::Ok), "info");
    }

    #[test]
    fn an_annotation_stays_below_buildkites_limit() {
        let mut report = samples::partial();
        report.failures = vec![failure(&"é".repeat(3_000), &"𝄞|".repeat(3_000), 1, &["x"; 9]); 50];
        report.warnings = vec!["w".repeat(300_000); 50];
        let text = without_alerts(&markdown_within(&report, LONGEST));
        assert!(text.len() < 1 << 20 && !text.contains("[!"), "{}", text.len());
    }
}
