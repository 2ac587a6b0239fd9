//! `batchstep cancel`: ends what another run left behind.

use std::path::PathBuf;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::stopped;
use crate::api::Api;
use crate::batch::cancel::{Cancelled, Canceller};
use crate::batch::search;
use crate::dialects::Batch;
use crate::error::{Error, Exit};
use crate::guard::{Guard, Stop};
use crate::hosts::{self, HostMark, PublishOptions};
use crate::identity::Seen;
use crate::inputs;
use crate::invocation::Invocation;
use crate::plan::Server;
use crate::policy::{CANCELLING, RUNNING_LOOK_BACK};
use crate::session::{Session, connect, recall};
use crate::variables::unprinted;
use crate::world::World;

/// What a signal does to the command.
const ON_SIGNAL: &str = "sending the remaining cancels, without waiting for the batches to end";

/// Cancels batches by id, by the mark of their create, or all that this repository has running.
pub(crate) async fn cancel(mut inputs: inputs::Cancel, world: &World) -> Exit {
    let host = world.host(inputs.ci);
    let session = Session::begin(world, host.as_ref());
    let secrets = if inputs.from_state.unwrap_or(false) { take_over(&mut inputs, &session) } else { Ok(()) };
    let check = inputs.check.clone().map(HostMark::from);
    let token = hosts::token("github-token", inputs.github_token.as_ref());
    let ca_file = inputs.connection.ca_file.clone();
    let work = async {
        let done = match secrets {
            Ok(()) => cancel_batches(inputs, &session).await,
            Err(error) => Err(error),
        };
        // A check is concluded whatever became of the batches, and cannot change how that ends.
        if let (Some(id), Ok(github_token)) = (check, token) {
            let options = PublishOptions { check_run: true, github_token, ..PublishOptions::default() };
            abandon(&id, options, ca_file, &session).await;
        }
        done
    };
    let done = Box::pin(session.attended(ON_SIGNAL, work)).await;
    session.end(done.map(|()| Exit::Ok))
}

/// Concludes the check of a run that is gone.
async fn abandon(id: &HostMark, options: PublishOptions, ca_file: Option<PathBuf>, session: &Session<'_>) {
    let Ok(Some(publisher)) = session.find_publisher(options, ca_file.as_ref()) else { return };
    let Some(claims) = publisher.claims() else { return };
    if let Err(warning) = claims.abandon(id, session.world.clock.unix()).await {
        session.warn(warning);
    }
}

/// Takes what the run left in the host's state for the inputs, but for its secrets, which must be here.
fn take_over(inputs: &mut inputs::Cancel, session: &Session<'_>) -> Result<(), Error> {
    let left = session.host.unfinished();
    let (connection, secrets) = recall(&left, &session.world.env);
    let is_armed = !left.batches.is_empty() || !left.creates.is_empty();
    let token = session.world.env.candidates("github-token").concat();
    inputs.github_token = token.first().map(|token| inputs::Unchecked((*token).to_owned()));
    (inputs.batch_id, inputs.create, inputs.check) =
        (left.batches, left.creates, left.check.map(|id| id.as_str().to_owned()));
    (inputs.connection, inputs.pending) = (connection, None);
    if is_armed { secrets } else { Ok(()) }
}

async fn cancel_batches(inputs: inputs::Cancel, session: &Session<'_>) -> Result<(), Error> {
    let world = session.world;
    let pending = inputs.pending.unwrap_or(false);
    if inputs.batch_id.is_empty() && inputs.create.is_empty() && !pending {
        if inputs.check.is_some() {
            return Ok(());
        }
        let hint = "Name batches, a create with `--create`, or all that run with `--pending`.";
        return Err(Error::usage("There is nothing to cancel.").hint(hint));
    }
    let connection = inputs.connection.clone();
    let api = connect(Server::remote(inputs.connection)?, world.clock).await?;
    // Where a batch shows no marks, one of a create or of this repository cannot be told; those that are named can.
    let (creates, mut trouble) = match search::check_marks(&api) {
        Ok(()) => (&inputs.create[..], None),
        Err(error) => (&[][..], Some(error).filter(|_| pending || !inputs.create.is_empty())),
    };
    let pending = pending && trouble.is_none();
    let guard = session.guard(Instant::now() + inputs.timeout.unwrap_or(CANCELLING));
    let canceller = Canceller { api: &api, guard: &guard, clock: world.clock };
    let (mut ids, mut unfound) = (inputs.batch_id, Vec::new());
    let mut why = "as was asked for";
    let looks = creates.iter().map(|create| canceller.find(create));
    for (create, found) in creates.iter().zip(join_all(looks).await) {
        let found = match found {
            Ok(found) => found,
            // What was found before it came is still cancelled.
            Err(Stop::Signal(_)) => {
                unfound.push(create.as_str());
                continue;
            }
            // So is what is named.
            Err(stop) => {
                trouble = Some(stopped(stop));
                continue;
            }
        };
        why = "the run that made it is gone";
        if found.is_empty() {
            world.apply(session.host.note("No batch came from that create; there is nothing to cancel."));
        }
        ids.extend(found.into_iter().map(|batch| batch.id));
    }
    if pending {
        let found = running(&api, &guard, session).await?;
        if !found.is_empty() && !inputs.yes.unwrap_or(false) {
            return Err(Error::usage("These batches would be cancelled, and nothing was done.")
                .hint("Add `--yes` to cancel them."));
        }
        ids.extend(found);
    }
    let uncertain = end(&canceller, &ids, why, session).await;
    let done =
        outcome(uncertain, &unfound, &Invocation::new(&api, &connection, unprinted(&connection, &world.env)), session);
    match (trouble, done) {
        (None, done) => done,
        (Some(trouble), Ok(())) => Err(trouble),
        (Some(trouble), Err(error)) => {
            session.warn(trouble.sentence());
            Err(error)
        }
    }
}

