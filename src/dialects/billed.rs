//! What of a request a vendor bills as input, as far as its line shows it.
//!
//! A dialect finds it, because it knows the JSON; `estimate/` counts its tokens. Nothing of the envelope is in it, and
//! no base64: images are tokens already, by their vendor's rule.

use std::borrow::Cow;
use std::ops::AddAssign;

use crate::json::tree::Tree;

/// Tokens around a tool, and around a property or one of its values, as OpenAI's cookbook counts them.
const TOOL: u64 = 12;
const PROPERTY: u64 = 3;

/// A number that is not certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    /// It is not likely to be less.
    pub(crate) low: u64,
    /// What it is, most likely.
    pub(crate) likely: u64,
    /// It is not likely to be more.
    pub(crate) high: u64,
}

/// What is billed as input.
#[derive(Debug, Default)]
pub(crate) struct Billed<'l> {
    /// Texts as the model gets them.
    pub(crate) texts: Vec<Cow<'l, str>>,
    /// Texts that the vendor writes in a form of its own, which it does not publish: tools and schemas.
    pub(crate) rewritten: Vec<Cow<'l, str>>,
    /// Tokens around the texts, and those that a request gives as numbers.
    pub(crate) tokens: u64,
    /// Tokens around tools and schemas.
    pub(crate) frames: u64,
    /// Tokens of what is not text.
    pub(crate) media: Interval,
    /// What is not in the line, or cannot be counted: a bit for each [`Uncounted`].
    pub(crate) uncounted: u8,
}

/// What is billed and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Uncounted {
    /// PDFs, whose pages are billed as texts and images.
    Documents = 1,
    /// Audio.
    Audio = 2,
    /// Video.
    Video = 4,
    /// Files that the vendor has already.
    StoredFiles = 8,
    /// Prompts and conversations that the vendor has already.
    StoredPrompts = 16,
    /// What tools that the vendor runs add.
    VendorTools = 32,
    /// Requests nested so deeply that they were not looked into.
    Unread = 64,
    /// What it costs beside the input that the request has parts of it written to a cache.
    CacheWrites = 128,
}

impl Uncounted {
    /// All of them, with what they are called.
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Documents, "PDFs"),
        (Self::Audio, "audio"),
        (Self::Video, "video"),
        (Self::StoredFiles, "files stored at the provider"),
        (Self::StoredPrompts, "prompts and conversations stored at the provider"),
        (Self::VendorTools, "what tools that the provider runs add"),
        (Self::Unread, "deeply nested requests"),
        (Self::CacheWrites, "what writing to a cache costs more"),
    ];
}

impl<'l> Billed<'l> {
    /// Adds a text as the model gets it.
    pub(crate) fn text(&mut self, text: Cow<'l, str>) {
        if !text.is_empty() {
            self.texts.push(text);
        }
    }

    /// Takes note of something that is not counted, which has so many tokens at most, as far as can be said.
    pub(crate) fn leave_out(&mut self, what: Uncounted, most: u64) {
        self.uncounted |= what as u8;
        self.media += Interval { low: 0, likely: 0, high: most };
    }
}

impl Billed<'_> {
    /// The most tokens that a PDF of so many base64 characters has, as a rule of thumb: a page of nothing but text
    /// has 3,000 at most, and about 10 KB.
    pub(crate) fn most_of_document(base64: u64) -> u64 {
        base64 / 4
    }

    /// Adds a tool: its name, what it is for, and its parameters, which are a schema in the member of that name.
    pub(crate) fn tool(&mut self, tool: &Tree<'_>, parameters: &str) {
        let described = tool.get("description").word().trim_end_matches('.');
        self.rewritten.push(format!("{}:{described}", tool.get("name").word()).into());
        self.frames += TOOL;
        self.properties(tool.get(parameters));
    }

    /// Adds the schema of an answer.
    pub(crate) fn schema(&mut self, schema: &Tree<'_>) {
        self.rewritten.push(schema.to_string().into());
    }

    /// Adds the properties of a schema, and theirs.
    fn properties(&mut self, schema: &Tree<'_>) {
        for (name, property) in schema.get("properties").members() {
            let (kind, described) = (property.get("type").word(), property.get("description").word());
            self.rewritten.push(format!("{name}:{kind}:{}", described.trim_end_matches('.')).into());
            self.frames += PROPERTY;
            for value in property.get("enum").list() {
                self.rewritten.push(value.to_string().into());
                self.frames += PROPERTY;
            }
            self.properties(property);
        }
        for inner in ["items", "additionalProperties"] {
            if !schema.get(inner).members().is_empty() {
                self.properties(schema.get(inner));
            }
        }
        for inner in ["anyOf", "oneOf", "allOf"].iter().flat_map(|name| schema.get(name).list()) {
            self.properties(inner);
        }
        for (_, inner) in schema.get("$defs").members() {
            self.properties(inner);
        }
    }
}

impl AddAssign for Interval {
    fn add_assign(&mut self, more: Self) {
        self.low = self.low.saturating_add(more.low);
        self.likely = self.likely.saturating_add(more.likely);
        self.high = self.high.saturating_add(more.high);
    }
}
