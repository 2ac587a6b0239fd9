//! Calls to a CI system's API over our own HTTP client: few tries, since nobody may wait for a comment.

use http::{HeaderMap, Method};
use serde_json::Value;

use crate::client::{HostClient, HostReply};
use crate::policy::{HOST_PAGES, HOST_PAUSE, HOST_TRY};
use crate::shutdown::Shutdown;
use crate::text::shorten;

/// What became of a call that did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The API refused: the status, and what it says.
    Refused(u16, String),
    /// There were too many calls lately.
    Limited(String),
    /// No usable reply came; it may have been done or not.
    Lost(String),
}

impl Trouble {
    /// A reply that is not what the API promises.
    pub(super) fn strange() -> Self {
        Self::Lost("a reply that is not what the API promises".to_owned())
    }

    /// What trouble at this system means for whoever reads the log. `refusal` explains a 401, a 403 and a 404.
    pub(super) fn warning(&self, system: &str, what: &str, refusal: &str) -> String {
        match self {
            Self::Refused(status @ (401 | 403 | 404), says) => {
                format!("{what}: {system} refused it ({status}: {says}). {refusal}")
            }
            Self::Refused(status, says) => format!("{what}: {system} refused it ({status}: {says})."),
            Self::Limited(says) => format!("{what}: there were too many calls to {system} lately ({says})."),
            Self::Lost(why) => format!("{what}: {system} could not be reached or gave no usable answer ({why})."),
        }
    }
}

/// What calls are made with.
pub(super) struct Rest {
    client: HostClient,
    shutdown: Shutdown,
}

impl Rest {
    /// Calls through this client.
    pub(super) fn new(client: HostClient, shutdown: Shutdown) -> Self {
        Self { client, shutdown }
    }

    /// What `wanted` picks from all pages of a list, which is the body. The path has a query.
    pub(super) async fn pages(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>, Trouble> {
        let mut found = Vec::new();
        for page in 1..=HOST_PAGES {
            let reply = self.again(&Method::GET, &format!("{path}&per_page=100&page={page}"), None).await?;
            let Value::Array(list) = reply.body else { return Err(Trouble::strange()) };
            found.extend(list.into_iter().filter(|object| wanted(object)));
            if !header(&reply.headers, "link").contains("rel=\"next\"") {
                break;
            }
        }
        Ok(found)
    }

    /// Carries out `make`; where its reply is lost, `is_made` says whether it has to be carried out again.
    pub(super) async fn make_one(
        &self,
        make: impl AsyncFn() -> Result<(), Trouble>,
        is_made: impl AsyncFn() -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        match make().await {
            Err(Trouble::Lost(_)) if !self.hurries() => {
                tokio::time::sleep(HOST_PAUSE).await;
                if is_made().await? { Ok(()) } else { make().await }
            }
            made => made,
        }
    }

    /// Two tries, for calls that are harmless to repeat. This is not the retry loop, which waits until the run's
    /// deadline: what is shown is not worth a long wait, and a refusal is final.
    pub(super) async fn again(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<HostReply, Trouble> {
        match self.once(method, path, body).await {
            Err(Trouble::Lost(_)) if !self.hurries() => {
                tokio::time::sleep(HOST_PAUSE).await;
                self.once(method, path, body).await
            }
            done => done,
        }
    }

    /// One try. The reply's status is 2xx.
    pub(super) async fn once(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<HostReply, Trouble> {
        let sent = tokio::time::timeout(HOST_TRY, self.client.send(method.clone(), path, body)).await;
        let late = |_| Trouble::Lost(format!("no answer within {} seconds", HOST_TRY.as_secs()));
        let reply = sent.map_err(late)?.map_err(Trouble::Lost)?;
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        let says = shorten(&self.client.shown(&reason(&reply.body)), 200);
        Err(match reply.status {
            429 => Trouble::Limited(says),
            // GitLab says 409 where another call changes the same status.
            408 | 409 | 500.. => Trouble::Lost(format!("{}: {says}", reply.status)),
            status => Trouble::Refused(status, says),
        })
    }

    /// Whether a signal came: then there is time for one try of anything.
    fn hurries(&self) -> bool {
        self.shutdown.ordered().is_some()
    }
}

/// What a refusal says: GitLab's `message` is a text or an object, or else there is OAuth's `error_description`;
/// Bitbucket's is the `message` in its `error`.
fn reason(body: &Value) -> String {
    let reasons = [&body["message"], &body["error"]["message"], &body["error_description"], &body["error"]];
    match reasons.into_iter().find(|reason| !reason.is_null()) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "no reason given".to_owned(),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Trouble, reason};

    #[test]
    fn a_refusal_says_why_in_any_of_its_forms() {
        assert_eq!(reason(&json!({ "message": "401 Unauthorized" })), "401 Unauthorized");
        assert_eq!(reason(&json!({ "message": { "note": ["is too long"] } })), r#"{"note":["is too long"]}"#);
        let scope = json!({ "error": "insufficient_scope", "error_description": "The request requires more." });
        assert_eq!(reason(&scope), "The request requires more.");
        assert_eq!(reason(&json!({ "type": "error", "error": { "message": "No." } })), "No.");
        assert_eq!(reason(&json!({ "error": "invalid_token" })), "invalid_token");
        assert_eq!(reason(&json!(null)), "no reason given");
    }

    #[test]
    fn only_what_a_token_can_change_is_explained() {
        let warning = |trouble: Trouble| trouble.warning("GitLab", "It failed", "The token needs `api`.");
        assert_eq!(
            warning(Trouble::Refused(403, "No.".into())),
            "It failed: GitLab refused it (403: No.). The token needs `api`."
        );
        assert!(!warning(Trouble::Refused(422, "No.".into())).contains("`api`"));
        assert!(!warning(Trouble::Limited("Slow down.".into())).contains("`api`"));
    }
}
