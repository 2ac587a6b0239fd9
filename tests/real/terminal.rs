//! A person at a real terminal: what Ctrl-C does to the batch, and what asking again costs.

use std::io::Write as _;
use std::process::Stdio;

use batchstep_test_support::bench::{Finished, Served, Workspace, finish};
use tokio::process::Command;

use crate::BATCHSTEP;

/// Runs a command on a pseudo-terminal, presses Ctrl-C when it prints `press`, and passes on what it
/// printed and its exit code.
const TERMINAL: &str = r#"
import os, pty, sys
press, arguments = sys.argv[1].encode(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(arguments[0], arguments)
printed, pressed = b"", not press
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        piece = b""
    if not piece:
        break
    printed += piece
    if not pressed and press in printed:
        os.write(terminal, b"\x03")
        pressed = True
sys.stdout.buffer.write(printed)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// The run at a terminal; none where there is no Python to make one.
async fn at_terminal(workspace: &Workspace, served: &Served, press: &str, env: &[(&str, &str)]) -> Option<Finished> {
    if !std::process::Command::new("python3").args(["-c", "import pty"]).status().is_ok_and(|ran| ran.success()) {
        std::io::stderr().write_all(b"SKIPPED: there is no python3 with pty on this machine.\n").unwrap();
        return None;
    }
    let run = workspace.run(&served.base_url);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, press]).arg(run.as_std().get_program()).args(run.as_std().get_args());
    command.env_remove("CI").env_remove("GITHUB_ACTIONS").envs(env.iter().copied()).current_dir(workspace.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Some(finish(&mut command).await)
}

#[tokio::test]
async fn an_interrupt_leaves_a_persons_batch_alone_and_ends_a_jobs() {
    for (env, outcome, status) in [(&[][..], "detached", "in_progress"), (&[("CI", "true")][..], "cancelled", "cancel")]
    {
        let (served, workspace) = (BATCHSTEP.serve(&["--takes", "60s"]).await, Workspace::new(BATCHSTEP));
        let Some(ran) = at_terminal(&workspace, &served, "in progress", env).await else { return };
        let ran = ran.expect(130);
        assert_eq!(workspace.report()["outcome"], outcome, "{}", ran.stdout);
        let batches = served.tally().await.batches;
        assert!(batches.len() == 1 && batches[0].status.starts_with(status), "{batches:?}\n{}", ran.stdout);
        let told = ran.stdout.contains(&format!("batchstep cancel {}", batches[0].id));
        assert_eq!(told, outcome == "detached", "{}", ran.stdout);
    }
}

#[tokio::test]
async fn a_person_who_asks_again_pays_nothing() {
    let (served, workspace) = (BATCHSTEP.serve(&["--takes", "300ms"]).await, Workspace::new(BATCHSTEP));
    for told in [false, true] {
        let Some(ran) = at_terminal(&workspace, &served, "", &[]).await else { return };
        let ran = ran.expect(0);
        assert_eq!(ran.stdout.contains("You already have these answers"), told, "{}", ran.stdout);
    }
    let tally = served.tally().await;
    assert_eq!((tally.creates, tally.batches.len()), (1, 1), "{tally:?}");
}
