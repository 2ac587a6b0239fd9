//! `batchstep run`, the whole life of a batch, and `batchstep submit`, its beginning.

use std::sync::Arc;

use tokio::time::Instant;

use super::check::check_requests;
use super::earlier;
use super::gather::{self, Answers, Gathered, Gatherer, Order};
use super::sent::{self, Sent};
use super::split::{Piece, Sender};
use super::{attended, board, connect, failed, on_signal, post, publish, skipped, title, told, write_report};
use crate::api::Api;
use crate::batch::submit::Submission;
use crate::batch::{Driver, Ended, Room};
use crate::clock::rfc3339;
use crate::dialects::Batch;
use crate::emitter::Events;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::hosts::{Board, Host};
use crate::identity::{self, Part};
use crate::inputs;
use crate::invocation::{self, Invocation};
use crate::journal::{self, Journal, Line, Record};
use crate::part;
use crate::phases::{Phase, Phases};
use crate::plan::{self, Plan, Server};
use crate::policy::{BEFORE_BATCH, MOST_ATTEMPTS};
use crate::report::Report;
use crate::requests::Checked;
use crate::requests::places::Places;
use crate::requests::shards::{self, Shard};
use crate::requests::source::{self, Source};
use crate::values::OnExit;
use crate::verdict::{self, End, Rows, Verdict};
use crate::world::World;

/// `batchstep run`: check, attach or submit, wait, collect, report.
pub(crate) async fn run(inputs: inputs::Run, world: &World) -> Exit {
    let (reporting, work) = (inputs.reporting.clone(), inputs.work.clone());
    let connection = inputs.connection.clone();
    carry_out(world, &reporting, &work, &connection, |host| Plan::run(inputs, host, world.setting(host))).await
}

/// `batchstep submit`: check, attach or submit, and leave.
pub(crate) async fn submit(inputs: inputs::Submit, world: &World) -> Exit {
    let (reporting, work) = (inputs.reporting.clone(), inputs.work.clone());
    let connection = inputs.connection.clone();
    carry_out(world, &reporting, &work, &connection, |host| Plan::submit(inputs, host, world.setting(host))).await
}

async fn carry_out(
    world: &World,
    reporting: &inputs::Reporting,
    work: &inputs::Work,
    connection: &inputs::Connection,
    plan: impl FnOnce(&dyn Host) -> Result<(Plan, Server), Error>,
) -> Exit {
    let host = world.host(reporting.ci, reporting.summary);
    let (host, events) = (host.as_ref(), world.events(host.as_ref()));
    let done: Result<Exit, Error> = async {
        let ca_bundle = plan::ca_bundle(connection.ca_file.as_ref())?;
        let board = board(host, world, &events, reporting, &work.requests, ca_bundle.as_deref())?;
        if let Some(report) = skipped(connection, reporting, world) {
            publish(host, board.as_ref(), world, &events, &report).await;
            return Ok(Exit::Ok);
        }
        let (plan, server) = plan(host)?;
        let on_signal = on_signal(plan.on_abort);
        let told = post::told(connection, &server.connection.base_url);
        let (api, reuse) = (connect(server, world.clock).await?, plan.reuse);
        let how = Invocation::new(&api, connection, &world.env).in_dir(&plan.output_dir);
        let how = how.of_run(reuse, invocation::check(work, connection.provider));
        let how = if plan.in_process { how.in_process() } else { how };
        let mut run = Run::begin(plan, api, how, host, board.as_ref(), world, &events)?;
        // A sandbox in this process leaves nothing to anybody.
        if !run.plan.in_process {
            events.emit(Event::Connecting { inputs: told });
        }
        let living = async {
            let exit = Box::pin(run.go()).await;
            publish(host, board.as_ref(), world, &events, &run.report).await;
            exit
        };
        let exit = Box::pin(attended(living, world, &events, on_signal)).await;
        run.close();
        Ok(exit)
    }
    .await;
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
    /// How what is printed is to be typed.
    how: Invocation,
    journal: Journal,
    /// What earlier runs wrote into it.
    earlier: Vec<Line>,
    phases: Phases,
    deadline: Instant,
    report: Report,
    /// The check that shows the run, for the batches' metadata.
    check: Option<String>,
    /// What tells the requests from others.
    fingerprint: String,
    /// What the journal is told once all is reported.
    closing: Vec<Record>,
}

