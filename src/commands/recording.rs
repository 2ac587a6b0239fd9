//! What was gathered, as the report says it.

use std::path::Path;

use crate::api::Api;
use crate::emitter::Events;
use crate::events::Event;
use crate::report::Report;
use crate::results::Results;
use crate::text::{counted, requests_count};

/// Removes secrets from what is reported of the answers. The answers themselves stay as received.
pub(super) fn conceal(api: &Api, results: &mut Results) {
    let show = |text: &mut String| *text = api.shown(text);
    for group in &mut results.failures {
        [&mut group.code, &mut group.message].into_iter().for_each(show);
        group.custom_ids.iter_mut().for_each(show);
    }
    results.usage.iter_mut().flat_map(|usage| &mut usage.model).for_each(show);
    results.cases.iter_mut().flatten().for_each(|case| case.conceal(|text| api.shown(text)));
    results.samples.iter_mut().flat_map(|sample| [&mut sample.custom_id, &mut sample.answer]).for_each(show);
    results.suspects.iter_mut().flat_map(|group| &mut group.custom_ids).for_each(show);
    let Some(schema) = &mut results.schema else { return };
    for group in &mut schema.groups {
        [&mut group.path, &mut group.message].into_iter().chain(&mut group.value).for_each(show);
        group.custom_ids.iter_mut().for_each(show);
    }
    schema.unusable.iter_mut().for_each(|unusable| show(&mut unusable.message));
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
    (report.suspects, report.schema) = (results.suspects, results.schema);
}
