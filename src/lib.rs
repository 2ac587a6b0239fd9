//! batchstep runs OpenAI-style Batch API jobs as one step of a CI workflow.
//!
//! Read this file first: the modules in reading order, then the commands
//! on one screen. `commands/run.rs` is the pipeline, from inputs to exit code.

// The flow: each a stage, with its parts in its directory.
pub mod inputs;
pub mod plan;
pub mod commands;
pub mod requests;
pub mod batch;
pub mod results;
pub mod verdict;
pub mod report;
pub mod outputs;
// The seams.
pub mod api;
pub mod api_error;
pub mod client;
pub mod clock;
pub mod effects;
pub mod emitter;
pub mod env;
pub mod error;
pub mod events;
pub mod identity;
pub mod journal;
pub mod patience;
pub mod retry;
pub mod shutdown;
pub mod usage;
pub mod values;
pub mod wire;
pub mod world;
// The families: interchangeable peers that do not know each other.
pub mod formats;
pub mod hosts;
pub mod providers;
// The simulator of the API, a program of its own behind real HTTP.
pub mod sandbox;

use commands::{cancel, check, collect, operations, run};
use error::Exit;
use inputs::Command;
use world::World;

/// Carries out a command. What submits or collects puts things in order after the
/// first signal and ends at once on the second; everything else ends on the first.
pub async fn execute(command: Command, world: World) -> Exit {
    let tidy = matches!(command, Command::Run(_) | Command::Submit(_) | Command::Collect(_));
    let end = async { if tidy { world.shutdown.second().await } else { world.shutdown.first().await } };
    let work = async {
        let done = match command {
            Command::Run(inputs) => return Box::pin(run::run(*inputs, &world)).await,
            Command::Submit(inputs) => return Box::pin(run::submit(*inputs, &world)).await,
            Command::Collect(inputs) => return Box::pin(collect::collect(*inputs, &world)).await,
            Command::Check(inputs) => return check::check(inputs, &world).await,
            Command::Cancel(inputs) => return cancel::cancel(*inputs, &world).await,
            Command::Sandbox(inputs) => operations::sandbox(inputs, &world).await,
            Command::Batch(command) => operations::batch(command, &world).await,
            Command::File(command) => operations::file(command, &world).await,
        };
        done.map_or_else(|error| world.fail(&error), |()| Exit::Ok)
    };
    tokio::select! {
        biased;
        signal = end => Exit::Signal(signal),
        exit = work => exit,
    }
}
