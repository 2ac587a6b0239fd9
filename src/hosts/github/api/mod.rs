//! A run shown through GitHub's API: a comment on the pull request, a check on
//! its head commit.
//!
//! Nothing here changes a verdict: trouble is a warning, time is short, and
//! after a signal there is one try of each. `check_run.rs` and `comment.rs`
//! decide what is said, `calls.rs` carries it to GitHub, and this file is the
//! order in which.

mod calls;
mod check_run;
mod claims;
mod comment;
mod mark;
mod place;

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use serde_json::Value;

use self::calls::Calls;
use self::mark::Mark;
pub(super) use self::place::Place;
use crate::emitter::Events;
use crate::env::Env;
use crate::error::{Error, Outcome};
use crate::events::Event;
use crate::hosts::{
    Claims, HostMark, PublishOptions, Publisher, Reach, Trouble, check_name, check_names, in_time, marker,
};
use crate::policy::{CHECK_OPENING, PUBLISHING};
use crate::report::Report;
use crate::shutdown::Shutdown;
use crate::text::first_chars;

/// Where GitHub's API is unless the runner says otherwise.
const API: &str = "https://api.github.com";

/// How many digits of a commit people read, as GitHub shows them.
const SHORT_SHA: usize = 7;

/// What a comment and a check need of a token.
const COMMENTING: &str = "pull-requests: write";
const CHECKING: &str = "checks: write";

/// Shows a run on GitHub.
pub(super) struct GitHubApi {
    calls: Calls,
    shutdown: Shutdown,
    place: Place,
    options: PublishOptions,
    /// The check's name, which the comment's marker is made of.
    name: String,
    workspace: Option<String>,
    check: Cell<Check>,
    /// Why not all is shown that was asked for, a sentence.
    lacking: Option<String>,
}

/// How far the check is.
#[derive(Clone, Copy)]
enum Check {
    /// There is none.
    None,
    /// One was asked for, and nobody knows whether it was made.
    InDoubt,
    /// This one.
    Open(u64),
    /// GitHub refused it; there will be none.
    Refused,
}

impl GitHubApi {
    /// Finds out where a run can be shown. The error says why it cannot.
    pub(super) fn new(env: &Env, options: PublishOptions, reach: Reach<'_>) -> Result<Self, Error> {
        let token = options.github_token.clone();
        let token = token.ok_or_else(|| Error::usage("`comment` and `check-run` need a `github-token`"))?;
        let payload = match env.get("GITHUB_EVENT_PATH") {
            Some(path) => {
                let unread = |error| Error::usage("The event at GITHUB_EVENT_PATH cannot be read").because(error);
                serde_json::from_slice(&std::fs::read(path).map_err(unread)?).unwrap_or_default()
            }
            None => Value::Null,
        };
        let place = Place::find(env, &payload).ok_or_else(|| Error::usage("GITHUB_REPOSITORY names no repository"))?;
        let workspace = env.get("GITHUB_WORKSPACE").map(str::to_owned);
        let url = env.get("GITHUB_API_URL").unwrap_or(API);
        Ok(Self {
            calls: Calls::new(url, token, reach.ca_bundle, reach.shutdown.clone(), &place)?,
            shutdown: reach.shutdown.clone(),
            name: check_name(&check_names(&options.requests, workspace.as_deref())),
            place,
            options,
            workspace,
            check: Cell::new(Check::None),
            lacking: None,
        })
    }

    /// Has the end say why not all is shown that was asked for.
    pub(super) fn lacking(self, why: &Error) -> Self {
        Self { lacking: Some(format!("{}.", why.sentence())), ..self }
    }

    /// Opens the check, if one is asked for, and returns its mark.
    async fn open(&self, report: &Report, events: &Events<'_>) -> Option<Mark> {
        if !self.options.check_run {
            return None;
        }
        let Some(sha) = self.place.sha.as_deref() else {
            self.refuse(events, "No check is shown: the event names no commit.".to_owned());
            return None;
        };
        let mut body = self.begin_check(sha, report);
        merge(&mut body, check_run::in_progress(report, &[]));
        self.check.set(Check::InDoubt);
        match self.in_time(CHECK_OPENING, self.make_check(sha, report, &body)).await {
            Some(Ok(id)) => {
                self.check.set(Check::Open(id));
                let on = format!("commit {}", first_chars(sha, SHORT_SHA));
                events.emit(Event::CheckOpened { id: id.to_string(), name: self.name.clone(), on });
                return Some(Mark { id, sha: sha.to_owned(), pull: self.place.pull });
            }
            Some(Err(trouble @ Trouble::Refused(..))) => {
                self.refuse(events, warning("The check could not be shown", CHECKING, &trouble));
            }
            Some(Err(trouble)) => {
                events.emit(Event::Warned(warning("The check could not be opened", CHECKING, &trouble)));
            }
            None => events.emit(Event::Warned("The check could not be opened in time.".to_owned())),
        }
        None
    }

