//! Downloading: a batch's output and error file, on our disk.
//!
//! A file is streamed to a temporary name beside its own, resumed where it broke
//! off if the server can (else begun again), and renamed once its length and its
//! last line prove that it is whole. One attempt at a time: whether and when to
//! try again is decided in `commands/gather.rs`, since a file that looks whole
//! may still lack answers.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use memchr::memmem;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::inflate;
use super::promise::FileState;
use crate::api::Api;
use crate::client::Download;
use crate::error::Exit;
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::own_files;
use crate::requests::lines::{LONGEST_ANSWER, Lines};
use crate::results;
use crate::retry::{Advice, Failure};
use crate::retry_loop::{RetryBudget, refused};

/// What files are fetched with.
pub(crate) struct Downloader<'a> {
    /// The provider.
    pub api: &'a Api,
    /// Deadline, signals and events.
    pub guard: &'a Guard<'a>,
    /// Where the files go until they are reconciled.
    pub dir: &'a Path,
}

/// What is here of one of a batch's files.
#[derive(Debug)]
pub(crate) struct Copy {
    /// `output`, `error` or `input`.
    pub what: &'static str,
    /// The file's id at the provider.
    pub id: String,
    path: PathBuf,
    part: PathBuf,
    /// The lines of an attempt before the one at hand.
    kept: PathBuf,
    so_far: Partial,
    whole: Option<Whole>,
    trouble: Option<Trouble>,
}

/// How much of a file is on the disk.
#[derive(Clone, Copy, Debug, Default)]
struct Partial {
    bytes: u64,
    total: Option<u64>,
}

/// A copy that arrived whole.
#[derive(Debug)]
struct Whole {
    /// As the server sent it, before it was decompressed.
    bytes: u64,
    kind: Option<String>,
    since: Instant,
}

/// Why the last attempt brought nothing.
#[derive(Debug)]
enum Trouble {
    Absent { since: Instant },
    Broken(String),
}

impl Copy {
    /// Nothing yet of this file; `number` tells its batch from the others of a run.
    pub(crate) fn new(what: &'static str, id: &str, number: usize, dir: &Path) -> Self {
        let path = dir.join(format!("{what}-{number}.jsonl"));
        let part = dir.join(format!("{what}-{number}.jsonl.part"));
        let kept = dir.join(format!("{what}-{number}.kept.jsonl"));
        Self { what, id: id.to_owned(), path, part, kept, so_far: Partial::default(), whole: None, trouble: None }
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> FileState {
        match (&self.trouble, &self.whole) {
            (Some(Trouble::Broken(why)), _) => FileState::Broken(why.clone()),
            (Some(Trouble::Absent { since }), _) => FileState::Absent { lasted: since.elapsed() },
            (None, Some(whole)) => FileState::Whole { unchanged: whole.since.elapsed() },
            (None, None) => FileState::Broken("it was not requested yet".to_owned()),
        }
    }

    /// The same file under another id. The lines that are here of `before` are kept until there are more.
    pub(crate) fn in_place_of(before: Option<Self>, what: &'static str, id: &str, number: usize, dir: &Path) -> Self {
        let copy = Self::new(what, id, number, dir);
        // What cannot be kept is fetched again.
        if let Some(mut before) = before
            && let Ok(Some(lines)) = before.lines()
            && lines != copy.kept
        {
            drop(std::fs::rename(lines, &copy.kept));
        }
        copy
    }

    /// The lines that are here: those of the last whole copy, else the whole lines of what
    /// came, or those of an earlier attempt if they are more.
    pub(crate) fn lines(&mut self) -> std::io::Result<Option<PathBuf>> {
        let now = if self.whole.is_some() { Some(self.path.clone()) } else { self.whole_lines()? };
        if !self.kept.exists() {
            return Ok(now);
        }
        let is_more = match &now {
            Some(now) => answers(&self.kept)? > answers(now)?,
            None => true,
        };
        Ok(if is_more { Some(self.kept.clone()) } else { now })
    }

    /// Keeps the lines of an attempt that is about to be begun again, if no earlier one has more.
    fn keep(&mut self) -> std::io::Result<()> {
        if self.whole.is_none()
            && let Some(part) = self.whole_lines()?
            && (!self.kept.exists() || answers(&part)? > answers(&self.kept)?)
        {
            std::fs::rename(part, &self.kept)?;
        }
        Ok(())
    }

    fn whole_lines(&mut self) -> std::io::Result<Option<PathBuf>> {
        if self.so_far.bytes == 0 || !self.part.exists() {
            return Ok(None);
        }
        let end = end_of_lines(&self.part)?;
        own_files::open(&self.part, OpenOptions::new().write(true))?.set_len(end)?;
        // The next attempt resumes from there.
        self.so_far.bytes = end;
        Ok((end > 0).then(|| self.part.clone()))
    }

    fn is_unchanged(&self, download: &Download) -> bool {
        let Some(whole) = &self.whole else { return false };
        download.starts_at == 0 && download.total == Some(whole.bytes) && download.kind == whole.kind
    }
}

impl Downloader<'_> {
    /// One attempt at a file: fetches it, or makes sure that the copy here is what the
    /// provider still has. Tells how many bytes came. What went wrong is the
    /// copy's state; only a signal, `limit` and our own disk end it.
    pub(crate) async fn fetch(&self, copy: &mut Copy, limit: Instant) -> Result<u64, Stop> {
        let mut came = 0;
        let done = self.guard.until(limit, self.attempt(copy, &mut came)).await;
        let failure = match done {
            Ok(Ok(())) => {
                copy.trouble = None;
                return Ok(came);
            }
            Ok(Err(failure @ Failure::Local(_))) => {
                // Nobody resumes it, and the report may need the room.
                drop(std::fs::remove_file(&copy.part));
                return Err(Stop::Failed(refused(
                    &format!("downloading the {} file {}", copy.what, copy.id),
                    &failure,
                )));
            }
            Ok(Err(failure)) => failure,
            // What was wrong before says more.
            Err(Stop::Deadline(_)) if copy.trouble.is_some() => return Ok(came),
            Err(Stop::Deadline(_)) => Failure::Interrupted("time was up".to_owned()),
            Err(stop) => return Err(stop),
        };
        copy.trouble = Some(match (failure.status(), &copy.trouble) {
            (Some(404 | 410), Some(Trouble::Absent { since })) => Trouble::Absent { since: *since },
            (Some(404 | 410), _) => Trouble::Absent { since: Instant::now() },
            _ => Trouble::Broken(failure.to_string()),
        });
        Ok(came)
    }

