//! Sets aside the results of an earlier run: they may not pass for this one's, and
//! they were paid for. When a run takes a directory, they are moved out of its
//! way, into a directory of their own per run.
//!
//! That is `<output-dir>.earlier/<time>/`, beside the directory, so that uploading
//! it as an artifact does not upload all that was ever in it. Where there is no
//! such place (`.`, a mount point, a parent that is not ours to write to), it is
//! `<output-dir>/.earlier/<time>/`. Files are renamed, never copied: at any moment
//! each is whole in one of the two places. Symlinks are moved as such, and no
//! directory is reached through one that is where ours should be.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::REPORT;
use crate::clock::{Clock, rfc3339};
use crate::emitter::Events;
use crate::error::Error;
use crate::events::Event;
use crate::hosts;
use crate::results::sinks;

/// Files with answers, which are moved first: should the process be killed in between, no
/// earlier answers are left that could pass for this run's.
const ANSWERS: [&str; 4] = sinks::FILES;
/// So many earlier runs are kept: those with answers, and as many without, which push out none of the former.
const KEPT: usize = 10;
/// So many runs may begin in the same second.
const MOST_AT_ONCE: usize = 100;

/// Moves away what an earlier run left in `dir`, and logs and returns where it went.
pub(super) fn set_aside(dir: &Path, clock: Clock, events: &Events<'_>) -> Result<Option<PathBuf>, Error> {
    let is_there = |name: &&str| dir.join(name).symlink_metadata().is_ok();
    let mut found: Vec<&str> = ANSWERS.into_iter().chain([REPORT]).filter(is_there).collect();
    // By themselves, files with these names may be anybody's.
    if !found.is_empty() {
        found.extend(hosts::FILES.into_iter().filter(is_there));
    }
    let Some(first) = found.first() else { return Ok(None) };
    // A colon may not be in a file's name everywhere.
    let time = rfc3339(clock.unix()).replace(':', "-");
    let failed = |path: &Path, error: io::Error| {
        Error::internal(format!("`{}` of an earlier run could not be moved out of the way.", path.display()))
            .because(error)
            .hint("Move it yourself, or give this run another `output-dir`.")
    };
    let mut places = [beside(dir), Some(dir.join(".earlier"))].into_iter().flatten().peekable();
    let (root, place) = loop {
        let Some(root) = places.next() else { return Ok(None) };
        match fresh(&root, &time).and_then(|place| try_move(dir, &place, first)) {
            Ok(place) => break (root, place),
            // The next place is inside of the directory, on the same disk and as writable as the files' own.
            Err(_) if places.peek().is_some() => {}
            Err(error) => return Err(failed(&dir.join(first), error)),
        }
    };
    for name in &found[1..] {
        fs::rename(dir.join(name), place.join(name)).map_err(|error| failed(&dir.join(name), error))?;
    }
    let files = found.iter().map(|name| (*name).to_owned()).collect();
    events.emit(Event::SetAside { files, place: place.display().to_string() });
    forget_oldest(&root, events);
    Ok(Some(place))
}

/// The directory beside `dir` that is named after it; none where it has no name of its own.
fn beside(dir: &Path) -> Option<PathBuf> {
    let mut name = dir.file_name()?.to_owned();
    name.push(".earlier");
    Some(dir.with_file_name(name))
}

/// A new directory in `root` that is named after the time.
fn fresh(root: &Path, time: &str) -> io::Result<PathBuf> {
    match fs::create_dir(root) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Whoever can put a symlink there must not choose where answers go, nor what is removed.
    if !root.symlink_metadata()?.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, format!("`{}` is not a directory", root.display())));
    }
    for number in 1..=MOST_AT_ONCE {
        let name = if number == 1 { time.to_owned() } else { format!("{time}-{number:02}") };
        match fs::create_dir(root.join(&name)) {
            Ok(()) => return Ok(root.join(name)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, format!("`{}` is there already", root.join(time).display())))
}

/// Moves the first file. If that fails, as it does onto another disk, nothing is left of the attempt.
fn try_move(dir: &Path, place: &Path, name: &str) -> io::Result<PathBuf> {
    fs::rename(dir.join(name), place.join(name)).inspect_err(|_| {
        // Both only if they are empty, which ours are.
        drop(fs::remove_dir(place));
        drop(place.parent().map(fs::remove_dir));
    })?;
    Ok(place.to_owned())
}

/// Removes the oldest runs above the number that is kept, and names them.
fn forget_oldest(root: &Path, events: &Events<'_>) {
    let Ok(entries) = fs::read_dir(root) else { return };
    let is_run =
        |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_time(&entry.file_name());
    let mut runs: Vec<PathBuf> = entries.flatten().filter(is_run).map(|entry| entry.path()).collect();
    // A time's name sorts by the time.
    runs.sort();
    let has_answers = |run: &PathBuf| ANSWERS.iter().any(|name| run.join(name).symlink_metadata().is_ok());
    let (with, without): (Vec<PathBuf>, Vec<PathBuf>) = runs.into_iter().partition(has_answers);
    for runs in [with, without] {
        for run in &runs[..runs.len().saturating_sub(KEPT)] {
            let place = run.display().to_string();
            match fs::remove_dir_all(run) {
                Ok(()) => events.emit(Event::Forgotten { place, kept: KEPT }),
                Err(error) => events.emit(Event::Warned(format!("{place} could not be removed: {error}."))),
            }
        }
    }
}

