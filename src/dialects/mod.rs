//! Vendors, and the dialects that they speak.
//!
//! A dialect is the Batch API as one family of vendors speaks it. It knows which lines it takes, how a verb becomes an
//! HTTP call, and how the answers are read. `batch.rs`, `refusal.rs` and `line.rs` are the domain that it reads them
//! into, so that nothing outside a dialect's directory knows a vendor's JSON, codes or names. Vendors that differ only
//! in data are rows of `vendors.rs`. Nothing here sends anything: `client/` does. The one `match` on names is
//! [`choose`].

mod anthropic;
mod answer;
mod batch;
mod billed;
mod call;
mod capabilities;
mod intake;
mod line;
pub(crate) mod openai;
mod other_lines;
mod pictures;
mod refusal;
mod rules;
mod turns;
mod vendors;
mod vocabulary;

use std::fmt::Debug;

use clap::ValueEnum;

pub(crate) use self::answer::{
    Answer, Asked, Content, Failure, Fate, Kind, Ran, ReadAnswers, Reading, Suspicion, Tokens, Wanted,
};
use self::anthropic::{Anthropic, VARIABLES as ANTHROPIC_VARIABLES};
pub(crate) use self::batch::{AnswerPart, AnswerSource, Batch, BatchError, BatchErrors, Counts, File, Page, Status};
pub(crate) use self::billed::{Billed, Interval, Uncounted};
pub(crate) use self::call::{Body, Call, Form, Method, NewBatch, Target, UploadForm};
pub(crate) use self::capabilities::{Capabilities, FoundBy, Retention, Support};
pub(crate) use self::intake::{Complaint, Files, InCreate, Intake};
pub(crate) use self::line::{
    Extent, Familiar, Finding, RequestLine, Structured, Table, described, no_text, not_json, quoted,
};
use self::openai::{OpenAi, VARIABLES as OPENAI_VARIABLES};
pub(crate) use self::other_lines::{Commands, Marks};
pub(crate) use self::pictures::{data_of, fitted, pixels};
pub(crate) use self::refusal::{ApiError, Meaning};
pub(crate) use self::rules::{Addressed, Endpoints, Limits, Rules, Scrutiny};
pub(crate) use self::turns::{Notes, Sight, put_turns};
pub(crate) use self::vendors::{Answers, Key, Variable, Vendor};
pub(crate) use self::vocabulary::{Field, Noticed, Vocabulary, types};
use crate::error::Error;
use crate::values::Secret;

/// The vendors by name, the `provider` input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// OpenAI itself.
    Openai,
    /// Any server that speaks OpenAI's dialect; needs `base-url`.
    Compatible,
    /// Anthropic's Message Batches.
    Anthropic,
    /// The built-in simulator: no key, no network, no cost, no real answers.
    Sandbox,
}

/// Finds a vendor by its name.
pub fn choose(name: Name) -> &'static Vendor {
    match name {
        Name::Openai => &vendors::OPENAI,
        Name::Compatible => &vendors::COMPATIBLE,
        Name::Anthropic => &vendors::ANTHROPIC,
        Name::Sandbox => &vendors::SANDBOX,
    }
}

/// Every vendor, in the order in which they are listed.
pub fn all() -> impl Iterator<Item = &'static Vendor> {
    Name::value_variants().iter().map(|name| choose(*name))
}

/// What comes of reading an answer of the server's.
pub(crate) type Parsed<T> = Result<T, serde_json::Error>;

/// The Batch API as one family of vendors speaks it.
pub(crate) trait Dialect: Debug + Sync {
    /// Whose language it is, for people.
    fn name(&self) -> &'static str;

    /// Refuses a chosen endpoint that takes no batches.
    ///
    /// # Errors
    /// Ends in exit 2 if `rules` name such an endpoint.
    fn check_endpoint(&self, rules: &Rules) -> Result<(), Error>;

    /// The endpoint that all batches are for, where there is but one and the lines do not name it.
    fn only_endpoint(&self) -> Option<&'static str>;

    /// Reads a line of the requests file and finds what is wrong with it by itself. What it shares with other lines is
    /// checked elsewhere.
    ///
    /// # Errors
    /// What is wrong with a line that cannot be read as a request at all.
    fn read_line<'l>(&self, line: &'l str, rules: &'l Rules) -> Result<RequestLine<'l>, Finding>;

