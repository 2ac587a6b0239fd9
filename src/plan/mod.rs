//! What the inputs mean together: defaults filled in, contradictions refused.
//!
//! Inputs are what was typed; from here on nothing is optional that has a
//! default, and everything that can be wrong before the network is.

mod collecting;
mod defaults;
mod judging;
mod showing;
mod making;
mod money;
mod named_files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::collecting::Collecting;
use self::defaults::{on_abort, on_timeout, reuse};
use self::judging::retry_on;
pub(crate) use self::making::{JobEnd, rules, upload_form};
use self::making::{extras, form, longest, unknown};
pub(crate) use self::money::{Money, prices};
pub(crate) use self::named_files::named_files;
pub(crate) use self::showing::Showing;
use crate::client;
use crate::dialects::{self, Intake, Key, Name, Rules, UploadForm, Vendor};
use crate::env::Setting;
use crate::error::Error;
use crate::hosts::{self, Host, PublishOptions};
use crate::identity::USER_PAIRS;
use crate::inputs::{self, Making, Unchecked};
use crate::policy::{FASTEST_POLL, IN_FLIGHT, POLL_INTERVAL, RETRIES, SIMULATED_POLLS};
use crate::schemas::Expected;
use crate::simulator::{Dialect, Simulator};
use crate::values::{AnswerFiles, Header, OnExit, OnlyFailed, Pair, RetryOn, Reuse, Secret};
use crate::verdict::Allowed;

/// The completion window where none is named and the vendor leaves it to its servers: all of them know this one.
const WINDOW: &str = "24h";
/// The headers that servers take in place of the API key.
const KEY_HEADERS: [&str; 3] = ["authorization", "api-key", "x-api-key"];

/// A run, planned.
pub(crate) struct Plan {
    /// The requests' paths and globs.
    pub requests: Vec<String>,
    /// What they must keep to.
    pub rules: Rules,
    /// How long the provider may take.
    pub window: String,
    /// The user's own metadata.
    pub metadata: Vec<(String, String)>,
    /// What the upload says beside the file.
    pub form: UploadForm,
    /// What else changes the answers, and is part of each batch's key.
    pub extras: Vec<(String, String)>,
    /// How long the output file lives.
    pub output_expires_after: Option<Duration>,
    /// How long the run may take.
    pub timeout: Duration,
    /// When the job ends.
    pub job_end: JobEnd,
    /// The longest wait between polls.
    pub poll_interval: Duration,
    /// Whether the run waits for the batch, or leaves it to somebody else.
    pub waits: bool,
    /// What the deadline does to the batch.
    pub on_timeout: OnExit,
    /// What a signal does to the batch.
    pub on_abort: OnExit,
    /// Which batches of the same work are reused.
    pub reuse: Reuse,
    /// Whether only what failed in an earlier run is sent, and in which.
    pub only_failed: OnlyFailed,
    /// Whether the provider is a sandbox in this process, and ends with it.
    pub in_process: bool,
    /// How many may fail, and how many answers may be suspect.
    pub allowed: Allowed,
    /// What is expected of the answers' texts.
    pub expected: Arc<Expected>,
    /// The command that fails answers.
    pub gate: Option<String>,
    /// How often requests that failed are retried.
    pub retries: u32,
    /// Which failures are retried beside the default ones.
    pub retry_on: RetryOn,
    /// How many batches are under way at a time.
    pub max_in_flight: usize,
    /// Whether the answers' texts are written to files of their own.
    pub answer_files: AnswerFiles,
    /// Which rows are shown one by one, and where.
    pub showing: Showing,
    /// What the run may spend, and what models cost.
    pub money: Money,
    /// Where results go.
    pub output_dir: PathBuf,
}

/// Whom to talk to.
pub(crate) struct Server {
    /// The vendor.
    pub vendor: &'static Vendor,
    /// The connection; without an address where the sandbox is in the process.
    pub connection: client::Connection,
    /// The sandbox to start in the process.
    pub simulator: Option<Simulator>,
}

