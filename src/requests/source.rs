//! The bytes of the requests: one file, several read as one sequence, or
//! standard input.
//!
//! The bytes are read more than once: to check them, to send them, to name a
//! request that got no answer. [`Reader`] is the one definition of what they
//! are, so that the passes cannot differ, and it notices a file that is not as
//! long as it was. What the bytes mean is `pass.rs`'s business.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncRead, AsyncWriteExt};

use crate::error::{Error, Exit};

/// What standard input is called where a file would be named.
pub(crate) const STANDARD_INPUT: &str = "standard input";

/// The requests, as bytes.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The files, in the order they are read.
    pub parts: Vec<Part>,
    /// Keeps the copy of standard input until nobody reads it any more.
    spooled: Option<Arc<TempPath>>,
}

/// A file of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it is.
    pub path: PathBuf,
    /// Its name as the user wrote it, or as the pattern found it; [`STANDARD_INPUT`] where it came from there.
    pub name: String,
    /// Its length in bytes, without the blank lines at its end where those do not count.
    pub bytes: u64,
    /// The length of these blank lines.
    pub blank_end: u64,
    /// Whether a newline is sent after it: it does not end in one and more follows.
    pub needs_newline: bool,
}

impl Part {
    /// The bytes sent for it.
    pub fn sent(&self) -> u64 {
        self.bytes + u64::from(self.needs_newline)
    }

    /// Leaves out the blank lines at its end.
    fn trim_end(&mut self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        let (mut at, mut end, mut buffer) = (self.bytes, self.bytes, [0; 4096]);
        while at > 0 {
            let piece = &mut buffer[..usize::try_from(at).unwrap_or(usize::MAX).min(4096)];
            at -= piece.len() as u64;
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(piece)?;
            let text = piece.trim_ascii_end().len();
            let line_end = piece[text..].iter().position(|byte| *byte == b'\n');
            end = line_end.map_or(end, |line_end| at + (text + line_end) as u64 + 1);
            if text > 0 {
                break;
            }
            // Nothing but blank lines so far: they begin where this piece does, unless a line does not end in it.
            if at == 0 {
                end = 0;
            }
        }
        (self.bytes, self.blank_end) = (end, self.bytes - end);
        self.needs_newline &= self.blank_end == 0;
        Ok(())
    }
}

impl Source {
    /// How many bytes are sent.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(Part::sent).sum()
    }

    /// What to call it as a whole: the first file, and how many more.
    pub fn name(&self) -> String {
        match self.parts.as_slice() {
            [] => "the requests".to_owned(),
            [only] => only.name.clone(),
            [first, more @ ..] => format!("{} and {} more", first.name, more.len()),
        }
    }

    /// Reads exactly the bytes that are sent, blocking.
    pub fn open(&self) -> Reader {
        Reader { parts: self.parts.clone().into_iter(), current: None, _spooled: self.spooled.clone() }
    }

    fn of(mut parts: Vec<Part>, spooled: Option<Arc<TempPath>>) -> Self {
        let last = parts.iter().rposition(|part| part.bytes > 0).unwrap_or(0);
        parts.iter_mut().skip(last).for_each(|part| part.needs_newline = false);
        Self { parts, spooled }
    }
}

/// Finds the requests: paths and globs, or `-` for standard input. A path that
/// exists is that file, whatever characters are in its name. Blank lines at the
/// end of a file are no requests, and are not sent.
///
/// # Errors
/// Ends in exit 2 if `patterns` make no sense, in exit 3 if a file cannot be had.
pub async fn resolve(patterns: &[String]) -> Result<Source, Error> {
    let mut source = resolve_bytes(patterns).await?;
    for part in &mut source.parts {
        let trimmed = part.trim_end();
        trimmed.map_err(|error| unavailable(format!("`{}` cannot be read.", part.name)).because(error))?;
    }
    Ok(Source::of(source.parts, source.spooled))
}

/// The same with every byte, for a file that is passed on as it is.
///
/// # Errors
/// As [`resolve`].
pub(crate) async fn resolve_bytes(patterns: &[String]) -> Result<Source, Error> {
    match patterns {
        [only] if only == "-" => spool(tokio::io::stdin()).await,
        _ => find(patterns),
    }
}

