//! What the answers themselves were found to be, as the report says it: parts of `report.json`.

use serde::{Deserialize, Serialize};

use crate::dialects::Suspicion;
use crate::values::SchemaMode;

/// Answers that are suspect for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SuspectGroup {
    /// Why.
    pub kind: Suspicion,
    /// How many.
    pub count: u64,
    /// The first few, by `custom_id`.
    pub custom_ids: Vec<String>,
}

/// How answers fit the schemas that their requests name, or the one of the input `answer-schema`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SchemaReport {
    /// What becomes of answers that do not fit.
    pub mode: SchemaMode,
    /// Answers that were checked.
    pub checked: u64,
    /// Of these, how many do not fit.
    pub violations: u64,
    /// Answers that could not be checked: their schema cannot be used, or they are too large.
    pub unchecked: u64,
    /// Why, for the first few.
    pub unusable: Vec<Unusable>,
    /// Violations, grouped by where they are and what is wrong, most frequent first.
    pub groups: Vec<ViolationGroup>,
}

/// A schema that cannot be used, or a text that could not be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Unusable {
    /// The request that names it, as its file and line; none for that of `answer-schema`.
    pub place: Option<String>,
    /// Why, as a clause.
    pub message: String,
}

/// Answers that violate their schema in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ViolationGroup {
    /// Where, as `items[].price`; empty for the answer as a whole.
    pub path: String,
    /// What is wrong, as the first of the group has it.
    pub message: String,
    /// What the first of the group has there, as JSON, cut.
    pub value: Option<String>,
    /// How many.
    pub count: u64,
    /// The first few, by `custom_id`.
    pub custom_ids: Vec<String>,
}

/// What the gate made of the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct GateReport {
    /// The command.
    pub command: String,
    /// Answers that it failed; none where it did not end well.
    pub failed: Option<u64>,
}
