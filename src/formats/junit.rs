//! JUnit's XML, which CI systems show as tests: the requests are the cases of one suite.
//!
//! Its elements are those of the schema that Jenkins' xUnit plugin checks reports against, `junit-10.xsd`, which
//! knows no `skipped` beside the sums of all suites and no properties of a case. Names stay the same from run to run,
//! since histories go by them: no count, id of the provider's or time is in one.

use quick_junit::{NonSuccessKind, Report as Suites, TestCase, TestCaseStatus, TestSuite};

use crate::dialects::Suspicion;
use crate::error::Exit;
use crate::judgement::SuspectGroup;
use crate::report::{FailureGroup, Report};
use crate::results::{Case, Fared, Why, folded, is_missing};
use crate::text::{counted, deceives, requests_count, shorten};

/// The name of what was run.
const NAME: &str = "batchstep";
/// The longest name of a case or a suite, in characters.
const LONGEST_NAME: usize = 1_000;
/// The longest message, in characters.
const LONGEST: usize = 2_000;
/// How much of a message tells kinds of failures apart in their names, in characters.
const TELLING: usize = 200;
/// How many batches and files are named.
const MOST: usize = 100;

/// Renders the report, with a case for each row. Without rows it has a case for each kind of failure, and one for
/// all other requests.
pub(super) fn render(report: &Report, rows: Option<&[Case]>) -> String {
    let mut suite = TestSuite::new(name(&suite_name(report)));
    let ids: Vec<&str> = report.batches.iter().map(|batch| batch.id.as_str()).take(MOST).collect();
    for (property, value) in [
        ("outcome", report.outcome.word().to_owned()),
        ("exit-code", report.exit_code.to_string()),
        ("batch-ids", ids.join(", ")),
        ("simulated", report.simulated.to_string()),
    ] {
        suite.add_property((property, visible(&value).as_str()));
    }
    let rows = rows.filter(|rows| !rows.is_empty());
    match rows {
        Some(rows) => {
            suite.add_test_cases(rows.iter().map(|row| of_row(report, row)));
            let unnamed = report.failures.iter().filter(|group| group.custom_ids.is_empty());
            suite.add_test_cases(unnamed.map(|group| of_kind(report, group)));
        }
        None => {
            let mut kinds: Vec<TestCase> = report.failures.iter().map(|group| of_kind(report, group)).collect();
            kinds.extend(report.suspects.iter().map(|group| of_suspects(report, group)));
            kinds.sort_by(|one, other| one.name.cmp(&other.name));
            suite.add_test_cases(kinds).add_test_cases(others(report));
        }
    }
    if suite.failures + suite.errors == 0 {
        suite.add_test_cases(of_run(report));
    }
    let mut suites = Suites::new(NAME);
    suites.add_test_suite(suite);
    let xml = suites.to_string().expect("text and numbers can be written as XML");
    inert(&without_skipped(xml))
}

/// The requests files, and whether their answers are made up.
fn suite_name(report: &Report) -> String {
    let files: Vec<&str> = report.requests.files.iter().map(String::as_str).take(MOST).collect();
    let name = if files.is_empty() { "requests".to_owned() } else { files.join(", ") };
    if report.simulated { format!("{name} (SIMULATED)") } else { name }
}

