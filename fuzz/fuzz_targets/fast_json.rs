//! What the fast reader of JSON reads is what serde_json reads.
//!
//! `cargo +nightly fuzz run fast_json fuzz/corpus/fast_json fuzz/seeds/fast_json`. The seeds are tested on
//! every change too, by `tests/it/fuzz_seeds.rs`: a text that was found here becomes a seed.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(batchstep::internals::agrees_with_serde_json(text), "{text:?}");
    }
});
