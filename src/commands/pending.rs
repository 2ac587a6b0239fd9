//! `batchstep collect --pending`: the checks at the host are the ledger.
//!
//! A check in progress says that somebody waits for a batch, and for which.
//! What is over is collected, each run in a directory of its own, and its verdict
//! goes to every check that waits for it. A trouble with one run keeps no other
//! from being collected.

use std::path::Path;

use super::at_hand;
use super::collection::Collection;
use super::stopped;
use crate::batch::search;
use crate::dialects::Batch;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::formats;
use crate::guard::Stop;
use crate::hosts::{ClaimedCheck, Claims, Unclaimed};
use crate::identity::{Part, Seen};
use crate::own_files;
use crate::plan::Collecting;
use crate::policy::{CHECK_TROUBLES, LISTING_LOOK_BACK, MOST_CHECKS};
use crate::report::RunEntry;
use crate::session::{Connected, Session};
use crate::text::short_key;
use crate::verdict::{self, Verdict};

/// The ledger's reader: what is waited for at this provider, as these claims say.
struct Ledger<'a> {
    connected: &'a Connected<'a>,
    session: &'a Session<'a>,
    plan: &'a Collecting,
    claims: &'a dyn Claims,
}

/// One run to collect: batches, and the checks that wait for them.
struct Run {
    batches: Vec<Batch>,
    checks: Vec<ClaimedCheck>,
}

/// Collects what is over of all that this repository's checks wait for.
pub(super) async fn collect(connected: &Connected<'_>, plan: &Collecting) -> Result<Exit, Error> {
    let session = connected.session;
    let claims = session.publisher().and_then(|publisher| publisher.claims()).ok_or_else(|| {
        Error::usage("`pending` needs GitHub: its checks say which batches are waited for.")
            .hint("Outside of GitHub Actions, name the batches that `submit` printed.")
    })?;
    search::check_marks(&connected.api)?;
    at_hand::check_named(connected, &plan.requests).await?;
    let ledger = Ledger { connected, session, plan, claims };
    let mut troubles = Vec::new();
    let runs = match ledger.look(&mut troubles).await {
        // What a signal leaves is reported below.
        Err(Stop::Signal(_)) => Vec::new(),
        runs => runs.map_err(stopped)?,
    };
    let mut entries: Vec<RunEntry> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for run in runs {
        if session.world.shutdown.ordered().is_some() {
            break;
        }
        let name = run.name(&names);
        names.push(name.clone());
        entries.push(ledger.collect(&run, &name, &mut troubles).await);
    }
    let signal = session.world.shutdown.ordered();
    let verdict = verdict::of_runs(&entries, &troubles, signal, plan.pending_exit());
    let exit = verdict.exit;
    session.world.apply(session.host.publish_runs(&verdict, &entries));
    session.world.print(|| formats::runs_json(&verdict, &entries));
    Ok(exit)
}

