//! Which faults strike now: the script, and how often each part of it has been asked.
//!
//! This is the only state that faults have. It decides, it does nothing: the
//! routes act on calls, world.rs on files and batches.

use std::time::Duration;

use super::delivery::DeliveryFault;
use super::faults::{Action, BatchFault, Effect, Fault, FileFault, RowFault, When};
use super::operation::Operation;

/// A script in progress.
pub(super) struct Weather(Vec<Front>);

/// One fault and its history.
struct Front {
    fault: Fault,
    matched: u64,
    began: Option<Duration>,
}

/// What strikes one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) action: Option<Action>,
    /// How young a batch must be to be hidden from a list.
    pub(super) lag: Duration,
    /// How much later the reply comes.
    pub(super) delay: Duration,
}

/// A fault that strikes some rows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowStrike {
    pub(super) fault: RowFault,
    share: Option<u32>,
    /// Parts this fault's choice of rows from another fault's.
    salt: u64,
}

impl RowStrike {
    /// Whether this row is among those struck.
    pub(super) fn hits(&self, custom_id: &str) -> bool {
        self.share.is_none_or(|share| chosen(share, self.salt, custom_id.as_bytes()))
    }
}

impl Weather {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(faults.into_iter().map(|fault| Front { fault, matched: 0, began: None }).collect())
    }

    /// A call arrives. Every fault that matches counts it; the first that strikes wins.
    pub(super) fn call(&mut self, operation: Operation, now: Duration) -> Strike {
        let matches = |effect: &Effect| match effect {
            Effect::Call(on, action) if on.is_none_or(|on| on == operation) => Some(action.clone()),
            _ => None,
        };
        let mut strike = Strike::default();
        for action in self.strikes(now, matches) {
            match action {
                Action::Lag(lag) => strike.lag = strike.lag.max(lag),
                Action::Delay(delay) => strike.delay = strike.delay.max(delay),
                action => strike.action = strike.action.or(Some(action)),
            }
        }
        strike
    }

    /// A file is uploaded.
    pub(super) fn file(&mut self, now: Duration) -> Vec<FileFault> {
        self.strikes(now, |effect| if let Effect::File(fault) = effect { Some(*fault) } else { None })
    }

    /// A batch is created.
    pub(super) fn batch(&mut self, now: Duration) -> Vec<BatchFault> {
        self.strikes(now, |effect| if let Effect::Batch(fault) = effect { Some(fault.clone()) } else { None })
    }

    /// A batch is created: how its answers will be delivered.
    pub(super) fn delivery(&mut self, now: Duration) -> Vec<DeliveryFault> {
        self.strikes(now, |effect| if let Effect::Answers(fault) = effect { Some(fault.clone()) } else { None })
    }

    /// A batch is created: what befalls its rows.
    pub(super) fn rows(&mut self, now: Duration) -> Vec<RowStrike> {
        let mut strikes = Vec::new();
        for (salt, front) in (0..).zip(&mut self.0) {
            if let Effect::Rows(fault) = front.fault.effect
                && front.passes(now).is_some()
            {
                strikes.push(RowStrike { fault, share: front.fault.when.share, salt });
            }
        }
        strikes
    }

    fn strikes<T>(&mut self, now: Duration, matches: impl Fn(&Effect) -> Option<T>) -> Vec<T> {
        let mut strikes = Vec::new();
        for (salt, front) in (0..).zip(&mut self.0) {
            if let Some(what) = matches(&front.fault.effect)
                && let Some(turn) = front.passes(now)
                && front.fault.when.share.is_none_or(|share| chosen(share, salt, &turn.to_be_bytes()))
            {
                strikes.push(what);
            }
        }
        strikes
    }
}

impl Front {
    /// Counts a matching call; gives its number where `after`, `times` and `for` let it through.
    fn passes(&mut self, now: Duration) -> Option<u64> {
        let When { after, times, during, .. } = self.fault.when;
        self.matched += 1;
        let turn = self.matched.checked_sub(after).filter(|turn| *turn > 0)?;
        let began = *self.began.get_or_insert(now);
        let in_time = during.is_none_or(|during| now < began + during);
        (in_time && times.is_none_or(|times| turn <= times)).then_some(turn)
    }
}

/// Chooses a share of all things, always the same ones.
fn chosen(share: u32, salt: u64, thing: &[u8]) -> bool {
    let hash = blake3::Hasher::new().update(&salt.to_be_bytes()).update(thing).finalize();
    let draw = u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]));
    draw % 1_000_000 < u64::from(share)
}

#[cfg(test)]
mod tests {
    use super::super::script::script;
    use super::{Action, Duration, Operation, RowFault, Weather};

    fn weather(text: &str) -> Weather {
        Weather::new(script(text).unwrap())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_times_and_for_bound_a_fault() {
        let mut weather = weather("get drop after=1 times=2\nget reset after=4 for=10s\nlist garbage");
        let seen: Vec<_> =
            [0, 1, 2, 3, 4, 13, 14].map(|second| weather.call(Operation::Get, at(second)).action).to_vec();
        let (drop, reset) = (Some(Action::Drop), Some(Action::Reset));
        assert_eq!(seen, [None, drop.clone(), drop, None, reset.clone(), reset, None]);
    }

    #[test]
    fn any_matches_every_operation_and_the_first_fault_wins() {
        let mut weather = weather("cancel stall\nany delay=2s\nany drop\nlist lag=1m");
        assert_eq!(weather.call(Operation::Cancel, at(0)).action, Some(Action::Stall));
        let list = weather.call(Operation::List, at(0));
        assert_eq!((list.action, list.lag, list.delay), (Some(Action::Drop), at(60), at(2)), "these strike beside it");
    }

    #[test]
    fn a_share_is_met_and_always_the_same() {
        let hits = || {
            let strikes = weather("rows status=500 share=10% times=1").rows(at(0));
            (0..10_000).filter(|i| strikes[0].hits(&format!("row-{i}"))).collect::<Vec<_>>()
        };
        let first = hits();
        assert!((800..1_200).contains(&first.len()), "{}", first.len());
        assert_eq!(first, hits());

        let mut weather = weather("get 500 share=50%");
        let struck = (0..1_000).filter(|_| weather.call(Operation::Get, at(0)).action.is_some()).count();
        assert!((400..600).contains(&struck), "{struck}");
    }

    #[test]
    fn rows_count_batches() {
        let mut weather = weather("rows missing times=1\nbatch no-metadata after=1\nfile error");
        assert_eq!(weather.rows(at(0))[0].fault, RowFault::Missing);
        assert!(weather.rows(at(0)).is_empty());
        assert_eq!((weather.batch(at(0)).len(), weather.batch(at(0)).len(), weather.file(at(0)).len()), (0, 1, 1));
    }
}
