//! What requests will cost: the tokens that they are expected to use, at the price of their model.
//!
//! Three numbers. The floor is the input alone. The likely cost adds answers as long as those of an earlier run, or as
//! long as is assumed. The ceiling adds answers as long as the requests allow; there is none if one of them sets no
//! limit.

use crate::budget::Sum;
use crate::estimate::Forecast;
use crate::past::Past;
use crate::policy::{ASSUMED_OUTPUT, ASSUMED_OUTPUT_UP_TO, OUTPUT_VARIES};
use crate::prices::Rate;
use crate::report::{Band, Estimate, ModelEstimate};
use crate::usd::Usd;

/// What the requests of a shard will use and cost.
#[derive(Clone, Debug)]
pub(crate) struct Quote {
    model: Option<String>,
    forecast: Forecast,
    /// Input tokens as they were counted.
    counted: u64,
    /// Output tokens, together.
    output: Band<u64>,
    /// Output tokens of which it is known that there will be no more, or that there are likely to be no more.
    reserved_output: u64,
    /// Whether an earlier run says how long answers are.
    is_output_known: bool,
    /// None where a price is not known.
    amounts: Option<Amounts>,
}

/// Sums of money.
#[derive(Clone, Copy, Debug)]
struct Amounts {
    floor: Band<Usd>,
    likely: Band<Usd>,
    ceiling: Band<Usd>,
    reserved: Usd,
}

impl Quote {
    /// That of requests to a model, which is priced at this rate, if it is known.
    pub(crate) fn new(model: Option<&str>, forecast: Forecast, past: Past, rate: Option<Rate<'_>>) -> Self {
        let counted = forecast.input.likely;
        let forecast = match past.factor {
            Some(factor) => forecast.calibrated(factor),
            None => forecast,
        };
        let each = past.output.unwrap_or(ASSUMED_OUTPUT);
        let output = output(&forecast, past.output);
        let reserved_output = forecast.output_cap.saturating_add(forecast.uncapped.saturating_mul(each));
        let amounts = rate.and_then(|rate| Amounts::of(&forecast, output, reserved_output, rate));
        let (model, is_output_known) = (model.map(str::to_owned), past.output.is_some());
        Self { model, forecast, counted, output, reserved_output, is_output_known, amounts }
    }

    /// What is reserved for the requests: what they need at most, or are likely to need at most where they do not limit
    /// their answers. No money where no price is known.
    pub(crate) fn needs(&self) -> Sum {
        let tokens = self.forecast.input.high.saturating_add(self.reserved_output);
        let cost = self.amounts.map_or(Usd::ZERO, |amounts| amounts.reserved);
        Sum { cost, tokens, requests: self.forecast.requests }
    }

    /// The model, if its price is not known; empty where the requests name none.
    pub(crate) fn unpriced(&self) -> Option<&str> {
        self.amounts.is_none().then(|| self.model.as_deref().unwrap_or_default())
    }

    /// How many requests do not limit their answers.
    pub(crate) fn uncapped(&self) -> u64 {
        self.forecast.uncapped
    }
}

/// How many output tokens there will be, together: on average as many as in an earlier run, or as are assumed, and no
/// more than the requests allow.
fn output(forecast: &Forecast, earlier: Option<u64>) -> Band<u64> {
    let capped = forecast.requests.saturating_sub(forecast.uncapped);
    let together = |each: u64| {
        let limited = capped.saturating_mul(each).min(forecast.output_cap);
        limited.saturating_add(forecast.uncapped.saturating_mul(each))
    };
    match earlier {
        Some(each) => {
            let varies = each / OUTPUT_VARIES;
            Band { low: together(each - varies), likely: together(each), high: together(each.saturating_add(varies)) }
        }
        None => {
            let high = together(ASSUMED_OUTPUT * ASSUMED_OUTPUT_UP_TO);
            Band { low: 0, likely: together(ASSUMED_OUTPUT), high }
        }
    }
}

impl Amounts {
    fn of(forecast: &Forecast, output: Band<u64>, reserved_output: u64, rate: Rate<'_>) -> Option<Self> {
        let input = forecast.input;
        // How long a request is decides what all its tokens cost. A band ends where the longest would set the price.
        let each = input.likely / forecast.requests.max(1);
        let longest = forecast.largest_input;
        let band = |output: Band<u64>| {
            Some(Band {
                low: rate.expected(input.low, output.low, each.min(longest))?,
                likely: rate.expected(input.likely, output.likely, each)?,
                high: rate.expected(input.high, output.high, longest)?,
            })
        };
        let (cap, writes) = (forecast.output_cap, forecast.basis.cache_writes());
        let at_most = |output: u64| rate.at_most(input.high, output, longest, writes);
        Some(Self {
            floor: band(Band::default())?,
            likely: band(output)?,
            ceiling: Band { high: at_most(cap)?, ..band(Band { low: cap, likely: cap, high: cap })? },
            reserved: at_most(reserved_output)?,
        })
    }
}

