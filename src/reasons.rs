//! Why a batch failed: an object, an array, a string, or a million of them.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::bounded;
use crate::dialects::openai::wire;
use crate::text::shorten_bytes;

/// One reason why a batch failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct BatchError {
    /// The provider's word for it.
    #[serde(default, deserialize_with = "wire::text")]
    pub code: Option<String>,
    /// The provider's sentence.
    #[serde(default, deserialize_with = "wire::text")]
    pub message: Option<String>,
    /// The field it is about.
    #[serde(default, deserialize_with = "wire::text")]
    pub param: Option<String>,
    /// The line of the input file, from 1.
    #[serde(default, deserialize_with = "wire::optional_number")]
    pub line: Option<u64>,
}

/// How much is kept of each text of a reason, in bytes.
const LONGEST_REASON: usize = 2_000;

/// Why a whole batch failed: the first thousand reasons, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    kept: Vec<BatchError>,
    /// All of them.
    pub total: u64,
}

impl From<Vec<BatchError>> for Errors {
    fn from(kept: Vec<BatchError>) -> Self {
        Self { total: kept.len() as u64, kept }
    }
}

impl std::ops::Deref for Errors {
    type Target = [BatchError];

    fn deref(&self) -> &[BatchError] {
        &self.kept
    }
}

impl std::ops::DerefMut for Errors {
    fn deref_mut(&mut self) -> &mut [BatchError] {
        &mut self.kept
    }
}

impl<'de> Deserialize<'de> for Errors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        if let Some(data) = value.get_mut("data") {
            value = data.take();
        }
        let mut entries = match value {
            Value::Array(entries) => entries,
            single => vec![single],
        };
        let more = bounded::take_more(&mut entries);
        let read = |entry| match entry {
            Value::String(message) if message.is_empty() => None,
            Value::String(message) => Some(BatchError { message: Some(message), ..BatchError::default() }),
            entry => serde_json::from_value(entry).ok(),
        };
        let mut kept: Vec<BatchError> = entries.into_iter().filter_map(read).collect();
        for text in kept.iter_mut().flat_map(|error| [&mut error.code, &mut error.message, &mut error.param]).flatten()
        {
            *text = shorten_bytes(text, LONGEST_REASON);
        }
        Ok(Self { total: more + kept.len() as u64, kept })
    }
}

#[cfg(test)]
mod tests {
    use super::BatchError;
    use crate::dialects::openai::wire::{Batch, Status, object};

    fn batch(json: &str) -> Batch {
        object(json.as_bytes()).unwrap()
    }

    #[test]
    fn errors_of_every_shape() {
        let failed = batch(
            r#"{"id":"f","status":"failed","errors":{"object":"list","data":[
            {"code":"invalid_json_line","message":"This line is not parseable as valid JSON.","param":null,"line":"4"},{"code":7}]}}"#,
        );
        assert_eq!(failed.errors[0].line, Some(4));
        assert_eq!(failed.errors[1], BatchError { code: Some("7".to_owned()), ..BatchError::default() });
        assert_eq!(batch(r#"{"id":"g","errors":[{"message":"m"}]}"#).errors.len(), 1);
        let long = vec![format!(r#"{{"message":"{}"}}"#, "m".repeat(50_000)); 1_200].join(",");
        let many = batch(&format!(r#"{{"errors":[{long}],"id":"h","status":"failed"}}"#));
        assert_eq!((many.errors.len(), many.errors.total, many.status), (1_000, 1_200, Status::Failed));
        assert!(many.errors.iter().all(|error| error.message.as_ref().unwrap().len() < 3_000));
    }
}
