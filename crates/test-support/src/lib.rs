//! What batchstep's test suites share.
//!
//! - [`mod@bench`]: batchstep as a child process in a workspace of its own, and sandboxes for it to talk to.
//! - [`wire`]: HTTP servers of a few lines that remember what they were sent.
//! - [`tls`]: https on loopback.
//! - [`github_server`]: GitHub's API as far as a run uses it.
//! - [`host_server`], [`gitlab_server`], [`bitbucket_server`]: the same of other CI systems' APIs.
//! - [`readers`]: how other CI systems read what a step writes.
//! - [`github_runner`]: what GitHub's runner makes of a step's log and files.
//!
//! Nothing here knows batchstep's code: what is shared talks to it as the outside world does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

pub mod bench;
pub mod bitbucket_server;
mod github_objects;
pub mod github_runner;
pub mod github_server;
pub mod gitlab_server;
pub mod host_server;
pub mod readers;
pub mod tls;
pub mod wire;

/// How often to repeat a test of chance: `usual` times, or ten times that where `.ci/full` asks for it.
#[expect(clippy::disallowed_methods, reason = "what is tested never sees this variable")]
pub fn rounds(usual: usize) -> usize {
    if std::env::var_os("BATCHSTEP_FULL").is_some() { 10 * usual } else { usual }
}
