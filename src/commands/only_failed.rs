//! `run --only-failed`: which requests of an earlier run are sent again, and which of its answers are kept.
//!
//! The earlier run is known by its report and the results beside it. Both are set aside like those of any
//! earlier run before this one begins, and the journal says where they are: a run that is killed, or that
//! leaves its batch running, is continued from the same results, so that the same requests make the same
//! batch. Requests are matched by `custom_id`, and every one of them must have its line in the results:
//! one without may be under way somewhere, and would be paid for twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finished::{Finished, REPORT};
use super::gather::{Gatherer, Order};
use super::result_file::ResultFile;
use crate::api::Api;
use crate::error::{Error, Outcome};
use crate::guard::Stop;
use crate::journal::{Line, Record};
use crate::report::Continued;
use crate::requests::source::Source;
use crate::results::sinks::{self, KEPT_JSONL, Output};
use crate::results::{self, AnswersFile, Policy, Requests, Results};
use crate::session::Directory;
use crate::text::{counted, requests_count};
use crate::values::OnlyFailed;

/// The name of the pair that distinguishes the keys of batches that continue a run from those of the run itself.
const ROUND: &str = "only-failed";

/// The run that this one continues.
pub(super) struct Earlier {
    run: Finished,
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

/// Finds the run to continue, and sets aside what an earlier run left in the directory.
///
/// # Errors
/// Ends in exit 2 if there is no such run, or if it cannot be continued; then all stays where it is.
pub(super) fn take(wanted: &OnlyFailed, dir: &Directory<'_>, api: &Api) -> Result<Option<Earlier>, Error> {
    let own = dir.path.join(REPORT);
    let mut run = match wanted {
        OnlyFailed::No => return dir.set_aside().map(|_| None),
        OnlyFailed::Of(path) if !is_same(path, &own) => settled(read(path)?)?,
        OnlyFailed::Last | OnlyFailed::Of(_) => last(&own, &dir.earlier)?,
    };
    is_of(&run, api)?;
    if let Some(place) = dir.set_aside()?
        && run.path == own
    {
        run.path = place.join(REPORT);
    }
    dir.journal.note(Record::Continue { report: run.path.to_string_lossy().into_owned() })?;
    Ok(Some(Earlier { run }))
}

/// Whether a path names the report of the output directory, or that directory.
fn is_same(path: &Path, own: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let named = real(path);
    named.is_some() && (named == real(own) || named == own.parent().and_then(real)) || path == own
}

/// The run that left this report.
fn read(path: &Path) -> Result<Finished, Error> {
    let needs = "`only-failed` needs the `report.json` of an earlier run with its `results.jsonl` beside it. \
                 `--only-failed=PATH` names one elsewhere.";
    Finished::read(path).map_err(|error| error.hint(needs))
}

/// The last run in a directory that left results; if the last one left none and was itself such a
/// continuation, the run that it continued.
fn last(own: &Path, journal: &[Line]) -> Result<Finished, Error> {
    match (read(own).and_then(settled), continued(journal)) {
        (Ok(run), _) => Ok(run),
        (Err(_), Some(path)) => settled(read(&path)?),
        (Err(error), None) => Err(error),
    }
}

/// The report that the last run of a journal continued; none if it sent all requests.
fn continued(journal: &[Line]) -> Option<PathBuf> {
    let (mut next, mut last) = (None, None);
    for Line { record, .. } in journal {
        match record {
            Record::Continue { report } => {
                next = Some(PathBuf::from(report));
                last.clone_from(&next);
            }
            Record::Run { .. } => last = next.take(),
            _ => {}
        }
    }
    last
}

/// The run, if all that it sent is over and its results say how each request fared.
fn settled(run: Finished) -> Result<Finished, Error> {
    let refused = |why: String| Error::usage(format!("`only-failed` cannot continue `{}`: {why}.", run.path.display()));
    let running: Vec<&str> =
        run.report.batches.iter().filter(|it| !it.status.is_terminal()).map(|it| &*it.id).collect();
    let is_open =
        matches!(run.report.outcome, Outcome::Pending | Outcome::Detached | Outcome::Unknown | Outcome::Uncollected);
    if !running.is_empty() || is_open {
        let why = match &running[..] {
            [] => format!("it ended as `{}`, so that answers may be at the provider", run.report.outcome.word()),
            running => format!("it left {} running", running.join(", ")),
        };
        return Err(refused(why).hint(
            "What is there is paid for. Run again without `only-failed`, or use `batchstep collect`, to fetch it first.",
        ));
    }
    let results = run.results().map(drop);
    results.map_err(|_| {
        refused("there is no `results.jsonl` beside it".to_owned())
            .hint("Name the report of a run that left results, as in `--only-failed=batch-results/report.json`.")
    })?;
    Ok(run)
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
    /// Whether its answers are the sandbox's.
    pub(super) fn is_simulated(&self) -> bool {
        self.run.report.simulated
    }

    /// What sets the batches of this run apart from those of the runs that it continues, for their keys.
    pub(super) fn extra(&self) -> (String, String) {
        (ROUND.to_owned(), self.round().to_string())
    }

    /// The how manieth continuation this run is, from 1.
    fn round(&self) -> u32 {
        self.run.report.continued.as_ref().map_or(0, |earlier| earlier.round).saturating_add(1)
    }

    /// Reads the results, and writes the lines that are kept to a file among the downloads.
    ///
    /// # Errors
    /// Ends in exit 2 if the results are not those of the requests, in exit 1 if a file cannot be read or written.
    pub(super) async fn select(&self, gatherer: &Gatherer<'_>, order: &Arc<Order>) -> Result<Selected, Stop> {
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
            report: self.run.path.display().to_string(),
            round: self.round(),
            sent: rows.len() as u64,
            kept: counts.succeeded + counts.failed,
            kept_failed: counts.failed,
        };
        Ok(Selected { rows, kept, continued })
    }

    fn hint(&self) -> String {
        format!(
            "`only-failed` continues `{}`: name the requests of that run, or the report of theirs.",
            self.run.path.display()
        )
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
        return Err(Error::usage(format!("{lines} of the results {is} of no request of `{}`.", source.name())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Line, Record, continued};

    #[test]
    fn the_journal_tells_what_the_last_run_continued() {
        let run = || Record::Run { version: "1".into(), origin: "o".into(), key: "k".into(), total: 1 };
        let after = |name: &str| Record::Continue { report: name.into() };
        let of = |records: &[Record]| {
            let lines: Vec<Line> = records.iter().map(|record| Line { at: 7, record: record.clone() }).collect();
            continued(&lines)
        };
        assert_eq!(of(&[run()]), None);
        assert_eq!(of(&[run(), after("a")]), Some(PathBuf::from("a")), "killed while it checked the requests");
        assert_eq!(of(&[run(), after("a"), run()]), Some(PathBuf::from("a")));
        assert_eq!(of(&[run(), after("a"), run(), after("b"), run()]), Some(PathBuf::from("b")));
        assert_eq!(of(&[run(), after("a"), run(), run()]), None, "then all requests were sent");
    }
}
