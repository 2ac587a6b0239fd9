//! The contract: what batchstep promises whatever the vendor's API.
//!
//! Each promise is one function of a [`Subject`], which is run against the simulator of each dialect. It is left out
//! only where a capability of the vendor's, as `batchstep providers` prints it, rules it out. A new dialect is a line in
//! the macro [`contract`] and an arm in the methods of [`Subject`].

mod answers;
mod creates;
mod found;
mod lives;
mod words;

use std::time::Duration;

use batchstep::internals::{Name, choose, facts};
use batchstep_sandbox::Dialect;
use batchstep_test_support::bench::request;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::lab::{Lab, Ran};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A dialect that the promises are tried on.
#[derive(Clone, Copy, Debug)]
struct Subject {
    dialect: Dialect,
}

/// A capability without which a promise is not made.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// The capability, as `batchstep providers` calls it.
    fact: &'static str,
    /// What it is where the promise is not made.
    but: &'static str,
}

/// That a batch shows whose it is while it runs.
const SHOWS_WHOSE: Option<Need> = Some(Need {
    fact: "A batch is found again by",
    but: "the journal alone while it runs, then the ids of its answers",
});
/// That the requests of a batch can be had back from the vendor.
const FILES: Option<Need> = Some(Need { fact: "Files can be looked at and deleted", but: "no" });
/// That a batch counts its answers while it runs.
const COUNTS: Option<Need> = Some(Need { fact: "Counts while a batch runs", but: "no" });
/// That a cancel loses no answer.
const PARTIAL: Option<Need> = Some(Need { fact: "Answers are kept after a cancel", but: "no" });

/// A promise and the capability that it needs, if any.
struct Promise {
    says: &'static str,
    needs: Option<Need>,
}

/// Makes of the list of promises the table and, for each promise, a test for each dialect.
macro_rules! contract {
    ($($module:ident::$promise:ident, $needs:expr, $says:literal;)*) => {
        const PROMISES: &[Promise] = &[$(Promise { says: $says, needs: $needs }),*];
        /// The dialects that have a test of each promise.
        const TRIED: [Dialect; 2] = [Dialect::Openai, Dialect::Anthropic];

        $(mod $promise {
            use super::*;

            #[tokio::test(start_paused = true)]
            async fn openai() {
                keep(Dialect::Openai, $needs, $module::$promise).await;
            }

            #[tokio::test(start_paused = true)]
            async fn anthropic() {
                keep(Dialect::Anthropic, $needs, $module::$promise).await;
            }
        })*
    };
}

contract! {
    words::lines_are_checked, None, "A bad line is refused with its place, before anything is sent";
    words::foreign_lines, None, "Lines for another vendor are refused in one sentence that says whose they are";
    lives::a_whole_run, None, "A run brings an answer to each request, in the order of the requests";
    lives::several_batches, None, "So does a run of several batches";
    lives::counts, COUNTS, "The log counts answers while a batch runs";
    lives::the_deadline, PARTIAL, "At the deadline the batch is cancelled, and the answers that it had are kept";
    lives::a_signal, None, "A signal cancels the batch";
    lives::a_signal_in_doubt, SHOWS_WHOSE, "So it does where the reply to the create does not come";
    lives::expiry, None, "A batch that expires gives the answers that it had";
    lives::handed_over, None, "A run that hands its batch over is continued by the next";
    found::killed_at_any_step, None, "A run that is killed at any step is resumed from its journal; nothing is paid twice";
    found::reused_elsewhere, None, "`reuse: finished` uses the completed batch of any machine";
    found::an_earlier_attempt, None, "A later attempt of a job uses what an earlier one completed";
    found::attached_elsewhere, SHOWS_WHOSE, "Another machine attaches to a batch that runs";
    creates::a_lost_reply, None, "A create whose reply is lost is paid for once";
    creates::a_create_that_was_not_acted_on, None, "A create that was not acted on is sent again after a minute";
    creates::clocks_that_differ, None, "So it is where the vendor's clock is two hours off ours";
    creates::both_arrived, SHOWS_WHOSE, "If both creates made a batch, the newer one is cancelled";
    creates::a_body_cut_short, None, "A body that is cut before its end is sent again at once and makes one batch";
    creates::anothers_batch_of_that_time, None, "Another's batch is neither cancelled nor taken for ours";
    creates::batches_that_look_alike, None, "Of batches that may each be ours none is chosen by chance";
    creates::a_lost_reply_to_a_cancel, None, "A cancel whose reply is lost leaves nothing running";
    creates::refused_for_now, None, "A create that is refused with 429 or 529 is tried again";
    creates::refused_for_good, None, "A spent budget ends the run at once";
    answers::their_own_ids, None, "Answers have the ids of the requests, whatever these are";
    answers::their_own_ids_elsewhere, None, "So they have after a `collect` elsewhere with the requests";
    answers::their_own_ids_alone, FILES, "So they have after a `collect` elsewhere without the requests";
    answers::ids_that_nobody_knows, None, "Where that is not possible, a request's number stands for its id, and the log says so";
    answers::unexpected, None, "Answers that nobody asked for are set aside";
    answers::missing, None, "A request without an answer fails the run, and is sent again if asked";
    answers::retries, None, "Only what failed for a passing reason is sent again";
    answers::late_and_short, None, "Answers that come late, short or torn are waited for, and not bought again";
    answers::uncollected, None, "Answers that cannot be fetched are left for the next run";
    words::hostile_texts, None, "A server's text adds no line and no command to the log";
    words::the_key, None, "The key is never printed or written, and is not sent to another origin";
}

