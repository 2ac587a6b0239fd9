//! `batchstep collect`: comes back for what `submit` left, on whatever machine.
//!
//! It creates nothing, and cancels nothing unless told to. All it needs is the
//! batches' ids; the order of the requests comes from the requests file where it
//! is at hand, else from the provider's copy of it, else from the answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::at_hand::{self, firsts, in_order, without_replaced};
use super::check::check_quietly;
use super::earlier;
use super::gather::{self, Answers, Gathered, Gatherer, Order, Wanted};
use super::named;
use super::scene::Scene;
use super::sent::{is_closed, is_over};
use super::{attended, board, connect, failed, on_signal, pending, post, publish, skipped, title, write_report};
use crate::attachment::Owner;
use crate::batch::download::Downloader;
use crate::batch::{Driver, Ended, Room};
use crate::clock::{rfc3339, seconds};
use crate::dialects::{Batch, Rules, Status};
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::guard::Stop;
use crate::hosts::{Adopted, Board, Unadopted};
use crate::identity::{self, Seen};
use crate::inputs;
use crate::invocation::Invocation;
use crate::journal::{self, Journal, Named, Record};
use crate::phases::{Phase, Phases};
use crate::plan::{self, Collecting};
use crate::policy::{BEFORE_BATCH, BRIEF_REFETCH, CLOCK_SKEW, FILES_ON_THEIR_WAY};
use crate::report::{BatchReport, Coverage, Report};
use crate::requests::Checked;
use crate::requests::places::Places;
use crate::requests::source::{self, Source};
use crate::retry_loop::RetryBudget;
use crate::values::{self, OnExit, RetryOn};
use crate::verdict::{self, End, Rows, Verdict};
use crate::world::World;

/// `batchstep collect`: wait, download, reconcile, report.
pub(crate) async fn collect(inputs: inputs::Collect, world: &World) -> Exit {
    let host = world.host(inputs.reporting.ci, inputs.reporting.summary);
    let (host, events) = (host.as_ref(), world.events(host.as_ref()));
    let done: Result<Exit, Error> = async {
        let ca_bundle = plan::ca_bundle(inputs.connection.ca_file.as_ref())?;
        let board = board(host, world, &events, &inputs.reporting, &inputs.requests, ca_bundle.as_deref())?;
        if let Some(report) = skipped(&inputs.connection, &inputs.reporting, world) {
            publish(host, board.as_ref(), world, &events, &report).await;
            return Ok(Exit::Ok);
        }
        let connection = inputs.connection.clone();
        let (plan, server) = Collecting::new(inputs, host)?;
        let told = post::told(&connection, &server.connection.base_url);
        let api = connect(server, world.clock).await?;
        events.emit(Event::Connecting { inputs: told });
        let how = Invocation::new(&api, &connection, &world.env);
        let ends = world.clock.unix().saturating_add(plan.timeout.as_secs().try_into().unwrap_or(i64::MAX));
        events.emit(Event::Started { title: title(&api), timeout: plan.timeout, deadline: rfc3339(ends) });
        let deadline = Instant::now() + plan.timeout;
        let scene = Scene { host, world, events: &events, api: &api, how, plan: &plan, deadline };
        let collecting = async {
            if plan.pending {
                return Box::pin(pending::collect(&scene, board.as_ref())).await;
            }
            let mut collection = Collection::begin(&scene, &plan.output_dir)?;
            let ids = collection.ids()?;
            collection.make_room()?;
            let exit = Box::pin(collection.go(&ids)).await;
            world.apply(host.publish(&collection.report));
            if let Some(board) = board {
                Box::pin(collection.show(board)).await;
            }
            collection.close();
            Ok(exit)
        };
        Box::pin(attended(collecting, world, &events, on_signal(plan.on_abort))).await
    }
    .await;
    world.exit(done.unwrap_or_else(|error| failed(&error, &events)))
}

/// The batches of one run, and what becomes of them.
pub(super) struct Collection<'a> {
    scene: &'a Scene<'a>,
    output_dir: &'a Path,
    /// How what is printed is to be typed.
    how: Invocation,
    journal: Journal,
    earlier: Vec<journal::Line>,
    phases: Phases,
    is_closed: bool,
    /// How many warnings there were before it began.
    warned: usize,
    /// The batches as last seen.
    batches: Vec<Batch>,
    /// The requests, where they are at hand.
    at_hand: Option<at_hand::Read>,
    /// Those of which the journal alone says whose they are: they are never cancelled.
    unproven: Vec<String>,
    /// What is told of it.
    pub(super) report: Report,
}

