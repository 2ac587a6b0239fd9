//! The progress bar as a line of text: one for all requests and batches, at any width.

use std::time::Duration;

use crate::clock::span;
use crate::styled::{Line, Tone};
use crate::text::{first_chars, size, thousands};

/// Columns that stay free at the right, so that the `^C` of a terminal does not begin a line.
const MARGIN: usize = 4;
/// The longest bar, in columns: a longer one is no easier to read.
const LONGEST: usize = 40;
/// The shortest bar that shows anything.
const SHORTEST: usize = 10;
/// Shown in turn while the run works.
const SPINNER: [char; 4] = ['◐', '◓', '◑', '◒'];

/// What the bar shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// What is going on: `in progress`.
    pub stage: String,
    /// How much is done; none where nobody counts.
    pub done: Option<Done>,
    /// How many batches have ended, and of how many, where there are several.
    pub batches: Option<(usize, usize)>,
    /// How much longer it will take, where that can be told.
    pub left: Option<Duration>,
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// So much.
    pub done: u64,
    /// Of so much.
    pub total: u64,
    /// What it counts.
    pub unit: Unit,
}

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Requests.
    Requests,
}

/// How much is said beside the bar, most of it first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wording {
    /// Everything, in words.
    Full,
    /// The time that is left, or else the time that has passed.
    Usual,
    /// The same, abbreviated.
    Short,
    /// The same without the stage.
    Bare,
    /// Without the bar: the numbers say the same.
    Numbers,
}

impl Bar {
    /// The line for a terminal of so many columns, so long after the run began.
    pub(crate) fn line(&self, columns: usize, elapsed: Duration) -> Line {
        use Wording::{Bare, Full, Numbers, Short, Usual};
        let room = columns.saturating_sub(MARGIN);
        let spinner = SPINNER[elapsed.as_secs() as usize % SPINNER.len()];
        for wording in [Full, Usual, Short, Bare, Numbers] {
            let head = if wording < Bare { format!("{spinner} {}", self.stage) } else { spinner.to_string() };
            let facts = self.facts(wording, elapsed).join(" · ");
            let used = head.chars().count() + facts.chars().count() + 4;
            let length = room.saturating_sub(used).min(LONGEST);
            let line = Line::of(Tone::Strong, head);
            match self.done.filter(|_| wording < Numbers) {
                Some(done) if length >= SHORTEST => {
                    return drawn(line.with(Tone::Plain, "  "), done, length).with(Tone::Plain, format!("  {facts}"));
                }
                None if used <= room => return line.with(Tone::Plain, format!("  {facts}")),
                _ => {}
            }
        }
        Line::of(Tone::Strong, first_chars(&format!("{spinner} {}", self.stage), room))
    }

    /// What stands beside the bar.
    fn facts(&self, wording: Wording, elapsed: Duration) -> Vec<String> {
        let (is_short, is_full) = (wording >= Wording::Short, wording == Wording::Full);
        let of = if is_short { "/" } else { " of " };
        let done = self.done.map(|Done { done, total, unit }| match unit {
            Unit::Bytes => format!("{}{of}{}", size(done), size(total)),
            Unit::Requests => {
                format!("{}{of}{}{}", thousands(done), thousands(total), if is_full { " requests" } else { "" })
            }
        });
        let batches = self.batches.map(|(ended, all)| match is_short {
            true => format!("{ended}/{all} batches"),
            false => format!("batches {ended} of {all}"),
        });
        let about = if is_short { "~" } else { "about " };
        let left = self.left.map(|left| format!("{about}{} left", rough(left)));
        let elapsed = (is_full || left.is_none()).then(|| ticking(elapsed));
        let times = [elapsed, left].into_iter().filter(|_| wording < Wording::Numbers || self.done.is_none());
        [done, batches].into_iter().chain(times).flatten().collect()
    }
}

/// Adds the bar itself.
fn drawn(line: Line, Done { done, total, .. }: Done, length: usize) -> Line {
    let share = if total == 0 { 0.0 } else { done.min(total) as f64 / total as f64 };
    // Not full before the last request is done.
    let full = (share * length as f64) as usize;
    line.with(Tone::Good, "━".repeat(full)).with(Tone::Faint, "─".repeat(length - full))
}

