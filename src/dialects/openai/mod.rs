//! OpenAI's dialect, which compatible servers and the sandbox speak too.
//!
//! This directory alone knows its JSON, paths, form fields, codes and variables. The calls are OpenAI's
//! `openapi.yaml` of 2026-08.

mod answer;
mod billed;
mod body;
mod caps;
pub(crate) mod codes;
mod conversions;
mod endpoints;
pub(crate) mod error;
mod fields;
mod images;
pub(crate) mod row;
mod structured;
mod unready;
mod wire;

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    AnswerPart, AnswerSource, ApiError, Batch, Billed, Body, Call, Complaint, Dialect, File, Files, Finding, Form,
    Intake, Method, NewBatch, Page, Parsed, ReadAnswers, RequestLine, Rules, Table, UploadForm, Variable, quoted,
};
use crate::error::Error;
use crate::values::Secret;

/// The dialect.
#[derive(Debug)]
pub(super) struct OpenAi;

/// The variables that OpenAI's own tools read.
pub(super) const VARIABLES: &[Variable] = &[
    Variable { input: "api-key", name: "OPENAI_API_KEY" },
    Variable { input: "base-url", name: "OPENAI_BASE_URL" },
    Variable { input: "organization", name: "OPENAI_ORG_ID" },
    Variable { input: "project", name: "OPENAI_PROJECT_ID" },
    Variable { input: "headers", name: "OPENAI_CUSTOM_HEADERS" },
];

/// What an uploaded file is for where the user does not say otherwise.
const PURPOSE: &str = "batch";

/// Headers that route a call or select a version, so that other values may lead
/// to other answers: OpenAI's and Anthropic's own, and those of the gateways
/// LiteLLM, Portkey, Helicone, Envoy AI Gateway and TrueFoundry. Credentials
/// (also Portkey's virtual keys) and the ids of traces are none of them.
const ROUTING: [&str; 20] = [
    "anthropic-beta",
    "anthropic-version",
    "openai-beta",
    "openai-version",
    "helicone-fallbacks",
    "helicone-openai-api-base",
    "helicone-target-provider",
    "helicone-target-url",
    "x-ai-eg-model",
    "x-litellm-model",
    "x-litellm-tags",
    "x-portkey-aws-bedrock-model",
    "x-portkey-azure-api-version",
    "x-portkey-azure-deployment-id",
    "x-portkey-azure-model-name",
    "x-portkey-config",
    "x-portkey-custom-host",
    "x-portkey-provider",
    "x-portkey-vertex-region",
    "x-tfy-provider-name",
];

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "OpenAI's"
    }

    fn check_endpoint(&self, rules: &Rules) -> Result<(), Error> {
        match rules.endpoint.as_deref() {
            Some(endpoint) if !endpoints::allows(rules.endpoints, endpoint) => {
                let message = format!("`endpoint` is {}, which takes no batches.", quoted(endpoint));
                Err(Error::usage(message).hint(format!("For `endpoint`, {}.", endpoints::advice(endpoint))))
            }
            _ => Ok(()),
        }
    }

    fn only_endpoint(&self) -> Option<&'static str> {
        None
    }

    fn read_line<'l>(&self, line: &'l str, rules: &'l Rules) -> Result<RequestLine<'l>, Finding> {
        row::read(line, rules)
    }

    fn billed<'l>(&self, line: &'l str, model: Option<&str>) -> Billed<'l> {
        billed::billed(line, model)
    }

    fn requests_of(&self, table: &Table) -> String {
        conversions::of_table(table)
    }

    fn unknown_endpoint(&self, endpoint: &str) -> String {
        format!("{} is not one of OpenAI's batch endpoints; the server may not support it.", quoted(endpoint))
    }

    fn root<'u>(&self, base_url: &'u str) -> &'u str {
        base_url
    }

    fn authorization(&self, key: &Secret) -> (&'static str, String) {
        ("authorization", format!("Bearer {}", key.reveal()))
    }

    fn default_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    fn routing_headers(&self) -> &'static [&'static str] {
        &ROUTING
    }

    fn request_id_header(&self) -> &'static str {
        "x-request-id"
    }

    fn organization_header(&self) -> Option<&'static str> {
        Some("openai-organization")
    }

    fn project_header(&self) -> Option<&'static str> {
        Some("openai-project")
    }

    fn intake(&self) -> Intake {
        Intake::File(&Self)
    }

    fn answer_content(&self, place: &str) -> Call {
        Call::new(Method::Get, format!("/files/{place}/content"))
    }

    fn create_batch(&self, batch: &NewBatch<'_>) -> Call {
        let metadata: serde_json::Map<String, Value> =
            batch.metadata.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        let mut body = json!({
            "input_file_id": batch.input_file_id,
            "endpoint": batch.endpoint,
            "completion_window": batch.completion_window,
        });
        if !metadata.is_empty() {
            body["metadata"] = Value::Object(metadata);
        }
        if let Some(life) = batch.output_expires_after {
            body["output_expires_after"] = json!({ "anchor": "created_at", "seconds": life.as_secs() });
        }
        Call { body: Body::Json(body), ..Call::new(Method::Post, "/batches") }
    }

    fn get_batch(&self, id: &str) -> Call {
        Call::new(Method::Get, format!("/batches/{id}"))
    }

    fn cancel_batch(&self, id: &str) -> Call {
        Call::new(Method::Post, format!("/batches/{id}/cancel"))
    }

    fn list_batches(&self, limit: u64, after: Option<&str>) -> Call {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(after.map(|id| ("after", id.to_owned())));
        Call { query, ..Call::new(Method::Get, "/batches") }
    }

    fn read_batch(&self, body: &[u8]) -> Parsed<Batch> {
        wire::batch(body)
    }

    fn answer_sources<'b>(&self, batch: &'b Batch) -> Vec<AnswerSource<'b>> {
        let parts = [(AnswerPart::Output, &batch.output_file_id), (AnswerPart::Error, &batch.error_file_id)];
        let source =
            |(part, id): (AnswerPart, &'b Option<String>)| Some(AnswerSource { part, file_id: id.as_deref()? });
        parts.into_iter().filter_map(source).collect()
    }

    fn read_page(&self, body: &[u8]) -> Parsed<Page> {
        wire::page(body)
    }

    fn read_error(&self, body: &[u8]) -> ApiError {
        ApiError::read(body)
    }

    fn error_in_success(&self, body: &[u8]) -> Option<ApiError> {
        ApiError::inside(body)
    }

    fn is_hopeless(&self, code: &str) -> bool {
        codes::is_hopeless(code)
    }

    fn answers(&self) -> &'static dyn ReadAnswers {
        &answer::OpenAiAnswers
    }
}

