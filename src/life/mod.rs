//! The life of a submission: its states, and the journal's records as its transitions.
//!
//! A run moves from state to state by [`State::apply`], with each record that it writes. A later run
//! applies the same records as it reads them ([`left`]), and goes on from the state that this gives. What
//! no record says (a create was sent, a batch was seen) is added by the other functions that take a state.
//!
//! ```text
//! New ──► Uploaded ──► Intended ◄──► InDoubt ──► Held ◄──► Yielding
//!  ▲          ▲            └───────────┴───────►  │
//!  └──────────┴───────── it is of no use ─────────┘
//!
//! InDoubt ──► Uploaded or New             an earlier run's create made no batch
//! New, Intended or Held ──► Halved        the upload, the create or the batch was refused as too large
//! ```
//!
//! ARCHITECTURE.md shows the same with the reason for each step.

mod fold;

pub(crate) use self::fold::{batch_ids, in_doubt, left, open_batches, open_works};
use crate::attachment::{Attachment, Owner};
use crate::dialects::Batch;
use crate::journal::Record;

/// The state of a submission.
#[derive(Clone, Debug, Default)]
pub(crate) enum State {
    /// Nothing of this work is known to be at the provider.
    #[default]
    New,
    /// The provider takes smaller batches: the halves of this work are sent instead.
    Halved,
    /// The requests are at the provider.
    Uploaded(Upload),
    /// A create is written down. It was not sent, or it was refused: no batch came from it.
    Intended(Creation),
    /// A create was sent and not clearly answered: a batch may have come from it.
    InDoubt(Creation),
    /// There is a batch.
    Held(Held),
    /// An older batch of the same work was found. Ours is being cancelled, and then the older one is held.
    Yielding {
        /// Ours.
        own: Held,
        /// The older one.
        older: Box<Held>,
    },
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    /// Its id.
    pub file_id: String,
    /// Whether it is known to hold the requests of this work.
    pub proof: Proof,
}

/// Whether a file is known to hold the requests of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// This process uploaded it, or the provider shows that it has their name and size.
    Proven,
    /// Only a journal or a batch says so.
    Claimed,
}

/// A create that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Creation {
    /// The file it names. None where it carries the requests, or where the provider shows that the journal's file is
    /// another.
    pub upload: Option<Upload>,
    /// The mark it carries.
    pub mark: String,
    /// When it was first to be sent, in Unix seconds.
    pub first: i64,
    /// When it was last to be sent: it is sent again where the server did not act on it.
    pub last: i64,
}

/// A batch that does the work.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Its id.
    pub id: String,
    /// The batch as this process last saw it. None where only the journal names it.
    pub seen: Option<Batch>,
    /// How the run came by it.
    pub origin: Origin,
}

/// How a run came by a batch.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Its create made the batch.
    Created {
        /// The mark of that create.
        create: String,
        /// The file that the batch was made of.
        upload: Option<Upload>,
    },
    /// The batch was there already.
    Attached {
        /// Whose it is.
        owner: Owner,
        /// The mark of the create that made it, where the journal knows it.
        made_by: Option<String>,
        /// The mark of the last create of this work, which may be another's.
        last_create: Option<String>,
        /// How it was found, by the process that found it.
        how: Option<Attachment>,
    },
    /// The user named it.
    Given,
}

impl Upload {
    /// A file of which only its name is known.
    pub(crate) fn claimed(file_id: &str) -> Self {
        Self { file_id: file_id.to_owned(), proof: Proof::Claimed }
    }
}

impl Held {
    /// A batch that the user named.
    pub(crate) fn given(batch: Batch) -> Self {
        Self { id: batch.id.clone(), seen: Some(batch), origin: Origin::Given }
    }

    /// A batch of which only a journal speaks: this run's own, made by this create if one is named.
    pub(crate) fn named(id: &str, create: Option<&str>) -> Self {
        let made_by = create.map(str::to_owned);
        let origin = Origin::Attached { owner: Owner::ThisRun, last_create: made_by.clone(), made_by, how: None };
        Self { id: id.to_owned(), seen: None, origin }
    }

