//! A file that is one thing, but not lines of requests: what it is, and the command that makes requests of it.
//!
//! Only a file with a fault is looked at. What single lines tell, such as another vendor's form, is for the dialect.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use super::source::Part;
use crate::dialects::{Dialect, Finding, Table};

/// How much of the beginning is looked at.
const HEAD: u64 = 64 * 1024;
/// How many rows must be of one length for a text to be a table.
const ROWS: usize = 20;
const WHOLE: &str = "each line is one whole JSON object";
/// What a column is called that holds what the model is asked.
const PROMPTS: [&str; 8] = ["prompt", "question", "text", "input", "content", "message", "query", "instruction"];

/// What the file is as a whole, if that can be recognised.
pub(super) fn recognize(part: &Part, dialect: &dyn Dialect) -> Option<Finding> {
    let mut head = Vec::new();
    File::open(&part.path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let text = || {
        let valid = std::str::from_utf8(&head).map_or_else(|error| error.valid_up_to(), str::len);
        // The last character may be cut.
        let is_text = valid + 4 > head.len();
        std::str::from_utf8(&head[..valid]).ok().filter(|_| is_text).map(|text| text.trim_start_matches('\u{feff}'))
    };
    compressed(&head).or_else(|| utf_16(&head)).or_else(|| {
        let text = text()?;
        match text.trim_start().bytes().next()? {
            b'{' | b'[' => document(part, text.trim_start()),
            _ if head.len() as u64 == HEAD => table(text.rsplit_once('\n')?.0, dialect),
            _ => table(text, dialect),
        }
    })
}

/// Whether a line is a mark that a merge left.
pub(super) fn is_conflict_marker(line: &[u8]) -> bool {
    let rest = |mark: &[u8]| line.strip_prefix(mark).map(<[u8]>::trim_ascii_end);
    let named = [&b"<<<<<<<"[..], b">>>>>>>", b"|||||||"].into_iter().filter_map(rest);
    rest(b"=======").is_some_and(<[u8]>::is_empty) || named.into_iter().any(|rest| rest.is_empty() || rest[0] == b' ')
}

/// What a file with such marks is.
pub(super) fn conflict() -> Finding {
    let fix = "while the merge is open, or remove the marks and one of the two sides";
    Finding::new("the file has merge conflicts", "git left both sides of a merge in it", fix)
        .made_right_by("git checkout --ours --")
}

fn compressed(head: &[u8]) -> Option<Finding> {
    let (what, command) = match head {
        [0x1f, 0x8b, ..] => ("gzip", "gzip -dc <"),
        [b'P', b'K', 3, 4, ..] if memchr::memmem::find(head, b"[Content_Types].xml").is_some() => {
            let fix = "save it as CSV, and make requests of that";
            return Some(Finding::new("the file is an Office document", WHOLE, fix));
        }
        [b'P', b'K', 3, 4, ..] => ("zip", "unzip -p"),
        _ => return None,
    };
    Some(Finding::new(format!("the file is compressed by {what}"), WHOLE, "").made_right_by(command))
}

fn utf_16(head: &[u8]) -> Option<Finding> {
    let beginning = &head[..head.len().min(64)];
    let zeros = |odd: usize| beginning.iter().skip(odd).step_by(2).all(|byte| *byte == 0);
    let texts = |odd: usize| beginning.iter().skip(odd).step_by(2).all(|byte| *byte != 0);
    let encoding = match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        [_, _, _, _, ..] if zeros(1) && texts(0) => "UTF-16LE",
        [_, _, _, _, ..] if zeros(0) && texts(1) => "UTF-16BE",
        _ => return None,
    };
    let command = format!("iconv -f {encoding} -t UTF-8");
    Some(Finding::new("the file is UTF-16 text", "JSON lines are UTF-8", "").made_right_by(command))
}

