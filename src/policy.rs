//! Every window, look-back, wait, time limit and number of tries, with its reason.
//!
//! Values that depend on each other are compared in this file's tests. Sizes of texts and buffers are
//! not policy: they are beside the code that keeps to them.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// A day, for what a vendor counts in days.
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

// What is assumed about providers.

/// How far the provider's clock may be from ours.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(2 * 3_600);
/// How long the list of batches may lag behind a create.
pub(crate) const LIST_LAG: Duration = MINUTE;
/// The longest completion window in use: OpenAI has `24h`, some compatible servers `7d`.
pub(crate) const LONGEST_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// The window that is assumed where one is written in a way that cannot be read: OpenAI's only one.
pub(crate) const USUAL_WINDOW: Duration = DAY;
/// How long OpenAI keeps the files of a batch, and the longest life that it takes for a file.
pub(crate) const FILE_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The shortest life that it takes for a file.
pub(crate) const SHORTEST_FILE_LIFE: Duration = HOUR;
/// How many batches one run may create: OpenAI lets an account create two thousand an hour.
pub(crate) const MOST_SHARDS: usize = 2_000;

// Calls.

/// How long one call may take, but for uploads and downloads.
pub(crate) const CALL_TIMEOUT: Duration = MINUTE;
/// How long it may take to connect.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a body may make no progress.
pub(crate) const IDLE_TIMEOUT: Duration = MINUTE;
/// The slowest upload that is waited for, in bytes a second.
pub(crate) const SLOWEST_UPLOAD: u64 = 50_000;
/// How many redirects of a download are followed.
pub(crate) const MAX_REDIRECTS: usize = 5;
/// How many batches a page of the list has where all are read: OpenAI gives at most a hundred.
pub(crate) const PAGE: u64 = 100;
/// How many batches `batch list` shows unless told otherwise: OpenAI's own default.
pub(crate) const SHOWN_PAGE: u64 = 20;
/// How many pages are read of the list. What OpenAI lets an account create within the
/// clock skew, two thousand batches an hour, is within them.
pub(crate) const PAGES: usize = 50;

// Retries.

/// How long transient failures are retried before a batch exists, and how long answers are waited for
/// that were promised and cannot be fetched yet.
pub(crate) const BEFORE_BATCH: Duration = Duration::from_secs(600);
/// How long a 401, 403 or 404 must last while a batch runs before it is believed.
pub(crate) const REFUSAL_LASTS: Duration = Duration::from_secs(120);
/// How many of them must come in a row.
pub(crate) const REFUSAL_TIMES: u32 = 3;
/// The longest `Retry-After` that is honoured: a server that wishes for hours is asked again earlier.
pub(crate) const RETRY_AFTER_CAP: Duration = Duration::from_secs(120);
/// The first wait between attempts; each is twice as long as the one before.
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait between attempts.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// How often requests are sent at most, whatever `retries` says and earlier runs did.
pub(crate) const MOST_ATTEMPTS: u32 = 10;
/// The default of `retries`.
pub(crate) const RETRIES: u32 = 1;

// Estimates.

/// How many tokens an answer is assumed to have where neither the request nor an earlier report says: a page of text.
pub(crate) const ASSUMED_OUTPUT: u64 = 1_000;
/// How many times as long answers may be, on average, as that.
pub(crate) const ASSUMED_OUTPUT_UP_TO: u64 = 4;
/// Of how many parts answers may be one longer or shorter, on average, than those of an earlier run.
pub(crate) const OUTPUT_VARIES: u64 = 5;

// Looking for batches.

/// How far back a batch of the same requests may have been created that still runs: this long beyond its
/// window, since a provider ends a batch when it gets to it, and clocks differ.
pub(crate) const BEYOND_WINDOW: Duration = CLOCK_SKEW;
/// How far back a finished batch is reused.
pub(crate) const FINISHED_LOOK_BACK: Duration = FILE_LIFE;
/// How far back a batch may have been created that `cancel` has to end.
pub(crate) const RUNNING_LOOK_BACK: Duration = LONGEST_WINDOW.saturating_add(DAY);
/// How far back batches are listed, and collected with `--pending`.
pub(crate) const LISTING_LOOK_BACK: Duration = FILE_LIFE;
/// How long the list may be in trouble right before a create: then the create goes without a second look.
pub(crate) const SECOND_LOOK: Duration = MINUTE;
/// How long a look at the list is fresh enough to create a batch on.
pub(crate) const FRESH_LOOK: Duration = Duration::from_secs(10);
/// How far the time that a batch without marks shows may be from that of the create which made it, by the server's own
/// clock.
pub(crate) const TIME_SLACK: Duration = MINUTE;
/// How many batches without metadata are recognised by their file, which takes a call for each.
pub(crate) const MOST_FILES: usize = 50;
/// How long a batch that the journal names may be invisible before it counts as gone.
pub(crate) const GONE: Duration = Duration::from_secs(120);
/// When the list is read again for a duplicate, counted from the create.
pub(crate) const DUPLICATE_LOOKS: [Duration; 2] = [Duration::from_secs(30), LIST_LAG];
/// How much older than ours a duplicate may be that the list did not show before our create.
pub(crate) const RACE: Duration = Duration::from_secs(600);

