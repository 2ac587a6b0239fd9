//! The first thing that people read of a run: a sign, how the requests fared, the model, the time.
//!
//! Every format begins with it, so that a summary, a comment, a check and a log say the same.

use std::time::Duration;

use crate::bill;
use crate::error::{Exit, Outcome};
use crate::report::Report;
use crate::text::{counted, thousands};

/// What a reader has to feel first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// All is well.
    Good,
    /// It is well enough, and somebody should look.
    Attention,
    /// The step failed.
    Bad,
    /// It is not over.
    Waiting,
    /// Nothing was done, and nothing is wrong.
    Skipped,
}

impl Sign {
    /// The sign of an outcome that ends in this exit code.
    pub(crate) fn of(outcome: Outcome, exit_code: u8) -> Self {
        match outcome {
            _ if exit_code != Exit::Ok.code() => Self::Bad,
            Outcome::Pending | Outcome::Detached => Self::Waiting,
            Outcome::Partial => Self::Attention,
            Outcome::Skipped => Self::Skipped,
            _ => Self::Good,
        }
    }
}

/// The first line of a report, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Headline {
    /// What a reader has to feel first.
    pub(crate) sign: Sign,
    /// How the requests fared, or what happened instead.
    pub(crate) fared: String,
    /// The model that was asked, if it is one. It is the user's text.
    pub(crate) model: Option<String>,
    /// How many models were asked, if they are several.
    pub(crate) models: usize,
    /// How long the run took, if that was a second at least.
    pub(crate) took: Option<String>,
    /// What it cost, or is likely to cost.
    pub(crate) cost: Option<String>,
}

impl Headline {
    /// That of a report.
    pub(crate) fn of(report: &Report) -> Self {
        let models = models(report);
        Self {
            sign: Sign::of(report.outcome, report.exit_code),
            cost: bill::briefly(report),
            fared: fared(report),
            models: models.len(),
            model: models.into_iter().next().filter(|_| was_asked(report)).map(str::to_owned),
            took: took(report).filter(|took| *took >= Duration::from_secs(1)).map(roughly),
        }
    }
}

/// Whether the provider was given requests, as far as the report knows.
fn was_asked(report: &Report) -> bool {
    !report.batches.is_empty() || report.counts.total > 0
}

/// The models that the requests name, or else those that the answers name, each once.
fn models(report: &Report) -> Vec<&str> {
    let asked = report.shards.iter().filter_map(|shard| shard.model.as_deref()).chain(report.requests.model.as_deref());
    let mut models: Vec<&str> = asked.collect();
    if models.is_empty() {
        models = report.usage.iter().filter_map(|usage| usage.model.as_deref()).collect();
    }
    models.sort_unstable();
    models.dedup();
    models
}

fn fared(report: &Report) -> String {
    let counts = report.counts;
    let answered = || match counts.total {
        0 => String::new(),
        total => format!(": {} of {} answered", thousands(counts.succeeded), thousands(total)),
    };
    match report.outcome {
        Outcome::Succeeded | Outcome::Partial | Outcome::Failed if counts.total > 0 => shares(report),
        Outcome::Succeeded if report.requests.total > 0 => "The requests are valid".to_owned(),
        Outcome::Succeeded | Outcome::Partial => "Done".to_owned(),
        Outcome::Failed if report.batches.len() == 1 => "The batch failed".to_owned(),
        Outcome::Failed => format!("Failed{}", answered()),
        Outcome::Invalid if report.fault_count == 0 => "The requests cannot be read".to_owned(),
        Outcome::Invalid => format!("{} in the requests", counted(report.fault_count, "fault", "faults")),
        Outcome::Usage => "An input is wrong".to_owned(),
        Outcome::Refused => format!("Refused{}", answered()),
        Outcome::TimedOut => format!("Time was up{}", answered()),
        Outcome::Cancelled => format!("Cancelled{}", answered()),
        Outcome::Detached => "Left running".to_owned(),
        Outcome::Pending => "Still running".to_owned(),
        Outcome::Skipped => "Skipped".to_owned(),
        Outcome::Unknown => "A batch may exist".to_owned(),
        Outcome::Uncollected => format!("Answers are not fetched yet{}", answered()),
    }
}

