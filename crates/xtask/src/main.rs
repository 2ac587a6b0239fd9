//! The repository's tasks, each under one name: `cargo xtask NAME`.
//!
//! `.ci/run` and the GitHub workflow call the same tasks, so that what passes here passes
//! there. This program needs no installation. What is shorter as a shell
//! script is one, in `.ci/`. `cargo xtask` alone lists the tasks.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for developers, which shows no foreign text")]

use std::process::ExitCode;

mod prices;
mod prices_names;
mod tasks;
mod tests_run;

use tasks::TASKS;

fn main() -> ExitCode {
    if let Err(error) = std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")) {
        eprintln!("xtask: the repository cannot be entered: {error}");
        return ExitCode::FAILURE;
    }
    let names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        println!("Usage: cargo xtask TASK...\n");
        TASKS.iter().for_each(|task| println!("  {:<15} {}", task.name, task.what));
        return ExitCode::SUCCESS;
    }
    for name in names {
        let Some(task) = TASKS.iter().find(|task| task.name == name) else {
            eprintln!("xtask: there is no task `{name}`; `cargo xtask` lists them");
            return ExitCode::from(2);
        };
        if let Err(why) = (task.run)() {
            eprintln!("xtask: {name} FAILED: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
