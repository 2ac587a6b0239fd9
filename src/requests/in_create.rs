//! The body of a create that carries its requests: their lines, marked, in one JSON document of known length.
//!
//! The requests are read twice: once to measure the body, whose length must be known before its first byte is sent,
//! and once to send it. As in `outgoing.rs`, what comes last is held back until the requests are known to be those
//! that were checked.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::lines::{LONGEST_REQUEST, Lines};
use super::outgoing::Outgoing;
use super::ranged::Ranged;
use super::shards::Shard;
use super::source::Source;
use crate::dialects::InCreate;
use crate::marked_id::Mark;

impl Source {
    /// A shard's requests as the body of a create, each with an id that has this mark. Blocks while it measures them.
    ///
    /// # Errors
    /// Fails if the requests cannot be read, or are not those that were checked.
    pub(crate) fn create_body(&self, shard: &Shard, body: InCreate, mark: &Mark) -> io::Result<Outgoing> {
        let mut measuring = Body::new(self, shard, body, mark);
        let mut length = 0;
        while let Some(chunk) = measuring.next()? {
            length += chunk.len() as u64;
        }
        let changed = Arc::new(AtomicBool::new(false));
        let sending = Sending { body: Body::new(self, shard, body, mark), left: length, changed: Arc::clone(&changed) };
        let stream = stream::try_unfold(sending, |mut sending| async {
            // Reading and hashing block, if only for fractions of a millisecond.
            let step = tokio::task::spawn_blocking(move || {
                let chunk = sending.next();
                sending.changed.fetch_or(chunk.is_err(), Ordering::Relaxed);
                chunk.map(|chunk| chunk.map(|chunk| (chunk, sending)))
            });
            step.await.map_err(io::Error::other)?
        });
        Ok(Outgoing { length, stream: stream.boxed(), changed })
    }
}

/// The body as it is sent.
struct Sending {
    body: Body,
    /// The bytes that are still to be sent.
    left: u64,
    changed: Arc<AtomicBool>,
}

impl Sending {
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let chunk = self.body.next()?;
        let length = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let is_last = self.body.is_over();
        match self.left.checked_sub(length) {
            // The last byte goes only after all requests were compared with those that were checked.
            Some(left) if (left == 0) == is_last => self.left = left,
            _ => return Err(changed()),
        }
        Ok(chunk)
    }
}

/// The body, chunk by chunk.
struct Body {
    lines: Lines<Ranged>,
    /// The indices of the requests to come.
    rows: std::iter::Flatten<std::vec::IntoIter<Range<u32>>>,
    /// How many they are.
    left: u64,
    is_begun: bool,
    hasher: blake3::Hasher,
    expected: blake3::Hash,
    body: InCreate,
    mark: Mark,
}

impl Body {
    fn new(source: &Source, shard: &Shard, body: InCreate, mark: &Mark) -> Self {
        Self {
            lines: Lines::new(source.open_shard(shard), LONGEST_REQUEST),
            rows: shard.rows().into_iter().flatten(),
            left: shard.requests,
            is_begun: false,
            hasher: blake3::Hasher::new(),
            expected: shard.digest,
            body,
            mark: mark.clone(),
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next chunk; none after the last, which comes only if the requests are those that were checked.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.is_over() {
            return Ok(None);
        }
        let block = self.lines.block()?.ok_or_else(changed)?;
        self.hasher.update(block.bytes);
        let mut chunk = Vec::with_capacity(block.bytes.len() * 2);
        for line in block.lines() {
            let (line, index) = (line.bytes.ok_or_else(changed)?, self.rows.next().ok_or_else(changed)?);
            let before = if self.is_begun { self.body.between } else { self.body.before };
            chunk.extend_from_slice(before.as_bytes());
            self.mark.write(line, index, self.body.ids, &mut chunk);
            (self.is_begun, self.left) = (true, self.left.saturating_sub(1));
        }
        if self.is_over() {
            chunk.extend_from_slice(self.body.after.as_bytes());
            if self.rows.next().is_some() || self.lines.block()?.is_some() || self.hasher.finalize() != self.expected {
                return Err(changed());
            }
        }
        Ok(Some(Bytes::from(chunk)))
    }
}

fn changed() -> io::Error {
    io::Error::other("the requests changed since they were checked")
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use proptest::prelude::*;

    use super::{InCreate, Mark};
    use crate::marked_id::Grammar;
    use crate::requests::outgoing::Outgoing;
    use crate::requests::shards::{Range, Shard};
    use crate::requests::source::testing::source;
    use crate::requests::survey::Survey;

    const BODY: InCreate = InCreate {
        before: "{\"requests\":[",
        between: ",",
        after: "]}",
        ids: Grammar { longest: 64, allows: |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') },
    };

    /// A shard of those lines of a text that are picked.
    fn shard(text: &str, picks: &[bool]) -> Shard {
        let (mut at, mut ranges, mut bytes) = (0, Vec::new(), Vec::new());
        for (first, (line, picked)) in text.split_inclusive('\n').zip(picks).enumerate() {
            if *picked {
                ranges.push(Range { offset: at, length: line.len() as u32, lines: 1, first: first as u32 });
                bytes.extend_from_slice(line.as_bytes());
            }
            at += line.len() as u64;
        }
        let (requests, digest, length) = (ranges.len() as u64, blake3::hash(&bytes), bytes.len() as u64);
        Shard {
            endpoint: String::new(),
            model: None,
            requests,
            bytes: length,
            digest,
            ranges,
            survey: Survey::default(),
        }
    }

    async fn sent(outgoing: Outgoing) -> (Vec<u8>, bool) {
        let items: Vec<_> = outgoing.stream.collect().await;
        let is_whole = items.iter().all(Result::is_ok);
        (items.into_iter().flatten().flatten().collect(), is_whole)
    }

    fn line(id: &str) -> String {
        format!("{{\"custom_id\":{},\"params\":{{}}}}", serde_json::json!(id))
    }

    #[tokio::test]
    async fn requests_that_changed_never_reach_their_length() {
        let text = [line("a"), line("b")].join("\n");
        let mark = Mark::new(&"0".repeat(64), &"1".repeat(12));
        for now in [line("a"), text.replace('b', "c"), format!("{text}\n{}", line("c")), text.replace("\"a\"", "\"é\"")]
        {
            let (source, dir) = source(&[("a", text.as_bytes())]);
            let outgoing = source.create_body(&shard(&text, &[true; 2]), BODY, &mark).unwrap();
            let length = outgoing.length;
            std::fs::write(dir.path().join("a"), &now).unwrap();
            let (bytes, is_whole) = sent(outgoing).await;
            assert!(!is_whole && (bytes.len() as u64) < length, "{now}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_body_is_one_json_document_of_the_length_that_was_measured(
            ids in prop::collection::vec("\\PC{0,40}", 1..30),
            picks in prop::collection::vec(any::<bool>(), 30),
        ) {
            let text = ids.iter().map(|id| line(id)).collect::<Vec<_>>().join("\n");
            let (source, _dir) = source(&[("a", text.as_bytes())]);
            let shard = shard(&text, &picks);
            prop_assume!(shard.requests > 0);
            let mark = Mark::new(&"0".repeat(64), &"1".repeat(12));
            let outgoing = source.create_body(&shard, BODY, &mark).unwrap();
            let length = outgoing.length;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (bytes, is_whole) = runtime.block_on(sent(outgoing));
            prop_assert!(is_whole);
            prop_assert_eq!(bytes.len() as u64, length);
            let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(value["requests"].as_array().map(|all| all.len() as u64), Some(shard.requests));
        }
    }
}
