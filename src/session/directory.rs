//! The directory that a command keeps its results in: locked while it is used,
//! with the journal and the report.

use std::path::{Path, PathBuf};

use super::{Connected, REPORT, set_aside};
use crate::clock::rfc3339;
use crate::error::{Error, Exit, Outcome};
use crate::formats::{self, Format};
use crate::invocation::Invocation;
use crate::journal::{JOURNAL, Journal, Line, Record};
use crate::new_file::NewFile;
use crate::own_files;
use crate::phases::Phases;
use crate::report::Report;
use crate::requests::source::Source;
use crate::results::Case;
use crate::results::sinks;
use crate::verdict::Verdict;

/// A directory that is ours until this is dropped.
pub(crate) struct Directory<'a> {
    connected: &'a Connected<'a>,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// How commands that are printed are typed to reach the same provider and this directory.
    pub(crate) how: Invocation,
    /// What is done in it.
    pub(crate) journal: Journal,
    /// What earlier runs wrote into the journal.
    pub(crate) earlier: Vec<Line>,
    /// How long each phase takes.
    pub(crate) phases: Phases,
    /// What is reported of it.
    pub(crate) report: Report,
    /// Where the requests are written as test cases, if anywhere.
    junit: Option<PathBuf>,
    /// The rows as test cases, once they are known; none if they are too many.
    pub(crate) cases: Option<Vec<Case>>,
    /// What the journal is given once all is published.
    pub(crate) closing: Vec<Record>,
    /// How many warnings there were before, which are another run's.
    warned: usize,
}

/// Whose warnings a report repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warnings {
    /// All of the command's.
    All,
    /// Those from here on: the others are of other runs that the command collects.
    FromHere,
}

impl<'a> Directory<'a> {
    /// Locks the directory, making it if need be, and opens its journal.
    ///
    /// # Errors
    /// A directory that another process uses, or that cannot be written to: exit 2.
    pub(crate) fn take(connected: &'a Connected<'a>, path: &Path, warnings: Warnings) -> Result<Self, Error> {
        let session = connected.session;
        let (journal, earlier) = Journal::open(path, session.world.clock)?;
        let warned = match warnings {
            Warnings::All => 0,
            Warnings::FromHere => session.events.warnings().len(),
        };
        Ok(Self {
            connected,
            path: path.to_owned(),
            how: connected.how.clone().in_dir(path),
            journal,
            earlier,
            phases: Phases::default(),
            report: Report::begin(connected.api.vendor(), connected.api.origin(), session.world.clock),
            junit: None,
            cases: None,
            closing: Vec::new(),
            warned,
        })
    }

    /// Moves away what an earlier run left in it: that may not pass for this one's. Returns where it is now.
    pub(crate) fn set_aside(&self) -> Result<Option<PathBuf>, Error> {
        set_aside::set_aside(&self.path, self.connected.session.world.clock, &self.connected.session.events)
    }

    /// Has the requests written as test cases to this file, if to any.
    ///
    /// # Errors
    /// Ends in exit 2 if the file is one of the run's own.
    pub(crate) fn show_cases(&mut self, at: Option<&PathBuf>) -> Result<(), Error> {
        let own = sinks::FILES.into_iter().chain([REPORT, JOURNAL]).map(|name| self.path.join(name));
        if let Some(path) = at
            && own.into_iter().any(|own| own_files::is_same(path, &own))
        {
            return Err(taken(path, "a run writes itself"));
        }
        self.junit = at.cloned();
        Ok(())
    }

    /// Makes sure that the test cases are not written over the requests.
    ///
    /// # Errors
    /// Ends in exit 2 if they would be; they are then not written.
    pub(crate) fn spare(&mut self, requests: &Source) -> Result<(), Error> {
        let is_of = |path: &mut PathBuf| requests.parts.iter().any(|part| own_files::is_same(path, &part.path));
        self.junit.take_if(is_of).map_or(Ok(()), |path| Err(taken(&path, "holds the requests")))
    }

    /// Completes the report with the verdict and writes `report.json`. Returns the exit code.
    ///
    /// Without the file the host still gets the ids, the counts and what failed
    /// first, but nothing that looks like success.
    pub(crate) async fn conclude(&mut self, verdict: Verdict) -> Exit {
        let verdict = Verdict { hints: self.how.with_needs(verdict.hints), ..verdict };
        let exit = verdict.exit;
        verdict.record(&mut self.report);
        self.report.warnings = self.connected.session.events.warnings().split_off(self.warned);
        self.report.simulated |= self.connected.api.is_simulated();
        self.report.phases = self.phases.finish();
        self.connected.session.link(&mut self.report).await;
        let vendor = self.connected.api.vendor();
        if vendor.base_url.is_some_and(|url| url.starts_with(&self.connected.api.origin())) {
            self.report.batches.iter_mut().for_each(|batch| batch.url = vendor.batch_page(&batch.id));
        }
        self.report.ended_at = rfc3339(self.connected.session.world.clock.unix());
        let exit = self.write_junit(exit);
        write_report(&mut self.report, &self.path, exit)
    }

    /// Writes the requests as test cases, where that is wanted. Returns the exit code.
    fn write_junit(&mut self, exit: Exit) -> Exit {
        let Some(path) = &self.junit else { return exit };
        let xml = formats::junit(&self.report, self.cases.as_deref());
        match NewFile::write(path, xml.as_bytes()) {
            Ok(()) => {
                self.report.files.junit = Some(path.display().to_string());
                exit
            }
            Err(error) => unwritten(&mut self.report, &error, exit),
        }
    }

    /// Writes the journal's closing records. Call it once all is published: until
    /// then a run that is killed has to be resumed.
    pub(crate) fn close(&self) {
        for record in &self.closing {
            if let Err(error) = self.journal.note(record.clone()) {
                let warning = format!("{} The next run collects the same batch again.", error.sentence());
                self.connected.session.warn(warning);
            }
        }
    }
}

fn taken(path: &Path, why: &str) -> Error {
    Error::usage(format!("`junit` is `{}`, a file that {why}.", path.display())).hint("Name another file.")
}

fn write_report(report: &mut Report, dir: &Path, exit: Exit) -> Exit {
    let path = dir.join(REPORT);
    report.files.report = Some(path.display().to_string());
    let Err(error) = store(report, &path) else { return exit };
    report.files.report = None;
    unwritten(report, &error, exit)
}

/// What a verdict comes to where a file that was to tell it cannot be written: nothing that looks like success.
fn unwritten(report: &mut Report, error: &Error, exit: Exit) -> Exit {
    match exit {
        Exit::Ok => Verdict::of_error(error, Outcome::Failed).record(report),
        _ => report.warnings.push(error.sentence()),
    }
    let exit = if matches!(exit, Exit::Signal(_)) { exit } else { error.exit };
    report.exit_code = exit.code();
    exit
}

/// Writes a report as JSON.
pub(super) fn store(report: &Report, path: &Path) -> Result<(), Error> {
    NewFile::write(path, Format::Json.render(report).as_bytes())
}
