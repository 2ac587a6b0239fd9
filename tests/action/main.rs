//! The action as GitHub's runner runs it, interrupts it and cleans up after it:
//! real time, real processes, the launcher under Node. Without Node these tests
//! say so and prove nothing; `.ci/run` makes sure that it is there. What
//! outlives a step is looked for as Linux tells it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

#[path = "../real/bench.rs"]
#[expect(dead_code, reason = "the bench serves other tests too")]
mod bench;
mod cancel;
#[path = "../support/github_runner.rs"]
#[expect(dead_code, reason = "the library's tests have a use for all of it")]
mod github_runner;
#[path = "../it/github_objects.rs"]
mod github_objects;
#[path = "../it/github_server.rs"]
#[expect(dead_code, reason = "it serves other tests too")]
mod github_server;
mod hostile;
mod post;
mod probe;
mod runner;
#[path = "../real/wire.rs"]
#[expect(dead_code, reason = "its servers serve other tests too")]
mod wire;
