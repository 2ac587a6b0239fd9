//! A terminal, or a CI system we do not know: nothing but the log. Where a
//! person looks on, one bar shows how far all requests and batches are.

use std::cell::RefCell;
use std::time::Duration;

use super::{Host, Identity, Options, closing, log, say};
use crate::effects::{Effect, LogTarget};
use crate::env::Env;
use crate::events::Event;
use crate::log_lines::LogLines;
use crate::report::Report;
use crate::values::Verbosity;

/// Nobody's CI.
pub(super) struct Terminal {
    options: Options,
    lines: RefCell<LogLines>,
    is_ci: bool,
}

impl Terminal {
    /// A log to this target. Nearly every CI system sets `CI`.
    pub(super) fn new(env: &Env, options: Options) -> Self {
        let lines = RefCell::new(LogLines::new(options.detail()));
        Self { options, lines, is_ci: env.get("CI").is_some() }
    }

    /// Whether somebody sees a bar move, and wants to.
    fn has_bar(&self) -> bool {
        self.options.log == LogTarget::Terminal && self.options.verbosity != Verbosity::Quiet
    }
}

impl Host for Terminal {
    fn is_ci(&self) -> bool {
        self.is_ci
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn time_limit(&self) -> Option<Duration> {
        None
    }

    fn event(&self, event: &Event) -> Vec<Effect> {
        let mut effects = say(log(&mut self.lines.borrow_mut(), event));
        if self.has_bar() {
            effects.extend(self.lines.borrow().overview().bar().map(Effect::Progress));
        }
        effects
    }

    fn publish(&self, report: &Report) -> Vec<Effect> {
        let clear = self.has_bar().then_some(Effect::ProgressEnd);
        clear.into_iter().chain(say(closing(report, self.options.verbosity))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Effect, Event, Host, LogTarget, Options, Terminal, Verbosity};
    use crate::bar::{Bar, Done, Unit};
    use crate::dialects::{Counts, Status};
    use crate::env::Env;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::options;

    fn polled(done: u64) -> Event {
        let (status, counts, age) = (Status::InProgress, Counts::of(10, done, 1), Duration::from_secs(60));
        Event::Polled { batch_id: "batch_1".to_owned(), status, counts, age }
    }

    fn terminal(log: LogTarget, verbosity: Verbosity) -> Terminal {
        Terminal::new(&Env::default(), Options { log, verbosity, ..options() })
    }

    /// What is printed, line by line.
    fn said(effects: &[Effect]) -> Vec<String> {
        let text = |effect: &Effect| match effect {
            Effect::Say(line) => Some(line.text()),
            Effect::Progress(_) | Effect::ProgressEnd => None,
            other => panic!("{other:?}"),
        };
        effects.iter().filter_map(text).collect()
    }

    #[test]
    fn a_system_that_we_do_not_know_is_a_ci_system_by_one_variable() {
        let is_ci = |env: &[(&str, &str)]| Terminal::new(&env.iter().copied().collect(), options()).is_ci();
        assert!(is_ci(&[("CI", "true")]) && !is_ci(&[]) && !is_ci(&[("CI", "")]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_sees_a_bar_and_a_log_has_lines() {
        let person = terminal(LogTarget::Terminal, Verbosity::Usual);
        let done = Some(Done { done: 4, total: 10, unit: Unit::Requests });
        let bar = Effect::Progress(Bar { stage: "in progress".to_owned(), done, ..Bar::default() });
        assert_eq!(person.event(&polled(3)), [bar]);
        let warned = person.event(&Event::Warned("x".to_owned()));
        assert!(matches!(&warned[..], [Effect::Say(line), Effect::Progress(_)] if line.text() == "Warning: x"));
        assert_eq!(person.publish(&samples::succeeded())[0], Effect::ProgressEnd);

        let file = terminal(LogTarget::File, Verbosity::Usual);
        assert_eq!(file.event(&Event::Uploading { sent: 1, total: 2 }), []);
        let lines = said(&file.event(&polled(3)));
        assert_eq!(lines, ["Batch batch_1 is in_progress, 4 of 10 done, 1 of them failed, 1m after its creation"]);
        assert!(said(&file.publish(&samples::succeeded())).len() > 3);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_shows_the_verdict_and_verbose_shows_every_poll() {
        let quiet = terminal(LogTarget::Terminal, Verbosity::Quiet);
        assert_eq!(quiet.event(&polled(3)), []);
        let closing = said(&quiet.publish(&samples::succeeded()));
        assert!(closing.len() == 1 && closing[0].starts_with("✓ All"), "{closing:?}");
        let failed = said(&quiet.publish(&samples::failed_validation()));
        assert!(failed.iter().any(|line| line.contains("Correct the lines above")), "{failed:?}");
        let verbose = terminal(LogTarget::File, Verbosity::Verbose);
        let lines: Vec<String> = (0..3).flat_map(|_| said(&verbose.event(&polled(3)))).collect();
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn hostile_text_adds_no_line_and_no_other_effect() {
        let file = terminal(LogTarget::File, Verbosity::Usual);
        let tame = said(&file.publish(&samples::hostile("tame"))).len();
        for text in HOSTILE {
            let lines = said(&file.publish(&samples::hostile(text)));
            assert_eq!(lines.len(), tame, "{text:?}");
            assert!(!lines.iter().any(|line| line.contains('\n')), "{text:?}");
        }
    }
}
