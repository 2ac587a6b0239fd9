//! Members of an object as the JSON that they are, whatever stands beside them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object that have these names; of a repeated name the last counts. None of them if the text is no
/// object, or not JSON.
pub(crate) fn members<'j, const N: usize>(json: &'j str, names: [&str; N]) -> [Option<&'j RawValue>; N] {
    struct Members<'n, const N: usize>([&'n str; N]);

    impl<'j, const N: usize> Visitor<'j> for Members<'_, N> {
        type Value = [Option<&'j RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(name) = map.next_key::<Cow<'j, str>>()? {
                match self.0.iter().position(|wanted| *wanted == name) {
                    Some(at) => found[at] = Some(map.next_value()?),
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            Ok(found)
        }
    }

    let mut reader = serde_json::Deserializer::from_str(json);
    reader.deserialize_any(Members(names)).unwrap_or([None; N])
}

/// The same of what may not be there.
pub(crate) fn members_of<'j, const N: usize>(
    json: Option<&'j RawValue>,
    names: [&str; N],
) -> [Option<&'j RawValue>; N] {
    json.map_or([None; N], |json| members(json.get(), names))
}

/// A string, its escapes decoded.
pub(crate) fn text(json: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(json?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::{members, text};

    #[test]
    fn members_are_found_by_name() {
        let json = r#" {"a": {"b": [1, 2]}, "\u0063": "d", "a": 7 , "x": NaN"#;
        assert!(members(json, ["a"])[0].is_none(), "it is not JSON");
        let [a, c, no] =
            members(&json.replace("NaN", "null}"), ["a", "c", "no"]).map(|raw| raw.map(|raw| raw.get().to_owned()));
        assert_eq!((a.as_deref(), c.as_deref(), no), (Some("7"), Some("\"d\""), None));
        assert!(members("[1]", ["a"])[0].is_none());
        let [number, word] = members(r#"{"n": 1, "w": "é\n"}"#, ["n", "w"]);
        assert_eq!((text(number), text(word).as_deref()), (None, Some("é\n")));
    }
}
