//! Addresses where a vendor bills more than its price list says.

use super::host;

/// A sentence if a batch may cost more at this address than the prices say.
///
/// OpenAI bills models that it released since 2026-03-05 at 10 % more where data stays in a region, which has a host of
/// its own, such as `eu.api.openai.com` (its page on data residency).
pub(crate) fn regional_surcharge(origin: Option<&str>) -> Option<&'static str> {
    host(origin?)?.ends_with(".api.openai.com").then_some(
        "The address is one of OpenAI's regions, where some models cost 10 % more. The prices do not include that.",
    )
}

#[cfg(test)]
mod tests {
    use super::regional_surcharge;

    #[test]
    fn a_region_may_cost_more() {
        for region in ["https://eu.api.openai.com", "https://us.api.openai.com:443"] {
            assert!(regional_surcharge(Some(region)).unwrap().contains("10 %"), "{region}");
        }
        for other in [None, Some("https://api.openai.com"), Some("https://eu.api.openai.com.example"), Some("x")] {
            assert_eq!(regional_surcharge(other), None, "{other:?}");
        }
    }
}
