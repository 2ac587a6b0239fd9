//! Effects: what a host wants done, as data, and the one place that does it.
//!
//! Apart from downloads, nothing else writes: so nothing else has to know that
//! CI systems read commands out of logs, that a bar and a log line share a
//! terminal, or that a file must never be seen half written. Effects know
//! nothing of what they say; hosts and formats do.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use crate::bar::Bar;
use crate::env::Env;
use crate::error::Error;
use crate::new_file::{NewFile, file_error};
use crate::styled::{Line, Paint, Tone};

/// Something to do in the outside world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line for people, on standard error. May hold untrusted text: it is made safe when printed.
    Log(String),
    /// The same, with tones. It is broken to fit a terminal.
    Say(Line),
    /// A host's own command, on standard output, already escaped by the host.
    Command(String),
    /// A line of data for programs, on standard output, already harmless.
    Data(String),
    /// A part of data for programs, on standard output and as it is: it need not be lines, nor harmless.
    Bytes(Vec<u8>),
    /// A host's own mark in the log, on standard error, already escaped by the host.
    Mark(String),
    /// A file that appears whole, in place of the one that was there.
    Write(PathBuf, String),
    /// Text added to the end of a file, in one write.
    Append(PathBuf, String),
    /// What the progress bar shows from now on.
    Progress(Bar),
    /// What the progress bar showed is over: it is taken off the screen.
    ProgressEnd,
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
    pub fn system(env: &Env) -> Self {
        if Stream::Err.is_terminal() && env.can_draw() { Self::Terminal } else { Self::File }
    }
}

/// Who reads standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// The host, or a person.
    #[default]
    Shared,
    /// A program that wants data and nothing else: a host's commands go to standard error, where it finds them too.
    Data,
}

/// One of the process's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Whether it is a terminal.
    pub fn is_terminal(self) -> bool {
        use std::io::IsTerminal as _;
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    /// How many columns the terminal has at this moment; none where it is none. One that does not say has 80.
    pub fn columns(self) -> Option<usize> {
        let size = match self {
            Self::Out => terminal_size::terminal_size_of(io::stdout()),
            Self::Err => terminal_size::terminal_size_of(io::stderr()),
        };
        let columns = size.map(|(terminal_size::Width(columns), _)| usize::from(columns));
        self.is_terminal().then(|| columns.filter(|columns| *columns > 0).unwrap_or(80))
    }
}

/// An error as log lines: what happened and why, then what to do.
pub fn explain(error: &Error) -> Vec<Effect> {
    let sentence = Line::of(Tone::Bad, "error:").with(Tone::Plain, format!(" {}", error.sentence())).hanging(2);
    std::iter::once(sentence).chain(error.hints.iter().map(|text| hint(text))).map(Effect::Say).collect()
}

/// Advice below an error.
pub(crate) fn hint(text: &str) -> Line {
    Line::of(Tone::Advice, "hint:").with(Tone::Plain, format!(" {text}")).hanging(2)
}

/// Carries effects out.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// How wide the terminal is that shows a stream, if one does.
    columns: fn(Stream) -> Option<usize>,
    paint: Paint,
    output: Output,
    bar: Option<Bar>,
    /// How many columns of the terminal's last line the bar takes; 0 where it is not drawn.
    drawn: usize,
    /// When there was first something to show.
    begun: Option<Instant>,
}

impl Screen {
    /// The process's own standard output and standard error.
    pub fn system() -> Self {
        // Consoles of Windows understand escapes once they are told to.
        #[cfg(windows)]
        let _ = anstyle_query::windows::enable_ansi_colors();
        let mut screen = Self::new(Box::new(io::stdout()), Box::new(io::stderr()));
        screen.columns = Stream::columns;
        screen
    }

