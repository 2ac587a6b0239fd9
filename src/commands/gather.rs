//! Gathering: what batches that are over have to give, fetched and put in order.
//!
//! What the provider's account promises and the files lack is fetched again, with
//! growing waits and within one allowance for the whole run: an answer that was
//! paid for must not be paid for again because a replica lagged.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::billing::{self, Billing};
use super::fetched::{Answers, Fetched, Look, UNCONFIRMED, later};
use super::recording;
use super::result_file::ResultFile;
use crate::api::Api;
use crate::batch::download::Downloader;
use crate::batch::promise::{FileState, Files, Finding};
use crate::dialects::{Batch, Counts, Intake, ReadAnswers, Status};
use crate::emitter::Events;
use crate::env::Env;
use crate::error::Error;
use crate::events::Event;
use crate::gate::Verdicts;
use crate::guard::{Guard, Stop};
use crate::journal::{Journal, Record};
use crate::judgement::GateReport;
use crate::policy::{BEFORE_BATCH, FIRST_REFETCH, LONGEST_REFETCH};
use crate::requests::ids::Ids;
use crate::requests::source::Source;
use crate::results::sinks::{self, Output, Shown};
use crate::results::{self, Absence, Absent, AnswersFile, Held, OwnIds, Policy, Requests, Results, Spent};
use crate::schemas::Expected;
use crate::text::counted;
use crate::values::{AnswerFiles, RetryOn};

/// The order in which results stand, and what is missing from them.
pub(super) enum Order {
    /// That of the requests.
    Requests {
        /// The requests, read again to name those without an answer.
        source: Source,
        /// Which request an id belongs to.
        ids: Ids,
        /// Requests.
        total: u64,
        /// Whether any asks for an answer of a certain form.
        is_structured: bool,
    },
    /// That of the answers; so many were asked for.
    Answers {
        /// Requests, as the provider counts them.
        total: u64,
    },
}

/// What answers are gathered with.
pub(super) struct Gatherer<'a> {
    pub(super) api: &'a Api,
    pub(super) guard: &'a Guard<'a>,
    pub(super) events: &'a Events<'a>,
    pub(super) journal: &'a Journal,
    pub(super) output_dir: &'a Path,
    /// Which failures are retried beside the default ones.
    pub(super) retry_on: RetryOn,
    /// What is expected of the answers' texts.
    pub(super) expected: Arc<Expected>,
    /// Whether the answers' texts are written to files of their own.
    pub(super) answer_files: AnswerFiles,
    /// Which rows are shown one by one.
    pub(super) shown: Shown,
    /// What the answers are priced with.
    pub(super) billing: Billing,
    /// What the gate gets of, but for secrets.
    pub(super) env: &'a Env,
}

/// What a reconciliation makes, and where.
pub(super) struct Making {
    pub(super) dir: PathBuf,
    pub(super) answer_files: AnswerFiles,
    /// Which rows are shown one by one.
    pub(super) shown: Shown,
    /// The answers that the gate fails.
    pub(super) gate: Option<Verdicts>,
}

/// A batch that is over, and what is known of its requests.
pub(super) struct Wanted<'a> {
    pub(super) batch: &'a Batch,
    /// Which attempt at its requests it is, from 1.
    pub(super) attempt: u32,
    /// How many they are.
    pub(super) requests: Option<u64>,
    /// Which they are, as indices into all requests.
    pub(super) rows: Vec<Range<u32>>,
    /// Where they went.
    pub(super) endpoint: Option<String>,
    /// The key of its work, where that is known.
    pub(super) key: Option<String>,
    /// The model that they name, where all name the same.
    pub(super) model: Option<String>,
}

impl Order {
    /// The requests, where they are at hand.
    fn source(&self) -> Option<&Source> {
        match self {
            Self::Requests { source, .. } => Some(source),
            Self::Answers { .. } => None,
        }
    }
}

/// What was gathered.
pub(super) struct Gathered {
    pub(super) results: Results,
    /// The batches of which promised answers could not be fetched, each with the reason.
    pub(super) doubtful: Vec<(Batch, String)>,
    /// The ids of all batches whose files were asked for.
    pub(super) ids: Vec<String>,
    /// What the gate made of them.
    pub(super) gate: Option<GateReport>,
    /// Why there are no verdicts of the gate's.
    pub(super) gate_stop: Option<Stop>,
}

