//! One line of the requests file, and what can be wrong with it by itself.
//!
//! What it must share with other lines (one endpoint, one model, ids of its
//! own) is checked in `requests/pass.rs`.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::body::Body;
use super::endpoints::{self, Content, EMBEDDINGS, Endpoint};
use super::{conversions, fields};
use crate::dialects::{
    Addressed, Endpoints, Familiar, Finding, Marks, RequestLine, Rules, Scrutiny, described, no_text, not_json, quoted,
};
use crate::json::fast;
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};

/// The id of the request that a line holds, whatever the rest of the line is.
pub(super) fn id(line: &str) -> Option<String> {
    let request: Loose<'_, Row<'_>> = serde_json::from_str(line).ok()?;
    if let Seen::Text(id) = request.fields.custom_id { Some(id.into_owned()) } else { None }
}

/// Reads a line, which is text already, and finds what is wrong with it by itself.
pub(super) fn read<'l>(line: &'l str, rules: &'l Rules) -> Result<RequestLine<'l>, Finding> {
    let mut whole: Loose<'l, Row<'l>> = Loose::default();
    Row::read(line, &mut whole)?;
    let row = &mut whole.fields;
    if row.params == Seen::Object && row.url.is_nothing() && row.body.seen.is_nothing() {
        let fix = "choose `provider: anthropic`, or write `method`, `url` and `body`";
        let found = "the requests have Anthropic's form";
        return Err(Finding::new(found, "OpenAI's API takes its own", fix).of_file());
    }
    if let Some(finding) = row.of_another_kind(rules) {
        return Err(finding);
    }
    let mut request = RequestLine::default();
    match rules.scrutiny {
        Scrutiny::Ids => request.findings.extend(row.id_findings()),
        Scrutiny::Full => check(row, rules, &mut request),
    }
    request.structured = row.body.fields.formats.structured();
    request.custom_id = row.custom_id.take_text();
    Ok(request)
}

/// Checks all of a request, and says where it goes.
fn check<'l>(row: &mut Row<'l>, rules: &'l Rules, request: &mut RequestLine<'l>) {
    let addressed = rules.addressed();
    row.add_findings(addressed, &mut request.findings);
    let chosen = rules.endpoint.as_deref();
    let url = row.url.take_text();
    request.endpoint = match (addressed, url, chosen) {
        (Addressed::ByBatch, url, Some(chosen)) => {
            check_body(row, url.as_deref().unwrap_or(chosen), rules, request);
            Some(Cow::Borrowed(chosen))
        }
        (_, Some(url), _) => {
            check_url(row, &url, rules, request);
            Some(url)
        }
        _ => None,
    };
    let body = &mut row.body.fields;
    request.inputs = if request.endpoint.as_deref() == Some(EMBEDDINGS) { body.embedding_inputs() } else { 0 };
    request.output_cap = request.endpoint.as_deref().and_then(|endpoint| body.output_cap(endpoint));
    request.model = body.model.take_text();
}

fn check_url(row: &Row<'_>, url: &str, rules: &Rules, request: &mut RequestLine<'_>) {
    if !endpoints::allows(rules.endpoints, url) {
        let finding = Finding::new(quoted(url), "it takes no batches", endpoints::advice(url));
        request.findings.push(finding.of("url"));
        return;
    }
    check_body(row, url, rules, request);
    if let Some(chosen) = rules.endpoint.as_deref().filter(|chosen| *chosen != url) {
        let expected = format!("the chosen endpoint is {}", quoted(chosen));
        request.findings.push(Finding::new(quoted(url), expected, "change one of them").of("url"));
    }
}

/// Whether the body holds what its endpoint works on, as far as that is known.
fn check_body(row: &Row<'_>, endpoint: &str, rules: &Rules, request: &mut RequestLine<'_>) {
    match endpoints::find(endpoint) {
        Some(endpoint) => {
            request.findings.extend(row.lacks(endpoint, rules.endpoints));
            request.warnings = fields::warnings(&row.body.fields.looks(), endpoint.path, rules.endpoints);
        }
        None => request.endpoint_is = Familiar::Unknown,
    }
}

