//! GitHub as far as a run meets it: comments, checks and pull requests, with a memory.
//!
//! It checks what it is asked as GitHub would, and answers in GitHub's shapes.
//! With `BATCHSTEP_TEST_EXCHANGES` naming a directory, every exchange is left
//! there, for `.ci/github-schemas` to hold against what GitHub publishes.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::github_objects::{check, comment, pull, user};

/// The token that it takes.
pub const TOKEN: &str = "ghs_0123456789abcdefghijklmnopqrstuvwxyz";
/// The commit of the pull request.
pub const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const REPO: &str = "/repos/octo/repo";

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// It is refused with this status.
    Status(u16),
    /// It is done, and answered with this status anyway.
    Lost(u16),
    /// There is no answer.
    Stall,
}

/// Calls of this method whose path contains this text go wrong, so many times.
struct Fault {
    method: &'static str,
    path: &'static str,
    wrong: Wrong,
    times: usize,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: String,
    /// The path and query, without the server's prefix.
    pub path: String,
    /// The body; null where there is none.
    pub body: Value,
}

/// What it remembers.
#[derive(Default)]
pub struct State {
    /// All comments, the oldest first.
    pub comments: Vec<Value>,
    /// All checks, the oldest first.
    pub checks: Vec<Value>,
    /// Open pull requests, those that changed last first.
    pub pulls: Vec<Value>,
    /// How many annotations each update of a check brought.
    pub annotations: Vec<usize>,
    /// All calls, in their order.
    pub calls: Vec<Call>,
    /// The person whose token it is; none where it is an app's.
    pub me: Option<u64>,
    faults: Vec<Fault>,
    next_id: u64,
}

impl State {
    /// From here on nothing goes wrong.
    pub fn forget_faults(&mut self) {
        self.faults.clear();
    }
}

/// The server.
#[derive(Clone)]
pub struct GitHub {
    /// What it remembers, and what goes wrong.
    pub state: Arc<Mutex<State>>,
    /// What stands before each path, as on GitHub Enterprise Server.
    prefix: &'static str,
    address: std::net::SocketAddr,
}

