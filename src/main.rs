//! The program's frame: parse, run, exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use batchstep::clock::Clock;
use batchstep::effects::{Effect, Screen};
use batchstep::env::Env;
use batchstep::error::{Error, Exit};
use batchstep::inputs::Cli;
use batchstep::shutdown;
use batchstep::world::World;
use clap::{CommandFactory as _, Parser as _};

fn main() -> ExitCode {
    let (env, mut screen) = (Env::system(), Screen::system());
    let arguments = env.arguments(std::env::args_os().collect(), &Cli::command());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let to: fn(String) -> Effect = if error.use_stderr() { Effect::Log } else { Effect::Command };
            let lines = error.to_string().lines().map(|line| to(line.to_owned())).collect();
            let failed = !screen.apply(lines).is_empty();
            return ExitCode::from(if failed {
                Exit::Internal.code()
            } else {
                error.exit_code().try_into().unwrap_or(1)
            });
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::internal("The runtime could not be started.").because(error);
            drop(screen.apply(batchstep::effects::explain(&error)));
            return ExitCode::from(Exit::Internal.code());
        }
    };
    let exit = runtime.block_on(async {
        let shutdown = shutdown::listen().expect("signals can be listened for inside a runtime");
        let world = World::new(env, Clock::system(), shutdown, std::io::stderr().is_terminal(), screen);
        batchstep::execute(cli.command, world).await
    });
    // A read of standard input cannot be broken off; it must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}
