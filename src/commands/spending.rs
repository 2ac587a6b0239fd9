//! The budget of a run: what is reserved for a batch, and what it did cost once it is over.

use tokio::sync::Mutex;

use super::billing::ONE_IN;
use super::estimating::Estimator;
use super::fetched::Answers;
use super::gather::{Gatherer, Wanted};
use crate::batch::Ended;
use crate::budget::{Budget, Sum};
use crate::dialects::Batch;
use crate::error::Error;
use crate::events::Event;
use crate::guard::Stop;
use crate::quote::Quote;
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::results::Spent;

/// What a batch that is over counts for: what its answers cost, or more if the provider says so. Where an answer does
/// not tell, what was reserved may still be what it did cost.
fn settled(spent: Spent, needs: Sum, batch: Option<&Batch>) -> Sum {
    let stated = batch.and_then(|batch| batch.usage).map_or(0, |usage| usage.input.saturating_add(usage.output));
    let is_known = spent.unknown == 0 && stated <= spent.tokens.saturating_add(spent.tokens / ONE_IN);
    let billed = batch.and_then(|batch| batch.billed).unwrap_or_default();
    let ours = if is_known { Sum::default() } else { needs };
    Sum {
        cost: spent.cost.max(ours.cost).max(billed),
        tokens: spent.tokens.max(ours.tokens).max(stated),
        requests: needs.requests,
    }
}

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
                Ok(Some(spent)) => self.budget.settle(key, settled(spent, needs, ended.progress.batch())),
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

#[cfg(test)]
mod tests {
    use super::{Batch, Spent, Sum, settled};
    use crate::dialects::Tokens;
    use crate::usd::Usd;

    #[test]
    fn what_is_not_known_counts_as_reserved_and_what_the_provider_says_counts_if_it_is_more() {
        let usd = |dollars: f64| Usd::dollars(dollars).unwrap();
        let needs = Sum { cost: usd(5.0), tokens: 5_000, requests: 10 };
        let of = |cost: f64, tokens, unknown| Spent { lines: 10, tokens, cost: usd(cost), unknown };
        let known = settled(of(1.0, 1_000, 0), needs, None);
        assert_eq!(known, Sum { cost: usd(1.0), tokens: 1_000, requests: 10 });
        // Half of the answers do not say what they used.
        assert_eq!(settled(of(1.0, 1_000, 5), needs, None), needs);
        // More than was reserved, beside answers that do not say it.
        assert_eq!(settled(of(7.0, 9_000, 1), needs, None).cost, usd(7.0));
        let states =
            |input, output| Batch { usage: Some(Tokens { input, output, ..Tokens::default() }), ..Batch::default() };
        assert_eq!(settled(of(1.0, 1_000, 0), needs, Some(&states(800, 205))).cost, usd(1.0), "within 1 %");
        assert_eq!(settled(of(1.0, 1_000, 0), needs, Some(&states(6_000, 3_000))).tokens, 9_000);
        assert_eq!(settled(of(1.0, 1_000, 0), needs, Some(&states(6_000, 3_000))).cost, usd(5.0));
        let billed = Batch { billed: Some(usd(10.0)), ..Batch::default() };
        assert_eq!(settled(of(1.0, 1_000, 0), needs, Some(&billed)).cost, usd(10.0));
    }
}
