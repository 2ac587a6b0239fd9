//! The property of the fuzz target `fast_json`, for its seeds and for seeds that were damaged.

use std::fs;
use std::path::Path;

use batchstep::internals::agrees_with_serde_json;
use proptest::prelude::*;

use crate::parity::ROOT;

fn seeds() -> Vec<String> {
    let files = fs::read_dir(Path::new(ROOT).join("fuzz/seeds/fast_json")).expect("seeds");
    let read = |file: std::io::Result<fs::DirEntry>| fs::read_to_string(file.expect("a file").path());
    files.map(|file| read(file).expect("a seed is text")).collect()
}

#[test]
fn the_seeds_are_read_as_serde_json_reads_them() {
    let seeds = seeds();
    assert!(seeds.len() > 5, "{seeds:?}");
    for seed in seeds {
        assert!(agrees_with_serde_json(&seed), "{seed:?}");
    }
}

/// A place in a text, as a share of its length.
fn place(text: &str, share: f64) -> usize {
    let at = (text.len() as f64 * share) as usize;
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The text with each of these replaced: the n-th of what JSON is built of, counted around, by another piece.
fn with_swaps(seed: &str, swaps: &[(usize, &str)]) -> String {
    let mut text = seed.to_owned();
    for (nth, put) in swaps {
        let places: Vec<usize> =
            text.match_indices(['{', '}', '[', ']', ':', ',', '"', '\\']).map(|(at, _)| at).collect();
        if let Some(at) = places.get(nth % places.len().max(1)) {
            text.replace_range(at..=at, put);
        }
    }
    text
}

const PIECES: [&str; 16] = ["", "{", "}", "[", "]", ":", ",", "\"", "\\", " ", "\\u12", "0", "-", "e", "null", "é"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn joined_seeds_are_read_as_serde_json_reads_them(
        seed in prop::sample::select(seeds()), other in prop::sample::select(seeds()),
        [from, to, start, end] in prop::array::uniform4(0.0..1.0f64),
        put in prop::sample::select(&PIECES[..]),
    ) {
        // A piece of one seed between the ends of another.
        let piece = &other[place(&other, start.min(end))..place(&other, start.max(end))];
        let text = format!("{}{put}{piece}{}", &seed[..place(&seed, from)], &seed[place(&seed, to)..]);
        prop_assert!(agrees_with_serde_json(&text), "{text:?}");
    }

    #[test]
    fn damaged_seeds_are_read_as_serde_json_reads_them(
        seed in prop::sample::select(seeds()),
        swaps in prop::collection::vec((0usize..1_000, prop::sample::select(&PIECES[..])), 1..4),
    ) {
        let text = with_swaps(&seed, &swaps);
        prop_assert!(agrees_with_serde_json(&text), "{text:?}");
    }
}
