//! Text for people: shortened, made safe to print, counted and measured.
//!
//! Everything here is a pure function. Two lengths occur: characters, where people read, and bytes,
//! where somebody's limit is in bytes. A text is never cut inside a character.

/// The mark of a text that was shortened.
const MARK: char = '…';

/// The first `most` characters of a text.
pub(crate) fn first_chars(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// How much of a key people and the names of directories get.
const SHORT_KEY: usize = 12;

/// A key as people read it: its first twelve characters, which tell works apart.
pub(crate) fn short_key(key: &str) -> &str {
    first_chars(key, SHORT_KEY)
}

/// As many whole characters as fit into `most` bytes.
pub(crate) fn first_bytes(text: &str, most: usize) -> &str {
    // `str::floor_char_boundary` does this from Rust 1.91 on.
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// The first `most` characters of a text, and the mark `…` if there were more.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    marked(text, first_chars(text, most))
}

/// As many whole characters as fit into `most` bytes, and the mark `…` beyond them if there were more.
pub(crate) fn shorten_bytes(text: &str, most: usize) -> String {
    marked(text, first_bytes(text, most))
}

fn marked(text: &str, kept: &str) -> String {
    let mut short = kept.to_owned();
    if kept.len() < text.len() {
        short.push(MARK);
    }
    short
}

/// Whether [`shorten`] or [`shorten_bytes`] left something out.
pub(crate) fn is_shortened(text: &str) -> bool {
    text.ends_with(MARK)
}

/// A text on one line, with single spaces for its white space.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `most` characters of a text on one line: its white space folded, what deceives made visible.
pub(crate) fn flat(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for c in text.trim().chars() {
        if length >= most {
            line.push(MARK);
            break;
        }
        let space = c.is_whitespace() && c != '\u{2028}' && c != '\u{2029}';
        match c {
            _ if space && line.ends_with(' ') => continue,
            _ if space => line.push(' '),
            c if deceives(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
        length += 1;
    }
    line
}

/// The longest line of a log, in bytes.
const LONGEST_LINE: usize = 8_000;
const CUT_NOTE: &str = " … (cut)";

/// What a line of a log must not begin with: commands to GitHub, groups at Buildkite
/// (<https://buildkite.com/docs/pipelines/configure/managing-log-output>).
const STEERING: [&str; 5] = [":", "---", "+++", "~~~", "^^^"];

/// Text as one harmless line of a log.
///
/// Whatever could move a terminal's cursor, hide or reorder text becomes a
/// visible escape. No two `#` are adjacent, since GitHub, Azure and TeamCity
/// take `##[…]`, `##vso[…]` and `##teamcity[…]` for commands anywhere in a
/// line, and the line never begins with a colon, since GitHub takes `::…::`
/// there for one, nor with what begins a group at Buildkite. GitHub's runner compares by the rules of a locale, which
/// skip characters without a width: such characters between two `#` do not
/// separate them.
pub(crate) fn safe(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST_LINE) + 8);
    let mut after_hash = false;
    for c in text.chars() {
        if line.len() > LONGEST_LINE {
            break;
        }
        match c {
            '\t' => line.push(' '),
            c if deceives(c) => line.extend(c.escape_default()),
            '#' if after_hash => line.push_str(" #"),
            c => line.push(c),
        }
        after_hash = c == '#' || (after_hash && has_no_width(c));
    }
    let begins = line.trim_start_matches(|c: char| c.is_whitespace() || has_no_width(c));
    if STEERING.iter().any(|mark| begins.starts_with(mark)) {
        line.insert_str(0, "| ");
    }
    if line.len() > LONGEST_LINE {
        line.truncate(first_bytes(&line, LONGEST_LINE - CUT_NOTE.len()).len());
        line.push_str(CUT_NOTE);
    }
    line
}

/// Whether a character steers a terminal, or hides or reorders the text around it.
pub(crate) fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a character occurs in honest text and is skipped when a locale compares.
pub(crate) fn has_no_width(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{200c}' | '\u{200d}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}')
        || matches!(c, '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{e0080}'..='\u{e0fff}')
}

