//! Reads a server's JSON of any size into a value of a bounded one.
//!
//! An answer may be 64 MiB long, and as values it could take ten times that. We
//! read ids, words and counts from it, so long lists and long texts are cut
//! while they are read. A cut list ends in an element that says how much is gone.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::opaque::LONGEST_ID;
use crate::text::shorten_bytes;

/// The most elements of a list that are kept. A page of batches has a hundred.
pub(crate) const LONGEST_LIST: usize = 1_000;
/// The most members of an object that are kept, and as many again of our own marks.
const MOST_MEMBERS: usize = 200;
/// The longest text that is kept, in bytes. No id is so long: one that was cut is none.
const LONGEST_TEXT: usize = 2 * LONGEST_ID;
/// The most values of a whole answer. A page of a hundred batches has some ten thousand.
const MOST_VALUES: usize = 250_000;
/// What the name of each of our marks in a batch's metadata begins with.
const OURS: &str = "batchstep_";
/// The member by which a cut list says how many elements are not kept.
const MORE: &str = "batchstep_more";

/// Reads JSON. An answer of more values than anybody could have meant is an error.
pub(crate) fn read(json: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let left = Cell::new(MOST_VALUES);
    let value = Reader { left: &left }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Takes the last element off a list if it only says how many are not kept, and tells that number.
pub(crate) fn take_more(list: &mut Vec<Value>) -> u64 {
    let more = list.last().and_then(|last| last.get(MORE)).and_then(Value::as_u64);
    if more.is_some() {
        list.pop();
    }
    more.unwrap_or(0)
}

/// Reads one value while there are values left.
#[derive(Clone, Copy)]
struct Reader<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("it holds too many values"))?;
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(shorten_bytes(text, LONGEST_TEXT)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let (mut list, mut more) = (Vec::new(), 0u64);
        while list.len() < LONGEST_LIST {
            match seq.next_element_seed(self)? {
                Some(element) => list.push(element),
                None => return Ok(Value::Array(list)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        if more > 0 {
            list.push(Value::Object(Map::from_iter([(MORE.to_owned(), more.into())])));
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (mut object, mut ours, mut others) = (Map::new(), 0, 0);
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            // Our marks decide who pays: no other member may crowd them out.
            let kept = if name.starts_with(OURS) { &mut ours } else { &mut others };
            if *kept == MOST_MEMBERS && !object.contains_key(&*name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            *kept += usize::from(!object.contains_key(&*name));
            let value = map.next_value_seed(self)?;
            object.insert(shorten_bytes(&name, LONGEST_TEXT), value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_LIST, LONGEST_TEXT, MOST_MEMBERS, MOST_VALUES, Value, read, take_more};

    #[test]
    fn what_is_of_a_sensible_size_stays_as_it_is() {
        for json in [
            r#"{"id":"é\n","n":[1,-2,2.5,null,true],"deep":{"er":[{"and":"so on"}]},"id2":"twice"}"#,
            "17",
            r#""text""#,
            "[]",
            "{}",
            "18446744073709551615",
        ] {
            assert_eq!(read(json.as_bytes()).unwrap(), serde_json::from_str::<Value>(json).unwrap());
        }
        assert_eq!(read(br#"{"a":1,"a":2}"#).unwrap()["a"], 2, "of a repeated name the last value counts");
        for wrong in ["", "{", "{}{}", "[1,]", "<html>", "\u{0}"] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let list = |elements: usize| format!(r#"{{"data":[{}]}}"#, vec!["7"; elements].join(","));
        for (elements, more) in [(LONGEST_LIST, 0), (LONGEST_LIST + 1, 1), (1_000_000, 1_000_000 - LONGEST_LIST as u64)]
        {
            let mut value = read(list(elements).as_bytes()).unwrap();
            let data = value["data"].as_array_mut().unwrap();
            assert_eq!((take_more(data), data.len()), (more, LONGEST_LIST));
        }
    }

    #[test]
    fn long_texts_and_large_objects_are_cut_but_for_our_marks() {
        let value =
            read(format!(r#"{{"{0}":1,"m":"{0}","l":[{{"m":"{0}"}}]}}"#, "é".repeat(1 << 20)).as_bytes()).unwrap();
        assert!(value["m"].as_str().unwrap().len() <= LONGEST_TEXT + 3);
        assert!(value.to_string().len() < 4 * LONGEST_TEXT);
        let members: Vec<String> = (0..100_000).map(|n| format!(r#""{n}":"v""#)).collect();
        let value = read(format!(r#"{{{},"batchstep_create":"c"}}"#, members.join(",")).as_bytes()).unwrap();
        assert_eq!(value.as_object().unwrap().len(), MOST_MEMBERS + 1);
        assert_eq!(value["batchstep_create"], "c");
    }

    #[test]
    fn more_values_than_anybody_could_mean_are_an_error() {
        let thousand = format!("[{}]", vec!["[]"; 1_000].join(","));
        let million = format!("[{}]", vec![thousand.as_str(); 1_000].join(","));
        assert!(million.len() > 2 * MOST_VALUES && read(million.as_bytes()).is_err());
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).is_err());
    }
}
