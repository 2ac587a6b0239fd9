//! The rows of a finished run, read back from its `results.jsonl`.

use std::fs::File;

use super::pricing::PriceAnswers;
use super::reconcile::{answer, is_blank, place};
use super::reread::Line;
use super::row::{Failed, Outcome, Retry, Row};
use super::sinks::Sink;
use super::unanswered::{GONE, MISSING, NOT_SENT};
use super::{AnswersFile, Results, unreadable};
use crate::dialects::{Kind, Ran, ReadAnswers};
use crate::error::Error;
use crate::requests::lines::{LONGEST_ANSWER, Lines};

/// Yields a row for each line of `results.jsonl` to the sinks, in the order of the lines. The lines that we
/// wrote for requests without an answer are recognised by their codes. Which answers were rejected is not in them.
///
/// # Errors
/// Ends in exit 1 if a file cannot be read or written.
pub(crate) fn read_back(
    of: &AnswersFile,
    reader: &dyn ReadAnswers,
    prices: Option<&dyn PriceAnswers>,
    mut sinks: Vec<Box<dyn Sink + '_>>,
) -> Result<Results, Error> {
    let failed = |error| unreadable(of, error);
    let mut lines = Lines::new(File::open(&of.path).map_err(failed)?, LONGEST_ANSWER);
    let mut index = 0;
    while let Some(line) = lines.next().map_err(failed)? {
        if is_blank(&line) {
            continue;
        }
        let place = place(0, &line);
        let mut answer = answer(of, &line, place, reader)?;
        let held = line.bytes.map(|bytes| &bytes[..place.length as usize]);
        let line = held.map_or(Line::Long(of, place), |bytes| Line::Held(of, bytes));
        let (reading, suspicion) = (answer.reading, answer.suspicion);
        let row = if answer.kind == Kind::Success {
            Row::new(index, Outcome::Succeeded, line, place.offset, reader).with(answer)
        } else {
            let failure = reader.failure(&answer, &line.value()?);
            let custom_id = answer.custom_id.take().unwrap_or_default().into_owned();
            let (code, status, message) = (failure.code, failure.status, failure.message);
            let is_missing = [MISSING, NOT_SENT].contains(&code.as_str());
            let is_ours = is_missing || code == GONE;
            let failed = Failed { custom_id, code, status, message, like: None, retry: Retry::Not, ran: Ran::Yes };
            let outcome = if is_missing { Outcome::Missing(failed) } else { Outcome::Failed(failed) };
            match held.filter(|_| is_ours) {
                Some(bytes) => Row::new(index, outcome, Line::Ours(bytes.to_vec()), place.offset, reader),
                None => Row::new(index, outcome, line, place.offset, reader).with(answer),
            }
        };
        let row = row.priced(prices).read(reading).suspected(suspicion, Retry::Not);
        for sink in &mut sinks {
            sink.row(&row)?;
        }
        index += 1;
    }
    let mut results = Results::default();
    for sink in sinks {
        sink.finish(&mut results)?;
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::{AnswersFile, Results, read_back};
    use crate::dialects::{Name, choose};
    use crate::results::case::{Fared, MOST_CASES};
    use crate::results::sinks::{Shown, TestCases, shown};

    fn read(name: Name, lines: &str, samples: usize) -> Results {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        std::fs::write(&path, lines).unwrap();
        let (what, batch_id, endpoint) = ("results", String::new(), None);
        let of = AnswersFile { path, what, attempt: 1, batch: 0, batch_id, endpoint, ..AnswersFile::default() };
        read_back(&of, choose(name).dialect.answers(), None, shown(Shown { cases: TestCases::Keep, samples })).unwrap()
    }

    const GOOD: &str = r#"{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}}}"#;

    #[test]
    fn rows_are_read_back_as_what_they_were() {
        for name in [Name::Openai, Name::Anthropic] {
            let reader = choose(name).dialect.answers();
            let absent = [("m", "batchstep_missing"), ("g", "answers_gone")];
            let lines: Vec<String> = absent.iter().map(|(id, code)| reader.absent(id, code, "No answer.")).collect();
            let cases = read(name, &lines.join("\r\n"), 0).cases.unwrap();
            let seen: Vec<_> = cases.iter().map(|case| (case.custom_id.as_str(), &case.fared)).collect();
            let [("m", Fared::Missing(_)), ("g", Fared::Failed(gone))] = &seen[..] else { panic!("{seen:?}") };
            assert_eq!((gone.code.as_str(), gone.message.as_str()), ("answers_gone", "No answer."));
            assert_eq!(cases[0].line(), lines[0]);
        }
        let results = read(Name::Openai, &format!("{GOOD}\n\n{GOOD}\n{GOOD}"), 2);
        assert!(results.cases.unwrap().iter().all(|case| case.fared == Fared::Well));
        let answers: Vec<_> = results.samples.iter().map(|it| (it.custom_id.as_str(), it.answer.as_str())).collect();
        assert_eq!(answers, [("a", "Hi"), ("a", "Hi")]);
    }

    #[test]
    fn too_many_rows_are_no_cases() {
        let cases = |count| read(Name::Openai, &format!("{GOOD}\n").repeat(count), 0).cases.map(|cases| cases.len());
        assert_eq!([MOST_CASES, MOST_CASES + 1].map(cases), [Some(MOST_CASES), None]);
    }
}
