//! The values that inputs hold: each a newtype that checks itself when parsed,
//! so that later stages never meet a wrong one.

mod files;
mod money;
mod only_failed;
mod retry_on;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub(crate) use self::files::{Encoding, OutputsFile, SummaryFile};
pub(crate) use self::money::{BudgetMode, dollars};
pub(crate) use self::only_failed::OnlyFailed;
pub(crate) use self::retry_on::{RetryOn, RetryWord};
use crate::opaque::{LONGEST_ID, is_id};
use crate::policy::{FILE_LIFE, LONGEST_SPAN, SHORTEST_FILE_LIFE, USUAL_WINDOW};

/// A secret. It opens only through [`Secret::reveal`], and `Debug` shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself, for a header and for finding it in text that must not show it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a secret cannot be empty".to_owned());
        }
        if text.chars().any(char::is_control) {
            return Err("a secret cannot hold line breaks or control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A header as `Name: value`. The value is a secret, whatever the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The header's name, in lower case.
    pub name: String,
    /// Its value.
    pub value: Secret,
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("a header is written `Name: value`")?;
        let name = http::HeaderName::try_from(name.trim()).map_err(|_| "a header's name is letters, digits and `-`")?;
        Ok(Self { name: name.as_str().to_owned(), value: value.parse()? })
    }
}

/// A pair as `key=value`, for the batch's metadata.
///
/// OpenAI allows keys of 64 and values of 512 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: String,
    /// The value, which may be empty.
    pub value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("metadata is written `key=value`")?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.chars().count() > 64 {
            return Err("a metadata key has 1 to 64 characters".to_owned());
        }
        if value.chars().count() > 512 {
            return Err("a metadata value has at most 512 characters".to_owned());
        }
        if key.starts_with("batchstep_") {
            return Err("keys that begin with `batchstep_` are batchstep's own".to_owned());
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// A form field as `name=value`, sent beside the file of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// Its value, which may be empty.
    pub value: String,
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("a form field is written `name=value`")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.contains(['"', '\\']) || text.chars().any(char::is_control) {
            return Err("a form field's name is text without quotes, backslashes and control characters".to_owned());
        }
        // The API's own parts, also as frameworks write them for a list.
        if ["file", "purpose"].contains(&name.trim_end_matches("[]").to_ascii_lowercase().as_str()) {
            return Err(format!("`{name}` is batchstep's own to send; the purpose has an input, `upload-purpose`"));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// How many requests may fail or be missing before the run is a failure:
/// a count (`25`) or a share (`2%`, `0.5%`) of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxFailed {
    /// At most this many.
    Count(u64),
    /// At most this share, in millionths.
    Share(u32),
}

impl Default for MaxFailed {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl MaxFailed {
    /// How many of `total` may fail. A share rounds down.
    pub fn allowed(self, total: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Share(millionths) => {
                let allowed = u128::from(total) * u128::from(millionths) / 1_000_000;
                u64::try_from(allowed).unwrap_or(u64::MAX)
            }
        }
    }
}

impl FromStr for MaxFailed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a count such as `25`, or a share such as `2%`".to_owned();
        let Some(share) = text.trim().strip_suffix('%') else {
            return text.trim().parse().map(Self::Count).map_err(|_| wrong());
        };
        let (whole, fraction) = share.trim().split_once('.').unwrap_or((share.trim(), ""));
        if fraction.len() > 4 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| wrong())?;
        let millionths = whole.checked_mul(10_000).and_then(|share| share.checked_add(fraction));
        match millionths {
            Some(millionths) if millionths <= 1_000_000 => Ok(Self::Share(millionths)),
            _ => Err("a share is at most `100%`".to_owned()),
        }
    }
}

impl fmt::Display for MaxFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(millionths) => write!(f, "{}%", f64::from(*millionths) / 10_000.0),
        }
    }
}

/// Which existing batches of the same requests to reuse, the `reuse` input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Reuse {
    /// Those under way, and what an earlier attempt of this very job completed.
    #[default]
    Active,
    /// Completed ones too.
    Finished,
    /// None.
    Never,
}

