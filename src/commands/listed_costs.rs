//! What listed batches cost, as far as the provider's own counts tell.
//!
//! They are sums over a batch's requests. A surcharge for a long prompt depends on the single request, so these are the
//! least that a batch can have cost. Writes to a cache are not counted at all.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::dialects::{Answers, Batch, Tokens, Vendor};
use crate::identity::Seen;
use crate::prices::{Prices, Rate, Seller};
use crate::text::{counted, one_line, shorten};
use crate::usd::Usd;

/// A request with as many input tokens has no surcharge for its length at any vendor.
const SHORT: u64 = 50_000;
/// How many repositories are listed.
const MOST_REPOSITORIES: usize = 10;
/// The longest name of one, in characters.
const NAME: usize = 80;

/// What batches are priced with.
pub(super) struct ListedCosts<'a> {
    prices: &'a Prices,
    seller: Option<Seller<'a>>,
    answers: Answers,
    /// Stands for the creation of batches that do not say when they were created, in seconds since the Unix epoch.
    now: u64,
}

impl<'a> ListedCosts<'a> {
    /// At these prices, of a vendor at an address, at a time in seconds since the Unix epoch.
    pub(super) fn new(prices: &'a Prices, vendor: &Vendor, origin: &str, now: i64) -> Self {
        let now = u64::try_from(now).unwrap_or_default();
        Self { prices, seller: prices.seller(vendor, Some(origin)), answers: vendor.answers, now }
    }

    /// The same, of a server that says that its answers are made up, or does not.
    #[must_use]
    pub(super) fn of(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    /// The least that a batch cost; none where the provider says neither that nor what was used, no price is known, or
    /// the answers are made up.
    pub(super) fn least(&self, batch: &Batch) -> Option<Usd> {
        if self.answers == Answers::Simulated { None } else { self.priced(batch) }
    }

    fn priced(&self, batch: &Batch) -> Option<Usd> {
        batch.billed.or_else(|| {
            let (usage, model, seller) = (batch.usage?, batch.model.as_deref()?, self.seller.as_ref()?);
            let at = batch.created_at.and_then(|at| u64::try_from(at).ok()).unwrap_or(self.now);
            of_short_requests(&seller.rate(model, at)?, usage)
        })
    }

    /// What the batches of each repository cost, a line each, and what that relies on; nothing where nothing is known.
    pub(super) fn lines(&self, batches: &[Batch]) -> Vec<String> {
        let mut sums = self.by_repository(batches);
        sums.retain(|(_, sum)| sum.known > 0);
        sums.sort_by_key(|(_, sum)| Reverse(sum.usd));
        if sums.is_empty() {
            return Vec::new();
        }
        let mut lines: Vec<String> = sums.iter().take(MOST_REPOSITORIES).map(|sum| self.line(sum)).collect();
        lines.push(format!(
            "By the provider's own counts, without surcharges for long prompts and without tools. Prices of {}: {}.",
            self.prices.date(),
            self.prices.source()
        ));
        lines
    }

    fn by_repository<'b>(&self, batches: &'b [Batch]) -> Vec<(&'b str, Sum)> {
        let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
        for batch in batches {
            let sum = sums.entry(Seen::of(batch).repo.unwrap_or_default()).or_default();
            match self.priced(batch) {
                Some(usd) => (sum.usd, sum.known) = (sum.usd + usd, sum.known + 1),
                None => sum.unknown += 1,
            }
        }
        sums.into_iter().collect()
    }

    fn line(&self, (repository, sum): &(&str, Sum)) -> String {
        let of = match *repository {
            "" => "Without a repository".to_owned(),
            repository => shorten(&one_line(repository), NAME),
        };
        let verb = if self.answers == Answers::Simulated { "would have cost (SIMULATED)" } else { "cost" };
        let unknown =
            if sum.unknown > 0 { format!("; of {} more that is not known", sum.unknown) } else { String::new() };
        format!("{of}: {} {verb} at least {}{unknown}.", counted(sum.known, "batch", "batches"), sum.usd)
    }
}

/// What some batches cost.
#[derive(Default)]
struct Sum {
    usd: Usd,
    /// How many it is of.
    known: u64,
    /// How many it leaves out.
    unknown: u64,
}

