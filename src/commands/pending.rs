//! `batchstep collect --pending`: the checks on GitHub are the ledger.
//!
//! A check in progress says that somebody waits for a batch, and for which.
//! What is over is collected, each run in a directory of its own, and its verdict
//! goes to every check that waits for it. A trouble with one run keeps no other
//! from being collected.

use std::path::Path;

use super::at_hand;
use super::collect::Collection;
use super::scene::Scene;
use super::stopped;
use crate::batch::search;
use crate::dialects::Batch;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::guard::Stop;
use crate::hosts::{Adopted, Board, Unadopted};
use crate::identity::{Check, Part, Seen};
use crate::own_files;
use crate::policy::LISTING_LOOK_BACK;
use crate::report::RunEntry;
use crate::verdict::{self, Verdict};

/// How much of the key names a run's directory.
const NAME: usize = 12;
/// How many checks are read, those of the newest batches first: a workflow's token has a thousand calls an hour.
const MOST_CHECKS: usize = 300;
/// After so many troubles in a row GitHub is left in peace.
const MOST_TROUBLES: usize = 3;

/// One run to collect: batches, and the checks that wait for them.
struct Run {
    batches: Vec<Batch>,
    checks: Vec<Adopted>,
}

/// Collects what is over of all that this repository's checks wait for.
pub(super) async fn collect(scene: &Scene<'_>, board: Option<&Board>) -> Result<Exit, Error> {
    let board = board.ok_or_else(|| {
        Error::usage("`pending` needs GitHub: its checks say which batches are waited for.")
            .hint("Outside of GitHub Actions, name the batches that `submit` printed.")
    })?;
    at_hand::check_named(scene).await?;
    let mut troubles = Vec::new();
    let runs = match look(scene, board, &mut troubles).await {
        // What a signal leaves is told below.
        Err(Stop::Signal(_)) => Vec::new(),
        runs => runs.map_err(stopped)?,
    };
    let mut entries: Vec<RunEntry> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for run in runs {
        if scene.world.shutdown.ordered().is_some() {
            break;
        }
        let name = run.name(&names);
        names.push(name.clone());
        entries.push(run.collect(scene, &name, &mut troubles).await);
    }
    let signal = scene.world.shutdown.ordered();
    let verdict = verdict::of_runs(&entries, &troubles, signal, scene.plan.fail_if_pending);
    let exit = verdict.exit;
    scene.world.apply(scene.host.publish_runs(&verdict, &entries));
    Ok(exit)
}

/// What there is to collect.
async fn look(scene: &Scene<'_>, board: &Board, troubles: &mut Vec<String>) -> Result<Vec<Run>, Stop> {
    let batches = ours(scene).await?;
    let checks = scene.looking().unless_signalled(checks(scene, board, &batches, troubles)).await?;
    Ok(runs(scene, &batches, checks))
}

/// This repository's batches, oldest first.
async fn ours(scene: &Scene<'_>) -> Result<Vec<Batch>, Stop> {
    let repo = scene.host.identity().repo;
    let since = scene.world.clock.ago(LISTING_LOOK_BACK);
    let is_ours = |batch: &Batch| {
        let seen = Seen::of(batch);
        seen.key.is_some() && seen.repo == repo.as_deref()
    };
    search::list(scene.api, &scene.looking(), since, is_ours).await
}

/// The check that a batch's mark names, and the key of its run.
fn mark(batch: &Batch) -> Option<(Check, &str)> {
    let seen = Seen::of(batch);
    Some((seen.check?.parse().ok()?, seen.whole?))
}