/// A span that is shown again every second, so in whole seconds.
fn ticking(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..10 => format!("{seconds}s"),
        seconds => span(Duration::from_secs(seconds)),
    }
}

/// A span that nobody takes for exact: `40s`, `12m`, `2h 10m`.
fn rough(left: Duration) -> String {
    let seconds = left.as_secs();
    let minutes = left.as_secs().div_ceil(60);
    match seconds {
        0..90 => format!("{}s", seconds.max(1).next_multiple_of(if seconds > 10 { 5 } else { 1 })),
        90..5_400 => format!("{minutes}m"),
        _ => format!("{}h {}m", minutes / 60, minutes % 60 / 10 * 10).replace(" 0m", ""),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Bar, Done, Unit, rough};

    fn bar() -> Bar {
        Bar {
            stage: "in progress".to_owned(),
            done: Some(Done { done: 412, total: 1_200, unit: Unit::Requests }),
            batches: Some((1, 3)),
            left: Some(Duration::from_secs(250)),
        }
    }

    fn line(bar: &Bar, columns: usize) -> String {
        bar.line(columns, Duration::from_secs(130)).text()
    }

    #[test]
    fn it_fits_every_width() {
        let lines: Vec<String> = [120, 80, 60, 40, 12].iter().map(|columns| line(&bar(), *columns)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        ◑ in progress  ━━━━━━━━━━━━────────────────────────  412 of 1,200 requests · batches 1 of 3 · 2m 10s · about 5m left
        ◑ in progress  ━━━━──────────  412 of 1,200 · batches 1 of 3 · about 5m left
        ◑  ━━━━━────────────  412/1,200 · 1/3 batches · ~5m left
        ◑  412/1,200 · 1/3 batches
        ◑ in pro
        ");
        let mut others = vec![bar(), Bar { left: None, ..bar() }, Bar { batches: None, left: None, ..bar() }];
        others.push(Bar { done: None, ..bar() });
        others.push(Bar { done: None, batches: None, left: None, ..bar() });
        let bytes = Done { done: 12_300_000, total: 200_000_000, unit: Unit::Bytes };
        others.push(Bar { stage: "uploading".to_owned(), done: Some(bytes), batches: None, left: None });
        let lines: Vec<String> = others.iter().map(|bar| line(bar, 80)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        ◑ in progress  ━━━━──────────  412 of 1,200 · batches 1 of 3 · about 5m left
        ◑ in progress  ━━━━────────  412 of 1,200 requests · batches 1 of 3 · 2m 10s
        ◑ in progress  ━━━━━━━━━────────────────────  412 of 1,200 requests · 2m 10s
        ◑ in progress  batches 1 of 3 · 2m 10s · about 5m left
        ◑ in progress  2m 10s
        ◑ uploading  ━━───────────────────────────────  12.3 MB of 200.0 MB · 2m 10s
        ");
        for columns in 0..200 {
            for bar in &others {
                let length = line(bar, columns).chars().count();
                assert!(length <= columns.saturating_sub(4), "{columns}: {length}");
            }
        }
    }

    #[test]
    fn it_is_full_only_at_the_end() {
        let at = |done| line(&Bar { done: Some(Done { done, total: 1_200, unit: Unit::Requests }), ..bar() }, 120);
        assert!(at(1_199).contains('─') && !at(1_200).contains('─') && !at(9_999).contains('─'));
        assert!(
            !line(&Bar { done: Some(Done { done: 0, total: 0, unit: Unit::Requests }), ..bar() }, 80).contains('━')
        );
    }

    #[test]
    fn what_is_left_is_rough() {
        let rough = |seconds| rough(Duration::from_secs(seconds));
        assert_eq!([0, 7, 42, 89, 90, 3_000].map(rough), ["1s", "7s", "45s", "90s", "2m", "50m"]);
        assert_eq!([7_200, 8_000, 90_000].map(rough), ["2h", "2h 10m", "25h"]);
    }
}
