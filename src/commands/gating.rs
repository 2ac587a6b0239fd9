//! The gate, as a step of `run` and `collect`: what it reads, how long it may take, and the results with its verdicts.

use std::sync::Arc;

use tokio::time::Instant;

use super::fetched::Answers;
use super::gather::{Gathered, Gatherer, Making, Order};
use super::recording;
use crate::clock::span;
use crate::error::Error;
use crate::events::Event;
use crate::gate::{Gate, Verdicts};
use crate::guard::Stop;
use crate::judgement::GateReport;
use crate::policy::{BEFORE_BATCH, GATE, GATE_AT_LEAST};
use crate::results::Results;
use crate::results::sinks::Shown;
use crate::values::AnswerFiles;

/// Has the gate read the answers, and fails those that it fails. That it does not end well changes nothing of them.
pub(super) async fn pass(
    gatherer: &Gatherer<'_>,
    command: &str,
    gathered: &mut Gathered,
    answers: &mut Answers,
    order: &Arc<Order>,
) {
    let (shown, written) = (gatherer.api.shown(command), gathered.results.files.answers.as_deref());
    gatherer.events.emit(Event::Gate(shown.clone()));
    let failed = match verdicts(gatherer, command, written, answers, order).await {
        Ok(verdicts) if verdicts.is_empty() => Some(0),
        Ok(verdicts) => match reject(gatherer, verdicts, answers, order).await {
            Ok(results) => {
                gathered.results = results;
                Some(gathered.results.gated)
            }
            Err(stop) => {
                gathered.gate_stop = Some(stop);
                None
            }
        },
        Err(stop) => {
            gathered.gate_stop = Some(stop);
            None
        }
    };
    gathered.gate = Some(GateReport { command: shown, failed });
}

/// What the gate says of the answers. If they are not written for others, it gets a file of its own.
async fn verdicts(
    gatherer: &Gatherer<'_>,
    command: &str,
    written: Option<&str>,
    answers: &mut Answers,
    order: &Arc<Order>,
) -> Result<Verdicts, Stop> {
    let dir = if written.is_some() { gatherer.output_dir.to_owned() } else { gatherer.dir() };
    if written.is_none() {
        let making = Making { dir: dir.clone(), answer_files: AnswerFiles::Alone, shown: Shown::default(), gate: None };
        gatherer.reconcile(gatherer.files(answers)?, answers.absent(), Arc::clone(order), making).await?;
    }
    let traces = gatherer.api.traces();
    let unset = gatherer.env.private(|value| traces.are_in(value));
    let say = |line: &str| gatherer.events.emit(Event::Gate(gatherer.api.shown(line)));
    let gate = Gate { command, unset, say: &say };
    let now = Instant::now();
    let limit = limit(now, gatherer.guard.deadline);
    let path = dir.join("answers.jsonl");
    let why = match gatherer.guard.until(limit, gate.run(&path)).await {
        Ok(Ok(verdicts)) => return Ok(verdicts),
        Ok(Err(why)) => why,
        Err(Stop::Deadline(_)) => format!("it did not end within {}", span(limit - now)),
        Err(stop) => return Err(stop),
    };
    Err(Error::internal(format!("The gate failed: {}.", gatherer.api.shown(&why)))
        .hint("The results are kept, without the gate's verdicts: `results.jsonl` has all answers.")
        .hint("`gate` must print one JSON line `{\"custom_id\", \"message\"}` for each row that it fails, nothing else, and end with exit code 0.")
        .into())
}

/// The results with these verdicts.
async fn reject(
    gatherer: &Gatherer<'_>,
    verdicts: Verdicts,
    answers: &mut Answers,
    order: &Arc<Order>,
) -> Result<Results, Stop> {
    let making = Making { gate: Some(verdicts), ..gatherer.making() };
    let files = gatherer.files(answers)?;
    let mut results = gatherer.reconcile(files, answers.absent(), Arc::clone(order), making).await?;
    recording::conceal(gatherer.api, &mut results);
    Ok(results)
}

/// Until when the gate may run: as long as it may take, but no longer than answers may come after the deadline.
fn limit(now: Instant, deadline: Instant) -> Instant {
    (now + GATE).min((deadline + BEFORE_BATCH).max(now + GATE_AT_LEAST))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BEFORE_BATCH, GATE, GATE_AT_LEAST, Instant, limit};

    #[test]
    fn a_gate_has_less_time_near_the_deadline_and_always_some() {
        let (now, hour) = (Instant::now() + Duration::from_secs(7_200), Duration::from_secs(3_600));
        assert_eq!(limit(now, now + hour), now + GATE);
        assert_eq!(limit(now, now - BEFORE_BATCH / 2), now + BEFORE_BATCH / 2);
        assert_eq!(limit(now, now - hour), now + GATE_AT_LEAST);
    }
}
