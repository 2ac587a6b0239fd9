//! Where a request asks for structured output: in `output_config.format`, and `output_format` before that.
//! Source: Anthropic's API reference, "Structured outputs".

use serde::de::MapAccess;

use crate::dialects::{Asked, Structured, Wanted};
use crate::json::lenient::{Fields, Fill, Loose, Seen, skip};
use crate::json::raw::{members, members_of, text};

/// The type of a format with a schema.
const SCHEMA: &str = "json_schema";

/// What a line asks its answer to be.
pub(super) fn asked(line: &str) -> Asked<'_> {
    let [custom_id, params] = members(line, ["custom_id", "params"]);
    let [config, older] = members_of(params, ["output_config", "output_format"]);
    let format = members_of(config, ["format"])[0].or(older);
    let [kind, schema] = members_of(format, ["type", "schema"]);
    let form = match (text(kind).as_deref(), schema) {
        (Some(SCHEMA), Some(schema)) => Wanted::Schema(schema.get()),
        _ => Wanted::Free,
    };
    Asked { custom_id: text(custom_id), form }
}

/// The formats that the parameters name, as far as the check looks.
#[derive(Debug, Default)]
pub(super) struct Formats<'de> {
    /// `output_config`.
    pub(super) config: Loose<'de, Config<'de>>,
    /// `output_format`.
    pub(super) older: Loose<'de, Format<'de>>,
}

#[derive(Debug, Default)]
pub(super) struct Config<'de> {
    format: Loose<'de, Format<'de>>,
}

#[derive(Debug, Default)]
pub(super) struct Format<'de> {
    kind: Seen<'de>,
}

impl Formats<'_> {
    /// Whether any has a schema.
    pub(super) fn structured(&self) -> Structured {
        let kinds = [&self.config.fields.format.fields.kind, &self.older.fields.kind];
        if kinds.iter().any(|kind| kind.text() == Some(SCHEMA)) { Structured::Yes } else { Structured::No }
    }
}

impl<'de> Fields<'de> for Config<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "format" => map.next_value_seed(Fill(&mut self.format)),
            _ => skip(map),
        }
    }
}

impl<'de> Fields<'de> for Format<'de> {
    fn take<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "type" => self.kind = map.next_value()?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, asked};
    use crate::dialects::{Name, choose};
    use crate::requests::testing::checked;

    #[test]
    fn a_request_names_the_form_of_its_answer() {
        let format = r#"{"type":"json_schema","schema":{"type":"object"}}"#;
        for (more, form) in [
            (String::new(), Wanted::Free),
            (format!(r#","output_config":{{"format":{format}}}"#), Wanted::Schema(r#"{"type":"object"}"#)),
            (format!(r#","output_format":{format}"#), Wanted::Schema(r#"{"type":"object"}"#)),
            (r#","output_config":{"effort":"low"}"#.to_owned(), Wanted::Free),
            (r#","output_config":[],"output_format":"x""#.to_owned(), Wanted::Free),
        ] {
            let params = r#""model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]"#;
            let line = format!(r#"{{"custom_id":"a","params":{{{params}{more}}}}}"#);
            let asked = asked(&line);
            assert_eq!((asked.custom_id.as_deref(), asked.form), (Some("a"), form), "{line}");
            let checked = checked(&[("a", &line)], &choose(Name::Anthropic).rules());
            assert_eq!((checked.fault_count, checked.is_structured), (0, form != Wanted::Free), "{line}");
        }
    }
}
