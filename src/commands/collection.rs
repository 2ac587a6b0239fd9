//! The batches of one run as a later command collects them: looked at, waited
//! for, downloaded, reconciled, reported.
//!
//! All it needs is the batches' ids; the order of the requests comes from the
//! requests file where it is at hand, else from the provider's copy of it, else
//! from the answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::at_hand::{self, firsts, in_order, without_replaced};
use super::billing::Billing;
use super::check::check_quietly;
use super::fetched::Answers;
use super::gather::{Gathered, Gatherer, Order, Wanted};
use super::gating;
use super::named;
use super::recording;
use super::submitted::{Create, is_closed, is_over};
use crate::attachment::Owner;
use crate::batch::download::Downloader;
use crate::batch::{Driver, Ended, Room};
use crate::clock::seconds;
use crate::dialects::{Batch, Rules, Status};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::Stop;
use crate::identity::{Part, Seen};
use crate::journal::Record;
use crate::life::{self, Held};
use crate::phases::Phase;
use crate::plan::Collecting;
use crate::policy::{BEFORE_BATCH, BRIEF_REFETCH, CLOCK_SKEW, FILES_ON_THEIR_WAY};
use crate::report::{BatchReport, Coverage, Report};
use crate::requests::Checked;
use crate::requests::places::Places;
use crate::requests::source::{self, Source};
use crate::retry_loop::RetryBudget;
use crate::session::{Connected, Directory, Warnings};
use crate::values::{OnExit, RetryOn};
use crate::verdict::{self, Allowed, End, Rows, Verdict};

/// The batches of one run, and what becomes of them.
pub(super) struct Collection<'a> {
    connected: &'a Connected<'a>,
    plan: &'a Collecting,
    dir: Directory<'a>,
    /// The batches as last seen.
    pub(super) batches: Vec<Batch>,
    /// The requests, where they are at hand.
    at_hand: Option<at_hand::Read>,
    /// Those of which the journal alone says whose they are: they are never cancelled.
    unproven: Vec<String>,
}

impl<'a> Collection<'a> {
    /// Takes the directory.
    pub(super) fn begin(connected: &'a Connected<'a>, plan: &'a Collecting, output_dir: &Path) -> Result<Self, Error> {
        // Warnings about another run do not belong in this one's report.
        let warnings = if plan.pending { Warnings::FromHere } else { Warnings::All };
        let mut dir = Directory::take(connected, output_dir, warnings)?;
        dir.show_cases(plan.showing.junit.as_ref())?;
        Ok(Self { connected, plan, dir, batches: Vec::new(), at_hand: None, unproven: Vec::new() })
    }

    /// The batches to collect: those named, else those that the journal knows of.
    pub(super) fn ids(&self) -> Result<Vec<String>, Error> {
        named::ids(&self.plan.batch_ids, &self.open())
    }

    /// Whether the journal alone says which batches there are: then they should be all of their run.
    fn are_from_journal(&self) -> bool {
        self.plan.batch_ids.is_empty() && !self.plan.pending
    }

    /// The batches that the journal knows of.
    fn open(&self) -> Vec<(String, Held)> {
        life::open_batches(&self.dir.earlier, &self.connected.api.origin())
    }

    /// Whether these batches have all requests of the works that the journal left open: as far as the provider counts them,
    /// which not every server does right, or by the batches' own marks.
    fn are_all_sent(&self, batches: &[Batch]) -> bool {
        let open = self.open();
        let works = life::open_works(&self.dir.earlier, &self.connected.api.origin());
        works.iter().all(|work| {
            let is_of_work = |batch: &&Batch| {
                open.iter().any(|(key, held)| held.id == batch.id && work.keys.contains(&key.as_str()))
            };
            let totals = firsts(batches).filter(is_of_work).map(|batch| batch.counts.total.filter(|total| *total > 0));
            let parts = batches.iter().map(Seen::of).filter(|seen| seen.whole == Some(work.key));
            let parts: Vec<Part> = parts.filter_map(|seen| seen.part).collect();
            totals.sum::<Option<u64>>().is_none_or(|sent| sent >= work.total) || Part::are_all(&parts)
        })
    }

    /// Collects, judges, and writes the report.
    pub(super) async fn go(&mut self, ids: &[String]) -> Result<Exit, Error> {
        self.dir.set_aside()?;
        // A report on a look that was broken off names them, too.
        let unseen = |id: &String| Batch { id: id.clone(), status: Status::Other(String::new()), ..Batch::default() };
        self.report_batches(&ids.iter().map(unseen).collect::<Vec<Batch>>(), &Places::default());
        let verdict = self.stages(ids).await.unwrap_or_else(|stop| self.broken_off(&stop, ids));
        Ok(self.dir.conclude(verdict).await)
    }

