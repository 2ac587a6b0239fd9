//! Faults of the requests file: what a line or the whole is found to be, and where.
//!
//! A fault says where, what was found, what was expected and how to fix it, so
//! that nobody has to look the rule up. Its text is made safe where it is printed.

use serde::Serialize;

use crate::dialects::Finding;

/// How many faults are kept; the rest is counted. Few are printed, but a check on GitHub annotates them all.
const KEPT: usize = 1_000;

/// One fault of the requests file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, as the user named it.
    pub file: String,
    /// The line in that file, from 1; none where the fault is the file's as a whole.
    pub line: Option<u64>,
    /// The column in bytes, from 1, where one is known.
    pub column: Option<u64>,
    /// The field, as `body.model`, where it is about one.
    pub field: Option<String>,
    /// What was found.
    pub found: String,
    /// What was expected, as a clause of its own.
    pub expected: String,
    /// How to fix it.
    pub fix: String,
}

impl Fault {
    /// The fault in a line: ``requests.jsonl:12: `body.stream` is true; batches cannot stream: remove it``.
    pub fn sentence(&self) -> String {
        let mut text = self.file.clone();
        for number in [self.line, self.line.and(self.column)].into_iter().flatten() {
            text = format!("{text}:{number}");
        }
        format!("{text}: {}", self.statement())
    }

    /// The same without the place, for where that is shown by itself.
    pub fn statement(&self) -> String {
        let subject = self.field.as_ref().map(|field| format!("`{field}` is ")).unwrap_or_default();
        format!("{subject}{}; {}: {}", self.found, self.expected, self.fix)
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The first of them, each with its line of the whole; 0 if it is the whole's.
    kept: Vec<(u64, Fault)>,
    /// All of them.
    pub(crate) count: u64,
}

impl Faults {
    /// Adds a fault of a line of `file`, from 1, which stands at `at` in the
    /// whole. Faults come roughly in the order of their lines.
    pub(crate) fn add(&mut self, at: u64, file: &str, line: u64, finding: Finding) {
        self.count += 1;
        let index = self.kept.partition_point(|(before, _)| *before <= at);
        if index < KEPT {
            self.kept.truncate(KEPT - 1);
            self.kept.insert(index, (at, place(file, Some(line), finding)));
        }
    }

    /// Adds a fault of the whole, ahead of the others: no number of bad lines hides it.
    pub(crate) fn add_whole(&mut self, file: &str, finding: Finding) {
        self.count += 1;
        self.kept.truncate(KEPT - 1);
        self.kept.insert(0, (0, place(file, None, finding)));
    }

    /// The first of them, those of the whole ahead.
    pub(crate) fn first(self) -> Vec<Fault> {
        self.kept.into_iter().map(|(_, fault)| fault).collect()
    }
}

fn place(file: &str, line: Option<u64>, finding: Finding) -> Fault {
    Fault {
        file: file.to_owned(),
        line,
        column: finding.column,
        field: finding.field.map(str::to_owned),
        found: finding.found,
        expected: finding.expected,
        fix: finding.fix,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Finding, KEPT};

    #[test]
    fn a_sentence_says_where_what_why_and_how() {
        let mut fault = Fault {
            file: "requests.jsonl".into(),
            line: Some(12),
            column: Some(7),
            field: Some("body.stream".into()),
            found: "true".into(),
            expected: "batches cannot stream".into(),
            fix: "remove it".into(),
        };
        let place = "requests.jsonl:12:7: ";
        let rest = "`body.stream` is true; batches cannot stream: remove it";
        assert_eq!(fault.sentence(), format!("{place}{rest}"));
        assert_eq!(fault.statement(), rest);
        fault.line = None;
        assert_eq!(fault.sentence(), format!("requests.jsonl: {rest}"));
    }

    #[test]
    fn the_first_faults_are_kept_and_all_are_counted() {
        let mut faults = Faults::default();
        for line in [2, 1].into_iter().chain(3..=2_500).chain([7]) {
            faults.add(line, "a", line, Finding::new("this", "that", "so"));
        }
        faults.add_whole("a", Finding::new("too much", "less", "split it"));
        let count = faults.count;
        let lines: Vec<_> = faults.first().iter().map(|fault| fault.line).collect();
        assert_eq!((lines.len(), count), (KEPT, 2_502));
        assert_eq!(lines[..4], [None, Some(1), Some(2), Some(3)]);
        assert_eq!(lines[7..10], [Some(7), Some(7), Some(8)]);
    }
}
