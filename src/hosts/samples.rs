//! What the tests of hosts share: a whole run of events, and what comes of effects.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Host, Language, Logged, Options};
use crate::clock::Clock;
use crate::effects::{Effect, LogTarget, Screen};
use crate::env::Env;
use crate::events::Event;
use crate::formats::samples;
use crate::report::Report;
use crate::values::{SummaryInput, Verbosity};

/// The usual options, of a job whose log is a file.
pub(super) fn options() -> Options {
    let clock = Clock::starting_at(Duration::from_secs(1_792_972_800));
    Options { summary: SummaryInput::Write, log: LogTarget::File, verbosity: Verbosity::Usual, clock }
}

/// The host that speaks like this.
pub(super) fn logged<L: Language>(language: L) -> Logged<L> {
    Logged::new(language, options())
}

/// No CI system.
pub(super) fn terminal() -> Box<dyn Host> {
    Box::new(super::terminal::Terminal::new(&Env::default(), options()))
}

/// Both streams, as one log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of a run with this report, some of whose events hold `text`. Files are not written.
pub(super) fn log_of(host: &dyn Host, report: &Report, text: &str) -> String {
    let text = || text.to_owned();
    let (batch_id, input_file_id) = (text(), text());
    let events = [
        Event::Started { title: text(), timeout: Duration::from_secs(60), deadline: text() },
        Event::Created { create: text(), batch_id, input_file_id, found: false },
        Event::Warned(text()),
        Event::Noticed(text()),
        Event::Cancelling { batch_id: text(), why: text() },
    ];
    let mut effects: Vec<Effect> = events.iter().flat_map(|event| host.event(event)).collect();
    effects.extend(host.publish(report));
    carried_out(effects)
}

/// Compares what a host makes of two runs, one with failures and one with faults in its requests, with tests/hosts: what a
/// person reads in the log, and the files after it.
pub(super) fn golden(name: &str, host: impl Fn() -> Box<dyn Host>) {
    let shown = |report: &Report| {
        let host = host();
        let (batch_id, input_file_id) = ("batch_1".to_owned(), "file-in".to_owned());
        let title = "batchstep 1.0.0, provider openai at https://api.openai.com".to_owned();
        let deadline = "2026-10-26T00:35:00Z".to_owned();
        let events = [
            Event::Started { title, timeout: Duration::from_secs(35 * 60), deadline },
            Event::Created { create: "c1".to_owned(), batch_id, input_file_id, found: false },
            Event::Warned("The provider's list of batches cannot be read.".to_owned()),
        ];
        let effects = events.iter().flat_map(|event| host.event(event)).collect::<Vec<_>>();
        let effects = [effects, host.publish(report)].concat();
        let file = |effect: &Effect| match effect {
            Effect::Write(path, text) => Some(format!("== {}\n{text}", path.display())),
            Effect::Append(path, text) => Some(format!("== added to {}\n{text}", path.display())),
            _ => None,
        };
        let files: String = effects.iter().filter_map(file).collect();
        format!("{}{files}", carried_out(effects))
    };
    let text = format!("{}\n{}", shown(&samples::partial()), shown(&samples::invalid()));
    let here = std::env::current_dir().unwrap().display().to_string();
    let text = text.replace(&here, "[here]").replace('\u{1b}', "[ESC]").replace('\r', "[CR]");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../tests/hosts");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// What effects print on both streams. Files are not written.
fn carried_out(effects: Vec<Effect>) -> String {
    let log = Log::default();
    let mut screen = Screen::new(Box::new(log.clone()), Box::new(log.clone()));
    let shown = effects.into_iter().filter(|effect| !matches!(effect, Effect::Write(..) | Effect::Append(..)));
    assert!(screen.apply(shown.collect()).is_empty());
    let bytes = log.0.lock().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The lines of the commands among these effects.
pub(super) fn commands(effects: &[Effect]) -> Vec<String> {
    let lines = effects.iter().filter_map(|effect| match effect {
        Effect::Command(lines) => Some(lines.lines().map(str::to_owned)),
        _ => None,
    });
    lines.flatten().collect()
}

/// What is written to a file of this name.
pub(super) fn written(effects: &[Effect], name: &str) -> String {
    let file = effects.iter().find_map(|effect| match effect {
        Effect::Write(path, text) if path.ends_with(name) => Some(text.clone()),
        _ => None,
    });
    file.unwrap_or_else(|| panic!("no {name} in {effects:?}"))
}
