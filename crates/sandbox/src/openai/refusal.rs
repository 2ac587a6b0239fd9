//! What the API says when it says no: the status, and an error of OpenAI's shape.
//!
//! The texts that recordings of the real API hold are kept word for word, since
//! tools (ours too) look for parts of them.

use serde_json::{Value, json};

use crate::refusal::Refusal;

impl Refusal {
    /// A refusal of type `invalid_request_error` without param or code.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        let kind = "invalid_request_error";
        Self { status, message: message.into(), kind, param: None, code: None, retry_after: None }
    }

    /// A 400 about one field.
    pub(super) fn field(param: &str, code: &str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), code: Some(code.to_owned()), ..Self::new(400, message) }
    }

    pub(super) fn no_file(id: &str) -> Self {
        Self { param: Some("id".to_owned()), ..Self::new(404, format!("No such File object: {id}")) }
    }

    pub(super) fn no_batch(id: &str) -> Self {
        Self::new(404, format!("No batch found with id '{id}'."))
    }

    pub(super) fn no_key() -> Self {
        Self::new(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using \
             Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    }

    /// The real API shows the key's ends; the sandbox shows nothing of it.
    pub(super) fn wrong_key() -> Self {
        let message = "Incorrect API key provided: ********. You can find your API key at \
                       https://platform.openai.com/account/api-keys.";
        Self { code: Some("invalid_api_key".to_owned()), ..Self::new(401, message) }
    }

    /// The refusal that a fault asks for: a status, perhaps with a code that is not the usual one.
    pub(super) fn scripted(status: u16, code: Option<&str>) -> Self {
        let (kind, usual, message) = match (status, code) {
            (_, Some("insufficient_quota")) => (
                "insufficient_quota",
                None,
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            (_, Some("billing_hard_limit_reached")) => {
                ("invalid_request_error", None, "Billing hard limit has been reached.")
            }
            (401, _) => return Self { code: code.map(str::to_owned).or(Self::wrong_key().code), ..Self::wrong_key() },
            (403, _) => ("invalid_request_error", None, "You have insufficient permissions for this operation."),
            (404, _) => ("invalid_request_error", None, "Not found."),
            (429, _) => ("requests", Some("rate_limit_exceeded"), "Rate limit reached for requests."),
            (503, _) => ("server_error", None, "The engine is currently overloaded, please try again later."),
            (500.., _) => {
                ("server_error", None, "The server had an error while processing your request. Sorry about that!")
            }
            _ => ("invalid_request_error", None, "The request was refused."),
        };
        let code = code.or(usual).map(str::to_owned);
        Self { kind, code, ..Self::new(status, message) }
    }

    /// The body: `{"error": {…}}`.
    pub(super) fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn scripted_refusals_look_real() {
        let code = |status, code| Refusal::scripted(status, code).body()["error"]["code"].clone();
        assert_eq!(code(429, None), "rate_limit_exceeded");
        assert_eq!(code(429, Some("insufficient_quota")), "insufficient_quota");
        assert_eq!(code(401, None), "invalid_api_key");
        assert!(code(503, None).is_null());
        assert_eq!(Refusal::scripted(502, None).kind, "server_error");
    }
}
