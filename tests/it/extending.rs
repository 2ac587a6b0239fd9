//! The guides name files and tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const GUIDES: [&str; 2] = ["docs/extending.md", "SECURITY.md"];

/// Everything between backticks, outside of blocks.
fn quoted(text: &str) -> Vec<String> {
    let lines = text.split("```").step_by(2).flat_map(str::lines);
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut paths: Vec<PathBuf> = ["src", "tests", "crates"].iter().map(|dir| Path::new(ROOT).join(dir)).collect();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(path).expect("a directory").flatten().map(|entry| entry.path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).expect("a source file");
            let functions =
                text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
            names.extend(functions.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn the_guides_name_files_and_tests_that_exist() {
    let tests = tests();
    let (mut files, mut functions) = (0, 0);
    for guide in GUIDES {
        let text = fs::read_to_string(Path::new(ROOT).join(guide)).expect("a guide");
        for name in quoted(&text) {
            let is_path =
                ["src/", "tests/", "docs/", "crates/", "dist/", ".ci/"].iter().any(|top| name.starts_with(top));
            // A name in capitals stands for what is to be added.
            if is_path && !name.contains(|c: char| c.is_ascii_uppercase()) {
                files += 1;
                assert!(Path::new(ROOT).join(&name).exists(), "{guide} names `{name}`");
            } else if !is_path
                && name.matches('_').count() > 2
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                functions += 1;
                assert!(tests.contains(&name), "{guide} names the test `{name}`");
            }
        }
    }
    assert!(files > 10 && functions > 5, "{files} files, {functions} tests");
}
