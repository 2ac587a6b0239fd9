//! What tokens cost: one card of prices, and the arithmetic.
//!
//! A price is a whole number of picodollars for a token, so a sum is exact. Sums are of one request, since its input
//! decides by its length what all its tokens cost.

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::CacheWrites;
use crate::dialects::Tokens;
use crate::usd::Usd;

/// What a token of each kind costs. docs/cost.md explains the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
    input: Price,
    cached: Option<Price>,
    cache_write: Option<Price>,
    cache_write_1h: Option<Price>,
    input_audio: Option<Price>,
    cached_audio: Option<Price>,
    input_image: Option<Price>,
    cached_image: Option<Price>,
    output: Option<Price>,
    output_audio: Option<Price>,
    output_image: Option<Price>,
}

/// Input of one kind.
struct Sent {
    count: u64,
    /// None is a kind without a price.
    price: Option<Price>,
    /// Where it was read from the cache.
    cached: Option<Price>,
    /// Where it was written to the cache, for minutes and for an hour; none is not known.
    written: Option<[Price; 2]>,
}

impl Card {
    /// What one request costs; none if it used tokens that have no price, or if its counts contradict each other.
    /// Reasoning is part of the output: if there is more of it than output, the vendor counts in another way.
    pub(super) fn cost(&self, tokens: &Tokens) -> Option<Usd> {
        tokens.output.checked_sub(tokens.reasoning)?;
        Some(self.input_cost(tokens)? + self.output_cost(tokens)?)
    }

    /// What so much text costs in requests of `each` tokens of input; none if the output has no price.
    pub(super) fn expected(&self, input: u64, output: u64, each: u64) -> Option<Usd> {
        let output = if output == 0 { Usd::ZERO } else { self.output?.at(each).times(output) };
        Some(self.input.at(each).times(input) + output)
    }

    /// The same at most, where what is sent may be written to a cache. A vendor that sells a place for an hour has the
    /// request ask for either; others write to the cache by themselves.
    pub(super) fn at_most(&self, input: u64, output: u64, each: u64, writes: CacheWrites) -> Option<Usd> {
        let may_be = writes == CacheWrites::Asked || self.cache_write_1h.is_none();
        let written = [self.cache_write, self.cache_write_1h].into_iter().flatten().filter(|_| may_be);
        let dearest = written.map(|price| price.at(each)).fold(self.input.at(each), Usd::max);
        let more = dearest.less(self.input.at(each)).times(input);
        Some(self.expected(input, output, each)? + more)
    }

    /// A price that is named for what is cached needs one for what is not.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        match self {
            Self { cached_audio: Some(_), input_audio: None, .. } => Some("`cached_audio` needs `input_audio`"),
            Self { cached_image: Some(_), input_image: None, .. } => Some("`cached_image` needs `input_image`"),
            _ => None,
        }
    }

    #[cfg(test)]
    pub(super) fn prices_audio(&self) -> bool {
        self.input_audio.is_some()
    }

    /// Counts tell what is sent by its kind, and by what the cache did with it, but not by both: how much of the audio
    /// was cached is known only where all or nothing is audio, or all or nothing was cached.
    fn input_cost(&self, tokens: &Tokens) -> Option<Usd> {
        let input = tokens.input;
        let fresh = input.checked_sub(tokens.cached)?.checked_sub(tokens.cache_written)?;
        let for_hours = tokens.cache_written_1h;
        let written = [tokens.cache_written.checked_sub(for_hours)?, for_hours];
        self.sent(tokens)?
            .into_iter()
            .filter(|sent| sent.count > 0)
            .map(|sent| {
                let price = sent.price?.at(input);
                let cached = sent.cached.map_or(price, |cached| cached.at(input));
                if fresh == input {
                    return Some(price.times(sent.count));
                }
                if tokens.cached == input {
                    return Some(cached.times(sent.count));
                }
                let known = price.times(fresh) + cached.times(tokens.cached);
                match sent.written {
                    _ if sent.count != input => None,
                    None => (tokens.cache_written == 0).then_some(known),
                    Some(prices) => {
                        let writing =
                            prices.into_iter().zip(written).map(|(price, count)| price.at(input).times(count));
                        Some(known + writing.sum())
                    }
                }
            })
            .sum()
    }

    /// What is sent, by its kind: text, audio and images, which are text where they have no price of their own.
    fn sent(&self, tokens: &Tokens) -> Option<[Sent; 3]> {
        let text = tokens.input.checked_sub(tokens.input_audio)?.checked_sub(tokens.input_image)?;
        let (text, images) = match self.input_image {
            Some(_) => (text, tokens.input_image),
            None => (text + tokens.input_image, 0),
        };
        let write = self.cache_write.unwrap_or(self.input);
        let written = Some([write, self.cache_write_1h.unwrap_or(write)]);
        Some([
            Sent { count: text, price: Some(self.input), cached: self.cached, written },
            Sent { count: tokens.input_audio, price: self.input_audio, cached: self.cached_audio, written: None },
            Sent { count: images, price: self.input_image, cached: self.cached_image, written: None },
        ])
    }

    fn output_cost(&self, tokens: &Tokens) -> Option<Usd> {
        let text = tokens.output.checked_sub(tokens.output_audio)?.checked_sub(tokens.output_image)?;
        let kinds = [
            (text, self.output),
            (tokens.output_audio, self.output_audio),
            (tokens.output_image, self.output_image.or(self.output)),
        ];
        let used = kinds.into_iter().filter(|(count, _)| *count > 0);
        used.map(|(count, price)| Some(price?.at(tokens.input).times(count))).sum()
    }
}

