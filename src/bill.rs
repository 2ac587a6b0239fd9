//! What a report says of costs, in words that every format uses.
//!
//! Sums are estimates or prices times usage. A report of made-up answers says so beside each sum.

use crate::error::Outcome;
use crate::report::{Band, CostReport, Estimate, Lacking, Report, Unpriced};
use crate::text::{counted, flat, requests_count, thousands};
use crate::usd::Usd;

/// How many models without a price are named.
const NAMED: usize = 3;
/// The longest name of a model that is shown, in characters.
const LONGEST_MODEL: usize = 60;
/// The longest text of a report that is shown in a sentence, in characters.
const LONGEST_TEXT: usize = 300;

/// The cost in as few words as the first line has room for: `$1.24`, or before there is any, `likely $1.20`.
pub(crate) fn briefly(report: &Report) -> Option<String> {
    let cost = &report.cost;
    let is_under_way = matches!(report.outcome, Outcome::Succeeded | Outcome::Pending | Outcome::Detached);
    let may_come = is_under_way && report.counts.total == 0;
    let expected = || cost.estimate.as_ref()?.likely_usd.filter(|_| may_come && cost.usd.is_none());
    match total(cost) {
        Some(sum) if report.simulated => Some(format!("would have cost {sum}")),
        Some(sum) => Some(sum),
        None if report.simulated => expected().map(|band| format!("would cost {}", band.likely)),
        None => expected().map(|band| format!("likely {}", band.likely)),
    }
}

/// What it cost and what that saved, by which prices, and what had been expected; none where no price was looked up.
pub(crate) fn spent(report: &Report) -> Option<String> {
    let cost = &report.cost;
    let sum = total(cost)?;
    let sum = match (report.simulated, cost.provider_usd, cost.usd) {
        (true, ..) => format!("nothing, the answers are made up; real ones would have cost {sum}"),
        (false, Some(_), Some(ours)) => format!("{sum} by the provider's account, {ours} by what the answers used"),
        (false, Some(_), None) => format!("{sum} by the provider's account"),
        (false, None, _) => sum,
    };
    let saved = cost.usd.zip(cost.standard_usd).map(|(usd, standard)| standard.less(usd));
    let saved = saved.filter(|saved| *saved > Usd::ZERO).map(|saved| format!(", {saved} less than without a batch"));
    let expected = cost.estimate.as_ref().and_then(|estimate| estimate.likely_usd);
    let expected = expected.map(|likely| format!("; the estimate was {}", band(likely)));
    Some(format!("{sum}{}{}", saved.unwrap_or_default(), expected.unwrap_or_default()))
}

/// The prices that the sums are made with: their date and source. None where no sum is shown.
pub(crate) fn prices(report: &Report) -> Option<String> {
    let cost = &report.cost;
    let shows_sum = cost.usd.is_some() || cost.estimate.as_ref().is_some_and(|it| it.floor_usd.is_some());
    (shows_sum && !cost.prices_date.is_empty())
        .then(|| format!("Prices of {}: {}.", short(&cost.prices_date), short(&cost.prices_source)))
}

/// What is in no sum, a sentence each.
pub(crate) fn left_out(report: &Report) -> Vec<String> {
    let cost = &report.cost;
    // Where nothing has a price, as at a server of one's own, that is not worth a word.
    let is_known = !cost.prices_date.is_empty();
    let mut sentences: Vec<String> = Vec::new();
    for unpriced in cost.unpriced.iter().filter(|_| is_known).take(NAMED) {
        sentences.push(lacks(unpriced));
    }
    let more = cost.unpriced.iter().skip(NAMED).fold(0, |sum: u64, unpriced| sum.saturating_add(unpriced.answers));
    if is_known && more > 0 {
        sentences.push(format!("In no sum either: {} of other models.", counted(more, "answer", "answers")));
    }
    let is_priced = total(cost).is_some();
    sentences
        .extend(cost.not_included.iter().filter(|_| is_priced).map(|what| format!("Not included: {}", short(what))));
    sentences
}