/// Copies standard input into a private file: it is read more than once.
async fn spool(mut input: impl AsyncRead + Unpin) -> Result<Source, Error> {
    let failed = |error| Error::internal("Standard input could not be copied into a temporary file.").because(error);
    // An empty image has no directory for temporary files.
    let spooled = NamedTempFile::new().or_else(|_| NamedTempFile::new_in("."));
    let (file, path) = spooled.map_err(failed)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    tokio::io::copy(&mut input, &mut file).await.map_err(failed)?;
    file.flush().await.map_err(failed)?;
    let part = part(&path, STANDARD_INPUT.to_owned()).map_err(failed)?;
    Ok(Source::of(vec![part], Some(Arc::new(path))))
}

fn find(patterns: &[String]) -> Result<Source, Error> {
    if patterns.is_empty() || patterns.iter().any(String::is_empty) {
        return Err(Error::usage("`requests` names no file.").hint("Give the path of a JSONL file, a pattern, or `-`."));
    }
    if patterns.iter().any(|pattern| pattern == "-") {
        return Err(Error::usage("`-` cannot be read together with other requests files.")
            .hint("Give `-` alone, or only paths and patterns."));
    }
    let mut parts: Vec<Part> = Vec::new();
    for pattern in patterns {
        for path in expand(pattern)? {
            let name = path.display().to_string();
            if parts.iter().any(|part| part.path == path) {
                return Err(Error::usage(format!("`requests` names `{name}` twice."))
                    .hint("Each file is read once; remove a path, or narrow a pattern."));
            }
            let read = part(&path, name.clone());
            parts.push(read.map_err(|error| unavailable(format!("`{name}` cannot be read.")).because(error))?);
        }
    }
    Ok(Source::of(parts, None))
}

/// The files that a path or a pattern stands for, sorted.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let literal = PathBuf::from(pattern);
    match std::fs::metadata(&literal) {
        Ok(metadata) if metadata.is_dir() => {
            let hint = format!("Name the files in it, as in `{}`.", literal.join("*.jsonl").display());
            return Err(unavailable(format!("`{pattern}` is a directory.")).hint(hint));
        }
        Ok(metadata) if !metadata.is_file() => {
            let hint = "A pipe can be read only once; give `-` to read standard input.";
            return Err(unavailable(format!("`{pattern}` is not a regular file.")).hint(hint));
        }
        Ok(_) => return Ok(vec![literal]),
        Err(error) if error.kind() != io::ErrorKind::NotFound && !is_pattern(pattern) => {
            return Err(unavailable(format!("`{pattern}` cannot be read.")).because(error));
        }
        Err(_) if !is_pattern(pattern) => return Err(unavailable(format!("`{pattern}` does not exist."))),
        Err(_) => {}
    }
    let wrong = |error| Error::usage(format!("`{pattern}` is not a valid pattern.")).because(error);
    let found: Result<Vec<PathBuf>, _> = glob::glob(pattern).map_err(wrong)?.collect();
    let mut found = found.map_err(|error| unavailable(format!("`{pattern}` cannot be searched.")).because(error))?;
    found.retain(|path| path.is_file());
    if found.is_empty() {
        return Err(unavailable(format!("`{pattern}` matches no file.")));
    }
    found.sort();
    Ok(found)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// An error that ends in exit 3 and says where the program looked.
fn unavailable(message: String) -> Error {
    let error = Error::new(Exit::Invalid, message);
    match std::env::current_dir() {
        Ok(place) => error.hint(format!("Relative paths start at the current directory, `{}`.", place.display())),
        Err(_) => error,
    }
}

fn part(path: &Path, name: String) -> io::Result<Part> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut last = [b'\n'];
    if bytes > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok(Part { path: path.to_owned(), name, bytes, blank_end: 0, needs_newline: last != *b"\n" })
}

/// Reads the bytes that are sent: the files one after another, and a newline
/// after each that lacks one, but the last. It fails if a file is not as long,
/// or does not end, as it did when it was found.
#[derive(Debug)]
pub struct Reader {
    parts: std::vec::IntoIter<Part>,
    current: Option<Current>,
    _spooled: Option<Arc<TempPath>>,
}

