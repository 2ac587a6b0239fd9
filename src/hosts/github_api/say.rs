//! What is said on a pull request and in a check: pure decisions.

use serde_json::{Value, json};

use crate::client;
use crate::env::Env;
use crate::error::Outcome;
use crate::formats::{markdown_paragraph, markdown_within};
use crate::identity;
use crate::report::{BatchFault, Report};
use crate::requests::Fault;
use crate::text::{counted, first_bytes, is_shortened, one_line, requests_count, safe, shorten_bytes};

/// GitHub takes 65,536 characters of a comment and 65,535 of a check's summary.
/// Bytes are never fewer, however it counts.
const LONGEST_BODY: usize = 65_000;
/// Titles and names are read in lists; one line is enough.
const LONGEST_LINE: usize = 200;
/// GitHub takes this many annotations in one call.
const GROUP: usize = 50;
/// How many such calls are made: as many as bring the faults that are kept.
const MOST_GROUPS: usize = 20;
/// The longest message of an annotation; GitHub takes 64 KB.
const LONGEST_MESSAGE: usize = 4_096;

/// So many batches are shown while they run; all are named where nobody sees it.
const MOST_BATCHES: usize = 10;
/// What the name of every check of ours begins with.
const PREFIX: &str = "batchstep: ";
/// What a batch is named by in the summary of its check, where nobody sees it.
const BATCH: &str = "<!-- batchstep:batch:";
/// How long the digests of marks are.
const DIGEST: usize = 16;

/// Where on GitHub a run can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) owner: String,
    pub(super) repo: String,
    /// The commit that a check is shown on.
    pub(super) sha: Option<String>,
    /// The pull request that a comment is shown on.
    pub(super) pull: Option<u64>,
    /// The run's own page.
    pub(super) page: Option<String>,
}

/// Reads the place from the runner's variables and the event's payload. None
/// where no repository is named.
pub(super) fn place(env: &Env, payload: &Value) -> Option<Place> {
    let (owner, repo) = env.get("GITHUB_REPOSITORY")?.split_once('/')?;
    let plain = |text: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !text.is_empty() && text.chars().all(fits) && !text.chars().all(|c| c == '.')
    };
    if !plain(owner) || !plain(repo) {
        return None;
    }
    let pull = &payload["pull_request"];
    // For a pull request GITHUB_SHA is the merge commit, where nobody looks.
    let sha = pull["head"]["sha"].as_str().or_else(|| env.get("GITHUB_SHA"));
    let sha = sha.filter(|sha| is_sha(sha));
    let server = env.get("GITHUB_SERVER_URL").filter(|server| client::is_plain_page(server));
    let page = server.zip(env.get("GITHUB_RUN_ID"));
    Some(Place {
        owner: owner.to_owned(),
        repo: repo.to_owned(),
        sha: sha.map(str::to_owned),
        pull: pull["number"].as_u64(),
        page: page.map(|(server, id)| format!("{server}/{owner}/{repo}/actions/runs/{id}")),
    })
}

/// The requests as they are named: patterns, without the workspace's path, which differs between runners.
pub(super) fn names(patterns: &[String], workspace: Option<&str>) -> Vec<String> {
    patterns.iter().map(|pattern| in_workspace(pattern, workspace).to_owned()).collect()
}

fn in_workspace<'a>(path: &'a str, workspace: Option<&str>) -> &'a str {
    let inside = workspace.and_then(|root| path.strip_prefix(root.trim_end_matches('/'))?.strip_prefix('/'));
    let path = inside.unwrap_or(path);
    path.strip_prefix("./").unwrap_or(path)
}

/// The check's name. A job's id holds no colon, so it is no job's. A long one is
/// cut; its digest keeps it apart from its like.
pub(super) fn check_name(names: &[String]) -> String {
    let all = names.join(", ");
    let name = line(&format!("{PREFIX}{all}"));
    if is_shortened(&name) { format!("{name} {}", &blake3::hash(all.as_bytes()).to_hex()[..8]) } else { name }
}

/// What the comment that belongs to a check of this name begins with, whether
/// there is such a check or not. A digest, since a path may hold `-->`.
pub(super) fn marker(check_name: &str) -> String {
    format!("<!-- batchstep:{} -->", &blake3::hash(check_name.as_bytes()).to_hex()[..DIGEST])
}

