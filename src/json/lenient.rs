//! JSON that may hold anything: reads the fields that are asked for, whatever
//! their type, and skips the rest without keeping it.
//!
//! A requests file is written by hand and an answer by some provider. A wrong
//! type in either is a finding, never a reason to give up the line. What is not
//! asked for is not even decoded, so a line costs one pass over its bytes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// What was found where a value was expected.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Seen<'de> {
    /// Nothing: there is no such key.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, its escapes decoded.
    Text(Cow<'de, str>),
    /// An array.
    Array {
        /// Its elements.
        len: u64,
        /// Whether the first element is a number: then an `input` is one list of tokens.
        of_numbers: bool,
    },
    /// An object.
    Object,
}

impl<'de> Seen<'de> {
    /// Whether there is no value: the key is absent, or its value `null`.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// Whether there is no value, or a blank text.
    pub(crate) fn is_blank(&self) -> bool {
        self.is_nothing() || self.text().is_some_and(|text| text.trim().is_empty())
    }

    /// The text, if it is a string.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text, if it is a string that is not empty; what stays behind says nothing more.
    pub(crate) fn take_text(&mut self) -> Option<Cow<'de, str>> {
        match std::mem::take(self) {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one or a text that reads as one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Seen<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Loose::<'de, ()>::deserialize(deserializer).map(|loose| loose.seen)
    }
}

/// The fields of an object that somebody asks for.
pub(crate) trait Fields<'de>: Default {
    /// Takes the value of `key` from `map`, by reading it or by skipping it.
    /// Of a repeated key the last value counts.
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    /// Reads the elements of an array that stands where the object was expected. Unless something of them is asked
    /// for, they are counted.
    fn elements<A: SeqAccess<'de>>(&mut self, seq: A) -> Result<Seen<'de>, A::Error> {
        count(seq)
    }
}

/// Counts the elements of an array.
fn count<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Seen<'de>, A::Error> {
    let Some(first) = seq.next_element::<Seen<'de>>()? else {
        return Ok(Seen::Array { len: 0, of_numbers: false });
    };
    let mut len = 1;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        len += 1;
    }
    Ok(Seen::Array { len, of_numbers: matches!(first, Seen::Number(_)) })
}

impl<'de> Fields<'de> for () {
    fn take<A: MapAccess<'de>>(&mut self, _key: &str, map: &mut A) -> Result<(), A::Error> {
        skip(map)
    }
}

/// Skips the value of the current key.
pub(crate) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// Reads the current value into its place, and shows it there.
pub(crate) fn put<'p, 'de, A: MapAccess<'de>>(
    place: &'p mut Seen<'de>,
    map: &mut A,
) -> Result<&'p Seen<'de>, A::Error> {
    *place = map.next_value()?;
    Ok(place)
}

/// The same of a value whose fields are asked for.
pub(crate) fn put_fields<'p, 'de, A: MapAccess<'de>, T: Fields<'de>>(
    place: &'p mut Loose<'de, T>,
    map: &mut A,
) -> Result<&'p Seen<'de>, A::Error> {
    map.next_value_seed(Fill(place))?;
    Ok(&place.seen)
}

/// A value of any type; if it is an object, with the fields asked for.
#[derive(Debug, Default)]
pub(crate) struct Loose<'de, T> {
    /// What it is.
    pub(crate) seen: Seen<'de>,
    /// Its fields, which keep their defaults in whatever is no object.
    pub(crate) fields: T,
}

impl<'de, T: Fields<'de>> Deserialize<'de> for Loose<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Self::default();
        Fill(&mut value).deserialize(deserializer)?;
        Ok(value)
    }
}

/// Reads a value into its place: those with many fields are not moved about.
pub(crate) struct Fill<'a, 'de, T>(pub(crate) &'a mut Loose<'de, T>);

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for Fill<'_, 'de, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Of a repeated key the last value counts.
        if !matches!(self.0.seen, Seen::Absent) {
            *self.0 = Loose::default();
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields<'de>> Fill<'_, 'de, T> {
    fn number<E: Error>(self, number: impl Into<Number>) -> Result<(), E> {
        self.just(Seen::Number(number.into()))
    }

    fn just<E: Error>(self, seen: Seen<'de>) -> Result<(), E> {
        self.0.seen = seen;
        Ok(())
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for Fill<'_, 'de, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.just(Seen::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.just(Seen::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.just(Number::from_f64(value).map_or(Seen::Null, Seen::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.just(Seen::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.just(Seen::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.0.seen = self.0.fields.elements(seq)?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.seen = Seen::Object;
        while let Some(Key(key)) = map.next_key()? {
            self.0.fields.take(&key, &mut map)?;
        }
        Ok(())
    }
}

/// A key, borrowed unless it holds escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    fn seen(json: &str) -> Seen<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn any_value_is_seen_for_what_it_is() {
        assert_eq!(seen("null"), Seen::Null);
        assert_eq!(seen("true"), Seen::Bool(true));
        assert_eq!(seen("-1"), Seen::Number((-1).into()));
        assert_eq!(seen(r#""a\u0062""#).text(), Some("ab"));
        assert_eq!(seen("[]"), Seen::Array { len: 0, of_numbers: false });
        assert_eq!(seen("[1, 2]"), Seen::Array { len: 2, of_numbers: true });
        assert_eq!(seen("[[1], [2], [3]]"), Seen::Array { len: 3, of_numbers: false });
        assert_eq!(seen(r#"{"a": {"b": [1]}}"#), Seen::Object);
    }

    #[test]
    fn what_is_skipped_may_be_nested_deeply() {
        let deep = format!(r#"{{"a": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(seen(&deep), Seen::Object);
    }
}
