//! Reads fault scripts: text in, [`Fault`]s or a sentence out.
//!
//! The grammar is the table at the head of faults.rs.

use std::str::FromStr;
use std::time::Duration;

use super::course::Stage;
use super::delivery::DeliveryFault;
use super::faults::{Action, BatchFault, Effect, Fault, FileFault, RowFault, STOPS, When};
use super::operation::Operation;
use super::share::{Share, duration};

/// Reads a script: one fault a line, `#` begins a comment.
pub fn script(text: &str) -> Result<Vec<Fault>, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or("").trim()));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| line.parse().map_err(|wrong| format!("line {number}: {wrong}")))
        .collect()
}

/// The words of a line as they are consumed.
struct Words<'a> {
    words: Vec<(&'a str, Option<&'a str>)>,
    /// The text at the end of the line.
    message: Option<&'a str>,
}

impl<'a> Words<'a> {
    /// Takes out `name=value`; a `name` without a value is an error.
    fn take(&mut self, name: &str) -> Result<Option<&'a str>, String> {
        let Some(at) = self.words.iter().position(|(word, _)| *word == name) else { return Ok(None) };
        let value = self.words.remove(at).1.filter(|value| !value.is_empty());
        value.map(Some).ok_or_else(|| format!("`{name}` needs a value: `{name}=…`"))
    }

    fn take_span(&mut self, name: &str) -> Result<Option<Duration>, String> {
        self.take(name)?.map(|text| span(name, text)).transpose()
    }

    fn take_number(&mut self, name: &str) -> Result<Option<u64>, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("`{name}={text}` must be a whole number"));
        self.take(name)?.map(number).transpose()
    }
}

fn span(name: &str, text: &str) -> Result<Duration, String> {
    duration(text).map_err(|expected| format!("`{name}={text}`: {expected}"))
}

