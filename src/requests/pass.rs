//! What the lines of a requests file must share, and what the whole may
//! measure: ids of their own, one endpoint, one model, the provider's limits.
//!
//! It takes lines one after another and does no reading itself.

use std::borrow::Cow;
use std::ops::Range;

use super::Checked;
use super::fault::Faults;
use super::foreign;
use super::ids::Ids;
use super::lines::{Block, LONGEST_REQUEST, Line};
use super::oddities::Oddities;
use super::places::Places;
use super::shards::{Planner, Request, Shard};
use super::source::Source;
use crate::dialects::{Extent, Familiar, Finding, RequestLine, Rules, Structured, quoted};
use crate::policy::MOST_SHARDS;
use crate::text::thousands;

/// How many lines are counted, beside those of a last block.
const MOST: u32 = 4_000_000_000;

/// The check, as far as it has come.
pub(crate) struct Pass<'a> {
    source: &'a Source,
    rules: &'a Rules,
    total: u32,
    /// Where the last of `places` ends, in bytes from the start.
    part_end: u64,
    places: Places,
    ids: Ids,
    faults: Faults,
    planner: Planner,
    oddities: Oddities,
    /// The part that is read.
    part: Open,
    /// The lines, from 1, of files that are something else as a whole; the last may end at infinity.
    foreign: Vec<Range<u64>>,
    is_structured: bool,
}

/// The part that is read, as far as it has come.
#[derive(Default)]
struct Open {
    /// Its first line in the whole, from 1.
    first: u64,
    /// The faults that were counted in its lines.
    faults: u64,
    /// What is unusual about the lines before it.
    oddities_before: Oddities,
    state: State,
}

/// What is known of a part.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It has no fault so far.
    #[default]
    Faultless,
    /// It has a fault, and was looked at as a whole: it is lines.
    Lines,
    /// It is something else.
    Foreign,
}

impl<'a> Pass<'a> {
    /// Before the first line.
    pub(crate) fn new(source: &'a Source, rules: &'a Rules) -> Self {
        Self {
            source,
            rules,
            total: 0,
            part_end: 0,
            places: Places::default(),
            ids: Ids::default(),
            faults: Faults::default(),
            planner: Planner::default(),
            oddities: Oddities::default(),
            part: Open::default(),
            foreign: Vec::new(),
            is_structured: false,
        }
    }