// Creating.

/// When to look for a batch whose reply was lost, counted from the loss.
pub(crate) const LOST_REPLY_LOOKS: [Duration; 5] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30), LIST_LAG];
/// How long the reply of a create under way is waited for once a signal came or time is up.
pub(crate) const LAST_WORD: Duration = Duration::from_secs(2);
/// How long a create that was under way at the deadline is looked for.
pub(crate) const LOST_AT_DEADLINE: Duration = MINUTE;
/// How long one try may take where there is little time, or a batch more than there should be.
pub(crate) const HURRIED: Duration = Duration::from_secs(2);
/// How often the cancel of a duplicate of our own create is tried.
pub(crate) const HURRIED_TRIES: u32 = 4;
/// How long after a look that found nothing the next one is made, once a signal came.
pub(crate) const HURRIED_PAUSE: Duration = SECOND;
/// How long one look at a file may take: a run can do without what it says.
pub(crate) const FILE_LOOK: Duration = Duration::from_secs(15);
/// How often a file is looked at.
pub(crate) const FILE_LOOKS: u32 = 3;

// Waiting for a batch.

/// The first wait between polls; each is half as long again as the one before, up to `poll-interval`.
pub(crate) const FIRST_POLL: Duration = Duration::from_secs(5);
/// The shortest wait between polls of a batch in the sandbox of this process, which may be over in a second.
pub(crate) const FASTEST_POLL: Duration = Duration::from_millis(20);
/// How often such a batch is polled while it runs: often enough to show how it comes along.
pub(crate) const SIMULATED_POLLS: u32 = 15;
/// The longest span that an input takes: a sum of two still fits into clocks and calendars.
pub(crate) const LONGEST_SPAN: Duration = Duration::from_secs(3_650 * 86_400);
/// The default of `poll-interval`.
pub(crate) const POLL_INTERVAL: Duration = MINUTE;
/// The default of `timeout` is this much more than the window.
pub(crate) const TIMEOUT_BEYOND_WINDOW: Duration = Duration::from_secs(1_800);
/// The default of `max-in-flight`.
pub(crate) const IN_FLIGHT: usize = 8;
/// The first wait for room at the provider; each is twice as long as the one before.
pub(crate) const FIRST_ROOM_WAIT: Duration = MINUTE;
/// The longest wait for room.
pub(crate) const LONGEST_ROOM_WAIT: Duration = Duration::from_secs(900);
/// How often a batch that finds no room is created again. What does not fit after hours never will.
pub(crate) const MOST_ROOM_WAITS: u32 = 12;
/// How long it may take until the room of a batch that ended is free.
pub(crate) const ROOM_FREED: Duration = Duration::from_secs(5);

// Cancelling.

/// How long OpenAI says that a cancelled batch may take to end.
pub(crate) const CANCEL_TAKES: Duration = Duration::from_secs(600);
/// How long a cancelled batch is waited for: the poll that sees its end may be a minute late.
pub(crate) const CANCELLING: Duration = CANCEL_TAKES.saturating_add(MINUTE);
/// How long a cancel at the deadline is tried before the batch is polled meanwhile.
pub(crate) const PROMPT_CANCEL: Duration = Duration::from_secs(30);
/// How far apart the polls of a cancelled batch are at most: somebody waits for the job to end.
pub(crate) const CANCEL_POLL: Duration = Duration::from_secs(2);
/// How far apart the looks for the batch of a killed run's create are at most.
pub(crate) const CREATE_LOOK: Duration = Duration::from_secs(15);

// Signals.

/// How long after a first signal a run may take to cancel its batch.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// Signals this close together are one: `timeout` and shells signal a process and its group.
pub(crate) const SAME_SIGNAL: Duration = SECOND;
/// How long a call in progress has after a second signal.
pub(crate) const LAST_REPLY: Duration = Duration::from_secs(2);
/// How often it is checked whether the action's launcher still lives.
pub(crate) const LAUNCHER_LOOK: Duration = SECOND;

// Answers.

