//! What differs between GitHub and those that speak its language. Forgejo
//! (<https://forgejo.org/docs/latest/user/actions/reference/>) and Gitea (<https://docs.gitea.com/usage/actions/comparison>)
//! set GITHUB_* variables and read the same commands and files.

use std::time::Duration;

use crate::error::Error;
use crate::hosts::PublishOptions;
use crate::policy::GITHUB_TIME_LIMIT;

/// Who speaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forge {
    GitHub,
    Forgejo,
    Gitea,
}

impl Forge {
    /// What the names of its runs begin with.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Forgejo => "forgejo",
            Self::Gitea => "gitea",
        }
    }

    /// How long a run may last. The limit of Forgejo's and Gitea's jobs is in the configuration of the runner, where no
    /// job sees it.
    pub(super) fn time_limit(self) -> Option<Duration> {
        (self == Self::GitHub).then_some(GITHUB_TIME_LIMIT)
    }

    /// The path of a file at a commit, below the repository.
    pub(super) fn files_of(self, sha: &str) -> String {
        match self {
            Self::GitHub => format!("blob/{sha}"),
            Self::Forgejo | Self::Gitea => format!("src/commit/{sha}"),
        }
    }

    /// Why not all that the options ask for can be shown: Forgejo and Gitea have comments like GitHub's, and no checks.
    pub(super) fn lacks(self, options: &PublishOptions) -> Option<Error> {
        let name = match self {
            Self::Forgejo if options.check_run => "Forgejo",
            Self::Gitea if options.check_run => "Gitea",
            _ => return None,
        };
        Some(Error::usage(format!("`check-run` needs GitHub's checks, and {name} has none")))
    }
}

#[cfg(test)]
mod tests {
    use super::Forge;
    use crate::hosts::github::GitHub;
    use crate::hosts::samples::options;
    use crate::hosts::{Host as _, PublishOptions};

    #[test]
    fn forgejo_and_gitea_have_their_own_names_pages_and_limits() {
        let sha = "a".repeat(40);
        let env = [
            ("GITHUB_REPOSITORY", "octo/repo"),
            ("GITHUB_SERVER_URL", "https://code.example"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_JOB", "build"),
            ("GITHUB_SHA", sha.as_str()),
            ("GITHUB_WORKSPACE", "/workspace"),
        ];
        let env = env.into_iter().collect();
        for (host, word) in [(GitHub::forgejo(&env, options()), "forgejo"), (GitHub::gitea(&env, options()), "gitea")] {
            let run = host.identity().run.unwrap();
            assert_eq!(run, format!("{word}/7/1/build/"));
            assert_eq!(host.time_limit(), None);
            let page = host.commit().unwrap().page("a.jsonl");
            assert_eq!(page, format!("https://code.example/octo/repo/src/commit/{sha}/a.jsonl"));
            assert_eq!(host.run_page(&run), None, "their pages have numbers of their own");
        }
        let check = PublishOptions { check_run: true, ..PublishOptions::default() };
        assert!(Forge::GitHub.lacks(&check).is_none());
        assert!(Forge::Gitea.lacks(&check).unwrap().message.ends_with("and Gitea has none"));
        assert!(Forge::Forgejo.lacks(&PublishOptions { comment: true, ..PublishOptions::default() }).is_none());
    }
}