impl Gatherer<'_> {
    /// Downloads the answers of these batches, as far as they are not here yet, and
    /// reconciles all. Batches that were gathered before stay as they are.
    pub(super) async fn gather(
        &self,
        wanted: Vec<Wanted<'_>>,
        answers: &mut Answers,
        order: Arc<Order>,
    ) -> Result<Gathered, Stop> {
        let dir = self.make_dir()?;
        let downloader = Downloader { api: self.api, guard: self.guard, dir: &dir };
        for wanted in wanted {
            self.take(wanted, answers)?;
        }
        // Not the retry loop: a round is about all doubtful files at once, and all waits are taken from one allowance.
        let (mut pause, mut reported) = (FIRST_REFETCH, String::new());
        let mut results = loop {
            let begun = Instant::now();
            let came = self.fetch(&downloader, answers).await?;
            let results = self.settle(answers, &order).await?;
            let doubtful = answers.doubtful();
            let Some((batch, why)) = doubtful.first().filter(|_| !answers.allowance.is_zero()) else { break results };
            // What is new is looked at again soon.
            pause = if reported == kind_of(why) { pause * 2 } else { FIRST_REFETCH }
                .min(LONGEST_REFETCH)
                .min(answers.allowance);
            // A slow download that comes along is no trouble.
            let spent = if came > 0 { Duration::ZERO } else { begun.elapsed() };
            answers.allowance = answers.allowance.saturating_sub(pause + spent);
            self.report(batch, why, pause, &mut reported);
            self.guard.until(Instant::now() + BEFORE_BATCH, tokio::time::sleep(pause)).await?;
            self.look_again(answers, &dir).await?;
        };
        self.warn(answers);
        recording::conceal(self.api, &mut results);
        let ids = answers.all.iter().map(|fetched| fetched.batch.id.clone()).collect();
        Ok(Gathered { results, doubtful: answers.doubtful(), ids, gate: None, gate_stop: None })
    }

    /// The files of answers that are here.
    pub(super) fn files(&self, answers: &mut Answers) -> Result<Vec<AnswersFile>, Error> {
        answers.files().map_err(|error| {
            Error::internal(format!("The answers in {} cannot be read.", self.dir().display())).because(error)
        })
    }

    /// What a reconciliation makes usually.
    pub(super) fn making(&self) -> Making {
        let (answer_files, shown) = (self.answer_files, self.shown);
        Making { dir: self.output_dir.to_owned(), answer_files, shown, gate: None }
    }

    /// Adds a batch to those that are gathered.
    fn take(&self, wanted: Wanted<'_>, answers: &mut Answers) -> Result<(), Error> {
        let Wanted { batch, attempt, requests, rows, endpoint, key, model } = wanted;
        if answers.of(&batch.id).is_some() {
            return Ok(());
        }
        self.journal.note(Record::Collect { batch_id: batch.id.clone() })?;
        let (batch, finding) = (batch.clone(), Finding::Doubtful(String::new()));
        let (output, error) = (None, None);
        let mut fetched = Fetched {
            batch,
            attempt,
            requests,
            rows,
            endpoint,
            key,
            model,
            output,
            error,
            finding,
            since: Instant::now(),
            look: Look::None,
            names_any: false,
        };
        fetched.name_files(self.api.vendor().dialect, answers.all.len(), &self.dir());
        answers.all.push(fetched);
        Ok(())
    }

    /// One attempt at each file of each doubtful batch; tells how many bytes came.
    async fn fetch(&self, downloader: &Downloader<'_>, answers: &mut Answers) -> Result<u64, Stop> {
        let limit = self.guard.deadline.max(Instant::now() + BEFORE_BATCH);
        let mut came = 0;
        for fetched in answers.all.iter_mut().filter(|fetched| matches!(fetched.finding, Finding::Doubtful(_))) {
            for copy in [&mut fetched.output, &mut fetched.error].into_iter().flatten() {
                came += downloader.fetch(copy, limit).await?;
            }
        }
        Ok(came)
    }

    /// What a batch that is over did cost, by its answers; none if they are not whole yet.
    pub(super) async fn bill(&self, wanted: Wanted<'_>, answers: &mut Answers) -> Result<Option<Spent>, Stop> {
        let (dir, id) = (self.make_dir()?, wanted.batch.id.clone());
        let (expected, mut is_told) = expected(wanted.batch, wanted.requests);
        self.take(wanted, answers)?;
        let limit = self.guard.deadline.max(Instant::now() + BEFORE_BATCH);
        let downloader = Downloader { api: self.api, guard: self.guard, dir: &dir };
        let Some(fetched) = answers.all.iter_mut().find(|fetched| fetched.batch.id == id) else { return Ok(None) };
        for copy in [&mut fetched.output, &mut fetched.error].into_iter().flatten() {
            downloader.fetch(copy, limit).await?;
            is_told = true;
            if !matches!(copy.state(), FileState::Whole { .. }) {
                return Ok(None);
            }
        }
        let mut files = self.files(answers)?;
        files.retain(|file| file.batch_id == id);
        let (reader, billing) = (self.api.vendor().dialect.answers(), self.billing.clone());
        let adding = tokio::task::spawn_blocking(move || results::spent(&files, reader, &billing.pricing()));
        let spent = self.guard.unless_signalled(adding).await?;
        let spent = spent.map_err(|error| Error::internal("Adding up costs stopped.").because(error))??;
        Ok(Some(spent).filter(|spent| is_told && spent.lines >= expected))
    }

    /// Reconciles what is here, and examines each batch's account. Rows whose answers
    /// turn out to be gone are written anew, as what they are.
    async fn settle(&self, answers: &mut Answers, order: &Arc<Order>) -> Result<Results, Stop> {
        loop {
            let absent = answers.absent();
            let files = self.files(answers)?;
            let results = self.reconcile(files, absent.clone(), Arc::clone(order), self.making()).await?;
            let nothing = Held::default();
            for (index, fetched) in answers.all.iter_mut().enumerate() {
                if let Finding::Doubtful(_) = fetched.finding {
                    let held = results.batches.get(index).unwrap_or(&nothing);
                    fetched.finding = fetched.examine(held);
                    if let Finding::Settled { warnings, files: Files::Kept } = &mut fetched.finding {
                        warnings.extend(billing::differs(&fetched.batch, &results.usage, self.api));
                    }
                    fetched.names_any = held.requests > 0;
                }
            }
            if answers.absent() == absent {
                return Ok(results);
            }
        }
    }

    /// Reads the doubtful batches again: their files may be named late. That a batch cannot be
    /// read says nothing of its answers.
    async fn look_again(&self, answers: &mut Answers, dir: &Path) -> Result<(), Stop> {
        for (index, fetched) in answers.all.iter_mut().enumerate() {
            if let Finding::Settled { .. } = fetched.finding {
                continue;
            }
            let looked = self.guard.until(Instant::now() + BEFORE_BATCH, self.api.get_batch(&fetched.batch.id)).await;
            let Ok((batch, _)) = looked? else { continue };
            if !batch.status.is_terminal() {
                fetched.look = Look::AtWork;
                continue;
            }
            fetched.look = Look::Over;
            fetched.batch = later(&fetched.batch, batch);
            fetched.name_files(self.api.vendor().dialect, index, dir);
        }
        Ok(())
    }

    /// Says what is fetched again and why, once for each reason.
    fn report(&self, batch: &Batch, why: &str, again_in: Duration, reported: &mut String) {
        if reported != kind_of(why) && why != UNCONFIRMED {
            kind_of(why).clone_into(reported);
            let doing = format!("collecting the answers of batch {}", batch.id);
            let (trouble, kind) = (why.to_owned(), kind_of(why).to_owned());
            self.events.emit(Event::Troubled { doing, trouble, kind, times: 1, again_in, state_unknown: false });
        }
    }

    fn warn(&self, answers: &mut Answers) {
        for fetched in &mut answers.all {
            if let Finding::Settled { warnings, .. } = &mut fetched.finding {
                warnings.drain(..).for_each(|warning| self.events.emit(Event::Warned(warning)));
            }
        }
    }

    /// Removes what was downloaded, if there is a result that holds all of it.
    pub(super) fn tidy_up(&self) {
        let (dir, is_whole) = (self.dir(), self.output_dir.join("results.jsonl").exists());
        if dir.exists()
            && is_whole
            && let Err(error) = std::fs::remove_dir_all(&dir)
        {
            self.events.emit(Event::Warned(format!("{} could not be removed: {error}.", dir.display())));
        }
    }

    /// Makes the directory of the downloads.
    pub(super) fn make_dir(&self) -> Result<PathBuf, Stop> {
        let dir = self.dir();
        Downloader { api: self.api, guard: self.guard, dir: &dir }.make_dir()?;
        Ok(dir)
    }

    /// Where downloads are.
    pub(super) fn dir(&self) -> PathBuf {
        self.output_dir.join(".download")
    }

    /// Reconciles answers.
    pub(super) async fn reconcile(
        &self,
        answers: Vec<AnswersFile>,
        absent: Absent,
        order: Arc<Order>,
        making: Making,
    ) -> Result<Results, Stop> {
        let (dir, retry_on) = (self.dir(), self.retry_on.clone());
        let (traces, reader) = (self.api.traces(), self.api.vendor().dialect.answers());
        let (expected, billing) = (Arc::clone(&self.expected), self.billing.clone());
        let intake = self.api.vendor().dialect.intake();
        let reconciling = tokio::task::spawn_blocking(move || {
            let holds = |line: &[u8]| traces.are_in(line);
            let open = |name| -> Result<Box<dyn Output>, Error> {
                Ok(Box::new(ResultFile::create(&making.dir, name, &holds)?))
            };
            let mut sinks = sinks::all(making.answer_files, open)?;
            sinks.extend(sinks::shown(making.shown));
            let (expected, gate) = (Some(&*expected), making.gate.as_ref());
            let pricing = billing.pricing();
            let policy =
                Policy { reader, retry_on: &retry_on, absent: &absent, expected, gate, prices: Some(&pricing) };
            let (answers, warning) = own_ids(intake, answers, order.as_ref(), reader)?;
            let mut results = match order.as_ref() {
                Order::Requests { source, ids, total, is_structured } => {
                    let requests = Requests { source, ids, total: *total, is_structured: *is_structured };
                    results::reconcile(requests, &answers, &policy, sinks)
                }
                Order::Answers { total } => {
                    let absence = if absent.gone.is_empty() { Absence::Missing } else { Absence::Gone };
                    let policy = Policy { retry_on: &RetryOn::default(), absent: &Absent::default(), ..policy };
                    results::keep_order(*total, &answers, &policy, absence, sinks)
                }
            }?;
            results.warnings.extend(warning);
            billing.sum(&mut results);
            Ok(results)
        });
        let reconciled = self.guard.unless_signalled(reconciling).await?;
        Ok(reconciled
            .map_err(|error| Error::internal("The reconciliation stopped unexpectedly.").because(error))?
            .map_err(|error: Error| error.hint(format!("The answers as received are in `{}`.", dir.display())))?)
    }
}

