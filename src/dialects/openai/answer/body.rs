//! The body of an answer: whether it holds one, whose it is, and what it used.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::Value;

use super::shape::Shape;
use super::suspicion::{Choice, Incomplete, Item, Listed};
use crate::dialects::openai::error::embedded;
use crate::dialects::{Suspicion, Tokens};
use crate::json::damaged::{self, End, without_mark};
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};

#[derive(Debug, Default)]
pub(super) struct Body<'de> {
    members: u32,
    model: Seen<'de>,
    /// `type`, `object` and `status` say what the body is.
    kind: Seen<'de>,
    object: Seen<'de>,
    status: Seen<'de>,
    error: Seen<'de>,
    choices: Loose<'de, Listed<Choice<'de>>>,
    output: Loose<'de, Listed<Item<'de>>>,
    data: Seen<'de>,
    results: Seen<'de>,
    incomplete: Loose<'de, Incomplete<'de>>,
    refusal: Seen<'de>,
    /// Why the model wrote nothing.
    reason: Seen<'de>,
    /// Azure's content filters, which are present whether they found something or not.
    filters: Seen<'de>,
    usage: Loose<'de, Usage<'de>>,
}

#[derive(Debug, Default)]
struct Usage<'de> {
    input: Seen<'de>,
    output: Seen<'de>,
    total: Seen<'de>,
    input_details: Loose<'de, Details<'de>>,
    output_details: Loose<'de, Details<'de>>,
}

#[derive(Debug, Default)]
struct Details<'de> {
    cached: Seen<'de>,
    cache_written: Seen<'de>,
    reasoning: Seen<'de>,
    audio: Seen<'de>,
    image: Seen<'de>,
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.members += 1;
        let field = match key {
            "usage" => return map.next_value_seed(Fill(&mut self.usage)),
            "model" => &mut self.model,
            "error" => &mut self.error,
            "type" => &mut self.kind,
            "object" => &mut self.object,
            "status" => &mut self.status,
            "choices" => return map.next_value_seed(Fill(&mut self.choices)),
            "output" => return map.next_value_seed(Fill(&mut self.output)),
            "incomplete_details" => return map.next_value_seed(Fill(&mut self.incomplete)),
            "refusal" => &mut self.refusal,
            "data" => &mut self.data,
            "results" => &mut self.results,
            "prompt_filter_results" | "content_filter_results" => &mut self.filters,
            "prompt_feedback" | "promptFeedback" | "block_reason" => {
                let seen: Seen<'de> = map.next_value()?;
                if !seen.is_blank() {
                    self.reason = seen;
                }
                return Ok(());
            }
            _ => return skip(map),
        };
        *field = map.next_value()?;
        Ok(())
    }
}

impl<'de> Fields<'de> for Usage<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            // The last of each is how Gemini's OpenAI-shaped batches write it.
            "input_tokens" | "prompt_tokens" | "promptTokens" => self.input = map.next_value()?,
            "output_tokens" | "completion_tokens" | "completionTokens" => self.output = map.next_value()?,
            "total_tokens" | "totalTokens" => self.total = map.next_value()?,
            "input_tokens_details" | "prompt_tokens_details" => map.next_value_seed(Fill(&mut self.input_details))?,
            "output_tokens_details" | "completion_tokens_details" => {
                map.next_value_seed(Fill(&mut self.output_details))?;
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Details<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "cached_tokens" => &mut self.cached,
            "cache_write_tokens" => &mut self.cache_written,
            "reasoning_tokens" => &mut self.reasoning,
            "audio_tokens" => &mut self.audio,
            "image_tokens" => &mut self.image,
            _ => return skip(map),
        };
        *field = map.next_value()?;
        Ok(())
    }
}

/// What a body amounts to.
#[derive(Debug, Default)]
pub(super) enum Verdict {
    /// It holds an answer.
    Answer,
    /// It holds none.
    #[default]
    Nothing,
    /// It is an error.
    Error,
}

/// What is read of a body.
#[derive(Debug, Default)]
pub(super) struct Judged<'de> {
    pub(super) verdict: Verdict,
    pub(super) model: Option<Cow<'de, str>>,
    pub(super) tokens: Tokens,
    pub(super) suspicion: Option<Suspicion>,
}

/// What a body amounts to. Some servers write it as a JSON string. `is_filtered` is called only where it decides.
pub(super) fn judge<'de>(
    body: &mut Loose<'de, Body<'de>>,
    shape: Shape,
    is_filtered: impl FnOnce() -> bool,
) -> Judged<'de> {
    let Seen::Text(text) = &body.seen else { return body.judged(shape, is_filtered) };
    let text = text.trim();
    let mut inner = Loose::<Body<'_>>::default();
    if text.is_empty() || text == "null" {
        return Judged::default();
    }
    if text.starts_with(['{', '[']) && fast::fill(text, &mut inner).is_err() {
        inner = Loose::default();
        let end = damaged::fill(text.as_bytes(), text.len(), &mut inner);
        if !end.is_ok_and(|end| end != End::CutOff) || inner.seen == Seen::Object && inner.fields.members == 0 {
            // Prose that only begins like JSON.
            inner = Loose::default();
        }
    }
    let is_filtered = || embedded(text).is_some_and(|value| is_any_filtered(&value, 0));
    match inner.seen {
        // A text that is not JSON is itself the answer.
        Seen::Absent => Judged { verdict: Verdict::Answer, ..Judged::default() },
        _ => inner.judged(shape, is_filtered).into_owned(),
    }
}

