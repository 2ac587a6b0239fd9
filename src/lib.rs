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
mod bounded;
pub mod client;
pub mod clock;
pub mod effects;
pub mod emitter;
pub mod env;
pub mod error;
pub mod events;
pub mod identity;
pub mod invocation;
pub mod journal;
pub mod launcher;
mod opaque;
pub mod oversize;
mod own_files;
pub mod part;
pub mod patience;
mod reasons;
pub mod refusal;
pub mod retry;
pub mod shutdown;
pub mod simulator;
pub mod usage;
pub mod values;
pub mod wire;
pub mod world;
// The families: interchangeable peers that do not know each other.
pub mod formats;
pub mod hosts;
pub mod providers;

use commands::{cancel, check, collect, operations, run};
use error::{Error, Exit};
use inputs::Command;
use world::World;

/// Carries out a command. What may leave a batch running ends by itself after a
/// signal, with a report of what it leaves; everything else ends on the first.
pub async fn execute(command: Command, world: World) -> Exit {
    if !matches!(command, Command::Check(_) | Command::Sandbox(_)) {
        world.warn_of_proxies();
    }
    let world = &world;
    match command {
        Command::Run(inputs) => Box::pin(run::run(*inputs, world)).await,
        Command::Submit(inputs) => Box::pin(run::submit(*inputs, world)).await,
        Command::Collect(inputs) => Box::pin(collect::collect(*inputs, world)).await,
        Command::Cancel(inputs) => Box::pin(cancel::cancel(*inputs, world)).await,
        Command::Check(inputs) => until_signal(world, check::check(inputs, world)).await,
        Command::Sandbox(inputs) => {
            until_signal(world, explained(world, Box::pin(operations::sandbox(inputs, world)))).await
        }
        Command::Batch(command) => {
            until_signal(world, explained(world, Box::pin(operations::batch(command, world)))).await
        }
        Command::File(command) => {
            until_signal(world, explained(world, Box::pin(operations::file(command, world)))).await
        }
    }
}

async fn until_signal(world: &World, work: impl Future<Output = Exit>) -> Exit {
    tokio::select! {
        biased;
        signal = world.shutdown.first() => Exit::Signal(signal),
        exit = work => exit,
    }
}

async fn explained(world: &World, work: impl Future<Output = Result<(), Error>>) -> Exit {
    work.await.map_or_else(|error| world.fail(&error), |()| Exit::Ok)
}
