//! The program's frame: parse, run, exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use batchstep::clock::Clock;
use batchstep::effects::{LogTarget, Screen, Stream};
use batchstep::env::{Env, Terminals};
use batchstep::error::{Error, Exit};
use batchstep::launcher::Launcher;
use batchstep::shutdown;
use batchstep::usage;
use batchstep::world::World;

fn main() -> ExitCode {
    let (env, mut screen) = (Env::system(), Screen::system());
    let (typed, terminals): (Vec<OsString>, _) = (std::env::args_os().collect(), Terminals::system());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::internal("The runtime could not be started.").because(error);
            drop(screen.apply(batchstep::effects::explain(&error)));
            return ExitCode::from(Exit::Internal.code());
        }
    };
    let exit = runtime.block_on(async {
        let (stopper, shutdown) = shutdown::listen().expect("signals can be listened for inside a runtime");
        let (cli, config) = match usage::read(&typed, &env, terminals) {
            Ok(read) => read,
            Err(refusal) => return usage::refuse(refusal, &typed, &env, &shutdown, &mut screen).await,
        };
        let launcher = Launcher::of(&env, stopper, &shutdown);
        let log = LogTarget::system(&env);
        screen.paint(env.paint(cli.command.looks().color.unwrap_or_default(), || Stream::Err.is_terminal()));
        let mut world = World::new(env, Clock::system(), shutdown, log, screen);
        world.config = config;
        world.look(&cli.command);
        world.setting = world.env.setting(terminals);
        world.launcher = launcher;
        batchstep::execute(cli.command, world).await
    });
    // A read of standard input cannot be broken off; it must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}
