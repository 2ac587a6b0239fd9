//! One frame for every command: who hears its events, what a signal does, what
//! ends it, how its outcome is published, and its exit code.
//!
//! ```text
//! Session       host, events, publisher     every command
//! └ Connected   provider, deadline          once the inputs are planned
//!   └ Directory lock, journal, report       what keeps results
//! ```
//!
//! A command contains only what is particular to it. What is here runs in an
//! order that matters, from the outside in and back out:
//!
//! 1. The publisher is prepared before anything can fail that it could show.
//! 2. The directory is locked before anything in it is read or moved.
//! 3. `report.json` is written before anything is published: what is published names it.
//! 4. The host's outputs come before the publisher, which may be slow or fail:
//!    a workflow depends on the former only.
//! 5. The journal gets its closing record last. A run that is killed before its
//!    outcome was published has to be resumed.

mod connected;
mod directory;
mod links;
mod post;
mod set_aside;
mod updates;

use std::borrow::Cow;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

pub(crate) use self::connected::{Connected, connect};
pub(crate) use self::directory::{Directory, Warnings};
pub(crate) use self::post::recall;
use crate::dialects::{self, Name};
use crate::emitter::Events;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::formats::Format;
use crate::guard::Guard;
use crate::hosts::{Host, PublishOptions, Publisher, Reach};
use crate::inputs::{Connection, Reporting};
use crate::plan;
use crate::report::Report;
use crate::verdict::Verdict;
use crate::world::World;

/// The name of a report in the output directory.
pub(crate) const REPORT: &str = "report.json";

/// A command under way.
pub(crate) struct Session<'a> {
    /// The outside.
    pub(crate) world: &'a World,
    /// Whose language is spoken.
    pub(crate) host: &'a dyn Host,
    /// What happens, as the host is given it.
    pub(crate) events: Events<'a>,
    /// What shows the run through the host's API, where that is asked for and possible.
    publisher: Option<Box<dyn Publisher>>,
}

/// The inputs that every command with a report has.
pub(crate) struct Reported {
    /// How the provider is reached.
    pub(crate) connection: Connection,
    /// Where and how the outcome is reported.
    pub(crate) reporting: Reporting,
    /// The requests' paths and globs, as they were given.
    pub(crate) requests: Vec<String>,
    /// Other files that the command reads, or writes as the user asked.
    pub(crate) others: Vec<PathBuf>,
}

impl Reported {
    /// These inputs of a command.
    pub(crate) fn new(
        connection: &Connection,
        reporting: &Reporting,
        requests: &[String],
        others: Vec<PathBuf>,
    ) -> Self {
        Self { connection: connection.clone(), reporting: reporting.clone(), requests: requests.to_vec(), others }
    }

    /// The report of a command that is skipped for want of a key, if these inputs allow that.
    fn skipped(&self, world: &World) -> Option<Report> {
        if !plan::is_skipped(&self.connection, &self.reporting) {
            return None;
        }
        let vendor = dialects::choose(self.connection.provider.unwrap_or(Name::Openai));
        let mut report = Report::begin(vendor, String::new(), world.clock);
        Verdict::skipped().record(&mut report);
        Some(report)
    }
}

impl<'a> Session<'a> {
    /// Begins a command; first of all come warnings about the environment, then the file that inputs come from.
    pub(crate) fn begin(world: &'a World, host: &'a dyn Host) -> Self {
        let events = world.events(host);
        world.config.events().for_each(|event| events.emit(event));
        Self { world, host, events, publisher: None }
    }

    /// Carries out a command that reports, unless it is skipped for want of a key.
    pub(crate) async fn carry_out(
        mut self,
        inputs: &Reported,
        work: impl AsyncFnOnce(&Self) -> Result<Exit, Error>,
    ) -> Exit {
        let done = async {
            plan::named_files(&inputs.reporting, &inputs.requests, &inputs.others)?;
            let options = plan::publish_options(&inputs.reporting, &inputs.requests)?;
            self.publisher = self.find_publisher(options, inputs.connection.ca_file.as_ref())?;
            if let Some(report) = inputs.skipped(self.world) {
                self.publish(&report).await;
                return Ok(Exit::Ok);
            }
            work(&self).await
        };
        let done = Box::pin(done).await;
        if let Err(error) = &done {
            Box::pin(self.show_failure(&inputs.requests, error)).await;
        }
        self.end(done)
    }

