//! The fields of a request's body that a vendor documents, and what of a body does not look like them.
//!
//! Nothing here is a fault: a server may take more fields than its documents name.

use crate::json::lenient::Seen;

/// The types of a value; `null` is always taken.
pub(crate) mod types {
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
    pub(crate) present: u128,
    /// Those of them whose value has a type that they do not take.
    pub(crate) mistyped: u128,
    /// Those of them that are there twice.
    pub(crate) repeated: u128,
    /// The names that are not in the table.
    pub(crate) unknown: Vec<String>,
}

/// Names that look like others and are none: parameters of servers that we know.
const NO_MISTAKES: [&str; 9] =
    ["top_k", "top_a", "top_n", "min_p", "min_tokens", "models", "messages_id", "user_id", "stops"];
/// How many unknown names are kept.
const KEPT: usize = 8;

/// Where a field is in a table, which is sorted by length and then by name.
pub(crate) fn find(table: &[Field], name: &str) -> Option<usize> {
    table.binary_search_by(|field| field.name.len().cmp(&name.len()).then_with(|| field.name.cmp(name))).ok()
}

impl Noticed {
    /// Takes note of a field of the table; `value` is what it holds.
    pub(crate) fn known(&mut self, table: &[Field], at: usize, value: &Seen<'_>) {
        let bit = 1_u128 << at;
        self.repeated |= self.present & bit;
        self.present |= bit;
        if kind(value).is_some_and(|kind| table[at].takes & kind == 0) {
            self.mistyped |= bit;
        }
    }

    /// Takes note of another field.
    pub(crate) fn unknown(&mut self, name: &str) {
        if self.unknown.len() < KEPT {
            self.unknown.push(name.to_owned());
        }
    }

    /// The fields of `table` that `bits` name.
    pub(crate) fn of(table: &'static [Field], bits: u128) -> impl Iterator<Item = &'static Field> {
        table.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1).map(|(_, field)| field)
    }

    /// Adds the warnings that every vendor's body may earn, of an endpoint with this bit. `place` is what comes before
    /// the name of a field.
    pub(crate) fn warn(&self, table: &'static [Field], endpoint: u8, place: &str, warnings: &mut Vec<String>) {
        if self.mistyped | self.repeated == 0 && self.unknown.is_empty() {
            return;
        }
        for field in Self::of(table, self.mistyped).filter(|field| field.at & endpoint != 0) {
            warnings.push(format!(
                "`{place}{}` has another type than the API takes: write {}",
                field.name,
                written(field.takes)
            ));
        }
        for field in Self::of(table, self.repeated) {
            warnings.push(format!(
                "`{place}{}` is given twice, and servers take the first or the last: remove one",
                field.name
            ));
        }
        for name in &self.unknown {
            if let Some(near) = near(table, endpoint, name) {
                warnings.push(format!(
                    "`{place}{name}` is unknown to the API, which has `{near}`: write that if it was meant"
                ));
            }
        }
    }
}

/// The field of an endpoint that a name is almost.
fn near(table: &'static [Field], endpoint: u8, name: &str) -> Option<&'static str> {
    if NO_MISTAKES.contains(&name) || !(4..40).contains(&name.len()) {
        return None;
    }
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let most = if name.len() < 8 { 1 } else { 2 };
    let steps = |field: &Field| match () {
        () if plain(field.name) == plain(name) => 0,
        () if field.name.len() < 4 => usize::MAX,
        () => strsim::osa_distance(name, field.name),
    };
    let here = table.iter().filter(|field| field.at & endpoint != 0);
    here.map(|field| (steps(field), field.name)).min().filter(|(steps, _)| *steps <= most).map(|(_, name)| name)
}

/// The type of a value; none where there is none.
fn kind(value: &Seen<'_>) -> Option<u8> {
    match value {
        Seen::Absent | Seen::Null => None,
        Seen::Bool(_) => Some(types::BOOL),
        Seen::Number(_) => Some(types::NUMBER),
        Seen::Text(_) => Some(types::TEXT),
        Seen::Array { .. } => Some(types::LIST),
        Seen::Object => Some(types::OBJECT),
    }
}

/// Types in words.
fn written(takes: u8) -> String {
    let words = [
        (types::BOOL, "`true` or `false`"),
        (types::NUMBER, "a number, without quotes"),
        (types::TEXT, "a string"),
        (types::LIST, "a list"),
        (types::OBJECT, "an object"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(kind, _)| takes & kind != 0).map(|(_, word)| word).collect();
    words.join(" or ")
}

/// Checks of tables.
#[cfg(test)]
pub(crate) mod testing {
    use super::Field;

    /// A table must be sorted as `find` wants it, and fit into the bits.
    pub(crate) fn assert_sorted(table: &[Field]) {
        assert!(table.len() <= 128);
        assert!(table.is_sorted_by_key(|field| (field.name.len(), field.name)), "{table:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::testing::assert_sorted;
    use super::{Field, near, types};

    #[test]
    fn only_what_is_close_and_no_servers_own_field_is_a_near_miss() {
        const TABLE: &[Field] = &[
            Field { name: "stop", takes: types::ANY, at: 1 },
            Field { name: "model", takes: types::ANY, at: 1 },
            Field { name: "top_p", takes: types::ANY, at: 1 },
            Field { name: "max_tokens", takes: types::ANY, at: 1 },
            Field { name: "temperature", takes: types::ANY, at: 2 },
        ];
        assert_sorted(TABLE);
        for (name, expected) in [
            ("max_token", Some("max_tokens")),
            ("maxTokens", Some("max_tokens")),
            ("topP", Some("top_p")),
            ("top_k", None),
            ("min_tokens", None),
            ("models", None),
            ("temperatur", None),
            ("seed", None),
            ("chat_template_kwargs", None),
        ] {
            assert_eq!(near(TABLE, 1, name), expected, "{name}");
        }
    }
}
