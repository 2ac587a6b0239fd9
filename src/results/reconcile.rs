//! The two passes over the answers, and the rows that they yield.

use std::fs::File;

use super::held::{Held, Holdings, Mention};
use super::judge::Judge;
use super::positions::{Attempt, Candidate, Place, Positions};
use super::pricing::Used;
use super::reread::{Line, Rereader, span};
use super::row::{Outcome, Row};
use super::sinks::Sink;
use super::unanswered::Asked;
use super::{AnswersFile, Policy, Requests, Results, unreadable};
use crate::dialects::{Answer, ReadAnswers, Tokens};
use crate::error::Error;
use crate::requests::ids::Ids;
use crate::requests::lines::{self, Block, LONGEST_ANSWER, Lines};

/// Yields each request's row to the sinks, once and in the order of the requests, after
/// it has shown them the lines of the answers that are nobody's row.
///
/// # Errors
/// Ends in exit 3 if the requests are needed and have changed, in exit 1 if a
/// file cannot be read or written.
pub(crate) fn reconcile(
    requests: Requests<'_>,
    answers: &[AnswersFile],
    policy: &Policy<'_>,
    mut sinks: Vec<Box<dyn Sink + '_>>,
) -> Result<Results, Error> {
    let mut rereader = Rereader::new(answers);
    let (positions, held) = find(requests, answers, policy, &mut rereader, &mut sinks)?;
    let (verdicts, mut gated) = (policy.gated(requests.ids), 0);
    let mut judge = Judge::new(requests, policy);
    let mut asked = Asked::new(requests.source, policy.reader);
    let mut offset = 0;
    for index in 0..requests.total {
        let mut row = if let Some(candidate) = positions.get(index) {
            let line = rereader.line(candidate.place)?;
            answered(index as u32, candidate, line, offset, policy, &held)?
        } else {
            let id = asked.id(index, requests.ids)?;
            let absence = policy.absence(index as u32);
            let line = policy.reader.absent(&id, absence.code(), absence.message());
            let line = Line::Ours(line.into_bytes());
            Row::new(index as u32, policy.unanswered(id, absence), line, offset, policy.reader)
        }
        .priced(policy.prices);
        if let Some(judge) = &mut judge {
            judge.row(&mut row)?;
        }
        if let Some(message) = verdicts.get(&(index as u32)) {
            gated += row.reject(message)?;
        }
        for sink in &mut sinks {
            sink.row(&row)?;
        }
        offset += row.length() + 1;
    }
    let warnings = judge.as_ref().map(Judge::warnings).unwrap_or_default();
    let mut results = Results { batches: held, schema: judge.map(Judge::finish), gated, ..Results::default() };
    for sink in sinks {
        sink.finish(&mut results)?;
    }
    results.warnings.extend(warnings);
    Ok(results)
}

/// The row of a request that a line answers.
fn answered<'a>(
    index: u32,
    candidate: Candidate,
    line: Line<'a>,
    offset: u64,
    policy: &Policy<'a>,
    held: &[Held],
) -> Result<Row<'a>, Error> {
    if candidate.succeeded {
        let row = Row::new(index, Outcome::Succeeded, line, offset, policy.reader).read(candidate.reading);
        return Ok(row.suspected(candidate.suspicion, policy.retry(candidate.suspicion)));
    }
    let mut answer = line.answer(policy.reader)?;
    let failure = policy.reader.failure(&answer, &line.value()?);
    let custom_id = answer.custom_id.take().unwrap_or_default().into_owned();
    let held = line.file().and_then(|file| held.get(file.batch));
    let row = Row::new(index, policy.failed(custom_id, failure, held), line, offset, policy.reader);
    Ok(row.read(candidate.reading).with(answer))
}

