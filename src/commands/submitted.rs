//! What a run has submitted: the shards of each attempt, and how each ended.

use std::ops::Range;

use super::fetched::Answers;
use super::gather::Wanted;
use crate::attachment::Owner;
use crate::batch::Ended;
use crate::dialects::{Batch, Status};
use crate::error::Kind;
use crate::guard::Stop;
use crate::identity::Part;
use crate::journal::Record;
use crate::report::{BatchReport, ShardReport};
use crate::requests::places::Places;
use crate::requests::shards::Shard;
use crate::verdict::End;

/// A shard that was submitted.
pub(super) struct Submitted {
    pub(super) shard: Shard,
    pub(super) part: Part,
    pub(super) key: String,
    /// The endpoint that says what an answer has to contain. None where the lines may name another than the batch.
    pub(super) endpoint: Option<String>,
    pub(super) ended: Ended,
}

impl Submitted {
    /// Whether it is of the first attempt, and not a retry.
    pub(super) fn is_first(&self) -> bool {
        self.part.attempt == 1
    }

    pub(super) fn batch(&self) -> Option<&Batch> {
        self.ended.progress.batch()
    }

    pub(super) fn batch_mut(&mut self) -> Option<&mut Batch> {
        self.ended.progress.batch_mut()
    }

    /// Whether it was not sent because of the run's limits.
    pub(super) fn is_over_budget(&self) -> bool {
        matches!(&self.ended.stop, Some(Stop::Failed(error)) if error.kind == Kind::OverBudget)
    }

    /// Whether what failed of it is worth a retry: not where all of it was refused, or cancelled.
    pub(super) fn is_worth_retrying(&self, answers: &Answers) -> bool {
        self.part.attempt == 1
            && self.batch().is_some_and(|batch| match batch.status {
                Status::Completed | Status::Expired => true,
                // One that ran for a while and broke down, and left what it had.
                Status::Failed => answers.of(&batch.id).is_some_and(|fetched| fetched.names_any),
                _ => false,
            })
    }

    /// Its batch to collect, with what is known of its requests.
    fn wanted(&self) -> Option<Wanted<'_>> {
        wanted_of(&self.shard, self.part, &self.key, self.endpoint.clone(), &self.ended)
    }

    pub(super) fn end(&self) -> End<'_> {
        let Ended { progress, stop } = &self.ended;
        End { stop: stop.as_ref(), batch: progress.batch(), owner: progress.owner(), in_doubt: progress.in_doubt() }
    }

    /// Whether nothing runs at the provider that this run would have to end. What was
    /// handed over goes on because that was asked for.
    pub(super) fn is_settled(&self) -> bool {
        let progress = &self.ended.progress;
        let is_handed_over = matches!(self.ended.stop, Some(Stop::HandedOver(_) | Stop::Detached(_)));
        is_handed_over
            || progress.owner() == Owner::AnotherRun
            || progress.batch().map_or(progress.in_doubt().is_none(), is_over)
    }

    /// The mark of its last create.
    pub(super) fn create(&self) -> Option<String> {
        self.ended.progress.create().map(str::to_owned)
    }

    /// Whether its answers, if it came to any, are among those of the batches that are `here`.
    pub(super) fn is_fetched(&self, here: &[String]) -> bool {
        let is_paid = |batch: &&Batch| matches!(batch.status, Status::Completed | Status::Expired);
        self.batch().filter(is_paid).is_none_or(|batch| here.contains(&batch.id))
    }

    /// Whether nothing is left at the provider that a later run should reuse.
    pub(super) fn is_closed(&self) -> bool {
        let create = if self.ended.progress.in_doubt().is_some() { Create::InDoubt } else { Create::Settled };
        is_closed(self.ended.stop.as_ref(), self.batch(), create)
    }
}

/// The batch, if it is over and there is anybody left to collect for: not after a signal or a failure.
fn to_collect(ended: &Ended) -> Option<&Batch> {
    let may_collect = matches!(ended.stop, None | Some(Stop::Deadline(_)));
    ended.progress.batch().filter(|batch| may_collect && batch.status.is_terminal())
}

