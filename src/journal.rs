//! The journal: what a run intended and did, written down as it happens.
//!
//! `output-dir/journal.jsonl` gets the intent before and the fact after each
//! network step, flushed to the disk, so that after a crash it is known what
//! may exist at the provider. A last line torn by the crash is passed over.
//! The records move a submission from state to state: see `life/`. The directory is locked for as long as the journal is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attachment::Owner;
use crate::clock::Clock;
use crate::error::Error;
use crate::own_files;
use crate::text::size;

/// The journal's name in the output directory.
pub(crate) const JOURNAL: &str = "journal.jsonl";
/// The largest journal that is read, in bytes: a run adds a few lines of some hundred bytes for each of its batches.
const LONGEST: u64 = 64_000_000;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Record {
    /// A run began.
    Run {
        /// The version of batchstep.
        version: String,
        /// The server: a batch is resumed only against the same one.
        origin: String,
        /// The work.
        key: String,
        /// The requests that it has to send.
        total: u64,
    },
    /// The file is about to be sent.
    Upload {
        /// The name it is sent under.
        name: String,
    },
    /// The file is at the provider.
    Uploaded {
        /// The work.
        key: String,
        /// Its id.
        file_id: String,
    },
    /// A create is about to be sent.
    Create {
        /// The work.
        key: String,
        /// The mark it carries.
        create: String,
        /// The file it names; none where it carries the requests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file_id: Option<String>,
    },
    /// The provider takes smaller batches: the halves of this work are sent instead.
    Halved {
        /// The work.
        key: String,
    },
    /// The batch exists.
    Created {
        /// The work.
        key: String,
        /// The mark it carries.
        create: String,
        /// Its id.
        batch_id: String,
    },
    /// The run attaches to a batch that is there already.
    Attached {
        /// The work.
        key: String,
        /// Its id.
        batch_id: String,
        /// Whose it is.
        owner: Owner,
        /// The batch that this run had made, and cancels.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<String>,
    },
    /// A cancel is about to be sent.
    Cancel {
        /// The batch.
        batch_id: String,
    },
    /// The batch reached a terminal state.
    Ended {
        /// The batch.
        batch_id: String,
        /// The state.
        status: String,
    },
    /// The answers are about to be fetched.
    Collect {
        /// The batch.
        batch_id: String,
    },
    /// A signal had the work's batch cancelled, while other work of the run has answers to fetch.
    Dropped {
        /// The work.
        key: String,
    },
    /// The run ended in good order.
    Closed {
        /// Its outcome.
        outcome: String,
    },
}

impl Record {
    /// The work that it is about; none where it is about a run or a batch.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::Uploaded { key, .. } | Self::Create { key, .. } | Self::Created { key, .. } => Some(key),
            Self::Attached { key, .. } | Self::Halved { key } | Self::Dropped { key } => Some(key),
            Self::Run { .. } | Self::Upload { .. } | Self::Cancel { .. } | Self::Ended { .. } => None,
            Self::Collect { .. } | Self::Closed { .. } => None,
        }
    }
}

/// A record with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Unix seconds.
    pub at: i64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// An open journal, which also holds the lock on its directory.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    clock: Clock,
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, making the directory if need be, and returns
    /// what earlier runs wrote. A directory that is in use is a usage error.
    pub(crate) fn open(dir: &Path, clock: Clock) -> Result<(Self, Vec<Line>), Error> {
        let failed = |what: &str, error: std::io::Error| {
            Error::usage(format!("`output-dir` {} {what}.", dir.display())).because(error)
        };
        std::fs::create_dir_all(dir).map_err(|error| failed("cannot be made", error))?;
        let lock = own_files::open(&dir.join(".lock"), OpenOptions::new().create(true).truncate(false).write(true));
        let lock = lock.map_err(|error| failed("cannot be written to", error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                Error::usage(format!("`output-dir` {} is in use by another run of batchstep.", dir.display()))
                    .hint("Wait for it to end, or give this run an `output-dir` of its own.")
            }
            TryLockError::Error(error) => failed("cannot be locked", error),
        })?;
        let path = dir.join(JOURNAL);
        let file = own_files::open(&path, OpenOptions::new().create(true).read(true).append(true));
        let mut file = file.map_err(|error| failed("cannot hold a journal", error))?;
        let earlier = read(&mut file).map_err(|error| failed("holds a journal that cannot be read", error))?;
        Ok((Self { file, path, clock, _lock: lock }, earlier))
    }

    /// Writes a record and flushes it to the disk. What cannot be written down
    /// must not be done, so an error here ends the run.
    pub(crate) fn note(&self, record: Record) -> Result<(), Error> {
        let line = Line { at: self.clock.unix(), record };
        let failed = |error: std::io::Error| {
            Error::internal(format!("The journal {} cannot be written.", self.path.display()))
                .because(error)
                .hint("Without it a crash could be paid for twice, so nothing more was started.")
        };
        let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        (&self.file).write_all(&text).and_then(|()| self.file.sync_data()).map_err(failed)
    }
}

/// Reads the records so far, and ends a torn last line so that the next one is a line of its own.
fn read(file: &mut File) -> std::io::Result<Vec<Line>> {
    let mut text = Vec::new();
    if file.metadata()?.len() > LONGEST {
        let why = format!("`journal.jsonl` is larger than the {} that are read", size(LONGEST));
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut text)?;
    if text.last().is_some_and(|last| *last != b'\n') {
        file.write_all(b"\n")?;
    }
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::{Clock, Journal, Record};
    use std::io::Write as _;

    fn run() -> Record {
        Record::Run { version: "1".into(), origin: "o".into(), key: "k".into(), total: 1 }
    }

    fn created() -> Record {
        Record::Created { key: "k".into(), create: "c".into(), batch_id: "b".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_noted_is_read_again_but_for_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::starting_at(std::time::Duration::from_secs(1_700_000_000));
        let (journal, earlier) = Journal::open(dir.path(), clock).unwrap();
        assert_eq!(earlier, []);
        journal.note(run()).unwrap();
        journal.note(created()).unwrap();
        drop(journal);
        let path = dir.path().join("journal.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"at":1700000000,"step":"run","version":"1""#), "{text}");
        let torn = &br#"{"at":1700000000,"step":"cl"#[..];
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();

        let (journal, earlier) = Journal::open(dir.path(), clock).unwrap();
        let records: Vec<Record> = earlier.iter().map(|line| line.record.clone()).collect();
        assert_eq!(records, [run(), created()]);
        journal.note(Record::Closed { outcome: "succeeded".into() }).unwrap();
        drop(journal);
        let (_, earlier) = Journal::open(dir.path(), clock).unwrap();
        assert_eq!(earlier.len(), 3, "the record after the torn line is a line of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::starting_at(std::time::Duration::ZERO);
        let _held = Journal::open(dir.path(), clock).unwrap();
        let refused = Journal::open(dir.path(), clock).unwrap_err();
        assert_eq!(refused.exit, crate::error::Exit::Usage);
        assert!(refused.message.contains("in use by another run"), "{refused}");
    }
}
