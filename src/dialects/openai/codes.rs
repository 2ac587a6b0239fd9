//! What OpenAI's codes mean, and those of the gateways and vendors that speak its dialect.

use crate::dialects::Meaning;

/// The reason why a batch fails when too many tokens are enqueued: it may be sent again when other batches end.
pub(super) const NO_ROOM: &str = "token_limit_exceeded";

/// The account needs credit or a higher limit: OpenAI's words.
const NEEDS_CREDIT: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// No waiting helps, whatever the HTTP status, since the account is empty, over its limit or closed. OpenAI's, then
/// Anthropic's as gateways pass them on (its SDK's `types/shared`), then those of gateways and other vendors.
const HOPELESS: [&str; 10] = [
    "account_deactivated",
    "billing_error",
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "insufficient_user_quota",
    "insufficient_balance",
    "insufficient_credits",
    "insufficient_funds",
    "exceeded_current_quota_error",
    "payment_required",
];

/// What a code or a type means.
pub(super) fn meaning(word: &str) -> Meaning {
    let is_in = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word.trim()));
    match word {
        _ if is_in(&NEEDS_CREDIT) => Meaning::NeedsCredit,
        _ if is_in(&HOPELESS) => Meaning::Hopeless,
        _ => Meaning::Unknown,
    }
}

/// Whether a code or a type says that no waiting helps.
pub(crate) fn is_hopeless(word: &str) -> bool {
    meaning(word) != Meaning::Unknown
}
