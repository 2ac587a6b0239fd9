//! How long each phase of a run took.

use std::cell::RefCell;

use tokio::time::Instant;

use crate::report::Phase;

/// Measures phases: each lasts until the next begins.
#[derive(Default)]
pub(crate) struct Phases(RefCell<Vec<(String, Instant)>>);

impl Phases {
    /// Begins a phase, unless it is the one already under way.
    pub(crate) fn begin(&self, name: &str) {
        let mut begun = self.0.borrow_mut();
        if begun.last().is_none_or(|(last, _)| last != name) {
            begun.push((name.to_owned(), Instant::now()));
        }
    }

    /// The phases so far, the last one up to now.
    pub(crate) fn finish(&self) -> Vec<Phase> {
        let begun = self.0.borrow();
        let ends = begun.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let phases = begun.iter().zip(ends);
        phases.map(|((name, from), to)| Phase { name: name.clone(), seconds: seconds(to - *from) }).collect()
    }
}

/// Seconds to the millisecond: more would only be noise in the report.
fn seconds(span: std::time::Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}
