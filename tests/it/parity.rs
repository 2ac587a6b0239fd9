//! What is written down is what the program does: the README's tables and the
//! action's inputs and outputs against the code they describe, the sandbox's
//! script examples against its parser, every link against the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use batchstep::error::Exit;
use batchstep::inputs::{Cli, is_input};
use batchstep::internals;
use clap::CommandFactory as _;

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).replace("\r\n", "\n")
}

/// The rows of the table below a heading, without its head, each cell trimmed.
pub(crate) fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let (_, after) = text.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{document}: no {heading}"));
    let lines = after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.skip(2).map(cells).collect()
}

pub(crate) fn rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Vec<Vec<String>> {
    rows.into_iter().map(|row| row.to_vec()).collect()
}

#[test]
fn the_readme_lists_the_commands() {
    let cli = Cli::command();
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    let expected = cli.get_subcommands().flat_map(|command| {
        let name = command.get_name();
        let leaves: Vec<_> = command.get_subcommands().collect();
        if leaves.is_empty() {
            return vec![[format!("`{name}`"), about(command)]];
        }
        leaves.into_iter().map(|leaf| [format!("`{name} {}`", leaf.get_name()), about(leaf)]).collect()
    });
    let listed = table("README.md", "## Commands");
    assert_eq!(listed, rows(expected));
    let scenarios = read("tests/cmd/help.trycmd");
    for row in listed {
        let help = format!("$ batchstep {} --help\n", row[0].trim_matches('`'));
        assert!(scenarios.contains(&help), "tests/cmd/help.trycmd lacks {help}");
    }
}

/// The inputs of the commands that the action is for, those of `run` first.
fn inputs() -> Vec<(String, clap::Arg)> {
    let cli = Cli::command();
    let mut inputs: Vec<(String, clap::Arg)> = Vec::new();
    for command in ["run", "submit", "collect"] {
        let command = cli.find_subcommand(command).expect("there is such a command");
        for arg in command.get_arguments().filter(|arg| is_input(arg)) {
            let name = arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_owned);
            if !inputs.iter().any(|(known, _)| *known == name) {
                inputs.push((name, arg.clone()));
            }
        }
    }
    inputs
}

#[test]
fn the_readme_lists_the_inputs_with_their_defaults() {
    let expected = inputs().into_iter().map(|(name, arg)| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let (what, default) = match help.split_once(" [default: ") {
            Some((what, default)) => (what, default.trim_end_matches(']')),
            None => (help.as_str(), "none"),
        };
        [format!("`{name}`"), what.to_owned(), default.to_owned()]
    });
    assert_eq!(table("README.md", "## Inputs"), rows(expected));
}

/// Defaults that depend on the command, the host or who asks, as the help gives them.
#[test]
fn the_defaults_that_differ_are_listed() {
    let cli = Cli::command();
    let mut defaults: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for command in ["run", "submit", "collect"] {
        let command = cli.find_subcommand(command).expect("there is such a command");
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            if let (Some(name), Some((_, default))) = (arg.get_long(), help.split_once(" [default: ")) {
                defaults.entry(format!("`{name}`")).or_default().insert(default.to_owned());
            }
        }
    }
    let differ = |all: &BTreeSet<String>| all.len() > 1 || all.iter().any(|one| one.contains(';'));
    let differing: BTreeSet<String> =
        defaults.into_iter().filter(|(_, all)| differ(all)).map(|(name, _)| name).collect();
    let mut listed: BTreeSet<String> =
        table("docs/runs.md", "## Defaults that differ").into_iter().map(|row| row[0].clone()).collect();
    assert!(listed.remove("`command`"), "the command is no flag");
    assert_eq!(listed, differing);
}

#[test]
fn the_readme_lists_the_exit_codes() {
    let codes = Exit::ALL.iter().map(|exit| [exit.code().to_string(), exit.meaning().to_owned()]);
    let signal = ["128 + n".to_owned(), Exit::Signal(0).meaning().to_owned()];
    assert_eq!(table("README.md", "## Exit codes"), rows(codes.chain([signal])));
}

