//! What is left for the action's `post`: what it would have to end, in the
//! runner's state, which `post` finds again as `STATE_*`.

use crate::env::Env;
use crate::hosts::{HostMark, Unfinished};
use crate::values::OnKill;

/// What `post` would have to end if this process were killed now.
pub(super) struct Left {
    /// The marks of creates whose batch is not known.
    creates: Vec<String>,
    batches: Vec<String>,
    /// What `post` does about them: the state's `armed`.
    on_kill: OnKill,
}

impl Default for Left {
    fn default() -> Self {
        Self { creates: Vec::new(), batches: Vec::new(), on_kill: OnKill::Leave }
    }
}

impl Left {
    /// The names and values for the state. What needs no ending is not named.
    pub(super) fn pairs(&self) -> [(&'static str, String); 3] {
        let is_armed = self.on_kill == OnKill::Cancel;
        let join = |ids: &[String]| if is_armed { ids.join("\n") } else { String::new() };
        [("create", join(&self.creates)), ("batch", join(&self.batches)), ("armed", is_armed.to_string())]
    }

    /// A create is about to be sent.
    pub(super) fn creating(&mut self, create: &str, on_kill: OnKill) {
        super::remember(&mut self.creates, create);
        self.on_kill = on_kill;
    }

    /// A create made a batch.
    pub(super) fn created(&mut self, create: &str, batch_id: &str) {
        self.creates.retain(|known| known != create);
        super::remember(&mut self.batches, batch_id);
    }

    /// A batch of this run's own was there already.
    pub(super) fn found(&mut self, batch_id: &str) {
        super::remember(&mut self.batches, batch_id);
    }

    /// A batch was cancelled in favour of another.
    pub(super) fn gave_up(&mut self, batch_id: &str) {
        self.batches.retain(|known| known != batch_id);
    }

    /// From here on `post` acts if the new batch is to be ended, or if it had to before and something is left.
    pub(super) fn arm(&mut self, on_kill: OnKill) {
        if on_kill == OnKill::Cancel || self.is_empty() {
            self.on_kill = on_kill;
        }
    }

    /// The run is over, and only these are still to be ended.
    pub(super) fn settle(&mut self, batches: &[String], creates: &[String]) {
        (self.batches, self.creates) = (batches.to_vec(), creates.to_vec());
        if self.is_empty() {
            self.on_kill = OnKill::Leave;
        }
    }

    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.creates.is_empty()
    }
}

/// What the state of an earlier process of this step says.
pub(super) fn unfinished(env: &Env) -> Unfinished {
    let mut inputs = env.with_prefix("STATE_");
    let mut take = |name: &str| inputs.remove(name).unwrap_or_default();
    let lines = |text: String| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let is_armed = take("armed") == "true";
    let [creates, batches] = [take("create"), take("batch")].map(|ids| if is_armed { lines(ids) } else { Vec::new() });
    let check = take("check").parse().ok().map(|id: u64| HostMark::from(id.to_string()));
    Unfinished { creates, batches, check, inputs }
}

#[cfg(test)]
mod tests {
    use super::{HostMark, Left, OnKill, unfinished};
    use crate::env::Env;

    #[test]
    fn post_reads_what_the_run_left_and_nothing_that_is_not_armed() {
        let mut left = Left::default();
        left.creating("c1", OnKill::Cancel);
        left.creating("c2", OnKill::Cancel);
        left.created("c1", "b1");
        let read = |left: &Left| {
            let state = left.pairs().map(|(name, value)| (format!("STATE_{name}"), value));
            let more = [("STATE_check".to_owned(), "7".to_owned()), ("STATE_provider".to_owned(), "openai".to_owned())];
            let env: Env = state.into_iter().chain(more).collect();
            unfinished(&env)
        };
        let found = read(&left);
        assert_eq!(
            (found.creates, found.batches, found.check.as_ref().map(HostMark::as_str)),
            (vec!["c2".to_owned()], vec!["b1".to_owned()], Some("7"))
        );
        assert_eq!(found.inputs.into_iter().collect::<Vec<_>>(), [("provider".to_owned(), "openai".to_owned())]);
        left.settle(&[], &["c2".to_owned()]);
        assert_eq!((read(&left).creates.len(), read(&left).batches.len()), (1, 0));
        left.settle(&[], &[]);
        let found = read(&left);
        assert_eq!((found.creates.len(), found.batches.len(), found.check), (0, 0, Some("7".to_owned().into())));
    }
}
