//! Anthropic's dialect over a real loopback socket, under a paused clock, with the real client library.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::{Dialect, Options, Sandbox, script};

const BATCHES: &str = "/v1/messages/batches";

struct Bench {
    sandbox: Sandbox,
    origin: String,
    client: Client,
}

impl Bench {
    async fn new(takes: &str, faults: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let faults = script(faults).unwrap();
        assert_eq!(Dialect::Anthropic.refuses(&faults), None);
        let options = Options { takes: humantime::parse_duration(takes).unwrap(), faults };
        let begun = Instant::now();
        let now = move || Duration::from_secs(1_800_000_000) + begun.elapsed();
        let sandbox = Sandbox::speaking(Dialect::Anthropic, options, now);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sandbox.clone().serve(listener));
        let client = Client::builder().no_proxy().read_timeout(Duration::from_secs(30)).build().unwrap();
        Self { sandbox, origin, client }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.origin));
        request.header("x-api-key", "sk-ant-sandbox").header("anthropic-version", "2026-10-21")
    }

    fn create(&self, requests: Vec<Value>) -> RequestBuilder {
        self.call(Method::POST, BATCHES).body(json!({"requests": requests}).to_string())
    }

    async fn begin(&self, rows: usize) -> String {
        let requests = (0..rows).map(|i| request(&format!("r{i}"), &json!({}))).collect();
        let (status, batch) = parsed(self.create(requests)).await;
        assert_eq!(status, 200, "{batch}");
        batch["id"].as_str().unwrap().to_owned()
    }

    async fn batch(&self, id: &str) -> Value {
        parsed(self.call(Method::GET, &format!("{BATCHES}/{id}"))).await.1
    }

    async fn lines(&self, id: &str) -> Vec<Value> {
        let reply = self.call(Method::GET, &format!("{BATCHES}/{id}/results")).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let text = reply.text().await.unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many lines of each type the results have.
    async fn types(&self, id: &str) -> BTreeMap<String, usize> {
        let mut types = BTreeMap::new();
        for line in self.lines(id).await {
            *types.entry(line["result"]["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        types
    }
}

fn request(id: &str, more: &Value) -> Value {
    let mut params = json!({"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "Who?"}]});
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    json!({"custom_id": id, "params": params})
}

async fn parsed(request: RequestBuilder) -> (u16, Value) {
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap())
}

fn header<'a>(reply: &'a Response, name: &str) -> &'a str {
    reply.headers()[name].to_str().unwrap()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn told(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_lives_and_ends() {
    let bench = Bench::new("100s", "").await;
    let id = bench.begin(50).await;
    pass(50).await;
    let batch = bench.batch(&id).await;
    assert_eq!((&batch["type"], &batch["processing_status"]), (&json!("message_batch"), &json!("in_progress")));
    let counts = json!({"processing": 50, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
    assert_eq!(batch["request_counts"], counts, "nothing is counted until the end");
    assert_eq!(batch["created_at"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(batch["expires_at"], "2027-01-16T08:00:00.000000Z");
    for none in ["ended_at", "results_url", "cancel_initiated_at", "archived_at"] {
        assert!(batch.get(none).is_some_and(Value::is_null), "{none}");
    }
    let early = parsed(bench.call(Method::GET, &format!("{BATCHES}/{id}/results"))).await;
    assert_eq!((early.0, &early.1["error"]["type"]), (404, &json!("not_found_error")));
    assert_eq!(parsed(bench.call(Method::DELETE, &format!("{BATCHES}/{id}"))).await.0, 400);

    pass(50).await;
    let batch = bench.batch(&id).await;
    assert_eq!(batch["processing_status"], "ended");
    assert_eq!(batch["request_counts"]["succeeded"], 50);
    assert_eq!(batch["results_url"], format!("{}{BATCHES}/{id}/results", bench.origin));
    assert_eq!(batch["ended_at"], "2027-01-15T08:01:40.000000Z");
    let lines = bench.lines(&id).await;
    let ids: Vec<&str> = lines.iter().map(|line| line["custom_id"].as_str().unwrap()).collect();
    assert_eq!((lines.len(), ids[..3] == ["r0", "r1", "r2"]), (50, false), "another order than the requests'");
    assert_eq!(lines[0]["result"]["message"]["usage"]["service_tier"], "batch");
    assert_eq!(lines, bench.lines(&id).await);

    pass(29 * 24 * 3600).await;
    assert_eq!(bench.batch(&id).await["archived_at"], "2027-02-13T08:00:00.000000Z");
    assert_eq!(parsed(bench.call(Method::GET, &format!("{BATCHES}/{id}/results"))).await.0, 404);
    let gone = parsed(bench.call(Method::DELETE, &format!("{BATCHES}/{id}"))).await;
    assert_eq!(gone, (200, json!({"id": id, "type": "message_batch_deleted"})));
    assert_eq!(bench.batch(&id).await["error"]["type"], "not_found_error");
    assert_eq!(bench.sandbox.tally().rows_paid, 50, "what was deleted was paid for");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_keeps_what_was_done() {
    let bench = Bench::new("100s", "").await;
    let id = bench.begin(50).await;
    pass(50).await;
    let cancel = || parsed(bench.call(Method::POST, &format!("{BATCHES}/{id}/cancel")));
    let (status, batch) = cancel().await;
    assert_eq!((status, &batch["processing_status"]), (200, &json!("canceling")));
    assert_eq!(batch["request_counts"]["processing"], 50);
    assert_eq!(cancel().await.0, 200, "it can be said twice");
    pass(5).await;
    let batch = bench.batch(&id).await;
    assert_eq!((&batch["processing_status"], &batch["request_counts"]["canceled"]), (&json!("ended"), &json!(24)));
    assert_eq!(bench.types(&id).await, told(&[("canceled", 24), ("succeeded", 26)]));
    assert_eq!(cancel().await.0, 400);
    let tally = bench.sandbox.tally();
    assert_eq!((tally.batches[0].status.as_str(), tally.rows_paid), ("cancelled", 26));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_in_time_expires() {
    let bench = Bench::new("100s", "batch expire=50s").await;
    let id = bench.begin(50).await;
    pass(60).await;
    let batch = bench.batch(&id).await;
    assert_eq!((&batch["processing_status"], &batch["request_counts"]["expired"]), (&json!("ended"), &json!(25)));
    assert_eq!(bench.types(&id).await, told(&[("expired", 25), ("succeeded", 25)]));
}

#[tokio::test(start_paused = true)]
async fn params_that_are_wrong_end_as_errors() {
    let bench = Bench::new("0s", "").await;
    let (hot, streaming) =
        (request("hot", &json!({"temperature": 0.5})), request("streaming", &json!({"stream": true})));
    let requests = || vec![hot.clone(), streaming.clone(), request("good", &json!({}))];
    let (_, batch) = parsed(bench.create(requests())).await;
    let counts = &batch["request_counts"];
    assert_eq!((&counts["errored"], &counts["succeeded"]), (&json!(2), &json!(1)), "{batch}");
    let lines = bench.lines(batch["id"].as_str().unwrap()).await;
    let wrong = lines.iter().find(|line| line["custom_id"] == "hot").unwrap();
    let error = &wrong["result"]["error"];
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("invalid_request_error")));
    assert!(error["request_id"].as_str().unwrap().starts_with("req_"));
    let earlier = bench.client.post(format!("{}{BATCHES}", bench.origin)).bearer_auth("sk-ant");
    let earlier = earlier.header("anthropic-version", "2023-06-01");
    let (_, batch) = parsed(earlier.body(json!({"requests": requests()}).to_string())).await;
    assert_eq!(batch["request_counts"]["errored"], 1, "the earlier version takes a temperature");
    assert_eq!(bench.sandbox.tally().rows_paid, 3);
}

#[tokio::test(start_paused = true)]
async fn rows_have_faults() {
    for (faults, types, paid) in [
        ("rows status=529", told(&[("errored", 8)]), 0),
        ("rows bare", told(&[("errored", 8)]), 0),
        ("rows missing", told(&[]), 8),
        ("rows duplicate", told(&[("succeeded", 16)]), 8),
        ("rows stranger", told(&[("succeeded", 9)]), 8),
        ("rows empty", told(&[("succeeded", 8)]), 8),
        ("rows error-in-body", told(&[("succeeded", 8)]), 8),
        ("rows string-body", told(&[("succeeded", 8)]), 8),
        ("answers short=1m", told(&[("succeeded", 4)]), 8),
    ] {
        let bench = Bench::new("0s", faults).await;
        let id = bench.begin(8).await;
        assert_eq!(bench.types(&id).await, types, "{faults}");
        assert_eq!(bench.sandbox.tally().rows_paid, paid, "{faults}");
    }
    let bench = Bench::new("0s", "rows stop=refusal").await;
    let id = bench.begin(1).await;
    assert_eq!(bench.lines(&id).await[0]["result"]["message"]["stop_reason"], "refusal");
    let bench = Bench::new("0s", "rows nan").await;
    let id = bench.begin(1).await;
    let reply = bench.call(Method::GET, &format!("{BATCHES}/{id}/results")).send().await.unwrap();
    assert!(reply.text().await.unwrap().contains(r#""message":{"score":NaN,"#));
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_late_elsewhere_and_cut() {
    let bench = Bench::new("0s", "answers late=1m times=1\nanswers elsewhere after=1\ncontent cut=100 times=1").await;
    let late = bench.begin(8).await;
    assert!(bench.batch(&late).await["results_url"].is_null());
    let cut = bench.call(Method::GET, &format!("{BATCHES}/{late}/results")).send().await.unwrap();
    assert!(cut.text().await.is_err());
    pass(60).await;
    assert!(bench.batch(&late).await["results_url"].is_string());
    let range = bench.call(Method::GET, &format!("{BATCHES}/{late}/results")).header("range", "bytes=100-");
    let reply = range.send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.text().await.unwrap().lines().count()), (200, 8), "always the whole");

    let id = bench.begin(8).await;
    let url = bench.batch(&id).await["results_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("http://localhost:"), "{url}");
    let address = url.replace("localhost", "127.0.0.1");
    assert_eq!(bench.client.get(&address).header("x-api-key", "k").send().await.unwrap().status(), 400);
    assert_eq!(bench.client.get(&address).send().await.unwrap().text().await.unwrap().lines().count(), 8);
}

#[tokio::test(start_paused = true)]
async fn refusals_have_types_ids_and_a_date() {
    let bench =
        Bench::new("3s", "create 529 times=1\ncreate 429 code=enforced_spend_limit_reached after=1 times=1").await;
    let reply = bench.create(vec![request("a", &json!({}))]).send().await.unwrap();
    assert_eq!((reply.status().as_u16(), header(&reply, "date")), (529, "Fri, 15 Jan 2027 08:00:00 GMT"));
    let id = header(&reply, "request-id").to_owned();
    let body: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    assert_eq!(
        body,
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": id})
    );
    let (status, body) = parsed(bench.create(vec![request("a", &json!({}))])).await;
    assert_eq!((status, &body["error"]["type"]), (429, &json!("rate_limit_error")));
    assert_eq!(body["error"]["details"]["error_code"], "enforced_spend_limit_reached");
    let url = format!("{}{BATCHES}", bench.origin);
    let unversioned = parsed(bench.client.get(&url).header("x-api-key", "k")).await;
    assert_eq!((unversioned.0, &unversioned.1["error"]["type"]), (400, &json!("invalid_request_error")));
    for key in ["", "wrong", "sk-invalid"] {
        let refused = parsed(bench.client.get(&url).header("x-api-key", key)).await;
        assert_eq!((refused.0, &refused.1["error"]["type"]), (401, &json!("authentication_error")), "{key}");
    }
    assert_eq!(parsed(bench.call(Method::GET, "/v1/batches")).await.0, 404);
    let (status, body) = parsed(bench.create(vec![request("a b", &json!({}))])).await;
    assert_eq!((status, &body["error"]["type"]), (400, &json!("invalid_request_error")));
    assert_eq!(bench.sandbox.tally().creates, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_create_has_happened_and_a_body_cut_short_has_not() {
    let bench = Bench::new("0s", "create drop times=1").await;
    let marked = |id: &str| request(&format!("0123456789abcdef-{id}-x"), &json!({}));
    assert!(bench.create(vec![marked("0123456789ab")]).send().await.is_err());
    assert_eq!(bench.create(vec![marked("0a9876543210")]).send().await.unwrap().status(), 200);
    let tally = bench.sandbox.tally();
    assert_eq!((tally.creates, tally.rows_paid, tally.rows_good, tally.rows_good_again), (2, 2, 1, 1));
    let made = &tally.batches[0];
    assert_eq!((made.key.as_deref(), made.create.as_deref()), (Some("0123456789abcdef"), Some("0123456789ab")));

    let body = json!({"requests": [request("a", &json!({}))]}).to_string();
    let head = format!(
        "POST {BATCHES} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(bench.origin.trim_start_matches("http://")).await.unwrap();
    stream.write_all((head + &body[..body.len() - 1]).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(bench.sandbox.tally().creates, 2);
}

#[tokio::test(start_paused = true)]
async fn lists_are_newest_first_and_may_lag() {
    let bench = Bench::new("3s", "list lag=1m after=1 times=1").await;
    let first = bench.begin(1).await;
    pass(50).await;
    let second = bench.begin(1).await;
    pass(20).await;
    let page = |query: &str| parsed(bench.call(Method::GET, &format!("{BATCHES}{query}")));
    let ids = |page: &Value| page["data"].as_array().unwrap().iter().map(|b| b["id"].clone()).collect::<Vec<_>>();
    let (_, all) = page("").await;
    assert_eq!(ids(&all), [json!(second), json!(first)]);
    assert_eq!((&all["has_more"], &all["first_id"], &all["last_id"]), (&json!(false), &json!(second), &json!(first)));
    assert_eq!(ids(&page("").await.1), [json!(first)], "a list that lags");
    let (_, newest) = page("?limit=1").await;
    assert_eq!((ids(&newest), &newest["has_more"]), (vec![json!(second)], &json!(true)));
    assert_eq!(ids(&page(&format!("?after_id={second}")).await.1), [json!(first)]);
    assert_eq!(ids(&page(&format!("?before_id={first}")).await.1), [json!(second)]);
}
