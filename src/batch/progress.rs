//! How far a submission has come: its state, and what its process knows beside that.

use tokio::time::Instant;

use crate::attachment::{Attachment, Owner};
use crate::dialects::{Batch, Status};
use crate::journal::Record;
use crate::life::{Held, Origin, Proof, State, Upload};

/// How far a submission has come; what there is to cancel when it is broken off.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The name of the work.
    pub key: String,
    /// The repository, where the host knows one.
    pub repo: Option<String>,
    /// How many requests the work has, where that is known.
    pub requests: Option<u64>,
    /// The batches that the journal names, of this work and of others.
    pub known: Vec<String>,
    /// The state of the submission.
    state: State,
    /// When the list was last read for a batch of the same work, and when first, in Unix seconds.
    pub looked: Option<(Instant, i64)>,
    /// Batches of the same work that are of no use to this run.
    pub passed_over: Vec<String>,
    /// Whether the provider does not let us list batches.
    pub unlisted: bool,
}

impl Progress {
    /// At the beginning of the work of this name, in this repository.
    pub(crate) fn of(key: &str, repo: Option<&str>) -> Self {
        Self { key: key.to_owned(), repo: repo.map(str::to_owned), ..Self::default() }
    }

    /// The same, of so many requests, where the journal names these batches.
    pub(super) fn with(self, requests: u64, known: Vec<String>) -> Self {
        Self { requests: Some(requests), known, ..self }
    }

    /// Of a batch that the user named.
    pub(super) fn given(key: &str, batch: Batch) -> Self {
        Self { state: State::Held(Held::given(batch)), ..Self::of(key, None) }
    }

    /// The state.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Goes on from this state.
    pub(super) fn adopt(&mut self, state: State) {
        self.state = state;
    }

    fn shift(&mut self, next: impl FnOnce(State) -> State) {
        self.state = next(std::mem::take(&mut self.state));
    }

    /// A record was written, or is about to be.
    pub(super) fn apply(&mut self, at: i64, record: &Record) {
        self.shift(|state| state.apply(at, record));
    }

    /// This process uploaded the file.
    pub(super) fn uploaded(&mut self, file_id: String) {
        self.state = State::Uploaded(Upload { file_id, proof: Proof::Proven });
    }

    /// The create is being sent.
    pub(super) fn sent(&mut self) {
        self.shift(State::sent);
    }

    /// The create was clearly refused.
    pub(super) fn refused(&mut self) {
        self.shift(State::refused);
    }

    /// The provider showed the batch.
    pub(super) fn see(&mut self, batch: Batch) {
        self.state.see(batch);
    }

    /// The batch that was attached to is here.
    pub(super) fn attached_to(&mut self, batch: Batch, how: Attachment) {
        self.shift(|state| state.attached(batch, how));
    }

    /// The batch is of no use: another is to be made of the same upload.
    pub(super) fn pass_over_own(&mut self, batch_id: String) {
        self.shift(State::without_batch);
        self.passed_over.push(batch_id);
    }

    /// The batch, as last seen.
    pub(crate) fn batch(&self) -> Option<&Batch> {
        self.state.held()?.seen.as_ref()
    }

    /// The same, to be changed for the report.
    pub(crate) fn batch_mut(&mut self) -> Option<&mut Batch> {
        self.state.held_mut()?.seen.as_mut()
    }

    /// The uploaded file, or the one that the batch was made of.
    pub(crate) fn file_id(&self) -> Option<String> {
        self.state.upload().map(|upload| upload.file_id)
    }

    /// Whether the uploaded file is known to hold the requests of this work.
    pub(super) fn is_file_proven(&self) -> bool {
        self.state.upload().is_some_and(|upload| upload.proof == Proof::Proven)
    }

    /// The mark of the create that was sent, or is about to be, as long as there is no batch.
    pub(crate) fn create(&self) -> Option<&str> {
        self.state.creation().map(|create| create.mark.as_str())
    }

    /// The mark of a create that may have been acted on although no reply is here.
    pub(crate) fn in_doubt(&self) -> Option<&str> {
        match &self.state {
            State::InDoubt(create) => Some(&create.mark),
            _ => None,
        }
    }

    /// How the run came by the batch, if it did not create it.
    pub(crate) fn attached(&self) -> Option<&Attachment> {
        match &self.state.held()?.origin {
            Origin::Attached { how, .. } => how.as_ref(),
            Origin::Created { .. } | Origin::Given => None,
        }
    }