    /// Whose it is. What the user names is the command's to end.
    pub(crate) fn owner(&self) -> Owner {
        match &self.origin {
            Origin::Created { .. } | Origin::Given => Owner::ThisRun,
            Origin::Attached { owner, .. } => *owner,
        }
    }

    /// The mark of the create that made it, where that is known.
    pub(crate) fn made_by(&self) -> Option<&str> {
        match &self.origin {
            Origin::Created { create, .. } => Some(create),
            Origin::Attached { made_by, .. } => made_by.as_deref(),
            Origin::Given => None,
        }
    }

    fn last_create(&self) -> Option<&str> {
        match &self.origin {
            Origin::Attached { last_create, .. } => last_create.as_deref(),
            Origin::Created { .. } | Origin::Given => self.made_by(),
        }
    }

    fn upload(&self) -> Option<Upload> {
        let known = match &self.origin {
            Origin::Created { upload, .. } => upload.clone(),
            Origin::Attached { .. } | Origin::Given => None,
        };
        let of_batch = || self.seen.as_ref()?.input_file_id.as_deref().map(Upload::claimed);
        known.or_else(of_batch)
    }
}

impl State {
    /// The state after a record of this work, written at this time (Unix seconds).
    #[must_use]
    pub(crate) fn apply(self, at: i64, record: &Record) -> Self {
        match record {
            Record::Uploaded { file_id, .. } => Self::Uploaded(Upload::claimed(file_id)),
            Record::Create { create, file_id, .. } => self.intend(at, create, file_id.as_deref()),
            Record::Created { batch_id, create, .. } => {
                let origin = Origin::Created { create: create.clone(), upload: self.upload() };
                Self::Held(Held { id: batch_id.clone(), seen: None, origin })
            }
            Record::Attached { batch_id, owner, instead_of, .. } => {
                self.attach(batch_id, *owner, instead_of.as_deref())
            }
            Record::Halved { .. } => Self::Halved,
            Record::Dropped { .. } | Record::Closed { .. } => Self::New,
            Record::Run { .. } | Record::Upload { .. } => self,
            // What becomes of a batch is the provider's to say.
            Record::Cancel { .. } | Record::Ended { .. } | Record::Collect { .. } => self,
        }
    }

    fn intend(self, at: i64, mark: &str, file_id: Option<&str>) -> Self {
        match self {
            Self::Intended(create) if create.mark == mark => Self::Intended(Creation { last: at, ..create }),
            Self::InDoubt(create) if create.mark == mark => Self::InDoubt(Creation { last: at, ..create }),
            before => {
                let known = before.upload().filter(|upload| Some(&*upload.file_id) == file_id);
                let upload = known.or_else(|| file_id.map(Upload::claimed));
                Self::Intended(Creation { upload, mark: mark.to_owned(), first: at, last: at })
            }
        }
    }

    fn attach(self, batch_id: &str, owner: Owner, instead_of: Option<&str>) -> Self {
        let known = |id: &str| self.chosen().filter(|held| held.id == id).cloned();
        let before = known(batch_id);
        // `collect`, to which every batch is another's, does not disown one that was created here.
        let is_own = owner == Owner::ThisRun || before.as_ref().is_some_and(|held| held.owner() == Owner::ThisRun);
        let origin = Origin::Attached {
            owner: if is_own { Owner::ThisRun } else { Owner::AnotherRun },
            made_by: before.as_ref().and_then(Held::made_by).map(str::to_owned),
            last_create: self.last_create().map(str::to_owned),
            how: None,
        };
        let held = Held { id: batch_id.to_owned(), seen: before.and_then(|held| held.seen), origin };
        match instead_of {
            Some(own) => {
                Self::Yielding { own: known(own).unwrap_or_else(|| Held::named(own, None)), older: Box::new(held) }
            }
            None => Self::Held(held),
        }
    }

    /// The create is being sent.
    #[must_use]
    pub(crate) fn sent(self) -> Self {
        match self {
            Self::Intended(create) => Self::InDoubt(create),
            state => state,
        }
    }