/// JSON that is one value, or several, but not one on each line.
fn document(part: &Part, head: &str) -> Option<Finding> {
    let first = head.lines().next().unwrap_or_default().trim_end();
    let is_one_line = serde_json::from_str::<IgnoredAny>(first).is_ok();
    let is_array = head.starts_with('[');
    // Most requests files stop being looked at here: an object is whole on its first line.
    if is_one_line && !is_array && !wraps(head) {
        return None;
    }
    let read = values(part).ok()?;
    let (what, filter) = match read.count {
        _ if is_one_line && (read.count > 1 || read.error.is_some()) => return None,
        _ if read.has_requests => ("the file is one JSON object with all requests in it", "jq -c '.requests[]'"),
        _ if is_array => ("the file is one JSON array", "jq -c '.[]'"),
        1 => ("the file is one JSON object over several lines", "jq -c ."),
        _ => ("the file is JSON, but not one value on each line", "jq -c ."),
    };
    let Some(error) = read.error else {
        return Some(Finding::new(what, WHOLE, "").made_right_by(filter));
    };
    // A line that is cut off may look like the beginning of a longer value.
    if error.line() < 2 || !first.ends_with(['{', '[', ',']) {
        return None;
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let found = format!("{what}, not JSON at line {}, column {}, {message}", error.line(), error.column());
    Some(Finding::new(found, WHOLE, "after that is corrected").made_right_by(filter))
}

/// Whether a value begins as the body of a create does that carries its requests.
fn wraps(head: &str) -> bool {
    let inside = head.strip_prefix('{').map(str::trim_start);
    let after = inside.and_then(|inside| inside.strip_prefix("\"requests\"")).map(str::trim_start);
    after.and_then(|after| after.strip_prefix(':')).is_some_and(|value| value.trim_start().starts_with('['))
}

/// The JSON values of a file.
struct Values {
    count: u64,
    has_requests: bool,
    /// What is wrong behind them.
    error: Option<serde_json::Error>,
}

fn values(part: &Part) -> io::Result<Values> {
    let mut reader = BufReader::new(File::open(&part.path)?);
    if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        reader.consume(3);
    }
    let beginning = String::from_utf8_lossy(reader.fill_buf()?).trim_start().to_owned();
    let mut read = Values { count: 0, has_requests: wraps(&beginning), error: None };
    for value in Deserializer::from_reader(reader).into_iter::<IgnoredAny>() {
        match value {
            Ok(_) => read.count += 1,
            Err(error) => {
                read.error = Some(error);
                break;
            }
        }
    }
    read.has_requests &= read.count <= 1;
    Ok(read)
}

/// A text of rows with equally many columns, the first of which names them.
fn table(text: &str, dialect: &dyn Dialect) -> Option<Finding> {
    let (name, delimiter, rows) = [("CSV", b','), ("TSV", b'\t'), ("CSV", b';')]
        .into_iter()
        .find_map(|(name, delimiter)| Some((name, delimiter, rows(text, delimiter)?)))?;
    let (names, first) = (rows.first()?, rows.get(1)?);
    let known = |name: &str| PROMPTS.iter().position(|known| name.trim().eq_ignore_ascii_case(known));
    let named = names.iter().enumerate().filter_map(|(at, name)| Some((known(name)?, at))).min().map(|(_, at)| at);
    let column = named.or_else(|| first.iter().enumerate().max_by_key(|(_, cell)| cell.len()).map(|(at, _)| at))?;
    let filter = dialect.requests_of(&Table { delimiter: char::from(delimiter), column });
    let fix = format!("which asks column {} with a model that you may change", column + 1);
    Some(Finding::new(format!("the file is {name}"), WHOLE, fix).made_right_by(filter))
}

/// The first rows; none if they are not of one length, or are not even a table.
fn rows(text: &str, delimiter: u8) -> Option<Vec<csv::StringRecord>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(text.as_bytes());
    let rows: Result<Vec<_>, _> = reader.records().take(ROWS).collect();
    let rows = rows.ok()?;
    let is_json = |cell: &str| serde_json::from_str::<Value>(cell).is_ok_and(|value| !value.is_string());
    let first = rows.first()?;
    let is_head = first.len() > 1 && first.iter().all(|cell| !cell.trim().is_empty() && !is_json(cell));
    (rows.len() > 1 && is_head).then_some(rows)
}
