//! The body of a request: its parameters, as far as they are looked into.

use serde::de::MapAccess;

use super::caps::Caps;
use super::endpoints::{Content, Model};
use super::fields::{Looks, VOCABULARY};
use super::structured::Formats;
use crate::dialects::{Finding, Notes, Noticed, no_text, put_turns};
use crate::json::lenient::{Fields, Seen, put, put_fields};

/// The parameters of a request, as far as they are looked into.
#[derive(Debug, Default)]
pub(super) struct Body<'de> {
    /// The model.
    pub(super) model: Seen<'de>,
    /// What is embedded, or answered.
    pub(super) input: Seen<'de>,
    stream: Seen<'de>,
    pub(super) messages: Seen<'de>,
    prompt: Seen<'de>,
    image: Seen<'de>,
    images: Seen<'de>,
    /// How much its answers may have.
    caps: Caps<'de>,
    /// The forms that it asks its answer to have.
    pub(super) formats: Formats<'de>,
    /// What its fields look like.
    noticed: Noticed,
    /// What is in its messages.
    of_messages: Notes<'de>,
    /// What is in its input.
    of_input: Notes<'de>,
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let seen = match key {
            "model" => put(&mut self.model, map)?,
            "stream" => put(&mut self.stream, map)?,
            "prompt" => put(&mut self.prompt, map)?,
            "image" => put(&mut self.image, map)?,
            "images" => put(&mut self.images, map)?,
            "n" => put(&mut self.caps.n, map)?,
            "best_of" => put(&mut self.caps.best_of, map)?,
            "max_tokens" => put(&mut self.caps.max_tokens, map)?,
            "max_completion_tokens" => put(&mut self.caps.max_completion_tokens, map)?,
            "max_output_tokens" => put(&mut self.caps.max_output_tokens, map)?,
            "messages" => put_turns(&mut self.messages, &mut self.of_messages, map)?,
            "input" => put_turns(&mut self.input, &mut self.of_input, map)?,
            "response_format" => put_fields(&mut self.formats.of_chat, map)?,
            "text" => put_fields(&mut self.formats.of_responses, map)?,
            _ => return self.noticed.pass_over(&VOCABULARY, key, map),
        };
        self.noticed.read(&VOCABULARY, key, seen);
        Ok(())
    }
}

impl<'de> Body<'de> {
    /// What of it is looked at for warnings.
    pub(super) fn looks(&self) -> Looks<'_, 'de> {
        Looks { fields: &self.noticed, messages: &self.of_messages, input: &self.of_input }
    }

    pub(super) fn add_findings(&self, findings: &mut Vec<Finding>) {
        if self.stream == Seen::Bool(true) {
            findings.push(Finding::new("true", "batches cannot stream", "remove it").of("body.stream"));
        }
        // Whether it may be absent is for the endpoint to say.
        findings.extend(if self.model.is_nothing() { None } else { self.no_model() });
    }

    pub(super) fn lacks_model(&self, model: Model) -> Option<Finding> {
        let is_needed = match model {
            Model::Required => true,
            Model::Optional => false,
            Model::RequiredWithoutPrompt => self.prompt != Seen::Object,
        };
        self.no_model().filter(|_| is_needed && self.model.is_nothing())
    }

    fn no_model(&self) -> Option<Finding> {
        no_text(&self.model, "each request names its model", "add it").map(|finding| finding.of("body.model"))
    }

    pub(super) fn content(&self, content: Content) -> &Seen<'de> {
        match content {
            Content::Messages => &self.messages,
            Content::Input => &self.input,
            Content::Prompt => &self.prompt,
            Content::Image => &self.image,
            Content::Images => &self.images,
        }
    }

    pub(super) fn holds(&self, content: Content) -> bool {
        match (content, self.content(content)) {
            (Content::Messages, seen) => matches!(seen, Seen::Array { len: 1.., .. }),
            (_, seen) => !seen.is_nothing(),
        }
    }

    /// The tokens that all its answers may have together, at an endpoint.
    pub(super) fn output_cap(&self, endpoint: &str) -> Option<u64> {
        self.caps.output(endpoint, &self.prompt)
    }

    /// How many inputs an embeddings request has: a text is one, a list of
    /// tokens is one, any other list has as many as elements.
    pub(super) fn embedding_inputs(&self) -> u64 {
        match self.input {
            Seen::Absent | Seen::Null => 0,
            Seen::Array { len, of_numbers: false } => len,
            _ => 1,
        }
    }
}
