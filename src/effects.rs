//! Effects: what a host wants done, as data, and the one place that does it.
//!
//! Apart from downloads, nothing else writes: so nothing else has to know that
//! CI systems read commands out of logs, that a bar and a log line share a
//! terminal, or that a file must never be seen half written. Effects know
//! nothing of what they say; hosts and formats do.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::error::Error;
use crate::text::safe;

/// Something to do in the outside world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line for people, on standard error. May hold untrusted text: it is made safe when printed.
    Log(String),
    /// A host's own command, on standard output, already escaped by the host.
    Command(String),
    /// Text added to the end of a file, in one write.
    Append(PathBuf, String),
    /// The progress bar's new position: done, of how many, with a message.
    Progress {
        /// How much is done.
        done: u64,
        /// Of how much; 0 while that is not known.
        total: u64,
        /// What it counts.
        unit: Unit,
        /// What is going on.
        message: String,
    },
    /// What the progress bar showed is over: it is taken off the screen.
    ProgressEnd,
}

/// What a progress bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Requests.
    Requests,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To a terminal, where somebody sees a bar move.
    Terminal,
    /// To a file, a pipe or a CI system.
    File,
}

impl LogTarget {
    /// What standard error is.
    pub fn system() -> Self {
        use std::io::IsTerminal as _;
        if io::stderr().is_terminal() { Self::Terminal } else { Self::File }
    }
}

/// An error as log lines: what happened and why, then what to do.
pub fn explain(error: &Error) -> Vec<Effect> {
    let hints = error.hints.iter().map(|hint| Effect::Log(format!("hint: {hint}")));
    std::iter::once(Effect::Log(format!("error: {}", error.sentence()))).chain(hints).collect()
}

/// Carries effects out.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    bar: Option<(Unit, ProgressBar)>,
}

impl Screen {
    /// The process's own standard output and standard error.
    pub fn system() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Prints commands to `out` and log lines to `err`.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err, bar: None }
    }

    /// Carries out all effects, in order, and returns what did not work. That
    /// nobody reads a line any more is no error.
    pub fn apply(&mut self, effects: Vec<Effect>) -> Vec<Error> {
        effects.into_iter().filter_map(|effect| self.carry_out(effect).err()).collect()
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Log(text) => print(self.bar.as_ref(), &mut self.err, &safe(&text)),
            Effect::Command(command) => print(self.bar.as_ref(), &mut self.out, &command),
            Effect::Append(path, text) => {
                append(&path, &text).map_err(|error| file_error("could not be appended to", &path, error))
            }
            Effect::Progress { done, total, unit, message } => {
                self.progress(done, total, unit, &message);
                Ok(())
            }
            Effect::ProgressEnd => {
                self.clear();
                Ok(())
            }
        }
    }

    fn progress(&mut self, done: u64, total: u64, unit: Unit, message: &str) {
        if self.bar.as_ref().is_some_and(|(counted, _)| *counted != unit) {
            self.clear();
        }
        let (_, bar) = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            // Polls are minutes apart; the elapsed time should move between them.
            bar.enable_steady_tick(Duration::from_secs(1));
            (unit, bar)
        });
        bar.set_style(style(unit, total));
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(safe(message));
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(unit: Unit, total: u64) -> ProgressStyle {
    let template = match unit {
        _ if total == 0 => "{spinner} {msg} {elapsed}",
        Unit::Bytes => "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {elapsed}",
        Unit::Requests => "{msg} {wide_bar} {human_pos}/{human_len} {rate} {elapsed}",
    };
    let rate = |state: &ProgressState, to: &mut dyn fmt::Write| {
        // A bar has nowhere to report to that it cannot be drawn.
        let _ = write!(to, "{:.1}/s", state.per_sec());
    };
    let style = ProgressStyle::with_template(template).expect("the templates are constants and a test uses each");
    style.with_key("rate", rate)
}

fn print(bar: Option<&(Unit, ProgressBar)>, to: &mut dyn Write, line: &str) -> Result<(), Error> {
    let mut write = || to.write_all(format!("{line}\n").as_bytes()).and_then(|()| to.flush());
    let written = match bar {
        Some((_, bar)) => bar.suspend(write),
        None => write(),
    };
    match written {
        Err(error) if is_kept(&error) => Err(Error::internal("A line could not be printed.").because(error)),
        _ => Ok(()),
    }
}

