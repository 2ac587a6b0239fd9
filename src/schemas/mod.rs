//! JSON schemas, and whether the text of an answer fits one.
//!
//! Schemas come from requests files and texts from models, so neither is trusted to be small, shallow or quick to work
//! on. Nothing is fetched: a `$ref` stays within its schema. Compiling and checking happen on a thread of their own,
//! which is left behind if it takes too long. Where schemas are in a vendor's JSON is for its dialect to say.

mod compile;
mod pause;
mod violation;
mod worker;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use jsonschema::Validator;
use serde_json::Value;

use self::pause::GivenUp;
pub(crate) use self::violation::Violation;
use self::worker::Worker;
use crate::policy::{SCHEMA_EXPLAINS, SCHEMA_TAKES};
use crate::values::SchemaMode;

/// How many compiled schemas are kept. Requests of one file share a few.
const MOST_KEPT: usize = 64;
/// The longest text that is checked, in bytes: as values it can take twenty times that.
const LONGEST_TEXT: usize = 4 << 20;
/// What is said of a schema, or of a text, on which time was up.
const TOO_SLOW: &str = "checking it takes longer than two seconds";

/// What is expected of the answers' texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// What becomes of those that do not fit.
    pub mode: SchemaMode,
    /// The schema, as JSON, for requests that name none.
    pub answer_schema: Option<Arc<str>>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The text is JSON that fits.
    Fits,
    /// It is not.
    Violates(Violation),
    /// The schema cannot be used, for this reason.
    Unusable(String),
    /// The text could not be checked, for this reason.
    Unchecked(&'static str),
}

/// Schemas, compiled once each.
#[derive(Default)]
pub(crate) struct Schemas {
    known: HashMap<blake3::Hash, Known>,
    /// The keys of those known, in the order in which they came.
    order: VecDeque<blake3::Hash>,
    /// The one that was used last: requests of one file mostly share one.
    last: Option<(Box<str>, Known)>,
    worker: Worker,
}

type Known = Result<Ready, Arc<str>>;

/// A schema that can be used.
#[derive(Clone)]
struct Ready {
    validator: Arc<Validator>,
    given_up: GivenUp,
    /// Whether it may be asked where a text does not fit: that can take much longer than to say that it does not.
    explains: bool,
}

/// Whether a schema can be used at all.
///
/// # Errors
/// Why not, as a clause.
pub(crate) fn check(schema: &str) -> Result<(), String> {
    Schemas::default().compiled(schema).map(drop).map_err(|why| why.to_string())
}

impl Schemas {
    /// Checks the text of an answer; `schema` is JSON.
    pub(crate) fn check(&mut self, schema: &str, text: &str) -> Finding {
        let ready = match self.compiled(schema) {
            Ok(ready) => ready,
            Err(why) => return Finding::Unusable(why.to_string()),
        };
        if text.len() > LONGEST_TEXT {
            return Finding::Unchecked("the text is longer than 4 MiB");
        }
        let value: Arc<Value> = match serde_json::from_str(text) {
            Ok(value) => Arc::new(value),
            Err(error) => return Finding::Violates(Violation::not_json(text, &error)),
        };
        let (validator, of) = (Arc::clone(&ready.validator), Arc::clone(&value));
        match self.worker.run(SCHEMA_TAKES, move || validator.is_valid(&of)) {
            Some(true) => Finding::Fits,
            Some(false) => Finding::Violates(self.explained(schema, ready, value)),
            None => {
                ready.given_up.store(true, Ordering::Relaxed);
                self.keep(schema, &Err(TOO_SLOW.into()));
                Finding::Unchecked(TOO_SLOW)
            }
        }
    }

    /// Where a value does not fit. A schema with which that takes too long is compiled anew, and not asked again.
    fn explained(&mut self, schema: &str, ready: Ready, value: Arc<Value>) -> Violation {
        if !ready.explains {
            return Violation::unexplained();
        }
        if let Some(found) = self.worker.run(SCHEMA_EXPLAINS, move || Violation::of(&ready.validator, &value)) {
            return found.unwrap_or_else(Violation::unexplained);
        }
        ready.given_up.store(true, Ordering::Relaxed);
        let again = self.compile(schema).map(|ready| Ready { explains: false, ..ready });
        self.keep(schema, &again);
        Violation::unexplained()
    }

