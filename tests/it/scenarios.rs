//! The program as a user meets it: a command line, all that it prints, its exit code.
//!
//! `tests/cmd/*.trycmd` hold the scenarios. The tests below them need a server,
//! a shell or a CI system's files.

use trycmd::TestCases;

/// Variables that would be taken for inputs, or for a CI system's.
const PREFIXES: [&str; 7] = ["GITHUB_", "INPUT_", "OPENAI_", "BATCHSTEP_", "PLUGIN_", "CI", "DRONE"];

/// The names of all such variables that are set where the tests run.
#[expect(clippy::disallowed_methods, reason = "the tests must not see the environment that they run in")]
fn inherited() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix))).collect()
}

#[test]
fn scenarios() {
    let cases = TestCases::new();
    cases.case("tests/cmd/*.trycmd");
    for name in inherited() {
        // An empty variable is an absent one.
        cases.env(name, "");
    }
}
