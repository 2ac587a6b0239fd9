//! Secrets go to the provider's own origin and nowhere else, and into nothing
//! that is written, whatever a server does.

use batchstep_test_support::bench::{Finished, Workspace, finish, port, requests, sandbox_on};
use batchstep_test_support::wire::{forward, json, serve};
use tokio::process::Command;

use crate::BATCHSTEP;

const KEY: &str = "sk-T0pS3cret/with+odd=chars-4711";
const HEADER: &str = "gateway-S3cret-\"quoted\"-0815";
const PROJECT: &str = "proj_S3cret0042";

/// A run with every kind of secret, on GitHub, against a server of any kind.
fn run(workspace: &Workspace, port: u16) -> Command {
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args(["run", "requests.jsonl", "--provider", "compatible", "--poll-interval", "100ms", "--reuse", "never"]);
    command.args(["--base-url", &format!("http://127.0.0.1:{port}/v1"), "--headers", &format!("X-Gateway: {HEADER}")]);
    command.env("OPENAI_API_KEY", KEY).env("OPENAI_PROJECT_ID", PROJECT);
    workspace.on_github(&mut command);
    command
}

/// No secret in what was printed or written, as it is or as JSON would write it.
#[track_caller]
fn assert_kept(finished: &Finished, workspace: &Workspace) {
    let mut written = workspace.written();
    written.push(("stdout".into(), finished.stdout.clone().into_bytes()));
    written.push(("stderr".into(), finished.stderr.clone().into_bytes()));
    for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "report.json", "journal.jsonl"] {
        assert!(
            written.iter().any(|(path, bytes)| path.ends_with(name) && !bytes.is_empty()),
            "{name} was not written"
        );
    }
    for (path, bytes) in written {
        let text = String::from_utf8_lossy(&bytes);
        // The cancel of `post` has to name the project, and nobody else reads that file.
        let is_state = path.ends_with("GITHUB_STATE");
        let secrets = [KEY, HEADER, PROJECT, &HEADER.replace('"', "\\\""), &KEY.replace('/', "\\/"), &escaped(KEY)];
        for secret in secrets.into_iter().filter(|secret| !(is_state && *secret == PROJECT)) {
            assert!(!text.contains(secret), "{} holds {secret}:\n{text}", path.display());
        }
    }
}

/// A text as a JSON string may also write it: every character as `\uXXXX`.
fn escaped(text: &str) -> String {
    text.chars().map(|c| format!("\\u{:04x}", c as u32)).collect()
}

#[tokio::test]
async fn api_calls_do_not_follow_redirects() {
    let (there, there_port) = port().await;
    let elsewhere = serve(there, |_| json(200, "", "{}"));
    for status in [301, 302, 307, 308] {
        let location = format!("Location: http://127.0.0.1:{there_port}/v1/files\r\n");
        let (listener, port) = port().await;
        let asked = serve(listener, move |_| json(status, &location, ""));
        let workspace = Workspace::new(BATCHSTEP);
        let finished = finish(&mut run(&workspace, port)).await.expect(4);
        assert!(finished.stderr.contains("Redirects are not followed"), "{}", finished.stderr);
        assert!(asked.text().contains(KEY), "the server itself is given the key");
        assert_eq!(elsewhere.connections(), 0, "{}", elsewhere.text());
        assert_kept(&finished, &workspace);
    }
}

#[tokio::test]
async fn downloads_follow_to_another_origin_without_credentials() {
    let ((api, api_port), (store, store_port)) = (port().await, port().await);
    let redirect = format!("content redirect=http://127.0.0.1:{store_port}/sandbox/files/{{id}}/content");
    let sandbox = sandbox_on(api, &redirect);
    let blobs = forward(store, api_port);
    let workspace = Workspace::new(BATCHSTEP);
    let finished = finish(&mut run(&workspace, api_port)).await.expect(0);
    assert_eq!(workspace.read("batch-results/results.jsonl").lines().count(), 5);
    assert_eq!(sandbox.tally().calls["content"], 1);
    let heard = blobs.text().to_ascii_lowercase();
    assert!(heard.contains("/sandbox/files/"), "{heard}");
    for credential in ["authorization", "x-gateway", "openai-project", "s3cret"] {
        assert!(!heard.contains(credential), "{heard}");
    }
    assert_kept(&finished, &workspace);
}

