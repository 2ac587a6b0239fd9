//! The API's operations, one call each, JSON on standard output: the building
//! blocks for scripts. Nothing is repeated and nothing is swallowed: what the
//! server answers is printed, and what it refuses becomes an error with its text.

use tokio::io::AsyncWriteExt as _;

use super::list::{self, Output};
use crate::api::Api;
use crate::client::{Client, Reply};
use crate::dialects::{Intake, NewBatch};
use crate::effects::Effect;
use crate::error::{Error, Exit};
use crate::inert_json::inert;
use crate::inputs::{self, Batch, File};
use crate::invocation::Invocation;
use crate::new_file::NewFile;
use crate::plan::{self, Server};
use crate::policy::SHOWN_PAGE;
use crate::requests::source;
use crate::retry::Failure;
use crate::retry_loop::refused;
use crate::simulator::{Dialect, Simulator};
use crate::text::shorten;
use crate::variables::unprinted;
use crate::world::World;

/// How many pairs of metadata the API takes.
const PAIRS: usize = 16;

/// `batchstep batch …`.
pub(crate) async fn batch(command: Batch, world: &World) -> Result<(), Error> {
    warn(world);
    match command {
        Batch::Create(inputs) => create(*inputs, world).await,
        Batch::Get(inputs) => {
            let api = connect(inputs.connection, world)?;
            let (_, reply) =
                or_refused(&format!("reading batch {}", inputs.batch_id), api.get_batch(&inputs.batch_id).await)?;
            print(&api, &reply, world)
        }
        Batch::Cancel(inputs) => {
            let api = connect(inputs.connection, world)?;
            let (_, reply) =
                or_refused(&format!("cancelling batch {}", inputs.batch_id), api.cancel_batch(&inputs.batch_id).await)?;
            print(&api, &reply, world)
        }
        Batch::List(inputs) => {
            let api = connect(inputs.connection, world)?;
            if inputs.ours.unwrap_or(false) {
                let output = if inputs.json.unwrap_or(false) { Output::Json } else { Output::Table };
                return list::ours(&api, output, world).await;
            }
            let listed = api.list_batches(inputs.limit.unwrap_or(SHOWN_PAGE), inputs.after.as_deref()).await;
            print(&api, &or_refused("listing batches", listed)?.1, world)
        }
    }
}

async fn create(inputs: inputs::CreateBatch, world: &World) -> Result<(), Error> {
    let api = connect(inputs.connection.clone(), world)?;
    if let Intake::InCreate(_) = api.vendor().dialect.intake() {
        let message = format!("A batch at {} is not created from a file.", api.vendor().name());
        return Err(Error::usage(message).hint("Use `batchstep submit`, which sends the requests with the create."));
    }
    let new = NewBatch {
        input_file_id: Some(&inputs.file_id),
        endpoint: &inputs.endpoint,
        completion_window: &plan::window(inputs.completion_window.as_deref(), api.vendor())?,
        metadata: &plan::pairs(&inputs.metadata, PAIRS)?,
        output_expires_after: inputs.output_expires_after,
    };
    let created = api.create_batch(&new).await;
    let lost = created.as_ref().is_err_and(Failure::is_ambiguous);
    let created = or_refused("creating the batch", created).map_err(|error| match lost {
        true => {
            let how = Invocation::new(&api, &inputs.connection, unprinted(&inputs.connection, &world.env));
            let look = how.list().map(|list| format!("look with `{list}` before you try again, which may pay twice"));
            let hints = look.map(|look| format!("The batch may exist anyway: {look}."));
            how.with_needs(hints.into_iter().collect()).into_iter().fold(error, Error::hint)
        }
        false => error,
    });
    print(&api, &created?.1, world)
}

/// `batchstep file …`.
pub(crate) async fn file(command: File, world: &World) -> Result<(), Error> {
    warn(world);
    match command {
        File::Upload(inputs) => upload(inputs, world).await,
        File::Get(inputs) => {
            let api = connect(inputs.connection, world)?;
            let (_, reply) =
                or_refused(&format!("reading file {}", inputs.file_id), api.get_file(&inputs.file_id).await)?;
            print(&api, &reply, world)
        }
        File::Content(inputs) => content(inputs, world).await,
        File::Delete(inputs) => {
            let api = connect(inputs.connection, world)?;
            let deleted = api.delete_file(&inputs.file_id).await;
            print(&api, &or_refused(&format!("deleting file {}", inputs.file_id), deleted)?, world)
        }
    }
}

