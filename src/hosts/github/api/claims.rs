//! The checks that runs left: how they are found again, and gone on with.
//!
//! A check in progress says that somebody waits for a batch. The mark in a
//! batch's metadata names the check of the run that made it. A run that attached
//! to a batch has a check of its own, which no metadata names: it is looked for
//! on the head commits of open pull requests and on the event's own. Which
//! batches a check is about it says itself.

use std::cell::Cell;
use std::collections::BTreeSet;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use serde_json::{Value, json};

use super::calls::States;
use super::mark::Mark;
use super::place::{self, Place};
use super::{CHECKING, Check, GitHubApi, check_run, warning};
use crate::clock::rfc3339;
use crate::emitter::Events;
use crate::events::Event;
use crate::hosts::{ClaimedCheck, Claims, HostMark, Trouble, Unclaimed};
use crate::policy::CHECK_OPENING;
use crate::report::ShownAt;

/// What listing pull requests needs of a token.
const LISTING: &str = "pull-requests: read";

impl Claims for GitHubApi {
    fn of_mark<'a>(&'a self, mark: &'a str, key: &'a str) -> LocalBoxFuture<'a, Result<ClaimedCheck, Unclaimed>> {
        async move {
            let mark: Mark = mark.parse().map_err(|()| Unclaimed::NoMark)?;
            self.claim_marked(&mark, key).await
        }
        .boxed_local()
    }

    fn is_marked(&self, check: &ClaimedCheck, mark: &str) -> bool {
        id(mark).is_some() && id(mark) == id(check.mark.as_str())
    }

    fn own<'a>(
        &'a self,
        key: &'a str,
        batch_ids: &'a [&'a str],
    ) -> LocalBoxFuture<'a, Result<Vec<ClaimedCheck>, String>> {
        self.claim_own(key, batch_ids).boxed_local()
    }

    fn in_progress<'a>(
        &'a self,
        keys: &'a [&'a str],
        events: &'a Events<'a>,
    ) -> LocalBoxFuture<'a, (Vec<ClaimedCheck>, Vec<String>)> {
        self.claim_open(keys, events).boxed_local()
    }

    fn is_open<'a>(&'a self, check: &'a ClaimedCheck) -> LocalBoxFuture<'a, bool> {
        async move {
            let Some(id) = id(check.mark.as_str()) else { return false };
            let found = self.in_time(CHECK_OPENING, self.calls.check(id)).await;
            found.and_then(Result::ok).is_none_or(|found| found["status"] != "completed")
        }
        .boxed_local()
    }

    fn shown_at(&self, checks: &[ClaimedCheck]) -> ShownAt {
        let marks: Vec<Mark> = checks.iter().filter_map(|check| check.mark.as_str().parse().ok()).collect();
        let ids: Vec<u64> = marks.iter().map(|mark| mark.id).collect();
        let pulls: BTreeSet<u64> = marks.iter().filter_map(|mark| mark.pull).collect();
        let places = pulls.iter().map(|pull| format!("pull request #{pull}")).collect();
        let members = [("check_ids", json!(ids)), ("pull_requests", json!(pulls))];
        ShownAt { members: members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(), places }
    }

    /// A pull request's comment is the newest run's, whichever is over first.
    fn share_comments(&self, checks: &mut [ClaimedCheck]) {
        let shown = |check: &ClaimedCheck| {
            let mark: Mark = check.mark.as_str().parse().ok()?;
            Some((mark.pull, check.name.clone(), mark.id))
        };
        let all: Vec<_> = checks.iter().filter_map(shown).collect();
        for check in checks {
            let Some((pull, name, id)) = shown(check) else { continue };
            if all.iter().any(|(other, named, newer)| (*other, named) == (pull, &name) && *newer > id) {
                check.publisher.leave_comment();
            }
        }
    }

    fn abandon<'a>(&'a self, id: &'a HostMark, now: i64) -> LocalBoxFuture<'a, Result<(), String>> {
        async move {
            let Ok(id) = id.as_str().parse() else { return Err("There is no such check.".to_owned()) };
            let body = check_run::abandoned(rfc3339(now));
            match self.in_time(CHECK_OPENING, self.calls.update_check(id, &body)).await {
                Some(Ok(_)) => Ok(()),
                Some(Err(trouble)) => Err(warning(&format!("Check {id} could not be concluded"), CHECKING, &trouble)),
                None => Err(format!("Check {id} could not be concluded in time.")),
            }
        }
        .boxed_local()
    }
}

