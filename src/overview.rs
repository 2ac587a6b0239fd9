//! How far a run is with all its requests and batches, by what was told of it.
//!
//! Batches begin and end at their own times, some of them are given up, sent again in halves or never
//! counted. What is here adds up what is known and claims no more.

use std::time::Duration;

use tokio::time::Instant;

use crate::bar::{Bar, Done, Unit};
use crate::dialects::{Counts, Status};
use crate::events::Event;
use crate::policy::{RATE_PERCENT, RATE_STEPS};
use crate::text::{counted, first_chars, thousands};

/// The longest word for a stage, in characters: a provider may have words of its own.
const LONGEST_STAGE: usize = 20;

/// What is known of a run.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// Requests in the files, once they are checked.
    requests: Option<u64>,
    /// Batches that they go into, as planned.
    planned: usize,
    /// Requests that were answered before those that are sent again now.
    settled: u64,
    batches: Vec<Known>,
    /// Bytes sent and bytes in all, while a file is uploaded.
    upload: Option<(u64, u64)>,
    stage: &'static str,
    rate: Rate,
}

/// A batch, as last seen.
#[derive(Debug)]
struct Known {
    id: String,
    status: Status,
    counts: Counts,
}

/// How fast requests are done.
#[derive(Debug, Default)]
struct Rate {
    /// When the first number was seen, and which.
    begun: Option<(Instant, u64)>,
    /// The last number.
    done: u64,
    /// How often it was seen to grow.
    steps: u32,
    /// When all will be done, if it goes on like this.
    ends: Option<Instant>,
}

impl Rate {
    fn see(&mut self, done: u64, total: u64) {
        let now = Instant::now();
        let (begun, first) = *self.begun.get_or_insert((now, done));
        if done <= self.done {
            return;
        }
        (self.done, self.steps) = (done, self.steps + u32::from(done > first));
        let since = done.saturating_sub(first);
        let is_meaningful = self.steps >= RATE_STEPS && since.saturating_mul(100) >= total.saturating_mul(RATE_PERCENT);
        let each = (now - begun).as_secs_f64() / since as f64;
        let left = Duration::try_from_secs_f64(each * total.saturating_sub(done) as f64).ok();
        self.ends = left.filter(|_| is_meaningful && done < total).and_then(|left| now.checked_add(left));
    }

    fn left(&self) -> Option<Duration> {
        // Once the time has passed, the guess was wrong.
        self.ends?.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

impl Overview {
    /// Takes note of an event.
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Checked { requests, .. } => (self.requests, self.planned) = (Some(*requests), 1),
            Event::Planned { part: (_, of), .. } => self.planned = *of,
            Event::Uploading { sent, total } => (self.stage, self.upload) = ("uploading", Some((*sent, *total))),
            Event::Uploaded { .. } | Event::Creating { .. } => (self.stage, self.upload) = ("creating", None),
            Event::ReplyLost { .. } => self.stage = "looking for the batch",
            Event::Created { batch_id, .. } => self.add(batch_id),
            Event::Attached { batch_id, instead_of, .. } => {
                if let Some((given_up, _)) = instead_of {
                    self.drop_batch(given_up);
                }
                self.add(batch_id);
            }
            Event::Polled { batch_id, status, counts, .. } | Event::Ended { batch_id, status, counts } => {
                self.see(batch_id, status, *counts);
            }
            Event::Crowded { batch_id: Some(batch_id), .. } | Event::FileUnready { batch_id, .. } => {
                self.drop_batch(batch_id);
            }
            Event::Halved { .. } => {
                self.planned += 1;
                if let Some(at) = self.batches.iter().position(|batch| batch.status == Status::Failed) {
                    self.batches.remove(at);
                }
            }
            Event::Retrying { requests, .. } => {
                self.settled = self.requests.unwrap_or(0).saturating_sub(*requests);
                (self.batches, self.planned, self.rate) = (Vec::new(), 1, Rate::default());
                self.stage = "resending";
            }
            Event::Downloaded { .. } => self.stage = "collecting",
            _ => {}
        }
        // A batch that was only created tells nothing: an older one may be far already.
        let is_counted = self.batches.iter().any(|batch| batch.counts.done().is_some());
        if let Some(Done { done, total, .. }) = self.done().filter(|_| is_counted) {
            self.rate.see(done, total);
        }
    }

