//! The pipeline: what `run` and `check` do, stage by stage.

use tokio::time::Instant;

use crate::api::Api;
use crate::batch::cancel::Canceller;
use crate::batch::collect::Collector;
use crate::batch::phases::Phases;
use crate::batch::submit::Submission;
use crate::batch::{CANCELLING, Driver, Ended, OnAbort};
use crate::client::Client;
use crate::clock::{Clock, rfc3339};
use crate::effects::{NewFile, set_aside};
use crate::emitter::Events;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::formats::Format;
use crate::hosts::{self, Board, Host, Wishes};
use crate::identity;
use crate::inputs;
use crate::journal::{self, Journal, Record};
use crate::patience::{Guard, Stop};
use crate::plan::{self, Plan, Server};
use crate::providers::{self, Name};
use crate::report::{BatchReport, Report};
use crate::requests::source::{self, Source};
use crate::requests::{self, Checked, Rules};
use crate::results::{self, Results};
use crate::sandbox::Sandbox;
use crate::verdict::{self, Verdict};
use crate::wire::{Batch, Status};
use crate::world::World;

/// `batchstep run`: the whole life of a batch.
pub async fn run(inputs: inputs::Run, world: &World) -> Exit {
    let host = world.host(inputs.reporting.ci, inputs.reporting.summary);
    let events = world.events(host.as_ref());
    let work = async {
        let wishes = plan::wishes(&inputs.reporting, &inputs.work.requests)?;
        let ca_bundle = plan::ca_bundle(inputs.connection.ca_file.as_ref())?;
        let board = board(host.as_ref(), world, &events, wishes, ca_bundle.as_deref());
        if plan::is_skipped(&inputs) {
            let provider = providers::choose(inputs.connection.provider.unwrap_or(Name::Openai));
            let mut report = Report::begin(provider.as_ref(), String::new(), world.clock);
            Verdict::skipped().record(&mut report);
            publish(host.as_ref(), board.as_ref(), world, &events, &report).await;
            return Ok(Exit::Ok);
        }
        let (plan, server) = Plan::new(inputs, host.as_ref())?;
        let run = Run::begin(plan, server, host.as_ref(), board.as_ref(), world, &events).await?;
        let (report, exit) = run.finish().await;
        publish(host.as_ref(), board.as_ref(), world, &events, &report).await;
        Ok(exit)
    };
    let done: Result<Exit, Error> = tokio::select! {
        done = work => done,
        never = events.keep_alive() => match never {},
    };
    world.exit(done.unwrap_or_else(|error| failed(&error, &events)))
}

/// Where the host shows runs through its API. That there is none is no reason not to run.
fn board(
    host: &dyn Host,
    world: &World,
    events: &Events<'_>,
    wishes: Wishes,
    ca_bundle: Option<&[u8]>,
) -> Option<Board> {
    hosts::board(host, &world.env, wishes, ca_bundle, &world.shutdown).unwrap_or_else(|error| {
        events.emit(Event::Warned(format!("{}: nothing is shown there.", error.sentence().trim_end_matches('.'))));
        None
    })
}

/// Tells how it ended: first what a workflow depends on, then what may be slow to arrive.
async fn publish(host: &dyn Host, board: Option<&Board>, world: &World, events: &Events<'_>, report: &Report) {
    world.apply(host.publish(report));
    if let Some(board) = board {
        board.publish(report, events).await;
    }
}

/// `batchstep check`: what `run` does before it touches the network.
pub async fn check(inputs: inputs::Check, world: &World) -> Exit {
    let host = world.host(inputs.ci, None);
    let events = world.events(host.as_ref());
    let provider = providers::choose(inputs.provider.unwrap_or(Name::Openai));
    let rules = Rules { endpoint: inputs.work.endpoint, ..provider.rules() };
    let done: Result<Exit, Error> = async {
        let source = source::resolve(&plan::patterns(inputs.work.requests)).await?;
        let checked = check_requests(&source, rules, &events).await?;
        let verdict = match checked.fault_count {
            0 => Verdict::valid(),
            faults => Verdict::invalid(faults),
        };
        let exit = verdict.exit;
        let mut report = Report::begin(provider.as_ref(), String::new(), world.clock);
        report.asked(&source, &checked);
        report.warnings = events.warnings();
        verdict.record(&mut report);
        world.apply(host.publish(&report));
        Ok(exit)
    }
    .await;
    world.exit(done.unwrap_or_else(|error| failed(&error, &events)))
}