    async fn end(&self, report: &Report, events: &Events<'_>) -> bool {
        if let Some(lacking) = &self.lacking {
            events.emit(Event::Warned(lacking.clone()));
        }
        let both = async { tokio::join!(self.conclude(report, events), self.comment(report, events)) };
        if let Some((is_concluded, ())) = self.in_time(PUBLISHING, both).await {
            return is_concluded;
        }
        events.emit(Event::Warned("GitHub does not show how this run ended: it did not answer in time.".to_owned()));
        false
    }

    fn refuse(&self, events: &Events<'_>, why: String) {
        self.check.set(Check::Refused);
        events.emit(Event::Warned(why));
    }

    fn begin_check(&self, sha: &str, report: &Report) -> Value {
        check_run::beginning(&self.place, sha, &self.name, report)
    }

    /// Makes a check, and one only.
    async fn make_check(&self, sha: &str, report: &Report, body: &Value) -> Result<u64, Trouble> {
        let make = async || self.calls.create_check(body).await;
        id_of(&self.calls.make_one(make, async || self.find_check(sha, report).await).await?)
    }

    /// The newest check that a lost reply of ours may have made.
    async fn find_check(&self, sha: &str, report: &Report) -> Result<Option<Value>, Trouble> {
        let found = self.calls.checks(sha, &self.name).await?;
        let key = report.requests.key.as_deref();
        let ours = found.into_iter().filter(|check| check["external_id"].as_str() == key);
        Ok(ours.filter(|check| check["status"] != "completed").max_by_key(|check| check["id"].as_u64()))
    }

    async fn conclude(&self, report: &Report, events: &Events<'_>) -> bool {
        if !self.options.check_run || matches!(self.check.get(), Check::Refused) {
            return !self.options.check_run;
        }
        let warn = |what, trouble: &Trouble| events.emit(Event::Warned(warning(what, CHECKING, trouble)));
        let id = match self.end_check(report).await {
            Ok(id) => id,
            Err(trouble) => {
                warn("The check could not be concluded", &trouble);
                return false;
            }
        };
        // From here on a later step would only write over the verdict.
        events.emit(Event::CheckClosed);
        for annotations in check_run::annotations(report, self.workspace.as_deref()) {
            if let Err(trouble) = self.calls.annotate_check(id, &annotations).await {
                warn("The check lacks annotations", &trouble);
                break;
            }
        }
        true
    }

    /// Ends the check, or makes one that has ended; returns its id.
    async fn end_check(&self, report: &Report) -> Result<u64, Trouble> {
        let Some(sha) = self.place.sha.as_deref() else {
            return Err(Trouble::Refused(404, "the event names no commit".to_owned()));
        };
        let (end, concluded) = check_run::ended(report);
        let mut id = match self.check.get() {
            Check::Open(id) => Some(id),
            Check::InDoubt => self.find_check(sha, report).await?.as_ref().map(id_of).transpose()?,
            Check::None | Check::Refused => None,
        };
        if let Some(open) = id {
            match self.calls.update_check(open, &end).await {
                Ok(_) => {}
                // Another app may have made it, or it is gone: what it would have said is said beside it.
                Err(Trouble::Refused(..)) if concluded => id = None,
                Err(trouble) => return Err(trouble),
            }
        }
        if let Some(id) = id {
            return Ok(id);
        }
        let mut body = self.begin_check(sha, report);
        merge(&mut body, end);
        id_of(&self.calls.create_check(&body).await?)
    }

    async fn comment(&self, report: &Report, events: &Events<'_>) {
        // A skipped run has nothing to say that the log does not.
        if !self.options.comment || report.outcome == Outcome::Skipped {
            return;
        }
        let Some(pull) = self.place.pull else {
            let notice = "There is no pull request to comment on: the event of this workflow does not belong to one.";
            events.emit(Event::Noticed(notice.to_owned()));
            return;
        };
        if let Err(trouble) = self.put_comment(pull, report).await {
            events.emit(Event::Warned(warning("The comment could not be written", COMMENTING, &trouble)));
        }
    }

