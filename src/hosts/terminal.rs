//! A terminal, or a CI system we do not know: nothing but the log. Where a
//! person looks on, uploading and waiting are a progress bar instead of lines.

use std::time::Duration;

use super::{Host, Identity, closing_table, log};
use crate::effects::{Effect, LogTarget, Unit};
use crate::events::Event;
use crate::report::Report;

/// Nobody's CI.
pub(super) struct Terminal {
    /// Where the log goes: only a terminal shows a bar.
    pub(super) log: LogTarget,
}

impl Host for Terminal {
    fn is_ci(&self) -> bool {
        false
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn time_limit(&self) -> Option<Duration> {
        None
    }

    fn event(&self, event: &Event) -> Vec<Effect> {
        match event {
            _ if self.log == LogTarget::File => log(event),
            Event::Uploading { sent, total } => {
                vec![Effect::Progress {
                    done: *sent,
                    total: *total,
                    unit: Unit::Bytes,
                    message: "uploading".to_owned(),
                }]
            }
            Event::Polled { status, counts, .. } => vec![Effect::Progress {
                done: counts.done().unwrap_or(0),
                // Without a count of what is done, a bar would show nothing true.
                total: counts.done().and(counts.total).unwrap_or(0),
                unit: Unit::Requests,
                message: status.word().replace('_', " "),
            }],
            // The bar shows that the run is alive.
            Event::Alive { .. } => Vec::new(),
            Event::Uploaded { .. } | Event::Created { .. } | Event::Ended { .. } => {
                [vec![Effect::ProgressEnd], log(event)].concat()
            }
            _ => log(event),
        }
    }

    fn publish(&self, report: &Report) -> Vec<Effect> {
        let clear = (self.log == LogTarget::Terminal).then_some(Effect::ProgressEnd);
        clear.into_iter().chain(closing_table(report)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Effect, Event, Host, LogTarget, Terminal, Unit};
    use crate::dialects::{Counts, Status};
    use crate::formats::samples::{self, HOSTILE};

    fn polled() -> Event {
        Event::Polled {
            batch_id: "batch_1".to_owned(),
            status: Status::InProgress,
            counts: Counts::of(10, 3, 1),
            age: Duration::from_secs(60),
            changed: true,
        }
    }

    #[test]
    fn a_person_sees_a_bar_and_a_log_sees_lines() {
        let uploading = Event::Uploading { sent: 1, total: 2 };
        let person = Terminal { log: LogTarget::Terminal };
        let progress =
            |done, total, unit, message: &str| Effect::Progress { done, total, unit, message: message.into() };
        assert_eq!(person.event(&uploading), [progress(1, 2, Unit::Bytes, "uploading")]);
        assert_eq!(person.event(&polled()), [progress(4, 10, Unit::Requests, "in progress")]);
        assert_eq!(person.event(&Event::Warned("x".to_owned())), [Effect::Log("Warning: x".to_owned())]);
        assert_eq!(person.publish(&samples::succeeded())[0], Effect::ProgressEnd);

        let Event::Polled { batch_id, status, age, changed, .. } = polled() else { panic!("it is a poll") };
        let counts = Counts { total: Some(10), completed: None, failed: None };
        let uncounted = Event::Polled { batch_id, status, counts, age, changed };
        assert_eq!(person.event(&uncounted), [progress(0, 0, Unit::Requests, "in progress")]);

        let file = Terminal { log: LogTarget::File };
        assert_eq!(file.event(&uploading), []);
        assert!(matches!(&file.event(&polled())[..], [Effect::Log(line)] if line.starts_with("Batch batch_1")));
        assert!(file.publish(&samples::succeeded()).iter().all(|effect| matches!(effect, Effect::Log(_))));
    }

    #[test]
    fn hostile_text_adds_no_line_and_no_other_effect() {
        let file = Terminal { log: LogTarget::File };
        let tame = file.publish(&samples::hostile("tame")).len();
        for text in HOSTILE {
            let effects = file.publish(&samples::hostile(text));
            assert_eq!(effects.len(), tame, "{text:?}");
            assert!(effects.iter().all(|effect| matches!(effect, Effect::Log(_))), "{text:?}");
        }
    }
}
