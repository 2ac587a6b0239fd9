//! `batchstep run`, the whole life of a batch, and `batchstep submit`, its beginning.

use tokio::time::Instant;

use super::check::check_requests;
use super::gather::{Gatherer, Order};
use super::{board, connect, failed, publish, set_earlier_aside, write_report};
use crate::api::Api;
use crate::batch::phases::Phases;
use crate::batch::submit::Submission;
use crate::batch::{Driver, Ended, Parting};
use crate::clock::rfc3339;
use crate::emitter::Events;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::hosts::{Board, Host};
use crate::identity;
use crate::inputs;
use crate::journal::{self, Journal, Line, Record};
use crate::patience::{Guard, Stop};
use crate::plan::{self, Plan, Server};
use crate::providers::{self, Name};
use crate::report::{BatchReport, Report};
use crate::requests::Checked;
use crate::requests::source::{self, Source};
use crate::results::Results;
use crate::verdict::{self, Verdict};
use crate::wire::{Batch, Status};
use crate::world::World;

/// `batchstep run`: check, attach or submit, wait, collect, report.
pub async fn run(inputs: inputs::Run, world: &World) -> Exit {
    let (reporting, requests) = (inputs.reporting.clone(), inputs.work.requests.clone());
    let connection = inputs.connection.clone();
    carry_out(world, &reporting, &requests, &connection, |host| Plan::run(inputs, host)).await
}

/// `batchstep submit`: check, attach or submit, and leave.
pub async fn submit(inputs: inputs::Submit, world: &World) -> Exit {
    let (reporting, requests) = (inputs.reporting.clone(), inputs.work.requests.clone());
    let connection = inputs.connection.clone();
    carry_out(world, &reporting, &requests, &connection, |host| Plan::submit(inputs, host)).await
}

async fn carry_out(
    world: &World,
    reporting: &inputs::Reporting,
    requests: &[String],
    connection: &inputs::Connection,
    plan: impl FnOnce(&dyn Host) -> Result<(Plan, Server), Error>,
) -> Exit {
    let host = world.host(reporting.ci, reporting.summary);
    let (host, events) = (host.as_ref(), world.events(host.as_ref()));
    let work = async {
        let ca_bundle = plan::ca_bundle(connection.ca_file.as_ref())?;
        let board = board(host, world, &events, reporting, requests, ca_bundle.as_deref())?;
        if plan::is_skipped(connection, reporting) {
            let provider = providers::choose(connection.provider.unwrap_or(Name::Openai));
            let mut report = Report::begin(provider.as_ref(), String::new(), world.clock);
            Verdict::skipped().record(&mut report);
            publish(host, board.as_ref(), world, &events, &report).await;
            return Ok(Exit::Ok);
        }
        let (plan, server) = plan(host)?;
        let mut run = Run::begin(plan, server, host, board.as_ref(), world, &events).await?;
        let exit = Box::pin(run.go()).await;
        publish(host, board.as_ref(), world, &events, &run.report).await;
        run.close();
        Ok(exit)
    };
    let done: Result<Exit, Error> = tokio::select! {
        done = work => done,
        never = events.keep_alive() => match never {},
    };
    world.exit(done.unwrap_or_else(|error| failed(&error, &events)))
}

/// A run under way.
struct Run<'a> {
    plan: Plan,
    host: &'a dyn Host,
    board: Option<&'a Board>,
    world: &'a World,
    events: &'a Events<'a>,
    api: Api,
    journal: Journal,
    /// What earlier runs wrote into it.
    earlier: Vec<Line>,
    phases: Phases,
    deadline: Instant,
    report: Report,
    /// Whether nothing is left at the provider that a later run should take up.
    is_closed: bool,
}

impl<'a> Run<'a> {
    /// Gets everything ready that can be wrong without the network.
    async fn begin(
        plan: Plan,
        server: Server,
        host: &'a dyn Host,
        board: Option<&'a Board>,
        world: &'a World,
        events: &'a Events<'a>,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + plan.timeout;
        let ends = world.clock.unix().saturating_add(plan.timeout.as_secs().try_into().unwrap_or(i64::MAX));
        let api = connect(server, world.clock).await?;
        let (journal, earlier) = Journal::open(&plan.output_dir, world.clock)?;
        let title = title(&api);
        events.emit(Event::Started { title, timeout: plan.timeout, deadline: rfc3339(ends) });
        let mut report = Report::begin(api.provider(), api.origin(), world.clock);
        report.max_failed = plan.max_failed.to_string();
        let phases = Phases::default();
        let is_closed = false;
        Ok(Self { plan, host, board, world, events, api, journal, earlier, phases, deadline, report, is_closed })
    }

