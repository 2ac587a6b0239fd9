//! A finished run, as its report and the files beside it tell it.
//!
//! The report may come from anywhere, so all of it is untrusted text. The only files that are read are
//! the report and those beside it that have the names which a run gives them.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use super::billing::Billing;
use crate::clock::Clock;
use crate::dialects::{self, ReadAnswers};
use crate::error::Error;
use crate::formats;
use crate::inputs::OUTPUT_DIR;
use crate::own_files;
use crate::prices::Prices;
use crate::report::Report;
use crate::results::AnswersFile;
use crate::results::sinks::RESULTS_JSONL;
use crate::session::REPORT;

/// The longest report that is read, in bytes. One with all that a run may report has a tenth of it.
const LONGEST: u64 = 64 << 20;

/// A finished run.
pub(super) struct Finished {
    /// Where its report is.
    pub(super) path: PathBuf,
    pub(super) report: Report,
}

impl Finished {
    /// Reads the report at this path, or in this directory.
    ///
    /// # Errors
    /// Ends in exit 2 if there is none, or none that can be read as one.
    pub(super) fn read(at: &Path) -> Result<Self, Error> {
        let path = if at.is_dir() || at == Path::new(OUTPUT_DIR) { at.join(REPORT) } else { at.to_owned() };
        let about = |what: &str| Error::usage(format!("The report `{}` {what}.", path.display()));
        let mut json = Vec::new();
        let length = own_files::read(&path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut json));
        let length = length.map_err(|error| match error.kind() {
            ErrorKind::NotFound => about("is not there"),
            _ => about("cannot be read").because(error),
        })?;
        if length as u64 > LONGEST {
            return Err(about("is longer than 64 MiB, and so is not one of batchstep's"));
        }
        let report = formats::read(&json).map_err(|why| about(&why))?;
        Ok(Self { path, report })
    }

    /// The directory of its report.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The results beside the report, and how they are read.
    ///
    /// # Errors
    /// Ends in exit 2 if there are none, or they are of a provider that is not known.
    pub(super) fn results(&self) -> Result<(AnswersFile, &'static dyn ReadAnswers), Error> {
        let Report { provider, requests, .. } = &self.report;
        let name = dialects::Name::from_str(provider, false)
            .map_err(|_| Error::usage(format!("The report's provider `{provider}` is not known.")))?;
        let path = self.dir().join(RESULTS_JSONL);
        if own_files::read(&path).is_err() {
            let message = format!("`{}` is needed for this, and there is no such file.", path.display());
            return Err(Error::usage(message).hint("Name a report beside the files that its run left."));
        }
        let (what, batch_id, endpoint) = ("results", String::new(), requests.endpoint.clone());
        let results = AnswersFile { path, what, attempt: 0, batch: 0, batch_id, endpoint, ..AnswersFile::default() };
        Ok((results, dialects::choose(name).dialect.answers()))
    }
    /// What its answers were priced with. None where that is not known any more: it had other prices, or kept answers
    /// that an earlier run paid for.
    pub(super) fn billing(&self, clock: Clock) -> Option<Billing> {
        let Report { provider, origin, cost, continued, .. } = &self.report;
        let vendor = dialects::choose(dialects::Name::from_str(provider, false).ok()?);
        let billing = Billing::new(Prices::built_in(), vendor, origin.clone(), clock);
        let theirs = Some((cost.prices_date.clone(), cost.prices_source.clone()));
        Some(billing).filter(|billing| continued.is_none() && billing.provenance() == theirs)
    }

    /// Its results as the answers of its batches, which are of one time, and of one model if the requests name one.
    pub(super) fn with_its_batches(&self, results: AnswersFile) -> AnswersFile {
        let created_at = self.report.batches.iter().find_map(|batch| batch.created_at);
        AnswersFile { attempt: 1, created_at, model: self.report.requests.model.clone(), ..results }
    }
}
