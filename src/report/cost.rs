//! What a run costs: before, as an estimate; after, as the usage that the answers state.

use serde::{Deserialize, Serialize};

use crate::dialects::Tokens;
use crate::usd::Usd;

/// What the requests cost, at the provider's batch prices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CostReport {
    /// The day on which the prices were checked, as `2026-11-20`; empty where no price was looked up.
    pub prices_date: String,
    /// Where the prices are from.
    pub prices_source: String,
    /// What was expected before anything was sent.
    pub estimate: Option<Estimate>,
    /// What the answers cost, or, where they are simulated, what they would have cost; none where no price is known, or
    /// nothing was collected.
    pub usd: Option<Usd>,
    /// What the same usage costs without a batch.
    pub standard_usd: Option<Usd>,
    /// Answers that are in neither sum, since what they cost is not known.
    pub unpriced: Vec<Unpriced>,
    /// What is billed beside the tokens and is in neither sum, a sentence each.
    pub not_included: Vec<String>,
    /// What the provider says that the batches cost, where it says so.
    pub provider_usd: Option<Usd>,
    /// What the run was allowed to spend; none where there was no limit.
    pub budget: Option<BudgetReport>,
}

/// What the requests will cost, as far as they tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Estimate {
    /// Requests that were to be sent.
    pub requests: u64,
    /// Of these, how many were read to count tokens.
    pub sampled: u64,
    /// Input tokens.
    pub input_tokens: Band<u64>,
    /// Output tokens at most, by the caps in the requests that have one.
    pub output_cap_tokens: u64,
    /// Requests without such a cap: there is no ceiling.
    pub uncapped: u64,
    /// Output tokens that an answer is likely to have, on average.
    pub likely_output_tokens: u64,
    /// Where that number comes from.
    pub likely_because: String,
    /// How tokens were counted, and how far that may be off.
    pub basis: String,
    /// The input alone, without any output: it costs no less.
    pub floor_usd: Option<Band<Usd>>,
    /// The input, and answers of the likely length.
    pub likely_usd: Option<Band<Usd>>,
    /// The input, and answers that are as long as the caps allow; none where a request has no cap.
    pub ceiling_usd: Option<Band<Usd>>,
    /// Models whose batch price is not known: then there are no sums.
    pub unpriced_models: Vec<String>,
    /// Input tokens by model as they were counted, before any calibration.
    pub models: Vec<ModelEstimate>,
}

/// A number with its error band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(bound = "T: Default + Serialize + schemars::JsonSchema"))]
#[serde(default)]
pub struct Band<T> {
    /// The lower end.
    pub low: T,
    /// The most likely.
    pub likely: T,
    /// The upper end.
    pub high: T,
}

/// What was counted for the requests of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelEstimate {
    /// The model that the requests name.
    pub model: Option<String>,
    /// Requests.
    pub requests: u64,
    /// Their input tokens, as counted: the next run compares them with what this one used.
    pub input_tokens: u64,
}

/// What the answers of a batch by one model used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ModelUsage {
    /// The model, as the answers name it; none where they do not.
    pub model: Option<String>,
    /// The batch.
    pub batch_id: String,
    /// Requests that the batch answered well, also where another attempt's answer counts in the end.
    pub succeeded: u64,
    /// Requests that failed with an answer.
    pub failed: u64,
    /// The tokens of both, and of failures that a retry replaced.
    pub tokens: Tokens,
    /// What they cost in US dollars, each at its own tier; none where that is not known of any.
    pub usd: Option<Usd>,
    /// What the same usage costs without a batch.
    pub standard_usd: Option<Usd>,
}

/// Answers of which it is not known what they cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Unpriced {
    /// The model, as the answers name it; none where they do not.
    pub model: Option<String>,
    /// How many.
    pub answers: u64,
    /// What is not known.
    pub lacking: Lacking,
}

/// What it takes to know what an answer costs, and is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Lacking {
    /// A price of the model in a batch.
    #[default]
    Price,
    /// A price of a kind of token that it used, such as audio; or its counts contradict each other.
    TokenPrice,
    /// What it used.
    Usage,
}

/// What a run was allowed to spend, and what it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BudgetReport {
    /// The input `max-cost`.
    pub max_cost_usd: Option<Usd>,
    /// The input `max-tokens`.
    pub max_tokens: Option<u64>,
    /// The input `max-total-requests`.
    pub max_total_requests: Option<u64>,
    /// Requests that were not sent because of it.
    pub not_sent: u64,
    /// What these would cost; none where no price is known.
    pub not_sent_usd: Option<Usd>,
}
