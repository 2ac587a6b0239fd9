//! `batchstep cancel`: ends what another run left behind.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{connect, failed, show, stopped};
use crate::api::Api;
use crate::batch::CANCELLING;
use crate::batch::cancel::Canceller;
use crate::batch::search;
use crate::emitter::Events;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::hosts::{Host, Wishes};
use crate::identity::Seen;
use crate::inputs;
use crate::patience::{Guard, Patience};
use crate::plan::{self, Server};
use crate::world::World;

/// How far back a batch may have been created that still runs: some windows are a week.
const LOOK_BACK: i64 = 8 * 86_400;

/// Cancels batches by id, by the mark of their create, or all that this repository has running.
pub async fn cancel(inputs: inputs::Cancel, world: &World) -> Exit {
    let host = world.host(inputs.ci, None);
    let (host, events) = (host.as_ref(), world.events(host.as_ref()));
    let (check, token) = (inputs.check, plan::github_token(inputs.github_token.as_ref()));
    let ca_bundle = plan::ca_bundle(inputs.connection.ca_file.as_ref());
    let done = cancel_batches(inputs, world, host, &events).await;
    if let Some(id) = check {
        let wishes = token.map(|token| Wishes { check_run: true, token, ..Wishes::default() });
        if let (Ok(wishes), Ok(ca_bundle)) = (wishes, ca_bundle)
            && let Some(board) = show(host, world, &events, wishes, ca_bundle.as_deref())
            && let Err(warning) = board.abandon(id, world.clock.unix()).await
        {
            events.emit(Event::Warned(warning));
        }
    }
    world.exit(done.map_or_else(|error| failed(&error, &events), |()| Exit::Ok))
}

async fn cancel_batches(
    inputs: inputs::Cancel,
    world: &World,
    host: &dyn Host,
    events: &Events<'_>,
) -> Result<(), Error> {
    let pending = inputs.pending.unwrap_or(false);
    if inputs.batch_id.is_empty() && inputs.create.is_empty() && !pending {
        if inputs.check.is_some() {
            return Ok(());
        }
        let hint = "Name batches, a create with `--create`, or all that run with `--pending`.";
        return Err(Error::usage("There is nothing to cancel.").hint(hint));
    }
    let api = connect(Server::remote(inputs.connection)?, world.clock).await?;
    let guard = Guard {
        deadline: Instant::now() + inputs.timeout.unwrap_or(CANCELLING),
        shutdown: &world.shutdown,
        events,
        rng: world.rng.clone().into(),
    };
    let canceller = Canceller { api: &api, guard: &guard, clock: world.clock };
    let mut ids = inputs.batch_id;
    let mut why = "as was asked for";
    let looks = inputs.create.iter().map(|create| canceller.find(create));
    for found in join_all(looks).await {
        let found = found.map_err(stopped)?;
        why = "the run that made it is gone";
        if found.is_empty() {
            world.apply(host.note("No batch came from that create; there is nothing to cancel."));
        }
        ids.extend(found.into_iter().map(|batch| batch.id));
    }
    if pending {
        let found = running(&api, &guard, world, host).await?;
        if !found.is_empty() && !inputs.yes.unwrap_or(false) {
            return Err(Error::usage("These batches would be cancelled, and nothing was done.")
                .hint("Add `--yes` to cancel them."));
        }
        ids.extend(found);
    }
    end(&canceller, &ids, why, world, host, events).await
}

/// Cancels all of them before it waits for the first; trouble with one keeps none of the others alive.
async fn end(
    canceller: &Canceller<'_>,
    ids: &[String],
    why: &str,
    world: &World,
    host: &dyn Host,
    events: &Events<'_>,
) -> Result<(), Error> {
    let (mut requested, mut failed) = (Vec::new(), None);
    let mut trouble = |stop| {
        let error = stopped(stop);
        // The last one is told as the command's own.
        if let Some(earlier) = failed.replace(error) {
            let earlier: Error = earlier;
            events.emit(Event::Warned(earlier.sentence()));
        }
    };
    let asked = join_all(ids.iter().map(|id| canceller.request(id, why))).await;
    for (id, asked) in ids.iter().zip(asked) {
        match asked {
            Ok(batch) => requested.push((id, batch)),
            Err(stop) => trouble(stop),
        }
    }
    for (id, batch) in requested {
        match canceller.wait(id, batch).await {
            Ok(batch) => {
                let is = if batch.status.is_terminal() { batch.status.word() } else { "being cancelled" };
                world.apply(host.note(&format!("Batch `{id}` is {is}.")));
            }
            Err(stop) => trouble(stop),
        }
    }
    failed.map_or(Ok(()), Err)
}

/// The batches of this repository that are still running, each named.
async fn running(api: &Api, guard: &Guard<'_>, world: &World, host: &dyn Host) -> Result<Vec<String>, Error> {
    let repo = host.identity().repo;
    let of = repo
        .as_ref()
        .map_or_else(|| "work outside of a repository".to_owned(), |repo| format!("the repository {repo}"));
    let since = world.clock.unix() - LOOK_BACK;
    let scan = async || {
        search::scan(api, since, |batch| {
            let seen = Seen::of(batch);
            seen.key.is_some() && seen.repo == repo.as_deref() && !batch.status.is_terminal()
        })
        .await
    };
    let found = guard.bear("listing batches", Patience::Before, scan).await.map_err(stopped)?;
    if !found.is_whole {
        guard.events.emit(Event::Warned("The list of batches is too long to be searched to its end.".to_owned()));
    }
    if found.batches.is_empty() {
        world.apply(host.note(&format!("No batch of {of} is running.")));
    }
    let mut ids = Vec::new();
    for batch in found.batches {
        let run = Seen::of(&batch).run.map(|run| format!(", by run {run}")).unwrap_or_default();
        world.apply(host.note(&format!("Batch `{}` of {of} is {}{run}.", batch.id, batch.status.word())));
        ids.push(batch.id);
    }
    Ok(ids)
}
