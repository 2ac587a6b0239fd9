//! Defaults that depend on who runs it, and where.

use crate::dialects::{Support, Vendor};
use crate::env::Setting;
use crate::simulator::Simulator;
use crate::values::{OnExit, Reuse};

/// What the deadline does to a run's batch where nothing is said: a cancel, if it keeps the answers that there are.
pub(super) fn on_timeout(vendor: &Vendor) -> OnExit {
    match vendor.capabilities.cancel_keeps_answers {
        Support::No => OnExit::Detach,
        Support::Yes | Support::ServerSays => OnExit::Cancel,
    }
}

/// What a signal does to a run's batch where nothing is said: a job that is cancelled has nobody to come
/// back for it, a person has. A sandbox in this process ends with it, and leaves nothing to come back for.
pub(super) fn on_abort(setting: Setting, simulator: Option<&Simulator>) -> OnExit {
    match (setting, simulator) {
        (Setting::Person, None) => OnExit::Detach,
        _ => OnExit::Cancel,
    }
}

/// Which batches are reused where nothing is said: a person who asks the same again wants the answers, a
/// pipeline may ask again to see whether they changed.
pub(super) fn reuse(setting: Setting) -> Reuse {
    match setting {
        Setting::Person => Reuse::Finished,
        Setting::Ci => Reuse::Active,
    }
}
