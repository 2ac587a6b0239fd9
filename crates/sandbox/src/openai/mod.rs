//! OpenAI's Files and Batches API.
//!
//! Reading order: world.rs is the API, batch.rs and files.rs its objects,
//! validate.rs what a batch fails on, harvest.rs and answers.rs what it ends in.

mod answers;
mod batch;
mod create;
mod files;
mod harvest;
mod page;
mod refusal;
mod stops;
mod upload;
mod validate;
mod world;

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::Value;

pub(super) use world::World;

use super::api::{Api, Call, Reply};
use super::engine::Engine;
use super::operation::Operation;
use super::refusal::Refusal;
use super::tally::Tally;

impl Api for World {
    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn find<'a>(&self, method: &str, path: &'a str) -> Result<(Operation, &'a str), Refusal> {
        find(method, path).ok_or_else(|| Refusal::new(404, format!("Invalid URL ({method} {path})")))
    }

    /// Any key will do but those that say themselves that they are wrong.
    fn authorise(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match given.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim).unwrap_or_default() {
            "" => Err(Refusal::no_key()),
            key if key == "wrong" || key.contains("invalid") => Err(Refusal::wrong_key()),
            _ => Ok(()),
        }
    }

    fn call(&mut self, call: Call<'_>) -> Result<Reply, Refusal> {
        let Call { operation, id, query, now, .. } = call;
        let object = match operation {
            Operation::Upload => self.upload(upload::read(call.header("content-type"), &call.body)?, now),
            Operation::ListFiles => self.list_files(query, now),
            Operation::GetFile => self.file(id, now),
            Operation::Content => return self.content(id, now).map(Reply::Content),
            Operation::DeleteFile => self.delete_file(id, now),
            Operation::Create => self.create(&call.body, now, call.most),
            Operation::List => self.list(query, now, call.lag),
            Operation::Get => self.batch(id, now),
            Operation::Cancel => self.cancel(id, now),
            // No path leads here.
            Operation::Delete => Err(self.scripted(404, None)),
        };
        object.map(Reply::Object)
    }

    fn stored(&mut self, id: &str, now: Duration) -> Result<Bytes, Refusal> {
        self.content(id, now)
    }

    fn under_way(&self, now: Duration) -> usize {
        self.running(now)
    }

    fn tally(&self, now: Duration) -> Tally {
        self.count(now)
    }

    fn scripted(&self, status: u16, code: Option<&str>) -> Refusal {
        Refusal::scripted(status, code)
    }

    fn unknown_member(&self, member: &str) -> Refusal {
        Refusal::field(member, "unknown_parameter", format!("Unknown parameter: '{member}'."))
    }

    fn error(&self, refusal: &Refusal, _: &str) -> Value {
        refusal.body()
    }

    fn sign(&self, headers: &mut HeaderMap, request_id: &str, _: Duration) {
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
    }
}

fn find<'a>(method: &str, path: &'a str) -> Option<(Operation, &'a str)> {
    let mut parts = path.strip_prefix("/v1/")?.trim_end_matches('/').split('/');
    let (family, id, verb) = (parts.next()?, parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let operation = match (method, family, id, verb) {
        ("POST", "files", None, None) => Operation::Upload,
        ("GET", "files", None, None) => Operation::ListFiles,
        ("GET", "files", Some(_), None) => Operation::GetFile,
        ("GET", "files", Some(_), Some("content")) => Operation::Content,
        ("DELETE", "files", Some(_), None) => Operation::DeleteFile,
        ("POST", "batches", None, None) => Operation::Create,
        ("GET", "batches", None, None) => Operation::List,
        ("GET", "batches", Some(_), None) => Operation::Get,
        ("POST", "batches", Some(_), Some("cancel")) => Operation::Cancel,
        _ => return None,
    };
    Some((operation, id.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::{Operation, find};

    #[test]
    fn paths_name_operations() {
        assert_eq!(find("POST", "/v1/batches"), Some((Operation::Create, "")));
        assert_eq!(find("GET", "/v1/batches/b/"), Some((Operation::Get, "b")));
        assert_eq!(find("GET", "/v1/files/f/content"), Some((Operation::Content, "f")));
        for (method, path) in [
            ("PUT", "/v1/files"),
            ("GET", "/batches"),
            ("GET", "/v1/batches/b/cancel"),
            ("GET", "/v1/files/f/content/x"),
        ] {
            assert_eq!(find(method, path), None, "{method} {path}");
        }
    }
}
