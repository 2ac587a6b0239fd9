//! Faults of the requests file: what a line or the whole is found to be, and where.
//!
//! A fault says where, what was found, what was expected and how to fix it, so
//! that nobody has to look the rule up. Its text is made safe where it is printed.

use serde::{Deserialize, Serialize};

use super::source::STANDARD_INPUT;
use crate::dialects::Finding;

/// How many rows are kept; the rest is counted. Few are printed, but a check on GitHub annotates them all.
const KEPT: usize = 1_000;
/// Among how many of the last rows the one is looked for that a fault continues: a line has few faults.
const RECENT: usize = 16;

/// One fault of the requests file, or the same one on several lines in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Fault {
    /// The file, as the user named it.
    pub file: String,
    /// The line in that file, from 1; none where the fault is the file's as a whole.
    pub line: Option<u64>,
    /// The last of the lines that have it, one after another; the same where it is one.
    pub last_line: Option<u64>,
    /// The column in bytes, from 1, where one is known and the same on all lines.
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
    /// The fault with its place: ``requests.jsonl:12: `body.stream` is true; batches cannot stream: remove it``.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.place(), self.statement())
    }

    /// Where it is: `requests.jsonl`, `requests.jsonl:12`, `requests.jsonl:12:7` or `requests.jsonl, lines 3-40`.
    pub fn place(&self) -> String {
        match (self.line, self.last_line, self.column) {
            (None, _, _) => self.file.clone(),
            (Some(line), Some(last), _) if last > line => format!("{}, lines {line}-{last}", self.file),
            (Some(line), _, None) => format!("{}:{line}", self.file),
            (Some(line), _, Some(column)) => format!("{}:{line}:{column}", self.file),
        }
    }

    /// The same without the place, for where that is shown by itself.
    pub fn statement(&self) -> String {
        let subject = self.field.as_ref().map(|field| format!("`{field}` is ")).unwrap_or_default();
        format!("{subject}{}; {}: {}", self.found, self.expected, self.fix)
    }

    /// How many faults it stands for: one on each of its lines.
    pub fn count(&self) -> u64 {
        let (line, last) = (self.line.unwrap_or_default(), self.last_line.unwrap_or_default());
        last.saturating_sub(line).saturating_add(1)
    }

    /// Takes in a fault of the next line; whether it is the same one there.
    fn continues(&mut self, next: &Self) -> bool {
        let is_next = self.last_line.zip(next.line).is_some_and(|(last, line)| last + 1 == line);
        let about = |fault: &Self| (fault.file == next.file, fault.field == next.field, fault.found == next.found);
        if !is_next || about(self) != (true, true, true) || (&self.expected, &self.fix) != (&next.expected, &next.fix) {
            return false;
        }
        self.last_line = next.last_line;
        self.column = self.column.filter(|column| Some(*column) == next.column);
        true
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The first rows of them, each with its first line of the whole; 0 if it is the whole's.
    kept: Vec<(u64, Fault)>,
    /// All of them.
    pub(crate) count: u64,
}

impl Faults {
    /// Adds a fault of a line of `file`, from 1, which stands at `at` in the
    /// whole. Faults come roughly in the order of their lines.
    pub(crate) fn add(&mut self, at: u64, file: &str, line: u64, finding: Finding) {
        self.count += 1;
        let fault = place(file, Some(line), finding);
        if self.kept.iter_mut().rev().take(RECENT).any(|(_, before)| before.continues(&fault)) {
            return;
        }
        let index = self.kept.partition_point(|(before, _)| *before <= at);
        if index < KEPT {
            self.kept.truncate(KEPT - 1);
            self.kept.insert(index, (at, fault));
        }
    }

