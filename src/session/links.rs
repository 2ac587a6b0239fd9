//! Where people can look at what a report names: lines of requests files, batches, the runs that made them.

use std::path::Path;

use super::Session;
use crate::hosts::Commit;
use crate::report::{FilePage, Report};
use crate::tracked::Git;

/// So many requests files are looked up.
const MOST_FILES: usize = 20;

impl Session<'_> {
    /// Adds to the report where its host shows what it names. Without something to point at nothing is asked.
    pub(crate) async fn link(&self, report: &mut Report) {
        for batch in &mut report.batches {
            let run = batch.attached.as_ref().and_then(|attached| attached.run.as_deref());
            batch.run_url = run.and_then(|run| self.host.run_page(run));
        }
        let names = pointed_at(report);
        let Some(commit) = self.host.commit().filter(|_| !names.is_empty()) else { return };
        let env = self.world.env.clone();
        let finding = tokio::task::spawn_blocking(move || pages(&names, &commit, &env));
        // That there are no links is no reason to say anything.
        report.requests.pages = finding.await.unwrap_or_default();
    }
}

/// The requests files that a failure, a fault or a reason is about, each once.
fn pointed_at(report: &Report) -> Vec<String> {
    let examples = report.failures.iter().flat_map(|group| &group.examples).filter_map(|it| it.file.clone());
    let faults = report.faults.iter().map(|fault| fault.file.clone());
    let reasons = report.batches.iter().flat_map(|batch| &batch.errors).filter_map(|error| error.file.clone());
    let mut names: Vec<String> = examples.chain(faults).chain(reasons).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MOST_FILES);
    names
}

fn pages(names: &[String], commit: &Commit, env: &crate::env::Env) -> Vec<FilePage> {
    let Ok(root) = commit.workspace.canonicalize() else { return Vec::new() };
    let git = Git { env, workspace: &root, commit: &commit.sha };
    let page = |name: &String| {
        let path = Path::new(name).canonicalize().ok()?;
        let parts: Option<Vec<&str>> = path.strip_prefix(&root).ok()?.iter().map(|part| part.to_str()).collect();
        let path = parts?.join("/");
        git.has_unchanged(&path).then(|| FilePage { file: name.clone(), url: commit.page(&path) })
    };
    names.iter().filter_map(page).collect()
}