    /// What is billed as input of a line that was read without a fault, for a model.
    fn billed<'l>(&self, line: &'l str, model: Option<&str>) -> Billed<'l>;

    /// The shell command that makes requests of a table, up to where the file's name comes.
    fn requests_of(&self, table: &Table) -> String;

    /// A warning of an endpoint that the dialect does not know.
    fn unknown_endpoint(&self, endpoint: &str) -> String;

    /// The address that the calls' paths are below, of a base URL as users write it.
    fn root<'u>(&self, base_url: &'u str) -> &'u str;

    /// The header by which a call proves whose it is: its name in lower case, and its value.
    fn authorization(&self, key: &Secret) -> (&'static str, String);

    /// Headers that go with every call where the user sets no others: names in lower case, and values.
    fn default_headers(&self) -> &'static [(&'static str, &'static str)];

    /// The headers, in lower case, that may change the answers: those that route a call or select a version.
    fn routing_headers(&self) -> &'static [&'static str];

    /// The header, in lower case, in which the server names a call for its support.
    fn request_id_header(&self) -> &'static str;

    /// The header, in lower case, that says for which organization a call acts, if there is one.
    fn organization_header(&self) -> Option<&'static str>;

    /// The header, in lower case, that says for which project a call acts, if there is one.
    fn project_header(&self) -> Option<&'static str>;

    /// How the requests of a batch are taken.
    fn intake(&self) -> Intake;

    /// Reads the answers that are at a place which [`answer_sources`](Self::answer_sources) names.
    fn answer_content(&self, place: &str) -> Call;

    /// Creates a batch.
    fn create_batch(&self, batch: &NewBatch<'_>) -> Call;

    /// Reads a batch.
    fn get_batch(&self, id: &str) -> Call;

    /// Cancels a batch.
    fn cancel_batch(&self, id: &str) -> Call;

    /// Lists up to `limit` batches, newest first, from after the batch named.
    fn list_batches(&self, limit: u64, after: Option<&str>) -> Call;

    /// Reads the answer that shows a batch.
    ///
    /// # Errors
    /// Fails if it is not JSON or has no id that can be asked for.
    fn read_batch(&self, body: &[u8]) -> Parsed<Batch>;

    /// Where the answers of a batch are, as far as the batch says it.
    fn answer_sources<'b>(&self, batch: &'b Batch) -> Vec<AnswerSource<'b>>;

    /// Reads a page of a list of batches.
    ///
    /// # Errors
    /// Fails if it is not JSON or not a list.
    fn read_page(&self, body: &[u8]) -> Parsed<Page>;

    /// Reads the body of an answer that is not 2xx.
    fn read_error(&self, body: &[u8]) -> ApiError;

    /// The error in the body of an answer that is 2xx nevertheless.
    fn error_in_success(&self, body: &[u8]) -> Option<ApiError>;

    /// Whether a code says that no waiting helps.
    fn is_hopeless(&self, code: &str) -> bool;

    /// How the lines of a batch's answers are read.
    fn answers(&self) -> &'static dyn ReadAnswers;
}

/// Answers of servers for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::{ApiError, Batch, Capabilities, Name, Support, Vendor, choose, vendors};

    /// A vendor that lists no batches and shows no files.
    pub(crate) fn without_list_and_files() -> &'static Vendor {
        const NO: Capabilities =
            Capabilities { list: Support::No, file_objects: Support::No, ..vendors::COMPATIBLE.capabilities };
        const VENDOR: Vendor = Vendor { capabilities: NO, ..vendors::COMPATIBLE };
        &VENDOR
    }

    /// A vendor whose cancel loses the answers that there are.
    pub(crate) fn with_lossy_cancel() -> &'static Vendor {
        const NO: Capabilities = Capabilities { cancel_keeps_answers: Support::No, ..vendors::COMPATIBLE.capabilities };
        const VENDOR: Vendor = Vendor { capabilities: NO, ..vendors::COMPATIBLE };
        &VENDOR
    }

    /// A batch that a compatible server shows so.
    pub(crate) fn batch(json: &str) -> Batch {
        choose(Name::Compatible).dialect.read_batch(json.as_bytes()).unwrap()
    }

    /// An error that a compatible server answers so.
    pub(crate) fn error(json: &str) -> ApiError {
        choose(Name::Compatible).dialect.read_error(json.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::{Name, choose};

    #[test]
    fn a_vendor_is_called_what_the_input_calls_it() {
        for name in Name::value_variants() {
            assert_eq!(choose(*name).name, name.to_possible_value().unwrap().get_name());
        }
    }
}