    /// Puts one fault of a file in place of those of its lines, of which the first stands at `from` in the whole and
    /// so many were counted.
    pub(crate) fn add_file(&mut self, from: u64, file: &str, counted: u64, finding: Finding) {
        self.count = self.count - counted + 1;
        self.kept.retain(|(at, _)| *at < from);
        if self.kept.len() < KEPT {
            self.kept.push((from, place(file, None, finding)));
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
    let fix = match finding.command {
        Some(command) if finding.fix.is_empty() => format!("run `{}`", on_file(&command, file)),
        Some(command) => format!("run `{}`, {}", on_file(&command, file), finding.fix),
        None => finding.fix,
    };
    Fault {
        file: file.to_owned(),
        line,
        last_line: line,
        column: finding.column,
        field: finding.field.map(str::to_owned),
        found: finding.found,
        expected: finding.expected.into(),
        fix,
    }
}

/// A command for a shell that makes `x.fixed.jsonl` of `x.json`. Git writes into the file itself.
fn on_file(command: &str, file: &str) -> String {
    if file == STANDARD_INPUT {
        return command.trim_end_matches([' ', '<', '-']).to_owned();
    }
    let quoted = |name: &str| {
        // A name that begins with a dash would be a flag.
        let name = if name.starts_with('-') { format!("./{name}") } else { name.to_owned() };
        shlex::try_quote(&name).map_or_else(|_| name.clone(), Into::into)
    };
    if command.starts_with("git ") {
        return format!("{command} {}", quoted(file));
    }
    let endings = [".gz", ".zip", ".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".txt"];
    let stem = endings.iter().fold(file, |stem, ending| {
        stem.strip_suffix(ending).filter(|rest| !rest.is_empty() && !rest.ends_with(['/', '\\'])).unwrap_or(stem)
    });
    format!("{command} {} > {}", quoted(file), quoted(&format!("{stem}.fixed.jsonl")))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Finding, KEPT};

    #[test]
    fn a_sentence_says_where_what_why_and_how() {
        let mut fault = Fault {
            file: "requests.jsonl".into(),
            line: Some(12),
            last_line: Some(12),
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
        fault.last_line = Some(40);
        assert_eq!((fault.sentence(), fault.count()), (format!("requests.jsonl, lines 12-40: {rest}"), 29));
        (fault.line, fault.last_line) = (None, None);
        assert_eq!((fault.sentence(), fault.count()), (format!("requests.jsonl: {rest}"), 1));
    }

    #[test]
    fn the_first_faults_are_kept_and_all_are_counted() {
        let mut faults = Faults::default();
        for line in [2, 1].into_iter().chain(3..=2_500).chain([7]) {
            faults.add(line, "a", line, Finding::new(format!("this {}", line % 3), "that", "so"));
        }
        faults.add_whole("a", Finding::new("too much", "less", "split it"));
        let count = faults.count;
        let lines: Vec<_> = faults.first().iter().map(|fault| fault.line).collect();
        assert_eq!((lines.len(), count), (KEPT, 2_502));
        assert_eq!(lines[..4], [None, Some(1), Some(2), Some(3)]);
        assert_eq!(lines[7..10], [Some(7), Some(7), Some(8)]);
    }

    #[test]
    fn equal_faults_of_lines_in_a_row_are_one() {
        let mut faults = Faults::default();
        let finding = |what: &str, column| Finding::new(what, "that", "so").at(column);
        for line in 1..=50 {
            faults.add(line, "a", line, finding("this", 3));
            faults.add(line, "a", line, finding(if line == 20 { "one" } else { "other" }, line as usize));
        }
        faults.add(51, "b", 1, finding("this", 3));
        faults.add(53, "b", 3, finding("this", 3));
        let count = faults.count;
        let places: Vec<_> = faults.first().iter().map(Fault::place).collect();
        assert_eq!(places, ["a, lines 1-50", "a, lines 1-19", "a:20:20", "a, lines 21-50", "b:1:3", "b:3:3"]);
        assert_eq!(count, 102);
    }

    #[test]
    fn a_command_works_with_any_name() {
        for (file, expected) in [
            ("data/my file.json", "jq -c . 'data/my file.json' > 'data/my file.fixed.jsonl'"),
            ("requests.jsonl.gz", "jq -c . requests.jsonl.gz > requests.fixed.jsonl"),
            ("-x", "jq -c . ./-x > ./-x.fixed.jsonl"),
            (".json", "jq -c . .json > .json.fixed.jsonl"),
            ("$(x)`y`", "jq -c . '$(x)`y`' > '$(x)`y`.fixed.jsonl'"),
            ("standard input", "jq -c ."),
        ] {
            assert_eq!(super::on_file("jq -c .", file), expected);
        }
        assert_eq!(super::on_file("git checkout --ours --", "a b"), "git checkout --ours -- 'a b'");
        assert_eq!(super::on_file("gzip -dc <", "standard input"), "gzip -dc");
    }
}
