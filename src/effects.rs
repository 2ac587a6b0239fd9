//! Effects: what a host wants done, as data, and the one place that does it.

use std::path::PathBuf;

/// Something to do in the outside world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line for people, on standard error. May hold untrusted text: it is made safe when printed.
    Log(String),
    /// A host's own command, on standard output, already escaped by the host.
    Command(String),
    /// Text added to the end of a file, in one write.
    Append(PathBuf, String),
    /// The progress bar's new position: done, of how many, with a message.
    Progress {
        /// How much is done.
        done: u64,
        /// Of how much.
        total: u64,
        /// What it counts.
        unit: Unit,
        /// What is going on.
        message: String,
    },
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Requests.
    Requests,
}
