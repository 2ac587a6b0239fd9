//! The simplest value that fits a JSON schema.
//!
//! A request that asks for structured output gets an answer that its own
//! schema accepts, so that what reads the answers can be tried in the sandbox.
//! It follows the keywords that structured output allows, not all of JSON Schema.

use serde_json::{Map, Value};

/// Makes a value for the schema. `text` stands in its strings.
pub(super) fn specimen(schema: &Value, text: &str) -> Value {
    Maker { root: schema, text }.make(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, depth: usize) -> Value {
        // A schema that refers to itself ends here.
        if depth > 12 {
            return Value::Null;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.trim_start_matches('#'));
            return target.map_or(Value::Null, |target| self.make(target, depth + 1));
        }
        if let Some(constant) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return constant.clone();
        }
        if let Some(choices) = ["anyOf", "oneOf", "allOf"].iter().find_map(|word| schema[word].as_array()) {
            // Null, where it is a choice, ends a recursion early and says nothing: take it late.
            let shallow = choices.iter().find(|choice| depth > 3 || choice["type"] != "null");
            return shallow.map_or(Value::Null, |choice| self.make(choice, depth + 1));
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("string") => self.string(schema).into(),
            Some("integer" | "number") => number(schema),
            Some("boolean") => false.into(),
            None if schema["properties"].is_object() => self.object(schema, depth),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = schema["properties"].as_object() else { return Map::new().into() };
        let required = schema["required"].as_array();
        let wanted = |name: &String| required.is_none_or(|required| required.iter().any(|word| word == name.as_str()));
        let members = properties.iter().filter(|(name, _)| wanted(name));
        Value::Object(members.map(|(name, schema)| (name.clone(), self.make(schema, depth + 1))).collect())
    }

    fn array(&self, schema: &Value, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(if depth > 3 { 0 } else { 1 });
        (0..least.min(100)).map(|_| self.make(&schema["items"], depth + 1)).collect()
    }

    fn string(&self, schema: &Value) -> String {
        match schema["format"].as_str() {
            Some("date-time") => "2024-01-01T00:00:00Z".to_owned(),
            Some("date") => "2024-01-01".to_owned(),
            Some("time") => "00:00:00Z".to_owned(),
            Some("email") => "simulated@example.com".to_owned(),
            Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
            Some("uri") => "https://example.com/simulated".to_owned(),
            _ => {
                let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok());
                self.text.chars().take(most.unwrap_or(usize::MAX)).collect()
            }
        }
    }
}

/// The smallest number that is allowed, or zero.
fn number(schema: &Value) -> Value {
    let above = schema["exclusiveMinimum"].as_i64().map(|bound| bound + 1);
    let least = schema["minimum"].as_i64().or(above).unwrap_or(0);
    let most = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    least.max(0.min(most)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::specimen;

    #[test]
    fn a_value_fits_its_schema() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["label", "score", "tags", "next", "day", "short"],
            "properties": {
                "label": {"enum": ["good", "bad"]},
                "score": {"type": "integer", "minimum": 1, "maximum": 5},
                "tags": {"type": "array", "items": {"type": "string"}},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/step"}]},
                "day": {"type": ["null", "string"], "format": "date"},
                "short": {"type": "string", "maxLength": 3},
                "unasked": {"type": "string"},
            },
            "$defs": {"step": {"type": "object", "properties": {"done": {"type": "boolean"}}}},
        });
        assert_eq!(
            specimen(&schema, "Simulated"),
            json!({"label": "good", "score": 1, "tags": ["Simulated"], "next": {"done": false}, "day": "2024-01-01", "short": "Sim"})
        );
    }

    #[test]
    fn a_schema_within_itself_ends() {
        let schema = json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}});
        assert!(specimen(&schema, "x")["children"][0].is_object());
        assert!(specimen(&json!({"$ref": "#"}), "x").is_null());
    }
}