impl GitHub {
    /// Serves one on a loopback port, with this before each path.
    pub async fn new(prefix: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { next_id: 100, ..State::default() }));
        let github = Self { state, prefix, address };
        tokio::spawn(github.clone().serve(listener));
        github
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.prefix)
    }

    /// Lets calls of this method whose path contains this text go wrong, so many times.
    pub fn goes_wrong(&self, method: &'static str, path: &'static str, wrong: Wrong, times: usize) {
        self.state.lock().unwrap().faults.push(Fault { method, path, wrong, times });
    }

    /// A comment that was there before.
    pub fn comment_by(&self, id: u64, kind: &str, body: &str) {
        let mut state = self.state.lock().unwrap();
        state.next_id += 1;
        let comment = comment(state.next_id, "7", body, &user(id, kind));
        state.comments.push(comment);
    }

    /// An open pull request whose head is this commit.
    pub fn open_pull(&self, number: u64, sha: &str) {
        self.close_pull(number);
        self.state.lock().unwrap().pulls.insert(0, pull(number, sha));
    }

    /// Closes a pull request.
    pub fn close_pull(&self, number: u64) {
        self.state.lock().unwrap().pulls.retain(|pull| pull["number"] != number);
    }

    /// The first check now waits for one batch more, which nobody has.
    pub fn wait_for_another(&self) {
        let summary = &mut self.state.lock().unwrap().checks[0]["output"]["summary"];
        *summary = json!(format!("{}\n<!-- batchstep:batch:0123456789abcdef -->", summary.as_str().unwrap()));
    }

    /// A check that somebody made.
    pub fn check_by_others(&self, with: &Value) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.next_id += 1;
        let mut check = check(state.next_id);
        change(&mut check, with);
        state.checks.push(check);
        state.next_id
    }

    /// How many calls there were of this method whose path contains this text.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.calls.iter().filter(|call| call.method.contains(method) && call.path.contains(path)).count()
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let github = self.clone();
            let service = service_fn(move |request| github.clone().answer(request));
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().unwrap().as_str().to_owned();
        assert_eq!(head.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(head.headers.get_all("user-agent").iter().count(), 1);
        assert!(head.headers.contains_key("x-github-api-version"));
        let body = body.collect().await.unwrap().to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let path =
            path.strip_prefix(self.prefix).unwrap_or_else(|| panic!("{path} without {}", self.prefix)).to_owned();
        let call = Call { method: head.method.to_string(), path, body };
        let wrong = self.take_fault(&call);
        if matches!(wrong, Some(Wrong::Stall)) {
            std::future::pending::<()>().await;
        }
        let (status, answer, link) = match wrong {
            // What is echoed must not be told on.
            Some(Wrong::Status(status)) => (status, json!({ "message": format!("No {TOKEN} here.") }), None),
            Some(Wrong::Lost(status)) => {
                self.act(&head.method, &call);
                (status, json!({ "message": "Server Error" }), None)
            }
            _ => self.act(&head.method, &call),
        };
        record(&call, status, &answer);
        let response = Response::builder().status(status).header("content-type", "application/json");
        let response = if let Some(link) = link { response.header("link", link) } else { response };
        Ok(response.body(Full::from(answer.to_string())).unwrap())
    }

    fn take_fault(&self, call: &Call) -> Option<Wrong> {
        let mut state = self.state.lock().unwrap();
        state.calls.push(call.clone());
        let hits =
            |fault: &&mut Fault| fault.times > 0 && fault.method == call.method && call.path.contains(fault.path);
        let fault = state.faults.iter_mut().find(hits)?;
        fault.times -= 1;
        Some(fault.wrong)
    }

    fn act(&self, method: &Method, call: &Call) -> (u16, Value, Option<String>) {
        let state = &mut *self.state.lock().unwrap();
        let path = call.path.split('?').next().unwrap();
        let local = path.strip_prefix(REPO).unwrap_or(path);
        let parts: Vec<&str> = local.split('/').skip(1).collect();
        match (method.as_str(), &parts[..]) {
            ("GET", ["user"]) => match state.me {
                Some(id) => (200, user(id, "User"), None),
                None => (403, json!({ "message": "Resource not accessible by integration" }), None),
            },
            ("GET", ["issues", issue, "comments"]) => {
                let of = |comment: &&Value| comment["issue_url"].as_str().unwrap().ends_with(&format!("/{issue}"));
                self.page(state.comments.iter().filter(of), &call.path, |page| json!(page))
            }
            ("GET", ["pulls"]) => {
                assert_eq!((query(&call.path, "state"), query(&call.path, "sort")), ("open", "updated"));
                self.page(state.pulls.iter(), &call.path, |page| json!(page))
            }
            ("POST", ["issues", issue, "comments"]) => {
                state.next_id += 1;
                let author = state.me.map_or_else(|| user(41_898_282, "Bot"), |me| user(me, "User"));
                let comment = comment(state.next_id, issue, comment_body(call), &author);
                state.comments.push(comment.clone());
                (201, comment, None)
            }
            ("PATCH", ["issues", "comments", id]) => {
                let Some(comment) = find(&mut state.comments, id) else { return missing() };
                comment["body"] = json!(comment_body(call));
                (200, comment.clone(), None)
            }
            ("GET", ["commits", sha, "check-runs"]) => {
                let name = query(&call.path, "check_name").replace("%3A", ":").replace("%20", " ").replace("%2E", ".");
                let name = name.replace("%2F", "/").replace("%2D", "-");
                let status = query(&call.path, "status");
                let is = |check: &Value, member: &str, wanted: &str| wanted.is_empty() || check[member] == wanted;
                let on = |check: &&Value| check["head_sha"] == *sha && is(check, "name", &name);
                let found = state.checks.iter().filter(on).filter(|check| is(check, "status", status));
                let total = found.clone().count();
                self.page(found, &call.path, |page| json!({ "total_count": total, "check_runs": page }))
            }
            ("GET", ["check-runs", id]) => match find(&mut state.checks, id) {
                Some(check) => (200, check.clone(), None),
                None => missing(),
            },
            ("POST", ["check-runs"]) => {
                assert!(call.body["name"].is_string(), "{call:?}");
                let sha = call.body["head_sha"].as_str().unwrap();
                assert!(sha.len() == 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit()), "{call:?}");
                state.next_id += 1;
                let mut check = check(state.next_id);
                change(&mut check, &call.body);
                state.checks.push(check.clone());
                (201, check, None)
            }
            ("PATCH", ["check-runs", id]) => {
                let added = call.body["output"]["annotations"].as_array().map(Vec::len);
                assert!(added.is_none_or(|added| (1..=50).contains(&added)), "{call:?}");
                state.annotations.extend(added);
                let Some(check) = find(&mut state.checks, id) else { return missing() };
                change(check, &call.body);
                (200, check.clone(), None)
            }
            _ => panic!("no such call: {call:?}"),
        }
    }

    /// A page of a list as GitHub cuts it, with the link to the next one.
    fn page<'s>(
        &self,
        list: impl Iterator<Item = &'s Value>,
        path: &str,
        body: impl Fn(Vec<&Value>) -> Value,
    ) -> (u16, Value, Option<String>) {
        let number = |name, default| query(path, name).parse().unwrap_or(default);
        let (size, page) = (number("per_page", 30usize).min(100), number("page", 1usize));
        let mut rest = list.skip((page - 1) * size);
        let found: Vec<&Value> = rest.by_ref().take(size).collect();
        let more = rest.next().is_some();
        let next = || format!("<{}{path}&page={}>; rel=\"next\"", self.url(), page + 1);
        (200, body(found), more.then(next))
    }
}

