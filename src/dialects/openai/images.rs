//! How many tokens OpenAI bills for an image.
//!
//! Newer models and minis bill patches of 32 by 32 pixels, the others tiles of 512 by 512. Source: OpenAI's guide
//! "Images and vision" (2026-11), the factors of some older models from copies of it. No rule was compared with a bill.

use crate::dialects::{Interval, data_of, fitted, pixels};

/// How far the rules may be off, in percent.
const BAND: u64 = 10;
/// How large a picture is that cannot be looked at, in pixels: width and height.
const UNSEEN: (u64, u64) = (2_048, 2_048);

/// How a model bills images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// By patches.
    Patches {
        /// Tokens for each, in hundredths.
        factor: u64,
        /// How many there are at most, for each detail.
        most: u64,
        original: u64,
        /// The longest side in pixels, for each detail.
        side: u64,
        original_side: u64,
        /// What the detail is where a request names none.
        auto: Detail,
    },
    /// By tiles.
    Tiles { base: u64, tile: u64 },
    /// It is not known how.
    Unknown,
}

/// In what detail the model sees an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Low,
    High,
    Original,
}

impl Rule {
    /// The rule of a model.
    pub(super) fn of(model: Option<&str>) -> Self {
        let name = model.unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let is = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        let patches = |factor, most, side| Self::Patches {
            factor,
            most,
            side,
            original: most,
            original_side: side,
            auto: Detail::High,
        };
        match patches(120, 2_500, 2_048) {
            Self::Patches { factor, most, side, .. } if is(&["gpt-6", "gpt-5.6"]) => {
                let (original, original_side, auto) = (30_000, 65_535, Detail::Original);
                Self::Patches { factor, most, side, original, original_side, auto }
            }
            Self::Patches { factor, most, side, auto, .. } if is(&["gpt-5.4", "gpt-5.5"]) => {
                Self::Patches { factor, most, side, original: 10_000, original_side: 6_000, auto }
            }
            newest if is(&["gpt-5.2"]) => newest,
            _ if is(&["gpt-4.1-mini", "gpt-5-mini"]) => patches(162, 1_536, u64::MAX),
            _ if is(&["gpt-4.1-nano", "gpt-5-nano"]) => patches(246, 1_536, u64::MAX),
            _ if is(&["o4-mini"]) => patches(172, 1_536, u64::MAX),
            _ if is(&["gpt-4o-mini"]) => Self::Tiles { base: 2_833, tile: 5_667 },
            _ if is(&["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-4-turbo", "gpt-4-vision", "chatgpt-4o"]) => {
                Self::Tiles { base: 85, tile: 170 }
            }
            _ if is(&["gpt-5"]) => Self::Tiles { base: 70, tile: 140 },
            _ if is(&["o1", "o3"]) => Self::Tiles { base: 75, tile: 150 },
            _ => Self::Unknown,
        }
    }

    /// The tokens of an image at an address, which may hold it.
    pub(super) fn image(self, url: &str, detail: &str) -> Interval {
        let size = data_of(url).and_then(pixels);
        let likely = self.tokens(size.unwrap_or(UNSEEN), detail);
        let smallest = self.tokens((32, 32), detail);
        match size {
            // What other vendors' models bill is between a few hundred and a few thousand.
            _ if self == Self::Unknown => Interval { low: likely.min(64), likely, high: likely.max(765) * 4 },
            Some(_) => Interval { low: likely - likely * BAND / 100, likely, high: likely + likely * BAND / 100 },
            None => Interval { low: smallest, likely, high: self.most(detail).max(likely) },
        }
    }

    /// The most that an image may have.
    fn most(self, detail: &str) -> u64 {
        match self {
            Self::Patches { factor, most, original, auto, .. } => {
                let patches = match Detail::of(detail).unwrap_or(auto) {
                    Detail::Low => 256,
                    Detail::High => most,
                    Detail::Original => original,
                };
                (patches * factor).div_ceil(100)
            }
            // A long picture that is not narrowed has the most tiles.
            _ => self.tokens((768, 2_048), detail),
        }
    }

    fn tokens(self, size: (u64, u64), detail: &str) -> u64 {
        match self {
            Self::Patches { factor, most, side, original, original_side, auto } => {
                let detail = Detail::of(detail).unwrap_or(auto);
                let patches = match detail {
                    Detail::Low => patches(fitted(size, 512), 256),
                    Detail::High => patches(fitted(size, side), most),
                    Detail::Original => patches(fitted(size, original_side), original),
                };
                (patches * factor).div_ceil(100)
            }
            Self::Tiles { base, .. } if Detail::of(detail) == Some(Detail::Low) => base,
            Self::Tiles { base, tile } => base + tile * tiles(size),
            Self::Unknown => Self::Tiles { base: 85, tile: 170 }.tokens(size, detail),
        }
    }
}

