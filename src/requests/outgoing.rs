//! The upload's body: the requests of a shard, read again and compared with what
//! was checked while they stream.
//!
//! A file can change between the check and the upload. The last chunk is held
//! back until length and digest agree; if they do not, the stream ends in an
//! error, the announced length is never reached, and no upload can succeed.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::shards::Shard;
use super::source::Source;

/// How much is read and sent at a time.
const CHUNK: usize = 256 * 1024;

/// A body to send, once.
pub struct Outgoing {
    /// Its length in bytes.
    pub length: u64,
    /// Its chunks.
    pub stream: BoxStream<'static, io::Result<Bytes>>,
    /// Set when the stream ends in an error: the requests are no longer those
    /// that were checked, or cannot be read, and sending them again is no use.
    pub changed: Arc<AtomicBool>,
}

impl Source {
    /// All requests as a body, if they still are those whose digest is `expected`.
    pub fn stream(&self, expected: blake3::Hash) -> Outgoing {
        send(self.open(), expected, self.bytes(), CHUNK)
    }

    /// A shard's requests as a body, if they still are those that were checked.
    pub fn stream_shard(&self, shard: &Shard) -> Outgoing {
        send(self.open_shard(shard), shard.digest, shard.bytes, CHUNK)
    }
}

fn send(reader: impl Read + Send + 'static, expected: blake3::Hash, length: u64, chunk: usize) -> Outgoing {
    let changed = Arc::new(AtomicBool::new(false));
    let sending =
        Sending { reader, hasher: blake3::Hasher::new(), expected, left: length, chunk, changed: Arc::clone(&changed) };
    let stream = stream::try_unfold(Some(sending), |sending| async {
        let Some(mut sending) = sending else { return Ok(None) };
        // Reading and hashing block, if only for fractions of a millisecond.
        let step = tokio::task::spawn_blocking(move || {
            let chunk = sending.next();
            sending.changed.fetch_or(chunk.is_err(), Ordering::Relaxed);
            chunk.map(|chunk| (chunk, sending))
        });
        let (chunk, sending) = step.await.map_err(io::Error::other)??;
        let more = sending.left > 0;
        Ok((!chunk.is_empty()).then(|| (chunk, more.then_some(sending))))
    });
    Outgoing { length, stream: stream.boxed(), changed }
}

struct Sending<R> {
    reader: R,
    hasher: blake3::Hasher,
    expected: blake3::Hash,
    /// The bytes that are still to be sent.
    left: u64,
    chunk: usize,
    changed: Arc<AtomicBool>,
}

