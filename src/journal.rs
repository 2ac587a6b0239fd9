//! The journal: what a run intended and did, written down as it happens.
//!
//! `output-dir/journal.jsonl` gets the intent before and the fact after each
//! network step, flushed to the disk, so that after a crash it is known what
//! may exist at the provider. A last line torn by the crash is passed over.
//! The directory is locked for as long as the journal is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attachment::Owner;
use crate::clock::Clock;
use crate::error::Error;
use crate::own_files;
use crate::text::size;

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
        /// Requests in it.
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
        /// The file it names.
        file_id: String,
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
    /// A batch that is there already is taken up.
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
        let path = dir.join("journal.jsonl");
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

/// Reads the records so far, and ends a torn last line so that the next one stands alone.
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

/// A create that was about to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Intent {
    /// The mark it carries.
    pub mark: String,
    /// When it was first to be sent, in Unix seconds.
    pub first: i64,
    /// When it was last to be sent: it is sent again where the server did not act on it.
    pub last: i64,
}

/// What earlier runs made of a piece of work and left without a closing record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Left {
    /// The uploaded file.
    pub file_id: Option<String>,
    /// A create whose batch is not known.
    pub create: Option<Intent>,
    /// The batch.
    pub batch: Option<Named>,
    /// Another batch of the same work, which was about to be cancelled.
    pub duplicate: Option<Named>,
}

/// A batch that a journal names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Named {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub owner: Owner,
    /// The mark of the create that made it, where the journal knows it.
    pub create: Option<String>,
}

/// What is left of the work `key` at the server `origin`. A closing record closes
/// the work that its run took up; a run that got nowhere closes nothing.
pub(crate) fn left(earlier: &[Line], origin: &str, key: &str) -> Left {
    let mut left = Left::default();
    let (mut is_there, mut took_up) = (false, false);
    for Line { at, record } in earlier {
        match record {
            Record::Run { origin: at, .. } => (is_there, took_up) = (at == origin, false),
            _ if !is_there => {}
            Record::Closed { .. } if took_up => left = Left::default(),
            Record::Dropped { key: of } if of == key => left = Left::default(),
            Record::Uploaded { key: of, .. } | Record::Create { key: of, .. } if of != key => {}
            Record::Created { key: of, .. } | Record::Attached { key: of, .. } if of != key => {}
            Record::Halved { key: of } if of != key => {}
            Record::Halved { .. } => (left, took_up) = (Left::default(), true),
            Record::Uploaded { file_id, .. } => {
                (left, took_up) = (Left { file_id: Some(file_id.clone()), ..Left::default() }, true);
            }
            Record::Create { create, file_id, .. } => {
                let first = left.create.filter(|earlier| earlier.mark == *create).map_or(*at, |earlier| earlier.first);
                let create = Some(Intent { mark: create.clone(), first, last: *at });
                (left, took_up) = (Left { file_id: Some(file_id.clone()), create, ..Left::default() }, true);
            }
            Record::Created { batch_id, create, .. } => {
                let (id, create) = (batch_id.clone(), Some(create.clone()));
                (left.batch, took_up) = (Some(Named { id, owner: Owner::ThisRun, create }), true);
            }
            Record::Attached { batch_id, owner, instead_of, .. } => {
                let before = left.batch.take();
                let known = |id: &str| before.clone().filter(|batch| batch.id == id);
                // `collect`, to which every batch is another's, makes none so that was created here.
                let owner =
                    known(batch_id).map_or(*owner, |batch| if *owner == Owner::ThisRun { *owner } else { batch.owner });
                let create = known(batch_id).and_then(|batch| batch.create);
                left.duplicate =
                    instead_of.as_ref().map(|id| known(id).unwrap_or(Named { id: id.clone(), ..Named::default() }));
                (left.batch, took_up) = (Some(Named { id: batch_id.clone(), owner, create }), true);
            }
            _ => {}
        }
    }
    left
}