/// The outputs' names, in the order in which they are written.
fn outputs() -> Vec<String> {
    let report = internals::Report::begin(
        internals::choose(internals::Name::Openai),
        String::new(),
        batchstep::clock::Clock::starting_at(std::time::Duration::ZERO),
    );
    internals::outputs_of(&report).into_iter().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_readme_lists_the_outputs() {
    let listed: Vec<String> = table("README.md", "## Outputs").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, outputs().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>());
}

/// A variable `BATCHSTEP_*` is read back as an input by the next step, or warned of.
#[test]
fn no_output_is_handed_on_under_an_inputs_name() {
    let variable = |name: &str| format!("BATCHSTEP_{}", name.to_ascii_uppercase().replace('-', "_"));
    let inputs: BTreeSet<String> = inputs().iter().map(|(name, _)| variable(name)).collect();
    let names: Vec<String> =
        outputs().iter().map(|name| variable(name)).filter(|name| !inputs.contains(name)).collect();
    assert!(names.contains(&"BATCHSTEP_OUTCOME".to_owned()), "{names:?}");
    for path in ["README.md", "docs", "examples", "dist"].iter().flat_map(|below| match Path::new(ROOT).join(below) {
        path if path.is_file() => vec![path],
        _ => files(below, ""),
    }) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for name in &names {
            assert!(!text.contains(name.as_str()), "{} has the variable {name}", path.display());
        }
    }
}

/// The names below a key of action.yml. Each has a description and no default, which would
/// override the binary's, which holds everywhere; only a token that the runner alone can name has one.
fn action(section: &str) -> Vec<String> {
    let action: serde_norway::Value = serde_norway::from_str(&read("action.yml")).expect("action.yml is YAML");
    let entries = action[section].as_mapping().unwrap_or_else(|| panic!("no {section} in action.yml"));
    let entry = |(name, entry): (&serde_norway::Value, &serde_norway::Value)| {
        let name = name.as_str().expect("a name").to_owned();
        let description = entry["description"].as_str();
        assert!(description.is_some_and(|text| text.len() > 20), "action.yml, {section}, {name}: {entry:?}");
        let default = (name == "github-token").then_some("${{ github.token }}");
        assert_eq!(
            entry.get("default").and_then(serde_norway::Value::as_str),
            default,
            "action.yml, {section}, {name}"
        );
        name
    };
    entries.iter().map(entry).collect()
}

#[test]
fn the_action_has_the_commands_inputs_and_their_outputs() {
    let inputs = inputs().into_iter().map(|(name, _)| name);
    // The command is no flag, and the binary's path is the launcher's affair.
    let expected: Vec<String> =
        ["command".to_owned()].into_iter().chain(inputs).chain(["binary-path".to_owned()]).collect();
    assert_eq!(action("inputs"), expected);
    assert_eq!(action("outputs"), outputs());
    assert!(read("action.yml").ends_with("\nruns:\n  using: node24\n  main: dist/main.js\n  post: dist/post.js\n"));
}

/// Every variable that the binary reads as a secret is masked by the launcher, under all its names.
#[test]
fn the_launcher_masks_every_secret_input() {
    let secret = std::any::TypeId::of::<batchstep::inputs::Unchecked>();
    let (_, masks) = read("dist/lib.js")
        .split_once("function maskSecrets")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("it masks");
    let (masks, _) = masks.split_once("\n}\n").expect("the function ends");
    let cli = Cli::command();
    let args = cli.get_subcommands().flat_map(clap::Command::get_arguments);
    let names: BTreeSet<&str> =
        args.filter(|arg| arg.get_value_parser().type_id() == secret).filter_map(clap::Arg::get_long).collect();
    assert!(names.len() > 2, "{names:?}");
    for name in &names {
        assert!(masks.contains(&format!("all('{name}')")), "{name}");
    }
    for prefix in ["INPUT_${upper}", "INPUT_${snake}", "PLUGIN_${snake}", "BATCHSTEP_${snake}"] {
        assert!(masks.contains(prefix), "{prefix}");
    }
}

