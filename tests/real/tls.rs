//! https with an authority of our own: trusted when named, refused when not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::bench::{PATIENCE, Workspace, batchstep, finish, port, sandbox_on};

/// Makes an authority, writes it to `ca`, and gives an acceptor whose certificate it signed for `names`.
fn authority(ca: &Path, names: &[&str]) -> TlsAcceptor {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "batchstep test authority");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(ca, issuer.pem()).unwrap();

    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Ends TLS on `listener` and passes what is inside on to a port; counts the connections that came so far.
fn terminate(listener: TcpListener, acceptor: TlsAcceptor, to: u16) -> Arc<AtomicUsize> {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                count.fetch_add(1, Ordering::Relaxed);
                let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::io::copy_bidirectional(&mut inside, &mut server).await.unwrap_or_default();
            });
        }
    });
    opened
}

#[tokio::test]
async fn a_named_authority_is_trusted_and_no_other() {
    let workspace = Workspace::new();
    let ((plain, plain_port), (secure, port)) = (port().await, port().await);
    let sandbox = sandbox_on(plain, "");
    let opened =
        terminate(secure, authority(&workspace.path().join("ca.pem"), &["localhost", "127.0.0.1"]), plain_port);

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
    assert!(opened.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let workspace = Workspace::new();
    let ((plain, plain_port), (secure, port)) = (port().await, port().await);
    let sandbox = sandbox_on(plain, "");
    terminate(secure, authority(&workspace.path().join("ca.pem"), &["elsewhere.test"]), plain_port);
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