/// The id of the check that a mark names.
fn id(mark: &str) -> Option<u64> {
    mark.parse().ok().map(|mark: Mark| mark.id)
}

impl GitHubApi {
    async fn claim_marked(&self, mark: &Mark, key: &str) -> Result<ClaimedCheck, Unclaimed> {
        let id = mark.id;
        let unread = |why: String| Unclaimed::Unread(why);
        let found = match self.in_time(CHECK_OPENING, self.calls.check(id)).await {
            Some(Ok(found)) => found,
            Some(Err(Trouble::Refused(404, _))) => {
                return Err(Unclaimed::NotOurs(format!("its mark names check {id}, which does not exist")));
            }
            Some(Err(trouble)) => {
                return Err(unread(warning(&format!("Check {id} could not be read"), CHECKING, &trouble)));
            }
            None => return Err(unread(format!("Check {id} could not be read in time."))),
        };
        if !check_run::is_of_mark(&found, mark, key) {
            return Err(Unclaimed::NotOurs(format!("its mark names check {id}, which is not of this batch")));
        }
        self.claim(&found, &mark.sha, mark.pull)
            .ok_or_else(|| unread(format!("Check {id} could not be read: it has no id.")))
    }

    async fn claim_own(&self, key: &str, batch_ids: &[&str]) -> Result<Vec<ClaimedCheck>, String> {
        let Some(sha) = self.place.sha.as_deref() else { return Ok(Vec::new()) };
        let found = self.calls.checks_on(sha, States::All, |check| check_run::is_ours_for(check, key));
        let found = match self.in_time(CHECK_OPENING, found).await {
            Some(Ok(found)) => found,
            Some(Err(trouble)) => return Err(warning("Checks could not be looked for", CHECKING, &trouble)),
            None => return Err("Checks could not be looked for in time.".to_owned()),
        };
        let claimed = found.iter().filter_map(|check| self.claim(check, sha, self.place.pull));
        Ok(claimed.filter(|check| batch_ids.iter().any(|id| check.names(id))).collect())
    }

    /// The checks in progress on the heads of open pull requests and on the event's own commit.
    async fn claim_open(&self, keys: &[&str], events: &Events<'_>) -> (Vec<ClaimedCheck>, Vec<String>) {
        let mut troubles = Vec::new();
        let heads = self.heads(&mut troubles, events).await;
        let mut found = Vec::new();
        for (sha, pull) in heads {
            let is_ours = |check: &Value| keys.iter().any(|key| check_run::is_ours_for(check, key));
            match self.in_time(CHECK_OPENING, self.calls.checks_on(&sha, States::InProgress, is_ours)).await {
                Some(Ok(checks)) => found.extend(checks.iter().filter_map(|check| self.claim(check, &sha, pull))),
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
                heads.extend(place::heads(&pulls).into_iter().map(|(sha, pull)| (sha, Some(pull))));
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

    /// A publisher that goes on with a check that was found.
    fn claim(&self, found: &Value, sha: &str, pull: Option<u64>) -> Option<ClaimedCheck> {
        let id = found["id"].as_u64()?;
        let text = |member: &str| found[member].as_str().unwrap_or_default().to_owned();
        let publisher = Self {
            calls: self.calls.clone(),
            shutdown: self.shutdown.clone(),
            place: Place { sha: Some(sha.to_owned()), pull, ..self.place.clone() },
            options: self.options.clone(),
            name: text("name"),
            workspace: self.workspace.clone(),
            check: Cell::new(Check::Open(id)),
            lacking: None,
        };
        Some(ClaimedCheck {
            publisher: Box::new(publisher),
            mark: Mark { id, sha: sha.to_owned(), pull }.into(),
            id: id.to_string(),
            name: text("name"),
            key: text("external_id"),
            is_over: found["status"] == "completed",
            batches: check_run::named_batches(found),
        })
    }
}
