//! What all collections of one command share.

use tokio::time::Instant;

use crate::api::Api;
use crate::emitter::Events;
use crate::guard::Guard;
use crate::hosts::Host;
use crate::invocation::Invocation;
use crate::plan::Collecting;
use crate::policy::BEFORE_BATCH;
use crate::world::World;

/// What all collections of one command share.
pub(super) struct Scene<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) world: &'a World,
    pub(super) events: &'a Events<'a>,
    pub(super) api: &'a Api,
    /// How what is printed is to be typed.
    pub(super) how: Invocation,
    pub(super) plan: &'a Collecting,
    pub(super) deadline: Instant,
}

impl<'a> Scene<'a> {
    /// Guards what must be done by `deadline`.
    pub(super) fn guard(&self, deadline: Instant) -> Guard<'a> {
        Guard { deadline, shutdown: &self.world.shutdown, events: self.events, rng: self.world.rng.clone().into() }
    }

    /// Guards a look, which has its time even where none is left for waiting.
    pub(super) fn looking(&self) -> Guard<'a> {
        self.guard(self.deadline.max(Instant::now() + BEFORE_BATCH))
    }
}
