//! Jenkins (<https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables>).
//!
//! It reads nothing out of a log. A pipeline reads the files of `outputs-file` and `junit`.

use super::{Job, Language, Run, repository};
use crate::env::Env;

/// A build of Jenkins'. A build that is repeated gets a new number.
pub(super) struct Jenkins {
    job: Job,
}

impl Jenkins {
    /// Reads the build's variables.
    pub(super) fn new(env: &Env) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let (series, number, job) = (get("JOB_NAME"), get("BUILD_NUMBER"), get("STAGE_NAME"));
        let run = Run { system: "jenkins", series, number, attempt: "1", job, step: "" };
        let job = Job {
            identity: run.identity(env.get("GIT_URL").and_then(repository)),
            pages: run.pages(get("JOB_URL")),
            workspace: env.get("WORKSPACE").map(str::to_owned),
            ..Job::default()
        };
        Self { job }
    }
}

impl Language for Jenkins {
    fn job(&self) -> &Job {
        &self.job
    }
}

#[cfg(test)]
mod tests {
    use super::Jenkins;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{golden, log_of, logged};
    use crate::hosts::{Host as _, Identity};

    fn jenkins() -> Jenkins {
        let variables = [
            ("JENKINS_URL", "https://ci.example/"),
            ("JOB_NAME", "evals/main"),
            ("JOB_URL", "https://ci.example/job/evals/job/main/"),
            ("BUILD_NUMBER", "7"),
            ("BUILD_ID", "7"),
            ("STAGE_NAME", "Evaluate"),
            ("GIT_URL", "https://github.com/acme/evals.git"),
        ];
        Jenkins::new(&variables.into_iter().collect())
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(jenkins());
        let run = "jenkins/evals%2Fmain#7/1/Evaluate/";
        assert_eq!(
            host.identity(),
            Identity { repo: Some("github.com/acme/evals".to_owned()), run: Some(run.to_owned()) }
        );
        assert_eq!(host.run_page(run).unwrap(), "https://ci.example/job/evals/job/main/7");
        assert_eq!(host.time_limit(), None);
    }

    #[test]
    fn hostile_text_adds_no_line() {
        let lines = |text| log_of(&logged(jenkins()), &samples::hostile(text), text).lines().count();
        for text in HOSTILE.iter().filter(|text| !text.trim().is_empty()) {
            assert_eq!(lines(text), lines("tame"), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("jenkins", || Box::new(logged(jenkins())));
    }
}
