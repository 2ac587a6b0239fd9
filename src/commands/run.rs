//! `batchstep run`, the whole life of a batch, and `batchstep submit`, its beginning.

use std::io;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::accounts::Accounts;
use super::check::{check_requests, log_plan};
use super::fetched::Answers;
use super::gather::{Gathered, Gatherer, Order};
use super::gating;
use super::only_failed::{self, Earlier};
use super::recording;
use super::spending::Spending;
use super::submitted::{self, Submitted};
use super::submitting::{Submitting, key};
use super::{describe, on_signal};
use crate::dialects::Batch;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::{Guard, Stop};
use crate::hosts::Host;
use crate::identity;
use crate::inputs;
use crate::invocation::Requests;
use crate::journal::Record;
use crate::phases::Phase;
use crate::plan::{Plan, Server};
use crate::policy::{BEFORE_BATCH, MOST_ATTEMPTS};
use crate::report::Continued;
use crate::requests::Checked;
use crate::requests::places::Places;
use crate::requests::shards::{self, Shard};
use crate::requests::source::{self, Source};
use crate::session::{Connected, Directory, Reported, Session, Warnings};
use crate::values::Reuse;
use crate::verdict::{self, End, Rows, Verdict};
use crate::world::World;

/// `batchstep run`: check, attach or submit, wait, collect, report.
pub(crate) async fn run(inputs: inputs::Run, world: &World) -> Exit {
    let host = world.reporting_host(&inputs.reporting, &inputs.work.requests, &inputs.other_files());
    run_on(host.as_ref(), inputs, world).await
}

/// `run` on this host.
pub(super) async fn run_on(host: &dyn Host, inputs: inputs::Run, world: &World) -> Exit {
    let reported = Reported::new(&inputs.connection, &inputs.reporting, &inputs.work.requests, inputs.other_files());
    let requests = Requests::typed(&inputs.work, inputs.connection.provider)
        .map(|requests| requests.repeating(inputs.typed.clone()));
    carry_out(Session::begin(world, host), reported, requests, || Plan::run(inputs, host, world.setting(host))).await
}

/// `batchstep submit`: check, attach or submit, and leave.
pub(crate) async fn submit(inputs: inputs::Submit, world: &World) -> Exit {
    let host = world.reporting_host(&inputs.reporting, &inputs.work.requests, &inputs.other_files());
    let host = host.as_ref();
    let reported = Reported::new(&inputs.connection, &inputs.reporting, &inputs.work.requests, inputs.other_files());
    let requests = Requests::typed(&inputs.work, inputs.connection.provider);
    carry_out(Session::begin(world, host), reported, requests, || Plan::submit(inputs, host, world.setting(host))).await
}

async fn carry_out(
    session: Session<'_>,
    inputs: Reported,
    requests: Option<Requests>,
    plan: impl FnOnce() -> Result<(Plan, Server), Error>,
) -> Exit {
    let work = async |session: &Session<'_>| {
        let (plan, server) = plan()?;
        let on_signal = on_signal(plan.on_abort);
        let connected = session.connect(server, &inputs.connection, plan.timeout).await?;
        let mut run = Run::begin(plan, requests, &connected)?;
        let work = async {
            let exit = Box::pin(run.go()).await;
            session.publish(&run.dir.report).await;
            run.dir.close();
            exit
        };
        Ok(Box::pin(session.attended(on_signal, work)).await)
    };
    Box::pin(session.carry_out(&inputs, work)).await
}

/// A run under way.
struct Run<'a> {
    plan: Plan,
    connected: &'a Connected<'a>,
    dir: Directory<'a>,
    /// Where the host shows the run, for the batches' metadata.
    check: Option<String>,
    /// The digest of all requests that are sent, which distinguishes them from others.
    fingerprint: String,
    /// The run that this one continues.
    earlier: Option<Earlier>,
    /// What it costs, and may cost.
    accounts: Accounts,
}

/// What came of fetching the answers.
#[derive(Default)]
struct Collected {
    /// How the requests fared; none where nothing was fetched.
    rows: Option<Rows>,
    /// The batches of which promised answers could not be fetched, each with the reason.
    doubtful: Vec<(Batch, String)>,
    /// The batches whose answers are here.
    here: Vec<String>,
    /// What broke it off.
    stop: Option<Stop>,
}

