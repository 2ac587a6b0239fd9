//! Inputs from the environment's variables, as if they had been typed.
//!
//! An input that is not typed on the command line is taken from the first of these that is there:
//! `INPUT_*` on GitHub, `PLUGIN_*` on Woodpecker and Drone, `BATCHSTEP_*`, `batchstep.toml`, which
//! `config/` has read, the vendor's own variable.
//! Which of these systems runs us, `hosts/mod.rs` says.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, ValueEnum as _};

use crate::config::Config;
use crate::dialects::{self, Name, Vendor};
use crate::env::Env;
use crate::hosts::{is_action, is_gitlab, is_plugin};
use crate::inputs::{self, Connection, Unchecked};

/// The tokens that jobs on GitHub and on GitLab usually have in variables. They are no vendor's: they count for every
/// provider, but on that system alone.
const GITHUB: (&str, &str) = ("github-token", "GITHUB_TOKEN");
const GITLAB: (&str, &str) = ("gitlab-token", "GITLAB_TOKEN");

/// With this flag no input comes from the environment.
const FROM_STATE: &str = "--from-state";

/// Names with our prefix that are no inputs: what the launcher tells us, and what our own tests read.
const NO_INPUTS: [&str; 3] = ["LAUNCHER_PID", "FULL", "TEST_EXCHANGES"];

/// How alike a misspelt name and an input must be (Jaro-Winkler, 0 to 1) for the input to be suggested.
const ALIKE: f64 = 0.85;

/// An input's value as the environment gives it.
struct Found<'a> {
    value: &'a str,
    separators: &'static [char],
    /// How the user wrote the input's name: `max-failed` as an action's input.
    written: String,
}

/// A variable that looks like an input and is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// Its name.
    pub name: String,
    /// The input that was probably meant, as a variable.
    pub nearest: Option<String>,
}

impl<'a> Found<'a> {
    /// The items of a list.
    fn items(self) -> Vec<&'a str> {
        self.value.split(self.separators).map(str::trim).filter(|value| !value.is_empty()).collect()
    }
}

impl Env {
    /// The command line as if every input from the environment had been typed,
    /// ahead of what really was. Without a command the one in the environment
    /// counts; a host that runs us bare means `run`. Of `config` only what counts is kept.
    pub fn arguments(&self, argv: Vec<OsString>, cli: &clap::Command, config: &mut Config) -> Vec<OsString> {
        let mut argv = argv.into_iter();
        let program = argv.next().unwrap_or_else(|| "batchstep".into());
        let mut typed: Vec<OsString> = argv.collect();
        if typed.is_empty() {
            typed.extend(self.command().split_whitespace().map(OsString::from));
        }
        let mut command = cli;
        let mut words = 0;
        while let Some(next) = typed.get(words).and_then(|word| command.find_subcommand(word)) {
            (command, words) = (next, words + 1);
        }
        // What `post` may believe is in the state that the run left, not in the inputs that `post` finds.
        let is_post = |word: &OsString| word == FROM_STATE;
        if command.has_subcommands() || typed.iter().any(|word| asks(word) || is_post(word)) {
            return std::iter::once(program).chain(typed).collect();
        }
        let options = typed.split_off(words);
        let (flags, positionals) = self.inputs(command, &options, config);
        let separator = (!positionals.is_empty() && !options.iter().any(|word| word == "--")).then(|| "--".into());
        let all = std::iter::once(program).chain(typed).chain(flags).chain(options);
        all.chain(separator).chain(positionals).collect()
    }

    /// Whether the command that is called reads `batchstep.toml`.
    pub(crate) fn reads_config(&self, argv: &[OsString]) -> bool {
        let command = match argv.get(1) {
            Some(word) => word.to_str(),
            None => Some(self.command()),
        };
        command.is_some_and(|command| inputs::READERS.contains(&command)) && !argv.iter().any(asks)
    }

    /// The command that the environment names.
    fn command(&self) -> &str {
        let fallback = if is_action(self) || is_plugin(self) { "run" } else { "" };
        self.find("command", &[]).map_or(fallback, |found| found.value)
    }