    /// Fetches a batch's input file, if the provider gives it back within the guard's
    /// deadline: not every one does, and answers can be matched without it.
    pub(crate) async fn fetch_if_given(&self, id: &str, number: usize) -> Result<Option<PathBuf>, Stop> {
        self.make_dir()?;
        let try_it = self.guard.guard(self.api.content(id, 0)).await;
        let is_refused =
            |failure: &Failure| failure.status().is_some() && !matches!(failure.advice(), Advice::Again(_));
        match try_it {
            Ok(Err(failure)) if is_refused(&failure) => return Ok(None),
            Err(stop @ (Stop::Signal(_) | Stop::Detached(_))) => return Err(stop),
            _ => {}
        }
        let mut copy = Copy::new("input", id, number, self.dir);
        let doing = format!("downloading the input file {id}");
        let budget = RetryBudget::Until(self.guard.deadline);
        match self.guard.retry(&doing, budget, async || self.attempt(&mut copy, &mut 0).await).await {
            Ok(()) => Ok(Some(copy.path)),
            Err(Stop::Failed(error)) if error.exit == Exit::Refused => Ok(None),
            Err(Stop::Deadline(_)) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Makes the directory that the files go to.
    pub(crate) fn make_dir(&self) -> Result<(), Stop> {
        // A link is not this run's, and what is behind it nobody's to write to.
        own_files::unlink(self.dir)
            .and_then(|()| own_files::make_dir(self.dir))
            .map_err(|error| Stop::Failed(refused("collecting the answers", &self.local(&error))))
    }

    async fn attempt(&self, copy: &mut Copy, came: &mut u64) -> Result<(), Failure> {
        let started = Instant::now();
        // What has no length, or is torn at the provider, has no rest to go on with.
        let offset = if copy.so_far.total.is_some() { copy.so_far.bytes } else { 0 };
        let download = self.api.content(&copy.id, offset).await?;
        if copy.is_unchanged(&download) {
            return Ok(());
        }
        let kind = download.kind.clone();
        self.stream(download, copy, came).await?;
        let sent = std::mem::take(&mut copy.so_far).bytes;
        inflate::in_place(&copy.part).map_err(|error| self.unreadable(&error))?;
        if !results::ends_whole(&copy.part).map_err(|error| self.local(&error))? {
            copy.so_far.bytes = std::fs::metadata(&copy.part).map_err(|error| self.local(&error))?.len();
            return Err(Failure::Garbled("the file's last line is incomplete".to_owned()));
        }
        let is_better = copy.whole.is_none() || {
            let count = |path| answers(path).map_err(|error| self.local(&error));
            count(&copy.part)? >= count(&copy.path)?
        };
        if !is_better {
            if let Some(whole) = &mut copy.whole {
                whole.since = Instant::now();
            }
            // Replicas differ, or another page is in the file's place: what is here stays.
            return Err(Failure::Garbled("the file now holds fewer answers than before".to_owned()));
        }
        let is_changed = copy.whole.as_ref().is_none_or(|whole| whole.bytes != sent);
        std::fs::rename(&copy.part, &copy.path).map_err(|error| self.local(&error))?;
        let bytes = std::fs::metadata(&copy.path).map_err(|error| self.local(&error))?.len();
        let since = copy.whole.as_ref().filter(|_| !is_changed).map_or_else(Instant::now, |whole| whole.since);
        copy.whole = Some(Whole { bytes: sent, kind, since });
        if is_changed {
            self.guard.events.emit(Event::Downloaded { what: copy.what, bytes, took: started.elapsed() });
        }
        Ok(())
    }

    /// Streams to the temporary file: goes on where it broke off, or begins again.
    async fn stream(&self, mut download: Download, copy: &mut Copy, came: &mut u64) -> Result<(), Failure> {
        let Partial { bytes, total } = copy.so_far;
        let goes_on = bytes > 0 && download.starts_at == bytes && download.total == total;
        if !goes_on {
            copy.keep().map_err(|error| self.local(&error))?;
        }
        let so_far = &mut copy.so_far;
        if !goes_on && download.starts_at != 0 {
            *so_far = Partial::default();
            return Err(Failure::Garbled("the download did not continue where it stopped".to_owned()));
        }
        let part = &copy.part;
        let opened =
            if goes_on { own_files::open(part, OpenOptions::new().append(true)) } else { own_files::create(part) };
        let mut file = File::from_std(opened.map_err(|error| self.local(&error))?);
        if !goes_on {
            *so_far = Partial { bytes: 0, total: download.total };
        }
        let streamed = async {
            while let Some(chunk) = download.chunk().await? {
                file.write_all(&chunk).await.map_err(|error| self.local(&error))?;
                (so_far.bytes, *came) = (so_far.bytes + chunk.len() as u64, *came + chunk.len() as u64);
            }
            Ok(())
        }
        .await;
        // What arrived is on the disk before it is counted on or measured.
        let written = file.flush().await.map_err(|error| self.local(&error));
        streamed.and(written)?;
        match so_far.total {
            Some(total) if total != so_far.bytes => {
                Err(Failure::Interrupted(format!("{} of {total} bytes arrived", so_far.bytes)))
            }
            _ => Ok(()),
        }
    }

    fn local(&self, error: &std::io::Error) -> Failure {
        let hint =
            if error.kind() == std::io::ErrorKind::StorageFull { "; free some space and collect again" } else { "" };
        Failure::Local(format!("a file in {} could not be written: {error}{hint}", self.dir.display()))
    }

    fn unreadable(&self, error: &inflate::Error) -> Failure {
        match error {
            inflate::Error::Disk(error) => self.local(error),
            inflate::Error::Data(why) => Failure::Garbled(format!("the file is compressed and {why}")),
        }
    }
}

/// Where the last whole line of a file ends.
fn end_of_lines(path: &Path) -> std::io::Result<u64> {
    let size = std::fs::metadata(path)?.len();
    let (mut lines, mut end) = (Lines::new(std::fs::File::open(path)?, LONGEST_ANSWER), 0);
    while let Some(line) = lines.next()? {
        let after = line.offset + line.length + 1;
        if after <= size {
            end = after;
        }
    }
    Ok(end)
}

/// How many lines of a file seem to be answers: of two copies, that with more is the better one.
/// Replicas differ, and a gateway may put its own page in a file's place.
fn answers(path: &Path) -> std::io::Result<usize> {
    let (mut lines, mut count) = (Lines::new(std::fs::File::open(path)?, LONGEST_ANSWER), 0);
    let finder = memmem::Finder::new("\"custom_id\"");
    while let Some(line) = lines.next()? {
        count += usize::from(line.bytes.is_none_or(|bytes| finder.find(bytes).is_some()));
    }
    Ok(count)
}
