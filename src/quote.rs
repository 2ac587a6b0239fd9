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

    /// The model, if its price is not known.
    pub(crate) fn unpriced(&self) -> Option<&str> {
        let model = self.model.as_deref().unwrap_or("requests that name no model");
        self.amounts.is_none().then_some(model)
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
        let cap = forecast.output_cap;
        Some(Self {
            floor: band(Band::default())?,
            likely: band(output)?,
            ceiling: band(Band { low: cap, likely: cap, high: cap })?,
            reserved: rate.expected(input.high, reserved_output, longest)?,
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