impl<R: Read> Sending<R> {
    /// The next chunk; the last only if all is as it was.
    fn next(&mut self) -> io::Result<Bytes> {
        let length = self.left.min(self.chunk as u64);
        let mut chunk = Vec::with_capacity(self.chunk);
        self.reader.by_ref().take(length).read_to_end(&mut chunk)?;
        self.hasher.update(&chunk);
        self.left -= chunk.len() as u64;
        let short = (chunk.len() as u64) < length;
        let last = self.left == 0;
        if short || last && (self.reader.read(&mut [0])? > 0 || self.hasher.finalize() != self.expected) {
            return Err(io::Error::other("the requests changed since they were checked"));
        }
        Ok(Bytes::from(chunk))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use bytes::Bytes;
    use futures_util::{StreamExt, TryStreamExt};
    use proptest::prelude::*;

    use super::{Outgoing, Shard};
    use crate::requests::check;
    use crate::requests::shards::Range;
    use crate::requests::source::testing::source;
    use crate::requests::survey::Survey;
    use crate::requests::testing::rules;

    /// What was sent, and whether the stream ended well.
    async fn send(outgoing: Outgoing) -> (Vec<u8>, bool) {
        let items: Vec<_> = outgoing.stream.collect().await;
        let well = items.iter().all(Result::is_ok);
        assert_eq!(outgoing.changed.load(Ordering::Relaxed), !well);
        (items.into_iter().flatten().flatten().collect(), well)
    }

    #[tokio::test]
    async fn the_size_of_a_chunk_has_no_effect() {
        let (source, _dir) = source(&[("a", b"one"), ("b", b"two\n"), ("c", b"three")]);
        let all = b"one\ntwo\nthree";
        for chunk in 1..15 {
            let outgoing = super::send(source.open(), blake3::hash(all), source.bytes(), chunk);
            assert_eq!(outgoing.length, all.len() as u64);
            assert_eq!(send(outgoing).await, (all.to_vec(), true), "{chunk}");
        }
    }

    #[tokio::test]
    async fn an_upload_of_changed_requests_never_reaches_its_length() {
        for now in ["one two", "one", "one two three four", "one two THREE", ""] {
            for chunk in [1, 4, 13, 100] {
                let (source, dir) = source(&[("a", b"one two three")]);
                let outgoing = super::send(source.open(), blake3::hash(b"one two three"), source.bytes(), chunk);
                std::fs::write(dir.path().join("a"), now).unwrap();
                let (sent, well) = send(outgoing).await;
                assert!(!well && sent.len() < 13, "{now}: {sent:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_is_gone_fails_and_an_empty_one_does_not() {
        let (gone, dir) = source(&[("a", b"one")]);
        let outgoing = gone.stream(blake3::hash(b"one"));
        std::fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(send(outgoing).await, (Vec::new(), false));

        let (empty, _dir) = source(&[("a", b"")]);
        let chunks: Vec<Bytes> = empty.stream(blake3::hash(b"")).stream.try_collect().await.unwrap();
        assert!(chunks.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_was_checked_is_what_is_sent(
            texts in prop::collection::vec("[a\n]{0,20}", 3),
            chunk in 1usize..25,
        ) {
            let files: Vec<_> = ["a", "b", "c"].into_iter().zip(texts.iter().map(String::as_bytes)).collect();
            let (source, _dir) = source(&files);
            let checked = check(&source, &rules()).unwrap();
            let mut hasher = blake3::Hasher::new();
            let digest = hasher.update_reader(source.open()).unwrap().finalize();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (sent, well) = runtime.block_on(send(super::send(source.open(), digest, source.bytes(), chunk)));
            prop_assert!(well);
            prop_assert_eq!((blake3::hash(&sent), sent.len() as u64), (digest, checked.bytes));
            let lines = sent.split_inclusive(|&byte| byte == b'\n').count();
            prop_assert_eq!(checked.total, lines as u64);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shard_is_sent_from_wherever_its_lines_are(
            texts in prop::collection::vec("[ab\n]{0,20}", 3),
            picks in prop::collection::vec(any::<bool>(), 61),
            chunk in 1usize..25,
        ) {
            let files: Vec<_> = ["a", "b", "c"].into_iter().zip(texts.iter().map(String::as_bytes)).collect();
            let (source, _dir) = source(&files);
            let mut all = Vec::new();
            std::io::Read::read_to_end(&mut source.open(), &mut all).unwrap();
            let (mut at, mut ranges, mut expected) = (0, Vec::new(), Vec::new());
            for (line, picked) in all.split_inclusive(|&byte| byte == b'\n').zip(picks) {
                if picked {
                    ranges.push(Range { offset: at, length: line.len() as u32, lines: 1, first: 0 });
                    expected.extend_from_slice(line);
                }
                at += line.len() as u64;
            }
            prop_assume!(!ranges.is_empty());
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (digest, bytes) = (blake3::hash(&expected), expected.len() as u64);
            let requests = ranges.len() as u64;
            let shard = Shard { endpoint: String::new(), model: None, requests, bytes, digest, ranges, survey: Survey::default() };
            let outgoing = super::send(source.open_shard(&shard), digest, bytes, chunk);
            prop_assert_eq!(runtime.block_on(send(outgoing)), (expected, true));
        }
    }
}