/// That the price of a model is not known, or of requests that name none.
pub(crate) fn unpriced(model: &str) -> String {
    match model {
        "" => "The batch price of requests that name no model is not known.".to_owned(),
        model => format!("The batch price of {} is not known.", quoted(model)),
    }
}

/// Why answers are in no sum.
fn lacks(Unpriced { model, answers, lacking }: &Unpriced) -> String {
    let of = model.as_deref().map(quoted);
    let answers = counted(*answers, "answer", "answers");
    match (lacking, of) {
        (Lacking::Price, Some(model)) => format!("The batch price of {model} is not known ({answers})."),
        (Lacking::Price, None) => format!("The model of {answers} is not named, so that the price is not known."),
        (Lacking::TokenPrice, of) => {
            let of = of.map(|model| format!(" of {model}")).unwrap_or_default();
            format!("{answers}{of} used tokens that have no known price.")
        }
        (Lacking::Usage, of) => {
            let of = of.map(|model| format!(" of {model}")).unwrap_or_default();
            format!("What {answers}{of} used is not stated.")
        }
    }
}

/// What the requests were expected to cost, at the least, likely and at the most; none where that is not known.
pub(crate) fn expected(report: &Report) -> Option<String> {
    let estimate = report.cost.estimate.as_ref()?;
    let floor = estimate.floor_usd.map(|floor| format!("{} for the input alone", band(floor)));
    let likely = estimate.likely_usd.map(|likely| format!("likely {}", band(likely)));
    let parts: Vec<String> = [floor, likely].into_iter().flatten().collect();
    if parts.is_empty() {
        return None;
    }
    let simulated = if report.simulated { "if the answers were real: " } else { "" };
    Some(format!("{simulated}{}, {}", parts.join(", "), ceiling(estimate)))
}

/// The most that it may cost, or why there is no such sum.
fn ceiling(estimate: &Estimate) -> String {
    match estimate.ceiling_usd {
        Some(ceiling) => format!("at most {}", ceiling.high),
        None if estimate.uncapped > 0 => {
            let have = if estimate.uncapped == 1 { "has" } else { "have" };
            format!("no ceiling: {} {have} no cap", requests_count(estimate.uncapped))
        }
        None => "no ceiling".to_owned(),
    }
}

/// What an estimate relies on, a sentence each.
pub(crate) fn basis(report: &Report) -> Vec<String> {
    let Some(estimate) = &report.cost.estimate else { return Vec::new() };
    let mut sentences: Vec<String> = estimate.unpriced_models.iter().take(NAMED).map(|model| unpriced(model)).collect();
    let Band { low, likely, high } = estimate.input_tokens;
    if likely > 0 {
        let [low, likely, high] = [low, likely, high].map(thousands);
        let (sampled, all) = (thousands(estimate.sampled), thousands(estimate.requests));
        sentences
            .push(format!("Estimated input: {likely} tokens ({low} to {high}), {sampled} of {all} requests counted."));
    }
    sentences.extend((!estimate.basis.is_empty()).then(|| short(&estimate.basis)));
    if estimate.likely_output_tokens > 0 {
        let why = if estimate.likely_because.is_empty() { "" } else { ", " };
        let tokens = thousands(estimate.likely_output_tokens);
        sentences.push(format!("A likely answer: {tokens} tokens{why}{}.", short(&estimate.likely_because)));
    }
    sentences
}

