//! HTTP in, HTTP out: a request becomes a call on the world, its answer a response.
//!
//! Faults that concern calls act here, before the world is asked or between its
//! answer and the reply. What the operations do is the dialects' matter.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::Value;

use super::MARK;
use super::Sandbox;
use super::api::{Call, Query, Reply};
use super::faults::Action;
use super::payload::{Closed, Hold, Payload, receive};
use super::refusal::Refusal;
use super::weather::Strike;

/// The largest request body: the Files API's 512 MB and room for the form around it.
const LARGEST: usize = 513 * 1024 * 1024;

/// Answers one request. `Err` closes the connection without a reply.
pub(super) async fn serve(sandbox: Sandbox, request: Request<Incoming>) -> Result<Response<Payload>, Closed> {
    let hold = Hold::new();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if let Some(reply) = beside_the_api(&sandbox, head.method.as_str(), path, &head.headers) {
        return finish(&sandbox, reply, &head.headers, hold);
    }
    let found = sandbox.api().find(head.method.as_str(), path);
    let (operation, id) = match found {
        Ok(found) => found,
        Err(refusal) => return finish(&sandbox, Err(refusal), &head.headers, hold),
    };
    let now = sandbox.now();
    let Strike { action, lag, delay } = sandbox.api().engine().called(operation, now);
    if action == Some(Action::Reset) {
        return Err(Closed);
    }
    // Even a refused upload is read to its end: an early reply would reach few clients.
    let body = receive(body, LARGEST).await?;
    let hold = pass(delay / 2, hold).await;
    if let Some(refusal) = action.as_ref().and_then(|action| refused(&sandbox, action, &body, now)) {
        let hold = pass(delay / 2, hold).await;
        return finish(&sandbox, Err(refusal), &head.headers, hold);
    }
    match &action {
        Some(Action::TooLarge(most)) if body.len() as u64 > *most => {
            let hold = pass(delay / 2, hold).await;
            let page = Bytes::from_static(b"<html><body><h1>413 Request Entity Too Large</h1></body></html>");
            let mut response = Response::new(Payload::new(page, hold));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(response);
        }
        Some(Action::Redirect(url)) => {
            let hold = pass(delay / 2, hold).await;
            return redirect(&url.replace("{id}", id), hold);
        }
        _ => {}
    }
    let query = Query(head.uri.query().unwrap_or_default());
    let most = if let Some(Action::TooMany(most)) = action { Some(most) } else { None };
    let reply = act(&sandbox, Call { operation, id, query, headers: &head.headers, body, now, lag, most });
    let hold = pass(delay / 2, hold).await;
    match action {
        Some(Action::Drop) => Err(Closed),
        Some(Action::Stall) => {
            // The clock must be free to reach the client's timeout.
            drop(hold);
            std::future::pending().await
        }
        Some(Action::Garbage) => {
            Ok(Response::new(Payload::new(Bytes::from_static(b"<html><body>It works!</body></html>"), hold)))
        }
        Some(Action::Cut(after)) => Ok(finish(&sandbox, reply, &head.headers, hold)?.map(|body| body.cut(after))),
        _ => finish(&sandbox, reply, &head.headers, hold),
    }
}

/// Lets some time pass, which a paused clock can only do while nothing holds it.
async fn pass(time: Duration, hold: Hold) -> Hold {
    if time.is_zero() {
        return hold;
    }
    drop(hold);
    tokio::time::sleep(time).await;
    Hold::new()
}

/// The sandbox's own paths: the tally, and a file's content at an address that
/// is itself the permission, as a redirect to a store of blobs would have it.
fn beside_the_api(sandbox: &Sandbox, method: &str, path: &str, headers: &HeaderMap) -> Option<Result<Reply, Refusal>> {
    let own = path.strip_prefix("/sandbox/").filter(|_| method == "GET")?;
    if own == "tally" {
        return Some(Ok(Reply::Object(serde_json::to_value(sandbox.tally()).unwrap_or_default())));
    }
    let id = own.strip_prefix("files/")?.strip_suffix("/content")?;
    if headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key") {
        let message = "This address takes no credentials.".to_owned();
        return Some(Err(Refusal { message, ..sandbox.api().scripted(400, None) }));
    }
    Some(sandbox.api().stored(id, sandbox.now()).map(Reply::Content))
}

