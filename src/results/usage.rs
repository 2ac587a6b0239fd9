//! What the answers used and cost, by batch and model.

use std::collections::BTreeMap;

use super::AnswersFile;
use super::pricing::{Priced, Used};
use crate::report::{Lacking, ModelUsage, Unpriced};
use crate::text::shorten;
use crate::usd::Usd;

/// How many models of a batch are counted apart. A batch has one, or a few with a date.
const MOST_MODELS: usize = 50;
/// The model of the answers beyond that.
const OTHER: &str = "other";
/// How many characters of a model's name are kept.
const MODEL: usize = 200;

/// The sums so far, by the index of the batch.
#[derive(Default)]
pub(super) struct Usage {
    batches: Vec<Vec<Entry>>,
}

/// The sums of a batch and a model.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) usage: ModelUsage,
    /// The model that the requests name.
    asked: Option<String>,
    /// How many answers have no cost, and for want of what.
    lacking: BTreeMap<Lacking, u64>,
}

impl Entry {
    /// Adds what an answer used, and what it costs.
    pub(super) fn add(&mut self, used: &Used<'_>) {
        self.usage.tokens.add(used.tokens);
        match used.priced {
            None => {}
            Some(Priced::Unknown(lacking)) => *self.lacking.entry(lacking).or_default() += 1,
            Some(Priced::At(cost)) => {
                let plus = |sum: &mut Option<Usd>, more| *sum = Some(sum.unwrap_or_default() + more);
                plus(&mut self.usage.usd, cost.batch);
                plus(&mut self.usage.standard_usd, cost.standard);
            }
        }
    }
}

impl Usage {
    /// The sums of a batch and a model; none if the answer does not name its model.
    pub(super) fn of(&mut self, file: &AnswersFile, model: Option<&str>) -> &mut Entry {
        if self.batches.len() <= file.batch {
            self.batches.resize_with(file.batch + 1, Vec::new);
        }
        let entries = &mut self.batches[file.batch];
        if let Some(at) = entries.iter().position(|entry| entry.usage.model.as_deref() == model) {
            return &mut entries[at];
        }
        let model =
            model.map(|model| if entries.len() < MOST_MODELS { shorten(model, MODEL) } else { OTHER.to_owned() });
        let at = entries.iter().position(|entry| entry.usage.model == model).unwrap_or_else(|| {
            let usage = ModelUsage { batch_id: file.batch_id.clone(), model, ..ModelUsage::default() };
            entries.push(Entry { usage, asked: file.model.clone(), ..Entry::default() });
            entries.len() - 1
        });
        &mut entries[at]
    }

    /// The sums, in the order of the batches, and what is in no sum of money, by model.
    pub(super) fn into_parts(self) -> (Vec<ModelUsage>, Vec<Unpriced>) {
        let (mut sums, mut unpriced) = (Vec::new(), BTreeMap::<(Option<String>, Lacking), u64>::new());
        for Entry { usage, asked, lacking } in self.batches.into_iter().flatten() {
            for (lacking, answers) in lacking {
                let mut key = (usage.model.clone().or_else(|| asked.clone()), lacking);
                if unpriced.len() >= MOST_MODELS && !unpriced.contains_key(&key) {
                    key.0 = Some(OTHER.to_owned());
                }
                *unpriced.entry(key).or_default() += answers;
            }
            sums.push(usage);
        }
        let entry = |((model, lacking), answers)| Unpriced { model, answers, lacking };
        (sums, unpriced.into_iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswersFile, MODEL, MOST_MODELS, Usage};

    fn file(batch: usize) -> AnswersFile {
        let batch_id = format!("batch_{batch}");
        AnswersFile { path: "x".into(), what: "output", attempt: 1, batch, batch_id, ..AnswersFile::default() }
    }

    #[test]
    fn each_batch_and_model_has_sums_of_its_own() {
        let mut usage = Usage::default();
        for (batch, model) in [(2, Some("a")), (0, Some("b")), (2, None), (2, Some("a"))] {
            usage.of(&file(batch), model).usage.succeeded += 1;
        }
        let entries = usage.into_parts().0;
        let seen: Vec<_> =
            entries.iter().map(|entry| (entry.batch_id.as_str(), entry.model.as_deref(), entry.succeeded)).collect();
        assert_eq!(seen, [("batch_0", Some("b"), 1), ("batch_2", Some("a"), 2), ("batch_2", None, 1)]);
    }

    #[test]
    fn a_server_cannot_make_the_list_long() {
        let mut usage = Usage::default();
        let long = |number: usize| format!("{}{number}", "x".repeat(MODEL));
        for number in 0..2 * MOST_MODELS {
            usage.of(&file(0), Some(&number.to_string())).usage.failed += 1;
            usage.of(&file(1), Some(&long(number))).usage.failed += 1;
        }
        usage.of(&file(0), None).usage.failed += 1;
        let entries = usage.into_parts().0;
        let of = |batch: &str| entries.iter().filter(|entry| entry.batch_id == batch).collect::<Vec<_>>();
        assert_eq!(of("batch_0").len(), MOST_MODELS + 2);
        assert_eq!(of("batch_0")[MOST_MODELS].failed, MOST_MODELS as u64);
        assert_eq!((of("batch_1").len(), of("batch_1")[0].failed), (1, 2 * MOST_MODELS as u64));
    }
}