/// How long a file must be absent before it counts as gone, and stay the same before it counts as all
/// that there will be.
pub(crate) const SETTLED: Duration = Duration::from_secs(120);
/// How long a batch that counts answers may take to name a file, promised or not.
pub(crate) const FILE_NAMED: Duration = Duration::from_secs(30);
/// So many answers of a batch the provider may have dropped.
pub(crate) const FEW_ANSWERS: u64 = 10;
/// Or so many of a hundred.
pub(crate) const FEW_PERCENT: u64 = 1;
/// The first wait before files are fetched again.
pub(crate) const FIRST_REFETCH: Duration = Duration::from_secs(2);
/// The longest.
pub(crate) const LONGEST_REFETCH: Duration = MINUTE;
/// How long doubtful files are fetched again by a collection that does not wait.
pub(crate) const BRIEF_REFETCH: Duration = MINUTE;
/// How long after a batch's end its files may be on their way.
pub(crate) const FILES_ON_THEIR_WAY: Duration = HOUR;

/// How long it may take to compile a schema, or to check an answer with it: those in use take some milliseconds.
pub(crate) const SCHEMA_TAKES: Duration = Duration::from_secs(2);
/// How long it may take to find out where an answer does not fit: meanwhile it can fill memory with alternatives.
pub(crate) const SCHEMA_EXPLAINS: Duration = Duration::from_millis(200);

/// How long the gate may take, if the deadline is not near.
pub(crate) const GATE: Duration = Duration::from_secs(600);
/// How long it may take at least, however late it begins.
pub(crate) const GATE_AT_LEAST: Duration = MINUTE;

// CI systems.

/// The longest silence of the log: some CI systems end a job that prints nothing for five minutes.
pub(crate) const SILENCE: Duration = Duration::from_secs(240);
/// How often requests are seen to be done before that tells a rate: the first number is where it began.
pub(crate) const RATE_STEPS: u32 = 2;
/// So many of a hundred must have been done meanwhile: providers begin slowly, and count in bursts.
pub(crate) const RATE_PERCENT: u64 = 5;
/// How often the progress bar is drawn again: its clock shows seconds, and a terminal may get another width.
pub(crate) const REDRAW: Duration = Duration::from_millis(250);
/// So many kinds of trouble are told as soon as they occur; beyond them only every doubling of their number.
pub(crate) const MOST_TROUBLES: usize = 8;
/// The default of `timeout` on GitHub, whose jobs end after six hours.
pub(crate) const GITHUB_TIME_LIMIT: Duration = Duration::from_secs(5 * 3_600 + 30 * 60);
/// How long before the end of a job a run ends, where the system tells when that is: a cancel and a download follow.
pub(crate) const BEFORE_JOB_ENDS: Duration = Duration::from_secs(25 * 60);
/// How long one try at a call to the API of a CI system may take.
pub(crate) const HOST_TRY: Duration = Duration::from_secs(9);
/// How long to wait before the second try, and before looking for what a lost reply made.
pub(crate) const HOST_PAUSE: Duration = Duration::from_secs(2);
/// How many pages of a hundred are read of its lists.
pub(crate) const HOST_PAGES: u32 = 50;
/// How long a check may take to be opened: the run waits for it.
pub(crate) const CHECK_OPENING: Duration = Duration::from_secs(30);
/// How long batches that are created together may take to be named together.
pub(crate) const CHECK_UPDATES: Duration = Duration::from_secs(10);
/// How long an update of a check that is under way when a run ends may still take.
pub(crate) const LAST_CHECK_UPDATE: Duration = SECOND;
/// How many checks are read to collect what is pending, those of the newest batches first: a workflow's
/// token has a thousand calls an hour.
pub(crate) const MOST_CHECKS: usize = 300;
/// After how many troubles in a row no more of them are read: the host is not well, or refuses the token.
pub(crate) const CHECK_TROUBLES: usize = 3;
/// How long a comment and a check may take at the end.
pub(crate) const PUBLISHING: Duration = MINUTE;
/// How long one call of Buildkite's agent may take, which retries what fails at Buildkite for longer.
pub(crate) const AGENT_CALL: Duration = Duration::from_secs(8);
/// How long all calls of the agent may take at the end.
pub(crate) const AGENT: Duration = Duration::from_secs(20);

