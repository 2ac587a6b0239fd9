//! The requests without an answer: why, who they are, and the lines that say so.

use std::ops::Range;

use serde::Serialize;

use super::failures::{GONE, MISSING};
use crate::dialects::openai::row::Row;
use crate::error::{Error, Exit};
use crate::json::lenient::{Loose, Seen};
use crate::requests::ids::Ids;
use crate::requests::lines::{LONGEST_REQUEST, Lines};
use crate::requests::source::{Reader, Source};
use crate::values::RetryOn;

/// How rows are treated that have no good answer.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Which failures are retried beside the default ones.
    pub retry_on: &'a RetryOn,
    /// The requests, as ranges of indices in order, whose answers no longer exist at the provider.
    pub gone: &'a [Range<u32>],
}

/// Why a request has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absence {
    /// The provider gave no answer.
    Missing,
    /// It had one, in a file that no longer exists.
    Gone,
}

impl Absence {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Missing => MISSING,
            Self::Gone => GONE,
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Missing => "The provider gave no answer to this request.",
            Self::Gone => "The file that held the answer no longer exists at the provider.",
        }
    }
}

impl Policy<'_> {
    pub(super) fn absence(&self, index: u32) -> Absence {
        let at = self.gone.partition_point(|range| range.end <= index);
        let is_gone = self.gone.get(at).is_some_and(|range| range.contains(&index));
        if is_gone { Absence::Gone } else { Absence::Missing }
    }
}

/// The requests, read again from the first that has no answer on.
pub(super) struct Asked<'a> {
    source: &'a Source,
    lines: Option<Lines<Reader>>,
    /// The index of the line that comes next.
    next: u64,
}

impl<'a> Asked<'a> {
    /// The requests of `source`, of which nothing is read yet.
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, lines: None, next: 0 }
    }

    /// The id of the request at `index`, which is greater each time.
    pub(super) fn id(&mut self, index: u64, ids: &Ids) -> Result<String, Error> {
        let changed = || {
            let message = format!("`{}` changed since it was checked.", self.source.name());
            Error::new(Exit::Invalid, message)
                .hint("Without the file as it was, the requests without an answer cannot be named.")
        };
        let lines = self.lines.get_or_insert_with(|| Lines::new(self.source.open(), LONGEST_REQUEST));
        while let Some(line) = lines.next().map_err(|error| changed().because(error))? {
            self.next += 1;
            if self.next > index {
                let text = line.bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
                let row: Option<Loose<'_, Row<'_>>> = serde_json::from_str(text).ok();
                let id = row.and_then(|row| if let Seen::Text(id) = row.fields.custom_id { Some(id) } else { None });
                let same = id.filter(|id| ids.find(id).map(u64::from) == Some(index));
                return same.map(std::borrow::Cow::into_owned).ok_or_else(changed);
            }
        }
        Err(changed())
    }
}

/// What stands in the results for a request without an answer.
pub(super) fn absent_line(custom_id: &str, absence: Absence) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    struct Missing<'a> {
        custom_id: &'a str,
        response: Option<()>,
        error: Problem,
    }
    #[derive(Serialize)]
    struct Problem {
        code: &'static str,
        message: &'static str,
    }
    let line =
        Missing { custom_id, response: None, error: Problem { code: absence.code(), message: absence.message() } };
    serde_json::to_vec(&line).map_err(|error| Error::internal("A result could not be written.").because(error))
}
