//! The marks by which a batch is known again.
//!
//! They are written into the batch's metadata from the first version on, since
//! they cannot be added later. `key` names the work and is for attaching to it;
//! `create` names one intended create and is for settling a lost reply.

use crate::dialects::Batch;
pub(crate) use crate::part::Part;
use crate::values::MaxFailed;

/// The `batchstep_v` mark: how to read the others.
const VERSION: &str = "1";
/// How many pairs the user gets: sixteen are allowed, seven may be ours.
pub(crate) const USER_PAIRS: usize = 9;

const V: &str = "batchstep_v";
const KEY: &str = "batchstep_key";
/// The mark of the intended create.
pub(crate) const CREATE: &str = "batchstep_create";
const REPO: &str = "batchstep_repo";
const RUN: &str = "batchstep_run";
const CHECK: &str = "batchstep_check";
const PART: &str = "batchstep_part";
/// What precedes the key of the whole run in that mark.
const OF: &str = " of ";
/// What precedes the digest of all requests of the run in it.
const FROM: &str = " from ";
/// How many characters of that digest are written: it tells files apart and guards nothing.
const SHORT_DIGEST: usize = 32;

/// Names the work: the bytes sent, where they go and how long it may take; where
/// requests are sent again, which attempt at them it is; and what else
/// changes the answers, as pairs in any order. The origin, the API key, metadata
/// and expiry do not matter.
pub(crate) fn key(
    digest: blake3::Hash,
    endpoint: &str,
    window: &str,
    attempt: u32,
    extras: &[(String, String)],
) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("batchstep 2026-11 key of a batch");
    hasher.update(digest.as_bytes());
    for part in [endpoint, window] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    if attempt > 1 {
        hasher.update(b"try").update(&attempt.to_le_bytes());
    }
    let mut extras: Vec<&(String, String)> = extras.iter().collect();
    // Values of one name keep their order, which may matter.
    extras.sort_by_key(|(name, _)| name);
    for (name, value) in extras {
        hasher.update(b"extra");
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Tells the requests of a run from others: the digest of all their bytes, shortened.
pub(crate) fn fingerprint(digest: blake3::Hash) -> String {
    digest.to_hex()[..SHORT_DIGEST].to_owned()
}

/// Names the work of several shards, whose keys these are.
pub(crate) fn key_of_all(keys: &[String]) -> String {
    if let [key] = keys {
        return key.clone();
    }
    let mut hasher = blake3::Hasher::new_derive_key("batchstep 2026-11 key of several batches");
    keys.iter().for_each(|key| {
        hasher.update(key.as_bytes());
    });
    hasher.finalize().to_hex().to_string()
}

/// The name a requests file is uploaded under. OpenAI wants it to end in `.jsonl`.
pub(crate) fn file_name(key: &str) -> String {
    format!("batchstep-{key}.jsonl")
}

/// A fresh id for one intended create.
pub(crate) fn new_create() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The same for a vendor whose requests' ids carry it: twelve characters, of which the first six tell the run.
pub(crate) fn new_short_create(repo: Option<&str>, run: Option<&str>) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}{}", run_digest(repo, run).as_deref().unwrap_or(&random[..6]), &random[6..12])
}

/// Six characters that tell a step of a workflow's run, whichever attempt at it this is. None where the host knows no run.
fn run_digest(repo: Option<&str>, run: Option<&str>) -> Option<String> {
    let mut parts: Vec<&str> = run?.split('/').collect();
    if parts.len() == 5 {
        parts.remove(2);
    }
    let mut hasher = blake3::Hasher::new_derive_key("batchstep 2026-11 digest of a run");
    for part in [&[repo?], &parts[..]].concat() {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    Some(hasher.finalize().to_hex()[..6].to_owned())
}

/// Whether a short create was made by this step of this run, at any attempt.
pub(crate) fn is_create_of_run(create: &str, repo: Option<&str>, run: Option<&str>) -> bool {
    run_digest(repo, run).is_some_and(|digest| create.starts_with(&digest))
}

/// What a batch is marked with.
pub(crate) struct Marks<'a> {
    /// The work.
    pub key: &'a str,
    /// The intended create.
    pub create: &'a str,
    /// The repository, where the host knows one.
    pub repo: Option<&'a str>,
    /// Host, run id, attempt, job and step, where the host knows them.
    pub run: Option<&'a str>,
    /// Where the host shows the run, as [`check_mark`] writes it.
    pub check: Option<&'a str>,
    /// Which batch of the run it is.
    pub part: Part,
    /// The work of the whole run.
    pub whole: &'a str,
    /// The fingerprint of the run's requests.
    pub requests: &'a str,
}

