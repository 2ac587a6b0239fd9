//! `batchstep completions` and `batchstep man`: what a shell and `man` are to know of the command line.

use clap::CommandFactory as _;

use crate::effects::Effect;
use crate::error::Error;
use crate::inputs::{Cli, Completions, Man};
use crate::world::World;

/// Prints the script that completes the command line in a shell.
pub(crate) async fn completions(inputs: Completions, world: &World) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(inputs.shell, &mut Cli::command(), "batchstep", &mut script);
    print(&script, world);
    Ok(())
}

/// Prints the man page of batchstep, or of one of its commands.
///
/// # Errors
/// Usage, if there is no such command.
pub(crate) async fn man(inputs: Man, world: &World) -> Result<(), Error> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    for word in &inputs.page {
        let below = command.find_subcommand(word).cloned();
        command = below.ok_or_else(|| {
            Error::usage(format!("There is no command `batchstep {}`.", inputs.page.join(" ")))
                .hint("`batchstep --help` lists commands.")
        })?;
    }
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut page);
    rendered.map_err(|error| Error::internal("The man page could not be written.").because(error))?;
    print(&page, world);
    Ok(())
}

fn print(text: &[u8], world: &World) {
    let text = String::from_utf8_lossy(text);
    world.apply(text.lines().map(|line| Effect::Data(line.to_owned())).collect());
}
