//! Which earlier run is continued: the input `only-failed`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use super::boolean;

/// Whether only what failed in an earlier run is sent, and in which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnlyFailed {
    /// All requests are sent.
    #[default]
    No,
    /// In the last run that kept its results in `output-dir`.
    Last,
    /// In the run that left this report: the file, or the directory that it is in.
    Of(PathBuf),
}

impl FromStr for OnlyFailed {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match boolean(text) {
            Ok(true) => Self::Last,
            Ok(false) => Self::No,
            Err(_) => Self::Of(text.trim().into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::OnlyFailed;

    #[test]
    fn it_is_a_switch_or_names_a_report() {
        let read = |text: &str| text.parse::<OnlyFailed>().unwrap();
        assert_eq!([read("true"), read("FALSE")], [OnlyFailed::Last, OnlyFailed::No]);
        assert_eq!(read(" out/report.json\n"), OnlyFailed::Of("out/report.json".into()));
    }
}
