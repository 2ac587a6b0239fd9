//! How a vendor takes the requests of a batch.

use std::fmt::Debug;
use std::time::Duration;

use super::{Call, File, Parsed, UploadForm};
use crate::marked_id::Grammar;

/// How a vendor takes the requests of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Intake {
    /// As a file that is uploaded, and of which the batch is then created.
    File(&'static dyn Files),
    /// In the create itself.
    InCreate(InCreate),
}

/// The body of a create that carries its requests, one line after another. Each line's `custom_id` is replaced by one
/// that is marked (`marked_id.rs`), since such a vendor shows no other sign of whose a batch is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InCreate {
    /// What comes before the first line.
    pub before: &'static str,
    /// What comes between two lines.
    pub between: &'static str,
    /// What comes after the last line.
    pub after: &'static str,
    /// Which ids the vendor takes.
    pub ids: Grammar,
}

/// What an error, or a reason why a batch failed, says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complaint<'a> {
    /// The field that it is about.
    pub param: Option<&'a str>,
    /// The sentence.
    pub message: Option<&'a str>,
}

/// A vendor's files.
pub(crate) trait Files: Debug + Sync {
    /// The form fields that say how long an uploaded file lives.
    fn expiry_fields(&self, life: Duration) -> Vec<(&'static str, String)>;

    /// Uploads a requests file.
    fn upload(&self, form: &UploadForm) -> Call;

    /// Reads a file's object.
    fn get(&self, id: &str) -> Call;

    /// Deletes a file.
    fn delete(&self, id: &str) -> Call;

    /// Whether a complaint says that the file of this id cannot be found or used yet.
    fn is_unready(&self, complaint: Complaint<'_>, file_id: &str) -> bool;

    /// Reads the answer that shows a file.
    ///
    /// # Errors
    /// Fails if it is not JSON or has no id that can be asked for.
    fn read(&self, body: &[u8]) -> Parsed<File>;
}
