//! Sums of money, exact to a picodollar.
//!
//! Prices are told per million tokens, such as $0.0125: per token that is 12,500 picodollars, a whole number. Sums over
//! many rows therefore have no rounding errors, which floating point would have.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// So many picodollars are a dollar.
const DOLLAR: u64 = 1_000_000_000_000;

/// A sum in US dollars. It is never negative, and stops growing at 18 million dollars.
///
/// In JSON it is a number of dollars, exact up to a thousand dollars and to fifteen digits beyond. For people it has two decimals, and more where those would say nothing: see
/// [`fmt::Display`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub(crate) const ZERO: Self = Self(0);

    /// So many picodollars, millionths of a millionth of a dollar.
    pub(crate) const fn picodollars(count: u64) -> Self {
        Self(count)
    }

    /// So many dollars; none where that is no sum of money: negative, not finite, or too large.
    pub(crate) fn dollars(dollars: f64) -> Option<Self> {
        let count = (dollars * DOLLAR as f64).round();
        // The comparison is false for NaN.
        (count >= 0.0 && count < u64::MAX as f64).then_some(Self(count as u64))
    }

    /// In dollars, rounded to what a floating-point number can hold.
    pub(crate) fn as_dollars(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }

    /// The dollars as a plain decimal number, for programs: exact, such as `0.0123`.
    pub(crate) fn decimal(self) -> String {
        let exact = format!("{}.{:012}", self.0 / DOLLAR, self.0 % DOLLAR);
        exact.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// For people, exactly: a limit is not rounded.
    pub(crate) fn exact(self) -> String {
        let decimal = self.decimal();
        match decimal.split_once('.') {
            Some((_, decimals)) if decimals.len() > 1 => format!("${decimal}"),
            Some(_) => format!("${decimal}0"),
            None => format!("${decimal}.00"),
        }
    }

    /// One of so many equal shares, rounded up to a picodollar.
    pub(crate) const fn shared(self, among: u64) -> Self {
        Self(self.0.div_ceil(if among == 0 { 1 } else { among }))
    }

    /// So many times the sum.
    #[must_use]
    pub(crate) const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// In dollars, rounded up to cents, or below a dollar to two digits after the zeros: `1.25`, `0.0013`.
    pub(crate) fn rounded_up(self) -> String {
        let decimals = if self.0 >= DOLLAR { 2 } else { (13 - self.0.max(1).ilog10()).clamp(2, 12) };
        let unit = 10_u64.pow(12 - decimals);
        Self(self.0.div_ceil(unit).saturating_mul(unit)).decimal()
    }

    /// What is left of it after `spent`: nothing, if that is more.
    #[must_use]
    pub(crate) const fn less(self, spent: Self) -> Self {
        Self(self.0.saturating_sub(spent.0))
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::ZERO, Self::add)
    }
}

/// `$12.34`, `$1,234.56`; below a dollar, two digits after the zeros: `$0.0056`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ZERO {
            return f.write_str("$0.00");
        }
        // Two significant digits. The unit is that of the second one; nothing is smaller than a picodollar.
        let unit = 10_u64.pow(self.0.ilog10().saturating_sub(1));
        let rounded = self.0.saturating_add(unit / 2) / unit * unit;
        if rounded >= DOLLAR / 10 {
            let cents = self.0.saturating_add(DOLLAR / 200) / (DOLLAR / 100);
            return write!(f, "${}.{:02}", crate::text::thousands(cents / 100), cents % 100);
        }
        let decimals = (13 - rounded.ilog10() as usize).min(12);
        write!(f, "${:.decimals$}", Self(rounded).as_dollars())
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        let most = u64::MAX as f64 / DOLLAR as f64;
        // What is too large is as much as there is: a report may come from anywhere.
        if dollars >= most { Ok(Self(u64::MAX)) } else { Self::dollars(dollars).ok_or_else(negative) }
    }
}

fn negative<E: serde::de::Error>() -> E {
    E::custom("a sum of money is 0 or more")
}

#[cfg(test)]
impl schemars::JsonSchema for Usd {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Usd;

    #[test]
    fn people_see_cents_or_two_digits() {
        let shown = |dollars: f64| Usd::dollars(dollars).unwrap().to_string();
        for (dollars, text) in [
            (0.0, "$0.00"),
            (1e-12, "$0.000000000001"),
            (0.000_012_34, "$0.000012"),
            (0.005_6, "$0.0056"),
            (0.012_5, "$0.013"),
            (0.009_96, "$0.010"),
            (0.099_6, "$0.10"),
            (0.124_9, "$0.12"),
            (0.995, "$1.00"),
            (12.345, "$12.35"),
            (1_234_567.891, "$1,234,567.89"),
        ] {
            assert_eq!(shown(dollars), text);
        }
    }

    #[test]
    fn programs_get_plain_decimals() {
        for (picodollars, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (12_300_000_000, "0.0123"),
            (20_000_000_000_000, "20"),
            (u64::MAX, "18446744.073709551615"),
        ] {
            assert_eq!(Usd::picodollars(picodollars).decimal(), text);
        }
    }

    #[test]
    fn a_limit_is_shown_as_it_is() {
        let shown = |dollars: f64| Usd::dollars(dollars).unwrap().exact();
        assert_eq!([3.0, 0.5, 0.001_75].map(shown), ["$3.00", "$0.50", "$0.00175"]);
    }

    #[test]
    fn what_is_rounded_up_is_no_less() {
        let rounded = |dollars: f64| Usd::dollars(dollars).unwrap().rounded_up();
        assert_eq!([0.0, 1e-12, 0.001_21, 0.999].map(rounded), ["0", "0.000000000001", "0.0013", "1"]);
        assert_eq!([1.0, 1.001, 12.345].map(rounded), ["1", "1.01", "12.35"]);
    }

    #[test]
    fn only_sums_of_money_are_sums_of_money() {
        for wrong in [-0.01, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(Usd::dollars(wrong), None, "{wrong}");
        }
        assert_eq!(Usd::picodollars(u64::MAX) + Usd::picodollars(1), Usd::picodollars(u64::MAX));
        assert_eq!(Usd::picodollars(u64::MAX).times(2), Usd::picodollars(u64::MAX));
        assert_eq!(Usd::picodollars(1).less(Usd::picodollars(2)), Usd::ZERO);
    }

    #[test]
    fn a_sum_that_is_read_is_never_more_than_the_most() {
        let read = |json: &str| serde_json::from_str::<Usd>(json).map_err(|error| error.to_string());
        for most in ["1e300", "18446744073709551615", "18446744.073709553"] {
            assert_eq!(read(most), Ok(Usd::picodollars(u64::MAX)));
        }
        assert!(read("-0.01").unwrap_err().starts_with("a sum of money is 0 or more"));
        let json = serde_json::to_string(&Usd::picodollars(u64::MAX)).unwrap();
        assert_eq!(read(&json), Ok(Usd::picodollars(u64::MAX)));
    }

    proptest! {
        #[test]
        fn json_keeps_a_sum_to_fifteen_digits(sum in any::<u64>(), small in 0_u64..1_000_000_000_000_000) {
            let back = |sum| -> Usd { serde_json::from_str(&serde_json::to_string(&sum).unwrap()).unwrap() };
            prop_assert_eq!(back(Usd::picodollars(small)), Usd::picodollars(small));
            prop_assert!(back(Usd::picodollars(sum)).0.abs_diff(sum) <= sum / 1_000_000_000_000_000 + 1);
        }
    }
}
