//! The ids of a step, exported as soon as they exist.
//!
//! The outputs for one thing (`batch-id`, `input-file-id`) are those of the first
//! attempt: what a retry uploads and creates adds to `batch-ids` alone. They are
//! empty where the requests go into several batches.

use crate::events::Event;

/// The ids so far.
#[derive(Default)]
pub(super) struct Ids {
    attempt: Attempt,
    parts: Parts,
    /// What the first attempt uploaded.
    uploads: Vec<String>,
    /// The first attempt's batches.
    firsts: Vec<Made>,
    /// The batches of the attempts after it.
    retries: Vec<Made>,
}

/// Which attempt at the requests the events are about.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Attempt {
    #[default]
    First,
    Later,
}

/// How many batches the requests need.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Parts {
    #[default]
    One,
    Several,
}

/// A batch and its input file, where that is known.
struct Made {
    batch_id: String,
    file_id: String,
}

impl Ids {
    /// Takes the ids out of an event.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Planned { .. } => self.parts = Parts::Several,
            Event::Retrying { .. } => self.attempt = Attempt::Later,
            Event::Uploaded { file_id, .. } if self.attempt == Attempt::First => remember(&mut self.uploads, file_id),
            Event::Created { batch_id, input_file_id, .. } => self.add(batch_id, input_file_id),
            Event::Attached { batch_id, input_file_id, instead_of, .. } => {
                if let Some((given_up, file_id)) = instead_of {
                    self.drop_batch(given_up);
                    self.uploads.retain(|known| known != file_id);
                }
                self.add(batch_id, input_file_id);
            }
            // Another batch takes its place: of the same upload, or of one of our own.
            Event::Crowded { batch_id: Some(batch_id), .. }
            | Event::FileUnready { batch_id, .. }
            | Event::PassedOver { batch_id, .. } => self.drop_batch(batch_id),
            _ => {}
        }
    }

    /// The outputs that hold them.
    pub(super) fn outputs(&self) -> [(&'static str, String); 3] {
        let mut files = self.uploads.clone();
        self.firsts.iter().for_each(|made| remember(&mut files, &made.file_id));
        let firsts: Vec<&str> = self.firsts.iter().map(|made| made.batch_id.as_str()).collect();
        let all: Vec<&str> = self.firsts.iter().chain(&self.retries).map(|made| made.batch_id.as_str()).collect();
        let only = |ids: &[&str]| match ids {
            [id] if self.parts == Parts::One => (*id).to_owned(),
            _ => String::new(),
        };
        [
            ("input-file-id", only(&files.iter().map(String::as_str).collect::<Vec<_>>())),
            ("batch-id", only(&firsts)),
            ("batch-ids", serde_json::json!(all).to_string()),
        ]
    }

    fn add(&mut self, batch_id: &str, file_id: &str) {
        let batches = match self.attempt {
            Attempt::First => &mut self.firsts,
            Attempt::Later => &mut self.retries,
        };
        if !batches.iter().any(|made| made.batch_id == batch_id) {
            batches.push(Made { batch_id: batch_id.to_owned(), file_id: file_id.to_owned() });
        }
    }

    fn drop_batch(&mut self, batch_id: &str) {
        for batches in [&mut self.firsts, &mut self.retries] {
            batches.retain(|made| made.batch_id != batch_id);
        }
    }
}

fn remember(ids: &mut Vec<String>, id: &str) {
    if !id.is_empty() && !ids.iter().any(|known| known == id) {
        ids.push(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Ids;
    use crate::attachment::{Attachment, By, Owner};
    use crate::events::Event;
    use crate::values::OnKill;

    fn uploaded(file: &str) -> Event {
        Event::Uploaded { file_id: file.to_owned(), bytes: 9, took: Duration::ZERO }
    }

    fn created(file: &str, batch: &str) -> Event {
        let (batch_id, input_file_id) = (batch.to_owned(), file.to_owned());
        Event::Created { create: String::new(), batch_id, input_file_id, found: false }
    }

    fn attached(file: &str, batch: &str, instead_of: Option<(&str, &str)>) -> Event {
        let attachment = Attachment { by: By::List, owner: Owner::AnotherRun, run: None, age: None };
        let instead_of = instead_of.map(|(batch, file)| (batch.to_owned(), file.to_owned()));
        let (batch_id, input_file_id) = (batch.to_owned(), file.to_owned());
        Event::Attached { batch_id, input_file_id, attachment, instead_of, on_kill: OnKill::Leave }
    }

    fn planned(number: usize) -> Event {
        let endpoint = "/v1/chat/completions".to_owned();
        Event::Planned { part: (number, 2), requests: 1, bytes: 9, endpoint, model: None }
    }

    /// The three outputs after these events.
    fn after(events: &[Event]) -> [String; 3] {
        let mut ids = Ids::default();
        events.iter().for_each(|event| ids.hear(event));
        ids.outputs().map(|(_, value)| value)
    }

    #[test]
    fn a_retry_adds_its_batch_and_changes_nothing_else() {
        let mut events = vec![uploaded("file-1")];
        assert_eq!(after(&events), ["file-1", "", "[]"]);
        events.push(created("file-1", "batch_1"));
        assert_eq!(after(&events), ["file-1", "batch_1", r#"["batch_1"]"#]);
        events.extend([Event::Retrying { requests: 3, attempt: 2 }, uploaded("file-2")]);
        assert_eq!(after(&events), ["file-1", "batch_1", r#"["batch_1"]"#]);
        events.push(created("file-2", "b\"2"));
        assert_eq!(after(&events), ["file-1", "batch_1", r#"["batch_1","b\"2"]"#]);
    }

    #[test]
    fn several_batches_have_no_single_id_not_even_for_a_moment() {
        let mut events = vec![planned(1), planned(2), uploaded("file-1"), created("file-1", "batch_1")];
        assert_eq!(after(&events), ["", "", r#"["batch_1"]"#]);
        events.extend([uploaded("file-2"), created("file-2", "batch_2")]);
        assert_eq!(after(&events), ["", "", r#"["batch_1","batch_2"]"#]);
    }

    #[test]
    fn a_batch_that_takes_anothers_place_is_the_only_one() {
        let ours = [uploaded("file-1"), created("file-1", "batch_1")];
        let older = attached("file-0", "batch_0", Some(("batch_1", "file-1")));
        assert_eq!(after(&[&ours[..], &[older]].concat()), ["file-0", "batch_0", r#"["batch_0"]"#]);

        let (batch_id, again_in) = ("batch_1".to_owned(), Duration::ZERO);
        let unready = Event::FileUnready { batch_id: batch_id.clone(), file_id: "file-1".to_owned(), again_in };
        assert_eq!(after(&[&ours[..], &[unready]].concat()), ["file-1", "", "[]"]);
        let crowded = Event::Crowded { batch_id: Some(batch_id), why: "full".to_owned(), again_in };
        let again = [&ours[..], &[crowded]].concat();
        assert_eq!(after(&again), ["file-1", "", "[]"]);
        let again = [&again[..], &[created("file-1", "batch_2")]].concat();
        assert_eq!(after(&again), ["file-1", "batch_2", r#"["batch_2"]"#]);

        let theirs = attached("file-9", "batch_9", None);
        let given_up = Event::PassedOver { batch_id: "batch_9".to_owned(), why: "it was cancelled".to_owned() };
        assert_eq!(after(&[&[theirs, given_up], &ours[..]].concat()), ["file-1", "batch_1", r#"["batch_1"]"#]);
    }
}
