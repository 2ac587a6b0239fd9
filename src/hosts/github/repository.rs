//! The repository's pages: its files at the commit of the job, and the runs of its workflows.

use super::api::Place;
use super::forge::Forge;
use crate::env::Env;
use crate::hosts::Commit;

/// Where GitHub shows the repository, and the commit that the job runs on.
pub(super) struct Repository {
    page: String,
    sha: Option<String>,
    forge: Forge,
}

impl Repository {
    /// Reads the runner's variables. The commit of a pull request is the merge commit, which is what was checked out.
    pub(super) fn find(env: &Env, forge: Forge) -> Option<Self> {
        let place = Place::find(env, &serde_json::Value::Null)?;
        Some(Self { page: place.repository?, sha: place.sha, forge })
    }

    /// The commit, checked out in this directory.
    pub(super) fn commit(&self, workspace: &str) -> Option<Commit> {
        let Self { page, sha, forge } = self;
        let sha = sha.clone()?;
        Some(Commit { workspace: workspace.into(), pages: format!("{page}/{}", forge.files_of(&sha)), sha })
    }

    /// The page of the attempt that a run's name begins with: `github/ID/ATTEMPT/…`.
    pub(super) fn run_page(&self, run: &str) -> Option<String> {
        let mut parts = run.split('/');
        let (system, id, attempt) = (parts.next()?, parts.next()?, parts.next()?);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_ours = system == "github" && is_number(id) && is_number(attempt);
        is_ours.then(|| format!("{}/actions/runs/{id}/attempts/{attempt}", self.page))
    }
}

#[cfg(test)]
mod tests {
    use super::{Env, Forge, Repository};

    #[test]
    fn pages_are_of_this_repository_and_its_runs() {
        let sha = "a".repeat(40);
        let env: Env = [
            ("GITHUB_REPOSITORY", "octo/repo"),
            ("GITHUB_SERVER_URL", "https://github.example/"),
            ("GITHUB_SHA", sha.as_str()),
        ]
        .into_iter()
        .collect();
        let repository = Repository::find(&env, Forge::GitHub).unwrap();
        let page = repository.commit("/work").unwrap().page("data/a b#.jsonl");
        assert_eq!(page, format!("https://github.example/octo/repo/blob/{sha}/data/a%20b%23.jsonl"));
        let run = repository.run_page("github/123/2/build/step").unwrap();
        assert_eq!(run, "https://github.example/octo/repo/actions/runs/123/attempts/2");
        for other in ["gitlab/1/1/a/b", "github/1/x/a/b", "github//1", "github", ""] {
            assert_eq!(repository.run_page(other), None, "{other}");
        }
        assert!(Repository::find(&Env::default(), Forge::GitHub).is_none());
    }
}