impl<'a> Run<'a> {
    /// Gets everything ready that can be wrong without the network.
    fn begin(
        plan: Plan,
        api: Api,
        how: Invocation,
        host: &'a dyn Host,
        board: Option<&'a Board>,
        world: &'a World,
        events: &'a Events<'a>,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + plan.timeout;
        let ends = world.clock.unix().saturating_add(plan.timeout.as_secs().try_into().unwrap_or(i64::MAX));
        let (journal, earlier) = Journal::open(&plan.output_dir, world.clock)?;
        let title = title(&api);
        events.emit(Event::Started { title, timeout: plan.timeout, deadline: rfc3339(ends) });
        earlier::set_aside(&plan.output_dir, world.clock, events)?;
        let mut report = Report::begin(api.vendor(), api.origin(), world.clock);
        report.max_failed = plan.max_failed.to_string();
        let phases = Phases::default();
        let (check, fingerprint, closing) = (None, String::new(), Vec::new());
        Ok(Self {
            plan,
            host,
            board,
            world,
            events,
            api,
            how,
            journal,
            earlier,
            phases,
            deadline,
            report,
            check,
            fingerprint,
            closing,
        })
    }

    /// Runs all stages, judges, and writes the report.
    async fn go(&mut self) -> Exit {
        let verdict = match Box::pin(self.stages()).await {
            Ok(verdict) => verdict,
            Err(stop) => verdict::judge(&End::of(&stop), None, self.plan.max_failed, &self.how),
        };
        let verdict = Verdict { hints: self.how.with_needs(verdict.hints), ..verdict };
        let exit = verdict.exit;
        verdict.record(&mut self.report);
        self.report.warnings = self.events.warnings();
        self.report.simulated |= self.api.is_simulated();
        self.report.phases = self.phases.finish();
        self.report.ended_at = rfc3339(self.world.clock.unix());
        write_report(&mut self.report, &self.plan.output_dir, exit)
    }

    /// The journal's closing records, once all is reported: until then a run that is
    /// killed has to be resumed.
    fn close(&self) {
        for record in &self.closing {
            if let Err(error) = self.journal.note(record.clone()) {
                self.warn(&format!("{} The next run collects the same batch again.", error.sentence()));
            }
        }
    }

    /// Check, obtain batches, wait, collect: the verdict on what came of it.
    async fn stages(&mut self) -> Result<Verdict, Stop> {
        self.phases.begin(Phase::Check);
        let guard = self.guard();
        let source = guard.guard(source::resolve(&self.plan.requests)).await??;
        let checked = guard.guard(check_requests(&source, self.plan.rules.clone(), self.events)).await??;
        self.report.asked(&source, &checked);
        if checked.fault_count > 0 {
            return Ok(Verdict::invalid(checked.fault_count, self.how.check()));
        }
        let Checked { total, ids, places, shards, digest, .. } = checked;
        self.fingerprint = identity::fingerprint(digest);
        let keys: Vec<String> = shards.iter().map(|shard| self.key(shard, 1)).collect();
        let key = identity::key_of_all(&keys);
        self.report.requests.key = Some(key.clone());
        self.journal.note(Record::Run {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: self.api.origin(),
            key,
            total,
        })?;
        if let Some(board) = self.board {
            let check = board.open(&self.report, self.plan.max_failed, self.events);
            self.check = guard.guard(check).await?.map(|check| check.to_string());
        }
        let order = Order::Requests { source: source.clone(), ids, total };
        let (mut all, collected) = Box::pin(self.rounds(&guard, &source, shards, Arc::new(order))).await;
        self.conclude(&mut all, collected, &places)
    }