/// Runs a promise where it is made.
async fn keep<F: Future<Output = ()>>(dialect: Dialect, needs: Option<Need>, promise: fn(Subject) -> F) {
    let subject = Subject { dialect };
    if needs.is_none_or(|need| subject.has(need)) {
        promise(subject).await;
    }
}

impl Subject {
    /// All of them.
    fn all() -> impl Iterator<Item = Self> {
        Dialect::ALL.into_iter().map(|dialect| Self { dialect })
    }

    /// What its vendor is by one of the facts that `batchstep providers` prints.
    fn fact(self, name: &str) -> String {
        let vendor = match self.dialect {
            Dialect::Openai => Name::Openai,
            Dialect::Anthropic => Name::Anthropic,
        };
        let found = facts(choose(vendor)).into_iter().find(|(fact, _)| *fact == name);
        found.unwrap_or_else(|| panic!("there is no fact {name:?}")).1
    }

    fn has(self, need: Need) -> bool {
        self.fact(need.fact) != need.but
    }

    /// Whether its batches show whose they are while they run.
    fn shows_whose(self) -> bool {
        SHOWS_WHOSE.is_some_and(|need| self.has(need))
    }

    /// Another dialect.
    fn other(self) -> Self {
        let other = Dialect::ALL.into_iter().find(|other| *other != self.dialect);
        Self { dialect: other.unwrap() }
    }

    /// The call that carries the requests.
    fn carrier(self) -> &'static str {
        match self.dialect {
            Dialect::Openai => "upload",
            Dialect::Anthropic => "create",
        }
    }

    /// The code that says that the account's budget is spent.
    fn spent(self) -> &'static str {
        match self.dialect {
            Dialect::Openai => "insufficient_quota",
            Dialect::Anthropic => "enforced_spend_limit_reached",
        }
    }

    /// The create of twenty requests by a program that is not batchstep, where it needs no file.
    fn create_of_others(self) -> Option<(&'static str, Value)> {
        let requests: Vec<Value> =
            self.other_requests().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        match self.dialect {
            Dialect::Openai => None,
            Dialect::Anthropic => Some(("/messages/batches", json!({ "requests": requests }))),
        }
    }

    /// A simulator whose batches take so long, with these faults, and a directory with twenty requests.
    async fn lab(self, takes: Duration, faults: &str) -> Lab {
        self.lab_of(takes, faults, 20).await
    }

    async fn lab_of(self, takes: Duration, faults: &str, requests: usize) -> Lab {
        Lab::speaking(self.dialect, takes, faults, requests).await
    }

    /// A line of a requests file.
    fn line(self, id: &str, text: &str) -> String {
        request(self.dialect, id, text)
    }

    /// As many requests as a lab has, and others.
    fn other_requests(self) -> String {
        (0..20).map(|index| self.line(&format!("request-{index}"), "Sing it")).collect()
    }
}

