//! What the tokens of a batch cost, by vendor, model and day. What is not known has no price: it is never guessed.
//!
//! The built-in prices are `prices.json`, which `cargo xtask renew-prices` makes out of the data of genai-prices. The
//! input `prices` names a file that overrides them. docs/cost.md describes the format of both.

mod card;
#[cfg(test)]
mod oracle;
mod regions;
mod table;

use std::path::Path;
use std::sync::Arc;

use crate::dialects::{Tokens, Vendor};
use crate::error::Error;
use crate::usd::Usd;
use card::Card;
pub(crate) use regions::regional_surcharge;
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
        let unread = |error| {
            let error = Error::usage(format!("`prices` {name} cannot be read.")).because(error);
            error.hint("It is the path of a JSON file, as docs/cost.md describes it.")
        };
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

    /// Whose the prices are and where they are from, as `xAI, by genai-prices 0.2.1`.
    pub(crate) fn provenance(&self, prices: &Prices) -> String {
        format!("{}, by {}", self.name(), prices.source())
    }

    /// What people call it, as `xAI`.
    fn name(&self) -> &'a str {
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

/// Whether requests ask for parts of their input to be written to a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheWrites {
    /// They do not; the vendor may do so by itself.
    Unasked,
    /// They do, and may ask for it to stay for an hour.
    Asked,
}