impl Plan {
    /// Plans a run, and tells whom it talks to.
    pub(crate) fn run(run: inputs::Run, host: &dyn Host, setting: Setting) -> Result<(Self, Server), Error> {
        let server = Server::in_process(run.connection, run.simulation)?;
        let (window, metadata) = making(&run.making, server.vendor)?;
        let form = form(&run.making, server.vendor)?;
        // A simulated batch is over in seconds, so its polls must be too.
        let poll = server
            .simulator
            .as_ref()
            .map(|simulator| (simulator.takes / SIMULATED_POLLS).clamp(FASTEST_POLL, POLL_INTERVAL));
        let plan = Self {
            rules: rules(&run.work, &server.connection.headers, server.vendor)?,
            requests: patterns(run.work.requests),
            job_end: JobEnd::of(host, run.waiting.timeout),
            timeout: positive("timeout", run.waiting.timeout)?.unwrap_or_else(|| longest(host, &window)),
            window,
            metadata,
            extras: extras(&form, &server.connection.headers, server.vendor),
            form,
            output_expires_after: run.making.output_expires_after,
            poll_interval: positive("poll-interval", run.waiting.poll_interval)?.or(poll).unwrap_or(POLL_INTERVAL),
            waits: true,
            on_timeout: run.waiting.on_timeout.unwrap_or_else(|| on_timeout(server.vendor)),
            on_abort: run.waiting.on_abort.unwrap_or_else(|| on_abort(setting, server.simulator.as_ref())),
            reuse: run.waiting.reuse.unwrap_or_else(|| reuse(setting)),
            only_failed: run.waiting.only_failed.unwrap_or_default(),
            in_process: server.simulator.is_some(),
            allowed: Allowed { failed: run.waiting.max_failed.unwrap_or_default(), suspect: run.judging.max_suspect },
            expected: judging::expected(&run.judging)?,
            gate: run.judging.gate,
            retries: run.waiting.retries.unwrap_or(RETRIES),
            retry_on: retry_on(run.waiting.retry_on, server.vendor)?,
            max_in_flight: in_flight(run.making.max_in_flight)?,
            answer_files: run.reporting.csv.unwrap_or(AnswerFiles::Omit),
            showing: run.showing.into(),
            money: Money::of(&run.money, &run.pricing)?,
            output_dir: output_dir(run.reporting.output_dir),
        };
        Ok((plan, server))
    }

    /// Plans a run that does not wait, and tells whom it talks to.
    pub(crate) fn submit(submit: inputs::Submit, host: &dyn Host, setting: Setting) -> Result<(Self, Server), Error> {
        let server = Server::remote(submit.connection)?;
        let (window, metadata) = making(&submit.making, server.vendor)?;
        let form = form(&submit.making, server.vendor)?;
        let plan = Self {
            rules: rules(&submit.work, &server.connection.headers, server.vendor)?,
            requests: patterns(submit.work.requests),
            job_end: JobEnd::AfterRun,
            timeout: positive("timeout", submit.submitting.timeout)?.unwrap_or_else(|| longest(host, &window)),
            window,
            metadata,
            extras: extras(&form, &server.connection.headers, server.vendor),
            form,
            output_expires_after: submit.making.output_expires_after,
            poll_interval: POLL_INTERVAL,
            waits: false,
            on_timeout: OnExit::Detach,
            on_abort: submit.submitting.on_abort.unwrap_or(OnExit::Detach),
            reuse: submit.submitting.reuse.unwrap_or_else(|| reuse(setting)),
            only_failed: OnlyFailed::No,
            in_process: false,
            allowed: submit.submitting.max_failed.unwrap_or_default().into(),
            expected: Arc::default(),
            gate: None,
            retries: 0,
            retry_on: RetryOn::default(),
            max_in_flight: in_flight(submit.making.max_in_flight)?,
            answer_files: AnswerFiles::Omit,
            showing: Showing::default(),
            money: Money::of(&submit.money, &submit.pricing)?,
            output_dir: output_dir(submit.reporting.output_dir),
        };
        Ok((plan, server))
    }
}

