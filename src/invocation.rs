//! The commands that we print: each as it has to be typed to reach the same provider
//! and the same directory, with all that differs from the defaults.
//!
//! Keys and headers are never printed. A query that may hold a secret is read from the
//! variable `BATCHSTEP_BASE_URL` instead. A sandbox inside this process ends with it, so
//! that no command can reach its batches: then there is none.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use crate::api::Api;
use crate::dialects::{self, Name};
use crate::inputs::{Connection, OUTPUT_DIR, Typed, Work};
use crate::text::shell_word;
use crate::values::Reuse;

/// The variable from which a base URL is read whose query is not shown.
const BASE_URL: &str = "\"$BATCHSTEP_BASE_URL\"";

/// How this provider and this directory are reached from a shell.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// The flags by which the provider is reached, each with a space before it. None where it ends with this process.
    connection: Option<String>,
    /// Where results and the journal go.
    output_dir: PathBuf,
    /// What another run of the same requests does; none where the command was no run.
    rerun: Option<Reuse>,
    /// The requests, where commands about them can be printed.
    requests: Option<Requests>,
    /// Whether the command continues another run, as another one that attaches to its batches has to do.
    continues: bool,
    /// Whether batches are left that another run attaches to.
    is_open: bool,
    /// Whether the command is a step of a workflow, whose machine is gone when a person reads the hints.
    is_in_workflow: bool,
    /// Inputs that were typed and are not printed.
    unprinted: Vec<&'static str>,
}

/// The requests of a run as they were typed.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// The paths.
    paths: Vec<String>,
    /// The flags that say what they must keep to, each with a space before it.
    flags: String,
    /// All flags that a run of them repeats, likewise, but for its limits.
    repeated: String,
    /// What the run may spend, likewise.
    limits: String,
    /// The flag of the provider, unless it is the default.
    provider: String,
}

impl Invocation {
    /// How the provider that `connection` names is reached. `unprinted` are inputs that were typed and are not printed.
    pub(crate) fn new(api: &Api, connection: &Connection, unprinted: Vec<&'static str>) -> Self {
        let vendor = api.vendor();
        let mut flags = String::new();
        if vendor.name != dialects::choose(Name::Openai).name {
            flags += &format!(" --provider {}", vendor.name);
        }
        let (usual, shown) = (vendor.base_url, api.shown_base_url());
        if shown.is_query_hidden {
            flags += &format!(" --base-url {BASE_URL}");
        } else if usual.is_none_or(|usual| usual.trim_end_matches('/') != shown.url.trim_end_matches('/')) {
            flags += &format!(" --base-url {}", shell_word(&shown.url));
        }
        if connection.allow_http.unwrap_or(false) {
            flags += " --allow-http";
        }
        if let Some(path) = &connection.ca_file {
            flags += &format!(" --ca-file {}", shell_word(&path.display().to_string()));
        }
        Self {
            connection: Some(flags),
            output_dir: OUTPUT_DIR.into(),
            rerun: None,
            requests: None,
            continues: false,
            is_open: false,
            is_in_workflow: false,
            unprinted,
        }
    }

    /// Of a command that keeps its results and its journal here.
    #[must_use]
    pub(crate) fn in_dir(self, output_dir: &Path) -> Self {
        Self { output_dir: output_dir.to_owned(), ..self }
    }

    /// Of a run over this work; another run of it reuses these batches.
    #[must_use]
    pub(crate) fn of_run(self, reuse: Reuse, requests: Option<Requests>) -> Self {
        Self { rerun: Some(reuse), requests, ..self }
    }

    /// Of a run that continues another.
    #[must_use]
    pub(crate) fn of_continuation(self) -> Self {
        Self { continues: true, ..self }
    }

    /// Of a run that leaves batches, to which another one attaches.
    #[must_use]
    pub(crate) fn while_open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Whether batches are left that another run attaches to.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Of a step of a workflow, if the host knows its run.
    #[must_use]
    pub(crate) fn of_workflow(self, run: Option<&str>) -> Self {
        Self { is_in_workflow: run.is_some(), ..self }
    }

    /// Whether it is a step of a workflow.
    pub(crate) fn is_in_workflow(&self) -> bool {
        self.is_in_workflow
    }

    /// How another run attaches to the same batches: what to type, as the end of a sentence.
    pub(crate) fn attach(&self) -> String {
        match self.only_failed() {
            _ if !self.continues => "run again with the same requests to attach".to_owned(),
            Some(again) => format!("run `{again}` again to attach"),
            None => "run again with the same requests and `only-failed` to attach".to_owned(),
        }
    }

