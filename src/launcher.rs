//! The action's launcher, as the binary sees it.
//!
//! The launcher names its process in a variable. If it is killed outright, the
//! runner goes on to `post` at once and nobody passes signals on any more, but
//! the binary lives on: it has to notice by itself. Without the variable nothing
//! is watched.

use crate::env::{Env, LAUNCHER};
use crate::policy::LAUNCHER_LOOK;
use crate::shutdown::{Shutdown, Stopper};

/// The signal that its end is taken for: SIGTERM.
const TERMINATE: u8 = 15;

/// Whoever started this process on behalf of a CI system, and must be alive for it to go on.
pub struct Launcher {
    is_gone: Box<dyn Fn() -> bool>,
    stopper: Stopper,
    shutdown: Shutdown,
}

impl Launcher {
    /// The launcher that the environment names, if it names one that can be watched here.
    pub fn of(env: &Env, stopper: Stopper, shutdown: &Shutdown) -> Option<Self> {
        let pid = env.get(LAUNCHER)?.parse().ok()?;
        Some(Self::new(probe(pid)?, stopper, shutdown))
    }

    /// A launcher that is gone once `is_gone` says so.
    pub fn new(is_gone: impl Fn() -> bool + 'static, stopper: Stopper, shutdown: &Shutdown) -> Self {
        Self { is_gone: Box::new(is_gone), stopper, shutdown: shutdown.clone() }
    }

    /// Orders a stop, as SIGTERM would, if the launcher is gone and nothing was
    /// ordered yet. Tells whether it did.
    pub fn look(&self) -> bool {
        let is_lost = self.shutdown.ordered().is_none() && (self.is_gone)();
        if is_lost {
            self.stopper.stop(TERMINATE);
        }
        is_lost
    }

    /// Waits until the launcher is gone and a stop was ordered because of that.
    pub async fn watch(&self) {
        while !self.look() {
            tokio::time::sleep(LAUNCHER_LOOK).await;
        }
    }
}

/// How to tell that the launcher is gone. Whoever started us is our parent for as long
/// as it lives. Where something else did, as a script around the binary, Linux is asked
/// for the launcher itself; other systems then show only whether that script is gone.
#[cfg(unix)]
fn probe(launcher: u32) -> Option<impl Fn() -> bool + 'static> {
    use std::os::unix::process::parent_id;
    let parent = parent_id();
    Some(move || parent_id() != parent || (parent != launcher && !process::is_alive(launcher)))
}

/// Windows has no parents, and its runner ends all processes of a step by itself.
#[cfg(not(unix))]
fn probe(_launcher: u32) -> Option<fn() -> bool> {
    None
}

#[cfg(unix)]
mod process {
    use std::path::Path;

    /// Whether a process is there and is no zombie; taken for granted where there is no `/proc`.
    pub(super) fn is_alive(pid: u32) -> bool {
        if !Path::new("/proc/self/stat").exists() {
            return true;
        }
        // The state follows the name, which is in parentheses and may hold some itself (proc_pid_stat(5)).
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use std::time::Duration;

    use super::{Launcher, probe, process};
    use crate::shutdown;

    #[tokio::test(start_paused = true)]
    async fn a_launcher_that_is_gone_is_one_order_to_stop() {
        let (stopper, shutdown) = shutdown::channel();
        let gone = Rc::new(Cell::new(false));
        let is_gone = Rc::clone(&gone);
        let launcher = Launcher::new(move || is_gone.get(), stopper, &shutdown);
        assert!(tokio::time::timeout(Duration::from_secs(60), launcher.watch()).await.is_err());
        assert_eq!((launcher.look(), shutdown.ordered()), (false, None));
        gone.set(true);
        launcher.watch().await;
        assert_eq!((shutdown.ordered(), launcher.look()), (Some(15), false));
    }

    #[test]
    fn the_parent_is_alive_and_a_process_that_never_was_is_not() {
        let gone = |pid| probe(pid).unwrap()();
        assert!(!gone(std::os::unix::process::parent_id()));
        if cfg!(target_os = "linux") {
            assert!(process::is_alive(std::process::id()) && !process::is_alive(u32::MAX));
            // Started by something else: then the launcher itself has to be there.
            assert!(!gone(std::process::id()) && gone(u32::MAX));
        }
    }
}
