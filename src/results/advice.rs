//! What to do about requests that failed: what happens if they are sent again as they are, and a sentence.
//!
//! Vendors use similar words in their codes, so the words are not a dialect's.

use super::row::{Failed, Retry};
use super::unanswered::{Absence, GONE, MISSING, NOT_SENT};
use crate::dialects::Ran;
use crate::report::Prospect;

/// What codes have in common that are about one cause, and the advice. The first that fits counts.
const BY_WORD: [(&[&str], &str); 8] = [
    (
        &["quota", "billing", "credit", "balance", "funds", "spend_limit", "payment"],
        "Add credit or raise the limit at the provider, then send them again.",
    ),
    (
        &["context_length", "string_above_max_length", "too_long", "prompt_too_large", "max_tokens"],
        "Shorten these requests: they are longer than the model takes.",
    ),
    (
        &["model_not_found", "model_not_available", "unknown_model", "invalid_model"],
        "Correct `model`, or use a key that may use this model.",
    ),
    (&["api_key", "authentication", "unauthorized"], "Correct the API key."),
    (&["permission", "forbidden", "access_denied"], "Use a key that may do this, or ask for access."),
    (
        &["content_policy", "content_filter", "moderation", "safety", "responsible_ai"],
        "Change or remove these requests: the provider refuses their content.",
    ),
    (&["unsupported", "not_supported"], "Remove from these requests what the model does not support."),
    (&["batchstep_unreadable"], "The answer was paid for and is damaged; another one is paid for as well."),
];

/// What to do about a request that failed.
pub(super) fn of(failed: &Failed) -> (Prospect, &'static str) {
    match failed.code.as_str() {
        MISSING => return Absence::Missing.advice(),
        GONE => return Absence::Gone.advice(),
        NOT_SENT => return Absence::NotSent.advice(),
        "batch_expired" => return (Prospect::MayPass, "The provider ran out of time for these; send them again."),
        "schema_violation" => {
            return (Prospect::PaidAgain, "The answer is not what the schema says; correct the schema or the prompt.");
        }
        "gate" => return (Prospect::PaidAgain, "Your gate failed these answers; correct the prompt, or the gate."),
        "empty_answer" if failed.retry == Retry::Not => {
            return (Prospect::PaidAgain, "Look at one of the lines in `results.jsonl`; these answers were paid for.");
        }
        "batch_cancelled" => return (Prospect::MayPass, "The batch was cancelled before these; send them again."),
        _ => {}
    }
    if failed.retry == Retry::Worth || failed.ran == Ran::Never {
        return (Prospect::MayPass, "This may pass; send them again.");
    }
    let code = failed.code.to_ascii_lowercase();
    let by_word = BY_WORD.iter().find(|(words, _)| words.iter().any(|word| code.contains(word)));
    let prospect = if code == "batchstep_unreadable" { Prospect::PaidAgain } else { Prospect::FailsAgain };
    (prospect, by_word.map_or_else(|| by_status(failed.status), |(_, advice)| advice))
}

/// The advice where the code says nothing.
fn by_status(status: Option<u16>) -> &'static str {
    match status {
        Some(401) => "Correct the API key.",
        Some(402) => "Add credit or raise the limit at the provider, then send them again.",
        Some(403) => "Use a key that may do this, or ask for access.",
        Some(404) => "Correct what these requests name: the provider does not know it.",
        Some(413) => "Shorten these requests: they are longer than the provider takes.",
        Some(400..=499) => "Correct these requests as the message says.",
        _ => "Look at one of the lines in `results.jsonl`; sent as they are, they fail again.",
    }
}

#[cfg(test)]
mod tests {
    use super::{Failed, GONE, MISSING, NOT_SENT, Prospect, Ran, Retry, of};

    fn failed(code: &str, status: Option<u16>, retry: Retry) -> Failed {
        let (custom_id, message) = ("a".to_owned(), String::new());
        Failed { custom_id, code: code.to_owned(), status, message, like: None, retry, ran: Ran::Yes }
    }

    #[test]
    fn each_kind_of_failure_has_its_advice() {
        for (code, status, retry, prospect, word) in [
            (MISSING, None, Retry::Worth, Prospect::MayPass, "No answer"),
            (GONE, None, Retry::Not, Prospect::PaidAgain, "deleted"),
            (NOT_SENT, None, Retry::Not, Prospect::MayPass, "raise them"),
            ("batch_cancelled", None, Retry::Not, Prospect::MayPass, "cancelled"),
            ("rate_limit_exceeded", Some(429), Retry::Worth, Prospect::MayPass, "may pass"),
            ("insufficient_quota", Some(429), Retry::Not, Prospect::FailsAgain, "credit"),
            ("context_length_exceeded", Some(400), Retry::Not, Prospect::FailsAgain, "Shorten"),
            ("Model_Not_Found", Some(404), Retry::Not, Prospect::FailsAgain, "`model`"),
            ("invalid_request_error", Some(400), Retry::Not, Prospect::FailsAgain, "as the message says"),
            ("http_404", Some(404), Retry::Not, Prospect::FailsAgain, "does not know"),
            ("unknown", None, Retry::Not, Prospect::FailsAgain, "results.jsonl"),
            ("batchstep_unreadable", None, Retry::Not, Prospect::PaidAgain, "damaged"),
        ] {
            let (seen, advice) = of(&failed(code, status, retry));
            assert_eq!(seen, prospect, "{code}");
            assert!(advice.contains(word), "{code}: {advice}");
        }
    }
}
