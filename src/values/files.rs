//! Files that a user names for outputs and summaries: the extension says what is written.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// How a file of outputs is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `KEY=value` lines without quotes, as GitLab and Docker's `--env-file` read them.
    Dotenv,
    /// One object; the names are those of the outputs.
    Json,
    /// As `java.util.Properties` reads it.
    Properties,
}

/// The input `outputs-file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputsFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it is read.
    pub encoding: Encoding,
}

/// The input `summary-file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryFile(pub PathBuf);

/// The extension of a path in lower case. A name such as `.env` is all extension.
fn extension(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.rsplit_once('.')?.1.to_ascii_lowercase())
}

impl FromStr for OutputsFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        let encoding = match extension(&path).as_deref() {
            Some("env") => Encoding::Dotenv,
            Some("json") => Encoding::Json,
            Some("properties") => Encoding::Properties,
            _ => return Err("the name has to end in .env, .json or .properties, which says what is written".to_owned()),
        };
        Ok(Self { path, encoding })
    }
}

impl FromStr for SummaryFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = PathBuf::from(text);
        if extension(&path).as_deref() != Some("md") {
            return Err("the name has to end in .md, since the summary is Markdown".to_owned());
        }
        Ok(Self(path))
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, OutputsFile, SummaryFile};

    #[test]
    fn the_extension_says_what_is_written() {
        let encoding = |text: &str| text.parse::<OutputsFile>().map(|file| file.encoding);
        assert_eq!(encoding("out/batch.env"), Ok(Encoding::Dotenv));
        assert_eq!(encoding(".env"), Ok(Encoding::Dotenv));
        assert_eq!(encoding("batch.JSON"), Ok(Encoding::Json));
        assert_eq!(encoding("batch.properties"), Ok(Encoding::Properties));
        for wrong in ["batch", "batch.txt", "requests.jsonl", "", "env", "dir.env/"] {
            assert_eq!(encoding(wrong).is_ok(), wrong == "dir.env/", "{wrong}");
        }
        assert!("summary.md".parse::<SummaryFile>().is_ok() && "summary.html".parse::<SummaryFile>().is_err());
    }
}