impl Judged<'_> {
    fn into_owned<'any>(self) -> Judged<'any> {
        let Self { verdict, model, tokens, suspicion } = self;
        Judged { verdict, model: model.map(|model| Cow::Owned(model.into_owned())), tokens, suspicion }
    }
}

impl<'de> Loose<'de, Body<'de>> {
    fn judged(&mut self, shape: Shape, is_filtered: impl FnOnce() -> bool) -> Judged<'de> {
        let (verdict, tokens) = (self.verdict(shape, is_filtered), self.tokens());
        let model = std::mem::take(&mut self.fields.model);
        let model = if let Seen::Text(model) = model { Some(model) } else { None };
        Judged { verdict, model, tokens, suspicion: self.fields.suspicion() }
    }

    fn verdict(&self, shape: Shape, is_filtered: impl FnOnce() -> bool) -> Verdict {
        match self.seen {
            Seen::Absent | Seen::Null | Seen::Array { len: 0, .. } => Verdict::Nothing,
            Seen::Object => self.fields.verdict(shape, is_filtered),
            _ => Verdict::Answer,
        }
    }

    fn tokens(&self) -> Tokens {
        let usage = &self.fields.usage.fields;
        let (input, output) = (&usage.input_details.fields, &usage.output_details.fields);
        let total = tokens(&usage.total);
        // Some servers say of embeddings only the total. Of a text it says too little.
        let is_embedding = matches!(self.fields.data, Seen::Array { .. });
        let sent = if usage.input.is_nothing() && is_embedding { total } else { tokens(&usage.input) };
        let total = if usage.input.is_nothing() && !is_embedding { 0 } else { total };
        Tokens {
            input: sent,
            cached: tokens(&input.cached),
            cache_written: tokens(&input.cache_written),
            cache_written_1h: 0,
            input_audio: tokens(&input.audio),
            input_image: tokens(&input.image),
            // xAI and Gemini leave reasoning out of the output, and bill it: then the total says more.
            output: tokens(&usage.output).max(total.saturating_sub(sent)),
            reasoning: tokens(&output.reasoning),
            output_audio: tokens(&output.audio),
            output_image: tokens(&output.image),
            web_searches: self.fields.output.fields.web_searches,
            tool_calls: self.fields.output.fields.tool_calls,
        }
    }
}

impl Body<'_> {
    fn verdict(&self, shape: Shape, is_filtered: impl FnOnce() -> bool) -> Verdict {
        // Mistral and Anthropic call a whole body an error.
        let says_error = |seen: &Seen<'_>| seen.text() == Some("error");
        if !self.error.is_blank() || says_error(&self.object) || says_error(&self.kind) {
            return Verdict::Error;
        }
        let own = self.object.text().map(Shape::of_object).unwrap_or_default();
        let list = match own.or(shape) {
            Shape::Choices => &self.choices.seen,
            Shape::Output => &self.output.seen,
            Shape::Data => &self.data,
            Shape::Results => &self.results,
            Shape::Unknown if self.members > 0 => return Verdict::Answer,
            Shape::Unknown => return Verdict::Nothing,
        };
        let is_given = !matches!(list, Seen::Absent | Seen::Null | Seen::Array { len: 0, .. }) && !list.is_blank();
        let has_reason = [&self.reason, &self.refusal].iter().any(|seen| !seen.is_blank()) || self.is_incomplete();
        if is_given || has_reason || !self.filters.is_blank() && is_filtered() {
            return Verdict::Answer;
        }
        Verdict::Nothing
    }

    fn is_incomplete(&self) -> bool {
        !self.incomplete.seen.is_blank() || self.status.text() == Some("incomplete")
    }

    /// Why an answer with this body is not to be relied on.
    fn suspicion(&self) -> Option<Suspicion> {
        let told = self.choices.fields.suspicion.or(self.output.fields.suspicion);
        if self.is_incomplete() {
            return Some(self.incomplete.fields.suspicion());
        }
        let is_given = |seen: &Seen<'_>| matches!(seen, Seen::Array { len: 1.., .. });
        let is_blank = !is_given(&self.choices.seen) && !is_given(&self.output.seen);
        told.or_else(|| (!self.refusal.is_blank()).then_some(Suspicion::Refusal))
            .or_else(|| (is_blank && !self.reason.is_blank()).then_some(Suspicion::Filtered))
    }
}

/// Whether a line's filters found something.
pub(super) fn filters(line: &[u8]) -> bool {
    damaged::value(without_mark(line)).is_ok_and(|value| is_any_filtered(&value, 0))
}

fn is_any_filtered(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(members) if depth < 32 => members.iter().any(|(name, value)| {
            name == "filtered" && *value == Value::Bool(true) || is_any_filtered(value, depth + 1)
        }),
        Value::Array(all) if depth < 32 => all.iter().any(|value| is_any_filtered(value, depth + 1)),
        _ => false,
    }
}

/// A count of tokens; anything else counts as 0.
fn tokens(seen: &Seen<'_>) -> u64 {
    // The cast saturates, so that no number a provider can write overflows.
    seen.number().map_or(0, |number| number as u64)
}
