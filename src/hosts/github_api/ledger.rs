//! The checks that runs left: how they are found again, and gone on with.
//!
//! A check in progress is the ledger's entry: somebody waits for a batch. The
//! mark in a batch's metadata names the check of the run that made it. A run that
//! attached to a batch has a check of its own, which no metadata names: it is
//! looked for on the head commits of open pull requests and on the event's own.
//! Which batches a check is about it says itself.

use std::cell::Cell;

use serde_json::Value;

use super::calls::Trouble;
use super::say::{self, Place};
use super::{Board, CHECKING, Check, warning};
use crate::emitter::Events;
use crate::events::Event;
use crate::identity;
use crate::policy::CHECK_OPENING;

/// What listing pull requests needs of a token.
const LISTING: &str = "pull-requests: read";

/// A check that a run left, and a board to go on with it.
pub(crate) struct Adopted {
    /// Shows how the batches ended, in this check and on its pull request.
    pub board: Board,
    /// The check's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The digest of the work that it is for.
    pub key: String,
    /// Its pull request, as far as that is known.
    pub pull: Option<u64>,
    /// Whether it has been concluded.
    pub is_over: bool,
    /// The batches that it is about, as digests.
    named: Vec<String>,
}

/// Why there is no going on with a check.
#[derive(Debug)]
pub(crate) enum Unadopted {
    /// It is not what the batch's mark says.
    NotOurs(String),
    /// It could not be read.
    Unread(String),
}

impl Adopted {
    /// Whether the check says that it is about this batch.
    pub(crate) fn names(&self, batch_id: &str) -> bool {
        self.named.contains(&say::digest(batch_id))
    }

    /// How many batches the check says it is about; none before its run had one.
    pub(crate) fn named(&self) -> usize {
        self.named.len()
    }

    /// Leaves the pull request's comment to others.
    pub(crate) fn without_comment(mut self) -> Self {
        self.board.wishes.comment = false;
        self
    }

    /// Whether it is still in progress. Where that cannot be learned, it was a moment ago.
    pub(crate) async fn is_open(&self) -> bool {
        let found = self.board.in_time(CHECK_OPENING, self.board.calls.check(self.id)).await;
        found.and_then(Result::ok).is_none_or(|found| found["status"] != "completed")
    }
}

impl Board {
    /// Goes on with the check that a batch's mark names.
    pub(crate) async fn adopt(&self, check: &identity::Check, key: &str) -> Result<Adopted, Unadopted> {
        let unread = |why: String| Unadopted::Unread(why);
        let found = match self.in_time(CHECK_OPENING, self.calls.check(check.id)).await {
            Some(Ok(found)) => found,
            Some(Err(Trouble::Refused(404, _))) => {
                return Err(Unadopted::NotOurs(format!("its mark names check {}, which does not exist", check.id)));
            }
            Some(Err(trouble)) => {
                return Err(unread(warning(&format!("Check {} could not be read", check.id), CHECKING, &trouble)));
            }
            None => return Err(unread(format!("Check {} could not be read in time.", check.id))),
        };
        if !say::is_check_of(&found, check, key) {
            return Err(Unadopted::NotOurs(format!("its mark names check {}, which is not of this batch", check.id)));
        }
        self.take(&found, &check.sha, check.pull)
            .ok_or_else(|| unread(format!("Check {} could not be read: it has no id.", check.id)))
    }

    /// The checks on the event's own commit that are about some of these batches, concluded or not.
    pub(crate) async fn own_checks(&self, key: &str, batch_ids: &[&str]) -> Result<Vec<Adopted>, String> {
        let Some(sha) = self.place.sha.as_deref() else { return Ok(Vec::new()) };
        let found = self.calls.checks_on(sha, false, |check| say::is_ours_for(check, key));
        let found = match self.in_time(CHECK_OPENING, found).await {
            Some(Ok(found)) => found,
            Some(Err(trouble)) => return Err(warning("Checks could not be looked for", CHECKING, &trouble)),
            None => return Err("Checks could not be looked for in time.".to_owned()),
        };
        let adopted = found.iter().filter_map(|check| self.take(check, sha, self.place.pull));
        Ok(adopted.filter(|check| batch_ids.iter().any(|id| check.names(id))).collect())
    }

    /// The checks in progress, for work of one of these keys, on the heads of open
    /// pull requests and on the event's own commit, and what went wrong on the way.
    pub(crate) async fn open_checks(&self, keys: &[&str], events: &Events<'_>) -> (Vec<Adopted>, Vec<String>) {
        let mut troubles = Vec::new();
        let heads = self.heads(&mut troubles, events).await;
        let mut found = Vec::new();
        for (sha, pull) in heads {
            let is_ours = |check: &Value| keys.iter().any(|key| say::is_ours_for(check, key));
            match self.in_time(CHECK_OPENING, self.calls.checks_on(&sha, true, is_ours)).await {
                Some(Ok(checks)) => found.extend(checks.iter().filter_map(|check| self.take(check, &sha, pull))),
                // The commit has gone meanwhile.
                Some(Err(Trouble::Refused(404 | 422, _))) => {}
                Some(Err(trouble)) => {
                    troubles.push(warning("Checks in progress could not be looked for", CHECKING, &trouble));
                    break;
                }
                None => {
                    troubles.push("Checks in progress could not be looked for in time.".to_owned());
                    break;
                }
            }
        }
        (found, troubles)
    }

    /// The commits that people look at, with their pull requests.
    async fn heads(&self, troubles: &mut Vec<String>, events: &Events<'_>) -> Vec<(String, Option<u64>)> {
        let mut heads = Vec::new();
        match self.in_time(CHECK_OPENING, self.calls.open_pulls()).await {
            Some(Ok((pulls, more))) => {
                heads.extend(say::heads(&pulls).into_iter().map(|(sha, pull)| (sha, Some(pull))));
                if more {
                    let few = "There are more than a hundred open pull requests: only those that changed last are \
                               looked at for checks of runs that attached to another's batch.";
                    events.emit(Event::Warned(few.to_owned()));
                }
            }
            Some(Err(trouble)) => troubles.push(warning("Open pull requests could not be listed", LISTING, &trouble)),
            None => troubles.push("Open pull requests could not be listed in time.".to_owned()),
        }
        if let Some(sha) = &self.place.sha
            && heads.iter().all(|(head, _)| head != sha)
        {
            heads.push((sha.clone(), self.place.pull));
        }
        heads
    }

    /// A board for a check that is there.
    fn take(&self, found: &Value, sha: &str, pull: Option<u64>) -> Option<Adopted> {
        let id = found["id"].as_u64()?;
        let text = |member: &str| found[member].as_str().unwrap_or_default().to_owned();
        let board = Self {
            calls: self.calls.clone(),
            shutdown: self.shutdown.clone(),
            place: Place { sha: Some(sha.to_owned()), pull, ..self.place.clone() },
            wishes: self.wishes.clone(),
            name: text("name"),
            workspace: self.workspace.clone(),
            check: Cell::new(Check::Open(id)),
        };
        let is_over = found["status"] == "completed";
        let named = say::named_batches(found);
        Some(Adopted { board, id, name: text("name"), key: text("external_id"), pull, is_over, named })
    }
}
