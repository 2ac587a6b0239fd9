//! The summary that GitHub shows for a step, in its Markdown.
//!
//! What happened, how the requests fared, the one thing to do and what failed are in sight; everything
//! else is folded. A success fits on one screen. GitHub refuses a summary above 1 MiB whole, so a page
//! that is too long loses its last blocks. Tables hold the first of their rows only; the report has all.

mod details;
mod failures;
mod page;
mod quote;
mod short;

use self::page::{Alert, Page, list};
use self::quote::{code, link, prose};
pub(super) use self::short::{failure, paragraph, render_comment, render_runs};
use super::simulated_note;
use crate::bill;
use crate::headline::{Headline, Sign};
use crate::report::{Counts, Report};
use crate::text::{counted, thousands};

/// Below GitHub's 1 MiB, with room for what a later step of the job appends.
const LONGEST: usize = 1_000_000;
/// Most rows of a table that is folded.
const MOST_ROWS: usize = 50;
/// Most kinds of failures and faults in sight.
const IN_SIGHT: usize = 5;
const MOST_SAMPLES: usize = 5;

/// How many squares the bar has.
const SQUARES: u64 = 20;

/// Renders the report.
pub(super) fn render(report: &Report) -> String {
    render_within(report, LONGEST)
}

/// A page with quotations in place of alerts.
pub(super) fn without_alerts(page: &str) -> String {
    page::without_alerts(page)
}

/// Renders the report in so many bytes.
pub(super) fn render_within(report: &Report, longest: usize) -> String {
    let mut page = Page::default();
    head(&mut page, report);
    failures::in_sight(&mut page, report, IN_SIGHT);
    page.block(asked(report));
    page.block(costs(report));
    let mut more = Page::default();
    more.block(list(report.hints.get(1..).unwrap_or_default(), MOST_ROWS));
    page.fold("What else to do", more);
    let mut warnings = Page::default();
    warnings.block(list(&report.warnings, MOST_ROWS));
    page.fold(&format!("⚠️ {}", counted(report.warnings.len() as u64, "warning", "warnings")), warnings);
    failures::rest(&mut page, report, IN_SIGHT);
    details::samples(&mut page, report);
    details::fold(&mut page, report);
    page.text(longest)
}

/// The verdict, the bar and the one thing to do.
fn head(page: &mut Page, report: &Report) {
    let headline = Headline::of(report);
    page.block(heading(report, &headline));
    page.block(bar(report.counts));
    if report.simulated {
        page.block(format!("🧪 {}", simulated_note(report)));
    }
    let alert = match headline.sign {
        Sign::Bad => Alert::Caution,
        Sign::Attention => Alert::Warning,
        Sign::Good | Sign::Waiting | Sign::Skipped => Alert::Note,
    };
    let next = report.hints.first().map(|hint| format!("**Next:** {}", prose(hint)));
    // Where all is well the headline has said it.
    let reason = (headline.sign != Sign::Good || next.is_some()).then(|| prose(&report.reason));
    page.alert(alert, &reason.into_iter().chain(next).collect::<Vec<_>>());
}

fn heading(report: &Report, headline: &Headline) -> String {
    let models = headline.models;
    let model =
        headline.model.as_deref().map(|model| if models == 1 { code(model) } else { format!("{models} models") });
    let simulated = report.simulated.then(|| "🧪 SIMULATED".to_owned());
    let parts: Vec<String> =
        [simulated, Some(prose(&headline.fared)), model, headline.took.clone(), headline.cost.as_deref().map(prose)]
            .into_iter()
            .flatten()
            .collect();
    format!("## {} {}", emoji(headline.sign), parts.join(" · "))
}

fn emoji(sign: Sign) -> &'static str {
    match sign {
        Sign::Good => "✅",
        Sign::Attention => "⚠️",
        Sign::Bad => "❌",
        Sign::Waiting => "⏳",
        Sign::Skipped => "⏭️",
    }
}