    /// Whose the batch is.
    pub(crate) fn owner(&self) -> Owner {
        self.state.held().map(Held::owner).unwrap_or_default()
    }

    /// The batch that is still running, if there is one.
    pub(super) fn running(&self) -> Option<&Batch> {
        self.batch().filter(|batch| !batch.status.is_terminal())
    }

    /// The batch that is still running and this run's to end: not where its cancel was accepted.
    pub(super) fn to_end(&self) -> Option<&Batch> {
        self.running().filter(|batch| self.owner() == Owner::ThisRun && batch.status != Status::Cancelling)
    }

    /// Whether something runs, or may, that nobody has asked the provider to end.
    pub(super) fn goes_on(&self) -> bool {
        self.in_doubt().is_some() || self.running().is_some_and(|batch| batch.status != Status::Cancelling)
    }

    /// The other run's batch, if the run that this one was waiting for has cancelled it.
    pub(super) fn given_up(&self) -> Option<&Batch> {
        let is_cancelled = |batch: &&Batch| matches!(batch.status, Status::Cancelling | Status::Cancelled);
        self.batch().filter(is_cancelled).filter(|_| self.owner() == Owner::AnotherRun)
    }

    /// Whether the batch completed.
    pub(super) fn is_completed(&self) -> bool {
        self.batch().is_some_and(|batch| batch.status == Status::Completed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Attachment, Batch, Held, Owner, Progress, Record, State, Status};
    use crate::attachment::By;

    fn batch(id: &str, status: Status) -> Batch {
        Batch { id: id.into(), status, input_file_id: Some(format!("file-of-{id}")), ..Batch::default() }
    }

    fn created(id: &str) -> Progress {
        let mut progress = Progress::of("k", None);
        progress.uploaded("file".into());
        progress.apply(7, &Record::Create { key: "k".into(), create: "c".into(), file_id: Some("file".into()) });
        progress.sent();
        progress.apply(9, &Record::Created { key: "k".into(), create: "c".into(), batch_id: id.into() });
        progress.see(batch(id, Status::InProgress));
        progress
    }

    fn how(owner: Owner) -> Attachment {
        Attachment { by: By::Duplicate, owner, run: None, age: None }
    }

    #[test]
    fn a_batch_of_our_own_is_ours_to_end_until_its_cancel_is_accepted() {
        let mut progress = created("b");
        assert_eq!((progress.create(), progress.in_doubt()), (None, None));
        assert!(progress.to_end().is_some() && progress.goes_on());
        progress.see(batch("other", Status::Completed));
        assert!(!progress.is_completed(), "it is about another batch");
        progress.see(batch("b", Status::Cancelling));
        assert!(progress.to_end().is_none() && !progress.goes_on() && progress.running().is_some());
        progress.see(batch("b", Status::Completed));
        assert!(progress.is_completed() && progress.running().is_none());
    }

    #[test]
    fn until_a_duplicate_is_cancelled_it_is_ours_to_end() {
        let mut progress = created("b");
        let (owner, instead_of) = (Owner::AnotherRun, Some("b".to_owned()));
        progress.apply(11, &Record::Attached { key: "k".into(), batch_id: "older".into(), owner, instead_of });
        assert_eq!(progress.to_end().map(|batch| batch.id.as_str()), Some("b"));
        progress.attached_to(batch("older", Status::InProgress), how(owner));
        assert_eq!(progress.batch().map(|batch| batch.id.as_str()), Some("older"));
        assert!(progress.to_end().is_none() && progress.goes_on(), "it is another run's");
        assert_eq!(progress.file_id().as_deref(), Some("file-of-older"));
        assert!(!progress.is_file_proven());
        progress.see(batch("older", Status::Cancelled));
        assert!(progress.given_up().is_some());
    }

    #[test]
    fn a_batch_that_found_no_room_leaves_its_upload() {
        let mut progress = created("b");
        progress.pass_over_own("b".into());
        assert!(matches!(progress.state(), State::Uploaded(_)) && progress.is_file_proven());
        assert_eq!(progress.passed_over, ["b"]);
        let mut given = Progress::given("k", batch("g", Status::InProgress));
        assert!(given.to_end().is_some() && given.attached().is_none());
        given.adopt(State::Held(Held::named("unseen", None)));
        assert!(given.batch().is_none() && !given.goes_on(), "it was not looked at yet");
    }
}
