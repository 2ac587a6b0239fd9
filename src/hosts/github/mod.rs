//! GitHub Actions, and what speaks its language: Forgejo and Gitea, which differ in what `forge.rs` says.
//!
//! Outputs and the summary go into the files that the runner names, annotations
//! are commands on standard output. Ids are exported as soon as they exist, so
//! that a later step can act on them however this one ends. This file calls
//! nothing: what is shown through GitHub's API is in `api/`.

mod api;
mod commands;
mod forge;
mod pairs;
mod repository;
mod state;
mod summary;

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use self::api::GitHubApi;
use self::commands::{Level, MOST_ANNOTATIONS};
use self::forge::Forge;
use self::pairs::pairs;
use self::repository::Repository;
use self::state::Left;
use self::summary::Summary;
use super::{
    Commit, Host, Identity, Ids, Options, PublishOptions, Publisher, Reach, Unfinished, closing, closing_runs, log,
    run_name, say,
};
use crate::attachment::Owner;
use crate::effects::Effect;
use crate::env::Env;
use crate::error::Error;
use crate::events::Event;
use crate::formats::{self, markdown_paragraph};
use crate::log_lines::LogLines;
use crate::outputs;
use crate::report::{Report, RunEntry};
use crate::values::{OnKill, Verbosity};
use crate::verdict::Verdict;

/// A job on GitHub.
pub(super) struct GitHub {
    identity: Identity,
    outputs: Option<PathBuf>,
    state: Option<PathBuf>,
    summary: Summary,
    workspace: Option<String>,
    said: RefCell<Said>,
    lines: RefCell<LogLines>,
    verbosity: Verbosity,
    left: RefCell<Left>,
    unfinished: Unfinished,
    repository: Option<Repository>,
    forge: Forge,
}

/// What was said so far.
#[derive(Default)]
struct Said {
    ids: Ids,
    warnings: usize,
}

impl GitHub {
    /// Reads the variables of GitHub's runner.
    pub(super) fn new(env: &Env, options: Options) -> Self {
        Self::of(Forge::GitHub, env, options)
    }

    /// Reads the variables of Forgejo's runner.
    pub(super) fn forgejo(env: &Env, options: Options) -> Self {
        Self::of(Forge::Forgejo, env, options)
    }

    /// Reads the variables of Gitea's runner.
    pub(super) fn gitea(env: &Env, options: Options) -> Self {
        Self::of(Forge::Gitea, env, options)
    }

    fn of(forge: Forge, env: &Env, options: Options) -> Self {
        let get = |name| env.get(name).unwrap_or_default();
        let attempt = env.get("GITHUB_RUN_ATTEMPT").unwrap_or("1");
        let run = |id| run_name([forge.word(), id, attempt, get("GITHUB_JOB"), get("GITHUB_ACTION")]);
        Self {
            identity: Identity {
                repo: env.get("GITHUB_REPOSITORY").map(str::to_owned),
                run: env.get("GITHUB_RUN_ID").map(run),
            },
            outputs: env.get("GITHUB_OUTPUT").map(PathBuf::from),
            state: env.get("GITHUB_STATE").map(PathBuf::from),
            summary: Summary::new(env, options.summary),
            workspace: env.get("GITHUB_WORKSPACE").map(str::to_owned),
            said: RefCell::default(),
            lines: RefCell::new(LogLines::new(options.detail())),
            verbosity: options.verbosity,
            left: RefCell::default(),
            unfinished: state::unfinished(env),
            repository: Repository::find(env, forge),
            forge,
        }
    }

    fn export(&self, outputs: &[(&str, String)]) -> Option<Effect> {
        Some(pairs(self.outputs.as_ref()?, outputs))
    }

    /// Leaves something for the action's `post`, which runs however this process ends.
    fn remember_for_post(&self, state: &[(&str, String)]) -> Option<Effect> {
        Some(pairs(self.state.as_ref()?, state))
    }

    /// Leaves to `post` what it has to end if this process is killed from here on.
    fn leave_to_post(&self, change: impl FnOnce(&mut Left)) -> Option<Effect> {
        change(&mut self.left.borrow_mut());
        self.remember_for_post(&self.left.borrow().pairs())
    }

