//! The files that sinks write: in the output directory, complete or not there, and
//! watched for secrets of ours.

use std::io::{self, Write};
use std::path::Path;

use crate::error::Error;
use crate::new_file::NewFile;
use crate::results::Watch;
use crate::results::sinks::Output;

/// A file of results.
pub(super) struct ResultFile<'a> {
    name: &'static str,
    watch: Watch<'a, NewFile>,
}

impl<'a> ResultFile<'a> {
    /// Begins the file `name` in `dir`. `holds` tells whether a line holds a secret.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn create(dir: &Path, name: &'static str, holds: &'a dyn Fn(&[u8]) -> bool) -> Result<Self, Error> {
        Ok(Self { name, watch: Watch::new(NewFile::create(dir.join(name))?, holds) })
    }
}

impl Write for ResultFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watch.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.watch.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.watch.flush()
    }
}

impl Output for ResultFile<'_> {
    fn publish(self: Box<Self>) -> Result<Option<String>, Error> {
        let (file, warning) = self.watch.end(self.name);
        file.finish()?;
        Ok(warning)
    }
}