    /// Writes our comment anew, or the first one.
    async fn put_comment(&self, pull: u64, report: &Report) -> Result<(), Trouble> {
        let marker = marker(&self.name);
        let body = comment::body(&marker, report, self.place.page.as_deref());
        if let Some(ours) = self.find_comment(pull, &marker).await? {
            match self.calls.update_comment(id_of(&ours)?, &body).await {
                Ok(_) => return Ok(()),
                // Somebody deleted it a moment ago.
                Err(Trouble::Refused(404, _)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let make = async || self.calls.create_comment(pull, &body).await;
        self.calls.make_one(make, async || self.find_comment(pull, &marker).await).await?;
        Ok(())
    }

    /// Our comment, if there is one: the oldest that has the mark and is our token's own.
    async fn find_comment(&self, pull: u64, marker: &str) -> Result<Option<Value>, Trouble> {
        let marked = self.calls.comments(pull, |it| comment::is_marked(it, marker)).await?;
        if marked.is_empty() {
            return Ok(None);
        }
        let me = match self.calls.me().await {
            Ok(me) => Some(id_of(&me)?),
            // A token of an app, as the workflow's own is, belongs to nobody who could be asked for.
            Err(Trouble::Refused(401 | 403 | 404, _)) => None,
            Err(trouble) => return Err(trouble),
        };
        Ok(marked.into_iter().find(|it| comment::is_ours(it, me)))
    }

    async fn in_time<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        in_time(&self.shutdown, limit, work).await
    }
}

impl Publisher for GitHubApi {
    fn begin<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, Option<HostMark>> {
        async move { self.open(report, events).await.map(HostMark::from) }.boxed_local()
    }

    fn update<'a>(&'a self, report: &'a Report, batch_ids: &'a [String]) -> LocalBoxFuture<'a, ()> {
        async move {
            if let Check::Open(id) = self.check.get() {
                drop(self.calls.update_check(id, &check_run::in_progress(report, batch_ids)).await);
            }
        }
        .boxed_local()
    }

    fn finish<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, bool> {
        self.end(report, events).boxed_local()
    }

    fn leave_comment(&mut self) {
        self.options.comment = false;
    }

    fn claims(&self) -> Option<&dyn Claims> {
        self.options.check_run.then_some(self)
    }
}

fn id_of(object: &Value) -> Result<u64, Trouble> {
    object["id"].as_u64().ok_or_else(|| Trouble::Lost("a reply without an id".to_owned()))
}

fn merge(into: &mut Value, from: Value) {
    if let Value::Object(from) = from {
        for (member, value) in from {
            into[member] = value;
        }
    }
}

/// What trouble means for whoever reads the log.
fn warning(what: &str, permission: &str, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Refused(status @ (403 | 404), says) => format!(
            "{what}: GitHub refused it ({status}: {says}). The job needs the permission `{permission}`; \
             pull requests from forks get a token that may only read."
        ),
        Trouble::Refused(401, says) => format!("{what}: GitHub does not take the `github-token` (401: {says})."),
        Trouble::Refused(status, says) => format!("{what}: GitHub refused it ({status}: {says})."),
        Trouble::Limited(says) => format!("{what}: there were too many calls to GitHub lately ({says})."),
        Trouble::Lost(why) => format!("{what}: GitHub could not be reached or gave no usable answer ({why})."),
    }
}

#[cfg(test)]
mod tests {
    use super::{CHECKING, Trouble, merge, warning};
    use serde_json::json;

    #[test]
    fn a_refusal_names_the_permission() {
        let sentence = warning("The check could not be shown", CHECKING, &Trouble::Refused(403, "No.".to_owned()));
        assert!(sentence.contains("`checks: write`") && sentence.contains("(403: No.)"), "{sentence}");
        assert!(!warning("x", CHECKING, &Trouble::Limited("Slow down.".to_owned())).contains("permission"));
    }

    #[test]
    fn members_are_merged() {
        let mut body = json!({ "a": 1, "b": 2 });
        merge(&mut body, json!({ "b": 3 }));
        assert_eq!(body, json!({ "a": 1, "b": 3 }));
    }
}
