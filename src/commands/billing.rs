//! What answers are priced with when they are gathered, and how the provider's own count of what was used is compared.

use crate::api::Api;
use crate::clock::Clock;
use crate::dialects::{Batch, Tokens, Vendor};
use crate::prices::{Prices, Rate, Seller, regional_surcharge};
use crate::report::ModelUsage;
use crate::results::{self, Pricing, Results};
use crate::session::Connected;
use crate::text::thousands;

/// How far the provider's count may be from the answers' own, as a share of it. Less would move no sum of money that
/// anybody looks at, and a provider may count an answer that it did not deliver.
pub(super) const ONE_IN: u64 = 100;

/// The prices, and whose hold.
#[derive(Clone)]
pub(super) struct Billing {
    prices: Prices,
    vendor: &'static Vendor,
    origin: String,
    /// Stands for the creation of batches that do not say when they were created, in seconds since the Unix epoch.
    now: u64,
}

impl Billing {
    /// At these prices, of the provider that is connected.
    pub(super) fn of(connected: &Connected<'_>, prices: Prices) -> Self {
        Self::new(prices, connected.api.vendor(), connected.api.origin(), connected.session.world.clock)
    }

    /// At these prices, of a vendor at an address, which is empty where it is not known.
    pub(super) fn new(prices: Prices, vendor: &'static Vendor, origin: String, clock: Clock) -> Self {
        Self { prices, vendor, origin, now: u64::try_from(clock.unix()).unwrap_or_default() }
    }

    /// What a model costs now, if that is known.
    pub(super) fn rate(&self, model: &str) -> Option<Rate<'_>> {
        self.seller()?.rate(model, self.now)
    }

    /// The date of the prices, and whose they are and where they are from.
    pub(super) fn provenance(&self) -> Option<(String, String)> {
        let seller = self.seller()?;
        Some((self.prices.date().to_owned(), seller.provenance(&self.prices)))
    }

    /// Prices answers.
    pub(super) fn pricing(&self) -> Pricing<'_> {
        Pricing::new(self.seller(), self.now)
    }

    /// Adds up what the answers cost.
    pub(super) fn sum(&self, results: &mut Results) {
        let surcharge = regional_surcharge(Some(&self.origin));
        results.cost = results::cost(results, &self.prices, self.seller().as_ref(), surcharge);
    }

    fn seller(&self) -> Option<Seller<'_>> {
        self.prices.seller(self.vendor, Some(&self.origin))
    }
}

/// A warning if the provider's own count of what a batch used is another than the sum of its answers.
pub(super) fn differs(batch: &Batch, usage: &[ModelUsage], api: &Api) -> Option<String> {
    let theirs = batch.usage?;
    let mut ours = Tokens::default();
    usage.iter().filter(|usage| usage.batch_id == batch.id).for_each(|usage| ours.add(usage.tokens));
    let is_other = |theirs: u64, ours: u64| theirs.abs_diff(ours) > theirs.max(ours) / ONE_IN;
    let tokens = |of: Tokens| format!("{} input and {} output tokens", thousands(of.input), thousands(of.output));
    (is_other(theirs.input, ours.input) || is_other(theirs.output, ours.output)).then(|| {
        format!(
            "Batch {} used {}, as the provider counts them; its answers say {}. Costs are computed from the answers.",
            api.shown(&batch.id),
            tokens(theirs),
            tokens(ours)
        )
    })
}
