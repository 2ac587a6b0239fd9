//! Lines that are no requests of any vendor's batches that we know, and how they are recognised: by their members.

use super::Finding;

/// The members of a line that no request has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks(u8);

/// Names, each with its bit.
const NAMES: [(&str, u8); 5] = [("messages", 1), ("response", 2), ("result", 4), ("key", 8), ("request", 16)];

/// What a line is that is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OtherLine {
    /// Messages alone, as for fine-tuning, or the body of a chat request without the rest.
    Messages,
    /// What a batch answered.
    Answer,
    /// A request of Gemini's batches: `{"key", "request"}`.
    Gemini,
}

impl Marks {
    /// Takes note of a member that no request has.
    pub(crate) fn note(&mut self, name: &str) {
        self.0 |= NAMES.iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit);
    }

    /// What a line is with these, if it holds no parameters as requests do.
    pub(crate) fn line(self) -> Option<OtherLine> {
        let has = |name: &str| NAMES.iter().any(|(known, bit)| *known == name && self.0 & bit != 0);
        match () {
            () if has("response") || has("result") => Some(OtherLine::Answer),
            () if has("key") && has("request") => Some(OtherLine::Gemini),
            () if has("messages") => Some(OtherLine::Messages),
            () => None,
        }
    }
}

/// The commands that make requests of other lines, up to where the file's name comes.
pub(crate) struct Commands {
    /// Of lines with messages.
    pub(crate) of_messages: &'static str,
    /// Of Gemini's.
    pub(crate) of_gemini: &'static str,
}

impl OtherLine {
    /// The finding about a file of such lines.
    pub(crate) fn finding(self, commands: &Commands) -> Finding {
        let expected = "each line is a request of a batch";
        let finding = match self {
            Self::Messages => {
                let fix = "which leaves out answers at the end and asks a model that you may change";
                Finding::new("the lines hold messages, as for fine-tuning", expected, fix)
                    .made_right_by(commands.of_messages)
            }
            Self::Answer => {
                Finding::new("the lines are the answers of a batch", expected, "name the file that was sent")
            }
            Self::Gemini => {
                let fix = "which keeps only texts and asks a model that you may change";
                Finding::new("the requests have Gemini's form", expected, fix).made_right_by(commands.of_gemini)
            }
        };
        finding.of_file()
    }
}
