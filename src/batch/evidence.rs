//! The journal is evidence, not authority.
//!
//! It lies in the workspace, where a fork, a cache or an artifact may have put
//! it. What it names is compared with what the provider shows before anything is
//! done with it. A contradiction rules a batch out; where the provider shows
//! nothing, the journal counts; and a cancel needs something of the provider's
//! that shows whose the batch is.

use super::files::{Look, look_at};
use super::recognize::{Whose, first_answer};
use crate::api::Api;
use crate::attachment::Owner;
use crate::dialects::{Batch, File};
use crate::guard::{Guard, Stop};
use crate::identity::{self, Seen};
use crate::life::Held;

/// What the batch should be.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// What the journal says of it.
    pub named: &'a Held,
    /// The work, where it is known.
    pub key: Option<&'a str>,
    /// The bytes of its input file, where they are known.
    pub bytes: Option<u64>,
    /// The repository that we are in, where the host knows one.
    pub repo: Option<&'a str>,
    /// The run that we are, where the host knows it.
    pub run: Option<&'a str>,
    /// The mark of the create that the journal knows of the same work.
    pub create: Option<&'a str>,
}

/// What the provider shows of a batch that the journal names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It is another batch than the journal says.
    Against(String),
    /// Its marks, or its file's name and size, show that it is of this work. It is this run's unless they show
    /// that another run made it.
    For(Owner),
    /// Nothing either way.
    None,
}

/// Compares what the journal says of a batch with what the provider shows.
pub(crate) async fn weigh(api: &Api, guard: &Guard<'_>, batch: &Batch, claim: &Claim<'_>) -> Result<Evidence, Stop> {
    let seen = Seen::of(batch);
    if let Some(why) = against(&seen, claim) {
        return Ok(Evidence::Against(why));
    }
    if seen.key.is_some() {
        let known = [claim.named.made_by(), claim.create];
        let is_from_us = seen.create.is_none_or(|create| known.contains(&Some(create)));
        return Ok(Evidence::For(if is_from_us || seen.is_of_run(claim.repo, claim.run) {
            Owner::ThisRun
        } else {
            Owner::AnotherRun
        }));
    }
    let Some(key) = claim.key else { return Ok(Evidence::None) };
    match first_answer(api, guard, batch).await? {
        Whose::Marked(mark) if mark.is_of(key) => {
            let is_from_us = claim.named.made_by().is_none_or(|create| create == mark.create);
            return Ok(Evidence::For(if is_from_us { Owner::ThisRun } else { Owner::AnotherRun }));
        }
        Whose::Marked(_) | Whose::Unmarked => {
            return Ok(Evidence::Against("its answers are to other requests".to_owned()));
        }
        Whose::Unknown => {}
    }
    let Some(file_id) = &batch.input_file_id else { return Ok(Evidence::None) };
    Ok(match look_at(api, guard, file_id).await? {
        Look::Here(file) => of_file(&file, key, claim.bytes),
        Look::Gone | Look::Unknown => Evidence::None,
    })
}

/// What a file's object says of a claim that it is the upload of this work.
pub(crate) fn of_file(file: &File, key: &str, bytes: Option<u64>) -> Evidence {
    let has_other_size = file.bytes.zip(bytes).is_some_and(|(theirs, ours)| theirs != ours);
    match &file.filename {
        Some(name) if *name != identity::file_name(key) => Evidence::Against("its file has another name".to_owned()),
        _ if has_other_size => Evidence::Against("its file has another size".to_owned()),
        Some(_) => Evidence::For(Owner::ThisRun),
        None => Evidence::None,
    }
}

fn against(seen: &Seen<'_>, claim: &Claim<'_>) -> Option<String> {
    let creates = seen.create.zip(claim.named.made_by());
    let is_from_other = creates.is_some_and(|(theirs, ours)| theirs != ours);
    let other_create = || is_from_other.then(|| "it came from another create".to_owned());
    seen.against(claim.key, claim.repo).or_else(other_create)
}

#[cfg(test)]
mod tests {
    use super::{Claim, Evidence, File, Held, Owner, against, of_file};
    use crate::identity::Seen;

    #[test]
    fn what_differs_is_against_it_and_silence_is_not() {
        let named = Held::named("b", Some("c"));
        let claim = Claim { named: &named, key: Some("k"), bytes: None, repo: Some("o/r"), run: None, create: None };
        let seen = Seen { key: Some("k"), repo: Some("o/r"), create: Some("c"), ..Seen::default() };
        assert_eq!((against(&seen, &claim), against(&Seen::default(), &claim)), (None, None));
        let why = |seen: Seen<'_>| against(&seen, &claim).unwrap();
        assert_eq!(why(Seen { key: Some("other"), ..seen }), "it is of other requests");
        assert_eq!(why(Seen { repo: Some("o/x"), ..seen }), "it belongs to the repository o/x");
        assert_eq!(why(Seen { create: Some("x"), ..seen }), "it came from another create");
        let nowhere = Claim { repo: None, ..claim };
        assert_eq!(against(&Seen { repo: Some("o/x"), ..seen }, &nowhere), None);
    }

    #[test]
    fn a_file_is_known_by_its_name_and_size() {
        let file =
            |filename: Option<&str>, bytes| File { filename: filename.map(str::to_owned), bytes, ..File::default() };
        let of = |name, bytes| of_file(&file(name, bytes), "k", Some(7));
        assert_eq!(of(Some("batchstep-k.jsonl"), Some(7)), Evidence::For(Owner::ThisRun));
        assert_eq!(of(Some("batchstep-k.jsonl"), None), Evidence::For(Owner::ThisRun));
        assert!(matches!(of(Some("batchstep-x.jsonl"), Some(7)), Evidence::Against(_)));
        assert!(matches!(of(Some("batchstep-k.jsonl"), Some(8)), Evidence::Against(_)));
        assert!(matches!(of(None, Some(8)), Evidence::Against(_)));
        assert_eq!(of(None, Some(7)), Evidence::None);
    }
}