/// `batchstep cancel`: ends what another run left behind.
pub async fn cancel(inputs: inputs::Cancel, world: &World) -> Exit {
    let host = world.host(inputs.ci, None);
    let events = world.events(host.as_ref());
    let (check, token) = (inputs.check, plan::github_token(inputs.github_token.as_ref()));
    let ca_bundle = plan::ca_bundle(inputs.connection.ca_file.as_ref());
    let done: Result<(), Error> = async {
        if inputs.batch_id.is_empty() && inputs.create.is_none() {
            if check.is_some() {
                return Ok(());
            }
            return Err(Error::usage("There is nothing to cancel.").hint("Name batches, or a create with `--create`."));
        }
        let api = connect(Server::remote(inputs.connection)?, world.clock).await?;
        let guard = Guard {
            deadline: Instant::now() + inputs.timeout.unwrap_or(CANCELLING),
            shutdown: &world.shutdown,
            events: &events,
            rng: world.rng.clone().into(),
        };
        let canceller = Canceller { api: &api, guard: &guard, clock: world.clock };
        let mut ids = inputs.batch_id;
        // Where the batch is known, it need not be looked for: not every server lists batches.
        if let (Some(create), true) = (&inputs.create, ids.is_empty()) {
            let found = canceller.find(create).await.map_err(stopped)?;
            ids.extend(found.into_iter().map(|batch| batch.id));
            if ids.is_empty() {
                world.apply(host.note("No batch came from that create; there is nothing to cancel."));
            }
        }
        for id in ids {
            let batch = canceller.end(&id).await.map_err(stopped)?;
            let is = if batch.status.is_terminal() { batch.status.word() } else { "being cancelled" };
            world.apply(host.note(&format!("Batch `{id}`, which a run left behind, is {is}.")));
        }
        Ok(())
    }
    .await;
    if let Some(id) = check {
        let wishes = token.map(|token| Wishes { check_run: true, token, ..Wishes::default() });
        if let (Ok(wishes), Ok(ca_bundle)) = (wishes, ca_bundle)
            && let Some(board) = board(host.as_ref(), world, &events, wishes, ca_bundle.as_deref())
            && let Err(warning) = board.abandon(id, world.clock.unix()).await
        {
            events.emit(Event::Warned(warning));
        }
    }
    world.exit(done.map_or_else(|error| failed(&error, &events), |()| Exit::Ok))
}

/// What broke a command off that has nothing to put in order.
fn stopped(stop: Stop) -> Error {
    match stop {
        Stop::Failed(error) | Stop::Unknown(error) => error,
        Stop::Deadline => Error::refused("Time was up."),
        // The command is ended by the same signal before this is told.
        Stop::Signal(signal) | Stop::Detached(signal) => Error::new(Exit::Signal(signal), "A signal came."),
    }
}

/// Tells of an error that left nothing to report on.
fn failed(error: &Error, events: &Events<'_>) -> Exit {
    events.emit(Event::Failed { sentence: error.sentence(), hints: error.hints.clone() });
    error.exit
}

