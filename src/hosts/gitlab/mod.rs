//! GitLab CI/CD (<https://docs.gitlab.com/ci/variables/predefined_variables/>).
//!
//! It has no file for outputs or a summary of its own: a job names reports in `.gitlab-ci.yml`, and the inputs
//! `outputs-file` and `junit` write them. What else GitLab reads is written beside the results.

mod api;

use serde_json::json;

use self::api::GitLabApi;
use super::{
    Annotation, Job, JobLimit, Language, PublishOptions, Publisher, Reach, Run, annotations, beside_results, commit,
};
use crate::clock::Clock;
use crate::effects::Effect;
use crate::env::Env;
use crate::error::Error;
use crate::report::Report;
use crate::text::{safe, shorten};

/// The report that GitLab shows in merge requests as Code Quality.
pub(super) const CODE_QUALITY: &str = "gl-code-quality.json";
/// The report whose links GitLab shows on the job's page.
pub(super) const ANNOTATIONS: &str = "gl-annotations.json";
/// So many links are on the job's page.
const MOST_LINKS: usize = 20;
/// The name of the section in the log.
const SECTION: &str = "batchstep";

/// A job of GitLab's.
pub(super) struct GitLab {
    job: Job,
    clock: Clock,
}

impl GitLab {
    /// Reads the runner's variables.
    pub(super) fn new(env: &Env, clock: Clock) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let project = get("CI_PROJECT_URL").trim_end_matches('/');
        // A job that is retried gets a new id in the same pipeline, and ids grow.
        let (number, attempt, job) = (get("CI_PIPELINE_ID"), get("CI_JOB_ID"), get("CI_JOB_NAME"));
        let run = Run { system: "gitlab", series: "", number, attempt, job, step: "" };
        let identity = run.identity(env.get("CI_PROJECT_PATH").map(str::to_owned));
        let blob = |sha: &str| format!("{project}/-/blob/{sha}");
        let job = Job {
            identity,
            pages: run.pages(&format!("{project}/-/pipelines/")),
            commit: commit(env, "CI_COMMIT_SHA", "CI_PROJECT_DIR", blob),
            workspace: env.get("CI_PROJECT_DIR").map(str::to_owned),
            limit: JobLimit::seconds(env.get("CI_JOB_TIMEOUT"), env.get("CI_JOB_STARTED_AT")),
        };
        Self { job, clock }
    }

    /// A mark of a section: <https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>.
    fn section(&self, mark: &str, title: &str) -> Effect {
        Effect::Mark(format!("\u{1b}[0Ksection_{mark}:{}:{SECTION}\r\u{1b}[0K{title}", self.clock.unix()))
    }
}

impl Language for GitLab {
    fn job(&self) -> &Job {
        &self.job
    }

    fn fold(&self) -> Option<Effect> {
        Some(self.section("start", "batchstep"))
    }

    fn unfold(&self) -> Option<Effect> {
        Some(self.section("end", ""))
    }

    fn show(&self, report: &Report) -> Vec<Effect> {
        let errors = annotations(report, self.job.workspace.as_deref());
        let quality: Vec<serde_json::Value> = errors.iter().filter_map(issue).collect();
        let file = |(name, content): (&str, serde_json::Value)| {
            Some(Effect::Write(beside_results(report, name)?, format!("{content:#}\n")))
        };
        [(CODE_QUALITY, json!(quality)), (ANNOTATIONS, links(report))].into_iter().filter_map(file).collect()
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
        let api = GitLabApi::new(env, options, reach, self.job.workspace.as_deref())?;
        Ok(Some(Box::new(api)))
    }
}

/// An error on a line: <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>.
fn issue(error: &Annotation) -> Option<serde_json::Value> {
    let (path, line) = (error.path.as_deref()?, error.line.unwrap_or(1));
    let description = format!("{}: {}", error.subject.title(), safe(&error.message));
    let fingerprint = blake3::hash(format!("{path}\n{line}\n{description}").as_bytes()).to_hex().to_string();
    Some(json!({
        "description": description,
        "check_name": "batchstep",
        "fingerprint": fingerprint,
        "severity": "major",
        "location": { "path": safe(path), "lines": { "begin": line } },
    }))
}

