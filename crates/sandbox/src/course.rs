//! A batch's course through its states: what it shows at a given time.
//!
//! A pure function of a few spans, so that a whole day can be read off in a
//! test. It knows nothing of files, requests or answers, only how many rows
//! there are.

use std::time::Duration;

/// How long a batch may run.
pub(super) const WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// What a batch says of itself, in OpenAI's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Validating,
    Failed,
    InProgress,
    Finalizing,
    Completed,
    Expired,
    Cancelling,
    Cancelled,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Completed | Self::Expired | Self::Cancelled)
    }
}

/// The states that a batch passes on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Validating,
    InProgress,
    Finalizing,
}

impl Stage {
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Validating, Self::InProgress, Self::Finalizing].into_iter().find(|stage| stage.word() == word)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
        }
    }
}

/// What decides a batch's course. Times count from the Unix epoch.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) created: Duration,
    pub(super) takes: Duration,
    pub(super) rows: usize,
    /// Whether validation will find it wrong.
    pub(super) fails: bool,
    /// The state that it never leaves by itself. It does not expire either.
    pub(super) stuck: Option<Stage>,
    /// A life other than the usual window.
    pub(super) expire: Option<Duration>,
    /// When a cancel arrived, or will.
    pub(super) cancelled: Option<Duration>,
    /// When it was made to complete at once.
    pub(super) rushed: Option<Duration>,
}

/// What a batch shows at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) status: Status,
    /// How many rows have been tried.
    pub(super) done: usize,
    pub(super) stamps: Stamps,
}

/// When the states were reached, as far as they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps {
    pub(super) in_progress: Option<Duration>,
    pub(super) finalizing: Option<Duration>,
    pub(super) cancelling: Option<Duration>,
    /// When it reached the terminal state.
    pub(super) ended: Option<Duration>,
}

impl Course {
    /// When the batch expires if it still runs.
    pub(super) fn expires(&self) -> Duration {
        self.created + self.expire.unwrap_or(WINDOW)
    }

    /// What the batch shows at this time.
    pub(super) fn at(&self, now: Duration) -> Moment {
        match self.interrupted() {
            Some((at, Status::Cancelling)) if at <= now => self.cancelling(at, now),
            Some((at, Status::Completed)) if at <= now => {
                let stamps = Stamps { in_progress: Some(at), finalizing: Some(at), cancelling: None, ended: Some(at) };
                Moment { status: Status::Completed, done: self.rows, stamps }
            }
            Some((at, end)) if at <= now => {
                let before = self.undisturbed(at);
                Moment { status: end, stamps: Stamps { ended: Some(at), ..before.stamps }, ..before }
            }
            _ => self.undisturbed(now),
        }
    }

    /// The first thing that stops the batch before its natural end, and what that makes of it.
    fn interrupted(&self) -> Option<(Duration, Status)> {
        let natural = if self.fails { self.validated() } else { self.completed() };
        let expires = (self.stuck.is_none() || self.expire.is_some()).then(|| self.expires());
        [(self.rushed, Status::Completed), (self.cancelled, Status::Cancelling), (expires, Status::Expired)]
            .into_iter()
            .filter_map(|(at, end)| Some((at?, end)))
            .filter(|(at, _)| *at < natural)
            .min_by_key(|(at, _)| *at)
    }

    fn undisturbed(&self, now: Duration) -> Moment {
        let (validated, finalizing, completed) = (self.validated(), self.finalizing(), self.completed());
        let reached = |at: Duration| (at <= now).then_some(at);
        if self.fails && now >= validated {
            let stamps = Stamps { ended: Some(validated), ..Stamps::default() };
            return Moment { status: Status::Failed, done: 0, stamps };
        }
        let status = match () {
            () if now < validated => Status::Validating,
            () if now < finalizing => Status::InProgress,
            () if now < completed => Status::Finalizing,
            () => Status::Completed,
        };
        let stamps = Stamps {
            in_progress: reached(validated),
            finalizing: reached(finalizing),
            cancelling: None,
            ended: reached(completed),
        };
        Moment { status, done: self.done(now), stamps }
    }

    /// Rows in flight run to their end before the batch is cancelled.
    fn cancelling(&self, at: Duration, now: Duration) -> Moment {
        let before = self.undisturbed(at);
        let grace = (self.takes / 20).clamp(Duration::from_millis(200), Duration::from_secs(600));
        let in_flight = match before.status {
            Status::InProgress => (self.rows / 50).max(1).min(self.reachable().saturating_sub(before.done)),
            _ => 0,
        };
        let over = now >= at + grace;
        let done = before.done + share(in_flight, now - at, grace);
        let stamps = Stamps { cancelling: Some(at), ended: over.then_some(at + grace), ..before.stamps };
        Moment { status: if over { Status::Cancelled } else { Status::Cancelling }, done, stamps }
    }

    fn validated(&self) -> Duration {
        self.unless_stuck(&[Stage::Validating], self.created + self.takes / 10)
    }

    fn finalizing(&self) -> Duration {
        self.unless_stuck(&[Stage::Validating, Stage::InProgress], self.created + self.takes / 10 * 9)
    }

    fn completed(&self) -> Duration {
        self.unless_stuck(&[Stage::Validating, Stage::InProgress, Stage::Finalizing], self.created + self.takes)
    }

    fn unless_stuck(&self, stages: &[Stage], at: Duration) -> Duration {
        if self.stuck.is_some_and(|stage| stages.contains(&stage)) { Duration::MAX } else { at }
    }

