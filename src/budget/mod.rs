//! What a run may spend: nothing is created that could exceed it.
//!
//! Before a batch is created, what it may cost at most is reserved. A batch that is over takes what it did cost
//! instead, which frees the rest. So a batch that does not fit beside those under way waits for them, and is refused
//! once nothing is under way that could make room. Batches that a run attaches to count like those that it creates,
//! and are never refused: they are paid for anyway.

mod limits;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

pub(crate) use self::limits::{Limits, NotSent, Sum};
use crate::error::{Error, Exit, Kind};
use crate::report::BudgetReport;
use crate::text::requests_count;
use crate::usd::Usd;

/// Whether a batch under way may cost less in the end than was reserved for it, as this run will know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    /// It waits for its batches.
    AsTheyEnd,
    /// It leaves them to another command.
    Never,
}

/// The account of a run.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    settling: Settling,
    /// How many batches may be under way at a time.
    at_once: usize,
    /// The batches, by the keys of their work.
    batches: RefCell<BTreeMap<String, Entry>>,
    /// Work of which it is not known yet whether there is a batch. Nothing is granted before that.
    unknown: RefCell<BTreeSet<String>>,
    /// The places of the work in the plan.
    places: RefCell<BTreeMap<String, usize>>,
    /// The places of the work that waits to be granted: the first has its turn.
    waiting: RefCell<BTreeSet<usize>>,
    /// Work that is under way.
    running: RefCell<BTreeSet<String>>,
    /// So many may look for their batch at the same time.
    looks: Semaphore,
    /// Whether anybody was told that a batch waits. The others would say the same.
    told: Cell<bool>,
    /// Wakes those that wait whenever something of this changes.
    changed: Notify,
}

/// What is known of a batch's cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// It is under way, and may cost so much.
    Reserved(Sum),
    /// It has cost so much.
    Spent(Sum),
    /// It was not created, and would have needed so much.
    Refused(Sum),
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Granted,
    /// It does not fit now, and may once others are over.
    Wait,
    Refused,
}

/// What a batch may take of the budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// The account.
    pub(crate) budget: &'a Budget,
    /// What it may need at most.
    pub(crate) needs: Sum,
}

impl Budget {
    /// With nothing spent, and room for so many batches at a time.
    pub(crate) fn new(limits: Limits, settling: Settling, at_once: usize) -> Self {
        let (batches, unknown, running) = Default::default();
        let (places, waiting, told) = Default::default();
        let (looks, changed) = (Semaphore::new(at_once), Notify::new());
        Self { limits, settling, at_once, batches, unknown, places, waiting, running, looks, told, changed }
    }

    /// Announces work, in the order of the plan: a batch of it may exist, which counts before anything is granted.
    pub(crate) fn expect(&self, keys: impl Iterator<Item = String>) {
        for key in keys {
            self.place(&key);
            self.unknown.borrow_mut().insert(key);
        }
    }

    /// The place of this work in the plan: behind all others, if it is new.
    fn place(&self, key: &str) -> usize {
        let mut places = self.places.borrow_mut();
        let next = places.len();
        *places.entry(key.to_owned()).or_insert(next)
    }

