//! Groups violations of schemas by where they are and what is wrong there.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::similar::folded;
use crate::judgement::ViolationGroup;
use crate::schemas::Violation;

/// How many groups are shown at most, beside those that are one.
const GROUPS: usize = 50;
/// How many groups are counted apart: models make up names, and each may be a path.
const APART: usize = 2_000;
/// How many ids a group shows.
const SHOWN: usize = 5;
/// What is said of the violations beyond that.
const OTHER: &str = "other violations";

/// The groups so far, by path and folded message.
#[derive(Default)]
pub(super) struct Violations {
    groups: BTreeMap<(String, String), ViolationGroup>,
    other: Option<ViolationGroup>,
}

impl Violations {
    /// Adds that of one answer.
    pub(super) fn add(&mut self, violation: Violation, custom_id: String) {
        let key = (violation.path.clone(), folded(&violation.what, &custom_id));
        let group = if self.groups.len() >= APART && !self.groups.contains_key(&key) {
            self.other.get_or_insert_with(other)
        } else {
            let Violation { path, what: message, value } = violation;
            let first = || ViolationGroup { path, message, value, count: 0, custom_ids: Vec::new() };
            self.groups.entry(key).or_insert_with(first)
        };
        group.count += 1;
        if group.custom_ids.len() < SHOWN {
            group.custom_ids.push(custom_id);
        }
    }

    /// The groups, most frequent first, then by path. Those beyond what is shown are one.
    pub(super) fn sorted(self) -> Vec<ViolationGroup> {
        let Self { groups, other: mut rest } = self;
        let mut groups: Vec<ViolationGroup> = groups.into_values().collect();
        groups.sort_by_key(|group| Reverse(group.count));
        for late in groups.split_off(groups.len().min(GROUPS)) {
            let rest = rest.get_or_insert_with(other);
            rest.count += late.count;
            rest.custom_ids.extend(late.custom_ids);
            rest.custom_ids.truncate(SHOWN);
        }
        groups.extend(rest);
        groups
    }
}

fn other() -> ViolationGroup {
    ViolationGroup { path: String::new(), message: OTHER.to_owned(), value: None, count: 0, custom_ids: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::{APART, GROUPS, Violation, Violations};

    fn violation(path: &str, what: &str) -> Violation {
        Violation { path: path.to_owned(), what: what.to_owned(), value: Some("1".to_owned()) }
    }

    #[test]
    fn the_same_violation_counts_once_for_each_answer() {
        let mut violations = Violations::default();
        for id in 0..7 {
            violations.add(violation("a[]", &format!("it is longer than {}00 characters", id + 1)), id.to_string());
        }
        violations.add(violation("a[]", "it is null"), "x".to_owned());
        violations.add(violation("b", "it is null"), "y".to_owned());
        let groups = violations.sorted();
        let seen: Vec<_> =
            groups.iter().map(|group| (group.path.as_str(), group.count, group.custom_ids.len())).collect();
        assert_eq!(seen, [("a[]", 7, 5), ("a[]", 1, 1), ("b", 1, 1)]);
    }

    #[test]
    fn the_number_of_groups_is_bounded_and_all_are_counted() {
        let mut violations = Violations::default();
        for number in 0..2 * APART {
            violations.add(violation(&format!("made up {number}"), "it is null"), "x".to_owned());
        }
        assert!(violations.groups.len() <= APART);
        let groups = violations.sorted();
        assert_eq!(groups.len(), GROUPS + 1);
        assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), 2 * APART as u64);
    }
}