    /// Sends all requests, then those that failed once more, as often as is allowed.
    async fn rounds(
        &self,
        guard: &Guard<'_>,
        source: &Source,
        shards: Vec<Shard>,
        order: Arc<Order>,
    ) -> (Vec<Sent>, Option<Result<Gathered, Stop>>) {
        let gatherer = self.gatherer(guard);
        let mut answers = Answers::with_allowance(BEFORE_BATCH);
        let mut all = self.send(guard, source, shards, 1).await;
        let mut collected = self.collect(&gatherer, &all, &mut answers, &order).await;
        let mut retries = self.plan.retries;
        for attempt in 2..=MOST_ATTEMPTS {
            let Some(Ok(gathered)) = &collected else { break };
            if retries == 0 || all.iter().any(|sent| sent.ended.stop.is_some()) || self.is_uncollected(gathered) {
                break;
            }
            let from = all.iter().filter(|sent| sent.is_worth_retrying(&answers)).map(|sent| sent.shard.clone());
            let shards = match self.worth_retrying(guard, source, from.collect(), gathered, attempt).await {
                Ok(Some(shards)) => shards,
                Ok(None) => break,
                Err(stop) => {
                    collected = Some(Err(stop));
                    break;
                }
            };
            let again = self.send(guard, source, shards, attempt).await;
            // What an earlier run made is no retry of this one's.
            retries -= u32::from(again.iter().any(|sent| sent.ended.progress.attached.is_none()));
            all.extend(again);
            match self.collect(&gatherer, &all, &mut answers, &order).await {
                Some(Err(stop @ Stop::Signal(_))) => collected = Some(Err(stop)),
                Some(Err(stop)) => {
                    self.warn(&format!("The answers to the retry were not collected: {}", told(&stop)));
                }
                Some(Ok(gathered)) => collected = Some(Ok(gathered)),
                None => {}
            }
        }
        gatherer.tidy_up();
        // Some files are named only after the batch is over.
        for batch in all.iter_mut().filter_map(Sent::batch_mut) {
            if let Some(fetched) = answers.of(&batch.id) {
                batch.clone_from(&fetched.batch);
            }
        }
        (all, collected)
    }

    /// What failed in a way that another try may mend, as shards.
    async fn worth_retrying(
        &self,
        guard: &Guard<'_>,
        source: &Source,
        from: Vec<Shard>,
        gathered: &Gathered,
        attempt: u32,
    ) -> Result<Option<Vec<Shard>>, Stop> {
        let rows = gathered.results.worth_retrying();
        let (source, rules) = (source.clone(), self.plan.rules.clone());
        let picking = tokio::task::spawn_blocking(move || shards::pick(&source, &rows, &from, &rules));
        let picked = guard.unless_signalled(picking).await?;
        let picked = picked.map_err(std::io::Error::other).and_then(|picked| picked);
        let picked = picked.map_err(|error| self.warn(&format!("Failed requests cannot be sent once more: {error}.")));
        let Some(picked) = picked.ok().filter(|shards| !shards.is_empty()) else { return Ok(None) };
        let requests = picked.iter().map(|shard| shard.requests).sum();
        self.events.emit(Event::Retrying { requests, attempt });
        Ok(Some(picked))
    }

    /// Whether answers that were paid for could not be fetched: then nothing is sent
    /// again, unless the user pays for it knowingly.
    fn is_uncollected(&self, gathered: &Gathered) -> bool {
        let pays_again = self.plan.retries > 0 && self.plan.retry_on.covers_missing();
        !gathered.doubtful.is_empty() && !pays_again
    }

    /// Drives these shards through their lives.
    async fn send(&self, guard: &Guard<'_>, source: &Source, shards: Vec<Shard>, attempt: u32) -> Vec<Sent> {
        let of = shards.len();
        let piece = |(index, shard): (usize, Shard)| {
            let part = Part { number: index + 1, of, piece: part::Piece::WHOLE, attempt };
            Piece { key: self.key(&shard, attempt), shard, part }
        };
        let pieces = shards.into_iter().enumerate().map(piece).collect();
        let all = Box::pin(self.drive(guard, source, pieces)).await;
        let sent = |(Piece { shard, part, key }, mut ended): (Piece, Ended)| {
            // What was asked for tells what an answer has to hold; not every provider repeats it.
            if let Some(batch) = &mut ended.progress.batch {
                batch.endpoint = self.plan.rules.answers_of(&shard.endpoint).map(str::to_owned);
            }
            Sent { shard, part, key, ended }
        };
        all.into_iter().map(sent).collect()
    }

