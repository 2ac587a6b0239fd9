//! The summary that GitHub shows for a step, in its Markdown.
//!
//! Headings, tables, lists and nothing that has to be closed, so that the text
//! can be cut at any line: GitHub refuses a summary above 1 MiB whole. Tables
//! hold the first of their rows only; the report has them all.

mod quote;
mod short;

use self::quote::{code, prose};
pub(super) use self::short::{failure, paragraph, render_runs};
use super::{SIMULATED, took};
use crate::error::{Exit, Outcome};
use crate::report::Report;
use crate::text::{flat, thousands, whole_lines};

/// Below GitHub's 1 MiB, with room for what a later step of the job appends.
const LONGEST: usize = 1_000_000;
const MOST_ROWS: usize = 50;
const MOST_SAMPLES: usize = 5;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    render_within(report, LONGEST)
}

/// Renders the report in so many bytes.
pub(super) fn render_within(report: &Report, longest: usize) -> String {
    let mut page = Page { has_report: report.files.report.is_some(), ..Page::default() };
    verdict(&mut page, report);
    counts(&mut page, report);
    page.list("What to do next", &report.hints);
    failures(&mut page, report);
    faults(&mut page, report);
    batch_errors(&mut page, report);
    shards(&mut page, report);
    batches(&mut page, report);
    time_and_tokens(&mut page, report);
    page.list("Warnings", &report.warnings);
    files(&mut page, report);
    whole_lines(page.text, longest, CUT_NOTE)
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
    /// Whether there is a report, which has what is left out here.
    has_report: bool,
}

impl Page {
    /// A block of its own, after an empty line.
    fn block(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A heading and a table, unless there are no rows. `columns` are names, with `:` after those of numbers.
    fn table<const N: usize>(&mut self, title: &str, columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return;
        }
        self.block(&format!("### {title}"));
        let rules = columns.map(|name| if name.ends_with(':') { "---:" } else { "---" });
        self.block(&format!("| {} |", columns.map(|name| name.trim_end_matches(':')).join(" | ")));
        self.text.push_str(&format!("| {} |\n", rules.join(" | ")));
        rows.by_ref().take(MOST_ROWS).for_each(|row| self.text.push_str(&format!("| {} |\n", row.join(" | "))));
        self.more(rows.count());
    }

    /// A heading and a list of sentences, unless there are none.
    fn list(&mut self, title: &str, sentences: &[String]) {
        if sentences.is_empty() {
            return;
        }
        self.block(&format!("### {title}\n"));
        sentences.iter().take(MOST_ROWS).for_each(|sentence| self.text.push_str(&format!("- {}\n", prose(sentence))));
        self.more(sentences.len().saturating_sub(MOST_ROWS));
    }

    fn more(&mut self, left_out: usize) {
        if left_out > 0 {
            let place = if self.has_report { ", in the report" } else { "" };
            self.block(&format!("And {} more{place}.", thousands(left_out as u64)));
        }
    }
}

fn verdict(page: &mut Page, report: &Report) {
    page.block(&if report.simulated {
        simulated_heading(report.outcome)
    } else {
        heading(report.exit_code, report.outcome)
    });
    page.block(&prose(&report.reason));
    report.attached().iter().for_each(|sentence| page.block(&prose(sentence)));
}

/// The heading of a page on an outcome.
fn heading(exit_code: u8, outcome: Outcome) -> String {
    let sign = match outcome {
        _ if exit_code != Exit::Ok.code() => "❌",
        Outcome::Pending | Outcome::Detached => "⏳",
        Outcome::Partial => "⚠️",
        _ => "✅",
    };
    format!("## {sign} batchstep: {}", outcome.word())
}

/// The heading where no model gave the answers: an unmarked green from the sandbox would be the worst of lies.
fn simulated_heading(outcome: Outcome) -> String {
    format!("## 🧪 SIMULATED · batchstep: {}\n\n**{SIMULATED}**", outcome.word())
}