/// A number with commas between thousands: `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let grouped = |text: String, (at, digit): (usize, char)| {
        let is_border = at > 0 && (digits.len() - at).is_multiple_of(3);
        if is_border { text + "," + digit.encode_utf8(&mut [0; 4]) } else { text + digit.encode_utf8(&mut [0; 4]) }
    };
    digits.chars().enumerate().fold(String::new(), grouped)
}

/// `1 batch`, `2 batches`.
pub(crate) fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// `1 request`, `20 requests`.
pub(crate) fn requests_count(count: u64) -> String {
    counted(count, "request", "requests")
}

/// A size in the units vendors state their limits in: 1 MB is 1,000,000 bytes.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => counted(bytes, "byte", "bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A text as one word of a POSIX shell, quoted where it has to be: ids are the provider's text.
pub(crate) fn shell_word(text: &str) -> String {
    // The one error is a NUL, which no argument can contain: what is printed leaves it out.
    shlex::try_quote(text).map_or_else(|_| shell_word(&text.replace('\0', "")), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;
    use proptest::prelude::*;

    use super::{LONGEST_LINE, deceives, first_bytes, first_chars, flat, safe, shorten, shorten_bytes, thousands};
    use crate::formats::samples::HOSTILE;

    #[test]
    fn a_text_is_never_cut_inside_a_character() {
        assert_eq!((shorten("äöü", 3).as_str(), shorten("äöü!", 3).as_str()), ("äöü", "äöü…"));
        assert_eq!((shorten_bytes("äöü", 6).as_str(), shorten_bytes("äöü", 5).as_str()), ("äöü", "äö…"));
        assert_eq!((first_chars("äöü", 2), first_bytes("äöü", 1), first_bytes("äöü", 9)), ("äö", "", "äöü"));
    }

    #[test]
    fn numbers_read_well() {
        let expected = ["0", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"];
        assert_eq!([0, 999, 1_000, 1_234_567, u64::MAX].map(thousands), expected);
    }

    #[test]
    fn flat_text_is_short_and_hides_nothing() {
        assert_eq!(flat(" a\r\n\tb\u{1b}c ", 9), "a b\\u{1b}c");
        assert_eq!(flat("abcd", 3), "abc…");
        for text in HOSTILE {
            assert!(!flat(text, 100).chars().any(deceives));
        }
    }

    fn is_harmless(line: &str) {
        assert!(!line.chars().any(deceives), "{line:?}");
        assert!(!line.contains("##"), "{line:?}");
        assert!(line.len() <= LONGEST_LINE);
        assert_eq!(runner::command(line), None, "{line:?}");
        assert_eq!(safe(line), line);
    }

    #[test]
    fn hostile_text_is_one_harmless_line() {
        HOSTILE.iter().for_each(|text| is_harmless(&safe(text)));
        is_harmless(&safe(&"é".repeat(100_000)));
        assert_eq!(safe("a\r\nb\tc\u{1b}[2J###[x"), "a\\r\\nb c\\u{1b}[2J# # #[x");
        assert_eq!(safe("  ::error::x"), "|   ::error::x");
        assert_eq!(safe("#\u{200d}#[add-mask]x"), "#\u{200d} #[add-mask]x");
        assert_eq!(safe("naïve 日本語 👩‍💻 50% #1: ok::y"), "naïve 日本語 👩‍💻 50% #1: ok::y");
    }

    proptest! {
        #[test]
        fn any_text_is_one_harmless_line(text in "(?s)[ #:\\[\\]a\u{200d}\u{ad}\u{85}\n\u{202e}\u{fe0f}]{0,12}|.{0,40}") {
            is_harmless(&safe(&text));
        }
    }
}
