//! The operations of the APIs.
//!
//! Faults, the tally and the routes all speak of operations by these words, so
//! that a script's `create` is the tally's `create`, in every dialect. Which
//! path means which, and what is done, is the dialects' matter.

use std::fmt;
use std::str::FromStr;

/// One operation. Not every dialect has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// An input file is uploaded.
    Upload,
    /// Files are listed.
    ListFiles,
    /// A file is shown.
    GetFile,
    /// The content of a file, or the results of a batch, is read.
    Content,
    /// A file is deleted.
    DeleteFile,
    /// A batch is created.
    Create,
    /// Batches are listed.
    List,
    /// A batch is shown.
    Get,
    /// A batch is cancelled.
    Cancel,
    /// A batch is deleted.
    Delete,
}

impl Operation {
    const ALL: [Self; 10] = [
        Self::Upload,
        Self::ListFiles,
        Self::GetFile,
        Self::Content,
        Self::DeleteFile,
        Self::Create,
        Self::List,
        Self::Get,
        Self::Cancel,
        Self::Delete,
    ];

    /// Its word in fault scripts and in the tally.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::ListFiles => "list-files",
            Self::GetFile => "get-file",
            Self::Content => "content",
            Self::DeleteFile => "delete-file",
            Self::Create => "create",
            Self::List => "list",
            Self::Get => "get",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Operation {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        // Anthropic's word.
        let word = if word == "results" { "content" } else { word };
        Self::ALL.into_iter().find(|operation| operation.word() == word).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::Operation;

    #[test]
    fn words_read_back() {
        for operation in Operation::ALL {
            assert_eq!(operation.word().parse(), Ok(operation));
        }
    }
}
