//! The files of the inputs `outputs-file` and `summary-file`, which are written whatever the host.

use std::cell::{Cell, RefCell};
use std::io::Read as _;
use std::time::Duration;

use super::{
    Commit, Host, Identity, Ids, Outputs, PublishOptions, Publisher, Reach, Unfinished, are_outputs, left_out, render,
};
use crate::effects::Effect;
use crate::env::Env;
use crate::error::Error;
use crate::events::Event;
use crate::formats::{self, Format, markdown_failure, markdown_paragraph};
use crate::outputs;
use crate::own_files;
use crate::report::{Report, RunEntry};
use crate::values::{OutputsFile, SummaryFile};
use crate::verdict::Verdict;

/// Files that the user named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamedFiles {
    /// Where the outputs go, and how they are read there.
    pub(crate) outputs: Option<OutputsFile>,
    /// Where the summary goes, as Markdown.
    pub(crate) summary: Option<SummaryFile>,
}

impl NamedFiles {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.outputs.is_none() && self.summary.is_none()
    }
}

/// The longest file of outputs that is looked at, in bytes: ten times the ids of the largest run.
const LONGEST: u64 = 1 << 20;

/// Whether a file holds outputs of an earlier run: then nothing is lost if it is written over.
pub(crate) fn holds_outputs(file: &OutputsFile) -> bool {
    let mut text = String::new();
    let read = own_files::read(&file.path).and_then(|open| open.take(LONGEST).read_to_string(&mut text));
    read.is_ok() && are_outputs(file.encoding, &text)
}

/// A host, and the files beside it.
pub(super) struct WithFiles {
    host: Box<dyn Host>,
    files: NamedFiles,
    ids: RefCell<Ids>,
    written: RefCell<Option<String>>,
    /// Whether the outputs say how it ended: what is heard after that changes nothing.
    is_over: Cell<bool>,
}

impl WithFiles {
    /// Has these files written beside what the host does.
    pub(super) fn new(host: Box<dyn Host>, files: NamedFiles) -> Self {
        Self { host, files, ids: RefCell::default(), written: RefCell::default(), is_over: Cell::new(false) }
    }

    /// The outputs, unless the file holds the same already.
    fn export(&self, outputs: &Outputs) -> Option<Effect> {
        let OutputsFile { path, encoding } = self.files.outputs.as_ref()?;
        let text = render(*encoding, outputs);
        let is_new = self.written.borrow().as_ref() != Some(&text);
        self.written.replace(Some(text.clone()));
        is_new.then(|| Effect::Write(path.clone(), text))
    }

    /// The outputs at the end, with a warning of each one that the file cannot hold.
    fn export_last(&self, outputs: &Outputs) -> Vec<Effect> {
        self.is_over.set(true);
        let Some(OutputsFile { path, encoding }) = self.files.outputs.as_ref() else { return Vec::new() };
        let warnings = left_out(*encoding, outputs).into_iter().flat_map(|name| {
            self.host.event(&Event::Warned(format!(
                "The output `{name}` is not in {}: a dotenv file cannot hold its value. A `.json` file can.",
                path.display()
            )))
        });
        self.export(outputs).into_iter().chain(warnings).collect()
    }

    fn summarize(&self, markdown: impl FnOnce() -> String) -> Option<Effect> {
        let SummaryFile(path) = self.files.summary.clone()?;
        // Whoever shows the file may not know GitHub's alerts.
        Some(Effect::Write(path, formats::without_alerts(&markdown())))
    }
}

impl Host for WithFiles {
    fn is_ci(&self) -> bool {
        self.host.is_ci()
    }

    fn identity(&self) -> Identity {
        self.host.identity()
    }

    fn time_limit(&self) -> Option<Duration> {
        self.host.time_limit()
    }

    fn publisher(
        &self,
        env: &Env,
        options: PublishOptions,
        reach: Reach<'_>,
    ) -> Result<Option<Box<dyn Publisher>>, Error> {
        self.host.publisher(env, options, reach)
    }

    fn commit(&self) -> Option<Commit> {
        self.host.commit()
    }

    fn run_page(&self, run: &str) -> Option<String> {
        self.host.run_page(run)
    }

    fn unfinished(&self) -> Unfinished {
        self.host.unfinished()
    }

