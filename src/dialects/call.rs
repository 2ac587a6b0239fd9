//! The calls that a dialect makes of the API's verbs, as data. `client/` sends them.

use std::time::Duration;

use serde_json::Value;

/// An HTTP method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Deletes.
    Delete,
}

/// An HTTP call, relative to the base URL.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The method.
    pub method: Method,
    /// The path below the base URL, as segments that are not yet encoded.
    pub path: String,
    /// The query's pairs.
    pub query: Vec<(&'static str, String)>,
    /// What is sent with it.
    pub body: Body,
}

/// What is sent with a call.
///
/// A dialect that sends a shard in the create itself adds a form of it here: one body of known length, streamed from
/// the shard's lines with something before, between and after them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// A JSON value.
    Json(Value),
    /// A form of these fields, which end in the requests as a file named `file`.
    Form(Vec<(String, String)>),
}

impl Call {
    /// A call without query or body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: Body::Empty }
    }
}

/// What a new batch is made of.
#[derive(Clone, Debug)]
pub(crate) struct NewBatch<'a> {
    /// The uploaded file.
    pub input_file_id: &'a str,
    /// Where its requests go.
    pub endpoint: &'a str,
    /// How long the vendor may take: `24h` at OpenAI.
    pub completion_window: &'a str,
    /// Marks and the user's own pairs.
    pub metadata: &'a [(String, String)],
    /// How long the output file lives, counted from its own creation.
    pub output_expires_after: Option<Duration>,
}

/// What an upload says beside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadForm {
    /// What the file is for; the dialect's own word where the user names none.
    pub purpose: Option<String>,
    /// How long the file lives.
    pub expires_after: Option<Duration>,
    /// The user's own fields: gateways route by them.
    pub fields: Vec<(String, String)>,
}
