//! The call: the command line with the inputs of variables and of `batchstep.toml`. If it cannot be
//! read: what is wrong, in the user's own words.
//!
//! clap parses typed flags and variables alike, as `env.rs` hands them over. So its
//! error names a flag where the user wrote an action's input or a variable; here it
//! gets that name back. On a host the mistake is shown like any other failure: it
//! is the first one that a new user meets.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, ValueEnum as _};

use crate::clock::Clock;
use crate::config::Config;
use crate::effects::{Effect, LogTarget, Output, Screen, Stream};
use crate::env::{Env, Terminals};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::hosts::{self, NamedFiles, PublishOptions, Reach};
use crate::inputs::{Cli, READERS, UNBROKEN};
use crate::plan;
use crate::shutdown::Shutdown;
use crate::styled::{Line, Paint, Tone};
use crate::text::shorten;
use crate::values::{Ci, Color, OutputsFile, SummaryFile, SummaryInput, Verbosity};

/// The longest wrong value that is quoted, in characters.
const LONGEST: usize = 100;
/// Commands whose standard output is data for a script: nothing else is printed there.
const DATA: [&str; 6] = ["batch", "file", "report", "providers", "completions", "man"];

/// Where a mistake was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the command line.
    Typed,
    /// In a variable.
    Variable,
    /// In `batchstep.toml`.
    File,
}

/// Why a call is not carried out.
pub enum Refusal {
    /// A mistake in the call, or a call for help; and what `batchstep.toml` sets.
    Call(clap::Error, Config),
    /// `batchstep.toml` cannot be used.
    File(Error),
}

/// Reads the command line, `typed` with its program's name, and the inputs that variables and `batchstep.toml` add.
///
/// # Errors
/// Why the command is not carried out.
pub fn read(typed: &[OsString], env: &Env, terminals: Terminals) -> Result<(Cli, Config), Refusal> {
    let mut config = match std::env::current_dir() {
        Ok(dir) if env.reads_config(typed) => Config::find(&dir).map_err(Refusal::File)?,
        _ => Config::default(),
    };
    let words = env.arguments(typed.to_vec(), &Cli::command(), &mut config);
    match Cli::read(words, terminals) {
        Ok(cli) => config.follow().map_err(Refusal::File).map(|()| (cli, config)),
        Err(error) => Err(Refusal::Call(error, config)),
    }
}

/// Shows why the command line was not carried out: a mistake, or a call for help. Gives the exit code.
pub async fn refuse(refusal: Refusal, typed: &[OsString], env: &Env, shutdown: &Shutdown, screen: &mut Screen) -> Exit {
    let (mistake, place, text) = match refusal {
        Refusal::File(mistake) => (mistake, Place::File, String::new()),
        Refusal::Call(error, config) => {
            let text = error.to_string().replace(UNBROKEN, " ");
            if !error.use_stderr() {
                return help(&error, &text, typed, env, screen);
            }
            let (mistake, place) = explain(&error, typed, env, &config);
            (mistake, place, text)
        }
    };
    screen.paint(env.paint(color(env, typed), || Stream::Err.is_terminal()));
    show(&mistake, place, &text, typed, env, shutdown, screen).await
}

fn help(error: &clap::Error, text: &str, typed: &[OsString], env: &Env, screen: &mut Screen) -> Exit {
    let colored = || error.render().ansi().to_string().replace(UNBROKEN, " ");
    let help = match env.paint(color(env, typed), || Stream::Out.is_terminal()) {
        Paint::Colored => colored().lines().map(painted).map(Effect::Data).collect(),
        Paint::Plain => text.lines().map(|line| Effect::Data(line.to_owned())).collect(),
    };
    if screen.apply(help).is_empty() { Exit::Ok } else { Exit::Internal }
}

/// Shows a mistake as the host does, `text` in place of its log line if it was made on the command line.
async fn show(
    mistake: &Error,
    place: Place,
    text: &str,
    typed: &[OsString],
    env: &Env,
    shutdown: &Shutdown,
    screen: &mut Screen,
) -> Exit {
    let ci = wish(env, typed, "ci").and_then(|ci| Ci::from_str(&ci, false).ok()).unwrap_or_default();
    let is_omitted = wish(env, typed, "summary").as_deref() == Some("false");
    let summary = if is_omitted { SummaryInput::Omit } else { SummaryInput::Write };
    let (log, verbosity, clock) = (LogTarget::File, Verbosity::Usual, Clock::system());
    let host = hosts::detect(env, ci, hosts::Options { summary, log, verbosity, clock }, files(env, typed));
    let mut effects = host.event(&Event::failed(mistake));
    if place == Place::Typed {
        // clap's own text shows the usage, and the flag as it was typed.
        effects.retain(|effect| !matches!(effect, Effect::Log(_) | Effect::Say(_)));
        effects.extend(text.lines().map(|line| Effect::Say(toned(line))));
    }
    let is_data = typed.get(1).is_some_and(|command| DATA.iter().any(|data| command == data));
    if is_data {
        screen.keep_output(Output::Data);
    }
    let exit = if screen.apply(effects).is_empty() { mistake.exit } else { Exit::Internal };
    let is_reported = typed.get(1).is_none_or(|command| READERS.iter().any(|reader| command == reader));
    let options = PublishOptions { requests: requests(env, typed), ..PublishOptions::default() };
    // Where the host's API shows runs without being asked to.
    if is_reported && let Ok(Some(publisher)) = host.publisher(env, options, Reach { ca_bundle: None, shutdown }) {
        publisher.fail(mistake).await;
    }
    exit
}

