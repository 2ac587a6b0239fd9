//! The commands: what each does, stage by stage, and what they share.

mod at_hand;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod collect;
pub(crate) mod completions;
mod earlier;
mod gather;
pub(crate) mod list;
mod named;
pub(crate) mod operations;
pub(crate) mod providers;
mod result_file;
pub(crate) mod pending;
mod post;
pub(crate) mod run;
mod scene;
mod sent;
mod split;

use crate::api::Api;
use crate::client::Client;
use crate::clock::Clock;
use crate::dialects::{self, Name};
use crate::effects::NewFile;
use crate::emitter::Events;
use crate::error::{Error, Exit, Outcome};
use crate::events::Event;
use crate::formats::Format;
use crate::guard::Stop;
use crate::hosts::{self, Board, Host, Wishes};
use crate::inputs::{Connection, Reporting};
use crate::plan::{self, Server};
use crate::report::Report;
use crate::shutdown::name_of;
use crate::values::OnExit;
use crate::verdict::Verdict;
use crate::world::World;
use std::convert::Infallible;
use std::path::Path;

/// Where the host shows runs through its API, as the inputs wish. That there is
/// none is no reason not to run; a wrong input is.
fn board(
    host: &dyn Host,
    world: &World,
    events: &Events<'_>,
    reporting: &Reporting,
    requests: &[String],
    ca_bundle: Option<&[u8]>,
) -> Result<Option<Board>, Error> {
    Ok(show(host, world, events, plan::wishes(reporting, requests)?, ca_bundle))
}

fn show(
    host: &dyn Host,
    world: &World,
    events: &Events<'_>,
    wishes: Wishes,
    ca_bundle: Option<&[u8]>,
) -> Option<Board> {
    hosts::board(host, &world.env, wishes, ca_bundle, &world.shutdown).unwrap_or_else(|error| {
        events.emit(Event::Warned(format!("{}: nothing is shown there.", error.sentence().trim_end_matches('.'))));
        None
    })
}

/// What runs, in the log's first line.
fn title(api: &Api) -> String {
    let name = api.vendor().name;
    format!("batchstep {}, provider {name} at {}", env!("CARGO_PKG_VERSION"), api.origin())
}

/// The report of a command that is passed over for want of a key, as the inputs wish.
fn skipped(connection: &Connection, reporting: &Reporting, world: &World) -> Option<Report> {
    if !plan::is_skipped(connection, reporting) {
        return None;
    }
    let vendor = dialects::choose(connection.provider.unwrap_or(Name::Openai));
    let mut report = Report::begin(vendor, String::new(), world.clock);
    Verdict::skipped().record(&mut report);
    Some(report)
}

/// Tells how it ended: first what a workflow depends on, then what may be slow to arrive.
async fn publish(host: &dyn Host, board: Option<&Board>, world: &World, events: &Events<'_>, report: &Report) {
    world.apply(host.publish(report));
    let unread = unread(world, report);
    if let Some(board) = board {
        board.publish(unread.as_deref().unwrap_or(report), events).await;
    }
}

/// A success whose outputs nobody can read is none: what is told instead, in the report and wherever else.
fn unread(world: &World, report: &Report) -> Option<Box<Report>> {
    let verdict = world.failure(|error| Verdict::of_error(error, Outcome::Failed))?;
    let mut told = (report.exit_code == Exit::Ok.code()).then(|| Box::new(report.clone()))?;
    verdict.record(&mut told);
    if let Some(path) = &told.files.report
        && let Err(error) = store(&told, Path::new(path))
    {
        world.fail(&error);
    }
    Some(told)
}

/// Writes `report.json`. Without it the host still gets the ids, the counts and
/// what failed first, but nothing that looks like success. Tells the exit code.
fn write_report(report: &mut Report, dir: &Path, exit: Exit) -> Exit {
    let path = dir.join("report.json");
    report.files.report = Some(path.display().to_string());
    let Err(error) = store(report, &path) else { return exit };
    match exit {
        Exit::Ok => Verdict::of_error(&error, Outcome::Failed).record(report),
        _ => report.warnings.push(error.sentence()),
    }
    let exit = if matches!(exit, Exit::Signal(_)) { exit } else { error.exit };
    report.exit_code = exit.code();
    report.files.report = None;
    exit
}

fn store(report: &Report, path: &Path) -> Result<(), Error> {
    let mut file = NewFile::create(path)?;
    file.put(Format::Json.render(report).as_bytes())?;
    file.finish()
}

/// What a signal does to a run, in the line that answers it.
fn on_signal(on_abort: OnExit) -> &'static str {
    match on_abort {
        OnExit::Cancel => "ending the run and cancelling what it has running",
        OnExit::Detach => "ending the run and leaving what it has running, as `on-abort` asks",
    }
}

/// Does the work. Meanwhile long silences are broken, the launcher is watched, and signals are answered: that
/// one was heard, what it does (`on_signal`), and what a second one would do.
async fn attended<T>(work: impl Future<Output = T>, world: &World, events: &Events<'_>, on_signal: &'static str) -> T {
    let answers = async {
        let signal = world.shutdown.first().await;
        events.emit(Event::Interrupted { signal, what: on_signal });
        let signal = world.shutdown.second().await;
        events.emit(Event::InterruptedAgain { signal });
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        // Before the work, which says what it does about it.
        never = answers => match never {},
        done = work => done,
        never = world.watch_launcher() => match never {},
        never = events.keep_alive() => match never {},
    }
}

/// What broke a command off that has nothing to put in order.
fn stopped(stop: Stop) -> Error {
    match stop {
        Stop::Failed(error) | Stop::Unknown(error) => error,
        Stop::Deadline(None) | Stop::HandedOver(None) => Error::refused("Time was up."),
        Stop::Deadline(Some(trouble)) | Stop::HandedOver(Some(trouble)) => {
            Error::refused(format!("Time was up; {trouble}"))
        }
        Stop::Signal(signal) | Stop::Detached(signal) => {
            Error::new(Exit::Signal(signal), format!("{} ended the command.", name_of(signal)))
        }
    }
}

/// What broke an attempt off, in a sentence.
fn told(stop: &Stop) -> String {
    match stop {
        Stop::Failed(error) | Stop::Unknown(error) => error.sentence(),
        Stop::Deadline(None) | Stop::HandedOver(None) => "time was up.".to_owned(),
        Stop::Deadline(Some(trouble)) | Stop::HandedOver(Some(trouble)) => format!("time was up; {trouble}."),
        Stop::Signal(_) | Stop::Detached(_) => "a signal came.".to_owned(),
    }
}

/// Tells of an error that left nothing to report on.
fn failed(error: &Error, events: &Events<'_>) -> Exit {
    events.emit(Event::failed(error));
    error.exit
}

/// Connects to the server, starting the sandbox in this process if that is what is asked for.
async fn connect(server: Server, clock: Clock) -> Result<Api, Error> {
    let Server { vendor, mut connection, simulator } = server;
    if let Some(simulator) = simulator {
        let listening = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let failed = |error: std::io::Error| Error::internal("The sandbox found no loopback port.").because(error);
        let listener = listening.map_err(failed)?;
        connection.base_url = format!("http://{}/v1", listener.local_addr().map_err(failed)?);
        tokio::spawn(simulator.serve(listener, clock));
    }
    Ok(Api::new(Client::new(&connection, vendor.dialect, clock)?, vendor))
}