    /// Of a run whose provider is a sandbox in this process.
    #[must_use]
    pub(crate) fn in_process(self) -> Self {
        Self { connection: None, ..self }
    }

    /// Whether the provider ends with this process, and its batches with it.
    pub(crate) fn ends_with_process(&self) -> bool {
        self.connection.is_none()
    }

    /// What another run of the same requests would reuse, where the command is a run.
    pub(crate) fn rerun(&self) -> Option<Reuse> {
        self.rerun.filter(|_| !self.ends_with_process())
    }

    /// The command that waits for these batches and fetches their answers into the same directory.
    pub(crate) fn collect(&self, ids: &[&str]) -> Option<String> {
        let dir = self.output_dir_flag();
        // A word that begins like a list is read as one.
        if ids.iter().any(|id| id.starts_with('[')) {
            return self.command("collect", &[&serde_json::json!(ids).to_string()], &dir);
        }
        self.command("collect", ids, &dir)
    }

    /// The command that cancels these batches and waits for their end.
    pub(crate) fn cancel(&self, ids: &[&str]) -> Option<String> {
        self.command("cancel", ids, "")
    }

    /// The command that cancels these batches, and those of the creates with these marks.
    pub(crate) fn cancel_with(&self, ids: &[&str], creates: &[&str]) -> Option<String> {
        let join = |mark: &str| if mark.starts_with('-') { '=' } else { ' ' };
        let creates: String =
            creates.iter().map(|mark| format!(" --create{}{}", join(mark), shell_word(mark))).collect();
        self.command("cancel", ids, &creates)
    }

    /// The command that prints a batch.
    pub(crate) fn get(&self, id: &str) -> Option<String> {
        self.command("batch get", &[id], "")
    }

    /// The command that lists the newest batches.
    pub(crate) fn list(&self) -> Option<String> {
        self.command("batch list", &[], "")
    }

    /// The command that checks the same requests without uploading them.
    pub(crate) fn check(&self) -> Option<String> {
        let requests = self.requests.as_ref()?;
        Some(requests.command("check", &format!("{}{}", requests.flags, requests.provider)))
    }

    /// The command that sends only what failed of the same requests, and keeps the other answers.
    pub(crate) fn only_failed(&self) -> Option<String> {
        self.only_failed_within(&self.requests.as_ref()?.limits)
    }

    /// The same, within other limits: flags, each with a space before it.
    pub(crate) fn only_failed_within(&self, limits: &str) -> Option<String> {
        let requests = self.requests.as_ref()?;
        // A sandbox in the next process does for one in this: nothing at the provider is needed.
        let connection = self.connection.as_ref().unwrap_or(&requests.provider);
        let flags = format!(" --only-failed{}{limits}{}{connection}", requests.repeated, self.output_dir_flag());
        Some(requests.command("run", &flags))
    }

    fn output_dir_flag(&self) -> String {
        if self.output_dir == Path::new(OUTPUT_DIR) {
            return String::new();
        }
        format!(" --output-dir {}", shell_word(&self.output_dir.display().to_string()))
    }

    /// The journal, for a shell.
    pub(crate) fn journal(&self) -> String {
        shell_word(&self.output_dir.join("journal.jsonl").display().to_string())
    }

    /// These hints, and what their commands need that is not printed.
    pub(crate) fn with_needs(&self, mut hints: Vec<String>) -> Vec<String> {
        let is_needed =
            |hint: &String| hint.contains("`batchstep ") && self.check().is_none_or(|it| !hint.contains(&it));
        if !self.unprinted.is_empty() && hints.iter().any(is_needed) {
            let names: Vec<String> = self.unprinted.iter().map(|name| format!("`{name}`")).collect();
            hints.push(format!("Commands are printed without {}, which they need.", names.join(" and ")));
        }
        hints
    }

    /// A command with its ids first, unless one of them looks like a flag.
    fn command(&self, name: &str, ids: &[&str], flags: &str) -> Option<String> {
        let flags = format!("{flags}{}", self.connection.as_ref()?);
        let words: String = ids.iter().map(|id| format!(" {}", shell_word(id))).collect();
        Some(if ids.iter().any(|id| id.starts_with('-')) {
            format!("batchstep {name}{flags} --{words}")
        } else {
            format!("batchstep {name}{words}{flags}")
        })
    }
}