    /// Drives the batches, and lets the board name the first meanwhile.
    async fn drive(&self, guard: &Guard<'_>, source: &Source, pieces: Vec<Piece>) -> Vec<(Piece, Ended)> {
        // The phases of several batches overlap, so they are one.
        let own = Phases::default();
        let (alone, among_others) = (self.driver(guard, &self.phases), self.driver(guard, &own));
        let drive = async |piece: &Piece| {
            let work = self.submission(source, piece);
            let is_alone = piece.part.of == 1 && piece.part.piece == part::Piece::WHOLE;
            if !is_alone {
                self.phases.begin(Phase::Batches);
            }
            let driver = if is_alone { &alone } else { &among_others };
            if self.plan.waits { driver.drive(&work).await } else { driver.submit(&work).await }
        };
        let (journal, origin) = (&self.journal, self.api.origin());
        let sender = Sender { source, journal, events: self.events, at_once: self.plan.max_in_flight };
        let key = |shard: &Shard, part: Part| self.key(shard, part.attempt);
        let is_halved = |key: &str| journal::is_halved(&self.earlier, &origin, key);
        let send = async {
            let all = sender.send(pieces, key, is_halved, drive).await;
            if self.plan.waits {
                return all;
            }
            let (pieces, ended): (Vec<Piece>, Vec<Ended>) = all.into_iter().unzip();
            pieces.into_iter().zip(alone.end_submitted(ended).await).collect()
        };
        let Some(board) = self.board else { return send.await };
        let (running, over) = tokio::sync::oneshot::channel::<()>();
        let send = async {
            let ended = send.await;
            drop(running);
            ended
        };
        tokio::join!(send, board.follow(&self.report, self.events, over)).0
    }

