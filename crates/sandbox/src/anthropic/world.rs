//! The world of a sandbox that speaks Anthropic's dialect: batches and the weather over them.
//!
//! Each operation is a function of the world, the request and the time, as in
//! OpenAI's. `host` is the name by which the caller knows the sandbox.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::batch::{Batch, State, own_id};
use super::create::{Create, Version};
use super::page::page;
use super::refusal::{no_batch, refuse, scripted};
use crate::api::Query;
use crate::engine::Engine;
use crate::faults::Fault;
use crate::life::Cancelled;
use crate::refusal::Refusal;
use crate::tally::Tally;

/// Everything that it knows.
pub(crate) struct World {
    pub(super) engine: Engine,
    /// Oldest first.
    batches: Vec<Batch>,
}

impl World {
    pub(crate) fn new(takes: Duration, faults: Vec<Fault>) -> Self {
        Self { engine: Engine::new(takes, faults), batches: Vec::new() }
    }

    /// Creates a batch, of at most so many requests.
    pub(super) fn create(
        &mut self,
        body: &[u8],
        version: Version,
        most: Option<u64>,
        host: &str,
        now: Duration,
    ) -> Result<Value, Refusal> {
        let Create { content, rows } = Create::read(body, version)?;
        if let Some(most) = most.filter(|most| rows.len() as u64 > *most) {
            let count = rows.len();
            let message = format!("requests: List should have at most {most} items after validation, not {count}");
            return Err(refuse(400, message));
        }
        let faults = self.engine.weather.batch(now);
        let life = self.engine.begin("msgbatch_", (content.into(), rows), own_id, faults, now);
        let batch = Batch { life, state: State::Kept, results: None };
        let object = batch.object(host, now);
        self.batches.push(batch);
        Ok(object)
    }

    pub(super) fn batch(&mut self, id: &str, host: &str, now: Duration) -> Result<Value, Refusal> {
        Ok(self.find(id)?.object(host, now))
    }

    /// Lists batches, newest first; those younger than `lag` are not shown.
    pub(super) fn list(
        &mut self,
        query: Query<'_>,
        lag: Duration,
        host: &str,
        now: Duration,
    ) -> Result<Value, Refusal> {
        let is_shown = |batch: &&Batch| batch.state == State::Kept && now >= batch.life.course.created + lag;
        let batches: Vec<&Batch> = self.batches.iter().rev().filter(is_shown).collect();
        page(&batches, query, |batch| &batch.life.id, |batch| batch.object(host, now))
    }

    pub(super) fn cancel(&mut self, id: &str, host: &str, now: Duration) -> Result<Value, Refusal> {
        let batch = self.find(id)?;
        match batch.life.cancel(now) {
            Cancelled::Taken if batch.life.course.at(now).stamps.ended.is_none() => Ok(batch.object(host, now)),
            _ => Err(refuse(400, format!("Message batch {id} has already ended and cannot be canceled."))),
        }
    }

    pub(super) fn delete(&mut self, id: &str, now: Duration) -> Result<Value, Refusal> {
        let batch = self.find(id)?;
        if batch.life.over_for(now).is_none() {
            return Err(refuse(400, format!("Message batch {id} must end before it can be deleted.")));
        }
        batch.state = State::Deleted;
        Ok(json!({"id": id, "type": "message_batch_deleted"}))
    }

    pub(super) fn results(&mut self, id: &str, now: Duration) -> Result<Bytes, Refusal> {
        let batch = self.find(id)?;
        if batch.life.over_for(now).is_none() {
            return Err(refuse(404, format!("Message batch {id} has not ended: it has no results yet.")));
        }
        batch.results(now).ok_or_else(|| scripted(404, None))
    }

    /// How many batches have not ended.
    pub(super) fn running(&self, now: Duration) -> usize {
        self.batches.iter().filter(|batch| batch.life.over_for(now).is_none()).count()
    }

    /// A deleted batch still counts as paid.
    pub(super) fn count(&self, now: Duration) -> Tally {
        let batches = self.batches.iter().map(|batch| (&batch.life, batch.marked()));
        Tally::of(self.engine.calls(), 0, batches, own_id, now)
    }

    fn find(&mut self, id: &str) -> Result<&mut Batch, Refusal> {
        let found = self.batches.iter_mut().find(|batch| batch.life.id == id && batch.state == State::Kept);
        found.ok_or_else(|| no_batch(id))
    }
}
