//! Anthropic's dialect: Message Batches.
//!
//! A batch is created with its requests in the body of the create; there are no files, names or metadata. The calls
//! and objects are those of the vendor's own SDK (`anthropic` 2.14.0, `resources/messages/batches.py` and
//! `types/messages`), the limits those of its documentation (2026-11).

mod answer;
mod billed;
mod conversions;
mod error;
mod fields;
mod row;
mod structured;
mod wire;

use super::{
    AnswerPart, AnswerSource, ApiError, Batch, Billed, Body, Call, Dialect, Finding, InCreate, Intake, Method,
    NewBatch, Page, Parsed, ReadAnswers, RequestLine, Rules, Table, Variable, quoted,
};
use crate::error::Error;
use crate::marked_id::Grammar;
use crate::values::Secret;

/// The dialect.
#[derive(Debug)]
pub(super) struct Anthropic;

/// The variables that Anthropic's own tools read.
pub(super) const VARIABLES: &[Variable] = &[
    Variable { input: "api-key", name: "ANTHROPIC_API_KEY" },
    Variable { input: "base-url", name: "ANTHROPIC_BASE_URL" },
    Variable { input: "headers", name: "ANTHROPIC_CUSTOM_HEADERS" },
];

/// The path of the batches.
const BATCHES: &str = "/v1/messages/batches";
/// Where the requests of a batch go. Their lines do not say it.
const ENDPOINT: &str = "/v1/messages";
/// The header that selects the version of the API, and the version that is asked for where the user selects none.
const VERSION: (&str, &str) = ("anthropic-version", "2026-10-21");
/// The headers that may change the answers.
const ROUTING: [&str; 2] = ["anthropic-beta", VERSION.0];
/// The longest `custom_id` (`^[A-Za-z0-9_-]{1,64}$`).
const LONGEST_ID: usize = 64;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "Anthropic's"
    }

    fn check_endpoint(&self, rules: &Rules) -> Result<(), Error> {
        match rules.endpoint.as_deref() {
            Some(endpoint) if endpoint != ENDPOINT => {
                let message = format!("`endpoint` is {}, which takes no batches.", quoted(endpoint));
                Err(Error::usage(message).hint(format!("Leave it out: Anthropic has batches for {ENDPOINT} alone.")))
            }
            _ => Ok(()),
        }
    }

    fn only_endpoint(&self) -> Option<&'static str> {
        Some(ENDPOINT)
    }

    fn read_line<'l>(&self, line: &'l str, rules: &'l Rules) -> Result<RequestLine<'l>, Finding> {
        row::read(line, rules)
    }

    fn billed<'l>(&self, line: &'l str, _: Option<&str>) -> Billed<'l> {
        billed::billed(line)
    }

    fn requests_of(&self, table: &Table) -> String {
        conversions::of_table(table)
    }

    fn unknown_endpoint(&self, endpoint: &str) -> String {
        format!("{} is not an endpoint that Anthropic has batches for.", quoted(endpoint))
    }

    fn root<'u>(&self, base_url: &'u str) -> &'u str {
        // Its own tools are given the address without the version that is in every path; others are given it with that.
        let root = base_url.trim_end_matches('/');
        root.strip_suffix("/v1").unwrap_or(root)
    }

    fn authorization(&self, key: &Secret) -> (&'static str, String) {
        ("x-api-key", key.reveal().to_owned())
    }

    fn default_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[VERSION]
    }

    fn routing_headers(&self) -> &'static [&'static str] {
        &ROUTING
    }

    fn request_id_header(&self) -> &'static str {
        "request-id"
    }

    fn organization_header(&self) -> Option<&'static str> {
        None
    }

    fn project_header(&self) -> Option<&'static str> {
        None
    }

    fn intake(&self) -> Intake {
        let allows = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        let ids = Grammar { longest: LONGEST_ID, allows };
        Intake::InCreate(InCreate { before: "{\"requests\":[", between: ",", after: "]}", ids })
    }

    fn answer_content(&self, place: &str) -> Call {
        Call::read_url(place)
    }

    fn create_batch(&self, _: &NewBatch<'_>) -> Call {
        Call { body: Body::Requests, ..Call::new(Method::Post, BATCHES) }
    }

    fn get_batch(&self, id: &str) -> Call {
        Call::new(Method::Get, format!("{BATCHES}/{id}"))
    }

    fn cancel_batch(&self, id: &str) -> Call {
        Call::new(Method::Post, format!("{BATCHES}/{id}/cancel"))
    }

    fn list_batches(&self, limit: u64, after: Option<&str>) -> Call {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(after.map(|id| ("after_id", id.to_owned())));
        Call { query, ..Call::new(Method::Get, BATCHES) }
    }

    fn read_batch(&self, body: &[u8]) -> Parsed<Batch> {
        wire::batch(body)
    }

    fn answer_sources<'b>(&self, batch: &'b Batch) -> Vec<AnswerSource<'b>> {
        let source = |url| AnswerSource { part: AnswerPart::Output, file_id: url };
        batch.output_file_id.as_deref().map(source).into_iter().collect()
    }

    fn read_page(&self, body: &[u8]) -> Parsed<Page> {
        wire::page(body)
    }

    fn read_error(&self, body: &[u8]) -> ApiError {
        error::read(body)
    }

    fn error_in_success(&self, body: &[u8]) -> Option<ApiError> {
        error::inside(body)
    }

    fn is_hopeless(&self, code: &str) -> bool {
        error::is_hopeless(code)
    }

    fn answers(&self) -> &'static dyn ReadAnswers {
        &answer::AnthropicAnswers
    }
}

#[cfg(test)]
mod tests {
    use super::{Anthropic, Body, Dialect as _, NewBatch};
    use crate::dialects::Target;

    #[test]
    fn the_create_carries_the_requests_and_a_page_goes_on_after_a_batch() {
        let new = NewBatch {
            input_file_id: None,
            endpoint: "/v1/messages",
            completion_window: "24h",
            metadata: &[],
            output_expires_after: None,
        };
        assert_eq!(Anthropic.create_batch(&new).body, Body::Requests);
        let page = Anthropic.list_batches(20, Some("msgbatch_7"));
        assert_eq!(page.query, [("limit", "20".to_owned()), ("after_id", "msgbatch_7".to_owned())]);
        let url = "https://api.anthropic.com/v1/messages/batches/b/results";
        assert_eq!(Anthropic.answer_content(url).target, Target::Url(url.to_owned()));
    }

    #[test]
    fn the_base_url_is_taken_with_and_without_the_version() {
        for url in ["https://x.example", "https://x.example/", "https://x.example/v1", "https://x.example/v1/"] {
            assert_eq!(Anthropic.root(url), "https://x.example");
        }
        assert_eq!(Anthropic.root("https://x.example/gateway"), "https://x.example/gateway");
    }

    #[test]
    fn the_key_has_a_header_of_its_own() {
        let key = "sk-ant-0123456789".parse().unwrap();
        assert_eq!(Anthropic.authorization(&key), ("x-api-key", "sk-ant-0123456789".to_owned()));
    }
}
