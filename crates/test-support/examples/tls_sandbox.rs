//! Serves one sandbox over http and over https, for checks of the finished
//! binary outside of cargo: `tls_sandbox CA.pem` writes its authority there,
//! prints both base URLs, a line each, and serves until it is killed.

#![expect(clippy::unwrap_used, reason = "what cannot go on here has failed")]
#![expect(clippy::print_stdout, reason = "its caller reads the addresses there")]

use std::path::PathBuf;

use batchstep_sandbox::{Options, Sandbox};
use batchstep_test_support::bench::wall_clock;
use batchstep_test_support::tls;
use tokio::net::TcpListener;

fn main() {
    let ca: PathBuf = std::env::args_os().nth(1).expect("where to write the authority").into();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (plain_at, secure_at) = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
        let acceptor = tls::authority(&ca, &["127.0.0.1"]);
        println!("http://{plain_at}/v1\nhttps://{secure_at}/v1");
        let sandbox = Sandbox::new(Options::default(), wall_clock);
        tokio::join!(sandbox.serve(plain), tls::terminate(secure, acceptor, plain_at.port()));
    });
}