/// Whether a line that could not be printed was meant for a file that somebody
/// keeps, and whose disk is full. All else is the reader's: a pipe was closed
/// (EPIPE), a terminal is gone (EIO). A batch that is paid for does not end for that.
fn is_kept(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // A line that another tool left open would swallow our first one.
    let torn = file.metadata()?.is_file() && ends_inside_a_line(path)?;
    file.write_all(if torn { format!("\n{text}") } else { text.to_owned() }.as_bytes())?;
    file.flush()
}

fn ends_inside_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn file_error(what: &str, path: &Path, cause: io::Error) -> Error {
    let kind = cause.kind();
    let error = Error::internal(format!("`{}` {what}.", path.display())).because(cause);
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            error.hint("The disk is full: free some space, or let `output-dir` name a place on another disk.")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            error.hint("Let `output-dir` name a place that this user may write to.")
        }
        _ => error,
    }
}

/// A file that appears under its name only when it is whole. Until
/// [`NewFile::finish`] it is written beside it as `NAME.part`, and removed if
/// that never comes. What a killed run left there is replaced.
pub struct NewFile {
    path: PathBuf,
    part: PathBuf,
    file: Option<BufWriter<File>>,
}

impl NewFile {
    /// Begins the file, and makes the directories above it.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
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
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_all(bytes).map_err(|error| file_error("could not be written", &self.path, error))
    }

    /// Gives the file its name, once all of it is on the disk.
    pub fn finish(mut self) -> Result<(), Error> {
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
    use std::io::{self, ErrorKind, Write};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::{Effect, NewFile, Screen, Unit, explain, file_error};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn effects_go_where_they_belong_and_failures_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let (out, err) = (Sink::default(), Sink::default());
        let mut screen = Screen::new(Box::new(out.clone()), Box::new(err.clone()));
        let file = dir.path().join("outputs");
        fs::write(&file, "left=open").unwrap();
        let progress = |total, unit| Effect::Progress { done: 1, total, unit, message: "uploading".to_owned() };
        let failures = screen.apply(vec![
            progress(0, Unit::Bytes),
            progress(9, Unit::Bytes),
            Effect::Log("said\n::error::x".to_owned()),
            progress(9, Unit::Requests),
            Effect::Command("::notice::x".to_owned()),
            Effect::ProgressEnd,
            Effect::Append(file.clone(), "a=1\n".to_owned()),
            Effect::Append(dir.path().to_owned(), "lost".to_owned()),
            Effect::Append(file.clone(), "b=2\n".to_owned()),
        ]);
        assert_eq!(err.text(), "said\\n::error::x\n");
        assert_eq!(out.text(), "::notice::x\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), "left=open\na=1\nb=2\n");
        assert_eq!(failures.len(), 1);
        assert!(failures[0].message.ends_with("could not be appended to."), "{}", failures[0].message);
    }

    #[test]
    fn a_reader_who_left_is_no_failure_but_a_full_disk_is() {
        const EIO: i32 = 5;
        struct Failing<F>(F);
        impl<F: Fn() -> io::Error> Write for Failing<F> {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        fn failures(error: impl Fn() -> io::Error + Clone + Send + 'static) -> usize {
            let failing = || Box::new(Failing(error.clone()));
            let both = vec![Effect::Log("x".to_owned()), Effect::Command("x".to_owned())];
            Screen::new(failing(), failing()).apply(both).len()
        }
        assert_eq!(failures(|| ErrorKind::BrokenPipe.into()), 0);
        assert_eq!(failures(|| io::Error::from_raw_os_error(EIO)), 0);
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
            assert_eq!(failures(move || kind.into()), 2, "{kind:?}");
        }
    }

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
        let [Effect::Log(what), Effect::Log(hint)] = &explain(&error)[..] else { panic!("{error:?}") };
        assert_eq!(what, "error: `r.jsonl` could not be written: no storage space");
        assert!(hint.starts_with("hint: The disk is full"), "{hint}");
    }
}