/// The checks that batches' marks name, and those in progress that runs opened which attached to one.
async fn checks(scene: &Scene<'_>, board: &Board, batches: &[Batch], troubles: &mut Vec<String>) -> Vec<Adopted> {
    let mut trouble = |why: String| {
        scene.events.emit(Event::Warned(why.clone()));
        troubles.push(why);
    };
    let (mut checks, mut asked, mut in_a_row) = (Vec::<Adopted>::new(), 0, 0);
    for batch in batches.iter().rev() {
        let Some((mark, key)) = mark(batch) else { continue };
        if checks.iter().any(|check| check.id == mark.id && check.key == key) {
            continue;
        }
        if asked == MOST_CHECKS {
            let warning = format!("Only the checks of the newest {MOST_CHECKS} batches are looked at.");
            scene.events.emit(Event::Warned(warning));
            break;
        }
        asked += 1;
        match board.adopt(&mark, key).await {
            Ok(check) => (in_a_row, _) = (0, checks.push(check)),
            Err(Unadopted::NotOurs(why)) => {
                in_a_row = 0;
                scene.events.emit(Event::PassedOver { batch_id: batch.id.clone(), why });
            }
            Err(Unadopted::Unread(why)) => {
                in_a_row += 1;
                trouble(why);
            }
        }
        if in_a_row == MOST_TROUBLES {
            return checks;
        }
    }
    let mut keys: Vec<&str> = batches.iter().filter_map(|batch| Seen::of(batch).whole).collect();
    keys.sort_unstable();
    keys.dedup();
    if !keys.is_empty() {
        let (open, wrong) = board.open_checks(&keys, scene.events).await;
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
fn runs(scene: &Scene<'_>, batches: &[Batch], checks: Vec<Adopted>) -> Vec<Run> {
    // A pull request's comment is the newest run's, whichever is over first.
    let shown: Vec<(Option<u64>, String, u64)> =
        checks.iter().map(|check| (check.pull, check.name.clone(), check.id)).collect();
    let is_newest = |check: &Adopted| {
        shown.iter().all(|(pull, name, id)| (*pull, name) != (check.pull, &check.name) || *id <= check.id)
    };
    let mut runs: Vec<Run> = Vec::new();
    for check in checks.into_iter().filter(|check| !check.is_over) {
        let waited_for = waited_for(&check, batches);
        if !is_whole(&waited_for) || waited_for.len() < check.named() {
            // Its run is at work, or the list lags behind it.
            let unknown = format!("Check {} waits for a batch that is not listed; it is left as it is.", check.id);
            scene.events.emit(Event::Noticed(unknown));
            continue;
        }
        let check = if is_newest(&check) { check } else { check.without_comment() };
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
fn waited_for(check: &Adopted, batches: &[Batch]) -> Vec<Batch> {
    let is_meant = |batch: &&Batch| match check.named() {
        0 => mark(batch).is_some_and(|(mark, key)| mark.id == check.id && key == check.key),
        _ => Seen::of(batch).whole == Some(&*check.key) && check.names(&batch.id),
    };
    batches.iter().filter(is_meant).cloned().collect()
}

/// Makes the directory of a run, which is no link out of `output-dir`.
fn place(output_dir: &Path, dir: &Path) -> Result<(), Error> {
    let made = std::fs::create_dir_all(output_dir).and_then(|()| own_files::make_dir(dir));
    made.map_err(|error| Error::usage(format!("`output-dir` {} cannot be made.", dir.display())).because(error))
}

/// Whether a run's batches are all there: each is one of so many.
fn is_whole(batches: &[Batch]) -> bool {
    let firsts = batches.iter().filter_map(|batch| Seen::of(batch).part).filter(|part| part.attempt == 1);
    let firsts: Vec<Part> = firsts.collect();
    // What bears no such mark is known by the check that names it.
    !batches.is_empty() && (firsts.is_empty() || Part::are_all(&firsts))
}

impl Run {
    fn is_over(&self) -> bool {
        self.batches.iter().all(|batch| batch.status.is_terminal())
    }

    /// The name of its directory: its key's beginning, with its check's id where that is taken.
    fn name(&self, taken: &[String]) -> String {
        let name: String = self.checks[0].key.chars().filter(char::is_ascii_alphanumeric).take(NAME).collect();
        if taken.contains(&name) { format!("{name}-{}", self.checks[0].id) } else { name }
    }

    /// Collects the run if it is over, and concludes its checks.
    async fn collect(&self, scene: &Scene<'_>, name: &str, troubles: &mut Vec<String>) -> RunEntry {
        let dir = scene.plan.output_dir.join(name);
        if scene.plan.timeout.is_zero() && !self.is_over() {
            let how = scene.how.clone().in_dir(&dir);
            let verdict = Verdict::pending(&self.batches, scene.plan.pending_exit(), None, &how);
            return self.entry(verdict, scene.api.is_simulated());
        }
        let ids: Vec<String> = self.batches.iter().map(|batch| batch.id.clone()).collect();
        let taken = place(&scene.plan.output_dir, &dir)
            .and_then(|()| Collection::begin(scene, &dir))
            .and_then(|taken| taken.make_room().map(|()| taken));
        let mut collection = match taken {
            Ok(collection) => collection,
            Err(error) => {
                return self.entry(Verdict::of_error(&error, Outcome::of_error(error.exit)), scene.api.is_simulated());
            }
        };
        let exit = Box::pin(collection.go(&ids)).await;
        // Where it is not collected, the check goes on waiting: the next collection may do better.
        if matches!(exit, Exit::Ok | Exit::BatchFailed | Exit::AnswersFailed | Exit::TimedOut)
            && collection.report.outcome != Outcome::Pending
        {
            for check in &self.checks {
                // The run that opened it may have been alive and faster.
                if check.is_open().await && !check.board.publish(&collection.report, scene.events).await {
                    troubles.push(format!("Check {} could not be concluded.", check.id));
                }
            }
        }
        collection.close();
        let report = &collection.report;
        let verdict =
            Verdict { outcome: report.outcome, exit, reason: report.reason.clone(), hints: report.hints.clone() };
        RunEntry {
            results_file: report.files.results.clone(),
            report_file: report.files.report.clone(),
            ..self.entry(verdict, report.simulated)
        }
    }

    fn entry(&self, verdict: Verdict, simulated: bool) -> RunEntry {
        let mut pull_requests: Vec<u64> = self.checks.iter().filter_map(|check| check.pull).collect();
        pull_requests.sort_unstable();
        pull_requests.dedup();
        RunEntry {
            key: self.checks[0].key.clone(),
            simulated,
            outcome: verdict.outcome,
            exit_code: verdict.exit.code(),
            reason: verdict.reason,
            batch_ids: self.batches.iter().map(|batch| batch.id.clone()).collect(),
            check_ids: self.checks.iter().map(|check| check.id).collect(),
            pull_requests,
            results_file: None,
            report_file: None,
        }
    }
}
