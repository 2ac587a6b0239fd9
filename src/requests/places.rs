//! Where a line of the whole is in the user's files.
//!
//! Several files are sent as one, and a provider counts the lines of that one;
//! people look for a line in the file it came from.

/// Where lines came from: each file and the number of lines before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<(String, u64)>);

impl Places {
    /// The file, as the user named it, and the line in it, from 1, of a line of
    /// the whole, from 1: what a provider's error names.
    pub fn locate(&self, line: u64) -> Option<(&str, u64)> {
        let place = self.0.iter().rev().find(|(_, before)| *before < line);
        place.map(|(name, before)| (name.as_str(), line - before))
    }

    /// The same in a word: `requests.jsonl:12`.
    pub(crate) fn name(&self, line: u64) -> String {
        self.locate(line).map_or_else(|| format!("line {line}"), |(name, line)| format!("{name}:{line}"))
    }

    /// Adds a file with `before` lines before it.
    pub(crate) fn push(&mut self, name: &str, before: u64) {
        self.0.push((name.to_owned(), before));
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this line of the whole, from 1, is the first of its file.
    pub(crate) fn begins(&self, line: u64) -> bool {
        self.locate(line).is_some_and(|(_, line)| line == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_line_of_the_whole_is_found_in_its_file() {
        let mut places = Places::default();
        for (name, before) in [("empty", 0), ("a", 0), ("empty", 2), ("b", 2)] {
            places.push(name, before);
        }
        assert_eq!(places.locate(0), None);
        assert_eq!(places.locate(1), Some(("a", 1)));
        assert_eq!(places.locate(2), Some(("a", 2)));
        assert_eq!(places.locate(3), Some(("b", 1)));
        assert_eq!(places.name(4), "b:2");
        assert!(places.begins(3) && !places.begins(4));
    }
}
