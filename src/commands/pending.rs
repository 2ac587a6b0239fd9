//! `batchstep collect --pending`: the checks on GitHub are the ledger.
//!
//! Each batch that was submitted with a check names it in its metadata. Those
//! whose check is not concluded yet are waited for by nobody: what is over is
//! collected, each run in a directory of its own, and its verdict goes to its check.

use super::collect::{Collection, Scene};
use super::stopped;
use crate::batch::search;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::hosts::{Adopted, Board};
use crate::identity::{Check, Seen};
use crate::patience::Patience;
use crate::report::RunEntry;
use crate::verdict;
use crate::wire::Batch;

/// How far back batches are looked for, in seconds: OpenAI keeps their files for thirty days.
const LOOK_BACK: i64 = 30 * 86_400;
/// How much of the key names a run's directory.
const NAME: usize = 12;

/// The batches of one run: those that one check shows.
struct Group {
    check: Check,
    key: String,
    batches: Vec<Batch>,
}

/// Collects what is over of all that this repository's checks wait for.
pub(super) async fn collect(scene: &Scene<'_>, board: Option<&Board>) -> Result<Exit, Error> {
    let board = board.ok_or_else(|| {
        Error::usage("`pending` needs GitHub: its checks say which batches are waited for.")
            .hint("Outside of GitHub Actions, name the batches that `submit` printed.")
    })?;
    let mut runs = Vec::new();
    for group in groups(scene).await? {
        match board.adopt(&group.check, &group.key).await {
            Adopted::Open(board) => runs.push(collect_group(scene, &group, board).await?),
            Adopted::Concluded(_) => {}
            Adopted::NotOurs(why) => {
                let batch_id = group.batches[0].id.clone();
                scene.events.emit(Event::PassedOver { batch_id, why });
            }
        }
    }
    let verdict = verdict::of_runs(&runs, scene.plan.fail_if_pending);
    let exit = verdict.exit;
    scene.world.apply(scene.host.publish_runs(&verdict, &runs));
    Ok(exit)
}

/// This repository's batches that a check shows, by check.
async fn groups(scene: &Scene<'_>) -> Result<Vec<Group>, Error> {
    let repo = scene.host.identity().repo;
    let since = scene.world.clock.unix() - LOOK_BACK;
    let is_ours = |batch: &Batch| {
        let seen = Seen::of(batch);
        seen.key.is_some() && seen.check.is_some() && seen.repo == repo.as_deref()
    };
    let scan = async || search::scan(scene.api, since, is_ours).await;
    let guard = scene.looking();
    let found = guard.bear("listing batches", Patience::Before, scan).await.map_err(stopped)?;
    if !found.is_whole {
        let warning = "The list of batches is too long to be searched to its end; an old one may be missed.";
        scene.events.emit(Event::Warned(warning.to_owned()));
    }
    let mut groups: Vec<Group> = Vec::new();
    for batch in found.batches {
        let seen = Seen::of(&batch);
        let check = seen.check.and_then(|check| check.parse::<Check>().ok());
        let (Some(check), Some(key)) = (check, seen.key.map(str::to_owned)) else { continue };
        match groups.iter_mut().find(|group| group.check == check && group.key == key) {
            Some(group) => group.batches.push(batch),
            None => groups.push(Group { check, key, batches: vec![batch] }),
        }
    }
    Ok(groups)
}

/// Collects a run if it is over.
async fn collect_group(scene: &Scene<'_>, group: &Group, board: Board) -> Result<RunEntry, Error> {
    let name: String = group.key.chars().filter(char::is_ascii_alphanumeric).take(NAME).collect();
    let dir = scene.plan.output_dir.join(name);
    let ids: Vec<String> = group.batches.iter().map(|batch| batch.id.clone()).collect();
    let mut collection = Collection::begin(scene, &dir, Some(board))?;
    let exit = Box::pin(collection.go(&ids)).await;
    // While it runs there is nothing to say that the check does not show.
    if let Some(board) = collection.board.as_ref().filter(|_| collection.report.outcome != Outcome::Pending) {
        board.publish(&collection.report, scene.events).await;
    }
    collection.close();
    let report = &collection.report;
    Ok(RunEntry {
        key: group.key.clone(),
        simulated: report.simulated,
        outcome: report.outcome,
        exit_code: exit.code(),
        reason: report.reason.clone(),
        batch_ids: ids,
        check_id: group.check.id,
        pull_request: group.check.pull,
        results_file: report.files.results.clone(),
        report_file: report.files.report.clone(),
    })
}