/// The first pass: finds which line answers which request, and what each batch's files hold.
fn find(
    requests: Requests<'_>,
    answers: &[AnswersFile],
    policy: &Policy<'_>,
    rereader: &mut Rereader<'_>,
    sinks: &mut [Box<dyn Sink + '_>],
) -> Result<(Positions, Vec<Held>), Error> {
    let (holdings, positions) = (Holdings::new(answers, requests.total), Positions::new(requests.total)?);
    let mut finder = Finder { ids: requests.ids, answers, policy, positions, holdings, sinks };
    for (file, of) in finder.holdings.order() {
        let failed = |error| unreadable(of, error);
        let mut lines = Lines::new(File::open(&of.path).map_err(failed)?, LONGEST_ANSWER);
        while let Some(block) = lines.block().map_err(failed)? {
            for stray in finder.block(file, &block)? {
                let line = rereader.line(stray)?;
                finder.sinks.iter_mut().try_for_each(|sink| sink.stray(&line))?;
            }
        }
    }
    Ok((finder.positions, finder.holdings.into_held()))
}

/// What the first pass works with. Sinks see here what is paid for, since it is so even where an answer to a later
/// attempt replaces it; they see failures as rows, when it is certain that no success replaces them.
struct Finder<'a, 'b> {
    ids: &'a Ids,
    answers: &'a [AnswersFile],
    policy: &'a Policy<'a>,
    positions: Positions,
    holdings: Holdings<'a>,
    sinks: &'a mut [Box<dyn Sink + 'b>],
}

impl Finder<'_, '_> {
    /// Reads lines of the answers; returns those that answer nothing.
    fn block(&mut self, file: usize, block: &Block<'_>) -> Result<Vec<Place>, Error> {
        let of = &self.answers[file];
        let (mut ids, mut lines) = (Vec::new(), Vec::new());
        for line in block.lines().filter(|line| !is_blank(line)) {
            let place = place(file, &line);
            let mut answer = answer(of, &line, place, self.policy.reader)?;
            ids.push(answer.custom_id.take().unwrap_or_default());
            lines.push((place, answer));
        }
        let mut strays = Vec::new();
        for ((place, answer), index) in lines.into_iter().zip(self.ids.find_all(&ids)) {
            let mention = self.holdings.line(file, index, answer.kind);
            let before = index.and_then(|index| self.positions.get(index.into()));
            let Some(index) = index else {
                strays.push(place);
                continue;
            };
            let line = Candidate::new(place, answer.kind, answer.reading).suspected(answer.suspicion);
            let attempt = self.attempt(before.as_ref(), of);
            let loser = self.positions.offer(line, index, attempt);
            let repeats = before.is_some_and(|before| before.succeeded) && attempt == Attempt::Same;
            let is_paid = if line.succeeded { !repeats } else { states_usage(&answer) && mention == Mention::First };
            if is_paid {
                self.paid(of, &answer);
            }
            // A failure is expected beside another attempt's answer; an answer is kept, whoever replaces it.
            let lost = if loser == Some(place) { Some(line) } else { before };
            strays.extend(loser.filter(|_| attempt == Attempt::Same || lost.is_some_and(|lost| lost.succeeded)));
        }
        Ok(strays)
    }

    /// Shows the sinks an answer that is paid for.
    fn paid(&mut self, of: &AnswersFile, answer: &Answer<'_>) {
        let (kind, model, tokens) = (answer.kind, answer.model.as_deref(), answer.tokens);
        let priced = self.policy.prices.map(|prices| prices.price(of, model, &tokens));
        let used = Used { kind, model, tokens, priced };
        self.sinks.iter_mut().for_each(|sink| sink.paid(of, &used));
    }

    /// Which attempt a line of this file is of, beside the line before it. Those of earlier attempts are read first.
    fn attempt(&self, before: Option<&Candidate>, of: &AnswersFile) -> Attempt {
        let known = before.and_then(|before| self.answers.get(before.place.file)).map(|of| of.attempt);
        if known.is_none_or(|known| known == of.attempt) { Attempt::Same } else { Attempt::Later }
    }
}

/// Whether a line says that something was used: a provider bills no other failures.
fn states_usage(answer: &Answer<'_>) -> bool {
    answer.tokens != Tokens::default()
}

/// What a line answers. One that is too long to hold is read from its file.
pub(super) fn answer<'a>(
    of: &AnswersFile,
    line: &lines::Line<'a>,
    place: Place,
    reader: &dyn ReadAnswers,
) -> Result<Answer<'a>, Error> {
    let endpoint = of.endpoint.as_deref();
    match line.bytes {
        Some(bytes) => Ok(reader.read(bytes, endpoint)),
        None => {
            span(of, place).and_then(|mut from| reader.scan(&mut from, endpoint)).map_err(|error| unreadable(of, error))
        }
    }
}