impl Rate<'_> {
    /// The most that requests cost in a batch that use so much text together, and `each` tokens of input at most: all
    /// of it written to a cache where that is possible. None if their output has no price.
    pub(crate) fn at_most(&self, input: u64, output: u64, each: u64, writes: CacheWrites) -> Option<Usd> {
        self.batch.at_most(input, output, each, writes)
    }

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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Cost, Prices, Seller};
    use crate::dialects::{Name, Tokens, choose};
    use crate::error::Error;
    use crate::usd::Usd;

    /// 2026-10-26.
    const AUTUMN: u64 = 1_792_972_800;

    /// A price in dollars for a million tokens is as many picodollars for one as it has millionths: 0.25 is 250,000.
    fn picodollars(sum: Usd) -> u64 {
        (sum.as_dollars() * 1e12).round() as u64
    }

    fn seller<'a>(prices: &'a Prices, id: &str) -> Seller<'a> {
        let (name, origin) = match id {
            "openai" => (Name::Openai, None),
            "anthropic" => (Name::Anthropic, None),
            "google" => (Name::Compatible, Some("https://generativelanguage.googleapis.com")),
            "groq" => (Name::Compatible, Some("https://api.groq.com")),
            _ => (Name::Compatible, Some("https://api.x.ai")),
        };
        let seller = prices.seller(choose(name), origin).unwrap();
        assert_eq!(seller.id(), id);
        seller
    }

    /// What a batch costs and what other calls cost, in picodollars.
    fn cost_at(vendor: &str, model: &str, at: u64, tokens: Tokens) -> Option<(u64, u64)> {
        let prices = Prices::built_in();
        let Cost { batch, standard } = seller(&prices, vendor).rate(model, at)?.cost(&tokens)?;
        Some((picodollars(batch), picodollars(standard)))
    }

    fn cost(vendor: &str, model: &str, tokens: Tokens) -> Option<(u64, u64)> {
        cost_at(vendor, model, AUTUMN, tokens)
    }

    /// A hundred tokens of input, ten of output.
    const PLAIN: Tokens = Tokens {
        input: 100,
        cached: 0,
        cache_written: 0,
        cache_written_1h: 0,
        input_audio: 0,
        input_image: 0,
        output: 10,
        reasoning: 0,
        output_audio: 0,
        output_image: 0,
        web_searches: 0,
        tool_calls: 0,
    };

    #[test]
    fn the_built_in_prices_can_be_read() {
        let prices = Prices::built_in();
        assert_eq!(prices.date().len(), "2026-10-26".len());
        assert!(prices.source().starts_with("genai-prices "), "{}", prices.source());
        let mut names = std::collections::BTreeSet::new();
        for vendor in &prices.tables[0].vendors {
            for model in &vendor.models {
                assert!(model.rates.iter().all(|rate| rate.standard.is_some()), "{model:?}");
                for name in &model.names {
                    assert!(names.insert((&vendor.id, &name.text)), "{} has two prices", name.text);
                }
            }
        }
        assert!(names.len() >= 200, "{} names", names.len());
        assert!(super::BUILT_IN.len() < 100_000);
    }

    #[test]
    fn most_batches_cost_half() {
        // gpt-5-mini: 0.125 and 1 in a batch, 0.25 and 2 without.
        let batch = 100 * 125_000 + 10 * 1_000_000;
        assert_eq!(cost("openai", "gpt-5-mini", PLAIN), Some((batch, 100 * 250_000 + 10 * 2_000_000)));
        assert_eq!(batch, 22_500_000, "$0.0000225");
    }

    #[test]
    fn not_all_batches_cost_half() {
        // grok-4.3: 1 and 2 in a batch, 1.25 and 2.5 without.
        let (batch, standard) = (100 * 1_000_000 + 10 * 2_000_000, 100 * 1_250_000 + 10 * 2_500_000);
        assert_eq!(cost("x-ai", "grok-4.3", PLAIN), Some((batch, standard)));
        assert_eq!(batch * 5, standard * 4);
    }

    #[test]
    fn what_was_cached_costs_less() {
        // gpt-5-mini: cached input is 0.0125 in a batch, 0.025 without. Cached tokens are part of the input.
        let tokens = Tokens { cached: 60, ..PLAIN };
        let batch = 40 * 125_000 + 60 * 12_500 + 10 * 1_000_000;
        assert_eq!(cost("openai", "gpt-5-mini", tokens), Some((batch, 2 * batch)));
    }

    #[test]
    fn what_was_cached_is_not_always_halved() {
        // gpt-oss-120b: input is 0.075 and 0.15, cached input 0.075 in both.
        let tokens = Tokens { cached: 60, ..PLAIN };
        let batch = 40 * 75_000 + 60 * 75_000 + 10 * 300_000;
        let standard = 40 * 150_000 + 60 * 75_000 + 10 * 600_000;
        assert_eq!(cost("groq", "openai/gpt-oss-120b", tokens), Some((batch, standard)));
        // A model without a price for cached input: o1-pro, 75 and 300.
        let batch = 100 * 75_000_000 + 10 * 300_000_000;
        assert_eq!(cost("openai", "o1-pro", tokens), Some((batch, 2 * batch)));
    }

    #[test]
    fn writing_to_the_cache_costs_more_and_for_an_hour_most() {
        // claude-sonnet-5 in a batch: input 1, cached 0.1, written 1.25 for five minutes and 2 for an hour, output 5.
        let tokens = Tokens { cached: 30, cache_written: 50, cache_written_1h: 20, ..PLAIN };
        let batch = 20 * 1_000_000 + 30 * 100_000 + 30 * 1_250_000 + 20 * 2_000_000 + 10 * 5_000_000;
        assert_eq!(cost("anthropic", "claude-sonnet-5-20260901", tokens), Some((batch, 2 * batch)));
        // Without a price for it, as the input: gpt-5-mini.
        let tokens = Tokens { cache_written: 50, ..PLAIN };
        assert_eq!(cost("openai", "gpt-5-mini", tokens), cost("openai", "gpt-5-mini", PLAIN));
    }

    #[test]
    fn reasoning_is_part_of_the_output() {
        let tokens = Tokens { reasoning: 10, ..PLAIN };
        assert_eq!(cost("openai", "gpt-5-mini", tokens), cost("openai", "gpt-5-mini", PLAIN));
        // More of it than output: the vendor counts in another way, so the sum is not known.
        assert_eq!(cost("x-ai", "grok-4.3", Tokens { reasoning: 11, ..PLAIN }), None);
    }

    #[test]
    fn audio_and_images_have_prices_of_their_own() {
        // gemini-2.5-flash in a batch: text 0.15, audio 0.5, output 1.25.
        let tokens = Tokens { input_audio: 80, ..PLAIN };
        let batch = 20 * 150_000 + 80 * 500_000 + 10 * 1_250_000;
        assert_eq!(cost("google", "gemini-2.5-flash", tokens), Some((batch, 2 * batch)));
        // gpt-5-mini has no price for audio, and images are billed as text.
        assert_eq!(cost("openai", "gpt-5-mini", tokens), None);
        let images = Tokens { input_image: 80, ..PLAIN };
        assert_eq!(cost("openai", "gpt-5-mini", images), cost("openai", "gpt-5-mini", PLAIN));
        // gpt-image-1.5 in a batch: text 2.5, images 4; output 5, images 16.
        let tokens = Tokens { input_image: 80, output_image: 9, ..PLAIN };
        let batch = 20 * 2_500_000 + 80 * 4_000_000 + 5_000_000 + 9 * 16_000_000;
        assert_eq!(cost("openai", "gpt-image-1.5", tokens), Some((batch, 2 * batch)));
    }

    #[test]
    fn a_long_request_costs_more_from_its_first_token_on() {
        // gpt-6-sol in a batch: input 1, above 272,000 tokens 2; output 5 and 7.5.
        let of = |input| cost("openai", "gpt-6-sol", Tokens { input, ..PLAIN }).unwrap().0;
        assert_eq!(of(271_999), 271_999 * 1_000_000 + 10 * 5_000_000);
        assert_eq!(of(272_000), 272_000 * 1_000_000 + 10 * 5_000_000);
        assert_eq!(of(272_001), 272_001 * 2_000_000 + 10 * 7_500_000);
        // Each request by itself: two of 200,000 are not one of 400,000.
        assert_eq!(2 * of(200_000), 400_000 * 1_000_000 + 20 * 5_000_000);
        assert_eq!(of(400_000), 400_000 * 2_000_000 + 10 * 7_500_000);
    }

    #[test]
    fn a_threshold_of_xai_is_part_of_what_is_above() {
        // grok-4.3 in a batch: 1, from 200,000 tokens on 2; output 2 and 4.
        let of = |input| cost("x-ai", "grok-4.3", Tokens { input, ..PLAIN }).unwrap().0;
        assert_eq!(of(199_999), 199_999 * 1_000_000 + 10 * 2_000_000);
        assert_eq!(of(200_000), 200_000 * 2_000_000 + 10 * 4_000_000);
    }

    #[test]
    fn the_day_of_the_batch_decides() {
        // gemini-3.6-flash: 0.375 and 1.875 in a batch, twice as much from 2027-01-01 on.
        let new_year = 1_798_761_600;
        let batch = 100 * 375_000 + 10 * 1_875_000;
        let of = |at| cost_at("google", "gemini-3.6-flash", at, PLAIN);
        assert_eq!(of(new_year - 1), Some((batch, 2 * batch)));
        assert_eq!(of(new_year), Some((2 * batch, 4 * batch)));
        // Before the first day that the table knows of, 2026-10-14, nothing is known.
        let first = 1_791_936_000;
        assert_eq!((of(first), of(first - 1)), (Some((batch, 2 * batch)), None));
    }

    #[test]
    fn a_name_has_to_be_one_that_is_listed() {
        let known = |vendor: &str, model: &str| cost(vendor, model, PLAIN).is_some();
        for (vendor, model) in [
            ("openai", "gpt-5-mini-2025-08-07"),
            ("openai", "openai/GPT-5-mini"),
            ("openai", "gpt-6-sol-2026-09-22"),
            ("openai", "ft:gpt-4o-mini-2024-07-18:org::id"),
            ("google", "models/gemini-2.5-flash"),
            ("google", "gemini-2.5-pro-preview-05-06"),
            ("groq", "openai/gpt-oss-20b"),
            ("anthropic", "claude-opus-4-8-20260401"),
        ] {
            assert!(known(vendor, model), "{model} of {vendor}");
        }
        for (vendor, model) in [
            ("openai", "gpt-5-mini-audio"),
            ("openai", "gpt-5-mini-2025-08-07-audio"),
            ("openai", "gpt-5-nano-audio-2026-01-01"),
            ("openai", "my-gpt-5-mini"),
            ("openai", "gpt-9"),
            ("openai", ""),
            ("openai", "openai/"),
            ("openai", "openai/openai/gpt-5-mini"),
            ("openai", "azure/gpt-5-mini"),
            ("openai", "claude-opus-4-8"),
            ("openai", "ft:gpt-5-mini:org::id"),
            ("openai", "ft:gpt-4o-2024-08-06:org::id"),
            ("openai", "gpt-4o-mini-2024-07-18:org::id"),
            ("google", "gemini-2.5-pro-preview-tts-2"),
            ("google", "gemini-3.6-flash-image"),
            ("anthropic", "claude-opus-4-80"),
            // In the data of genai-prices, its price in a batch is that of other calls.
            ("openai", "gpt-3.5-turbo-1106"),
        ] {
            assert!(!known(vendor, model), "{model} of {vendor}");
        }
    }

    #[test]
    fn a_seller_is_known_by_the_address_or_by_the_vendor() {
        let prices = Prices::built_in();
        let of = |name, origin| prices.seller(choose(name), origin).map(|seller| (seller.id(), seller.name()));
        assert_eq!(of(Name::Openai, None), Some(("openai", "OpenAI")));
        assert_eq!(of(Name::Sandbox, Some("http://127.0.0.1:9")), Some(("openai", "OpenAI")));
        assert_eq!(of(Name::Openai, Some("https://gateway.example")), Some(("openai", "OpenAI")));
        assert_eq!(of(Name::Anthropic, Some("https://gateway.example")), Some(("anthropic", "Anthropic")));
        assert_eq!(of(Name::Compatible, Some("https://API.x.ai/v1")), Some(("x-ai", "xAI")));
        assert_eq!(of(Name::Compatible, Some("https://eu.api.openai.com")), Some(("openai", "OpenAI")));
        for unknown in [None, Some("https://api.x.ai.example"), Some("https://gateway.example"), Some("x")] {
            assert_eq!(of(Name::Compatible, unknown), None, "{unknown:?}");
        }
    }

    /// The prices of a file.
    fn own(text: &str) -> Result<Prices, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Prices::read(file.path())
    }

    const OWN: &str = r#"{ "date": "2026-11-20", "source": "our contract", "vendors": [
        { "id": "openai", "models": [
            { "names": ["gpt-5-mini*"], "rates": [
                { "batch": { "input": 0.1, "output": 0.8 }, "standard": { "input": 0.25, "output": 2 } }] }] },
        { "id": "acme", "name": "Acme", "hosts": ["*.acme.example"], "models": [
            { "names": ["Llama-5"], "rates": [{ "from": "2026-10-01", "batch": { "input": 0.3, "output": 0.3 } }] }] }
    ] }"#;

    #[test]
    fn a_file_overrides_the_models_that_it_names() {
        let prices = own(OWN).unwrap();
        assert_eq!(prices.date(), "2026-11-20");
        let source = prices.source();
        assert!(source.starts_with("our contract in ") && source.contains(", over genai-prices "), "{source}");
        let openai = seller(&prices, "openai");
        let batch = |model| picodollars(openai.rate(model, AUTUMN).unwrap().cost(&PLAIN).unwrap().batch);
        assert_eq!(batch("gpt-5-mini-2025-08-07"), 100 * 100_000 + 10 * 800_000);
        // It says nothing of this one: 0.025 and 0.2.
        assert_eq!(batch("gpt-5-nano"), 100 * 25_000 + 10 * 200_000);
        assert_eq!(openai.name(), "OpenAI");
    }

    #[test]
    fn a_file_adds_a_vendor_by_its_host() {
        let prices = own(&format!("\u{feff}{OWN}")).unwrap();
        let acme = prices.seller(choose(Name::Compatible), Some("https://eu.acme.example/v1")).unwrap();
        assert_eq!((acme.id(), acme.name()), ("acme", "Acme"));
        let price = Usd::picodollars(110 * 300_000);
        // The vendor has one price.
        let cost = acme.rate("acme/llama-5", AUTUMN).unwrap().cost(&PLAIN);
        assert_eq!(cost, Some(Cost { batch: price, standard: price }));
        assert!(acme.rate("gpt-5-mini", AUTUMN).is_none());
    }

    #[test]
    fn a_file_that_cannot_be_used_says_where() {
        for (from, to, why) in [
            ("\"output\": 0.8", "\"outptu\": 0.8", "unknown field `outptu`"),
            ("0.1,", "-0.1,", "a price is from 0 to 1,000,000 dollars for a million tokens at line 4"),
            ("0.1,", "0.0000001,", "a price has at most six decimals"),
            ("0.1,", "\"0.1\",", "expected dollars for a million tokens, or an object"),
            ("0.1,", "{ \"base\": 1 },", "missing field `above`"),
            ("0.1, \"output\": 0.8", "0.25, \"output\": 2", "model `gpt-5-mini*`: `batch` equals `standard`"),
            ("\"output\": 0.8", "\"cached_audio\": 0.8", "`cached_audio` needs `input_audio`"),
            ("gpt-5-mini*", "[", "`[` is not a pattern"),
            ("2026-10-01", "2026-10-32", "`2026-10-32` is not a date such as 2026-10-26"),
            ("\"our contract\"", "7", "invalid type: integer `7`, expected a string at line 1"),
            ("[\"Llama-5\"]", "[]", "a model needs a name"),
        ] {
            assert!(OWN.contains(from), "{from}");
            let error = own(&OWN.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.exit.code(), 2);
            assert!(error.message.starts_with("`prices` ") && error.message.contains(why), "{}", error.message);
            assert!(error.message.contains(" at line ") && error.message.contains(" column "), "{}", error.message);
        }
        assert!(Prices::read("no/such/file".as_ref()).unwrap_err().message.ends_with("cannot be read."));
    }
}