/// What stands for a batch in the summary of its check: a digest, since an id is the provider's text.
pub(super) fn digest(batch_id: &str) -> String {
    blake3::hash(batch_id.as_bytes()).to_hex()[..DIGEST].to_owned()
}

/// The digests of the batches that a check says it is about.
pub(super) fn named_batches(check: &Value) -> Vec<String> {
    let summary = check["output"]["summary"].as_str().unwrap_or_default();
    summary.split(BATCH).skip(1).filter_map(|rest| rest.get(..DIGEST)).map(str::to_owned).collect()
}

/// Names batches in a check, so that whoever collects them can tell that it is theirs.
fn name_batches<'a>(batch_ids: impl Iterator<Item = &'a str>) -> String {
    batch_ids.map(|id| format!("\n{BATCH}{} -->", digest(id))).collect()
}

/// Whether a check is one of ours, for the work of this key.
pub(super) fn is_ours_for(found: &Value, key: &str) -> bool {
    let is_named = found["name"].as_str().is_some_and(|name| name.starts_with(PREFIX));
    is_named && found["external_id"].as_str() == Some(key)
}

/// Whether a check is the one that a batch's mark says shows it. Others could
/// have written such a mark.
pub(super) fn is_check_of(found: &Value, check: &identity::Check, key: &str) -> bool {
    is_ours_for(found, key) && found["head_sha"].as_str() == Some(&check.sha)
}

/// Where open pull requests are: their head commits and numbers, each commit once.
pub(super) fn heads(pulls: &[Value]) -> Vec<(String, u64)> {
    let mut heads: Vec<(String, u64)> = Vec::new();
    for pull in pulls {
        if let (Some(sha), Some(number)) = (pull["head"]["sha"].as_str(), pull["number"].as_u64())
            && is_sha(sha)
            && heads.iter().all(|(known, _)| known != sha)
        {
            heads.push((sha.to_owned(), number));
        }
    }
    heads
}

fn is_sha(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a comment begins with the marker. Whoever quotes one begins otherwise.
pub(super) fn is_marked(comment: &Value, marker: &str) -> bool {
    comment["body"].as_str().is_some_and(|body| body.starts_with(marker))
}

/// Whether a marked comment is our own token's. `me` is the user that the token
/// belongs to; an app's token belongs to none, and its comments are a bot's.
/// Anybody can paste a marker, and nobody's own words may be written over.
pub(super) fn is_ours(comment: &Value, me: Option<u64>) -> bool {
    let author = &comment["user"];
    match me {
        Some(me) => author["id"].as_u64() == Some(me),
        None => author["type"].as_str() == Some("Bot"),
    }
}

/// The comment.
pub(super) fn comment(marker: &str, report: &Report) -> Value {
    json!({ "body": format!("{marker}\n{}", markdown_within(report, LONGEST_BODY)) })
}

/// How a check ends; none where the batch goes on without us. It is green where the exit code is 0.
fn conclusion(outcome: Outcome) -> Option<&'static str> {
    Some(match outcome {
        Outcome::Succeeded | Outcome::Partial => "success",
        Outcome::Failed | Outcome::Invalid | Outcome::Usage => "failure",
        Outcome::Refused | Outcome::Unknown | Outcome::Uncollected => "failure",
        Outcome::TimedOut => "timed_out",
        Outcome::Cancelled => "cancelled",
        Outcome::Skipped => "skipped",
        Outcome::Detached | Outcome::Pending => return None,
    })
}

/// A check's beginning, where and on what it is.
pub(super) fn check(place: &Place, sha: &str, name: &str, report: &Report) -> Value {
    let mut body = json!({ "name": name, "head_sha": sha });
    // What is not known is left out: GitHub takes no null here.
    for (member, value) in [("details_url", &place.page), ("external_id", &report.requests.key)] {
        if let Some(value) = value {
            body[member] = json!(value);
        }
    }
    body
}