/// What this usage costs if no request is long.
fn of_short_requests(rate: &Rate<'_>, usage: Tokens) -> Option<Usd> {
    let parts = usage.input / SHORT + 1;
    let part = Tokens {
        input: usage.input / parts,
        cached: usage.cached / parts,
        output: usage.output / parts,
        reasoning: usage.reasoning / parts,
        ..Tokens::default()
    };
    Some(rate.cost(&part)?.batch.times(parts))
}

#[cfg(test)]
mod tests {
    use super::{Batch, ListedCosts, Prices, Tokens, Usd};
    use crate::dialects::{Name, choose};
    use crate::formats::samples::HOSTILE;
    use crate::text::{deceives, safe};

    fn costs(prices: &Prices, name: Name) -> ListedCosts<'_> {
        ListedCosts::new(prices, choose(name), "https://api.openai.com", 1_792_972_800)
    }

    /// A batch of `gpt-6-sol`: 1 and 5 dollars for a million tokens, cached ones 0.1; twice as much above 272,000.
    fn batch(repository: Option<&str>, input: u64, cached: u64, output: u64) -> Batch {
        let marks = repository.map(|repository| ("batchstep_repo".to_owned(), repository.to_owned()));
        Batch {
            id: "batch_1".to_owned(),
            model: Some("gpt-6-sol".to_owned()),
            usage: Some(Tokens { input, cached, output, ..Tokens::default() }),
            created_at: Some(1_792_972_800),
            metadata: marks.into_iter().collect(),
            ..Batch::default()
        }
    }

    #[test]
    fn many_short_requests_are_not_one_long_one() {
        let prices = Prices::built_in();
        let of = |batch| costs(&prices, Name::Openai).least(&batch);
        // 900,000 × 1 + 100,000 × 0.1 + 200,000 × 5 micro-dollars
        assert_eq!(of(batch(None, 1_000_000, 100_000, 200_000)).unwrap().to_string(), "$1.91");
        assert_eq!(of(batch(None, 10, 0, 2)), Usd::dollars(0.000_02));
        assert_eq!(of(Batch { usage: None, ..batch(None, 1, 0, 0) }), None);
        assert_eq!(of(Batch { model: Some("x".to_owned()), ..batch(None, 1, 0, 0) }), None);
        // The provider's own word counts before ours, and no count overflows.
        assert_eq!(of(Batch { billed: Usd::dollars(7.0), ..batch(None, 1, 0, 0) }), Usd::dollars(7.0));
        of(batch(None, u64::MAX, u64::MAX, u64::MAX));
    }

    #[test]
    fn each_repository_has_its_sum() {
        let prices = Prices::built_in();
        let costs = |name| costs(&prices, name);
        let unknown = Batch { model: None, ..batch(Some("octo/a"), 1, 0, 0) };
        let (a, b) = (Some("octo/a"), Some("octo/b"));
        let batches = [
            batch(b, 1_000_000, 0, 0),
            batch(a, 2_000_000, 0, 0),
            unknown,
            batch(a, 1_000_000, 0, 0),
            batch(None, 9, 0, 0),
        ];
        insta::assert_snapshot!(costs(Name::Openai).lines(&batches).join("\n"), @r"
        octo/a: 2 batches cost at least $3.00; of 1 more that is not known.
        octo/b: 1 batch cost at least $1.00.
        Without a repository: 1 batch cost at least $0.0000090.
        By the provider's own counts, without surcharges for long prompts and without tools. Prices of 2026-10-26: genai-prices 0.2.1.
        ");
        assert_eq!(costs(Name::Openai).lines(&batches[2..3]), Vec::<String>::new());
        let simulated = costs(Name::Sandbox).lines(&batches[..1]);
        assert_eq!(costs(Name::Sandbox).least(&batches[0]), None);
        assert_eq!(simulated[0], "octo/b: 1 batch would have cost (SIMULATED) at least $1.00.");
    }

    #[test]
    fn hostile_names_stay_in_their_line() {
        let prices = Prices::built_in();
        for text in HOSTILE {
            for line in costs(&prices, Name::Openai).lines(&[batch(Some(text), 9, 0, 0)]) {
                assert!(!safe(&line).chars().any(deceives), "{line:?}");
            }
        }
    }
}
