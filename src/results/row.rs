//! A row: a request together with what became of it.
//!
//! A row of a success holds where its line is, and reads more only when a sink
//! asks: most runs ask nothing of a success but to be copied. So the first sink
//! that calls [`Row::answer`] or [`Row::content`] for successes makes each answer
//! be read a second time.

use std::cell::OnceCell;
use std::io::Write;

use super::AnswersFile;
use super::pricing::{PriceAnswers, Priced};
use super::reread::Line;
use crate::dialects::{Answer, Content, Ran, ReadAnswers, Reading, Suspicion, Tokens};
use crate::error::Error;
use crate::usd::Usd;

/// The code of a request whose answer the gate fails.
const GATE: &str = "gate";

/// A request and what became of it.
pub(crate) struct Row<'a> {
    /// The index of the request, from 0.
    pub(crate) index: u32,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// The file that holds its answer, which names the attempt and the batch; none without an answer.
    pub(crate) file: Option<&'a AnswersFile>,
    /// How much of its line could be read.
    pub(crate) reading: Reading,
    /// Why its answer is not to be relied on.
    pub(crate) suspicion: Option<Suspicion>,
    /// Whether its request is sent again although it has an answer, as the user asks.
    pub(crate) retry: Retry,
    /// Where its line begins in `results.jsonl`, in bytes.
    pub(crate) offset: u64,
    line: Line<'a>,
    reader: &'a dyn ReadAnswers,
    prices: Option<&'a dyn PriceAnswers>,
    answer: OnceCell<Answer<'a>>,
    content: OnceCell<Content<'a>>,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It has an answer.
    Succeeded,
    /// It has a line that is not an answer, or had an answer that no longer exists.
    Failed(Failed),
    /// It has an answer that is rejected: it does not fit its schema, or the gate fails it.
    Rejected(Failed),
    /// It has no line.
    Missing(Failed),
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Failed {
    /// Its `custom_id`.
    pub(crate) custom_id: String,
    /// The provider's code, or one of ours.
    pub(crate) code: String,
    /// The HTTP status, of the response or named by the error.
    pub(crate) status: Option<u16>,
    /// The provider's message, cut.
    pub(crate) message: String,
    /// What requests share that failed for the same cause, where that is not the message.
    pub(crate) like: Option<String>,
    /// Whether to retry it.
    pub(crate) retry: Retry,
    /// Whether the provider got to it.
    pub(crate) ran: Ran,
}

/// Whether a retry may bring an answer that nobody pays for twice unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It may.
    Worth,
    /// It would fail again, or could be paid for twice.
    Not,
}

impl Outcome {
    /// The word for it in files.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) | Self::Rejected(_) => "failed",
            Self::Missing(_) => "missing",
        }
    }

    /// Why there is no answer.
    pub(crate) fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Succeeded => None,
            Self::Failed(failed) | Self::Rejected(failed) | Self::Missing(failed) => Some(failed),
        }
    }
}

impl<'a> Row<'a> {
    /// A row of which `line` is what `results.jsonl` gets; it begins there at `offset`.
    pub(super) fn new(index: u32, outcome: Outcome, line: Line<'a>, offset: u64, reader: &'a dyn ReadAnswers) -> Self {
        let (file, reading, suspicion, retry) = (line.file(), Reading::Whole, None, Retry::Not);
        let (answer, content) = (OnceCell::new(), OnceCell::new());
        Self { index, outcome, file, reading, suspicion, retry, offset, line, reader, prices: None, answer, content }
    }

    /// The row, whose answer has a price by these.
    pub(super) fn priced(self, prices: Option<&'a dyn PriceAnswers>) -> Self {
        Self { prices, ..self }
    }

