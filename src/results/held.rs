//! What the files of each batch hold. It is compared with what the provider's own
//! counts promise.

use std::ops::Range;

use super::AnswersFile;
use crate::dialects::Kind;

/// What the files of a batch hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Distinct requests of ours that a line of any file names.
    pub(crate) requests: u64,
    /// Lines that name none of ours: their id cannot be read, or is a stranger's.
    pub(crate) nameless: u64,
    /// Lines that name a request of ours and hold a success without an answer.
    pub(crate) empty: u64,
    /// Its files, in the order in which they were given.
    pub(crate) files: Vec<FileHeld>,
}

impl Held {
    /// Whether so many answers are empty that the shape of them must be unknown to us: more than half.
    pub(super) fn is_misread(&self) -> bool {
        self.empty.saturating_mul(2) > self.requests
    }
}

/// What one file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHeld {
    /// `output` or `error`.
    pub(crate) what: &'static str,
    /// Its lines, without blank ones.
    pub(crate) lines: u64,
    /// Whether any of them names a request of ours.
    pub(crate) names_any: bool,
}

/// Whether a line is the first of its batch that names its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mention {
    /// It is.
    First,
    /// It is not, or names none of ours.
    Again,
}

/// The counts so far. A bit for each request tells whether the batch at hand
/// has named it: the files of a batch are read one after another.
pub(super) struct Holdings<'a> {
    answers: &'a [AnswersFile],
    held: Vec<Held>,
    /// Where each file's counts are: its batch, and its place among that batch's files.
    places: Vec<(usize, usize)>,
    named: Vec<u64>,
    /// The batch that `named` is about, and the words of it that are not all zero.
    batch: usize,
    touched: Range<usize>,
}

impl<'a> Holdings<'a> {
    /// Nothing yet of these files, for so many requests.
    pub(super) fn new(answers: &'a [AnswersFile], total: u64) -> Self {
        let batches = answers.iter().map(|of| of.batch + 1).max().unwrap_or(0);
        let mut held = vec![Held::default(); batches];
        let mut places = Vec::new();
        for of in answers {
            places.push((of.batch, held[of.batch].files.len()));
            held[of.batch].files.push(FileHeld { what: of.what, lines: 0, names_any: false });
        }
        let named = vec![0; usize::try_from(total.div_ceil(64)).unwrap_or(0)];
        Self { answers, held, places, named, batch: 0, touched: 0..0 }
    }

    /// The files with their indices, those of earlier attempts first and those of a batch side by side.
    pub(super) fn order(&self) -> Vec<(usize, &'a AnswersFile)> {
        let mut order: Vec<(usize, &AnswersFile)> = self.answers.iter().enumerate().collect();
        order.sort_by_key(|(_, of)| (of.attempt, of.batch));
        order
    }

    /// Notes a line of a file that is not blank, the request of ours that it names, and how it answers.
    pub(super) fn line(&mut self, file: usize, index: Option<u32>, kind: Kind) -> Mention {
        let (batch, at) = self.places[file];
        let held = &mut self.held[batch];
        held.files[at].lines += 1;
        let Some(index) = index else {
            held.nameless += 1;
            return Mention::Again;
        };
        held.files[at].names_any = true;
        held.empty += u64::from(kind == Kind::Empty);
        if self.batch != batch {
            self.named[self.touched.clone()].fill(0);
            (self.batch, self.touched) = (batch, 0..0);
        }
        let (word, bit) = (index as usize / 64, 1 << (index % 64));
        let before = self.named[word];
        self.named[word] |= bit;
        self.held[batch].requests += u64::from(before & bit == 0);
        let Range { start, end } = self.touched.clone();
        self.touched = if start == end { word..word + 1 } else { start.min(word)..end.max(word + 1) };
        if before & bit == 0 { Mention::First } else { Mention::Again }
    }

    /// What the batches hold, by their indices.
    pub(super) fn into_held(self) -> Vec<Held> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswersFile, FileHeld, Holdings, Kind};

    fn file(batch: usize, what: &'static str) -> AnswersFile {
        AnswersFile { path: what.into(), what, attempt: 1, batch, ..AnswersFile::default() }
    }

    #[test]
    fn each_request_counts_once_a_batch_whatever_the_file() {
        let answers = [file(1, "output"), file(0, "output"), file(1, "error")];
        let mut holdings = Holdings::new(&answers, 200);
        let order: Vec<usize> = holdings.order().into_iter().map(|(file, _)| file).collect();
        assert_eq!(order, [1, 0, 2]);
        for (file, index) in
            [(1, Some(70)), (1, Some(70)), (1, None), (0, Some(70)), (0, Some(3)), (2, Some(199)), (2, Some(3))]
        {
            holdings.line(file, index, if file == 2 { Kind::Empty } else { Kind::Success });
        }
        let held = holdings.into_held();
        assert_eq!((held[0].requests, held[0].nameless, held[0].empty), (1, 1, 0));
        assert_eq!((held[1].requests, held[1].nameless, held[1].empty), (3, 0, 2));
        assert!(held[1].is_misread() && !held[0].is_misread());
        assert_eq!(held[0].files, [FileHeld { what: "output", lines: 3, names_any: true }]);
        assert_eq!(held[1].files[1], FileHeld { what: "error", lines: 2, names_any: true });
    }

    #[test]
    fn a_page_that_names_nobody_is_seen() {
        let answers = [file(0, "output")];
        let mut holdings = Holdings::new(&answers, 1);
        holdings.line(0, None, Kind::Failure);
        assert!(!holdings.into_held()[0].files[0].names_any);
    }
}
