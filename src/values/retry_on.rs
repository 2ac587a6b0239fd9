//! Which failures are retried beside the default ones.

use std::str::FromStr;

/// A failure that the input `retry-on` adds to those that are retried anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryWord {
    /// Requests without an answer, also where the provider counts one that its files lack.
    Missing,
    /// Answers that do not fit their schema.
    Schema,
    /// Answers that are not to be relied on.
    Suspect,
    /// Answers with this status.
    Status(u16),
    /// Answers with this code, whatever its case.
    Code(String),
}

impl FromStr for RetryWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.trim();
        if word.eq_ignore_ascii_case("missing") {
            return Ok(Self::Missing);
        }
        if word.eq_ignore_ascii_case("schema") {
            return Ok(Self::Schema);
        }
        if word.eq_ignore_ascii_case("suspect") {
            return Ok(Self::Suspect);
        }
        if word.is_empty() || word.contains(char::is_whitespace) {
            return Err("write statuses, codes, `missing`, `schema` or `suspect`, separated by commas".to_owned());
        }
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Code(word.to_owned()));
        }
        let status = word.parse().ok().filter(|status| *status < 1000);
        status.map(Self::Status).ok_or_else(|| "a status has at most three digits".to_owned())
    }
}

/// The failures that are retried beside the default ones: the input `retry-on`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetryOn(pub(crate) Vec<RetryWord>);

impl RetryOn {
    /// Whether requests without an answer are retried even where the provider's
    /// own account promises one: that may pay for them twice.
    pub(crate) fn covers_missing(&self) -> bool {
        self.0.contains(&RetryWord::Missing)
    }

    /// Whether answers that do not fit their schema are sent again, which pays for them twice.
    pub(crate) fn covers_schema(&self) -> bool {
        self.0.contains(&RetryWord::Schema)
    }

    /// Whether suspect answers are sent again, which pays for them twice.
    pub(crate) fn covers_suspect(&self) -> bool {
        self.0.contains(&RetryWord::Suspect)
    }

    /// Whether a failure with this status and code is among them.
    pub(crate) fn covers(&self, status: Option<u16>, code: &str) -> bool {
        self.0.iter().any(|word| match word {
            RetryWord::Missing | RetryWord::Schema | RetryWord::Suspect => false,
            RetryWord::Status(one) => status == Some(*one),
            RetryWord::Code(one) => one.eq_ignore_ascii_case(code),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{RetryOn, RetryWord};

    #[test]
    fn what_is_retried_is_a_status_a_code_or_missing() {
        let words: Result<Vec<RetryWord>, String> =
            "403, Overloaded,missing,Schema, suspect".split(',').map(str::parse).collect();
        let retry_on = RetryOn(words.unwrap());
        assert!(retry_on.covers_schema() && retry_on.covers_suspect());
        assert!(!retry_on.covers(None, "schema") && !retry_on.covers(None, "suspect"));
        assert!(retry_on.covers_missing() && retry_on.covers(Some(403), "") && retry_on.covers(None, "overloaded"));
        assert!(!retry_on.covers(Some(404), "403") && !retry_on.covers(None, "missing"));
        assert!(!RetryOn::default().covers_missing() && !RetryOn::default().covers(Some(403), ""));
        for wrong in ["", " ", "1000", "two words"] {
            assert!(wrong.parse::<RetryWord>().is_err(), "{wrong}");
        }
    }
}