    fn compiled(&mut self, schema: &str) -> Known {
        if let Some((_, known)) = self.last.as_ref().filter(|(last, _)| **last == *schema) {
            return known.clone();
        }
        if let Some(known) = self.known.get(&blake3::hash(schema.as_bytes())) {
            let known = known.clone();
            self.last = Some((schema.into(), known.clone()));
            return known;
        }
        let known = self.compile(schema);
        self.keep(schema, &known);
        known
    }

    fn compile(&mut self, schema: &str) -> Known {
        let (owned, given_up) = (schema.to_owned(), GivenUp::default());
        let of_thread = GivenUp::clone(&given_up);
        let compiled = self.worker.run(SCHEMA_TAKES, move || compile::compile(&owned, &of_thread));
        let validator = compiled.unwrap_or_else(|| Err(TOO_SLOW.to_owned())).map_err(Arc::<str>::from)?;
        Ok(Ready { validator: Arc::new(validator), given_up, explains: true })
    }

    fn keep(&mut self, schema: &str, known: &Known) {
        let key = blake3::hash(schema.as_bytes());
        if self.known.insert(key, known.clone()).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.last = Some((schema.into(), known.clone()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Finding, MOST_KEPT, Schemas, TOO_SLOW, check};

    fn found(schema: &Value, text: &str) -> Finding {
        Schemas::default().check(&schema.to_string(), text)
    }

    fn sentence(schema: &Value, text: &str) -> String {
        match found(schema, text) {
            Finding::Violates(violation) => violation.sentence(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_violation_says_where_and_what() {
        let item = json!({"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}});
        let schema = json!({"type": "object", "properties": {"items": {"type": "array", "items": item}}});
        assert_eq!(found(&schema, r#" {"items":[{"price":1.5}]} "#), Finding::Fits);
        let text = r#"{"items":[{"price":1},{"price":"12 €"}]}"#;
        assert_eq!(
            sentence(&schema, text),
            r#"At `items[].price` the answer does not fit its schema: it is not of type "number", it is `"12 €"`."#
        );
        assert_eq!(
            sentence(&schema, r#"{"items":[{}]}"#),
            r#"At `items[]` the answer does not fit its schema: "price" is a required property, it is `{}`."#
        );
        assert_eq!(
            sentence(&schema, "[]"),
            r#"At the top the answer does not fit its schema: it is not of type "object", it is `[]`."#
        );
        assert_eq!(
            sentence(&schema, r#"{"items":[{"pri"#),
            "At the top the answer does not fit its schema: it is not JSON (EOF while parsing a string at line 1 \
             column 15), it is `\"{\\\"items\\\":[{\\\"pri\"`."
        );
    }

    #[test]
    fn long_and_hostile_texts_are_cut() {
        let schema = json!({"additionalProperties": false});
        let text = json!({ "x".repeat(10_000): "\u{1b}]0;title\n::error::y" }).to_string();
        let Finding::Violates(violation) = found(&schema, &text) else { panic!() };
        assert!(violation.sentence().len() < 1_000, "{violation:?}");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(sentence(&json!({}), &deep).contains("recursion limit"));
        let large = format!("\"{}\"", "x".repeat(5 << 20));
        assert_eq!(found(&json!({}), &large), Finding::Unchecked("the text is longer than 4 MiB"));
    }

    #[test]
    fn nothing_outside_of_a_schema_is_looked_at() {
        let file = concat!("file://", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for reference in [
            "http://127.0.0.1:1/schema.json",
            "https://example.com/schema.json",
            file,
            "other.json",
            "../other.json#/x",
            "//example.com/x",
            "urn:x:y",
        ] {
            let why = check(&json!({"$ref": reference}).to_string()).unwrap_err();
            assert!(why.contains("leads out of it"), "{reference}: {why}");
            let nested = json!({"$id": "https://example.com/a", "properties": {"a": {"$ref": reference}}});
            assert!(check(&nested.to_string()).is_err(), "{reference}");
        }
        assert!(check(&json!({"$schema": "https://example.com/schema.json"}).to_string()).is_err());
        let inside = json!({"$defs": {"a": {"$id": "https://example.com/a", "type": "string"}},
            "properties": {"x": {"$ref": "https://example.com/a"}, "y": {"$ref": "#/$defs/a"}, "z": {"$ref": "#"}}});
        assert_eq!(found(&inside, r#"{"x":"a","y":"b","z":{"x":"c"}}"#), Finding::Fits);
        assert!(sentence(&inside, r#"{"z":{"x":1}}"#).starts_with("At `z.x` "));
    }

    #[test]
    fn a_schema_that_is_none_says_why() {
        for (schema, why) in [
            ("7", "not of type"),
            ("{", "not JSON"),
            (r#"{"type":"nothing"}"#, "\"nothing\" is not"),
            (r#"{"pattern":"("}"#, "is not a \"regex\""),
            (r##"{"$ref":"#/$defs/no"}"##, "'/$defs/no' does not exist"),
            (&format!("{}{}", r#"{"not":"#.repeat(200), "{}"), "recursion limit"),
            (&format!(r#"{{"description":"{}"}}"#, "x".repeat(2 << 20)), "larger than 1 MiB"),
        ] {
            let told = check(schema).unwrap_err();
            assert!(told.contains(why) && told.len() < 400, "{told}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let text = serde_json::to_string(&format!("{}!", "a".repeat(100_000))).unwrap();
        for pattern in ["^(a+)+$", "^(a|aa)+$", r"^(a+)+\1$", "^(?=(a+)+b)(a|aa)+$", "(?<!b)(a*)*c"] {
            let finding = found(&json!({ "pattern": pattern }), &text);
            let is_slow = finding == Finding::Unchecked(TOO_SLOW);
            assert!(is_slow || matches!(finding, Finding::Violates(_)), "{pattern}: {finding:?}");
        }
        let large = json!({"pattern": "((((\\w{1,100}){1,100}){1,100}){1,100}){1,100}"});
        assert!(matches!(found(&large, "\"a\""), Finding::Unusable(_) | Finding::Fits));
    }

    #[test]
    fn schemas_that_refer_to_themselves_end() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$dynamicAnchor": "x", "allOf": [{"$dynamicRef": "#x"}]}),
            json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}},
                "$ref": "#/$defs/a"}),
        ] {
            drop(found(&schema, "[1]"));
        }
        let deep = (0..100).fold("1".to_owned(), |inner, _| format!(r#"{{"a":{inner}}}"#));
        let tree = json!({"type": ["object", "number"], "properties": {"a": {"$ref": "#"}}});
        assert_eq!(found(&tree, &deep), Finding::Fits);
    }

    #[test]
    fn what_takes_for_ever_is_left_behind() {
        let mut names = serde_json::Map::new();
        for number in 0..40 {
            let next = json!({"$ref": format!("#/$defs/{}", number + 1)});
            names.insert(number.to_string(), json!({"anyOf": [next, {"allOf": [next]}]}));
        }
        names.insert("40".to_owned(), json!({"type": "string"}));
        let schema = json!({"$defs": names, "$ref": "#/$defs/0"}).to_string();
        let mut schemas = Schemas::default();
        assert_eq!(schemas.check(&schema, "1"), Finding::Unchecked(TOO_SLOW));
        assert_eq!(schemas.check(&schema, "\"a\""), Finding::Unusable(TOO_SLOW.to_owned()), "it is not tried again");
        assert_eq!(schemas.check("{}", "{}"), Finding::Fits);
    }

    #[test]
    fn a_violation_that_takes_for_ever_to_find_is_one_all_the_same() {
        let either = json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]});
        let schema = json!({"anyOf": [{"type": "string"}, either, either]}).to_string();
        let text = (0..60).fold("1".to_owned(), |inner, _| format!(r#"{{"a":{inner}}}"#));
        let mut schemas = Schemas::default();
        for _ in 0..10 {
            assert!(matches!(schemas.check(&schema, &text), Finding::Violates(_)));
        }
        assert_eq!(schemas.check(&schema, "\"a\""), Finding::Fits);
    }

    #[test]
    fn few_schemas_are_kept() {
        let mut schemas = Schemas::default();
        for number in 0..3 * MOST_KEPT {
            let schema = json!({ "const": number }).to_string();
            assert_eq!(schemas.check(&schema, &number.to_string()), Finding::Fits);
            assert!(schemas.known.len() <= MOST_KEPT && schemas.order.len() <= MOST_KEPT);
        }
    }
}
