//! Providers: each turns the API's verbs into HTTP calls, as data.
//!
//! The default methods are OpenAI's dialect; a provider overrides what it says
//! differently. Nothing here sends anything: `client/` does. The one `match`
//! on provider names is [`choose`].

mod compatible;
pub(crate) mod openai;
mod sandbox;

pub(crate) use openai::wire::{Batch, BatchError, Counts, File, Page, Status};

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::requests::Rules;

/// The providers by name, the `provider` input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// OpenAI itself.
    Openai,
    /// Any server that speaks OpenAI's dialect; needs `base-url`.
    Compatible,
    /// The built-in simulator: no key, no network, no cost, no real answers.
    Sandbox,
}

/// The form fields that say how long an uploaded file lives.
pub(crate) const EXPIRY_ANCHOR: &str = "expires_after[anchor]";
/// The other one.
pub(crate) const EXPIRY_SECONDS: &str = "expires_after[seconds]";

/// Finds a provider by its name.
pub fn choose(name: Name) -> Box<dyn Provider> {
    match name {
        Name::Openai => Box::new(openai::OpenAi),
        Name::Compatible => Box::new(compatible::Compatible),
        Name::Sandbox => Box::new(sandbox::Sandbox),
    }
}

/// An HTTP method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Deletes.
    Delete,
}

/// An HTTP call, relative to the base URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path below the base URL, as segments that are not yet encoded.
    pub path: String,
    /// The query's pairs.
    pub query: Vec<(&'static str, String)>,
    /// The JSON body.
    pub json: Option<Value>,
    /// The form fields that stand before the file in an upload.
    pub form: Vec<(String, String)>,
}

impl Call {
    /// A call without query or body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), json: None, form: Vec::new() }
    }
}

/// What a new batch is made of.
#[derive(Clone, Debug)]
pub struct NewBatch<'a> {
    /// The uploaded file.
    pub input_file_id: &'a str,
    /// Where its requests go.
    pub endpoint: &'a str,
    /// How long the provider may take: `24h` at OpenAI.
    pub completion_window: &'a str,
    /// Marks and the user's own pairs.
    pub metadata: &'a [(String, String)],
    /// How long the output file lives, counted from its own creation.
    pub output_expires_after: Option<Duration>,
}

/// What an upload says beside the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadForm {
    /// What the file is for: `batch` at OpenAI.
    pub purpose: String,
    /// How long the file lives.
    pub expires_after: Option<Duration>,
    /// The user's own fields: gateways route by them.
    pub fields: Vec<(String, String)>,
}

/// Whether a provider wants an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It refuses calls without one.
    Required,
    /// That is for the server to say: it may take none, or another header.
    Optional,
    /// It takes any, so one is made up.
    MadeUp,
}

/// A vendor of the Batch API.
pub trait Provider {
    /// Its name, as the input says it.
    fn name(&self) -> &'static str;

    /// Where it answers, unless `base-url` says otherwise.
    fn base_url(&self) -> Option<&'static str>;

    /// What its requests files must keep to. OpenAI's limits are of its Batch
    /// guide (2026-08); which megabyte its "200 MB" means is not documented, so
    /// the smaller one is kept to.
    fn rules(&self) -> Rules {
        Rules {
            known_endpoints_only: true,
            max_requests: Some(50_000),
            max_bytes: Some(200_000_000),
            max_embedding_inputs: Some(50_000),
            ..Rules::default()
        }
    }

    /// The completion windows it takes; empty where that is for the server to say.
    fn windows(&self) -> &'static [&'static str] {
        &["24h"]
    }

    /// Whether it may know no metadata, and refuse a create for having some.
    fn may_refuse_metadata(&self) -> bool {
        false
    }

    /// Whether it wants a key.
    fn key(&self) -> Key {
        Key::Required
    }

    /// Whether its answers are made up.
    fn is_simulated(&self) -> bool {
        false
    }

    /// Uploads a requests file, which the client appends to the form.
    fn upload(&self, form: &UploadForm) -> Call {
        let mut fields = vec![("purpose".to_owned(), form.purpose.clone())];
        if let Some(life) = form.expires_after {
            fields.push((EXPIRY_ANCHOR.to_owned(), "created_at".to_owned()));
            fields.push((EXPIRY_SECONDS.to_owned(), life.as_secs().to_string()));
        }
        let form = [&fields[..], &form.fields].concat();
        Call { form, ..Call::new(Method::Post, "/files") }
    }

    /// Reads a file's object.
    fn get_file(&self, id: &str) -> Call {
        Call::new(Method::Get, format!("/files/{id}"))
    }

    /// Reads a file's bytes.
    fn file_content(&self, id: &str) -> Call {
        Call::new(Method::Get, format!("/files/{id}/content"))
    }

    /// Deletes a file.
    fn delete_file(&self, id: &str) -> Call {
        Call::new(Method::Delete, format!("/files/{id}"))
    }

    /// Creates a batch.
    fn create_batch(&self, batch: &NewBatch<'_>) -> Call {
        let metadata: serde_json::Map<String, Value> =
            batch.metadata.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        let mut body = json!({
            "input_file_id": batch.input_file_id,
            "endpoint": batch.endpoint,
            "completion_window": batch.completion_window,
        });
        if !metadata.is_empty() {
            body["metadata"] = Value::Object(metadata);
        }
        if let Some(life) = batch.output_expires_after {
            body["output_expires_after"] = json!({ "anchor": "created_at", "seconds": life.as_secs() });
        }
        Call { json: Some(body), ..Call::new(Method::Post, "/batches") }
    }

    /// Reads a batch.
    fn get_batch(&self, id: &str) -> Call {
        Call::new(Method::Get, format!("/batches/{id}"))
    }

    /// Cancels a batch.
    fn cancel_batch(&self, id: &str) -> Call {
        Call::new(Method::Post, format!("/batches/{id}/cancel"))
    }

    /// Lists batches, newest first.
    fn list_batches(&self, limit: u64, after: Option<&str>) -> Call {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(after.map(|id| ("after", id.to_owned())));
        Call { query, ..Call::new(Method::Get, "/batches") }
    }
}