    fn add(&mut self, id: &str) {
        self.upload = None;
        if !self.batches.iter().any(|batch| batch.id == id) {
            self.batches.push(Known { id: id.to_owned(), status: Status::default(), counts: Counts::default() });
        }
    }

    fn see(&mut self, id: &str, status: &Status, counts: Counts) {
        self.add(id);
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            (batch.status, batch.counts) = (status.clone(), counts);
        }
        if self.batches.iter().all(|batch| batch.status.is_terminal()) {
            self.stage = "collecting";
        }
    }

    fn drop_batch(&mut self, id: &str) {
        self.batches.retain(|batch| batch.id != id);
    }

    /// How many batches there are or will be.
    fn all_batches(&self) -> usize {
        self.planned.max(self.batches.len())
    }

    /// Whether the run has several batches at a time.
    pub(crate) fn is_several(&self) -> bool {
        self.all_batches() > 1
    }

    /// How many requests are done, and of how many; none before there is a batch, and where nobody counts.
    pub(crate) fn done(&self) -> Option<Done> {
        let is_counted = |batch: &Known| batch.counts.done().is_some();
        // A batch that is only beginning is not one that nobody counts.
        let is_young = |batch: &Known| batch.status == Status::Validating;
        if self.batches.is_empty() || !self.batches.iter().all(|batch| is_counted(batch) || is_young(batch)) {
            return None;
        }
        let counted: u64 = self.batches.iter().map(|batch| batch.counts.total.unwrap_or(0)).sum();
        let total = self.requests.unwrap_or(counted);
        let done: u64 = self.batches.iter().filter_map(|batch| batch.counts.done()).sum();
        let done = done.saturating_add(self.settled).min(total);
        (total > 0).then_some(Done { done, total, unit: Unit::Requests })
    }

    fn ended(&self) -> usize {
        self.batches.iter().filter(|batch| batch.status.is_terminal()).count()
    }

    /// How far all is, as a clause: `412 of 1,200 requests done, 1 of 3 batches ended`.
    pub(crate) fn clause(&self) -> String {
        let ended = format!("{} of {} ended", self.ended(), counted(self.all_batches() as u64, "batch", "batches"));
        match self.done() {
            Some(Done { done, total, .. }) => {
                format!("{} of {} requests done, {ended}", thousands(done), thousands(total))
            }
            None => ended,
        }
    }

    /// What is going on, as the bar says it.
    fn stage(&self) -> String {
        let mut running = self.batches.iter().filter(|batch| !batch.status.is_terminal());
        let Some(first) = running.next() else { return self.stage.to_owned() };
        // Of several, the one that answers requests speaks for all.
        let status = match running.any(|batch| batch.status == Status::InProgress) {
            true => &Status::InProgress,
            false => &first.status,
        };
        first_chars(&status.word().replace('_', " "), LONGEST_STAGE).to_owned()
    }

    /// The bar that shows it; none before there is anything to show.
    pub(crate) fn bar(&self) -> Option<Bar> {
        let stage = Some(self.stage()).filter(|stage| !stage.is_empty())?;
        let all = self.all_batches();
        let batches = self.is_several().then(|| (self.ended(), all));
        let upload = self.upload.filter(|_| all == 1 && self.batches.is_empty());
        let upload = upload.map(|(done, total)| Done { done, total, unit: Unit::Bytes });
        Some(Bar { stage, done: upload.or_else(|| self.done()), batches, left: self.rate.left() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bar, Done, Overview, Unit};
    use crate::dialects::{Counts, Status};
    use crate::events::Event;

    fn checked(requests: u64) -> Event {
        Event::Checked { requests, bytes: 9, endpoint: String::new(), model: None }
    }

    fn planned(of: usize) -> Event {
        Event::Planned { part: (1, of), requests: 4, bytes: 9, endpoint: String::new(), model: None }
    }

    fn created(id: &str) -> Event {
        let (create, input_file_id) = (String::new(), String::new());
        Event::Created { create, batch_id: id.to_owned(), input_file_id, found: false }
    }

    fn polled(id: &str, counts: Counts) -> Event {
        let (status, age) = (Status::InProgress, Duration::ZERO);
        Event::Polled { batch_id: id.to_owned(), status, counts, age }
    }

    fn ended(id: &str, status: Status, counts: Counts) -> Event {
        Event::Ended { batch_id: id.to_owned(), status, counts }
    }

    fn heard(events: &[Event]) -> Overview {
        let mut overview = Overview::default();
        events.iter().for_each(|event| overview.hear(event));
        overview
    }

    fn done(overview: &Overview) -> Option<(u64, u64)> {
        overview.done().map(|Done { done, total, .. }| (done, total))
    }

    #[tokio::test(start_paused = true)]
    async fn counts_of_several_batches_add_up_as_they_come() {
        let mut all = heard(&[checked(12), planned(3), created("a"), created("b")]);
        assert_eq!(all.bar().unwrap().batches, Some((0, 3)));
        assert_eq!(done(&all), Some((0, 12)));
        all.hear(&polled("a", Counts::of(4, 2, 1)));
        assert_eq!(done(&all), Some((3, 12)), "b is only beginning");
        all.hear(&created("c"));
        all.hear(&ended("a", Status::Completed, Counts::of(4, 3, 1)));
        all.hear(&polled("b", Counts::of(4, 1, 0)));
        assert_eq!((done(&all), all.bar().unwrap().batches), (Some((5, 12)), Some((1, 3))));
        assert_eq!(all.clause(), "5 of 12 requests done, 1 of 3 batches ended");
        assert_eq!(all.bar().unwrap().stage, "in progress");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_counts_has_no_bar() {
        let counts = Counts { total: Some(8), completed: None, failed: None };
        let all = heard(&[checked(12), created("a"), polled("a", counts)]);
        let bar = Bar { stage: "in progress".to_owned(), ..Bar::default() };
        assert_eq!((all.bar(), all.clause()), (Some(bar), "0 of 1 batch ended".to_owned()));
        // Nobody checked anything: then the batches' own numbers count.
        assert_eq!(done(&heard(&[polled("a", Counts::of(8, 1, 0)), polled("b", Counts::of(2, 1, 0))])), Some((2, 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_was_given_up_does_not_count() {
        let failed = |id| ended(id, Status::Failed, Counts::default());
        let crowded = Event::Crowded { batch_id: Some("a".into()), why: String::new(), again_in: Duration::ZERO };
        let all = heard(&[checked(8), created("a"), failed("a"), crowded, created("b")]);
        assert_eq!((all.bar().unwrap().batches, done(&all)), (None, Some((0, 8))));
        let halved = Event::Halved { requests: 8, halves: [4, 4], why: String::new() };
        let all = heard(&[checked(8), created("a"), failed("a"), halved, created("b"), created("c")]);
        assert_eq!(all.bar().unwrap().batches, Some((0, 2)));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_sent_again_are_no_longer_done() {
        let mut all = heard(&[checked(8), created("a"), ended("a", Status::Completed, Counts::of(8, 5, 3))]);
        all.hear(&Event::Retrying { requests: 3, attempt: 2 });
        assert_eq!((all.bar().unwrap().stage.as_str(), done(&all)), ("resending", None));
        all.hear(&created("b"));
        assert_eq!(done(&all), Some((5, 8)));
        all.hear(&ended("b", Status::Completed, Counts::of(3, 3, 0)));
        assert_eq!((done(&all), all.bar().unwrap().stage.as_str()), (Some((8, 8)), "collecting"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_guessed_only_from_a_meaningful_rate() {
        let mut all = heard(&[checked(100), created("a"), polled("a", Counts::of(100, 20, 0))]);
        let mut see = async |number| {
            tokio::time::sleep(Duration::from_secs(10)).await;
            all.hear(&polled("a", Counts::of(100, number, 0)));
            all.bar().unwrap().left.map(|left| left.as_secs())
        };
        assert_eq!(see(20).await, None);
        assert_eq!(see(22).await, None, "one step tells no rate");
        assert_eq!(see(24).await, None, "four of a hundred tell none");
        assert_eq!(see(40).await, Some(120));
        assert_eq!(see(40).await, Some(110), "time passes");
        tokio::time::sleep(Duration::from_secs(110)).await;
        assert_eq!(see(40).await, None, "the guess was wrong");
        assert_eq!(see(100).await, None);
    }

    #[test]
    fn an_upload_is_counted_in_bytes_where_it_is_the_only_one() {
        let uploading = Event::Uploading { sent: 3, total: 9 };
        let alone = heard(&[checked(8), uploading.clone()]).bar().unwrap();
        assert_eq!(alone.done, Some(Done { done: 3, total: 9, unit: Unit::Bytes }));
        assert_eq!(heard(&[checked(8), planned(3), uploading]).bar().unwrap().done, None);
        assert_eq!(heard(&[checked(8)]).bar(), None);
    }
}
