//! The gate: a command of the user's that reads the answers and says which of them fail.
//!
//! It gets `answers.jsonl` on standard input and prints one JSON line for each row that it fails, and nothing else. It
//! runs with the rights of the job, in an environment without the secrets that are known, and within a time limit. What
//! becomes of its verdicts is for reconciliation to say.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::child::{Group, ended};
use crate::text::shorten;

/// The longest line that is read of what it prints, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;
/// How many lines of its standard error are shown.
const SHOWN: u32 = 50;
/// How many characters of such a line, and of a message, are kept.
const LINE: usize = 300;

/// Why rows fail, by their `custom_id`s.
pub(crate) type Verdicts = HashMap<String, String>;

/// A gate that is to run.
pub(crate) struct Gate<'a> {
    /// The command, for the shell.
    pub command: &'a str,
    /// The variables that it does not get.
    pub unset: Vec<&'a str>,
    /// Where lines of its standard error go.
    pub say: &'a dyn Fn(&str),
}

/// A line that the gate prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    custom_id: String,
    message: String,
}

impl Gate<'_> {
    /// Runs the command on the file of answers. If this is dropped, the command ends, with all that it started.
    ///
    /// # Errors
    /// Why its verdicts cannot be used, as a clause about "it".
    pub(crate) async fn run(&self, answers: &Path) -> Result<Verdicts, String> {
        let input = File::open(answers).map_err(|error| format!("it has no answers to read: {error}"))?;
        let mut child = self.start(input).map_err(|error| format!("it could not be started: {error}"))?;
        let group = Group::of(&child);
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("it has no output".to_owned());
        };
        let verdicts = async {
            let verdicts = verdicts(output).await;
            if verdicts.is_err() {
                group.kill();
            }
            verdicts
        };
        let (verdicts, (), status) = tokio::join!(verdicts, self.show(errors), child.wait());
        let verdicts = verdicts?;
        let status = status.map_err(|error| format!("how it ended is not known: {error}"))?;
        group.leave();
        if !status.success() {
            return Err(ended(status));
        }
        let path = answers.to_owned();
        let checked = tokio::task::spawn_blocking(move || known(verdicts, &path)).await;
        checked.map_err(|error| error.to_string())?
    }

    fn start(&self, input: File) -> std::io::Result<Child> {
        let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
        let mut command = Command::new(shell);
        command.arg(flag).arg(self.command).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in &self.unset {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        command.kill_on_drop(true).spawn()
    }

    /// Shows what it says on standard error, cut.
    async fn show(&self, errors: impl AsyncRead + Unpin) {
        let mut errors = tokio::io::BufReader::new(errors);
        let mut shown = 0;
        while let Ok(Some(line)) = line(&mut errors).await {
            shown += 1;
            match shown {
                ..=SHOWN => (self.say)(&shorten(String::from_utf8_lossy(&line).trim_end(), LINE)),
                _ if shown == SHOWN + 1 => (self.say)("(more of it is not shown)"),
                _ => shown = SHOWN + 1,
            }
        }
    }
}

/// A line, or as much of it as is read at a time; none at the end.
async fn line(from: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    Ok((!line.is_empty()).then_some(line))
}

/// Reads the verdicts.
async fn verdicts(output: impl AsyncRead + Unpin) -> Result<Verdicts, String> {
    let mut output = tokio::io::BufReader::new(output);
    let mut verdicts = Verdicts::new();
    let unread = |error: std::io::Error| format!("its output cannot be read: {error}");
    while let Some(line) = line(&mut output).await.map_err(unread)? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let verdict: Verdict = serde_json::from_slice(&line).map_err(|error| {
            let shown = shorten(String::from_utf8_lossy(&line).trim_end(), 80);
            format!("it printed `{shown}`, which is not a line `{{\"custom_id\", \"message\"}}` ({error})")
        })?;
        let Verdict { custom_id, message } = verdict;
        let shown = shorten(&custom_id, 80);
        if verdicts.insert(custom_id, shorten(&message, LINE)).is_some() {
            return Err(format!("it failed `{shown}` twice"));
        }
    }
    Ok(verdicts)
}

/// The verdicts, if all of them are about rows of the file.
fn known(verdicts: Verdicts, answers: &Path) -> Result<Verdicts, String> {
    #[derive(Deserialize)]
    struct Row {
        custom_id: String,
    }
    let unread = |error: std::io::Error| format!("its input cannot be read again: {error}");
    let mut missing: std::collections::HashSet<&str> = verdicts.keys().map(String::as_str).collect();
    let mut lines = BufReader::new(File::open(answers).map_err(unread)?).lines();
    while !missing.is_empty() {
        let Some(line) = lines.next() else { break };
        if let Ok(Row { custom_id }) = serde_json::from_str(&line.map_err(unread)?) {
            missing.remove(custom_id.as_str());
        }
    }
    let stranger = missing.into_iter().min().map(|id| shorten(id, 80));
    match stranger {
        Some(id) => Err(format!("it failed `{id}`, which is not the `custom_id` of any row")),
        None => Ok(verdicts),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::Gate;

    /// What the time limit of a run does to it.
    #[tokio::test]
    async fn one_that_is_dropped_ends_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let (answers, late) = (tempfile::NamedTempFile::new().unwrap(), dir.path().join("late"));
        let command = format!("(sleep 1; touch {}) & sleep 600", late.display());
        let gate = Gate { command: &command, unset: Vec::new(), say: &|_| {} };
        assert!(tokio::time::timeout(Duration::from_millis(300), gate.run(answers.path())).await.is_err());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!late.exists());
    }
}
