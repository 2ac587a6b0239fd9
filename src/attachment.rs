//! How a run came by a batch that it did not create.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;

/// Whose a batch is. Only the run that made a batch may cancel it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// This run, or an earlier attempt at it.
    #[default]
    ThisRun,
    /// Another run, or one that is not known.
    AnotherRun,
}

/// How a run came by a batch that it did not create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Attachment {
    /// Who knew of it.
    pub by: By,
    /// Whose it is.
    pub owner: Owner,
    /// The run that made it, where it is marked with one.
    pub run: Option<String>,
    /// How old it was, in seconds.
    pub age: Option<u64>,
}

impl Attachment {
    /// What to say of it, without a full stop.
    pub fn sentence(&self, batch_id: &str) -> String {
        let created = self.age.map(|age| format!(", created {} ago", clock::span(Duration::from_secs(age))));
        let run = self.run.as_ref().map(|run| format!(" by run {}", run.trim_end_matches('/')));
        let by = match (&self.by, self.owner) {
            (By::Journal, _) => " (the journal names it)",
            (By::Duplicate, Owner::AnotherRun) => " (another run made it at the same time, and it is the older)",
            (By::Duplicate, Owner::ThisRun) => " (this run made it twice)",
            (By::TimeAndTotal, _) => {
                " (the reply to the create was lost, and this batch was created then, with as many requests; it is not \
                 cancelled before its answers show that it is this run's)"
            }
            (By::List, _) => "",
        };
        format!("Attached to batch {batch_id}{}{}{by}", created.unwrap_or_default(), run.unwrap_or_default())
    }
}

/// Who knew of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The journal in `output-dir`.
    Journal,
    /// The provider's list.
    #[default]
    List,
    /// The list, after two runs had each created one: this is the older.
    Duplicate,
    /// The list, after the reply to the create was lost: it shows no marks, but a time and a number of requests.
    TimeAndTotal,
}
