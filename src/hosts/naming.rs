//! What hosts call a run that they show through an API, and what the comment on it is known by: pure decisions.

use super::in_workspace;
use crate::report::Report;
use crate::text::{is_shortened, one_line, requests_count, safe, shorten_bytes};

/// Titles and names are read in lists; one line is enough. In bytes.
const LONGEST_LINE: usize = 200;
/// How long the digest in a marker is.
const DIGEST: usize = 16;
/// What the name of every check of ours begins with.
pub(super) const CHECK_PREFIX: &str = "batchstep: ";

/// The requests as a check names them: patterns, without the workspace's path.
pub(super) fn check_names(patterns: &[String], workspace: Option<&str>) -> Vec<String> {
    patterns.iter().map(|pattern| in_workspace(pattern, workspace).to_owned()).collect()
}

/// The check's name. On GitHub a job's id holds no colon, so it is no job's. A long one is
/// cut; its digest keeps it apart from its like.
pub(super) fn check_name(names: &[String]) -> String {
    let all = names.join(", ");
    let name = line(&format!("{CHECK_PREFIX}{all}"));
    if is_shortened(&name) { format!("{name} {}", &blake3::hash(all.as_bytes()).to_hex()[..8]) } else { name }
}

/// What stands for a check of this name where its host allows few characters.
pub(super) fn digest_of(check_name: &str) -> String {
    blake3::hash(check_name.as_bytes()).to_hex()[..DIGEST].to_owned()
}

/// What the comment that belongs to a check of this name begins with, whether
/// there is such a check or not. A digest, since a path may hold `-->`.
pub(super) fn marker(check_name: &str) -> String {
    format!("<!-- batchstep:{} -->", digest_of(check_name))
}

/// That a run is under way, on one line.
pub(super) fn under_way(report: &Report) -> String {
    title(report, &format!("{} under way", requests_count(report.requests.total)))
}

/// How a run ended, on one line.
pub(super) fn ended_as(report: &Report) -> String {
    title(report, &format!("{}: {}", report.outcome.word(), report.reason))
}

/// What a host shows of a run on one line.
pub(super) fn title(report: &Report, text: &str) -> String {
    // An unmarked green from the sandbox would be the worst of lies.
    line(&format!("{}{text}", if report.simulated { "SIMULATED: " } else { "" }))
}

/// Text on one line, nothing hidden in it, and short.
fn line(text: &str) -> String {
    shorten_bytes(&safe(&one_line(text)), LONGEST_LINE)
}

#[cfg(test)]
mod tests {
    use super::{check_name, check_names, marker};

    #[test]
    fn a_name_is_the_same_on_every_runner_and_never_a_jobs() {
        let named = |pattern: &str| check_names(&[pattern.to_owned()], Some("/home/runner/work/repo/"));
        assert_eq!(named("/home/runner/work/repo/data/a.jsonl"), ["data/a.jsonl"]);
        assert_eq!(named("./a.jsonl"), ["a.jsonl"]);
        assert_eq!(named("/home/runner/work/repository/a"), ["/home/runner/work/repository/a"]);
        assert_eq!(check_name(&named("a.jsonl")), "batchstep: a.jsonl");
        let long = check_name(&vec!["é".repeat(50); 50]);
        assert!(long.len() < 220, "{long}");
        assert_ne!(long, check_name(&vec!["é".repeat(50); 51]));
    }

    #[test]
    fn the_marker_never_changes() {
        // Comments out there carry it.
        assert_eq!(marker("batchstep: requests.jsonl"), "<!-- batchstep:b2101a488b858f73 -->");
    }
}