/// Whether an earlier run, which left no closing record, sent the halves of the
/// work `key`: they may be running.
pub(crate) fn is_halved(earlier: &[Line], origin: &str, key: &str) -> bool {
    let (mut is_there, mut took_up, mut is_halved) = (false, false, false);
    for Line { record, .. } in earlier {
        match record {
            Record::Run { origin: at, .. } => (is_there, took_up) = (at == origin, false),
            Record::Halved { key: of } if is_there && of == key => (took_up, is_halved) = (true, true),
            Record::Closed { .. } if is_there && took_up => is_halved = false,
            _ => {}
        }
    }
    is_halved
}

/// The batches that earlier runs left, each with the key of its work: what `collect` takes where none is named.
pub(crate) fn open_batches(earlier: &[Line], origin: &str) -> Vec<(String, Named)> {
    let mut keys: Vec<&str> = Vec::new();
    for Line { record, .. } in earlier {
        if let Record::Created { key, .. } | Record::Attached { key, .. } = record
            && !keys.contains(&key.as_str())
        {
            keys.push(key);
        }
    }
    let mut open: Vec<(String, Named)> = Vec::new();
    for key in keys {
        // `collect` writes one without marks down by no key.
        if let Some(batch) = left(earlier, origin, key).batch
            && open.iter().all(|(_, other)| other.id != batch.id)
        {
            open.push((key.to_owned(), batch));
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::{Clock, Intent, Journal, Left, Line, Named, Owner, Record, is_halved, left, open_batches};
    use std::io::Write as _;

    fn uploaded(key: &str, file: &str) -> Record {
        Record::Uploaded { key: key.into(), file_id: file.into() }
    }

    fn create(key: &str, mark: &str) -> Record {
        Record::Create { key: key.into(), create: mark.into(), file_id: "f".into() }
    }

    fn created(key: &str, batch: &str) -> Record {
        Record::Created { key: key.into(), create: "c".into(), batch_id: batch.into() }
    }

    fn attached(key: &str, batch: &str) -> Record {
        Record::Attached { key: key.into(), batch_id: batch.into(), owner: Owner::AnotherRun, instead_of: None }
    }

    fn run() -> Record {
        Record::Run { version: "1".into(), origin: "o".into(), key: "k".into(), total: 1 }
    }

    fn closed() -> Record {
        Record::Closed { outcome: "succeeded".into() }
    }

    fn lines(records: &[Record]) -> Vec<Line> {
        records.iter().map(|record| Line { at: 7, record: record.clone() }).collect()
    }

    fn batch(records: &[Record]) -> Option<(String, Owner)> {
        left(&lines(records), "o", "k").batch.map(|batch| (batch.id, batch.owner))
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_noted_is_read_again_but_for_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::starting_at(std::time::Duration::from_secs(1_700_000_000));
        let (journal, earlier) = Journal::open(dir.path(), clock).unwrap();
        assert_eq!(earlier, []);
        journal.note(run()).unwrap();
        journal.note(created("k", "b")).unwrap();
        drop(journal);
        let path = dir.path().join("journal.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"at":1700000000,"step":"run","version":"1""#), "{text}");
        let torn = &br#"{"at":1700000000,"step":"cl"#[..];
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();

        let (journal, earlier) = Journal::open(dir.path(), clock).unwrap();
        let records: Vec<Record> = earlier.iter().map(|line| line.record.clone()).collect();
        assert_eq!(records, [run(), created("k", "b")]);
        journal.note(closed()).unwrap();
        drop(journal);
        let (_, earlier) = Journal::open(dir.path(), clock).unwrap();
        assert_eq!(earlier.len(), 3, "the record after the torn line stands alone");
        assert_eq!(left(&earlier, "o", "k"), Left::default());
    }

    #[test]
    fn a_run_without_a_closing_record_leaves_what_it_came_to() {
        let of = |records: &[Record]| left(&lines(records), "o", "k");
        assert_eq!(of(&[run()]), Left::default());
        assert_eq!(of(&[run(), uploaded("k", "f")]), Left { file_id: Some("f".into()), ..Left::default() });
        let cut_off = of(&[run(), uploaded("k", "f"), create("k", "c")]);
        let intent = Some(Intent { mark: "c".into(), first: 7, last: 7 });
        assert_eq!((cut_off.create, cut_off.file_id.as_deref()), (intent, Some("f")));
        assert_eq!(batch(&[run(), create("k", "c"), created("k", "b")]), Some(("b".into(), Owner::ThisRun)));
        assert_eq!(batch(&[run(), created("k", "b"), closed()]), None);
        let dropped = |key: &str| Record::Dropped { key: key.into() };
        assert_eq!(batch(&[run(), created("k", "b"), dropped("k")]), None);
        assert_eq!(batch(&[run(), created("k", "b"), dropped("other")]), Some(("b".into(), Owner::ThisRun)));
        assert_eq!(left(&lines(&[run(), created("k", "b")]), "elsewhere", "k"), Left::default());
        assert_eq!(left(&lines(&[run(), created("k", "b")]), "o", "other"), Left::default());
    }

    #[test]
    fn a_create_that_is_sent_again_is_as_old_as_its_last_sending() {
        let at = |at, mark| Line { at, record: create("k", mark) };
        let begun = Line { at: 1, record: run() };
        let intent =
            |lines: &[Line]| left(lines, "o", "k").create.map(|intent| (intent.mark, intent.first, intent.last));
        assert_eq!(intent(&[begun.clone(), at(7, "c"), at(99, "c")]), Some(("c".into(), 7, 99)));
        assert_eq!(intent(&[begun, at(7, "c"), at(99, "d")]), Some(("d".into(), 99, 99)));
    }

    #[test]
    fn a_later_run_closes_what_it_took_up_and_nothing_else() {
        let left_by_first = [run(), created("k", "b")];
        let after = |records: &[Record]| batch(&[&left_by_first, records].concat());
        // The second run was refused before it could look.
        assert_eq!(after(&[run(), closed()]), Some(("b".into(), Owner::ThisRun)));
        assert_eq!(after(&[run(), attached("k", "other")]), Some(("other".into(), Owner::AnotherRun)));
        assert_eq!(after(&[run(), attached("k", "b")]), Some(("b".into(), Owner::ThisRun)), "it was created here");
        assert_eq!(after(&[run(), attached("k", "b"), closed()]), None);
        // A run of other work in the same directory.
        let other = [run(), created("other", "x"), closed()];
        assert_eq!(after(&other), Some(("b".into(), Owner::ThisRun)));
        let open = open_batches(&lines(&[&left_by_first[..], &other].concat()), "o");
        let expected = [("k".into(), Named { id: "b".into(), owner: Owner::ThisRun, create: Some("c".into()) })];
        assert_eq!(open, expected);
        let collected = lines(&[&left_by_first[..], &[run(), attached("", "b")]].concat());
        assert_eq!(open_batches(&collected, "o"), expected, "once, by whatever key");
    }

    #[test]
    fn a_batch_that_was_given_up_keeps_the_mark_of_its_create() {
        let instead_of = Some("b".into());
        let yielded =
            Record::Attached { key: "k".into(), batch_id: "older".into(), owner: Owner::AnotherRun, instead_of };
        let left = left(&lines(&[run(), create("k", "c"), created("k", "b"), yielded]), "o", "k");
        assert_eq!(left.batch, Some(Named { id: "older".into(), owner: Owner::AnotherRun, create: None }));
        assert_eq!(left.duplicate, Some(Named { id: "b".into(), owner: Owner::ThisRun, create: Some("c".into()) }));
    }

    #[test]
    fn halved_work_stays_halved_until_its_run_is_closed() {
        let halved = |key: &str| Record::Halved { key: key.into() };
        let of = |records: &[Record]| is_halved(&lines(records), "o", "k");
        let sent = [run(), created("k", "b"), halved("k"), created("half", "h")];
        assert!(of(&sent) && of(&[&sent[..], &[run(), closed()]].concat()));
        assert!(!of(&[]) && !of(&[run(), halved("other")]) && !is_halved(&lines(&sent), "elsewhere", "k"));
        assert!(!of(&[&sent[..], &[closed()]].concat()));
        let open: Vec<String> = open_batches(&lines(&sent), "o").into_iter().map(|(_, named)| named.id).collect();
        assert_eq!((batch(&sent), open), (None, vec!["h".to_owned()]));
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
