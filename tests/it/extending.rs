//! The guides name files and tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const GUIDES: [&str; 3] = ["ARCHITECTURE.md", "docs/extending.md", "SECURITY.md"];
/// Where a guide's paths begin.
const ROOTS: [&str; 3] = ["", "src", "docs"];

/// Everything between backticks, outside of blocks.
fn quoted(text: &str) -> Vec<String> {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// All source files.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut paths: Vec<PathBuf> = ["src", "tests", "crates"].iter().map(|dir| Path::new(ROOT).join(dir)).collect();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).expect("a directory").flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in sources() {
        let text = fs::read_to_string(path).expect("a source file");
        let functions =
            text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
        names.extend(functions.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    names
}

/// Whether a name between backticks is that of a file or a directory. A name in capitals stands for what is to be added.
fn is_path(name: &str) -> bool {
    let may_be = name.ends_with(".rs") || name.contains('/');
    may_be && !name.contains(|c: char| c.is_ascii_uppercase() || c.is_whitespace() || c == ':')
}

#[test]
fn the_guides_name_files_and_tests_that_exist() {
    let tests = tests();
    let sources = sources();
    let (mut files, mut functions) = (0, 0);
    for guide in GUIDES {
        let text = fs::read_to_string(Path::new(ROOT).join(guide)).expect("a guide");
        for name in quoted(&text) {
            if is_path(&name) {
                files += 1;
                let is_there = ROOTS.iter().any(|root| Path::new(ROOT).join(root).join(&name).exists());
                // A part of a directory that the sentence names.
                let is_part = sources.iter().any(|path| path.ancestors().any(|part| part.ends_with(&name)));
                assert!(is_there || is_part, "{guide} names `{name}`");
            } else if name.matches('_').count() > 2 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                functions += 1;
                assert!(tests.contains(&name), "{guide} names the test `{name}`");
            }
        }
    }
    assert!(files > 80 && functions > 20, "{files} files, {functions} tests");
}

/// What the members of a family say, by their names: the text of their files, tests included.
fn members(family: &str, but: &[&str]) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(ROOT).join("src").join(family)).expect("a family").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names = names.filter(|name| !but.contains(&name.as_str()));
    let of = |name: &str| {
        let path = Path::new(ROOT).join("src").join(family).join(name);
        let files = sources().into_iter().filter(|file| file.starts_with(&path));
        files.map(|file| fs::read_to_string(file).expect("a source file")).collect::<String>()
    };
    names.map(|name| (name.clone(), of(&name))).collect()
}

#[test]
fn every_host_and_format_is_tested_with_hostile_texts() {
    // The other files there are parts of hosts, or about files whose formats are tested.
    let is_host = |(_, text): &(String, String)| text.contains("impl Language for ") || text.contains("impl Host for ");
    let hosts: Vec<(String, String)> = members("hosts", &["mod.rs", "files.rs"]).into_iter().filter(is_host).collect();
    assert!(hosts.len() > 9, "{} hosts", hosts.len());
    let members = [hosts, members("formats", &["mod.rs", "samples"])].concat();
    assert!(members.len() > 13, "{} hosts and formats", members.len());
    for (name, text) in members {
        assert!(text.contains("in HOSTILE"), "{name} has no test with hostile texts");
        assert!(text.contains("samples::"), "{name} has no test with the sample reports");
    }
}

#[test]
fn every_file_that_a_sink_writes_is_set_aside() {
    let sinks = members("results/sinks", &["mod.rs"]);
    let main = fs::read_to_string(Path::new(ROOT).join("src/results/sinks/mod.rs")).expect("the sinks");
    let (_, files) = main.split_once("pub(crate) const FILES").expect("the list of files");
    let (files, _) = files.split_once(';').expect("the list ends").1.split_once(';').expect("the list ends");
    let writers: Vec<&str> =
        sinks.iter().filter(|(_, text)| text.contains("const NAME: &str")).map(|(name, _)| name.as_str()).collect();
    assert!(writers.len() > 3, "{writers:?}");
    for name in writers {
        let module = name.trim_end_matches(".rs");
        let named = [format!("{module}::NAME"), module.to_ascii_uppercase()];
        assert!(named.iter().any(|name| files.contains(name.as_str())), "`FILES` lacks that of {name}");
    }
}
