//! What shows a run through its host's API, such as a comment and a check on GitHub.
//!
//! A publisher makes calls, so it is awaited and is not an effect. Nothing that
//! it does changes a verdict: trouble becomes a warning, and time is short.
//!
//! What it showed can be found again by a later command that collects the
//! batches. For that a publisher may write a *mark*, which the core stores with
//! the batches and hands back unread; see [`Claims`].

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::emitter::Events;
use crate::error::Error;
use crate::inputs::Unchecked;
use crate::report::{Report, ShownAt};
use crate::shutdown::Shutdown;
use crate::values::Secret;

/// What a host calls something that it shows. Only the host that wrote it reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostMark(String);

impl HostMark {
    /// The mark as it is stored.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for HostMark {
    fn from(mark: String) -> Self {
        Self(mark)
    }
}

/// What the user wants to be shown through a host's API.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublishOptions {
    /// A comment on the pull request.
    pub comment: bool,
    /// A check on its commit.
    pub check_run: bool,
    /// The token that allows it on GitHub, Forgejo and Gitea.
    pub github_token: Option<Secret>,
    /// The token that allows it on GitLab.
    pub gitlab_token: Option<Secret>,
    /// The requests, as paths and globs: what the comment and the check are named after.
    pub requests: Vec<String>,
}

impl PublishOptions {
    /// Whether the user wants none of it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.comment && !self.check_run
    }
}

/// The token for a host's API, from the input of this name.
///
/// # Errors
/// It holds what HTTP does not carry in a token.
pub(crate) fn token(name: &str, input: Option<&Unchecked>) -> Result<Option<Secret>, Error> {
    let Some(Unchecked(token)) = input else { return Ok(None) };
    if !token.trim().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::usage(format!("`{name}` contains characters that no token has.")));
    }
    token.parse().map(Some).map_err(|why| Error::usage(format!("`{name}` is wrong: {why}.")))
}

/// Waits for `work`, but not longer than `limit`, nor beyond the grace after a signal.
pub(super) async fn in_time<T>(shutdown: &Shutdown, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = tokio::time::sleep(limit) => None,
        () = shutdown.grace() => None,
    }
}

/// How a publisher reaches its host.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    /// The certificates to trust in addition to the system's, as PEM.
    pub ca_bundle: Option<&'a [u8]>,
    /// After a signal everything is tried once only.
    pub shutdown: &'a Shutdown,
}

/// Shows a run while it goes on and how it ended.
///
/// [`begin`](Self::begin) is called at most once, before any batch exists;
/// [`update`](Self::update) any number of times after it;
/// [`finish`](Self::finish) or [`fail`](Self::fail) once, after everything else
/// that the command reports, also where there was no beginning.
pub(crate) trait Publisher {
    /// Shows that the run begins. Returns the mark by which [`Claims`] finds it
    /// again, any text of at most some hundred characters; none where nothing is shown.
    fn begin<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, Option<HostMark>>;

    /// Names the batches that the run has by now, where the run is shown already. The
    /// end names them too, so trouble here is not reported, and a host need not do it.
    fn update<'a>(&'a self, _report: &'a Report, _batch_ids: &'a [String]) -> LocalBoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Shows how the run ended. Returns whether that is now shown where batches
    /// are claimed from, if it was to be.
    fn finish<'a>(&'a self, report: &'a Report, events: &'a Events<'a>) -> LocalBoxFuture<'a, bool>;

    /// Shows what kept the command from its report, where an earlier attempt may have shown its own end. Trouble here is
    /// not reported.
    fn fail<'a>(&'a self, _error: &'a Error) -> LocalBoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Leaves the comment to another run's publisher from here on.
    fn leave_comment(&mut self) {}

    /// Where earlier runs' checks can be claimed; none where runs show no checks.
    fn claims(&self) -> Option<&dyn Claims> {
        None
    }
}

/// The checks that earlier runs left at a host: a check in progress says that
/// somebody waits for the batches that it names.
pub(crate) trait Claims {
    /// The check that a batch's mark names, if it is one for the work of this key.
    fn of_mark<'a>(&'a self, mark: &'a str, key: &'a str) -> LocalBoxFuture<'a, Result<ClaimedCheck, Unclaimed>>;

    /// Whether a batch's mark names this check.
    fn is_marked(&self, check: &ClaimedCheck, mark: &str) -> bool;

    /// The checks on the event's own commit that are about some of these batches,
    /// in progress or not. The error is a sentence.
    fn own<'a>(
        &'a self,
        key: &'a str,
        batch_ids: &'a [&'a str],
    ) -> LocalBoxFuture<'a, Result<Vec<ClaimedCheck>, String>>;

    /// The checks in progress for work of one of these keys, wherever people look,
    /// and a sentence for each thing that went wrong on the way.
    fn in_progress<'a>(
        &'a self,
        keys: &'a [&'a str],
        events: &'a Events<'a>,
    ) -> LocalBoxFuture<'a, (Vec<ClaimedCheck>, Vec<String>)>;

    /// Whether a check is still in progress. Where that cannot be learned, it was a moment ago.
    fn is_open<'a>(&'a self, check: &'a ClaimedCheck) -> LocalBoxFuture<'a, bool>;

    /// Where these checks are, for the entry of their run in the output `runs`.
    fn shown_at(&self, checks: &[ClaimedCheck]) -> ShownAt;

    /// Where several checks share a comment, leaves it to the newest.
    fn share_comments(&self, checks: &mut [ClaimedCheck]);

    /// Concludes the check of a run that is gone, which `id` names as the user or the host's state
    /// wrote it; `now` is in Unix seconds. The error is a sentence.
    fn abandon<'a>(&'a self, id: &'a HostMark, now: i64) -> LocalBoxFuture<'a, Result<(), String>>;
}

/// A check that a run left, and what goes on with it.
pub(crate) struct ClaimedCheck {
    /// Shows how the batches ended, in this check and wherever else its run was shown.
    pub publisher: Box<dyn Publisher>,
    /// By which its host finds it.
    pub mark: HostMark,
    /// Its id, as people read it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The digest of the work that it is for.
    pub key: String,
    /// Whether it has been concluded.
    pub is_over: bool,
    /// The batches that it is about, as digests.
    pub batches: Vec<String>,
}

/// Why a check cannot be claimed.
#[derive(Debug)]
pub(crate) enum Unclaimed {
    /// The mark is not one of this host's.
    NoMark,
    /// The check is not what the batch's mark says, a clause.
    NotOurs(String),
    /// It could not be read, a sentence.
    Unread(String),
}

impl ClaimedCheck {
    /// Whether the check says that it is about this batch.
    pub(crate) fn names(&self, batch_id: &str) -> bool {
        self.batches.contains(&batch_digest(batch_id))
    }

    /// How many batches the check says it is about; none before its run had one.
    pub(crate) fn named(&self) -> usize {
        self.batches.len()
    }
}

/// How long the digests are that name batches, in characters.
pub(super) const BATCH_DIGEST: usize = 16;

/// What stands for a batch where a check names it: a digest, since an id is the provider's text.
pub(super) fn batch_digest(batch_id: &str) -> String {
    blake3::hash(batch_id.as_bytes()).to_hex()[..BATCH_DIGEST].to_owned()
}
