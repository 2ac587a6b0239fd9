//! How many tokens the requests of a shard will use: a forecast from a sample of their lines, before anything is sent.
//!
//! The dialect finds what is billed in a line (`dialects/billed.rs`), and its tokens are counted. The whole is told
//! from the sample with a confidence interval, which is widened by how well the tokenizer fits the model. Prices are
//! somebody else's business. No vocabulary is read before the first forecast needs it.

mod fit;
mod line;
mod merge;
mod pieces;
mod sampling;
mod tokenizer;
mod vocabulary;

use std::io;

use self::fit::Fit;
use self::line::Tokens;
use self::sampling::{Total, read};
pub(crate) use self::tokenizer::Tokenizers;
use crate::dialects::{Dialect, Interval, Uncounted};
use crate::prices::CacheWrites;
use crate::requests::shards::Shard;
use crate::requests::source::Source;

/// How many tokens the requests of a shard will use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forecast {
    /// How many requests there are.
    pub(crate) requests: u64,
    /// The input tokens of all of them.
    pub(crate) input: Interval,
    /// The most input tokens of one of those that were counted, among which is the longest line.
    pub(crate) largest_input: u64,
    /// What the answers may have at most, of the requests that set a limit, together. Exact.
    pub(crate) output_cap: u64,
    /// Requests that set none.
    pub(crate) uncapped: u64,
    /// Lines that were counted, different ones.
    pub(crate) sampled: u64,
    /// What it is based on.
    pub(crate) basis: Basis,
}

/// What a forecast is based on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Basis {
    /// How well the tokenizer fits the model.
    pub(crate) fit: Fit,
    /// By what an earlier report corrected the count.
    pub(crate) calibration: Option<f64>,
    /// What is billed and not counted, a bit for each.
    uncounted: u8,
}

/// How much may be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Bytes of text that are counted.
    text: u64,
    /// Bytes of lines that are read.
    lines: u64,
}

impl Effort {
    /// What all shards of a run may cost together.
    pub(crate) const WHOLE: Self = Self { text: 768 * 1024, lines: 48 * 1024 * 1024 };

    /// The part for one of several shards, by its bytes, but enough to say anything.
    pub(crate) fn for_one(shard: &Shard, of: &[Shard]) -> Self {
        let all: u64 = of.iter().map(|shard| shard.bytes).sum();
        let share = |number: u64, least: u64| {
            let part = u128::from(number) * u128::from(shard.bytes) / u128::from(all.max(1));
            u64::try_from(part).unwrap_or(number).max(least)
        };
        Self { text: share(Self::WHOLE.text, 16 * 1024), lines: share(Self::WHOLE.lines, 256 * 1024) }
    }
}

/// Forecasts what the requests of a shard will use. Blocks while it reads and counts.
///
/// # Errors
/// Fails if the requests cannot be read, or are not as long as they were.
pub(crate) fn forecast(
    source: &Source,
    shard: &Shard,
    dialect: &'static dyn Dialect,
    effort: Effort,
    tokenizers: &Tokenizers,
) -> io::Result<Forecast> {
    let fit = Fit::of(shard.model.as_deref());
    let survey = &shard.survey;
    let count = |line: &[u8], quota: u64| {
        let line = std::str::from_utf8(line).unwrap_or_default();
        Tokens::count(&dialect.billed(line, shard.model.as_deref()), &fit, tokenizers, quota)
    };
    let (total, sampled) = sampling::forecast(source, survey, effort, &count)?;
    let longest = survey.longest.map(|longest| read(source, &[longest], |line, _| count(line, sampling::QUOTA * 4)));
    let longest = longest.transpose()?.and_then(|counted| counted.into_iter().next());
    let largest = total.largest.max(longest.map_or(0.0, |tokens| tokens.high));
    let Total { low, likely, high, uncounted, .. } = total;
    let input = Interval { low: low as u64, likely: likely.round() as u64, high: high.ceil() as u64 };
    Ok(Forecast {
        requests: shard.requests,
        input,
        largest_input: largest.ceil() as u64,
        output_cap: survey.output_cap,
        uncapped: survey.uncapped,
        sampled,
        basis: Basis { fit, calibration: None, uncounted },
    })
}

impl Forecast {
    /// The same, corrected by what an earlier run of the model used, divided by what was forecast for that. The band
    /// of the tokenizer gives way to `CALIBRATED`, since what it stood for was measured.
    pub(crate) fn calibrated(self, factor: f64) -> Self {
        if !(factor.is_finite() && factor > 0.0) {
            return self;
        }
        let Interval { low, likely, high } = self.input;
        let fit = &self.basis.fit;
        // What remains of the band without the tokenizer's part is the sample's.
        let remains = |bound: u64, band: f64| bound as f64 / (likely.max(1) as f64 * band);
        let below = remains(low, fit.low / fit.likely).min(1.0);
        let above = remains(high, fit.high / fit.likely).max(1.0);
        let likely = likely as f64 * factor;
        let input = Interval {
            low: (likely * below * (1.0 - fit::CALIBRATED)) as u64,
            likely: likely.round() as u64,
            high: (likely * above * (1.0 + fit::CALIBRATED)).ceil() as u64,
        };
        let largest_input = (self.largest_input as f64 * factor).ceil() as u64;
        let basis = Basis { calibration: Some(factor), ..self.basis };
        Self { input, largest_input, basis, ..self }
    }
}

