//! `batchstep check`: what `run` does before it touches the network.

use std::path::Path;
use std::sync::Arc;

use super::billing::Billing;
use super::estimating::{self, Estimator};
use crate::dialects::{self, Name, Rules};
use crate::emitter::Events;
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::inputs;
use crate::plan;
use crate::report::Report;
use crate::requests::shards::Shard;
use crate::requests::source::{self, Source};
use crate::requests::{self, Checked};
use crate::session::Session;
use crate::verdict::Verdict;
use crate::world::World;

/// So many batches are logged one by one; the report has all.
const MOST_LOGGED: usize = 10;

/// Checks the requests; no network, no key.
pub(crate) async fn check(inputs: inputs::Check, world: &World) -> Exit {
    let host = world.host(inputs.ci);
    let session = Session::begin(world, host.as_ref());
    let vendor = dialects::choose(inputs.provider.unwrap_or(Name::Openai));
    let done: Result<Exit, Error> = async {
        let rules = plan::rules(&inputs.work, &plan::headers(&inputs.headers, vendor)?, vendor)?;
        let prices = plan::prices(&inputs.pricing)?;
        let source = source::resolve(&plan::patterns(inputs.work.requests)).await?;
        let checked = check_requests(&source, rules, &session.events).await?;
        let mut report = Report::begin(vendor, String::new(), world.clock);
        report.asked(&source, &checked);
        let verdict = match checked.fault_count {
            0 => {
                log_plan(&checked.shards, &session.events);
                let origin = inputs.base_url.clone().unwrap_or_default();
                let billing = Billing::new(prices, vendor, origin, world.clock);
                let last = estimating::last_report(Path::new(inputs::OUTPUT_DIR));
                let estimator = Estimator {
                    billing: &billing,
                    dialect: vendor.dialect,
                    last: last.as_ref(),
                    tokenizers: Arc::default(),
                };
                let quotes = estimator.quotes(&source, &checked.shards).await?;
                estimating::show(&quotes, &billing, &mut report, &session.events);
                Verdict::valid()
            }
            faults => Verdict::invalid(&checked.faults, faults, None),
        };
        let exit = verdict.exit;
        report.warnings = session.events.warnings();
        verdict.record(&mut report);
        session.link(&mut report).await;
        session.publish(&report).await;
        Ok(exit)
    }
    .await;
    session.end(done)
}

/// Checks beside the runtime, so that a signal is heard meanwhile, and logs what was found.
pub(super) async fn check_requests(source: &Source, rules: Rules, events: &Events<'_>) -> Result<Checked, Error> {
    let checked = check_quietly(source, rules).await?;
    for warning in &checked.warnings {
        events.emit(Event::Warned(warning.clone()));
    }
    if checked.fault_count == 0 {
        events.emit(Event::Checked {
            requests: checked.total,
            bytes: checked.bytes,
            endpoint: checked.endpoint.clone().unwrap_or_default(),
            model: checked.model.clone(),
        });
    }
    Ok(checked)
}

/// Logs which batches the requests go into, if they are several.
pub(super) fn log_plan(shards: &[Shard], events: &Events<'_>) {
    let of = shards.len();
    for (index, shard) in shards.iter().enumerate().take(MOST_LOGGED).filter(|_| of > 1) {
        let (endpoint, model) = (shard.endpoint.clone(), shard.model.clone());
        let (part, requests, bytes) = ((index + 1, of), shard.requests, shard.bytes);
        events.emit(Event::Planned { part, requests, bytes, endpoint, model });
    }
}

/// Checks and says nothing of it.
pub(super) async fn check_quietly(source: &Source, rules: Rules) -> Result<Checked, Error> {
    let reading = source.clone();
    let checking = tokio::task::spawn_blocking(move || requests::check(&reading, &rules));
    checking.await.map_err(|error| Error::internal("The check stopped unexpectedly.").because(error))?
}
