//! What a run keeps about money: prices, the estimate, and the budget.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::billing::Billing;
use super::estimating::{self, Estimator};
use super::fetched::Answers;
use super::gather::Gatherer;
use super::spending::Spending;
use super::submitted::Submitted;
use crate::bill;
use crate::budget::{Budget, Limits, NotSent, Settling, Sum};
use crate::dialects::Rules;
use crate::emitter::Events;
use crate::error::{Error, Exit};
use crate::estimate::Tokenizers;
use crate::events::Event;
use crate::plan::Plan;
use crate::quote::Quote;
use crate::report::{BudgetReport, Report};
use crate::requests::shards::Shard;
use crate::requests::source::Source;
use crate::session::Connected;
use crate::text::requests_count;
use crate::values::BudgetMode;
use crate::verdict::Rows;

/// What a run keeps about money.
pub(super) struct Accounts {
    /// What models cost.
    pub(super) billing: Billing,
    /// The report of the last run in the same directory, which says how far its estimate was off.
    last: Option<Report>,
    tokenizers: Arc<Tokenizers>,
    limits: Limits,
    mode: BudgetMode,
    budget: Budget,
    /// What its shards may need, by their digests.
    quoted: Vec<(blake3::Hash, Sum)>,
}

impl Accounts {
    /// Those of a run that begins. Reads the last report before it is moved away.
    pub(super) fn open(plan: &Plan, connected: &Connected<'_>) -> Self {
        let settling = if plan.waits { Settling::AsTheyEnd } else { Settling::Never };
        let limits = plan.money.limits;
        Self {
            billing: Billing::of(connected, plan.money.prices.clone()),
            last: estimating::last_report(&plan.output_dir),
            tokenizers: Arc::default(),
            limits,
            mode: plan.money.mode,
            budget: Budget::new(limits, settling, plan.max_in_flight),
            quoted: Vec::new(),
        }
    }

    /// Estimates these shards, and refuses them if the budget cannot be kept to with them.
    ///
    /// # Errors
    /// Ends in exit 4 if it refuses them, in exit 3 if the requests cannot be read.
    pub(super) async fn estimate(
        &mut self,
        source: &Source,
        shards: &[Shard],
        rules: &Rules,
        report: &mut Report,
        events: &Events<'_>,
    ) -> Result<(), Error> {
        let quotes = self.estimator(rules).quotes(source, shards).await?;
        estimating::show(&quotes, &self.billing, report, events);
        admit(&quotes, self.limits, self.mode)?;
        if self.limits.cost.is_some() || self.limits.tokens.is_some() {
            events.emit(Event::Estimated(reserved(&quotes)));
        }
        self.quoted = shards.iter().map(|shard| shard.digest).zip(quotes.iter().map(Quote::needs)).collect();
        Ok(())
    }

    /// What the budget is kept with; none where there is no limit.
    pub(super) fn spending<'a>(
        &'a self,
        rules: &Rules,
        gatherer: &'a Gatherer<'a>,
        answers: &'a Mutex<Answers>,
    ) -> Option<Spending<'a>> {
        let (budget, estimator, quoted) = (&self.budget, self.estimator(rules), &self.quoted[..]);
        self.limits.are_set().then_some(Spending { budget, estimator, gatherer, answers, quoted })
    }

    /// What the limits kept from being sent at all, beside what was sent and has no good answer.
    pub(super) fn not_sent(&self, all: &[Submitted], rows: Option<Rows>) -> Option<NotSent> {
        let firsts = || all.iter().filter(|it| it.is_first());
        let keys: Vec<&str> = firsts().filter(|it| it.is_over_budget()).map(|it| it.key.as_str()).collect();
        let not_sent = self.budget.not_sent(&keys, firsts().count())?;
        let to_send = rows.map_or(0, |rows| (rows.counts.failed + rows.counts.missing).saturating_sub(rows.paid));
        Some(not_sent.with_failed(to_send.saturating_sub(not_sent.needs.requests), self.dearest()))
    }

    /// What a request may need where they need the most.
    fn dearest(&self) -> Sum {
        self.quoted.iter().map(|(_, needs)| needs.each()).fold(Sum::default(), |most, each| Sum {
            cost: most.cost.max(each.cost),
            tokens: most.tokens.max(each.tokens),
            requests: 1,
        })
    }

    /// What the report says of the budget; nothing where there is no limit.
    pub(super) fn report(&self, not_sent: Option<&NotSent>) -> Option<BudgetReport> {
        self.budget.report(not_sent)
    }

    fn estimator(&self, rules: &Rules) -> Estimator<'_> {
        let (dialect, tokenizers) = (rules.dialect, Arc::clone(&self.tokenizers));
        Estimator { billing: &self.billing, dialect, tokenizers, last: self.last.as_ref() }
    }
}

/// What the budget counts before a batch is over, a sentence.
fn reserved(quotes: &[Quote]) -> String {
    match quotes.iter().map(Quote::uncapped).sum() {
        0 => "Budget: a batch that is not over counts with the most that it may cost".to_owned(),
        uncapped => format!(
            "Budget: a batch that is not over counts with its likely cost: {} no cap, so it may cost more",
            match requests_count(uncapped) {
                one if uncapped == 1 => format!("{one} has"),
                several => format!("{several} have"),
            }
        ),
    }
}

/// Refuses requests whose cost has no limit or no price, if the budget needs one.
///
/// # Errors
/// Ends in exit 4 if there are such requests.
fn admit(quotes: &[Quote], limits: Limits, mode: BudgetMode) -> Result<(), Error> {
    if limits.cost.is_some()
        && let Some(model) = quotes.iter().find_map(Quote::unpriced)
    {
        let message = format!("`max-cost` cannot be kept to. {}", bill::unpriced(model));
        return Err(Error::new(Exit::Refused, message).hint(
            "Give its price in a file with `prices`, as docs/cost.md describes, or limit the run with `max-tokens` or \
             `max-total-requests`.",
        ));
    }
    let uncapped: u64 = quotes.iter().map(Quote::uncapped).sum();
    if mode == BudgetMode::Strict && (limits.cost.is_some() || limits.tokens.is_some()) && uncapped > 0 {
        let requests = requests_count(uncapped);
        let message = format!("`budget: strict` refuses {requests} without a limit on the answer: nothing was sent.");
        return Err(Error::new(Exit::Refused, message).hint(
            "Add `max_completion_tokens` (chat), `max_output_tokens` (responses) or `max_tokens` to each, or use \
             `budget: likely`.",
        ));
    }
    Ok(())
}
