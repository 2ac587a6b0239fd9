//! What answers cost: the usage that each states, at the price of its model when its batch was created.
//!
//! Billed is what states a usage. OpenAI's and Anthropic's pages say that requests which were answered before their batch
//! expired or was cancelled are billed, and that errored, expired and cancelled requests are not: their lines state none.
//! So an answer that is suspect, rejected or empty counts, and so does a failure with a usage in its body.

use std::cell::RefCell;

use super::{AnswersFile, Results};
use crate::dialects::{Kind, Tokens};
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

/// What an answer used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used<'a> {
    /// How it answers.
    pub(crate) kind: Kind,
    /// The model, if it names it.
    pub(crate) model: Option<&'a str>,
    /// The tokens that it says were used.
    pub(crate) tokens: Tokens,
    /// What they cost; none where nobody asks.
    pub(crate) priced: Option<Priced>,
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
        Some(seller) => (prices.date().to_owned(), seller.provenance(prices)),
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

#[cfg(test)]
mod tests {
    use super::super::sinks::{all, testing::Files};
    use super::super::{AnswersFile, Policy, Requests, Results, reconcile};
    use super::*;
    use crate::dialects::{Name, choose};
    use crate::report::Unpriced;
    use crate::requests::source::testing::source;
    use crate::requests::testing::{chat, rules};
    use crate::usd::Usd;
    use crate::values::{AnswerFiles, RetryOn};

    /// 2026-10-26.
    const AUTUMN: u64 = 1_792_972_800;
    /// 2027-01-15.
    const LATE: i64 = 1_799_971_200;

