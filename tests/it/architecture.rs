//! The rules of ARCHITECTURE.md that no lint can hold: where each power is, families whose
//! members do not know each other, and the size of files. What may import what is in `imports.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::parity::{ROOT, files};

/// A source file's name below src/ and its text up to its tests.
pub(crate) fn sources() -> Vec<(String, String)> {
    let src = Path::new(ROOT).join("src");
    let name = |path: &Path| path.strip_prefix(&src).unwrap_or(path).to_string_lossy().replace('\\', "/");
    let product = |path: &Path| {
        let text = fs::read_to_string(path).expect("a source file");
        text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
    };
    // These are compiled for tests only.
    let test_only = ["commands/another_host.rs", "formats/samples.rs", "hosts/samples.rs", "prices/oracle.rs"];
    let all = files("src", ".rs").into_iter().map(|path| (name(&path), product(&path)));
    all.filter(|(name, _)| !test_only.contains(&name.as_str())).collect()
}

/// Lines of code that hold one of `words`, outside of comments, in other files than `but`.
fn offenders(words: &[&str], but: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| !but.contains(&name.as_str())) {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let hits = code.filter(|line| words.iter().any(|word| line.contains(word)));
        found.extend(hits.map(|line| format!("{name}: {}", line.trim())));
    }
    found
}

#[test]
fn each_power_is_in_one_place() {
    let client = ["client/mod.rs", "client/address.rs", "client/host.rs", "client/reach.rs", "client/trust.rs"];
    assert_eq!(offenders(&["reqwest::"], &client), [""; 0], "only the client names reqwest");
    assert_eq!(offenders(&["octocrab::"], &["hosts/github/api/calls.rs"]), [""; 0], "only calls.rs names octocrab");
    assert_eq!(offenders(&["std::env::var"], &["env.rs"]), [""; 0], "only env.rs reads the environment");
    assert_eq!(offenders(&["SystemTime::now"], &["clock.rs"]), [""; 0], "only clock.rs reads the wall clock");
    let writes = [" File::create(", ":File::create(", "OpenOptions::", "fs::write(", "io::stdout()", "print!("];
    // The journal, downloads and what opens them, a pipe's copy of a download, and the copy of standard input.
    let files = ["journal.rs", "batch/download.rs", "own_files.rs"];
    let writers = [&files[..], &["effects.rs", "new_file.rs", "commands/operations.rs", "requests/source.rs"]].concat();
    assert_eq!(offenders(&writes, &writers), [""; 0], "only effects.rs and new_file.rs write, but for these");
}

#[test]
fn no_member_of_a_family_names_another() {
    for family in ["dialects", "hosts", "formats"] {
        let members: Vec<(String, String)> =
            sources().into_iter().filter(|(name, _)| name.starts_with(&format!("{family}/"))).collect();
        let module = |name: &str| name.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs").to_owned();
        let names: BTreeSet<String> =
            members.iter().map(|(name, _)| module(name)).filter(|name| name != "mod").collect();
        assert!(names.len() > 1, "{family} has {names:?}");
        for (name, text) in members.iter().filter(|(name, _)| module(name) != "mod") {
            for other in names.iter().filter(|other| **other != module(name)) {
                for path in [format!("super::{other}"), format!("{family}::{other}")] {
                    assert!(!text.contains(&path), "src/{name} names {path}");
                }
            }
        }
    }
}

#[test]
fn no_function_takes_a_boolean() {
    let mut found = Vec::new();
    for (name, text) in sources() {
        // serde's visitors have this one.
        for function in text.split("fn ").skip(1).filter(|function| !function.starts_with("visit_bool")) {
            let signature = function.split(['{', ';']).next().unwrap_or_default();
            let parameters = signature.split("->").next().unwrap_or_default();
            if [": bool", "Option<bool>"].iter().any(|boolean| parameters.contains(boolean)) {
                found.push(format!("{name}: fn {}", parameters.lines().next().unwrap_or_default()));
            }
        }
    }
    assert_eq!(found, [""; 0], "an enum says at the call what is meant");
}

#[test]
fn files_stay_within_their_budgets() {
    for path in ["src", "crates", "tests"].into_iter().flat_map(|below| files(below, ".rs")) {
        let text = fs::read_to_string(&path).expect("a source file");
        let budget = if path.ends_with("src/main.rs") { 50 } else { 500 };
        let lines = text.lines().count();
        assert!(lines <= budget, "{} has {lines} lines, more than {budget}", path.display());
        assert!(text.starts_with("//! "), "{} does not begin by saying what it is", path.display());
    }
}
