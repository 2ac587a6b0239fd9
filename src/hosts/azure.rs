//! Azure Pipelines (<https://learn.microsoft.com/azure/devops/pipelines/build/variables>), whose logging commands stand in
//! the log (<https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>).

use std::path::Path;

use percent_encoding::utf8_percent_encode;

use super::{
    Annotation, IN_PATH, Job, Language, Outputs, Run, SUMMARY, Standing, beside_results, commit, repository, variable,
};
use crate::effects::Effect;
use crate::env::Env;
use crate::formats::{self, Format};
use crate::report::Report;
use crate::text::safe;
use crate::values::SummaryInput;

/// A job of Azure's.
pub(super) struct Azure {
    job: Job,
    summary: SummaryInput,
}

impl Azure {
    /// Reads the agent's variables.
    pub(super) fn new(env: &Env, summary: SummaryInput) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let job = [get("SYSTEM_STAGENAME"), get("SYSTEM_JOBNAME")].join(".");
        let (number, attempt) = (get("BUILD_BUILDID"), env.get("SYSTEM_JOBATTEMPT").unwrap_or("1"));
        let run = Run { system: "azure", series: "", number, attempt, job: job.trim_matches('.'), step: "" };
        let repo = env.get("BUILD_REPOSITORY_URI").and_then(repository);
        let repo = repo.or_else(|| env.get("BUILD_REPOSITORY_NAME").map(str::to_owned));
        let collection = get("SYSTEM_COLLECTIONURI").trim_end_matches('/');
        let project = utf8_percent_encode(get("SYSTEM_TEAMPROJECT"), IN_PATH);
        // Files of a repository at GitHub have pages with lines; those of Azure Repos have their lines in a query.
        let is_github = env.get("BUILD_REPOSITORY_PROVIDER") == Some("GitHub");
        let blob = |sha: &str| format!("https://github.com/{}/blob/{sha}", get("BUILD_REPOSITORY_NAME"));
        let commit = is_github.then(|| commit(env, "BUILD_SOURCEVERSION", "BUILD_SOURCESDIRECTORY", blob)).flatten();
        let job = Job {
            identity: run.identity(repo),
            pages: run.pages(&format!("{collection}/{project}/_build/results?buildId=")),
            commit,
            workspace: env.get("BUILD_SOURCESDIRECTORY").map(str::to_owned),
            limit: None,
        };
        Self { job, summary }
    }
}

impl Language for Azure {
    fn job(&self) -> &Job {
        &self.job
    }

    fn fold(&self) -> Option<Effect> {
        Some(Effect::Mark("##[group]batchstep".to_owned()))
    }

    fn unfold(&self) -> Option<Effect> {
        Some(Effect::Mark("##[endgroup]".to_owned()))
    }

    fn warning(&self, text: &str) -> Option<Effect> {
        Some(command("task.logissue", &[("type", "warning")], text))
    }

    fn on_line(&self, error: &Annotation) -> Option<Effect> {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (path, line, column) = (error.path.as_deref()?, number(error.line), number(error.column));
        let properties = [("type", "error"), ("sourcepath", path), ("linenumber", &line), ("columnnumber", &column)];
        Some(command("task.logissue", &properties, &format!("{}: {}", error.subject.title(), error.message)))
    }

    fn verdict(&self, standing: Standing, sentences: &[&str]) -> Vec<Effect> {
        let issue = |kind| command("task.logissue", &[("type", kind)], &sentences.join("\n"));
        match standing {
            Standing::Good => Vec::new(),
            // The step is orange then, and neither green nor red.
            Standing::Partial => {
                vec![issue("warning"), command("task.complete", &[("result", "SucceededWithIssues")], "")]
            }
            Standing::Bad => vec![issue("error")],
        }
    }

    /// As output variables: a step that is named `batch` has `batch.BATCH_OUTCOME`.
    fn export(&self, outputs: &Outputs) -> Option<Effect> {
        let line = |(name, value): &(&str, String)| {
            let properties = [("variable", variable(name)), ("isOutput", "true".to_owned())];
            let properties = properties.each_ref().map(|(name, value)| (*name, value.as_str()));
            text_of("task.setvariable", &properties, &escape(value))
        };
        Some(Effect::Command(outputs.iter().map(line).collect::<Vec<_>>().join("\n")))
    }

    /// <https://learn.microsoft.com/azure/devops/pipelines/process/variables#macro-syntax-variables>
    fn reference(&self) -> Option<&'static str> {
        Some("$(")
    }

    fn show(&self, report: &Report) -> Vec<Effect> {
        let wanted = Some(report).filter(|_| self.summary == SummaryInput::Write);
        let Some(path) = wanted.and_then(|report| beside_results(report, SUMMARY)) else { return Vec::new() };
        let markdown = formats::without_alerts(&Format::Markdown.render(report));
        // The agent takes absolute paths only.
        let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        vec![Effect::Write(path, markdown), upload(&absolute)]
    }
}

fn upload(path: &Path) -> Effect {
    Effect::Command(text_of("task.uploadsummary", &[], &escape(&path.display().to_string())))
}

/// A command with text for people, from which all that steers a log is gone.
fn command(name: &str, properties: &[(&str, &str)], text: &str) -> Effect {
    let lines: Vec<String> = text.lines().map(safe).collect();
    let properties: Vec<(&str, String)> = properties.iter().map(|(name, value)| (*name, safe(value))).collect();
    let properties: Vec<(&str, &str)> = properties.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Effect::Command(text_of(name, &properties, &escape(&lines.join("\n"))))
}