#[tokio::test]
async fn downloads_do_not_follow_into_plain_http_off_loopback() {
    let (api, api_port) = port().await;
    sandbox_on(api, "content redirect=http://192.0.2.1/{id}");
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = run(&workspace, api_port);
    let mut child = command.spawn().unwrap();
    let mut stderr = tokio::io::BufReader::new(child.stderr.take().unwrap());
    let said = batchstep_test_support::bench::line_with(&mut stderr, "not https").await;
    assert!(said.contains("redirected"), "{said}");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn plain_http_does_not_leave_this_machine() {
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args(["run", "requests.jsonl", "--provider", "compatible", "--base-url", "http://192.0.2.1/v1"]);
    let refused = finish(command.env("OPENAI_API_KEY", KEY)).await.expect(2);
    assert!(refused.stderr.contains("`allow-http`"), "{}", refused.stderr);
}

/// What a hostile server makes of each secret.
fn echoes() -> Vec<(&'static str, String)> {
    let raw = format!("{KEY} {} {PROJECT}", HEADER.replace('"', "\\\""));
    let slashed = raw.replace('/', "\\/");
    let all = format!("{} {} {}", escaped(KEY), escaped(HEADER), escaped(PROJECT));
    vec![("as they are", raw), ("with slashes escaped", slashed), ("in numbers", all)]
}

#[tokio::test]
async fn a_refusal_that_echoes_secrets_tells_none() {
    for (how, echo) in echoes() {
        for status in [400, 401, 403, 500] {
            let (listener, port) = port().await;
            let body = format!(r#"{{"error":{{"message":"Wrong: {echo}","code":"{echo}","type":"{echo}"}}}}"#);
            let asked = serve(listener, move |_| json(status, "", &body));
            let workspace = Workspace::new(BATCHSTEP);
            let mut command = run(&workspace, port);
            // A server error is borne for minutes; this one only for a moment.
            let finished = finish(command.args(["--timeout", "1s"])).await;
            assert_ne!(finished.status.code(), Some(0), "{}", finished.stderr);
            assert!(asked.text().contains(KEY) && finished.stderr.contains("***"), "{how}: {}", finished.stderr);
            assert_kept(&finished, &workspace);
        }
    }
}

#[tokio::test]
async fn a_text_or_a_header_that_echoes_secrets_tells_none() {
    let (listener, port) = port().await;
    let headers = format!("x-request-id: {KEY} {HEADER}\r\n");
    serve(listener, move |_| json(401, &headers, &format!("<p>Who is {KEY} {HEADER} {PROJECT}?</p>")));
    let workspace = Workspace::new(BATCHSTEP);
    let finished = finish(&mut run(&workspace, port)).await.expect(4);
    assert!(finished.stderr.contains("Who is ***"), "{}", finished.stderr);
    assert_kept(&finished, &workspace);
}

#[tokio::test]
async fn a_good_answer_that_echoes_secrets_tells_none() {
    for (how, echo) in echoes() {
        let (listener, port) = port().await;
        let file = format!(r#"{{"id":"file-1","filename":"{echo}","status":"processed","bytes":1}}"#);
        let error = format!(r#"{{"code":"{echo}","message":"{echo}","param":"{echo}","line":1}}"#);
        let batch = format!(r#"{{"id":"batch_1","status":"failed","errors":{{"data":[{error}]}}}}"#);
        let asked = serve(listener, move |line| json(200, "", if line.contains("batches") { &batch } else { &file }));
        let workspace = Workspace::new(BATCHSTEP);
        let finished = finish(&mut run(&workspace, port)).await.expect(5);
        assert!(asked.text().contains("POST /v1/batches"), "{how}: {}", finished.stderr);
        assert!(finished.stderr.contains("***"), "{how}: {}", finished.stderr);
        assert_kept(&finished, &workspace);
    }
}

/// Ids are printed, exported and written down as they are, so one that holds a credential is not accepted.
#[tokio::test]
async fn an_id_that_echoes_a_credential_is_not_accepted() {
    for (how, echo) in echoes() {
        let (listener, port) = port().await;
        let batch = format!(r#"{{"id":"batch_{echo}","status":"in_progress"}}"#);
        serve(listener, move |line| match line {
            _ if line.starts_with("GET /v1/batches?") => json(403, "", "{}"),
            _ if line.contains("/batches") => json(200, "", &batch),
            _ => json(200, "", r#"{"id":"file-1","status":"processed"}"#),
        });
        let workspace = Workspace::new(BATCHSTEP);
        let finished = finish(&mut run(&workspace, port)).await.expect(4);
        assert!(finished.stderr.contains("contains a credential"), "{how}: {}", finished.stderr);
        assert_eq!(workspace.report()["outcome"], "unknown", "{how}");
        assert_kept(&finished, &workspace);
    }
}

/// What a provider wrote into an answer stays in results.jsonl as it is, but goes no further.
#[tokio::test]
async fn answers_that_echo_secrets_leave_the_results_with_none() {
    for (how, echo) in echoes() {
        let (listener, port) = port().await;
        let error = format!(r#"{{"error":{{"message":"Wrong: {echo}","code":"{echo}"}}}}"#);
        let line = |id| format!(r#"{{"custom_id":"{id}","response":{{"status_code":400,"body":{error}}}}}"#) + "\n";
        let answers = [line("r0"), line("r1"), line(&echo)].concat();
        let batch = r#"{"id":"batch_1","status":"completed","output_file_id":"file-2"}"#;
        serve(listener, move |asked| match asked {
            _ if asked.ends_with("/content") => json(200, "", &answers),
            _ if asked.contains("/batches") => json(200, "", batch),
            _ => json(200, "", r#"{"id":"file-1","status":"processed"}"#),
        });
        let workspace = Workspace::new(BATCHSTEP);
        let finished = finish(&mut run(&workspace, port)).await.expect(7);
        assert!(workspace.read("batch-results/results.jsonl").contains(&echo), "{how}");
        for warning in
            ["`results.jsonl` holds the API key", "on lines 1, 2. Do not", "`unexpected.jsonl` holds the API key"]
        {
            assert!(
                finished.stderr.contains(warning) || finished.stdout.contains(warning),
                "{how}: {}",
                finished.stderr
            );
        }
        for name in ["results.jsonl", "unexpected.jsonl"] {
            std::fs::remove_file(workspace.path().join("batch-results").join(name)).unwrap();
        }
        assert!(workspace.report()["failures"].to_string().contains("***"), "{how}: {}", workspace.report());
        assert_kept(&finished, &workspace);
    }
}

#[tokio::test]
async fn scripts_print_no_secret_either() {
    for (how, echo) in echoes() {
        let (listener, port) = port().await;
        let body = format!(r#"{{"id":"b","metadata":{{"{echo}":"{echo}"}}}}"#);
        serve(listener, move |_| json(200, "", &body));
        let workspace = Workspace::new(BATCHSTEP);
        let mut command = BATCHSTEP.in_dir(workspace.path());
        let base_url = format!("http://127.0.0.1:{port}/v1");
        command.args(["batch", "get", "b", "--provider", "compatible", "--base-url", &base_url]);
        command.args(["--headers", &format!("X-Gateway: {HEADER}")]);
        let finished = finish(command.env("OPENAI_API_KEY", KEY).env("OPENAI_PROJECT_ID", PROJECT)).await.expect(0);
        let printed: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert!(printed["metadata"].to_string().contains("***"), "{how}: {printed}");
        for secret in [KEY, PROJECT, &HEADER.replace('"', "\\\"")] {
            assert!(!printed.to_string().contains(secret), "{how}: {printed}");
        }
    }
}

#[tokio::test]
async fn loopback_bypasses_proxies() {
    let ((api, api_port), (dead, dead_port)) = (port().await, port().await);
    drop(dead);
    let sandbox = sandbox_on(api, "");
    let workspace = Workspace::with(BATCHSTEP, &requests(3, "Who?"));
    let mut command = run(&workspace, api_port);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        let proxy = format!("http://127.0.0.1:{dead_port}");
        command.env(name, &proxy).env(name.to_lowercase(), &proxy);
    }
    finish(&mut command).await.expect(0);
    assert_eq!(sandbox.tally().creates, 1);
}

/// A proxy that was meant and cannot be used is named, and its password is not.
#[tokio::test]
async fn a_proxy_variable_that_cannot_be_read_is_named_without_its_value() {
    for name in ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"] {
        let (api, api_port) = port().await;
        sandbox_on(api, "");
        let workspace = Workspace::new(BATCHSTEP);
        let mut command = run(&workspace, api_port);
        let finished = finish(command.env(name, "http://me:hunter2#@proxy.example:3128")).await.expect(0);
        let said = finished.stdout.clone() + &finished.stderr;
        assert!(said.contains(&format!("`{name}` is not the address of an http proxy")), "{said}");
        for (path, bytes) in workspace.written() {
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{}", path.display());
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// The other half: whoever is not on this machine is reached through the proxy.
#[tokio::test]
async fn the_outside_is_reached_through_the_proxy() {
    let (listener, port) = port().await;
    let proxy = serve(listener, |_| json(403, "", "{}"));
    let workspace = Workspace::new(BATCHSTEP);
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args(["batch", "list", "--provider", "compatible", "--base-url", "https://api.example/v1"]);
    command.env("OPENAI_API_KEY", KEY).env("HTTPS_PROXY", format!("http://127.0.0.1:{port}"));
    finish(&mut command).await.expect(4);
    assert!(proxy.text().contains("CONNECT api.example:443"), "{}", proxy.text());
    assert!(!proxy.text().contains(KEY), "the proxy is shown no key: {}", proxy.text());
}
