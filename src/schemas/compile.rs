//! Makes a schema ready for use, with bounds on what it can cost.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use serde_json::Value;

use super::pause::{self, GivenUp, Pause};
use crate::text::shorten;

/// The largest schema that is compiled, in bytes.
const LARGEST: usize = 1 << 20;
/// How many steps a pattern may take that has to go back: those with look-arounds or back-references. The others
/// take time in proportion to the text.
const STEPS: usize = 100_000;
/// How much memory a compiled pattern may take, in bytes.
const PATTERN: usize = 1 << 20;
/// How many characters of a reason are kept.
const REASON: usize = 250;

/// Fetches nothing, whatever a schema refers to.
struct Nothing;

impl Retrieve for Nothing {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err("nothing is fetched".into())
    }
}

/// Compiles a schema. Once `given_up` is set, work with it sleeps.
///
/// # Errors
/// Why it cannot be used, as a clause.
pub(super) fn compile(schema: &str, given_up: &GivenUp) -> Result<Validator, String> {
    if schema.len() > LARGEST {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let mut schema: Value =
        serde_json::from_str(schema).map_err(|error| format!("it is not JSON that can be read ({error})"))?;
    pause::add(&mut schema);
    let given_up = GivenUp::clone(given_up);
    let patterns = PatternOptions::fancy_regex().backtrack_limit(STEPS).size_limit(PATTERN).dfa_size_limit(PATTERN);
    let options = jsonschema::options().with_retriever(Nothing).with_pattern_options(patterns);
    let options = options.with_keyword(pause::KEYWORD, move |_, _, _| Ok(Box::new(Pause(GivenUp::clone(&given_up)))));
    options.build(&schema).map_err(|error| {
        let place = error.instance_path().as_str();
        let place = if place.is_empty() { String::new() } else { format!("at `{place}` ") };
        shorten(&format!("{place}{}", reason(error.kind(), &error)), REASON)
    })
}

fn reason(kind: &ValidationErrorKind, error: &impl ToString) -> String {
    match kind {
        ValidationErrorKind::Referencing(jsonschema::ReferencingError::Unretrievable { uri, .. }) => {
            format!("a `$ref` to `{uri}` leads out of it, and nothing is fetched")
        }
        _ => error.to_string(),
    }
}
