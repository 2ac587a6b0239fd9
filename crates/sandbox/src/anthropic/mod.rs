//! Anthropic's Message Batches API.
//!
//! Reading order: world.rs is the API, create.rs what it takes, batch.rs the
//! object it shows, results.rs and message.rs what a batch ends in.

mod batch;
mod create;
#[cfg(test)]
mod loopback;
mod message;
mod page;
mod refusal;
mod results;
mod world;

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::{Value, json};

pub(super) use world::World;

use super::api::{Api, Call, Reply};
use super::engine::Engine;
use super::operation::Operation;
use super::refusal::Refusal;
use super::tally::Tally;
use create::Version;
use refusal::{refuse, scripted};

impl Api for World {
    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn find<'a>(&self, method: &str, path: &'a str) -> Result<(Operation, &'a str), Refusal> {
        find(method, path).ok_or_else(|| refuse(404, format!("Not found: {method} {path}")))
    }

    /// Any key will do but those that say themselves that they are wrong. It comes as `x-api-key`, or as a bearer
    /// token, as the SDKs since October 2026 send it.
    fn authorise(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let bearer = || text(header::AUTHORIZATION.as_str())?.strip_prefix("Bearer ");
        match text("x-api-key").or_else(bearer).unwrap_or_default() {
            "" => return Err(refuse(401, "x-api-key header is required")),
            key if key == "wrong" || key.contains("invalid") => return Err(refuse(401, "invalid x-api-key")),
            _ => {}
        }
        Version::read(text("anthropic-version")).map(drop)
    }

    fn call(&mut self, call: Call<'_>) -> Result<Reply, Refusal> {
        let Call { operation, id, query, now, .. } = call;
        let host = call.header("host");
        let object = match operation {
            Operation::Create => {
                let version = Version::read(Some(call.header("anthropic-version")))?;
                self.create(&call.body, version, call.most, host, now)
            }
            Operation::List => self.list(query, call.lag, host, now),
            Operation::Get => self.batch(id, host, now),
            Operation::Cancel => self.cancel(id, host, now),
            Operation::Delete => self.delete(id, now),
            Operation::Content => return self.results(id, now).map(Reply::Stream),
            // No path leads here.
            Operation::Upload | Operation::ListFiles | Operation::GetFile | Operation::DeleteFile => {
                Err(refuse(404, "Not found"))
            }
        };
        object.map(Reply::Object)
    }

    fn stored(&mut self, id: &str, now: Duration) -> Result<Bytes, Refusal> {
        self.results(id, now)
    }

    fn under_way(&self, now: Duration) -> usize {
        self.running(now)
    }

    fn tally(&self, now: Duration) -> Tally {
        self.count(now)
    }

    fn scripted(&self, status: u16, code: Option<&str>) -> Refusal {
        scripted(status, code)
    }

    fn unknown_member(&self, member: &str) -> Refusal {
        refuse(400, format!("{member}: Extra inputs are not permitted"))
    }

    fn error(&self, refusal: &Refusal, request_id: &str) -> Value {
        let mut error = json!({"type": refusal.kind, "message": refusal.message});
        if let Some(code) = &refusal.code {
            error["details"] = json!({"error_code": code});
        }
        json!({"type": "error", "error": error, "request_id": request_id})
    }

    /// The date is the sandbox's own, since clients compare it with the times that batches show.
    fn sign(&self, headers: &mut HeaderMap, request_id: &str, now: Duration) {
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("request-id", id);
        }
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(UNIX_EPOCH + now)) {
            headers.insert(header::DATE, date);
        }
    }
}

fn find<'a>(method: &str, path: &'a str) -> Option<(Operation, &'a str)> {
    let rest = path.strip_prefix("/v1/messages/batches")?.trim_end_matches('/');
    if rest.is_empty() {
        return match method {
            "POST" => Some((Operation::Create, "")),
            "GET" => Some((Operation::List, "")),
            _ => None,
        };
    }
    let mut parts = rest.strip_prefix('/')?.split('/');
    let (id, verb) = (parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let operation = match (method, verb) {
        ("GET", None) => Operation::Get,
        ("DELETE", None) => Operation::Delete,
        ("POST", Some("cancel")) => Operation::Cancel,
        ("GET", Some("results")) => Operation::Content,
        _ => return None,
    };
    Some((operation, id))
}

#[cfg(test)]
mod tests {
    use super::{Operation, find};

    #[test]
    fn paths_name_operations() {
        assert_eq!(find("POST", "/v1/messages/batches"), Some((Operation::Create, "")));
        assert_eq!(find("GET", "/v1/messages/batches/"), Some((Operation::List, "")));
        assert_eq!(find("GET", "/v1/messages/batches/b"), Some((Operation::Get, "b")));
        assert_eq!(find("DELETE", "/v1/messages/batches/b"), Some((Operation::Delete, "b")));
        assert_eq!(find("POST", "/v1/messages/batches/b/cancel"), Some((Operation::Cancel, "b")));
        assert_eq!(find("GET", "/v1/messages/batches/b/results"), Some((Operation::Content, "b")));
        for (method, path) in [
            ("POST", "/v1/messages"),
            ("POST", "/v1/batches"),
            ("PUT", "/v1/messages/batches"),
            ("GET", "/v1/messages/batches/b/cancel"),
            ("GET", "/v1/messages/batches/b/results/x"),
            ("GET", "/v1/messages/batchesx"),
        ] {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }
}
