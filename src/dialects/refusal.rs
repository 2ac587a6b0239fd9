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

/// Names by which an error calls the uploaded file.
const FILE_FIELDS: [&str; 4] = ["file_id", "input_file_id", "file", "input_file"];
/// How an error says that a file cannot be found or used yet.
const NOT_YET: [&str; 15] = [
    "not found",
    "no such file",
    "cannot find",
    "can't find",
    "could not find",
    "couldn't find",
    "does not exist",
    "doesn't exist",
    "not processed",
    "not been processed",
    "not ready",
    "still processing",
    "being processed",
    "not yet",
    "pending",
];
/// How an error says that the file itself is wrong, which no waiting changes.
const WRONG_FILE: [&str; 12] = [
    "too large",
    "too big",
    "larger than",
    "too many",
    " size",
    "exceed",
    " format",
    ".jsonl",
    "valid json",
    "purpose",
    "empty",
    "could not be processed",
];
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

    /// Whether it says that the file cannot be found or used yet. Its size and its
    /// format are another matter.
    pub(crate) fn is_over_file(&self, file_id: &str) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        let names_it = self.param.as_deref().is_some_and(is_file_field);
        (names_it || names_file(message, file_id)) && says_not_yet(message)
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

/// Whether a field's name is one for the uploaded file.
pub(crate) fn is_file_field(param: &str) -> bool {
    param.rsplit('.').next().is_some_and(|name| FILE_FIELDS.contains(&name))
}

/// Whether a sentence speaks of a file, or of the one with this id.
pub(crate) fn names_file(message: &str, file_id: &str) -> bool {
    (!file_id.is_empty() && message.contains(file_id)) || message.to_lowercase().contains("file")
}

/// Whether a sentence about a file says that it cannot be found or used yet.
pub(crate) fn says_not_yet(message: &str) -> bool {
    let message = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    says(&NOT_YET) && !says(&WRONG_FILE)
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
    fn a_file_that_is_late_is_distinguished_from_one_that_is_wrong() {
        for (json, late) in [
            (r#"{"error":{"message":"File file-1 was not found in this project.","param":"file_id"}}"#, true),
            (r#"{"error":{"message":"No such File object: file-1","param":"id"}}"#, true),
            (r#"{"error":{"message":"Input file is still processing, status: pending"}}"#, true),
            (r#"{"detail":[{"loc":["body","input_file_id"],"msg":"file-1 does not exist"}]}"#, true),
            (r#"{"error":{"message":"file-1 is pending"}}"#, true),
            (r#"{"error":{"message":"Invalid file format for Batch API. Must be .jsonl","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"The file is too large and was not found acceptable","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"File file-1 could not be processed.","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"The model gpt was not found"}}"#, false),
            (r#"{"detail":"Not Found"}"#, false),
            (r#"{"error":{"message":"Billing hard limit","param":"file_id"}}"#, false),
        ] {
            assert_eq!(read(json).is_over_file("file-1"), late, "{json}");
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
