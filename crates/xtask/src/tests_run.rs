//! `cargo test`, and whether it ran all that there is: a test that is ignored or filtered out
//! is no proof.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::tasks::{Failed, program};

/// The fewest suites that the workspace has.
const LEAST: usize = 5;

/// Runs every test of the README's command, showing its output as it comes.
pub(crate) fn run() -> Result<(), Failed> {
    let mut command = program("cargo");
    let started = command.args(["test", "--locked"]).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| format!("cargo: {error}"))?;
    let mut seen = Seen::default();
    for line in BufReader::new(child.stdout.take().ok_or("cargo has no output")?).lines() {
        let line = line.map_err(|error| format!("cargo's output: {error}"))?;
        println!("{line}");
        seen.read(&line);
    }
    let status = child.wait().map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo ended with {status}"));
    }
    println!("{} tests passed, none ignored", seen.passed()?);
    Ok(())
}

/// What the suites said of themselves.
#[derive(Debug, Default)]
struct Seen {
    suites: usize,
    passed: u64,
    /// The closing lines of suites that did not run everything.
    wanting: Vec<String>,
}

impl Seen {
    fn read(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        self.suites += 1;
        let count = |what: &str| {
            let count = result.split([';', '.']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
            count.unwrap_or(u64::MAX)
        };
        match (result.starts_with("ok. "), count("failed"), count("ignored"), count("filtered out")) {
            (true, 0, 0, 0) => self.passed += count("passed"),
            _ => self.wanting.push(line.to_owned()),
        }
    }

    /// How many tests passed, if all of them ran.
    fn passed(&self) -> Result<u64, Failed> {
        if !self.wanting.is_empty() {
            return Err(format!("a test failed, was ignored or was filtered out:\n{}", self.wanting.join("\n")));
        }
        if self.suites < LEAST || self.passed == 0 {
            return Err(format!("only {} suites with {} tests ran", self.suites, self.passed));
        }
        Ok(self.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    fn seen(lines: &[&str]) -> Result<u64, String> {
        let mut seen = Seen::default();
        lines.iter().for_each(|line| seen.read(line));
        seen.passed()
    }

    #[test]
    fn what_was_skipped_is_no_proof() {
        let good = "test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(seen(&[good; 5]), Ok(35));
        assert!(seen(&[good; 4]).unwrap_err().starts_with("only 4 suites"));
        assert!(seen(&[&good.replace('7', "0")[..]; 5]).unwrap_err().contains("0 tests ran"));
        for (part, worse) in [
            ("ok.", "FAILED."),
            ("0 failed", "1 failed"),
            ("0 ignored", "1 ignored"),
            ("0 filtered out", "2 filtered out"),
            ("0 filtered out", ""),
        ] {
            let bad = good.replacen(part, worse, 1);
            assert!(seen(&[good, good, good, good, good, &bad]).unwrap_err().contains(&bad), "{bad}");
        }
    }
}
