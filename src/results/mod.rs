//! Reconciliation: every request gets its answer, its failure, or a line that
//! says it has neither.
//!
//! Providers return answers in any order, in two files, sometimes twice and
//! sometimes not at all. Two passes put them right: the first notes where each
//! request's answer stands, the second copies the answers in the order of the
//! requests, byte for byte. No answer is held but those at hand: memory is 12
//! bytes a request. Whether the counts are good enough is the
//! verdict's business.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

mod answer;
mod failures;
mod held;
mod slots;
mod tail;

pub use self::held::{FileHeld, Held};
pub use self::tail::ends_whole;

use self::answer::Answer;
use self::failures::{Failures, GONE, MISSING};
use self::held::Holdings;
use self::slots::{Place, Ranges, Slots};
use crate::error::{Error, Exit};
use crate::report::{Counts, FailureGroup, Tokens};
use crate::requests::ids::Ids;
use crate::requests::lines::{Block, LONGEST_ANSWER, LONGEST_REQUEST, Line, Lines};
use crate::requests::loose::{Loose, Seen};
use crate::requests::row::Row;
use crate::requests::source::{Reader, Source};
use crate::values::RetryOn;

/// The codes of requests that the provider did not get to.
const NEVER_RAN: [&str; 2] = ["batch_expired", "batch_cancelled"];

/// What is said of a request without an answer.
const NO_ANSWER: &str = "The provider gave no answer to this request.";

/// A downloaded file of answers.
#[derive(Clone, Debug)]
pub struct AnswersFile {
    /// Where it is.
    pub path: PathBuf,
    /// `output` or `error`: which of a batch's two files, for messages. What a
    /// line means is decided by the line alone.
    pub what: &'static str,
    /// Which attempt at the requests it is of, from 1.
    pub attempt: u32,
    /// The index of its batch among those of the run.
    pub batch: usize,
    /// The endpoint its requests went to, where that is known.
    pub endpoint: Option<String>,
}

/// How the requests fared.
#[derive(Debug)]
pub struct Results {
    /// How many in which way.
    pub counts: Counts,
    /// Summed over the answers that count.
    pub tokens: Tokens,
    /// Failed and missing requests by code, most frequent first.
    pub failures: Vec<FailureGroup>,
    /// The requests, by index and in order, that failed in a way that may pass.
    pub retryable: Vec<u32>,
    /// The requests, by index and in order, without an answer.
    pub missing: Vec<u32>,
    /// What the files of each batch hold, by the batch's index.
    pub batches: Vec<Held>,
    /// What the user should know beside that.
    pub warnings: Vec<String>,
}

impl Results {
    /// The requests, by index and in order, for which a retry may bring an answer.
    pub fn worth_retrying(&self) -> Vec<u32> {
        let mut all = [&self.retryable[..], &self.missing].concat();
        all.sort_unstable();
        all
    }

    /// How many requests never ran: missing, expired or cancelled.
    pub fn never_ran(&self) -> u64 {
        let never = |group: &&FailureGroup| NEVER_RAN.contains(&group.code.as_str());
        self.counts.missing + self.failures.iter().filter(never).map(|group| group.count).sum::<u64>()
    }
}

/// How rows are treated that have no good answer.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Which failures are retried beside the default ones.
    pub retry_on: &'a RetryOn,
    /// The requests, as ranges of indices in order, whose answers no longer exist at the provider.
    pub gone: &'a [Range<u32>],
}

/// Why a request has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// The provider gave no answer.
    Missing,
    /// It had one, in a file that no longer exists.
    Gone,
}

impl Absence {
    fn code(self) -> &'static str {
        match self {
            Self::Missing => MISSING,
            Self::Gone => GONE,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Missing => NO_ANSWER,
            Self::Gone => "The file that held the answer no longer exists at the provider.",
        }
    }
}

impl Policy<'_> {
    fn absence(&self, index: u32) -> Absence {
        let at = self.gone.partition_point(|range| range.end <= index);
        let is_gone = self.gone.get(at).is_some_and(|range| range.contains(&index));
        if is_gone { Absence::Gone } else { Absence::Missing }
    }
}