    /// The inputs of `command` that were not typed: flags, then positionals.
    fn inputs(
        &self,
        command: &clap::Command,
        typed: &[OsString],
        config: &mut Config,
    ) -> (Vec<OsString>, Vec<OsString>) {
        let (mut flags, mut positionals) = (Vec::new(), Vec::new());
        // Typed mistakes are reported by the real parse; here they only must not hide what is right.
        let bare = command.clone().no_binary_name(true).ignore_errors(true);
        let Ok(matches) = bare.try_get_matches_from(typed) else { return (flags, positionals) };
        let vendor = [self.vendor(&matches)];
        let open: Vec<&Arg> = command.get_arguments().filter(|arg| is_open(&matches, arg)).collect();
        config.keep(|input| self.input(input).is_none() && open.iter().any(|arg| name(arg) == input));
        for arg in open {
            let is_list = matches!(arg.get_action(), ArgAction::Append);
            let values: Vec<&str> = match (config.values(&name(arg)), self.find(&name(arg), &vendor)) {
                (Some(values), _) => values.iter().map(String::as_str).collect(),
                (None, Some(found)) if is_list => found.items(),
                (None, found) => found.into_iter().map(|found| found.value).collect(),
            };
            for value in values {
                match arg.get_long() {
                    Some(long) => flags.push(format!("--{long}={value}").into()),
                    None => positionals.push(value.into()),
                }
            }
        }
        (flags, positionals)
    }

