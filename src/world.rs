//! What a command gets from the outside: the environment, the time, the order
//! to stop, and the place where effects are carried out.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::clock::Clock;
use crate::config::Config;
use crate::effects::{Effect, LogTarget, Output, Screen, explain};
use crate::emitter::{Events, Shown};
use crate::env::{Env, Setting};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::hosts::{self, Host, NamedFiles};
use crate::inputs::{Cli, Command, Reporting};
use crate::launcher::Launcher;
use crate::plan;
use crate::policy::REDRAW;
use crate::shutdown::Shutdown;
use crate::values::{Ci, SummaryInput, Verbosity};
use crate::variables::Unknown;

/// The outside world, as values.
pub struct World {
    /// The environment.
    pub env: Env,
    /// What `batchstep.toml` sets for this command.
    pub config: Config,
    /// The time of day.
    pub clock: Clock,
    /// The order to stop.
    pub shutdown: Shutdown,
    /// Where the log goes.
    pub log: LogTarget,
    /// Who uses us; a machine, unless it is known better.
    pub setting: Setting,
    /// Who started this process on behalf of a CI system, where that is to be watched.
    pub launcher: Option<Launcher>,
    /// How much the log says.
    pub verbosity: Verbosity,
    /// Who reads standard output.
    pub output: Output,
    /// Where jitter comes from.
    pub rng: fastrand::Rng,
    screen: RefCell<Screen>,
    /// What could not be written, first of all.
    failed: RefCell<Option<Error>>,
}

impl World {
    /// Puts a world together.
    pub fn new(env: Env, clock: Clock, shutdown: Shutdown, log: LogTarget, screen: Screen) -> Self {
        let (screen, failed) = (RefCell::new(screen), RefCell::default());
        let (setting, launcher, rng) = (Setting::Ci, None, fastrand::Rng::new());
        let (verbosity, output, config) = (Verbosity::default(), Output::default(), Config::default());
        Self { env, config, clock, shutdown, log, setting, launcher, verbosity, output, rng, screen, failed }
    }

    /// Looks as this command asks.
    pub fn look(&mut self, command: &Command) {
        self.verbosity = command.looks().verbosity();
        self.output = command.output();
        self.screen.get_mut().keep_output(self.output);
    }

    /// How wide the terminal is that shows standard output, if one does.
    pub(crate) fn out_columns(&self) -> Option<usize> {
        self.screen.borrow().out_columns()
    }

    /// Prints a report for the program that asked for it.
    pub(crate) fn print(&self, json: impl FnOnce() -> String) {
        if self.output == Output::Data {
            self.apply(json().lines().map(|line| Effect::Data(line.to_owned())).collect());
        }
    }

    /// Draws the progress bar again and again; never ends.
    pub(crate) async fn draw(&self) -> Infallible {
        if self.log == LogTarget::File {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(REDRAW).await;
            self.screen.borrow_mut().draw();
        }
    }

    /// Finds the host of a command that reports. Files that may not be written are left out: the command ends for them.
    pub(crate) fn reporting_host(
        &self,
        reporting: &Reporting,
        requests: &[String],
        others: &[PathBuf],
    ) -> Box<dyn Host> {
        let files = plan::named_files(reporting, requests, others).unwrap_or_default();
        let options = hosts::Options { summary: reporting.summary.unwrap_or(SummaryInput::Write), ..self.options() };
        hosts::detect(&self.env, reporting.ci.unwrap_or_default(), options, files)
    }

    /// Finds the host.
    pub(crate) fn host(&self, ci: Option<Ci>) -> Box<dyn Host> {
        hosts::detect(&self.env, ci.unwrap_or_default(), self.options(), NamedFiles::default())
    }

    fn options(&self) -> hosts::Options {
        let (log, verbosity, clock) = (self.log, self.verbosity, self.clock);
        hosts::Options { summary: SummaryInput::Write, log, verbosity, clock }
    }

    /// Who uses us, as far as defaults go: where a host was chosen, its ways count.
    pub(crate) fn setting(&self, host: &dyn Host) -> Setting {
        if host.is_ci() { Setting::Ci } else { self.setting }
    }

    /// Events that a host turns into effects. The first are about the environment.
    pub(crate) fn events<'a>(&'a self, host: &'a dyn Host) -> Events<'a> {
        let events = Events::new(move |event| {
            let effects = host.event(event);
            let is_said = |effect: &Effect| matches!(effect, Effect::Log(_) | Effect::Say(_) | Effect::Command(_));
            let shown = if effects.iter().any(is_said) { Shown::Said } else { Shown::Unsaid };
            self.apply(effects);
            // From here on `post` knows what it may have to end. If the launcher was gone before
            // that, `post` may be over already, so nothing may be created any more.
            if matches!(event, Event::Creating { .. }) {
                self.look_for_launcher();
            }
            shown
        });
        self.misspelt().into_iter().for_each(|warning| events.emit(Event::Warned(warning)));
        events
    }

    /// A warning for each variable that looks like an input and is none.
    pub(crate) fn misspelt(&self) -> Vec<String> {
        let warning = |Unknown { name, nearest }| {
            let nearest = nearest.map(|nearest| format!(" Did you mean {nearest}?")).unwrap_or_default();
            format!("The variable {name} is not used: batchstep has no such input.{nearest}")
        };
        self.env.unknown(&Cli::command()).into_iter().map(warning).collect()
    }

    /// Warns of proxies that calls would silently go past. What their variables hold may be a password.
    pub(crate) fn warn_of_proxies(&self) {
        let host = self.host(None);
        let events = self.events(host.as_ref());
        for name in self.env.unusable_proxies() {
            events.emit(Event::Warned(format!(
                "`{name}` is not the address of an http proxy, so calls may go past the proxy. Write it as \
                 `http://proxy.example:3128`, with `/`, `#`, `@` and the like in a password percent-encoded."
            )));
        }
    }

    /// Orders a stop when the launcher is gone; never ends.
    pub(crate) async fn watch_launcher(&self) -> Infallible {
        if let Some(launcher) = &self.launcher {
            launcher.watch().await;
            self.say_that_the_launcher_is_gone();
        }
        std::future::pending().await
    }

    fn look_for_launcher(&self) {
        if self.launcher.as_ref().is_some_and(Launcher::look) {
            self.say_that_the_launcher_is_gone();
        }
    }

    fn say_that_the_launcher_is_gone(&self) {
        self.apply(vec![Effect::Log("The action's launcher is gone, so the run ends as on SIGTERM.".to_owned())]);
    }

    /// Carries effects out. What does not work is said, and remembered.
    pub(crate) fn apply(&self, effects: Vec<Effect>) {
        let mut screen = self.screen.borrow_mut();
        for error in screen.apply(effects) {
            // An error of the log itself has nowhere left to go.
            drop(screen.apply(explain(&error)));
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// What a first effect that did not work comes to, if there was one.
    pub(crate) fn failure<T>(&self, judge: impl FnOnce(&Error) -> T) -> Option<T> {
        self.failed.borrow().as_ref().map(judge)
    }

    /// The exit code, or 1 if outputs could not be written: a workflow that
    /// cannot read what a run found must not take it for a success.
    pub(crate) fn exit(&self, exit: Exit) -> Exit {
        match exit {
            Exit::Signal(_) => exit,
            _ if self.failed.borrow().is_some() => Exit::Internal,
            _ => exit,
        }
    }

    /// Explains an error and gives its exit code.
    pub(crate) fn fail(&self, error: &Error) -> Exit {
        self.apply(explain(error));
        error.exit
    }
}
