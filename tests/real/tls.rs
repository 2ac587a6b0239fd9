//! https with an authority of our own: trusted when named, refused when not.

use std::time::Duration;

use batchstep::sandbox::Sandbox;

use crate::bench::{PATIENCE, Workspace, batchstep, finish, port, sandbox_on};
use crate::support;

/// A sandbox behind TLS, with a certificate for `names`; its port. The authority is in `ca.pem`.
async fn secure(workspace: &Workspace, names: &[&str]) -> (Sandbox, u16) {
    let ((plain, plain_port), (listener, port)) = (port().await, port().await);
    let acceptor = support::authority(&workspace.path().join("ca.pem"), names);
    tokio::spawn(support::terminate(listener, acceptor, plain_port));
    (sandbox_on(plain, ""), port)
}

#[tokio::test]
async fn a_named_authority_is_trusted_and_no_other() {
    let workspace = Workspace::new();
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
    let workspace = Workspace::new();
    let (sandbox, port) = secure(&workspace, &["elsewhere.test"]).await;
    let mut command = workspace.run(&format!("https://127.0.0.1:{port}/v1"));
    finish(command.args(["--ca-file", "ca.pem"])).await.expect(4);
    assert_eq!(sandbox.tally().calls.len(), 0);
}

#[tokio::test]
async fn a_bundle_without_a_certificate_is_a_usage_error() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path().join("ca.pem"), "not a certificate\n").unwrap();
    let mut command = batchstep(workspace.path());
    command.args(["batch", "list", "--provider", "sandbox", "--base-url", "https://127.0.0.1:9/v1"]);
    let refused = finish(command.args(["--ca-file", "ca.pem"])).await.expect(2);
    assert!(refused.took < Duration::from_secs(30) && refused.stderr.contains("`ca-file`"), "{}", refused.stderr);
}
