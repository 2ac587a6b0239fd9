//! Scripted faults: the bad weather that a sandbox is told to have.
//!
//! A fault is one line, `TARGET ACTION [after=N] [times=N] [for=SPAN] [share=P%]`.
//! A script has one a line; `#` begins a comment. Several faults hold at once;
//! of those that strike one call the first wins, but for `delay` and `lag`,
//! which strike beside it.
//!
//! | target | action | effect |
//! |---|---|---|
//! | an operation, or `any` | `429` or another status, with `code=WORD`, `param=WORD`, `retry-after=SPAN`, `message=TEXT` | that answer; nothing is done. With 200 the error comes as a success |
//! | | `reset` | nothing is done, the connection closes |
//! | | `drop` | it is done, the connection closes without a reply |
//! | | `garbage` | it is done, the reply is 200 and not JSON |
//! | | `stall` | it is done, the reply never comes |
//! | | `delay=SPAN` | the reply comes that much later; half of it passes before it is done |
//! | | `redirect=URL` | 302 to there; `{id}` in it becomes the path's id |
//! | `upload`, `create` | `too-large=BYTES` | 413 if its body has more bytes, as a gateway in front answers |
//! | `create` | `too-many=N` | 400 if the file has more requests |
//! | | `unknown=WORD` | refused where the body has that member; else it is done |
//! | | `full=N` | 429 while N batches are under way; else it is done |
//! | `content` | `cut=N` | the connection closes after N bytes of the body |
//! | `list` | `lag=SPAN` | batches younger than that are not shown |
//! | `rows` | `status=N` | the answer has that HTTP status; 0 stands in the output file |
//! | | `error-in-body` | status 200, but the body holds an error |
//! | | `missing`, `duplicate` | no line, or two |
//! | | `stranger` | one more line, for a `custom_id` nobody asked for |
//! | | `nan` | the answer holds a NaN, as Python writes it |
//! | | `string-body` | the body is a string of JSON |
//! | | `empty` | status 200 and an empty body |
//! | | `bare` | an error without a status: 429 stands at the start of its message |
//! | | `stop=WORD` | the answer ends for that reason, a `finish_reason` of OpenAI's or `refusal`, or a `stop_reason` of Anthropic's |
//! | | `off-schema` | the answer's JSON has null where its schema has none |
//! | `answers` | `late=SPAN` | the files are named that long after the batch's end |
//! | | `short=SPAN` | they hold half of their lines for so long after it |
//! | | `torn=SPAN` | they end inside a line for so long |
//! | | `page=SPAN` | a gateway's page is in their place for so long |
//! | | `absent=SPAN` | they are 404 for so long |
//! | | `gzip` | they are compressed although nobody asked for it |
//! | | `phantom` | an error file is named that does not exist |
//! | | `elsewhere` | Anthropic: `results_url` is of another origin, and takes no credentials |
//! | | `uncounted` | the batch's counts are null |
//! | | `overcounted=N` | the batch counts N requests too many as completed |
//! | | `undercounted` | the batch counts no request as completed |
//! | `batch` | `stuck=STATE` | stays `validating`, `in_progress` or `finalizing` until cancelled |
//! | | `expire=SPAN` | expires that long after its creation |
//! | | `fail=CODE` | fails in validation |
//! | | `too-many=N` | fails in validation if it has more requests |
//! | | `lenient` | its lines may leave out `method` and `url`, or name another endpoint |
//! | | `no-metadata` | the metadata is dropped |
//! | | `cancel=SPAN` | somebody cancels it that long after its creation |
//! | | `complete-on-cancel` | completes as a cancel arrives, which answers 409 |
//! | | `status=WORD` | shows this word instead of `in_progress` |
//! | `file` | `late=SPAN` | answers 404 for so long after the upload; a batch made of it fails |
//! | | `slow=SPAN` | is `uploaded` for so long before it is `processed` |
//! | | `error` | has the status `error` |
//! | | `withheld` | its content is not given back: 403 |
//!
//! The operations are `upload`, `list-files`, `get-file`, `content`,
//! `delete-file`, `create`, `list`, `get`, `cancel`, `delete`; `results` is
//! `content`. What each dialect has of all this is dialect.rs's matter.
//! `message=TEXT` comes last: the text is the rest of the line.
//! `after=N` passes over the first N matching calls, `times=N` strikes only the
//! N after those, `for=1h` only within an hour of the first of them. For `rows`
//! and `batch` a create counts as the call, for `file` an upload. `share=P%`
//! strikes that share of the calls, for `rows` that share of the rows; which
//! ones is decided by a hash, the same in every run.

use std::fmt;
use std::time::Duration;

use super::course::Stage;
use super::delivery::DeliveryFault;
use super::operation::Operation;
use super::share::Share;

/// One line of a fault script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) effect: Effect,
    pub(super) when: When,
}

/// What a fault does, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// To the calls of one operation, or of any.
    Call(Option<Operation>, Action),
    Rows(RowFault),
    Answers(DeliveryFault),
    Batch(BatchFault),
    File(FileFault),
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Refuse {
        status: u16,
        code: Option<String>,
        param: Option<String>,
        message: Option<String>,
        retry_after: Option<Duration>,
    },
    Unknown(String),
    Full(usize),
    Reset,
    Drop,
    Garbage,
    Stall,
    Delay(Duration),
    Redirect(String),
    Cut(u64),
    Lag(Duration),
    TooLarge(u64),
    TooMany(u64),
}

