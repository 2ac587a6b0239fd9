//! What `completions` and `man` print: about every command and every flag, and nothing but that.

use std::process::{Command, Output, Stdio};

use batchstep::inputs::Cli;
use clap::CommandFactory as _;

fn batchstep(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchstep"));
    // As in a job whose environment has an input that is wrong and a proxy that cannot be used.
    command.args(words).env("BATCHSTEP_TIMOUT", "1h").env("HTTPS_PROXY", "::").output().expect("batchstep starts")
}

/// What is printed if all is well.
fn printed(words: &[&str]) -> String {
    let output = batchstep(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The long flags of a command.
fn flags(command: &clap::Command) -> Vec<String> {
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

#[test]
fn every_shell_completes_every_flag() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        for command in Cli::command().get_subcommands() {
            assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            for flag in flags(command) {
                assert!(script.contains(&flag), "{shell}: --{flag}");
            }
        }
    }
}

#[test]
fn a_shell_can_read_its_script() {
    let Ok(mut bash) = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn() else {
        eprintln!("There is no bash here, so nothing is proven.");
        return;
    };
    let mut script = bash.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut script, printed(&["completions", "bash"]).as_bytes()).expect("bash reads");
    drop(script);
    assert!(bash.wait().expect("bash ends").success());
}

#[test]
fn every_command_has_a_page_with_its_flags_and_examples() {
    fn assert_page(command: &clap::Command, words: &[&str]) {
        let page = printed(&[&["man"], words].concat());
        let name = [&["batchstep"], words].concat().join("\\-");
        assert!(page.contains(&name), "{page}");
        for flag in flags(command) {
            assert!(page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))), "{words:?}: --{flag}");
        }
        assert_eq!(page.contains("Examples:"), command.get_after_help().is_some(), "{words:?}");
        for below in command.get_subcommands() {
            assert_page(below, &[words, &[below.get_name()]].concat());
        }
    }
    assert_page(&Cli::command(), &[]);
}

#[test]
fn what_is_not_there_is_a_usage_error() {
    for (words, said) in [
        (&["man", "batch", "nothing"][..], "There is no command `batchstep batch nothing`."),
        (&["completions", "csh"], "csh"),
    ] {
        let output = batchstep(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(output.stdout, b"", "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{words:?}");
    }
}
