//! The budget of a run: what is reserved for a batch, and what it did cost once it is over.

use tokio::sync::Mutex;

use super::estimating::Estimator;
use super::fetched::Answers;
use super::gather::{Gatherer, Wanted};
use crate::batch::Ended;
use crate::budget::{Budget, Sum};
use crate::error::Error;
use crate::events::Event;
use crate::guard::Stop;
use crate::quote::Quote;
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::results::Spent;

/// What the budget is kept with.
pub(super) struct Spending<'a> {
    /// The account.
    pub(super) budget: &'a Budget,
    /// What batches may need.
    pub(super) estimator: Estimator<'a>,
    /// Fetches the answers that say what a batch did cost.
    pub(super) gatherer: &'a Gatherer<'a>,
    /// The answers that are here. Batches add theirs one after another.
    pub(super) answers: &'a Mutex<Answers>,
    /// What shards may need that were quoted already, by their digests.
    pub(super) quoted: &'a [(blake3::Hash, Sum)],
}

impl Spending<'_> {
    /// What a batch of these requests may need.
    ///
    /// # Errors
    /// Ends in exit 3 if the requests cannot be read.
    pub(super) async fn needs(&self, source: &Source, shard: &Shard) -> Result<Sum, Error> {
        if let Some((_, needs)) = self.quoted.iter().find(|(digest, _)| *digest == shard.digest) {
            return Ok(*needs);
        }
        let quotes = self.estimator.quotes(source, std::slice::from_ref(shard)).await?;
        Ok(quotes.iter().map(Quote::needs).fold(Sum::default(), Sum::and))
    }

    /// Replaces what was reserved for a batch by what it did cost, as far as its answers are here. Where they are not
    /// whole, what was reserved stays.
    pub(super) async fn settle(&self, key: &str, needs: Sum, ended: &Ended, wanted: Option<Wanted<'_>>) {
        if let Some(wanted) = wanted {
            let mut answers = self.answers.lock().await;
            match self.gatherer.bill(wanted, &mut answers).await {
                Ok(Some(Spent { cost, tokens, unpriced, .. })) => {
                    // Where a price is missing, what was reserved may still be what it did cost.
                    let cost = if unpriced > 0 { cost.max(needs.cost) } else { cost };
                    self.budget.settle(key, Sum { cost, tokens, requests: needs.requests });
                }
                Ok(None) => self.budget.settle(key, needs),
                Err(stop) => {
                    self.budget.settle(key, needs);
                    self.say(&stop);
                }
            }
        } else if ended.progress.batch().is_some() || ended.progress.in_doubt().is_some() {
            self.budget.settle(key, needs);
        } else {
            self.budget.release(key);
        }
    }

    /// A signal is said by whoever ends the run.
    fn say(&self, stop: &Stop) {
        if let Stop::Failed(error) = stop {
            let sentence = format!("What a batch did cost is not known yet: {}", error.sentence());
            self.gatherer.events.emit(Event::Warned(sentence));
        }
    }
}