/// What a token costs, by how much input its request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    base: Usd,
    tier: Option<Tier>,
}

/// What a token costs in a request with more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tier {
    /// The most input, in tokens, for which the base price holds.
    above: u64,
    price: Usd,
}

impl Price {
    /// The price of each token of a request with so many tokens of input.
    fn at(self, input: u64) -> Usd {
        self.tier.filter(|tier| input > tier.above).map_or(self.base, |tier| tier.price)
    }
}

/// A number of dollars for a million tokens, or `{ "base": 1, "above": 272000, "price": 2 }`.
impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfPrice;

        impl<'de> Visitor<'de> for OfPrice {
            type Value = Price;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("dollars for a million tokens, or an object with `base`, `above` and `price`")
            }

            fn visit_u64<E: de::Error>(self, dollars: u64) -> Result<Price, E> {
                self.visit_f64(dollars as f64)
            }

            fn visit_i64<E: de::Error>(self, dollars: i64) -> Result<Price, E> {
                self.visit_f64(dollars as f64)
            }

            fn visit_f64<E: de::Error>(self, dollars: f64) -> Result<Price, E> {
                Ok(Price { base: per_token(dollars)?, tier: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Price, A::Error> {
                let tiered = Tiered::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let tier = Tier { above: tiered.above, price: per_token(tiered.price)? };
                Ok(Price { base: per_token(tiered.base)?, tier: Some(tier) })
            }
        }

        deserializer.deserialize_any(OfPrice)
    }
}

/// A price with a tier, as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tiered {
    base: f64,
    above: u64,
    price: f64,
}