/// A request, as far as it is looked into.
#[derive(Debug, Default)]
pub(crate) struct Row<'de> {
    /// Its id.
    pub(crate) custom_id: Seen<'de>,
    method: Seen<'de>,
    /// Its endpoint.
    url: Seen<'de>,
    /// The parameters.
    body: Loose<'de, Body<'de>>,
    /// What Anthropic's lines have instead.
    params: Seen<'de>,
    /// What lines have that are no requests at all.
    marks: Marks,
    repeated: Option<&'static str>,
}

impl<'de> Fields<'de> for Row<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let (name, is_repeated) = match key {
            "custom_id" => ("custom_id", overwrite(&mut self.custom_id, map)?),
            "method" => ("method", overwrite(&mut self.method, map)?),
            "url" => ("url", overwrite(&mut self.url, map)?),
            "body" => {
                let is_repeated = self.body.seen != Seen::Absent;
                map.next_value_seed(Fill(&mut self.body))?;
                ("body", is_repeated)
            }
            "params" => {
                self.params = map.next_value()?;
                return Ok(());
            }
            _ => {
                self.marks.note(key);
                return skip(map);
            }
        };
        if is_repeated {
            self.repeated = Some(name);
        }
        Ok(())
    }
}

/// Reads the current value into its place; whether that held one already.
fn overwrite<'de, A: MapAccess<'de>>(place: &mut Seen<'de>, map: &mut A) -> Result<bool, A::Error> {
    Ok(std::mem::replace(place, map.next_value()?) != Seen::Absent)
}

impl<'de> Row<'de> {
    /// Reads a line into a value that holds nothing yet.
    fn read(line: &'de str, row: &mut Loose<'de, Self>) -> Result<(), Finding> {
        let whole = "each line is one whole JSON object";
        match fast::fill(line, row) {
            Err(error) => Err(not_json(&error, line)),
            Ok(()) if row.seen == Seen::Object => Ok(()),
            Ok(()) => {
                let fix = "write an object with `custom_id`, `method`, `url` and `body`";
                Err(Finding::new(format!("the line is {}", described(&row.seen)), whole, fix))
            }
        }
    }

    /// What it is if it is no request of this vendor's.
    fn of_another_kind(&self, rules: &Rules) -> Option<Finding> {
        if rules.scrutiny != Scrutiny::Full {
            return None;
        }
        if self.body.seen.is_nothing() {
            return self.marks.line().map(|line| line.finding(&conversions::OF_LINES));
        }
        let is_bare = self.method == Seen::Absent && self.url == Seen::Absent && self.custom_id.text().is_some();
        let is_chat = matches!(self.body.fields.messages, Seen::Array { len: 1.., .. });
        if !is_bare || !is_chat || rules.addressed() == Addressed::ByBatch {
            return None;
        }
        let fix = match rules.endpoints {
            Endpoints::Known => "",
            Endpoints::Any => "or choose the `endpoint` of all requests",
        };
        let found = "the requests have neither `method` nor `url`, as Mistral's";
        let finding = Finding::new(found, "each request names its endpoint", fix);
        Some(finding.made_right_by(conversions::OF_BODIES).of_file())
    }

    /// What is wrong with its id, by which its answer is known again.
    fn id_findings(&self) -> Option<Finding> {
        let finding = no_text(&self.custom_id, "each request needs a string of its own", "add one");
        finding.map(|finding| finding.of("custom_id"))
    }

    /// Adds what is wrong with its fields, whatever the endpoint.
    fn add_findings(&self, addressed: Addressed, findings: &mut Vec<Finding>) {
        findings.extend(self.repeated.map(|field| {
            Finding::new("given twice", "it is ambiguous which one applies", "remove one of them").of(field)
        }));
        findings.extend(self.id_findings());
        let may_lack = |seen: &Seen<'_>| addressed == Addressed::ByBatch && seen.is_nothing();
        if self.method.text() != Some("POST") && !may_lack(&self.method) {
            let finding = Finding::new(described(&self.method), "batches take only `POST`", "write `\"POST\"`");
            findings.push(finding.of("method"));
        }
        let fix = "add its path, as in `/v1/chat/completions`";
        if !may_lack(&self.url) {
            let finding = no_text(&self.url, "each request names its endpoint", fix);
            findings.extend(finding.map(|finding| finding.of("url")));
        }
        if self.body.seen == Seen::Object {
            self.body.fields.add_findings(findings);
        } else {
            let fix = if self.body.seen.is_nothing() { "add it" } else { "write an object" };
            let finding = Finding::new(described(&self.body.seen), "an object holds the request's parameters", fix);
            findings.push(finding.of("body"));
        }
    }