/// A run that ended well: each request has an answer, and each was paid for once.
#[track_caller]
fn assert_paid_once(lab: &Lab, ran: &Ran) {
    assert_eq!((ran.exit, ran.outcome()), (0, "succeeded"), "{}", ran.text());
    ran.assert_complete(20);
    assert_eq!(lab.tally().rows_paid, 20, "{:?}\n{}", lab.tally(), ran.text());
}

/// A run that is killed outright after so long; whether it was over before.
async fn killed(lab: &Lab, after: Duration, inputs: &[&str]) -> Option<Ran> {
    tokio::time::timeout(after, lab.run(inputs)).await.ok()
}

/// What the vendors keep of the promises. What is not promised is named by the capability that rules it out.
#[test]
fn what_each_dialect_keeps() {
    assert_eq!(TRIED, Dialect::ALL, "each dialect that has a simulator has a test in the macro `contract`");
    let mut table = format!("| | {} |\n", Dialect::ALL.map(|dialect| format!("`{dialect}`")).join(" | "));
    table += &format!("|---{}|\n", "|---".repeat(Dialect::ALL.len()));
    for Promise { says, needs } in PROMISES {
        let kept = Subject::all().map(|subject| match needs {
            Some(need) if !subject.has(*need) => format!("not promised ({}: {})", need.fact, need.but),
            _ => "kept".to_owned(),
        });
        table += &format!("| {says} | {} |\n", kept.collect::<Vec<_>>().join(" | "));
    }
    println!("{table}");
    assert_snapshot!(table, @r"
    | | `openai` | `anthropic` |
    |---|---|---|
    | A bad line is refused with its place, before anything is sent | kept | kept |
    | Lines for another vendor are refused in one sentence that says whose they are | kept | kept |
    | A run brings an answer to each request, in the order of the requests | kept | kept |
    | So does a run of several batches | kept | kept |
    | The log counts answers while a batch runs | kept | not promised (Counts while a batch runs: no) |
    | At the deadline the batch is cancelled, and the answers that it had are kept | kept | kept |
    | A signal cancels the batch | kept | kept |
    | So it does where the reply to the create does not come | kept | not promised (A batch is found again by: the journal alone while it runs, then the ids of its answers) |
    | A batch that expires gives the answers that it had | kept | kept |
    | A run that hands its batch over is continued by the next | kept | kept |
    | A run that is killed at any step is resumed from its journal; nothing is paid twice | kept | kept |
    | `reuse: finished` uses the completed batch of any machine | kept | kept |
    | A later attempt of a job uses what an earlier one completed | kept | kept |
    | Another machine attaches to a batch that runs | kept | not promised (A batch is found again by: the journal alone while it runs, then the ids of its answers) |
    | A create whose reply is lost is paid for once | kept | kept |
    | A create that was not acted on is sent again after a minute | kept | kept |
    | So it is where the vendor's clock is two hours off ours | kept | kept |
    | If both creates made a batch, the newer one is cancelled | kept | not promised (A batch is found again by: the journal alone while it runs, then the ids of its answers) |
    | A body that is cut before its end is sent again at once and makes one batch | kept | kept |
    | Another's batch is neither cancelled nor taken for ours | kept | kept |
    | Of batches that may each be ours none is chosen by chance | kept | kept |
    | A cancel whose reply is lost leaves nothing running | kept | kept |
    | A create that is refused with 429 or 529 is tried again | kept | kept |
    | A spent budget ends the run at once | kept | kept |
    | Answers have the ids of the requests, whatever these are | kept | kept |
    | So they have after a `collect` elsewhere with the requests | kept | kept |
    | So they have after a `collect` elsewhere without the requests | kept | not promised (Files can be looked at and deleted: no) |
    | Where that is not possible, a request's number stands for its id, and the log says so | kept | kept |
    | Answers that nobody asked for are set aside | kept | kept |
    | A request without an answer fails the run, and is sent again if asked | kept | kept |
    | Only what failed for a passing reason is sent again | kept | kept |
    | Answers that come late, short or torn are waited for, and not bought again | kept | kept |
    | Answers that cannot be fetched are left for the next run | kept | kept |
    | A server's text adds no line and no command to the log | kept | kept |
    | The key is never printed or written, and is not sent to another origin | kept | kept |
    ");
}
