//! What the provider's account of a batch promises, against what is here of its
//! answers. Pure decisions; `commands/gather.rs` fetches again and waits.
//!
//! Answers that were promised were paid for. As long as one of them may still be
//! had, no request may be sent again for want of it.

use std::time::Duration;

use crate::dialects::{Batch, Status};
use crate::policy::{FEW_ANSWERS, FEW_PERCENT, FILE_NAMED, SETTLED};
use crate::results::Held;
use crate::text::{counted, requests_count};

/// The state of one of a batch's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// The batch names none.
    Unnamed,
    /// It is here, and has been the same for so long.
    Whole {
        /// How long.
        unchanged: Duration,
    },
    /// The provider has answered 404 or 410 for so long.
    Absent {
        /// How long.
        lasted: Duration,
    },
    /// It has not arrived whole, for this reason.
    Broken(String),
}

/// What is known of the answers of a batch that is over.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    /// The batch.
    pub batch: &'a Batch,
    /// Requests that were sent in it, where that is known.
    pub requests: Option<u64>,
    /// What its files hold.
    pub held: &'a Held,
    /// Its output file.
    pub output: FileState,
    /// Its error file.
    pub error: FileState,
    /// How long it has been waited for: a file may be named late.
    pub waited: Duration,
}

/// What became of the files that held answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// None of them is gone.
    Kept,
    /// One is gone, or both.
    Gone,
}

/// What an account comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// There is nothing more to fetch.
    Settled {
        /// What the user should know.
        warnings: Vec<String>,
        /// What became of the files that held answers.
        files: Files,
    },
    /// There may be more: the reason, as a clause.
    Doubtful(String),
}

/// How many answers the provider promises: none where it does not count them,
/// and none of a batch that failed or was cancelled.
pub(crate) fn promised(batch: &Batch, requests: Option<u64>) -> u64 {
    if matches!(batch.status, Status::Failed | Status::Cancelled) {
        return 0;
    }
    let total = requests.or(batch.counts.total.filter(|total| *total > 0)).unwrap_or(u64::MAX);
    batch.counts.done().unwrap_or(0).min(total)
}