    /// The verdict where something kept the batches from being judged.
    fn broken_off(&self, stop: &Stop, ids: &[String]) -> Verdict {
        match stop {
            Stop::Deadline(_) if self.batches.is_empty() => verdict::unseen(ids, stop.trouble(), &self.dir.how),
            _ => verdict::judge(&End::of(stop), None, self.allowed(&[]), &self.dir.how),
        }
    }

    /// What is reported of it.
    pub(super) fn report(&self) -> &Report {
        &self.dir.report
    }

    /// The journal's closing record, once all is published.
    pub(super) fn close(&self) {
        self.dir.close();
    }

    async fn stages(&mut self, ids: &[String]) -> Result<Verdict, Stop> {
        let mut batches = self.look(ids).await?;
        if self.are_from_journal() {
            (batches, self.unproven) = named::weigh(self.connected, &self.open(), batches).await?;
        }
        batches = without_replaced(batches);
        self.at_hand = at_hand::find(self.connected, self.plan, &batches).await?;
        if let Some((source, _)) = &self.at_hand {
            self.dir.spare(source)?;
        }
        self.begin_journal(&batches)?;
        self.watch(&batches);
        let (mut stops, mut left) = (Vec::new(), Vec::new());
        for batch in &mut batches {
            let Ended { progress, stop: ended } = self.attend(batch.clone()).await;
            *batch = self.connected.api.shown_batch(progress.batch().unwrap_or(batch));
            // Only what was to be cancelled and was not is left to `post`.
            if matches!(ended, Some(Stop::Signal(_) | Stop::Deadline(_))) && !is_over(batch) {
                left.push(batch.id.clone());
            }
            stops.push(ended);
        }
        self.connected.session.events.emit(Event::Settled { batch_ids: left, creates: Vec::new() });
        self.report_batches(&batches, &Places::default());
        self.batches.clone_from(&batches);
        let telling = telling(&batches);
        let allowed = self.allowed(&batches);
        self.dir.report.max_failed = allowed.failed.to_string();
        self.dir.report.max_suspect = allowed.suspect.map(|most| most.to_string());
        let how = self.dir.how.clone();
        let broken_off =
            |stops: &[Option<Stop>]| verdict::judge_all(&End::all(&batches, stops), None, &[], allowed, &how);
        let is_late = |stop: &Stop| matches!(stop, Stop::Deadline(_) | Stop::HandedOver(_));
        if stops.iter().flatten().any(|stop| !is_late(stop)) {
            return Ok(broken_off(&stops));
        }
        if batches.iter().any(|batch| !batch.status.is_terminal()) {
            if stops.iter().flatten().any(|stop| matches!(stop, Stop::Deadline(_))) {
                return Ok(broken_off(&stops));
            }
            let trouble = stops.iter().flatten().find_map(Stop::trouble);
            return Ok(Verdict::pending(&batches, self.plan.pending_exit(), trouble, &how));
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
        if self.plan.timeout.is_zero() && self.may_come(&doubtful) {
            return Ok(verdict::incomplete(&doubtful, &all, self.plan.pending_exit(), &how));
        }
        let stop = stops.iter().flatten().next();
        let is_all_sent = !self.are_from_journal() || self.are_all_sent(&batches);
        let is_closed = is_all_sent && doubtful.is_empty() && is_closed(stop, telling, Create::Settled);
        // One that did not complete says how they ended; all of them have to be collected together.
        let telling: Vec<End<'_>> = telling.map(|batch| End::of_batch(stop, batch)).into_iter().collect();
        let verdict = verdict::judge_all(&telling, Some(rows), &[], allowed, &how);
        let verdict = verdict::or_uncollected(verdict, &doubtful, &all, Some(rows), &how);
        let verdict = if is_all_sent { verdict } else { verdict::not_all_sent(verdict) };
        if is_closed {
            self.dir.closing = vec![Record::Closed { outcome: verdict.outcome.word().to_owned() }];
        }
        Ok(verdict)
    }

    /// Whether what could not be fetched may be on its way: all of these batches ended a moment ago.
    fn may_come(&self, doubtful: &[(Batch, String)]) -> bool {
        let now = self.connected.session.world.clock.unix();
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
        if self.plan.on_abort == OnExit::Cancel && !batch_ids.is_empty() {
            self.connected.session.events.emit(Event::Watching { batch_ids });
        }
    }

    /// One look at each batch.
    async fn look(&self, ids: &[String]) -> Result<Vec<Batch>, Stop> {
        self.dir.phases.begin(Phase::Look);
        let guard = self.connected.looking();
        let mut batches: Vec<Batch> = Vec::new();
        for id in ids {
            let look = async || self.connected.api.get_batch(id).await;
            let (batch, _) = guard.retry(&format!("looking at batch {id}"), RetryBudget::Running, look).await?;
            batches.push(Batch { id: id.clone(), ..batch });
        }
        Ok(batches)
    }

    /// From here on these batches' results are what this directory is for.
    fn begin_journal(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let total = batches.iter().filter_map(|batch| batch.counts.total).sum();
        let keys: Vec<&str> = batches.iter().map(|batch| Seen::of(batch).key.unwrap_or_default()).collect();
        let whole: Vec<Option<&str>> = batches.iter().map(|batch| Seen::of(batch).whole).collect();
        if let [first, rest @ ..] = &whole[..]
            && rest.iter().all(|key| key == first)
        {
            self.dir.report.requests.key = first.map(str::to_owned);
        }
        self.dir.journal.note(Record::Run {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: self.connected.api.origin(),
            key: self.dir.report.requests.key.clone().unwrap_or_default(),
            total,
        })?;
        for (batch, key) in batches.iter().zip(keys) {
            let (key, batch_id) = (key.to_owned(), batch.id.clone());
            self.dir.journal.note(Record::Attached { key, batch_id, owner: Owner::AnotherRun, instead_of: None })?;
        }
        Ok(())
    }

    /// Waits for a batch until it is over or the deadline comes.
    async fn attend(&self, batch: Batch) -> Ended {
        // One that is over may still have to name its files.
        let guard = if batch.status.is_terminal() { self.connected.looking() } else { self.connected.guard() };
        let is_unproven = self.unproven.contains(&batch.id);
        let on_exit = |asked: OnExit| if is_unproven { OnExit::Detach } else { asked };
        let driver = Driver {
            api: &self.connected.api,
            guard: &guard,
            journal: &self.dir.journal,
            clock: self.connected.session.world.clock,
            phases: &self.dir.phases,
            poll_interval: self.plan.poll_interval,
            room: Room::default(),
            on_timeout: on_exit(self.plan.on_timeout),
            on_abort: on_exit(self.plan.on_abort),
        };
        let key = Seen::of(&batch).key.unwrap_or_default().to_owned();
        driver.attend(&key, batch).await
    }

    /// Downloads and reconciles. Returns how the requests fared, and which batches'
    /// answers could not be fetched.
    async fn gather(&mut self, batches: &[Batch]) -> Result<(Rows, Vec<(Batch, String)>), Stop> {
        self.dir.phases.begin(Phase::Collect);
        // Reading the requests again is not cut short by a deadline.
        let reading = self.connected.looking();
        let (order, places) = reading.unless_signalled(self.order(batches)).await??;
        let guard = self.connected.looking();
        let gatherer = Gatherer {
            api: &self.connected.api,
            guard: &guard,
            events: &self.connected.session.events,
            journal: &self.dir.journal,
            output_dir: &self.dir.path,
            retry_on: RetryOn::default(),
            expected: Arc::clone(&self.plan.expected),
            answer_files: self.plan.answer_files,
            shown: self.plan.showing.shown(),
            billing: Billing::of(self.connected, self.plan.prices.clone()),
            env: &self.connected.session.world.env,
        };
        let attempt = |batch: &Batch| Seen::of(batch).part.map_or(1, |part| part.attempt);
        // Which requests a batch has is not known here. If a file is gone, the requests without a line are those of it.
        let model = self.dir.report.requests.model.clone();
        let want = |batch| Wanted {
            batch,
            attempt: attempt(batch),
            requests: batch.counts.total.filter(|total| *total > 0),
            rows: std::iter::once(0..u32::MAX).collect(),
            endpoint: None,
            key: None,
            model: model.clone(),
        };
        let mut answers = Answers::with_allowance(self.allowance());
        let order = Arc::new(order);
        let wanted = batches.iter().map(want).collect();
        let mut gathered = gatherer.gather(wanted, &mut answers, Arc::clone(&order)).await?;
        if let Some(gate) = self.plan.gate.as_ref().filter(|_| gathered.doubtful.is_empty()) {
            gating::pass(&gatherer, gate, &mut gathered, &mut answers, &order).await;
        }
        let Gathered { mut results, doubtful, gate, gate_stop, .. } = gathered;
        self.dir.cases = results.cases.take();
        gatherer.tidy_up();
        let rows = Rows::of(&results);
        let batches: Vec<Batch> =
            batches.iter().map(|batch| answers.of(&batch.id).map_or(batch, |fetched| &fetched.batch).clone()).collect();
        self.report_batches(&batches, &places);
        recording::record(results, &self.dir.path, &self.connected.session.events, &mut self.dir.report);
        self.dir.report.locate_examples(&places);
        self.dir.report.gate = gate;
        gate_stop.map_or(Ok((rows, doubtful)), Err)
    }

    /// How long may be spent on files that cannot be had at once.
    fn allowance(&self) -> Duration {
        if self.plan.timeout.is_zero() { BRIEF_REFETCH } else { BEFORE_BATCH }
    }

    /// The order of the requests, from wherever it can be had, and where they are in the user's files.
    async fn order(&mut self, batches: &[Batch]) -> Result<(Order, Places), Stop> {
        if let Some((source, checked)) = self.at_hand.take() {
            let key = self.dir.report.requests.key.take();
            self.dir.report.asked(&source, &checked);
            self.dir.report.requests.key = key;
            let Checked { ids, total, is_structured, places, .. } = checked;
            return Ok((Order::Requests { source, ids, total, is_structured }, places));
        }
        if let Some((source, checked)) = self.given_back(batches).await? {
            let key = self.dir.report.requests.key.take();
            self.dir.report.asked(&source, &checked);
            self.dir.report.requests.files = batches.iter().filter_map(|batch| batch.input_file_id.clone()).collect();
            self.dir.report.requests.key = key;
            let Checked { ids, total, is_structured, .. } = checked;
            // The provider's copy is no file of the user's.
            return Ok((Order::Requests { source, ids, total, is_structured }, Places::default()));
        }
        self.dir.report.coverage = Coverage::Counted;
        self.connected.session.events.emit(Event::Warned(
            "Neither the requests nor the provider's copy of them could be read: the results are in the provider's \
             order, and only the number of missing requests is known, not which ones they are."
                .to_owned(),
        ));
        let total = batches.iter().filter_map(|batch| batch.counts.total).sum();
        Ok((Order::Answers { total }, Places::default()))
    }

    /// The provider's copy of the requests, if it gives it back.
    async fn given_back(&self, batches: &[Batch]) -> Result<Option<(Source, Checked)>, Stop> {
        let guard = self.connected.session.guard(Instant::now() + self.allowance());
        let dir = self.dir.path.join(".download");
        let downloader = Downloader { api: &self.connected.api, guard: &guard, dir: &dir };
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
        let checked = check_quietly(&source, Rules::of_sent(self.connected.api.vendor().dialect)).await?;
        if let Some(fault) = checked.faults.iter().find(|_| batches.len() > 1) {
            return Err(Error::refused(format!("These batches do not belong together: {}.", fault.statement()))
                .hint("Collect each by itself, with an `output-dir` of its own.")
                .into());
        }
        Ok((checked.fault_count == 0).then_some((source, checked)))
    }

    fn allowed(&self, batches: &[Batch]) -> Allowed {
        let marked = || Seen::of(batches.first()?).max_failed();
        let failed = self.plan.max_failed.or_else(marked).unwrap_or_default();
        Allowed { failed, suspect: self.plan.max_suspect }
    }

    /// Puts the batches into the report.
    fn report_batches(&mut self, batches: &[Batch], places: &Places) {
        let locate = |line| places.locate(line).map(|(file, line)| (file.to_owned(), line));
        let attempt = |batch: &Batch| Seen::of(batch).part.map_or(1, |part| part.attempt);
        self.dir.report.batches =
            batches.iter().map(|batch| BatchReport::new(batch, attempt(batch), locate, None)).collect();
        if let [batch] = firsts(batches).collect::<Vec<_>>()[..] {
            self.dir.report.input_file_id.clone_from(&batch.input_file_id);
        }
    }
}

/// The batch that says most about how it ended: one that did not complete.
fn telling(batches: &[Batch]) -> Option<&Batch> {
    batches.iter().find(|batch| batch.status != Status::Completed).or(batches.first())
}
