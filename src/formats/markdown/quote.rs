//! Quoting text in GitHub's Markdown so that it shows as it is and does
//! nothing: no table cell, tag, link, mention or reference comes of it. The
//! same quotation holds inside a table and outside, which backslashes and
//! backticks do not.
//!
//! GitHub makes links of addresses, and references of `#1`, `GH-1`, `@name` and
//! commit hashes, in what it has rendered: an entity does not stop it there, a
//! space without a width does. In code it makes no references; addresses it
//! does find in the tag, though not between backticks. The forms are those of
//! GitHub's pages "Autolinked references and URLs" and "GitHub Flavored Markdown
//! Spec", 6.9.

use crate::text::flat;

/// The longest quotation, in characters.
const LONGEST: usize = 300;
/// The longest sentence, in characters.
const LONGEST_SENTENCE: usize = 1_000;

/// Text shown as code.
pub(super) fn code(text: &str) -> String {
    code_within(text, LONGEST)
}

/// Text of so many characters at most, shown as code.
fn code_within(text: &str, longest: usize) -> String {
    let text = flat(text, longest);
    let tame = |c: char| c.is_alphanumeric() || " -_.,:;/=+'\"(){}?!$%…".contains(c);
    if text.is_empty() {
        "(empty)".to_owned()
    } else if text.chars().all(tame) {
        format!("`{text}`")
    } else {
        // Inside a tag Markdown is still read: whatever could be a mark is an entity, and no address is left whole.
        let means_something = |c: char| c.is_ascii_punctuation() && !"-.,;=+'\"(){}?%".contains(c);
        let inert = |c| if means_something(c) { entity(c) } else { String::from(c) };
        format!("<code>{}</code>", broken(&text, Marks::Addresses).chars().map(inert).collect::<String>())
    }
}

/// A link, or only its text where there is no address. The text is Markdown already. The address is ours:
/// one with a character that could end it is left out.
pub(super) fn link(text: &str, url: Option<&str>) -> String {
    let is_plain =
        |url: &&str| url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#%&=+,@!".contains(&byte));
    match url.filter(is_plain) {
        Some(url) => format!("[{text}]({url})"),
        None => text.to_owned(),
    }
}

/// A sentence of ours that may quote others. What is between backticks is shown as code.
pub(super) fn prose(sentence: &str) -> String {
    let sentence = flat(sentence, LONGEST_SENTENCE);
    let parts: Vec<&str> = sentence.split('`').collect();
    if parts.len().is_multiple_of(2) || parts.iter().skip(1).step_by(2).any(|quoted| quoted.trim().is_empty()) {
        return plain(&sentence, Position::BlockStart);
    }
    let shown = |(at, part): (usize, &&str)| match at {
        0 => plain(part, Position::BlockStart),
        // A command that is cut does something else, or nothing.
        _ if at % 2 == 1 => code_within(part, LONGEST_SENTENCE),
        _ => plain(part, Position::Within),
    };
    parts.iter().enumerate().map(shown).collect()
}

/// Where a text is in its block.
#[derive(Clone, Copy, PartialEq)]
enum Position {
    /// At its beginning, where a mark may make a list or a heading of it.
    BlockStart,
    Within,
}

/// Text whose marks mean nothing.
fn plain(text: &str, position: Position) -> String {
    let text = broken(text, Marks::All);
    let mut plain = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let marks_a_block =
            || position == Position::BlockStart && text[..at].bytes().all(|before| before.is_ascii_digit());
        match c {
            '@' | '#' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '$' => {
                plain.push_str(&entity(c));
            }
            // These make a list, a rule or a heading.
            '-' | '+' | '=' | '.' | ')' if marks_a_block() => plain.push_str(&entity(c)),
            c => plain.push(c),
        }
    }
    plain
}

/// What is broken up.
#[derive(Clone, Copy, PartialEq)]
enum Marks {
    /// What makes a link by itself.
    Addresses,
    /// That, and what makes a reference or a mention.
    All,
}

/// A space without a width: it shows as nothing, and no mark goes on behind it.
const BREAK: char = '\u{200b}';
/// The shortest commit hash that GitHub makes a reference of is one longer.
const SHORT_HASH: usize = 6;

/// Text with a break inside of everything that GitHub would make something of.
fn broken(text: &str, marks: Marks) -> String {
    let mut broken = String::with_capacity(text.len() + 16);
    let mut before = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let is_inside_word = before.is_some_and(char::is_alphanumeric);
        let is_all = marks == Marks::All;
        // How many bytes stay together; then comes a break.
        let together = match c {
            // `a@b.example`, `@name`, `mailto:a@b.example`, `name@HASH`.
            '@' => Some(1),
            // `#1`, `owner/name#1`.
            '#' if is_all => Some(1),
            // `https://`, `ftp://` and any other scheme's.
            ':' if after.starts_with("//") => Some(1),
            'w' | 'W' if rest.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("www.")) => Some(3),
            _ if is_all && !is_inside_word => reference(rest),
            _ => None,
        };
        let end = together.unwrap_or(c.len_utf8());
        broken.push_str(&rest[..end]);
        if together.is_some() {
            broken.push(BREAK);
        }
        before = if together.is_some() { Some(BREAK) } else { Some(c) };
        rest = &rest[end..];
    }
    broken
}