/// Writes one line per request to `results`, in the order of the requests, and
/// every line of the answers that is none of these to `unexpected`.
///
/// `ids` and `total` are what the check of `source` learned; `source` itself is
/// read again only to name requests without an answer.
///
/// # Errors
/// Ends in exit 3 if the requests are needed and have changed, in exit 1 if a
/// file cannot be read or written.
pub fn reconcile(
    source: &Source,
    ids: &Ids,
    total: u64,
    answers: &[AnswersFile],
    policy: &Policy<'_>,
    results: &mut dyn Write,
    unexpected: &mut dyn Write,
) -> Result<Results, Error> {
    let (holdings, slots) = (Holdings::new(answers, total), Slots::new(total)?);
    let mut first = First { ids, answers, slots, holdings, tally: Tally::default() };
    let mut ranges = Ranges::new(answers);
    first.tally.counts.total = total;
    for (file, of) in first.holdings.order() {
        let failed = |error| unreadable(of, error);
        let mut lines = Lines::new(File::open(&of.path).map_err(failed)?, LONGEST_ANSWER);
        while let Some(block) = lines.block().map_err(failed)? {
            for loser in first.block(file, &block) {
                ranges.copy(loser, unexpected)?;
            }
        }
    }
    let First { slots, holdings, mut tally, .. } = first;
    let mut asked = Asked { source, lines: None, next: 0 };
    for index in 0..total {
        let missing;
        let line = if let Some((place, succeeded)) = slots.get(index) {
            let line = ranges.read(place)?;
            if !succeeded && tally.failed(line) {
                tally.retryable.push(index as u32);
            }
            line
        } else {
            let id = asked.id(index, ids)?;
            let absence = policy.absence(index as u32);
            tally.unanswered(index as u32, &id, absence, policy);
            missing = absent_line(&id, absence)?;
            &missing
        };
        results.write_all(line).and_then(|()| results.write_all(b"\n")).map_err(unwritable)?;
    }
    results.flush().and_then(|()| unexpected.flush()).map_err(unwritable)?;
    Ok(tally.into_results(holdings.into_held()))
}

/// As [`reconcile`], where nobody knows the requests: answers stand in the order
/// in which they came, and of `total` requests the rest is missing, without lines.
///
/// # Errors
/// Ends in exit 1 if a file cannot be read or written.
pub fn keep_order(
    total: u64,
    answers: &[AnswersFile],
    is_gone: bool,
    results: &mut dyn Write,
    unexpected: &mut dyn Write,
) -> Result<Results, Error> {
    let mut ids = Ids::default();
    for of in answers {
        let failed = |error| unreadable(of, error);
        let mut lines = Lines::new(File::open(&of.path).map_err(failed)?, LONGEST_ANSWER);
        while let Some(line) = lines.next().map_err(failed)? {
            let id = line.bytes.and_then(Answer::read).and_then(Answer::into_custom_id);
            if let Some(id) = id {
                let index =
                    u32::try_from(ids.len()).map_err(|error| Error::internal("Too many answers.").because(error))?;
                // One that stands already is another answer to the same request; which of them counts is decided below.
                ids.insert(&[(id, index)]);
            }
        }
    }
    let answered = ids.len() as u64;
    let policy = Policy { retry_on: &RetryOn::default(), gone: &[] };
    let mut found = reconcile(&Source::default(), &ids, answered, answers, &policy, results, unexpected)?;
    let missing = total.saturating_sub(answered);
    found.counts.total = answered + missing;
    let absence = if is_gone { Absence::Gone } else { Absence::Missing };
    match absence {
        Absence::Gone => found.counts.failed += missing,
        Absence::Missing => found.counts.missing = missing,
    }
    if missing > 0 {
        let (code, message) = (absence.code().to_owned(), absence.message().to_owned());
        found.failures.push(FailureGroup { code, message, count: missing, custom_ids: Vec::new() });
        found.failures.sort_by_key(|group| std::cmp::Reverse(group.count));
    }
    Ok(found)
}

/// The first pass: which line answers which request. Successes are counted
/// here, since nothing replaces them; failures when it is certain that they stand.
struct First<'a> {
    ids: &'a Ids,
    answers: &'a [AnswersFile],
    slots: Slots,
    holdings: Holdings<'a>,
    tally: Tally,
}