impl Detail {
    fn of(word: &str) -> Option<Self> {
        match word {
            "low" => Some(Self::Low),
            "high" => Some(Self::High),
            "original" => Some(Self::Original),
            _ => None,
        }
    }
}

/// The patches of a picture, which is made smaller until there are not too many.
fn patches((width, height): (u64, u64), most: u64) -> u64 {
    let all = |width: f64, height: f64| (width / 32.0).ceil() * (height / 32.0).ceil();
    let (width, height) = (width as f64, height as f64);
    if all(width, height) <= most as f64 {
        return all(width, height) as u64;
    }
    let scale = f64::sqrt(1024.0 * most as f64 / (width * height));
    let (across, down) = (width * scale / 32.0, height * scale / 32.0);
    // A side that would begin another patch is made to end with the last.
    let scale = (across.floor().max(1.0) / across).min(down.floor().max(1.0) / down);
    let patches = (across * scale).ceil() * (down * scale).ceil();
    (patches as u64).clamp(1, most)
}

/// The tiles of a picture, which is fitted into 2,048 pixels, and its short side to 768.
fn tiles(size: (u64, u64)) -> u64 {
    let (width, height) = fitted(size, 2_048);
    let short = width.min(height);
    let (width, height) =
        if short > 768 { ((width * 768).div_ceil(short), (height * 768).div_ceil(short)) } else { (width, height) };
    width.div_ceil(512) * height.div_ceil(512)
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::dialects::Interval;
    use crate::dialects::pictures::testing::{jpeg, png};

    fn image(model: &str, size: (u32, u32), detail: &str) -> u64 {
        let url = format!("data:image/png;base64,{}", png(size.0, size.1, 100));
        Rule::of(Some(model)).image(&url, detail).likely
    }

    #[test]
    fn tiles_are_billed_by_older_models() {
        // 1024 by 1024 becomes 768 by 768: four tiles. 2048 by 4096 becomes 768 by 1536: six. OpenAI's own examples.
        assert_eq!(image("gpt-4o", (1024, 1024), "high"), 85 + 4 * 170);
        assert_eq!(image("gpt-4o", (2048, 4096), ""), 85 + 6 * 170);
        assert_eq!(image("gpt-4o", (4096, 8192), "low"), 85);
        assert_eq!(image("ft:gpt-4o-mini-2024-07-18:acme", (512, 512), "auto"), 2_833 + 5_667);
        assert_eq!(image("gpt-5", (512, 513), "auto"), 70 + 2 * 140);
        assert_eq!(image("o3", (10, 10), "auto"), 75 + 150);
    }

    #[test]
    fn patches_are_billed_by_newer_models() {
        // 1024 by 1024 is 32 by 32 patches; 1800 by 2400 is scaled to 33 by 44: OpenAI's own examples.
        assert_eq!(image("gpt-4.1-mini", (1024, 1024), ""), (1_024 * 162_u64).div_ceil(100));
        assert_eq!(image("gpt-4.1-mini", (1800, 2400), ""), (33 * 44 * 162_u64).div_ceil(100));
        assert_eq!(image("gpt-5-nano", (32, 33), ""), 5);
        assert_eq!(image("o4-mini", (64, 64), ""), 7);
        assert_eq!(image("gpt-5.4-mini", (1000, 1000), "high"), (32 * 32 * 120_u64).div_ceil(100));
        assert_eq!(image("gpt-5.4", (6000, 6000), "high"), 2_500 * 120 / 100);
        assert_eq!(image("gpt-5.4", (3200, 3200), "original"), 10_000 * 120 / 100);
        assert_eq!(image("gpt-6-sol", (3200, 3200), ""), 10_000 * 120 / 100);
        assert_eq!(image("gpt-6-sol", (3200, 3200), "low"), (256 * 120_u64).div_ceil(100));
    }

    #[test]
    fn what_cannot_be_seen_has_the_most_it_may_have() {
        let remote = Rule::of(Some("gpt-4o")).image("https://example.org/a.png", "");
        assert_eq!(remote, Interval { low: 255, likely: 85 + 4 * 170, high: 85 + 8 * 170 });
        let broken = Rule::of(Some("gpt-4o")).image("data:image/png;base64,!!", "");
        assert_eq!(broken, remote);
        let newest = Rule::of(Some("gpt-6-sol")).image("https://example.org/a.png", "");
        assert_eq!((newest.low, newest.high), (2, 30_000 * 120 / 100));
        let unknown = Rule::of(Some("qwen-vl")).image("https://example.org/a.png", "");
        assert!(unknown.low < 100 && unknown.high > 3_000, "{unknown:?}");
        let url = format!("data:image/jpeg;base64,{}", jpeg(512, 512, 100_000));
        let seen = Rule::of(Some("gpt-4o")).image(&url, "");
        assert_eq!(seen, Interval { low: 255 - 25, likely: 255, high: 255 + 25 });
    }
}
