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
    pub(crate) present: u64,
    /// Those of them whose value has a type that they do not take.
    pub(crate) mistyped: u64,
    /// Those of them that are there twice.
    pub(crate) repeated: u64,
    /// The names that are not in the table.
    pub(crate) unknown: Vec<String>,
}

/// Names that look like others and are none: parameters of servers that we know.
const NO_MISTAKES: [&str; 9] =
    ["top_k", "top_a", "top_n", "min_p", "min_tokens", "models", "messages_id", "user_id", "stops"];
/// How many unknown names are kept.
const KEPT: usize = 8;

/// The longest name, in bytes.
const LONGEST: usize = 31;

/// The fields that a vendor documents, sorted by length and then by name, and where those of each length begin.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    fields: &'static [Field],
    starts: [u8; LONGEST + 2],
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
        Self { fields, starts }
    }

    /// Where a field is.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let (from, to) = (self.starts.get(name.len())?, self.starts.get(name.len() + 1)?);
        (usize::from(*from)..usize::from(*to)).find(|at| self.fields[*at].name == name)
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

    /// The field of an endpoint that a name is almost.
    fn near(&self, endpoint: u8, name: &str) -> Option<&'static str> {
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
        let here = self.fields.iter().filter(|field| field.at & endpoint != 0);
        here.map(|field| (steps(field), field.name)).min().filter(|(steps, _)| *steps <= most).map(|(_, name)| name)
    }

    /// Fails unless it is sorted as `find` wants it, and fits into the bits.
    #[cfg(test)]
    pub(crate) fn assert_sorted(&self) {
        assert!(self.fields.len() <= 64 && self.fields.iter().all(|field| field.name.len() <= LONGEST));
        assert!(self.fields.is_sorted_by_key(|field| (field.name.len(), field.name)), "{:?}", self.fields);
    }
}

impl Noticed {
    /// Takes note of a field of the table; `value` is what it holds.
    #[inline]
    pub(crate) fn known(&mut self, vocabulary: &Vocabulary, at: usize, value: &Seen<'_>) {
        let bit = 1_u64 << at;
        self.repeated |= self.present & bit;
        self.present |= bit;
        if kind(value).is_some_and(|kind| vocabulary.fields[at].takes & kind == 0) {
            self.mistyped |= bit;
        }
    }

    /// Takes note of another field.
    pub(crate) fn unknown(&mut self, name: &str) {
        if self.unknown.len() < KEPT {
            self.unknown.push(name.to_owned());
        }
    }

    /// Adds the warnings that every vendor's body may earn, of an endpoint with this bit. `place` is what comes before
    /// the name of a field.
    pub(crate) fn warn(&self, vocabulary: &'static Vocabulary, endpoint: u8, place: &str, warnings: &mut Vec<String>) {
        for field in vocabulary.named(self.mistyped).filter(|field| field.at & endpoint != 0) {
            let (name, right) = (field.name, written(field.takes));
            warnings.push(format!("`{place}{name}` has another type than the API takes: write {right}"));
        }
        for field in vocabulary.named(self.repeated) {
            let name = field.name;
            warnings
                .push(format!("`{place}{name}` is given twice, and servers take the first or the last: remove one"));
        }
        for name in &self.unknown {
            if let Some(near) = vocabulary.near(endpoint, name) {
                let found = format!("`{place}{name}` is unknown to the API, which has `{near}`");
                warnings.push(format!("{found}: write that if it was meant"));
            }
        }
    }
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
            ("chat_template_kwargs", None),
        ] {
            assert_eq!(VOCABULARY.near(1, name), expected, "{name}");
        }
    }
}
