//! batchstep runs OpenAI-style Batch API jobs as one step of a CI workflow.
//!
//! Read this file first: the modules in reading order, then the pipeline of
//! `batchstep run`, from inputs to exit code, on one screen.

// The flow: each a stage, with its parts in its directory.
pub mod inputs;
pub mod plan;
pub mod pipeline;
pub mod requests;
pub mod batch;
pub mod results;
pub mod verdict;
pub mod report;
pub mod operations;
// The seams.
pub mod api;
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
pub mod values;
pub mod wire;
pub mod world;
// The families: interchangeable peers that do not know each other.
pub mod formats;
pub mod hosts;
pub mod providers;
// The simulator of the API, a program of its own behind real HTTP.
pub mod sandbox;

use error::Exit;
use inputs::Command;
use world::World;

/// Carries out a command. A run puts things in order after the first signal
/// and ends at once on the second; everything else ends on the first.
pub async fn execute(command: Command, world: World) -> Exit {
    let tidy = matches!(command, Command::Run(_));
    let end = async { if tidy { world.shutdown.second().await } else { world.shutdown.first().await } };
    let work = async {
        let done = match command {
            Command::Run(inputs) => return pipeline::run(*inputs, &world).await,
            Command::Check(inputs) => return pipeline::check(inputs, &world).await,
            Command::Cancel(inputs) => return pipeline::cancel(*inputs, &world).await,
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