/// Links on the job's page: <https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsannotations>.
fn links(report: &Report) -> serde_json::Value {
    let batches = report.batches.iter().filter_map(|batch| {
        let label = format!("Batch {}", shorten(&safe(&batch.id), 60));
        Some(json!({ "external_link": { "label": label, "url": batch.url.as_ref()? } }))
    });
    json!({ "Batches": batches.take(MOST_LINKS).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use batchstep_test_support::readers;

    use super::{Clock, Effect, GitLab, Language, annotations, issue, links};
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{golden, log_of, logged, written};
    use crate::hosts::{Host as _, Identity};

    const VARIABLES: [(&str, &str); 9] = [
        ("GITLAB_CI", "true"),
        ("CI_PROJECT_PATH", "team/project"),
        ("CI_PROJECT_URL", "https://gitlab.example/team/project"),
        ("CI_PIPELINE_ID", "123"),
        ("CI_JOB_ID", "4567"),
        ("CI_JOB_NAME", "evaluate 1/2"),
        ("CI_PROJECT_DIR", "/builds/team/project"),
        ("CI_COMMIT_SHA", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("CI_JOB_TIMEOUT", "3600"),
    ];

    fn gitlab(now: u64) -> GitLab {
        GitLab::new(&VARIABLES.into_iter().collect(), Clock::starting_at(Duration::from_secs(now)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_job_is_what_its_variables_say() {
        let host = logged(gitlab(0));
        let (repo, run) = (Some("team/project".to_owned()), "gitlab/123/4567/evaluate%201%2F2/");
        assert_eq!(host.identity(), Identity { repo, run: Some(run.to_owned()) });
        assert_eq!(host.run_page(run).unwrap(), "https://gitlab.example/team/project/-/pipelines/123");
        assert_eq!(host.time_limit(), Some(Duration::from_secs(35 * 60)));
        let page = host.commit().unwrap().page("data/a b.jsonl");
        assert_eq!(page, format!("https://gitlab.example/team/project/-/blob/{}/data/a%20b.jsonl", "a".repeat(40)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_has_a_section_that_hostile_text_cannot_end() {
        for text in HOSTILE.iter().copied().chain(["\u{1b}[0Ksection_end:0:batchstep\r\u{1b}[0K"]) {
            let log = log_of(&logged(gitlab(1_792_972_800)), &samples::hostile(text), text);
            let marks = readers::gitlab_sections(&log);
            let expected =
                [("start", "batchstep"), ("end", "batchstep")].map(|(kind, name)| (kind.into(), name.into()));
            assert_eq!(marks, expected, "{text:?}\n{log}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_gitlab_reads_is_beside_the_results() {
        let shown = gitlab(0).show(&samples::invalid());
        assert!(
            shown.iter().all(|effect| matches!(effect, Effect::Write(path, _) if path.starts_with("batch-results")))
        );
        let issues: Vec<serde_json::Value> = serde_json::from_str(&written(&shown, "gl-code-quality.json")).unwrap();
        let fault = &issues[0];
        assert_eq!((fault["severity"].as_str(), fault["check_name"].as_str()), (Some("major"), Some("batchstep")));
        assert!(fault["location"]["lines"]["begin"].is_u64() && fault["location"]["path"].is_string(), "{fault}");
        let prints: std::collections::BTreeSet<_> = issues.iter().map(|issue| issue["fingerprint"].as_str()).collect();
        assert_eq!(prints.len(), issues.len());
        for text in HOSTILE {
            let errors = annotations(&samples::hostile_faults(text), None);
            let issues: Vec<String> = errors.iter().filter_map(issue).map(|issue| issue.to_string()).collect();
            assert!(!issues.is_empty() && !issues.iter().any(|issue| issue.contains('\u{1b}')), "{text:?}");
        }
        assert_eq!(links(&samples::invalid()), serde_json::json!({ "Batches": [] }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("gitlab", || Box::new(logged(gitlab(0))));
    }
}
