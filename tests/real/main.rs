//! Tests that need real time or a real process: signals, large bodies, TLS, secrets.
//!
//! All is hermetic: children get no environment but what a test gives them,
//! work in a directory of their own and talk to loopback only. What a test
//! waits for is an event, seen in the sandbox's tally; the time limits are
//! there to end a test that hangs, and generous.

#![expect(clippy::unwrap_used, reason = "what cannot go on here has failed")]

#[cfg(unix)]
mod at_once;
#[cfg(unix)]
mod buildkite;
#[cfg(unix)]
mod gate;
#[cfg(unix)]
mod kill;
#[cfg(unix)]
mod hosts;
mod limits;
#[cfg(unix)]
mod pairs;
mod secrets;
#[cfg(unix)]
mod signals;
#[cfg(target_os = "linux")]
mod size;
mod streams;
#[cfg(target_os = "linux")]
mod terminal;
mod tls;
use batchstep_test_support::bench::Binary;

const BATCHSTEP: Binary = Binary(env!("CARGO_BIN_EXE_batchstep"));
