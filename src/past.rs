//! What the last report says of a model: by how much its tokens were more or fewer than was counted, and how long its
//! answers were.
//!
//! The report may come from anywhere. Only numbers are taken from it, and only within what can be.

use crate::report::{ModelEstimate, Report};

/// The least and the most that a count is corrected by: beyond that, the requests must have been others.
const FACTORS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// What is known of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Past {
    /// What a request used of input tokens, as a multiple of what was counted.
    pub(crate) factor: Option<f64>,
    /// How many output tokens an answer had, on average.
    pub(crate) output: Option<u64>,
}

impl Past {
    /// What this report says of a model; nothing if the model was not asked, or its answers were made up.
    pub(crate) fn of(report: &Report, model: Option<&str>) -> Self {
        if report.simulated {
            return Self::default();
        }
        let models = &report.cost.estimate.as_ref().map(|estimate| &estimate.models[..]).unwrap_or_default();
        let counted = models.iter().find(|counted| counted.model.as_deref() == model);
        let used: Vec<_> = report.usage.iter().filter(|usage| is_of(usage.model.as_deref(), model)).collect();
        let answers: u64 = used.iter().map(|usage| usage.succeeded).fold(0, u64::saturating_add);
        let failed: u64 = used.iter().map(|usage| usage.failed).fold(0, u64::saturating_add);
        let sum = |of: fn(&crate::dialects::Tokens) -> u64| {
            used.iter().map(|usage| of(&usage.tokens)).fold(0, u64::saturating_add)
        };
        let (input, output) = (sum(|tokens| tokens.input), sum(|tokens| tokens.output));
        // An answer that failed may have used nothing.
        let factor = counted.filter(|_| failed == 0 && answers > 0).and_then(|counted| factor(counted, input, answers));
        Self { factor, output: (answers > 0 && output > 0).then(|| output.div_ceil(answers)) }
    }
}

fn factor(counted: &ModelEstimate, input: u64, answers: u64) -> Option<f64> {
    let each = counted.input_tokens as f64 / counted.requests as f64;
    Some(input as f64 / answers as f64 / each).filter(|factor| FACTORS.contains(factor))
}

/// Whether an answer that names this model is of requests to `asked`: the name, perhaps with a date after it.
fn is_of(named: Option<&str>, asked: Option<&str>) -> bool {
    let (Some(named), Some(asked)) = (named, asked) else { return named == asked };
    let rest = named.strip_prefix(asked).map(|rest| rest.strip_prefix('-').unwrap_or(rest));
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::{Past, is_of};
    use crate::dialects::Tokens;
    use crate::report::{Estimate, ModelEstimate, ModelUsage, Report};

    fn report() -> Report {
        let mut report = Report::default();
        let models = vec![ModelEstimate { model: Some("gpt-5-mini".into()), requests: 10, input_tokens: 1_000 }];
        report.cost.estimate = Some(Estimate { models, ..Estimate::default() });
        let usage = |batch: &str, succeeded, input, output| ModelUsage {
            model: Some("gpt-5-mini-2025-08-07".into()),
            batch_id: batch.into(),
            succeeded,
            tokens: Tokens { input, output, ..Tokens::default() },
            ..ModelUsage::default()
        };
        report.usage = vec![usage("a", 6, 660, 1_200), usage("b", 2, 220, 401)];
        report
    }

    #[test]
    fn what_was_used_is_compared_with_what_was_counted() {
        // 880 tokens for 8 answers are 110 each; 1,000 were counted for 10, which is 100 each.
        let past = Past::of(&report(), Some("gpt-5-mini"));
        assert!((past.factor.unwrap() - 1.1).abs() < 1e-9);
        // 1,601 tokens in 8 answers are 200.1 each.
        assert_eq!(past.output, Some(201));
        assert_eq!(Past::of(&report(), Some("gpt-5")), Past::default());
    }

    #[test]
    fn made_up_failed_and_absurd_numbers_say_nothing() {
        let simulated = Report { simulated: true, ..report() };
        assert_eq!(Past::of(&simulated, Some("gpt-5-mini")), Past::default());
        let mut failed = report();
        failed.usage[0].failed = 1;
        assert_eq!(Past::of(&failed, Some("gpt-5-mini")).factor, None);
        let mut absurd = report();
        (absurd.usage[0].tokens.input, absurd.usage[1].succeeded) = (u64::MAX, u64::MAX);
        assert_eq!(Past::of(&absurd, Some("gpt-5-mini")).factor, None);
        let mut empty = report();
        empty.cost.estimate.as_mut().unwrap().models[0] = ModelEstimate::default();
        assert_eq!(Past::of(&empty, Some("gpt-5-mini")).factor, None);
    }

    #[test]
    fn a_date_after_the_name_is_the_same_model() {
        for (named, asked, expected) in [
            ("gpt-5-mini", "gpt-5-mini", true),
            ("gpt-5-mini-2025-08-07", "gpt-5-mini", true),
            ("claude-sonnet-5-20260101", "claude-sonnet-5", true),
            ("gpt-5-mini-audio", "gpt-5-mini", false),
            ("gpt-5-mini", "gpt-5", false),
        ] {
            assert_eq!(is_of(Some(named), Some(asked)), expected, "{named} {asked}");
        }
        assert!(is_of(None, None) && !is_of(None, Some("a")));
    }
}