impl Ledger<'_> {
    /// What there is to collect.
    async fn look(&self, troubles: &mut Vec<String>) -> Result<Vec<Run>, Stop> {
        let batches = self.ours().await?;
        let checks = self.connected.looking().unless_signalled(self.checks(&batches, troubles)).await?;
        Ok(self.runs(&batches, checks))
    }

    /// This repository's batches, oldest first.
    async fn ours(&self) -> Result<Vec<Batch>, Stop> {
        let repo = self.session.host.identity().repo;
        let since = self.session.world.clock.ago(LISTING_LOOK_BACK);
        let is_ours = |batch: &Batch| {
            let seen = Seen::of(batch);
            seen.key.is_some() && seen.repo == repo.as_deref()
        };
        search::list(&self.connected.api, &self.connected.looking(), since, is_ours).await
    }

    /// The checks that batches' marks name, and those in progress that runs opened which attached to one.
    async fn checks(&self, batches: &[Batch], troubles: &mut Vec<String>) -> Vec<ClaimedCheck> {
        let mut trouble = |why: String| {
            self.session.warn(why.clone());
            troubles.push(why);
        };
        let (mut checks, mut asked, mut in_a_row) = (Vec::<ClaimedCheck>::new(), 0, 0);
        for batch in batches.iter().rev() {
            let Some((mark, key)) = mark(batch) else { continue };
            if checks.iter().any(|check| check.key == key && self.claims.is_marked(check, mark)) {
                continue;
            }
            if asked == MOST_CHECKS {
                self.session.warn(format!("Only the checks of the newest {MOST_CHECKS} batches are looked at."));
                break;
            }
            asked += 1;
            match self.claims.of_mark(mark, key).await {
                Ok(check) => (in_a_row, _) = (0, checks.push(check)),
                // Nobody was asked.
                Err(Unclaimed::NoMark) => asked -= 1,
                Err(Unclaimed::NotOurs(why)) => {
                    in_a_row = 0;
                    self.session.events.emit(Event::PassedOver { batch_id: batch.id.clone(), why });
                }
                Err(Unclaimed::Unread(why)) => {
                    in_a_row += 1;
                    trouble(why);
                }
            }
            if in_a_row == CHECK_TROUBLES {
                return checks;
            }
        }
        let mut keys: Vec<&str> = batches.iter().filter_map(|batch| Seen::of(batch).whole).collect();
        keys.sort_unstable();
        keys.dedup();
        if !keys.is_empty() {
            let (open, wrong) = self.claims.in_progress(&keys, &self.session.events).await;
            wrong.into_iter().for_each(trouble);
            for check in open {
                if checks.iter().all(|known| known.id != check.id) {
                    checks.push(check);
                }
            }
        }
        checks
    }

    /// What the checks in progress wait for: what is over first, then the oldest.
    fn runs(&self, batches: &[Batch], mut checks: Vec<ClaimedCheck>) -> Vec<Run> {
        self.claims.share_comments(&mut checks);
        let mut runs: Vec<Run> = Vec::new();
        for check in checks.into_iter().filter(|check| !check.is_over) {
            let waited_for = self.waited_for(&check, batches);
            if !is_whole(&waited_for) || waited_for.len() < check.named() {
                // Its run is at work, or the list lags behind it.
                let unknown = format!("Check {} waits for a batch that is not listed; it is left as it is.", check.id);
                self.session.events.emit(Event::Noticed(unknown));
                continue;
            }
            let ids = |batches: &[Batch]| batches.iter().map(|batch| batch.id.clone()).collect::<Vec<_>>();
            match runs.iter_mut().find(|run| ids(&run.batches) == ids(&waited_for)) {
                Some(run) => run.checks.push(check),
                None => runs.push(Run { batches: waited_for, checks: vec![check] }),
            }
        }
        runs.sort_by_key(|run| (!run.is_over(), run.batches[0].created_at));
        runs
    }

    /// The batches that a check names; where its run was ended before it named any, those whose mark names the check.
    fn waited_for(&self, check: &ClaimedCheck, batches: &[Batch]) -> Vec<Batch> {
        let is_meant = |batch: &&Batch| match check.named() {
            0 => mark(batch).is_some_and(|(mark, key)| key == check.key && self.claims.is_marked(check, mark)),
            _ => Seen::of(batch).whole == Some(&*check.key) && check.names(&batch.id),
        };
        batches.iter().filter(is_meant).cloned().collect()
    }

    /// Collects a run if it is over, and concludes its checks.
    async fn collect(&self, run: &Run, name: &str, troubles: &mut Vec<String>) -> RunEntry {
        let dir = self.plan.output_dir.join(name);
        if self.plan.timeout.is_zero() && !run.is_over() {
            let how = self.connected.how.clone().in_dir(&dir);
            let verdict = Verdict::pending(&run.batches, self.plan.pending_exit(), None, &how);
            return self.entry(run, verdict);
        }
        let failed = |error: Error| self.entry(run, Verdict::of_error(&error, Outcome::of_error(error.exit)));
        let made = place(&self.plan.output_dir, &dir);
        let mut collection = match made.and_then(|()| Collection::begin(self.connected, self.plan, &dir)) {
            Ok(collection) => collection,
            Err(error) => return failed(error),
        };
        let ids: Vec<String> = run.batches.iter().map(|batch| batch.id.clone()).collect();
        let exit = match Box::pin(collection.go(&ids)).await {
            Ok(exit) => exit,
            Err(error) => return failed(error),
        };
        let report = collection.report();
        // Where it is not collected, the check goes on waiting: the next collection may do better.
        if matches!(exit, Exit::Ok | Exit::BatchFailed | Exit::AnswersFailed | Exit::TimedOut)
            && report.outcome != Outcome::Pending
        {
            for check in &run.checks {
                // The run that opened it may have been alive and faster.
                if self.claims.is_open(check).await && !check.publisher.finish(report, &self.session.events).await {
                    troubles.push(format!("Check {} could not be concluded.", check.id));
                }
            }
        }
        collection.close();
        let verdict =
            Verdict { outcome: report.outcome, exit, reason: report.reason.clone(), hints: report.hints.clone() };
        RunEntry {
            results_file: report.files.results.clone(),
            report_file: report.files.report.clone(),
            simulated: report.simulated,
            ..self.entry(run, verdict)
        }
    }

    /// What came of a run.
    fn entry(&self, run: &Run, verdict: Verdict) -> RunEntry {
        RunEntry {
            key: run.checks[0].key.clone(),
            simulated: self.connected.api.is_simulated(),
            outcome: verdict.outcome,
            exit_code: verdict.exit.code(),
            reason: verdict.reason,
            batch_ids: run.batches.iter().map(|batch| batch.id.clone()).collect(),
            shown_at: self.claims.shown_at(&run.checks),
            results_file: None,
            report_file: None,
        }
    }
}

/// The host's mark of a batch, and the key of its run.
fn mark(batch: &Batch) -> Option<(&str, &str)> {
    let seen = Seen::of(batch);
    Some((seen.host_mark()?, seen.whole?))
}

/// Whether a run's batches are all there: each is one of so many.
fn is_whole(batches: &[Batch]) -> bool {
    let firsts = batches.iter().filter_map(|batch| Seen::of(batch).part).filter(|part| part.attempt == 1);
    let firsts: Vec<Part> = firsts.collect();
    // What has no such mark is known by the check that names it.
    !batches.is_empty() && (firsts.is_empty() || Part::are_all(&firsts))
}

/// Makes the directory of a run, which is not a link out of `output-dir`.
fn place(output_dir: &Path, dir: &Path) -> Result<(), Error> {
    let made = std::fs::create_dir_all(output_dir).and_then(|()| own_files::make_dir(dir));
    made.map_err(|error| Error::usage(format!("`output-dir` {} cannot be created.", dir.display())).because(error))
}

impl Run {
    fn is_over(&self) -> bool {
        self.batches.iter().all(|batch| batch.status.is_terminal())
    }

    /// The name of its directory: its key's beginning, with its check's id where that is taken.
    fn name(&self, taken: &[String]) -> String {
        let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        let name = short_key(&plain(&self.checks[0].key)).to_owned();
        if taken.contains(&name) { format!("{name}-{}", plain(&self.checks[0].id)) } else { name }
    }
}
