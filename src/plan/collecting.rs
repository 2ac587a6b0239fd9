//! What the inputs of `collect` mean together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::making::{JobEnd, longest, routing_extras};
use super::{Server, Showing, WINDOW, judging, output_dir, positive, prices};
use crate::error::{Error, Exit};
use crate::hosts::Host;
use crate::inputs;
use crate::policy::POLL_INTERVAL;
use crate::prices::Prices;
use crate::schemas::Expected;
use crate::values::{AnswerFiles, MaxFailed, OnExit};

/// A collection, planned.
pub(crate) struct Collecting {
    /// The batches.
    pub batch_ids: Vec<String>,
    /// Whether all that this repository's checks wait for are meant.
    pub pending: bool,
    /// The requests' paths and globs as they were given; empty where only the usual file may be at hand.
    pub requests: Vec<String>,
    /// What else than the requests was part of the batches' keys, as far as it is known.
    pub extras: Vec<(String, String)>,
    /// How long to wait.
    pub timeout: Duration,
    /// When the job ends.
    pub job_end: JobEnd,
    /// The longest wait between polls.
    pub poll_interval: Duration,
    /// What the deadline does to the batches.
    pub on_timeout: OnExit,
    /// What a signal does to the batches.
    pub on_abort: OnExit,
    /// Whether it is a failure that a batch is not over.
    pub fail_if_pending: bool,
    /// How many may fail; none where that is for the batch's own mark to say.
    pub max_failed: Option<MaxFailed>,
    /// How many answers may be suspect; none where any number may.
    pub max_suspect: Option<MaxFailed>,
    /// What is expected of the answers' texts.
    pub expected: Arc<Expected>,
    /// The command that fails answers.
    pub gate: Option<String>,
    /// Whether the answers' texts are written to files of their own.
    pub answer_files: AnswerFiles,
    /// Which rows are shown one by one, and where.
    pub showing: Showing,
    /// What models cost.
    pub prices: Prices,
    /// Where results go.
    pub output_dir: PathBuf,
}

impl Collecting {
    /// The exit code while a batch is pending.
    pub(crate) fn pending_exit(&self) -> Exit {
        if self.fail_if_pending { Exit::Pending } else { Exit::Ok }
    }

    /// Plans a collection, and tells whom it talks to.
    pub(crate) fn new(collect: inputs::Collect, host: &dyn Host) -> Result<(Self, Server), Error> {
        let (pending, waiting) = (collect.pending.unwrap_or(false), collect.collecting);
        if pending && !collect.reporting.check_run.unwrap_or(false) {
            return Err(Error::usage(
                "`pending` needs `check-run`: the checks on GitHub say which batches are waited for.",
            )
            .hint("Give `check-run: true` to both the submitting and the collecting step, or name the batches."));
        }
        if pending && !collect.batch_id.is_empty() {
            return Err(Error::usage("`pending` and named batches exclude each other."));
        }
        let timeout = if pending { Duration::ZERO } else { longest(host, WINDOW) };
        let server = Server::remote(collect.connection)?;
        let plan = Self {
            extras: routing_extras(&server.connection.headers, server.vendor),
            batch_ids: collect.batch_id,
            pending,
            requests: collect.requests,
            job_end: JobEnd::of(host, waiting.timeout.or(pending.then_some(timeout))),
            timeout: waiting.timeout.unwrap_or(timeout),
            poll_interval: positive("poll-interval", waiting.poll_interval)?.unwrap_or(POLL_INTERVAL),
            on_timeout: waiting.on_timeout.unwrap_or(OnExit::Detach),
            on_abort: waiting.on_abort.unwrap_or(OnExit::Detach),
            fail_if_pending: waiting.fail_if_pending.unwrap_or(false),
            max_failed: waiting.max_failed,
            max_suspect: collect.judging.max_suspect,
            expected: judging::expected(&collect.judging)?,
            gate: collect.judging.gate,
            answer_files: collect.reporting.csv.unwrap_or(AnswerFiles::Omit),
            showing: if pending { Showing::of_pending(collect.showing)? } else { collect.showing.into() },
            prices: prices(&collect.pricing)?,
            output_dir: output_dir(collect.reporting.output_dir),
        };
        Ok((plan, server))
    }
}