    /// Rows are done one by one, evenly over the time in progress.
    fn done(&self, now: Duration) -> usize {
        let (begin, span) = (self.created + self.takes / 10, self.takes / 10 * 8);
        if now < self.validated() {
            return 0;
        }
        share(self.rows, now.saturating_sub(begin), span).min(self.reachable())
    }

    /// A batch that is stuck in progress waits for its last row.
    fn reachable(&self) -> usize {
        if self.stuck == Some(Stage::InProgress) { self.rows.saturating_sub(1) } else { self.rows }
    }
}

/// The part of `whole` that is due once `passed` of `span` has passed.
fn share(whole: usize, passed: Duration, span: Duration) -> usize {
    if passed >= span {
        return whole;
    }
    let part = whole as u128 * passed.as_nanos() / span.as_nanos();
    usize::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::{Course, Duration, Moment, Stage, Status, WINDOW};

    const START: Duration = Duration::from_secs(1_700_000_000);

    fn course(takes: u64) -> Course {
        let (created, takes) = (START, Duration::from_secs(takes));
        Course { created, takes, rows: 100, fails: false, stuck: None, expire: None, cancelled: None, rushed: None }
    }

    fn after(course: &Course, millis: u64) -> Moment {
        course.at(START + Duration::from_millis(millis))
    }

    fn seen(course: &Course, millis: &[u64]) -> Vec<(String, usize)> {
        let moments = millis.iter().map(|millis| after(course, *millis));
        moments.map(|moment| (moment.status.word().to_owned(), moment.done)).collect()
    }

    fn told(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
        expected.iter().map(|(word, done)| ((*word).to_owned(), *done)).collect()
    }

    #[test]
    fn three_seconds_show_every_state_and_counts_that_move() {
        let course = course(3);
        assert_eq!(
            seen(&course, &[0, 299, 300, 900, 1_500, 2_699, 2_700, 2_999, 3_000, 99_000]),
            told(&[
                ("validating", 0),
                ("validating", 0),
                ("in_progress", 0),
                ("in_progress", 25),
                ("in_progress", 50),
                ("in_progress", 99),
                ("finalizing", 100),
                ("finalizing", 100),
                ("completed", 100),
                ("completed", 100),
            ])
        );
        let stamps = after(&course, 99_000).stamps;
        assert_eq!(stamps.ended, Some(START + Duration::from_secs(3)));
        assert_eq!(stamps.in_progress, Some(START + Duration::from_millis(300)));
    }

    #[test]
    fn no_time_at_all_is_completed_at_once() {
        assert_eq!(seen(&course(0), &[0]), told(&[("completed", 100)]));
    }

    #[test]
    fn what_is_wrong_fails_after_validation() {
        let course = Course { fails: true, ..course(10) };
        assert_eq!(seen(&course, &[999, 1_000, 90_000]), told(&[("validating", 0), ("failed", 0), ("failed", 0)]));
    }

    #[test]
    fn rows_in_flight_end_before_a_cancel_does() {
        let mut course = course(100);
        course.cancelled = Some(START + Duration::from_secs(50));
        assert_eq!(
            seen(&course, &[49_999, 50_000, 52_500, 54_999, 55_000]),
            told(&[("in_progress", 49), ("cancelling", 50), ("cancelling", 51), ("cancelling", 51), ("cancelled", 52)])
        );
        let stamps = after(&course, 60_000).stamps;
        assert_eq!((stamps.finalizing, stamps.ended), (None, Some(START + Duration::from_secs(55))));
    }

    #[test]
    fn a_cancel_takes_from_a_fifth_of_a_second_to_ten_minutes() {
        let ended = |takes: u64| {
            let cancelled = START + Duration::from_millis(takes * 500);
            let course = Course { cancelled: Some(cancelled), ..course(takes) };
            course.at(START + WINDOW * 9).stamps.ended.unwrap() - cancelled
        };
        assert_eq!(ended(1), Duration::from_millis(200));
        assert_eq!(ended(100), Duration::from_secs(5));
        assert_eq!(ended(80_000), Duration::from_secs(600));
    }

    #[test]
    fn a_cancel_that_comes_too_late_changes_nothing() {
        let course = Course { cancelled: Some(START + Duration::from_secs(3)), ..course(3) };
        assert_eq!(seen(&course, &[9_000]), told(&[("completed", 100)]));
    }

    #[test]
    fn a_window_that_passes_expires_the_batch() {
        let course = course(200_000);
        let moment = after(&course, 86_400_000);
        assert_eq!((moment.status, moment.done), (Status::Expired, 41));
        assert_eq!(moment.stamps.ended, Some(START + WINDOW));
        assert_eq!(after(&course, 86_399_999).status, Status::InProgress);
    }

    #[test]
    fn a_stuck_batch_leaves_only_by_a_cancel() {
        for (stage, done) in [(Stage::Validating, 0), (Stage::InProgress, 99), (Stage::Finalizing, 100)] {
            let mut course = Course { stuck: Some(stage), ..course(10) };
            assert_eq!(seen(&course, &[200_000_000]), told(&[(stage.word(), done)]));
            course.cancelled = Some(START + Duration::from_secs(200_000));
            assert_eq!(seen(&course, &[200_001_000]), told(&[("cancelled", done)]));
        }
        let course = Course { stuck: Some(Stage::InProgress), expire: Some(Duration::from_secs(60)), ..course(10) };
        assert_eq!(seen(&course, &[60_000]), told(&[("expired", 99)]));
    }
}