#[derive(Debug)]
struct Current {
    file: File,
    part: Part,
    /// The bytes that are still to come.
    left: u64,
    /// The last byte read; a newline before the first.
    last: u8,
}

impl Reader {
    /// Passes over so many bytes; most of them are not read.
    pub(crate) fn skip(&mut self, mut count: u64) -> io::Result<()> {
        let mut scratch = [0; 4096];
        while count > 0 {
            if let Some(current) = &mut self.current
                && let step @ 1.. = count.min(current.left.saturating_sub(1))
            {
                // The last byte of a file is read, since it decides what follows.
                current.file.seek_relative(i64::try_from(step).map_err(io::Error::other)?)?;
                (current.left, count) = (current.left - step, count - step);
                continue;
            }
            let limit = usize::try_from(count).unwrap_or(usize::MAX).min(scratch.len());
            match self.read(&mut scratch[..limit])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => count -= read as u64,
            }
        }
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.current.is_none() {
                let Some(part) = self.parts.next() else { return Ok(0) };
                self.current = Some(Current::open(part)?);
            }
            let Some(current) = &mut self.current else { continue };
            match current.read(buffer)? {
                0 if buffer.is_empty() => return Ok(0),
                0 => {}
                count => return Ok(count),
            }
            let ended = current.end(self.parts.as_slice())?;
            self.current = None;
            if ended {
                buffer[0] = b'\n';
                return Ok(1);
            }
        }
    }
}

impl Current {
    fn open(part: Part) -> io::Result<Self> {
        let file = File::open(&part.path).map_err(|error| named(&part, &error))?;
        Ok(Self { file, left: part.bytes, part, last: b'\n' })
    }

    /// Reads what the file had when it was found; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read(&mut buffer[..limit]).map_err(|error| named(&self.part, &error))?;
        self.left -= count as u64;
        if let Some(&last) = buffer[..count].last() {
            self.last = last;
        }
        Ok(count)
    }

    /// Whether a newline separates the file from the rest, once it is certain that it ends where it did.
    fn end(&mut self, rest: &[Part]) -> io::Result<bool> {
        let last_part = rest.iter().all(|part| part.bytes == 0);
        let grew = self.left == 0 && self.grew().map_err(|error| named(&self.part, &error))?;
        let needs_newline = self.last != b'\n' && !last_part;
        if self.left > 0 || grew || needs_newline != self.part.needs_newline {
            return Err(io::Error::other(format!("`{}` changed since it was first read", self.part.name)));
        }
        Ok(needs_newline)
    }

    /// Whether more than the blank lines of before is behind what was read.
    fn grew(&mut self) -> io::Result<bool> {
        let (mut blank, mut buffer) = (0, [0; 4096]);
        loop {
            let count = self.file.read(&mut buffer)?;
            blank += count as u64;
            if count == 0 || blank > self.part.blank_end || !buffer[..count].trim_ascii().is_empty() {
                return Ok(blank != self.part.blank_end || count > 0);
            }
        }
    }
}

/// An error that names the file and keeps its kind.
fn named(part: &Part, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", part.name))
}

