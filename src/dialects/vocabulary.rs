//! The fields of a request's body that a vendor documents, and what of a body does not look like them.
//!
//! Nothing here is a fault: a server may take more fields than its documents name.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::lenient::{Seen, skip};

/// The types of a value; `null` is always taken, and is none.
pub(crate) mod types {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const BOOL: u8 = 1;
    pub(crate) const NUMBER: u8 = 2;
    pub(crate) const TEXT: u8 = 4;
    pub(crate) const LIST: u8 = 8;
    pub(crate) const OBJECT: u8 = 16;
    pub(crate) const ANY: u8 = 31;
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// The types that it may have.
    pub(crate) takes: u8,
    /// The endpoints that have it, a bit each.
    pub(crate) at: u8,
}

/// What is unusual about the fields of a body, and which fields there are.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// Those of the table that are there, a bit for each.
    pub(crate) present: u64,
    /// Those of them whose value has a type that they do not take.
    pub(crate) mistyped: u64,
    /// Those of the mistyped whose value is a string.
    given_as_text: u64,
    /// Those of them that are there twice.
    pub(crate) repeated: u64,
    /// The names that are not in the table, but almost, each with the field that it is like.
    pub(crate) unknown: Vec<(String, usize)>,
}

/// Names that look like others and are none: parameters of servers that we know.
const NO_MISTAKES: [&str; 7] = ["top_k", "top_a", "top_n", "mode", "models", "speed", "inputs"];
/// Its names may differ from a limit's in two letters: `min_tokens`.
const LEAST: &str = "min_";
/// How many unknown names are kept.
const KEPT: usize = 8;

/// How many `_` a name has at most, which somebody may leave out.
const SEPARATORS: usize = 4;
/// How many places names are hashed to: several times as many as there are fields.
const PLACES: usize = 256;
/// The longest name, in bytes.
const LONGEST: usize = 31;
/// The most fields: one for each bit.
const MOST: usize = 64;

/// The fields that a vendor documents, sorted by length and then by name, and where those of each length begin.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    fields: &'static [Field],
    starts: [u8; LONGEST + 2],
    /// Where a name is hashed to, or behind that, is the number of its field, from 1.
    places: [u8; PLACES],
    /// The letters of each field: see [`letters`].
    letters: [u32; MOST],
}

impl Vocabulary {
    /// Of fields that are sorted.
    pub(crate) const fn new(fields: &'static [Field]) -> Self {
        let mut starts = [0; LONGEST + 2];
        let mut length = 0;
        while length < starts.len() {
            let mut at = 0;
            while at < fields.len() && fields[at].name.len() < length {
                at += 1;
            }
            starts[length] = at as u8;
            length += 1;
        }
        let (mut all, mut places, mut at) = ([0; MOST], [0; PLACES], 0);
        while at < fields.len() {
            all[at] = letters(fields[at].name);
            let mut place = hash(fields[at].name.as_bytes());
            while places[place] != 0 {
                place = (place + 1) % PLACES;
            }
            at += 1;
            places[place] = at as u8;
        }
        Self { fields, starts, places, letters: all }
    }