impl<'a> Collection<'a> {
    /// Takes the directory.
    pub(super) fn begin(scene: &'a Scene<'a>, output_dir: &'a Path) -> Result<Self, Error> {
        let (journal, earlier) = Journal::open(output_dir, scene.world.clock)?;
        let report = Report::begin(scene.api.vendor(), scene.api.origin(), scene.world.clock);
        // What was said of another run is no news of this one.
        let warned = if scene.plan.pending { scene.events.warnings().len() } else { 0 };
        let (phases, batches, at_hand, unproven) = (Phases::default(), Vec::new(), None, Vec::new());
        Ok(Self {
            scene,
            output_dir,
            how: scene.how.clone().in_dir(output_dir),
            journal,
            earlier,
            phases,
            is_closed: false,
            warned,
            batches,
            at_hand,
            unproven,
            report,
        })
    }

    /// The batches to collect: those named, else those that the journal knows of.
    fn ids(&self) -> Result<Vec<String>, Error> {
        named::ids(&self.scene.plan.batch_ids, &self.open())
    }

    /// The batches that the journal knows of.
    fn open(&self) -> Vec<(String, Named)> {
        journal::open_batches(&self.earlier, &self.scene.api.origin())
    }

    /// Moves away what an earlier run left in the directory.
    pub(super) fn make_room(&self) -> Result<(), Error> {
        earlier::set_aside(self.output_dir, self.scene.world.clock, self.scene.events)
    }

    /// Collects, judges, and writes the report.
    pub(super) async fn go(&mut self, ids: &[String]) -> Exit {
        // A report on a look that was broken off names them, too.
        let unseen = |id: &String| Batch { id: id.clone(), status: Status::Other(String::new()), ..Batch::default() };
        self.tell_of(&ids.iter().map(unseen).collect::<Vec<Batch>>(), &Places::default());
        let verdict = match self.stages(ids).await {
            Ok(verdict) => verdict,
            Err(stop) => verdict::judge(&End::of(&stop), None, self.max_failed(&[]), &self.how),
        };
        let verdict = Verdict { hints: self.how.with_needs(verdict.hints), ..verdict };
        let exit = verdict.exit;
        verdict.record(&mut self.report);
        self.report.warnings = self.scene.events.warnings().split_off(self.warned);
        self.report.simulated |= self.scene.api.is_simulated();
        self.report.phases = self.phases.finish();
        self.report.ended_at = rfc3339(self.scene.world.clock.unix());
        write_report(&mut self.report, self.output_dir, exit)
    }

    /// The journal's closing record, once all is told.
    pub(super) fn close(&self) {
        let outcome = self.report.outcome.word().to_owned();
        if self.is_closed
            && let Err(error) = self.journal.note(Record::Closed { outcome })
        {
            self.scene.events.emit(Event::Warned(error.sentence()));
        }
    }

