//! What the inputs about money mean.

use crate::budget::Limits;
use crate::error::Error;
use crate::inputs::{self, Pricing};
use crate::prices::Prices;
use crate::values::BudgetMode;

/// What a run may spend, and what models cost.
pub(crate) struct Money {
    /// What it may spend.
    pub(crate) limits: Limits,
    /// What holds where requests do not cap their output.
    pub(crate) mode: BudgetMode,
    /// What models cost.
    pub(crate) prices: Prices,
}

impl Money {
    /// What the inputs say.
    ///
    /// # Errors
    /// Ends in exit 2 if the file of prices cannot be used.
    pub(super) fn of(money: &inputs::Money, pricing: &Pricing) -> Result<Self, Error> {
        let limits = Limits { cost: money.max_cost, tokens: money.max_tokens, requests: money.max_total_requests };
        Ok(Self { limits, mode: money.budget.unwrap_or_default(), prices: prices(pricing)? })
    }
}

/// What models cost.
///
/// # Errors
/// Ends in exit 2 if the file that the user names cannot be used.
pub(crate) fn prices(pricing: &Pricing) -> Result<Prices, Error> {
    pricing.prices.as_ref().map_or_else(|| Ok(Prices::built_in()), |path| Prices::read(path))
}
