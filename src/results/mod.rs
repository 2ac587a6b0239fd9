//! Reconciliation: every request gets its answer, its failure, or a line that
//! says it has neither.
//!
//! Providers return answers in any order, in two files, sometimes twice and
//! sometimes not at all. Two passes put them right: the first notes where each
//! request's answer stands, the second copies the answers in the order of the
//! requests, byte for byte. No answer is held but those at hand: memory is 12
//! bytes and a bit a request. A line that names its request is its answer, even
//! if part of the line cannot be read. Whether the counts are good enough is the
//! verdict's business.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

mod absent;
mod answer;
mod counted;
mod failure;
mod failures;
mod fold;
mod held;
mod lenient;
mod ranges;
mod scanner;
mod shape;
mod slots;
mod tail;
mod tally;
mod watch;

pub use self::absent::Policy;
pub(crate) use self::counted::keep_order;
#[cfg(test)]
pub(crate) use self::held::FileHeld;
pub(crate) use self::held::Held;
pub(crate) use self::tail::ends_whole;
pub(crate) use self::watch::Watch;

use self::absent::{Asked, absent_line};
use self::answer::{Answer, Kind, Reading};
use self::failure::Failure;
use self::held::Holdings;
use self::ranges::{Ranges, span};
use self::shape::Shape;
use self::slots::{Place, Slots, Standing};
use self::tally::Tally;
use crate::error::Error;
use crate::report::{Counts, FailureGroup, Tokens};
use crate::requests::ids::Ids;
use crate::requests::lines::{Block, LONGEST_ANSWER, Line, Lines};
use crate::requests::source::Source;

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

impl AnswersFile {
    /// What its answers have to hold.
    fn shape(&self) -> Shape {
        self.endpoint.as_deref().map(Shape::of_endpoint).unwrap_or_default()
    }
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
    /// How many requests never ran: missing, expired or cancelled.
    pub never_ran: u64,
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
            for loser in first.block(file, &block)? {
                ranges.copy(loser, unexpected)?;
            }
        }
    }
    let First { slots, holdings, mut tally, .. } = first;
    let held = holdings.into_held();
    let mut asked = Asked::new(source);
    for index in 0..total {
        if let Some(standing) = slots.get(index) {
            let of = &answers[standing.place.file];
            if !standing.succeeded {
                let (answer, row) = ranges.look(standing.place, of.shape())?;
                tally.failed(index as u32, Failure::new(answer, &row, policy.retry_on), held.get(of.batch));
            }
            tally.counts.unreadable += u64::from(standing.reading == Reading::InPart);
            ranges.copy(standing.place, results)?;
        } else {
            let id = asked.id(index, ids)?;
            let absence = policy.absence(index as u32);
            tally.unanswered(index as u32, &id, absence, policy.retry_on);
            let line = absent_line(&id, absence)?;
            results.write_all(&line).and_then(|()| results.write_all(b"\n")).map_err(unwritable)?;
        }
    }
    results.flush().and_then(|()| unexpected.flush()).map_err(unwritable)?;
    Ok(tally.into_results(held))
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
    fn block(&mut self, file: usize, block: &Block<'_>) -> Result<Vec<Place>, Error> {
        let of = &self.answers[file];
        let (mut ids, mut lines) = (Vec::new(), Vec::new());
        for line in block.lines().filter(|line| !is_blank(line)) {
            let place = place(file, &line);
            let answer = answer(of, &line, place)?;
            lines.push((Standing::new(place, answer.kind, answer.reading), answer.kind, answer.tokens));
            ids.push(answer.custom_id.unwrap_or_default());
        }
        let mut losers = Vec::new();
        for ((standing, kind, tokens), index) in lines.into_iter().zip(self.ids.find_all(&ids)) {
            self.holdings.line(file, index, kind);
            let (place, before) = (standing.place, index.and_then(|index| self.slots.get(index.into())));
            let mut loser = match index {
                Some(index) => self.slots.offer(standing, index),
                None => Some(place),
            };
            if kind == Kind::Success && loser != Some(place) {
                self.tally.counts.succeeded += 1;
                self.tally.used(tokens);
            }
            // What another attempt brought stands beside the first answer, and is nothing unexpected.
            let attempt = |file: usize| self.answers.get(file).map(|of| of.attempt);
            if before.is_some_and(|before| attempt(before.place.file) != attempt(file)) {
                loser = None;
            }
            losers.extend(loser);
        }
        self.tally.counts.unexpected += losers.len() as u64;
        Ok(losers)
    }
}