    async fn stages(&mut self, ids: &[String]) -> Result<Verdict, Stop> {
        let mut batches = self.look(ids).await?;
        if self.scene.plan.batch_ids.is_empty() && !self.scene.plan.pending {
            (batches, self.unproven) = named::weigh(self.scene, &self.open(), batches).await?;
        }
        batches = without_replaced(batches);
        self.at_hand = at_hand::find(self.scene, &batches).await?;
        self.take_up(&batches)?;
        self.watch(&batches);
        let (mut stops, mut left) = (Vec::new(), Vec::new());
        for batch in &mut batches {
            let Ended { progress, stop: ended } = self.attend(batch.clone()).await;
            *batch = self.scene.api.shown_batch(progress.batch.as_ref().unwrap_or(batch));
            // Only what was to be cancelled and was not is left to `post`.
            if matches!(ended, Some(Stop::Signal(_) | Stop::Deadline(_))) && !is_over(batch) {
                left.push(batch.id.clone());
            }
            stops.push(ended);
        }
        self.scene.events.emit(Event::Settled { batch_ids: left, creates: Vec::new() });
        self.tell_of(&batches, &Places::default());
        self.batches.clone_from(&batches);
        let telling = telling(&batches);
        let max_failed = self.max_failed(&batches);
        self.report.max_failed = max_failed.to_string();
        let how = self.how.clone();
        let broken_off =
            |stops: &[Option<Stop>]| verdict::judge_all(&End::all(&batches, stops), None, &[], max_failed, &how);
        let is_late = |stop: &Stop| matches!(stop, Stop::Deadline(_) | Stop::HandedOver(_));
        if stops.iter().flatten().any(|stop| !is_late(stop)) {
            return Ok(broken_off(&stops));
        }
        if batches.iter().any(|batch| !batch.status.is_terminal()) {
            return Ok(match stops.iter().flatten().any(|stop| matches!(stop, Stop::Deadline(_))) {
                true => broken_off(&stops),
                false => {
                    let trouble = stops.iter().flatten().find_map(Stop::trouble);
                    Verdict::pending(&batches, self.scene.plan.pending_exit(), trouble, &how)
                }
            });
        }
        let (rows, doubtful) = match self.gather(&batches).await {
            // The verdict names batches that are over.
            Err(Stop::Signal(signal)) => {
                let stops: Vec<Option<Stop>> = batches.iter().map(|_| Some(Stop::Signal(signal))).collect();
                return Ok(broken_off(&stops));
            }
            gathered => gathered?,
        };
        let all: Vec<&str> = batches.iter().map(|batch| &*batch.id).collect();
        if self.scene.plan.timeout.is_zero() && self.may_come(&doubtful) {
            return Ok(verdict::incomplete(&doubtful, &all, self.scene.plan.pending_exit(), &how));
        }
        let stop = stops.iter().flatten().next();
        self.is_closed = doubtful.is_empty() && is_closed(stop, telling, false);
        // One that did not complete tells how they ended; all of them have to be collected together.
        let telling: Vec<End<'_>> = telling.map(|batch| End::of_batch(stop, batch)).into_iter().collect();
        let verdict = verdict::judge_all(&telling, Some(rows), &[], max_failed, &how);
        Ok(verdict::or_uncollected(verdict, &doubtful, &all, Some(rows), &how))
    }

    /// Whether what could not be fetched may be on its way: all of these batches ended a moment ago.
    fn may_come(&self, doubtful: &[(Batch, String)]) -> bool {
        let now = self.scene.world.clock.unix();
        let is_recent = |(batch, _): &(Batch, String)| {
            batch
                .ended_at
                .is_some_and(|ended| (-seconds(CLOCK_SKEW)..seconds(FILES_ON_THEIR_WAY)).contains(&(now - ended)))
        };
        !doubtful.is_empty() && doubtful.iter().all(is_recent)
    }

    /// If whoever kills this process wants the batches cancelled, `post` does that.
    fn watch(&self, batches: &[Batch]) {
        let running = batches.iter().filter(|batch| !is_over(batch)).map(|batch| batch.id.clone());
        let batch_ids: Vec<String> = running.collect();
        if self.scene.plan.on_abort == OnExit::Cancel && !batch_ids.is_empty() {
            self.scene.events.emit(Event::Watching { batch_ids });
        }
    }

    /// One look at each batch.
    async fn look(&self, ids: &[String]) -> Result<Vec<Batch>, Stop> {
        self.phases.begin(Phase::Look);
        let guard = self.scene.looking();
        let mut batches: Vec<Batch> = Vec::new();
        for id in ids {
            let look = async || self.scene.api.get_batch(id).await;
            let (batch, _) = guard.retry(&format!("looking at batch {id}"), RetryBudget::Running, look).await?;
            batches.push(Batch { id: id.clone(), ..batch });
        }
        Ok(batches)
    }

    /// Shows how it ended where the run that submitted these batches was shown.
    async fn show(&self, board: Board) {
        let (report, events) = (&self.report, self.scene.events);
        let checks = if board.has_check() { self.checks(&board).await } else { Vec::new() };
        // Part of what a check waits for says nothing of the rest.
        let is_partial =
            |check: &Adopted| check.named() > self.batches.iter().filter(|batch| check.names(&batch.id)).count();
        if checks.iter().any(is_partial) {
            let warning = "Nothing is shown on GitHub: the check waits for more batches than these.";
            return events.emit(Event::Warned(warning.to_owned()));
        }
        if checks.is_empty() {
            board.publish(report, events).await;
        }
        for check in checks {
            // What was concluded once is not opened again.
            if !(check.is_over && matches!(report.outcome, Outcome::Pending | Outcome::Detached)) {
                check.board.publish(report, events).await;
            }
        }
    }

