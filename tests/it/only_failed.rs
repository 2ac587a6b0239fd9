//! A run that continues another: it sends what failed, keeps the other answers, and buys nothing twice.

use std::path::Path;
use std::time::Duration;

use batchstep_sandbox::Dialect;
use batchstep_test_support::rounds;

use crate::judging::{SCHEMA, structured};
use crate::lab::{Lab, Ran};

const MINUTE: Duration = Duration::from_secs(60);
/// The rows of the first batch that fail, and not those of the next ones.
const SOME: &str = "rows status=500 share=30% times=1";

/// A run of which some requests failed, in this dialect.
async fn some_failed(dialect: Dialect, faults: &str) -> (Lab, Ran) {
    let lab = Lab::speaking(dialect, MINUTE, faults, 20).await;
    let ran = lab.run(&["--retries", "0"]).await;
    assert_eq!((ran.exit, ran.outcome()), (7, "failed"), "{}", ran.text());
    (lab, ran)
}

/// The good answers that each batch of the lab has; none of them is another's, too.
fn paid(lab: &Lab) -> Vec<u64> {
    let tally = lab.tally();
    assert_eq!(tally.rows_good_again, 0, "bought twice");
    tally.batches.iter().map(|batch| batch.rows_paid).collect()
}

fn continued(ran: &Ran, name: &str) -> u64 {
    ran.report["continued"][name].as_u64().unwrap()
}

#[tokio::test(start_paused = true)]
async fn only_what_failed_is_sent_and_the_results_are_whole() {
    for dialect in [Dialect::Openai, Dialect::Anthropic] {
        let (lab, first) = some_failed(dialect, SOME).await;
        let failed = first.count("failed");
        assert!(failed > 1 && failed < 19, "{failed}");
        let hint = first.report["hints"][0].as_str().unwrap();
        assert!(hint.contains("requests.jsonl --only-failed --retries 0 --output-dir "), "{hint}");

        let second = lab.run(&["--only-failed"]).await;
        assert_eq!((second.exit, second.count("succeeded")), (0, 20), "{}", second.text());
        second.assert_complete(20);
        assert_eq!(paid(&lab), [20 - failed, failed]);
        assert_eq!((continued(&second, "sent"), continued(&second, "kept")), (failed, 20 - failed));
        let bought: u64 =
            second.report["usage"].as_array().unwrap().iter().map(|it| it["succeeded"].as_u64().unwrap()).sum();
        assert_eq!(bought, failed, "what the first run paid for is in its own report");
        let kept =
            |ran: &Ran| ran.results.iter().filter(|line| !is_error(line)).map(ToString::to_string).collect::<Vec<_>>();
        assert!(kept(&first).iter().all(|line| kept(&second).contains(line)), "as the provider wrote them");

        let third = lab.run(&["--only-failed"]).await;
        assert_eq!((third.exit, third.count("succeeded"), paid(&lab).len()), (0, 20, 2), "{}", third.text());
        assert_eq!((continued(&third, "sent"), continued(&third, "round")), (0, 2));
        assert_eq!(third.report["simulated"], true, "what is kept was made up, although nobody was asked this time");
    }
}

fn is_error(line: &serde_json::Value) -> bool {
    line["response"]["status_code"] == 500 || line["result"]["type"] == "errored"
}

