//! GitHub's API, call by call: the only file that names octocrab.
//!
//! octocrab gives addresses, headers and credentials; the HTTP client below it
//! is ours, with our trust and proxies, and follows no redirect. Retries are
//! ours too, and few: nobody may wait for a comment. Replies are read as loose
//! JSON: octocrab's own models refuse a comment whose author is gone.

use http::HeaderMap;
use http_body_util::{BodyExt as _, Limited};
use octocrab::{Octocrab, OctocrabBuilder};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::place::Place;
use crate::client::{self, Kind, Secrets};
use crate::error::Error;
use crate::hosts::Trouble;
use crate::policy::{HOST_PAGES, HOST_PAUSE, HOST_TRY};
use crate::shutdown::Shutdown;
use crate::text::shorten;
use crate::values::Secret;

/// The largest reply that is read: a hundred comments of the longest kind.
const MAX_BODY: usize = 32 << 20;

/// Which checks are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum States {
    All,
    InProgress,
}

/// What calls are made with.
#[derive(Clone)]
pub(super) struct Calls {
    crab: Octocrab,
    secrets: Secrets,
    shutdown: Shutdown,
    repo: String,
}

/// A reply.
struct Reply {
    body: Value,
    /// Whether there are more pages.
    more: bool,
}

enum Ask<'a> {
    Get,
    Post(&'a Value),
    Patch(&'a Value),
}

impl Calls {
    /// Prepares calls to the API at `url`.
    pub(super) fn new(
        url: &str,
        token: Secret,
        ca_bundle: Option<&[u8]>,
        shutdown: Shutdown,
        place: &Place,
    ) -> Result<Self, Error> {
        // The address is not repeated: it may hold a password.
        let wrong = || Error::usage("The API at GITHUB_API_URL cannot be used");
        let http = client::for_host(url, ca_bundle).map_err(|error| wrong().because(error))?;
        let builder = OctocrabBuilder::new().base_uri(url).map_err(|error| wrong().because(error))?;
        let crab = builder
            .personal_token(token.reveal().to_owned())
            .build_with_reqwest(http)
            .map_err(|error| wrong().because(error))?;
        let mut secrets = Secrets::default();
        secrets.add(token, Kind::Credential);
        Ok(Self { crab, secrets, shutdown, repo: format!("/repos/{}/{}", place.owner, place.repo) })
    }

    /// Who the token is, where it is a person's.
    pub(super) async fn me(&self) -> Result<Value, Trouble> {
        Ok(self.again("/user", &Ask::Get).await?.body)
    }

    /// All comments on a pull request that `wanted` picks, oldest first.
    pub(super) async fn comments(&self, pull: u64, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>, Trouble> {
        self.pages(&format!("/issues/{pull}/comments?"), None, wanted).await
    }

    /// The checks on a commit that `wanted` picks.
    pub(super) async fn checks_on(
        &self,
        sha: &str,
        states: States,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, Trouble> {
        let status = match states {
            States::All => "",
            States::InProgress => "status=in_progress&",
        };
        self.pages(&format!("/commits/{sha}/check-runs?filter=all&{status}"), Some("check_runs"), wanted).await
    }

    /// The open pull requests, those that changed last first, and whether there are more than a page of them.
    pub(super) async fn open_pulls(&self) -> Result<(Vec<Value>, bool), Trouble> {
        let path = format!("{}/pulls?state=open&sort=updated&direction=desc&per_page=100", self.repo);
        match self.again(&path, &Ask::Get).await? {
            Reply { body: Value::Array(pulls), more } => Ok((pulls, more)),
            _ => Err(Trouble::strange()),
        }
    }

    /// What `wanted` picks from all pages of a list, which is the body or a `member` of it.
    async fn pages(
        &self,
        path: &str,
        member: Option<&str>,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, Trouble> {
        let mut found = Vec::new();
        for page in 1..=HOST_PAGES {
            let path = format!("{}{path}per_page=100&page={page}", self.repo);
            let Reply { mut body, more } = self.again(&path, &Ask::Get).await?;
            let list = match member {
                Some(member) => body[member].take(),
                None => body,
            };
            let Value::Array(list) = list else { return Err(Trouble::strange()) };
            found.extend(list.into_iter().filter(|object| wanted(object)));
            if !more {
                break;
            }
        }
        Ok(found)
    }

    /// Writes a comment: one try, since a second could make a second comment.
    pub(super) async fn create_comment(&self, pull: u64, body: &Value) -> Result<Value, Trouble> {
        Ok(self.once(&format!("{}/issues/{pull}/comments", self.repo), &Ask::Post(body)).await?.body)
    }

    /// Writes a comment anew.
    pub(super) async fn update_comment(&self, id: u64, body: &Value) -> Result<Value, Trouble> {
        Ok(self.again(&format!("{}/issues/comments/{id}", self.repo), &Ask::Patch(body)).await?.body)
    }

    /// The newest checks of a name on a commit.
    pub(super) async fn checks(&self, sha: &str, name: &str) -> Result<Vec<Value>, Trouble> {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let path = format!("{}/commits/{sha}/check-runs?check_name={name}&filter=all&per_page=100", self.repo);
        match self.again(&path, &Ask::Get).await?.body["check_runs"].take() {
            Value::Array(checks) => Ok(checks),
            _ => Err(Trouble::strange()),
        }
    }

    /// Reads a check.
    pub(super) async fn check(&self, id: u64) -> Result<Value, Trouble> {
        Ok(self.again(&format!("{}/check-runs/{id}", self.repo), &Ask::Get).await?.body)
    }

    /// Makes a check: one try, since a second could make a second check.
    pub(super) async fn create_check(&self, body: &Value) -> Result<Value, Trouble> {
        Ok(self.once(&format!("{}/check-runs", self.repo), &Ask::Post(body)).await?.body)
    }

    /// Changes a check.
    pub(super) async fn update_check(&self, id: u64, body: &Value) -> Result<Value, Trouble> {
        Ok(self.again(&format!("{}/check-runs/{id}", self.repo), &Ask::Patch(body)).await?.body)
    }

    /// Adds annotations to a check: one try, since they are added and not put in place.
    pub(super) async fn annotate_check(&self, id: u64, body: &Value) -> Result<Value, Trouble> {
        Ok(self.once(&format!("{}/check-runs/{id}", self.repo), &Ask::Patch(body)).await?.body)
    }

    /// Carries out `make`; where its reply is lost, `find` looks for what it may
    /// have made before it is carried out again.
    pub(super) async fn make_one(
        &self,
        make: impl AsyncFn() -> Result<Value, Trouble>,
        find: impl AsyncFn() -> Result<Option<Value>, Trouble>,
    ) -> Result<Value, Trouble> {
        match make().await {
            Err(Trouble::Lost(_)) if !self.hurries() => {
                tokio::time::sleep(HOST_PAUSE).await;
                match find().await? {
                    Some(found) => Ok(found),
                    None => make().await,
                }
            }
            made => made,
        }
    }

    /// Whether a signal came: then there is time for one try of anything.
    fn hurries(&self) -> bool {
        self.shutdown.ordered().is_some()
    }

    /// Two tries, for calls that are harmless to repeat. This is not the retry loop, which reads a provider's failures
    /// and waits until the run's deadline: a comment or a check is not worth a long wait, and a refusal is final.
    async fn again(&self, path: &str, ask: &Ask<'_>) -> Result<Reply, Trouble> {
        match self.once(path, ask).await {
            Err(Trouble::Lost(_)) if !self.hurries() => {
                tokio::time::sleep(HOST_PAUSE).await;
                self.once(path, ask).await
            }
            done => done,
        }
    }

    async fn once(&self, path: &str, ask: &Ask<'_>) -> Result<Reply, Trouble> {
        let late = |_| Trouble::Lost(format!("no answer within {} seconds", HOST_TRY.as_secs()));
        tokio::time::timeout(HOST_TRY, self.send(path, ask)).await.map_err(late)?
    }

    async fn send(&self, path: &str, ask: &Ask<'_>) -> Result<Reply, Trouble> {
        let lost = |error: octocrab::Error| Trouble::Lost(self.secrets.cut_text(&deepest(&error)));
        let response = match ask {
            Ask::Get => self.crab._get(path).await,
            Ask::Post(body) => self.crab._post(path, Some(body)).await,
            Ask::Patch(body) => self.crab._patch(path, Some(body)).await,
        };
        let (head, body) = response.map_err(lost)?.into_parts();
        let status = head.status.as_u16();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| Trouble::Lost(self.secrets.cut_text(&deepest(error.as_ref()))))?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if (200..300).contains(&status) {
            let more = header(&head.headers, "link").contains("rel=\"next\"");
            return if body.is_null() { Err(Trouble::strange()) } else { Ok(Reply { body, more }) };
        }
        Err(refusal(
            status,
            &head.headers,
            &self.secrets.cut_text(body["message"].as_str().unwrap_or("no reason given")),
        ))
    }
}

/// Reads what a status other than 2xx means.
fn refusal(status: u16, headers: &HeaderMap, message: &str) -> Trouble {
    let message = shorten(message, 200);
    let is_used_up = header(headers, "x-ratelimit-remaining") == "0" || headers.contains_key("retry-after");
    match status {
        429 => Trouble::Limited(message),
        403 if is_used_up || message.contains("rate limit") => Trouble::Limited(message),
        408 | 500.. => Trouble::Lost(format!("{status}: {message}")),
        _ => Trouble::Refused(status, message),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The innermost cause: the sentences above it only say that something failed.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    shorten(cause.to_string().lines().next().unwrap_or_default(), 200)
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, Trouble, refusal};

    #[test]
    fn a_used_up_limit_is_no_missing_permission() {
        let read = |status, header: Option<(&'static str, &str)>| {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().unwrap());
            }
            refusal(status, &headers, "Resource not accessible by integration")
        };
        assert!(matches!(read(403, None), Trouble::Refused(403, _)));
        assert!(matches!(read(403, Some(("x-ratelimit-remaining", "12"))), Trouble::Refused(403, _)));
        assert!(matches!(read(403, Some(("x-ratelimit-remaining", "0"))), Trouble::Limited(_)));
        assert!(matches!(read(403, Some(("retry-after", "60"))), Trouble::Limited(_)));
        assert!(matches!(read(429, None), Trouble::Limited(_)));
        for status in [408, 500, 502, 503] {
            assert!(matches!(read(status, None), Trouble::Lost(_)), "{status}");
        }
        for status in [301, 401, 404, 410, 422] {
            assert!(matches!(read(status, None), Trouble::Refused(..)), "{status}");
        }
    }
}
