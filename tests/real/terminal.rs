//! A person at a real terminal: what the bar leaves behind, what Ctrl-C does to the batch, and what asking again costs.

use std::io::Write as _;
use std::process::Stdio;

use batchstep_test_support::bench::{Finished, Served, Workspace, finish};
use tokio::process::Command;

use crate::BATCHSTEP;

/// Runs a command on a pseudo-terminal of 80 columns, presses Ctrl-C when it prints `press`, and passes on what it
/// printed and its exit code.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
press, arguments = sys.argv[1].encode(), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
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

/// What a terminal shows in the end of what was printed, line by line. It knows what a bar is drawn with.
fn screen(printed: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::<char>::new()], 0, 0);
    let mut rest = printed.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                lines.resize(lines.len().max(row + 1), Vec::new());
            }
            '\u{1b}' => {
                let escape: String = rest.by_ref().skip(1).take_while(|c| !c.is_ascii_alphabetic()).collect();
                // Colours change nothing here, and nothing goes up; without a number it clears what follows.
                if escape.is_empty() {
                    lines.truncate(row + 1);
                    lines[row].truncate(column);
                }
            }
            c => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect()).collect()
}

/// The run at a terminal; none where there is no Python to make one.
async fn at_terminal(workspace: &Workspace, served: &Served, press: &str, env: &[(&str, &str)]) -> Option<Finished> {
    run_at_terminal(workspace, served, press, env, &[]).await
}

/// The same, with inputs beside the usual ones.
async fn run_at_terminal(
    workspace: &Workspace,
    served: &Served,
    press: &str,
    env: &[(&str, &str)],
    inputs: &[&str],
) -> Option<Finished> {
    if !std::process::Command::new("python3").args(["-c", "import pty"]).status().is_ok_and(|ran| ran.success()) {
        std::io::stderr().write_all(b"SKIPPED: there is no python3 with pty on this machine.\n").unwrap();
        return None;
    }
    let run = workspace.run(&served.base_url);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL, press]).arg(run.as_std().get_program()).args(run.as_std().get_args()).args(inputs);
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

#[tokio::test]
async fn the_bar_counts_all_batches_and_leaves_nothing_behind() {
    // Ctrl-C comes once the bar's end is drawn.
    for (press, exit, takes, verdict) in
        [("", 0, "1s", "✓ SIMULATED · All 5 answered"), ("─  ", 130, "60s", "✗ SIMULATED · Cancelled")]
    {
        let (served, workspace) = (BATCHSTEP.serve(&["--takes", takes]).await, Workspace::new(BATCHSTEP));
        let env = [("NO_COLOR", "1"), ("CI", "true"), ("TERM", "xterm")];
        let inputs = ["--max-requests", "4"];
        let Some(ran) = run_at_terminal(&workspace, &served, press, &env, &inputs).await else { return };
        let ran = ran.expect(exit);
        assert!(ran.stdout.contains("batches 0 of ") && ran.stdout.contains("─  "), "{}", ran.stdout);
        let shown = screen(&ran.stdout);
        let is_left = |line: &&String| line.contains(['━', '─', '◐', '◓', '◑', '◒']) || line.contains("^C");
        assert_eq!(shown.iter().find(is_left), None, "{}", shown.join("\n"));
        assert!(shown.iter().any(|line| line.starts_with(verdict)), "{}", shown.join("\n"));
        // A command stays whole, so that it can be copied.
        let is_too_wide = |line: &&String| line.chars().count() > 80 && !line.contains('`');
        assert_eq!(shown.iter().find(is_too_wide), None, "{}", shown.join("\n"));
    }
}

#[tokio::test]
async fn a_terminal_shows_colours_unless_told_otherwise() {
    let coloured = "\u{1b}[1m\u{1b}[32m✓ ";
    for (variable, inputs, is_coloured) in [
        (("TERM", "xterm"), &[][..], true),
        (("NO_COLOR", "1"), &[][..], false),
        (("NO_COLOR", "1"), &["--color", "always"][..], true),
        (("CLICOLOR_FORCE", "1"), &["--color", "never"][..], false),
    ] {
        let (served, workspace) = (BATCHSTEP.serve(&["--takes", "100ms"]).await, Workspace::new(BATCHSTEP));
        let env = [("TERM", "xterm"), variable];
        let Some(ran) = run_at_terminal(&workspace, &served, "", &env, inputs).await else { return };
        let ran = ran.expect(0);
        assert_eq!(ran.stdout.contains(coloured), is_coloured, "{variable:?} {inputs:?}: {}", ran.stdout);
    }
}