    /// Prints commands to `out` and log lines to `err`, neither of which is a terminal.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        let (paint, output) = (Paint::default(), Output::default());
        Self { out, err, columns: |_| None, paint, output, bar: None, drawn: 0, begun: None }
    }

    /// Colours the log, or not.
    pub fn paint(&mut self, paint: Paint) {
        self.paint = paint;
    }

    /// How wide the terminal is that shows standard output, if one does.
    pub fn out_columns(&self) -> Option<usize> {
        (self.columns)(Stream::Out)
    }

    /// Keeps standard output for whoever reads it.
    pub fn keep_output(&mut self, output: Output) {
        self.output = output;
    }

    /// Carries out all effects, in order, and returns what did not work. That
    /// nobody reads a line any more is no error.
    pub fn apply(&mut self, effects: Vec<Effect>) -> Vec<Error> {
        effects.into_iter().filter_map(|effect| self.carry_out(effect).err()).collect()
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Log(text) => self.print(Stream::Err, &Line::of(Tone::Plain, text).safe().text()),
            Effect::Say(line) => self.say(&line.safe()),
            Effect::Command(command) if self.output == Output::Data => self.print(Stream::Err, &command),
            Effect::Command(line) | Effect::Data(line) => self.print(Stream::Out, &line),
            Effect::Bytes(bytes) => self.put(Stream::Out, &bytes),
            Effect::Mark(mark) => self.print(Stream::Err, &mark),
            Effect::Write(path, text) => NewFile::write(path, text.as_bytes()),
            Effect::Append(path, text) => {
                append(&path, &text).map_err(|error| file_error("could not be appended to", &path, error))
            }
            Effect::Progress(bar) => {
                self.begun.get_or_insert_with(Instant::now);
                self.bar = Some(bar);
                self.draw();
                Ok(())
            }
            Effect::ProgressEnd => {
                self.bar = None;
                self.erase();
                Ok(())
            }
        }
    }

    fn say(&mut self, line: &Line) -> Result<(), Error> {
        let lines = match (self.columns)(Stream::Err) {
            Some(columns) => line.fitted(columns),
            None => vec![line.clone()],
        };
        let text = |line: &Line| if self.paint == Paint::Colored { line.painted() } else { line.text() };
        let text = lines.iter().map(text).collect::<Vec<_>>().join("\n");
        self.print(Stream::Err, &text)
    }

    /// Prints a line above the bar.
    fn print(&mut self, to: Stream, line: &str) -> Result<(), Error> {
        self.put(to, format!("{line}\n").as_bytes())
    }

    fn put(&mut self, to: Stream, bytes: &[u8]) -> Result<(), Error> {
        self.erase();
        let to = if to == Stream::Out { &mut self.out } else { &mut self.err };
        let written = to.write_all(bytes).and_then(|()| to.flush());
        self.draw();
        match written {
            Err(error) if is_kept(&error) => Err(Error::internal("A line could not be printed.").because(error)),
            _ => Ok(()),
        }
    }

    /// Draws the bar as it is by now, at the width that the terminal has by now.
    pub fn draw(&mut self) {
        let (Some(bar), Some(columns)) = (&self.bar, (self.columns)(Stream::Err)) else { return };
        let line = bar.line(columns, self.begun.map(|begun| begun.elapsed()).unwrap_or_default()).safe();
        let text = if self.paint == Paint::Colored { line.painted() } else { line.text() };
        self.erase();
        self.drawn = line.length();
        self.write_bar(&text);
    }

    /// Takes the bar off the screen.
    fn erase(&mut self) {
        if self.drawn == 0 {
            return;
        }
        // A terminal that became narrower shows it in several rows.
        let rows = (self.columns)(Stream::Err).map_or(0, |columns| (self.drawn - 1) / columns);
        self.drawn = 0;
        let up = if rows > 0 { format!("\u{1b}[{rows}A") } else { String::new() };
        self.write_bar(&format!("\r{up}\u{1b}[J"));
    }

    fn write_bar(&mut self, text: &str) {
        // A bar has nowhere to report to that it cannot be drawn.
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.erase();
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, ErrorKind, Write};
    use std::sync::{Arc, Mutex};

    use super::{Bar, Effect, Line, Output, Paint, Screen, Tone};

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
        let failures = screen.apply(vec![
            Effect::Progress(Bar::default()),
            Effect::Log("said\n::error::x".to_owned()),
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
    fn a_bar_leaves_nothing_behind() {
        let err = Sink::default();
        let mut screen = Screen::new(Box::new(io::sink()), Box::new(err.clone()));
        screen.columns = |_| Some(30);
        let bar = || Effect::Progress(Bar { stage: "in progress".to_owned(), ..Bar::default() });
        assert!(screen.apply(vec![bar(), Effect::Log("said".to_owned())]).is_empty());
        let drawn = "◐ in progress  0s";
        assert_eq!(err.text(), format!("{drawn}\r\u{1b}[Jsaid\n{drawn}"));
        err.0.lock().unwrap().clear();
        // The terminal became narrower, so that the old line takes two rows.
        screen.columns = |_| Some(10);
        screen.draw();
        assert_eq!(err.text(), "\r\u{1b}[1A\u{1b}[J◐ in p");
        err.0.lock().unwrap().clear();
        drop(screen);
        assert_eq!(err.text(), "\r\u{1b}[J");
    }

    #[test]
    fn colours_and_widths_are_the_terminals() {
        let (out, err) = (Sink::default(), Sink::default());
        let mut screen = Screen::new(Box::new(out.clone()), Box::new(err.clone()));
        let say = || Effect::Say(Line::of(Tone::Caution, "Warning:").with(Tone::Plain, " a \u{1b}[2J b").hanging(2));
        assert!(screen.apply(vec![say()]).is_empty());
        screen.paint(Paint::Colored);
        screen.columns = |_| Some(13);
        screen.keep_output(Output::Data);
        let data = [Effect::Command("::notice::x".to_owned()), Effect::Data("{}".to_owned())];
        assert!(screen.apply([vec![say()], data.to_vec()].concat()).is_empty());
        let plain = "Warning: a \\u{1b}[2J b\n";
        let fitted = "\u{1b}[33mWarning:\u{1b}[0m a\n  \\u{1b}[2J b\n";
        assert_eq!(err.text(), format!("{plain}{fitted}::notice::x\n"));
        assert_eq!(out.text(), "{}\n");
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
}
