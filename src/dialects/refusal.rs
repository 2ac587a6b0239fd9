//! A server's error, as a dialect reads it, and what it is about: what to do depends on that more than on the status.
//!
//! What an error's code means is the dialect's to say. Vendors share neither codes nor sentences, so what an error is
//! about is read from the field that it names and from a few words, as seen in the answers of OpenAI, Azure,
//! Anthropic, FastAPI servers (vLLM, AIBrix) and gateways (LiteLLM).

/// What a dialect knows about an error by its code or type. Where both say something, the greater counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    /// Nothing: the HTTP status decides.
    #[default]
    Unknown,
    /// The account cannot be used, and no waiting helps.
    Hopeless,
    /// The same, and credit or a higher limit would help.
    NeedsCredit,
}

/// An error, from wherever the server put it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// The server's code, as text.
    pub code: Option<String>,
    /// The kind of error: OpenAI's `error.type`.
    pub kind: Option<String>,
    /// The server's sentence, or the body's own text.
    pub message: Option<String>,
    /// The field it is about.
    pub param: Option<String>,
    /// The status that it names, or that its message begins with.
    pub status: Option<u16>,
    /// What its code or kind means in this dialect.
    pub meaning: Meaning,
}

/// How codes and sentences say that the server is too busy or broken for now.
const TRANSIENT: [&str; 9] = [
    "rate_limit",
    "too_many_requests",
    "overload",
    "server_error",
    "server_is_busy",
    "unavailable",
    "timeout",
    "timed_out",
    "try_again",
];

impl ApiError {
    /// The error as it may be shown, each text passed through `cut`.
    pub(crate) fn shown(&self, cut: impl Fn(&str) -> String) -> Self {
        let show = |text: &Option<String>| text.as_deref().map(&cut);
        let (code, kind, message) = (show(&self.code), show(&self.kind), show(&self.message));
        Self { code, kind, message, param: show(&self.param), status: self.status, meaning: self.meaning }
    }

    /// The best word for it: a code that is a word, else the kind, else the code's number.
    pub(crate) fn word(&self) -> Option<&str> {
        let is_number = |code: &&str| code.bytes().all(|byte| byte.is_ascii_digit());
        let code = self.code.as_deref();
        code.filter(|code| !is_number(code)).or(self.kind.as_deref()).or(code)
    }

    /// Whether no waiting helps, whatever the HTTP status.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.meaning != Meaning::Unknown
    }

    /// Whether the server is too busy, or broken for now, by what the body says.
    pub(crate) fn is_transient(&self) -> bool {
        if let Some(status) = self.status {
            return matches!(status, 408 | 409 | 425 | 429 | 500 | 502..=599);
        }
        let words = [&self.code, &self.kind, &self.message];
        words.into_iter().flatten().any(|text| {
            let text = text.to_lowercase().replace([' ', '-'], "_");
            TRANSIENT.iter().any(|word| text.contains(word))
        })
    }

    /// Whether it is the metadata as such that is refused, and not one of these pairs of the user's.
    pub(crate) fn is_over_metadata(&self, user: &[(String, String)]) -> bool {
        let (param, message) = (self.param.as_deref().unwrap_or_default(), self.message.as_deref().unwrap_or_default());
        let is_theirs =
            |(key, _): &(String, String)| [param, message].iter().any(|text| text.contains(&format!("metadata.{key}")));
        let is_named = param.split('.').any(|part| part == "metadata") || message.to_lowercase().contains("metadata");
        is_named && !user.iter().any(is_theirs)
    }
}

#[cfg(test)]
mod tests {
    use crate::dialects::testing::error as read;

    #[test]
    fn what_is_transient_is_read_from_status_or_words() {
        for (json, transient) in [
            (r#"{"error":{"code":503}}"#, true),
            (r#"{"error":{"code":501}}"#, false),
            (r#"{"error":{"code":"rate_limit_exceeded"}}"#, true),
            (r#"{"error":{"type":"server_error"}}"#, true),
            (r#"{"error":"The model is overloaded."}"#, true),
            (r#"{"error":"Too many requests"}"#, true),
            (r#"{"error":{"message":"batch b is unknown","type":"invalid_request_error"}}"#, false),
            // The status says it, whatever the sentence is like.
            (r#"{"error":{"code":404,"message":"Service unavailable"}}"#, false),
        ] {
            assert_eq!(read(json).is_transient(), transient, "{json}");
        }
    }

    #[test]
    fn metadata_is_refused_by_name() {
        let user = [("suite".to_owned(), "x".to_owned())];
        for (json, refused) in [
            (r#"{"detail":[{"loc":["body","metadata"],"msg":"Extra inputs are not permitted"}]}"#, true),
            (r#"{"error":{"message":"Unknown parameter: 'metadata'.","param":"metadata"}}"#, true),
            (r#"{"error":{"message":"Unrecognized request argument supplied: metadata"}}"#, true),
            (r#"{"error":{"message":"Invalid 'metadata.suite': string too long.","param":"metadata.suite"}}"#, false),
            (r#"{"error":{"message":"Invalid endpoint","param":"endpoint"}}"#, false),
        ] {
            assert_eq!(read(json).is_over_metadata(&user), refused, "{json}");
        }
    }
}