fn counts(page: &mut Page, report: &Report) {
    let counts = report.counts;
    if counts.total > 0 {
        let numbers = [counts.total, counts.succeeded, counts.failed, counts.missing, counts.unexpected];
        let columns = ["Requests:", "Succeeded:", "Failed:", "Missing:", "Unexpected lines:"];
        page.table("Requests", columns, [numbers.map(thousands)]);
    }
    let asked = &report.requests;
    let files: Vec<String> = asked.files.iter().take(MOST_SAMPLES).map(|file| code(file)).collect();
    let origin = report.asked_origin().map(|origin| format!(" ({})", code(origin))).unwrap_or_default();
    let parts = [
        (!files.is_empty()).then(|| format!("from {}", files.join(", "))),
        asked.endpoint.as_ref().map(|endpoint| format!("for {}", code(endpoint))),
        asked.model.as_ref().map(|model| format!("model {}", code(model))),
        Some(format!("at {}{origin}", code(&report.provider))),
        (counts.total > 0).then(|| format!("failed and missing allowed: {}", code(&report.max_failed))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    page.block(&format!("Requests {}.", parts.join(", ")));
}

fn failures(page: &mut Page, report: &Report) {
    let rows = report.failures.iter().map(|group| {
        let ids: Vec<String> = group.custom_ids.iter().take(MOST_SAMPLES).map(|id| code(id)).collect();
        let more = if group.count > ids.len() as u64 && !ids.is_empty() { ", …" } else { "" };
        let status = group.shown_status().map(|status| format!(" {status}")).unwrap_or_default();
        [thousands(group.count), code(&group.code) + &status, code(&group.message), ids.join(", ") + more]
    });
    page.table("Failures", ["Count:", "Code", "Message", "Requests"], rows);
}

fn faults(page: &mut Page, report: &Report) {
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let rows = report.faults.iter().map(|fault| {
        let place = [Some(flat(&fault.file, 100)), number(fault.line), number(fault.line.and(fault.column))];
        let place: Vec<String> = place.into_iter().flatten().collect();
        let field = fault.field.as_deref().map(code).unwrap_or_default();
        [code(&place.join(":")), field, prose(&fault.found), prose(&fault.expected), prose(&fault.fix)]
    });
    let title = format!("Faults of the requests file ({} in all)", thousands(report.fault_count));
    page.table(&title, ["Where", "Field", "Found", "Expected", "Fix"], rows);
}

fn batch_errors(page: &mut Page, report: &Report) {
    let optional = |text: &Option<String>| text.as_deref().map(code).unwrap_or_default();
    let rows = report.batches.iter().flat_map(|batch| {
        batch.errors.iter().map(move |error| {
            let place = [error.file.clone(), error.line.map(|line| line.to_string())];
            let place = place.into_iter().flatten().collect::<Vec<_>>().join(":");
            let place = if place.is_empty() { place } else { code(&place) };
            [code(&batch.id), place, optional(&error.code), optional(&error.message), optional(&error.param)]
        })
    });
    page.table("Why the provider failed the batch", ["Batch", "Where", "Code", "Message", "Field"], rows);
}

fn shards(page: &mut Page, report: &Report) {
    let optional = |text: &Option<String>| text.as_deref().map(code).unwrap_or_default();
    let rows = report.shards.iter().enumerate().map(|(index, shard)| {
        let number = (index + 1).to_string();
        let (requests, bytes) = (thousands(shard.requests), thousands(shard.bytes));
        [number, code(&shard.endpoint), optional(&shard.model), requests, bytes, optional(&shard.batch_id)]
    });
    page.table("Shards", ["Shard:", "Endpoint", "Model", "Requests:", "Bytes:", "Batch"], rows);
}

fn batches(page: &mut Page, report: &Report) {
    let optional = |text: &Option<String>| text.as_deref().map(code).unwrap_or_default();
    let rows = report.batches.iter().map(|batch| {
        let counts = batch.request_counts;
        let done = match (counts.done(), counts.total) {
            (Some(done), Some(total)) => format!("{} of {}", thousands(done), thousands(total)),
            (done, _) => done.map(thousands).unwrap_or_default(),
        };
        let again = if batch.attempt > 1 { format!(" (try {})", batch.attempt) } else { String::new() };
        [
            code(&batch.id) + &again,
            code(batch.status.word()),
            done,
            optional(&batch.input_file_id),
            optional(&batch.output_file_id),
            optional(&batch.error_file_id),
        ]
    });
    page.table("Batches", ["Batch", "Status", "Done:", "Input file", "Output file", "Error file"], rows);
}

fn time_and_tokens(page: &mut Page, report: &Report) {
    let rows = report.phases.iter().map(|phase| [code(&phase.name), took(phase.seconds)]);
    page.table("Time", ["Phase", "Took:"], rows);
    if report.counts.total > 0 {
        let tokens = report.tokens;
        let numbers = [tokens.input, tokens.cached, tokens.output, tokens.reasoning].map(thousands);
        page.table("Tokens", ["Input:", "Of these cached:", "Output:", "Of these reasoning:"], [numbers]);
    }
}

fn files(page: &mut Page, report: &Report) {
    let files = &report.files;
    let files = [
        ("Results", &files.results),
        ("Unexpected lines", &files.unexpected),
        ("Answers", &files.answers),
        ("Answers as CSV", &files.answers_csv),
        ("Report", &files.report),
    ];
    let rows = files.into_iter().filter_map(|(what, path)| Some([what.to_owned(), code(path.as_ref()?)]));
    page.table("Files", ["File", "Path"], rows);
}

/// What a summary says at its end if it was too long.
const CUT_NOTE: &str = "\nThe rest of this summary was cut: it was too long. The report has it all.\n";

#[cfg(test)]
mod tests {
    use super::render;
    use crate::formats::samples::{self, HOSTILE, failure};
    use crate::text::deceives;

    fn head(page: &str) -> String {
        page.lines().take(5).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_people_read_when_it_went_well() {
        insta::assert_snapshot!(head(&render(&samples::succeeded())), @r###"
        ## ✅ batchstep: succeeded

        All 1200 requests succeeded.

        ### Requests
        "###);
    }

    #[test]
    fn what_people_read_when_some_failed() {
        insta::assert_snapshot!(render(&samples::partial()), @r###"
        ## ⚠️ batchstep: partial

        13 of 1200 requests failed or are missing; 2% may.

        ### Requests

        | Requests | Succeeded | Failed | Missing | Unexpected lines |
        | ---: | ---: | ---: | ---: | ---: |
        | 1,200 | 1,187 | 12 | 1 | 1 |

        Requests from `requests.jsonl`, for `/v1/chat/completions`, model `gpt-4.1-mini`, at `openai` (`https://api.openai.com`), failed and missing allowed: `2%`.

        ### What to do next

        - Run again with `retries: 2` to send the failed requests again.

        ### Failures

        | Count | Code | Message | Requests |
        | ---: | --- | --- | --- |
        | 12 | `rate_limit_exceeded` | `Too many requests.` | `q-7`, `q-19`, `q-20`, … |
        | 1 | `batchstep_missing` | `The provider gave no answer.` | `q-1100` |

        ### Batches

        | Batch | Status | Done | Input file | Output file | Error file |
        | --- | --- | ---: | --- | --- | --- |
        | `batch_1` | `completed` | 1,199 of 1,200 | `file-in` | `file-out` | `file-err` |

        ### Time

        | Phase | Took |
        | --- | ---: |
        | `check` | 0.2s |
        | `upload` | 1.2s |
        | `in_progress` | 5m 50s |
        | `collect` | 2.0s |

        ### Tokens

        | Input | Of these cached | Output | Of these reasoning |
        | ---: | ---: | ---: | ---: |
        | 1,234,567 | 1,024 | 89,012 | 640 |

        ### Warnings

        - The list of batches was not readable; `reuse` relied on the journal.

        ### Files

        | File | Path |
        | --- | --- |
        | Results | `batch-results/results.jsonl` |
        | Unexpected lines | `batch-results/unexpected.jsonl` |
        | Report | `batch-results/report.json` |
        "###);
    }

    #[test]
    fn what_people_read_when_the_batch_failed() {
        insta::assert_snapshot!(render(&samples::failed_validation()), @r###"
        ## ❌ batchstep: failed

        The provider refused the input of `batch_1`.

        Requests from `requests.jsonl`, for `/v1/chat/completions`, model `gpt-4.1-mini`, at `openai` (`https://api.openai.com`).

        ### What to do next

        - Correct the lines above and run again.

        ### Why the provider failed the batch

        | Batch | Where | Code | Message | Field |
        | --- | --- | --- | --- | --- |
        | `batch_1` | `requests.jsonl:7` | `model_not_found` | <code>The model &#96;gpt-9&#96; does not exist.</code> | `body.model` |

        ### Batches

        | Batch | Status | Done | Input file | Output file | Error file |
        | --- | --- | ---: | --- | --- | --- |
        | `batch_1` | `failed` |  | `file-in` |  |  |

        ### Time

        | Phase | Took |
        | --- | ---: |
        | `check` | 0.2s |
        | `upload` | 1.2s |

        ### Files

        | File | Path |
        | --- | --- |
        | Report | `batch-results/report.json` |
        "###);
    }

    #[test]
    fn what_people_read_of_a_faulty_file() {
        insta::assert_snapshot!(render(&samples::invalid()), @r###"
        ## ❌ batchstep: invalid

        `requests.jsonl` has 2 faults; nothing was uploaded.

        Requests from `requests.jsonl`, at `openai` (`https://api.openai.com`).

        ### Faults of the requests file (2 in all)

        | Where | Field | Found | Expected | Fix |
        | --- | --- | --- | --- | --- |
        | `./requests.jsonl:3:14` | `body.model` | the number 4 | each request names its model | write a string |
        | `requests.jsonl` |  | 50,001 requests | a batch takes at most 50,000 | split the file |

        ### Time

        | Phase | Took |
        | --- | ---: |
        | `check` | 0.2s |

        ### Files

        | File | Path |
        | --- | --- |
        | Report | `batch-results/report.json` |
        "###);
    }

    #[test]
    fn a_simulation_says_so_first() {
        let simulated = render(&samples::simulated());
        insta::assert_snapshot!(head(&simulated), @r###"
        ## 🧪 SIMULATED · batchstep: succeeded

        **SIMULATED: the sandbox made these answers up, no model was asked.**

        All 1200 requests succeeded.
        "###);
        assert!(!simulated.contains('✅'));
    }

    /// What a page is built of, and what may not change with the text it quotes.
    fn shape(page: &str) -> Vec<(String, usize)> {
        let kind = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let bars = |line: &str| line.matches('|').count();
        page.lines()
            .map(
                |line| {
                    if line.starts_with(['#', '|', '-']) {
                        (kind(line), bars(line))
                    } else {
                        (String::new(), bars(line))
                    }
                },
            )
            .collect()
    }

    #[test]
    fn hostile_text_does_not_change_the_page() {
        for text in HOSTILE.iter().copied().chain([&*"x".repeat(100_000), &*"|`".repeat(50_000)]) {
            for (page, tame) in [
                (samples::hostile(text), samples::hostile("tame")),
                (samples::hostile_faults(text), samples::hostile_faults("tame")),
            ] {
                let page = render(&page);
                assert_eq!(shape(&page), shape(&render(&tame)), "{text:?} {page}");
                let tags = page.replace("<code>", "").replace("</code>", "");
                assert!(!tags.contains(['<', '>']), "{page}");
                assert!(!page.chars().any(|c| deceives(c) && c != '\n' && c != '\u{200b}'), "{page:?}");
                assert!(page.len() < 200_000);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_failures_fit() {
        let mut report = samples::partial();
        report.failures =
            (0..100_000).map(|n| failure(&format!("|{n}"), &"é|".repeat(500), 1, &[HOSTILE[3]; 9])).collect();
        report.hints = vec!["`|` ".repeat(50_000); 50];
        let page = render(&report);
        assert!(page.len() < 1 << 20 && page.ends_with('\n'), "{}", page.len());
        assert!(page.contains("And 99,950 more"), "{page}");
    }
}
