//! What the samples cost.

use crate::report::{Band, BudgetReport, CostReport, Estimate, Lacking, ModelEstimate, Unpriced};
use crate::usd::Usd;

/// So many dollars, which would be so many without a batch.
pub(super) fn of(dollars: f64, standard: f64) -> CostReport {
    CostReport {
        prices_date: "2025-12-29".to_owned(),
        prices_source: "genai-prices 0.2.1".to_owned(),
        usd: Usd::dollars(dollars),
        standard_usd: Usd::dollars(standard),
        ..CostReport::default()
    }
}

/// The same, with everything beside the sums that there can be.
pub(super) fn with_all(cost: CostReport) -> CostReport {
    CostReport {
        estimate: Some(estimate()),
        unpriced: vec![unpriced("gpt-4.1-nano", 3)],
        not_included: vec!["12 web searches, which the provider bills by the call.".to_owned()],
        budget: Some(BudgetReport { not_sent: 0, not_sent_usd: None, ..budget() }),
        ..cost
    }
}

fn unpriced(model: &str, answers: u64) -> Unpriced {
    Unpriced { model: Some(model.to_owned()), answers, lacking: Lacking::Price }
}

fn band(low: f64, likely: f64, high: f64) -> Option<Band<Usd>> {
    let usd = |dollars| Usd::dollars(dollars).unwrap();
    Some(Band { low: usd(low), likely: usd(likely), high: usd(high) })
}

/// An estimate with all three sums.
pub(super) fn estimate() -> Estimate {
    Estimate {
        requests: 1_200,
        sampled: 1_000,
        input_tokens: Band { low: 1_210_000, likely: 1_234_000, high: 1_258_000 },
        output_cap_tokens: 614_400,
        uncapped: 0,
        likely_output_tokens: 80,
        likely_because: "as in the last run of these requests".to_owned(),
        basis: "Counted with o200k_base, the model's own tokenizer.".to_owned(),
        floor_usd: band(0.242, 0.247, 0.252),
        likely_usd: band(0.29, 0.324, 0.36),
        ceiling_usd: band(0.734, 0.738, 0.743),
        unpriced_models: Vec::new(),
        models: vec![ModelEstimate {
            model: Some("gpt-4.1-mini".to_owned()),
            requests: 1_200,
            input_tokens: 1_234_000,
        }],
    }
}

/// The same, of requests of which three have no cap.
pub(super) fn without_ceiling() -> Estimate {
    Estimate { uncapped: 3, ceiling_usd: None, ..estimate() }
}

/// A limit that left requests out.
pub(super) fn budget() -> BudgetReport {
    BudgetReport {
        max_cost_usd: Usd::dollars(2.0),
        max_tokens: None,
        max_total_requests: None,
        not_sent: 80,
        not_sent_usd: Usd::dollars(1.1),
    }
}

/// Costs that quote `text` wherever they quote anything.
pub(super) fn hostile(text: &str) -> CostReport {
    let own = || text.to_owned();
    let mut estimate = estimate();
    (estimate.likely_because, estimate.basis) = (own(), own());
    estimate.unpriced_models = vec![own()];
    estimate.models[0].model = Some(own());
    CostReport {
        prices_date: own(),
        prices_source: own(),
        estimate: Some(estimate),
        unpriced: vec![unpriced(text, 3)],
        not_included: vec![own()],
        budget: Some(budget()),
        ..of(0.318_020_6, 0.635_938_8)
    }
}
