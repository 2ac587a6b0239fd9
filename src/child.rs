//! Children: how they end, with all that they started.

use std::process::ExitStatus;

use tokio::process::Child;

/// How a child ended that did not end well, as a clause about "it".
pub(crate) fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with exit code {code}"),
        None => format!("it was ended from outside ({status})"),
    }
}

/// A child that leads a process group, and all that it started. They are ended when this is dropped.
pub(crate) struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    /// The group of this child.
    pub(crate) fn of(_child: &Child) -> Self {
        Self {
            #[cfg(unix)]
            leader: _child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)),
        }
    }

    /// Ends all of them. Elsewhere than on Unix the child alone ends, as it is dropped.
    pub(crate) fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // They may be gone already.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Leaves what the child may have left: the child itself has ended, and its number may be another's.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
