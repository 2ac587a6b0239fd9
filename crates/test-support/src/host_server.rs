//! The HTTP around the APIs of CI systems that a run meets: calls are remembered, and go wrong where a test asks for it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::github_server::{Call, Wrong};

/// An API with a memory.
pub trait Api: Send + 'static {
    /// Looks at how a call came, which must be as the vendor documents it.
    fn check(&self, headers: &HeaderMap);
    /// Does what a call asks for: the status, the body and the page that follows, if there is one.
    fn act(&mut self, call: &Call) -> (u16, Value, Option<u64>);
}

/// Calls of this method whose path contains this text go wrong, so many times.
struct Fault {
    method: &'static str,
    path: &'static str,
    wrong: Wrong,
    times: usize,
}

struct Inner<A> {
    api: A,
    calls: Vec<Call>,
    faults: Vec<Fault>,
}

/// A server of an API, on a loopback port.
pub struct HostServer<A> {
    inner: Arc<Mutex<Inner<A>>>,
    address: std::net::SocketAddr,
}

impl<A> Clone for HostServer<A> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), address: self.address }
    }
}

impl<A: Api> HostServer<A> {
    /// Serves it.
    pub async fn new(api: A) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Inner { api, calls: Vec::new(), faults: Vec::new() };
        let server = Self { inner: Arc::new(Mutex::new(inner)), address };
        tokio::spawn(server.clone().serve(listener));
        server
    }

    /// The address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at what the API remembers, or changes it.
    pub fn look<T>(&self, look: impl FnOnce(&mut A) -> T) -> T {
        look(&mut self.lock().api)
    }

    /// Lets calls of this method whose path contains this text go wrong, so many times.
    pub fn goes_wrong(&self, method: &'static str, path: &'static str, wrong: Wrong, times: usize) {
        self.lock().faults.push(Fault { method, path, wrong, times });
    }

    /// The calls of this method whose path contains this text.
    pub fn calls(&self, method: &str, path: &str) -> Vec<Call> {
        let is_meant = |call: &&Call| call.method.contains(method) && call.path.contains(path);
        self.lock().calls.iter().filter(is_meant).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner<A>> {
        self.inner.lock().unwrap()
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = self.clone();
            let service = service_fn(move |request| server.clone().answer(request));
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        // What comes through a proxy names the server, too.
        let path = head.uri.to_string();
        let call = Call { method: head.method.to_string(), path, body };
        let wrong = {
            let mut inner = self.lock();
            inner.api.check(&head.headers);
            inner.calls.push(call.clone());
            let hits =
                |fault: &&mut Fault| fault.times > 0 && call.method == fault.method && call.path.contains(fault.path);
            inner.faults.iter_mut().find(hits).map(|fault| {
                fault.times -= 1;
                fault.wrong
            })
        };
        if matches!(wrong, Some(Wrong::Stall)) {
            std::future::pending::<()>().await;
        }
        let (status, answer, next) = match wrong {
            // What is echoed must not be told on.
            Some(Wrong::Status(status)) => {
                let echoed: Vec<&str> = head.headers.values().filter_map(|value| value.to_str().ok()).collect();
                (status, json!({ "message": format!("No {}", echoed.join(" ")) }), None)
            }
            Some(Wrong::Lost(status)) => {
                self.lock().api.act(&call);
                (status, json!({ "message": "Server Error" }), None)
            }
            _ => self.lock().api.act(&call),
        };
        let response = Response::builder().status(status).header("content-type", "application/json");
        let link = next.map(|page| format!("<{}{}&page={page}>; rel=\"next\"", self.url(), call.path));
        let response = link.into_iter().fold(response, |response, link| response.header("link", link));
        let answer = if status == 204 { String::new() } else { answer.to_string() };
        Ok(response.body(Full::from(answer)).unwrap())
    }
}