fn in_flight(most: Option<usize>) -> Result<usize, Error> {
    match most {
        Some(0) => Err(Error::usage("`max-in-flight` is 0, so no batch could start.")),
        most => Ok(most.unwrap_or(IN_FLIGHT)),
    }
}

fn output_dir(dir: Option<PathBuf>) -> PathBuf {
    dir.unwrap_or_else(|| inputs::OUTPUT_DIR.into())
}

impl Server {
    /// A server for one call: the sandbox must already be served somewhere.
    pub(crate) fn remote(connection: inputs::Connection) -> Result<Self, Error> {
        let name = connection.provider.unwrap_or(Name::Openai);
        let vendor = dialects::choose(name);
        let base_url = connection.base_url.clone().or_else(|| vendor.base_url.map(str::to_owned));
        let base_url = base_url.ok_or_else(|| missing_address(name))?;
        let base_url = vendor.dialect.root(&base_url).to_owned();
        if vendor.is_simulated() && !client::is_local(&base_url) {
            return Err(Error::usage("`provider` is sandbox, but `base-url` is not on this machine.")
                .hint("A real server would do real work under a simulated name: use `--provider compatible` for it."));
        }
        let connection = connect(connection, base_url, vendor)?;
        Ok(Self { vendor, connection, simulator: None })
    }

    /// A server for a run: the sandbox is started in the process unless an address is named.
    fn in_process(mut connection: inputs::Connection, simulation: inputs::Simulation) -> Result<Self, Error> {
        let simulated = connection.provider == Some(Name::Sandbox) && connection.base_url.is_none();
        if !simulated {
            if simulation.takes.is_some() || !simulation.fault.is_empty() {
                return Err(Error::usage("`takes` and `fault` only mean something to a sandbox in this process.")
                    .hint("Use them with `--provider sandbox` and no `base-url`, or with `batchstep sandbox`."));
            }
            return Self::remote(connection);
        }
        // Taken by the listener before it serves; never sent to.
        connection.base_url = Some("http://127.0.0.1/v1".to_owned());
        let server = Self::remote(connection)?;
        let simulator = Simulator::new(Dialect::default(), simulation.takes, &simulation.fault)?;
        Ok(Self { simulator: Some(simulator), ..server })
    }
}

/// Whether a run is to be passed over because there is no key for it.
pub(crate) fn is_skipped(connection: &inputs::Connection, reporting: &inputs::Reporting) -> bool {
    let vendor = dialects::choose(connection.provider.unwrap_or(Name::Openai));
    let keyless = connection.api_key.is_none() && vendor.key != Key::MadeUp && !has_key_header(connection);
    keyless && reporting.skip_without_key.unwrap_or(false)
}

/// Whether a header holds what stands in for the API key. Of a secret that a fork does not get only the name is left.
fn has_key_header(connection: &inputs::Connection) -> bool {
    let mut headers = connection.headers.iter().filter_map(|Unchecked(header)| header.split_once(':'));
    headers.any(|(name, value)| {
        let value = value.trim().trim_start_matches("Bearer").trim();
        KEY_HEADERS.iter().any(|known| name.trim().eq_ignore_ascii_case(known)) && !value.is_empty()
    })
}

/// What is to be shown through the host's API. A token nobody needs is not looked at.
pub(crate) fn publish_options(reporting: &inputs::Reporting, requests: &[String]) -> Result<PublishOptions, Error> {
    let (comment, check_run) = (reporting.comment.unwrap_or(false), reporting.check_run.unwrap_or(false));
    let token = |name, input: &Option<Unchecked>| hosts::token(name, input.as_ref().filter(|_| comment || check_run));
    let github_token = token("github-token", &reporting.github_token)?;
    let gitlab_token = token("gitlab-token", &reporting.gitlab_token)?;
    Ok(PublishOptions { comment, check_run, github_token, gitlab_token, requests: patterns(requests.to_vec()) })
}