    /// From its first event on, the file of outputs holds nothing of an earlier run.
    fn event(&self, event: &Event) -> Vec<Effect> {
        self.ids.borrow_mut().hear(event);
        let mut effects = Vec::new();
        if let Event::Failed { outcome, sentence, hints } = event {
            effects.extend(self.export_last(&[("outcome", outcome.word().to_owned())]));
            effects.extend(self.summarize(|| markdown_failure(*outcome, sentence, hints)));
        } else if !self.is_over.get() {
            effects.extend(self.export(&self.ids.borrow().outputs()));
        }
        effects.extend(self.host.event(event));
        effects
    }

    fn note(&self, sentence: &str) -> Vec<Effect> {
        let summary = self.summarize(|| markdown_paragraph(sentence));
        summary.into_iter().chain(self.host.note(sentence)).collect()
    }

    fn publish(&self, report: &Report) -> Vec<Effect> {
        let outputs = self.export_last(&outputs::of(report));
        let summary = self.summarize(|| Format::Markdown.render(report));
        outputs.into_iter().chain(summary).chain(self.host.publish(report)).collect()
    }

    fn publish_runs(&self, verdict: &Verdict, runs: &[RunEntry]) -> Vec<Effect> {
        let outputs = self.export_last(&outputs::of_runs(verdict.outcome, runs));
        let summary = self.summarize(|| formats::runs_markdown(verdict, runs));
        outputs.into_iter().chain(summary).chain(self.host.publish_runs(verdict, runs)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Event, NamedFiles, WithFiles};
    use crate::error::Outcome;
    use crate::formats::samples;
    use crate::hosts::Host;
    use crate::hosts::samples::{terminal, written};

    fn with_files() -> WithFiles {
        let (outputs, summary) = ("out/batch.env".parse().ok(), "out/summary.md".parse().ok());
        WithFiles::new(terminal(), NamedFiles { outputs, summary })
    }

    fn created() -> Event {
        let (batch_id, input_file_id) = ("batch_1".to_owned(), "file-1".to_owned());
        Event::Created { create: String::new(), batch_id, input_file_id, found: false }
    }

    #[tokio::test(start_paused = true)]
    async fn the_ids_are_there_as_soon_as_they_exist_and_nothing_of_an_earlier_run() {
        let host = with_files();
        let first = host.event(&Event::Warned("x".to_owned()));
        assert_eq!(written(&first, "batch.env"), "BATCH_IDS=[]\n");
        let effects = host.event(&created());
        assert_eq!(written(&effects, "batch.env"), "BATCH_ID=batch_1\nBATCH_IDS=[\"batch_1\"]\n");
        let is_write = |effect: &Effect| matches!(effect, Effect::Write(..));
        assert!(!host.event(&Event::Warned("y".to_owned())).iter().any(is_write), "it is written once");
        // What shows the run elsewhere comes last, and may have to warn.
        let _ = host.publish(&samples::partial());
        assert!(!host.event(&Event::Warned("z".to_owned())).iter().any(is_write), "it says how it ended");
    }

    #[tokio::test(start_paused = true)]
    async fn an_output_that_the_file_cannot_hold_is_named() {
        let mut report = samples::partial();
        report.files.results = Some("$CI_JOB_TOKEN/results.jsonl".to_owned());
        let warnings = |file: &str| {
            let files = NamedFiles { outputs: file.parse().ok(), summary: None };
            format!("{:?}", WithFiles::new(terminal(), files).publish(&report)).matches("cannot hold").count()
        };
        assert_eq!((warnings("batch.env"), warnings("batch.json")), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_end_is_in_both_files() {
        let report = samples::partial();
        let published = with_files().publish(&report);
        assert!(written(&published, "batch.env").starts_with("BATCH_OUTCOME=partial\n"));
        let summary = written(&published, "summary.md");
        assert!(
            summary.starts_with("## ") && summary.contains("> **Warning**") && !summary.contains("[!"),
            "{summary}"
        );
        let (outcome, sentence) = (Outcome::Usage, "`api-key` is missing.".to_owned());
        let failed = with_files().event(&Event::Failed { outcome, sentence, hints: Vec::new() });
        assert_eq!(written(&failed, "batch.env"), "BATCH_OUTCOME=usage\n");
        assert!(written(&failed, "summary.md").contains("`api-key` is missing."));
        assert_eq!(written(&with_files().note("Batch b is cancelled."), "summary.md"), "Batch b is cancelled.\n\n");
    }
}