    fn guard(&self) -> Guard<'a> {
        Guard {
            deadline: self.deadline,
            shutdown: &self.world.shutdown,
            events: self.events,
            rng: self.world.rng.clone().into(),
        }
    }

    fn driver<'d>(&'d self, guard: &'d Guard<'d>, phases: &'d Phases) -> Driver<'d> {
        Driver {
            api: &self.api,
            guard,
            journal: &self.journal,
            clock: self.world.clock,
            phases,
            poll_interval: self.plan.poll_interval,
            room: Room::default(),
            on_timeout: self.plan.on_timeout,
            on_abort: self.plan.on_abort,
        }
    }

    fn key(&self, shard: &Shard, attempt: u32) -> String {
        identity::key(shard.digest, &shard.endpoint, &self.plan.window, attempt, &self.plan.extras)
    }

    fn submission<'s>(&self, source: &'s Source, piece: &'s Piece) -> Submission<'s> {
        let identity = self.host.identity();
        Submission {
            source,
            shard: &piece.shard,
            part: piece.part,
            left: journal::left(&self.earlier, &self.api.origin(), &piece.key),
            key: piece.key.clone(),
            requests: self.fingerprint.clone(),
            whole: self.report.requests.key.clone().unwrap_or_default(),
            window: self.plan.window.clone(),
            repo: identity.repo,
            run: identity.run,
            check: self.check.clone(),
            metadata: self.plan.metadata.clone(),
            form: self.plan.form.clone(),
            output_expires_after: self.plan.output_expires_after,
            armed: self.plan.on_abort == OnExit::Cancel && !self.plan.in_process,
            reuse: self.plan.reuse,
        }
    }

    fn gatherer<'g>(&'g self, guard: &'g Guard<'g>) -> Gatherer<'g> {
        let output_dir = &self.plan.output_dir;
        let (retry_on, answer_files) = (self.plan.retry_on.clone(), self.plan.answer_files);
        Gatherer {
            api: &self.api,
            guard,
            events: self.events,
            journal: &self.journal,
            output_dir,
            retry_on,
            answer_files,
        }
    }

    /// Downloads what there is of new answers, and reconciles all. None where
    /// there is nothing to collect, or nobody to collect for.
    async fn collect(
        &self,
        gatherer: &Gatherer<'_>,
        all: &[Sent],
        answers: &mut Answers,
        order: &Arc<Order>,
    ) -> Option<Result<Gathered, Stop>> {
        let is_ended = |sent: &Sent| matches!(sent.ended.stop, Some(Stop::Signal(_) | Stop::Detached(_)));
        let wanted = sent::wanted(all);
        if !self.plan.waits || wanted.is_empty() || all.iter().any(is_ended) {
            return None;
        }
        self.phases.begin(Phase::Collect);
        Some(gatherer.gather(wanted, answers, Arc::clone(order)).await)
    }

    fn warn(&self, warning: &str) {
        self.events.emit(Event::Warned(warning.to_owned()));
    }

    /// Fills the report with how it ended, and judges.
    fn conclude(
        &mut self,
        all: &mut [Sent],
        collected: Option<Result<Gathered, Stop>>,
        places: &Places,
    ) -> Result<Verdict, Stop> {
        // All decisions that read the provider's words are made.
        all.iter_mut().filter_map(Sent::batch_mut).for_each(|batch| *batch = self.api.shown_batch(batch));
        let all = &*all;
        self.report.batches = sent::batches(all, places);
        self.report.shards = sent::shards(all);
        let firsts: Vec<&Sent> = all.iter().filter(|sent| sent.part.attempt == 1).collect();
        if let [only] = firsts[..] {
            self.report.input_file_id.clone_from(&only.ended.progress.file_id);
        }
        let mut ends: Vec<End<'_>> = all.iter().filter(|sent| sent.part.attempt == 1).map(Sent::end).collect();
        ends.extend(all.iter().filter(|sent| sent.part.attempt > 1).map(Sent::end).filter(End::is_signalled));
        for late in all.iter().filter(|sent| sent.part.attempt > 1 && !sent.end().is_signalled()) {
            if let Some(stop) = &late.ended.stop {
                self.warn(&format!("The retry did not end well: {}", told(stop)));
            }
        }
        let failed;
        let (mut doubtful, mut here) = (Vec::new(), Vec::new());
        let rows = match collected {
            Some(Ok(gathered)) => {
                here.clone_from(&gathered.ids);
                if self.is_uncollected(&gathered) {
                    doubtful.clone_from(&gathered.doubtful);
                }
                let rows = Rows::of(&gathered.results);
                gather::record(gathered.results, &self.plan.output_dir, self.events, &mut self.report);
                Some(rows)
            }
            Some(Err(stop)) => {
                failed = stop;
                ends.iter_mut().for_each(|end| end.stop = Some(&failed));
                None
            }
            None => None,
        };
        let batches: Vec<&Batch> = all.iter().filter_map(Sent::batch).collect();
        let verdict = match ends.iter().all(|end| end.stop.is_none()) && !self.plan.waits {
            true => Verdict::submitted(&batches, &self.how),
            false => verdict::judge_all(&ends, rows, &doubtful, self.plan.max_failed, &self.how),
        };
        for left in all.iter().filter(|sent| matches!(sent.ended.stop, Some(Stop::HandedOver(_)))) {
            let id = left.batch().map(|batch| batch.id.as_str()).unwrap_or_default();
            if !self.how.ends_with_process() {
                self.warn(&format!("Batch {id} is still running. Run again or use `collect` to get its answers."));
            }
        }
        self.settle(all);
        // What was refused may work the next time, which then pays for nothing that is here already.
        let is_refused = ends.iter().any(|end| matches!(end.stop, Some(Stop::Failed(_))));
        let is_here = all.iter().all(|sent| sent.is_closed() && sent.is_fetched(&here));
        let is_closed = self.plan.waits && !is_refused && doubtful.is_empty() && is_here;
        let outcome = verdict.outcome.word().to_owned();
        self.closing = if is_closed { vec![Record::Closed { outcome }] } else { sent::dropped(all) };
        Ok(verdict)
    }

    /// Tells what is left for `post` to end. `submit` hands over whatever it could submit.
    fn settle(&self, all: &[Sent]) {
        let is_handed_over = |sent: &Sent| !self.plan.waits && sent.ended.stop.is_none();
        let left: Vec<&Sent> = all.iter().filter(|sent| !sent.is_settled() && !is_handed_over(sent)).collect();
        let batch_ids = left.iter().filter_map(|sent| Some(sent.batch()?.id.clone())).collect();
        let creates = left.iter().filter(|sent| sent.batch().is_none()).filter_map(|sent| sent.create()).collect();
        self.events.emit(Event::Settled { batch_ids, creates });
    }
}
