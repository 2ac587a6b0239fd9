//! Hosts: the CI systems, and the terminal where there is none.
//!
//! A host says who runs, how long a job may last, and what an event or the
//! report means in its own language, as effects. It does nothing itself and
//! decides nothing about the run. What a host shows only through its API is a
//! [`Publisher`]'s work, which makes the calls. Hosts do not know each other;
//! this file alone knows their names.
//!
//! Most systems are spoken to in the log and in files: each is a `Language`, and
//! `language.rs` decides what is said, and when. GitHub and the terminal have more to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Clock;
use crate::effects::{self, Effect, LogTarget};
use crate::env::Env;
use crate::error::Error;
use crate::events::Event;
use crate::formats;
use crate::log_lines::{Detail, LogLines};
use crate::report::{Report, RunEntry};
use crate::styled::{Line, Tone};
use crate::values::{Ci, SummaryInput, Verbosity};
use crate::verdict::Verdict;

mod annotation;
mod azure;
mod bitbucket;
mod buildkite;
mod circleci;
mod detection;
mod exported;
mod files;
mod github;
mod gitlab;
mod ids;
mod jenkins;
mod job;
mod language;
mod naming;
mod publisher;
mod rest;
#[cfg(test)]
mod samples;
mod teamcity;
mod terminal;
mod woodpecker;
mod workspace;

use self::annotation::{Annotation, Subject, annotations};
pub(crate) use self::detection::{is_action, is_gitlab, is_plugin};
use self::exported::{Outputs, are_outputs, left_out, lines, render, shell, variable};
pub(crate) use self::files::{NamedFiles, holds_outputs};
use self::ids::Ids;
use self::job::{Job, JobLimit, Run, commit, is_commit, repository};
use self::language::{Language, Logged, Standing};
use self::naming::{CHECK_PREFIX, check_name, check_names, digest_of, ended_as, marker, title, under_way};
use self::publisher::{BATCH_DIGEST, batch_digest, in_time};
pub(crate) use self::publisher::{ClaimedCheck, Claims, HostMark, PublishOptions, Publisher, Reach, Unclaimed, token};
use self::rest::{Rest, Trouble};
use self::workspace::in_workspace;

/// The summary beside the results, for systems that take it from a file.
const SUMMARY: &str = "summary.md";
/// What hosts write beside the results: files of an earlier run are moved away with its results.
pub(crate) const FILES: [&str; 3] = [SUMMARY, gitlab::CODE_QUALITY, gitlab::ANNOTATIONS];

/// A CI system.
pub(crate) trait Host {
    /// Whether it is a CI system: then its defaults count, whoever looks on.
    fn is_ci(&self) -> bool {
        true
    }
    /// Who runs.
    fn identity(&self) -> Identity;
    /// How long a run may last here that begins now, with time left for a cancel. None where the system does not tell when
    /// the job ends.
    fn time_limit(&self) -> Option<Duration>;
    /// What shows runs through the host's API; none where nothing is to be shown there.
    ///
    /// # Errors
    /// Why nothing can be shown there: a sentence that nothing else depends on.
    fn publisher(
        &self,
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        no_publisher(env, options, reach)
    }
    /// The commit that it runs on, where the host shows files of it.
    fn commit(&self) -> Option<Commit> {
        None
    }
    /// The page of a run that [`identity`](Self::identity) named so, if that was a run of this host's.
    fn run_page(&self, _run: &str) -> Option<String> {
        None
    }
    /// What an earlier process of the same step left to be ended.
    fn unfinished(&self) -> Unfinished {
        Unfinished::default()
    }
    /// What to do about an event.
    fn event(&self, event: &Event) -> Vec<Effect>;
    /// What to do about a sentence that closes a command without a report.
    fn note(&self, sentence: &str) -> Vec<Effect> {
        vec![Effect::Log(sentence.to_owned())]
    }
    /// What to do about the report. Called once, at the end.
    fn publish(&self, report: &Report) -> Vec<Effect>;
    /// What to do about the runs that were collected together, and the verdict on all.
    fn publish_runs(&self, verdict: &Verdict, runs: &[RunEntry]) -> Vec<Effect> {
        say(closing_runs(verdict, runs))
    }
}

