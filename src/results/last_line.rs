//! Whether the last line of a downloaded file is complete.
//!
//! A download that breaks off usually breaks off inside a line. One that breaks off
//! between two lines looks complete here; only the server's length, if it gives one,
//! or a missing answer shows it. A closed line is complete, even if part of it cannot
//! be read: fetching it again brings the same.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::json::damaged;

/// How much is read at a time, from the end backwards.
const BLOCK: u64 = 64 * 1024;

/// Whether a file of JSON lines is empty or its last line whole: JSON, or an
/// object that is closed. Reads only that line, and holds no more than a block of it.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn ends_whole(path: &Path) -> io::Result<bool> {
    last_line_is_whole(File::open(path)?, BLOCK)
}

fn last_line_is_whole(mut file: impl Read + Seek, block: u64) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(last) = rfind(&mut file, length, block, |byte| !byte.is_ascii_whitespace())? else { return Ok(true) };
    let start = rfind(&mut file, last, block, |byte| byte == b'\n')?.map_or(0, |at| at + 1);
    let length = last + 1 - start;
    file.seek(SeekFrom::Start(start))?;
    let mut reader = serde_json::Deserializer::from_reader(BufReader::new(file.by_ref().take(length)));
    match IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end()) {
        Ok(()) => Ok(true),
        Err(error) if error.is_io() => Err(error.into()),
        Err(_) => {
            file.seek(SeekFrom::Start(start))?;
            damaged::closes(file.take(length))
        }
    }
}

/// The last byte before `end` that is `wanted`, as its offset.
fn rfind(
    file: &mut (impl Read + Seek),
    mut end: u64,
    block: u64,
    wanted: impl Fn(u8) -> bool,
) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(block);
        file.seek(SeekFrom::Start(start))?;
        bytes.clear();
        file.by_ref().take(end - start).read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| wanted(*byte)) {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::{ends_whole, last_line_is_whole};

    #[test]
    fn a_last_line_is_whole_or_the_file_is_empty() {
        for block in [1, 3, 100] {
            let whole = |text: &str| last_line_is_whole(Cursor::new(text.as_bytes()), block).unwrap();
            for good in ["", "\n\n", "{}", "{}\n", "{\"a\": 1}\r\n\n", "garbage\n{\"b\":[1,\"\\n\"]}\n"] {
                assert!(whole(good), "{good:?}");
            }
            for bad in [
                "{",
                "{\"a\"\n",
                "{}\n{\"a\": \"b",
                "<html>",
                "{}{",
                "{} x",
                "{\"a\": NaN",
                "{\"a\": \"}",
                "{\"a\": [{}",
            ] {
                assert!(!whole(bad), "{bad:?}");
            }
            for unreadable in ["{\"a\": NaN}", "{\"a\": \"\u{1}\"}\n", "{\"a\": \"\\ud800\"}", "{}{}", "{\"a\" 1}"] {
                assert!(whole(unreadable), "{unreadable:?}");
            }
            assert!(last_line_is_whole(Cursor::new(b"{\"a\": \"\xff\"}"), block).unwrap());
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        assert!(ends_whole(std::path::Path::new("no/such/file")).is_err());
    }
}