impl Marks<'_> {
    /// The metadata's pairs: ours, then the user's.
    pub(crate) fn metadata(&self, user: &[(String, String)]) -> Vec<(String, String)> {
        // The only batch of a run has the run's own key.
        let of = if self.whole == self.key { String::new() } else { format!("{OF}{}", self.whole) };
        let part = format!("{}{of}{FROM}{}", self.part, self.requests);
        let ours = [
            (V, Some(VERSION)),
            (KEY, Some(self.key)),
            (CREATE, Some(self.create)),
            (REPO, self.repo),
            (RUN, self.run),
            (CHECK, self.check),
            (PART, Some(part.as_str())),
        ];
        let ours = ours.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        ours.chain(user.iter().cloned()).collect()
    }
}

/// Whether a batch came from this create: by its mark, or, where the provider
/// dropped the metadata, by the file, which only this run knows.
pub(crate) fn is_from(batch: &Batch, create: &str, file_id: Option<&str>) -> bool {
    match batch.metadata.get(CREATE) {
        Some(mark) => mark == create,
        None => file_id.is_some() && batch.input_file_id.as_deref() == file_id,
    }
}

/// The value of the mark `batchstep_check`: the host's own mark, which nobody else
/// reads, and after the last slash the run's `max-failed`, which the verdict of a
/// later `collect` is judged by.
pub(crate) fn check_mark(host_mark: &str, max_failed: MaxFailed) -> String {
    format!("{host_mark}/{max_failed}")
}

/// The marks that a batch has; none of them need be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen<'b> {
    /// The work.
    pub key: Option<&'b str>,
    /// The intended create.
    pub create: Option<&'b str>,
    /// The repository.
    pub repo: Option<&'b str>,
    /// Host, run id, attempt, job and step.
    pub run: Option<&'b str>,
    /// Where the host shows the run, as [`check_mark`] writes it.
    pub check: Option<&'b str>,
    /// Which batch of the run it is.
    pub part: Option<Part>,
    /// The work of the whole run: the key, where there is but one batch.
    pub whole: Option<&'b str>,
    /// The fingerprint of the run's requests.
    pub requests: Option<&'b str>,
}

impl<'b> Seen<'b> {
    /// Reads a batch's marks.
    pub(crate) fn of(batch: &'b Batch) -> Self {
        let get = |name| batch.metadata.get(name).map(String::as_str);
        let (part, requests) = get(PART).map(|mark| mark.split_once(FROM).unwrap_or((mark, ""))).unzip();
        let (part, whole) = part.map(|mark| mark.split_once(OF).unwrap_or((mark, ""))).unzip();
        Self {
            key: get(KEY),
            create: get(CREATE),
            repo: get(REPO),
            run: get(RUN),
            check: get(CHECK),
            part: part.and_then(|part| part.parse().ok()),
            whole: whole.filter(|key| !key.is_empty()).or_else(|| get(KEY)),
            requests: requests.filter(|fingerprint| !fingerprint.is_empty()),
        }
    }