    /// Runs all stages, judges, and writes the report.
    async fn go(&mut self) -> Exit {
        let verdict = match Box::pin(self.stages()).await {
            Ok(verdict) => verdict,
            Err(stop) => verdict::judge(Some(&stop), None, None, self.plan.max_failed),
        };
        let exit = verdict.exit;
        verdict.record(&mut self.report);
        self.report.warnings = self.events.warnings();
        self.report.simulated |= self.api.is_simulated();
        self.report.phases = self.phases.finish();
        self.report.ended_at = rfc3339(self.world.clock.unix());
        write_report(&mut self.report, &self.plan.output_dir, exit)
    }

    /// The journal's closing record, once all is told: until then a run that is
    /// killed would have to be taken up.
    fn close(&self) {
        let outcome = self.report.outcome.word().to_owned();
        if self.is_closed
            && let Err(error) = self.journal.note(Record::Closed { outcome })
        {
            self.events
                .emit(Event::Warned(format!("{} The next run collects the same batch again.", error.sentence())));
        }
    }

    /// Check, obtain a batch, wait, collect: the verdict on what came of it.
    async fn stages(&mut self) -> Result<Verdict, Stop> {
        self.phases.begin("check");
        let guard = self.guard();
        let source = guard.guard(source::resolve(&self.plan.requests)).await??;
        let checked = guard.guard(check_requests(&source, self.plan.rules.clone(), self.events)).await??;
        self.report.asked(&source, &checked);
        if checked.fault_count > 0 {
            return Ok(Verdict::invalid(checked.fault_count));
        }
        let mut work = self.submission(&source, &checked);
        self.report.requests.key = Some(work.key.clone());
        self.journal.note(Record::Run {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: self.api.origin(),
            key: work.key.clone(),
            total: checked.total,
        })?;
        set_earlier_aside(&self.plan.output_dir)?;
        if let Some(board) = self.board {
            let check = board.open(&self.report, self.plan.max_failed, self.events);
            work.check = guard.guard(check).await?.map(|check| check.to_string());
        }
        let ended = Box::pin(self.drive(&guard, &work)).await;
        let attached = ended.progress.attached.clone();
        let batches = ended.progress.batch.iter();
        self.report.batches.extend(batches.map(|batch| BatchReport::new(batch, &checked.places, attached.clone())));
        let collected = match &ended.progress.batch {
            Some(batch) if self.plan.waits && batch.status.is_terminal() && may_collect(&ended) => {
                Some(self.collect(&guard, batch, &source, checked).await)
            }
            _ => None,
        };
        self.conclude(ended, collected)
    }

    /// Drives the batch through its life, and lets the board name it meanwhile.
    async fn drive(&self, guard: &Guard<'_>, work: &Submission<'_>) -> Ended {
        let driver = self.driver(guard);
        let drive = async { if self.plan.waits { driver.drive(work).await } else { driver.submit(work).await } };
        let Some(board) = self.board else { return drive.await };
        let (running, over) = tokio::sync::oneshot::channel::<()>();
        let drive = async {
            let ended = drive.await;
            drop(running);
            ended
        };
        tokio::join!(drive, board.follow(&self.report, self.events, over)).0
    }

