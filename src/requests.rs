//! The check of the requests: one streaming pass that finds every fault.
//!
//! The pass also makes the digest of the bytes and the table of ids, so that
//! nothing later has to read the requests only to know what they are. What the
//! bytes are is `source.rs`'s business, what one line must hold is `row.rs`'s;
//! here is what lines must share, and what the whole may measure.

use std::io::{self, Read};

pub use crate::fault::Fault;

use crate::endpoints::{self, EMBEDDINGS};
use crate::error::{Error, Exit};
use crate::fault::{Faults, Finding, quoted};
use crate::ids::Ids;
use crate::lines::{LONGEST, Line, Lines};
use crate::places::Places;
use crate::row::Row;
use crate::source::{Reader, Source};

/// What requests are held against: the provider's rules and the user's choice.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The endpoint that all requests must name; without one, what the first names.
    pub endpoint: Option<String>,
    /// Whether there are no endpoints but OpenAI's. If not, others earn a
    /// warning, and what their bodies must hold is not checked.
    pub known_endpoints_only: bool,
    /// How many requests there may be.
    pub max_requests: Option<u64>,
    /// How many bytes may be sent.
    pub max_bytes: Option<u64>,
    /// How many inputs all embeddings requests may have together.
    pub max_embedding_inputs: Option<u64>,
}

/// What the check learned.
#[derive(Debug)]
pub struct Checked {
    /// Requests: the lines of all files.
    pub total: u64,
    /// Bytes that are sent.
    pub bytes: u64,
    /// The digest of these bytes.
    pub digest: blake3::Hash,
    /// The endpoint of all requests.
    pub endpoint: Option<String>,
    /// The model of all requests.
    pub model: Option<String>,
    /// Which request an id belongs to.
    pub ids: Ids,
    /// Where each line came from.
    pub places: Places,
    /// The first hundred faults; those of the whole first, then by line.
    pub faults: Vec<Fault>,
    /// All faults.
    pub fault_count: u64,
    /// What is no fault but worth knowing.
    pub warnings: Vec<String>,
}

/// Checks the requests and finds all their faults, in one pass and bounded
/// memory: 40 bytes a request, and once the longest line. Blocks while it reads.
///
/// # Errors
/// Ends in exit 2 if the chosen endpoint does not exist, in exit 3 if the
/// requests cannot be read. Faults are no error; they are in what is returned.
pub fn check(source: &Source, rules: &Rules) -> Result<Checked, Error> {
    if let Some(endpoint) = rules.endpoint.as_deref().filter(|endpoint| !allowed(rules, endpoint)) {
        let message = format!("`endpoint` is {}, which takes no batches.", quoted(endpoint));
        return Err(Error::usage(message).hint(format!("For `endpoint`, {}.", endpoints::advice(endpoint))));
    }
    let failed = |error| Error::new(Exit::Invalid, "The requests cannot be read.").because(error);
    let mut lines = Lines::new(Hashing { reader: source.open(), hasher: blake3::Hasher::new() });
    let mut pass = Pass::new(source, rules);
    while let Some(line) = lines.next().map_err(failed)? {
        if pass.total == u32::MAX {
            return Err(Error::new(Exit::Invalid, "There are more than 4,294,967,295 requests.").hint("Split them."));
        }
        pass.line(&line);
    }
    Ok(pass.finish(lines.into_inner().hasher.finalize()))
}

fn allowed(rules: &Rules, url: &str) -> bool {
    !rules.known_endpoints_only || endpoints::find(url).is_some()
}

/// Hashes what is read through it, in the large blocks it is read in.
struct Hashing {
    reader: Reader,
    hasher: blake3::Hasher,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// What the first line to have one says, and which line that is, from 1.
type First = (String, u64);

struct Pass<'a> {
    source: &'a Source,
    rules: &'a Rules,
    total: u32,
    /// Where the last of `places` ends, in bytes from the start.
    part_end: u64,
    places: Places,
    ids: Ids,
    faults: Faults,
    url: Option<First>,
    model: Option<First>,
    embedding_inputs: u64,
    warnings: Vec<String>,
}