#[tokio::test(start_paused = true)]
async fn the_same_failures_make_a_new_batch_each_time() {
    let lab = Lab::new(MINUTE, "rows status=500").await;
    let run = ["--retries", "0", "--reuse", "finished"];
    assert_eq!(lab.run(&run).await.exit, 7);
    for round in 1..=3 {
        let ran = lab.run(&[&run[..], &["--only-failed"]].concat()).await;
        assert_eq!((ran.exit, lab.tally().creates, continued(&ran, "round")), (7, 1 + round, round), "{}", ran.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_is_broken_off_is_resumed_from_the_same_results() {
    for (signals, timeout) in [(vec![(MINUTE / 2, 2)], "1h"), (vec![], "30s")] {
        let (lab, first) = some_failed(Dialect::Openai, SOME).await;
        let failed = first.count("failed");
        let left = ["--only-failed", "--on-abort", "detach", "--on-timeout", "detach", "--timeout"];
        let broken = lab.run_signalled(&[&left[..], &[timeout]].concat(), &signals).await;
        assert!(["cancelled", "detached"].contains(&broken.outcome()), "{}", broken.text());
        assert!(broken.results.is_empty() && lab.is_anything_running());
        let hints = broken.report["hints"].to_string();
        assert!(hints.contains("--only-failed") && hints.contains("again to attach"), "{hints}");

        let last = lab.run(&["--only-failed"]).await;
        assert_eq!(
            (last.exit, last.count("succeeded"), paid(&lab)),
            (0, 20, vec![20 - failed, failed]),
            "{}",
            last.text()
        );
        assert_eq!((continued(&last, "sent"), continued(&last, "round")), (failed, 1));
    }
}

/// Copies a directory, as an artifact of it is uploaded and downloaded.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => assert!(std::fs::copy(entry.path(), to).is_ok()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_resumed_where_only_its_directory_is() {
    let (lab, first) = some_failed(Dialect::Openai, SOME).await;
    let failed = first.count("failed");
    let left = lab.run(&["--only-failed", "--on-timeout", "detach", "--timeout", "30s"]).await;
    assert_eq!(left.outcome(), "detached", "{}", left.text());
    let other = lab.neighbour();
    copy(&lab.out(), &other.out());
    // What `collect` fetches of it is a part, and is not taken for all.
    let batch = left.report["batches"][0]["id"].as_str().unwrap();
    let out = other.out().display().to_string();
    let collected = other.command(&["collect", batch, "--output-dir", &out], &[]).await;
    let lines = std::fs::read_to_string(other.out().join("results.jsonl")).unwrap_or_default().lines().count();
    assert_eq!(lines as u64, failed, "{}", collected.text());
    let ran = other.run(&["--only-failed"]).await;
    assert_eq!((ran.exit, paid(&lab)), (0, vec![20 - failed, failed]), "{}", ran.text());
    ran.assert_complete(20);
    assert!(lab.out().join("continued").exists() && !other.out().join("continued").exists());
}

#[tokio::test(start_paused = true)]
async fn results_that_no_report_names_are_not_continued() {
    let lab = Lab::new(MINUTE, "answers short=10m").await;
    // The signal comes while half of the answers are waited for, and a first `results.jsonl` is there.
    let first = lab.run_signalled(&[], &[(3 * MINUTE, 2)]).await;
    assert!(first.exit > 128 && !first.results.is_empty(), "{}", first.text());
    let said = refused(&lab, &["--only-failed"]).await;
    assert!(said.contains("it left no results"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn the_run_that_is_continued_outlives_those_that_are_kept() {
    let lab = Lab::new(MINUTE, "rows status=500 share=30% times=12").await;
    for _ in 0..12 {
        assert_eq!(lab.run(&["--reuse", "never"]).await.exit, 7);
    }
    let root = lab.out().with_extension("earlier");
    let oldest = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let ran = lab.run(&[&format!("--only-failed={}", oldest.display())]).await;
    assert_eq!((ran.exit, ran.count("succeeded")), (0, 20), "{}", ran.text());
    assert!(!oldest.exists(), "eleven are there, and ten are kept");
}

#[tokio::test(start_paused = true)]
async fn what_is_printed_judges_by_the_same_rules() {
    let lab = structured(Dialect::Openai, "rows off-schema share=40%", SCHEMA).await;
    let first = lab.run(&["--schema", "check", "--max-failed", "1"]).await;
    let hint = first.report["hints"][0].as_str().unwrap();
    assert_eq!(first.exit, 7, "{}", first.text());
    assert!(hint.contains("--max-failed 1 --retries 0 --schema check") && hint.contains("sends nothing"), "{hint}");
    let command = hint.split('`').nth(1).unwrap();
    let words = shlex::split(command).unwrap();
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let again = lab.command(&[&words[..], &["--api-key", "k"]].concat(), &[]).await;
    assert_eq!((again.exit, lab.tally().creates), (7, 1), "{}", again.text());
}

#[tokio::test(start_paused = true)]
async fn test_cases_are_written_over_nothing_that_matters() {
    let lab = Lab::new(MINUTE, "").await;
    let (out, requests) = (lab.out(), lab.requests());
    let text = std::fs::read_to_string(&requests).unwrap();
    for name in ["results.jsonl", "report.json", "journal.jsonl"] {
        let said = refused(&lab, &["--junit", &out.join(name).display().to_string()]).await;
        assert!(said.contains("a file that a run writes itself"), "{said}");
    }
    let said = refused(&lab, &["--junit", &requests]).await;
    assert!(said.contains("a file that holds the requests"), "{said}");
    assert_eq!(std::fs::read_to_string(&requests).unwrap(), text);
}

#[tokio::test(start_paused = true)]
async fn a_report_elsewhere_is_continued_on_another_machine() {
    let (lab, first) = some_failed(Dialect::Openai, SOME).await;
    let failed = first.count("failed");
    let other = lab.neighbour();
    let named = format!("--only-failed={}", lab.out().join("report.json").display());
    let ran = other.run(&[&named]).await;
    assert_eq!((ran.exit, ran.count("succeeded"), paid(&lab)), (0, 20, vec![20 - failed, failed]), "{}", ran.text());
    assert!(lab.out().join("results.jsonl").exists(), "it stays where it is");
    // Named by its directory, from the run that is there.
    let again = lab.run(&[&format!("--only-failed={}", lab.out().display()), "--reuse", "finished"]).await;
    assert_eq!((again.exit, paid(&lab).len()), (0, 2), "it is bought already: {}", again.text());
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_for_is_sent_again_only_on_demand() {
    let lab = Lab::new(MINUTE, "rows stop=length share=30% times=1\nrows status=500 share=20% times=1").await;
    let first = lab.run(&["--retries", "0"]).await;
    let (failed, suspect) = (first.count("failed"), first.count("suspect"));
    assert!(failed > 0 && suspect > 0);
    let second = lab.run(&["--only-failed"]).await;
    assert_eq!((continued(&second, "sent"), second.count("suspect")), (failed, suspect), "{}", second.text());
    let third = lab.run(&["--only-failed", "--retry-on", "suspect"]).await;
    assert_eq!((continued(&third, "sent"), third.count("suspect")), (suspect, 0), "{}", third.text());
    third.assert_complete(20);
}

#[tokio::test(start_paused = true)]
async fn answers_that_look_empty_were_paid_for_and_are_not_sent_again() {
    let lab = Lab::new(MINUTE, "rows empty share=70%").await;
    let first = lab.run(&["--retries", "0"]).await;
    let failed = first.count("failed");
    assert!(failed > 10, "so many that we must misread them: {}", first.text());
    let second = lab.run(&["--only-failed"]).await;
    assert_eq!((continued(&second, "sent"), continued(&second, "kept_failed")), (0, failed), "{}", second.text());
    assert_eq!((second.exit, lab.tally().creates), (7, 1), "{}", second.text());
    let hint = second.report["hints"][0].as_str().unwrap();
    assert!(hint.starts_with("These answers were paid for"), "{hint}");
    let third = lab.run(&["--only-failed", "--retry-on", "empty_answer"]).await;
    assert_eq!(continued(&third, "sent"), failed, "{}", third.text());
}

/// Why a run is refused, and what it leaves alone.
async fn refused(lab: &Lab, inputs: &[&str]) -> String {
    let creates = lab.tally().creates;
    let ran = lab.run(inputs).await;
    assert_eq!((ran.exit, lab.tally().creates), (2, creates), "{}", ran.text());
    ran.text()
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_continued_is_refused() {
    let lab = Lab::new(MINUTE, SOME).await;
    let text = refused(&lab, &["--only-failed"]).await;
    assert!(text.contains("report.json` is not there"), "{text}");

    assert_eq!(lab.run(&["--retries", "0"]).await.exit, 7);
    let (report, results) = (lab.out().join("report.json"), lab.out().join("results.jsonl"));
    let text = std::fs::read_to_string(&report).unwrap();
    for (from, to, why) in [
        (r#""status": "completed""#, r#""status": "in_progress""#, "running"),
        (r#""outcome": "failed""#, r#""outcome": "uncollected""#, "ended as `uncollected`"),
        (r#""provider": "openai""#, r#""provider": "anthropic""#, "at the provider `anthropic`"),
    ] {
        assert!(text.contains(from), "{from} {text}");
        std::fs::write(&report, text.replace(from, to)).unwrap();
        let said = refused(&lab, &["--only-failed"]).await;
        assert!(said.contains(why), "{said}");
        assert!(results.exists() && report.exists(), "all stays where it is");
    }
    std::fs::write(&report, &text).unwrap();

    let lines = std::fs::read_to_string(lab.requests()).unwrap();
    lab.ask(&format!("{lines}{}", lines.lines().next().unwrap().replace("\"custom_id\":\"", "\"custom_id\":\"new-")));
    let said = refused(&lab, &["--only-failed"]).await;
    assert!(said.contains("1 request of `") && said.contains("has no line in the results"), "{said}");
    // The report that was set aside is the one that the next try continues.
    lab.ask(&lines.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>());
    let said = refused(&lab, &["--only-failed"]).await;
    assert!(said.contains("1 line of the results is of no request"), "{said}");
    lab.ask(&lines);
    let ran = lab.run(&["--only-failed"]).await;
    assert_eq!((ran.exit, ran.count("succeeded")), (0, 20), "{}", ran.text());
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_link_in_place_of_the_results_is_not_followed() {
    let (lab, _) = some_failed(Dialect::Openai, SOME).await;
    let (results, elsewhere) = (lab.out().join("results.jsonl"), lab.dir.path().join("elsewhere"));
    std::fs::rename(&results, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &results).unwrap();
    let said = refused(&lab, &["--only-failed"]).await;
    assert!(said.contains("no `results.jsonl` beside it"), "{said}");
    assert!(Path::new(&elsewhere).exists());
}

/// Faults of the calls that pass, beside rows of the first batches that fail.
fn weather(random: &mut fastrand::Rng, dialect: Dialect) -> String {
    let mut faults = format!("rows status=500 share=40% times={}", random.u8(1..=3));
    // A create of Anthropic's whose reply is lost may end in `unknown`, which other tests are about.
    let actions: &[&str] = if dialect == Dialect::Openai { &["503", "reset", "drop"] } else { &["503", "529"] };
    for _ in 0..random.usize(0..4) {
        let (operation, action) = (random.choice(["create", "list", "get", "content"]), random.choice(actions));
        let (operation, action, after) = (operation.unwrap(), action.unwrap(), random.u8(0..4));
        faults += &format!("\n{operation} {action} times=1 after={after}");
    }
    faults
}

#[tokio::test(start_paused = true)]
async fn continuations_that_are_killed_buy_nothing_twice() {
    for seed in (0..).take(rounds(30)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let dialect = *random.choice(&[Dialect::Openai, Dialect::Anthropic]).unwrap();
        let faults = weather(&mut random, dialect);
        let mut lab = Lab::speaking(dialect, MINUTE, &faults, 20).await;
        let mut last = lab.run(&["--retries", "0"]).await;
        let (mut kills, mut runs) = (0, 1);
        while last.exit != 0 {
            (lab.seed, runs) = (lab.seed + 1, runs + 1);
            let case = format!("seed {seed}, {dialect:?}, {faults:?}: {}", last.text());
            assert!(last.exit == 7 && runs < 20, "{case}");
            let moment = (2 * MINUTE).mul_f64(random.f64());
            let is_killed = random.bool();
            let limit = if is_killed { moment } else { Duration::MAX / 4 };
            match tokio::time::timeout(limit, lab.run(&["--only-failed"])).await {
                Ok(ran) => last = ran,
                Err(_) => {
                    kills += 1;
                    tokio::time::sleep(Duration::from_secs(10)).await;
                }
            }
            paid(&lab);
        }
        last.assert_complete(20);
        let tally = lab.tally();
        assert_eq!((tally.rows_good, tally.rows_paid), (20, 20), "seed {seed}, {kills} kills");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_in_doubt_is_settled_before_anything_is_sent_again() {
    // The first batch is made, the retry's create is lost, and nobody can look for it.
    let faults = format!("{SOME}\ncreate drop after=1 times=1\nlist 403 after=1 for=3m");
    let lab = Lab::new(MINUTE, &faults).await;
    let first = lab.run(&["--retries", "1"]).await;
    assert_eq!(first.exit, 7, "{}", first.text());
    let hint = first.report["hints"][0].as_str().unwrap();
    assert!(hint.starts_with("Run again with the same inputs first"), "{hint}");
    tokio::time::sleep(5 * MINUTE).await;
    let said = refused(&lab, &["--only-failed"]).await;
    assert!(said.contains("a batch may exist that nobody knows"), "{said}");
    let again = lab.run(&["--retries", "1"]).await;
    assert_eq!(again.exit, 0, "{}", again.text());
    paid(&lab);
}

#[tokio::test(start_paused = true)]
async fn a_create_in_doubt_of_a_continuation_is_settled_by_the_same_command() {
    // Both first batches have failures; the create of the continuation's own retry is lost.
    let faults = "rows status=500 share=50% times=2\ncreate drop after=2 times=1\nlist 403 after=2 for=3m";
    let lab = Lab::new(MINUTE, faults).await;
    assert_eq!(lab.run(&["--retries", "0"]).await.exit, 7);
    let inputs = ["--only-failed", "--retries", "1"];
    let second = lab.run(&inputs).await;
    let hint = second.report["hints"][0].as_str().unwrap();
    assert!(second.exit == 7 && hint.starts_with("Run again with the same inputs first"), "{}", second.text());
    tokio::time::sleep(5 * MINUTE).await;
    let last = lab.run(&inputs).await;
    assert_eq!((last.exit, lab.tally().creates), (0, 3), "{}", last.text());
    last.assert_complete(20);
    paid(&lab);
    assert!(!lab.out().join("continued").exists());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_batch_outweighs_a_refused_one() {
    let faults = "create 400 times=1\ncreate drop after=1 times=1\nlist 403 after=1 for=10m";
    let lab = Lab::new(MINUTE, faults).await;
    let first = lab.run(&["--max-requests", "7"]).await;
    assert_eq!((first.exit, first.outcome()), (4, "unknown"), "{}", first.text());
    refused(&lab, &["--only-failed"]).await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_changed_are_warned_of_or_refused() {
    let (lab, _) = some_failed(Dialect::Openai, SOME).await;
    let lines = std::fs::read_to_string(lab.requests()).unwrap();
    lab.ask(&lines.replace("Say it", "Sing it"));
    let ran = lab.run(&["--only-failed"]).await;
    let warnings = ran.report["warnings"].to_string();
    assert!(ran.exit == 0 && warnings.contains("are not those of the run that is continued"), "{}", ran.text());
    let same = lab.run(&["--only-failed"]).await;
    assert_eq!(same.report["warnings"].as_array().unwrap().len(), 0, "{}", same.text());
    let other = lines.replace("/v1/chat/completions", "/v1/responses").replace("messages", "input");
    lab.ask(&other);
    let said = refused(&lab, &["--only-failed"]).await;
    assert!(said.contains("its requests went to `/v1/chat/completions`"), "{said}");
}