    /// The checks that are about these batches: on the event's own commit, and the
    /// one that their mark names.
    async fn checks(&self, board: &Board) -> Vec<Adopted> {
        let Some(seen) = self.batches.first().map(Seen::of) else { return Vec::new() };
        let Some(key) = seen.whole else { return Vec::new() };
        let ids: Vec<&str> = self.batches.iter().map(|batch| batch.id.as_str()).collect();
        let warn = |why: String| self.scene.events.emit(Event::Warned(why));
        let mut checks = board.own_checks(key, &ids).await.unwrap_or_else(|why| {
            warn(why);
            Vec::new()
        });
        if let Some(mark) = seen.check.and_then(|mark| mark.parse::<identity::Check>().ok())
            && checks.iter().all(|check| check.id != mark.id)
        {
            match board.adopt(&mark, key).await {
                Ok(check) if check.is_over && !checks.is_empty() => {}
                Ok(check) => checks.push(check),
                Err(Unadopted::Unread(why)) => warn(why),
                Err(Unadopted::NotOurs(why)) => warn(format!("Batch {}: {why}.", ids[0])),
            }
        }
        checks
    }

    /// From here on these batches' results are what this directory is for.
    fn take_up(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let total = batches.iter().filter_map(|batch| batch.counts.total).sum();
        let keys: Vec<&str> = batches.iter().map(|batch| Seen::of(batch).key.unwrap_or_default()).collect();
        let whole: Vec<Option<&str>> = batches.iter().map(|batch| Seen::of(batch).whole).collect();
        if let [first, rest @ ..] = &whole[..]
            && rest.iter().all(|key| key == first)
        {
            self.report.requests.key = first.map(str::to_owned);
        }
        self.journal.note(Record::Run {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: self.scene.api.origin(),
            key: self.report.requests.key.clone().unwrap_or_default(),
            total,
        })?;
        for (batch, key) in batches.iter().zip(keys) {
            let (key, batch_id) = (key.to_owned(), batch.id.clone());
            self.journal.note(Record::Attached { key, batch_id, owner: Owner::AnotherRun, instead_of: None })?;
        }
        Ok(())
    }

    /// Waits for a batch until it is over or the deadline comes.
    async fn attend(&self, batch: Batch) -> Ended {
        // One that is over may still have to name its files.
        let guard =
            if batch.status.is_terminal() { self.scene.looking() } else { self.scene.guard(self.scene.deadline) };
        let is_unproven = self.unproven.contains(&batch.id);
        let parting = |asked: OnExit| if is_unproven { OnExit::Detach } else { asked };
        let driver = Driver {
            api: self.scene.api,
            guard: &guard,
            journal: &self.journal,
            clock: self.scene.world.clock,
            phases: &self.phases,
            poll_interval: self.scene.plan.poll_interval,
            room: Room::default(),
            on_timeout: parting(self.scene.plan.on_timeout),
            on_abort: parting(self.scene.plan.on_abort),
        };
        let key = Seen::of(&batch).key.unwrap_or_default().to_owned();
        driver.attend(&key, batch).await
    }

    /// Downloads and reconciles. Tells how the requests fared, and which batches'
    /// answers could not be fetched.
    async fn gather(&mut self, batches: &[Batch]) -> Result<(Rows, Vec<(Batch, String)>), Stop> {
        self.phases.begin(Phase::Collect);
        // Reading the requests again is not cut short by a deadline.
        let reading = self.scene.looking();
        let order = reading.unless_signalled(self.order(batches)).await??;
        let guard = self.scene.looking();
        let gatherer = Gatherer {
            api: self.scene.api,
            guard: &guard,
            events: self.scene.events,
            journal: &self.journal,
            output_dir: self.output_dir,
            retry_on: RetryOn::default(),
            answer_files: self.scene.plan.answer_files,
        };
        let attempt = |batch: &Batch| Seen::of(batch).part.map_or(1, |part| part.attempt);
        // Which requests a batch has is not known here. If a file is gone, the requests without a line are those of it.
        let want = |batch| Wanted {
            batch,
            attempt: attempt(batch),
            requests: batch.counts.total.filter(|total| *total > 0),
            rows: std::iter::once(0..u32::MAX).collect(),
            endpoint: None,
        };
        let mut answers = Answers::with_allowance(self.allowance());
        let Gathered { results, doubtful, .. } =
            gatherer.gather(batches.iter().map(want).collect(), &mut answers, Arc::new(order)).await?;
        gatherer.tidy_up();
        let rows = Rows::of(&results);
        let batches: Vec<Batch> =
            batches.iter().map(|batch| answers.of(&batch.id).map_or(batch, |fetched| &fetched.batch).clone()).collect();
        self.tell_of(&batches, &Places::default());
        gather::record(results, self.output_dir, self.scene.events, &mut self.report);
        Ok((rows, doubtful))
    }