impl<'a> Pass<'a> {
    fn new(source: &'a Source, rules: &'a Rules) -> Self {
        Self {
            source,
            rules,
            total: 0,
            part_end: 0,
            places: Places::default(),
            ids: Ids::default(),
            faults: Faults::default(),
            url: None,
            model: None,
            embedding_inputs: 0,
            warnings: Vec::new(),
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        while let Some(part) = self.source.parts.get(self.places.len()).filter(|_| line.offset >= self.part_end) {
            self.part_end += part.sent();
            self.places.push(&part.name, self.total.into());
        }
        self.total += 1;
        match self.text(line) {
            Ok((skipped, text)) => match Row::read(text) {
                Ok(row) => self.row(&row),
                Err(mut finding) => {
                    finding.column = finding.column.map(|column| column + skipped);
                    self.fault(finding);
                }
            },
            Err(finding) => self.fault(finding),
        }
    }

    /// The text of a line, and how many bytes before it are not part of it.
    fn text<'l>(&mut self, line: &Line<'l>) -> Result<(u64, &'l str), Finding> {
        let Some(bytes) = line.bytes else {
            let (found, most) = (format!("the line has {} bytes", grouped(line.length)), grouped(LONGEST as u64));
            return Err(Finding::new(found, format!("a request has at most {most}"), "split it or shorten it"));
        };
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let found = "not UTF-8 text";
            Finding::new(found, "JSON is UTF-8", "save the file as UTF-8").at(error.valid_up_to() + 1)
        })?;
        if text.trim_ascii().is_empty() {
            return Err(Finding::new("the line is blank", "each line is one request", "remove it"));
        }
        let first = self.places.begins(self.total.into());
        let Some(rest) = text.strip_prefix('\u{feff}').filter(|_| first) else { return Ok((0, text)) };
        let found = "the file begins with a byte order mark";
        self.fault(Finding::new(found, "a JSON line begins with `{`", "save the file as UTF-8 without BOM").at(1));
        Ok((3, rest))
    }

    fn row(&mut self, row: &Row<'_>) {
        for finding in row.findings() {
            self.fault(finding);
        }
        if let Some(id) = row.custom_id.text().filter(|id| !id.is_empty())
            && let Err(first) = self.ids.insert(id, self.total - 1)
        {
            let first = self.places.name(u64::from(first) + 1);
            let expected = format!("it must be unique, and {first} has the same");
            self.fault(Finding::new(quoted(id), expected, "change one of them").of("custom_id"));
        }
        if let Some(url) = row.url.text().filter(|url| !url.is_empty()) {
            self.url(url, row);
        }
        if let Some(model) = row.body.fields.model.text().filter(|model| !model.is_empty()) {
            self.model(model);
        }
    }

    fn url(&mut self, url: &str, row: &Row<'_>) {
        if !allowed(self.rules, url) {
            self.fault(Finding::new(quoted(url), "it takes no batches", endpoints::advice(url)).of("url"));
            return;
        }
        match endpoints::find(url) {
            Some(endpoint) => row.lacks(endpoint).into_iter().for_each(|finding| self.fault(finding)),
            None if self.warnings.is_empty() => {
                let known = "is none of OpenAI's endpoints for batches; whether the server knows it will be seen";
                self.warnings.push(format!("{} {known}.", quoted(url)));
            }
            None => {}
        }
        if url == EMBEDDINGS {
            self.embedding_inputs += row.body.fields.embedding_inputs();
        }
        match (&self.rules.endpoint, &self.url) {
            (Some(chosen), _) if chosen != url => {
                let expected = format!("the chosen endpoint is {}", quoted(chosen));
                self.fault(Finding::new(quoted(url), expected, "change one of them").of("url"));
            }
            (None, None) => self.url = Some((url.to_owned(), u64::from(self.total))),
            (None, Some((first, line))) if first != url => {
                let expected =
                    format!("a batch has one endpoint, and {} has {}", self.places.name(*line), quoted(first));
                self.fault(Finding::new(quoted(url), expected, "split the file by endpoint").of("url"));
            }
            _ => {}
        }
    }

    fn model(&mut self, model: &str) {
        match &self.model {
            None => self.model = Some((model.to_owned(), u64::from(self.total))),
            Some((first, line)) if first != model => {
                let expected = format!("a batch has one model, and {} has {}", self.places.name(*line), quoted(first));
                self.fault(Finding::new(quoted(model), expected, "split the file by model").of("body.model"));
            }
            Some(_) => {}
        }
    }

    /// Adds a fault of the current line.
    fn fault(&mut self, finding: Finding) {
        let (file, line) = self.places.locate(self.total.into()).unwrap_or_default();
        self.faults.add(file, line, finding);
    }

    fn finish(mut self, digest: blake3::Hash) -> Checked {
        let (rules, total, bytes) = (self.rules, u64::from(self.total), self.source.bytes());
        let mut over = |limit: Option<u64>, number: u64, what: &str| {
            if let Some(limit) = limit.filter(|limit| number > *limit) {
                let (found, expected) = (format!("{} {what}", grouped(number)), grouped(limit));
                let finding = Finding::new(found, format!("a batch takes at most {expected}"), "split the file");
                self.faults.add_whole(&self.source.name(), finding);
            }
        };
        over(rules.max_embedding_inputs, self.embedding_inputs, "embedding inputs");
        over(rules.max_bytes, bytes, "bytes");
        over(rules.max_requests, total, "requests");
        if total == 0 {
            let finding = Finding::new("no requests at all", "each line is one request", "write at least one");
            self.faults.add_whole(&self.source.name(), finding);
        }
        Checked {
            total,
            bytes,
            digest,
            endpoint: rules.endpoint.clone().or(self.url.map(|(url, _)| url)),
            model: self.model.map(|(model, _)| model),
            ids: self.ids,
            places: self.places,
            faults: self.faults.kept,
            fault_count: self.faults.count,
            warnings: self.warnings,
        }
    }
}

/// A number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {}
