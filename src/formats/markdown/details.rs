//! What few readers need: batches and shards, time, tokens, files. Folded.

use super::page::{Page, table};
use super::quote::{code, link, prose};
use super::{MOST_ROWS, asked_at};
use crate::bill;
use crate::dialects::Tokens;
use crate::formats::took;
use crate::report::{BatchReport, ModelUsage, Report, Sample, ShardReport};
use crate::text::{counted, thousands};
use crate::usd::Usd;

/// A phase that takes less is not worth a line, in seconds.
const WORTH_A_LINE: f64 = 0.05;

/// Adds all of it, folded.
pub(super) fn fold(page: &mut Page, report: &Report) {
    let mut inside = Page::default();
    inside.block(batches(report));
    inside.block(timeline(report));
    inside.block(tokens(report));
    inside.block(estimated(report));
    inside.block(provider_files(report));
    inside.block(files(report));
    let tokens = report.tokens.input.saturating_add(report.tokens.output);
    let parts = [
        (!report.batches.is_empty()).then(|| counted(report.batches.len() as u64, "batch", "batches")),
        (tokens > 0).then(|| format!("{} tokens", thousands(tokens))),
        report.cost.usd.map(|_| "costs".to_owned()),
        Some("time".to_owned()),
        report.files.report.is_some().then(|| "files".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    page.fold(&format!("Details: {}", parts.join(", ")), inside);
}

/// Adds the first answers, folded.
pub(super) fn samples(page: &mut Page, report: &Report) {
    let row = |sample: &Sample| [code(&sample.custom_id), prose(&sample.answer)];
    let mut inside = Page::default();
    inside.block(table(["Request", "Answer"], report.samples.iter().map(row).collect(), usize::MAX));
    page.fold(&format!("The first {}", counted(report.samples.len() as u64, "answer", "answers")), inside);
}

/// Batches and shards: a shard with its first batch, then the batches of retries.
fn batches(report: &Report) -> String {
    let of = |id: &str| report.batches.iter().find(|batch| batch.id == id);
    let shard = |(index, shard): (usize, &ShardReport)| {
        let batch = shard.batch_id.as_deref().and_then(of);
        let mut row = batch.map_or_else(|| std::array::from_fn(|_| String::new()), batch_row);
        row[0] = (index + 1).to_string();
        row[2] = thousands(shard.requests);
        row[7] = [Some(&shard.endpoint), shard.model.as_ref()]
            .into_iter()
            .flatten()
            .map(|it| code(it))
            .collect::<Vec<_>>()
            .join(" ");
        if batch.is_none() {
            row[1] = "not created".to_owned();
        }
        row
    };
    let is_of_shard = |batch: &&BatchReport| report.shards.iter().any(|it| it.batch_id.as_ref() == Some(&batch.id));
    let shards = report.shards.iter().enumerate().map(shard);
    let others = report.batches.iter().filter(|batch| !is_of_shard(batch)).map(batch_row);
    let cost = cost_column(report);
    let columns = ["Shard:", "Batch", "Requests:", "Status", "Done:", "Took:", cost, "Of", "Attached"];
    table(columns, shards.chain(others).collect(), MOST_ROWS)
}

fn batch_row(batch: &BatchReport) -> [String; 9] {
    let counts = batch.request_counts;
    let again = if batch.attempt > 1 { format!(" (try {})", batch.attempt) } else { String::new() };
    let took_seconds = batch.created_at.zip(batch.ended_at).map(|(from, to)| to.saturating_sub(from).max(0));
    let attached = batch.attached.as_ref().map(|_| link("to an earlier run", batch.run_url.as_deref()));
    [
        String::new(),
        link(&code(&batch.id), batch.url.as_deref()) + &again,
        counts.total.filter(|total| *total > 0).map(thousands).unwrap_or_default(),
        code(batch.status.word()),
        counts.done().map(thousands).unwrap_or_default(),
        took_seconds.map(|seconds| took(seconds as f64)).unwrap_or_default(),
        sum(batch.provider_usd.or(batch.usd)),
        String::new(),
        attached.unwrap_or_default(),
    ]
}

/// The phases that took time, in their order, and when each began.
fn timeline(report: &Report) -> String {
    let mut begun = 0.0;
    let rows = report.phases.iter().filter_map(|phase| {
        let began = begun;
        begun += phase.seconds;
        let row = || [code(&phase.name), format!("+{}", took(began)), took(phase.seconds)];
        (phase.seconds >= WORTH_A_LINE).then(row)
    });
    table(["Phase", "Began:", "Took:"], rows.collect(), MOST_ROWS)
}

/// Tokens by model, whichever batch the answers are of.
fn tokens(report: &Report) -> String {
    let mut models: Vec<ModelUsage> = Vec::new();
    for usage in &report.usage {
        match models.iter_mut().find(|known| known.model == usage.model) {
            Some(known) => {
                known.succeeded = known.succeeded.saturating_add(usage.succeeded);
                known.failed = known.failed.saturating_add(usage.failed);
                known.tokens.add(usage.tokens);
                known.usd = known.usd.into_iter().chain(usage.usd).reduce(|sum, more| sum + more);
            }
            None => models.push(usage.clone()),
        }
    }
    let number = |number: u64| if number == 0 { String::new() } else { thousands(number) };
    let row = |usage: &ModelUsage| {
        let Tokens { input, cached, cache_written, output, reasoning, .. } = usage.tokens;
        let model = usage.model.as_deref().map(code).unwrap_or_default();
        let numbers = [usage.succeeded.saturating_add(usage.failed), input, cached, cache_written, output, reasoning];
        let [answers, input, cached, written, output, reasoning] = numbers.map(number);
        [model, answers, input, cached, written, output, reasoning, sum(usage.usd)]
    };
    let cost = cost_column(report);
    let columns =
        ["Model", "Answers:", "Input tokens:", "Cached:", "Cache written:", "Output tokens:", "Reasoning:", cost];
    let rows: Vec<_> = models.iter().filter(|usage| usage.tokens != Tokens::default()).map(row).collect();
    table(columns, rows, MOST_ROWS)
}

/// A sum in a table.
fn sum(usd: Option<Usd>) -> String {
    usd.map(|usd| prose(&usd.to_string())).unwrap_or_default()
}

/// What the column of sums is called.
fn cost_column(report: &Report) -> &'static str {
    if report.simulated { "Would cost:" } else { "Cost:" }
}

/// What was expected before there was an answer, and what that relied on.
fn estimated(report: &Report) -> String {
    let expected = bill::expected(report).map(|expected| format!("Estimated cost: {expected}."));
    // Where nothing was spent, that is in sight.
    let expected = expected.filter(|_| bill::spent(report).is_some());
    let sentences: Vec<String> = expected.into_iter().chain(bill::basis(report)).collect();
    sentences.iter().map(|sentence| prose(sentence)).collect::<Vec<_>>().join(" ")
}

fn provider_files(report: &Report) -> String {
    let file = |id: &Option<String>| id.as_deref().map(code).unwrap_or_default();
    let row = |batch: &BatchReport| {
        [code(&batch.id), file(&batch.input_file_id), file(&batch.output_file_id), file(&batch.error_file_id)]
    };
    let has_files = |batch: &&BatchReport| {
        batch.input_file_id.is_some() || batch.output_file_id.is_some() || batch.error_file_id.is_some()
    };
    let rows = report.batches.iter().filter(has_files).map(row).collect();
    table(["Files of", "Input", "Output", "Errors"], rows, MOST_ROWS)
}

/// The files of the run by name: a path on the machine that ran it can be opened by nobody who reads this.
fn files(report: &Report) -> String {
    let files = &report.files;
    let all = [&files.results, &files.answers, &files.answers_csv, &files.unexpected, &files.report];
    let name = |path: &String| code(path.rsplit(['/', '\\']).next().unwrap_or(path));
    let names: Vec<String> = all.into_iter().flatten().map(name).collect();
    if names.is_empty() {
        return String::new();
    }
    let junit = files.junit.as_ref().map(|path| format!(" The tests are in {}.", code(path))).unwrap_or_default();
    let server = asked_at(report);
    let outcome = format!("The outcome is {}, the exit code {}. ", code(report.outcome.word()), report.exit_code);
    format!(
        "{outcome}{server}Written to `output-dir`: {}. Upload that directory as an artifact to keep it.{junit}",
        names.join(", ")
    )
}