impl<'a> Run<'a> {
    /// Gets everything ready that can be wrong without the network.
    fn begin(mut plan: Plan, requests: Option<Requests>, connected: &'a Connected<'a>) -> Result<Self, Error> {
        let mut dir = Directory::take(connected, &plan.output_dir, Warnings::All)?;
        let accounts = Accounts::open(&plan, connected);
        connected.announce(plan.job_end);
        dir.show_cases(plan.showing.junit.as_ref())?;
        let earlier = only_failed::take(&plan.only_failed, &dir, &connected.api)?;
        if earlier.is_some() {
            // Batches with this key are of this very continuation: one that is over was bought for it.
            plan.reuse = if plan.reuse == Reuse::Never { Reuse::Never } else { Reuse::Finished };
            dir.how = dir.how.of_continuation();
        }
        dir.report.max_failed = plan.allowed.failed.to_string();
        dir.report.max_suspect = plan.allowed.suspect.map(|most| most.to_string());
        let requests = requests.map(|requests| requests.shown(&|text| connected.api.shown(text)));
        dir.how = dir.how.of_run(plan.reuse, requests).of_workflow(connected.session.host.identity().run.as_deref());
        Ok(Self { plan, connected, dir, check: None, fingerprint: String::new(), earlier, accounts })
    }

    /// Runs all stages, judges, and writes the report.
    async fn go(&mut self) -> Exit {
        let verdict = Box::pin(self.stages())
            .await
            .unwrap_or_else(|stop| verdict::judge(&End::of(&stop), None, self.plan.allowed, &self.dir.how));
        let exit = self.dir.conclude(verdict).await;
        let is_closed = self.dir.closing.iter().any(|record| matches!(record, Record::Closed { .. }));
        if let Some(Err(error)) = self.earlier.as_ref().filter(|_| is_closed).map(Earlier::release) {
            self.warn(format!("What was kept of the earlier run could not be removed: {error}."));
        }
        exit
    }

    /// Check, obtain batches, wait, collect: the verdict on what came of it.
    async fn stages(&mut self) -> Result<Verdict, Stop> {
        self.dir.phases.begin(Phase::Check);
        let session = self.connected.session;
        let guard = self.connected.guard();
        let source = guard.guard(source::resolve(&self.plan.requests)).await?;
        let source = source.map_err(|error| self.connected.session.world.config.locate(error))?;
        self.dir.spare(&source)?;
        let checked = guard.guard(check_requests(&source, self.plan.rules.clone(), &session.events)).await??;
        self.dir.report.asked(&source, &checked);
        if checked.fault_count > 0 {
            return Ok(Verdict::invalid(&checked.faults, checked.fault_count, self.dir.how.check().as_deref()));
        }
        let Checked { total, ids, places, mut shards, mut digest, is_structured, .. } = checked;
        let order = Arc::new(Order::Requests { source: source.clone(), ids, total, is_structured });
        let mut answers = Answers::with_allowance(BEFORE_BATCH);
        if let Some(earlier) = &self.earlier {
            let keys: Vec<String> = shards.iter().map(|shard| key(&self.plan, shard, 1)).collect();
            let whole = identity::key_of_all(&keys);
            let warning = earlier.compare(&self.dir.report.requests, &whole, &self.connected.api)?;
            warning.into_iter().for_each(|warning| self.warn(warning));
            let selected = earlier.select(&self.gatherer(&guard), &order, whole).await?;
            let picked = self.pick(&guard, &source, selected.rows, shards).await?;
            shards =
                picked.map_err(|error| Error::new(Exit::Invalid, "The requests cannot be read.").because(error))?;
            digest = shards::digest(&shards);
            answers = answers.beside(selected.kept);
            let Continued { report, sent, kept, .. } = selected.continued.clone();
            session.events.emit(Event::Selected { requests: sent, kept, report });
            self.dir.report.requests.bytes = shards.iter().map(|shard| shard.bytes).sum();
            self.dir.report.simulated |= earlier.is_simulated();
            self.dir.report.continued = Some(selected.continued);
            self.plan.extras.push(earlier.extra());
        }
        log_plan(&shards, &session.events);
        let (rules, report) = (&self.plan.rules, &mut self.dir.report);
        guard.guard(self.accounts.estimate(&source, &shards, rules, report, &session.events)).await??;
        self.fingerprint = identity::fingerprint(digest);
        let keys: Vec<String> = shards.iter().map(|shard| key(&self.plan, shard, 1)).collect();
        let key = identity::key_of_all(&keys);
        self.dir.report.requests.key = Some(key.clone());
        self.dir.journal.note(Record::Run {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            origin: self.connected.api.origin(),
            key,
            total: shards.iter().map(|shard| shard.requests).sum(),
        })?;
        // Before any batch exists: its metadata says where the run is shown.
        if let Some(publisher) = session.publisher() {
            let mark = guard.guard(publisher.begin(&self.dir.report, &session.events)).await?;
            self.check = mark.map(|mark| identity::check_mark(mark.as_str(), self.plan.allowed.failed));
        }
        let (mut all, collected) = Box::pin(self.rounds(&guard, &source, shards, answers, order)).await;
        Ok(self.conclude(&mut all, collected, &places))
    }

