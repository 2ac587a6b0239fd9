//! CircleCI (<https://circleci.com/docs/variables/>).

use std::path::PathBuf;

use super::{Job, Language, Outputs, Run, repository, shell};
use crate::effects::Effect;
use crate::env::Env;

/// A job of CircleCI's. A workflow that is run again is a new one, and so are its jobs.
pub(super) struct CircleCi {
    job: Job,
    exports: Option<PathBuf>,
}

impl CircleCi {
    /// Reads the job's variables.
    pub(super) fn new(env: &Env) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let (number, job, step) = (get("CIRCLE_WORKFLOW_ID"), get("CIRCLE_JOB"), get("CIRCLE_NODE_INDEX"));
        let run = Run { system: "circleci", series: "", number, attempt: "1", job, step };
        let job = Job {
            identity: run.identity(env.get("CIRCLE_REPOSITORY_URL").and_then(repository)),
            pages: run.pages("https://app.circleci.com/pipelines/workflows/"),
            workspace: env.get("CIRCLE_WORKING_DIRECTORY").map(str::to_owned),
            ..Job::default()
        };
        Self { job, exports: env.get("BASH_ENV").map(PathBuf::from) }
    }
}

impl Language for CircleCi {
    fn job(&self) -> &Job {
        &self.job
    }

    /// For the steps that follow, whose shells read this file: <https://circleci.com/docs/env-vars/#parameters-and-bash-environment>.
    fn export(&self, outputs: &Outputs) -> Option<Effect> {
        Some(Effect::Append(self.exports.clone()?, shell(outputs)))
    }
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::readers;

    use super::CircleCi;
    use crate::effects::Effect;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{golden, logged};
    use crate::hosts::{Host as _, Identity};

    fn circleci() -> CircleCi {
        let variables = [
            ("CIRCLECI", "true"),
            ("CIRCLE_WORKFLOW_ID", "5c4b6d1a-0000-4000-8000-000000000000"),
            ("CIRCLE_JOB", "evaluate"),
            ("CIRCLE_NODE_INDEX", "0"),
            ("CIRCLE_REPOSITORY_URL", "git@github.com:acme/evals.git"),
            ("BASH_ENV", "/tmp/.bash_env-1"),
        ];
        CircleCi::new(&variables.into_iter().collect())
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(circleci());
        let run = "circleci/5c4b6d1a-0000-4000-8000-000000000000/1/evaluate/0";
        assert_eq!(
            host.identity(),
            Identity { repo: Some("github.com/acme/evals".to_owned()), run: Some(run.to_owned()) }
        );
        let page = "https://app.circleci.com/pipelines/workflows/5c4b6d1a-0000-4000-8000-000000000000";
        assert_eq!(host.run_page(run).as_deref(), Some(page));
        assert_eq!(host.time_limit(), None, "it depends on the plan, and no variable tells it");
    }

    #[test]
    fn a_later_step_reads_the_outputs_whatever_they_hold() {
        for text in HOSTILE.iter().copied().chain(["$(touch pwned)", "'; touch pwned; '"]) {
            let published = logged(circleci()).publish(&samples::hostile(text));
            let exports = published.iter().find_map(|effect| match effect {
                Effect::Append(path, text) if path.ends_with(".bash_env-1") => Some(text),
                _ => None,
            });
            let read = readers::shell(exports.unwrap());
            assert_eq!(read["BATCH_ID"], text.replace('\0', ""), "{text:?}");
            assert!(!std::path::Path::new("pwned").exists());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("circleci", || Box::new(logged(circleci())));
    }
}
