//! Resuming: what the journal says an earlier run left, compared with what the provider shows.

use std::time::Duration;

use tokio::time::Instant;

use super::evidence::{self, Claim, Evidence};
use super::files::{Look, look_at};
use super::submit::{Submission, Submitter};
use crate::attachment::{By, Owner};
use crate::dialects::Batch;
use crate::events::Event;
use crate::guard::Stop;
use crate::journal::{Intent, Left, Named};
use crate::policy::GONE;
use crate::retry::Failure;
use crate::retry_loop::RetryBudget;

impl Submitter<'_> {
    /// Takes up what the journal names, if the provider shows nothing against it. Tells whether that is a batch.
    pub(super) async fn resume(&self, work: &Submission<'_>) -> Result<bool, Stop> {
        let Left { file_id, create, batch, duplicate } = &work.left;
        if let Some(duplicate) = duplicate {
            self.give_up_named(work, duplicate).await?;
        }
        if let Some(named) = batch {
            return match self.revisit(&named.id).await? {
                Some(batch) => self.take_up_named(work, named, batch).await,
                None => {
                    self.pass_over(&named.id, "the journal names it, but the provider no longer has it");
                    Ok(false)
                }
            };
        }
        let Some(file_id) = file_id else { return Ok(false) };
        let is_ours = self.takes_file(work, file_id).await?;
        if let Some(intent) = create
            && let Some(batch) = self.settle_earlier(intent).await?
        {
            let named = Named { id: batch.id.clone(), owner: Owner::ThisRun, create: Some(intent.mark.clone()) };
            return self.take_up_named(work, &named, batch).await;
        }
        if !is_ours {
            self.progress.borrow_mut().file_id = None;
        }
        Ok(false)
    }

    /// Takes up a batch that the journal names, unless the provider shows that it is another.
    async fn take_up_named(&self, work: &Submission<'_>, named: &Named, batch: Batch) -> Result<bool, Stop> {
        let owner = match self.weigh(work, named, &batch).await? {
            Evidence::Against(why) => {
                self.rule_out(&named.id, &why);
                return Ok(false);
            }
            Evidence::For(Owner::ThisRun) => named.owner,
            Evidence::For(Owner::AnotherRun) => Owner::AnotherRun,
            Evidence::None => {
                if named.owner == Owner::ThisRun {
                    self.warn(format!(
                        "The journal says that batch {} is this run's own, and nothing at the provider does: it is \
                         waited for, and not cancelled.",
                        named.id
                    ));
                }
                Owner::AnotherRun
            }
        };
        self.take_up(work, batch, By::Journal, owner)?;
        Ok(true)
    }

    /// Cancels a batch that the journal says was about to be cancelled, if the provider shows that it is of this work.
    async fn give_up_named(&self, work: &Submission<'_>, named: &Named) -> Result<(), Stop> {
        let Some(batch) = self.revisit(&named.id).await? else { return Ok(()) };
        match self.weigh(work, named, &batch).await? {
            Evidence::Against(why) => self.rule_out(&named.id, &why),
            _ if batch.status.is_terminal() => self.progress.borrow_mut().passed_over.push(batch.id),
            Evidence::For(Owner::ThisRun) => {
                self.give_up(&named.id, "an older batch of the same requests stands for it").await?;
            }
            Evidence::For(Owner::AnotherRun) | Evidence::None => {
                self.progress.borrow_mut().passed_over.push(batch.id);
                self.warn_of_duplicate(&named.id, "nothing at the provider shows that this run made it");
            }
        }
        Ok(())
    }

    async fn weigh(&self, work: &Submission<'_>, named: &Named, batch: &Batch) -> Result<Evidence, Stop> {
        let claim = Claim {
            named,
            key: Some(&work.key),
            bytes: Some(work.shard.bytes),
            repo: work.repo.as_deref(),
            run: work.run.as_deref(),
            create: work.left.create.as_ref().map(|intent| intent.mark.as_str()),
        };
        evidence::weigh(self.api, self.guard, batch, &claim).await
    }

    /// Takes up a file that the journal names, unless the provider shows that it is another. Tells
    /// whether it is known to be of this work: only then is a batch made of it.
    async fn takes_file(&self, work: &Submission<'_>, file_id: &str) -> Result<bool, Stop> {
        let evidence = match look_at(self.api, self.guard, file_id).await? {
            Look::Here(file) => evidence::of_file(&file, &work.key, Some(work.shard.bytes)),
            Look::Gone | Look::Untold => Evidence::None,
        };
        if let Evidence::Against(why) = &evidence {
            self.warn(format!("The journal names file {file_id}, but {why} than these requests have: it is not used."));
            return Ok(false);
        }
        let is_ours = matches!(evidence, Evidence::For(_));
        let mut progress = self.progress.borrow_mut();
        (progress.file_id, progress.is_file_ours) = (Some(file_id.to_owned()), is_ours);
        Ok(is_ours)
    }

    /// A batch that the journal names and the provider shows to be another.
    fn rule_out(&self, batch_id: &str, why: &str) {
        let why = self.api.shown(why);
        self.warn(format!("The journal names batch {batch_id}, but {why}: it is left alone."));
    }

    /// A batch that the journal names; none if the provider does not know it.
    async fn revisit(&self, batch_id: &str) -> Result<Option<Batch>, Stop> {
        let mut gone: Option<Instant> = None;
        let doing = format!("looking at batch {batch_id}");
        self.guard
            .retry(&doing, RetryBudget::Running, async || match self.api.get_batch(batch_id).await {
                Ok((batch, _)) => Ok(Some(Batch { id: batch_id.to_owned(), ..batch })),
                Err(Failure::Misnamed(_)) => Ok(None),
                Err(failure) if failure.is_unknown_thing() || is_no_id(&failure) => {
                    let since = *gone.get_or_insert_with(Instant::now);
                    if since.elapsed() >= GONE { Ok(None) } else { Err(failure) }
                }
                Err(failure) => Err(failure),
            })
            .await
    }

    /// Looks for the batch of a create that an earlier process was about to send.
    async fn settle_earlier(&self, intent: &Intent) -> Result<Option<Batch>, Stop> {
        {
            let mut progress = self.progress.borrow_mut();
            (progress.create, progress.in_doubt) = (Some((intent.mark.clone(), intent.first)), true);
        }
        self.guard.events.emit(Event::ReplyLost { trouble: "the run that sent it is gone".to_owned() });
        // Both times are without their fractions: a second that may not have passed is not counted.
        let ago = u64::try_from(self.clock.unix() - intent.last - 1).unwrap_or(0);
        let lost = Failure::Interrupted("the run that sent the create is gone".to_owned());
        let found = self.settle(&lost, Duration::from_secs(ago)).await?;
        self.progress.borrow_mut().in_doubt = false;
        Ok(found)
    }
}

/// Whether the server refuses to look for such an id at all: then it is none of its own.
fn is_no_id(failure: &Failure) -> bool {
    matches!(failure.status(), Some(400 | 410 | 422))
}