/// Whether a line says nothing.
pub(super) fn is_blank(line: &lines::Line<'_>) -> bool {
    line.bytes.is_some_and(|bytes| bytes.trim_ascii().is_empty())
}

/// Where a line is, without its ending: `\n`, or CR LF.
pub(super) fn place(file: usize, line: &lines::Line<'_>) -> Place {
    let ending = line.bytes.is_some_and(|bytes| bytes.ends_with(b"\r"));
    Place { file, offset: line.offset, length: line.length - u64::from(ending) }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::{AnswersFile, Error, LONGEST_ANSWER, Policy, Requests, Results, Row, Sink, reconcile};
    use crate::dialects::{Name, choose};
    use crate::error::Exit;
    use crate::requests::source::testing::source;
    use crate::requests::testing::{chat, rules};
    use crate::results::sinks::all;
    use crate::results::sinks::testing::Files;
    use crate::values::{AnswerFiles, RetryOn};

    /// What came of a reconciliation: the results, the lines set aside, and the counts.
    type Outcome = (String, String, Results);

    /// Reconciles requests to `endpoint` with these ids, after `meddle` changed their directory.
    fn bytes(
        ids: &[&str],
        files: &[&[u8]],
        endpoint: Option<&str>,
        meddle: impl Fn(&std::path::Path),
    ) -> Result<(Vec<u8>, Vec<u8>, Results), Error> {
        let lines: Vec<String> = ids.iter().map(|id| chat(id)).collect();
        let (source, dir) = source(&[("requests.jsonl", lines.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        assert_eq!(checked.fault_count, 0);
        let mut answers = Vec::new();
        for (index, text) in files.iter().enumerate() {
            let path = dir.path().join(format!("answers-{index}"));
            std::fs::write(&path, text).unwrap();
            let (what, endpoint) = (if index == 0 { "output" } else { "error" }, endpoint.map(str::to_owned));
            let batch_id = "batch_1".to_owned();
            answers.push(AnswersFile {
                path,
                what,
                attempt: 1,
                batch: 0,
                batch_id,
                endpoint,
                ..AnswersFile::default()
            });
        }
        meddle(dir.path());
        let dialect = choose(Name::Openai).dialect;
        let retry_on = RetryOn::default();
        let policy = Policy::usual(dialect.answers(), &retry_on);
        let requests =
            Requests { source: &source, ids: &checked.ids, total: checked.total, is_structured: checked.is_structured };
        let files = Files::default();
        let mut sinks = all(AnswerFiles::Omit, |name| Ok(files.open(name))).unwrap();
        let seen = Rc::default();
        sinks.push(Box::new(Recorder(Rc::clone(&seen))));
        let found = reconcile(requests, &answers, &policy, sinks)?;
        // Whatever the answers are, each request is yielded once and in order.
        assert_eq!(*seen.borrow(), (0..checked.total as u32).collect::<Vec<_>>());
        Ok((files.read("results.jsonl"), files.read("unexpected.jsonl"), found))
    }

    /// Notes the rows that it is called with, and checks that each is where it says.
    struct Recorder(Rc<RefCell<Vec<u32>>>);

    impl Sink for Recorder {
        fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
            self.0.borrow_mut().push(row.index);
            let mut line = Vec::new();
            row.copy(&mut line)?;
            assert_eq!(line.len() as u64, row.length() + 1);
            Ok(())
        }

        fn finish(self: Box<Self>, _: &mut Results) -> Result<(), Error> {
            Ok(())
        }
    }

    fn meddled(ids: &[&str], files: &[&str], meddle: impl Fn(&std::path::Path)) -> Result<Outcome, Error> {
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
        assert_eq!((outcome.tokens().input, outcome.tokens().output), (15, 2));
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
        assert_eq!((outcome.counts.unexpected, outcome.counts.succeeded, outcome.tokens().input), (8, 1, 1));
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
        assert_eq!((outcome.tokens().input, outcome.batches[0].requests, outcome.batches[0].nameless), (3, 3, 0));
    }

    #[test]
    fn a_line_too_long_to_hold_is_an_answer_like_others() {
        let text = "x".repeat(LONGEST_ANSWER);
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