    /// What its body lacks for `endpoint`.
    fn lacks(&self, endpoint: &Endpoint, endpoints: Endpoints) -> Vec<Finding> {
        if self.body.seen != Seen::Object {
            return Vec::new();
        }
        let fields = &self.body.fields;
        // vLLM makes embeddings of messages, and takes null as the prompt beside `prompt_embeds`.
        let serves = |content: Content| match (endpoints, content) {
            (Endpoints::Any, Content::Input) if endpoint.path == EMBEDDINGS => fields.holds(Content::Messages),
            (Endpoints::Any, Content::Prompt) => *fields.content(content) == Seen::Null,
            _ => false,
        };
        let lacking = |choice: &&&[Content]| !choice.iter().any(|content| fields.holds(*content) || serves(*content));
        let needs = endpoint.needs.iter().filter(lacking).filter_map(|choice| {
            let (first, more) = choice.split_first()?;
            let value = self.body.fields.content(*first);
            let fix = if value.is_nothing() { "add it" } else { "write one" };
            let or = more.iter().map(|content| format!(" or `{}`", content.field())).collect::<String>();
            let list = if *first == Content::Messages { ", a list that is not empty" } else { "" };
            let expected = format!("`{}` needs `{}`{or}{list}", endpoint.path, first.field());
            Some(Finding::new(described(value), expected, fix).of(first.field()))
        });
        needs.chain(self.body.fields.lacks_model(endpoint.model)).collect()
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::dialects::{Endpoints, Rules};
    use crate::requests::testing::{chat, checked, faults, rules};

    fn of(lines: &[&str]) -> String {
        faults(&[("requests.jsonl", &lines.join("\n"))])
    }

    #[test]
    fn servers_of_another_make_take_what_openai_does_not() {
        let compatible = Rules { endpoints: Endpoints::Any, ..rules() };
        for (url, body) in [
            ("/v1/embeddings", r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#),
            ("/v1/completions", r#"{"model":"m","prompt":null,"prompt_embeds":["AAAA"]}"#),
        ] {
            let line = format!(r#"{{"custom_id":"a","method":"POST","url":"{url}","body":{body}}}"#);
            let count = |rules| checked(&[("a", &line)], rules).fault_count;
            assert_eq!((count(&compatible), count(&rules())), (0, 1), "{body}");
        }
    }

    /// The faults of a request whose body is this, each with an id of its own.
    fn body(url: &str, bodies: &[&str]) -> String {
        let line = |(id, body)| format!(r#"{{"custom_id":"{id}","method":"POST","url":"{url}","body":{body}}}"#);
        of(&bodies.iter().enumerate().map(line).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn a_request_to_another_vendor_is_named_as_such() {
        let line = r#"{"custom_id":"a","params":{"model":"m","max_tokens":9,"messages":[]}}"#;
        assert_snapshot!(of(&[line, line]), @"requests.jsonl: the requests have Anthropic's form; OpenAI's API takes its own: choose `provider: anthropic`, or write `method`, `url` and `body`");
    }

    #[test]
    fn a_line_that_is_not_json_is_reported_with_its_place() {
        let lines = [
            r#"{"custom_id": "a""#,
            "{'custom_id': 1}",
            r#"{"custom_id": NaN}"#,
            r#"{"custom_id": "a",}"#,
            r#"{"custom_id": "a"},"#,
            r#"{"custom_id" "a"}"#,
        ];
        assert_snapshot!(of(&lines), @r#"
        requests.jsonl:1:17: the JSON ends too early; each line is one whole JSON object: write the whole request on one line
        requests.jsonl:2:2: not JSON, key must be a string at `'custom_id': 1}`; each line is one whole JSON object: use double quotes
        requests.jsonl:3:15: not JSON, expected value at `NaN}`; each line is one whole JSON object: JSON knows `null`, `true`, `false` and finite numbers
        requests.jsonl:4:19: not JSON, trailing comma at `}`; each line is one whole JSON object: remove the last comma
        requests.jsonl:5:19: not JSON, trailing characters at `,`; each line is one whole JSON object: write one request per line, with nothing behind it
        requests.jsonl:6:14: not JSON, expected `:` at `"a"}`; each line is one whole JSON object: write the file with a JSON library
        "#);
    }

    #[test]
    fn a_line_that_is_not_a_request_is_reported() {
        let long = format!("\"{}\"", "x".repeat(100));
        assert_snapshot!(of(&[&chat("a"), "", " \r", "[1]", "null", &long]), @"
        requests.jsonl, lines 2-3: the line is blank; each line is one request: remove it
        requests.jsonl:4: the line is an array; each line is one whole JSON object: write an object with `custom_id`, `method`, `url` and `body`
        requests.jsonl:5: the line is null; each line is one whole JSON object: write an object with `custom_id`, `method`, `url` and `body`
        requests.jsonl:6: the line is `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…`; each line is one whole JSON object: write an object with `custom_id`, `method`, `url` and `body`
        ");
        let (first, second) = (format!("\u{feff}{}", chat("a")), format!("\u{feff}{}", chat("b")));
        assert_snapshot!(of(&[&first, &second]), @r#"
        requests.jsonl:1:1: the file begins with a byte order mark; a JSON line begins with `{`: save the file as UTF-8 without BOM
        requests.jsonl:2:1: not JSON, expected value at `﻿{"custom_id":"b","m`; each line is one whole JSON object: remove the byte order mark
        "#);
        assert_snapshot!(of(&["\u{feff}{]"]), @"
        requests.jsonl:1:1: the file begins with a byte order mark; a JSON line begins with `{`: save the file as UTF-8 without BOM
        requests.jsonl:1:5: not JSON, key must be a string at `]`; each line is one whole JSON object: write the file with a JSON library
        ");
    }

    #[test]
    fn bytes_that_are_not_text_are_reported_with_their_column() {
        let (source, _dir) = crate::requests::source::testing::source(&[("a", b"{\"\xc3\xa9\xff\"}")]);
        let checked = crate::requests::check(&source, &rules()).unwrap();
        assert_snapshot!(checked.faults[0].sentence(), @"a:1:5: not UTF-8 text; JSON is UTF-8: save the file as UTF-8");
    }

    #[test]
    fn the_four_fields_are_there_once_and_of_their_type() {
        assert_snapshot!(of(&["{}"]), @r#"
        requests.jsonl:1: `custom_id` is missing; each request needs a string of its own: add one
        requests.jsonl:1: `method` is missing; batches take only `POST`: write `"POST"`
        requests.jsonl:1: `url` is missing; each request names its endpoint: add its path, as in `/v1/chat/completions`
        requests.jsonl:1: `body` is missing; an object holds the request's parameters: add it
        "#);
        assert_snapshot!(of(&[r#"{"custom_id":null,"method":null,"url":null,"body":null}"#]), @r#"
        requests.jsonl:1: `custom_id` is null; each request needs a string of its own: add one
        requests.jsonl:1: `method` is null; batches take only `POST`: write `"POST"`
        requests.jsonl:1: `url` is null; each request names its endpoint: add its path, as in `/v1/chat/completions`
        requests.jsonl:1: `body` is null; an object holds the request's parameters: add it
        "#);
        assert_snapshot!(of(&[r#"{"custom_id":7,"method":"post","url":[],"body":"{}"}"#]), @r#"
        requests.jsonl:1: `custom_id` is the number 7; each request needs a string of its own: write a string that is not empty
        requests.jsonl:1: `method` is `post`; batches take only `POST`: write `"POST"`
        requests.jsonl:1: `url` is an empty array; each request names its endpoint: write a string that is not empty
        requests.jsonl:1: `body` is `{}`; an object holds the request's parameters: write an object
        "#);
        assert_snapshot!(of(&[r#"{"custom_id":"","method":{},"url":"","body":[1]}"#]), @r#"
        requests.jsonl:1: `custom_id` is an empty string; each request needs a string of its own: write a string that is not empty
        requests.jsonl:1: `method` is an object; batches take only `POST`: write `"POST"`
        requests.jsonl:1: `url` is an empty string; each request names its endpoint: write a string that is not empty
        requests.jsonl:1: `body` is an array; an object holds the request's parameters: write an object
        "#);
        assert_snapshot!(of(&[&chat("a").replacen('{', r#"{"custom_id":"b","#, 1)]), @"requests.jsonl:1: `custom_id` is given twice; it is ambiguous which one applies: remove one of them");
    }

    #[test]
    fn the_endpoint_is_one_that_takes_batches() {
        let url = |id: &str, path: &str| chat(id).replace("/v1/chat/completions", path);
        assert_snapshot!(of(&[&url("a", "/chat/completions"), &url("b", "/v1/rerank")]), @"
        requests.jsonl:1: `url` is `/chat/completions`; it takes no batches: write `/v1/chat/completions`
        requests.jsonl:2: `url` is `/v1/rerank`; it takes no batches: use one of `/v1/responses`, `/v1/chat/completions`, `/v1/embeddings`, `/v1/completions`, `/v1/moderations`, `/v1/images/generations`, `/v1/images/edits`, `/v1/videos`
        ");
    }

    #[test]
    fn a_body_names_its_model_and_does_not_stream() {
        let bodies = [
            r#"{"messages":[1]}"#,
            r#"{"model":"","messages":[1],"stream":false}"#,
            r#"{"model":{},"messages":[1],"stream":true}"#,
        ];
        assert_snapshot!(body("/v1/chat/completions", &bodies), @"
        requests.jsonl:1: `body.model` is missing; each request names its model: add it
        requests.jsonl:2: `body.model` is an empty string; each request names its model: write a string that is not empty
        requests.jsonl:3: `body.stream` is true; batches cannot stream: remove it
        requests.jsonl:3: `body.model` is an object; each request names its model: write a string that is not empty
        ");
    }

    #[test]
    fn a_body_holds_what_its_endpoint_works_on() {
        let chats = [r#"{"model":"m"}"#, r#"{"model":"m","messages":[]}"#, r#"{"model":"m","messages":"Hi"}"#];
        assert_snapshot!(body("/v1/chat/completions", &chats), @"
        requests.jsonl:1: `body.messages` is missing; `/v1/chat/completions` needs `body.messages`, a list that is not empty: add it
        requests.jsonl:2: `body.messages` is an empty array; `/v1/chat/completions` needs `body.messages`, a list that is not empty: write one
        requests.jsonl:3: `body.messages` is `Hi`; `/v1/chat/completions` needs `body.messages`, a list that is not empty: write one
        ");
        let mut all = String::new();
        for endpoint in &super::endpoints::KNOWN {
            all += &(body(endpoint.path, &[r#"{"model":"m"}"#]) + "\n");
        }
        assert_snapshot!(all, @"
        requests.jsonl:1: `body.input` is missing; `/v1/responses` needs `body.input` or `body.prompt`: add it
        requests.jsonl:1: `body.messages` is missing; `/v1/chat/completions` needs `body.messages`, a list that is not empty: add it
        requests.jsonl:1: `body.input` is missing; `/v1/embeddings` needs `body.input`: add it
        requests.jsonl:1: `body.prompt` is missing; `/v1/completions` needs `body.prompt`: add it
        requests.jsonl:1: `body.input` is missing; `/v1/moderations` needs `body.input`: add it
        requests.jsonl:1: `body.prompt` is missing; `/v1/images/generations` needs `body.prompt`: add it
        requests.jsonl:1: `body.prompt` is missing; `/v1/images/edits` needs `body.prompt`: add it
        requests.jsonl:1: `body.image` is missing; `/v1/images/edits` needs `body.image` or `body.images`: add it
        requests.jsonl:1: `body.prompt` is missing; `/v1/videos` needs `body.prompt`: add it
        ");
        let good = [r#"{"model":"m","prompt":{"id":"p"}}"#, r#"{"model":"m","input":[]}"#];
        assert_eq!(body("/v1/responses", &good), "");
        assert_eq!(body("/v1/images/edits", &[r#"{"model":"m","prompt":"p","images":[1]}"#]), "");
    }

    #[test]
    fn unknown_fields_and_deep_nesting_are_nobodys_business() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let line = chat("a").replacen("\"model\"", &format!("\"extra\":{deep},\"model\""), 1);
        assert_eq!(checked(&[("a", &line)], &rules()).fault_count, 0);
    }
}
