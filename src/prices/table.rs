//! A file of prices, as docs/cost.md describes it: vendors, their models, and what each costs from which day on.

use std::time::UNIX_EPOCH;

use glob::Pattern;
use serde::Deserialize;

use super::card::Card;

/// A file of prices.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// The day of which the prices are, as `2026-10-26`.
    pub(super) date: Day,
    /// Where they are from.
    pub(super) source: String,
    pub(super) vendors: Vec<Vendor>,
}

impl Table {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(super) fn vendor(&self, id: &str) -> Option<&Vendor> {
        self.vendors.iter().find(|vendor| vendor.id == id)
    }
}

/// The prices of a vendor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vendor {
    pub(super) id: String,
    /// What people call it, if that is not the id.
    pub(super) name: Option<String>,
    /// The hosts that it answers at.
    #[serde(default)]
    pub(super) hosts: Vec<Name>,
    pub(super) models: Vec<Model>,
}

impl Vendor {
    /// The first model of the file that has this name, which is in lower case.
    pub(super) fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.names.iter().any(|known| known.is(name)))
    }
}

/// The prices of a model.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Unchecked")]
pub(super) struct Model {
    pub(super) names: Vec<Name>,
    /// In the order of their days.
    pub(super) rates: Vec<Dated>,
}

impl Model {
    /// The prices of a batch that was created at a time, in seconds since the Unix epoch.
    pub(super) fn rate(&self, at: u64) -> Option<&Dated> {
        self.rates.iter().rev().find(|rate| rate.from.as_ref().is_none_or(|from| from.seconds <= at))
    }
}

/// The prices of a model from a day on, and before if there is no day.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dated {
    pub(super) from: Option<Day>,
    pub(super) batch: Card,
    /// None if the vendor has one price for both.
    pub(super) standard: Option<Card>,
}

/// A model as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    names: Vec<Name>,
    rates: Vec<Dated>,
}

impl TryFrom<Unchecked> for Model {
    type Error = String;

    /// Refuses what can only be a mistake. A batch price that repeats the standard price is one: tables say this of
    /// models whose batch price they do not know.
    fn try_from(Unchecked { names, rates }: Unchecked) -> Result<Self, String> {
        let name = names.first().ok_or("a model needs a name")?.text.clone();
        let wrong = |why: &str| Err(format!("model `{name}`: {why}"));
        if rates.is_empty() {
            return wrong("a model needs a rate");
        }
        let from = |rate: &Dated| rate.from.as_ref().map(|from| from.seconds);
        if !rates.is_sorted_by(|earlier, later| from(earlier) < from(later)) {
            return wrong("the rates must be in the order of their `from`");
        }
        for Dated { batch, standard, .. } in &rates {
            if let Some(flaw) = batch.flaw().or_else(|| standard.as_ref().and_then(Card::flaw)) {
                return wrong(flaw);
            }
            if standard.as_ref() == Some(batch) {
                return wrong("`batch` equals `standard`; leave out `standard` if the vendor has one price for both");
            }
        }
        Ok(Self { names, rates })
    }
}

/// A name, or a pattern: `#` stands for a digit, `*` for anything, `[-@]` for one of these. In lower case.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Name {
    /// As the file has it.
    pub(super) text: String,
    pattern: Option<Pattern>,
}

impl Name {
    /// Whether it is the name of something, which is in lower case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.pattern.as_ref().map_or(self.text == name, |pattern| pattern.matches(name))
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.to_lowercase();
        if text.is_empty() {
            return Err("a name is empty".to_owned());
        }
        let pattern = if text.contains(['#', '*', '?', '[']) {
            let wrong = |error| format!("`{text}` is not a pattern: {error}");
            Some(Pattern::new(&text.replace('#', "[0-9]")).map_err(wrong)?)
        } else {
            None
        };
        Ok(Self { text, pattern })
    }
}

/// A day, which begins at midnight in UTC.
#[derive(Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Day {
    /// As `2026-10-26`.
    pub(super) text: String,
    /// When it begins, in seconds since the Unix epoch.
    pub(super) seconds: u64,
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let begin = humantime::parse_rfc3339(&format!("{text}T00:00:00Z"));
        let since = begin.ok().and_then(|begin| begin.duration_since(UNIX_EPOCH).ok());
        let since = since.ok_or_else(|| format!("`{text}` is not a date such as 2026-10-26"))?;
        Ok(Self { text, seconds: since.as_secs() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Card, Table};

    #[test]
    fn the_documented_format_can_be_read() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cost.md"))
            .unwrap()
            .replace("\r\n", "\n");
        let example = page.split("```").find_map(|block| block.strip_prefix("json\n")).unwrap();
        let table = Table::parse(example).unwrap();
        assert!(table.vendor("openai").unwrap().model("gpt-6-sol-2026-09-22").is_some());
        assert!(table.vendor("acme").unwrap().model("llama-5-70b").is_some());

        let (_, kinds) = page.split_once("| kind | what it is | if it has no price |\n|---|---|---|\n").unwrap();
        let kinds: Vec<&str> = kinds.lines().map_while(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let card = kinds.iter().map(|kind| format!("\"{kind}\": 1")).collect::<Vec<_>>().join(", ");
        let card: Card = serde_json::from_str(&format!("{{ {card} }}")).unwrap();
        // A kind that is not documented would have no price.
        assert!(!format!("{card:?}").contains("None,") && kinds.len() == 11, "{card:?}");
    }
}
