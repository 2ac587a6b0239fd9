//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// What could not be done with a file, and what to do about that.
pub(crate) fn file_error(what: &str, path: &Path, cause: io::Error) -> Error {
    let kind = cause.kind();
    let error = Error::internal(format!("`{}` {what}.", path.display())).because(cause);
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            error.hint("The disk is full: free some space, or choose a place on another disk for this file.")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            error.hint("Choose a place for this file that this user can write to.")
        }
        _ => error,
    }
}

/// A file that appears under its name only when it is whole. Until
/// [`NewFile::finish`] it is written beside it as `NAME.part`, and removed if
/// that never comes. What a killed run left there is replaced.
pub(crate) struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: Option<BufWriter<File>>,
}

impl NewFile {
    /// Writes a file at once.
    ///
    /// # Errors
    /// It could not be written, and there is what was there before.
    pub(crate) fn write(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<(), Error> {
        let mut file = Self::create(path)?;
        file.put(bytes)?;
        file.finish()
    }

    /// Begins the file, and makes the directories above it.
    pub(crate) fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = Self::open(&part).map_err(|error| file_error("could not be created", &path, error))?;
        Ok(Self { path, part, file: Some(BufWriter::with_capacity(64 * 1024, file)) })
    }

    fn open(part: &Path) -> io::Result<File> {
        if let Some(parent) = part.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::remove_file(part) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).open(part)
    }

    /// Adds to the file.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_all(bytes).map_err(|error| file_error("could not be written", &self.path, error))
    }

    /// Gives the file its name, once all of it is on the disk.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.settle().map_err(|error| file_error("could not be written", &self.path, error))
    }

    fn settle(&mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let settled = file
            .flush()
            .and_then(|()| file.get_ref().sync_all())
            // Windows renames no file that is open.
            .map(|()| drop(file.into_parts()))
            .and_then(|()| fs::rename(&self.part, &self.path));
        if settled.is_err() {
            let _ = fs::remove_file(&self.part);
        }
        settled
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(bytes.len()), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What is still buffered is not worth a write.
            drop(file.into_parts());
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::path::Path;

    use super::{NewFile, file_error};
    use crate::effects::{Effect, explain};

    #[test]
    fn a_new_file_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/results.jsonl");
        let names = || fs::read_dir(path.parent().unwrap()).unwrap().count();
        let mut file = NewFile::create(&path).unwrap();
        file.put(b"half").unwrap();
        drop(file);
        assert_eq!(names(), 0);

        fs::write(path.with_extension("jsonl.part"), "left by a killed run").unwrap();
        let mut file = NewFile::create(&path).unwrap();
        file.put(b"whole").unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names()), ("whole", 1));
    }

    #[test]
    fn a_full_disk_is_reported_with_advice() {
        let error = file_error("could not be written", Path::new("r.jsonl"), ErrorKind::StorageFull.into());
        let [Effect::Say(what), Effect::Say(hint)] = &explain(&error)[..] else { panic!("{error:?}") };
        assert_eq!(what.text(), "error: `r.jsonl` could not be written: no storage space");
        assert!(hint.text().starts_with("hint: The disk is full"), "{hint:?}");
    }
}
