//! What a vendor can and cannot do beyond the calls themselves.
//!
//! The flow asks these instead of guessing from status codes, `batchstep providers` prints them, and a test compares
//! docs/providers.md with them.

use std::fmt;

/// What a vendor can and cannot do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capabilities {
    /// By what a batch is found again whose create got no reply.
    pub found_by: FoundBy,
    /// Whether batches can be listed.
    pub list: Support,
    /// Whether a batch that runs says how many of its requests are done.
    pub running_counts: Support,
    /// Whether the answers that a batch had when it was cancelled are kept.
    pub cancel_keeps_answers: Support,
    /// Whether uploaded and answer files have objects that can be looked at and deleted.
    pub file_objects: Support,
    /// Whether a download can begin in the middle of a file.
    pub ranges: Support,
    /// How long answers are kept where `output-expires-after` says nothing.
    pub retention: Retention,
}

/// Whether a vendor does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Nothing documents it, or servers differ: it is tried, and the answer counts.
    ServerSays,
}

/// By what a batch is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// Our marks in its metadata.
    Metadata,
    /// Our marks if the server keeps metadata, else the uploaded file. A server may refuse metadata altogether.
    MetadataIfKept,
    /// The marked ids of its answers, so only when it has ended. Until then, the journal alone knows it; a lost reply is
    /// settled by the time and the number of requests.
    AnswerIds,
}

/// How long answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retention {
    /// So many days after the batch has ended.
    Days(u32),
    /// So many days after the batch was created.
    DaysFromCreation(u32),
    /// As long as the server's process lives.
    Process,
    /// That is for the server to say.
    ServerSays,
}

impl FoundBy {
    /// What becomes of the batches that two runs of the same work create at the same time.
    pub(crate) fn at_once(self) -> &'static str {
        match self {
            Self::Metadata => "one batch stays, the newer one is cancelled",
            Self::MetadataIfKept => "one batch stays, if batches can be listed",
            Self::AnswerIds => "both batches may be paid",
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::ServerSays => "the server decides",
        })
    }
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metadata => "metadata",
            Self::MetadataIfKept => "metadata if the server keeps it, else the file",
            Self::AnswerIds => "the journal alone while it runs, then the ids of its answers",
        })
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days} days after the batch's end"),
            Self::DaysFromCreation(days) => write!(f, "{days} days after the batch's creation"),
            Self::Process => f.write_str("as long as the sandbox runs"),
            Self::ServerSays => f.write_str("the server decides"),
        }
    }
}