/// The variables of vendors' own tools that hold a secret, GitHub's and GitLab's, are those that the launcher masks.
#[test]
fn the_launcher_masks_the_variables_that_vendors_name() {
    let launcher = read("dist/lib.js");
    let (_, listed) = launcher.split_once("const VARIABLES = {\n").expect("the launcher lists variables");
    let (listed, _) = listed.split_once("};").expect("the list ends");
    let mut masked = BTreeSet::new();
    for entry in listed.trim().trim_end_matches("],").split("],") {
        let (input, names) = entry.trim().split_once(": [").expect("an input and its variables");
        for name in names.split(", ") {
            masked.insert((input.trim_matches('\'').to_owned(), name.trim_matches('\'').to_owned()));
        }
    }
    // A base URL may hold a key in its query.
    let secret = std::any::TypeId::of::<batchstep::inputs::Unchecked>();
    let cli = Cli::command();
    let args: Vec<&clap::Arg> = cli.get_subcommands().flat_map(clap::Command::get_arguments).collect();
    let is_secret = |input: &str| {
        let has_it = |arg: &&clap::Arg| arg.get_long() == Some(input) && arg.get_value_parser().type_id() == secret;
        input == "base-url" || args.iter().any(has_it)
    };
    let read = internals::vendors().flat_map(|vendor| vendor.variable_names().filter(|(input, _)| is_secret(input)));
    let read = read.chain([("github-token", "GITHUB_TOKEN"), ("gitlab-token", "GITLAB_TOKEN")]);
    assert_eq!(masked, read.map(|(input, name)| (input.to_owned(), name.to_owned())).collect());
}

#[test]
fn the_providers_are_documented_as_the_program_shows_them() {
    let vendors: Vec<_> = internals::vendors().collect();
    let mut expected: Vec<Vec<String>> = Vec::new();
    for (column, vendor) in vendors.iter().enumerate() {
        for (row, (what, is)) in internals::facts(vendor).into_iter().enumerate() {
            if column == 0 {
                expected.push(vec![what.to_owned()]);
            }
            expected[row].push(is);
        }
    }
    assert_eq!(table("docs/providers.md", "## What each can do"), expected);
    let head = format!(
        "| | {} |",
        vendors.iter().map(|vendor| format!("`{}`", vendor.name())).collect::<Vec<_>>().join(" | ")
    );
    assert!(read("docs/providers.md").contains(&head), "docs/providers.md has no {head}");
}

/// The launcher has to be read by whoever trusts it.
#[test]
fn the_launcher_stays_short_and_names_this_version() {
    let lines = |name: &&str| read(format!("dist/{name}")).lines().count();
    let total: usize = ["main.js", "post.js", "lib.js"].iter().map(lines).sum();
    // Sixty of them are for what only the launcher can do: masks for every variable that is read
    // as a secret, a download with bounds, and what `post` needs of `main`.
    assert!(total <= 300, "dist/ has {total} lines");
    let manifest: serde_json::Value = serde_json::from_str(&read("dist/manifest.json")).expect("the manifest is JSON");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(manifest["version"], version);
    let base = format!("{}/releases/download/cli/v{version}", env!("CARGO_PKG_REPOSITORY"));
    assert_eq!(manifest["base_url"], base);
}