    /// Shows what broke the command off, also where that was before there was a publisher, if the host has one that nobody
    /// has to ask for.
    async fn show_failure(&mut self, requests: &[String], error: &Error) {
        if self.publisher.is_none() {
            let options = PublishOptions { requests: plan::patterns(requests.to_vec()), ..PublishOptions::default() };
            let reach = Reach { ca_bundle: None, shutdown: &self.world.shutdown };
            self.publisher = self.host.publisher(&self.world.env, options, reach).unwrap_or_default();
        }
        if let Some(publisher) = self.publisher() {
            publisher.fail(error).await;
        }
    }

    /// Ends the command: explains what broke it off, and gives the exit code.
    pub(crate) fn end(&self, done: Result<Exit, Error>) -> Exit {
        let exit = done.unwrap_or_else(|error| {
            let error = self.world.config.locate(error);
            self.events.emit(Event::failed(&error));
            error.exit
        });
        self.world.exit(exit)
    }

    /// What shows the run through the host's API.
    pub(crate) fn publisher(&self) -> Option<&dyn Publisher> {
        self.publisher.as_deref()
    }

    /// What shows runs through the host's API, as these options ask. That there is
    /// none is a warning and not a reason to fail; a file that cannot be read is.
    pub(crate) fn find_publisher(
        &self,
        options: PublishOptions,
        ca_file: Option<&PathBuf>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        let ca_bundle = plan::ca_bundle(ca_file)?;
        let reach = Reach { ca_bundle: ca_bundle.as_deref(), shutdown: &self.world.shutdown };
        let found = self.host.publisher(&self.world.env, options, reach);
        Ok(found.unwrap_or_else(|error| {
            self.warn(format!("{}, so nothing is shown.", error.sentence().trim_end_matches('.')));
            None
        }))
    }

    /// Does the work, and meanwhile shows which batches there are.
    pub(crate) async fn updating<T>(&self, report: &Report, work: impl Future<Output = T>) -> T {
        match self.publisher() {
            Some(publisher) => updates::updating(publisher, report, &self.events, &self.world.shutdown, work).await,
            None => work.await,
        }
    }

    /// Publishes the outcome: first what a workflow depends on, then what may be slow to arrive.
    pub(crate) async fn publish(&self, report: &Report) {
        let shown = self.publish_to_host(report);
        if let Some(publisher) = self.publisher() {
            publisher.finish(&shown, &self.events).await;
        }
    }

    /// Publishes what a workflow depends on: outputs, summary and log. Returns the
    /// report as it must be shown elsewhere: a success whose outputs nobody can read is a failure.
    pub(crate) fn publish_to_host<'r>(&self, report: &'r Report) -> Cow<'r, Report> {
        self.world.apply(self.host.publish(report));
        let verdict = self.world.failure(|error| Verdict::of_error(error, Outcome::Failed));
        let Some(verdict) = verdict.filter(|_| report.exit_code == Exit::Ok.code()) else {
            self.world.print(|| Format::Json.render(report));
            return Cow::Borrowed(report);
        };
        let mut shown = report.clone();
        verdict.record(&mut shown);
        if let Some(path) = &shown.files.report
            && let Err(error) = directory::store(&shown, Path::new(path))
        {
            self.world.fail(&error);
        }
        self.world.print(|| Format::Json.render(&shown));
        Cow::Owned(shown)
    }

    /// What ends waits: this deadline, or a signal.
    pub(crate) fn guard(&self, deadline: Instant) -> Guard<'_> {
        let (shutdown, rng) = (&self.world.shutdown, self.world.rng.clone().into());
        Guard { deadline, shutdown, events: &self.events, rng }
    }

    /// Does the work. Meanwhile long silences are broken, the launcher is watched,
    /// and signals are answered: that one came, what it does (`on_signal`), and
    /// what a second one would do.
    pub(crate) async fn attended<T>(&self, on_signal: &'static str, work: impl Future<Output = T>) -> T {
        let shutdown = &self.world.shutdown;
        let answers = async {
            let signal = shutdown.first().await;
            self.events.emit(Event::Interrupted { signal, what: on_signal });
            let signal = shutdown.second().await;
            self.events.emit(Event::InterruptedAgain { signal });
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            // Before the work, which says what it does about it.
            never = answers => match never {},
            done = work => done,
            never = self.world.watch_launcher() => match never {},
            never = self.events.keep_alive() => match never {},
            never = self.world.draw() => match never {},
        }
    }

    /// A warning, which the report repeats.
    pub(crate) fn warn(&self, warning: impl Into<String>) {
        self.events.emit(Event::Warned(warning.into()));
    }
}
