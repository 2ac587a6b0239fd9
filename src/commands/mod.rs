//! The commands: what is particular to each. What they have in common is in
//! `session/`.

mod accounts;
#[cfg(test)]
mod another_host;
mod at_hand;
mod billing;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod collect;
mod collection;
pub(crate) mod completions;
mod estimating;
mod fetched;
mod finished;
mod gather;
mod gating;
pub(crate) mod list;
mod listed_costs;
mod named;
mod only_failed;
pub(crate) mod operations;
pub(crate) mod pending;
pub(crate) mod providers;
mod recording;
pub(crate) mod report;
mod result_file;
pub(crate) mod run;
mod spending;
mod split;
mod submitted;
mod submitting;

use crate::error::{Error, Exit};
use crate::guard::Stop;
use crate::shutdown::name_of;
use crate::values::OnExit;

/// What a signal does to a run, in the line that answers it.
fn on_signal(on_abort: OnExit) -> &'static str {
    match on_abort {
        OnExit::Cancel => "ending the run and cancelling what it has running",
        OnExit::Detach => "ending the run and leaving what it has running, as `on-abort` asks",
    }
}

/// The error of a command that was broken off and has nothing to put in order.
fn stopped(stop: Stop) -> Error {
    match stop {
        Stop::Failed(error) | Stop::Unknown(error) => error,
        Stop::Deadline(None) | Stop::HandedOver(None) => Error::refused("Time was up."),
        Stop::Deadline(Some(trouble)) | Stop::HandedOver(Some(trouble)) => {
            Error::refused(format!("Time was up; {trouble}"))
        }
        Stop::Signal(signal) | Stop::Detached(signal) => {
            Error::new(Exit::Signal(signal), format!("{} ended the command.", name_of(signal)))
        }
    }
}

/// What broke an attempt off, in a sentence that goes on after a colon.
fn describe(stop: &Stop) -> String {
    match stop {
        Stop::Failed(error) | Stop::Unknown(error) => error.sentence(),
        Stop::Deadline(None) | Stop::HandedOver(None) => "time was up.".to_owned(),
        Stop::Deadline(Some(trouble)) | Stop::HandedOver(Some(trouble)) => format!("time was up; {trouble}."),
        Stop::Signal(_) | Stop::Detached(_) => "a signal came.".to_owned(),
    }
}
