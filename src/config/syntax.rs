//! What is written in `batchstep.toml`: keys with single values and lists. What they mean is not known here.

use toml_parser::decoder::{Encoding, IntegerRadix, ScalarKind};
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where it is, in bytes.
    pub(super) at: usize,
    /// What it is set to.
    pub(super) value: Value,
}

/// What a key is set to.
#[derive(Debug)]
pub(super) enum Value {
    /// A single value.
    One(Scalar),
    /// A list; where it begins, in bytes.
    List(Vec<Scalar>, usize),
}

/// A single value.
#[derive(Debug)]
pub(super) struct Scalar {
    /// As text: without quotes, and a number in decimal without underscores.
    pub(super) text: String,
    /// What it is.
    pub(super) sort: Sort,
    /// Where it is, in bytes.
    pub(super) at: usize,
}

/// What a single value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// Text in quotes.
    Text,
    /// A number without a fraction.
    Whole,
    /// Another number.
    Real,
    /// `true` or `false`.
    Switch,
    /// A date, a time or both.
    Time,
}

/// What makes a file unusable.
#[derive(Debug)]
pub(super) struct Mistake {
    /// Where, in bytes.
    pub(super) at: usize,
    /// What, a sentence without its full stop.
    pub(super) what: String,
}

/// The line and the column of a place in a text, both from 1. Columns are characters.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let (mut line, mut column) = (1, 1);
    for byte in text.bytes().take(at) {
        let begins_character = byte & 0xC0 != 0x80;
        (line, column) = if byte == b'\n' { (line + 1, 1) } else { (line, column + usize::from(begins_character)) };
    }
    (line, column)
}

/// Reads a file's text. Keys may be there twice.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Mistake> {
    let source = Source::new(text);
    let tokens: Vec<_> = source.lex().collect();
    let mut reader = Reader { source, entries: Vec::new(), key: None, list: None, mistake: None };
    let mut wrong: Option<ParseError> = None;
    parse_document(&tokens, &mut reader, &mut wrong);
    let wrong = wrong.map(|wrong| Mistake {
        at: wrong.unexpected().or(wrong.context()).map_or(text.len(), |span| span.start()),
        what: format!("this is not TOML: {}", wrong.description()),
    });
    match [reader.mistake, wrong].into_iter().flatten().min_by_key(|mistake| mistake.at) {
        Some(first) => Err(first),
        None => Ok(reader.entries),
    }
}

/// Hears what the parser finds, and keeps the first thing that has no meaning here.
struct Reader<'s> {
    source: Source<'s>,
    entries: Vec<Entry>,
    /// The key whose value follows, and where it is.
    key: Option<(String, usize)>,
    /// The list that is open, and where it began.
    list: Option<(Vec<Scalar>, usize)>,
    mistake: Option<Mistake>,
}

impl Reader<'_> {
    fn mistaken(&mut self, at: Span, what: &str) {
        self.mistake.get_or_insert_with(|| Mistake { at: at.start(), what: what.to_owned() });
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Raw<'_> {
        Raw::new_unchecked(self.source.get(span).map_or("", |raw| raw.as_str()), encoding, span)
    }

    fn set(&mut self, value: Value) {
        if let Some((key, at)) = self.key.take() {
            self.entries.push(Entry { key, at, value });
        }
    }
}

impl EventReceiver for Reader<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.mistaken(span, "the file has no sections: write each key on a line of its own, without `[…]` above it");
    }

    fn array_table_open(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.std_table_open(span, error);
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.mistaken(span, "no key takes a value in braces");
        false
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        if self.list.is_some() {
            self.mistaken(span, "no key takes a list in a list");
            return false;
        }
        self.list = Some((Vec::new(), span.start()));
        true
    }

    fn array_close(&mut self, _: Span, _: &mut dyn ErrorSink) {
        if let Some((items, at)) = self.list.take() {
            self.set(Value::List(items, at));
        }
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut key = String::new();
        self.raw(span, encoding).decode_key(&mut key, error);
        self.key = Some((key, span.start()));
    }

    fn key_sep(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.mistaken(span, "no key has a dot in it");
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = String::new();
        let sort = match self.raw(span, encoding).decode_scalar(&mut text, error) {
            ScalarKind::String => Sort::Text,
            ScalarKind::Boolean(_) => Sort::Switch,
            ScalarKind::DateTime => Sort::Time,
            ScalarKind::Float => Sort::Real,
            ScalarKind::Integer(IntegerRadix::Dec) => Sort::Whole,
            ScalarKind::Integer(radix) => {
                // What does not fit into 64 bits is more than any input takes.
                text = u64::from_str_radix(&text, radix.value()).unwrap_or(u64::MAX).to_string();
                Sort::Whole
            }
        };
        let scalar = Scalar { text, sort, at: span.start() };
        match &mut self.list {
            Some((items, _)) => items.push(scalar),
            None => self.set(Value::One(scalar)),
        }
    }
}
