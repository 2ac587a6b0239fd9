//! Buildkite (<https://buildkite.com/docs/pipelines/configure/environment-variables>).
//!
//! Outputs become the build's meta-data and the summary an annotation, both through the agent's own program.

mod agent;

use std::time::Duration;

use self::agent::Agent;
use super::{Job, JobLimit, Language, PublishOptions, Publisher, Reach, Run, commit, no_publisher, repository};
use crate::effects::Effect;
use crate::env::Env;
use crate::error::Error;
use crate::values::SummaryInput;

/// A job of Buildkite's.
pub(super) struct Buildkite {
    job: Job,
    summary: SummaryInput,
}

impl Buildkite {
    /// Reads the agent's variables.
    pub(super) fn new(env: &Env, summary: SummaryInput) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let step = env.get("BUILDKITE_STEP_KEY").unwrap_or(get("BUILDKITE_STEP_ID"));
        let (number, attempt) = (get("BUILDKITE_BUILD_NUMBER"), env.get("BUILDKITE_RETRY_COUNT").unwrap_or("0"));
        let run = Run {
            system: "buildkite",
            series: get("BUILDKITE_PIPELINE_SLUG"),
            number,
            attempt,
            job: step,
            step: get("BUILDKITE_PARALLEL_JOB"),
        };
        let repo = env.get("BUILDKITE_REPO").and_then(repository);
        let blob = |sha: &str| match repo.as_deref().filter(|repo| repo.starts_with("github.com/")) {
            Some(repo) => format!("https://{repo}/blob/{sha}"),
            None => String::new(),
        };
        let minutes = env.get("BUILDKITE_TIMEOUT").and_then(|minutes| minutes.parse::<u32>().ok());
        let length = minutes.filter(|minutes| *minutes > 0).map(|minutes| Duration::from_secs(u64::from(minutes) * 60));
        let limit = length.map(|length| JobLimit { length, began: None });
        let job = Job {
            pages: run.pages(get("BUILDKITE_BUILD_URL").strip_suffix(number).unwrap_or_default()),
            commit: commit(env, "BUILDKITE_COMMIT", "BUILDKITE_BUILD_CHECKOUT_PATH", blob),
            identity: run.identity(repo),
            workspace: env.get("BUILDKITE_BUILD_CHECKOUT_PATH").map(str::to_owned),
            limit,
        };
        Self { job, summary }
    }
}

/// Lines that begin groups: <https://buildkite.com/docs/pipelines/configure/managing-log-output>.
impl Language for Buildkite {
    fn job(&self) -> &Job {
        &self.job
    }

    fn fold(&self) -> Option<Effect> {
        Some(Effect::Mark("--- batchstep".to_owned()))
    }

    fn unfold(&self) -> Option<Effect> {
        Some(Effect::Mark("+++ batchstep: how it ended".to_owned()))
    }

    /// What needs no input: a build has its agent's program at hand.
    fn publisher(
        &self,
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        if !env.is_true("BUILDKITE") && env.get("BUILDKITE_AGENT_ACCESS_TOKEN").is_none() {
            return no_publisher(env, options, reach);
        }
        let agent = Agent::new(env, options, reach, self.summary, self.job.workspace.as_deref());
        Ok(Some(Box::new(agent)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Buildkite, SummaryInput};
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{golden, log_of, logged};
    use crate::hosts::{Host as _, Identity};

    fn buildkite() -> Buildkite {
        let variables = [
            ("BUILDKITE", "true"),
            ("BUILDKITE_BUILD_NUMBER", "1514"),
            ("BUILDKITE_BUILD_URL", "https://buildkite.com/acme/evals/builds/1514"),
            ("BUILDKITE_PIPELINE_SLUG", "evals"),
            ("BUILDKITE_RETRY_COUNT", "1"),
            ("BUILDKITE_STEP_KEY", "evaluate"),
            ("BUILDKITE_REPO", "git@github.com:acme/evals.git"),
            ("BUILDKITE_COMMIT", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("BUILDKITE_BUILD_CHECKOUT_PATH", "/var/lib/buildkite-agent/builds/evals"),
            ("BUILDKITE_TIMEOUT", "120"),
        ];
        Buildkite::new(&variables.into_iter().collect(), SummaryInput::Write)
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(buildkite());
        let run = "buildkite/evals#1514/1/evaluate/";
        assert_eq!(
            host.identity(),
            Identity { repo: Some("github.com/acme/evals".to_owned()), run: Some(run.to_owned()) }
        );
        assert_eq!(host.run_page(run).unwrap(), "https://buildkite.com/acme/evals/builds/1514");
        assert_eq!(host.time_limit(), Some(Duration::from_secs(95 * 60)));
        assert!(host.commit().unwrap().page("a.jsonl").starts_with("https://github.com/acme/evals/blob/aaaa"));
        let unlimited = Buildkite::new(&[("BUILDKITE_TIMEOUT", "false")].into_iter().collect(), SummaryInput::Write);
        assert_eq!(logged(unlimited).time_limit(), None);
    }

    #[test]
    fn only_our_own_lines_begin_groups() {
        let prefixes = ["---", "+++", "~~~", "^^^"];
        let hostile = ["--- forged", "+++ forged", "~~~ forged", "^^^ +++", " \u{200d}--- forged"];
        for text in HOSTILE.iter().copied().chain(hostile) {
            let log = log_of(&logged(buildkite()), &samples::hostile(text), text);
            let groups: Vec<&str> = log
                .lines()
                .filter(|line| prefixes.iter().any(|prefix| line.trim_start().starts_with(prefix)))
                .collect();
            assert_eq!(groups, ["--- batchstep", "+++ batchstep: how it ended"], "{text:?}\n{log}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("buildkite", || Box::new(logged(buildkite())));
    }
}