    /// The vendor that is asked for: no key or address of another may leak in.
    fn vendor(&self, typed: &ArgMatches) -> &'static Vendor {
        let typed = typed.try_get_raw("provider").ok().flatten().and_then(|mut values| values.next());
        let named = match typed {
            Some(provider) => provider.to_str(),
            None => self.input("provider"),
        };
        // A name that there is not is reported by the real parse.
        dialects::choose(named.and_then(|name| Name::from_str(name, false).ok()).unwrap_or(Name::Openai))
    }

    /// An input's value from the first source that has one; of vendors' variables only those of `vendors` count.
    fn find(&self, input: &str, vendors: &[&'static Vendor]) -> Option<Found<'_>> {
        self.sources(input, vendors).into_iter().next()
    }

    /// Every value that the environment has for an input, each as a list of items, the one that counts first.
    pub(crate) fn candidates(&self, input: &str) -> Vec<Vec<&str>> {
        let vendors: Vec<&'static Vendor> = dialects::all().collect();
        self.sources(input, &vendors).into_iter().map(Found::items).collect()
    }

    /// The values that an input has, each from one variable, in the order in which they count.
    fn sources(&self, input: &str, vendors: &[&'static Vendor]) -> Vec<Found<'_>> {
        let upper = input.to_ascii_uppercase();
        let snake = upper.replace('-', "_");
        let found = |variable: &str, written: &str, separators| {
            Some(Found { value: self.get(variable)?, separators, written: written.to_owned() })
        };
        let input_value = |name: &str| found(&format!("INPUT_{name}"), input, &['\n']).filter(|_| is_action(self));
        // Woodpecker and Drone join the items of a list with commas.
        let plugin = found(&format!("PLUGIN_{snake}"), &input.replace('-', "_"), &['\n', ',']);
        let plugin = plugin.filter(|_| is_plugin(self));
        let own = format!("BATCHSTEP_{snake}");
        let own = found(&own, &own, &['\n']);
        // Vendors of one dialect share their variables.
        let mut names: Vec<&str> = vendors.iter().filter_map(|vendor| vendor.variable(input)).collect();
        names.dedup();
        let vendors = names.into_iter().map(|variable| found(variable, variable, &['\n']));
        let token = [(GITHUB, is_action(self)), (GITLAB, is_gitlab(self))].into_iter();
        let token = token.filter(|((name, _), is_here)| *is_here && *name == input);
        let token = token.map(|((_, variable), _)| found(variable, variable, &['\n']));
        // A shell drops names with a hyphen, so the launcher passes both.
        let kept = input_value(&snake).filter(|_| snake != upper);
        [input_value(&upper), kept, plugin, own].into_iter().chain(vendors).chain(token).flatten().collect()
    }

    /// An input's value, wherever it is set.
    pub(crate) fn input(&self, input: &str) -> Option<&str> {
        self.find(input, &[]).map(|found| found.value)
    }

    /// How the user wrote the name of an input that is set by a variable; none where none sets it.
    pub(crate) fn written(&self, input: &str) -> Option<String> {
        let vendors: Vec<&'static Vendor> = dialects::all().collect();
        self.find(input, &vendors).map(|found| found.written)
    }

    /// Variables that are named like an input and are none of any command: `BATCHSTEP_*`, and a plugin's settings.
    pub(crate) fn unknown(&self, cli: &clap::Command) -> Vec<Unknown> {
        let mut known: Vec<String> = vec!["COMMAND".to_owned()];
        inputs_of(cli, &mut known);
        let stranger = |name: &str| {
            let prefix = ["BATCHSTEP_", "PLUGIN_"].into_iter().find(|prefix| name.starts_with(prefix))?;
            let rest = name.strip_prefix(prefix).filter(|_| prefix == "BATCHSTEP_" || is_plugin(self))?;
            let is_known = known.iter().any(|input| input == rest) || NO_INPUTS.contains(&rest);
            self.get(name).filter(|_| !is_known)?;
            let likeness = |input: &String| strsim::jaro_winkler(input, rest);
            let nearest = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
            let nearest = nearest.filter(|input| likeness(input) >= ALIKE).map(|input| format!("{prefix}{input}"));
            Some(Unknown { name: name.to_owned(), nearest })
        };
        self.names().filter_map(stranger).collect()
    }
}

/// Whether a word asks for help or the version.
fn asks(word: &OsString) -> bool {
    matches!(word.to_str(), Some("--help" | "-h" | "--version" | "-V" | "help"))
}

/// Whether an argument is an input that the command line leaves open.
fn is_open(matches: &ArgMatches, arg: &Arg) -> bool {
    inputs::is_input(arg) && matches.value_source(arg.get_id().as_str()) != Some(ValueSource::CommandLine)
}

/// An argument's name as an input: `poll-interval`.
fn name(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_owned)
}

/// The names of all inputs of a command and those below it, as they stand in variables.
fn inputs_of(command: &clap::Command, names: &mut Vec<String>) {
    let inputs = command.get_arguments().filter(|arg| inputs::is_input(arg));
    names.extend(inputs.map(|arg| name(arg).to_ascii_uppercase().replace('-', "_")));
    command.get_subcommands().for_each(|below| inputs_of(below, names));
}

/// The inputs that were typed as flags and are not printed: what the environment has is there the next time, too.
pub(crate) fn unprinted(connection: &Connection, env: &Env) -> Vec<&'static str> {
    let text = |Unchecked(text): &Unchecked| text.clone();
    let typed = [
        ("api-key", connection.api_key.iter().map(text).collect::<Vec<String>>()),
        ("headers", connection.headers.iter().map(text).collect()),
        ("organization", connection.organization.iter().cloned().collect()),
        ("project", connection.project.iter().cloned().collect()),
    ];
    let is_typed = |(name, values): &(&'static str, Vec<String>)| {
        !values.is_empty() && !env.candidates(name).iter().any(|theirs| theirs == values)
    };
    typed.into_iter().filter(is_typed).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::env::Env;
    use clap::CommandFactory as _;

    fn arguments(env: &[(&str, &str)], typed: &[&str]) -> Vec<String> {
        let env: Env = env.iter().copied().collect();
        let argv = std::iter::once("batchstep").chain(typed.iter().copied()).map(Into::into).collect();
        let cli = crate::inputs::Cli::command();
        env.arguments(argv, &cli, &mut Config::default())
            .into_iter()
            .skip(1)
            .map(|word| word.into_string().unwrap())
            .collect()
    }

    #[test]
    fn typed_beats_input_beats_plugin_beats_own_beats_vendor() {
        let all = [
            ("GITHUB_ACTIONS", "true"),
            ("CI", "woodpecker"),
            ("INPUT_BASE-URL", "http://input"),
            ("PLUGIN_BASE_URL", "http://plugin"),
            ("BATCHSTEP_BASE_URL", "http://own"),
            ("OPENAI_BASE_URL", "http://vendor"),
        ];
        for (skipped, expected) in ["input", "plugin", "own", "vendor"].iter().enumerate() {
            let env: Vec<_> = all[..2].iter().chain(&all[2 + skipped..]).copied().collect();
            assert_eq!(
                arguments(&env, &["batch", "list"]),
                ["batch", "list", &format!("--base-url=http://{expected}")]
            );
            assert_eq!(arguments(&env, &["batch", "list", "--base-url", "x"]), ["batch", "list", "--base-url", "x"]);
        }
    }

    #[test]
    fn an_input_whose_name_a_shell_kept_counts_after_the_real_one() {
        let github = ("GITHUB_ACTIONS", "true");
        let (real, kept) = (("INPUT_MAX-FAILED", "5"), ("INPUT_MAX_FAILED", "6"));
        let own = ("BATCHSTEP_MAX_FAILED", "7");
        assert_eq!(arguments(&[github, real, kept, own], &["run"]), ["run", "--max-failed=5"]);
        assert_eq!(arguments(&[github, kept, own], &["run"]), ["run", "--max-failed=6"]);
        assert_eq!(arguments(&[kept, own], &["run"]), ["run", "--max-failed=7"]);
    }

    #[test]
    fn post_takes_no_input_from_the_environment() {
        let env = [
            ("GITHUB_ACTIONS", "true"),
            ("INPUT_BATCH-ID", "batch_1"),
            ("INPUT_PENDING", "true"),
            ("INPUT_BASE-URL", "https://other.example/v1"),
            ("BATCHSTEP_PROVIDER", "compatible"),
            ("OPENAI_API_KEY", "sk-0123456789"),
        ];
        assert_eq!(arguments(&env, &["cancel", "--from-state"]), ["cancel", "--from-state"]);
        assert!(arguments(&env, &["cancel"]).len() > 2);
    }

    #[test]
    fn all_that_an_input_may_be_is_there_in_order() {
        let env: Env = [
            ("GITHUB_ACTIONS", "true"),
            ("INPUT_HEADERS", "A: 1\n\n B: 2 "),
            ("BATCHSTEP_HEADERS", " "),
            ("OPENAI_CUSTOM_HEADERS", "C: 3"),
        ]
        .into_iter()
        .collect();
        assert_eq!(env.candidates("headers"), [vec!["A: 1", "B: 2"], vec!["C: 3"]]);
        assert_eq!(env.candidates("api-key"), Vec::<Vec<&str>>::new());
    }

    #[test]
    fn hosts_own_their_prefixes() {
        let names = [("INPUT_PROJECT", "a"), ("PLUGIN_PROJECT", "b")];
        assert_eq!(arguments(&names, &["batch", "list"]), ["batch", "list"]);
        let almost = [("GITHUB_ACTIONS", "1"), ("CI", "true"), names[0], names[1]];
        assert_eq!(arguments(&almost, &["batch", "list"]), ["batch", "list"]);
        let drone = [("DRONE", "true"), names[0], names[1]];
        assert_eq!(arguments(&drone, &["batch", "list"]), ["batch", "list", "--project=b"]);
    }

    #[test]
    fn an_empty_variable_is_an_absent_one() {
        let env = [("GITHUB_ACTIONS", "true"), ("INPUT_PROJECT", "  "), ("BATCHSTEP_PROJECT", " p ")];
        assert_eq!(arguments(&env, &["batch", "list"]), ["batch", "list", "--project=p"]);
    }

    #[test]
    fn lists_split_at_lines_and_never_mix_with_typed_ones() {
        let env = [("BATCHSTEP_REQUESTS", "a.jsonl\nb, c.jsonl\n"), ("BATCHSTEP_METADATA", "x=1\n\n y=2")];
        let expected = ["run", "--metadata=x=1", "--metadata=y=2", "--", "a.jsonl", "b, c.jsonl"];
        assert_eq!(arguments(&env, &["run"]), expected);
        assert_eq!(arguments(&env, &["run", "--metadata", "z=3", "d.jsonl"]), ["run", "--metadata", "z=3", "d.jsonl"]);
        let drone = [("DRONE", "true"), ("PLUGIN_METADATA", "x=1,y=2")];
        assert_eq!(arguments(&drone, &["run"]), ["run", "--metadata=x=1", "--metadata=y=2"]);
    }

    #[test]
    fn a_bare_call_runs_on_a_host_and_asks_for_help_elsewhere() {
        assert_eq!(arguments(&[("GITHUB_ACTIONS", "true")], &[]), ["run"]);
        assert_eq!(arguments(&[("GITHUB_ACTIONS", "true"), ("INPUT_COMMAND", "batch list")], &[]), ["batch", "list"]);
        assert_eq!(arguments(&[], &[]), Vec::<String>::new());
    }

    #[test]
    fn the_sandbox_never_gets_a_vendors_key_or_address() {
        let vendor = [("OPENAI_API_KEY", "sk-real-key"), ("OPENAI_BASE_URL", "https://api.openai.com/v1")];
        assert_eq!(arguments(&vendor, &["run", "--provider", "sandbox"]), ["run", "--provider", "sandbox"]);
        let env = [vendor[0], vendor[1], ("BATCHSTEP_PROVIDER", "sandbox")];
        assert_eq!(arguments(&env, &["run"]), ["run", "--provider=sandbox"]);
        assert_eq!(arguments(&vendor, &["run"]).len(), 3);
    }

    #[test]
    fn the_runners_token_is_taken_on_github_only_and_last() {
        let token = ("GITHUB_TOKEN", "ghs_0123456789");
        let sandbox = ["run", "--provider", "sandbox"];
        assert_eq!(arguments(&[token], &sandbox), sandbox);
        let github = ("GITHUB_ACTIONS", "true");
        let expected = ["run", "--github-token=ghs_0123456789", "--provider", "sandbox"];
        assert_eq!(arguments(&[token, github], &sandbox), expected);
        let input = ("INPUT_GITHUB-TOKEN", "ghs_input");
        assert_eq!(arguments(&[token, github, input], &["run"]), ["run", "--github-token=ghs_input"]);
        let (token, gitlab) = (("GITLAB_TOKEN", "glpat-0123456789"), ("GITLAB_CI", "true"));
        assert_eq!(arguments(&[token, github], &sandbox), sandbox);
        let expected = ["run", "--gitlab-token=glpat-0123456789", "--provider", "sandbox"];
        assert_eq!(arguments(&[token, gitlab], &sandbox), expected);
    }

    #[test]
    fn variables_that_look_like_inputs_and_are_none_are_found() {
        let cli = crate::inputs::Cli::command();
        let unknown = |names: &[&str]| {
            let env: Env = names.iter().map(|name| (*name, "x")).collect();
            let told = |unknown: super::Unknown| format!("{} {}", unknown.name, unknown.nearest.unwrap_or_default());
            env.unknown(&cli).into_iter().map(told).collect::<Vec<_>>()
        };
        let known = ["COMMAND", "MAX_FAILED", "BATCH_ID", "PORT", "REQUESTS", "OURS", "LAUNCHER_PID", "FULL"];
        let known: Vec<String> = known.iter().map(|name| format!("BATCHSTEP_{name}")).collect();
        assert_eq!(unknown(&known.iter().map(String::as_str).collect::<Vec<_>>()), [""; 0]);
        assert_eq!(unknown(&["OPENAI_API_KEY", "BATCH_OUTCOME", "batchstep_x"]), [""; 0]);
        assert_eq!(
            unknown(&["BATCHSTEP_MAXFAILED", "BATCHSTEP_TIMOUT", "BATCHSTEP_OUTCOME"]),
            ["BATCHSTEP_MAXFAILED BATCHSTEP_MAX_FAILED", "BATCHSTEP_OUTCOME ", "BATCHSTEP_TIMOUT BATCHSTEP_TIMEOUT"]
        );
        // A plugin's settings count only where plugins run.
        assert_eq!(unknown(&["PLUGIN_MAX_COSTS"]), [""; 0]);
        let plugin: Env =
            [("DRONE", "true"), ("PLUGIN_MAX_COST", "1"), ("PLUGIN_MAX_COSTS", "1")].into_iter().collect();
        let (name, nearest) = ("PLUGIN_MAX_COSTS".to_owned(), Some("PLUGIN_MAX_COST".to_owned()));
        assert_eq!(plugin.unknown(&cli), [super::Unknown { name, nearest }]);
        let empty: Env = [("BATCHSTEP_TIMOUT", " ")].into_iter().collect();
        assert_eq!(empty.unknown(&cli), []);
    }

    #[test]
    fn help_is_left_alone() {
        let env = [("BATCHSTEP_TIMEOUT", "nonsense")];
        assert_eq!(arguments(&env, &["run", "--help"]), ["run", "--help"]);
    }
}
