//! The table of vendors: what each says of itself, as data.
//!
//! A vendor that speaks a dialect we have is one row here, a variant of `Name`, an arm of `choose` and a column in
//! docs/providers.md.

use super::{ANTHROPIC_VARIABLES, Anthropic, OPENAI_VARIABLES, OpenAi};
use super::{Capabilities, Dialect, Endpoints, FoundBy, Limits, Retention, Rules, Scrutiny, Support};

/// A vendor of the Batch API.
#[derive(Debug)]
pub struct Vendor {
    /// Its name, as the `provider` input has it.
    pub(crate) name: &'static str,
    /// The language that it speaks.
    pub(crate) dialect: &'static dyn Dialect,
    /// Where it answers, unless `base-url` says otherwise.
    pub(crate) base_url: Option<&'static str>,
    /// Where people look at a batch, with `{}` for its id, if it answers at `base_url`.
    pub(crate) batch_page: Option<&'static str>,
    /// Whose prices hold, by their id in src/prices/prices.json; none where the server's address says it.
    pub(crate) prices: Option<&'static str>,
    /// Whether it wants an API key.
    pub(crate) key: Key,
    /// Whether its answers are real.
    pub(crate) answers: Answers,
    /// Which endpoints it takes batches for.
    pub(crate) endpoints: Endpoints,
    /// What a batch may measure.
    pub(crate) limits: Limits,
    /// The completion windows that it takes; empty where that is for the server to say.
    pub(crate) windows: &'static [&'static str],
    /// The variables that its own tools read, which stand for inputs.
    pub(crate) variables: &'static [Variable],
    /// What it can and cannot do.
    pub(crate) capabilities: Capabilities,
}

/// Whether a vendor wants an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// It refuses calls without one.
    Required,
    /// That is for the server to say: it may take none, or another header.
    Optional,
    /// It takes any, so one is made up.
    MadeUp,
}

/// Whether a vendor's answers are real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// A model gave them.
    Real,
    /// They are made up.
    Simulated,
}

/// A variable of a vendor's own tools that stands for one of our inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// The input.
    pub input: &'static str,
    /// The variable.
    pub name: &'static str,
}

impl Vendor {
    /// What its requests files must keep to.
    pub fn rules(&self) -> Rules {
        let Self { dialect, endpoints, limits, .. } = *self;
        Rules { dialect, endpoint: None, headers: Vec::new(), endpoints, scrutiny: Scrutiny::Full, limits }
    }

    /// The variables of its own tools, each after the input that it stands for.
    pub fn variable_names(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.variables.iter().map(|variable| (variable.input, variable.name))
    }

    /// The name that the `provider` input has for it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where people look at a batch.
    pub(crate) fn batch_page(&self, id: &str) -> Option<String> {
        let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        self.batch_page.filter(|_| is_plain).map(|page| page.replace("{}", id))
    }

    /// Whether its answers are made up.
    pub(crate) fn is_simulated(&self) -> bool {
        self.answers == Answers::Simulated
    }

    /// The variable of its own tools that stands for an input.
    pub(crate) fn variable(&self, input: &str) -> Option<&'static str> {
        self.variables.iter().find(|variable| variable.input == input).map(|variable| variable.name)
    }
}

/// OpenAI itself. The limits are of its Batch guide (2026-08); which megabyte its "200 MB" means is not documented, so
/// the smaller one is kept to. So are the days: its files are "automatically deleted 30 days after the batch is
/// complete". It documents neither an idempotency key nor ranges of a file's content.
pub(super) const OPENAI: Vendor = Vendor {
    name: "openai",
    dialect: &OpenAi,
    base_url: Some("https://api.openai.com/v1"),
    batch_page: Some("https://platform.openai.com/batches/{}"),
    prices: Some("openai"),
    key: Key::Required,
    answers: Answers::Real,
    endpoints: Endpoints::Known,
    limits: Limits { max_requests: Some(50_000), max_bytes: Some(200_000_000), max_embedding_inputs: Some(50_000) },
    windows: &["24h"],
    variables: OPENAI_VARIABLES,
    capabilities: Capabilities {
        found_by: FoundBy::Metadata,
        list: Support::Yes,
        running_counts: Support::Yes,
        cancel_keeps_answers: Support::Yes,
        file_objects: Support::Yes,
        ranges: Support::ServerSays,
        retention: Retention::Days(30),
    },
};

/// Any server that speaks OpenAI's dialect: its address is the user's, the rest is for it to say.
pub(super) const COMPATIBLE: Vendor = Vendor {
    name: "compatible",
    base_url: None,
    batch_page: None,
    prices: None,
    key: Key::Optional,
    endpoints: Endpoints::Any,
    limits: Limits { max_requests: None, max_bytes: None, max_embedding_inputs: None },
    windows: &[],
    capabilities: Capabilities {
        found_by: FoundBy::MetadataIfKept,
        list: Support::ServerSays,
        running_counts: Support::ServerSays,
        cancel_keeps_answers: Support::ServerSays,
        file_objects: Support::ServerSays,
        ranges: Support::ServerSays,
        retention: Retention::ServerSays,
    },
    ..OPENAI
};

/// Anthropic. The limits are of its Message Batches guide (2026-11); which megabyte its "256 MB" means is not
/// documented, so the smaller one is kept to. Its API has neither files nor metadata nor an idempotency key.
pub(super) const ANTHROPIC: Vendor = Vendor {
    name: "anthropic",
    dialect: &Anthropic,
    base_url: Some("https://api.anthropic.com"),
    // The console lists batches by workspace; it documents no page of one batch.
    batch_page: Some("https://platform.claude.com/settings/workspaces/default/batches"),
    prices: Some("anthropic"),
    key: Key::Required,
    answers: Answers::Real,
    endpoints: Endpoints::Known,
    limits: Limits { max_requests: Some(100_000), max_bytes: Some(256_000_000), max_embedding_inputs: None },
    windows: &["24h"],
    variables: ANTHROPIC_VARIABLES,
    capabilities: Capabilities {
        found_by: FoundBy::AnswerIds,
        list: Support::Yes,
        running_counts: Support::No,
        cancel_keeps_answers: Support::Yes,
        file_objects: Support::No,
        ranges: Support::ServerSays,
        retention: Retention::DaysFromCreation(29),
    },
};

/// The built-in simulator, with OpenAI's limits. No variable of OpenAI's counts, so that no real key is sent to it.
pub(super) const SANDBOX: Vendor = Vendor {
    name: "sandbox",
    base_url: None,
    batch_page: None,
    key: Key::MadeUp,
    answers: Answers::Simulated,
    variables: &[],
    capabilities: Capabilities { ranges: Support::Yes, retention: Retention::Process, ..OPENAI.capabilities },
    ..OPENAI
};
