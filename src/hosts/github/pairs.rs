//! Names and values in a file that the runner reads.

use std::path::Path;

use crate::effects::Effect;

/// Names and values for a file that the runner reads.
pub(super) fn pairs(path: &Path, pairs: &[(&str, String)]) -> Effect {
    let block = |(name, value): &(&str, String)| heredoc(name, value, random_delimiter);
    Effect::Append(path.to_owned(), pairs.iter().map(block).collect())
}

/// Nobody who writes a value can know the delimiter that will end it.
fn random_delimiter() -> String {
    format!("ghadelimiter_{}", uuid::Uuid::new_v4())
}

fn heredoc(name: &str, value: &str, mut delimiter: impl FnMut() -> String) -> String {
    let mut end = delimiter();
    while value.contains(&end) {
        end = delimiter();
    }
    format!("{name}<<{end}\n{value}\n{end}\n")
}

#[cfg(test)]
mod tests {
    use batchstep_test_support::github_runner as runner;
    use proptest::prelude::*;

    use super::{heredoc, random_delimiter};

    #[test]
    fn a_delimiter_in_the_value_is_not_used() {
        let mut delimiters = ["d1", "d2", "d3"].into_iter().map(str::to_owned);
        let block = heredoc("name", "x\nd1\nd2", || delimiters.next().unwrap());
        assert_eq!(block, "name<<d3\nx\nd1\nd2\nd3\n");
        assert_ne!(random_delimiter(), random_delimiter());
    }

    proptest! {
        #[test]
        fn any_value_reads_back(values in prop::collection::vec("(?s)[a=<\n\r]{0,8}|ghadelimiter_\n|.{0,30}", 1..5)) {
            let names = ["a", "b", "c", "d"];
            let text: String = names.iter().zip(&values).map(|(name, value)| heredoc(name, value, random_delimiter)).collect();
            let read = runner::outputs(&text).unwrap();
            let written: Vec<_> = names.iter().map(ToString::to_string).zip(values).collect();
            prop_assert_eq!(read, written);
        }
    }
}