    fn guard(&self) -> Guard<'a> {
        Guard {
            deadline: self.deadline,
            shutdown: &self.world.shutdown,
            events: self.events,
            rng: self.world.rng.clone().into(),
        }
    }

    fn driver<'d>(&'d self, guard: &'d Guard<'d>) -> Driver<'d> {
        Driver {
            api: &self.api,
            guard,
            journal: &self.journal,
            clock: self.world.clock,
            phases: &self.phases,
            poll_interval: self.plan.poll_interval,
            on_timeout: self.plan.on_timeout,
            on_abort: self.plan.on_abort,
        }
    }

    fn submission<'s>(&self, source: &'s Source, checked: &Checked) -> Submission<'s> {
        let endpoint = checked.endpoint.clone().unwrap_or_default();
        let identity = self.host.identity();
        let key = identity::key(checked.digest, &endpoint, &self.plan.window);
        Submission {
            source,
            digest: checked.digest,
            left: journal::left(&self.earlier, &self.api.origin(), &key),
            key,
            endpoint,
            window: self.plan.window.clone(),
            repo: identity.repo,
            run: identity.run,
            check: None,
            metadata: self.plan.metadata.clone(),
            expires_after: self.plan.expires_after,
            output_expires_after: self.plan.output_expires_after,
            armed: self.plan.on_abort == Parting::Cancel && !self.plan.in_process,
            reuse: self.plan.reuse,
        }
    }

    fn gatherer<'g>(&'g self, guard: &'g Guard<'g>) -> Gatherer<'g> {
        let output_dir = &self.plan.output_dir;
        Gatherer { api: &self.api, guard, events: self.events, journal: &self.journal, output_dir }
    }

    /// Downloads and reconciles what a batch that is over has to give.
    async fn collect(
        &self,
        guard: &Guard<'_>,
        batch: &Batch,
        source: &Source,
        checked: Checked,
    ) -> Result<Results, Stop> {
        self.phases.begin("collect");
        let order = Order::Requests { source: source.clone(), ids: checked.ids, total: checked.total };
        self.gatherer(guard).gather(&[batch], order).await
    }

    /// Fills the report with how it ended, and judges.
    fn conclude(&mut self, ended: Ended, collected: Option<Result<Results, Stop>>) -> Result<Verdict, Stop> {
        let Ended { progress, stop } = ended;
        self.report.input_file_id = progress.file_id.clone();
        let batch = progress.batch.as_ref();
        let (counts, stop) = match collected {
            Some(Ok(results)) => {
                let counts = results.counts;
                let mut report = self.report.clone();
                let guard = self.guard();
                self.gatherer(&guard).record(results, &batch.into_iter().collect::<Vec<_>>(), &mut report);
                self.report = report;
                (Some(counts), stop)
            }
            Some(Err(failed)) => (None, Some(failed)),
            None => (None, stop),
        };
        let verdict = match (&stop, batch) {
            (None, Some(batch)) if !self.plan.waits => Verdict::submitted(batch, progress.attached.is_some()),
            _ => verdict::judge(
                stop.as_ref(),
                batch.map(|batch| (batch, progress.is_foreign())),
                counts,
                self.plan.max_failed,
            ),
        };
        if is_settled(batch, progress.in_doubt) || progress.is_foreign() {
            self.events.emit(Event::Settled);
        }
        self.is_closed = self.plan.waits && is_closed(stop.as_ref(), batch, progress.in_doubt);
        Ok(verdict)
    }
}

/// What runs, in the log's first line.
pub(super) fn title(api: &Api) -> String {
    let name = api.provider().name();
    format!("batchstep {}, provider {name} at {}", env!("CARGO_PKG_VERSION"), api.origin())
}

/// Whether there is anybody left to collect for: not after a signal or a failure.
fn may_collect(ended: &Ended) -> bool {
    matches!(ended.stop, None | Some(Stop::Deadline))
}

/// Whether nothing runs at the provider that somebody would have to end.
fn is_settled(batch: Option<&Batch>, in_doubt: bool) -> bool {
    batch.map_or(!in_doubt, |batch| batch.status.is_terminal() || batch.status == Status::Cancelling)
}

/// Whether nothing is left at the provider that a later run should take up:
/// then the journal gets its closing record.
pub(super) fn is_closed(stop: Option<&Stop>, batch: Option<&Batch>, in_doubt: bool) -> bool {
    match (stop, batch) {
        (_, None) => !in_doubt,
        (None | Some(Stop::Deadline), Some(batch)) => batch.status.is_terminal(),
        (Some(Stop::Signal(_)), Some(batch)) => batch.status == Status::Cancelling || batch.status == Status::Cancelled,
        (Some(Stop::Detached(_) | Stop::HandedOver | Stop::Failed(_) | Stop::Unknown(_)), Some(_)) => false,
    }
}