/// A command whose data is escaped already. Empty properties are left out.
fn text_of(name: &str, properties: &[(&str, &str)], data: &str) -> String {
    let property = |(name, value): &(&str, &str)| format!("{name}={};", escape(value));
    let properties: String = properties.iter().filter(|(_, value)| !value.is_empty()).map(property).collect();
    let space = if properties.is_empty() { "" } else { " " };
    format!("##vso[{name}{space}{properties}]{data}")
}

/// As the agent decodes it: `CommandStringConvertor` of microsoft/azure-pipelines-agent.
fn escape(text: &str) -> String {
    let text = text.replace('%', "%AZP25").replace(';', "%3B").replace('\r', "%0D").replace('\n', "%0A");
    text.replace(']', "%5D")
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::readers;

    use super::{Azure, Effect, Language, Standing};
    use crate::env::Env;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{commands, golden, log_of, logged, written};
    use crate::hosts::variable;
    use crate::hosts::{Host as _, Identity};
    use crate::outputs;
    use crate::values::SummaryInput;

    fn azure() -> Azure {
        let variables = [
            ("TF_BUILD", "True"),
            ("BUILD_BUILDID", "815"),
            ("SYSTEM_JOBATTEMPT", "2"),
            ("SYSTEM_STAGENAME", "Evaluate"),
            ("SYSTEM_JOBNAME", "batch"),
            ("SYSTEM_COLLECTIONURI", "https://dev.azure.com/acme/"),
            ("SYSTEM_TEAMPROJECT", "Site search"),
            ("BUILD_REPOSITORY_URI", "https://acme@dev.azure.com/acme/search/_git/search"),
            ("BUILD_SOURCESDIRECTORY", "/agent/_work/1/s"),
        ];
        Azure::new(&variables.into_iter().collect(), SummaryInput::Write)
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(azure());
        let repo = Some("dev.azure.com/acme/search/_git/search".to_owned());
        let run = "azure/815/2/Evaluate.batch/";
        assert_eq!(host.identity(), Identity { repo, run: Some(run.to_owned()) });
        let page = "https://dev.azure.com/acme/Site%20search/_build/results?buildId=815";
        assert_eq!(host.run_page(run).as_deref(), Some(page));
        assert_eq!(host.time_limit(), None, "the agent does not tell it");
        assert_eq!(logged(Azure::new(&Env::default(), SummaryInput::Write)).identity(), Identity::default());
    }

    #[test]
    fn outputs_are_read_back_and_hostile_text_issues_no_other_command() {
        for text in HOSTILE.iter().copied().chain(["100%; ]", "%0A", "%AZP25", "$(NPM_TOKEN)"]) {
            let report = samples::hostile(text);
            let log = log_of(&logged(azure()), &report, text);
            let messages: Vec<readers::Message> = log.lines().filter_map(readers::azure).collect();
            let is_output = |message: &&readers::Message| message.name == "task.setvariable";
            let set = messages.iter().filter(is_output).map(|message| {
                assert_eq!(message.properties["isOutput"], "true");
                (message.properties["variable"].clone(), message.data.clone())
            });
            let set: Vec<(String, String)> = set.collect();
            let kept = |value: String| if value.contains("$(") { String::new() } else { value };
            let expected = outputs::of(&report).into_iter().map(|(name, value)| (variable(name), kept(value)));
            let expected: Vec<(String, String)> = expected.collect();
            assert!(set.ends_with(&expected), "{text:?}");
            assert_eq!(log.contains("is empty for later steps"), text.contains("$("), "{text:?}\n{log}");
            let others = messages.iter().filter(|message| !is_output(message)).map(|message| message.name.as_str());
            let known = ["task.logissue", "task.uploadsummary", "task.complete"];
            assert!(others.clone().all(|name| known.contains(&name)), "{text:?}: {:?}", others.collect::<Vec<_>>());
            let own = ["##vso[", "##[group]", "##[endgroup]"];
            let is_forged = |line: &str| line.contains("##") && !own.iter().any(|begin| line.starts_with(begin));
            assert!(!log.lines().any(is_forged), "{text:?}\n{log}");
        }
    }

    #[test]
    fn faults_are_errors_on_lines_and_the_verdict_colours_the_step() {
        let shown = logged(azure()).publish(&samples::invalid());
        let errors: Vec<readers::Message> = commands(&shown).iter().filter_map(|line| readers::azure(line)).collect();
        let on_line = errors.iter().find(|error| error.properties.contains_key("linenumber")).unwrap();
        assert_eq!((on_line.name.as_str(), on_line.properties["type"].as_str()), ("task.logissue", "error"));
        assert!(on_line.properties["sourcepath"].ends_with(".jsonl"), "{on_line:?}");
        let names = |standing| -> Vec<String> {
            let effects = azure().verdict(standing, &["All is well."]);
            commands(&effects).iter().filter_map(|line| readers::azure(line)).map(|message| message.name).collect()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(names(Standing::Good), none);
        assert_eq!(names(Standing::Partial), ["task.logissue", "task.complete"]);
        assert_eq!(names(Standing::Bad), ["task.logissue"]);
    }

    #[test]
    fn the_summary_is_uploaded_from_beside_the_results() {
        let shown = azure().show(&samples::partial());
        let path = commands(&shown).iter().filter_map(|line| readers::azure(line)).next().unwrap().data;
        assert!(path.ends_with("/batch-results/summary.md") && path.starts_with('/'), "{path}");
        assert!(!written(&shown, "summary.md").contains("[!"));
        let unwanted = Azure::new(&Env::default(), SummaryInput::Omit);
        assert_eq!(unwanted.show(&samples::partial()), Vec::<Effect>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("azure", || Box::new(logged(azure())));
    }
}