    /// Where a field is.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let mut place = hash(name.as_bytes());
        loop {
            let at = usize::from(self.places[place]).checked_sub(1)?;
            if self.fields.get(at)?.name == name {
                return Some(at);
            }
            place = (place + 1) % PLACES;
        }
    }

    /// The fields of some endpoints, a bit each.
    pub(crate) const fn of(&self, endpoints: u8) -> u64 {
        let (mut fields, mut at) = (0, 0);
        while at < self.fields.len() {
            if self.fields[at].at & endpoints != 0 {
                fields |= 1 << at;
            }
            at += 1;
        }
        fields
    }

    /// The fields that `bits` name.
    pub(crate) fn named(&'static self, mut bits: u64) -> impl Iterator<Item = &'static Field> {
        std::iter::from_fn(move || {
            let at = bits.trailing_zeros() as usize;
            bits &= bits.wrapping_sub(1);
            self.fields.get(at)
        })
    }

    /// The field that a name is almost, of these endpoints.
    fn near(&self, endpoints: u8, name: &str) -> Option<usize> {
        if !(4..40).contains(&name.len()) || name.starts_with(LEAST) || NO_MISTAKES.contains(&name) {
            return None;
        }
        let most = if name.len() < 8 { 1 } else { 2 };
        let steps = |field: &Field| match () {
            () if plain(field.name).eq(plain(name)) => 0,
            () if field.name.len() < 4 || field.name.len().abs_diff(name.len()) > most => usize::MAX,
            () => strsim::osa_distance(name, field.name),
        };
        // A server's own names are on every line, so what shows that they are others must be cheap. Nobody mistakes the
        // first letter, and each step changes two letters at most.
        let (first, letters) = (name.as_bytes()[0].to_ascii_lowercase(), letters(name));
        let start = |length: usize| usize::from(self.starts[length.min(LONGEST + 1)]);
        let (from, to) = (start(name.len().saturating_sub(SEPARATORS)), start(name.len() + SEPARATORS + 1));
        let may_be = |at: &usize| {
            let field = &self.fields[*at];
            field.name.as_bytes()[0] == first
                && field.at & endpoints != 0
                && (self.letters[*at] ^ letters).count_ones() as usize <= 2 * most
        };
        let nearest = (from..to).filter(may_be).map(|at| (steps(&self.fields[at]), self.fields[at].name, at)).min();
        nearest.filter(|(steps, ..)| *steps <= most).map(|(.., at)| at)
    }

    /// Fails unless it is sorted as `find` wants it, and fits into the bits.
    #[cfg(test)]
    pub(crate) fn assert_sorted(&self) {
        assert!(self.fields.len() <= MOST && self.fields.iter().all(|field| field.name.len() <= LONGEST));
        assert!(self.fields.is_sorted_by_key(|field| (field.name.len(), field.name)), "{:?}", self.fields);
    }
}

impl Noticed {
    /// Takes note of a field whose value was read.
    #[inline]
    pub(crate) fn read(&mut self, vocabulary: &Vocabulary, name: &str, value: &Seen<'_>) {
        if let Some(at) = vocabulary.find(name) {
            self.known(vocabulary, at, kind(value));
        }
    }

    /// Takes note of a field whose value nobody asks for, and passes over that.
    #[inline]
    pub(crate) fn pass_over<'de, A: MapAccess<'de>>(
        &mut self,
        vocabulary: &Vocabulary,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let Some(at) = vocabulary.find(name) else {
            self.unknown(vocabulary, name);
            return skip(map);
        };
        let kind = map.next_value_seed(KindOf)?;
        self.known(vocabulary, at, kind);
        Ok(())
    }

    /// Takes note of a field of the table, whose value has this type.
    #[inline]
    fn known(&mut self, vocabulary: &Vocabulary, at: usize, kind: u8) {
        let bit = 1_u64 << at;
        self.repeated |= self.present & bit;
        self.present |= bit;
        if kind & !vocabulary.fields[at].takes != 0 {
            self.mistyped |= bit;
            self.given_as_text |= if kind == types::TEXT { bit } else { 0 };
        }
    }

    /// Takes note of another field. Most are nothing like those of the table, whatever the endpoint.
    fn unknown(&mut self, vocabulary: &Vocabulary, name: &str) {
        if let Some(near) = vocabulary.near(u8::MAX, name).filter(|_| self.unknown.len() < KEPT) {
            self.unknown.push((name.to_owned(), near));
        }
    }

    /// Adds the warnings that every vendor's body may earn, of an endpoint with this bit. `place` is what comes before
    /// the name of a field.
    pub(crate) fn warn(&self, vocabulary: &'static Vocabulary, endpoint: u8, place: &str, warnings: &mut Vec<String>) {
        for field in vocabulary.named(self.mistyped).filter(|field| field.at & endpoint != 0) {
            let (name, right) = (field.name, written(field.takes));
            let is_text = vocabulary.find(name).is_some_and(|at| self.given_as_text & (1 << at) != 0);
            let has_no_quotes = field.takes & (types::BOOL | types::NUMBER) != 0;
            let quotes = if is_text && has_no_quotes { ", without quotes" } else { "" };
            warnings.push(format!("`{place}{name}` has the wrong type: write {right}{quotes}"));
        }
        for field in vocabulary.named(self.repeated) {
            let name = field.name;
            warnings
                .push(format!("`{place}{name}` is given twice, and servers take the first or the last: remove one"));
        }
        for (name, near) in &self.unknown {
            let is_here = vocabulary.fields[*near].at & endpoint != 0;
            let near = if is_here { Some(*near) } else { vocabulary.near(endpoint, name) };
            // Where that field is given as well, the other is one of the server's own.
            if let Some(near) = near.filter(|at| self.present & (1 << at) == 0) {
                let near = vocabulary.fields[near].name;
                let found = format!("`{place}{name}` is unknown to the API, which has `{near}`");
                warnings.push(format!("{found}: write that if it was meant"));
            }
        }
    }
}

