//! Makes messages alike that differ only in an id or a number.
//!
//! "Request req_0a1b failed after 1.4s" and a thousand similar messages have one
//! cause. A folded message is only compared; people see it as it came.

/// What a folded part becomes.
const FOLD: &str = "…";
/// How much of a folded message is compared, in bytes.
const MOST: usize = 400;
/// What the ids of OpenAI and of those like it begin with, before `-` or `_`.
const PREFIXES: [&str; 24] = [
    "req", "request", "resp", "response", "org", "proj", "project", "file", "batch", "msg", "message", "msgbatch",
    "call", "chatcmpl", "cmpl", "run", "thread", "user", "id", "trace", "span", "session", "asst", "rs",
];

/// The message with ids, long numbers, spans and the request's own id folded, and spaces made one.
pub(crate) fn folded(message: &str, custom_id: &str) -> String {
    let mut folded = String::new();
    let mut rest = message;
    while let Some(first) = rest.chars().next().filter(|_| folded.len() < MOST) {
        if let Some(after) = own_id(rest, custom_id, folded.chars().next_back()) {
            folded.push_str(FOLD);
            rest = after;
        } else if first.is_alphanumeric() {
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            rest = number(&mut folded, token, after).unwrap_or_else(|| {
                put(&mut folded, token);
                after
            });
        } else {
            if !first.is_whitespace() {
                folded.push(first);
            } else if !folded.ends_with(' ') {
                folded.push(' ');
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    folded
}

/// What follows the request's own id, if the text begins with it as a word.
fn own_id<'a>(text: &'a str, id: &str, before: Option<char>) -> Option<&'a str> {
    let after = text.strip_prefix(id).filter(|_| id.chars().nth(1).is_some())?;
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    (!is_word(before) && !is_word(after.chars().next())).then_some(after)
}

/// Folds a number with a fraction, grouped digits or a unit of time: `1.4s`, `30,000`, `6m0s`.
fn number<'a>(folded: &mut String, token: &str, after: &'a str) -> Option<&'a str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_span(token) && !is_number(token) {
        folded.push_str(FOLD);
        return Some(after);
    }
    let (mut rest, mut found) = (after, false);
    while is_number(token)
        && let Some(more) = rest.strip_prefix(['.', ','])
        && let end = more.find(|c: char| !c.is_alphanumeric()).unwrap_or(more.len())
        && end > 0
        && is_span(&more[..end])
    {
        (rest, found) = (&more[end..], true);
    }
    found.then(|| {
        folded.push_str(FOLD);
        rest
    })
}

/// Whether a word is digits, perhaps with units of time between and after them.
fn is_span(word: &str) -> bool {
    let units = ["ms", "s", "m", "h", "d", "us", "ns"];
    let letters = word.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty());
    word.starts_with(|c: char| c.is_ascii_digit()) && letters.clone().all(|unit| units.contains(&unit))
}

/// Puts a word, with those of its parts folded that are ids or long numbers.
fn put(folded: &mut String, token: &str) {
    let bare: String = token.chars().filter(|c| *c != '-').collect();
    let has_digit = |word: &str| word.bytes().any(|byte| byte.is_ascii_digit());
    let is_hex = |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) && has_digit(word);
    let prefix = token.split(['-', '_']).next().unwrap_or_default();
    let is_id = prefix.len() < token.len() && PREFIXES.contains(&prefix.to_ascii_lowercase().as_str());
    if is_hex(&bare) || is_hex(bare.trim_start_matches("0x")) {
        return folded.push_str(FOLD);
    }
    if is_id && has_digit(token) {
        folded.push_str(prefix);
        return folded.push_str(FOLD);
    }
    for part in token.split_inclusive(['-', '_']) {
        let word = part.trim_end_matches(['-', '_']);
        let is_long_number = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_mixed = word.len() >= 8 && has_digit(word) && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_random = word.len() >= 24 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_long_number || is_mixed || is_random {
            folded.push_str(FOLD);
            folded.push_str(&part[word.len()..]);
        } else {
            folded.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::folded;

    #[test]
    fn what_differs_in_an_id_or_a_number_is_alike() {
        for (one, other) in [
            ("Request req_0a1b2c failed.", "Request req_9f7 failed."),
            (
                "Request 550e8400-e29b-41d4-a716-446655440000 failed",
                "Request 123e4567-e89b-12d3-a456-426614174000 failed",
            ),
            ("Limit 30000, used 29500. Try again in 1.4s.", "Limit 30,000, used 999. Try again in 6m0s."),
            ("at 0xdeadbeef01", "at 0x00ff00ff00"),
            ("retry   in 857ms", "retry in 20ms"),
            ("key AbCd1234EfGh5678", "key 99zzZZ00kkLL11"),
        ] {
            assert_eq!(folded(one, ""), folded(other, ""));
        }
        assert_eq!(folded("Row q-1 is bad", "q-1"), folded("Row q-22 is bad", "q-22"));
    }

    #[test]
    fn what_differs_otherwise_is_not() {
        for (one, other) in [
            ("This model takes no 'temperature'.", "Invalid image data."),
            ("model gpt-4o is unknown", "model gpt-4.1 is unknown"),
            ("messages[1] is empty", "messages[2] is empty"),
            ("q-1 is bad", "q-2 is bad"),
        ] {
            assert_ne!(folded(one, "x"), folded(other, "x"));
        }
        assert_eq!(folded("a bad day", "a"), "a bad day", "an id of one letter is no mark");
    }

    proptest! {
        #[test]
        fn any_text_is_folded(text in "[a-c0-9é…_\\-., \n]{0,80}", id in "[a-c0-9\\-]{0,4}") {
            let once = folded(&text, &id);
            prop_assert!(once.len() <= 400 + text.len());
        }
    }
}