/// Whether the log is coloured: the flag `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// Where a terminal shows it, unless the environment says otherwise.
    #[default]
    Auto,
    /// It is.
    Always,
    /// It is not.
    Never,
}

/// How much the log says: the flags `--quiet` and `--verbose`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings, errors and the verdict.
    Quiet,
    /// What changes.
    #[default]
    Usual,
    /// Every poll, and each failure of a call.
    Verbose,
}

/// The input `ci`: which host to speak to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Ci {
    /// Whichever the environment shows.
    #[default]
    Auto,
    /// GitHub Actions.
    #[value(name = "github")]
    GitHub,
    /// Forgejo Actions, which speaks GitHub's language.
    Forgejo,
    /// Gitea Actions, which does too.
    Gitea,
    /// GitLab CI/CD.
    #[value(name = "gitlab")]
    GitLab,
    /// Azure Pipelines.
    Azure,
    /// Buildkite.
    Buildkite,
    /// CircleCI.
    #[value(name = "circleci")]
    Circle,
    /// Jenkins.
    Jenkins,
    /// Bitbucket Pipelines.
    Bitbucket,
    /// Woodpecker.
    Woodpecker,
    /// Drone.
    Drone,
    /// TeamCity.
    #[value(name = "teamcity")]
    TeamCity,
    /// None.
    Terminal,
}

/// What happens to the batch when the run ends before it: the `on-timeout` and `on-abort` inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnExit {
    /// It is cancelled.
    #[default]
    Cancel,
    /// It keeps running.
    Detach,
}

/// What is to happen to a batch if this process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnKill {
    /// Whoever comes after it cancels the batch.
    Cancel,
    /// The batch keeps running.
    Leave,
}

/// The input `summary`: whether a summary is written where the host shows one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryInput {
    /// It is.
    Write,
    /// It is not.
    Omit,
}

impl FromStr for SummaryInput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(if boolean(text)? { Self::Write } else { Self::Omit })
    }
}

/// Whether `answers.jsonl` and `answers.csv` are written: the input `csv`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerFiles {
    /// They are not.
    #[default]
    Omit,
    /// They are.
    Write,
    /// Only `answers.jsonl` is, and no other file of results: for the gate.
    Alone,
}

impl FromStr for AnswerFiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(if boolean(text)? { Self::Write } else { Self::Omit })
    }
}

/// What becomes of answers that do not fit their schema: the input `schema`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SchemaMode {
    /// Nothing: they are not looked at.
    Off,
    /// They are counted.
    #[default]
    Warn,
    /// They fail their requests.
    Check,
}

/// Parses a span of time such as `90s`, `5h30m` or `0`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        _ if text.trim() == "0" => Ok(Duration::ZERO),
        Ok(span) if span <= LONGEST_SPAN => Ok(span),
        Ok(_) => Err("a span is at most `3650days`".to_owned()),
        Err(_) => Err("write a span such as `90s`, `10m` or `5h30m`".to_owned()),
    }
}

/// Parses a size in bytes: `1200`, `10MB` (a million each) or `10MiB` (1,048,576 each).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write a size such as `1000000`, `10MB` or `10MiB`".to_owned();
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// How long a completion window is; the usual one where it is written in a way that we cannot read.
pub(crate) fn window(text: &str) -> Duration {
    duration(text).ok().filter(|window| !window.is_zero()).unwrap_or(USUAL_WINDOW)
}

/// Parses the life of a file: OpenAI takes an hour to thirty days.
pub(crate) fn file_life(text: &str) -> Result<Duration, String> {
    let life = duration(text)?;
    if !(SHORTEST_FILE_LIFE..=FILE_LIFE).contains(&life) {
        return Err("a file lives for `1h` to `30days`".to_owned());
    }
    Ok(life)
}