    /// Waits for its turn to look for a batch that exists. The turn ends when what is returned is dropped.
    pub(crate) async fn look(&self) -> Option<SemaphorePermit<'_>> {
        self.looks.acquire().await.ok()
    }

    /// Notes that nobody works on this any more, however it ended.
    pub(crate) fn leave(&self, key: &str) {
        self.unknown.borrow_mut().remove(key);
        self.waiting.borrow_mut().remove(&self.place(key));
        self.running.borrow_mut().remove(key);
        self.changed.notify_waiters();
    }

    /// Reserves what a batch may cost at most, once it is its turn and it fits. It may wait until others are over;
    /// `waits` is called before that, for the first that does.
    ///
    /// # Errors
    /// It does not fit, and nothing under way can make room: exit 4.
    pub(crate) async fn reserve(&self, key: &str, needs: Sum, waits: impl FnOnce()) -> Result<(), Error> {
        let (mut waits, place) = (Some(waits), self.place(key));
        self.waiting.borrow_mut().insert(place);
        self.found(key);
        let granted = loop {
            // Before the decision, so that no change is missed.
            let changed = self.changed.notified();
            if self.has_room(key) && self.waiting.borrow().first() == Some(&place) {
                match self.decide(key, needs) {
                    Decision::Granted => break Ok(()),
                    Decision::Refused => break Err(self.refusal(key, needs)),
                    Decision::Wait if self.told.get() => {}
                    Decision::Wait => {
                        self.told.set(true);
                        waits.take().into_iter().for_each(|waits| waits());
                    }
                }
            }
            changed.await;
        };
        if granted.is_ok() {
            self.running.borrow_mut().insert(key.to_owned());
        }
        self.waiting.borrow_mut().remove(&place);
        self.changed.notify_waiters();
        granted
    }

    /// It is known now whether there is a batch of this work.
    fn found(&self, key: &str) {
        if self.unknown.borrow_mut().remove(key) {
            self.changed.notify_waiters();
        }
    }

    /// Whether all batches are known that exist, and one more may be under way.
    fn has_room(&self, key: &str) -> bool {
        let running = self.running.borrow();
        self.unknown.borrow().is_empty() && (running.contains(key) || running.len() < self.at_once)
    }

    /// Counts a batch that exists already: it is under way, whether it fits or not.
    pub(crate) fn count(&self, key: &str, needs: Sum) {
        self.batches.borrow_mut().entry(key.to_owned()).or_insert(Entry::Reserved(needs));
        self.running.borrow_mut().insert(key.to_owned());
        self.found(key);
    }

    /// Replaces what was reserved for a batch by what it did cost.
    pub(crate) fn settle(&self, key: &str, spent: Sum) {
        self.batches.borrow_mut().insert(key.to_owned(), Entry::Spent(spent));
        self.changed.notify_waiters();
    }

    /// Frees what was reserved for a batch that was not created, or of which nothing ran.
    pub(crate) fn release(&self, key: &str) {
        self.batches.borrow_mut().retain(|other, entry| other != key || matches!(entry, Entry::Refused(_)));
        self.changed.notify_waiters();
    }

    /// What was not sent of the work with these keys, if anything was not. The run has so many batches.
    pub(crate) fn not_sent(&self, keys: &[&str], of: usize) -> Option<NotSent> {
        let batches = self.batches.borrow();
        let refused =
            |key: &&str| if let Some(Entry::Refused(needs)) = batches.get(*key) { Some(*needs) } else { None };
        let refused: Vec<Sum> = keys.iter().filter_map(refused).collect();
        let needs = refused.iter().fold(Sum::default(), |all, needs| all.and(*needs));
        drop(batches);
        let spent = self.committed(None);
        let limit = self.limits.exceeded(spent.and(needs)).filter(|_| !refused.is_empty())?;
        Some(NotSent { batches: refused.len(), of, needs, spent, again: Sum::default(), limit })
    }

    /// What the report says of it; nothing where there is no limit.
    pub(crate) fn report(&self, not_sent: Option<&NotSent>) -> Option<BudgetReport> {
        let Limits { cost, tokens, requests } = self.limits;
        let needs = not_sent.map(|not_sent| not_sent.needs);
        self.limits.are_set().then(|| BudgetReport {
            max_cost_usd: cost,
            max_tokens: tokens,
            max_total_requests: requests,
            not_sent: needs.map_or(0, |needs| needs.requests),
            not_sent_usd: needs.map(|needs| needs.cost).filter(|cost| *cost > Usd::ZERO),
        })
    }

    /// What the batches have cost, and may still cost; without the one that is named.
    fn committed(&self, without: Option<&str>) -> Sum {
        let batches = self.batches.borrow();
        let others = batches.iter().filter(|(key, _)| without != Some(key.as_str()));
        others.fold(Sum::default(), |sum, (_, entry)| match entry {
            Entry::Reserved(more) | Entry::Spent(more) => sum.and(*more),
            Entry::Refused(_) => sum,
        })
    }

    /// What is spent for good; without the one that is named.
    fn spent(&self, without: &str) -> Sum {
        let batches = self.batches.borrow();
        let others = batches.iter().filter(|(key, _)| *key != without);
        others.fold(Sum::default(), |sum, (_, entry)| if let Entry::Spent(more) = entry { sum.and(*more) } else { sum })
    }

    fn decide(&self, key: &str, needs: Sum) -> Decision {
        let fits = |beside: Sum| self.limits.exceeded(beside.and(needs)).is_none();
        let (decision, entry) = if fits(self.committed(Some(key))) {
            (Decision::Granted, Entry::Reserved(needs))
        } else if self.settling == Settling::AsTheyEnd && self.is_any_under_way(key) && fits(self.spent(key)) {
            return Decision::Wait;
        } else {
            (Decision::Refused, Entry::Refused(needs))
        };
        self.batches.borrow_mut().insert(key.to_owned(), entry);
        decision
    }

    fn is_any_under_way(&self, without: &str) -> bool {
        self.batches.borrow().iter().any(|(key, entry)| key != without && matches!(entry, Entry::Reserved(_)))
    }

    fn refusal(&self, key: &str, needs: Sum) -> Error {
        let committed = self.committed(Some(key));
        let Some(limit) = self.limits.exceeded(committed.and(needs)) else {
            return Error::internal("The budget refused a batch that fits.");
        };
        let beside = match limit.of(committed) {
            _ if committed == Sum::default() => String::new(),
            others => format!(" beside {others} for the other batches"),
        };
        let (requests, needs) = (requests_count(needs.requests), limit.of(needs));
        let message = format!("A batch of {requests} was not sent: it may need {needs}{beside}, and {limit}.");
        Error::new(Exit::Refused, message).of(Kind::OverBudget)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::task::LocalSet;

    use super::{Budget, Decision, Limits, Settling, Sum};
    use crate::usd::Usd;

    fn dollars(dollars: u64) -> Sum {
        Sum { cost: Usd::picodollars(dollars * 1_000_000_000_000), tokens: 0, requests: 1 }
    }

    fn budget(dollars: u64, settling: Settling) -> Budget {
        let cost = Some(Usd::picodollars(dollars * 1_000_000_000_000));
        Budget::new(Limits { cost, ..Limits::default() }, settling, 8)
    }

    #[test]
    fn a_batch_fits_beside_the_others_waits_for_them_or_is_refused() {
        let budget = budget(10, Settling::AsTheyEnd);
        assert_eq!(budget.decide("a", dollars(10)), Decision::Granted, "all of it may be spent");
        assert_eq!(budget.decide("a", dollars(10)), Decision::Granted, "a batch counts once");
        assert_eq!(budget.decide("b", dollars(6)), Decision::Wait);
        assert_eq!(budget.decide("c", dollars(11)), Decision::Refused, "it could never fit");
        budget.settle("a", dollars(4));
        assert_eq!(budget.decide("b", dollars(6)), Decision::Granted);
        assert_eq!(budget.decide("d", dollars(1)), Decision::Wait);
        budget.settle("b", dollars(6));
        assert_eq!(budget.decide("d", dollars(1)), Decision::Refused);
        let not_sent = budget.not_sent(&["a", "c", "d"], 4).unwrap();
        assert_eq!((not_sent.batches, not_sent.of), (2, 4));
        assert_eq!((not_sent.limit(), not_sent.needs()), ("`max-cost` is $10.00".to_owned(), "$12.00".to_owned()));
        assert_eq!((not_sent.spent(), not_sent.flag()), (Some("$10.00".to_owned()), " --max-cost 12".to_owned()));
        assert_eq!(not_sent.flag_of_all(), " --max-cost 22");
    }

    #[test]
    fn what_is_attached_to_counts_and_is_not_refused() {
        let budget = budget(10, Settling::AsTheyEnd);
        budget.count("a", dollars(50));
        assert_eq!(budget.decide("b", dollars(1)), Decision::Wait);
        budget.settle("a", dollars(9));
        assert_eq!(budget.decide("b", dollars(1)), Decision::Granted);
        assert_eq!(budget.not_sent(&["a", "b"], 2), None);
    }

    #[test]
    fn a_run_that_does_not_wait_for_its_batches_does_not_wait_for_room() {
        let budget = budget(10, Settling::Never);
        assert_eq!(budget.decide("a", dollars(6)), Decision::Granted);
        assert_eq!(budget.decide("b", dollars(6)), Decision::Refused);
    }

    #[test]
    fn what_was_refused_by_the_provider_is_free_again() {
        let budget = budget(10, Settling::AsTheyEnd);
        assert_eq!(budget.decide("a", dollars(10)), Decision::Granted);
        budget.release("a");
        assert_eq!(budget.decide("a0", dollars(5)), Decision::Granted);
        assert_eq!(budget.decide("a1", dollars(5)), Decision::Granted);
    }

    #[test]
    fn each_limit_holds_and_is_named() {
        let refusal = |limits: Limits| {
            let budget = Budget::new(limits, Settling::AsTheyEnd, 8);
            budget.settle("a", Sum { tokens: 900, ..dollars(2) });
            let needs = Sum { tokens: 200, requests: 3, ..dollars(1) };
            assert_eq!(budget.decide("b", needs), Decision::Refused);
            budget.refusal("b", needs).message
        };
        let limits = Limits::default();
        insta::assert_snapshot!(refusal(Limits { cost: Usd::dollars(2.5), ..limits }), @"A batch of 3 requests was not sent: it may need $1.00 beside $2.00 for the other batches, and `max-cost` is $2.50.");
        insta::assert_snapshot!(refusal(Limits { tokens: Some(1_000), ..limits }), @"A batch of 3 requests was not sent: it may need 200 tokens beside 900 tokens for the other batches, and `max-tokens` is 1,000.");
        insta::assert_snapshot!(refusal(Limits { requests: Some(3), ..limits }), @"A batch of 3 requests was not sent: it may need 3 requests beside 1 request for the other batches, and `max-total-requests` is 3.");
    }

    #[test]
    fn nothing_is_granted_before_it_is_known_what_exists_nor_beyond_what_may_run() {
        let budget = Budget::new(Limits::default(), Settling::AsTheyEnd, 1);
        budget.expect(["a", "b", "c"].map(str::to_owned).into_iter());
        budget.found("b");
        assert!(!budget.has_room("b"), "`a` and `c` may have batches");
        budget.count("a", dollars(1));
        budget.leave("c");
        assert!(!budget.has_room("b"), "`a` is under way");
        budget.leave("a");
        assert!(budget.has_room("b"));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let budget = std::rc::Rc::new(budget(10, Settling::AsTheyEnd));
        budget.count("a", dollars(10));
        let local = LocalSet::new();
        let waiting = std::rc::Rc::clone(&budget);
        let waiter = local.spawn_local(async move { waiting.reserve("b", dollars(5), || {}).await });
        local
            .run_until(async {
                tokio::task::yield_now().await;
                budget.settle("a", dollars(5));
                waiter.await.unwrap().unwrap();
            })
            .await;
    }

    #[tokio::test]
    async fn the_first_of_the_plan_has_its_turn_first() {
        let budget = std::rc::Rc::new(budget(10, Settling::AsTheyEnd));
        budget.expect(["z", "m", "a"].map(str::to_owned).into_iter());
        let local = LocalSet::new();
        let all = ["a", "m", "z"].map(|key| {
            let budget = std::rc::Rc::clone(&budget);
            local.spawn_local(async move { budget.reserve(key, dollars(5), || {}).await.is_ok() })
        });
        local
            .run_until(async {
                for _ in 0..9 {
                    tokio::task::yield_now().await;
                }
                let running: Vec<String> = budget.running.borrow().iter().cloned().collect();
                assert_eq!(running, ["m", "z"], "`a` is the last of the plan");
                ["m", "z"].iter().for_each(|key| budget.settle(key, dollars(5)));
                ["m", "z"].iter().for_each(|key| budget.leave(key));
                let [a, m, z] = all;
                assert_eq!([a.await.unwrap(), m.await.unwrap(), z.await.unwrap()], [false, true, true]);
            })
            .await;
    }

    /// What happens to a batch, in any order among the others.
    #[derive(Clone, Debug)]
    enum Step {
        Reserve { key: u8, needs: u64 },
        Attach { key: u8, needs: u64 },
        End { key: u8, share: u64 },
        Release { key: u8 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..6_u8, 0..20_u64).prop_map(|(key, needs)| Step::Reserve { key, needs }),
            (0..6_u8, 0..20_u64).prop_map(|(key, needs)| Step::Attach { key, needs }),
            (0..6_u8, 0..=100_u64).prop_map(|(key, share)| Step::End { key, share }),
            (0..6_u8).prop_map(|key| Step::Release { key }),
        ]
    }

    proptest! {
        /// However batches come and go, one is only granted if all that may be spent with it is allowed.
        #[test]
        fn nothing_is_granted_that_may_exceed_the_limit(limit in 0..40_u64, steps in prop::collection::vec(step(), 0..60)) {
            let budget = budget(limit, Settling::AsTheyEnd);
            let mut under_way = std::collections::BTreeMap::new();
            for step in steps {
                match step {
                    Step::Reserve { key, needs } if !under_way.contains_key(&key) => {
                        let before = budget.committed(Some(&key.to_string()));
                        if budget.decide(&key.to_string(), dollars(needs)) == Decision::Granted {
                            prop_assert!(before.cost + dollars(needs).cost <= dollars(limit).cost);
                            under_way.insert(key, needs);
                        }
                    }
                    Step::Attach { key, needs } if !under_way.contains_key(&key) => {
                        budget.count(&key.to_string(), dollars(needs));
                        under_way.insert(key, needs);
                    }
                    Step::End { key, share } => if let Some(needs) = under_way.get(&key) {
                        budget.settle(&key.to_string(), dollars(needs * share / 100));
                    },
                    Step::Release { key } if under_way.remove(&key).is_some() => budget.release(&key.to_string()),
                    _ => {}
                }
            }
        }
    }
}