    fn export_ids(&self) -> Option<Effect> {
        self.export(&self.said.borrow().ids.outputs())
    }

    fn warn(&self, warning: &str) -> Vec<Effect> {
        let mut said = self.said.borrow_mut();
        said.warnings += 1;
        // The last one that the runner keeps is left for the verdict.
        if said.warnings < MOST_ANNOTATIONS {
            return vec![commands::command(Level::Warning, "batchstep", warning)];
        }
        vec![Effect::Log(format!("Warning: {warning}"))]
    }

    fn log(&self, event: &Event) -> Vec<Effect> {
        say(log(&mut self.lines.borrow_mut(), event))
    }

    /// What the runner gave us no file for.
    fn lacks(&self) -> Vec<Effect> {
        let outputs = self.outputs.is_none().then_some("Step outputs are not written: GITHUB_OUTPUT is not set");
        let summary = matches!(self.summary, Summary::NoFile);
        let summary = summary.then_some("The summary is not written: GITHUB_STEP_SUMMARY is not set");
        outputs.into_iter().chain(summary).map(|line| Effect::Log(line.to_owned())).collect()
    }
}

impl Host for GitHub {
    fn identity(&self) -> Identity {
        self.identity.clone()
    }

    fn time_limit(&self) -> Option<Duration> {
        self.forge.time_limit()
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
        match self.forge.lacks(&options) {
            None => Ok(Some(Box::new(GitHubApi::new(env, options, reach)?))),
            Some(why) if !options.comment => Err(why),
            Some(why) => {
                let options = PublishOptions { check_run: false, ..options };
                Ok(Some(Box::new(GitHubApi::new(env, options, reach)?.lacking(&why))))
            }
        }
    }

    fn commit(&self) -> Option<Commit> {
        self.repository.as_ref()?.commit(self.workspace.as_deref()?)
    }

    fn run_page(&self, run: &str) -> Option<String> {
        self.repository.as_ref()?.run_page(run)
    }

    fn unfinished(&self) -> Unfinished {
        self.unfinished.clone()
    }

    fn event(&self, event: &Event) -> Vec<Effect> {
        self.said.borrow_mut().ids.hear(event);
        let mut state = None;
        match event {
            Event::Connecting { inputs } => return self.remember_for_post(inputs).into_iter().collect(),
            Event::Creating { create, on_kill, .. } => {
                return self.leave_to_post(|left| left.creating(create, *on_kill)).into_iter().collect();
            }
            Event::Watching { batch_ids } => {
                let watch = |left: &mut Left| {
                    batch_ids.iter().for_each(|id| left.found(id));
                    left.arm(OnKill::Cancel);
                };
                return self.leave_to_post(watch).into_iter().collect();
            }
            Event::Settled { batch_ids, creates } => {
                return self.leave_to_post(|left| left.settle(batch_ids, creates)).into_iter().collect();
            }
            Event::Uploaded { .. } => {}
            Event::Created { create, batch_id, .. } => {
                state = self.leave_to_post(|left| left.created(create, batch_id));
            }
            Event::Attached { batch_id, attachment, on_kill, instead_of, .. } => {
                state = self.leave_to_post(|left| {
                    // What was made before it is given up.
                    if let Some((batch, _)) = instead_of {
                        left.gave_up(batch);
                    }
                    if attachment.owner == Owner::ThisRun {
                        left.found(batch_id);
                    }
                    left.arm(*on_kill);
                });
            }
            Event::CheckOpened { id, .. } => {
                let state = self.remember_for_post(&[("check", id.clone())]);
                return state.into_iter().chain(self.log(event)).collect();
            }
            Event::CheckClosed => return self.remember_for_post(&[("check", String::new())]).into_iter().collect(),
            Event::Noticed(notice) => return vec![commands::command(Level::Notice, "batchstep", notice)],
            Event::Warned(warning) => return self.warn(warning),
            Event::Failed { outcome, sentence, hints } => {
                let effects = self.export(&[("outcome", outcome.word().to_owned())]).into_iter();
                let effects = effects.chain(self.summary.add(&formats::markdown_failure(*outcome, sentence, hints)));
                let lines: Vec<&str> = std::iter::once(sentence).chain(hints).map(String::as_str).collect();
                let title = format!("batchstep::{}", outcome.word());
                let error = commands::command(Level::Error, &title, &lines.join("\n"));
                return effects.chain(self.log(event)).chain([error]).collect();
            }
            _ => return self.log(event),
        }
        // The ids come first: they matter even if the log cannot be written.
        state.into_iter().chain(self.export_ids()).chain(self.log(event)).collect()
    }