/// What happens to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowFault {
    Status(u16),
    ErrorInBody,
    Missing,
    Duplicate,
    Stranger,
    Nan,
    StringBody,
    Empty,
    Bare,
    /// One of `STOPS`, which the dialect has.
    Stop(&'static str),
    OffSchema,
}

/// Why a model stopped, in the dialects' words: the first are OpenAI's, the last Anthropic's, and `refusal` is both's.
pub(super) const STOPS: [&str; 10] = [
    "length",
    "content_filter",
    "tool_calls",
    "refusal",
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "model_context_window_exceeded",
];
/// How many of them are OpenAI's.
pub(super) const OF_OPENAI: usize = 4;

/// What happens to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BatchFault {
    Stuck(Stage),
    Expire(Duration),
    Fail(String),
    TooMany(u64),
    Lenient,
    NoMetadata,
    Cancel(Duration),
    CompleteOnCancel,
    Status(String),
}

/// What happens to an uploaded file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFault {
    Late(Duration),
    Slow(Duration),
    Error,
    Withheld,
}

/// Which of the matching calls a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct When {
    pub(super) after: u64,
    pub(super) times: Option<u64>,
    pub(super) during: Option<Duration>,
    /// In millionths.
    pub(super) share: Option<u32>,
}

/// A span as one word: `1h30m`.
pub(super) fn compact(span: &Duration) -> String {
    humantime::format_duration(*span).to_string().replace(' ', "")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.effect {
            Effect::Call(operation, action) => write!(f, "{} {action}", operation.map_or("any", Operation::word))?,
            Effect::Rows(fault) => write!(f, "rows {fault}")?,
            Effect::Answers(fault) => write!(f, "answers {fault}")?,
            Effect::Batch(fault) => write!(f, "batch {fault}")?,
            Effect::File(fault) => write!(f, "file {fault}")?,
        }
        write!(f, "{}", self.when)?;
        match &self.effect {
            Effect::Call(_, Action::Refuse { message: Some(message), .. }) => write!(f, " message={message}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.after > 0 {
            write!(f, " after={}", self.after)?;
        }
        if let Some(times) = self.times {
            write!(f, " times={times}")?;
        }
        if let Some(during) = &self.during {
            write!(f, " for={}", compact(during))?;
        }
        self.share.map_or(Ok(()), |share| write!(f, " share={}", Share(share)))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The message stands at the end of the line.
            Self::Refuse { status, code, param, message: _, retry_after } => {
                write!(f, "{status}")?;
                for (name, word) in [("code", code), ("param", param)] {
                    word.as_ref().map_or(Ok(()), |word| write!(f, " {name}={word}"))?;
                }
                retry_after.map_or(Ok(()), |span| write!(f, " retry-after={}", compact(&span)))
            }
            Self::Reset => f.write_str("reset"),
            Self::Drop => f.write_str("drop"),
            Self::Garbage => f.write_str("garbage"),
            Self::Stall => f.write_str("stall"),
            Self::Delay(span) => write!(f, "delay={}", compact(span)),
            Self::Redirect(url) => write!(f, "redirect={url}"),
            Self::Unknown(member) => write!(f, "unknown={member}"),
            Self::Full(most) => write!(f, "full={most}"),
            Self::Cut(bytes) => write!(f, "cut={bytes}"),
            Self::Lag(span) => write!(f, "lag={}", compact(span)),
            Self::TooLarge(bytes) => write!(f, "too-large={bytes}"),
            Self::TooMany(requests) => write!(f, "too-many={requests}"),
        }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status={status}"),
            Self::ErrorInBody => f.write_str("error-in-body"),
            Self::Missing => f.write_str("missing"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Stranger => f.write_str("stranger"),
            Self::Nan => f.write_str("nan"),
            Self::StringBody => f.write_str("string-body"),
            Self::Empty => f.write_str("empty"),
            Self::Bare => f.write_str("bare"),
            Self::Stop(word) => write!(f, "stop={word}"),
            Self::OffSchema => f.write_str("off-schema"),
        }
    }
}

impl fmt::Display for BatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck(stage) => write!(f, "stuck={}", stage.word()),
            Self::Expire(span) => write!(f, "expire={}", compact(span)),
            Self::Fail(code) => write!(f, "fail={code}"),
            Self::TooMany(requests) => write!(f, "too-many={requests}"),
            Self::Lenient => f.write_str("lenient"),
            Self::NoMetadata => f.write_str("no-metadata"),
            Self::Cancel(span) => write!(f, "cancel={}", compact(span)),
            Self::CompleteOnCancel => f.write_str("complete-on-cancel"),
            Self::Status(word) => write!(f, "status={word}"),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(span) => write!(f, "late={}", compact(span)),
            Self::Slow(span) => write!(f, "slow={}", compact(span)),
            Self::Error => f.write_str("error"),
            Self::Withheld => f.write_str("withheld"),
        }
    }
}
