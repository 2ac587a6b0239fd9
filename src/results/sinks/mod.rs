//! Sinks: what is made of the rows. Each is a file of its own and knows no other;
//! `summary_line.rs` is what the two files of answers have in common.
//!
//! The engine ([`reconcile`](super::reconcile)) calls every sink and knows none by
//! name. A new sink is a file here and an entry in [`all`], or in [`shown`] if it only shows single rows.

mod answers_csv;
mod answers_jsonl;
mod cases;
mod failures;
mod results_jsonl;
mod samples;
mod selection;
mod summary_line;
mod suspects;
mod tally;
mod unexpected;

use std::io::Write;

pub(crate) use self::answers_csv::NAME as ANSWERS_CSV;
pub(crate) use self::results_jsonl::NAME as RESULTS_JSONL;
pub(crate) use self::selection::KEPT_JSONL;

use super::pricing::Used;
use super::reread::Line;
use super::row::Row;
use super::{AnswersFile, Results};
use crate::error::Error;
use crate::values::AnswerFiles;

/// What is made of the rows. A sink implements what it needs.
pub(crate) trait Sink {
    /// An answer that is paid for: a success, or a failure that states what it used, whether it is
    /// its request's row in the end or not. Called while the answers are read, in their order and
    /// before any row, so that sums over all of them need not read them again.
    fn paid(&mut self, _file: &AnswersFile, _used: &Used<'_>) {}

    /// A line that is nobody's row: it repeats an answer, names no request of ours, or
    /// cannot be read. Called while the answers are read.
    ///
    /// # Errors
    /// The line cannot be read or written.
    fn stray(&mut self, _line: &Line<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// A row. Called once for each request, in the order of the requests.
    ///
    /// # Errors
    /// The row cannot be read or written.
    fn row(&mut self, _row: &Row<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Called after the last row. Publishes files and adds what was found to the results.
    ///
    /// # Errors
    /// A file cannot be written.
    fn finish(self: Box<Self>, results: &mut Results) -> Result<(), Error>;
}

/// A file that a sink writes.
pub(crate) trait Output: Write {
    /// Gives the file its name, once it is complete. Returns what the user should know about it.
    ///
    /// # Errors
    /// The file cannot be written.
    fn publish(self: Box<Self>) -> Result<Option<String>, Error>;
}

/// The files that sinks may write, by their names in the output directory.
pub(crate) const FILES: [&str; 4] = [RESULTS_JSONL, unexpected::NAME, answers_jsonl::NAME, answers_csv::NAME];

/// The sinks of a run. `open` begins a file of the output directory by its name.
/// The files are published in this order.
///
/// # Errors
/// A file cannot be created.
pub(crate) fn all<'a>(
    answer_files: AnswerFiles,
    open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>,
) -> Result<Vec<Box<dyn Sink + 'a>>, Error> {
    if answer_files == AnswerFiles::Alone {
        return Ok(vec![Box::new(answers_jsonl::AnswersJsonl::new(open)?)]);
    }
    let mut sinks: Vec<Box<dyn Sink + 'a>> = vec![
        Box::new(tally::Tally::default()),
        Box::new(failures::Failures::default()),
        Box::new(suspects::Suspects::default()),
        Box::new(results_jsonl::ResultsJsonl::new(&open)?),
        Box::new(unexpected::Unexpected::new(&open)?),
    ];
    if answer_files == AnswerFiles::Write {
        sinks.push(Box::new(answers_jsonl::AnswersJsonl::new(&open)?));
        sinks.push(Box::new(answers_csv::AnswersCsv::new(&open)?));
    }
    Ok(sinks)
}

/// Which rows are shown one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Whether rows become test cases.
    pub(crate) cases: TestCases,
    /// How many answers are shown, of the first.
    pub(crate) samples: usize,
}

/// Whether rows become test cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TestCases {
    /// They do.
    Keep,
    /// Nobody asked for them.
    #[default]
    Omit,
}

/// The sinks that keep single rows to be shown.
pub(crate) fn shown<'a>(shown: Shown) -> Vec<Box<dyn Sink + 'a>> {
    let mut sinks: Vec<Box<dyn Sink + 'a>> = Vec::new();
    if shown.cases == TestCases::Keep {
        sinks.push(Box::new(cases::Cases::default()));
    }
    if shown.samples > 0 {
        sinks.push(Box::new(samples::Samples::new(shown.samples)));
    }
    sinks
}

/// The sink that selects which rows of an earlier run are sent again: they become what is worth a retry, and
/// requests without a line are missing. Lines that are kept go to a file, and are counted.
///
/// # Errors
/// The file cannot be begun.
pub(crate) fn selection<'a>(
    open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>,
) -> Result<Vec<Box<dyn Sink + 'a>>, Error> {
    Ok(vec![Box::new(selection::Selection::new(open)?)])
}

/// The sink that writes the table of answers, and nothing else.
///
/// # Errors
/// The table cannot be begun.
pub(crate) fn table<'a>(
    open: impl Fn(&'static str) -> Result<Box<dyn Output + 'a>, Error>,
) -> Result<Vec<Box<dyn Sink + 'a>>, Error> {
    Ok(vec![Box::new(answers_csv::AnswersCsv::new(open)?)])
}

/// Files in memory, for tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::io::{self, Write};
    use std::rc::Rc;

    use super::{Error, Output};

    /// Files by name, each once it is published or before.
    #[derive(Clone, Default)]
    pub(crate) struct Files(Rc<RefCell<BTreeMap<&'static str, Vec<u8>>>>);

    struct Open(Files, &'static str);

    impl Files {
        pub(crate) fn open(&self, name: &'static str) -> Box<dyn Output> {
            self.0.borrow_mut().insert(name, Vec::new());
            Box::new(Open(self.clone(), name))
        }

        pub(crate) fn read(&self, name: &str) -> Vec<u8> {
            self.0.borrow().get(name).cloned().unwrap_or_default()
        }
    }

    impl Write for Open {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.0.borrow_mut().entry(self.1).or_default().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Open {
        fn publish(self: Box<Self>) -> Result<Option<String>, Error> {
            Ok(None)
        }
    }
}