/// Who runs, as far as the host can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The repository.
    pub repo: Option<String>,
    /// The host, run, attempt, job and step, as `github/123/1/build/evaluate`, at most 512 characters of ASCII.
    pub run: Option<String>,
}

/// A commit of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The directory that it is checked out in.
    pub workspace: PathBuf,
    /// Its full name.
    pub sha: String,
    /// The address that a path in the repository is appended to.
    pub pages: String,
}

impl Commit {
    /// The page of a file by its path in the repository, with `/` between names.
    pub(crate) fn page(&self, path: &str) -> String {
        let parts: Vec<String> = path.split('/').map(|part| utf8_percent_encode(part, IN_PATH).to_string()).collect();
        format!("{}/{}", self.pages, parts.join("/"))
    }
}

/// What a process left to be ended by whoever comes after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unfinished {
    /// The marks of creates whose batch is not known.
    pub creates: Vec<String>,
    /// The batches.
    pub batches: Vec<String>,
    /// The check that is still open.
    pub check: Option<HostMark>,
    /// How the provider was reached: inputs by their names, as [`Event::Connecting`] has them.
    pub inputs: BTreeMap<String, String>,
}

/// What a host should know beside the environment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Whether to write a summary where the host shows one.
    pub summary: SummaryInput,
    /// Where the log goes.
    pub log: LogTarget,
    /// How much it says.
    pub verbosity: Verbosity,
    /// The time of day.
    pub clock: Clock,
}

impl Options {
    /// What the log shows of events. Beside a bar, nothing has to be said of how far all is.
    fn detail(self) -> Detail {
        match (self.verbosity, self.log) {
            (Verbosity::Quiet, _) => Detail::Quiet,
            (Verbosity::Verbose, _) => Detail::Everything,
            (Verbosity::Usual, LogTarget::Terminal) => Detail::BesideBar,
            (Verbosity::Usual, LogTarget::File) => Detail::Changes,
        }
    }
}

/// Where nothing can be shown through an API.
///
/// # Errors
/// Something was to be shown.
fn no_publisher(_: &Env, options: PublishOptions, _: Reach<'_>) -> Result<Option<Box<dyn Publisher>>, Error> {
    if options.is_empty() {
        return Ok(None);
    }
    Err(Error::usage(
        "`comment` and `check-run` work on GitHub, Forgejo, Gitea, GitLab and Bitbucket, and this is none of them",
    ))
}

/// Finds the host, and has it write the files that the user named.
pub(crate) fn detect(env: &Env, ci: Ci, options: Options, files: NamedFiles) -> Box<dyn Host> {
    let host = system(env, if ci == Ci::Auto { detection::shown(env) } else { ci }, options);
    if files.is_empty() { host } else { Box::new(files::WithFiles::new(host, files)) }
}

fn system(env: &Env, ci: Ci, options: Options) -> Box<dyn Host> {
    match ci {
        Ci::GitHub => Box::new(github::GitHub::new(env, options)),
        Ci::Forgejo => Box::new(github::GitHub::forgejo(env, options)),
        Ci::Gitea => Box::new(github::GitHub::gitea(env, options)),
        Ci::GitLab => Box::new(Logged::new(gitlab::GitLab::new(env, options.clock), options)),
        Ci::Azure => Box::new(Logged::new(azure::Azure::new(env, options.summary), options)),
        Ci::Buildkite => Box::new(Logged::new(buildkite::Buildkite::new(env, options.summary), options)),
        Ci::Circle => Box::new(Logged::new(circleci::CircleCi::new(env), options)),
        Ci::TeamCity => Box::new(Logged::new(teamcity::TeamCity::new(env), options)),
        Ci::Bitbucket => Box::new(Logged::new(bitbucket::Bitbucket::new(env), options)),
        Ci::Woodpecker => Box::new(Logged::new(woodpecker::Woodpecker::new(env), options)),
        Ci::Drone => Box::new(Logged::new(woodpecker::Woodpecker::drone(env), options)),
        Ci::Jenkins => Box::new(Logged::new(jenkins::Jenkins::new(env), options)),
        Ci::Auto | Ci::Terminal => Box::new(terminal::Terminal::new(env, options)),
    }
}