impl Files for OpenAi {
    fn expiry_fields(&self, life: Duration) -> Vec<(&'static str, String)> {
        let seconds = life.as_secs().to_string();
        vec![("expires_after[anchor]", "created_at".to_owned()), ("expires_after[seconds]", seconds)]
    }

    fn upload(&self, form: &UploadForm) -> Call {
        let purpose = form.purpose.clone().unwrap_or_else(|| PURPOSE.to_owned());
        let life = form.expires_after.map(|life| self.expiry_fields(life)).unwrap_or_default();
        let own = [("purpose", purpose)].into_iter().chain(life).map(|(name, value)| (name.to_owned(), value));
        let fields = own.chain(form.fields.iter().cloned()).collect();
        let body = Body::Form(Form { fields, file: "file", media_type: "application/jsonl" });
        Call { body, ..Call::new(Method::Post, "/files") }
    }

    fn get(&self, id: &str) -> Call {
        Call::new(Method::Get, format!("/files/{id}"))
    }

    fn delete(&self, id: &str) -> Call {
        Call::new(Method::Delete, format!("/files/{id}"))
    }

    fn is_unready(&self, complaint: Complaint<'_>, file_id: &str) -> bool {
        unready::is_unready(complaint, file_id)
    }

    fn read(&self, body: &[u8]) -> Parsed<File> {
        wire::file(body)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Body, Dialect as _, Files as _, Form, NewBatch, OpenAi, ROUTING, UploadForm};

    #[test]
    fn a_form_says_its_purpose_then_how_long_the_file_lives_then_the_users_fields() {
        let fields = vec![("target_model_names".to_owned(), "m".to_owned())];
        let form = UploadForm { purpose: None, expires_after: Some(Duration::from_secs(3_600)), fields };
        let Body::Form(Form { fields, .. }) = OpenAi.upload(&form).body else { panic!("an upload is a form") };
        let text: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let life = "expires_after[anchor]=created_at expires_after[seconds]=3600";
        assert_eq!(text.join(" "), format!("purpose=batch {life} target_model_names=m"));
        let named = UploadForm { purpose: Some("batch-api".to_owned()), expires_after: None, fields: Vec::new() };
        let Body::Form(Form { fields, .. }) = OpenAi.upload(&named).body else { panic!("an upload is a form") };
        assert_eq!(fields, [("purpose".to_owned(), "batch-api".to_owned())]);
    }

    #[test]
    fn a_create_leaves_out_what_is_not_said() {
        let mut new = NewBatch {
            input_file_id: Some("file-1"),
            endpoint: "/v1/embeddings",
            completion_window: "24h",
            metadata: &[],
            output_expires_after: None,
        };
        let mut body = json!({"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h"});
        assert_eq!(OpenAi.create_batch(&new).body, Body::Json(body.clone()));
        let pairs = [("suite".to_owned(), "nightly".to_owned())];
        (new.metadata, new.output_expires_after) = (&pairs, Some(Duration::from_secs(7_200)));
        body["metadata"] = json!({"suite": "nightly"});
        body["output_expires_after"] = json!({"anchor": "created_at", "seconds": 7_200});
        assert_eq!(OpenAi.create_batch(&new).body, Body::Json(body));
    }

    #[test]
    fn a_page_goes_on_after_the_last_batch_of_the_one_before() {
        assert_eq!(OpenAi.list_batches(100, None).query, [("limit", "100".to_owned())]);
        let next = [("limit", "20".to_owned()), ("after", "batch_7".to_owned())];
        assert_eq!(OpenAi.list_batches(20, Some("batch_7")).query, next);
    }

    #[test]
    fn headers_have_their_names_in_lower_case() {
        assert!(ROUTING.iter().all(|name| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn the_key_is_a_bearer_token() {
        let key = "sk-0123456789".parse().unwrap();
        assert_eq!(OpenAi.authorization(&key), ("authorization", "Bearer sk-0123456789".to_owned()));
    }
}
