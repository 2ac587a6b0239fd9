//! What was gathered, as the report says it.

use std::path::Path;

use crate::api::Api;
use crate::emitter::Events;
use crate::events::Event;
use crate::judgement::{SchemaReport, SuspectGroup, Unusable, ViolationGroup};
use crate::report::{CostReport, Example, FailureGroup, Report, Sample, Unpriced};
use crate::results::Results;
use crate::text::{counted, requests_count};
use crate::usd::Usd;

/// Removes secrets from what is reported of the answers. The answers themselves stay as received.
///
/// The groups are taken apart field by field, so that a new field does not compile before it is decided here.
pub(super) fn conceal(api: &Api, results: &mut Results) {
    let show = |text: &mut String| *text = api.shown(text);
    for group in &mut results.failures {
        let FailureGroup { code, message, custom_ids, examples, status: _, count: _, prospect: _, advice: _ } = group;
        [code, message].into_iter().chain(custom_ids).for_each(show);
        for Example { custom_id, file: _, line: _, index: _ } in examples {
            show(custom_id);
        }
    }
    results.usage.iter_mut().flat_map(|usage| &mut usage.model).for_each(show);
    conceal_cost(api, &mut results.cost);
    results.cases.iter_mut().flatten().for_each(|case| case.conceal(|text| api.shown(text)));
    for Sample { custom_id, answer } in &mut results.samples {
        [custom_id, answer].into_iter().for_each(show);
    }
    for SuspectGroup { custom_ids, kind: _, count: _ } in &mut results.suspects {
        custom_ids.iter_mut().for_each(show);
    }
    let Some(schema) = &mut results.schema else { return };
    let SchemaReport { groups, unusable, mode: _, checked: _, violations: _, unchecked: _ } = schema;
    for ViolationGroup { path, message, value, custom_ids, count: _ } in groups {
        [path, message].into_iter().chain(value).chain(custom_ids).for_each(show);
    }
    for Unusable { message, place: _ } in unusable {
        show(message);
    }
}

fn conceal_cost(api: &Api, cost: &mut CostReport) {
    let CostReport {
        unpriced,
        // What follows is ours, or sums.
        prices_date: _,
        prices_source: _,
        not_included: _,
        estimate: _,
        usd: _,
        standard_usd: _,
        provider_usd: _,
        budget: _,
    } = cost;
    for Unpriced { model, answers: _, lacking: _ } in unpriced {
        model.iter_mut().for_each(|model| *model = api.shown(model));
    }
}

/// Puts what was gathered into the report.
pub(super) fn record(results: Results, output_dir: &Path, events: &Events<'_>, report: &mut Report) {
    for warning in &results.warnings {
        events.emit(Event::Warned(warning.clone()));
    }
    report.tokens = results.tokens();
    let first = report.batches.iter().filter(|batch| batch.attempt == 1);
    let completed: u64 = first.filter_map(|batch| batch.request_counts.completed).sum();
    let good = results.counts.succeeded + results.rejected;
    if completed > good {
        events.emit(Event::Warned(format!(
            "The provider counts {} as completed, but its files hold {}.",
            requests_count(completed),
            counted(good, "good answer", "good answers")
        )));
    }
    let path = |name: String| output_dir.join(name).display().to_string();
    report.files.results = results.files.results.map(path);
    report.files.unexpected = results.files.unexpected.map(path);
    report.files.answers = results.files.answers.map(path);
    report.files.answers_csv = results.files.answers_csv.map(path);
    (report.counts, report.failures, report.usage) = (results.counts, results.failures, results.usage);
    report.samples = results.samples;
    cost(results.cost, report);
    (report.suspects, report.schema) = (results.suspects, results.schema);
}

/// Puts what the answers cost into the report, beside what was said of it before they came.
fn cost(spent: CostReport, report: &mut Report) {
    let CostReport { estimate, budget, .. } = std::mem::take(&mut report.cost);
    let stated: Vec<Usd> = report.batches.iter().filter_map(|batch| batch.provider_usd).collect();
    let provider_usd = (!stated.is_empty()).then(|| stated.into_iter().sum());
    report.cost = CostReport { estimate, budget, provider_usd, ..spent };
    for batch in &mut report.batches {
        let sums = report.usage.iter().filter(|usage| usage.batch_id == batch.id).filter_map(|usage| usage.usd);
        batch.usd = sums.reduce(|sum, more| sum + more);
    }
}
