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

/// An HTTP call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// The query's pairs.
    pub query: Vec<(&'static str, String)>,
    /// What is sent with it.
    pub body: Body,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To this path below the base URL, as segments that are not yet encoded.
    Path(String),
    /// To this URL, which the vendor gave. It may be of another origin, which gets no key.
    Url(String),
}

/// What is sent with a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// Nothing.
    Empty,
    /// A JSON value.
    Json(Value),
    /// A form of these fields, which end in the requests as a file.
    Form(Form),
    /// The requests themselves, as JSON that [`InCreate`](super::InCreate) describes.
    Requests,
}

/// A form that ends in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Its fields.
    pub fields: Vec<(String, String)>,
    /// What the file's field is called.
    pub file: &'static str,
    /// The file's media type.
    pub media_type: &'static str,
}

impl Call {
    /// A call without query or body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, target: Target::Path(path.into()), query: Vec::new(), body: Body::Empty }
    }

    /// Reads what is at a URL of the vendor's.
    pub(crate) fn read_url(url: &str) -> Self {
        Self { target: Target::Url(url.to_owned()), ..Self::new(Method::Get, "") }
    }
}

/// What a new batch is made of.
#[derive(Clone, Debug)]
pub(crate) struct NewBatch<'a> {
    /// The uploaded file; none where the create carries the requests.
    pub input_file_id: Option<&'a str>,
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
