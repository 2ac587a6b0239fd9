//! Counts the tokens of a text as OpenAI's tokenizer does.

use std::sync::OnceLock;

use super::merge;
use super::pieces::{Cut, Letters};
use super::vocabulary::Vocabulary;

/// A vocabulary of OpenAI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// That of its models since gpt-4o.
    O200k,
    /// That of gpt-4, gpt-3.5 and the embedding models.
    Cl100k,
}

/// The vocabularies, each of which is read when it is first needed. That takes about 25 ms, and 7 MB of memory.
#[derive(Default)]
pub(crate) struct Tokenizers {
    letters: OnceLock<Letters>,
    o200k: OnceLock<Vocabulary>,
    cl100k: OnceLock<Vocabulary>,
}

impl Encoding {
    /// What OpenAI calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        }
    }
}

impl Tokenizers {
    /// The tokens of a text. What looks like a special token is text, as it is in a request.
    pub(super) fn count(&self, encoding: Encoding, text: &str) -> u64 {
        let letters = self.letters.get_or_init(Letters::new);
        let (vocabulary, cut) = match encoding {
            Encoding::O200k => (self.o200k.get_or_init(|| read(encoding)), Cut::Cased),
            Encoding::Cl100k => (self.cl100k.get_or_init(|| read(encoding)), Cut::Plain),
        };
        let (mut rest, mut tokens) = (text, 0);
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(letters.first(rest, cut));
            tokens += merge::count(piece.as_bytes(), vocabulary) as u64;
            rest = others;
        }
        tokens
    }
}

fn read(encoding: Encoding) -> Vocabulary {
    Vocabulary::read(match encoding {
        Encoding::O200k => include_bytes!("vocabularies/o200k_base.bin"),
        Encoding::Cl100k => include_bytes!("vocabularies/cl100k_base.bin"),
    })
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Tokenizers, read};

    /// Texts, and how many tokens OpenAI's tiktoken 0.14.0 for Python makes of them, with either vocabulary.
    const TEXTS: [(&str, u64, u64); 26] = [
        ("", 0, 0),
        ("a", 1, 1),
        ("hi", 1, 1),
        ("Hello, world!", 4, 4),
        ("don't DON'T it'ſ we'LL o'clock", 10, 13),
        ("HTTPServer iPhone XMLHttpRequest", 6, 4),
        ("  two  spaces\t\ttabs\r\n\r\n  end  ", 11, 11),
        (" \n \n x", 2, 2),
        ("1234567890 3.14159 ٣٤٥ Ⅻ²", 17, 20),
        ("<|endoftext|><|im_start|>", 12, 12),
        ("https://example.org/a/b?c=d//\n", 10, 10),
        ("Все люди рождаются свободными", 6, 16),
        ("人人生而自由", 4, 6),
        ("すべての人間は、生まれながらにして", 14, 17),
        ("모든 인간은 태어날 때부터", 9, 14),
        ("يولد جميع الناس أحرار\u{64b}ا", 8, 17),
        ("मन\u{941}ष\u{94d}य जन\u{94d}म स\u{947} स\u{94d}वत\u{902}त\u{94d}र ह\u{948}\u{902}", 6, 25),
        ("มน\u{e38}ษย\u{e4c}ท\u{e31}\u{e49}งหลายเก\u{e34}ดมาม\u{e35}อ\u{e34}สระ", 13, 28),
        ("Ǆ ǅ ǆ ʰʷ", 13, 13),
        ("e\u{301}\u{301}A\u{301}b \u{301}AB", 9, 9),
        ("👩\u{200d}👩\u{200d}👧\u{200d}👦🏽 🇩🇪", 17, 27),
        ("550e8400-e29b-41d4-a716-446655440000", 18, 18),
        ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB", 16, 16),
        ("{\"a\":[1,2.5e-3,null],\"b\":\"x\\n\"}", 18, 18),
        ("\0\u{1f}\u{a0}\u{3000}\u{2028}x", 6, 7),
        ("fn main() {\n    println!(\"{}\", 1);\n}\n", 11, 11),
    ];

    #[test]
    fn tokens_are_those_of_openais_own_tokenizer() {
        let tokenizers = Tokenizers::default();
        for (text, o200k, cl100k) in TEXTS {
            let counted = [Encoding::O200k, Encoding::Cl100k].map(|encoding| tokenizers.count(encoding, text));
            assert_eq!(counted, [o200k, cl100k], "{text:?}");
        }
    }

    #[test]
    fn the_vocabularies_are_whole() {
        assert_eq!([Encoding::O200k, Encoding::Cl100k].map(|encoding| read(encoding).len()), [199_998, 100_256]);
    }

    /// What 20,000 characters are made of, and how many tokens of o200k_base tiktoken makes of them.
    const HOSTILE: [(&str, u64); 12] = [
        ("a", 2500),
        ("\u{301}", 20_000),
        ("的", 20_000),
        ("\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}", 32_000),
        ("7", 6667),
        ("\n", 1250),
        ("ab", 5000),
        ("<|endoftext|>", 9229),
        ("!?", 5002),
        ("ก", 20_000),
        ("\u{10400}", 80_000),
        (" ", 157),
    ];

    #[test]
    fn hostile_texts_are_counted_within_a_quarter_of_a_percent() {
        let tokenizers = Tokenizers::default();
        for (text, o200k) in HOSTILE {
            let long = text.repeat(20_000 / text.chars().count());
            let counted = tokenizers.count(Encoding::O200k, &long);
            assert!(counted.abs_diff(o200k) * 400 <= o200k.max(400), "{text:?}: {counted}, not {o200k}");
        }
    }
}