/// How many lines the answers of a batch have if they are whole: as many as the provider counts, or as there are
/// requests if it is complete. And whether the provider counts at all.
fn expected(batch: &Batch, requests: Option<u64>) -> (u64, bool) {
    let Counts { completed, failed, .. } = batch.counts;
    let counted = completed.unwrap_or(0).saturating_add(failed.unwrap_or(0));
    let all = requests.filter(|_| batch.status == Status::Completed).unwrap_or(0);
    (counted.max(all), completed.is_some())
}

/// The answers with the ids that users gave their requests, and a warning of those that cannot be known.
fn own_ids(
    intake: Intake,
    answers: Vec<AnswersFile>,
    order: &Order,
    reader: &dyn ReadAnswers,
) -> Result<(Vec<AnswersFile>, Option<String>), Error> {
    let Intake::InCreate(body) = intake else { return Ok((answers, None)) };
    let mut ids = OwnIds::new(order.source(), reader, body.ids);
    // What an earlier run left has the users' ids already.
    let restore = |file: AnswersFile| if file.is_kept() { Ok(file) } else { ids.restore(file) };
    let restored = answers.into_iter().map(restore).collect::<io::Result<_>>();
    let restored =
        restored.map_err(|error| Error::internal("The ids of the answers cannot be read.").because(error))?;
    let warning = (ids.numbered > 0).then(|| {
        format!(
            "{} named by the request's number, as `_17`: the id could not be sent, and the requests are not at hand.",
            counted(ids.numbered, "answer is", "answers are")
        )
    });
    Ok((restored, warning))
}

/// What a trouble is, without the id of the request that met it: that is another each time.
fn kind_of(why: &str) -> &str {
    why.split_once(" (request ").map_or(why, |(kind, _)| kind)
}
