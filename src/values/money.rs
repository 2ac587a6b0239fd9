//! Sums of money as people write them, and what a budget does where nothing caps the cost.

use clap::ValueEnum;

use crate::usd::Usd;

/// How a budget treats requests that do not cap their output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BudgetMode {
    /// Their likely output is reserved.
    #[default]
    Likely,
    /// They are refused.
    Strict,
}

/// A sum in US dollars: `12`, `12.50` or `$12.50`.
///
/// # Errors
/// It is none.
pub(crate) fn dollars(text: &str) -> Result<Usd, String> {
    let text = text.trim();
    let number = text.strip_prefix('$').unwrap_or(text);
    let is_plain = number.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let sum = number.parse::<f64>().ok().filter(|_| is_plain).and_then(Usd::dollars);
    sum.ok_or_else(|| "a sum of money is dollars, such as `12.50`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Usd, dollars};

    #[test]
    fn dollars_are_written_with_and_without_a_sign() {
        let twelve_fifty = Ok(Usd::picodollars(12_500_000_000_000));
        assert_eq!([dollars("12.50"), dollars(" $12.5\n")], [twelve_fifty.clone(), twelve_fifty]);
        assert_eq!(dollars("0"), Ok(Usd::ZERO));
        for wrong in ["", "$", "-1", "+1", "1e3", "12,50", "12.50 EUR", "1.2.3", "nan", "inf", "99999999999"] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }
}