/// The requests as squares, at least one for each kind that there is, and what the colours mean.
fn bar(counts: Counts) -> String {
    let suspect = counts.succeeded.min(counts.suspect);
    let kinds = [
        ("🟩", counts.succeeded - suspect, "answered"),
        ("🟨", suspect, "suspect"),
        ("🟥", counts.failed, "failed"),
        ("⬜", counts.missing, "missing"),
    ];
    if counts.total == 0 {
        return String::new();
    }
    let share = |count: u64| {
        let squares = u128::from(count) * u128::from(SQUARES) / u128::from(counts.total);
        if count == 0 { 0 } else { u64::try_from(squares).unwrap_or(SQUARES).max(1) }
    };
    let mut squares = kinds.map(|(_, count, _)| share(count));
    // What rounding left over, or took too much of, is the largest kind's.
    let sum: u64 = squares.iter().sum();
    if let Some(largest) = squares.iter_mut().max() {
        *largest = (*largest + SQUARES).saturating_sub(sum);
    }
    let bar: String = kinds.iter().zip(squares).map(|((square, ..), count)| square.repeat(count as usize)).collect();
    let is_there = |(_, count, _): &&(&str, u64, &str)| *count > 0;
    let shown = |(square, count, word): &(&str, u64, &str)| format!("{square} {} {word}", thousands(*count));
    let legend: Vec<String> = kinds.iter().filter(is_there).map(shown).collect();
    if legend.len() > 1 { format!("{bar} {}", legend.join(" · ")) } else { bar }
}

/// What was asked of whom, and where to look at it, in a line.
fn asked(report: &Report) -> String {
    let asked = &report.requests;
    let page = |file: &String| {
        let page = asked.pages.iter().find(|page| page.file == *file);
        link(&code(file), page.map(|page| page.url.as_str()))
    };
    let files: Vec<String> = asked.files.iter().take(MOST_SAMPLES).map(page).collect();
    let more = asked.files.len().saturating_sub(MOST_SAMPLES);
    let more = (more > 0).then(|| format!("{more} more files"));
    let endpoint = asked.endpoint.as_ref().map(|endpoint| format!("{} at ", code(endpoint))).unwrap_or_default();
    let batches = match &report.batches[..] {
        [] => None,
        [batch] => {
            let attached =
                batch.attached.as_ref().map(|_| format!(" {}", link("of an earlier run", batch.run_url.as_deref())));
            Some(format!("batch {}{}", link(&code(&batch.id), batch.url.as_deref()), attached.unwrap_or_default()))
        }
        batches => Some(format!("{} batches", batches.len())),
    };
    let mut parts = files;
    parts.extend(more);
    parts.push(format!("{endpoint}{}", code(&report.provider)));
    parts.extend(batches);
    parts.extend(report.continued.as_ref().map(|earlier| {
        format!("{} sent again, {} kept from an earlier run", thousands(earlier.sent), thousands(earlier.kept))
    }));
    parts.join(" · ")
}

/// What it cost, or what is expected of that, in a line.
fn costs(report: &Report) -> String {
    let spent = bill::spent(report).map(|spent| format!("Cost: {spent}."));
    let expected = bill::expected(report).filter(|_| spent.is_none()).map(|it| format!("Estimated cost: {it}."));
    let budget = bill::budget(report).map(|budget| format!("Budget: {budget}."));
    let sum = spent.or(expected).into_iter().chain(bill::left_out(report));
    let sentences: Vec<String> = sum.chain(bill::prices(report)).chain(budget).collect();
    sentences.iter().map(|sentence| prose(sentence)).collect::<Vec<_>>().join(" ")
}