/// The requests as far as they are known without parsing: what stands behind `--`, else the variable.
fn requests(env: &Env, typed: &[OsString]) -> Vec<String> {
    let behind = typed.iter().skip_while(|word| *word != "--").skip(1);
    let typed: Vec<String> = behind.filter_map(|word| word.to_str().map(str::to_owned)).collect();
    plan::patterns(if typed.is_empty() { wish(env, &[], "requests").into_iter().collect() } else { typed })
}

/// The files that were named, if nothing is lost with what is there: it may be the requests, which nobody has looked for.
fn files(env: &Env, typed: &[OsString]) -> NamedFiles {
    let outputs = wish(env, typed, "outputs-file").and_then(|path| path.parse().ok());
    let summary = wish(env, typed, "summary-file").and_then(|path| path.parse().ok());
    let is_free = |path: &Path| path.symlink_metadata().is_err();
    NamedFiles {
        outputs: outputs.filter(|file: &OutputsFile| is_free(&file.path) || hosts::holds_outputs(file)),
        summary: summary.filter(|file: &SummaryFile| is_free(&file.0)),
    }
}

/// What the user typed about colours.
fn color(env: &Env, typed: &[OsString]) -> Color {
    wish(env, typed, "color").and_then(|color| Color::from_str(&color, false).ok()).unwrap_or_default()
}

/// A line of clap's own text in the tones that our errors have.
fn toned(line: &str) -> Line {
    match line.strip_prefix("error:") {
        Some(rest) => Line::of(Tone::Bad, "error:").with(Tone::Plain, rest),
        None => Line::of(Tone::Plain, line),
    }
}

/// A line of help that clap has coloured: the examples, which it leaves as they are, look like the rest.
fn painted(line: &str) -> String {
    match line.trim_start() {
        "Examples:" => format!("{heading}Examples:{heading:#}", heading = Styles::styled().get_header()),
        comment if comment.starts_with("# ") => Line::of(Tone::Faint, line).painted(),
        _ => line.to_owned(),
    }
}

/// The value of an input as far as it is known without parsing.
fn wish(env: &Env, typed: &[OsString], input: &str) -> Option<String> {
    let flag = format!("--{input}");
    let words = || typed.iter().filter_map(|word| word.to_str());
    let after = || words().skip_while(|word| **word != *flag).nth(1);
    let joined = words().find_map(|word| word.strip_prefix(&flag)?.strip_prefix('='));
    joined.or_else(after).or_else(|| env.input(input)).map(str::to_owned)
}

/// The mistake in our own words, and where it was made.
fn explain(error: &clap::Error, typed: &[OsString], env: &Env, config: &Config) -> (Error, Place) {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) if !texts.is_empty() => Some(texts.join(", ")),
        Some(ContextValue::StyledStr(text)) => Some(text.to_string()),
        _ => None,
    };
    let about = |kind| text(kind).unwrap_or_default();
    let command = typed.get(1).and_then(|word| word.to_str()).filter(|word| !word.starts_with('-'));
    let help = |what: &str| match command {
        Some(command) if what != "commands" => format!("`batchstep {command} --help` lists {what}."),
        _ => format!("`batchstep --help` lists {what}."),
    };
    // Of several guesses clap gives the best one last.
    let guess = |kind| text(kind)?.rsplit(", ").next().map(|guess| format!("Did you mean `{guess}`?"));
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::NoEquals => {
            let (name, place) = name_of(&about(ContextKind::InvalidArg), typed, env, config);
            let value = text(ContextKind::InvalidValue).filter(|value| !value.is_empty());
            let Some(value) = value else { return (Error::usage(format!("{name} needs a value.")), place) };
            let valid = text(ContextKind::ValidValue).map(|valid| format!("it takes {valid}"));
            let why = std::error::Error::source(error).map(ToString::to_string).or(valid);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let is = format!("{name} is `{}`, which cannot be used{why}", shorten(&value, LONGEST));
            (Error::usage(format!("{}.", is.trim_end_matches('.'))), place)
        }
        ErrorKind::UnknownArgument => {
            let error = Error::usage(format!("`{}` is not expected here.", about(ContextKind::InvalidArg)));
            let error = guess(ContextKind::SuggestedArg).into_iter().fold(error, Error::hint);
            (error.hint(help("what the command takes")), Place::Typed)
        }
        ErrorKind::InvalidSubcommand => {
            let word = about(ContextKind::InvalidSubcommand);
            let variable = env.written("command").filter(|_| typed.len() < 2);
            let (subject, place) = match variable {
                Some(name) => (format!("`{name}` is `{word}`, which"), Place::Variable),
                None => (format!("`{word}`"), Place::Typed),
            };
            let error = Error::usage(format!("{subject} is not a command of batchstep."));
            let error = guess(ContextKind::SuggestedSubcommand).into_iter().fold(error, Error::hint);
            (error.hint(help("commands")), place)
        }
        ErrorKind::MissingRequiredArgument => {
            let error = Error::usage(format!("`{}` is missing.", about(ContextKind::InvalidArg)));
            (error.hint(help("what the command takes")), Place::Typed)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            (Error::usage("A command is missing.").hint(help("commands")), Place::Typed)
        }
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            (Error::usage(format!("The command line cannot be used: {first}.")), Place::Typed)
        }
    }
}

