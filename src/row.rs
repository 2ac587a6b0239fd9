//! One line of the requests file, and what can be wrong with it by itself.
//!
//! What it must share with other lines (one endpoint, one model, ids of its
//! own) is `requests.rs`'s business.

use serde::de::MapAccess;
use serde_json::error::Category;

use crate::endpoints::{Content, Endpoint};
use crate::fault::{Finding, described, quoted};
use crate::loose::{Fields, Loose, Seen, seen, skip};

/// A request, as far as it is looked into.
#[derive(Debug, Default)]
pub(crate) struct Row<'de> {
    /// Its id.
    pub(crate) custom_id: Seen<'de>,
    method: Seen<'de>,
    /// Its endpoint.
    pub(crate) url: Seen<'de>,
    /// The parameters.
    pub(crate) body: Loose<'de, Body<'de>>,
    repeated: Option<&'static str>,
}

/// The parameters of a request, as far as they are looked into.
#[derive(Debug, Default)]
pub(crate) struct Body<'de> {
    /// The model.
    pub(crate) model: Seen<'de>,
    /// What is embedded.
    pub(crate) input: Seen<'de>,
    stream: Seen<'de>,
    messages: Seen<'de>,
    prompt: Seen<'de>,
    image: Seen<'de>,
    images: Seen<'de>,
}

impl<'de> Fields<'de> for Row<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let (name, before) = match key {
            "custom_id" => ("custom_id", std::mem::replace(&mut self.custom_id, seen(map)?)),
            "method" => ("method", std::mem::replace(&mut self.method, seen(map)?)),
            "url" => ("url", std::mem::replace(&mut self.url, seen(map)?)),
            "body" => ("body", std::mem::replace(&mut self.body, map.next_value()?).seen),
            _ => return skip(map),
        };
        if before != Seen::Absent {
            self.repeated = Some(name);
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Body<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let field = match key {
            "model" => &mut self.model,
            "stream" => &mut self.stream,
            "messages" => &mut self.messages,
            "input" => &mut self.input,
            "prompt" => &mut self.prompt,
            "image" => &mut self.image,
            "images" => &mut self.images,
            _ => return skip(map),
        };
        *field = seen(map)?;
        Ok(())
    }
}

impl<'de> Row<'de> {
    /// Reads a line, which is text already.
    pub(crate) fn read(line: &'de str) -> Result<Self, Finding> {
        let whole = "each line is one whole JSON object";
        match serde_json::from_str::<Loose<'de, Self>>(line) {
            Err(error) => Err(unreadable(&error, line)),
            Ok(Loose { seen: Seen::Object, fields }) => Ok(fields),
            Ok(Loose { seen, .. }) => {
                let mend = "write an object with `custom_id`, `method`, `url` and `body`";
                Err(Finding::new(format!("the line is {}", described(&seen)), whole, mend))
            }
        }
    }

    /// What is wrong with its fields, whatever the endpoint.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.repeated.map(|field| {
            Finding::new("given twice", "which one counts is anybody's guess", "remove one of them").of(field)
        }));
        findings.extend(
            no_text(&self.custom_id, "each request needs a string of its own", "add one")
                .map(|finding| finding.of("custom_id")),
        );
        if self.method.text() != Some("POST") {
            let finding = Finding::new(described(&self.method), "batches take only `POST`", "write `\"POST\"`");
            findings.push(finding.of("method"));
        }
        let mend = "add its path, as in `/v1/chat/completions`";
        findings.extend(no_text(&self.url, "each request names its endpoint", mend).map(|finding| finding.of("url")));
        if self.body.seen == Seen::Object {
            self.body.fields.add_findings(&mut findings);
        } else {
            let mend = "write them as an object, not as text or a list";
            let finding = Finding::new(described(&self.body.seen), "it holds the request's parameters", mend);
            findings.push(finding.of("body"));
        }
        findings
    }

    /// What its body lacks for `endpoint`.
    pub(crate) fn lacks(&self, endpoint: &Endpoint) -> Vec<Finding> {
        let lacking = |choice: &&&[Content]| !choice.iter().any(|content| self.body.fields.holds(*content));
        let needs = endpoint.needs.iter().filter(lacking).filter_map(|choice| {
            let (first, more) = choice.split_first()?;
            let found = described(self.body.fields.content(*first));
            let or = more.iter().map(|content| format!(" or `{}`", content.field())).collect::<String>();
            let list = if *first == Content::Messages { ", a list that is not empty" } else { "" };
            let expected = format!("`{}` needs `{}`{or}{list}", endpoint.path, first.field());
            Some(Finding::new(found, expected, "add it").of(first.field()))
        });
        if self.body.seen == Seen::Object { needs.collect() } else { Vec::new() }
    }
}

impl<'de> Body<'de> {
    fn add_findings(&self, findings: &mut Vec<Finding>) {
        if self.stream == Seen::Bool(true) {
            findings.push(Finding::new("true", "batches cannot stream", "remove it").of("body.stream"));
        }
        let model = no_text(&self.model, "each request names its model", "add it");
        findings.extend(model.map(|finding| finding.of("body.model")));
    }

    fn content(&self, content: Content) -> &Seen<'de> {
        match content {
            Content::Messages => &self.messages,
            Content::Input => &self.input,
            Content::Prompt => &self.prompt,
            Content::Image => &self.image,
            Content::Images => &self.images,
        }
    }

    fn holds(&self, content: Content) -> bool {
        match (content, self.content(content)) {
            (Content::Messages, seen) => matches!(seen, Seen::Array { len: 1.., .. }),
            (_, seen) => !seen.is_nothing(),
        }
    }

    /// How many inputs an embeddings request has: a text is one, a list of
    /// tokens is one, any other list has as many as elements.
    pub(crate) fn embedding_inputs(&self) -> u64 {
        match self.input {
            Seen::Absent | Seen::Null => 0,
            Seen::Array { len, of_numbers: false } => len,
            _ => 1,
        }
    }
}

/// A finding, unless it is a text that is not empty.
fn no_text(seen: &Seen<'_>, expected: &str, mend: &str) -> Option<Finding> {
    let fine = seen.text().is_some_and(|text| !text.is_empty());
    let mend = if seen.is_nothing() { mend } else { "write a string that is not empty" };
    (!fine).then(|| Finding::new(described(seen), expected, mend))
}

/// Why a line is not JSON, in words for somebody who wrote it by hand or by script.
fn unreadable(error: &serde_json::Error, line: &str) -> Finding {
    let whole = "each line is one whole JSON object";
    if error.classify() == Category::Eof {
        let found = "the JSON ends too early";
        return Finding::new(found, whole, "write the whole request on one line").at(error.column());
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let near = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let shown: String = near.chars().take(20).collect();
    let mend = match message {
        "trailing characters" => "write one request per line, with nothing behind it",
        "trailing comma" => "remove the last comma",
        _ if near.starts_with('\'') => "use double quotes",
        _ if ["NaN", "Inf", "-Inf", "None", "True", "False"].iter().any(|word| near.starts_with(word)) => {
            "JSON knows `null`, `true`, `false` and finite numbers"
        }
        _ => "write the file with a JSON library",
    };
    let found = format!("not JSON, {message} at {}", quoted(&shown));
    Finding::new(found, whole, mend).at(error.column())
}