/// Cancels all of them before it waits for the first; trouble with one keeps none of the others alive.
/// Returns which may not be cancelled, and why.
async fn end<'i>(
    canceller: &Canceller<'_>,
    ids: &'i [String],
    why: &str,
    session: &Session<'_>,
) -> Vec<(&'i str, Error)> {
    let (mut requested, mut uncertain) = (Vec::new(), Vec::new());
    let asked = join_all(ids.iter().map(|id| canceller.request(id, why))).await;
    for (id, asked) in ids.iter().zip(asked) {
        match asked {
            Ok(batch) => requested.push((id, batch)),
            Err(stop) => uncertain.push((id.as_str(), stopped(stop))),
        }
    }
    for (id, batch) in requested {
        // What the reply to the cancel said, where more was not seen.
        let accepted = match batch {
            Cancelled::Accepted(_) => "being cancelled",
            Cancelled::Over => "over",
        };
        let is = match canceller.wait(id, batch).await {
            Ok(batch) if batch.status.is_terminal() => batch.status.word().to_owned(),
            Ok(_) => "being cancelled".to_owned(),
            Err(Stop::Signal(_)) => accepted.to_owned(),
            Err(stop) => {
                uncertain.push((id, stopped(stop)));
                continue;
            }
        };
        session.world.apply(session.host.note(&format!("Batch `{id}` is {is}.")));
    }
    uncertain
}

/// What the command comes to. The last trouble is its own error; after a signal
/// that is what may still run, and the command that ends it.
fn outcome(
    uncertain: Vec<(&str, Error)>,
    unfound: &[&str],
    how: &Invocation,
    session: &Session<'_>,
) -> Result<(), Error> {
    let (ids, mut errors): (Vec<&str>, Vec<Error>) = uncertain.into_iter().unzip();
    let cancel = how.cancel_with(&ids, unfound).filter(|_| !ids.is_empty() || !unfound.is_empty());
    let last = match session.world.shutdown.ordered() {
        None => errors.pop(),
        Some(signal) => {
            let hints = cancel.map(|cancel| format!("`{cancel}` ends what may still run."));
            let hints = how.with_needs(hints.into_iter().collect());
            Some(hints.into_iter().fold(stopped(Stop::Signal(signal)), Error::hint))
        }
    };
    errors.iter().for_each(|error| session.warn(error.sentence()));
    last.map_or(Ok(()), Err)
}

/// The batches of this repository that are still running, each named.
async fn running(api: &Api, guard: &Guard<'_>, session: &Session<'_>) -> Result<Vec<String>, Error> {
    let repo = session.host.identity().repo;
    let of =
        repo.as_ref().map_or_else(|| "a run outside a repository".to_owned(), |repo| format!("the repository {repo}"));
    let since = session.world.clock.ago(RUNNING_LOOK_BACK);
    let is_running = |batch: &Batch| {
        let seen = Seen::of(batch);
        seen.key.is_some() && seen.repo == repo.as_deref() && !batch.status.is_terminal()
    };
    let found = search::list(api, guard, since, is_running).await.map_err(stopped)?;
    if found.is_empty() {
        session.world.apply(session.host.note(&format!("No batch of {of} is running.")));
    }
    let mut ids = Vec::new();
    for batch in found {
        let run = Seen::of(&batch).run.map(|run| format!(", by run {}", run.trim_end_matches('/'))).unwrap_or_default();
        session.world.apply(session.host.note(&format!(
            "Batch `{}` of {of} is {}{run}.",
            batch.id,
            batch.status.word()
        )));
        ids.push(batch.id);
    }
    Ok(ids)
}