impl Basis {
    /// What is billed and was not counted, in words.
    pub(crate) fn uncounted(&self) -> Vec<&'static str> {
        let there = Uncounted::ALL.iter().filter(|(what, _)| self.uncounted & *what as u8 != 0);
        there.map(|(_, name)| *name).collect()
    }

    /// Whether requests ask for parts of them to be written to a cache.
    pub(crate) fn cache_writes(&self) -> CacheWrites {
        if self.uncounted & Uncounted::CacheWrites as u8 == 0 { CacheWrites::Unasked } else { CacheWrites::Asked }
    }

    /// Why the band is as wide as it is, in a sentence for people.
    pub(crate) fn reason(&self) -> String {
        let mut reason = match self.calibration {
            Some(factor) => format!("Counted with {}, times {factor:.3} by the last report", self.fit.encoding.name()),
            None => self.fit.reason(),
        };
        let left_out = self.uncounted();
        if !left_out.is_empty() {
            reason = format!("{reason}; not counted: {}", left_out.join(", "));
        }
        reason + "."
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Effort, Forecast, Tokenizers, forecast};
    use crate::dialects::Interval;
    use crate::requests::check;
    use crate::requests::source::testing::source;
    use crate::requests::testing::rules;

    /// The forecast for chat requests of these bodies, without their model.
    fn of(model: &str, bodies: &[&str], effort: Effort) -> Forecast {
        let line = |(id, body): (usize, &&str)| {
            let body = format!(r#"{{"model":"{model}",{body}}}"#);
            format!(r#"{{"custom_id":"{id}","method":"POST","url":"/v1/chat/completions","body":{body}}}"#)
        };
        let lines: Vec<String> = bodies.iter().enumerate().map(line).collect();
        let (source, _dir) = source(&[("a", lines.join("\n").as_bytes())]);
        let checked = check(&source, &rules()).unwrap();
        assert_eq!((checked.fault_count, checked.shards.len()), (0, 1), "{:?}", checked.faults);
        forecast(&source, &checked.shards[0], rules().dialect, effort, &Tokenizers::default()).unwrap()
    }

    #[test]
    fn a_small_file_is_counted_whole() {
        let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
        let capped = format!(r#"{hi},"max_completion_tokens":100,"n":2"#);
        let forecast = of("gpt-4o", &[hi, &capped], Effort::WHOLE);
        // Three around the message, the role, the text, three before the answer.
        assert_eq!(forecast.input, Interval { low: 15, likely: 16, high: 17 });
        assert_eq!((forecast.requests, forecast.sampled, forecast.largest_input), (2, 2, 9));
        assert_eq!((forecast.output_cap, forecast.uncapped), (200, 1));
    }

    #[test]
    fn a_large_file_is_told_from_a_sample_that_is_always_the_same() {
        let words = ["alpha", "beta", "gamma", "数字", "12345"];
        let text = |at: usize| (0..at % 230).map(|word| words[(at + word * word) % 5]).collect::<Vec<_>>().join(" ");
        let bodies: Vec<String> =
            (0..900).map(|at| format!(r#""messages":[{{"role":"user","content":"{}"}}]"#, text(at))).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let truth = of("gpt-4o", &bodies, Effort { text: u64::MAX, lines: u64::MAX });
        let sampled = of("gpt-4o", &bodies, Effort { text: 100_000, lines: 1_000_000 });
        assert_eq!((truth.sampled, sampled.requests), (900, 900));
        assert!(sampled.sampled < 200, "{}", sampled.sampled);
        assert!(sampled.input.low <= truth.input.likely && truth.input.likely <= sampled.input.high);
        assert!(sampled.input.high - sampled.input.low < truth.input.likely / 5, "{:?}", sampled.input);
        assert_eq!(sampled, of("gpt-4o", &bodies, Effort { text: 100_000, lines: 1_000_000 }));
        assert_eq!(sampled.largest_input, truth.largest_input, "the longest line is always counted");
    }

    #[test]
    fn a_calibrated_forecast_has_the_band_of_calibration() {
        let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
        let forecast = of("claude-sonnet-5", &[hi; 100], Effort::WHOLE);
        let Interval { low, likely, high } = forecast.input;
        assert_eq!((low, likely, high), (760, 1000, 1400));
        let calibrated = forecast.clone().calibrated(1.1);
        assert_eq!(calibrated.input, Interval { low: 1045, likely: 1100, high: 1155 });
        assert_eq!(calibrated.basis.reason(), "Counted with o200k_base, times 1.100 by the last report.");
        assert_eq!(forecast.clone().calibrated(0.0), forecast);
        assert_eq!(forecast.clone().calibrated(f64::NAN), forecast);
    }

    #[test]
    fn the_reason_names_what_was_not_counted() {
        let file = r#""messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"AAAA"}}]}]"#;
        let reason = of("gpt-6-sol", &[file], Effort::WHOLE).basis.reason();
        assert_snapshot!(reason, @"Counted with o200k_base; which tokenizer the model has is not published; not counted: PDFs.");
        let none = of("qwen3", &[r#""messages":[{"role":"user","content":"hi"}]"#], Effort::WHOLE).basis.reason();
        assert_snapshot!(none, @"Counted with o200k_base, which is not the model's own tokenizer.");
    }

    #[test]
    fn several_shards_share_the_effort() {
        let bodies = [r#""messages":[{"role":"user","content":"hi"}]"#; 10];
        let line = |at: usize| {
            let body = bodies[at];
            format!(
                r#"{{"custom_id":"{at}","method":"POST","url":"/v1/chat/completions","body":{{"model":"{at}",{body}}}}}"#
            )
        };
        let lines: Vec<String> = (0..10).map(line).collect();
        let (source, _dir) = source(&[("a", lines.join("\n").as_bytes())]);
        let shards = check(&source, &rules()).unwrap().shards;
        let effort = Effort::for_one(&shards[0], &shards);
        assert!(effort.text < Effort::WHOLE.text / 9 && effort.lines >= 256 * 1024, "{effort:?}");
    }
}
