//! Whether a file is on disk as a commit has it: asks git, which may not be there.
//!
//! A workspace is not to be trusted: its configuration may name programs that git runs. The two commands
//! used here run none of them: they look up an object's name, and hash a file without filters. Nothing is
//! fetched. Of the environment git gets `PATH` and `HOME` only, so no key.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use crate::env::Env;
use crate::policy::GIT;

/// The variables that git gets.
const PASSED_ON: [&str; 2] = ["PATH", "HOME"];

/// Asks git about a workspace.
pub(crate) struct Git<'a> {
    pub(crate) env: &'a Env,
    /// The directory of the repository.
    pub(crate) workspace: &'a Path,
    /// The full name of the commit.
    pub(crate) commit: &'a str,
}

impl Git<'_> {
    /// Whether the file at this path of the repository, with `/` between names, is as the commit has it.
    /// Blocks for as long as `policy::GIT` at most, twice.
    pub(crate) fn has_unchanged(&self, path: &str) -> bool {
        let committed =
            self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{}:{path}", self.commit)]);
        committed.is_some_and(|committed| self.ask(&["hash-object", "--no-filters", "--", path]) == Some(committed))
    }

    /// What git answers in one line; none if it fails or takes too long.
    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("git");
        command.args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-C"]).arg(self.workspace).args(arguments);
        command.env_clear().env("GIT_NO_LAZY_FETCH", "1");
        command.envs(PASSED_ON.iter().filter_map(|name| Some((name, self.env.get(name)?))));
        let mut git = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut output = git.stdout.take()?.take(1_000);
        let (done, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = output.read_to_string(&mut text).map(|_| text);
            // Nobody listens any more if it took too long.
            drop(done.send(read));
        });
        let answer = answer.recv_timeout(GIT);
        if answer.is_err() {
            drop(git.kill());
        }
        let is_good = git.wait().is_ok_and(|status| status.success());
        answer.ok()?.ok().filter(|text| is_good && !text.trim().is_empty()).map(|text| text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::{Env, Git};

    fn git(dir: &Path, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let output = Command::new("git").arg("-C").arg(dir).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_file_is_unchanged_if_it_is_what_the_commit_has() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a b.jsonl"), "{}\n").unwrap();
        git(dir.path(), &["init", "-q"]);
        git(dir.path(), &["add", "."]);
        git(dir.path(), &["commit", "-qm", "one"]);
        let commit = git(dir.path(), &["rev-parse", "HEAD"]);
        fs::write(dir.path().join("new.jsonl"), "{}\n").unwrap();
        #[expect(clippy::disallowed_methods, reason = "git is found by the PATH of whoever runs the tests")]
        let path = std::env::var("PATH").unwrap();
        let env: Env = [("PATH", path.as_str())].into_iter().collect();
        let asked = |path: &str| Git { env: &env, workspace: dir.path(), commit: &commit }.has_unchanged(path);
        assert!(asked("a b.jsonl"));
        assert!(!asked("new.jsonl") && !asked("none.jsonl"));
        fs::write(dir.path().join("a b.jsonl"), "{ }\n").unwrap();
        assert!(!asked("a b.jsonl"));
        let nowhere = Env::default();
        assert!(!Git { env: &nowhere, workspace: Path::new("/nowhere"), commit: &commit }.has_unchanged("x"));
    }
}