/// What a check shows while the run goes on.
pub(super) fn in_progress(report: &Report, batch_ids: &[String]) -> Value {
    let requests = requests_count(report.requests.total);
    let mut sentences = vec![format!("{requests} go to {} ({}) as a batch.", report.provider, report.origin)];
    sentences.extend(report.requests.key.as_ref().map(|key| format!("Key: `{key}`")));
    sentences.extend(batch_ids.iter().take(MOST_BATCHES).map(|id| format!("Batch: `{id}`")));
    if batch_ids.len() > MOST_BATCHES {
        sentences.push(format!("And {} more.", counted((batch_ids.len() - MOST_BATCHES) as u64, "batch", "batches")));
    }
    let mut summary: String = sentences.iter().map(|sentence| markdown_paragraph(sentence)).collect();
    summary += &name_batches(batch_ids.iter().map(String::as_str));
    let title = title(report, &format!("{requests} under way"));
    json!({ "status": "in_progress", "output": { "title": title, "summary": summary } })
}

/// What a check shows at the end, and whether it is concluded.
pub(super) fn ended(report: &Report) -> (Value, bool) {
    let output = output(report);
    match conclusion(report.outcome) {
        Some(conclusion) => {
            let completed_at = &report.ended_at;
            let ended = json!({
                "status": "completed", "conclusion": conclusion, "completed_at": completed_at, "output": output
            });
            (ended, true)
        }
        None => (json!({ "status": "in_progress", "output": output }), false),
    }
}

/// What a check shows whose run is gone.
pub(super) fn abandoned(at: String) -> Value {
    let title = "cancelled: the run that began this is gone";
    let summary = "What it left at the provider was looked for and cancelled.";
    let output = json!({ "title": title, "summary": summary });
    json!({ "status": "completed", "conclusion": "cancelled", "completed_at": at, "output": output })
}

fn output(report: &Report) -> Value {
    let title = title(report, &format!("{}: {}", report.outcome.word(), report.reason));
    let named = name_batches(report.batches.iter().map(|batch| batch.id.as_str()));
    let summary = markdown_within(report, LONGEST_BODY.saturating_sub(named.len())) + &named;
    json!({ "title": title, "summary": summary })
}

fn title(report: &Report, text: &str) -> String {
    // An unmarked green from the sandbox would be the worst of lies.
    line(&format!("{}{text}", if report.simulated { "SIMULATED: " } else { "" }))
}

/// Text on one line, nothing hidden in it, and short.
fn line(text: &str) -> String {
    shorten_bytes(&safe(&one_line(text)), LONGEST_LINE)
}

/// The updates that bring the annotations: as many as one call takes in each.
/// They say how many there would be, if they do not bring all.
pub(super) fn annotations(report: &Report, workspace: Option<&str>) -> Vec<Value> {
    let faults = report.faults.iter().filter_map(|fault| of_fault(fault, workspace));
    let refused = report.batches.iter().flat_map(|batch| &batch.errors);
    let refused = refused.filter_map(|fault| of_batch(fault, workspace));
    let all: Vec<Value> = faults.chain(refused).take(GROUP * MOST_GROUPS).collect();
    let mut output = output(report);
    let reasons: usize = report.batches.iter().map(|batch| batch.errors.len()).sum();
    let in_all = report.fault_count + reasons as u64;
    if let Some(summary) = output["summary"].as_str()
        && in_all > all.len() as u64
    {
        let told = format!("{} of {in_all} faults are annotated on their lines.", all.len());
        output["summary"] = json!(format!("{summary}\n{}", markdown_paragraph(&told)));
    }
    let update = |group: &[Value]| {
        output["annotations"] = json!(group);
        json!({ "output": output })
    };
    all.chunks(GROUP).map(update).collect()
}

fn of_fault(fault: &Fault, workspace: Option<&str>) -> Option<Value> {
    let line = fault.line.unwrap_or(1);
    annotation(in_workspace(&fault.file, workspace), line, "Invalid request", &fault.statement())
}

fn of_batch(fault: &BatchFault, workspace: Option<&str>) -> Option<Value> {
    let words: Vec<&str> = [&fault.code, &fault.message].into_iter().flatten().map(String::as_str).collect();
    let path = in_workspace(fault.file.as_deref()?, workspace);
    annotation(path, fault.line?, "Refused by the provider", &words.join(": "))
}

