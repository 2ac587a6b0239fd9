//! One line of the requests file: `{"custom_id", "params"}`, where `params` is the body of a Messages request.

use serde::de::MapAccess;
use serde_json::Value;

use super::fields::{VOCABULARY, warnings};
use super::structured::Formats;
use super::{ENDPOINT, VERSION, conversions};
use crate::dialects::{
    Finding, Marks, Notes, Noticed, RequestLine, Rules, Scrutiny, described, no_text, not_json, put_turns,
};
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, put, put_fields, skip};

/// What version `2026-10-21` of the API refuses in a request.
const REMOVED: [&str; 3] = ["params.temperature", "params.top_p", "params.top_k"];

/// The id of the request that a line holds, whatever the rest of the line is.
pub(super) fn id(line: &str) -> Option<String> {
    let request: Loose<'_, Row<'_>> = serde_json::from_str(line).ok()?;
    if let Seen::Text(id) = request.fields.custom_id { Some(id.into_owned()) } else { None }
}

/// Reads a line, which is text already, and finds what is wrong with it by itself.
pub(super) fn read<'l>(line: &'l str, rules: &'l Rules) -> Result<RequestLine<'l>, Finding> {
    let mut whole: Loose<'l, Row<'l>> = Loose::default();
    let one_object = "each line is one whole JSON object";
    match fast::fill(line, &mut whole) {
        Err(error) => return Err(not_json(&error, line)),
        Ok(()) if whole.seen != Seen::Object => {
            let found = format!("the line is {}", described(&whole.seen));
            return Err(Finding::new(found, one_object, "write an object with `custom_id` and `params`"));
        }
        Ok(()) => {}
    }
    let row = &mut whole.fields;
    let mut request = RequestLine { endpoint: Some(ENDPOINT.into()), ..RequestLine::default() };
    if row.is_openais() {
        let found = "the requests have OpenAI's form";
        let fix = "choose the provider that the requests are for, or write `custom_id` and `params`";
        return Err(Finding::new(found, "Anthropic takes its own", fix).of_file());
    }
    if rules.scrutiny == Scrutiny::Full
        && row.params.seen == Seen::Absent
        && let Some(line) = row.marks.line()
    {
        return Err(line.finding(&conversions::OF_LINES));
    }
    request.findings.extend(row.id_findings());
    if rules.scrutiny == Scrutiny::Full {
        row.add_findings(rules, &mut request.findings);
        request.warnings = warnings(&row.params.fields.noticed, &row.params.fields.notes);
        if is_current(rules) {
            request.findings.extend(refused_block(line));
        }
    }
    request.output_cap = match &row.params.fields.max_tokens {
        Seen::Number(most) => most.as_u64(),
        _ => None,
    };
    request.structured = row.params.fields.formats.structured();
    request.model = row.params.fields.model.take_text();
    request.custom_id = row.custom_id.take_text();
    Ok(request)
}

/// A request, as far as it is looked into.
#[derive(Debug, Default)]
struct Row<'de> {
    custom_id: Seen<'de>,
    params: Loose<'de, Params<'de>>,
    /// What OpenAI's lines have instead.
    method: Seen<'de>,
    url: Seen<'de>,
    body: Seen<'de>,
    /// What lines have that are no requests at all.
    marks: Marks,
    repeated: Option<&'static str>,
}

/// The parameters of a request, as far as they are looked into.
#[derive(Debug, Default)]
struct Params<'de> {
    model: Seen<'de>,
    max_tokens: Seen<'de>,
    messages: Seen<'de>,
    stream: Seen<'de>,
    temperature: Seen<'de>,
    top_p: Seen<'de>,
    top_k: Seen<'de>,
    /// What its fields look like.
    noticed: Noticed,
    /// What is in its messages.
    notes: Notes<'de>,
    formats: Formats<'de>,
}

impl<'de> Fields<'de> for Row<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "custom_id" => {
                let before = std::mem::replace(&mut self.custom_id, map.next_value()?);
                self.repeated = self.repeated.or((before != Seen::Absent).then_some("custom_id"));
            }
            "params" => {
                let before = self.params.seen.clone();
                map.next_value_seed(Fill(&mut self.params))?;
                self.repeated = self.repeated.or((before != Seen::Absent).then_some("params"));
            }
            "method" => self.method = map.next_value()?,
            "url" => self.url = map.next_value()?,
            "body" => self.body = map.next_value()?,
            _ => {
                self.marks.note(key);
                skip(map)?;
            }
        }
        Ok(())
    }
}

