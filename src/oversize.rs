//! Whether a provider says that a batch is too large, in whatever words.
//!
//! OpenAI answers an upload with 400 and the sentence "File is too large."
//! without a code, gateways in front of a server with 413 and a page of HTML, and
//! others fail the batch with `too_many_tasks`. What is meant can be split; what
//! is too much for a while, as a rate or a quota, cannot, and neither can one line.

use crate::dialects::{Batch, Status};
use crate::retry::Failure;

/// What can be too large.
const THINGS: [&str; 8] = ["file", "request", "payload", "entity", "batch", "body", "content", "upload"];
/// What there can be too many of.
const PARTS: [&str; 10] =
    ["requests", "rows", "tasks", "lines", "records", "items", "inputs", "prompts", "entries", "jobs"];
/// Words of a sentence about something else: what passes, or what splitting does not change.
const OTHERWISE: [&str; 18] = [
    "token",
    "tokens",
    "quota",
    "rate",
    "second",
    "minute",
    "minutes",
    "hour",
    "day",
    "enqueued",
    "storage",
    "concurrent",
    "account",
    "organization",
    "name",
    "id",
    "metadata",
    "characters",
];

/// Whether a call was refused because what it sends is too large.
pub(crate) fn is_refusal(failure: &Failure) -> bool {
    let Failure::Answered(refusal) = failure else { return false };
    match refusal.status {
        413 => true,
        400 | 422 => {
            let error = &refusal.error;
            [&error.code, &error.kind].into_iter().flatten().any(|code| is_code(code))
                || error.message.as_deref().is_some_and(is_sentence)
        }
        _ => false,
    }
}

/// Whether a batch failed because it is too large, before any request was run.
pub(crate) fn is_failed(batch: &Batch) -> bool {
    let is_unanswered = batch.counts.done().unwrap_or(0) == 0 && batch.output_file_id.is_none();
    let says_so = || {
        batch.errors.iter().any(|error| {
            let is_of_file = error.line.is_none() && error.message.as_deref().is_some_and(is_sentence);
            is_of_file || error.code.as_deref().is_some_and(is_code)
        })
    };
    batch.status == Status::Failed && is_unanswered && says_so()
}

/// Whether a code means it: `too_many_tasks`, `FileTooLarge`.
fn is_code(code: &str) -> bool {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let is_many = code.strip_prefix("toomany").is_some_and(|what| PARTS.contains(&what) && what != "requests");
    let is_large = ["toolarge", "toobig"].iter().filter_map(|end| code.strip_suffix(end));
    is_many || is_large.into_iter().any(|what| THINGS.iter().any(|thing| what.ends_with(thing)))
}

/// Whether a sentence means it.
fn is_sentence(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.iter().any(|word| OTHERWISE.contains(word)) || names_a_line(&words) {
        return false;
    }
    let is_thing = |word: &&str| THINGS.contains(word) || PARTS.contains(word);
    // "File is too large", "the batch input file exceeds 100 MB".
    let is_about = |end: usize| words[..end].iter().rev().take(6).any(is_thing);
    let is_large =
        words.windows(2).enumerate().any(|(at, pair)| matches!(pair, ["too", "large" | "big"]) && is_about(at));
    let exceeds = |word: &str| matches!(word, "exceed" | "exceeds" | "exceeded" | "exceeding");
    let is_over = words.iter().enumerate().any(|(at, word)| exceeds(word) && is_about(at));
    // "Too many requests in the file", "contains more than 1000 lines".
    let follows = |at: usize, most: usize| words[at..].iter().take(most).any(|word| PARTS.contains(word));
    let is_many = words.windows(2).enumerate().any(|(at, pair)| match pair {
        ["too", "many"] => follows(at + 2, 3),
        ["more", "than"] => follows(at + 2, 4),
        _ => false,
    });
    is_large || is_over || is_many
}

/// Whether a sentence is about one line of the file, or one request.
fn names_a_line(words: &[&str]) -> bool {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    words.windows(2).any(|pair| matches!(pair[0], "line" | "row" | "request") && is_number(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::{is_failed, is_refusal};
    use crate::dialects::{ApiError, testing};
    use crate::retry::{Failure, Refusal};

    fn refusal(status: u16, code: &str, message: &str) -> bool {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let error = Box::new(ApiError { code: text(code), message: text(message), ..ApiError::default() });
        is_refusal(&Failure::Answered(Refusal { status, error, ..Refusal::default() }))
    }

    #[test]
    fn what_can_be_split_is_known_by_its_status_code_or_sentence() {
        assert!(refusal(413, "", "<html>too large</html>") && refusal(413, "", ""));
        for code in ["too_many_tasks", "TooManyRows", "file_too_large", "FileTooLarge", "request_too_large"] {
            assert!(refusal(400, code, ""), "{code}");
        }
        for sentence in [
            "File is too large.",
            "The batch input file has more than 50000 requests.",
            "Too many requests in the batch: 60000, at most 50000 are allowed.",
            "Batch input file exceeds the maximum size of 100 MB",
            "The number of requests exceeds the limit of 1000.",
            "Request body too big",
            "too many lines in input file",
        ] {
            assert!(refusal(400, "", sentence) && refusal(422, "", sentence), "{sentence}");
        }
    }

    #[test]
    fn what_passes_and_what_one_line_is_about_is_not_split() {
        for (status, code, sentence) in [
            (429, "too_many_requests", "Too many requests"),
            (400, "token_limit_exceeded", "Enqueued token limit reached for m; the batch exceeds it."),
            (400, "", "Line 7: the request body is too large."),
            (400, "", "max_tokens is too large: 100000. This model supports at most 16384 completion tokens."),
            (400, "", "Too many requests per minute."),
            (400, "", "Your files exceed the storage of the project."),
            (400, "too_many_requests", ""),
            (400, "", "The file name exceeds 255 characters."),
            (400, "", "The file is empty."),
            (400, "invalid_request", ""),
            (500, "", "File is too large."),
        ] {
            assert!(!refusal(status, code, sentence), "{status} {code} {sentence}");
        }
        assert!(!is_refusal(&Failure::Interrupted("File is too large.".into())));
    }

    #[test]
    fn a_batch_failed_for_it_if_none_of_it_was_run() {
        let failed = |rest: &str| is_failed(&testing::batch(&format!(r#"{{"id":"b","status":"failed"{rest}}}"#)));
        let coded = r#","errors":{"data":[{"code":"too_many_tasks","message":"x"}]}"#;
        assert!(failed(coded));
        assert!(failed(r#","errors":{"data":[{"code":null,"message":"The batch has more than 10 requests."}]}"#));
        assert!(!failed(r#","errors":{"data":[{"message":"The body is too large.","line":3}]}"#));
        assert!(!failed(&format!(r#"{coded},"request_counts":{{"total":3,"completed":1,"failed":0}}"#)));
        assert!(!failed("") && !failed(r#","errors":{"data":[{"code":"empty_file"}]}"#));
        assert!(!is_failed(&testing::batch(&format!(r#"{{"id":"b","status":"completed"{coded}}}"#))));
    }
}
