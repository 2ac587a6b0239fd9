//! Failed requests, grouped by what failed them.
//!
//! A batch fails in a few ways thousands of times; people want to see the few.

use std::collections::BTreeMap;

use crate::report::FailureGroup;

/// How many groups there are at most, beside [`OTHER`] and [`MISSING`].
const GROUPS: usize = 50;

/// How many ids a group shows.
const SHOWN: usize = 5;

/// The code of the failures that found no room in a group of their own.
const OTHER: &str = "other";

/// The code of a request that got no answer.
pub(crate) const MISSING: &str = "batchstep_missing";

/// The code of a request whose answer no longer exists.
pub(crate) const GONE: &str = "answers_gone";

/// The groups so far.
#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<String, FailureGroup>);

impl Failures {
    /// Adds the failure of a request.
    pub(crate) fn add(&mut self, code: &str, message: &str, custom_id: &str) {
        let full = self.0.len() >= GROUPS && !self.0.contains_key(code) && code != MISSING;
        let code = if full { OTHER } else { code };
        let group = self.0.entry(code.to_owned()).or_insert_with(|| FailureGroup {
            code: code.to_owned(),
            message: message.to_owned(),
            count: 0,
            custom_ids: Vec::new(),
        });
        group.count += 1;
        if group.custom_ids.len() < SHOWN {
            group.custom_ids.push(custom_id.to_owned());
        }
    }

    /// The groups, most frequent first, then by code.
    pub(crate) fn sorted(self) -> Vec<FailureGroup> {
        let mut groups: Vec<FailureGroup> = self.0.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::{Failures, GROUPS, MISSING};

    #[test]
    fn the_most_frequent_comes_first_and_shows_its_first_ids() {
        let mut failures = Failures::default();
        for id in 0..7 {
            failures.add("b", &format!("message {id}"), &id.to_string());
        }
        failures.add("c", "", "x");
        failures.add("a", "", "y");
        let groups = failures.sorted();
        let codes: Vec<_> = groups.iter().map(|group| (group.code.as_str(), group.count)).collect();
        assert_eq!(codes, [("b", 7), ("a", 1), ("c", 1)]);
        assert_eq!((groups[0].message.as_str(), groups[0].custom_ids.join("")), ("message 0", "01234".to_owned()));
    }

    #[test]
    fn the_number_of_groups_is_bounded() {
        let mut failures = Failures::default();
        for code in 0..1000 {
            failures.add(&code.to_string(), "", "");
        }
        failures.add(MISSING, "", "");
        let groups = failures.sorted();
        assert_eq!(groups.len(), GROUPS + 2);
        assert_eq!((groups[0].code.as_str(), groups[0].count), ("other", 1000 - GROUPS as u64));
    }
}
