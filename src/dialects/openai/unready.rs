//! How errors say that an uploaded file cannot be found or used yet: words seen in the answers of OpenAI, Azure, FastAPI
//! servers and gateways.

use crate::dialects::Complaint;

/// Names by which an error calls the uploaded file.
const FILE_FIELDS: [&str; 4] = ["file_id", "input_file_id", "file", "input_file"];
/// How an error says that a file cannot be found or used yet.
const NOT_YET: [&str; 15] = [
    "not found",
    "no such file",
    "cannot find",
    "can't find",
    "could not find",
    "couldn't find",
    "does not exist",
    "doesn't exist",
    "not processed",
    "not been processed",
    "not ready",
    "still processing",
    "being processed",
    "not yet",
    "pending",
];
/// How an error says that the file itself is wrong, which no waiting changes.
const WRONG_FILE: [&str; 12] = [
    "too large",
    "too big",
    "larger than",
    "too many",
    " size",
    "exceed",
    " format",
    ".jsonl",
    "valid json",
    "purpose",
    "empty",
    "could not be processed",
];

/// Whether a complaint is about the file of this id, and may pass. Its size and its format are another matter.
pub(super) fn is_unready(complaint: Complaint<'_>, file_id: &str) -> bool {
    let message = complaint.message.unwrap_or_default();
    let lower = message.to_lowercase();
    let is_field = |param: &str| param.rsplit('.').next().is_some_and(|name| FILE_FIELDS.contains(&name));
    let names_it = (!file_id.is_empty() && message.contains(file_id)) || lower.contains("file");
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    (complaint.param.is_some_and(is_field) || names_it) && says(&NOT_YET) && !says(&WRONG_FILE)
}

#[cfg(test)]
mod tests {
    use super::{Complaint, is_unready};
    use crate::dialects::ApiError;

    #[test]
    fn a_file_that_is_late_is_distinguished_from_one_that_is_wrong() {
        for (json, late) in [
            (r#"{"error":{"message":"File file-1 was not found in this project.","param":"file_id"}}"#, true),
            (r#"{"error":{"message":"No such File object: file-1","param":"id"}}"#, true),
            (r#"{"error":{"message":"Input file is still processing, status: pending"}}"#, true),
            (r#"{"detail":[{"loc":["body","input_file_id"],"msg":"file-1 does not exist"}]}"#, true),
            (r#"{"error":{"message":"file-1 is pending"}}"#, true),
            (r#"{"error":{"message":"Invalid file format for Batch API. Must be .jsonl","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"The file is too large and was not found acceptable","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"File file-1 could not be processed.","param":"file_id"}}"#, false),
            (r#"{"error":{"message":"The model gpt was not found"}}"#, false),
            (r#"{"detail":"Not Found"}"#, false),
            (r#"{"error":{"message":"Billing hard limit","param":"file_id"}}"#, false),
        ] {
            let error = ApiError::read(json.as_bytes());
            let complaint = Complaint { param: error.param.as_deref(), message: error.message.as_deref() };
            assert_eq!(is_unready(complaint, "file-1"), late, "{json}");
        }
    }
}