impl First<'_> {
    /// Takes lines of the answers; returns those that answer nothing.
    fn block(&mut self, file: usize, block: &Block<'_>) -> Vec<Place> {
        let (mut ids, mut lines) = (Vec::new(), Vec::new());
        for line in block.lines().filter(|line| !is_blank(line)) {
            let answer = line.bytes.and_then(Answer::read).unwrap_or_default();
            lines.push((place(file, &line), answer.succeeded().then(|| answer.tokens())));
            ids.push(answer.into_custom_id().unwrap_or_default());
        }
        let mut losers = Vec::new();
        for ((place, success), index) in lines.into_iter().zip(self.ids.find_all(&ids)) {
            self.holdings.line(file, index);
            let before = index.and_then(|index| self.slots.get(index.into()));
            let mut loser = match index {
                Some(index) => self.slots.offer(place, index, success.is_some()),
                None => Some(place),
            };
            if let Some(tokens) = success.filter(|_| loser != Some(place)) {
                self.tally.counts.succeeded += 1;
                self.tally.used(tokens);
            }
            // What another attempt brought stands beside the first answer, and is nothing unexpected.
            let attempt = |file: usize| self.answers.get(file).map(|of| of.attempt);
            if before.is_some_and(|(before, _)| attempt(before.file) != attempt(file)) {
                loser = None;
            }
            losers.extend(loser);
        }
        self.tally.counts.unexpected += losers.len() as u64;
        losers
    }
}

fn is_blank(line: &Line<'_>) -> bool {
    line.bytes.is_some_and(|bytes| bytes.trim_ascii().is_empty())
}

/// Where a line stands, without its ending: `\n`, or CR LF.
fn place(file: usize, line: &Line<'_>) -> Place {
    let ending = line.bytes.is_some_and(|bytes| bytes.ends_with(b"\r"));
    Place { file, offset: line.offset, length: line.length - u64::from(ending) }
}

pub(crate) fn unreadable(answers: &AnswersFile, error: io::Error) -> Error {
    let message = format!("The {} file `{}` cannot be read.", answers.what, answers.path.display());
    Error::internal(message).because(error)
}

pub(crate) fn unwritable(error: io::Error) -> Error {
    Error::internal("The results could not be written.").because(error)
}

/// The requests, read again from the first that has no answer on.
struct Asked<'a> {
    source: &'a Source,
    lines: Option<Lines<Reader>>,
    /// The index of the line that comes next.
    next: u64,
}

impl Asked<'_> {
    /// The id of the request at `index`, which is greater each time.
    fn id(&mut self, index: u64, ids: &Ids) -> Result<String, Error> {
        let changed = || {
            let message = format!("`{}` changed since it was checked.", self.source.name());
            Error::new(Exit::Invalid, message)
                .hint("Without the file as it was, the requests without an answer cannot be named.")
        };
        let lines = self.lines.get_or_insert_with(|| Lines::new(self.source.open(), LONGEST_REQUEST));
        while let Some(line) = lines.next().map_err(|error| changed().because(error))? {
            self.next += 1;
            if self.next > index {
                let text = line.bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
                let row: Option<Loose<'_, Row<'_>>> = serde_json::from_str(text).ok();
                let id = row.and_then(|row| if let Seen::Text(id) = row.fields.custom_id { Some(id) } else { None });
                let same = id.filter(|id| ids.find(id).map(u64::from) == Some(index));
                return same.map(std::borrow::Cow::into_owned).ok_or_else(changed);
            }
        }
        Err(changed())
    }
}

/// What stands in the results for a request without an answer.
fn absent_line(custom_id: &str, absence: Absence) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    struct Missing<'a> {
        custom_id: &'a str,
        response: Option<()>,
        error: Problem,
    }
    #[derive(Serialize)]
    struct Problem {
        code: &'static str,
        message: &'static str,
    }
    let line =
        Missing { custom_id, response: None, error: Problem { code: absence.code(), message: absence.message() } };
    serde_json::to_vec(&line).map_err(|error| Error::internal("A result could not be written.").because(error))
}

#[derive(Default)]
struct Tally {
    counts: Counts,
    tokens: Tokens,
    failures: Failures,
    retryable: Vec<u32>,
    missing: Vec<u32>,
}

impl Tally {
    /// Takes note of a failure; tells whether another try may mend it.
    fn failed(&mut self, line: &[u8]) -> bool {
        // It was read once already; a file that changed in between has failed.
        let answer = Answer::read(line).unwrap_or_default();
        self.counts.failed += 1;
        self.failures.add(&answer.code(), &answer.message(), answer.custom_id().unwrap_or_default());
        self.used(answer.tokens());
        answer.may_pass()
    }

    fn used(&mut self, tokens: Tokens) {
        let sum = |total: &mut u64, tokens: u64| *total = total.saturating_add(tokens);
        sum(&mut self.tokens.input, tokens.input);
        sum(&mut self.tokens.cached, tokens.cached);
        sum(&mut self.tokens.output, tokens.output);
        sum(&mut self.tokens.reasoning, tokens.reasoning);
    }

