//! The action as GitHub's runner runs it, interrupts it and cleans up after it:
//! real time, real processes, the launcher under Node. Without Node these tests
//! say so and prove nothing; `.ci/run` makes sure that it is there. What
//! outlives a step is looked for as Linux tells it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod cancel;
mod hostile;
mod post;
mod probe;
mod runner;
use batchstep_test_support::bench::Binary;

const BATCHSTEP: Binary = Binary(env!("CARGO_BIN_EXE_batchstep"));
