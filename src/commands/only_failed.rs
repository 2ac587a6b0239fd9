//! `run --only-failed`: which requests of an earlier run are sent again, and which of its answers are kept.
//!
//! The earlier run is known by its report and the results beside it. They are kept in `output-dir/continued`
//! until the results of this run hold their answers: a run that is killed, or that leaves its batch running, is
//! continued from the same results, so that the same requests make the same batch. Requests are matched by
//! `custom_id`, and every one of them must have its line in the results: one without may be under way
//! somewhere, and would be paid for twice.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finished::Finished;
use super::gather::{Gatherer, Order};
use super::result_file::ResultFile;
use crate::api::Api;
use crate::error::{Error, Outcome};
use crate::guard::Stop;
use crate::life;
use crate::own_files::{self, is_same};
use crate::report::{Asked, Continued, Report};
use crate::requests::source::Source;
use crate::results::sinks::{self, KEPT_JSONL, Output, RESULTS_JSONL};
use crate::results::{self, AnswersFile, Policy, Requests, Results};
use crate::session::{Directory, REPORT};
use crate::text::{counted, requests_count};
use crate::values::OnlyFailed;

/// The directory in `output-dir` that keeps the run that is continued.
const CONTINUED: &str = "continued";
/// The name of the pair that distinguishes the keys of batches that continue a run from those of the run itself.
const ROUND: &str = "only-failed";

/// The run that this one continues.
pub(super) struct Earlier {
    /// Its report and its results, where they are kept.
    run: Finished,
    /// Where its report is for the user.
    named: PathBuf,
}

/// What is sent again, and what is kept.
pub(super) struct Selected {
    /// The requests to send again, by index and in order.
    pub(super) rows: Vec<u32>,
    /// The lines of the others.
    pub(super) kept: AnswersFile,
    /// What the report says of it.
    pub(super) continued: Continued,
}

/// Finds the run to continue and keeps what is needed of it, and sets aside what an earlier run left in the directory.
///
/// # Errors
/// Ends in exit 2 if there is no such run, or if it cannot be continued; then all stays where it is.
pub(super) fn take(wanted: &OnlyFailed, dir: &Directory<'_>, api: &Api) -> Result<Option<Earlier>, Error> {
    let held = dir.path.join(CONTINUED);
    let failed = |error| Error::usage(format!("`{}` cannot be replaced.", held.display())).because(error);
    let in_doubt = life::in_doubt(&dir.earlier, &api.origin());
    let run = match wanted {
        OnlyFailed::No => {
            own_files::remove_dir(&held).map_err(failed)?;
            return dir.set_aside().map(|_| None);
        }
        OnlyFailed::Of(path) if !is_same(path, &dir.path) && !is_same(path, &dir.path.join(REPORT)) => {
            settled(read(path)?)?
        }
        OnlyFailed::Last | OnlyFailed::Of(_) => last(&dir.path, &held, &in_doubt)?,
    };
    is_of(&run, api)?;
    if !is_same(run.dir(), &held) {
        nothing_in_doubt(&run, &in_doubt)?;
        let (results, _) = run.results()?;
        own_files::make_dir_of(&[(&results.path, RESULTS_JSONL), (&run.path, REPORT)], &held).map_err(failed)?;
    }
    let is_own = is_same(run.dir(), &dir.path);
    let place = dir.set_aside()?.filter(|_| is_own);
    let named = place.map_or(run.path, |place| place.join(REPORT));
    Ok(Some(Earlier { run: Finished { path: held.join(REPORT), report: run.report }, named }))
}

/// The run that left this report.
fn read(path: &Path) -> Result<Finished, Error> {
    let needs = "`only-failed` needs the `report.json` of an earlier run with its `results.jsonl` beside it. \
                 `--only-failed=PATH` names one elsewhere.";
    Finished::read(path).map_err(|error| error.hint(needs))
}

