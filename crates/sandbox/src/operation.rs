//! The operations of the API, and which one a method and a path mean.
//!
//! Faults, the tally and the routes all speak of operations by these words, so
//! that a script's `create` is the tally's `create`. What an operation does is
//! world.rs's matter.

use std::fmt;
use std::str::FromStr;

/// One operation of the Files and Batches API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    /// `POST /files`
    Upload,
    /// `GET /files`
    ListFiles,
    /// `GET /files/{id}`
    GetFile,
    /// `GET /files/{id}/content`
    Content,
    /// `DELETE /files/{id}`
    DeleteFile,
    /// `POST /batches`
    Create,
    /// `GET /batches`
    List,
    /// `GET /batches/{id}`
    Get,
    /// `POST /batches/{id}/cancel`
    Cancel,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::Upload,
        Self::ListFiles,
        Self::GetFile,
        Self::Content,
        Self::DeleteFile,
        Self::Create,
        Self::List,
        Self::Get,
        Self::Cancel,
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
        }
    }

    /// Finds the operation, and the id in the path (empty where the path has none).
    pub(super) fn find<'a>(method: &str, path: &'a str) -> Option<(Self, &'a str)> {
        let mut parts = path.strip_prefix("/v1/")?.trim_end_matches('/').split('/');
        let (family, id, verb) = (parts.next()?, parts.next(), parts.next());
        if parts.next().is_some() {
            return None;
        }
        let operation = match (method, family, id, verb) {
            ("POST", "files", None, None) => Self::Upload,
            ("GET", "files", None, None) => Self::ListFiles,
            ("GET", "files", Some(_), None) => Self::GetFile,
            ("GET", "files", Some(_), Some("content")) => Self::Content,
            ("DELETE", "files", Some(_), None) => Self::DeleteFile,
            ("POST", "batches", None, None) => Self::Create,
            ("GET", "batches", None, None) => Self::List,
            ("GET", "batches", Some(_), None) => Self::Get,
            ("POST", "batches", Some(_), Some("cancel")) => Self::Cancel,
            _ => return None,
        };
        Some((operation, id.unwrap_or_default()))
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
        Self::ALL.into_iter().find(|operation| operation.word() == word).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::Operation;

    #[test]
    fn paths_name_operations() {
        assert_eq!(Operation::find("POST", "/v1/batches"), Some((Operation::Create, "")));
        assert_eq!(Operation::find("GET", "/v1/batches/b/"), Some((Operation::Get, "b")));
        assert_eq!(Operation::find("GET", "/v1/files/f/content"), Some((Operation::Content, "f")));
        for (method, path) in [
            ("PUT", "/v1/files"),
            ("GET", "/batches"),
            ("GET", "/v1/batches/b/cancel"),
            ("GET", "/v1/files/f/content/x"),
        ] {
            assert_eq!(Operation::find(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn words_read_back() {
        for operation in Operation::ALL {
            assert_eq!(operation.word().parse(), Ok(operation));
        }
    }
}