    fn unanswered(&mut self, index: u32, custom_id: &str, absence: Absence, policy: &Policy<'_>) {
        self.failures.add(absence.code(), absence.message(), custom_id);
        match absence {
            Absence::Missing => {
                self.counts.missing += 1;
                self.missing.push(index);
            }
            // It was paid for: nobody pays again who has not asked for it.
            Absence::Gone => {
                self.counts.failed += 1;
                if policy.retry_on.covers(None, GONE) {
                    self.retryable.push(index);
                }
            }
        }
    }

    fn into_results(self, batches: Vec<Held>) -> Results {
        let mut warnings = Vec::new();
        if self.counts.unexpected > 0 {
            let why = "each repeats an answer, names no request of this run, or cannot be read";
            warnings.push(format!("Lines of the answers that were set aside: {}; {why}.", self.counts.unexpected));
        }
        let Self { counts, tokens, failures, retryable, missing } = self;
        Results { counts, tokens, failures: failures.sorted(), retryable, missing, batches, warnings }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AnswersFile, Policy, Results, RetryOn, reconcile};
    use crate::error::Exit;
    use crate::requests::source::testing::source;
    use crate::requests::testing::{chat, rules};

    /// What came of a reconciliation: the results, the lines set aside, and the counts.
    type Outcome = (String, String, Results);

