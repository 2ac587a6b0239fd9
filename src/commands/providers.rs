//! `batchstep providers`: what each vendor can and cannot do, from the table of vendors. No network, no key.

use crate::dialects::{self, Endpoints, Key, Vendor};
use crate::effects::Effect;
use crate::error::Exit;
use crate::inputs;
use crate::styled::{Line, Tone};
use crate::text::thousands;
use crate::world::World;

/// How many columns a fact needs beside its name, with the space around it. Where there are fewer it goes below.
const NARROWEST: usize = 34;

/// What is said where only the server knows.
const SERVER: &str = "the server decides";

/// Prints one vendor, or all.
pub(crate) fn providers(inputs: &inputs::Providers, world: &World) -> Exit {
    let vendors: Vec<&Vendor> = match inputs.provider {
        Some(name) => vec![dialects::choose(name)],
        None => dialects::all().collect(),
    };
    let text: Vec<String> = vendors.into_iter().map(|vendor| text(vendor, world.out_columns())).collect();
    world.apply(text.join("\n").lines().map(|line| Effect::Data(line.to_owned())).collect());
    world.exit(Exit::Ok)
}

/// A vendor's facts as lines that fit a terminal of so many columns; none is no terminal, where each fact is a line.
fn text(vendor: &Vendor, columns: Option<usize>) -> String {
    let facts = facts(vendor);
    let width = facts.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    let fact = |(what, is): (&str, String)| match columns {
        None => vec![Line::of(Tone::Plain, format!("  {what:width$}  {is}"))],
        Some(columns) if columns < width + NARROWEST => {
            let is = Line::of(Tone::Plain, format!("    {is}")).hanging(4);
            [vec![Line::of(Tone::Plain, format!("  {what}:"))], is.fitted(columns)].concat()
        }
        Some(columns) => Line::of(Tone::Plain, format!("  {what:width$}  {is}")).hanging(width + 4).fitted(columns),
    };
    let lines = facts.into_iter().flat_map(fact).map(|line| line.text() + "\n");
    std::iter::once(format!("{}\n", vendor.name)).chain(lines).collect()
}

/// What is known of a vendor: each fact's name, and what it is here.
pub fn facts(vendor: &Vendor) -> Vec<(&'static str, String)> {
    let number = |limit: Option<u64>| limit.map_or_else(|| SERVER.to_owned(), thousands);
    let list = |items: Vec<&str>, none: &str| if items.is_empty() { none.to_owned() } else { items.join(", ") };
    let variables = vendor.variables.iter().map(|variable| variable.name).collect();
    let can = &vendor.capabilities;
    vec![
        ("API", vendor.dialect.name().to_owned()),
        ("Base URL", base_url(vendor).to_owned()),
        ("API key", key(vendor.key).to_owned()),
        ("Variables", list(variables, "none")),
        ("Endpoints", endpoints(vendor)),
        ("Requests in a batch", number(vendor.limits.max_requests)),
        ("Bytes in a batch", number(vendor.limits.max_bytes)),
        ("Embedding inputs in a batch", number(vendor.limits.max_embedding_inputs)),
        ("Completion windows", list(vendor.windows.to_vec(), SERVER)),
        ("A batch is found again by", can.found_by.to_string()),
        ("Two runs of the same requests at once", can.found_by.at_once().to_owned()),
        ("Batches can be listed", can.list.to_string()),
        ("Counts while a batch runs", can.running_counts.to_string()),
        ("Answers are kept after a cancel", can.cancel_keeps_answers.to_string()),
        ("Files can be looked at and deleted", can.file_objects.to_string()),
        ("Downloads can be resumed", can.ranges.to_string()),
        ("Answers are kept for", can.retention.to_string()),
    ]
}

fn base_url(vendor: &Vendor) -> &'static str {
    match vendor.base_url {
        Some(url) => url,
        None if vendor.is_simulated() => "from `base-url`; without it, `run` starts a sandbox",
        None => "from `base-url`",
    }
}

fn key(key: Key) -> &'static str {
    match key {
        Key::Required => "required",
        Key::Optional => SERVER,
        Key::MadeUp => "not needed",
    }
}

fn endpoints(vendor: &Vendor) -> String {
    match vendor.endpoints {
        Endpoints::Known => format!("{} documented ones", vendor.dialect.name()),
        Endpoints::Any => SERVER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{dialects, text};

    #[test]
    fn facts_fit_the_terminal() {
        for vendor in dialects::all() {
            let piped = text(vendor, None);
            let words = |text: &str| text.split_whitespace().map(|word| word.replace(':', "")).collect::<Vec<_>>();
            for columns in [60, 80, 120] {
                let fitted = text(vendor, Some(columns));
                assert!(fitted.lines().all(|line| line.chars().count() <= columns), "{fitted}");
                assert_eq!(words(&fitted), words(&piped));
            }
            assert_eq!(text(vendor, Some(500)), piped);
        }
    }
}