fn query<'a>(path: &'a str, name: &str) -> &'a str {
    let pairs = path.split_once('?').map_or("", |(_, query)| query).split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn find<'a>(objects: &'a mut [Value], id: &str) -> Option<&'a mut Value> {
    let id: u64 = id.parse().unwrap();
    objects.iter_mut().find(|object| object["id"] == id)
}

fn missing() -> (u16, Value, Option<String>) {
    (404, json!({ "message": "Not Found" }), None)
}

fn comment_body(call: &Call) -> &str {
    let body = call.body["body"].as_str().unwrap();
    assert!((1..65_536).contains(&body.chars().count()));
    body
}

fn change(check: &mut Value, with: &Value) {
    for (member, value) in with.as_object().unwrap() {
        if member == "output" {
            assert!(value["title"].is_string() && value["summary"].as_str().is_some_and(|text| text.len() < 65_535));
            (check["output"]["title"], check["output"]["summary"]) = (value["title"].clone(), value["summary"].clone());
            let added = value["annotations"].as_array().map_or(0, Vec::len);
            check["output"]["annotations_count"] =
                json!(check["output"]["annotations_count"].as_u64().unwrap() + added as u64);
        } else {
            check[member] = value.clone();
        }
    }
    assert_eq!(check["status"] == "completed", check["conclusion"].is_string(), "{check}");
}

/// Leaves an exchange for the schemas' check, if that is wished for.
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
fn record(call: &Call, status: u16, answer: &Value) {
    let Some(dir) = std::env::var_os("BATCHSTEP_TEST_EXCHANGES") else { return };
    let exchange = json!({
        "method": call.method, "path": call.path, "request": call.body, "status": status, "answer": answer,
    });
    let name = blake3::hash(exchange.to_string().as_bytes()).to_hex();
    std::fs::write(std::path::Path::new(&dir).join(format!("{name}.json")), exchange.to_string()).unwrap();
}