/// The last run in a directory that left results. If that was a continuation that is not over, which a create in doubt
/// shows, too, it is the run that it continued; and what `collect` fetched of one is not all of it.
fn last(dir: &Path, held: &Path, in_doubt: &[String]) -> Result<Finished, Error> {
    let own = read(&dir.join(REPORT)).and_then(settled);
    if !held.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return own;
    }
    match own {
        Ok(run) if run.report.continued.is_some() && in_doubt.is_empty() => Ok(run),
        _ => settled(read(&held.join(REPORT))?),
    }
}

/// The run, if all that it sent is over and its results say how each request fared.
fn settled(run: Finished) -> Result<Finished, Error> {
    let refused = |why: &str| Error::usage(format!("`only-failed` cannot continue `{}`: {why}.", run.path.display()));
    if is_open(&run.report) {
        let running: Vec<&str> = running(&run.report).collect();
        let why = match &running[..] {
            [] => format!("it ended as `{}`, so that answers may be at the provider", run.report.outcome.word()),
            running => format!("it left {} running", running.join(", ")),
        };
        return Err(refused(&why).hint(
            "What is there is paid for. Run again without `only-failed`, or use `batchstep collect`, to fetch it first.",
        ));
    }
    let why = match (&run.report.files.results, run.results()) {
        (None, _) => "it left no results",
        (_, Err(_)) => "there is no `results.jsonl` beside it",
        _ => return Ok(run),
    };
    Err(refused(why).hint(
        "`--only-failed=PATH` names the report of a run that left results. Those of earlier runs are in \
         `<output-dir>.earlier`.",
    ))
}

/// Whether a run left batches or answers at the provider.
fn is_open(report: &Report) -> bool {
    let may_be = [Outcome::Pending, Outcome::Detached, Outcome::Unknown, Outcome::Uncollected];
    may_be.contains(&report.outcome) || running(report).next().is_some()
}

fn running(report: &Report) -> impl Iterator<Item = &str> {
    report.batches.iter().filter(|batch| !batch.status.is_terminal()).map(|batch| &*batch.id)
}

/// Whether the journal knows of no create in this directory that may have made a batch. One of the continuation's
/// own is settled when it is sent again.
fn nothing_in_doubt(run: &Finished, in_doubt: &[String]) -> Result<(), Error> {
    let Some(create) = in_doubt.first() else { return Ok(()) };
    let path = run.path.display();
    let message =
        format!("`only-failed` cannot continue `{path}`: a batch may exist that nobody knows, of create {create}.");
    Err(Error::usage(message).hint("Run again without `only-failed`: that looks for it, and pays for nothing twice."))
}

/// Whether the run was made at this provider: only then are its answers read and compared in the same way.
fn is_of(run: &Finished, api: &Api) -> Result<(), Error> {
    let (theirs, ours) = (&run.report.provider, api.vendor().name);
    if theirs == ours {
        return Ok(());
    }
    let path = run.path.display();
    let message = format!("`only-failed` cannot continue `{path}`: it is a run at the provider `{theirs}`.");
    Err(Error::usage(message).hint(format!("This run is at `{ours}`. Use the same provider for both.")))
}

impl Earlier {
    /// A warning if these requests differ from those of the continued run, whose answers are kept anyway.
    ///
    /// # Errors
    /// Ends in exit 2 if they go to another endpoint.
    pub(super) fn compare(&self, asked: &Asked, whole: &str, api: &Api) -> Result<Option<String>, Error> {
        let Report { requests: theirs, continued, origin, .. } = &self.run.report;
        if let (Some(before), Some(now)) = (&theirs.endpoint, &asked.endpoint)
            && before != now
        {
            let message = format!(
                "`only-failed` cannot continue `{}`: its requests went to `{before}`, and these go to `{now}`.",
                self.named.display()
            );
            return Err(Error::usage(message).hint("Run these requests without `only-failed`."));
        }
        if *origin != api.origin() && !api.vendor().is_simulated() {
            return Ok(Some(format!(
                "The run that is continued was at {origin}, and this one is at {}.",
                api.origin()
            )));
        }
        let before = continued.as_ref().map_or(theirs.key.as_ref(), |earlier| Some(&earlier.key));
        let is_same = before.is_none_or(|before| before == whole);
        Ok((!is_same).then(|| {
            "The requests, or inputs that change their answers, are not those of the run that is continued. Answers are \
             kept by their `custom_id`, whatever the request says now."
                .to_owned()
        }))
    }

