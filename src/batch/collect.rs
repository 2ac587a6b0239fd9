//! Collecting: the output and error files, whole, on our disk.
//!
//! A file is streamed to a temporary name beside its own, taken up where it
//! broke off if the server can (else begun again), and renamed once its length
//! and its last line prove that it is whole.

use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::api::Api;
use crate::events::Event;
use crate::journal::{Journal, Record};
use crate::patience::{BEFORE, Guard, Patience, Stop};
use crate::results::{self, AnswersFile};
use crate::retry::{Advice, Failure};
use crate::wire::Batch;

/// How often a file is fetched anew when its last line is torn. Then the provider's own copy is.
const TORN: u32 = 3;

/// What answers are collected with.
pub struct Collector<'a> {
    /// The provider.
    pub api: &'a Api,
    /// Deadline, signals and events.
    pub guard: &'a Guard<'a>,
    /// What is written down.
    pub journal: &'a Journal,
    /// Where the files go until they are reconciled.
    pub dir: &'a Path,
}

impl Collector<'_> {
    /// Fetches what a batch that is over has to give: none, one or two files.
    /// `number` tells it from the other batches of a run, `attempt` which try at its requests it is.
    pub async fn collect(&self, batch: &Batch, attempt: u32, number: usize) -> Result<Vec<AnswersFile>, Stop> {
        self.journal.note(Record::Collect { batch_id: batch.id.clone() })?;
        self.make_dir()?;
        let mut files = Vec::new();
        for (what, id) in [("output", &batch.output_file_id), ("error", &batch.error_file_id)] {
            if let Some(id) = id {
                let (path, endpoint) = (self.fetch(what, id, number).await?, batch.endpoint.clone());
                files.push(AnswersFile { path, what, attempt, batch: number, endpoint });
            }
        }
        Ok(files)
    }

    /// Fetches a batch's input file, if the provider gives it back: not every one does.
    pub async fn fetch_if_given(&self, id: &str, number: usize) -> Result<Option<PathBuf>, Stop> {
        self.make_dir()?;
        let try_it = self.guard.guard(self.api.file_content(id, 0)).await?;
        let is_refused =
            |failure: &Failure| failure.status().is_some() && !matches!(failure.advice(), Advice::Again(_));
        if try_it.as_ref().err().is_some_and(is_refused) {
            return Ok(None);
        }
        drop(try_it);
        self.fetch("input", id, number).await.map(Some)
    }

    fn make_dir(&self) -> Result<(), Stop> {
        std::fs::create_dir_all(self.dir)
            .map_err(|error| self.local(&error))
            .map_err(|failure| Stop::Failed(crate::patience::refused("collecting the answers", &failure)))
    }

    /// Fetches one file. Results are worth waiting for: ten minutes of trouble
    /// are borne even when the deadline is near or past.
    async fn fetch(&self, what: &'static str, id: &str, number: usize) -> Result<PathBuf, Stop> {
        let (started, path) = (Instant::now(), self.dir.join(format!("{what}-{number}.jsonl")));
        let part = self.dir.join(format!("{what}-{number}.jsonl.part"));
        let doing = format!("downloading the {what} file {id}");
        let mut torn = 0;
        let mut so_far = Partial::default();
        let patience = Patience::Until(self.guard.deadline.max(started + BEFORE));
        self.guard
            .bear(&doing, patience, async || {
                self.stream(id, &part, &mut so_far).await?;
                if results::ends_whole(&part).map_err(|error| self.local(&error))? {
                    return Ok(());
                }
                (torn, so_far) = (torn + 1, Partial::default());
                if torn < TORN { Err(Failure::Garbled("the file's last line is torn".to_owned())) } else { Ok(()) }
            })
            .await
            .map_err(|stop| {
                // Nobody takes it up again, and the report may need the room.
                drop(std::fs::remove_file(&part));
                self.late(stop, &doing)
            })?;
        if torn >= TORN {
            let warning =
                format!("The last line of the {what} file {id} is torn at the provider; it counts as unreadable.");
            self.guard.events.emit(Event::Warned(warning));
        }
        let renamed = std::fs::rename(&part, &path).and_then(|()| std::fs::metadata(&path));
        let bytes = renamed.map_err(|error| Stop::Failed(crate::patience::refused(&doing, &self.local(&error))))?.len();
        self.guard.events.emit(Event::Downloaded { what, bytes, took: started.elapsed() });
        Ok(path)
    }

    /// One attempt: takes up what is there, or begins again.
    async fn stream(&self, id: &str, part: &Path, so_far: &mut Partial) -> Result<(), Failure> {
        let mut download = self.api.file_content(id, so_far.bytes).await?;
        let goes_on = so_far.bytes > 0 && download.starts_at == so_far.bytes && download.total == so_far.total;
        if !goes_on && download.starts_at != 0 {
            *so_far = Partial::default();
            return Err(Failure::Garbled("the download did not go on where it broke off".to_owned()));
        }
        let mut file =
            if goes_on { OpenOptions::new().append(true).open(part).await } else { File::create(part).await }
                .map_err(|error| self.local(&error))?;
        if !goes_on {
            *so_far = Partial { bytes: 0, total: download.total };
        }
        let streamed = async {
            while let Some(chunk) = download.chunk().await? {
                file.write_all(&chunk).await.map_err(|error| self.local(&error))?;
                so_far.bytes += chunk.len() as u64;
            }
            Ok(())
        }
        .await;
        // What arrived is on the disk before it is counted on or measured.
        let written = file.flush().await.map_err(|error| self.local(&error));
        streamed.and(written)?;
        match so_far.total {
            Some(total) if total != so_far.bytes => {
                Err(Failure::Interrupted(format!("{} of {total} bytes came", so_far.bytes)))
            }
            _ => Ok(()),
        }
    }

    fn local(&self, error: &std::io::Error) -> Failure {
        let hint =
            if error.kind() == std::io::ErrorKind::StorageFull { "; free some space and collect again" } else { "" };
        Failure::Local(format!("a file in {} could not be written: {error}{hint}", self.dir.display()))
    }

    fn late(&self, stop: Stop, doing: &str) -> Stop {
        match stop {
            Stop::Deadline => Stop::Failed(
                crate::error::Error::refused(format!("Failed {doing} in the time that was left"))
                    .hint("The answers stay at the provider: run again, or fetch them with `batchstep file content`."),
            ),
            stop => stop,
        }
    }
}

/// How much of a file is on the disk.
#[derive(Clone, Copy, Debug, Default)]
struct Partial {
    bytes: u64,
    total: Option<u64>,
}
