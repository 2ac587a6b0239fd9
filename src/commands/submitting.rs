//! Submitting the shards of one attempt: each becomes a batch and, unless the
//! run does not wait, is seen to its end.

use super::split::{Piece, Sender};
use super::submitted::Submitted;
use crate::batch::submit::Submission;
use crate::batch::{Driver, Ended, Room};
use crate::guard::Guard;
use crate::identity::{self, Part};
use crate::life::{self, State};
use crate::part;
use crate::phases::{Phase, Phases};
use crate::plan::Plan;
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::session::{Connected, Directory};
use crate::values::{OnExit, OnKill};

/// What shards are submitted with.
pub(super) struct Submitting<'a> {
    pub(super) plan: &'a Plan,
    pub(super) connected: &'a Connected<'a>,
    pub(super) dir: &'a Directory<'a>,
    pub(super) guard: &'a Guard<'a>,
    pub(super) source: &'a Source,
    /// Where the host shows the run, for the batches' metadata.
    pub(super) check: Option<&'a str>,
    /// The digest of all requests that are sent, which distinguishes them from others.
    pub(super) fingerprint: &'a str,
}

impl Submitting<'_> {
    /// Drives these shards through their lives.
    pub(super) async fn send(&self, shards: Vec<Shard>, attempt: u32) -> Vec<Submitted> {
        let of = shards.len();
        let piece = |(index, shard): (usize, Shard)| {
            let part = Part { number: index + 1, of, piece: part::Piece::WHOLE, attempt };
            Piece { key: key(self.plan, &shard, attempt), shard, part }
        };
        let pieces = shards.into_iter().enumerate().map(piece).collect();
        let all = Box::pin(self.drive(pieces)).await;
        let submitted = |(Piece { shard, part, key }, ended): (Piece, Ended)| {
            let endpoint = self.plan.rules.answers_of(&shard.endpoint).map(str::to_owned);
            Submitted { shard, part, key, endpoint, ended }
        };
        all.into_iter().map(submitted).collect()
    }

    async fn drive(&self, pieces: Vec<Piece>) -> Vec<(Piece, Ended)> {
        // The phases of several batches overlap, so they are one.
        let own = Phases::default();
        let (alone, among_others) = (self.driver(&self.dir.phases), self.driver(&own));
        let drive = async |piece: &Piece| {
            let work = self.submission(piece);
            let is_alone = piece.part.of == 1 && piece.part.piece == part::Piece::WHOLE;
            if !is_alone {
                self.dir.phases.begin(Phase::Batches);
            }
            let driver = if is_alone { &alone } else { &among_others };
            if self.plan.waits { driver.drive(&work).await } else { driver.submit(&work).await }
        };
        let (journal, origin) = (&self.dir.journal, self.connected.api.origin());
        let (events, at_once) = (&self.connected.session.events, self.plan.max_in_flight);
        let sender = Sender { source: self.source, journal, events, rules: &self.plan.rules, at_once };
        let key = |shard: &Shard, part: Part| key(self.plan, shard, part.attempt);
        let is_halved = |key: &str| matches!(life::left(&self.dir.earlier, &origin, key), State::Halved);
        let all = sender.send(pieces, key, is_halved, drive).await;
        if self.plan.waits {
            return all;
        }
        let (pieces, ended): (Vec<Piece>, Vec<Ended>) = all.into_iter().unzip();
        pieces.into_iter().zip(alone.end_submitted(ended).await).collect()
    }

    fn driver<'d>(&'d self, phases: &'d Phases) -> Driver<'d> {
        Driver {
            api: &self.connected.api,
            guard: self.guard,
            journal: &self.dir.journal,
            clock: self.connected.session.world.clock,
            phases,
            poll_interval: self.plan.poll_interval,
            room: Room::default(),
            on_timeout: self.plan.on_timeout,
            on_abort: self.plan.on_abort,
        }
    }

    fn submission<'s>(&'s self, piece: &'s Piece) -> Submission<'s> {
        let identity = self.connected.session.host.identity();
        Submission {
            source: self.source,
            shard: &piece.shard,
            part: piece.part,
            left: life::left(&self.dir.earlier, &self.connected.api.origin(), &piece.key),
            known: life::batch_ids(&self.dir.earlier),
            key: piece.key.clone(),
            requests: self.fingerprint.to_owned(),
            whole: self.dir.report.requests.key.clone().unwrap_or_default(),
            window: self.plan.window.clone(),
            repo: identity.repo,
            run: identity.run,
            check: self.check.map(str::to_owned),
            metadata: self.plan.metadata.clone(),
            form: self.plan.form.clone(),
            output_expires_after: self.plan.output_expires_after,
            on_kill: match self.plan.on_abort {
                OnExit::Cancel if !self.plan.in_process => OnKill::Cancel,
                OnExit::Cancel | OnExit::Detach => OnKill::Leave,
            },
            reuse: self.plan.reuse,
        }
    }
}

/// The name of a shard's work.
pub(super) fn key(plan: &Plan, shard: &Shard, attempt: u32) -> String {
    identity::key(shard.digest, &shard.endpoint, &plan.window, attempt, &plan.extras)
}