    /// Whether there are as many lines as can be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.total > MOST
    }

    /// Takes the next lines.
    pub(crate) fn block(&mut self, block: &Block<'_>) {
        let mut ids = Vec::new();
        for line in block.lines() {
            let id = self.line(&line);
            ids.extend(id.map(|id| (id, self.total - 1)));
        }
        self.planner.hash(block.offset, block.bytes);
        for (which, first) in self.ids.insert(&ids) {
            let (id, index) = &ids[which];
            let first = self.places.name(u64::from(first) + 1);
            let expected = format!("it must be unique, and {first} has the same");
            let finding = Finding::new(quoted(id), expected, "change one of them").of("custom_id");
            self.fault_at(u64::from(*index) + 1, finding);
        }
    }

    /// Takes the next line; returns its id, if it has one.
    fn line<'l>(&mut self, line: &Line<'l>) -> Option<Cow<'l, str>>
    where
        'a: 'l,
    {
        while let Some(part) = self.source.parts.get(self.places.len()).filter(|_| line.offset >= self.part_end) {
            self.part_end += part.sent();
            self.places.push(&part.name, self.total.into());
            self.begin(u64::from(self.total) + 1);
        }
        self.total += 1;
        if self.part.state == State::Foreign {
            return None;
        }
        let rules = self.rules;
        let read = self.text(line).and_then(|(skipped, text)| {
            rules.dialect.read_line(text, rules).map_err(|mut finding| {
                finding.column = finding.column.map(|column| column + skipped);
                finding
            })
        });
        match read {
            Err(_) if line.bytes.is_some_and(foreign::is_conflict_marker) => {
                self.file_fault(foreign::conflict());
                None
            }
            Err(finding) => {
                self.fault(finding);
                None
            }
            Ok(mut request) => {
                request.findings.drain(..).for_each(|finding| self.fault(finding));
                self.is_structured |= request.structured == Structured::Yes;
                self.request(line, &request);
                self.warn(&mut request);
                request.custom_id
            }
        }
    }

    /// The text of a line, and how many bytes before it are not part of it.
    fn text<'l>(&mut self, line: &Line<'l>) -> Result<(u64, &'l str), Finding> {
        let Some(bytes) = line.bytes else {
            let (found, most) =
                (format!("the line has {} bytes", thousands(line.length)), thousands(LONGEST_REQUEST as u64));
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

    /// Finds a batch for a request; one that no batch can take is a fault.
    fn request(&mut self, line: &Line<'_>, request: &RequestLine<'_>) {
        let Some(endpoint) = request.endpoint.as_deref() else { return };
        let (length, index) = ((line.length + 1).min(self.source.bytes() - line.offset), self.total - 1);
        let sent = self.rules.sent_bytes(line.bytes.unwrap_or_default(), length, index);
        let limits = self.rules.limits;
        for (limit, number, what) in
            [(limits.max_embedding_inputs, request.inputs, "embedding inputs"), (limits.max_bytes, sent, "bytes")]
        {
            if let Some(limit) = limit.filter(|limit| number > *limit) {
                let (found, expected) = (format!("{} {what}", thousands(number)), thousands(limit));
                self.fault(Finding::new(found, format!("a batch takes at most {expected}"), "split the request"));
            }
        }
        if self.planner.count() <= MOST_SHARDS {
            let (model, inputs, offset) = (request.model.as_deref(), request.inputs, line.offset);
            let output_cap = request.output_cap;
            let request = Request { endpoint, model, offset, length, index, sent, inputs, output_cap };
            self.planner.add(&request, &limits);
        }
    }

    /// Adds the warnings about the current line, unless it showed that the file is something else.
    fn warn(&mut self, request: &mut RequestLine<'_>) {
        if self.part.state == State::Foreign {
            return;
        }
        if let Some(endpoint) = request.endpoint.as_deref().filter(|_| request.endpoint_is == Familiar::Unknown) {
            self.oddities.add_endpoint(|| self.rules.dialect.unknown_endpoint(endpoint));
        }
        request.warnings.drain(..).for_each(|sentence| self.oddities.add(self.total.into(), sentence));
    }

    /// Begins the part whose first line is this, in the whole and from 1.
    fn begin(&mut self, first: u64) {
        if let Some(last) = self.foreign.last_mut() {
            last.end = last.end.min(first);
        }
        self.part = Open { first, oddities_before: self.oddities.clone(), ..Open::default() };
    }

    /// Adds a fault of the current line, unless it shows that the file is something else.
    fn fault(&mut self, finding: Finding) {
        if self.part.state == State::Faultless {
            self.part.state = State::Lines;
            let part = self.source.parts.get(self.places.len().saturating_sub(1));
            if let Some(whole) = part.and_then(|part| foreign::recognize(part, self.rules.dialect)) {
                return self.file_fault(whole);
            }
        }
        match finding.extent {
            Extent::File if u64::from(self.total) == self.part.first => self.file_fault(finding),
            _ if self.part.state == State::Foreign => {}
            _ => self.fault_at(self.total.into(), finding),
        }
    }

    /// Adds the one fault of a file that is something else, and takes back the faults and warnings of its lines.
    fn file_fault(&mut self, finding: Finding) {
        let (first, counted) = (self.part.first, self.part.faults);
        let (file, _) = self.places.locate(first).unwrap_or_default();
        self.faults.add_file(first, file, counted, finding);
        self.oddities = std::mem::take(&mut self.part.oddities_before);
        self.part.state = State::Foreign;
        self.foreign.push(first..u64::MAX);
    }

    /// Adds a fault of a line of the whole, from 1.
    fn fault_at(&mut self, line: u64, finding: Finding) {
        if self.foreign.iter().any(|lines| lines.contains(&line)) {
            return;
        }
        self.part.faults += u64::from(line >= self.part.first);
        let (file, line_of_file) = self.places.locate(line).unwrap_or_default();
        self.faults.add(line, file, line_of_file, finding);
    }

    /// After the last line: what was learned of all.
    pub(crate) fn finish(mut self) -> Checked {
        let warnings = self.oddities.sentences(&self.places);
        let (end, (shards, digest)) = (u64::from(self.total) + 1, self.planner.finish());
        let foreign: u64 = self.foreign.iter().map(|lines| lines.end.min(end) - lines.start).sum();
        let total = u64::from(self.total) - foreign;
        if shards.len() > MOST_SHARDS {
            let (found, most) = ("more endpoints, models and requests than fit", thousands(MOST_SHARDS as u64));
            let finding = Finding::new(found, format!("a run makes at most {most} batches"), "split the file");
            self.faults.add_whole(&self.source.name(), finding);
        }
        if end == 1 {
            let finding = Finding::new("no requests at all", "each line is one request", "write at least one");
            self.faults.add_whole(&self.source.name(), finding);
        }
        let same = |of: fn(&Shard) -> Option<&str>| {
            let first = of(shards.first()?)?;
            shards.iter().all(|shard| of(shard) == Some(first)).then(|| first.to_owned())
        };
        Checked {
            total,
            bytes: self.source.bytes(),
            digest,
            endpoint: self.rules.endpoint.clone().or_else(|| same(|shard| Some(&shard.endpoint))),
            model: same(|shard| shard.model.as_deref()),
            shards,
            ids: self.ids,
            is_structured: self.is_structured,
            places: self.places,
            fault_count: self.faults.count,
            faults: self.faults.first(),
            warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::Pass;
    use crate::requests::lines::Line;
    use crate::requests::source::testing::source;
    use crate::requests::testing::rules;

    #[test]
    fn a_line_too_long_to_hold_is_a_fault() {
        let (source, _dir) = source(&[("a", b"{}")]);
        let rules = rules();
        let mut pass = Pass::new(&source, &rules);
        pass.line(&Line { offset: 0, length: 500_000_000, bytes: None });
        let checked = pass.finish();
        assert_snapshot!(checked.faults[0].sentence(), @"a:1: the line has 500,000,000 bytes; a request has at most 67,108,864: split it or shorten it");
    }
}