/// How long git may take to answer one question. Hashing 200 MB takes it about a second.
pub(crate) const GIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// How long GitHub lets a job run.
    const GITHUB_JOB: Duration = Duration::from_secs(6 * 3_600);
    /// The shortest silence after which a CI system is known to end a job.
    const CI_SILENCE: Duration = Duration::from_secs(300);

    #[test]
    fn a_look_back_covers_the_window_and_the_clocks() {
        assert!(RUNNING_LOOK_BACK >= LONGEST_WINDOW + BEYOND_WINDOW + CLOCK_SKEW);
        assert!(BEYOND_WINDOW >= CLOCK_SKEW && FINISHED_LOOK_BACK >= RUNNING_LOOK_BACK);
        assert!(LISTING_LOOK_BACK >= RUNNING_LOOK_BACK, "what can be cancelled can be listed");
        assert!(RACE > LIST_LAG + SECOND_LOOK + FRESH_LOOK);
        // All that an account may create in the hours that the clocks may differ by is within the pages.
        assert!(PAGE * PAGES as u64 >= MOST_SHARDS as u64 * CLOCK_SKEW.as_secs() / HOUR.as_secs());
    }

    #[test]
    fn the_looks_outlast_the_lists_lag() {
        assert!(LOST_REPLY_LOOKS.is_sorted() && DUPLICATE_LOOKS.is_sorted());
        assert_eq!((LOST_REPLY_LOOKS.last(), DUPLICATE_LOOKS.last()), (Some(&LIST_LAG), Some(&LIST_LAG)));
        assert!(LOST_AT_DEADLINE >= LIST_LAG && LIST_LAG < BEFORE_BATCH);
        assert!(FRESH_LOOK < LIST_LAG && CREATE_LOOK < LIST_LAG);
        assert!(RACE < LONGEST_WINDOW && GONE >= LIST_LAG);
    }

    #[test]
    fn a_cancel_fits_between_the_deadline_and_the_jobs_limit() {
        assert!(CANCELLING >= CANCEL_TAKES + POLL_INTERVAL);
        assert!(GITHUB_TIME_LIMIT + LOST_AT_DEADLINE + CANCELLING + PUBLISHING < GITHUB_JOB);
        assert!(CANCELLING + BEFORE_BATCH + GATE_AT_LEAST + PUBLISHING < BEFORE_JOB_ENDS);
        assert!(PROMPT_CANCEL < CANCELLING && CANCEL_POLL < CANCELLING);
        // The answers that a cancelled batch has are still fetched before the job's limit.
        assert!(GITHUB_TIME_LIMIT + CANCELLING + BEFORE_BATCH + GATE_AT_LEAST + PUBLISHING < GITHUB_JOB);
        assert!(GATE <= BEFORE_BATCH && GATE_AT_LEAST < GATE, "a gate ends no later than answers may come");
        assert!(TIMEOUT_BEYOND_WINDOW >= CANCELLING && TIMEOUT_BEYOND_WINDOW < BEYOND_WINDOW);
    }

    #[test]
    fn what_a_signal_leaves_time_for_fits_into_its_grace() {
        assert!(LAST_WORD + HURRIED < GRACE, "the create's reply, then a cancel");
        assert!(HURRIED + HURRIED_PAUSE < GRACE && 2 * HURRIED < GRACE, "a cancel that is sent again");
        assert!(LAST_REPLY < GRACE && SAME_SIGNAL < LAST_REPLY && LAUNCHER_LOOK < GRACE);
    }

    #[test]
    fn waits_leave_room_for_another_attempt() {
        assert!(FIRST_BACKOFF < LONGEST_BACKOFF && LONGEST_BACKOFF < RETRY_AFTER_CAP);
        assert!(CALL_TIMEOUT + RETRY_AFTER_CAP < BEFORE_BATCH && CONNECT_TIMEOUT < CALL_TIMEOUT);
        assert!(REFUSAL_LASTS < BEFORE_BATCH && FILE_LOOK * FILE_LOOKS < BEFORE_BATCH);
        assert!(FIRST_POLL < POLL_INTERVAL && RETRIES < MOST_ATTEMPTS);
        assert!(FASTEST_POLL < FIRST_POLL && SHORTEST_FILE_LIFE < FILE_LIFE && FILE_LIFE < LONGEST_SPAN);
        let double = |wait: &Duration| Some(LONGEST_ROOM_WAIT.min(*wait * 2));
        let waits = std::iter::successors(Some(FIRST_ROOM_WAIT), double).take(MOST_ROOM_WAITS as usize);
        assert!(waits.sum::<Duration>() > 2 * HOUR, "docs/runs.md says so");
        assert!(ROOM_FREED < FIRST_ROOM_WAIT);
    }

    #[test]
    fn answers_are_judged_before_their_allowance_is_used_up() {
        assert!(FILE_NAMED < SETTLED && SETTLED + CALL_TIMEOUT < BEFORE_BATCH);
        assert!(FIRST_REFETCH < LONGEST_REFETCH && LONGEST_REFETCH < SETTLED);
        assert!(BRIEF_REFETCH < BEFORE_BATCH && FILES_ON_THEIR_WAY > BEFORE_BATCH);
    }

    #[test]
    fn nobody_takes_a_run_for_dead_or_waits_long_for_a_check() {
        assert!(SILENCE + FIRST_POLL < CI_SILENCE);
        let twice = 2 * HOST_TRY + HOST_PAUSE;
        assert!(twice < CHECK_OPENING && CHECK_OPENING <= PUBLISHING && CHECK_UPDATES < CHECK_OPENING);
        assert!(2 * AGENT_CALL < AGENT && AGENT <= PUBLISHING);
    }
}
