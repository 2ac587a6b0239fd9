//! Sending shards, and the halves of those that the provider refuses as too large.
//!
//! What is accepted keeps its lines and its key; only what is refused is halved,
//! at its middle line, down to single requests. The plan of the run does not
//! change: a later run tries the same shard, and on the same refusal makes the
//! same halves, whose batches it finds by their keys. Only where the journal says
//! that halves were sent, which may be running, are they sent without trying.

use std::collections::VecDeque;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::batch::{Ended, Progress};
use crate::dialects::Rules;
use crate::emitter::Events;
use crate::error::{Error, Exit, Kind};
use crate::events::Event;
use crate::guard::Stop;
use crate::identity::Part;
use crate::journal::{Journal, Record};
use crate::oversize;
use crate::policy::MOST_SHARDS;
use crate::requests::halves::halve;
use crate::requests::shards::Shard;
use crate::requests::source::Source;

/// A shard, or a piece of one, and which of the run's it is.
pub(super) struct Piece {
    pub(super) shard: Shard,
    pub(super) part: Part,
    /// The name of its work.
    pub(super) key: String,
}

/// What shards are sent with.
pub(super) struct Sender<'a> {
    pub(super) source: &'a Source,
    pub(super) journal: &'a Journal,
    pub(super) events: &'a Events<'a>,
    /// How its lines are read.
    pub(super) rules: &'a Rules,
    /// How many are under way at a time.
    pub(super) at_once: usize,
}

/// Whether a piece that is refused as too large may be halved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halving {
    Allowed,
    /// It is a single request, or there are too many pieces already.
    Impossible,
}

/// How a piece fared.
enum Fate {
    Ended(Box<Ended>),
    Halved(Box<[(Shard, Part); 2]>),
}

impl Sender<'_> {
    /// Drives all of these, so many at once, and in place of what is refused its
    /// halves. However one ends, the others go on; after a signal or the deadline
    /// none is begun. They come back in the order of the plan.
    ///
    /// `drive` brings one to its end, `halves` makes pieces of the halves of one, and
    /// `is_halved` says whether an earlier run sent the halves of that work.
    pub(super) async fn send(
        &self,
        pieces: Vec<Piece>,
        halves: impl Fn(&Piece, [(Shard, Part); 2]) -> [Piece; 2],
        is_halved: impl Fn(&str) -> bool,
        drive: impl AsyncFn(&Piece) -> Ended,
    ) -> Vec<(Piece, Ended)> {
        let fate = async |piece: Piece, halving: Halving| {
            let tried =
                if halving == Halving::Allowed && is_halved(&piece.key) { None } else { Some(drive(&piece).await) };
            let fate = self.decide(&piece, tried, halving).await;
            (piece, fate)
        };
        let mut count = pieces.len();
        let mut waiting: VecDeque<Piece> = pieces.into();
        let (mut under_way, mut done) = (FuturesUnordered::new(), Vec::new());
        loop {
            while under_way.len() < self.at_once
                && let Some(piece) = waiting.pop_front()
            {
                // Each takes the place of one and may become two.
                let may_halve = piece.shard.requests > 1 && count + under_way.len() < MOST_SHARDS;
                let halving = if may_halve { Halving::Allowed } else { Halving::Impossible };
                under_way.push(fate(piece, halving));
            }
            let Some((piece, fate)) = under_way.next().await else { break };
            match fate {
                Fate::Ended(ended) => done.push((piece, *ended)),
                Fate::Halved(both) => {
                    count += 1;
                    halves(&piece, *both).into_iter().rev().for_each(|half| waiting.push_front(half));
                }
            }
        }
        done.sort_by_key(|(piece, _)| (piece.part.number, piece.part.piece.path()));
        done
    }

    /// Halves a piece that was refused, or, without a try, was halved by an earlier run.
    async fn decide(&self, piece: &Piece, tried: Option<Ended>, halving: Halving) -> Fate {
        let why = match tried {
            None => "as the journal says".to_owned(),
            Some(ended) => match refusal(&ended).filter(|_| halving == Halving::Allowed) {
                Some(why) => why,
                None => return Fate::Ended(Box::new(ended)),
            },
        };
        match self.halve(piece, why).await {
            Ok(halves) => Fate::Halved(Box::new(halves)),
            Err(error) => Fate::Ended(Box::new(stopped(&piece.key, error))),
        }
    }

    async fn halve(&self, piece: &Piece, why: String) -> Result<[(Shard, Part); 2], Error> {
        let failed = |error: std::io::Error| {
            Error::new(Exit::Invalid, "A batch that is too large could not be split.").because(error)
        };
        let (source, shard, rules) = (self.source.clone(), piece.shard.clone(), self.rules.clone());
        let halving = tokio::task::spawn_blocking(move || halve(&source, &shard, &rules)).await;
        let [first, second] = halving.map_err(std::io::Error::other).and_then(|halves| halves).map_err(failed)?;
        let pieces =
            piece.part.piece.halves().ok_or_else(|| failed(std::io::Error::other("it was split too often")))?;
        self.journal.note(Record::Halved { key: piece.key.clone() })?;
        let (requests, halves) = (piece.shard.requests, [first.requests, second.requests]);
        self.events.emit(Event::Halved { requests, halves, why });
        let [before, after] = pieces.map(|half| piece.part.with(half));
        Ok([(first, before), (second, after)])
    }
}

/// What the provider said of a piece that it refused as too large. None where it
/// was not refused, or where a batch of it may exist.
fn refusal(ended: &Ended) -> Option<String> {
    let Ended { progress, stop } = ended;
    match (stop, progress.batch()) {
        (Some(Stop::Failed(error)), None) if error.kind == Kind::TooLarge && progress.in_doubt().is_none() => {
            Some(error.sentence().trim_end_matches('.').to_owned())
        }
        (None, Some(batch)) if oversize::is_failed(batch) => {
            let said = batch.errors.iter().find_map(|error| error.message.as_ref().or(error.code.as_ref()));
            let said = said.map(|said| format!(": {}", said.trim_end_matches('.')));
            Some(format!("batch {} failed{}", batch.id, said.unwrap_or_default()))
        }
        _ => None,
    }
}

/// The end of a piece that could not be begun.
pub(super) fn stopped(key: &str, error: Error) -> Ended {
    Ended { progress: Progress::of(key, None), stop: Some(Stop::Failed(error)) }
}
