//! The mark by which a run's check is found again: `ID/SHA/PULL`.
//!
//! It is kept in the metadata of the run's batches, where anybody with the API
//! key can write one, so a check is compared with its mark before it is changed.

use std::fmt;
use std::str::FromStr;

use crate::hosts::{HostMark, is_commit};

/// The check that shows a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its id.
    pub(super) id: u64,
    /// The commit it is on.
    pub(super) sha: String,
    /// The pull request, where there is one.
    pub(super) pull: Option<u64>,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pull = self.pull.map(|pull| pull.to_string()).unwrap_or_default();
        write!(f, "{}/{}/{pull}", self.id, self.sha)
    }
}

impl From<Mark> for HostMark {
    fn from(mark: Mark) -> Self {
        mark.to_string().into()
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(mark: &str) -> Result<Self, ()> {
        let [id, sha, pull] = mark.split('/').collect::<Vec<_>>()[..] else { return Err(()) };
        if !is_commit(sha) {
            return Err(());
        }
        let pull = if pull.is_empty() { None } else { Some(pull.parse().map_err(drop)?) };
        Ok(Self { id: id.parse().map_err(drop)?, sha: sha.to_owned(), pull })
    }
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn a_mark_reads_back_and_junk_is_none() {
        let sha = "a".repeat(40);
        for pull in [None, Some(7)] {
            let mark = Mark { id: 5, sha: sha.clone(), pull };
            assert_eq!(mark.to_string().parse(), Ok(mark));
        }
        let slashes = format!("5/{sha}/7/");
        for junk in ["", "5", "5/abc/7", &*format!("x/{sha}/7"), &format!("5/{sha}/x"), &format!("5/{sha}"), &slashes] {
            assert_eq!(junk.parse::<Mark>(), Err(()), "{junk}");
        }
    }
}
