//! The marks by which a batch is known again.
//!
//! They are written into the batch's metadata from the first version on, since
//! they cannot be added later. `key` names the work and is for attaching to it;
//! `create` names one intended create and is for settling a lost reply.

use crate::wire::Batch;

/// The `batchstep_v` mark: how to read the others.
const VERSION: &str = "1";
/// How many pairs the user gets: sixteen are allowed, seven may be ours.
pub const USER_PAIRS: usize = 9;

const CREATE: &str = "batchstep_create";

/// Names the work: the bytes sent, where they go and how long it may take.
/// The origin, the API key, metadata and expiry do not matter.
pub fn key(digest: blake3::Hash, endpoint: &str, window: &str) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("batchstep 2026-11 key of a batch");
    hasher.update(digest.as_bytes());
    for part in [endpoint, window] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The name a requests file is uploaded under. OpenAI wants it to end in `.jsonl`.
pub fn file_name(key: &str) -> String {
    format!("batchstep-{key}.jsonl")
}

/// A fresh id for one intended create.
pub fn new_create() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// What a batch is marked with.
pub struct Marks<'a> {
    /// The work.
    pub key: &'a str,
    /// The intended create.
    pub create: &'a str,
    /// The repository, where the host knows one.
    pub repo: Option<&'a str>,
    /// Host, run id, attempt, job and step, where the host knows them.
    pub run: Option<&'a str>,
    /// The check that shows the run, its commit and its pull request, where there is one.
    pub check: Option<&'a str>,
}

impl Marks<'_> {
    /// The metadata's pairs: ours, then the user's.
    pub fn metadata(&self, user: &[(String, String)]) -> Vec<(String, String)> {
        let ours = [
            ("batchstep_v", Some(VERSION)),
            ("batchstep_key", Some(self.key)),
            (CREATE, Some(self.create)),
            ("batchstep_repo", self.repo),
            ("batchstep_run", self.run),
            ("batchstep_check", self.check),
            ("batchstep_part", Some("1/1 try 1")),
        ];
        let ours = ours.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        ours.chain(user.iter().cloned()).collect()
    }
}

/// Whether a batch came from this create: by its mark, or, where the provider
/// dropped the metadata, by the file, which only this run knows.
pub fn is_from(batch: &Batch, create: &str, file_id: Option<&str>) -> bool {
    match batch.metadata.get(CREATE) {
        Some(mark) => mark == create,
        None => file_id.is_some() && batch.input_file_id.as_deref() == file_id,
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Marks, is_from, key};

    #[test]
    fn the_key_is_the_bytes_the_endpoint_and_the_window() {
        let digest = blake3::hash(b"lines");
        let same = key(digest, "/v1/embeddings", "24h");
        assert_eq!(same, key(digest, "/v1/embeddings", "24h"));
        assert_eq!(same.len(), 64);
        for other in [
            key(blake3::hash(b"other"), "/v1/embeddings", "24h"),
            key(digest, "/v1/responses", "24h"),
            key(digest, "/v1/embeddings", "7d"),
            key(digest, "/v1/embeddings2", "4h"),
        ] {
            assert_ne!(same, other);
        }
        // Batches out there carry these keys: this value may never change.
        assert_eq!(&same[..16], "ce8ee0c46722fa7e");
    }

    #[test]
    fn marks_leave_room_for_the_user() {
        let marks = Marks { key: "k", create: "c", repo: Some("o/r"), run: None, check: Some("1/abc/7") };
        let names: Vec<String> = marks.metadata(&[("suite".into(), "x".into())]).into_iter().map(|(n, _)| n).collect();
        let ours = ["batchstep_v", "batchstep_key", "batchstep_create", "batchstep_repo", "batchstep_check"];
        let expected = [&ours[..], &["batchstep_part", "suite"]].concat();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_batch_without_metadata_is_known_by_its_file() {
        let mut batch = Batch { input_file_id: Some("file-1".into()), ..Batch::default() };
        assert!(is_from(&batch, "c", Some("file-1")));
        assert!(!is_from(&batch, "c", Some("file-2")));
        assert!(!is_from(&Batch::default(), "c", None));
        batch.metadata.insert("batchstep_create".into(), "other".into());
        assert!(!is_from(&batch, "c", Some("file-1")));
    }
}
