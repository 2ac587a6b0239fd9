//! Stops a validator that has taken too long.
//!
//! A validator cannot be interrupted, and a small schema whose references multiply can keep it busy for years. So we
//! put a keyword of our own next to each reference. After the time limit, that keyword parks the thread for good: it
//! uses no more time and no more memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Value, json};

/// The keyword.
pub(super) const KEYWORD: &str = "batchstep-pause";
/// The keywords that refer to a schema.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// The keywords whose values hold schemas under names that are not keywords.
const NAMED: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// The keywords whose values are data.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// Whether work with a schema was given up.
pub(super) type GivenUp = Arc<AtomicBool>;

/// Puts the keyword beside each reference. Older drafts ignore what is beside one, so the reference moves into an
/// `allOf`.
pub(super) fn add(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(add),
        Value::Object(members) => {
            for (name, member) in members.iter_mut().filter(|(name, _)| !DATA.contains(&name.as_str())) {
                match member {
                    Value::Object(named) if NAMED.contains(&name.as_str()) => named.values_mut().for_each(add),
                    _ => add(member),
                }
            }
            for name in REFERENCES {
                if members.get(name).is_some_and(Value::is_string) {
                    wrap(members, name);
                }
            }
        }
        _ => {}
    }
}

fn wrap(members: &mut Map<String, Value>, name: &str) {
    let Some(reference) = members.remove(name) else { return };
    let all = members.entry("allOf").or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.push(json!({ name: reference }));
    }
    members.insert(KEYWORD.to_owned(), Value::Bool(true));
}

/// What the keyword does.
pub(super) struct Pause(pub(super) GivenUp);

impl Pause {
    fn pass(&self) {
        while self.0.load(Ordering::Relaxed) {
            std::thread::park();
        }
    }
}

impl Keyword for Pause {
    fn validate<'i>(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        self.pass();
        Ok(())
    }

    fn is_valid(&self, _: &Value) -> bool {
        self.pass();
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::add;

    #[test]
    fn each_reference_has_the_keyword_beside_it() {
        let mut schema = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/const"}]},
            "const": {"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "data"}}}});
        add(&mut schema);
        let expected = json!({"allOf": [{"$ref": "#/$defs/a"}], "batchstep-pause": true,
            "$defs": {"a": {"allOf": [{"allOf": [{"$ref": "#/$defs/const"}], "batchstep-pause": true}]},
            "const": {"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "data"}}}});
        assert_eq!(schema, expected);
    }
}
