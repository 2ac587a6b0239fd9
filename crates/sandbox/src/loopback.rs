//! The sandbox over a real loopback socket, under a paused clock, with the real client library.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::{Options, Sandbox, Tally, script};

const ENDPOINT: &str = "/v1/chat/completions";

struct Bench {
    sandbox: Sandbox,
    origin: String,
    client: Client,
}

impl Bench {
    async fn new(takes: &str, faults: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options { takes: humantime::parse_duration(takes).unwrap(), faults: script(faults).unwrap() };
        let begun = Instant::now();
        let sandbox = Sandbox::new(options, move || Duration::from_secs(1_700_000_000) + begun.elapsed());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sandbox.clone().serve(listener));
        let client = Client::builder().no_proxy().read_timeout(Duration::from_secs(30)).build().unwrap();
        Self { sandbox, origin, client }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/v1{path}", self.origin)).bearer_auth("sk-sandbox")
    }

    async fn json(&self, method: Method, path: &str) -> Value {
        parsed(self.call(method, path)).await
    }

    async fn upload(&self, content: String) -> Value {
        let part = Part::bytes(content.into_bytes()).file_name("batchstep-x.jsonl");
        parsed(self.call(Method::POST, "/files").multipart(Form::new().text("purpose", "batch").part("file", part)))
            .await
    }

    fn create(&self, file: &str) -> RequestBuilder {
        let body = json!({"input_file_id": file, "endpoint": ENDPOINT, "completion_window": "24h"});
        self.call(Method::POST, "/batches").body(body.to_string())
    }

    /// Uploads rows, creates a batch and gives its id.
    async fn begin(&self, rows: usize, row_bytes: usize) -> String {
        let file = self.upload(requests(rows, row_bytes)).await;
        let batch = parsed(self.create(file["id"].as_str().unwrap())).await;
        batch["id"].as_str().unwrap().to_owned()
    }

    /// Polls until the batch is completed; gives its output file and how often it asked.
    async fn completed(&self, id: &str, pause: Duration) -> (String, usize) {
        for polls in 1.. {
            let batch = self.json(Method::GET, &format!("/batches/{id}")).await;
            if batch["status"] == "completed" {
                return (batch["output_file_id"].as_str().unwrap_or_default().to_owned(), polls);
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop ends by returning")
    }
}

async fn parsed(request: RequestBuilder) -> Value {
    let body = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn requests(rows: usize, row_bytes: usize) -> String {
    let text = "x".repeat(row_bytes);
    let line = |i| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
        format!(r#"{{"custom_id":"r{i}","method":"POST","url":"{ENDPOINT}","body":{body}}}"#) + "\n"
    };
    (0..rows).map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn a_day_is_polled_through() {
    let bench = Bench::new("23h50m", "").await;
    let (begun, id) = (Instant::now(), bench.begin(100, 20).await);
    let (output, polls) = bench.completed(&id, Duration::from_secs(60)).await;
    assert_eq!(polls, 1_431);
    assert!(begun.elapsed() < Duration::from_secs(24 * 60 * 60), "the clock ran away: {:?}", begun.elapsed());
    let reply = bench.call(Method::GET, &format!("/files/{output}/content")).send().await.unwrap();
    assert!(reply.headers().contains_key("x-request-id"));
    assert_eq!(reply.text().await.unwrap().lines().count(), 100);
    let tally = bench.sandbox.tally();
    assert_eq!((tally.creates, tally.uploads, tally.rows_paid, tally.calls["get"]), (1, 1, 100, 1_431));
    let served =
        bench.client.get(format!("{}/sandbox/tally", bench.origin)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<Tally>(&served).unwrap(), tally);
}

#[tokio::test(start_paused = true)]
async fn big_bodies_move_while_the_clock_stands() {
    let bench = Bench::new("3s", "").await;
    let begun = Instant::now();
    let file = bench.upload(requests(2_500, 4_000)).await;
    let id = file["id"].as_str().unwrap();
    let reply = bench.call(Method::GET, &format!("/files/{id}/content")).send().await.unwrap();
    let length = reply.content_length().unwrap();
    assert!(length > 10_000_000 && file["bytes"] == length, "{file}");
    assert_eq!(reply.bytes().await.unwrap().len() as u64, length);
    assert!(begun.elapsed() < Duration::from_secs(1), "the clock jumped: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_download_is_cut_and_goes_on_where_it_stopped() {
    let bench = Bench::new("3s", "content cut=1000 times=1").await;
    let content = requests(50, 20);
    let file = bench.upload(content.clone()).await;
    let path = format!("/files/{}/content", file["id"].as_str().unwrap());
    let mut reply = bench.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(reply.content_length(), Some(content.len() as u64));
    let mut received = Vec::new();
    let cut = loop {
        match reply.chunk().await {
            Ok(Some(chunk)) => received.extend_from_slice(&chunk),
            end => break end,
        }
    };
    assert!(cut.is_err());
    assert_eq!(received, &content.as_bytes()[..1_000]);
    let rest = bench.call(Method::GET, &path).header("Range", "bytes=1000-").send().await.unwrap();
    assert_eq!(rest.status(), 206);
    let whole = format!("bytes 1000-{}/{}", content.len() - 1, content.len());
    assert_eq!(rest.headers()["content-range"], whole.as_str());
    received.extend_from_slice(&rest.bytes().await.unwrap());
    assert_eq!(received, content.as_bytes());
    let beyond = bench.call(Method::GET, &path).header("Range", "bytes=999999-").send().await.unwrap();
    assert_eq!(beyond.status(), 416);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_create_has_happened_and_a_reset_one_has_not() {
    let bench = Bench::new("3s", "create drop times=1\ncreate reset after=1 times=1").await;
    let file = bench.upload(requests(3, 20)).await;
    let id = file["id"].as_str().unwrap();
    assert!(bench.create(id).send().await.is_err());
    assert_eq!(bench.sandbox.tally().creates, 1);
    assert!(bench.create(id).send().await.is_err());
    assert_eq!(bench.sandbox.tally().creates, 1);
    assert_eq!(bench.create(id).send().await.unwrap().status(), 200);
    assert_eq!((bench.sandbox.tally().creates, bench.sandbox.tally().calls["create"]), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_in_the_clients_timeout() {
    let bench = Bench::new("3s", "create stall").await;
    let file = bench.upload(requests(3, 20)).await;
    let begun = Instant::now();
    assert!(bench.create(file["id"].as_str().unwrap()).send().await.unwrap_err().is_timeout());
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(bench.sandbox.tally().creates, 1);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_is_done_halfway_and_not_for_one_who_hung_up_before() {
    let bench = Bench::new("3s", "create delay=10s\ncreate 503 after=2 times=1").await;
    let file = bench.upload(requests(3, 20)).await;
    let create = || bench.create(file["id"].as_str().unwrap());
    for (patience, creates) in [(4, 0), (6, 1)] {
        assert!(create().timeout(Duration::from_secs(patience)).send().await.unwrap_err().is_timeout());
        assert_eq!(bench.sandbox.tally().creates, creates);
    }
    let begun = Instant::now();
    assert_eq!(create().send().await.unwrap().status(), 503, "another fault strikes beside it");
    assert_eq!(begun.elapsed().as_secs(), 10);
    let begun = Instant::now();
    assert_eq!(create().send().await.unwrap().status(), 200);
    assert_eq!((begun.elapsed().as_secs(), bench.sandbox.tally().creates), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn refusals_and_garbage_are_replies() {
    let bench = Bench::new("3s", "get 429 code=insufficient_quota retry-after=30s times=1\nget garbage").await;
    let reply = bench.call(Method::GET, "/batches/b").send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["retry-after"].to_str().unwrap()), (429, "30"));
    let body: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "insufficient_quota");
    let reply = bench.call(Method::GET, "/batches/b").send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(serde_json::from_slice::<Value>(&reply.bytes().await.unwrap()).is_err());
    let upload = bench.call(Method::POST, "/files").body("{}").send().await.unwrap();
    assert_eq!(upload.status(), 400);
    assert_eq!(bench.call(Method::GET, "/models").send().await.unwrap().status(), 404);
}

#[tokio::test(start_paused = true)]
async fn keys_are_asked_for() {
    let bench = Bench::new("3s", "").await;
    let url = format!("{}/v1/batches", bench.origin);
    let none = bench.client.get(&url).send().await.unwrap();
    assert_eq!(none.status(), 401);
    for key in ["wrong", "sk-invalid-key"] {
        let reply = bench.client.get(&url).bearer_auth(key).send().await.unwrap();
        let body: Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "invalid_api_key");
    }
    assert_eq!(bench.json(Method::GET, "/batches").await["data"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_leads_to_a_store_that_wants_no_credentials() {
    let bench = Bench::new("3s", "content redirect=/sandbox/files/{id}/content").await;
    let file = bench.upload(requests(1, 20)).await;
    let id = file["id"].as_str().unwrap();
    // A client that keeps its credentials within an origin shows them to the store.
    let kept = bench.call(Method::GET, &format!("/files/{id}/content")).send().await.unwrap();
    assert_eq!(kept.status(), 400);
    let store = format!("{}/sandbox/files/{id}/content", bench.origin);
    assert_eq!(bench.client.get(store).send().await.unwrap().text().await.unwrap(), requests(1, 20));
}
