//! The files that the sandbox keeps: inputs that were uploaded and outputs that batches made.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::page::Cut;
use crate::api::Query;
use crate::faults::FileFault;
use crate::refusal::Refusal;

/// One file.
pub(super) struct File {
    pub(super) id: String,
    pub(super) filename: String,
    pub(super) purpose: String,
    pub(super) content: Bytes,
    pub(super) created: Duration,
    pub(super) life: Duration,
    pub(super) faults: Vec<FileFault>,
}

impl File {
    /// Whether it can be seen at this time: not late, and not expired.
    fn visible(&self, now: Duration) -> bool {
        let late = |fault: &FileFault| matches!(fault, FileFault::Late(late) if now < self.created + *late);
        now < self.created + self.life && !self.faults.iter().any(late)
    }

    pub(super) fn broken(&self) -> bool {
        self.faults.contains(&FileFault::Error)
    }

    /// Its bytes, unless it is of the kind that is never given back.
    pub(super) fn content(&self) -> Result<Bytes, Refusal> {
        match self.faults.contains(&FileFault::Withheld) {
            true => Err(Refusal::scripted(403, None)),
            false => Ok(self.content.clone()),
        }
    }

    /// The file object.
    pub(super) fn object(&self, now: Duration) -> Value {
        let slow = |fault: &FileFault| matches!(fault, FileFault::Slow(slow) if now < self.created + *slow);
        let status = match self.faults.iter().any(slow) {
            _ if self.broken() => "error",
            true => "uploaded",
            false => "processed",
        };
        json!({
            "id": self.id, "object": "file", "bytes": self.content.len(), "created_at": self.created.as_secs(),
            "expires_at": (self.created + self.life).as_secs(), "filename": self.filename, "purpose": self.purpose,
            "status": status, "status_details": self.broken().then_some("The file could not be processed."),
        })
    }
}

/// All files, in the order they were made.
#[derive(Default)]
pub(super) struct Files(Vec<File>);

impl Files {
    pub(super) fn add(&mut self, file: File) {
        self.0.push(file);
    }

    pub(super) fn find(&self, id: &str, now: Duration) -> Result<&File, Refusal> {
        let found = self.0.iter().find(|file| file.id == id && file.visible(now));
        found.ok_or_else(|| Refusal::no_file(id))
    }

    pub(super) fn delete(&mut self, id: &str, now: Duration) -> Result<Value, Refusal> {
        self.find(id, now)?;
        self.0.retain(|file| file.id != id);
        Ok(json!({"id": id, "object": "file", "deleted": true}))
    }

    pub(super) fn list(&self, query: Query<'_>, now: Duration) -> Result<Value, Refusal> {
        let wanted = |file: &&File| query.get("purpose").is_none_or(|purpose| file.purpose == purpose);
        let mut files: Vec<&File> = self.0.iter().filter(|file| file.visible(now)).filter(wanted).collect();
        if query.get("order") != Some("asc") {
            files.reverse();
        }
        let cut = Cut { usual: 10_000, most: 10_000, unknown: Refusal::no_file };
        cut.page(files, query, |file| &file.id, |file| file.object(now))
    }
}
