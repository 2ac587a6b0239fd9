//! The requests at hand, and whether batches were made of them.
//!
//! A batch's mark names the requests of its run by their digest, and which part
//! of them it is, so none of the run's inputs (limits, endpoint, window, form
//! fields) has to be known to compare. A provider that drops metadata leaves
//! only its own copy's size to go by.

use super::check::check_quietly;
use crate::batch::recognize::first_answer;
use crate::dialects::{Batch, FoundBy, Rules};
use crate::error::{Error, Exit};
use crate::events::Event;
use crate::guard::Stop;
use crate::identity::{self, Part, Seen};
use crate::plan::{self, Collecting};
use crate::policy::MOST_ATTEMPTS;
use crate::requests::source::{self, Source};
use crate::requests::{Checked, Fault};
use crate::retry::Advice;
use crate::retry_loop::RetryBudget;
use crate::session::Connected;
use crate::text::requests_count;

/// Requests that were read, and what is known of them.
pub(super) type Read = (Source, Checked);

/// What requests are to batches.
enum Match {
    /// The batches were made of all of them.
    Yes,
    /// They were not, or not of all, for this reason.
    No(String),
    /// Nothing says whether they were.
    Unknown,
}

/// Which requests files are looked at.
enum Wanted {
    /// Those that the user named for these very batches: if they are not it, that is a mistake.
    Given,
    /// The one that is usually there, or one that was named for many runs, as `batchstep.toml` does.
    Any,
}

/// The requests that these batches were made of, if they are at hand.
///
/// # Errors
/// Ends in exit 2 or 3 if requests were named that cannot be these.
pub(super) async fn find(
    connected: &Connected<'_>,
    plan: &Collecting,
    batches: &[Batch],
) -> Result<Option<Read>, Stop> {
    let is_given = is_named(connected, &plan.requests) && !plan.pending;
    let wanted = if is_given { Wanted::Given } else { Wanted::Any };
    let (source, checked) = match (read(connected, &plan.requests).await, &wanted) {
        (Ok(read), _) => read,
        (Err(error), Wanted::Given) => return Err(error.into()),
        (Err(_), Wanted::Any) => return Ok(None),
    };
    let name = source.name();
    match (compare(connected, plan, batches, (&source, &checked)).await?, wanted) {
        (Match::Yes, _) => Ok(Some((source, checked))),
        (Match::Unknown, Wanted::Given) => {
            let warning = format!(
                "Whether `{name}` is what was sent cannot be determined: the batches have no marks of batchstep, and \
                 the provider does not say how large their files are. It is used as if it were."
            );
            connected.session.events.emit(Event::Warned(warning));
            Ok(Some((source, checked)))
        }
        (Match::No(why), Wanted::Given) => Err(Error::usage(format!("`requests` {name} cannot be used: {why}."))
            .hint(
                "Name the file that was sent, or leave `requests` out: the provider's copy is used, if it returns one.",
            )
            .into()),
        (Match::No(_) | Match::Unknown, Wanted::Any) => Ok(None),
    }
}

/// Whether requests that were named for many runs can be read at all.
///
/// # Errors
/// Ends in exit 2 or 3 if they cannot.
pub(super) async fn check_named(connected: &Connected<'_>, requests: &[String]) -> Result<(), Error> {
    if is_named(connected, requests) { read(connected, requests).await.map(drop) } else { Ok(()) }
}

/// Whether somebody named requests for this command. What `batchstep.toml` names is for every command, so that it
/// says only where to look.
fn is_named(connected: &Connected<'_>, requests: &[String]) -> bool {
    !requests.is_empty() && connected.session.world.config.values("requests").is_none()
}

async fn read(connected: &Connected<'_>, requests: &[String]) -> Result<Read, Error> {
    let source = source::resolve(&plan::patterns(requests.to_vec())).await?;
    let checked = check_quietly(&source, Rules::of_sent(connected.api.vendor().dialect)).await?;
    match checked.faults.first().map(Fault::sentence) {
        None => Ok((source, checked)),
        Some(first) => {
            let message = format!("`requests` {} cannot be used: {first}.", source.name());
            Err(Error::new(Exit::Invalid, message).hint("Name the file that was sent, or leave `requests` out."))
        }
    }
}

async fn compare(
    connected: &Connected<'_>,
    plan: &Collecting,
    batches: &[Batch],
    (source, checked): (&Source, &Checked),
) -> Result<Match, Stop> {
    let firsts: Vec<&Batch> = firsts(batches).collect();
    let ours = identity::fingerprint(checked.digest);
    let is_other = |batch: &&&Batch| Seen::of(batch).requests.is_some_and(|theirs| theirs != ours);
    if let Some(other) = firsts.iter().find(is_other) {
        return Ok(Match::No(format!("batch {} was created from other requests", other.id)));
    }
    let is_marked = |batch: &&Batch| Seen::of(batch).requests.is_some();
    if !firsts.is_empty() && firsts.iter().all(is_marked) {
        return Ok(by_parts(&firsts));
    }
    match connected.api.vendor().capabilities.found_by {
        FoundBy::Metadata | FoundBy::MetadataIfKept => by_size(connected, &firsts, source, checked).await,
        FoundBy::AnswerIds => by_answers(connected, plan, &firsts, checked).await,
    }
}

