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
use crate::life::{Creation, Held, Proof, State, Upload};
use crate::policy::GONE;
use crate::retry::Failure;
use crate::retry_loop::RetryBudget;

impl Submitter<'_> {
    /// Goes on from the state that the journal gives, as far as the provider shows nothing against it.
    pub(super) async fn resume(&self, work: &Submission<'_>) -> Result<(), Stop> {
        match work.left.clone() {
            State::New | State::Halved => Ok(()),
            State::Uploaded(upload) => {
                let upload = self.verified(work, upload).await?;
                self.adopt_file(upload);
                Ok(())
            }
            State::Intended(creation) | State::InDoubt(creation) => self.settle_earlier(work, creation).await,
            State::Held(held) => self.resume_batch(work, &held).await,
            State::Yielding { own, older } => {
                self.give_up_named(work, &own).await?;
                self.resume_batch(work, &older).await
            }
        }
    }

    async fn resume_batch(&self, work: &Submission<'_>, named: &Held) -> Result<(), Stop> {
        self.progress.borrow_mut().adopt(State::Held(named.clone()));
        match self.revisit(&named.id).await? {
            Some(batch) => self.attach_to_named(work, named, batch).await?,
            None => self.pass_over(&named.id, "the journal names it, but the provider no longer has it"),
        }
        if self.progress.borrow().batch().is_none() {
            self.progress.borrow_mut().adopt(State::New);
        }
        Ok(())
    }

    /// Attaches to a batch that the journal names, unless the provider shows that it is another.
    async fn attach_to_named(&self, work: &Submission<'_>, named: &Held, batch: Batch) -> Result<(), Stop> {
        let owner = match self.weigh(work, named, &batch).await? {
            Evidence::Against(why) => {
                self.rule_out(&named.id, &why);
                return Ok(());
            }
            Evidence::For(Owner::ThisRun) => named.owner(),
            Evidence::For(Owner::AnotherRun) => Owner::AnotherRun,
            Evidence::None => {
                if named.owner() == Owner::ThisRun {
                    self.warn(format!(
                        "The journal says that batch {} is this run's own, and nothing at the provider does: it is \
                         waited for, and not cancelled.",
                        named.id
                    ));
                }
                Owner::AnotherRun
            }
        };
        self.attach_to(work, batch, By::Journal, owner)
    }

    /// Cancels a batch that the journal says was about to be cancelled, if the provider shows that it is of this work.
    async fn give_up_named(&self, work: &Submission<'_>, named: &Held) -> Result<(), Stop> {
        let Some(batch) = self.revisit(&named.id).await? else { return Ok(()) };
        match self.weigh(work, named, &batch).await? {
            Evidence::Against(why) => self.rule_out(&named.id, &why),
            _ if batch.status.is_terminal() => self.progress.borrow_mut().passed_over.push(batch.id),
            Evidence::For(Owner::ThisRun) => {
                self.give_up(&named.id, "an older batch of the same requests is used instead").await?;
            }
            Evidence::For(Owner::AnotherRun) | Evidence::None => {
                self.progress.borrow_mut().passed_over.push(batch.id);
                self.warn_of_duplicate(&named.id, "nothing at the provider shows that this run made it");
            }
        }
        Ok(())
    }

    async fn weigh(&self, work: &Submission<'_>, named: &Held, batch: &Batch) -> Result<Evidence, Stop> {
        let claim = Claim {
            named,
            key: Some(&work.key),
            bytes: Some(work.shard.bytes),
            repo: work.repo.as_deref(),
            run: work.run.as_deref(),
            create: work.left.last_create(),
        };
        evidence::weigh(self.api, self.guard, batch, &claim).await
    }

    /// A file that the journal names, with what the provider shows of it. None if it is another's.
    async fn verified(&self, work: &Submission<'_>, upload: Upload) -> Result<Option<Upload>, Stop> {
        let evidence = match look_at(self.api, self.guard, &upload.file_id).await? {
            Look::Here(file) => evidence::of_file(&file, &work.key, Some(work.shard.bytes)),
            Look::Gone | Look::Unknown => Evidence::None,
        };
        Ok(match evidence {
            Evidence::Against(why) => {
                self.warn(format!(
                    "The journal names file {}, but {why} than these requests have: it is not used.",
                    upload.file_id
                ));
                None
            }
            Evidence::For(_) => Some(Upload { proof: Proof::Proven, ..upload }),
            Evidence::None => Some(upload),
        })
    }

    /// A batch is made of a file only if the file is known to be of this work.
    fn adopt_file(&self, upload: Option<Upload>) {
        let proven = upload.filter(|upload| upload.proof == Proof::Proven);
        self.progress.borrow_mut().adopt(proven.map_or(State::New, State::Uploaded));
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
    async fn settle_earlier(&self, work: &Submission<'_>, creation: Creation) -> Result<(), Stop> {
        let upload = match creation.upload.clone() {
            Some(upload) => self.verified(work, upload).await?,
            None => None,
        };
        let (mark, last) = (creation.mark.clone(), creation.last);
        self.progress.borrow_mut().adopt(State::InDoubt(Creation { upload: upload.clone(), ..creation }));
        self.guard.events.emit(Event::ReplyLost { trouble: "the run that sent it is gone".to_owned() });
        // Both times are without their fractions: a second that may not have passed is not counted.
        let ago = u64::try_from(self.clock.unix() - last - 1).unwrap_or(0);
        let lost = Failure::Interrupted("the run that sent the create is gone".to_owned());
        let found = self.settle(&lost, Duration::from_secs(ago)).await?;
        let Some(batch) = found else {
            self.adopt_file(upload);
            return Ok(());
        };
        let named = Held::named(&batch.id, Some(&mark));
        self.progress.borrow_mut().adopt(State::Held(named.clone()));
        self.attach_to_named(work, &named, batch).await?;
        if self.progress.borrow().batch().is_none() {
            self.adopt_file(upload);
        }
        Ok(())
    }
}

/// Whether the server refuses to look for such an id at all: then it is none of its own.
fn is_no_id(failure: &Failure) -> bool {
    matches!(failure.status(), Some(400 | 410 | 422))
}
