//! Makes src/prices/prices.json out of the data of the crate `genai-prices`, and tells whether it is current.
//!
//! The crate has the prices of thousands of models. Kept are those of vendors with a Batch API that a run can use,
//! where the batch price is known: genai-prices prices a model without one at the standard rate and does not say so.
//! A batch card is the standard card with what the batch variant replaces, as the crate calculates it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::prices_names::names;
use crate::tasks::{Failed, output};

/// Where the cut is.
const CUT: &str = "src/prices/prices.json";

/// What is added by hand.
const SUPPLEMENT: &str = "crates/xtask/supplement.json";

/// The vendors of the cut: the id that genai-prices has for each, what people call it, and the hosts it answers at.
const VENDORS: [(&str, &str, &[&str]); 6] = [
    ("openai", "OpenAI", &["api.openai.com", "*.api.openai.com"]),
    ("anthropic", "Anthropic", &["api.anthropic.com"]),
    ("google", "Google", &["generativelanguage.googleapis.com"]),
    ("mistral", "Mistral", &["api.mistral.ai"]),
    ("groq", "Groq", &["api.groq.com"]),
    ("x-ai", "xAI", &["api.x.ai"]),
];

/// The prices that are read, by their names in the data and in the cut.
const KINDS: [(&str, &str); 11] = [
    ("input_mtok", "input"),
    ("cache_read_mtok", "cached"),
    ("cache_write_mtok", "cache_write"),
    ("cache_write_1h_mtok", "cache_write_1h"),
    ("input_audio_mtok", "input_audio"),
    ("cache_audio_read_mtok", "cached_audio"),
    ("input_image_mtok", "input_image"),
    ("cache_image_read_mtok", "cached_image"),
    ("output_mtok", "output"),
    ("output_audio_mtok", "output_audio"),
    ("output_image_mtok", "output_image"),
];

/// Billed by the call and beside the tokens: left out of a card.
const CALLS: [&str; 2] = ["web_searches_kcount", "storage_searches_kcount"];

/// Whether the cut is what the crate's data says, and what a second table says of it.
pub(crate) fn check() -> Result<(), Failed> {
    let stored = std::fs::read_to_string(CUT).unwrap_or_default();
    if stored.replace("\r\n", "\n") == cut()? {
        Ok(())
    } else {
        Err(format!("{CUT} is not what genai-prices says: `cargo xtask renew-prices` writes it anew"))
    }
}

/// Writes the cut.
pub(crate) fn write() -> Result<(), Failed> {
    let text = cut()?;
    println!("{CUT}: {} bytes", text.len());
    std::fs::write(CUT, text).map_err(|error| format!("{CUT}: {error}"))
}

/// The cut, one model a line.
fn cut() -> Result<String, Failed> {
    let (version, data) = published()?;
    let supplement = read(SUPPLEMENT.into())?;
    let mut vendors = Vec::new();
    for (id, name, hosts) in VENDORS {
        let vendor = list(&data).iter().find(|vendor| vendor["id"] == id).ok_or(format!("{id} is not in the data"))?;
        let mut models = Vec::new();
        for model in list(&vendor["models"]) {
            let in_model = |why: String| format!("{id}, {}: {why}", model["id"]);
            models.extend(convert(id, model).map_err(in_model)?);
        }
        for model in list(&supplement["models"]).iter().filter(|model| model["vendor"] == id) {
            models.push(json!({ "names": model["names"], "rates": model["rates"] }));
        }
        println!("{name}: {} models", models.len());
        let models: Vec<String> = models.iter().map(|model| format!("        {}", line(model))).collect();
        vendors.push(format!(
            "    {{\n      \"id\": \"{id}\",\n      \"name\": \"{name}\",\n      \"hosts\": {},\n      \"models\": [\n{}\n      ]\n    }}",
            line(&json!(hosts)),
            models.join(",\n")
        ));
    }
    let source = format!("genai-prices {version}");
    Ok(format!(
        "{{\n  \"date\": {},\n  \"source\": \"{source}\",\n  \"vendors\": [\n{}\n  ]\n}}\n",
        supplement["date"],
        vendors.join(",\n")
    ))
}