/// What happened where a command has nothing to report but its failure.
pub(crate) fn without_a_report(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Usage => "An input is wrong",
        Outcome::Invalid => "The requests are invalid",
        Outcome::Refused => "Refused",
        Outcome::Cancelled => "Cancelled",
        _ => "Failed",
    }
}

/// The share that is not well, or that all is, and how many answers are suspect.
fn shares(report: &Report) -> String {
    match report.counts.suspect {
        0 => share(report),
        suspect => format!("{}, {} suspect", share(report), thousands(suspect)),
    }
}

fn share(report: &Report) -> String {
    let counts = report.counts;
    let total = thousands(counts.total);
    let (bad, word) = match (counts.failed, counts.missing) {
        (0, 0) if counts.total == 1 => return "The request was answered".to_owned(),
        (0, 0) => return format!("All {total} answered"),
        (0, missing) => (missing, "missing"),
        (failed, 0) => (failed, "failed"),
        (failed, missing) => (failed.saturating_add(missing), "failed or missing"),
    };
    match bad {
        1 if counts.total == 1 => format!("The request {}", if word == "missing" { "got no answer" } else { "failed" }),
        bad if bad == counts.total => format!("All {total} {word}"),
        bad => format!("{} of {total} {word}", thousands(bad)),
    }
}

fn took(report: &Report) -> Option<Duration> {
    let time = |text: &str| humantime::parse_rfc3339(text).ok();
    time(&report.ended_at)?.duration_since(time(&report.started_at)?).ok()
}

/// A span as a person would say it: `45 s`, `13 min`, `2 h 5 min`.
fn roughly(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds + 30) / 60 {
        _ if seconds < 60 => format!("{seconds} s"),
        minutes @ ..60 => format!("{minutes} min"),
        minutes if minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Headline, Outcome, Sign, roughly};
    use crate::formats::samples;

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said = |seconds| roughly(Duration::from_secs(seconds));
        assert_eq!([1, 59, 60, 89, 90, 3_569].map(said), ["1 s", "59 s", "1 min", "1 min", "2 min", "59 min"]);
        assert_eq!([3_600, 7_500, 86_400].map(said), ["1 h", "2 h 5 min", "24 h"]);
    }

    #[test]
    fn shares_are_of_what_is_not_well() {
        let fared = |total, failed, missing| {
            let mut report = samples::partial();
            (report.counts.total, report.counts.suspect) = (total, 0);
            (report.counts.succeeded, report.counts.failed, report.counts.missing) =
                (total - failed - missing, failed, missing);
            Headline::of(&report).fared
        };
        assert_eq!(fared(240, 18, 0), "18 of 240 failed");
        assert_eq!(fared(1_200, 12, 1), "13 of 1,200 failed or missing");
        assert_eq!(fared(1_200, 0, 1), "1 of 1,200 missing");
        assert_eq!(fared(240, 240, 0), "All 240 failed");
        assert_eq!(fared(1, 1, 0), "The request failed");
        assert_eq!(fared(1, 0, 1), "The request got no answer");
        assert_eq!(fared(1, 0, 0), "The request was answered");
        assert_eq!(fared(9, 0, 0), "All 9 answered");
        assert_eq!(Headline::of(&samples::partial()).fared, "13 of 1,200 failed or missing, 7 suspect");
    }

    #[test]
    fn what_was_skipped_is_neither_good_nor_bad() {
        assert_eq!(Sign::of(Outcome::Skipped, 0), Sign::Skipped);
        assert_eq!(Sign::of(Outcome::Succeeded, 1), Sign::Bad);
        assert_eq!(Sign::of(Outcome::Pending, 8), Sign::Bad);
    }
}
