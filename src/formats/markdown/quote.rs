//! Quoting text in GitHub's Markdown so that it shows as it is and does
//! nothing: no table cell, tag, mention or reference comes of it. The
//! same quotation holds inside a table and outside, which backslashes and
//! backticks do not.

use crate::formats::flat;

/// The longest quotation, in characters.
const LONGEST: usize = 300;
/// The longest sentence, in characters.
const LONGEST_SENTENCE: usize = 1_000;

/// Text shown as code.
pub(super) fn code(text: &str) -> String {
    let text = flat(text, LONGEST);
    let tame = |c: char| c.is_alphanumeric() || " -_.,:;/=+'\"(){}?!$%…".contains(c);
    if text.is_empty() {
        "(empty)".to_owned()
    } else if text.chars().all(tame) {
        format!("`{text}`")
    } else {
        // Inside a tag Markdown is still read: whatever could be a mark, or begin an address, is an entity.
        let means_something = |c: char| c.is_ascii_punctuation() && !"-.,;=+'\"(){}?%".contains(c);
        let inert = |c| if means_something(c) { entity(c) } else { String::from(c) };
        format!("<code>{}</code>", text.chars().map(inert).collect::<String>())
    }
}

/// A sentence of ours that may quote others. What stands between backticks is shown as code.
pub(super) fn prose(sentence: &str) -> String {
    let sentence = flat(sentence, LONGEST_SENTENCE);
    let parts: Vec<&str> = sentence.split('`').collect();
    if parts.len().is_multiple_of(2) || parts.iter().skip(1).step_by(2).any(|quoted| quoted.trim().is_empty()) {
        return plain(&sentence, true);
    }
    parts.iter().enumerate().map(|(at, part)| if at % 2 == 1 { code(part) } else { plain(part, at == 0) }).collect()
}

/// Text whose marks mean nothing. GitHub looks for mentions and references in
/// what it has rendered, so an entity does not stop it there: a space without a
/// width does. An address may become a link, which shows where it leads.
fn plain(text: &str, begins_block: bool) -> String {
    let mut plain = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let marks_a_block = || begins_block && text[..at].bytes().all(|before| before.is_ascii_digit());
        match c {
            '@' | '#' => plain.push_str(&format!("{}\u{200b}", entity(c))),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '$' => plain.push_str(&entity(c)),
            // These make a list, a rule or a heading.
            '-' | '+' | '=' | '.' | ')' if marks_a_block() => plain.push_str(&entity(c)),
            c => plain.push(c),
        }
    }
    plain
}

fn entity(c: char) -> String {
    format!("&#{};", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::{code, prose};

    #[test]
    fn tame_text_is_a_plain_code_span() {
        assert_eq!(code("gpt-4.1-mini"), "`gpt-4.1-mini`");
        assert_eq!(code("größe 日本"), "`größe 日本`");
        assert_eq!(code(" \n"), "(empty)");
    }

    #[test]
    fn other_text_is_code_without_a_mark_in_it() {
        assert_eq!(code("a|b`c\\|@x"), "<code>a&#124;b&#96;c&#92;&#124;&#64;x</code>");
        assert_eq!(code("</code><b>"), "<code>&#60;&#47;code&#62;&#60;b&#62;</code>");
        assert!(code(&"|".repeat(100_000)).len() < 2_000);
    }

    #[test]
    fn sentences_keep_their_code_and_lose_their_marks() {
        assert_eq!(prose("Run `batchstep collect` again."), "Run `batchstep collect` again.");
        assert_eq!(prose("odd ` tick `a` *b*"), "odd &#96; tick &#96;a&#96; &#42;b&#42;");
        assert_eq!(prose("by @me in #12"), "by &#64;\u{200b}me in &#35;\u{200b}12");
        assert_eq!(prose("see https://example.org/docs"), "see https://example.org/docs");
        assert_eq!(prose("1. a"), "1&#46; a");
        assert_eq!(prose("a `|` b"), "a <code>&#124;</code> b");
    }
}