async fn upload(inputs: inputs::UploadFile, world: &World) -> Result<(), Error> {
    let api = connect(inputs.connection, world)?;
    let form =
        plan::upload_form(inputs.upload_purpose.as_ref(), inputs.expires_after, &inputs.upload_fields, api.vendor())?;
    let source = source::resolve_bytes(std::slice::from_ref(&inputs.path)).await?;
    let own = || std::path::Path::new(&inputs.path).file_name().map(|name| name.to_string_lossy().into_owned());
    let name =
        inputs.name.clone().or_else(own).filter(|name| name != "-").unwrap_or_else(|| "requests.jsonl".to_owned());
    let mut hasher = blake3::Hasher::new();
    let read = hasher.update_reader(source.open());
    read.map_err(|error| Error::new(Exit::Invalid, format!("`{}` cannot be read.", inputs.path)).because(error))?;
    let file = source.stream(hasher.finalize());
    let (_, reply) = or_refused(&format!("uploading {}", inputs.path), api.upload(&name, file, &form, |_| {}).await)?;
    print(&api, &reply, world)
}

/// Streams a file's bytes to a path, or to standard output for a pipe.
async fn content(inputs: inputs::FileContent, world: &World) -> Result<(), Error> {
    let api = connect(inputs.connection, world)?;
    let doing = format!("downloading file {}", inputs.file_id);
    let mut download = or_refused(&doing, api.content(&inputs.file_id, 0).await)?;
    if inputs.output.as_os_str() == "-" {
        let mut pipe = tokio::io::stdout();
        let failed = |error: std::io::Error| Error::internal("Standard output cannot be written.").because(error);
        while let Some(chunk) = or_refused(&doing, download.chunk().await)? {
            pipe.write_all(&chunk).await.map_err(failed)?;
        }
        return pipe.flush().await.map_err(failed);
    }
    let mut file = NewFile::create(&inputs.output)?;
    while let Some(chunk) = or_refused(&doing, download.chunk().await)? {
        file.put(&chunk)?;
    }
    file.finish()
}

/// `batchstep sandbox`: serves the simulator until a signal comes.
pub(crate) async fn sandbox(inputs: inputs::Sandbox, world: &World) -> Result<(), Error> {
    let dialect = inputs.dialect.unwrap_or_default();
    let simulator = Simulator::new(dialect, inputs.simulation.takes, &inputs.simulation.fault)?;
    let port = inputs.port.unwrap_or(8080);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        Error::usage(format!("`port` {port} cannot be served on."))
            .because(error)
            .hint("Choose another with `--port`; 0 takes a free one.")
    })?;
    let address =
        listener.local_addr().map_err(|error| Error::internal("The sandbox has no address.").because(error))?;
    let usage = match dialect {
        Dialect::Openai => format!("use it with `--provider sandbox --base-url http://{address}/v1`"),
        Dialect::Anthropic => "it speaks Anthropic's dialect, at /v1/messages/batches".to_owned(),
    };
    let line = format!("SIMULATED: the sandbox serves http://{address}/v1 until it is stopped; {usage}");
    world.apply(vec![Effect::Log(line)]);
    simulator.serve(listener, world.clock).await;
    Ok(())
}

/// Warns of variables that look like inputs, beside the JSON on standard output.
fn warn(world: &World) {
    world.apply(world.misspelt().into_iter().map(|warning| Effect::Log(format!("Warning: {warning}"))).collect());
}

fn connect(connection: inputs::Connection, world: &World) -> Result<Api, Error> {
    let Server { vendor, connection, .. } = Server::remote(connection)?;
    Ok(Api::new(Client::new(&connection, vendor.dialect, world.clock)?, vendor))
}

/// The result of a call, or the error that says what was refused.
fn or_refused<T>(doing: &str, done: Result<T, Failure>) -> Result<T, Error> {
    done.map_err(|failure| refused(doing, &failure))
}

/// Prints the server's JSON as it came but for our secrets, and such that no CI system can take a
/// part of it for a command.
fn print(api: &Api, reply: &Reply, world: &World) -> Result<(), Error> {
    let json = serde_json::from_slice::<serde::de::IgnoredAny>(&reply.body).is_ok();
    let text = api.shown_json(&reply.body);
    if !json {
        return Err(Error::new(Exit::Refused, format!("The reply is not JSON: `{}`.", shorten(text.trim(), 80))));
    }
    world.apply(inert(text.trim()).lines().map(|line| Effect::Data(line.to_owned())).collect());
    Ok(())
}
