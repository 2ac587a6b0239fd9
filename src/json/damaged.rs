//! Damaged JSON, read as far as possible: for lines that no JSON reader accepts.
//!
//! Python writes NaN, gateways cut strings inside a character, terminals leave
//! control characters, and some lines are too long to hold in memory. Such a line
//! still names its request and usually its status. This reader skips what it
//! cannot read and continues; it fails only if reading the file fails. It reads a
//! stream and keeps only strings, up to a limit, so a line of any length needs
//! bounded memory. It is slow: callers try `fast.rs` first.

use std::io::{self, Read};

use serde::Deserialize as _;
use serde::de::value::{Error, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Number, Value};

use super::lenient::{Fields, Fill, Loose};
pub(crate) use super::scanner::End;
use super::scanner::{Scanner, Text};

/// How many values of an error are looked at.
const MOST_VALUES: u32 = 10_000;
/// How many bytes of strings are kept of an error.
const MOST_TEXT: usize = 4 * 1024 * 1024;
/// What is seen of a string that is too long to keep.
const TOO_LONG: &str = "…";

/// Reads into `value`, which must be empty, whatever can be read. Strings are kept
/// while their total length is at most `room` bytes.
///
/// # Errors
/// `reader` cannot be read.
pub(crate) fn fill<'de, T: Fields<'de>>(reader: impl Read, room: usize, value: &mut Loose<'de, T>) -> io::Result<End> {
    let mut scanner = Scanner::new(reader, room, u32::MAX);
    // Only a visitor could refuse, and this one takes anything.
    drop(Fill(value).deserialize(&mut scanner));
    scanner.end()
}

/// The value as far as it can be read, in bounded memory: what exceeds the bounds is left out.
///
/// # Errors
/// `reader` cannot be read.
pub(crate) fn value(reader: impl Read) -> io::Result<Value> {
    let mut scanner = Scanner::new(reader, MOST_TEXT, MOST_VALUES);
    let value = Value::deserialize(&mut scanner).unwrap_or_default();
    scanner.end().map(|_| value)
}

/// The bytes without a byte order mark, which JSON must not begin with and some servers write.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// Whether the bytes are objects, each closed, with nothing after them.
///
/// # Errors
/// `reader` cannot be read.
pub(crate) fn closes(reader: impl Read) -> io::Result<bool> {
    let mut scanner = Scanner::new(reader, 0, 0);
    while scanner.peek() == Some(b'{') && !scanner.is_cut {
        scanner.skip();
        if scanner.byte().is_none() {
            break;
        }
    }
    let is_at_end = scanner.byte().is_none();
    scanner.end().map(|end| is_at_end && end != End::CutOff)
}

impl<'de, R: Read> Deserializer<'de> for &mut Scanner<R> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        while self.peek() == Some(b':') {
            self.at += 1;
        }
        let Some(byte) = self.peek().filter(|byte| !b",}]".contains(byte)) else { return visitor.visit_unit() };
        if !self.may_read() {
            self.skip();
            return visitor.visit_unit();
        }
        match byte {
            b'"' => match self.string() {
                Text::Kept(text) => visitor.visit_string(text),
                Text::TooLong => visitor.visit_str(TOO_LONG),
                // Half of an id is another id.
                Text::CutOff => visitor.visit_unit(),
            },
            b'{' | b'[' => {
                (self.at, self.depth) = (self.at + 1, self.depth + 1);
                let arrays = self.arrays;
                self.arrays += u32::from(byte == b'[');
                let value = if byte == b'{' { visitor.visit_map(&mut *self) } else { visitor.visit_seq(&mut *self) };
                (self.depth, self.arrays) = (self.depth - 1, arrays);
                value
            }
            _ => match self.bare().as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                "null" => visitor.visit_unit(),
                word => {
                    let number = word.parse::<Number>().ok();
                    self.is_damaged |= number.is_none();
                    read_number(number, visitor)
                }
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        while self.peek() == Some(b':') {
            self.at += 1;
        }
        self.skip();
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// A number; NaN, Infinity, `None`, `undefined` and the like are no value that JSON has.
fn read_number<'de, V: Visitor<'de>>(number: Option<Number>, visitor: V) -> Result<V::Value, Error> {
    let Some(number) = number else { return visitor.visit_unit() };
    match (number.as_u64(), number.as_i64()) {
        (Some(whole), _) => visitor.visit_u64(whole),
        (None, Some(whole)) => visitor.visit_i64(whole),
        (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
    }
}

impl<'de, R: Read> SeqAccess<'de> for &mut Scanner<R> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        loop {
            match self.peek() {
                None => return Ok(None),
                Some(b']') => {
                    self.at += 1;
                    return Ok(None);
                }
                // The array was not closed, but what contains it is.
                Some(b'}') => {
                    self.is_damaged = true;
                    return Ok(None);
                }
                Some(b',' | b':') => self.at += 1,
                Some(_) if self.left == 0 => {
                    self.skip_rest();
                    return Ok(None);
                }
                Some(_) => return seed.deserialize(&mut **self).map(Some),
            }
        }
    }
}

