//! The tokens of one request.

use std::borrow::Cow;

use super::fit::Fit;
use super::tokenizer::Tokenizers;
use crate::dialects::Billed;

/// How many bytes of a long text are counted in one piece.
const CHUNK: usize = 4 * 1024;
/// How far a cut may move to the next line or word, in bytes: there it splits no token.
const NEAR: usize = 96;
/// How far the tokens of tools and schemas may be off, down and up: vendors do not publish the form that they write
/// them in.
const REWRITTEN: [f64; 2] = [0.6, 1.3];

/// How many tokens the input of a request has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tokens {
    pub(super) low: f64,
    pub(super) likely: f64,
    pub(super) high: f64,
    /// The variance of `likely` where only pieces of the text were counted.
    pub(super) variance: f64,
    /// What was not counted, a bit for each.
    pub(super) uncounted: u8,
}

impl Tokens {
    /// Counts what is billed, but not more than about so many bytes of its text.
    pub(super) fn count(billed: &Billed<'_>, fit: &Fit, tokenizers: &Tokenizers, quota: u64) -> Self {
        let count = |texts: &[Cow<'_, str>]| count(texts, |text| tokenizers.count(fit.encoding, text) as f64, quota);
        let (texts, variance) = count(&billed.texts);
        let (rewritten, also) = count(&billed.rewritten);
        let (texts, rewritten) = (texts + billed.tokens as f64, rewritten + billed.frames as f64);
        let media = billed.media;
        let [less, more] = REWRITTEN;
        Self {
            low: (texts + rewritten * less) * fit.low + media.low as f64,
            likely: (texts + rewritten) * fit.likely + media.likely as f64,
            high: (texts + rewritten * more) * fit.high + media.high as f64,
            variance: (variance + also) * fit.likely * fit.likely,
            uncounted: billed.uncounted,
        }
    }
}

/// The tokens of texts and the variance of their number, by counting all or evenly spread pieces.
fn count(texts: &[Cow<'_, str>], tokens: impl Fn(&str) -> f64, quota: u64) -> (f64, f64) {
    let bytes: u64 = texts.iter().map(|text| text.len() as u64).sum();
    if bytes <= quota.max(CHUNK as u64) {
        return (texts.iter().map(|text| tokens(text)).sum(), 0.0);
    }
    let pieces = pieces(texts, bytes, quota);
    let (read, number) = (pieces.iter().map(|piece| piece.len() as f64).sum::<f64>().max(1.0), pieces.len() as f64);
    let counts: Vec<f64> = pieces.iter().map(|piece| tokens(piece)).collect();
    let ratio = counts.iter().sum::<f64>() / read;
    let squares: f64 =
        pieces.iter().zip(&counts).map(|(piece, count)| (count - ratio * piece.len() as f64).powi(2)).sum();
    let scale = bytes as f64 / read;
    (ratio * bytes as f64, squares * number / (number - 1.0).max(1.0) * scale * scale)
}

/// Pieces of texts that are read as one, evenly spread, of about so many bytes together. All texts are divided into
/// pieces of equal size, so that each part of them has the same chance.
fn pieces<'t>(texts: &'t [Cow<'_, str>], bytes: u64, quota: u64) -> Vec<&'t str> {
    let all = bytes.div_ceil(CHUNK as u64);
    let size = bytes as f64 / all as f64;
    let taken = ((quota as f64 / size) as u64).clamp(1, all);
    let start = fastrand::Rng::with_seed(bytes).f64();
    let numbers = (0..taken).map(|at| ((at as f64 + start) * all as f64 / taken as f64) as u64);
    let mut cells =
        numbers.map(|number| ((number as f64 * size) as u64, ((number + 1) as f64 * size) as u64)).peekable();
    let (mut pieces, mut before) = (Vec::new(), 0);
    for text in texts {
        let end = before + text.len() as u64;
        while let Some((from, to)) = cells.peek().copied().filter(|(from, _)| *from < end) {
            let place = |at: u64| boundary(text, at.clamp(before, end).abs_diff(before) as usize);
            pieces.push(&text[place(from)..place(to)]);
            // The rest of a piece may be in the next text.
            if to > end {
                break;
            }
            cells.next();
        }
        before = end;
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Where a text may be cut from `at` on: behind a line or before a space nearby, or else between characters.
fn boundary(text: &str, at: usize) -> usize {
    if at == 0 || at >= text.len() {
        return at.min(text.len());
    }
    let near = &text.as_bytes()[at..text.len().min(at + NEAR)];
    let line = near.iter().position(|byte| *byte == b'\n').map(|end| at + end + 1);
    let word = || near.windows(2).position(|pair| pair[0] != b' ' && pair[1] == b' ').map(|end| at + end + 1);
    line.or_else(word).unwrap_or_else(|| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{CHUNK, NEAR, Tokens, pieces};
    use crate::dialects::{Billed, Interval};
    use crate::estimate::fit::Fit;
    use crate::estimate::tokenizer::Tokenizers;

    #[test]
    fn pieces_of_a_long_text_stand_for_all_of_it() {
        let words = ["some", "words", "größer", "数字", "x"];
        let text: String = (0..60_000).map(|at| format!("{} ", words[at * at % 97 % words.len()])).collect();
        let (tokenizers, fit) = (Tokenizers::default(), Fit::of(Some("gpt-4o")));
        let billed = Billed { texts: vec![Cow::Borrowed(text.as_str()); 2], ..Billed::default() };
        let whole = Tokens::count(&billed, &fit, &tokenizers, u64::MAX);
        let part = Tokens::count(&billed, &fit, &tokenizers, 64 * 1024);
        assert_eq!(whole.variance, 0.0);
        let error = (part.likely - whole.likely).abs();
        assert!(
            error < 0.02 * whole.likely && error < 3.0 * part.variance.sqrt().max(0.005 * whole.likely),
            "{part:?} {whole:?}"
        );
    }

    #[test]
    fn pieces_cut_no_character_and_reach_everywhere() {
        let texts = ["é", "人"].map(|letter| Cow::Owned(letter.repeat(50_000)));
        let bytes = texts.iter().map(|text: &Cow<'_, str>| text.len() as u64).sum();
        let pieces = pieces(&texts, bytes, 8 * CHUNK as u64);
        assert!((8..=9).contains(&pieces.len()), "{}", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() <= CHUNK + NEAR));
        assert!(pieces[0].starts_with('é') && pieces[pieces.len() - 1].starts_with('人'));
    }

    #[test]
    fn the_band_is_the_fits_and_wider_where_the_form_is_not_known() {
        let (tokenizers, fit) = (Tokenizers::default(), Fit::of(Some("gpt-4o")));
        let count = |billed: &Billed<'_>| Tokens::count(billed, &fit, &tokenizers, u64::MAX);
        let text = || vec![Cow::Borrowed("one two three four five six seven eight nine ten")];
        let plain = count(&Billed { texts: text(), tokens: 10, ..Billed::default() });
        assert_eq!((plain.likely, plain.low, plain.high), (20.0, 20.0 * fit.low, 20.0 * fit.high));
        let tools = count(&Billed { rewritten: text(), frames: 10, ..Billed::default() });
        assert_eq!(tools.likely, 20.0);
        assert!(tools.low < 13.0 && tools.high > 26.0);
        let media = Interval { low: 1, likely: 5, high: 9 };
        let image = count(&Billed { media, ..Billed::default() });
        assert_eq!((image.low, image.likely, image.high), (1.0, 5.0, 9.0));
    }
}