impl<'de> Fields<'de> for Params<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let seen = match key {
            "model" => put(&mut self.model, map)?,
            "max_tokens" => put(&mut self.max_tokens, map)?,
            "messages" => put_turns(&mut self.messages, &mut self.notes, map)?,
            "stream" => put(&mut self.stream, map)?,
            "temperature" => put(&mut self.temperature, map)?,
            "top_p" => put(&mut self.top_p, map)?,
            "top_k" => put(&mut self.top_k, map)?,
            "output_config" => put_fields(&mut self.formats.config, map)?,
            "output_format" => put_fields(&mut self.formats.older, map)?,
            _ => return self.noticed.pass_over(&VOCABULARY, key, map),
        };
        self.noticed.read(&VOCABULARY, key, seen);
        Ok(())
    }
}

impl Row<'_> {
    fn is_openais(&self) -> bool {
        self.params.seen == Seen::Absent && (self.body == Seen::Object || self.url.text().is_some())
    }

    fn id_findings(&self) -> Option<Finding> {
        let finding = no_text(&self.custom_id, "each request needs a string of its own", "add one");
        finding.map(|finding| finding.of("custom_id"))
    }

    fn add_findings(&self, rules: &Rules, findings: &mut Vec<Finding>) {
        findings.extend(self.repeated.map(|field| {
            Finding::new("given twice", "it is ambiguous which one applies", "remove one of them").of(field)
        }));
        if self.params.seen == Seen::Object {
            self.params.fields.add_findings(rules, findings);
        } else {
            let fix = if self.params.seen.is_nothing() { "add it" } else { "write an object" };
            let finding = Finding::new(described(&self.params.seen), "an object holds the request's parameters", fix);
            findings.push(finding.of("params"));
        }
    }
}

impl Params<'_> {
    fn add_findings(&self, rules: &Rules, findings: &mut Vec<Finding>) {
        let model = no_text(&self.model, "each request names its model", "add it");
        findings.extend(model.map(|finding| finding.of("params.model")));
        let is_limit = matches!(&self.max_tokens, Seen::Number(number) if number.as_u64().is_some_and(|most| most > 0));
        if !is_limit {
            let expected = "each request says how many tokens its answer may have at most";
            let finding = Finding::new(described(&self.max_tokens), expected, "write a whole number above 0");
            findings.push(finding.of("params.max_tokens"));
        }
        if !matches!(self.messages, Seen::Array { len: 1.., .. }) {
            let finding = Finding::new(described(&self.messages), "each request has messages", "write at least one");
            findings.push(finding.of("params.messages"));
        }
        if self.stream == Seen::Bool(true) {
            findings.push(Finding::new("true", "batches cannot stream", "remove it").of("params.stream"));
        }
        if is_current(rules) {
            for (field, seen) in REMOVED.into_iter().zip([&self.temperature, &self.top_p, &self.top_k]) {
                if !seen.is_nothing() {
                    let expected = "version `2026-10-21` of the API refuses it";
                    let fix = "remove it, or set `headers: anthropic-version: 2023-06-01`";
                    findings.push(Finding::new(described(seen), expected, fix).of(field));
                }
            }
        }
    }
}

/// Whether the requests are for the version of the API that is asked for where the user selects none.
fn is_current(rules: &Rules) -> bool {
    rules.header(VERSION.0).is_none_or(|version| version == VERSION.1)
}

