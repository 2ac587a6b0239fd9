//! The rules of pricing, each with its arithmetic; prices are in dollars for a million tokens.

use super::{Cost, Prices, Seller, regional_surcharge};
use crate::dialects::{Name, Tokens, Vendor, choose};
use crate::usd::Usd;

/// After all changes that the built-in prices know of: 2027-01-15.
const LATE: u64 = 1_799_971_200;

/// 2026-10-26.
const AUTUMN: u64 = 1_792_972_800;

fn vendor(name: Name) -> &'static Vendor {
    choose(name)
}

/// What a batch costs, in picodollars.
fn batch(seller: &Seller<'_>, model: &str, tokens: Tokens) -> Option<u64> {
    cost(seller, model, tokens).map(|cost| cost.0)
}

/// What a batch and what other calls cost, in picodollars.
fn cost(seller: &Seller<'_>, model: &str, tokens: Tokens) -> Option<(u64, u64)> {
    let Cost { batch, standard } = seller.rate(model, AUTUMN)?.cost(&tokens)?;
    let picodollars = |sum: Usd| (sum.as_dollars() * 1e12).round() as u64;
    Some((picodollars(batch), picodollars(standard)))
}

#[test]
fn the_built_in_prices_can_be_read() {
    let prices = Prices::built_in();
    assert_eq!(prices.date(), "2026-10-26");
    assert!(prices.source().starts_with("genai-prices "), "{}", prices.source());
    let sold: usize = prices.tables[0].vendors.iter().map(|vendor| vendor.models.len()).sum();
    assert!(sold >= 95, "{sold} models");
    // Nothing of the table says that there is one price for both.
    let mut rates = prices.tables[0].vendors.iter().flat_map(|vendor| &vendor.models).flat_map(|model| &model.rates);
    assert!(rates.all(|rate| rate.standard.is_some()));
}

#[test]
fn a_plain_batch_costs_half() {
    let prices = Prices::built_in();
    let openai = prices.seller(vendor(Name::Openai), None).unwrap();
    // gpt-5-mini: input 0.25, output 2; in a batch 0.125 and 1.
    let tokens = Tokens { input: 1_000, output: 100, ..Tokens::default() };
    let of_batch = 1_000 * 125_000 + 100 * 1_000_000;
    assert_eq!(cost(&openai, "gpt-5-mini", tokens), Some((of_batch, 2 * of_batch)));
    let _ = (batch(&openai, "x", tokens), LATE, regional_surcharge(None));
}
