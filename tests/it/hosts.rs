//! A job on each CI system: what a re-run is, and when the run ends.

use std::time::Duration;

use batchstep::env::Env;

use crate::lab::Lab;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A job, killed or completed, and the same job run again as the system does that.
struct Rerun {
    system: &'static str,
    /// What both have.
    job: &'static [(&'static str, &'static str)],
    first: &'static [(&'static str, &'static str)],
    again: &'static [(&'static str, &'static str)],
    /// Whether the system tells that the second is a re-run of the first.
    is_told: bool,
}

const REPO: (&str, &str) = ("GIT_URL", "https://github.com/acme/evals.git");

const RERUNS: [Rerun; 9] = [
    Rerun {
        system: "GitLab",
        job: &[("GITLAB_CI", "true"), ("CI_PROJECT_PATH", "a/b"), ("CI_PIPELINE_ID", "5"), ("CI_JOB_NAME", "evaluate")],
        first: &[("CI_JOB_ID", "99")],
        again: &[("CI_JOB_ID", "100")],
        is_told: true,
    },
    Rerun {
        system: "Azure Pipelines",
        job: &[("TF_BUILD", "True"), ("BUILD_REPOSITORY_NAME", "a/b"), ("BUILD_BUILDID", "5"), ("SYSTEM_JOBNAME", "e")],
        first: &[("SYSTEM_JOBATTEMPT", "1")],
        again: &[("SYSTEM_JOBATTEMPT", "2")],
        is_told: true,
    },
    Rerun {
        system: "Buildkite",
        job: &[
            ("BUILDKITE", "true"),
            ("BUILDKITE_REPO", "git@github.com:a/b.git"),
            ("BUILDKITE_PIPELINE_SLUG", "b"),
            ("BUILDKITE_BUILD_NUMBER", "5"),
            ("BUILDKITE_STEP_KEY", "evaluate"),
        ],
        first: &[("BUILDKITE_RETRY_COUNT", "0")],
        again: &[("BUILDKITE_RETRY_COUNT", "1")],
        is_told: true,
    },
    Rerun {
        system: "Forgejo",
        job: &[
            ("GITHUB_ACTIONS", "true"),
            ("FORGEJO_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_RUN_ID", "5"),
            ("GITHUB_JOB", "evaluate"),
        ],
        first: &[("GITHUB_RUN_ATTEMPT", "1")],
        again: &[("GITHUB_RUN_ATTEMPT", "2")],
        is_told: true,
    },
    Rerun {
        system: "CircleCI",
        job: &[("CIRCLECI", "true"), ("CIRCLE_REPOSITORY_URL", "git@github.com:a/b.git"), ("CIRCLE_JOB", "evaluate")],
        first: &[("CIRCLE_WORKFLOW_ID", "one")],
        again: &[("CIRCLE_WORKFLOW_ID", "two")],
        is_told: false,
    },
    Rerun {
        system: "Jenkins",
        job: &[("JENKINS_URL", "https://ci.example/"), ("JOB_NAME", "evals"), REPO],
        first: &[("BUILD_ID", "7"), ("BUILD_NUMBER", "7")],
        again: &[("BUILD_ID", "8"), ("BUILD_NUMBER", "8")],
        is_told: false,
    },
    Rerun {
        system: "Bitbucket",
        job: &[("BITBUCKET_COMMIT", "a"), ("BITBUCKET_REPO_FULL_NAME", "a/b")],
        first: &[("BITBUCKET_BUILD_NUMBER", "7")],
        again: &[("BITBUCKET_BUILD_NUMBER", "8")],
        is_told: false,
    },
    Rerun {
        system: "Woodpecker",
        job: &[("CI", "woodpecker"), ("CI_REPO", "a/b"), ("CI_WORKFLOW_NAME", "w"), ("CI_STEP_NAME", "s")],
        first: &[("CI_PIPELINE_NUMBER", "7")],
        again: &[("CI_PIPELINE_NUMBER", "8")],
        is_told: false,
    },
    Rerun {
        system: "TeamCity",
        job: &[("TEAMCITY_VERSION", "2026.1"), ("TEAMCITY_PROJECT_NAME", "p"), ("TEAMCITY_BUILDCONF_NAME", "c")],
        first: &[("BUILD_NUMBER", "7")],
        again: &[("BUILD_NUMBER", "8")],
        is_told: false,
    },
];