impl Account<'_> {
    /// Examines the account.
    pub(crate) fn examine(&self) -> Finding {
        let states = [("output", &self.output), ("error", &self.error)];
        let mut warnings = Vec::new();
        if self.is_answered() {
            for (what, state) in states {
                match state {
                    FileState::Broken(why) => warnings.push(self.unneeded(what, why)),
                    FileState::Absent { .. } => warnings.push(self.unneeded(what, "it does not exist")),
                    FileState::Unnamed | FileState::Whole { .. } => {}
                }
            }
            return Finding::Settled { warnings, files: Files::Kept };
        }
        let mut gone = Some(0);
        let mut files = Files::Kept;
        for (what, state) in states {
            match state {
                FileState::Broken(why) => return doubt(format!("its {what} file has not arrived whole: {why}")),
                FileState::Absent { .. } if what == "error" && self.counted(what) == Some(0) => {
                    warnings.push(self.unneeded(what, "it does not exist"));
                }
                FileState::Absent { lasted } if *lasted >= SETTLED => {
                    files = Files::Gone;
                    gone = gone.zip(self.counted(what)).map(|(gone, count)| gone + count);
                }
                FileState::Absent { .. } => return doubt(format!("its {what} file is not there")),
                FileState::Whole { .. } if self.is_no_answers(what) => {
                    return doubt(format!("no line of its {what} file names a request"));
                }
                FileState::Unnamed | FileState::Whole { .. } => {}
            }
        }
        if files == Files::Gone {
            warnings.push(format!("A file of batch {} no longer exists, and its answers with it.", self.batch.id));
        }
        match gone {
            Some(gone) => self.compare(gone, files, warnings),
            // What else there may be nobody can tell.
            None => Finding::Settled { warnings, files },
        }
    }

    /// Compares the numbers, where all files are whole or gone, those with so many answers.
    fn compare(&self, gone: u64, files: Files, mut warnings: Vec<String>) -> Finding {
        let settled = |warnings| Finding::Settled { warnings, files };
        let names_none = self.output == FileState::Unnamed && self.error == FileState::Unnamed;
        if names_none && self.may_name_files() {
            return doubt("it names no file of answers".to_owned());
        }
        let promised = promised(self.batch, self.requests);
        let held = self.held.requests + self.held.nameless;
        let short = promised.saturating_sub(held + gone);
        if short == 0 {
            return settled(warnings);
        }
        let total = self.requests.or(self.batch.counts.total).unwrap_or(promised);
        let is_few = short <= FEW_ANSWERS || short.saturating_mul(100) <= total.saturating_mul(FEW_PERCENT);
        if is_few && self.rests(&self.output) && self.rests(&self.error) {
            warnings.push(format!(
                "Batch {} counts {} as done, but its files hold {} and do not change any more.",
                self.batch.id,
                requests_count(promised),
                counted(held, "answer", "answers")
            ));
            return settled(warnings);
        }
        if names_none {
            return doubt(format!("it counts {} and names no file", counted(promised, "answer", "answers")));
        }
        doubt(format!("its files hold {held} of the {} that it counts", counted(promised, "answer", "answers")))
    }

    /// Whether a batch that names no file may still do so.
    fn may_name_files(&self) -> bool {
        match (&self.batch.status, self.batch.counts.done()) {
            // Nobody knows how many answers there are.
            (Status::Completed | Status::Expired, None) => true,
            (Status::Completed, Some(0)) => self.waited < SETTLED,
            (_, Some(done)) => done > 0 && self.waited < FILE_NAMED,
            (_, None) => false,
        }
    }

    /// Whether a file has been what it is for long enough.
    fn rests(&self, state: &FileState) -> bool {
        match state {
            FileState::Whole { unchanged } => *unchanged >= SETTLED,
            FileState::Unnamed => self.waited >= SETTLED,
            FileState::Absent { .. } => true,
            FileState::Broken(_) => false,
        }
    }

    /// Whether every request has its answer: then no file matters any more.
    fn is_answered(&self) -> bool {
        let total = self.requests.or(self.batch.counts.total);
        total.is_some_and(|total| total > 0 && self.held.requests >= total)
    }

    /// How many answers a file should hold, where the provider counts them.
    fn counted(&self, what: &str) -> Option<u64> {
        let counts = self.batch.counts;
        if what == "output" { counts.completed } else { counts.failed }
    }

    fn is_no_answers(&self, what: &str) -> bool {
        self.held.files.iter().any(|file| file.what == what && file.lines > 0 && !file.names_any)
    }

    fn unneeded(&self, what: &str, why: &str) -> String {
        format!(
            "The {what} file of batch {} could not be fetched ({why}), but no answer is missing because of it.",
            self.batch.id
        )
    }
}

fn doubt(why: String) -> Finding {
    Finding::Doubtful(why)
}

#[cfg(test)]
mod tests {
    use super::{Account, Duration, FileState, Finding, SETTLED, promised};
    use crate::dialects::{Batch, Counts, Status};
    use crate::results::{FileHeld, Held};

    const NEW: FileState = FileState::Whole { unchanged: Duration::ZERO };
    const OLD: FileState = FileState::Whole { unchanged: Duration::from_secs(120) };
    const ABSENT: FileState = FileState::Absent { lasted: Duration::from_secs(119) };
    const GONE: FileState = FileState::Absent { lasted: Duration::from_secs(120) };
    use FileState::Unnamed;

    fn broken() -> FileState {
        FileState::Broken("HTTP 503".to_owned())
    }

    fn batch(status: Status, counts: Counts) -> Batch {
        Batch { id: "batch_1".to_owned(), status, counts, ..Batch::default() }
    }