/// What a line answers. One that is too long to hold is read from its file.
fn answer<'a>(of: &AnswersFile, line: &Line<'a>, place: Place) -> Result<Answer<'a>, Error> {
    match line.bytes {
        Some(bytes) => Ok(Answer::read(bytes, of.shape())),
        None => span(of, place).and_then(|from| Answer::scan(from, of.shape())).map_err(|error| unreadable(of, error)),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AnswersFile, Policy, Results, reconcile};
    use crate::error::Exit;
    use crate::requests::source::testing::source;
    use crate::requests::testing::{chat, rules};
    use crate::values::RetryOn;

    /// What came of a reconciliation: the results, the lines set aside, and the counts.
    type Outcome = (String, String, Results);

    /// Reconciles requests to `endpoint` with these ids, after `meddle` has had its way with their directory.
    fn bytes(
        ids: &[&str],
        files: &[&[u8]],
        endpoint: Option<&str>,
        meddle: impl Fn(&std::path::Path),
    ) -> Result<(Vec<u8>, Vec<u8>, Results), super::Error> {
        let lines: Vec<String> = ids.iter().map(|id| chat(id)).collect();
        let (source, dir) = source(&[("requests.jsonl", lines.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        assert_eq!(checked.fault_count, 0);
        let mut answers = Vec::new();
        for (index, text) in files.iter().enumerate() {
            let path = dir.path().join(format!("answers-{index}"));
            std::fs::write(&path, text).unwrap();
            let (what, endpoint) = (if index == 0 { "output" } else { "error" }, endpoint.map(str::to_owned));
            answers.push(AnswersFile { path, what, attempt: 1, batch: 0, endpoint });
        }
        meddle(dir.path());
        let (mut results, mut unexpected) = (Vec::new(), Vec::new());
        let policy = Policy { retry_on: &RetryOn::default(), gone: &[] };
        let (ids, total) = (&checked.ids, checked.total);
        let outcome = reconcile(&source, ids, total, &answers, &policy, &mut results, &mut unexpected)?;
        Ok((results, unexpected, outcome))
    }

    fn meddled(ids: &[&str], files: &[&str], meddle: impl Fn(&std::path::Path)) -> Result<Outcome, super::Error> {
        let files: Vec<&[u8]> = files.iter().map(|file| file.as_bytes()).collect();
        let (results, unexpected, outcome) = bytes(ids, &files, None, meddle)?;
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

    #[test]
    fn a_damaged_line_that_names_its_request_is_its_answer() {
        let good = good("a", 3).replace("}}}", ",\"p\": NaN}}}");
        let lines = [
            good.as_bytes(),
            b"{\"custom_id\":\"b\",\"response\":{\"x\":\"\xff\x01\"}}",
            b"{\"custom_id\":\"c\",\"resp",
        ];
        let (results, unexpected, outcome) = bytes(&["a", "b", "c"], &[&lines.join(&b'\n')], None, |_| ()).unwrap();
        assert_eq!((results, unexpected), ([&lines.join(&b'\n'), &b"\n"[..]].concat(), Vec::new()));
        let counts = outcome.counts;
        assert_eq!((counts.succeeded, counts.failed, counts.missing, counts.unreadable), (1, 2, 0, 3));
        assert_eq!((outcome.failures[0].code.as_str(), outcome.failures[0].count), ("batchstep_unreadable", 2));
        assert!(outcome.worth_retrying().is_empty() && outcome.warnings[0].starts_with("Answers of which a part"));
        assert_eq!((outcome.tokens.input, outcome.batches[0].requests, outcome.batches[0].nameless), (3, 3, 0));
    }

    #[test]
    fn a_line_too_long_to_hold_is_an_answer_like_others() {
        let text = "x".repeat(super::LONGEST_ANSWER);
        let long = format!(
            r#"{{"response":{{"status_code":200,"body":{{"choices":["{text}"]}}}},"error":null,"custom_id":"a"}}"#
        );
        let file = format!("{}\n{long}\n", good("b", 1));
        let (results, unexpected, outcome) = bytes(&["a", "b"], &[file.as_bytes()], None, |_| ()).unwrap();
        assert!(results == format!("{long}\n{}\n", good("b", 1)).as_bytes() && unexpected.is_empty());
        assert_eq!((outcome.counts.succeeded, outcome.counts.unreadable), (2, 0));
    }

    #[test]
    fn empty_answers_are_retried_unless_most_of_a_batch_is_empty() {
        let line = |id: &str, choices: &str| {
            format!(
                r#"{{"custom_id":"{id}","response":{{"status_code":200,"body":{{"id":"x","choices":{choices}}}}}}}"#
            )
        };
        let run = |choices: [&str; 3]| {
            let lines: Vec<String> =
                ["a", "b", "c"].iter().zip(choices).map(|(id, choices)| line(id, choices)).collect();
            let file = lines.join("\n");
            bytes(&["a", "b", "c"], &[file.as_bytes()], Some("/v1/chat/completions"), |_| ()).unwrap().2
        };
        let few = run(["[{}]", "[]", "[{}]"]);
        assert_eq!((few.retryable, few.counts.succeeded, few.failures[0].code.as_str()), (vec![1], 2, "empty_answer"));
        assert!(few.warnings.is_empty());
        let most = run(["[]", "null", "[{}]"]);
        assert_eq!((most.retryable.len(), most.counts.failed, most.batches[0].empty), (0, 2, 2));
        assert!(
            most.warnings[0].starts_with("Of 3 requests that a batch answered, 2 look empty."),
            "{:?}",
            most.warnings
        );
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

        #[test]
        fn whatever_the_bytes_no_line_is_lost(
            lines in prop::collection::vec((0usize..5, any::<bool>(), 0usize..200, prop::collection::vec(any::<u8>(), 0..3), 0usize..4), 0..20),
        ) {
            let ids = ["id-0", "id-1", "id-2", "id-3"];
            let mut file = Vec::new();
            for (index, succeeds, at, put, cut) in lines {
                let id = format!("id-{index}");
                let mut line = if succeeds { good(&id, 1) } else { bad(&id, "x") }.into_bytes();
                let at = at.min(line.len());
                line.splice(at..(at + cut).min(line.len()), put);
                file.extend(line);
                file.push(b'\n');
            }
            let (results, unexpected, outcome) = bytes(&ids, &[&file], Some("/v1/chat/completions"), |_| ()).unwrap();
            let lines = |bytes: &[u8]| -> Vec<Vec<u8>> {
                let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
                lines.filter(|line| !line.trim_ascii().is_empty()).map(<[u8]>::to_vec).collect()
            };
            let counts = outcome.counts;
            prop_assert_eq!(counts.succeeded + counts.failed + counts.missing, 4);
            prop_assert_eq!(lines(&results).len(), 4);
            prop_assert_eq!(outcome.failures.iter().map(|group| group.count).sum::<u64>(), counts.failed + counts.missing);
            let held = &outcome.batches[0];
            prop_assert_eq!(held.files[0].lines, lines(&file).len() as u64);
            prop_assert_eq!(held.requests, counts.succeeded + counts.failed);
            let missing = br#""code":"batchstep_missing""#;
            let kept = lines(&results).into_iter().filter(|line| !line.windows(missing.len()).any(|part| part == missing));
            let (mut came, mut went) = (lines(&file), kept.chain(lines(&unexpected)).collect::<Vec<_>>());
            came.sort_unstable();
            went.sort_unstable();
            prop_assert_eq!(came, went);
        }
    }
}
