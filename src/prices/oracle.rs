//! Our sums, compared with those of the crate that our prices are from.
//!
//! Where they differ on purpose: a model that `crates/xtask/supplement.json` adds has no batch price there, and audio
//! without a price of its own is billed there as text, and here not at all. Our counts do not say how much of the audio
//! was cached, so that is asked only where all or nothing was.

use std::time::{Duration, UNIX_EPOCH};

use genai_prices::{PriceRequest, Usage};
use proptest::prelude::*;

use super::table::{Model, Name};
use super::{Prices, Seller};
use crate::dialects::Tokens;

/// Every model of the table, with its seller.
fn each_model(prices: &Prices, mut see: impl FnMut(&Seller<'_>, &Model)) {
    for vendor in &prices.tables[0].vendors {
        let seller = Seller { vendors: vec![vendor] };
        vendor.models.iter().for_each(|model| see(&seller, model));
    }
}

/// A name that a pattern takes.
fn example(name: &Name) -> String {
    name.text.replace("[-@]", "@").replace('#', "1").replace('*', "org::id")
}

/// What genai-prices says that a request costs, in dollars: in a batch, and without.
fn theirs(vendor: &str, model: &str, at: u64, tokens: &Tokens) -> [f64; 2] {
    let cached = |part: u64| if tokens.cached == 0 { 0 } else { part };
    let usage = Usage::from(
        [
            ("input_tokens", tokens.input),
            ("cache_read_tokens", tokens.cached),
            ("cache_write_tokens", tokens.cache_written),
            ("cache_write_1h_tokens", tokens.cache_written_1h),
            ("input_audio_tokens", tokens.input_audio),
            ("cache_audio_read_tokens", cached(tokens.input_audio)),
            ("input_image_tokens", tokens.input_image),
            ("cache_image_read_tokens", cached(tokens.input_image)),
            ("output_tokens", tokens.output),
            ("output_reasoning_tokens", tokens.reasoning),
            ("output_image_tokens", tokens.output_image),
        ]
        .map(|(key, count)| (key, count as f64)),
    );
    let request = PriceRequest::new(model, &usage).with_provider_id(vendor);
    let request = request.with_timestamp(UNIX_EPOCH + Duration::from_secs(at));
    let batch = request.clone().with_price_context("processing", "batch");
    [batch, request].map(|request| {
        let price = genai_prices::calculate(&request).unwrap_or_else(|error| panic!("{model} of {vendor}: {error}"));
        assert_eq!(price.warnings, [""; 0]);
        price.total_price
    })
}

/// Compares what a model costs at a time.
fn compare(seller: &Seller<'_>, model: &str, at: u64, tokens: &Tokens) {
    let place = || format!("{model} of {} at {at}, {tokens:?}", seller.id());
    let [batch, standard] = theirs(seller.id(), model, at, tokens);
    let Some(cost) = seller.rate(model, at).unwrap_or_else(|| panic!("{}", place())).cost(tokens) else {
        panic!("no cost of {}", place());
    };
    let is_same = |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-9;
    assert!(is_same(cost.standard.as_dollars(), standard), "{}: {cost:?}, {standard}", place());
    if model.starts_with("text-embedding-") {
        assert!(is_same(batch, standard), "genai-prices knows {model} now: take it out of the supplement");
        assert!(tokens.input == 0 || cost.batch < cost.standard, "{}: {cost:?}", place());
    } else {
        assert!(is_same(cost.batch.as_dollars(), batch), "{}: {cost:?}, {batch}", place());
    }
}

#[test]
fn every_name_is_priced_as_there() {
    let prices = Prices::built_in();
    let mut names = 0;
    each_model(&prices, |seller, model| {
        for name in model.names.iter().map(example) {
            names += 1;
            let output = if name.starts_with("text-embedding-") { 0 } else { 77_777 };
            let tokens = Tokens { input: 123_456, cached: 12_345, output, ..Tokens::default() };
            compare(seller, &name, 1_799_971_200, &tokens);
        }
    });
    assert!(names >= 200, "{names} names");
}

/// Counts that agree with each other. Where there are audio or images, all or nothing was cached.
fn counts() -> impl Strategy<Value = Tokens> {
    let input =
        prop_oneof![0_u64..10_000, 99_990_u64..100_010, 199_990_u64..200_010, 271_990_u64..272_010, 0..999_999_u64];
    (input, 0_u64..100_000, any::<[u16; 6]>(), 0..4).prop_map(|(input, output, parts, shape)| {
        let part = |of: u64, index: usize| of * u64::from(parts[index]) / u64::from(u16::MAX);
        let cached = part(input, 0);
        let cache_written = part(input - cached, 1);
        let text = Tokens { input, output, reasoning: part(output, 2), ..Tokens::default() };
        let input_audio = part(input, 3);
        let input_image = part(input - input_audio, 4);
        let media = Tokens { input_audio, input_image, output_image: part(output, 5), reasoning: 0, ..text };
        match shape {
            0 => text,
            1 => Tokens { cached, cache_written, cache_written_1h: part(cache_written, 5), ..text },
            2 => media,
            _ => Tokens { cached: input, ..media },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_model_costs_what_it_costs_there(tokens in counts()) {
        let prices = Prices::built_in();
        each_model(&prices, |seller, model| {
            let name = example(&model.names[0]);
            let mut tokens = tokens;
            if !model.rates[0].batch.prices_audio() {
                tokens.input_audio = 0;
            }
            if name.starts_with("text-embedding-") {
                tokens = Tokens { output: 0, reasoning: 0, output_image: 0, ..tokens };
            }
            // Before and after each change.
            let changes = model.rates.iter().filter_map(|rate| rate.from.as_ref()).map(|from| from.seconds);
            for (index, at) in changes.enumerate() {
                if index == 0 {
                    assert!(seller.rate(&name, at - 1).is_none(), "{name} has a price before {at}");
                } else {
                    compare(seller, &name, at - 1, &tokens);
                }
                compare(seller, &name, at, &tokens);
            }
            compare(seller, &name, 1_830_000_000, &tokens);
        });
    }
}
