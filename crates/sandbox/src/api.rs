//! What routes.rs asks of a dialect: one vendor's API over the engine that they share.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde_json::Value;

use super::engine::Engine;
use super::operation::Operation;
use super::refusal::Refusal;
use super::tally::Tally;

/// A vendor's API. HTTP is routes.rs's matter, time passes only in that the next call names a later one.
pub(super) trait Api: Send {
    /// What it is built on.
    fn engine(&mut self) -> &mut Engine;

    /// Finds the operation, and the id in the path (empty where the path has none).
    fn find<'a>(&self, method: &str, path: &'a str) -> Result<(Operation, &'a str), Refusal>;

    /// Whether a call with these headers may be made.
    fn authorise(&self, headers: &HeaderMap) -> Result<(), Refusal>;

    /// Does what is asked.
    fn call(&mut self, call: Call<'_>) -> Result<Reply, Refusal>;

    /// The content at an address that is itself the permission, as a store of blobs has it.
    fn stored(&mut self, id: &str, now: Duration) -> Result<Bytes, Refusal>;

    /// How many batches have not ended.
    fn under_way(&self, now: Duration) -> usize;

    /// What it has been asked for so far.
    fn tally(&self, now: Duration) -> Tally;

    /// The refusal that a fault asks for: a status, perhaps with a code that is not the usual one.
    fn scripted(&self, status: u16, code: Option<&str>) -> Refusal;

    /// The refusal of a body's member that the API does not know.
    fn unknown_member(&self, member: &str) -> Refusal;

    /// An error as JSON.
    fn error(&self, refusal: &Refusal, request_id: &str) -> Value;

    /// Adds the headers that every answer carries.
    fn sign(&self, headers: &mut HeaderMap, request_id: &str, now: Duration);
}

/// A call whose body has arrived.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) id: &'a str,
    pub(super) query: Query<'a>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: Bytes,
    pub(super) now: Duration,
    /// How young a batch must be to be hidden from a list.
    pub(super) lag: Duration,
    /// How many requests a new batch may have.
    pub(super) most: Option<u64>,
}

impl Call<'_> {
    /// A header as text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What a call ends in, when it ends well.
pub(super) enum Reply {
    Object(Value),
    /// A file, of which a part can be asked for.
    Content(Bytes),
    /// Lines that are made as they go out, always from the first.
    Stream(Bytes),
}

/// The parameters of a request. Ids and words need no decoding, so none is done.
#[derive(Clone, Copy, Default)]
pub(super) struct Query<'a>(pub(super) &'a str);

impl<'a> Query<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).find(|value| !value.is_empty())
    }
}
