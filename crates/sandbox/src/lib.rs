//! The sandbox: a simulator of OpenAI's Files and Batches API, or of Anthropic's Message Batches.
//!
//! It is a future on the caller's runtime that serves real HTTP on a listener,
//! so the product's own client talks to it. `--provider sandbox` runs it inside
//! the process, `batchstep sandbox` serves it. Nothing it answers comes from a
//! model, and nothing of it is kept when it ends.
//!
//! Reading order: course.rs is a batch's life, faults.rs the bad weather,
//! engine.rs what the dialects share, `openai/` and `anthropic/` the APIs, and
//! routes.rs the HTTP around them.

mod anthropic;
mod api;
mod course;
mod delivery;
mod dialect;
mod engine;
mod faults;
mod ids;
mod life;
#[cfg(test)]
mod loopback;
mod made_up;
mod openai;
mod operation;
mod payload;
mod refusal;
mod routes;
mod rows;
mod script;
mod share;
mod specimen;
mod tally;
mod weather;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub use dialect::Dialect;
pub use faults::Fault;
pub use script::script;
pub use tally::{Tally, TallyBatch};

use api::Api;

/// The header that every answer of a sandbox carries.
pub const MARK: &str = "x-batchstep-sandbox";

/// How a sandbox behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a batch takes from its creation to its end.
    pub takes: Duration,
    /// The faults it is told to have.
    pub faults: Vec<Fault>,
}

impl Default for Options {
    fn default() -> Self {
        Self { takes: Duration::from_secs(3), faults: Vec::new() }
    }
}

/// A simulated provider. Clones share one world.
#[derive(Clone)]
pub struct Sandbox {
    /// The time of day, counted from the Unix epoch.
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    api: Arc<Mutex<dyn Api>>,
}

impl Sandbox {
    /// A sandbox without files or batches that speaks OpenAI's dialect. `now` tells the time of day, counted from
    /// the Unix epoch.
    pub fn new(options: Options, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self::speaking(Dialect::Openai, options, now)
    }

    /// The same, in this dialect. Faults that it does not have never strike: [`Dialect::refuses`] names them.
    pub fn speaking(dialect: Dialect, options: Options, now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), api: dialect.api(options.takes, options.faults) }
    }

    /// Serves the API at `/v1` on the listener until the future is dropped, and its connections with it.
    pub async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    match accepted {
                        Ok((stream, _)) => {
                            connections.spawn(connection(self.clone(), stream));
                        }
                        // Out of descriptors, perhaps: let connections end first.
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// What it has been asked for so far.
    pub fn tally(&self) -> Tally {
        self.api().tally(self.now())
    }

    fn now(&self) -> Duration {
        (self.now)()
    }

    fn api(&self) -> MutexGuard<'_, dyn Api + 'static> {
        self.api.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection. How it ends is known to the client, and nobody here asks.
async fn connection(sandbox: Sandbox, stream: TcpStream) {
    let service = service_fn(move |request| routes::serve(sandbox.clone(), request));
    // A small buffer, so that little of a body is left to write once it has been handed over.
    let served = http1::Builder::new().max_buf_size(128 * 1024).serve_connection(TokioIo::new(stream), service);
    served.await.unwrap_or_default();
}
