//! An answer, whatever the vendor's language: what a line of a batch's answers says
//! of the request that it names. Each dialect reads its own lines into this.

use std::borrow::Cow;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};

/// How a dialect's answers are read.
///
/// A line is read up to three times, each time for more: once in the pass over all
/// answers, again if it failed its request, and again if a file of answers is wanted.
pub(crate) trait ReadAnswers: Send + Sync {
    /// Reads what every line is asked for. `endpoint` is where its request went, if known.
    fn read<'de>(&self, line: &'de [u8], endpoint: Option<&str>) -> Answer<'de>;

    /// As [`read`](Self::read), for a line that is too long to hold in memory.
    ///
    /// # Errors
    /// `line` cannot be read.
    fn scan(&self, line: &mut dyn Read, endpoint: Option<&str>) -> io::Result<Answer<'static>>;

    /// Why the request failed. `line` holds all that can be read of the line that `answer` was read from.
    fn failure(&self, answer: &Answer<'_>, line: &serde_json::Value) -> Failure;

    /// What the model wrote, and why it stopped.
    fn content<'de>(&self, line: &'de [u8]) -> Content<'de>;

    /// The id of the request that a line of the requests file holds, as its answer repeats it; the rest of the line
    /// does not matter.
    fn request_id(&self, line: &str) -> Option<String>;

    /// What a line of the requests file asks its answer to be.
    fn asked<'l>(&self, line: &'l str) -> Asked<'l>;

    /// A line that says, in this dialect, that the request with this id has no answer.
    fn absent(&self, custom_id: &str, code: &str, message: &str) -> String;
}

/// What a request asks its answer to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked<'l> {
    /// The request's `custom_id`.
    pub(crate) custom_id: Option<String>,
    /// The form of its answer.
    pub(crate) form: Wanted<'l>,
}

/// The form that an answer is asked to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted<'l> {
    /// Any text.
    #[default]
    Free,
    /// A JSON object.
    Json,
    /// JSON that fits this schema, which is JSON, too.
    Schema(&'l str),
}

/// How a line answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With an answer.
    Success,
    /// With a success that has no content.
    Empty,
    /// With an error, or a status other than success.
    #[default]
    Failure,
    /// In a way that cannot be read: neither a whole answer, nor a status, nor an error.
    Unreadable,
}

/// How much of a line could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it: it is JSON.
    #[default]
    Whole,
    /// Only what is not damaged.
    InPart,
}

/// What every line is asked for.
#[derive(Debug, Default)]
pub(crate) struct Answer<'de> {
    /// The `custom_id` of the request it answers, its escapes decoded.
    pub(crate) custom_id: Option<Cow<'de, str>>,
    /// How it answers.
    pub(crate) kind: Kind,
    /// How much of it could be read.
    pub(crate) reading: Reading,
    /// The HTTP status of the response.
    pub(crate) status: Option<u16>,
    /// The model that answered, as the vendor names it.
    pub(crate) model: Option<Cow<'de, str>>,
    /// The tokens that were used.
    pub(crate) tokens: Tokens,
    /// Why it is not to be relied on, of an answer that is a success.
    pub(crate) suspicion: Option<Suspicion>,
}

/// Why an answer that is a success is not to be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// The model refused to answer.
    Refusal,
    /// It asks for tools to be called, which nobody does in a batch.
    ToolCalls,
    /// It was cut off at a limit on its length, or on that of the whole conversation.
    CutOff,
    /// A content filter removed something of it.
    Filtered,
    /// It is incomplete in another way: the vendor says so, or paused the model.
    #[default]
    Incomplete,
}

impl Suspicion {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Refusal, Self::ToolCalls, Self::CutOff, Self::Filtered, Self::Incomplete];

    /// The word for it in files.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::ToolCalls => "tool_calls",
            Self::CutOff => "cut_off",
            Self::Filtered => "filtered",
            Self::Incomplete => "incomplete",
        }
    }
}

/// What the model wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content<'de> {
    /// The first text of the answer; none if it has none, as embeddings and tool calls.
    pub(crate) text: Option<Cow<'de, str>>,
    /// Why the model stopped, in the vendor's word.
    pub(crate) finish_reason: Option<Cow<'de, str>>,
}

/// Tokens, as the answers count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Tokens {
    /// Sent to the model.
    pub input: u64,
    /// Of these, read from its cache.
    pub cached: u64,
    /// Of these, written to its cache, where the vendor counts them.
    pub cache_written: u64,
    /// Of those written, the ones that stay for an hour; the others stay for some minutes.
    pub cache_written_1h: u64,
    /// Of the input, audio.
    pub input_audio: u64,
    /// Of the input, images, where the vendor counts them apart.
    pub input_image: u64,
    /// Written by the model.
    pub output: u64,
    /// Of these, reasoning.
    pub reasoning: u64,
    /// Of the output, audio.
    pub output_audio: u64,
    /// Of the output, images, where the vendor counts them apart.
    pub output_image: u64,
    /// Searches of the web, which vendors bill beside the tokens, by the call.
    pub web_searches: u64,
    /// Calls of the vendor's other tools that are billed beside the tokens: file search and the code interpreter.
    pub tool_calls: u64,
}

impl Tokens {
    /// Adds the tokens of another answer. A count that a server makes up cannot overflow.
    pub(crate) fn add(&mut self, more: Self) {
        let sum = |total: &mut u64, tokens: u64| *total = total.saturating_add(tokens);
        sum(&mut self.input, more.input);
        sum(&mut self.cached, more.cached);
        sum(&mut self.cache_written, more.cache_written);
        sum(&mut self.cache_written_1h, more.cache_written_1h);
        sum(&mut self.input_audio, more.input_audio);
        sum(&mut self.input_image, more.input_image);
        sum(&mut self.output, more.output);
        sum(&mut self.reasoning, more.reasoning);
        sum(&mut self.output_audio, more.output_audio);
        sum(&mut self.output_image, more.output_image);
        sum(&mut self.web_searches, more.web_searches);
        sum(&mut self.tool_calls, more.tool_calls);
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The vendor's code, or one of ours.
    pub(crate) code: String,
    /// The HTTP status, of the response or named by the error.
    pub(crate) status: Option<u16>,
    /// The vendor's message, cut.
    pub(crate) message: String,
    /// Whether a retry may help.
    pub(crate) fate: Fate,
    /// Whether the model was asked.
    pub(crate) ran: Ran,
}

/// Whether a retry may bring an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It may.
    Transient,
    /// It would fail again, or the request was cancelled on purpose.
    Permanent,
    /// It fails until somebody pays the vendor, whatever the user asks to retry.
    Hopeless,
    /// It may if few answers of the batch are empty. If most are, we misread them.
    Empty,
}

/// Whether the vendor got to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It did.
    Yes,
    /// It did not: the batch expired or was cancelled before.
    Never,
}
