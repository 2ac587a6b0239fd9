//! Servers that answer as no API should: one batch at most, and nothing lost of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::lab::{Lab, Ran};

/// A status and a body for `METHOD /path?query`.
pub(crate) type Answer = fn(&str) -> (u16, String);

/// Serves uploads and whatever else `answer` says to `METHOD /path?query`, and
/// keeps what was asked for. A batch that is read has completed, all answered.
pub(crate) async fn run(lab: &mut Lab, inputs: &[&str], answer: Answer) -> (Ran, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    lab.base_url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_ascii_lowercase();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                (body.len() >= length.unwrap_or(0)).then_some(())
            };
            while whole(&request).is_none() && stream.read_buf(&mut request).await.unwrap() > 0 {}
            let text = String::from_utf8(request).unwrap();
            let line = text.split(" HTTP/").next().unwrap().to_owned();
            let (status, body) = match line.as_str() {
                "POST /files" | "GET /files/in" => (200, r#"{"id":"in"}"#.to_owned()),
                "GET /files/out/content" => (200, answers()),
                other => answer(other),
            };
            heard.lock().unwrap().push(line);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    let ran = lab.run(&[inputs, &["--reuse", "never"]].concat()).await;
    let asked = asked.lock().unwrap().clone();
    (ran, asked)
}