/// Every example in the sandbox's document is a script that parses, and the
/// examples name every target and action that a wrong line is told of.
#[test]
fn the_fault_table_is_complete_and_its_examples_parse() {
    let text = read("docs/sandbox.md");
    let mut examples = String::new();
    for row in table("docs/sandbox.md", "## Faults") {
        let script = row.last().map(|example| example.trim_matches('`')).unwrap_or_default();
        assert_eq!(batchstep_sandbox::script(script).map(|faults| faults.len()), Ok(1), "{script}");
        examples += &format!("{script}\n");
    }
    for block in text.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        batchstep_sandbox::script(block).unwrap_or_else(|wrong| panic!("{wrong} in\n{block}"));
    }
    for (wrong, target) in
        [("get x", ""), ("rows x", "rows "), ("answers x", "answers "), ("batch x", "batch "), ("file x", "file ")]
    {
        let told = batchstep_sandbox::script(wrong).expect_err("no such action");
        let (_, known) = told.split_once("it takes ").expect("the actions are listed");
        for action in ["upload", "create", "content", "list"]
            .iter()
            .fold(known.to_owned(), |known, operation| known.replace(&format!("{operation} takes"), ""))
            .split([',', ';'])
        {
            let word = action.trim().split('=').next().unwrap_or_default().to_owned();
            let found = match word.as_str() {
                "a status" => examples.contains("upload 503"),
                word => examples.lines().any(|line| line.starts_with(target) && line.contains(&format!(" {word}"))),
            };
            assert!(found, "docs/sandbox.md has no example of `{target}{word}`");
        }
    }
    for operation in ["upload", "list-files", "get-file", "content", "delete-file", "create", "list", "get", "cancel"] {
        assert!(batchstep_sandbox::script(&format!("{operation} drop")).is_ok());
        assert!(text.contains(&format!("`{operation}`")), "docs/sandbox.md does not name `{operation}`");
    }
}

#[test]
fn the_phases_are_documented() {
    let phases = internals::Phase::ALL.map(|phase| format!("`{}`", phase.word()));
    let listed: Vec<String> = table("docs/report.md", "### The phases").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, phases);
}

#[test]
fn the_journals_steps_are_documented() {
    use batchstep::internals::Record;
    let text = String::new;
    let records = [
        Record::Run { version: text(), origin: text(), key: text(), total: 0 },
        Record::Upload { name: text() },
        Record::Uploaded { key: text(), file_id: text() },
        Record::Create { key: text(), create: text(), file_id: Some(text()) },
        Record::Halved { key: text() },
        Record::Created { key: text(), create: text(), batch_id: text() },
        Record::Attached {
            key: text(),
            batch_id: text(),
            owner: internals::Owner::AnotherRun,
            instead_of: Some(text()),
        },
        Record::Cancel { batch_id: text() },
        Record::Ended { batch_id: text(), status: text() },
        Record::Collect { batch_id: text() },
        Record::Dropped { key: text() },
        Record::Closed { outcome: text() },
    ];
    let steps = records.map(|record| {
        let json = serde_json::to_value(&record).expect("a record is JSON");
        let fields = json.as_object().expect("a record is an object").keys().filter(|key| *key != "step");
        let fields: BTreeSet<String> = fields.cloned().collect();
        (format!("`{}`", json["step"].as_str().unwrap_or_default()), fields)
    });
    let listed = table("docs/runs.md", "## The journal").into_iter().map(|row| {
        let fields = row[1].split(", ").map(|field| field.trim_matches('`').to_owned()).collect();
        (row[0].clone(), fields)
    });
    assert_eq!(listed.collect::<Vec<_>>(), steps);
}

/// All files below a directory with this ending.
pub(crate) fn files(below: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![Path::new(ROOT).join(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of this project").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && name != "target" && !(name.starts_with('.') && name != ".github") {
                directories.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut links = 0;
    for document in files("", ".md") {
        let text = fs::read_to_string(&document).expect("a document");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || link.contains("://") {
                continue;
            }
            links += 1;
            let target = document.parent().expect("a file has a directory").join(path);
            assert!(target.exists(), "{} links to {link}, which is not there", document.display());
        }
    }
    assert!(links > 10, "{links} links");
}
