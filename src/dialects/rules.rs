//! What requests are held against: the vendor's rules and the user's choice.

use super::{Dialect, Intake};
use crate::marked_id;

/// How closely lines are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scrutiny {
    /// As closely as possible: they are about to be sent.
    #[default]
    Full,
    /// Only at what answers are matched by: a vendor has taken them already.
    Ids,
}

/// Which endpoints a vendor takes batches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoints {
    /// Those that the dialect knows and no others. Each line names its own.
    Known,
    /// Whatever the server knows. An unknown one earns a warning, and what its bodies must hold is not checked; a
    /// chosen endpoint is the batch's, whatever the lines say or leave out.
    Any,
}

/// What the requests of one batch may measure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// How many requests there may be.
    pub max_requests: Option<u64>,
    /// How many bytes may be sent.
    pub max_bytes: Option<u64>,
    /// How many inputs all embeddings requests may have together.
    pub max_embedding_inputs: Option<u64>,
}

/// What requests are held against.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who reads the lines.
    pub(crate) dialect: &'static dyn Dialect,
    /// The endpoint of all requests; without one, what each names.
    pub(crate) endpoint: Option<String>,
    /// The headers that go with every call and may change what a request must hold: names in lower case, and values.
    pub(crate) headers: Vec<(String, String)>,
    /// Which endpoints there are.
    pub(crate) endpoints: Endpoints,
    /// How closely lines are looked at.
    pub(crate) scrutiny: Scrutiny,
    /// What a batch may measure.
    pub(crate) limits: Limits,
}

/// Where it is said which endpoint a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressed {
    /// In its line.
    ByLine,
    /// Once for the whole batch; lines may do without.
    ByBatch,
}

impl Rules {
    /// For requests that a vendor has taken already.
    pub(crate) fn of_sent(dialect: &'static dyn Dialect) -> Self {
        let (endpoints, limits) = (Endpoints::Any, Limits::default());
        Self { dialect, endpoint: None, headers: Vec::new(), endpoints, scrutiny: Scrutiny::Ids, limits }
    }

    /// What names the endpoint of a request. Servers that read it from the batch
    /// differ in what the lines must say.
    pub(crate) fn addressed(&self) -> Addressed {
        match (&self.endpoint, self.endpoints) {
            (Some(_), Endpoints::Any) => Addressed::ByBatch,
            _ => Addressed::ByLine,
        }
    }

    /// The value of a header that goes with every call.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// How many bytes a line adds to what the vendor is sent: `line` without its end, `length` with it; `index` is that
    /// of the request, from 0.
    pub(crate) fn sent_bytes(&self, line: &[u8], length: u64, index: u32) -> u64 {
        match self.dialect.intake() {
            Intake::File(_) => length,
            Intake::InCreate(body) => marked_id::length(line, index, body.ids) + body.between.len() as u64,
        }
    }

    /// How many tokens the answers to the request of a line may have; none where it sets no limit, or is no request.
    pub(crate) fn output_cap(&self, line: &[u8]) -> Option<u64> {
        let line = std::str::from_utf8(line).ok()?;
        self.dialect.read_line(line, self).ok()?.output_cap
    }

    /// The endpoint whose answers come back from a batch of this one. None where it
    /// was chosen for lines that may name another, as some servers want it.
    pub(crate) fn answers_of<'e>(&self, endpoint: &'e str) -> Option<&'e str> {
        Some(endpoint).filter(|_| self.addressed() == Addressed::ByLine)
    }
}
