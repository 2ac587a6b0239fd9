//! `batchstep collect`: comes back for what `submit` left, on whatever machine.
//!
//! It creates nothing, and cancels nothing unless told to. How the batches ended
//! is also shown where the run that submitted them was shown.

use super::collection::Collection;
use super::{on_signal, pending};
use crate::error::{Error, Exit, Outcome};
use crate::hosts::{ClaimedCheck, Claims, Host, Unclaimed};
use crate::identity::Seen;
use crate::inputs;
use crate::plan::Collecting;
use crate::report::Report;
use crate::session::{Connected, Reported, Session};
use crate::world::World;

/// `batchstep collect`: wait, download, reconcile, report.
pub(crate) async fn collect(inputs: inputs::Collect, world: &World) -> Exit {
    let host = world.reporting_host(&inputs.reporting, &inputs.requests, &inputs.other_files());
    collect_on(host.as_ref(), inputs, world).await
}

/// `collect` on this host.
pub(super) async fn collect_on(host: &dyn Host, inputs: inputs::Collect, world: &World) -> Exit {
    let reported = Reported::new(&inputs.connection, &inputs.reporting, &inputs.requests, inputs.other_files());
    let work = async |session: &Session<'_>| {
        let (plan, server) = Collecting::new(inputs, host)?;
        let connected = session.connect(server, &reported.connection, plan.timeout).await?;
        connected.announce(plan.job_end);
        let work = async {
            if plan.pending {
                return Box::pin(pending::collect(&connected, &plan)).await;
            }
            Box::pin(collect_one(&connected, &plan)).await
        };
        Box::pin(session.attended(on_signal(plan.on_abort), work)).await
    };
    Box::pin(Session::begin(world, host).carry_out(&reported, work)).await
}

/// Collects the batches that the user or the journal names.
async fn collect_one(connected: &Connected<'_>, plan: &Collecting) -> Result<Exit, Error> {
    let mut collection = Collection::begin(connected, plan, &plan.output_dir)?;
    let ids = collection.ids()?;
    let exit = Box::pin(collection.go(&ids)).await?;
    let shown = connected.session.publish_to_host(collection.report());
    Box::pin(show(connected.session, &collection, &shown)).await;
    collection.close();
    Ok(exit)
}

/// Shows how it ended where the run that submitted these batches was shown.
async fn show(session: &Session<'_>, collection: &Collection<'_>, report: &Report) {
    let Some(publisher) = session.publisher() else { return };
    let checks = match publisher.claims() {
        Some(claims) => checks(session, collection, claims).await,
        None => Vec::new(),
    };
    // Part of what a check waits for says nothing of the rest.
    let is_partial =
        |check: &ClaimedCheck| check.named() > collection.batches.iter().filter(|batch| check.names(&batch.id)).count();
    if checks.iter().any(is_partial) {
        return session.warn("Nothing is shown at the host: the check waits for more batches than these.");
    }
    if checks.is_empty() {
        publisher.finish(report, &session.events).await;
    }
    for check in checks {
        // What was concluded once is not opened again.
        if !(check.is_over && matches!(report.outcome, Outcome::Pending | Outcome::Detached)) {
            check.publisher.finish(report, &session.events).await;
        }
    }
}

/// The checks that are about these batches: on the event's own commit, and the
/// one that their mark names.
async fn checks(session: &Session<'_>, collection: &Collection<'_>, claims: &dyn Claims) -> Vec<ClaimedCheck> {
    let Some(seen) = collection.batches.first().map(Seen::of) else { return Vec::new() };
    let Some(key) = seen.whole else { return Vec::new() };
    let ids: Vec<&str> = collection.batches.iter().map(|batch| batch.id.as_str()).collect();
    let mut checks = claims.own(key, &ids).await.unwrap_or_else(|why| {
        session.warn(why);
        Vec::new()
    });
    let Some(mark) = seen.host_mark() else { return checks };
    if checks.iter().any(|check| claims.is_marked(check, mark)) {
        return checks;
    }
    match claims.of_mark(mark, key).await {
        Ok(check) if check.is_over && !checks.is_empty() => {}
        Ok(check) => checks.push(check),
        Err(Unclaimed::NoMark) => {}
        Err(Unclaimed::Unread(why)) => session.warn(why),
        Err(Unclaimed::NotOurs(why)) => session.warn(format!("Batch {}: {why}.", ids[0])),
    }
    checks
}