impl Requests {
    /// The requests of this work; none where they came on standard input.
    pub(crate) fn typed(work: &Work, provider: Option<Name>) -> Option<Self> {
        if work.requests.iter().any(|path| path == "-") {
            return None;
        }
        let number = |name: &str, number: Option<u64>| number.map(|it| format!(" --{name} {it}")).unwrap_or_default();
        let endpoint = work.endpoint.as_ref().map(|it| format!(" --endpoint {}", shell_word(it))).unwrap_or_default();
        let flags = endpoint + &number("max-requests", work.max_requests) + &number("max-bytes", work.max_bytes);
        let provider = provider.filter(|name| *name != Name::Openai).and_then(|name| name.to_possible_value());
        let provider = provider.map(|name| format!(" --provider {}", name.get_name())).unwrap_or_default();
        Some(Self { paths: work.requests.clone(), repeated: flags.clone(), limits: String::new(), flags, provider })
    }

    /// The same, of a run that was given these flags.
    #[must_use]
    pub(crate) fn repeating(self, Typed { flags, limits }: Typed) -> Self {
        Self { repeated: flags, limits, ..self }
    }

    /// The same, without secrets in what is repeated.
    #[must_use]
    pub(crate) fn shown(self, shown: &dyn Fn(&str) -> String) -> Self {
        Self { repeated: shown(&self.repeated), ..self }
    }

    /// A command about them with these flags.
    fn command(&self, name: &str, flags: &str) -> String {
        let words: String = self.paths.iter().map(|path| format!(" {}", shell_word(path))).collect();
        if self.paths.iter().any(|path| path.starts_with('-')) {
            format!("batchstep {name}{flags} --{words}")
        } else {
            format!("batchstep {name}{words}{flags}")
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::{Invocation, Reuse};

    /// That of a run at the default provider, in the default directory.
    pub(crate) fn usual() -> Invocation {
        Invocation {
            connection: Some(String::new()),
            output_dir: super::OUTPUT_DIR.into(),
            rerun: Some(Reuse::Active),
            requests: None,
            continues: false,
            is_open: false,
            is_in_workflow: false,
            unprinted: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Invocation;
    use super::samples::usual;
    use crate::text::shell_word;

    #[test]
    fn an_id_cannot_reach_a_shell() {
        assert_eq!(shell_word("batch_6-x/y.z"), "batch_6-x/y.z");
        for text in ["x; rm '~'", "$(rm ~)", "`rm`", "a b\\", "!x^y", "", "ü\n-\"'"] {
            let word = shell_word(text);
            assert!(word.starts_with(['\'', '"']), "{word}");
            assert_eq!(shlex::split(&word).unwrap(), [text]);
        }
        assert_eq!(shell_word("a\0b"), "ab");
    }

    #[test]
    fn an_id_that_looks_like_a_flag_or_a_list_is_none() {
        let other = Invocation { connection: Some(" --provider compatible".to_owned()), ..usual() };
        let other = other.in_dir(Path::new("my results"));
        let collect = |ids: &[&str]| other.collect(ids).unwrap();
        let flags = "--output-dir 'my results' --provider compatible";
        assert_eq!(collect(&["b", "c d"]), format!("batchstep collect b 'c d' {flags}"));
        assert_eq!(collect(&["b", "-x"]), format!("batchstep collect {flags} -- b -x"));
        assert_eq!(collect(&["[b"]), format!("batchstep collect '[\"[b\"]' {flags}"));
        assert_eq!(other.get("-x").unwrap(), "batchstep batch get --provider compatible -- -x");
        assert_eq!(usual().cancel_with(&["b"], &["-m"]).unwrap(), "batchstep cancel b --create=-m");
    }

    #[test]
    fn nothing_leads_into_a_process_that_is_gone() {
        let gone = usual().in_process();
        assert_eq!((gone.collect(&["b"]), gone.cancel(&["b"]), gone.get("b"), gone.rerun()), (None, None, None, None));
    }

    #[test]
    fn what_is_not_printed_is_named_where_a_command_needs_it() {
        let typed = Invocation { unprinted: vec!["headers"], ..usual() };
        assert_eq!(typed.with_needs(vec!["Wait.".to_owned()]).len(), 1);
        let hints = typed.with_needs(vec!["Look with `batchstep batch get b`.".to_owned()]);
        assert!(hints[1].contains("without `headers`"), "{hints:?}");
    }
}
