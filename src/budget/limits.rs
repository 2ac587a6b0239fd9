//! Limits of a run, and what is measured by them.

use std::fmt;

use crate::text::{requests_count, thousands};
use crate::usd::Usd;

/// What a run may spend in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The input `max-cost`.
    pub(crate) cost: Option<Usd>,
    /// The input `max-tokens`: input and output together.
    pub(crate) tokens: Option<u64>,
    /// The input `max-total-requests`.
    pub(crate) requests: Option<u64>,
}

/// What a batch costs, or may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// In money; zero where no price is known, which no run with `max-cost` has.
    pub(crate) cost: Usd,
    /// Input and output tokens.
    pub(crate) tokens: u64,
    /// Requests.
    pub(crate) requests: u64,
}

/// What was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSent {
    /// How many batches.
    pub(crate) batches: usize,
    /// Of how many.
    pub(crate) of: usize,
    /// What they may need at most.
    pub(crate) needs: Sum,
    /// What the other batches have cost, or may cost.
    pub(super) spent: Sum,
    /// What the requests may need that were sent and have no good answer: a run that continues sends them, too.
    pub(super) again: Sum,
    /// What they would exceed.
    pub(super) limit: Limit,
}

impl Limits {
    /// Whether there is any.
    pub(crate) fn are_set(&self) -> bool {
        *self != Self::default()
    }

    /// The first limit that a sum exceeds.
    pub(super) fn exceeded(&self, sum: Sum) -> Option<Limit> {
        let cost = self.cost.filter(|limit| sum.cost > *limit).map(Limit::Cost);
        let tokens = || self.tokens.filter(|limit| sum.tokens > *limit).map(Limit::Tokens);
        let requests = || self.requests.filter(|limit| sum.requests > *limit).map(Limit::Requests);
        cost.or_else(tokens).or_else(requests)
    }
}

/// A limit, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Cost(Usd),
    Tokens(u64),
    Requests(u64),
}

impl Limit {
    /// The part of a sum that it limits, for people.
    pub(super) fn of(self, sum: Sum) -> String {
        match self {
            Self::Cost(_) => sum.cost.to_string(),
            Self::Tokens(_) => format!("{} tokens", thousands(sum.tokens)),
            Self::Requests(_) => requests_count(sum.requests),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cost(limit) => write!(f, "`max-cost` is {}", limit.exact()),
            Self::Tokens(limit) => write!(f, "`max-tokens` is {}", thousands(*limit)),
            Self::Requests(limit) => write!(f, "`max-total-requests` is {}", thousands(*limit)),
        }
    }
}

impl NotSent {
    /// What limit it was, as `` `max-cost` is $2.00``.
    pub(crate) fn limit(&self) -> String {
        self.limit.to_string()
    }

    /// What the batches that were not sent may need, of what is limited.
    pub(crate) fn needs(&self) -> String {
        self.limit.of(self.needs)
    }

    /// What the others have used, or may use; none where there are no others.
    pub(crate) fn spent(&self) -> Option<String> {
        (self.spent != Sum::default()).then(|| self.limit.of(self.spent))
    }

    /// The same, where so many requests that were sent have no good answer, of which each may need so much.
    #[must_use]
    pub(crate) fn with_failed(self, requests: u64, each: Sum) -> Self {
        let again = Sum { cost: each.cost.times(requests), tokens: each.tokens.saturating_mul(requests), requests };
        Self { again, ..self }
    }

    /// What a run that continues may need, of what is limited.
    pub(crate) fn rest(&self) -> String {
        self.limit.of(self.needs.and(self.again))
    }

    /// The flag of a run that continues, with a space before it.
    pub(crate) fn flag(&self) -> String {
        self.flag_for(self.needs.and(self.again))
    }

    /// The same of a run of all requests.
    pub(crate) fn flag_of_all(&self) -> String {
        self.flag_for(self.needs.and(self.spent))
    }

    fn flag_for(&self, sum: Sum) -> String {
        match self.limit {
            Limit::Cost(_) => format!(" --max-cost {}", sum.cost.rounded_up()),
            Limit::Tokens(_) => format!(" --max-tokens {}", sum.tokens),
            Limit::Requests(_) => format!(" --max-total-requests {}", sum.requests),
        }
    }
}

impl Sum {
    /// What one of the requests needs on average, rounded up.
    pub(crate) fn each(self) -> Self {
        let Self { cost, tokens, requests } = self;
        Self { cost: cost.shared(requests), tokens: tokens.div_ceil(requests.max(1)), requests: 1 }
    }

    /// Both together.
    pub(crate) fn and(self, more: Self) -> Self {
        Self {
            cost: self.cost + more.cost,
            tokens: self.tokens.saturating_add(more.tokens),
            requests: self.requests.saturating_add(more.requests),
        }
    }
}