/// Checks beside the runtime, so that a signal is heard meanwhile, and tells what was found.
async fn check_requests(source: &Source, rules: Rules, events: &Events<'_>) -> Result<Checked, Error> {
    let reading = source.clone();
    let checking = tokio::task::spawn_blocking(move || requests::check(&reading, &rules));
    let checked = checking.await.map_err(|error| Error::internal("The check broke down.").because(error))??;
    for warning in &checked.warnings {
        events.emit(Event::Warned(warning.clone()));
    }
    if checked.fault_count == 0 {
        events.emit(Event::Checked {
            requests: checked.total,
            bytes: checked.bytes,
            endpoint: checked.endpoint.clone().unwrap_or_default(),
            model: checked.model.clone(),
        });
    }
    Ok(checked)
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
    phases: Phases,
    deadline: Instant,
    report: Report,
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
        let name = api.provider().name();
        let title = format!("batchstep {}, provider {name} at {}", env!("CARGO_PKG_VERSION"), api.origin());
        events.emit(Event::Started { title, timeout: plan.timeout, deadline: rfc3339(ends) });
        if let Some(left) = journal::left_behind(&earlier) {
            events.emit(Event::Warned(format!(
                "An earlier run left {left} behind without its results; this run does not take it up."
            )));
        }
        let report = Report::begin(api.provider(), api.origin(), world.clock);
        Ok(Self { plan, host, board, world, events, api, journal, phases: Phases::default(), deadline, report })
    }

    /// Runs all stages, judges, and writes the report.
    async fn finish(mut self) -> (Report, Exit) {
        let verdict = match self.stages().await {
            Ok(verdict) => verdict,
            Err(stop) => verdict::judge(Some(&stop), None, None, self.plan.max_failed),
        };
        let mut exit = verdict.exit;
        verdict.record(&mut self.report);
        self.report.max_failed = self.plan.max_failed.to_string();
        self.report.warnings = self.events.warnings();
        self.report.simulated |= self.api.is_simulated();
        self.report.phases = self.phases.finish();
        self.report.ended_at = rfc3339(self.world.clock.unix());
        if let Err(error) = self.write_report() {
            // The host still gets the ids, the counts and what failed first, but nothing that looks like success.
            match exit {
                Exit::Ok => Verdict::of_error(&error, Outcome::Failed).record(&mut self.report),
                _ => self.report.warnings.push(error.sentence()),
            }
            if !matches!(exit, Exit::Signal(_)) {
                exit = error.exit;
            }
            self.report.exit_code = exit.code();
            self.report.files.report = None;
        }
        (self.report, exit)
    }

    fn write_report(&mut self) -> Result<(), Error> {
        let path = self.plan.output_dir.join("report.json");
        self.report.files.report = Some(path.display().to_string());
        let mut file = NewFile::create(path)?;
        file.put(Format::Json.render(&self.report).as_bytes())?;
        file.finish()
    }

    /// Check, submit, wait, collect: the verdict on what came of it.
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
        self.set_earlier_aside()?;
        if let Some(board) = self.board {
            work.check = guard.guard(board.open(&self.report, self.events)).await?;
        }
        let ended = self.drive(&guard, &work).await;
        let batches = ended.progress.batch.iter().map(|batch| BatchReport::new(batch, &checked.places));
        self.report.batches.extend(batches);
        let collected = match &ended.progress.batch {
            Some(batch) if batch.status.is_terminal() && may_collect(&ended) => {
                Some(self.collect(&guard, batch, &source, checked).await)
            }
            _ => None,
        };
        self.conclude(ended, collected)
    }

    /// Drives the batch through its life, and lets the board name it meanwhile.
    async fn drive(&self, guard: &Guard<'_>, work: &Submission<'_>) -> Ended {
        let Some(board) = self.board else { return self.driver(guard).drive(work).await };
        let (running, over) = tokio::sync::oneshot::channel::<()>();
        let drive = async {
            let ended = self.driver(guard).drive(work).await;
            drop(running);
            ended
        };
        tokio::join!(drive, board.follow(&self.report, self.events, over)).0
    }

    /// Results of an earlier run may not pass for this one's, and were paid for:
    /// they are kept under another name.
    fn set_earlier_aside(&self) -> Result<(), Error> {
        let dir = &self.plan.output_dir;
        for (name, kind) in [("results", "jsonl"), ("unexpected", "jsonl"), ("report", "json")] {
            set_aside(&dir.join(format!("{name}.{kind}")), &dir.join(format!("{name}.previous.{kind}")))?;
        }
        Ok(())
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
            on_abort: self.plan.on_abort,
        }
    }

    fn submission<'s>(&self, source: &'s Source, checked: &Checked) -> Submission<'s> {
        let endpoint = checked.endpoint.clone().unwrap_or_default();
        let identity = self.host.identity();
        Submission {
            source,
            digest: checked.digest,
            key: identity::key(checked.digest, &endpoint, &self.plan.window),
            endpoint,
            window: self.plan.window.clone(),
            repo: identity.repo,
            run: identity.run,
            check: None,
            metadata: self.plan.metadata.clone(),
            expires_after: self.plan.expires_after,
            output_expires_after: self.plan.output_expires_after,
            armed: self.plan.on_abort == OnAbort::Cancel && !self.plan.in_process,
        }
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
        let dir = self.plan.output_dir.join(".download");
        let collector = Collector { api: &self.api, guard, journal: &self.journal, dir: &dir };
        let answers = collector.collect(batch).await?;
        let (source, output_dir) = (source.clone(), self.plan.output_dir.clone());
        let reconciling = tokio::task::spawn_blocking(move || {
            let mut results = NewFile::create(output_dir.join("results.jsonl"))?;
            let mut unexpected = NewFile::create(output_dir.join("unexpected.jsonl"))?;
            let found =
                results::reconcile(&source, &checked.ids, checked.total, &answers, &mut results, &mut unexpected)?;
            results.finish()?;
            if found.counts.unexpected > 0 {
                unexpected.finish()?;
            }
            Ok::<_, Error>(found)
        });
        let forever = Instant::now() + std::time::Duration::from_secs(86_400 * 365);
        let reconciled = guard.until(forever, reconciling).await?;
        let mut results = reconciled
            .map_err(|error| Error::internal("The reconciliation broke down.").because(error))?
            .map_err(|error: Error| error.hint(format!("The answers as they came are in `{}`.", dir.display())))?;
        // The answers stand as received; what is told of them repeats no secret.
        for group in &mut results.failures {
            (group.code, group.message) = (self.api.cut_secrets(&group.code), self.api.cut_secrets(&group.message));
        }
        // The raw files hold nothing that results.jsonl and unexpected.jsonl do not.
        if let Err(error) = std::fs::remove_dir_all(&dir) {
            self.events.emit(Event::Warned(format!("{} could not be removed: {error}.", dir.display())));
        }
        Ok(results)
    }

    /// Fills the report with how it ended, and judges.
    fn conclude(&mut self, ended: Ended, collected: Option<Result<Results, Stop>>) -> Result<Verdict, Stop> {
        let Ended { progress, stop } = ended;
        self.report.input_file_id = progress.file_id.clone();
        let (counts, stop) = match collected {
            Some(Ok(results)) => {
                for warning in &results.warnings {
                    self.events.emit(Event::Warned(warning.clone()));
                }
                if let Some(batch) = &progress.batch
                    && batch.counts.completed > results.counts.succeeded
                {
                    self.events.emit(Event::Warned(format!(
                        "The provider counts {} requests as completed, but its files hold {} good answers.",
                        batch.counts.completed, results.counts.succeeded
                    )));
                }
                let dir = &self.plan.output_dir;
                self.report.files.results = Some(dir.join("results.jsonl").display().to_string());
                if results.counts.unexpected > 0 {
                    self.report.files.unexpected = Some(dir.join("unexpected.jsonl").display().to_string());
                }
                (self.report.counts, self.report.tokens, self.report.failures) =
                    (results.counts, results.tokens, results.failures);
                (Some(results.counts), stop)
            }
            Some(Err(failed)) => (None, Some(failed)),
            None => (None, stop),
        };
        let verdict = verdict::judge(stop.as_ref(), progress.batch.as_ref(), counts, self.plan.max_failed);
        if is_settled(progress.batch.as_ref(), progress.in_doubt) {
            self.events.emit(Event::Settled);
        }
        if is_closed(stop.as_ref(), progress.batch.as_ref(), progress.in_doubt) {
            let noted = self.journal.note(Record::Closed { outcome: verdict.outcome.word().to_owned() });
            // A signal counts before a journal that fails.
            if !matches!(verdict.exit, Exit::Signal(_)) {
                noted?;
            }
        }
        Ok(verdict)
    }
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
fn is_closed(stop: Option<&Stop>, batch: Option<&Batch>, in_doubt: bool) -> bool {
    match (stop, batch) {
        (_, None) => !in_doubt,
        (None | Some(Stop::Deadline), Some(batch)) => batch.status.is_terminal(),
        (Some(Stop::Signal(_)), Some(batch)) => batch.status == Status::Cancelling || batch.status == Status::Cancelled,
        (Some(Stop::Detached(_) | Stop::Failed(_) | Stop::Unknown(_)), Some(_)) => false,
    }
}

/// Connects to the server, starting the sandbox in this process if that is what is asked for.
async fn connect(server: Server, clock: Clock) -> Result<Api, Error> {
    let Server { provider, mut connection, sandbox } = server;
    if let Some(options) = sandbox {
        let listening = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let failed = |error: std::io::Error| Error::internal("The sandbox found no loopback port.").because(error);
        let listener = listening.map_err(failed)?;
        connection.base_url = format!("http://{}/v1", listener.local_addr().map_err(failed)?);
        tokio::spawn(Sandbox::new(options, clock).serve(listener));
    }
    Ok(Api::new(Client::new(&connection)?, provider))
}