/// The price of one token, of what a million cost. A millionth of a dollar for a million is a picodollar for one.
fn per_token<E: de::Error>(dollars: f64) -> Result<Usd, E> {
    /// Far above any price, and far below what cannot be counted in picodollars.
    const MOST: f64 = 1_000_000.0;
    if !(0.0..=MOST).contains(&dollars) {
        return Err(E::custom("a price is from 0 to 1,000,000 dollars for a million tokens"));
    }
    let picodollars = dollars * 1_000_000.0;
    let whole = picodollars.round();
    // Such as 0.0125, which no floating-point number is exactly.
    if (picodollars - whole).abs() > 0.001 {
        return Err(E::custom("a price has at most six decimals"));
    }
    Ok(Usd::picodollars(whole as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Card;
    use crate::dialects::Tokens;
    use crate::usd::Usd;

    fn card(text: &str) -> Card {
        serde_json::from_str(text).unwrap()
    }

    /// A card with a price for everything.
    fn whole() -> Card {
        card(
            r#"{ "input": 1, "cached": 0.1, "cache_write": 1.25, "cache_write_1h": 2, "input_audio": 4,
                 "cached_audio": 0.4, "input_image": 3, "cached_image": 0.3, "output": 10,
                 "output_audio": { "base": 20, "above": 9, "price": 30 }, "output_image": 40 }"#,
        )
    }

    fn cost(tokens: Tokens) -> Option<u64> {
        whole().cost(&tokens).map(|sum| (sum.as_dollars() * 1e12).round() as u64)
    }

    #[test]
    fn what_the_cache_did_with_audio_is_known_where_it_did_the_same_with_all() {
        let input = Tokens { input: 9, input_audio: 2, input_image: 3, ..Tokens::default() };
        assert_eq!(cost(input), Some(4 * 1_000_000 + 2 * 4_000_000 + 3 * 3_000_000));
        assert_eq!(cost(Tokens { cached: 9, ..input }), Some(4 * 100_000 + 2 * 400_000 + 3 * 300_000));
        // Five of nine were cached: how many of the two, and of the three?
        assert_eq!(cost(Tokens { cached: 5, ..input }), None);
        assert_eq!(cost(Tokens { cache_written: 9, ..input }), None);
        // All is audio.
        let audio = Tokens { input: 9, input_audio: 9, ..Tokens::default() };
        assert_eq!(cost(Tokens { cached: 5, ..audio }), Some(4 * 4_000_000 + 5 * 400_000));
        assert_eq!(cost(Tokens { cache_written: 5, ..audio }), None);
    }

    #[test]
    fn output_is_text_audio_and_images() {
        let output = Tokens { output: 9, output_audio: 2, output_image: 3, ..Tokens::default() };
        assert_eq!(cost(output), Some(4 * 10_000_000 + 2 * 20_000_000 + 3 * 40_000_000));
        // A tier goes by the input, for output too.
        let long = Tokens { input: 10, ..output };
        let sum = 10 * 1_000_000 + 4 * 10_000_000 + 2 * 30_000_000 + 3 * 40_000_000;
        assert_eq!(cost(long), Some(sum));
    }

    #[test]
    fn tokens_without_a_price_have_no_cost() {
        let embeddings = card(r#"{ "input": 0.01 }"#);
        let input = Tokens { input: 1, ..Tokens::default() };
        assert_eq!(embeddings.cost(&input), Some(Usd::picodollars(10_000)));
        assert_eq!(embeddings.cost(&Tokens { output: 1, ..input }), None);
        assert_eq!(embeddings.cost(&Tokens { input_audio: 1, ..input }), None);
    }

    #[test]
    fn absurd_counts_neither_panic_nor_wrap() {
        let most = u64::MAX;
        let input = Tokens { input: most, ..Tokens::default() };
        // As much as a sum of money can be.
        assert_eq!(whole().cost(&input), Some(Usd::picodollars(most)));
        assert_eq!(whole().cost(&Tokens { output: most, ..input }), Some(Usd::picodollars(most)));
        for contradiction in [
            Tokens { cached: 2, input: 1, ..Tokens::default() },
            Tokens { cached: most, cache_written: most, ..input },
            Tokens { input_audio: most, input_image: most, ..input },
            Tokens { cache_written: 1, cache_written_1h: 2, ..input },
            Tokens { output: 1, output_image: 2, ..input },
            Tokens { output: 1, reasoning: 2, ..input },
        ] {
            assert_eq!(whole().cost(&contradiction), None, "{contradiction:?}");
        }
    }

    proptest! {
        #[test]
        fn no_counts_panic(counts in any::<[u64; 10]>(), shift in 0_u32..64) {
            let [input, cached, cache_written, cache_written_1h, input_audio, input_image, ..] = counts;
            let [.., output, reasoning, output_audio, output_image] = counts.map(|count| count >> shift);
            let tokens = Tokens { input, cached, cache_written, cache_written_1h, input_audio, input_image, output,
                reasoning, output_audio, output_image, ..Tokens::default() };
            let _ = whole().cost(&tokens);
        }
    }
}
