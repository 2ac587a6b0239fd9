//! Which tokenizer counts the text of a model, and how well it fits.

use super::tokenizer::Encoding;

/// How far a calibrated count may be off: the requests of one run differ from those of the last.
pub(super) const CALIBRATED: f64 = 0.05;

// Factors of a count: low, likely, high. docs/cost.md says how they were measured.

/// The text is counted exactly; what is around it may differ a little.
const OWN: [f64; 3] = [0.99, 1.0, 1.01];
/// A next vocabulary may save as much as o200k_base did after cl100k_base.
const NEXT: [f64; 3] = [0.73, 1.0, 1.05];
/// 95 of 100 files have what the last tokenizer that Anthropic published makes of them between these.
const CLAUDE: [f64; 3] = [0.95, 1.25, 1.75];
/// 95 of 100 files have what other vendors' tokenizers make of them between these.
const OTHER: [f64; 3] = [0.9, 1.03, 1.52];

/// How well a tokenizer fits a model: by what its count is multiplied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fit {
    pub(crate) encoding: Encoding,
    pub(crate) kinship: Kinship,
    pub(super) low: f64,
    pub(super) likely: f64,
    pub(super) high: f64,
}

/// Whose tokenizer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// The model's own.
    Own,
    /// That of the vendor's models of which it is known; nobody published which the model has.
    Vendor,
    /// Anthropic publishes none of its own.
    Claude,
    /// Another vendor's.
    Other,
}

impl Fit {
    /// The fit for a model.
    pub(crate) fn of(model: Option<&str>) -> Self {
        let name = model.unwrap_or_default().to_ascii_lowercase();
        let name = name.rsplit('/').next().unwrap_or_default();
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let fit = |encoding, kinship, [low, likely, high]: [f64; 3]| Self { encoding, kinship, low, likely, high };
        match () {
            () if starts(&["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4-", "gpt-oss"]) => {
                fit(Encoding::O200k, Kinship::Own, OWN)
            }
            () if starts(&["gpt-4", "gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002"]) => {
                fit(Encoding::Cl100k, Kinship::Own, OWN)
            }
            () if starts(&["gpt-", "chatgpt", "omni-", "computer-use", "codex"]) => {
                fit(Encoding::O200k, Kinship::Vendor, NEXT)
            }
            () if name.contains("claude") => fit(Encoding::O200k, Kinship::Claude, CLAUDE),
            () => fit(Encoding::O200k, Kinship::Other, OTHER),
        }
    }

    /// Why the band is as wide as it is.
    pub(super) fn reason(&self) -> String {
        let name = self.encoding.name();
        match self.kinship {
            Kinship::Own => format!("Counted with {name}, the model's own tokenizer"),
            Kinship::Vendor => format!("Counted with {name}; which tokenizer the model has is not published"),
            Kinship::Claude => {
                format!("Counted with {name}, times {}; Anthropic publishes no tokenizer", self.likely)
            }
            Kinship::Other => format!("Counted with {name}, which is not the model's own tokenizer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Fit, Kinship};

    #[test]
    fn a_model_has_the_tokenizer_of_its_family() {
        for (model, encoding, kinship) in [
            ("gpt-4o-mini", Encoding::O200k, Kinship::Own),
            ("ft:gpt-4o-2024-08-06:acme::x", Encoding::O200k, Kinship::Own),
            ("openai/gpt-5-mini", Encoding::O200k, Kinship::Own),
            ("o3", Encoding::O200k, Kinship::Own),
            ("gpt-4", Encoding::Cl100k, Kinship::Own),
            ("gpt-4-turbo", Encoding::Cl100k, Kinship::Own),
            ("gpt-3.5-turbo", Encoding::Cl100k, Kinship::Own),
            ("text-embedding-3-small", Encoding::Cl100k, Kinship::Own),
            ("gpt-6-sol", Encoding::O200k, Kinship::Vendor),
            ("claude-sonnet-5", Encoding::O200k, Kinship::Claude),
            ("anthropic/claude-3-haiku", Encoding::O200k, Kinship::Claude),
            ("llama-4", Encoding::O200k, Kinship::Other),
            ("", Encoding::O200k, Kinship::Other),
        ] {
            let fit = Fit::of(Some(model));
            assert_eq!((fit.encoding, fit.kinship), (encoding, kinship), "{model}");
            assert!(fit.low <= fit.likely && fit.likely <= fit.high);
        }
    }
}