/// The version of genai-prices in Cargo.lock, and its data.
fn published() -> Result<(String, Value), Failed> {
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let package = list(&metadata["packages"]).iter().find(|package| package["name"] == "genai-prices");
    let package = package.ok_or("genai-prices is not a dependency")?;
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
    let data = read(manifest.with_file_name("data").join("prices.json"))?;
    Ok((package["version"].as_str().unwrap_or_default().to_owned(), data))
}

fn read(path: PathBuf) -> Result<Value, Failed> {
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))
}

/// A model of the data in our format; none where its batch price is not known, or where tokens are not all it bills.
fn convert(vendor: &str, model: &Value) -> Result<Option<Value>, Failed> {
    let variants: Vec<&Value> = list(&model["price_variants"])
        .iter()
        .filter(|variant| variant["when"] == json!({ "processing": "batch" }))
        .collect();
    let standards: Vec<&Value> = match &model["prices"] {
        Value::Array(dated) => dated.iter().collect(),
        _ => vec![model],
    };
    let Some(first) = variants.iter().map(|variant| start(variant)).min() else { return Ok(None) };
    let mut dates = BTreeSet::from([first]);
    for dated in variants.iter().chain(&standards) {
        if let Some(constraint) = dated["constraint"].as_object()
            && (constraint.len() != 1 || !constraint.contains_key("start_date"))
        {
            return Err(format!("{constraint:?} is a constraint that is not understood"));
        }
        dates.insert(start(dated));
    }
    let mut rates: Vec<Value> = Vec::new();
    for date in dates.range(first..) {
        let standard = standards.iter().rev().find(|standard| start(standard) <= *date).unwrap_or(&standards[0]);
        let Some(standard) = card(&standard["prices"]) else { return Ok(None) };
        let mut batch = standard.clone();
        // The first variant that is active decides.
        for variant in variants.iter().rev().filter(|variant| start(variant) <= *date) {
            let Some(over) = card(&variant["prices"]) else { return Ok(None) };
            batch.extend(over);
        }
        if batch == standard {
            if rates.is_empty() {
                continue;
            }
            return Err(format!("its batch price is no longer known from {date} on, which the cut cannot say"));
        }
        let mut rate = json!({ "batch": batch, "standard": standard });
        if rates.last().is_some_and(|last| last["batch"] == rate["batch"] && last["standard"] == rate["standard"]) {
            continue;
        }
        if !date.is_empty() {
            rate["from"] = json!(date);
        }
        rates.push(rate);
    }
    if rates.is_empty() {
        return Ok(None);
    }
    Ok(Some(json!({ "names": names(vendor, &model["match"])?, "rates": rates })))
}

/// From when it holds; empty for always.
fn start(dated: &Value) -> &str {
    dated["constraint"]["start_date"].as_str().unwrap_or_default()
}

/// A card in our format; none where something else is billed than what we have a count of.
fn card(prices: &Value) -> Option<Map<String, Value>> {
    let mut card = Map::new();
    for (key, price) in prices.as_object()?.iter().filter(|(key, _)| !CALLS.contains(&key.as_str())) {
        let (_, kind) = KINDS.iter().find(|(theirs, _)| theirs == key)?;
        let price = match list(&price["tiers"]) {
            [] => price.clone(),
            [tier] => json!({ "base": price["base"], "above": tier["start"], "price": tier["price"] }),
            _ => return None,
        };
        card.insert((*kind).to_owned(), price);
    }
    Some(card)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// JSON on one line, its members in the order in which docs/cost.md explains them.
fn line(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(line).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let order = ["names", "from", "batch", "standard", "rates", "base", "above", "price"];
            let kinds = KINDS.iter().map(|(_, kind)| *kind);
            let ordered = order.into_iter().chain(kinds).filter_map(|key| Some((key, members.get(key)?)));
            let members: Vec<String> = ordered.map(|(key, value)| format!("\"{key}\": {}", line(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        _ => value.to_string(),
    }
}
