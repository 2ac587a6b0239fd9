//! The API's verbs, one attempt each: a dialect's call, sent, and its answer read.

use crate::client::{Client, Download, Reply, Shown, Traces};
use crate::dialects::{
    Batch, Call, Counts, Dialect, File, Files, FoundBy, Intake, NewBatch, Page, Parsed, Status, Support, UploadForm,
    Vendor,
};
use crate::requests::outgoing::Outgoing;
use crate::retry::{Failure, Refusal};
use crate::text::shorten;

/// A vendor and the client that reaches it.
pub(crate) struct Api {
    client: Client,
    vendor: &'static Vendor,
}

impl Api {
    /// Joins a vendor and a client.
    pub(crate) fn new(client: Client, vendor: &'static Vendor) -> Self {
        Self { client, vendor }
    }

    /// The vendor.
    pub(crate) fn vendor(&self) -> &'static Vendor {
        self.vendor
    }

    fn dialect(&self) -> &'static dyn Dialect {
        self.vendor.dialect
    }

    /// The scheme, host and port that the calls go to.
    pub(crate) fn origin(&self) -> String {
        self.client.origin()
    }

    /// The base URL as it may be shown.
    pub(crate) fn shown_base_url(&self) -> Shown {
        self.client.shown_base_url()
    }

    /// What the server's clock showed at this time of ours, in Unix seconds: by the `Date` of its last reply.
    pub(crate) fn server_time(&self, at: i64) -> i64 {
        at + self.client.ahead()
    }

    /// Where the answers of a batch are whose ids show whose they are; none where the vendor shows it otherwise.
    pub(crate) fn marked_answers(&self, batch: &Batch) -> Option<String> {
        let is_marked = self.vendor.capabilities.found_by == FoundBy::AnswerIds;
        let sources = self.dialect().answer_sources(batch);
        sources.first().filter(|_| is_marked).map(|source| source.file_id.to_owned())
    }

    /// Whether the answers are made up: by what the vendor is, or by what the server said.
    pub(crate) fn is_simulated(&self) -> bool {
        self.vendor.is_simulated() || self.client.is_simulated()
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
        let reply = self.client.stream(&self.files()?.upload(form), name, file, sent).await?;
        let reply = self.succeeded(reply)?;
        Ok((self.file(&reply)?, reply))
    }

    /// Reads a file's object.
    pub(crate) async fn get_file(&self, id: &str) -> Result<(File, Reply), Failure> {
        let files = self.files()?;
        self.supported(self.vendor.capabilities.file_objects, "objects of files")?;
        let reply = self.send(files.get(id)).await?;
        Ok((self.file(&reply)?, reply))
    }

    /// Deletes a file.
    pub(crate) async fn delete_file(&self, id: &str) -> Result<Reply, Failure> {
        let files = self.files()?;
        self.supported(self.vendor.capabilities.file_objects, "objects of files")?;
        self.send(files.delete(id)).await
    }

    /// Begins to download answers, or another file, from `offset` on if the server can.
    pub(crate) async fn content(&self, place: &str, offset: u64) -> Result<Download, Failure> {
        let offset = if self.vendor.capabilities.ranges == Support::No { 0 } else { offset };
        self.client.download(&self.dialect().answer_content(place), offset).await
    }

    /// Creates a batch. Never to be repeated blindly: see `batch/create.rs`.
    pub(crate) async fn create_batch(&self, batch: &NewBatch<'_>) -> Result<(Batch, Reply), Failure> {
        self.batch(self.dialect().create_batch(batch)).await
    }

    /// Creates a batch whose requests the create carries. Never to be repeated blindly, unless its last byte was not
    /// sent: that is [`Failure::Unsent`].
    pub(crate) async fn create_batch_of(
        &self,
        batch: &NewBatch<'_>,
        requests: Outgoing,
        sent: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(Batch, Reply), Failure> {
        let reply = self.client.stream(&self.dialect().create_batch(batch), "", requests, sent).await?;
        self.read_batch(self.succeeded(reply)?)
    }

    /// Reads a batch.
    pub(crate) async fn get_batch(&self, id: &str) -> Result<(Batch, Reply), Failure> {
        self.batch(self.dialect().get_batch(id)).await
    }

    /// Cancels a batch. A batch that is over answers 409.
    pub(crate) async fn cancel_batch(&self, id: &str) -> Result<(Batch, Reply), Failure> {
        self.batch(self.dialect().cancel_batch(id)).await
    }

    /// Lists batches, newest first: up to `limit` after the batch named.
    pub(crate) async fn list_batches(&self, limit: u64, after: Option<&str>) -> Result<(Page, Reply), Failure> {
        self.supported(self.vendor.capabilities.list, "list of batches")?;
        let reply = self.send(self.dialect().list_batches(limit, after)).await?;
        let page = self.parsed(&reply, self.dialect().read_page(&reply.body))?;
        page.batches.iter().try_for_each(|batch| self.usable(batch.ids()))?;
        Ok((page, reply))
    }

    async fn batch(&self, call: Call) -> Result<(Batch, Reply), Failure> {
        self.read_batch(self.send(call).await?)
    }

    fn read_batch(&self, reply: Reply) -> Result<(Batch, Reply), Failure> {
        let batch = self.parsed(&reply, self.dialect().read_batch(&reply.body))?;
        self.usable(batch.ids())?;
        Ok((self.as_counted(batch), reply))
    }

    /// A batch without the counts that mean nothing while it runs.
    fn as_counted(&self, batch: Batch) -> Batch {
        let counts = if self.vendor.capabilities.running_counts == Support::No && !batch.status.is_terminal() {
            Counts { total: batch.counts.total, ..Counts::default() }
        } else {
            batch.counts
        };
        Batch { counts, ..batch }
    }

    async fn send(&self, call: Call) -> Result<Reply, Failure> {
        self.succeeded(self.client.send(&call).await?)
    }

    /// A reply that is a success in what it says, too: some gateways send errors as 200.
    fn succeeded(&self, reply: Reply) -> Result<Reply, Failure> {
        let Some(error) = self.dialect().error_in_success(&reply.body) else { return Ok(reply) };
        let shown = Box::new(error.shown(|text| self.shown(text)));
        Err(Failure::FailedInside(Refusal { status: 200, error: Box::new(error), shown, ..Refusal::default() }))
    }

    /// What the vendor is known not to have is not asked for.
    fn supported(&self, support: Support, what: &'static str) -> Result<(), Failure> {
        if support == Support::No { Err(Failure::Unsupported(what)) } else { Ok(()) }
    }

    fn files(&self) -> Result<&'static dyn Files, Failure> {
        match self.dialect().intake() {
            Intake::File(files) => Ok(files),
            Intake::InCreate(_) => Err(Failure::Unsupported("files")),
        }
    }

    fn file(&self, reply: &Reply) -> Result<File, Failure> {
        let file = self.parsed(reply, self.files()?.read(&reply.body))?;
        self.usable([file.id.as_str()])?;
        Ok(file)
    }

    fn parsed<T>(&self, reply: &Reply, parsed: Parsed<T>) -> Result<T, Failure> {
        parsed.map_err(|error| self.garbled(reply, &error))
    }

    /// Ids go into logs, outputs and addresses. One that holds a credential must go nowhere.
    fn usable<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
        if ids.into_iter().any(|id| self.client.is_credential_in(id)) {
            return Err(Failure::Garbled("it has an id that contains a credential of ours".to_owned()));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::Api;
    use crate::client::{Client, Connection};
    use crate::clock::Clock;
    use crate::dialects::testing;
    use crate::retry::{Advice, Failure};

    #[tokio::test]
    async fn what_a_vendor_does_not_have_is_not_asked_for() {
        let connection = Connection {
            // Nobody answers there, so a call would fail otherwise.
            base_url: "http://127.0.0.1:9/v1".to_owned(),
            api_key: None,
            headers: Vec::new(),
            ca_bundle: None,
            allow_http: false,
        };
        let vendor = testing::without_list_and_files();
        let api = Api::new(
            Client::new(&connection, vendor.dialect, Clock::starting_at(std::time::Duration::ZERO)).unwrap(),
            vendor,
        );
        let unlisted = api.list_batches(100, None).await.err().unwrap();
        assert_eq!(unlisted, Failure::Unsupported("list of batches"));
        assert!(!unlisted.is_ambiguous());
        assert_eq!(
            (unlisted.advice(), unlisted.to_string().as_str()),
            (Advice::Stop, "the provider has no list of batches")
        );
        assert_eq!(api.get_file("file-1").await.err().unwrap(), Failure::Unsupported("objects of files"));
        assert_eq!(api.delete_file("file-1").await.err().unwrap(), Failure::Unsupported("objects of files"));
    }
}
