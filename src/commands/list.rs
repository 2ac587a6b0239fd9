//! `batchstep batch list --ours`: the batches that batchstep made.

use serde_json::json;
use tokio::time::Instant;

use super::listed_costs::ListedCosts;
use super::stopped;
use crate::api::Api;
use crate::batch::search;
use crate::clock::span;
use crate::dialects::{Answers, Batch};
use crate::effects::Effect;
use crate::error::Error;
use crate::identity::Seen;
use crate::inert_json::inert;
use crate::policy::{BEFORE_BATCH, LISTING_LOOK_BACK};
use crate::prices::Prices;
use crate::session::Session;
use crate::text::{one_line, safe, short_key, shorten};
use crate::world::World;

/// The longest cell of the table; `--json` has all of it.
const CELL: usize = 80;

/// The columns that are shown at any width: batch, status, done, age.
const CORE: usize = 4;
/// The narrowest that a column is made.
const SHORTEST: usize = 8;

/// How the list is printed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// Lists them, newest first, as a table or as JSON.
pub(super) async fn ours(api: &Api, output: Output, world: &World) -> Result<(), Error> {
    search::check_marks(api)?;
    let host = world.host(None);
    let session = Session::begin(world, host.as_ref());
    let guard = session.guard(Instant::now() + BEFORE_BATCH);
    let since = world.clock.ago(LISTING_LOOK_BACK);
    let is_ours = |batch: &Batch| Seen::of(batch).key.is_some();
    let mut found = search::list(api, &guard, since, is_ours).await.map_err(stopped)?;
    found.reverse();
    let prices = Prices::built_in();
    let answers = if api.is_simulated() { Answers::Simulated } else { Answers::Real };
    let costs = ListedCosts::new(&prices, api.vendor(), &api.origin(), world.clock.unix()).of(answers);
    let effects = match output {
        Output::Json => vec![Effect::Data(inert(&api.shown_json(as_array(&found, &costs).as_bytes())))],
        Output::Table => {
            let table = table(&found, world.clock.unix(), world.out_columns());
            let rows = table.iter().map(|line| Effect::Data(safe(&api.shown(line))));
            // Not among the rows: whoever reads them counts lines.
            rows.chain(costs.lines(&found).iter().map(|line| Effect::Log(api.shown(line)))).collect()
        }
    };
    world.apply(effects);
    Ok(())
}

fn as_array(batches: &[Batch], costs: &ListedCosts<'_>) -> String {
    let entry = |batch: &Batch| {
        let seen = Seen::of(batch);
        json!({
            "id": batch.id, "status": batch.status, "created_at": batch.created_at, "request_counts": batch.counts,
            "repository": seen.repo, "run": seen.run, "key": seen.key, "check": seen.check, "least_cost_usd": costs.least(batch),
        })
    };
    json!(batches.iter().map(entry).collect::<Vec<_>>()).to_string()
}

/// Lines that fit a terminal of so many columns; where there is none, each cell has what it needs. An id stays
/// whole, since people copy it; what else does not fit is shortened, from the right, and then left out.
fn table(batches: &[Batch], now: i64, columns: Option<usize>) -> Vec<String> {
    let mut rows = vec![["BATCH", "STATUS", "DONE", "AGE", "KEY", "REPOSITORY", "RUN"].map(str::to_owned)];
    rows.extend(batches.iter().map(|batch| row(batch, now)));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..7).map(width).collect();
    if let Some(columns) = columns {
        fit(&mut widths, columns);
    }
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Makes the widths of columns fit.
fn fit(widths: &mut Vec<usize>, columns: usize) {
    let excess = |widths: &[usize]| (widths.iter().sum::<usize>() + 2 * (widths.len() - 1)).saturating_sub(columns);
    while excess(widths) > 0 && widths.len() > CORE {
        let last = widths.len() - 1;
        let spare = widths[last].saturating_sub(SHORTEST);
        match excess(widths) {
            excess if excess <= spare => widths[last] -= excess,
            _ => drop(widths.pop()),
        }
    }
}

fn padded(cell: &str, width: usize) -> String {
    let cell = if cell.chars().count() > width { shorten(cell, width.saturating_sub(1)) } else { cell.to_owned() };
    format!("{cell:<width$}")
}

