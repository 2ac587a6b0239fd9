//! The users' own ids in answers that repeat marked ones.
//!
//! A vendor that keeps no marks of ours is sent ids that have them (`marked_id.rs`), and its answers repeat these. Before
//! they are reconciled, each line of the work gets the user's own id back; a line of other work stays as it is, so that it
//! answers nothing. An id that was too long or had other characters was sent as its request's number, and is read
//! from the requests.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};

use super::AnswersFile;
use crate::dialects::ReadAnswers;
use crate::json::member;
use crate::marked_id::{Grammar, Mark, Own, fits};
use crate::own_files;
use crate::requests::lines::{LONGEST_ANSWER, LONGEST_REQUEST, Line, Lines};
use crate::requests::source::Source;

/// Gives answers their users' own ids.
pub(crate) struct OwnIds<'a> {
    /// The requests, where they are at hand.
    requests: Option<&'a Source>,
    reader: &'a dyn ReadAnswers,
    grammar: Grammar,
    /// The ids that were sent as numbers, by these numbers; read when the first is needed.
    by_number: Option<HashMap<u32, String>>,
    /// How many answers keep a number for want of the requests.
    pub(crate) numbered: u64,
}

impl<'a> OwnIds<'a> {
    /// For answers to these requests.
    pub(crate) fn new(requests: Option<&'a Source>, reader: &'a dyn ReadAnswers, grammar: Grammar) -> Self {
        Self { requests, reader, grammar, by_number: None, numbered: 0 }
    }

    /// The same answers in a file beside this one, with the users' own ids.
    ///
    /// # Errors
    /// The answers or the requests cannot be read, or the file cannot be written.
    pub(crate) fn restore(&mut self, answers: AnswersFile) -> io::Result<AnswersFile> {
        let path = answers.path.with_extension("own.jsonl");
        let mut to = BufWriter::new(own_files::create(&path)?);
        let mut lines = Lines::new(File::open(&answers.path)?, LONGEST_ANSWER);
        let mut work = answers.work.clone();
        while let Some(line) = lines.next()? {
            match line.bytes {
                Some(bytes) => self.line(bytes, &mut work, &mut to)?,
                None => copy(&answers, &line, &mut to)?,
            }
            to.write_all(b"\n")?;
        }
        to.flush()?;
        Ok(AnswersFile { path, ..answers })
    }

    /// Writes a line. Where nobody knows the work, it is that of the first line that names one.
    fn line(&mut self, line: &[u8], work: &mut Option<String>, to: &mut dyn Write) -> io::Result<()> {
        let own = match member::custom_id(line) {
            Some(span) => self.own(&line[span.clone()], work)?.map(|own| (span, own)),
            None => None,
        };
        let Some((span, own)) = own else { return to.write_all(line) };
        to.write_all(&line[..span.start])?;
        serde_json::to_writer(&mut *to, &own)?;
        to.write_all(&line[span.end..])
    }

    fn own(&mut self, literal: &[u8], work: &mut Option<String>) -> io::Result<Option<String>> {
        let Ok(id) = serde_json::from_slice::<String>(literal) else { return Ok(None) };
        let Some((mark, own)) = Mark::read(&id) else { return Ok(None) };
        if !mark.is_of(work.get_or_insert_with(|| mark.work.clone())) {
            return Ok(None);
        }
        Ok(match own {
            Own::Id(own) => Some(own.to_owned()),
            Own::Number(number) => Some(self.numbered(number)?),
        })
    }

    fn numbered(&mut self, number: u32) -> io::Result<String> {
        if self.by_number.is_none() {
            self.by_number = Some(self.read_requests()?);
        }
        let known = self.by_number.as_ref().and_then(|ids| ids.get(&number)).cloned();
        self.numbered += u64::from(known.is_none());
        Ok(known.unwrap_or_else(|| format!("_{number}")))
    }

    fn read_requests(&self) -> io::Result<HashMap<u32, String>> {
        let Some(source) = self.requests else { return Ok(HashMap::new()) };
        let (mut lines, mut ids, mut number) = (Lines::new(source.open(), LONGEST_REQUEST), HashMap::new(), 0);
        while let Some(line) = lines.next()? {
            number += 1;
            let text = line.bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
            let id = self.reader.request_id(text).filter(|id| !fits(id, self.grammar));
            ids.extend(id.map(|id| (number, id)));
        }
        Ok(ids)
    }
}

/// Copies a line that is too long to hold.
fn copy(answers: &AnswersFile, line: &Line<'_>, to: &mut dyn Write) -> io::Result<()> {
    let mut from = File::open(&answers.path)?;
    from.seek(SeekFrom::Start(line.offset))?;
    io::copy(&mut from.take(line.length), to).map(drop)
}

#[cfg(test)]
mod tests {
    use super::{AnswersFile, OwnIds};
    use crate::dialects::{Intake, Name, choose};
    use crate::requests::source::testing::source;

    const KEY: &str = "0123456789abcdef0123";

    fn restored(answers: &str, requests: &[&str], work: Option<&str>) -> (String, u64) {
        let line = |id: &&str| format!("{{\"custom_id\":{},\"params\":{{}}}}", serde_json::json!(id));
        let text = requests.iter().map(line).collect::<Vec<_>>().join("\n");
        let (source, dir) = source(&[("requests.jsonl", text.as_bytes())]);
        let path = dir.path().join("output-0.jsonl");
        std::fs::write(&path, answers).unwrap();
        let dialect = choose(Name::Anthropic).dialect;
        let Intake::InCreate(body) = dialect.intake() else { panic!("it has no files") };
        let requests = (!requests.is_empty()).then_some(&source);
        let mut ids = OwnIds::new(requests, dialect.answers(), body.ids);
        let file = AnswersFile {
            path,
            what: "output",
            attempt: 1,
            batch_id: "b".to_owned(),
            work: work.map(str::to_owned),
            ..AnswersFile::default()
        };
        let file = ids.restore(file).unwrap();
        (std::fs::read_to_string(file.path).unwrap(), ids.numbered)
    }

    fn answer(id: &str) -> String {
        format!("{{\"result\":{{}}, \"custom_id\":\"{id}\"}}")
    }

    #[test]
    fn answers_get_their_users_ids_back() {
        let prefix = "0123456789abcdef-abcdef012345-";
        let answers = [answer(&format!("{prefix}a")), answer(&format!("{prefix}_2"))].join("\n") + "\n";
        let long = "é \"quoted\"";
        let expected = format!("{}\n{}\n", answer("a"), answer(&long.replace('"', "\\\"")));
        assert_eq!(restored(&answers, &["a", long], Some(KEY)), (expected.clone(), 0));
        assert_eq!(restored(&answers, &["a", long], None), (expected, 0));
        let numbered = format!("{}\n{}\n", answer("a"), answer("_2"));
        assert_eq!(restored(&answers, &[], None), (numbered, 1));
    }

    #[test]
    fn a_line_of_other_work_stays_as_it_is() {
        let other = answer("ffffffffffffffff-abcdef012345-a");
        let lines = format!("{other}\nnot JSON\n{}\n", answer("a"));
        assert_eq!(restored(&lines, &["a"], Some(KEY)), (lines.clone(), 0));
    }
}
