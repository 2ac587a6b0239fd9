//! TeamCity, which reads service messages on standard output
//! (<https://www.jetbrains.com/help/teamcity/service-messages.html>).
//!
//! It colours what comes on standard error as an error, so here the log is made of messages too.

use std::fmt::Write as _;
use std::path::{Component, Path};

use super::{Identity, Job, Language, Outputs, Standing, variable};
use crate::effects::Effect;
use crate::env::Env;
use crate::report::Report;
use crate::styled::Line;
use crate::text::{safe, shorten};

/// The block in the log.
const BLOCK: &str = "batchstep";
/// The longest description of a build's problem, in characters.
const LONGEST_PROBLEM: usize = 4_000;

/// A build of TeamCity's.
pub(super) struct TeamCity {
    job: Job,
}

impl TeamCity {
    /// Reads the build's variables. None of them names the repository: the project stands for it. None of them tells this
    /// build from all others, either: a build's number is what its configuration makes of it, and may occur twice.
    pub(super) fn new(env: &Env) -> Self {
        let repo = env.get("TEAMCITY_PROJECT_NAME").map(|project| format!("teamcity/{project}"));
        Self { job: Job { identity: Identity { repo, run: None }, ..Job::default() } }
    }
}

impl Language for TeamCity {
    fn job(&self) -> &Job {
        &self.job
    }

    fn say(&self, line: Line) -> Effect {
        said("NORMAL", &line.text())
    }

    fn fold(&self) -> Option<Effect> {
        Some(message("blockOpened", &[("name", BLOCK)]))
    }

    fn unfold(&self) -> Option<Effect> {
        Some(message("blockClosed", &[("name", BLOCK)]))
    }

    fn warning(&self, text: &str) -> Option<Effect> {
        Some(said("WARNING", &format!("Warning: {text}")))
    }

    fn verdict(&self, standing: Standing, sentences: &[&str]) -> Vec<Effect> {
        let first = sentences.first().map(|sentence| safe(sentence)).unwrap_or_default();
        let status = message("buildStatus", &[("text", &format!("{{build.status.text}}; batchstep: {first}"))]);
        let problem = || {
            let all: Vec<String> = sentences.iter().map(|sentence| safe(sentence)).collect();
            let description = shorten(&all.join(" "), LONGEST_PROBLEM - 1);
            message("buildProblem", &[("description", &description), ("identity", "batchstep")])
        };
        if standing == Standing::Bad { vec![problem()] } else { vec![status] }
    }

    /// As variables of the environment of the steps that follow.
    fn export(&self, outputs: &Outputs) -> Option<Effect> {
        let line = |(name, value): &(&str, String)| {
            text_of("setParameter", &[("name", &format!("env.{}", variable(name))), ("value", value)])
        };
        Some(Effect::Command(outputs.iter().map(line).collect::<Vec<_>>().join("\n")))
    }

    /// <https://www.jetbrains.com/help/teamcity/using-build-parameters.html>. That it resolves them in what a message sets
    /// is not documented, and nor is the contrary.
    fn reference(&self) -> Option<&'static str> {
        Some("%")
    }

    fn show(&self, report: &Report) -> Vec<Effect> {
        let junit = report.files.junit.as_deref().and_then(|path| std::path::absolute(path).ok());
        let tests = junit.map(|path| text_of("importData", &[("type", "junit"), ("path", &path.to_string_lossy())]));
        let dir = report.files.report.as_deref().and_then(|path| Path::new(path).parent());
        tests.map(Effect::Command).into_iter().chain(dir.and_then(artifacts)).collect()
    }
}

/// Publishes a directory, but none that the step runs in. TeamCity looks for relative paths in the checkout, wherever the
/// step runs, so paths are absolute here (<https://www.jetbrains.com/help/teamcity/configuring-general-settings.html#Artifact+Paths>).
fn artifacts(given: &Path) -> Option<Effect> {
    let dir = std::path::absolute(given).ok()?;
    if std::path::absolute(".").ok()?.starts_with(&dir) {
        return None;
    }
    let is_below = given.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let target = if is_below { given } else { Path::new(dir.file_name()?) };
    let (name, path) = (target.to_string_lossy(), dir.to_string_lossy());
    let is_plain = !path.contains("=>") && !path.contains([',', '\n', '*', '?']);
    is_plain.then(|| Effect::Command(text_of("publishArtifacts", &[("", &format!("{path} => {name}"))])))
}

/// A line of the log.
fn said(status: &str, text: &str) -> Effect {
    message("message", &[("text", &safe(text)), ("status", status)])
}