/// The certificates to trust beside the system's.
pub(crate) fn ca_bundle(path: Option<&PathBuf>) -> Result<Option<Vec<u8>>, Error> {
    let Some(path) = path else { return Ok(None) };
    let unread = |error| Error::usage(format!("`ca-file` {} cannot be read.", path.display())).because(error);
    std::fs::read(path).map(Some).map_err(unread)
}

/// The requests' patterns with their default.
pub(crate) fn patterns(requests: Vec<String>) -> Vec<String> {
    if requests.is_empty() { vec!["requests.jsonl".to_owned()] } else { requests }
}

/// The user's metadata as pairs, no key twice and no more than fit beside our own marks.
pub(crate) fn pairs(metadata: &[Pair], most: usize) -> Result<Vec<(String, String)>, Error> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in metadata {
        if pairs.iter().any(|(key, _)| *key == pair.key) {
            return Err(Error::usage(format!("`metadata` has the key `{}` twice.", pair.key)));
        }
        pairs.push((pair.key.clone(), pair.value.clone()));
    }
    if pairs.len() > most {
        return Err(Error::usage(format!("`metadata` has {} pairs, at most {most} fit.", pairs.len()))
            .hint("The API takes 16; a run writes up to 7 of its own, by which the batch is found again."));
    }
    Ok(pairs)
}

/// The completion window, or the vendor's first.
pub(crate) fn window(window: Option<&str>, vendor: &Vendor) -> Result<String, Error> {
    let known = vendor.windows;
    let window = window.or(known.first().copied()).unwrap_or(WINDOW);
    if !known.is_empty() && !known.contains(&window) {
        return Err(Error::usage(format!(
            "`completion-window` is `{window}`, but {} takes {}.",
            vendor.name,
            known.join(", ")
        ))
        .hint(match vendor.dialect.intake() {
            Intake::File(_) => "Use `--provider compatible` for a server that takes others.",
            Intake::InCreate(_) => "Leave it out.",
        }));
    }
    Ok(window.to_owned())
}

fn making(making: &Making, vendor: &Vendor) -> Result<(String, Vec<(String, String)>), Error> {
    if let Intake::InCreate(_) = vendor.dialect.intake() {
        // A vendor without files has none that could expire.
        if making.output_expires_after.is_some() {
            return Err(unknown("output-expires-after", vendor));
        }
        if !making.metadata.is_empty() {
            return Err(unknown("metadata", vendor));
        }
    }
    Ok((window(making.completion_window.as_deref(), vendor)?, pairs(&making.metadata, USER_PAIRS)?))
}

fn positive(name: &str, span: Option<Duration>) -> Result<Option<Duration>, Error> {
    match span {
        Some(Duration::ZERO) => Err(Error::usage(format!("`{name}` is 0, which leaves no time at all."))),
        span => Ok(span),
    }
}

fn missing_address(name: Name) -> Error {
    match name {
        Name::Sandbox => Error::usage("This command needs the `base-url` of a sandbox that is being served.")
            .hint("Start one with `batchstep sandbox`, then add `--base-url http://127.0.0.1:8080/v1`."),
        _ => Error::usage("`provider` compatible needs a `base-url`.").hint("Write it as `https://server.example/v1`."),
    }
}

fn connect(inputs: inputs::Connection, base_url: String, vendor: &Vendor) -> Result<client::Connection, Error> {
    let mut headers = Vec::new();
    let accounts = [
        (vendor.dialect.organization_header(), "organization", inputs.organization),
        (vendor.dialect.project_header(), "project", inputs.project),
    ];
    for (header, input, value) in accounts {
        if let Some(value) = value {
            let name = header.ok_or_else(|| unknown(input, vendor))?.to_owned();
            headers.push(Header { name, value: secret(input, &value)? });
        }
    }
    headers.extend(self::headers(&inputs.headers, vendor)?);
    let ca_bundle = ca_bundle(inputs.ca_file.as_ref())?;
    let api_key = match &inputs.api_key {
        Some(Unchecked(key)) => Some(secret("api-key", key)?),
        None => match vendor.key {
            Key::Required => return Err(missing_key(vendor)),
            Key::Optional => None,
            Key::MadeUp => Some(secret("api-key", "sandbox")?),
        },
    };
    let allow_http = inputs.allow_http.unwrap_or(false);
    Ok(client::Connection { base_url, api_key, headers, ca_bundle, allow_http })
}

