//! `batchstep report`: renders a finished run again, from what it left. No network, no key.
//!
//! The report may come from anywhere, so all of it is untrusted text. The only files that are read are
//! the report and those beside it that have the names which a run gives them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::effects::Effect;
use crate::error::Error;
use crate::formats::{self, Format};
use crate::inputs::{self, OUTPUT_DIR, ReportFormat};
use crate::report::Report;
use crate::world::World;

/// Its name in the output directory.
const REPORT: &str = "report.json";
/// The longest report that is read, in bytes. One with all that a run may report has a tenth of it.
const LONGEST: u64 = 64 << 20;

/// Prints a finished run on standard output.
///
/// # Errors
/// Ends in exit 2 if there is no such report, or if it cannot be read as one.
pub(crate) async fn report(inputs: inputs::Report, world: &World) -> Result<(), Error> {
    let path = report_path(inputs.from.as_deref());
    let report = read(&path)?;
    let format = match inputs.format.unwrap_or_default() {
        ReportFormat::Markdown => Format::Markdown,
        ReportFormat::Text => Format::Text,
        ReportFormat::Json => Format::Json,
    };
    world.apply(format.render(&report).lines().map(|line| Effect::Data(line.to_owned())).collect());
    Ok(())
}

/// Where the report is: a directory has it under the name that runs give it.
fn report_path(from: Option<&Path>) -> PathBuf {
    let from = from.unwrap_or(Path::new(OUTPUT_DIR));
    if from.is_dir() || from == Path::new(OUTPUT_DIR) { from.join(REPORT) } else { from.to_owned() }
}

fn read(path: &Path) -> Result<Report, Error> {
    let about = |what: &str| Error::usage(format!("The report `{}` {what}.", path.display()));
    let mut json = Vec::new();
    let length = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut json));
    let length = length.map_err(|error| {
        about("cannot be read")
            .because(error)
            .hint("Name a report, or the directory that a run left one in, with `--from`.")
    })?;
    if length as u64 > LONGEST {
        return Err(about("is longer than 64 MiB, and so is not one of batchstep's"));
    }
    formats::read(&json).map_err(|why| about(&why))
}
