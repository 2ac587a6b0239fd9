//! What the tokens of a batch cost, by vendor, model and day. What is not known has no price: it is never guessed.
//!
//! The built-in prices are `prices.json`, which `cargo xtask renew-prices` makes out of the data of genai-prices. The
//! input `prices` names a file that overrides them. docs/cost.md describes the format of both.

mod card;
mod table;

use std::path::Path;
use std::sync::Arc;

use crate::dialects::{Tokens, Vendor};
use crate::error::Error;
use crate::usd::Usd;
use card::Card;
use table::Table;

/// The prices that the program brings.
const BUILT_IN: &str = include_str!("prices.json");

/// Prices of vendors and models. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Prices {
    /// What a lookup reads, the one that wins first: the user's file, if there is one, and the built-in prices.
    tables: Arc<[Table]>,
    /// Where the first one is from and what it overrides.
    source: String,
}

impl Prices {
    /// The prices that the program brings.
    pub(crate) fn built_in() -> Self {
        let table = built_in();
        Self { source: table.source.clone(), tables: [table].into() }
    }

    /// The prices of a file, over those that the program brings: what the file says of a model replaces what they say
    /// of it.
    ///
    /// # Errors
    /// Ends in exit 2 if the file cannot be read or used.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let unread = |error| Error::usage(format!("`prices` {name} cannot be read.")).because(error);
        let text = std::fs::read_to_string(path).map_err(unread)?;
        let own = Table::parse(text.trim_start_matches('\u{feff}')).map_err(|error| {
            Error::usage(format!("`prices` {name} cannot be used: {error}.")).hint("docs/cost.md describes the format.")
        })?;
        let built_in = built_in();
        let source = format!("{} in {name}, over {} of {}", own.source, built_in.source, built_in.date.text);
        Ok(Self { tables: [own, built_in].into(), source })
    }

    /// The day of which the prices are, as `2026-10-26`: that of the user's file, if there is one.
    pub(crate) fn date(&self) -> &str {
        self.tables.first().map_or("", |table| &table.date.text)
    }

    /// Where the prices are from, for people.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whose prices hold, at an address such as `https://api.openai.com`; none where nothing is known of it.
    ///
    /// An address that the prices know decides. Otherwise a vendor has its own prices wherever it answers, since
    /// gateways pass on what it bills.
    pub(crate) fn seller(&self, vendor: &Vendor, origin: Option<&str>) -> Option<Seller<'_>> {
        let host = origin.and_then(host);
        let known = |table: &'_ Table| -> Option<String> {
            let host = host.as_deref()?;
            let at_home = |vendor: &&table::Vendor| vendor.hosts.iter().any(|known| known.is(host));
            table.vendors.iter().find(at_home).map(|vendor| vendor.id.clone())
        };
        let id = self.tables.iter().find_map(known).or_else(|| vendor.prices.map(str::to_owned))?;
        let vendors: Vec<&table::Vendor> = self.tables.iter().filter_map(|table| table.vendor(&id)).collect();
        (!vendors.is_empty()).then_some(Seller { vendors })
    }
}

/// A test proves that they can be read. If they could not be, nothing would have a price.
fn built_in() -> Table {
    Table::parse(BUILT_IN).unwrap_or_default()
}

/// The host of an address, in lower case.
fn host(origin: &str) -> Option<String> {
    Some(url::Url::parse(origin).ok()?.host_str()?.to_lowercase())
}

/// A vendor whose prices hold.
#[derive(Clone, Debug)]
pub(crate) struct Seller<'a> {
    /// What the tables say of it, the one that wins first. There is at least one.
    vendors: Vec<&'a table::Vendor>,
}

impl<'a> Seller<'a> {
    /// Its id, as `x-ai`.
    pub(crate) fn id(&self) -> &'a str {
        self.vendors.first().map_or("", |vendor| &vendor.id)
    }

    /// What people call it, as `xAI`.
    pub(crate) fn name(&self) -> &'a str {
        self.vendors.iter().find_map(|vendor| vendor.name.as_deref()).unwrap_or(self.id())
    }

    /// What a model costs in a batch that was created at a time, in seconds since the Unix epoch; none if that is not
    /// known. It compares the name with hundreds of others: ask once for a model, not for every row.
    ///
    /// The name may be in capitals, and begin with `models/`, as Google has it, or with the vendor's id and a slash, as
    /// gateways have it. Otherwise it has to be a name that the prices list.
    pub(crate) fn rate(&self, model: &str, at: u64) -> Option<Rate<'a>> {
        let name = model.to_lowercase();
        let bare = name.strip_prefix("models/");
        let bare = bare.or_else(|| name.strip_prefix(self.id())?.strip_prefix('/'));
        let names = [Some(name.as_str()), bare];
        let known = |vendor: &&'a table::Vendor| names.into_iter().flatten().find_map(|name| vendor.model(name));
        let rate = self.vendors.iter().find_map(known)?.rate(at)?;
        Some(Rate { batch: &rate.batch, standard: rate.standard.as_ref().unwrap_or(&rate.batch) })
    }
}

/// What a model costs, in a batch and without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate<'a> {
    batch: &'a Card,
    standard: &'a Card,
}

impl Rate<'_> {
    /// What one request costs, without the searches that are billed by the call. None if that is not known: it used
    /// tokens that have no price, as audio of a model without prices for audio, or its counts contradict each other.
    ///
    /// The tokens are those of one request, never a sum: what a token costs depends on the length of its request.
    pub(crate) fn cost(&self, tokens: &Tokens) -> Option<Cost> {
        Some(Cost { batch: self.batch.cost(tokens)?, standard: self.standard.cost(tokens)? })
    }
}

impl Rate<'_> {
    /// What requests may cost in a batch that use so much together, and `each` tokens of input at most: nothing of it
    /// from a cache. None if their output has no price.
    pub(crate) fn expected(&self, input: u64, output: u64, each: u64) -> Option<Usd> {
        self.batch.expected(input, output, each)
    }
}

/// What tokens cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// In a batch.
    pub(crate) batch: Usd,
    /// Without one.
    pub(crate) standard: Usd,
}

/// A sentence if a batch may cost more at this address than the prices say.
///
/// OpenAI bills models that it released since March 2026 at 10 % more where data stays in a region, which has a host of
/// its own, such as `eu.api.openai.com` (its pages on data residency and pricing).
pub(crate) fn regional_surcharge(origin: Option<&str>) -> Option<&'static str> {
    host(origin?)?.ends_with(".api.openai.com").then_some(
        "The address is one of OpenAI's regions, where some models cost 10 % more. The prices do not include that.",
    )
}

#[cfg(test)]
mod tests;
