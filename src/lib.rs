//! batchstep runs batches of LLM requests, at OpenAI, Anthropic or a compatible server, as one step of a CI workflow.
//!
//! Read this file first: the modules by layers, then the commands on one screen.
//! `commands/run.rs` is the pipeline, from inputs to exit code. A module names
//! only those below it; `tests/it/imports.rs` reads the order here.

// What a call becomes: the commands, over the stages.
pub mod usage;
mod commands;
mod session;
pub mod world;
pub mod launcher;
mod plan;
mod variables;
pub mod config;
mod tracked;
// How it is reported: families of interchangeable peers, and what they report.
mod hosts;
mod formats;
mod headline;
mod bill;
mod outputs;
mod verdict;
mod invocation;
pub mod inputs;
pub mod effects;
mod new_file;
pub mod env;
// The work on batches and their answers.
mod batch;
mod life;
mod journal;
mod identity;
mod part;
mod retry_loop;
mod oversize;
mod quote;
mod budget;
mod past;
mod results;
mod report;
mod judgement;
mod phases;
mod gate;
mod child;
mod schemas;
mod own_files;
mod guard;
// What happens, and who hears of it.
mod emitter;
mod log_lines;
mod overview;
mod events;
pub mod shutdown;
mod attachment;
// The way to a vendor.
mod api;
mod client;
mod simulator;
mod retry;
// The requests, what they will use, and the vendors' dialects: a family too.
mod estimate;
mod requests;
mod prices;
mod dialects;
// What everything stands on.
mod marked_id;
mod json;
mod values;
mod opaque;
mod policy;
pub mod bar;
pub mod clock;
pub mod error;
mod inert_json;
pub mod styled;
mod usd;
mod text;

/// What the repository's own tests and benchmarks reach beside the above. It is no interface.
#[doc(hidden)]
pub mod internals {
    pub use crate::attachment::Owner;
    pub use crate::commands::providers::facts;
    pub use crate::dialects::{Name, all as vendors, choose};
    pub use crate::journal::Record;
    pub use crate::json::fast::agrees_with_serde_json;
    pub use crate::outputs::of as outputs_of;
    pub use crate::phases::Phase;
    pub use crate::report::Report;
    pub use crate::requests::source::{Source, resolve};
    pub use crate::requests::{Checked, check};
    pub use crate::results::{AnswersFile, reconcile_and_discard};
}

use commands::{cancel, check, collect, completions, operations, providers, report as rendering, run};
use error::{Error, Exit};
use inputs::Command;
use world::World;

/// Carries out a command. What may leave a batch running ends by itself after a
/// signal, with a report of what it leaves; everything else ends on the first.
pub async fn execute(command: Command, world: World) -> Exit {
    let is_local = matches!(
        command,
        Command::Check(_)
            | Command::Report(_)
            | Command::Providers(_)
            | Command::Sandbox(_)
            | Command::Completions(_)
            | Command::Man(_)
    );
    if !is_local {
        world.warn_of_proxies();
    }
    let world = &world;
    match command {
        Command::Run(inputs) => Box::pin(run::run(*inputs, world)).await,
        Command::Submit(inputs) => Box::pin(run::submit(*inputs, world)).await,
        Command::Collect(inputs) => Box::pin(collect::collect(*inputs, world)).await,
        Command::Cancel(inputs) => Box::pin(cancel::cancel(*inputs, world)).await,
        Command::Check(inputs) => until_signal(world, check::check(inputs, world)).await,
        Command::Report(inputs) => {
            until_signal(world, explained(world, Box::pin(rendering::report(inputs, world)))).await
        }
        Command::Providers(inputs) => providers::providers(&inputs, world),
        Command::Sandbox(inputs) => {
            until_signal(world, explained(world, Box::pin(operations::sandbox(inputs, world)))).await
        }
        Command::Batch(command) => {
            until_signal(world, explained(world, Box::pin(operations::batch(command, world)))).await
        }
        Command::File(command) => {
            until_signal(world, explained(world, Box::pin(operations::file(command, world)))).await
        }
        Command::Completions(inputs) => explained(world, completions::completions(inputs, world)).await,
        Command::Man(inputs) => explained(world, completions::man(inputs, world)).await,
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
    work.await.map_or_else(|error| world.fail(&error), |()| world.exit(Exit::Ok))
}
