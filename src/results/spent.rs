//! What a batch did cost, by its answers alone, before the answers of a run are put in order.

use std::fs::File;

use super::pricing::{PriceAnswers, Priced};
use super::reconcile::{answer, is_blank, place};
use super::{AnswersFile, unreadable};
use crate::dialects::{Kind, ReadAnswers, Tokens};
use crate::error::Error;
use crate::requests::lines::{LONGEST_ANSWER, Lines};
use crate::usd::Usd;

/// What the answers of a batch used and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Lines, which are as many as requests that were worked on.
    pub(crate) lines: u64,
    /// Input and output tokens.
    pub(crate) tokens: u64,
    /// What those cost of which that is known.
    pub(crate) cost: Usd,
    /// Lines of which it is not known what they used, or what that costs.
    pub(crate) unknown: u64,
}

/// Adds up the lines of these files, each as often as it is there: too much rather than too little.
///
/// # Errors
/// Ends in exit 1 if a file cannot be read.
pub(crate) fn spent(
    files: &[AnswersFile],
    reader: &dyn ReadAnswers,
    prices: &dyn PriceAnswers,
) -> Result<Spent, Error> {
    let mut spent = Spent::default();
    for (index, file) in files.iter().enumerate() {
        let failed = |error| unreadable(file, error);
        let mut lines = Lines::new(File::open(&file.path).map_err(failed)?, LONGEST_ANSWER);
        while let Some(line) = lines.next().map_err(failed)? {
            if is_blank(&line) {
                continue;
            }
            let answer = answer(file, &line, place(index, &line), reader)?;
            let tokens = answer.tokens;
            spent.lines += 1;
            spent.tokens = spent.tokens.saturating_add(tokens.input).saturating_add(tokens.output);
            match prices.price(file, answer.model.as_deref(), &tokens) {
                Priced::At(cost) => spent.cost = spent.cost + cost.batch,
                // A request that failed may have used nothing.
                Priced::Unknown(_) if tokens == Tokens::default() && answer.kind != Kind::Success => {}
                Priced::Unknown(_) => spent.unknown += 1,
            }
        }
    }
    Ok(spent)
}
