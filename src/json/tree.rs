//! A value with all that is in it, whose texts are borrowed where they hold no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Tree<'j> {
    /// `null`, or nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(f64),
    /// A string, its escapes decoded.
    Text(Cow<'j, str>),
    /// An array.
    List(Vec<Self>),
    /// An object, with its members in order.
    Object(Vec<(Cow<'j, str>, Self)>),
}

impl<'j> Tree<'j> {
    /// Reads a value. None if it is nested too deeply to be read, or not JSON.
    pub(crate) fn read(json: &'j RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }

    /// The member with this name; of a repeated one the last. `Null` if there is none.
    pub(crate) fn get(&self, name: &str) -> &Self {
        let found = self.members().iter().rev().find(|(known, _)| known == name);
        found.map_or(&Tree::Null, |(_, value)| value)
    }

    /// The members, if it is an object.
    pub(crate) fn members(&self) -> &[(Cow<'j, str>, Self)] {
        if let Self::Object(members) = self { members } else { &[] }
    }

    /// The elements, if it is an array.
    pub(crate) fn list(&self) -> &[Self] {
        if let Self::List(list) = self { list } else { &[] }
    }

    /// The text, if it is a string.
    pub(crate) fn text(&self) -> Option<&Cow<'j, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text, or an empty one.
    pub(crate) fn word(&self) -> &str {
        self.text().map_or("", |text| text)
    }
}

/// JSON without spaces.
impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |f: &mut fmt::Formatter<'_>, text: &str| write!(f, "{}", serde_json::Value::from(text));
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => quoted(f, text),
            Self::List(list) => {
                for (at, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if at == 0 { "[" } else { "," })?;
                }
                f.write_str(if list.is_empty() { "[]" } else { "]" })
            }
            Self::Object(members) => {
                for (at, (name, value)) in members.iter().enumerate() {
                    f.write_str(if at == 0 { "{" } else { "," })?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str(if members.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(Tree::Object(members))
    }
}

/// A name, borrowed unless it holds escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::value::RawValue;

    use super::Tree;

    #[test]
    fn a_value_is_read_with_all_that_is_in_it() {
        let json: &RawValue = serde_json::from_str(r#"{"a":[1,true,null,"x"],"b\n":"y\n","a":-0.5}"#).unwrap();
        let tree = Tree::read(json).unwrap();
        assert_eq!(tree.get("a"), &Tree::Number(-0.5), "the last counts");
        assert_eq!(tree.get("b\n").word(), "y\n");
        let first = &tree.members()[0].1;
        assert_eq!(first.list()[..3], [Tree::Number(1.0), Tree::Bool(true), Tree::Null]);
        assert!(matches!(first.list()[3].text(), Some(Cow::Borrowed("x"))));
        assert_eq!((tree.get("c"), tree.get("a").get("x").word()), (&Tree::Null, ""));
        assert_eq!(tree.to_string(), r#"{"a":[1,true,null,"x"],"b\n":"y\n","a":-0.5}"#);
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_eq!(Tree::read(serde_json::from_str(&deep).unwrap()), None);
    }
}
