//! `batchstep report`: renders a finished run again, from what it left. No network, no key.

use std::io::{self, Write};
use std::path::Path;

use tokio::sync::mpsc;

use super::billing::Billing;
use super::finished::Finished;
use crate::effects::Effect;
use crate::error::Error;
use crate::formats::{self, Format};
use crate::inputs::{self, OUTPUT_DIR, ReportFormat};
use crate::own_files;
use crate::results::sinks::{self, ANSWERS_CSV, Output, Shown, TestCases};
use crate::results::{self, Case, PriceAnswers};
use crate::values::SchemaMode;
use crate::world::World;

/// How much of the table is printed with one call, in bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces may wait to be printed.
const WAITING: usize = 4;

/// Prints a finished run on standard output.
///
/// # Errors
/// Ends in exit 2 if there is no such report, if it cannot be read as one, or if what is asked for needs
/// a file that is not beside it.
pub(crate) async fn report(inputs: inputs::Report, world: &World) -> Result<(), Error> {
    let from = inputs.from.as_deref().unwrap_or(Path::new(OUTPUT_DIR));
    let named = "Name a report, or the directory that a run left one in, with `--from`.";
    let run = Run(Finished::read(from).map_err(|error| error.hint(named))?);
    let report = &run.0.report;
    let text = match inputs.format.unwrap_or_default() {
        ReportFormat::Markdown => Format::Markdown.render(report),
        ReportFormat::Text => Format::Text.render(report),
        ReportFormat::Json => Format::Json.render(report),
        ReportFormat::Junit => formats::junit(report, run.cases().await?.as_deref()),
        ReportFormat::Csv => return run.print_table(world).await,
    };
    world.apply(text.lines().map(|line| Effect::Data(line.to_owned())).collect());
    Ok(())
}

/// A finished run.
struct Run(Finished);

impl Run {
    /// The rows as test cases; none where there are none, or too many. Results do not say which of their
    /// answers the run rejected, so that it then has no rows either.
    async fn cases(&self) -> Result<Option<Vec<Case>>, Error> {
        if self.0.report.files.results.is_none() || self.has_rejected() {
            return Ok(None);
        }
        let (results, reader) = self.0.results()?;
        let reading = tokio::task::spawn_blocking(move || {
            let sinks = sinks::shown(Shown { cases: TestCases::Keep, samples: 0 });
            Ok(results::read_back(&results, reader, None, sinks)?.cases)
        });
        reading.await.map_err(stopped)?
    }

    /// Prints the table of answers: the one that the run wrote, or else a new one of its results.
    async fn print_table(&self, world: &World) -> Result<(), Error> {
        let written = self.0.dir().join(ANSWERS_CSV);
        let (to, mut pieces) = mpsc::channel(WAITING);
        let making = if self.0.report.files.answers_csv.is_some() && written.is_file() {
            tokio::task::spawn_blocking(move || copy(&written, Pipe { to, held: Vec::new() }))
        } else if self.has_rejected() {
            return Err(Error::usage("The run rejected answers, and its results do not say which.")
                .hint("With `csv: true` a run writes the table itself."));
        } else {
            let ((results, reader), billing) = (self.0.results()?, self.0.billing(world.clock));
            let results = self.0.with_its_batches(results);
            tokio::task::spawn_blocking(move || {
                let pricing = billing.as_ref().map(Billing::pricing);
                let prices = pricing.as_ref().map(|pricing| pricing as &dyn PriceAnswers);
                let open =
                    |_| -> Result<Box<dyn Output>, Error> { Ok(Box::new(Pipe { to: to.clone(), held: Vec::new() })) };
                results::read_back(&results, reader, prices, sinks::table(open)?).map(drop)
            })
        };
        while let Some(piece) = pieces.recv().await {
            world.apply(vec![Effect::Bytes(piece)]);
        }
        making.await.map_err(stopped)?
    }

    /// Whether answers of the run count as failed because of what they say.
    fn has_rejected(&self) -> bool {
        let by_schema =
            self.0.report.schema.as_ref().is_some_and(|it| it.mode == SchemaMode::Check && it.violations > 0);
        by_schema || self.0.report.gate.as_ref().is_some_and(|gate| gate.failed.is_some_and(|failed| failed > 0))
    }
}

fn stopped(error: tokio::task::JoinError) -> Error {
    Error::internal("Reading the results stopped unexpectedly.").because(error)
}

/// The way from a thread that makes a table to the one that prints it.
struct Pipe {
    to: mpsc::Sender<Vec<u8>>,
    held: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A command that was ended by a signal takes no more.
        self.to.blocking_send(std::mem::take(&mut self.held)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Output for Pipe {
    fn publish(mut self: Box<Self>) -> Result<Option<String>, Error> {
        self.flush().map(|()| None).map_err(unprintable)
    }
}

fn copy(path: &Path, mut to: Pipe) -> Result<(), Error> {
    let copied = own_files::read(path).and_then(|mut file| io::copy(&mut file, &mut to)).and_then(|_| to.flush());
    copied.map_err(unprintable)
}

fn unprintable(error: io::Error) -> Error {
    Error::internal("The table could not be printed.").because(error)
}