    /// How long may be spent on files that cannot be had at once.
    fn allowance(&self) -> Duration {
        if self.scene.plan.timeout.is_zero() { BRIEF_REFETCH } else { BEFORE_BATCH }
    }

    /// The order of the requests, from wherever it can be had.
    async fn order(&mut self, batches: &[Batch]) -> Result<Order, Stop> {
        if let Some((source, checked)) = self.at_hand.take() {
            let key = self.report.requests.key.take();
            self.report.asked(&source, &checked);
            self.report.requests.key = key;
            self.tell_of(batches, &checked.places);
            return Ok(Order::Requests { source, ids: checked.ids, total: checked.total });
        }
        if let Some((source, checked)) = self.given_back(batches).await? {
            let key = self.report.requests.key.take();
            self.report.asked(&source, &checked);
            self.report.requests.files = batches.iter().filter_map(|batch| batch.input_file_id.clone()).collect();
            self.report.requests.key = key;
            return Ok(Order::Requests { source, ids: checked.ids, total: checked.total });
        }
        self.report.coverage = Coverage::Counted;
        self.scene.events.emit(Event::Warned(
            "Neither the requests nor the provider's copy of them could be had: the results stand in the order in \
             which the provider gave them, and which requests are missing cannot be said, only how many."
                .to_owned(),
        ));
        Ok(Order::Answers { total: batches.iter().filter_map(|batch| batch.counts.total).sum() })
    }

    /// The provider's copy of the requests, if it gives it back.
    async fn given_back(&self, batches: &[Batch]) -> Result<Option<(Source, Checked)>, Stop> {
        let guard = self.scene.guard(Instant::now() + self.allowance());
        let dir = self.output_dir.join(".download");
        let downloader = Downloader { api: self.scene.api, guard: &guard, dir: &dir };
        let mut paths = Vec::new();
        // A retry's batch holds only some of the requests.
        if firsts(batches).next().is_none() {
            return Ok(None);
        }
        for (number, batch) in in_order(firsts(batches).collect()).into_iter().enumerate() {
            let Some(id) = &batch.input_file_id else { return Ok(None) };
            let Some(path) = downloader.fetch_if_given(id, number).await? else { return Ok(None) };
            paths.push(path.display().to_string());
        }
        let source = source::resolve(&paths).await?;
        let checked = check_quietly(&source, Rules::of_sent(self.scene.api.vendor().dialect)).await?;
        if let Some(fault) = checked.faults.iter().find(|_| batches.len() > 1) {
            return Err(Error::refused(format!("These batches do not belong together: {}.", fault.statement()))
                .hint("Collect each by itself, with an `output-dir` of its own.")
                .into());
        }
        Ok((checked.fault_count == 0).then_some((source, checked)))
    }

    fn max_failed(&self, batches: &[Batch]) -> values::MaxFailed {
        let marked = || {
            let check: identity::Check = Seen::of(batches.first()?).check?.parse().ok()?;
            Some(check.max_failed)
        };
        self.scene.plan.max_failed.or_else(marked).unwrap_or_default()
    }

    /// Puts the batches into the report.
    fn tell_of(&mut self, batches: &[Batch], places: &Places) {
        let locate = |line| places.locate(line).map(|(file, line)| (file.to_owned(), line));
        let attempt = |batch: &Batch| Seen::of(batch).part.map_or(1, |part| part.attempt);
        self.report.batches =
            batches.iter().map(|batch| BatchReport::new(batch, attempt(batch), locate, None)).collect();
        if let [batch] = firsts(batches).collect::<Vec<_>>()[..] {
            self.report.input_file_id.clone_from(&batch.input_file_id);
        }
    }
}

/// The batch that says most about how it ended: one that did not complete.
fn telling(batches: &[Batch]) -> Option<&Batch> {
    batches.iter().find(|batch| batch.status != Status::Completed).or(batches.first())
}
