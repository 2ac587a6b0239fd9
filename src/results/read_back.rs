//! The rows of a finished run, read back from its `results.jsonl`.

use std::fs::File;

use super::reconcile::{answer, is_blank, place};
use super::reread::Line;
use super::row::{Failed, Outcome, Retry, Row};
use super::sinks::Sink;
use super::unanswered::{GONE, MISSING};
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
            let is_ours = [MISSING, GONE].contains(&code.as_str());
            let is_missing = code == MISSING;
            let failed = Failed { custom_id, code, status, message, like: None, retry: Retry::Not, ran: Ran::Yes };
            let outcome = if is_missing { Outcome::Missing(failed) } else { Outcome::Failed(failed) };
            match held.filter(|_| is_ours) {
                Some(bytes) => Row::new(index, outcome, Line::Ours(bytes.to_vec()), place.offset, reader),
                None => Row::new(index, outcome, line, place.offset, reader).with(answer),
            }
        };
        let row = row.read(reading).suspected(suspicion, Retry::Not);
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
