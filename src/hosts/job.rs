//! The job that a CI system runs, as its variables tell it: who runs, where pages of runs and files are, and
//! when the job ends.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Commit, Identity, component, run_name};
use crate::client::is_plain_page;
use crate::env::Env;
use crate::policy::BEFORE_JOB_ENDS;

/// A job.
#[derive(Clone, Debug, Default)]
pub(super) struct Job {
    /// Who runs.
    pub(super) identity: Identity,
    /// Where the pages of its runs are.
    pub(super) pages: Option<Pages>,
    /// The commit that it runs on, where the system shows files of it.
    pub(super) commit: Option<Commit>,
    /// The directory that the repository is checked out in.
    pub(super) workspace: Option<String>,
    /// When it ends, as far as the system says so.
    pub(super) limit: Option<JobLimit>,
}

/// The parts of a run's name. What a system has no word for is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// The CI system.
    pub(super) system: &'static str,
    /// What numbers its runs: a pipeline or a job of this name. Empty where numbers are unique in the repository.
    pub(super) series: &'a str,
    /// The run's number or id.
    pub(super) number: &'a str,
    /// A number that is higher in each attempt at the same job of the same run; `1` where a repeated job is a new run.
    pub(super) attempt: &'a str,
    /// The job.
    pub(super) job: &'a str,
    /// The step, or which of several parallel jobs it is.
    pub(super) step: &'a str,
}

impl Run<'_> {
    /// Who runs, for this repository.
    pub(super) fn identity(self, repo: Option<String>) -> Identity {
        Identity { repo, run: self.name() }
    }

    /// The run's name, if it has a number.
    fn name(self) -> Option<String> {
        let id = format!("{}{}", self.before_number(), self.number);
        let parts = [self.system, &id, self.attempt, self.job, self.step];
        (!self.number.is_empty()).then(|| run_name(parts))
    }

    /// Where the pages of such runs are: `before`, and then the number. None where the address is no plain one.
    pub(super) fn pages(self, before: &str) -> Option<Pages> {
        let name = format!("{}/{}", self.system, component(&self.before_number()));
        is_plain_page(before).then(|| Pages { name, before: before.to_owned() })
    }

    fn before_number(self) -> String {
        if self.series.is_empty() { String::new() } else { format!("{}#", self.series) }
    }
}

/// Where pages of runs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    /// What the names of these runs begin with, up to the number.
    name: String,
    /// What the addresses of their pages begin with, up to the number.
    before: String,
}

impl Pages {
    /// The page of the run with this name, if it is one of these.
    pub(super) fn of_run(&self, run: &str) -> Option<String> {
        let number = run.strip_prefix(&self.name)?.split('/').next()?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_number.then(|| format!("{}{number}", self.before))
    }
}

/// How long a job may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobLimit {
    /// In all.
    pub(super) length: Duration,
    /// When it began, since the Unix epoch, if the system says so.
    pub(super) began: Option<Duration>,
}

impl JobLimit {
    /// A limit in seconds, as a variable gives it, and the start of the job as RFC 3339. None where there is no limit.
    pub(super) fn seconds(length: Option<&str>, began: Option<&str>) -> Option<Self> {
        let length = Duration::from_secs(length?.parse().ok().filter(|seconds| *seconds > 0)?);
        let began = began.and_then(|time| humantime::parse_rfc3339_weak(time).ok());
        let began = began.and_then(|time: SystemTime| time.duration_since(UNIX_EPOCH).ok());
        Some(Self { length, began })
    }

    /// How long a run that begins now may last: until 25 minutes before the end, which a cancel and a download need, but
    /// at least half of what remains.
    pub(super) fn for_run(self, now: Duration) -> Duration {
        let elapsed = self.began.and_then(|began| now.checked_sub(began)).unwrap_or_default();
        // A clock that is wrong by more than the job may last says nothing.
        let rest = self.length.checked_sub(elapsed).filter(|rest| !rest.is_zero()).unwrap_or(self.length);
        rest.saturating_sub(BEFORE_JOB_ENDS).max(rest / 2)
    }
}