/// Where a name is looked for: by its length and its ends.
const fn hash(name: &[u8]) -> usize {
    match name {
        [] => 0,
        [first, .., last] => (name.len() * 29 + *first as usize * 7 + *last as usize) % PLACES,
        [only] => *only as usize,
    }
}

/// The letters of a name, a bit each, whether they are capitals or not.
const fn letters(name: &str) -> u32 {
    let (bytes, mut letters, mut at) = (name.as_bytes(), 0, 0);
    while at < bytes.len() {
        if bytes[at].is_ascii_alphabetic() {
            letters |= 1 << (bytes[at].to_ascii_lowercase() - b'a');
        }
        at += 1;
    }
    letters
}

/// A name without what sets its words apart.
fn plain(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')).map(|byte| byte.to_ascii_lowercase())
}

/// The type of a value that was read.
pub(crate) fn kind(value: &Seen<'_>) -> u8 {
    match value {
        Seen::Absent | Seen::Null => types::NONE,
        Seen::Bool(_) => types::BOOL,
        Seen::Number(_) => types::NUMBER,
        Seen::Text(_) => types::TEXT,
        Seen::Array { .. } => types::LIST,
        Seen::Object => types::OBJECT,
    }
}

/// Passes over a value, and says which type it has.
pub(crate) struct KindOf;

impl<'de> DeserializeSeed<'de> for KindOf {
    type Value = u8;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        deserializer.deserialize_newtype_struct("Kind", self)
    }
}

impl<'de> Visitor<'de> for KindOf {
    type Value = u8;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    /// Its first byte: see [`crate::json::fast`].
    fn visit_u8<E: Error>(self, first: u8) -> Result<u8, E> {
        Ok(match first {
            b'n' => types::NONE,
            b't' | b'f' => types::BOOL,
            b'"' => types::TEXT,
            b'[' => types::LIST,
            b'{' => types::OBJECT,
            _ => types::NUMBER,
        })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<u8, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        self.visit_u8(raw.get().bytes().next().unwrap_or_default())
    }
}

/// Types in words.
fn written(takes: u8) -> String {
    let words = [
        (types::BOOL, "`true`"),
        (types::BOOL, "`false`"),
        (types::NUMBER, "a number"),
        (types::TEXT, "a string"),
        (types::LIST, "a list"),
        (types::OBJECT, "an object"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(kind, _)| takes & kind != 0).map(|(_, word)| word).collect();
    match words.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, Vocabulary, types};

    #[test]
    fn only_what_is_close_and_no_servers_own_field_is_a_near_miss() {
        const VOCABULARY: Vocabulary = Vocabulary::new(&[
            Field { name: "stop", takes: types::ANY, at: 1 },
            Field { name: "model", takes: types::ANY, at: 1 },
            Field { name: "top_p", takes: types::ANY, at: 1 },
            Field { name: "max_tokens", takes: types::ANY, at: 1 },
            Field { name: "temperature", takes: types::ANY, at: 2 },
        ]);
        VOCABULARY.assert_sorted();
        assert_eq!((VOCABULARY.find("model"), VOCABULARY.find("modes"), VOCABULARY.find("")), (Some(1), None, None));
        for (name, expected) in [
            ("max_token", Some("max_tokens")),
            ("maxTokens", Some("max_tokens")),
            ("topP", Some("top_p")),
            ("top_k", None),
            ("min_tokens", None),
            ("models", None),
            ("temperatur", None),
            ("seed", None),
            ("mdoel", Some("model")),
            ("max_new_tokens", None),
            ("chat_template_kwargs", None),
        ] {
            let near = VOCABULARY.near(1, name).map(|at| VOCABULARY.fields[at].name);
            assert_eq!(near, expected, "{name}");
        }
    }
}