/// Endpoint and model, where all requests have the same. Jenkins takes what is before the last dot for a package, so there is no dot.
fn class(report: &Report) -> String {
    let asked = &report.requests;
    let words = [asked.endpoint.as_deref(), asked.model.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    let class = if words.is_empty() { NAME.to_owned() } else { words.join(" ") };
    name(&class).replace('.', "_")
}

fn of_row(report: &Report, row: &Case) -> TestCase {
    let status = match &row.fared {
        Fared::Well => TestCaseStatus::success(),
        Fared::Suspect(suspicion) => suspect(*suspicion, ""),
        Fared::Failed(why) => bad(NonSuccessKind::Failure, why, ""),
        Fared::Missing(why) => bad(NonSuccessKind::Error, why, ""),
    };
    let mut case = TestCase::new(name(&row.custom_id), status);
    case.set_classname(class(report)).set_system_out(visible(&row.line()));
    case
}

/// The case of all requests that failed in one way.
fn of_kind(report: &Report, group: &FailureGroup) -> TestCase {
    let why = Why { code: group.code.clone(), message: group.message.clone() };
    let kind = if is_missing(&group.code) { NonSuccessKind::Error } else { NonSuccessKind::Failure };
    let status = group.shown_status().map(|status| format!(" ({status})")).unwrap_or_default();
    let telling = shorten(&folded(&group.message, ""), TELLING);
    let kind = bad(kind, &why, &requests_count(group.count));
    let mut case = TestCase::new(name(&format!("{}{status}: {telling}", group.code)), kind);
    case.set_classname(class(report));
    if !group.custom_ids.is_empty() {
        case.set_system_out(examples(&group.custom_ids));
    }
    case
}

/// The case of all answers that are suspect for one reason.
fn of_suspects(report: &Report, group: &SuspectGroup) -> TestCase {
    let name = format!("suspect: {}", group.kind.word());
    let mut case = TestCase::new(name, suspect(group.kind, &counted(group.count, "answer", "answers")));
    case.set_classname(class(report)).set_system_out(examples(&group.custom_ids));
    case
}

/// An answer that is not to be relied on: no failure, since only `max-suspect` makes it one, and not good either.
fn suspect(suspicion: Suspicion, whose: &str) -> TestCaseStatus {
    let why = Why { code: "suspect".to_owned(), message: suspicion.word().to_owned() };
    let mut status = TestCaseStatus::skipped();
    status.set_message(message(&why, whose)).set_type(why.code);
    status
}

fn examples(custom_ids: &[String]) -> String {
    visible(&format!("For example {}.", custom_ids.join(", ")))
}

/// The case of the requests that did not fail, if there are any.
fn others(report: &Report) -> Option<TestCase> {
    let mut case = TestCase::new("all others", TestCaseStatus::success());
    let suspect = report.suspects.iter().fold(0, |sum: u64, group| sum.saturating_add(group.count));
    let good = report.counts.succeeded.saturating_sub(suspect);
    let count = counted(good, "request has an answer", "requests have answers");
    case.set_classname(class(report)).set_system_out(count);
    (good > 0).then_some(case)
}

/// The case of a run that tells more than its rows: it failed without them, or there are none.
fn of_run(report: &Report) -> Option<TestCase> {
    let is_good = report.exit_code == Exit::Ok.code();
    let why = Why { code: report.outcome.word().to_owned(), message: report.reason.clone() };
    let status = match (is_good, report.counts.total) {
        (true, 1..) => return None,
        (true, 0) => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(message(&why, ""));
            skipped
        }
        (false, _) => bad(NonSuccessKind::Error, &why, ""),
    };
    let mut case = TestCase::new(NAME, status);
    case.set_classname(class(report));
    Some(case)
}

/// What became of a case that is not good. `whose` says how many requests it is about, if not one.
fn bad(kind: NonSuccessKind, why: &Why, whose: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message(why, whose)).set_type(name(&why.code));
    status
}

fn message(why: &Why, whose: &str) -> String {
    let whose = if whose.is_empty() { String::new() } else { format!("{whose}: ") };
    shorten(&visible(&format!("{whose}{}: {}", why.code, why.message)), LONGEST)
}

/// Text as a name.
fn name(text: &str) -> String {
    if text.is_empty() { "(empty)".to_owned() } else { shorten(&visible(text), LONGEST_NAME) }
}

