//! Groups failed and missing requests by cause.
//!
//! The requests of a batch fail for a few causes, thousands of times; people want to
//! see the causes. A cause is a code, a status, and a message in which ids and numbers
//! are ignored.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Row, Sink};
use crate::error::Error;
use crate::report::{Example, FailureGroup};

use crate::results::is_missing;
use crate::results::row::Failed;
use crate::results::similar::folded;
use crate::results::{Results, advice};

/// How many groups are shown at most, beside [`OTHER`] and requests without an answer.
const GROUPS: usize = 50;

/// How many groups are counted apart, so that the most frequent ones are found wherever
/// they begin.
const APART: usize = 2_000;

/// How many ids a group shows.
const SHOWN: usize = 5;

/// How many of these are shown with their places.
const EXAMPLES: usize = 3;

/// The code of the failures beyond that.
const OTHER: &str = "other";

/// The groups so far, by code, status and folded message.
#[derive(Debug, Default)]
pub(super) struct Failures {
    groups: BTreeMap<(String, Option<u16>, String), FailureGroup>,
    other: Option<FailureGroup>,
}

impl Sink for Failures {
    fn row(&mut self, row: &Row<'_>) -> Result<(), Error> {
        if let Some(failed) = row.outcome.failed() {
            self.add(failed, row.index);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, results: &mut Results) -> Result<(), Error> {
        results.failures = self.sorted();
        Ok(())
    }
}

impl Failures {
    /// Adds the failure of the request at `index`.
    fn add(&mut self, failed: &Failed, index: u32) {
        let Failed { code, status, message, custom_id, like, .. } = failed;
        let (code, status) = (code.as_str(), *status);
        let key = (code.to_owned(), status, like.clone().unwrap_or_else(|| folded(message, custom_id)));
        let first = |code: &str, status| {
            let (prospect, advice) = advice::of(failed);
            FailureGroup {
                code: code.to_owned(),
                status,
                message: message.clone(),
                count: 0,
                custom_ids: Vec::new(),
                prospect,
                advice: advice.to_owned(),
                examples: Vec::new(),
            }
        };
        let is_full = self.groups.len() >= APART && !self.groups.contains_key(&key) && !is_missing(code);
        let group = if is_full {
            self.other.get_or_insert_with(|| first(OTHER, None))
        } else {
            self.groups.entry(key).or_insert_with(|| first(code, status))
        };
        group.count += 1;
        if group.custom_ids.len() < SHOWN {
            group.custom_ids.push(custom_id.clone());
        }
        if group.examples.len() < EXAMPLES {
            group.examples.push(Example { custom_id: custom_id.clone(), index: Some(index), ..Example::default() });
        }
    }

    /// The groups, most frequent first, then by code. Those beyond what is shown are one.
    fn sorted(self) -> Vec<FailureGroup> {
        let Self { groups, mut other } = self;
        let (missing, mut groups): (Vec<FailureGroup>, Vec<FailureGroup>) =
            groups.into_values().partition(|group| is_missing(&group.code));
        groups.sort_by_key(|group| Reverse(group.count));
        for late in groups.split_off(groups.len().min(GROUPS)) {
            let other = other.get_or_insert_with(|| FailureGroup {
                code: OTHER.to_owned(),
                status: None,
                count: 0,
                custom_ids: Vec::new(),
                examples: Vec::new(),
                ..late.clone()
            });
            other.count += late.count;
            other.custom_ids.extend(late.custom_ids);
            other.custom_ids.truncate(SHOWN);
            other.examples.extend(late.examples);
            other.examples.truncate(EXAMPLES);
        }
        groups.extend(missing.into_iter().chain(other));
        groups.sort_by_key(|group| Reverse(group.count));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::{APART, Failed, Failures, GROUPS};
    use crate::dialects::Ran;
    use crate::results::row::Retry;
    use crate::results::unanswered::MISSING;

    fn add(failures: &mut Failures, code: &str, status: Option<u16>, message: &str, custom_id: &str) {
        let [code, message, custom_id] = [code, message, custom_id].map(str::to_owned);
        failures.add(&Failed { custom_id, code, status, message, like: None, retry: Retry::Not, ran: Ran::Yes }, 7);
    }

    #[test]
    fn the_most_frequent_comes_first_and_shows_its_first_ids() {
        let mut failures = Failures::default();
        for id in 0..7 {
            add(&mut failures, "b", Some(400), &format!("request req_{id} is bad"), &id.to_string());
        }
        add(&mut failures, "c", None, "", "x");
        add(&mut failures, "a", None, "", "y");
        let groups = failures.sorted();
        let codes: Vec<_> = groups.iter().map(|group| (group.code.as_str(), group.count)).collect();
        assert_eq!(codes, [("b", 7), ("a", 1), ("c", 1)]);
        assert_eq!(
            (groups[0].message.as_str(), groups[0].custom_ids.join("")),
            ("request req_0 is bad", "01234".to_owned())
        );
        let examples: Vec<_> = groups[0].examples.iter().map(|it| (it.custom_id.as_str(), it.index)).collect();
        assert_eq!(examples, [("0", Some(7)), ("1", Some(7)), ("2", Some(7))]);
    }

    #[test]
    fn causes_under_one_code_are_groups_of_their_own() {
        let mut failures = Failures::default();
        for (status, message) in [(400, "no temperature"), (400, "bad image"), (400, "bad image"), (429, "bad image")] {
            add(&mut failures, "invalid_request_error", Some(status), message, "q");
        }
        let groups = failures.sorted();
        let seen: Vec<_> = groups.iter().map(|group| (group.status, group.message.as_str(), group.count)).collect();
        assert_eq!(seen, [(Some(400), "bad image", 2), (Some(400), "no temperature", 1), (Some(429), "bad image", 1)]);
    }

    #[test]
    fn the_number_of_groups_is_bounded_and_the_frequent_ones_stay() {
        let mut failures = Failures::default();
        let codes = 2 * APART;
        for code in 0..codes {
            add(&mut failures, &code.to_string(), None, "", "");
            // This one comes late, and often.
            add(&mut failures, &(APART - 1).to_string(), None, "", "");
        }
        add(&mut failures, MISSING, None, "", "");
        assert!(failures.groups.len() <= APART + 1);
        let groups = failures.sorted();
        assert_eq!(groups.len(), GROUPS + 2);
        assert_eq!((groups[0].code.as_str(), groups[0].count), ("1999", codes as u64 + 1));
        assert_eq!((groups[1].code.as_str(), groups[1].count), ("other", (codes - GROUPS) as u64));
        assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), 2 * codes as u64 + 1);
    }
}