    /// Reconciles requests with these ids, after `meddle` has had its way with their directory.
    fn meddled(ids: &[&str], files: &[&str], meddle: impl Fn(&std::path::Path)) -> Result<Outcome, super::Error> {
        let lines: Vec<String> = ids.iter().map(|id| chat(id)).collect();
        let (source, dir) = source(&[("requests.jsonl", lines.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        assert_eq!(checked.fault_count, 0);
        let mut answers = Vec::new();
        for (index, text) in files.iter().enumerate() {
            let path = dir.path().join(format!("answers-{index}"));
            std::fs::write(&path, text).unwrap();
            let (what, endpoint) = (if index == 0 { "output" } else { "error" }, None);
            answers.push(AnswersFile { path, what, attempt: 1, batch: 0, endpoint });
        }
        meddle(dir.path());
        let (mut results, mut unexpected) = (Vec::new(), Vec::new());
        let outcome = reconcile(
            &source,
            &checked.ids,
            checked.total,
            &answers,
            &Policy { retry_on: &RetryOn::default(), gone: &[] },
            &mut results,
            &mut unexpected,
        )?;
        Ok((String::from_utf8(results).unwrap(), String::from_utf8(unexpected).unwrap(), outcome))
    }

    fn reconciled(ids: &[&str], files: &[&str]) -> Outcome {
        meddled(ids, files, |_| ()).unwrap()
    }

    fn good(id: &str, tokens: u64) -> String {
        let usage = format!(r#"{{"prompt_tokens": {tokens}, "completion_tokens": 1}}"#);
        format!(r#"{{ "custom_id": {id:?}, "response": {{"status_code": 200, "body": {{"usage": {usage}}}}}}}"#)
    }

    fn bad(id: &str, code: &str) -> String {
        format!(r#"{{"custom_id":{id:?},"response":null,"error":{{"code":"{code}","message":"no"}}}}"#)
    }

    #[test]
    fn answers_come_back_in_input_order_byte_for_byte() {
        let (a, b, c) = (good("a", 10), bad("b", "batch_expired"), good(r"\u00e9", 5).replace(r"\\", r"\"));
        let output = format!("{c}\r\n\n  \n{a}");
        let (results, unexpected, outcome) = reconciled(&["a", "b", "é"], &[&output, &format!("{b}\n")]);
        assert_eq!((results, unexpected), (format!("{a}\n{b}\n{c}\n"), String::new()));
        assert_eq!((outcome.counts.succeeded, outcome.counts.failed, outcome.counts.missing), (2, 1, 0));
        assert_eq!((outcome.tokens.input, outcome.tokens.output), (15, 2));
        assert_eq!((outcome.failures[0].code.as_str(), outcome.failures[0].count), ("batch_expired", 1));
        assert!(outcome.warnings.is_empty());
    }

    #[test]
    fn a_request_without_an_answer_gets_a_line_that_says_so() {
        let (results, _, outcome) = reconciled(&["a", "\"", "c"], &[&good("c", 1)]);
        let missing = |id| {
            format!(
                r#"{{"custom_id":{id},"response":null,"error":{{"code":"batchstep_missing","message":"The provider gave no answer to this request."}}}}"#
            )
        };
        let expected = [missing(r#""a""#), missing(r#""\"""#), good("c", 1)].join("\n") + "\n";
        assert_eq!((results, outcome.counts.missing), (expected, 2));
        assert_eq!(outcome.failures[0].custom_ids, ["a", "\""]);
    }

    #[test]
    fn the_first_success_wins_and_the_others_are_set_aside() {
        let lines = [bad("a", "x"), bad("a", "y"), good("a", 1), good("a", 2), bad("a", "z"), good("no", 3)];
        let odd = ["garbage", "[]", r#"{"custom_id": 7}"#];
        let (results, unexpected, outcome) =
            reconciled(&["a"], &[&format!("{}\n{}", lines.join("\n"), odd.join("\n"))]);
        assert_eq!(results, format!("{}\n", lines[2]));
        let mut expected: Vec<&str> = lines.iter().map(String::as_str).chain(odd).collect();
        expected.remove(2);
        // The first failure goes when the success comes; the second went before it.
        expected.swap(0, 1);
        assert_eq!(unexpected, expected.join("\n") + "\n");
        assert_eq!((outcome.counts.unexpected, outcome.counts.succeeded, outcome.tokens.input), (8, 1, 1));
        assert!(outcome.warnings[0].starts_with("Lines of the answers that were set aside: 8;"), "{outcome:?}");
    }

    #[test]
    fn requests_that_changed_cannot_name_what_is_missing() {
        for text in
            ["", "{}", "\u{0}", &format!("{}\n{}", chat("a"), chat("x")), &format!("{}\n{}", chat("b"), chat("a"))]
        {
            let meddle = |dir: &std::path::Path| std::fs::write(dir.join("requests.jsonl"), text).unwrap();
            let error = meddled(&["a", "b"], &[&good("a", 1)], meddle).unwrap_err();
            assert_eq!(
                (error.exit, &*error.message),
                (Exit::Invalid, "`requests.jsonl` changed since it was checked.")
            );
            assert!(meddled(&["a"], &[&good("a", 1)], meddle).is_ok(), "it is not read if nothing is missing");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = meddled(&["a"], &[""], |dir| std::fs::remove_file(dir.join("answers-0")).unwrap()).unwrap_err();
        assert_eq!(error.exit, Exit::Internal);
        assert!(error.message.starts_with("The output file `"), "{error}");
    }

    proptest! {
        #[test]
        fn every_request_ends_in_exactly_one_way(
            total in 1usize..12,
            lines in prop::collection::vec((0usize..14, any::<bool>(), 0usize..3), 0..30),
        ) {
            let names: Vec<String> = (0..total).map(|index| format!("id-{index}")).collect();
            let ids: Vec<&str> = names.iter().map(String::as_str).collect();
            // Answers in any order, some lost, some repeated, some for ids nobody knows.
            let mut files = [String::new(), String::new(), String::new()];
            for (number, (index, succeeds, file)) in lines.iter().enumerate() {
                let id = format!("id-{index}");
                let line = if *succeeds { good(&id, number as u64) } else { bad(&id, &number.to_string()) };
                files[*file] += &(line + "\n");
            }
            let (results, unexpected, outcome) = reconciled(&ids, &files.each_ref().map(String::as_str));

            let counts = outcome.counts;
            prop_assert_eq!(counts.succeeded + counts.failed + counts.missing, total as u64);
            let answers = |id: usize| lines.iter().filter(move |(index, ..)| *index == id);
            let won = (0..total).filter(|id| answers(*id).any(|(_, succeeds, _)| *succeeds)).count();
            prop_assert_eq!(counts.succeeded, won as u64);
            let lost = (0..total).filter(|id| answers(*id).count() == 0).count();
            prop_assert_eq!(counts.missing, lost as u64);
            let groups: u64 = outcome.failures.iter().map(|group| group.count).sum();
            prop_assert_eq!(groups, counts.failed + counts.missing);

            let written: Vec<serde_json::Value> = results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(written.iter().map(|line| line["custom_id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
            // No line is lost: what came in went out once, here or there.
            let mut came: Vec<&str> = files.iter().flat_map(|file| file.lines()).collect();
            let kept = results.lines().filter(|line| !line.contains("batchstep_missing"));
            let mut went: Vec<&str> = kept.chain(unexpected.lines()).collect();
            came.sort_unstable();
            went.sort_unstable();
            prop_assert_eq!(came, went);
            prop_assert_eq!(counts.unexpected, unexpected.lines().count() as u64);
        }
    }
}
