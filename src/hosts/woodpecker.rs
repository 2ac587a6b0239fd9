//! Woodpecker (<https://woodpecker-ci.org/docs/usage/environment>) and Drone
//! (<https://docs.drone.io/pipeline/environment/reference/>), its ancestor, with variables of other names.
//!
//! Neither has a way to hand outputs on but files in the workspace.

use super::{Job, Language, Run, commit};
use crate::env::Env;

/// A step of Woodpecker's or Drone's. Pipelines that are run again get new numbers.
pub(super) struct Woodpecker {
    job: Job,
}

/// What the variables of a system are called.
struct Names {
    system: &'static str,
    repo: &'static str,
    number: &'static str,
    job: &'static str,
    step: &'static str,
    page: &'static str,
    sha: &'static str,
    workspace: &'static str,
    repo_page: &'static str,
}

const WOODPECKER: Names = Names {
    system: "woodpecker",
    repo: "CI_REPO",
    number: "CI_PIPELINE_NUMBER",
    job: "CI_WORKFLOW_NAME",
    step: "CI_STEP_NAME",
    page: "CI_PIPELINE_URL",
    sha: "CI_COMMIT_SHA",
    workspace: "CI_WORKSPACE",
    repo_page: "CI_REPO_URL",
};

const DRONE: Names = Names {
    system: "drone",
    repo: "DRONE_REPO",
    number: "DRONE_BUILD_NUMBER",
    job: "DRONE_STAGE_NAME",
    step: "DRONE_STEP_NAME",
    page: "DRONE_BUILD_LINK",
    sha: "DRONE_COMMIT_SHA",
    workspace: "DRONE_WORKSPACE",
    repo_page: "DRONE_REPO_LINK",
};

impl Woodpecker {
    /// Reads Woodpecker's variables.
    pub(super) fn new(env: &Env) -> Self {
        Self::named(env, &WOODPECKER)
    }

    /// Reads Drone's variables.
    pub(super) fn drone(env: &Env) -> Self {
        Self::named(env, &DRONE)
    }

    fn named(env: &Env, names: &Names) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let (number, job, step) = (get(names.number), get(names.job), get(names.step));
        let run = Run { system: names.system, series: "", number, attempt: "1", job, step };
        let site = get(names.repo_page).trim_end_matches('/');
        // Other forges show the files of a commit elsewhere.
        let is_github = site.starts_with("https://github.com/");
        let blob = |sha: &str| format!("{site}/blob/{sha}");
        let commit = is_github.then(|| commit(env, names.sha, names.workspace, blob)).flatten();
        let job = Job {
            identity: run.identity(env.get(names.repo).map(str::to_owned)),
            pages: run.pages(get(names.page).strip_suffix(number).unwrap_or_default()),
            commit,
            workspace: env.get(names.workspace).map(str::to_owned),
            limit: None,
        };
        Self { job }
    }
}

impl Language for Woodpecker {
    fn job(&self) -> &Job {
        &self.job
    }
}

#[cfg(test)]
mod tests {
    use super::Woodpecker;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{golden, log_of, logged};
    use crate::hosts::{Host as _, Identity};

    fn woodpecker() -> Woodpecker {
        let variables = [
            ("CI", "woodpecker"),
            ("CI_REPO", "acme/evals"),
            ("CI_PIPELINE_NUMBER", "5"),
            ("CI_PIPELINE_URL", "https://ci.example/repos/1/pipeline/5"),
            ("CI_WORKFLOW_NAME", "nightly"),
            ("CI_STEP_NAME", "evaluate"),
        ];
        Woodpecker::new(&variables.into_iter().collect())
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(woodpecker());
        let run = "woodpecker/5/1/nightly/evaluate";
        assert_eq!(host.identity(), Identity { repo: Some("acme/evals".to_owned()), run: Some(run.to_owned()) });
        assert_eq!(host.run_page(run).unwrap(), "https://ci.example/repos/1/pipeline/5");
        assert_eq!(host.time_limit(), None);
        let drone = [("DRONE_REPO", "acme/evals"), ("DRONE_BUILD_NUMBER", "5"), ("DRONE_STEP_NAME", "evaluate")];
        let drone = logged(Woodpecker::drone(&drone.into_iter().collect()));
        assert_eq!(drone.identity().run.as_deref(), Some("drone/5/1//evaluate"));
    }

    #[test]
    fn hostile_text_adds_no_line() {
        let lines = |text| log_of(&logged(woodpecker()), &samples::hostile(text), text).lines().count();
        for text in HOSTILE.iter().filter(|text| !text.trim().is_empty()) {
            assert_eq!(lines(text), lines("tame"), "{text:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("woodpecker", || Box::new(logged(woodpecker())));
    }
}