/// The batch to collect of a shard that was submitted, with what is known of its requests.
pub(super) fn wanted_of<'e>(
    shard: &Shard,
    part: Part,
    key: &str,
    endpoint: Option<String>,
    ended: &'e Ended,
) -> Option<Wanted<'e>> {
    // What a retry lacks, an earlier attempt may still have answered.
    let rows = if part.attempt == 1 { shard.rows() } else { Vec::new() };
    let (requests, attempt, key, model) =
        (Some(shard.requests), part.attempt, Some(key.to_owned()), shard.model.clone());
    Some(Wanted { batch: to_collect(ended)?, attempt, requests, rows, endpoint, key, model })
}

/// Whether it is known what became of the create of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Create {
    /// It is known, or there was none.
    Settled,
    /// It may have made a batch that is not known.
    InDoubt,
}

/// Whether a batch needs no more ending.
pub(super) fn is_over(batch: &Batch) -> bool {
    batch.status.is_terminal() || batch.status == Status::Cancelling
}

/// Whether nothing is left at the provider that a later run should reuse:
/// then the journal gets its closing record.
pub(super) fn is_closed(stop: Option<&Stop>, batch: Option<&Batch>, create: Create) -> bool {
    match (stop, batch) {
        (_, None) => create == Create::Settled,
        (None | Some(Stop::Deadline(_)), Some(batch)) => batch.status.is_terminal(),
        (Some(Stop::Signal(_)), Some(batch)) => batch.status == Status::Cancelling || batch.status == Status::Cancelled,
        (Some(Stop::Detached(_) | Stop::HandedOver(_) | Stop::Failed(_) | Stop::Unknown(_)), Some(_)) => false,
    }
}

/// The batches to collect, with what is known of their requests.
pub(super) fn wanted(all: &[Submitted]) -> Vec<Wanted<'_>> {
    all.iter().filter_map(Submitted::wanted).collect()
}

/// The shards of which a retry of some requests is worth it.
pub(super) fn worth_retrying(all: &[Submitted], answers: &Answers) -> Vec<Shard> {
    all.iter().filter(|it| it.is_worth_retrying(answers)).map(|it| it.shard.clone()).collect()
}

/// The requests that were not sent, as ranges of indices in order.
pub(super) fn not_sent(all: &[Submitted]) -> Vec<Range<u32>> {
    let mut rows: Vec<Range<u32>> =
        all.iter().filter(|it| it.is_over_budget()).flat_map(|it| it.shard.rows()).collect();
    rows.sort_unstable_by_key(|range| range.start);
    rows
}

/// The batches for the report, in the order in which they were submitted.
pub(super) fn batches(all: &[Submitted], places: &Places) -> Vec<BatchReport> {
    let report = |it: &Submitted| {
        let locate = |line: u64| {
            let line = it.shard.line_of_whole(line)?;
            places.locate(line).map(|(file, line)| (file.to_owned(), line))
        };
        let attached = it.ended.progress.attached().cloned();
        Some(BatchReport::new(it.batch()?, it.part.attempt, locate, attached))
    };
    all.iter().filter_map(report).collect()
}

/// The shards for the report: none where there is but one.
pub(super) fn shards(all: &[Submitted]) -> Vec<ShardReport> {
    let first: Vec<&Submitted> = all.iter().filter(|it| it.is_first()).collect();
    let report = |it: &&Submitted| ShardReport {
        endpoint: it.shard.endpoint.clone(),
        model: it.shard.model.clone(),
        requests: it.shard.requests,
        bytes: it.shard.bytes,
        key: Some(it.key.clone()),
        batch_id: it.batch().map(|batch| batch.id.clone()),
    };
    if first.len() > 1 { first.iter().map(report).collect() } else { Vec::new() }
}

/// What a signal had cancelled: a later run makes it anew, and only fetches the rest.
pub(super) fn dropped(all: &[Submitted]) -> Vec<Record> {
    let is_cancelled = |batch: &Batch| matches!(batch.status, Status::Cancelling | Status::Cancelled);
    let is_dropped =
        |it: &&Submitted| matches!(it.ended.stop, Some(Stop::Signal(_))) && it.batch().is_some_and(is_cancelled);
    all.iter().filter(is_dropped).map(|it| Record::Dropped { key: it.key.clone() }).collect()
}
