//! CI systems that are addressed through the log and through files. Each one is a [`Language`]; [`Logged`] decides what is
//! said, and when, which is the same for all of them.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::{
    Annotation, Commit, Host, Identity, Ids, Job, Options, Outputs, PublishOptions, Publisher, Reach, annotations,
    closing, closing_runs, log,
};
use crate::clock::Clock;
use crate::effects::Effect;
use crate::env::Env;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::log_lines::LogLines;
use crate::outputs;
use crate::report::{Report, RunEntry};
use crate::styled::{Line, Tone};
use crate::values::Verbosity;
use crate::verdict::Verdict;

/// So many errors are shown on lines, one by one: the log has the others.
const MOST_ANNOTATIONS: usize = 10;

/// A CI system's own words. What a system has no word for is left at its default: the plain log says it.
pub(super) trait Language {
    /// The job, as the system tells it.
    fn job(&self) -> &Job;
    /// A line of the log.
    fn say(&self, line: Line) -> Effect {
        Effect::Say(line)
    }
    /// Begins the part of the log that people fold.
    fn fold(&self) -> Option<Effect> {
        None
    }
    /// Ends that part: what follows is what people look for.
    fn unfold(&self) -> Option<Effect> {
        None
    }
    /// A warning, in place of its line in the log.
    fn warning(&self, _text: &str) -> Option<Effect> {
        None
    }
    /// An error on a line of a file, in addition to the log.
    fn on_line(&self, _error: &Annotation) -> Option<Effect> {
        None
    }
    /// What the run came to, in addition to the log: sentences, the first of which says it all.
    fn verdict(&self, _standing: Standing, _sentences: &[&str]) -> Vec<Effect> {
        Vec::new()
    }
    /// Outputs for the steps and jobs that follow.
    fn export(&self, _outputs: &Outputs) -> Option<Effect> {
        None
    }
    /// What begins a reference to a variable, be it secret, which the system may resolve wherever an output is used:
    /// outputs with it in their values are exported empty.
    fn reference(&self) -> Option<&'static str> {
        None
    }
    /// What a report's own page and files become.
    fn show(&self, _report: &Report) -> Vec<Effect> {
        Vec::new()
    }
    /// What shows runs through the system's API, if the options ask for that.
    ///
    /// # Errors
    /// Why nothing can be shown there: a sentence that nothing else depends on.
    fn publisher(
        &self,
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        super::no_publisher(env, options, reach)
    }
}

/// How a run ended, as far as CI systems tell ends apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// All is well.
    Good,
    /// Some requests failed, as many as were allowed.
    Partial,
    /// The step fails.
    Bad,
}

impl Standing {
    /// The standing of a command that ended so.
    pub(super) fn of(outcome: Outcome, exit_code: u8) -> Self {
        match outcome {
            _ if exit_code != Exit::Ok.code() => Self::Bad,
            Outcome::Partial => Self::Partial,
            _ => Self::Good,
        }
    }
}

/// A CI system with such a language.
pub(super) struct Logged<L> {
    language: L,
    lines: RefCell<LogLines>,
    verbosity: Verbosity,
    clock: Clock,
    ids: RefCell<Ids>,
    exported: RefCell<Vec<(&'static str, String)>>,
    fold: Cell<Fold>,
}

/// Where the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    /// Nothing was said yet.
    Before,
    /// In the part that people fold.
    Inside,
    /// After it.
    After,
}

impl<L: Language> Logged<L> {
    /// A system that is spoken to like this.
    pub(super) fn new(language: L, options: Options) -> Self {
        Self {
            language,
            lines: RefCell::new(LogLines::new(options.detail())),
            verbosity: options.verbosity,
            clock: options.clock,
            ids: RefCell::default(),
            exported: RefCell::default(),
            fold: Cell::new(Fold::Before),
        }
    }

    /// Lines of the log, in the part that people fold.
    fn log(&self, lines: Vec<Line>) -> Vec<Effect> {
        let begins = !lines.is_empty() && self.fold.get() == Fold::Before && self.verbosity != Verbosity::Quiet;
        let fold = begins.then(|| {
            self.fold.set(Fold::Inside);
            self.language.fold()
        });
        fold.flatten().into_iter().chain(lines.into_iter().map(|line| self.language.say(line))).collect()
    }

    /// Lines that close the log.
    fn close(&self, lines: Vec<Line>) -> Vec<Effect> {
        let is_inside = self.fold.replace(Fold::After) == Fold::Inside;
        let unfold = is_inside.then(|| self.language.unfold()).flatten();
        unfold.into_iter().chain(lines.into_iter().map(|line| self.language.say(line))).collect()
    }