/// Whether the only batch has answers to these very requests, by their ids.
async fn by_answers(
    connected: &Connected<'_>,
    plan: &Collecting,
    firsts: &[&Batch],
    checked: &Checked,
) -> Result<Match, Stop> {
    let ([batch], Some(endpoint)) = (firsts, connected.api.vendor().dialect.only_endpoint()) else {
        return Ok(Match::Unknown);
    };
    let window = plan::window(None, connected.api.vendor())?;
    let whose = first_answer(&connected.api, &connected.looking(), batch).await?;
    let Some(mark) = whose.mark() else { return Ok(Match::Unknown) };
    let is_attempt =
        |attempt: &u32| mark.is_of(&identity::key(checked.digest, endpoint, &window, *attempt, &plan.extras));
    let is_answered = (1..=MOST_ATTEMPTS).any(|attempt| is_attempt(&attempt));
    // They may be these nevertheless, sent with other headers.
    let may_be = batch.counts.total.is_none_or(|total| total == checked.total);
    Ok(match (is_answered, may_be) {
        (true, _) => Match::Yes,
        (false, true) => Match::Unknown,
        (false, false) => Match::No(format!("batch {} has answers to other requests", batch.id)),
    })
}

/// Whether batches of these very requests are all that a run made of them.
fn by_parts(firsts: &[&Batch]) -> Match {
    let parts: Vec<Part> = firsts.iter().filter_map(|batch| Seen::of(batch).part).collect();
    let is_twice = |(at, part): (usize, &Part)| parts[..at].contains(part);
    if parts.iter().enumerate().any(is_twice) {
        return Match::No("two of the batches hold the same requests".to_owned());
    }
    if Part::are_all(&parts) {
        return Match::Yes;
    }
    Match::No("the batches named hold only a part of its requests".to_owned())
}

/// Whether the provider's files are as large together as the requests, and hold as many.
async fn by_size(
    connected: &Connected<'_>,
    firsts: &[&Batch],
    source: &Source,
    checked: &Checked,
) -> Result<Match, Stop> {
    let totals = firsts.iter().map(|batch| batch.counts.total.filter(|total| *total > 0));
    if let Some(total) = totals.sum::<Option<u64>>().filter(|total| *total != checked.total) {
        return Ok(Match::No(format!("it has {}, and the batches have {total}", requests_count(checked.total))));
    }
    let mut bytes = Some(0);
    for batch in firsts {
        let size = match &batch.input_file_id {
            Some(id) => size(connected, id).await?,
            None => None,
        };
        bytes = bytes.zip(size).map(|(sum, size)| sum + size);
    }
    Ok(match bytes {
        Some(bytes) if bytes == source.bytes() => Match::Yes,
        Some(bytes) => Match::No(format!("it has {} bytes, and the batches were created from {bytes}", source.bytes())),
        None => Match::Unknown,
    })
}

/// How large a file is at the provider, if that can be had: to know it is worth no failure.
async fn size(connected: &Connected<'_>, id: &str) -> Result<Option<u64>, Stop> {
    let look = async || match connected.api.get_file(id).await {
        Ok((file, _)) => Ok(file.bytes),
        Err(failure) if matches!(failure.advice(), Advice::Again(_)) => Err(failure),
        Err(_) => Ok(None),
    };
    match connected.looking().retry(&format!("looking at file {id}"), RetryBudget::BeforeBatch, look).await {
        Err(Stop::Failed(_) | Stop::Deadline(_)) => Ok(None),
        looked => looked,
    }
}

/// The batches that hold the requests; the others are retries of some of them.
pub(super) fn firsts(batches: &[Batch]) -> impl Iterator<Item = &Batch> {
    batches.iter().filter(|batch| Seen::of(batch).part.is_none_or(|part| part.attempt == 1))
}

/// The batches in the order of their requests where their marks tell it, else as they were named.
pub(super) fn in_order(mut batches: Vec<&Batch>) -> Vec<&Batch> {
    if batches.iter().all(|batch| Seen::of(batch).part.is_some()) {
        batches.sort_by_key(|batch| Seen::of(batch).part.map(|part| (part.number, part.piece.path())));
    }
    batches
}

/// The batches without those that the provider refused as too large and whose halves are among the others.
pub(super) fn without_replaced(batches: Vec<Batch>) -> Vec<Batch> {
    let parts: Vec<Part> = batches.iter().filter_map(|batch| Seen::of(batch).part).collect();
    let is_there = |batch: &Batch| Seen::of(batch).part.is_none_or(|part| !part.is_replaced_by(&parts));
    batches.into_iter().filter(is_there).collect()
}