    /// Sends all requests, then resends those that failed, as often as is allowed.
    async fn rounds(
        &self,
        guard: &Guard<'_>,
        source: &Source,
        shards: Vec<Shard>,
        answers: Answers,
        order: Arc<Order>,
    ) -> (Vec<Submitted>, Option<Result<Gathered, Stop>>) {
        let (gatherer, answers) = (self.gatherer(guard), Mutex::new(answers));
        let spending = self.accounts.spending(&self.plan.rules, &gatherer, &answers);
        let submitting = self.submitting(guard, source, spending);
        let mut all = self.send(&submitting, shards, 1).await;
        answers.lock().await.not_sent = submitted::not_sent(&all);
        let mut collected = self.collect(&gatherer, &all, &answers, &order).await;
        let mut retries = self.plan.retries;
        for attempt in 2..=MOST_ATTEMPTS {
            let Some(Ok(gathered)) = &collected else { break };
            if retries == 0 || all.iter().any(|it| it.ended.stop.is_some()) || self.is_uncollected(gathered) {
                break;
            }
            let from = submitted::worth_retrying(&all, &*answers.lock().await);
            let shards = match self.worth_retrying(guard, source, from, gathered, attempt).await {
                Ok(Some(shards)) => shards,
                Ok(None) => break,
                Err(stop) => {
                    collected = Some(Err(stop));
                    break;
                }
            };
            let again = self.send(&submitting, shards, attempt).await;
            // A batch of an earlier run does not count as a retry of this one.
            retries -= u32::from(again.iter().any(|it| it.ended.progress.attached().is_none()));
            all.extend(again);
            match self.collect(&gatherer, &all, &answers, &order).await {
                Some(Err(stop @ Stop::Signal(_))) => collected = Some(Err(stop)),
                Some(Err(stop)) => {
                    self.warn(format!("The answers to the retry were not collected: {}", describe(&stop)));
                }
                Some(Ok(gathered)) => collected = Some(Ok(gathered)),
                None => {}
            }
        }
        if let (Some(gate), Some(Ok(gathered))) = (&self.plan.gate, &mut collected)
            && !self.is_uncollected(gathered)
        {
            gating::pass(&gatherer, gate, gathered, &mut *answers.lock().await, &order).await;
        }
        gatherer.tidy_up();
        answers.lock().await.update(all.iter_mut().filter_map(Submitted::batch_mut));
        (all, collected)
    }

    /// Sends these shards, and meanwhile shows which batches there are.
    async fn send(&self, submitting: &Submitting<'_>, shards: Vec<Shard>, attempt: u32) -> Vec<Submitted> {
        self.connected.session.updating(&self.dir.report, submitting.send(shards, attempt)).await
    }

    /// The requests that failed with an error that a retry may avoid, as shards.
    async fn worth_retrying(
        &self,
        guard: &Guard<'_>,
        source: &Source,
        from: Vec<Shard>,
        gathered: &Gathered,
        attempt: u32,
    ) -> Result<Option<Vec<Shard>>, Stop> {
        let picked = self.pick(guard, source, gathered.results.worth_retrying(), from).await?;
        let picked = picked.map_err(|error| self.warn(format!("Failed requests cannot be retried: {error}.")));
        let Some(picked) = picked.ok().filter(|shards| !shards.is_empty()) else { return Ok(None) };
        let requests = picked.iter().map(|shard| shard.requests).sum();
        self.connected.session.events.emit(Event::Retrying { requests, attempt });
        Ok(Some(picked))
    }

