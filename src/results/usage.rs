//! What the answers used, by batch and model: costs are computed from it.

use super::AnswersFile;
use crate::report::ModelUsage;
use crate::text::shorten;

/// How many models of a batch are counted apart. A batch has one, or a few with a date.
const MOST_MODELS: usize = 50;
/// The model of the answers beyond that.
const OTHER: &str = "other";
/// How many characters of a model's name are kept.
const MODEL: usize = 200;

/// The sums so far, by the index of the batch.
#[derive(Default)]
pub(super) struct Usage {
    batches: Vec<Vec<ModelUsage>>,
}

impl Usage {
    /// The sums of a batch and a model; none if the answer does not name its model.
    pub(super) fn of(&mut self, file: &AnswersFile, model: Option<&str>) -> &mut ModelUsage {
        if self.batches.len() <= file.batch {
            self.batches.resize_with(file.batch + 1, Vec::new);
        }
        let entries = &mut self.batches[file.batch];
        if let Some(at) = entries.iter().position(|entry| entry.model.as_deref() == model) {
            return &mut entries[at];
        }
        let model =
            model.map(|model| if entries.len() < MOST_MODELS { shorten(model, MODEL) } else { OTHER.to_owned() });
        let at = entries.iter().position(|entry| entry.model == model).unwrap_or_else(|| {
            entries.push(ModelUsage { batch_id: file.batch_id.clone(), model, ..ModelUsage::default() });
            entries.len() - 1
        });
        &mut entries[at]
    }

    /// The sums, in the order of the batches.
    pub(super) fn into_entries(self) -> Vec<ModelUsage> {
        self.batches.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswersFile, MODEL, MOST_MODELS, Usage};

    fn file(batch: usize) -> AnswersFile {
        let batch_id = format!("batch_{batch}");
        AnswersFile { path: "x".into(), what: "output", attempt: 1, batch, batch_id, endpoint: None, work: None }
    }

    #[test]
    fn each_batch_and_model_has_sums_of_its_own() {
        let mut usage = Usage::default();
        for (batch, model) in [(2, Some("a")), (0, Some("b")), (2, None), (2, Some("a"))] {
            usage.of(&file(batch), model).succeeded += 1;
        }
        let entries = usage.into_entries();
        let seen: Vec<_> =
            entries.iter().map(|entry| (entry.batch_id.as_str(), entry.model.as_deref(), entry.succeeded)).collect();
        assert_eq!(seen, [("batch_0", Some("b"), 1), ("batch_2", Some("a"), 2), ("batch_2", None, 1)]);
    }

    #[test]
    fn a_server_cannot_make_the_list_long() {
        let mut usage = Usage::default();
        let long = |number: usize| format!("{}{number}", "x".repeat(MODEL));
        for number in 0..2 * MOST_MODELS {
            usage.of(&file(0), Some(&number.to_string())).failed += 1;
            usage.of(&file(1), Some(&long(number))).failed += 1;
        }
        usage.of(&file(0), None).failed += 1;
        let entries = usage.into_entries();
        let of = |batch: &str| entries.iter().filter(|entry| entry.batch_id == batch).collect::<Vec<_>>();
        assert_eq!(of("batch_0").len(), MOST_MODELS + 2);
        assert_eq!(of("batch_0")[MOST_MODELS].failed, MOST_MODELS as u64);
        assert_eq!((of("batch_1").len(), of("batch_1")[0].failed), (1, 2 * MOST_MODELS as u64));
    }
}