/// The estimate for all of these, as reports say it.
pub(crate) fn estimate(quotes: &[Quote]) -> Estimate {
    let sum = |of: fn(&Quote) -> u64| quotes.iter().map(of).fold(0, u64::saturating_add);
    let (requests, uncapped) = (sum(|quote| quote.forecast.requests), sum(Quote::uncapped));
    let unpriced_models = distinct(quotes.iter().filter_map(Quote::unpriced));
    let amounts: Vec<Amounts> = quotes.iter().filter_map(|quote| quote.amounts).collect();
    let usd = |of: fn(&Amounts) -> Band<Usd>| {
        let together = |one: fn(Band<Usd>) -> Usd| amounts.iter().map(|amounts| one(of(amounts))).sum();
        let band = Band {
            low: together(|band| band.low),
            likely: together(|band| band.likely),
            high: together(|band| band.high),
        };
        (unpriced_models.is_empty() && !amounts.is_empty()).then_some(band)
    };
    Estimate {
        requests,
        sampled: sum(|quote| quote.forecast.sampled),
        input_tokens: Band {
            low: sum(|quote| quote.forecast.input.low),
            likely: sum(|quote| quote.forecast.input.likely),
            high: sum(|quote| quote.forecast.input.high),
        },
        output_cap_tokens: sum(|quote| quote.forecast.output_cap),
        uncapped,
        likely_output_tokens: sum(|quote| quote.output.likely) / requests.max(1),
        likely_because: because(quotes).to_owned(),
        basis: distinct(quotes.iter().map(|quote| quote.forecast.basis.reason())).join(" "),
        floor_usd: usd(|amounts| amounts.floor),
        likely_usd: usd(|amounts| amounts.likely),
        ceiling_usd: usd(|amounts| amounts.ceiling).filter(|_| uncapped == 0),
        models: models(quotes),
        unpriced_models,
    }
}

fn because(quotes: &[Quote]) -> &'static str {
    match quotes.iter().filter(|quote| quote.is_output_known).count() {
        0 if quotes.iter().all(|quote| quote.output.likely == quote.forecast.output_cap) => {
            "as long as the requests allow, since no earlier report says how long answers are"
        }
        0 => "assumed, since no earlier report says how long answers are",
        known if known == quotes.len() => "as long as in the last run",
        _ => "as long as in the last run, or assumed for models that it did not ask",
    }
}

