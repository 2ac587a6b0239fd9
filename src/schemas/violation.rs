//! Where a text does not fit its schema, and what is there.

use jsonschema::Validator;
use jsonschema::paths::LocationSegment;
use serde_json::Value;

use crate::text::shorten;

/// How many characters of a path are kept.
const PATH: usize = 150;
/// How many characters of what is wrong are kept: it can list all values of an enumeration.
const WHAT: usize = 200;
/// How many characters of a value are kept.
const VALUE: usize = 80;

/// Where a text does not fit its schema, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The path, as `items[].price`; empty for the text as a whole. All elements of an array have the same.
    pub path: String,
    /// What is wrong, as a clause about "it"; a text of foreign origin, cut.
    pub what: String,
    /// What is there, as JSON, cut; none where that is not known.
    pub value: Option<String>,
}

impl Violation {
    /// The first violation of a value.
    pub(super) fn of(validator: &Validator, value: &Value) -> Option<Self> {
        let error = validator.validate(value).err()?;
        let mut path = String::new();
        for segment in error.instance_path() {
            match segment {
                LocationSegment::Property(name) => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(&name);
                }
                LocationSegment::Index(_) => path.push_str("[]"),
            }
        }
        let value = shorten(&error.instance().to_string(), VALUE);
        let what = shorten(&error.masked_with("it").to_string(), WHAT);
        Some(Self { path: shorten(&path, PATH), what, value: Some(value) })
    }

    /// That of a text which is not JSON.
    pub(super) fn not_json(text: &str, error: &serde_json::Error) -> Self {
        let value = Value::from(shorten(text, VALUE)).to_string();
        Self { path: String::new(), what: format!("it is not JSON ({error})"), value: Some(value) }
    }

    /// That of an answer without a text.
    pub(crate) fn no_text() -> Self {
        Self { path: String::new(), what: "it has no text".to_owned(), value: None }
    }

    /// One that takes too long to find.
    pub(super) fn unexplained() -> Self {
        Self { path: String::new(), what: "finding out why takes too long".to_owned(), value: None }
    }

    /// The path for people.
    pub(crate) fn place(&self) -> String {
        if self.path.is_empty() { "the top".to_owned() } else { format!("`{}`", self.path) }
    }

    /// All of it in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let value = self.value.as_ref().map(|value| format!(", it is `{value}`")).unwrap_or_default();
        format!("At {} the answer does not fit its schema: {}{value}.", self.place(), self.what)
    }
}
