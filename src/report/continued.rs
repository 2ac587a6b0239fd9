//! What a report says of the run that another one continues.

use serde::{Deserialize, Serialize};

/// The run that another one continues: what failed in it is sent, and its other answers are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Continued {
    /// Its report.
    pub report: String,
    /// How many continuations led here, from 1.
    pub round: u32,
    /// The digest that names the work of all requests, sent again or not.
    pub key: String,
    /// Requests that were sent again.
    pub sent: u64,
    /// Requests that keep what they have; its report has their tokens.
    pub kept: u64,
    /// Of these, how many failed: their answers were paid for, and nothing asks to pay again.
    pub kept_failed: u64,
}
