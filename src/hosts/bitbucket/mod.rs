//! Bitbucket Pipelines (<https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/>).

mod insights;

use std::path::PathBuf;

use self::insights::{Insights, Place, proxy};
use super::{Job, Language, Outputs, PublishOptions, Publisher, Reach, Run, commit, lines};
use crate::effects::Effect;
use crate::env::Env;
use crate::error::Error;

/// A step of Bitbucket's. A pipeline that is run again gets a new number; failed steps that are run again keep it and
/// raise `BITBUCKET_STEP_RUN_NUMBER`.
pub(super) struct Bitbucket {
    job: Job,
    variables: Option<PathBuf>,
}

impl Bitbucket {
    /// Reads the step's variables.
    pub(super) fn new(env: &Env) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let (repo, step) = (get("BITBUCKET_REPO_FULL_NAME"), get("BITBUCKET_PARALLEL_STEP"));
        let (number, job) = (get("BITBUCKET_BUILD_NUMBER"), get("BITBUCKET_STEP_UUID"));
        let attempt = env.get("BITBUCKET_STEP_RUN_NUMBER").unwrap_or("1");
        let run = Run { system: "bitbucket", series: "", number, attempt, job, step };
        let site = format!("https://bitbucket.org/{repo}");
        let source = |sha: &str| format!("{site}/src/{sha}");
        let job = Job {
            identity: run.identity(env.get("BITBUCKET_REPO_FULL_NAME").map(str::to_owned)),
            pages: run.pages(&format!("{site}/pipelines/results/")),
            commit: commit(env, "BITBUCKET_COMMIT", "BITBUCKET_CLONE_DIR", source),
            workspace: env.get("BITBUCKET_CLONE_DIR").map(str::to_owned),
            limit: None,
        };
        Self { job, variables: env.get("BITBUCKET_PIPELINES_VARIABLES_PATH").map(PathBuf::from) }
    }
}

impl Language for Bitbucket {
    fn job(&self) -> &Job {
        &self.job
    }

    /// For the steps that follow, if this step lists them under `output-variables`.
    fn export(&self, outputs: &Outputs) -> Option<Effect> {
        Some(Effect::Append(self.variables.clone()?, lines(outputs)))
    }

    /// Whether it resolves them in what this file sets is not documented.
    fn reference(&self) -> Option<&'static str> {
        Some("$")
    }

    fn publisher(
        &self,
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        if options.is_empty() {
            return Ok(None);
        }
        if !options.check_run {
            return Err(Error::usage("`comment` is not supported on Bitbucket, but `check-run` is"));
        }
        let (repo, job) = (env.get("BITBUCKET_REPO_FULL_NAME"), &self.job);
        let Some((repo, commit)) = repo.zip(job.commit.as_ref()) else {
            return Err(Error::usage("The step's variables name no commit of a repository"));
        };
        let page = job.pages.as_ref().and_then(|pages| pages.of_run(job.identity.run.as_deref()?));
        let place = Place { repo, sha: &commit.sha, page, workspace: job.workspace.clone() };
        let insights = Insights::new(proxy(env.get("BITBUCKET_PIPE_STORAGE_DIR")), place, options, reach)?;
        Ok(Some(Box::new(insights)))
    }
}

#[cfg(test)]
mod tests {
    use super::Bitbucket;
    use crate::effects::Effect;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{golden, logged};
    use crate::hosts::{Host as _, Identity};

    fn bitbucket() -> Bitbucket {
        let variables = [
            ("BITBUCKET_BUILD_NUMBER", "42"),
            ("BITBUCKET_REPO_FULL_NAME", "acme/evals"),
            ("BITBUCKET_STEP_UUID", "{0c0f}"),
            ("BITBUCKET_COMMIT", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("BITBUCKET_CLONE_DIR", "/opt/atlassian/pipelines/agent/build"),
            ("BITBUCKET_PIPELINES_VARIABLES_PATH", "/opt/variables"),
        ];
        Bitbucket::new(&variables.into_iter().collect())
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(bitbucket());
        let run = "bitbucket/42/1/{0c0f}/";
        assert_eq!(host.identity(), Identity { repo: Some("acme/evals".to_owned()), run: Some(run.to_owned()) });
        assert_eq!(host.run_page(run).unwrap(), "https://bitbucket.org/acme/evals/pipelines/results/42");
        assert!(host.commit().unwrap().page("a.jsonl").starts_with("https://bitbucket.org/acme/evals/src/aaaa"));
        assert_eq!(host.time_limit(), None);
        let again = [("BITBUCKET_BUILD_NUMBER", "42"), ("BITBUCKET_STEP_RUN_NUMBER", "2")];
        let again = logged(Bitbucket::new(&again.into_iter().collect()));
        assert_eq!(again.identity().run.as_deref(), Some("bitbucket/42/2//"), "a failed step that is run again");
    }

    #[test]
    fn hostile_text_forges_no_variable() {
        for text in HOSTILE {
            let published = logged(bitbucket()).publish(&samples::hostile(text));
            let written = published.iter().find_map(|effect| match effect {
                Effect::Append(path, text) if path.ends_with("variables") => Some(text),
                _ => None,
            });
            let outcomes = written.unwrap().lines().filter(|line| line.starts_with("BATCH_OUTCOME="));
            assert_eq!(outcomes.count(), 1, "{text:?}");
            assert!(written.unwrap().lines().all(|line| line.starts_with("BATCH_")), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("bitbucket", || Box::new(logged(bitbucket())));
    }
}
