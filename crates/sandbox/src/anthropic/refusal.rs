//! What Anthropic's API says when it says no.

use crate::refusal::Refusal;

/// A refusal whose type follows from its status.
pub(super) fn refuse(status: u16, message: impl Into<String>) -> Refusal {
    Refusal { status, message: message.into(), kind: kind(status), param: None, code: None, retry_after: None }
}

pub(super) fn no_batch(id: &str) -> Refusal {
    refuse(404, format!("Message batch with ID '{id}' not found."))
}

/// The refusal that a fault asks for, perhaps with a code, which is in the error's details.
pub(super) fn scripted(status: u16, code: Option<&str>) -> Refusal {
    let message = match (status, code) {
        (_, Some("enforced_spend_limit_reached" | "contract_spend_limit_reached")) => {
            "Your organization has reached its spend limit."
        }
        (401, _) => "invalid x-api-key",
        (402, _) => "Your credit balance is too low to access the Anthropic API.",
        (403, _) => "Your API key does not have permission to use the specified resource.",
        (404, _) => "Not found",
        (413, _) => "Request exceeds the maximum size",
        (429, _) => "This request would exceed your organization's rate limit.",
        (504, _) => "The request timed out while processing.",
        (529, _) => "Overloaded",
        (500.., _) => "Internal server error",
        _ => "The request was refused.",
    };
    Refusal { code: code.map(str::to_owned), ..refuse(status, message) }
}

/// The type of an error, by the status it comes with.
pub(super) fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