    fn note(&self, sentence: &str) -> Vec<Effect> {
        self.summary.add(&markdown_paragraph(sentence)).into_iter().chain([Effect::Log(sentence.to_owned())]).collect()
    }

    fn publish(&self, report: &Report) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.export(&outputs::of(report)).into_iter().collect();
        effects.extend(self.summary.of(report));
        effects.extend(say(closing(report, self.verbosity)));
        effects.extend(commands::commands(report, self.workspace.as_deref()));
        effects.extend(self.lacks());
        effects
    }

    fn publish_runs(&self, verdict: &Verdict, runs: &[RunEntry]) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.export(&outputs::of_runs(verdict.outcome, runs)).into_iter().collect();
        effects.extend(self.summary.add(&formats::runs_markdown(verdict, runs)));
        effects.extend(say(closing_runs(verdict, runs)));
        effects.extend(self.lacks());
        effects
    }
}

fn remember(ids: &mut Vec<String>, id: &str) {
    if !ids.iter().any(|known| known == id) {
        ids.push(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    use batchstep_test_support::github_runner::{self as runner, Command};

    use super::{GitHub, Host, OnKill, Options};
    use crate::effects::{Effect, Screen};
    use crate::env::Env;
    use crate::error::{Exit, Outcome};
    use crate::events::Event;
    use crate::formats::samples::{self, HOSTILE};
    use crate::outputs;
    use crate::report::Report;
    use crate::values::SummaryInput;

    fn options(summary: SummaryInput) -> Options {
        Options { summary, ..crate::hosts::samples::options() }
    }

    fn github(dir: &Path, summary: SummaryInput) -> GitHub {
        let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let pairs = [
            ("GITHUB_REPOSITORY", "octo/repo".to_owned()),
            ("GITHUB_RUN_ID", "123".to_owned()),
            ("GITHUB_JOB", "build".to_owned()),
            ("GITHUB_ACTION", "__octo_batchstep".to_owned()),
            ("GITHUB_WORKSPACE", "/home/ci/repo".to_owned()),
            ("GITHUB_OUTPUT", file("output")),
            ("GITHUB_STEP_SUMMARY", file("summary")),
        ];
        GitHub::new(&pairs.into_iter().collect(), options(summary))
    }

    /// What the runner sees: the commands, and the outputs read back.
    fn carry_out(dir: &Path, effects: Vec<Effect>) -> (Vec<Command>, Vec<(String, String)>) {
        let text = |effect: &Effect| match effect {
            Effect::Command(line) => Some(line.clone()),
            Effect::Log(line) => Some(crate::text::safe(line)),
            Effect::Say(line) => Some(line.safe().text()),
            _ => None,
        };
        let commands = effects.iter().filter_map(text).filter_map(|line| runner::command(&line)).collect();
        assert!(Screen::new(Box::new(io::sink()), Box::new(io::sink())).apply(effects).is_empty());
        let outputs = fs::read_to_string(dir.join("output")).unwrap_or_default();
        (commands, runner::outputs(&outputs).unwrap())
    }

    fn published(report: &Report) -> (Vec<Command>, Vec<(String, String)>) {
        let dir = tempfile::tempdir().unwrap();
        carry_out(dir.path(), github(dir.path(), SummaryInput::Write).publish(report))
    }

    fn expected(report: &Report) -> Vec<(String, String)> {
        outputs::of(report).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn property<'a>(command: &'a Command, name: &str) -> &'a str {
        command.properties.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    #[test]
    fn the_identity_and_the_limit_are_the_jobs() {
        let host = github(Path::new("/x"), SummaryInput::Write);
        assert_eq!(host.identity().repo.as_deref(), Some("octo/repo"));
        assert_eq!(host.identity().run.as_deref(), Some("github/123/1/build/__octo_batchstep"));
        assert_eq!(host.time_limit(), Some(Duration::from_secs(19_800)));
        assert_eq!(
            GitHub::new(&Env::default(), options(SummaryInput::Write)).identity(),
            crate::hosts::Identity::default()
        );
    }

    #[test]
    fn ids_are_exported_when_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let host = github(dir.path(), SummaryInput::Write);
        let outputs =
            |effects| carry_out(dir.path(), effects).1.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        let uploaded = Event::Uploaded { file_id: "file-1".into(), bytes: 9, took: Duration::ZERO };
        assert_eq!(outputs(host.event(&uploaded)), ["file-1", "", "[]"]);
        let (batch_id, input_file_id) = ("batch_1".to_owned(), "file-1".to_owned());
        let effects = host.event(&Event::Created { create: String::new(), batch_id, input_file_id, found: false });
        assert!(matches!(&effects[..], [Effect::Append(..), Effect::Say(_)]), "{effects:?}");
        assert_eq!(outputs(effects), ["file-1", "batch_1", r#"["batch_1"]"#]);
    }

    #[test]
    fn the_state_is_armed_before_the_create_and_disarmed_at_an_orderly_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let env: Env = [("GITHUB_ACTIONS", "true"), ("GITHUB_STATE", path.to_str().unwrap())].into_iter().collect();
        let host = GitHub::new(&env, options(SummaryInput::Write));
        let creating = |on_kill| Event::Creating { create: "c1".into(), on_kill };
        let created =
            Event::Created { create: "c1".into(), batch_id: "b1".into(), input_file_id: "file-1".into(), found: false };
        let state = |effects: Vec<Effect>| -> Vec<String> {
            let mut screen = Screen::new(Box::new(io::sink()), Box::new(io::sink()));
            assert!(screen.apply(effects).is_empty());
            let text = fs::read_to_string(&path).unwrap();
            runner::outputs(&text).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(state(host.event(&creating(OnKill::Cancel))), ["create=c1", "batch=", "armed=true"]);
        assert_eq!(state(host.event(&created)), ["create=", "batch=b1", "armed=true"]);
        let settled = |ids: &[&str]| {
            let batch_ids = ids.iter().map(|id| (*id).to_owned()).collect();
            Event::Settled { batch_ids, creates: Vec::new() }
        };
        // What was handed over is named no more; what could not be ended still is.
        assert_eq!(state(host.event(&settled(&["b1"]))), ["create=", "batch=b1", "armed=true"]);
        assert_eq!(state(host.event(&settled(&[]))), ["create=", "batch=", "armed=false"]);
        assert_eq!(state(host.event(&creating(OnKill::Leave))).last().unwrap(), "armed=false");
        let opened = Event::CheckOpened { id: "7".into(), name: "batchstep: x".into(), on: "commit abc".into() };
        assert_eq!(state(host.event(&opened)).last().unwrap(), "check=7");
        assert_eq!(state(host.event(&Event::CheckClosed)).last().unwrap(), "check=");
    }

    #[test]
    fn warnings_leave_room_for_the_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let host = github(dir.path(), SummaryInput::Write);
        let effects = (0..20).flat_map(|_| host.event(&Event::Warned("50% of\nit".to_owned()))).collect();
        let (commands, _) = carry_out(dir.path(), effects);
        assert_eq!(commands.len(), 9);
        assert_eq!((commands[0].name.as_str(), commands[0].data.as_str()), ("warning", "50% of\nit"));
    }

    #[test]
    fn the_verdict_is_the_first_annotation() {
        let title_of = |report: &Report| {
            let (commands, outputs) = published(report);
            assert_eq!(outputs, expected(report));
            let faults: usize = report.batches.iter().map(|batch| batch.errors.len()).sum();
            assert_eq!(commands.len(), 1 + faults, "{commands:?}");
            format!("{}: {}", commands[0].name, property(&commands[0], "title"))
        };
        assert_eq!(title_of(&samples::succeeded()), "notice: batchstep::succeeded");
        assert_eq!(title_of(&samples::partial()), "warning: batchstep::partial");
        assert_eq!(title_of(&samples::failed_validation()), "error: batchstep::failed");
        assert_eq!(title_of(&samples::simulated()), "notice: batchstep::succeeded (SIMULATED)");
        let mut cancelled = samples::partial();
        samples::set_verdict(&mut cancelled, Outcome::Cancelled, Exit::Signal(15), "stopped");
        assert_eq!(title_of(&cancelled), "error: batchstep::cancelled");
    }

    #[test]
    fn the_first_ten_faults_are_annotations_in_their_files() {
        let mut report = samples::invalid();
        let fault = report.faults[0].clone();
        report.faults = vec![fault.clone(); 30];
        report.faults[0].file = "/home/ci/repo/data/a,b:c.jsonl".to_owned();
        report.faults[1].file = "standard input".to_owned();
        report.faults[2].line = None;
        report.faults[4].last_line = Some(40);
        report.faults[3].found = "é".repeat(100_000);
        let (commands, _) = published(&report);
        assert_eq!(commands.len(), 10);
        assert!(commands.iter().all(|command| command.name == "error" && command.data.chars().count() <= 4_096));
        assert_eq!(property(&commands[0], "file"), "data/a,b:c.jsonl");
        assert_eq!(property(&commands[0], "line"), "3");
        assert_eq!(property(&commands[1], "file"), "");
        assert_eq!((property(&commands[2], "line"), property(&commands[2], "col")), ("", ""));
        assert_eq!((property(&commands[0], "endLine"), property(&commands[4], "endLine")), ("", "40"));
    }

    #[test]
    fn the_providers_faults_are_annotations_too() {
        let mut report = samples::failed_validation();
        let fault = report.batches[0].errors[0].clone();
        report.batches[0].errors.resize(30, fault);
        report.batches[0].errors[1].line = None;
        let (commands, _) = published(&report);
        assert_eq!(commands.len(), 10);
        let place = (property(&commands[1], "file"), property(&commands[1], "line"));
        assert_eq!(
            (place, commands[1].data.as_str()),
            (("requests.jsonl", "7"), "model_not_found: The model `gpt-9` does not exist.")
        );
    }

    #[test]
    fn a_failure_before_the_run_is_an_annotation_with_the_hint_and_an_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let failed = Event::failed(&crate::error::Error::usage("`api-key` is missing.").hint("Set it."));
        let (commands, outputs) = carry_out(dir.path(), github(dir.path(), SummaryInput::Write).event(&failed));
        let [command] = &commands[..] else { panic!("{commands:?}") };
        assert_eq!((command.name.as_str(), property(command, "title")), ("error", "batchstep::usage"));
        assert_eq!(command.data, "`api-key` is missing.\nSet it.");
        assert_eq!(outputs, [("outcome".to_owned(), "usage".to_owned())]);
    }

    #[test]
    fn a_missing_file_is_said_once_and_an_unwanted_summary_never() {
        let said = |host: GitHub| {
            let effects = host.publish(&samples::succeeded()).into_iter();
            let missing = |effect| matches!(effect, Effect::Log(line) if line.contains("is not set"));
            effects.map(missing).filter(|missing| *missing).count()
        };
        assert_eq!(said(GitHub::new(&Env::default(), options(SummaryInput::Write))), 2);
        assert_eq!(said(GitHub::new(&Env::default(), options(SummaryInput::Omit))), 1);
        let dir = tempfile::tempdir().unwrap();
        carry_out(dir.path(), github(dir.path(), SummaryInput::Omit).publish(&samples::succeeded()));
        assert!(!dir.path().join("summary").exists());
    }

    #[test]
    fn hostile_text_issues_no_command_and_forges_no_output() {
        for text in HOSTILE {
            let report = samples::hostile(text);
            let (commands, outputs) = published(&report);
            let names: Vec<&str> = commands.iter().map(|command| command.name.as_str()).collect();
            assert_eq!(names, ["warning", "error"], "{text:?} {commands:?}");
            assert_eq!(outputs, expected(&report));
            let (commands, _) = published(&samples::hostile_faults(text));
            assert!(commands.iter().all(|command| command.name == "error"), "{text:?} {commands:?}");
            assert_eq!(commands.len(), 2, "{text:?} {commands:?}");
        }
    }
}