/// Text on one line, with characters that XML does not have or that deceive as escapes.
fn visible(text: &str) -> String {
    let is_hidden = |c: char| deceives(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    let shown = |c: char| if is_hidden(c) { c.escape_default().to_string() } else { String::from(c) };
    text.chars().map(shown).collect()
}

/// The XML without the sum of skipped cases over all suites.
fn without_skipped(xml: String) -> String {
    let Some(from) = xml.find(" skipped=\"") else { return xml };
    let Some(length) = xml[from..].match_indices('"').nth(1).map(|(at, _)| at + 1) else { return xml };
    format!("{}{}", &xml[..from], &xml[from + length..])
}

/// The same XML without `#` in a text: CI systems' commands begin with two.
fn inert(xml: &str) -> String {
    let mut inert = String::with_capacity(xml.len());
    for c in xml.chars() {
        // Behind `&` it begins the number of a character.
        if c == '#' && !inert.ends_with('&') { inert.push_str("&#35;") } else { inert.push(c) }
    }
    inert
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;
    use quick_junit::Report as Suites;

    use super::{Case, Fared, Suspicion, Why, render};
    use crate::formats::samples::{self, HOSTILE};
    use crate::formats::tests::leave;
    use crate::report::Report;
    use crate::text::deceives;

    /// A row of each kind, of which every text is `text`.
    fn rows(text: &str) -> Vec<Case> {
        let why = || Why { code: text.to_owned(), message: text.to_owned() };
        let line = format!("{{\"custom_id\":\"{text}\",\"x\":\"##[a] & <b> ]]>\"}}");
        [Fared::Well, Fared::Suspect(Suspicion::Refusal), Fared::Failed(why()), Fared::Missing(why())]
            .into_iter()
            .map(|fared| Case::sample(text, fared, &line))
            .collect()
    }

    /// The parts of a page that a schema is about: elements within elements, with their attributes.
    fn assert_valid(xml: &str) {
        const TEXT: [&str; 3] = ["type", "message", ""];
        let known = |element: &str| -> (&[&str], &[&str]) {
            match element {
                "testsuites" => (&["testsuite"], &["name", "tests", "failures", "errors"]),
                "testsuite" => (&["properties", "testcase"], &["name", "tests", "skipped", "errors", "failures"]),
                "properties" => (&["property"], &[]),
                "property" => (&[], &["name", "value"]),
                "testcase" => (&["skipped", "error", "failure", "system-out"], &["name", "classname"]),
                "skipped" | "error" | "failure" => (&[], &TEXT),
                "system-out" => (&[], &[]),
                other => panic!("{other} in {xml}"),
            }
        };
        let mut within: Vec<String> = Vec::new();
        for tag in xml.split('<').skip(2).filter_map(|rest| rest.split('>').next()) {
            if let Some(ended) = tag.strip_prefix('/') {
                assert_eq!(within.pop().as_deref(), Some(ended), "{xml}");
                continue;
            }
            let element = tag.split([' ', '/']).next().unwrap_or_default();
            if let Some(above) = within.last() {
                assert!(known(above).0.contains(&element), "{element} in {above}: {xml}");
            }
            let names = tag.split("=\"").map(|part| part.rsplit(' ').next().unwrap_or_default());
            let count = tag.matches("=\"").count();
            names.take(count).for_each(|name| assert!(known(element).1.contains(&name), "{name} of {element}: {xml}"));
            if !tag.ends_with('/') {
                within.push(element.to_owned());
            }
        }
        assert!(within.is_empty(), "{xml}");
    }

    fn page(report: &Report, rows: Option<&[Case]>) -> (String, Suites) {
        let xml = render(report, rows);
        assert_valid(&xml);
        // This reader knows characters by their numbers only in attributes.
        let suites = Suites::deserialize_from_str(&xml.replace("&#35;", "#")).unwrap();
        (xml, suites)
    }

    #[test]
    fn what_a_test_tab_gets_of_each_kind_of_row() {
        let (xml, _) = page(&samples::partial(), Some(&rows("eval-1")));
        leave("rows.junit.xml", &xml);
        insta::with_settings!({ snapshot_path => "../../tests/reports", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("rows.junit.xml", xml);
        });
    }

    #[test]
    fn hostile_text_changes_only_its_place() {
        let shape = |suites: &Suites| -> Vec<usize> {
            suites.test_suites.iter().flat_map(|suite| [suite.properties.len(), suite.test_cases.len()]).collect()
        };
        for (kind, sample) in [("hostile", samples::hostile as fn(&str) -> Report), ("everywhere", samples::everywhere)]
        {
            let tame = [Some(&*rows("tame")), None].map(|rows| shape(&page(&sample("tame"), rows).1));
            for (number, text) in HOSTILE.iter().copied().chain(["]]>", "\u{fffe}\u{ffff}", "&#x1;"]).enumerate() {
                let pages = [Some(&*rows(text)), None].map(|rows| page(&sample(text), rows));
                for (what, (xml, _)) in ["rows", "kinds"].iter().zip(&pages) {
                    leave(&format!("{kind}-{what}-{number:02}.junit.xml"), xml);
                    assert!(xml.lines().all(|line| runner::command(line).is_none()), "{xml}");
                    assert!(!xml.chars().any(|c| deceives(c) && c != '\n'), "{xml:?}");
                }
                assert_eq!(pages.map(|(_, suites)| shape(&suites)), tame, "{text:?}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_and_names_have_no_dots() {
        let long = Case::sample("a", Fared::Well, &"é".repeat(10_000));
        let (_, suites) = page(&samples::succeeded(), Some(&[long]));
        let case = &suites.test_suites[0].test_cases[0];
        assert_eq!(case.system_out.as_ref().map(|out| out.len()), Some(4_096 + "…".len()));
        assert_eq!(case.classname.as_deref(), Some("/v1/chat/completions gpt-4_1-mini"));
    }
}
