//! Cuts a text into the pieces that tokens do not reach across.
//!
//! OpenAI gives a regular expression for each vocabulary (`tiktoken_ext/openai_public.py`, 0.14.0). They are written
//! out here by hand: a general engine takes seconds for a megabyte of rare letters, and a budget must not wait for that.

use regex_syntax::hir::{Class, HirKind};

/// What the expressions tell apart, a bit each.
const LETTER: u8 = 1;
/// A letter that may stand before small ones: large ones, and those that are neither. Marks are among them.
const UPPER: u8 = 2;
/// A letter that may end a word: small ones, and those that are neither. Marks are among them.
const LOWER: u8 = 4;
const DIGIT: u8 = 8;
const SPACE: u8 = 16;
/// The end of a line.
const NEWLINE: u8 = 32;

/// Which characters are letters, digits and spaces.
pub(super) struct Letters(Vec<u8>);

/// How a vocabulary has texts cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// As o200k_base has it: words end before capitals.
    Cased,
    /// As cl100k_base has it.
    Plain,
}

impl Letters {
    /// Reads the tables of Unicode.
    pub(super) fn new() -> Self {
        let mut kinds = vec![0; char::MAX as usize + 1];
        for (pattern, kind) in [
            (r"[\p{Lu}\p{Lt}]", LETTER | UPPER),
            (r"\p{Ll}", LETTER | LOWER),
            (r"[\p{Lm}\p{Lo}]", LETTER | UPPER | LOWER),
            (r"\p{M}", UPPER | LOWER),
            (r"\p{N}", DIGIT),
        ] {
            for range in ranges(pattern) {
                kinds[range].fill(kind);
            }
        }
        for space in (0..0x3001).filter_map(char::from_u32).filter(|c| c.is_whitespace()) {
            kinds[space as usize] |= SPACE;
        }
        kinds[usize::from(b'\n')] |= NEWLINE;
        kinds[usize::from(b'\r')] |= NEWLINE;
        Self(kinds)
    }

    #[inline]
    fn kind(&self, c: char) -> u8 {
        self.0[c as usize]
    }

    /// The length of the first piece of a text that is not empty.
    #[inline]
    pub(super) fn first(&self, text: &str, cut: Cut) -> usize {
        let text = Text { letters: self, text };
        let end = match cut {
            Cut::Cased => text.cased_word(),
            Cut::Plain => text.contraction(0).or_else(|| text.plain_word()),
        };
        end.or_else(|| text.digits()).or_else(|| text.marks(cut)).unwrap_or_else(|| text.spaces(cut))
    }
}

/// The characters that a class of one stands for.
fn ranges(pattern: &str) -> Vec<std::ops::Range<usize>> {
    let parsed = regex_syntax::parse(pattern).map(regex_syntax::hir::Hir::into_kind);
    let Ok(HirKind::Class(Class::Unicode(class))) = parsed else { return Vec::new() };
    class.ranges().iter().map(|range| range.start() as usize..range.end() as usize + 1).collect()
}

struct Text<'t> {
    letters: &'t Letters,
    text: &'t str,
}

impl Text<'_> {
    /// The kind of the character at a place, and where the next one is; none at the end.
    #[inline]
    fn at(&self, at: usize) -> Option<(u8, usize)> {
        let byte = *self.text.as_bytes().get(at)?;
        if byte < 0x80 {
            return Some((self.letters.0[usize::from(byte)], at + 1));
        }
        let c = self.text[at..].chars().next()?;
        Some((self.letters.kind(c), at + c.len_utf8()))
    }

    /// Where the characters of these kinds that begin at a place end.
    #[inline]
    fn run(&self, mut at: usize, kinds: u8) -> usize {
        while let Some((kind, next)) = self.at(at)
            && kind & kinds != 0
        {
            at = next;
        }
        at
    }

    /// Behind a character that may stand before a word: anything but letters, digits and line ends.
    #[inline]
    fn before_word(&self) -> Option<usize> {
        self.at(0).filter(|(kind, _)| kind & (LETTER | DIGIT | NEWLINE) == 0).map(|(_, next)| next)
    }

    /// `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at a place, in capitals too.
    fn contraction(&self, at: usize) -> Option<usize> {
        let rest = self.text[at..].strip_prefix('\'')?;
        let mut chars = rest.chars();
        let first = chars.next()?;
        let length = match (first.to_ascii_lowercase(), chars.next().map(|c| c.to_ascii_lowercase())) {
            // The long s is a small letter of the capital S.
            ('s' | 't' | 'm' | 'd' | 'ſ', _) => first.len_utf8(),
            ('r' | 'v', Some('e')) | ('l', Some('l')) => 2,
            _ => return None,
        };
        Some(at + 1 + length)
    }

    fn plain_word(&self) -> Option<usize> {
        let start = self.before_word().unwrap_or(0);
        Some(self.run(start, LETTER)).filter(|end| *end > start)
    }

    fn cased_word(&self) -> Option<usize> {
        let starts = [self.before_word(), Some(0)];
        let starts = || starts.into_iter().flatten();
        let end = starts().find_map(|start| self.ends_lower(start)).or_else(|| {
            starts().find_map(|start| {
                let uppers = self.run(start, UPPER);
                Some(uppers).filter(|end| *end > start).map(|end| self.run(end, LOWER))
            })
        })?;
        Some(self.contraction(end).unwrap_or(end))
    }

    /// The end of a word from a place on: any capitals, and then at least one letter that is none.
    fn ends_lower(&self, start: usize) -> Option<usize> {
        let (mut at, mut last) = (start, None);
        while let Some((kind, next)) = self.at(at)
            && kind & UPPER != 0
        {
            if kind & LOWER != 0 {
                last = Some(next);
            }
            at = next;
        }
        let lowers = self.run(at, LOWER);
        if lowers > at { Some(lowers) } else { last }
    }

    fn digits(&self) -> Option<usize> {
        let mut end = 0;
        for _ in 0..3 {
            match self.at(end) {
                Some((kind, next)) if kind & DIGIT != 0 => end = next,
                _ => break,
            }
        }
        Some(end).filter(|end| *end > 0)
    }

    /// Signs, with a space before them and line ends behind.
    fn marks(&self, cut: Cut) -> Option<usize> {
        let start = usize::from(self.text.starts_with(' '));
        let mut end = start;
        while let Some((kind, next)) = self.at(end)
            && kind & (LETTER | DIGIT | SPACE) == 0
        {
            end = next;
        }
        let bytes = self.text.as_bytes();
        let ends = |byte: u8| matches!(byte, b'\r' | b'\n') || cut == Cut::Cased && byte == b'/';
        let behind = |end: usize| end + bytes[end..].iter().take_while(|byte| ends(**byte)).count();
        (end > start).then(|| behind(end))
    }

    /// Spaces: up to the last line end, or else all but the one before a word.
    fn spaces(&self, cut: Cut) -> usize {
        let (mut end, mut last, mut newline) = (0, 0, 0);
        while let Some((kind, next)) = self.at(end)
            && kind & SPACE != 0
        {
            if kind & NEWLINE != 0 {
                newline = next;
            }
            (last, end) = (end, next);
        }
        match () {
            () if cut == Cut::Plain && end == self.text.len() => end,
            () if newline > 0 => newline,
            () if end == self.text.len() || last == 0 => end,
            () => last,
        }
    }
}
