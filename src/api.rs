//! The API's verbs, one attempt each: a provider's call, sent, and its answer read.

use serde::de::DeserializeOwned;

use crate::api_error::ApiError;
use crate::client::{Client, Download, Reply, Shown, Traces};
use crate::dialects::openai::wire;
use crate::dialects::{Batch, File, Page, Status};
use crate::dialects::{Call, NewBatch, Provider, UploadForm};
use crate::requests::outgoing::Outgoing;
use crate::retry::{Failure, Refusal};
use crate::text::shorten;

/// A provider and the client that reaches it.
pub(crate) struct Api {
    client: Client,
    provider: Box<dyn Provider>,
}

impl Api {
    /// Joins a provider and a client.
    pub(crate) fn new(client: Client, provider: Box<dyn Provider>) -> Self {
        Self { client, provider }
    }

    /// The provider.
    pub(crate) fn provider(&self) -> &dyn Provider {
        self.provider.as_ref()
    }

    /// The scheme, host and port that the calls go to.
    pub(crate) fn origin(&self) -> String {
        self.client.origin()
    }

    /// The base URL as it may be shown.
    pub(crate) fn shown_base_url(&self) -> Shown {
        self.client.shown_base_url()
    }

    /// Whether the answers are made up: so says the provider, or so said the server.
    pub(crate) fn is_simulated(&self) -> bool {
        self.provider.is_simulated() || self.client.is_simulated()
    }

    /// What our secrets are found by in lines that stay as they are.
    pub(crate) fn traces(&self) -> Traces {
        self.client.traces()
    }

    /// A text of the server's as it may be shown: without the secrets that we sent.
    pub(crate) fn shown(&self, text: &str) -> String {
        self.client.shown(text)
    }

    /// JSON of the server's as it may be printed: without the secrets that we sent.
    pub(crate) fn shown_json(&self, json: &[u8]) -> String {
        String::from_utf8_lossy(&self.client.shown_body(json)).into_owned()
    }

    /// A batch as it may be shown. Decisions read the batch as it came.
    pub(crate) fn shown_batch(&self, batch: &Batch) -> Batch {
        let mut batch = batch.clone();
        if let Status::Other(word) = &mut batch.status {
            *word = self.shown(word);
        }
        for error in batch.errors.iter_mut() {
            for text in [&mut error.code, &mut error.message, &mut error.param].into_iter().flatten() {
                *text = self.shown(text);
            }
        }
        batch
    }

    /// Uploads a requests file.
    pub(crate) async fn upload(
        &self,
        name: &str,
        file: Outgoing,
        form: &UploadForm,
        sent: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(File, Reply), Failure> {
        let reply = self.client.upload(&self.provider.upload(form), name, file, sent).await?;
        let reply = self.succeeded(reply)?;
        Ok((self.file(&reply)?, reply))
    }

    /// Reads a file's object.
    pub(crate) async fn get_file(&self, id: &str) -> Result<(File, Reply), Failure> {
        let reply = self.send(self.provider.get_file(id)).await?;
        Ok((self.file(&reply)?, reply))
    }

    /// Deletes a file.
    pub(crate) async fn delete_file(&self, id: &str) -> Result<Reply, Failure> {
        self.send(self.provider.delete_file(id)).await
    }

    /// Begins to download a file's bytes, from `offset` on if the server can.
    pub(crate) async fn file_content(&self, id: &str, offset: u64) -> Result<Download, Failure> {
        self.client.download(&self.provider.file_content(id), offset).await
    }

    /// Creates a batch. Never to be repeated blindly: see `batch/create.rs`.
    pub(crate) async fn create_batch(&self, batch: &NewBatch<'_>) -> Result<(Batch, Reply), Failure> {
        self.batch(self.provider.create_batch(batch)).await
    }

    /// Reads a batch.
    pub(crate) async fn get_batch(&self, id: &str) -> Result<(Batch, Reply), Failure> {
        self.batch(self.provider.get_batch(id)).await
    }

    /// Cancels a batch. A batch that is over answers 409.
    pub(crate) async fn cancel_batch(&self, id: &str) -> Result<(Batch, Reply), Failure> {
        self.batch(self.provider.cancel_batch(id)).await
    }

    /// Lists batches, newest first: up to `limit` after the batch named.
    pub(crate) async fn list_batches(&self, limit: u64, after: Option<&str>) -> Result<(Page, Reply), Failure> {
        let reply = self.send(self.provider.list_batches(limit, after)).await?;
        let page = wire::page(&reply.body).map_err(|error| self.garbled(&reply, &error))?;
        page.batches.iter().try_for_each(|batch| self.usable(batch.ids()))?;
        Ok((page, reply))
    }

    async fn batch(&self, call: Call) -> Result<(Batch, Reply), Failure> {
        let reply = self.send(call).await?;
        let batch: Batch = self.object(&reply)?;
        self.usable(batch.ids())?;
        Ok((batch, reply))
    }

    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.succeeded(self.client.send(&call).await?)
    }

    /// A reply that is a success in what it says, too: some gateways send errors as 200.
    fn succeeded(&self, reply: Reply) -> Result<Reply, Failure> {
        let Some(error) = ApiError::inside(&reply.body) else { return Ok(reply) };
        let shown = Box::new(error.shown(|text| self.shown(text)));
        Err(Failure::FailedInside(Refusal { status: 200, error: Box::new(error), shown, ..Refusal::default() }))
    }

    fn file(&self, reply: &Reply) -> Result<File, Failure> {
        let file: File = self.object(reply)?;
        self.usable([file.id.as_str()])?;
        Ok(file)
    }

    fn object<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Failure> {
        wire::object(&reply.body).map_err(|error| self.garbled(reply, &error))
    }

    /// Ids go into logs, outputs and addresses. One that holds a credential must go nowhere.
    fn usable<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        match ids.into_iter().any(|id| self.client.is_credential_in(id)) {
            true => Err(Failure::Garbled("it has an id that contains a credential of ours".to_owned())),
            false => Ok(()),
        }
    }

    fn garbled(&self, reply: &Reply, error: &serde_json::Error) -> Failure {
        let body = String::from_utf8_lossy(&reply.body);
        Failure::Garbled(format!(
            "{}, in `{}`",
            self.shown(&error.to_string()),
            shorten(self.shown(body.trim()).trim(), 80)
        ))
    }
}