    /// Of 1,000 requests so many are named by the output file.
    fn found(counts: Counts, held: u64, output: FileState, error: FileState) -> Finding {
        let file = FileHeld { what: "output", lines: held, names_any: held > 0 };
        let held = Held { requests: held, files: vec![file], ..Held::default() };
        let batch = batch(Status::Completed, counts);
        // What is not named is not waited for any more.
        let waited = if error == Unnamed || output == Unnamed { SETTLED } else { Duration::ZERO };
        Account { batch: &batch, requests: Some(1000), held: &held, output, error, waited }.examine()
    }

    #[test]
    fn only_what_is_counted_is_promised() {
        use Status::{Cancelled, Completed, Expired, Failed};
        let counts = Counts::of(10, 6, 1);
        for (status, counts, expected) in [
            (Completed, counts, 7),
            (Expired, counts, 7),
            (Failed, counts, 0),
            (Cancelled, counts, 0),
            (Completed, Counts::default(), 0),
            (Completed, Counts { failed: None, ..counts }, 6),
            (Completed, Counts::of(10, 11, 1), 10),
            (Completed, Counts { total: None, ..Counts::of(0, 11, 1) }, 10),
        ] {
            assert_eq!(promised(&batch(status.clone(), counts), Some(10)), expected, "{status:?} {counts:?}");
        }
        assert_eq!(promised(&batch(Completed, Counts::of(5, 9, 0)), None), 5);
    }

    #[test]
    fn what_may_still_be_had_is_doubtful() {
        let all = Counts::of(1000, 1000, 0);
        for (why, counts, held, output, error) in [
            ("broken", all, 990, broken(), Unnamed),
            ("broken error file", Counts::of(1000, 900, 100), 900, OLD, broken()),
            ("absent for a moment", all, 0, ABSENT, Unnamed),
            ("short", all, 989, OLD, Unnamed),
            ("a little short for a moment", all, 999, NEW, Unnamed),
            ("no file named", Counts::default(), 0, Unnamed, Unnamed),
            ("no output file named", all, 0, Unnamed, OLD),
            ("counted and no file named", all, 0, Unnamed, Unnamed),
            ("error file gone, output file not named yet", Counts::of(1000, 900, 100), 0, Unnamed, GONE),
        ] {
            assert!(matches!(found(counts, held, output, error), Finding::Doubtful(_)), "{why}");
        }
    }

    #[test]
    fn what_cannot_be_had_any_more_is_settled() {
        use super::Files::{Gone, Kept};
        let all = Counts::of(1000, 1000, 0);
        for (why, counts, held, output, error, warns, became) in [
            ("whole", all, 1000, NEW, Unnamed, 0, Kept),
            ("not counted", Counts::default(), 500, NEW, Unnamed, 0, Kept),
            ("counted as less", Counts::of(1000, 10, 0), 500, NEW, Unnamed, 0, Kept),
            ("a little short", all, 990, OLD, Unnamed, 1, Kept),
            ("all there, error file broken", all, 1000, NEW, broken(), 1, Kept),
            ("all there, error file absent", all, 1000, NEW, ABSENT, 1, Kept),
            ("nothing failed, error file absent", Counts::of(1000, 900, 0), 900, NEW, ABSENT, 1, Kept),
            ("gone", all, 0, GONE, Unnamed, 1, Gone),
            ("error file gone", Counts::of(1000, 900, 100), 900, OLD, GONE, 1, Gone),
        ] {
            match found(counts, held, output, error) {
                Finding::Settled { warnings, files } => assert_eq!((warnings.len(), files), (warns, became), "{why}"),
                Finding::Doubtful(doubt) => panic!("{why}: {doubt}"),
            }
        }
    }

    #[test]
    fn a_page_in_a_files_place_is_no_file_of_answers() {
        let held = Held {
            nameless: 4,
            files: vec![FileHeld { what: "output", lines: 4, names_any: false }],
            ..Held::default()
        };
        for counts in [Counts::default(), Counts::of(3, 3, 0)] {
            let batch = batch(Status::Completed, counts);
            let (output, error, waited) = (OLD, Unnamed, SETTLED);
            let account = Account { batch: &batch, requests: Some(3), held: &held, output, error, waited };
            assert!(matches!(account.examine(), Finding::Doubtful(_)), "{counts:?}");
        }
    }
}