fn message(name: &str, attributes: &[(&str, &str)]) -> Effect {
    Effect::Command(text_of(name, attributes))
}

/// An attribute without a name is the only one of its message.
fn text_of(name: &str, attributes: &[(&str, &str)]) -> String {
    let mut text = format!("##teamcity[{name}");
    for (key, value) in attributes {
        let equals = if key.is_empty() { "" } else { "=" };
        let _ = write!(text, " {key}{equals}'{}'", escape(value));
    }
    text + "]"
}

/// <https://www.jetbrains.com/help/teamcity/service-messages.html#Escaped+Values>
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\'' | '[' | ']' => escaped.extend(['|', c]),
            '\n' => escaped += "|n",
            '\r' => escaped += "|r",
            ' '..='~' => escaped.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(escaped, "|0x{unit:04X}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::readers;

    use super::TeamCity;
    use crate::formats::samples::{self, HOSTILE};
    use crate::hosts::samples::{commands, golden, log_of, logged};
    use crate::hosts::variable;
    use crate::hosts::{Host as _, Identity};
    use crate::outputs;

    fn teamcity() -> TeamCity {
        let variables = [("TEAMCITY_VERSION", "2026.1 (build 1)"), ("TEAMCITY_PROJECT_NAME", "Search")];
        TeamCity::new(&variables.into_iter().collect())
    }

    #[test]
    fn the_job_is_what_its_variables_say() {
        let host = logged(teamcity());
        assert_eq!(host.identity(), Identity { repo: Some("teamcity/Search".to_owned()), run: None });
        assert_eq!(host.time_limit(), None);
    }

    #[test]
    fn everything_is_a_message_and_hostile_text_forges_none() {
        for text in HOSTILE.iter().copied().chain(["|'] ##teamcity[buildStop]", "é😀|", "%env.KEY%"]) {
            let report = samples::hostile(text);
            let log = log_of(&logged(teamcity()), &report, text);
            let mut set = Vec::new();
            for line in log.lines() {
                assert_eq!(line.matches("##teamcity[").count(), 1, "{text:?}: {line}");
                let message = readers::teamcity(line).unwrap_or_else(|| panic!("{text:?}: {line}"));
                match message.name.as_str() {
                    "setParameter" => {
                        set.push((message.properties["name"].clone(), message.properties["value"].clone()));
                    }
                    "blockOpened" | "blockClosed" => assert_eq!(message.properties["name"], "batchstep"),
                    "message" | "buildStatus" | "buildProblem" | "importData" | "publishArtifacts" => {}
                    other => panic!("{text:?} issued {other}"),
                }
            }
            let kept = |value: String| if value.contains('%') { String::new() } else { value };
            let expected =
                outputs::of(&report).into_iter().map(|(name, value)| (format!("env.{}", variable(name)), kept(value)));
            assert!(set.ends_with(&expected.collect::<Vec<_>>()), "{text:?}: {set:?}");
            assert_eq!(log.contains("is empty for later steps"), text.contains('%'), "{text:?}");
        }
    }

    #[test]
    fn a_failure_is_a_problem_of_the_build_and_all_else_its_status() {
        let names = |report: &crate::report::Report| {
            let messages = commands(&logged(teamcity()).publish(report));
            let names = messages.iter().filter_map(|line| readers::teamcity(line)).map(|message| message.name);
            names.filter(|name| name.starts_with("build") || name == "publishArtifacts").collect::<Vec<_>>()
        };
        assert_eq!(names(&samples::succeeded()), ["publishArtifacts", "buildStatus"]);
        assert_eq!(names(&samples::failed_validation()), ["publishArtifacts", "buildProblem"]);
    }

    #[test]
    fn directories_are_published_by_their_paths_and_never_the_checkout() {
        let here = std::env::current_dir().unwrap().display().to_string();
        let published = |dir: &str| {
            let shown = super::artifacts(std::path::Path::new(dir)).into_iter().collect::<Vec<_>>();
            commands(&shown).concat().replace(&here, "[here]")
        };
        assert_eq!(
            published("a/results"),
            "##teamcity[publishArtifacts '|[here|]/a/results => a/results']".replace("|[here|]", "[here]")
        );
        assert_eq!(published("/else/where"), "##teamcity[publishArtifacts '/else/where => where']");
        for unpublished in [".", "", &here, "/", "a,b", "a*"] {
            assert_eq!(published(unpublished), "", "{unpublished}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_people_and_the_system_read() {
        golden("teamcity", || Box::new(logged(teamcity())));
    }
}
