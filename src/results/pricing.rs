//! What answers cost: the usage that each states, at the price of its model when its batch was created.
//!
//! Billed is what states a usage. OpenAI's and Anthropic's pages say that requests which were answered before their batch
//! expired or was cancelled are billed, and that errored, expired and cancelled requests are not: their lines state none.
//! So an answer that is suspect, rejected or empty counts, and so does a failure with a usage in its body.

use std::cell::RefCell;

use super::{AnswersFile, Results};
use crate::dialects::Tokens;
use crate::prices::{Cost, Prices, Rate, Seller};
use crate::report::{CostReport, Lacking};
use crate::text::counted;

/// How many rates are kept at hand. Batches have a model each, or a few with a date.
const MOST_RATES: usize = 64;
/// The longest name of a model that is looked up, in bytes.
const LONGEST_MODEL: usize = 200;

/// Prices answers. A trait, since rows are kept for less long than the prices that are looked up for them.
pub(crate) trait PriceAnswers {
    /// What an answer in this file costs, if it names this model and used so much.
    fn price(&self, file: &AnswersFile, model: Option<&str>, tokens: &Tokens) -> Priced;
}

/// What an answer costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priced {
    /// So much.
    At(Cost),
    /// That is not known, for want of this.
    Unknown(Lacking),
}

/// Prices answers by the usage that they state. A model is looked up once, and not for each row.
pub(crate) struct Pricing<'a> {
    seller: Option<Seller<'a>>,
    /// When a batch was created that does not say so, in seconds since the Unix epoch.
    now: u64,
    rates: RefCell<Vec<Known<'a>>>,
}

/// The rate of a model at a time; none where it has no price.
struct Known<'a> {
    model: String,
    at: u64,
    rate: Option<Rate<'a>>,
}

impl<'a> Pricing<'a> {
    /// Prices answers as `seller` does; without one nothing has a price. `now` stands for the creation of batches that
    /// do not say when they were created, in seconds since the Unix epoch.
    pub(crate) fn new(seller: Option<Seller<'a>>, now: u64) -> Self {
        Self { seller, now, rates: RefCell::default() }
    }

    fn rate(&self, model: &str, at: u64) -> Option<Rate<'a>> {
        let seller = self.seller.as_ref().filter(|_| model.len() <= LONGEST_MODEL)?;
        let mut rates = self.rates.borrow_mut();
        if let Some(known) = rates.iter().find(|known| known.at == at && known.model == model) {
            return known.rate;
        }
        if rates.len() >= MOST_RATES {
            rates.clear();
        }
        let rate = seller.rate(model, at);
        rates.push(Known { model: model.to_owned(), at, rate });
        rate
    }
}

impl PriceAnswers for Pricing<'_> {
    fn price(&self, file: &AnswersFile, model: Option<&str>, tokens: &Tokens) -> Priced {
        if *tokens == Tokens::default() {
            return Priced::Unknown(Lacking::Usage);
        }
        let at = file.created_at.and_then(|at| u64::try_from(at).ok()).unwrap_or(self.now);
        match model.or(file.model.as_deref()).and_then(|model| self.rate(model, at)) {
            None => Priced::Unknown(Lacking::Price),
            Some(rate) => rate.cost(tokens).map_or(Priced::Unknown(Lacking::TokenPrice), Priced::At),
        }
    }
}

/// What the answers cost together, as reports say it. `surcharge` says what the address adds.
pub(crate) fn cost(
    results: &Results,
    prices: &Prices,
    seller: Option<&Seller<'_>>,
    surcharge: Option<&str>,
) -> CostReport {
    let sum = |one: fn(&crate::report::ModelUsage) -> Option<crate::usd::Usd>| {
        let sums: Vec<_> = results.usage.iter().filter_map(one).collect();
        (!sums.is_empty()).then(|| sums.into_iter().sum())
    };
    let (date, source) = match seller {
        Some(_) => (prices.date().to_owned(), prices.source().to_owned()),
        None => Default::default(),
    };
    CostReport {
        prices_date: date,
        prices_source: source,
        usd: sum(|usage| usage.usd),
        standard_usd: sum(|usage| usage.standard_usd),
        unpriced: results.unpriced.clone(),
        not_included: not_included(results.tokens(), surcharge),
        ..CostReport::default()
    }
}

/// What is billed beside the tokens, a sentence each.
fn not_included(tokens: Tokens, surcharge: Option<&str>) -> Vec<String> {
    let calls = |count: u64, what: (&str, &str)| {
        (count > 0).then(|| format!("{}, which the provider bills by the call.", counted(count, what.0, what.1)))
    };
    let tools = ("call of file search or the code interpreter", "calls of file search or the code interpreter");
    let sentences = [
        calls(tokens.web_searches, ("web search", "web searches")),
        calls(tokens.tool_calls, tools),
        surcharge.map(str::to_owned),
    ];
    sentences.into_iter().flatten().collect()
}
