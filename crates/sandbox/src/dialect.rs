//! The dialects, and which faults each of them can have.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::api::Api;
use super::delivery::DeliveryFault;
use super::faults::{Action, BatchFault, Effect, Fault, OF_OPENAI, RowFault, STOPS};
use super::operation::Operation;
use super::{anthropic, openai};

/// Whose API a sandbox speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's Files and Batches.
    #[default]
    Openai,
    /// Anthropic's Message Batches.
    Anthropic,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Openai, Self::Anthropic];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The first of these faults that the dialect cannot have, as its line.
    pub fn refuses(self, faults: &[Fault]) -> Option<String> {
        faults.iter().find(|fault| !self.has(&fault.effect)).map(ToString::to_string)
    }

    fn has(self, effect: &Effect) -> bool {
        match self {
            Self::Openai => {
                !matches!(effect, Effect::Call(Some(Operation::Delete), _) | Effect::Answers(DeliveryFault::Elsewhere))
                    && !matches!(effect, Effect::Rows(RowFault::Stop(word)) if !STOPS[..OF_OPENAI].contains(word))
            }
            Self::Anthropic => !matches!(
                effect,
                Effect::File(_)
                    | Effect::Call(
                        Some(Operation::Upload | Operation::ListFiles | Operation::GetFile | Operation::DeleteFile),
                        _
                    )
                    | Effect::Call(_, Action::Unknown(_))
                    | Effect::Rows(RowFault::Status(0) | RowFault::Stop("length" | "content_filter" | "tool_calls"))
                    | Effect::Answers(DeliveryFault::Phantom)
                    | Effect::Batch(
                        BatchFault::Fail(_) | BatchFault::TooMany(_) | BatchFault::Lenient | BatchFault::NoMetadata
                    )
            ),
        }
    }

    /// An API without batches.
    pub(super) fn api(self, takes: Duration, faults: Vec<Fault>) -> Arc<Mutex<dyn Api>> {
        match self {
            Self::Openai => Arc::new(Mutex::new(openai::World::new(takes, faults))),
            Self::Anthropic => Arc::new(Mutex::new(anthropic::World::new(takes, faults))),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|dialect| dialect.word() == word);
        found.ok_or_else(|| format!("`{word}` must be openai or anthropic"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::script;
    use super::Dialect;

    #[test]
    fn faults_belong_to_dialects() {
        let refuses = |dialect: Dialect, line: &str| dialect.refuses(&script(line).unwrap());
        for line in [
            "upload 500",
            "file late=2s",
            "rows stop=length",
            "rows status=0",
            "batch fail=x",
            "batch no-metadata",
            "answers phantom",
        ] {
            assert_eq!(refuses(Dialect::Anthropic, line).as_deref(), Some(line));
            assert_eq!(refuses(Dialect::Openai, line), None);
        }
        for line in ["delete 500", "rows stop=end_turn", "answers elsewhere"] {
            assert_eq!(refuses(Dialect::Openai, line).as_deref(), Some(line));
            assert_eq!(refuses(Dialect::Anthropic, line), None);
        }
        let both = "create drop times=1\nany 529\nresults cut=10\nlist lag=1m\nrows status=500\nrows stop=refusal\nrows off-schema\nbatch expire=1h";
        assert!(Dialect::ALL.into_iter().all(|dialect| refuses(dialect, both).is_none()));
    }

    #[test]
    fn words_read_back() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.to_string().parse(), Ok(dialect));
        }
        assert!("mistral".parse::<Dialect>().is_err());
    }
}
