//! Which batches `collect` takes: those that the user names, else those of the
//! journal that the provider does not show to be others.

use crate::batch::evidence::{self, Claim, Evidence};
use crate::dialects::Batch;
use crate::error::Error;
use crate::events::Event;
use crate::guard::Stop;
use crate::life::Held;
use crate::session::Connected;
use crate::values;

/// The ids of the batches to collect; `open` are those that the journal names, each with its key.
pub(super) fn ids(words: &[String], open: &[(String, Held)]) -> Result<Vec<String>, Error> {
    let typed = typed(words)?;
    if !typed.is_empty() {
        return Ok(typed);
    }
    let ids: Vec<String> = open.iter().map(|(_, named)| named.id.clone()).collect();
    if ids.is_empty() { Err(nothing("the journal in `output-dir` names none")) } else { Ok(ids) }
}

/// Of batches that only the journal names, those which the provider does not show to be others, and
/// the ids of those among them which nothing at the provider shows to be what the journal says.
pub(super) async fn weigh(
    connected: &Connected<'_>,
    open: &[(String, Held)],
    batches: Vec<Batch>,
) -> Result<(Vec<Batch>, Vec<String>), Stop> {
    let (guard, identity) = (connected.looking(), connected.session.host.identity());
    let (mut kept, mut unproven) = (Vec::new(), Vec::new());
    for batch in batches {
        let Some((key, named)) = open.iter().find(|(_, named)| named.id == batch.id) else { continue };
        let key = Some(key.as_str()).filter(|key| !key.is_empty());
        let (repo, run) = (identity.repo.as_deref(), identity.run.as_deref());
        let claim = Claim { named, key, bytes: None, repo, run, create: None };
        match evidence::weigh(&connected.api, &guard, &batch, &claim).await? {
            Evidence::Against(why) => {
                let why = connected.api.shown(&why);
                let warning = format!("The journal names batch {}, but {why}: it is left alone.", batch.id);
                connected.session.events.emit(Event::Warned(warning));
                continue;
            }
            Evidence::None => unproven.push(batch.id.clone()),
            Evidence::For(_) => {}
        }
        kept.push(batch);
    }
    if kept.is_empty() {
        return Err(nothing("those that the journal in `output-dir` names are others").into());
    }
    Ok((kept, unproven))
}

/// That there is nothing to collect.
fn nothing(why: &str) -> Error {
    Error::usage(format!("There is nothing to collect: no batch is named, and {why}."))
        .hint("Name the batches that `submit` printed, or use `--pending` with `--check-run` on GitHub.")
}

/// The batches as the user named them: by their ids, or in a list as the output `batch-ids` has it.
fn typed(words: &[String]) -> Result<Vec<String>, Error> {
    let listed = |word: &String| {
        serde_json::from_str(word)
            .map_err(|error| Error::usage(format!("`batch-id` {word} is not a list of ids.")).because(error))
    };
    let ids = words.iter().map(|word| if word.starts_with('[') { listed(word) } else { Ok(vec![word.clone()]) });
    let ids = ids.collect::<Result<Vec<Vec<String>>, Error>>()?.concat();
    let checked = ids.iter().try_for_each(|id| values::id(id).map(drop));
    checked.map_err(|why| Error::usage(format!("`batch-id` is wrong: {why}.")))?;
    Ok(ids)
}
