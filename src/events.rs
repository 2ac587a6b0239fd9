//! What happens during a run, as facts.
//!
//! The flow emits events and prints nothing. A host turns an event into
//! effects; [`Event::line`] is the sentence for it, and `log_lines.rs` says which a log shows.

use std::time::Duration;

use crate::attachment::Attachment;
use crate::clock::span;
use crate::dialects::{Counts, Status};
use crate::error::{Error, Outcome};
use crate::shutdown::name_of;
use crate::text::{counted, requests_count, size};
use crate::values::OnKill;

/// One fact of a run.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The repository's `batchstep.toml` was read.
    Configured {
        /// The file, as it is reached from the working directory.
        file: String,
        /// The inputs that it sets for this command.
        inputs: Vec<&'static str>,
    },
    /// The run began; it will cancel what is still running after `timeout`.
    Started {
        /// What runs, for the reader: `1.2.3`, provider and origin.
        title: String,
        /// How long the run may take.
        timeout: Duration,
        /// When that ends, as RFC 3339.
        deadline: String,
    },
    /// The CI system does not tell when it ends the job that the run is a step of, and no `timeout` was chosen.
    JobEndUntold,
    /// How the provider is reached, for whoever may have to end what this process leaves.
    Connecting {
        /// Inputs by their names, no secrets among them.
        inputs: Vec<(&'static str, String)>,
    },
    /// The requests file is valid.
    Checked {
        /// Requests in it.
        requests: u64,
        /// Bytes that will be sent.
        bytes: u64,
        /// The endpoint they go to.
        endpoint: String,
        /// The model they name.
        model: Option<String>,
    },
    /// Part of the file has been sent; only for progress, never a log line.
    Uploading {
        /// Bytes sent.
        sent: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The file is at the provider.
    Uploaded {
        /// Its id.
        file_id: String,
        /// Bytes sent.
        bytes: u64,
        /// How long that took.
        took: Duration,
    },
    /// A create is about to be sent; a host that can remember it should.
    Creating {
        /// The mark by which the batch can be found if the reply is lost.
        create: String,
        /// What is to happen to the batch if this process is killed.
        on_kill: OnKill,
    },
    /// The reply to a create was lost; the batch is looked for.
    ReplyLost {
        /// What happened.
        trouble: String,
    },
    /// The batch exists.
    Created {
        /// The mark of its create.
        create: String,
        /// Its id.
        batch_id: String,
        /// The uploaded file; empty where there is none.
        input_file_id: String,
        /// Whether the reply was lost and the batch found by its mark.
        found: bool,
    },
    /// An existing batch is reused instead of creating one.
    Attached {
        /// Its id.
        batch_id: String,
        /// Its input file, where it is known.
        input_file_id: String,
        /// How the run came by it.
        attachment: Attachment,
        /// The batch that the run had created and now cancels for it, and that batch's file.
        instead_of: Option<(String, String)>,
        /// What is to happen to the batch if this process is killed.
        on_kill: OnKill,
    },
    /// A batch of the same requests is of no use to this run.
    PassedOver {
        /// Its id.
        batch_id: String,
        /// Why.
        why: String,
    },
    /// The provider takes no more at the moment: it failed a batch, or refused a create. It is tried again.
    Crowded {
        /// The batch that it failed.
        batch_id: Option<String>,
        /// What it says.
        why: String,
        /// When at the latest.
        again_in: Duration,
    },
    /// A batch failed since the provider could not use its file yet; it is created again.
    FileUnready {
        /// The batch.
        batch_id: String,
        /// The file.
        file_id: String,
        /// When.
        again_in: Duration,
    },
    /// The requests go into several batches; this is one of them.
    Planned {
        /// Which, from 1, and of how many.
        part: (usize, usize),
        /// Requests in it.
        requests: u64,
        /// Their bytes.
        bytes: u64,
        /// The endpoint they go to.
        endpoint: String,
        /// The model they name.
        model: Option<String>,
    },
    /// What the requests will cost, a sentence.
    Estimated(String),
    /// A batch does not fit into the budget beside those under way, and waits for their end.
    AwaitingBudget {
        /// Requests in it.
        requests: u64,
    },
    /// The provider takes smaller batches than this one: its halves are sent instead.
    Halved {
        /// Requests in it.
        requests: u64,
        /// Requests in each half.
        halves: [u64; 2],
        /// What the provider said.
        why: String,
    },
    /// Only requests that failed in an earlier run are sent.
    Selected {
        /// How many.
        requests: u64,
        /// How many others keep what they have.
        kept: u64,
        /// The report of that run.
        report: String,
    },
    /// Requests that failed are sent again.
    Retrying {
        /// How many.
        requests: u64,
        /// Which attempt it is.
        attempt: u32,
    },
    /// The provider answered a poll.
    Polled {
        /// The batch.
        batch_id: String,
        /// Its status.
        status: Status,
        /// How far it is.
        counts: Counts,
        /// How long ago it was created.
        age: Duration,
    },
    /// A transient failure; the run continues.
    Troubled {
        /// What was tried: `polling batch_1`.
        doing: String,
        /// What happened.
        trouble: String,
        /// What tells it from other troubles: an HTTP status, or all of it.
        kind: String,
        /// How many times in a row.
        times: u32,
        /// When it is tried again.
        again_in: Duration,
        /// Whether it leaves the state of a running batch unknown.
        state_unknown: bool,
    },
    /// It works again.
    Recovered {
        /// What was tried.
        doing: String,
        /// How long it did not work.
        after: Duration,
    },
    /// A signal ends the command, which puts things in order first.
    Interrupted {
        /// The signal.
        signal: u8,
        /// What happens now: `ending the run and cancelling what it has running`.
        what: &'static str,
    },
    /// Another one came: nothing is waited for any more.
    InterruptedAgain {
        /// The signal.
        signal: u8,
    },
    /// A cancel is being sent.
    Cancelling {
        /// The batch.
        batch_id: String,
        /// Why.
        why: String,
    },
    /// The batch reached a terminal state.
    Ended {
        /// The batch.
        batch_id: String,
        /// The state.
        status: Status,
        /// Its counts.
        counts: Counts,
    },
    /// Batches that are there already should be cancelled if this process is killed.
    Watching {
        /// Their ids.
        batch_ids: Vec<String>,
    },
    /// The run is over. What it did not end goes on because that was asked for, but for these.
    Settled {
        /// Batches that somebody has to end.
        batch_ids: Vec<String>,
        /// The marks of creates whose batches may exist and would have to be ended.
        creates: Vec<String>,
    },
    /// What an earlier run left was moved out of this one's way.
    SetAside {
        /// The files.
        files: Vec<String>,
        /// Where they are now.
        place: String,
    },
    /// The results of the oldest run were removed.
    Forgotten {
        /// Where they were.
        place: String,
        /// How many runs are kept.
        kept: usize,
    },
    /// A finished batch has the answers already.
    Answered {
        /// The batch.
        batch_id: String,
    },
    /// An output or error file is here.
    Downloaded {
        /// Which: `output` or `error`.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// How long that took.
        took: Duration,
    },
    /// Nothing was said for a while; shows that the run is alive.
    Alive {
        /// What is going on.
        doing: String,
        /// How long the run has lasted.
        elapsed: Duration,
    },
    /// A check on the host shows the run from now on.
    CheckOpened {
        /// Its id, as the host wrote it.
        id: String,
        /// Its name.
        name: String,
        /// What it is on: `commit 0a1b2c3`.
        on: String,
    },
    /// Nobody has to conclude that check any more.
    CheckClosed,
    /// What the gate is, or a line of its standard error.
    Gate(String),
    /// Something the user may want to know, and nothing that went wrong.
    Noticed(String),
    /// Something the user should know that does not change the verdict.
    Warned(String),
    /// The command failed before there was anything to report on.
    Failed {
        /// Its outcome.
        outcome: Outcome,
        /// What happened.
        sentence: String,
        /// What to do about it.
        hints: Vec<String>,
    },
}

impl Event {
    /// The failure of a command that has nothing else to report.
    pub(crate) fn failed(error: &Error) -> Self {
        let (outcome, hints) = (Outcome::of_error(error.exit), error.hints.clone());
        Self::Failed { outcome, sentence: error.sentence(), hints }
    }

    /// The log line, or none where the event is only progress.
    pub(crate) fn line(&self) -> Option<String> {
        Some(match self {
            Self::Configured { file, inputs } if inputs.is_empty() => format!("{file} sets nothing that counts here"),
            Self::Configured { file, inputs } => format!("Inputs from {file}: {}", inputs.join(", ")),
            Self::Started { title, timeout: Duration::ZERO, .. } => format!("{title}; checking once, without waiting"),
            Self::Started { title, timeout, deadline } => {
                format!("{title}; the deadline is in {} ({deadline})", span(*timeout))
            }
            Self::JobEndUntold => {
                "This CI system does not say when it ends the job. Set `timeout` to half an hour less than the job may last: \
                 what is cancelled in time keeps its answers"
                    .to_owned()
            }
            Self::Checked { requests, bytes, endpoint, model } => {
                let model = model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
                let endpoint = if endpoint.is_empty() { endpoint.clone() } else { format!(" for {endpoint}") };
                format!("Checked {}{endpoint}{model}, {}", requests_count(*requests), size(*bytes))
            }
            Self::Estimated(sentence) => sentence.clone(),
            Self::AwaitingBudget { requests } => {
                format!("A batch of {} waits for the budget until those under way are over", requests_count(*requests))
            }
            Self::Uploading { .. } => return None,
            Self::Uploaded { file_id, bytes, took } => {
                format!("Uploaded {} as {file_id} in {}", size(*bytes), span(*took))
            }
            Self::Connecting { .. } | Self::Creating { .. } | Self::Watching { .. } => return None,
            Self::Settled { .. } | Self::CheckClosed => return None,
            Self::ReplyLost { trouble } => {
                format!(
                    "The reply to the create was lost ({trouble}); looking for the batch before anything is sent again"
                )
            }
            Self::Created { batch_id, input_file_id, found: false, .. } => {
                format!("Created batch {batch_id}{}", from(input_file_id))
            }
            Self::Created { batch_id, input_file_id, found: true, .. } => {
                let from = from(input_file_id);
                format!("Found batch {batch_id}{from}, which was created although its reply was lost")
            }
            Self::Attached { batch_id, attachment, .. } => {
                format!("{}; nothing is uploaded", attachment.sentence(batch_id))
            }
            Self::PassedOver { batch_id, why } => {
                format!("Batch {batch_id} of the same requests is not reused: {why}")
            }
            Self::Crowded { batch_id, why, again_in } => {
                let what = batch_id.as_ref().map_or("The create".to_owned(), |id| format!("Batch {id}"));
                let again = if batch_id.is_some() { "created" } else { "sent" };
                format!("{what} has to wait: {why}; it will be {again} again in {} at the latest", span(*again_in))
            }
            Self::FileUnready { batch_id, file_id, again_in } => {
                let again = format!("it will be created again in {}", span(*again_in));
                format!("Batch {batch_id} failed because the provider could not use file {file_id} yet; {again}")
            }
            Self::Planned { part: (number, of), requests, bytes, endpoint, model } => {
                let model = model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
                let requests = requests_count(*requests);
                format!("Batch {number} of {of}: {requests} for {endpoint}{model}, {}", size(*bytes))
            }
            Self::Halved { requests, halves: [first, second], why } => {
                let requests = requests_count(*requests);
                format!(
                    "The provider accepts only smaller batches ({why}): {requests} are split into {first} and {second}"
                )
            }
            Self::Selected { requests, kept, report } => {
                let kept = counted(*kept, "answer is", "answers are");
                let sending = match requests {
                    0 => "Nothing is sent again".to_owned(),
                    _ => format!("Sending {} again", requests_count(*requests)),
                };
                format!("{sending}; {kept} kept from {report}")
            }
            Self::Retrying { requests, attempt } => {
                format!("Resending {} (attempt {attempt})", requests_count(*requests))
            }
            Self::Polled { batch_id, status, counts, age } => {
                format!("Batch {batch_id} is {}{}, {} after its creation", status.word(), progress(*counts), span(*age))
            }
            Self::Troubled { doing, trouble, times, again_in, state_unknown, .. } => {
                let begin = match times {
                    1 => format!("Trouble while {doing}"),
                    times => format!("Still failing: {doing} ({times} times in a row)"),
                };
                let unknown = if *state_unknown { "; the batch's state is unknown until this passes" } else { "" };
                format!("{begin}: {trouble}{unknown}; trying again in {}", span(*again_in))
            }
            Self::Recovered { doing, after } => format!("The trouble while {doing} passed after {}", span(*after)),
            Self::Interrupted { signal, what } => {
                format!("{}: {what}; a second signal ends it without waiting for replies", name_of(*signal))
            }
            Self::InterruptedAgain { signal } => {
                format!("{}, the second signal: waiting for replies only a moment longer", name_of(*signal))
            }
            Self::Cancelling { batch_id, why } => format!("Cancelling batch {batch_id}: {why}"),
            Self::Ended { batch_id, status, counts } => {
                format!("Batch {batch_id} ended {}{}", status.word(), progress(*counts))
            }
            Self::SetAside { files, place } => {
                let (last, others) = files.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
                let files =
                    if others.is_empty() { last.to_owned() } else { format!("{} and {last}", others.join(", ")) };
                let verb = if others.is_empty() { "is" } else { "are" };
                format!("The {files} of an earlier run {verb} now in {place}")
            }
            Self::Forgotten { place, kept } => format!("Removed {place}, the oldest: {kept} earlier runs are kept"),
            Self::Answered { batch_id } => {
                format!("You already have these answers: batch {batch_id} has them; `--reuse never` pays again")
            }
            Self::Downloaded { what, bytes, took } => {
                format!("Downloaded the {what} file, {} in {}", size(*bytes), span(*took))
            }
            Self::Alive { doing, elapsed } => format!("Still {doing}, {} into the run", span(*elapsed)),
            Self::CheckOpened { name, on, .. } => format!("The check {name} on {on} shows this run"),
            Self::Gate(line) => format!("Gate: {line}"),
            Self::Noticed(notice) => format!("Note: {notice}"),
            Self::Warned(warning) => format!("Warning: {warning}"),
            Self::Failed { sentence, .. } => format!("error: {sentence}"),
        })
    }
}

impl Event {
    /// What is going on from this event on, where it tells: `waiting for batch_1 (in_progress)`.
    pub(crate) fn doing(&self) -> Option<String> {
        Some(match self {
            Self::Started { .. } => "checking the requests".to_owned(),
            Self::Uploading { sent, total } => format!("uploading, {} of {}", size(*sent), size(*total)),
            Self::Uploaded { .. } => "creating the batch".to_owned(),
            Self::Creating { .. } => "creating the batch".to_owned(),
            Self::ReplyLost { .. } => "looking for the batch whose reply was lost".to_owned(),
            Self::Created { batch_id, .. } | Self::Attached { batch_id, .. } => format!("waiting for batch {batch_id}"),
            Self::Polled { batch_id, status, counts, .. } => {
                format!("waiting for batch {batch_id}, {}{}", status.word(), progress(*counts))
            }
            Self::Cancelling { batch_id, .. } => format!("cancelling batch {batch_id}"),
            Self::Ended { .. } => "collecting the answers".to_owned(),
            Self::Crowded { .. } => "waiting for room at the provider".to_owned(),
            _ => return None,
        })
    }
}

/// The file that a batch is made of, if there is one.
fn from(file_id: &str) -> String {
    if file_id.is_empty() { String::new() } else { format!(" from {file_id}") }
}

fn progress(counts: Counts) -> String {
    let (Some(total @ 1..), Some(done)) = (counts.total, counts.done()) else { return String::new() };
    match counts.failed {
        None | Some(0) => format!(", {done} of {total} done"),
        Some(failed) => format!(", {done} of {total} done, {failed} of them failed"),
    }
}