/// An annotation, unless it is on standard input, which is no file.
fn annotation(path: &str, line: u64, title: &str, message: &str) -> Option<Value> {
    let mut message = safe(message);
    message.truncate(first_bytes(&message, LONGEST_MESSAGE).len());
    if message.is_empty() {
        message = title.to_owned();
    }
    (path != "-").then(|| {
        json!({
            "path": path, "start_line": line, "end_line": line,
            "annotation_level": "failure", "title": title, "message": message,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{
        Place, Report, annotations, check, check_name, comment, conclusion, ended, in_progress, is_marked, is_ours,
        marker, names, place,
    };
    use crate::env::Env;
    use crate::error::Outcome;
    use crate::formats::samples::{self, HOSTILE, failure};
    use serde_json::{Value, json};

    const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const MERGE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn found(repository: &str, payload: &Value) -> Option<Place> {
        let variables = [("GITHUB_REPOSITORY", repository), ("GITHUB_SHA", MERGE)];
        place(&variables.into_iter().collect::<Env>(), payload)
    }

    #[test]
    fn a_pull_requests_commit_is_its_head() {
        let pull = json!({ "pull_request": { "number": 7, "head": { "sha": HEAD } } });
        let on_pull = found("octo/repo", &pull).unwrap();
        assert_eq!((on_pull.sha.as_deref(), on_pull.pull), (Some(HEAD), Some(7)));
        let on_push = found("octo/repo", &Value::Null).unwrap();
        assert_eq!((on_push.sha.as_deref(), on_push.pull), (Some(MERGE), None));
        for wrong in ["", "octo", "octo/..", "o/r/x", "o/r?x", "../r"] {
            assert_eq!(found(wrong, &pull), None, "{wrong}");
        }
        let odd = json!({ "pull_request": { "number": "7", "head": { "sha": "../../user" } } });
        assert_eq!(found("o/r", &odd).map(|place| (place.sha, place.pull)), Some((None, None)));
    }

    #[test]
    fn a_name_is_the_same_on_every_runner_and_never_a_jobs() {
        let named = |pattern: &str| names(&[pattern.to_owned()], Some("/home/runner/work/repo/"));
        assert_eq!(named("/home/runner/work/repo/data/a.jsonl"), ["data/a.jsonl"]);
        assert_eq!(named("./a.jsonl"), ["a.jsonl"]);
        assert_eq!(named("/home/runner/work/repository/a"), ["/home/runner/work/repository/a"]);
        assert_eq!(check_name(&named("a.jsonl")), "batchstep: a.jsonl");
        let long = check_name(&vec!["é".repeat(50); 50]);
        assert!(long.len() < 220, "{long}");
        assert_ne!(long, check_name(&vec!["é".repeat(50); 51]));
        // Comments out there carry it: this value may never change.
        assert_eq!(marker("batchstep: requests.jsonl"), "<!-- batchstep:b2101a488b858f73 -->");
    }

    #[test]
    fn only_our_own_comment_is_ours() {
        let comment = |body: &str, id: u64, kind: &str| json!({ "body": body, "user": { "id": id, "type": kind } });
        let mark = "<!-- batchstep:1 -->";
        assert!(is_marked(&comment("<!-- batchstep:1 -->\nx", 1, "Bot"), mark));
        for other in ["x <!-- batchstep:1 -->", "> <!-- batchstep:1 -->", "<!-- batchstep:2 -->"] {
            assert!(!is_marked(&comment(other, 1, "Bot"), mark), "{other}");
        }
        assert!(!is_marked(&json!({ "body": null }), mark));
        let by = |id, kind, me| is_ours(&comment(mark, id, kind), me);
        assert!(by(5, "Bot", None) && !by(5, "User", None));
        assert!(by(5, "User", Some(5)) && !by(6, "User", Some(5)) && !by(6, "Bot", Some(5)));
        assert!(!is_ours(&json!({ "user": null }), None) && !is_ours(&json!({ "user": null }), Some(5)));
    }

    #[test]
    fn every_outcome_has_its_conclusion() {
        use Outcome::{Cancelled, Detached, Failed, Invalid, Partial, Refused, Skipped, Succeeded, TimedOut, Unknown};
        let table = [
            (Succeeded, Some("success")),
            (Partial, Some("success")),
            (Failed, Some("failure")),
            (Invalid, Some("failure")),
            (Refused, Some("failure")),
            (Unknown, Some("failure")),
            (TimedOut, Some("timed_out")),
            (Cancelled, Some("cancelled")),
            (Skipped, Some("skipped")),
            (Detached, None),
        ];
        for (outcome, expected) in table {
            assert_eq!(conclusion(outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn bodies_stay_below_githubs_limits() {
        let mut report = samples::partial();
        report.failures = vec![failure(&"é".repeat(3_000), &"𝄞|".repeat(3_000), 1, &["x"; 9]); 50];
        report.warnings = vec!["w".repeat(3_000); 50];
        let body = comment("<!-- batchstep:1 -->", &report);
        let body = body["body"].as_str().unwrap();
        assert!(body.len() > 60_000 && body.len() < 65_500, "{}", body.len());
        assert!(body.ends_with("The report has it all.\n"));
        let (ended, _) = ended(&report);
        assert!(ended["output"]["summary"].as_str().unwrap().len() < 65_500);
    }

    #[test]
    fn a_simulated_check_says_so_in_its_title() {
        let (ended, concluded) = ended(&samples::simulated());
        assert!(concluded);
        assert_eq!(ended["output"]["title"], "SIMULATED: succeeded: All 1200 requests succeeded.");
        let begun = in_progress(&samples::simulated(), &["batch_1".to_owned()]);
        assert_eq!(begun["output"]["title"], "SIMULATED: 1200 requests under way");
        assert!(begun["output"]["summary"].as_str().unwrap().contains("`batch_1`"));
    }

    #[test]
    fn a_check_leaves_out_what_is_not_known() {
        let place = Place { owner: "o".into(), repo: "r".into(), sha: None, pull: None, page: None };
        let body = check(&place, HEAD, "batchstep: x", &samples::invalid());
        assert_eq!(body, json!({ "name": "batchstep: x", "head_sha": HEAD }));
        let body = check(&Place { page: Some("https://x".into()), ..place }, HEAD, "n", &samples::partial());
        assert_eq!((&body["external_id"], &body["details_url"]), (&json!("0123456789abcdef"), &json!("https://x")));
    }

    #[test]
    fn annotations_come_in_groups_of_fifty() {
        let mut report = samples::invalid();
        report.faults = vec![report.faults[0].clone(); 120];
        report.faults[3].file = "-".to_owned();
        report.faults[4].line = None;
        let sizes = |report: &Report| {
            let groups = annotations(report, None);
            groups.iter().map(|group| group["output"]["annotations"].as_array().unwrap().len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&report), [50, 50, 19]);
        let first = annotations(&report, None).remove(0);
        let first = &first["output"]["annotations"];
        assert_eq!((&first[0]["path"], &first[0]["start_line"]), (&json!("requests.jsonl"), &json!(3)));
        assert_eq!(first[3]["start_line"], 1);
        report.faults = vec![report.faults[0].clone(); 1_500];
        report.fault_count = 2_345;
        assert_eq!(sizes(&report), [50; 20]);
        let last = annotations(&report, None).remove(19);
        let summary = last["output"]["summary"].as_str().unwrap();
        assert!(summary.ends_with("\n\n1000 of 2345 faults are annotated on their lines.\n\n"), "{summary}");
        assert_eq!(sizes(&samples::failed_validation()), [1]);
        assert_eq!(sizes(&samples::succeeded()), [0; 0]);
    }

    #[test]
    fn hostile_text_neither_hides_nor_forges_a_marker() {
        for text in HOSTILE {
            let report = samples::hostile(text);
            let (ended, _) = ended(&report);
            let title = ended["output"]["title"].as_str().unwrap();
            assert!(!title.contains(['\n', '\u{202e}', '\u{1b}']), "{title:?}");
            let body = comment("<!-- batchstep:1 -->", &report);
            assert_eq!(body["body"].as_str().unwrap().matches("<!--").count(), 1, "{text}");
            for group in annotations(&samples::hostile_faults(text), None) {
                assert!(group["output"]["annotations"].as_array().is_some_and(|group| !group.is_empty()));
            }
        }
    }
}
