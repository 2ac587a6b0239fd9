//! Spans and shares as fault scripts write them: `for=1h`, `share=0.5%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A share in millionths, written in percent with up to four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(pub(super) u32);

impl FromStr for Share {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let percent: f64 = text.strip_suffix('%').ok_or(())?.parse().map_err(|_| ())?;
        let millionths = percent * 10_000.0;
        let is_share = (0.0..=1_000_000.0).contains(&millionths) && (millionths - millionths.round()).abs() < 1e-6;
        if is_share { Ok(Self(millionths.round() as u32)) } else { Err(()) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// Reads a span such as `90s` or `5h30m`; `0` is none.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        text => humantime::parse_duration(text).map_err(|_| "write a span such as `90s`, `10m` or `5h30m`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Share, duration};

    #[test]
    fn a_share_is_a_percentage_with_up_to_four_decimals() {
        assert_eq!("0.5%".parse(), Ok(Share(5_000)));
        assert_eq!("100%".parse(), Ok(Share(1_000_000)));
        assert_eq!(Share(5_000).to_string(), "0.5%");
        for wrong in ["", "5", "101%", "-1%", "1.23456%", "%", "NaN%"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_span_is_written_as_people_write_it() {
        assert_eq!(duration("0").unwrap().as_secs(), 0);
        assert_eq!(duration("5h30m").unwrap().as_secs(), 19_800);
        assert!(duration("soon").unwrap_err().contains("5h30m"));
    }
}