impl Rerun {
    fn env(&self, own: &[(&'static str, &'static str)]) -> Env {
        self.job.iter().chain(own).copied().collect()
    }
}

/// A runner may be new each time, so nothing but the provider's list is left of the first job.
#[tokio::test(start_paused = true)]
async fn a_job_that_is_run_again_attaches_to_what_runs_and_to_what_its_own_run_completed() {
    for rerun in RERUNS {
        let mut lab = Lab::new(HOUR, "").await;
        lab.env = rerun.env(rerun.first);
        let killed = tokio::time::timeout(10 * MINUTE, lab.run(&[])).await;
        assert!(killed.is_err(), "{}", rerun.system);
        lab.forget();
        lab.env = rerun.env(rerun.again);
        let ran = lab.run(&[]).await;
        assert_eq!((ran.exit, lab.tally().creates), (0, 1), "{} is killed: {}", rerun.system, ran.text());

        let mut lab = Lab::new(HOUR, "").await;
        lab.env = rerun.env(rerun.first);
        assert_eq!(lab.run(&[]).await.exit, 0);
        lab.forget();
        lab.env = rerun.env(rerun.again);
        let ran = lab.run(&[]).await;
        let creates = if rerun.is_told { 1 } else { 2 };
        assert_eq!((ran.exit, lab.tally().creates), (0, creates), "{} is repeated: {}", rerun.system, ran.text());
        let cached = lab.run(&["--reuse", "finished"]).await;
        assert_eq!((cached.exit, lab.tally().creates), (0, creates), "{}: {}", rerun.system, cached.text());
    }
}

/// The batch does not end before its window does, so the run ends at its deadline.
#[tokio::test(start_paused = true)]
async fn a_run_ends_before_the_job_where_the_system_says_when_that_is() {
    let limit = |pairs: &[(&'static str, &'static str)]| pairs.iter().copied().collect::<Env>();
    for (env, deadline, expected) in [
        (limit(&[("GITLAB_CI", "true"), ("CI_JOB_TIMEOUT", "3600")]), "35m", 35 * MINUTE),
        (limit(&[("GITLAB_CI", "true"), ("CI_JOB_TIMEOUT", "1800")]), "15m", 15 * MINUTE),
        (limit(&[("BUILDKITE", "true"), ("BUILDKITE_TIMEOUT", "120")]), "1h 35m", 95 * MINUTE),
        (limit(&[("GITHUB_ACTIONS", "true")]), "5h 30m", 330 * MINUTE),
        // By then the provider has ended the batch.
        (limit(&[("CIRCLECI", "true")]), "24h 30m", 24 * HOUR),
        (limit(&[("GITLAB_CI", "true"), ("CI_JOB_TIMEOUT", "604800")]), "24h 30m", 24 * HOUR),
    ] {
        let mut lab = Lab::new(100 * HOUR, "").await;
        lab.env = env;
        let ran = lab.run(&[]).await;
        assert!(ran.text().contains(&format!("the deadline is in {deadline} (")), "{}", ran.text());
        let ended = if expected == 24 * HOUR { (7, "failed") } else { (6, "timed-out") };
        assert_eq!((ran.exit, ran.outcome()), ended, "{}", ran.text());
        assert!(ran.took >= expected && ran.took < expected + 12 * MINUTE, "{expected:?}: {:?}", ran.took);
        assert!(!lab.is_anything_running(), "{}", ran.text());
        let is_asked = ran.text().contains("does not say when it ends the job");
        assert_eq!(is_asked, lab.env.get("CIRCLECI").is_some(), "{}", ran.text());
    }
    let mut lab = Lab::new(MINUTE, "").await;
    lab.env = limit(&[("CIRCLECI", "true")]);
    let ran = lab.run(&["--timeout", "50m"]).await;
    assert!(!ran.text().contains("does not say when it ends the job"), "{}", ran.text());
}
