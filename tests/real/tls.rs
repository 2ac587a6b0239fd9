//! https with an authority of our own: trusted when named, refused when not.

use std::time::Duration;

use batchstep_sandbox::Sandbox;
use batchstep_test_support::bench::{PATIENCE, Workspace, finish, line_with, port, sandbox_on};
use batchstep_test_support::tls;
use batchstep_test_support::wire::{json, serve};
use tokio::io::BufReader;

use crate::BATCHSTEP;

/// A sandbox behind TLS, with a certificate for `names`; its port. The authority is in `ca.pem`.
async fn secure(workspace: &Workspace, names: &[&str]) -> (Sandbox, u16) {
    secure_with(workspace, names, "").await
}

async fn secure_with(workspace: &Workspace, names: &[&str], faults: &str) -> (Sandbox, u16) {
    let ((plain, plain_port), (listener, port)) = (port().await, port().await);
    let acceptor = tls::authority(&workspace.path().join("ca.pem"), names);
    tokio::spawn(tls::terminate(listener, acceptor, plain_port));
    (sandbox_on(plain, faults), port)
}

/// From https a redirect leads nowhere that only this machine could reach.
#[tokio::test]
async fn downloads_over_https_do_not_follow_to_this_machine_or_its_network() {
    let (inside, inside_port) = port().await;
    let heard = serve(inside, |_| json(200, "", "{}"));
    let targets =
        ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"].map(|host| format!("{host}:{inside_port}"));
    let away = ["169.254.169.254", "10.0.0.1", "[fd00:ec2::254]"].map(str::to_owned);
    for target in targets.into_iter().chain(away) {
        for scheme in ["http", "https"] {
            let workspace = Workspace::new(BATCHSTEP);
            let redirect = format!("content redirect={scheme}://{target}/{{id}}");
            let (_, port) = secure_with(&workspace, &["localhost"], &redirect).await;
            let mut command = workspace.run(&format!("https://localhost:{port}/v1"));
            let mut child = command.args(["--ca-file", "ca.pem", "--allow-http"]).spawn().unwrap();
            let mut stderr = BufReader::new(child.stderr.take().unwrap());
            let said = line_with(&mut stderr, "an address inside").await;
            assert!(said.contains("the download was redirected to"), "{said}");
            child.kill().await.unwrap();
        }
    }
    assert_eq!(heard.connections(), 0, "{}", heard.text());
}

#[tokio::test]
async fn a_named_authority_is_trusted_and_no_other() {
    let workspace = Workspace::new(BATCHSTEP);
    let (sandbox, port) = secure(&workspace, &["localhost", "127.0.0.1"]).await;
    for host in ["127.0.0.1", "localhost"] {
        let refused = finish(&mut workspace.run(&format!("https://{host}:{port}/v1"))).await.expect(4);
        assert!(refused.took < PATIENCE / 2, "took {:?}", refused.took);
        assert!(refused.stderr.contains("certificate is not trusted"), "{}", refused.stderr);
        assert!(refused.stderr.contains("`ca-file`"), "{}", refused.stderr);
        assert_eq!(sandbox.tally().calls.len(), 0, "a request was sent over an untrusted connection");
    }
    for (host, creates) in [("127.0.0.1", 1), ("localhost", 2)] {
        let mut command = workspace.run(&format!("https://{host}:{port}/v1"));
        finish(command.args(["--ca-file", "ca.pem"])).await.expect(0);
        assert_eq!(sandbox.tally().creates, creates);
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let workspace = Workspace::new(BATCHSTEP);
    let (sandbox, port) = secure(&workspace, &["elsewhere.test"]).await;
    let mut command = workspace.run(&format!("https://127.0.0.1:{port}/v1"));
    finish(command.args(["--ca-file", "ca.pem"])).await.expect(4);
    assert_eq!(sandbox.tally().calls.len(), 0);
}

#[tokio::test]
async fn a_bundle_without_a_certificate_is_a_usage_error() {
    let workspace = Workspace::new(BATCHSTEP);
    std::fs::write(workspace.path().join("ca.pem"), "not a certificate\n").unwrap();
    let mut command = BATCHSTEP.in_dir(workspace.path());
    command.args(["batch", "list", "--provider", "sandbox", "--base-url", "https://127.0.0.1:9/v1"]);
    let refused = finish(command.args(["--ca-file", "ca.pem"])).await.expect(2);
    assert!(refused.took < Duration::from_secs(30) && refused.stderr.contains("`ca-file`"), "{}", refused.stderr);
}
