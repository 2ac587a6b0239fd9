//! Estimates: what requests will use and cost, before anything is sent.

use std::path::Path;

use super::billing::Billing;
use super::finished::Finished;
use crate::bill;
use crate::dialects::Dialect;
use crate::emitter::Events;
use crate::error::{Error, Exit};
use crate::estimate::{self, Effort, Tokenizers};
use crate::events::Event;
use crate::past::Past;
use crate::quote::{self, Quote};
use crate::report::Report;
use crate::requests::shards::Shard;
use crate::requests::source::Source;

/// What requests are estimated with.
pub(super) struct Estimator<'a> {
    /// What models cost.
    pub(super) billing: &'a Billing,
    /// How the requests are read.
    pub(super) dialect: &'static dyn Dialect,
    /// The last report, if there is one.
    pub(super) last: Option<&'a Report>,
}

impl Estimator<'_> {
    /// Quotes these shards, beside the runtime.
    ///
    /// # Errors
    /// Ends in exit 3 if the requests cannot be read.
    pub(super) async fn quotes(&self, source: &Source, shards: &[Shard]) -> Result<Vec<Quote>, Error> {
        let (source, owned, dialect) = (source.clone(), shards.to_vec(), self.dialect);
        let counting = tokio::task::spawn_blocking(move || {
            let tokenizers = Tokenizers::default();
            let effort = |shard: &Shard| Effort::for_one(shard, &owned);
            let one = |shard: &Shard| estimate::forecast(&source, shard, dialect, effort(shard), &tokenizers);
            owned.iter().map(one).collect::<std::io::Result<Vec<_>>>()
        });
        let forecasts = counting.await.map_err(std::io::Error::other).and_then(|forecasts| forecasts);
        let failed = |error| Error::new(Exit::Invalid, "The requests cannot be read to estimate them.").because(error);
        let quote = |(shard, forecast): (&Shard, _)| {
            let model = shard.model.as_deref();
            let rate = model.and_then(|model| self.billing.rate(model));
            let past = self.last.map_or_else(Past::default, |last| Past::of(last, model));
            Quote::new(model, forecast, past, rate)
        };
        Ok(shards.iter().zip(forecasts.map_err(failed)?).map(quote).collect())
    }
}

/// Puts what requests are expected to cost into the report and the log.
pub(super) fn show(quotes: &[Quote], billing: &Billing, report: &mut Report, events: &Events<'_>) {
    let estimate = quote::estimate(quotes);
    if let Some(provenance) = billing.provenance().filter(|_| estimate.floor_usd.is_some()) {
        (report.cost.prices_date, report.cost.prices_source) = provenance;
    }
    report.cost.estimate = Some(estimate);
    bill::expected(report).into_iter().chain(bill::basis(report)).for_each(|it| events.emit(Event::Estimated(it)));
}

/// The report that the last run left in this directory, if it can be read as one.
pub(super) fn last_report(dir: &Path) -> Option<Report> {
    Finished::read(&dir.join(crate::session::REPORT)).ok().map(|run| run.report)
}