pub(crate) fn answers() -> String {
    let line =
        |i| format!(r#"{{"custom_id":"request-{i}","response":{{"status_code":200,"body":{{"choices":[{{}}]}}}}}}"#);
    (0..20).map(|i| line(i) + "\n").collect()
}

const DONE: &str = r#"{"id":"b","status":"completed","output_file_id":"out"}"#;

pub(crate) fn creates(asked: &[String]) -> usize {
    asked.iter().filter(|line| *line == "POST /batches").count()
}

/// Some servers want an endpoint with the batch that says nothing of what its lines name.
#[tokio::test(start_paused = true)]
async fn answers_have_the_shape_that_the_lines_ask_for_and_not_that_of_the_chosen_endpoint() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let compatible = ["--provider", "compatible", "--max-failed", "0"];
    let chosen = [&compatible[..], &["--endpoint", "/v1/embeddings"]].concat();
    let (ran, _) = run(&mut lab, &chosen, |_| (200, DONE.into())).await;
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    // Where the lines themselves ask for embeddings, the same answers hold none.
    let path = lab.dir.path().join("requests.jsonl");
    let line = |index| {
        format!(
            r#"{{"custom_id":"request-{index}","method":"POST","url":"/v1/embeddings","body":{{"model":"m","input":"x"}}}}"#
        ) + "\n"
    };
    std::fs::write(path, (0..20).map(line).collect::<String>()).unwrap();
    let (ran, _) = run(&mut lab, &compatible, |_| (200, DONE.into())).await;
    assert_eq!((ran.exit, ran.outcome()), (7, "failed"), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_come_to_an_end_is_no_good_look() {
    let endless: [Answer; 3] = [
        |line| {
            if line.starts_with("POST") { (500, String::new()) } else { (200, r#"{"data":[],"has_more":true}"#.into()) }
        },
        |line| {
            let same = r#"{"data":[{"id":"x","metadata":{"batchstep_create":"other"}}],"has_more":true}"#;
            if line.starts_with("POST") { (500, String::new()) } else { (200, same.into()) }
        },
        |line| {
            let next = line.split("after=x").nth(1).map_or(0, |number| number.parse::<u64>().unwrap() + 1);
            let page = format!(r#"{{"data":[{{"id":"x{next}"}}],"has_more":true}}"#);
            if line.starts_with("POST") { (500, String::new()) } else { (200, page) }
        },
    ];
    for (number, answer) in endless.into_iter().enumerate() {
        let mut lab = Lab::new(Duration::ZERO, "").await;
        let (ran, asked) = run(&mut lab, &[], answer).await;
        assert_eq!((ran.exit, ran.outcome()), (4, "unknown"), "{number}: {}", ran.text());
        assert_eq!(creates(&asked), 1, "{number}: {}", ran.text());
        // One that repeats itself is seen through at once, the third only by the bound of fifty pages.
        assert!(asked.len() < [200, 200, 3_000][number], "{number}: {}", asked.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_found_in_a_list_with_the_oldest_first() {
    let pages: [Answer; 2] = [
        |line| match line {
            "POST /batches" => (500, String::new()),
            "GET /batches?limit=100" => {
                (200, r#"{"data":[{"id":"x","created_at":1},{"id":"y","created_at":2}],"has_more":true}"#.into())
            }
            "GET /batches?limit=100&after=y" => (200, r#"{"data":[{"id":"b","input_file_id":"in"}]}"#.into()),
            _ => (200, DONE.into()),
        },
        // A page of batches that are equally old says nothing of the order.
        |line| match line {
            "POST /batches" => (500, String::new()),
            "GET /batches?limit=100" => (200, r#"{"data":[{"id":"x","created_at":1}],"has_more":true}"#.into()),
            "GET /batches?limit=100&after=x" => (200, r#"{"data":[{"id":"b","input_file_id":"in"}]}"#.into()),
            _ => (200, DONE.into()),
        },
    ];
    for (number, answer) in pages.into_iter().enumerate() {
        let mut lab = Lab::new(Duration::ZERO, "").await;
        let (ran, asked) = run(&mut lab, &[], answer).await;
        assert_eq!((ran.exit, creates(&asked)), (0, 1), "{number}: {}", ran.text());
        ran.assert_complete(20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_listed_twice_is_no_duplicate_of_itself() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, asked) = run(&mut lab, &[], |line| match line {
        "POST /batches" => (500, String::new()),
        "GET /batches?limit=100" => {
            (200, r#"{"data":[{"id":"b","input_file_id":"in"},{"id":"b","input_file_id":"in"}]}"#.into())
        }
        _ => (200, DONE.into()),
    })
    .await;
    assert_eq!((ran.exit, creates(&asked)), (0, 1), "{}", ran.text());
    assert!(!asked.iter().any(|line| line.ends_with("/cancel")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_created_without_a_usable_id_is_found_by_its_file() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, asked) = run(&mut lab, &[], |line| match line {
        "POST /batches" => (200, r#"{"id":""}"#.into()),
        "GET /batches?limit=100" => (200, r#"{"data":[{"id":"b","input_file_id":"in"}]}"#.into()),
        _ => (200, DONE.into()),
    })
    .await;
    assert_eq!((ran.exit, creates(&asked)), (0, 1), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_over_may_refuse_its_cancel_in_any_words() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    // It completes when it is cancelled, which is answered 400 and not 409.
    let (ran, asked) = run(&mut lab, &["--timeout", "12s", "--poll-interval", "10s"], |line| match line {
        "POST /batches" => (200, r#"{"id":"slow"}"#.into()),
        "GET /batches/slow" => {
            use std::sync::atomic::{AtomicU32, Ordering};
            static READ: AtomicU32 = AtomicU32::new(0);
            let done = READ.fetch_add(1, Ordering::Relaxed) > 0;
            (200, if done { DONE.into() } else { r#"{"id":"slow","status":"in_progress"}"#.into() })
        }
        _ => (400, r#"{"error":{"message":"Cannot cancel a batch that is over."}}"#.into()),
    })
    .await;
    assert!(asked.contains(&"POST /batches/slow/cancel".to_owned()), "{asked:?}");
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_older_batches_need_not_be_read_to_its_end() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, asked) = run(&mut lab, &[], |line| {
        let next = line.split("after=x").nth(1).map_or(0, |number| number.parse::<u64>().unwrap() + 1);
        match line {
            "POST /batches" => (500, String::new()),
            _ => {
                let page = format!(r#"{{"id":"y{next}","created_at":1001}},{{"id":"x{next}","created_at":1000}}"#);
                (200, format!(r#"{{"data":[{page}],"has_more":true}}"#))
            }
        }
    })
    .await;
    // Nothing was found, so it is sent again; one page was enough each time.
    assert!(creates(&asked) > 1 && asked.len() < 200, "{}: {}", asked.len(), ran.text());
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_last_line_is_torn_is_fetched_anew() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static FETCHED: AtomicU32 = AtomicU32::new(0);
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, _) = run(&mut lab, &[], |line| match line {
        // The length that the server gives is that of the torn file.
        "GET /files/torn/content" if FETCHED.fetch_add(1, Ordering::Relaxed) == 0 => {
            (200, answers()[..answers().len() - 9].to_owned())
        }
        "GET /files/torn/content" => (200, answers()),
        _ => (200, DONE.replace(r#""out""#, r#""torn""#)),
    })
    .await;
    assert_eq!((ran.exit, FETCHED.load(Ordering::Relaxed)), (0, 2), "{}", ran.text());
    ran.assert_complete(20);
}

/// The server's only batch, whose answers are in another file than all others'.
fn ended(file: &str) -> (u16, String) {
    (200, DONE.replace(r#""out""#, &format!("{file:?}")))
}

#[tokio::test(start_paused = true)]
async fn a_damaged_answer_is_kept_and_not_bought_again() {
    let mut lab = Lab::new(Duration::ZERO, "").await;
    let (ran, asked) = run(&mut lab, &["--retries", "3"], |line| match line {
        "GET /files/damaged/content" => (200, answers().replacen("[{}]", r#"[{"logprob":NaN}]"#, 2)),
        _ => ended("damaged"),
    })
    .await;
    assert_eq!((ran.exit, creates(&asked)), (0, 1), "{}", ran.text());
    assert_eq!(ran.report["counts"]["unreadable"], 2);
    assert!(ran.text().contains("Answers of which a part cannot be read: 2."), "{}", ran.text());
}

#[tokio::test(start_paused = true)]
async fn what_the_user_knows_is_retried_and_an_empty_account_is_not() {
    static LINES: Mutex<String> = Mutex::new(String::new());
    for (status, code, retry_on, expected) in [
        (403, "odd", "missing", 1),
        (403, "odd", "500,403", 2),
        (403, "odd", "ODD", 2),
        (429, "insufficient_quota", "429", 1),
        (0, "odd", "missing", 2),
    ] {
        let bad = format!(r#""status_code":{status},"body":{{"error":{{"code":"{code}"}}}}"#);
        *LINES.lock().unwrap() = answers().replacen(r#""status_code":200,"body":{"choices":[{}]}"#, &bad, 1);
        let mut lab = Lab::new(Duration::ZERO, "").await;
        let inputs = ["--retries", "1", "--retry-on", retry_on];
        let (ran, asked) = run(&mut lab, &inputs, |line| match line {
            "GET /files/bad/content" => (200, LINES.lock().unwrap().clone()),
            _ => ended("bad"),
        })
        .await;
        assert_eq!((ran.exit, creates(&asked)), (7, expected), "{status} {code} {retry_on}: {}", ran.text());
    }
}