    /// The row, of whose line so much could be read.
    pub(super) fn read(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// The row, whose answer may not be relied on.
    pub(super) fn suspected(self, suspicion: Option<Suspicion>, retry: Retry) -> Self {
        Self { suspicion, retry, ..self }
    }

    /// The row, of whose line it is known what it answers.
    pub(super) fn with(self, answer: Answer<'a>) -> Self {
        Self { answer: OnceCell::from(answer), ..self }
    }

    /// The length of its line in `results.jsonl`, in bytes and without the line end.
    pub(crate) fn length(&self) -> u64 {
        self.line.length()
    }

    /// The first bytes of its line, so many at most.
    ///
    /// # Errors
    /// Ends in exit 1 if the line cannot be read.
    pub(super) fn beginning(&self, most: usize) -> Result<Vec<u8>, Error> {
        self.line.beginning(most)
    }

    /// Copies its line to `results.jsonl`, with a line end.
    ///
    /// # Errors
    /// Ends in exit 1 if the line cannot be read or written.
    pub(crate) fn copy(&self, to: &mut dyn Write) -> Result<(), Error> {
        self.line.copy(to)
    }

    /// Its `custom_id`, decoded.
    ///
    /// # Errors
    /// Ends in exit 1 if the line cannot be read.
    pub(crate) fn custom_id(&self) -> Result<&str, Error> {
        if let Some(failed) = self.outcome.failed() {
            return Ok(&failed.custom_id);
        }
        Ok(self.answer()?.custom_id.as_deref().unwrap_or_default())
    }

    /// The model that answered, if its line says so.
    ///
    /// # Errors
    /// Ends in exit 1 if the line cannot be read.
    pub(crate) fn model(&self) -> Result<Option<&str>, Error> {
        Ok(self.answer()?.model.as_deref())
    }

    /// The tokens that its line says were used.
    ///
    /// # Errors
    /// Ends in exit 1 if the line cannot be read.
    pub(crate) fn tokens(&self) -> Result<Tokens, Error> {
        Ok(self.answer()?.tokens)
    }

    /// What its answer cost this run; none where that is not known, or an earlier run paid for it.
    ///
    /// # Errors
    /// Ends in exit 1 if the line cannot be read.
    pub(crate) fn cost(&self) -> Result<Option<Usd>, Error> {
        let Some((prices, file)) = self.prices.zip(self.file.filter(|file| !file.is_kept())) else { return Ok(None) };
        match prices.price(file, self.model()?, &self.tokens()?) {
            Priced::At(cost) => Ok(Some(cost.batch)),
            Priced::Unknown(_) => Ok(None),
        }
    }

    /// Fails its request, if it has an answer that was not rejected before, as the gate wants. Whether it was.
    ///
    /// # Errors
    /// Ends in exit 1 if its line cannot be read.
    pub(super) fn reject(&mut self, message: &str) -> Result<u64, Error> {
        let Outcome::Succeeded = self.outcome else { return Ok(0) };
        let (custom_id, code, message) = (self.custom_id()?.to_owned(), GATE.to_owned(), message.to_owned());
        let (status, like, retry, ran) = (None, None, Retry::Not, Ran::Yes);
        self.outcome = Outcome::Rejected(Failed { custom_id, code, status, message, like, retry, ran });
        Ok(1)
    }

    /// Whether its line is too long to hold.
    pub(super) fn is_too_long(&self) -> bool {
        self.line.held().is_none()
    }

    /// What the model wrote, and why it stopped; nothing for a request without an answer, nor for
    /// a line that is too long to hold.
    pub(crate) fn content(&self) -> &Content<'a> {
        self.content.get_or_init(|| match (&self.outcome, self.line.held()) {
            (Outcome::Succeeded | Outcome::Rejected(_), Some(line)) => self.reader.content(line),
            _ => Content::default(),
        })
    }

    /// What its line says; nothing without one.
    fn answer(&self) -> Result<&Answer<'a>, Error> {
        if let Some(answer) = self.answer.get() {
            return Ok(answer);
        }
        let answer = self.line.answer(self.reader)?;
        Ok(self.answer.get_or_init(|| answer))
    }
}