fn number(name: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{name}={text}` must be a whole number"))
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (line, message) =
            line.split_once(" message=").map_or((line, None), |(line, text)| (line, Some(text.trim())));
        let mut words = line.split_whitespace();
        let target = words.next().ok_or("a fault is written `TARGET ACTION`, such as `create drop times=1`")?;
        let action = words.next().ok_or_else(|| format!("`{target}` needs an action, such as `{target} drop`"))?;
        let (name, value) = split(action);
        let mut rest = Words { words: words.map(split).collect(), message };
        let when = When::take(&mut rest)?;
        let effect = match target {
            "rows" => Effect::Rows(RowFault::read(name, value)?),
            "answers" => Effect::Answers(DeliveryFault::read(name, value)?),
            "batch" => Effect::Batch(BatchFault::read(name, value)?),
            "file" => Effect::File(FileFault::read(name, value)?),
            target => {
                let operation = match target {
                    "any" => None,
                    word => Some(word.parse().map_err(|()| {
                        format!("`{word}` is no operation, `any`, `rows`, `answers`, `batch` or `file`")
                    })?),
                };
                Effect::Call(operation, Action::read(operation, name, value, &mut rest)?)
            }
        };
        let left = rest.words.first().map(|(word, _)| *word).or(rest.message.map(|_| "message"));
        match left {
            Some(word) => Err(format!("`{word}` does not belong to `{target} {name}`")),
            None => Ok(Self { effect, when }),
        }
    }
}

fn split(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)))
}

fn unknown<T>(target: &str, name: &str, known: &str) -> Result<T, String> {
    Err(format!("`{name}` is no action of `{target}`: it takes {known}"))
}

/// An action's value, which it cannot do without.
fn needed<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, String> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| format!("`{name}` needs a value: `{name}=…`"))
}

impl When {
    fn take(words: &mut Words<'_>) -> Result<Self, String> {
        let share = match words.take("share")? {
            None => None,
            Some(text) => match text.parse() {
                Ok(Share(millionths)) => Some(millionths),
                _ => return Err(format!("`share={text}` must be a share such as `1%`")),
            },
        };
        let after = words.take_number("after")?.unwrap_or(0);
        Ok(Self { after, times: words.take_number("times")?, during: words.take_span("for")?, share })
    }
}

impl Action {
    fn read(on: Option<Operation>, name: &str, value: Option<&str>, rest: &mut Words<'_>) -> Result<Self, String> {
        if let (Ok(status), None) = (name.parse::<u16>(), value) {
            if status != 200 && !(400..600).contains(&status) {
                return Err(format!("`{name}` must be 200 or a status from 400 to 599"));
            }
            let (code, param) = (rest.take("code")?.map(str::to_owned), rest.take("param")?.map(str::to_owned));
            let (message, retry_after) = (rest.message.take().map(str::to_owned), rest.take_span("retry-after")?);
            return Ok(Self::Refuse { status, code, param, message, retry_after });
        }
        Ok(match (name, value) {
            ("reset", None) => Self::Reset,
            ("drop", None) => Self::Drop,
            ("garbage", None) => Self::Garbage,
            ("stall", None) => Self::Stall,
            ("delay", value) => Self::Delay(span(name, needed(name, value)?)?),
            ("redirect", value) => Self::Redirect(needed(name, value)?.to_owned()),
            ("cut", value) if on == Some(Operation::Content) => {
                Self::Cut(needed(name, value)?.parse().map_err(|_| "`cut` must be a number of bytes")?)
            }
            ("too-large", value) if matches!(on, Some(Operation::Upload | Operation::Create)) => {
                Self::TooLarge(number(name, needed(name, value)?)?)
            }
            ("too-many", value) if on == Some(Operation::Create) => Self::TooMany(number(name, needed(name, value)?)?),
            ("unknown", value) if on == Some(Operation::Create) => Self::Unknown(needed(name, value)?.to_owned()),
            ("full", value) if on == Some(Operation::Create) => {
                Self::Full(needed(name, value)?.parse().map_err(|_| "`full` must be a number of batches")?)
            }
            ("lag", value) if on == Some(Operation::List) => Self::Lag(span(name, needed(name, value)?)?),
            _ => {
                let target = on.map_or("any", Operation::word);
                let known = "a status, reset, drop, garbage, stall, delay=SPAN, redirect=URL; upload takes too-large=BYTES, \
                             create takes too-large=BYTES, too-many=N, unknown=WORD, full=N, content takes cut=N, list takes lag=SPAN";
                return unknown(target, name, known);
            }
        })
    }
}

impl RowFault {
    fn read(name: &str, value: Option<&str>) -> Result<Self, String> {
        Ok(match (name, value) {
            ("status", value) => {
                let text = needed(name, value)?;
                let status = text.parse().ok().filter(|status| *status == 0 || (300..600).contains(status));
                Self::Status(status.ok_or_else(|| format!("`status={text}` must be 0 or a status from 300 to 599"))?)
            }
            ("error-in-body", None) => Self::ErrorInBody,
            ("missing", None) => Self::Missing,
            ("duplicate", None) => Self::Duplicate,
            ("stranger", None) => Self::Stranger,
            ("nan", None) => Self::Nan,
            ("string-body", None) => Self::StringBody,
            ("empty", None) => Self::Empty,
            ("bare", None) => Self::Bare,
            ("off-schema", None) => Self::OffSchema,
            ("stop", value) => {
                let word = needed(name, value)?;
                let known = STOPS.into_iter().find(|known| *known == word);
                Self::Stop(known.ok_or_else(|| format!("`stop={word}` must be one of {}", STOPS.join(", ")))?)
            }
            _ => {
                let known = "status=N, error-in-body, missing, duplicate, stranger, nan, string-body, empty, bare, \
                             stop=WORD, off-schema";
                return unknown("rows", name, known);
            }
        })
    }
}

impl DeliveryFault {
    fn read(name: &str, value: Option<&str>) -> Result<Self, String> {
        let span = || span(name, needed(name, value)?);
        Ok(match (name, value) {
            ("late", _) => Self::Late(span()?),
            ("short", _) => Self::Short(span()?),
            ("torn", _) => Self::Torn(span()?),
            ("page", _) => Self::Page(span()?),
            ("absent", _) => Self::Absent(span()?),
            ("gzip", None) => Self::Gzip,
            ("uncounted", None) => Self::Uncounted,
            ("overcounted", value) => {
                Self::Overcounted(needed(name, value)?.parse().map_err(|_| "`overcounted` must be a whole number")?)
            }
            ("undercounted", None) => Self::Undercounted,
            ("phantom", None) => Self::Phantom,
            ("elsewhere", None) => Self::Elsewhere,
            _ => {
                let known = "late=SPAN, short=SPAN, torn=SPAN, page=SPAN, absent=SPAN, gzip, phantom, uncounted, \
                             overcounted=N, undercounted, elsewhere";
                return unknown("answers", name, known);
            }
        })
    }
}

impl BatchFault {
    fn read(name: &str, value: Option<&str>) -> Result<Self, String> {
        Ok(match (name, value) {
            ("stuck", value) => {
                let word = needed(name, value)?;
                let wrong = || format!("`stuck={word}` must be validating, in_progress or finalizing");
                Self::Stuck(Stage::parse(word).ok_or_else(wrong)?)
            }
            ("expire", value) => Self::Expire(span(name, needed(name, value)?)?),
            ("fail", value) => Self::Fail(needed(name, value)?.to_owned()),
            ("too-many", value) => Self::TooMany(number(name, needed(name, value)?)?),
            ("lenient", None) => Self::Lenient,
            ("no-metadata", None) => Self::NoMetadata,
            ("cancel", value) => Self::Cancel(span(name, needed(name, value)?)?),
            ("complete-on-cancel", None) => Self::CompleteOnCancel,
            ("status", value) => Self::Status(needed(name, value)?.to_owned()),
            _ => {
                let known = "stuck=STATE, expire=SPAN, fail=CODE, too-many=N, lenient, no-metadata, cancel=SPAN, complete-on-cancel, status=WORD";
                return unknown("batch", name, known);
            }
        })
    }
}

impl FileFault {
    fn read(name: &str, value: Option<&str>) -> Result<Self, String> {
        Ok(match (name, value) {
            ("late", value) => Self::Late(span(name, needed(name, value)?)?),
            ("slow", value) => Self::Slow(span(name, needed(name, value)?)?),
            ("error", None) => Self::Error,
            ("withheld", None) => Self::Withheld,
            _ => return unknown("file", name, "late=SPAN, slow=SPAN, error, withheld"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, script};

    #[test]
    fn every_action_reads_back() {
        for line in [
            "upload 503 retry-after=30s times=3",
            "create 429 code=insufficient_quota",
            "any 500 for=1h share=0.5%",
            "create 400 code=x param=file_id times=3 message=File file-1 was not found.",
            "get 200 message=batch b is unknown",
            "create unknown=metadata",
            "create full=2",
            "create drop times=1",
            "get reset after=2 times=5",
            "get garbage",
            "cancel stall",
            "any delay=300ms",
            "content redirect=http://localhost:9/sandbox/files/{id}/content",
            "content cut=1000 times=2",
            "list lag=1m",
            "upload too-large=1200",
            "create too-many=10 times=1",
            "batch too-many=10",
            "batch lenient",
            "rows status=500 share=1%",
            "rows status=0",
            "rows error-in-body share=10%",
            "rows missing",
            "rows duplicate",
            "rows stranger times=1",
            "rows nan share=1%",
            "rows string-body",
            "rows empty",
            "rows bare",
            "rows stop=refusal share=10%",
            "delete 500",
            "answers elsewhere",
            "answers late=40s",
            "answers short=1m",
            "answers torn=1m",
            "answers page=1m times=1",
            "answers absent=3m",
            "answers gzip",
            "answers phantom",
            "answers uncounted",
            "answers overcounted=2",
            "answers undercounted",
            "batch stuck=finalizing",
            "batch expire=1h30m",
            "batch fail=token_limit_exceeded",
            "batch no-metadata",
            "batch cancel=30s",
            "batch complete-on-cancel",
            "batch status=paused",
            "file late=2s",
            "file slow=3s",
            "file error",
            "file withheld",
        ] {
            let fault: Fault = line.parse().unwrap();
            assert_eq!(fault.to_string(), line);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, found) in [
            ("", "TARGET ACTION"),
            ("create", "`create` needs an action"),
            ("upsert drop", "`upsert` is no operation"),
            ("create explode", "`explode` is no action of `create`"),
            ("create cut=5", "`cut` is no action of `create`"),
            ("get lag=5s", "`lag` is no action of `get`"),
            ("get too-large=5", "`too-large` is no action of `get`"),
            ("rows stop=tired", "`stop=tired` must be one of length"),
            ("upload too-large=5MB", "`too-large=5MB` must be a whole number"),
            ("content cut", "`cut` needs a value"),
            ("get delay", "`delay` needs a value"),
            ("get 302", "`302` must be 200 or a status from 400 to 599"),
            ("get unknown=x", "`unknown` is no action of `get`"),
            ("get drop message=x y", "`message` does not belong to `get drop`"),
            ("get 500 times=many", "`times=many` must be a whole number"),
            ("get 500 share=5", "`share=5` must be a share"),
            ("get 500 for=5", "`for=5`: write a span"),
            ("get drop code=x", "`code` does not belong to `get drop`"),
            ("rows status=200x", "`status=200x`"),
            ("batch stuck=completed", "`stuck=completed`"),
            ("batch explode", "it takes stuck=STATE"),
            ("file late", "`late` needs a value"),
        ] {
            let wrong = line.parse::<Fault>().unwrap_err();
            assert!(wrong.contains(found), "{line}: {wrong}");
        }
    }

    #[test]
    fn a_script_has_comments_and_numbers_its_lines() {
        let faults = script("# weather\n\ncreate drop times=1 # lost reply\n  get 503\n").unwrap();
        assert_eq!(faults.len(), 2);
        assert!(script("get 503\nget nothing\n").unwrap_err().starts_with("line 2: `nothing`"));
    }
}