/// An argument that clap shows as `--max-failed <COUNT|SHARE>` or `[REQUESTS]...`, as the user wrote it and where.
fn name_of(shown: &str, typed: &[OsString], env: &Env, config: &Config) -> (String, Place) {
    let flag = shown.split([' ', '[', '=']).next().unwrap_or_default();
    let is_flag = |word: &str| word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    let is_typed = typed.iter().filter_map(|word| word.to_str()).any(is_flag);
    let input = flag.trim_start_matches('-');
    let places = [(config.written(input), Place::File), (env.written(input).map(quoted), Place::Variable)];
    let elsewhere = places.into_iter().find_map(|(name, place)| Some((name?, place)));
    elsewhere.filter(|_| !is_typed).unwrap_or_else(|| (quoted(flag.to_owned()), Place::Typed))
}

fn quoted(name: String) -> String {
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::{Place, explain};
    use crate::config::Config;
    use crate::env::Env;
    use crate::inputs::Cli;

    fn explained(env: &[(&str, &str)], typed: &[&str]) -> (String, Place) {
        let env: Env = env.iter().copied().collect();
        let typed: Vec<_> = std::iter::once("batchstep").chain(typed.iter().copied()).map(Into::into).collect();
        let mut config = Config::default();
        let arguments = env.arguments(typed.clone(), &Cli::command(), &mut config);
        let error = Cli::try_parse_from(arguments).unwrap_err();
        let (error, place) = explain(&error, &typed, &env, &config);
        (std::iter::once(&error.message).chain(&error.hints).cloned().collect::<Vec<_>>().join(" "), place)
    }

    #[test]
    fn an_input_has_the_name_that_the_user_wrote() {
        let wrong = "is `101%`, which cannot be used: a share is at most `100%`.";
        let github = ("GITHUB_ACTIONS", "true");
        let drone = ("DRONE", "true");
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str, Place);
        let table: [Case<'_>; 4] = [
            (&[github, ("INPUT_MAX-FAILED", "101%")], &[], "max-failed", Place::Variable),
            (&[drone, ("PLUGIN_MAX_FAILED", "101%")], &[], "max_failed", Place::Variable),
            (&[("BATCHSTEP_MAX_FAILED", "101%")], &["run"], "BATCHSTEP_MAX_FAILED", Place::Variable),
            (&[github, ("INPUT_MAX-FAILED", "1")], &["run", "--max-failed", "101%"], "--max-failed", Place::Typed),
        ];
        for (env, typed, name, place) in table {
            assert_eq!(explained(env, typed), (format!("`{name}` {wrong}"), place));
        }
    }

    #[test]
    fn every_kind_of_mistake_is_a_sentence() {
        let message = |typed: &[&str]| explained(&[], typed).0;
        let help = "`batchstep run --help` lists what the command takes.";
        assert_eq!(
            message(&["run", "--retrys", "1"]),
            format!("`--retrys` is not expected here. Did you mean `--retries`? {help}")
        );
        assert_eq!(message(&["run", "--timeout"]), "`--timeout` needs a value.");
        assert_eq!(
            message(&["run", "--provider", "azure"]),
            "`--provider` is `azure`, which cannot be used: it takes openai, compatible, anthropic, sandbox."
        );
        let commands = "`batchstep --help` lists commands.";
        assert_eq!(message(&["walk"]), format!("`walk` is not a command of batchstep. {commands}"));
        let github = [("GITHUB_ACTIONS", "true"), ("INPUT_COMMAND", "colect")];
        let expected =
            format!("`command` is `colect`, which is not a command of batchstep. Did you mean `collect`? {commands}");
        assert_eq!(explained(&github, &[]), (expected, Place::Variable));
        assert_eq!(
            message(&["file", "content", "file-1"]),
            "`--output <PATH>` is missing. `batchstep file --help` lists what the command takes."
        );
        assert_eq!(message(&["batch"]), format!("A command is missing. {commands}"));
    }
}