/// Whether a directory's name is a time as we write it, with or without a number.
fn is_time(name: &std::ffi::OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let shape: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    matches!(shape.as_str(), "0000-00-00T00-00-00Z" | "0000-00-00T00-00-00Z-00" | "0000-00-00T00-00-00Z-000")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::{beside, set_aside};
    use crate::clock::Clock;
    use crate::emitter::{Events, Shown};

    /// Leaves files in a directory and moves them away; what was said of it.
    fn aside(dir: &Path, files: &[&str], second: u64) -> String {
        for name in files {
            fs::write(dir.join(name), second.to_string()).unwrap();
        }
        let lines = RefCell::new(Vec::new());
        let events = Events::new(|event| {
            lines.borrow_mut().extend(event.line());
            Shown::Said
        });
        set_aside(dir, Clock::starting_at(Duration::from_secs(1_800_000_000 + second)), &events).unwrap();
        drop(events);
        lines.into_inner().join("\n")
    }

    /// What is in a directory, sorted.
    fn names(dir: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_ever_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("out/");
        fs::create_dir(&dir).unwrap();
        assert_eq!(aside(&dir, &[], 0), "");
        let log = aside(&dir, &["results.jsonl", "report.json"], 0);
        assert!(log.starts_with("The results.jsonl and report.json of an earlier run are now in "), "{log}");
        assert!(log.ends_with("out.earlier/2027-01-15T08-00-00Z"), "{log}");
        aside(&dir, &["results.jsonl"], 0);
        fs::write(dir.join("journal.jsonl"), "stays").unwrap();
        let root = home.path().join("out.earlier");
        assert_eq!(names(&root), ["2027-01-15T08-00-00Z", "2027-01-15T08-00-00Z-02"]);
        assert_eq!(names(&root.join("2027-01-15T08-00-00Z")), ["report.json", "results.jsonl"]);
        assert_eq!(names(&dir), ["journal.jsonl"]);
    }

    #[test]
    fn what_may_be_anybodys_is_moved_only_beside_results() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(aside(home.path(), &["summary.md"], 0), "");
        assert_eq!(names(home.path()), ["summary.md"]);
        let log = aside(home.path(), &["report.json"], 0);
        assert!(log.starts_with("The report.json and summary.md of an earlier run are now in "), "{log}");
    }

    #[test]
    fn ten_runs_are_kept_and_reports_push_out_no_answers() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("out");
        fs::create_dir(&dir).unwrap();
        let root = home.path().join("out.earlier");
        fs::create_dir(&root).unwrap();
        fs::create_dir(root.join("mine")).unwrap();
        assert!(!aside(&dir, &["results.jsonl", "report.json"], 0).contains("Removed"));
        for second in 1..=15 {
            aside(&dir, &["report.json"], second);
        }
        assert_eq!(names(&root).len(), 1 + 1 + 10);
        assert_eq!(fs::read_to_string(root.join("2027-01-15T08-00-00Z/results.jsonl")).unwrap(), "0");
        for second in 20..29 {
            assert!(!aside(&dir, &["results.jsonl"], second).contains("Removed"));
        }
        let log = aside(&dir, &["results.jsonl"], 30);
        assert!(log.contains("Removed ") && log.contains("out.earlier/2027-01-15T08-00-00Z,"), "{log}");
        assert!(root.join("mine").exists() && root.join("2027-01-15T08-00-20Z").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_chooses_no_place() {
        let home = tempfile::tempdir().unwrap();
        let (dir, elsewhere) = (home.path().join("out"), home.path().join("elsewhere"));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.path().join("out.earlier")).unwrap();
        let log = aside(&dir, &["results.jsonl"], 0);
        assert!(log.ends_with("out/.earlier/2027-01-15T08-00-00Z"), "{log}");
        assert_eq!(names(&elsewhere), [""; 0]);
        // A file that is itself a link is moved as one, and what it names stays.
        fs::write(elsewhere.join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.join("precious"), dir.join("results.jsonl")).unwrap();
        aside(&dir, &[], 1);
        assert_eq!(names(&dir), [".earlier"]);
        assert_eq!(fs::read_to_string(elsewhere.join("precious")).unwrap(), "x");
    }

    #[test]
    fn every_way_to_name_a_directory_has_a_place() {
        let place = |dir: &str| beside(Path::new(dir)).map(|place| place.display().to_string());
        assert_eq!(place("batch-results/").as_deref(), Some("batch-results.earlier"));
        assert_eq!(place("/data/out").as_deref(), Some("/data/out.earlier"));
        assert_eq!(place("a/.").as_deref(), Some("a.earlier"));
        assert_eq!([".", "..", "/", "a/.."].map(place), [const { None }; 4]);
    }
}
