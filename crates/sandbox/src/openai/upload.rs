//! An upload: the form it comes in, and the checks before a file is made of it.
//!
//! The form is taken apart without copying the file's content. The checks are as
//! shallow as the API's own: the content is looked at when a batch is made.

use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;

use super::create::{FILE_LIFE, file_life};
use super::files::File;
use crate::faults::FileFault;
use crate::refusal::Refusal;

/// The largest file that a batch may be made of, in bytes.
const LARGEST: usize = 200 * 1024 * 1024;

/// The fields of an upload.
#[derive(Clone, Debug, Default)]
pub(super) struct Upload {
    pub(super) filename: String,
    pub(super) purpose: Option<String>,
    pub(super) content: Bytes,
    pub(super) anchor: Option<String>,
    pub(super) seconds: Option<String>,
}

impl Upload {
    /// Checks the upload and makes the file.
    pub(super) fn file(self, id: String, faults: Vec<FileFault>, created: Duration) -> Result<File, Refusal> {
        let purpose = self.purpose.ok_or_else(|| missing("purpose"))?;
        if purpose == "batch" && !self.filename.ends_with(".jsonl") {
            return Err(Refusal::new(400, "Invalid file format for Batch API. Must be .jsonl"));
        }
        if self.content.len() > LARGEST {
            return Err(Refusal::new(400, "File is too large."));
        }
        let life = match (&self.anchor, &self.seconds) {
            (None, None) => FILE_LIFE,
            (anchor, seconds) => {
                let seconds = seconds.as_deref().and_then(|text| text.parse().ok());
                file_life("expires_after", anchor.as_deref(), seconds)?
            }
        };
        Ok(File { id, filename: self.filename, purpose, content: self.content, created, life, faults })
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::field(name, "missing_required_parameter", format!("Missing required parameter: '{name}'."))
}

/// Reads the fields of an upload from a whole body.
pub(super) fn read(content_type: &str, body: &Bytes) -> Result<Upload, Refusal> {
    let wrong = || Refusal::new(400, "Could not parse multipart form.");
    let mut upload = Upload::default();
    let mut has_file = false;
    for part in parts(boundary(content_type).ok_or_else(wrong)?, body).ok_or_else(wrong)? {
        let text = || Some(String::from_utf8_lossy(&part.content).into_owned());
        match part.name.as_str() {
            "file" => {
                has_file = true;
                upload.filename = part.filename.unwrap_or_default();
                upload.content = part.content;
            }
            "purpose" => upload.purpose = text(),
            "expires_after[anchor]" => upload.anchor = text(),
            "expires_after[seconds]" => upload.seconds = text(),
            _ => {}
        }
    }
    if has_file { Ok(upload) } else { Err(missing("file")) }
}

struct Part {
    name: String,
    filename: Option<String>,
    content: Bytes,
}

fn boundary(content_type: &str) -> Option<&str> {
    let mut pieces = content_type.split(';').map(str::trim);
    pieces.next().filter(|kind| kind.eq_ignore_ascii_case("multipart/form-data"))?;
    pieces.find_map(|piece| piece.strip_prefix("boundary=")).map(|boundary| boundary.trim_matches('"'))
}

/// The parts between the boundaries; none where the body is not whole.
fn parts(boundary: &str, body: &Bytes) -> Option<Vec<Part>> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(&delimiter);
    // The first delimiter has no line end before it.
    let mut at = body.starts_with(&delimiter.as_bytes()[2..]).then_some(delimiter.len() - 2)?;
    let mut parts = Vec::new();
    while !body[at..].starts_with(b"--") {
        let end = at + finder.find(&body[at..])?;
        let head = at + 2..at + memmem::find(&body[at..end], b"\r\n\r\n")?;
        let (name, filename) = disposition(&String::from_utf8_lossy(body.get(head.clone())?))?;
        parts.push(Part { name, filename, content: body.slice(head.end + 4..end) });
        at = end + delimiter.len();
    }
    Some(parts)
}

fn disposition(headers: &str) -> Option<(String, Option<String>)> {
    let line = headers.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    let value = |wanted: &str| {
        let mut pieces = line.split(';').filter_map(|piece| piece.trim().split_once('='));
        pieces.find(|(name, _)| *name == wanted).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    Some((value("name")?, value("filename")))
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Duration, LARGEST, Upload, read};

    const TYPE: &str = "multipart/form-data; boundary=\"x-y\"";

    #[test]
    fn the_fields_come_apart() {
        let body = "--x-y\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
                    --x-y\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
                    Content-Type: application/jsonl\r\n\r\n{\"a\":1}\r\n--x-z\r\n\r\n--x-y--\r\n";
        let upload = read(TYPE, &Bytes::from(body)).unwrap();
        assert_eq!((upload.filename.as_str(), upload.purpose.as_deref()), ("a.jsonl", Some("batch")));
        assert_eq!(&upload.content[..], b"{\"a\":1}\r\n--x-z\r\n");
        assert_eq!(upload.anchor, None);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let message = |kind: &str, body: &'static str| read(kind, &Bytes::from(body)).unwrap_err().message;
        let unreadable = "Could not parse multipart form.";
        assert_eq!(message("application/json", "{}"), unreadable);
        for body in [
            "",
            "--x-y",
            "--x-y\r\n",
            "--x-y\r\n\r\n\r\n--x-y--",
            "--x-y\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc",
        ] {
            assert_eq!(message(TYPE, body), unreadable, "{body}");
        }
        assert_eq!(message(TYPE, "--x-y--"), "Missing required parameter: 'file'.");
    }

    #[test]
    fn checks_are_shallow() {
        let good = || Upload {
            filename: "a.jsonl".to_owned(),
            purpose: Some("batch".to_owned()),
            content: Bytes::from("not json"),
            anchor: Some("created_at".to_owned()),
            seconds: Some("3600".to_owned()),
        };
        let make = |upload: Upload| upload.file("file-1".to_owned(), Vec::new(), Duration::ZERO);
        let refused = |upload: Upload| make(upload).map(|_| ()).unwrap_err().message;
        assert_eq!(make(good()).map(|file| file.life.as_secs()), Ok(3_600));
        let named = |filename: &str| Upload { filename: filename.to_owned(), ..good() };
        assert_eq!(refused(named("a.json")), "Invalid file format for Batch API. Must be .jsonl");
        assert_eq!(refused(Upload { purpose: None, ..good() }), "Missing required parameter: 'purpose'.");
        let big = Bytes::from(vec![b' '; LARGEST + 1]);
        assert_eq!(refused(Upload { content: big, ..good() }), "File is too large.");
        assert!(refused(Upload { seconds: Some("60".to_owned()), ..good() }).contains("below minimum"));
        assert!(refused(Upload { anchor: None, ..good() }).contains("anchor"));
    }
}