/// Makes a call, at the time that it is by now.
fn act(sandbox: &Sandbox, call: Call<'_>) -> Result<Reply, Refusal> {
    let (now, mut api) = (sandbox.now(), sandbox.api());
    api.authorise(call.headers)?;
    api.call(Call { now, ..call })
}

/// The refusal that a fault asks for, if it strikes this call.
fn refused(sandbox: &Sandbox, action: &Action, body: &[u8], now: Duration) -> Option<Refusal> {
    match action {
        Action::Refuse { status, code, param, message, retry_after } => {
            let usual = sandbox.api().scripted(*status, code.as_deref());
            let (param, message) = (param.clone(), message.clone().unwrap_or_else(|| usual.message.clone()));
            Some(Refusal { param, message, retry_after: *retry_after, ..usual })
        }
        Action::Unknown(member) if names(body, member) => Some(sandbox.api().unknown_member(member)),
        Action::Full(most) if sandbox.api().under_way(now) >= *most => Some(sandbox.api().scripted(429, None)),
        _ => None,
    }
}

/// Whether a JSON body has this member.
fn names(body: &[u8], member: &str) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body.get(member).is_some())
}

fn finish(
    sandbox: &Sandbox,
    reply: Result<Reply, Refusal>,
    headers: &HeaderMap,
    hold: Hold,
) -> Result<Response<Payload>, Closed> {
    let (request_id, now) = (sandbox.api().engine().ids.hex("req_"), sandbox.now());
    let mut response = match reply {
        Ok(Reply::Object(object)) => json(200, &object, hold),
        Ok(Reply::Content(content)) => ranged(content, headers, hold)?,
        Ok(Reply::Stream(lines)) => whole(lines, hold)?,
        Err(refusal) => {
            let mut response = json(refusal.status, &sandbox.api().error(&refusal, &request_id), hold);
            if let Some(span) = refusal.retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(span.as_secs()));
            }
            response
        }
    };
    sandbox.api().sign(response.headers_mut(), &request_id, now);
    // A client marks its report by this, so that no made-up answer passes for a real one.
    response.headers_mut().insert(MARK, HeaderValue::from_static("true"));
    Ok(response)
}

fn json(status: u16, object: &Value, hold: Hold) -> Response<Payload> {
    let mut response = Response::new(Payload::new(Bytes::from(object.to_string()), hold));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A file's content, or the rest of it from where the client asks to go on.
fn ranged(content: Bytes, headers: &HeaderMap, hold: Hold) -> Result<Response<Payload>, Closed> {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let from = range.and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let total = content.len();
    let (status, body, shown) = match from {
        None => (StatusCode::OK, content, None),
        Some(from) if from < total => {
            (StatusCode::PARTIAL_CONTENT, content.slice(from..), Some(format!("bytes {from}-{}/{total}", total - 1)))
        }
        Some(_) => (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new(), Some(format!("bytes */{total}"))),
    };
    let mut response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/octet-stream");
    if let Some(shown) = shown {
        response = response.header(header::CONTENT_RANGE, shown);
    }
    response.body(Payload::new(body, hold)).map_err(|_| Closed)
}

fn whole(lines: Bytes, hold: Hold) -> Result<Response<Payload>, Closed> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/x-jsonl");
    response.body(Payload::new(lines, hold)).map_err(|_| Closed)
}

fn redirect(url: &str, hold: Hold) -> Result<Response<Payload>, Closed> {
    let response = Response::builder().status(StatusCode::FOUND).header(header::LOCATION, url);
    response.body(Payload::new(Bytes::new(), hold)).map_err(|_| Closed)
}