/// Checks an id that was typed, of a batch or a file.
pub(crate) fn id(text: &str) -> Result<String, String> {
    match is_id(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("an id is printable, at most {LONGEST_ID} bytes long and no `.` or `..`")),
    }
}

/// Checks the id of a check: hosts number them.
pub(crate) fn check_id(text: &str) -> Result<String, String> {
    text.parse::<u64>().map(|id| id.to_string()).map_err(|error| error.to_string())
}

/// Parses a boolean as YAML 1.2 writes it, which is what GitHub's own actions take.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err("write `true` or `false`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Field, Header, MaxFailed, Pair, Secret, boolean, bytes, duration, file_life, window};

    #[test]
    fn shares_round_down_and_counts_stand() {
        let allowed = |text: &str, total| text.parse::<MaxFailed>().map(|max| max.allowed(total));
        assert_eq!(allowed("2%", 149), Ok(2));
        assert_eq!(allowed("0.5%", 1_000), Ok(5));
        assert_eq!(allowed("100%", 7), Ok(7));
        assert_eq!(allowed("25", 3), Ok(25));
        for wrong in ["", "-1", "101%", "2 percent", "1.23456%", "%", "1e3"] {
            assert!(wrong.parse::<MaxFailed>().is_err(), "{wrong}");
        }
        assert_eq!(MaxFailed::Share(5_000).to_string(), "0.5%");
    }

    #[test]
    fn a_secret_does_not_show() {
        let secret: Secret = " sk-very-secret ".parse().unwrap();
        assert_eq!(secret.reveal(), "sk-very-secret");
        assert_eq!(format!("{secret:?}"), "***");
        assert!("two\nlines".parse::<Secret>().is_err());
    }

    #[test]
    fn headers_and_pairs() {
        let header: Header = "X-Team:  research ".parse().unwrap();
        assert_eq!((header.name.as_str(), header.value.reveal()), ("x-team", "research"));
        assert!("no colon".parse::<Header>().is_err());
        assert!("bad name: x".parse::<Header>().is_err());
        let pair: Pair = "suite=nightly=1".parse().unwrap();
        assert_eq!((pair.key.as_str(), pair.value.as_str()), ("suite", "nightly=1"));
        assert!("batchstep_key=x".parse::<Pair>().is_err());
        assert!(format!("k={}", "v".repeat(513)).parse::<Pair>().is_err());
    }

    #[test]
    fn a_form_field_leaves_the_apis_own_parts_alone() {
        let field: Field = " target_model_names = a,b=c ".parse().unwrap();
        assert_eq!((field.name.as_str(), field.value.as_str()), ("target_model_names", "a,b=c"));
        assert!("expires_after[seconds]=3600".parse::<Field>().is_ok());
        for wrong in ["file=x", " File =x", "purpose=batch", "purpose[]=x", "=x", "x", "a\"b=x", "a=x\ny"] {
            assert!(wrong.parse::<Field>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_windows() {
        for (text, size) in [("1200", 1_200), ("10MB", 10_000_000), ("10 MiB", 10_485_760), ("2gb", 2_000_000_000)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for wrong in ["", "MB", "-1", "1.5MB", "10M", "10 megabytes", "99999999999GB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        let hours = |text| window(text).as_secs() / 3_600;
        assert_eq!((hours("24h"), hours("7d"), hours("1d"), hours("336h")), (24, 168, 24, 336));
        assert_eq!((hours("background"), hours("0"), hours("99999999999999d")), (24, 24, 24));
    }

    #[test]
    fn spans_and_booleans() {
        assert_eq!(duration("5h30m"), Ok(Duration::from_secs(19_800)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("90").is_err());
        assert_eq!(duration("3650days").map(|span| span.as_secs()), Ok(315_360_000));
        assert!(duration("3651days").is_err() && duration("18446744073709551615s").is_err());
        assert!(file_life("10m").is_err());
        assert_eq!(file_life("30days"), Ok(Duration::from_secs(2_592_000)));
        assert_eq!(boolean("True"), Ok(true));
        assert!(boolean("yes").is_err());
    }
}