    /// The mark by which the run's host finds what it showed of the run.
    pub(crate) fn host_mark(&self) -> Option<&'b str> {
        Some(self.check?.rsplit_once('/')?.0)
    }

    /// What `max-failed` was for the run.
    pub(crate) fn max_failed(&self) -> Option<MaxFailed> {
        self.check?.rsplit_once('/')?.1.parse().ok()
    }

    /// What the marks say against the batch being of this work and this repository,
    /// as far as these are known. Marks that are not there say nothing.
    pub(crate) fn against(&self, key: Option<&str>, repo: Option<&str>) -> Option<String> {
        let differs = |theirs: Option<&str>, ours: Option<&str>| theirs.zip(ours).is_some_and(|(a, b)| a != b);
        if differs(self.key, key) {
            return Some("it is of other requests".to_owned());
        }
        differs(self.repo, repo).then(|| format!("it belongs to the repository {}", self.repo.unwrap_or_default()))
    }

    /// Whether the batch was made by this very run of a workflow: then it may be cancelled by it.
    pub(crate) fn is_of_run(&self, repo: Option<&str>, run: Option<&str>) -> bool {
        let id = |run: &str| run.split('/').take(2).map(str::to_owned).collect::<Vec<_>>();
        repo.is_some() && self.repo == repo && run.is_some() && self.run.map(id) == run.map(id)
    }

    /// Whether the batch was made by an earlier attempt at the same step of the same run.
    pub(crate) fn is_of_earlier_attempt(&self, repo: Option<&str>, run: Option<&str>) -> bool {
        let parts = |run: Option<&str>| -> Option<(Vec<String>, u64)> {
            let mut parts: Vec<String> = run?.split('/').map(str::to_owned).collect();
            let attempt = (parts.len() == 5).then(|| parts.remove(2))?;
            Some((parts, attempt.parse().ok()?))
        };
        let (Some((theirs, before)), Some((ours, now))) = (parts(self.run), parts(run)) else { return false };
        repo.is_some() && self.repo == repo && theirs == ours && before < now
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Marks, MaxFailed, Part, Seen, check_mark, is_create_of_run, is_from, new_short_create};

    #[test]
    fn the_key_is_the_bytes_the_endpoint_and_the_window() {
        let digest = blake3::hash(b"lines");
        let key = |digest, endpoint, window, attempt| super::key(digest, endpoint, window, attempt, &[]);
        let same = key(digest, "/v1/embeddings", "24h", 1);
        assert_eq!(same, key(digest, "/v1/embeddings", "24h", 1));
        assert_eq!(same.len(), 64);
        for other in [
            key(blake3::hash(b"other"), "/v1/embeddings", "24h", 1),
            key(digest, "/v1/responses", "24h", 1),
            key(digest, "/v1/embeddings", "7d", 1),
            key(digest, "/v1/embeddings2", "4h", 1),
            key(digest, "/v1/embeddings", "24h", 2),
        ] {
            assert_ne!(same, other);
        }
        // Batches out there carry these keys: this value may never change.
        assert_eq!(&same[..16], "ce8ee0c46722fa7e");
    }

    #[test]
    fn what_changes_the_answers_is_part_of_the_key() {
        let digest = blake3::hash(b"lines");
        let with = |extras: &[(&str, &str)]| {
            let extras: Vec<_> = extras.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            super::key(digest, "/v1/embeddings", "24h", 1, &extras)
        };
        assert_eq!(with(&[("a", "1"), ("b", "2")]), with(&[("b", "2"), ("a", "1")]));
        for other in [with(&[]), with(&[("a", "12")]), with(&[("a", "1"), ("b", "3")]), with(&[("a", "1b"), ("", "2")])]
        {
            assert_ne!(with(&[("a", "1"), ("b", "2")]), other);
        }
    }

    #[test]
    fn a_part_mark_reads_back_with_the_runs_key_and_fingerprint() {
        let part: Part = "2.1/5 try 1".parse().unwrap();
        for (key, whole) in [("k", "w"), ("k", "k")] {
            let marks = Marks { key, create: "c", repo: None, run: None, check: None, part, whole, requests: "0123" };
            let metadata = marks.metadata(&[]).into_iter().collect();
            let batch = Batch { metadata, ..Batch::default() };
            let seen = Seen::of(&batch);
            assert_eq!((seen.part, seen.whole, seen.requests), (Some(part), Some(whole), Some("0123")));
        }
    }

    #[test]
    fn a_short_create_tells_its_step_whatever_the_attempt() {
        let (repo, run) = (Some("o/r"), Some("github/7/1/build/step"));
        let create = new_short_create(repo, run);
        assert_eq!(create.len(), 12);
        assert_ne!(create, new_short_create(repo, run));
        let is_of = |repo, run| is_create_of_run(&create, repo, run);
        assert!(is_of(repo, run) && is_of(repo, Some("github/7/2/build/step")));
        assert!(!is_of(Some("o/x"), run) && !is_of(repo, Some("github/8/1/build/step")) && !is_of(None, None));
        assert!(!is_create_of_run(&new_short_create(None, None), None, None));
    }

    #[test]
    fn a_hosts_mark_comes_back_as_it_was() {
        for mark in ["7/abc/1", "", "/", "//2%", "no slash", "é\n\"'`$", "5 of 6", &"x".repeat(400)] {
            for max_failed in [MaxFailed::Count(25), "2%".parse().unwrap()] {
                let value = check_mark(mark, max_failed);
                let part = "1/1 try 1".parse().unwrap();
                let (check, key) = (Some(&*value), "k");
                let marks = Marks { key, create: "c", repo: None, run: None, check, part, whole: key, requests: "0" };
                let batch = Batch { metadata: marks.metadata(&[]).into_iter().collect(), ..Batch::default() };
                let seen = Seen::of(&batch);
                assert_eq!((seen.host_mark(), seen.max_failed()), (Some(mark), Some(max_failed)));
            }
        }
        assert_eq!((Seen::default().host_mark(), Seen::default().max_failed()), (None, None));
    }

    #[test]
    fn marks_leave_room_for_the_user() {
        let marks = Marks {
            key: "k",
            create: "c",
            repo: Some("o/r"),
            run: None,
            check: Some("1/abc/7"),
            part: "1/1 try 1".parse().unwrap(),
            whole: "k",
            requests: "0123",
        };
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

    #[test]
    fn a_run_knows_its_own_batches_and_those_of_its_earlier_attempts() {
        let seen = Seen { repo: Some("o/r"), run: Some("github/7/1/build/step"), ..Seen::default() };
        let own = |run| seen.is_of_run(Some("o/r"), Some(run));
        assert!(own("github/7/1/build/step") && own("github/7/2/other/step") && !own("github/8/1/build/step"));
        assert!(!seen.is_of_run(Some("o/other"), seen.run) && !seen.is_of_run(None, seen.run));
        let earlier = |run| seen.is_of_earlier_attempt(Some("o/r"), Some(run));
        assert!(earlier("github/7/2/build/step") && !earlier("github/7/1/build/step"));
        assert!(!earlier("github/7/2/other/step") && !earlier("github/8/2/build/step") && !earlier("github/7/2"));
        assert!(!Seen::default().is_of_run(None, None) && !Seen::default().is_of_earlier_attempt(None, None));
    }
}