/// The headers that were given, and those that the vendor needs besides.
pub(crate) fn headers(given: &[Unchecked], vendor: &Vendor) -> Result<Vec<Header>, Error> {
    let parse = |Unchecked(header): &Unchecked| {
        header.parse().map_err(|why| Error::usage(format!("`headers` is wrong: {why}.")))
    };
    let mut headers: Vec<Header> = given.iter().map(parse).collect::<Result<_, _>>()?;
    for (name, value) in vendor.dialect.default_headers() {
        if headers.iter().all(|header| header.name != *name) {
            headers.push(Header { name: (*name).to_owned(), value: secret(name, value)? });
        }
    }
    Ok(headers)
}

fn secret(name: &str, text: &str) -> Result<Secret, Error> {
    text.parse().map_err(|why| Error::usage(format!("`{name}` is wrong: {why}.")))
}

fn missing_key(vendor: &Vendor) -> Error {
    let variable = vendor.variable("api-key").unwrap_or("BATCHSTEP_API_KEY");
    Error::usage("`api-key` is missing.").hint(format!(
        "Set it from a secret, or set {variable}. Jobs for pull requests from forks usually get no secrets. \
         `--provider sandbox` needs no key."
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{Name, OnExit, Plan, Reuse};
    use crate::clock::Clock;
    use crate::dialects::{choose, testing};
    use crate::effects::LogTarget;
    use crate::env::{Env, Setting};
    use crate::hosts::{self, NamedFiles, Options};
    use crate::inputs::{Cli, Command};
    use crate::values::{Ci, SummaryInput, Verbosity};

    fn plan(words: &[&str], setting: Setting) -> Plan {
        let (summary, log, verbosity) = (SummaryInput::Write, LogTarget::File, Verbosity::Usual);
        let options = Options { summary, log, verbosity, clock: Clock::system() };
        let host = hosts::detect(&Env::default(), Ci::Terminal, options, NamedFiles::default());
        let words = [&["batchstep"], words, &["--api-key", "sk-0123456789"]].concat();
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(inputs) => Plan::run(*inputs, host.as_ref(), setting).unwrap().0,
            Command::Submit(inputs) => Plan::submit(*inputs, host.as_ref(), setting).unwrap().0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cancel_that_loses_answers_is_not_the_default() {
        assert_eq!(super::on_timeout(testing::with_lossy_cancel()), OnExit::Detach);
        assert_eq!(super::on_timeout(choose(Name::Openai)), OnExit::Cancel);
    }

    #[test]
    fn people_keep_their_batches_and_their_answers_unless_they_say_otherwise() {
        use OnExit::{Cancel, Detach};
        use Setting::{Ci, Person};
        let table: [(&[&str], Setting, OnExit, Reuse); 8] = [
            (&["run"], Person, Detach, Reuse::Finished),
            (&["run"], Ci, Cancel, Reuse::Active),
            (&["run", "--on-abort", "cancel", "--reuse", "active"], Person, Cancel, Reuse::Active),
            (&["run", "--on-abort", "detach", "--reuse", "never"], Ci, Detach, Reuse::Never),
            // What is in this process ends with it.
            (&["run", "--provider", "sandbox"], Person, Cancel, Reuse::Finished),
            (&["submit"], Person, Detach, Reuse::Finished),
            (&["submit"], Ci, Detach, Reuse::Active),
            (&["submit", "--reuse", "active"], Person, Detach, Reuse::Active),
        ];
        for (words, setting, on_abort, reuse) in table {
            let plan = plan(words, setting);
            assert_eq!((plan.on_abort, plan.reuse), (on_abort, reuse), "{words:?} {setting:?}");
        }
    }
}