impl<'de, R: Read> MapAccess<'de> for &mut Scanner<R> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        loop {
            let key = match self.peek() {
                None => return Ok(None),
                Some(b'}') => {
                    self.at += 1;
                    return Ok(None);
                }
                // The object was not closed, but an array around it is.
                Some(b']') if self.arrays > 0 => {
                    self.is_damaged = true;
                    return Ok(None);
                }
                Some(b']' | b',' | b':') => {
                    self.at += 1;
                    continue;
                }
                Some(_) if self.left == 0 => {
                    self.skip_rest();
                    return Ok(None);
                }
                Some(b'"') => match self.string() {
                    Text::Kept(key) => key,
                    Text::TooLong => TOO_LONG.to_owned(),
                    Text::CutOff => return Ok(None),
                },
                Some(b'{' | b'[') => {
                    self.skip();
                    continue;
                }
                Some(_) => self.bare(),
            };
            // Without a colon it is no key, and has no value.
            let is_key = self.peek() == Some(b':');
            self.is_damaged |= !is_key;
            if is_key {
                let key: StringDeserializer<Error> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut **self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{End, fill, value};
    use crate::json::lenient::Loose;
    use crate::json::scanner::BLOCK;

    fn read(text: impl AsRef<[u8]>) -> serde_json::Value {
        value(text.as_ref()).unwrap()
    }

    fn end(text: impl AsRef<[u8]>) -> End {
        fill::<()>(text.as_ref(), 100, &mut Loose::default()).unwrap()
    }

    #[test]
    fn what_is_json_is_read_as_json() {
        for text in [
            r#"{"a": [1, -2, 0.5e3, true, false, null], "b": {"c": "\u00e9\ud83d\ude00\n\"\\\/"}, "": ""}"#,
            "[[], {}, [[1]]]",
            "\"text\"",
        ] {
            assert_eq!(read(text), serde_json::from_str::<serde_json::Value>(text).unwrap(), "{text}");
            assert_eq!(end(text), End::Closed, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        for (text, expected) in [
            (&br#"{"a": NaN, "b": [-Infinity, Infinity], "c": 1}"#[..], json!({"a": null, "b": [null, null], "c": 1})),
            (b"{\"a\": \"x\x01\ty\", \"b\": \"\xff\"}", json!({"a": "x\u{1}\ty", "b": "\u{fffd}"})),
            (
                br#"{"a": "\ud83d", "b": "\ud83dx\udc4d", "c": "\ud83d\n", "d": "\ud83d\u0041"}"#,
                json!({"a": "\u{fffd}", "b": "\u{fffd}x\u{fffd}", "c": "\u{fffd}\n", "d": "\u{fffd}A"}),
            ),
            (br#"{"a": "\x \u12", "b": 1,}"#, json!({"a": "\\x \u{12}", "b": 1})),
            (br#"{"a" 1, "b": , c: 2, "d": 01, "e": 1e999}"#, json!({"b": null, "c": 2, "d": null, "e": null})),
            (br#"{"a": [1, {"x": 2], "b": 3}"#, json!({"a": [1, {"x": 2}], "b": 3})),
            (br#"{"a": {"x": 2]}, "b": [3}"#, json!({"a": {"x": 2}, "b": [3]})),
        ] {
            assert_eq!(read(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn damage_is_seen_where_it_is_passed_over() {
        for text in
            [&b"{\"a\": NaN}"[..], b"{\"a\": \"\x01\"}", b"{\"a\": \"\xff\"}", b"{\"a\": None, \"b\": 1}", b"{\"a\"}"]
        {
            assert_eq!(end(text), End::Damaged, "{}", String::from_utf8_lossy(text));
        }
        let long = format!("{{\"a\": \"{}\"}}", "é".repeat(BLOCK));
        assert_eq!(end(&long), End::Closed, "a character may be in two blocks");
        assert_eq!(end(long.as_bytes().strip_prefix(b"{\"a\": \"\xc3").unwrap()), End::Damaged);
    }

    #[test]
    fn what_is_cut_off_is_read_up_to_there() {
        for (text, expected) in [
            (r#"{"a": 1, "b": "half"#, json!({"a": 1, "b": null})),
            (r#"{"a": {"b": [1, 2"#, json!({"a": {"b": [1, 2]}})),
            (r#"{"a": 1, "b"#, json!({"a": 1})),
            (r#"{"a":"#, json!({"a": null})),
            ("", json!(null)),
        ] {
            assert_eq!((read(text), end(text)), (expected, End::CutOff), "{text}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let deep = format!("{{\"a\": {}{}, \"b\": 1}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep)["b"], 1);
        let many = format!("{{\"a\": [{}0], \"b\": 1}}", "0,".repeat(100_000));
        assert!(read(&many)["a"].as_array().unwrap().len() <= 10_000 && read(&many).get("b").is_none());
        let long = format!("{{\"a\": \"{}\", \"b\": \"c\"}}", "x".repeat(5 << 20));
        assert_eq!(read(&long), json!({"a": "…", "b": "c"}));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn whatever_comes_it_ends(bytes in prop::collection::vec(prop::sample::select(
            b"{}[]:,\"\\ \n\x01\xffaNu0-1e.d8".to_vec()), 0..60)) {
            value(&bytes[..]).unwrap();
            fill::<()>(&bytes[..], 8, &mut Loose::default()).unwrap();
        }

        #[test]
        fn json_is_read_as_json(text in "[a\"\\\\\n\u{e9}\u{1f600} {}:,]{0,40}", number in any::<i64>(), list in prop::collection::vec(any::<bool>(), 0..4)) {
            let whole = json!({"a": text, "b": {"c": number, "d": list}, "e": null});
            prop_assert_eq!(read(whole.to_string()), whole);
        }
    }
}