/// The repository behind the address of a remote: `github.com/octo/repo` for `https://token@github.com/octo/repo.git`
/// and for `git@github.com:octo/repo.git`. Nothing of a user or a password is in it.
pub(super) fn repository(remote: &str) -> Option<String> {
    let address = match remote.split_once("://") {
        Some((_, address)) => address.to_owned(),
        None => remote.replacen(':', "/", 1),
    };
    let address = address.split(['?', '#']).next()?;
    let (authority, path) = address.split_once('/')?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // A password with a slash in it would otherwise end up in the path.
    let is_plain = !host.is_empty() && !path.is_empty() && !path.contains('@');
    is_plain.then(|| format!("{}/{path}", host.to_lowercase()))
}

/// Whether this is a commit's full name: 40 hexadecimal digits with SHA-1, 64 with SHA-256.
pub(super) fn is_commit(sha: &str) -> bool {
    sha.len() >= 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where files of a commit are shown: this address, and then a path. None where the variables do not say.
pub(super) fn commit(env: &Env, sha: &str, workspace: &str, pages: impl FnOnce(&str) -> String) -> Option<Commit> {
    let sha = env.get(sha).filter(|sha| is_commit(sha))?;
    let pages = pages(sha);
    let workspace = env.get(workspace)?.into();
    is_plain_page(&pages).then(|| Commit { workspace, sha: sha.to_owned(), pages })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{JobLimit, Run, repository};

    const MINUTE: u64 = 60;

    #[test]
    fn a_run_ends_before_its_job_and_has_half_of_what_remains() {
        let limit = |length: u64, began: Option<u64>| JobLimit {
            length: Duration::from_secs(length * MINUTE),
            began: began.map(|minutes| Duration::from_secs(minutes * MINUTE)),
        };
        let minutes = |limit: JobLimit, now: u64| limit.for_run(Duration::from_secs(now * MINUTE)).as_secs() / MINUTE;
        assert_eq!(minutes(limit(60, None), 1_000), 35);
        assert_eq!(minutes(limit(60, Some(995)), 1_000), 30);
        assert_eq!(minutes(limit(600, Some(900)), 1_000), 475);
        assert_eq!(minutes(limit(60, Some(960)), 1_000), 10, "half of the 20 minutes that remain");
        assert_eq!(minutes(limit(60, Some(1_010)), 1_000), 35, "it begins later, by a clock that is wrong");
        assert_eq!(minutes(limit(60, Some(100)), 1_000), 35, "it is over, by a clock that is wrong");
    }

    #[test]
    fn a_limit_is_what_the_variables_say() {
        let seconds = |length, began| JobLimit::seconds(length, began);
        let began = Duration::from_secs(1_792_972_800);
        let hour = Duration::from_secs(3_600);
        assert_eq!(
            seconds(Some("3600"), Some("2026-10-26T00:00:00Z")),
            Some(JobLimit { length: hour, began: Some(began) })
        );
        assert_eq!(seconds(Some("3600"), Some("yesterday")), Some(JobLimit { length: hour, began: None }));
        assert_eq!((seconds(Some("0"), None), seconds(Some("false"), None), seconds(None, None)), (None, None, None));
    }

    #[test]
    fn a_run_has_a_name_and_a_page() {
        let run = Run { system: "jenkins", series: "team/job", number: "7", attempt: "1", job: "a b", step: "" };
        assert_eq!(run.name().unwrap(), "jenkins/team%2Fjob#7/1/a%20b/");
        let pages = run.pages("https://ci.example/job/team/").unwrap();
        assert_eq!(pages.of_run(&run.name().unwrap()).unwrap(), "https://ci.example/job/team/7");
        for other in
            ["jenkins/team%2Fjob#/1/a/", "jenkins/other#7/1/a/", "jenkins/team%2Fjob#7%2F../1", "gitlab/7/1/a/"]
        {
            assert_eq!(pages.of_run(other), None, "{other}");
        }
        assert_eq!(Run { number: "", ..run }.name(), None);
        assert_eq!(run.pages("javascript:alert(1)//"), None);
    }

    #[test]
    fn a_repository_is_named_without_credentials() {
        for remote in [
            "https://github.com/octo/repo.git",
            "https://token@github.com/octo/repo",
            "https://user:pass@GitHub.com:443/octo/repo.git?x#y",
            "git@github.com:octo/repo.git",
            "ssh://git@github.com:22/octo/repo.git/",
        ] {
            let named = repository(remote);
            assert_eq!(named.as_deref(), Some("github.com/octo/repo"), "{remote}");
        }
        for remote in ["", "repo", "/srv/git/repo", "https://user:pa/ss@github.com/octo/repo", "https://github.com/"] {
            assert_eq!(repository(remote), None, "{remote}");
        }
    }
}
