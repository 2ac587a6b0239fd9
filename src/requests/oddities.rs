//! Warnings about lines: each sentence once, with the first line that has it and the number of other lines.

use super::places::Places;
use crate::text::counted;

/// How many different sentences about lines are kept: names of fields can differ from line to line.
const MOST: usize = 20;

/// What is unusual about the lines that were read, and is not a fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Oddities {
    /// The warning about the first endpoint that the dialect does not know.
    endpoint: Option<String>,
    of_lines: Vec<Oddity>,
}

#[derive(Clone, Debug)]
struct Oddity {
    sentence: String,
    /// The first line that has it, in the whole and from 1.
    first: u64,
    /// The last line so far, so that a line is counted once however often it has it.
    last: u64,
    /// The number of lines that have it.
    lines: u64,
}

impl Oddities {
    /// Adds a warning about a line of the whole, from 1. Lines come in order.
    pub(super) fn add(&mut self, line: u64, sentence: String) {
        if let Some(known) = self.of_lines.iter_mut().find(|known| known.sentence == sentence) {
            known.lines += u64::from(known.last != line);
            known.last = line;
        } else if self.of_lines.len() < MOST {
            self.of_lines.push(Oddity { sentence, first: line, last: line, lines: 1 });
        }
    }

    /// Adds the warning about an endpoint, unless there is one already.
    pub(super) fn add_endpoint(&mut self, sentence: impl FnOnce() -> String) {
        self.endpoint.get_or_insert_with(sentence);
    }

    /// All of them as sentences, that about the endpoint first.
    pub(super) fn sentences(&self, places: &Places) -> Vec<String> {
        let of_lines = self.of_lines.iter().map(|Oddity { sentence, first, lines, .. }| {
            let more = match lines - 1 {
                0 => String::new(),
                more => format!(" and {}", counted(more, "more line", "more lines")),
            };
            format!("{}{more}: {sentence}.", places.name(*first))
        });
        self.endpoint.iter().cloned().chain(of_lines).collect()
    }
}