    /// Outputs for the steps and jobs that follow. Those that the system would change on their way are empty.
    fn export(&self, outputs: &Outputs) -> Option<Effect> {
        match self.language.reference() {
            Some(reference) => self.language.export(&without(reference, outputs)),
            None => self.language.export(outputs),
        }
    }

    /// Outputs at the end, with a warning of each one that is empty because the system would change it.
    fn export_last(&self, outputs: &Outputs) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.export(outputs).into_iter().collect();
        if let Some(reference) = self.language.reference() {
            warnings(reference, outputs).iter().for_each(|warning| effects.extend(self.event(warning)));
        }
        effects
    }

    /// The ids, if there are others than before.
    fn export_ids(&self) -> Option<Effect> {
        let ids = self.ids.borrow().outputs().to_vec();
        let is_known = ids.iter().all(|(_, value)| value.is_empty() || value == "[]") || *self.exported.borrow() == ids;
        self.exported.replace(ids.clone());
        if is_known { None } else { self.export(&ids) }
    }
}

/// The outputs with empty values in place of those with `reference` in them.
fn without(reference: &str, outputs: &Outputs) -> Vec<(&'static str, String)> {
    let kept = |value: &String| if value.contains(reference) { String::new() } else { value.clone() };
    outputs.iter().map(|(name, value)| (*name, kept(value))).collect()
}

/// Warnings of the outputs with `reference` in their values.
fn warnings(reference: &str, outputs: &Outputs) -> Vec<Event> {
    let changed = outputs.iter().filter(|(_, value)| value.contains(reference));
    let warning = |(name, _): &(&str, String)| {
        format!(
            "The output `{name}` is empty for later steps: this CI system may replace what follows `{reference}` in \
             its value."
        )
    };
    changed.map(warning).map(Event::Warned).collect()
}

impl<L: Language> Host for Logged<L> {
    fn identity(&self) -> Identity {
        self.language.job().identity.clone()
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.language.job().limit?.for_run(self.clock.now()))
    }

    fn publisher(
        &self,
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        self.language.publisher(env, options, reach)
    }

    fn commit(&self) -> Option<Commit> {
        self.language.job().commit.clone()
    }

    fn run_page(&self, run: &str) -> Option<String> {
        self.language.job().pages.as_ref()?.of_run(run)
    }

    fn event(&self, event: &Event) -> Vec<Effect> {
        self.ids.borrow_mut().hear(event);
        let lines = log(&mut self.lines.borrow_mut(), event);
        match event {
            Event::Warned(warning) => match self.language.warning(warning) {
                Some(shown) => self.log(Vec::new()).into_iter().chain([shown]).collect(),
                None => self.log(lines),
            },
            Event::Failed { outcome, sentence, hints } => {
                let sentences: Vec<&str> = std::iter::once(sentence).chain(hints).map(String::as_str).collect();
                let outcome = self.export(&[("outcome", outcome.word().to_owned())]).into_iter();
                let verdict = self.language.verdict(Standing::Bad, &sentences);
                outcome.chain(self.close(lines)).chain(verdict).collect()
            }
            // The ids come first: they matter even if the log cannot be written.
            _ => self.export_ids().into_iter().chain(self.log(lines)).collect(),
        }
    }

    fn note(&self, sentence: &str) -> Vec<Effect> {
        self.close(vec![Line::of(Tone::Plain, sentence)])
    }

    fn publish(&self, report: &Report) -> Vec<Effect> {
        let mut effects = self.export_last(&outputs::of(report));
        effects.extend(self.close(closing(report, self.verbosity)));
        effects.extend(self.language.show(report));
        let errors = annotations(report, self.language.job().workspace.as_deref());
        effects.extend(errors.iter().take(MOST_ANNOTATIONS).filter_map(|error| self.language.on_line(error)));
        let sentences: Vec<&str> = std::iter::once(&report.reason).chain(&report.hints).map(String::as_str).collect();
        effects.extend(self.language.verdict(Standing::of(report.outcome, report.exit_code), &sentences));
        effects
    }

    fn publish_runs(&self, verdict: &Verdict, runs: &[RunEntry]) -> Vec<Effect> {
        let exported = self.export_last(&outputs::of_runs(verdict.outcome, runs));
        let shown = self.language.verdict(Standing::of(verdict.outcome, verdict.exit.code()), &[&verdict.reason]);
        exported.into_iter().chain(self.close(closing_runs(verdict, runs))).chain(shown).collect()
    }
}