/// Where the word that a text begins with has to be broken, in bytes, because
/// GitHub would take it for a commit (`0a1b2c3`), for an issue (`GH-1`), or, where
/// a repository is set up so, for a ticket elsewhere (`TICKET-1`).
fn reference(text: &str) -> Option<usize> {
    let hex = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    if hex > SHORT_HASH {
        return Some(SHORT_HASH);
    }
    let name = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (word, after) = text.split_at(name);
    let is_prefix = word.eq_ignore_ascii_case("gh") || !word.bytes().any(|byte| byte.is_ascii_lowercase());
    let goes_on = after.strip_prefix('-').is_some_and(|number| number.starts_with(|c: char| c.is_ascii_alphanumeric()));
    (is_prefix && goes_on && word.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(name + 1)
}

fn entity(c: char) -> String {
    format!("&#{};", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::{BREAK, code, prose};

    #[test]
    fn tame_text_is_a_plain_code_span() {
        assert_eq!(code("gpt-4.1-mini"), "`gpt-4.1-mini`");
        assert_eq!(code("größe 日本"), "`größe 日本`");
        assert_eq!(code("https://x.example/a"), "`https://x.example/a`");
        assert_eq!(code(" \n"), "(empty)");
    }

    #[test]
    fn other_text_is_code_without_a_mark_in_it() {
        assert_eq!(code("a|b`c\\|@x"), "<code>a&#124;b&#96;c&#92;&#124;&#64;\u{200b}x</code>");
        assert_eq!(code("</code><b>"), "<code>&#60;&#47;code&#62;&#60;b&#62;</code>");
        assert!(code(&"|".repeat(100_000)).len() < 2_000);
    }

    #[test]
    fn sentences_keep_their_code_and_lose_their_marks() {
        assert_eq!(prose("Run `batchstep collect` again."), "Run `batchstep collect` again.");
        assert_eq!(prose("odd ` tick `a` *b*"), "odd &#96; tick &#96;a&#96; &#42;b&#42;");
        assert_eq!(prose("by @me in #12"), "by &#64;\u{200b}me in &#35;\u{200b}12");
        assert_eq!(prose("1. a"), "1&#46; a");
        assert_eq!(prose("a `|` b"), "a <code>&#124;</code> b");
        let command = format!("run `sh -c {}`", "x ".repeat(400).trim_end());
        assert_eq!(prose(&command), command, "a command is whole");
        let ours = "13 of 1200 requests failed or are missing (2.5%), well-known at 2026-11-26T10:00:00Z: a/b.";
        assert_eq!(prose(ours), ours);
    }

    /// As a browser shows it: entities read, so that only breaks keep words apart.
    fn shown(markdown: &str) -> String {
        let entities =
            [("&#64;", "@"), ("&#35;", "#"), ("&#58;", ":"), ("&#47;", "/"), ("&#95;", "_"), ("&#126;", "~")];
        entities.into_iter().fold(markdown.to_owned(), |text, (entity, c)| text.replace(entity, c))
    }

    /// The forms that GitHub's documentation lists, and what of each must not stay whole.
    const LINKS: [(&str, &str); 12] = [
        ("https://evil.example/x", "://"),
        ("http://evil.example", "://"),
        ("HTTP://evil.example", "://"),
        ("ftp://evil.example", "://"),
        ("(www.evil.example)", "www."),
        ("WWW.evil.example", "WWW."),
        ("https://www.evil.example", "://"),
        ("me@evil.example", "@e"),
        ("mailto:me@evil.example", "@e"),
        ("xmpp:me@evil.example/x", "@e"),
        ("a.b-c_d@evil.example", "@e"),
        ("https://github.com/o/r/pull/1#issuecomment-2", "://"),
    ];

    const REFERENCES: [(&str, &str); 15] = [
        ("#26", "#2"),
        ("GH-26", "GH-2"),
        ("gh-26", "gh-2"),
        ("(GH-26)", "GH-2"),
        ("jlord/sheetsee.js#26", "#2"),
        ("jlord#26", "#2"),
        ("a5c3785ed8d6a35868bc169f07e40e889087fd2e", "a5c3785"),
        ("A5C3785", "A5C3785"),
        ("jlord@a5c3785ed8d6a35868bc169f07e40e889087fd2e", "@a"),
        ("jlord/sheetsee.js@a5c3785ed8d6a35868bc169f07e40e889087fd2e", "a5c3785"),
        ("@octocat", "@o"),
        ("@github/support", "@g"),
        ("TICKET-123", "TICKET-1"),
        ("A1B2-7", "A1B2-7"),
        ("GHSA-jfh8-c2jp-5v3q", "GHSA-j"),
    ];

    #[test]
    fn nothing_in_a_sentence_becomes_a_link_or_a_reference() {
        for (text, whole) in LINKS.into_iter().chain(REFERENCES) {
            for sentence in [text.to_owned(), format!("It says: {text}, twice {text}."), format!("x:{text}")] {
                let shown = shown(&prose(&sentence));
                assert!(!shown.contains(whole), "{text}: {shown:?}");
                assert_eq!(shown.replace(BREAK, ""), sentence, "it reads the same");
            }
        }
    }

    #[test]
    fn no_address_in_code_becomes_a_link() {
        for (text, whole) in LINKS {
            let between_backticks = code(text);
            if !between_backticks.starts_with('`') {
                assert!(!shown(&between_backticks).contains(whole), "{between_backticks}");
            }
            let in_a_tag = code(&format!("{text}|"));
            assert!(in_a_tag.starts_with("<code>") && !shown(&in_a_tag).contains(whole), "{in_a_tag}");
        }
    }
}
