//! Submitting the shards of one attempt: each becomes a batch and, unless the
//! run does not wait, is seen to its end.

use super::spending::Spending;
use super::split::{self, Piece, Sender};
use super::submitted::{self, Submitted};
use crate::batch::submit::Submission;
use crate::batch::{Driver, Ended, Room};
use crate::budget::{Claim, Sum};
use crate::error::Error;
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
    /// What the budget is kept with; none where there is no limit.
    pub(super) spending: Option<Spending<'a>>,
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
        let submitted = |(piece, ended): (Piece, Ended)| {
            let endpoint = self.endpoint(&piece);
            let Piece { shard, part, key } = piece;
            Submitted { shard, part, key, endpoint, ended }
        };
        all.into_iter().map(submitted).collect()
    }

    async fn drive(&self, pieces: Vec<Piece>) -> Vec<(Piece, Ended)> {
        // The phases of several batches overlap, so they are one.
        let own = Phases::default();
        let (alone, among_others) = (self.driver(&self.dir.phases), self.driver(&own));
        let drive = async |piece: &Piece| {
            let needs = match self.needs(piece).await {
                Ok(needs) => needs,
                Err(error) => {
                    self.spending.iter().for_each(|spending| spending.budget.leave(&piece.key));
                    return split::stopped(&piece.key, error);
                }
            };
            let work = self.submission(piece, needs);
            let is_alone = piece.part.of == 1 && piece.part.piece == part::Piece::WHOLE;
            if !is_alone {
                self.dir.phases.begin(Phase::Batches);
            }
            let driver = if is_alone { &alone } else { &among_others };
            let ended = if self.plan.waits { driver.drive(&work).await } else { driver.submit(&work).await };
            if let Some((spending, needs)) = self.spending.as_ref().zip(needs) {
                self.settle(spending, needs, piece, &ended).await;
            }
            ended
        };
        let (journal, origin) = (&self.dir.journal, self.connected.api.origin());
        let (events, at_once) = (&self.connected.session.events, self.plan.max_in_flight);
        // With a budget, each finds its batch before any is created, and the budget says how many run.
        let at_once = self.spending.as_ref().map_or(at_once, |spending| {
            spending.budget.expect(pieces.iter().map(|piece| piece.key.clone()));
            usize::MAX
        });
        let sender = Sender { source: self.source, journal, events, rules: &self.plan.rules, at_once };
        let halves = |whole: &Piece, halves: [(Shard, Part); 2]| {
            let halves = halves.map(|(shard, part)| Piece { key: key(self.plan, &shard, part.attempt), shard, part });
            if let Some(Spending { budget, .. }) = &self.spending {
                budget.expect(halves.iter().map(|half| half.key.clone()));
                budget.leave(&whole.key);
            }
            halves
        };
        let is_halved = |key: &str| matches!(life::left(&self.dir.earlier, &origin, key), State::Halved);
        let all = sender.send(pieces, halves, is_halved, drive).await;
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

    /// Brings the budget up to date about a piece that nobody works on any more.
    async fn settle(&self, spending: &Spending<'_>, needs: Sum, piece: &Piece, ended: &Ended) {
        let wanted = submitted::wanted_of(&piece.shard, piece.part, &piece.key, self.endpoint(piece), ended);
        // What is only submitted stays reserved.
        if self.plan.waits || ended.progress.batch().is_none() {
            spending.settle(&piece.key, needs, ended, wanted).await;
        }
        spending.budget.leave(&piece.key);
    }

    /// What the budget has to reserve for a piece, if there is one.
    async fn needs(&self, piece: &Piece) -> Result<Option<Sum>, Error> {
        match &self.spending {
            Some(spending) => spending.needs(self.source, &piece.shard).await.map(Some),
            None => Ok(None),
        }
    }

    /// The endpoint that says what an answer has to contain.
    fn endpoint(&self, piece: &Piece) -> Option<String> {
        self.plan.rules.answers_of(&piece.shard.endpoint).map(str::to_owned)
    }

    fn submission<'s>(&'s self, piece: &'s Piece, needs: Option<Sum>) -> Submission<'s> {
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
            claim: self.spending.as_ref().zip(needs).map(|(spending, needs)| Claim { budget: spending.budget, needs }),
        }
    }
}

/// The name of a shard's work.
pub(super) fn key(plan: &Plan, shard: &Shard, attempt: u32) -> String {
    identity::key(shard.digest, &shard.endpoint, &plan.window, attempt, &plan.extras)
}