    /// The create was clearly refused, or never reached the server.
    #[must_use]
    pub(crate) fn refused(self) -> Self {
        match self {
            Self::InDoubt(create) => Self::Intended(create),
            state => state,
        }
    }

    /// There is no batch, or it is of no use. Another one can be made of the same upload, if there is one.
    #[must_use]
    pub(crate) fn without_batch(self) -> Self {
        self.upload().map_or(Self::New, Self::Uploaded)
    }

    /// The batch that was attached to is here; ours, if it was given up for it, no longer matters.
    #[must_use]
    pub(crate) fn attached(self, batch: Batch, how: Attachment) -> Self {
        let owner = how.owner;
        let made_by = self.chosen().filter(|held| held.id == batch.id).and_then(Held::made_by).map(str::to_owned);
        let last_create = self.last_create().map(str::to_owned);
        let origin = Origin::Attached { owner, made_by, last_create, how: Some(how) };
        Self::Held(Held { id: batch.id.clone(), seen: Some(batch), origin })
    }

    /// The provider showed the batch.
    pub(crate) fn see(&mut self, batch: Batch) {
        if let Self::Held(held) | Self::Yielding { own: held, .. } = self
            && held.id == batch.id
        {
            held.seen = Some(batch);
        }
    }

    /// The batch that this process answers for: ours, until it has yielded.
    pub(crate) fn held(&self) -> Option<&Held> {
        match self {
            Self::Held(held) | Self::Yielding { own: held, .. } => Some(held),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn held_mut(&mut self) -> Option<&mut Held> {
        match self {
            Self::Held(held) | Self::Yielding { own: held, .. } => Some(held),
            _ => None,
        }
    }

    /// The batch that the work will end with: the older one, where ours yields.
    pub(crate) fn chosen(&self) -> Option<&Held> {
        match self {
            Self::Held(held) => Some(held),
            Self::Yielding { older, .. } => Some(older),
            _ => None,
        }
    }

    /// The create that was sent or is about to be, as long as there is no batch.
    pub(crate) fn creation(&self) -> Option<&Creation> {
        match self {
            Self::Intended(create) | Self::InDoubt(create) => Some(create),
            _ => None,
        }
    }

    /// The mark of this work's last create.
    pub(crate) fn last_create(&self) -> Option<&str> {
        let of_batch = || self.held().and_then(Held::last_create);
        self.creation().map(|create| create.mark.as_str()).or_else(of_batch)
    }

    /// The uploaded file, or the one that the batch was made of.
    pub(crate) fn upload(&self) -> Option<Upload> {
        match self {
            Self::New | Self::Halved => None,
            Self::Uploaded(upload) => Some(upload.clone()),
            Self::Intended(create) | Self::InDoubt(create) => create.upload.clone(),
            Self::Held(held) | Self::Yielding { own: held, .. } => held.upload(),
        }
    }

    /// What a later process has to assume: an intended create may have been sent.
    fn left_behind(self) -> Self {
        self.sent()
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, Proof, Record, State, Upload};

    fn create() -> Record {
        Record::Create { key: "k".into(), create: "c".into(), file_id: Some("f".into()) }
    }

    #[test]
    fn what_a_process_knows_beside_the_records_is_kept() {
        let proven = Upload { file_id: "f".into(), proof: Proof::Proven };
        let intended = State::Uploaded(proven.clone()).apply(7, &create());
        assert!(matches!(&intended, State::Intended(create) if create.upload.as_ref() == Some(&proven)));
        assert!(matches!(intended.clone().sent(), State::InDoubt(_)));
        assert!(matches!(intended.clone().sent().refused(), State::Intended(_)));
        // Sent again, it is in doubt as before.
        assert!(matches!(intended.clone().sent().apply(9, &create()), State::InDoubt(_)));
        let held =
            intended.sent().apply(9, &Record::Created { key: "k".into(), create: "c".into(), batch_id: "b".into() });
        assert!(matches!(&held, State::Held(held) if matches!(held.origin, Origin::Created { .. })));
        assert_eq!(held.upload(), Some(proven.clone()));
        assert!(matches!(held.without_batch(), State::Uploaded(upload) if upload == proven));
    }
}
