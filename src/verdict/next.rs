//! What to do next about batches that were left: sentences with the commands that do it.

use super::End;
use crate::attachment::Owner;
use crate::dialects::Batch;
use crate::invocation::Invocation;
use crate::values::Reuse;

/// What is said where a sandbox ended with the process, and no command can reach it any more.
const GONE: &str = "The sandbox ran inside this process and ended with it, and so did its batches.";

/// The ids of the batches that these ends are about and that `is_meant` is true of.
pub(super) fn ids<'a>(ends: &[End<'a>], is_meant: impl Fn(&End<'_>, &Batch) -> bool) -> Vec<&'a str> {
    ends.iter().filter_map(|end| end.batch.filter(|batch| is_meant(end, batch))).map(|batch| &*batch.id).collect()
}

/// All batches that there are.
pub(super) fn all<'a>(ends: &[End<'a>]) -> Vec<&'a str> {
    ids(ends, |_, _| true)
}

/// How to come back for batches of which some go on: by another run, by a collection of all, or
/// by a cancel of those that are this run's.
pub(super) fn come_back(all: &[&str], over: &[&str], ours: &[&str], how: &Invocation) -> Vec<String> {
    let Some(collect) = how.collect(all) else { return vec![GONE.to_owned()] };
    let mut ways = Vec::new();
    if matches!(how.rerun(), Some(Reuse::Active | Reuse::Finished)) {
        ways.push(how.attach());
    }
    ways.push(format!("collect with `{collect}`"));
    if let Some(cancel) = how.cancel(ours).filter(|_| !ours.is_empty()) {
        ways.push(format!("end what runs with `{cancel}`"));
    }
    let mut hints = vec![alternatives(&ways)];
    match how.rerun() {
        Some(Reuse::Never) => hints.push("A run with `reuse: never` pays for the same requests again.".to_owned()),
        Some(Reuse::Active) if !over.is_empty() => hints.push(paid_again(over)),
        _ => {}
    }
    hints
}

/// That another run pays again for batches that are over, unless it finds its journal.
fn paid_again(over: &[&str]) -> String {
    let (batches, verb) = named(over, "is", "are");
    format!("A run without this `output-dir` pays again for {batches}, which {verb} over.")
}

/// Names batches that may go on without us, with the commands that look at them and end them.
pub(super) fn running(ends: &[End<'_>], how: &Invocation) -> Vec<String> {
    let ours = ids(ends, |end, batch| !batch.status.is_terminal() && end.owner == Owner::ThisRun);
    let others = ids(ends, |end, batch| !batch.status.is_terminal() && end.owner == Owner::AnotherRun);
    let about = |ids: &[&str], is: &str, ways: &dyn Fn() -> Option<String>| {
        let (batches, _) = named(ids, "", "");
        (!ids.is_empty()).then(|| match ways() {
            Some(ways) => format!("{} {is}: {ways}.", capital(&batches)),
            None => GONE.to_owned(),
        })
    };
    let look = |ids: &[&str]| match ids {
        [id] => Some(format!("look with `{}`", how.get(id)?)),
        _ => Some(format!("wait with `{}`", how.collect(&all(ends))?)),
    };
    let of_ours = about(&ours, "may still run and cost money", &|| {
        Some(format!("{}, end {} with `{}`", look(&ours)?, it(&ours), how.cancel(&ours)?))
    });
    let whose = if others.len() == 1 {
        "belongs to another run and keeps running"
    } else {
        "belong to other runs and keep running"
    };
    let of_others = about(&others, whose, &|| Some(format!("collect with `{}`", how.collect(&all(ends))?)));
    [of_ours, of_others].into_iter().flatten().collect()
}

/// What to do about a create whose fate is not known, beside these other batches of the run.
pub(super) fn unknown(others: &[&str], how: &Invocation) -> Vec<String> {
    let Some(collect) = how.collect(&["BATCH_ID"]) else { return vec![GONE.to_owned()] };
    let again = match others {
        [] => String::new(),
        others => format!(", which pays again for {}", named(others, "", "").0),
    };
    vec![
        format!("If there is one, collect it with `{collect}`: a new run pays for the same requests again."),
        format!("If there is none, remove {} and run again{again}.", how.journal()),
    ]
}

/// `batch b1`, or `batches b1, b2`, and the verb that goes with it.
pub(super) fn named<'v>(ids: &[&str], one: &'v str, several: &'v str) -> (String, &'v str) {
    match ids {
        [id] => (format!("batch {id}"), one),
        ids => (format!("batches {}", ids.join(", ")), several),
    }
}

fn it(ids: &[&str]) -> &'static str {
    if ids.len() == 1 { "it" } else { "them" }
}

/// A sentence of alternatives: `Do this, do that, or do the other.`
fn alternatives(ways: &[String]) -> String {
    let sentence = match ways {
        [first @ .., last] if first.len() > 1 => format!("{}, or {last}.", first.join(", ")),
        ways => ways.join(", or ") + ".",
    };
    capital(&sentence)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}
