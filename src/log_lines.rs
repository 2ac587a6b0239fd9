//! Which events a log shows, and in which words: one line when something changes that a reader
//! cares about, and never one for each poll.
//!
//! A batch's status is a change, and so is each tenth of all requests. Trouble that repeats itself is
//! told at the first, second, fourth, eighth time and so on, and so is its end.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::bar::Done;
use crate::clock::span;
use crate::dialects::Status;
use crate::events::Event;
use crate::overview::Overview;
use crate::policy::MOST_TROUBLES;

/// How much a log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Warnings and errors.
    Quiet,
    /// What changes. Beside a bar, which shows how far all is.
    BesideBar,
    /// What changes.
    Changes,
    /// Every poll, and each trouble.
    Everything,
}

/// What was said so far, and what is to be said next.
#[derive(Debug)]
pub(crate) struct LogLines {
    detail: Detail,
    overview: Overview,
    begun: Option<Instant>,
    /// The last status that was told of each batch.
    told: BTreeMap<String, Status>,
    /// How many tenths of the requests were told.
    tenths: u64,
    troubles: Troubles,
}

impl LogLines {
    /// Nothing was said yet.
    pub(crate) fn new(detail: Detail) -> Self {
        let (overview, troubles) = (Overview::default(), Troubles::default());
        Self { detail, overview, begun: None, told: BTreeMap::new(), tenths: 0, troubles }
    }

    /// How far all is.
    pub(crate) fn overview(&self) -> &Overview {
        &self.overview
    }

    /// The line that the log shows of an event, if it is worth one.
    pub(crate) fn hear(&mut self, event: &Event) -> Option<String> {
        self.overview.hear(event);
        self.begun.get_or_insert_with(Instant::now);
        if self.detail == Detail::Everything {
            return event.line();
        }
        let is_quiet = self.detail == Detail::Quiet;
        match event {
            Event::Warned(_) | Event::Failed { .. } => event.line(),
            Event::Interrupted { .. } | Event::InterruptedAgain { .. } => event.line(),
            _ if is_quiet => None,
            Event::Polled { .. } | Event::Alive { .. } if self.detail == Detail::BesideBar => None,
            Event::Polled { batch_id, status, .. } => self.polled(event, batch_id, status),
            Event::Alive { elapsed, .. } if self.overview.is_several() => {
                Some(format!("Still waiting: {}, {} into the run", self.overview.clause(), span(*elapsed)))
            }
            Event::Troubled { doing, kind, times, .. } => self.troubles.begin(doing, kind, *times, event),
            Event::Recovered { doing, .. } => event.line().filter(|_| self.troubles.end(doing)),
            _ => event.line(),
        }
    }

    /// The answer to a poll: the status of the only batch if it is another, and each tenth of all requests.
    fn polled(&mut self, event: &Event, batch_id: &str, status: &Status) -> Option<String> {
        // The end has an event of its own.
        if status.is_terminal() {
            return None;
        }
        let is_new = self.told.insert(batch_id.to_owned(), status.clone()).as_ref() != Some(status);
        let tenths = self.overview.done().map_or(0, |Done { done, total, .. }| done.saturating_mul(10) / total);
        let is_further = tenths > self.tenths && tenths < 10;
        self.tenths = if is_further { tenths } else { self.tenths };
        if !self.overview.is_several() {
            return event.line().filter(|_| is_new || is_further);
        }
        let elapsed = self.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        is_further.then(|| format!("So far {}, {} into the run", self.overview.clause(), span(elapsed)))
    }
}

/// The troubles of a run, by what was tried: `polling`, whichever batch.
#[derive(Debug, Default)]
struct Troubles {
    counts: BTreeMap<String, u32>,
    kinds: BTreeSet<(String, String)>,
    /// What was said to be in trouble, and not yet to be over it.
    open: BTreeSet<String>,
}

impl Troubles {
    /// The line for one more, if it is of a kind that was not told yet, or its number says that the trouble goes on.
    fn begin(&mut self, doing: &str, kind: &str, in_a_row: u32, event: &Event) -> Option<String> {
        let verb = doing.split(' ').next().unwrap_or_default().to_owned();
        let count = self.counts.entry(verb.clone()).or_default();
        *count += 1;
        let is_new = self.kinds.len() < MOST_TROUBLES && self.kinds.insert((verb, kind.to_owned()));
        if !is_new && !count.is_power_of_two() {
            return None;
        }
        self.open.insert(doing.to_owned());
        let total = if *count > in_a_row { format!(" ({count} such troubles so far)") } else { String::new() };
        event.line().map(|line| line + &total)
    }