fn row(batch: &Batch, now: i64) -> [String; 7] {
    let seen = Seen::of(batch);
    // Other people's text, on one line of ours.
    let cell = |text: &str| safe(&shorten(&one_line(text), CELL));
    let age = batch.created_at.map(|created| u64::try_from(now - created).unwrap_or(0));
    let age = age.map(|age| span(std::time::Duration::from_secs(age))).unwrap_or_default();
    let done = match (batch.counts.done(), batch.counts.total) {
        (None, None) => "-".to_owned(),
        (done, total) => format!("{}/{}", number(done), number(total)),
    };
    let key = short_key(seen.key.unwrap_or_default());
    let (repo, run) = (cell(seen.repo.unwrap_or("-")), cell(seen.run.unwrap_or("-")));
    [cell(&batch.id), cell(batch.status.word()), done, age, cell(key), repo, run]
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;

    use super::{Batch, ListedCosts, Prices, as_array, inert, safe, table};
    use crate::dialects::{Counts, Name, Status, choose};
    use crate::formats::samples::HOSTILE;
    use crate::text::deceives;

    fn batch(id: &str, repo: Option<&str>, run: &str) -> Batch {
        let marks = [("batchstep_key", "0123456789abcdef0123"), ("batchstep_run", run)];
        let marks = marks.into_iter().chain(repo.map(|repo| ("batchstep_repo", repo)));
        Batch {
            id: id.to_owned(),
            status: Status::InProgress,
            created_at: Some(1_000),
            counts: Counts::of(20, 7, 1),
            metadata: marks.map(|(name, mark)| (name.to_owned(), mark.to_owned())).collect(),
            ..Batch::default()
        }
    }

    #[test]
    fn the_table_lines_up() {
        let batches = [batch("batch_1", Some("octo/repo"), "github/7/1/build/step"), batch("b", None, "")];
        insta::assert_snapshot!(table(&batches, 1_000 + 7_260, None).join("\n"), @r"
        BATCH    STATUS       DONE  AGE    KEY           REPOSITORY  RUN
        batch_1  in_progress  8/20  2h 1m  0123456789ab  octo/repo   github/7/1/build/step
        b        in_progress  8/20  2h 1m  0123456789ab  -
        ");
    }

    #[test]
    fn the_table_fits_the_terminal() {
        let batches = [batch(&"b".repeat(30), Some("octo/repository"), "github/7/1/build/step")];
        let at = |columns| table(&batches, 1_000, Some(columns)).join("\n");
        insta::assert_snapshot!([120, 100, 80, 60, 20].map(at).join("\n"), @r"
        BATCH                           STATUS       DONE  AGE   KEY           REPOSITORY       RUN
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  in_progress  8/20  0.0s  0123456789ab  octo/repository  github/7/1/build/step
        BATCH                           STATUS       DONE  AGE   KEY           REPOSITORY       RUN
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  in_progress  8/20  0.0s  0123456789ab  octo/repository  github/7/1/…
        BATCH                           STATUS       DONE  AGE   KEY           REPOSITO…
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  in_progress  8/20  0.0s  0123456789ab  octo/rep…
        BATCH                           STATUS       DONE  AGE
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  in_progress  8/20  0.0s
        BATCH                           STATUS       DONE  AGE
        bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  in_progress  8/20  0.0s
        ");
        for columns in 60..130 {
            assert!(at(columns).lines().all(|line| line.chars().count() <= columns), "{columns}");
        }
    }

    #[test]
    fn hostile_text_stays_in_its_cell() {
        for text in HOSTILE {
            let batches = [batch(text, Some(text), text)];
            let lines: Vec<String> = table(&batches, 0, None).iter().map(|line| safe(line)).collect();
            assert_eq!(lines.len(), 2);
            assert!(lines.iter().all(|line| runner::command(line).is_none()), "{lines:?}");
            assert!(!lines.iter().any(|line| line.chars().any(deceives)), "{lines:?}");
            let prices = Prices::built_in();
            let costs = ListedCosts::new(&prices, choose(Name::Openai), "https://api.openai.com", 0);
            let json = inert(&as_array(&batches, &costs));
            assert!(json.lines().all(|line| runner::command(line).is_none()), "{json}");
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!((&parsed[0]["id"], &parsed[0]["repository"]), (&(*text).into(), &(*text).into()));
        }
        let long = table(&[batch(&"x".repeat(500), None, "r")], 0, None);
        assert!(long[1].chars().count() < 200, "{}", long[1]);
    }
}