/// Where the provider answers, as a sentence; nothing if it was not asked.
fn asked_at(report: &Report) -> String {
    let limit = (report.counts.total > 0).then(|| format!(" `max-failed` is {}.", code(&report.max_failed)));
    let origin = report.asked_origin().map(|origin| format!("{} answers at {}.", code(&report.provider), code(origin)));
    origin.map(|origin| format!("{origin}{} ", limit.unwrap_or_default())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;

    use super::{bar, render};
    use crate::formats::samples::{self, HOSTILE, failure};
    use crate::report::Counts;
    use crate::text::{deceives, first_chars};

    #[test]
    fn a_file_of_tests_is_named_where_it_is() {
        let mut report = samples::partial();
        report.files.junit = Some("tests/batch.xml".to_owned());
        let text = crate::formats::Format::Markdown.render(&report);
        let (_, files) = text.split_once("Written to `output-dir`: ").unwrap();
        let (written, tests) = files.split_once("Upload").unwrap();
        assert!(!written.contains("batch.xml") && tests.contains("The tests are in `tests/batch.xml`."), "{files}");
    }

    #[test]
    fn the_bar_has_twenty_squares_and_one_for_each_kind_that_there_is() {
        let squares = |succeeded, failed, missing| {
            let total = succeeded + failed + missing;
            let bar = bar(Counts { total, succeeded, failed, missing, ..Counts::default() });
            let squares = bar.split(' ').next().unwrap_or_default().to_owned();
            ['🟩', '🟥', '⬜'].map(|square| squares.matches(square).count())
        };
        assert_eq!(squares(1_200, 0, 0), [20, 0, 0]);
        assert_eq!(squares(1_187, 12, 1), [18, 1, 1]);
        assert_eq!(squares(1, 999_999, 0), [1, 19, 0]);
        assert_eq!(squares(1, 1, 1), [6, 6, 8]);
        assert_eq!(squares(0, 0, 3), [0, 0, 20]);
        assert_eq!(squares(u64::MAX / 4, u64::MAX / 4, 0), [10, 10, 0]);
        assert_eq!(bar(Counts::default()), "");
    }

    #[test]
    fn a_simulation_says_so_beside_the_sign() {
        let simulated = render(&samples::simulated());
        assert!(simulated.starts_with("## ✅ 🧪 SIMULATED · All 1,200 answered"), "{simulated}");
        assert!(simulated.contains("the sandbox made these answers up"), "{simulated}");
    }

    /// What a page is built of, and what may not change with the text it quotes.
    fn shape(page: &str) -> Vec<(String, usize)> {
        let kind = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let bars = |line: &str| line.matches('|').count();
        let marks: [&str; 6] = ["#", "|", "- ", ">", "<details", "</details"];
        let shape = |line: &str| {
            if marks.iter().any(|mark| line.starts_with(mark)) {
                (kind(line), bars(line))
            } else {
                (String::new(), bars(line))
            }
        };
        page.lines().map(shape).collect()
    }

    #[test]
    fn hostile_text_does_not_change_the_page() {
        const OURS: [&str; 7] = ["<code>", "</code>", "<br>", "<details><summary>", "</summary>", "</details>", "> "];
        // A blank text only leaves out a column.
        let is_shown = |text: &&str| !text.trim().is_empty();
        for text in HOSTILE.iter().copied().filter(is_shown).chain([&*"x".repeat(100_000), &*"|`".repeat(50_000)]) {
            // Whole reports of a long text take their time and tell no more.
            let short = first_chars(text, 1_000);
            for (page, tame) in [
                (samples::everywhere(short), samples::everywhere("tame")),
                (samples::hostile(text), samples::hostile("tame")),
                (samples::hostile_faults(text), samples::hostile_faults("tame")),
            ] {
                let page = render(&page);
                assert_eq!(shape(&page), shape(&render(&tame)), "{text:?} {page}");
                let tags = OURS.iter().fold(page.clone(), |page, tag| page.replace(tag, "")).replace("\n>\n", "\n");
                assert!(!tags.contains(['<', '>']), "{page}");
                assert!(!page.chars().any(|c| deceives(c) && c != '\n' && c != '\u{200b}'), "{page:?}");
                assert!(page.lines().all(|line| runner::command(line).is_none()), "{page}");
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
        assert!(page.contains("And 99,945 more"), "{page}");
    }
}