/// Sources for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::Source;

    /// A source of these files, and the directory that holds them.
    pub(crate) fn source(files: &[(&str, &[u8])]) -> (Source, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        for (name, bytes) in files {
            std::fs::write(path(name), bytes).unwrap();
        }
        let paths: Vec<String> = files.iter().map(|(name, _)| path(name)).collect();
        let mut source = super::find(&paths).unwrap();
        source.parts.iter_mut().for_each(|part| part.trim_end().unwrap());
        source = Source::of(source.parts, None);
        for (part, (name, _)) in source.parts.iter_mut().zip(files) {
            part.name = (*name).to_owned();
        }
        (source, dir)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::testing::source;
    use super::{Source, find, resolve, spool};
    use crate::error::{Error, Exit};

    fn text(source: &Source) -> std::io::Result<String> {
        let mut text = String::new();
        source.open().read_to_string(&mut text).map(|_| text)
    }

    fn failure(pattern: &str) -> Error {
        find(&[pattern.to_owned()]).unwrap_err()
    }

    #[test]
    fn files_are_one_sequence_with_newlines_between() {
        let (source, _dir) = source(&[("c", b"1"), ("a", b""), ("b", b"2\n"), ("d", b"3"), ("e", b"")]);
        assert_eq!(text(&source).unwrap(), "1\n2\n3");
        assert_eq!(source.bytes(), 5);
        assert_eq!(source.name(), "c and 4 more");
    }

    #[test]
    fn a_pattern_is_sorted_and_a_path_that_exists_beats_it() {
        let (_, dir) = source(&[("b1.jsonl", b"b"), ("a1.jsonl", b"a"), ("[x].jsonl", b"x"), ("x.jsonl", b"y")]);
        let path = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(text(&find(&[path("?1.jsonl")]).unwrap()).unwrap(), "a\nb");
        assert_eq!(text(&find(&[path("[x].jsonl")]).unwrap()).unwrap(), "x");
        let twice = find(&[path("*1.jsonl"), path("a1.jsonl")]).unwrap_err();
        assert_eq!(twice.exit, Exit::Usage);
    }

    #[test]
    fn what_cannot_be_had_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().display().to_string();
        for (pattern, why) in [
            ("no/such.jsonl", "`no/such.jsonl` does not exist."),
            ("no/*.jsonl", "`no/*.jsonl` matches no file."),
            (&directory, &*format!("`{directory}` is a directory.")),
        ] {
            let error = failure(pattern);
            assert_eq!((error.exit, &*error.message), (Exit::Invalid, why));
            assert!(error.hints[0].starts_with("Relative paths start at the current directory, `"), "{error:?}");
        }
        assert_eq!((failure("a***").exit, failure("").exit), (Exit::Usage, Exit::Usage));
    }

    #[test]
    fn blank_lines_at_the_end_are_not_sent() {
        for (blank, sent) in
            [("1\n\n", "1\n"), ("1\r\n \r\n\t", "1\r\n"), ("1 ", "1 "), ("\n \n", ""), ("\n1\n", "\n1\n")]
        {
            let (source, dir) = source(&[("a", blank.as_bytes()), ("b", b"2\n\n")]);
            let between = if sent.is_empty() || sent.ends_with('\n') { "" } else { "\n" };
            assert_eq!(text(&source).unwrap(), format!("{sent}{between}2\n"), "{blank:?}");
            assert_eq!(source.bytes(), (sent.len() + between.len() + 2) as u64);
            std::fs::write(dir.path().join("b"), "2\n3").unwrap();
            assert_eq!(text(&source).unwrap_err().to_string(), "`b` changed since it was first read");
        }
        let long = format!("1\n{}\n", " ".repeat(10_000));
        assert_eq!(text(&source(&[("a", long.as_bytes())]).0).unwrap(), "1\n");
        let long = format!("1{}\n", " ".repeat(10_000));
        assert_eq!(text(&source(&[("a", long.as_bytes())]).0).unwrap(), long);
    }

    #[tokio::test]
    async fn exactly_what_is_in_a_file_is_passed_on() {
        let (of, _dir) = source(&[("a", b"1\n\n")]);
        let whole = super::resolve_bytes(&[of.parts[0].path.display().to_string()]).await.unwrap();
        assert_eq!((text(&whole).unwrap(), whole.bytes()), ("1\n\n".to_owned(), 3));
    }

    #[tokio::test]
    async fn standard_input_stands_alone_and_is_kept() {
        let mixed = resolve(&["-".to_owned(), "a".to_owned()]).await.unwrap_err();
        assert_eq!(mixed.exit, Exit::Usage);
        let source = spool(&b"{}\n{}"[..]).await.unwrap();
        let (reader, path) = (source.open(), source.parts[0].path.clone());
        assert_eq!((source.bytes(), source.parts[0].name.as_str()), (5, "standard input"));
        drop(source);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "{}\n{}");
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_changed_is_noticed() {
        for now in ["12\n4", "12\n", "123\n", "", "124"] {
            let (source, dir) = source(&[("a", b"12\n"), ("b", b"3")]);
            std::fs::write(dir.path().join("a"), now).unwrap();
            let outcome = text(&source).map_err(|error| error.to_string());
            let changed = Err("`a` changed since it was first read".to_owned());
            assert_eq!(outcome, if now == "12\n" { Ok("12\n3".to_owned()) } else { changed }, "{now}");
        }
    }
}