    /// A batch's answers, as a file.
    #[derive(Default)]
    struct Answers<'a> {
        attempt: u32,
        created_at: Option<i64>,
        model: Option<&'a str>,
        lines: Vec<String>,
    }

    /// An answer of `gpt-5-mini`, which in a batch costs 0.125 and 1 dollars for a million tokens: 0.125 and 1 micro.
    fn answer(id: &str, input: u64, output: u64) -> String {
        with_body(id, &format!(r#""model":"gpt-5-mini","choices":[{{}}],{}"#, usage(input, output)))
    }

    fn usage(input: u64, output: u64) -> String {
        format!(r#""usage":{{"prompt_tokens":{input},"completion_tokens":{output}}}"#)
    }

    fn with_body(id: &str, members: &str) -> String {
        format!(
            r#"{{"custom_id":"{id}","response":{{"status_code":200,"body":{{"object":"chat.completion",{members}}}}}}}"#
        )
    }

    /// What these answers to requests `a` to `d` come to, and the table of them.
    fn come_to(files: Vec<Answers<'_>>) -> (Results, Vec<String>) {
        let lines = ["a", "b", "c", "d"].map(chat);
        let (source, dir) = source(&[("requests.jsonl", lines.join("\n").as_bytes())]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        let file = |(batch, answers): (usize, Answers<'_>)| {
            let path = dir.path().join(batch.to_string());
            std::fs::write(&path, answers.lines.join("\n")).unwrap();
            let (what, batch_id, endpoint, work) = ("output", format!("batch_{batch}"), None, None);
            let Answers { attempt, created_at, model, .. } = answers;
            let model = model.map(str::to_owned);
            AnswersFile { path, what, attempt, batch, batch_id, endpoint, work, created_at, model }
        };
        let answers: Vec<AnswersFile> = files.into_iter().enumerate().map(file).collect();
        let prices = Prices::built_in();
        let seller = prices.seller(choose(Name::Openai), None);
        let pricing = Pricing::new(seller.clone(), AUTUMN);
        let retry_on = RetryOn::default();
        let usual = Policy::usual(choose(Name::Openai).dialect.answers(), &retry_on);
        let policy = Policy { prices: Some(&pricing), ..usual };
        let requests = Requests { source: &source, ids: &checked.ids, total: checked.total, is_structured: false };
        let written = Files::default();
        let sinks = all(AnswerFiles::Write, |name| Ok(written.open(name))).unwrap();
        let mut results = reconcile(requests, &answers, &policy, sinks).unwrap();
        results.cost = cost(&results, &prices, seller.as_ref(), None);
        let table = String::from_utf8(written.read("answers.csv")).unwrap();
        let last = |line: &str| line.rsplit(',').next().unwrap_or_default().to_owned();
        (results, table.lines().skip(1).map(last).collect())
    }

    fn first(lines: Vec<String>) -> Vec<Answers<'static>> {
        vec![Answers { attempt: 1, lines, ..Answers::default() }]
    }

    fn micro(dollars: f64) -> Option<Usd> {
        Usd::dollars(dollars / 1e6)
    }

    #[test]
    fn each_answer_costs_what_it_used() {
        let (results, table) = come_to(first(vec![answer("b", 1_000, 10), answer("a", 8, 2)]));
        // 1,000 × 0.125 + 10 × 1 = 135; 8 × 0.125 + 2 × 1 = 3; without a batch twice as much.
        assert_eq!(table, ["0.000003", "0.000135", "", ""]);
        let sums = (results.cost.usd, results.cost.standard_usd);
        assert_eq!(sums, (micro(138.0), micro(276.0)));
        assert_eq!((results.usage[0].usd, results.usage[0].standard_usd), sums);
        assert_eq!((results.cost.prices_date.as_str(), results.cost.unpriced.len()), ("2026-10-26", 0));
    }

    #[test]
    fn the_tier_is_that_of_each_request_and_never_of_the_sum() {
        let long =
            |id: &str, input| with_body(id, &format!(r#""model":"gpt-6-sol","choices":[{{}}],{}"#, usage(input, 0)));
        // Together they are far above 272,000 tokens; only the last one is by itself.
        let (results, table) = come_to(first(vec![long("a", 200_000), long("b", 272_000), long("c", 272_001)]));
        assert_eq!(table, ["0.2", "0.272", "0.544002", ""]);
        assert_eq!(results.cost.usd, Usd::dollars(1.016_002));
    }

    #[test]
    fn prices_are_those_of_the_day_on_which_the_batch_was_created() {
        let at = |created_at| {
            come_to(vec![Answers { attempt: 1, created_at, lines: vec![answer("a", 8, 2)], model: None }]).0.cost
        };
        assert_eq!(at(Some(LATE)).usd, micro(3.0));
        // Nothing is known of the time before the table; a batch that says nothing is of today.
        let early = at(Some(1_600_000_000));
        assert_eq!((early.usd, early.unpriced[0].lacking), (None, Lacking::Price));
        assert_eq!([at(None).usd, at(Some(-1)).usd], [micro(3.0); 2]);
    }

    #[test]
    fn an_answer_that_names_no_model_is_of_the_one_that_was_asked() {
        let nameless = with_body("a", &format!(r#""choices":[{{}}],{}"#, usage(8, 2)));
        let of =
            |model| come_to(vec![Answers { attempt: 1, model, lines: vec![nameless.clone()], created_at: None }]).0;
        let known = of(Some("gpt-5-mini"));
        assert_eq!((known.cost.usd, known.usage[0].model.as_deref()), (micro(3.0), None));
        let unpriced = |model: Option<&str>| {
            vec![Unpriced { model: model.map(str::to_owned), answers: 1, lacking: Lacking::Price }]
        };
        assert_eq!(of(None).cost.unpriced, unpriced(None));
        assert_eq!(of(Some("mine")).cost.unpriced, unpriced(Some("mine")));
    }

    #[test]
    fn what_is_billed_is_what_states_a_usage() {
        let empty = with_body("a", &format!(r#""model":"gpt-5-mini","choices":[],{}"#, usage(8, 2)));
        let cut = answer("b", 8, 2).replace("[{}]", r#"[{"finish_reason":"length"}]"#);
        let expired = r#"{"custom_id":"c","response":null,"error":{"code":"batch_expired","message":"no"}}"#.to_owned();
        let silent = with_body("d", r#""model":"gpt-5-mini","choices":[{}]"#);
        let (results, table) = come_to(first(vec![empty, cut, expired, silent]));
        assert_eq!(table, ["0.000003", "0.000003", "", ""]);
        assert_eq!((results.counts.succeeded, results.counts.failed, results.counts.suspect), (2, 2, 1));
        assert_eq!(results.cost.usd, micro(6.0));
        // A success that does not say what it used has a cost that nobody knows; an expired line has none.
        let model = Some("gpt-5-mini".to_owned());
        assert_eq!(results.cost.unpriced, [Unpriced { model, answers: 1, lacking: Lacking::Usage }]);
    }

    #[test]
    fn what_a_retry_replaces_was_paid_for_too_and_nothing_counts_twice() {
        let empty = |id: &str| with_body(id, &format!(r#""model":"gpt-5-mini","choices":[],{}"#, usage(8, 2)));
        let before = vec![empty("a"), empty("a"), answer("b", 8, 2), answer("b", 8, 2), answer("stranger", 8, 2)];
        let again = vec![answer("a", 80, 0), answer("a", 80, 0), empty("b"), empty("b")];
        let kept = vec![answer("c", 8_000, 0)];
        let files = [(1, before), (2, again), (0, kept)];
        let files = files.map(|(attempt, lines)| Answers { attempt, lines, ..Answers::default() });
        let (results, table) = come_to(files.into());
        // `a`: an empty answer (3) and a good one (10). `b`: a good one (3), and an empty one of another batch (3).
        assert_eq!(results.cost.usd, micro(19.0));
        let by_batch: Vec<_> = results.usage.iter().map(|usage| (usage.batch_id.as_str(), usage.usd)).collect();
        assert_eq!(by_batch, [("batch_0", micro(6.0)), ("batch_1", micro(13.0))]);
        // What an earlier run paid for costs this one nothing.
        assert_eq!(
            (table, results.counts.succeeded),
            (vec!["0.00001".to_owned(), "0.000003".into(), "".into(), "".into()], 3)
        );
    }

    #[test]
    fn models_without_a_price_are_named_and_never_guessed() {
        let of = |id: &str, model: &str| answer(id, 8, 2).replace("gpt-5-mini", model);
        let long = "x".repeat(LONGEST_MODEL + 1);
        let hostile = "\\u001b[2J`gpt-5-mini`";
        let lines = vec![of("a", "gpt-99"), of("b", &long), of("c", hostile), answer("d", 8, 2)];
        let (results, table) = come_to(first(lines));
        assert_eq!(table, ["", "", "", "0.000003"]);
        assert_eq!(results.cost.usd, micro(3.0));
        let models: Vec<_> = results.cost.unpriced.iter().map(|it| it.model.clone().unwrap()).collect();
        assert_eq!(models, ["\u{1b}[2J`gpt-5-mini`", "gpt-99", &format!("{}…", "x".repeat(LONGEST_MODEL))]);
    }

    #[test]
    fn no_count_that_a_server_makes_up_overflows() {
        let cached = |count: &str| format!(r#","prompt_tokens_details":{{"cached_tokens":{count}}}"#);
        let lines = [("a", "1e300", ""), ("b", "18446744073709551615", ""), ("c", "1", &*cached("2")), ("d", "-5", "")];
        let line = |(id, count, more): (&str, &str, &str)| {
            let usage = format!(r#""usage":{{"prompt_tokens":{count},"completion_tokens":{count}{more}}}"#);
            with_body(id, &format!(r#""model":"gpt-5-mini","choices":[{{}}],{usage}"#))
        };
        let (results, _) = come_to(first(lines.map(line).into()));
        assert_eq!(results.cost.usd, Some(Usd::picodollars(u64::MAX)));
        let lacking: Vec<_> = results.cost.unpriced.iter().map(|it| (it.lacking, it.answers)).collect();
        assert_eq!(lacking, [(Lacking::TokenPrice, 1), (Lacking::Usage, 1)]);
    }

    #[test]
    fn a_model_is_looked_up_once_and_few_are_kept() {
        let prices = Prices::built_in();
        let pricing = Pricing::new(prices.seller(choose(Name::Openai), None), AUTUMN);
        let (file, tokens) = (AnswersFile::default(), Tokens { input: 1, ..Tokens::default() });
        for number in 0..3 * MOST_RATES {
            let model = format!("m-{}", number % (2 * MOST_RATES));
            for _ in 0..3 {
                assert_eq!(pricing.price(&file, Some(&model), &tokens), Priced::Unknown(Lacking::Price));
            }
            assert!((1..=MOST_RATES).contains(&pricing.rates.borrow().len()));
        }
        // Without a seller nothing has a price.
        let nobody = Pricing::new(None, AUTUMN);
        assert_eq!(nobody.price(&file, Some("gpt-5-mini"), &tokens), Priced::Unknown(Lacking::Price));
    }

    #[test]
    fn what_is_billed_by_the_call_is_said() {
        let tokens = Tokens { web_searches: 1, tool_calls: 2_000, ..Tokens::default() };
        insta::assert_snapshot!(not_included(tokens, Some("It costs more here.")).join("\n"), @r"
        1 web search, which the provider bills by the call.
        2000 calls of file search or the code interpreter, which the provider bills by the call.
        It costs more here.
        ");
        assert_eq!(not_included(Tokens::default(), None), Vec::<String>::new());
    }
}
