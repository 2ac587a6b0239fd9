//! Where on GitHub a run can be shown.

use serde_json::Value;

use crate::client;
use crate::env::Env;
use crate::hosts::is_commit;

/// The repository, the commit and the pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hosts::github) struct Place {
    pub(super) owner: String,
    pub(super) repo: String,
    /// The commit that a check is shown on.
    pub(in crate::hosts::github) sha: Option<String>,
    /// The pull request that a comment is shown on.
    pub(super) pull: Option<u64>,
    /// The repository's page.
    pub(in crate::hosts::github) repository: Option<String>,
    /// The run's own page.
    pub(super) page: Option<String>,
}

impl Place {
    /// Reads the place from the runner's variables and the event's payload. None
    /// where no repository is named.
    pub(in crate::hosts::github) fn find(env: &Env, payload: &Value) -> Option<Self> {
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
        let sha = sha.filter(|sha| is_commit(sha));
        let server = env.get("GITHUB_SERVER_URL").filter(|server| client::is_plain_page(server));
        let repository = server.map(|server| format!("{}/{owner}/{repo}", server.trim_end_matches('/')));
        let run = env.get("GITHUB_RUN_ID").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
        let page = repository.as_ref().zip(run).map(|(repository, id)| format!("{repository}/actions/runs/{id}"));
        Some(Self {
            owner: owner.to_owned(),
            repo: repo.to_owned(),
            sha: sha.map(str::to_owned),
            pull: pull["number"].as_u64(),
            repository,
            page,
        })
    }
}

/// Where open pull requests are: their head commits and numbers, each commit once.
pub(super) fn heads(pulls: &[Value]) -> Vec<(String, u64)> {
    let mut heads: Vec<(String, u64)> = Vec::new();
    for pull in pulls {
        if let (Some(sha), Some(number)) = (pull["head"]["sha"].as_str(), pull["number"].as_u64())
            && is_commit(sha)
            && heads.iter().all(|(known, _)| known != sha)
        {
            heads.push((sha.to_owned(), number));
        }
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::Place;
    use crate::env::Env;
    use serde_json::{Value, json};

    const HEAD: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const MERGE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn found(repository: &str, payload: &Value) -> Option<Place> {
        let variables = [("GITHUB_REPOSITORY", repository), ("GITHUB_SHA", MERGE)];
        Place::find(&variables.into_iter().collect::<Env>(), payload)
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
}