/// What else version `2026-10-21` refuses: documents in what the assistant said, and citations in what the user said.
/// Only a line that has such a word is looked into.
fn refused_block(line: &str) -> Option<Finding> {
    if !line.contains("\"document\"") && !line.contains("\"citations\"") {
        return None;
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let refused = |message: &Value| {
        let is_document = |block: &Value| block["type"] == "document";
        let is_cited =
            |block: &Value| block["type"] == "text" && block["citations"].as_array().is_some_and(|all| !all.is_empty());
        let blocks = message["content"].as_array()?;
        match message["role"].as_str()? {
            "assistant" => blocks.iter().any(is_document).then_some("a document in an assistant turn"),
            "user" => blocks.iter().any(is_cited).then_some("a text with citations in a user turn"),
            _ => None,
        }
    };
    let found = line["params"]["messages"].as_array()?.iter().find_map(refused)?;
    let fix = "remove it, or set `headers: anthropic-version: 2023-06-01`";
    Some(Finding::new(format!("`params.messages` has {found}"), "version `2026-10-21` of the API refuses it", fix))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::dialects::{Name, Rules, choose};
    use crate::requests::Fault;
    use crate::requests::testing::checked;

    fn faults(lines: &[&str], version: Option<&str>) -> String {
        let headers = version.map(|version| ("anthropic-version".to_owned(), version.to_owned()));
        let rules = Rules { headers: headers.into_iter().collect(), ..choose(Name::Anthropic).rules() };
        let checked = checked(&[("requests.jsonl", &lines.join("\n"))], &rules);
        checked.faults.iter().map(Fault::sentence).collect::<Vec<_>>().join("\n")
    }

    const GOOD: &str =
        r#"{"custom_id":"a","params":{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}}"#;

    #[test]
    fn a_line_is_a_request_of_the_messages_api() {
        let of = |from: &str, to: &str, id: &str| GOOD.replace(from, to).replace("\"a\"", id);
        let lines = [
            GOOD.to_owned(),
            of("\"max_tokens\":9,", "", "\"b\""),
            of("9", "0.5", "\"c\""),
            of("[{\"role\":\"user\",\"content\":\"Hi\"}]", "[]", "\"d\""),
            of("9", "9,\"stream\":true", "\"e\""),
            of("9", "9,\"temperature\":0,\"top_k\":5", "\"f\""),
            of("\"model\":\"m\",", "", "\"g\""),
            of("\"params\":{", "\"params\":7,\"x\":{", "\"h\""),
            of("\"custom_id\":\"a\"", "\"custom_id\":\"a\",\"custom_id\":\"i\"", "\"a\""),
            r#"{"custom_id":"j","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}"#.to_owned(),
            "[]".to_owned(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_snapshot!(faults(&lines, None), @r"
        requests.jsonl:2: `params.max_tokens` is missing; each request says how many tokens its answer may have at most: write a whole number above 0
        requests.jsonl:3: `params.max_tokens` is the number 0.5; each request says how many tokens its answer may have at most: write a whole number above 0
        requests.jsonl:4: `params.messages` is an empty array; each request has messages: write at least one
        requests.jsonl:5: `params.stream` is true; batches cannot stream: remove it
        requests.jsonl:6: `params.temperature` is the number 0; version `2026-10-21` of the API refuses it: remove it, or set `headers: anthropic-version: 2023-06-01`
        requests.jsonl:6: `params.top_k` is the number 5; version `2026-10-21` of the API refuses it: remove it, or set `headers: anthropic-version: 2023-06-01`
        requests.jsonl:7: `params.model` is missing; each request names its model: add it
        requests.jsonl:8: `params` is the number 7; an object holds the request's parameters: write an object
        requests.jsonl:9: `custom_id` is given twice; it is ambiguous which one applies: remove one of them
        requests.jsonl:10: the requests have OpenAI's form; Anthropic takes its own: choose the provider that the requests are for, or write `custom_id` and `params`
        requests.jsonl:11: the line is an empty array; each line is one whole JSON object: write an object with `custom_id` and `params`
        ");
        let turn = |role: &str, block: &str| {
            of(
                "{\"role\":\"user\",\"content\":\"Hi\"}",
                &format!(r#"{{"role":"{role}","content":[{block}]}}"#),
                "\"k\"",
            )
        };
        let (document, cited) = (r#"{"type":"document"}"#, r#"{"type":"text","text":"x","citations":[{}]}"#);
        let lines = [turn("assistant", document), turn("user", cited).replace("\"k\"", "\"l\"")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_snapshot!(faults(&lines, None), @r"
        requests.jsonl:1: `params.messages` has a document in an assistant turn; version `2026-10-21` of the API refuses it: remove it, or set `headers: anthropic-version: 2023-06-01`
        requests.jsonl:2: `params.messages` has a text with citations in a user turn; version `2026-10-21` of the API refuses it: remove it, or set `headers: anthropic-version: 2023-06-01`
        ");
        assert_eq!(faults(&lines, Some("2023-06-01")), "");
        assert_eq!(faults(&[&turn("user", document)], None), "");
        let warm = of("9", "9,\"temperature\":0", "\"f\"");
        assert_eq!(faults(&[&warm], Some("2023-06-01")), "");
    }
}