/// What the run was allowed to spend, and what it left out to keep to that; none where there was no limit.
pub(crate) fn budget(report: &Report) -> Option<String> {
    let budget = report.cost.budget.as_ref()?;
    let limits = [
        budget.max_cost_usd.map(Usd::exact),
        budget.max_tokens.map(|most| counted(most, "token", "tokens")),
        budget.max_total_requests.map(requests_count),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let left = (budget.not_sent > 0).then(|| {
        let cost = budget.not_sent_usd.map(|usd| format!(", which could cost up to {usd}")).unwrap_or_default();
        format!("; {} not sent{cost}", requests_count(budget.not_sent))
    });
    (!limits.is_empty()).then(|| format!("{}{}", limits.join(", "), left.unwrap_or_default()))
}

/// The sum, by the provider's own account where it states one; a part of it where some answers have no price.
fn total(cost: &CostReport) -> Option<String> {
    match (cost.provider_usd, cost.usd) {
        (Some(stated), _) => Some(stated.to_string()),
        (None, Some(usd)) if cost.unpriced.is_empty() => Some(usd.to_string()),
        (None, Some(usd)) => Some(format!("at least {usd}")),
        (None, None) => None,
    }
}

/// A model's name, which may be anybody's text.
fn quoted(model: &str) -> String {
    format!("`{}`", flat(model, LONGEST_MODEL).replace('`', "'"))
}

/// A text of a report, which may be from anywhere.
fn short(text: &str) -> String {
    flat(text, LONGEST_TEXT)
}

/// A sum with its error band, if that can be seen in what is shown of it.
fn band(Band { low, likely, high }: Band<Usd>) -> String {
    let [low, likely, high] = [low, likely, high].map(|usd| usd.to_string());
    if low == likely && likely == high { likely } else { format!("{likely} ({low} to {high})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::samples;
    use crate::report::BudgetReport;

    fn usd(dollars: f64) -> Usd {
        Usd::dollars(dollars).unwrap()
    }

    fn of(low: f64, likely: f64, high: f64) -> Option<Band<Usd>> {
        Some(Band { low: usd(low), likely: usd(likely), high: usd(high) })
    }

    fn costing(dollars: f64, standard: f64) -> Report {
        let mut report = samples::succeeded();
        report.cost = CostReport {
            prices_date: "2026-11-20".to_owned(),
            prices_source: "genai-prices 0.2.1".to_owned(),
            usd: Some(usd(dollars)),
            standard_usd: Some(usd(standard)),
            ..CostReport::default()
        };
        report
    }

    fn lacking(model: Option<&str>, answers: u64, lacking: Lacking) -> Unpriced {
        Unpriced { model: model.map(str::to_owned), answers, lacking }
    }

    #[test]
    fn a_sum_says_what_it_saved_and_which_prices_it_is_made_with() {
        let mut report = costing(1.24, 2.48);
        assert_eq!(briefly(&report).unwrap(), "$1.24");
        assert_eq!(spent(&report).unwrap(), "$1.24, $1.24 less than without a batch");
        assert_eq!(prices(&report).unwrap(), "Prices of 2026-11-20: genai-prices 0.2.1.");
        report.cost.estimate = Some(Estimate { likely_usd: of(1.0, 1.2, 1.5), ..Estimate::default() });
        assert_eq!(
            spent(&report).unwrap(),
            "$1.24, $1.24 less than without a batch; the estimate was $1.20 ($1.00 to $1.50)"
        );
        // A batch that is no cheaper saves nothing.
        report = costing(1.24, 1.24);
        assert_eq!(spent(&report).unwrap(), "$1.24");
    }

    #[test]
    fn a_sum_without_all_answers_is_a_part() {
        let mut report = costing(1.24, 2.48);
        report.cost.unpriced = vec![
            lacking(Some("new`x"), 3, Lacking::Price),
            lacking(None, 1, Lacking::Price),
            lacking(Some("b"), 2, Lacking::Usage),
            lacking(Some("c"), u64::MAX, Lacking::TokenPrice),
            lacking(Some("d"), u64::MAX, Lacking::TokenPrice),
        ];
        report.cost.not_included = vec!["2 web searches, which the provider bills by the call.".to_owned()];
        assert_eq!(briefly(&report).unwrap(), "at least $1.24");
        insta::assert_snapshot!(left_out(&report).join("\n"), @r"
        The batch price of `new'x` is not known (3 answers).
        The model of 1 answer is not named, so that the price is not known.
        What 2 answers of `b` used is not stated.
        In no sum either: 18446744073709551615 answers of other models.
        Not included: 2 web searches, which the provider bills by the call.
        ");
        (report.cost.usd, report.cost.standard_usd) = (None, None);
        assert_eq!((briefly(&report), spent(&report), prices(&report)), (None, None, None));
        // At a server that no prices are known of, nothing is said.
        report.cost.prices_date.clear();
        assert_eq!(left_out(&report), Vec::<String>::new());
    }

    #[test]
    fn the_providers_own_account_comes_first() {
        let mut report = costing(1.24, 2.48);
        report.cost.provider_usd = Some(usd(1.3));
        assert_eq!(briefly(&report).unwrap(), "$1.30");
        assert_eq!(
            spent(&report).unwrap(),
            "$1.30 by the provider's account, $1.24 by what the answers used, $1.24 less than without a batch"
        );
    }

    #[test]
    fn made_up_answers_cost_nothing_and_say_so() {
        let mut report = costing(0.12, 0.24);
        report.simulated = true;
        assert_eq!(briefly(&report).unwrap(), "would have cost $0.12");
        assert_eq!(
            spent(&report).unwrap(),
            "nothing, the answers are made up; real ones would have cost $0.12, $0.12 less than without a batch"
        );
    }

    #[test]
    fn an_estimate_has_three_sums_or_says_why_not() {
        let mut report = samples::succeeded();
        report.counts.total = 0;
        let estimate = Estimate {
            requests: 1_200,
            sampled: 500,
            input_tokens: Band { low: 1_200_000, likely: 1_230_000, high: 1_260_000 },
            likely_output_tokens: 75,
            likely_because: "as in the last report".to_owned(),
            basis: "Counted with o200k, ±2 %.".to_owned(),
            floor_usd: of(0.4, 0.41, 0.42),
            likely_usd: of(1.0, 1.2, 1.5),
            ceiling_usd: of(4.0, 4.0, 4.0),
            ..Estimate::default()
        };
        report.cost = CostReport { estimate: Some(estimate), ..CostReport::default() };
        assert_eq!(
            expected(&report).unwrap(),
            "$0.41 ($0.40 to $0.42) for the input alone, likely $1.20 ($1.00 to $1.50), at most $4.00"
        );
        insta::assert_snapshot!(basis(&report).join("\n"), @r"
        Estimated input: 1,230,000 tokens (1,200,000 to 1,260,000), 500 of 1,200 requests counted.
        Counted with o200k, ±2 %.
        A likely answer: 75 tokens, as in the last report.
        ");
        for (outcome, said) in [
            (Outcome::Pending, Some("likely $1.20".to_owned())),
            (Outcome::Refused, None),
            (Outcome::Succeeded, Some("likely $1.20".to_owned())),
        ] {
            report.outcome = outcome;
            assert_eq!(briefly(&report), said, "{outcome:?}");
        }
        let estimate = report.cost.estimate.as_mut().unwrap();
        (estimate.ceiling_usd, estimate.uncapped) = (None, 1);
        assert!(expected(&report).unwrap().ends_with(", no ceiling: 1 request has no cap"));
        report.simulated = true;
        assert!(expected(&report).unwrap().starts_with("if the answers were real: $0.41"));
        assert_eq!(briefly(&report).unwrap(), "would cost $1.20");
        let estimate = report.cost.estimate.as_mut().unwrap();
        (estimate.floor_usd, estimate.likely_usd) = (None, None);
        estimate.unpriced_models = vec!["x".to_owned()];
        assert_eq!((expected(&report), &*basis(&report)[0]), (None, "The batch price of `x` is not known."));
    }

    #[test]
    fn a_budget_says_what_it_kept_from_being_sent() {
        let mut report = samples::succeeded();
        let budget =
            BudgetReport { max_cost_usd: Some(usd(5.0)), max_total_requests: Some(900), ..BudgetReport::default() };
        report.cost.budget = Some(budget);
        assert_eq!(super::budget(&report).unwrap(), "$5.00, 900 requests");
        let budget = report.cost.budget.as_mut().unwrap();
        (budget.not_sent, budget.not_sent_usd) = (80, Some(usd(1.1)));
        assert_eq!(
            super::budget(&report).unwrap(),
            "$5.00, 900 requests; 80 requests not sent, which could cost up to $1.10"
        );
        report.cost.budget = Some(BudgetReport::default());
        assert_eq!(super::budget(&report), None);
    }
}