/// Each once, in the order in which they come.
fn distinct<T: Into<String>>(all: impl Iterator<Item = T>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for text in all.map(Into::into) {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

fn models(quotes: &[Quote]) -> Vec<ModelEstimate> {
    let mut models: Vec<ModelEstimate> = Vec::new();
    for Quote { model, forecast, counted, .. } in quotes {
        let at = models.iter().position(|known| known.model == *model).unwrap_or_else(|| {
            models.push(ModelEstimate { model: model.clone(), ..ModelEstimate::default() });
            models.len() - 1
        });
        let of = &mut models[at];
        of.requests = of.requests.saturating_add(forecast.requests);
        of.input_tokens = of.input_tokens.saturating_add(*counted);
    }
    models
}

#[cfg(test)]
mod tests {
    use super::{ASSUMED_OUTPUT, Past, Quote, estimate};
    use crate::dialects::{Name, choose};
    use crate::estimate::{Effort, Forecast, Tokenizers, forecast};
    use crate::prices::Prices;
    use crate::requests::source::testing::source;
    use crate::usd::Usd;

    /// When prices of all models below are known.
    const NOW: u64 = 1_800_000_000;

    /// What these lines will use at a vendor.
    fn forecast_of(name: Name, lines: &[String]) -> Forecast {
        let rules = choose(name).rules();
        let (source, _dir) = source(&[("a", lines.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules).unwrap();
        assert_eq!(checked.fault_count, 0, "{:?}", checked.faults);
        forecast(&source, &checked.shards[0], rules.dialect, Effort::WHOLE, &Tokenizers::default()).unwrap()
    }

    fn chat(model: &str, id: u32, cap: Option<u64>) -> String {
        let cap = cap.map(|cap| format!(r#""max_completion_tokens":{cap},"#)).unwrap_or_default();
        let body = format!(r#"{{"model":"{model}",{cap}"messages":[{{"role":"user","content":"hi"}}]}}"#);
        format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
    }

    fn quote(name: Name, model: &str, forecast: &Forecast, past: Past) -> Quote {
        let prices = Prices::built_in();
        let seller = prices.seller(choose(name), None);
        let rate = seller.as_ref().and_then(|seller| seller.rate(model, NOW));
        Quote::new(Some(model), forecast.clone(), past, rate)
    }

    /// So much for each of so many tokens, in dollars a million.
    fn at(price: f64, tokens: u64) -> Usd {
        Usd::dollars(price / 1e6).unwrap().times(tokens)
    }

    #[test]
    fn caps_are_reserved_and_where_there_is_none_what_is_likely() {
        let forecast = forecast_of(Name::Openai, &[chat("gpt-4.1-mini", 1, Some(100)), chat("gpt-4.1-mini", 2, None)]);
        let known = Past { factor: None, output: Some(30) };
        let usual = quote(Name::Openai, "gpt-4.1-mini", &forecast, Past::default());
        let input = forecast.input.high;
        assert_eq!(usual.needs().cost, at(0.2, input) + at(0.8, 100 + ASSUMED_OUTPUT));
        assert_eq!((usual.needs().tokens, usual.needs().requests), (input + 100 + ASSUMED_OUTPUT, 2));
        // The cap holds although answers were shorter: they need not be again.
        let seen = quote(Name::Openai, "gpt-4.1-mini", &forecast, known);
        assert_eq!(seen.needs().cost, at(0.2, input) + at(0.8, 100 + 30));
        let all = estimate(&[seen]);
        assert_eq!(
            (all.uncapped, all.ceiling_usd, all.output_cap_tokens, all.likely_output_tokens),
            (1, None, 100, 30)
        );
        assert_eq!(all.likely_usd.unwrap().likely, at(0.2, forecast.input.likely) + at(0.8, 60));
        assert_eq!(all.floor_usd.unwrap().likely, at(0.2, forecast.input.likely));
    }

    #[test]
    fn a_price_that_is_not_known_gives_no_sum_for_any() {
        let forecast = forecast_of(Name::Openai, &[chat("gpt-4.1-mini", 1, Some(100))]);
        let quotes = ["gpt-4.1-mini", "my-model"].map(|model| quote(Name::Openai, model, &forecast, Past::default()));
        let all = estimate(&quotes);
        assert_eq!((all.floor_usd, all.likely_usd, all.ceiling_usd), (None, None, None));
        assert_eq!((all.unpriced_models, all.requests), (vec!["my-model".to_owned()], 2));
        assert_eq!(quotes[1].needs().cost, Usd::ZERO);
    }

    #[test]
    fn one_long_request_may_make_all_of_them_dear() {
        let forecast = forecast_of(Name::Openai, &[chat("gpt-6-sol", 1, Some(100))]);
        let input = forecast.input.high;
        // At most, since this vendor writes to its cache by itself: 1.25 instead of 1, and 2.5 in a long request.
        let short = quote(Name::Openai, "gpt-6-sol", &forecast, Past::default());
        assert_eq!(short.needs().cost, at(1.25, input) + at(5.0, 100));
        let long = Forecast { largest_input: 272_001, ..forecast };
        let long = quote(Name::Openai, "gpt-6-sol", &long, Past::default());
        assert_eq!(long.needs().cost, at(2.5, input) + at(7.5, 100));
        assert_eq!(estimate(&[long]).ceiling_usd.unwrap().high, at(2.5, input) + at(7.5, 100));
    }

    #[test]
    fn what_is_written_to_a_cache_costs_more_at_most() {
        let message = |cache: &str| {
            let text = format!(r#"{{"type":"text","text":"hi"{cache}}}"#);
            let messages = format!(r#"[{{"role":"user","content":[{text}]}}]"#);
            let params = format!(r#"{{"model":"claude-haiku-4-5","max_tokens":10,"messages":{messages}}}"#);
            forecast_of(Name::Anthropic, &[format!(r#"{{"custom_id":"a","params":{params}}}"#)])
        };
        let needs =
            |forecast: &Forecast| quote(Name::Anthropic, "claude-haiku-4-5", forecast, Past::default()).needs().cost;
        let plain = message("");
        assert_eq!(needs(&plain), at(0.5, plain.input.high) + at(2.5, 10));
        let cached = message(r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#);
        assert_eq!(needs(&cached), at(1.0, cached.input.high) + at(2.5, 10), "an hour costs twice as much");
    }
}
