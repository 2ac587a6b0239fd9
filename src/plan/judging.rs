//! What the inputs about the answers mean together: what is expected of them, and what is sent again.

use std::sync::Arc;

use crate::dialects::Vendor;
use crate::error::Error;
use crate::inputs::Judging;
use crate::schemas::{self, Expected};
use crate::values::{RetryOn, RetryWord, SchemaMode};

/// What is expected of the answers' texts.
///
/// # Errors
/// Ends in exit 2 if `answer-schema` cannot be used.
pub(super) fn expected(judging: &Judging) -> Result<Arc<Expected>, Error> {
    let mode = judging.schema.unwrap_or_default();
    let Some(path) = &judging.answer_schema else { return Ok(Arc::new(Expected { mode, answer_schema: None })) };
    if mode == SchemaMode::Off {
        return Err(Error::usage("`answer-schema` has no effect, since `schema` is off.")
            .hint("Leave one of them out, or set `schema` to `warn` or `check`."));
    }
    let name = path.display();
    let unread = |error| Error::usage(format!("`answer-schema` {name} cannot be read.")).because(error);
    let schema = std::fs::read_to_string(path).map_err(unread)?;
    let schema = schema.trim_start_matches('\u{feff}');
    schemas::check(schema).map_err(|why| {
        Error::usage(format!("`answer-schema` {name} cannot be used: {why}."))
            .hint("It must be a JSON schema that refers to nothing outside of itself.")
    })?;
    Ok(Arc::new(Expected { mode, answer_schema: Some(schema.into()) }))
}

/// What is retried beside the default. No run retries an empty account, so that asking for it is a mistake.
pub(super) fn retry_on(words: Vec<RetryWord>, vendor: &Vendor) -> Result<RetryOn, Error> {
    let hopeless = |word: &RetryWord| matches!(word, RetryWord::Code(code) if vendor.dialect.is_hopeless(code));
    if let Some(RetryWord::Code(code)) = words.iter().find(|word| hopeless(word)) {
        return Err(Error::usage(format!("`retry-on` names `{code}`, which a retry within a run cannot fix."))
            .hint("Add credit at the provider or raise its limit, then run again."));
    }
    Ok(RetryOn(words))
}

#[cfg(test)]
mod tests {
    use super::{Judging, SchemaMode, expected};

    #[test]
    fn an_answer_schema_is_read_before_anything_is_paid_for() {
        let dir = tempfile::tempdir().unwrap();
        let plan = |text: Option<&str>, schema| {
            let path = dir.path().join("schema.json");
            drop(std::fs::remove_file(&path));
            text.into_iter().for_each(|text| std::fs::write(&path, text).unwrap());
            let judging = Judging { max_suspect: None, schema, answer_schema: Some(path), gate: None };
            expected(&judging).map(|expected| expected.mode).map_err(|error| (error.exit.code(), error.message))
        };
        assert_eq!(plan(Some("\u{feff}{\"type\": \"object\"}"), None), Ok(SchemaMode::Warn));
        for (text, schema, why) in [
            (None, None, "cannot be read."),
            (Some("{"), None, "cannot be used: it is not JSON"),
            (Some("{\"type\": 7}"), None, "cannot be used: at `/type` 7 is not"),
            (Some("{\"$ref\": \"https://example.com/x\"}"), None, "leads out of it"),
            (Some("{}"), Some(SchemaMode::Off), "has no effect"),
        ] {
            let (code, message) = plan(text, schema).unwrap_err();
            assert!(code == 2 && message.contains(why), "{message}");
        }
    }
}