    /// Whether its answers are the sandbox's.
    pub(super) fn is_simulated(&self) -> bool {
        self.run.report.simulated
    }

    /// What sets the batches of this run apart from those of the runs that it continues, for their keys.
    pub(super) fn extra(&self) -> (String, String) {
        (ROUND.to_owned(), self.round().to_string())
    }

    /// Which continuation this run is, counting from 1.
    fn round(&self) -> u32 {
        self.run.report.continued.as_ref().map_or(0, |earlier| earlier.round).saturating_add(1)
    }

    /// Reads the results, and writes the lines that are kept to a file among the downloads.
    ///
    /// # Errors
    /// Ends in exit 2 if the results are not those of the requests, in exit 1 if a file cannot be read or written.
    pub(super) async fn select(
        &self,
        gatherer: &Gatherer<'_>,
        order: &Arc<Order>,
        whole: String,
    ) -> Result<Selected, Stop> {
        let (of, _) = self.run.results()?;
        let dir = gatherer.make_dir()?;
        let kept = AnswersFile { path: dir.join(KEPT_JSONL), what: "kept", ..of.clone() };
        let (order, traces) = (Arc::clone(order), gatherer.api.traces());
        let reader = gatherer.api.vendor().dialect.answers();
        let (retry_on, expected) = (gatherer.retry_on.clone(), Arc::clone(&gatherer.expected));
        let selecting = tokio::task::spawn_blocking(move || {
            let Order::Requests { source, ids, total, is_structured } = order.as_ref() else {
                return Err(Error::internal("The requests are not at hand."));
            };
            let holds = |line: &[u8]| traces.are_in(line);
            let open =
                |name| -> Result<Box<dyn Output>, Error> { Ok(Box::new(ResultFile::create(&dir, name, &holds)?)) };
            // Schemas take time, and matter only where what does not fit is sent again.
            let expected = Some(&*expected).filter(|_| retry_on.covers_schema());
            let policy = Policy { expected, ..Policy::usual(reader, &retry_on) };
            let requests = Requests { source, ids, total: *total, is_structured: *is_structured };
            let selected = results::reconcile(requests, &[of], &policy, sinks::selection(open)?)?;
            are_of(&selected, source)?;
            Ok(selected)
        });
        let selected = gatherer.guard.unless_signalled(selecting).await?;
        let selected = selected.map_err(|error| Error::internal("Reading the results stopped.").because(error))?;
        let Results { retryable: rows, counts, .. } = selected.map_err(|error: Error| error.hint(self.hint()))?;
        let continued = Continued {
            report: self.named.display().to_string(),
            round: self.round(),
            key: whole,
            sent: rows.len() as u64,
            kept: counts.succeeded + counts.failed,
            kept_failed: counts.failed,
        };
        Ok(Selected { rows, kept, continued })
    }

    /// Removes what was kept of it. Call it once the run that continued it leaves nothing to resume.
    pub(super) fn release(&self) -> io::Result<()> {
        own_files::remove_dir(self.run.dir())
    }

    fn hint(&self) -> String {
        let named = self.named.display();
        format!("`only-failed` continues `{named}`: name the requests of that run, or the report of theirs.")
    }
}

/// Whether results are those of the requests: each has a line, and no line is another's.
fn are_of(selected: &Results, source: &Source) -> Result<(), Error> {
    let absent = selected.missing.len() as u64;
    if absent > 0 {
        let have = if absent == 1 { "has" } else { "have" };
        let message = format!("{} of `{}` {have} no line in the results.", requests_count(absent), source.name());
        return Err(Error::usage(message));
    }
    let strays = selected.counts.unexpected;
    if strays > 0 {
        let lines = counted(strays, "line", "lines");
        let is = if strays == 1 { "is" } else { "are" };
        return Err(Error::usage(format!(
            "{lines} of the results {is} of no request of `{}`, or of one that has a line already.",
            source.name()
        )));
    }
    Ok(())
}