/// A file beside the results, where there is a directory of them.
fn beside_results(report: &Report, name: &str) -> Option<PathBuf> {
    Some(Path::new(report.files.report.as_deref()?).parent()?.join(name))
}

/// The log line of an event, if the log shows it, and its hints below.
fn log(lines: &mut LogLines, event: &Event) -> Vec<Line> {
    let hints: &[String] = if let Event::Failed { hints, .. } = event { hints } else { &[] };
    let line = lines.hear(event).map(|line| toned(event, line));
    line.into_iter().chain(hints.iter().map(|hint| effects::hint(hint))).collect()
}

/// These lines on the screen.
fn say(lines: Vec<Line>) -> Vec<Effect> {
    lines.into_iter().map(Effect::Say).collect()
}

/// An event's line in the tones that tell trouble from news.
fn toned(event: &Event, line: String) -> Line {
    let (tone, label) = match event {
        Event::Warned(_) => (Tone::Caution, "Warning:"),
        Event::Failed { .. } => (Tone::Bad, "error:"),
        Event::Troubled { .. } => (Tone::Caution, ""),
        Event::Interrupted { .. } | Event::InterruptedAgain { .. } => (Tone::Strong, ""),
        Event::Started { .. } => (Tone::Faint, ""),
        _ => (Tone::Plain, ""),
    };
    match line.strip_prefix(label).filter(|_| !label.is_empty()) {
        Some(rest) => Line::of(tone, label).with(Tone::Plain, rest),
        None => Line::of(tone, line),
    }
    .hanging(2)
}

/// The lines that close the log.
fn closing(report: &Report, verbosity: Verbosity) -> Vec<Line> {
    match verbosity {
        Verbosity::Quiet => formats::closing_verdict(report),
        // An empty line sets them apart from the log.
        Verbosity::Usual | Verbosity::Verbose => [vec![Line::default()], formats::closing(report)].concat(),
    }
}

/// The lines that close the log of a collection.
fn closing_runs(verdict: &Verdict, runs: &[RunEntry]) -> Vec<Line> {
    [vec![Line::default()], formats::closing_runs(verdict, runs)].concat()
}

/// The longest component of a run's name: five and their slashes stay below 512 characters.
const LONGEST_COMPONENT: usize = 100;

/// Joins the components of a run's name with slashes.
fn run_name(components: [&str; 5]) -> String {
    components.map(component).join("/")
}

/// What is encoded in a component beside all that is not ASCII: what separates, encodes, or cannot be seen.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'/').add(b'%');

/// What is encoded in a name of a path: all but what RFC 3986 calls unreserved.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A component percent-encoded. A long one is cut; its digest keeps it apart from its like.
fn component(text: &str) -> String {
    let mut encoded = utf8_percent_encode(text, ENCODED).to_string();
    if encoded.len() > LONGEST_COMPONENT {
        let digest = blake3::hash(text.as_bytes()).to_hex();
        encoded.truncate(LONGEST_COMPONENT - 17);
        encoded = format!("{encoded}~{}", &digest[..16]);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{component, run_name};

    #[test]
    fn a_runs_name_is_bounded_ascii_without_ambiguity() {
        assert_eq!(run_name(["github", "1", "2", "a/b%", "é\n"]), "github/1/2/a%2Fb%25/%C3%A9%0A");
        let long = "é/".repeat(5_000);
        assert!(run_name([&long; 5]).len() <= 512);
        assert_ne!(component(&long), component(&format!("{long}x")));
    }
}
