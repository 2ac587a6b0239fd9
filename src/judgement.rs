//! What the answers themselves were found to be, as the report says it: parts of `report.json`.

use serde::Serialize;

use crate::dialects::Suspicion;

/// Answers that are suspect for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SuspectGroup {
    /// Why.
    pub kind: Suspicion,
    /// How many.
    pub count: u64,
    /// The first few, by `custom_id`.
    pub custom_ids: Vec<String>,
}
