//! The requests file: one streaming pass that finds every fault.

use serde::Serialize;

/// One fault of the requests file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, as the user named it.
    pub file: String,
    /// The line in that file, from 1; none where the fault is the file's as a whole.
    pub line: Option<u64>,
    /// The column in bytes, from 1, where one is known.
    pub column: Option<u64>,
    /// The field, as `body.model`, where it is about one.
    pub field: Option<String>,
    /// What was found.
    pub found: String,
    /// What was expected.
    pub expected: String,
    /// How to mend it.
    pub mend: String,
}