    /// These requests, as far as they are in one of these shards, as shards of their own.
    async fn pick(
        &self,
        guard: &Guard<'_>,
        source: &Source,
        rows: Vec<u32>,
        from: Vec<Shard>,
    ) -> Result<io::Result<Vec<Shard>>, Stop> {
        let (source, rules) = (source.clone(), self.plan.rules.clone());
        let picking = tokio::task::spawn_blocking(move || shards::pick(&source, &rows, &from, &rules));
        let picked = guard.unless_signalled(picking).await?;
        Ok(picked.map_err(io::Error::other).and_then(|picked| picked))
    }

    /// Whether answers that were paid for could not be fetched: then nothing is sent
    /// again, unless the user pays for it knowingly.
    fn is_uncollected(&self, gathered: &Gathered) -> bool {
        let pays_again = self.plan.retries > 0 && self.plan.retry_on.covers_missing();
        !gathered.doubtful.is_empty() && !pays_again
    }

    fn submitting<'r>(
        &'r self,
        guard: &'r Guard<'r>,
        source: &'r Source,
        spending: Option<Spending<'r>>,
    ) -> Submitting<'r> {
        Submitting {
            plan: &self.plan,
            connected: self.connected,
            dir: &self.dir,
            guard,
            source,
            check: self.check.as_deref(),
            fingerprint: &self.fingerprint,
            spending,
        }
    }

    fn gatherer<'g>(&'g self, guard: &'g Guard<'g>) -> Gatherer<'g> {
        Gatherer {
            api: &self.connected.api,
            guard,
            events: &self.connected.session.events,
            journal: &self.dir.journal,
            output_dir: &self.plan.output_dir,
            retry_on: self.plan.retry_on.clone(),
            expected: Arc::clone(&self.plan.expected),
            answer_files: self.plan.answer_files,
            shown: self.plan.showing.shown(),
            billing: self.accounts.billing.clone(),
            env: &self.connected.session.world.env,
        }
    }

    /// Downloads what there is of new answers, and reconciles all. None where
    /// there is nothing to collect, or nobody to collect for.
    async fn collect(
        &self,
        gatherer: &Gatherer<'_>,
        all: &[Submitted],
        answers: &Mutex<Answers>,
        order: &Arc<Order>,
    ) -> Option<Result<Gathered, Stop>> {
        let is_ended = |it: &Submitted| matches!(it.ended.stop, Some(Stop::Signal(_) | Stop::Detached(_)));
        let wanted = submitted::wanted(all);
        // Where nothing had to be sent, what an earlier run left is all there is; where nothing was sent, there are
        // lines that say so.
        let is_nothing = wanted.is_empty() && !all.is_empty() && !all.iter().any(Submitted::is_over_budget);
        if !self.plan.waits || is_nothing || all.iter().any(is_ended) {
            return None;
        }
        self.dir.phases.begin(Phase::Collect);
        Some(gatherer.gather(wanted, &mut *answers.lock().await, Arc::clone(order)).await)
    }

    fn warn(&self, warning: String) {
        self.connected.session.warn(warning);
    }

    /// Fills the report with how it ended, judges, and says what is left to others.
    fn conclude(
        &mut self,
        all: &mut [Submitted],
        collected: Option<Result<Gathered, Stop>>,
        places: &Places,
    ) -> Verdict {
        // All decisions that read the provider's words are made.
        all.iter_mut()
            .filter_map(Submitted::batch_mut)
            .for_each(|batch| *batch = self.connected.api.shown_batch(batch));
        let all = &*all;
        self.report_batches(all, places);
        self.warn_of_retries(all);
        let collected = self.report_answers(collected, places);
        let (ends, not_sent) = (ends(all, &collected), self.accounts.not_sent(all, collected.rows));
        self.dir.report.cost.budget = self.accounts.report(not_sent.as_ref());
        let verdict = self.judge(all, &ends, &collected);
        let verdict = match &not_sent {
            Some(not_sent) => verdict::over_budget(verdict, not_sent, &self.dir.how),
            None => verdict,
        };
        self.warn_of_what_goes_on(all);
        self.settle(all);
        self.dir.closing = self.closing(all, &ends, &collected, &verdict);
        verdict
    }

    fn warn_of_retries(&self, all: &[Submitted]) {
        for late in all.iter().filter(|it| !it.is_first() && !it.end().is_signalled()) {
            if let Some(Stop::Failed(error)) = late.ended.stop.as_ref().filter(|_| late.is_over_budget()) {
                self.warn(format!("Nothing more was retried. {}", error.sentence()));
            } else if let Some(stop) = &late.ended.stop {
                self.warn(format!("The retry did not end well: {}", describe(stop)));
            }
        }
    }

    fn report_batches(&mut self, all: &[Submitted], places: &Places) {
        self.dir.report.batches = submitted::batches(all, places);
        self.dir.report.shards = submitted::shards(all);
        let firsts: Vec<&Submitted> = all.iter().filter(|it| it.is_first()).collect();
        if let [only] = firsts[..] {
            self.dir.report.input_file_id = only.ended.progress.file_id();
        }
    }

    fn report_answers(&mut self, collected: Option<Result<Gathered, Stop>>, places: &Places) -> Collected {
        match collected {
            None => Collected::default(),
            Some(Err(stop)) => Collected { stop: Some(stop), ..Collected::default() },
            Some(Ok(gathered)) => {
                let is_uncollected = self.is_uncollected(&gathered);
                let Gathered { mut results, doubtful, ids: here, gate, gate_stop: stop } = gathered;
                (self.dir.report.gate, self.dir.cases) = (gate, results.cases.take());
                let doubtful = if is_uncollected { doubtful } else { Vec::new() };
                let rows = Some(Rows::of(&results));
                let events = &self.connected.session.events;
                recording::record(results, &self.plan.output_dir, events, &mut self.dir.report);
                self.dir.report.locate_examples(places);
                Collected { rows, doubtful, here, stop }
            }
        }
    }

    fn judge(&self, all: &[Submitted], ends: &[End<'_>], collected: &Collected) -> Verdict {
        if !self.plan.waits && ends.iter().all(|end| end.stop.is_none()) {
            let batches: Vec<&Batch> = all.iter().filter_map(Submitted::batch).collect();
            return Verdict::submitted(&batches, &self.dir.how);
        }
        let how = self.dir.how.clone();
        let how = if all.iter().all(Submitted::is_closed) { how } else { how.while_open() };
        verdict::judge_all(ends, collected.rows, &collected.doubtful, self.plan.allowed, &how)
    }

    fn warn_of_what_goes_on(&self, all: &[Submitted]) {
        for left in all.iter().filter(|it| matches!(it.ended.stop, Some(Stop::HandedOver(_)))) {
            let id = left.batch().map(|batch| batch.id.as_str()).unwrap_or_default();
            if !self.dir.how.ends_with_process() {
                self.warn(format!("Batch {id} is still running. Run again or use `collect` to get its answers."));
            }
        }
    }

    /// Leaves to `post` what is still to be ended. `submit` hands over whatever it could submit.
    fn settle(&self, all: &[Submitted]) {
        let is_handed_over = |it: &Submitted| !self.plan.waits && it.ended.stop.is_none();
        let left: Vec<&Submitted> = all.iter().filter(|it| !it.is_settled() && !is_handed_over(it)).collect();
        let batch_ids = left.iter().filter_map(|it| Some(it.batch()?.id.clone())).collect();
        let creates = left.iter().filter(|it| it.batch().is_none()).filter_map(|it| it.create()).collect();
        self.connected.session.events.emit(Event::Settled { batch_ids, creates });
    }

    /// The journal's closing records: that the run is closed, or else which of its work a later run makes anew.
    fn closing(&self, all: &[Submitted], ends: &[End<'_>], collected: &Collected, verdict: &Verdict) -> Vec<Record> {
        // What was refused may work the next time, which then pays for nothing that is here already.
        let is_refused = ends.iter().any(|end| matches!(end.stop, Some(Stop::Failed(_))));
        let is_here = all.iter().all(|it| it.is_closed() && it.is_fetched(&collected.here));
        let is_all_sent = !all.iter().any(Submitted::is_over_budget);
        if self.plan.waits && !is_refused && is_all_sent && collected.doubtful.is_empty() && is_here {
            return vec![Record::Closed { outcome: verdict.outcome.word().to_owned() }];
        }
        submitted::dropped(all)
    }
}

/// How the first attempt at each shard ended, and whichever retry a signal ended.
/// If fetching the answers was broken off, that is how all of them ended.
fn ends<'e>(all: &'e [Submitted], collected: &'e Collected) -> Vec<End<'e>> {
    let sent = || all.iter().filter(|it| !it.is_over_budget());
    let mut ends: Vec<End<'_>> = sent().filter(|it| it.is_first()).map(Submitted::end).collect();
    ends.extend(sent().filter(|it| !it.is_first()).map(Submitted::end).filter(End::is_signalled));
    if let Some(stop) = &collected.stop {
        ends.iter_mut().for_each(|end| end.stop = Some(stop));
    }
    ends
}