    /// Whether the end of a trouble is worth a line: only if its beginning was.
    fn end(&mut self, doing: &str) -> bool {
        self.open.remove(doing)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Detail, LogLines};
    use crate::dialects::{Counts, Status};
    use crate::events::Event;

    const SECOND: Duration = Duration::from_secs(1);

    fn polled(id: &str, done: u64) -> Event {
        let (status, counts) = (Status::InProgress, Counts::of(1_000, done, 0));
        Event::Polled { batch_id: id.to_owned(), status, counts, age: SECOND }
    }

    fn troubled(kind: &str, times: u32) -> Event {
        let (doing, trouble) = ("polling batch a".to_owned(), format!("HTTP {kind}"));
        Event::Troubled { doing, trouble, kind: kind.to_owned(), times, again_in: SECOND, state_unknown: false }
    }

    fn recovered() -> Event {
        Event::Recovered { doing: "polling batch a".to_owned(), after: SECOND }
    }

    fn said(detail: Detail, events: impl IntoIterator<Item = Event>) -> Vec<String> {
        let mut lines = LogLines::new(detail);
        events.into_iter().filter_map(|event| lines.hear(&event)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_has_a_line_for_each_tenth_and_a_bar_has_none() {
        let polls = || (0..1_000).map(|done| polled("a", done));
        let lines = said(Detail::Changes, polls());
        assert_eq!(lines.len(), 10, "{lines:?}");
        assert_eq!(lines[0], "Batch a is in_progress, 0 of 1000 done, 1.0s after its creation");
        assert_eq!(lines[9], "Batch a is in_progress, 900 of 1000 done, 1.0s after its creation");
        assert_eq!(said(Detail::BesideBar, polls()), [""; 0]);
        assert_eq!(said(Detail::Everything, polls()).len(), 1_000);
        let two = said(Detail::Changes, (0..1_000).flat_map(|done| [polled("a", done), polled("b", done)]));
        assert_eq!(two.len(), 10, "{two:?}");
        assert_eq!(two[9], "So far 1,800 of 2,000 requests done, 0 of 2 batches ended, 0.0s into the run");
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_goes_on_is_told_with_growing_gaps() {
        let lines = said(Detail::Changes, (1..=100).map(|times| troubled("503", times)).chain([recovered()]));
        assert_eq!(lines.len(), 8, "{lines:?}");
        assert_eq!(lines[0], "Trouble while polling batch a: HTTP 503; trying again in 1.0s");
        assert!(lines[6].contains("(64 times in a row)") && lines[7].contains("passed"), "{lines:?}");
        // One that comes and goes is as quiet.
        let lines = said(Detail::Changes, (1..=100).flat_map(|_| [troubled("503", 1), recovered()]));
        assert_eq!(lines.len(), 14, "{lines:?}");
        assert!(lines[12].ends_with("(64 such troubles so far)"), "{lines:?}");
        // Another kind is news, but not without end.
        let kinds = (100..400).map(|kind| troubled(&kind.to_string(), 1));
        assert!((8..20).contains(&said(Detail::Changes, kinds).len()));
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_means_warnings_and_errors() {
        let events = || {
            let failed = Event::Failed { outcome: crate::error::Outcome::Failed, sentence: "x".into(), hints: vec![] };
            let interrupted = Event::Interrupted { signal: 2, what: "ending" };
            let alive = Event::Alive { doing: "waiting".to_owned(), elapsed: SECOND };
            [polled("a", 1), alive, troubled("503", 1), Event::Warned("w".into()), interrupted, failed]
        };
        assert_eq!(said(Detail::Quiet, events()).len(), 3);
        assert_eq!(said(Detail::BesideBar, events()).len(), 4);
        assert_eq!(said(Detail::Changes, events()).len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_of_several_batches_after_a_silence_is_about_all() {
        let mut lines = LogLines::new(Detail::Changes);
        ["a", "b"].iter().for_each(|id| drop(lines.hear(&polled(id, 50))));
        let alive = Event::Alive { doing: "waiting for batch b".to_owned(), elapsed: 240 * SECOND };
        let said = lines.hear(&alive).unwrap();
        assert_eq!(said, "Still waiting: 100 of 2,000 requests done, 0 of 2 batches ended, 4m into the run");
    }
}
